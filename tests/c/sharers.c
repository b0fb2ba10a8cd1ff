/*
 * sharers NAME MODE SIDE: processes that share an end of a channel. SIDE is the shared end, s or r.
 * Prints milliseconds or a count.
 */
#define _GNU_SOURCE
#include "children.h"
#include "shmcomm.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#define CAPACITY 4096
#define FULL (CAPACITY - 16) /* a message that leaves no room */
#define SMALL 8
#define WAITERS 32

static const char *name;
static int shared; /* SHMC_SEND or SHMC_RECV */
static char buffer[CAPACITY];

static void on_signal(int number)
{
    (void)number;
}

static shmc_channel *opened(int flags)
{
    shmc_channel *channel = shmc_channel_open(name, CAPACITY, SHMC_CREATE | flags, 0600);

    if (channel == NULL)
        fail("open");
    return channel;
}

static shmc_channel *sharer(void)
{
    return opened(shared | SHMC_SHARED);
}

static shmc_channel *peer(void)
{
    return opened(shared == SHMC_SEND ? SHMC_RECV : SHMC_SEND);
}

/* Passes one message through the shared end. */
static int pass(shmc_channel *channel, int timeout)
{
    if (shared == SHMC_SEND)
        return shmc_send(channel, buffer, SMALL, timeout);
    return shmc_recv(channel, buffer, sizeof buffer, timeout) < 0 ? -1 : 0;
}

/* Lets one message pass the shared end: receives or sends one at the other end. */
static void let_one_pass(shmc_channel *channel)
{
    int result = shared == SHMC_SEND ? (int)shmc_recv(channel, buffer, sizeof buffer, 5000)
                                     : shmc_send(channel, buffer, SMALL, 5000);

    if (result < 0)
        fail("peer");
}

/* Fills a channel with shared senders, so that the sharers must wait. */
static void let_them_wait(shmc_channel *channel)
{
    if (shared == SHMC_RECV)
        return;
    while (shmc_send(channel, buffer, SMALL, 0) == 0)
        ;
    if (errno != EAGAIN)
        fail("fill");
}

/* Starts a process that waits at the shared end and reports the result. */
static pid_t waiter(int report, int timeout)
{
    pid_t pid = child();

    if (pid == 0) {
        shmc_channel *channel = sharer();
        int result = pass(channel, timeout);
        double time[2] = {now(), result == 0 ? 0 : errno};

        if (write(report, time, sizeof time) != sizeof time)
            fail("write");
        shmc_channel_close(channel);
        _exit(0);
    }
    return pid;
}

/* Reads `count` reports, which must have this errno. Returns the latest time. */
static double last_report(int report, int count, int expected)
{
    double time[2], last = 0;

    while (count-- > 0) {
        if (read(report, time, sizeof time) != sizeof time)
            fail("read");
        if (time[1] != expected) {
            fprintf(stderr, "errno %.0f, not %d\n", time[1], expected);
            exit(1);
        }
        if (time[0] > last)
            last = time[0];
    }
    return last;
}

/* A sharer waits and is stopped. Prints the time until another one gets the message or the room. */
static void stopped(void)
{
    shmc_channel *own = sharer(), *other;
    double begin;
    pid_t pid;
    int unused[2];

    let_them_wait(own);
    other = peer();
    if (pipe(unused) != 0)
        fail("pipe");
    pid = waiter(unused[1], -1);
    nap(50);
    kill(pid, SIGSTOP);
    let_one_pass(other);
    begin = now();
    if (pass(own, 5000) != 0)
        fail("beside a stopped waiter");
    printf("%.3f\n", now() - begin);
    killed(pid);
}

/* A wait beside another waiter with an earlier deadline. Prints how much longer than its timeout
 * it took. */
static void deadline(void)
{
    shmc_channel *own = sharer();
    double begin;
    pid_t pid;
    int report[2];

    let_them_wait(own);
    if (pipe(report) != 0)
        fail("pipe");
    pid = waiter(report[1], 250);
    nap(30);
    begin = now();
    if (pass(own, 300) == 0 || errno != ETIMEDOUT)
        fail("deadline");
    printf("%.3f\n", now() - begin - 300);
    ended(pid);
}

/* The only peer dies or closes its end. Prints the time until the last waiter notices. */
static void gone(int dies)
{
    shmc_channel *own = sharer();
    double begin;
    pid_t pids[WAITERS], other;
    int report[2], ready[2];

    if (pipe(report) != 0 || pipe(ready) != 0)
        fail("pipe");
    other = child();
    if (other == 0) {
        shmc_channel *channel = peer();

        if (write(ready[1], "", 1) != 1)
            fail("write");
        for (;;) {
            pause();
            if (!dies)
                break;
        }
        shmc_channel_close(channel);
        _exit(0);
    }
    if (read(ready[0], buffer, 1) != 1)
        fail("read");
    let_them_wait(own);
    shmc_channel_close(own);
    for (int i = 0; i < WAITERS; i++)
        pids[i] = waiter(report[1], -1);
    nap(200);
    begin = now();
    if (dies)
        killed(other);
    else
        kill(other, SIGUSR1);
    printf("%.3f\n", last_report(report[0], WAITERS, EPIPE) - begin);
    for (int i = 0; i < WAITERS; i++)
        ended(pids[i]);
    if (!dies)
        ended(other);
}

/* A sharer is killed between reserve and commit, or peek and release. Prints the time until
 * another one goes on. */
