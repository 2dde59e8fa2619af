/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refresh.c - see refresh.h; what all strategies share
 *
 * A strategy is a row: where it asks, which materials it needs, how it writes and how it reads.
 * A failure is DEAD only when the issuer says so in its protocol's words, or when a status cannot
 * mean anything else: an answer of something in between (a proxy, a login page) is LATER, so that
 * an outage on the way does not end a run's credentials.
 */
#include "cred/refresh_int.h"

#include "base/assert.h"

#include <openssl/crypto.h>

#define MATERIALS_NEEDED_MAX 4

struct strategy {
	const char *name;
	const char *url; /* when the plan gives none; NULL: it must */
	cv_refresh_write *write;
	cv_refresh_read *read;
	const char *materials[MATERIALS_NEEDED_MAX]; /* must be there */
	bool takes_http; /* a route may lead to a machine beside this one without TLS */
};

static const struct strategy strategies[] = {
	{ "oauth2_refresh_token", NULL, cv_refresh_oauth_token_write, cv_refresh_oauth_read,
		{ "client_id", "refresh_token" } },
	{ "oauth2_client_credentials", NULL, cv_refresh_oauth_client_write, cv_refresh_oauth_read,
		{ "client_id" } },
	{ "google_service_account_jwt", "https://oauth2.googleapis.com/token",
		cv_refresh_google_write, cv_refresh_oauth_read, { NULL } },
	{ "aws_sts_assume_role", "https://sts.{aws_region}.{aws_domain}/", cv_refresh_aws_write,
		cv_refresh_aws_read, { "role_arn", "aws_access_key_id", "aws_secret_access_key" } },
	{ "github_app_installation",
		"https://api.github.com/app/installations/{installation_id}/access_tokens",
		cv_refresh_github_write, cv_refresh_github_read,
		{ "app_id", "installation_id", "private_key" } },
	{ "command", "", cv_refresh_command_write, cv_refresh_command_read, { NULL } },
	{ "probe_bearer", NULL, cv_refresh_probe_bearer_write, cv_refresh_probe_read, { "key" },
		true },
	{ "probe_key", NULL, cv_refresh_probe_key_write, cv_refresh_probe_read, { "key" }, true },
	{ "probe_open", NULL, cv_refresh_probe_open_write, cv_refresh_probe_read, { NULL }, true },
};

#define REASON_ROW(name, verdict, slug, text) { CV_REFRESH_##verdict, slug, text },
static const struct cv_refresh_reason_row reasons[] = { CV_REFRESH_REASONS(REASON_ROW) };
#undef REASON_ROW

const struct cv_refresh_reason_row *cv_refresh_reason_row(enum cv_refresh_reason reason)
{
	cv_assert(reason < CV_REFRESH_REASON_COUNT);
	return &reasons[reason];
}

static const struct strategy *strategy_of(const struct cv_cred_refresh *refresh)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(strategies); i++)
		if (cv_str_eq(refresh->strategy, cv_str_of(strategies[i].name)))
			return &strategies[i];
	return NULL;
}

struct cv_str cv_refresh_material(const struct cv_cred_refresh *refresh, const char *name)
{
	for (size_t i = 0; i < refresh->material_count; i++)
		if (cv_str_eq(refresh->materials[i].name, cv_str_of(name)))
			return refresh->materials[i].value;
	return CV_STR_NONE;
}

/* ---- the URL ---- */

/* Materials that may stand in a URL, and what they are when they are not there. */
static const struct {
	const char *name;
	struct cv_str otherwise;
} url_materials[] = {
	{ "tenant_id", { NULL, 0 } },
	{ "installation_id", { NULL, 0 } },
	{ "aws_region", { "us-east-1", 9 } },
};

