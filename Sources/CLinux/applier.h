// What `lockdown-apply` asks of the kernel. errno is a macro that Swift does not import: each function here
// gives the call's result, or the negative error number. Calls that a signal interrupts are made again.
#ifndef LOCKDOWN_CLINUX_APPLIER_H
#define LOCKDOWN_CLINUX_APPLIER_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static inline long lockdown_result(long result) { return result < 0 ? -errno : result; }

// Files

// O_PATH and its like are declared only under _GNU_SOURCE; the values are the kernel's, but O_DIRECTORY and
// O_NOFOLLOW differ between architectures and are POSIX.
static const int lockdown_open_folder = 010000000 /* O_PATH */ | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
static const int lockdown_open_list = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
static const int lockdown_open_place = 010000000 /* O_PATH */ | O_NOFOLLOW | O_CLOEXEC;
static const int lockdown_open_read = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
static const int lockdown_open_key = O_RDONLY | O_CLOEXEC;
static const int lockdown_open_key_write = O_WRONLY | O_CLOEXEC;
static const int lockdown_open_new = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
static const int lockdown_open_lock = O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC;
static const int lockdown_here = AT_FDCWD;

// openat(2) is variadic, which Swift does not import.
static inline long lockdown_open_at(int folder, const uint8_t *path, int flags, uint32_t mode) {
    long result;
    do result = openat(folder, (const char *)path, flags, (mode_t)mode);
    while (result < 0 && errno == EINTR);
    return lockdown_result(result);
}

// struct stat differs between libraries; this is what is asked of it.
struct lockdown_file_status {
    uint32_t user;
    uint32_t mode;
    uint64_t size;
    uint64_t device;
    uint64_t inode;
    int64_t changed_seconds;
    int64_t changed_nanoseconds;
};

static inline void lockdown_fill_status(const struct stat *from, struct lockdown_file_status *into) {
    into->user = from->st_uid;
    into->mode = from->st_mode;
    into->size = (uint64_t)from->st_size;
    into->device = (uint64_t)from->st_dev;
    into->inode = (uint64_t)from->st_ino;
    into->changed_seconds = from->st_ctim.tv_sec;
    into->changed_nanoseconds = from->st_ctim.tv_nsec;
}

// The calls themselves, for size: the library's ones begin with statx(2), and on 64 bits its structure is the kernel's.
static inline long lockdown_status_of(int descriptor, struct lockdown_file_status *status) {
    struct stat found;
    if (syscall(SYS_fstat, descriptor, &found) < 0) return -errno;
    lockdown_fill_status(&found, status);
    return 0;
}

static inline long lockdown_status_at(int folder, const uint8_t *name, struct lockdown_file_status *status) {
    struct stat found;
    if (syscall(SYS_newfstatat, folder, name, &found, AT_SYMLINK_NOFOLLOW) < 0) return -errno;
    lockdown_fill_status(&found, status);
    return 0;
}

static inline long lockdown_read_link(int folder, const uint8_t *name, uint8_t *into, size_t size) {
    return lockdown_result(readlinkat(folder, (const char *)name, (char *)into, size));
}

static inline long lockdown_read(int descriptor, uint8_t *into, size_t size) {
    long result;
    do result = read(descriptor, into, size);
    while (result < 0 && errno == EINTR);
    return lockdown_result(result);
}

static inline long lockdown_write(int descriptor, const uint8_t *bytes, size_t size) {
    long result;
    do result = write(descriptor, bytes, size);
    while (result < 0 && errno == EINTR);
    return lockdown_result(result);
}

// getcwd(3) would bring the library's allocator. Length with the zero byte at the end.
static inline long lockdown_working_folder(uint8_t *into, size_t size) {
    return lockdown_result(syscall(SYS_getcwd, into, size));
}

static inline long lockdown_sync(int descriptor) { return lockdown_result(fsync(descriptor)); }

static inline long lockdown_rename(const uint8_t *from, const uint8_t *to) {
    return lockdown_result(rename((const char *)from, (const char *)to));
}

