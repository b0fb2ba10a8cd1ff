/* Interposes every imported function that can fail, with its plausible errnos. The linker
 * redirects the library's calls to these functions (--wrap). No errno is a lie: no call reports
 * a living process as dead, for instance. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "faults.h"

#define KIND(variable, name, ...) static struct kind variable = {name, {__VA_ARGS__}, 0}
#define DECLARE(result, name, parameters) \
    result __real_##name parameters;      \
    result __wrap_##name parameters
#define WRAP(result, name, parameters, arguments, failure, ...)            \
    DECLARE(result, name, parameters);                                     \
    result __wrap_##name parameters                                        \
    {                                                                      \
        KIND(kind, #name, __VA_ARGS__);                                    \
        return inject(&kind) ? (failure) : __real_##name arguments;        \
    }

/* Files */
DECLARE(int, open, (const char *path, int flags, ...));
int __wrap_open(const char *path, int flags, ...)
{
    KIND(existing, "open", EACCES, EINTR, EIO, EISDIR, ELOOP, EMFILE, ENFILE, ENOENT, ENOMEM,
         ENOSYS, ENOTDIR, ENXIO, EPERM, EROFS, ETXTBSY);
    KIND(creating, "open(O_CREAT)", EACCES, EDQUOT, EEXIST, EINTR, EIO, ELOOP, EMFILE, ENFILE,
         ENOENT, ENOMEM, ENOSPC, ENOSYS, ENOTDIR, EPERM, EROFS);
    KIND(unnamed, "open(O_TMPFILE)", EACCES, EDQUOT, EINTR, EINVAL, EIO, EISDIR, ELOOP, EMFILE,
         ENFILE, ENOENT, ENOMEM, ENOSPC, ENOSYS, ENOTDIR, EOPNOTSUPP, EPERM, EROFS);
    va_list arguments;
    va_start(arguments, flags);
    int is_unnamed = (flags & O_TMPFILE) == O_TMPFILE;
    int creates = flags & O_CREAT;
    mode_t mode = is_unnamed || creates ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    if (inject(is_unnamed ? &unnamed : creates ? &creating : &existing))
        return -1;
    if (armed && is_unnamed && missing & WITHOUT_TMPFILE) {
        errno = EOPNOTSUPP;
        return -1;
    }
    int file = __real_open(path, flags, mode);
    if (file >= 0 && creates && !is_unnamed)
        created_name(path);
    return file;
}

DECLARE(int, close, (int file));
int __wrap_close(int file)
{
    KIND(kind, "close", EDQUOT, EINTR, EIO, ENOSPC);
    /* Linux closes the descriptor even if it reports an error. */
    if (armed && file < 0)
        return __real_close(file);
    int errnum = inject(&kind);
    int result = __real_close(file);
    if (!errnum)
        return result;
    errno = errnum;
    return -1;
}

DECLARE(int, fcntl, (int file, int command, ...));
int __wrap_fcntl(int file, int command, ...)
{
    KIND(lock, "fcntl(F_OFD_SETLK)", EACCES, EAGAIN, EINTR, EINVAL, EIO, ENOLCK);
    KIND(ask, "fcntl(F_OFD_GETLK)", EINVAL, EIO, ENOLCK);
    KIND(duplicate, "fcntl(F_DUPFD_CLOEXEC)", EINVAL, EMFILE);
    KIND(other, "fcntl", EINVAL, EPERM);
    va_list arguments;
    va_start(arguments, command);
    long argument = va_arg(arguments, long);
    va_end(arguments);
    struct kind *kind = command == F_OFD_SETLK ? &lock
        : command == F_OFD_GETLK ? &ask
        : command == F_DUPFD_CLOEXEC ? &duplicate : &other;
    return inject(kind) ? -1 : __real_fcntl(file, command, argument);
}

WRAP(int, inotify_init1, (int flags), (flags), -1, EMFILE, ENFILE, ENOMEM, ENOSYS, EPERM)
WRAP(int, inotify_add_watch, (int queue, const char *path, uint32_t mask), (queue, path, mask), -1,
     EACCES, ENOENT, ENOMEM, ENOSPC, ENOSYS, EPERM)
WRAP(ssize_t, pread, (int file, void *to, size_t size, off_t at), (file, to, size, at), -1, EINTR,
     EIO, ENOMEM, ENOSYS, EPERM)
