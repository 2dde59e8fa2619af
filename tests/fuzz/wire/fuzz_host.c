/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_host.c - hostile authorities
 *
 * Properties: a canonical host is its own canonical form, holds only bytes of a name or an
 * address, and comes back from what is written.
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "wire/host.h"

static bool byte_is_canonical(char c, bool is_ip6)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       (is_ip6 ? c == ':' : c == '.' || c == '-' || c == '_');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct cv_str s = { (const char *)data, size };
	struct cv_authority a, again;
	struct cv_host bare;
	struct cv_buf out;

	if (cv_authority_parse(s, &a) != CV_HOST_OK)
		return 0;
	cv_assert(a.host.n > 0 && a.host.n <= CV_HOST_BYTES_MAX);
	for (size_t i = 0; i < a.host.n; i++)
		cv_assert(byte_is_canonical(a.host.text[i], a.host.is_ip6));
	cv_assert(cv_host_parse_bare(cv_host_str(&a.host), &bare) == CV_HOST_OK);
	cv_assert(cv_host_eq(&bare, &a.host) && bare.is_ip6 == a.host.is_ip6);

	cv_buf_init(&out, 1024);
	cv_assert(cv_authority_write(&out, &a, 0));
	cv_assert(cv_authority_parse(cv_buf_str(&out), &again) == CV_HOST_OK);
	cv_assert(cv_authority_eq(&a, &again, 0));
	cv_buf_fini(&out);
	return 0;
}
