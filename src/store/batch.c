/* SPDX-License-Identifier: Apache-2.0 */
/*
 * batch.c - what is stored together, or not at all
 *
 * Parts are kept until the commit, which runs them in one transaction of the store.  Several batches
 * share a transaction, and each stands behind a mark in it: one that is refused goes back to its
 * mark and leaves the others as they are.  What stops the transaction itself (a full disk, a lost
 * database) stops all of them.
 */
#include "base/assert.h"
#include "store/store_int.h"

#include <stdlib.h>
#include <string.h>

struct part {
	char *text; /* kind, key, value, one behind the other */
	struct cv_str kind, key, value;
	uint64_t expected, version;
	bool is_delete;
};

struct cv_store_batch {
	struct part *v;
	size_t n, cap;
	size_t culprit;
	bool is_stored;
	struct cv_err bad; /* what was wrong with a part; code CV_OK: nothing */
	struct cv_err why; /* why it was not stored, when it was tried last */
};

struct cv_store_batch *cv_store_batch_begin(void)
{
	return calloc(1, sizeof(struct cv_store_batch));
}

void cv_store_batch_free(struct cv_store_batch *b)
{
	if (!b)
		return;
	for (size_t i = 0; i < b->n; i++)
		free(b->v[i].text);
	free(b->v);
	free(b);
}

size_t cv_store_batch_count(const struct cv_store_batch *b)
{
	return b->n;
}

/* The first thing that is wrong stays. */
static void refuse(struct cv_store_batch *b, cv_code code, const struct cv_err *err)
{
	if (b->bad.code == CV_OK) {
		b->bad = *err;
		b->bad.code = code;
	}
}

static bool room_make(struct cv_store_batch *b)
{
	if (b->n < b->cap)
		return true;
	const size_t cap = b->cap ? b->cap * 2 : 4;
	struct part *v = realloc(b->v, cap * sizeof(*v));

	if (!v)
		return false;
	b->v = v;
	b->cap = cap;
	return true;
}

static void part_add(struct cv_store_batch *b, const struct part *from)
{
	struct cv_err err;
	cv_code code = store_key_check(from->kind, from->key, &err);

	if (code == CV_OK && from->value.n > CV_STORE_VALUE_BYTES_MAX)
		code = cv_fail(&err, CV_LIMIT, "a record of %zu bytes", from->value.n);
	if (code == CV_OK && b->n == CV_STORE_BATCH_PARTS_MAX)
		code = cv_fail(&err, CV_LIMIT, "a batch of more than %d records",
			CV_STORE_BATCH_PARTS_MAX);
	if (code != CV_OK) {
		refuse(b, code, &err);
		return;
	}
	struct part p = *from;
	p.text = malloc(p.kind.n + p.key.n + p.value.n);
	if (!p.text || !room_make(b)) {
		free(p.text);
		refuse(b, cv_fail(&err, CV_LIMIT, "no memory for a record"), &err);
		return;
	}
	memcpy(p.text, p.kind.p, p.kind.n);
	memcpy(p.text + p.kind.n, p.key.p, p.key.n);
	if (p.value.n)
		memcpy(p.text + p.kind.n + p.key.n, p.value.p, p.value.n);
	p.kind.p = p.text;
	p.key.p = p.text + p.kind.n;
	p.value.p = p.text + p.kind.n + p.key.n;
	b->v[b->n++] = p;
}

void cv_store_batch_put(struct cv_store_batch *b, struct cv_str kind, struct cv_str key,
	struct cv_str value, uint64_t expected)
{
	const struct part p = { .kind = kind, .key = key, .value = value, .expected = expected };

	part_add(b, &p);
}

void cv_store_batch_delete(
	struct cv_store_batch *b, struct cv_str kind, struct cv_str key, uint64_t expected)
{
	const struct part p = { .kind = kind, .key = key, .expected = expected, .is_delete = true };

