/* cc -o removal removal.c -I../include -L../target/release -lshmcomm -Wl,-rpath,../target/release */

/*
 * Removes a System V segment while it is attached: no process finds it
 * afterwards, attached processes keep it, and the last detach frees it.
 *
 * ./removal NAME uses the segment of another name, such as sysv:0x1234.
 */
#include "example.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/shm.h>

#include "shmcomm.h"

#define NAME "sysv:../#2016" /* the key is ftok("../", 2016) */
#define SIZE 4096

/* This function and the next ones return 0, or -1 after reporting the error. */
static int show(const char *when, const shmc_segment *segment, shmc_segment_info *info)
{
    if (shmc_segment_stat(segment, info) == -1) { /* shmctl(IPC_STAT) */
        perror("removal: shmc_segment_stat");
        return -1;
    }
    printf("removal: %s: key 0x%lx, attached %lld, removed %d\n", when,
           (unsigned long)(unsigned)info->key, (long long)info->attached, info->removed);
    return 0;
}

/* Shows that no process finds the segment: neither its name nor its key. */
static int look_for_it(const char *name, key_t key)
{
    shmc_segment *other = shmc_segment_open(name, 0, 0, 0);

    if (other != NULL) {
        fprintf(stderr, "removal: another program has created a segment of that name\n");
        if (shmc_segment_close(other) == -1)
            perror("removal: shmc_segment_close");
        return -1;
    }
    printf("removal: opening %s again: %s\n", name, strerror(errno));

    if (shmget(key, 0, 0) != -1) {
        fprintf(stderr, "removal: another program has created a segment of that key\n");
        return -1;
    }
    printf("removal: shmget of the key it had: %s\n", strerror(errno));
    return 0;
}

static void use_it(char *shared)
{
    const char text[] = "still here";

    memcpy(shared, text, sizeof text);
    printf("removal: wrote to it and read \"%.*s\"\n", SIZE, shared);
}

static int check_that_it_is_gone(int id)
{
    struct shmid_ds info;

    if (shmctl(id, IPC_STAT, &info) != -1) {
        fprintf(stderr, "removal: segment %d is still there\n", id);
        return -1;
    }
    printf("removal: shmctl of the id it had: %s\n", strerror(errno));
    return 0;
}

int main(int argc, char *argv[])
{
    const char *name = argc > 1 ? argv[1] : NAME;
    shmc_segment *segment;
    shmc_segment_info info, then;
    int status = EXIT_SUCCESS;

    print_line_by_line();
    hold_signals(); /* until the segment is removed */

    /* SHMC_EXCL: an existing segment is not ours to remove. */
    segment = shmc_segment_open(name, SIZE, SHMC_CREATE | SHMC_EXCL, 0600);
    if (segment == NULL) {
        int error = errno; /* fprintf may change it */
        fprintf(stderr, "removal: %s: %s\n", name, strerror(error));
        return EXIT_FAILURE;
    }
    if (show("at first", segment, &info) == -1)
        status = EXIT_FAILURE;

    if (shmc_remove(name) == -1) { /* shmctl(IPC_RMID) */
        perror("removal: shmc_remove");
        return EXIT_FAILURE;
    }

    if (status == EXIT_SUCCESS) {
        if (show("after removal", segment, &then) == -1 || look_for_it(name, info.key) == -1)
            status = EXIT_FAILURE;
        use_it(shmc_segment_addr(segment));
    }

    /* shmdt: ours is the last attachment, so this frees the segment */
    if (shmc_segment_close(segment) == -1) {
        perror("removal: shmc_segment_close");
        status = EXIT_FAILURE;
    }
    if (status == EXIT_SUCCESS) {
        printf("removal: detached\n");
        if (check_that_it_is_gone(info.id) == -1)
            status = EXIT_FAILURE;
    }

    release_signals(); /* one that arrived meanwhile ends the program here */
    return check_output(status);
}
