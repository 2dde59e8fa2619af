/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pages.c - an exchange as a request of HTTP, and what pages use; see pages.h
 *
 * The page is chosen by its head: the longest path that fits, then its methods.  Who asks is judged
 * before the body is read; the page is called when all of it is there.
 */
#include "rpc/server_int.h"

#include "base/assert.h"

#include <stdio.h>

static struct cv_rpc_xchg *xchg_of(const struct cv_rpc_request *r)
{
	return (struct cv_rpc_xchg *)((uintptr_t)r - offsetof(struct cv_rpc_xchg, page));
}

/* ---- what a page asks ---- */

struct cv_str cv_rpc_request_method(const struct cv_rpc_request *r)
{
	return xchg_of(r)->method;
}

struct cv_str cv_rpc_request_path(const struct cv_rpc_request *r)
{
	return xchg_of(r)->path;
}

struct cv_str cv_rpc_request_query(const struct cv_rpc_request *r)
{
	return xchg_of(r)->query;
}

struct cv_str cv_rpc_request_host(const struct cv_rpc_request *r)
{
	return xchg_of(r)->host;
}

struct cv_str cv_rpc_request_header(const struct cv_rpc_request *r, const char *name)
{
	return cv_rpc_xchg_get(xchg_of(r), name);
}

struct cv_str cv_rpc_request_body(const struct cv_rpc_request *r)
{
	return cv_buf_str(&xchg_of(r)->in);
}

const struct cv_principal *cv_rpc_request_principal(const struct cv_rpc_request *r)
{
	return &xchg_of(r)->who;
}

struct cv_str cv_rpc_request_assertion(const struct cv_rpc_request *r)
{
	return cv_rpc_xchg_assertion(xchg_of(r));
}

const char *cv_rpc_request_id(const struct cv_rpc_request *r)
{
	return xchg_of(r)->request_id;
}

struct cv_arena *cv_rpc_request_arena(struct cv_rpc_request *r)
{
	return &xchg_of(r)->arena;
}

struct cv_rpc_server *cv_rpc_request_server(const struct cv_rpc_request *r)
{
	return xchg_of(r)->server;
}

void *cv_rpc_request_arg(const struct cv_rpc_request *r)
{
	return xchg_of(r)->server->config.arg;
}

void cv_rpc_request_set_state(struct cv_rpc_request *r, void *state)
{
	r->state = state;
}

void *cv_rpc_request_state(const struct cv_rpc_request *r)
{
	return r->state;
}

void cv_rpc_request_set_route(struct cv_rpc_request *r, const char *route)
{
	r->route = route;
}

/* ---- answers ---- */

#define PAGE_FIELDS_MAX 24 /* of an answer: type, length and what the page adds */

/* "name: value\r\n" lines; names in lower case, as HTTP/2 wants them. */
static size_t lines_cut(
	struct cv_arena *a, const char *headers, struct cv_rpc_field *ret, size_t max)
{
	struct cv_str rest = cv_str_of(headers);
	size_t n = 0;

	while (rest.n && n < max) {
		struct cv_str value = cv_str_cut(&rest, '\n');
		const struct cv_str name = cv_arena_str(a, cv_str_cut(&value, ':'));
		char *p = (char *)(uintptr_t)name.p;

		if (value.n && value.p[value.n - 1] == '\r')
			value.n--;
		value = cv_arena_str(a, cv_str_trim(value));
		if (!p || !value.p)
			break;
		for (size_t i = 0; i < name.n; i++)
			p[i] = cv_ascii_lower(p[i]);
		cv_assert(cv_h1_is_token(name) && (!value.n || cv_h1_is_field_value(value)));
		ret[n++] = (struct cv_rpc_field){ name, value };
	}
	return n;
}

