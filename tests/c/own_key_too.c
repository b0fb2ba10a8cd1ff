#ifdef PATH_TOO
#define _PATH_NAME_ PATH_TOO
#elif defined(OWN_PATH)
#define _PATH_NAME_ OWN_PATH
#endif
#ifdef OWN_ID
#define _PROJ_ID_ OWN_ID
#endif
#include "comm.h"

#ifdef __cplusplus
extern "C" int create_there(void);
#else
int create_there(void);
#endif

int create_there(void)
{
    return create_shm(64);
}
