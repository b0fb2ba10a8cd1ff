/* shmcomm.h, generated from the Rust source: do not edit. */

#ifndef SHMCOMM_SHMCOMM_H
#define SHMCOMM_SHMCOMM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/ipc.h>
#include <sys/types.h>

/*
 * Shared memory of every kind that Linux has, under one grammar of names:
 *
 *   sysv:PATH     sysv:PATH#ID    System V; the key is ftok(PATH, 0x66), or
 *                                 ftok(PATH, ID), ID decimal or 0x...
 *   sysv:0xKEY                    System V, this key
 *   sysv:private  sysv:id:N       System V, always new; the existing segment N
 *   posix:/NAME                   an object as shm_open(3) has them
 *   file:PATH                     a mapped regular file
 *   anon:                         anonymous memory, for children of fork(2)
 *
 * Functions return 0 or a pointer, or -1 or NULL and errno. Nothing is removed
 * but by shmc_remove, or where SHMC_RECLAIM asks for it: not by closing, not
 * at exit, not by a child.
 */

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Make the segment if there is none.
 */
#define SHMC_CREATE 1

/**
 * With SHMC_CREATE: fail with EEXIST if there is one.
 */
#define SHMC_EXCL 2

/**
 * Attach for reading only: a write to the memory faults (SIGSEGV).
 */
#define SHMC_RDONLY 4

/**
 * With SHMC_CREATE: replace a segment that is provably left over, which is one of the caller's own
 * that nobody has attached and whose creator has ended. When in doubt, it stays: it is opened, or
 * with SHMC_EXCL refused. Of objects and
 * files, only those that this library made can be told; they must lie on a file system with
 * extended attributes (tmpfs has them from Linux 6.6 on).
 */
#define SHMC_RECLAIM 8

/**
 * Make all pages present now, so that no first touch takes a fault later.
 */
#define SHMC_PREFAULT 16

/**
 * Use huge pages if there are any, else transparent ones, else normal ones;
 * shmc_segment_stat says which.
 */
#define SHMC_HUGE 32

/**
 * Keep the memory from being swapped, as shmc_segment_lock.
 */
#define SHMC_LOCKED 64

/**
 * In shmc_segment_info: normal pages.
 */
#define SHMC_PAGES_NORMAL 0

/**
 * In shmc_segment_info: transparent huge pages, where the kernel can give them.
 */
#define SHMC_PAGES_TRANSPARENT 1

/**
 * In shmc_segment_info: huge pages.
 */
#define SHMC_PAGES_HUGE 2

/**
 * An open segment. It belongs to the process that opened it and to its children, each of which
 * closes its own.
 */
typedef struct shmc_segment shmc_segment;

/**
 * What shmc_segment_stat tells.
 */
typedef struct shmc_segment_info {
  /**
   * True size in bytes.
   */
  size_t size;
  /**
   * Permission bits.
   */
  mode_t mode;
  /**
   * Owner.
   */
  uid_t uid;
  /**
   * Group.
   */
  gid_t gid;
  /**
   * System V key; 0 for a private segment, for one that is removed, and for other memory.
   */
  key_t key;
  /**
   * System V id; -1 for other memory.
   */
  int id;
  /**
   * The process that made it; 0 if that is not known.
   */
  pid_t creator_pid;
  /**
   * The last process that attached or detached; 0 if that is not known.
   */
  pid_t last_pid;
  /**
   * How many times it is attached; -1 if that is not known (all but System V).
   */
  int64_t attached;
  /**
   * Last attach, or last access of a file, in seconds since 1970; 0: never.
   */
  int64_t atime;
  /**
   * Last detach, likewise.
   */
  int64_t dtime;
  /**
   * Creation or last change of owner or mode, likewise.
   */
  int64_t ctime;
  /**
   * 1 if it has no name any more, and goes with its last user.
   */
  int removed;
  /**
   * 1 if it is kept from being swapped.
   */
  int locked;
  /**
   * SHMC_PAGES_NORMAL, SHMC_PAGES_TRANSPARENT or SHMC_PAGES_HUGE.
   */
  int pages;
} shmc_segment_info;

