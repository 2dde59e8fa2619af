/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory.c - a store that ends with its process: an array in the order of kinds and keys
 *
 * In a transaction each change keeps what it replaced, the newest last; to go back is to put those
 * back in reverse.  Room for that is made before the change, so that going back never fails.
 */
#include "store/store_int.h"

#include <stdlib.h>
#include <string.h>

struct item {
	char *text; /* kind, NUL, key, NUL, value */
	struct cv_str kind, key, value;
	uint64_t version;
};

struct undo {
	size_t at;      /* index of the item, then */
	bool was_there; /* old is what it was */
	bool is_there;  /* it was not removed */
	struct item old;
};

struct memory {
	struct cv_store store;
	struct item *v;
	size_t n, cap;
	struct undo *undo;
	size_t undo_count, undo_cap, mark;
	bool is_in_transaction;
};

/* The index of the record, or where it would be. */
static size_t seek(
	const struct memory *m, struct cv_str kind, struct cv_str key, bool *ret_is_there)
{
	size_t low = 0, high = m->n;

	*ret_is_there = false;
	while (low < high) {
		const size_t mid = low + (high - low) / 2;
		const int of_kind = cv_str_cmp(m->v[mid].kind, kind);
		const int order = of_kind ? of_kind : cv_str_cmp(m->v[mid].key, key);

		if (order == 0) {
			*ret_is_there = true;
			return mid;
		}
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static cv_code memory_read(struct cv_store *s, struct cv_str kind, struct cv_str key,
	uint64_t offset, size_t n, struct cv_buf *ret, uint64_t *ret_version, struct cv_err *err)
{
	const struct memory *m = (const struct memory *)s;
	bool is_there;
	const size_t i = seek(m, kind, key, &is_there);

	if (!is_there)
		return store_not_found(kind, key, err);
	const struct cv_str value = m->v[i].value;
	const size_t from = (size_t)CV_MIN(offset, (uint64_t)value.n);
	const size_t to = n < value.n - from ? from + n : value.n;
	if (!cv_buf_put(ret, cv_str_slice(value, from, to)))
		return cv_fail(err, CV_LIMIT, "no room for %zu bytes", value.n);
	if (ret_version)
		*ret_version = m->v[i].version;
	return CV_OK;
}

static bool item_fill(struct item *x, struct cv_str kind, struct cv_str key, struct cv_str value,
	uint64_t version)
{
	char *text = malloc(kind.n + key.n + value.n + 3);

	if (!text)
		return false;
	memcpy(text, kind.p, kind.n);
	text[kind.n] = 0;
	memcpy(text + kind.n + 1, key.p, key.n);
	text[kind.n + 1 + key.n] = 0;
	if (value.n)
		memcpy(text + kind.n + key.n + 2, value.p, value.n);
	*x = (struct item){
		.text = text,
		.kind = { text, kind.n },
		.key = { text + kind.n + 1, key.n },
		.value = { text + kind.n + key.n + 2, value.n },
		.version = version,
	};
	return true;
}

/* Room for one more item, and for what undoes one change. */
static cv_code room_make(struct memory *m, struct cv_err *err)
{
	if (m->n == m->cap) {
		const size_t cap = m->cap ? m->cap * 2 : 64;
		struct item *v = realloc(m->v, cap * sizeof(*v));

		if (!v)
			return cv_fail(err, CV_LIMIT, "no memory for a record");
		m->v = v;
		m->cap = cap;
	}
	if (m->is_in_transaction && m->undo_count == m->undo_cap) {
		const size_t cap = m->undo_cap ? m->undo_cap * 2 : 16;
		struct undo *u = realloc(m->undo, cap * sizeof(*u));

		if (!u)
			return cv_fail(err, CV_LIMIT, "no memory for a record");
		m->undo = u;
		m->undo_cap = cap;
	}
	return CV_OK;
}

static void item_insert(struct memory *m, size_t at, const struct item *x)
{
	memmove(m->v + at + 1, m->v + at, (m->n - at) * sizeof(*m->v));
	m->v[at] = *x;
	m->n++;
}

static void item_take_out(struct memory *m, size_t at)
{
	m->n--;
	memmove(m->v + at, m->v + at + 1, (m->n - at) * sizeof(*m->v));
}

/* The old item is kept for a way back, or freed. */
static void changed(struct memory *m, const struct undo *u)
{
	if (m->is_in_transaction)
		m->undo[m->undo_count++] = *u;
	else if (u->was_there)
		free(u->old.text);
}

static void store_at(struct memory *m, size_t at, bool is_there, const struct item *x)
{
	const struct undo u = { .at = at,
		.was_there = is_there,
		.is_there = true,
		.old = is_there ? m->v[at] : (struct item){ 0 } };

	if (is_there)
		m->v[at] = *x;
	else
		item_insert(m, at, x);
	changed(m, &u);
}

static void remove_at(struct memory *m, size_t at)
{
	const struct undo u = { .at = at, .was_there = true, .old = m->v[at] };

	item_take_out(m, at);
	changed(m, &u);
}

static cv_code memory_put(struct cv_store *s, struct cv_str kind, struct cv_str key,
	struct cv_str value, uint64_t expected, uint64_t *ret_version, struct cv_err *err)
{
	struct memory *m = (struct memory *)s;
	bool is_there;
	const size_t i = seek(m, kind, key, &is_there);
	const uint64_t now = is_there ? m->v[i].version : 0;
	struct item x;

	if (expected != CV_STORE_ANY && expected != now)
		return store_late(kind, key, err);
	if (room_make(m, err) != CV_OK)
		return CV_LIMIT;
	if (!item_fill(&x, kind, key, value, now + 1))
		return cv_fail(err, CV_LIMIT, "no memory for a record");
	store_at(m, i, is_there, &x);
	if (ret_version)
		*ret_version = x.version;
	return CV_OK;
}

static cv_code memory_remove(struct cv_store *s, struct cv_str kind, struct cv_str key,
	uint64_t expected, struct cv_err *err)
{
	struct memory *m = (struct memory *)s;
	bool is_there;
	const size_t i = seek(m, kind, key, &is_there);

	if (!is_there)
		return store_not_found(kind, key, err);
	if (expected != CV_STORE_ANY && expected != m->v[i].version)
		return store_late(kind, key, err);
	if (room_make(m, err) != CV_OK)
		return CV_LIMIT;
	remove_at(m, i);
	return CV_OK;
}

static cv_code memory_begin(struct cv_store *s, struct cv_err *err)
{
	struct memory *m = (struct memory *)s;

	(void)err;
	m->is_in_transaction = true;
	m->undo_count = m->mark = 0;
	return CV_OK;
}

static void go_back(struct memory *m, size_t to)
{
	while (m->undo_count > to) {
		const struct undo *u = &m->undo[--m->undo_count];

		if (u->is_there)
			free(m->v[u->at].text);
		if (u->is_there && u->was_there)
			m->v[u->at] = u->old;
		else if (u->is_there)
			item_take_out(m, u->at);
		else
			item_insert(m, u->at, &u->old); /* removing left room for it */
	}
}

static cv_code memory_end(struct cv_store *s, bool is_kept, struct cv_err *err)
{
	struct memory *m = (struct memory *)s;

	(void)err;
	if (!is_kept)
		go_back(m, 0);
	for (size_t i = 0; i < m->undo_count; i++)
		free(m->undo[i].old.text);
	m->undo_count = 0;
	m->is_in_transaction = false;
	return CV_OK;
}

static cv_code memory_mark(struct cv_store *s, enum store_mark what, struct cv_err *err)
{
	struct memory *m = (struct memory *)s;

	(void)err;
	if (what == STORE_MARK_SET)
		m->mark = m->undo_count;
	else if (what == STORE_MARK_BACK)
		go_back(m, m->mark);
	return CV_OK;
}

static cv_code memory_clear(struct cv_store *s, struct cv_err *err)
{
	struct memory *m = (struct memory *)s;

	while (m->n) {
		if (room_make(m, err) != CV_OK)
			return CV_LIMIT;
		remove_at(m, m->n - 1);
	}
	return CV_OK;
}

static cv_code memory_fill(
	struct cv_store *s, struct cv_str kind, const struct cv_record *r, struct cv_err *err)
{
	struct memory *m = (struct memory *)s;
	bool is_there;
	const size_t i = seek(m, kind, r->key, &is_there);
	struct item x;

	if (room_make(m, err) != CV_OK)
		return CV_LIMIT;
	if (!item_fill(&x, kind, r->key, r->value, r->version))
		return cv_fail(err, CV_LIMIT, "no memory for a record");
	store_at(m, i, is_there, &x);
	return CV_OK;
}

static cv_code memory_list(struct cv_store *s, struct cv_str kind, struct cv_str prefix,
	struct cv_str after, size_t limit, store_each_fn *each, void *arg, struct cv_err *err)
{
	const struct memory *m = (const struct memory *)s;
	const bool is_after = cv_str_cmp(after, prefix) >= 0 && after.n;
	bool is_there;
	size_t i = seek(m, kind, is_after ? after : prefix, &is_there);

	(void)err;
	(void)limit;
	for (i += is_after && is_there; i < m->n; i++) {
		const struct item *x = &m->v[i];
		const struct cv_record r = { x->key, x->value, x->version };

		if (!cv_str_eq(x->kind, kind) || !cv_str_has_prefix(x->key, prefix))
			break;
		if (!each(arg, kind, &r))
			break;
	}
	return CV_OK;
}

static cv_code memory_all(struct cv_store *s, store_each_fn *each, void *arg, struct cv_err *err)
{
	const struct memory *m = (const struct memory *)s;

	(void)err;
	for (size_t i = 0; i < m->n; i++) {
		const struct item *x = &m->v[i];
		const struct cv_record r = { x->key, x->value, x->version };

		if (!each(arg, x->kind, &r))
			break;
	}
	return CV_OK;
}

static void memory_close(struct cv_store *s)
{
	struct memory *m = (struct memory *)s;

	for (size_t i = 0; i < m->n; i++)
		free(m->v[i].text);
	free(m->v);
	free(m->undo);
	free(m);
}

static const struct store_ops memory_ops = {
	.close = memory_close,
	.read = memory_read,
	.put = memory_put,
	.remove = memory_remove,
	.list = memory_list,
	.begin = memory_begin,
	.end = memory_end,
	.mark = memory_mark,
	.all = memory_all,
	.clear = memory_clear,
	.fill = memory_fill,
};

cv_code cv_store_open_memory(struct cv_store **ret, struct cv_err *err)
{
	struct memory *m = calloc(1, sizeof(*m));

	if (!m)
		return cv_fail(err, CV_LIMIT, "no memory for a store");
	m->store.ops = &memory_ops;
	*ret = &m->store;
	return CV_OK;
}
