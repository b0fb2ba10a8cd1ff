/* Fails every call that the library makes, one by one.
 *
 *   faults DIRECTORY PREFIX GROUP STRIDE
 *
 * A scenario calls the library in its own process. The first run has no fault and records each call
 * that the library makes. Two more runs follow for each of these calls and each errno: in one the
 * call fails once, in the other it fails from then on. If the library's function fails, its errno
 * must be documented, and names, ids, descriptors, mappings and allocations must be as before.
 * Called again without the fault, the function must succeed. Further runs have few descriptors, or
 * begin with the standard ones closed.
 *
 * Names are created in DIRECTORY, and in /dev/shm with PREFIX; each run removes its names and
 * ids. One in STRIDE of all runs is made. Each complaint is a line on stdout; the last line has
 * the number of faults. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "faults.h"
#include "shmcomm.h"
/* faults.rs generates it from shmcomm.h. */
#include "documented.h"

#define PATIENCE 20
#define REPORT 250
#define MAX_LIMIT 10
/* After this many EINTR in a row the call succeeds: signals do not arrive for ever. */
#define MAX_SIGNALS 2000
/* A call that is made more often is made in a loop: the further ones do not fail. */
#define MAX_OF_A_KIND 30

enum type { NOTHING, ONCE, ALWAYS, LIMIT, CLOSED };
static const char *const types[] = {"", "once", "always", "descriptors", "closed 0 to 2"};

static struct fault {
    enum type type;
    struct kind *kind;
    int errnum;
    /* The number of the call among those of its kind; for LIMIT, RLIMIT_NOFILE. */
    int occurrence;
    /* The number of the library's function in which it happens. */
    int call;
} fault;

struct site {
    struct kind *kind;
    int occurrence, call;
};

/* Shared by the processes of a run. */
static struct trace {
    struct site sites[2048];
    int count;
    int fired;
    struct created created;
} *trace;
struct created *created;

struct scenario scenarios[256];
int scenario_count;
int armed, limited, missing;
const char *expendable;
static const struct scenario *scenario;
static const char *function = "";
static int call_number, fired, cleared, recording;
static struct state before, initial, now;

static const char *name_of(int errnum)
{
    const char *name = strerrorname_np(errnum);
    return name ? name : "no errno";
}

void complain(const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    dprintf(REPORT, "%s | %s %d %s %s | %s: %s\n", scenario->title,
            fault.kind ? fault.kind->name : "", fault.occurrence,
            fault.errnum ? name_of(fault.errnum) : "", types[fault.type], function, text);
    _exit(1);
}

static int is_expendable(const char *line, size_t length)
{
    char text[512];
    snprintf(text, sizeof text, "%.*s", (int)length, line);
    return !strncmp(line, "VmLck", 5) || (expendable && strstr(text, expendable));
}

static void compare(const struct state *old)
{
    const char *line;
    take_state(&now);
    if ((line = difference(&now, old, is_unreleased)))
        complain("leaves %s", line);
    if ((line = difference(old, &now, is_expendable)))
        complain("takes %s", line);
    release_the_rest();
}

int inject(struct kind *kind)
{
    if (!armed)
        return 0;
    int occurrence = ++kind->count;
    if (recording && trace->count < 2048 && occurrence <= MAX_OF_A_KIND)
        trace->sites[trace->count++] = (struct site){kind, occurrence, call_number};
    if (fault.kind != kind || cleared || occurrence < fault.occurrence ||
        (fault.type == ONCE && occurrence > fault.occurrence) ||
        (fault.errnum == EINTR && occurrence > fault.occurrence + MAX_SIGNALS))
        return 0;
    fired = trace->fired = 1;
    errno = fault.errnum;
    return fault.errnum;
}

static void set_limit(rlim_t most)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = most < limit.rlim_max ? most : limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

void begin(const char *name)
{
    function = name;
    call_number++;
    if (recording || call_number >= fault.call)
        take_state(&before);
}

