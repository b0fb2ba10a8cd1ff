/* cc -o client client.c -I../include -L../target/release -lshmcomm -Wl,-rpath,../target/release */

/*
 * The client of the classic conversation over comm.h: finds the segment that
 * the server created, and appends an A to the text in it, one a second.
 *
 * If it is started before its server, it fails; with COMM_WAIT_MS=5000 in the
 * environment it waits up to five seconds for the segment.
 */
#include "example.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "comm.h"

#define SIZE 4096
#define LETTERS 5

/*
 * Appends a letter to the text in the segment. Returns 0, or -1 if it has no
 * room.
 *
 * volatile: the server reads these bytes while we write them, so the compiler
 * must write each one, when and in the order that it is written here.
 */
static int append(volatile char *shared, char letter)
{
    int end = 0;

    while (end < SIZE && shared[end] != '\0')
        end++;
    if (end + 1 >= SIZE)
        return -1; /* the letter and the NUL after it must lie inside */
    shared[end + 1] = '\0'; /* first, so that the text always has an end */
    shared[end] = letter;
    return 0;
}

static int converse(volatile char *shared)
{
    for (int letter = 1; letter <= LETTERS; letter++) {
        sleep(1); /* a signal ends it early */
        if (caught_signal != 0) {
            fprintf(stderr, "client: stopped by a signal\n");
            return EXIT_FAILURE;
        }
        if (append(shared, 'A') == -1) {
            fprintf(stderr, "client: no room left in the segment\n");
            return EXIT_FAILURE;
        }
        printf("client: appended A, %d of %d\n", letter, LETTERS);
    }
    return EXIT_SUCCESS;
}

int main(void)
{
    int id;
    void *memory;
    int status;

    print_line_by_line();

    id = get_shm();
    if (id < 0)
        return EXIT_FAILURE; /* get_shm has reported the error */
    printf("client: found segment %d\n", id);

    /* After get_shm: while that waits, a signal may simply end the program. */
    catch_signals();

    memory = shm_at(id);
    if (memory == (void *)-1) {
        perror("client: shm_at");
        return EXIT_FAILURE;
    }

    status = converse(memory);

    if (shm_dt(memory) == -1) {
        perror("client: shm_dt");
        return EXIT_FAILURE;
    }
    printf("client: detached from segment %d\n", id);

    return check_output(status);
}
