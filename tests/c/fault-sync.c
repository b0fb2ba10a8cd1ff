/* The scenarios of semaphores, mutexes, wait and wake, and of layer 1. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "comm.h"
#include "faults.h"
#include "shmcomm.h"

static void leave(const char *name, int flags)
{
    CHECK(shmc_sem_open(name, 1, flags | SHMC_CREATE | SHMC_EXCL, 0600) != NULL);
}

static void use(shmc_sem *sem)
{
    CHECK(CALL(-1, shmc_sem_value, sem) == 1);
    CALL(-1, shmc_sem_wait, sem, 20);
    EXPECT(ETIMEDOUT, -1, shmc_sem_wait, sem, 0);
    EXPECT(ETIMEDOUT, -1, shmc_sem_wait, sem, 1);
    CHECK(CALL(-1, shmc_sem_value, sem) == 0);
    CALL(-1, shmc_sem_post, sem);
    CALL(-1, shmc_sem_wait, sem, 1);
    CALL(-1, shmc_sem_post, sem);
    CALL(-1, shmc_sem_close, sem);
}

static void sem_new(const char *name, int flags)
{
    use(CALL(NULL, shmc_sem_open, name, 1, flags | SHMC_CREATE, 0600));
    if (strcmp(name, "sysv:private")) {
        CALL(-1, shmc_sem_remove, name);
    } else {
        /* A private semaphore has no name. The kernel gave its id to the library last. */
        char by_id[32];
        snprintf(by_id, sizeof by_id, "sysv:id:%d", created->sem[created->sem_count - 1]);
        CALL(-1, shmc_sem_remove, by_id);
    }
}

static void sem_existing(const char *name, int flags)
{
    elsewhere(leave, name, flags & SHMC_EVENTS);
    use(CALL(NULL, shmc_sem_open, name, 0, flags, 0600));
    CALL(-1, shmc_sem_remove, name);
}

static void sem_refused(const char *name, int flags)
{
    (void)flags;
    EXPECT(ENOENT, NULL, shmc_sem_open, name, 1, 0, 0);
    EXPECT(ENOENT, -1, shmc_sem_remove, name);
    elsewhere(leave, name, 0);
    EXPECT(EEXIST, NULL, shmc_sem_open, name, 1, SHMC_CREATE | SHMC_EXCL, 0600);
    EXPECT(EINVAL, NULL, shmc_sem_open, name, 1, SHMC_CREATE | SHMC_EVENTS, 0600);
    CHECK(shmc_sem_remove(name) == 0);
}

/* Semaphores in shared memory count events alone. */
static void leave_events(const char *name, int flags)
{
    leave(name, flags | SHMC_EVENTS);
}

static void shared_new(const char *name, int flags)
{
    use(CALL(NULL, shmc_sem_open, name, 1, flags | SHMC_EVENTS | SHMC_CREATE, 0640));
    CALL(-1, shmc_sem_remove, name);
}

static void shared_existing(const char *name, int flags)
{
    elsewhere(leave_events, name, 0);
    use(CALL(NULL, shmc_sem_open, name, 0, flags, 0600));
    CALL(-1, shmc_sem_remove, name);
}

static void shared_stale(const char *name, int flags)
{
    elsewhere(leave_events, name, 0);
    expendable = "name ";
    use(CALL(NULL, shmc_sem_open, name, 1, flags | SHMC_EVENTS | SHMC_RECLAIM, 0600));
    expendable = NULL;
    CALL(-1, shmc_sem_remove, name);
}

static void shared_refused(const char *name, int flags)
{
    (void)flags;
    EXPECT(ENOENT, NULL, shmc_sem_open, name, 1, SHMC_EVENTS, 0);
    EXPECT(ENOENT, -1, shmc_sem_remove, name);
    EXPECT(EINVAL, NULL, shmc_sem_open, name, 1, SHMC_CREATE, 0600);
    elsewhere(leave_events, name, 0);
    EXPECT(EEXIST, NULL, shmc_sem_open, name, 1, SHMC_CREATE | SHMC_EXCL | SHMC_EVENTS, 0600);
    CHECK(shmc_sem_remove(name) == 0);
}

static shmc_mutex *mutex;

static void initialise(const char *name, int flags)
{
    (void)name, (void)flags;
    CHECK(shmc_mutex_init(mutex) == 0);
}

static void hold(const char *name, int flags)
{
    (void)name, (void)flags;
    CHECK(shmc_mutex_lock(mutex, 0) == 0);
}

static void prepare_mutex(void)
{
    /* Other processes initialise and hold the mutex too. */
    int flags = MAP_SHARED | MAP_ANONYMOUS;
    mutex = mmap(NULL, sizeof *mutex, PROT_READ | PROT_WRITE, flags, -1, 0);
    CHECK(mutex != MAP_FAILED);
}

static void mutex_alone(const char *name, int flags)
{
    (void)name, (void)flags;
    prepare_mutex();
    CALL(-1, shmc_mutex_init, mutex);
    CALL(-1, shmc_mutex_init, mutex);
    CHECK(CALL(-1, shmc_mutex_lock, mutex, 20) == 0);
    EXPECT(EDEADLK, -1, shmc_mutex_lock, mutex, 1);
    CALL(-1, shmc_mutex_unlock, mutex);
    EXPECT(EPERM, -1, shmc_mutex_unlock, mutex);
    munmap(mutex, sizeof *mutex);
}

