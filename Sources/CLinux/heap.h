// The allocator of the GNU C library: what it keeps on its heaps. Another library has no such calls.
#ifndef LOCKDOWN_CLINUX_HEAP_H
#define LOCKDOWN_CLINUX_HEAP_H

#include <limits.h>
#include <stddef.h>

#ifdef __GLIBC__
#include <malloc.h>

// mallopt(3): blocks up to `largest` bytes come from a heap, and a heap keeps what is given back.
static inline void lockdown_keep_heaps(size_t largest) {
    mallopt(M_MMAP_THRESHOLD, (int)largest);
    mallopt(M_TRIM_THRESHOLD, INT_MAX);
}
#endif

#endif
