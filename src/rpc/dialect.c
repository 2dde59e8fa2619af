/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dialect.c - see dialect.h
 *
 * Fields of a message are taken one after the other and written again, some under another number, some
 * inside a message of their own.  A table says which field of which message is rewritten how.
 */
#include "rpc/dialect.h"

#include <string.h>

enum wire { WIRE_VARINT, WIRE_64, WIRE_BYTES, WIRE_32 = 5 };

struct field {
	uint32_t number;
	enum wire wire;
	uint64_t varint;
	struct cv_str bytes; /* of WIRE_BYTES */
	struct cv_str raw;   /* behind the tag: what is copied */
};

/* ---- reading and writing ---- */

static bool varint_take(struct cv_str *in, uint64_t *ret)
{
	uint64_t v = 0;

	for (size_t i = 0; i < 10 && i < in->n; i++) {
		const uint8_t byte = (uint8_t)in->p[i];

		v |= (uint64_t)(byte & 0x7f) << (7 * i);
		if (!(byte & 0x80)) {
			*in = cv_str_slice(*in, i + 1, in->n);
			*ret = v;
			return true;
		}
	}
	return false;
}

static bool bytes_take(struct cv_str *in, size_t n)
{
	if (in->n < n)
		return false;
	*in = cv_str_slice(*in, n, in->n);
	return true;
}

/* False: malformed.  Groups are long gone from the language. */
static bool field_take(struct cv_str *in, struct field *ret)
{
	uint64_t tag, n = 0;

	if (!varint_take(in, &tag) || tag >> 32 || !(tag >> 3))
		return false;
	*ret = (struct field){ .number = (uint32_t)(tag >> 3), .wire = (enum wire)(tag & 7) };
	const struct cv_str begin = *in;
	bool is_good = false;
	switch (tag & 7) {
	case WIRE_VARINT: is_good = varint_take(in, &ret->varint); break;
	case WIRE_64: is_good = bytes_take(in, 8); break;
	case WIRE_32: is_good = bytes_take(in, 4); break;
	case WIRE_BYTES:
		is_good = varint_take(in, &n) && n <= in->n;
		ret->bytes = is_good ? cv_str_slice(*in, 0, (size_t)n) : CV_STR_NONE;
		is_good = is_good && bytes_take(in, (size_t)n);
		break;
	default: break;
	}
	ret->raw = cv_str_slice(begin, 0, begin.n - in->n);
	return is_good;
}

static void varint_put(struct cv_buf *out, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		cv_buf_put_byte(out, (char)(v | 0x80));
	cv_buf_put_byte(out, (char)v);
}

static void field_put(struct cv_buf *out, uint32_t number, const struct field *f)
{
	varint_put(out, (uint64_t)number << 3 | f->wire);
	cv_buf_put(out, f->raw);
}

static void message_put(struct cv_buf *out, uint32_t number, struct cv_str bytes)
{
	varint_put(out, (uint64_t)number << 3 | WIRE_BYTES);
	varint_put(out, bytes.n);
	cv_buf_put(out, bytes);
}

static void number_put(struct cv_buf *out, uint32_t number, uint64_t v)
{
	if (!v)
		return;
	varint_put(out, (uint64_t)number << 3 | WIRE_VARINT);
	varint_put(out, v);
}

/* ---- messages ---- */

typedef bool rewrite(struct cv_str in, struct cv_buf *out);

/* {id=1 name=2 type=3 credentials=4 config=5} to {metadata=1{id=1 name=2} type=2 credentials=3
 * config=4} */
static bool provider_read(struct cv_str in, struct cv_buf *out)
{
	struct cv_buf head;
	struct field f;
	bool is_good = true;

	cv_buf_init(&head, in.n + 16);
	while (in.n && (is_good = field_take(&in, &f))) {
		if (f.number <= 2)
			field_put(&head, f.number, &f);
		else if (f.number <= 5)
			field_put(out, f.number - 1, &f);
	}
	message_put(out, 1, cv_buf_str(&head));
	is_good = is_good && !head.is_overflown;
	cv_buf_fini(&head);
	return is_good;
}

