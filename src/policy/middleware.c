/* SPDX-License-Identifier: Apache-2.0 */
/*
 * middleware.c - see middleware.h
 *
 * A config is read by one table of keys for each built-in middleware.  The same reader serves
 * validation, which reports, and compilation, which knows that there is nothing to report.
 */
#include "policy/middleware.h"

#include "policy/check_int.h"
#include "policy/snapshot_int.h"

#include <stdlib.h>

#define NAME(id, name) name,
static const char *const detector_name[] = { CV_DETECTORS(NAME) };

const char *cv_detector_name(enum cv_detector d)
{
	return detector_name[d];
}

/* ---- config ---- */

struct reader {
	struct cv_check *c; /* may be NULL */
	const struct cv_policy_middleware *m;
	struct cv_middleware *mw;
};

#define REPORT(r, pos, fix, fmt, ...)                                             \
	do {                                                                      \
		if ((r)->c)                                                       \
			CV_CHECK_ERROR((r)->c, pos, fix, "middleware %.*s: " fmt, \
				CV_POLICY_QUOTE((r)->m->key.s), ##__VA_ARGS__);   \
	} while (0)

typedef void read_fn(struct reader *r, const struct cv_policy_node *n);

struct key {
	const char *name;
	read_fn *read;
};

struct word {
	const char *name;
	unsigned value;
};

static bool is_text(const struct cv_policy_node *n)
{
	return n->kind == CV_POLICY_NODE_STRING;
}

/* -1: none of them, and reported. */
static int word_read(struct reader *r, const struct cv_policy_node *n, const struct word *words,
	size_t count, const char *expected)
{
	for (size_t i = 0; i < count && is_text(n); i++)
		if (cv_str_eq(n->s, cv_str_of(words[i].name)))
			return (int)words[i].value;
	REPORT(r, n->pos, expected, "config.%.*s: unknown value", CV_POLICY_QUOTE(n->key.s));
	return -1;
}

static void mode_read(struct reader *r, const struct cv_policy_node *n)
{
	static const struct word words[] = { { "redact", CV_MIDDLEWARE_REDACT } };

	(void)word_read(r, n, words, CV_ARRAY_LEN(words), "expected redact");
}

static void action_read(struct reader *r, const struct cv_policy_node *n)
{
	static const struct word words[] = { { "redact", CV_MIDDLEWARE_REDACT },
		{ "deny", CV_MIDDLEWARE_DENY } };
	const int v = word_read(r, n, words, CV_ARRAY_LEN(words), "expected redact or deny");

	if (v >= 0)
		r->mw->action = (enum cv_middleware_action)v;
}

static void direction_read(struct reader *r, const struct cv_policy_node *n)
{
	static const struct word words[] = { { "request", CV_MIDDLEWARE_REQUEST },
		{ "response", CV_MIDDLEWARE_RESPONSE }, { "both", CV_MIDDLEWARE_BOTH } };
	const int v =
		word_read(r, n, words, CV_ARRAY_LEN(words), "expected request, response or both");

	if (v >= 0)
		r->mw->directions = (unsigned)v;
}

static int detector_of(struct cv_str name)
{
	for (int d = 0; d < CV_DETECTOR_COUNT; d++)
		if (cv_str_eq(name, cv_str_of(detector_name[d])))
			return d;
	return -1;
}

static void detectors_read(struct reader *r, const struct cv_policy_node *n)
{
	static const char known[] =
#define KNOWN(id, name) " " name
		"known:" CV_DETECTORS(KNOWN);
#undef KNOWN

	if (n->kind != CV_POLICY_NODE_LIST) {
		REPORT(r, n->pos, NULL, "config.detectors: expected a list of names");
		return;
	}
	for (size_t i = 0; i < n->n; i++) {
		const int d = is_text(&n->v[i]) ? detector_of(n->v[i].s) : -1;

		if (d < 0)
			REPORT(r, n->v[i].pos, known, "unknown detector '%.*s'",
				CV_POLICY_QUOTE(n->v[i].s));
		else
			r->mw->detectors |= 1u << d;
	}
}

/* It is shown to the requester as reason_code, whose form is upstream's. */
static bool is_code(struct cv_str s)
{
	if (!s.n || s.n > CV_MIDDLEWARE_NAME_BYTES_MAX || s.p[0] < 'a' || s.p[0] > 'z')
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!(s.p[i] >= 'a' && s.p[i] <= 'z') && !(s.p[i] >= '0' && s.p[i] <= '9') &&
			s.p[i] != '_')
			return false;
	return true;
}

