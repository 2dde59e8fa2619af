/* SPDX-License-Identifier: Apache-2.0 */
/*
 * profiles.c - see profiles.h
 */
#include "cli/profiles.h"

#include "base/word.h"
#include "cli/files.h"
#include "cli/home.h"
#include "cred/limits_profile.h"
#include "ipc/frame.h"
#include "policy/findings.h"
#include "sys/fd.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define FINDINGS_BYTES_MAX (1u << 20)
#define NAMES_MAX          256 /* for the nearest name */

void cv_provider_found_fini(struct cv_provider_found *found)
{
	cv_instance_free(found->instance);
	cv_profile_free(found->profile);
	free(found->path);
	free(found->profile_from);
	*found = (struct cv_provider_found){ 0 };
}

bool cv_provider_is_file(const char *word)
{
	const struct cv_str s = cv_str_of(word);

	return cv_str_has_byte(s, '/') || cv_str_has_suffix(s, CV_STR(".yaml")) ||
	       cv_str_has_suffix(s, CV_STR(".yml")) || cv_str_has_suffix(s, CV_STR(".json"));
}

/* ---- files ---- */

cv_code cv_provider_file_read(const char *path, char **ret, size_t *ret_n, struct cv_err *err)
{
	return cv_file_read(path, CV_CRED_PROFILE_BYTES_MAX, ret, ret_n, err);
}

/* Whoever may write an instance chooses which file of ours is sent where. */
static cv_code instance_mode_check(const char *path, struct cv_err *err)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return cv_fail_errno(err, "%s", path);
	if (st.st_mode & (S_IROTH | S_IWOTH | S_IWGRP))
		return cv_fail(err, CV_DENIED,
			"%s: others may read or change it (mode %04o); run chmod 600", path,
			(unsigned)st.st_mode & 07777);
	if (st.st_mode & S_IRGRP)
		fprintf(stderr, "cove: %s: your group may read it; run chmod 600\n", path);
	return CV_OK;
}

char *cv_provider_path(const char *path, const char *from)
{
	const char *home = getenv("HOME"), *slash = from ? strrchr(from, '/') : NULL;
	char *ret = NULL;
	int n;

	if (!strncmp(path, "~/", 2) && home)
		n = asprintf(&ret, "%s%s", home, path + 1);
	else if (path[0] == '/' || !slash)
		n = asprintf(&ret, "%s", path);
	else
		n = asprintf(&ret, "%.*s/%s", (int)(slash - from), from, path);
	return n < 0 ? NULL : ret;
}

static char *user_dir(void)
{
	char path[PATH_MAX];

	return cv_home_path("XDG_CONFIG_HOME", ".config", "cove/profiles", path, sizeof(path),
		       NULL) == CV_OK
		       ? strdup(path)
		       : NULL;
}

/* The user's own profile of that id; NULL when there is none. */
static char *user_file(const char *id)
{
	char *dir = user_dir(), *path = NULL;

	if (dir && asprintf(&path, "%s/%s.yaml", dir, id) < 0)
		path = NULL;
	free(dir);
	if (path && access(path, F_OK) != 0) {
		free(path);
		return NULL;
	}
	return path;
}

/* ---- reading ---- */

static void findings_show(const struct cv_findings *f, const char *file, bool is_quiet)
{
	struct cv_buf b;

	if (!f->n || (is_quiet && !f->error_count))
		return;
	cv_buf_init(&b, FINDINGS_BYTES_MAX);
	cv_findings_text(f, cv_str_of(file), &b);
	fprintf(stderr, "%.*s", CV_STR_ARG(cv_buf_str(&b)));
	cv_buf_fini(&b);
}

static cv_code profile_read(struct cv_str text, const char *from, bool is_quiet,
	struct cv_provider_found *ret, struct cv_err *err)
{
	struct cv_findings f;