static void holder(void)
{
    shmc_channel *own = sharer(), *other = peer();
    double begin;
    size_t length;
    pid_t pid;
    int ready[2], report[2];

    if (pipe(ready) != 0 || pipe(report) != 0)
        fail("pipe");
    if (shared == SHMC_RECV)
        let_one_pass(other);
    pid = child();
    if (pid == 0) {
        shmc_channel *channel = sharer();
        const void *place = shared == SHMC_SEND ? shmc_reserve(channel, SMALL, 0)
                                                : shmc_peek(channel, &length, 0);

        if (place == NULL || write(ready[1], "", 1) != 1)
            fail("hold");
        for (;;)
            pause();
    }
    if (read(ready[0], buffer, 1) != 1)
        fail("read");
    /* While the holder lives, a call with timeout 0 fails at once. */
    begin = now();
    if (pass(own, 0) == 0 || errno != EAGAIN)
        fail("beside a holder");
    if (now() - begin > 50)
        fail("slow");
    if (pass(own, 20) == 0 || errno != ETIMEDOUT)
        fail("beside a holder, with a timeout");
    waiter(report[1], -1);
    nap(50);
    killed(pid);
    begin = now();
    printf("%.3f\n", last_report(report[0], 1, 0) - begin);
    wait(NULL);
}

/* A dead holder blocks no call, even with timeout 0. */
static void dead_holder(void)
{
    shmc_channel *own = sharer(), *other = peer();
    size_t length;
    pid_t pid;

    if (shared == SHMC_RECV)
        let_one_pass(other);
    pid = child();
    if (pid == 0) {
        shmc_channel *channel = sharer();

        if ((shared == SHMC_SEND ? shmc_reserve(channel, SMALL, 0)
                                 : shmc_peek(channel, &length, 0)) == NULL)
            fail("hold");
        raise(SIGKILL);
    }
    waitpid(pid, NULL, 0);
    if (pass(own, 0) != 0)
        fail("after a holder's death");
    printf("0\n");
}

/* Prints how many times all sleepers together wake, with a message every 2 ms. */
static void wakeups(void)
{
    enum { MESSAGES = 100 };
    shmc_channel *own = sharer(), *other;
    struct rusage before, after;
    pid_t pids[WAITERS];

    let_them_wait(own);
    other = peer();
    for (int i = 0; i < WAITERS; i++) {
        pids[i] = child();
        if (pids[i] == 0) {
            shmc_channel *channel = sharer();

            while (pass(channel, -1) == 0)
                ;
            _exit(errno != EPIPE);
        }
    }
    nap(200);
    shmc_channel_close(own);
    for (int i = 0; i < MESSAGES; i++) {
        let_one_pass(other);
        nap(2);
    }
    shmc_channel_close(other);
    getrusage(RUSAGE_CHILDREN, &before);
    for (int i = 0; i < WAITERS; i++)
        ended(pids[i]);
    getrusage(RUSAGE_CHILDREN, &after);
    printf("%ld\n", after.ru_nvcsw - before.ru_nvcsw);
}

/* Two living sharers take turns. Failed waits in between lock neither out. */
static void turns(void)
{
    shmc_channel *one = sharer(), *two = sharer(), *other = peer();
    size_t length;

    for (int i = 0; i < 100; i++) {
        shmc_channel *mine = i % 2 ? one : two, *yours = i % 2 ? two : one;

        if (shared == SHMC_RECV) {
            if (pass(mine, 0) == 0 || errno != EAGAIN || pass(mine, 1) == 0 || errno != ETIMEDOUT)
                fail("empty");
            for (int n = 0; n < 4; n++)
                let_one_pass(other);
            if (pass(mine, 0) != 0 || pass(yours, 0) != 0)
                fail("recv");
            if (shmc_peek(mine, &length, 0) == NULL || shmc_release(mine) != 0 ||
                shmc_recv(yours, buffer, 0, 0) != -1 || errno != EMSGSIZE || pass(mine, 0) != 0)
                fail("peek");
        } else {
            if (pass(mine, 0) != 0 || pass(yours, 0) != 0)
                fail("send");
            if (shmc_reserve(mine, SMALL, 0) == NULL || shmc_commit(mine, SMALL) != 0 ||
                shmc_send(yours, buffer, CAPACITY, 0) != -1 || errno != EMSGSIZE ||
                pass(mine, 0) != 0)
                fail("reserve");
            let_them_wait(one);
            if (pass(mine, 0) == 0 || errno != EAGAIN || pass(yours, 1) == 0 || errno != ETIMEDOUT)
                fail("full");
            while (shmc_recv(other, buffer, sizeof buffer, 0) >= 0)
                ;
        }
    }
    printf("0\n");
}

/* 63 handles may share an end. The next one gets EBUSY. */
static void limit(void)
{
    for (int i = 0; i < 63; i++)
        sharer();
    if (shmc_channel_open(name, 0, shared | SHMC_SHARED, 0) != NULL || errno != EBUSY)
        fail("64th");
    printf("0\n");
}

int main(int argc, char **argv)
{
    const char *mode = argv[2];

    if (argc != 4)
        return 2;
    name = argv[1];
    shared = *argv[3] == 's' ? SHMC_SEND : SHMC_RECV;
    signal(SIGUSR1, on_signal);
    if (strcmp(mode, "stopped") == 0)
        stopped();
    else if (strcmp(mode, "deadline") == 0)
        deadline();
    else if (strcmp(mode, "dies") == 0)
        gone(1);
    else if (strcmp(mode, "closes") == 0)
        gone(0);
    else if (strcmp(mode, "holder") == 0)
        holder();
    else if (strcmp(mode, "dead-holder") == 0)
        dead_holder();
    else if (strcmp(mode, "wakeups") == 0)
        wakeups();
    else if (strcmp(mode, "turns") == 0)
        turns();
    else if (strcmp(mode, "limit") == 0)
        limit();
    else
        return 2;
    return 0;
}
