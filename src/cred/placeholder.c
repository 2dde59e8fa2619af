/* SPDX-License-Identifier: Apache-2.0 */
/*
 * placeholder.c - finds placeholders; see placeholder.h
 *
 * One automaton (Aho-Corasick) over the two markers and the entries' texts.  No pattern may occur
 * within another one, so only leaves end a pattern, each ends one, and the first to end is the
 * first to start.  A node's children are a list: nearly all have one child, and the root, where a
 * text spends most of its time, has a table.
 *
 * Time: each byte goes down one node or up along failures, which were gone down before; so a text
 * of n bytes costs at most 2n steps, whatever it is made of.  A marker's token is read once, since
 * the search goes on behind it.
 */
#include "cred/placeholder.h"

#include "base/assert.h"
#include "cred/ph_escape_int.h"
#include "cred/placeholder_int.h"

enum { PATTERN_CANONICAL, PATTERN_ALIAS, PATTERN_TEXT };

static const struct cv_str marker[] = {
	[PATTERN_CANONICAL] = { "openshell:resolve:env:", 22 },
	[PATTERN_ALIAS] = { "OPENSHELL-RESOLVE-ENV-", 22 },
};

#define HANDLE_DIGITS 64 /* of s<64 hex>_KEY */

static const char *const form_name[] = {
	[CV_PH_FORM_TEXT] = "text",
	[CV_PH_FORM_CANONICAL] = "canonical",
	[CV_PH_FORM_REVISION] = "revision",
	[CV_PH_FORM_STABLE] = "stable",
	[CV_PH_FORM_ALIAS] = "alias",
};

const char *cv_ph_form_name(enum cv_ph_form form)
{
	return form < CV_PH_FORM_COUNT ? form_name[form] : "unknown";
}

/* ---- letters ---- */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
	return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

static bool is_key_byte(char c)
{
	return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '_';
}

static bool is_alias_byte(char c)
{
	return is_key_byte(c) || c == '.' || c == '~' || c == '-';
}

static bool is_text_byte(char c)
{
	return is_alias_byte(c) || c == ':';
}

static bool all_are(struct cv_str s, bool (*is)(char))
{
	for (size_t i = 0; i < s.n; i++)
		if (!is(s.p[i]))
			return false;
	return true;
}

static bool is_key(struct cv_str s)
{
	return s.n > 0 && s.n <= CV_PH_KEY_BYTES_MAX && !is_digit(s.p[0]) &&
	       all_are(s, is_key_byte);
}

/* ---- tokens behind a marker ---- */

/* Takes `v<digits>_` or `s<64 hex>_` from the front of *token. */
static enum cv_ph_form tag_cut(struct cv_str *token, struct cv_str *ret_tag)
{
	const size_t end = cv_str_find_byte(*token, '_');
	const struct cv_str tag = cv_str_slice(*token, 1, end);
	const char c = token->n ? token->p[0] : 0;
	const bool is_rev = c == 'v' && tag.n <= CV_PH_REV_DIGITS_MAX && all_are(tag, is_digit);
	const bool is_handle = c == 's' && tag.n == HANDLE_DIGITS && all_are(tag, is_hex);

	*ret_tag = CV_STR_NONE;
	if (end >= token->n || tag.n == 0 || !(is_rev || is_handle))
		return CV_PH_FORM_CANONICAL;
	*ret_tag = tag;
	*token = cv_str_slice(*token, end + 1, token->n);
	return is_rev ? CV_PH_FORM_REVISION : CV_PH_FORM_STABLE;
}

static bool is_reserved(struct cv_str key)
{
	struct cv_str tag;

	return tag_cut(&key, &tag) != CV_PH_FORM_CANONICAL;
}

