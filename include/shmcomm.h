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
 * Timeouts are milliseconds on the monotonic clock, as in poll(2): -1 for ever,
 * 0 not at all.
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
 * Of shmc_channel_open and shmc_sem_open: a signal handler that runs in the waiting thread ends the
 * wait with EINTR. A handler that runs in the moment before the thread falls asleep does not: at the
 * beginning, and each 80 ms when a channel's waiter looks for its peer. A program that must not miss
 * it has the handler repeat the signal, as with alarm(2).
 */
#define SHMC_INTR 2048

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
 * For shmc_sem_open: the semaphore counts events that one process posts and another waits for.
 * Nothing is given back or taken back when one of them dies.
 */
#define SHMC_EVENTS 128

/**
 * Of shmc_channel_open: the sending end.
 */
#define SHMC_SEND 256

/**
 * Of shmc_channel_open: the receiving end.
 */
#define SHMC_RECV 512

/**
 * Of shmc_channel_open: several processes or threads hold this end at once, up to 63, each with a
 * handle of its own. All of them say so. A handle that waits is in nobody's way, even if its process is
 * stopped; one that has reserved or peeked, and not yet committed or released, keeps the others of its
 * end waiting.
 */
#define SHMC_SHARED 1024

/**
 * One end of a channel. It belongs to the process that opened it.
 */
typedef struct shmc_channel shmc_channel;

/**
 * An open segment. It belongs to the process that opened it and to its children, each of which
 * closes its own.
 */
typedef struct shmc_segment shmc_segment;

/**
 * An open semaphore. A child of fork(2) has it too; each closes its own.
 */
typedef struct shmc_sem shmc_sem;

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
 * A mutex. It lives in shared memory, holds no address, and may be mapped anywhere and several
 * times; its contents are the library's own.
 */
typedef struct shmc_mutex {
  /**
   * Not for use.
   */
  uint64_t opaque[2];
} shmc_mutex;

/**
 * What shmc_channel_stat tells.
 */
typedef struct shmc_channel_info {
  /**
   * Bytes that the channel holds: messages, each rounded up to 8 and with 8 before it.
   */
  uint64_t capacity;
  /**
   * Bytes of these that are taken.
   */
  uint64_t used;
  /**
   * Messages that are sent and not yet received.
   */
  uint64_t messages;
  /**
   * Messages sent since the channel was made.
   */
  uint64_t sent;
  /**
   * Messages received since then.
   */
  uint64_t received;
  /**
   * 1 if somebody holds the sending end.
   */
  int sender_alive;
  /**
   * 1 if somebody holds the receiving end.
   */
  int receiver_alive;
} shmc_channel_info;

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
 * Memory other than sysv: counts as a file: a new segment larger than RLIMIT_FSIZE gets the process
 * SIGXFSZ, which ends it, or EFBIG where that signal is ignored or handled.
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
 *   ELOOP         the POSIX name is a symbolic link; a file: path is one, and SHMC_CREATE or
 *                 SHMC_RECLAIM would create or replace through it; a path has too many of them
 *   ENOTDIR, EISDIR, EROFS, EFBIG   as open(2) and posix_fallocate(3)
 *   ENOSPC        no memory or blocks left on the file system, or no System V segment allowed
 *   ENOMEM        not enough memory or address space, or more locked than is allowed
 *   EPERM         SHMC_LOCKED, and not allowed to lock; or a sandbox refuses a call
 *   EAGAIN        SHMC_LOCKED, and not all memory could be locked; or memory is short now
 *   EFAULT        SHMC_PREFAULT, and another process has made the object smaller
 *   ENOSYS        the kernel, or a sandbox, lacks a call that this memory needs
 *   EDQUOT, EINTR, EIO, ENODEV, ENXIO, EOPNOTSUPP, EOVERFLOW, ETXTBSY
 *                 from the file system, as open(2), posix_fallocate(3), mmap(2)
 *   EMFILE, ENFILE  too many open files
 *   EINVAL, EIDRM a sysv:id: that is gone
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
 *   EIO, ENOMEM, EOVERFLOW  as fstat(2), shmctl(2)
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
 *   EIO, EROFS, EOVERFLOW  as fchmod(2), shmctl(2)
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
 * Returns 0; -1 on failure, with errno as shmc_segment_chmod, and:
 *   EDQUOT  the new owner's quota of disk blocks is used up
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
 *   EAGAIN         not all of the memory could be locked
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
 *   EDQUOT, ENOMEM, ENOSPC  as msync(2), fsync(2)
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
 * segment attached keeps it until it detaches. While another process replaces an object by
 * SHMC_RECLAIM, the call waits for it, 200 ms at most. A private segment is removed by its id, which
 * shmc_segment_stat tells: "sysv:id:N".
 *
 * Returns 0; -1 on failure, with errno:
 *   EINVAL         no name, or "anon:" or "sysv:private", which have nothing to remove
 *   ENAMETOOLONG   a path or POSIX name that is too long
 *   ENOENT         there is no such segment, or no such path
 *   EACCES, EPERM  not permitted
 *   EINVAL, EIDRM  a sysv:id: that is gone
 *   EISDIR, ENOTDIR, ELOOP, EBUSY, EROFS, EIO, ENOMEM   as unlink(2)
 *   ENOSYS         the kernel, or a sandbox, lacks System V shared memory
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

