/* SPDX-License-Identifier: Apache-2.0 */
/*
 * validate.c - the rules of the language that concern the whole document and its sections
 *
 * Endpoints and their rules have files of their own (validate_endpoint.c, validate_rule.c), so have
 * rules about tools (validate_tools.c), and so has the comparison of endpoints with each other
 * (ambiguity.c).  Nothing stops at the first error: the tables are walked to their ends.
 */
#include "base/assert.h"
#include "base/glob.h"
#include "policy/check_int.h"
#include "policy/limits.h"
#include "policy/middleware.h"
#include "policy/regex.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define WHERE_BYTES_MAX 256
#define TEXT_BYTES_MAX  512
#define GLOB_BYTES_MAX  (256u << 10) /* one compiled pattern */

const char *cv_policy_protocol_name(enum cv_policy_protocol protocol)
{
#define PROTOCOL_NAME(id, yaml) [CV_PROTOCOL_##id] = yaml,
	static const char *const names[] = { CV_POLICY_PROTOCOLS(PROTOCOL_NAME) };

	cv_assert(protocol < CV_PROTOCOL_COUNT);
	return names[protocol];
}

static struct cv_str where_text(const struct cv_check *c, char text[WHERE_BYTES_MAX])
{
	int n = 0;

	if (!c->entry)
		return CV_STR_NONE;
	if (!c->ep)
		n = snprintf(text, WHERE_BYTES_MAX, "%.*s", CV_POLICY_QUOTE(c->entry->key.s));
	else if (!c->rule)
		n = snprintf(text, WHERE_BYTES_MAX, "%.*s.endpoints[%zu]",
			CV_POLICY_QUOTE(c->entry->key.s), c->ep_index);
	else
		n = snprintf(text, WHERE_BYTES_MAX, "%.*s.endpoints[%zu].%s[%zu]%s",
			CV_POLICY_QUOTE(c->entry->key.s), c->ep_index,
			c->is_deny ? "deny_rules" : "rules", c->rule_index,
			c->is_deny ? "" : ".allow");
	return (struct cv_str){ text, (size_t)CV_MAX(n, 0) };
}

void cv_check_report(struct cv_check *c, enum cv_finding_level level, struct cv_policy_pos pos,
	const char *fix, const char *fmt, ...)
{
	char where[WHERE_BYTES_MAX], text[TEXT_BYTES_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!pos.line && c->entry)
		pos = c->rule ? c->rule->pos : c->ep ? c->ep->pos : c->entry->pos;
	cv_findings_add(c->findings, level, pos, where_text(c, where), fix, "%s", text);
}

/* ---- filesystem_policy ---- */

static bool has_parent_component(struct cv_str path)
{
	while (path.p)
		if (cv_str_eq(cv_str_cut(&path, '/'), CV_STR("..")))
			return true;
	return false;
}

/* "/", "//" and "/./" name the root. */
static bool is_root(struct cv_str path)
{
	while (path.p) {
		const struct cv_str part = cv_str_cut(&path, '/');

		if (part.n && !cv_str_eq(part, CV_STR(".")))
			return false;
	}
	return true;
}

static void check_path(struct cv_check *c, const struct cv_policy_text *t, bool is_writable)
{
	if (t->s.n > CV_POLICY_PATH_BYTES_MAX)
		CV_CHECK_ERROR(c, t->pos, NULL, "path exceeds maximum length (%zu > %d): %.*s",
			t->s.n, CV_POLICY_PATH_BYTES_MAX, CV_POLICY_QUOTE(t->s));
	if (!cv_str_has_prefix(t->s, CV_STR("/")))
		CV_CHECK_ERROR(c, t->pos, NULL, "path must be absolute (start with '/'): %.*s",
			CV_POLICY_QUOTE(t->s));
	else if (has_parent_component(t->s))
		CV_CHECK_ERROR(c, t->pos, "write the path that it leads to",
			"path contains '..' traversal component: %.*s", CV_POLICY_QUOTE(t->s));
	else if (is_writable && is_root(t->s))
		CV_CHECK_ERROR(c, t->pos, "list the directories that are written to",
			"read-write path is overly broad: %.*s", CV_POLICY_QUOTE(t->s));
	if (cv_str_has_byte(t->s, '\0'))
		CV_CHECK_ERROR(c, t->pos, NULL, "path contains a NUL byte");
}

