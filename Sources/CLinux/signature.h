// Signatures that the kernel verifies, with the code and the kinds of keys by which it verifies modules: add_key(2) and
// keyctl(2), which have no declaration in libc. Each function gives the call's result, or the negative error number.
#ifndef LOCKDOWN_CLINUX_SIGNATURE_H
#define LOCKDOWN_CLINUX_SIGNATURE_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

// The serial number of the key in an X.509 certificate, DER. It ends with this process.
static inline long lockdown_add_certificate(const uint8_t *bytes, size_t length) {
    long key = syscall(SYS_add_key, "asymmetric", "lockdown", bytes, length, -2 /* KEY_SPEC_PROCESS_KEYRING */);
    return key < 0 ? -errno : key;
}

// Whether an RSA signature of PKCS #1, version 1.5, is by a key and of what has this SHA-256: 0, -EKEYREJECTED, or why it
// cannot be told. KEYCTL_PKEY_VERIFY of linux/keyctl.h, since Linux 4.20.
static inline long lockdown_verify_signature(
    int key, const uint8_t *digest, const uint8_t *signature, size_t length) {
    struct {
        int32_t key;
        uint32_t digest_length;
        uint32_t signature_length;
        uint32_t spare[7];
    } sizes = {key, 32, (uint32_t)length, {0}};
    return syscall(SYS_keyctl, 28, &sizes, "enc=pkcs1 hash=sha256", digest, signature) < 0 ? -errno : 0;
}

#endif
