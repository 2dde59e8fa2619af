/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event_int.h - what the two renderings of an event share
 */
#pragma once
#include "audit/event.h"

struct audit_kind_row {
	uint16_t class_uid;
	const char *class_name;
	uint8_t category_uid;
	const char *category_name, *prefix;
};

struct audit_severity_row {
	uint8_t id;
	const char *caption, *word;
};

struct audit_action_row {
	const char *word;
	uint8_t action_id;
	const char *action;
	uint8_t disposition_id;
	const char *disposition;
};

struct audit_activity_row {
	const char *word;
	uint8_t id[CV_AUDIT_KIND_COUNT];
};

const struct audit_kind_row *cv_audit_kind_row(enum cv_audit_kind k);
const struct audit_severity_row *cv_audit_severity_row(const struct cv_audit_event *e);
const struct audit_action_row *cv_audit_action_row(enum cv_audit_action a);
const struct audit_activity_row *cv_audit_activity_row(enum cv_audit_activity a);

/* s with everything escaped that could end a line, move a cursor or pass for our own syntax. */
enum audit_escape {
	AUDIT_ESCAPE_WORD,   /* one word: white space too, and \ [ ] */
	AUDIT_ESCAPE_REASON, /* words in brackets: spaces stay, line ends become spaces */
	AUDIT_ESCAPE_TEXT,   /* words outside brackets */
};
bool cv_audit_put_escaped(struct cv_buf *out, struct cv_str s, enum audit_escape how);

bool cv_audit_is_address(struct cv_str host);

/* scheme://host[:port]/path, words escaped. */
bool cv_audit_put_url(struct cv_buf *out, const struct cv_audit_event *e);

/* What happened without tags: "DENIED /usr/bin/curl(7) -> evil.test:443". */
bool cv_audit_put_core(struct cv_buf *out, const struct cv_audit_event *e);
