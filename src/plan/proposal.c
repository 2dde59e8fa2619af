/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proposal.c - see proposal.h
 */
#include "plan/proposal.h"

#include "plan/codec.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

/* ---- as bytes ---- */

static void rules_walk(struct cv_codec *c, struct cv_proposal_rule **v, uint32_t *n)
{
	*v = cv_codec_array(c, *v, n, CV_PROPOSAL_LIST_MAX, sizeof(**v));
	for (uint32_t i = 0; i < *n; i++) {
		cv_codec_str(c, &(*v)[i].method);
		cv_codec_str(c, &(*v)[i].path);
		cv_codec_str(c, &(*v)[i].command);
	}
}

static void endpoint_walk(struct cv_codec *c, struct cv_proposal_endpoint *e)
{
	cv_codec_str(c, &e->host);
	cv_codec_str(c, &e->protocol);
	cv_codec_str(c, &e->tls);
	cv_codec_str(c, &e->enforcement);
	cv_codec_str(c, &e->access);
	cv_codec_u32(c, &e->port);
	e->ports = cv_codec_array(
		c, e->ports, &e->port_count, CV_PROPOSAL_LIST_MAX, sizeof(e->ports[0]));
	for (uint32_t i = 0; i < e->port_count; i++)
		cv_codec_u32(c, &e->ports[i]);
	rules_walk(c, &e->rules, &e->rule_count);
	rules_walk(c, &e->deny_rules, &e->deny_rule_count);
	cv_codec_strs(c, &e->allowed_ips, &e->allowed_ip_count, CV_PROPOSAL_LIST_MAX);
	cv_codec_u32(c, &e->allow_encoded_slash);
}

static void walk(struct cv_codec *c, struct cv_proposals *p)
{
	cv_codec_str(c, &p->intent);
	p->v = cv_codec_array(c, p->v, &p->n, CV_PROPOSALS_MAX, sizeof(p->v[0]));
	for (uint32_t i = 0; i < p->n; i++) {
		struct cv_proposal *v = &p->v[i];

		cv_codec_str(c, &v->rule_name);
		v->endpoints = cv_codec_array(c, v->endpoints, &v->endpoint_count,
			CV_PROPOSAL_LIST_MAX, sizeof(v->endpoints[0]));
		for (uint32_t k = 0; k < v->endpoint_count; k++)
			endpoint_walk(c, &v->endpoints[k]);
		cv_codec_strs(c, &v->binaries, &v->binary_count, CV_PROPOSAL_LIST_MAX);
	}
}

bool cv_proposals_put(const struct cv_proposals *p, struct cv_buf *out)
{
	struct cv_codec c = { .out = out };
	struct cv_proposals copy = *p; /* the walk of a writer changes nothing */

	walk(&c, &copy);
	return !c.is_bad && !out->is_overflown;
}

bool cv_proposals_get(struct cv_str bytes, struct cv_arena *arena, struct cv_proposals *ret)
{
	struct cv_codec c = { .rest = bytes, .arena = arena };

	*ret = (struct cv_proposals){ 0 };
	walk(&c, ret);
	return cv_codec_is_done(&c) && !arena->is_overflown;
}

/* ---- as JSON ---- */

#define PLACE_BYTES 400 /* of a few words of 40 bytes at most */

struct reader {
	struct cv_arena *arena;
	struct cv_err *err;
	char place[PLACE_BYTES]; /* "operations[0].addRule.rule.endpoints[1]" */
	size_t len;
	bool is_bad;
};

typedef void read_fn(struct reader *r, const struct cv_value *v, void *to);

struct key {
	struct cv_str snake, camel; /* camel: where it is another word */
	read_fn *read;
	size_t at;
	bool is_required;
};

#define SAY(s) CV_STR(s), CV_STR("")

CV_PRINTF(2, 3) static void refuse(struct reader *r, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	if (r->is_bad)
		return;
	r->is_bad = true;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	cv_fail(r->err, CV_INVALID, "%s%s%s", r->place, r->len ? ": " : "", text);
}

CV_PRINTF(2, 3) static size_t place_enter(struct reader *r, const char *fmt, ...)
{
	const size_t before = r->len;
	va_list ap;

	va_start(ap, fmt);
	const int n = vsnprintf(r->place + r->len, sizeof(r->place) - r->len, fmt, ap);
	va_end(ap);
	r->len = CV_MIN(r->len + (size_t)CV_MAX(n, 0), sizeof(r->place) - 1);
	return before;
}

static void place_leave(struct reader *r, size_t before)
{
	r->len = before;
	r->place[before] = '\0';
}

static const struct key *key_find(const struct key *keys, size_t n, struct cv_str name)
{
	for (size_t i = 0; i < n; i++)
		if (cv_str_eq(keys[i].snake, name) ||
			(keys[i].camel.n && cv_str_eq(keys[i].camel, name)))
			return &keys[i];
	return NULL;
}

