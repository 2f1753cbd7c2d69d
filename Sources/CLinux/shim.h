// Linux system calls and constants that Swift cannot import by itself.
// Every shim is `static inline`, prefixed `lockdown_`, with the reason it exists.
#ifndef LOCKDOWN_CLINUX_SHIM_H
#define LOCKDOWN_CLINUX_SHIM_H

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#endif
