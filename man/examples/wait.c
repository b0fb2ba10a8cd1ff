/* A parent sleeps until its child has stored a value. */
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shmcomm.h"

int main(void)
{
    shmc_segment *segment = shmc_segment_open("anon:", 4096,
                                              SHMC_CREATE, 0600);
    _Atomic uint32_t *word = shmc_segment_addr(segment);
    uint32_t value;

    if (word == NULL) {
        perror("shmc_segment_open");
        return 1;
    }
    if (fork() == 0) {
        atomic_store(word, 42);
        shmc_wake(word, 1);
        _exit(0);
    }
    while ((value = atomic_load(word)) == 0)
        shmc_wait(word, 0, -1);
    printf("value %u\n", (unsigned)value);
    wait(NULL);
    return shmc_segment_close(segment);
}
