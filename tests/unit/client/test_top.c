/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `cove top` knows and shows: lists that change under a selection, lines that come, questions that
 * are about what was on the screen, hostile text, frames of every size.
 */
#include "unit/test.h"

#include "client/top_frame.c"
#include "client/top_model.c"

#include <stdio.h>

#define READY OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_READY

static struct cl_top t;
static struct cl_top_frame f;

static int up(void **state)
{
	(void)state;
	cl_top_init(&t);
	cl_top_frame_init(&f);
	cl_top_set_state(&t, "home", "connected");
	return 0;
}

static int down(void **state)
{
	(void)state;
	cl_top_frame_fini(&f);
	cl_top_fini(&t);
	return 0;
}

/* Names as one list; the id of "a" is "id-a". */
static void list(size_t n, const char *const *names)
{
	static char ids[CL_TOP_BOXES_MAX + 8][16];
	static Openshell__Datamodel__V1__ObjectMeta meta[CL_TOP_BOXES_MAX + 8];
	static Openshell__V1__SandboxStatus status;
	static Openshell__V1__Sandbox box[CL_TOP_BOXES_MAX + 8], *v[CL_TOP_BOXES_MAX + 8];
	Openshell__V1__ListSandboxesResponse m;

	openshell__v1__sandbox_status__init(&status);
	status.phase = READY;
	status.current_policy_version = 7;
	for (size_t i = 0; i < n; i++) {
		snprintf(ids[i], sizeof(ids[i]), "id-%.10s", names[i]);
		openshell__datamodel__v1__object_meta__init(&meta[i]);
		meta[i].id = ids[i];
		meta[i].name = (char *)(uintptr_t)names[i];
		meta[i].created_at_ms = 1000;
		openshell__v1__sandbox__init(&box[i]);
		box[i].metadata = &meta[i];
		box[i].status = &status;
		v[i] = &box[i];
	}
	openshell__v1__list_sandboxes_response__init(&m);
	m.sandboxes = v;
	m.n_sandboxes = n;
	cl_top_list(&t, &m);
}

#define LIST(...)                                                      \
	list(sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(char *), \
		(const char *[]){ __VA_ARGS__ })

static void line(const char *id, const char *level, const char *text, int64_t ms)
{
	Openshell__V1__SandboxLogLine l;

	openshell__v1__sandbox_log_line__init(&l);
	l.level = (char *)(uintptr_t)level;
	l.message = (char *)(uintptr_t)text;
	l.timestamp_ms = ms;
	cl_top_log(&t, id, &l);
}

static void drafts(const char *box, size_t n, const char *const *hosts)
{
	static char token[64][24];
	static Openshell__Sandbox__V1__NetworkEndpoint e[64], *ev[64];
	static Openshell__Sandbox__V1__NetworkPolicyRule r[64];
	static Openshell__V1__PolicyChunk k[64], *v[64];
	Openshell__V1__GetDraftPolicyResponse m;

	openshell__v1__get_draft_policy_response__init(&m);
	for (size_t i = 0; i < n; i++) {
		openshell__sandbox__v1__network_endpoint__init(&e[i]);
		e[i].host = (char *)(uintptr_t)hosts[i];
		e[i].port = 443;
		ev[i] = &e[i];
		openshell__sandbox__v1__network_policy_rule__init(&r[i]);
		r[i].endpoints = &ev[i];
		r[i].n_endpoints = 1;
		openshell__v1__policy_chunk__init(&k[i]);
		k[i].id = k[i].rule_name = (char *)(uintptr_t)hosts[i];
		snprintf(token[i], sizeof(token[i]), "token-%.10s", hosts[i]);
		k[i].review_token = token[i];
		k[i].status = (char *)(uintptr_t) "pending";
		k[i].proposed_rule = &r[i];
		v[i] = &k[i];
	}
	m.chunks = v;
	m.n_chunks = n;
	cl_top_drafts(&t, box, &m);
}

