/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fetch.c - see fetch.h
 *
 * libcurl's multi interface: it says which descriptors it wants to hear of and when, the loop tells
 * it.  Transfers end in ended_take() alone, outside of any callback of curl's, so that whoever is
 * told may drop them.
 *
 * Requests carry credentials, and curl copies them: its memory is wiped when it gives it back.
 */
#include "broker/fetch.h"

#include "base/ip.h"
#include "broker/broker.h"
#include "broker/curl_lib.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECTS_KEPT 64

static struct curl_lib lib;

struct fetch {
	CURL *easy;
	struct curl_slist *headers;
	struct cv_buf text; /* method, URL, socket, body, a NUL behind each */
	struct fetch_plan plan;
	bool is_loopback_only;
	bool is_refused; /* its address */
	bool is_cut;
	char why[CURL_ERROR_SIZE];
	CURLM *multi;
};

/* ---- curl's memory ---- */

static void wiping_free(void *p)
{
	if (p)
		explicit_bzero(p, malloc_usable_size(p));
	free(p);
}

static void *wiping_realloc(void *p, size_t n)
{
	const size_t had = p ? malloc_usable_size(p) : 0;
	void *more;

	if (n && n <= had && n > had / 2)
		return p;
	more = malloc(n ? n : 1);
	if (more && p)
		memcpy(more, p, CV_MIN(n, had));
	if (more)
		wiping_free(p);
	return more;
}

/* ---- the loop ---- */

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
	struct broker *b = arg;
	struct cv_err err;
	uint32_t events = 0;

	(void)easy;
	if (known)
		cv_loop_remove(&b->loop, fd);
	if (what == CURL_POLL_REMOVE) {
		lib.multi_assign(b->curl, fd, NULL);
		return 0;
	}
	if (what & CURL_POLL_IN)
		events |= EPOLLIN;
	if (what & CURL_POLL_OUT)
		events |= EPOLLOUT;
	lib.multi_assign(b->curl, fd, b); /* anything but NULL: it is watched */
	return cv_loop_add(&b->loop, fd, events,
		       (struct cv_watch){ WATCH_CURL, { (uint32_t)fd, 0 } }, &err) == CV_OK
		       ? 0
		       : -1;
}

static int on_timer(CURLM *multi, long ms, void *arg)
{
	struct broker *b = arg;

	(void)multi;
	b->curl_due_ms = ms < 0 ? 0 : b->loop.now_ms + ms;
	if (ms >= 0)
		due_at(b, b->curl_due_ms);
	return 0;
}

static bool multi_begin(struct broker *b, CURLM *m)
{
	return m && lib.multi_setopt(m, CURLMOPT_SOCKETFUNCTION, on_socket) == CURLM_OK &&
	       lib.multi_setopt(m, CURLMOPT_SOCKETDATA, b) == CURLM_OK &&
	       lib.multi_setopt(m, CURLMOPT_TIMERFUNCTION, on_timer) == CURLM_OK &&
	       lib.multi_setopt(m, CURLMOPT_TIMERDATA, b) == CURLM_OK &&
	       lib.multi_setopt(m, CURLMOPT_MAXCONNECTS, (long)CONNECTS_KEPT) == CURLM_OK;
}

/* Before the first request. */
static cv_code curl_begin(struct broker *b, struct cv_err *err)
{
	CURLM *m = NULL;

	if (b->curl)
		return CV_OK;
	const cv_code code = curl_lib_load(&lib, err);
	if (code != CV_OK)
		return code;
	if (lib.global_init_mem(CURL_GLOBAL_DEFAULT, malloc, wiping_free, wiping_realloc, strdup,
		    calloc) == CURLE_OK)
		m = lib.multi_init();
	if (!multi_begin(b, m))
		return cv_fail(err, CV_SYSTEM, "libcurl does not start");
	b->curl = m;
	return CV_OK;
}

void fetch_roots_set(struct broker *b, char *pem, size_t bytes)
{
	free(b->roots);
	b->roots = pem;
	b->root_bytes = bytes;
}

