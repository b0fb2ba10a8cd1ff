/*
 * unload LIBRARY NAME ROUNDS: in each round it loads the library, opens a
 * channel and closes it, unloads the library, and forks. Prints whether the
 * library is still loaded at the end.
 */
#include "shmcomm.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef shmc_channel *open_channel(const char *, size_t, int, mode_t);
typedef int close_channel(shmc_channel *);

static void fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, dlerror());
    exit(1);
}

static void use(const char *library, const char *name)
{
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL), *open, *close;
    open_channel *open_it;
    close_channel *close_it;
    shmc_channel *channel;

    if (handle == NULL || (open = dlsym(handle, "shmc_channel_open")) == NULL
        || (close = dlsym(handle, "shmc_channel_close")) == NULL)
        fail(library);
    /* C has no cast from an object pointer to a function pointer */
    memcpy(&open_it, &open, sizeof open_it);
    memcpy(&close_it, &close, sizeof close_it);
    if ((channel = open_it(name, 0, SHMC_CREATE | SHMC_SEND, 0600)) == NULL) {
        perror(name);
        exit(1);
    }
    if (close_it(channel) != 0 || dlclose(handle) != 0)
        fail("close");
}

int main(int argc, char **argv)
{
    int rounds, status;

    if (argc != 4)
        return 2;
    for (rounds = atoi(argv[3]); rounds > 0; rounds--) {
        pid_t child;

        use(argv[1], argv[2]);
        if ((child = fork()) == 0)
            _exit(0);
        if (child == -1 || waitpid(child, &status, 0) != child || status != 0)
            return 1;
    }
    puts(dlopen(argv[1], RTLD_NOW | RTLD_NOLOAD) != NULL ? "loaded" : "unloaded");
    return 0;
}
