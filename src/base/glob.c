/* SPDX-License-Identifier: Apache-2.0 */
/*
 * glob.c - a pattern becomes a small program, and the program is a set of states; see glob.h
 *
 * Each instruction is a state.  Matching keeps the set of states the text so far can be in, as
 * bits, and moves all of them over one character at a time: work is states times characters at
 * worst, whatever the pattern, where backtracking could be exponential.  Moves that consume
 * nothing (SPLIT, JMP, and the way out of a loop) only lead forward, so one pass over the bits in
 * rising order also finds what they reach.
 *
 * Literal characters at both ends are cut off the program and compared as bytes, after which most
 * patterns are one star.
 */
#include "base/glob.h"

#include "base/assert.h"
#include "base/utf8.h"

#include <stdlib.h>

enum op {
	OP_CHAR,  /* the character arg */
	OP_ONE,   /* a character other than the delimiter */
	OP_ANY,   /* a character */
	OP_CLASS, /* a character of the class that starts at ranges[arg] */
	OP_STAR,  /* any number of OP_ONE */
	OP_ALL,   /* any number of OP_ANY */
	OP_SPLIT, /* go on here, and at arg */
	OP_JMP,   /* go on at arg */
	OP_REST,  /* accept, whatever follows */
	OP_MATCH, /* accept at the end of the text */
};

struct ins {
	enum op op;
	uint32_t arg;
};

/* A class is one header, {is_negated, count}, and count ranges. */
struct range {
	uint32_t lo, hi;
};

struct cv_glob {
	struct cv_str prefix, suffix;
	const struct ins *ins;
	const struct range *ranges;
	uint32_t ins_count;
	uint32_t delim;
};

#define UNIT_INVALID 0x110000u  /* plus the byte: above every code point */
#define UNIT_NONE    UINT32_MAX /* no delimiter; end of text */

#define WORDS_MAX    (CV_GLOB_STATES_MAX / 64)

/* ---- characters ---- */

static uint32_t unit_next(struct cv_str s, size_t *at)
{
	static const uint8_t first_mask[5] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	const uint8_t *p = (const uint8_t *)s.p + *at;

	if (*p < 0x80) {
		(*at)++;
		return *p;
	}
	const size_t n = cv_utf8_step(cv_str_slice(s, *at, s.n));
	if (n == 0) {
		(*at)++;
		return UNIT_INVALID + *p;
	}
	uint32_t unit = *p & first_mask[n];
	for (size_t i = 1; i < n; i++)
		unit = unit << 6 | (p[i] & 0x3f);
	*at += n;
	return unit;
}

/* ---- compilation ---- */

struct compiler {
	struct cv_str text;
	size_t at;
	enum cv_glob_kind kind;
	uint32_t delim;
	struct ins *ins;
	struct range *ranges;
	uint32_t ins_count, range_count;
	unsigned depth;
	bool is_boundary;    /* a component may begin here */
	const char *problem; /* the first, or NULL */
};

static bool problem(struct compiler *c, const char *what)
{
	c->problem = what;
	return false;
}

/* Two instructions for a byte of the text are the most there can be: ",", as JMP and SPLIT. */
static uint32_t emit(struct compiler *c, enum op op, uint32_t arg)
{
	c->ins[c->ins_count] = (struct ins){ op, arg };
	return c->ins_count++;
}

static char peek(const struct compiler *c, size_t ahead)
{
	return c->at + ahead < c->text.n ? c->text.p[c->at + ahead] : '\0';
}

static bool is_end(const struct compiler *c, size_t ahead)
{
	return c->at + ahead >= c->text.n;
}

static void component_emit(struct compiler *c)
{
	const bool is_first = c->at == 0;

	c->at += 2;
	if (is_end(c, 0)) {
		emit(c, OP_ALL, 0);
		return;
	}
	c->at++; /* the delimiter */
	if (c->kind == CV_GLOB_HOST && is_first) {
		emit(c, OP_ANY, 0);
		emit(c, OP_ALL, 0);
		emit(c, OP_CHAR, c->delim);
	} else { /* nothing, or anything and a delimiter */
		emit(c, OP_SPLIT, c->ins_count + 3);
		emit(c, OP_ALL, 0);
		emit(c, OP_CHAR, c->delim);
	}
	c->is_boundary = true;
}

