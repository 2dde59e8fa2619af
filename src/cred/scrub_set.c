/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scrub_set.c - patterns of secret values, their automata and the filter; see scrub_set.h
 *
 * A node lists its children as a chain.  The chains are short: values differ early, and after the
 * first few symbols each node has one child.  The root has a table, for there the chain would be
 * as long as the alphabet.
 */
#include "cred/scrub_set.h"

#include "cred/scrub.h"

#include "base/assert.h"

#include <stdlib.h>

static const char base64_letters[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* ---- the automaton ---- */

static uint32_t child_find(const struct cv_scrub_trie *t, uint32_t node, uint8_t symbol)
{
	if (!node)
		return t->first[symbol];
	for (uint32_t c = t->node[node].child; c; c = t->node[c].sibling)
		if (t->node[c].symbol == symbol)
			return c;
	return 0;
}

static uint32_t child_add(struct cv_scrub_trie *t, uint32_t node, uint8_t symbol)
{
	cv_assert(t->count < t->cap);
	const uint32_t c = t->count++;

	t->node[c] = (struct cv_scrub_node){ .sibling = t->node[node].child,
		.depth = (uint16_t)(t->node[node].depth + 1u),
		.symbol = symbol };
	t->node[node].child = c;
	if (!node)
		t->first[symbol] = c;
	return c;
}

static void pattern_add(struct cv_scrub_trie *t, const uint8_t *p, size_t n)
{
	uint32_t at = 0;

	for (size_t i = 0; i < n; i++) {
		const uint32_t next = child_find(t, at, p[i]);

		at = next ? next : child_add(t, at, p[i]);
	}
	t->node[at].match = (uint16_t)n;
	t->units_max = CV_MAX(t->units_max, (uint32_t)n);
}

/* Failure links, breadth first, for a node's link is found through those of lesser depth. */
static bool links_set(struct cv_scrub_trie *t)
{
	uint32_t *queue = malloc(t->count * sizeof(*queue));
	uint32_t head = 0, tail = 0;

	if (!queue)
		return false;
	queue[tail++] = 0;
	while (head < tail) {
		const uint32_t parent = queue[head++];

		for (uint32_t c = t->node[parent].child; c; c = t->node[c].sibling) {
			uint32_t f = t->node[parent].fail, to = 0;

			queue[tail++] = c;
			if (parent)
				while (!(to = child_find(t, f, t->node[c].symbol)) && f)
					f = t->node[f].fail;
			t->node[c].fail = to;
			if (!t->node[c].match)
				t->node[c].match = t->node[to].match;
		}
	}
	free(queue);
	return true;
}

/* ---- the filter ---- */

static void gram_put(struct cv_scrub_set *set, const uint8_t g[CV_SCRUB_GRAM])
{
	const uint32_t h = cv_scrub_gram_hash(g[0], g[1], g[2]);

	set->filter[h >> 3] = (uint8_t)(set->filter[h >> 3] | 1u << (h & 7));
}

/* The bytes that fold into a symbol: itself and at most one more. */
static unsigned spellings(enum cv_scrub_form form, uint8_t symbol, uint8_t ret[2])
{
	ret[0] = ret[1] = symbol;
	if (form == CV_SCRUB_BASE64)
		ret[1] = symbol == '+' ? '-' : symbol == '/' ? '_' : symbol;
	if (form == CV_SCRUB_HEX && symbol >= 'a')
		ret[1] = (uint8_t)(symbol - 'a' + 'A');
	return ret[0] == ret[1] ? 1 : 2;
}

static void gram_put_spelled(
	struct cv_scrub_set *set, enum cv_scrub_form form, uint8_t a, uint8_t b, uint8_t c)
{
	uint8_t x[2], y[2], z[2];
	const unsigned nx = spellings(form, a, x), ny = spellings(form, b, y),
		       nz = spellings(form, c, z);

	for (unsigned i = 0; i < nx * ny * nz; i++) {
		const uint8_t g[] = { x[i % nx], y[i / nx % ny], z[i / nx / ny] };

		gram_put(set, g);
	}
}

/* Every triple that may stand among the first eight bytes of a match.  Encoded text may be broken
 * into lines (scrub.c says how), so triples with line ends count as well.  More than can be is
 * harmless, less would be a miss. */
static void filter_add(
	struct cv_scrub_set *set, enum cv_scrub_form form, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < CV_SCRUB_WINDOW && i < n; i++) {
		const uint8_t a = p[i], b = i + 1 < n ? p[i + 1] : 0;

		if (i + 2 < n)
			gram_put_spelled(set, form, a, b, p[i + 2]);
		if (form == CV_SCRUB_PLAIN)
			continue;
		gram_put_spelled(set, form, a, b, '\n');
		gram_put_spelled(set, form, a, b, '\r');
		gram_put_spelled(set, form, a, '\n', b);
		gram_put_spelled(set, form, '\n', a, b);
		gram_put_spelled(set, form, a, '\r', '\n');
		gram_put_spelled(set, form, '\r', '\n', a);
		gram_put_spelled(set, form, '\n', a, '\n');
		gram_put_spelled(set, form, '\n', a, '\r');
	}
}

