/* comm.h, generated from the Rust source: do not edit. */

#ifndef SHMCOMM_COMM_H
#define SHMCOMM_COMM_H

#include <errno.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <string.h>

/*
 * The key is made from a path and a project id, by ftok(3), at each call:
 *
 * 1. COMM_PATH_NAME and COMM_PROJ_ID in the environment, each alone or both;
 * 2. else _PATH_NAME_ and _PROJ_ID_, where the program defines them before it
 *    includes this header, or by -D;
 * 3. else these defaults. Where nobody chose the path and it does not exist,
 *    the key is 0x00746d70 with the low 8 bits of the project id above it.
 *
 * What the program defines is evaluated once, before main: it is constants.
 *
 * With COMM_EXPLAIN=1 in the environment, each failure is explained in one more
 * line on stderr. A variable whose value cannot be used is reported there once.
 */
#if defined(_PATH_NAME_)
#define SHMC_CHOSEN_PATH_ _PATH_NAME_
#elif defined(_PROJ_ID_)
#define SHMC_CHOSEN_PATH_ NULL
#endif
#ifndef _PATH_NAME_
#define _PATH_NAME_ "/temp"
#endif
#ifndef _PROJ_ID_
#define _PROJ_ID_ 0x6666 /* ftok uses the low 8 bits */
#endif

#ifdef SHMC_CHOSEN_PATH_
#ifdef __cplusplus
extern "C" {
#endif
/*
 * Takes what the program defined, before its main() runs; this header does it.
 * NULL for the path stands for the default. The first choice in a process
 * counts, as long as no key has been made. Weak, so that the program also links
 * where the five functions come from elsewhere.
 */
void shmc_comm_key(const char *path_name, int proj_id) __attribute__((weak));
#ifdef __cplusplus
}
#endif
__attribute__((constructor(101))) static void shmc_choose_comm_key_(void)
{
    if (shmc_comm_key)
        shmc_comm_key(SHMC_CHOSEN_PATH_, _PROJ_ID_);
}
#endif

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Creates the segment of this program's key, for everybody to read and write
 * (mode 0666): shmget(2) with IPC_CREAT | IPC_EXCL.
 *
 * size: bytes, from 1; the kernel rounds the memory up to whole pages and
 * fills it with zeros.
 *
 * Returns the segment's id, >= 0. On failure errno is that of the call that
 * failed, and a line about it is on stderr:
 *   -1  there is no key: errno of stat(2) for the path, such as ENOENT,
 *       EACCES, ENOTDIR, ENAMETOOLONG, ELOOP
 *   -2  EEXIST  there is a segment with this key already
 *       EINVAL  size is less than 1 or more than the limit (SHMMAX)
 *       ENOSPC  no more segments (SHMMNI) or pages (SHMALL) are allowed
 *       ENOMEM  not enough memory
 *
 * COMM_RECLAIM=1 in the environment: instead of EEXIST, replaces a segment
 * that is left over, which is one of the caller's own that nobody has attached
 * and whose creator has ended; when in doubt, it stays.
 * COMM_MODE=0600 in the environment, or another octal mode: the new segment's
 * permission bits instead of 0666.
 *
 * Thread-safe. After fork(2) usable in parent and child. Not
 * async-signal-safe, since failures are printed through stdio.
 */
int create_shm(int size);

/**
 * Finds the segment of this program's key, whatever its size: shmget(2) with
 * size 0 and IPC_CREAT, which creates nothing.
 *
 * Returns the segment's id, >= 0. On failure errno is that of the call that
 * failed, and a line about it is on stderr:
 *   -1  there is no key, as for create_shm
 *   -2  EINVAL  there is no segment with this key
 *
 * COMM_WAIT_MS=n in the environment: where there is no segment (or no path)
 * yet, waits up to n milliseconds for it, also through signals. A program that
 * looks for an old segment before it creates its own waits in vain, each time
 * that there is none: set it for the other programs alone.
 *
 * Thread, fork and signal safety: as create_shm.
 */
int get_shm(void);

/**
 * Removes a segment (spelled as programs know it): shmctl(2) with IPC_RMID.
 * Its key is free at once; its memory is freed when the last process has
 * detached, and stays usable until then where it is attached.
 *
 * shm_id: what create_shm or get_shm returned.
 *
 * Returns 0; -1 on failure, with errno and a line on stderr:
 *   EINVAL, EIDRM  there is no such segment
 *   EPERM          neither its owner nor its creator nor privileged
 *
 * Thread, fork and signal safety: as create_shm.
 */
int destory_shm(int shm_id);

/**
 * Attaches a segment for reading and writing, at an address of the kernel's
 * choice: shmat(2) with NULL and 0.
 *
 * shm_id: what create_shm or get_shm returned.
 *
 * Returns the address; (void *)-1 on failure, with errno, and no perror(3):
 *   EINVAL, EIDRM  there is no such segment
 *   EACCES         its mode does not let the caller read and write
 *   ENOMEM         not enough memory or address space
 *
 * Thread-safe. A child of fork(2) inherits what is attached; exec(2) and exit
 * detach. Async-signal-safe as long as it succeeds.
 */
void *shm_at(int shm_id);

/**
 * Detaches a segment from this process: shmdt(2).
 *
 * shmaddr: what shm_at returned; the memory must not be used any more.
 *
 * Returns 0; -1 on failure, with errno, and no perror(3):
 *   EINVAL  nothing is attached at this address
 *
 * Thread, fork and signal safety: as shm_at.
 */
int shm_dt(void *shmaddr);

#ifdef __cplusplus
}
#endif

#endif /* SHMCOMM_COMM_H */
