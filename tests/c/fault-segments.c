/* The scenarios of segments. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "faults.h"
#include "shmcomm.h"

#define SIZE 8192

static int is_lasting(const char *name)
{
    return strncmp(name, "anon:", 5) && strcmp(name, "sysv:private");
}

/* A stale segment of another program. */
static void leave(const char *name, int flags)
{
    shmc_segment *segment = shmc_segment_open(name, SIZE, SHMC_CREATE | SHMC_EXCL, 0600);
    CHECK(segment != NULL);
    strcpy(shmc_segment_addr(segment), "left");
    if (!flags)
        shmc_segment_close(segment);
}

static void close_and_remove(shmc_segment *segment, const char *name)
{
    char by_id[32] = "";
    shmc_segment_info info;
    CHECK(shmc_segment_stat(segment, &info) == 0);
    if (!strcmp(name, "sysv:private"))
        snprintf(by_id, sizeof by_id, "sysv:id:%d", info.id);
    CALL(-1, shmc_segment_close, segment);
    if (*by_id || is_lasting(name))
        CALL(-1, shmc_remove, *by_id ? by_id : name);
}

static void open_new(const char *name, int flags)
{
    int create = is_lasting(name) ? SHMC_CREATE : 0;
    shmc_segment *segment = CALL(NULL, shmc_segment_open, name, SIZE, flags | create, 0600);
    shmc_segment_info info;
    CHECK(shmc_segment_size(segment) >= SIZE);
    CHECK(!strcmp(shmc_segment_addr(segment), ""));
    if (!(flags & SHMC_RDONLY))
        strcpy(shmc_segment_addr(segment), "new");
    CHECK(CALL(-1, shmc_segment_stat, segment, &info) == 0);
    CHECK(info.mode == 0600);
    /* The creator is recorded even if few descriptors are available. */
    CHECK(!limited || !is_lasting(name) || info.creator_pid == getpid());
    close_and_remove(segment, name);
}

static void open_existing(const char *name, int flags)
{
    elsewhere(leave, name, 0);
    shmc_segment *segment = CALL(NULL, shmc_segment_open, name, 0, flags, 0600);
    CHECK(shmc_segment_size(segment) == SIZE);
    CHECK(!strcmp(shmc_segment_addr(segment), "left"));
    close_and_remove(segment, name);
}

static void replace(const char *name, int flags)
{
    elsewhere(leave, name, 0);
    expendable = strncmp(name, "sysv:", 5) ? "name " : "shm ";
    shmc_segment *segment = CALL(NULL, shmc_segment_open, name, SIZE, flags, 0600);
    expendable = NULL;
    CHECK(!strcmp(shmc_segment_addr(segment), "left") || !*(char *)shmc_segment_addr(segment));
    close_and_remove(segment, name);
}

/* SHMC_RECLAIM does not replace a segment in use. */
static void keep_used(const char *name, int flags)
{
    pid_t holder = start_holder(leave, name, 1);
    shmc_segment *segment = CALL(NULL, shmc_segment_open, name, 0, flags, 0600);
    CHECK(!strcmp(shmc_segment_addr(segment), "left"));
    CALL(-1, shmc_segment_close, segment);
    EXPECT(EEXIST, NULL, shmc_segment_open, name, SIZE, flags | SHMC_EXCL, 0600);
    stop_holder(holder);
    CHECK(shmc_remove(name) == 0);
}

static void refuse(const char *name, int flags)
{
    (void)flags;
    EXPECT(ENOENT, NULL, shmc_segment_open, name, 0, 0, 0);
    EXPECT(ENOENT, -1, shmc_remove, name);
    EXPECT(EINVAL, NULL, shmc_segment_open, name, 0, SHMC_CREATE, 0600);
    elsewhere(leave, name, 0);
    EXPECT(EEXIST, NULL, shmc_segment_open, name, SIZE, SHMC_CREATE | SHMC_EXCL, 0600);
    EXPECT(EINVAL, NULL, shmc_segment_open, name, 2 * SIZE, SHMC_CREATE, 0600);
    CHECK(shmc_remove(name) == 0);
}

