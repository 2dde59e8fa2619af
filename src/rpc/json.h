/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json.h - messages as JSON, and JSON as messages, by their descriptors
 *
 * The mapping is proto3's (protobuf.dev, "JSON Mapping"): names in lowerCamelCase, and as the proto
 * has them on the way in; 64-bit integers as strings; bytes in base64; enums by name; maps as
 * objects; Struct and its parts as the JSON they stand for; what is at its default is left out
 * unless its presence means something.  null on the way in is a field that is not there.
 *
 * Stricter than others on the way in, so that a request means one thing only: a field that the
 * message has not, a field twice (under one name or both), two members of one oneof, an object's
 * key twice, and a string with a NUL (which C could not hold) are refused, by a JSON pointer.
 *
 * The descriptors come from protos in which `optional` is a oneof of one member (proto/meson.build),
 * which is the same on the wire and here.  Pure.
 */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/value.h"

#include <protobuf-c/protobuf-c.h>

#define CV_RPC_JSON_DEPTH_MAX  100 /* of messages, structs and lists; below wire/json's 128 */
#define CV_RPC_JSON_NAME_BYTES 96  /* of a field; the longest of ours has 45 */
#define CV_RPC_JSON_PATH_BYTES 256 /* of a pointer in a sentence; longer ones are cut */

/* Appends an object on one line.  False: it did not fit, or is too deep. */
CV_MUST bool cv_rpc_json_write(struct cv_buf *b, const ProtobufCMessage *m);

/* text as a message in arena (never to be freed otherwise).  CV_INVALID with "/spec/name: ...",
 * CV_LIMIT when the arena is full. */
CV_MUST cv_code cv_rpc_json_read(const ProtobufCMessageDescriptor *type, struct cv_str text,
	struct cv_arena *arena, ProtobufCMessage **ret, struct cv_err *err);

/* Sets one field of m from a word, as it stands in a path or a query: numbers, true and false, names of
 * enums; one more element of a repeated field.  name: of either kind.  What the field held before
 * is replaced.  CV_NOT_FOUND: m has no such field, or none that a word can set. */
CV_MUST cv_code cv_rpc_json_set(ProtobufCMessage *m, struct cv_str name, struct cv_str word,
	struct cv_arena *arena, struct cv_err *err);

/* ---- for schemas and others who walk descriptors ---- */

/* "sandbox_id" as "sandboxId"; longer ones are cut. */
struct cv_str cv_rpc_json_name(const char *name, char text[CV_RPC_JSON_NAME_BYTES]);
/* The field is a map: repeated entries with fields "key" and "value". */
bool cv_rpc_json_is_map(const ProtobufCMessageDescriptor *m, const ProtobufCFieldDescriptor *f);
const ProtobufCFieldDescriptor *cv_rpc_json_field(
	const ProtobufCMessageDescriptor *type, struct cv_str name); /* of either kind; NULL */
/* Bytes of one value of the field in the message's struct, or in a repeated field's array. */
size_t cv_rpc_json_size(const ProtobufCFieldDescriptor *f);
