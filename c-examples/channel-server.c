/* cc -o channel-server channel-server.c -I../include -L../target/release -lshmcomm -Wl,-rpath,../target/release */

/*
 * The server of the classic conversation, as it should be: it sleeps until a
 * letter arrives, answers with the text so far, and exits after five letters.
 *
 * Start it and ./channel-client in two terminals, in either order. Two arguments
 * name other channels, such as posix:/a posix:/b.
 */
#include "example.h"

#include <errno.h>

#include "shmcomm.h"

#define LETTERS "posix:/shmcomm-letters" /* from the client to the server */
#define ANSWERS "posix:/shmcomm-answers" /* from the server to the client */
#define CAPACITY 4096
#define LENGTH 5

/*
 * -1: a call waits as long as it takes, also for a client that has not started
 * yet. The wait fails with EPIPE when a client that was there has exited, and
 * with EINTR when a signal was caught.
 */
static int converse(shmc_channel *letters, shmc_channel *answers)
{
    char text[LENGTH + 1] = "";
    size_t length = 0;

    while (length < LENGTH && caught_signal == 0) {
        ssize_t received = shmc_recv(letters, text + length, LENGTH - length, -1);

        if (received == -1) {
            perror("server: shmc_recv");
            return EXIT_FAILURE;
        }
        length += (size_t)received;
        printf("server: received \"%s\"\n", text);
        if (shmc_send(answers, text, length, -1) == -1) {
            perror("server: shmc_send");
            return EXIT_FAILURE;
        }
    }
    return length == LENGTH ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Removes the channel, unless the client has done so, then closes our end of it. */
static int destroy(shmc_channel *channel, const char *name)
{
    if ((shmc_remove(name) == -1 && errno != ENOENT) || shmc_channel_close(channel) == -1) {
        perror(name);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    const char *in = argc == 3 ? argv[1] : LETTERS;
    const char *out = argc == 3 ? argv[2] : ANSWERS;
    shmc_channel *letters, *answers;
    int status = EXIT_FAILURE;

    print_line_by_line();
    catch_signals();

    /* The side that starts first creates a channel; 0600: for this user alone. */
    letters = shmc_channel_open(in, CAPACITY, SHMC_CREATE | SHMC_RECV | SHMC_INTR, 0600);
    if (letters == NULL) {
        perror(in); /* EBUSY: another server is running */
        return EXIT_FAILURE;
    }
    answers = shmc_channel_open(out, CAPACITY, SHMC_CREATE | SHMC_SEND | SHMC_INTR, 0600);
    if (answers == NULL) {
        perror(out);
    } else {
        printf("server: waits for letters\n");
        status = converse(letters, answers);
        if (destroy(answers, out) != EXIT_SUCCESS)
            status = EXIT_FAILURE;
    }
    if (destroy(letters, in) != EXIT_SUCCESS)
        status = EXIT_FAILURE;

    die_of_caught_signal();
    return check_output(status);
}
