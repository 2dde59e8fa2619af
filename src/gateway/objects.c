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
 * The bytes in the store are the message as it is in memory, with the version that the record will
 * have; a record's version is still the store's, should they ever differ.
 */
#include "gateway/objects.h"

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

typedef Openshell__Datamodel__V1__ObjectMeta meta;

struct kind_row {
	const char *stored;
	const ProtobufCMessageDescriptor *message;
	bool has_meta;
	const char *noun;
	bool says_name;
};

#define ROW(name, stored, message, has_meta, noun, says_name)                               \
	[CV_OBJECT_##name] = { stored, &openshell__##message##__descriptor, has_meta, noun, \
		says_name },
static const struct kind_row row_of[CV_OBJECT_KIND_COUNT] = { CV_OBJECT_KINDS(ROW) };
#undef ROW

#define SOON_MAX 1024 /* changes that wait for another: a quarter of a batch */

struct shelf { /* the objects of a kind */
	struct cv_object **v;
	size_t n, cap;
};

struct cv_objects {
	struct cv_store *store;
	struct shelf shelf[CV_OBJECT_KIND_COUNT];
	struct cv_object **by_id; /* open addressing; size a power of two, at most half is used */
	size_t id_cap, id_n;
	struct {
		cv_object_listener *tell;
		void *arg;
	} listener[CV_OBJECT_LISTENERS_MAX];
	size_t listener_n;
	struct cv_store_batch *soon; /* what may wait for the next commit; NULL: nothing */
	bool is_lazy;
};

const char *cv_object_noun(enum cv_object_kind kind)
{
	return row_of[kind].noun;
}

/* Field 1 of the message: generated structs begin with their base. */
static meta **meta_of(const ProtobufCMessage *m)
{
	cv_assert(m->descriptor->fields[0].id == 1 &&
		  m->descriptor->fields[0].descriptor ==
			  &openshell__datamodel__v1__object_meta__descriptor);
	return (meta **)((uintptr_t)m + m->descriptor->fields[0].offset);
}

const struct Openshell__Datamodel__V1__ObjectMeta *cv_object_meta(const struct cv_object *o)
{
	cv_assert(row_of[o->kind].has_meta);
	return *meta_of(o->message);
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

/* scope and name are copied behind the object. */
static struct cv_object *object_new(enum cv_object_kind kind, struct cv_str scope,
	struct cv_str name, ProtobufCMessage *m, uint64_t version)
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
	if (row_of[kind].has_meta)
		snprintf(o->id, sizeof(o->id), "%s", (*meta_of(m))->id);
	return o;
}

static void object_free(struct cv_object *o)
{
	cv_pb_free((void *)(uintptr_t)o->message);
	free(o);
}

static void object_add(struct cv_objects *s, struct cv_object *o)
{
	shelf_add(&s->shelf[o->kind], o);
	if (o->id[0])
		id_add(s, o);
}

