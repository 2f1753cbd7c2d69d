// Network namespaces, links and raw sockets, for `lockdown sandbox`.
#ifndef LOCKDOWN_CLINUX_NAMESPACES_H
#define LOCKDOWN_CLINUX_NAMESPACES_H

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <poll.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// An enumeration in glibc, a macro in musl: Swift would see two types.
static const int lockdown_sock_raw_cloexec = SOCK_RAW | SOCK_CLOEXEC;
static const int lockdown_msg_dontwait = MSG_DONTWAIT;
// Macros with casts or shifts are not imported.
static const int lockdown_clone_newnet = 0x40000000;

// unshare(2) and setns(2) are declared only under _GNU_SOURCE.
static inline int lockdown_unshare_network(void) {
    return (int)syscall(SYS_unshare, lockdown_clone_newnet);
}

static inline int lockdown_enter_network(int descriptor) {
    return (int)syscall(SYS_setns, descriptor, lockdown_clone_newnet);
}

// net/if.h and linux/if.h declare the same names twice; the ioctl needs neither.
static inline uint32_t lockdown_interface_index(const char *name) {
    struct { char name[16]; int index; char rest[20]; } request;
    memset(&request, 0, sizeof request);
    strncpy(request.name, name, sizeof request.name - 1);
    int descriptor = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return 0;
    int failed = ioctl(descriptor, 0x8933 /* SIOCGIFINDEX */, &request);
    int code = errno;
    close(descriptor);
    errno = code;
    return failed < 0 ? 0 : (uint32_t)request.index;
}

// Socket addresses are unions of casts in C; here the address is bytes in network order, 4 or 16 of them.
static inline ssize_t lockdown_send_raw(int descriptor, const uint8_t *address, int length, const uint8_t *bytes,
                                        size_t count) {
    struct { uint16_t family; uint16_t port; uint8_t address[4]; uint8_t zero[8]; } v4;
    struct { uint16_t family; uint16_t port; uint32_t flow; uint8_t address[16]; uint32_t scope; } v6;
    memset(&v4, 0, sizeof v4);
    memset(&v6, 0, sizeof v6);
    if (length == 4) {
        v4.family = AF_INET;
        memcpy(v4.address, address, 4);
        return sendto(descriptor, bytes, count, 0, (const struct sockaddr *)&v4, sizeof v4);
    }
    v6.family = AF_INET6;
    memcpy(v6.address, address, 16);
    return sendto(descriptor, bytes, count, 0, (const struct sockaddr *)&v6, sizeof v6);
}

// The forced form needs CAP_NET_ADMIN in the initial user namespace; the other is capped by net.core.rmem_max.
static inline void lockdown_set_receive_buffer(int descriptor, int bytes) {
    if (setsockopt(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) < 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}

// poll(2) with nothing to wait for.
static inline void lockdown_sleep_milliseconds(int milliseconds) { poll(NULL, 0, milliseconds); }

// struct pollfd is filled here so that callers keep no pointer.
static inline int lockdown_wait_readable(int descriptor, int milliseconds) {
    struct pollfd entry = {.fd = descriptor, .events = POLLIN, .revents = 0};
    return poll(&entry, 1, milliseconds);
}

// The same for three.
static inline int lockdown_wait_any(int a, int b, int c, int milliseconds) {
    struct pollfd entries[3] = {{.fd = a, .events = POLLIN}, {.fd = b, .events = POLLIN}, {.fd = c, .events = POLLIN}};
    return poll(entries, 3, milliseconds);
}

// SO_MEMINFO (linux/sock_diag.h) is an array of counters; SK_MEMINFO_DROPS is the ninth.
static inline int64_t lockdown_socket_drops(int descriptor) {
    uint32_t counters[9];
    socklen_t length = sizeof counters;
    if (getsockopt(descriptor, SOL_SOCKET, 55 /* SO_MEMINFO */, counters, &length) < 0 || length < sizeof counters)
        return -1;
    return counters[8];
}

// CLOCK_MONOTONIC, in seconds.
static inline double lockdown_monotonic_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}


// fork(2) is not imported: after it only one thread is left. `lockdown` has only one.
static inline pid_t lockdown_fork(void) { return fork(); }

// Wait statuses are taken apart by macros. 128 + signal, as a shell reports it.
static inline int lockdown_wait(pid_t child) {
    int status = 0;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR) return -1;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

// unshare(2): new network and mount namespaces, and a user namespace around them where the caller is not root.
static inline int lockdown_unshare_sandbox(int with_user) {
    int flags = 0x40000000 /* CLONE_NEWNET */ | 0x00020000 /* CLONE_NEWNS */;
    if (with_user) flags |= 0x10000000 /* CLONE_NEWUSER */;
    return (int)syscall(SYS_unshare, flags);
}

// mount(2) flags are an enumeration in glibc and macros in musl.
static inline int lockdown_make_mounts_private(void) {
    return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

// With what is mounted below: a user namespace may not show what other mounts cover.
static inline int lockdown_bind_to_itself(const char *path) {
    return mount(path, path, NULL, MS_BIND | MS_REC, NULL);
}

static inline int lockdown_mount_tmpfs(const char *path, const char *options) {
    return mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, options);
}

// sync_file_range(2) is declared only under _GNU_SOURCE. A hint: what it fails at, fsync(2) reports.
static inline void lockdown_start_writing(int descriptor) {
    syscall(SYS_sync_file_range, descriptor, (int64_t)0, (int64_t)0, 2 /* SYNC_FILE_RANGE_WRITE */);
}

// memfd_create(2) is declared only under _GNU_SOURCE. A file that no directory has; programs that are started inherit it.
static inline int lockdown_memory_file(void) {
    return (int)syscall(SYS_memfd_create, "lockdown", 0);
}

// renameat2(2) is declared only under _GNU_SOURCE. Both names change places at once.
static inline int lockdown_exchange(const char *a, const char *b) {
    return (int)syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, 2 /* RENAME_EXCHANGE */);
}

#endif
