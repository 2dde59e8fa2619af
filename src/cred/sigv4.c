/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sigv4.c - see sigv4.h
 *
 *     canonical request --SHA-256--> string to sign --HMAC with a derived key--> signature
 *
 * The canonical request (sigv4_canon.c) is hashed piece by piece and never built as a text.
 * Source: AWS's "Create a signed AWS API request", and its published test suite.
 */
#include "cred/sigv4.h"

#include "base/assert.h"
#include "base/hex.h"
#include "base/time.h"
#include "cred/sigv4_int.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>

#define KEY_ID_BYTES_MAX 128  /* IAM: 16 to 128 */
#define SECRET_BYTES_MAX 256  /* IAM's have 40 */
#define TOKEN_BYTES_MAX  8192 /* STS gives up to 4096 and reserves the right to more */
#define SCOPE_BYTES_MAX  64   /* the longest region has 16 bytes, the longest service some 30 */
#define HASH_TEXT_BYTES  (2 * CV_SHA256_BYTES)

static const struct cv_str algorithm = { "AWS4-HMAC-SHA256", 16 };
static const struct cv_str trailer_payload = { "STREAMING-UNSIGNED-PAYLOAD-TRAILER", 34 };
static const struct cv_str unsigned_payload = { "UNSIGNED-PAYLOAD", 16 };

/* ---- modes ---- */

bool cv_sigv4_mode_parse(struct cv_str text, enum cv_sigv4_mode *ret)
{
#define MODE_ROW(name, mode) [CV_SIGV4_##name] = mode,
	static const char *const names[] = { CV_SIGV4_MODES(MODE_ROW) };
#undef MODE_ROW

	for (size_t i = 0; i < CV_ARRAY_LEN(names); i++)
		if (cv_str_eq(text, cv_str_of(names[i]))) {
			*ret = (enum cv_sigv4_mode)i;
			return true;
		}
	return false;
}

cv_code cv_sigv4_payload(enum cv_sigv4_mode mode, struct cv_str sha256, bool has_length,
	enum cv_sigv4_payload *ret, struct cv_err *err)
{
	sha256 = cv_str_trim(sha256);
	/* aws-chunked is in the body already: its frame can't be taken off by a mode. */
	if (cv_str_eq(sha256, trailer_payload)) {
		*ret = CV_SIGV4_PAYLOAD_TRAILER;
		return CV_OK;
	}
	if (cv_str_has_prefix(sha256, CV_STR("STREAMING-")))
		return cv_fail(err, CV_DENIED,
			"payload is signed chunk by chunk (%.*s), which cannot be signed anew",
			(int)CV_MIN(sha256.n, (size_t)64), sha256.p);
	switch (mode) {
	case CV_SIGV4_BODY: *ret = CV_SIGV4_PAYLOAD_HASH; return CV_OK;
	case CV_SIGV4_NO_BODY: *ret = CV_SIGV4_PAYLOAD_UNSIGNED; return CV_OK;
	case CV_SIGV4_AUTO:
	case CV_SIGV4_MODE_COUNT: break;
	}
	*ret = cv_str_eq(sha256, unsigned_payload) || (!sha256.n && !has_length)
		       ? CV_SIGV4_PAYLOAD_UNSIGNED
		       : CV_SIGV4_PAYLOAD_HASH;
	return CV_OK;
}

/* ---- region ---- */

/* us-east-1, us-gov-west-1, eusc-de-east-1: letters, words, one digit or two. */
static bool is_region(struct cv_str s)
{
	const size_t last = cv_str_rfind_byte(s, '-');
	const size_t first = cv_str_find_byte(s, '-');

	if (last == s.n || first == last || first < 2 || first > 4 || s.n - last - 1 - 1 > 1)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		const bool is_digit = s.p[i] >= '0' && s.p[i] <= '9';
		const bool is_letter = s.p[i] >= 'a' && s.p[i] <= 'z';

		if (i > last ? !is_digit : !(is_letter || (s.p[i] == '-' && s.p[i + 1] != '-')))
			return false;
	}
	return true;
}

