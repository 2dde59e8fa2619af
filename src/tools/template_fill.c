/* SPDX-License-Identifier: Apache-2.0 */
/*
 * template_fill.c - values into the places of a template; see template.h
 *
 * A value passes one function, put_value(), which knows the kind's rule; nothing else appends what
 * a stranger wrote.  For words the first byte's owner is noted there as well: a value that begins a
 * word is the only way to an option.
 */
#include "tools/template.h"

#include "base/assert.h"
#include "tools/limits.h"
#include "wire/json_value.h"

struct filler {
	const struct cv_template *t;
	const struct cv_template_values *values;
	struct cv_buf *out;
	size_t from;         /* in out, where this template began */
	bool is_value_first; /* the first byte came from a value, of: */
	struct cv_str first_name;
	struct cv_str spread_text; /* word: what stands for its {list...} */
	struct cv_buf number;      /* one, in plain digits */
	struct cv_template_failure failure;
};

static enum cv_template_rc failed(struct filler *f, enum cv_template_rc rc, struct cv_str name)
{
	f->failure = (struct cv_template_failure){ rc, name };
	return rc;
}

static const struct cv_value *argument(const struct filler *f, struct cv_str name)
{
	const struct cv_value *v = cv_value_get(f->values->arguments, name);

	return v && v->type != CV_VALUE_NULL ? v : NULL; /* null says that it is not given */
}

static bool holds(const struct cv_value *v)
{
	return v && v->type != CV_VALUE_FALSE && v->type != CV_VALUE_NULL;
}

/* A number goes out as plain digits: whoever reads 10e-1 only up to the 'e' would not take it for
 * the 1 that policy saw. */
static bool scalar_text(struct filler *f, const struct cv_value *v, struct cv_str *ret)
{
	switch (v->type) {
	case CV_VALUE_TRUE: *ret = CV_STR("true"); return true;
	case CV_VALUE_FALSE: *ret = CV_STR("false"); return true;
	case CV_VALUE_NUMBER:
		cv_buf_fini(&f->number);
		cv_buf_init(&f->number, CV_TEMPLATE_NUMBER_BYTES_MAX);
		if (!cv_value_number_write(v, &f->number))
			return false;
		*ret = cv_buf_str(&f->number);
		return true;
	case CV_VALUE_STRING: *ret = v->s; return true;
	case CV_VALUE_NULL:
	case CV_VALUE_ARRAY:
	case CV_VALUE_OBJECT:
	case CV_VALUE_TYPE_COUNT: break;
	}
	return false;
}

/* ---- one value, by the rule of the kind ---- */

static void put_encoded(struct cv_buf *out, struct cv_str s)
{
	static const char hex[] = "0123456789ABCDEF";

	for (size_t i = 0; i < s.n; i++) {
		const unsigned char c = (unsigned char)s.p[i];
		const char low = cv_ascii_lower(s.p[i]);
		const bool is_plain = (low >= 'a' && low <= 'z') || (c >= '0' && c <= '9') ||
				      c == '-' || c == '.' || c == '_' || c == '~';

		if (is_plain) /* RFC 3986 2.3 */
			cv_buf_put_byte(out, (char)c);
		else
			cv_buf_put(out,
				(struct cv_str){ (char[]){ '%', hex[c >> 4], hex[c & 15] }, 3 });
	}
}

static bool has_control(struct cv_str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (((unsigned char)s.p[i] < 0x20 && s.p[i] != '\t') || s.p[i] == 0x7f)
			return true;
	return false;
}

static bool is_segment(struct cv_str s)
{
	return s.n && !cv_str_eq(s, CV_STR(".")) && !cv_str_eq(s, CV_STR(".."));
}