static void stars_emit(struct compiler *c)
{
	size_t run = 1;

	while (peek(c, run) == '*')
		run++;
	if (run == 2 && c->is_boundary &&
		(is_end(c, 2) || (c->delim != UNIT_NONE && (uint32_t)peek(c, 2) == c->delim))) {
		component_emit(c);
		return;
	}
	emit(c, c->delim == UNIT_NONE ? OP_ALL : OP_STAR, 0);
	c->at += run;
	c->is_boundary = false;
}

/* One member of a class, perhaps escaped. */
static bool member_read(struct compiler *c, uint32_t *ret)
{
	if (peek(c, 0) == '\\')
		c->at++;
	if (is_end(c, 0))
		return problem(c, "[ without ]");
	*ret = unit_next(c->text, &c->at);
	return true;
}

static bool class_emit(struct compiler *c)
{
	const uint32_t header = c->range_count++;
	const bool is_negated = peek(c, 1) == '!' || peek(c, 1) == '^';

	c->at += is_negated ? 2 : 1;
	while (peek(c, 0) != ']') {
		struct range *r = &c->ranges[c->range_count];

		if (!member_read(c, &r->lo))
			return false;
		r->hi = r->lo;
		if (peek(c, 0) == '-' && peek(c, 1) != ']') {
			c->at++;
			if (!member_read(c, &r->hi))
				return false;
		}
		if (r->hi < r->lo)
			return problem(c, "range backwards in [ ]");
		c->range_count++;
	}
	c->at++;
	if (c->range_count == header + 1)
		return problem(c, "empty [ ]");
	c->ranges[header] = (struct range){ is_negated, c->range_count - header - 1 };
	emit(c, OP_CLASS, header);
	return true;
}

static bool sequence_emit(struct compiler *c);

/* Each alternative but the last is SPLIT to the next one, itself, JMP to the end. */
static bool braces_emit(struct compiler *c)
{
	uint32_t split, jumps = UNIT_NONE; /* JMPs to patch, linked through their args */

	if (c->depth == CV_GLOB_DEPTH_MAX)
		return problem(c, "{ } nested too deep");
	c->depth++;
	do {
		c->at++; /* { or , */
		c->is_boundary = false;
		split = emit(c, OP_SPLIT, 0);
		if (!sequence_emit(c))
			return false;
		if (is_end(c, 0))
			return problem(c, "{ without }");
		if (peek(c, 0) == ',') {
			jumps = emit(c, OP_JMP, jumps);
			c->ins[split].arg = c->ins_count;
		}
	} while (peek(c, 0) == ',');
	c->ins[split] = (struct ins){ OP_JMP, split + 1 }; /* nothing comes after the last */
	c->at++;
	c->depth--;
	c->is_boundary = false;
	while (jumps != UNIT_NONE) {
		const uint32_t next = c->ins[jumps].arg;

		c->ins[jumps].arg = c->ins_count;
		jumps = next;
	}
	return true;
}

static bool literal_emit(struct compiler *c)
{
	const bool is_escaped = peek(c, 0) == '\\';

	c->at += is_escaped;
	if (is_end(c, 0))
		return problem(c, "\\ at the end");
	const uint32_t unit = unit_next(c->text, &c->at);
	emit(c, OP_CHAR, unit);
	c->is_boundary = unit == c->delim && !is_escaped;
	return true;
}

/* Up to the end of the text or, in braces, up to their , or }. */
static bool sequence_emit(struct compiler *c)
{
	while (!is_end(c, 0)) {
		bool is_good = true;

		switch (peek(c, 0)) {
		case '*': stars_emit(c); break;
		case '?':
			emit(c, c->delim == UNIT_NONE ? OP_ANY : OP_ONE, 0);
			c->at++;
			c->is_boundary = false;
			break;
		case '[':
			is_good = class_emit(c);
			c->is_boundary = false;
			break;
		case '{': is_good = braces_emit(c); break;
		case '}':
			if (c->depth)
				return true;
			return problem(c, "} without {");
		case ',':
			if (c->depth)
				return true;
			is_good = literal_emit(c);
			break;
		default: is_good = literal_emit(c);
		}
		if (!is_good)
			return false;
	}
	return true;
}