static void check_filesystem(struct cv_check *c)
{
	const struct cv_policy_texts *ro = &c->doc->read_only, *rw = &c->doc->read_write;

	if (ro->n + rw->n > CV_POLICY_PATH_COUNT_MAX)
		CV_CHECK_ERROR(c, ro->n ? ro->pos : rw->pos, "list their common parents",
			"too many filesystem paths (%zu > %d)", ro->n + rw->n,
			CV_POLICY_PATH_COUNT_MAX);
	for (size_t i = 0; i < ro->n; i++)
		check_path(c, &ro->v[i], false);
	for (size_t i = 0; i < rw->n; i++)
		check_path(c, &rw->v[i], true);
}

/* ---- process ---- */

static void check_identity(
	struct cv_check *c, const struct cv_policy_text *t, const char *field, const char *what)
{
	uint64_t id;

	if (!t->is_present || !t->s.n || cv_policy_is_word(*t, "sandbox") ||
		(cv_str_to_u64(t->s, UINT32_MAX - 1, &id) && id > 0))
		return;
	CV_CHECK_ERROR(c, t->pos, NULL,
		"%s must be 'sandbox' or a numeric %s in range [1, 4294967294], got '%.*s'", field,
		what, CV_POLICY_QUOTE(t->s));
}

static void check_process(struct cv_check *c)
{
	check_identity(c, &c->doc->run_as_user, "run_as_user", "UID/GID");
	check_identity(c, &c->doc->run_as_group, "run_as_group", "UID/GID");
}

/* ---- network_policies ---- */

static void check_binaries(struct cv_check *c)
{
	if (!c->entry->binary_count && c->entry->endpoint_count)
		CV_CHECK_WARNING(c, CV_CHECK_HERE, "list the programs that may use it",
			"no binaries, so no program may use it");
	for (size_t i = 0; i < c->entry->binary_count; i++) {
		const struct cv_policy_text *t = &c->entry->binaries[i].path;

		if (!t->s.n)
			CV_CHECK_ERROR(c, t->pos, "write the program's absolute path",
				"binaries[%zu]: the path is empty", i);
		else if (t->s.p[0] != '/' && t->s.p[0] != '*')
			CV_CHECK_WARNING(c, t->pos, "write the program's absolute path",
				"binaries[%zu]: '%.*s' is not absolute and matches no program", i,
				CV_POLICY_QUOTE(t->s));
	}
}

static void check_entry(struct cv_check *c)
{
	const struct cv_policy_text *key = &c->entry->key;

	if (!key->s.n)
		CV_CHECK_ERROR(c, key->pos, NULL, "a network policy needs a name");
	if (!c->entry->is_provider && cv_str_has_prefix(key->s, CV_STR(CV_POLICY_PROVIDER_PREFIX)))
		CV_CHECK_ERROR(c, key->pos, "choose another name",
			"names that begin with _provider_ are reserved");
	if (!c->entry->endpoint_count)
		CV_CHECK_WARNING(c, CV_CHECK_HERE, NULL, "no endpoints, so it allows nothing");
	check_binaries(c);
	for (c->ep_index = 0; c->ep_index < c->entry->endpoint_count; c->ep_index++) {
		c->ep = &c->entry->endpoints[c->ep_index];
		cv_check_endpoint(c);
		cv_check_rules(c);
	}
	c->ep = NULL;
}

