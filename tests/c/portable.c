/*
 * portable CHANNEL SEMAPHORE: a little of everything, for processors and C libraries on which the
 * other tests do not run.
 */
#define _GNU_SOURCE
#include "comm.h"
#include "shmcomm.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define MESSAGES 20000

static void check(int holds, const char *what)
{
    if (!holds) {
        perror(what);
        exit(1);
    }
}

#define CHECK(condition) check(condition, #condition)

static const char *semaphore_name;

static void remove_semaphore(void)
{
    shmc_sem_remove(semaphore_name);
}

/* Runs a function in a child, which must exit with 0. */
static pid_t in_child(int (*work)(void *), void *argument)
{
    pid_t child = fork();

    CHECK(child != -1);
    if (child == 0)
        _exit(work(argument));
    return child;
}

static void join(pid_t child)
{
    int status;

    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

static void segments(void)
{
    shmc_segment *segment = shmc_segment_open("sysv:private", 5000, SHMC_CREATE, 0600);
    shmc_segment_info info;
    char name[32];

    CHECK(segment != NULL && shmc_segment_stat(segment, &info) == 0);
    CHECK(info.size == 5000 && info.mode == 0600 && info.key == 0 && info.attached == 1);
    CHECK(shmc_segment_chmod(segment, 0640) == 0 && shmc_segment_stat(segment, &info) == 0);
    CHECK(info.mode == 0640 && info.uid == geteuid());
    snprintf(name, sizeof name, "sysv:id:%d", (int)info.id);
    CHECK(shmc_remove(name) == 0 && shmc_segment_close(segment) == 0);
}

static int take(void *semaphore)
{
    return shmc_sem_wait(semaphore, 0) != 0;
}

static void semaphore(void)
{
    shmc_sem *semaphore = shmc_sem_open(semaphore_name, 1, SHMC_CREATE, 0600);

    CHECK(semaphore != NULL && atexit(remove_semaphore) == 0);
    join(in_child(take, semaphore));
    CHECK(shmc_sem_value(semaphore) == 1);
    CHECK(shmc_sem_wait(semaphore, 1000) == 0 && shmc_sem_value(semaphore) == 0);
    CHECK(shmc_sem_wait(semaphore, 10) == -1 && errno == ETIMEDOUT);
    CHECK(shmc_sem_post(semaphore) == 0 && shmc_sem_close(semaphore) == 0);
}

static int die_inside(void *mutex)
{
    return shmc_mutex_lock(mutex, 0) != 0;
}

static void mutex(void)
{
    shmc_segment *segment = shmc_segment_open("anon:", 4096, SHMC_CREATE, 0600);
    shmc_mutex *mutex;

    CHECK(segment != NULL);
    mutex = shmc_segment_addr(segment);
    CHECK(shmc_mutex_init(mutex) == 0);
    join(in_child(die_inside, mutex));
    CHECK(shmc_mutex_lock(mutex, 1000) == 1 && shmc_mutex_unlock(mutex) == 0);
    CHECK(shmc_mutex_lock(mutex, 0) == 0 && shmc_mutex_unlock(mutex) == 0);
    CHECK(shmc_segment_close(segment) == 0);
}

static int send_all(void *name)
{
    shmc_channel *channel = shmc_channel_open(name, 65536, SHMC_CREATE | SHMC_SEND, 0600);
    int number;

    for (number = 0; number < MESSAGES; number++)
        if (shmc_send(channel, &number, sizeof number, 10000) != 0)
            return 1;
    return shmc_channel_close(channel) != 0;
}

static void channel(char *name)
{
    shmc_channel *channel = shmc_channel_open(name, 65536, SHMC_CREATE | SHMC_RECV, 0600);
    pid_t sender = in_child(send_all, name);
    int number, received;

    CHECK(channel != NULL);
    for (number = 0; number < MESSAGES; number++)
        CHECK(shmc_recv(channel, &received, sizeof received, 10000) == sizeof received
              && received == number);
    join(sender);
    CHECK(shmc_recv(channel, &received, sizeof received, 10000) == -1 && errno == EPIPE);
    CHECK(shmc_channel_close(channel) == 0 && shmc_remove(name) == 0);
}

int main(int argc, char **argv)
{
    CHECK(argc == 3);
    semaphore_name = argv[2];
    segments();
    semaphore();
    mutex();
    channel(argv[1]);
    puts("fine");
    return 0;
}
