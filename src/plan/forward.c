/* SPDX-License-Identifier: Apache-2.0 */
/*
 * forward.c - see forward.h
 */
#include "plan/forward.h"

cv_code cv_forward_parse(struct cv_str url, struct cv_forward *ret, struct cv_err *err)
{
	struct cv_str rest = url;
	struct cv_authority at;

	if (cv_str_has_byte(url, '@')) /* not repeated: it is a password */
		return cv_fail(err, CV_INVALID,
			"credentials in the URL; give them with --upstream-proxy-auth");
	if (!cv_str_has_prefix(url, CV_STR("http://")))
		return cv_fail(err, CV_INVALID,
			"'%.*s' is not http://HOST:PORT; no other kind of proxy is supported",
			CV_STR_ARG(url));
	rest = cv_str_slice(rest, sizeof("http://") - 1, rest.n);
	if (cv_str_has_suffix(rest, CV_STR("/")))
		rest.n--;
	const enum cv_host_rc rc = cv_authority_parse_port(rest, &at);
	if (rc != CV_HOST_OK)
		return cv_fail(err, CV_INVALID, "'%.*s' is not http://HOST:PORT: %s",
			CV_STR_ARG(url), cv_host_rc_text(rc));
	ret->at = at;
	return CV_OK;
}

static size_t colons(struct cv_str s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++)
		n += s.p[i] == ':';
	return n;
}

/* Cuts :PORT off, and the brackets of an IPv6 address. */
static bool port_cut(struct cv_str *s, uint16_t *ret_port)
{
	const bool has_brackets = cv_str_has_prefix(*s, CV_STR("["));
	uint64_t port;

	if (has_brackets ? !cv_str_has_suffix(*s, CV_STR("]")) : colons(*s) == 1) {
		const size_t at = cv_str_rfind_byte(*s, ':');

		if (at >= s->n || !cv_str_to_u64(cv_str_slice(*s, at + 1, s->n), 65535, &port) ||
			!port)
			return false;
		*ret_port = (uint16_t)port;
		s->n = at;
	}
	if (!has_brackets)
		return true;
	if (!cv_str_has_suffix(*s, CV_STR("]")) || !colons(*s))
		return false;
	*s = cv_str_slice(*s, 1, s->n - 1);
	return true;
}

static bool entry_parse(struct cv_str s, struct cv_direct *ret)
{
	struct cv_direct d = { .kind = CV_DIRECT_NAME };

	if (!port_cut(&s, &d.port))
		return false;
	if (cv_str_eq(s, CV_STR("*"))) {
		d.kind = CV_DIRECT_ALL;
	} else if (cv_cidr_parse(s, &d.net)) {
		d.kind = CV_DIRECT_NET;
		if (d.port && cv_str_has_byte(s, '/'))
			return false;
	} else {
		const size_t start = cv_str_has_prefix(s, CV_STR("*."))  ? 2
				     : cv_str_has_prefix(s, CV_STR(".")) ? 1
									 : 0;

		d.is_below_only = start > 0;
		if (cv_host_parse_bare(cv_str_slice(s, start, s.n), &d.name) != CV_HOST_OK ||
			d.name.is_ip)
			return false;
	}
	*ret = d;
	return true;
}

cv_code cv_forward_direct_parse(struct cv_str list, struct cv_forward *ret, struct cv_err *err)
{
	size_t at = 0;

	if (list.n > CV_FORWARD_LIST_BYTES_MAX)
		return cv_fail(err, CV_LIMIT, "longer than %d bytes", CV_FORWARD_LIST_BYTES_MAX);
	while (at < list.n) {
		const size_t start = at;

		while (at < list.n && list.p[at] != ',' && list.p[at] != ' ')
			at++;
		const struct cv_str entry = cv_str_slice(list, start, at);
		at++;
		if (!entry.n)
			continue;
		if (ret->direct_count == CV_FORWARD_DIRECT_MAX)
			return cv_fail(
				err, CV_LIMIT, "more than %d entries", CV_FORWARD_DIRECT_MAX);
		if (!entry_parse(entry, &ret->direct[ret->direct_count]))
			return cv_fail(err, CV_INVALID,
				"'%.*s' is no name, address, network or *, perhaps with :PORT",
				CV_STR_ARG(entry));
		ret->direct_count++;
	}
	return CV_OK;
}

static bool name_matches(const struct cv_direct *d, const struct cv_host *host)
{
	const struct cv_str name = cv_host_str(&d->name), have = cv_host_str(host);

	if (host->is_ip)
		return false;
	if (!d->is_below_only && cv_str_eq(have, name))
		return true;
	return have.n > name.n && cv_str_has_suffix(have, name) &&
	       have.p[have.n - name.n - 1] == '.';
}

static bool net_matches(const struct cv_direct *d, const struct cv_ip *ip, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!cv_cidr_has(&d->net, &ip[i]))
			return false;
	return n > 0;
}

bool cv_forward_is_direct(const struct cv_forward *f, const struct cv_host *host, uint16_t port,
	const struct cv_ip *ip, size_t ip_count)
{
	for (size_t i = 0; i < f->direct_count; i++) {
		const struct cv_direct *d = &f->direct[i];

		if (d->port && d->port != port)
			continue;
		if (d->kind == CV_DIRECT_ALL ||
			(d->kind == CV_DIRECT_NAME && name_matches(d, host)) ||
			(d->kind == CV_DIRECT_NET && net_matches(d, ip, ip_count)))
			return true;
	}
	return false;
}
