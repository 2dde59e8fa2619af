/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as the reply to a query for api.example.test, with the id taken from the bytes.
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "wire/dns.h"

static void check(struct cv_str msg, uint16_t id, const struct cv_name *name, uint16_t type)
{
	struct cv_dns_response res;
	const enum cv_dns_outcome o = cv_dns_response_parse(msg, id, name, type, &res);

	cv_assert(o == res.outcome && o < CV_DNS_OUTCOME_COUNT);
	cv_assert((o == CV_DNS_FOUND) == (res.ip_count > 0));
	cv_assert((o == CV_DNS_MALFORMED) == (res.problem != NULL));
	cv_assert(res.ip_count <= CV_DNS_ADDRS_MAX && res.cname_count <= CV_DNS_CNAMES_MAX);
	cv_assert(res.ttl_s <= CV_DNS_TTL_S_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct cv_str msg = { (const char *)data, size };
	const uint16_t id = size < 2 ? 0 : (uint16_t)(data[0] << 8 | data[1]);
	struct cv_name name;

	if (!cv_name_parse(CV_STR("api.example.test"), &name))
		return 0;
	check(msg, id, &name, CV_DNS_TYPE_A);
	check(msg, id, &name, CV_DNS_TYPE_AAAA);
	return 0;
}
