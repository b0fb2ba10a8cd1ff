/* cc -o channel-killed channel-killed.c -I../include -L../target/release -lshmcomm -Wl,-rpath,../target/release */

/*
 * A client is killed in the middle of a conversation. The server notices it,
 * starts another client, and the conversation goes on where it was.
 *
 * ./channel-killed NAME uses another name than its own, such as posix:/talk.
 */
#include "example.h"

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shmcomm.h"

#define CAPACITY 4096
#define LETTERS 5

/* Sends the letters from this one on; the first client is killed after two. */
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

/* Starts a client in its own process. */
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

    while (length < LETTERS && caught_signal == 0) {
        /* Without a message this sleeps until there is one, or a signal is
         * caught. */
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
    if (caught_signal != 0)
        kill(pid, SIGTERM); /* Ctrl-C reaches the client too, kill does not */
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

    print_line_by_line();
    catch_signals();

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

    die_of_caught_signal();
    return check_output(status);
}
