/*
 * wakeups NAME WHAT FLAGS ROUNDS: prints the median time in microseconds from the moment when a
 * sleeper could go on to the moment when it does.
 *
 * WHAT: recv   a receiver sleeps until there is a message
 *       send   a sender sleeps until there is room
 *       commit, close, release
 *              a sharer of that end sleeps until the other one has called this
 *       unlock one sleeps until the other has unlocked the mutex
 *       read   a reader sleeps until its topic has a message
 * FLAGS: h     the ends are shared
 *        b     many messages come before each that is measured
 *        S R   the sender, the receiver has no membarrier(2)
 *        o     the reader is another user, who may only read
 *        -     none of these
 */
#define _GNU_SOURCE
#include "shmcomm.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CAPACITY 4096
#define MAX_MESSAGE (CAPACITY - 16)
#define MAX_ROUNDS 1000
#define BURST 600
#define NOBODY 65534
#define PATIENCE 20000
/* Shorter than the 50 or 80 ms after which a sleeper looks on its own. */
#define PAUSE_US 25000

/* Shared by both processes. */
static struct shared {
    shmc_mutex mutex;
    volatile long long made_possible_us;
    long long took_us[MAX_ROUNDS];
} *shared;

static const char *name, *flags;
static int rounds, to_sleeper[2], to_waker[2];

static void check(int holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "%s: %s\n", what, strerror(errno));
        exit(1);
    }
}

#define CHECK(condition) check(condition, #condition)

static long long now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

static void tell(const int *pipe)
{
    CHECK(write(pipe[1], "", 1) == 1);
}

static void listen_to(const int *pipe)
{
    char byte;

    CHECK(read(pipe[0], &byte, 1) == 1);
}

/* Lets the sleeper fall asleep, and records when it could go on. */
static void pause_and_stamp(void)
{
    usleep(PAUSE_US);
    shared->made_possible_us = now_us();
}

static void record(int round)
{
    shared->took_us[round] = now_us() - shared->made_possible_us;
}

static void deny_membarrier(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof filter / sizeof filter[0], filter };

    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
    CHECK(syscall(SYS_membarrier, 0, 0, 0) == -1 && errno == ENOSYS);
}

static shmc_channel *open_end(int end)
{
    int shares = strchr(flags, 'h') != NULL ? SHMC_SHARED : 0;
    shmc_channel *channel;

    if (strchr(flags, end == SHMC_SEND ? 'S' : 'R') != NULL)
        deny_membarrier();
    channel = shmc_channel_open(name, CAPACITY, SHMC_CREATE | end | shares, 0600);
    CHECK(channel != NULL);
    return channel;
}

static void send_number(shmc_channel *channel, int number)
{
    CHECK(shmc_send(channel, &number, sizeof number, PATIENCE) == 0);
}

static void receive_number(shmc_channel *channel, int expected)
{
    int number;

    CHECK(shmc_recv(channel, &number, sizeof number, PATIENCE) == sizeof number
          && number == expected);
}

static int burst(void)
{
    return strchr(flags, 'b') != NULL ? BURST : 0;
}

/* Each role runs through all rounds. */

static void waiting_receiver(void)
{
    shmc_channel *channel = open_end(SHMC_RECV);

    tell(to_waker);
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < burst(); i++)
            receive_number(channel, i);
        receive_number(channel, round);
        record(round);
    }
    CHECK(shmc_channel_close(channel) == 0);
}

static void late_sender(void)
{
    shmc_channel *channel = open_end(SHMC_SEND);

    listen_to(to_waker);
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < burst(); i++)
            send_number(channel, i);
        pause_and_stamp();
        send_number(channel, round);
    }
    CHECK(shmc_channel_close(channel) == 0);
}

static void waiting_sender(void)
{
    static char fill[MAX_MESSAGE];
    shmc_channel *channel = open_end(SHMC_SEND);

    listen_to(to_sleeper);
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < burst(); i++)
            send_number(channel, i);
        CHECK(shmc_send(channel, fill, sizeof fill, PATIENCE) == 0);
        tell(to_waker);
        send_number(channel, round);
        record(round);
    }
    CHECK(shmc_channel_close(channel) == 0);
}

static void late_receiver(void)
{
    static char filled[MAX_MESSAGE];
    shmc_channel *channel = open_end(SHMC_RECV);

    tell(to_sleeper);
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < burst(); i++)
            receive_number(channel, i);
        listen_to(to_waker);
        pause_and_stamp();
        CHECK(shmc_recv(channel, filled, sizeof filled, PATIENCE) == sizeof filled);
        receive_number(channel, round);
    }
    CHECK(shmc_channel_close(channel) == 0);
}

static void committing_sharer(void)
{
    shmc_channel *channel = open_end(SHMC_SEND), *out = open_end(SHMC_RECV);

    for (int round = 0; round < rounds; round++) {
        CHECK(shmc_reserve(channel, 8, PATIENCE) != NULL);
        tell(to_sleeper);
        pause_and_stamp();
        CHECK(shmc_commit(channel, 0) == 0);
        listen_to(to_waker);
        CHECK(shmc_recv(out, NULL, 0, 0) == 0);
        receive_number(out, round);
    }
}

