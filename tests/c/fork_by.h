/* A fork by the function or system call that a test names: fork, _Fork or clone. */
#ifndef FORK_BY_H
#define FORK_BY_H

#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

pid_t fork_without_handlers(void) __asm__("_Fork") __attribute__((weak));

static pid_t fork_by(const char *how)
{
    if (strcmp(how, "clone") == 0)
        return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    /* glibc has it since 2.34. */
    if (strcmp(how, "_Fork") == 0 && fork_without_handlers != NULL)
        return fork_without_handlers();
    return fork();
}

#endif
