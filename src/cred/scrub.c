/* SPDX-License-Identifier: Apache-2.0 */
/**
 * DOC: Theory of operation
 *
 * The bytes are read in several ways at once, each called a lane:
 *
 *     raw        as they are
 *     json       with JSON escapes decoded (for values that have a `%` in them)
 *     percent    with percent escapes decoded (for values that have a `\` in them)
 *     nested     JSON, percent, percent, JSON: all of the above and one inside the other
 *
 * Each lane runs the three automata of the set (plain, base64, hex) over its units.  A lane
 * remembers where the units of its partial matches stand, so that a hit is known as a list of
 * places, which are overwritten in the buffer.
 *
 * Away from escapes all lanes would see the same, so only raw always runs.  The others start at a
 * `%` or `\` as copies of raw and stop as soon as all their partial matches consist of raw bytes,
 * which raw follows as well.
 *
 * Nor do they start at an escape that is nobody's, such as \" when no value has a quote.
 *
 * Most text is not even given to raw.  While no partial match is older than a few bytes and no
 * escape is near, three bytes out of each window of eight are looked up in the set's filter; if no
 * match may have them there, none starts in the six places before, and these are stepped over.
 *
 * Lines: encoders of base64 and hex break lines.  One LF or CR LF between two letters is passed over
 * by those automata and left as it is.
 *
 * Invariant: buf[0, len) are the bytes held; base is the place of buf[0] in the stream.  No partial
 * match, nor any kept part of an escape, begins before base.
 */
#include "cred/scrub.h"

#include "base/assert.h"
#include "cred/scrub_unit_int.h"

#include <stdlib.h>

enum lane_id { LANE_RAW, LANE_JSON, LANE_PERCENT, LANE_NESTED, LANE_COUNT };

static const struct {
	size_t count;
	enum cv_scrub_step steps[CV_SCRUB_STEPS_MAX];
	char starts[3]; /* bytes that wake the lane */
} lane_row[] = {
	[LANE_JSON] = { 1, { CV_SCRUB_STEP_JSON }, "\\" },
	[LANE_PERCENT] = { 1, { CV_SCRUB_STEP_PERCENT }, "%" },
	[LANE_NESTED] = { 4,
		{ CV_SCRUB_STEP_JSON, CV_SCRUB_STEP_PERCENT, CV_SCRUB_STEP_PERCENT,
			CV_SCRUB_STEP_JSON },
		"\\%" },
};

/* Where a unit stands. */
struct place {
	uint32_t at;
	uint16_t len;
};

enum wrap { WRAP_NONE, WRAP_CR, WRAP_LF }; /* line end seen since the last letter */

/* One automaton over one lane.  The last depth(node) entries of the ring are its partial match. */
struct run {
	uint32_t node;
	uint32_t count; /* of places put; modulo 2^32 */
	uint32_t mask;  /* size of the ring less 1 */
	enum wrap wrap;
	struct place *ring;
};

struct lane {
	struct cv_scrub *s;
	struct cv_scrub_chain chain; /* not of raw */
	uint32_t raw_count;          /* units since the last one that was an escape */
	struct run run[CV_SCRUB_FORM_COUNT];
};

struct cv_scrub {
	struct cv_scrub_set *set;
	char *buf;
	size_t len, cap, used; /* used: the most that len was */
	uint32_t base;
	uint32_t match_max; /* bytes from the start of a partial match to its end */
	uint32_t hit_end;   /* of the last one */
	unsigned awake;     /* bits of lanes besides raw */
	uint64_t hits, steps;
	struct lane lane[LANE_COUNT];
	struct place *places; /* all rings */
	size_t place_count;
};

/* A lane may only sleep with partial matches this short, so that waking it (which copies them) costs
 * no more than the bytes since it fell asleep. */
#define SLEEP_DEPTH_MAX 16

/* ---- hits ---- */

static bool is_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

