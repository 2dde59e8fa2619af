/* SPDX-License-Identifier: Apache-2.0 */
/*
 * objects.c - see objects.h
 *
 *     kind ─► sorted array of pointers, by scope and name: find is a binary search, a list a walk
 *             of a range of it
 *     id   ─► one hash table of all kinds with ids; an id is a UUID that we made, or one of 122
 *             random bits at worst, so nobody chooses who collides
 *
 * Ten thousand objects are 80 KB of pointers: an insertion moves them in microseconds, and nothing
 * cleverer is worth its code.
 *
 * Here are the table, loading and reading; what changes objects is objects_write.c.
 */
#include "gateway/objects_int.h"

#include "base/assert.h"
#include "base/hex.h"
#include "gateway/labels.h"
#include "gateway/log.h"
#include "gateway/pb.h"
#include "openshell.pb-c.h"
#include "inference.pb-c.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#define ROW(name, stored, message, has_meta, noun, says_name)                               \
	[CV_OBJECT_##name] = { stored, &openshell__##message##__descriptor, has_meta, noun, \
		says_name },
const struct object_row object_rows[CV_OBJECT_KIND_COUNT] = { CV_OBJECT_KINDS(ROW) };
#undef ROW

const char *cv_object_noun(enum cv_object_kind kind)
{
	return object_rows[kind].noun;
}

object_meta **object_meta_of(const ProtobufCMessage *m)
{
	cv_assert(m->descriptor->fields[0].id == 1 &&
		  m->descriptor->fields[0].descriptor ==
			  &openshell__datamodel__v1__object_meta__descriptor);
	return (object_meta **)((uintptr_t)m + m->descriptor->fields[0].offset);
}

const struct Openshell__Datamodel__V1__ObjectMeta *cv_object_meta(const struct cv_object *o)
{
	cv_assert(object_rows[o->kind].has_meta);
	return *object_meta_of(o->message);
}

void cv_object_id_make(char ret[CV_OBJECT_ID_BYTES + 1])
{
	uint8_t r[16];

	cv_assert(getrandom(r, sizeof(r), 0) == sizeof(r));
	r[6] = (uint8_t)((r[6] & 0x0f) | 0x40); /* RFC 9562 section 5.4 */
	r[8] = (uint8_t)((r[8] & 0x3f) | 0x80);
	snprintf(ret, CV_OBJECT_ID_BYTES + 1,
		"%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", r[0], r[1],
		r[2], r[3], r[4], r[5], r[6], r[7], r[8], r[9], r[10], r[11], r[12], r[13], r[14],
		r[15]);
}

/* ---- the table of ids ---- */

static size_t id_hash(struct cv_str id)
{
	uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */

	for (size_t i = 0; i < id.n; i++)
		h = (h ^ (uint8_t)id.p[i]) * 0x100000001b3u;
	return (size_t)(h ^ h >> 32);
}

/* Where id is, or the free slot where it would be. */
static size_t id_slot(const struct cv_objects *s, struct cv_str id)
{
	size_t i = id_hash(id) & (s->id_cap - 1);

	while (s->by_id[i] && !cv_str_eq(cv_str_of(s->by_id[i]->id), id))
		i = (i + 1) & (s->id_cap - 1);
	return i;
}

static void id_grow(struct cv_objects *s)
{
	struct cv_object **old = s->by_id;
	const size_t cap = s->id_cap;

	s->id_cap = cap ? cap * 2 : 256;
	s->by_id = calloc(s->id_cap, sizeof(*s->by_id));
	cv_assert(s->by_id);
	for (size_t i = 0; i < cap; i++)
		if (old[i])
			s->by_id[id_slot(s, cv_str_of(old[i]->id))] = old[i];
	free(old);
}

static void id_add(struct cv_objects *s, struct cv_object *o)
{
	if ((s->id_n + 1) * 2 > s->id_cap)
		id_grow(s);
	s->by_id[id_slot(s, cv_str_of(o->id))] = o;
	s->id_n++;
}

