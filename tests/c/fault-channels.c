/* The scenarios of channels. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "faults.h"
#include "shmcomm.h"

#define CAPACITY 4096
#define MAX_CHANNELS 256

static void leave(const char *name, int flags)
{
    shmc_channel *sender = shmc_channel_open(name, CAPACITY, flags | SHMC_SEND | SHMC_CREATE, 0600);
    CHECK(sender != NULL && shmc_send(sender, "left", 5, 0) == 0);
}

static void leave_segment(const char *name, int flags)
{
    (void)flags;
    CHECK(shmc_segment_open(name, 3 * CAPACITY, SHMC_CREATE, 0600) != NULL);
}

static void exchange(shmc_channel *sender, shmc_channel *receiver)
{
    char text[64];
    size_t length;
    shmc_channel_info info;
    EXPECT(EAGAIN, -1, shmc_recv, receiver, text, sizeof text, 0);
    EXPECT(ETIMEDOUT, -1, shmc_recv, receiver, text, sizeof text, 1);
    CALL(-1, shmc_send, sender, "one", 4, 0);
    char *room = CALL(NULL, shmc_reserve, sender, 64, 1);
    strcpy(room, "two");
    CALL(-1, shmc_commit, sender, 4);
    CALL(-1, shmc_channel_stat, receiver, &info);
    CHECK(info.messages == 2 && info.sender_alive && info.receiver_alive);
    CHECK(CALL(-1, shmc_recv, receiver, text, sizeof text, 20) == 4 && !strcmp(text, "one"));
    const char *message = CALL(NULL, shmc_peek, receiver, &length, 1);
    CHECK(length == 4 && !strcmp(message, "two"));
    CALL(-1, shmc_release, receiver);
    while (shmc_send(sender, text, sizeof text, 0) == 0)
        ;
    EXPECT(EAGAIN, -1, shmc_send, sender, text, sizeof text, 0);
    EXPECT(ETIMEDOUT, NULL, shmc_reserve, sender, sizeof text, 1);
    CALL(-1, shmc_recv, receiver, text, sizeof text, 0);
    CALL(-1, shmc_send, sender, "end", 4, 1);
}

static void open_new(const char *name, int flags)
{
    int send = flags | SHMC_SEND | SHMC_CREATE, receive = (flags & SHMC_SHARED) | SHMC_RECV;
    shmc_channel *sender = CALL(NULL, shmc_channel_open, name, CAPACITY, send, 0600);
    shmc_channel *receiver = CALL(NULL, shmc_channel_open, name, 0, receive, 0600);
    exchange(sender, receiver);
    CALL(-1, shmc_channel_close, sender);
    CALL(-1, shmc_channel_close, receiver);
    CALL(-1, shmc_remove, name);
}

/* The handles have descriptors for event loops. */
static void polled(const char *name, int flags)
{
    char text[64];
    int send = flags | SHMC_SEND | SHMC_CREATE, receive = (flags & SHMC_SHARED) | SHMC_RECV;
    shmc_channel *sender = CALL(NULL, shmc_channel_open, name, CAPACITY, send, 0600);
    shmc_channel *receiver = CALL(NULL, shmc_channel_open, name, 0, receive, 0600);
    CHECK(CALL(-1, shmc_channel_fd, sender) > 2);
    CHECK(CALL(-1, shmc_channel_fd, receiver) > 2);
    exchange(sender, receiver);
    while (shmc_recv(receiver, text, sizeof text, 0) > 0)
        ;
    CALL(-1, shmc_channel_close, sender);
    /* Without munmap(2) the file stays open: its close is not reported. */
    int lost = shmc_recv(receiver, text, sizeof text, 0) == -1 ? errno : 0;
    CHECK(lost == EPIPE || lost == EAGAIN);
    EXPECT(EAGAIN, -1, shmc_recv, receiver, text, sizeof text, 0);
    CALL(-1, shmc_channel_close, receiver);
    CALL(-1, shmc_remove, name);
}

static void open_existing(const char *name, int flags)
{
    char text[8];
    elsewhere(leave, name, flags & SHMC_SHARED);
    int receive = flags | SHMC_RECV | SHMC_CREATE;
    shmc_channel *receiver = CALL(NULL, shmc_channel_open, name, 0, receive, 0600);
    CHECK(CALL(-1, shmc_recv, receiver, text, sizeof text, 0) == 5 && !strcmp(text, "left"));
    CALL(-1, shmc_channel_close, receiver);
    CALL(-1, shmc_remove, name);
}