WRAP(int, fstat, (int file, struct stat *status), (file, status), -1, EIO, ENOMEM, EOVERFLOW)
DECLARE(int, fstatat, (int at, const char *path, struct stat *status, int flags));
int __wrap_fstatat(int at, const char *path, struct stat *status, int flags)
{
    KIND(kind, "fstatat", EACCES, EIO, ELOOP, ENOENT, ENOMEM, ENOTDIR);
    /* ENOENT would mean that the kernel has no such namespace. */
    KIND(namespace, "fstatat(/proc/self/ns)", EACCES, EIO, ENOMEM);
    int is_namespace = !strncmp(path, "/proc/self/ns/", 14);
    return inject(is_namespace ? &namespace : &kind) ? -1
                                                     : __real_fstatat(at, path, status, flags);
}

WRAP(int, fchmod, (int file, mode_t mode), (file, mode), -1, EIO, EPERM, EROFS)
WRAP(int, fchown, (int file, uid_t uid, gid_t gid), (file, uid, gid), -1, EDQUOT, EINVAL, EIO,
     EPERM, EROFS)
WRAP(int, posix_fallocate, (int file, off_t at, off_t size), (file, at, size), errno, EDQUOT, EFBIG,
     EINTR, EINVAL, EIO, ENODEV, ENOMEM, ENOSPC, EOPNOTSUPP, EPERM)
WRAP(int, ftruncate, (int file, off_t size), (file, size), -1, EFBIG, EINTR, EINVAL, EIO, ENOMEM,
     ENOSPC, EPERM)
WRAP(int, flock, (int file, int what), (file, what), -1, EINTR, EINVAL, ENOLCK, ENOSYS, EWOULDBLOCK)
WRAP(int, fsetxattr, (int file, const char *name, const void *value, size_t size, int flags),
     (file, name, value, size, flags), -1, EACCES, EDQUOT, EIO, ENOMEM, ENOSPC, EOPNOTSUPP, EPERM)
WRAP(ssize_t, fgetxattr, (int file, const char *name, void *value, size_t size),
     (file, name, value, size), -1, EIO, ENODATA, ENOMEM, EOPNOTSUPP, ERANGE)
WRAP(ssize_t, read, (int file, void *to, size_t size), (file, to, size), -1, EINTR, EIO)

WRAP(char *, getcwd, (char *to, size_t size), (to, size), NULL, EACCES, ENOENT, ENOMEM)

#define NAMING EACCES, EDQUOT, EEXIST, EIO, ENOENT, ENOMEM, ENOSPC, ENOSYS, EPERM, EROFS
DECLARE(int, link, (const char *from, const char *to));
int __wrap_link(const char *from, const char *to)
{
    KIND(kind, "link", NAMING);
    int result = inject(&kind) ? -1 : __real_link(from, to);
    if (result == 0)
        created_name(to);
    return result;
}

DECLARE(int, linkat, (int from_at, const char *from, int to_at, const char *to, int flags));
int __wrap_linkat(int from_at, const char *from, int to_at, const char *to, int flags)
{
    KIND(kind, "linkat", NAMING);
    if (inject(&kind))
        return -1;
    if (armed && missing & WITHOUT_LINKAT) {
        errno = ENOENT;
        return -1;
    }
    int result = __real_linkat(from_at, from, to_at, to, flags);
    if (result == 0)
        created_name(to);
    return result;
}

DECLARE(int, rename, (const char *from, const char *to));
int __wrap_rename(const char *from, const char *to)
{
    KIND(kind, "rename", NAMING, EBUSY);
    int result = inject(&kind) ? -1 : __real_rename(from, to);
    if (result == 0)
        created_name(to);
    return result;
}

DECLARE(int, unlink, (const char *path));
int __wrap_unlink(const char *path)
{
    KIND(kind, "unlink", EACCES, EBUSY, EIO, EISDIR, ENOENT, ENOMEM, EPERM, EROFS);
    char line[300];
    snprintf(line, sizeof line, "name %s ", path);
    if (inject(&kind)) {
        not_released(line, (void *)path, 0, 0);
        return -1;
    }
    released(line);
    return __real_unlink(path);
}

/* Memory */
WRAP(int, memfd_create, (const char *name, unsigned flags), (name, flags), -1, EINVAL, EMFILE,
     ENFILE, ENOMEM, ENOSYS, EPERM)
DECLARE(void *, mmap, (void *address, size_t size, int protection, int flags, int file, off_t at));
static void *last_private;
void *__wrap_mmap(void *address, size_t size, int protection, int flags, int file, off_t at)
{
    KIND(kind, "mmap", EACCES, EAGAIN, ENFILE, ENODEV, ENOMEM, EPERM);
    if (inject(&kind))
        return MAP_FAILED;
    void *memory = __real_mmap(address, size, protection, flags, file, at);
    if (flags & MAP_PRIVATE)
        last_private = memory;
    return memory;
}

