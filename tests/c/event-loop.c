/*
 * event-loop NAME COUNT: receives this many messages in an event loop of GLib or libuv (-DGLIB, -DLIBUV),
 * one for each event, until the sender closes. Prints their number.
 */
#define _GNU_SOURCE
#include "shmcomm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef GLIB
#include <glib-unix.h>
#else
#include <uv.h>
#endif

static shmc_channel *receiver;
static unsigned received;

static void check(int holds, const char *what)
{
    if (!holds) {
        perror(what);
        exit(1);
    }
}

/* Handles one event. Returns whether there may be more. */
static int on_event(void)
{
    unsigned number;
    ssize_t length = shmc_recv(receiver, &number, sizeof number, 0);

    if (length < 0) {
        check(errno == EAGAIN || errno == EPIPE, "shmc_recv");
        return errno == EAGAIN;
    }
    check(length == sizeof number && number == received++, "order");
    return 1;
}

#ifdef GLIB
static gboolean on_readable(gint descriptor, GIOCondition condition, gpointer loop)
{
    (void)descriptor;
    (void)condition;
    if (on_event())
        return G_SOURCE_CONTINUE;
    g_main_loop_quit(loop);
    return G_SOURCE_REMOVE;
}

static void run(int descriptor)
{
    GMainLoop *loop = g_main_loop_new(NULL, FALSE);

    g_unix_fd_add(descriptor, G_IO_IN, on_readable, loop);
    g_main_loop_run(loop);
    g_main_loop_unref(loop);
}
#else
static void on_readable(uv_poll_t *handle, int status, int events)
{
    check(status == 0 && events == UV_READABLE, "uv_poll");
    if (!on_event())
        uv_poll_stop(handle);
}

static void run(int descriptor)
{
    uv_loop_t *loop = uv_default_loop();
    uv_poll_t handle;

    check(uv_poll_init(loop, &handle, descriptor) == 0, "uv_poll_init");
    check(uv_poll_start(&handle, UV_READABLE, on_readable) == 0, "uv_poll_start");
    uv_run(loop, UV_RUN_DEFAULT);
}
#endif

int main(int argc, char **argv)
{
    unsigned count;
    pid_t child;
    int status;

    check(argc == 3, "arguments");
    count = (unsigned)atoi(argv[2]);
    receiver = shmc_channel_open(argv[1], 4096, SHMC_RECV | SHMC_CREATE, 0600);
    check(receiver != NULL, argv[1]);
    child = fork();
    check(child >= 0, "fork");
    if (child == 0) {
        shmc_channel *sender = shmc_channel_open(argv[1], 0, SHMC_SEND, 0);

        check(sender != NULL, "sender");
        for (unsigned i = 0; i < count; i++) {
            check(shmc_send(sender, &i, sizeof i, -1) == 0, "shmc_send");
            if (i % 100 == 0)
                usleep(1000);
        }
        _exit(shmc_channel_close(sender));
    }
    run(shmc_channel_fd(receiver));
    check(waitpid(child, &status, 0) == child && status == 0, "sender");
    shmc_channel_close(receiver);
    shmc_remove(argv[1]);
    printf("%u\n", received);
    return 0;
}