/**
 * Opens a segment and attaches it, at an address of the kernel's choice.
 *
 * name: which memory, by the grammar at the top of this header.
 * size: bytes; a new segment's size, or what an existing one must at least have. 0 takes an
 * existing one as it is. The whole segment is attached, however large it is.
 * flags: 0 or any of SHMC_CREATE, SHMC_EXCL, SHMC_RDONLY, SHMC_RECLAIM, SHMC_PREFAULT, SHMC_HUGE,
 * SHMC_LOCKED.
 * mode: permission bits of a new segment, exactly, whatever the umask (0600: the owner alone).
 *
 * "anon:" and "sysv:private" are always new, with or without SHMC_CREATE. A new segment is filled with zeros. The memory of a
 * posix: or file: name is allocated at once: a full file system is ENOSPC now, not SIGBUS later. A posix: or file: name is there
 * whole or not at all, at whatever moment its creator is killed; a sysv: segment is whole from the
 * moment it is there.
 *
 * Returns the segment; NULL on failure, with errno:
 *   EINVAL        the name, a flag, or a mode beyond 0777; SHMC_EXCL or SHMC_RECLAIM without
 *                 SHMC_CREATE; SHMC_CREATE of a sysv:id:; size 0 for a new segment, or beyond a
 *                 limit; the existing one is smaller, is empty, or is no regular file
 *   ENAMETOOLONG  a path or POSIX name that is too long
 *   ENOENT        there is no such segment, or no such path for the key or file
 *   EEXIST        SHMC_EXCL, and there is one
 *   EACCES        the mode does not permit it; or SHMC_CREATE found a POSIX object of another
 *                 user's, which may be planted
 *   ELOOP         the POSIX name is a symbolic link, or a path has too many of them
 *   ENOTDIR, EISDIR, EROFS, EFBIG   as open(2) and posix_fallocate(3)
 *   ENOSPC        no memory or blocks left on the file system, or no System V segment allowed
 *   ENOMEM        not enough memory or address space, or more locked than is allowed
 *   EPERM         SHMC_LOCKED, and not allowed to lock
 *   EMFILE, ENFILE  too many open files
 *   EIDRM         a sysv:id: that is removed
 *   EBUSY         others made and removed it the whole time, or somebody holds its flock(2)
 *
 * Thread-safe. Not async-signal-safe. A child of fork(2) has the segment too; exec(2) detaches.
 * Follows shmget(2), shmat(2), shm_open(3), mmap(2).
 *
 * # Safety
 *
 * name is NULL or a string.
 */
struct shmc_segment *shmc_segment_open(const char *name,
                                       size_t size,
                                       int flags,
                                       mode_t mode);

/**
 * The segment's first byte, on a page boundary; valid until shmc_segment_close. NULL for NULL.
 *
 * Thread-safe and async-signal-safe.
 *
 * # Safety
 *
 * segment is NULL or open.
 */
void *shmc_segment_addr(const struct shmc_segment *segment);

/**
 * The segment's true size in bytes when it was opened, whoever made it: so much is attached. 0 for
 * NULL.
 *
 * Thread-safe and async-signal-safe.
 *
 * # Safety
 *
 * segment is NULL or open.
 */
size_t shmc_segment_size(const struct shmc_segment *segment);

/**
 * Tells what the system knows about the segment now: shmctl(2) with IPC_STAT, fstat(2).
 *
 * info: filled on success.
 *
 * Returns 0; -1 on failure, with errno:
 *   EINVAL         segment or info is NULL
 *   EACCES         the mode does not permit it any more
 *   EINVAL, EIDRM  a System V segment that is gone
 *
 * Thread-safe. Async-signal-safe.
 *
 * # Safety
 *
 * segment is NULL or open; info is NULL or has room.
 */
int shmc_segment_stat(const struct shmc_segment *segment, struct shmc_segment_info *info);

