/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h1.c - heads of HTTP/1 requests and responses; see h1.h
 *
 * Order of a parse: the first bytes (so that what is not HTTP at all is refused before a head's
 * worth of it was awaited), the end of the head, the start line, the fields, and then what the
 * fields mean together.  Each refusal happens at a place that depends on the bytes alone, not on how
 * they were cut into calls.
 */
#include "wire/h1.h"
#include "wire/h1_int.h"
#include "wire/url.h"

/* A request starts with a token and a space. */
static enum cv_h1_rc method_check(struct cv_str bytes)
{
	const size_t n = CV_MIN(bytes.n, (size_t)CV_H1_METHOD_BYTES_MAX + 1);

	for (size_t i = 0; i < n; i++) {
		if (bytes.p[i] == ' ' && i > 0)
			return CV_H1_OK;
		if (!h1_is(bytes.p[i], H1_TOKEN))
			return CV_H1_METHOD;
	}
	return n > CV_H1_METHOD_BYTES_MAX ? CV_H1_METHOD : CV_H1_OK;
}

/* A response starts with HTTP/. */
static enum cv_h1_rc protocol_check(struct cv_str bytes)
{
	const struct cv_str want = CV_STR("HTTP/");
	const size_t n = CV_MIN(bytes.n, want.n);

	return cv_str_eq(cv_str_slice(bytes, 0, n), cv_str_slice(want, 0, n)) ? CV_H1_OK
									      : CV_H1_START_LINE;
}

/* HTTP/1.0 or HTTP/1.1; what has the shape of another version is told apart from nonsense. */
static enum cv_h1_rc version_parse(struct cv_str s, uint8_t *ret_minor)
{
	if (s.n != 8 || !cv_str_has_prefix(s, CV_STR("HTTP/")) || s.p[6] != '.' || s.p[5] < '0' ||
		s.p[5] > '9' || s.p[7] < '0' || s.p[7] > '9')
		return CV_H1_START_LINE;
	if (s.p[5] != '1' || s.p[7] > '1')
		return CV_H1_VERSION;
	*ret_minor = (uint8_t)(s.p[7] - '0');
	return CV_H1_OK;
}

/* The text up to CR LF of at's line, which must be all of that class; at moves behind it. */
static bool line_take(struct h1_at *at, unsigned mask, struct cv_str *ret)
{
	const char *p = at->p;

	while (h1_is(*p, mask))
		p++;
	if (p[0] != '\r' || p[1] != '\n')
		return false;
	*ret = cv_str_range(at->p, p);
	at->p = p + 2;
	return true;
}

/* The text up to one space; at moves behind it. */
static bool word_take(struct h1_at *at, unsigned mask, struct cv_str *ret)
{
	const char *p = at->p;

	while (h1_is(*p, mask))
		p++;
	if (p == at->p || *p != ' ')
		return false;
	*ret = cv_str_range(at->p, p);
	at->p = p + 1;
	return true;
}

static enum cv_h1_rc request_line_parse(struct h1_at *at, struct cv_h1_request *r)
{
	struct cv_str version;
	enum cv_h1_rc rc;

	if (!word_take(at, H1_TOKEN, &r->method))
		return CV_H1_METHOD;
	if (!word_take(at, H1_TARGET, &r->target))
		return CV_H1_TARGET;
	if (!line_take(at, H1_TARGET, &version))
		return CV_H1_START_LINE;
	rc = version_parse(version, &r->minor);
	if (rc == CV_H1_VERSION && cv_str_eq(r->method, CV_STR("PRI")))
		return CV_H1_H2_PREFACE;
	if (rc == CV_H1_OK && r->target.n > CV_H1_TARGET_BYTES_MAX)
		return CV_H1_TARGET_LONG;
	return rc;
}

static enum cv_h1_rc absolute_parse(struct cv_h1_request *r)
{
	struct cv_url url;

	switch (cv_url_parse(r->target, &url, NULL)) {
	case CV_URL_OK: break;
	case CV_URL_SCHEME: return CV_H1_SCHEME;
	case CV_URL_AUTHORITY: return CV_H1_AUTHORITY;
	case CV_URL_BYTE:
	case CV_URL_RC_COUNT: return CV_H1_TARGET;
	}
	r->form = CV_H1_FORM_ABSOLUTE;
	r->is_https = url.is_https;
	r->authority = url.authority;
	r->path = url.path;
	r->query = url.query;
	return CV_H1_OK;
}

