/*
 * Writes a text to a System V segment and leaves. The segment stays: who comes
 * later, such as ./reader, finds the text there.
 *
 * ./writer NAME uses the segment of another name, such as sysv:0x1234.
 */
#define _XOPEN_SOURCE 700 /* sigprocmask under -std=c11 too */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shmcomm.h"

/* The key is ftok("../", 2015). Of the number, ftok takes the low 8 bits. */
#define NAME "sysv:../#2015"
#define SIZE 512
#define TEXT "how are you"

/*
 * A signal must not end this program when the segment is made and the text not
 * yet in it: it is held back until all is done. That is soon, for we wait for
 * nothing meanwhile.
 */
static int hold_signals(sigset_t *before)
{
    /* Ctrl-C, kill, the terminal closed, nobody reads our output any more */
    const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
    sigset_t held;

    if (sigemptyset(&held) == -1)
        return -1;
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        if (sigaddset(&held, signals[i]) == -1)
            return -1;
    }
    return sigprocmask(SIG_BLOCK, &held, before);
}

int main(int argc, char *argv[])
{
    const char *name = argc > 1 ? argv[1] : NAME;
    sigset_t before;
    shmc_segment *segment;
    int status = EXIT_SUCCESS;

    /* Line by line also into a pipe, so that we can be followed. */
    if (setvbuf(stdout, NULL, _IOLBF, BUFSIZ) != 0 || hold_signals(&before) == -1) {
        fprintf(stderr, "writer: cannot set up output and signals\n");
        return EXIT_FAILURE;
    }

    /*
     * SHMC_EXCL: only a new segment will do, so that we do not write over what
     * somebody else keeps there. 0600: for this user alone.
     */
    segment = shmc_segment_open(name, SIZE, SHMC_CREATE | SHMC_EXCL, 0600);
    if (segment == NULL) {
        int error = errno; /* fprintf may change it */
        fprintf(stderr, "writer: %s: %s\n", name, strerror(error));
        if (error == EEXIST)
            fprintf(stderr, "writer: if it is from an earlier run, ./reader reads and removes it\n");
        return EXIT_FAILURE;
    }
    printf("writer: made %s, %zu bytes\n", name, shmc_segment_size(segment));

    memcpy(shmc_segment_addr(segment), TEXT, sizeof TEXT); /* with its NUL */
    printf("writer: wrote \"%s\"\n", TEXT);

    if (shmc_segment_close(segment) == -1) {
        perror("writer: shmc_segment_close");
        status = EXIT_FAILURE;
    }
    printf("writer: detached; the segment stays for a reader\n");

    /* If not all that we printed arrived, we have failed, and leave nothing. */
    if (ferror(stdout))
        status = EXIT_FAILURE;
    if (status == EXIT_FAILURE && shmc_remove(name) == -1)
        perror("writer: shmc_remove");

    /* A signal that came meanwhile ends the program here. */
    if (sigprocmask(SIG_SETMASK, &before, NULL) == -1) {
        perror("writer: sigprocmask");
        return EXIT_FAILURE;
    }
    return status;
}