static void check_entries(struct cv_check *c)
{
	for (size_t i = 0; i < c->doc->entry_count && !cv_findings_is_full(c->findings); i++) {
		c->entry = &c->doc->entries[i];
		check_entry(c);
	}
	c->entry = NULL;
}

/* ---- network_middlewares ---- */

static const char *pattern_fault(struct cv_str s)
{
	if (!s.n)
		return "is empty";
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '{' || s.p[i] == '}')
			return "contains a brace";
		if (s.p[i] == ' ' || (s.p[i] >= '\t' && s.p[i] <= '\r'))
			return "contains whitespace";
	}
	while (s.p)
		if (!cv_str_cut(&s, '.').n)
			return "has an empty label";
	return NULL;
}

static const char *glob_fault(struct cv_str pattern)
{
	struct cv_arena arena;

	cv_arena_init(&arena, GLOB_BYTES_MAX);
	const bool is_fine = cv_middleware_glob(pattern, &arena) != NULL;
	cv_arena_fini(&arena);
	return is_fine ? NULL : "is malformed";
}

static void check_patterns(
	struct cv_check *c, const struct cv_policy_middleware *m, const struct cv_policy_texts *t)
{
	for (size_t i = 0; i < t->n; i++) {
		const char *fault = pattern_fault(t->v[i].s);

		if (!fault)
			fault = glob_fault(t->v[i].s);

		if (fault)
			CV_CHECK_ERROR(c, t->v[i].pos, NULL,
				"middleware %.*s: host pattern '%.*s' %s",
				CV_POLICY_QUOTE(m->key.s), CV_POLICY_QUOTE(t->v[i].s), fault);
	}
}

/* Each expression is compiled here too, so that a bad one is known before the run. */
static void check_config(struct cv_check *c, const struct cv_policy_middleware *m)
{
	struct cv_middleware mw;

	cv_middleware_read(c, m, &mw);
	for (size_t i = 0; i < mw.pattern_count; i++) {
		const struct cv_middleware_pattern *p = &mw.pattern[i];
		struct cv_regex *regex = NULL;
		struct cv_err err = { 0 };

		if (cv_regex_compile(p->regex, &regex, &err) != CV_OK)
			CV_CHECK_ERROR(c, p->pos, NULL, "middleware %.*s: pattern %.*s: %s",
				CV_POLICY_QUOTE(m->key.s), CV_POLICY_QUOTE(p->name), err.msg);
		cv_regex_free(regex);
	}
}

static void check_middleware(struct cv_check *c, const struct cv_policy_middleware *m)
{
	const struct cv_str key = m->key.s;

	if (!m->include.n)
		CV_CHECK_ERROR(c, m->pos, "name the hosts in endpoints.include",
			"middleware %.*s: endpoints.include is empty", CV_POLICY_QUOTE(key));
	if (m->include.n + m->exclude.n > CV_POLICY_MIDDLEWARE_PATTERNS_MAX)
		CV_CHECK_ERROR(c, m->pos, NULL, "middleware %.*s: %zu host patterns; at most %d",
			CV_POLICY_QUOTE(key), m->include.n + m->exclude.n,
			CV_POLICY_MIDDLEWARE_PATTERNS_MAX);
	if (m->on_error.s.n && !cv_policy_is_word(m->on_error, "fail_closed") &&
		!cv_policy_is_word(m->on_error, "fail_open"))
		CV_CHECK_ERROR(c, m->on_error.pos, "expected fail_closed or fail_open",
			"middleware %.*s: unknown on_error '%.*s'", CV_POLICY_QUOTE(key),
			CV_POLICY_QUOTE(m->on_error.s));
	check_patterns(c, m, &m->include);
	check_patterns(c, m, &m->exclude);
	check_config(c, m);
}

static bool selects(const struct cv_policy_texts *t, struct cv_str host)
{
	for (size_t i = 0; i < t->n; i++)
		if (cv_policy_hosts_overlap(t->v[i].s, host))
			return true;
	return false;
}

