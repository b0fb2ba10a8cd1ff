/*
 * polled NAME SCENARIO FLAGS: a channel's descriptor in an event loop.
 *
 * SCENARIO: level    it is readable until a call says EAGAIN, at both ends
 *           owner    its number, and what fork, exec and close do to it
 *           user     another user sends; 77 if this process cannot become one
 *           close, kill, before, refused, removed
 *                    a peer closes, is killed, had gone before, is refused, or closes after the name
 *                    was removed: prints the microseconds until it is told, the number of events in
 *                    the second after it, and how often it is told
 * FLAGS:    h shared ends
 *           l the peer loses its end only after a file was closed
 *           b the peer closes before the name is removed
 *           -
 */
#define _GNU_SOURCE
#include "polled.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define MAX_MESSAGE (CAPACITY - 16)
#define NOBODY 65534

/* The file of the channel. */
static const char *path(void)
{
    static char text[300];

    snprintf(text, sizeof text, "/dev/shm%s", strchr(name, '/'));
    return text;
}

static void level(void)
{
    shmc_channel *sender = open_end(SHMC_SEND), *receiver = open_end(SHMC_RECV);
    int room = shmc_channel_fd(sender), message = shmc_channel_fd(receiver);
    void *place;
    size_t length;

    CHECK(room > 2 && message > 2 && room != message);
    CHECK(shmc_channel_fd(receiver) == message);
    CHECK(readable(room, 0) && readable(message, 0));
    FAILS(EAGAIN, shmc_recv(receiver, buffer, sizeof buffer, 0));
    CHECK(!readable(message, 0));

    for (int i = 0; i < 3; i++)
        CHECK(shmc_send(sender, "x", 1, 0) == 0);
    for (int i = 0; i < 3; i++) {
        CHECK(readable(message, 0));
        CHECK(shmc_recv(receiver, buffer, sizeof buffer, 0) == 1);
    }
    CHECK(readable(message, 0));
    CHECK(shmc_peek(receiver, &length, 0) == NULL && errno == EAGAIN);
    CHECK(!readable(message, 50));

    /* A call that waits takes nothing from it. */
    FAILS(ETIMEDOUT, shmc_recv(receiver, buffer, sizeof buffer, 1));
    CHECK(shmc_send(sender, "x", 1, 0) == 0 && shmc_send(sender, "x", 1, 0) == 0);
    CHECK(shmc_recv(receiver, buffer, sizeof buffer, -1) == 1);
    CHECK(readable(message, 0));
    CHECK(shmc_recv(receiver, buffer, sizeof buffer, 0) == 1);
    FAILS(EAGAIN, shmc_recv(receiver, buffer, sizeof buffer, 0));

    CHECK((place = shmc_reserve(sender, MAX_MESSAGE, 0)) != NULL);
    CHECK(shmc_commit(sender, MAX_MESSAGE) == 0);
    CHECK(readable(room, 0));
    FAILS(EAGAIN, shmc_send(sender, "x", 1, 0));
    CHECK(!readable(room, 50));
    CHECK(shmc_recv(receiver, buffer, sizeof buffer, 0) == MAX_MESSAGE);
    CHECK(readable(room, 0));
    CHECK(shmc_send(sender, "x", 1, 0) == 0);
    CHECK(shmc_channel_close(sender) == 0 && shmc_channel_close(receiver) == 0);
}

/* Another handle of the end commits a message so long that no second one has room, but a short one has. */
static void short_after_long(void)
{
    shmc_channel *one = open_end(SHMC_SEND), *other = open_end(SHMC_SEND);
    int descriptor = shmc_channel_fd(one);

    CHECK(shmc_send(other, buffer, CAPACITY / 2, 0) == 0);
    CHECK(shmc_reserve(other, CAPACITY / 3, 0) != NULL);
    FAILS(EAGAIN, shmc_send(one, "x", 1, 0));
    CHECK(!readable(descriptor, 0));
    CHECK(shmc_commit(other, CAPACITY / 3) == 0);
    CHECK(readable(descriptor, 0));
    CHECK(shmc_send(one, "x", 1, 0) == 0);
}