static void refuse(const char *name, int flags)
{
    int send = flags | SHMC_SEND;
    EXPECT(ENOENT, NULL, shmc_channel_open, name, 0, send, 0);
    pid_t holder = start_holder(leave, name, 0);
    int busy = shmc_channel_open(name, 0, send, 0) == NULL ? errno : 0;
    CHECK(busy == EBUSY);
    EXPECT(EBUSY, NULL, shmc_channel_open, name, 0, send | SHMC_CREATE, 0600);
    EXPECT(EEXIST, NULL, shmc_channel_open, name, 0, send | SHMC_CREATE | SHMC_EXCL, 0600);
    EXPECT(EINVAL, NULL, shmc_channel_open, name, 1 << 20, SHMC_RECV | SHMC_CREATE, 0600);
    stop_holder(holder);
    CHECK(shmc_remove(name) == 0);
    elsewhere(leave_segment, name, 0);
    EXPECT(EBADMSG, NULL, shmc_channel_open, name, 0, send, 0);
    CHECK(shmc_remove(name) == 0);
}

static int has_open(const char *name)
{
    char path[600];
    struct stat named, status;
    int is_posix = !strncmp(name, "posix:", 6);
    snprintf(path, sizeof path, "%s%s", is_posix ? "/dev/shm" : "", strchr(name, '/'));
    CHECK(stat(path, &named) == 0);
    for (int file = 0; file < 64; file++)
        if (fstat(file, &status) == 0 && status.st_ino == named.st_ino)
            return 1;
    return 0;
}

/* A child inherits neither the end nor its descriptor. */
static void fork_with(const char *name, int flags)
{
    shmc_channel_info info;
    int status, send = flags | SHMC_SEND | SHMC_CREATE;
    shmc_channel *sender = CALL(NULL, shmc_channel_open, name, CAPACITY, send, 0600);
    CHECK(has_open(name));
    pid_t child = fork();
    if (child == 0) {
        int kept = shmc_channel_stat(sender, &info) == 0 || errno != EPERM || has_open(name);
        _exit(kept ? 3 : 0);
    }
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && !WEXITSTATUS(status));
    CALL(-1, shmc_channel_close, sender);
    CALL(-1, shmc_remove, name);
}

/* This process has as many channels as it may have. */
static void open_too_many(const char *name, int flags)
{
    static shmc_channel *open[MAX_CHANNELS];
    char text[600];
    int send = flags | SHMC_SEND | SHMC_CREATE;
    for (int i = 0; i < MAX_CHANNELS; i++) {
        snprintf(text, sizeof text, "%s-%d", name, i);
        open[i] = shmc_channel_open(text, CAPACITY, send, 0600);
        CHECK(open[i] != NULL);
        /* The harness has no room for this many names. */
        CHECK(shmc_remove(text) == 0);
    }
    EXPECT(EMFILE, NULL, shmc_channel_open, name, CAPACITY, send, 0600);
    EXPECT(EMFILE, NULL, shmc_channel_open, name, CAPACITY, send | SHMC_EXCL, 0600);
    shmc_channel_close(open[17]);
    open[17] = CALL(NULL, shmc_channel_open, name, CAPACITY, send, 0600);
    for (int i = 0; i < MAX_CHANNELS; i++)
        shmc_channel_close(open[i]);
    CALL(-1, shmc_remove, name);
}

void add_channels(const struct names *names)
{
    const char *kinds[] = {names->posix, names->file};
    for (int i = 0; i < 2; i++) {
        const char *name = kinds[i];
        add("channel, new", open_new, name, 0);
        add("channel, new, shared", open_new, name, SHMC_SHARED);
        add("channel, new, exclusive", open_new, name, SHMC_EXCL);
        add("channel, new, no O_TMPFILE", open_new, name, WITHOUT_TMPFILE);
        add("channel, new, no linkat", open_new, name, WITHOUT_LINKAT);
        add("channel, polled", polled, name, 0);
        add("channel, polled, shared", polled, name, SHMC_SHARED);
        add("channel, existing", open_existing, name, 0);
        add("channel, existing, shared", open_existing, name, SHMC_SHARED);
        add("channel, refused", refuse, name, 0);
        add("channel, fork", fork_with, name, 0);
        add("channel, too many", open_too_many, name, 0);
        scenarios[scenario_count - 1].once = 1;
    }
}
