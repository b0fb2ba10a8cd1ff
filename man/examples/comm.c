/* A program creates a segment, finds it again, and leaves a text in it. */
#include <stdio.h>

#define _PATH_NAME_ "."
#include "comm.h"

int main(void)
{
    int id = create_shm(4096);
    char *text;

    if (id < 0)
        return 1; /* a line on stderr says why */
    text = shm_at(get_shm());
    if (text == (char *)-1) {
        perror("shm_at");
        return 1;
    }
    strcpy(text, "how are you");
    printf("%s\n", text);
    shm_dt(text);
    return destory_shm(id) != 0;
}
