/* What the programs with a hostile peer share: guard pages, random numbers, a clock, and the check of
 * each call. */
#ifndef HOSTILE_H
#define HOSTILE_H

#include "shmcomm.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define GUARD (1 << 20)

/* mmap(2) for the library. What it maps of a file gets inaccessible pages on both sides; so does a
 * reservation without access, into which it maps a file itself. */
static struct { char *start; size_t length; } mapped[8];

void *mmap(void *address, size_t length, int protection, int flags, int file, off_t offset)
{
    int reserves = protection == PROT_NONE && (flags & MAP_NORESERVE);
    if (address || (!reserves && file < 0))
        return (void *)syscall(SYS_mmap, address, length, protection, flags, file, offset);
    size_t whole = (length + 4095) / 4096 * 4096 + 2 * GUARD;
    int anonymous = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    long got = syscall(SYS_mmap, NULL, whole, PROT_NONE, anonymous, -1, 0);
    if (got == -1)
        return MAP_FAILED;
    if (!reserves)
        syscall(SYS_mmap, got + GUARD, length, protection, flags | MAP_FIXED, file, offset);
    for (int i = 0; i < 8; i++)
        if (!mapped[i].start) {
            mapped[i].start = (char *)got + GUARD;
            mapped[i].length = length;
            return mapped[i].start;
        }
    abort();
}

int munmap(void *address, size_t length)
{
    for (int i = 0; i < 8; i++)
        if (mapped[i].start == address) {
            if (mapped[i].length != length)
                abort();
            mapped[i].start = NULL;
            length = (length + 4095) / 4096 * 4096;
            return (int)syscall(SYS_munmap, (char *)address - GUARD, length + 2 * GUARD);
        }
    return (int)syscall(SYS_munmap, address, length);
}

static int is_mapped(const char *start, size_t length)
{
    for (int i = 0; i < 8; i++)
        if (mapped[i].start && start >= mapped[i].start && length <= mapped[i].length &&
            start + length <= mapped[i].start + mapped[i].length)
            return 1;
    return 0;
}

static uint64_t state;

static uint64_t random64(void)
{
    state += 0x9e3779b97f4a7c15;
    uint64_t bits = state;
    bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9;
    bits = (bits ^ (bits >> 27)) * 0x94d049bb133111eb;
    return bits ^ (bits >> 31);
}

/* Milliseconds, without those in which other processes had the processor, so a busy machine
 * spoils no measurement. */
static double now_ms(void)
{
    static int statistics = -2;
    struct timespec time;
    char text[64] = "";
    unsigned long long waited = 0;

    if (statistics == -2)
        statistics = open("/proc/self/schedstat", O_RDONLY | O_CLOEXEC);
    if (statistics >= 0 && pread(statistics, text, sizeof text - 1, 0) > 0)
        sscanf(text, "%*u %llu", &waited);
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1e3 + time.tv_nsec / 1e6 - waited / 1e6;
}

static double patience;
static long slow;

static void fail(const char *what, long value)
{
    fprintf(stderr, "%s: %ld, errno %d\n", what, value, errno);
    exit(1);
}

static long calls, successes;

/* Returns whether a call succeeded. Its errno must be documented for damage or for waiting. */
static int check(const char *what, int succeeded, double started, int timeout)
{
    int errnum = errno;
    double took = now_ms() - started;
    calls++;
    if (took > timeout + patience) {
        fprintf(stderr, "%s: %.0f ms, timeout %d\n", what, took, timeout);
        slow++;
    }
    if (succeeded) {
        successes++;
        return 1;
    }
    if (errnum != EAGAIN && errnum != ETIMEDOUT && errnum != EPIPE && errnum != EBADMSG &&
        errnum != EMSGSIZE && errnum != ESTALE)
        fail(what, errnum);
    return 0;
}

/* Ends the process that overwrites. */
static void stop(pid_t attacker)
{
    int status;
    kill(attacker, SIGKILL);
    if (waitpid(attacker, &status, 0) != attacker || !WIFSIGNALED(status))
        fail("attacker", status);
}

/* The whole of main: a name, seconds, a seed, and by how many milliseconds a call may exceed its
 * timeout. `shared` is SHMC_SHARED if there is one more argument. */
static int run(int argc, char **argv, void (*round_of)(const char *path, int shared))
{
    if (argc < 5)
        return 2;
    patience = atof(argv[4]);
    state = strtoull(argv[3], NULL, 0);
    double end = now_ms() + atof(argv[2]) * 1e3;
    do
        round_of(argv[1], argc > 5 ? SHMC_SHARED : 0);
    while (now_ms() < end);
    printf("%ld calls, %ld successes\n", calls, successes);
    if (successes == 0 || successes == calls)
        return 3;
    return slow > 0 ? 4 : 0;
}

#endif
