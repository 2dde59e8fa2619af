/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rules.c - methods, query values and path selectors: the parts of a rule beside its path
 *
 * Query.  Pairs are separated by &; names and values are percent-decoded, + is a space.  Origins
 * disagree about two things, and a rule must hold whatever the origin thinks:
 *   - ";" separates pairs for some: the query is read both ways, an allow must hold in both, a
 *     deny in one;
 *   - what is not decodable (a bad escape, a NUL): no allow with query matchers holds, every deny
 *     with some does.
 * Nothing is decoded that needs no decoding; what does, is decoded into a fixed buffer.
 */
#include "base/assert.h"
#include "base/hex.h"
#include "policy/snapshot_int.h"

/* ---- methods ---- */

enum cv_method cv_method_of(struct cv_str text)
{
#define CV_METHOD_NAME(name) CV_STR(#name),
	static const struct cv_str names[] = { CV_METHODS(CV_METHOD_NAME) };
#undef CV_METHOD_NAME

	for (unsigned i = 0; i < CV_ARRAY_LEN(names); i++)
		if (cv_str_eq_nocase(text, names[i]))
			return (enum cv_method)i;
	return CV_METHOD_OTHER;
}

uint32_t cv_method_bits(struct cv_str method)
{
	if (cv_str_eq(method, CV_STR("*")))
		return CV_METHOD_BITS_ALL;
	if (method.n == 0)
		return 0;
	const enum cv_method id = cv_method_of(method);
	return id == CV_METHOD_GET ? CV_METHOD_BIT(GET) | CV_METHOD_BIT(HEAD) : 1u << id;
}

/* An upgrade, and for those that may write, what is then said. */
static uint32_t websocket_bits(enum cv_policy_access access)
{
	const uint32_t upgrade = CV_METHOD_BIT(GET);

	return access == CV_ACCESS_READ_ONLY ? upgrade : upgrade | CV_METHOD_BIT(WEBSOCKET_TEXT);
}

uint32_t cv_access_bits(enum cv_policy_protocol protocol, enum cv_policy_access access)
{
	const uint32_t read = CV_METHOD_BIT(GET) | CV_METHOD_BIT(HEAD) | CV_METHOD_BIT(OPTIONS);

	if (protocol == CV_PROTOCOL_WEBSOCKET && access != CV_ACCESS_NONE)
		return websocket_bits(access);
	switch (access) {
	case CV_ACCESS_READ_ONLY: return read;
	case CV_ACCESS_READ_WRITE:
		return read | CV_METHOD_BIT(POST) | CV_METHOD_BIT(PUT) | CV_METHOD_BIT(PATCH);
	case CV_ACCESS_FULL: return CV_METHOD_BITS_ALL;
	case CV_ACCESS_NONE:
	case CV_ACCESS_COUNT: break;
	}
	return 0;
}

bool cv_rule_method_matches(const struct cv_rule *rule, const struct cv_rule_facts *facts)
{
	if (!(rule->methods & 1u << facts->method_id))
		return false;
	return rule->methods != CV_METHOD_BIT(OTHER) ||
	       cv_str_eq_nocase(rule->method, facts->method);
}

enum cv_pg_level cv_access_level(const struct cv_policy_endpoint *source)
{
	static const enum cv_pg_level levels[] = {
		[CV_ACCESS_NONE] = CV_PG_ALWAYS,
		[CV_ACCESS_READ_ONLY] = CV_PG_READ,
		[CV_ACCESS_READ_WRITE] = CV_PG_WRITE,
		[CV_ACCESS_FULL] = CV_PG_FULL,
	};

	return source->rules.is_present ? CV_PG_ALWAYS : levels[source->access];
}

bool cv_access_allows(const struct cv_endpoint *ep, const struct cv_rule_facts *facts)
{
	if (!ep->is_postgres)
		return ep->access_methods & 1u << facts->method_id;
	const enum cv_pg_command c = cv_pg_command_of(facts->method);
	return c < CV_PG_COMMAND_COUNT && cv_pg_command_row(c)->level <= ep->pg_level;
}

/* ---- query ---- */

static bool unescape(struct cv_str s, char *dst, size_t size, size_t *ret_n)
{
	size_t n = 0;

	if (s.n > size)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i] == '+' ? ' ' : s.p[i];

		if (c == '%') {
			const int hi = i + 2 < s.n ? cv_hex_digit(s.p[i + 1]) : -1;
			const int lo = i + 2 < s.n ? cv_hex_digit(s.p[i + 2]) : -1;

			if (hi < 0 || lo < 0)
				return false;
			c = (char)(hi << 4 | lo);
			i += 2;
		}
		if (c == '\0')
			return false;
		dst[n++] = c;
	}
	*ret_n = n;
	return true;
}

static bool is_decodable(struct cv_str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\0')
			return false;
		if (s.p[i] != '%')
			continue;
		if (i + 2 >= s.n || cv_hex_digit(s.p[i + 1]) < 0 || cv_hex_digit(s.p[i + 2]) < 0)
			return false;
		if (s.p[i + 1] == '0' && s.p[i + 2] == '0')
			return false;
	}
	return true;
}

