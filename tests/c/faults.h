/* What the parts of the fault harness share; faults.c says how it works. */
#ifndef FAULTS_H
#define FAULTS_H

#include <errno.h>
#include <stddef.h>
#include <sys/types.h>

/* A kind of call that can fail, each with the errnos that the kernel or the C library gives for it. */
struct kind {
    const char *name;
    int errnos[24];
    /* The number of such calls that the library has made in this process. */
    int count;
};

/* fault-calls.c: whether this call of the library fails now; errno is set then. */
int inject(struct kind *kind);

/* faults.c: what went wrong in this run; it ends here. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
/* Notes what the run has created, for the comparison and for the removal after it. */
void created_name(const char *path);
void created_shm(int id);
void created_sem(int id);
/* Lines of the state with this text may vanish: what SHMC_RECLAIM replaces. */
extern const char *expendable;

/* Whether the library runs, and not the harness. */
extern int armed;
/* What this system lacks in the whole run: files without a name, or /proc to give them one. */
#define WITHOUT_TMPFILE (1 << 20)
#define WITHOUT_LINKAT (1 << 21)
extern int missing;
/* Whether the run has few descriptors. */
extern int limited;
extern int live_allocations;
extern void *lasting_page;

void begin(const char *function);
void arm(void);
void disarm(void);
/* Checks the result of a call, and says whether to make the call once more without the fault. */
int again(int failed, int errnum, int expected);

/* Calls a function of the library, which fails by returning `bad`. Without the fault it fails with
 * errno `expected`, or succeeds where that is 0. */
#define EXPECT(expected, bad, function, ...)                                                       \
    __extension__({                                                                                \
        __typeof__(function(__VA_ARGS__)) result_;                                                 \
        int errnum_;                                                                               \
        begin(#function);                                                                          \
        do {                                                                                       \
            errno = 0;                                                                             \
            arm();                                                                                 \
            result_ = function(__VA_ARGS__);                                                       \
            errnum_ = errno;                                                                       \
            disarm();                                                                              \
        } while (again(result_ == (bad), errnum_, expected));                                      \
        result_;                                                                                   \
    })
#define CALL(bad, function, ...) EXPECT(0, bad, function, __VA_ARGS__)

#define CHECK(condition)                                                                           \
    do                                                                                             \
        if (!(condition))                                                                          \
            complain("not so: %s", #condition);                                                    \
    while (0)

/* A program of its own does something and exits, or stays until it is killed. */
void elsewhere(void (*act)(const char *, int), const char *name, int flags);
pid_t start_holder(void (*act)(const char *, int), const char *name, int flags);
void stop_holder(pid_t holder);

/* A scenario calls the library with a name and flags; the name's kind may stand in its title. */
struct scenario {
    char title[64];
    void (*run)(const char *name, int flags);
    char name[512];
    int flags;
    /* Its calls are too many to fail one by one. */
    int once;
};
void add(const char *title, void (*run)(const char *, int), const char *name, int flags);
extern struct scenario scenarios[256];
extern int scenario_count;

/* The scenarios of each group, by the names that the directory and the prefix give. */
struct names {
    char sysv_path[512], sysv_id[512], sysv_key[64], posix[256], file[512], directory[512];
};
void add_segments(const struct names *names);
void add_semaphores(const struct names *names);
void add_channels(const struct names *names);
void add_comm(const struct names *names);

/* fault-state.c: what there is now, as sorted lines. */
struct state {
    char text[131072];
    size_t length;
};
extern const char *state_directory, *state_prefix;
void take_state(struct state *state);
/* The first line of `a` that is not in `b` and not accepted, or NULL. */
const char *difference(const struct state *a, const struct state *b,
                       int (*accepts)(const char *line, size_t length));

/* An injected failure kept the library from releasing this: it may be left, and nothing else. */
void not_released(const char *line, void *address, size_t size, int id);
/* It was released after all. */
void released(const char *line);
/* Whether a line of the state may be there for that reason. */
int is_unreleased(const char *line, size_t length);
/* Releases what is_unreleased has met. */
void release_the_rest(void);

/* What all processes of a run have created. */
struct created {
    char names[256][256];
    int name_count;
    int shm[128], shm_count;
    int sem[128], sem_count;
};
extern struct created *created;

#endif