void arm(void)
{
    if (fault.type == LIMIT && !cleared) {
        fired = trace->fired = 1;
        set_limit((rlim_t)fault.occurrence);
    }
    armed = 1;
}

void disarm(void)
{
    armed = 0;
    if (fault.type == LIMIT)
        set_limit(1024);
}

static int is_documented(int errnum)
{
    /* Layer 1 reports the errno of the call that failed. */
    if (strncmp(function, "shmc_", 5))
        return errnum == fault.errnum || fault.type == LIMIT || (expendable && errnum == EEXIST);
    for (size_t i = 0; i < sizeof documented / sizeof *documented; i++)
        if (!strcmp(documented[i].function, function))
            for (const int *known = documented[i].errnos; *known; known++)
                if (*known == errnum)
                    return 1;
    return 0;
}

int again(int failed, int errnum, int expected)
{
    if (fault.type == CLOSED)
        for (int file = 0; file < 3; file++)
            if (fcntl(file, F_GETFD) >= 0)
                complain("descriptor %d is open", file);
    /* Temporary names of other processes cost additional calls. The count is then useless, and
     * no state was recorded before this call. */
    if (fired && !recording && call_number < fault.call)
        _exit(0);
    if (failed ? errnum == expected : !expected) {
        if (failed && (recording || call_number >= fault.call))
            compare(&before);
        return 0;
    }
    if (!failed)
        complain("succeeds instead of %s", name_of(expected));
    if (!fired || cleared)
        complain("%s instead of %s, %s", name_of(errnum), expected ? name_of(expected) : "success",
                 cleared ? "also without the fault" : "without a fault");
    if (!is_documented(errnum))
        complain("%s is not documented", name_of(errnum));
    compare(&before);
    cleared = 1;
    return 1;
}

void add(const char *title, void (*run)(const char *, int), const char *name, int flags)
{
    struct scenario *new = &scenarios[scenario_count++];
    size_t kind = strcspn(name, "/0");
    snprintf(new->title, sizeof new->title, "%s %.*s%s", title, (int)kind, name,
             strchr(name, '#') ? "#" : "");
    new->run = run;
    snprintf(new->name, sizeof new->name, "%s", name);
    new->flags = flags;
}

void created_name(const char *path)
{
    for (int i = 0; i < created->name_count; i++)
        if (!strcmp(created->names[i], path))
            return;
    if (created->name_count < 256)
        snprintf(created->names[created->name_count++], sizeof *created->names, "%s", path);
}

static void note(int *ids, int *count, int id)
{
    for (int i = 0; i < *count; i++)
        if (ids[i] == id)
            return;
    if (*count < 128)
        ids[(*count)++] = id;
}

void created_shm(int id)
{
    note(created->shm, &created->shm_count, id);
}

void created_sem(int id)
{
    note(created->sem, &created->sem_count, id);
}

pid_t start_holder(void (*act)(const char *, int), const char *name, int flags)
{
    int ready[2];
    char byte;
    if (pipe2(ready, O_CLOEXEC) != 0)
        complain("pipe2: %s", strerror(errno));
    pid_t holder = fork();
    if (holder == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        act(name, flags);
        if (write(ready[1], "", 1) == 1)
            for (;;)
                pause();
        _exit(1);
    }
    close(ready[1]);
    if (read(ready[0], &byte, 1) != 1)
        complain("the other process fails");
    close(ready[0]);
    return holder;
}

void stop_holder(pid_t holder)
{
    kill(holder, SIGKILL);
    waitpid(holder, NULL, 0);
}

void elsewhere(void (*act)(const char *, int), const char *name, int flags)
{
    stop_holder(start_holder(act, name, flags));
}

