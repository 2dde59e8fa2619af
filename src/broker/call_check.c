/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call_check.c - what a call asks for, and whether it may
 *
 *     body -> JSON -> policy -> sandbox field -> schema
 *
 * Policy comes before the schema: who may not call a tool learns nothing about it but that.  What
 * passes policy is told everything that is wrong at once.  Each refusal is one event.
 */
#include "broker/call_int.h"
#include "broker/discovery.h"

#include "base/hex.h"
#include "base/sha256.h"
#include "tools/schema.h"
#include "wire/json_value.h"

#include <string.h>

/* ---- refusals ---- */

void call_refuse(struct call *c, int status, const char *code, uint32_t retry_after,
	struct cv_str reason, struct cv_buf *e)
{
	const bool has_verdict = c->verdict.rule != CV_POLICY_NONE && c->box->policy;

	error_end(e);
	audit_refusal(c->b, c->s,
		&(struct refusal){
			.tool = c->tool->name,
			.digest = c->digest[0] ? c->digest : NULL,
			.rule = has_verdict
					? cv_policy_tool_rule_name(c->box->policy, c->verdict.rule)
					: CV_STR_NONE,
			.line = has_verdict ? c->verdict.line : 0,
			.status = status,
			.code = code,
			.reason = reason,
			.bytes_in = c->body_bytes,
		});
	answer(c->b, c->s,
		&(struct answer){
			.status = status, .body = cv_buf_str(e), .retry_after = retry_after });
	cv_buf_fini(e);
}

void call_refuse_plain(struct call *c, int status, const char *code, const char *text)
{
	struct cv_buf e;

	cv_buf_init(&e, 4096);
	error_begin(&e, code, "%s", text);
	call_refuse(c, status, code, 0, cv_str_of(text), &e);
}

void call_refuse_limit(
	struct call *c, const char *code, uint64_t limit, uint32_t retry_after, const char *text)
{
	struct cv_buf e;

	cv_buf_init(&e, 4096);
	error_begin(&e, code, "%s", text);
	cv_buf_printf(&e, ",\"limit\":%llu", (unsigned long long)limit);
	call_refuse(c, 429, code, retry_after, cv_str_of(text), &e);
}

/* ---- the body ---- */

static bool type_check(struct call *c)
{
	if (!c->body_bytes || request_may_be_json(&c->s->request))
		return true;
	call_refuse_plain(c, 415, "unsupported_media_type",
		"send arguments as application/json, without Content-Encoding");
	return false;
}

/* Where v, or what is in it, is at a depth above max; NULL: nowhere.  The reader has bounded v. */
static const struct cv_value *too_deep(const struct cv_value *v, unsigned depth)
{
	const bool is_container = v->type == CV_VALUE_ARRAY || v->type == CV_VALUE_OBJECT;
	const struct cv_value *found = NULL;

	if (is_container && depth == 0)
		return v;
	for (uint32_t i = 0; is_container && i < v->n && !found; i++)
		found = too_deep(&v->v[i], depth - 1);
	return found;
}

static void refuse_json(struct call *c, enum cv_json_problem problem, size_t at)
{
	const bool is_deep = problem == CV_JSON_PROBLEM_DEPTH;
	const char *code = is_deep                                ? "too_deep"
			   : problem == CV_JSON_PROBLEM_DUPLICATE ? "duplicate_key"
								  : "invalid_json";
	struct cv_buf e;

	cv_buf_init(&e, 4096);
	if (is_deep)
		error_begin(&e, code, "the body is nested deeper than %d", BROKER_DEPTH_MAX);
	else
		error_begin(&e, code, "the body %s", cv_json_problem_text(problem));
	cv_buf_printf(&e, ",\"at\":%zu", at);
	if (is_deep)
		cv_buf_printf(&e, ",\"limit\":%d", BROKER_DEPTH_MAX);
	call_refuse(c, 400, code, 0, cv_str_of(cv_json_problem_text(problem)), &e);
}

