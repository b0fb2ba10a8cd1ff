/* Writes and reads a topic whose memory another process overwrites meanwhile.
 *
 * hostile-topic PATH SECONDS SEED PATIENCE: the topic's object is PATH. Exits as hostile.c does. */
#define _GNU_SOURCE
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "hostile.h"

#define MAX_MESSAGE 200
#define STRIDE 256
#define DEPTH 8
#define HEADER 4096
#define SIZE (HEADER + DEPTH * STRIDE)
#define HANDLES 3

/* The offsets of the header's words: see `at` in topic/memory.rs. */
#define INTENT 64
#define LAST 128
static const size_t words[] = {0, 8, 16, 24, 32, 40, INTENT, LAST, 192};

static uint64_t adversarial(uint64_t last)
{
    uint64_t near = random64() % 40 - 20;
    switch (random64() % 8) {
    case 0: return 0;
    case 1: return near;
    case 2: return MAX_MESSAGE + near;
    case 3: return (1ULL << 63) + near;
    case 4: return last + near;
    case 5: return last + DEPTH + near % 3;
    case 6: return random64() % 4;
    default: return random64();
    }
}

static void attack(const char *path)
{
    /* The attacker dies with its parent, also after a failure. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int file = open(path, O_RDWR);
    char *memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (file < 0 || memory == MAP_FAILED)
        _exit(1);
    volatile uint64_t *last = (uint64_t *)(memory + LAST), *intent = (uint64_t *)(memory + INTENT);
    switch (random64() % 5) {
    case 0: /* A writer that has always just begun the next message but one. */
        for (;;)
            *intent = *last + DEPTH;
    case 1: /* A writer that publishes faster than any reader reads. */
        for (;;)
            *intent = *last += 1;
    case 2: /* Readers that are never woken, or always. */
        for (uint32_t value = (uint32_t)random64();; value ^= 1)
            *(volatile uint32_t *)(memory + 192) = value;
    case 3: /* A writer that lies about lengths alone. */
        for (;;)
            *(volatile uint64_t *)(memory + HEADER + random64() % DEPTH * STRIDE) = adversarial(0);
    }
    for (;;) {
        size_t at = words[random64() % (sizeof words / sizeof *words)];
        if (random64() % 2)
            at = HEADER + random64() % DEPTH * STRIDE + random64() % 2 * 8 * (random64() % 25);
        if (at < 32 && random64() % 100)
            continue;
        uint64_t value = adversarial(*last);
        memcpy(memory + at, &value, 8);
    }
}

static char buffer[2 * STRIDE];

static void check_buffer(ssize_t got, size_t size)
{
    if (got > (ssize_t)size)
        fail("read more than the buffer holds", (long)got);
    for (int i = 0; i < 64; i++)
        if (buffer[size + i] != 0x5a)
            fail("wrote after the end of the buffer", i);
}

static void write_to(shmc_topic *topic, double started)
{
    size_t length = random64() % (MAX_MESSAGE + 10);
    if (random64() % 2) {
        check("write", shmc_topic_write(topic, buffer, length) == 0, started, 0);
        return;
    }
    char *place = shmc_topic_begin(topic);
    if (!check("begin", place != NULL, started, 0))
        return;
    if (!is_mapped(place, MAX_MESSAGE))
        fail("begun outside", place - mapped[0].start);
    memset(place, (int)random64(), MAX_MESSAGE);
    if (random64() % 2 && shmc_topic_publish(topic, length % (MAX_MESSAGE + 1)))
        fail("publish", (long)length);
}

static void read_from(shmc_topic *topic, double started)
{
    int timeout = random64() % 8 ? 0 : (int)(random64() % 4);
    size_t size = random64() % 2 ? MAX_MESSAGE : random64() % MAX_MESSAGE, length;
    uint64_t number;
    ssize_t got = 0;
    memset(buffer + size, 0x5a, 64);
    switch (random64() % 3) {
    case 0:
        got = shmc_topic_read(topic, buffer, size, &number, timeout);
        check("read", got >= 0, started, timeout);
        break;
    case 1:
        got = shmc_topic_latest(topic, buffer, size, &number);
        check("latest", got >= 0, started, 0);
        break;
    default: {
        const char *place = shmc_topic_peek(topic, &length, &number, timeout);
        if (!check("peek", place != NULL, started, timeout))
            break;
        if (length > MAX_MESSAGE || !is_mapped(place, length))
            fail("peeked outside", (long)length);
        memcpy(buffer, place, length < size ? length : size);
        started = now_ms();
        check("release", shmc_topic_release(topic) == 0, started, 0);
    }
    }
    check_buffer(got, size);
}

static shmc_topic *open_handle(const char *name, int i)
{
    int flags = i == 0 ? SHMC_SEND : SHMC_RECV | (i == 1 ? SHMC_HISTORY : 0);
    return shmc_topic_open(name, MAX_MESSAGE, DEPTH, flags | SHMC_CREATE, 0600);
}

static void round_of(const char *path, int unused)
{
    (void)unused;
    char name[256];
    shmc_topic *handles[HANDLES];
    snprintf(name, sizeof name, "file:%s", path);
    unlink(path);
    for (int i = 0; i < HANDLES; i++)
        if (!(handles[i] = open_handle(name, i)))
            fail("open", i);
    pid_t attacker = fork();
    if (attacker == 0)
        attack(path);
    double end = now_ms() + 50;
    while (now_ms() < end) {
        int i = (int)(random64() % HANDLES);
        double started = now_ms();
        shmc_topic_info info;
        errno = 0;
        if (random64() % 50 == 0) {
            shmc_topic_close(handles[i]);
            handles[i] = open_handle(name, i);
            /* A topic that says it is smaller is too small. */
            if (!check("open", handles[i] != NULL || errno == EINVAL, started, 0))
                continue;
        }
        if (!handles[i])
            continue;
        if (random64() % 10 == 0) {
            if (shmc_topic_stat(handles[i], &info) || info.depth != DEPTH)
                fail("stat", (long)info.depth);
        } else if (i == 0)
            write_to(handles[i], started);
        else
            read_from(handles[i], started);
    }
    stop(attacker);
    for (int i = 0; i < HANDLES; i++)
        shmc_topic_close(handles[i]);
    unlink(path);
}

int main(int argc, char **argv)
{
    return run(argc, argv, round_of);
}
