/*
 * Lives of a segment, one after the other:
 *
 *     segment lives BY KIND NAME SIZE PAGES LIVES
 *
 * In each life the segment is created and attached, each of its pages is
 * written to, and it is detached and removed. Prints the median of the
 * nanoseconds that each of these took, and all of them, less what it takes to
 * read the clock.
 *
 *     segment existing BY KIND NAME OTHERS OPENS
 *
 * Opens and closes a segment that is there, among OTHERS. Prints the same
 * median for the opening alone.
 *
 * BY is "library"; "bare", for the system calls that do the same; "truncate",
 * for these with ftruncate in place of posix_fallocate. KIND is sysv, posix,
 * file or anon, NAME what follows it in a name of the library's. PAGES is "as
 * they come", "prefault" or "huge".
 */
#define _GNU_SOURCE

#include "shmcomm.h"
#include "times.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OPEN, TOUCH, CLOSE, REMOVE, ALL, NOTHING, OPERATIONS };

/* The smallest segment, and what surrounds one that is opened. */
enum { PAGE = 4096 };

/* What is done, and what has been opened. */
static const char *kind, *name;
static size_t size, mapped;
static int prefault, huge, truncate_only, existing;
static char full_name[4096];
static void *memory;
static shmc_segment *segment;
static int id, file;

static int is(const char *text, const char *other)
{
    return strcmp(text, other) == 0;
}

/* By the library. */

static void library_open(void)
{
    int flags = existing ? 0 : SHMC_CREATE | SHMC_EXCL;

    flags |= (prefault ? SHMC_PREFAULT : 0) | (huge ? SHMC_HUGE : 0);
    segment = shmc_segment_open(full_name, existing ? 0 : size, flags, 0600);
    require(segment != NULL, "shmc_segment_open failed");
    memory = shmc_segment_addr(segment);
}

static void library_close(void)
{
    require(shmc_segment_close(segment) == 0, "shmc_segment_close failed");
}

static void library_remove(void)
{
    require(is(kind, "anon") || shmc_remove(full_name) == 0, "shmc_remove failed");
}

/* By the calls of System V. */

static void prepare(void)
{
    if (huge)
        madvise(memory, size, MADV_HUGEPAGE);
    if (prefault)
        require(madvise(memory, size, MADV_POPULATE_WRITE) == 0, "madvise failed");
}

static void sysv_open(void)
{
    key_t key = ftok(name, 0x66);
    int flags = existing ? 0 : IPC_CREAT | IPC_EXCL | 0600;

    id = huge ? shmget(key, size, flags | SHM_HUGETLB) : -1;
    if (id < 0)
        id = shmget(key, existing ? 0 : size, flags);
    require(id >= 0, "shmget failed");
    memory = shmat(id, NULL, 0);
    require(memory != (void *)-1, "shmat failed");
    prepare();
}

static void sysv_close(void)
{
    require(shmdt(memory) == 0, "shmdt failed");
}

static void sysv_remove(void)
{
    require(shmctl(id, IPC_RMID, NULL) == 0, "shmctl failed");
}

/* By the calls for descriptors. */

static int object_file(void)
{
    int flags = O_RDWR | (existing ? 0 : O_CREAT | O_EXCL);

    if (is(kind, "posix"))
        return shm_open(name, flags, 0600);
    if (is(kind, "file"))
        return open(name, flags | O_CLOEXEC, 0600);
    return memfd_create("bench", MFD_CLOEXEC);
}

static int map(void)
{
    memory = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    return memory != MAP_FAILED;
}

/* Whether there were huge pages for it. */
static int open_hugetlb(void)
{
    struct stat status;
    size_t page;

    file = memfd_create("bench", MFD_CLOEXEC | MFD_HUGETLB);
    if (file < 0 || fstat(file, &status) != 0)
        return 0;
    page = (size_t)status.st_blksize;
    mapped = (size + page - 1) / page * page;
    if (ftruncate(file, (off_t)mapped) == 0 && map())
        return 1;
    close(file);
    return 0;
}

static void object_open(void)
{
    struct stat status;

    if (huge && is(kind, "anon") && open_hugetlb())
        return;
    file = object_file();
    require(file >= 0, "open failed");
    if (existing) {
        require(fstat(file, &status) == 0, "fstat failed");
        size = (size_t)status.st_size;
    } else if (truncate_only || is(kind, "anon"))
        require(ftruncate(file, (off_t)size) == 0, "ftruncate failed");
    else
        require(posix_fallocate(file, 0, (off_t)size) == 0, "posix_fallocate failed");
    mapped = size;
    require(map(), "mmap failed");
    prepare();
}

