/* SPDX-License-Identifier: Apache-2.0 */
/*
 * print.c - a plan for people (--dry-run) and for programs (-o json)
 */
#include "plan/plan.h"

#define OP_NAME(name, text) text,
static const char *const op_name[] = { CV_PLAN_OPS(OP_NAME) };
#undef OP_NAME

const char *cv_plan_op_name(uint32_t type)
{
	return type < CV_PLAN_OP_COUNT ? op_name[type] : "?";
}

static const struct {
	uint32_t flag;
	const char *name;
} op_flag[] = {
	{ CV_PLAN_READONLY, "read-only" },
	{ CV_PLAN_OPTIONAL, "if-present" },
	{ CV_PLAN_REPLACE, "replace" },
	{ CV_PLAN_NOEXEC, "noexec" },
};

/* A word as it is, or in quotes when a reader could mistake it. */
static void word_put(struct cv_buf *out, struct cv_str s)
{
	bool is_plain = s.n > 0;

	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] <= ' ' || s.p[i] == '"' || s.p[i] == '\\' ||
			s.p[i] == 0x7f)
			is_plain = false;
	if (!is_plain)
		cv_buf_put_byte(out, '"');
	cv_buf_put_json(out, s);
	if (!is_plain)
		cv_buf_put_byte(out, '"');
}

static void words_put(struct cv_buf *out, const char *label, const struct cv_str *v, uint32_t n)
{
	cv_buf_printf(out, "%s", label);
	for (uint32_t i = 0; i < n; i++) {
		cv_buf_put_byte(out, ' ');
		word_put(out, v[i]);
	}
	cv_buf_put_byte(out, '\n');
}

static void words_put_each(
	struct cv_buf *out, const char *label, const struct cv_str *v, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		words_put(out, label, &v[i], 1);
}

static void op_text(struct cv_buf *out, uint32_t number, const struct cv_plan_op *op)
{
	cv_buf_printf(out, "%3u %-12s", number, cv_plan_op_name(op->type));
	if (op->dst.n) {
		cv_buf_put_byte(out, ' ');
		word_put(out, op->dst);
	}
	if (op->src.n && !cv_str_eq(op->src, op->dst)) {
		cv_buf_put(out, CV_STR(" from "));
		word_put(out, op->src);
	}
	if (op->type == CV_PLAN_DIR || op->type == CV_PLAN_FILE)
		cv_buf_printf(out, " mode %04o", op->arg);
	for (size_t i = 0; i < CV_ARRAY_LEN(op_flag); i++)
		if (op->flags & op_flag[i].flag)
			cv_buf_printf(out, " %s", op_flag[i].name);
	if (op->text.n) {
		cv_buf_put(out, CV_STR(" = "));
		word_put(out, op->text);
	}
	cv_buf_put_byte(out, '\n');
}

static void limits_text(struct cv_buf *out, const struct cv_plan *p)
{
	if (p->cpu_milli)
		cv_buf_printf(out, "limit cpu %u.%03u\n", p->cpu_milli / 1000, p->cpu_milli % 1000);
	if (p->memory_bytes)
		cv_buf_printf(out, "limit memory %llu\n", (unsigned long long)p->memory_bytes);
	if (p->pids)
		cv_buf_printf(out, "limit pids %u\n", p->pids);
	if (p->timeout_ms)
		cv_buf_printf(out, "limit time-ms %llu\n", (unsigned long long)p->timeout_ms);
}

/* With a wish for anyip also the policy's ports, which it listens on. */
static void interception_text(struct cv_buf *out, const struct cv_plan *p)
{
	cv_buf_printf(out, "interception %s", cv_interception_name(p->interception));
	if (p->interception == CV_INTERCEPTION_ANYIP)
		for (uint32_t i = 0; i < p->port_count; i++)
			cv_buf_printf(out, "%s %u", i ? "" : " port", p->ports[i]);
	cv_buf_put_byte(out, '\n');
}

