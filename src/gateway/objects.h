/* SPDX-License-Identifier: Apache-2.0 */
/*
 * objects.h - what the gateway keeps: messages in memory, their bytes in the store
 *
 * Every object has a kind (a row below), a scope, a name within it, and a version.  Of most kinds
 * field 1 is ObjectMeta: scope is the workspace, and id, name, workspace, created_at_ms and
 * resource_version are filled in here.  Others are plain records: who creates one says scope and
 * name (a sandbox's id and a revision's number, say), and nothing in the message is touched.
 *
 * All objects are in memory; a read never asks the store.  A write is copy, change, write:
 *
 *     ProtobufCMessage *m = cv_object_copy(o);
 *     ... change m (pb.h) ...
 *     s = cv_object_write(objects, o, expected, m, &err);     takes m, whatever comes out
 *
 * and goes to the store first: what the store refused has not happened.  expected is the version
 * that the client has seen, or 0: any.
 *
 * Lifetimes: a struct cv_object stays where it is until it is deleted; its message until its next
 * write.  Whoever holds on to one over a turn of the loop holds the id and asks again.
 *
 * Results are statuses with the sentence in err, ready for cv_rpc_finish():
 *     NOT_FOUND "sandbox not found", ALREADY_EXISTS "sandbox 'x' already exists", ABORTED (another
 *     version), RESOURCE_EXHAUSTED (too large), INTERNAL (the store).
 *
 * One thread, one writer: nobody else changes the store's records of these kinds.
 */
#pragma once
#include "base/arena.h"
#include "rpc/status.h"
#include "store/store.h"

#include <protobuf-c/protobuf-c.h>

/* clang-format off */
/* enum, kind in the store, message (behind openshell__), whether field 1 is ObjectMeta, noun, whether
 * "already exists" says the name.  Append: of yours, one row each. */
#define CV_OBJECT_KINDS(X)                                                                               \
	X(WORKSPACE, "workspace", datamodel__v1__workspace, true, "workspace", false)                    \
	X(MEMBER, "workspace_member", v1__workspace_member, true, "workspace member", false)             \
	X(SANDBOX, "sandbox", v1__sandbox, true, "sandbox", true)                                        \
	X(PROVIDER, "provider", datamodel__v1__provider, true, "provider", false)                        \
	X(PROFILE, "stored_provider_profile", v1__stored_provider_profile, true, "provider profile", true) \
	X(REFRESH, "provider_credential_refresh_state", v1__stored_provider_credential_refresh_state,    \
		true, "provider refresh", false)                                                         \
	X(SERVICE, "service_endpoint", v1__service_endpoint, true, "service", true)                      \
	X(SSH_SESSION, "ssh_session", v1__ssh_session, true, "ssh session", false)                       \
	X(INFERENCE_ROUTE, "inference_route", inference__v1__inference_route, true, "inference route", true) \
	X(POLICY_REVISION, "sandbox_policy", v1__stored_policy_revision, false, "policy revision", false) \
	X(DRAFT_CHUNK, "draft_policy_chunk", v1__stored_draft_chunk, false, "draft chunk", false)        \
	X(DRAFT_HISTORY, "draft_history", v1__get_draft_history_response, false, "draft history", false) \
	X(SETTINGS, "sandbox_settings", sandbox__v1__get_gateway_config_response, false, "settings", false)
/* clang-format on */

#define CV_OBJECT_KIND_ENUM(name, stored, message, has_meta, noun, says_name) CV_OBJECT_##name,
enum cv_object_kind { CV_OBJECT_KINDS(CV_OBJECT_KIND_ENUM) CV_OBJECT_KIND_COUNT };
#undef CV_OBJECT_KIND_ENUM