	part_add(b, &p);
}

/* In a transaction.  CV_OK, with the reason in the batch, if the batch alone was refused. */
static cv_code run(struct cv_store *s, struct cv_store_batch *b, struct cv_err *err)
{
	cv_code code = CV_OK;

	b->why = b->bad;
	if (b->bad.code != CV_OK)
		return CV_OK;
	for (size_t i = 0; i < b->n && code == CV_OK; i++) {
		struct part *p = &b->v[i];

		if (p->is_delete)
			code = s->ops->remove(s, p->kind, p->key, p->expected, err);
		else
			code = s->ops->put(
				s, p->kind, p->key, p->value, p->expected, &p->version, err);
		if (code == CV_DENIED || code == CV_NOT_FOUND) {
			b->culprit = i;
			b->why = *err;
			return CV_OK;
		}
	}
	return code;
}

static cv_code run_marked(struct cv_store *s, struct cv_store_batch *b, struct cv_err *err)
{
	cv_code code = s->ops->mark(s, STORE_MARK_SET, err);

	if (code == CV_OK)
		code = run(s, b, err);
	if (code != CV_OK)
		return code;
	return s->ops->mark(s, b->why.code == CV_OK ? STORE_MARK_DROP : STORE_MARK_BACK, err);
}

static cv_code run_all(
	struct cv_store *s, struct cv_store_batch *const *b, size_t n, struct cv_err *err)
{
	cv_code code = s->ops->begin(s, err);

	if (code != CV_OK)
		return code;
	if (n == 1) { /* without a mark: the whole transaction is its own */
		code = run(s, b[0], err);
		if (code == CV_OK)
			return s->ops->end(s, b[0]->why.code == CV_OK, err);
	}
	for (size_t i = 0; n > 1 && i < n && code == CV_OK; i++)
		code = run_marked(s, b[i], err);
	if (code == CV_OK)
		return s->ops->end(s, true, err);
	struct cv_err ignored;
	(void)!s->ops->end(s, false, &ignored);
	return code;
}

cv_code cv_store_commit(
	struct cv_store *s, struct cv_store_batch *const *b, size_t n, struct cv_err *err)
{
	struct cv_err own, *e = err ? err : &own;

	if (n == 0)
		return CV_OK;
	for (size_t i = 0; i < n; i++) {
		cv_assert(!b[i]->is_stored);
		b[i]->culprit = b[i]->n;
		b[i]->why.code = CV_OK;
	}
	const int64_t began = store_clock_us(s);
	struct cv_store_event seen = { .operation = "commit", .batches = n };
	const cv_code code = run_all(s, b, n, e);
	for (size_t i = 0; i < n; i++)
		seen.records += b[i]->n;
	seen.code = code;
	(void)store_seen(s, seen, began);
	for (size_t i = 0; i < n; i++) {
		b[i]->is_stored = code == CV_OK && b[i]->why.code == CV_OK;
		if (code != CV_OK) {
			b[i]->why = *e;
			b[i]->culprit = b[i]->n;
		}
	}
	return code;
}

cv_code cv_store_batch_commit(struct cv_store *s, struct cv_store_batch *b, struct cv_err *err)
{
	const cv_code code = cv_store_commit(s, &b, 1, err);

	return code == CV_OK ? cv_store_batch_result(b, err) : code;
}

cv_code cv_store_batch_result(const struct cv_store_batch *b, struct cv_err *ret_why)
{
	if (b->is_stored)
		return CV_OK;
	if (ret_why)
		*ret_why = b->why;
	return b->why.code;
}

uint64_t cv_store_batch_version(const struct cv_store_batch *b, size_t i)
{
	cv_assert(i < b->n);
	return b->is_stored ? b->v[i].version : 0;
}

size_t cv_store_batch_culprit(const struct cv_store_batch *b)
{
	return b->is_stored ? b->n : b->culprit;
}
