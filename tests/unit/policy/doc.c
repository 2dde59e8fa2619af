/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doc.c - see doc.h
 */
#include "unit/policy/doc.h"

#include "base/assert.h"
#include "policy/policy.h"

#include <stdlib.h>

static struct cv_policy_rule *last_rule; /* the place that doc_query() adds to */

struct cv_policy_doc *doc_new(void)
{
	struct cv_policy_doc *d = calloc(1, sizeof(*d));

	cv_assert(d);
	cv_arena_init(&d->arena, 256u << 20);
	d->file = CV_STR("test.yaml");
	d->version = 1;
	last_rule = NULL;
	return d;
}

/* The next element of an array in the arena that doubles when it is full. */
static void *push(struct cv_policy_doc *d, void *array, size_t *n, size_t bytes)
{
	char **at = array;

	if ((*n & (*n - 1)) == 0) { /* 0 or a power of two */
		char *bigger = cv_arena_array(&d->arena, *n ? *n * 2 : 1, bytes);

		cv_assert(bigger);
		if (*n)
			memcpy(bigger, *at, *n * bytes);
		*at = bigger;
	}
	return *at + (*n)++ * bytes;
}

static struct cv_policy_pos pos_next(struct cv_policy_doc *d)
{
	(void)d;
	static uint32_t line;

	return (struct cv_policy_pos){ ++line, 1 };
}

static struct cv_policy_text text_of(struct cv_policy_doc *d, const char *z)
{
	if (!z)
		return (struct cv_policy_text){ .s = CV_STR_NONE };
	return (struct cv_policy_text){ cv_arena_str(&d->arena, cv_str_of(z)), pos_next(d), true };
}

struct cv_policy_entry *doc_entry(struct cv_policy_doc *d, const char *name)
{
	struct cv_policy_entry *e = push(d, &d->entries, &d->entry_count, sizeof(*e));

	e->pos = pos_next(d);
	e->key = text_of(d, name);
	e->name = e->key.s;
	return e;
}

static struct cv_policy_entry *entry_last(struct cv_policy_doc *d)
{
	return &d->entries[d->entry_count - 1];
}

static struct cv_policy_endpoint *endpoint_last(struct cv_policy_doc *d)
{
	return &entry_last(d)->endpoints[entry_last(d)->endpoint_count - 1];
}

void doc_binary(struct cv_policy_doc *d, const char *path)
{
	struct cv_policy_entry *e = entry_last(d);
	struct cv_policy_binary *b = push(d, &e->binaries, &e->binary_count, sizeof(*b));

	e->has_binaries = true;
	b->path = text_of(d, path);
}

struct cv_policy_endpoint *doc_endpoint(struct cv_policy_doc *d, const char *host, uint16_t port)
{
	struct cv_policy_entry *e = entry_last(d);
	struct cv_policy_endpoint *ep = push(d, &e->endpoints, &e->endpoint_count, sizeof(*ep));

	ep->pos = pos_next(d);
	ep->host = text_of(d, host);
	if (port)
		doc_port(d, port);
	return ep;
}

void doc_port(struct cv_policy_doc *d, uint16_t port)
{
	struct cv_policy_endpoint *ep = endpoint_last(d);

	*(uint16_t *)push(d, &ep->ports, &ep->port_count, sizeof(uint16_t)) = port;
}

static void texts_push(struct cv_policy_doc *d, struct cv_policy_texts *texts, const char *z)
{
	texts->is_present = true;
	*(struct cv_policy_text *)push(d, &texts->v, &texts->n, sizeof(*texts->v)) = text_of(d, z);
}

void doc_ip(struct cv_policy_doc *d, const char *cidr)
{
	texts_push(d, &endpoint_last(d)->allowed_ips, cidr);
}

struct cv_policy_endpoint *doc_rest(
	struct cv_policy_doc *d, const char *host, enum cv_policy_access access)
{
	struct cv_policy_endpoint *ep = doc_endpoint(d, host, 443);

	ep->protocol = CV_PROTOCOL_REST;
	ep->enforcement = CV_ENFORCEMENT_ENFORCE;
	ep->access = access;
	return ep;
}

static void rule_push(struct cv_policy_doc *d, struct cv_policy_rules *rules, const char *method,
	const char *path)
{
	last_rule = push(d, &rules->v, &rules->n, sizeof(*rules->v));
	rules->is_present = true;
	last_rule->pos = pos_next(d);
	last_rule->method = text_of(d, method);
	last_rule->path = text_of(d, path);
}

void doc_allow(struct cv_policy_doc *d, const char *method, const char *path)
{
	rule_push(d, &endpoint_last(d)->rules, method, path);
}

void doc_deny(struct cv_policy_doc *d, const char *method, const char *path)
{
	rule_push(d, &endpoint_last(d)->deny_rules, method, path);
}

void doc_query(struct cv_policy_doc *d, const char *key, const char *glob)
{
	struct cv_policy_matcher *m =
		push(d, &last_rule->query, &last_rule->query_count, sizeof(*m));

	m->key = text_of(d, key);
	texts_push(d, &m->globs, glob);
}

void doc_query_or(struct cv_policy_doc *d, const char *glob)
{
	struct cv_policy_matcher *m = &last_rule->query[last_rule->query_count - 1];

	m->is_any = true;
	texts_push(d, &m->globs, glob);
}