static enum cv_template_rc put_value(struct filler *f, struct cv_str name, struct cv_str s)
{
	if (cv_str_has_byte(s, '\0'))
		return failed(f, CV_TEMPLATE_NUL, name);
	switch (f->t->kind) {
	case CV_TEMPLATE_WORD:
		if (s.n && cv_buf_len(f->out) == f->from) {
			f->is_value_first = true;
			f->first_name = name;
		}
		cv_buf_put(f->out, s);
		break;
	case CV_TEMPLATE_HEADER:
		if (has_control(s))
			return failed(f, CV_TEMPLATE_CONTROL, name);
		cv_buf_put(f->out, s);
		break;
	case CV_TEMPLATE_PATH:
		if (!is_segment(s))
			return failed(f, CV_TEMPLATE_SEGMENT, name);
		put_encoded(f->out, s);
		break;
	case CV_TEMPLATE_QUERY: put_encoded(f->out, s); break;
	case CV_TEMPLATE_ENV:
	case CV_TEMPLATE_BODY: cv_buf_put(f->out, s); break;
	case CV_TEMPLATE_KIND_COUNT: cv_unreachable();
	}
	return CV_TEMPLATE_OK;
}

static enum cv_template_rc put_argument(struct filler *f, struct cv_str name)
{
	const struct cv_value *v = argument(f, name);
	struct cv_str s;

	if (!v)
		return failed(f, CV_TEMPLATE_MISSING, name);
	if (!scalar_text(f, v, &s))
		return failed(f, CV_TEMPLATE_TYPE, name);
	return put_value(f, name, s);
}

static enum cv_template_rc put_json(struct filler *f, struct cv_str name)
{
	const struct cv_value *v = argument(f, name);
	enum cv_template_rc rc;
	struct cv_buf json;

	if (!v)
		return failed(f, CV_TEMPLATE_MISSING, name);
	cv_buf_init(&json, CV_TEMPLATE_TEXT_BYTES_MAX);
	rc = cv_json_value_write(&json, v) ? put_value(f, name, cv_buf_str(&json))
					   : failed(f, CV_TEMPLATE_LARGE, name);
	cv_buf_fini(&json);
	return rc;
}

static enum cv_template_rc put_credential(struct filler *f, struct cv_str name)
{
	struct cv_str s;

	if (!f->values->credential || !f->values->credential(f->values->arg, name, &s))
		return failed(f, CV_TEMPLATE_VALUE, name);
	return put_value(f, name, s);
}

/* ---- lists ---- */

/* "a={list...}": the prefix is what stands in out behind the last '&'; it is said again before
 * each member, and taken back when there is none. */
static enum cv_template_rc spread_query(
	struct filler *f, struct cv_str name, const struct cv_value *list)
{
	const struct cv_str written = cv_buf_str(f->out);
	const struct cv_str own = cv_str_slice(written, f->from, written.n);
	const size_t amp = cv_str_rfind_byte(own, '&');
	const size_t begin = amp == own.n ? 0 : amp + 1;
	struct cv_str prefix = cv_str_slice(own, begin, own.n);
	char copy[256]; /* out moves when it grows */
	struct cv_str s;

	if (list->n == 0) {
		f->out->end -= prefix.n + (begin > 0);
		return CV_TEMPLATE_OK;
	}
	if (prefix.n > sizeof(copy))
		return failed(f, CV_TEMPLATE_LARGE, name);
	if (prefix.n)
		memcpy(copy, prefix.p, prefix.n);
	prefix.p = copy;
	for (uint32_t i = 0; i < list->n; i++) {
		if (i) {
			cv_buf_put_byte(f->out, '&');
			cv_buf_put(f->out, prefix);
		}
		if (!scalar_text(f, &list->v[i], &s))
			return failed(f, CV_TEMPLATE_LIST, name);
		const enum cv_template_rc rc = put_value(f, name, s);
		if (rc != CV_TEMPLATE_OK)
			return rc;
	}
	return CV_TEMPLATE_OK;
}

static enum cv_template_rc spread_path(
	struct filler *f, struct cv_str name, const struct cv_value *v)
{
	enum cv_template_rc rc = CV_TEMPLATE_OK;
	const bool is_list = v->type == CV_VALUE_ARRAY;
	struct cv_str rest = is_list ? CV_STR_NONE : v->s, s;