/* ---- patterns of one value ---- */

static void used_add(struct cv_scrub_set *set, enum cv_scrub_form form, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint8_t x[2];

		spellings(form, p[i], x);
		set->is_used[x[0]] = set->is_used[x[1]] = true;
		set->is_high_used = set->is_high_used || x[0] >= 0x80;
	}
	set->is_used['\r'] = set->is_used['\n'] = true;
}

static void put(struct cv_scrub_set *set, enum cv_scrub_form form, const uint8_t *p, size_t n)
{
	used_add(set, form, p, n);
	pattern_add(&set->trie[form], p, n);
	filter_add(set, form, p, n);
}

static void plain_put(struct cv_scrub_set *set, struct cv_str v, uint8_t *scratch)
{
	memcpy(scratch, v.p, v.n);
	put(set, CV_SCRUB_PLAIN, scratch, v.n);
	if (!cv_str_has_byte(v, ' '))
		return;
	for (size_t i = 0; i < v.n; i++)
		scratch[i] = v.p[i] == ' ' ? '+' : (uint8_t)v.p[i];
	put(set, CV_SCRUB_PLAIN, scratch, v.n);
}

static void hex_put(struct cv_scrub_set *set, struct cv_str v, uint8_t *scratch)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < v.n; i++) {
		scratch[2 * i] = (uint8_t)digits[(uint8_t)v.p[i] >> 4];
		scratch[2 * i + 1] = (uint8_t)digits[(uint8_t)v.p[i] & 15];
	}
	put(set, CV_SCRUB_HEX, scratch, 2 * v.n);
}

/* The letters all of whose six bits are the value's when `before` unknown bytes stand before it
 * (modulo 3) and anything behind it. */
static void base64_put(struct cv_scrub_set *set, struct cv_str v, size_t before, uint8_t *scratch)
{
	const size_t from = (before * 8 + 5) / 6, to = (before + v.n) * 8 / 6;

	for (size_t i = from; i < to; i++) {
		const size_t bit = i * 6 - before * 8, at = bit / 8;
		const unsigned two = (unsigned)(uint8_t)v.p[at] << 8 |
				     (at + 1 < v.n ? (uint8_t)v.p[at + 1] : 0u);

		scratch[i - from] = (uint8_t)base64_letters[two >> (10 - bit % 8) & 63];
	}
	put(set, CV_SCRUB_BASE64, scratch, to - from);
}

static void value_put(struct cv_scrub_set *set, struct cv_str v, uint8_t *scratch)
{
	plain_put(set, v, scratch);
	hex_put(set, v, scratch);
	for (size_t before = 0; before < 3; before++)
		base64_put(set, v, before, scratch);
	set->value_bytes_max = CV_MAX(set->value_bytes_max, (uint32_t)v.n);
}

/* ---- making and ending ---- */

