/* Many threads make the first call at the same time, then a forked child calls. */
#include "comm.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 8 };

static pthread_barrier_t start;

static void *find(void *id)
{
    pthread_barrier_wait(&start);
    *(int *)id = get_shm();
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS];
    int ids[THREADS];
    int status = 0;
    int i;
    key_t key = ftok(getenv("COMM_PATH_NAME"), 0x66);
    int id = shmget(key, 8, IPC_CREAT | IPC_EXCL | 0600);

    if (id < 0)
        return 1;
    pthread_barrier_init(&start, NULL, THREADS);
    for (i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, find, &ids[i]) != 0)
            return 1;
    for (i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (i = 0; i < THREADS; i++)
        if (ids[i] != id)
            status = 1;
    if (fork() == 0)
        _exit(get_shm() != id);
    if (wait(&i) < 0 || i != 0)
        status = 1;
    if (destory_shm(id) != 0)
        status = 1;
    puts(status == 0 ? "all the same" : "not the same");
    return status;
}
