/* shmcomm.h, generated from src/ by a test: do not edit. */

#ifndef SHMCOMM_SHMCOMM_H
#define SHMCOMM_SHMCOMM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/ipc.h>
#include <sys/types.h>

/*
 * Memory that processes of one machine share: segments of every kind that Linux
 * has, semaphores, a mutex, wait and wake, message channels, topics.
 *
 * A name chooses the kind of memory:
 *
 *   sysv:PATH      System V; the key is ftok(PATH, 0x66)
 *   sysv:PATH#ID   System V; the key is ftok(PATH, ID), ID decimal or 0x...
 *   sysv:0xKEY     System V; this key
 *   sysv:private   System V; new at each open
 *   sysv:id:N      System V; the existing one with this id
 *   posix:/NAME    a POSIX object, as shm_open(3) creates it
 *   file:PATH      a mapped regular file
 *   anon:          anonymous memory, for this process and its children
 *
 * Segments take all of them, semaphores sysv:, channels and topics posix: and
 * file:.
 *
 * Results: functions return 0, a number, or a pointer. On failure they return
 * -1 or NULL and set errno. A failed call leaves nothing behind.
 *
 * Pointers: an argument is NULL or valid, a handle is NULL or open. NULL is
 * EINVAL where a function needs the object. Closing NULL does nothing.
 *
 * Timeouts: as in poll(2), milliseconds, -1 for ever, 0 not at all. The clock
 * is the monotonic one. A signal handler that runs during a wait neither ends
 * nor prolongs it, unless SHMC_INTR is set.
 *
 * Threads: every function is thread-safe. Threads that use the same handle of a
 * channel or a topic must take turns, as must those that call shmc_segment_lock
 * or shmc_segment_unlock on the same segment handle. No thread may use a handle
 * that another one closes.
 *
 * Signals: every function is async-signal-safe, except those that open or close
 * something and those that take a handle of a channel or a topic.
 *
 * fork(2): a child inherits the handles of segments and semaphores, and closes
 * its own; exec(2) detaches segments. It holds no semaphore unit and no mutex
 * of its parent. A handle of a channel or a topic belongs to the process that
 * opened it.
 *
 * Removal: only shmc_remove, shmc_sem_remove and SHMC_RECLAIM remove something.
 * Closing does not, nor does exit(3) or a child.
 */

