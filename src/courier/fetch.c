/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fetch.c - one request over HTTPS, without anything that HTTP clients do on their own account
 *
 * No redirects (a token endpoint that redirects is another endpoint), no cookies, no proxy of the
 * environment, no .netrc, no reuse of connections or sessions between errands, no protocol but
 * https, TLS 1.2 or later, verified against the roots that were given and no others.
 *
 * http:// is for tests, to this host only, and for probes of what is used without TLS
 * (CV_COURIER_HTTP); only if who started it said so at the start.
 */
#include "courier/courier.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TEXT_BYTES_MAX (CV_IPC_BODY_BYTES_MAX + 4) /* a message, and a NUL behind each part */

static const char *const kept_names[COURIER_KEPT_MAX] = { "Retry-After", "X-RateLimit-Remaining",
	"Content-Type" };

/* ---- what may be asked ---- */

static bool is_loopback(const char *host)
{
	return !strcmp(host, "127.0.0.1") || !strcmp(host, "[::1]") || !strcmp(host, "localhost");
}

/* By curl's own reading of the URL, which is the one that counts. */
static bool is_url_allowed(const struct courier *c, const char *url)
{
	CURLU *const parts = curl_url();
	char *scheme = NULL, *host = NULL;
	const bool is_read =
		parts &&
		curl_url_set(parts, CURLUPART_URL, url, CURLU_DISALLOW_USER) == CURLUE_OK &&
		curl_url_get(parts, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
		curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK;
	const bool is_allowed =
		is_read && (!strcmp(scheme, "https") ||
				   (!strcmp(scheme, "http") &&
					   ((c->flags & CV_COURIER_HTTP) ||
						   ((c->flags & CV_COURIER_LOOPBACK_HTTP) &&
							   is_loopback(host)))));

	curl_free(scheme);
	curl_free(host);
	curl_url_cleanup(parts);
	return is_allowed;
}

/* Printable ASCII, so that a header stays one line. */
static bool is_line(struct cv_str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < ' ' || (unsigned char)s.p[i] >= 0x7f)
			return false;
	return s.n > 0;
}

static bool is_method_allowed(struct cv_str method)
{
	return cv_str_eq(method, CV_STR("POST")) || cv_str_eq(method, CV_STR("GET"));
}

/* ---- what comes back ---- */

static size_t body_take(char *bytes, size_t size, size_t count, void *arg)
{
	struct errand *const e = arg;

	return cv_buf_put(&e->body, (struct cv_str){ bytes, size * count }) ? size * count : 0;
}

static void header_keep(struct errand *e, struct cv_str name, struct cv_str value)
{
	for (size_t i = 0; i < COURIER_KEPT_MAX && e->kept_count < COURIER_KEPT_MAX; i++) {
		struct courier_kept *const k = &e->kept[e->kept_count];

		if (!cv_str_eq_nocase(name, cv_str_of(kept_names[i])) || !is_line(value) ||
			!cv_str_to_cstr(value, k->value, sizeof(k->value)))
			continue;
		k->name = kept_names[i];
		e->kept_count++;
	}
}

/* One line, with its end. */
static size_t header_take(char *bytes, size_t size, size_t count, void *arg)
{
	struct cv_str line = { bytes, size * count };

	while (line.n && (line.p[line.n - 1] == '\n' || line.p[line.n - 1] == '\r'))
		line.n--;
	const struct cv_str name = cv_str_cut(&line, ':');
	if (line.p)
		header_keep(arg, name, cv_str_trim(line));
	return size * count;
}

/* ---- a transfer ---- */

cv_code fetch_open(struct courier *c, struct cv_err *err)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || !(c->multi = curl_multi_init()))
		return cv_fail(err, CV_SYSTEM, "libcurl does not start");
	return CV_OK;
}

/* The errand's own copies: method, URL, body, a NUL behind each. */
static bool text_copy(struct errand *e, struct cv_str method, struct cv_str url, struct cv_str body)
{
	cv_buf_init(&e->text, TEXT_BYTES_MAX);
	cv_buf_put(&e->text, method), cv_buf_put_byte(&e->text, 0);
	cv_buf_put(&e->text, url), cv_buf_put_byte(&e->text, 0);
	cv_buf_put(&e->text, body), cv_buf_put_byte(&e->text, 0);
	return !e->text.is_overflown;
}

