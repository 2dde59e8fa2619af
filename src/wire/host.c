/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host.c - one text per destination; see host.h
 *
 * What a name or an address is, base/ip.h and name.h say; here they come together, and a refusal
 * gets its reason.  The reason is looked for only after the refusal, so it cannot let anything in.
 */
#include "wire/host.h"

#include "wire/name.h"

#include <assert.h>

#define ROW(name, text) text,
static const char *const rc_text[] = { CV_HOST_RCS(ROW) };
#undef ROW

const char *cv_host_rc_text(enum cv_host_rc rc)
{
	return rc < CV_HOST_RC_COUNT ? rc_text[rc] : "unknown reason";
}

/* Why cv_name_parse() said no. */
static enum cv_host_rc name_refusal(struct cv_str s)
{
	if (s.n == 0)
		return CV_HOST_EMPTY;
	for (size_t i = 0; i < s.n; i++) {
		const char c = cv_ascii_lower(s.p[i]);
		const bool is_alnum = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');

		if (!is_alnum && c != '-' && c != '_' && c != '.')
			return CV_HOST_BYTE;
	}
	if (s.n > CV_HOST_BYTES_MAX)
		return CV_HOST_LONG;
	if (s.p[s.n - 1] == '.')
		return CV_HOST_DOT;
	for (struct cv_str rest = s; rest.p;)
		if (cv_str_cut(&rest, '.').n > CV_LABEL_BYTES_MAX)
			return CV_HOST_LONG;
	return cv_name_is_numeric(s) ? CV_HOST_NUMERIC : CV_HOST_LABEL;
}

void cv_host_from_ip(const struct cv_ip *ip, struct cv_host *ret)
{
	char text[CV_IP_TEXT_BYTES];
	const struct cv_str canonical = cv_ip_format(ip, text);

	*ret = (struct cv_host){ .n = canonical.n, .is_ip = true, .is_ip6 = !ip->is_v4 };
	memcpy(ret->text, canonical.p, canonical.n);
}

static enum cv_host_rc name_parse(struct cv_str s, struct cv_host *ret)
{
	struct cv_name name;
	struct cv_ip ip;

	static_assert(CV_NAME_BYTES_MAX == CV_HOST_BYTES_MAX, "a name must fit a host");
	if (cv_name_parse(s, &name)) {
		*ret = (struct cv_host){ .n = name.n };
		memcpy(ret->text, name.text, name.n);
		return CV_HOST_OK;
	}
	if (cv_str_has_byte(s, ':') || !cv_ip_parse(s, &ip))
		return name_refusal(s);
	cv_host_from_ip(&ip, ret);
	return CV_HOST_OK;
}

static enum cv_host_rc ip6_parse(struct cv_str s, struct cv_host *ret)
{
	struct cv_ip ip;

	if (!cv_str_has_byte(s, ':') || !cv_ip_parse(s, &ip))
		return CV_HOST_IP6; /* also zones */
	if (cv_str_has_byte(s, '.') || cv_ip_is_embedding(&ip))
		return CV_HOST_EMBEDDED;
	cv_host_from_ip(&ip, ret);
	return CV_HOST_OK;
}

enum cv_host_rc cv_host_parse(struct cv_str s, struct cv_host *ret)
{
	if (s.n == 0 || s.p[0] != '[')
		return name_parse(s, ret);
	if (s.p[s.n - 1] != ']')
		return CV_HOST_IP6;
	return ip6_parse(cv_str_slice(s, 1, s.n - 1), ret);
}

enum cv_host_rc cv_host_parse_bare(struct cv_str s, struct cv_host *ret)
{
	return cv_str_has_byte(s, ':') ? ip6_parse(s, ret) : name_parse(s, ret);
}

static bool port_parse(struct cv_str s, uint16_t *ret)
{
	uint64_t v;

	if (s.n == 0 || s.n > 5 || s.p[0] == '0' || !cv_str_to_u64(s, UINT16_MAX, &v))
		return false;
	*ret = (uint16_t)v;
	return true;
}

enum cv_host_rc cv_authority_parse(struct cv_str s, struct cv_authority *ret)
{
	const bool is_bracketed = s.n > 0 && s.p[0] == '[';
	const size_t search = is_bracketed ? cv_str_find_byte(s, ']') : 0;
	const struct cv_str tail = cv_str_slice(s, search, s.n);
	const size_t colon = search + cv_str_find_byte(tail, ':');
	struct cv_authority a = { .port = 0 };

	if (cv_str_has_byte(s, '@'))
		return CV_HOST_USERINFO;
	const enum cv_host_rc rc = cv_host_parse(cv_str_slice(s, 0, colon), &a.host);
	if (rc != CV_HOST_OK)
		return rc;
	if (colon < s.n && !port_parse(cv_str_slice(s, colon + 1, s.n), &a.port))
		return CV_HOST_PORT;
	*ret = a;
	return CV_HOST_OK;
}

enum cv_host_rc cv_authority_parse_port(struct cv_str s, struct cv_authority *ret)
{
	struct cv_authority a;
	const enum cv_host_rc rc = cv_authority_parse(s, &a);

	if (rc != CV_HOST_OK)
		return rc;
	if (a.port == 0)
		return CV_HOST_PORT_MISSING;
	*ret = a;
	return CV_HOST_OK;
}

bool cv_authority_eq(
	const struct cv_authority *a, const struct cv_authority *b, uint16_t port_default)
{
	const uint16_t pa = a->port ? a->port : port_default;
	const uint16_t pb = b->port ? b->port : port_default;

	return pa == pb && cv_host_eq(&a->host, &b->host);
}

bool cv_authority_write(struct cv_buf *b, const struct cv_authority *a, uint16_t port_default)
{
	const bool is_ip6 = a->host.is_ip6;

	cv_buf_put(b, is_ip6 ? CV_STR("[") : CV_STR_NONE);
	cv_buf_put(b, cv_host_str(&a->host));
	cv_buf_put(b, is_ip6 ? CV_STR("]") : CV_STR_NONE);
	if (a->port != 0 && a->port != port_default)
		cv_buf_printf(b, ":%u", (unsigned)a->port);
	return !b->is_overflown;
}
