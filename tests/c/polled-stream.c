/*
 * polled-stream NAME COUNT FLAGS: COUNT messages through a small ring, one call for each event of the
 * descriptor at either end; both sides pause at random.
 *
 * FLAGS: h shared ends, of two processes each    m calls that wait in between
 *        s a storm of signals                    e epoll    E epoll, edge-triggered
 *        -
 */
#define _GNU_SOURCE
#include "polled.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>

static unsigned random_number(void)
{
    static unsigned long long state;

    if (state == 0)
        state = (unsigned long long)getpid() * 0x9e3779b97f4a7c15u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state >> 32);
}

static void on_alarm(int number)
{
    (void)number;
}

static void start_storm(void)
{
    struct sigaction action = {.sa_handler = on_alarm};
    struct itimerval timer = {{0, 200}, {0, 200}};

    if (has('s')) {
        CHECK(sigaction(SIGALRM, &action, NULL) == 0);
        CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
    }
}

/* The numbers that the processes of each end have reached. */
static struct {
    volatile unsigned sent, received;
    volatile unsigned char seen[1 << 20];
} *shared;

/* Sends or receives until there is nothing left to do. */
static void work(int side, unsigned count)
{
    shmc_channel *channel = open_end(side);
    int descriptor = shmc_channel_fd(channel);

    CHECK(descriptor >= 0);
    start_storm();
    for (;;) {
        int waits = has('m') && random_number() % 4 == 0 ? (int)(random_number() % 3) : 0;
        int keeps = 0;

        if (random_number() % 64 == 0)
            usleep(random_number() % 300);
        if (waits == 0 && !readable(descriptor, PATIENCE)) {
            if (side == SHMC_RECV && shared->received == count)
                break;
            errno = 0;
            check(0, side == SHMC_SEND ? "a sender gets no event" : "a receiver gets no event");
        }
        do {
            size_t length;
            unsigned number;

            if (side == SHMC_SEND) {
                number = __sync_fetch_and_add(&shared->sent, 1);
                if (number >= count) {
                    shmc_channel_close(channel);
                    return;
                }
                memcpy(buffer, &number, sizeof number);
                length = sizeof number + random_number() % 400;
                keeps = shmc_send(channel, buffer, length, waits) == 0;
                if (!keeps) {
                    /* Another process sends this number, or this one does later. */
                    CHECK(errno == EAGAIN || errno == ETIMEDOUT || errno == EPIPE);
                    if (has('h'))
                        while (shmc_send(channel, buffer, length, -1) != 0)
                            CHECK(errno == EPIPE);
                    else
                        __sync_fetch_and_sub(&shared->sent, 1);
                }
            } else {
                keeps = shmc_recv(channel, buffer, sizeof buffer, waits) >= 0;
                if (keeps) {
                    memcpy(&number, buffer, sizeof number);
                    CHECK(number < count && !shared->seen[number]);
                    CHECK(has('h') || number == shared->received);
                    shared->seen[number] = 1;
                    __sync_fetch_and_add(&shared->received, 1);
                } else
                    CHECK(errno == EAGAIN || errno == ETIMEDOUT || errno == EPIPE);
                if (shared->received == count)
                    return;
            }
        } while (keeps && has('E'));
    }
}

static void stream(unsigned count)
{
    int each = has('h') ? 2 : 1, failed = 0;

    CHECK(count <= sizeof shared->seen);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared != MAP_FAILED);
    for (int i = 0; i < 2 * each; i++) {
        pid_t child = fork();

        CHECK(child >= 0);
        if (child == 0) {
            work(i % 2 ? SHMC_SEND : SHMC_RECV, count);
            exit(0);
        }
    }
    for (int i = 0; i < 2 * each; i++) {
        int status;

        CHECK(wait(&status) > 0);
        failed |= status;
        /* The others may wait for a process that has failed. */
        if (failed)
            kill(0, SIGTERM);
    }
    CHECK(!failed && shared->received == count);
}

int main(int argc, char **argv)
{
    CHECK(argc == 4);
    name = argv[1];
    flags = argv[3];
    setpgid(0, 0);
    stream((unsigned)atoi(argv[2]));
    shmc_remove(name);
    return 0;
}
