/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tar.c - heads of archives
 *
 * A head is a block of 512 bytes with fields at fixed places (pax(1), "ustar Interchange Format");
 * numbers are octal text, or, in GNU's archives, base 256 behind a set bit.
 */
#include "client/tar.h"

#include <string.h>

enum { /* places of fields, and their lengths */
	AT_NAME = 0,
	AT_MODE = 100,
	AT_UID = 108,
	AT_GID = 116,
	AT_SIZE = 124,
	AT_MTIME = 136,
	AT_SUM = 148,
	AT_TYPE = 156,
	AT_LINK = 157,
	AT_MAGIC = 257,
	AT_PREFIX = 345,
	NAME_BYTES = 100,
	PREFIX_BYTES = 155,
	NUMBER_BYTES = 8,
	SIZE_BYTES = 12
};

#define SIZE_OCTAL_MAX 077777777777ull /* of eleven digits */

/* ---- write ---- */

static void octal_put(unsigned char *field, size_t bytes, uint64_t v)
{
	for (size_t i = bytes - 1; i-- > 0; v >>= 3)
		field[i] = (unsigned char)('0' + (v & 7));
	field[bytes - 1] = '\0';
}

static void head_put(struct cv_buf *out, char type, struct cv_str name, struct cv_str link,
	const struct cl_tar_entry *e, uint64_t size)
{
	unsigned char h[CL_TAR_BLOCK] = { 0 };
	uint32_t sum = 0;

	memcpy(h + AT_NAME, name.p, CV_MIN(name.n, NAME_BYTES));
	if (link.n)
		memcpy(h + AT_LINK, link.p, CV_MIN(link.n, NAME_BYTES));
	octal_put(h + AT_MODE, NUMBER_BYTES, e->mode & 07777);
	octal_put(h + AT_UID, NUMBER_BYTES, 0);
	octal_put(h + AT_GID, NUMBER_BYTES, 0);
	octal_put(h + AT_SIZE, SIZE_BYTES, CV_MIN(size, SIZE_OCTAL_MAX));
	octal_put(h + AT_MTIME, SIZE_BYTES, e->mtime_s > 0 ? (uint64_t)e->mtime_s : 0);
	h[AT_TYPE] = (unsigned char)type;
	memcpy(h + AT_MAGIC, "ustar\00000", 8);
	memset(h + AT_SUM, ' ', NUMBER_BYTES);
	for (size_t i = 0; i < sizeof(h); i++)
		sum += h[i];
	octal_put(h + AT_SUM, NUMBER_BYTES - 1, sum);
	cv_buf_put(out, (struct cv_str){ (const char *)h, sizeof(h) });
}

static size_t digits_of(size_t v)
{
	size_t n = 1;

	while (v /= 10)
		n++;
	return n;
}

/* "LENGTH KEY=VALUE\n", whose length counts its own digits. */
static void record_put(struct cv_buf *out, const char *key, struct cv_str value)
{
	const size_t rest = strlen(key) + value.n + 3;
	size_t n = rest + 1;

	while (rest + digits_of(n) != n)
		n = rest + digits_of(n);
	cv_buf_printf(out, "%zu %s=", n, key);
	cv_buf_put(out, value);
	cv_buf_put_byte(out, '\n');
}

void cl_tar_pad(struct cv_buf *out, uint64_t size)
{
	for (uint64_t n = size; n % CL_TAR_BLOCK; n++)
		cv_buf_put_byte(out, '\0');
}

void cl_tar_end(struct cv_buf *out)
{
	for (size_t i = 0; i < 2 * CL_TAR_BLOCK; i++)
		cv_buf_put_byte(out, '\0');
}

void cl_tar_head(struct cv_buf *out, const struct cl_tar_entry *e)
{
	struct cv_buf extra, size;

	cv_buf_init(&extra, CL_TAR_EXTRA_MAX);
	cv_buf_init(&size, 32);
	if (e->name.n > NAME_BYTES)
		record_put(&extra, "path", e->name);
	if (e->link.n > NAME_BYTES)
		record_put(&extra, "linkpath", e->link);
	if (e->size > SIZE_OCTAL_MAX) {
		cv_buf_put_u64(&size, e->size);
		record_put(&extra, "size", cv_buf_str(&size));
	}
	if (cv_buf_len(&extra)) {
		head_put(out, 'x', CV_STR("PaxHeaders/entry"), CV_STR_NONE, e, cv_buf_len(&extra));
		cv_buf_put(out, cv_buf_str(&extra));
		cl_tar_pad(out, cv_buf_len(&extra));
	}
	head_put(out, e->type, e->name, e->link, e, e->size);
	cv_buf_fini(&size);
	cv_buf_fini(&extra);
}

/* ---- read ---- */