void cv_plan_text(const struct cv_plan *p, struct cv_buf *out)
{
	const struct cv_plan_command *c = &p->command;

	cv_buf_printf(out, "namespaces user pid mount net ipc uts cgroup\nuser %u group %u\n",
		p->inner_uid, p->inner_gid);
	cv_buf_printf(out, "network %s\nterminal %s\n",
		p->flags & CV_PLAN_NETWORK ? "by policy" : "none",
		p->flags & CV_PLAN_TTY ? "yes" : "no");
	interception_text(out, p);
	limits_text(out, p);
	for (uint32_t i = 0; i < c->rlimit_count; i++)
		cv_buf_printf(out, "rlimit %u %llu\n", c->rlimits[i].resource,
			(unsigned long long)c->rlimits[i].hard);
	for (uint32_t i = 0; i < p->op_count; i++)
		op_text(out, i + 1, &p->ops[i]);
	for (uint32_t i = 0; i < c->rule_count; i++) {
		cv_buf_printf(out, "landlock %-6s ", cv_access_kind_name(c->rules[i].access));
		word_put(out, c->rules[i].path);
		cv_buf_put_byte(out, '\n');
	}
	for (uint32_t i = 0; i < p->provider_count; i++) {
		cv_buf_put(out, CV_STR("provider "));
		word_put(out, p->providers[i].name);
		cv_buf_put_byte(out, ' ');
		word_put(out, p->providers[i].type);
		words_put(out, " for", p->providers[i].keys, p->providers[i].key_count);
	}
	words_put_each(out, "tools-file", p->tools_files, p->tools_count);
	for (uint32_t i = 0; i < p->tool_count; i++) {
		cv_buf_put(out, CV_STR("tool "));
		word_put(out, p->tools[i].name);
		cv_buf_put_byte(out, ' ');
		cv_buf_put_json(out, p->tools[i].asks);
		cv_buf_put_byte(out, '\n');
	}
	if (p->upstream_proxy.n) {
		words_put(out, "upstream-proxy", &p->upstream_proxy, 1);
		cv_buf_printf(out, "upstream-proxy is told %s, %s credentials\n",
			p->flags & CV_PLAN_UPSTREAM_BY_NAME ? "names" : "addresses",
			p->flags & CV_PLAN_UPSTREAM_AUTH ? "with" : "without");
		words_put(out, "past it", &p->upstream_direct, p->upstream_direct.n > 0);
	}
	if (p->gateway.socket.n) {
		words_put(out, "gateway", &p->gateway.socket, 1);
		words_put(out, "gateway's sandbox", &p->gateway.sandbox, 1);
	}
	words_put(out, "env", c->env, c->envc);
	words_put(out, "cwd", &c->cwd, 1);
	words_put(out, "exec", c->argv, c->argc);
}

/* ---- JSON ---- */

static void json_strs(struct cv_buf *out, const char *key, const struct cv_str *v, uint32_t n)
{
	cv_buf_printf(out, ",\"%s\":[", key);
	for (uint32_t i = 0; i < n; i++) {
		if (i)
			cv_buf_put_byte(out, ',');
		cv_buf_put_json_str(out, v[i]);
	}
	cv_buf_put_byte(out, ']');
}

static void op_json(struct cv_buf *out, const struct cv_plan_op *op)
{
	cv_buf_put_byte(out, '{');
	cv_buf_put_json_member(out, "op", cv_str_of(cv_plan_op_name(op->type)));
	cv_buf_put_byte(out, ',');
	cv_buf_put_json_member(out, "dst", op->dst);
	if (op->src.n) {
		cv_buf_put_byte(out, ',');
		cv_buf_put_json_member(out, "src", op->src);
	}
	if (op->text.n) {
		cv_buf_put_byte(out, ',');
		cv_buf_put_json_member(out, "text", op->text);
	}
	if (op->arg)
		cv_buf_printf(out, ",\"arg\":%u", op->arg);
	for (size_t i = 0; i < CV_ARRAY_LEN(op_flag); i++)
		if (op->flags & op_flag[i].flag)
			cv_buf_printf(out, ",\"%s\":true", op_flag[i].name);
	cv_buf_put_byte(out, '}');
}