/* Closes the handle that has a reservation. */
static void closing_sharer(void)
{
    shmc_channel *out = open_end(SHMC_RECV);

    for (int round = 0; round < rounds; round++) {
        shmc_channel *channel = open_end(SHMC_SEND);

        CHECK(shmc_reserve(channel, 8, PATIENCE) != NULL);
        tell(to_sleeper);
        pause_and_stamp();
        CHECK(shmc_channel_close(channel) == 0);
        listen_to(to_waker);
        receive_number(out, round);
    }
}

static void sharing_sender(void)
{
    shmc_channel *channel = open_end(SHMC_SEND);

    for (int round = 0; round < rounds; round++) {
        listen_to(to_sleeper);
        send_number(channel, round);
        record(round);
        tell(to_waker);
    }
}

static void releasing_sharer(void)
{
    shmc_channel *channel = open_end(SHMC_RECV), *in = open_end(SHMC_SEND);

    for (int round = 0; round < rounds; round++) {
        size_t length;

        send_number(in, 0);
        send_number(in, round);
        CHECK(shmc_peek(channel, &length, PATIENCE) != NULL);
        tell(to_sleeper);
        pause_and_stamp();
        CHECK(shmc_release(channel) == 0);
        listen_to(to_waker);
    }
}

static void sharing_receiver(void)
{
    shmc_channel *channel = open_end(SHMC_RECV);

    for (int round = 0; round < rounds; round++) {
        listen_to(to_sleeper);
        receive_number(channel, round);
        record(round);
        tell(to_waker);
    }
}

static void unlocker(void)
{
    for (int round = 0; round < rounds; round++) {
        CHECK(shmc_mutex_lock(&shared->mutex, PATIENCE) == 0);
        tell(to_sleeper);
        pause_and_stamp();
        CHECK(shmc_mutex_unlock(&shared->mutex) == 0);
        listen_to(to_waker);
    }
}

static void locker(void)
{
    for (int round = 0; round < rounds; round++) {
        listen_to(to_sleeper);
        CHECK(shmc_mutex_lock(&shared->mutex, PATIENCE) == 0);
        record(round);
        CHECK(shmc_mutex_unlock(&shared->mutex) == 0);
        tell(to_waker);
    }
}

static void read_number(shmc_topic *topic, int expected)
{
    int number;

    CHECK(shmc_topic_read(topic, &number, sizeof number, NULL, PATIENCE) == sizeof number
          && number == expected);
}

static void waiting_reader(void)
{
    shmc_topic *topic;

    listen_to(to_sleeper);
    if (strchr(flags, 'R') != NULL)
        deny_membarrier();
    if (strchr(flags, 'o') != NULL)
        CHECK(setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
    topic = shmc_topic_open(name, 0, 0, SHMC_RECV, 0);
    CHECK(topic != NULL);
    tell(to_waker);
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < burst(); i++)
            read_number(topic, i);
        read_number(topic, round);
        record(round);
    }
    CHECK(shmc_topic_close(topic) == 0);
}

static void late_writer(void)
{
    int mode = strchr(flags, 'o') != NULL ? 0644 : 0600;
    shmc_topic *topic;

    if (strchr(flags, 'S') != NULL)
        deny_membarrier();
    topic = shmc_topic_open(name, sizeof(int), 2 * BURST, SHMC_CREATE | SHMC_SEND, mode);
    CHECK(topic != NULL);
    tell(to_sleeper);
    listen_to(to_waker);
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < burst(); i++)
            CHECK(shmc_topic_write(topic, &i, sizeof i) == 0);
        pause_and_stamp();
        CHECK(shmc_topic_write(topic, &round, sizeof round) == 0);
    }
    CHECK(shmc_topic_close(topic) == 0);
}

static const struct test {
    const char *what;
    void (*sleeper)(void), (*waker)(void);
} tests[] = {
    { "recv", waiting_receiver, late_sender },
    { "send", waiting_sender, late_receiver },
    { "commit", sharing_sender, committing_sharer },
    { "close", sharing_sender, closing_sharer },
    { "release", sharing_receiver, releasing_sharer },
    { "unlock", locker, unlocker },
    { "read", waiting_reader, late_writer },
};

static int ascending(const void *a, const void *b)
{
    long long left = *(const long long *)a, right = *(const long long *)b;

    return (left > right) - (left < right);
}

int main(int argc, char **argv)
{
    const struct test *test = tests;
    int status;
    pid_t child;

    CHECK(argc == 5);
    name = argv[1];
    flags = argv[3];
    rounds = atoi(argv[4]);
    CHECK(rounds > 0 && rounds <= MAX_ROUNDS);
    while (strcmp(test->what, argv[2]) != 0)
        CHECK(++test < tests + sizeof tests / sizeof tests[0]);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared != MAP_FAILED && shmc_mutex_init(&shared->mutex) == 0);
    CHECK(pipe(to_sleeper) == 0 && pipe(to_waker) == 0);
    CHECK((child = fork()) != -1);
    /* A process that waits for a failed one reads the end of the pipe. */
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        CHECK(close(to_sleeper[1]) == 0 && close(to_waker[0]) == 0);
        test->sleeper();
        return 0;
    }
    CHECK(close(to_waker[1]) == 0 && close(to_sleeper[0]) == 0);
    test->waker();
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    qsort(shared->took_us, (size_t)rounds, sizeof shared->took_us[0], ascending);
    printf("%lld\n", shared->took_us[rounds / 2]);
    return 0;
}
