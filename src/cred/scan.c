/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan.c - whether a placeholder is in bytes that nobody decodes; see placeholder.h
 *
 * The bytes are read in several ways at once: as they are, and through each chain of unescaping in
 * chain[] below.  A stage holds an escape's bytes back until it is complete, or lets them go when it
 * turns out to be none; so the whole memory of what went before is a node and a few bytes for each
 * view, and a text longer than that is found all the same.
 *
 * Nearly all bytes are no escapes, and then all views stand at one node: while they do, one view is
 * walked for all.  Most of the time that node is the root, where a look at two bytes says whether
 * anything can start there.
 */
#include "cred/placeholder.h"

#include "base/hex.h"
#include "cred/placeholder_int.h"
#include "wire/json.h"

enum { STAGE_NONE, STAGE_PERCENT, STAGE_JSON };

static const uint8_t chain[CV_PH_VIEWS][2] = {
	{ STAGE_NONE, STAGE_NONE },
	{ STAGE_PERCENT, STAGE_NONE },
	{ STAGE_JSON, STAGE_NONE },
	{ STAGE_JSON, STAGE_PERCENT },
	{ STAGE_PERCENT, STAGE_JSON },
	{ STAGE_PERCENT, STAGE_PERCENT },
	{ STAGE_JSON, STAGE_JSON },
};

void cv_ph_scan_init(struct cv_ph_scan *s, const struct cv_ph_set *set)
{
	*s = (struct cv_ph_scan){ .set = set, .is_together = true };
}

static void view_put(struct cv_ph_scan *s, unsigned v, unsigned depth, char c);

/* An escape that turned out to be none: what was held is text, and c starts anew. */
static void stage_let_go(struct cv_ph_scan *s, unsigned v, unsigned depth, char c)
{
	struct cv_ph_stage *st = &s->view[v].stage[depth];
	const uint8_t n = st->n;

	st->n = 0;
	for (uint8_t i = 0; i < n; i++)
		view_put(s, v, depth + 1, st->held[i]);
	view_put(s, v, depth, c);
}

static void percent_put(struct cv_ph_scan *s, unsigned v, unsigned depth, char c)
{
	struct cv_ph_stage *st = &s->view[v].stage[depth];

	if (st->n == 0 && c != '%')
		return view_put(s, v, depth + 1, c);
	if (st->n > 0 && cv_hex_digit(c) < 0)
		return stage_let_go(s, v, depth, c);
	st->held[st->n++] = c;
	if (st->n == 3) {
		st->n = 0;
		view_put(s, v, depth + 1, (char)(cv_hex_digit(st->held[1]) << 4 | cv_hex_digit(c)));
	}
}

/* \u and four digits; anything above ASCII is no part of a placeholder. */
static void json_unit_put(struct cv_ph_scan *s, unsigned v, unsigned depth, char c)
{
	struct cv_ph_stage *st = &s->view[v].stage[depth];
	unsigned char unit[2] = { 0 };

	st->held[st->n++] = c;
	if (st->n < sizeof(st->held))
		return;
	st->n = 0;
	if (!cv_hex_decode((struct cv_str){ st->held + 2, 4 }, unit, sizeof(unit)) ||
		unit[0] != 0 || unit[1] >= 0x80)
		unit[1] = 0xff;
	view_put(s, v, depth + 1, (char)unit[1]);
}

static void json_put(struct cv_ph_scan *s, unsigned v, unsigned depth, char c)
{
	struct cv_ph_stage *st = &s->view[v].stage[depth];

	if (st->n == 0 && c != '\\')
		return view_put(s, v, depth + 1, c);
	if (st->n == 0 || (st->n == 1 && c == 'u')) {
		st->held[st->n++] = c;
	} else if (st->n == 1 && cv_json_escape_short(c)) {
		/* of these, only \\ and \/ can matter: the others end every placeholder */
		st->n = 0;
		view_put(s, v, depth + 1, c == '\\' || c == '/' ? c : ' ');
	} else if (st->n > 1 && cv_hex_digit(c) >= 0) {
		json_unit_put(s, v, depth, c);
	} else {
		stage_let_go(s, v, depth, c);
	}
}

