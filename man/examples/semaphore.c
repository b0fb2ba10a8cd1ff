/* A lock that the kernel releases if its holder is killed. */
#include <stdio.h>

#include "shmcomm.h"

int main(void)
{
    shmc_sem *lock = shmc_sem_open("sysv:.", 1, SHMC_CREATE, 0600);

    if (lock == NULL) {
        perror("shmc_sem_open");
        return 1;
    }
    if (shmc_sem_wait(lock, 1000) == -1) { /* a second at most */
        perror("shmc_sem_wait");
        return 1;
    }
    printf("inside, %d free\n", shmc_sem_value(lock));
    shmc_sem_post(lock);
    shmc_sem_close(lock);
    return shmc_sem_remove("sysv:.") != 0;
}
