/* cc -o status status.c -I../include -L../target/release -lshmcomm -Wl,-rpath,../target/release */

/*
 * Shows the status of a System V segment before and after each change: other
 * permissions, locked in memory, attached for reading only.
 */
#include "example.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shmcomm.h"

#define SIZE 4096
#define TEXT "hello"

/* This function and the next ones return 0, or -1 after reporting the error. */
static int show(const char *when, const shmc_segment *segment)
{
    shmc_segment_info info;

    if (shmc_segment_stat(segment, &info) == -1) { /* shmctl(IPC_STAT) */
        perror("status: shmc_segment_stat");
        return -1;
    }
    printf("status: %s: mode %03o, locked %d, attached %lld\n", when, (unsigned)info.mode,
           info.locked, (long long)info.attached);
    return 0;
}

static int change_mode(shmc_segment *segment)
{
    if (shmc_segment_chmod(segment, 0640) == -1) { /* shmctl(IPC_SET) */
        perror("status: shmc_segment_chmod");
        return -1;
    }
    return show("after chmod 640", segment);
}

static int lock_and_unlock(shmc_segment *segment)
{
    if (shmc_segment_lock(segment) == -1) { /* shmctl(SHM_LOCK) */
        int error = errno; /* printf may change it */
        if (error != ENOMEM && error != EPERM) {
            perror("status: shmc_segment_lock");
            return -1;
        }
        /* Other programs cannot use locked memory, so the system limits it. */
        printf("status: cannot lock: %s; \"ulimit -l\" tells how many KiB a user may\n",
               strerror(error));
        return show("after the lock that failed", segment);
    }
    if (show("after lock", segment) == -1)
        return -1;
    if (shmc_segment_unlock(segment) == -1) { /* shmctl(SHM_UNLOCK) */
        perror("status: shmc_segment_unlock");
        return -1;
    }
    return show("after unlock", segment);
}

/* A write to memory attached for reading only kills the process, so a child
 * writes. */
static int let_child_write(volatile char *shared)
{
    const struct rlimit none = {0, 0};
    int status;
    pid_t child = fork();

    if (child == -1) {
        perror("status: fork");
        return -1;
    }
    if (child == 0) {
        if (setrlimit(RLIMIT_CORE, &none) == -1) /* no file named core */
            _exit(EXIT_FAILURE);
        *shared = 'X'; /* volatile: the compiler must not leave it out */
        _exit(EXIT_SUCCESS);
    }
    if (waitpid(child, &status, 0) == -1) {
        perror("status: waitpid");
        return -1;
    }
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSEGV) {
        fprintf(stderr, "status: a child wrote to it and was not killed by SIGSEGV\n");
        return -1;
    }
    printf("status: a child wrote to it and was killed by SIGSEGV\n");
    return 0;
}

/* Attaches the segment once more in this process, for reading:
 * shmat(SHM_RDONLY). */
static int attach_for_reading(const char *name, shmc_segment *segment)
{
    const char *shared;
    int result = -1;
    shmc_segment *reading = shmc_segment_open(name, 0, SHMC_RDONLY, 0);

    if (reading == NULL) {
        perror("status: shmc_segment_open for reading");
        return -1;
    }
    shared = shmc_segment_addr(reading);
    memcpy(shmc_segment_addr(segment), TEXT, sizeof TEXT); /* with its NUL */
    if (show("attached for reading too", segment) == 0) {
        printf("status: read \"%.*s\" there\n", SIZE, shared);
        result = let_child_write(shmc_segment_addr(reading));
        printf("status: read \"%.*s\" there\n", SIZE, shared);
    }
    if (shmc_segment_close(reading) == -1) {
        perror("status: shmc_segment_close");
        return -1;
    }
    return result == -1 ? -1 : show("detached from it", segment);
}

int main(void)
{
    char name[32];
    shmc_segment *segment;
    shmc_segment_info info;
    int status = EXIT_FAILURE;

    print_line_by_line();
    hold_signals(); /* until the segment is removed */

    segment = shmc_segment_open("sysv:private", SIZE, SHMC_CREATE, 0600);
    if (segment == NULL) {
        perror("status: shmc_segment_open");
        return EXIT_FAILURE;
    }
    if (shmc_segment_stat(segment, &info) == -1) {
        perror("status: shmc_segment_stat");
        return EXIT_FAILURE;
    }
    printf("status: made segment %d, %zu bytes; process %ld of user %ld is its creator\n", info.id,
           info.size, (long)info.creator_pid, (long)info.uid);
    snprintf(name, sizeof name, "sysv:id:%d", info.id); /* it has no key */

    if (show("at first", segment) == 0 && change_mode(segment) == 0 &&
        lock_and_unlock(segment) == 0 && attach_for_reading(name, segment) == 0)
        status = EXIT_SUCCESS;

    if (shmc_segment_close(segment) == -1) {
        perror("status: shmc_segment_close");
        status = EXIT_FAILURE;
    }
    if (shmc_remove(name) == -1) {
        perror("status: shmc_remove");
        status = EXIT_FAILURE;
    } else {
        printf("status: removed segment %d\n", info.id);
    }

    release_signals(); /* one that arrived meanwhile ends the program here */
    return check_output(status);
}