static struct cv_str url_material(const struct cv_cred_refresh *refresh, struct cv_str name)
{
	/* The partition of China has names of its own. */
	if (cv_str_eq(name, CV_STR("aws_domain")))
		return cv_str_has_prefix(cv_refresh_material(refresh, "aws_region"), CV_STR("cn-"))
			       ? CV_STR("amazonaws.com.cn")
			       : CV_STR("amazonaws.com");
	for (size_t i = 0; i < CV_ARRAY_LEN(url_materials); i++) {
		if (!cv_str_eq(name, cv_str_of(url_materials[i].name)))
			continue;
		const struct cv_str value = cv_refresh_material(refresh, url_materials[i].name);
		return value.n ? value : url_materials[i].otherwise;
	}
	return CV_STR_NONE;
}

/* Stays one label or one path segment. */
static bool is_plain_word(struct cv_str s)
{
	for (size_t i = 0; i < s.n; i++) {
		const char c = cv_ascii_lower(s.p[i]);

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
			    (c == '.' && i && s.p[i - 1] != '.')))
			return false;
	}
	return s.n > 0;
}

static cv_code url_fill(const struct cv_cred_refresh *refresh, struct cv_str rest, struct cv_buf *b,
	struct cv_err *err)
{
	while (rest.p) {
		cv_buf_put(b, cv_str_cut(&rest, '{'));
		if (!rest.p)
			break;
		const struct cv_str name = cv_str_cut(&rest, '}');
		const struct cv_str value = url_material(refresh, name);

		if (!is_plain_word(value))
			return cv_fail(err, CV_INVALID,
				"token_url has {%.*s}, and that material is missing or not one word",
				(int)CV_MIN(name.n, (size_t)64), name.p);
		cv_buf_put(b, value);
	}
	return CV_OK;
}

/* Only the courier knows whether http is allowed at all; here it may only mean this host. */
static bool is_url(struct cv_str s, bool takes_http)
{
	static const char *const starts[] = { "https://",
		"http://127.0.0.1:", "http://[::1]:", "http://localhost:", "http://" };
	const size_t count = CV_ARRAY_LEN(starts) - !takes_http;

	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] >= 0x7f || s.p[i] == '@' || s.p[i] == '#' ||
			s.p[i] == '\\')
			return false;
	for (size_t i = 0; i < count; i++)
		if (cv_str_has_prefix(s, cv_str_of(starts[i])) && s.n > strlen(starts[i]))
			return true;
	return false;
}

static cv_code url_make(const struct cv_cred_refresh *refresh, const struct strategy *s,
	struct cv_buf *b, struct cv_err *err)
{
	const struct cv_str text = refresh->token_url.n ? refresh->token_url : cv_str_of(s->url);

	if (!text.p)
		return cv_fail(err, CV_INVALID, "%s needs token_url", s->name);
	if (!text.n) /* a command */
		return CV_OK;
	if (url_fill(refresh, text, b, err) != CV_OK)
		return err->code;
	if (b->is_overflown)
		return cv_fail(err, CV_INVALID, "token_url is too long");
	if (!is_url(cv_buf_str(b), s->takes_http))
		return cv_fail(err, CV_INVALID, "token_url is not a plain https:// URL");
	return CV_OK;
}

/* ---- requests ---- */

static cv_code materials_check(
	const struct cv_cred_refresh *refresh, const struct strategy *s, struct cv_err *err)
{
	for (size_t i = 0; i < MATERIALS_NEEDED_MAX && s->materials[i]; i++)
		if (!cv_refresh_material(refresh, s->materials[i]).n)
			return cv_fail(err, CV_INVALID, "%s needs the material %s", s->name,
				s->materials[i]);
	return CV_OK;
}

static cv_code prepare(const struct cv_cred_refresh *refresh, const struct strategy **ret,
	struct cv_buf *url, struct cv_err *err)
{
	const struct strategy *const s = strategy_of(refresh);

	if (!s)
		return cv_fail(err, CV_INVALID, "refresh: unknown strategy %.*s",
			(int)CV_MIN(refresh->strategy.n, (size_t)64), refresh->strategy.p);
	cv_code code = materials_check(refresh, s, err);
	if (code == CV_OK)
		code = url_make(refresh, s, url, err);
	*ret = s;
	return code == CV_OK ? code : cv_wrap(err, "refresh");
}

