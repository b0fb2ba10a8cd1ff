/*
 * Makes the calls that its arguments name, in order, on the segment opened last, and prints the
 * result of each: "name: ok" or "name: errno N".
 */
#include "shmcomm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static shmc_segment *segment;

static void print(const char *call, int failed)
{
    if (failed)
        printf("%s: errno %d\n", call, errno);
    else
        printf("%s: ok\n", call);
}

/* c: create, x: exclusive, r: read-only, R: reclaim, p: prefault, h: huge, l: locked */
static int flags(const char *letters)
{
    static const char all[] = "cxrRphl";
    int result = 0;

    for (; *letters != '\0'; letters++)
        if (strchr(all, *letters) != NULL)
            result |= 1 << (strchr(all, *letters) - all);
    return result;
}

static unsigned long number(const char *text)
{
    return strtoul(text, NULL, 0);
}

static void print_stat(void)
{
    shmc_segment_info info;

    if (shmc_segment_stat(segment, &info) != 0) {
        print("stat", 1);
        return;
    }
    printf("size %zu mode %04o uid %u gid %u key 0x%x id %s creator %s last %s attached %lld "
           "removed %d locked %d pages %d\n",
           info.size, (unsigned)info.mode, (unsigned)info.uid, (unsigned)info.gid,
           (unsigned)info.key, info.id < 0 ? "none" : "one",
           info.creator_pid == getpid() ? "self" : info.creator_pid == 0 ? "unknown" : "other",
           info.last_pid == getpid() ? "self" : info.last_pid == 0 ? "unknown" : "other",
           (long long)info.attached, info.removed, info.locked, info.pages);
}

static void print_times(void)
{
    shmc_segment_info info;

    if (shmc_segment_stat(segment, &info) != 0)
        print("times", 1);
    else
        printf("times: %lld %lld %lld\n", (long long)info.atime, (long long)info.dtime,
               (long long)info.ctime);
}

int main(int argc, char **argv)
{
    int i;

    setvbuf(stdout, NULL, _IOLBF, 0);
    for (i = 1; i < argc; i++) {
        const char *what = argv[i];

        errno = 0;
        if (strcmp(what, "open") == 0 && i + 4 < argc) {
            segment = shmc_segment_open(argv[i + 1], number(argv[i + 2]), flags(argv[i + 3]),
                                        (mode_t)number(argv[i + 4]));
            i += 4;
            print(what, segment == NULL);
        } else if (strcmp(what, "size") == 0)
            printf("size: %zu\n", shmc_segment_size(segment));
        else if (strcmp(what, "stat") == 0)
            print_stat();
        else if (strcmp(what, "times") == 0)
            print_times();
        else if (strcmp(what, "id") == 0) {
            shmc_segment_info info;

            if (shmc_segment_stat(segment, &info) == 0)
                printf("id: %d\n", info.id);
        } else if (strcmp(what, "chmod") == 0)
            print(what, shmc_segment_chmod(segment, (mode_t)number(argv[++i])));
        else if (strcmp(what, "chown") == 0) {
            print(what, shmc_segment_chown(segment, (uid_t)number(argv[i + 1]),
                                           (gid_t)number(argv[i + 2])));
            i += 2;
        } else if (strcmp(what, "lock") == 0)
            print(what, shmc_segment_lock(segment));
        else if (strcmp(what, "unlock") == 0)
            print(what, shmc_segment_unlock(segment));
        else if (strcmp(what, "sync") == 0)
            print(what, shmc_segment_sync(segment));
        else if (strcmp(what, "close") == 0) {
            print(what, shmc_segment_close(segment));
            segment = NULL;
        } else if (strcmp(what, "remove") == 0)
            print(what, shmc_remove(argv[++i]));
        else if (strcmp(what, "put") == 0)
            strcpy((char *)shmc_segment_addr(segment), argv[++i]);
        else if (strcmp(what, "show") == 0)
            printf("show: %s\n", (char *)shmc_segment_addr(segment));
        else if (strcmp(what, "fill") == 0)
            memset(shmc_segment_addr(segment), 'x', shmc_segment_size(segment));
        else if (strcmp(what, "child") == 0) {
            /* The child makes the remaining calls; the parent waits for it. */
            int status;

            if (fork() > 0)
                return wait(&status) < 0 || status != 0;
        } else if (strcmp(what, "orphan") == 0) {
            /* The child makes the remaining calls; the parent exits at once. */
            if (fork() > 0)
                _exit(0);
        } else if (strcmp(what, "umask") == 0)
            umask((mode_t)number(argv[++i]));
        else if (strcmp(what, "pause") == 0) {
            puts("pause");
            if (getchar() == EOF)
                return 0;
        } else
            return 2;
    }
    return 0;
}