bool fetch_pin_add(struct broker *b, struct cv_str host, uint32_t port, struct cv_str address)
{
	struct curl_slist **last = &b->pins;
	char *text;

	if (cv_str_has_byte(host, 0) || cv_str_has_byte(address, 0) || port == 0 || port > 65535 ||
		asprintf(&text, "%.*s:%u:%.*s", CV_STR_ARG(host), port, CV_STR_ARG(address)) < 0)
		return false;
	while (*last)
		last = &(*last)->next;
	*last = malloc(sizeof(**last)); /* ours from end to end: curl may not be there yet */
	if (*last)
		**last = (struct curl_slist){ .data = text };
	else
		free(text);
	return *last != NULL;
}

/* ---- addresses ---- */

/* Where curl is about to connect to. */
static curl_socket_t on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
	struct fetch *f = arg;
	struct cv_ip ip;
	uint16_t port;

	(void)purpose;
	if (a->family != AF_UNIX) {
		if (!cv_ip_from_sockaddr(&a->addr, a->addrlen, &ip, &port)) {
			f->is_refused = true;
			return CURL_SOCKET_BAD;
		}
		const struct cv_ip_class_row *row = cv_ip_classify(&ip);
		const bool is_loopback = strcmp(row->name, "loopback") == 0;

		if (!is_loopback && (f->is_loopback_only || row->class <= CV_IP_METADATA)) {
			f->is_refused = true;
			return CURL_SOCKET_BAD;
		}
	}
	return socket(a->family, a->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->protocol);
}

/* ---- what comes back ---- */

static size_t on_data(char *bytes, size_t size, size_t count, void *arg)
{
	struct fetch *f = arg;

	if (f->plan.data && !f->plan.data(f->plan.arg, (struct cv_str){ bytes, size * count })) {
		f->is_cut = true;
		return 0;
	}
	return size * count;
}

static size_t on_head(char *bytes, size_t size, size_t count, void *arg)
{
	struct cv_str line = { bytes, size * count };
	struct fetch *f = arg;

	while (line.n && (line.p[line.n - 1] == '\n' || line.p[line.n - 1] == '\r'))
		line.n--;
	const struct cv_str name = cv_str_cut(&line, ':');
	if (line.p && f->plan.head)
		f->plan.head(f->plan.arg, name, cv_str_trim(line));
	return size * count;
}

/* ---- a request ---- */

static bool header_append(struct fetch *f, struct cv_str name, struct cv_str value)
{
	struct curl_slist *longer = NULL;
	struct cv_buf line;

	cv_buf_init(&line, 1u << 20);
	(void)!cv_buf_reserve(&line, name.n + value.n + 8);
	cv_buf_put(&line, name);
	/* "Name:" would remove it; one that is empty is said with a semicolon, by curl's custom. */
	cv_buf_put(&line, value.n ? CV_STR(": ") : CV_STR(";"));
	cv_buf_put(&line, value);
	cv_buf_put_byte(&line, 0);
	if (!line.is_overflown)
		longer = lib.slist_append(f->headers, cv_buf_str(&line).p);
	cv_buf_wipe(&line);
	if (longer)
		f->headers = longer;
	return longer != NULL;
}

static bool headers_make(struct fetch *f, const struct fetch_plan *p)
{
	/* Curl would ask "Expect: 100-continue" of a large body, and wait. */
	bool is_good = (f->headers = lib.slist_append(NULL, "Expect:")) != NULL;
	bool has_type = false;

	for (size_t i = 0; i < p->header_count && is_good; i++) {
		has_type |= cv_str_eq_nocase(p->header[i].name, CV_STR("content-type"));
		is_good = header_append(f, p->header[i].name, p->header[i].value);
	}
	if (is_good && p->has_body && !has_type)
		is_good = header_append(f, CV_STR("Content-Type"), CV_STR("application/json"));
	return is_good;
}

