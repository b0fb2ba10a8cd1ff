/* The scenarios of topics. */
#define _GNU_SOURCE
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "faults.h"
#include "shmcomm.h"

#define MAX_MESSAGE 64
#define DEPTH 8

static void leave(const char *name, int flags)
{
    (void)flags;
    shmc_topic *writer = shmc_topic_open(name, MAX_MESSAGE, DEPTH, SHMC_SEND | SHMC_CREATE, 0644);
    CHECK(writer != NULL && shmc_topic_write(writer, "left", 5) == 0);
}

static void leave_channel(const char *name, int flags)
{
    (void)flags;
    CHECK(shmc_channel_open(name, 4096, SHMC_SEND | SHMC_CREATE, 0600) != NULL);
}

static void exchange(shmc_topic *writer, shmc_topic *reader)
{
    char text[MAX_MESSAGE + 1];
    size_t length;
    uint64_t lost, number;
    shmc_topic_info info;
    EXPECT(EAGAIN, -1, shmc_topic_read, reader, text, sizeof text, &lost, 0);
    EXPECT(ETIMEDOUT, -1, shmc_topic_read, reader, text, sizeof text, &lost, 1);
    EXPECT(EAGAIN, -1, shmc_topic_latest, reader, text, sizeof text, &number);
    EXPECT(EMSGSIZE, -1, shmc_topic_write, writer, text, sizeof text);
    CALL(-1, shmc_topic_write, writer, "one", 4);
    char *room = CALL(NULL, shmc_topic_begin, writer);
    strcpy(room, "two");
    CALL(-1, shmc_topic_publish, writer, 4);
    EXPECT(EINVAL, -1, shmc_topic_publish, writer, 4);
    CALL(-1, shmc_topic_stat, reader, &info);
    CHECK(info.written == 2 && info.depth == DEPTH && info.writer_alive);
    EXPECT(EMSGSIZE, -1, shmc_topic_read, reader, text, 3, &lost, 0);
    CHECK(CALL(-1, shmc_topic_read, reader, text, 4, &lost, 20) == 4 && !strcmp(text, "one"));
    const char *message = CALL(NULL, shmc_topic_peek, reader, &length, &lost, 1);
    CHECK(length == 4 && !strcmp(message, "two") && lost == 0);
    for (int i = 0; i < DEPTH; i++)
        CALL(-1, shmc_topic_write, writer, "three", 6);
    EXPECT(ESTALE, -1, shmc_topic_release, reader);
    CHECK(CALL(-1, shmc_topic_latest, reader, text, 6, &number) == 6 && number == 2 + DEPTH);
    CHECK(CALL(-1, shmc_topic_read, reader, text, 6, &lost, 0) == 6 && lost == 1);
    while (shmc_topic_read(reader, text, 6, &lost, 0) > 0)
        CHECK(lost == 0);
    EXPECT(ETIMEDOUT, -1, shmc_topic_read, reader, text, 6, &lost, 1);
}

static void open_new(const char *name, int flags)
{
    int write = flags | SHMC_SEND | SHMC_CREATE;
    shmc_topic *writer = CALL(NULL, shmc_topic_open, name, MAX_MESSAGE, DEPTH, write, 0600);
    shmc_topic *reader = CALL(NULL, shmc_topic_open, name, 0, 0, SHMC_RECV, 0600);
    exchange(writer, reader);
    CALL(-1, shmc_topic_close, writer);
    CALL(-1, shmc_topic_close, reader);
    CALL(-1, shmc_remove, name);
}

static void open_existing(const char *name, int flags)
{
    char text[8];
    elsewhere(leave, name, 0);
    int read = flags | SHMC_RECV | SHMC_CREATE;
    shmc_topic *reader = CALL(NULL, shmc_topic_open, name, 0, 0, read, 0600);
    CHECK(CALL(-1, shmc_topic_read, reader, text, 8, NULL, 0) == 5 && !strcmp(text, "left"));
    shmc_topic *writer = CALL(NULL, shmc_topic_open, name, 0, 0, SHMC_SEND, 0);
    CALL(-1, shmc_topic_write, writer, "more", 5);
    CHECK(CALL(-1, shmc_topic_read, reader, text, 8, NULL, 0) == 5 && !strcmp(text, "more"));
    CALL(-1, shmc_topic_close, reader);
    CALL(-1, shmc_topic_close, writer);
    CALL(-1, shmc_remove, name);
}

static void refuse(const char *name, int flags)
{
    int write = flags | SHMC_SEND;
    EXPECT(ENOENT, NULL, shmc_topic_open, name, 0, 0, write, 0);
    EXPECT(EINVAL, NULL, shmc_topic_open, name, 0, 0, write | SHMC_CREATE, 0600);
    pid_t holder = start_holder(leave, name, 0);
    int busy = shmc_topic_open(name, 0, 0, write, 0) == NULL ? errno : 0;
    CHECK(busy == EBUSY);
    EXPECT(EBUSY, NULL, shmc_topic_open, name, 8, 4, write | SHMC_CREATE, 0600);
    EXPECT(EEXIST, NULL, shmc_topic_open, name, 8, 4, write | SHMC_CREATE | SHMC_EXCL, 0600);
    EXPECT(EINVAL, NULL, shmc_topic_open, name, MAX_MESSAGE + 1, 0, SHMC_RECV, 0);
    stop_holder(holder);
    CHECK(shmc_remove(name) == 0);
    elsewhere(leave_channel, name, 0);
    EXPECT(EBADMSG, NULL, shmc_topic_open, name, 0, 0, write, 0);
    EXPECT(EBADMSG, NULL, shmc_topic_open, name, 0, 0, SHMC_RECV, 0);
    CHECK(shmc_remove(name) == 0);
}

/* A child uses neither the topic nor its descriptor. */
static void fork_with(const char *name, int flags)
{
    shmc_topic_info info;
    int status, write = flags | SHMC_SEND | SHMC_CREATE;
    shmc_topic *writer = CALL(NULL, shmc_topic_open, name, MAX_MESSAGE, DEPTH, write, 0600);
    pid_t child = fork();
    if (child == 0)
        _exit(shmc_topic_stat(writer, &info) == 0 || errno != EPERM ? 3 : 0);
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && !WEXITSTATUS(status));
    CALL(-1, shmc_topic_close, writer);
    CALL(-1, shmc_remove, name);
}

void add_topics(const struct names *names)
{
    const char *kinds[] = {names->posix, names->file};
    for (int i = 0; i < 2; i++) {
        const char *name = kinds[i];
        add("topic, new", open_new, name, 0);
        add("topic, new, exclusive", open_new, name, SHMC_EXCL);
        add("topic, new, no O_TMPFILE", open_new, name, WITHOUT_TMPFILE);
        add("topic, new, no linkat", open_new, name, WITHOUT_LINKAT);
        add("topic, existing", open_existing, name, 0);
        add("topic, refused", refuse, name, 0);
        add("topic, fork", fork_with, name, 0);
    }
}