/**
 * Opens a System V semaphore.
 *
 * By default it is a lock, or a pool of places: one that shmc_sem_wait took is held by the process
 * until that posts, and given back by the kernel when that ends without (SEM_UNDO). So who waited
 * posts; a post by another process would be taken back when that one ends. With SHMC_EVENTS it
 * counts events, and any process may post.
 *
 * name: a sysv: name, by the grammar at the top of this header.
 * value: the first value of a new semaphore, 0 to 32767: 1 for a lock.
 * flags: 0 or any of SHMC_CREATE, SHMC_EXCL, SHMC_EVENTS, SHMC_INTR. An existing semaphore stays
 * what it is (its value and mode too), and is opened as such also without SHMC_EVENTS and
 * SHMC_CREATE. SHMC_INTR holds for this handle alone.
 * mode: permission bits of a new semaphore; who uses it needs to read and write (0600: the owner
 * alone).
 *
 * A semaphore is there with its first value or not at all, at whatever moment its creator is
 * killed; nobody waits for a creator. A set of semaphores that another program made is never
 * changed or removed, also one that has no value yet.
 *
 * Returns the semaphore; NULL on failure, with errno:
 *   EINVAL        the name, a flag, a value below 0, or a mode beyond 0777; SHMC_EXCL without
 *                 SHMC_CREATE; "sysv:private" without, or a sysv:id: with SHMC_CREATE; there is one
 *                 that another program made, or, with SHMC_CREATE or SHMC_EVENTS, one of the other
 *                 kind
 *   ERANGE        a value beyond 32767
 *   ENAMETOOLONG  a path that is too long
 *   ENOENT        there is no such semaphore, or no such path for the key
 *   EEXIST        SHMC_EXCL, and there is one
 *   EACCES        the mode does not permit it, or a directory of the path
 *   ELOOP, ENOTDIR, EIO  as stat(2)
 *   EPERM, ENOSYS  the kernel, or a sandbox, lacks System V semaphores
 *   ENOSPC        no semaphore left in the system
 *   ENOMEM        not enough memory
 *   EIDRM         a sysv:id: that is gone
 *   EBUSY         others made and removed it the whole time
 *
 * Thread-safe. Not async-signal-safe. Follows semget(2), semop(2).
 *
 * # Safety
 *
 * name is NULL or a string.
 */
struct shmc_sem *shmc_sem_open(const char *name, int value, int flags, mode_t mode);