/* Closes the gap (Knuth 6.4, algorithm R). */
static void id_remove(struct cv_objects *s, struct cv_object *o)
{
	size_t gap = id_slot(s, cv_str_of(o->id)), mask = s->id_cap - 1;

	cv_assert(s->by_id[gap] == o);
	s->by_id[gap] = NULL;
	s->id_n--;
	for (size_t i = (gap + 1) & mask; s->by_id[i]; i = (i + 1) & mask) {
		const size_t home = id_hash(cv_str_of(s->by_id[i]->id)) & mask;

		if (((i - home) & mask) >= ((i - gap) & mask)) {
			s->by_id[gap] = s->by_id[i];
			s->by_id[i] = NULL;
			gap = i;
		}
	}
}

/* ---- the shelves ---- */

static int order(const struct cv_object *o, struct cv_str scope, struct cv_str name)
{
	const int c = cv_str_cmp(o->scope, scope);

	return c ? c : cv_str_cmp(o->name, name);
}

/* The first that does not stand before (scope, name). */
static size_t shelf_at(const struct shelf *h, struct cv_str scope, struct cv_str name)
{
	size_t from = 0, to = h->n;

	while (from < to) {
		const size_t mid = from + (to - from) / 2;

		if (order(h->v[mid], scope, name) < 0)
			from = mid + 1;
		else
			to = mid;
	}
	return from;
}

/* The first behind the scope. */
static size_t shelf_behind(const struct shelf *h, struct cv_str scope)
{
	size_t from = 0, to = h->n;

	while (from < to) {
		const size_t mid = from + (to - from) / 2;

		if (cv_str_cmp(h->v[mid]->scope, scope) <= 0)
			from = mid + 1;
		else
			to = mid;
	}
	return from;
}

static void shelf_add(struct shelf *h, struct cv_object *o)
{
	const size_t at = shelf_at(h, o->scope, o->name);

	if (h->n == h->cap) {
		h->cap = h->cap ? h->cap * 2 : 64;
		h->v = realloc(h->v, h->cap * sizeof(*h->v));
		cv_assert(h->v);
	}
	memmove(h->v + at + 1, h->v + at, (h->n - at) * sizeof(*h->v));
	h->v[at] = o;
	h->n++;
}

static void shelf_remove(struct shelf *h, struct cv_object *o)
{
	const size_t at = shelf_at(h, o->scope, o->name);

	cv_assert(at < h->n && h->v[at] == o);
	memmove(h->v + at, h->v + at + 1, (h->n - at - 1) * sizeof(*h->v));
	h->n--;
}

/* ---- objects ---- */

struct cv_object *object_new(enum cv_object_kind kind, struct cv_str scope, struct cv_str name,
	ProtobufCMessage *m, uint64_t version)
{
	struct cv_object *o = calloc(1, sizeof(*o) + scope.n + name.n + 2);

	cv_assert(o);

	char *p = (char *)(o + 1);

	o->kind = kind;
	o->message = m;
	o->version = version;
	memcpy(p, scope.n ? scope.p : "", scope.n);
	o->scope = (struct cv_str){ p, scope.n };
	p += scope.n + 1;
	memcpy(p, name.p, name.n);
	o->name = (struct cv_str){ p, name.n };
	if (object_rows[kind].has_meta)
		snprintf(o->id, sizeof(o->id), "%s", (*object_meta_of(m))->id);
	return o;
}

void object_free(struct cv_object *o)
{
	cv_pb_free((void *)(uintptr_t)o->message);
	free(o);
}

void object_add(struct cv_objects *s, struct cv_object *o)
{
	shelf_add(&s->shelf[o->kind], o);
	if (o->id[0])
		id_add(s, o);
}

void object_take_out(struct cv_objects *s, struct cv_object *o)
{
	shelf_remove(&s->shelf[o->kind], o);
	if (o->id[0])
		id_remove(s, o);
}

