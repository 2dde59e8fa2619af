/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a query: every answerable one gets an answer within the size it allows, with its id,
 * and a good one's name can be asked again.
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "wire/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cv_ip ip[2];
	struct cv_dns_answer a = { .ttl_s = 30, .ip = ip, .ip_count = 2 };
	struct cv_dns_query q, again;
	struct cv_buf out;

	if (!cv_ip_parse(CV_STR("198.18.0.1"), &ip[0]) || !cv_ip_parse(CV_STR("fd23::1"), &ip[1]))
		return 0;
	const enum cv_dns_problem p =
		cv_dns_query_parse((struct cv_str){ (const char *)data, size }, &q);
	if (!cv_dns_is_answerable(p))
		return 0;
	cv_buf_init(&out, CV_DNS_TCP_BYTES_MAX);
	a.rcode = cv_dns_problem_row(p)->rcode;
	cv_assert(cv_dns_answer_write(&q, &a, q.udp_bytes_max, &out));
	cv_assert(cv_buf_len(&out) <= q.udp_bytes_max);
	cv_assert(memcmp(cv_buf_str(&out).p, data, 2) == 0);
	if (p == CV_DNS_PROBLEM_NONE) {
		cv_buf_reset(&out);
		cv_assert(cv_dns_query_write(q.id, &q.name, q.type, true, &out));
		cv_assert(cv_dns_query_parse(cv_buf_str(&out), &again) == CV_DNS_PROBLEM_NONE);
		cv_assert(cv_str_eq(cv_name_str(&q.name), cv_name_str(&again.name)));
	}
	cv_buf_fini(&out);
	return 0;
}
