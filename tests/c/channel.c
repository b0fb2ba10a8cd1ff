/*
 * Makes the calls that its arguments name, in order, on the channel opened last, and prints the
 * result of each; the flag h is SHMC_SHARED. "mark" stops a traced process before the next call and after it.
 */
#define _GNU_SOURCE
#include "calls.h"

#include <poll.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static shmc_channel *channel;
static int descriptor = -1;
static char buffer[1 << 22];

static long now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Whether the descriptor is readable before this time. Signals interrupt poll. */
static int readable(long until)
{
    struct pollfd wanted = {.fd = descriptor, .events = POLLIN};
    int result;

    do {
        long left = until - now_ms();

        result = poll(&wanted, 1, left < 0 ? 0 : (int)left);
    } while (result < 0 && errno == EINTR);
    return result > 0 && wanted.revents == POLLIN;
}

/* An event loop: at each event one call without a wait, until one does more than EAGAIN, or time is over. */
static ssize_t in_loop(const char *message, int timeout_ms)
{
    long until = now_ms() + timeout_ms;

    for (;;) {
        ssize_t result;

        if (!readable(until)) {
            errno = ETIMEDOUT;
            return -1;
        }
        result = message == NULL ? shmc_recv(channel, buffer, sizeof buffer, 0)
                                 : shmc_send(channel, message, strlen(message), 0);
        if (result >= 0 || errno != EAGAIN)
            return result;
    }
}

