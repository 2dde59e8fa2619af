/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.c - see log.h
 *
 * One write() for whole lines, of no more than a pipe takes at once (pipe(7), PIPE_BUF), so that
 * lines of two processes on one descriptor don't mix.  Who reads them is woken by it, and would go
 * before the client whose answer is about to be sent: so what is no warning waits for the end of
 * the turn.
 */
#include "gateway/log.h"

#include "base/buf.h"
#include "base/time.h"
#include "base/utf8.h"
#include "sys/clock.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MESSAGE_BYTES_MAX 1024

static struct {
	bool is_on;
	size_t n;
	char bytes[PIPE_BUF];
} held;
static enum cv_log_level level_now = CV_LOG_INFO;
static enum cv_log_form form_now = CV_LOG_TEXT;

#define NAME(name, text) text,
static const char *const level_name[] = { CV_LOG_LEVELS(NAME) };
#undef NAME
#define UPPER(name, text) #name,
static const char *const level_upper[] = { CV_LOG_LEVELS(UPPER) };
#undef UPPER

void cv_log_init(enum cv_log_level level, enum cv_log_form form)
{
	level_now = level;
	form_now = form;
}

bool cv_log_is_on(enum cv_log_level level)
{
	return level <= level_now;
}

bool cv_log_level_of(struct cv_str name, enum cv_log_level *ret)
{
	for (size_t i = 0; i < CV_LOG_LEVEL_COUNT; i++)
		if (cv_str_eq_nocase(name, cv_str_of(level_name[i]))) {
			*ret = (enum cv_log_level)i;
			return true;
		}
	return false;
}

/* Plain words as they are; everything else as a JSON string. */
static void value_put(struct cv_buf *b, struct cv_str v)
{
	bool is_plain = v.n > 0;

	for (size_t i = 0; i < v.n && is_plain; i++)
		is_plain = v.p[i] > ' ' && v.p[i] < 0x7f && v.p[i] != '"' && v.p[i] != '\\' &&
			   v.p[i] != '=';
	if (is_plain)
		cv_buf_put(b, v);
	else
		cv_buf_put_json_str(b, v);
}

/* One line that says what it seems to, whatever it quotes. */
static void message_put(struct cv_buf *b, struct cv_str s)
{
	uint32_t cp;

	while (s.n) {
		const size_t step = cv_utf8_decode(s, &cp);

		if (!step || cv_utf8_is_hidden(cp))
			cv_buf_put_byte(b, '?');
		else
			cv_buf_put(b, cv_str_slice(s, 0, step));
		s = cv_str_slice(s, step ? step : 1, s.n);
	}
}

static void line_put(struct cv_buf *b, enum cv_log_level level, const char *target,
	struct cv_log_fields fields, struct cv_str message)
{
	char text[CV_TIME_TEXT_BYTES];
	const struct cv_str when = cv_time_format(cv_clock_unix_ms(), text);

	if (form_now == CV_LOG_JSON) {
		cv_buf_put(b, CV_STR("{"));
		cv_buf_put_json_member(b, "time", when);
		cv_buf_printf(b, ",\"level\":\"%s\",", level_upper[level]);
		cv_buf_put_json_member(b, "target", cv_str_of(target));
		cv_buf_put_byte(b, ',');
		cv_buf_put_json_member(b, "message", message);
		for (size_t i = 0; i < fields.n; i++) {
			cv_buf_put_byte(b, ',');
			cv_buf_put_json_member(b, fields.v[i].name, fields.v[i].value);
		}
		cv_buf_put(b, CV_STR("}\n"));
		return;
	}
	cv_buf_printf(b, "%.*s %-5s %s: ", CV_STR_ARG(when), level_upper[level], target);
	message_put(b, message);
	for (size_t i = 0; i < fields.n; i++) {
		cv_buf_printf(b, " %s=", fields.v[i].name);
		value_put(b, fields.v[i].value);
	}
	cv_buf_put_byte(b, '\n');
}

void cv_log_flush(void)
{
	if (held.n) /* who closed it does not want it */
		(void)!write(STDERR_FILENO, held.bytes, held.n);
	held.n = 0;
}

void cv_log_hold(bool is_on)
{
	cv_log_flush();
	held.is_on = is_on;
}

static void line_write(enum cv_log_level level, struct cv_str line)
{
	if (line.n > sizeof(held.bytes) - held.n)
		cv_log_flush();
	if (line.n > sizeof(held.bytes)) {
		(void)!write(STDERR_FILENO, line.p, line.n);
		return;
	}
	memcpy(held.bytes + held.n, line.p, line.n);
	held.n += line.n;
	if (!held.is_on || level <= CV_LOG_WARN)
		cv_log_flush();
}

void cv_log(enum cv_log_level level, const char *target, struct cv_log_fields fields,
	const char *fmt, ...)
{
	char message[MESSAGE_BYTES_MAX];
	struct cv_buf b;
	va_list ap;

	if (!cv_log_is_on(level))
		return;
	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	cv_buf_init(&b, CV_LOG_LINE_BYTES_MAX);
	line_put(&b, level, target, fields, cv_str_of(message));
	if (b.is_overflown) {
		cv_buf_reset(&b);
		line_put(&b, level, target, CV_LOG_NONE, cv_str_of(message));
	}

	line_write(level, cv_buf_str(&b));
	cv_buf_fini(&b);
}
