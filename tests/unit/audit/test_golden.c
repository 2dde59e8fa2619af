/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: the texts of an event change only on purpose.
 * Method: one event of each shape, both renderings and the summary, compared with files.  Run with
 * an argument (json, line, summary), it prints the text instead, to renew the file.
 */
#include "unit/test.h"

#include "audit/summary.h"

#include "unit/audit/events.h"

#include <stdio.h>
#include <stdlib.h>

static void render_json(struct cv_buf *out)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(golden_events); i++)
		assert_true(cv_audit_json(&golden_events[i], i == 1 ? CV_STR("00ff") : CV_STR_NONE,
				    out) &&
			    cv_buf_put_byte(out, '\n'));
}

static void render_line(struct cv_buf *out)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(golden_events); i++)
		assert_true(cv_audit_line(&golden_events[i], out) && cv_buf_put_byte(out, '\n'));
}

static void render_summary(struct cv_buf *out)
{
	struct cv_audit_event e = golden_events[5];
	struct cv_summary s;

	cv_summary_init(&s);
	for (size_t i = 0; i < CV_ARRAY_LEN(golden_events); i++)
		cv_summary_add(&s, &golden_events[i]);
	cv_summary_add(&s, &golden_events[1]);
	e.method = CV_STR("delete"); /* a second one for the same host and port */
	e.path = CV_STR("/a*b/[x]{y}?\"z: #q\\");
	e.exe = CV_STR("/opt/my tool/\xc3\xbc:*");
	cv_summary_add(&s, &e);
	e.reason_code = "blocked_by_deny_rule"; /* another one, though it reads the same */
	cv_summary_add(&s, &e);
	e = golden_events[1];
	e.host = CV_STR("10.1.2.3");
	e.exe = CV_STR_NONE; /* nobody to name */
	cv_summary_add(&s, &e);
	e.exe = CV_STR("/bin/x");
	cv_summary_add(&s, &e);
	assert_true(cv_summary_text(&s, out));
	cv_summary_fini(&s);
}

static const struct {
	const char *name, *file;
	void (*render)(struct cv_buf *out);
} golden[] = {
	{ "json", CV_GOLDEN "/events.jsonl", render_json },
	{ "line", CV_GOLDEN "/events.log", render_line },
	{ "summary", CV_GOLDEN "/summary.txt", render_summary },
};

static void check(size_t i)
{
	static char want[1 << 20];
	struct cv_buf got;
	FILE *f = fopen(golden[i].file, "r");

	assert_non_null(f);
	const size_t n = fread(want, 1, sizeof(want) - 1, f);
	fclose(f);
	want[n] = '\0';
	cv_buf_init(&got, 1 << 20);
	golden[i].render(&got);
	assert_str(cv_buf_str(&got), want);
	cv_buf_fini(&got);
}

static void c11_json(void **state)
{
	(void)state;
	check(0);
}

static void c11_line(void **state)
{
	(void)state;
	check(1);
}

static void summary(void **state)
{
	(void)state;
	check(2);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(c11_json),
		cmocka_unit_test(c11_line),
		cmocka_unit_test(summary),
	};

	for (size_t i = 0; argc == 2 && i < CV_ARRAY_LEN(golden); i++)
		if (strcmp(argv[1], golden[i].name) == 0) {
			struct cv_buf out;

			cv_buf_init(&out, 1 << 20);
			golden[i].render(&out);
			fwrite(cv_buf_str(&out).p, 1, cv_buf_len(&out), stdout);
			cv_buf_fini(&out);
			return 0;
		}
	return cmocka_run_group_tests_name("audit/golden", tests, NULL, NULL);
}