/* A head's id=1 and name=2 stand where they stood. */
static bool provider_write(struct cv_str in, struct cv_buf *out)
{
	struct field f, h;

	while (in.n) {
		if (!field_take(&in, &f))
			return false;
		if (f.number > 1 && f.number <= 4) {
			field_put(out, f.number + 1, &f);
			continue;
		}
		while (f.number == 1 && f.bytes.n) {
			if (!field_take(&f.bytes, &h))
				return false;
			if (h.number <= 2)
				field_put(out, h.number, &h);
		}
	}
	return true;
}

#define POD_ENTRY "\x0a\x0cpod_template" /* key=1 of an entry of Struct.fields */

/* pod_template=8 stands in driver_config=11 {fields=1 {key=1, value=2 {struct_value=5}}}. */
static void pod_put(struct cv_buf *out, struct cv_str pod)
{
	struct cv_buf value, entry, config;

	cv_buf_init(&value, pod.n + 16);
	cv_buf_init(&entry, pod.n + 64);
	cv_buf_init(&config, pod.n + 80);
	message_put(&value, 5, pod);
	cv_buf_put(&entry, CV_STR(POD_ENTRY));
	message_put(&entry, 2, cv_buf_str(&value));
	message_put(&config, 1, cv_buf_str(&entry));
	message_put(out, 11, cv_buf_str(&config));
	cv_buf_wipe(&value); /* its variables may be secrets */
	cv_buf_wipe(&entry);
	cv_buf_wipe(&config);
}

static bool template_read(struct cv_str in, struct cv_buf *out)
{
	struct field f;

	while (in.n) {
		if (!field_take(&in, &f))
			return false;
		if (f.number != 8)
			field_put(out, f.number, &f);
		else if (f.wire == WIRE_BYTES)
			pod_put(out, f.bytes);
	}
	return true;
}

/* What came later is told to nobody who cannot know it. */
static bool template_write(struct cv_str in, struct cv_buf *out)
{
	struct field f;

	while (in.n) {
		if (!field_take(&in, &f))
			return false;
		if (f.number < 8)
			field_put(out, f.number, &f);
	}
	return true;
}

/* A message in a message, rewritten. */
static bool part_put(struct cv_buf *out, uint32_t number, rewrite *part, struct cv_str in)
{
	struct cv_buf one;

	cv_buf_init(&one, 2 * in.n + 64);
	const bool is_good = part(in, &one) && !one.is_overflown;
	message_put(out, number, cv_buf_str(&one));
	cv_buf_wipe(&one); /* a credential, perhaps */
	return is_good;
}

/* gpu=9 was a truth value, and is {gpu=1{}}; the template is field 6. */
static bool spec_read(struct cv_str in, struct cv_buf *out)
{
	struct field f;

	while (in.n) {
		if (!field_take(&in, &f))
			return false;
		if (f.number == 9 && f.wire == WIRE_VARINT && f.varint)
			message_put(out, 9, (struct cv_str){ "\x0a", 2 });
		else if (f.number == 6 && f.wire == WIRE_BYTES &&
			 !part_put(out, 6, template_read, f.bytes))
			return false;
		else if (f.number != 6 && f.number != 9)
			field_put(out, f.number, &f);
	}
	return true;
}

static bool spec_write(struct cv_str in, struct cv_buf *out)
{
	struct field f;

	while (in.n) {
		if (!field_take(&in, &f))
			return false;
		if (f.number == 9)
			number_put(out, 9, f.bytes.n > 0);
		else if (f.number == 6 && !part_put(out, 6, template_write, f.bytes))
			return false;
		else if (f.number < 9 && f.number != 6) /* command and what else came later */
			field_put(out, f.number, &f);
	}
	return true;
}