#ifdef __cplusplus
extern "C" {
#endif

/* ======================================================================== */
/* Version                                                                  */
/* ======================================================================== */

/// The version of this header.
#define SHMC_VERSION_MAJOR 0
#define SHMC_VERSION_MINOR 1
#define SHMC_VERSION_PATCH 0

/// The same as one number, 0xMMmmpp: version 1.2.3 is 0x010203.
#define SHMC_VERSION \
    (SHMC_VERSION_MAJOR << 16 | SHMC_VERSION_MINOR << 8 | SHMC_VERSION_PATCH)

/// Returns the version of the library that the program runs with, such as
/// "0.1.0". The string is constant.
const char *shmc_version(void);

/* ======================================================================== */
/* Flags of several functions                                               */
/* ======================================================================== */

/// Create the object if there is none.
#define SHMC_CREATE 0x1

/// With SHMC_CREATE: fail with EEXIST if there is one.
#define SHMC_EXCL 0x2

/// Semaphores, channels, topics: a signal handler that runs in the waiting
/// thread ends the wait with EINTR, with or without SA_RESTART.
///
/// A handler that runs before the wait begins does not end it. Neither does one
/// that runs in the moment, every 80 ms, in which a waiter of a posix: or file:
/// name looks around. If the signal comes only once, use a timeout, or let the
/// handler repeat the signal, for example with alarm(2).
#define SHMC_INTR 0x800

/* ======================================================================== */
/* Segments                                                                 */
/* ======================================================================== */

/// Attach for reading only: a write to the memory is SIGSEGV.
#define SHMC_RDONLY 0x4

/// Replace a stale segment (with SHMC_CREATE): owned by the caller, attached by
/// no process, its creator exited. If any of this is uncertain, the segment is
/// kept: the call opens it, or with SHMC_EXCL fails with EEXIST.
///
/// An object or a file is replaced only if this library created it, on a file
/// system with extended attributes (tmpfs has them since Linux 6.6).
/// shmc_sem_open takes this flag for posix: and file: names.
#define SHMC_RECLAIM 0x8

/// Make all pages present now, so that no later access takes a page fault.
#define SHMC_PREFAULT 0x10

/// Use huge pages if there are any, else transparent huge pages, else normal
/// ones. shmc_segment_stat reports which.
#define SHMC_HUGE 0x20

/// Lock the memory, like shmc_segment_lock.
#define SHMC_LOCKED 0x40

/// shmc_segment_info.pages: normal pages.
#define SHMC_PAGES_NORMAL 0

/// shmc_segment_info.pages: transparent huge pages, where the kernel has them.
#define SHMC_PAGES_TRANSPARENT 1

/// shmc_segment_info.pages: huge pages.
#define SHMC_PAGES_HUGE 2

/// An open segment.
typedef struct shmc_segment shmc_segment;

/// The state of a segment (shmc_segment_stat). Times are seconds since 1970.
typedef struct shmc_segment_info {
    /// True size in bytes.
    size_t size;
    /// Permission bits.
    mode_t mode;
    /// User id of the owner.
    uid_t uid;
    /// Group id of the owner.
    gid_t gid;
    /// System V key; 0 if it is private or removed, and for other memory.
    key_t key;
    /// System V id; -1 for other memory.
    int id;
    /// Process that created it; 0: unknown.
    pid_t creator_pid;
    /// Last process that attached or detached it; 0: unknown.
    pid_t last_pid;
    /// Number of attachments; -1: unknown, for all but System V.
    int64_t attached;
    /// Last attach, or last access to a file; 0: never.
    int64_t atime;
    /// Last detach; 0: never.
    int64_t dtime;
    /// Creation, or last change of owner or mode.
    int64_t ctime;
    /// 1: its name is removed, and its last user frees it.
    int removed;
    /// 1: its memory is locked, so it is not swapped.
    int locked;
    /// One of SHMC_PAGES_NORMAL, SHMC_PAGES_TRANSPARENT, SHMC_PAGES_HUGE.
    int pages;
    /// 0; room for later fields.
    uint64_t reserved[4];
} shmc_segment_info;

/// Opens a segment and attaches it, at an address that the kernel chooses.
///
/// name: any name. "anon:" and "sysv:private" are created at each open, with or
/// without SHMC_CREATE.
/// size: bytes. A new segment has this size; an existing one must have at least
/// this size, and 0 accepts any. The whole segment is attached.
/// flags: 0, or some of SHMC_CREATE, SHMC_EXCL, SHMC_RDONLY, SHMC_RECLAIM,
/// SHMC_PREFAULT, SHMC_HUGE, SHMC_LOCKED.
/// mode: the exact permission bits of a new segment, whatever the umask; 0600
/// lets only the owner use it.
///
/// A new segment is filled with zeros. No process sees a segment half created,
/// even if its creator is killed. posix: and file: memory is allocated at once,
/// so a full file system is ENOSPC here and not SIGBUS later.
///
/// Memory other than System V counts as a file: if a new segment is larger than
/// RLIMIT_FSIZE, the kernel sends SIGXFSZ, which kills the process unless it is
/// ignored or handled; the call then fails with EFBIG.
///
/// Returns the segment; on failure NULL with errno:
///   EINVAL   the name or a flag is invalid, or mode is beyond 0777; SHMC_EXCL
///            or SHMC_RECLAIM without SHMC_CREATE; SHMC_CREATE with sysv:id:;
///            size is 0 for a new segment, beyond a limit, or larger than the
///            existing segment; the existing object is empty or no regular file
///   EINVAL, EIDRM  a sysv:id: segment that was removed
///   ENAMETOOLONG  the path or POSIX name is too long
///   ENOENT   there is no such segment, and SHMC_CREATE is not set; or the path
///            for the key or the file does not exist
///   EEXIST   SHMC_EXCL, and the segment exists
///   EACCES   the mode does not permit it; or SHMC_CREATE found a POSIX object
///            of another user, who may have planted it
///   ELOOP    the POSIX name is a symbolic link; a file: path is one and
///            SHMC_CREATE or SHMC_RECLAIM would create or replace through it;
///            or the path has too many of them
///   ENOSPC   the file system is full, or no System V segment is allowed
///   ENOMEM   not enough memory or address space, or more locked than allowed
///   EPERM    SHMC_LOCKED, and locking is not permitted; or a sandbox denies a
///            call
///   EAGAIN   SHMC_LOCKED, and not all memory could be locked; or memory is
///            short
///   EFAULT   SHMC_PREFAULT, and another process has shrunk the object
///   EBUSY    other processes created and removed it at every attempt, or one
///            holds its flock(2)
///   EMFILE, ENFILE  too many open files
///   ENOSYS   the kernel or a sandbox lacks a call that this memory needs
///   EFBIG, EISDIR, ENOTDIR, EROFS  as in open(2) and posix_fallocate(3)
///   EDQUOT, EINTR, EIO, ENODEV, ENXIO, EOPNOTSUPP, EOVERFLOW, ETXTBSY from the
///            file system, as in open(2), posix_fallocate(3), mmap(2)
///
/// Follows shmget(2), shmat(2), shm_open(3), mmap(2).
struct shmc_segment *shmc_segment_open(const char *name,
                                       size_t size,
                                       int flags,
                                       mode_t mode);

/// Returns the address of the segment's first byte, on a page boundary; NULL
/// for NULL. It is valid until shmc_segment_close.
void *shmc_segment_addr(const struct shmc_segment *segment);

/// Returns the segment's true size in bytes when it was opened, all of which is
/// attached; 0 for NULL.
size_t shmc_segment_size(const struct shmc_segment *segment);

/// Reads the segment's present state into info.
///
/// Returns 0; on failure -1 with errno:
///   EINVAL         segment or info is NULL
///   EINVAL, EIDRM  the System V segment was removed
///   EACCES         the mode no longer permits it
///   EIO, ENOMEM, EOVERFLOW  as in fstat(2), shmctl(2)
///
/// Follows fstat(2), shmctl(2) with IPC_STAT.
int shmc_segment_stat(const struct shmc_segment *segment,
                      struct shmc_segment_info *info);

/// Changes the permission bits. Processes that have attached the segment keep
/// it.
///
/// mode: at most 0777.
///
/// Returns 0; on failure -1 with errno:
///   EINVAL         segment is NULL, or mode is beyond 0777
///   EINVAL, EIDRM  the System V segment was removed
///   EPERM          the caller is neither privileged nor its owner, nor the
///                  creator of a System V segment
///   EACCES         a System V segment whose mode denies the caller to read it
///   EIO, EROFS, EOVERFLOW  as in fchmod(2), shmctl(2)
///
/// Follows fchmod(2), shmctl(2) with IPC_SET.
int shmc_segment_chmod(struct shmc_segment *segment, mode_t mode);

/// Changes the owner and the group.
///
/// Returns 0; on failure -1 with errno as shmc_segment_chmod, and:
///   EDQUOT  the new owner's quota of disk blocks is used up
///
/// Follows fchown(2), shmctl(2) with IPC_SET.
int shmc_segment_chown(struct shmc_segment *segment, uid_t uid, gid_t gid);

/// Locks the memory, so that it is not swapped: a System V segment until
/// shmc_segment_unlock, other memory for this process and this handle.
///
/// Returns 0; on failure -1 with errno:
///   EINVAL         segment is NULL
///   EINVAL, EIDRM  the System V segment was removed
///   ENOMEM, EPERM  more than RLIMIT_MEMLOCK allows, or not permitted at all
///   EAGAIN         not all of the memory could be locked
///
/// Follows mlock(2), shmctl(2) with SHM_LOCK.
int shmc_segment_lock(struct shmc_segment *segment);

/// Unlocks the memory, so that it may be swapped.
///
/// Returns 0; on failure -1 with errno as shmc_segment_lock.
///
/// Follows munlock(2), shmctl(2) with SHM_UNLOCK.
int shmc_segment_unlock(struct shmc_segment *segment);

/// Waits until the file contains what the memory contains. Does nothing for
/// other memory.
///
/// Returns 0; on failure -1 with errno:
///   EINVAL  segment is NULL
///   EIO     the file cannot be written
///   EDQUOT, ENOMEM, ENOSPC  as in msync(2), fsync(2)
///
/// Follows msync(2) with MS_SYNC.
int shmc_segment_sync(struct shmc_segment *segment);

/// Detaches the segment from this process and frees the handle. The segment
/// stays, unless it is removed and this was its last user.
///
/// Returns 0.
///
/// Follows shmdt(2), munmap(2).
int shmc_segment_close(struct shmc_segment *segment);

/// Removes a segment or a channel. Its name is free at once; processes that
/// have attached it keep it until they detach.
///
/// name: any name but "anon:" and "sysv:private". A private segment is removed
/// as "sysv:id:N"; shmc_segment_stat reports its id.
///
/// If another process is replacing the object (SHMC_RECLAIM), the call waits
/// for it, 200 ms at most.
///
/// Returns 0; on failure -1 with errno:
///   EINVAL         the name is invalid, or has nothing to remove
///   EINVAL, EIDRM  a sysv:id: segment that was removed
///   ENAMETOOLONG   the path or POSIX name is too long
///   ENOENT         there is no such segment, or no such path
///   EACCES, EPERM  not permitted
///   EBUSY, EIO, EISDIR, ELOOP, ENOMEM, ENOTDIR, EROFS  as in unlink(2)
///   ENOSYS         the kernel or a sandbox lacks System V shared memory
///
/// Follows unlink(2), shm_unlink(3), shmctl(2) with IPC_RMID.
int shmc_remove(const char *name);

/* ======================================================================== */
/* Synchronisation: semaphores, mutexes, wait and wake                      */
/* ======================================================================== */

/// shmc_sem_open: the semaphore counts events. Any process may post, and
/// nothing is returned when a process exits. posix: and file: names need this
/// flag.
#define SHMC_EVENTS 0x80

/// An open semaphore.
typedef struct shmc_sem shmc_sem;

/// A mutex in shared memory. It contains no address, so each process may map it
/// anywhere.
typedef struct shmc_mutex {
    /// The library alone reads and writes it.
    uint64_t opaque[2];
} shmc_mutex;

/// Opens a semaphore.
///
/// By default it is a lock, or a pool of units, and its name a sysv: name. A
/// unit taken by shmc_sem_wait belongs to the process until it posts; if the
/// process exits first, the kernel returns the unit (SEM_UNDO). So only the
/// process that waited should post: the kernel takes back a post by another
/// process when that process exits.
///
/// With SHMC_EVENTS the semaphore counts events, and any process may post. The
/// semaphore of a posix: or file: name lies in shared memory: shmc_sem_wait and
/// shmc_sem_post make no system call, unless a process sleeps, and take less
/// than a hundredth of the time of a sysv: name. It counts events only, since a
/// plain count does not tell whose units a killed process held; use a sysv:
/// name or shmc_mutex for a lock.
///
/// name: a sysv: name; with SHMC_EVENTS also a posix: or file: name.
/// value: initial value of a new semaphore, 0 to 32767, for a posix: or file:
/// name 0 to 1073741823; 1 for a lock.
/// flags: 0, or some of SHMC_CREATE, SHMC_EXCL, SHMC_EVENTS, SHMC_INTR, and for
/// a posix: or file: name SHMC_RECLAIM. An existing semaphore keeps its kind,
/// value and mode; without SHMC_EVENTS and SHMC_CREATE a semaphore of either
/// kind is opened. SHMC_INTR is a property of this handle.
/// mode: permission bits of a new semaphore. A process needs read and write
/// permission to use it; 0600 lets only the owner use it.
///
/// No process sees a semaphore without its initial value, even if its creator
/// is killed, and none waits for a creator. The library neither changes nor
/// removes another program's set of semaphores, not even one without a value.
///
/// Returns the semaphore; on failure NULL with errno:
///   EINVAL   the name or a flag is invalid, value is negative, or mode is
///            beyond 0777; SHMC_EXCL or SHMC_RECLAIM without SHMC_CREATE;
///            SHMC_RECLAIM with a sysv: name; SHMC_CREATE without SHMC_EVENTS
///            and with a posix: or file: name; "sysv:private" without
///            SHMC_CREATE; sysv:id: with SHMC_CREATE; the existing set is
///            another program's or, with SHMC_CREATE or SHMC_EVENTS, of the
///            other kind; the existing object is no regular file
///   EBADMSG  the existing object or file is no semaphore of this version
///   ERANGE   value is beyond the highest value
///   ENAMETOOLONG  the path or POSIX name is too long
///   ENOENT   there is no such semaphore, or no such path for the key or the
///            file
///   EEXIST   SHMC_EXCL, and the semaphore exists
///   EACCES   the mode, or a directory of the path, does not permit it; or
///            SHMC_CREATE found a POSIX object of another user
///   EIDRM    a sysv:id: semaphore that was removed
///   EBUSY    other processes created and removed it at every attempt, or one
///            holds its flock(2)
///   ENOSPC   the system allows no further semaphore, or the file system is
///            full
///   ENOMEM   not enough memory
///   EMFILE, ENFILE  too many open files
///   EPERM, ENOSYS  the kernel or a sandbox lacks a call that it needs
///   ELOOP    the POSIX name is a symbolic link; SHMC_CREATE would create or
///            replace through one; or the path has too many of them
///   EIO, ENOTDIR  as in stat(2)
///   EAGAIN, EDQUOT, EFBIG, EINTR, EISDIR, ENODEV, ENXIO, EOPNOTSUPP,
///   EOVERFLOW, EROFS, ETXTBSY  as in shmc_segment_open
///
/// Follows semget(2), semop(2), sem_open(3).
struct shmc_sem *shmc_sem_open(const char *name,
                               int value,
                               int flags,
                               mode_t mode);

/// Takes a unit from the semaphore, or an event, and waits until there is one.
/// Another thread of the process may post the unit.
///
/// With SHMC_INTR a signal handler ends the wait, and so does the kernel when a
/// stopped process continues (SIGCONT). Let the handler set a flag, and test
/// the flag after EINTR. A handler that runs between the test and the wait does
/// not end the wait: if the signal comes only once, use a timeout, or let the
/// handler post an event to the semaphore.
///
/// If a process is killed between its post and the wake-up, a waiter of a
/// posix: or file: name learns of the event within 100 ms; the same holds for
/// a name that was removed by other means than shmc_sem_remove.
///
/// Returns 0; on failure -1 with errno:
///   ETIMEDOUT  there was none in time
///   EINTR      SHMC_INTR, and a signal handler ran; nothing is taken
///   EIDRM      the semaphore was removed, perhaps during the wait
///   EINVAL     sem is NULL
///   EACCES     the mode does not permit it
///   ERANGE     this process holds 32767 units already
///   ENOMEM, ENOSPC  no memory to record what this process holds
///   ENOMEM, ENOSYS  as in futex(2)
///
/// Follows semtimedop(2); compare sem_timedwait(3).
int shmc_sem_wait(struct shmc_sem *sem, int timeout_ms);

/// Returns a unit to the semaphore or, with SHMC_EVENTS, posts an event.
///
/// Returns 0; on failure -1 with errno:
///   ERANGE     the value of a sysv: semaphore is 32767 already
///   EOVERFLOW  the value of a posix: or file: semaphore is 1073741823 already
///   EIDRM      the semaphore was removed
///   EINVAL     sem is NULL
///   EACCES     the mode does not permit it
///   ENOMEM, ENOSPC  no memory to record what this process holds
///
/// Follows semop(2); compare sem_post(3).
int shmc_sem_post(struct shmc_sem *sem);

/// Reads the semaphore's present value.
///
/// Returns the number of units or events, 0 or more; on failure -1 with errno:
///   EIDRM   the semaphore was removed
///   EINVAL  sem is NULL
///   EACCES  the mode does not permit it
///
/// Follows semctl(2) with GETVAL; compare sem_getvalue(3).
int shmc_sem_value(struct shmc_sem *sem);

/// Frees the handle. The semaphore stays. The process keeps the units that it
/// has taken until it exits.
///
/// Returns 0.
int shmc_sem_close(struct shmc_sem *sem);

/// Removes a semaphore at once. Processes that wait for it get EIDRM, and so do
/// later calls with its open handles. If the caller may remove a posix: or
/// file: name but not open it, waiters learn of it within 100 ms, and other
/// calls with open handles still succeed.
///
/// name: the name of a semaphore, but not "sysv:private".
///
/// Returns 0; on failure -1 with errno:
///   EINVAL   the name is invalid; another program's set of semaphores; the
///            object is no regular file
///   EBADMSG  the object or file is no semaphore of this version
///   ENAMETOOLONG  the path or POSIX name is too long
///   ENOENT   there is no such semaphore, or no such path
///   EIDRM    a sysv:id: semaphore that was removed
///   EACCES, EPERM  not permitted
///   EBUSY    another process holds its flock(2)
///   EMFILE, ENFILE  too many open files
///   EIO, ELOOP, ENOMEM, ENOTDIR  as in stat(2)
///   ENOSYS   the kernel or a sandbox lacks a call that it needs
///   EAGAIN, EINTR, EISDIR, ENODEV, ENXIO, EOPNOTSUPP, EOVERFLOW, EROFS,
///   ETXTBSY  as in shmc_segment_open
///
/// Follows semctl(2) with IPC_RMID; compare sem_unlink(3).
int shmc_sem_remove(const char *name);

/// Initialises a mutex, unlocked. An initialised mutex stays as it is, even if
/// it is locked. So each process may call this before it uses the mutex, in any
/// order. Nothing needs to be destroyed.
///
/// mutex: shared memory, aligned to 8 bytes, with any contents. Zeros discard
/// an earlier mutex.
///
/// Returns 0; on failure -1 with errno:
///   EINVAL      mutex is NULL or not aligned
///   EOPNOTSUPP  the mutex belongs to another pid or time namespace (another
///               container), whose threads this process cannot see; or this
///               process cannot determine its own namespaces, because /proc is
///               not mounted or no descriptor is left
int shmc_mutex_init(struct shmc_mutex *mutex);

/// Locks the mutex for the calling thread, and waits until it is free.
///
/// If the holder, a thread or its whole process, exits without unlocking, the
/// next caller gets the mutex and 1 as the result. The data that the mutex
/// protects may then be half changed, and the caller repairs it before it
/// unlocks. A death is noticed within 50 ms, or at once after a reboot. exec(2)
/// is no death: the new program holds what the process's first thread held. A
/// child of vfork(2) must not use a mutex. A mutex that is unmapped while it is
/// locked stays locked until the thread exits.
///
/// Returns 0, or 1 if the last holder died; on failure -1 with errno:
///   ETIMEDOUT   another thread held it all the time
///   EDEADLK     the calling thread holds it already, for example in the code
///               that this signal handler interrupted
///   EINVAL      mutex is NULL, not aligned, not initialised, or overwritten
///   EOPNOTSUPP  as shmc_mutex_init
///   ENOMEM, ENOSYS  as in futex(2)
///
/// Compare pthread_mutex_lock(3p) with PTHREAD_MUTEX_ROBUST.
int shmc_mutex_lock(struct shmc_mutex *mutex, int timeout_ms);

/// Unlocks the mutex.
///
/// Returns 0; on failure -1 with errno:
///   EPERM       the calling thread does not hold it
///   EINVAL      mutex is NULL, not aligned, not initialised, or overwritten
///   EOPNOTSUPP  as shmc_mutex_init
///
/// Compare pthread_mutex_unlock(3p).
int shmc_mutex_unlock(struct shmc_mutex *mutex);

/// Sleeps while a word of shared memory has the expected value, until
/// shmc_wake.
///
/// word: 32 bits, aligned to 4 bytes, in memory that processes or threads
/// share; a read-only mapping is enough. Its type may be uint32_t or int, also
/// volatile, _Atomic or std::atomic.
/// expected: the value that the program has read and waits to see changed.
///
/// Load the word atomically, once in each turn of a loop. The compiler may read
/// a plain variable only once, and earlier writes of the other process may not
/// be visible yet.
///
///   C11, _Atomic uint32_t word:
///     while ((value = atomic_load(&word)) == 0)
///         shmc_wait(&word, 0, -1);
///   C++11, std::atomic<uint32_t> word:
///     while ((value = word.load()) == 0)
///         shmc_wait(&word, 0, -1);
///   gcc and clang, any other word:
///     while ((value = __atomic_load_n(&word, __ATOMIC_ACQUIRE)) == 0)
///         shmc_wait(&word, 0, -1);
///
/// The other side changes it with atomic_store, store or __atomic_store_n, and
/// then calls shmc_wake.
///
/// Returns 0 if the word has another value or a wake came. That may happen
/// early, so test the word again. On failure -1 with errno:
///   ETIMEDOUT  the word has the expected value, and no wake came
///   EINVAL     word is NULL or not aligned to 4 bytes
///   EFAULT     there is no memory
///   ENOMEM, ENOSYS  as in futex(2)
///
/// Follows futex(2).
int shmc_wait(const volatile void *word, uint32_t expected, int timeout_ms);

/// Wakes threads that sleep on the word in shmc_wait. Change the word first.
///
/// how_many: the most to wake; INT_MAX wakes all.
///
/// Returns the number of woken threads; on failure -1 with errno:
///   EINVAL  word is NULL or not aligned to 4 bytes, or how_many is negative
///   EFAULT  there is no memory
///   ENOMEM, ENOSYS  as in futex(2)
///
/// Follows futex(2).
int shmc_wake(const volatile void *word, int how_many);

/* ======================================================================== */
/* Channels                                                                 */
/* ======================================================================== */

/// Open the sending end of a channel, or a topic for writing.
#define SHMC_SEND 0x100

/// Open the receiving end of a channel, or a topic for reading.
#define SHMC_RECV 0x200

/// shmc_channel_open: share this end with other processes or threads, up to 63
/// handles, all opened with this flag.
///
/// A handle that waits keeps no other handle from working, even if its process
/// is stopped. A handle that has reserved or peeked makes the others of its end
/// wait until it commits or releases.
#define SHMC_SHARED 0x400

/// One end of a channel.
typedef struct shmc_channel shmc_channel;

/// The state of a channel, from shmc_channel_stat.
typedef struct shmc_channel_info {
    /// Size in bytes. A message takes its length rounded up to 8, plus 8.
    uint64_t capacity;
    /// Bytes in use.
    uint64_t used;
    /// Messages sent and not yet received.
    uint64_t messages;
    /// Messages sent since the channel was created.
    uint64_t sent;
    /// Messages received since the channel was created.
    uint64_t received;
    /// 1: a process holds the sending end.
    int sender_alive;
    /// 1: a process holds the receiving end.
    int receiver_alive;
    /// 0; room for later fields.
    uint64_t reserved[4];
} shmc_channel_info;

/// Opens one end of a message channel.
///
/// A channel keeps messages in order, each whole, until they are received or
/// shmc_remove removes the channel. Messages survive restarts of both sides. If
/// a side is killed, at any instruction, the channel is in the same state as
/// after shmc_channel_close.
///
/// name: a posix: or file: name.
/// capacity: bytes for messages, rounded up to a power of two of at least 4096.
/// A message takes its length rounded up to 8, plus 8. 0: that of the existing
/// channel, or 1 MiB for a new one.
/// flags: SHMC_SEND or SHMC_RECV, with any of SHMC_CREATE, SHMC_EXCL,
/// SHMC_SHARED, SHMC_INTR. Both sides may create the channel, in either order.
/// mode: permission bits of a new channel. Both sides need read and write
/// permission. Any process that may read it can lock out an end's owner, so use
/// 0600 unless you trust group and others.
///
/// Returns the end; on failure NULL with errno (and SIGXFSZ) as
/// shmc_segment_open, and:
///   EBUSY    another handle holds this end, or 63 share it. The end of a
///            holder that died is free at once, or when a child it had just
///            forked runs; the call waits 100 ms for that
///   EINVAL   capacity is larger than that of the existing channel
///   EBADMSG  the existing object is no channel of this version, comes from a
///            system with smaller pages, or is damaged
///   EMFILE   too many open files, or 256 channels in this process
///   ENOLCK   no file locks left, or none on this file system
///
/// A child gets EPERM on an inherited handle; it may close the handle and open
/// the channel itself. A child of _Fork or of a bare clone(2) keeps the file
/// open: the parent's end stays held until both have exited or called exec(2).
///
/// Follows shm_open(3), mmap(2).
struct shmc_channel *shmc_channel_open(const char *name,
                                       size_t capacity,
                                       int flags,
                                       mode_t mode);

/// Sends a message: copies it into the channel and wakes the receiver if it
/// sleeps.
///
/// msg, len: the message, from 0 bytes to the capacity less 16.
/// timeout_ms: how long to wait for room.
///
/// Makes no system call while there is room and the receiver is awake, and one
/// to wake a receiver. If several handles share an end and sleep, a message
/// wakes one of them, and that one wakes the next if there is more to do.
///
/// Returns 0: the message will be received, even if this process dies. On
/// failure -1 with errno, and nothing is sent:
///   EAGAIN     there is no room, and timeout_ms is 0; or another handle of a
///              shared end has been inside a message for more than 20
///              microseconds
///   ETIMEDOUT  there was no room in time
///   EPIPE      there is no room, and the receiver has closed its end or died.
///              A new receiver makes the channel usable again. A handle that
///              has met no receiver yet waits for one
///   EIDRM      there is no room and no receiver, and the channel is removed
///   EINTR      SHMC_INTR, and a signal handler ran during the wait
///   EMSGSIZE   the message is longer than the capacity less 16
///   EBADMSG    the channel's memory is damaged
///   EINVAL     channel is NULL or a receiving end; msg is NULL and len is not
///              0
///   EPERM      the handle was inherited across fork(2)
///
/// EPIPE and EIDRM come within 100 ms of their cause.
int shmc_send(struct shmc_channel *channel,
              const void *msg,
              size_t len,
              int timeout_ms);

/// Receives a message: copies it out of the channel and frees its room.
///
/// buf, size: the buffer and its size in bytes.
/// timeout_ms: how long to wait for a message.
///
/// Makes no system call while there is a message and the sender is awake, and
/// one to wake a sender that waits for room. Shared ends: see shmc_send.
///
/// Returns the message's length in bytes, which may be 0; on failure -1 with
/// errno:
///   EAGAIN     there is no message, and timeout_ms is 0; or another handle of
///              a shared end has been inside a message for more than 20
///              microseconds
///   ETIMEDOUT  there was no message in time
///   EPIPE      there is no message, and the sender has closed its end or died;
///              all that it sent has been received. A new sender makes the
///              channel usable again. A handle that has met no sender yet waits
///              for one
///   EIDRM      there is no message and no sender, and the channel is removed
///   EINTR      SHMC_INTR, and a signal handler ran during the wait
///   EMSGSIZE   the message is longer than size; it stays in the channel
///   EBADMSG    the channel's memory is damaged
///   EINVAL     channel is NULL or a sending end; buf is NULL and size is not 0
///   EPERM      the handle was inherited across fork(2)
///
/// EPIPE and EIDRM come within 100 ms of their cause.
ssize_t shmc_recv(struct shmc_channel *channel,
                  void *buf,
                  size_t size,
                  int timeout_ms);

/// Reserves room for the next message, which the program writes in place and
/// sends with shmc_commit. A message that is not committed is never sent.
/// Reserving again, even if that fails, discards the earlier reservation, and
/// lets the other handles of a shared end proceed.
///
/// len: bytes to reserve.
/// timeout_ms: how long to wait for room.
///
/// Returns the address for the message, aligned to 8; on failure NULL with
/// errno as shmc_send.
void *shmc_reserve(struct shmc_channel *channel, size_t len, int timeout_ms);

/// Sends the message in the room that shmc_reserve returned. Never waits.
///
/// len: the message's length in bytes, at most the reserved length.
///
/// Returns 0: the message will be received, even if this process dies. On
/// failure -1 with errno:
///   EINVAL  channel is NULL, nothing is reserved, or len is too large
///   EPERM   the handle was inherited across fork(2)
int shmc_commit(struct shmc_channel *channel, size_t len);

/// Finds the next message, which the program reads in place and frees with
/// shmc_release. Peeking again finds the same message; if the receiver dies
/// before it releases, so does the next receiver. A faulty sender can still
/// change the message, so copy it before you check it, if it must not change
/// after that.
///
/// len: is set to the message's length in bytes.
/// timeout_ms: how long to wait for a message.
///
/// Returns the message's address, aligned to 8; on failure NULL with errno as
/// shmc_recv.
const void *shmc_peek(struct shmc_channel *channel,
                      size_t *len,
                      int timeout_ms);

/// Frees the message that shmc_peek returned. Never waits.
///
/// Returns 0; on failure -1 with errno:
///   EINVAL  channel is NULL, or no message has been peeked at
///   EPERM   the handle was inherited across fork(2)
int shmc_release(struct shmc_channel *channel);

/// Returns a descriptor for poll(2), epoll(7) and select(2), with which an
/// event loop waits for this end beside its other files.
///
/// The descriptor is readable (POLLIN) while this end may be able to proceed:
/// there is a message, or room, or the other side has closed or died. It stays
/// readable until a call with timeout_ms 0 on this handle fails with EAGAIN, or
/// reports EPIPE or EIDRM, which it does once per loss. So a loop may make one
/// such call after each event, or several; an edge-triggered loop must go on
/// until EAGAIN. The descriptor is readable at first, and at times for no
/// reason.
///
/// Calls that wait may come in between. If several handles share an end, each
/// message makes all their descriptors readable; one handle gets it, the others
/// EAGAIN.
///
/// Each call returns the same descriptor. The channel owns and closes it: do
/// not read or close it. A child of fork(2) does not inherit it.
///
/// Waking a process that waits for its descriptor takes one system call, and
/// the EAGAIN before the next wait another. For a tenth of a second after some
/// process has closed the channel, EAGAIN may take a millisecond.
///
/// Returns the descriptor, at least 3; on failure -1 with errno:
///   EMFILE      too many open files; or too many inotify instances of this
///               user: the limit is fs.inotify.max_user_instances, often 128;
///               or 256 channels and descriptors of channels in this process
///   ENFILE      too many open files in the system
///   ENOSPC      too many inotify watches of this user: the limit is
///               fs.inotify.max_user_watches
///   ENOMEM      not enough memory
///   EACCES      the caller has lost its read permission
///   EOPNOTSUPP  /proc is not mounted; or a sandbox, or the file system, has no
///               inotify(7)
///   EINVAL      channel is NULL
///   EPERM       the handle was inherited across fork(2)
int shmc_channel_fd(struct shmc_channel *channel);

/// Reads the channel's present state into info, with one system call.
///
/// Returns 0; on failure -1 with errno:
///   EINVAL  channel or info is NULL
///   EPERM   the handle was inherited across fork(2)
int shmc_channel_stat(const struct shmc_channel *channel,
                      struct shmc_channel_info *info);

/// Closes this end. Sent messages stay in the channel. The other side notices
/// when it would wait.
///
/// Returns 0.
int shmc_channel_close(struct shmc_channel *channel);

/* ======================================================================== */
/* Topics: one writer, any number of readers                                */
/* ======================================================================== */

/// shmc_topic_open with SHMC_RECV: start at the oldest message that is whole,
/// not at the newest.
#define SHMC_HISTORY 0x1000

/// A topic, open for its writer or for a reader.
typedef struct shmc_topic shmc_topic;

/// The state of a topic, from shmc_topic_stat.
typedef struct shmc_topic_info {
    /// The longest message, in bytes.
    uint64_t max_message;
    /// Messages that the topic keeps.
    uint64_t depth;
    /// Messages written since the topic was created.
    uint64_t written;
    /// 1: a process holds the writer's end.
    int writer_alive;
    /// 0; room for later fields.
    uint64_t reserved[4];
} shmc_topic_info;

/// Opens a topic: one process writes messages, any number of processes read
/// them.
///
/// A topic keeps the last messages, each whole. The writer overwrites the
/// oldest one and never waits, so a slow, stopped or dead reader does not
/// matter to it. A reader knows how many messages it has lost. If the writer is
/// killed, at any instruction, the next writer goes on at once.
///
/// name: a posix: or file: name.
/// max_message: the longest message, in bytes. 0: that of the existing topic.
/// depth: number of messages kept, rounded up to a power of two of at least 4.
/// A message takes max_message plus 16, rounded up to 64.
/// flags: SHMC_SEND (the writer, one handle at a time) or SHMC_RECV (a reader),
/// with any of SHMC_CREATE, SHMC_EXCL; for a reader also SHMC_HISTORY,
/// SHMC_INTR. Both sides may create the topic, in either order.
/// mode: permission bits of a new topic. A reader needs read permission only. A
/// process with write permission can damage the topic; one with read permission
/// can lock out the next writer, never the present one.
///
/// A reader starts at the newest message, if there is one. It cannot write to
/// the messages: that is SIGSEGV.
///
/// Returns the handle; on failure NULL with errno (and SIGXFSZ) as
/// shmc_segment_open, and:
///   EBUSY    another handle is open for writing. The end of a writer that died
///            is free at once, or when a child it had just forked runs; the
///            call waits 100 ms for that
///   EINVAL   max_message or depth is larger than that of the existing topic,
///            or max_message is 0 and there is none
///   EBADMSG  the existing object is no topic of this version, comes from a
///            system with smaller pages, or is damaged
///   EMFILE   too many open files, or 256 channels, topics and descriptors of
///            them in this process
///   ENOLCK   no file locks left, or none on this file system
///
/// A child gets EPERM on an inherited handle; it may close the handle and open
/// the topic itself.
///
/// Follows shm_open(3), mmap(2).
struct shmc_topic *shmc_topic_open(const char *name,
                                   size_t max_message,
                                   unsigned int depth,
                                   int flags,
                                   mode_t mode);

/// Writes a message: copies it into the topic, in place of the oldest one, and
/// wakes the readers that sleep. Never waits.
///
/// msg, len: the message, from 0 bytes to the topic's longest.
///
/// Makes no system call while no reader sleeps and every process that may read
/// the topic may write to it, by the mode at the open; otherwise one.
///
/// Returns 0: every reader sees the message, even if this process dies. On
/// failure -1 with errno, and nothing is written:
///   EMSGSIZE  the message is longer than the topic's longest
///   EINVAL    topic is NULL or a reader's; msg is NULL and len is not 0
///   EPERM     the handle was inherited across fork(2)
int shmc_topic_write(struct shmc_topic *topic, const void *msg, size_t len);

/// Begins the next message, which the program writes in place and publishes
/// with shmc_topic_publish. The oldest message is lost from now on. Beginning
/// again, or shmc_topic_write, discards what was begun.
///
/// Returns the address for the topic's longest message, aligned to 16; on
/// failure NULL with errno:
///   EINVAL  topic is NULL or a reader's
///   EPERM   the handle was inherited across fork(2)
void *shmc_topic_begin(struct shmc_topic *topic);

/// Publishes the message that shmc_topic_begin has begun. Never waits. System
/// calls: see shmc_topic_write.
///
/// len: the message's length in bytes, at most the topic's longest.
///
/// Returns 0: every reader sees the message, even if this process dies. On
/// failure -1 with errno:
///   EINVAL  topic is NULL or a reader's, nothing has begun, or len is larger
///           than the topic's longest
///   EPERM   the handle was inherited across fork(2)
int shmc_topic_publish(struct shmc_topic *topic, size_t len);

/// Reads the next message: copies it out of the topic.
///
/// buf, size: the buffer and its size in bytes.
/// lost: NULL, or is set to the number of messages that were overwritten before
/// this one and not yet reported to this handle. So read and lost messages are
/// together all that were written. A reader that was overtaken goes on in the
/// middle of the messages that are kept.
/// timeout_ms: how long to wait for a message.
///
/// Makes no system call while there is a message. A reader without write
/// permission is woken if the mode of the topic was such that a process could
/// have that when the writer opened it; else it looks every 80 ms.
///
/// Returns the message's length in bytes, which may be 0; on failure -1 with
/// errno:
///   EAGAIN     there is no message, and timeout_ms is 0; or the writer
///              overwrote each one while it was copied, 100 times
///   ETIMEDOUT  there was no message in time
///   EPIPE      there is no message, and the writer has closed the topic or
///              died. A new writer makes it usable again. A handle that has met
///              no writer yet waits for one
///   EIDRM      there is no message and no writer, and the topic is removed
///   EINTR      SHMC_INTR, and a signal handler ran during the wait
///   EMSGSIZE   the message is longer than size; it stays the next one
///   EBADMSG    the topic's memory is damaged
///   EINVAL     topic is NULL or the writer's; buf is NULL and size is not 0
///   EPERM      the handle was inherited across fork(2)
///
/// EPIPE and EIDRM come within 100 ms of their cause.
ssize_t shmc_topic_read(struct shmc_topic *topic,
                        void *buf,
                        size_t size,
                        uint64_t *lost,
                        int timeout_ms);

/// Copies the newest message out of the topic, at once. shmc_topic_read goes on
/// where it was. The message is no older than one whose shmc_topic_write or
/// shmc_topic_publish had returned before the call.
///
/// buf, size: the buffer and its size in bytes.
/// number: NULL, or is set to the number of the message, counted from 1 since
/// the topic was created.
///
/// Returns the message's length in bytes, which may be 0; on failure -1 with
/// errno:
///   EAGAIN    nothing has been written yet; or the writer overwrote each
///             message while it was copied, 100 times
///   EMSGSIZE  the message is longer than size
///   EBADMSG   the topic's memory is damaged
///   EINVAL    topic is NULL or the writer's; buf is NULL and size is not 0
///   EPERM     the handle was inherited across fork(2)
ssize_t shmc_topic_latest(struct shmc_topic *topic,
                          void *buf,
                          size_t size,
                          uint64_t *number);

/// Finds the next message, which the program reads in place. The writer may
/// overwrite the message meanwhile: rely on what was read only after
/// shmc_topic_release has returned 0. Peeking again finds the same message, or
/// a later one if it was overwritten. A shmc_topic_read ends the peek, even if
/// it fails.
///
/// len: is set to the message's length in bytes.
/// lost, timeout_ms: as for shmc_topic_read.
///
/// Returns the message's address, aligned to 16; on failure NULL with errno as
/// shmc_topic_read.
const void *shmc_topic_peek(struct shmc_topic *topic,
                            size_t *len,
                            uint64_t *lost,
                            int timeout_ms);

/// Ends the reading of the message that shmc_topic_peek returned. Never waits.
///
/// Returns 0: the message was whole until now. On failure -1 with errno:
///   ESTALE  the writer overwrote the message, or began to: discard all that
///           was read from it. It counts as lost
///   EINVAL  topic is NULL or the writer's, or no message has been peeked at
///   EPERM   the handle was inherited across fork(2)
int shmc_topic_release(struct shmc_topic *topic);

/// Returns a descriptor for poll(2), epoll(7) and select(2), with which an
/// event loop waits for messages beside its other files.
///
/// The descriptor is readable (POLLIN) while there may be a message, or the
/// writer has closed or died. It stays readable until shmc_topic_read or
/// shmc_topic_peek with timeout_ms 0 fails with EAGAIN, or reports EPIPE or
/// EIDRM, which it does once per loss. So a loop may make one such call after
/// each event, or several; an edge-triggered loop must go on until EAGAIN. The
/// descriptor is readable at first, and at times for no reason.
///
/// Each call returns the same descriptor. The topic owns and closes it: do not
/// read or close it. A child of fork(2) does not inherit it.
///
/// For a tenth of a second after some process has closed the topic, EAGAIN may
/// take a millisecond.
///
/// Returns the descriptor, at least 3; on failure -1 with errno as
/// shmc_channel_fd, and:
///   EACCES  the handle may only read the topic, so it cannot ask the writer to
///           make a descriptor readable
///   EINVAL  topic is NULL or the writer's
int shmc_topic_fd(struct shmc_topic *topic);

/// Reads the topic's present state into info, with one system call at most.
///
/// Returns 0; on failure -1 with errno:
///   EINVAL  topic or info is NULL
///   EPERM   the handle was inherited across fork(2)
int shmc_topic_stat(const struct shmc_topic *topic,
                    struct shmc_topic_info *info);

/// Closes the topic. Messages stay, for later readers too. A reader notices
/// that the writer has closed when it would wait.
///
/// Returns 0.
int shmc_topic_close(struct shmc_topic *topic);

#ifdef __cplusplus
}
#endif

#endif /* SHMCOMM_SHMCOMM_H */