/**
 * Changes the permission bits: IPC_SET, fchmod(2). Who is attached stays attached.
 *
 * mode: permission bits, at most 0777.
 *
 * Returns 0; -1 on failure, with errno:
 *   EINVAL         segment is NULL, or mode is beyond 0777
 *   EPERM          neither the owner (or a System V segment's creator) nor privileged
 *   EACCES         a System V segment whose mode does not let the caller read it
 *   EINVAL, EIDRM  a System V segment that is gone
 *
 * Thread-safe. Async-signal-safe.
 *
 * # Safety
 *
 * segment is NULL or open.
 */
int shmc_segment_chmod(struct shmc_segment *segment, mode_t mode);

/**
 * Changes the owner and the group: IPC_SET, fchown(2).
 *
 * Returns 0; -1 on failure, with errno as shmc_segment_chmod.
 *
 * Thread-safe. Async-signal-safe.
 *
 * # Safety
 *
 * segment is NULL or open.
 */
int shmc_segment_chown(struct shmc_segment *segment, uid_t uid, gid_t gid);

/**
 * Keeps the memory from being swapped: SHM_LOCK, which holds for a System V segment until
 * shmc_segment_unlock, or mlock(2), which holds for this process and this handle.
 *
 * Returns 0; -1 on failure, with errno:
 *   EINVAL         segment is NULL
 *   ENOMEM, EPERM  more than RLIMIT_MEMLOCK allows, or not allowed at all
 *   EINVAL, EIDRM  a System V segment that is gone
 *
 * Not for two threads on the same handle at the same time. Async-signal-safe.
 *
 * # Safety
 *
 * segment is NULL or open.
 */
int shmc_segment_lock(struct shmc_segment *segment);

/**
 * Lets the memory be swapped again: SHM_UNLOCK, munlock(2).
 *
 * Returns 0; -1 on failure, with errno as shmc_segment_lock.
 *
 * Not for two threads on the same handle at the same time. Async-signal-safe.
 *
 * # Safety
 *
 * segment is NULL or open.
 */
int shmc_segment_unlock(struct shmc_segment *segment);

/**
 * Waits until a file holds what its memory does: msync(2) with MS_SYNC. Nothing to do for memory
 * without a file.
 *
 * Returns 0; -1 on failure, with errno:
 *   EINVAL  segment is NULL
 *   EIO     the file cannot be written
 *
 * Thread-safe. Async-signal-safe.
 *
 * # Safety
 *
 * segment is NULL or open.
 */
int shmc_segment_sync(struct shmc_segment *segment);

/**
 * Detaches the segment from this process and frees the handle; the segment itself stays, unless it
 * has been removed and nobody else has it. NULL is fine.
 *
 * Returns 0.
 *
 * Thread-safe, for a handle that no other thread uses. Not async-signal-safe. In a child of fork(2)
 * it detaches the child alone.
 *
 * # Safety
 *
 * segment is NULL or open, and not used any more, nor is its memory.
 */
int shmc_segment_close(struct shmc_segment *segment);

/**
 * Removes the segment of this name: IPC_RMID, unlink(2). The name is free at once; who has the
 * segment attached keeps it until it detaches. A private segment is removed by its id, which
 * shmc_segment_stat tells: "sysv:id:N".
 *
 * Returns 0; -1 on failure, with errno:
 *   EINVAL         no name, or "anon:" or "sysv:private", which have nothing to remove
 *   ENAMETOOLONG   a path or POSIX name that is too long
 *   ENOENT         there is no such segment, or no such path
 *   EACCES, EPERM  not permitted
 *   EINVAL, EIDRM  a sysv:id: that is gone
 *   EISDIR, ENOTDIR, ELOOP, EBUSY, EROFS   as unlink(2)
 *
 * Thread-safe. Async-signal-safe.
 *
 * # Safety
 *
 * name is NULL or a string.
 */
int shmc_remove(const char *name);

/**
 * The library's version, such as "0.1.0"; a constant string.
 *
 * Thread-safe and async-signal-safe.
 */
const char *shmc_version(void);

#ifdef __cplusplus
}
#endif

#endif /* SHMCOMM_SHMCOMM_H */
