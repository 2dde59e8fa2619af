/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_h2_head.c - hostile header lists
 *
 * Input: fields as `name NUL value NUL`; the first byte says what they are.
 * Properties: text is made whole or not at all; it has as many lines as fields could give, so that
 * no field made another; what the parser takes of it, made a list again, gives the same request.
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "wire/h2_frame.h"
#include "wire/h2_head.h"

static void fields_read(struct cv_h2_fields *f, struct cv_str s)
{
	cv_h2_fields_init(f);
	while (s.p && s.n) {
		const struct cv_str name = cv_str_cut(&s, '\0');
		const struct cv_str value = s.p ? cv_str_cut(&s, '\0') : CV_STR("");

		cv_h2_fields_add(f, name, value.p ? value : CV_STR(""));
	}
}

static size_t lines_of(struct cv_str s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++)
		n += s.p[i] == '\n' || s.p[i] == '\r';
	return n / 2;
}

static void again_check(const struct cv_h1_request *r, bool is_tls, bool is_ended)
{
	struct cv_h2_pair pair[CV_H2_PAIRS_MAX];
	struct cv_buf names, out;
	struct cv_h2_fields f;
	struct cv_h2_head head;

	cv_buf_init(&names, 65536);
	cv_buf_init(&out, 65536);
	cv_h2_fields_init(&f);
	const size_t n = cv_h2_of_request(r, is_tls, false, &names, pair);
	for (size_t i = 0; i < n; i++)
		cv_h2_fields_add(&f, pair[i].name, pair[i].value);
	if (!f.is_long)
		cv_assert(cv_h2_request_text(&f, is_tls, is_ended, &out, &head) == CV_H2_OK);
	cv_h2_fields_fini(&f);
	cv_buf_fini(&names);
	cv_buf_fini(&out);
}

static void request_check(const struct cv_h2_fields *f, bool is_tls, bool is_ended)
{
	static struct cv_h1_request r;
	struct cv_h2_head head;
	struct cv_buf out;
	size_t scanned = 0;

	cv_buf_init(&out, 65536);
	if (cv_h2_request_text(f, is_tls, is_ended, &out, &head) != CV_H2_OK) {
		cv_assert(cv_buf_len(&out) == 0);
		cv_buf_fini(&out);
		return;
	}
	cv_assert(lines_of(cv_buf_str(&out)) <= f->count + 4);
	const enum cv_h1_rc rc = cv_h1_request_parse(cv_buf_str(&out), 65536, &scanned, &r);
	cv_assert(rc != CV_H1_MORE && rc != CV_H1_BARE_LF && rc != CV_H1_FOLD);
	if (rc == CV_H1_OK) {
		cv_assert(r.head_bytes == cv_buf_len(&out));
		cv_assert(head.asked == CV_H1_ASKED_CONNECT || r.body == head.body);
		if (head.asked != CV_H1_ASKED_CONNECT)
			again_check(&r, is_tls, is_ended);
	}
	cv_buf_fini(&out);
}

static void response_check(const struct cv_h2_fields *f, enum cv_h1_asked asked, bool is_ended)
{
	static struct cv_h1_response r;
	struct cv_h2_head head;
	struct cv_buf out;
	size_t scanned = 0;

	cv_buf_init(&out, 65536);
	if (cv_h2_response_text(f, asked, is_ended, &out, &head) != CV_H2_OK) {
		cv_assert(cv_buf_len(&out) == 0);
		cv_buf_fini(&out);
		return;
	}
	cv_assert(lines_of(cv_buf_str(&out)) <= f->count + 4);
	const enum cv_h1_rc rc = cv_h1_response_parse(cv_buf_str(&out), 65536, &scanned, asked, &r);
	cv_assert(rc != CV_H1_MORE && rc != CV_H1_BARE_LF && rc != CV_H1_FOLD);
	if (rc == CV_H1_OK)
		cv_assert(r.status == head.status && r.body == head.body &&
			  r.head_bytes == cv_buf_len(&out));
	cv_buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cv_h2_scan scan = { .left = 0 };
	struct cv_h2_fields f;
	struct cv_h2_frame frame;
	struct cv_buf out;

	if (size < 1)
		return 0;
	struct cv_str in = { (const char *)data + 1, size - 1 };
	fields_read(&f, in);
	if (data[0] & 1)
		request_check(&f, data[0] & 2, data[0] & 4);
	else
		response_check(&f, data[0] & 2 ? CV_H1_ASKED_HEAD : CV_H1_ASKED_OTHER, data[0] & 4);
	cv_buf_init(&out, 65536);
	if (cv_h2_trailers_text(&f, &out) == CV_H2_OK)
		cv_assert(lines_of(cv_buf_str(&out)) <= f.count);
	cv_buf_fini(&out);
	cv_h2_fields_fini(&f);
	while (cv_h2_scan_next(&scan, &in, &frame))
		cv_assert(frame.length < 1u << 24);
	return 0;
}