cv_code cv_refresh_request(const struct cv_cred_refresh *refresh, int64_t now_s,
	const unsigned char random[CV_REFRESH_RANDOM_BYTES], struct cv_arena *arena,
	struct cv_refresh_request *ret, struct cv_err *err)
{
	struct cv_refresh_ask ask = {
		.refresh = refresh, .now_s = now_s, .random = random, .arena = arena
	};
	struct cv_refresh_request r = { .method = CV_STR("POST") };
	const struct strategy *s = NULL;
	struct cv_buf url;

	cv_buf_init(&url, CV_REFRESH_URL_BYTES_MAX);
	cv_code code = prepare(refresh, &s, &url, err);
	if (code == CV_OK) {
		ask.url = r.url = cv_arena_str(arena, cv_buf_str(&url));
		code = s->write(&ask, &r, err);
	}
	cv_buf_fini(&url);
	if (code == CV_OK && arena->is_overflown)
		code = cv_fail(err, CV_LIMIT, "refresh: request is too large");
	if (code == CV_OK)
		*ret = r;
	return code;
}

cv_code cv_refresh_check(const struct cv_cred_refresh *refresh, struct cv_err *err)
{
	static const unsigned char random[CV_REFRESH_RANDOM_BYTES];
	struct cv_refresh_request request;
	struct cv_arena arena;

	/* The whole request, because only that says whether a key can sign. */
	cv_arena_init(&arena, 4 * CV_REFRESH_BODY_BYTES_MAX + CV_SIGV4_CANON_BYTES_MAX);
	const cv_code code = cv_refresh_request(refresh, 0, random, &arena, &request, err);
	if (code == CV_OK && request.body.n)
		OPENSSL_cleanse((char *)(uintptr_t)request.body.p, request.body.n);
	cv_arena_fini(&arena);
	return code;
}

void cv_refresh_form_put(struct cv_buf *b, const char *name, struct cv_str value)
{
	if (!value.n)
		return;
	if (cv_buf_len(b))
		cv_buf_put_byte(b, '&');
	cv_buf_put(b, cv_str_of(name));
	cv_buf_put_byte(b, '=');
	cv_buf_put_percent(b, value);
}

void cv_refresh_header_add(struct cv_refresh_request *r, struct cv_str name, struct cv_str value)
{
	cv_assert(r->header_count < CV_REFRESH_HEADERS_MAX);
	r->headers[r->header_count++] = (struct cv_cred_header){ name, value };
}

cv_code cv_refresh_buf_take(
	struct cv_buf *b, struct cv_arena *arena, struct cv_str *ret, struct cv_err *err)
{
	const bool is_whole = !b->is_overflown;
	const struct cv_str text = cv_buf_str(b);

	if (is_whole)
		*ret = cv_arena_str(arena, text);
	if (b->data)
		OPENSSL_cleanse(b->data, b->cap);
	cv_buf_fini(b);
	return is_whole && !arena->is_overflown
		       ? CV_OK
		       : cv_fail(err, CV_LIMIT, "refresh: request is too large");
}

cv_code cv_refresh_form_post(const struct cv_refresh_ask *ask, struct cv_buf *b,
	struct cv_refresh_request *ret, struct cv_err *err)
{
	cv_refresh_header_add(
		ret, CV_STR("Content-Type"), CV_STR("application/x-www-form-urlencoded"));
	cv_refresh_header_add(ret, CV_STR("Accept"), CV_STR("application/json"));
	return cv_refresh_buf_take(b, ask->arena, &ret->body, err);
}

/* ---- answers ---- */

void cv_refresh_fail(struct cv_refresh_result *r, enum cv_refresh_reason reason)
{
	const int64_t retry_s = r->retry_s;

	*r = (struct cv_refresh_result){ .verdict = reasons[reason].verdict, .reason = reason };
	r->retry_s = r->verdict == CV_REFRESH_LATER ? retry_s : 0;
}

