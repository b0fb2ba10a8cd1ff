/* cc -o semaphore semaphore.c -I../include -L../target/release -lshmcomm -Wl,-rpath,../target/release */

/*
 * Two processes take turns on a shared buffer: each waits for the semaphore
 * before it uses the buffer (P) and posts it afterwards (V). One of them is
 * killed while it has the semaphore. The kernel then returns the semaphore, and
 * the other process goes on.
 *
 * An optional argument names the semaphore, as in "sysv:/tmp#7".
 */
#include "example.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shmcomm.h"

#define SIZE 256

/* P: waits until the buffer is ours. A signal ends the wait with EINTR. */
static int take(shmc_sem *semaphore, const char *who)
{
    if (caught_signal == 0 && shmc_sem_wait(semaphore, -1) == 0)
        return 0;
    if (caught_signal != 0)
        fprintf(stderr, "%s: stops, because of signal %d\n", who, (int)caught_signal);
    else
        perror(who);
    return -1;
}

/* V: gives the buffer to the other process. */
static int give(shmc_sem *semaphore, const char *who)
{
    if (shmc_sem_post(semaphore) == -1) {
        perror(who);
        return -1;
    }
    return 0;
}

/* Appends a letter. This would go wrong if both processes did it at once. */
static int append(shmc_sem *semaphore, char *buffer, const char *who, char letter)
{
    if (take(semaphore, who) == -1)
        return -1;
    size_t end = strlen(buffer);
    if (end + 1 < SIZE) {
        buffer[end] = letter;
        buffer[end + 1] = '\0';
    }
    printf("%s: wrote %c, the buffer is \"%s\"\n", who, letter, buffer);
    return give(semaphore, who);
}

static int child(shmc_sem *semaphore, char *buffer)
{
    for (int i = 0; i < 3; i++) {
        if (append(semaphore, buffer, "child", 'c') == -1)
            return EXIT_FAILURE;
    }
    if (take(semaphore, "child") == -1)
        return EXIT_FAILURE;
    printf("child: has the semaphore, and is killed\n");
    fflush(stdout);
    raise(SIGKILL);
    return EXIT_FAILURE; /* not reached */
}

static int parent(shmc_sem *semaphore, char *buffer, pid_t other)
{
    int failed = 0;
    int status;

    for (int i = 0; i < 3 && !failed; i++)
        failed = append(semaphore, buffer, "parent", 'p') == -1;
    /* Also after a failure: the semaphore must exist until the child exits. */
    if (waitpid(other, &status, 0) == -1) {
        perror("parent: waitpid");
        return EXIT_FAILURE;
    }
    if (failed)
        return EXIT_FAILURE;
    if (!WIFSIGNALED(status)) {
        fprintf(stderr, "parent: the child has not been killed\n");
        return EXIT_FAILURE;
    }
    printf("parent: the child was killed; the semaphore is %d again\n", shmc_sem_value(semaphore));
    return append(semaphore, buffer, "parent", 'P') == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "sysv:.#83";
    shmc_segment *segment;
    shmc_sem *semaphore;
    pid_t other;
    int status;

    print_line_by_line();
    catch_signals();

    segment = shmc_segment_open("anon:", SIZE, SHMC_CREATE, 0600);
    if (segment == NULL) {
        perror("anon:");
        return EXIT_FAILURE;
    }
    semaphore = shmc_sem_open(name, 1, SHMC_CREATE | SHMC_EXCL | SHMC_INTR, 0600);
    if (semaphore == NULL) {
        if (errno == EEXIST)
            fprintf(stderr, "%s: it is in use or stale: see \"ipcs -s\"\n", name);
        else
            perror(name);
        shmc_segment_close(segment);
        return EXIT_FAILURE;
    }

    other = fork();
    if (other == 0)
        return child(semaphore, shmc_segment_addr(segment));
    if (other == -1) {
        perror("fork");
        status = EXIT_FAILURE;
    } else {
        status = parent(semaphore, shmc_segment_addr(segment), other);
    }

    if (shmc_sem_remove(name) == -1) {
        perror(name);
        status = EXIT_FAILURE;
    }
    if (shmc_sem_close(semaphore) == -1 || shmc_segment_close(segment) == -1) {
        perror("close");
        status = EXIT_FAILURE;
    }

    die_of_caught_signal();
    return check_output(status);
}
