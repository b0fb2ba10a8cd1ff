/* Children of a test program, and the time. */
#ifndef CHILDREN_H
#define CHILDREN_H

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

/* Milliseconds. */
static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1e3 + time.tv_nsec / 1e6;
}

static void nap(double ms)
{
    usleep((useconds_t)(ms * 1000));
}

/* A child that dies with this process. */
static pid_t child(void)
{
    pid_t pid = fork();

    if (pid == -1)
        fail("fork");
    if (pid == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    return pid;
}

static void ended(pid_t pid)
{
    int status;

    if (waitpid(pid, &status, 0) != pid || status != 0)
        fail("child");
}

static void killed(pid_t pid)
{
    kill(pid, SIGKILL);
    if (waitpid(pid, NULL, 0) != pid)
        fail("waitpid");
}

#endif
