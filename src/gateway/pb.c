/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pb.c - see pb.h
 *
 * Fields are given as void * because each generated array has a type of its own; all are arrays of
 * pointers.
 */
#include "gateway/pb.h"

#include "base/assert.h"

#include <stdlib.h>

static void *must(void *p)
{
	cv_assert(p);
	return p;
}

void *cv_pb_new(const ProtobufCMessageDescriptor *type)
{
	ProtobufCMessage *m = must(calloc(1, type->sizeof_message));

	type->message_init(m);
	return m;
}

void cv_pb_free(void *message)
{
	if (message)
		protobuf_c_message_free_unpacked(message, NULL);
}

static struct cv_str packed(const void *message)
{
	const size_t n = protobuf_c_message_get_packed_size(message);
	uint8_t *p = must(malloc(n ? n : 1));

	protobuf_c_message_pack(message, p);
	return (struct cv_str){ (char *)p, n };
}

static void packed_free(struct cv_str s)
{
	free((void *)(uintptr_t)s.p);
}

void *cv_pb_copy(const void *message)
{
	const ProtobufCMessage *m = message;
	const struct cv_str s = packed(m);
	void *copy =
		must(protobuf_c_message_unpack(m->descriptor, NULL, s.n, (const uint8_t *)s.p));

	packed_free(s);
	return copy;
}

bool cv_pb_eq(const void *a, const void *b)
{
	const ProtobufCMessage *left = a, *right = b;

	if (left->descriptor != right->descriptor)
		return false;

	const struct cv_str x = packed(left), y = packed(right);
	const bool is_eq = cv_str_eq(x, y);

	packed_free(x);
	packed_free(y);
	return is_eq;
}

static char *str_copy(struct cv_str s)
{
	char *p = must(malloc(s.n + 1));

	if (s.n)
		memcpy(p, s.p, s.n);
	p[s.n] = 0;
	return p;
}

void cv_pb_str_set(char **field, struct cv_str s)
{
	char *old = *field;

	*field = str_copy(s); /* s may be part of the old one */
	if (old != protobuf_c_empty_string)
		free(old);
}

void cv_pb_bytes_set(ProtobufCBinaryData *field, struct cv_str s)
{
	uint8_t *old = field->data;

	field->data = s.n ? (uint8_t *)str_copy(s) : NULL;
	field->len = s.n;
	free(old);
}

static struct cv_pb_entry **entry_of(const void *entries, size_t n, struct cv_str key)
{
	struct cv_pb_entry **v = (struct cv_pb_entry **)(uintptr_t)entries;

	for (size_t i = 0; i < n; i++)
		if (cv_str_eq(cv_str_of(v[i]->key), key))
			return &v[i];
	return NULL;
}

struct cv_str cv_pb_map_get(const void *entries, size_t n, struct cv_str key)
{
	struct cv_pb_entry **e = entry_of(entries, n, key);

	return e ? cv_str_of((*e)->value) : CV_STR_NONE;
}

void cv_pb_map_set(void *entries_field, size_t *n, const ProtobufCMessageDescriptor *type,
	struct cv_str key, struct cv_str value)
{
	struct cv_pb_entry ***field = entries_field;
	struct cv_pb_entry **there = entry_of(*field, *n, key);

	cv_assert(type->sizeof_message == sizeof(struct cv_pb_entry));
	if (!there) {
		struct cv_pb_entry *e = cv_pb_new(type);

		cv_pb_str_set(&e->key, key);
		cv_pb_append(entries_field, n, e);
		there = &(*field)[*n - 1];
	}
	cv_pb_str_set(&(*there)->value, value);
}

bool cv_pb_map_remove(void *entries_field, size_t *n, struct cv_str key)
{
	struct cv_pb_entry ***field = entries_field;
	struct cv_pb_entry **there = entry_of(*field, *n, key);

	if (!there)
		return false;
	cv_pb_free(cv_pb_take(entries_field, n, (size_t)(there - *field)));
	return true;
}

void cv_pb_append(void *array_field, size_t *n, void *item)
{
	void ***field = array_field;

	*field = must(realloc(*field, (*n + 1) * sizeof(void *)));
	(*field)[(*n)++] = item;
}

void *cv_pb_take(void *array_field, size_t *n, size_t at)
{
	void ***field = array_field;

	cv_assert(at < *n);

	void *item = (*field)[at];

	memmove(*field + at, *field + at + 1, (*n - at - 1) * sizeof(void *));
	if (--*n == 0) {
		free(*field);
		*field = NULL;
	}
	return item;
}

void cv_pb_append_str(char ***field, size_t *n, struct cv_str s)
{
	cv_pb_append(field, n, str_copy(s));
}