#define DRAFTS(box, ...)                                                      \
	drafts(box, sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(char *), \
		(const char *[]){ __VA_ARGS__ })

static const char *screen(size_t width, size_t height)
{
	static struct cv_buf b;
	static bool is_made;

	if (!is_made)
		cv_buf_init(&b, 1u << 20);
	is_made = true;
	cv_buf_reset(&b);
	cl_top_frame(&t, width, height, 61000, &f);
	for (size_t i = 0; i < f.count; i++) {
		const struct cv_str s =
			cv_str_slice(cv_buf_str(&f.text), f.row[i].at, f.row[i].at + f.row[i].n);

		assert_true(cl_top_columns(s) <= width);
		cv_buf_printf(&b, "%s%.*s\n", f.row[i].is_selected ? ">" : "", CV_STR_ARG(s));
	}
	cv_buf_put_byte(&b, '\0');
	return cv_buf_str(&b).p;
}

static void has(const char *text)
{
	const char *s = screen(100, 24);

	if (!strstr(s, text))
		fail_msg("\"%s\" is not on the screen:\n%s", text, s);
}

static void has_not(const char *text)
{
	assert_null(strstr(screen(100, 24), text));
}

static void the_selection_stays_with_its_sandbox(void **state)
{
	(void)state;
	LIST("a", "b", "c");
	has(">a ");
	cl_top_press(&t, 'j');
	has(">b ");
	LIST("0", "a", "b", "c");
	has(">b ");
	LIST("a", "c");
	has(">a ");
	cl_top_press(&t, 'G');
	has(">c ");
	cl_top_press(&t, CL_TOP_KEY_DOWN);
	has(">c ");
	cl_top_press(&t, 'g');
	cl_top_press(&t, CL_TOP_KEY_UP);
	has(">a ");
	list(0, NULL);
	has("no sandboxes");
	cl_top_press(&t, 'j');
	cl_top_press(&t, CL_TOP_KEY_ENTER);
	assert_int_equal(t.view, CL_TOP_SANDBOXES);
}

static void rows_say_what_there_is(void **state)
{
	(void)state;
	LIST("a");
	has("Ready           1m      7");
	t.boxes[0].has_usage = true;
	t.boxes[0].cpu = 0.5;
	t.boxes[0].memory_bytes = 64u << 20;
	has("50%     64M");
	t.boxes[0].cpu = -1;
	has("     -     64M");
}

static void lines_come_and_go(void **state)
{
	(void)state;
	LIST("a", "b");
	line("id-a", "OCSF", "NET:OPEN [MED] DENIED curl -> x.test:443", 5000);
	line("id-b", "OCSF", "NET:OPEN [INFO] ALLOWED curl -> y.test:443", 6000);
	line("id-b", "INFO", "phase Ready", 7000);
	line("id-gone", "OCSF", "from nobody", 1);
	has("00:00:05 a NET:OPEN [MED] DENIED");
	has("00:00:06 b NET:OPEN [INFO] ALLOWED");
	has_not("phase Ready");
	has_not("nobody");
	assert_int_equal(cl_top_box(&t, "id-b")->seen_ms, 7000);
	cl_top_press(&t, 'G');
	cl_top_press(&t, CL_TOP_KEY_ENTER);
	has("LOG of b");
	has("00:00:07 phase Ready");
	has_not("x.test");
	for (int i = 0; i < CL_TOP_LINES_MAX + 10; i++)
		line("id-b", "INFO", i < CL_TOP_LINES_MAX ? "old" : "new", i);
	assert_int_equal(t.line_count, CL_TOP_LINES_MAX);
	has("new");
	cl_top_press(&t, 'g');
	has("old");
	has_not("new");
	cl_top_press(&t, 'G');
	has("new");
	LIST("a");
	has("a sandbox that is gone");
	cl_top_press(&t, CL_TOP_KEY_ESCAPE);
	has("NAME");
}