void cv_refresh_fail_status(struct cv_refresh_result *r, const struct cv_refresh_answer *answer)
{
	const struct cv_str after =
		cv_cred_header_get(answer->headers, answer->header_count, CV_STR("retry-after"));
	uint64_t seconds = 0;

	if (cv_str_to_u64(cv_str_trim(after), UINT32_MAX, &seconds)) /* a date is not sought */
		r->retry_s = CV_MIN((int64_t)seconds, (int64_t)CV_REFRESH_RETRY_S_MAX);
	if (answer->status == 429 || (r->retry_s && answer->status >= 400))
		cv_refresh_fail(r, CV_REFRESH_REASON_LIMITED);
	else if (answer->status == 401)
		cv_refresh_fail(r, CV_REFRESH_REASON_CLIENT);
	else if (answer->status >= 500 || answer->status == 408)
		cv_refresh_fail(r, CV_REFRESH_REASON_UNAVAILABLE);
	else
		cv_refresh_fail(r, CV_REFRESH_REASON_ANSWER);
}

enum cv_refresh_reason cv_refresh_word_find(
	const struct cv_refresh_word *words, size_t count, struct cv_str word)
{
	for (size_t i = 0; i < count; i++)
		if (cv_str_eq(word, cv_str_of(words[i].word)))
			return words[i].reason;
	return CV_REFRESH_REASON_COUNT;
}

/* What no header and no log line can be broken with (C7). */
static bool is_token(struct cv_str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] <= ' ' || (unsigned char)s.p[i] >= 0x7f)
			return false;
	return s.n > 0 && s.n <= CV_REFRESH_TOKEN_BYTES_MAX;
}

bool cv_refresh_output_add(
	struct cv_refresh_result *r, const char *name, struct cv_str value, struct cv_arena *arena)
{
	const struct cv_str copy = is_token(value) ? cv_arena_str(arena, value) : CV_STR_NONE;

	if (!copy.n) {
		cv_refresh_fail(r, CV_REFRESH_REASON_ANSWER);
		return false;
	}
	cv_assert(r->output_count < CV_REFRESH_OUTPUTS_MAX);
	r->outputs[r->output_count++] = (struct cv_refresh_output){ cv_str_of(name), copy };
	return true;
}

void cv_refresh_renewed(struct cv_refresh_result *r, const struct cv_cred_refresh *refresh,
	int64_t now_s, int64_t expires_s)
{
	if (refresh->max_lifetime_s > 0)
		expires_s = CV_MIN(expires_s, now_s + refresh->max_lifetime_s);
	if (expires_s <= now_s) {
		cv_refresh_fail(r, CV_REFRESH_REASON_EXPIRED);
		return;
	}
	r->verdict = CV_REFRESH_RENEWED;
	r->reason = CV_REFRESH_REASON_OK;
	r->expires_s = CV_MIN(expires_s, now_s + CV_REFRESH_LIFETIME_S_MAX);
	r->retry_s = 0;
}

void cv_refresh_response(const struct cv_cred_refresh *refresh,
	const struct cv_refresh_answer *answer, int64_t now_s, struct cv_arena *arena,
	struct cv_refresh_result *ret)
{
	const struct strategy *const s = strategy_of(refresh);

	*ret = (struct cv_refresh_result){ .verdict = CV_REFRESH_LATER,
		.reason = CV_REFRESH_REASON_ANSWER };
	if (!s || answer->body.n > CV_REFRESH_ANSWER_BYTES_MAX)
		return;
	s->read(refresh, answer, now_s, arena, ret);
}

struct cv_str cv_refresh_output(const struct cv_refresh_result *result, struct cv_str name)
{
	if (!name.n && result->output_count)
		return result->outputs[0].value;
	for (size_t i = 0; i < result->output_count; i++)
		if (cv_str_eq(result->outputs[i].name, name))
			return result->outputs[i].value;
	return CV_STR_NONE;
}
