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
 * The files are written in place, because the bundle is mounted in a second place, which follows
 * the file and not the name; and programs read them meanwhile.  So each authority stands in a place of
 * its own, filled up with newlines: a new one moves no other and crosses no page, and whoever reads
 * finds all of it or nothing.
 */
#include "supervisor/supervisor.h"

#include "supervisor/limits.h"
#include "sys/fd.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

cv_code ca_add(struct supervisor *s, struct cv_str pem, struct cv_err *err)
{
	char **place = &s->ca[s->ca_count % CV_ARRAY_LEN(s->ca)];
	char *text = pem.n <= SUP_CA_BYTES ? strndup(pem.p, pem.n) : NULL;

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
	CV_AUTO_FD int fd = openat(
		s->built[CV_BUILT_LAYER], path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);

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

/* The host's roots are read once: a sandbox does not see them change. */
static cv_code bundle_write(struct supervisor *s, struct cv_err *err)
{
	const size_t at = s->ca_at;
	cv_code code = CV_OK;
	struct cv_buf b;

	cv_buf_init(&b, SUP_ROOTS_BYTES_MAX);
	if (!at) {
		code = roots_read(s, &b, err);
		fill_up(&b);
		s->ca_at = cv_buf_len(&b);
	}
	authorities_put(s, &b);
	if (code == CV_OK && b.is_overflown)
		code = cv_fail(err, CV_LIMIT, "the trusted roots are too large");
	if (code == CV_OK)
		code = file_write(s, "etc/openshell-tls/ca-bundle.pem", at, cv_buf_str(&b), err);
	cv_buf_fini(&b);
	return code;
}

cv_code ca_files_write(struct supervisor *s, struct cv_err *err)
{
	struct cv_buf b;

	if (!s->ca_count || s->has_ca_files)
		return CV_OK;
	cv_buf_init(&b, SUP_ROOTS_BYTES_MAX);
	authorities_put(s, &b);
	cv_code code = file_write(s, "etc/openshell-tls/openshell-ca.pem", 0, cv_buf_str(&b), err);
	if (code == CV_OK)
		code = bundle_write(s, err);
	cv_buf_fini(&b);
	s->has_ca_files = code == CV_OK;
	return code;
}
