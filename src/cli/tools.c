/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tools.c - see tools.h
 */
#include "cli/tools.h"

#include "policy/findings.h"

#include <stdlib.h>

#define FINDINGS_BYTES_MAX (1u << 20)

cv_code cv_catalog_file_read(const char *path, char **ret, size_t *ret_bytes, struct cv_err *err)
{
	return cv_file_read(path, CV_CATALOG_BYTES_MAX, ret, ret_bytes, err);
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
