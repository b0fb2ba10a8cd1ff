/*
 * The server of the classic conversation over comm.h: makes a segment, shows
 * what is in it once a second until a client has written AAAAA, and removes it.
 *
 * Start it, and in another terminal ./client; or both with "make run".
 */
#define _XOPEN_SOURCE 700 /* sigaction and shared memory, under -std=c11 too */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "comm.h"

#define SIZE 4096
#define EXPECTED "AAAAA"
#define PATIENCE 60 /* seconds */

/* A signal handler may do very little; setting such a flag is allowed. */
static volatile sig_atomic_t stopped;

static void stop(int signal_number)
{
    (void)signal_number;
    stopped = 1;
}

/*
 * A segment outlives its programs until somebody removes it. So a signal must
 * not end this program on the spot: it sets the flag, and main cleans up.
 */
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
 * Copies the text out of the segment. Another process writes there: it may
 * have left out the NUL, so we stop at the segment's end.
 */
static void copy_text(char copy[SIZE + 1], const volatile char *shared)
{
    for (int i = 0; i < SIZE; i++) {
        copy[i] = shared[i];
        if (copy[i] == '\0')
            return;
    }
    copy[SIZE] = '\0';
}

/*
 * volatile: the bytes change though nothing in this program changes them, so
 * the compiler must read them anew each time. It promises no more than that,
 * which is enough here, where each letter is a byte that is written once.
 */
static int converse(const volatile char *shared)
{
    char text[SIZE + 1];

    for (int second = 0; second < PATIENCE && !stopped; second++) {
        copy_text(text, shared);
        printf("server: read \"%s\"\n", text);
        /* "Begins with", not "equals": a client may have written on meanwhile. */
        if (strncmp(text, EXPECTED, strlen(EXPECTED)) == 0)
            return EXIT_SUCCESS;
        sleep(1); /* a signal ends it early, and then the loop */
    }
    if (stopped)
        fprintf(stderr, "server: stopped by a signal\n");
    else
        fprintf(stderr, "server: gave up: no client has written %s within %d seconds\n",
                EXPECTED, PATIENCE);
    return EXIT_FAILURE;
}

int main(void)
{
    int id;
    void *memory;
    int status = EXIT_FAILURE;

    /* Line by line also into a pipe, so that we can be followed. */
    if (setvbuf(stdout, NULL, _IOLBF, BUFSIZ) != 0 || stop_at_signals() == -1) {
        fprintf(stderr, "server: cannot set up output and signals\n");
        return EXIT_FAILURE;
    }

    id = create_shm(SIZE);
    if (id < 0)
        return EXIT_FAILURE; /* create_shm has said why */
    printf("server: created segment %d, %d bytes\n", id, SIZE);

    memory = shm_at(id);
    if (memory == (void *)-1) {
        perror("server: shm_at");
    } else {
        status = converse(memory);
        if (shm_dt(memory) == -1) {
            perror("server: shm_dt");
            status = EXIT_FAILURE;
        }
    }

    /* From here on every way leads past this: what we made, we remove. */
    if (destory_shm(id) == -1)
        return EXIT_FAILURE; /* destory_shm has said why */
    printf("server: removed segment %d\n", id);

    /* Did all that we printed arrive? */
    return ferror(stdout) ? EXIT_FAILURE : status;
}
