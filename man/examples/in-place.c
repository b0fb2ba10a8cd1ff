/* A message is written and read in place, without a copy. */
#include <stdio.h>
#include <string.h>

#include "shmcomm.h"

int main(void)
{
    shmc_channel *out = shmc_channel_open("posix:/manual", 65536,
                                          SHMC_CREATE | SHMC_SEND, 0600);
    shmc_channel *in = shmc_channel_open("posix:/manual", 0,
                                         SHMC_RECV, 0600);
    const char *message;
    char *room;
    size_t length;

    if (out == NULL || in == NULL) {
        perror("shmc_channel_open");
        return 1;
    }
    room = shmc_reserve(out, 4096, 1000);
    if (room == NULL)
        return 1;
    strcpy(room, "written in place");
    shmc_commit(out, strlen(room)); /* shorter than reserved */

    message = shmc_peek(in, &length, 1000);
    if (message == NULL)
        return 1;
    printf("%.*s\n", (int)length, message);
    shmc_release(in);

    shmc_channel_close(out);
    shmc_channel_close(in);
    return shmc_remove("posix:/manual") != 0;
}
