/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_int.h - what an implementation of a store provides
 */
#pragma once
#include "store/store.h"

/* As in store.h; keys and values were checked. */
struct store_ops {
	void (*close)(struct cv_store *s);
	cv_code (*read)(struct cv_store *s, struct cv_str kind, struct cv_str key, uint64_t offset,
		size_t n, struct cv_buf *ret, uint64_t *ret_version, struct cv_err *err);
	cv_code (*put)(struct cv_store *s, struct cv_str kind, struct cv_str key,
		struct cv_str value, uint64_t expected, uint64_t *ret_version, struct cv_err *err);
	cv_code (*remove)(struct cv_store *s, struct cv_str kind, struct cv_str key,
		uint64_t expected, struct cv_err *err);
	cv_code (*list)(struct cv_store *s, struct cv_str kind, struct cv_str prefix,
		bool (*each)(void *arg, const struct cv_record *r), void *arg, struct cv_err *err);
};

struct cv_store { /* the first member of each implementation */
	const struct store_ops *ops;
};
