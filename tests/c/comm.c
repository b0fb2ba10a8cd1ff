/*
 * A comm.c as programs carry it, written from the table of what it does: the
 * reference that the library is compared with. Its errno is that of the call
 * that failed, which the perror() after it may change.
 */
#include "comm.h"

#include <stdio.h>

int reference_errno;

static int failed(const char *call, int result)
{
    reference_errno = errno;
    perror(call);
    return result;
}

static int find(int size, int flags)
{
    key_t key = ftok(_PATH_NAME_, _PROJ_ID_);
    int id;

    if (key == -1)
        return failed("ftok", -1);
    id = shmget(key, (size_t)size, flags);
    if (id < 0)
        return failed("shmget", -2);
    return id;
}

int create_shm(int size)
{
    return find(size, IPC_CREAT | IPC_EXCL | 0666);
}

int get_shm(void)
{
    return find(0, IPC_CREAT);
}

int destory_shm(int shm_id)
{
    if (shmctl(shm_id, IPC_RMID, NULL) < 0)
        return failed("shmctl", -1);
    return 0;
}

void *shm_at(int shm_id)
{
    return shmat(shm_id, NULL, 0);
}

int shm_dt(void *shmaddr)
{
    return shmdt(shmaddr);
}
