/*
 * Prints the version of the header and of the library, and fails if a spare
 * field of what the library fills is not zero. Argument: a name for a channel.
 */
#include "shmcomm.h"

#include <stdio.h>
#include <string.h>

static int is_zero(const uint64_t *fields, size_t count)
{
    while (count > 0 && fields[count - 1] == 0)
        count--;
    return count == 0;
}

#define IS_ZERO(fields) is_zero(fields, sizeof (fields) / sizeof *(fields))

int main(int argc, char **argv)
{
    shmc_segment *segment = shmc_segment_open("anon:", 1, 0, 0600);
    shmc_channel *channel;
    shmc_segment_info segment_info;
    shmc_channel_info channel_info;

    if (argc != 2)
        return 1;
    channel = shmc_channel_open(argv[1], 0, SHMC_SEND | SHMC_CREATE, 0600);
    memset(&segment_info, 0xff, sizeof segment_info);
    memset(&channel_info, 0xff, sizeof channel_info);
    if (shmc_segment_stat(segment, &segment_info) != 0 || !IS_ZERO(segment_info.reserved))
        return 2;
    if (shmc_channel_stat(channel, &channel_info) != 0 || !IS_ZERO(channel_info.reserved))
        return 3;
    shmc_segment_close(segment);
    shmc_channel_close(channel);
#if SHMC_VERSION < 0x000100
#error SHMC_VERSION is a number for the preprocessor
#endif
    printf("%d.%d.%d 0x%06x %s\n", SHMC_VERSION_MAJOR, SHMC_VERSION_MINOR, SHMC_VERSION_PATCH,
           (unsigned)SHMC_VERSION, shmc_version());
    return 0;
}
