/* A child sends a message to its parent. */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shmcomm.h"

static int send_one(void)
{
    shmc_channel *out = shmc_channel_open("posix:/manual", 65536,
                                          SHMC_CREATE | SHMC_SEND, 0600);

    if (out == NULL || shmc_send(out, "hello", 6, 1000) == -1)
        return 1;
    return shmc_channel_close(out); /* what is sent stays */
}

int main(void)
{
    shmc_channel *in = shmc_channel_open("posix:/manual", 65536,
                                         SHMC_CREATE | SHMC_RECV, 0600);
    shmc_channel_info info;
    char text[64];
    ssize_t length;

    if (in == NULL) {
        perror("shmc_channel_open");
        return 1;
    }
    if (fork() == 0)
        _exit(send_one());
    while ((length = shmc_recv(in, text, sizeof text, -1)) >= 0)
        printf("%zd bytes: %s\n", length, text);
    perror("shmc_recv"); /* EPIPE: all is received, the sender has left */
    if (shmc_channel_stat(in, &info) == 0)
        printf("%d received\n", (int)info.received);
    wait(NULL);
    shmc_channel_close(in);
    return shmc_remove("posix:/manual") != 0;
}
