/* SPDX-License-Identifier: Apache-2.0 */
/*
 * postgres_decide.c - a statement as facts, the verdict as an event and as an error
 *
 * The commands of a text are asked about one by one, each as a request whose method is the command
 * and whose path is the database; the first that is denied decides.  The text itself is in no
 * event: its commands and its hash are, so that two events can be told to be of the same text.
 *
 * From the same questions two things follow for the whole session:
 *   restricted  something is denied: settings that would make the server read a text differently
 *               than we do are not let in with the startup packet
 *   read-only   nothing is allowed that writes: the server is told default_transaction_read_only,
 *               which holds for what functions do, which no text shows
 */
#include "proxy/postgres_int.h"

#include "base/hex.h"
#include "base/sha256.h"
#include "wire/pg_sql.h"

#include <stdio.h>

static struct cv_verdict command_ask(
	struct cv_proxy *p, const struct cv_flow *f, const struct cv_pg *g, enum cv_pg_command c)
{
	struct cv_facts facts;

	cv_decide_facts(p, f, CV_OP_REQUEST, &facts);
	facts.method = cv_pg_command_row(c)->name;
	facts.path = cv_pg_path(g);
	return cv_policy_decide(f->policy, &facts);
}

/* A name with anything but letters, digits and - _ . encoded: it can't leave its segment. */
static bool path_make(struct cv_pg *g, struct cv_str database)
{
	size_t n = 0;

	g->path[n++] = '/';
	for (size_t i = 0; i < database.n; i++) {
		const unsigned char c = (unsigned char)database.p[i];
		const bool is_plain = (c >= '0' && c <= '9') || (c | 0x20u) - 'a' < 26u ||
				      c == '-' || c == '_' || (c == '.' && database.n > 2);

		if (n + 3 >= sizeof(g->path))
			return false;
		if (is_plain)
			g->path[n++] = (char)c;
		else
			n += (size_t)snprintf(g->path + n, 4, "%%%02X", c);
	}
	g->path_n = n;
	return true;
}

bool cv_pg_access_find(struct cv_proxy *p, struct cv_flow *f, struct cv_pg *g,
	struct cv_str database, const struct cv_policy_endpoint **ret_endpoint)
{
	bool is_any = false;

	g->allowed = 0;
	g->is_restricted = false;
	g->is_read_only = true;
	*ret_endpoint = NULL;
	if (database.p && !path_make(g, database))
		return false;
	for (unsigned i = 0; i < CV_PG_COMMAND_COUNT; i++) {
		const enum cv_pg_command c = (enum cv_pg_command)i;
		const struct cv_verdict v = command_ask(p, f, g, c);
		const enum cv_pg_level level = cv_pg_command_row(c)->level;

		if (v.action != CV_ACTION_ALLOW) {
			g->is_restricted = true;
			continue;
		}
		g->allowed |= 1u << i;
		if (!*ret_endpoint)
			*ret_endpoint = cv_policy_endpoint_of(f->policy, &v);
		is_any |= level > CV_PG_ALWAYS;
		if (level >= CV_PG_WRITE)
			g->is_read_only = false;
	}
	return is_any;
}

const struct cv_policy_endpoint *cv_pg_endpoint_find(
	struct cv_proxy *p, const struct cv_flow *f, const struct cv_pg *g)
{
	for (unsigned i = 0; i < CV_PG_COMMAND_COUNT; i++) {
		const struct cv_verdict v = command_ask(p, f, g, (enum cv_pg_command)i);

		if (v.action == CV_ACTION_ALLOW)
			return cv_policy_endpoint_of(f->policy, &v);
	}
	return NULL;
}

/* ---- words ---- */

/* "SELECT, SHOW", or "nothing": what the policy allows here. */
static struct cv_str allowed_text(struct cv_proxy *p, struct cv_flow *f)
{
	struct cv_str list = CV_STR("");

	for (unsigned i = 0; i < CV_PG_COMMAND_COUNT; i++) {
		const enum cv_pg_command c = (enum cv_pg_command)i;
		const struct cv_pg_command_row *row = cv_pg_command_row(c);

		if (row->level == CV_PG_ALWAYS ||
			command_ask(p, f, f->pg, c).action != CV_ACTION_ALLOW)
			continue;
		list = cv_arena_printf(&p->arena, "%.*s%s%.*s", CV_STR_ARG(list),
			list.n ? ", " : "", CV_STR_ARG(row->name));
	}
	return list.n ? list : CV_STR("nothing");
}

static struct cv_str commands_text(struct cv_proxy *p, uint32_t commands)
{
	struct cv_str list = CV_STR("");

	for (unsigned i = 0; i < CV_PG_COMMAND_COUNT; i++)
		if (commands & 1u << i)
			list = cv_arena_printf(&p->arena, "%.*s%s%.*s", CV_STR_ARG(list),
				list.n ? " " : "",
				CV_STR_ARG(cv_pg_command_row((enum cv_pg_command)i)->name));
	return list;
}

static struct cv_str rule_text(
	struct cv_proxy *p, const struct cv_flow *f, const struct cv_verdict *v)
{
	const struct cv_str entry = cv_policy_entry_name(f->policy, v->entry);

	return cv_arena_printf(&p->arena, "%s of policy \"%.*s\" (line %u)",
		v->reason == CV_REASON_DENY_RULE ? "a deny rule" : "the rules", CV_STR_ARG(entry),
		v->line);
}

/* ---- the event, and the error ---- */

