/* cc -o private private.c -I../include -L../target/release -lshmcomm -Wl,-rpath,../target/release */

/*
 * One process alone: creates a private System V segment, writes a word from
 * stdin to it, reads it back, detaches the segment and removes it.
 *
 * Private means without a key: other processes can find the segment only by its
 * id. It is meant for a process and its children.
 */
#include "example.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shmcomm.h"

#define SIZE 1024

/* Reads a word. Returns 0, or -1 after reporting why there is none. */
static int read_word(char word[SIZE])
{
    int next;

    printf("private: type a word and press Enter\n");
    /* 1023: SIZE bytes also hold the NUL after the word. */
    if (scanf("%1023s", word) != 1) {
        fprintf(stderr, "private: there was no word to read\n");
        return -1;
    }
    next = getchar();
    if (next != EOF && !isspace(next)) {
        fprintf(stderr, "private: the word is longer than %d bytes\n", SIZE - 1);
        return -1;
    }
    return 0;
}

static void write_and_read(char *shared, const char *word)
{
    memcpy(shared, word, strlen(word) + 1); /* with its NUL */
    printf("private: wrote \"%s\" to the segment\n", word);
    /* %.*s: even if there were no NUL, we would stop at the segment's end. */
    printf("private: read \"%.*s\" from the segment\n", SIZE, shared);
}

int main(void)
{
    char word[SIZE];
    char name[32];
    shmc_segment *segment;
    shmc_segment_info info;
    int status = EXIT_SUCCESS;

    print_line_by_line();

    /* Before the rest: while we wait for the user, there is nothing to clean
     * up. */
    if (read_word(word) == -1)
        return EXIT_FAILURE;

    hold_signals(); /* until the segment is removed */

    /* shmget(IPC_PRIVATE) and shmat in one; 0600: for this user alone */
    segment = shmc_segment_open("sysv:private", SIZE, SHMC_CREATE, 0600);
    if (segment == NULL) {
        perror("private: shmc_segment_open");
        return EXIT_FAILURE;
    }
    if (shmc_segment_stat(segment, &info) == -1) { /* shmctl(IPC_STAT) */
        perror("private: shmc_segment_stat");
        return EXIT_FAILURE;
    }
    printf("private: made segment %d, %zu bytes, key %ld\n", info.id, info.size, (long)info.key);

    write_and_read(shmc_segment_addr(segment), word);

    if (shmc_segment_close(segment) == -1) { /* shmdt */
        perror("private: shmc_segment_close");
        status = EXIT_FAILURE;
    }
    printf("private: detached segment %d\n", info.id);

    /* Without a key, the id serves as the name. */
    snprintf(name, sizeof name, "sysv:id:%d", info.id);
    if (shmc_remove(name) == -1) { /* shmctl(IPC_RMID) */
        perror("private: shmc_remove");
        status = EXIT_FAILURE;
    } else {
        printf("private: removed segment %d\n", info.id);
    }

    release_signals(); /* one that arrived meanwhile ends the program here */
    return check_output(status);
}
