/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which images a Containerfile builds on: found all, or refused with the line.
 */
#include "unit/test.h"

#include "../../../src/tools/containerfile.c"

static const struct cv_containerfile_arg given[] = { { CV_STR("BASE"), CV_STR("given:1") } };

static const struct {
	const char *text, *images; /* with blanks between */
	const char *wrong;         /* a part of the message */
} row[] = {
	{ "FROM scratch\n", "", NULL },
	{ "from debian AS a\nFROM a\nCOPY --from=a /x /y\nCOPY --from=0 x y\n", "debian", NULL },
	{ "FROM debian\r\nRUN true\r\n", "debian", NULL },
	{ "\xef\xbb\xbf"
	  "FROM debian",
		"debian", NULL },
	{ "FROM debian\nFROM debian\nFROM other:1\n", "debian other:1", NULL },
	{ "# a comment\n\nFROM \\\n# between\n\n  debian\n", "debian", NULL },
	{ "# escape=`\nFROM `\ndebian\nRUN a \\\nFROM other\n", "debian other", NULL },
	{ "RUN \\\nFROM hidden\nFROM debian\n", "debian", NULL },
	{ "ARG V=12\nFROM debian:$V\nFROM debian:${V}-slim\n", "debian:12 debian:12-slim", NULL },
	{ "ARG V\nFROM debian:${V:-13}\n", "debian:13", NULL },
	{ "ARG A=x B=\"y\"\nFROM $A/$B\n", "x/y", NULL },
	{ "ARG BASE=default\nFROM $BASE\n", "given:1", NULL },
	{ "ARG BASE\nFROM $BASE\n", "given:1", NULL },
	{ "FROM a\nARG V=1\nFROM b\n", "a b", NULL },
	{ "FROM a\nCOPY --chown=1 --from=img:1 /x /y\n", "a img:1", NULL },
	{ "FROM a\nRUN --mount=type=bind,from=img:2,target=/x true\n", "a img:2", NULL },
	{ "FROM a\nRUN --network=none true\n", "a", NULL },
	{ "# syntax=docker/dockerfile:1\nFROM a\n", "a", NULL },
	{ "FROM a\n# syntax=evil/x\n", "a", NULL }, /* a comment by now */
	{ "RUN true\n", NULL, "no FROM" },
	{ "", NULL, "no FROM" },
	{ "FROM $BASE\n", NULL, "line 1" }, /* of no ARG */
	{ "ARG V\n\nFROM debian:$V\n", NULL, "line 3" },
	{ "ARG V=1\nFROM debian:${V%1}\n", NULL, "line 2" },
	{ "ARG V=`x`\nFROM $V\n", NULL, "line 2" },
	{ "FROM\n", NULL, "line 1" },
	{ "FROM de\\bian\n", NULL, "line 1" },
	{ "FROM a b\n", NULL, "AS NAME" },
	{ "FROM --platform=linux/mips a\n", NULL, "leave it out or write --platform=linux/" },
	{ "FROM --as=x a\n", NULL, "platform" },
	{ "FROM --platform=$BUILDPLATFORM a\nFROM --platform=" CV_CONTAINERFILE_PLATFORM " b AS c\n"
	  "FROM --platform=\"${TARGETPLATFORM}\" c\n",
		"a b", NULL },
	{ "FROM a\nRUN --network=host true\n", NULL, "line 2" },
	{ "FROM a\nRUN --security=insecure true\n", NULL, "line 2" },
	{ "FROM a\nRUN --mount=type=secret,id=x true\n", NULL, "no secrets" },
	{ "FROM a\nRUN --mount=type=ssh true\n", NULL, "no secrets" },
	{ "FROM a\nCOPY --from=$X a b\n", NULL, "line 2" },
	{ "# syntax=evil/frontend\nFROM a\n", NULL, "frontend" },
	{ "# escape=x\nFROM a\n", NULL, "escape" },
};

static void b4_images(void **state)
{
	struct cv_containerfile c;
	struct cv_arena arena;
	struct cv_err err;

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		struct cv_buf got;

		cv_arena_init(&arena, 1 << 20);
		cv_buf_init(&got, 4096);
		const cv_code code =
			cv_containerfile_read(cv_str_of(row[i].text), given, 1, &arena, &c, &err);
		if ((code == CV_OK) != (row[i].wrong == NULL))
			fail_msg("%s: %s", row[i].text, code == CV_OK ? "taken" : err.msg);
		if (row[i].wrong && !strstr(err.msg, row[i].wrong))
			fail_msg("%s: %s", row[i].text, err.msg);
		for (size_t k = 0; code == CV_OK && k < c.image_count; k++) {
			cv_buf_put(&got, k ? CV_STR(" ") : CV_STR(""));
			cv_buf_put(&got, c.image[k]);
		}
		if (!row[i].wrong && !cv_str_eq(cv_buf_str(&got), cv_str_of(row[i].images)))
			fail_msg("%s: %.*s", row[i].text, CV_STR_ARG(cv_buf_str(&got)));
		cv_buf_fini(&got);
		cv_arena_fini(&arena);
	}
}

static void too_many(void **state)
{
	struct cv_containerfile c;
	struct cv_arena arena;
	struct cv_err err;
	struct cv_buf text;

	(void)state;
	cv_arena_init(&arena, 1 << 20);
	cv_buf_init(&text, 1 << 16);
	for (int i = 0; i <= CV_CONTAINERFILE_IMAGES_MAX; i++)
		cv_buf_printf(&text, "FROM a%d\n", i);
	assert_int_equal(
		cv_containerfile_read(cv_buf_str(&text), NULL, 0, &arena, &c, &err), CV_INVALID);
	cv_buf_reset(&text);
	for (int i = 0; i <= CV_CONTAINERFILE_STAGES_MAX; i++)
		cv_buf_printf(&text, "FROM a\n");
	assert_int_equal(
		cv_containerfile_read(cv_buf_str(&text), NULL, 0, &arena, &c, &err), CV_INVALID);
	cv_buf_fini(&text);
	cv_arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(b4_images),
		cmocka_unit_test(too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