static void event_write(struct cv_proxy *p, struct cv_flow *f, enum cv_audit_action action,
	const struct cv_verdict *v, struct cv_str commands, struct cv_str sql, struct cv_str reason)
{
	unsigned char digest[CV_SHA256_BYTES];
	struct cv_sha256 h;
	struct cv_buf hex;

	cv_sha256_init(&h);
	cv_sha256_update(&h, sql.p, sql.n);
	cv_sha256_final(&h, digest);
	cv_buf_init(&hex, 2 * sizeof(digest));
	cv_buf_put_hex(&hex, (struct cv_str){ (const char *)digest, sizeof(digest) });
	const struct cv_audit_pair extra[] = {
		{ "pg_commands", commands },
		{ "pg_database", cv_str_slice(cv_pg_path(f->pg), 1, f->pg->path_n) },
		{ "pg_statement_sha256", cv_buf_str(&hex) },
	};
	const struct cv_fact fact = {
		.action = action,
		.activity = CV_ACTIVITY_OTHER,
		.verdict = v,
		.engine = "l7",
		.reason_code = action == CV_AUDIT_ACTION_DENY ? cv_reason_code(v->reason) : NULL,
		.reason = reason,
		.protocol = CV_STR("postgresql"),
		.extra = extra,
		.extra_count = CV_ARRAY_LEN(extra),
	};
	cv_decide_record(p, f, &fact);
	cv_buf_fini(&hex);
}

static void denied_set(struct cv_pg *g, const char *severity, const char *sqlstate,
	struct cv_str why, struct cv_str hint)
{
	cv_buf_reset(&g->denied);
	cv_pg_put_error(&g->denied, severity, sqlstate, why, hint);
}

static bool statement_deny(struct cv_proxy *p, struct cv_flow *f, enum cv_pg_command c,
	const struct cv_verdict *v, const struct cv_pg_sql *s, struct cv_str sql)
{
	const struct cv_str rule = rule_text(p, f, v);
	const struct cv_str because = c == CV_PG_COMMAND_OTHER && s->problem
					      ? cv_arena_printf(&p->arena, " (%s)", s->problem)
					      : CV_STR("");
	const struct cv_str why =
		cv_arena_printf(&p->arena, "cove: %.*s%.*s is not permitted on %s:%u%.*s by %.*s",
			CV_STR_ARG(cv_pg_command_row(c)->name), CV_STR_ARG(because), f->host.text,
			f->port, CV_STR_ARG(cv_pg_path(f->pg)), CV_STR_ARG(rule));
	const struct cv_str allowed = allowed_text(p, f);
	const struct cv_str hint =
		cv_arena_printf(&p->arena, "Allowed here: %.*s.", CV_STR_ARG(allowed));

	event_write(p, f, CV_AUDIT_ACTION_DENY, v, commands_text(p, s->commands), sql, why);
	denied_set(f->pg, "ERROR", "42501", why, hint);
	return false;
}

/* The snapshot of the present policy decides; the session's own terms were compared when it came. */
bool cv_pg_decide(struct cv_proxy *p, struct cv_flow *f, struct cv_str sql)
{
	const struct cv_pg_sql s = cv_pg_sql_classify(sql);
	struct cv_verdict v, shown = f->verdict;
	bool is_logged = false;

	if (!cv_sinks_are_well(&p->sinks)) {
		cv_pg_refuse(p, f, "57P03", "audit_unavailable",
			CV_STR("the audit log can't be written; nothing is allowed until it can"));
		return false;
	}
	for (unsigned i = 0; i < CV_PG_COMMAND_COUNT; i++) {
		if (!(s.commands & 1u << i))
			continue;
		v = command_ask(p, f, f->pg, (enum cv_pg_command)i);
		if (v.action != CV_ACTION_ALLOW)
			return statement_deny(p, f, (enum cv_pg_command)i, &v, &s, sql);
		if (!is_logged)
			shown = v;
		is_logged |= v.obligations & CV_OBLIGE_LOG_ONLY;
	}
	if (s.commands)
		event_write(p, f, is_logged ? CV_AUDIT_ACTION_LOG : CV_AUDIT_ACTION_ALLOW, &shown,
			commands_text(p, s.commands), sql,
			is_logged ? CV_STR("would be denied if it were enforced") : CV_STR_NONE);
	return true;
}

static void refusal_record(
	struct cv_proxy *p, struct cv_flow *f, const char *code, struct cv_str why)
{
	const struct cv_fact fact = {
		.action = CV_AUDIT_ACTION_DENY,
		.activity = CV_ACTIVITY_REFUSE,
		.engine = "l7",
		.reason_code = code,
		.reason = why,
		.protocol = CV_STR("postgresql"),
	};

	cv_decide_record(p, f, &fact);
}

void cv_pg_refuse(struct cv_proxy *p, struct cv_flow *f, const char *sqlstate, const char *code,
	struct cv_str why)
{
	const struct cv_str said = cv_arena_printf(&p->arena, "cove: %.*s", CV_STR_ARG(why));

	refusal_record(p, f, code, why);
	denied_set(f->pg, "ERROR", sqlstate, said, CV_STR_NONE);
}

bool cv_pg_fail(struct cv_proxy *p, struct cv_flow *f, const char *sqlstate, const char *code,
	struct cv_str why)
{
	const struct cv_str said = cv_arena_printf(&p->arena, "cove: %.*s", CV_STR_ARG(why));
	bool has_moved;

	refusal_record(p, f, code, why);
	denied_set(f->pg, "FATAL", sqlstate, said, CV_STR_NONE);
	/* not into the middle of another message */
	if (!f->pg->down_left && cv_pg_flush(&f->client, &f->pg->down, &has_moved))
		cv_leg_put(&f->client, cv_buf_str(&f->pg->denied));
	cv_flow_finish(p, f);
	return true;
}
