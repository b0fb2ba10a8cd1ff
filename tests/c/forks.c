/*
 * forks NAME ROUNDS: in each round a process opens the sending end of a channel while its other
 * thread forks, and is killed; its child lives on. The end must then be free. Exits with 0 if it
 * was free in every round.
 */
#define _GNU_SOURCE
#include "shmcomm.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *name;
static long delay_ns;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void spin(long ns)
{
    struct timespec begin, now;

    clock_gettime(CLOCK_MONOTONIC, &begin);
    do
        clock_gettime(CLOCK_MONOTONIC, &now);
    while ((now.tv_sec - begin.tv_sec) * 1000000000 + now.tv_nsec - begin.tv_nsec < ns);
}

/* Forks a child that reports its pid and lives on. */
static void *fork_later(void *out)
{
    pid_t child;

    spin(delay_ns);
    child = fork();
    if (child == -1)
        fail("fork");
    if (child == 0) {
        alarm(60); /* a limit, if the other processes die */
        child = getpid();
        if (write(*(int *)out, &child, sizeof child) != sizeof child)
            fail("write");
        for (;;)
            pause();
    }
    return NULL;
}

/* Opens the end while the other thread forks, reports its pid, and waits to be killed. */
static void opener(int out)
{
    pthread_t thread;
    pid_t self = getpid();

    /* After the first open, children close inherited descriptors. */
    shmc_channel_close(shmc_channel_open(name, 0, SHMC_CREATE | SHMC_SEND, 0600));
    if (pthread_create(&thread, NULL, fork_later, &out) != 0)
        fail("pthread_create");
    if (shmc_channel_open(name, 0, SHMC_CREATE | SHMC_SEND, 0600) == NULL)
        fail("open");
    pthread_join(thread, NULL);
    if (write(out, &self, sizeof self) != sizeof self)
        fail("write");
    for (;;)
        pause();
}

static int round_of(void)
{
    shmc_channel *channel;
    pid_t process, pids[2];
    int ends[2];

    if (pipe(ends) != 0 || (process = fork()) == -1)
        fail("fork");
    if (process == 0)
        opener(ends[1]);
    close(ends[1]);
    for (int i = 0; i < 2; i++)
        if (read(ends[0], &pids[i], sizeof pids[i]) != sizeof pids[i])
            fail("read");
    close(ends[0]);
    kill(process, SIGKILL);
    waitpid(process, NULL, 0);
    channel = shmc_channel_open(name, 0, SHMC_SEND, 0);
    if (channel == NULL)
        perror("after its holder's death");
    shmc_channel_close(channel);
    kill(pids[0] == process ? pids[1] : pids[0], SIGKILL);
    waitpid(-1, NULL, 0);
    return channel != NULL;
}

int main(int argc, char **argv)
{
    int rounds;

    if (argc != 3 || prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
        return 2;
    name = argv[1];
    for (rounds = atoi(argv[2]); rounds > 0; rounds--) {
        delay_ns = rounds % 100 * 1500L;
        if (!round_of())
            return 1;
    }
    return 0;
}