/**
 * Takes one from the semaphore, and waits until there is one.
 *
 * timeout_ms: how long, in milliseconds of a clock that is never set: -1 for ever, 0 not at all.
 * Without SHMC_INTR, a signal handler that runs meanwhile neither ends the wait nor makes it longer.
 *
 * With SHMC_INTR, a signal handler that runs in the waiting thread ends the wait, with or without
 * SA_RESTART. The kernel also ends it when a stopped process continues (SIGCONT), so let the
 * handler set a flag, and look at the flag after EINTR. A handler that runs after the program has
 * looked at its flag and before the wait begins does not end that wait: where the signal comes only
 * once, use a timeout, or let the handler post an event (SHMC_EVENTS) to the semaphore.
 *
 * Returns 0; -1 on failure, with errno:
 *   ETIMEDOUT  there was none in time
 *   EINTR      SHMC_INTR, and a signal handler has run; nothing is taken
 *   EIDRM      the semaphore is removed, also while waiting
 *   EINVAL     sem is NULL
 *   EACCES     the mode does not permit it
 *   ERANGE     this process holds 32767 already
 *   ENOSPC, ENOMEM  no room to note what this process holds
 *
 * Thread-safe: what one thread took another may post. Async-signal-safe. A child of fork(2) holds
 * nothing of what its parent holds. Follows semop(2).
 *
 * # Safety
 *
 * sem is NULL or open.
 */
int shmc_sem_wait(struct shmc_sem *sem,
                  int timeout_ms);

/**
 * Gives one back to the semaphore, or, with SHMC_EVENTS, tells of an event.
 *
 * Returns 0; -1 on failure, with errno:
 *   ERANGE  the value is 32767 already
 *   EIDRM   the semaphore is removed
 *   EINVAL  sem is NULL
 *   EACCES  the mode does not permit it
 *   ENOSPC, ENOMEM  no room to note what this process holds
 *
 * Thread-safe. Async-signal-safe. Follows semop(2).
 *
 * # Safety
 *
 * sem is NULL or open.
 */
int shmc_sem_post(struct shmc_sem *sem);

/**
 * The semaphore's value now: how many could be taken.
 *
 * Returns 0 or more; -1 on failure, with errno:
 *   EIDRM   the semaphore is removed
 *   EINVAL  sem is NULL
 *   EACCES  the mode does not permit it
 *
 * Thread-safe. Async-signal-safe. Follows semctl(2) with GETVAL.
 *
 * # Safety
 *
 * sem is NULL or open.
 */
int shmc_sem_value(struct shmc_sem *sem);

/**
 * Frees the handle. The semaphore stays, and what this process took from it stays taken until it
 * ends. NULL is fine.
 *
 * Returns 0.
 *
 * Thread-safe, for a handle that no other thread uses. Not async-signal-safe.
 *
 * # Safety
 *
 * sem is NULL or open, and not used any more.
 */
int shmc_sem_close(struct shmc_sem *sem);

/**
 * Removes the semaphore of this name at once; who waits for it gets EIDRM.
 *
 * Returns 0; -1 on failure, with errno:
 *   EINVAL        no sysv: name, or "sysv:private"; another program's semaphore
 *   ENAMETOOLONG  a path that is too long
 *   ENOENT        there is no such semaphore, or no such path
 *   ELOOP, ENOTDIR, EIO, ENOMEM  as stat(2)
 *   ENOSYS        the kernel, or a sandbox, lacks System V semaphores
 *   EACCES, EPERM  not permitted
 *   EIDRM         a sysv:id: that is gone
 *
 * Thread-safe. Async-signal-safe. Follows semctl(2) with IPC_RMID.
 *
 * # Safety
 *
 * name is NULL or a string.
 */
int shmc_sem_remove(const char *name);

