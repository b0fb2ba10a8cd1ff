/* What the programs share that make the calls which their arguments name. */
#ifndef CALLS_H
#define CALLS_H

#include "shmcomm.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static int marked;

/* Stops a traced process when the call after "mark" has returned. */
static void end_mark(void)
{
    int result = errno;

    if (marked) {
        marked = 0;
        raise(SIGUSR1);
        errno = result;
    }
}

static void on_alarm(int number)
{
    (void)number;
}

static void print(const char *call, int failed)
{
    end_mark();
    if (failed)
        printf("%s: errno %d\n", call, errno);
    else
        printf("%s: ok\n", call);
}

/* c: create, x: exclusive, s: send, r: receive, i: interruptible, h: another flag */
static int flags(const char *letters, int h)
{
    int result = 0;

    for (; *letters != '\0'; letters++)
        switch (*letters) {
        case 'c': result |= SHMC_CREATE; break;
        case 'x': result |= SHMC_EXCL; break;
        case 's': result |= SHMC_SEND; break;
        case 'r': result |= SHMC_RECV; break;
        case 'i': result |= SHMC_INTR; break;
        case 'h': result |= h; break;
        }
    return result;
}

static long number(const char *text)
{
    return strtol(text, NULL, 0);
}

#endif
