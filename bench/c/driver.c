/*
 * Lives of a segment, one after the other, by the five functions of comm.h:
 *
 *     driver LIVES COLLISIONS
 *
 * In each life the segment is created, met by COLLISIONS further creations,
 * found, attached, detached and destroyed. Prints the median of the nanoseconds
 * that each of these took, less what it takes to read the clock.
 */
#define _POSIX_C_SOURCE 200809L

#include "comm.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { CREATE, COLLIDE, GET, ATTACH, DETACH, DESTROY, NOTHING, OPERATIONS };

static struct {
    long *samples;
    size_t count;
} times[OPERATIONS];

static long started;

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

static void stop(int operation)
{
    long stopped = now();

    times[operation].samples[times[operation].count++] = stopped - started;
}

static void require(int truth, const char *what)
{
    if (!truth) {
        /* Not on stderr, where the collisions leave their lines. */
        printf("%s\n", what);
        exit(EXIT_FAILURE);
    }
}

static void live(size_t collisions)
{
    int id, other, failed;
    void *memory;

    start();
    id = create_shm(4096);
    stop(CREATE);
    require(id >= 0, "create_shm failed");

    while (collisions-- > 0) {
        start();
        other = create_shm(4096);
        stop(COLLIDE);
        require(other == -2, "a second create_shm succeeded");
    }

    start();
    other = get_shm();
    stop(GET);
    require(other == id, "get_shm did not find the segment");

    start();
    memory = shm_at(id);
    stop(ATTACH);
    require(memory != (void *)-1, "shm_at failed");

    start();
    failed = shm_dt(memory);
    stop(DETACH);
    require(!failed, "shm_dt failed");

    start();
    failed = destory_shm(id);
    stop(DESTROY);
    require(!failed, "destory_shm failed");

    start();
    stop(NOTHING);
}

static int by_length(const void *left, const void *right)
{
    long a = *(const long *)left, b = *(const long *)right;

    return (a > b) - (a < b);
}

static long median(int operation)
{
    size_t count = times[operation].count;

    qsort(times[operation].samples, count, sizeof(long), by_length);
    return count ? times[operation].samples[count / 2] : 0;
}

int main(int argc, char **argv)
{
    size_t lives = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
    size_t collisions = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
    int operation;

    for (operation = 0; operation < OPERATIONS; operation++) {
        size_t most = operation == COLLIDE ? lives * collisions : lives;

        times[operation].samples = malloc((most + 1) * sizeof(long));
        require(times[operation].samples != NULL, "no memory");
        /* Written to beforehand, so that no page fault is timed. */
        memset(times[operation].samples, 1, (most + 1) * sizeof(long));
    }
    for (; lives > 0; lives--)
        live(collisions);
    for (operation = 0; operation < NOTHING; operation++)
        printf("%ld\n", median(operation) - median(NOTHING));
    return 0;
}
