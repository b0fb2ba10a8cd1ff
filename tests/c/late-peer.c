/*
 * late-peer KIND NAME [removed]: a peer opens its end of a channel or of a topic, right after the side that
 * waits has asked the kernel and found none; then its name is removed, too.
 */
#define _GNU_SOURCE
#include "shmcomm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *name;
static int is_topic, is_removed, is_armed;
static shmc_channel *sender;
static shmc_topic *writer;

static void open_peer(void)
{
    if (is_topic)
        writer = shmc_topic_open(name, 0, 0, SHMC_SEND, 0);
    else
        sender = shmc_channel_open(name, 0, SHMC_SEND, 0);
    if (is_removed)
        shmc_remove(name);
}

int fcntl(int file, int command, ...)
{
    va_list arguments;
    struct flock *lock;
    int result;

    va_start(arguments, command);
    lock = va_arg(arguments, struct flock *);
    va_end(arguments);
    result = (int)syscall(SYS_fcntl, file, command, lock);
    if (is_armed && command == F_OFD_GETLK && lock->l_type == F_UNLCK) {
        is_armed = 0;
        open_peer();
    }
    return result;
}

static void print(const char *call, long result)
{
    printf("%s: %s\n", call, result < 0 ? strerror(errno) : "ok");
}

int main(int argc, char **argv)
{
    char text[8];

    if (argc < 3)
        return 2;
    is_topic = strcmp(argv[1], "topic") == 0;
    name = argv[2];
    is_removed = argc > 3;
    if (is_topic) {
        shmc_topic *reader = shmc_topic_open(name, 8, 4, SHMC_RECV | SHMC_CREATE, 0600);

        is_armed = 1;
        print("wait", shmc_topic_read(reader, text, sizeof text, NULL, 200));
        print("write", shmc_topic_write(writer, "x", 1));
        print("read", shmc_topic_read(reader, text, sizeof text, NULL, 0));
    } else {
        shmc_channel *receiver = shmc_channel_open(name, 4096, SHMC_RECV | SHMC_CREATE, 0600);

        is_armed = 1;
        print("wait", shmc_recv(receiver, text, sizeof text, 200));
        print("write", shmc_send(sender, "x", 1, 0));
        print("read", shmc_recv(receiver, text, sizeof text, 0));
    }
    return 0;
}
