/* To be preloaded: a child holds the semaphore long, its parent short. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>
#include "shmcomm.h"

static pid_t first;

__attribute__((constructor)) static void begin(void)
{
    first = getpid();
}

int shmc_sem_post(shmc_sem *semaphore)
{
    int (*next)(shmc_sem *);

    *(void **)&next = dlsym(RTLD_NEXT, "shmc_sem_post");
    /* The parent's are short, so that the child is in the queue when it gives the semaphore back. */
    usleep(getpid() == first ? 50000 : 700000);
    return next(semaphore);
}