#define CV_OBJECT_ID_BYTES        36   /* a UUID as text */
#define CV_OBJECT_PAGE_DEFAULT    100  /* openshell-api 7: limit 0 */
#define CV_OBJECT_PAGE_MAX        1000 /* larger limits are cut to this */
#define CV_OBJECT_ANY_VERSION     0    /* of write and delete: whatever is there */
#define CV_OBJECT_LISTENERS_MAX   8    /* parts that follow changes */
#define CV_OBJECT_LABEL_PAIRS_MAX 64   /* of a selector */

struct cv_objects;

struct cv_object {
	enum cv_object_kind kind;
	const ProtobufCMessage
		*message;          /* the kind's type; has_meta: cv_object_meta() is its head */
	struct cv_str scope, name; /* scope: the workspace, of kinds with metadata */
	char id[CV_OBJECT_ID_BYTES + 1]; /* empty for records */
	uint64_t version;
	void *runtime; /* of the part that owns the kind: what is known and not stored; NULL at first */
};

struct Openshell__Datamodel__V1__ObjectMeta;

/* Loads everything.  CV_INVALID: a record that is none; CV_SYSTEM: the store. */
CV_MUST cv_code cv_objects_open(
	struct cv_store *store, struct cv_objects **ret, struct cv_err *err);
void cv_objects_close(struct cv_objects *s); /* NULL is fine; runtime is not freed */

/* Whom to tell of each change, after it is stored.  was: the message before (CREATED: NULL), which
 * dies when the call returns; o is whole even in DELETED. */
enum cv_object_change { CV_OBJECT_CREATED, CV_OBJECT_WRITTEN, CV_OBJECT_DELETED };
typedef void cv_object_listener(
	void *arg, enum cv_object_change change, struct cv_object *o, const ProtobufCMessage *was);
void cv_objects_listen(struct cv_objects *s, cv_object_listener *tell, void *arg);

/* ---- reading: NULL, or NOT_FOUND with the sentence ---- */

struct cv_object *cv_object_find(const struct cv_objects *s, enum cv_object_kind kind,
	struct cv_str scope, struct cv_str name);
struct cv_object *cv_object_find_id(
	const struct cv_objects *s, enum cv_object_kind kind, struct cv_str id);
CV_MUST enum cv_rpc_status cv_object_get(const struct cv_objects *s, enum cv_object_kind kind,
	struct cv_str scope, struct cv_str name, struct cv_object **ret, struct cv_err *err);
CV_MUST enum cv_rpc_status cv_object_get_id(const struct cv_objects *s, enum cv_object_kind kind,
	struct cv_str id, struct cv_object **ret, struct cv_err *err);

/* The head of a message whose kind has one. */
const struct Openshell__Datamodel__V1__ObjectMeta *cv_object_meta(const struct cv_object *o);
const char *cv_object_noun(enum cv_object_kind kind);

/* Objects of a kind in the order of scope and name: for (i = first; i < end; i++) cv_object_at().
 * Valid until something of the kind is created or deleted. */
struct cv_object_range {
	size_t first, end;
};
struct cv_object_range cv_object_all(const struct cv_objects *s, enum cv_object_kind kind);
struct cv_object_range cv_object_scope(
	const struct cv_objects *s, enum cv_object_kind kind, struct cv_str scope);
struct cv_object *cv_object_at(const struct cv_objects *s, enum cv_object_kind kind, size_t i);

/* One page of a list, as clients ask for it. */
struct cv_object_query {
	struct cv_str scope;
	bool is_every_scope; /* scope is not looked at */
	uint32_t limit, offset;
	struct cv_str selector; /* labels: "k=v,k2=v2"; empty: all */
	/* A further condition, or NULL: what this says no to does not count. */
	bool (*wants)(void *arg, const struct cv_object *o);
	void *arg;
};
struct cv_object_page {
	struct cv_object **v; /* in the arena */
	size_t n;
};
/* INVALID_ARGUMENT: the selector. */
CV_MUST enum cv_rpc_status cv_object_list(const struct cv_objects *s, enum cv_object_kind kind,
	const struct cv_object_query *q, struct cv_arena *arena, struct cv_object_page *ret,
	struct cv_err *err);

