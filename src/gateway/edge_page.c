/* SPDX-License-Identifier: Apache-2.0 */
/*
 * edge_page.c - the page on which a person gives a log-in to the command line; see edge.h
 *
 * Everything that is put into it is of an alphabet without markup (a number, a code, a token that was
 * verified), or escaped (a name).  Its script is a file of ours, and may talk to one address: the
 * client's.  It does so when the person has compared the code with the terminal's and says so; a link
 * that somebody else made would show a code that no terminal shows.
 *
 * Pure.
 */
#include "gateway/edge.h"

#include <stdlib.h>

#define PORT_MIN 1024 /* of a client; below are services that a POST might mean something to */

static bool port_read(struct cv_str text, uint16_t *ret)
{
	uint64_t n;

	if (!text.n || text.p[0] == '0' || !cv_str_to_u64(text, UINT16_MAX, &n) || n < PORT_MIN)
		return false;
	*ret = (uint16_t)n;
	return true;
}

static bool code_read(struct cv_str text, char ret[CV_GW_EDGE_CODE_BYTES + 1])
{
	if (text.n != CV_GW_EDGE_CODE_BYTES)
		return false;
	for (size_t i = 0; i < text.n; i++) {
		const char c = text.p[i];
		const bool is_fine =
			i == 3 ? c == '-' : (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

		if (!is_fine)
			return false;
	}
	return cv_str_to_cstr(text, ret, CV_GW_EDGE_CODE_BYTES + 1);
}

bool cv_gw_edge_query_read(struct cv_str query, struct cv_gw_edge_asked *ret)
{
	struct cv_gw_edge_asked asked = { 0 };
	unsigned ports = 0, codes = 0;

	while (query.p && query.n) {
		struct cv_str value = cv_str_cut(&query, '&');
		const struct cv_str key = cv_str_cut(&value, '=');

		if (cv_str_eq(key, CV_STR("callback_port"))) {
			if (ports++ || !port_read(value, &asked.port))
				return false;
		} else if (cv_str_eq(key, CV_STR("code"))) {
			if (codes++ || !code_read(value, asked.code))
				return false;
		}
	}
	if (!ports || !codes)
		return false;
	*ret = asked;
	return true;
}

/* ---- the page ---- */

#define HEAD                                                                       \
	"<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"        \
	"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">" \
	"<meta name=\"color-scheme\" content=\"light dark\"><title>cove</title>"   \
	"<link rel=\"icon\" href=\"data:,\">"                                      \
	"<link rel=\"stylesheet\" href=\"/console/style.css\">"
#define BODY "<header><h1>cove</h1></header><main id=\"main\"><section>"
#define END  "</section></main></body></html>\n"

const char cv_gw_edge_page_error[] = HEAD
	"</head><body>" BODY "<h2>This is no log-in</h2>"
	"<p>This page is opened by <code>cove gateway login</code>, and reached through the edge "
	"proxy that the gateway is behind. The command line says what to do.</p>" END;

static void escaped_put(struct cv_buf *b, struct cv_str s)
{
	for (size_t i = 0; i < s.n; i++) {
		switch (s.p[i]) {
		case '&': cv_buf_put(b, CV_STR("&amp;")); break;
		case '<': cv_buf_put(b, CV_STR("&lt;")); break;
		case '>': cv_buf_put(b, CV_STR("&gt;")); break;
		case '"': cv_buf_put(b, CV_STR("&quot;")); break;
		case '\'': cv_buf_put(b, CV_STR("&#39;")); break;
		default: cv_buf_put_byte(b, s.p[i]); break;
		}
	}
}

void cv_gw_edge_heads_put(struct cv_buf *b, const struct cv_gw_edge_asked *asked)
{
	cv_buf_put(b, CV_STR("content-security-policy: default-src 'none'; style-src 'self'; "
			     "img-src data:; base-uri 'none'; form-action 'none'; "
			     "frame-ancestors 'none'; require-trusted-types-for 'script'; "
			     "trusted-types 'none'"));
	if (asked)
		cv_buf_printf(b, "; script-src 'self'; connect-src http://127.0.0.1:%u/callback",
			(unsigned)asked->port);
	cv_buf_put(b, CV_STR("\r\nx-content-type-options: nosniff\r\nx-frame-options: DENY\r\n"
			     "referrer-policy: no-referrer\r\n"
			     "cross-origin-opener-policy: same-origin\r\n"
			     "cross-origin-resource-policy: same-origin\r\n"
			     "permissions-policy: camera=(), geolocation=(), microphone=()\r\n"
			     "cache-control: no-store\r\n"));
}

void cv_gw_edge_page_put(struct cv_buf *b, const struct cv_gw_edge_asked *asked, const char *who,
	struct cv_str token)
{
	cv_buf_put(b, CV_STR(HEAD "<script src=\"/auth/connect.js\" defer></script></head>"));
	cv_buf_printf(b, "<body data-port=\"%u\" data-code=\"%s\" data-token=\"",
		(unsigned)asked->port, asked->code);
	escaped_put(b, token);
	cv_buf_put(b, CV_STR("\">" BODY "<h2>Log in the command line</h2><p>You are <strong>"));
	escaped_put(b, cv_str_of(who));
	cv_buf_printf(b,
		"</strong>. Does your terminal show this code?</p><p><code id=\"code\">%s"
		"</code></p>",
		asked->code);
	cv_buf_put(
		b, CV_STR("<p><button id=\"connect\" type=\"button\">It does: log in</button></p>"
			  "<p>If it shows another one, or none, close this page.</p>"
			  "<p id=\"said\" role=\"status\"></p>" END));
}