static void object_close(void)
{
    require(munmap(memory, mapped) == 0 && close(file) == 0, "munmap or close failed");
}

static void object_remove(void)
{
    if (is(kind, "posix"))
        require(shm_unlink(name) == 0, "shm_unlink failed");
    else if (is(kind, "file"))
        require(unlink(name) == 0, "unlink failed");
}

static const struct way {
    void (*open)(void), (*close)(void), (*remove)(void);
} library = {library_open, library_close, library_remove},
  sysv = {sysv_open, sysv_close, sysv_remove},
  object = {object_open, object_close, object_remove};

static void touch(void)
{
    volatile char *byte = memory;
    size_t offset;

    for (offset = 0; offset < size; offset += PAGE)
        byte[offset] = 1;
}

static void timed(void (*operation)(void), struct times *times)
{
    start();
    operation();
    stop(times);
}

static void print_median(struct times *times, struct times *nothing)
{
    printf("%ld\n", median(times) - median(nothing));
}

static void nothing(void)
{
}

static void live(const struct way *way, size_t lives)
{
    struct times times[OPERATIONS];
    size_t wanted = size;
    int operation;

    for (operation = 0; operation < OPERATIONS; operation++)
        times[operation] = make_times(lives);
    /* Not timed: the first calls of a process, which load their code. */
    size = PAGE;
    way->open();
    way->close();
    way->remove();
    size = wanted;
    for (; lives > 0; lives--) {
        struct times *all = &times[ALL];

        timed(way->open, &times[OPEN]);
        timed(touch, &times[TOUCH]);
        timed(way->close, &times[CLOSE]);
        timed(way->remove, &times[REMOVE]);
        timed(nothing, &times[NOTHING]);
        all->samples[all->count] = 0;
        for (operation = OPEN; operation < ALL; operation++)
            all->samples[all->count] += times[operation].samples[all->count];
        all->count++;
    }
    for (operation = OPEN; operation < NOTHING; operation++)
        print_median(&times[operation], &times[NOTHING]);
}

/* In a namespace of its own, or under names that the caller removes. */
static void make_others(int others)
{
    char other[sizeof full_name];
    int made;

    for (; others > 0; others--) {
        if (is(kind, "sysv"))
            require(shmget(others, PAGE, IPC_CREAT | IPC_EXCL | 0600) >= 0, "shmget failed");
        else {
            snprintf(other, sizeof other, "%s-%d", name, others);
            made = shm_open(other, O_RDWR | O_CREAT | O_EXCL, 0600);
            require(made >= 0 && ftruncate(made, PAGE) == 0 && close(made) == 0,
                    "shm_open or ftruncate failed");
        }
    }
}

static void remove_others(int others)
{
    char other[sizeof full_name];

    for (; others > 0 && is(kind, "posix"); others--) {
        snprintf(other, sizeof other, "%s-%d", name, others);
        require(shm_unlink(other) == 0, "shm_unlink failed");
    }
}

static void open_among(const struct way *way, int others, size_t opens)
{
    struct times times = make_times(opens), none = make_times(opens);

    make_others(others);
    size = PAGE;
    way->open();
    way->close();
    existing = 1;
    for (; opens > 0; opens--) {
        timed(way->open, &times);
        way->close();
        timed(nothing, &none);
    }
    way->remove();
    remove_others(others);
    print_median(&times, &none);
}

int main(int argc, char **argv)
{
    const struct way *way = &library;

    require(argc == 8 || argc == 7, "wrong arguments");
    kind = argv[3];
    name = argv[4];
    snprintf(full_name, sizeof full_name, "%s:%s", kind, is(kind, "anon") ? "" : name);
    if (!is(argv[2], "library"))
        way = is(kind, "sysv") ? &sysv : &object;
    truncate_only = is(argv[2], "truncate");
    if (is(argv[1], "existing")) {
        open_among(way, atoi(argv[5]), strtoul(argv[6], NULL, 10));
        return 0;
    }
    size = strtoul(argv[5], NULL, 10);
    prefault = is(argv[6], "prefault");
    huge = is(argv[6], "huge");
    live(way, strtoul(argv[7], NULL, 10));
    return 0;
}