static int exit_status(pid_t child)
{
    int status;

    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void owner(void)
{
    shmc_channel *sender = open_end(SHMC_SEND), *receiver = open_end(SHMC_RECV);
    int saved = dup(0), descriptor;
    pid_t child;

    FAILS(EINVAL, shmc_channel_fd(NULL));
    close(0);
    descriptor = shmc_channel_fd(receiver);
    CHECK(fcntl(0, F_GETFD) == -1);
    CHECK(dup2(saved, 0) == 0);
    CHECK(descriptor > 2 && fcntl(descriptor, F_GETFD) == FD_CLOEXEC);
    FAILS(EAGAIN, shmc_recv(receiver, buffer, sizeof buffer, 0));

    if ((child = fork()) == 0) {
        FAILS(EPERM, shmc_channel_fd(receiver));
        FAILS(EPERM, shmc_channel_fd(sender));
        FAILS(EBADF, fcntl(descriptor, F_GETFD));
        CHECK(shmc_channel_close(receiver) == 0);
        _exit(0);
    }
    CHECK(exit_status(child) == 0);
    CHECK(!readable(descriptor, 20));
    CHECK(shmc_send(sender, "x", 1, 0) == 0);
    CHECK(readable(descriptor, 0));
    CHECK(shmc_channel_close(receiver) == 0);
    FAILS(EBADF, fcntl(descriptor, F_GETFD));
    CHECK(shmc_channel_close(sender) == 0);
}

/* A child that opens the sending end, says so, and waits for a line. */
struct peer {
    pid_t pid;
    int ready, go;
};

static void await_byte(int from)
{
    char byte;

    CHECK(read(from, &byte, 1) == 1);
}

/* An open file of this channel, of this process. */
static int file_of_channel(void)
{
    struct stat named, status;

    CHECK(stat(path(), &named) == 0);
    for (int file = 3; file < 64; file++)
        if (fstat(file, &status) == 0 && status.st_ino == named.st_ino)
            return file;
    CHECK(0);
    return -1;
}

/* What a dying process does, only slower: the kernel reports the close, then releases the locks. */
static void close_late(void)
{
    struct flock all = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
    int file = file_of_channel();

    CHECK(close(open(path(), O_RDWR)) == 0);
    usleep(30000);
    CHECK(fcntl(file, F_OFD_SETLK, &all) == 0);
}

static struct peer start_sender(int as_user, int with_message)
{
    int ready[2], go[2];
    pid_t pid;

    CHECK(pipe2(ready, O_CLOEXEC) == 0 && pipe2(go, O_CLOEXEC) == 0);
    CHECK((pid = fork()) >= 0);
    if (pid == 0) {
        shmc_channel *sender;

        close(go[1]);
        if (as_user)
            CHECK(setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
        sender = open_end(SHMC_SEND);
        CHECK(write(ready[1], "", 1) == 1);
        await_byte(go[0]);
        if (with_message)
            CHECK(shmc_send(sender, "hello", 5, 0) == 0);
        if (has('l'))
            close_late();
        else
            shmc_channel_close(sender);
        CHECK(write(ready[1], "", 1) == 1);
        await_byte(go[0]);
        _exit(0);
    }
    close(ready[1]);
    close(go[0]);
    return (struct peer){pid, ready[0], go[1]};
}

static void go(const struct peer *peer)
{
    CHECK(write(peer->go, "", 1) == 1);
}

static void another_user(void)
{
    shmc_channel *receiver = open_end(SHMC_RECV);
    int descriptor = shmc_channel_fd(receiver);
    struct peer sender;

    if (geteuid() != 0)
        exit(77);
    FAILS(EAGAIN, shmc_recv(receiver, buffer, sizeof buffer, 0));
    sender = start_sender(1, 1);
    await_byte(sender.ready);
    go(&sender);
    CHECK(readable(descriptor, PATIENCE));
    await_byte(sender.ready);
    CHECK(shmc_recv(receiver, buffer, sizeof buffer, 0) == 5);
    CHECK(readable(descriptor, 0));
    while (shmc_recv(receiver, buffer, sizeof buffer, 0) == -1 && errno == EAGAIN)
        CHECK(readable(descriptor, PATIENCE));
    CHECK(errno == EPIPE);
    go(&sender);
    CHECK(exit_status(sender.pid) == 0);
}

static void loss(const char *what)
{
    shmc_channel *receiver = open_end(SHMC_RECV);
    struct peer sender = start_sender(0, 0);
    int refused = strcmp(what, "refused") == 0, removed = strcmp(what, "removed") == 0;
    int before = strcmp(what, "before") == 0;
    int events = 0, losses = 0, descriptor = -1;
    long long gone, told = -1, end;

    await_byte(sender.ready);
    if (!before) {
        CHECK((descriptor = shmc_channel_fd(receiver)) >= 0);
        while (readable(descriptor, 20))
            FAILS(EAGAIN, shmc_recv(receiver, buffer, sizeof buffer, 0));
    }
    if (removed && has('b')) {
        go(&sender);
        await_byte(sender.ready);
        while (readable(descriptor, 100))
            CHECK(shmc_recv(receiver, buffer, sizeof buffer, 0) == -1);
    }
    gone = now_us();
    if (removed)
        CHECK(shmc_remove(name) == 0);
    if (removed && has('b')) {
        /* The removal is the loss. */
    } else if (refused) {
        pid_t child = fork();

        if (child == 0) {
            CHECK(shmc_channel_open(name, 0, SHMC_SEND, 0) == NULL && errno == EBUSY);
            _exit(0);
        }
        gone = now_us();
        CHECK(exit_status(child) == 0);
    } else if (strcmp(what, "kill") == 0) {
        gone = now_us();
        CHECK(kill(sender.pid, SIGKILL) == 0);
    } else {
        gone = now_us();
        go(&sender);
        if (!has('l'))
            await_byte(sender.ready);
    }
    if (before)
        CHECK((descriptor = shmc_channel_fd(receiver)) >= 0);
    for (end = now_us() + 1000000; now_us() < end;) {
        if (!readable(descriptor, (int)((end - now_us()) / 1000)))
            continue;
        events++;
        CHECK(shmc_recv(receiver, buffer, sizeof buffer, 0) == -1);
        if (errno == (removed ? EIDRM : EPIPE)) {
            losses++;
            told = now_us() - gone;
            /* The close of one more file is no further loss. */
            if (!removed)
                CHECK(close(open(path(), O_RDWR)) == 0);
        } else
            CHECK(errno == EAGAIN);
    }
    CHECK(!readable(descriptor, 0));
    printf("%lld %d %d\n", told, events, losses);
    kill(sender.pid, SIGKILL);
    waitpid(sender.pid, NULL, 0);
}

int main(int argc, char **argv)
{
    const char *scenario;

    CHECK(argc == 4);
    name = argv[1];
    scenario = argv[2];
    flags = argv[3];
    umask(0);
    if (strcmp(scenario, "level") == 0) {
        level();
        if (has('h'))
            short_after_long();
    } else if (strcmp(scenario, "owner") == 0)
        owner();
    else if (strcmp(scenario, "user") == 0)
        another_user();
    else
        loss(scenario);
    shmc_remove(name);
    return 0;
}