void cl_tar_reader_init(struct cl_tar_reader *r, const struct cl_tar_events *events, void *arg)
{
	*r = (struct cl_tar_reader){ .events = events, .arg = arg, .is_between = true };
	cv_buf_init(&r->extra, CL_TAR_EXTRA_MAX);
	cv_buf_init(&r->name, CL_TAR_NAME_MAX);
	cv_buf_init(&r->link, CL_TAR_NAME_MAX);
}

void cl_tar_reader_fini(struct cl_tar_reader *r)
{
	cv_buf_fini(&r->extra);
	cv_buf_fini(&r->name);
	cv_buf_fini(&r->link);
}

static bool number_get(const unsigned char *field, size_t bytes, uint64_t *ret)
{
	uint64_t v = 0;
	size_t i = 0;

	if (field[0] & 0x80) { /* base 256; the first byte has seven bits of it */
		v = field[0] & 0x7f;
		if (v & 0x40)
			return false; /* negative */
		for (i = 1; i < bytes; i++) {
			if (v >> 55)
				return false;
			v = v << 8 | field[i];
		}
		*ret = v;
		return true;
	}
	while (i < bytes && field[i] == ' ')
		i++;
	for (; i < bytes && field[i] >= '0' && field[i] <= '7'; i++)
		v = v << 3 | (uint64_t)(field[i] - '0');
	if (i < bytes && field[i] != '\0' && field[i] != ' ')
		return false;
	*ret = v;
	return true;
}

static struct cv_str text_get(const unsigned char *field, size_t bytes)
{
	return (struct cv_str){ (const char *)field, strnlen((const char *)field, bytes) };
}

static bool sum_is_right(const unsigned char *h)
{
	uint64_t want, sum = 0;

	if (!number_get(h + AT_SUM, NUMBER_BYTES, &want))
		return false;
	for (size_t i = 0; i < CL_TAR_BLOCK; i++)
		sum += i >= AT_SUM && i < AT_SUM + NUMBER_BYTES ? ' ' : h[i];
	return sum == want;
}

static cv_code records_read(struct cl_tar_reader *r, struct cv_err *err)
{
	struct cv_str rest = cv_buf_str(&r->extra);

	while (rest.n) {
		uint64_t n;
		struct cv_str whole = rest;
		const struct cv_str length = cv_str_cut(&rest, ' ');

		if (!rest.p || !cv_str_to_u64(length, whole.n, &n) || n <= length.n + 2 ||
			whole.p[n - 1] != '\n')
			return cv_fail(err, CV_PROTO, "archive: an extended head is broken");
		struct cv_str value = cv_str_slice(whole, length.n + 1, n - 1);
		const struct cv_str key = cv_str_cut(&value, '=');
		rest = cv_str_slice(whole, n, whole.n);
		if (cv_str_eq(key, CV_STR("path"))) {
			cv_buf_reset(&r->name);
			cv_buf_put(&r->name, value);
		} else if (cv_str_eq(key, CV_STR("linkpath"))) {
			cv_buf_reset(&r->link);
			cv_buf_put(&r->link, value);
		} else if (cv_str_eq(key, CV_STR("size"))) {
			r->has_size = cv_str_to_u64(value, INT64_MAX, &r->size);
		}
	}
	return CV_OK;
}

static cv_code extra_done(struct cl_tar_reader *r, struct cv_err *err)
{
	const char type = r->pending;
	cv_code code = CV_OK;

	r->pending = 0;
	if (r->extra.is_overflown)
		return cv_fail(err, CV_LIMIT, "archive: an extended head is too long");
	if (type == 'x')
		code = records_read(r, err);
	if (type == 'L' || type == 'K') {
		struct cv_buf *to = type == 'L' ? &r->name : &r->link;
		const struct cv_str s = cv_buf_str(&r->extra);

		cv_buf_reset(to);
		cv_buf_put(to, cv_str_slice(s, 0, cv_str_find_byte(s, '\0')));
	}
	cv_buf_reset(&r->extra);
	if (r->name.is_overflown || r->link.is_overflown)
		return cv_fail(err, CV_LIMIT, "archive: a name is too long");
	return code;
}

