/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pb.h - changing unpacked messages
 *
 * An unpacked message owns its strings and arrays (malloc); an empty string is protobuf-c's static
 * one and must not be freed.  These functions know that.  They abort without memory, as start-up
 * code does: what is put into a message was bounded when its request was read.
 */
#pragma once
#include "base/str.h"

#include <protobuf-c/protobuf-c.h>

/* Like calloc(), a message of the type, initialised; freed with cv_pb_free(). */
void *cv_pb_new(const ProtobufCMessageDescriptor *type);
void cv_pb_free(void *message); /* NULL is fine */
/* A deep copy, by packing. */
void *cv_pb_copy(const void *message);
bool cv_pb_eq(const void *a, const void *b); /* same type, same bytes */

void cv_pb_str_set(char **field, struct cv_str s);
void cv_pb_bytes_set(ProtobufCBinaryData *field, struct cv_str s);

/* Entries of a map<string, string>: every map's entry has this shape. */
struct cv_pb_entry {
	ProtobufCMessage base;
	char *key, *value;
};
/* CV_STR_NONE: no such key.  entries is the field, e.g. meta->labels. */
struct cv_str cv_pb_map_get(const void *entries, size_t n, struct cv_str key);
/* Puts or replaces; type is the entry's descriptor. */
void cv_pb_map_set(void *entries_field, size_t *n, const ProtobufCMessageDescriptor *type,
	struct cv_str key, struct cv_str value);
bool cv_pb_map_remove(void *entries_field, size_t *n, struct cv_str key); /* was there? */

/* Appends to a repeated field of messages or strings (a pointer to the array): takes item. */
void cv_pb_append(void *array_field, size_t *n, void *item);
/* Removes one; what it held is the caller's. */
void *cv_pb_take(void *array_field, size_t *n, size_t at);
/* Appends a copy of s to a repeated string. */
void cv_pb_append_str(char ***field, size_t *n, struct cv_str s);
