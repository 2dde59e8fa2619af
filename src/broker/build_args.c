/* SPDX-License-Identifier: Apache-2.0 */
/*
 * build_args.c - what a call of `build` may say, as far as its text tells
 *
 * A value is never an option and never a way out of where it is meant to be; whose an image is, and
 * what is at a path, is judged when the call begins.
 */
#include "broker/build_int.h"

#include <string.h>

static struct cv_str argument(const struct cv_value *arguments, const char *name)
{
	return cv_value_get_str(arguments, cv_str_of(name));
}

/* A file below the context: no way out of it by its text, and nothing that is preprocessed. */
static const char *dockerfile_wrong(struct cv_str s)
{
	if (s.n > 1024 || cv_str_has_control(s) || s.p[0] == '-')
		return "not a path";
	if (s.p[0] == '/')
		return "it is below context_dir, and not absolute";
	if (cv_str_has_suffix(s, CV_STR(".in")))
		return "files that need a preprocessor are not built";
	while (s.p) {
		const struct cv_str part = cv_str_cut(&s, '/');

		if (!part.n || cv_str_eq(part, CV_STR("..")) || cv_str_eq(part, CV_STR(".")))
			return "'.', '..' and empty parts are not taken";
	}
	return NULL;
}

static const char *path_wrong(struct cv_str s)
{
	if (s.n > 4000 || cv_str_has_control(s))
		return "not a path";
	while (s.p)
		if (cv_str_eq(cv_str_cut(&s, '/'), CV_STR("..")))
			return "'..' is not taken";
	return NULL;
}

/* A name of the sandbox's own; whose it is is judged when that is known. */
static const char *tag_wrong(struct cv_str s)
{
	struct cv_image_ref ref;

	if (!cv_image_ref_parse(s, &ref) || ref.digest.n)
		return "not an image's name, such as app or team/app:1";
	if (ref.registry.n && !cv_str_eq(ref.registry, CV_STR("localhost")))
		return "images are named within this run, without a registry";
	return NULL;
}

static const char *target_wrong(struct cv_str s)
{
	for (size_t i = 0; i < s.n; i++) {
		const char c = cv_ascii_lower(s.p[i]);

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
			    (i && strchr("_.-", c))) ||
			s.n > 128)
			return "not the name of a stage";
	}
	return NULL;
}

static const char *push_wrong(struct cv_str s)
{
	struct cv_image_ref ref;

	if (!cv_image_ref_parse(s, &ref) || !ref.registry.n || ref.digest.n)
		return "not a reference with a registry, such as registry.example/team/app:1";
	return NULL;
}

static const char *platform_wrong(struct cv_str s)
{
	return cv_str_eq(s, CV_STR(CV_CONTAINERFILE_PLATFORM))
		       ? NULL
		       : "images are of the machine's own platform; leave it out or write " CV_CONTAINERFILE_PLATFORM;
}

static const struct {
	const char *name;
	const char *(*wrong)(struct cv_str s);
} row[] = {
	{ "tag", tag_wrong },
	{ "dockerfile", dockerfile_wrong },
	{ "context_dir", path_wrong },
	{ "dest", path_wrong },
	{ "target", target_wrong },
	{ "platform", platform_wrong },
	{ "push", push_wrong },
	{ "destination", push_wrong },
};

static bool arg_char(char c, bool is_first)
{
	const char low = cv_ascii_lower(c);

	return (low >= 'a' && low <= 'z') || c == '_' || (!is_first && c >= '0' && c <= '9');
}

/* What org.opencontainers.image.title needs, and a label that begins no option and has no '='. */
static bool label_char(char c, bool is_first)
{
	return arg_char(c, is_first) || (!is_first && strchr(".-/", c));
}

static const struct {
	const char *name;
	bool (*is_good)(char c, bool is_first);
	const char *names; /* what they have to be */
} pairs[] = {
	{ "build_args", arg_char, "names are letters, digits and _" },
	{ "labels", label_char, "names are letters, digits and . - _ /, beginning with a letter" },
};

static const char *pairs_wrong(size_t which, const struct cv_value *v)
{
	for (uint32_t i = 0; v && v->type == CV_VALUE_OBJECT && i < v->n; i++) {
		const struct cv_str key = v->key[i];

		if (v->v[i].type != CV_VALUE_STRING || cv_str_has_byte(v->v[i].s, 0))
			return "values are texts";
		for (size_t k = 0; k < key.n; k++)
			if (!pairs[which].is_good(key.p[k], k == 0))
				return pairs[which].names;
		if (!key.n || key.n > 128)
			return pairs[which].names;
	}
	return NULL;
}

cv_code build_arguments_check(const struct cv_tool *t, const struct cv_value *arguments,
	struct cv_arena *arena, struct cv_str *ret_pointer, struct cv_err *err)
{
	const char *wrong = NULL;

	(void)t;
	for (size_t i = 0; !wrong && i < CV_ARRAY_LEN(pairs); i++) {
		wrong = pairs_wrong(i, cv_value_get(arguments, cv_str_of(pairs[i].name)));
		if (wrong)
			*ret_pointer = cv_arena_printf(arena, "/%s", pairs[i].name);
	}
	for (size_t i = 0; !wrong && i < CV_ARRAY_LEN(row); i++) {
		const struct cv_str s = argument(arguments, row[i].name);

		if (s.n && (wrong = row[i].wrong(s)))
			*ret_pointer = cv_arena_printf(arena, "/%s", row[i].name);
	}
	return wrong ? cv_fail(err, CV_INVALID, "%s", wrong) : CV_OK;
}