/* Takes the last label off *name. */
static struct cv_str label_pop(struct cv_str *name)
{
	const size_t dot = cv_str_rfind_byte(*name, '.');
	const bool has_dot = dot < name->n;
	const struct cv_str label = has_dot ? cv_str_slice(*name, dot + 1, name->n) : *name;

	*name = has_dot ? cv_str_slice(*name, 0, dot) : CV_STR_NONE;
	return label;
}

/* What the host says: a region, or nothing (CV_STR_NONE) with *ret_global what "global" means. */
static struct cv_str region_of_host(struct cv_str host, struct cv_str *ret_global)
{
	static const struct cv_str old = { "s3-", 3 }; /* s3-eu-west-1.amazonaws.com */

	host = cv_str_slice(host, 0, cv_str_find_byte(host, ':'));
	*ret_global = CV_STR("us-east-1");
	if (cv_str_has_suffix(host, CV_STR(".amazonaws.com.cn"))) {
		host.n -= sizeof(".amazonaws.com.cn") - 1;
		*ret_global = CV_STR("cn-north-1");
	} else if (cv_str_has_suffix(host, CV_STR(".amazonaws.com"))) {
		host.n -= sizeof(".amazonaws.com") - 1;
	} else {
		*ret_global = CV_STR_NONE;
		return CV_STR_NONE;
	}
	struct cv_str label = label_pop(&host);
	/* These put their service last: search-x.eu-west-1.es, vpce-1.s3.eu-west-1.vpce. */
	if (cv_str_eq(label, CV_STR("vpce")) || cv_str_eq(label, CV_STR("es")) ||
		cv_str_eq(label, CV_STR("aoss")))
		label = label_pop(&host);
	if (cv_str_has_prefix(label, old) && is_region(cv_str_slice(label, old.n, label.n)))
		return cv_str_slice(label, old.n, label.n);
	if (cv_str_eq(label, CV_STR("s3-accelerate")) || cv_str_eq(label, CV_STR("dualstack")))
		*ret_global = CV_STR_NONE; /* a bucket's region, which the name does not tell */
	return is_region(label) ? label : CV_STR_NONE;
}

cv_code cv_sigv4_region(
	struct cv_str host, struct cv_str fixed, struct cv_str *ret, struct cv_err *err)
{
	struct cv_str global;
	const struct cv_str named = region_of_host(host, &global);

	if (fixed.n && named.n && !cv_str_eq(fixed, named))
		return cv_fail(err, CV_DENIED,
			"host is in region %.*s, the endpoint signs for %.*s", CV_STR_ARG(named),
			CV_STR_ARG(fixed));
	const struct cv_str region = fixed.n ? fixed : named.n ? named : global;
	if (!region.n)
		return cv_fail(err, CV_INVALID, "host names no region and the endpoint gives none");
	*ret = region;
	return CV_OK;
}

/* ---- signature ---- */

bool cv_sigv4_is_dropped(struct cv_str header)
{
	static const char *const names[] = { "authorization", "x-amz-content-sha256", "x-amz-date",
		"x-amz-region-set", "x-amz-security-token" };

	for (size_t i = 0; i < CV_ARRAY_LEN(names); i++)
		if (cv_str_eq_nocase(header, cv_str_of(names[i])))
			return true;
	return false;
}

/* Bytes that stand in a header and in a scope without meaning anything there. */
static bool is_plain(struct cv_str s, size_t bytes_max)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] == 0x7f || s.p[i] == ',' || (signed char)s.p[i] < 0)
			return false;
	return s.n <= bytes_max;
}

static cv_code inputs_check(
	const struct cv_sigv4_keys *keys, const struct cv_sigv4_scope *scope, struct cv_err *err)
{
	if (!keys->id.n || !is_plain(keys->id, KEY_ID_BYTES_MAX) || cv_str_has_byte(keys->id, '/'))
		return cv_fail(err, CV_INVALID, "AWS access key id is missing or malformed");
	if (!keys->secret.n || keys->secret.n > SECRET_BYTES_MAX)
		return cv_fail(err, CV_INVALID, "AWS secret access key is missing or too long");
	if (!is_plain(keys->session_token, TOKEN_BYTES_MAX))
		return cv_fail(err, CV_INVALID, "AWS session token is malformed");
	if (!scope->region.n || !is_plain(scope->region, SCOPE_BYTES_MAX) || !scope->service.n ||
		!is_plain(scope->service, SCOPE_BYTES_MAX) || cv_str_has_byte(scope->region, '/') ||
		cv_str_has_byte(scope->service, '/'))
		return cv_fail(err, CV_INVALID, "AWS region or service is missing or malformed");
	return CV_OK;
}

