/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run_forward.c - the words about an upstream proxy, and the credentials for it
 *
 * Nothing is taken from HTTPS_PROXY or NO_PROXY of our own environment: what leaves by which way is
 * said where the run is.  All of it is judged before anything starts, and what can't be meant is
 * refused.  The credentials come from a variable or a file, never from the command line, which
 * every user of the machine can read; they go to the proxy in the clear (it is http://), so that
 * has to be agreed to.  They leave this process in a sealed memfd that only the keeper is given.
 */
#include "cli/run_int.h"

#include "cred/instance.h"
#include "plan/forward.h"

static cv_code secret_check(struct cv_str s, struct cv_err *err)
{
	if (s.n > CV_FORWARD_SECRET_BYTES_MAX)
		return cv_fail(err, CV_LIMIT, "longer than %d bytes", CV_FORWARD_SECRET_BYTES_MAX);
	if (!cv_str_has_byte(s, ':'))
		return cv_fail(err, CV_INVALID, "is not USER:PASSWORD");
	if (cv_str_has_control(s))
		return cv_fail(err, CV_INVALID, "has a control byte, or more than a line");
	return CV_OK;
}

cv_code run_forward_secret_read(
	struct cv_run_request *r, struct run_providers *providers, struct cv_err *err)
{
	const struct cv_str spec = cv_str_of(r->upstream_auth);
	struct cv_instance_source from = { 0 };

	if (cv_str_has_prefix(spec, CV_STR("env:")) && spec.n > 4)
		from.env = (struct cv_policy_text){ .s = cv_str_slice(spec, 4, spec.n),
			.is_present = true };
	else if (cv_str_has_prefix(spec, CV_STR("file:")) && spec.n > 5)
		from.file = (struct cv_policy_text){ .s = cv_str_slice(spec, 5, spec.n),
			.is_present = true };
	else /* not repeated: it may be what should not stand there */
		return cv_fail(err, CV_INVALID,
			"--upstream-proxy-auth: write env:NAME or file:PATH; what it holds is "
			"USER:PASSWORD");
	if (!r->has_upstream_auth_consent)
		return cv_fail(err, CV_INVALID,
			"--upstream-proxy-auth: they would pass the network in the clear; if that "
			"is meant, add --upstream-proxy-auth-insecure");
	cv_code code =
		run_value_read(providers, &from, NULL, r->is_dry_run, &r->upstream_secret, err);
	if (code == CV_OK)
		code = secret_check(r->upstream_secret, err);
	return code == CV_OK ? code : cv_wrap(err, "--upstream-proxy-auth");
}

cv_code run_forward_fill(struct cv_run_request *r, struct run_providers *providers,
	struct cv_plan_files *files, struct cv_err *err)
{
	static struct cv_forward words; /* too large for a stack */

	if (!r->upstream_proxy) {
		if (r->upstream_direct || r->upstream_auth || r->is_upstream_by_name ||
			r->has_upstream_auth_consent)
			return cv_fail(err, CV_INVALID,
				"an option about an upstream proxy without --upstream-proxy");
		return CV_OK;
	}
	if (cv_forward_parse(cv_str_of(r->upstream_proxy), &words, err) != CV_OK)
		return cv_wrap(err, "--upstream-proxy");
	files->upstream_proxy = cv_str_of(r->upstream_proxy);
	if (r->upstream_direct) {
		files->upstream_direct = cv_str_of(r->upstream_direct);
		if (cv_forward_direct_parse(files->upstream_direct, &words, err) != CV_OK)
			return cv_wrap(err, "--no-upstream-proxy-for");
	}
	files->is_upstream_by_name = r->is_upstream_by_name;
	files->has_upstream_auth = r->upstream_auth != NULL;
	return r->upstream_auth ? run_forward_secret_read(r, providers, err) : CV_OK;
}
