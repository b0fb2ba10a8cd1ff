/*
 * Two processes take turns on a shared buffer: who wants to use it waits for
 * the semaphore (P) and gives it back after (V). One of them is killed while it
 * has the semaphore; the kernel gives back what it had, and the other goes on.
 *
 * An optional argument names the semaphore, as in "sysv:/tmp#7".
 */
#define _XOPEN_SOURCE 700

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shmcomm.h"

#define SIZE 256

static volatile sig_atomic_t interrupted; /* by this signal; 0: not yet */

static void interrupt(int signal)
{
    interrupted = signal;
}

/*
 * A semaphore outlives its programs until somebody removes it. So a signal does not end this program
 * at once: it ends the wait (SHMC_INTR), and the program cleans up.
 */
static int catch_signals(void)
{
    /* Ctrl-C, kill, the terminal closed, nobody reads our output any more */
    const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = interrupt;
    action.sa_flags = SA_RESTART; /* for printf; shmc_sem_wait ends all the same */
    if (sigemptyset(&action.sa_mask) == -1)
        return -1;
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        if (sigaction(signals[i], &action, NULL) == -1)
            return -1;
    }
    return 0;
}

/*
 * P: wait until the buffer is ours. A signal that comes after the first line here and before the wait
 * does not end it; but the other process gives the semaphore back soon, or dies.
 */
static int take(shmc_sem *semaphore, const char *who)
{
    if (interrupted == 0 && shmc_sem_wait(semaphore, -1) == 0)
        return 0;
    if (interrupted != 0)
        fprintf(stderr, "%s: stops, because of signal %d\n", who, (int)interrupted);
    else
        perror(who);
    return -1;
}

/* V: the next one may have it. */
static int give(shmc_sem *semaphore, const char *who)
{
    if (shmc_sem_post(semaphore) == -1) {
        perror(who);
        return -1;
    }
    return 0;
}

/* Each changes the buffer in a way that would go wrong if the other did so too. */
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
    /* Also after a failure: the semaphore stays until the child has ended. */
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

    if (setvbuf(stdout, NULL, _IOLBF, BUFSIZ) != 0 || catch_signals() == -1) {
        fprintf(stderr, "semaphore: cannot set up output and signals\n");
        return EXIT_FAILURE;
    }
    segment = shmc_segment_open("anon:", SIZE, SHMC_CREATE, 0600);
    if (segment == NULL) {
        perror("anon:");
        return EXIT_FAILURE;
    }
    semaphore = shmc_sem_open(name, 1, SHMC_CREATE | SHMC_EXCL | SHMC_INTR, 0600);
    if (semaphore == NULL) {
        perror(name);
        if (errno == EEXIST)
            fprintf(stderr, "semaphore: somebody uses it, or left it: see \"ipcs -s\"\n");
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

    /* The shell is to see that a signal has ended the program. */
    if (interrupted != 0) {
        signal(interrupted, SIG_DFL);
        raise(interrupted);
    }
    return ferror(stdout) ? EXIT_FAILURE : status;
}