static void invalid_begin(struct cv_buf *e)
{
	cv_buf_init(e, 1u << 20);
	error_begin(e, "invalid_arguments", "the arguments are not what the tool takes");
	cv_buf_put(e, CV_STR(",\"errors\":["));
}

static void invalid_put(struct cv_buf *e, bool is_first, struct cv_str pointer,
	struct cv_str message, struct cv_str nearest)
{
	cv_buf_put(e, is_first ? CV_STR("{\"pointer\":\"") : CV_STR(",{\"pointer\":\""));
	cv_buf_put_json(e, pointer);
	cv_buf_put_byte(e, '"');
	put_member_str(e, "message", message);
	if (nearest.n)
		put_member_str(e, "nearest", nearest);
	cv_buf_put_byte(e, '}');
}

void call_refuse_argument(struct call *c, struct cv_str pointer, const char *message)
{
	struct cv_buf e;

	invalid_begin(&e);
	invalid_put(&e, true, pointer, cv_str_of(message), CV_STR_NONE);
	cv_buf_put_byte(&e, ']');
	call_refuse(c, 400, "invalid_arguments", 0, cv_str_of(message), &e);
}

/* What a tool's own route says in its path, beside what the body says. */
static bool places_add(struct call *c, const struct cv_tool_route_args *places)
{
	struct cv_err err;

	const cv_code code =
		cv_tool_arguments(c->tool, places, c->arguments, &c->s->arena, &c->arguments, &err);
	if (code == CV_OK)
		return true;
	if (code == CV_INVALID)
		call_refuse_argument(c, CV_STR(""), err.msg);
	else
		call_refuse_plain(c, 413, "body_too_large", "the arguments are too many");
	return false;
}

static bool arguments_read(struct call *c, const struct cv_tool_route_args *places)
{
	static const struct cv_value nothing = { .type = CV_VALUE_OBJECT };
	const struct cv_str text = cv_arena_str(&c->s->arena, cv_buf_str(&c->s->body));
	const struct cv_value *deep;
	size_t at = 0;

	cv_buf_fini(&c->s->body);
	c->arguments = &nothing;
	if (text.n) {
		const enum cv_json_problem problem =
			cv_json_value_read(text, &c->s->arena, &c->arguments, &at);

		if (problem != CV_JSON_PROBLEM_NONE) {
			refuse_json(c, problem, at);
			return false;
		}
		deep = too_deep(c->arguments, BROKER_DEPTH_MAX);
		if (deep) {
			refuse_json(c, CV_JSON_PROBLEM_DEPTH, deep->at);
			return false;
		}
	}
	if (c->arguments->type != CV_VALUE_OBJECT) {
		call_refuse_argument(c, CV_STR(""), "must be an object");
		return false;
	}
	return places_add(c, places);
}

static bool digest_make(struct call *c)
{
	unsigned char bytes[CV_SHA256_BYTES];
	struct cv_sha256 hash;
	struct cv_buf hex;

	cv_buf_init(&c->canonical, 8 * BROKER_BODY_BYTES_MAX);
	if (!cv_json_value_write(&c->canonical, c->arguments))
		return false;
	const struct cv_str text = cv_buf_str(&c->canonical);
	hash = c->b->hash;
	cv_sha256_update(&hash, text.p, text.n);
	cv_sha256_final(&hash, bytes);
	cv_buf_init(&hex, 64);
	cv_buf_put_hex(&hex, (struct cv_str){ (const char *)bytes, sizeof(bytes) });
	memcpy(c->digest, cv_buf_str(&hex).p, 64);
	c->digest[64] = 0;
	cv_buf_fini(&hex);
	return true;
}

/* ---- may it ---- */

