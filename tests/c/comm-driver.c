/*
 * Calls what its arguments say, in order, on the last id and the last address,
 * and prints what each call returned. Compiles as C89 and as C++98.
 */
#include "comm.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void print_int(const char *call, int result)
{
    printf("%s: %d\n", call, result);
}

static void print_id(const char *call, int id)
{
    if (id >= 0)
        printf("%s: an id\n", call);
    else
        print_int(call, id);
}

static int number(const char *text)
{
    return (int)strtol(text, NULL, 0);
}

int main(int argc, char **argv)
{
    int id = -1;
    int i;
    char *address = NULL;

    setvbuf(stdout, NULL, _IOLBF, 0);
    for (i = 1; i < argc; i++) {
        const char *what = argv[i];

        errno = 0;
        if (strcmp(what, "create") == 0)
            print_id(what, id = create_shm(number(argv[++i])));
        else if (strcmp(what, "get") == 0)
            print_id(what, id = get_shm());
        else if (strcmp(what, "destroy") == 0)
            print_int(what, destory_shm(id));
        else if (strcmp(what, "at") == 0) {
            address = (char *)shm_at(id);
            puts(address == (char *)-1 ? "at: -1" : "at: an address");
        } else if (strcmp(what, "dt") == 0)
            print_int(what, shm_dt(address));
        else if (strcmp(what, "id") == 0)
            id = number(argv[++i]);
        else if (strcmp(what, "put") == 0)
            strcpy(address, argv[++i]);
        else if (strcmp(what, "show") == 0)
            printf("show: %s\n", address);
        else if (strcmp(what, "errno") == 0)
            continue;
        else if (strcmp(what, "chdir") == 0) {
            if (chdir(argv[++i]) != 0)
                return 2;
        } else if (strcmp(what, "putenv") == 0)
            putenv(argv[++i]);
        else if (strcmp(what, "pause") == 0) {
            puts("pause");
            if (getchar() == EOF)
                return 0;
        } else
            return 2;
        if (i + 1 < argc && strcmp(argv[i + 1], "errno") == 0)
            printf("errno: %d\n", errno);
    }
    return 0;
}