static void tools_json(struct cv_buf *out, const struct cv_plan *p)
{
	json_strs(out, "tools_files", p->tools_files, p->tools_count);
	cv_buf_put(out, CV_STR(",\"tools\":["));
	for (uint32_t i = 0; i < p->tool_count; i++) {
		cv_buf_put(out, i ? CV_STR(",{") : CV_STR("{"));
		cv_buf_put_json_member(out, "name", p->tools[i].name);
		cv_buf_put_byte(out, ',');
		cv_buf_put_json_member(out, "asks", p->tools[i].asks);
		cv_buf_put_byte(out, '}');
	}
	cv_buf_put_byte(out, ']');
}

static void interception_json(struct cv_buf *out, const struct cv_plan *p)
{
	cv_buf_printf(
		out, ",\"interception\":\"%s\",\"ports\":[", cv_interception_name(p->interception));
	for (uint32_t i = 0; i < p->port_count; i++)
		cv_buf_printf(out, "%s%u", i ? "," : "", p->ports[i]);
	cv_buf_put_byte(out, ']');
}

void cv_plan_json(const struct cv_plan *p, struct cv_buf *out)
{
	const struct cv_plan_command *c = &p->command;

	cv_buf_printf(out, "{\"user\":%u,\"group\":%u,\"network\":%s,\"terminal\":%s", p->inner_uid,
		p->inner_gid, p->flags & CV_PLAN_NETWORK ? "true" : "false",
		p->flags & CV_PLAN_TTY ? "true" : "false");
	cv_buf_printf(out,
		",\"limits\":{\"cpu_milli\":%u,\"memory_bytes\":%llu,\"pids\":%u,\"time_ms\":%llu}",
		p->cpu_milli, (unsigned long long)p->memory_bytes, p->pids,
		(unsigned long long)p->timeout_ms);
	interception_json(out, p);
	cv_buf_put(out, CV_STR(",\"steps\":["));
	for (uint32_t i = 0; i < p->op_count; i++) {
		if (i)
			cv_buf_put_byte(out, ',');
		op_json(out, &p->ops[i]);
	}
	cv_buf_put(out, CV_STR("],\"landlock\":["));
	for (uint32_t i = 0; i < c->rule_count; i++) {
		cv_buf_put(out, i ? CV_STR(",{") : CV_STR("{"));
		cv_buf_put_json_member(
			out, "access", cv_str_of(cv_access_kind_name(c->rules[i].access)));
		cv_buf_put_byte(out, ',');
		cv_buf_put_json_member(out, "path", c->rules[i].path);
		cv_buf_put_byte(out, '}');
	}
	cv_buf_put(out, CV_STR("],\"providers\":["));
	for (uint32_t i = 0; i < p->provider_count; i++) {
		cv_buf_put(out, i ? CV_STR(",{") : CV_STR("{"));
		cv_buf_put_json_member(out, "name", p->providers[i].name);
		cv_buf_put_byte(out, ',');
		cv_buf_put_json_member(out, "type", p->providers[i].type);
		json_strs(out, "env", p->providers[i].keys, p->providers[i].key_count);
		cv_buf_put_byte(out, '}');
	}
	cv_buf_put_byte(out, ']');
	if (p->tools_count)
		tools_json(out, p);
	if (p->upstream_proxy.n) {
		cv_buf_put(out, CV_STR(",\"upstream_proxy\":{"));
		cv_buf_put_json_member(out, "url", p->upstream_proxy);
		cv_buf_put_byte(out, ',');
		cv_buf_put_json_member(out, "past_it", p->upstream_direct);
		cv_buf_printf(out, ",\"by_name\":%s,\"credentials\":%s}",
			p->flags & CV_PLAN_UPSTREAM_BY_NAME ? "true" : "false",
			p->flags & CV_PLAN_UPSTREAM_AUTH ? "true" : "false");
	}
	if (p->gateway.socket.n) {
		cv_buf_put(out, CV_STR(",\"gateway\":{"));
		cv_buf_put_json_member(out, "socket", p->gateway.socket);
		cv_buf_put_byte(out, ',');
		cv_buf_put_json_member(out, "sandbox", p->gateway.sandbox);
		cv_buf_put(out, CV_STR("}"));
	}
	json_strs(out, "env", c->env, c->envc);
	cv_buf_put_byte(out, ',');
	cv_buf_put_json_member(out, "cwd", c->cwd);
	json_strs(out, "exec", c->argv, c->argc);
	cv_buf_put(out, CV_STR("}\n"));
}
