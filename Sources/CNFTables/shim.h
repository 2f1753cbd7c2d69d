// libnftnl and libmnl, and what of them Swift cannot import by itself.
#ifndef LOCKDOWN_CNFTABLES_SHIM_H
#define LOCKDOWN_CNFTABLES_SHIM_H

// First: the kernel's linux/in.h then leaves out what libc's netinet/in.h already has. Otherwise the two
// define the same structures apart, and a program that imports this module and Glibc does not compile.
#include <netinet/in.h>

#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <libnftnl/batch.h>
#include <libnftnl/chain.h>
#include <libnftnl/common.h>
#include <libnftnl/expr.h>
#include <libnftnl/object.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <libnftnl/udata.h>

#endif
