/*
 * The client of the classic conversation over comm.h: finds the segment that
 * the server has made, and appends an A to the text in it, one a second.
 *
 * Started before its server it fails; with COMM_WAIT_MS=5000 in the
 * environment it waits up to five seconds for the segment.
 */
#define _XOPEN_SOURCE 700 /* sigaction and shared memory, under -std=c11 too */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "comm.h"

#define SIZE 4096
#define LETTERS 5

/* A signal handler may do very little; setting such a flag is allowed. */
static volatile sig_atomic_t stopped;

static void stop(int signal_number)
{
    (void)signal_number;
    stopped = 1;
}

static int stop_at_signals(void)
{
    /* Ctrl-C, kill, the terminal closed, nobody reads our output any more */
    const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
    struct sigaction action = {0};

    action.sa_handler = stop;
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        if (sigaction(signals[i], &action, NULL) == -1)
            return -1;
    }
    return 0;
}

/*
 * Appends a letter to the text in the segment: 0, or -1 if it has no room.
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
        return -1; /* the letter and the NUL behind it must lie inside */
    shared[end + 1] = '\0'; /* first, so that the text always has an end */
    shared[end] = letter;
    return 0;
}

static int converse(volatile char *shared)
{
    for (int letter = 1; letter <= LETTERS; letter++) {
        sleep(1); /* a signal ends it early */
        if (stopped) {
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

    /* Line by line also into a pipe, so that we can be followed. */
    if (setvbuf(stdout, NULL, _IOLBF, BUFSIZ) != 0) {
        fprintf(stderr, "client: cannot set up output\n");
        return EXIT_FAILURE;
    }

    id = get_shm();
    if (id < 0)
        return EXIT_FAILURE; /* get_shm has said why */
    printf("client: found segment %d\n", id);

    /* Not earlier: while get_shm waits, a signal may simply end us. */
    if (stop_at_signals() == -1) {
        perror("client: sigaction");
        return EXIT_FAILURE;
    }

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

    /* Did all that we printed arrive? */
    return ferror(stdout) ? EXIT_FAILURE : status;
}
