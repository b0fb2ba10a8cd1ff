/* The state that a failed call could leave: descriptors, mappings, locked memory, allocations,
 * names, System V ids, attachments. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

#include "faults.h"

const char *state_directory, *state_prefix;
int live_allocations;
void *lasting_page;

__attribute__((format(printf, 2, 3))) static void line(struct state *state, const char *format, ...)
{
    size_t room = sizeof state->text - state->length;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(state->text + state->length, room, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length + 1 >= room)
        complain("the harness has no room for the state");
    state->length += (size_t)length;
    state->text[state->length++] = '\n';
    state->text[state->length] = 0;
}

/* The text of a small file. */
static char *read_file(const char *path)
{
    static char text[131072];
    size_t length = 0;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    for (ssize_t got; file >= 0 && length < sizeof text - 1 &&
         (got = read(file, text + length, sizeof text - 1 - length)) > 0;)
        length += (size_t)got;
    text[length] = 0;
    if (file < 0 || length == 0)
        complain("the harness cannot read %s", path);
    close(file);
    return text;
}

/* Mappings. Adjacent equal ones count as one, because madvise(2) on a part splits a mapping. */
static void take_mappings(struct state *state)
{
    unsigned long last_start = 0, last_end = 0, start, end;
    char last_what[512] = "", what[512];
    for (char *at = read_file("/proc/self/maps"), *next; (next = strchr(at, '\n')); at = next + 1) {
        char permissions[8], device[16];
        unsigned long offset, inode;
        *next = 0;
        if (sscanf(at, "%lx-%lx %7s %lx %15s %lu", &start, &end, permissions, &offset, device,
                   &inode) != 6)
            complain("the harness cannot read a line of maps");
        /* Heap and stack grow with use. The lasting page stays. */
        if (strstr(at, "[heap]") || strstr(at, "[stack]") || (void *)start == lasting_page)
            continue;
        char *path = strpbrk(at, "/[");
        snprintf(what, sizeof what, "%s %s %lu %.400s", permissions, device, inode,
                 path ? path : "");
        if (start == last_end && !strcmp(what, last_what)) {
            last_end = end;
            continue;
        }
        if (last_end)
            line(state, "map %lx-%lx %s", last_start, last_end, last_what);
        last_start = start;
        last_end = end;
        strcpy(last_what, what);
    }
    line(state, "map %lx-%lx %s", last_start, last_end, last_what);
}

static void take_name(struct state *state, const char *path)
{
    struct stat status;
    if (lstat(path, &status) == 0)
        line(state, "name %s inode %lu mode %o owner %u size %ld", path,
             (unsigned long)status.st_ino, status.st_mode, status.st_uid, (long)status.st_size);
}

static int in_order(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void take_directory(struct state *state, const char *directory, const char *prefix)
{
    static char names[320][256];
    int count = 0;
    char path[800];
    DIR *stream = opendir(directory);
    if (!stream)
        complain("the harness cannot read %s", directory);
    for (struct dirent *entry; (entry = readdir(stream));)
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..") && count < 320 &&
            !strncmp(entry->d_name, prefix, strlen(prefix)))
            strcpy(names[count++], entry->d_name);
    closedir(stream);
    qsort(names, (size_t)count, sizeof *names, in_order);
    for (int i = 0; i < count; i++) {
        snprintf(path, sizeof path, "%.500s/%.255s", directory, names[i]);
        take_name(state, path);
    }
}

static void take_ids(struct state *state)
{
    for (int i = 0; i < created->shm_count; i++) {
        struct shmid_ds ds;
        int id = created->shm[i];
        if (shmctl(id, IPC_STAT, &ds) != 0)
            continue;
        line(state, "shm %d key %x mode %o owner %u", id, (unsigned)ds.shm_perm.__key,
             ds.shm_perm.mode, ds.shm_perm.uid);
        for (size_t user = 0; user < ds.shm_nattch; user++)
            line(state, "attached %d", id);
    }
    for (int i = 0; i < created->sem_count; i++) {
        struct semid_ds ds;
        int id = created->sem[i];
        if (semctl(id, 0, IPC_STAT, &ds) == 0)
            line(state, "sem %d value %d mode %o", id, semctl(id, 0, GETVAL), ds.sem_perm.mode);
    }
}

