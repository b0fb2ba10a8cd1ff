/* cc -o server server.c -I../include -L../target/release -lshmcomm -Wl,-rpath,../target/release */

/*
 * The server of the classic conversation over comm.h: creates a segment, prints
 * its text once a second until a client has written AAAAA, and removes it.
 *
 * Start it, and in another terminal ./client; or both with "make run".
 */
#include "example.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "comm.h"

#define SIZE 4096
#define EXPECTED "AAAAA"
#define PATIENCE 60 /* seconds */

/*
 * Copies the text out of the segment. Another process writes there and may
 * leave out the NUL, so we stop at the segment's end.
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
 * volatile: another process changes the bytes, so the compiler must read them
 * again each time. It promises no more than that, which is enough here: each
 * letter is one byte, written once.
 */
static int converse(const volatile char *shared)
{
    char text[SIZE + 1];

    for (int second = 0; second < PATIENCE && caught_signal == 0; second++) {
        copy_text(text, shared);
        printf("server: read \"%s\"\n", text);
        /* "Begins with", not "equals": a client may have written more
         * meanwhile. */
        if (strncmp(text, EXPECTED, strlen(EXPECTED)) == 0)
            return EXIT_SUCCESS;
        sleep(1); /* a signal ends it early, and then the loop */
    }
    if (caught_signal != 0)
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

    print_line_by_line();
    catch_signals(); /* until the segment is removed */

    id = create_shm(SIZE);
    if (id < 0)
        return EXIT_FAILURE; /* create_shm has reported the error */
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

    /* Every path leads here: we remove the segment that we created. */
    if (destory_shm(id) == -1)
        return EXIT_FAILURE; /* destory_shm has reported the error */
    printf("server: removed segment %d\n", id);

    return check_output(status);
}