static void tell(struct cv_objects *s, enum cv_object_change change, struct cv_object *o,
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

static struct cv_str kind_key(enum cv_object_kind kind)
{
	return cv_str_of(row_of[kind].stored);
}

/* scope/name; a scope has no slash (workspaces and ids don't), so the first one parts them. */
static bool key_make(struct cv_str scope, struct cv_str name, struct cv_buf *ret)
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

static bool is_whole(
	enum cv_object_kind kind, const ProtobufCMessage *m, const struct cv_objects *s)
{
	if (!row_of[kind].has_meta)
		return true;

	const meta *head = *meta_of(m);

	return head && head->id[0] && strlen(head->id) <= CV_OBJECT_ID_BYTES &&
	       (!s->id_cap || !s->by_id[id_slot(s, cv_str_of(head->id))]);
}

static bool load_one(void *arg, const struct cv_record *r)
{
	struct loading *l = arg;
	struct cv_str name = r->key;
	const struct cv_str scope = cv_str_cut(&name, '/');
	ProtobufCMessage *m = protobuf_c_message_unpack(
		row_of[l->kind].message, NULL, r->value.n, (const uint8_t *)r->value.p);

	if (!m || !name.n || !is_whole(l->kind, m, l->objects)) {
		cv_pb_free(m);
		l->code = cv_fail(l->err, CV_INVALID, "the store's %s %.*s is no such object",
			row_of[l->kind].stored, CV_STR_ARG(r->key));
		return false;
	}
	if (row_of[l->kind].has_meta)
		(*meta_of(m))->resource_version = r->version;
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
		cv_code code = cv_store_list(store, kind_key(k), CV_STR_NONE, load_one, &l, err);

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
		cv_fail(err, CV_NOT_FOUND, "%s not found", row_of[kind].noun);
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
		const meta *head = cv_object_meta(o);

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

/* ---- writing ---- */

ProtobufCMessage *cv_object_copy(const struct cv_object *o)
{
	return cv_pb_copy(o->message);
}

static enum cv_rpc_status conflict(
	enum cv_object_kind kind, const char *verb, uint64_t version, struct cv_err *err)
{
	cv_fail(err, CV_DENIED,
		"%s %s failed due to concurrent modification (current resource_version: %llu)",
		row_of[kind].noun, verb, (unsigned long long)version);
	return CV_RPC_ABORTED;
}

static enum cv_rpc_status taken(enum cv_object_kind kind, struct cv_str name, struct cv_err *err)
{
	if (row_of[kind].says_name)
		cv_fail(err, CV_DENIED, "%s '%.*s' already exists", row_of[kind].noun,
			CV_STR_ARG(name));
	else
		cv_fail(err, CV_DENIED, "%s already exists", row_of[kind].noun);
	return CV_RPC_ALREADY_EXISTS;
}

/* What the store said.  It agrees with memory about versions, or somebody else writes to it. */
static enum cv_rpc_status store_status(cv_code code, struct cv_err *err)
{
	switch (code) {
	case CV_OK: return CV_RPC_OK;
	case CV_LIMIT: return CV_RPC_RESOURCE_EXHAUSTED;
	case CV_UNAVAILABLE: return CV_RPC_UNAVAILABLE;
	case CV_DENIED:
	case CV_NOT_FOUND: cv_wrap(err, "the store was changed by somebody else"); break;
	case CV_INVALID:
	case CV_PROTO:
	case CV_SYSTEM:
	case CV_CODE_COUNT: break;
	}
	return CV_RPC_INTERNAL;
}

/* The record of m; value holds secrets, perhaps: the caller wipes. */
static cv_code record_pack(enum cv_object_kind kind, struct cv_str scope, struct cv_str name,
	const ProtobufCMessage *m, struct cv_buf *ret_key, struct cv_buf *ret_value,
	struct cv_err *err)
{
	const size_t n = protobuf_c_message_get_packed_size(m);

	cv_buf_init(ret_value, CV_STORE_VALUE_BYTES_MAX);
	if (!key_make(scope, name, ret_key))
		return cv_fail(
			err, CV_LIMIT, "the name of a %s is too long or empty", row_of[kind].noun);
	if (n && !cv_buf_reserve(ret_value, n))
		return cv_fail(err, CV_LIMIT, "a %s of %zu bytes", row_of[kind].noun, n);
	if (n) {
		protobuf_c_message_pack(m, (uint8_t *)ret_value->data + ret_value->end);
		cv_buf_commit(ret_value, n);
	}
	return CV_OK;
}

/* ---- what may wait ---- */

static cv_code soon_commit(struct cv_objects *s, struct cv_store_batch *with, struct cv_err *err)
{
	struct cv_store_batch *const v[] = { s->soon, with };
	const size_t from = s->soon ? 0 : 1, n = with ? 2 : 1;
	struct cv_err why;

	if (n == from)
		return CV_OK;
	const cv_code code = cv_store_commit(s->store, v + from, n - from, err);
	if (code != CV_OK)
		return code; /* it waits on */
	if (s->soon && cv_store_batch_result(s->soon, &why) != CV_OK)
		cv_log(CV_LOG_ERROR, "store", CV_LOG_NONE, "not stored: %s", why.msg);
	cv_store_batch_free(s->soon);
	s->soon = NULL;
	return with ? cv_store_batch_result(with, err) : CV_OK;
}

void cv_objects_lazy(struct cv_objects *s, bool is_lazy)
{
	s->is_lazy = is_lazy;
}

void cv_objects_flush(struct cv_objects *s)
{
	struct cv_err err;

	if (soon_commit(s, NULL, &err) != CV_OK)
		cv_log(CV_LOG_ERROR, "store", CV_LOG_NONE, "not stored yet: %s", err.msg);
}

/* Where a change is to be noted, and whether it waits there. */
static struct cv_store_batch *batch_for(struct cv_objects *s)
{
	if (!s->is_lazy || (s->soon && cv_store_batch_count(s->soon) >= SOON_MAX))
		return cv_store_batch_begin();
	if (!s->soon)
		s->soon = cv_store_batch_begin();
	return s->soon;
}

/* Of a change noted in b. */
static cv_code changed(struct cv_objects *s, struct cv_store_batch *b, struct cv_err *err)
{
	if (b == s->soon)
		return CV_OK;
	const cv_code code = soon_commit(s, b, err);
	cv_store_batch_free(b);
	return code;
}

/* Packs m and puts it. */
static enum cv_rpc_status put(struct cv_objects *s, enum cv_object_kind kind, struct cv_str scope,
	struct cv_str name, const ProtobufCMessage *m, uint64_t expected, uint64_t *ret_version,
	struct cv_err *err)
{
	struct cv_buf key, value;
	cv_code code = record_pack(kind, scope, name, m, &key, &value, err);
	struct cv_store_batch *b = code == CV_OK ? batch_for(s) : NULL;

	if (b) {
		cv_store_batch_put(
			b, kind_key(kind), cv_buf_str(&key), cv_buf_str(&value), expected);
		code = changed(s, b, err);
		*ret_version = expected + 1;
	} else if (code == CV_OK) {
		code = cv_fail(err, CV_LIMIT, "no memory");
	}
	cv_buf_wipe(&value); /* a session's token, say */
	cv_buf_fini(&key);
	return store_status(code, err);
}

static enum cv_rpc_status create(struct cv_objects *s, enum cv_object_kind kind,
	struct cv_str scope, struct cv_str name, ProtobufCMessage *m, struct cv_object **ret,
	struct cv_err *err)
{
	uint64_t version = 0;
	enum cv_rpc_status status;

	if (cv_object_find(s, kind, scope, name) || !is_whole(kind, m, s))
		status = taken(kind, name, err);
	else
		status = put(s, kind, scope, name, m, CV_STORE_NEW, &version, err);
	if (status != CV_RPC_OK) {
		cv_pb_free(m);
		return status;
	}

	struct cv_object *o = object_new(kind, scope, name, m, version);

	object_add(s, o);
	if (ret)
		*ret = o;
	tell(s, CV_OBJECT_CREATED, o, NULL);
	return CV_RPC_OK;
}

/* What creation says, and not the client. */
static meta *head_make(enum cv_object_kind kind, ProtobufCMessage *m, int64_t unix_ms)
{
	cv_assert(row_of[kind].has_meta && m->descriptor == row_of[kind].message);

	meta *head = *meta_of(m);
	char id[CV_OBJECT_ID_BYTES + 1];

	cv_assert(head);
	if (!head->id[0]) {
		cv_object_id_make(id);
		cv_pb_str_set(&head->id, cv_str_of(id));
	}
	cv_assert(strlen(head->id) <= CV_OBJECT_ID_BYTES);
	head->created_at_ms = unix_ms;
	head->resource_version = 1;
	return head;
}

enum cv_rpc_status cv_object_create(struct cv_objects *s, enum cv_object_kind kind,
	ProtobufCMessage *m, int64_t unix_ms, struct cv_object **ret, struct cv_err *err)
{
	const meta *head = head_make(kind, m, unix_ms);

	return create(s, kind, cv_str_of(head->workspace), cv_str_of(head->name), m, ret, err);
}

enum cv_rpc_status cv_object_create_record(struct cv_objects *s, enum cv_object_kind kind,
	struct cv_str scope, struct cv_str name, ProtobufCMessage *m, struct cv_object **ret,
	struct cv_err *err)
{
	cv_assert(!row_of[kind].has_meta && m->descriptor == row_of[kind].message);
	return create(s, kind, scope, name, m, ret, err);
}

/* What no write changes. */
static void head_keep(const struct cv_object *o, ProtobufCMessage *m)
{
	meta **head = meta_of(m);

	if (!*head)
		*head = cv_pb_new(&openshell__datamodel__v1__object_meta__descriptor);
	cv_pb_str_set(&(*head)->id, cv_str_of(o->id));
	cv_pb_str_set(&(*head)->name, o->name);
	cv_pb_str_set(&(*head)->workspace, o->scope);
	(*head)->created_at_ms = cv_object_meta(o)->created_at_ms;
	(*head)->resource_version = o->version + 1;
}

static void object_replace(
	struct cv_objects *s, struct cv_object *o, ProtobufCMessage *m, uint64_t version)
{
	const ProtobufCMessage *was = o->message;

	o->message = m;
	o->version = version;
	tell(s, CV_OBJECT_WRITTEN, o, was);
	cv_pb_free((void *)(uintptr_t)was);
}

enum cv_rpc_status cv_object_write(struct cv_objects *s, struct cv_object *o, uint64_t expected,
	ProtobufCMessage *m, struct cv_err *err)
{
	uint64_t version = 0;
	enum cv_rpc_status status;

	cv_assert(m->descriptor == row_of[o->kind].message && m != o->message);
	if (row_of[o->kind].has_meta)
		head_keep(o, m);
	if (expected != CV_OBJECT_ANY_VERSION && expected != o->version)
		status = conflict(o->kind, "update", o->version, err);
	else
		status = put(s, o->kind, o->scope, o->name, m, o->version, &version, err);
	if (status != CV_RPC_OK) {
		cv_pb_free(m);
		return status;
	}

	object_replace(s, o, m, version);
	return CV_RPC_OK;
}

enum cv_rpc_status cv_object_delete(
	struct cv_objects *s, struct cv_object *o, uint64_t expected, struct cv_err *err)
{
	struct cv_buf key;

	if (expected != CV_OBJECT_ANY_VERSION && expected != o->version)
		return conflict(o->kind, "delete", o->version, err);
	cv_assert(key_make(o->scope, o->name, &key));

	struct cv_store_batch *b = batch_for(s);
	cv_code code = b ? CV_OK : cv_fail(err, CV_LIMIT, "no memory");

	if (b) {
		cv_store_batch_delete(b, kind_key(o->kind), cv_buf_str(&key), o->version);
		code = changed(s, b, err);
	}
	const enum cv_rpc_status status = store_status(code, err);
	cv_buf_fini(&key);
	if (status != CV_RPC_OK)
		return status;
	shelf_remove(&s->shelf[o->kind], o);
	if (o->id[0])
		id_remove(s, o);
	tell(s, CV_OBJECT_DELETED, o, o->message);
	object_free(o);
	return CV_RPC_OK;
}

/* ---- groups ---- */

struct cv_object_group {
	struct cv_objects *objects;
	struct cv_store_batch *batch;
	struct group_part {
		struct cv_object *o; /* NULL: to be created */
		ProtobufCMessage *m;
		enum cv_object_kind kind;
	} part[CV_OBJECT_GROUP_MAX];
	size_t n;
	enum cv_rpc_status status; /* of the first part that is wrong */
	struct cv_err err;
};

struct cv_object_group *cv_object_group_begin(struct cv_objects *s)
{
	struct cv_object_group *g = calloc(1, sizeof(*g));

	cv_assert(g);
	g->objects = s;
	g->batch = cv_store_batch_begin();
	cv_assert(g->batch);
	return g;
}

void cv_object_group_free(struct cv_object_group *g)
{
	if (!g)
		return;
	for (size_t i = 0; i < g->n; i++)
		cv_pb_free(g->part[i].m);
	cv_store_batch_free(g->batch);
	free(g);
}

static void group_add(struct cv_object_group *g, struct group_part part, struct cv_str scope,
	struct cv_str name, uint64_t expected)
{
	struct cv_buf key, value;
	cv_code code;

	if (g->n == CV_OBJECT_GROUP_MAX || g->status != CV_RPC_OK) {
		if (g->status == CV_RPC_OK)
			g->status = store_status(
				cv_fail(&g->err, CV_LIMIT, "more than %d objects at once",
					CV_OBJECT_GROUP_MAX),
				&g->err);
		cv_pb_free(part.m);
		return;
	}
	g->part[g->n++] = part;
	code = record_pack(part.kind, scope, name, part.m, &key, &value, &g->err);
	if (code == CV_OK)
		cv_store_batch_put(g->batch, kind_key(part.kind), cv_buf_str(&key),
			cv_buf_str(&value), expected);
	else
		g->status = store_status(code, &g->err);
	cv_buf_wipe(&value);
	cv_buf_fini(&key);
}

void cv_object_group_create(
	struct cv_object_group *g, enum cv_object_kind kind, ProtobufCMessage *m, int64_t unix_ms)
{
	const meta *head = head_make(kind, m, unix_ms);
	const struct cv_str scope = cv_str_of(head->workspace), name = cv_str_of(head->name);

	if (g->status == CV_RPC_OK &&
		(cv_object_find(g->objects, kind, scope, name) || !is_whole(kind, m, g->objects)))
		g->status = taken(kind, name, &g->err);
	group_add(g, (struct group_part){ NULL, m, kind }, scope, name, CV_STORE_NEW);
}

void cv_object_group_write(struct cv_object_group *g, struct cv_object *o, ProtobufCMessage *m)
{
	cv_assert(m->descriptor == row_of[o->kind].message && m != o->message);
	if (row_of[o->kind].has_meta)
		head_keep(o, m);
	group_add(g, (struct group_part){ o, m, o->kind }, o->scope, o->name, o->version);
}

/* It is stored: now it has happened. */
static struct cv_object *group_part_apply(
	struct cv_objects *s, struct group_part *p, uint64_t version)
{
	struct cv_object *o = p->o;

	if (o) {
		object_replace(s, o, p->m, version);
	} else {
		const meta *head = *meta_of(p->m);

		o = object_new(
			p->kind, cv_str_of(head->workspace), cv_str_of(head->name), p->m, version);
		object_add(s, o);
		tell(s, CV_OBJECT_CREATED, o, NULL);
	}
	p->m = NULL;
	return o;
}

enum cv_rpc_status cv_object_group_commit(
	struct cv_object_group *g, struct cv_object **ret, struct cv_err *err)
{
	enum cv_rpc_status s = g->status;

	*err = g->err;
	if (s == CV_RPC_OK && g->n)
		s = store_status(soon_commit(g->objects, g->batch, err), err);
	for (size_t i = 0; i < g->n && s == CV_RPC_OK; i++) {
		struct cv_object *o = group_part_apply(
			g->objects, &g->part[i], cv_store_batch_version(g->batch, i));

		if (ret)
			ret[i] = o;
	}
	cv_object_group_free(g);
	return s;
}