static void a_filter_hides(void **state)
{
	(void)state;
	LIST("apple", "berry", "cherry");
	cl_top_press(&t, '/');
	cl_top_press(&t, 'r');
	cl_top_press(&t, 'x');
	has("filter: rx_");
	cl_top_press(&t, CL_TOP_KEY_BACKSPACE);
	has_not("apple");
	cl_top_press(&t, 'y');
	cl_top_press(&t, CL_TOP_KEY_ENTER);
	has_not("apple");
	cl_top_press(&t, 'j');
	cl_top_press(&t, 'j');
	has(">cherry");
	for (int i = 0; i < 2 * CL_TOP_FILTER_MAX; i++)
		cl_top_press(&t, i ? 'q' : '/');
	assert_int_equal(strlen(t.filter), CL_TOP_FILTER_MAX);
	cl_top_press(&t, CL_TOP_KEY_ESCAPE);
	has("apple");
}

/* What the key was pressed for is what is decided about, whatever comes before the y. */
static void t_a_decision_is_about_what_was_seen(void **state)
{
	(void)state;
	LIST("a", "b");
	DRAFTS("id-a", "one.test", "two.test");
	has("2 pending");
	assert_int_equal(cl_top_press(&t, 'a'), CL_TOP_DOES_NOTHING);
	has("press p");
	cl_top_press(&t, 'p');
	has(">a                    one.test:443");
	assert_int_equal(cl_top_press(&t, 'a'), CL_TOP_DOES_NOTHING);
	has("Approve one.test:443 for a? y");
	has("host: one.test"); /* it is shown whole when it is asked about */
	DRAFTS("id-a", "evil.test");
	has("Approve one.test:443 for a? y");
	assert_int_equal(cl_top_press(&t, 'y'), CL_TOP_DOES_APPROVE);
	assert_string_equal(t.asked->id, "one.test");
	assert_string_equal(t.asked->token, "token-one.test");
	assert_string_equal(t.asked->box_id, "id-a");
	cl_top_press(&t, 'x');
	has("Reject evil.test:443 for a? y");
	assert_int_equal(cl_top_press(&t, 'n'), CL_TOP_DOES_NOTHING);
	assert_int_equal(cl_top_press(&t, 'y'), CL_TOP_DOES_NOTHING);
	cl_top_press(&t, 'x');
	assert_int_equal(cl_top_press(&t, 'y'), CL_TOP_DOES_REJECT);
	drafts("id-a", 0, NULL);
	has("nothing waits for you");
	cl_top_press(&t, 'a');
	has("nothing is selected");
	assert_int_equal(cl_top_press(&t, 'q'), CL_TOP_DOES_QUIT);
}

static void questions_stand_beside_proposals(void **state)
{
	Cove__V1__Approval a, *v = &a;
	Cove__V1__ListApprovalsResponse m;

	(void)state;
	LIST("a");
	DRAFTS("id-a", "one.test");
	cove__v1__approval__init(&a);
	cove__v1__list_approvals_response__init(&m);
	a.id = (char[]){ "q-1" };
	a.sandbox_id = (char[]){ "id-a" };
	a.sandbox_name = (char[]){ "a" };
	a.subject = (char[]){ "deploy\x1b[2J" };
	a.text = (char[]){ "{\"to\": \"prod\"}" };
	a.text_bytes = 4000;
	m.approvals = &v;
	m.n_approvals = 1;
	cl_top_questions(&t, &m);
	DRAFTS("id-a", "one.test"); /* neither list takes the other's away */
	has("2 pending");
	cl_top_press(&t, 'p');
	cl_top_press(&t, 'g');
	has("deploy\\u{1b}[2J");
	cl_top_press(&t, 'a');
	has("{\"to\": \"prod\"}");
	has("not all of it is shown");
	m.n_approvals = 0;
	cl_top_questions(&t, &m);
	assert_int_equal(cl_top_press(&t, 'y'), CL_TOP_DOES_APPROVE);
	assert_true(t.asked->is_question);
	assert_string_equal(t.asked->id, "q-1");
	has("1 pending");
}