	cv_findings_init(&f);
	cv_code code = cv_profile_load(cv_str_of(from), text, &ret->profile, &f);
	findings_show(&f, from, is_quiet);
	if (code != CV_OK)
		code = cv_fail(err, code, "profile %s: %zu errors", from, f.error_count);
	cv_findings_fini(&f);
	if (code == CV_OK && !(ret->profile_from = strdup(from)))
		code = cv_fail(err, CV_LIMIT, "no memory");
	return code;
}

static cv_code profile_file_read(
	const char *path, bool is_quiet, struct cv_provider_found *ret, struct cv_err *err)
{
	char *text;
	size_t n;
	cv_code code = cv_provider_file_read(path, &text, &n, err);

	if (code != CV_OK)
		return cv_wrap(err, "profile");
	code = profile_read((struct cv_str){ text, n }, path, is_quiet, ret, err);
	free(text);
	return code;
}

/* ---- names ---- */

static const struct cv_builtin_profile *builtin_by_id(const char *name)
{
	for (size_t i = 0; i < cv_builtin_profiles_count; i++)
		if (!strcmp(cv_builtin_profiles[i].id, name))
			return &cv_builtin_profiles[i];
	return NULL;
}

static const struct cv_builtin_profile *builtin_by_alias(const char *name)
{
	const struct cv_builtin_profile *hit = NULL;

	for (size_t i = 0; i < cv_builtin_profiles_count && !hit; i++) {
		const struct cv_builtin_profile *b = &cv_builtin_profiles[i];
		struct cv_profile *p = NULL;
		struct cv_findings f;

		cv_findings_init(&f);
		if (cv_profile_load(cv_str_of(b->id), (struct cv_str){ b->text, b->bytes }, &p,
			    &f) == CV_OK &&
			cv_profile_is_named(p, cv_str_of(name)))
			hit = b;
		cv_profile_free(p);
		cv_findings_fini(&f);
	}
	return hit;
}

static cv_code fail_unknown(const char *name, struct cv_err *err)
{
	const char *names[NAMES_MAX] = { NULL };
	size_t n = 0;

	for (; n < cv_builtin_profiles_count && n < NAMES_MAX; n++)
		names[n] = cv_builtin_profiles[n].id;
	const size_t near = cv_word_nearest(cv_str_of(name), names, n);
	if (near < n)
		return cv_fail(err, CV_NOT_FOUND, "no provider profile '%s'; did you mean %s?",
			name, names[near]);
	return cv_fail(err, CV_NOT_FOUND,
		"no provider profile '%s'; `cove provider show` lists them, and a file needs a / "
		"or .yaml in its name",
		name);
}

static cv_code name_find(
	const char *name, bool is_quiet, struct cv_provider_found *ret, struct cv_err *err)
{
	const struct cv_builtin_profile *builtin = NULL;
	char *own = user_file(name);
	cv_code code;

	if (!own) {
		builtin = builtin_by_id(name);
		if (!builtin && (builtin = builtin_by_alias(name)))
			own = user_file(builtin->id);
	}
	if (own)
		code = profile_file_read(own, is_quiet, ret, err);
	else if (builtin)
		code = profile_read((struct cv_str){ builtin->text, builtin->bytes }, "built-in",
			is_quiet, ret, err);
	else
		code = fail_unknown(name, err);
	free(own);
	return code;
}

/* ---- instances ---- */

static cv_code fits(const struct cv_provider_found *ret, bool is_quiet, struct cv_err *err)
{
	struct cv_findings f;

	cv_findings_init(&f);
	cv_code code = cv_instance_fits(ret->instance, ret->profile, &f);
	findings_show(&f, ret->path, is_quiet);
	if (code != CV_OK)
		code = cv_fail(err, code, "provider %s: %zu errors", ret->path, f.error_count);
	cv_findings_fini(&f);
	return code;
}

