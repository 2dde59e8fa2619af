/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json.c - see json.h
 *
 * The grammar is a state (`want`) and a bit for each open container; there is no recursion.  Keys
 * of open objects lie on one stack; when an object ends its own are sorted and neighbours
 * compared, so a text of n bytes costs n log n whatever its author intends, without a hash that
 * could be made to collide.
 */
#include "wire/json.h"

#include "base/assert.h"
#include "base/utf8.h"

#include <stdlib.h>

#define ROW(name, text) text,
static const char *const problem_text[] = { CV_JSON_PROBLEMS(ROW) };
#undef ROW

const char *cv_json_problem_text(enum cv_json_problem p)
{
	cv_assert(p < CV_JSON_PROBLEM_COUNT);
	return problem_text[p];
}

void cv_json_init(struct cv_json *j, struct cv_str text)
{
	memset(j, 0, sizeof(*j));
	j->text = text;
	j->want = CV_JSON_WANT_VALUE;
}

void cv_json_fini(struct cv_json *j)
{
	free(j->keys);
	j->keys = NULL;
	j->key_count = j->key_cap = 0;
}

static enum cv_json_type bad(struct cv_json *j, enum cv_json_problem problem, size_t at)
{
	j->problem = problem;
	j->at = at;
	return CV_JSON_BAD;
}

/* ---- strings ---- */

static int hex4(struct cv_str s)
{
	int v = 0;

	if (s.n < 4)
		return -1;
	for (size_t i = 0; i < 4; i++) {
		const char c = cv_ascii_lower(s.p[i]);

		if (c >= '0' && c <= '9')
			v = v << 4 | (c - '0');
		else if (c >= 'a' && c <= 'f')
			v = v << 4 | (c - 'a' + 10);
		else
			return -1;
	}
	return v;
}

char cv_json_escape_short(char c)
{
	switch (c) {
	case '"':
	case '\\':
	case '/': return c;
	case 'b': return '\b';
	case 'f': return '\f';
	case 'n': return '\n';
	case 'r': return '\r';
	case 't': return '\t';
	default: return 0;
	}
}

/* The code point of the escape that s (behind its backslash) starts with, and its bytes; a problem
 * in *ret_problem makes it 0 bytes. */
static size_t escape_read(struct cv_str s, uint32_t *ret_cp, enum cv_json_problem *ret_problem)
{
	const char c = s.n ? cv_json_escape_short(s.p[0]) : 0;

	*ret_problem = s.n ? CV_JSON_PROBLEM_ESCAPE : CV_JSON_PROBLEM_CUT;
	if (c) {
		*ret_cp = (uint32_t)c;
		return 1;
	}
	if (!s.n || s.p[0] != 'u')
		return 0;
	const int high = hex4(cv_str_slice(s, 1, s.n));
	if (high < 0)
		return 0;
	*ret_cp = (uint32_t)high;
	if (high < 0xd800 || high > 0xdfff)
		return 5;
	*ret_problem = CV_JSON_PROBLEM_SURROGATE;
	if (high > 0xdbff || s.n < 11 || s.p[5] != '\\' || s.p[6] != 'u')
		return 0;
	const int low = hex4(cv_str_slice(s, 7, s.n));
	if (low < 0xdc00 || low > 0xdfff)
		return 0;
	*ret_cp = 0x10000 + ((uint32_t)(high - 0xd800) << 10) + (uint32_t)(low - 0xdc00);
	return 11;
}

/* The code point that the inside of a good string starts with; *s moves behind it. */
static uint32_t point_take(struct cv_str *s)
{
	enum cv_json_problem problem;
	uint32_t cp = 0;
	size_t n;

	if (s->p[0] == '\\')
		n = 1 + escape_read(cv_str_slice(*s, 1, s->n), &cp, &problem);
	else
		n = cv_utf8_decode(*s, &cp);
	cv_assert(n > 0);
	*s = cv_str_slice(*s, n, s->n);
	return cp;
}

