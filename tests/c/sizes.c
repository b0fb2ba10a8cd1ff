/* Prints the size of each structure that the library fills. */
#include "shmcomm.h"

#include <stdio.h>

int main(void)
{
    printf("%zu %zu %zu\n", sizeof(shmc_segment_info), sizeof(shmc_channel_info),
           sizeof(shmc_topic_info));
    return 0;
}