/* One element of patterns; whether it compiles is for cv_regex_compile() to say (validate.c). */
static void pattern_read(struct reader *r, const struct cv_policy_node *n)
{
	struct cv_middleware_pattern p = { .pos = n->pos };
	bool has_name = false, has_regex = false;

	if (n->kind != CV_POLICY_NODE_MAPPING) {
		REPORT(r, n->pos, NULL, "config.patterns: expected {name: ..., regex: ...}");
		return;
	}
	for (size_t i = 0; i < n->n; i++) {
		const struct cv_policy_node *v = &n->v[i];

		if (cv_str_eq(v->key.s, CV_STR("name")) && is_text(v)) {
			has_name = true;
			p.name = v->s;
			if (!is_code(v->s) || detector_of(v->s) >= 0)
				REPORT(r, v->pos,
					"small letters, digits and _, at most 64, and "
					"not a detector's name",
					"pattern name '%.*s' is not accepted",
					CV_POLICY_QUOTE(v->s));
		} else if (cv_str_eq(v->key.s, CV_STR("regex")) && is_text(v)) {
			has_regex = true;
			p.regex = v->s;
			p.pos = v->pos;
		} else {
			REPORT(r, v->key.pos, "known here: name, regex, both strings",
				"'%.*s' is not accepted in a pattern", CV_POLICY_QUOTE(v->key.s));
		}
	}
	if (!has_name || !has_regex)
		REPORT(r, n->pos, NULL, "a pattern needs a name and a regex");
	else
		r->mw->pattern[r->mw->pattern_count++] = p;
}

static void patterns_read(struct reader *r, const struct cv_policy_node *n)
{
	if (n->kind != CV_POLICY_NODE_LIST) {
		REPORT(r, n->pos, NULL, "config.patterns: expected a list");
		return;
	}
	if (n->n > CV_MIDDLEWARE_PATTERNS_MAX) {
		REPORT(r, n->pos, NULL, "%zu patterns; at most %d", n->n,
			CV_MIDDLEWARE_PATTERNS_MAX);
		return;
	}
	for (size_t i = 0; i < n->n; i++)
		pattern_read(r, &n->v[i]);
}

static const struct key regex_keys[] = { { "mode", mode_read }, { NULL, NULL } };
static const struct key dlp_keys[] = {
	{ "detectors", detectors_read },
	{ "action", action_read },
	{ "direction", direction_read },
	{ "patterns", patterns_read },
	{ NULL, NULL },
};

/* clang-format off */
static const struct {
	const char *name;
	enum cv_middleware_kind kind;
	const struct key *keys;
	const char *known;
	uint32_t detectors; /* without being told */
} builtin[] = {
	{ "openshell/regex", CV_MIDDLEWARE_REGEX, regex_keys, "known here: mode",
		1u << CV_DETECTOR_SK_TOKEN },
	{ "cove/dlp", CV_MIDDLEWARE_DLP, dlp_keys,
		"known here: detectors, action, direction, patterns", 0 },
};
/* clang-format on */

static void config_read(struct reader *r, const struct key *keys, const char *known)
{
	const struct cv_policy_node *config = &r->m->config;

	if (config->kind == CV_POLICY_NODE_NULL)
		return;
	if (config->kind != CV_POLICY_NODE_MAPPING) {
		REPORT(r, config->pos, known, "config: expected a mapping");
		return;
	}
	for (size_t i = 0; i < config->n; i++) {
		const struct key *k = keys;

		while (k->name && !cv_str_eq(config->v[i].key.s, cv_str_of(k->name)))
			k++;
		if (k->name)
			k->read(r, &config->v[i]);
		else
			REPORT(r, config->v[i].key.pos, known, "unknown key '%.*s' in config",
				CV_POLICY_QUOTE(config->v[i].key.s));
	}
}

void cv_middleware_read(
	struct cv_check *c, const struct cv_policy_middleware *m, struct cv_middleware *ret)
{
	struct reader r = { c, m, ret };

