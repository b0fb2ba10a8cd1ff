/*
 * Reads the text that ./writer has left in a System V segment, and removes the
 * segment; shows by "ipcs -m" which segments there are before and after.
 *
 * ./reader NAME uses the segment of another name, such as sysv:0x1234.
 */
#define _XOPEN_SOURCE 700 /* sigprocmask under -std=c11 too */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "shmcomm.h"

/* As in writer.c: both must make the same key. */
#define NAME "sysv:../#2015"

/*
 * A signal must not end this program before the segment is removed: it is held
 * back until then. That is soon, for we wait only for ipcs, which is quick.
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

/* Runs "ipcs -m". It is here to look at; without it we go on. */
static void show_segments(const char *when)
{
    int status;

    printf("reader: the segments %s, as ipcs -m shows them:\n", when);
    status = system("ipcs -m");
    if (status == -1)
        perror("reader: system");
    else if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        fprintf(stderr, "reader: cannot show them: the program ipcs is missing"
                        " (util-linux has it)\n");
    else if (status != 0)
        fprintf(stderr, "reader: cannot show them: ipcs has failed\n");
}

int main(int argc, char *argv[])
{
    const char *name = argc > 1 ? argv[1] : NAME;
    sigset_t before;
    shmc_segment *segment;
    int status = EXIT_SUCCESS;

    /* Line by line also into a pipe, so that we can be followed. */
    if (setvbuf(stdout, NULL, _IOLBF, BUFSIZ) != 0 || hold_signals(&before) == -1) {
        fprintf(stderr, "reader: cannot set up output and signals\n");
        return EXIT_FAILURE;
    }

    /* No SHMC_CREATE: there must be one. Size 0: we take it as large as it is. */
    segment = shmc_segment_open(name, 0, SHMC_RDONLY, 0);
    if (segment == NULL) {
        int error = errno; /* fprintf may change it */
        fprintf(stderr, "reader: %s: %s\n", name, strerror(error));
        if (error == ENOENT)
            fprintf(stderr, "reader: nobody has written yet: run ./writer first\n");
        return EXIT_FAILURE;
    }

    show_segments("before");

    /* Another program wrote it: if it left out the NUL, we stop at the end. */
    printf("reader: read \"%.*s\"\n", (int)shmc_segment_size(segment),
           (const char *)shmc_segment_addr(segment));

    if (shmc_segment_close(segment) == -1) {
        perror("reader: shmc_segment_close");
        status = EXIT_FAILURE;
    }
    if (shmc_remove(name) == -1) {
        perror("reader: shmc_remove");
        status = EXIT_FAILURE;
    } else {
        printf("reader: detached and removed %s\n", name);
    }

    show_segments("after");

    /* A signal that came meanwhile ends the program here. */
    if (sigprocmask(SIG_SETMASK, &before, NULL) == -1) {
        perror("reader: sigprocmask");
        return EXIT_FAILURE;
    }

    /* Did all that we printed arrive? */
    return ferror(stdout) ? EXIT_FAILURE : status;
}