static cv_code instance_read(
	struct cv_str text, bool is_quiet, struct cv_provider_found *ret, struct cv_err *err)
{
	struct cv_findings f;
	cv_code code = instance_mode_check(ret->path, err);

	if (code != CV_OK)
		return code;
	cv_findings_init(&f);
	code = cv_instance_load(cv_str_of(ret->path), text, &ret->instance, &f);
	findings_show(&f, ret->path, is_quiet);
	if (code != CV_OK)
		code = cv_fail(err, code, "provider %s: %zu errors", ret->path, f.error_count);
	cv_findings_fini(&f);
	if (code != CV_OK)
		return code;
	const char *profile = ret->instance->profile.s.p; /* arena strings end in a NUL */
	if (!cv_provider_is_file(profile)) {
		code = name_find(profile, is_quiet, ret, err);
	} else {
		char *path = cv_provider_path(profile, ret->path);

		code = path ? profile_file_read(path, is_quiet, ret, err)
			    : cv_fail(err, CV_LIMIT, "no memory");
		free(path);
	}
	if (code != CV_OK)
		return cv_wrap(err, "provider %s", ret->path);
	return fits(ret, is_quiet, err);
}

static cv_code file_find(
	const char *word, bool is_quiet, struct cv_provider_found *ret, struct cv_err *err)
{
	char *text = NULL;
	size_t n = 0;
	cv_code code = CV_OK;

	ret->path = cv_provider_path(word, NULL);
	if (!ret->path)
		return cv_fail(err, CV_LIMIT, "no memory");
	code = cv_provider_file_read(ret->path, &text, &n, err);
	if (code != CV_OK)
		return cv_wrap(err, "provider");
	const struct cv_str s = { text, n };
	code = cv_instance_is_one(s) ? instance_read(s, is_quiet, ret, err)
				     : profile_read(s, ret->path, is_quiet, ret, err);
	free(text);
	return code;
}

cv_code cv_provider_find(
	const char *word, bool is_quiet, struct cv_provider_found *ret, struct cv_err *err)
{
	struct cv_provider_found found = { 0 };
	const cv_code code = cv_provider_is_file(word) ? file_find(word, is_quiet, &found, err)
						       : name_find(word, is_quiet, &found, err);

	if (code != CV_OK)
		cv_provider_found_fini(&found);
	else
		*ret = found;
	return code;
}

/* ---- all of them ---- */

static cv_code each_named(
	const char *name, cv_provider_each_fn *each, void *arg, struct cv_err *err)
{
	struct cv_provider_found found;
	cv_code code = cv_provider_find(name, true, &found, err);

	if (code != CV_OK)
		return code;
	code = each(&found, arg);
	cv_provider_found_fini(&found);
	return code;
}

/* Of the user's own, those that stand in for no built-in. */
static int is_own(const struct dirent *e)
{
	const struct cv_str name = cv_str_of(e->d_name);
	char id[CV_CRED_ID_BYTES_MAX + 1];

	return cv_str_has_suffix(name, CV_STR(".yaml")) &&
	       cv_str_to_cstr(cv_str_slice(name, 0, name.n - 5), id, sizeof(id)) && id[0] &&
	       !builtin_by_id(id);
}

cv_code cv_provider_each(cv_provider_each_fn *each, void *arg, struct cv_err *err)
{
	struct dirent **own = NULL;
	char *dir = user_dir();
	const int n = dir ? scandir(dir, &own, is_own, alphasort) : -1;
	cv_code code = CV_OK;

	for (size_t i = 0; i < cv_builtin_profiles_count && code == CV_OK; i++)
		code = each_named(cv_builtin_profiles[i].id, each, arg, err);
	for (int i = 0; i < n; i++) {
		own[i]->d_name[strlen(own[i]->d_name) - strlen(".yaml")] = '\0';
		if (code == CV_OK)
			code = each_named(own[i]->d_name, each, arg, err);
		free(own[i]);
	}
	free(own);
	free(dir);
	return code;
}
