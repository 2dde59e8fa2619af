/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolvconf.h - the two files that a stub resolver reads, as functions over their bytes
 */
#pragma once
#include "base/ip.h"
#include "wire/limits_net.h"

struct cv_resolvconf {
	struct cv_ip server[CV_RESOLVCONF_SERVERS_MAX];
	size_t server_count;
	size_t ignored_count; /* nameserver lines with no strict address, or too many */
};

/* The nameserver lines of a resolv.conf; search lists and options are not used, since policy names
 * hosts in full. */
void cv_resolvconf_parse(struct cv_str text, struct cv_resolvconf *ret_conf);

/* Addresses of name in a hosts file, in its order and at most max of them; returns how many.  Case
 * of letters does not matter. */
size_t cv_hosts_lookup(struct cv_str text, struct cv_str name, struct cv_ip *ret_ip, size_t max);
