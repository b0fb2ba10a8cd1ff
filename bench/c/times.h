/*
 * Times of operations, in nanoseconds. They are in an array of struct times, one
 * for each operation, made by make_times.
 */
#ifndef TIMES_H
#define TIMES_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct times {
    long *samples;
    size_t count;
};

static long started;

static void require(int truth, const char *what)
{
    if (!truth) {
        /* Not on stderr, where failures that are asked for leave their lines. */
        printf("%s\n", what);
        exit(EXIT_FAILURE);
    }
}

static struct times make_times(size_t most)
{
    struct times times = {NULL, 0};

    times.samples = malloc((most + 1) * sizeof(long));
    require(times.samples != NULL, "no memory");
    /* Written to beforehand, so that no page fault is timed. */
    memset(times.samples, 1, (most + 1) * sizeof(long));
    return times;
}

static long now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000L + time.tv_nsec;
}

static void start(void)
{
    started = now();
}

static void stop(struct times *times)
{
    long stopped = now();

    times->samples[times->count++] = stopped - started;
}

static int by_length(const void *left, const void *right)
{
    long a = *(const long *)left, b = *(const long *)right;

    return (a > b) - (a < b);
}

static long median(struct times *times)
{
    qsort(times->samples, times->count, sizeof(long), by_length);
    return times->count ? times->samples[times->count / 2] : 0;
}

#endif