/* Gives c to the view's stage at depth; behind the last one is the automaton. */
static void view_put(struct cv_ph_scan *s, unsigned v, unsigned depth, char c)
{
	const uint8_t kind = depth < CV_ARRAY_LEN(chain[v]) ? chain[v][depth] : STAGE_NONE;

	if (kind == STAGE_PERCENT)
		return percent_put(s, v, depth, c);
	if (kind == STAGE_JSON)
		return json_put(s, v, depth, c);
	s->view[v].node = ph_step(s->set, s->view[v].node, (uint8_t)c);
	s->has_hit |= s->set->nodes[s->view[v].node].pattern != 0;
}

static bool are_together(const struct cv_ph_scan *s)
{
	for (unsigned v = 0; v < CV_PH_VIEWS; v++)
		if (s->view[v].node != s->view[0].node || s->view[v].stage[0].n ||
			s->view[v].stage[1].n)
			return false;
	return true;
}

/*
 * The length of an escape at the front of s after which all views are at the root again if they were
 * there before it; 0: not that simple.  Bodies that are mostly escapes are passed over this way.
 */
static size_t escape_skip(const struct cv_ph_set *set, struct cv_str s)
{
	const uint8_t b = s.n > 1 ? (uint8_t)s.p[1] : 0, c = s.n > 2 ? (uint8_t)s.p[2] : 0;

	if (s.n > 1 && s.p[0] == '\\')
		return b && memchr("\"/bfnrt", b, 7) && !set->root[b] ? 2 : 0;
	const int high = cv_hex_digit((char)b), low = cv_hex_digit((char)c);
	if (s.n < 3 || s.p[0] != '%' || high < 0 || low < 0 || set->root[b] || set->root[c])
		return 0;
	const uint8_t made = (uint8_t)(high << 4 | low);
	return made == '%' || made == '\\' || set->root[made] ? 0 : 3;
}

/* From the root: how many bytes lead nowhere. */
static size_t root_skip(const struct cv_ph_set *set, struct cv_str s)
{
	size_t i = 0;

	while (i + 1 < s.n) {
		const uint32_t pair = ph_pair(s.p[i], s.p[i + 1]);

		if (!(set->pairs[pair / 64] >> pair % 64 & 1)) {
			i++;
			continue;
		}
		const size_t n = escape_skip(set, cv_str_slice(s, i, s.n));
		if (n == 0)
			break;
		i += n;
	}
	return i;
}

/* Walks one view for all, up to an escape; returns how far it came. */
static size_t together_feed(struct cv_ph_scan *s, struct cv_str bytes)
{
	const struct cv_ph_set *set = s->set;
	uint32_t node = s->view[0].node;
	size_t i = 0;

	for (; i < bytes.n; i++) {
		if (node == PH_ROOT)
			i += root_skip(set, cv_str_slice(bytes, i, bytes.n));
		if (i == bytes.n || bytes.p[i] == '%' || bytes.p[i] == '\\')
			break;
		node = ph_step(set, node, (uint8_t)bytes.p[i]);
		if (set->nodes[node].pattern) {
			s->has_hit = true;
			break;
		}
	}
	for (unsigned v = 0; v < CV_PH_VIEWS; v++)
		s->view[v].node = node;
	return i;
}

bool cv_ph_scan_feed(struct cv_ph_scan *s, struct cv_str bytes)
{
	size_t i = 0;

	while (!s->has_hit && i < bytes.n) {
		if (s->is_together)
			i += together_feed(s, cv_str_slice(bytes, i, bytes.n));
		if (s->has_hit || i == bytes.n)
			break;
		for (unsigned v = 0; v < CV_PH_VIEWS; v++)
			view_put(s, v, 0, bytes.p[i]);
		i++;
		s->is_together = are_together(s);
	}
	return s->has_hit;
}

bool cv_ph_is_in(const struct cv_ph_set *set, struct cv_str bytes)
{
	struct cv_ph_scan s;

	cv_ph_scan_init(&s, set);
	return cv_ph_scan_feed(&s, bytes);
}