static bool globs_match(const struct cv_query_rule *q, struct cv_str value, bool is_deny)
{
	bool is_match = false;

	for (uint32_t i = 0; i < q->glob_count && !is_match; i++)
		is_match = q->globs[i] ? cv_glob_match(q->globs[i], value) : is_deny;
	return is_match;
}

static bool is_plain_value(struct cv_str s)
{
	return !cv_str_has_byte(s, '%') && !cv_str_has_byte(s, '+');
}

/* Apart from its callers, so that only what is encoded pays for the buffer. */
__attribute__((noinline)) static bool encoded_name_is(struct cv_str raw, struct cv_str name)
{
	char buf[CV_POLICY_QUERY_VALUE_BYTES_MAX];
	size_t n;

	return unescape(raw, buf, sizeof(buf), &n) && cv_str_eq((struct cv_str){ buf, n }, name);
}

__attribute__((noinline)) static bool encoded_value_matches(
	const struct cv_query_rule *q, struct cv_str raw, bool is_deny)
{
	char buf[CV_POLICY_QUERY_VALUE_BYTES_MAX];
	size_t n;

	if (!unescape(raw, buf, sizeof(buf), &n))
		return is_deny; /* too long: see the file's top */
	return globs_match(q, (struct cv_str){ buf, n }, is_deny);
}

static struct cv_str pair_cut(struct cv_str *rest, bool is_semicolon)
{
	const struct cv_str whole = *rest;
	const size_t amp = cv_str_find_byte(whole, '&');
	const size_t semi = is_semicolon ? cv_str_find_byte(whole, ';') : whole.n;
	const size_t at = CV_MIN(amp, semi);

	*rest = at < whole.n ? cv_str_slice(whole, at + 1, whole.n) : CV_STR_NONE;
	return cv_str_slice(whole, 0, at);
}

/* Allow: the key is there and every value of it matches.  Deny: one value does. */
static bool matcher_holds(
	const struct cv_query_rule *q, struct cv_str query, bool is_deny, bool is_semicolon)
{
	size_t present = 0, matching = 0;

	while (query.p) {
		struct cv_str value = pair_cut(&query, is_semicolon);

		if (value.n == 0)
			continue; /* nothing between two separators is no pair */
		const struct cv_str name = cv_str_cut(&value, '=');
		if (is_plain_value(name) ? !cv_str_eq(name, q->key)
					 : !encoded_name_is(name, q->key))
			continue;
		present++;
		matching += is_plain_value(value) ? globs_match(q, value, is_deny)
						  : encoded_value_matches(q, value, is_deny);
	}
	return is_deny ? matching > 0 : present > 0 && matching == present;
}

static bool reading_matches(const struct cv_rule *rule, struct cv_str query, bool is_semicolon)
{
	for (uint32_t i = 0; i < rule->query_count; i++)
		if (!matcher_holds(&rule->query[i], query, rule->is_deny, is_semicolon))
			return false;
	return true;
}

bool cv_rule_query_matches(const struct cv_rule *rule, struct cv_str query)
{
	if (rule->query_count == 0)
		return true;
	if (!is_decodable(query))
		return rule->is_deny;
	const bool as_written = reading_matches(rule, query, false);
	if (!cv_str_has_byte(query, ';'))
		return as_written;
	const bool otherwise = reading_matches(rule, query, true);
	return rule->is_deny ? as_written || otherwise : as_written && otherwise;
}

/* ---- path selectors of endpoints ---- */

bool cv_selector_compile(struct cv_selector *ret, struct cv_str text, struct cv_arena *arena)
{
	*ret = (struct cv_selector){ .kind = CV_SELECTOR_ANY, .text = text };
	if (text.n == 0 || cv_str_eq(text, CV_STR("**")) || cv_str_eq(text, CV_STR("/**")))
		return true;
	if (cv_str_has_suffix(text, CV_STR("/**"))) {
		ret->kind = CV_SELECTOR_BELOW;
		ret->text = cv_str_slice(text, 0, text.n - 3);
		return true;
	}
	ret->kind = CV_SELECTOR_GLOB;
	if (cv_glob_compile(text, CV_GLOB_FLAT, arena, &ret->glob, NULL) != CV_OK)
		ret->kind = CV_SELECTOR_TEXT;
	return !arena->is_overflown;
}

bool cv_selector_matches(const struct cv_selector *s, struct cv_str path)
{
	switch (s->kind) {
	case CV_SELECTOR_ANY: return true;
	case CV_SELECTOR_BELOW:
		return cv_str_has_prefix(path, s->text) &&
		       (path.n == s->text.n || path.p[s->text.n] == '/');
	case CV_SELECTOR_GLOB: return cv_glob_match(s->glob, path);
	case CV_SELECTOR_TEXT: return cv_str_eq(path, s->text);
	}
	return false;
}
