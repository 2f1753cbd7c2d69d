// The SHA-256 instructions of x86 (SHA-NI), which hash about six times as fast as integer code: a bundle with a
// million prefixes is hashed three times. Other processors, and those without them, use SHA256.swift alone.
#ifndef LOCKDOWN_CSHA2_SHA256_H
#define LOCKDOWN_CSHA2_SHA256_H

#include <stddef.h>
#include <stdint.h>

#if defined(__x86_64__)

typedef int lockdown_words __attribute__((vector_size(16)));
typedef unsigned char lockdown_bytes __attribute__((vector_size(16)));

static const uint32_t lockdown_sha256_constants[64] __attribute__((aligned(16))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

// CPUID leaf 7, EBX bit 29. SSSE3 and SSE4.1 come with it. The answer is kept: in a virtual machine the
// instruction leaves the guest.
static inline int lockdown_has_sha256(void) {
    static int known; // 0: not asked yet, 1: no, 2: yes
    if (known == 0) {
        uint32_t a = 0, b = 0, c = 0, d = 0;
        __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
        int has = 0;
        if (a >= 7) {
            a = 7, c = 0;
            __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
            has = b >> 29 & 1;
        }
        known = has ? 2 : 1;
    }
    return known == 2;
}

// Hashes `count` blocks of 64 bytes into the eight words of state.
__attribute__((target("sha,ssse3,sse4.1"))) static inline void
lockdown_sha256_blocks(uint32_t *state, const uint8_t *bytes, size_t count) {
    const lockdown_bytes swap = {3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12};
    // The instructions want the words as F E B A and H G D C, the lowest lane first.
    lockdown_words one = {(int)state[5], (int)state[4], (int)state[1], (int)state[0]};
    lockdown_words two = {(int)state[7], (int)state[6], (int)state[3], (int)state[2]};
    for (; count > 0; count--, bytes += 64) {
        const lockdown_words one_before = one, two_before = two;
        lockdown_words message[4];
#pragma clang loop unroll(full)
        for (int group = 0; group < 16; group++) {
            lockdown_words words;
            if (group < 4) {
                lockdown_bytes block;
                __builtin_memcpy(&block, bytes + 16 * group, 16);
                words = (lockdown_words)__builtin_ia32_pshufb128((__attribute__((vector_size(16))) char)block,
                                                                 (__attribute__((vector_size(16))) char)swap);
            } else {
                const lockdown_words before = message[(group + 3) & 3], second = message[(group + 2) & 3];
                words = __builtin_ia32_sha256msg1(message[group & 3], message[(group + 1) & 3]);
                words += __builtin_shufflevector(second, before, 1, 2, 3, 4);
                words = __builtin_ia32_sha256msg2(words, before);
            }
            message[group & 3] = words;
            lockdown_words constants;
            __builtin_memcpy(&constants, lockdown_sha256_constants + 4 * group, 16);
            words += constants;
            two = __builtin_ia32_sha256rnds2(two, one, words);
            one = __builtin_ia32_sha256rnds2(one, two, __builtin_shufflevector(words, words, 2, 3, 2, 3));
        }
        one += one_before;
        two += two_before;
    }
    state[0] = (uint32_t)one[3], state[1] = (uint32_t)one[2], state[4] = (uint32_t)one[1], state[5] = (uint32_t)one[0];
    state[2] = (uint32_t)two[3], state[3] = (uint32_t)two[2], state[6] = (uint32_t)two[1], state[7] = (uint32_t)two[0];
}

#else

static inline int lockdown_has_sha256(void) { return 0; }
static inline void lockdown_sha256_blocks(uint32_t *state, const uint8_t *bytes, size_t count) {
    (void)state, (void)bytes, (void)count; // Never called.
}

#endif
#endif
