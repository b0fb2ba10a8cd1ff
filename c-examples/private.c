/*
 * One process alone: makes a private System V segment, writes a word from
 * stdin to it, reads it back, detaches the segment and removes it.
 *
 * Private means without a key: nobody finds it by one, only by its id. It is
 * meant for a process and its children.
 */
#define _XOPEN_SOURCE 700 /* sigprocmask under -std=c11 too */

#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shmcomm.h"

#define SIZE 1024

/*
 * A segment outlives its programs until somebody removes it. So while there is
 * one, a signal must not end this program: it is held back, and takes effect
 * when the segment is removed. That is soon, for we wait for nothing meanwhile.
 */
static int hold_signals(sigset_t *before)
{
    /* Ctrl-C, kill, the terminal closed, nobody reads our output any more */
    const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
    sigset_t held;

    if (sigemptyset(&held) == -1)
        return -1;
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        if (sigaddset(&held, signals[i]) == -1)
            return -1;
    }
    return sigprocmask(SIG_BLOCK, &held, before);
}

/* Reads a word: 0, or -1 after saying why there is none. */
static int read_word(char word[SIZE])
{
    int next;

    printf("private: type a word and press Enter\n");
    /* 1023: never more than fits, with the NUL behind it, into SIZE bytes. */
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
    sigset_t before;
    shmc_segment *segment;
    shmc_segment_info info;
    int status = EXIT_SUCCESS;

    /* Line by line also into a pipe, so that we can be followed. */
    if (setvbuf(stdout, NULL, _IOLBF, BUFSIZ) != 0) {
        fprintf(stderr, "private: cannot set up output\n");
        return EXIT_FAILURE;
    }

    /* First of all: while we wait for the user, there is nothing to clean up. */
    if (read_word(word) == -1)
        return EXIT_FAILURE;

    if (hold_signals(&before) == -1) {
        perror("private: hold_signals");
        return EXIT_FAILURE;
    }

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

    /* Where there is no key, the id serves as the name. */
    snprintf(name, sizeof name, "sysv:id:%d", info.id);
    if (shmc_remove(name) == -1) { /* shmctl(IPC_RMID) */
        perror("private: shmc_remove");
        status = EXIT_FAILURE;
    } else {
        printf("private: removed segment %d\n", info.id);
    }

    /* A signal that came meanwhile ends the program here. */
    if (sigprocmask(SIG_SETMASK, &before, NULL) == -1) {
        perror("private: sigprocmask");
        return EXIT_FAILURE;
    }

    /* Did all that we printed arrive? */
    return ferror(stdout) ? EXIT_FAILURE : status;
}