static cv_code entry_begin(struct cl_tar_reader *r, struct cv_err *err)
{
	const unsigned char *h = r->head;
	struct cl_tar_entry e = { .type = h[AT_TYPE] ? (char)h[AT_TYPE] : CL_TAR_FILE };
	uint64_t mode = 0, mtime = 0;

	if (!number_get(h + AT_MODE, NUMBER_BYTES, &mode) ||
		!number_get(h + AT_MTIME, SIZE_BYTES, &mtime))
		return cv_fail(err, CV_PROTO, "archive: a head is broken");
	if (!cv_buf_len(&r->name)) {
		const struct cv_str prefix = text_get(h + AT_PREFIX, PREFIX_BYTES);

		/* GNU's heads have other things there, and another magic */
		if (memcmp(h + AT_MAGIC, "ustar\0", 6) == 0 && prefix.n) {
			cv_buf_put(&r->name, prefix);
			cv_buf_put_byte(&r->name, '/');
		}
		cv_buf_put(&r->name, text_get(h + AT_NAME, NAME_BYTES));
	}
	if (!cv_buf_len(&r->link))
		cv_buf_put(&r->link, text_get(h + AT_LINK, NAME_BYTES));
	if (r->has_size)
		r->left = r->size;
	e.name = cv_buf_str(&r->name);
	e.link = cv_buf_str(&r->link);
	if (e.name.n && e.name.p[e.name.n - 1] == '/' && e.type == CL_TAR_FILE)
		e.type = CL_TAR_DIR; /* before ustar */
	e.mode = (uint32_t)(mode & 07777);
	e.mtime_s = (int64_t)CV_MIN(mtime, (uint64_t)INT64_MAX);
	if (e.type == CL_TAR_LINK || e.type == CL_TAR_HARD || e.type == CL_TAR_DIR)
		r->left = 0;
	e.size = r->left;
	r->padding = (uint32_t)((CL_TAR_BLOCK - r->left % CL_TAR_BLOCK) % CL_TAR_BLOCK);
	const cv_code code = r->events->entry(r->arg, &e, err);
	cv_buf_reset(&r->name);
	cv_buf_reset(&r->link);
	r->has_size = false;
	return code;
}

static cv_code head_done(struct cl_tar_reader *r, struct cv_err *err)
{
	static const unsigned char empty[CL_TAR_BLOCK];

	r->head_n = 0;
	if (memcmp(r->head, empty, sizeof(empty)) == 0) {
		r->is_ended = true;
		return CV_OK;
	}
	if (!sum_is_right(r->head) || !number_get(r->head + AT_SIZE, SIZE_BYTES, &r->left) ||
		r->left > INT64_MAX)
		return cv_fail(err, CV_PROTO, "archive: a head is broken");
	r->is_between = false;
	const char type = (char)r->head[AT_TYPE];
	if (type == 'x' || type == 'g' || type == 'L' || type == 'K') {
		r->pending = type;
		r->padding = (uint32_t)((CL_TAR_BLOCK - r->left % CL_TAR_BLOCK) % CL_TAR_BLOCK);
		return CV_OK;
	}
	return entry_begin(r, err);
}

/* The bytes of an entry, or of an extended head, that are there. */
static cv_code bytes_take(struct cl_tar_reader *r, struct cv_str *bytes, struct cv_err *err)
{
	const struct cv_str part = cv_str_slice(*bytes, 0, (size_t)CV_MIN(r->left, bytes->n));

	*bytes = cv_str_slice(*bytes, part.n, bytes->n);
	r->left -= part.n;
	if (!r->pending)
		return r->events->bytes(r->arg, part, err);
	cv_buf_put(&r->extra, part);
	return CV_OK;
}

static cv_code block_end(struct cl_tar_reader *r, struct cv_err *err)
{
	const bool was_extra = r->pending != 0;

	r->is_between = !was_extra;
	return was_extra ? extra_done(r, err) : r->events->done(r->arg, err);
}

cv_code cl_tar_read(struct cl_tar_reader *r, struct cv_str bytes, struct cv_err *err)
{
	cv_code code = CV_OK;

	while (bytes.n && !r->is_ended && code == CV_OK) {
		if (r->left) {
			code = bytes_take(r, &bytes, err);
			if (code == CV_OK && !r->left && !r->padding)
				code = block_end(r, err);
		} else if (r->padding) {
			const size_t n = CV_MIN(bytes.n, r->padding);

			bytes = cv_str_slice(bytes, n, bytes.n);
			r->padding -= (uint32_t)n;
			if (!r->padding)
				code = block_end(r, err);
		} else {
			const size_t n = CV_MIN(bytes.n, CL_TAR_BLOCK - r->head_n);

			memcpy(r->head + r->head_n, bytes.p, n);
			r->head_n += n;
			bytes = cv_str_slice(bytes, n, bytes.n);
			if (r->head_n == CL_TAR_BLOCK) {
				code = head_done(r, err);
				if (code == CV_OK && !r->is_ended && !r->left && !r->padding)
					code = block_end(r, err);
			}
		}
	}
	return code;
}

cv_code cl_tar_finish(const struct cl_tar_reader *r, struct cv_err *err)
{
	if (r->is_ended || (r->is_between && !r->head_n))
		return CV_OK;
	return cv_fail(err, CV_PROTO, "the archive is cut off");
}