static void mutex_held(const char *name, int flags)
{
    (void)name, (void)flags;
    prepare_mutex();
    /* Another process initialises it, so this process has looked nothing up yet. */
    elsewhere(initialise, "", 0);
    pid_t holder = start_holder(hold, "", 0);
    EXPECT(ETIMEDOUT, -1, shmc_mutex_lock, mutex, 0);
    EXPECT(ETIMEDOUT, -1, shmc_mutex_lock, mutex, 1);
    EXPECT(EPERM, -1, shmc_mutex_unlock, mutex);
    stop_holder(holder);
    CHECK(CALL(-1, shmc_mutex_lock, mutex, 1) == 1);
    CALL(-1, shmc_mutex_unlock, mutex);
    CHECK(CALL(-1, shmc_mutex_lock, mutex, 0) == 0);
    munmap(mutex, sizeof *mutex);
}

static void wait_and_wake(const char *name, int flags)
{
    uint32_t word = 1;
    (void)name, (void)flags;
    EXPECT(ETIMEDOUT, -1, shmc_wait, &word, 1, 0);
    EXPECT(ETIMEDOUT, -1, shmc_wait, &word, 1, 1);
    CHECK(CALL(-1, shmc_wait, &word, 2, 0) == 0);
    CHECK(CALL(-1, shmc_wake, &word, 1) == 0);
}

void add_semaphores(const struct names *names)
{
    int events = SHMC_EVENTS, create = SHMC_CREATE;
    add("semaphore, new", sem_new, names->sysv_path, 0);
    add("semaphore, new", sem_new, names->sysv_key, events);
    add("semaphore, exclusive", sem_new, names->sysv_id, SHMC_EXCL);
    add("semaphore, private", sem_new, "sysv:private", 0);
    add("semaphore, existing", sem_existing, names->sysv_path, 0);
    add("semaphore, existing, creating", sem_existing, names->sysv_path, events | create);
    add("semaphore, refused", sem_refused, names->sysv_path, 0);
    const char *const shared[] = {names->posix, names->file};
    for (int i = 0; i < 2; i++) {
        add("semaphore, new", shared_new, shared[i], 0);
        add("semaphore, exclusive", shared_new, shared[i], SHMC_EXCL);
        add("semaphore, existing", shared_existing, shared[i], 0);
        add("semaphore, existing, creating", shared_existing, shared[i], events | create);
        add("semaphore, stale", shared_stale, shared[i], create);
        add("semaphore, refused", shared_refused, shared[i], 0);
    }
    add("mutex", mutex_alone, "", 0);
    add("mutex, held", mutex_held, "", 0);
    add("wait and wake", wait_and_wake, "", 0);
}

/* Layer 1: functions that report a failure as a negative number. */
static int create(int size)
{
    int id = create_shm(size);
    return id < 0 ? -1 : id;
}

static int get(int unused)
{
    (void)unused;
    int id = get_shm();
    return id < 0 ? -1 : id;
}

static void leave_segment(const char *path, int flags)
{
    setenv("COMM_PATH_NAME", path, 1);
    (void)flags;
    CHECK(create_shm(100) >= 0);
}

static void choose(const char *path, const char *variable, const char *value)
{
    setenv("COMM_PATH_NAME", path, 1);
    if (variable)
        setenv(variable, value, 1);
}

static void five_functions(int id)
{
    char *text = CALL((void *)-1, shm_at, id);
    strcpy(text, "text");
    CALL(-1, shm_dt, text);
    CALL(-1, destory_shm, id);
}

static void comm_plain(const char *path, int explain)
{
    choose(path, explain ? "COMM_EXPLAIN" : NULL, "1");
    int id = CALL(-1, create, 4096);
    CHECK(CALL(-1, get, 0) == id);
    EXPECT(EEXIST, -1, create, 4096);
    five_functions(id);
    EXPECT(EINVAL, -1, get, 0);
    EXPECT(EINVAL, (void *)-1, shm_at, -2);
    EXPECT(EINVAL, -1, destory_shm, -2);
}

static void comm_reclaim(const char *path, int flags)
{
    (void)flags;
    choose(path, "COMM_RECLAIM", "1");
    elsewhere(leave_segment, path, 0);
    expendable = "shm ";
    int id = CALL(-1, create, 4096);
    expendable = NULL;
    five_functions(id);
}

static void comm_wait(const char *path, int flags)
{
    (void)flags;
    choose(path, "COMM_WAIT_MS", "2");
    EXPECT(EINVAL, -1, get, 0);
    elsewhere(leave_segment, path, 0);
    five_functions(CALL(-1, get, 0));
}

void add_comm(const struct names *names)
{
    add("comm.h", comm_plain, names->directory, 0);
    add("comm.h, COMM_EXPLAIN", comm_plain, names->directory, 1);
    add("comm.h, COMM_RECLAIM", comm_reclaim, names->directory, 0);
    add("comm.h, COMM_WAIT_MS", comm_wait, names->directory, 0);
}
