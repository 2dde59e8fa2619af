/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as an address or prefix: what is read is written back as the same value, has a class,
 * and survives the trip through a socket address.
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "base/ip.h"

static void check_ip(struct cv_str text)
{
	char out[CV_IP_TEXT_BYTES], sa[CV_IP_SOCKADDR_BYTES];
	struct cv_ip ip, again;
	uint16_t port;

	if (!cv_ip_parse(text, &ip))
		return;
	cv_assert(cv_ip_parse(cv_ip_format(&ip, out), &again) && cv_ip_eq(&ip, &again));
	cv_assert(cv_ip_from_sockaddr(sa, cv_ip_to_sockaddr(&ip, 443, sa), &again, &port));
	cv_assert(cv_ip_eq(&ip, &again) && ip.is_v4 == again.is_v4 && port == 443);
	cv_assert(cv_ip_classify(&ip)->class < CV_IP_CLASS_COUNT);
}

static void check_cidr(struct cv_str text)
{
	char out[CV_CIDR_TEXT_BYTES];
	struct cv_cidr c, again;

	if (!cv_cidr_parse(text, &c))
		return;
	cv_assert(cv_cidr_has(&c, &c.net) && cv_cidr_overlaps(&c, &c));
	cv_assert(cv_cidr_parse(cv_cidr_format(&c, out), &again));
	cv_assert(!again.had_host_bits && again.bits == c.bits && cv_ip_eq(&again.net, &c.net));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct cv_str s = { (const char *)data, size };
	struct cv_ip ip;

	check_ip(s);
	check_cidr(s);
	if (size >= 16 && cv_ip_from_bytes(data, 16, &ip)) { /* every address, not only texts */
		char out[CV_IP_TEXT_BYTES];

		check_ip(cv_ip_format(&ip, out));
	}
	return 0;
}