/* Overwrites one unit.  What is written has no bit of what was there, except in base64 the escaped
 * slash, the only two bytes that stand for one letter. */
static void place_fill(char *p, size_t n, char c)
{
	static const char digits[] = "0123456789ABCDEF";
	const char high = digits[(uint8_t)c >> 4], low = digits[(uint8_t)c & 15];

	if (n == 3 && p[0] == '%') {
		p[1] = high;
		p[2] = low;
	} else if (n == 6 && p[0] == '\\' && p[1] == 'u') {
		memcpy(p + 2, "00", 2);
		p[4] = high;
		p[5] = low;
	} else if (n == 2 && c == 'A' && memcmp(p, "\\/", 2) == 0) {
		return;
	} else {
		memset(p, c, n);
	}
}

static char filler(enum cv_scrub_form form, uint32_t i)
{
	switch (form) {
	case CV_SCRUB_BASE64: return 'A';
	case CV_SCRUB_HEX: return i % 2 ? '0' : '3'; /* "0": no letters, so of either case */
	case CV_SCRUB_PLAIN:
	case CV_SCRUB_FORM_COUNT: break;
	}
	return '*';
}

static const struct place *place_of(const struct run *r, uint32_t back)
{
	return &r->ring[(r->count - back) & r->mask];
}

static void hit(struct cv_scrub *s, enum cv_scrub_form form, const struct run *r, uint32_t units)
{
	const struct place *last = place_of(r, 1);

	for (uint32_t i = 0; i < units; i++) {
		const struct place *p = place_of(r, units - i);

		cv_assert(p->at - s->base < s->len && p->at - s->base + p->len <= s->len);
		place_fill(s->buf + (p->at - s->base), p->len, filler(form, i));
	}
	if (!is_before(place_of(r, units)->at, s->hit_end))
		s->hits++;
	if (is_before(s->hit_end, last->at + last->len))
		s->hit_end = last->at + last->len;
}

/* ---- runs ---- */

static uint32_t depth(const struct cv_scrub_set *set, enum cv_scrub_form form, const struct run *r)
{
	return r->node ? set->trie[form].node[r->node].depth : 0;
}

static uint32_t next_node(
	struct cv_scrub *s, const struct cv_scrub_trie *t, uint32_t node, uint8_t symbol)
{
	for (; node; node = t->node[node].fail) {
		s->steps++;
		for (uint32_t c = t->node[node].child; c; c = t->node[c].sibling)
			if (t->node[c].symbol == symbol)
				return c;
	}
	s->steps++;
	return t->first[symbol];
}

/* A line end inside a match of encoded text.  False: the byte is to be read. */
static bool wrap_takes(struct run *r, uint8_t byte)
{
	if (byte == '\r' && r->wrap == WRAP_NONE) {
		r->wrap = WRAP_CR;
		return true;
	}
	if (byte == '\n' && r->wrap != WRAP_LF) {
		r->wrap = WRAP_LF;
		return true;
	}
	if (r->wrap == WRAP_CR) /* alone it ends no line */
		r->node = 0;
	r->wrap = WRAP_NONE;
	return false;
}

static void run_push(
	struct cv_scrub *s, enum cv_scrub_form form, struct run *r, const struct cv_scrub_unit *u)
{
	const struct cv_scrub_trie *t = &s->set->trie[form];

	if (form != CV_SCRUB_PLAIN && r->node && wrap_takes(r, u->byte))
		return;
	r->node = next_node(s, t, r->node, t->fold[u->byte]);
	if (!r->node)
		return;
	r->ring[r->count++ & r->mask] = (struct place){ u->at, u->len };
	if (t->node[r->node].match)
		hit(s, form, r, t->node[r->node].match);
	if (u->at + u->len - place_of(r, t->node[r->node].depth)->at > s->match_max)
		r->node = 0; /* no documented form is that long */
}

