/* cc -o posix posix.c -I../include -L../target/release -lshmcomm -Wl,-rpath,../target/release */

/*
 * A POSIX object, shared by a parent and its child: create, size, map; the
 * child writes, the parent waits for it and reads; sync, unmap, unlink.
 *
 * An object has a name as a file has, and on Linux it is one: a file under
 * /dev/shm, in memory. It outlives its processes, but not the machine's
 * restart; mapped-file.c does the same with a file on disk.
 *
 * ./posix NAME uses another name than its own, such as posix:/mine.
 */
#include "example.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shmcomm.h"

#define KIND "posix:/"
#define NAME_LENGTH 300 /* more than any such name has */
#define SIZE 4096
#define TEXT "hello from the child"

/* Shows the object as all programs can see it. */
static void look_for(const char *path)
{
    struct stat file;

    if (stat(path, &file) == -1)
        printf("posix: %s is not there\n", path);
    else
        printf("posix: %s is there, %lld bytes\n", path, (long long)file.st_size);
}

/* Runs in the child. Returns its exit status. */
static int write_text(shmc_segment *segment)
{
    memcpy(shmc_segment_addr(segment), TEXT, sizeof TEXT); /* with its NUL */
    printf("posix: child wrote \"%s\"\n", TEXT);
    /* Unmaps it in the child alone; the parent still has it. */
    if (shmc_segment_close(segment) == -1) {
        perror("posix: shmc_segment_close in the child");
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
        perror("posix: fork");
        return -1;
    }
    if (child == 0)
        _exit(write_text(segment)); /* the parent does the rest */

    /* After the child has exited, the parent can read all that it wrote. */
    if (waitpid(child, &status, 0) == -1) {
        perror("posix: waitpid");
        return -1;
    }
    if (status != 0) {
        fprintf(stderr, "posix: the child has failed\n");
        return -1;
    }
    printf("posix: parent read \"%.*s\"\n", SIZE, (const char *)shmc_segment_addr(segment));
    return 0;
}

int main(int argc, char *argv[])
{
    char own_name[NAME_LENGTH];
    char path[NAME_LENGTH];
    const char *name = own_name;
    shmc_segment *segment;
    int status = EXIT_SUCCESS;

    print_line_by_line();
    hold_signals(); /* until the object is removed */

    /* Our own name contains our process id, so no other process uses it. */
    snprintf(own_name, sizeof own_name, KIND "shmcomm-tour-%ld", (long)getpid());
    if (argc > 1)
        name = argv[1];
    if (strncmp(name, KIND, strlen(KIND)) != 0) {
        fprintf(stderr, "posix: a name starts with " KIND "\n");
        return EXIT_FAILURE;
    }

    /*
     * By hand: shm_open, ftruncate, mmap, close. Here the object has its size
     * before it has its name, so that no process finds half of one. SHMC_EXCL:
     * fails if the object exists. 0600: for this user alone.
     */
    segment = shmc_segment_open(name, SIZE, SHMC_CREATE | SHMC_EXCL, 0600);
    if (segment == NULL) {
        perror("posix: shmc_segment_open");
        return EXIT_FAILURE;
    }
    printf("posix: made and mapped %s, %zu bytes\n", name, shmc_segment_size(segment));
    snprintf(path, sizeof path, "/dev/shm/%s", name + strlen(KIND));
    look_for(path);

    if (let_child_write(segment) == -1)
        status = EXIT_FAILURE;

    if (shmc_segment_sync(segment) == -1) { /* msync */
        perror("posix: shmc_segment_sync");
        status = EXIT_FAILURE;
    } else {
        printf("posix: synced, which changes nothing: there is no disk behind it\n");
    }

    if (shmc_segment_close(segment) == -1) { /* munmap */
        perror("posix: shmc_segment_close");
        status = EXIT_FAILURE;
    }
    printf("posix: unmapped; the object stays until it is removed\n");
    look_for(path);

    if (shmc_remove(name) == -1) { /* shm_unlink */
        perror("posix: shmc_remove");
        status = EXIT_FAILURE;
    } else {
        printf("posix: removed %s\n", name);
    }
    look_for(path);

    release_signals(); /* one that arrived meanwhile ends the program here */
    return check_output(status);
}
