/* cc -o topic-writer topic-writer.c -I../include -L../target/release -lshmcomm -Wl,-rpath,../target/release */

/*
 * A sensor that writes a temperature ten times a second. It waits for no
 * reader: each message takes the place of the oldest one.
 *
 * Start it and any number of ./topic-reader in other terminals, in any order. An
 * argument names another topic, such as posix:/a.
 */
#include "example.h"

#include <errno.h>
#include <time.h>

#include "shmcomm.h"

#define READINGS "posix:/shmcomm-readings"
#define DEPTH 8
#define COUNT 20

/* A message is bytes. Both programs agree on what these are. */
struct reading {
    time_t when;
    double celsius;
};

static int measure(shmc_topic *topic)
{
    const struct timespec pause = {0, 100 * 1000 * 1000};

    for (int i = 0; i < COUNT && caught_signal == 0; i++) {
        struct reading reading = {time(NULL), 20 + i * 0.1};

        if (shmc_topic_write(topic, &reading, sizeof reading) == -1) {
            perror("writer: shmc_topic_write");
            return EXIT_FAILURE;
        }
        printf("writer: wrote %.1f\n", reading.celsius);
        nanosleep(&pause, NULL); /* a signal ends it: look at caught_signal */
    }
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    const char *name = argc == 2 ? argv[1] : READINGS;
    shmc_topic *topic;
    int status;

    print_line_by_line();
    catch_signals();

    /* 0600: for this user alone. With 0644, other users may read, and only read. */
    topic = shmc_topic_open(name, sizeof(struct reading), DEPTH, SHMC_CREATE | SHMC_SEND, 0600);
    if (topic == NULL) {
        perror(name); /* EBUSY: another writer is running */
        return EXIT_FAILURE;
    }
    status = measure(topic);
    if ((shmc_remove(name) == -1 && errno != ENOENT) || shmc_topic_close(topic) == -1) {
        perror(name);
        status = EXIT_FAILURE;
    }

    die_of_caught_signal();
    return check_output(status);
}
