/* cc -o channel-client channel-client.c -I../include -L../target/release -lshmcomm -Wl,-rpath,../target/release */

/*
 * The client of the classic conversation, as it should be: it sends a letter,
 * sleeps until the answer arrives, and exits after five of them.
 *
 * Start it and ./channel-server in two terminals, in either order. Two arguments
 * name other channels, such as posix:/a posix:/b.
 */
#include "example.h"

#include <errno.h>

#include "shmcomm.h"

/* Same as in channel-server.c. */
#define LETTERS "posix:/shmcomm-letters" /* from the client to the server */
#define ANSWERS "posix:/shmcomm-answers" /* from the server to the client */
#define CAPACITY 4096
#define LENGTH 5

/* The calls wait, and channel-server.c says when a wait ends. */
static int converse(shmc_channel *letters, shmc_channel *answers)
{
    char text[LENGTH];

    for (int letter = 1; letter <= LENGTH; letter++) {
        ssize_t received;

        if (caught_signal != 0)
            return EXIT_FAILURE;
        if (shmc_send(letters, "A", 1, -1) == -1) {
            perror("client: shmc_send");
            return EXIT_FAILURE;
        }
        printf("client: sent A, %d of %d\n", letter, LENGTH);
        received = shmc_recv(answers, text, sizeof text, -1);
        if (received == -1) {
            perror("client: shmc_recv");
            return EXIT_FAILURE;
        }
        printf("client: the server has \"%.*s\"\n", (int)received, text);
    }
    return EXIT_SUCCESS;
}

/*
 * Closes our end of the channel. The server removes the channel. After a
 * failure we do, because there may be no server.
 */
static int leave(shmc_channel *channel, const char *name, int status)
{
    if ((status != EXIT_SUCCESS && shmc_remove(name) == -1 && errno != ENOENT) ||
        shmc_channel_close(channel) == -1) {
        perror(name);
        return EXIT_FAILURE;
    }
    return status;
}

int main(int argc, char **argv)
{
    const char *out = argc == 3 ? argv[1] : LETTERS;
    const char *in = argc == 3 ? argv[2] : ANSWERS;
    shmc_channel *letters, *answers;
    int status = EXIT_FAILURE;

    print_line_by_line();
    catch_signals();

    letters = shmc_channel_open(out, CAPACITY, SHMC_CREATE | SHMC_SEND | SHMC_INTR, 0600);
    if (letters == NULL) {
        perror(out); /* EBUSY: another client is running */
        return EXIT_FAILURE;
    }
    answers = shmc_channel_open(in, CAPACITY, SHMC_CREATE | SHMC_RECV | SHMC_INTR, 0600);
    if (answers == NULL) {
        perror(in);
    } else {
        status = converse(letters, answers);
        status = leave(answers, in, status);
    }
    status = leave(letters, out, status);

    die_of_caught_signal();
    return check_output(status);
}