static enum cv_h1_rc target_parse(struct cv_h1_request *r)
{
	r->authority = (struct cv_authority){ .port = 0 };
	r->path = r->query = CV_STR_NONE;
	r->is_https = false;
	if (cv_str_eq(r->method, CV_STR("CONNECT"))) {
		r->form = CV_H1_FORM_AUTHORITY;
		return cv_authority_parse_port(r->target, &r->authority) == CV_HOST_OK
			       ? CV_H1_OK
			       : CV_H1_AUTHORITY;
	}
	if (r->target.p[0] == '/') {
		r->form = CV_H1_FORM_ORIGIN;
		cv_url_split_query(r->target, &r->path, &r->query);
		return CV_H1_OK;
	}
	if (cv_str_eq(r->target, CV_STR("*"))) {
		r->form = CV_H1_FORM_ASTERISK;
		r->path = r->target;
		return cv_str_eq(r->method, CV_STR("OPTIONS")) ? CV_H1_OK : CV_H1_TARGET;
	}
	return absolute_parse(r);
}

/* Host must be there in HTTP/1.1, once, and agree with what the target names. */
static enum cv_h1_rc host_check(const struct h1_seen *seen, struct cv_h1_request *r)
{
	const uint16_t port_default = r->is_https ? 443 : 80;
	struct cv_authority host;

	if (seen->host_count > 1)
		return CV_H1_HOST_REPEATED;
	if (!seen->host)
		return r->minor == 0 ? CV_H1_OK : CV_H1_HOST_MISSING;
	if (cv_authority_parse(seen->host->value, &host) != CV_HOST_OK)
		return CV_H1_HOST;
	switch (r->form) {
	case CV_H1_FORM_ORIGIN:
	case CV_H1_FORM_ASTERISK: r->authority = host; return CV_H1_OK;
	case CV_H1_FORM_ABSOLUTE:
		return cv_authority_eq(&host, &r->authority, port_default) ? CV_H1_OK
									   : CV_H1_HOST_MISMATCH;
	case CV_H1_FORM_AUTHORITY: /* clients may leave the port out of Host here */
		return cv_authority_eq(&host, &r->authority, r->authority.port)
			       ? CV_H1_OK
			       : CV_H1_HOST_MISMATCH;
	}
	return CV_H1_HOST;
}

static enum cv_h1_rc body_check(const struct h1_seen *seen, struct cv_h1_request *r)
{
	const bool is_connect = r->form == CV_H1_FORM_AUTHORITY;
	enum cv_h1_rc rc;

	r->body = CV_H1_BODY_NONE;
	r->length = 0;
	rc = cv_h1_framing_read(seen, r->minor, &r->body, &r->length);
	if (rc != CV_H1_OK)
		return rc;
	const bool has_body = r->body == CV_H1_BODY_CHUNKED || r->length > 0;
	if (has_body && (is_connect || cv_str_eq(r->method, CV_STR("TRACE"))))
		return CV_H1_BODY; /* RFC 9110 9.3.6, 9.3.8 */
	if (is_connect)
		r->body = CV_H1_BODY_NONE;
	r->is_body_unusual = has_body && (cv_str_eq_nocase(r->method, CV_STR("GET")) ||
						 cv_str_eq_nocase(r->method, CV_STR("HEAD")));
	return CV_H1_OK;
}

/* Expect and Upgrade mean nothing in HTTP/1.0 (RFC 9110 10.1.1, 7.8). */
static enum cv_h1_rc options_check(const struct h1_seen *seen, struct cv_h1_request *r)
{
	struct h1_connection connection = { .has_close = false };
	enum cv_h1_rc rc = cv_h1_connection_read(r->header, r->header_count, &connection);

	if (rc != CV_H1_OK)
		return rc;
	if (seen->expect_count > 1 ||
		(seen->expect && !cv_str_eq_nocase(seen->expect->value, CV_STR("100-continue"))))
		return CV_H1_EXPECT;
	if (seen->upgrade_count > 1 ||
		(seen->upgrade && !cv_h1_upgrade_is_plain(seen->upgrade->value)))
		return CV_H1_UPGRADE;
	r->is_expect_continue = seen->expect && r->minor == 1 && r->body != CV_H1_BODY_NONE;
	r->is_upgrade = seen->upgrade && connection.has_upgrade && r->minor == 1;
	r->upgrade = r->is_upgrade ? seen->upgrade->value : CV_STR_NONE;
	r->is_keep_alive = r->minor == 1 && !connection.has_close;
	r->is_overriding = seen->is_overriding;
	return CV_H1_OK;
}

enum cv_h1_rc cv_h1_request_parse(
	struct cv_str bytes, size_t head_max, size_t *scanned, struct cv_h1_request *ret)
{
	struct h1_seen seen = { .host = NULL };
	enum cv_h1_rc rc;

