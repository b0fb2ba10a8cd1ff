/* cc -o writer writer.c -I../include -L../target/release -lshmcomm -Wl,-rpath,../target/release */

/*
 * Writes a text to a System V segment and exits. The segment stays: a later
 * process, such as ./reader, finds the text there.
 *
 * ./writer NAME uses the segment of another name, such as sysv:0x1234.
 */
#include "example.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shmcomm.h"

/* The key is ftok("../", 2015). ftok uses the low 8 bits of the number. */
#define NAME "sysv:../#2015"
#define SIZE 512
#define TEXT "how are you"

int main(int argc, char *argv[])
{
    const char *name = argc > 1 ? argv[1] : NAME;
    shmc_segment *segment;
    int status = EXIT_SUCCESS;

    print_line_by_line();
    hold_signals(); /* until the text is in the segment */

    /*
     * SHMC_EXCL: only a new segment will do, so that we do not overwrite
     * another program's data. 0600: for this user alone.
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

    /* Lost output is a failure, and a failure leaves no segment. */
    status = check_output(status);
    if (status == EXIT_FAILURE && shmc_remove(name) == -1)
        perror("writer: shmc_remove");

    release_signals(); /* one that arrived meanwhile ends the program here */
    return status;
}
