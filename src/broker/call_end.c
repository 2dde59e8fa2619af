/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call_end.c - the answer that a call gets
 *
 * {"output": ...} and, where they say something, exit, stderr, truncated and encoding; or an error
 * with the same members beside it, so that a failed tool can be understood.
 */
#include "broker/call_end.h"

#include "base/base64.h"
#include "base/utf8.h"
#include "wire/json.h"

#include <stdio.h>

/* Cut at a character, when it was cut. */
static struct cv_str whole_characters(struct cv_str s)
{
	for (size_t cut = 0; cut < 4 && cut <= s.n; cut++)
		if (cv_utf8_is_valid(cv_str_slice(s, 0, s.n - cut)))
			return cv_str_slice(s, 0, s.n - cut);
	return s;
}

static void text_put(struct cv_buf *b, const char *key, const char *encoding, struct cv_str s)
{
	if (cv_utf8_is_valid(s)) {
		cv_buf_printf(b, "\"%s\":\"", key);
		cv_buf_put_json(b, s);
	} else {
		cv_buf_printf(b, "\"%s\":\"base64\",\"%s\":\"", encoding, key);
		cv_buf_put_base64(b, s, CV_BASE64_STD);
	}
	cv_buf_put_byte(b, '"');
}

static void lines_put(struct cv_buf *b, struct cv_str s)
{
	bool is_first = true;

	cv_buf_put(b, CV_STR("\"output\":["));
	if (s.n && s.p[s.n - 1] == '\n')
		s.n--;
	else if (!s.n)
		s = CV_STR_NONE;
	while (s.p) {
		const struct cv_str line = cv_str_cut(&s, '\n');

		cv_buf_put(b, is_first ? CV_STR("\"") : CV_STR(",\""));
		cv_buf_put_json(b, line);
		cv_buf_put_byte(b, '"');
		is_first = false;
	}
	cv_buf_put_byte(b, ']');
}

/* As the catalog has it.  False: it is not what the tool promised. */
static bool output_put(struct cv_buf *b, const struct cv_tool *t, const struct call_end *e)
{
	struct cv_str s = e->output;

	switch (t->output) {
	case CV_TOOL_OUTPUT_JSON:
		if (!e->is_truncated && cv_json_check(s, NULL) == CV_JSON_PROBLEM_NONE) {
			cv_buf_put(b, CV_STR("\"output\":"));
			cv_buf_put(b, s);
			return true;
		}
		text_put(b, "output", "encoding", e->is_truncated ? whole_characters(s) : s);
		return false;
	case CV_TOOL_OUTPUT_LINES:
		if (e->is_truncated)
			s = whole_characters(s);
		if (cv_utf8_is_valid(s)) {
			lines_put(b, s);
			return true;
		}
		CV_FALLTHROUGH;
	case CV_TOOL_OUTPUT_TEXT: break;
	}
	if (e->is_json && !e->is_truncated && cv_json_check(s, NULL) == CV_JSON_PROBLEM_NONE) {
		cv_buf_put(b, CV_STR("\"output\":"));
		cv_buf_put(b, s);
		return true;
	}
	text_put(b, "output", "encoding", e->is_truncated ? whole_characters(s) : s);
	return true;
}

static void facts_put(struct cv_buf *b, const struct call_end *e)
{
	if (e->has_exit && e->exit)
		cv_buf_printf(b, ",\"exit\":%d", e->exit);
	if (e->signal)
		cv_buf_printf(b, ",\"signal\":%d", e->signal);
	if (e->status)
		cv_buf_printf(b, ",\"status\":%d", e->status);
	if (e->stderr_tail.n) {
		cv_buf_put_byte(b, ',');
		text_put(b, "stderr", "stderr_encoding", e->stderr_tail);
	}
	if (e->is_truncated)
		cv_buf_printf(
			b, ",\"truncated\":true,\"bytes\":%llu", (unsigned long long)e->bytes);
}

struct end_row {
	enum job_state state;
	int status;
	const char *code;
};

static const struct end_row row[] = {
	[CALL_OK] = { JOB_SUCCEEDED, 200, NULL },
	[CALL_FAILED] = { JOB_FAILED, 502, "tool_failed" },
	[CALL_BROKEN] = { JOB_FAILED, 502, "backend_failed" },
	[CALL_TIMEOUT] = { JOB_TIMED_OUT, 504, "tool_timeout" },
	[CALL_CANCELLED] = { JOB_CANCELLED, 409, "cancelled" },
	[CALL_FULL] = { JOB_FAILED, 507, "workdir_full" },
};

static void full_put(
	struct cv_buf *b, const char *code, const struct cv_tool_room *room, bool is_ended)
{
	error_begin(b, code, "the tool's own directory is full: %llu bytes in %llu files at most%s",
		(unsigned long long)room->bytes, (unsigned long long)room->files,
		is_ended ? "; it was ended" : "");
	cv_buf_printf(b, ",\"limit\":{\"bytes\":%llu,\"files\":%llu}",
		(unsigned long long)room->bytes, (unsigned long long)room->files);
}

static void sentence_begin(struct cv_buf *b, const struct job *j, const struct call_end *e)
{
	const char *code = row[e->outcome].code;

	switch (e->outcome) {
	case CALL_TIMEOUT:
		error_begin(b, code, "the tool had not ended after %u seconds, and was ended",
			j->seconds);
		cv_buf_printf(b, ",\"seconds\":%u", j->seconds);
		return;
	case CALL_CANCELLED: error_begin(b, code, "the call was cancelled"); return;
	case CALL_FULL: full_put(b, code, &j->tool->command->room, e->is_ended_for_it); return;
	case CALL_FAILED:
		if (e->detail)
			error_begin(b, code, "%s", e->detail);
		else if (e->signal)
			error_begin(b, code, "the tool was ended by signal %d", e->signal);
		else
			error_begin(b, code, "the tool ended with exit code %d", e->exit);
		return;
	case CALL_BROKEN:
		error_begin(b, code, "%s", e->detail ? e->detail : "the tool can't be run");
		return;
	case CALL_OK: break;
	}
}

void call_end(struct broker *b, struct job *j, const struct call_end *e)
{
	const struct end_row *r = &row[e->outcome];
	struct cv_buf body;

	cv_buf_init(&body, 8 * (e->output.n + e->stderr_tail.n) + 65536);
	j->has_exit = e->has_exit;
	j->exit = e->exit;
	j->bytes_out = e->bytes;
	if (e->outcome == CALL_OK) {
		cv_buf_put_byte(&body, '{');
		if (!output_put(&body, j->tool, e)) {
			cv_buf_reset(&body);
			r = &row[CALL_BROKEN];
			error_begin(&body, r->code, "the tool's output is not JSON%s",
				e->is_truncated ? ": it is cut" : "");
			cv_buf_put_byte(&body, ',');
			(void)!output_put(&body, j->tool, e);
		}
	} else {
		sentence_begin(&body, j, e);
		if (e->output.n) {
			cv_buf_put_byte(&body, ',');
			text_put(&body, "output", "encoding",
				e->is_truncated ? whole_characters(e->output) : e->output);
		}
	}
	facts_put(&body, e);
	error_end(&body);
	job_end(b, j, r->state, r->status, r->code, &body);
}
