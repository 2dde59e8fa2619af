/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_service_head.c - heads of requests to services, and of answers of the agents behind them
 *
 * Whatever fields a request has, what is written for the sandbox is refused or is one request to a
 * strict reader, for that host, with the framing that was said and nothing of the connection in it.  Of
 * an answer no cookie keeps a Domain, and no field says something of the connection.
 *
 * Input: a byte of flags (1 an answer, 2 a body, 4 an upgrade, 8 the token is ours, 16 there is an
 * edge proxy), then lines: method,
 * target and host of a request, or nothing; and "name: value".
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "gateway/service_head.c"

#define FIELDS_MAX 64

/* What a server of HTTP/2 or HTTP/1 has judged before: a length is a number, and there is one. */
static bool is_judged(const struct service_request *q)
{
	size_t lengths = 0;
	uint64_t n;

	for (size_t i = 0; i < q->field_count; i++)
		if (cv_str_eq(q->fields[i].name, CV_STR("content-length"))) {
			const struct cv_str v = q->fields[i].value;

			if (++lengths > 1 || !cv_str_to_u64(v, INT64_MAX, &n))
				return false;
		}
	return true;
}

/* Nothing that an edge proxy would let somebody in with. */
static void edge_check(const struct cv_h1_header *h)
{
	struct cv_str rest = h->value;

	cv_assert(!cv_str_eq_nocase(cv_str_slice(h->name, 0, 10), CV_STR("cf-access-")));
	while (cv_h1_name_eq(h->name, CV_STR("cookie")) && rest.p) {
		const struct cv_str pair = cv_str_trim(cv_str_cut(&rest, ';'));

		cv_assert(!cv_str_eq_nocase(cv_str_slice(pair, 0, 16), CV_STR("CF_Authorization")));
	}
}

static void request_check(struct cv_str rest, uint8_t flags)
{
	struct cv_rpc_field fields[FIELDS_MAX];
	struct service_request q = { .fields = fields,
		.has_body = flags & 2,
		.is_upgrade = flags & 4,
		.is_token_ours = flags & 8,
		.is_edge_ours = flags & 16 };
	struct cv_h1_request r;
	struct cv_arena arena;
	struct cv_buf b;
	size_t scanned = 0;
	bool is_chunked = false;

	cv_arena_init(&arena, 1 << 20);

	q.method = cv_str_cut(&rest, '\n');
	q.target = cv_str_cut(&rest, '\n');
	q.host = cv_str_cut(&rest, '\n');
	while (rest.n && q.field_count < FIELDS_MAX) {
		struct cv_str line = cv_str_cut(&rest, '\n');

		/* as both protocols give them */
		fields[q.field_count].name = lower(cv_str_cut(&line, ':'), &arena);
		fields[q.field_count++].value = cv_str_trim(line);
	}
	(void)service_is_cross_origin(&q);
	cv_buf_init(&b, 1 << 20);
	if (is_judged(&q) && service_request_write(&q, &b, &is_chunked)) {
		const enum cv_h1_rc rc = cv_h1_request_parse(cv_buf_str(&b), 1 << 16, &scanned, &r);

		cv_assert(rc != CV_H1_MORE);
		if (rc == CV_H1_OK) {
			cv_assert(r.head_bytes == cv_buf_len(&b));
			cv_assert(is_chunked == (r.body == CV_H1_BODY_CHUNKED));
			for (size_t i = 0; q.is_token_ours && i < r.header_count; i++)
				cv_assert(
					!cv_h1_name_eq(r.header[i].name, CV_STR("authorization")));
			for (size_t i = 0; q.is_edge_ours && i < r.header_count; i++)
				edge_check(&r.header[i]);
		}
	}
	cv_buf_fini(&b);
	cv_arena_fini(&arena);
}

static void answer_check(struct cv_str head)
{
	struct cv_rpc_field fields[FIELDS_MAX];
	struct cv_h1_response r;
	struct cv_arena arena;
	size_t scanned = 0;

	if (cv_h1_response_parse(
		    head, CV_H1_REPLY_HEAD_BYTES_MAX, &scanned, CV_H1_ASKED_OTHER, &r) != CV_H1_OK)
		return;
	cv_arena_init(&arena, 1 << 20);
	const size_t n = service_response_fields(&r, &arena, fields, FIELDS_MAX);

	for (size_t i = 0; i < n; i++) {
		cv_assert(cv_h1_is_token(fields[i].name));
		cv_assert(!(cv_h1_flags_of(fields[i].name) & CV_H1_HOP));
		cv_assert(!cv_str_eq(fields[i].name, CV_STR("alt-svc")));
		if (!cv_str_eq(fields[i].name, CV_STR("set-cookie")))
			continue;
		struct cv_str rest = fields[i].value;

		cv_str_cut(&rest, ';');
		while (rest.p) {
			struct cv_str part = cv_str_cut(&rest, ';');

			part = cv_str_trim(cv_str_cut(&part, '='));
			cv_assert(!cv_str_eq_nocase(part, CV_STR("domain")));
		}
	}
	cv_arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct cv_str all = { (const char *)data, size };

	if (!size || size > 1 << 15)
		return 0;
	if (data[0] & 1)
		answer_check(cv_str_slice(all, 1, all.n));
	else
		request_check(cv_str_slice(all, 1, all.n), data[0]);
	return 0;
}