DECLARE(int, madvise, (void *address, size_t size, int advice));
int __wrap_madvise(void *address, size_t size, int advice)
{
    KIND(kind, "madvise", EACCES, EAGAIN, EFAULT, EINVAL, EIO, ENOMEM, ENOSYS, EPERM);
    int result = inject(&kind) ? -1 : __real_madvise(address, size, advice);
    /* A page that a fork wipes is mapped once and stays until the process exits. */
    if (result == 0 && advice == MADV_WIPEONFORK && address == last_private)
        lasting_page = address;
    return result;
}

WRAP(int, mprotect, (void *address, size_t size, int protection), (address, size, protection), -1,
     EACCES, EAGAIN, ENOMEM)
WRAP(int, mlock, (const void *address, size_t size), (address, size), -1, EAGAIN, ENOMEM, EPERM)
WRAP(int, munlock, (const void *address, size_t size), (address, size), -1, ENOMEM, EPERM)
WRAP(int, msync, (void *address, size_t size, int flags), (address, size, flags), -1, EDQUOT, EIO,
     ENOMEM, ENOSPC)

DECLARE(int, munmap, (void *address, size_t size));
int __wrap_munmap(void *address, size_t size)
{
    KIND(kind, "munmap", EINVAL, ENOMEM);
    char line[64];
    snprintf(line, sizeof line, "map %lx-", (unsigned long)address);
    if (inject(&kind)) {
        not_released(line, address, size, 0);
        return -1;
    }
    released(line);
    return __real_munmap(address, size);
}

DECLARE(void *, malloc, (size_t size));
void *__wrap_malloc(size_t size)
{
    KIND(kind, "malloc", ENOMEM);
    void *memory = inject(&kind) ? NULL : __real_malloc(size);
    live_allocations += memory != NULL;
    return memory;
}

DECLARE(void, free, (void *memory));
void __wrap_free(void *memory)
{
    live_allocations -= memory != NULL;
    __real_free(memory);
}

/* System V */
WRAP(key_t, ftok, (const char *path, int id), (path, id), -1, EACCES, EIO, ELOOP, ENAMETOOLONG,
     ENOENT, ENOMEM, ENOTDIR)

DECLARE(int, shmget, (key_t key, size_t size, int flags));
int __wrap_shmget(key_t key, size_t size, int flags)
{
    KIND(creating, "shmget(IPC_CREAT)", EACCES, EEXIST, EINVAL, ENFILE, ENOMEM, ENOSPC, ENOSYS, EPERM);
    KIND(existing, "shmget", EACCES, EINVAL, ENOENT, ENOSYS, EPERM);
    int id = inject(flags & IPC_CREAT ? &creating : &existing) ? -1 : __real_shmget(key, size, flags);
    if (id >= 0)
        created_shm(id);
    return id;
}

WRAP(void *, shmat, (int id, const void *at, int flags), (id, at, flags), (void *)-1, EACCES, EIDRM,
     EINVAL, ENFILE, ENOMEM)

DECLARE(int, shmdt, (const void *address));
int __wrap_shmdt(const void *address)
{
    KIND(kind, "shmdt", EINVAL);
    char line[64];
    snprintf(line, sizeof line, "map %lx-", (unsigned long)address);
    if (inject(&kind)) {
        not_released(line, (void *)address, 0, 0);
        return -1;
    }
    released(line);
    return __real_shmdt(address);
}

/* Whether a shmctl or semctl fails now. */
static int fails(struct kind *kind, const char *table, int id, int command)
{
    int failed = inject(kind);
    char line[64];
    snprintf(line, sizeof line, "%s %d ", table, id);
    if (command == IPC_RMID && failed)
        not_released(line, NULL, 0, id);
    else if (command == IPC_RMID)
        released(line);
    return failed;
}

DECLARE(int, shmctl, (int id, int command, struct shmid_ds *ds));
int __wrap_shmctl(int id, int command, struct shmid_ds *ds)
{
    KIND(status, "shmctl(IPC_STAT)", EACCES, EIDRM, EINVAL, EOVERFLOW);
    KIND(set, "shmctl(IPC_SET)", EIDRM, EINVAL, EPERM);
    KIND(removal, "shmctl(IPC_RMID)", EIDRM, EINVAL, EPERM);
    KIND(lock, "shmctl(SHM_LOCK)", EIDRM, EINVAL, ENOMEM, EPERM);
    KIND(unlock, "shmctl(SHM_UNLOCK)", EIDRM, EINVAL, ENOMEM, EPERM);
    struct kind *kind = command == IPC_SET ? &set : command == IPC_RMID ? &removal
        : command == SHM_LOCK ? &lock : command == SHM_UNLOCK ? &unlock : &status;
    if (fails(kind, "shm", id, command))
        return -1;
    return __real_shmctl(id, command, ds);
}

