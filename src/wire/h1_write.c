/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h1_write.c - heads written anew; see h1_write.h
 *
 * Every piece is checked on its way out, also what our own parser gave: heads may come from another
 * one (HTTP/2) or from configuration, and this is the last place before the wire.  A refused piece
 * takes back all that the call appended.
 */
#include "wire/h1_write.h"

#include "wire/h1_int.h"
#include "wire/http_status.h"

/* Fields of one connection, or that somebody else decided about, end here. */
#define NOT_PASSED (CV_H1_HOP | CV_H1_FRAMING | CV_H1_OVERRIDE | CV_H1_NAMED)

void cv_h1_edit_of_request(struct cv_h1_edit *e, const struct cv_h1_request *r)
{
	*e = (struct cv_h1_edit){
		.body = r->body,
		.length = r->length,
		.is_keep_alive = r->is_keep_alive,
		.upgrade = r->upgrade,
	};
}

void cv_h1_edit_of_response(struct cv_h1_edit *e, const struct cv_h1_response *r)
{
	*e = (struct cv_h1_edit){
		.body = r->body,
		.length = r->length,
		.is_keep_alive = r->is_keep_alive,
		.upgrade = r->upgrade,
	};
}

static bool is_edited(const struct cv_h1_edit *e, struct cv_str name)
{
	for (size_t i = 0; i < e->set_count; i++)
		if (cv_h1_name_eq(e->set[i].name, name))
			return true;
	for (size_t i = 0; i < e->drop_count; i++)
		if (cv_h1_name_eq(e->drop[i], name))
			return true;
	return false;
}

static bool field_put(struct cv_buf *b, struct cv_str name, struct cv_str value)
{
	if (!cv_h1_is_token(name) || !cv_h1_is_field_value(value))
		return false;
	cv_buf_put(b, name);
	cv_buf_put(b, CV_STR(": "));
	cv_buf_put(b, value);
	return cv_buf_put(b, CV_STR("\r\n"));
}

static bool passed_put(struct cv_buf *b, const struct cv_h1_header *headers, size_t count,
	unsigned refused, const struct cv_h1_edit *e)
{
	for (size_t i = 0; i < count; i++) {
		const struct cv_h1_header *h = &headers[i];

		if ((h->flags & refused) || is_edited(e, h->name))
			continue;
		if (!field_put(b, h->name, h->value))
			return false;
	}
	return true;
}

/* Framing and Connection are ours to write and may not be set. */
static bool set_put(struct cv_buf *b, const struct cv_h1_edit *e)
{
	for (size_t i = 0; i < e->set_count; i++) {
		const enum cv_h1_field field = cv_h1_field_of(e->set[i].name);

		if (field == CV_H1_FIELD_HOST || field == CV_H1_FIELD_CONTENT_LENGTH ||
			field == CV_H1_FIELD_TRANSFER_ENCODING || field == CV_H1_FIELD_CONNECTION ||
			field == CV_H1_FIELD_UPGRADE)
			return false;
		if (!field_put(b, e->set[i].name, e->set[i].value))
			return false;
	}
	return e->via.n == 0 || field_put(b, CV_STR("Via"), e->via);
}

static bool connection_put(struct cv_buf *b, const struct cv_h1_edit *e)
{
	if (e->upgrade.n > 0)
		return cv_h1_upgrade_is_plain(e->upgrade) &&
		       field_put(b, CV_STR("Connection"), CV_STR("Upgrade")) &&
		       field_put(b, CV_STR("Upgrade"), e->upgrade);
	if (!e->is_keep_alive || e->body == CV_H1_BODY_CLOSE)
		return field_put(b, CV_STR("Connection"), CV_STR("close"));
	return true;
}

static bool framing_put(struct cv_buf *b, enum cv_h1_body body, uint64_t length)
{
	switch (body) {
	case CV_H1_BODY_NONE:
	case CV_H1_BODY_CLOSE: return true;
	case CV_H1_BODY_LENGTH:
		return cv_buf_printf(b, "Content-Length: %llu\r\n", (unsigned long long)length);
	case CV_H1_BODY_CHUNKED:
		return field_put(b, CV_STR("Transfer-Encoding"), CV_STR("chunked"));
	}
	return false;
}

static bool end_put(struct cv_buf *b, const struct cv_h1_edit *e)
{
	return framing_put(b, e->body, e->length) && set_put(b, e) && connection_put(b, e) &&
	       cv_buf_put(b, CV_STR("\r\n"));
}

