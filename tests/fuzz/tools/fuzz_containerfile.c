/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_containerfile.c - any bytes as a Containerfile, and each image that it names as a reference
 */
#include "fuzz/fuzz.h"

#include "base/assert.h"
#include "tools/containerfile.h"
#include "tools/image_ref.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct cv_containerfile_arg given = { CV_STR("A"), CV_STR("debian") };
	struct cv_containerfile c;
	struct cv_image_ref ref;
	struct cv_arena arena;
	struct cv_err err;

	cv_arena_init(&arena, 1 << 20);
	if (cv_containerfile_read((struct cv_str){ (const char *)data, size }, &given, 1, &arena,
		    &c, &err) == CV_OK) {
		cv_assert(c.stage_count > 0);
		for (size_t i = 0; i < c.image_count; i++)
			if (cv_image_ref_parse(c.image[i], &ref))
				cv_assert(cv_image_ref_whole(&ref, &arena).p && ref.path.n);
	}
	cv_arena_fini(&arena);
	return 0;
}