static void head_send(struct cv_rpc_xchg *x, int status, const char *type, const char *headers,
	bool has_body, bool has_length, size_t length)
{
	struct cv_rpc_field f[PAGE_FIELDS_MAX];
	size_t n = 0;

	x->page.is_started = true;
	x->page.status = status;
	if (type)
		f[n++] = (struct cv_rpc_field){ CV_STR("content-type"), cv_str_of(type) };
	if (has_length && status != 204 && status != 304)
		f[n++] = (struct cv_rpc_field){ CV_STR("content-length"),
			cv_arena_printf(&x->arena, "%zu", length) };
	n += lines_cut(&x->arena, headers, f + n, PAGE_FIELDS_MAX - n);
	x->is_headless = cv_str_eq(x->method, CV_STR("HEAD"));
	cv_rpc_xchg_head(x, status, f, n, has_body && !x->is_headless);
}

static void body_send(struct cv_rpc_xchg *x, int status, const char *type, const char *headers,
	struct cv_str body)
{
	if (x->is_head_sent)
		return;
	if (!cv_str_eq(x->method, CV_STR("HEAD")) && !cv_buf_put(&x->out, body))
		body = CV_STR("");
	x->is_out_ended = true;
	head_send(x, status, type, headers, body.n != 0, true, body.n);
	cv_rpc_xchg_account(x);
}

void cv_rpc_respond(struct cv_rpc_request *r, int status, const char *content_type,
	const char *headers, struct cv_str body)
{
	struct cv_rpc_xchg *x = xchg_of(r);

	if (r->is_started || r->is_ended)
		return;
	body_send(x, status, content_type, headers, body);
	r->is_ended = true;
	cv_rpc_due(x);
}

/* What HTTP says of a request that never became a call, in the words of calls. */
static enum cv_rpc_status status_of(int http)
{
	static const struct {
		int http;
		enum cv_rpc_status status;
	} row[] = {
		{ 404, CV_RPC_NOT_FOUND },
		{ 405, CV_RPC_UNIMPLEMENTED },
		{ 413, CV_RPC_RESOURCE_EXHAUSTED },
		{ 431, CV_RPC_RESOURCE_EXHAUSTED },
		{ 501, CV_RPC_UNIMPLEMENTED },
		{ 503, CV_RPC_UNAVAILABLE },
		{ 505, CV_RPC_UNIMPLEMENTED },
	};

	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++)
		if (row[i].http == http)
			return row[i].status;
	return http < 500 ? CV_RPC_INVALID_ARGUMENT : CV_RPC_INTERNAL;
}

/* The one shape of a failure. */
static void error_send(struct cv_rpc_xchg *x, int http, enum cv_rpc_status s, const char *headers,
	const char *text)
{
	struct cv_buf body;

	cv_buf_init(&body, 8 * CV_RPC_STATUS_BYTES_MAX);
	cv_buf_printf(
		&body, "{\"error\":{\"code\":%d,\"status\":\"%s\",", http, cv_rpc_status_name(s));
	cv_buf_put_json_member(&body, "message", cv_str_of(text));
	cv_buf_put(&body, CV_STR("}}\n"));
	body_send(x, http, "application/json", headers, cv_buf_str(&body));
	cv_buf_fini(&body);
}

static void error_respond(struct cv_rpc_request *r, int http, enum cv_rpc_status s,
	const char *headers, const char *text)
{
	if (r->is_started || r->is_ended)
		return;
	error_send(xchg_of(r), http, s, headers, text);
	r->is_ended = true;
	cv_rpc_due(xchg_of(r));
}