static bool target_is_plain(const struct cv_h1_request_edit *e)
{
	const bool is_path = e->path.n > 0 && e->path.p[0] == '/';

	if (!is_path && !cv_str_eq(e->path, CV_STR("*")))
		return false;
	return h1_all_are(e->path, H1_TARGET) && !cv_str_has_byte(e->path, '?') &&
	       h1_all_are(e->query, H1_TARGET);
}

static bool request_put(
	struct cv_buf *b, const struct cv_h1_request *r, const struct cv_h1_request_edit *e)
{
	if (!cv_h1_is_token(r->method) || !target_is_plain(e) || e->authority->host.n == 0 ||
		e->common.body == CV_H1_BODY_CLOSE)
		return false;
	cv_buf_put(b, r->method);
	cv_buf_put(b, CV_STR(" "));
	if (e->is_absolute) {
		cv_buf_put(b, CV_STR("http://"));
		cv_authority_write(b, e->authority, e->port_default);
	}
	cv_buf_put(b, e->path);
	cv_buf_put(b, e->query.p ? CV_STR("?") : CV_STR_NONE);
	cv_buf_put(b, e->query);
	cv_buf_put(b, CV_STR(" HTTP/1.1\r\nHost: "));
	cv_authority_write(b, e->authority, e->port_default);
	cv_buf_put(b, CV_STR("\r\n"));
	return passed_put(b, r->header, r->header_count, NOT_PASSED, &e->common) &&
	       (!e->is_expect_continue || field_put(b, CV_STR("Expect"), CV_STR("100-continue"))) &&
	       end_put(b, &e->common);
}

static bool status_line_put(struct cv_buf *b, int status, struct cv_str reason)
{
	if (status < 100 || status > 599 || !cv_h1_is_field_value(reason))
		return false;
	cv_buf_printf(b, "HTTP/1.1 %d ", status);
	cv_buf_put(b, reason);
	return cv_buf_put(b, CV_STR("\r\n"));
}

static bool response_put(
	struct cv_buf *b, const struct cv_h1_response *r, const struct cv_h1_edit *e)
{
	if (!status_line_put(b, r->status, r->reason) ||
		!passed_put(b, r->header, r->header_count, NOT_PASSED | CV_H1_REPLY_DROP, e))
		return false;
	if (e->body == CV_H1_BODY_NONE && r->has_length && r->status >= 200 && r->status != 204)
		framing_put(b, CV_H1_BODY_LENGTH, r->length);
	return end_put(b, e);
}

static bool own_put(struct cv_buf *b, int status, const struct cv_h1_edit *e)
{
	const bool can_have_body = status >= 200 && status != 204 && status != 304;

	if (!status_line_put(b, status, cv_str_of(cv_http_status_text(status))))
		return false;
	if (!can_have_body && e->body != CV_H1_BODY_NONE)
		return false;
	if (can_have_body && e->body == CV_H1_BODY_NONE) /* else it would last until the close */
		framing_put(b, CV_H1_BODY_LENGTH, 0);
	return end_put(b, e);
}

/* Keeps what was appended only if all of it is well and fits. */
static bool finish(struct cv_buf *b, size_t len_before, bool is_ok)
{
	if (is_ok && !b->is_overflown)
		return true;
	b->end = b->start + len_before;
	return false;
}

bool cv_h1_write_request(
	struct cv_buf *b, const struct cv_h1_request *r, const struct cv_h1_request_edit *e)
{
	const size_t len = cv_buf_len(b);

	return finish(b, len, request_put(b, r, e));
}

bool cv_h1_write_response(
	struct cv_buf *b, const struct cv_h1_response *r, const struct cv_h1_edit *e)
{
	const size_t len = cv_buf_len(b);

	return finish(b, len, response_put(b, r, e));
}

bool cv_h1_write_status(struct cv_buf *b, int status, const struct cv_h1_edit *e)
{
	const size_t len = cv_buf_len(b);

	return finish(b, len, own_put(b, status, e));
}

bool cv_h1_write_connect(struct cv_buf *b, const struct cv_authority *a, const struct cv_h1_edit *e)
{
	const size_t len = cv_buf_len(b);

	cv_buf_put(b, CV_STR("CONNECT "));
	cv_authority_write(b, a, 0);
	cv_buf_put(b, CV_STR(" HTTP/1.1\r\nHost: "));
	cv_authority_write(b, a, 0);
	cv_buf_put(b, CV_STR("\r\n"));
	return finish(b, len,
		a->host.n > 0 && a->port > 0 && e->body == CV_H1_BODY_NONE && set_put(b, e) &&
			cv_buf_put(b, CV_STR("\r\n")));
}
