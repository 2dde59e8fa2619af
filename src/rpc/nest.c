/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nest.c - see nest.h
 *
 * The walk keeps one frame for each open message: where it ends and of which type it is.  Only
 * fields that the type knows as messages are entered; all others are stepped over, as protobuf-c
 * does (which keeps unknown ones as bytes: their struct is counted).
 */
#include "rpc/nest.h"

#include "base/utf8.h"

#include <string.h>

#define VARINT_BYTES_MAX 10
#define ALLOC_BYTES      16 /* what malloc adds, about */

struct walk {
	const uint8_t *at, *end;
	uint64_t memory;
	bool is_reading;      /* looks into texts, and not at the memory */
	const char *bad_text; /* the first field with one that is none */
};

struct level {
	const ProtobufCMessageDescriptor *type;
	const uint8_t *end;
	const char *name; /* of the field that it is */
};

static bool varint(struct walk *w, const uint8_t *end, uint64_t *ret)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < VARINT_BYTES_MAX && w->at < end; i++) {
		const uint8_t b = *w->at++;

		v |= (uint64_t)(b & 127) << (7 * i);
		if (!(b & 128)) {
			*ret = v;
			return true;
		}
	}
	return false;
}

/* Steps over the value of a field that is entered by nobody.  False: malformed. */
static bool value_skip(struct walk *w, const uint8_t *end, unsigned wire, uint64_t *ret_length)
{
	uint64_t n = 0;

	switch (wire) {
	case PROTOBUF_C_WIRE_TYPE_VARINT: return varint(w, end, &n);
	case PROTOBUF_C_WIRE_TYPE_64BIT: n = 8; break;
	case PROTOBUF_C_WIRE_TYPE_32BIT: n = 4; break;
	case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED:
		if (!varint(w, end, &n))
			return false;
		*ret_length = n;
		break;
	default: return false; /* groups: protobuf-c has none either */
	}
	if (n > (uint64_t)(end - w->at))
		return false;
	w->at += n;
	return true;
}

/* What a field takes beside the struct it is in. */
static uint64_t memory_of(const ProtobufCFieldDescriptor *f, uint64_t length)
{
	if (!f)
		return sizeof(ProtobufCMessageUnknownField) + ALLOC_BYTES + length +
		       VARINT_BYTES_MAX;
	if (f->type == PROTOBUF_C_TYPE_MESSAGE)
		return ((const ProtobufCMessageDescriptor *)f->descriptor)->sizeof_message +
		       ALLOC_BYTES + sizeof(void *);
	if (f->type == PROTOBUF_C_TYPE_STRING || f->type == PROTOBUF_C_TYPE_BYTES)
		return length + ALLOC_BYTES + sizeof(ProtobufCBinaryData);
	return length ? length * sizeof(uint64_t) : sizeof(uint64_t); /* packed: a byte for each */
}

static bool is_text(struct cv_str s)
{
	return !memchr(s.p, 0, s.n) && cv_utf8_is_valid(s);
}

static bool is_entry(const ProtobufCMessageDescriptor *type) /* of a map */
{
	const struct cv_str name = cv_str_of(type->short_name), end = CV_STR("Entry");

	return name.n > end.n && cv_str_eq(cv_str_slice(name, name.n - end.n, name.n), end);
}

/* Through all fields.  False: malformed, too deep, too large, or at a text that is none. */
static bool walk_through(
	struct walk *w, const ProtobufCMessageDescriptor *type, uint64_t memory_max)
{
	struct level open[CV_RPC_NEST_DEPTH_MAX];
	size_t depth = 1;

	open[0] = (struct level){ type, w->end, "" };
	while (depth) {
		const struct level *l = &open[depth - 1];
		uint64_t tag, length = 0;

		if (w->at == l->end) {
			depth--;
			continue;
		}
		if (!varint(w, l->end, &tag))
			return false;
		const ProtobufCFieldDescriptor *f =
			tag >> 3 <= UINT32_MAX ? protobuf_c_message_descriptor_get_field(
							 l->type, (unsigned)(tag >> 3))
					       : NULL;
		if (!value_skip(w, l->end, tag & 7, &length))
			return false;
		w->memory += memory_of(f, length);
		if (w->memory > memory_max)
			return false;
		if (!f || (tag & 7) != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED)
			continue;
		if (w->is_reading && f->type == PROTOBUF_C_TYPE_STRING && length &&
			!is_text((struct cv_str){ (const char *)w->at - length, length })) {
			w->bad_text = is_entry(l->type) ? l->name : f->name;
			return false;
		}
		if (f->type != PROTOBUF_C_TYPE_MESSAGE)
			continue;
		if (depth == CV_RPC_NEST_DEPTH_MAX)
			return false;
		open[depth++] = (struct level){ f->descriptor, w->at, f->name };
		w->at -= length;
	}
	return true;
}

static struct walk over(struct cv_str bytes)
{
	return (struct walk){ .at = (const uint8_t *)bytes.p,
		.end = (const uint8_t *)bytes.p + bytes.n };
}

bool cv_rpc_nest_is_safe(const ProtobufCMessageDescriptor *type, struct cv_str bytes)
{
	struct walk w = over(bytes);

	return walk_through(
		&w, type, CV_RPC_NEST_MEMORY_BASE + (uint64_t)bytes.n * CV_RPC_NEST_MEMORY_FACTOR);
}

const char *cv_rpc_nest_bad_text(const ProtobufCMessageDescriptor *type, struct cv_str bytes)
{
	struct walk w = over(bytes);

	w.is_reading = true;
	(void)walk_through(&w, type, UINT64_MAX);
	return w.bad_text;
}
