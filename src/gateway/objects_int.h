/* SPDX-License-Identifier: Apache-2.0 */
/*
 * objects_int.h - what objects.c and objects_write.c share
 */
#pragma once
#include "gateway/objects.h"

#include "openshell.pb-c.h"

typedef Openshell__Datamodel__V1__ObjectMeta object_meta;

struct object_row { /* a kind */
	const char *stored;
	const ProtobufCMessageDescriptor *message;
	bool has_meta;
	const char *noun;
	bool says_name;
};
extern const struct object_row object_rows[CV_OBJECT_KIND_COUNT];

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

/* Field 1 of the message: generated structs begin with their base. */
object_meta **object_meta_of(const ProtobufCMessage *m);

/* What an object of this kind must have, and an id that no other has. */
bool object_is_whole(
	enum cv_object_kind kind, const ProtobufCMessage *m, const struct cv_objects *s);

/* Takes m; scope and name are copied behind the object. */
struct cv_object *object_new(enum cv_object_kind kind, struct cv_str scope, struct cv_str name,
	ProtobufCMessage *m, uint64_t version);
void object_free(struct cv_object *o); /* with its message; it is in no table */

void object_add(struct cv_objects *s, struct cv_object *o);
void object_take_out(struct cv_objects *s, struct cv_object *o);
void objects_tell(struct cv_objects *s, enum cv_object_change change, struct cv_object *o,
	const ProtobufCMessage *was);

struct cv_str object_kind_key(enum cv_object_kind kind);
/* scope/name; a scope has no slash (workspaces and ids don't), so the first one parts them.  The caller
 * ends ret, whatever comes back. */
bool object_key_make(struct cv_str scope, struct cv_str name, struct cv_buf *ret);
