/* What the programs with a descriptor in an event loop share: how they open an end, and how they wait. */
#ifndef POLLED_H
#define POLLED_H

#include "shmcomm.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define CAPACITY 4096
/* Milliseconds, longer than any wait: a lost event ends the program. */
#define PATIENCE 20000

static const char *name, *flags;
static char buffer[CAPACITY];

static void check(int holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "%d: %s: %s\n", (int)getpid(), what, strerror(errno));
        exit(1);
    }
}

#define CHECK(condition) check(condition, #condition)
#define FAILS(error, call) check((call) == -1 && errno == (error), #call ": " #error)

static int has(char flag)
{
    return strchr(flags, flag) != NULL;
}

static long long now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

static shmc_channel *open_end(int side)
{
    shmc_channel *channel =
        shmc_channel_open(name, CAPACITY, side | SHMC_CREATE | (has('h') ? SHMC_SHARED : 0), 0666);

    CHECK(channel != NULL);
    return channel;
}

/* An event loop's wait for one descriptor. */
static int readable(int descriptor, int timeout_ms)
{
    static int loop = -1;
    struct epoll_event event = {.events = EPOLLIN | (has('E') ? EPOLLET : 0)};
    struct pollfd wanted = {.fd = descriptor, .events = POLLIN};
    long long until = now_us() + timeout_ms * 1000LL;
    int result;

    if (loop < 0 && (has('e') || has('E'))) {
        CHECK((loop = epoll_create1(EPOLL_CLOEXEC)) >= 0);
        CHECK(epoll_ctl(loop, EPOLL_CTL_ADD, descriptor, &event) == 0);
    }
    do {
        long long left = until - now_us();
        int left_ms = left < 0 ? 0 : (int)((left + 999) / 1000);

        result = loop < 0 ? poll(&wanted, 1, left_ms) : epoll_wait(loop, &event, 1, left_ms);
    } while (result < 0 && errno == EINTR);
    CHECK(result >= 0);
    return result;
}

#endif
