/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.h - one line per decision, on standard error, as text or as JSON
 *
 *     2026-11-21T11:52:34.123Z INFO  sandbox: created name=calm-otter workspace=default
 *     {"time":"...","level":"INFO","target":"sandbox","message":"created","name":"calm-otter",...}
 *
 * Values are what strangers may have chosen: both forms escape them, so one call is one line.  A
 * credential or token never is a value.
 */
#pragma once
#include "base/attr.h"
#include "base/str.h"

/* clang-format off */
#define CV_LOG_LEVELS(X) X(ERROR, "error") X(WARN, "warn") X(INFO, "info") X(DEBUG, "debug") X(TRACE, "trace")
/* clang-format on */
#define CV_LOG_ENUM(name, text) CV_LOG_##name,
enum cv_log_level { CV_LOG_LEVELS(CV_LOG_ENUM) CV_LOG_LEVEL_COUNT };
#undef CV_LOG_ENUM

enum cv_log_form { CV_LOG_TEXT, CV_LOG_JSON };

#define CV_LOG_LINE_BYTES_MAX 8192 /* longer lines are cut */

struct cv_log_field {
	const char *name;
	struct cv_str value;
};

/* { name, value } pairs, then the message.  Example:
 *     cv_log(CV_LOG_INFO, "sandbox", CV_LOG_FIELDS({ "name", o->name }), "created");
 *     cv_log(CV_LOG_WARN, "pki", CV_LOG_NONE, "certificate ends in %d days", n); */
struct cv_log_fields {
	const struct cv_log_field *v;
	size_t n;
};
#define CV_LOG_NONE ((struct cv_log_fields){ NULL, 0 })
#define CV_LOG_FIELDS(...)                                                     \
	((struct cv_log_fields){ (const struct cv_log_field[]){ __VA_ARGS__ }, \
		sizeof((const struct cv_log_field[]){ __VA_ARGS__ }) /         \
			sizeof(struct cv_log_field) })

void cv_log_init(enum cv_log_level level, enum cv_log_form form);
bool cv_log_is_on(enum cv_log_level level);
CV_PRINTF(4, 5)
void cv_log(enum cv_log_level level, const char *target, struct cv_log_fields fields,
	const char *fmt, ...);
/* While it is on, lines that are no warnings wait for the next one that is, or for the flush. */
void cv_log_hold(bool is_on);
void cv_log_flush(void);
CV_MUST bool cv_log_level_of(struct cv_str name, enum cv_log_level *ret);