static void chunks_go_with_their_sandbox(void **state)
{
	(void)state;
	LIST("a", "b");
	DRAFTS("id-a", "one.test");
	DRAFTS("id-b", "two.test");
	assert_int_equal(t.chunk_count, 2);
	LIST("b");
	assert_int_equal(t.chunk_count, 1);
	cl_top_press(&t, 'p');
	has("two.test");
	has_not("one.test");
}

static void t_hostile_text_is_one_safe_line(void **state)
{
	static const char evil[] = "a\x1b[2J\nb\xe2\x80\xae"
				   "c\xff <b>";

	(void)state;
	LIST(evil);
	list(1, (const char *[]){ evil });
	line(t.boxes[0].id, "OCSF", evil, 1);
	drafts(t.boxes[0].id, 1, (const char *[]){ evil });
	cl_top_set_note(&t, evil);
	for (int view_at = CL_TOP_SANDBOXES; view_at <= CL_TOP_HELP; view_at++) {
		t.view = (enum cl_top_view)view_at;
		for (const char *p = screen(200, 30); *p; p++)
			if (*p != '\n' && ((unsigned char)*p < ' ' || (unsigned char)*p >= 0x7f))
				fail_msg("byte %02x in view %d", (unsigned char)*p, view_at);
	}
	t.view = CL_TOP_SANDBOXES;
	assert_non_null(strstr(screen(200, 30), "\\u{1b}[2J\\u{0a}b\\u{202e}"));
}

static void frames_of_every_size(void **state)
{
	(void)state;
	LIST("a", "\xe4\xb8\xad\xe6\x96\x87\xe5\xad\x97", "c", "d", "e", "f", "g", "h", "i", "j");
	for (int i = 0; i < 50; i++)
		line("id-a", "OCSF",
			"NET:OPEN DENIED \xe4\xb8\xad\xe6\x96\x87\xe4\xb8\xad\xe6\x96\x87", i);
	DRAFTS("id-a", "one.test", "two.test", "three.test");
	replace(&t.logs_of, dup_z("id-a"));
	for (int view_at = CL_TOP_SANDBOXES; view_at <= CL_TOP_HELP; view_at++)
		for (size_t w = 0; w < 130; w++)
			for (size_t h = 0; h < 40; h++) {
				t.view = (enum cl_top_view)view_at;
				t.scroll = w;
				(void)screen(w, h);
				assert_int_equal(f.count, h);
			}
	assert_non_null(strstr(screen(39, 20), "too small"));
	(void)screen(200, 10000);
	assert_int_equal(f.count, CL_TOP_ROWS_MAX);
	t.view = CL_TOP_SANDBOXES;
	cl_top_press(&t, 'G');
	has(">j");
	assert_non_null(strstr(screen(100, CL_TOP_HEIGHT_MIN), ">j"));
}

static void more_than_fit_are_counted(void **state)
{
	static char text[CL_TOP_BOXES_MAX + 1][8];
	static const char *names[CL_TOP_BOXES_MAX + 1];

	(void)state;
	for (size_t i = 0; i <= CL_TOP_BOXES_MAX; i++) {
		snprintf(text[i], sizeof(text[i]), "b%zu", i);
		names[i] = text[i];
	}
	list(CL_TOP_BOXES_MAX + 1, names);
	assert_int_equal(t.box_count, CL_TOP_BOXES_MAX);
	has("1000+ sandboxes");
	list(1, names + CL_TOP_BOXES_MAX);
	has("1 sandboxes");
	has("b1000");
}

static Cove__V1__ResourceUsage resource_of(const char *name, uint64_t used, uint64_t limit)
{
	Cove__V1__ResourceUsage r;

	cove__v1__resource_usage__init(&r);
	r.resource = (char *)(uintptr_t)name;
	r.used = used;
	r.limited = limit != 0;
	r.limit = limit;
	return r;
}

