/* cc -o mapped-file mapped-file.c -I../include -L../target/release -lshmcomm -Wl,-rpath,../target/release */

/*
 * A mapped file, shared by a parent and its child: same as posix.c, but the
 * memory is a file on disk.
 *
 * Why the two differ: a POSIX object's bytes are in memory alone. A restart
 * of the machine loses them, and no call waits for a disk. A file's bytes
 * also go to the disk, at some time or, by sync, now. They are there after a
 * restart, and any program can read them as it reads other files.
 *
 * ./mapped-file PATH uses another file than its own, which must not exist yet.
 */
#include "example.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shmcomm.h"

#define KIND "file:"
#define NAME_LENGTH 4096
#define SIZE 4096
#define TEXT "hello from the child"

/* Runs in the child. Returns its exit status. */
static int write_text(shmc_segment *segment)
{
    memcpy(shmc_segment_addr(segment), TEXT, sizeof TEXT); /* with its NUL */
    printf("mapped-file: child wrote \"%s\"\n", TEXT);
    /* Unmaps it in the child alone; the parent still has it. */
    if (shmc_segment_close(segment) == -1) {
        perror("mapped-file: shmc_segment_close in the child");
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

/* Lets a child write, and reads its text. Returns 0, or -1 after reporting
 * the error. */
static int let_child_write(shmc_segment *segment)
{
    int status;
    pid_t child = fork();

    if (child == -1) {
        perror("mapped-file: fork");
        return -1;
    }
    if (child == 0)
        _exit(write_text(segment)); /* the parent does the rest */

    /* After the child has exited, the parent can read all that it wrote. */
    if (waitpid(child, &status, 0) == -1) {
        perror("mapped-file: waitpid");
        return -1;
    }
    if (status != 0) {
        fprintf(stderr, "mapped-file: the child has failed\n");
        return -1;
    }
    printf("mapped-file: parent read \"%.*s\"\n", SIZE, (const char *)shmc_segment_addr(segment));
    return 0;
}

/* Reads the text as any program can. Returns 0, or -1 after reporting the
 * error. */
static int read_file(const char *path)
{
    char text[sizeof TEXT];
    size_t count;
    FILE *file = fopen(path, "rb");

    if (file == NULL) {
        perror("mapped-file: fopen");
        return -1;
    }
    count = fread(text, 1, sizeof text, file);
    if (fclose(file) == EOF) {
        perror("mapped-file: fclose");
        return -1;
    }
    if (count != sizeof text) {
        fprintf(stderr, "mapped-file: the file is too short\n");
        return -1;
    }
    printf("mapped-file: fread got \"%.*s\" from the file\n", (int)sizeof text, text);
    return 0;
}

int main(int argc, char *argv[])
{
    char name[NAME_LENGTH];
    const char *path = name + strlen(KIND);
    shmc_segment *segment;
    int length;
    int status = EXIT_SUCCESS;

    print_line_by_line();
    hold_signals(); /* until the file is removed */

    if (argc > 1)
        length = snprintf(name, sizeof name, KIND "%s", argv[1]);
    else /* contains our process id, so no other process uses it */
        length = snprintf(name, sizeof name, KIND "mapped-file-%ld.data", (long)getpid());
    if (length < 0 || (size_t)length >= sizeof name) {
        fprintf(stderr, "mapped-file: the path is too long\n");
        return EXIT_FAILURE;
    }

    /*
     * By hand: open, posix_fallocate, mmap, close. Here the file has its size
     * before it has its name, so that no process finds half of one. SHMC_EXCL:
     * fails if the file exists. 0600: for this user alone.
     */
    segment = shmc_segment_open(name, SIZE, SHMC_CREATE | SHMC_EXCL, 0600);
    if (segment == NULL) {
        perror("mapped-file: shmc_segment_open");
        return EXIT_FAILURE;
    }
    printf("mapped-file: made and mapped %s, %zu bytes\n", path, shmc_segment_size(segment));

    if (let_child_write(segment) == -1)
        status = EXIT_FAILURE;

    if (shmc_segment_sync(segment) == -1) { /* msync */
        perror("mapped-file: shmc_segment_sync");
        status = EXIT_FAILURE;
    } else {
        printf("mapped-file: synced: now the disk has it too\n");
    }

    if (shmc_segment_close(segment) == -1) { /* munmap */
        perror("mapped-file: shmc_segment_close");
        status = EXIT_FAILURE;
    }
    printf("mapped-file: unmapped; the file keeps the data\n");
    if (read_file(path) == -1)
        status = EXIT_FAILURE;

    if (shmc_remove(name) == -1) { /* unlink */
        perror("mapped-file: shmc_remove");
        status = EXIT_FAILURE;
    } else {
        printf("mapped-file: removed %s\n", path);
    }

    release_signals(); /* one that arrived meanwhile ends the program here */
    return check_output(status);
}
