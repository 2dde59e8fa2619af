/* SPDX-License-Identifier: Apache-2.0 */
/* Archives of a stranger's, in two pieces: the same calls as in one, and names within their limit. */
#include "fuzz/fuzz.h"

#include "client/tar.c"

#include "base/assert.h"

static uint64_t digest;

static cv_code on_entry(void *arg, const struct cl_tar_entry *e, struct cv_err *err)
{
	(void)arg;
	(void)err;
	cv_assert(e->name.n <= CL_TAR_NAME_MAX && e->link.n <= CL_TAR_NAME_MAX);
	digest = digest * 31 + e->name.n + e->size;
	return CV_OK;
}

static cv_code on_bytes(void *arg, struct cv_str bytes, struct cv_err *err)
{
	(void)arg;
	(void)err;
	for (size_t i = 0; i < bytes.n; i++)
		digest = digest * 31 + (unsigned char)bytes.p[i];
	return CV_OK;
}

static cv_code on_done(void *arg, struct cv_err *err)
{
	(void)arg;
	(void)err;
	digest = digest * 31 + 7;
	return CV_OK;
}

static cv_code read_all(struct cv_str s, size_t cut)
{
	static const struct cl_tar_events events = { on_entry, on_bytes, on_done };
	struct cl_tar_reader r;
	struct cv_err err;

	digest = 1;
	cl_tar_reader_init(&r, &events, NULL);
	cv_code code = cl_tar_read(&r, cv_str_slice(s, 0, cut), &err);
	if (code == CV_OK)
		code = cl_tar_read(&r, cv_str_slice(s, cut, s.n), &err);
	if (code == CV_OK)
		code = cl_tar_finish(&r, &err);
	cl_tar_reader_fini(&r);
	return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct cv_str s = { (const char *)data, size };
	const cv_code code = read_all(s, size);
	const uint64_t whole = digest;

	cv_assert(read_all(s, size / 3) == code);
	cv_assert(digest == whole);
	return 0;
}