/* The string whose opening quote is at j->at, which moves behind the closing one. */
static bool string_take(struct cv_json *j, struct cv_json_token *ret)
{
	const struct cv_str text = j->text;
	enum cv_json_problem problem;
	size_t at = j->at + 1;
	uint32_t cp;

	ret->at = j->at;
	ret->has_escapes = false;
	while (at < text.n && text.p[at] != '"') {
		const unsigned char c = (unsigned char)text.p[at];
		size_t n = 1;

		if (c == '\\') {
			ret->has_escapes = true;
			n = escape_read(cv_str_slice(text, at + 1, text.n), &cp, &problem);
			if (!n)
				return bad(j, problem, at) != CV_JSON_BAD;
			n++;
		} else if (c < 0x20) {
			return bad(j, CV_JSON_PROBLEM_CONTROL, at) != CV_JSON_BAD;
		} else if (c >= 0x80) {
			n = cv_utf8_step(cv_str_slice(text, at, text.n));
			if (!n)
				return bad(j, CV_JSON_PROBLEM_UTF8, at) != CV_JSON_BAD;
		}
		at += n;
	}
	if (at >= text.n)
		return bad(j, CV_JSON_PROBLEM_CUT, text.n) != CV_JSON_BAD;
	ret->raw = cv_str_slice(text, j->at + 1, at);
	ret->end = j->at = at + 1;
	return true;
}

/* ---- keys of an object ---- */

static int key_cmp(const void *a, const void *b)
{
	const struct cv_json_key *x = a, *y = b;
	struct cv_str s = x->raw, t = y->raw;

	if (!x->has_escapes && !y->has_escapes)
		return cv_str_cmp(s, t); /* of UTF-8, so in the order of code points too */
	while (s.n && t.n) {
		const uint32_t c = point_take(&s), d = point_take(&t);

		if (c != d)
			return c < d ? -1 : 1;
	}
	return (s.n > 0) - (t.n > 0);
}

static bool key_keep(struct cv_json *j, const struct cv_json_token *t)
{
	if (j->key_count == j->key_cap) {
		const uint32_t cap = j->key_cap ? j->key_cap * 2 : 32;
		struct cv_json_key *keys = NULL;

		if (cap <= CV_JSON_KEYS_MAX)
			keys = realloc(j->keys, cap * sizeof(*keys));
		if (!keys)
			return bad(j, CV_JSON_PROBLEM_KEYS, t->at) != CV_JSON_BAD;
		j->keys = keys;
		j->key_cap = cap;
	}
	j->keys[j->key_count++] = (struct cv_json_key){ t->raw, t->has_escapes };
	return true;
}

/* The object's keys leave the stack; false when two of them are the same. */
static bool keys_drop(struct cv_json *j)
{
	const uint32_t from = j->keys_from[j->depth - 1];
	const uint32_t n = j->key_count - from;

	j->key_count = from;
	if (n < 2)
		return true;
	struct cv_json_key *keys = j->keys + from;
	qsort(keys, n, sizeof(*keys), key_cmp);
	for (uint32_t i = 1; i < n; i++)
		if (key_cmp(&keys[i - 1], &keys[i]) == 0)
			return bad(j, CV_JSON_PROBLEM_DUPLICATE,
				       (size_t)(keys[i].raw.p - j->text.p)) != CV_JSON_BAD;
	return true;
}

/* ---- numbers, words, containers ---- */

static size_t digits_count(struct cv_str s, size_t from)
{
	size_t n = 0;

	while (from + n < s.n && s.p[from + n] >= '0' && s.p[from + n] <= '9')
		n++;
	return n;
}

