/* Sets the environment variables in its arguments, and prints the key of
 * create_shm. */
#include "comm.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    struct shmid_ds segment;
    int id;
    int i;

    for (i = 1; i < argc; i++)
        putenv(argv[i]);
    id = create_shm(64);
    if (id < 0) {
        printf("%d\n", id);
        return 0;
    }
    if (shmctl(id, IPC_STAT, &segment) < 0)
        return 1;
    printf("0x%08x\n", (unsigned)segment.shm_perm.__key);
    return destory_shm(id) != 0;
}
