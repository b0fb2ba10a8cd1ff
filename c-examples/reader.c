/* cc -o reader reader.c -I../include -L../target/release -lshmcomm -Wl,-rpath,../target/release */

/*
 * Reads the text that ./writer has left in a System V segment, and removes the
 * segment; shows with "ipcs -m" which segments there are before and after.
 *
 * ./reader NAME uses the segment of another name, such as sysv:0x1234.
 */
#include "example.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "shmcomm.h"

/* Same as in writer.c: both must use the same key. */
#define NAME "sysv:../#2015"

/* Runs "ipcs -m", for the reader's eyes. If it fails, the program goes on. */
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
    shmc_segment *segment;
    int status = EXIT_SUCCESS;

    print_line_by_line();
    hold_signals(); /* until the segment is removed */

    /* No SHMC_CREATE: the segment must exist. Size 0: any size will do. */
    segment = shmc_segment_open(name, 0, SHMC_RDONLY, 0);
    if (segment == NULL) {
        int error = errno; /* fprintf may change it */
        fprintf(stderr, "reader: %s: %s\n", name, strerror(error));
        if (error == ENOENT)
            fprintf(stderr, "reader: nobody has written yet: run ./writer first\n");
        return EXIT_FAILURE;
    }

    show_segments("before");

    /* Another program wrote the text: without a NUL we stop at the segment's
     * end. */
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

    release_signals(); /* one that arrived meanwhile ends the program here */
    return check_output(status);
}
