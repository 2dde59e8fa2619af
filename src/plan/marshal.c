/* SPDX-License-Identifier: Apache-2.0 */
/*
 * marshal.c - a plan to bytes and back
 *
 * The reader is the supervisor and the writer our own `cove`, through a sealed memfd; the reader
 * still bounds everything, because a supervisor may be started by anybody with anything as its
 * descriptor 3.  The command is a string of its own within, forwarded to cove-init unread.
 */
#include "plan/codec.h"
#include "plan/limits.h"
#include "plan/plan.h"

#include <stdlib.h>

#define PLAN_MAGIC 0x36705643u /* "CVp6": a plan of another version is refused */

static void op_walk(struct cv_codec *c, struct cv_plan_op *v)
{
	cv_codec_u32(c, &v->type);
	cv_codec_u32(c, &v->flags);
	cv_codec_u32(c, &v->arg);
	cv_codec_str(c, &v->src);
	cv_codec_str(c, &v->dst);
	cv_codec_str(c, &v->text);
	if (v->type >= CV_PLAN_OP_COUNT)
		c->is_bad = true;
}

static void token_walk(struct cv_codec *c, unsigned char token[CV_PLAN_GATEWAY_TOKEN_BYTES])
{
	for (size_t i = 0; i < CV_PLAN_GATEWAY_TOKEN_BYTES; i += 4) {
		uint32_t v = 0;

		for (size_t k = 4; k-- > 0;)
			v = v << 8 | token[i + k];
		cv_codec_u32(c, &v);
		for (size_t k = 0; k < 4; k++)
			token[i + k] = (unsigned char)(v >> (8 * k));
	}
}

static void gateway_walk(struct cv_codec *c, struct cv_plan_gateway *v)
{
	cv_codec_str(c, &v->socket);
	if (!v->socket.n)
		return;
	cv_codec_str(c, &v->sandbox);
	cv_codec_str(c, &v->instance);
	token_walk(c, v->token);
	cv_codec_u32(c, &v->flags);
}

static void providers_walk(struct cv_codec *c, struct cv_plan *v)
{
	v->providers = cv_codec_array(c, v->providers, &v->provider_count, CV_PLAN_PROVIDERS_MAX,
		sizeof(v->providers[0]));
	for (uint32_t i = 0; i < v->provider_count; i++) {
		cv_codec_str(c, &v->providers[i].name);
		cv_codec_str(c, &v->providers[i].type);
		cv_codec_strs(
			c, &v->providers[i].keys, &v->providers[i].key_count, CV_PLAN_KEYS_MAX);
	}
}

/* Who is spoken to: what certificates hold, and which names have a given address. */
static void trust_walk(struct cv_codec *c, struct cv_plan *v)
{
	cv_codec_str(c, &v->roots);
	cv_codec_strs(c, &v->ca_files, &v->ca_count, CV_PLAN_PINS_MAX);
	v->pins = cv_codec_array(c, v->pins, &v->pin_count, CV_PLAN_PINS_MAX, sizeof(v->pins[0]));
	for (uint32_t i = 0; i < v->pin_count; i++) {
		cv_codec_str(c, &v->pins[i].host);
		cv_codec_str(c, &v->pins[i].addr);
		cv_codec_u32(c, &v->pins[i].port);
	}
}

static void tools_walk(struct cv_codec *c, struct cv_plan *v)
{
	cv_codec_strs(c, &v->tools_files, &v->tools_count, CV_PLAN_TOOLS_FILES_MAX);
	v->tools =
		cv_codec_array(c, v->tools, &v->tool_count, CV_PLAN_TOOLS_MAX, sizeof(v->tools[0]));
	for (uint32_t i = 0; i < v->tool_count; i++) {
		cv_codec_str(c, &v->tools[i].name);
		cv_codec_str(c, &v->tools[i].asks);
	}
	cv_codec_str(c, &v->tools_map);
	cv_codec_str(c, &v->tools_digest);
	cv_codec_str(c, &v->tools_state);
	cv_codec_str(c, &v->tools_slots);
	cv_codec_strs(c, &v->tools_env, &v->tools_env_count, CV_PLAN_COURIER_ENV_MAX);
}

