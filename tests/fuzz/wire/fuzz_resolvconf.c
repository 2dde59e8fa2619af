/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as resolv.conf and as a hosts file.
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "wire/resolvconf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct cv_str text = { (const char *)data, size };
	struct cv_resolvconf conf;
	struct cv_ip ip[4];

	cv_resolvconf_parse(text, &conf);
	cv_assert(conf.server_count <= CV_RESOLVCONF_SERVERS_MAX);
	cv_assert(cv_hosts_lookup(text, CV_STR("localhost"), ip, 4) <= 4);
	cv_assert(cv_hosts_lookup(text, cv_str_slice(text, 0, 4), ip, 1) <= 1);
	return 0;
}
