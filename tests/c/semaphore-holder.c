/*
 * On the semaphore of the first argument: "wait" or "post" after the others,
 * stopped before and after the last one; "free" says whether nobody has it.
 */
#define _GNU_SOURCE
#include "shmcomm.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    shmc_sem *semaphore;
    int i;

    if (argc < 3)
        return 2;
    semaphore = shmc_sem_open(argv[1], 1, SHMC_CREATE, 0600);
    if (semaphore == NULL)
        return 1;
    for (i = 2; i < argc; i++) {
        int failed;

        if (strcmp(argv[i], "free") == 0)
            return shmc_sem_value(semaphore) != 1 || shmc_sem_wait(semaphore, 0) != 0
                || shmc_sem_post(semaphore) != 0 || shmc_sem_remove(argv[1]) != 0;
        if (i + 1 == argc)
            raise(SIGUSR1);
        failed = strcmp(argv[i], "wait") == 0 ? shmc_sem_wait(semaphore, 1000)
                                              : shmc_sem_post(semaphore);
        if (i + 1 == argc)
            raise(SIGUSR1);
        if (failed)
            return 1;
    }
    return 0;
}
