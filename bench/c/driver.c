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

#include "times.h"

enum { CREATE, COLLIDE, GET, ATTACH, DETACH, DESTROY, NOTHING, OPERATIONS };

static struct times times[OPERATIONS];

static void live(size_t collisions)
{
    int id, other, failed;
    void *memory;

    start();
    id = create_shm(4096);
    stop(&times[CREATE]);
    require(id >= 0, "create_shm failed");

    while (collisions-- > 0) {
        start();
        other = create_shm(4096);
        stop(&times[COLLIDE]);
        require(other == -2, "a second create_shm succeeded");
    }

    start();
    other = get_shm();
    stop(&times[GET]);
    require(other == id, "get_shm did not find the segment");

    start();
    memory = shm_at(id);
    stop(&times[ATTACH]);
    require(memory != (void *)-1, "shm_at failed");

    start();
    failed = shm_dt(memory);
    stop(&times[DETACH]);
    require(!failed, "shm_dt failed");

    start();
    failed = destory_shm(id);
    stop(&times[DESTROY]);
    require(!failed, "destory_shm failed");

    start();
    stop(&times[NOTHING]);
}

int main(int argc, char **argv)
{
    size_t lives = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
    size_t collisions = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
    int operation;

    for (operation = 0; operation < OPERATIONS; operation++) {
        size_t most = operation == COLLIDE ? lives * collisions : lives;

        times[operation] = make_times(most);
    }
    for (; lives > 0; lives--)
        live(collisions);
    for (operation = 0; operation < NOTHING; operation++)
        printf("%ld\n", median(&times[operation]) - median(&times[NOTHING]));
    return 0;
}