static bool is_plain_char(struct ins in)
{
	return in.op == OP_CHAR && in.arg < 0x80;
}

static uint32_t head_find(const struct compiler *c)
{
	uint32_t n = 0;

	while (n < c->ins_count && is_plain_char(c->ins[n]))
		n++;
	return n;
}

/* Where the literal end begins: no way leads into its middle. */
static uint32_t tail_find(const struct compiler *c, uint32_t head)
{
	uint32_t n = c->ins_count, least = head;

	for (uint32_t i = head; i < c->ins_count; i++)
		if (c->ins[i].op == OP_SPLIT || c->ins[i].op == OP_JMP)
			least = CV_MAX(least, c->ins[i].arg);
	while (n > least && is_plain_char(c->ins[n - 1]))
		n--;
	return n;
}

static struct cv_str literal_new(
	const struct compiler *c, uint32_t from, uint32_t to, struct cv_arena *a)
{
	char *p = cv_arena_alloc(a, to - from);

	for (uint32_t i = from; p && i < to; i++)
		p[i - from] = (char)c->ins[i].arg;
	return (struct cv_str){ p, to - from };
}

/* The program from head to tail, and what is cut off, in the arena; NULL when that is full. */
static const struct cv_glob *glob_new(
	const struct compiler *c, uint32_t head, uint32_t tail, struct cv_arena *a)
{
	const uint32_t n = tail - head;
	struct cv_glob *g = cv_arena_new(a, struct cv_glob);
	struct ins *ins = cv_arena_array(a, n + 1, sizeof(*ins));
	struct range *ranges = cv_arena_array(a, c->range_count, sizeof(*ranges));
	const struct cv_str prefix = literal_new(c, 0, head, a);
	const struct cv_str suffix = literal_new(c, tail, c->ins_count, a);

	if (!g || !ins || !ranges || !prefix.p || !suffix.p)
		return NULL;
	memcpy(ins, c->ins + head, n * sizeof(*ins));
	for (uint32_t i = 0; i < n; i++)
		if (ins[i].op == OP_SPLIT || ins[i].op == OP_JMP)
			ins[i].arg -= head;
	ins[n].op = OP_MATCH;
	if (n && ins[n - 1].op == OP_ALL)
		ins[n - 1].op = OP_REST;
	if (c->range_count)
		memcpy(ranges, c->ranges, c->range_count * sizeof(*ranges));
	*g = (struct cv_glob){ prefix, suffix, ins, ranges, n + 1, c->delim };
	return g;
}

static cv_code finish(
	struct compiler *c, struct cv_arena *a, const struct cv_glob **ret, struct cv_err *err)
{
	if (!sequence_emit(c))
		return cv_fail(err, CV_INVALID, "bad pattern: %s", c->problem);
	const uint32_t head = head_find(c), tail = tail_find(c, head);
	if (tail - head >= CV_GLOB_STATES_MAX)
		return cv_fail(
			err, CV_LIMIT, "pattern has more than %d states", CV_GLOB_STATES_MAX);
	const struct cv_glob *g = glob_new(c, head, tail, a);
	if (!g)
		return cv_fail(err, CV_LIMIT, "no memory for a pattern");
	*ret = g;
	return CV_OK;
}

cv_code cv_glob_compile(struct cv_str text, enum cv_glob_kind kind, struct cv_arena *arena,
	const struct cv_glob **ret, struct cv_err *err)
{
	static const uint32_t delims[CV_GLOB_KIND_COUNT] = { '/', '.', '.', UNIT_NONE };
	struct compiler c = { .text = text, .kind = kind, .delim = delims[kind] };
	cv_code code;

	if (text.n > UINT32_MAX / 8)
		return cv_fail(err, CV_LIMIT, "pattern too long");
	c.is_boundary = true;
	c.ins = calloc(2 * text.n + 2, sizeof(*c.ins));
	c.ranges = calloc(text.n + 1, sizeof(*c.ranges));
	code = c.ins && c.ranges ? finish(&c, arena, ret, err)
				 : cv_fail(err, CV_LIMIT, "no memory for a pattern");
	free(c.ins);
	free(c.ranges);
	return code;
}