static void object_read(
	struct reader *r, const struct cv_value *o, const struct key *keys, size_t n, void *to)
{
	uint32_t said = 0; /* a bit for each key: null says nothing */

	if (o->type != CV_VALUE_OBJECT) {
		refuse(r, "expected an object, found %s", cv_value_type_name(o->type));
		return;
	}
	for (uint32_t i = 0; i < o->n && !r->is_bad; i++) {
		const struct key *k = key_find(keys, n, o->key[i]);
		const size_t at = place_enter(
			r, "%s%.*s", r->len ? "." : "", CV_STR_ARG(cv_str_slice(o->key[i], 0, 40)));

		if (!k)
			refuse(r, "can't be proposed");
		else if (said & 1u << (k - keys))
			refuse(r, "said twice, in both spellings");
		else if (o->v[i].type != CV_VALUE_NULL)
			said |= 1u << (k - keys);
		if (!r->is_bad && k->read && o->v[i].type != CV_VALUE_NULL)
			k->read(r, &o->v[i], (char *)to + k->at);
		place_leave(r, at);
	}
	for (size_t i = 0; i < n && !r->is_bad; i++)
		if (keys[i].is_required && !(said & 1u << i))
			refuse(r, "%.*s is missing", CV_STR_ARG(keys[i].snake));
}

#define OBJECT(r, o, keys, to) object_read(r, o, keys, CV_ARRAY_LEN(keys), to)

/* A list's elements by each; its array, and how many there are. */
static void *list_read(
	struct reader *r, const struct cv_value *v, uint32_t *ret_n, size_t size, read_fn *each)
{
	char *array;

	if (v->type != CV_VALUE_ARRAY || v->n > CV_PROPOSAL_LIST_MAX) {
		refuse(r, "expected a list of at most %d", CV_PROPOSAL_LIST_MAX);
		return NULL;
	}
	array = cv_arena_array(r->arena, v->n + 1, size);
	for (uint32_t i = 0; array && i < v->n && !r->is_bad; i++) {
		const size_t at = place_enter(r, "[%u]", i);

		each(r, &v->v[i], array + i * size);
		place_leave(r, at);
	}
	*ret_n = array && !r->is_bad ? v->n : 0;
	return array;
}

static void text_read(struct reader *r, const struct cv_value *v, void *to)
{
	if (v->type != CV_VALUE_STRING)
		refuse(r, "expected a string, found %s", cv_value_type_name(v->type));
	else if (v->s.n > CV_PROPOSAL_TEXT_MAX || cv_str_has_byte(v->s, '\0'))
		refuse(r, "longer than %d bytes, or with a NUL", CV_PROPOSAL_TEXT_MAX);
	else
		*(struct cv_str *)to = v->s;
}

static void path_read(struct reader *r, const struct cv_value *v, void *to)
{
	text_read(r, v, to);
	if (!r->is_bad && cv_str_has_byte(*(const struct cv_str *)to, '?'))
		refuse(r, "a path without its query is what can be proposed");
}

static void bool_read(struct reader *r, const struct cv_value *v, void *to)
{
	if (v->type != CV_VALUE_TRUE && v->type != CV_VALUE_FALSE)
		refuse(r, "expected true or false");
	*(uint32_t *)to = v->type == CV_VALUE_TRUE;
}

static void port_read(struct reader *r, const struct cv_value *v, void *to)
{
	int64_t n = 0;

	if (v->type != CV_VALUE_NUMBER || !cv_value_to_i64(v, &n) || n < 1 || n > UINT16_MAX)
		refuse(r, "expected a number from 1 to 65535");
	*(uint32_t *)to = (uint32_t)n;
}

static const struct key rule_keys[] = {
	{ SAY("method"), text_read, offsetof(struct cv_proposal_rule, method), false },
	{ SAY("path"), path_read, offsetof(struct cv_proposal_rule, path), false },
	{ SAY("command"), text_read, offsetof(struct cv_proposal_rule, command), false },
};

static void bare_rule_read(struct reader *r, const struct cv_value *v, void *to)
{
	OBJECT(r, v, rule_keys, to);
}

static const struct key allow_keys[] = { { SAY("allow"), bare_rule_read, 0, true } };

static void rule_read(struct reader *r, const struct cv_value *v, void *to)
{
	OBJECT(r, v, allow_keys, to);
}

#define E struct cv_proposal_endpoint

static void ports_read(struct reader *r, const struct cv_value *v, void *to)
{
	E *e = to;

	e->ports = list_read(r, v, &e->port_count, sizeof(e->ports[0]), port_read);
}

