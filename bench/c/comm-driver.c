/*
 * Lives of a segment, one after the other, with the five functions of comm.h:
 *
 *     comm-driver LIVES COLLISIONS
 *
 * In each life the segment is created, met by COLLISIONS further creations,
 * found, attached, detached and destroyed. Prints the median of the nanoseconds
 * that each of these took, less the time to read the clock.
 */
#define _POSIX_C_SOURCE 200809L

#include "comm.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { CREATE, COLLIDE, GET, ATTACH, DETACH, DESTROY, NOTHING, OPERATIONS };

static long *samples[OPERATIONS], started;
static size_t counts[OPERATIONS];

static long now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000L + time.tv_nsec;
}

#define TIMED(operation, call) \
    (started = now(), call, samples[operation][counts[operation]++] = now() - started)

static void require(int truth, const char *what)
{
    if (!truth) {
        /* Not on stderr, which gets the lines of the failures that are measured. */
        printf("%s\n", what);
        exit(EXIT_FAILURE);
    }
}

static void live(size_t collisions)
{
    int id, other, failed;
    void *memory;

    TIMED(CREATE, id = create_shm(4096));
    require(id >= 0, "create_shm failed");
    while (collisions-- > 0) {
        TIMED(COLLIDE, other = create_shm(4096));
        require(other == -2, "a second create_shm succeeded");
    }
    TIMED(GET, other = get_shm());
    require(other == id, "get_shm did not find the segment");
    TIMED(ATTACH, memory = shm_at(id));
    require(memory != (void *)-1, "shm_at failed");
    TIMED(DETACH, failed = shm_dt(memory));
    require(!failed, "shm_dt failed");
    TIMED(DESTROY, failed = destory_shm(id));
    require(!failed, "destory_shm failed");
    TIMED(NOTHING, (void)0);
}

static int by_length(const void *left, const void *right)
{
    long a = *(const long *)left, b = *(const long *)right;

    return (a > b) - (a < b);
}

static long median(int operation)
{
    qsort(samples[operation], counts[operation], sizeof(long), by_length);
    return counts[operation] ? samples[operation][counts[operation] / 2] : 0;
}

int main(int argc, char **argv)
{
    size_t lives = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
    size_t collisions = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
    size_t size = lives * (collisions + 1) * sizeof(long);
    int operation;

    for (operation = 0; operation < OPERATIONS; operation++) {
        samples[operation] = malloc(size);
        require(samples[operation] != NULL, "no memory");
        /* Written to first, so that no page fault is timed. */
        memset(samples[operation], 1, size);
    }
    while (lives-- > 0)
        live(collisions);
    for (operation = 0; operation < NOTHING; operation++)
        printf("%ld\n", median(operation) - median(NOTHING));
    return 0;
}