void cv_rpc_respond_error(struct cv_rpc_request *r, enum cv_rpc_status s, const char *fmt, ...)
{
	char text[CV_RPC_STATUS_BYTES_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	error_respond(r, cv_rpc_status_http(s), s,
		s == CV_RPC_UNAUTHENTICATED ? "www-authenticate: Bearer\r\n" : NULL, text);
}

#define ALLOW_BYTES_MAX 80 /* all methods that any table has */

static void allow_write(char ret[ALLOW_BYTES_MAX + 16], const char *allow)
{
	snprintf(ret, ALLOW_BYTES_MAX + 16, "allow: %s\r\n", allow);
}

static const char not_allowed[] = "this path has no such method";

void cv_rpc_respond_not_allowed(struct cv_rpc_request *r, const char *allow)
{
	char line[ALLOW_BYTES_MAX + 16];

	allow_write(line, allow);
	error_respond(r, 405, status_of(405), line, not_allowed);
}

void cv_rpc_respond_start(
	struct cv_rpc_request *r, int status, const char *content_type, const char *headers)
{
	if (!r->is_started && !r->is_ended)
		head_send(xchg_of(r), status, content_type, headers, true, false, 0);
}

bool cv_rpc_respond_piece(struct cv_rpc_request *r, struct cv_str piece)
{
	struct cv_rpc_xchg *x = xchg_of(r);

	cv_assert(r->is_started);
	if (r->is_ended || x->is_headless || !x->conn)
		return true;
	if (x->server->held + piece.n > CV_RPC_HELD_BYTES_MAX || !cv_buf_put(&x->out, piece)) {
		cv_rpc_xchg_abort(x); /* half an answer must not look like a whole one */
		r->is_ended = true;
		return true;
	}
	cv_rpc_xchg_wake(x);
	x->is_full = cv_buf_len(&x->out) >= CV_RPC_QUEUED_BYTES_MAX;
	return !x->is_full;
}

void cv_rpc_respond_end(struct cv_rpc_request *r)
{
	struct cv_rpc_xchg *x = xchg_of(r);

	cv_assert(r->is_started);
	if (r->is_ended)
		return;
	r->is_ended = true;
	x->is_out_ended = true;
	cv_rpc_due(x);
	cv_rpc_xchg_wake(x);
}

static void refuse(struct cv_rpc_xchg *x, int status, const char *headers, const char *text)
{
	x->kind = CV_RPC_XCHG_OVER;
	cv_rpc_xchg_identify(x);
	error_send(x, status, status_of(status), headers, text);
	cv_rpc_xchg_requested(x, "none", status);
}

void cv_rpc_xchg_refuse(struct cv_rpc_xchg *x, int status, const char *text)
{
	refuse(x, status, NULL, text);
}

/* ---- the table ---- */

static bool path_fits(struct cv_str path, struct cv_str page)
{
	if (cv_str_eq(path, page))
		return true;
	return cv_str_has_suffix(page, CV_STR("/")) && cv_str_has_prefix(path, page);
}

static bool method_fits(struct cv_str method, const char *methods)
{
	struct cv_str rest = cv_str_of(methods);

	if (cv_str_eq(method, CV_STR("HEAD")))
		method = CV_STR("GET");
	while (rest.p)
		if (cv_str_eq(method, cv_str_cut(&rest, ' ')))
			return true;
	return false;
}

/* Of the longest path that fits, the row with the method; *ret_has_path: some row had the path. */
static const struct cv_rpc_page *page_find(const struct cv_rpc_xchg *x, bool *ret_has_path)
{
	const struct cv_rpc_server_config *config = &x->server->config;
	const struct cv_rpc_page *best = NULL;
	size_t longest = 0;

	*ret_has_path = false;
	for (size_t i = 0; i < config->page_count; i++) {
		const struct cv_rpc_page *p = &config->pages[i];
		const struct cv_str path = cv_str_of(p->path);

		if (path.n < longest || !path_fits(x->path, path))
			continue;
		if (path.n > longest)
			best = NULL;
		longest = path.n;
		*ret_has_path = true;
		if (!best && method_fits(x->method, p->methods))
			best = p;
	}
	return best;
}

/* The methods of the rows with the longest path that fits. */
static void allow_find(const struct cv_rpc_xchg *x, char ret[ALLOW_BYTES_MAX])
{
	const struct cv_rpc_server_config *config = &x->server->config;
	size_t longest = 0, n = 0;

	for (size_t i = 0; i < config->page_count; i++) {
		const struct cv_str path = cv_str_of(config->pages[i].path);
		struct cv_str rest = cv_str_of(config->pages[i].methods);

		if (path.n < longest || !path_fits(x->path, path))
			continue;
		n = path.n > longest ? 0 : n;
		longest = path.n;
		while (rest.p && n < ALLOW_BYTES_MAX) {
			const struct cv_str method = cv_str_cut(&rest, ' ');
			const bool is_get = cv_str_eq(method, CV_STR("GET"));

			n += (size_t)snprintf(ret + n, ALLOW_BYTES_MAX - n, "%s%.*s%s",
				n ? ", " : "", CV_STR_ARG(method), is_get ? ", HEAD" : "");
		}
	}
}

/* "localhost:8080"; a browser leaves out port 80. */
static bool is_own_name(struct cv_str host, uint16_t port)
{
	static const char *const names[] = { "localhost", "127.0.0.1", "[::1]" };
	char own[32];

	for (size_t i = 0; i < CV_ARRAY_LEN(names); i++) {
		snprintf(own, sizeof(own), "%s:%u", names[i], (unsigned)port);
		if (cv_str_eq_nocase(host, cv_str_of(own)) ||
			(port == 80 && cv_str_eq_nocase(host, cv_str_of(names[i]))))
			return true;
	}
	return false;
}

/* An edge proxy on this machine passes on the name that it was called by.  Who comes so, or says that
 * he does, is no local user (is_foreign); and pages that are open to all stay shut. */
static bool may_be_foreign(const struct cv_rpc_xchg *x)
{
	const struct cv_rpc_page *p = x->page.page;

	return p && (p->rule.auth != CV_RPC_AUTH_UNAUTHENTICATED || p->is_for_edge) &&
	       cv_rpc_xchg_assertion(x).n;
}

static void foreign_refuse(struct cv_rpc_xchg *x, bool has_edge)
{
	cv_rpc_xchg_refuse(x, 421,
		has_edge || !cv_rpc_xchg_assertion(x).n
			? "this host is not served here: call it localhost"
			: "this host is not served here: call it localhost; the edge proxy that "
			  "sent this is unknown here, there is no edge.issuer");
}

static void unserved(struct cv_rpc_xchg *x, bool has_path)
{
	char allow[ALLOW_BYTES_MAX] = "", line[ALLOW_BYTES_MAX + 16];

	if (!has_path) {
		cv_rpc_xchg_refuse(x, 404, "there is no such path");
		return;
	}
	allow_find(x, allow);
	allow_write(line, allow);
	refuse(x, 405, line, not_allowed);
}

void cv_rpc_page_begin(struct cv_rpc_xchg *x)
{
	const struct cv_rpc_server_config *config = &x->server->config;
	const bool has_edge = config->has_edge && config->has_edge(config->arg);
	const struct cv_str coding = cv_rpc_xchg_get(x, "content-encoding");
	struct cv_err err = { 0 };
	enum cv_rpc_status s;
	bool has_path;

	x->page.page = page_find(x, &has_path);
	x->is_foreign = config->is_local_only && !x->conn->ssl && x->conn->is_loopback &&
			!is_own_name(x->host, x->conn->port);
	if (x->is_foreign && !(has_edge && may_be_foreign(x))) {
		foreign_refuse(x, has_edge);
		return;
	}
	if (!x->page.page) {
		unserved(x, has_path);
		return;
	}
	if (coding.n && !cv_str_eq_nocase(coding, CV_STR("identity"))) {
		cv_rpc_xchg_refuse(x, 415, "bodies with a content-encoding are not read here");
		return;
	}
	x->kind = CV_RPC_XCHG_PAGE;
	s = cv_rpc_xchg_judge(x, &x->page.page->rule, &err);
	if (s != CV_RPC_OK)
		cv_rpc_respond_error(&x->page, s, "%s", err.msg);
}

void cv_rpc_page_run(struct cv_rpc_xchg *x)
{
	struct cv_rpc_request *r = &x->page;

	if (r->is_ended)
		return;
	if (cv_buf_len(&x->in) > cv_rpc_xchg_bytes_max(&r->page->rule)) {
		error_respond(r, 413, status_of(413), NULL, "the body is too large");
		return;
	}
	if (!r->is_seen && x->is_in_ended) {
		r->is_seen = true;
		r->page->serve(r);
	}
	if (x->wants_writable) {
		x->wants_writable = false;
		if (!r->is_ended && r->page->writable)
			r->page->writable(r);
	}
}

void cv_rpc_page_over(struct cv_rpc_xchg *x)
{
	struct cv_rpc_request *r = &x->page;

	r->is_ended = true;
	x->kind = CV_RPC_XCHG_OVER;
	cv_rpc_xchg_requested(x, r->route ? r->route : r->page->path, r->status);
	if (r->is_seen && r->page->closed)
		r->page->closed(r);
}