/* {metadata=1{id=1 name=2 created_at_ms=3 workspace=7} spec=2 status=3{.. phase=6 version=7}} to
 * {id=1 name=2 namespace=3 spec=4 status=5 phase=6 created_at_ms=7 current_policy_version=8} */
static bool head_write(struct cv_str in, struct cv_buf *out)
{
	static const uint8_t place[] = { [1] = 1, [2] = 2, [3] = 7, [7] = 3 };
	struct field f;

	while (in.n) {
		if (!field_take(&in, &f))
			return false;
		if (f.number < sizeof(place) && place[f.number])
			field_put(out, place[f.number], &f);
	}
	return true;
}

#define PHASE_UNKNOWN 5 /* the last that there was */

static bool status_write(struct cv_str in, struct cv_buf *out)
{
	struct cv_buf own;
	struct field f;
	bool is_good = true;

	cv_buf_init(&own, in.n + 16);
	while (in.n && (is_good = field_take(&in, &f))) {
		if (f.number <= 5)
			field_put(&own, f.number, &f);
		else if (f.number == 6)
			number_put(out, 6, f.varint > PHASE_UNKNOWN ? PHASE_UNKNOWN : f.varint);
		else if (f.number == 7)
			number_put(out, 8, f.varint);
	}
	message_put(out, 5, cv_buf_str(&own));
	is_good = is_good && !own.is_overflown;
	cv_buf_fini(&own);
	return is_good;
}

static bool spec_field_write(struct cv_str in, struct cv_buf *out)
{
	return part_put(out, 4, spec_write, in);
}

static bool sandbox_write(struct cv_str in, struct cv_buf *out)
{
	static rewrite *const part[] = { NULL, head_write, spec_field_write, status_write };
	struct field f;

	while (in.n) {
		if (!field_take(&in, &f))
			return false;
		if (f.wire == WIRE_BYTES && f.number < CV_ARRAY_LEN(part) && part[f.number] &&
			!part[f.number](f.bytes, out))
			return false;
	}
	return true;
}

/* ---- calls ---- */

#define V1 "openshell.v1."

/* All of them have what is rewritten as their field 1. */
static const struct row {
	const char *type;
	rewrite *of_first;
} requests[] = {
	{ V1 "CreateProviderRequest", provider_read },
	{ V1 "UpdateProviderRequest", provider_read },
	{ V1 "CreateSandboxRequest", spec_read },
}, answers[] = {
	{ V1 "SandboxResponse", sandbox_write },
	{ V1 "ListSandboxesResponse", sandbox_write },
	{ V1 "SandboxStreamEvent", sandbox_write },
	{ V1 "ProviderResponse", provider_write },
	{ V1 "ListProvidersResponse", provider_write },
};

static bool run(
	const struct row *rows, size_t n, const char *type, struct cv_str in, struct cv_buf *out)
{
	struct field f;
	size_t i = 0;

	while (i < n && strcmp(rows[i].type, type) != 0)
		i++;
	if (i == n) {
		cv_buf_put(out, in);
		return !out->is_overflown;
	}
	while (in.n) {
		if (!field_take(&in, &f))
			return false;
		if (f.number != 1 || f.wire != WIRE_BYTES)
			field_put(out, f.number, &f);
		else if (!part_put(out, 1, rows[i].of_first, f.bytes))
			return false;
	}
	return !out->is_overflown;
}

bool cv_dialect_request(const char *type, struct cv_str in, struct cv_buf *out)
{
	return run(requests, CV_ARRAY_LEN(requests), type, in, out);
}

bool cv_dialect_answer(const char *type, struct cv_str in, struct cv_buf *out)
{
	return run(answers, CV_ARRAY_LEN(answers), type, in, out);
}

bool cv_dialect_may_lack(const char *method)
{
	return strcmp(method, "DeleteSandbox") == 0 || strcmp(method, "DeleteProvider") == 0;
}