	if (is_list ? v->n == 0 : rest.n == 0)
		return failed(f, CV_TEMPLATE_SEGMENT, name);
	for (uint32_t i = 0; rc == CV_TEMPLATE_OK && (is_list ? i < v->n : rest.p != NULL); i++) {
		if (i)
			cv_buf_put_byte(f->out, '/');
		if (!is_list)
			s = cv_str_cut(&rest, '/');
		else if (!scalar_text(f, &v->v[i], &s))
			return failed(f, CV_TEMPLATE_LIST, name);
		rc = put_value(f, name, s);
	}
	return rc;
}

/* Words are many, so their list is taken apart by words_put(); here stands one member. */
static enum cv_template_rc put_spread(struct filler *f, struct cv_str name)
{
	static const struct cv_value none = { .type = CV_VALUE_ARRAY };
	const struct cv_value *v = argument(f, name);

	if (f->t->kind == CV_TEMPLATE_WORD)
		return put_value(f, name, f->spread_text);
	if (f->t->kind == CV_TEMPLATE_PATH) {
		if (!v)
			return failed(f, CV_TEMPLATE_MISSING, name);
		if (v->type != CV_VALUE_ARRAY && v->type != CV_VALUE_STRING)
			return failed(f, CV_TEMPLATE_LIST, name);
		return spread_path(f, name, v);
	}
	if (v && v->type != CV_VALUE_ARRAY)
		return failed(f, CV_TEMPLATE_LIST, name);
	return spread_query(f, name, v ? v : &none);
}

/* ---- a whole template ---- */

static enum cv_template_rc put_part(struct filler *f, const struct cv_template_part *p)
{
	switch (p->kind) {
	case CV_TEMPLATE_PART_TEXT: cv_buf_put(f->out, p->s); return CV_TEMPLATE_OK;
	case CV_TEMPLATE_PART_ARGUMENT: return put_argument(f, p->s);
	case CV_TEMPLATE_PART_SPREAD: return put_spread(f, p->s);
	case CV_TEMPLATE_PART_JSON: return put_json(f, p->s);
	case CV_TEMPLATE_PART_CREDENTIAL: return put_credential(f, p->s);
	case CV_TEMPLATE_PART_WHEN: return CV_TEMPLATE_OK;
	}
	cv_unreachable();
}

static enum cv_template_rc fill(struct filler *f)
{
	f->from = cv_buf_len(f->out);
	f->is_value_first = false;
	for (size_t i = 0; i < f->t->n; i++) {
		const struct cv_template_part *p = &f->t->v[i];

		if (p->kind == CV_TEMPLATE_PART_WHEN && !holds(argument(f, p->s))) {
			i += p->covers;
			continue;
		}
		const enum cv_template_rc rc = put_part(f, p);
		if (rc != CV_TEMPLATE_OK)
			return rc;
		if (f->out->is_overflown)
			return failed(f, CV_TEMPLATE_LARGE, p->s);
	}
	return CV_TEMPLATE_OK;
}

bool cv_template_is_there(const struct cv_template *t, const struct cv_template_values *values)
{
	const bool is_when =
		t->n && t->v[0].kind == CV_TEMPLATE_PART_WHEN && t->v[0].covers + 1u == t->n;

	return !is_when || holds(cv_value_get(values->arguments, t->v[0].s));
}

enum cv_template_rc cv_template_text(const struct cv_template *t,
	const struct cv_template_values *values, struct cv_buf *out,
	struct cv_template_failure *ret_failure)
{
	struct filler f = { .t = t, .values = values, .out = out };

	cv_assert(t->kind != CV_TEMPLATE_WORD);
	const enum cv_template_rc rc = fill(&f);
	cv_buf_fini(&f.number);
	if (ret_failure)
		*ret_failure = f.failure;
	return rc;
}

/* ---- words ---- */

struct words {
	struct filler f;
	struct cv_arena *arena;
	struct cv_str *v;
	size_t n, bytes;
	bool has_dashes; /* "--" stood before: what follows is no option to anybody */
};

static enum cv_template_rc word_put(struct words *w)
{
	struct filler *f = &w->f;

