/* The version that a program was compiled with, and the one that it runs with. */
#include <stdio.h>

#include "shmcomm.h"

int main(void)
{
    printf("compiled with %d.%d.%d, runs with %s\n", SHMC_VERSION_MAJOR,
           SHMC_VERSION_MINOR, SHMC_VERSION_PATCH, shmc_version());
    return 0;
}