static inline long lockdown_remove(const uint8_t *path) { return lockdown_result(unlink((const char *)path)); }

static inline long lockdown_make_folder(const uint8_t *path, uint32_t mode) {
    return lockdown_result(mkdir((const char *)path, (mode_t)mode));
}

static inline long lockdown_lock_file(int descriptor) { return lockdown_result(flock(descriptor, LOCK_EX | LOCK_NB)); }

// getdents64(2) has no declaration in libc; readdir(3) would bring the library's allocator. The entries are
// struct linux_dirent64: 19 bytes, of which 16 and 17 hold the length, then the name.
static inline long lockdown_list(int folder, uint8_t *into, size_t size) {
    return lockdown_result(syscall(SYS_getdents64, folder, into, size));
}

// Memory

// MAP_FAILED is a macro with a cast.
static inline size_t lockdown_map(size_t size) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | 0x20 /* MAP_ANONYMOUS */, -1, 0);
    return memory == MAP_FAILED ? 0 : (size_t)memory;
}

static inline void lockdown_unmap(size_t address, size_t size) { munmap((void *)address, size); }

// Netlink

// A socket of NETLINK_NETFILTER, bound, with extended acknowledgements that do not echo the request.
static inline long lockdown_netfilter_socket(void) {
    int descriptor = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 12 /* NETLINK_NETFILTER */);
    if (descriptor < 0) return -errno;
    struct sockaddr_nl address = {.nl_family = AF_NETLINK};
    int on = 1;
    if (bind(descriptor, (struct sockaddr *)&address, sizeof address) < 0) {
        int error = errno;
        close(descriptor);
        return -error;
    }
    // Without them (before 4.12) an error still tells the message; the attribute is left out.
    setsockopt(descriptor, SOL_NETLINK, 11 /* NETLINK_EXT_ACK */, &on, sizeof on);
    setsockopt(descriptor, SOL_NETLINK, 10 /* NETLINK_CAP_ACK */, &on, sizeof on);
    return descriptor;
}

// Makes room for a datagram of `bytes`; the room there is comes back. The forced form needs CAP_NET_ADMIN in the
// initial user namespace, the other one is capped by net.core.wmem_max.
static inline long lockdown_make_send_room(int descriptor, int bytes) {
    if (setsockopt(descriptor, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes) < 0)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    int room = 0;
    socklen_t size = sizeof room;
    if (getsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &room, &size) < 0) return -errno;
    return room - 32; // netlink_sendmsg keeps 32 bytes for itself.
}

static inline void lockdown_make_receive_room(int descriptor, int bytes) {
    if (setsockopt(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) < 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}

// One datagram of three parts to the kernel.
static inline long lockdown_netlink_send(int descriptor, const uint8_t *head, size_t head_size, const uint8_t *body,
                                         size_t body_size, const uint8_t *tail, size_t tail_size) {
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    struct iovec parts[3] = {{(void *)head, head_size}, {(void *)body, body_size}, {(void *)tail, tail_size}};
    struct msghdr message;
    memset(&message, 0, sizeof message);
    message.msg_name = &kernel;
    message.msg_namelen = sizeof kernel;
    message.msg_iov = parts;
    message.msg_iovlen = 3;
    long result;
    do result = syscall(SYS_sendmsg, descriptor, &message, 0); // The library's has ancillary data to copy.
    while (result < 0 && errno == EINTR);
    return lockdown_result(result);
}

// The next datagram of the kernel; EMSGSIZE if it did not fit, EAGAIN if there is none and none is waited for.
static inline long lockdown_netlink_receive(int descriptor, uint8_t *into, size_t size, int waits) {
    for (;;) {
        struct sockaddr_nl sender = {.nl_family = AF_NETLINK};
        struct iovec part = {into, size};
        struct msghdr message;
        memset(&message, 0, sizeof message);
        message.msg_name = &sender;
        message.msg_namelen = sizeof sender;
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        long result = syscall(SYS_recvmsg, descriptor, &message, waits ? 0 : MSG_DONTWAIT);
        if (result < 0 && errno == EINTR) continue;
        if (result < 0) return -errno;
        if (sender.nl_pid != 0) continue; // Another process; the kernel's port is 0.
        if (message.msg_flags & MSG_TRUNC) return -EMSGSIZE;
        return result;
    }
}

// Waits until every packet that is on its way now has left all its hooks: a grace period of RCU, which packet_release of
// net/packet/af_packet.c waits for. Where there are no such sockets, a time that no packet takes from one hook to the next.
static inline void lockdown_wait_for_packets(void) {
    int descriptor = socket(17 /* AF_PACKET */, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (descriptor >= 0) {
        close(descriptor);
        return;
    }
    struct timespec time = {1, 0};
    while (nanosleep(&time, &time) < 0 && errno == EINTR) {}
}

// A socket of NETLINK_AUDIT.
static inline long lockdown_audit_socket(void) {
    return lockdown_result(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 9));
}

// The lock

static inline socklen_t lockdown_abstract_address(struct sockaddr_un *address, const uint8_t *name, size_t length) {
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path + 1, name, length); // The leading zero makes it abstract.
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length);
}

