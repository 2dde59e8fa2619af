/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scrub_unit.c - decoders of escapes over units; see scrub_unit_int.h
 *
 * A decoder keeps the units of an escape that has begun.  When the next unit can't go on, the kept
 * ones are given as they are, and that unit is looked at afresh, for it may begin an escape itself;
 * those kept can't, since only their first is `%` or `\`.  So each unit is looked at twice at most
 * for each step, and time stays linear.
 */
#include "cred/scrub_unit_int.h"

#include "base/assert.h"
#include "base/hex.h"
#include "wire/json.h"

struct out {
	struct cv_scrub_chain *chain;
	size_t next; /* decoder that reads what this one gives */
	cv_scrub_unit_fn *give;
	void *arg;
};

static void push(const struct out *o, const struct cv_scrub_unit *u);

static void give(const struct out *o, const struct cv_scrub_unit *u)
{
	if (o->next == o->chain->count)
		o->give(u, o->arg);
	else
		push(o, u);
}

/* From the first unit's start to the last one's end. */
static struct cv_scrub_unit joined(
	const struct cv_scrub_unit *first, const struct cv_scrub_unit *last, uint8_t byte)
{
	return (struct cv_scrub_unit){ first->at, (uint16_t)(last->at + last->len - first->at),
		byte };
}

/* A character as UTF-8, all of whose bytes stand in the same place. */
static void give_utf8(const struct out *o, struct cv_scrub_unit u, uint32_t c)
{
	const unsigned more = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
	static const uint8_t lead[] = { 0, 0xc0, 0xe0, 0xf0 };

	u.byte = (uint8_t)(lead[more] | c >> 6 * more);
	give(o, &u);
	for (unsigned i = more; i-- > 0;) {
		u.byte = (uint8_t)(0x80 | (c >> 6 * i & 0x3f));
		give(o, &u);
	}
}

static void give_high(struct cv_scrub_decoder *d, const struct out *o)
{
	const uint16_t high = d->high;

	d->high = 0;
	if (high)
		give_utf8(o, d->high_unit, high);
}

static void give_kept(struct cv_scrub_decoder *d, const struct out *o)
{
	const uint8_t count = d->count;

	give_high(d, o);
	d->count = 0;
	for (uint8_t i = 0; i < count; i++)
		give(o, &d->kept[i]);
}

/* ---- JSON ---- */

static uint16_t kept_value(const struct cv_scrub_decoder *d, uint8_t last)
{
	unsigned v = 0;

	for (uint8_t i = 2; i < d->count; i++)
		v = v << 4 | (unsigned)cv_hex_digit((char)d->kept[i].byte);
	return (uint16_t)(v << 4 | (unsigned)cv_hex_digit((char)last));
}

static void json_end(
	struct cv_scrub_decoder *d, const struct out *o, const struct cv_scrub_unit *last)
{
	const uint16_t v = kept_value(d, last->byte);
	const struct cv_scrub_unit u = joined(&d->kept[0], last, 0);

	d->count = 0;
	if (d->high && v >= 0xdc00 && v <= 0xdfff) {
		const uint32_t c = 0x10000u + ((uint32_t)(d->high - 0xd800) << 10) + (v - 0xdc00u);

		d->high = 0;
		give_utf8(o, joined(&d->high_unit, &u, 0), c);
		return;
	}
	give_high(d, o);
	if (v >= 0xd800 && v <= 0xdbff) {
		d->high = v;
		d->high_unit = u;
		return;
	}
	give_utf8(o, u, v);
}

/* The unit behind `\`.  False: no escape. */
static bool json_second(
	struct cv_scrub_decoder *d, const struct out *o, const struct cv_scrub_unit *u)
{
	const char c = cv_json_escape_short((char)u->byte);

	if (u->byte == 'u' || u->byte == 'x') {
		d->kept[d->count++] = *u;
		return true;
	}
	if (!c)
		return false;
	const struct cv_scrub_unit whole = joined(&d->kept[0], u, (uint8_t)c);

	give_high(d, o);
	d->count = 0;
	give(o, &whole);
	return true;
}

/* A digit, or not, behind \u or \x.  False: no escape. */
static bool json_digit(
	struct cv_scrub_decoder *d, const struct out *o, const struct cv_scrub_unit *u)
{
	const uint8_t digits = d->kept[1].byte == 'u' ? 4 : 2;

