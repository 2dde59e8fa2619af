/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec_line.c - see exec_line.h
 *
 * Everything that is not ours stands in single quotes, in which a shell knows nothing but their
 * end; the names of variables were judged before (environment_check()).
 */
#include "gateway/exec_line.h"

#include <stdlib.h>
#include <string.h>

typedef Openshell__V1__ExecSandboxRequest__EnvironmentEntry entry;

static int by_name(const void *a, const void *b)
{
	const entry *const *x = a, *const *y = b;

	return strcmp((*x)->key, (*y)->key);
}

static bool quoted_put(struct cv_buf *out, struct cv_str s)
{
	bool ok = cv_buf_put(out, CV_STR("'"));

	while (ok && s.n) {
		const struct cv_str head = cv_str_slice(s, 0, cv_str_find_byte(s, '\''));

		ok = cv_buf_put(out, head);
		s = cv_str_slice(s, head.n, s.n);
		if (s.n) {
			ok = ok && cv_buf_put(out, CV_STR("'\\''"));
			s = cv_str_slice(s, 1, s.n);
		}
	}
	return ok && cv_buf_put(out, CV_STR("'"));
}

static bool environment_put(const Openshell__V1__ExecSandboxRequest *r, struct cv_buf *out)
{
	const entry **v = calloc(r->n_environment + 1, sizeof(entry *));
	bool ok = v;

	for (size_t i = 0; ok && i < r->n_environment; i++)
		v[i] = r->environment[i];
	if (ok)
		qsort(v, r->n_environment, sizeof(entry *), by_name);
	for (size_t i = 0; ok && i < r->n_environment; i++)
		ok = cv_buf_put(out, cv_str_of(v[i]->key)) && cv_buf_put(out, CV_STR("=")) &&
		     quoted_put(out, cv_str_of(v[i]->value)) && cv_buf_put(out, CV_STR(" "));
	free(v);
	return ok;
}

bool cv_gw_exec_line_put(const Openshell__V1__ExecSandboxRequest *r, struct cv_buf *out)
{
	bool ok = !*r->workdir ||
		  (cv_buf_put(out, CV_STR("cd ")) && quoted_put(out, cv_str_of(r->workdir)) &&
			  cv_buf_put(out, CV_STR(" && ")));

	ok = ok && environment_put(r, out);
	for (size_t i = 0; ok && i < r->n_command; i++)
		ok = (!i || cv_buf_put(out, CV_STR(" "))) &&
		     quoted_put(out, cv_str_of(r->command[i]));
	return ok && cv_buf_len(out) <= CV_GW_EXEC_LINE_MAX;
}
