/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rewrite.c - credentials in place of placeholders, in a head; see rewrite.h
 *
 * Most requests have no placeholder, so everything goes through the scanner first, once: a header
 * value, a segment, a query's part where it sees nothing is done with.  Where it sees one, the
 * place is taken apart, and what it sees must be explained by uses; what is not is a refusal.
 *
 * The scanner is not reset between fields (or segments, or a query's names and values): a
 * placeholder spread over several of them is seen at the last, which by itself has none: SPLIT.
 */
#include "cred/rewrite.h"

#include "base/base64.h"
#include "cred/rewrite_int.h"

struct collect {
	const struct cv_ph_set *set;
	const struct cv_rewrite_head *head;
	struct cv_arena *arena;
	struct cv_rewrite_plan *plan;
	struct cv_ph_scan across; /* see above */
};

/* Feeds the next piece; what it has is *ret_is_in.  SPLIT when only the pieces together have one. */
static enum cv_rewrite_rc across_feed(struct collect *c, struct cv_str piece, bool *ret_is_in)
{
	*ret_is_in = false;
	if (!cv_ph_scan_feed(&c->across, piece))
		return CV_REWRITE_OK;
	cv_ph_scan_init(&c->across, c->set);
	*ret_is_in = cv_ph_is_in(c->set, piece);
	return *ret_is_in ? CV_REWRITE_OK : CV_REWRITE_SPLIT;
}

/* ---- header values ---- */

static enum cv_rewrite_rc header_use_add(struct collect *c, const struct cv_ph_hit *hit,
	enum cv_rewrite_place place, size_t i, size_t at, size_t n)
{
	const enum cv_rewrite_rc rc = rewrite_use_add(c->plan, hit, place, at, n);

	if (rc == CV_REWRITE_OK)
		c->plan->use[c->plan->count - 1].header = (uint16_t)i;
	return rc;
}

/* `scheme credentials`: the offset of the credentials, or 0. */
static size_t scheme_end(struct cv_str value)
{
	size_t at = cv_str_find_byte(value, ' ');

	if (!cv_h1_is_token(cv_str_slice(value, 0, at)))
		return 0;
	while (at < value.n && value.p[at] == ' ')
		at++;
	return at < value.n ? at : 0;
}

static size_t basic_end(struct cv_str value)
{
	const struct cv_str scheme = cv_str_slice(value, 0, cv_str_find_byte(value, ' '));

	return cv_str_eq_nocase(scheme, CV_STR("Basic")) ? scheme_end(value) : 0;
}

static enum cv_rewrite_rc misfit_rc(enum rewrite_fit fit, const struct cv_ph_hit *hit)
{
	if (fit == REWRITE_FIT_ENCODED)
		return CV_REWRITE_ENCODED;
	return hit->entry == CV_PH_UNKNOWN ? CV_REWRITE_UNKNOWN : CV_REWRITE_EMBEDDED;
}

static enum cv_rewrite_rc plain_collect(struct collect *c, size_t i, struct cv_str value)
{
	const size_t at = scheme_end(value);
	struct cv_ph_hit hit;

	enum rewrite_fit fit = rewrite_fit(c->set, value, &hit);
	if (fit == REWRITE_FIT_WHOLE)
		return header_use_add(c, &hit, CV_REWRITE_IN_HEADER, i, 0, value.n);
	if (at > 0)
		fit = rewrite_fit(c->set, cv_str_slice(value, at, value.n), &hit);
	if (at > 0 && fit == REWRITE_FIT_WHOLE)
		return header_use_add(c, &hit, CV_REWRITE_IN_SCHEME, i, at, value.n - at);
	return misfit_rc(fit, &hit);
}

/* ---- cookies ---- */

static enum cv_rewrite_rc cookie_part_collect(
	struct collect *c, size_t i, struct cv_str value, struct cv_str part)
{
	const size_t eq = cv_str_find_byte(part, '=');
	struct cv_str v = cv_str_slice(part, eq + 1, part.n);
	struct cred_decoded d;
	struct cv_ph_hit hit;

	if (cv_ph_is_in(c->set, cv_str_slice(part, 0, eq)))
		return CV_REWRITE_COOKIE_NAME;
	if (v.n >= 2 && v.p[0] == '"' && v.p[v.n - 1] == '"')
		v = cv_str_slice(v, 1, v.n - 1);
	if (!cred_decode(v, CRED_PERCENT, c->arena, &d))
		return CV_REWRITE_MEMORY;
	const enum rewrite_fit fit = rewrite_fit(c->set, d.text, &hit);
	if (fit != REWRITE_FIT_WHOLE)
		return misfit_rc(fit, &hit);
	const enum cv_rewrite_rc rc =
		header_use_add(c, &hit, CV_REWRITE_IN_COOKIE, i, (size_t)(v.p - value.p), v.n);
	if (rc == CV_REWRITE_OK)
		c->plan->use[c->plan->count - 1].is_encoded = d.text.n != v.n;
	return rc;
}

static enum cv_rewrite_rc cookies_collect(struct collect *c, size_t i, struct cv_str value)
{
	const size_t before = c->plan->count;
	struct cv_str rest = value;

	while (rest.p) {
		const struct cv_str part = cv_str_trim(cv_str_cut(&rest, ';'));

		if (!cv_ph_is_in(c->set, part))
			continue;
		const enum cv_rewrite_rc rc = cookie_part_collect(c, i, value, part);
		if (rc != CV_REWRITE_OK)
			return rc;
	}
	return c->plan->count > before ? CV_REWRITE_OK : CV_REWRITE_SPLIT;
}

/* None of the cookies has one: do their values together? */
static bool is_split_over_cookies(const struct collect *c, struct cv_str value)
{
	struct cv_ph_scan scan;
	bool is_in = false;

	cv_ph_scan_init(&scan, c->set);
	while (value.p && !is_in) {
		const struct cv_str part = cv_str_trim(cv_str_cut(&value, ';'));

		is_in = cv_ph_scan_feed(
			&scan, cv_str_slice(part, cv_str_find_byte(part, '=') + 1, part.n));
	}
	return is_in;
}

/* ---- Basic ---- */

/* What any receiver might read from text: both alphabets, no padding, foreign bytes skipped.  Only
 * for looking.  CV_STR_NONE when the arena is full or nothing is there. */
static struct cv_str base64_guess(struct cv_str text, struct cv_arena *arena)
{
	char *out = cv_arena_alloc(arena, text.n);
	uint32_t bits = 0;
	unsigned have = 0;
	size_t n = 0;

	if (!out)
		return CV_STR_NONE;
	for (size_t i = 0; i < text.n; i++) {
		const char c = text.p[i];
		const int v = c >= 'A' && c <= 'Z'   ? c - 'A'
			      : c >= 'a' && c <= 'z' ? c - 'a' + 26
			      : c >= '0' && c <= '9' ? c - '0' + 52
			      : c == '+' || c == '-' ? 62
			      : c == '/' || c == '_' ? 63
						     : -1;
		if (v < 0)
			continue;
		bits = bits << 6 | (uint32_t)v;
		have += 6;
		if (have >= 8) {
			have -= 8;
			out[n++] = (char)(bits >> have);
		}
	}
	return (struct cv_str){ out, n };
}

/* Basic within Basic: some servers peel what a chain of proxies wrapped. */
static bool is_nested(struct collect *c, struct cv_str text, unsigned depth)
{
	const size_t colon = cv_str_find_byte(text, ':');
	const struct cv_str part[] = { text, cv_str_slice(text, 0, colon),
		cv_str_slice(text, colon + 1, text.n) };

	for (size_t i = 0; i < CV_ARRAY_LEN(part); i++) {
		const struct cv_str inner = base64_guess(
			cv_str_slice(part[i], basic_end(part[i]), part[i].n), c->arena);

		if (!inner.n)
			continue;
		if (cv_ph_is_in(c->set, inner))
			return true;
		if (depth + 1 < CV_REWRITE_BASIC_DEPTH_MAX && is_nested(c, inner, depth + 1))
			return true;
	}
	return false;
}

/* The credentials of value, decoded; CV_STR_NONE if they are not strict base64. */
static struct cv_str basic_decode(struct cv_str value, struct cv_arena *arena)
{
	const struct cv_str text = cv_str_slice(value, basic_end(value), value.n);
	struct cv_str copy = CV_STR_NONE;
	struct cv_buf b;

	cv_buf_init(&b, text.n);
	if (cv_base64_decode(text, CV_BASE64_STD, &b))
		copy = cv_arena_str(arena, cv_buf_str(&b));
	cv_buf_fini(&b);
	return copy;
}

/*
 * user:password, each a placeholder as a whole or none at all.  A canonical placeholder has colons
 * itself, so if one stands at the front, the user ends where it ends.
 */
static enum cv_rewrite_rc pair_collect(struct collect *c, size_t i, struct cv_str pair)
{
	enum cv_rewrite_rc rc = CV_REWRITE_OK;
	size_t colon = cv_str_find_byte(pair, ':');
	struct cv_ph_hit hit;

	if (cv_ph_find(c->set, pair, 0, &hit) && hit.at == 0)
		colon = hit.n;
	if (colon < pair.n && pair.p[colon] != ':')
		return misfit_rc(REWRITE_FIT_PART, &hit);
	const struct cv_str user = cv_str_slice(pair, 0, colon);
	const struct cv_str password = cv_str_slice(pair, colon + 1, pair.n);

	enum rewrite_fit fit = rewrite_fit(c->set, user, &hit);
	if (fit == REWRITE_FIT_WHOLE)
		rc = header_use_add(c, &hit, CV_REWRITE_IN_BASIC_USER, i, 0, user.n);
	else if (fit != REWRITE_FIT_NONE)
		rc = misfit_rc(fit, &hit);
	if (rc != CV_REWRITE_OK)
		return rc;
	fit = rewrite_fit(c->set, password, &hit);
	if (fit == REWRITE_FIT_WHOLE)
		return header_use_add(
			c, &hit, CV_REWRITE_IN_BASIC_PASSWORD, i, colon + 1, password.n);
	return fit == REWRITE_FIT_NONE ? CV_REWRITE_OK : misfit_rc(fit, &hit);
}

static enum cv_rewrite_rc basic_collect(struct collect *c, size_t i, struct cv_str value)
{
	const struct cv_str guess =
		base64_guess(cv_str_slice(value, basic_end(value), value.n), c->arena);
	const size_t before = c->plan->count;

	if (c->arena->is_overflown)
		return CV_REWRITE_MEMORY;
	if (!cv_ph_is_in(c->set, guess)) {
		if (is_nested(c, guess, 0))
			return CV_REWRITE_NESTED;
		return c->arena->is_overflown ? CV_REWRITE_MEMORY : CV_REWRITE_OK;
	}
	const struct cv_str pair = basic_decode(value, c->arena);
	if (!cv_str_eq(pair, guess) || cv_str_has_byte(pair, '\0'))
		return CV_REWRITE_BASIC;
	const enum cv_rewrite_rc rc = pair_collect(c, i, pair);
	if (rc == CV_REWRITE_OK && c->plan->count == before)
		return CV_REWRITE_SPLIT; /* over user and password */
	return rc;
}

/* ---- headers ---- */

static bool is_dropped(const struct cv_rewrite_head *head, struct cv_str name)
{
	for (size_t i = 0; i < head->drop_count; i++)
		if (cv_h1_name_eq(head->drop[i], name))
			return true;
	return false;
}

/* Names and hosts change case on their way, so the alias's marker counts in any. */
static bool is_in_name(const struct cv_ph_set *set, struct cv_str name)
{
	const struct cv_str alias = CV_STR("openshell-resolve-env-");

	for (size_t i = 0; i + alias.n <= name.n; i++)
		if (cv_str_eq_nocase(cv_str_slice(name, i, i + alias.n), alias))
			return true;
	return cv_ph_is_in(set, name);
}

/* A host was made lower-case already, and with it any text in it. */
static bool is_in_host(const struct cv_ph_set *set, struct cv_str host)
{
	for (size_t e = 0; e < set->count; e++) {
		const struct cv_str text = set->entries[e].text;

		for (size_t i = 0; text.n && i + text.n <= host.n; i++)
			if (cv_str_eq_nocase(cv_str_slice(host, i, i + text.n), text))
				return true;
	}
	return is_in_name(set, host);
}

/* gRPC's binary metadata is base64 (PROTOCOL-HTTP2.md), and never a credential's place. */
static bool is_in_binary(struct collect *c, const struct cv_h1_header *h)
{
	const struct cv_str bin = CV_STR("-bin"),
			    end = cv_str_slice(
				    h->name, h->name.n - CV_MIN(h->name.n, bin.n), h->name.n);

	return cv_str_eq_nocase(end, bin) && cv_ph_is_in(c->set, base64_guess(h->value, c->arena));
}

static enum cv_rewrite_rc header_collect(struct collect *c, size_t i)
{
	const struct cv_h1_header *h = &c->head->request->header[i];
	const unsigned ends_here = CV_H1_HOP | CV_H1_OVERRIDE | CV_H1_NAMED | CV_H1_FRAMING;
	bool is_in;

	if (is_in_name(c->set, h->name))
		return CV_REWRITE_NAME;
	enum cv_rewrite_rc rc = across_feed(c, h->value, &is_in);
	if (rc != CV_REWRITE_OK)
		return rc;
	if (is_in && h->field == CV_H1_FIELD_HOST)
		return CV_REWRITE_AUTHORITY;
	if (is_in && (h->flags & ends_here))
		return CV_REWRITE_HOP;
	if (is_in && h->field == CV_H1_FIELD_COOKIE)
		return cookies_collect(c, i, h->value);
	if (is_in)
		return plain_collect(c, i, h->value);
	if (h->field == CV_H1_FIELD_COOKIE && is_split_over_cookies(c, h->value))
		return CV_REWRITE_SPLIT;
	if (is_in_binary(c, h))
		return CV_REWRITE_ENCODED;
	if (basic_end(h->value) == 0 || (h->flags & ends_here))
		return CV_REWRITE_OK;
	return basic_collect(c, i, h->value);
}

static enum cv_rewrite_rc headers_collect(struct collect *c)
{
	cv_ph_scan_init(&c->across, c->set);
	for (size_t i = 0; i < c->head->request->header_count; i++) {
		if (is_dropped(c->head, c->head->request->header[i].name))
			continue;
		const enum cv_rewrite_rc rc = header_collect(c, i);
		if (rc != CV_REWRITE_OK)
			return rc;
	}
	return CV_REWRITE_OK;
}

/* ---- target ---- */

static enum cv_rewrite_rc path_collect(struct collect *c)
{
	struct cv_str rest = c->head->path;
	size_t at = 0;

	cv_ph_scan_init(&c->across, c->set);
	while (rest.p) {
		const struct cv_str segment = cv_str_cut(&rest, '/');
		bool is_in;

		enum cv_rewrite_rc rc = across_feed(c, segment, &is_in);
		if (rc == CV_REWRITE_OK && is_in)
			rc = rewrite_uses_find(c->set, c->plan, segment, at, CRED_PERCENT,
				CV_REWRITE_IN_PATH, c->arena);
		if (rc != CV_REWRITE_OK)
			return rc;
		at += segment.n + 1;
	}
	return CV_REWRITE_OK;
}

static enum cv_rewrite_rc query_value_collect(struct collect *c, struct cv_str value)
{
	struct cred_decoded d;
	struct cv_ph_hit hit;

	if (!cred_decode(value, CRED_FORM, c->arena, &d))
		return CV_REWRITE_MEMORY;
	const enum rewrite_fit fit = rewrite_fit(c->set, d.text, &hit);
	if (fit != REWRITE_FIT_WHOLE)
		return misfit_rc(fit, &hit);
	return rewrite_use_add(
		c->plan, &hit, CV_REWRITE_IN_QUERY, (size_t)(value.p - c->head->query.p), value.n);
}

static enum cv_rewrite_rc pair_of_query_collect(struct collect *c, struct cv_str pair)
{
	const size_t eq = cv_str_find_byte(pair, '=');
	const struct cv_str value = cv_str_slice(pair, eq + 1, pair.n);
	bool is_in;

	if (cv_ph_is_in(c->set, cv_str_slice(pair, 0, eq)))
		return CV_REWRITE_QUERY_NAME;
	const enum cv_rewrite_rc rc = across_feed(c, value, &is_in);
	return rc == CV_REWRITE_OK && is_in ? query_value_collect(c, value) : rc;
}

static enum cv_rewrite_rc query_collect(struct collect *c)
{
	struct cv_str rest = c->head->query;
	struct cv_ph_scan names; /* across names and values; c->across is across values only */

	cv_ph_scan_init(&c->across, c->set);
	cv_ph_scan_init(&names, c->set);
	while (rest.p) {
		const struct cv_str pair = cv_str_cut(&rest, '&');
		const size_t eq = cv_str_find_byte(pair, '='), before = c->plan->count;

		const enum cv_rewrite_rc rc = pair_of_query_collect(c, pair);
		if (rc != CV_REWRITE_OK)
			return rc;
		if (c->plan->count > before)
			cv_ph_scan_init(&names, c->set);
		else if (cv_ph_scan_feed(&names, cv_str_slice(pair, 0, eq)) ||
			 cv_ph_scan_feed(&names, cv_str_slice(pair, eq + 1, pair.n)))
			return CV_REWRITE_SPLIT;
	}
	return CV_REWRITE_OK;
}

/* Path and query together, without what separates them, when neither has a placeholder of its own. */
static enum cv_rewrite_rc target_check(struct collect *c)
{
	struct cv_str path = c->head->path, query = c->head->query;
	struct cv_ph_scan scan;
	bool is_in = false;

	if (c->plan->count)
		return CV_REWRITE_OK;
	cv_ph_scan_init(&scan, c->set);
	while (path.p && !is_in)
		is_in = cv_ph_scan_feed(&scan, cv_str_cut(&path, '/'));
	while (query.p && !is_in) {
		const struct cv_str pair = cv_str_cut(&query, '&');
		const size_t eq = cv_str_find_byte(pair, '=');

		is_in = cv_ph_scan_feed(&scan, cv_str_slice(pair, 0, eq)) ||
			cv_ph_scan_feed(&scan, cv_str_slice(pair, eq + 1, pair.n));
	}
	return is_in ? CV_REWRITE_SPLIT : CV_REWRITE_OK;
}

enum cv_rewrite_rc cv_rewrite_collect(const struct cv_ph_set *set,
	const struct cv_rewrite_head *head, struct cv_arena *arena, struct cv_rewrite_plan *ret)
{
	struct collect c = { .set = set, .head = head, .arena = arena, .plan = ret };

	ret->count = 0;
	if (is_in_name(set, head->request->method))
		return CV_REWRITE_METHOD;
	if (is_in_host(set, cv_host_str(&head->request->authority.host)))
		return CV_REWRITE_AUTHORITY;
	enum cv_rewrite_rc rc = path_collect(&c);
	if (rc == CV_REWRITE_OK)
		rc = query_collect(&c);
	if (rc == CV_REWRITE_OK)
		rc = target_check(&c);
	if (rc == CV_REWRITE_OK)
		rc = headers_collect(&c);
	/* what could not be decoded was not looked at */
	return rc == CV_REWRITE_OK && arena->is_overflown ? CV_REWRITE_MEMORY : rc;
}

enum cv_rewrite_rc cv_rewrite_check_trailers(
	const struct cv_ph_set *set, const struct cv_h1_header *headers, size_t count)
{
	struct cv_ph_scan across;

	cv_ph_scan_init(&across, set);
	for (size_t i = 0; i < count; i++)
		if (is_in_name(set, headers[i].name) || cv_ph_scan_feed(&across, headers[i].value))
			return CV_REWRITE_TRAILER;
	return CV_REWRITE_OK;
}