static void use(const char *name, int flags)
{
    int create = is_lasting(name) ? SHMC_CREATE : 0;
    shmc_segment *segment = shmc_segment_open(name, SIZE, create, 0600);
    shmc_segment_info info;
    (void)flags;
    CHECK(segment != NULL);
    CALL(-1, shmc_segment_stat, segment, &info);
    CALL(-1, shmc_segment_chmod, segment, 0640);
    CALL(-1, shmc_segment_chown, segment, geteuid(), getegid());
    CALL(-1, shmc_segment_lock, segment);
    CALL(-1, shmc_segment_unlock, segment);
    CALL(-1, shmc_segment_sync, segment);
    CALL(-1, shmc_segment_stat, segment, &info);
    CHECK(info.mode == 0640 && !info.locked);
    close_and_remove(segment, name);
}

static void open_by_id(const char *name, int flags)
{
    char by_id[32];
    shmc_segment_info info;
    shmc_segment *first = shmc_segment_open("sysv:private", SIZE, 0, 0600);
    CHECK(first != NULL && shmc_segment_stat(first, &info) == 0);
    strcpy(shmc_segment_addr(first), "left");
    snprintf(by_id, sizeof by_id, "%s%d", name, info.id);
    shmc_segment *segment = CALL(NULL, shmc_segment_open, by_id, SIZE, flags, 0);
    CHECK(!strcmp(shmc_segment_addr(segment), "left"));
    CALL(-1, shmc_segment_close, segment);
    CALL(-1, shmc_segment_close, first);
    CALL(-1, shmc_remove, by_id);
}

void add_segments(const struct names *names)
{
    const char *lasting[] = {names->sysv_path, names->sysv_id, names->sysv_key, names->posix,
                             names->file};
    const char *passing[] = {"sysv:private", "anon:"};
    for (int i = 0; i < 5; i++) {
        const char *name = lasting[i];
        int create = SHMC_CREATE, reclaim = SHMC_CREATE | SHMC_RECLAIM;
        add("new", open_new, name, 0);
        add("existing", open_existing, name, 0);
        /* The forms of System V names differ only in their key. */
        if (i == 1 || i == 2)
            continue;
        add("new, exclusive", open_new, name, SHMC_EXCL);
        add("new, reclaiming", open_new, name, SHMC_RECLAIM);
        add("new, huge", open_new, name, SHMC_HUGE);
        add("new, locked, present", open_new, name, SHMC_LOCKED | SHMC_PREFAULT);
        add("new, all", open_new, name,
            SHMC_EXCL | SHMC_RECLAIM | SHMC_HUGE | SHMC_LOCKED | SHMC_PREFAULT);
        add("new, read-only", open_new, name, SHMC_RDONLY | SHMC_PREFAULT);
        add("existing, creating", open_existing, name, create);
        add("existing, read-only", open_existing, name, SHMC_RDONLY | SHMC_PREFAULT);
        add("existing, all", open_existing, name, SHMC_HUGE | SHMC_LOCKED | SHMC_PREFAULT);
        add("stale", replace, name, reclaim);
        add("stale, exclusive", replace, name, reclaim | SHMC_EXCL);
        add("in use", keep_used, name, reclaim);
        add("refused", refuse, name, 0);
        add("calls", use, name, 0);
        if (i == 0)
            continue;
        add("new, no O_TMPFILE", open_new, name, WITHOUT_TMPFILE);
        add("new, no linkat", open_new, name, WITHOUT_LINKAT);
        add("stale, no O_TMPFILE", replace, name, reclaim | WITHOUT_TMPFILE);
    }
    for (int i = 0; i < 2; i++) {
        add("new", open_new, passing[i], 0);
        add("new, huge", open_new, passing[i], SHMC_HUGE);
        add("new, locked, present", open_new, passing[i], SHMC_LOCKED | SHMC_PREFAULT);
        add("new, all", open_new, passing[i],
            SHMC_HUGE | SHMC_LOCKED | SHMC_PREFAULT);
        add("calls", use, passing[i], 0);
    }
    add("by id", open_by_id, "sysv:id:", 0);
    add("by id, all", open_by_id, "sysv:id:", SHMC_LOCKED | SHMC_PREFAULT | SHMC_RDONLY);
}