static bool header_append(struct errand *e, struct cv_str name, struct cv_str value)
{
	struct curl_slist *longer = NULL;
	struct cv_buf line;

	cv_buf_init(&line, CV_IPC_BODY_BYTES_MAX);
	cv_buf_put(&line, name), cv_buf_put(&line, CV_STR(": ")), cv_buf_put(&line, value);
	cv_buf_put_byte(&line, 0);
	if (!line.is_overflown)
		longer = curl_slist_append(e->headers, cv_buf_str(&line).p);
	if (line.data)
		explicit_bzero(line.data, line.cap);
	cv_buf_fini(&line);
	if (longer)
		e->headers = longer;
	return longer != NULL;
}

/* False: the message is malformed. */
static bool headers_read(struct errand *e, struct cv_ipc_reader *r, bool *ret_allowed)
{
	const uint32_t count = cv_ipc_get_u32(r);

	*ret_allowed = count <= COURIER_HEADERS_MAX;
	for (uint32_t i = 0; i < count && *ret_allowed && !r->is_bad; i++) {
		const struct cv_str name = cv_ipc_get_str(r), value = cv_ipc_get_str(r);

		*ret_allowed = is_line(name) && is_line(value) && !cv_str_has_byte(name, ':') &&
			       header_append(e, name, value);
	}
	return !r->is_bad;
}

/* Every option is a promise of this file's head; one that is refused ends the errand. */
static bool options_set(struct courier *c, struct errand *e, const char *method, const char *url,
	struct cv_str body)
{
	const bool is_post = method[0] == 'P';
	struct curl_blob roots = {
		.data = c->roots, .len = c->root_bytes, .flags = CURL_BLOB_NOCOPY
	};
	const char *const protocols =
		c->flags & (CV_COURIER_LOOPBACK_HTTP | CV_COURIER_HTTP) ? "https,http" : "https";
	CURL *const easy = e->easy;

#define SET(option, value) (curl_easy_setopt(easy, CURLOPT_##option, value) == CURLE_OK)
	return SET(URL, url) && SET(PROTOCOLS_STR, protocols) &&
	       SET(REDIR_PROTOCOLS_STR, "https") && SET(FOLLOWLOCATION, 0L) && SET(PROXY, "") &&
	       SET(NETRC, (long)CURL_NETRC_IGNORED) && SET(SSL_VERIFYPEER, 1L) &&
	       SET(SSL_VERIFYHOST, 2L) && SET(CAINFO, NULL) && SET(CAPATH, NULL) &&
	       SET(CAINFO_BLOB, &roots) && SET(SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) &&
	       SET(SSL_SESSIONID_CACHE, 0L) && SET(FORBID_REUSE, 1L) && SET(NOSIGNAL, 1L) &&
	       SET(TIMEOUT_MS, (long)COURIER_FETCH_MS) &&
	       SET(CONNECTTIMEOUT_MS, (long)COURIER_CONNECT_MS) && SET(RESOLVE, c->pins) &&
	       SET(HTTPHEADER, e->headers) && SET(POST, (long)is_post) &&
	       (!is_post ||
		       (SET(POSTFIELDSIZE_LARGE, (curl_off_t)body.n) && SET(POSTFIELDS, body.p))) &&
	       SET(WRITEFUNCTION, body_take) && SET(WRITEDATA, e) &&
	       SET(HEADERFUNCTION, header_take) && SET(HEADERDATA, e) && SET(PRIVATE, e);
#undef SET
}

cv_code fetch_start(
	struct courier *c, struct errand *e, struct cv_ipc_reader *r, struct cv_err *err)
{
	const struct cv_str method = cv_ipc_get_str(r), url = cv_ipc_get_str(r);
	bool is_allowed;