static bool text_make(struct fetch *f, const struct fetch_plan *p)
{
	cv_buf_init(&f->text, 64u << 20);
	(void)!cv_buf_reserve(&f->text, p->method.n + p->url.n + p->socket.n + p->body.n + 8);
	cv_buf_put(&f->text, p->method), cv_buf_put_byte(&f->text, 0);
	cv_buf_put(&f->text, p->url), cv_buf_put_byte(&f->text, 0);
	cv_buf_put(&f->text, p->socket), cv_buf_put_byte(&f->text, 0);
	cv_buf_put(&f->text, p->body), cv_buf_put_byte(&f->text, 0);
	return !f->text.is_overflown;
}

/* By curl's own reading of the URL, which is the one that counts. */
static bool is_url_good(struct fetch *f, const char *url)
{
	CURLU *const parts = lib.url();
	char *scheme = NULL;
	const bool is_read = parts &&
			     lib.url_set(parts, CURLUPART_URL, url,
				     CURLU_DISALLOW_USER | CURLU_PATH_AS_IS) == CURLUE_OK &&
			     lib.url_get(parts, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK;
	const bool is_https = is_read && !strcmp(scheme, "https");
	const bool is_good = is_https || (is_read && !strcmp(scheme, "http"));

	f->is_loopback_only = !is_https && !f->plan.socket.n;
	lib.free(scheme);
	lib.url_cleanup(parts);
	return is_good;
}

static bool options_set(struct broker *b, struct fetch *f)
{
	const struct fetch_plan *p = &f->plan;
	const char *const method = cv_buf_str(&f->text).p;
	const char *const url = method + p->method.n + 1;
	const char *const path = url + p->url.n + 1;
	const char *const body = path + p->socket.n + 1;
	struct curl_blob roots = { .data = b->roots, .len = b->root_bytes };
	CURL *const easy = f->easy;

#define SET(option, value) (lib.easy_setopt(easy, CURLOPT_##option, value) == CURLE_OK)
	return SET(URL, url) && SET(PATH_AS_IS, 1L) && SET(PROTOCOLS_STR, "https,http") &&
	       SET(FOLLOWLOCATION, 0L) && SET(PROXY, "") && SET(NETRC, (long)CURL_NETRC_IGNORED) &&
	       SET(SSL_VERIFYPEER, 1L) && SET(SSL_VERIFYHOST, 2L) &&
	       SET(SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) &&
	       (!b->root_bytes ||
		       (SET(CAINFO, NULL) && SET(CAPATH, NULL) && SET(CAINFO_BLOB, &roots))) &&
	       SET(NOSIGNAL, 1L) && SET(TCP_KEEPALIVE, 1L) &&
	       SET(CONNECTTIMEOUT_MS, (long)BROKER_CONNECT_MS) &&
	       SET(TIMEOUT_MS, (long)p->timeout_ms) && SET(RESOLVE, b->pins) &&
	       SET(HTTPHEADER, f->headers) && SET(USERAGENT, "cove/" CV_VERSION) &&
	       (!p->socket.n || SET(UNIX_SOCKET_PATH, path)) &&
	       (!p->has_body || (SET(POSTFIELDSIZE_LARGE, (curl_off_t)p->body.n) &&
					SET(POSTFIELDS, body))) &&
	       (cv_str_eq(p->method, CV_STR("HEAD")) ? SET(NOBODY, 1L)
						     : SET(CUSTOMREQUEST, method)) &&
	       SET(OPENSOCKETFUNCTION, on_open) && SET(OPENSOCKETDATA, f) &&
	       SET(WRITEFUNCTION, on_data) && SET(WRITEDATA, f) && SET(HEADERFUNCTION, on_head) &&
	       SET(HEADERDATA, f) && SET(ERRORBUFFER, f->why) && SET(PRIVATE, f);
#undef SET
}

cv_code fetch_start(
	struct broker *b, const struct fetch_plan *plan, struct fetch **ret, struct cv_err *err)
{
	const cv_code code = curl_begin(b, err);
	struct fetch *f = code == CV_OK ? calloc(1, sizeof(*f)) : NULL;

	if (!f)
		return code != CV_OK ? code : cv_fail(err, CV_LIMIT, "no memory");
	f->plan = *plan;
	f->multi = b->curl;
	f->easy = lib.easy_init();
	if (!f->easy || !text_make(f, plan) || !headers_make(f, plan)) {
		fetch_drop(f);
		return cv_fail(err, CV_LIMIT, "the request is too large");
	}
	if (!is_url_good(f, cv_buf_str(&f->text).p + plan->method.n + 1) || !options_set(b, f) ||
		lib.multi_add_handle(b->curl, f->easy) != CURLM_OK) {
		fetch_drop(f);
		return cv_fail(err, CV_INVALID, "the request can't be made: its URL is no good");
	}
	f->plan.header = NULL;
	f->plan.method = f->plan.url = f->plan.socket = f->plan.body = CV_STR_NONE;
	*ret = f;
	return CV_OK;
}

int fetch_status(const struct fetch *f)
{
	long status = 0;

	lib.easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
	return (int)status;
}

void fetch_drop(struct fetch *f)
{
	if (!f)
		return;
	if (f->easy) {
		lib.multi_remove_handle(f->multi, f->easy); /* not in it is fine too */
		lib.easy_cleanup(f->easy);
	}
	for (struct curl_slist *h = f->headers; h; h = h->next)
		explicit_bzero(h->data, strlen(h->data));
	lib.slist_free_all(f->headers);
	cv_buf_wipe(&f->text);
	free(f);
}

/* ---- its end ---- */

static const char *failure_of(const struct fetch *f, CURLcode code)
{
	static const struct {
		CURLcode code;
		const char *text;
	} row[] = {
		{ CURLE_COULDNT_RESOLVE_HOST, "the server's name has no address" },
		{ CURLE_COULDNT_CONNECT, "the server can't be reached" },
		{ CURLE_OPERATION_TIMEDOUT, "the server gave no whole answer in time" },
		{ CURLE_PEER_FAILED_VERIFICATION, "the server's certificate can't be verified" },
		{ CURLE_SSL_CONNECT_ERROR, "TLS with the server failed" },
		{ CURLE_SSL_CACERT_BADFILE, "there are no roots to verify the server by" },
		{ CURLE_GOT_NOTHING, "the server closed the connection without an answer" },
		{ CURLE_RECV_ERROR, "the connection to the server broke" },
		{ CURLE_SEND_ERROR, "the connection to the server broke" },
		{ CURLE_PARTIAL_FILE, "the server's answer ended early" },
	};

	if (f->is_refused)
		return f->is_loopback_only
			       ? "the server's address is not this host's, and plain http goes nowhere else"
			       : "the server's address is one that is never allowed (metadata, link-local)";
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++)
		if (row[i].code == code)
			return row[i].text;
	return "the server's answer is not HTTP, or ended early";
}

