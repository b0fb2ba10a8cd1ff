/* cc -o topic-reader topic-reader.c -I../include -L../target/release -lshmcomm -Wl,-rpath,../target/release */

/*
 * Prints the temperatures of ./topic-writer, which does not know how many
 * readers there are, nor how fast they are.
 *
 * An argument names another topic. A second one is a pause in milliseconds after
 * each message: a slow reader misses some, and knows how many.
 */
#include "example.h"

#include <errno.h>
#include <time.h>

#include "shmcomm.h"

/* Same as in topic-writer.c. */
#define READINGS "posix:/shmcomm-readings"
#define DEPTH 8

struct reading {
    time_t when;
    double celsius;
};

/*
 * -1: the call waits as long as it takes, also for a writer that has not started
 * yet. It fails with EPIPE when a writer that was there has exited, with EIDRM
 * if that has removed the topic, and with EINTR when a signal was caught.
 */
static int follow(shmc_topic *topic, const struct timespec *pause)
{
    struct reading reading;
    uint64_t lost;

    /* The newest message, at once, for a program that needs no more than that. */
    if (shmc_topic_latest(topic, &reading, sizeof reading, NULL) == sizeof reading)
        printf("reader: it is %.1f now\n", reading.celsius);
    else
        printf("reader: waits for a writer\n"); /* EAGAIN */

    while (caught_signal == 0) {
        if (shmc_topic_read(topic, &reading, sizeof reading, &lost, -1) == -1) {
            if (errno == EPIPE || errno == EIDRM) {
                printf("reader: the writer has exited\n");
                return EXIT_SUCCESS;
            }
            perror("reader: shmc_topic_read");
            return EXIT_FAILURE;
        }
        if (lost > 0)
            printf("reader: missed %llu\n", (unsigned long long)lost);
        printf("reader: read %.1f\n", reading.celsius);
        nanosleep(pause, NULL);
    }
    return EXIT_FAILURE;
}

/* Removes the topic if no writer is there to do that, then closes it. */
static int leave(shmc_topic *topic, const char *name, int status)
{
    shmc_topic_info info;

    if (shmc_topic_stat(topic, &info) == -1 ||
        (!info.writer_alive && shmc_remove(name) == -1 && errno != ENOENT) ||
        shmc_topic_close(topic) == -1) {
        perror(name);
        return EXIT_FAILURE;
    }
    return status;
}

int main(int argc, char **argv)
{
    const char *name = argc >= 2 ? argv[1] : READINGS;
    long ms = argc == 3 ? strtol(argv[2], NULL, 10) : 0;
    struct timespec pause = {ms / 1000, ms % 1000 * 1000 * 1000};
    shmc_topic *topic;
    int status;

    print_line_by_line();
    catch_signals();

    topic = shmc_topic_open(name, sizeof(struct reading), DEPTH,
                            SHMC_CREATE | SHMC_RECV | SHMC_INTR, 0600);
    if (topic == NULL) {
        perror(name);
        return EXIT_FAILURE;
    }
    status = follow(topic, &pause);
    status = leave(topic, name, status);

    die_of_caught_signal();
    return check_output(status);
}
