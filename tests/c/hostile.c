/* Uses a channel whose memory another process overwrites meanwhile.
 *
 * hostile PATH SECONDS SEED PATIENCE [s]: the channel's object is PATH; s: shared ends. Exits
 * with 0 if all is well, and with 4 if a call took PATIENCE milliseconds longer than its
 * timeout. A call that touches memory outside the channel dies of SIGSEGV. A call that returns
 * too many bytes or an unexpected errno ends the program with 1. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "hostile.h"

#define CAPACITY 8192
#define HEADER 4096
#define ENDS 4

/* The offsets of the header's words: see `at` in channel/memory.rs. */
#define SENDER_LOCK 320
#define RECEIVER_LOCK 384
static const size_t words[] = {0,   8,   64,          72,            128, 136, 192, 256,
                               448, 452, SENDER_LOCK, RECEIVER_LOCK, 456, 460, 464};

static uint64_t adversarial(void)
{
    uint64_t near = random64() % 40 - 20;
    switch (random64() % 8) {
    case 0: return 0;
    case 1: return near;
    case 2: return CAPACITY + near;
    case 3: return CAPACITY - 15 + near % 3;
    case 4: return (1ULL << 63) + near;
    case 5: return random64() % 130;
    case 6: return 0x80000000ULL | random64() % 130;
    default: return random64();
    }
}

static void attack(const char *path)
{
    /* The attacker dies with its parent, also after a failure. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int file = open(path, O_RDWR);
    char *memory = mmap(NULL, HEADER + CAPACITY, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (file < 0 || memory == MAP_FAILED)
        _exit(1);
    /* In some rounds one word changes in a tight loop, as a free lock or one held by a slot. */
    size_t at = random64() % 2 ? words[random64() % (sizeof words / sizeof *words)]
                               : random64() % 2 ? SENDER_LOCK : RECEIVER_LOCK;
    if (at != 0 && random64() % 2)
        for (uint32_t holder = random64() % 2 ? 0 : (uint32_t)(random64() % 64), i = 0;; i++)
            *(volatile uint32_t *)(memory + at) = i << 8 | holder;
    for (;;) {
        for (uint64_t burst = random64() % 1000; burst > 0; burst--) {
            size_t at = HEADER + random64() % (CAPACITY / 8) * 8;
            if (random64() % 2)
                at = words[random64() % (sizeof words / sizeof *words)];
            if (at == 0 && random64() % 100)
                continue;
            uint64_t value = adversarial();
            memcpy(memory + at, &value, at == 448 || at == 452 ? 4 : 8);
        }
        if (random64() % 4 == 0)
            for (size_t at = HEADER; at < HEADER + CAPACITY; at += 8) {
                uint64_t one = random64() % 2 ? 1 : adversarial();
                memcpy(memory + at, &one, 8);
            }
    }
}

static char buffer[2 * CAPACITY];

static void use(struct shmc_channel *channel, int sends)
{
    int timeout = random64() % 8 ? 0 : (int)(random64() % 4);
    size_t length = random64() % 10 ? random64() % 200 : random64() % (CAPACITY + 20);
    double started = now_ms();
    struct shmc_channel_info info;
    errno = 0;
    if (random64() % 10 == 0) {
        if (shmc_channel_stat(channel, &info) || info.capacity != CAPACITY || info.used > CAPACITY)
            fail("stat", (long)info.used);
        check("stat", 1, started, 0);
    } else if (sends && random64() % 2) {
        check("send", shmc_send(channel, buffer, length, timeout) == 0, started, timeout);
    } else if (sends) {
        char *place = shmc_reserve(channel, length, timeout);
        if (!check("reserve", place != NULL, started, timeout))
            return;
        if (!is_mapped(place, length))
            fail("reserved outside", place - mapped[0].start);
        memset(place, (int)random64(), length);
        if (random64() % 2 && shmc_commit(channel, random64() % (length + 1)))
            fail("commit", (long)length);
    } else if (random64() % 2) {
        size_t size = random64() % 2 ? CAPACITY : random64() % 200;
        memset(buffer + size, 0x5a, 64);
        ssize_t got = shmc_recv(channel, buffer, size, timeout);
        if (check("recv", got >= 0, started, timeout) && (size_t)got > size)
            fail("received more than the buffer holds", (long)got);
        for (int i = 0; i < 64; i++)
            if (buffer[size + i] != 0x5a)
                fail("wrote after the end of the buffer", i);
    } else {
        const char *place = shmc_peek(channel, &length, timeout);
        if (!check("peek", place != NULL, started, timeout))
            return;
        if (length > CAPACITY - 16 || !is_mapped(place, length))
            fail("peeked outside", (long)length);
        memcpy(buffer, place, length);
        if (random64() % 2 && shmc_release(channel))
            fail("release", (long)length);
    }
}

static void round_of(const char *path, int shared)
{
    char name[256];
    struct shmc_channel *ends[ENDS] = {NULL};
    snprintf(name, sizeof name, "file:%s", path);
    unlink(path);
    for (int i = 0; i < ENDS; i++) {
        int side = i % 2 ? SHMC_RECV : SHMC_SEND;
        if (i >= 2 && !shared)
            break;
        ends[i] = shmc_channel_open(name, CAPACITY, side | SHMC_CREATE | shared, 0600);
        if (!ends[i])
            fail("open", i);
    }
    pid_t attacker = fork();
    if (attacker == 0)
        attack(path);
    double end = now_ms() + 100;
    while (now_ms() < end) {
        int i = (int)(random64() % (shared ? ENDS : 2));
        int side = i % 2 ? SHMC_RECV : SHMC_SEND;
        if (random64() % 50 == 0) {
            double started = now_ms();
            shmc_channel_close(ends[i]);
            ends[i] = shmc_channel_open(name, 0, side | shared, 0600);
            check("open", ends[i] != NULL, started, 0);
        }
        if (ends[i])
            use(ends[i], i % 2 == 0);
    }
    stop(attacker);
    for (int i = 0; i < ENDS; i++)
        shmc_channel_close(ends[i]);
    unlink(path);
}

int main(int argc, char **argv)
{
    return run(argc, argv, round_of);
}
