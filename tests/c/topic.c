/*
 * Makes the calls that its arguments name, in order, on the topic opened last, and prints the
 * result of each; the flag h is SHMC_HISTORY. "other" goes on with the one opened before. "mark"
 * stops a traced process before the next call and after it.
 */
#define _GNU_SOURCE
#include "calls.h"

#include <poll.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static shmc_topic *topic, *other;
static uint64_t words[1 << 17];
static char *const buffer = (char *)words;

static void print_message(const char *call, const char *message, ssize_t length,
                          const char *what, uint64_t number)
{
    end_mark();
    if (length < 0)
        printf("%s: errno %d\n", call, errno);
    else
        printf("%s: \"%.*s\" %s %llu\n", call, (int)length, message, what,
               (unsigned long long)number);
}

/* Writes messages up to this number, in turns by both ways. Each word of one is its number. */
static int stream(uint64_t last, size_t length)
{
    shmc_topic_info info;

    if (shmc_topic_stat(topic, &info) != 0)
        return 1;
    for (uint64_t k = info.written + 1; k <= last; k++) {
        uint64_t *place = k % 2 ? words : shmc_topic_begin(topic);

        for (size_t i = 0; i < length / 8; i++)
            place[i] = k;
        if (k % 2 ? shmc_topic_write(topic, words, length) : shmc_topic_publish(topic, length))
            return 1;
    }
    return 0;
}

/* Whether a message of a stream is whole. */
static void check(const uint64_t *message, size_t length, uint64_t expected, const char *call)
{
    for (size_t i = 0; i < length / 8; i++)
        if (message[i] != expected) {
            printf("%s: message %llu has %llu in it\n", call, (unsigned long long)expected,
                   (unsigned long long)message[i]);
            exit(1);
        }
}

/* Reads a stream, in turns by both ways, up to this message. What it has read and lost is all. */
static void consume(uint64_t last, int timeout)
{
    uint64_t position = 0, read = 0, lost = 0, stale = 0, latest = 0, newest;

    while (position < last) {
        uint64_t before = 0, first;
        size_t length;
        const uint64_t *message = words;
        int peeks = rand() % 2;

        if (rand() % 4 == 0) {
            ssize_t found = shmc_topic_latest(topic, words, sizeof words, &newest);

            if (found >= 0) {
                check(words, (size_t)found, newest, "latest");
                if (newest < position || newest < latest)
                    exit(3);
                latest = newest;
            }
        }
        if (peeks)
            message = shmc_topic_peek(topic, &length, &before, timeout);
        else {
            ssize_t found = shmc_topic_read(topic, words, sizeof words, &before, timeout);

            message = found < 0 ? NULL : words;
            length = (size_t)found;
        }
        if (message == NULL) {
            if (errno == EPIPE || errno == EAGAIN)
                continue;
            printf("consume: errno %d\n", errno);
            exit(1);
        }
        lost += before;
        position += before + 1;
        first = *(const volatile uint64_t *)message;
        if (peeks && rand() % 8 == 0)
            usleep(100);
        if (peeks && shmc_topic_release(topic) != 0) {
            /* The next call reports it as lost. */
            if (errno != ESTALE)
                exit(1);
            position--;
            stale++;
            continue;
        }
        if (!peeks)
            check(message, length, position, "read");
        else if (first != position)
            exit(4);
        read++;
    }
    printf("consume: %s, %s\n", read + lost == last ? "all" : "miscounted",
           lost > 0 ? "some lost" : "none lost");
}

