/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory.c - a store that ends with its process: an array in the order of kinds and keys
 */
#include "store/store_int.h"

#include <stdlib.h>
#include <string.h>

struct item {
	char *text; /* kind, NUL, key, NUL, value */
	struct cv_str kind, key, value;
	uint64_t version;
};

struct memory {
	struct cv_store store;
	struct item *v;
	size_t n, cap;
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

static cv_code not_found(struct cv_str kind, struct cv_str key, struct cv_err *err)
{
	return cv_fail(err, CV_NOT_FOUND, "no %.*s %.*s", CV_STR_ARG(kind), CV_STR_ARG(key));
}

static cv_code late(struct cv_str kind, struct cv_str key, struct cv_err *err)
{
	return cv_fail(err, CV_DENIED, "%.*s %.*s was written in between", CV_STR_ARG(kind),
		CV_STR_ARG(key));
}

static cv_code memory_read(struct cv_store *s, struct cv_str kind, struct cv_str key,
	uint64_t offset, size_t n, struct cv_buf *ret, uint64_t *ret_version, struct cv_err *err)
{
	const struct memory *m = (const struct memory *)s;
	bool is_there;
	const size_t i = seek(m, kind, key, &is_there);

	if (!is_there)
		return not_found(kind, key, err);
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

static cv_code memory_put(struct cv_store *s, struct cv_str kind, struct cv_str key,
	struct cv_str value, uint64_t expected, uint64_t *ret_version, struct cv_err *err)
{
	struct memory *m = (struct memory *)s;
	bool is_there;
	const size_t i = seek(m, kind, key, &is_there);
	const uint64_t now = is_there ? m->v[i].version : 0;
	struct item x;

	if (expected != CV_STORE_ANY && expected != now)
		return late(kind, key, err);
	if (!is_there && m->n == m->cap) {
		const size_t cap = m->cap ? m->cap * 2 : 64;
		struct item *v = realloc(m->v, cap * sizeof(*v));

		if (!v)
			return cv_fail(err, CV_LIMIT, "no memory for a record");
		m->v = v;
		m->cap = cap;
	}
	if (!item_fill(&x, kind, key, value, now + 1))
		return cv_fail(err, CV_LIMIT, "no memory for a record");
	if (is_there) {
		free(m->v[i].text);
	} else {
		memmove(m->v + i + 1, m->v + i, (m->n - i) * sizeof(*m->v));
		m->n++;
	}
	m->v[i] = x;
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
		return not_found(kind, key, err);
	if (expected != CV_STORE_ANY && expected != m->v[i].version)
		return late(kind, key, err);
	free(m->v[i].text);
	m->n--;
	memmove(m->v + i, m->v + i + 1, (m->n - i) * sizeof(*m->v));
	return CV_OK;
}

static cv_code memory_list(struct cv_store *s, struct cv_str kind, struct cv_str prefix,
	bool (*each)(void *arg, const struct cv_record *r), void *arg, struct cv_err *err)
{
	const struct memory *m = (const struct memory *)s;
	bool is_there;

	(void)err;
	for (size_t i = seek(m, kind, prefix, &is_there); i < m->n; i++) {
		const struct item *x = &m->v[i];
		const struct cv_record r = { x->key, x->value, x->version };

		if (!cv_str_eq(x->kind, kind) || !cv_str_has_prefix(x->key, prefix))
			break;
		if (!each(arg, &r))
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
	free(m);
}

static const struct store_ops memory_ops = {
	.close = memory_close,
	.read = memory_read,
	.put = memory_put,
	.remove = memory_remove,
	.list = memory_list,
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