void objects_tell(struct cv_objects *s, enum cv_object_change change, struct cv_object *o,
	const ProtobufCMessage *was)
{
	for (size_t i = 0; i < s->listener_n; i++)
		s->listener[i].tell(s->listener[i].arg, change, o, was);
}

void cv_objects_listen(struct cv_objects *s, cv_object_listener *fn, void *arg)
{
	cv_assert(s->listener_n < CV_OBJECT_LISTENERS_MAX);
	s->listener[s->listener_n].tell = fn;
	s->listener[s->listener_n++].arg = arg;
}

/* ---- the store ---- */

struct cv_str object_kind_key(enum cv_object_kind kind)
{
	return cv_str_of(object_rows[kind].stored);
}

bool object_key_make(struct cv_str scope, struct cv_str name, struct cv_buf *ret)
{
	cv_buf_init(ret, CV_STORE_KEY_BYTES_MAX);
	cv_buf_put(ret, scope);
	cv_buf_put_byte(ret, '/');
	return cv_buf_put(ret, name) && !cv_str_has_byte(scope, '/') && name.n;
}

struct loading {
	struct cv_objects *objects;
	enum cv_object_kind kind;
	cv_code code;
	struct cv_err *err;
};

bool object_is_whole(
	enum cv_object_kind kind, const ProtobufCMessage *m, const struct cv_objects *s)
{
	if (!object_rows[kind].has_meta)
		return true;

	const object_meta *head = *object_meta_of(m);

	return head && head->id[0] && strlen(head->id) <= CV_OBJECT_ID_BYTES &&
	       (!s->id_cap || !s->by_id[id_slot(s, cv_str_of(head->id))]);
}

static bool load_one(void *arg, const struct cv_record *r)
{
	struct loading *l = arg;
	struct cv_str name = r->key;
	const struct cv_str scope = cv_str_cut(&name, '/');
	ProtobufCMessage *m = protobuf_c_message_unpack(
		object_rows[l->kind].message, NULL, r->value.n, (const uint8_t *)r->value.p);

	if (!m || !name.n || !object_is_whole(l->kind, m, l->objects)) {
		cv_pb_free(m);
		l->code = cv_fail(l->err, CV_INVALID, "the store's %s %.*s is no such object",
			object_rows[l->kind].stored, CV_STR_ARG(r->key));
		return false;
	}
	if (object_rows[l->kind].has_meta)
		(*object_meta_of(m))->resource_version = r->version;
	object_add(l->objects, object_new(l->kind, scope, name, m, r->version));
	return true;
}

cv_code cv_objects_open(struct cv_store *store, struct cv_objects **ret, struct cv_err *err)
{
	struct cv_objects *s = calloc(1, sizeof(*s));

	if (!s)
		return cv_fail(err, CV_LIMIT, "no memory for objects");
	s->store = store;
	for (enum cv_object_kind k = 0; k < CV_OBJECT_KIND_COUNT; k++) {
		struct loading l = { s, k, CV_OK, err };
		cv_code code =
			cv_store_list(store, object_kind_key(k), CV_STR_NONE, load_one, &l, err);

		if (code == CV_OK)
			code = l.code;
		if (code != CV_OK) {
			cv_objects_close(s);
			return code;
		}
	}
	*ret = s;
	return CV_OK;
}

void cv_objects_close(struct cv_objects *s)
{
	if (!s)
		return;
	if (s->store)
		cv_objects_flush(s);
	cv_store_batch_free(s->soon);
	for (size_t k = 0; k < CV_OBJECT_KIND_COUNT; k++) {
		for (size_t i = 0; i < s->shelf[k].n; i++)
			object_free(s->shelf[k].v[i]);
		free(s->shelf[k].v);
	}
	free(s->by_id);
	free(s);
}

/* ---- reading ---- */

struct cv_object *cv_object_find(const struct cv_objects *s, enum cv_object_kind kind,
	struct cv_str scope, struct cv_str name)
{
	const struct shelf *h = &s->shelf[kind];
	const size_t at = shelf_at(h, scope, name);