/* Bytes of the number that s starts with, 0 when it is malformed. */
static size_t number_bytes(struct cv_str s)
{
	size_t at = s.n && s.p[0] == '-';
	size_t n = digits_count(s, at);

	if (!n || (n > 1 && s.p[at] == '0'))
		return 0;
	at += n;
	if (at < s.n && s.p[at] == '.') {
		n = digits_count(s, ++at);
		if (!n)
			return 0;
		at += n;
	}
	if (at < s.n && (s.p[at] == 'e' || s.p[at] == 'E')) {
		at++;
		at += at < s.n && (s.p[at] == '+' || s.p[at] == '-');
		n = digits_count(s, at);
		if (!n)
			return 0;
		at += n;
	}
	return at;
}

static bool is_object(const struct cv_json *j)
{
	const uint32_t i = j->depth - 1;

	return j->depth && (j->is_object[i / 32] >> (i % 32) & 1);
}

static enum cv_json_type value_done(struct cv_json *j, enum cv_json_type type)
{
	j->want = j->depth ? CV_JSON_WANT_COMMA : CV_JSON_WANT_NOTHING;
	return type;
}

static enum cv_json_type container_open(struct cv_json *j, bool has_keys)
{
	const uint32_t i = j->depth;

	if (i == CV_JSON_DEPTH_MAX)
		return bad(j, CV_JSON_PROBLEM_DEPTH, j->at);
	j->is_object[i / 32] &= ~(1u << (i % 32));
	j->is_object[i / 32] |= (uint32_t)has_keys << (i % 32);
	j->keys_from[i] = j->key_count;
	j->depth++;
	j->at++;
	j->want = has_keys ? CV_JSON_WANT_FIRST_KEY : CV_JSON_WANT_FIRST;
	return has_keys ? CV_JSON_OBJECT : CV_JSON_ARRAY;
}

static enum cv_json_type container_close(struct cv_json *j)
{
	const bool had_keys = is_object(j);

	if (had_keys && !keys_drop(j))
		return CV_JSON_BAD;
	j->depth--;
	j->at++;
	return value_done(j, had_keys ? CV_JSON_OBJECT_END : CV_JSON_ARRAY_END);
}

static enum cv_json_type word_take(struct cv_json *j)
{
	static const struct {
		struct cv_str text;
		enum cv_json_type type;
	} word[] = {
		{ CV_STR("null"), CV_JSON_NULL },
		{ CV_STR("true"), CV_JSON_TRUE },
		{ CV_STR("false"), CV_JSON_FALSE },
	};
	const struct cv_str rest = cv_str_slice(j->text, j->at, j->text.n);

	for (size_t i = 0; i < CV_ARRAY_LEN(word); i++) {
		if (cv_str_has_prefix(rest, word[i].text)) {
			j->at += word[i].text.n;
			return value_done(j, word[i].type);
		}
		if (rest.n < word[i].text.n && cv_str_has_prefix(word[i].text, rest))
			return bad(j, CV_JSON_PROBLEM_CUT, j->text.n);
	}
	return bad(j, CV_JSON_PROBLEM_TOKEN, j->at);
}

static enum cv_json_type value_take(struct cv_json *j, struct cv_json_token *ret)
{
	const char c = j->text.p[j->at];

	if (c == '{' || c == '[')
		return container_open(j, c == '{');
	if (c == '"')
		return string_take(j, ret) ? value_done(j, CV_JSON_STRING) : CV_JSON_BAD;
	if (c != '-' && (c < '0' || c > '9'))
		return word_take(j);
	const size_t n = number_bytes(cv_str_slice(j->text, j->at, j->text.n));
	if (!n)
		return bad(j, CV_JSON_PROBLEM_NUMBER, j->at);
	j->at += n;
	return value_done(j, CV_JSON_NUMBER);
}

/* ---- the grammar ---- */

static void blanks_pass(struct cv_json *j)
{
	while (j->at < j->text.n) {
		const char c = j->text.p[j->at];

		if (c != ' ' && c != '\t' && c != '\n' && c != '\r')
			return;
		j->at++;
	}
}