	if (!headers_read(e, r, &is_allowed))
		return cv_fail(err, CV_PROTO, "FETCH: bad body");
	if (!is_allowed || !is_method_allowed(method) || !is_line(url)) {
		errand_failed(c, e, CV_COURIER_FAILURE_MESSAGE);
		return CV_OK;
	}
	const struct cv_str body = cv_ipc_get_str(r);
	if (!cv_ipc_reader_is_done(r))
		return cv_fail(err, CV_PROTO, "FETCH: bad body");

	/* Curl would ask "Expect: 100-continue" of a large body, and wait. */
	struct curl_slist *const longer = curl_slist_append(e->headers, "Expect:");
	if (longer)
		e->headers = longer;
	cv_buf_init(&e->body, CV_COURIER_BODY_BYTES_MAX);
	e->easy = curl_easy_init();
	if (!longer || !e->easy || !text_copy(e, method, url, body)) {
		errand_failed(c, e, CV_COURIER_FAILURE_BUSY);
		return CV_OK;
	}
	const char *const method_z = cv_buf_str(&e->text).p;
	const char *const url_z = method_z + method.n + 1;
	const struct cv_str body_copy = { url_z + url.n + 1, body.n };
	if (!is_url_allowed(c, url_z) || !options_set(c, e, method_z, url_z, body_copy) ||
		curl_multi_add_handle(c->multi, e->easy) != CURLM_OK)
		errand_failed(c, e, CV_COURIER_FAILURE_MESSAGE);
	return CV_OK;
}

void fetch_drop(struct courier *c, struct errand *e)
{
	if (e->easy) {
		curl_multi_remove_handle(c->multi, e->easy);
		curl_easy_cleanup(e->easy);
	}
	for (struct curl_slist *h = e->headers; h; h = h->next)
		explicit_bzero(h->data, strlen(h->data));
	curl_slist_free_all(e->headers);
	if (e->text.data)
		explicit_bzero(e->text.data, e->text.cap);
	cv_buf_fini(&e->text);
	e->easy = NULL;
	e->headers = NULL;
	e->kept_count = 0;
}

static enum cv_courier_failure failure_of(CURLcode code)
{
	static const struct {
		CURLcode code;
		enum cv_courier_failure why;
	} rows[] = {
		{ CURLE_UNSUPPORTED_PROTOCOL, CV_COURIER_FAILURE_MESSAGE },
		{ CURLE_URL_MALFORMAT, CV_COURIER_FAILURE_MESSAGE },
		{ CURLE_COULDNT_RESOLVE_HOST, CV_COURIER_FAILURE_RESOLVE },
		{ CURLE_COULDNT_CONNECT, CV_COURIER_FAILURE_CONNECT },
		{ CURLE_OPERATION_TIMEDOUT, CV_COURIER_FAILURE_TIMEOUT },
		{ CURLE_PEER_FAILED_VERIFICATION, CV_COURIER_FAILURE_TLS },
		{ CURLE_SSL_CONNECT_ERROR, CV_COURIER_FAILURE_TLS },
		{ CURLE_SSL_CACERT_BADFILE, CV_COURIER_FAILURE_TLS },
		{ CURLE_SSL_CERTPROBLEM, CV_COURIER_FAILURE_TLS },
		{ CURLE_SSL_CIPHER, CV_COURIER_FAILURE_TLS },
		{ CURLE_WRITE_ERROR, CV_COURIER_FAILURE_LARGE },
	};

	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++)
		if (rows[i].code == code)
			return rows[i].why;
	return CV_COURIER_FAILURE_BROKEN;
}

void fetch_step(struct courier *c)
{
	int running, left;
	CURLMsg *m;

	curl_multi_perform(c->multi, &running);
	while ((m = curl_multi_info_read(c->multi, &left))) {
		const CURLcode code = m->data.result;
		struct errand *e = NULL;
		long status = 0;

		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&e);
		curl_easy_getinfo(m->easy_handle, CURLINFO_RESPONSE_CODE, &status);
		if (code == CURLE_OK)
			errand_carried(c, e, (int)status);
		else
			errand_failed(c, e, failure_of(code));
	}
}
