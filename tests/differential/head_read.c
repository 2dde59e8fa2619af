/* SPDX-License-Identifier: Apache-2.0 */
/*
 * head_read.c - what our parser takes a request's head for, and what our writer makes of it
 *
 * For tests/wire/test_second_opinion.py, which asks another parser the same.  Reads heads from
 * stdin, each with its length in decimal on a line before it; writes one line of JSON for each:
 *
 *     {"rc":"ok","method":...,"target":...,"body":"none|length|chunked","length":N,
 *      "fields":[[name,value]...],"written":"<hex of the head that would be sent>"}
 */
#include "base/hex.h"
#include "wire/h1_write.h"
#include "wire/path.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const body_name[] = { "none", "length", "chunked", "close" };

static void str_put(struct cv_buf *b, struct cv_str s)
{
	cv_buf_put_byte(b, '"');
	for (size_t i = 0; i < s.n; i++) { /* bytes as Latin 1, as the other parser has them */
		const unsigned char c = (unsigned char)s.p[i];

		if (c < 0x20 || c > 0x7e || c == '"' || c == '\\')
			cv_buf_printf(b, "\\u%04x", c);
		else
			cv_buf_put_byte(b, (char)c);
	}
	cv_buf_put_byte(b, '"');
}

static void written_put(struct cv_buf *out, const struct cv_h1_request *r)
{
	static struct cv_path path;
	struct cv_buf b;
	struct cv_h1_request_edit e = {
		.authority = &r->authority,
		.port_default = r->is_https ? 443 : 80,
		.path = CV_STR("*"),
		.query = r->query,
		.is_expect_continue = r->is_expect_continue,
	};

	if (r->form == CV_H1_FORM_AUTHORITY || r->authority.host.n == 0)
		return;
	if (r->form != CV_H1_FORM_ASTERISK) {
		if (cv_path_canonical(r->path, false, &path) != CV_PATH_OK)
			return;
		e.path = cv_path_str(&path);
	}
	cv_h1_edit_of_request(&e.common, r);
	cv_buf_init(&b, 4 * (size_t)CV_H1_TUNNEL_HEAD_BYTES_MAX);
	if (!cv_h1_write_request(&b, r, &e))
		abort();
	cv_buf_put(out, CV_STR(",\"written\":\""));
	cv_buf_put_hex(out, cv_buf_str(&b));
	cv_buf_put_byte(out, '"');
	cv_buf_fini(&b);
}

static void head_read(struct cv_str head)
{
	static struct cv_h1_request r;
	struct cv_buf out;
	size_t scanned = 0;
	const enum cv_h1_rc rc =
		cv_h1_request_parse(head, CV_H1_TUNNEL_HEAD_BYTES_MAX, &scanned, &r);

	cv_buf_init(&out, 1 << 20);
	cv_buf_printf(&out, "{\"rc\":\"%s\"", cv_h1_rc_row(rc)->slug);
	if (rc == CV_H1_OK) {
		cv_buf_put(&out, CV_STR(",\"method\":"));
		str_put(&out, r.method);
		cv_buf_put(&out, CV_STR(",\"target\":"));
		str_put(&out, r.target);
		cv_buf_printf(&out, ",\"body\":\"%s\",\"length\":%llu,\"fields\":[",
			body_name[r.body], (unsigned long long)r.length);
		for (size_t i = 0; i < r.header_count; i++) {
			cv_buf_put(&out, i ? CV_STR(",[") : CV_STR("["));
			str_put(&out, r.header[i].name);
			cv_buf_put_byte(&out, ',');
			str_put(&out, r.header[i].value);
			cv_buf_put_byte(&out, ']');
		}
		cv_buf_put_byte(&out, ']');
		written_put(&out, &r);
	}
	cv_buf_put(&out, CV_STR("}\n"));
	fwrite(cv_buf_str(&out).p, 1, cv_buf_len(&out), stdout);
	cv_buf_fini(&out);
}

int main(void)
{
	static char head[1 << 17];
	size_t n;

	while (scanf("%zu", &n) == 1 && n <= sizeof(head)) {
		if (getchar() != '\n' || fread(head, 1, n, stdin) != n)
			return 1;
		head_read((struct cv_str){ head, n });
	}
	return feof(stdin) ? 0 : 1;
}