static void unit_push(const struct cv_scrub_unit *u, void *arg)
{
	struct lane *l = arg;

	l->raw_count = u->len == 1 ? l->raw_count + 1 : 0;
	for (int f = 0; f < CV_SCRUB_FORM_COUNT; f++)
		run_push(l->s, (enum cv_scrub_form)f, &l->run[f], u);
}

static void runs_reset(struct lane *l)
{
	for (int f = 0; f < CV_SCRUB_FORM_COUNT; f++) {
		l->run[f].node = 0;
		l->run[f].wrap = WRAP_NONE;
	}
}

/* ---- lanes ---- */

static void lane_wake(struct cv_scrub *s, enum lane_id id)
{
	struct lane *l = &s->lane[id];

	cv_scrub_chain_init(&l->chain, lane_row[id].steps, lane_row[id].count);
	l->raw_count = 0;
	for (int f = 0; f < CV_SCRUB_FORM_COUNT; f++) {
		const struct run *from = &s->lane[LANE_RAW].run[f];
		struct run *to = &l->run[f];

		to->node = from->node;
		to->wrap = from->wrap;
		to->count = from->count;
		for (uint32_t i = depth(s->set, (enum cv_scrub_form)f, from); i > 0; i--)
			to->ring[(to->count - i) & to->mask] = *place_of(from, i);
	}
	s->awake |= 1u << id;
}

static bool lane_may_sleep(const struct cv_scrub *s, const struct lane *l)
{
	if (!cv_scrub_chain_is_empty(&l->chain))
		return false;
	for (int f = 0; f < CV_SCRUB_FORM_COUNT; f++) {
		const uint32_t d = depth(s->set, (enum cv_scrub_form)f, &l->run[f]);

		if (d > SLEEP_DEPTH_MAX || d > l->raw_count || l->run[f].wrap != WRAP_NONE)
			return false;
	}
	return true;
}

/* Start of the oldest partial match of a lane, or `at`. */
static uint32_t runs_live(const struct cv_scrub *s, const struct lane *l, uint32_t at)
{
	for (int f = 0; f < CV_SCRUB_FORM_COUNT; f++) {
		const uint32_t d = depth(s->set, (enum cv_scrub_form)f, &l->run[f]);

		if (d && is_before(place_of(&l->run[f], d)->at, at))
			at = place_of(&l->run[f], d)->at;
	}
	return at;
}

static uint32_t live(const struct cv_scrub *s)
{
	uint32_t at = s->base + (uint32_t)s->len;

	at = runs_live(s, &s->lane[LANE_RAW], at);
	for (int id = LANE_RAW + 1; id < LANE_COUNT; id++)
		if (s->awake >> id & 1) {
			at = runs_live(s, &s->lane[id], at);
			at = cv_scrub_chain_live(&s->lane[id].chain, at);
		}
	return at;
}

/* ---- bytes ---- */

/* Whether the escape at i ends every partial match in the lanes that read it, so that they would be
 * back asleep at its end. */
static bool is_dead_end(const struct cv_scrub *s, size_t i)
{
	const int v = cv_scrub_escape_value(s->buf + i, s->len - i);

	if (v < 0 || v >= 0x80)
		return v >= 0 && !s->set->is_high_used;
	for (int f = 0; f < CV_SCRUB_FORM_COUNT; f++) {
		const struct cv_scrub_trie *t = &s->set->trie[f];

		if (t->first[t->fold[v]] || (s->lane[LANE_RAW].run[f].node && s->set->is_used[v]))
			return false;
	}
	return true;
}