/* ---- writing; each takes m, whatever comes out ---- */

/* A copy to change, or NULL without memory: its strings and arrays are malloc's (pb.h). */
ProtobufCMessage *cv_object_copy(const struct cv_object *o);

/* m->metadata has name and workspace (and labels, annotations if any); the rest of it is filled in:
 * id (unless m has one already), created_at_ms, resource_version 1.  ret may be NULL. */
CV_MUST enum cv_rpc_status cv_object_create(struct cv_objects *s, enum cv_object_kind kind,
	ProtobufCMessage *m, int64_t unix_ms, struct cv_object **ret, struct cv_err *err);
/* The same in two steps.  After the first it is in the table, for whoever made it, and must not be
 * written or deleted; the second stores it and tells of it.  If that fails, drop() is left to
 * do. */
CV_MUST enum cv_rpc_status cv_object_create_begin(struct cv_objects *s, enum cv_object_kind kind,
	ProtobufCMessage *m, int64_t unix_ms, struct cv_object **ret, struct cv_err *err);
CV_MUST enum cv_rpc_status cv_object_create_end(
	struct cv_objects *s, struct cv_object *o, struct cv_err *err);
void cv_object_create_drop(struct cv_objects *s, struct cv_object *o);
/* Of a kind without metadata. */
CV_MUST enum cv_rpc_status cv_object_create_record(struct cv_objects *s, enum cv_object_kind kind,
	struct cv_str scope, struct cv_str name, ProtobufCMessage *m, struct cv_object **ret,
	struct cv_err *err);
/* ABORTED: expected, if it is not 0, is not o's version.  For what may come out without a write. */
CV_MUST enum cv_rpc_status cv_object_version_check(
	const struct cv_object *o, uint64_t expected, struct cv_err *err);
/* id, name, workspace and created_at_ms of m are those of o whatever m says. */
CV_MUST enum cv_rpc_status cv_object_write(struct cv_objects *s, struct cv_object *o,
	uint64_t expected, ProtobufCMessage *m, struct cv_err *err);
/* o is gone when it is OK. */
CV_MUST enum cv_rpc_status cv_object_delete(
	struct cv_objects *s, struct cv_object *o, uint64_t expected, struct cv_err *err);

/* ---- several at once: all of them are stored and told of, or none is ---- */

#define CV_OBJECT_GROUP_MAX 1024 /* a sandbox with all that belongs to it has fewer */

struct cv_object_group;

struct cv_object_group *cv_object_group_begin(struct cv_objects *s);
/* As cv_object_create() and cv_object_write() of any version; each takes m.  What is wrong is said
 * by the commit.  No object twice. */
void cv_object_group_create(
	struct cv_object_group *g, enum cv_object_kind kind, ProtobufCMessage *m, int64_t unix_ms);
void cv_object_group_write(struct cv_object_group *g, struct cv_object *o, ProtobufCMessage *m);
/* ret: the objects in the order of the calls, or NULL.  The group is gone, whatever comes out. */
CV_MUST enum cv_rpc_status cv_object_group_commit(
	struct cv_object_group *g, struct cv_object **ret, struct cv_err *err);
void cv_object_group_free(struct cv_object_group *g); /* instead of the commit; NULL is fine */

/* What is written or deleted from here on until lazy(false) may be lost with the machine or the
 * process: it is stored with the next change that may not, in one wait for the disk, or by flush().
 * For what can be made again, or goes with something that is about to go. */
void cv_objects_lazy(struct cv_objects *s, bool is_lazy);
void cv_objects_flush(struct cv_objects *s); /* what fails is tried again with the next */

/* A new UUIDv4. */
void cv_object_id_make(char ret[CV_OBJECT_ID_BYTES + 1]);
