/* Opens every kind of object while standard input, output and error are closed, then reports
 * which of these three descriptors are open. Arguments: the names to open. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "shmcomm.h"

static int report;

static void look(const char *after)
{
    int i;

    for (i = 0; i < 3; i++)
        if (fcntl(i, F_GETFD) != -1 || errno != EBADF)
            dprintf(report, "%s: %d is open\n", after, i);
}

int main(int argc, char **argv)
{
    struct shmc_mutex mutex = {{0}};
    int i;

    report = fcntl(1, F_DUPFD, 20);
    close(0);
    close(1);
    close(2);
    for (i = 1; i < argc; i++) {
        struct shmc_segment *made, *opened;
        struct shmc_channel *channel;

        made = shmc_segment_open(argv[i], 8192, SHMC_CREATE | SHMC_HUGE, 0600);
        look("made");
        opened = shmc_segment_open(argv[i], 0, SHMC_RECLAIM | SHMC_CREATE, 0600);
        look("opened");
        if (made == NULL)
            dprintf(report, "%s: errno %d\n", argv[i], errno);
        shmc_segment_close(made);
        shmc_segment_close(opened);
        shmc_remove(argv[i]);
        look("removed");
        channel = shmc_channel_open(argv[i], 0, SHMC_CREATE | SHMC_SEND, 0600);
        look("channel");
        shmc_channel_close(channel);
        shmc_remove(argv[i]);
    }
    shmc_mutex_init(&mutex);
    look("mutex");
    dprintf(report, "done\n");
    return 0;
}