static void quotas_have_a_line_where_there_are_any(void **state)
{
	Cove__V1__ResourceUsage r[] = { resource_of("sandboxes", 3, 200),
		resource_of("memory", 4ull << 30, 48ull << 30), resource_of("cpu", 2500, 0) };
	Cove__V1__ResourceUsage *v[] = { &r[0], &r[1], &r[2] };
	Cove__V1__Usage host, one, *all[] = { &one };
	Cove__V1__GetUsageResponse m;

	(void)state;
	cove__v1__get_usage_response__init(&m);
	cove__v1__usage__init(&host);
	cove__v1__usage__init(&one);
	host.resources = v;
	host.n_resources = 3;
	host.queued = 2;
	one.workspace = (char *)(uintptr_t) "d\x1b[2J";
	one.queued = 1;
	m.host = &host;
	m.workspaces = all;
	m.n_workspaces = 1;
	cl_top_usage_set(&t, &m);
	assert_string_equal(t.quota, "host: 3 of 200 sandboxes, 4Gi of 48Gi memory; 2 wait  "
				     "d\\u{1b}[2J: 1 waits");
	cl_top_frame(&t, 120, 20, 0, &f);
	assert_true(cv_str_has_prefix(
		cv_str_slice(cv_buf_str(&f.text), f.row[1].at, f.row[1].at + f.row[1].n),
		CV_STR("QUOTA  host: 3 of 200")));
	assert_int_equal(f.count, 20);
	host.n_resources = host.queued = one.queued = 0;
	cl_top_usage_set(&t, &m);
	assert_null(t.quota);
}

static void questions_come_and_go_one_by_one(void **state)
{
	Cove__V1__Approval a;

	(void)state;
	cove__v1__approval__init(&a);
	a.id = (char *)(uintptr_t) "1";
	cl_top_question(&t, &a);
	cl_top_question(&t, &a); /* told again */
	assert_int_equal(t.chunk_count, 1);
	a.id = (char *)(uintptr_t) "2";
	cl_top_question(&t, &a);
	assert_int_equal(t.chunk_count, 2);
	cl_top_question_end(&t, "1");
	cl_top_question_end(&t, "no such");
	assert_int_equal(t.chunk_count, 1);
	assert_string_equal(t.chunks[0].id, "2");
	assert_string_equal(t.at_chunk, "2");
	cl_top_questions_forget(&t);
	assert_int_equal(t.chunk_count, 0);
	assert_null(t.at_chunk);
}

static void lines_of_several_stand_by_time(void **state)
{
	(void)state;
	LIST("a", "b");
	for (size_t i = 0; i <= CL_TOP_LINES_MAX; i++) /* the ring goes around */
		line("id-a", "OCSF", "a", 5 + (int64_t)i);
	line("id-b", "OCSF", "b", 1000);
	line("id-b", "OCSF", "c", 1000);
	cl_top_lines_sort(&t);
	assert_int_equal(t.line_count, CL_TOP_LINES_MAX);
	for (size_t i = 1; i < t.line_count; i++) {
		const struct cl_top_line *x = &t.lines[i - 1], *y = &t.lines[i];

		assert_true(x->ms < y->ms || (x->ms == y->ms && x->nth < y->nth));
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, up, down)
	const struct CMUnitTest tests[] = {
		TEST(lines_of_several_stand_by_time),
		TEST(the_selection_stays_with_its_sandbox),
		TEST(rows_say_what_there_is),
		TEST(lines_come_and_go),
		TEST(a_filter_hides),
		TEST(t_a_decision_is_about_what_was_seen),
		TEST(questions_stand_beside_proposals),
		TEST(chunks_go_with_their_sandbox),
		TEST(t_hostile_text_is_one_safe_line),
		TEST(frames_of_every_size),
		TEST(more_than_fit_are_counted),
		TEST(quotas_have_a_line_where_there_are_any),
		TEST(questions_come_and_go_one_by_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
