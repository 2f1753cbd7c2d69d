// Stock nft as a library, for tests: one process then loads and lists many rulesets. The product links none of it.
#ifndef LOCKDOWN_CNFTLIBRARY_SHIM_H
#define LOCKDOWN_CNFTLIBRARY_SHIM_H

#include <nftables/libnftables.h>

#endif