static void byte_push(struct cv_scrub *s, size_t i)
{
	const struct cv_scrub_unit u = { s->base + (uint32_t)i, 1, (uint8_t)s->buf[i] };

	if ((u.byte == '%' || u.byte == '\\') && (s->awake || !is_dead_end(s, i)))
		for (int id = LANE_RAW + 1; id < LANE_COUNT; id++)
			if (!(s->awake >> id & 1) && strchr(lane_row[id].starts, u.byte))
				lane_wake(s, (enum lane_id)id);
	unit_push(&u, &s->lane[LANE_RAW]);
	for (int id = LANE_RAW + 1; s->awake >> id; id++)
		if (s->awake >> id & 1) {
			cv_scrub_chain_push(&s->lane[id].chain, &u, unit_push, &s->lane[id]);
			if (lane_may_sleep(s, &s->lane[id]))
				s->awake &= ~(1u << id);
		}
}

/* Steps over text in which no match starts; the answer is `at` or behind it.  Up to `to` there is no
 * escape. */
static size_t step_over(struct cv_scrub *s, size_t at, size_t to)
{
	struct lane *raw = &s->lane[LANE_RAW];
	const size_t step = CV_SCRUB_WINDOW - CV_SCRUB_GRAM + 1;

	if (s->awake)
		return at;
	const struct cv_scrub_set *set = s->set;
	size_t p = runs_live(s, raw, s->base + (uint32_t)at) - s->base;

	if (at - p >= step) /* what is skipped would not reach behind `at` */
		return at;
	while (p + CV_SCRUB_WINDOW <= to && !cv_scrub_set_may_have(set, s->buf + p + step - 1))
		p += step;
	if (p <= at)
		return at;
	runs_reset(raw);
	return p;
}

/* The next escape with c that may belong to a match.  One that stands for a byte which no value has
 * can't, if no value has c itself. */
static size_t find(const struct cv_scrub *s, char c, size_t from)
{
	for (;; from++) {
		const char *p = memchr(s->buf + from, c, s->len - from);

		if (!p)
			return s->len;
		from = (size_t)(p - s->buf);
		const int v = cv_scrub_escape_value(p, s->len - from);

		if (v < 0 || cv_scrub_set_uses(s->set, v) || s->set->is_used[(uint8_t)c])
			return from;
	}
}

static void scan(struct cv_scrub *s, size_t from)
{
	size_t percent = find(s, '%', from), backslash = find(s, '\\', from);

	for (size_t at = from; at < s->len; at++) {
		if (at > percent)
			percent = find(s, '%', at);
		if (at > backslash)
			backslash = find(s, '\\', at);
		at = step_over(s, at, CV_MIN(percent, backslash));
		if (at == s->len)
			break;
		byte_push(s, at);
	}
}

/* ---- the stream ---- */

static uint32_t power_of_two(uint32_t n)
{
	uint32_t p = 1;

	while (p < n)
		p *= 2;
	return p;
}

static void rings_share_out(struct cv_scrub *s)
{
	struct place *at = s->places;

	for (int id = 0; id < LANE_COUNT; id++)
		for (int f = 0; f < CV_SCRUB_FORM_COUNT; f++) {
			const uint32_t n = power_of_two(s->set->trie[f].units_max);

			s->lane[id].run[f].ring = at;
			s->lane[id].run[f].mask = n - 1;
			s->lane[id].s = s;
			at += n;
		}
	cv_assert(at == s->places + s->place_count);
}

static void stream_free(struct cv_scrub *s)
{
	if (s->buf)
		explicit_bzero(s->buf, s->cap);
	if (s->places)
		explicit_bzero(s->places, s->place_count * sizeof(*s->places));
	free(s->buf);
	free(s->places);
	explicit_bzero(s, sizeof(*s));
	free(s);
}

void cv_scrub_spare_free(struct cv_scrub_set *set)
{
	if (set->spare)
		stream_free(set->spare);
	set->spare = NULL;
}