static bool policy_check(struct call *c)
{
	const struct cv_tool_facts facts = {
		.who = c->s->caller->who,
		.tool = c->tool->name,
		.arguments = c->arguments,
	};
	struct cv_buf e;

	if (c->box->policy)
		c->verdict = cv_policy_decide_tool(c->box->policy, &facts);
	if (c->verdict.action == CV_ACTION_ALLOW)
		return true;
	const struct cv_str why = c->box->policy ? cv_policy_tool_denial_text(c->box->policy,
							   &facts, &c->verdict, &c->s->arena)
						 : CV_STR("the sandbox has no policy");
	cv_buf_init(&e, 1u << 20);
	error_begin(&e, "policy_denied", "%.*s", CV_STR_ARG(why));
	cv_buf_put(&e, CV_STR(",\"allowed\":"));
	(void)!discovery_put(c->b, c->box, c->s->caller, CV_DISCOVER_ALLOWED, CV_STR_NONE, &e);
	call_refuse(c, 403, "policy_denied", 0, why, &e);
	return false;
}

/* Without one member; in the arena. */
static const struct cv_value *without(
	const struct cv_value *o, struct cv_str key, struct cv_arena *a)
{
	struct cv_value *less = cv_arena_new(a, struct cv_value);
	struct cv_value *v = cv_arena_array(a, o->n, sizeof(*v));
	struct cv_str *k = cv_arena_array(a, o->n, sizeof(*k));
	uint32_t n = 0;

	if (!less || !v || !k)
		return NULL;
	for (uint32_t i = 0; i < o->n; i++)
		if (!cv_str_eq(o->key[i], key)) {
			v[n] = o->v[i];
			k[n++] = o->key[i];
		}
	*less = *o;
	less->v = v;
	less->key = k;
	less->n = n;
	return less;
}

/* Clients of older servers say which sandbox they are: it is compared, and means nothing else
 * unless the tool has an argument of that name. */
static bool sandbox_field_check(struct call *c)
{
	const struct cv_value *v = cv_value_get(c->arguments, CV_STR("sandbox"));
	const struct cv_value *known =
		cv_value_get(cv_value_get(c->tool->input, CV_STR("properties")), CV_STR("sandbox"));

	if (!v)
		return true;
	if (v->type != CV_VALUE_STRING || !cv_str_eq(v->s, cv_str_of(c->box->name))) {
		if (known && v->type != CV_VALUE_STRING)
			return true; /* the schema's to judge */
		call_refuse_plain(c, 403, "sandbox_mismatch",
			"the field sandbox names another sandbox than the one that asks");
		return false;
	}
	if (known)
		return true;
	c->arguments = without(c->arguments, CV_STR("sandbox"), &c->s->arena);
	cv_buf_fini(&c->canonical);
	if (c->arguments && digest_make(c))
		return true;
	call_refuse_plain(c, 413, "body_too_large", "the arguments are too many");
	return false;
}

static bool schema_check(struct call *c)
{
	static struct cv_schema_errors errors; /* large; used up here */
	struct cv_arena texts;
	struct cv_buf e;
	cv_code code;

	cv_arena_init(&texts, 1u << 20);
	cv_schema_errors_init(&errors, &texts);
	code = cv_schema_check(c->tool->schema, c->arguments, CV_SCHEMA_STRICT, &errors);
	if (code == CV_OK) {
		cv_arena_fini(&texts);
		return true;
	}
	invalid_begin(&e);
	for (size_t i = 0; i < errors.n; i++)
		invalid_put(
			&e, i == 0, errors.e[i].pointer, errors.e[i].message, errors.e[i].nearest);
	cv_buf_put_byte(&e, ']');
	if (errors.is_cut)
		cv_buf_put(&e, CV_STR(",\"truncated\":true"));
	call_refuse(c, 400, "invalid_arguments", 0,
		code == CV_LIMIT ? CV_STR("judging the arguments took too much")
				 : CV_STR("the arguments are not what the tool takes"),
		&e);
	cv_arena_fini(&texts);
	return false;
}

bool call_read(struct call *c, const struct cv_tool_route_args *places)
{
	if (!type_check(c) || !arguments_read(c, places))
		return false;
	if (digest_make(c))
		return true;
	call_refuse_plain(c, 413, "body_too_large", "the arguments are too large");
	return false;
}

bool call_judge(struct call *c)
{
	return policy_check(c) && sandbox_field_check(c) && schema_check(c);
}