	*ret = (struct cv_middleware){
		.source = m,
		.name = m->name.s.n ? m->name.s : m->key.s,
		.directions = CV_MIDDLEWARE_REQUEST,
		.is_fail_open = cv_policy_is_word(m->on_error, "fail_open"),
	};
	for (size_t i = 0; i < CV_ARRAY_LEN(builtin); i++)
		if (cv_policy_is_word(m->middleware, builtin[i].name)) {
			ret->kind = builtin[i].kind;
			ret->detectors = builtin[i].detectors;
			config_read(&r, builtin[i].keys, builtin[i].known);
		}
	if (ret->kind == CV_MIDDLEWARE_DLP && !ret->detectors && !ret->pattern_count)
		REPORT(&r, m->pos, "name some in config.detectors, or give config.patterns",
			"it has nothing to look for");
}

/* ---- hosts ---- */

const struct cv_glob *cv_middleware_glob(struct cv_str pattern, struct cv_arena *arena)
{
	/* "**" behind the first label would also stand for none: "*" before it asks for one. */
	const size_t room = 3 * pattern.n + 8;
	char *text = cv_arena_alloc(arena, room);
	const struct cv_glob *glob = NULL;
	size_t n = 0;

	if (!text)
		return NULL;
	for (struct cv_str rest = pattern; rest.p;) {
		const struct cv_str label = cv_str_cut(&rest, '.');
		const bool is_middle = n > 0 && rest.p && cv_str_eq(label, CV_STR("**"));

		if (n)
			text[n++] = '.';
		if (is_middle) {
			memcpy(text + n, "*.", 2);
			n += 2;
		}
		for (size_t i = 0; i < label.n; i++)
			text[n++] = cv_ascii_lower(label.p[i]);
	}
	return cv_glob_compile((struct cv_str){ text, n }, CV_GLOB_HOST, arena, &glob, NULL) ==
			       CV_OK
		       ? glob
		       : NULL;
}

static bool patterns_compile(const struct cv_policy_texts *t, struct cv_arena *arena,
	const struct cv_glob ***ret, size_t *ret_n)
{
	*ret = cv_arena_array(arena, t->n, sizeof(struct cv_glob *));
	if (!*ret && t->n)
		return false;
	for (size_t i = 0; i < t->n; i++)
		(*ret)[i] = cv_middleware_glob(t->v[i].s, arena);
	*ret_n = t->n;
	return !arena->is_overflown;
}

static int by_order(const void *a, const void *b)
{
	const struct cv_middleware *x = a, *y = b;

	return (x->source->order > y->source->order) - (x->source->order < y->source->order);
}

bool cv_middlewares_compile(const struct cv_policy_doc *doc, struct cv_arena *arena,
	struct cv_middleware **ret, size_t *ret_n)
{
	struct cv_middleware *v = cv_arena_array(arena, doc->middleware_count, sizeof(*v));

	if (!v && doc->middleware_count)
		return false;
	for (size_t i = 0; i < doc->middleware_count; i++) {
		const struct cv_policy_middleware *m = &doc->middlewares[i];

		cv_middleware_read(NULL, m, &v[i]);
		if (!patterns_compile(&m->include, arena, &v[i].include, &v[i].include_count) ||
			!patterns_compile(&m->exclude, arena, &v[i].exclude, &v[i].exclude_count))
			return false;
	}
	if (doc->middleware_count > 1)
		qsort(v, doc->middleware_count, sizeof(*v), by_order);
	*ret = v;
	*ret_n = doc->middleware_count;
	return true;
}

static bool is_excluded(const struct cv_middleware *m, struct cv_str host, bool host_is_ip)
{
	for (size_t i = 0; i < m->exclude_count; i++)
		if (host_is_ip ? cv_str_eq_nocase(m->source->exclude.v[i].s, host)
			       : cv_glob_match(m->exclude[i], host))
			return true;
	return false;
}

static bool is_selected(const struct cv_middleware *m, struct cv_str host, bool host_is_ip)
{
	for (size_t i = 0; i < m->include_count; i++)
		if (cv_glob_match(m->include[i], host))
			return !is_excluded(m, host, host_is_ip);
	return false;
}

const struct cv_middleware *cv_policy_middleware_list(const struct cv_policy *policy, size_t *ret_n)
{
	*ret_n = policy ? policy->middleware_count : 0;
	return policy ? policy->middlewares : NULL;
}

uint32_t cv_policy_middlewares(const struct cv_policy *policy, struct cv_str host, bool host_is_ip)
{
	uint32_t bits = 0;

	for (size_t i = 0; policy && i < policy->middleware_count; i++)
		if (is_selected(&policy->middlewares[i], host, host_is_ip))
			bits |= 1u << i;
	return bits;
}
