/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools.c - see tools.h
 */
#include "cli/tools.h"

#include "base/word.h"
#include "cli/home.h"
#include "cli/profiles.h"
#include "policy/findings.h"
#include "tools/builtin.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FINDINGS_BYTES_MAX (1u << 20)

#define NAMES_MAX          64

static bool user_path(const char *name, char ret[PATH_MAX])
{
	char rest[NAME_MAX];
	const int n = snprintf(rest, sizeof(rest), "cove/tools/%s.yaml", name);

	return n < (int)sizeof(rest) &&
	       cv_home_path("XDG_CONFIG_HOME", ".config", rest, ret, PATH_MAX, NULL) == CV_OK &&
	       access(ret, F_OK) == 0;
}

static const struct cv_builtin_catalog *builtin_find(const char *name)
{
	for (size_t i = 0; i < cv_builtin_catalogs_count; i++)
		if (!strcmp(cv_builtin_catalogs[i].id, name))
			return &cv_builtin_catalogs[i];
	return NULL;
}

static cv_code fail_unknown(const char *name, struct cv_err *err)
{
	const char *names[NAMES_MAX] = { NULL };
	size_t n = 0;

	for (; n < cv_builtin_catalogs_count && n < NAMES_MAX; n++)
		names[n] = cv_builtin_catalogs[n].id;
	const size_t near = cv_word_nearest(cv_str_of(name), names, n);
	if (near < n)
		return cv_fail(
			err, CV_NOT_FOUND, "no catalog '%s'; did you mean %s?", name, names[near]);
	return cv_fail(
		err, CV_NOT_FOUND, "no catalog '%s'; a file needs a / or .yaml in its name", name);
}

cv_code cv_catalog_word_path(const char *word, char ret[PATH_MAX], struct cv_err *err)
{
	if (cv_provider_is_file(word) || access(word, F_OK) == 0) {
		if (!cv_str_to_cstr(cv_str_of(word), ret, PATH_MAX))
			return cv_fail(err, CV_INVALID, "a path of more than %d bytes", PATH_MAX);
		return CV_OK;
	}
	if (user_path(word, ret))
		return CV_OK;
	if (!builtin_find(word))
		return fail_unknown(word, err);
	snprintf(ret, PATH_MAX, CV_BUILTIN_CATALOG_PREFIX "%s", word);
	return CV_OK;
}

static cv_code builtin_read(const char *name, char **ret, size_t *ret_bytes, struct cv_err *err)
{
	const struct cv_builtin_catalog *c = builtin_find(name);

	if (!c)
		return fail_unknown(name, err);
	*ret = strdup(c->text);
	*ret_bytes = c->bytes;
	return *ret ? CV_OK : cv_fail(err, CV_LIMIT, "no memory");
}

cv_code cv_catalog_path_read(const char *path, char **ret, size_t *ret_bytes, struct cv_err *err)
{
	const size_t n = strlen(CV_BUILTIN_CATALOG_PREFIX);

	if (!strncmp(path, CV_BUILTIN_CATALOG_PREFIX, n))
		return builtin_read(path + n, ret, ret_bytes, err);
	return cv_file_read(path, CV_CATALOG_BYTES_MAX, ret, ret_bytes, err);
}

cv_code cv_catalog_file_read(const char *word, char **ret, size_t *ret_bytes, struct cv_err *err)
{
	char path[PATH_MAX];

	if (cv_catalog_word_path(word, path, err) != CV_OK)
		return err->code;
	return cv_catalog_path_read(path, ret, ret_bytes, err);
}

cv_code cv_catalog_file_load(const char *path, struct cv_catalog **into, struct cv_err *err)
{
	struct cv_catalog *c = NULL;
	struct cv_findings findings;
	struct cv_buf out;
	size_t n = 0;
	char *text = NULL;
	cv_code code = cv_catalog_file_read(path, &text, &n, err);

	if (code != CV_OK)
		return code;
	cv_findings_init(&findings);
	code = cv_catalog_load(cv_str_of(path), (struct cv_str){ text, n }, &c, &findings);
	if (code == CV_OK && *into)
		code = cv_catalog_merge(*into, c, &findings);
	else if (code == CV_OK)
		*into = c;
	if (code != CV_OK) {
		cv_buf_init(&out, FINDINGS_BYTES_MAX);
		cv_findings_text(&findings, cv_str_of(path), &out);
		fwrite(cv_buf_str(&out).p, 1, cv_buf_len(&out), stderr);
		cv_buf_fini(&out);
		(void)cv_fail(err, code, "%s: not a good catalog", path);
	}
	cv_findings_fini(&findings);
	free(text);
	return code;
}