static void hmac(
	const void *key, size_t key_bytes, struct cv_str text, unsigned char ret[CV_SHA256_BYTES])
{
	unsigned n = 0;

	cv_assert(key_bytes <= SECRET_BYTES_MAX + 4);
	cv_assert(HMAC(
		EVP_sha256(), key, (int)key_bytes, (const unsigned char *)text.p, text.n, ret, &n));
	cv_assert(n == CV_SHA256_BYTES);
}

/* The signature of text: its key holds for one day, region and service only. */
static void sign(struct cv_str secret, struct cv_str date, const struct cv_sigv4_scope *scope,
	struct cv_str text, unsigned char ret[CV_SHA256_BYTES])
{
	unsigned char first[4 + SECRET_BYTES_MAX], key[CV_SHA256_BYTES];

	memcpy(first, "AWS4", 4);
	memcpy(first + 4, secret.p, secret.n);
	hmac(first, 4 + secret.n, date, key);
	hmac(key, sizeof(key), scope->region, key);
	hmac(key, sizeof(key), scope->service, key);
	hmac(key, sizeof(key), CV_STR("aws4_request"), key);
	hmac(key, sizeof(key), text, ret);
	OPENSSL_cleanse(first, sizeof(first));
	OPENSSL_cleanse(key, sizeof(key));
}

static void hash_put(struct cv_sha256 *h, struct cv_str s)
{
	cv_sha256_update(h, s.p, s.n);
}

/* Names joined by semicolons; one name once. */
static struct cv_str signed_names(const struct cv_sigv4_canon *c, struct cv_arena *arena)
{
	size_t bytes = 1;

	for (size_t i = 0; i < c->header_count; i++)
		bytes += c->headers[i].name.n + 1;
	char *const out = cv_arena_alloc(arena, bytes);
	char *at = out;
	for (size_t i = 0; out && i < c->header_count; i++) {
		const struct cv_str name = c->headers[i].name;

		if (i && cv_str_eq(name, c->headers[i - 1].name))
			continue;
		if (i)
			*at++ = ';';
		at = (char *)memcpy(at, name.p, name.n) + name.n;
	}
	return cv_str_range(out, at);
}

static void canonical_hash(const struct cv_sigv4_canon *c, struct cv_str method,
	struct cv_str names, struct cv_str payload, unsigned char ret[CV_SHA256_BYTES])
{
	const struct cv_str lf = CV_STR("\n");
	struct cv_sha256 h;

	cv_sha256_init(&h);
	hash_put(&h, method), hash_put(&h, lf);
	hash_put(&h, c->path), hash_put(&h, lf);
	hash_put(&h, c->query), hash_put(&h, lf);
	for (size_t i = 0; i < c->header_count; i++) {
		const struct cv_sigv4_pair *p = &c->headers[i];

		if (i && cv_str_eq(p->name, c->headers[i - 1].name)) {
			hash_put(&h, CV_STR(","));
		} else {
			if (i)
				hash_put(&h, lf);
			hash_put(&h, p->name), hash_put(&h, CV_STR(":"));
		}
		hash_put(&h, p->value);
	}
	hash_put(&h, lf), hash_put(&h, lf);
	hash_put(&h, names), hash_put(&h, lf);
	hash_put(&h, payload);
	cv_sha256_final(&h, ret);
}

static struct cv_str hex_text(struct cv_arena *arena, const unsigned char *bytes)
{
	static const char digits[] = "0123456789abcdef";
	char *const out = cv_arena_alloc(arena, HASH_TEXT_BYTES);

	for (size_t i = 0; out && i < CV_SHA256_BYTES; i++) {
		out[2 * i] = digits[bytes[i] >> 4];
		out[2 * i + 1] = digits[bytes[i] & 15];
	}
	return out ? (struct cv_str){ out, HASH_TEXT_BYTES } : CV_STR_NONE;
}

