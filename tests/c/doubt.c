/* Uses a mutex that another process holds, or an object whose creator lives, while this process
 * cannot look up other processes or sees others than its parent. Prints the result of each call:
 * "name: result" or "name: errno N".
 *
 * doubt no-descriptor | no-boot-id | no-time-namespace | no-proc | subset | old-kernel
 * doubt nested fork|_Fork|clone
 * doubt pid-namespace
 * doubt time-namespace NAME
 *
 * Exits with 77 if this user may not create namespaces. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fork_by.h"
#include "shmcomm.h"

/* A path that the library cannot read, and the errno of the failure. */
static const char *refused = "";
static int refusal;

int fstatat(int directory, const char *path, struct stat *status, int flags)
{
    if (strcmp(path, refused) == 0) {
        errno = refusal;
        return -1;
    }
    return (int)syscall(SYS_newfstatat, directory, path, status, flags);
}

int open(const char *path, int flags, ...)
{
    va_list arguments;
    mode_t mode;

    if (strcmp(path, refused) == 0) {
        errno = refusal;
        return -1;
    }
    va_start(arguments, flags);
    mode = va_arg(arguments, mode_t);
    va_end(arguments);
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

static struct shmc_mutex *mutex;

static void print(const char *call, int result)
{
    if (result < 0)
        printf("%s: errno %d\n", call, errno);
    else
        printf("%s: %d\n", call, result);
}

static void try_all(void)
{
    print("init", shmc_mutex_init(mutex));
    print("lock", shmc_mutex_lock(mutex, 0));
    print("unlock", shmc_mutex_unlock(mutex));
}

static int or_skip(int result)
{
    if (result >= 0)
        return result;
    perror("namespace");
    exit(77);
}

static int finish(pid_t child)
{
    int status;

    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
        return 1;
    return WEXITSTATUS(status);
}

/* Opens descriptors until no more are available. */
static int fill(void)
{
    int last = -1, file;

    while ((file = dup(0)) >= 0)
        last = file;
    return last;
}

static int without(const char *what)
{
    int last;

    if (strcmp(what, "no-descriptor") == 0) {
        last = fill();
        try_all();
        close(last);
    } else if (strcmp(what, "no-boot-id") == 0) {
        refused = "/proc/sys/kernel/random/boot_id";
        refusal = EACCES;
        try_all();
    } else if (strcmp(what, "no-time-namespace") == 0) {
        refused = "/proc/self/ns/time";
        refusal = EACCES;
        try_all();
    } else if (strcmp(what, "old-kernel") == 0) {
        refused = "/proc/self/ns/time";
        refusal = ENOENT;
        print("own init", shmc_mutex_init(mutex + 1));
        print("own lock", shmc_mutex_lock(mutex + 1, 0));
        return 0;
    } else {
        const char *options = strcmp(what, "subset") == 0 ? "subset=pid" : NULL;

        or_skip(unshare(CLONE_NEWNS));
        or_skip(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
        or_skip(mount(options ? "proc" : "none", "/proc", options ? "proc" : "tmpfs", 0, options));
        try_all();
        umount("/proc");
    }
    refused = "";
    puts("readable again");
    print("lock", shmc_mutex_lock(mutex, 0));
    return 0;
}

/* Pid 1 of a pid namespace creates a child that is pid 1 of another one. */
static int nested(const char *how)
{
    int status;
    pid_t child;

    or_skip(unshare(CLONE_NEWPID));
    child = fork();
    if (child != 0)
        return finish(child);
    if (getpid() != 1)
        return 2;
    memset(mutex, 0, sizeof *mutex);
    shmc_mutex_init(mutex);
    print("parent's lock", shmc_mutex_lock(mutex, 0));
    or_skip(unshare(CLONE_NEWPID));
    fflush(stdout);
    child = fork_by(how);
    if (child == 0) {
        if (getpid() != 1)
            return 2;
        try_all();
        fflush(stdout);
        _exit(0);
    }
    status = finish(child);
    print("parent's unlock", shmc_mutex_unlock(mutex));
    return status;
}

static int other_pid_namespace(void)
{
    pid_t child;

    or_skip(unshare(CLONE_NEWPID));
    fflush(stdout);
    child = fork();
    if (child == 0)
        try_all();
    return child == 0 ? 0 : finish(child);
}

/* The object's living creator is in another time namespace. */
static int other_time_namespace(const char *name)
{
    static const char offset[] = "boottime 100000 0\n";
    struct shmc_segment *segment = shmc_segment_open(name, 64, SHMC_CREATE | SHMC_EXCL, 0600);
    pid_t child;
    int file;

    if (segment == NULL)
        return 1;
    shmc_segment_close(segment);
    or_skip(unshare(CLONE_NEWTIME));
    file = or_skip(open("/proc/self/timens_offsets", O_WRONLY));
    or_skip((int)write(file, offset, sizeof offset - 1));
    close(file);
    fflush(stdout);
    child = fork();
    if (child == 0) {
        segment = shmc_segment_open(name, 64, SHMC_CREATE | SHMC_EXCL | SHMC_RECLAIM, 0600);
        print("reclaim", segment == NULL ? -1 : 0);
        return 0;
    }
    return finish(child) | shmc_remove(name);
}

int main(int argc, char **argv)
{
    int ready[2];
    char byte;
    pid_t holder;
    int status;

    if (argc < 2)
        return 2;
    if (strcmp(argv[1], "time-namespace") == 0)
        return other_time_namespace(argv[2]);
    mutex = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (mutex == MAP_FAILED)
        return 1;
    if (strcmp(argv[1], "nested") == 0)
        return nested(argv[2]);
    /* The holder calls the library first, so this process has looked nothing up yet. */
    if (pipe(ready) != 0)
        return 1;
    holder = fork();
    if (holder == 0) {
        close(ready[0]);
        /* Where this user may not make namespaces, the parent ends at once. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (shmc_mutex_init(mutex) != 0 || shmc_mutex_lock(mutex, 0) != 0)
            _exit(1);
        if (write(ready[1], "", 1) != 1)
            _exit(1);
        pause();
        _exit(0);
    }
    close(ready[1]);
    if (read(ready[0], &byte, 1) != 1)
        return 1;
    close(ready[0]);
    status = strcmp(argv[1], "pid-namespace") == 0 ? other_pid_namespace() : without(argv[1]);
    kill(holder, SIGKILL);
    return finish(holder) == 1 ? status : 1;
}