DECLARE(int, semget, (key_t key, int count, int flags));
int __wrap_semget(key_t key, int count, int flags)
{
    KIND(creating, "semget(IPC_CREAT)", EACCES, EINVAL, ENOMEM, ENOSPC, ENOSYS, EPERM);
    KIND(existing, "semget", EACCES, EINVAL, ENOENT, ENOSYS, EPERM);
    int id = inject(flags & IPC_CREAT ? &creating : &existing) ? -1 : __real_semget(key, count, flags);
    if (id >= 0)
        created_sem(id);
    return id;
}

DECLARE(int, semctl, (int id, int which, int command, ...));
int __wrap_semctl(int id, int which, int command, ...)
{
    KIND(status, "semctl(IPC_STAT)", EACCES, EIDRM, EINVAL);
    KIND(value, "semctl(GETVAL)", EACCES, EIDRM, EINVAL);
    KIND(removal, "semctl(IPC_RMID)", EIDRM, EINVAL, EPERM);
    KIND(other, "semctl", EACCES, EIDRM, EINVAL, EPERM, ERANGE);
    va_list arguments;
    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    struct kind *kind = command == IPC_STAT ? &status : command == GETVAL ? &value
        : command == IPC_RMID ? &removal : &other;
    if (fails(kind, "sem", id, command))
        return -1;
    return __real_semctl(id, which, command, argument);
}

DECLARE(int, semtimedop,
        (int id, struct sembuf *operations, size_t count, const struct timespec *timeout));
int __wrap_semtimedop(int id, struct sembuf *operations, size_t count,
                      const struct timespec *timeout)
{
    KIND(at_once, "semtimedop(IPC_NOWAIT)", EACCES, ENOMEM, ENOSPC, ERANGE);
    KIND(waiting, "semtimedop", EACCES, EIDRM, EINTR, EINVAL, ENOMEM, ENOSPC, ERANGE);
    int waits = operations[0].sem_op < 0 && !(operations[0].sem_flg & IPC_NOWAIT);
    return inject(waits ? &waiting : &at_once) ? -1
                                               : __real_semtimedop(id, operations, count, timeout);
}

/* Processes, sleep, and calls through syscall(2) */
WRAP(int, kill, (pid_t pid, int number), (pid, number), -1, EPERM)
WRAP(ssize_t, getrandom, (void *to, size_t size, unsigned flags), (to, size, flags), -1, EAGAIN,
     EINTR, ENOSYS, EPERM)
WRAP(int, pthread_atfork, (void (*before)(void), void (*parent)(void), void (*child)(void)),
     (before, parent, child), errno, ENOMEM)
WRAP(int, __register_atfork,
     (void (*before)(void), void (*parent)(void), void (*child)(void), void *object),
     (before, parent, child, object), errno, ENOMEM)

DECLARE(int, nanosleep, (const struct timespec *time, struct timespec *rest));
int __wrap_nanosleep(const struct timespec *time, struct timespec *rest)
{
    KIND(kind, "nanosleep", EINTR);
    if (inject(&kind))
        return -1;
    /* The library sleeps before it looks again. Nothing changes meanwhile here, so the sleep is
     * left out. */
    return armed ? 0 : __real_nanosleep(time, rest);
}

DECLARE(long, syscall, (long number, ...));
long __wrap_syscall(long number, ...)
{
    KIND(wait, "futex(FUTEX_WAIT)", EINTR, ENOMEM, ENOSYS);
    KIND(wake, "futex(FUTEX_WAKE)", EINVAL, ENOMEM, ENOSYS);
    KIND(barrier, "membarrier", EINVAL, ENOSYS, EPERM);
    KIND(renaming, "renameat2", NAMING, EBUSY, EINVAL);
    KIND(listing, "getdents64", EIO, ENOENT);
    KIND(other, "syscall", EINVAL, ENOSYS, EPERM);
    long a[6];
    va_list arguments;
    va_start(arguments, number);
    for (int i = 0; i < 6; i++)
        a[i] = va_arg(arguments, long);
    va_end(arguments);
    struct kind *kind = &other;
    if (number == SYS_futex)
        kind = ((int)a[1] & 127) == 1 ? &wake : &wait;
    else if (number == SYS_membarrier)
        kind = &barrier;
    else if (number == SYS_renameat2)
        kind = &renaming;
    else if (number == SYS_getdents64)
        kind = &listing;
    /* gettid(2) cannot fail. */
    if (number != SYS_gettid && inject(kind))
        return -1;
    long result = __real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    if (number == SYS_renameat2 && result == 0)
        created_name((const char *)a[3]);
    return result;
}
