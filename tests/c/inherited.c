/*
 * inherited NAME: a forked child closes the handles that it has inherited, after other files got
 * the numbers of their descriptors. Those files must stay open, and the parent must keep its ends.
 */
#define _GNU_SOURCE
#include "shmcomm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_DESCRIPTORS 64

static void check(int holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "%s: %s\n", what, strerror(errno));
        exit(1);
    }
}

#define CHECK(condition) check(condition, #condition)

static int is_open(int descriptor)
{
    return fcntl(descriptor, F_GETFD) != -1;
}

static void child(shmc_channel *sender, shmc_channel *receiver, const char *was_open)
{
    static const char text[] = "mine";
    char found[sizeof text];
    struct stat stat[MAX_DESCRIPTORS];
    int descriptor, reused = 0;

    /* Opens a file at each number that is open in the parent and closed here. */
    for (descriptor = 0; descriptor < MAX_DESCRIPTORS; descriptor++)
        if (was_open[descriptor] && !is_open(descriptor)) {
            FILE *file = tmpfile();

            CHECK(file != NULL);
            if (fileno(file) != descriptor)
                CHECK(dup2(fileno(file), descriptor) == descriptor);
            CHECK(pwrite(descriptor, text, sizeof text, 0) == sizeof text);
            CHECK(fstat(descriptor, &stat[descriptor]) == 0);
            reused++;
        } else
            stat[descriptor].st_ino = 0;
    CHECK(reused >= 2);

    CHECK(shmc_channel_close(sender) == 0);
    CHECK(shmc_channel_close(receiver) == 0);

    for (descriptor = 0; descriptor < MAX_DESCRIPTORS; descriptor++)
        if (stat[descriptor].st_ino != 0) {
            struct stat now;

            CHECK(fstat(descriptor, &now) == 0 && now.st_ino == stat[descriptor].st_ino);
            CHECK(pread(descriptor, found, sizeof found, 0) == sizeof found
                  && memcmp(found, text, sizeof text) == 0);
        }
}

int main(int argc, char **argv)
{
    char was_open[MAX_DESCRIPTORS];
    shmc_channel *sender, *receiver;
    int descriptor, status;
    char message[8];
    pid_t pid;

    CHECK(argc == 2);
    sender = shmc_channel_open(argv[1], 4096, SHMC_CREATE | SHMC_SEND, 0600);
    receiver = shmc_channel_open(argv[1], 0, SHMC_RECV, 0600);
    CHECK(sender != NULL && receiver != NULL);
    for (descriptor = 0; descriptor < MAX_DESCRIPTORS; descriptor++)
        was_open[descriptor] = (char)is_open(descriptor);
    CHECK((pid = fork()) != -1);
    if (pid == 0) {
        child(sender, receiver, was_open);
        return 0;
    }
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);

    /* The parent still holds its ends. */
    CHECK(shmc_channel_open(argv[1], 0, SHMC_SEND, 0) == NULL && errno == EBUSY);
    CHECK(shmc_send(sender, "hello", 6, 0) == 0);
    CHECK(shmc_recv(receiver, message, sizeof message, 0) == 6);
    CHECK(shmc_channel_close(sender) == 0 && shmc_channel_close(receiver) == 0);
    return 0;
}
