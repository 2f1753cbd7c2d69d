// libseccomp, for tests: an oracle for names, numbers and programs. The product links none of it.
#ifndef LOCKDOWN_CSECCOMP_SHIM_H
#define LOCKDOWN_CSECCOMP_SHIM_H

#include <seccomp.h>

#endif