static struct cv_str payload_text(
	enum cv_sigv4_payload payload, const unsigned char *sha256, struct cv_arena *arena)
{
	switch (payload) {
	case CV_SIGV4_PAYLOAD_UNSIGNED: return unsigned_payload;
	case CV_SIGV4_PAYLOAD_TRAILER: return trailer_payload;
	case CV_SIGV4_PAYLOAD_HASH: break;
	}
	return hex_text(arena, sha256);
}

static void set_add(struct cv_sigv4_result *r, struct cv_str name, struct cv_str value)
{
	cv_assert(r->set_count < CV_SIGV4_SET_MAX);
	r->set[r->set_count++] = (struct cv_cred_header){ name, value };
}

/* What is set besides Authorization, and is signed. */
static void set_fill(const struct cv_sigv4_request *request, struct cv_str token,
	struct cv_str time, struct cv_str payload, bool needs_payload, struct cv_sigv4_result *ret)
{
	const struct cv_str sha256 = CV_STR("x-amz-content-sha256");

	set_add(ret, CV_STR("x-amz-date"), time);
	if (token.n)
		set_add(ret, CV_STR("x-amz-security-token"), token);
	if (needs_payload || cv_cred_header_get(request->headers, request->header_count, sha256).p)
		set_add(ret, sha256, payload);
}

cv_code cv_sigv4_sign(const struct cv_sigv4_request *request, const struct cv_sigv4_keys *keys,
	const struct cv_sigv4_scope *scope, enum cv_sigv4_payload payload,
	const unsigned char *body_sha256, struct cv_arena *arena, struct cv_sigv4_result *ret,
	struct cv_err *err)
{
	const struct cv_time_civil t = cv_time_civil(scope->now_s * 1000);
	const bool is_s3 = cv_sigv4_is_s3(scope->service);
	unsigned char digest[CV_SHA256_BYTES];
	struct cv_sigv4_result r = { .set_count = 0 };
	struct cv_sigv4_canon c;

	cv_code code = inputs_check(keys, scope, err);
	if (code == CV_OK)
		code = cv_sigv4_canon_path(request->path, is_s3, arena, &c, err);
	if (code == CV_OK)
		code = cv_sigv4_canon_query(request->query, arena, &c, err);
	if (code != CV_OK)
		return code;
	const struct cv_str time = cv_arena_printf(arena, "%04d%02d%02dT%02d%02d%02dZ", t.year,
		t.month, t.day, t.hour, t.minute, t.second);
	const struct cv_str date = cv_str_slice(time, 0, 8);
	const struct cv_str body = payload_text(payload, body_sha256, arena);
	set_fill(request, keys->session_token, time, body,
		is_s3 || payload != CV_SIGV4_PAYLOAD_HASH, &r);
	code = cv_sigv4_canon_headers(request, r.set, r.set_count, arena, &c, err);
	if (code != CV_OK)
		return code;

	const struct cv_str names = signed_names(&c, arena);
	canonical_hash(&c, request->method, names, body, digest);
	const struct cv_str scope_text = cv_arena_printf(arena, "%.*s/%.*s/%.*s/aws4_request",
		CV_STR_ARG(date), CV_STR_ARG(scope->region), CV_STR_ARG(scope->service));
	const struct cv_str text = cv_arena_printf(arena, "%.*s\n%.*s\n%.*s\n%.*s",
		CV_STR_ARG(algorithm), CV_STR_ARG(time), CV_STR_ARG(scope_text),
		CV_STR_ARG(hex_text(arena, digest)));
	sign(keys->secret, date, scope, text, digest);
	set_add(&r, CV_STR("authorization"),
		cv_arena_printf(arena,
			"%.*s Credential=%.*s/%.*s, SignedHeaders=%.*s, Signature=%.*s",
			CV_STR_ARG(algorithm), CV_STR_ARG(keys->id), CV_STR_ARG(scope_text),
			CV_STR_ARG(names), CV_STR_ARG(hex_text(arena, digest))));
	r.path = c.wire_path;
	r.query = request->query.p ? c.wire_query : CV_STR_NONE;
	if (arena->is_overflown)
		return cv_fail(err, CV_LIMIT, "request is too large to be signed");
	*ret = r;
	return CV_OK;
}
