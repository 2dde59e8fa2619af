/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store.c - what all implementations have in common: what they are asked is checked here
 */
#include "store/store_int.h"

#include "sys/clock.h"

cv_code store_key_check(struct cv_str kind, struct cv_str key, struct cv_err *err)
{
	if (!kind.n || !key.n || kind.n > CV_STORE_KEY_BYTES_MAX || key.n > CV_STORE_KEY_BYTES_MAX)
		return cv_fail(err, CV_LIMIT, "a key of %zu bytes", key.n);
	if (cv_str_has_byte(kind, 0) || cv_str_has_byte(key, 0))
		return cv_fail(err, CV_INVALID, "a key with a NUL");
	return CV_OK;
}

cv_code store_not_found(struct cv_str kind, struct cv_str key, struct cv_err *err)
{
	return cv_fail(err, CV_NOT_FOUND, "no %.*s %.*s", CV_STR_ARG(kind), CV_STR_ARG(key));
}

cv_code store_late(struct cv_str kind, struct cv_str key, struct cv_err *err)
{
	return cv_fail(err, CV_DENIED, "%.*s %.*s was written in between", CV_STR_ARG(kind),
		CV_STR_ARG(key));
}

void cv_store_observe(
	struct cv_store *s, void (*seen)(void *arg, const struct cv_store_event *e), void *arg)
{
	s->seen = seen;
	s->seen_arg = arg;
}

int64_t store_clock_us(const struct cv_store *s)
{
	return s->seen ? cv_clock_us() : 0;
}

cv_code store_seen(const struct cv_store *s, struct cv_store_event e, int64_t began_us)
{
	e.us = store_clock_us(s) - began_us;
	if (s->seen)
		s->seen(s->seen_arg, &e);
	return e.code;
}

#define SEEN(s, name, code, began) \
	store_seen(s, (struct cv_store_event){ name, code, 0, 0, 0 }, began)

void cv_store_close(struct cv_store *s)
{
	if (s)
		s->ops->close(s);
}

cv_code cv_store_claim(struct cv_store *s, struct cv_err *err)
{
	return s->ops->claim ? s->ops->claim(s, err) : CV_OK;
}

cv_code cv_store_get(struct cv_store *s, struct cv_str kind, struct cv_str key,
	struct cv_buf *ret_value, uint64_t *ret_version, struct cv_err *err)
{
	const cv_code code = store_key_check(kind, key, err);
	const int64_t began = store_clock_us(s);

	if (code != CV_OK)
		return code;
	return SEEN(s, "get", s->ops->read(s, kind, key, 0, SIZE_MAX, ret_value, ret_version, err),
		began);
}

cv_code cv_store_read(struct cv_store *s, struct cv_str kind, struct cv_str key, uint64_t offset,
	size_t n, struct cv_buf *ret_bytes, struct cv_err *err)
{
	const cv_code code = store_key_check(kind, key, err);
	const int64_t began = store_clock_us(s);

	if (code != CV_OK)
		return code;
	return SEEN(s, "get", s->ops->read(s, kind, key, offset, n, ret_bytes, NULL, err), began);
}

cv_code cv_store_put(struct cv_store *s, struct cv_str kind, struct cv_str key, struct cv_str value,
	uint64_t expected, uint64_t *ret_version, struct cv_err *err)
{
	const cv_code code = store_key_check(kind, key, err);
	const int64_t began = store_clock_us(s);

	if (code != CV_OK)
		return code;
	if (value.n > CV_STORE_VALUE_BYTES_MAX)
		return cv_fail(err, CV_LIMIT, "a record of %zu bytes", value.n);
	return SEEN(s, "put", s->ops->put(s, kind, key, value, expected, ret_version, err), began);
}

cv_code cv_store_delete(struct cv_store *s, struct cv_str kind, struct cv_str key,
	uint64_t expected, struct cv_err *err)
{
	const cv_code code = store_key_check(kind, key, err);
	const int64_t began = store_clock_us(s);

	if (code != CV_OK)
		return code;
	return SEEN(s, "delete", s->ops->remove(s, kind, key, expected, err), began);
}

struct page {
	bool (*each)(void *arg, const struct cv_record *r);
	void *arg;
	size_t left; /* 0: no end */
};

static bool page_each(void *arg, struct cv_str kind, const struct cv_record *r)
{
	struct page *p = arg;

	(void)kind;
	return p->each(p->arg, r) && (p->left == 0 || --p->left > 0);
}

cv_code cv_store_page(struct cv_store *s, struct cv_str kind, struct cv_str prefix,
	struct cv_str after, size_t limit, bool (*each)(void *arg, const struct cv_record *r),
	void *arg, struct cv_err *err)
{
	struct page p = { each, arg, limit };
	const int64_t began = store_clock_us(s);

	if (prefix.n > CV_STORE_KEY_BYTES_MAX || after.n > CV_STORE_KEY_BYTES_MAX)
		return cv_fail(err, CV_LIMIT, "a key of %zu bytes", CV_MAX(prefix.n, after.n));
	return SEEN(
		s, "list", s->ops->list(s, kind, prefix, after, limit, page_each, &p, err), began);
}

cv_code cv_store_list(struct cv_store *s, struct cv_str kind, struct cv_str prefix,
	bool (*each)(void *arg, const struct cv_record *r), void *arg, struct cv_err *err)
{
	return cv_store_page(s, kind, prefix, CV_STR_NONE, 0, each, arg, err);
}
