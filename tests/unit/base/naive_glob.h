/* SPDX-License-Identifier: Apache-2.0 */
/*
 * naive_glob.h - globs a second time, as slowly and plainly as the rules are written
 *
 * For comparison with base/glob.c, and for the oracle of decisions.  The pattern is cut into
 * tokens, braces are written out into all flat patterns, and each is tried by recursion.
 */
#pragma once
#include "base/glob.h"
#include "base/utf8.h"

#include <stdlib.h>

#define NAIVE_TOKENS_MAX 512

enum naive_type {
	NT_CHAR,
	NT_ONE,
	NT_STAR,
	NT_SET,
	NT_ANYTHING,
	NT_TREE,
	NT_LABELS,
	NT_OPEN,
	NT_COMMA,
	NT_CLOSE
};

struct naive_token {
	enum naive_type type;
	uint32_t c;       /* CHAR */
	uint32_t set[64]; /* SET: pairs */
	size_t set_n;
	bool is_negated;
};

struct naive {
	struct naive_token t[NAIVE_TOKENS_MAX];
	size_t n;
	uint32_t delim;
};

static size_t naive_decode(struct cv_str s, uint32_t *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n;) {
		const uint8_t *p = (const uint8_t *)s.p + i;

		switch (cv_utf8_step(cv_str_slice(s, i, s.n))) {
		case 1:
			ret[n++] = p[0];
			i += 1;
			break;
		case 2:
			ret[n++] = (p[0] & 31u) << 6 | (p[1] & 63u);
			i += 2;
			break;
		case 3:
			ret[n++] = (p[0] & 15u) << 12 | (p[1] & 63u) << 6 | (p[2] & 63u);
			i += 3;
			break;
		case 4:
			ret[n++] = (p[0] & 7u) << 18 | (p[1] & 63u) << 12 | (p[2] & 63u) << 6 |
				   (p[3] & 63u);
			i += 4;
			break;
		default: ret[n++] = 0x200000u + p[0]; i += 1;
		}
	}
	return n;
}

static bool naive_set(struct naive_token *t, const uint32_t *p, size_t n, size_t *i)
{
	(*i)++;
	if (*i < n && (p[*i] == '!' || p[*i] == '^')) {
		t->is_negated = true;
		(*i)++;
	}
	while (*i < n && p[*i] != ']') {
		uint32_t lo, hi;

		if (p[*i] == '\\' && ++*i >= n)
			return false;
		lo = hi = p[(*i)++];
		if (*i < n && p[*i] == '-' && !(*i + 1 < n && p[*i + 1] == ']')) {
			if (++*i >= n || (p[*i] == '\\' && ++*i >= n))
				return false;
			hi = p[(*i)++];
		}
		if (hi < lo || t->set_n + 2 > CV_ARRAY_LEN(t->set))
			return false;
		t->set[t->set_n++] = lo;
		t->set[t->set_n++] = hi;
	}
	if (*i >= n || t->set_n == 0)
		return false;
	(*i)++;
	return true;
}

static bool naive_tokens(struct naive *v, const uint32_t *p, size_t n, enum cv_glob_kind kind)
{
	bool starts = true; /* a component may begin here */
	int depth = 0;

	for (size_t i = 0; i < n;) {
		struct naive_token *t = &v->t[v->n];

		if (v->n + 1 >= NAIVE_TOKENS_MAX)
			return false;
		memset(t, 0, sizeof(*t));
		v->n++;
		if (p[i] == '*') {
			size_t run = 1;

			while (i + run < n && p[i + run] == '*')
				run++;
			t->type = v->delim == UINT32_MAX ? NT_ANYTHING : NT_STAR;
			if (run == 2 && starts && i + 2 == n) {
				t->type = NT_ANYTHING;
			} else if (run == 2 && starts && p[i + 2] == v->delim) {
				t->type = kind == CV_GLOB_HOST && i == 0 ? NT_LABELS : NT_TREE;
				run = 3;
			}
			i += run;
		} else if (p[i] == '?') {
			t->type = NT_ONE;
			i++;
		} else if (p[i] == '[') {
			t->type = NT_SET;
			if (!naive_set(t, p, n, &i))
				return false;
		} else if (p[i] == '{') {
			t->type = NT_OPEN;
			depth++;
			i++;
		} else if (p[i] == '}') {
			t->type = NT_CLOSE;
			if (--depth < 0)
				return false;
			i++;
		} else if (p[i] == ',' && depth) {
			t->type = NT_COMMA;
			i++;
		} else {
			if (p[i] == '\\') {
				t->is_negated = true; /* of a CHAR: it was escaped */
				if (++i >= n)
					return false;
			}
			t->type = NT_CHAR;
			t->c = p[i++];
		}
		starts = (t->type == NT_CHAR && t->c == v->delim && !t->is_negated) ||
			 t->type == NT_TREE || t->type == NT_LABELS;
	}
	return depth == 0;
}

