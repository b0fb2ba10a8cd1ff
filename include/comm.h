/* comm.h, generated from src/ by a test: do not edit. */

#ifndef SHMCOMM_COMM_H
#define SHMCOMM_COMM_H

#include <errno.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <string.h>

/*
 * The five functions of a hand-written comm.c: one System V segment, whose key
 * ftok(3) makes from a path and a project id at each call. The two come from
 *
 * 1. COMM_PATH_NAME and COMM_PROJ_ID in the environment, either or both;
 * 2. else _PATH_NAME_ and _PROJ_ID_, if the program defines them before it
 *    includes this header, or with -D;
 * 3. else the defaults below. If nobody chose a path and the default path does
 *    not exist, the key is 0x00746d70 with the low 8 bits of the project id
 *    above it.
 *
 * The program's macros are evaluated once, before main, so they must be
 * constants.
 *
 * With COMM_EXPLAIN=1 in the environment, one more line on stderr explains each
 * failure. An unusable value of a variable is reported there once.
 *
 * Every function is thread-safe and may be used by parent and child after
 * fork(2). create_shm, get_shm and destory_shm are not async-signal-safe,
 * because they print failures through stdio; shm_at and shm_dt are, unless they
 * fail.
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
 * Takes the path and the project id that the program defined; this header calls
 * it before main. A NULL path stands for the default. The first choice in a
 * process counts, as long as no key has been made. Weak, so that the program
 * also links if the five functions come from elsewhere.
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
 * Creates the segment of this program's key, which every user may read and
 * write (mode 0666).
 *
 * size: bytes, at least 1. The kernel rounds the memory up to whole pages and
 * fills it with zeros.
 *
 * Returns the segment's id, 0 or more. On failure it prints a line on stderr,
 * and returns with errno of the call that failed:
 *   -1  there is no key: errno of stat(2) for the path, such as ENOENT,
 *       EACCES, ENOTDIR, ENAMETOOLONG, ELOOP
 *   -2  EEXIST  a segment with this key exists
 *       EINVAL  size is less than 1 or beyond the limit (SHMMAX)
 *       ENOSPC  no further segment (SHMMNI) or memory (SHMALL) is allowed
 *       ENOMEM  not enough memory
 *
 * COMM_RECLAIM=1 in the environment: instead of EEXIST, replaces a stale
 * segment: owned by the caller, attached by no process, its creator exited. If
 * any of this is uncertain, the segment is kept.
 *
 * COMM_MODE=0600 in the environment, or another octal mode: the new segment's
 * permission bits instead of 0666.
 *
 * Follows shmget(2) with IPC_CREAT | IPC_EXCL.
 */
int create_shm(int size);

/**
 * Finds the segment of this program's key, whatever its size. It creates
 * nothing.
 *
 * Returns the segment's id, 0 or more. On failure it prints a line on stderr,
 * and returns with errno of the call that failed:
 *   -1  there is no key, see create_shm
 *   -2  EINVAL  there is no segment with this key
 *
 * COMM_WAIT_MS=n in the environment: if there is no segment yet, or no path,
 * waits for it, n milliseconds at most; signals do not end the wait. Set it
 * for clients alone: a program that looks for an old segment before it creates
 * its own would wait in vain.
 *
 * Follows shmget(2) with size 0 and IPC_CREAT.
 */
int get_shm(void);

/**
 * Removes a segment (programs know the function by this spelling). Its key is
 * free at once. Processes that have attached the segment may use its memory
 * until the last of them detaches.
 *
 * shm_id: the result of create_shm or get_shm.
 *
 * Returns 0; on failure -1 with errno and a line on stderr:
 *   EINVAL, EIDRM  there is no such segment
 *   EPERM          the caller is neither its owner nor its creator nor
 *                  privileged
 *
 * Follows shmctl(2) with IPC_RMID.
 */
int destory_shm(int shm_id);

/**
 * Attaches a segment for reading and writing, at an address that the kernel
 * chooses. Children of fork(2) inherit it; exec(2) and exit detach it.
 *
 * shm_id: the result of create_shm or get_shm.
 *
 * Returns the address; on failure (void *)-1 with errno, and no perror(3):
 *   EINVAL, EIDRM  there is no such segment
 *   EACCES         its mode does not let the caller read and write
 *   ENOMEM         not enough memory or address space
 *
 * Follows shmat(2) with NULL and 0.
 */
void *shm_at(int shm_id);

/**
 * Detaches a segment from this process.
 *
 * shmaddr: the result of shm_at. The memory must not be used afterwards.
 *
 * Returns 0; on failure -1 with errno, and no perror(3):
 *   EINVAL  nothing is attached at this address
 *
 * Follows shmdt(2).
 */
int shm_dt(void *shmaddr);

#ifdef __cplusplus
}
#endif

#endif /* SHMCOMM_COMM_H */