	cv_buf_reset(f->out);
	const enum cv_template_rc rc = fill(f);
	const struct cv_str s = cv_buf_str(f->out);
	const struct cv_str name = f->is_value_first ? f->first_name : CV_STR_NONE;
	if (rc != CV_TEMPLATE_OK)
		return rc;
	if (f->is_value_first && s.p[0] == '-' && !w->has_dashes)
		return failed(f, CV_TEMPLATE_OPTION, name);
	w->bytes += s.n + 1;
	if (w->n == CV_TOOL_ARGS_MAX || s.n >= CV_TOOL_ARG_BYTES_MAX ||
		w->bytes > CV_TOOL_ARGV_BYTES_MAX)
		return failed(f, CV_TEMPLATE_LARGE, name);
	w->v[w->n] = cv_arena_str(w->arena, s);
	return w->v[w->n++].p ? CV_TEMPLATE_OK : failed(f, CV_TEMPLATE_LARGE, name);
}

/* KEY=VALUE of an object's member. */
static bool member_text(struct filler *f, const struct cv_value *v, uint32_t i, struct cv_buf *b,
	struct cv_str *ret)
{
	struct cv_str s;

	if (!scalar_text(f, &v->v[i], &s))
		return false;
	if (v->type == CV_VALUE_OBJECT) {
		cv_buf_reset(b);
		cv_buf_put(b, v->key[i]);
		cv_buf_put_byte(b, '=');
		cv_buf_put(b, s);
		s = cv_buf_str(b);
	}
	*ret = s;
	return !b->is_overflown;
}

static enum cv_template_rc words_put(struct words *w, struct cv_str name)
{
	const struct cv_value *v = argument(&w->f, name);
	enum cv_template_rc rc = CV_TEMPLATE_OK;
	struct cv_buf member;

	if (!v)
		return CV_TEMPLATE_OK;
	if (v->type != CV_VALUE_ARRAY && v->type != CV_VALUE_OBJECT)
		return failed(&w->f, CV_TEMPLATE_LIST, name);
	cv_buf_init(&member, CV_TEMPLATE_TEXT_BYTES_MAX);
	for (uint32_t i = 0; rc == CV_TEMPLATE_OK && i < v->n; i++)
		rc = member_text(&w->f, v, i, &member, &w->f.spread_text)
			     ? word_put(w)
			     : failed(&w->f, CV_TEMPLATE_LIST, name);
	cv_buf_fini(&member);
	return rc;
}

static const struct cv_template_part *spread_of(const struct cv_template *t)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->v[i].kind == CV_TEMPLATE_PART_SPREAD)
			return &t->v[i];
	return NULL;
}

static enum cv_template_rc template_words(struct words *w, const struct cv_template *t)
{
	const struct cv_template_part *spread = spread_of(t);

	cv_assert(t->kind == CV_TEMPLATE_WORD);
	w->f.t = t;
	if (spread)
		return words_put(w, spread->s);
	if (!cv_template_is_there(t, w->f.values))
		return CV_TEMPLATE_OK;
	const enum cv_template_rc rc = word_put(w);
	if (cv_str_eq(t->source, CV_STR("--"))) /* no value says so */
		w->has_dashes = true;
	return rc;
}

enum cv_template_rc cv_template_argv(const struct cv_template *const *v, size_t n,
	const struct cv_template_values *values, struct cv_arena *arena, struct cv_str **ret,
	size_t *ret_n, struct cv_template_failure *ret_failure)
{
	struct words w = { .f = { .values = values }, .arena = arena };
	enum cv_template_rc rc = CV_TEMPLATE_OK;
	struct cv_buf out;

	w.v = cv_arena_array(arena, CV_TOOL_ARGS_MAX, sizeof(*w.v));
	if (!w.v)
		rc = failed(&w.f, CV_TEMPLATE_LARGE, CV_STR_NONE);
	w.f.out = &out;
	cv_buf_init(&out, CV_TEMPLATE_TEXT_BYTES_MAX);
	for (size_t i = 0; rc == CV_TEMPLATE_OK && i < n; i++)
		rc = template_words(&w, v[i]);
	cv_buf_fini(&out);
	cv_buf_fini(&w.f.number);
	if (ret_failure)
		*ret_failure = w.f.failure;
	if (rc == CV_TEMPLATE_OK) {
		*ret = w.v;
		*ret_n = w.n;
	}
	return rc;
}
