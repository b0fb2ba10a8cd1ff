/*
 * mutex BY WHAT COUNT: each process locks and unlocks COUNT times. Prints how
 * many nanoseconds that took, divided by the number of all locks.
 *
 * BY is "library" or "pthread", which is robust and shared by processes. WHAT
 * is "alone"; "contended", by two processes that change 200 words inside; or
 * "turns", which two processes take.
 */
#define _GNU_SOURCE
#include "shmcomm.h"
#include "times.h"

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { INSIDE = 200 };

/* Shared; each on cache lines of its own. */
static struct shared {
    _Alignas(128) shmc_mutex library;
    _Alignas(128) pthread_mutex_t pthread;
    _Alignas(128) volatile long words[INSIDE];
    volatile long turn;
    _Alignas(128) volatile int ready;
} *shared;

static int by_library;
static long start_at;

static void acquire(void)
{
    if (by_library)
        shmc_mutex_lock(&shared->library, -1);
    else
        pthread_mutex_lock(&shared->pthread);
}

static void release(void)
{
    if (by_library)
        shmc_mutex_unlock(&shared->library);
    else
        pthread_mutex_unlock(&shared->pthread);
}

static void run_on(int core)
{
    cpu_set_t cores;

    CPU_ZERO(&cores);
    CPU_SET(core, &cores);
    sched_setaffinity(0, sizeof cores, &cores);
}

static void alone(long count, int me)
{
    (void)me;
    for (; count > 0; count--) {
        acquire();
        release();
    }
}

static void contended(long count, int me)
{
    int i;

    (void)me;
    for (; count > 0; count--) {
        acquire();
        for (i = 0; i < INSIDE; i++)
            shared->words[i]++;
        release();
    }
}

static void turns(long count, int me)
{
    while (count > 0) {
        acquire();
        if (shared->turn % 2 == me) {
            shared->turn++;
            count--;
        }
        release();
    }
}

/* Works after all processes have used the mutex once. */
static void join_in(void (*work)(long, int), long count, int me, int processes)
{
    run_on(me);
    acquire();
    release();
    __atomic_add_fetch(&shared->ready, 1, __ATOMIC_SEQ_CST);
    while (shared->ready < processes)
        ;
    start_at = now();
    work(count, me);
}

int main(int argc, char **argv)
{
    pthread_mutexattr_t robust;
    long count;
    pid_t other;

    require(argc == 4, "mutex BY WHAT COUNT");
    by_library = strcmp(argv[1], "library") == 0;
    count = atol(argv[3]);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    require(shared != MAP_FAILED, "mmap failed");
    pthread_mutexattr_init(&robust);
    pthread_mutexattr_setpshared(&robust, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&robust, PTHREAD_MUTEX_ROBUST);
    require(pthread_mutex_init(&shared->pthread, &robust) == 0, "pthread_mutex_init failed");
    require(shmc_mutex_init(&shared->library) == 0, "shmc_mutex_init failed");
    if (strcmp(argv[2], "alone") == 0) {
        join_in(alone, count, 0, 1);
    } else {
        void (*work)(long, int) = strcmp(argv[2], "turns") == 0 ? turns : contended;

        if ((other = fork()) == 0) {
            join_in(work, count, 1, 2);
            _exit(0);
        }
        require(other > 0, "fork failed");
        join_in(work, count, 0, 2);
        waitpid(other, NULL, 0);
        count *= 2;
    }
    printf("%.3f\n", (double)(now() - start_at) / (double)count);
    return 0;
}
