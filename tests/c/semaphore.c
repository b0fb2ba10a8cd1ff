/*
 * Makes the calls that its arguments name, in order, on the semaphore opened last, and prints the
 * result of each: "name: N" or "name: errno N".
 */
#define _GNU_SOURCE
#include "shmcomm.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 50
/* The value of SECCOMP_MODE_STRICT: not every C library finds linux/seccomp.h. */
#define STRICT 1

static void print(const char *call, int result)
{
    if (result < 0)
        printf("%s: errno %d\n", call, errno);
    else
        printf("%s: %d\n", call, result);
}

/* c: create, x: exclusive, l: reclaim, e: events, i: interruptible */
static int flags(const char *letters)
{
    int result = 0;

    for (; *letters != '\0'; letters++)
        switch (*letters) {
        case 'c': result |= SHMC_CREATE; break;
        case 'x': result |= SHMC_EXCL; break;
        case 'l': result |= SHMC_RECLAIM; break;
        case 'e': result |= SHMC_EVENTS; break;
        case 'i': result |= SHMC_INTR; break;
        case 'r': result |= SHMC_RDONLY; break;
        }
    return result;
}

static int number(const char *text)
{
    return (int)strtol(text, NULL, 0);
}

static void nothing(int signal)
{
    (void)signal;
}

/* A signal handler runs once, after this many milliseconds. */
static void interrupt_in(int milliseconds)
{
    struct sigaction action;
    struct itimerval timer;

    memset(&action, 0, sizeof action);
    action.sa_handler = nothing;
    action.sa_flags = SA_RESTART;
    sigaction(SIGALRM, &action, NULL);
    memset(&timer, 0, sizeof timer);
    timer.it_value.tv_sec = milliseconds / 1000;
    timer.it_value.tv_usec = milliseconds % 1000 * 1000;
    setitimer(ITIMER_REAL, &timer, NULL);
}

static long long now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

static int compare(const void *one, const void *other)
{
    long long a = *(const long long *)one, b = *(const long long *)other;

    return (a > b) - (a < b);
}

/* In strict mode the kernel kills a process that makes any system call but read, write and _exit. */
static int quiet(shmc_sem *semaphore)
{
    pid_t child = fork();
    int i, status = -1;

    if (child == 0) {
        if (prctl(PR_SET_SECCOMP, STRICT) != 0)
            _exit(1);
        for (i = 0; i < 1000; i++)
            if (shmc_sem_post(semaphore) != 0 || shmc_sem_wait(semaphore, -1) != 0)
                syscall(SYS_exit, 1);
        syscall(SYS_exit, 0);
    }
    waitpid(child, &status, 0);
    return status;
}

/* The median time in microseconds from a post to the return of the wait of a sleeping process. */
static long long latency(shmc_sem *semaphore)
{
    long long samples[ROUNDS];
    int awake[2];
    pid_t child;
    int i;

    if (pipe(awake) != 0 || (child = fork()) < 0)
        return -1;
    if (child == 0) {
        for (i = 0; i < ROUNDS; i++) {
            long long at;

            if (shmc_sem_wait(semaphore, 30000) != 0)
                _exit(1);
            at = now_us();
            if (write(awake[1], &at, sizeof at) != sizeof at)
                _exit(1);
        }
        _exit(0);
    }
    close(awake[1]);
    for (i = 0; i < ROUNDS; i++) {
        long long start, at;

        usleep(3000);
        start = now_us();
        if (shmc_sem_post(semaphore) != 0 || read(awake[0], &at, sizeof at) != sizeof at)
            break;
        samples[i] = at - start;
    }
    close(awake[0]);
    if (waitpid(child, NULL, 0) != child || i < ROUNDS)
        return -1;
    qsort(samples, ROUNDS, sizeof samples[0], compare);
    return samples[ROUNDS / 2];
}

int main(int argc, char **argv)
{
    shmc_sem *semaphore = NULL;
    int i;

    setvbuf(stdout, NULL, _IOLBF, 0);
    for (i = 1; i < argc; i++) {
        const char *what = argv[i];

        errno = 0;
        if (strcmp(what, "open") == 0 && i + 3 < argc) {
            shmc_sem_close(semaphore);
            semaphore = shmc_sem_open(argv[i + 1], number(argv[i + 2]), flags(argv[i + 3]), 0600);
            i += 3;
            print(what, semaphore == NULL ? -1 : 0);
        } else if (strcmp(what, "wait") == 0)
            print(what, shmc_sem_wait(semaphore, number(argv[++i])));
        else if (strcmp(what, "post") == 0)
            print(what, shmc_sem_post(semaphore));
        else if (strcmp(what, "value") == 0)
            print(what, shmc_sem_value(semaphore));
        else if (strcmp(what, "remove") == 0)
            print(what, shmc_sem_remove(argv[++i]));
        else if (strcmp(what, "interrupt") == 0)
            interrupt_in(number(argv[++i]));
        else if (strcmp(what, "quiet") == 0)
            print(what, quiet(semaphore));
        else if (strcmp(what, "latency") == 0)
            printf("latency: %lld\n", latency(semaphore));
        else if (strcmp(what, "pause") == 0) {
            puts("pause");
            if (getchar() == EOF)
                return 0;
        } else
            return 2;
    }
    return shmc_sem_close(semaphore);
}