static bool trie_init(struct cv_scrub_trie *t, enum cv_scrub_form form, size_t symbols)
{
	t->cap = (uint32_t)symbols + 1;
	t->node = calloc(t->cap, sizeof(*t->node));
	t->count = 1;
	for (unsigned c = 0; c < 256; c++)
		t->fold[c] = (uint8_t)c;
	if (form == CV_SCRUB_BASE64) {
		t->fold['-'] = '+';
		t->fold['_'] = '/';
	}
	if (form == CV_SCRUB_HEX)
		for (unsigned c = 'A'; c <= 'F'; c++)
			t->fold[c] = (uint8_t)(c - 'A' + 'a');
	return t->node;
}

/* Symbols that the patterns of n bytes of values have at most, for each form. */
static const uint32_t symbols_per_byte[] = {
	[CV_SCRUB_PLAIN] = 2,
	[CV_SCRUB_BASE64] = 5, /* 3 alignments of 4/3, rounded up */
	[CV_SCRUB_HEX] = 2,
};

static void set_free(struct cv_scrub_set *set)
{
	cv_scrub_spare_free(set);
	for (size_t f = 0; f < CV_SCRUB_FORM_COUNT; f++) {
		struct cv_scrub_trie *t = &set->trie[f];

		if (t->node)
			explicit_bzero(t->node, t->cap * sizeof(*t->node));
		free(t->node);
	}
	explicit_bzero(set, sizeof(*set));
	free(set);
}

static cv_code values_check(
	const struct cv_str *values, size_t count, size_t *ret_bytes, struct cv_err *err)
{
	size_t bytes = 0;

	if (count > CV_SCRUB_VALUES_MAX)
		return cv_fail(err, CV_LIMIT, "scrub: more than %d values", CV_SCRUB_VALUES_MAX);
	for (size_t i = 0; i < count; i++) {
		if (values[i].n > CV_SCRUB_VALUE_BYTES_MAX)
			return cv_fail(err, CV_LIMIT, "scrub: a value has more than %d bytes",
				CV_SCRUB_VALUE_BYTES_MAX);
		bytes += values[i].n;
	}
	if (bytes > CV_SCRUB_VALUES_BYTES_MAX)
		return cv_fail(err, CV_LIMIT, "scrub: values have more than %d bytes in all",
			CV_SCRUB_VALUES_BYTES_MAX);
	*ret_bytes = bytes;
	return CV_OK;
}

static bool set_fill(struct cv_scrub_set *set, const struct cv_str *values, size_t count)
{
	uint8_t scratch[2 * CV_SCRUB_VALUE_BYTES_MAX];
	bool is_ok = true;

	for (size_t i = 0; i < count; i++)
		if (values[i].n >= CV_SCRUB_VALUE_BYTES_MIN)
			value_put(set, values[i], scratch);
	explicit_bzero(scratch, sizeof(scratch));
	for (size_t f = 0; f < CV_SCRUB_FORM_COUNT; f++)
		is_ok = is_ok && links_set(&set->trie[f]);
	return is_ok;
}

cv_code cv_scrub_set_new(const struct cv_str *values, size_t count, bool *ret_is_short,
	struct cv_scrub_set **ret, struct cv_err *err)
{
	size_t bytes;
	const cv_code code = values_check(values, count, &bytes, err);

	if (code)
		return code;
	struct cv_scrub_set *set = calloc(1, sizeof(*set));
	bool is_ok = set;

	for (size_t f = 0; is_ok && f < CV_SCRUB_FORM_COUNT; f++)
		is_ok = trie_init(
			&set->trie[f], (enum cv_scrub_form)f, bytes * symbols_per_byte[f]);
	if (!is_ok || !set_fill(set, values, count)) {
		if (set)
			set_free(set);
		return cv_fail(err, CV_LIMIT, "scrub: no memory");
	}
	set->refs = 1;
	for (size_t i = 0; ret_is_short && i < count; i++)
		ret_is_short[i] = values[i].n < CV_SCRUB_VALUE_BYTES_MIN;
	*ret = set;
	return CV_OK;
}

struct cv_scrub_set *cv_scrub_set_ref(struct cv_scrub_set *set)
{
	set->refs++;
	return set;
}

void cv_scrub_set_unref(struct cv_scrub_set *set)
{
	if (!set)
		return;
	cv_assert(set->refs > 0);
	if (!--set->refs)
		set_free(set);
}
