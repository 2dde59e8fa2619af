/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ca.c - the run's certificate authorities, as the sandbox sees them
 *
 *     openshell-ca.pem   authorities
 *     ca-bundle.pem      roots of the host, authorities
 *
 * There is one, and one more for each keeper that had to be started anew: the proxy goes on to show
 * the leaves that it had, which the former ones signed.  At most CV_KEEPER_FORMER_CAS_MAX former ones
 * are kept, and the proxy forgets leaves accordingly.
 *
 * The roots are there before the first authority is (roots.c), while that is being made.
 *
 * The files are written in place, because the bundle is mounted in a second place, which follows
 * the file and not the name; and programs read them meanwhile.  So each authority stands in a place of
 * its own, filled up with newlines: a new one moves no other and crosses no page, and whoever reads
 * finds all of it or nothing.
 */
#include "supervisor/supervisor.h"

#include "supervisor/limits.h"
#include "supervisor/roots.h"
#include "sys/fd.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

cv_code ca_add(struct supervisor *s, struct cv_str pem, struct cv_err *err)
{
	char **place = &s->ca[s->ca_count % CV_ARRAY_LEN(s->ca)];
	char *text = pem.n <= SUP_CA_BYTES ? cv_str_dup(pem) : NULL;

	if (!text)
		return cv_fail(err, CV_LIMIT, "no room for a certificate authority");
	free(*place);
	*place = text;
	s->ca_count++;
	s->has_ca_files = false;
	return CV_OK;
}

static void fill_up(struct cv_buf *b)
{
	while (cv_buf_len(b) % SUP_CA_BYTES && cv_buf_put_byte(b, '\n'))
		;
}

static void authorities_put(const struct supervisor *s, struct cv_buf *b)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(s->ca) && s->ca[i]; i++) {
		fill_up(b);
		cv_buf_put(b, cv_str_of(s->ca[i]));
	}
}

/* What is there already is written over with the same. */
static cv_code file_write(
	struct supervisor *s, const char *path, size_t at, struct cv_str text, struct cv_err *err)
{
	CV_AUTO_FD int fd = ca_file_open(s->built[CV_BUILT_LAYER], path);

	while (fd >= 0 && text.n) {
		const ssize_t n = pwrite(fd, text.p, text.n, (off_t)at);

		if (n < 0)
			break;
		at += (size_t)n;
		text = cv_str_slice(text, (size_t)n, text.n);
	}
	return fd < 0 || text.n || ftruncate(fd, (off_t)at) < 0
		       ? cv_fail_errno(err, "write /%s in the sandbox", path)
		       : CV_OK;
}

cv_code ca_files_write(struct supervisor *s, struct cv_err *err)
{
	cv_code code =
		s->ca_at ? CV_OK
			 : roots_write(&s->plan, -1, s->built[CV_BUILT_LAYER], &s->ca_at, err);
	struct cv_buf b;

	if (code != CV_OK || !s->ca_count || s->has_ca_files)
		return code;
	cv_buf_init(&b, SUP_CA_BYTES * CV_ARRAY_LEN(s->ca));
	authorities_put(s, &b);
	code = file_write(s, "etc/openshell-tls/openshell-ca.pem", 0, cv_buf_str(&b), err);
	if (code == CV_OK)
		code = file_write(s, CA_BUNDLE_FILE, s->ca_at, cv_buf_str(&b), err);
	cv_buf_fini(&b);
	s->has_ca_files = code == CV_OK;
	return code;
}
