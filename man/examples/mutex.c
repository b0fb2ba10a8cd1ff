/* Parent and child count under a mutex that survives the death of either. */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shmcomm.h"

struct shared {
    shmc_mutex mutex;
    int count;
};

static int add(struct shared *shared)
{
    int locked = shmc_mutex_lock(&shared->mutex, -1);

    if (locked == -1)
        return -1;
    if (locked == 1)
        fputs("the last holder died: check the data\n", stderr);
    shared->count++;
    return shmc_mutex_unlock(&shared->mutex);
}

int main(void)
{
    shmc_segment *segment = shmc_segment_open("anon:", 4096,
                                              SHMC_CREATE, 0600);
    struct shared *shared = shmc_segment_addr(segment);

    if (shared == NULL || shmc_mutex_init(&shared->mutex) == -1) {
        perror("shmcomm");
        return 1;
    }
    if (fork() == 0)
        _exit(add(shared) != 0);
    add(shared);
    wait(NULL);
    printf("count %d\n", shared->count);
    return shmc_segment_close(segment);
}
