/*
 * The conversation of server and client again, as it should be: messages, no
 * sleep, no polling. The client is killed in the middle; the server notices,
 * starts another one, and the conversation goes on where it was.
 *
 * An optional argument names the channel, as in "posix:/talk".
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

#define CAPACITY 4096
#define LETTERS 5

static volatile sig_atomic_t interrupted; /* by this signal; 0: not yet */

static void interrupt(int signal)
{
    interrupted = signal;
}

/*
 * A channel outlives its programs until somebody removes it. So a signal does
 * not end this program at once: it ends the wait (SHMC_INTR), and the program
 * cleans up.
 */
static int catch_signals(void)
{
    /* Ctrl-C, kill, the terminal closed, nobody reads our output any more */
    const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = interrupt;
    action.sa_flags = SA_RESTART; /* for printf; shmc_recv ends all the same */
    if (sigemptyset(&action.sa_mask) == -1)
        return -1;
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        if (sigaction(signals[i], &action, NULL) == -1)
            return -1;
    }
    return 0;
}

/* Sends the letters from this one on; a first client is killed after two. */
static int client(const char *name, int from)
{
    shmc_channel *channel = shmc_channel_open(name, 0, SHMC_SEND | SHMC_INTR, 0600);

    if (channel == NULL) {
        perror("client: open");
        return EXIT_FAILURE;
    }
    for (int letter = from; letter < LETTERS; letter++) {
        if (shmc_send(channel, "A", 1, -1) == -1) {
            perror("client: send");
            return EXIT_FAILURE;
        }
        printf("client: sent A, %d of %d\n", letter + 1, LETTERS);
        if (from == 0 && letter == 1) {
            printf("client: is killed\n");
            fflush(stdout);
            raise(SIGKILL);
        }
    }
    if (shmc_channel_close(channel) == -1) {
        perror("client: close");
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

/* Starts a client as a process of its own. */
static pid_t start_client(const char *name, int from)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(client(name, from));
    if (pid == -1)
        perror("server: fork");
    return pid;
}

static int server(shmc_channel *channel, const char *name, pid_t pid)
{
    char text[LETTERS + 1] = "";
    int length = 0;

    while (length < LETTERS && interrupted == 0) {
        /* No message yet? This sleeps until there is one, or a signal comes. */
        ssize_t received = shmc_recv(channel, &text[length], 1, -1);

        if (received == 1) {
            length++;
            printf("server: received \"%s\"\n", text);
        } else if (received == -1 && errno == EPIPE) {
            /* All that the dead client had sent has been received by now. */
            printf("server: the client is gone; here is another one\n");
            if (waitpid(pid, NULL, 0) == -1) {
                perror("server: waitpid");
                return EXIT_FAILURE;
            }
            pid = start_client(name, length);
            if (pid == -1)
                return EXIT_FAILURE;
        } else if (errno != EINTR) {
            perror("server: recv");
            return EXIT_FAILURE;
        }
    }
    if (interrupted != 0)
        kill(pid, SIGTERM); /* the client may have been told as well, or not */
    if (waitpid(pid, NULL, 0) == -1) {
        perror("server: waitpid");
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    char own[64];
    const char *name = own;
    shmc_channel *channel;
    pid_t pid;
    int status = EXIT_FAILURE;

    if (setvbuf(stdout, NULL, _IOLBF, BUFSIZ) != 0 || catch_signals() == -1) {
        fprintf(stderr, "channel: cannot set up output and signals\n");
        return EXIT_FAILURE;
    }
    if (argc > 1)
        name = argv[1];
    else
        snprintf(own, sizeof own, "posix:/channel-%ld", (long)getpid());

    channel = shmc_channel_open(name, CAPACITY, SHMC_CREATE | SHMC_RECV | SHMC_INTR, 0600);
    if (channel == NULL) {
        perror("server: open");
        return EXIT_FAILURE;
    }
    pid = start_client(name, 0);
    if (pid != -1)
        status = server(channel, name, pid);
    if (shmc_channel_close(channel) == -1) {
        perror("server: close");
        status = EXIT_FAILURE;
    }
    if (shmc_remove(name) == -1) {
        perror("server: remove");
        status = EXIT_FAILURE;
    }

    /* The shell is to see that a signal has ended the program. */
    if (interrupted != 0) {
        signal(interrupted, SIG_DFL);
        raise(interrupted);
    }
    return ferror(stdout) ? EXIT_FAILURE : status;
}
