/* Runs a program in a seccomp(2) sandbox that refuses system calls.
 *
 * refuse CALL=ERRNO ... -- PROGRAM ARGUMENT ...
 *
 * CALL: tmpfile (an open with O_TMPFILE), link, linkat, renameat2. Exits with 77 if there is no
 * seccomp(2). */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD(what) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, what))
#define EQUAL(value, yes, no) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, yes, no)
#define RETURN(what) BPF_STMT(BPF_RET | BPF_K, what)
/* The low half of an argument, on a little-endian machine. */
#define ARGUMENT(n) args[n]

static struct sock_filter filter[64];
static unsigned short length;

static void add(struct sock_filter one)
{
    filter[length++] = one;
}

static void refuse(const char *call, unsigned errnum)
{
    unsigned result = SECCOMP_RET_ERRNO | errnum;
    unsigned number = SYS_linkat;

    add((struct sock_filter)LOAD(nr));
    if (strcmp(call, "tmpfile") == 0) {
        add((struct sock_filter)EQUAL(SYS_openat, 0, 4));
        add((struct sock_filter)LOAD(ARGUMENT(2)));
        add((struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, O_TMPFILE));
        add((struct sock_filter)EQUAL(O_TMPFILE, 0, 1));
        add((struct sock_filter)RETURN(result));
        return;
    }
    if (strcmp(call, "renameat2") == 0)
        number = SYS_renameat2;
#ifdef SYS_link
    else if (strcmp(call, "link") == 0)
        number = SYS_link;
#endif
    add((struct sock_filter)EQUAL(number, 0, 1));
    add((struct sock_filter)RETURN(result));
}

int main(int argc, char **argv)
{
    struct sock_fprog program = {0, filter};
    int i;

    for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        char *errnum = strchr(argv[i], '=');

        if (errnum == NULL)
            return 2;
        *errnum = '\0';
        refuse(argv[i], (unsigned)atoi(errnum + 1));
    }
    add((struct sock_filter)RETURN(SECCOMP_RET_ALLOW));
    program.len = length;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        perror("seccomp");
        return 77;
    }
    if (i + 1 >= argc)
        return 2;
    execv(argv[i + 1], argv + i + 1);
    perror(argv[i + 1]);
    return 1;
}