static bool naive_flat(const struct naive *v, size_t i, const uint32_t *s, size_t n)
{
	if (i == v->n)
		return n == 0;
	const struct naive_token *t = &v->t[i];
	const bool one = n && s[0] != v->delim;

	switch (t->type) {
	case NT_CHAR: return n && s[0] == t->c && naive_flat(v, i + 1, s + 1, n - 1);
	case NT_ONE: return one && naive_flat(v, i + 1, s + 1, n - 1);
	case NT_SET: {
		bool is_in = false;

		for (size_t k = 0; k < t->set_n && n; k += 2)
			is_in |= s[0] >= t->set[k] && s[0] <= t->set[k + 1];
		return one && is_in != t->is_negated && naive_flat(v, i + 1, s + 1, n - 1);
	}
	case NT_STAR: return naive_flat(v, i + 1, s, n) || (one && naive_flat(v, i, s + 1, n - 1));
	case NT_ANYTHING:
		return naive_flat(v, i + 1, s, n) || (n && naive_flat(v, i, s + 1, n - 1));
	case NT_TREE:
		if (naive_flat(v, i + 1, s, n))
			return true;
		for (size_t k = 0; k < n; k++)
			if (s[k] == v->delim && naive_flat(v, i + 1, s + k + 1, n - k - 1))
				return true;
		return false;
	case NT_LABELS:
		for (size_t k = 1; k < n; k++)
			if (s[k] == v->delim && naive_flat(v, i + 1, s + k + 1, n - k - 1))
				return true;
		return false;
	case NT_OPEN:
	case NT_COMMA:
	case NT_CLOSE: break;
	}
	return false;
}

/* Writes out the first brace and goes on with each alternative. */
static bool naive_expand(const struct naive *v, const uint32_t *s, size_t n)
{
	size_t open = 0, from;
	int depth = 0;
	bool is_match = false;

	while (open < v->n && v->t[open].type != NT_OPEN)
		open++;
	if (open == v->n)
		return naive_flat(v, 0, s, n);
	size_t close = open;
	do {
		depth += (v->t[close].type == NT_OPEN) - (v->t[close].type == NT_CLOSE);
		close++;
	} while (depth);
	struct naive *w = malloc(sizeof(*w));
	from = open + 1;
	for (size_t i = from; i < close && !is_match; i++) {
		depth += (v->t[i].type == NT_OPEN) - (v->t[i].type == NT_CLOSE);
		if (i != close - 1 && !(depth == 0 && v->t[i].type == NT_COMMA))
			continue;
		w->delim = v->delim;
		w->n = open;
		memcpy(w->t, v->t, open * sizeof(v->t[0]));
		memcpy(w->t + w->n, v->t + from, (i - from) * sizeof(v->t[0]));
		w->n += i - from;
		memcpy(w->t + w->n, v->t + close, (v->n - close) * sizeof(v->t[0]));
		w->n += v->n - close;
		is_match = naive_expand(w, s, n);
		from = i + 1;
	}
	free(w);
	return is_match;
}

/* 1 match, 0 no match, -1 malformed.  Short patterns and texts only: time is exponential. */
static int naive_glob(struct cv_str pattern, enum cv_glob_kind kind, struct cv_str text)
{
	static const uint32_t delims[CV_GLOB_KIND_COUNT] = { '/', '.', '.', UINT32_MAX };
	struct naive *v = calloc(1, sizeof(*v));
	uint32_t *p = calloc(pattern.n + text.n + 1, sizeof(*p)), *s = p + pattern.n;
	int r = -1;

	v->delim = delims[kind];
	const size_t pn = naive_decode(pattern, p), sn = naive_decode(text, s);
	if (naive_tokens(v, p, pn, kind))
		r = naive_expand(v, s, sn);
	free(p);
	free(v);
	return r;
}