static int run(const struct scenario *which)
{
    int status;
    created->name_count = created->shm_count = created->sem_count = 0;
    trace->count = trace->fired = 0;
    pid_t child = fork();
    if (child == 0) {
        scenario = which;
        recording = fault.type == NOTHING;
        limited = fault.type == LIMIT;
        alarm(PATIENCE);
        for (int file = 0; fault.type == CLOSED && file < 3; file++)
            close(file);
        take_state(&initial);
        missing = which->flags & (WITHOUT_TMPFILE | WITHOUT_LINKAT);
        which->run(which->name, which->flags & ~missing);
        function = "all";
        compare(&initial);
        _exit(0);
    }
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status))
        dprintf(REPORT, "%s | %s %d %s %s | %s\n", which->title,
                fault.kind ? fault.kind->name : "", fault.occurrence,
                fault.errnum ? name_of(fault.errnum) : "", types[fault.type],
                WTERMSIG(status) == SIGALRM ? "hangs" : strsignal(WTERMSIG(status)));
    for (int i = 0; i < created->name_count; i++)
        unlink(created->names[i]);
    for (int i = 0; i < created->shm_count; i++)
        shmctl(created->shm[i], IPC_RMID, NULL);
    for (int i = 0; i < created->sem_count; i++)
        semctl(created->sem[i], 0, IPC_RMID);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Makes one in `stride` of the runs with a fault of a scenario, and those with limits. Returns
 * the number of faults. */
static long fail_each(const struct scenario *which, long *number, long stride)
{
    static struct site sites[2048];
    long faults = 0;
    int count = trace->count;
    memcpy(sites, trace->sites, sizeof sites);
    for (int i = 0; i < count; i++)
        for (const int *errnum = sites[i].kind->errnos; *errnum; errnum++)
            for (enum type type = ONCE; type <= ALWAYS; type++) {
                if ((*number)++ % stride)
                    continue;
                fault = (struct fault){type, sites[i].kind, *errnum, sites[i].occurrence,
                                       sites[i].call};
                run(which);
                faults += trace->fired;
            }
    for (int limit = 0; limit <= MAX_LIMIT + 1; limit++) {
        enum type type = limit > MAX_LIMIT ? CLOSED : LIMIT;
        if ((*number)++ % (stride > 3 ? 3 : stride))
            continue;
        fault = (struct fault){type, NULL, 0, limit, 0};
        run(which);
        faults++;
    }
    return faults;
}

int main(int argc, char **argv)
{
    struct names names;
    long faults = 0, number = 0;
    if (argc != 5 || dup3(STDOUT_FILENO, REPORT, O_CLOEXEC) != REPORT)
        return 2;
    /* The text of perror(3) is not checked here. */
    if (!freopen("/dev/null", "w", stderr))
        return 2;
    trace = mmap(NULL, sizeof *trace, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (trace == MAP_FAILED)
        return 2;
    created = &trace->created;
    state_directory = argv[1];
    state_prefix = argv[2];
    snprintf(names.directory, sizeof names.directory, "%s", argv[1]);
    snprintf(names.sysv_path, sizeof names.sysv_path, "sysv:%s", argv[1]);
    snprintf(names.sysv_id, sizeof names.sysv_id, "sysv:%s#7", argv[1]);
    snprintf(names.sysv_key, sizeof names.sysv_key, "sysv:0x%x", (unsigned)ftok(argv[1], 0x77));
    snprintf(names.posix, sizeof names.posix, "posix:/%s", argv[2]);
    snprintf(names.file, sizeof names.file, "file:%s/file", argv[1]);
    !strcmp(argv[3], "segments") ? add_segments(&names)
        : !strcmp(argv[3], "semaphores") ? add_semaphores(&names)
        : !strcmp(argv[3], "channels") ? add_channels(&names)
        : !strcmp(argv[3], "topics") ? add_topics(&names) : add_comm(&names);
    for (int i = 0; i < scenario_count; i++) {
        fault = (struct fault){0};
        if (run(&scenarios[i]) && !scenarios[i].once)
            faults += fail_each(&scenarios[i], &number, strtol(argv[4], NULL, 10));
    }
    dprintf(REPORT, "%ld faults\n", faults);
    return 0;
}
