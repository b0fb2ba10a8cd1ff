/* cc -o channel-poll channel-poll.c -I../include -L../target/release -lshmcomm -Wl,-rpath,../target/release */

/*
 * One loop waits for two things at once: lines that you type, and messages of
 * another process. poll(2) sleeps until one of them is there. A program that has
 * a loop already (epoll, GLib, libuv, asyncio) adds a channel's descriptor to it
 * in the same way.
 *
 * It ends after the other process and you have: Ctrl-D. An argument names another
 * channel, such as posix:/a.
 */
#include "example.h"

#include <errno.h>
#include <poll.h>
#include <sys/wait.h>
#include <time.h>

#include "shmcomm.h"

#define NAME "posix:/shmcomm-poll"
#define CAPACITY 4096

/* The other process: a message every third of a second. */
static int send_messages(const char *name)
{
    static const char *const messages[] = {"one", "two", "three"};
    const struct timespec pause = {0, 333000000};
    shmc_channel *out = shmc_channel_open(name, 0, SHMC_SEND | SHMC_INTR, 0);

    if (out == NULL) {
        perror(name);
        return EXIT_FAILURE;
    }
    for (int i = 0; i < 3 && caught_signal == 0; i++) {
        nanosleep(&pause, NULL);
        if (shmc_send(out, messages[i], strlen(messages[i]), -1) == -1) {
            perror("sender: shmc_send");
            return EXIT_FAILURE;
        }
    }
    return shmc_channel_close(out) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/*
 * Receives what there is, without waiting. The descriptor is readable until a
 * call says EAGAIN, so a loop may also receive a single message and come back.
 * Returns 1 if there may be more later, 0 if the sender has exited, -1 on failure.
 */
static int receive_messages(shmc_channel *in)
{
    char text[100];
    ssize_t length;

    while ((length = shmc_recv(in, text, sizeof text, 0)) >= 0)
        printf("loop: received \"%.*s\"\n", (int)length, text);
    if (errno == EAGAIN)
        return 1;
    if (errno == EPIPE) {
        printf("loop: the sender has exited\n");
        return 0;
    }
    perror("loop: shmc_recv");
    return -1;
}

/* read(2), because poll does not see what stdio has read ahead. Returns the same. */
static int read_line(void)
{
    char text[100];
    ssize_t length = read(STDIN_FILENO, text, sizeof text);

    if (length > 0)
        printf("loop: you typed %.*s%s", (int)length, text, text[length - 1] == '\n' ? "" : "\n");
    if (length == -1)
        perror("loop: read");
    return length > 0 ? 1 : (int)length;
}

static int loop(shmc_channel *in)
{
    struct pollfd files[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.events = POLLIN}};

    files[1].fd = shmc_channel_fd(in);
    if (files[1].fd == -1) {
        perror("loop: shmc_channel_fd");
        return EXIT_FAILURE;
    }
    /* poll ignores an entry with a negative descriptor. */
    while (files[0].fd >= 0 || files[1].fd >= 0) {
        int more[2] = {1, 1};

        if (caught_signal != 0)
            return EXIT_FAILURE;
        if (poll(files, 2, -1) == -1) {
            if (errno == EINTR)
                continue;
            perror("loop: poll");
            return EXIT_FAILURE;
        }
        if (files[0].fd >= 0 && files[0].revents != 0)
            more[0] = read_line();
        if (files[1].fd >= 0 && files[1].revents != 0)
            more[1] = receive_messages(in);
        for (int i = 0; i < 2; i++) {
            if (more[i] == -1)
                return EXIT_FAILURE;
            if (more[i] == 0)
                files[i].fd = -1;
        }
    }
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    const char *name = argc == 2 ? argv[1] : NAME;
    int status = EXIT_FAILURE;
    shmc_channel *in;
    pid_t child;

    print_line_by_line();
    catch_signals();

    in = shmc_channel_open(name, CAPACITY, SHMC_CREATE | SHMC_RECV, 0600);
    if (in == NULL) {
        perror(name); /* EBUSY: another one is running */
        return EXIT_FAILURE;
    }
    child = fork();
    if (child == 0)
        _exit(send_messages(name));
    if (child == -1) {
        perror("fork");
    } else {
        status = loop(in);
        if (waitpid(child, NULL, 0) == -1) {
            perror("waitpid");
            status = EXIT_FAILURE;
        }
    }
    if (shmc_remove(name) == -1 || shmc_channel_close(in) == -1) {
        perror(name);
        status = EXIT_FAILURE;
    }

    die_of_caught_signal();
    return check_output(status);
}