static void ended_take(struct broker *b)
{
	CURLMsg *m;
	int left;

	while ((m = lib.multi_info_read(b->curl, &left))) {
		const CURLcode code = m->data.result;
		struct fetch *f = NULL;

		if (m->msg != CURLMSG_DONE)
			continue;
		lib.easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&f);
		const struct fetch_end e = {
			.status = fetch_status(f),
			.is_cut = f->is_cut,
			.failure = code == CURLE_OK || f->is_cut ? NULL : failure_of(f, code),
		};
		f->plan.end(b, f->plan.arg, &e); /* f may be gone */
	}
}

void fetch_event(struct broker *b, int fd, uint32_t events)
{
	int running, what = 0;

	if (events & EPOLLIN)
		what |= CURL_CSELECT_IN;
	if (events & EPOLLOUT)
		what |= CURL_CSELECT_OUT;
	if (events & (EPOLLERR | EPOLLHUP))
		what |= CURL_CSELECT_IN | CURL_CSELECT_OUT | CURL_CSELECT_ERR;
	lib.multi_socket_action(b->curl, fd, what, &running);
	ended_take(b);
}

void fetch_due(struct broker *b)
{
	int running;

	if (b->curl_due_ms && b->curl_due_ms <= b->loop.now_ms) {
		b->curl_due_ms = 0;
		lib.multi_socket_action(b->curl, CURL_SOCKET_TIMEOUT, 0, &running);
		ended_take(b);
	}
	due_at(b, b->curl_due_ms);
}