/* A key, and the colon behind it. */
static enum cv_json_type key_take(struct cv_json *j, struct cv_json_token *ret)
{
	if (j->text.p[j->at] != '"')
		return bad(j, CV_JSON_PROBLEM_TOKEN, j->at);
	if (!string_take(j, ret) || !key_keep(j, ret))
		return CV_JSON_BAD;
	blanks_pass(j);
	if (j->at == j->text.n)
		return bad(j, CV_JSON_PROBLEM_CUT, j->at);
	if (j->text.p[j->at] != ':')
		return bad(j, CV_JSON_PROBLEM_TOKEN, j->at);
	j->at++;
	j->want = CV_JSON_WANT_VALUE;
	return CV_JSON_KEY;
}

static enum cv_json_type text_end(struct cv_json *j)
{
	if (j->want == CV_JSON_WANT_NOTHING)
		return CV_JSON_END;
	return bad(j, j->depth ? CV_JSON_PROBLEM_CUT : CV_JSON_PROBLEM_EMPTY, j->at);
}

static enum cv_json_type token_take(struct cv_json *j, struct cv_json_token *ret)
{
	const char end = is_object(j) ? '}' : ']';

	blanks_pass(j);
	if (j->at == j->text.n)
		return text_end(j);
	if (j->want == CV_JSON_WANT_COMMA && j->text.p[j->at] == ',') {
		j->at++;
		j->want = is_object(j) ? CV_JSON_WANT_KEY : CV_JSON_WANT_VALUE;
		blanks_pass(j);
		if (j->at == j->text.n)
			return text_end(j);
	}
	ret->at = j->at;
	switch (j->want) {
	case CV_JSON_WANT_COMMA:
		if (j->text.p[j->at] == end)
			return container_close(j);
		break;
	case CV_JSON_WANT_FIRST:
		return j->text.p[j->at] == end ? container_close(j) : value_take(j, ret);
	case CV_JSON_WANT_FIRST_KEY:
		return j->text.p[j->at] == end ? container_close(j) : key_take(j, ret);
	case CV_JSON_WANT_VALUE: return value_take(j, ret);
	case CV_JSON_WANT_KEY: return key_take(j, ret);
	case CV_JSON_WANT_NOTHING: return bad(j, CV_JSON_PROBLEM_TRAILING, j->at);
	}
	return bad(j, CV_JSON_PROBLEM_TOKEN, j->at);
}

enum cv_json_type cv_json_next(struct cv_json *j, struct cv_json_token *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (j->problem != CV_JSON_PROBLEM_NONE)
		return ret->type = CV_JSON_BAD;
	if (j->at == 0 && cv_str_has_prefix(j->text, CV_STR("\xef\xbb\xbf"))) {
		bad(j, CV_JSON_PROBLEM_BOM, 0);
		return ret->type = CV_JSON_BAD;
	}
	const enum cv_json_type type = token_take(j, ret);
	ret->type = type;
	if (type != CV_JSON_STRING && type != CV_JSON_KEY && type != CV_JSON_BAD &&
		type != CV_JSON_END) {
		ret->end = j->at;
		ret->raw = cv_str_slice(j->text, ret->at, ret->end);
	}
	return type;
}

enum cv_json_problem cv_json_check(struct cv_str text, size_t *ret_at)
{
	struct cv_json_token t;
	enum cv_json_type type;
	struct cv_json j;

	cv_json_init(&j, text);
	do
		type = cv_json_next(&j, &t);
	while (type != CV_JSON_END && type != CV_JSON_BAD);
	if (ret_at)
		*ret_at = j.at;
	cv_json_fini(&j);
	return j.problem;
}

/* ---- what tokens say ---- */

static size_t utf8_write(uint32_t cp, char out[4])
{
	if (cp < 0x80) {
		out[0] = (char)cp;
		return 1;
	}
	const size_t n = cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
	for (size_t i = n - 1; i > 0; i--, cp >>= 6)
		out[i] = (char)(0x80 | (cp & 0x3f));
	out[0] = (char)(0xf00u >> n | cp);
	return n;
}

