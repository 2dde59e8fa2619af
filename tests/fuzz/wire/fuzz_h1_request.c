/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_h1_request.c - hostile request heads
 *
 * Properties: cutting the bytes does not change the answer; slices lie in the head; what is
 * written has one Host and at most one kind of framing, and parsed again means the same; written
 * twice, it is the same bytes.
 */
#include "fuzz/fuzz.h"

#include "fuzz/wire/head_check.h"
#include "wire/h1_write.h"
#include "wire/path.h"

#include <stdlib.h>

#define HEAD_MAX CV_H1_PROXY_HEAD_BYTES_MAX

static enum cv_h1_rc parse(struct cv_str s, size_t first, struct cv_h1_request *ret)
{
	size_t scanned = 0;
	enum cv_h1_rc rc;

	rc = cv_h1_request_parse(cv_str_slice(s, 0, first), HEAD_MAX, &scanned, ret);
	if (rc == CV_H1_MORE)
		rc = cv_h1_request_parse(s, HEAD_MAX, &scanned, ret);
	return rc;
}

static void slices_check(const struct cv_h1_request *r, struct cv_str s)
{
	cv_assert(r->head_bytes <= s.n && r->header_count <= CV_H1_HEADERS_MAX);
	for (size_t i = 0; i < r->header_count; i++) {
		const struct cv_h1_header *h = &r->header[i];

		cv_assert(cv_h1_is_token(h->name) && cv_h1_is_field_value(h->value));
		cv_assert(h->name.p > s.p && h->value.p + h->value.n < s.p + r->head_bytes);
	}
}

static bool write(struct cv_buf *b, const struct cv_h1_request *r, uint16_t port_default)
{
	static struct cv_path path;
	struct cv_h1_request_edit e = {
		.authority = &r->authority,
		.port_default = port_default,
		.path = CV_STR("*"),
		.query = r->query,
		.is_expect_continue = r->is_expect_continue,
	};

	if (r->form == CV_H1_FORM_AUTHORITY || r->authority.host.n == 0)
		return false;
	if (r->form != CV_H1_FORM_ASTERISK) {
		if (cv_path_canonical(r->path, false, &path) != CV_PATH_OK)
			return false;
		e.path = cv_path_str(&path);
	}
	cv_h1_edit_of_request(&e.common, r);
	cv_assert(cv_h1_write_request(b, r, &e)); /* what was parsed can be written */
	return true;
}

static void same_meaning(const struct cv_h1_request *a, const struct cv_h1_request *b)
{
	cv_assert(cv_str_eq(a->method, b->method));
	cv_assert(cv_host_eq(&a->authority.host, &b->authority.host));
	cv_assert(a->body == b->body && a->length == b->length);
	cv_assert(a->is_upgrade == b->is_upgrade && cv_str_eq(a->upgrade, b->upgrade));
	cv_assert(a->is_expect_continue == b->is_expect_continue);
	cv_assert(a->is_keep_alive == b->is_keep_alive || a->is_upgrade);
	cv_assert(a->is_body_unusual == b->is_body_unusual);
	cv_assert(!b->is_overriding);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct cv_h1_request r, again;
	const struct cv_str s = { (const char *)data, size };
	const enum cv_h1_rc rc = parse(s, size, &r);
	struct cv_buf one, two;
	size_t scanned = 0;
	uint16_t port_default;

	cv_assert(parse(s, size / 2, &again) == rc);
	cv_assert(parse(s, size ? size - 1 : 0, &again) == rc);
	cv_assert(parse(s, size ? data[size - 1] % size : 0, &again) == rc);
	if (rc != CV_H1_OK)
		return 0;
	slices_check(&r, s);
	port_default = r.is_https ? 443 : 80; /* what is written does not say its scheme */
	cv_buf_init(&one, 1u << 20);
	cv_buf_init(&two, 1u << 20);
	if (r.header_count < CV_H1_HEADERS_MAX - 4 &&
		write(&one, &r, port_default)) { /* we add a few */
		const struct head_counts c = head_count(cv_buf_str(&one));

		cv_assert(c.hosts == 1 && c.overrides == 0);
		cv_assert(cv_h1_request_parse(cv_buf_str(&one), 1u << 20, &scanned, &again) ==
			  CV_H1_OK);
		cv_assert(again.head_bytes == cv_buf_len(&one));
		same_meaning(&r, &again);
		cv_assert(cv_authority_eq(&r.authority, &again.authority, port_default));
		cv_assert(write(&two, &again, port_default));
		cv_assert(cv_str_eq(cv_buf_str(&one), cv_buf_str(&two)));
	}
	cv_buf_fini(&one);
	cv_buf_fini(&two);
	return 0;
}
