// Paths below a root that is not the system's, for `lockdown install`.
#ifndef LOCKDOWN_CLINUX_INSTALL_H
#define LOCKDOWN_CLINUX_INSTALL_H

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

// openat2(2) has no function in the library. Below a root that is a directory of the system, a path that would leave
// it is EXDEV; below `/` there is nothing outside, and absolute links lead where they do at run time.
static inline int lockdown_open_below(int root, const char *path, int flags, int is_system_root) {
    struct { uint64_t flags; uint64_t mode; uint64_t resolve; } how;
    how.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC);
    how.mode = flags & O_CREAT ? 0600 : 0;
    how.resolve = 0x02 /* RESOLVE_NO_MAGICLINKS */ | (is_system_root ? 0x10 /* RESOLVE_IN_ROOT */ : 0x08 /* RESOLVE_BENEATH */);
    long result;
    do result = syscall(437 /* SYS_openat2, one number everywhere */, root, path, &how, sizeof how);
    while (result < 0 && errno == EINTR);
    return (int)result;
}

// Variadic in C.
static inline int lockdown_create_below(int folder, const char *name, unsigned mode) {
    return openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, (mode_t)mode);
}

// Variadic in C; a link is not followed, and a device or pipe does not block.
static inline int lockdown_read_below(int folder, const char *name) {
    return openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
}

#endif