	return at < h->n && order(h->v[at], scope, name) == 0 ? h->v[at] : NULL;
}

struct cv_object *cv_object_find_id(
	const struct cv_objects *s, enum cv_object_kind kind, struct cv_str id)
{
	struct cv_object *o = s->id_cap && id.n ? s->by_id[id_slot(s, id)] : NULL;

	return o && o->kind == kind ? o : NULL;
}

static enum cv_rpc_status got(
	enum cv_object_kind kind, struct cv_object *o, struct cv_object **ret, struct cv_err *err)
{
	if (!o) {
		cv_fail(err, CV_NOT_FOUND, "%s not found", object_rows[kind].noun);
		return CV_RPC_NOT_FOUND;
	}
	*ret = o;
	return CV_RPC_OK;
}

enum cv_rpc_status cv_object_get(const struct cv_objects *s, enum cv_object_kind kind,
	struct cv_str scope, struct cv_str name, struct cv_object **ret, struct cv_err *err)
{
	return got(kind, cv_object_find(s, kind, scope, name), ret, err);
}

enum cv_rpc_status cv_object_get_id(const struct cv_objects *s, enum cv_object_kind kind,
	struct cv_str id, struct cv_object **ret, struct cv_err *err)
{
	return got(kind, cv_object_find_id(s, kind, id), ret, err);
}

struct cv_object_range cv_object_all(const struct cv_objects *s, enum cv_object_kind kind)
{
	return (struct cv_object_range){ 0, s->shelf[kind].n };
}

struct cv_object_range cv_object_scope(
	const struct cv_objects *s, enum cv_object_kind kind, struct cv_str scope)
{
	return (struct cv_object_range){ shelf_at(&s->shelf[kind], scope, CV_STR_NONE),
		shelf_behind(&s->shelf[kind], scope) };
}

struct cv_object *cv_object_at(const struct cv_objects *s, enum cv_object_kind kind, size_t i)
{
	return i < s->shelf[kind].n ? s->shelf[kind].v[i] : NULL;
}

static bool is_wanted(const struct cv_object_query *q, const struct cv_label_selector *labels,
	const struct cv_object *o)
{
	if (labels->n) {
		const object_meta *head = cv_object_meta(o);

		if (!cv_label_selector_matches(labels, head->labels, head->n_labels))
			return false;
	}
	return !q->wants || q->wants(q->arg, o);
}

enum cv_rpc_status cv_object_list(const struct cv_objects *s, enum cv_object_kind kind,
	const struct cv_object_query *q, struct cv_arena *arena, struct cv_object_page *ret,
	struct cv_err *err)
{
	const struct cv_object_range r =
		q->is_every_scope ? cv_object_all(s, kind) : cv_object_scope(s, kind, q->scope);
	const size_t limit =
		!q->limit ? CV_OBJECT_PAGE_DEFAULT : CV_MIN(q->limit, (uint32_t)CV_OBJECT_PAGE_MAX);
	struct cv_object_page page = { .n = 0 };
	struct cv_label_selector labels;
	size_t skip = q->offset;
	const enum cv_rpc_status status = cv_label_selector_parse(q->selector, &labels, err);

	if (status != CV_RPC_OK)
		return status;
	page.v = cv_arena_array(
		arena, CV_MAX(CV_MIN(limit, r.end - r.first), 1), sizeof(struct cv_object *));
	if (!page.v) {
		cv_fail(err, CV_LIMIT, "no memory for a page");
		return CV_RPC_RESOURCE_EXHAUSTED;
	}
	for (size_t i = r.first; i < r.end && page.n < limit; i++) {
		struct cv_object *o = s->shelf[kind].v[i];

		if (!is_wanted(q, &labels, o))
			continue;
		if (skip)
			skip--;
		else
			page.v[page.n++] = o;
	}
	*ret = page;
	return CV_RPC_OK;
}
