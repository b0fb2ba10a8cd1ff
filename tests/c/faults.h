/* Declarations of the fault harness. faults.c explains how it works. */
#ifndef FAULTS_H
#define FAULTS_H

#include <errno.h>
#include <stddef.h>
#include <sys/types.h>

/* A kind of call that can fail, with the errnos that the kernel or the C library may give it. */
struct kind {
    const char *name;
    int errnos[24];
    /* The number of such calls that the library has made in this process. */
    int count;
};

/* fault-calls.c: whether this call of the library fails now. If so, errno is set. */
int inject(struct kind *kind);

/* faults.c: reports a defect and ends this run. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
/* Records a name or an id that the run has created, for the comparison and for the removal
 * afterwards. */
void created_name(const char *path);
void created_shm(int id);
void created_sem(int id);
/* Lines of the state with this text may vanish, because SHMC_RECLAIM replaces the object. */
extern const char *expendable;

/* Whether the library runs, and not the harness. */
extern int armed;
/* Features that are missing in the whole run: unnamed files, or /proc to name them. */
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
/* Checks the result of a call. Returns whether to make the call once more without the fault. */
int again(int failed, int errnum, int expected);

/* Calls a function of the library that reports a failure as `bad`. Without the fault it must
 * fail with errno `expected`, or succeed if that is 0. */
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
            complain("false: %s", #condition);                                                     \
    while (0)

/* Another process calls `act` and exits, or stays until it is killed. */
void elsewhere(void (*act)(const char *, int), const char *name, int flags);
pid_t start_holder(void (*act)(const char *, int), const char *name, int flags);
void stop_holder(pid_t holder);

/* A scenario calls the library with a name and flags. Its title may contain the kind of the
 * name. */
struct scenario {
    char title[64];
    void (*run)(const char *name, int flags);
    char name[512];
    int flags;
    /* It makes too many calls to fail each of them. */
    int once;
};
void add(const char *title, void (*run)(const char *, int), const char *name, int flags);
extern struct scenario scenarios[256];
extern int scenario_count;

/* Add the scenarios of each group, with names made of the directory and the prefix. */
struct names {
    char sysv_path[512], sysv_id[512], sysv_key[64], posix[256], file[512], directory[512];
};
void add_segments(const struct names *names);
void add_semaphores(const struct names *names);
void add_channels(const struct names *names);
void add_topics(const struct names *names);
void add_comm(const struct names *names);

/* fault-state.c: the present state, as sorted lines. */
struct state {
    char text[131072];
    size_t length;
};
extern const char *state_directory, *state_prefix;
void take_state(struct state *state);
/* The first line of `a` that is not in `b` and not accepted, or NULL. */
const char *difference(const struct state *a, const struct state *b,
                       int (*accepts)(const char *line, size_t length));

/* A fault kept the library from releasing this resource, so it may remain. */
void not_released(const char *line, void *address, size_t size, int id);
/* The library released it later. */
void released(const char *line);
/* Whether a line of the state may remain for that reason. */
int is_unreleased(const char *line, size_t length);
/* Releases the resources that is_unreleased has found. */
void release_the_rest(void);

/* The names and ids that all processes of a run have created. */
struct created {
    char names[256][256];
    int name_count;
    int shm[128], shm_count;
    int sem[128], sem_count;
};
extern struct created *created;

#endif
