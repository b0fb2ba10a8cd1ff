/* One process writes values; each reader gets the newest, or all. */
#include <stdio.h>
#include <string.h>

#include "shmcomm.h"

int main(void)
{
    shmc_topic *out = shmc_topic_open("posix:/manual", 64, 16,
                                      SHMC_CREATE | SHMC_SEND, 0600);
    shmc_topic *in = shmc_topic_open("posix:/manual", 0, 0,
                                     SHMC_RECV | SHMC_HISTORY, 0);
    const char *message;
    char text[64], *room;
    uint64_t lost, number;
    size_t length;
    ssize_t got;

    if (out == NULL || in == NULL) {
        perror("shmc_topic_open");
        return 1;
    }
    shmc_topic_write(out, "20.5", 4);
    room = shmc_topic_begin(out);
    if (room == NULL)
        return 1;
    strcpy(room, "20.6"); /* written in place */
    shmc_topic_publish(out, 4);

    got = shmc_topic_latest(in, text, sizeof text, &number);
    if (got == -1)
        return 1;
    printf("number %d is %.*s\n", (int)number, (int)got, text);

    got = shmc_topic_read(in, text, sizeof text, &lost, 1000);
    if (got == -1)
        return 1;
    printf("read %.*s after %d lost\n", (int)got, text, (int)lost);

    message = shmc_topic_peek(in, &length, &lost, 1000);
    if (message == NULL)
        return 1;
    snprintf(text, sizeof text, "%.*s", (int)length, message);
    if (shmc_topic_release(in) == 0) /* it was whole until now */
        printf("peeked at %s\n", text);

    shmc_topic_close(out);
    shmc_topic_close(in);
    return shmc_remove("posix:/manual") != 0;
}