bool cv_json_decode(const struct cv_json_token *t, struct cv_buf *b)
{
	struct cv_str rest = t->raw;
	char out[4];

	cv_assert(t->type == CV_JSON_STRING || t->type == CV_JSON_KEY);
	if (!t->has_escapes)
		return cv_buf_put(b, rest);
	while (rest.n) {
		const uint32_t cp = point_take(&rest);

		if (!cv_buf_put(b, (struct cv_str){ out, utf8_write(cp, out) }))
			return false;
	}
	return true;
}

struct cv_str cv_json_text(const struct cv_json_token *t, struct cv_arena *arena)
{
	char *text = cv_arena_alloc(arena, t->raw.n + 4); /* none is longer than its source */
	struct cv_str rest = t->raw;
	size_t n = 0;

	cv_assert(t->type == CV_JSON_STRING || t->type == CV_JSON_KEY);
	if (!text)
		return CV_STR_NONE;
	if (!t->has_escapes && rest.n) {
		memcpy(text, rest.p, rest.n);
		return (struct cv_str){ text, rest.n };
	}
	while (rest.n)
		n += utf8_write(point_take(&rest), text + n);
	return (struct cv_str){ text, n };
}

bool cv_json_says(const struct cv_json_token *t, struct cv_str s)
{
	struct cv_str rest = t->raw;
	char out[4];

	if (t->type != CV_JSON_STRING && t->type != CV_JSON_KEY)
		return false;
	if (!t->has_escapes)
		return cv_str_eq(rest, s);
	while (rest.n) {
		const size_t n = utf8_write(point_take(&rest), out);

		if (!cv_str_has_prefix(s, (struct cv_str){ out, n }))
			return false;
		s = cv_str_slice(s, n, s.n);
	}
	return s.n == 0;
}

static uint64_t times_ten(uint64_t v, uint64_t plus)
{
	uint64_t sum;

	if (__builtin_mul_overflow(v, 10, &sum) || __builtin_add_overflow(sum, plus, &sum))
		return UINT64_MAX;
	return sum;
}

/* The exponent behind 'e', within what makes a difference. */
static int exponent_of(struct cv_str s)
{
	const bool is_negative = s.n && s.p[0] == '-';
	uint64_t v = 0;

	for (size_t i = s.n && (s.p[0] == '-' || s.p[0] == '+'); i < s.n; i++)
		v = CV_MIN(times_ten(v, (uint64_t)(s.p[i] - '0')), 100000u);
	return is_negative ? -(int)v : (int)v;
}

bool cv_json_to_u64(const struct cv_json_token *t, uint64_t *ret)
{
	struct cv_str whole = t->raw, exponent = CV_STR_NONE;
	uint64_t v = 0;
	size_t i = 0;

	if (t->type != CV_JSON_NUMBER || whole.p[0] == '-')
		return false;
	while (i < whole.n && cv_ascii_lower(whole.p[i]) != 'e')
		i++;
	exponent = cv_str_slice(whole, i + 1, whole.n);
	whole = cv_str_slice(whole, 0, i);
	const size_t point = cv_str_find_byte(whole, '.');
	/* digits that stand before the point once the exponent has moved it; beyond the last one
	 * there are zeroes */
	int64_t want = (int64_t)CV_MIN(point, (size_t)INT32_MAX) + exponent_of(exponent);
	for (i = 0; want > 0 && (i < whole.n || (v && v != UINT64_MAX)); i++) {
		if (i == point && i < whole.n)
			continue;
		v = times_ten(v, i < whole.n ? (uint64_t)(whole.p[i] - '0') : 0);
		want--;
	}
	*ret = v;
	return true;
}

/* ---- values by path ---- */

struct path {
	struct cv_str part[CV_JSON_PATH_DEPTH_MAX];
	uint32_t count;
	uint32_t matched; /* so many of the open containers lead to it */
	bool is_open;     /* the value is a container, and we are in it */
};