/**
 * Makes the memory an unlocked mutex, whatever it holds; what is a mutex already stays as it is,
 * also if it is locked. So each process may call this before it uses the mutex, in any order.
 *
 * mutex: in shared memory, aligned to 8 bytes. Fill it with zeros to begin anew.
 *
 * Returns 0; -1 on failure, with errno:
 *   EINVAL      mutex is NULL or not aligned
 *   EOPNOTSUPP  it is a mutex of another pid or time namespace (another container), where this
 *               process could not tell whether a holder lives; or this process cannot read which
 *               its own are: /proc is not mounted, or no descriptor is left
 *
 * Thread-safe. Async-signal-safe. There is nothing to destroy.
 *
 * # Safety
 *
 * mutex is NULL or memory that may be written.
 */
int shmc_mutex_init(struct shmc_mutex *mutex);

/**
 * Locks the mutex for the calling thread, and waits until it can.
 *
 * timeout_ms: how long, in milliseconds of a clock that is never set: -1 for ever, 0 not at all. A
 * signal handler that runs meanwhile neither ends the wait nor makes it longer.
 *
 * Returns 0; 1 if it is locked, but the last holder, process or thread, ended without unlocking: what
 * the mutex protects may be half changed, and is the caller's to repair before it unlocks (the next
 * one gets 0). A death is noticed within 50 ms, a holder of before a reboot at once. exec(2) is no
 * death. -1 on failure, with errno:
 *   ETIMEDOUT   somebody else holds it
 *   EDEADLK     the calling thread holds it already
 *   EINVAL      mutex is NULL, not aligned, or no mutex: not initialised, or overwritten
 *   EOPNOTSUPP  as shmc_mutex_init
 *   ENOMEM, ENOSYS  as futex(2)
 *
 * Thread-safe. Async-signal-safe; where the interrupted thread holds it, EDEADLK. A child of fork(2)
 * holds nothing of what its parent holds. Memory that is unmapped while it is locked stays locked
 * until the thread ends. Compare pthread_mutex_lock(3p) with PTHREAD_MUTEX_ROBUST.
 *
 * # Safety
 *
 * mutex is NULL or memory that may be written.
 */
int shmc_mutex_lock(struct shmc_mutex *mutex,
                    int timeout_ms);

/**
 * Unlocks the mutex.
 *
 * Returns 0; -1 on failure, with errno:
 *   EPERM       the calling thread does not hold it
 *   EINVAL      mutex is NULL, not aligned, or no mutex
 *   EOPNOTSUPP  as shmc_mutex_init
 *
 * Thread-safe. Async-signal-safe.
 *
 * # Safety
 *
 * mutex is NULL or memory that may be written.
 */
int shmc_mutex_unlock(struct shmc_mutex *mutex);

/**
 * Sleeps while a word of shared memory is as expected, until shmc_wake.
 *
 * word: 32 bits, aligned to 4 bytes, in memory that is shared between the processes, or between
 * threads; it may be mapped for reading only. Its type may be uint32_t or int, volatile, _Atomic, or
 * std::atomic.
 * expected: the value that the program has read, for which it waits to change.
 * timeout_ms: how long, in milliseconds of a clock that is never set: -1 for ever, 0 not at all. A
 * signal handler that runs meanwhile neither ends the wait nor makes it longer.
 *
 * Read the word once in each turn of a loop, as an atomic object: the compiler may read a plain one
 * just once, and what another process wrote before it changed the word may not be visible yet.
 *
 *   while ((value = atomic_load(&word)) == 0)      C11, _Atomic uint32_t word
 *   while ((value = word.load()) == 0)             C++11, std::atomic<uint32_t> word
 *   while ((value = __atomic_load_n(&word, __ATOMIC_ACQUIRE)) == 0)   gcc, clang: another word
 *       shmc_wait(&word, 0, -1);
 *
 * Change it with atomic_store, store or __atomic_store_n, then call shmc_wake.
 *
 * Returns 0 when the word is not as expected, or a wake came; that may happen early, so look at the
 * word again. -1 on failure, with errno:
 *   ETIMEDOUT  the word is as expected, and nobody woke
 *   EINVAL     word is NULL or not aligned to 4 bytes
 *   EFAULT     no memory there
 *   ENOMEM, ENOSYS  as futex(2)
 *
 * Thread-safe. Async-signal-safe. Follows futex(2).
 */