/* A pattern of an endpoint is excluded only by the same pattern: that is enough to be sure. */
static bool excludes(const struct cv_policy_texts *t, struct cv_str host)
{
	struct cv_arena arena;
	bool is_hit = false;

	cv_arena_init(&arena, GLOB_BYTES_MAX * CV_POLICY_MIDDLEWARE_PATTERNS_MAX);
	for (size_t i = 0; i < t->n && !is_hit; i++)
		is_hit = cv_str_eq_nocase(t->v[i].s, host) ||
			 (host.n && !cv_str_has_byte(host, '*') &&
				 cv_glob_match(cv_middleware_glob(t->v[i].s, &arena), host));
	cv_arena_fini(&arena);
	return is_hit;
}

/* A raw tunnel can't be shown to a middleware: one that must not fail open forbids it. */
static void check_middleware_tunnels(struct cv_check *c, const struct cv_policy_middleware *m)
{
	if (cv_policy_is_word(m->on_error, "fail_open"))
		return;
	for (size_t i = 0; i < c->doc->entry_count; i++) {
		const struct cv_policy_entry *n = &c->doc->entries[i];
		char line[CV_FINDING_LINE_BYTES];

		for (size_t j = 0; j < n->endpoint_count; j++)
			if ((n->endpoints[j].tls == CV_TLS_SKIP ||
				    n->endpoints[j].protocol == CV_PROTOCOL_TCP ||
				    n->endpoints[j].protocol == CV_PROTOCOL_POSTGRES) &&
				selects(&m->include, n->endpoints[j].host.s) &&
				!excludes(&m->exclude, n->endpoints[j].host.s))
				CV_CHECK_ERROR(c, m->pos,
					"exclude the host, or set on_error: fail_open",
					"middleware %.*s is fail_closed but selects "
					"%.*s.endpoints[%zu]%s, which has %s",
					CV_POLICY_QUOTE(m->key.s), CV_POLICY_QUOTE(n->key.s), j,
					cv_finding_line(c->findings, " (line ",
						n->endpoints[j].pos.line, ")", line),
					n->endpoints[j].tls == CV_TLS_SKIP ? "tls: skip"
					: n->endpoints[j].protocol == CV_PROTOCOL_TCP
						? "protocol: tcp"
						: "protocol: postgres");
	}
}

static void check_middlewares(struct cv_check *c)
{
	const struct cv_policy_middleware *v = c->doc->middlewares;
	const size_t n = c->doc->middleware_count;

	if (n > CV_POLICY_MIDDLEWARE_COUNT_MAX) {
		CV_CHECK_ERROR(c, v[0].pos, NULL, "%zu network_middlewares; at most %d", n,
			CV_POLICY_MIDDLEWARE_COUNT_MAX);
		return; /* what follows is quadratic */
	}
	for (size_t i = 0; i < n; i++) {
		check_middleware(c, &v[i]);
		check_middleware_tunnels(c, &v[i]);
		for (size_t j = 0; j < i; j++)
			if (v[i].order == v[j].order)
				CV_CHECK_ERROR(c, v[i].pos, "give each its own",
					"middlewares %.*s and %.*s have the same order %lld",
					CV_POLICY_QUOTE(v[j].key.s), CV_POLICY_QUOTE(v[i].key.s),
					(long long)v[i].order);
	}
}

static cv_check_fn *const doc_checks[] = {
	check_filesystem,
	check_process,
	check_entries,
	check_middlewares,
	cv_check_tools,
};

cv_code cv_policy_validate(const struct cv_policy_doc *doc, struct cv_findings *findings)
{
	struct cv_check c = { .doc = doc, .findings = findings };
	const size_t before = findings->error_count;

	for (size_t i = 0; i < CV_ARRAY_LEN(doc_checks); i++)
		doc_checks[i](&c);
	if (findings->error_count == before) /* comparing wants well-formed patterns */
		cv_check_ambiguity(doc, findings);
	return cv_findings_code(findings, before);
}
