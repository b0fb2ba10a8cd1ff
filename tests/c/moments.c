/* The library's behaviour at moments that no caller hits by chance.
 *
 * moments removed NAME PATH: the object is removed when it is opened, but not yet locked
 * moments replaced NAME PATH: another one has its name by then
 * moments memory NAME: whether lock, unlock and sync reach the kernel */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shmcomm.h"

static const char *name, *path, *moment = "";

int flock(int file, int how)
{
    const char *now = moment;

    moment = "";
    if (*now != '\0')
        unlink(path);
    if (strcmp(now, "replaced") == 0) {
        struct shmc_segment *other = shmc_segment_open(name, 128, SHMC_CREATE | SHMC_EXCL, 0600);

        if (other == NULL)
            puts("no other");
    }
    return (int)syscall(SYS_flock, file, how);
}

int msync(void *address, size_t size, int flags)
{
    printf("msync: %zu bytes, synchronously: %d\n", size, flags == MS_SYNC);
    return (int)syscall(SYS_msync, address, size, flags);
}

static void print_locked(const char *after)
{
    char line[200];
    FILE *status = fopen("/proc/self/status", "r");
    int kilobytes = -1;

    while (status != NULL && fgets(line, sizeof line, status) != NULL)
        sscanf(line, "VmLck: %d", &kilobytes);
    if (status != NULL)
        fclose(status);
    printf("%s: %d kB locked\n", after, kilobytes);
}

static void open_in_moment(const char *what, int flags, size_t size)
{
    struct shmc_segment *made = shmc_segment_open(name, 64, SHMC_CREATE | SHMC_EXCL, 0600);
    struct shmc_segment *opened;
    struct shmc_segment_info info;

    moment = what;
    errno = 0;
    opened = shmc_segment_open(name, size, flags, 0600);
    if (opened == NULL)
        printf("open: errno %d\n", errno);
    else if (shmc_segment_stat(opened, &info) == 0)
        printf("open: %zu bytes, removed %d\n", info.size, info.removed);
    shmc_segment_close(made);
    shmc_segment_close(opened);
    shmc_remove(name);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    name = argv[2];
    path = argc > 3 ? argv[3] : "";
    if (strcmp(argv[1], "memory") == 0) {
        struct shmc_segment *segment = shmc_segment_open(name, 65536, SHMC_CREATE, 0600);

        print_locked("open");
        if (shmc_segment_lock(segment) != 0)
            return 77;
        print_locked("lock");
        shmc_segment_unlock(segment);
        print_locked("unlock");
        shmc_segment_sync(segment);
        return 0;
    }
    open_in_moment(argv[1], 0, 0);
    open_in_moment(argv[1], SHMC_CREATE, 32);
    return 0;
}
