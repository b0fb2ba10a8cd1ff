/* To be preloaded: a signal arrives when a segment has just been created, and another one when it is
   about to be detached. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
#include "shmcomm.h"

static void interrupt(void)
{
    kill(getpid(), atoi(getenv("INTERRUPT")));
}

shmc_segment *shmc_segment_open(const char *name, size_t size, int flags, mode_t mode)
{
    shmc_segment *(*next)(const char *, size_t, int, mode_t);
    shmc_segment *segment;

    *(void **)&next = dlsym(RTLD_NEXT, "shmc_segment_open");
    segment = next(name, size, flags, mode);
    if (segment)
        interrupt();
    return segment;
}

int shmc_segment_close(shmc_segment *segment)
{
    int (*next)(shmc_segment *);

    *(void **)&next = dlsym(RTLD_NEXT, "shmc_segment_close");
    interrupt();
    return next(segment);
}