/* As new: of what it read nothing is left. */
static void stream_reset(struct cv_scrub *s)
{
	explicit_bzero(s->buf, s->used);
	s->len = s->used = 0;
	s->base = s->hit_end = 0;
	s->awake = 0;
	s->hits = s->steps = 0;
	for (int id = 0; id < LANE_COUNT; id++) {
		struct lane *l = &s->lane[id];

		l->chain = (struct cv_scrub_chain){ 0 };
		l->raw_count = 0;
		runs_reset(l);
		for (int f = 0; f < CV_SCRUB_FORM_COUNT; f++)
			l->run[f].count = 0;
	}
}

struct cv_scrub *cv_scrub_new(struct cv_scrub_set *set)
{
	struct cv_scrub *s = set->spare;

	set->spare = NULL;
	if (s) {
		cv_scrub_set_ref(set);
		return s;
	}
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->set = cv_scrub_set_ref(set);
	s->match_max = set->value_bytes_max * CV_SCRUB_BYTES_PER_BYTE_MAX;
	s->cap = CV_SCRUB_HOLD_BYTES_MAX(set->value_bytes_max) + CV_SCRUB_PIECE_BYTES;
	for (int f = 0; f < CV_SCRUB_FORM_COUNT; f++)
		s->place_count += (size_t)LANE_COUNT * power_of_two(set->trie[f].units_max);
	s->buf = malloc(s->cap);
	s->places = calloc(s->place_count, sizeof(*s->places));
	if (!s->buf || !s->places) {
		cv_scrub_free(s);
		return NULL;
	}
	rings_share_out(s);
	return s;
}

void cv_scrub_free(struct cv_scrub *s)
{
	if (!s)
		return;
	struct cv_scrub_set *set = s->set;

	if (set->spare || set->refs == 1 || !s->buf || !s->places) {
		stream_free(s);
	} else {
		stream_reset(s);
		set->spare = s;
	}
	cv_scrub_set_unref(set);
}

/* Gives what no partial match needs any more, and moves the rest to the front. */
static bool release(struct cv_scrub *s, size_t n, struct cv_buf *out)
{
	if (n && !cv_buf_put(out, (struct cv_str){ s->buf, n }))
		return false;
	if (n && n < s->len)
		memmove(s->buf, s->buf + n, s->len - n);
	s->len -= n;
	s->base += (uint32_t)n;
	if (is_before(s->hit_end, s->base)) /* stays comparable */
		s->hit_end = s->base;
	return true;
}

bool cv_scrub_feed(struct cv_scrub *s, struct cv_str in, struct cv_buf *out)
{
	if (cv_scrub_set_is_empty(s->set))
		return cv_buf_put(out, in);
	while (in.n) {
		const size_t n = CV_MIN(in.n, (size_t)CV_SCRUB_PIECE_BYTES), from = s->len;

		cv_assert(n <= s->cap - s->len);
		memcpy(s->buf + s->len, in.p, n);
		s->len += n;
		s->used = CV_MAX(s->used, s->len);
		in = cv_str_slice(in, n, in.n);
		scan(s, from);
		if (!release(s, live(s) - s->base, out))
			return false;
	}
	return true;
}

bool cv_scrub_end(struct cv_scrub *s, struct cv_buf *out)
{
	for (int id = LANE_RAW + 1; id < LANE_COUNT; id++)
		if (s->awake >> id & 1)
			cv_scrub_chain_flush(&s->lane[id].chain, unit_push, &s->lane[id]);
	for (int id = 0; id < LANE_COUNT; id++)
		runs_reset(&s->lane[id]);
	s->awake = 0;
	return release(s, s->len, out);
}

bool cv_scrub_text(struct cv_scrub *s, struct cv_str in, struct cv_buf *out)
{
	cv_assert(!s->len);
	return cv_scrub_feed(s, in, out) && cv_scrub_end(s, out);
}

size_t cv_scrub_held(const struct cv_scrub *s)
{
	return s->len;
}

uint64_t cv_scrub_hits(const struct cv_scrub *s)
{
	return s->hits;
}

uint64_t cv_scrub_steps(const struct cv_scrub *s)
{
	return s->steps;
}