struct search {
	struct path path[CV_JSON_VALUES_MAX];
	struct cv_json_value *values;
	size_t count;
	uint32_t index[CV_JSON_PATH_DEPTH_MAX + 1]; /* of the next element of each open array */
	struct cv_json_token key;                   /* of the value that comes */
};

static void path_split(struct path *p, const char *text)
{
	struct cv_str rest = cv_str_of(text);

	p->count = p->matched = 0;
	p->is_open = false;
	while (rest.p) {
		cv_assert(p->count < CV_JSON_PATH_DEPTH_MAX);
		p->part[p->count++] = cv_str_cut(&rest, '.');
	}
}

/* The value that comes in the container at depth is the path's next step. */
static bool step_fits(const struct search *s, const struct path *p, uint32_t depth)
{
	const struct cv_str part = p->part[depth - 1];
	uint64_t index;

	if (s->key.type == CV_JSON_KEY)
		return cv_json_says(&s->key, part);
	return cv_str_to_u64(part, UINT32_MAX, &index) && index == s->index[depth - 1];
}

/* A value begins (t) in the container at depth. */
static void value_look(
	struct search *s, const struct cv_json_token *t, uint32_t depth, bool is_container)
{
	for (size_t i = 0; i < s->count; i++) {
		struct path *p = &s->path[i];

		if (depth == 0 || depth > p->count || p->matched != depth - 1 ||
			!step_fits(s, p, depth))
			continue;
		if (depth == p->count) {
			s->values[i].token = *t;
			p->is_open = is_container;
		} else if (is_container) {
			p->matched = depth;
		}
	}
}

static void container_left(struct search *s, const struct cv_json *j, const struct cv_json_token *t)
{
	for (size_t i = 0; i < s->count; i++) {
		struct path *p = &s->path[i];

		if (p->is_open && j->depth == p->count) {
			struct cv_json_token *to = &s->values[i].token;

			to->end = t->end;
			to->raw = cv_str_slice(j->text, to->at, to->end);
			p->is_open = false;
		}
		if (p->matched > j->depth - (j->depth > 0))
			p->matched = j->depth - (j->depth > 0);
	}
}

static void search_step(struct search *s, const struct cv_json *j, const struct cv_json_token *t)
{
	const bool is_container = t->type == CV_JSON_OBJECT || t->type == CV_JSON_ARRAY;
	const uint32_t depth = j->depth - is_container; /* of the container that t stands in */

	if (t->type == CV_JSON_KEY) {
		s->key = *t;
		return;
	}
	if (t->type == CV_JSON_OBJECT_END || t->type == CV_JSON_ARRAY_END) {
		container_left(s, j, t);
		return;
	}
	value_look(s, t, depth, is_container);
	if (depth >= 1 && depth <= CV_JSON_PATH_DEPTH_MAX && s->key.type != CV_JSON_KEY)
		s->index[depth - 1]++;
	if (is_container && depth < CV_JSON_PATH_DEPTH_MAX)
		s->index[depth] = 0;
	s->key.type = CV_JSON_END;
}

enum cv_json_problem cv_json_find(struct cv_str text, struct cv_json_value *values, size_t count)
{
	struct search s = { .values = values, .count = count };
	struct cv_json_token t;
	struct cv_json j;

	cv_assert(count <= CV_JSON_VALUES_MAX);
	for (size_t i = 0; i < count; i++) {
		path_split(&s.path[i], values[i].path);
		memset(&values[i].token, 0, sizeof(values[i].token));
	}
	cv_json_init(&j, text);
	while (cv_json_next(&j, &t) != CV_JSON_END && t.type != CV_JSON_BAD)
		search_step(&s, &j, &t);
	cv_json_fini(&j);
	for (size_t i = 0; i < count && j.problem; i++)
		memset(&values[i].token, 0, sizeof(values[i].token));
	return j.problem;
}