static inline long lockdown_listen_abstract(const uint8_t *name, size_t length) {
    struct sockaddr_un address;
    socklen_t size = lockdown_abstract_address(&address, name, length);
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return -errno;
    if (bind(descriptor, (struct sockaddr *)&address, size) < 0 || listen(descriptor, 128) < 0) {
        int error = errno;
        close(descriptor);
        return -error;
    }
    return descriptor;
}

static inline long lockdown_connect_abstract(const uint8_t *name, size_t length) {
    struct sockaddr_un address;
    socklen_t size = lockdown_abstract_address(&address, name, length);
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (descriptor < 0) return -errno;
    if (connect(descriptor, (struct sockaddr *)&address, size) < 0) {
        int error = errno;
        close(descriptor);
        return -error;
    }
    return descriptor;
}

// struct ucred is declared only under _GNU_SOURCE.
static inline long lockdown_peer(int descriptor, int32_t *process, uint32_t *user) {
    struct { int32_t process; uint32_t user; uint32_t group; } peer;
    socklen_t size = sizeof peer;
    if (getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0) return -errno;
    *process = peer.process;
    *user = peer.user;
    return 0;
}

// Processes and time

// clone(2) as fork(3) calls it, but without the library's locks: the applier has one thread.
static inline long lockdown_fork_worker(void) { return lockdown_result(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)); }

// The bytes of an address in text, and how many: 4 or 16; 0 for no address.
static inline int lockdown_address(const uint8_t *text, uint8_t *into) {
    if (inet_pton(AF_INET, (const char *)text, into) == 1) return 4;
    return inet_pton(AF_INET6, (const char *)text, into) == 1 ? 16 : 0;
}

// A pipe that no program started later inherits.
static inline long lockdown_pipe(int *reading, int *writing) {
    int ends[2];
    // pipe2(3) is declared only under _GNU_SOURCE.
    if (syscall(SYS_pipe2, ends, O_CLOEXEC) < 0) return -errno;
    *reading = ends[0];
    *writing = ends[1];
    return 0;
}

// 1: readable or hung up; 0: the time is over.
static inline long lockdown_wait_for(int descriptor, int milliseconds) {
    struct pollfd entry = {.fd = descriptor, .events = POLLIN, .revents = 0};
    return lockdown_result(poll(&entry, 1, milliseconds));
}

// Whether text can be written now, or within a second: then a pipe takes 4,096 bytes at once. A reader that is gone or
// asleep is not waited for again.
static inline _Bool lockdown_takes_text(int descriptor) {
    static int patience = 1000;
    struct pollfd entry = {.fd = descriptor, .events = POLLOUT, .revents = 0};
    int ready;
    do ready = poll(&entry, 1, patience);
    while (ready < 0 && errno == EINTR);
    if (ready > 0 && entry.revents == POLLOUT) return 1;
    patience = 0;
    return 0;
}

