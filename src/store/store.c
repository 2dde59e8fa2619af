/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store.c - what all implementations have in common: what they are asked is checked here
 */
#include "store/store_int.h"

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

void cv_store_close(struct cv_store *s)
{
	if (s)
		s->ops->close(s);
}

cv_code cv_store_get(struct cv_store *s, struct cv_str kind, struct cv_str key,
	struct cv_buf *ret_value, uint64_t *ret_version, struct cv_err *err)
{
	const cv_code code = store_key_check(kind, key, err);

	return code == CV_OK ? s->ops->read(s, kind, key, 0, SIZE_MAX, ret_value, ret_version, err)
			     : code;
}

cv_code cv_store_read(struct cv_store *s, struct cv_str kind, struct cv_str key, uint64_t offset,
	size_t n, struct cv_buf *ret_bytes, struct cv_err *err)
{
	const cv_code code = store_key_check(kind, key, err);

	return code == CV_OK ? s->ops->read(s, kind, key, offset, n, ret_bytes, NULL, err) : code;
}

cv_code cv_store_put(struct cv_store *s, struct cv_str kind, struct cv_str key, struct cv_str value,
	uint64_t expected, uint64_t *ret_version, struct cv_err *err)
{
	const cv_code code = store_key_check(kind, key, err);

	if (code != CV_OK)
		return code;
	if (value.n > CV_STORE_VALUE_BYTES_MAX)
		return cv_fail(err, CV_LIMIT, "a record of %zu bytes", value.n);
	return s->ops->put(s, kind, key, value, expected, ret_version, err);
}

cv_code cv_store_delete(struct cv_store *s, struct cv_str kind, struct cv_str key,
	uint64_t expected, struct cv_err *err)
{
	const cv_code code = store_key_check(kind, key, err);

	return code == CV_OK ? s->ops->remove(s, kind, key, expected, err) : code;
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

	if (prefix.n > CV_STORE_KEY_BYTES_MAX || after.n > CV_STORE_KEY_BYTES_MAX)
		return cv_fail(err, CV_LIMIT, "a key of %zu bytes", CV_MAX(prefix.n, after.n));
	return s->ops->list(s, kind, prefix, after, limit, page_each, &p, err);
}

cv_code cv_store_list(struct cv_store *s, struct cv_str kind, struct cv_str prefix,
	bool (*each)(void *arg, const struct cv_record *r), void *arg, struct cv_err *err)
{
	return cv_store_page(s, kind, prefix, CV_STR_NONE, 0, each, arg, err);
}
