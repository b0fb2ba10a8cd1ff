/*
 * A program that chooses its own key. A second source file, own_key_too.c, does
 * the same.
 */
#ifdef OWN_PATH
#define _PATH_NAME_ OWN_PATH
#endif
#ifdef OWN_ID
#define _PROJ_ID_ OWN_ID
#endif
#ifdef EARLY
/* Same as a program's own constructor, or that of a C++ object. */
int create_shm(int size);
__attribute__((constructor)) static void create_early(void)
{
    create_shm(64);
}
#endif
#include "comm.h"

#include <stdio.h>
#include <unistd.h>

#ifdef TWO_FILES
#ifdef __cplusplus
extern "C"
#endif
int create_there(void);
#else
static int create_there(void)
{
#ifdef EARLY
    return get_shm();
#else
    return create_shm(64);
#endif
}
#endif

int main(int argc, char **argv)
{
    if (argc > 1 && chdir(argv[1]) != 0)
        return 2;
    if (create_there() < 0)
        return 1;
    /* The macros still have the program's values. */
    printf("%s %d\n", _PATH_NAME_, _PROJ_ID_);
    return 0;
}
