/*
 * mutex WHAT [LIBRARY]: checks that the library knows the calling thread, which it remembers
 * without a system call. The program uses the functions that it is linked with, or loads LIBRARY
 * while another thread runs. Prints "fine", or exits with 77 if this user lacks a permission.
 */
#define _GNU_SOURCE
#include "fork_by.h"
#include "shmcomm.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* The value of SECCOMP_MODE_STRICT: not every C library finds linux/seccomp.h. */
#define STRICT 1

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "line %d: %s: %s\n", __LINE__, #condition, strerror(errno)); \
            _exit(1); \
        } \
    } while (0)

typedef int init_function(shmc_mutex *);
typedef int lock_function(shmc_mutex *, int);

static init_function *mutex_init = shmc_mutex_init, *mutex_unlock = shmc_mutex_unlock;
static lock_function *mutex_lock = shmc_mutex_lock;

/* Both lie in memory that children share. */
static shmc_mutex *parents, *childs;

static int fails(int result, int error)
{
    return result == -1 && errno == error;
}

static void nap(long milliseconds)
{
    struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};

    nanosleep(&time, NULL);
}

static void join(pid_t child)
{
    int status = -1;

    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Checks that the caller holds nothing and is not mistaken for another thread. */
static void check_identity(void)
{
    int i;

    for (i = 0; i < 3; i++) {
        CHECK(fails(mutex_unlock(parents), EPERM));
        CHECK(fails(mutex_lock(parents, 0), ETIMEDOUT));
    }
    for (i = 0; i < 3; i++) {
        CHECK(mutex_lock(childs, 0) == 0 && fails(mutex_lock(childs, 0), EDEADLK));
        CHECK(mutex_unlock(childs) == 0 && fails(mutex_unlock(childs), EPERM));
    }
    CHECK(mutex_lock(childs, 0) == 0);
}

/* In strict mode the kernel kills a thread that makes any system call but read, write and _exit. */
static void lock_quietly(void)
{
    int i;

    CHECK(mutex_lock(childs, 0) == 0 && mutex_unlock(childs) == 0);
    CHECK(prctl(PR_SET_SECCOMP, STRICT) == 0);
    for (i = 0; i < 1000; i++)
        if (mutex_lock(childs, -1) != 0 || mutex_unlock(childs) != 0)
            syscall(SYS_exit, 1);
    syscall(SYS_exit, 0);
}

static void quiet(void)
{
    pid_t child = fork();

    if (child == 0)
        lock_quietly();
    join(child);
}

static void *call_library(void *unused)
{
    CHECK(mutex_init(childs) == 0);
    return unused;
}

/* Lets another thread of the process call the library before this one. */
static void let_another_thread_call(void)
{
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, call_library, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}

/* The library has remembered the parent thread before a child and a grandchild call it. */
static void forks(const char *how)
{
    pid_t child, grandchild;

    CHECK(mutex_lock(parents, 0) == 0);
    if ((child = fork_by(how)) == 0) {
        let_another_thread_call();
        check_identity();
        CHECK(mutex_unlock(childs) == 0);
        if ((grandchild = fork_by(how)) == 0) {
            let_another_thread_call();
            check_identity();
            _exit(0);
        }
        join(grandchild);
        /* The grandchild died holding the mutex; this process, its parent, lives. */
        CHECK(mutex_lock(childs, 0) == 1);
        _exit(0);
    }
    join(child);
    CHECK(mutex_lock(childs, 0) == 1 && mutex_unlock(childs) == 0);
    CHECK(mutex_unlock(parents) == 0);
}

/* Each thread dies holding the mutex. The next one gets its memory. */
static void *die_inside(void *expected)
{
    CHECK(fails(mutex_unlock(childs), EPERM));
    /* The kernel may not have finished with the earlier thread. */
    CHECK(mutex_lock(childs, 5000) == (expected != NULL));
    CHECK(fails(mutex_lock(childs, 0), EDEADLK));
    return (void *)(uintptr_t)pthread_self();
}

static void threads(void)
{
    void *first, *next;
    int i, same = 0;
    pthread_t thread;

    CHECK(pthread_create(&thread, NULL, die_inside, NULL) == 0);
    CHECK(pthread_join(thread, &first) == 0);
    for (i = 0; i < 100; i++) {
        CHECK(pthread_create(&thread, NULL, die_inside, "died") == 0);
        CHECK(pthread_join(thread, &next) == 0);
        same += next == first;
    }
    CHECK(same > 0);
}

/* Forks a process with the id of one that died holding the mutex. Only a privileged user may
 * choose a child's id. */
static pid_t fork_successor(void)
{
    struct {
        uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid,
            set_tid_size;
    } arguments = {0};
    pid_t pid = fork();

    if (pid == 0)
        _exit(mutex_lock(childs, 0) != 0);
    join(pid);
    /* The kernel reports starts in steps of 10 ms. */
    nap(30);
    arguments.exit_signal = SIGCHLD;
    arguments.set_tid = (uintptr_t)&pid;
    arguments.set_tid_size = 1;
    pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
    if (pid == -1) {
        perror("clone3");
        exit(77);
    }
    return pid;
}

static void reuse(void)
{
    pid_t successor = fork_successor();

    if (successor == 0) {
        CHECK(fails(mutex_unlock(childs), EPERM));
        CHECK(mutex_lock(childs, 0) == 1 && mutex_unlock(childs) == 0);
        _exit(0);
    }
    join(successor);
    if ((successor = fork_successor()) == 0) {
        pause();
        _exit(0);
    }
    CHECK(mutex_lock(childs, 1000) == 1 && mutex_unlock(childs) == 0);
    kill(successor, SIGKILL);
    CHECK(waitpid(successor, NULL, 0) == successor);
}

/* A thread holds the mutex across exec, and unlocks it in the new program. */
static void exec(int memory, const char *library)
{
    char file[16];
    pid_t child = fork();

    if (child == 0) {
        CHECK(mutex_lock(childs, 0) == 0);
        snprintf(file, sizeof file, "%d", memory);
        execl("/proc/self/exe", "mutex", "executed", library ? library : "", file, (char *)NULL);
        _exit(1);
    }
    nap(200);
    CHECK(fails(mutex_lock(childs, 100), ETIMEDOUT));
    join(child);
    CHECK(mutex_lock(childs, 0) == 0);
}

static void executed(void)
{
    nap(500);
    CHECK(fails(mutex_lock(childs, 0), EDEADLK));
    CHECK(mutex_unlock(childs) == 0 && mutex_lock(childs, 0) == 0 && mutex_unlock(childs) == 0);
}

static volatile sig_atomic_t wrong, handled;

static void lock_in_handler(int unused)
{
    int error = errno, locked = mutex_lock(childs, 0);

    (void)unused;
    if (locked == 0 ? mutex_unlock(childs) != 0 : !fails(locked, EDEADLK))
        wrong = 1;
    handled = 1;
    errno = error;
}

/* A signal also interrupts the first call of a process, which looks up the facts to remember. */
static void handler(void)
{
    static const struct itimerval often = {{0, 50}, {0, 50}};
    int i, children;

    for (children = 0; children < 100; children++) {
        pid_t child = fork();

        if (child == 0) {
            signal(SIGALRM, lock_in_handler);
            setitimer(ITIMER_REAL, &often, NULL);
            for (i = 0; i < 1000 || !handled; i++)
                CHECK(mutex_lock(childs, 0) == 0 && mutex_unlock(childs) == 0);
            CHECK(!wrong);
            _exit(0);
        }
        join(child);
    }
}

static volatile int loaded;

static void *wait_until_loaded(void *unused)
{
    while (!loaded)
        sched_yield();
    return die_inside(unused);
}

static void *function(void *handle, const char *name)
{
    void *found = dlsym(handle, name);

    CHECK(found != NULL);
    return found;
}

static void load(const char *library)
{
    pthread_t thread;
    void *handle, *init, *lock, *unlock;

    CHECK(pthread_create(&thread, NULL, wait_until_loaded, NULL) == 0);
    nap(10);
    CHECK((handle = dlopen(library, RTLD_NOW | RTLD_LOCAL)) != NULL);
    init = function(handle, "shmc_mutex_init");
    lock = function(handle, "shmc_mutex_lock");
    unlock = function(handle, "shmc_mutex_unlock");
    /* C has no cast from an object pointer to a function pointer */
    memcpy(&mutex_init, &init, sizeof init);
    memcpy(&mutex_lock, &lock, sizeof lock);
    memcpy(&mutex_unlock, &unlock, sizeof unlock);
    CHECK(mutex_init(childs) == 0);
    loaded = 1;
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(mutex_lock(childs, 5000) == 1 && mutex_unlock(childs) == 0);
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "", *library = argc > 2 ? argv[2] : "";
    int memory = argc > 3 ? atoi(argv[3]) : memfd_create("mutex", 0);

    CHECK(memory != -1 && ftruncate(memory, 4096) == 0);
    parents = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    CHECK(parents != MAP_FAILED);
    childs = parents + 8;
    if (strcmp(what, "executed") == 0) {
        executed();
        return 0;
    }
    if (*library != '\0')
        load(library);
    CHECK(mutex_init(parents) == 0 && mutex_init(childs) == 0);
    if (strcmp(what, "quiet") == 0)
        quiet();
    else if (strcmp(what, "threads") == 0)
        threads();
    else if (strcmp(what, "reuse") == 0)
        reuse();
    else if (strcmp(what, "exec") == 0)
        exec(memory, library);
    else if (strcmp(what, "handler") == 0)
        handler();
    else
        forks(what);
    puts("fine");
    return 0;
}