int main(int argc, char **argv)
{
    int i;

    setvbuf(stdout, NULL, _IOLBF, 0);
    for (i = 1; i < argc; i++) {
        const char *what = argv[i];
        uint64_t count = 0;

        errno = 0;
        if (strcmp(what, "open") == 0 && i + 5 < argc) {
            other = topic;
            topic = shmc_topic_open(argv[i + 1], (size_t)number(argv[i + 2]),
                                    (unsigned)number(argv[i + 3]), flags(argv[i + 4], SHMC_HISTORY),
                                    (mode_t)number(argv[i + 5]));
            i += 5;
            print(what, topic == NULL);
        } else if (strcmp(what, "other") == 0) {
            shmc_topic *before = topic;

            topic = other;
            other = before;
        } else if (strcmp(what, "write") == 0) {
            i++;
            print(what, shmc_topic_write(topic, argv[i], strlen(argv[i])));
        } else if (strcmp(what, "writen") == 0) {
            /* a count and a length */
            for (long n = number(argv[i + 1]); n > 0; n--)
                if (shmc_topic_write(topic, buffer, (size_t)number(argv[i + 2])) != 0)
                    break;
            i += 2;
            print(what, errno);
        } else if (strcmp(what, "begin") == 0) {
            char *place = shmc_topic_begin(topic);

            print(what, place == NULL);
            i++;
            if (place != NULL)
                memcpy(place, argv[i], strlen(argv[i]));
        } else if (strcmp(what, "publish") == 0)
            print(what, shmc_topic_publish(topic, (size_t)number(argv[++i])));
        else if (strcmp(what, "read") == 0) {
            ssize_t length =
                shmc_topic_read(topic, buffer, sizeof words, &count, (int)number(argv[++i]));

            print_message(what, buffer, length, "lost", count);
        } else if (strcmp(what, "latest") == 0) {
            ssize_t length = shmc_topic_latest(topic, buffer, sizeof words, &count);

            print_message(what, buffer, length, "number", count);
        } else if (strcmp(what, "small") == 0)
            /* the size of the buffer */
            print(what, shmc_topic_read(topic, buffer, (size_t)number(argv[++i]), NULL, 0) < 0);
        else if (strcmp(what, "fd") == 0)
            print(what, shmc_topic_fd(topic) == -1);
        else if (strcmp(what, "poll") == 0) {
            /* a timeout */
            struct pollfd waits = {shmc_topic_fd(topic), POLLIN, 0};

            printf("poll: %d\n", poll(&waits, 1, (int)number(argv[++i])));
        } else if (strcmp(what, "polln") == 0) {
            /* a number of messages: one read for each event, until a read fails for good */
            struct pollfd waits = {shmc_topic_fd(topic), POLLIN, 0};
            uint64_t all = 0, wanted = (uint64_t)number(argv[++i]);

            errno = 0;
            while (all < wanted && poll(&waits, 1, 5000) == 1)
                if (shmc_topic_read(topic, buffer, sizeof words, &count, 0) >= 0) {
                    all += 1 + count;
                    errno = 0;
                } else if (errno != EAGAIN)
                    break;
            printf("polln: %llu, errno %d\n", (unsigned long long)all, errno);
        } else if (strcmp(what, "peek") == 0) {
            size_t length = 0;
            const char *message = shmc_topic_peek(topic, &length, &count, (int)number(argv[++i]));

            print_message(what, message, message == NULL ? -1 : (ssize_t)length, "lost", count);
        } else if (strcmp(what, "release") == 0)
            print(what, shmc_topic_release(topic));
        else if (strcmp(what, "scribble") == 0) {
            size_t length;

            *(volatile char *)shmc_topic_peek(topic, &length, NULL, 0) = 0;
        } else if (strcmp(what, "stat") == 0) {
            shmc_topic_info info;

            if (shmc_topic_stat(topic, &info) != 0)
                print(what, 1);
            else
                printf("max_message %llu depth %llu written %llu writer %d\n",
                       (unsigned long long)info.max_message, (unsigned long long)info.depth,
                       (unsigned long long)info.written, info.writer_alive);
        } else if (strcmp(what, "stream") == 0) {
            /* the number of the last message and a length */
            print(what, stream((uint64_t)number(argv[i + 1]), (size_t)number(argv[i + 2])));
            i += 2;
        } else if (strcmp(what, "consume") == 0) {
            /* the number of the last message and a timeout */
            consume((uint64_t)number(argv[i + 1]), (int)number(argv[i + 2]));
            i += 2;
        } else if (strcmp(what, "close") == 0) {
            print(what, shmc_topic_close(topic));
            topic = NULL;
        } else if (strcmp(what, "remove") == 0)
            print(what, shmc_remove(argv[++i]));
        else if (strcmp(what, "child") == 0 || strcmp(what, "clone") == 0) {
            /* The child makes the remaining calls; "clone" runs no fork handlers. */
            int status;
            int is_fork = strcmp(what, "child") == 0;

            if ((is_fork ? fork() : (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)) > 0)
                return wait(&status) < 0 || status != 0;
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