	/* clang-format off */
	if ((rc = method_check(bytes)) != CV_H1_OK ||
		(rc = cv_h1_head_end(bytes, head_max, scanned, &ret->head_bytes)) != CV_H1_OK)
		return rc;
	struct h1_at at = { bytes.p, bytes.p + ret->head_bytes };
	if ((rc = request_line_parse(&at, ret)) != CV_H1_OK ||
		(rc = target_parse(ret)) != CV_H1_OK ||
		(rc = cv_h1_fields_read(&at, ret->header, CV_H1_HEADERS_MAX, &ret->header_count,
			 &seen)) != CV_H1_OK ||
		(rc = host_check(&seen, ret)) != CV_H1_OK ||
		(rc = body_check(&seen, ret)) != CV_H1_OK)
		return rc;
	/* clang-format on */
	return options_check(&seen, ret);
}

static enum cv_h1_rc status_line_parse(struct h1_at *at, struct cv_h1_response *r)
{
	struct cv_str version, rest;
	uint64_t status;
	enum cv_h1_rc rc;

	if (!word_take(at, H1_TARGET, &version) || !line_take(at, H1_VALUE, &rest))
		return CV_H1_START_LINE;
	rc = version_parse(version, &r->minor);
	if (rc != CV_H1_OK)
		return rc;
	/* Some servers leave the space out together with the phrase; that is still unambiguous. */
	const struct cv_str code = cv_str_slice(rest, 0, 3);
	if (code.n != 3 || !cv_str_to_u64(code, 599, &status) || status < 100 ||
		(rest.n > 3 && rest.p[3] != ' '))
		return CV_H1_STATUS;
	r->status = (int)status;
	r->reason = cv_str_trim(cv_str_slice(rest, 4, rest.n));
	return CV_H1_OK;
}

/* RFC 9112 6.3, in its order. */
static enum cv_h1_rc response_framing(
	const struct h1_seen *seen, enum cv_h1_asked asked, struct cv_h1_response *r)
{
	const bool is_success = r->status >= 200 && r->status < 300;
	const bool is_bodiless = r->status < 200 || r->status == 204;
	enum cv_h1_body body = CV_H1_BODY_CLOSE;
	enum cv_h1_rc rc;

	r->has_length = false;
	r->length = 0;
	r->body = CV_H1_BODY_NONE;
	rc = cv_h1_framing_read(seen, r->minor, &body, &r->length);
	if (rc != CV_H1_OK)
		return rc;
	if (asked == CV_H1_ASKED_CONNECT && is_success) {
		r->length = 0; /* a tunnel; both fields are to be ignored */
		return CV_H1_OK;
	}
	if (is_bodiless) /* `Content-Length: 0` is common here, says nothing, and is dropped */
		return body == CV_H1_BODY_CHUNKED || r->length > 0 ? CV_H1_BODY : CV_H1_OK;
	r->has_length = body == CV_H1_BODY_LENGTH;
	if (asked != CV_H1_ASKED_HEAD && r->status != 304)
		r->body = body;
	return CV_H1_OK;
}

static enum cv_h1_rc response_options(const struct h1_seen *seen, struct cv_h1_response *r)
{
	struct h1_connection connection = { .has_close = false };
	enum cv_h1_rc rc = cv_h1_connection_read(r->header, r->header_count, &connection);

	if (rc != CV_H1_OK)
		return rc;
	r->is_upgrade = r->status == 101;
	r->upgrade = r->is_upgrade && seen->upgrade ? seen->upgrade->value : CV_STR_NONE;
	if (r->is_upgrade && (seen->upgrade_count != 1 || !connection.has_upgrade ||
				     !cv_h1_upgrade_is_plain(r->upgrade)))
		return CV_H1_UPGRADE;
	r->is_keep_alive = r->minor == 1 && !connection.has_close && r->body != CV_H1_BODY_CLOSE;
	return CV_H1_OK;
}

enum cv_h1_rc cv_h1_response_parse(struct cv_str bytes, size_t head_max, size_t *scanned,
	enum cv_h1_asked asked, struct cv_h1_response *ret)
{
	struct h1_seen seen = { .host = NULL };
	enum cv_h1_rc rc;

	/* clang-format off */
	if ((rc = protocol_check(bytes)) != CV_H1_OK ||
		(rc = cv_h1_head_end(bytes, head_max, scanned, &ret->head_bytes)) != CV_H1_OK)
		return rc;
	struct h1_at at = { bytes.p, bytes.p + ret->head_bytes };
	if ((rc = status_line_parse(&at, ret)) != CV_H1_OK ||
		(rc = cv_h1_fields_read(&at, ret->header, CV_H1_HEADERS_MAX, &ret->header_count,
			 &seen)) != CV_H1_OK ||
		(rc = response_framing(&seen, asked, ret)) != CV_H1_OK)
		return rc;
	/* clang-format on */
	return response_options(&seen, ret);
}
