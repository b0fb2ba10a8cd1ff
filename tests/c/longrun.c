/*
 * One side of a long conversation: "send NAME" or "recv NAME" runs until it is killed, "rest NAME"
 * receives the remaining messages. Each message has its number, which is the number of messages
 * sent before it, and bytes that depend on that number. The successor of a killed process continues
 * at the count of the channel.
 */
#include "shmcomm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LENGTH = 3000 };

static unsigned char message[MAX_LENGTH];

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Message number n: its length and its bytes. */
static size_t make(uint64_t number)
{
    uint64_t state = number * 0x9e3779b97f4a7c15u + 1;
    size_t length = sizeof number + next_random(&state) % (MAX_LENGTH - sizeof number);
    size_t i;

    memcpy(message, &number, sizeof number);
    for (i = sizeof number; i < length; i++)
        message[i] = (unsigned char)next_random(&state);
    return length;
}

static int fail(const char *what, uint64_t number)
{
    printf("%s at message %llu, errno %d\n", what, (unsigned long long)number, errno);
    return 1;
}

static int send_messages(shmc_channel *channel, uint64_t number)
{
    for (;; number++) {
        size_t length = make(number);

        if (number % 2 == 0) {
            while (shmc_send(channel, message, length, -1) != 0)
                if (errno != EPIPE)
                    return fail("send", number);
        } else {
            void *place;

            while ((place = shmc_reserve(channel, MAX_LENGTH, -1)) == NULL)
                if (errno != EPIPE)
                    return fail("reserve", number);
            memcpy(place, message, length);
            if (shmc_commit(channel, length) != 0)
                return fail("commit", number);
        }
    }
}

static int receive_messages(shmc_channel *channel, uint64_t number, int timeout_ms)
{
    for (;; number++) {
        size_t expected = make(number);
        size_t length;
        const void *found = shmc_peek(channel, &length, timeout_ms);

        if (found == NULL) {
            if (errno == EAGAIN)
                return 0;
            if (errno != EPIPE)
                return fail("peek", number);
            number--;
            continue;
        }
        if (length != expected)
            return fail("wrong length", number);
        if (memcmp(found, message, length) != 0)
            return fail("wrong bytes", number);
        if (shmc_release(channel) != 0)
            return fail("release", number);
    }
}

int main(int argc, char **argv)
{
    shmc_channel_info info;
    shmc_channel *channel;
    int sends = argc == 3 && strcmp(argv[1], "send") == 0;
    int rest = argc == 3 && strcmp(argv[1], "rest") == 0;
    int failed;

    if (argc != 3)
        return 2;
    channel = shmc_channel_open(argv[2], 1 << 14, SHMC_CREATE | (sends ? SHMC_SEND : SHMC_RECV),
                                0600);
    if (channel == NULL)
        return fail("open", 0);
    if (shmc_channel_stat(channel, &info) != 0)
        return fail("stat", 0);
    if (sends)
        return send_messages(channel, info.sent);
    failed = receive_messages(channel, info.received, rest ? 0 : -1);
    if (shmc_channel_stat(channel, &info) != 0)
        return fail("stat", 0);
    printf("sent %llu received %llu\n", (unsigned long long)info.sent,
           (unsigned long long)info.received);
    return failed;
}