	if (cv_hex_digit((char)u->byte) < 0)
		return false;
	if (d->count < 1 + digits) {
		d->kept[d->count++] = *u;
		return true;
	}
	if (digits == 4) {
		json_end(d, o, u);
		return true;
	}
	const struct cv_scrub_unit whole = joined(&d->kept[0], u, (uint8_t)kept_value(d, u->byte));

	give_high(d, o);
	d->count = 0;
	give(o, &whole);
	return true;
}

static void json_push(
	struct cv_scrub_decoder *d, const struct out *o, const struct cv_scrub_unit *u)
{
	if (d->count == 1 && json_second(d, o, u))
		return;
	if (d->count > 1 && json_digit(d, o, u))
		return;
	if (d->count)
		give_kept(d, o);
	if (u->byte == '\\') {
		d->kept[d->count++] = *u;
		return;
	}
	give_high(d, o);
	give(o, u);
}

/* ---- percent ---- */

static void percent_push(
	struct cv_scrub_decoder *d, const struct out *o, const struct cv_scrub_unit *u)
{
	const int digit = cv_hex_digit((char)u->byte);

	if (d->count == 1 && digit >= 0) {
		d->kept[d->count++] = *u;
		return;
	}
	if (d->count == 2 && digit >= 0) {
		const int high = cv_hex_digit((char)d->kept[1].byte);
		const struct cv_scrub_unit whole =
			joined(&d->kept[0], u, (uint8_t)(high << 4 | digit));

		d->count = 0;
		give(o, &whole);
		return;
	}
	if (d->count)
		give_kept(d, o);
	if (u->byte == '%')
		d->kept[d->count++] = *u;
	else
		give(o, u);
}

/* ---- the chain ---- */

static void push(const struct out *o, const struct cv_scrub_unit *u)
{
	struct cv_scrub_decoder *d = &o->chain->decoder[o->next];
	const struct out next = { o->chain, o->next + 1, o->give, o->arg };

	if (d->step == CV_SCRUB_STEP_JSON)
		json_push(d, &next, u);
	else
		percent_push(d, &next, u);
}

void cv_scrub_chain_init(
	struct cv_scrub_chain *c, const enum cv_scrub_step *steps, size_t step_count)
{
	cv_assert(step_count > 0 && step_count <= CV_SCRUB_STEPS_MAX);
	*c = (struct cv_scrub_chain){ .count = step_count };
	for (size_t i = 0; i < step_count; i++)
		c->decoder[i].step = (uint8_t)steps[i];
}

void cv_scrub_chain_push(struct cv_scrub_chain *c, const struct cv_scrub_unit *u,
	cv_scrub_unit_fn *give_fn, void *arg)
{
	push(&(struct out){ c, 0, give_fn, arg }, u);
}

void cv_scrub_chain_flush(struct cv_scrub_chain *c, cv_scrub_unit_fn *give_fn, void *arg)
{
	for (size_t i = 0; i < c->count; i++)
		give_kept(&c->decoder[i], &(struct out){ c, i + 1, give_fn, arg });
}

bool cv_scrub_chain_is_empty(const struct cv_scrub_chain *c)
{
	for (size_t i = 0; i < c->count; i++)
		if (c->decoder[i].count || c->decoder[i].high)
			return false;
	return true;
}

/* The value of n hex digits, or -1. */
static int digits_value(const char *p, size_t n)
{
	int v = 0;

	for (size_t i = 0; i < n; i++) {
		const int d = cv_hex_digit(p[i]);

		if (d < 0)
			return -1;
		v = v << 4 | d;
	}
	return v;
}

int cv_scrub_escape_value(const char *p, size_t n)
{
	int v = -1;

	if (n >= 3 && p[0] == '%')
		v = digits_value(p + 1, 2);
	else if (n >= 2 && p[0] == '\\' && p[1] != 'u')
		v = cv_json_escape_short(p[1]) ? cv_json_escape_short(p[1]) : -1;
	else if (n >= 6 && p[0] == '\\')
		v = digits_value(p + 2, 4);
	return v != '%' && v != '\\' ? v : -1;
}

static uint32_t earlier(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0 ? a : b;
}

uint32_t cv_scrub_chain_live(const struct cv_scrub_chain *c, uint32_t at)
{
	for (size_t i = 0; i < c->count; i++) {
		const struct cv_scrub_decoder *d = &c->decoder[i];

		if (d->count)
			at = earlier(d->kept[0].at, at);
		if (d->high)
			at = earlier(d->high_unit.at, at);
	}
	return at;
}