static void ports_walk(struct cv_codec *c, struct cv_plan *v)
{
	cv_codec_u32(c, &v->port_count);
	if (v->interception >= CV_INTERCEPTION_COUNT || v->port_count > CV_ARRAY_LEN(v->ports)) {
		c->is_bad = true;
		v->port_count = 0;
	}
	for (uint32_t i = 0; i < v->port_count; i++) {
		cv_codec_u32(c, &v->ports[i]);
		if (!v->ports[i] || v->ports[i] > UINT16_MAX)
			c->is_bad = true;
	}
}

static void walk(struct cv_codec *c, struct cv_plan *v)
{
	uint32_t magic = PLAN_MAGIC;

	cv_codec_u32(c, &magic);
	if (magic != PLAN_MAGIC)
		c->is_bad = true;
	cv_codec_u32(c, &v->flags);
	cv_codec_u32(c, &v->inner_uid);
	cv_codec_u32(c, &v->inner_gid);
	cv_codec_u32(c, &v->interception);
	ports_walk(c, v);
	gateway_walk(c, &v->gateway);
	v->ops = cv_codec_array(c, v->ops, &v->op_count, CV_PLAN_OPS_MAX, sizeof(v->ops[0]));
	for (uint32_t i = 0; i < v->op_count; i++)
		op_walk(c, &v->ops[i]);
	cv_codec_u32(c, &v->cpu_milli);
	cv_codec_u32(c, &v->pids);
	cv_codec_u64(c, &v->memory_bytes);
	cv_codec_u64(c, &v->timeout_ms);
	cv_codec_u64(c, &v->approve_ms);
	cv_codec_str(c, &v->approve_dir);
	cv_codec_str(c, &v->exe_init);
	cv_codec_str(c, &v->exe_proxy);
	cv_codec_str(c, &v->exe_keeper);
	cv_codec_str(c, &v->exe_courier);
	cv_codec_str(c, &v->exe_broker);
	cv_codec_str(c, &v->policy_file);
	cv_codec_str(c, &v->policy_name);
	cv_codec_str(c, &v->policy_layer);
	providers_walk(c, v);
	cv_codec_str(c, &v->audit_file);
	trust_walk(c, v);
	cv_codec_strs(c, &v->budgets, &v->budget_count, CV_PLAN_PINS_MAX);
	cv_codec_str(c, &v->routes_file);
	cv_codec_str(c, &v->upstream_proxy);
	cv_codec_str(c, &v->upstream_direct);
	cv_codec_strs(c, &v->courier_env, &v->courier_env_count, CV_PLAN_COURIER_ENV_MAX);
	cv_codec_strs(c, &v->metadata, &v->metadata_count, CV_PLAN_METADATA_MAX);
	tools_walk(c, v);
	cv_codec_strs(c, &v->watch, &v->watch_count, CV_PLAN_OPS_MAX);
}

bool cv_plan_put(struct cv_buf *b, const struct cv_plan *plan)
{
	struct cv_plan v = *plan;
	struct cv_codec c = { .out = b };

	walk(&c, &v);
	return !c.is_bad && cv_plan_command_put(b, &plan->command);
}

cv_code cv_plan_get(
	struct cv_str bytes, struct cv_arena *arena, struct cv_plan *ret, struct cv_err *err)
{
	struct cv_codec c = { .rest = bytes, .arena = arena };
	struct cv_plan v = { 0 };

	walk(&c, &v);
	if (c.is_bad)
		return cv_fail(err, CV_PROTO, "not a plan");
	v.command_bytes = c.rest;
	if (cv_plan_command_get(c.rest, arena, &v.command, err) != CV_OK)
		return CV_PROTO;
	if (v.command.argc == 0 && !(v.gateway.flags & CV_PLAN_GATEWAY_NO_MAIN))
		return cv_fail(err, CV_PROTO, "a plan without a command");
	*ret = v;
	return CV_OK;
}