void take_state(struct state *state)
{
    char own[256];
    state->length = 0;
    for (int file = 0; file < 300; file++) {
        struct stat status;
        if (fstat(file, &status) == 0)
            line(state, "fd %d inode %lu", file, (unsigned long)status.st_ino);
    }
    take_mappings(state);
    const char *locked = strstr(read_file("/proc/self/status"), "VmLck");
    line(state, "%.*s", locked ? (int)strcspn(locked, "\n") : 0, locked);
    line(state, "allocations %d", live_allocations);
    take_directory(state, state_directory, "");
    take_directory(state, "/dev/shm", state_prefix);
    snprintf(own, sizeof own, "/dev/shm/%s", state_prefix);
    for (int i = 0; i < created->name_count; i++)
        if (strncmp(created->names[i], own, strlen(own)) &&
            strncmp(created->names[i], state_directory, strlen(state_directory)))
            take_name(state, created->names[i]);
    take_ids(state);
}

/* The number of times that a line occurs. */
static int count(const struct state *state, const char *line, size_t length)
{
    int count = 0;
    for (const char *at = state->text; *at; at = strchr(at, '\n') + 1)
        count += !strncmp(at, line, length + 1);
    return count;
}

const char *difference(const struct state *a, const struct state *b,
                       int (*accepts)(const char *line, size_t length))
{
    static char found[512];
    for (const char *at = a->text; *at; at = strchr(at, '\n') + 1) {
        size_t length = (size_t)(strchr(at, '\n') - at);
        if (count(a, at, length) <= count(b, at, length) || accepts(at, length))
            continue;
        snprintf(found, sizeof found, "%.*s", (int)length, at);
        return found;
    }
    return NULL;
}

/* Resources whose release was made to fail. */
static struct unreleased {
    char line[300];
    char *address;
    size_t size;
    int id, used;
} unreleased[64];
static int unreleased_count;

void not_released(const char *line, void *address, size_t size, int id)
{
    released(line);
    if (unreleased_count == 64)
        complain("the harness has no room for unreleased resources");
    struct unreleased *entry = &unreleased[unreleased_count++];
    snprintf(entry->line, sizeof entry->line, "%s", line);
    entry->address = address;
    entry->size = size ? size : 1;
    entry->id = id;
    entry->used = 0;
}

void released(const char *line)
{
    for (int i = 0; i < unreleased_count; i++)
        if (!strcmp(unreleased[i].line, line))
            unreleased[i--] = unreleased[--unreleased_count];
}

/* Whether a line may remain because its release was made to fail. */
int is_unreleased(const char *line, size_t length)
{
    int accepted = !strncmp(line, "VmLck", 5) && unreleased_count > 0;
    (void)length;
    for (int i = 0; i < unreleased_count; i++) {
        struct unreleased *entry = &unreleased[i];
        int is_map = !strncmp(entry->line, "map ", 4);
        int matches = !strncmp(entry->line, line, strlen(entry->line));
        if (is_map && !strncmp(line, "map ", 4)) {
            char *start = (char *)strtoul(line + 4, NULL, 16);
            matches = start >= entry->address && start < entry->address + entry->size;
        }
        /* The segment of a remaining mapping remains, whatever its id. */
        if (is_map && (!strncmp(line, "attached ", 9) || !strncmp(line, "shm ", 4)))
            matches = 1;
        entry->used |= matches;
        accepted |= matches;
    }
    return accepted;
}

void release_the_rest(void)
{
    for (int i = unreleased_count - 1; i >= 0; i--) {
        struct unreleased entry = unreleased[i];
        if (!entry.used)
            continue;
        unreleased[i] = unreleased[--unreleased_count];
        entry.line[strlen(entry.line) - 1] = 0;
        if (!strncmp(entry.line, "name ", 5))
            unlink(entry.line + 5);
        else if (!strncmp(entry.line, "shm ", 4))
            shmctl(entry.id, IPC_RMID, NULL);
        else if (!strncmp(entry.line, "sem ", 4))
            semctl(entry.id, 0, IPC_RMID);
        else if (entry.size > 1)
            munmap(entry.address, entry.size);
        else
            shmdt(entry.address);
    }
}