// What a parent may have left otherwise. Descriptors 0 to 2 that are closed would be those of the next files, and hear what is
// said; the root folder takes no text. Where SIGCHLD is ignored, nobody learns how a child ended.
static inline void lockdown_prepare_process(void) {
    static const uint64_t usual[4]; // The kernel's struct sigaction, with SIG_DFL.
    syscall(SYS_rt_sigaction, SIGCHLD, usual, NULL, 8);
    int descriptor;
    do descriptor = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (descriptor >= 0 && descriptor <= 2);
    close(descriptor);
}

// Events

// A socket that gets the kernel's own messages of group 1: of NETLINK_ROUTE (0) those about links, of
// NETLINK_KOBJECT_UEVENT (15) all.
static inline long lockdown_event_socket(int protocol) {
    int descriptor = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
    if (descriptor < 0) return -errno;
    struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = 1};
    if (bind(descriptor, (struct sockaddr *)&address, sizeof address) == 0) return descriptor;
    int error = errno;
    close(descriptor);
    return -error;
}

static inline long lockdown_folder_events(void) { return lockdown_result(inotify_init1(IN_NONBLOCK | IN_CLOEXEC)); }

// Adds a folder to those whose entries are watched; again is no more than once.
static inline long lockdown_watch_folder(int descriptor, const uint8_t *path) {
    uint32_t events = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF | IN_ONLYDIR;
    return lockdown_result(inotify_add_watch(descriptor, (const char *)path, events));
}

// Waits until one of four is ready: 1, 2 and 4 added up for those that are read, 8 for a change of a mountinfo file, which
// poll tells as an exception (proc(5)); 0: the time is over, in milliseconds, -1 for none. Negative descriptors are left out.
static inline long lockdown_wait_for_events(int first, int second, int third, int mounts, int milliseconds) {
    struct pollfd entries[4] = {{first, POLLIN, 0}, {second, POLLIN, 0}, {third, POLLIN, 0}, {mounts, POLLPRI, 0}};
    long ready = 0;
    while (poll(entries, 4, milliseconds) < 0) if (errno != EINTR) return -errno;
    for (int index = 0; index < 4; index++) if (entries[index].revents) ready |= 1 << index;
    return ready;
}

// Exit code of an ended child, or 256 plus the signal that ended it. WIFEXITED and its like are macros.
static inline long lockdown_end_of(int32_t child) {
    int status = 0;
    long result;
    do result = waitpid(child, &status, 0);
    while (result < 0 && errno == EINTR);
    if (result < 0) return -errno;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

// Children that have ended and that nobody waited for.
static inline void lockdown_collect(void) {
    while (waitpid(-1, NULL, WNOHANG) > 0) {}
}

static inline long lockdown_kill(int32_t process) { return lockdown_result(kill(process, SIGKILL)); }

// A worker without the parent that keeps its deadline would have none.
static inline void lockdown_die_with_parent(void) { prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); }

// Process 1

// Memory that a process shares with those it forks; 0: none.
static inline size_t lockdown_share(size_t size) {
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | 0x20 /* MAP_ANONYMOUS */, -1, 0);
    return memory == MAP_FAILED ? 0 : (size_t)memory;
}

// Another program in this process's place, with these words; it comes back only with an error.
static inline long lockdown_become(const uint8_t *program, char **words) {
    extern char **environ;
    words[0] = (char *)program;
    execve((const char *)program, words, environ);
    return -errno;
}

static inline long lockdown_mount_kind(const uint8_t *kind, const uint8_t *place) {
    return lockdown_result(syscall(SYS_mount, kind, place, kind, 2 | 4 | 8 /* nosuid, nodev, noexec */, NULL));
}

// SECCOMP_SET_MODE_FILTER without no_new_privs, under which setuid and file capabilities would mean nothing.
static inline long lockdown_filter_calls(const uint8_t *instructions, uint16_t count, uint32_t flags) {
    struct { uint16_t count; const uint8_t *instructions; } program = {count, instructions};
    return lockdown_result(syscall(SYS_seccomp, 1, flags, &program));
}

// LINUX_REBOOT_CMD_HALT; it comes back only with an error.
static inline void lockdown_halt(void) {
    sync();
    syscall(SYS_reboot, 0xfee1dead, 672274793, 0xcdef0123, NULL);
}

