/* To be preloaded: a child holds the semaphore for long, its parent briefly. */
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
    /* The parent holds it briefly, and the child is in the queue when the parent posts. */
    usleep(getpid() == first ? 50000 : 700000);
    return next(semaphore);
}
