/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oidc_text.c - see oidc_text.h
 */
#include "client/oidc_text.h"

#include "base/base64.h"
#include "base/sha256.h"
#include "wire/json_value.h"

#include <string.h>

#define REDIRECT_PATH "/callback"
#define LIVES_S_MAX   (366ull * 86400) /* longer is as good as for ever */

void cl_form_put(struct cv_buf *b, const char *name, struct cv_str value)
{
	if (!value.n)
		return;
	cv_buf_printf(b, "%s%s=", cv_buf_len(b) ? "&" : "", name);
	cv_buf_put_percent(b, value);
}

void cl_pkce_put(struct cv_buf *b, struct cv_str verifier)
{
	unsigned char digest[CV_SHA256_BYTES];
	struct cv_sha256 s;

	cv_sha256_init(&s);
	cv_sha256_update(&s, verifier.p, verifier.n);
	cv_sha256_final(&s, digest);
	cv_buf_put_base64(
		b, (struct cv_str){ (const char *)digest, sizeof(digest) }, CV_BASE64_URL);
}

/* ---- queries ---- */

static int digit_of(char c)
{
	const char l = cv_ascii_lower(c);

	if (c >= '0' && c <= '9')
		return c - '0';
	return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

/* Without control bytes, which nothing that we ask for has. */
static bool decode(struct cv_str text, struct cv_arena *arena, struct cv_str *ret)
{
	char *out = cv_arena_alloc(arena, text.n + 1);
	size_t n = 0;

	for (size_t i = 0; out && i < text.n; i++) {
		char c = text.p[i] == '+' ? ' ' : text.p[i];

		if (c == '%') {
			if (text.n - i < 3 || digit_of(text.p[i + 1]) < 0 ||
				digit_of(text.p[i + 2]) < 0)
				return false;
			c = (char)(digit_of(text.p[i + 1]) << 4 | digit_of(text.p[i + 2]));
			i += 2;
		}
		if ((unsigned char)c < ' ' || c == 0x7f)
			return false;
		out[n++] = c;
	}
	if (!out)
		return false;
	out[n] = '\0';
	*ret = (struct cv_str){ out, n };
	return true;
}

bool cl_query_get(struct cv_str query, const char *name, struct cv_arena *arena, struct cv_str *ret)
{
	struct cv_str found = CV_STR_NONE;

	while (query.p && query.n) {
		struct cv_str value = cv_str_cut(&query, '&');
		const struct cv_str key = cv_str_cut(&value, '=');

		if (!cv_str_eq(key, cv_str_of(name)))
			continue;
		if (found.p || !value.p)
			return false;
		found = value;
	}
	return found.p && decode(found, arena, ret);
}

enum cl_redirect_kind cl_redirect_read(
	struct cv_str head, struct cv_arena *arena, struct cl_redirect *ret)
{
	const struct {
		const char *name;
		struct cv_str *ret;
	} rows[] = { { "state", &ret->state }, { "code", &ret->code }, { "error", &ret->error },
		{ "error_description", &ret->description }, { "iss", &ret->issuer } };
	const size_t at = cv_str_find_byte(head, '\n');

	*ret = (struct cl_redirect){ .state = CV_STR_NONE };
	/* Nothing but the first line is of use; the rest is waited for, so that the browser is answered
	 * when it has said all. */
	if (!memmem(head.p ? head.p : "", head.n, "\r\n\r\n", 4))
		return CL_REDIRECT_PART;
	struct cv_str line = cv_str_slice(head, 0, at);
	const struct cv_str method = cv_str_cut(&line, ' ');
	struct cv_str query = cv_str_cut(&line, ' ');
	const struct cv_str path = cv_str_cut(&query, '?');
	if (!cv_str_eq(method, CV_STR("GET")) || !cv_str_eq(path, CV_STR(REDIRECT_PATH)) ||
		!cv_str_has_prefix(line, CV_STR("HTTP/1.")))
		return CL_REDIRECT_OTHER;
	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++)
		if (!cl_query_get(query, rows[i].name, arena, rows[i].ret))
			*rows[i].ret = CV_STR_NONE;
	return CL_REDIRECT_OURS;
}

/* ---- answers ---- */

bool cl_token_is_fine(struct cv_str token)
{
	for (size_t i = 0; i < token.n; i++)
		if (token.p[i] <= ' ' || token.p[i] > '~')
			return false;
	return token.n && token.n <= CL_TOKEN_BYTES_MAX;
}

/* A number, or, of some issuers, its digits in quotes. */
static uint64_t lives_of(const struct cv_value *v)
{
	uint64_t n = 0;
	int64_t s;

	if (v && v->type == CV_VALUE_STRING)
		return cv_str_to_u64(v->s, LIVES_S_MAX, &n) ? n : 0;
	if (!v || v->type != CV_VALUE_NUMBER || !cv_value_to_i64(v, &s) || s < 0)
		return 0;
	return CV_MIN((uint64_t)s, LIVES_S_MAX);
}

static struct cv_str text_of(const struct cv_value *o, const char *name, struct cv_arena *arena)
{
	const struct cv_str s = cv_value_get_str(o, cv_str_of(name));

	return s.n ? cv_arena_str(arena, s) : CV_STR_NONE;
}

const char *cl_token_read(struct cv_str text, struct cv_arena *arena, struct cl_token *ret)
{
	const struct cv_value *o;

	*ret = (struct cl_token){ .lives_s = 0 };
	if (cv_json_value_read(text, arena, &o, NULL) != CV_JSON_PROBLEM_NONE ||
		o->type != CV_VALUE_OBJECT)
		return "it is no JSON object";
	ret->error = text_of(o, "error", arena);
	ret->description = text_of(o, "error_description", arena);
	if (ret->error.p)
		return NULL;
	const struct cv_str type = cv_value_get_str(o, CV_STR("token_type"));
	if (type.p && !cv_str_eq_nocase(type, CV_STR("Bearer")))
		return "its token is no bearer token";
	ret->access = text_of(o, "access_token", arena);
	ret->refresh = text_of(o, "refresh_token", arena);
	ret->lives_s = lives_of(cv_value_get(o, CV_STR("expires_in")));
	if (!ret->access.p)
		return "it has no access_token";
	if (!cl_token_is_fine(ret->access) || (ret->refresh.p && !cl_token_is_fine(ret->refresh)))
		return "its token is too long, or has bytes that a token may not have";
	return NULL;
}

bool cl_same(struct cv_str a, struct cv_str b)
{
	unsigned char differs = a.n != b.n;

	for (size_t i = 0; i < a.n && i < b.n; i++)
		differs |= (unsigned char)(a.p[i] ^ b.p[i]);
	return !differs;
}
