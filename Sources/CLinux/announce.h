// A line on standard error for work that takes longer than a second.
#ifndef LOCKDOWN_CLINUX_ANNOUNCE_H
#define LOCKDOWN_CLINUX_ANNOUNCE_H

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

struct lockdown_line {
    const void *bytes;
    size_t length;
};

// A signal handler has no context, so the line stands in static storage: inside a function, because Swift emits
// functions of a header and not its variables.
static inline struct lockdown_line *lockdown_announcement(void) {
    static struct lockdown_line line;
    return &line;
}

// write(2) is all it calls, and that is safe in a handler (signal-safety(7)).
static inline void lockdown_announce(int signal) {
    (void)signal;
    int code = errno;
    const struct lockdown_line *line = lockdown_announcement();
    if (write(2, line->bytes, line->length) < 0) { /* nobody to tell */ }
    errno = code;
}

// The line must stay where it is until lockdown_announce_nothing.
static inline void lockdown_announce_after_a_second(const void *bytes, size_t length) {
    *lockdown_announcement() = (struct lockdown_line){bytes, length};
    struct sigaction action = {.sa_handler = lockdown_announce, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &action, NULL);
    alarm(1);
}

static inline void lockdown_announce_nothing(void) {
    alarm(0);
    signal(SIGALRM, SIG_DFL);
}

#endif
