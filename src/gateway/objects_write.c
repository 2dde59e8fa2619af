/* SPDX-License-Identifier: Apache-2.0 */
/*
 * objects_write.c - changes of objects, alone, soon, and several at once
 *
 * The store goes first: what it refused has not happened, and nobody hears of it.  The bytes in it are
 * the message as it is in memory, with the version that the record will have; a record's version is
 * still the store's, should they ever differ.
 *
 * What may be lost with the machine (cv_objects_lazy()) waits in a batch for the next commit of
 * something that may not, and costs no wait for the disk of its own.
 */
#include "gateway/objects_int.h"

#include "base/assert.h"
#include "gateway/log.h"
#include "gateway/pb.h"

#include <stdlib.h>

#define SOON_MAX 1024 /* changes that wait for another: a quarter of a batch */

ProtobufCMessage *cv_object_copy(const struct cv_object *o)
{
	return cv_pb_copy(o->message);
}

static enum cv_rpc_status conflict(
	enum cv_object_kind kind, const char *verb, uint64_t version, struct cv_err *err)
{
	cv_fail(err, CV_DENIED,
		"%s %s failed due to concurrent modification (current resource_version: %llu)",
		object_rows[kind].noun, verb, (unsigned long long)version);
	return CV_RPC_ABORTED;
}

enum cv_rpc_status cv_object_version_check(
	const struct cv_object *o, uint64_t expected, struct cv_err *err)
{
	return !expected || expected == o->version ? CV_RPC_OK
						   : conflict(o->kind, "update", o->version, err);
}

static enum cv_rpc_status taken(enum cv_object_kind kind, struct cv_str name, struct cv_err *err)
{
	if (object_rows[kind].says_name)
		cv_fail(err, CV_DENIED, "%s '%.*s' already exists", object_rows[kind].noun,
			CV_STR_ARG(name));
	else
		cv_fail(err, CV_DENIED, "%s already exists", object_rows[kind].noun);
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
	if (!object_key_make(scope, name, ret_key))
		return cv_fail(err, CV_LIMIT, "the name of a %s is too long or empty",
			object_rows[kind].noun);
	if (n && !cv_buf_reserve(ret_value, n))
		return cv_fail(err, CV_LIMIT, "a %s of %zu bytes", object_rows[kind].noun, n);
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
			b, object_kind_key(kind), cv_buf_str(&key), cv_buf_str(&value), expected);
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

	if (cv_object_find(s, kind, scope, name) || !object_is_whole(kind, m, s))
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
	objects_tell(s, CV_OBJECT_CREATED, o, NULL);
	return CV_RPC_OK;
}

/* What creation says, and not the client. */
static object_meta *head_make(enum cv_object_kind kind, ProtobufCMessage *m, int64_t unix_ms)
{
	cv_assert(object_rows[kind].has_meta && m->descriptor == object_rows[kind].message);

	object_meta *head = *object_meta_of(m);
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
	const object_meta *head = head_make(kind, m, unix_ms);

	return create(s, kind, cv_str_of(head->workspace), cv_str_of(head->name), m, ret, err);
}

enum cv_rpc_status cv_object_create_begin(struct cv_objects *s, enum cv_object_kind kind,
	ProtobufCMessage *m, int64_t unix_ms, struct cv_object **ret, struct cv_err *err)
{
	const object_meta *head = head_make(kind, m, unix_ms);
	const struct cv_str scope = cv_str_of(head->workspace), name = cv_str_of(head->name);

	if (cv_object_find(s, kind, scope, name) || !object_is_whole(kind, m, s)) {
		const enum cv_rpc_status status = taken(kind, name, err);

		cv_pb_free(m);
		return status;
	}
	*ret = object_new(kind, scope, name, m, CV_STORE_NEW);
	object_add(s, *ret);
	return CV_RPC_OK;
}

enum cv_rpc_status cv_object_create_end(
	struct cv_objects *s, struct cv_object *o, struct cv_err *err)
{
	uint64_t version = 0;
	const enum cv_rpc_status status =
		put(s, o->kind, o->scope, o->name, o->message, CV_STORE_NEW, &version, err);

	if (status != CV_RPC_OK)
		return status;
	o->version = version;
	objects_tell(s, CV_OBJECT_CREATED, o, NULL);
	return status;
}

void cv_object_create_drop(struct cv_objects *s, struct cv_object *o)
{
	cv_assert(o->version == CV_STORE_NEW);
	object_take_out(s, o);
	object_free(o);
}

enum cv_rpc_status cv_object_create_record(struct cv_objects *s, enum cv_object_kind kind,
	struct cv_str scope, struct cv_str name, ProtobufCMessage *m, struct cv_object **ret,
	struct cv_err *err)
{
	cv_assert(!object_rows[kind].has_meta && m->descriptor == object_rows[kind].message);
	return create(s, kind, scope, name, m, ret, err);
}

/* What no write changes. */
static void head_keep(const struct cv_object *o, ProtobufCMessage *m)
{
	object_meta **head = object_meta_of(m);

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
	objects_tell(s, CV_OBJECT_WRITTEN, o, was);
	cv_pb_free((void *)(uintptr_t)was);
}

enum cv_rpc_status cv_object_write(struct cv_objects *s, struct cv_object *o, uint64_t expected,
	ProtobufCMessage *m, struct cv_err *err)
{
	uint64_t version = 0;
	enum cv_rpc_status status;

	cv_assert(m->descriptor == object_rows[o->kind].message && m != o->message);
	if (object_rows[o->kind].has_meta)
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
	cv_assert(object_key_make(o->scope, o->name, &key));

	struct cv_store_batch *b = batch_for(s);
	cv_code code = b ? CV_OK : cv_fail(err, CV_LIMIT, "no memory");

	if (b) {
		cv_store_batch_delete(b, object_kind_key(o->kind), cv_buf_str(&key), o->version);
		code = changed(s, b, err);
	}
	const enum cv_rpc_status status = store_status(code, err);
	cv_buf_fini(&key);
	if (status != CV_RPC_OK)
		return status;
	object_take_out(s, o);
	objects_tell(s, CV_OBJECT_DELETED, o, o->message);
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
		cv_store_batch_put(g->batch, object_kind_key(part.kind), cv_buf_str(&key),
			cv_buf_str(&value), expected);
	else
		g->status = store_status(code, &g->err);
	cv_buf_wipe(&value);
	cv_buf_fini(&key);
}

void cv_object_group_create(
	struct cv_object_group *g, enum cv_object_kind kind, ProtobufCMessage *m, int64_t unix_ms)
{
	const object_meta *head = head_make(kind, m, unix_ms);
	const struct cv_str scope = cv_str_of(head->workspace), name = cv_str_of(head->name);

	if (g->status == CV_RPC_OK && (cv_object_find(g->objects, kind, scope, name) ||
					      !object_is_whole(kind, m, g->objects)))
		g->status = taken(kind, name, &g->err);
	group_add(g, (struct group_part){ NULL, m, kind }, scope, name, CV_STORE_NEW);
}

void cv_object_group_write(struct cv_object_group *g, struct cv_object *o, ProtobufCMessage *m)
{
	cv_assert(m->descriptor == object_rows[o->kind].message && m != o->message);
	if (object_rows[o->kind].has_meta)
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
		const object_meta *head = *object_meta_of(p->m);

		o = object_new(
			p->kind, cv_str_of(head->workspace), cv_str_of(head->name), p->m, version);
		object_add(s, o);
		objects_tell(s, CV_OBJECT_CREATED, o, NULL);
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