/* ---- matching ---- */

static bool class_has(const struct cv_glob *g, uint32_t header, uint32_t unit)
{
	const struct range *r = &g->ranges[header];
	const bool is_negated = r->lo;
	bool is_in = false;

	for (uint32_t i = 1; i <= r->hi; i++)
		is_in |= unit >= r[i].lo && unit <= r[i].hi;
	return is_in != is_negated && unit != g->delim;
}

static void bit_set(uint64_t *set, uint32_t bit)
{
	set[bit / 64] |= 1ull << (bit % 64);
}

/* Moves the states in cur over unit into next (which is empty); true when one of them accepts
 * without looking further.  cur gains what its states reach without a character. */
static bool step(const struct cv_glob *g, uint64_t *cur, uint64_t *next, uint32_t unit)
{
	for (uint32_t pc = 0; pc < g->ins_count; pc++) {
		const uint64_t left = cur[pc / 64] >> (pc % 64);

		if (!left) {
			pc |= 63;
			continue;
		}
		pc += (uint32_t)__builtin_ctzll(left);
		const struct ins in = g->ins[pc];
		switch (in.op) {
		case OP_CHAR:
			if (unit == in.arg)
				bit_set(next, pc + 1);
			break;
		case OP_ONE:
			if (unit != g->delim)
				bit_set(next, pc + 1);
			break;
		case OP_ANY: bit_set(next, pc + 1); break;
		case OP_CLASS:
			if (class_has(g, in.arg, unit))
				bit_set(next, pc + 1);
			break;
		case OP_STAR:
			bit_set(cur, pc + 1);
			if (unit != g->delim)
				bit_set(next, pc);
			break;
		case OP_ALL:
			bit_set(cur, pc + 1);
			bit_set(next, pc);
			break;
		case OP_SPLIT: bit_set(cur, pc + 1); CV_FALLTHROUGH;
		case OP_JMP: bit_set(cur, in.arg); break;
		case OP_REST: return true;
		case OP_MATCH:
			if (unit == UNIT_NONE)
				return true;
			break;
		}
	}
	return false;
}

static bool program_match(const struct cv_glob *g, struct cv_str s)
{
	uint64_t sets[2][WORDS_MAX];
	uint64_t *cur = sets[0], *next = sets[1];
	const size_t bytes = (g->ins_count + 63) / 64 * sizeof(*cur);

	memset(cur, 0, bytes);
	bit_set(cur, 0);
	for (size_t at = 0; at < s.n;) {
		uint64_t alive = 0;

		memset(next, 0, bytes);
		if (step(g, cur, next, unit_next(s, &at)))
			return true;
		for (size_t w = 0; w < bytes / sizeof(*next); w++)
			alive |= next[w];
		if (!alive)
			return false;
		uint64_t *const swap = cur;
		cur = next;
		next = swap;
	}
	memset(next, 0, bytes);
	return step(g, cur, next, UNIT_NONE);
}

bool cv_glob_match(const struct cv_glob *g, struct cv_str s)
{
	if (!g || s.n < g->prefix.n + g->suffix.n || !cv_str_has_prefix(s, g->prefix) ||
		!cv_str_has_suffix(s, g->suffix))
		return false;
	s = cv_str_slice(s, g->prefix.n, s.n - g->suffix.n);
	switch (g->ins[0].op) { /* the most common programs are one instruction */
	case OP_MATCH: return s.n == 0;
	case OP_REST: return true;
	case OP_STAR:
		if (g->ins[1].op == OP_MATCH) /* delimiters are ASCII */
			return !cv_str_has_byte(s, (char)g->delim);
		break;
	case OP_CHAR:
	case OP_ONE:
	case OP_ANY:
	case OP_CLASS:
	case OP_ALL:
	case OP_SPLIT:
	case OP_JMP: break;
	}
	return program_match(g, s);
}

struct cv_str cv_glob_prefix(const struct cv_glob *g)
{
	return g ? g->prefix : CV_STR_NONE;
}
