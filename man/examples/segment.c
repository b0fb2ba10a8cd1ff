/* A child writes into a segment that its parent has created. */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shmcomm.h"

int main(void)
{
    shmc_segment *segment = shmc_segment_open("posix:/manual", 4096,
                                              SHMC_CREATE, 0600);
    shmc_segment_info info;

    if (segment == NULL) {
        perror("shmc_segment_open");
        return 1;
    }
    if (fork() == 0) {
        strcpy(shmc_segment_addr(segment), "how are you");
        _exit(0);
    }
    wait(NULL);
    printf("%s\n", (char *)shmc_segment_addr(segment));
    if (shmc_segment_stat(segment, &info) == 0)
        printf("%zu bytes, mode %o\n", shmc_segment_size(segment),
               (unsigned)info.mode);
    shmc_segment_close(segment);
    return shmc_remove("posix:/manual") != 0;
}