int shmc_wait(const volatile void *word,
              uint32_t expected,
              int timeout_ms);

/**
 * Wakes who sleeps on the word in shmc_wait. Change the word first, then wake.
 *
 * how_many: at most so many; INT_MAX for all.
 *
 * Returns how many were woken; -1 on failure, with errno:
 *   EINVAL  word is NULL or not aligned to 4 bytes, or how_many is negative
 *   EFAULT  no memory there
 *   ENOMEM, ENOSYS  as futex(2)
 *
 * Thread-safe. Async-signal-safe. Follows futex(2).
 */
int shmc_wake(const volatile void *word, int how_many);

/**
 * Opens one end of a message channel: posix: and file: names. Messages are kept in order, each
 * whole, until they are received or the channel is removed (shmc_remove), across restarts of either
 * side. A side that is killed, at whatever instruction, leaves the channel as if it had closed it.
 *
 * name: as for shmc_segment_open.
 * capacity: bytes for messages, rounded up to a power of two of at least 4096, each message taking
 * its length rounded up to 8, and 8 more. 0: what is there, or 1 MiB.
 * flags: SHMC_SEND or SHMC_RECV; any of SHMC_CREATE, SHMC_EXCL, SHMC_SHARED, SHMC_INTR. Both sides
 * may create, in either order.
 * mode: permission bits of a new channel. Both sides need to read and write it. Whoever may read it can
 * lock an end away from its owner, so leave group and others out (0600) unless you trust them.
 *
 * Returns the end; NULL on failure, with errno (and SIGXFSZ) as shmc_segment_open, and:
 *   EBUSY    somebody else holds this end, or 63 share it. The end of a holder that has died is free at
 *            once; if a child of it has been forked and has not run yet, after that, within 100 ms
 *   EINVAL   capacity is larger than that of the channel that is there
 *   EBADMSG  what is there is no channel of this version, or one of a system with smaller pages, or is
 *            damaged
 *   EMFILE   too many open files, or 256 channels in this process
 *   ENOLCK   no file locks left, or none on this file system
 *
 * Thread-safe. Not async-signal-safe. In a child of fork(2), and of _Fork and clone(2), the calls on an
 * inherited handle fail with EPERM; the child may close it, and open the channel itself. A child of
 * _Fork or of a bare clone(2) keeps the file open: what its parent held stays held until both have ended
 * or called exec.
 */
struct shmc_channel *shmc_channel_open(const char *name,
                                       size_t capacity,
                                       int flags,
                                       mode_t mode);

/**
 * Sends a message: copies it, and wakes the receiver if it sleeps.
 *
 * msg, len: the message, 0 bytes up to the capacity less 16.
 * timeout_ms: how long to wait while there is no room: 0 not at all, -1 for ever.
 *
 * Returns 0: the message will be received, whatever becomes of this process. -1 on failure, with
 * errno, and nothing is sent:
 *   EAGAIN     no room, and timeout_ms is 0; at a shared end also if another handle of it is in the
 *              middle of a message for longer than 20 microseconds
 *   ETIMEDOUT  no room in all that time
 *   EPIPE      no room, and the receiver that was there has closed its end or died; a new one makes the
 *              channel usable again. Until this handle has met a receiver it waits for one
 *   EIDRM      no room, no receiver, and the channel is removed
 *   EINTR      a signal handler ran during the wait, and the channel was opened with SHMC_INTR
 *   EMSGSIZE   larger than the channel ever takes
 *   EBADMSG    the memory of the channel is damaged
 *   EINVAL     channel is NULL or a receiving end; msg is NULL and len is not 0
 *   EPERM      the handle was inherited across fork(2)
 *
 * EPIPE and EIDRM come within 100 ms of their cause.
 *
 * No system call while there is room and the receiver is awake; one to wake a receiver that sleeps. Of
 * several that share an end and sleep, a message wakes one, and that one wakes the next if there is
 * more to do: two system calls to wake and one to sleep for each message, however many sleep. Not for
 * two threads on the same handle at the same time. Not async-signal-safe.
 */
