/*
 * Output and signals, which all these programs need.
 *
 * Include it first: _XOPEN_SOURCE must stand before any header of the system.
 */
#ifndef EXAMPLE_H
#define EXAMPLE_H

#define _XOPEN_SOURCE 700 /* sigaction, fork and others, under -std=c11 too */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * The functions that are called at the start of main end the program if they
 * fail: there is nothing to clean up yet.
 */
static inline void must_succeed(int failed, const char *call)
{
    if (failed) {
        perror(call);
        exit(EXIT_FAILURE);
    }
}

/* Prints each line when it is complete, into a pipe too, so that output can be followed. */
static inline void print_line_by_line(void)
{
    must_succeed(setvbuf(stdout, NULL, _IOLBF, BUFSIZ) != 0, "setvbuf");
}

/* The status of main: a failure if some output was lost, as on a full disk. */
static inline int check_output(int status)
{
    return fflush(stdout) == EOF || ferror(stdout) ? EXIT_FAILURE : status;
}

/*
 * Shared memory outlives its programs until a program removes it. So a signal
 * must not end a program before the program has removed what it created.
 *
 * These signals would: Ctrl-C, kill, the terminal is closed, the reader of a
 * pipe that the program prints to has exited.
 */
static const int ending_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};

#define ENDING_SIGNALS (sizeof ending_signals / sizeof ending_signals[0])

/*
 * The first way, for a program that waits for other processes: a handler notes
 * the signal and interrupts the wait, and the program cleans up. A handler may
 * do very little; it may set such a variable and call alarm.
 */
static volatile sig_atomic_t caught_signal; /* its number; 0: none yet */

/*
 * A signal that arrives just before a wait begins does not end the wait. The
 * SIGALRM that follows a second later does.
 */
static inline void note_signal(int number)
{
    if (number != SIGALRM)
        caught_signal = number;
    alarm(1);
}

static inline void catch_signals(void)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    action.sa_handler = note_signal;
    action.sa_flags = SA_RESTART; /* printf goes on; sleep and SHMC_INTR waits still end */
    must_succeed(sigemptyset(&action.sa_mask) == -1, "sigemptyset");
    for (size_t i = 0; i < ENDING_SIGNALS; i++)
        must_succeed(sigaction(ending_signals[i], &action, NULL) == -1, "sigaction");
    must_succeed(sigaction(SIGALRM, &action, NULL) == -1, "sigaction");
}

/* After cleaning up: dies of the caught signal, so that the shell sees the cause. */
static inline void die_of_caught_signal(void)
{
    if (caught_signal != 0) {
        signal(caught_signal, SIG_DFL);
        raise(caught_signal);
    }
}

/*
 * The second way, for a program that exits soon: the kernel holds the signals
 * back. One that arrives meanwhile takes effect when they are released.
 */
static sigset_t mask_before;

static inline void hold_signals(void)
{
    sigset_t held;

    must_succeed(sigemptyset(&held) == -1, "sigemptyset");
    for (size_t i = 0; i < ENDING_SIGNALS; i++)
        must_succeed(sigaddset(&held, ending_signals[i]) == -1, "sigaddset");
    must_succeed(sigprocmask(SIG_BLOCK, &held, &mask_before) == -1, "sigprocmask");
}

/* After cleaning up. */
static inline void release_signals(void)
{
    must_succeed(sigprocmask(SIG_SETMASK, &mask_before, NULL) == -1, "sigprocmask");
}

#endif