static inline int64_t lockdown_milliseconds(void) {
    struct timespec now;
    // Not by the library, which looks the call up in the vDSO; it is asked a few times.
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static inline void lockdown_sleep(int milliseconds) {
    struct timespec time = {milliseconds / 1000, (milliseconds % 1000) * 1000000L};
    while (nanosleep(&time, &time) < 0 && errno == EINTR) {}
}

// The arrays of struct utsname come as tuples.
static inline long lockdown_kernel_release(uint8_t *into, size_t size) {
    struct utsname name;
    if (uname(&name) < 0) return -errno;
    size_t length = strlen(name.release);
    if (length > size) length = size;
    memcpy(into, name.release, length);
    return (long)length;
}

// capget(2) has no declaration in libc. Version 3, linux/capability.h.
static inline uint64_t lockdown_capabilities(void) {
    struct { uint32_t version; int32_t process; } header = {0x20080522, 0};
    struct { uint32_t effective, permitted, inheritable; } data[2];
    memset(data, 0, sizeof data);
    if (syscall(SYS_capget, &header, data) < 0) return 0;
    return data[0].effective | (uint64_t)data[1].effective << 32;
}

// The number of a network device of this namespace; 0: there is none of that name.
static inline unsigned lockdown_device(const uint8_t *name) { return if_nametoindex((const char *)name); }

// The number of a control group of version 2, which is its directory's (kernfs); 0: there is none.
static inline uint64_t lockdown_control_group(const uint8_t *path) {
    struct statfs system;
    struct lockdown_file_status status;
    if (statfs((const char *)path, &system) < 0 || system.f_type != 0x63677270 /* CGROUP2_SUPER_MAGIC */) return 0;
    return lockdown_status_at(AT_FDCWD, path, &status) == 0 ? status.inode : 0;
}

// Modules

// Runs `program -q -- name` and waits, at most that long: its exit code, or the negative error number. No shell, no
// environment of ours but a path.
static inline long lockdown_start_loader(const uint8_t *program, const uint8_t *name, int milliseconds) {
    char *words[] = {(char *)program, (char *)"-q", (char *)"--", (char *)name, NULL};
    char *environment[] = {(char *)"HOME=/", (char *)"PATH=/sbin:/usr/sbin:/bin:/usr/bin", NULL};
    long child = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (child < 0) return -errno;
    if (child == 0) {
        execve((const char *)program, words, environment);
        _exit(127);
    }
    for (;;) {
        int status = 0;
        pid_t ended = waitpid((pid_t)child, &status, WNOHANG);
        if (ended == (pid_t)child) return WIFEXITED(status) ? WEXITSTATUS(status) : 256;
        if (ended < 0 && errno != EINTR) return -errno;
        if (milliseconds <= 0) break;
        lockdown_sleep(2);
        milliseconds -= 2;
    }
    // In the kernel it may hang for ever: then it is not waited for either.
    kill((pid_t)child, SIGKILL);
    return -ETIMEDOUT;
}

static inline long lockdown_load_module(int descriptor, int flags) {
    return lockdown_result(syscall(SYS_finit_module, descriptor, "", flags));
}

// Programs in the kernel, bpf(2), which has no declaration in libc. `union bpf_attr` is laid out by hand: the header of
// the machine that builds may be older than the kernel that runs.

// BPF_PROG_LOAD of a BPF_PROG_TYPE_LSM for BPF_LSM_MAC. The licence decides which helpers a program may call.
static inline long lockdown_load_program(const uint8_t *instructions, uint32_t count, uint32_t hook) {
    struct {
        uint32_t type, count;
        uint64_t instructions, licence;
        uint32_t log_level, log_size;
        uint64_t log;
        uint32_t kernel_version, flags;
        uint8_t name[16];
        uint32_t interface, attach_type, btf, function_info_size;
        uint64_t function_info;
        uint32_t function_info_count, line_info_size;
        uint64_t line_info;
        uint32_t line_info_count, hook;
    } attributes;
    memset(&attributes, 0, sizeof attributes);
    attributes.type = 29;
    attributes.attach_type = 27;
    attributes.instructions = (uint64_t)(uintptr_t)instructions;
    attributes.count = count;
    attributes.licence = (uint64_t)(uintptr_t)"GPL";
    attributes.hook = hook;
    memcpy(attributes.name, "lockdown", 8);
    return lockdown_result(syscall(SYS_bpf, 5, &attributes, sizeof attributes));
}

// BPF_RAW_TRACEPOINT_OPEN, which for such a program takes the hook it was loaded for: a descriptor of the link.
static inline long lockdown_attach_program(int program) {
    struct { uint64_t name; uint32_t program, unused; } attributes = {0, (uint32_t)program, 0};
    return lockdown_result(syscall(SYS_bpf, 17, &attributes, sizeof attributes));
}

// BPF_OBJ_PIN and BPF_OBJ_GET.
static inline long lockdown_pin(int descriptor, const uint8_t *path) {
    struct { uint64_t path; uint32_t descriptor, flags; } attributes = {(uint64_t)(uintptr_t)path, (uint32_t)descriptor, 0};
    return lockdown_result(syscall(SYS_bpf, 6, &attributes, sizeof attributes));
}

static inline long lockdown_pinned(const uint8_t *path) {
    struct { uint64_t path; uint32_t descriptor, flags; } attributes = {(uint64_t)(uintptr_t)path, 0, 0};
    return lockdown_result(syscall(SYS_bpf, 7, &attributes, sizeof attributes));
}

static inline long lockdown_mount_programs(const uint8_t *path) {
    return lockdown_result(syscall(SYS_mount, "lockdown", path, "bpf", 2 | 4 | 8 /* nosuid, nodev, noexec */, "mode=0700"));
}

static inline long lockdown_seek(int descriptor, uint64_t offset) {
    return lseek(descriptor, (off_t)offset, SEEK_SET) < 0 ? -errno : 0;
}

// Mounts

// struct mount_attr, linux/mount.h, which cannot be included beside sys/mount.h; call 442 on all architectures,
// from 5.12 on.
static inline long lockdown_mount_setattr(int descriptor, uint64_t set, uint64_t clear) {
    struct { uint64_t set, clear, propagation, user; } attributes = {set, clear, 0, 0};
    return lockdown_result(syscall(442, descriptor, "", 0x1000 /* AT_EMPTY_PATH */, &attributes, sizeof attributes));
}

static inline long lockdown_mount(const uint8_t *source, const uint8_t *target, unsigned long flags) {
    return lockdown_result(syscall(SYS_mount, source, target, NULL, flags, NULL));
}

static inline long lockdown_unmount(const uint8_t *path) { return lockdown_result(syscall(SYS_umount2, path, 0)); }

// The number that mountinfo has for the mount a descriptor is in, and whether it is the root of that mount; negative: the error
// number, or ENODATA before Linux 5.8. struct statx, linux/stat.h: 16 bytes of a mask and more, then what is read here.
static inline long lockdown_mount_of(int descriptor, _Bool *is_root) {
    uint64_t found[32];
    if (syscall(SYS_statx, descriptor, "", 0x1000 /* AT_EMPTY_PATH */, 0x1000 /* STATX_MNT_ID */, found) < 0) return -errno;
    if (!(found[0] & 0x1000)) return -ENODATA;
    *is_root = (found[1] & 0x2000 /* STATX_ATTR_MOUNT_ROOT */) != 0;
    return (long)found[18];
}

// fspick(2), fsconfig(2): calls 433 and 431, from 5.2 on; they leave the flags of the mount alone.
static inline long lockdown_pick_filesystem(int descriptor) {
    return lockdown_result(syscall(433, descriptor, "", 0x1 /* FSPICK_CLOEXEC */ | 0x8 /* FSPICK_EMPTY_PATH */));
}

static inline long lockdown_configure(int filesystem, uint32_t command, const uint8_t *key, const uint8_t *value) {
    return lockdown_result(syscall(431, filesystem, command, key, value, 0));
}

#endif