int shmc_send(struct shmc_channel *channel,
              const void *msg,
              size_t len,
              int timeout_ms);

/**
 * Receives a message: copies it, and frees its room.
 *
 * buf, size: where it goes, and how many bytes fit.
 * timeout_ms: how long to wait while there is none: 0 not at all, -1 for ever.
 *
 * Returns its length in bytes, which may be 0; -1 on failure, with errno:
 *   EAGAIN     no message, and timeout_ms is 0; at a shared end as shmc_send
 *   ETIMEDOUT  no message in all that time
 *   EPIPE      no message, and the sender that was there has closed its end or died; all that it sent
 *              has been received, and a new one makes the channel usable again. Until this handle has
 *              met a sender it waits for one
 *   EIDRM      no message, no sender, and the channel is removed
 *   EINTR      as shmc_send
 *   EMSGSIZE   the message is longer than size; it stays
 *   EBADMSG    the memory of the channel is damaged
 *   EINVAL     channel is NULL or a sending end; buf is NULL and size is not 0
 *   EPERM      the handle was inherited across fork(2)
 *
 * Otherwise as shmc_send.
 */
ssize_t shmc_recv(struct shmc_channel *channel,
                  void *buf,
                  size_t size,
                  int timeout_ms);

/**
 * Gives the place in the channel where the next message goes, to be written there and sent by
 * shmc_commit. What is reserved and not committed is never sent; reserving again gives it up.
 *
 * len: bytes.
 * timeout_ms: as shmc_send.
 *
 * Returns the place, aligned to 8; NULL on failure, with errno as shmc_send. Otherwise as shmc_send.
 */
void *shmc_reserve(struct shmc_channel *channel,
                   size_t len,
                   int timeout_ms);

/**
 * Sends what was written where shmc_reserve said.
 *
 * len: bytes, at most as many as reserved.
 *
 * Returns 0; -1 on failure, with errno:
 *   EINVAL  channel is NULL, nothing is reserved, or len is more than that
 *   EPERM   the handle was inherited across fork(2)
 *
 * Otherwise as shmc_send; it never waits.
 */
int shmc_commit(struct shmc_channel *channel, size_t len);

/**
 * Gives the next message where it lies in the channel, to be read there and freed by shmc_release.
 * Peeking again gives the same one, also to the next receiver if this one dies before. Its sender
 * should not, but can, still change it: copy what must not change while it is checked.
 *
 * len: its length in bytes.
 * timeout_ms: as shmc_recv.
 *
 * Returns the message, aligned to 8; NULL on failure, with errno as shmc_recv. Otherwise as
 * shmc_recv.
 */
const void *shmc_peek(struct shmc_channel *channel, size_t *len, int timeout_ms);

/**
 * Frees the message that shmc_peek gave.
 *
 * Returns 0; -1 on failure, with errno:
 *   EINVAL  channel is NULL, or no message is peeked at
 *   EPERM   the handle was inherited across fork(2)
 *
 * Otherwise as shmc_recv; it never waits.
 */
int shmc_release(struct shmc_channel *channel);

/**
 * Tells what is known about the channel now.
 *
 * info: filled on success.
 *
 * Returns 0; -1 on failure, with errno:
 *   EINVAL  channel or info is NULL
 *   EPERM   the handle was inherited across fork(2)
 *
 * One system call. Not for two threads on the same handle at the same time.
 */
int shmc_channel_stat(const struct shmc_channel *channel, struct shmc_channel_info *info);

/**
 * Closes this end; what was sent stays. The other side sees it when it would wait. NULL is fine.
 *
 * Returns 0.
 *
 * Thread-safe, for a handle that no other thread uses. Not async-signal-safe.
 */
int shmc_channel_close(struct shmc_channel *channel);

#ifdef __cplusplus
}
#endif

#endif /* SHMCOMM_SHMCOMM_H */
