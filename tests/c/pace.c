/*
 * To be preloaded: a second of sleep lasts 200 ms.
 */
#define _GNU_SOURCE
#include <time.h>

unsigned sleep(unsigned seconds)
{
    struct timespec left = { seconds / 5, seconds % 5 * 200000000L };

    return nanosleep(&left, &left) == 0 ? 0 : seconds;
}
