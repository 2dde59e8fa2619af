/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg.c - see pg.h; the formats are those of chapter 55.7 of PostgreSQL's manual
 *
 * Lengths count themselves but not the type byte.  The first packets of a connection have no type
 * byte: what they are is told by a number where the version would be.
 */
#include "wire/pg.h"

#define CODE_CANCEL 80877102u
#define CODE_SSL    80877103u
#define CODE_GSS    80877104u
#define VERSION_3   (3u << 16)
#define START_BYTES 8 /* length and code */

static uint32_t u32_at(struct cv_str s, size_t at)
{
	const unsigned char *p = (const unsigned char *)s.p + at;

	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Cuts a text with its zero byte from the front; false when there is no zero byte. */
static bool text_cut(struct cv_str *s, struct cv_str *ret)
{
	const size_t at = cv_str_find_byte(*s, '\0');

	if (at == s->n)
		return false;
	*ret = cv_str_slice(*s, 0, at);
	*s = (struct cv_str){ s->p + at + 1, s->n - at - 1 };
	return true;
}

/* ---- before the session ---- */

static enum cv_pg_rc startup_fail(struct cv_pg_startup *s, const char *problem)
{
	s->problem = problem;
	return CV_PG_ERROR;
}

static enum cv_pg_rc parameters_parse(struct cv_str rest, struct cv_pg_startup *s)
{
	for (;;) {
		struct cv_pg_parameter p;

		if (!text_cut(&rest, &p.name))
			return startup_fail(s, "the startup packet has no end");
		if (!p.name.n)
			break;
		if (!text_cut(&rest, &p.value))
			return startup_fail(s, "a startup parameter has no value");
		for (size_t i = 0; i < s->parameter_count; i++)
			if (cv_str_eq_nocase(s->parameter[i].name, p.name))
				return startup_fail(s, "a startup parameter is given twice");
		if (s->parameter_count == CV_PG_PARAMETERS_MAX)
			return startup_fail(s, "too many startup parameters");
		if (cv_str_eq(p.name, CV_STR("user")))
			s->user = p.value;
		if (cv_str_eq(p.name, CV_STR("database")))
			s->database = p.value;
		s->parameter[s->parameter_count++] = p;
	}
	if (rest.n)
		return startup_fail(s, "bytes behind the startup packet's end");
	if (!s->user.n)
		return startup_fail(s, "no user in the startup packet");
	if (!s->database.n)
		s->database = s->user;
	return CV_PG_OK;
}

enum cv_pg_rc cv_pg_startup_parse(struct cv_str text, struct cv_pg_startup *ret)
{
	*ret = (struct cv_pg_startup){ 0 };
	if (text.n < 4)
		return CV_PG_MORE;
	ret->bytes = u32_at(text, 0);
	if (ret->bytes < START_BYTES || ret->bytes > CV_PG_STARTUP_BYTES_MAX)
		return startup_fail(ret, "not a startup packet of PostgreSQL");
	if (text.n < START_BYTES)
		return CV_PG_MORE;
	const uint32_t code = u32_at(text, 4);
	if (code == CODE_SSL || code == CODE_GSS) {
		ret->kind = code == CODE_SSL ? CV_PG_SSL : CV_PG_GSS;
		return ret->bytes == START_BYTES ? CV_PG_OK
						 : startup_fail(ret, "a request of a wrong length");
	}
	if (code != CODE_CANCEL && code >> 16 != VERSION_3 >> 16)
		return startup_fail(ret, "not version 3 of PostgreSQL's protocol");
	if (text.n < ret->bytes)
		return CV_PG_MORE;
	const struct cv_str body = cv_str_slice(text, START_BYTES, ret->bytes);
	if (code == CODE_CANCEL) {
		ret->kind = CV_PG_CANCEL;
		if (body.n < 8 || body.n > 4 + CV_PG_KEY_BYTES_MAX)
			return startup_fail(ret, "a cancellation of a wrong length");
		ret->pid = u32_at(body, 0);
		ret->key = cv_str_slice(body, 4, body.n);
		return CV_PG_OK;
	}
	ret->kind = CV_PG_STARTUP;
	ret->minor = (uint16_t)code;
	return parameters_parse(body, ret);
}

/* ---- messages ---- */

enum cv_pg_rc cv_pg_head_parse(struct cv_str text, bool is_from_server, struct cv_pg_head *ret)
{
	static const char from_client[] = "BCDEFHPQSXcdfp";
	static const char from_server[] = "123ACDEGHIKNRSTVWZcdnstv";
	const char *const known = is_from_server ? from_server : from_client;

	if (text.n && (!text.p[0] || !strchr(known, text.p[0])))
		return CV_PG_ERROR;
	if (text.n < CV_PG_HEAD_BYTES)
		return CV_PG_MORE;
	const uint32_t bytes = u32_at(text, 1);
	if (bytes < 4 || bytes - 4 > CV_PG_MESSAGE_BYTES_MAX)
		return CV_PG_ERROR;
	*ret = (struct cv_pg_head){ text.p[0], bytes - 4 };
	return CV_PG_OK;
}

bool cv_pg_query_parse(struct cv_str body, struct cv_str *ret_text)
{
	struct cv_str text;

	if (!text_cut(&body, &text) || body.n)
		return false;
	*ret_text = text;
	return true;
}

bool cv_pg_parse_parse(struct cv_str body, struct cv_str *ret_name, struct cv_str *ret_text)
{
	struct cv_str name, text;

	if (!text_cut(&body, &name) || !text_cut(&body, &text) || body.n < 2)
		return false;
	const size_t count = (size_t)(unsigned char)body.p[0] << 8 | (unsigned char)body.p[1];
	if (body.n != 2 + 4 * count)
		return false;
	*ret_name = name;
	*ret_text = text;
	return true;
}

bool cv_pg_pair_parse(struct cv_str body, struct cv_str *ret_name, struct cv_str *ret_value)
{
	struct cv_str name, value;

	if (!text_cut(&body, &name) || !text_cut(&body, &value) || body.n)
		return false;
	*ret_name = name;
	*ret_value = value;
	return true;
}

struct cv_str cv_pg_error_field(struct cv_str body, char field)
{
	while (body.n && body.p[0]) {
		const char kind = body.p[0];
		struct cv_str value;

		body = cv_str_slice(body, 1, body.n);
		if (!text_cut(&body, &value))
			break;
		if (kind == field)
			return value;
	}
	return CV_STR_NONE;
}

/* ---- what we say ---- */

bool cv_pg_put_ssl_request(struct cv_buf *b)
{
	return cv_buf_put_u32be(b, START_BYTES) && cv_buf_put_u32be(b, CODE_SSL);
}

bool cv_pg_put_cancel(struct cv_buf *b, uint32_t pid, struct cv_str key)
{
	return cv_buf_put_u32be(b, (uint32_t)(START_BYTES + 4 + key.n)) &&
	       cv_buf_put_u32be(b, CODE_CANCEL) && cv_buf_put_u32be(b, pid) && cv_buf_put(b, key);
}

bool cv_pg_put_message(struct cv_buf *b, char type, struct cv_str body)
{
	return cv_buf_put_byte(b, type) && cv_buf_put_u32be(b, (uint32_t)(4 + body.n)) &&
	       cv_buf_put(b, body);
}

bool cv_pg_put_ready(struct cv_buf *b, char status)
{
	return cv_pg_put_message(b, 'Z', (struct cv_str){ &status, 1 });
}

bool cv_pg_put_password(struct cv_buf *b, struct cv_str password)
{
	return cv_buf_put_byte(b, 'p') && cv_buf_put_u32be(b, (uint32_t)(4 + password.n + 1)) &&
	       cv_buf_put(b, password) && cv_buf_put_byte(b, '\0');
}

bool cv_pg_put_sasl_first(struct cv_buf *b, struct cv_str mechanism, struct cv_str data)
{
	return cv_buf_put_byte(b, 'p') &&
	       cv_buf_put_u32be(b, (uint32_t)(4 + mechanism.n + 1 + 4 + data.n)) &&
	       cv_buf_put(b, mechanism) && cv_buf_put_byte(b, '\0') &&
	       cv_buf_put_u32be(b, (uint32_t)data.n) && cv_buf_put(b, data);
}

bool cv_pg_put_auth(struct cv_buf *b, uint32_t code, struct cv_str data)
{
	return cv_buf_put_byte(b, 'R') && cv_buf_put_u32be(b, (uint32_t)(8 + data.n)) &&
	       cv_buf_put_u32be(b, code) && cv_buf_put(b, data);
}

static struct cv_str until_zero(struct cv_str s)
{
	return cv_str_slice(s, 0, cv_str_find_byte(s, '\0'));
}

bool cv_pg_put_error(struct cv_buf *b, const char *severity, const char *sqlstate,
	struct cv_str message, struct cv_str hint)
{
	const struct {
		char field;
		struct cv_str value;
	} fields[] = {
		{ 'S', cv_str_of(severity) },
		{ 'V', cv_str_of(severity) },
		{ 'C', cv_str_of(sqlstate) },
		{ 'M', until_zero(message) },
		{ 'H', until_zero(hint) },
	};
	size_t bytes = 4 + 1;

	for (size_t i = 0; i < CV_ARRAY_LEN(fields); i++)
		bytes += fields[i].value.n ? fields[i].value.n + 2 : 0;
	cv_buf_put_byte(b, 'E');
	cv_buf_put_u32be(b, (uint32_t)bytes);
	for (size_t i = 0; i < CV_ARRAY_LEN(fields); i++)
		if (fields[i].value.n) {
			cv_buf_put_byte(b, fields[i].field);
			cv_buf_put(b, fields[i].value);
			cv_buf_put_byte(b, '\0');
		}
	return cv_buf_put_byte(b, '\0');
}

bool cv_pg_startup_begin(struct cv_buf *b)
{
	cv_buf_reset(b);
	return cv_buf_put_u32be(b, 0) && cv_buf_put_u32be(b, VERSION_3);
}

bool cv_pg_startup_add(struct cv_buf *b, struct cv_str name, struct cv_str value)
{
	return cv_buf_put(b, name) && cv_buf_put_byte(b, '\0') && cv_buf_put(b, value) &&
	       cv_buf_put_byte(b, '\0');
}

bool cv_pg_startup_end(struct cv_buf *b)
{
	if (!cv_buf_put_byte(b, '\0'))
		return false;
	const size_t n = cv_buf_len(b);
	for (int i = 0; i < 4; i++)
		b->data[b->start + (size_t)i] = (char)(n >> (24 - 8 * i));
	return true;
}
