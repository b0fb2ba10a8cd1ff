/* To be preloaded: a second is a hundredth of one, and no byte behind a segment can be touched. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

unsigned sleep(unsigned seconds)
{
    poll(0, 0, 10 * (int)seconds);
    return 0;
}

void *shmat(int id, const void *address, int flags)
{
    void *(*next)(int, const void *, int) = dlsym(RTLD_NEXT, "shmat");
    size_t page = sysconf(_SC_PAGESIZE);

    address = mmap(0, 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return next(id, address, flags | SHM_REMAP);
}