static void rules_read(struct reader *r, const struct cv_value *v, void *to)
{
	E *e = to;

	e->rules = list_read(r, v, &e->rule_count, sizeof(e->rules[0]), rule_read);
}

static void deny_rules_read(struct reader *r, const struct cv_value *v, void *to)
{
	E *e = to;

	e->deny_rules =
		list_read(r, v, &e->deny_rule_count, sizeof(e->deny_rules[0]), bare_rule_read);
}

static void allowed_ips_read(struct reader *r, const struct cv_value *v, void *to)
{
	E *e = to;

	e->allowed_ips =
		list_read(r, v, &e->allowed_ip_count, sizeof(e->allowed_ips[0]), text_read);
}

/* clang-format off */
static const struct key endpoint_keys[] = {
	{ SAY("host"),        text_read, offsetof(E, host), false },
	{ SAY("port"),        port_read, offsetof(E, port), false },
	{ SAY("ports"),       ports_read, 0, false },
	{ SAY("protocol"),    text_read, offsetof(E, protocol), false },
	{ SAY("tls"),         text_read, offsetof(E, tls), false },
	{ SAY("enforcement"), text_read, offsetof(E, enforcement), false },
	{ SAY("access"),      text_read, offsetof(E, access), false },
	{ SAY("rules"),       rules_read, 0, false },
	{ CV_STR("deny_rules"),  CV_STR("denyRules"), deny_rules_read, 0, false },
	{ CV_STR("allowed_ips"), CV_STR("allowedIps"), allowed_ips_read, 0, false },
	{ CV_STR("allow_encoded_slash"), CV_STR("allowEncodedSlash"), bool_read,
		offsetof(E, allow_encoded_slash), false },
};
/* clang-format on */

static void endpoint_read(struct reader *r, const struct cv_value *v, void *to)
{
	OBJECT(r, v, endpoint_keys, to);
}

static const struct key binary_keys[] = { { SAY("path"), text_read, 0, true } };

static void binary_read(struct reader *r, const struct cv_value *v, void *to)
{
	OBJECT(r, v, binary_keys, to);
}

static void endpoints_read(struct reader *r, const struct cv_value *v, void *to)
{
	struct cv_proposal *p = to;

	p->endpoints = list_read(r, v, &p->endpoint_count, sizeof(p->endpoints[0]), endpoint_read);
	if (!r->is_bad && !p->endpoint_count)
		refuse(r, "a rule without an endpoint");
}

static void binaries_read(struct reader *r, const struct cv_value *v, void *to)
{
	struct cv_proposal *p = to;

	p->binaries = list_read(r, v, &p->binary_count, sizeof(p->binaries[0]), binary_read);
}

static const struct key rule_body_keys[] = {
	{ SAY("name"), NULL, 0, false }, /* ruleName says it */
	{ SAY("endpoints"), endpoints_read, 0, true },
	{ SAY("binaries"), binaries_read, 0, false },
};

static void rule_body_read(struct reader *r, const struct cv_value *v, void *to)
{
	OBJECT(r, v, rule_body_keys, to);
}

static const struct key add_keys[] = {
	{ CV_STR("rule_name"), CV_STR("ruleName"), text_read,
		offsetof(struct cv_proposal, rule_name), false },
	{ SAY("rule"), rule_body_read, 0, true },
};

static void add_read(struct reader *r, const struct cv_value *v, void *to)
{
	OBJECT(r, v, add_keys, to);
}

static const struct key operation_keys[] = {
	{ CV_STR("add_rule"), CV_STR("addRule"), add_read, 0, true },
};

static void operation_read(struct reader *r, const struct cv_value *v, void *to)
{
	OBJECT(r, v, operation_keys, to);
}

static void operations_read(struct reader *r, const struct cv_value *v, void *to)
{
	struct cv_proposals *p = to;

	p->v = list_read(r, v, &p->n, sizeof(p->v[0]), operation_read);
	if (!r->is_bad && (!p->n || p->n > CV_PROPOSALS_MAX))
		refuse(r, "expected one operation to %d", CV_PROPOSALS_MAX);
}

static const struct key document_keys[] = {
	{ CV_STR("intent_summary"), CV_STR("intentSummary"), text_read,
		offsetof(struct cv_proposals, intent), false },
	{ SAY("operations"), operations_read, 0, true },
};

cv_code cv_proposals_read(const struct cv_value *document, struct cv_arena *arena,
	struct cv_proposals *ret, struct cv_err *err)
{
	struct reader r = { .arena = arena, .err = err };

	*ret = (struct cv_proposals){ 0 };
	OBJECT(&r, document, document_keys, ret);
	if (!r.is_bad && arena->is_overflown)
		refuse(&r, "too large");
	return r.is_bad ? CV_INVALID : CV_OK;
}