static uint32_t key_find(const struct cv_ph_set *set, struct cv_str key)
{
	size_t low = 0, high = set->count;

	while (low < high) {
		const size_t mid = low + (high - low) / 2;
		const int order = cv_str_cmp(set->entries[set->sorted[mid]].key, key);

		if (order == 0)
			return set->sorted[mid];
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return CV_PH_UNKNOWN;
}

static struct cv_ph_hit canonical_read(const struct cv_ph_set *set, struct cv_str text, size_t at)
{
	const size_t start = at + marker[PATTERN_CANONICAL].n;
	size_t end = start;

	while (end < text.n && is_key_byte(text.p[end]))
		end++;
	struct cv_str token = cv_str_slice(text, start, end);
	struct cv_ph_hit hit = { .at = at, .n = end - at };
	hit.form = tag_cut(&token, &hit.tag);
	hit.entry = key_find(set, token);
	return hit;
}

static struct cv_ph_hit alias_read(
	const struct cv_ph_set *set, struct cv_str text, size_t from, size_t at)
{
	const size_t key_at = at + marker[PATTERN_ALIAS].n;
	size_t start = at, end = key_at;

	while (start > from && is_alias_byte(text.p[start - 1]))
		start--;
	while (end < text.n && is_alias_byte(text.p[end]))
		end++;
	const bool has_prefix = at - start >= 2 && text.p[at - 1] == '-';
	return (struct cv_ph_hit){
		.at = start,
		.n = end - start,
		.form = CV_PH_FORM_ALIAS,
		.entry =
			has_prefix ? key_find(set, cv_str_slice(text, key_at, end)) : CV_PH_UNKNOWN,
	};
}

/* ---- the automaton ---- */

static struct cv_str pattern_of(const struct cv_ph_set *set, unsigned pattern)
{
	return pattern < PATTERN_TEXT ? marker[pattern] : set->entries[pattern - PATTERN_TEXT].text;
}

bool cv_ph_find(const struct cv_ph_set *set, struct cv_str text, size_t from, struct cv_ph_hit *ret)
{
	uint32_t node = PH_ROOT;

	for (size_t i = from; i < text.n; i++) {
		node = ph_step(set, node, (uint8_t)text.p[i]);
		if (!set->nodes[node].pattern)
			continue;
		const unsigned pattern = set->nodes[node].pattern - 1u;
		const size_t n = pattern_of(set, pattern).n, at = i + 1 - n;

		if (pattern == PATTERN_CANONICAL)
			*ret = canonical_read(set, text, at);
		else if (pattern == PATTERN_ALIAS)
			*ret = alias_read(set, text, from, at);
		else
			*ret = (struct cv_ph_hit){
				.at = at, .n = n, .entry = pattern - PATTERN_TEXT
			};
		return true;
	}
	return false;
}

/* ---- compiling ---- */

/* Adds a pattern's nodes; the array is large enough.  False if it is there already. */
static bool pattern_add(struct cv_ph_set *set, unsigned pattern)
{
	const struct cv_str s = pattern_of(set, pattern);
	uint32_t node = PH_ROOT;

	for (size_t i = 0; i < s.n; i++) {
		uint32_t next = ph_child(set, node, (uint8_t)s.p[i]);

		if (!next) {
			next = set->node_count++;
			set->nodes[next].byte = (uint8_t)s.p[i];
			set->nodes[next].sibling = set->nodes[node].child;
			set->nodes[node].child = next;
		}
		node = next;
	}
	if (set->nodes[node].pattern)
		return false;
	set->nodes[node].pattern = (uint16_t)(pattern + 1);
	return true;
}

/*
 * Failure links, level by level (queue has room for every node).  Returns a pattern within which
 * another one stands, plus one; 0 if there is none.  That is so where a pattern's node has a child,
 * or where the failure of any node ends a pattern.
 */
static unsigned links_make(struct cv_ph_set *set, uint32_t *queue)
{
	uint32_t head = 0, tail = 0;

	for (uint32_t c = set->nodes[PH_ROOT].child; c; c = set->nodes[c].sibling) {
		set->root[set->nodes[c].byte] = c;
		queue[tail++] = c;
	}
	while (head < tail) {
		struct cv_ph_node *n = &set->nodes[queue[head++]];

		if (n->pattern && n->child)
			return n->pattern;
		if (set->nodes[n->fail].pattern)
			return set->nodes[n->fail].pattern;
		for (uint32_t c = n->child; c; c = set->nodes[c].sibling) {
			set->nodes[c].fail = ph_step(set, n->fail, set->nodes[c].byte);
			queue[tail++] = c;
		}
	}
	return 0;
}

/* Whether the entry's text is a marker form, which needs no pattern of its own.  It must be the
 * entry's own key then. */
static cv_code text_check(
	const struct cv_ph_set *set, size_t i, bool *ret_is_marker, struct cv_err *err)
{
	const struct cv_ph_entry *e = &set->entries[i];
	struct cv_ph_hit hit;

	*ret_is_marker = true;
	if (e->text.n == 0)
		return CV_OK;
	if (e->text.n < CV_PH_LITERAL_BYTES_MIN || e->text.n > CV_PH_LITERAL_BYTES_MAX)
		return cv_fail(err, CV_INVALID, "placeholder of %.*s: %zu bytes, want %d to %d",
			CV_STR_ARG(e->key), e->text.n, CV_PH_LITERAL_BYTES_MIN,
			CV_PH_LITERAL_BYTES_MAX);
	if (!all_are(e->text, is_text_byte))
		return cv_fail(err, CV_INVALID,
			"placeholder of %.*s: has a byte that some encodings change",
			CV_STR_ARG(e->key));
	if (!cv_ph_find(set, e->text, 0, &hit)) { /* only markers are in there by now */
		*ret_is_marker = false;
		return CV_OK;
	}
	if (hit.n != e->text.n || hit.entry != i)
		return cv_fail(err, CV_INVALID, "placeholder of %.*s: stands for another key",
			CV_STR_ARG(e->key));
	return CV_OK;
}

static cv_code keys_sort(struct cv_ph_set *set, struct cv_err *err)
{
	for (size_t i = 0; i < set->count; i++) {
		const struct cv_str key = set->entries[i].key;
		size_t at = i;

		if (!is_key(key))
			return cv_fail(err, CV_INVALID,
				"credential key %zu: not the name of a variable", i);
		if (is_reserved(key))
			return cv_fail(
				err, CV_INVALID, "credential %.*s: reserved name", CV_STR_ARG(key));
		for (; at > 0; at--) {
			const struct cv_str other = set->entries[set->sorted[at - 1]].key;
			const int order = cv_str_cmp(other, key);

			if (order == 0)
				return cv_fail(err, CV_INVALID, "credential %.*s: there twice",
					CV_STR_ARG(key));
			if (order < 0)
				break;
			set->sorted[at] = set->sorted[at - 1];
		}
		set->sorted[at] = (uint16_t)i;
	}
	return CV_OK;
}

static cv_code texts_add(struct cv_ph_set *set, uint32_t *queue, struct cv_err *err)
{
	/* with the markers alone, the set can already tell which texts are marker forms */
	pattern_add(set, PATTERN_CANONICAL);
	pattern_add(set, PATTERN_ALIAS);
	cv_assert(links_make(set, queue) == 0);

	bool is_marker[CV_PH_ENTRIES_MAX] = { false };
	for (size_t i = 0; i < set->count; i++) {
		const cv_code code = text_check(set, i, &is_marker[i], err);

		if (code != CV_OK)
			return code;
	}
	for (size_t i = 0; i < set->count; i++)
		if (!is_marker[i] && !pattern_add(set, (unsigned)i + PATTERN_TEXT))
			return cv_fail(err, CV_INVALID, "placeholder of %.*s: is another one's",
				CV_STR_ARG(set->entries[i].key));
	const unsigned inner = links_make(set, queue);
	if (inner > PATTERN_TEXT)
		return cv_fail(err, CV_INVALID, "placeholder of %.*s: stands within another one",
			CV_STR_ARG(set->entries[inner - 1 - PATTERN_TEXT].key));
	return inner ? cv_fail(err, CV_INVALID, "a placeholder has a marker in it") : CV_OK;
}

/* The first two bytes of every pattern, and all that may start an escape. */
static void pairs_make(struct cv_ph_set *set)
{
	for (unsigned pattern = 0; pattern < set->count + PATTERN_TEXT; pattern++) {
		const struct cv_str s = pattern_of(set, pattern);
		const uint32_t pair = s.n < 2 ? 0 : ph_pair(s.p[0], s.p[1]);

		set->pairs[pair / 64] |= UINT64_C(1) << pair % 64;
		for (size_t i = 0; s.n && i < 2; i++) { /* its second byte may be an escape */
			const uint32_t escaped = ph_pair(s.p[0], "%\\"[i]);

			set->pairs[escaped / 64] |= UINT64_C(1) << escaped % 64;
		}
	}
	for (unsigned second = 0; second < 256; second += 64) {
		set->pairs[ph_pair('%', (char)second) / 64] = UINT64_MAX;
		set->pairs[ph_pair('\\', (char)second) / 64] = UINT64_MAX;
	}
}

cv_code cv_ph_set_compile(struct cv_ph_set *ret, const struct cv_ph_entry *entries, size_t count,
	struct cv_arena *arena, struct cv_err *err)
{
	size_t bytes = 0, nodes = 1 + marker[0].n + marker[1].n;

	if (count > CV_PH_ENTRIES_MAX)
		return cv_fail(
			err, CV_INVALID, "%zu credentials, at most %d", count, CV_PH_ENTRIES_MAX);
	for (size_t i = 0; i < count; i++)
		bytes += CV_MIN(entries[i].text.n, (size_t)CV_PH_LITERALS_BYTES_MAX + 1);
	if (bytes > CV_PH_LITERALS_BYTES_MAX)
		return cv_fail(err, CV_INVALID, "placeholders: more than %d bytes together",
			CV_PH_LITERALS_BYTES_MAX);
	nodes += bytes;

	struct cv_ph_set set = { .entries = entries, .count = count, .node_count = 1 };
	cv_code code = keys_sort(&set, err);
	if (code != CV_OK)
		return code;
	set.nodes = cv_arena_array(arena, nodes, sizeof(*set.nodes));
	uint32_t *queue = cv_arena_array(arena, nodes, sizeof(*queue));
	set.pairs = cv_arena_array(arena, PH_PAIR_WORDS, sizeof(*set.pairs));
	if (!set.nodes || !queue || !set.pairs)
		return cv_fail(err, CV_LIMIT, "placeholders: no memory");
	code = texts_add(&set, queue, err);
	if (code != CV_OK)
		return code;
	pairs_make(&set);
	*ret = set;
	return CV_OK;
}

/* ---- redaction ---- */

struct cv_str cv_ph_redact(const struct cv_ph_set *set, struct cv_str text, struct cv_arena *arena)
{
	struct cred_decoded d;
	struct cv_ph_hit hit;
	size_t n = 0, raw_at = 0, from = 0;

	if (!cv_ph_is_in(set, text))
		return text;
	/* the mark is shorter than every placeholder */
	char *out = cv_arena_alloc(arena, text.n + CV_PH_REDACTED.n);
	if (!out || !cred_decode(text, CRED_PERCENT, arena, &d))
		return CV_PH_REDACTED;
	for (; cv_ph_find(set, d.text, from, &hit); from = hit.at + hit.n) {
		const size_t start = d.at[hit.at];

		memcpy(out + n, text.p + raw_at, start - raw_at);
		n += start - raw_at;
		memcpy(out + n, CV_PH_REDACTED.p, CV_PH_REDACTED.n);
		n += CV_PH_REDACTED.n;
		raw_at = d.at[hit.at + hit.n];
	}
	memcpy(out + n, text.p + raw_at, text.n - raw_at);
	return (struct cv_str){ out, n + text.n - raw_at };
}