int main(int argc, char **argv)
{
    int i;

    setvbuf(stdout, NULL, _IOLBF, 0);
    for (i = 1; i < argc; i++) {
        const char *what = argv[i];

        errno = 0;
        if (strcmp(what, "open") == 0 && i + 4 < argc) {
            channel = shmc_channel_open(argv[i + 1], (size_t)number(argv[i + 2]),
                                        flags(argv[i + 3], SHMC_SHARED),
                                        (mode_t)number(argv[i + 4]));
            i += 4;
            print(what, channel == NULL);
        } else if (strcmp(what, "send") == 0) {
            /* a message and a timeout */
            print(what, shmc_send(channel, argv[i + 1], strlen(argv[i + 1]),
                                  (int)number(argv[i + 2])));
            i += 2;
        } else if (strcmp(what, "sendn") == 0) {
            /* a count, a length and a timeout: prints the number of messages sent */
            long count = number(argv[i + 1]);
            long sent = 0;

            while (sent < count && shmc_send(channel, buffer, (size_t)number(argv[i + 2]),
                                             (int)number(argv[i + 3])) == 0)
                sent++;
            printf("sendn: %ld\n", sent);
            i += 3;
        } else if (strcmp(what, "recv") == 0) {
            ssize_t length = shmc_recv(channel, buffer, sizeof buffer, (int)number(argv[++i]));

            end_mark();
            if (length < 0)
                print(what, 1);
            else
                printf("recv: \"%.*s\"\n", (int)length, buffer);
        } else if (strcmp(what, "recvn") == 0) {
            /* the timeout of each receive: prints the number of messages received */
            int timeout = (int)number(argv[++i]);
            long count = 0;

            while (shmc_recv(channel, buffer, sizeof buffer, timeout) >= 0)
                count++;
            printf("recvn: %ld, errno %d\n", count, errno);
        } else if (strcmp(what, "small") == 0) {
            /* the size of the buffer */
            ssize_t length = shmc_recv(channel, buffer, (size_t)number(argv[++i]), 0);

            print(what, length < 0);
        } else if (strcmp(what, "reserve") == 0) {
            /* a message, a larger length to reserve, a timeout */
            char *place = shmc_reserve(channel, (size_t)number(argv[i + 2]),
                                       (int)number(argv[i + 3]));

            print(what, place == NULL);
            if (place != NULL)
                memcpy(place, argv[i + 1], strlen(argv[i + 1]));
            i += 3;
        } else if (strcmp(what, "commit") == 0)
            print(what, shmc_commit(channel, (size_t)number(argv[++i])));
        else if (strcmp(what, "peek") == 0) {
            size_t length;
            const char *message = shmc_peek(channel, &length, (int)number(argv[++i]));

            end_mark();
            if (message == NULL)
                print(what, 1);
            else
                printf("peek: \"%.*s\"\n", (int)length, message);
        } else if (strcmp(what, "release") == 0)
            print(what, shmc_release(channel));
        else if (strcmp(what, "fd") == 0) {
            descriptor = shmc_channel_fd(channel);
            print(what, descriptor < 0);
        } else if (strcmp(what, "readable") == 0) {
            /* milliseconds */
            printf("readable: %d\n", readable(now_ms() + number(argv[++i])));
        } else if (strcmp(what, "await") == 0) {
            /* milliseconds: receives a message in an event loop */
            ssize_t length = in_loop(NULL, (int)number(argv[++i]));

            if (length < 0)
                print(what, 1);
            else
                printf("await: \"%.*s\"\n", (int)length, buffer);
        } else if (strcmp(what, "awaitroom") == 0) {
            /* a message and milliseconds: sends it in an event loop */
            print(what, in_loop(argv[i + 1], (int)number(argv[i + 2])) < 0);
            i += 2;
        } else if (strcmp(what, "events") == 0) {
            /* milliseconds: prints the numbers of events and of losses of the peer */
            long until = now_ms() + number(argv[++i]);
            int events = 0, losses = 0;

            while (readable(until)) {
                events++;
                losses += shmc_recv(channel, buffer, sizeof buffer, 0) < 0 && errno == EPIPE;
            }
            printf("events: %d, losses: %d\n", events, losses);
        } else if (strcmp(what, "stat") == 0) {
            shmc_channel_info info;

            if (shmc_channel_stat(channel, &info) != 0)
                print(what, 1);
            else
                printf("capacity %llu used %llu messages %llu sent %llu received %llu "
                       "sender %d receiver %d\n",
                       (unsigned long long)info.capacity, (unsigned long long)info.used,
                       (unsigned long long)info.messages, (unsigned long long)info.sent,
                       (unsigned long long)info.received, info.sender_alive,
                       info.receiver_alive);
        } else if (strcmp(what, "close") == 0) {
            print(what, shmc_channel_close(channel));
            channel = NULL;
        } else if (strcmp(what, "remove") == 0)
            print(what, shmc_remove(argv[++i]));
        else if (strcmp(what, "child") == 0) {
            /* The child makes the remaining calls; the parent waits for it. */
            int status;

            if (fork() > 0)
                return wait(&status) < 0 || status != 0;
        } else if (strcmp(what, "sleeper") == 0) {
            /* seconds: goes on when a child has run its fork handlers; the child then sleeps */
            unsigned seconds = (unsigned)number(argv[++i]);
            int runs[2];
            char none;

            if (pipe(runs) != 0)
                return 1;
            if (fork() == 0) {
                for (int file = 0; file < 3; file++)
                    close(file);
                close(runs[0]);
                close(runs[1]);
                sleep(seconds);
                _exit(0);
            }
            close(runs[1]);
            if (read(runs[0], &none, 1) != 0)
                return 1;
            close(runs[0]);
        } else if (strcmp(what, "clone") == 0) {
            /* Same as "child", but without fork handlers. */
            int status;

            if (syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) > 0)
                return wait(&status) < 0 || status != 0;
        } else if (strcmp(what, "heir") == 0) {
            /* milliseconds: a child runs no fork handlers, and exits after this time */
            useconds_t us = (useconds_t)number(argv[++i]) * 1000;

            if (syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) == 0) {
                for (int file = 0; file < 3; file++)
                    close(file);
                usleep(us);
                _exit(0);
            }
        } else if (strcmp(what, "alarm") == 0) {
            /* milliseconds: a signal handler runs each time this time has passed */
            long us = number(argv[++i]) * 1000;
            struct itimerval timer = {{0, us}, {0, us}};
            struct sigaction action = {0};

            action.sa_handler = on_alarm;
            action.sa_flags = SA_RESTART;
            sigaction(SIGALRM, &action, NULL);
            setitimer(ITIMER_REAL, &timer, NULL);
        } else if (strcmp(what, "sleepms") == 0)
            usleep((useconds_t)number(argv[++i]) * 1000);
        else if (strcmp(what, "mark") == 0) {
            marked = 1;
            raise(SIGUSR1);
        } else if (strcmp(what, "pause") == 0) {
            puts("pause");
            if (getchar() == EOF)
                return 0;
        } else
            return 2;
    }
    return 0;
}
