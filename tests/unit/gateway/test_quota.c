/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_quota.c - totals, verdicts and the order of the queue; at the end thousands of random operations
 * beside a model that adds everything up anew each time
 */
#include "unit/test.h"

#include "gateway/quota.c"

#include <stdio.h>

#define UNLIMITED       CV_QUOTA_UNLIMITED
#define AMOUNT(n, m, c) ((struct cv_quota_amount){ { (n), (m), (c) } })

static const struct cv_quota_amount nothing, one = { { 1, 100, 1000 } };

static struct cv_quota q;

static void limits_set(struct cv_quota_amount host, struct cv_quota_amount workspace)
{
	const struct cv_quota_limits l = { .host = host, .workspace = workspace };

	cv_quota_configure(&q, &l);
}

static int quota_setup(void **state)
{
	(void)state;
	cv_quota_init(&q);
	return 0;
}

static int quota_teardown(void **state)
{
	(void)state;
	cv_quota_fini(&q);
	return 0;
}

static void join(struct cv_quota_holder *h, const char *workspace, struct cv_quota_amount a)
{
	memset(h, 0, sizeof(*h));
	assert_true(cv_quota_join(&q, h, cv_str_of(workspace)));
	cv_quota_count(&q, h, &a);
}

static void wait_for(struct cv_quota_holder *h, const char *workspace, struct cv_quota_amount need,
	int64_t since)
{
	join(h, workspace, nothing);
	cv_quota_enqueue(&q, h, &need, since, since + 1000);
}

static enum cv_quota_verdict judge(
	const char *workspace, struct cv_quota_amount need, struct cv_quota_short *ret)
{
	return cv_quota_judge(&q, cv_str_of(workspace), &need, &nothing, ret);
}

static const char *sentence(
	const char *workspace, const struct cv_quota_short *s, unsigned defaults)
{
	static char text[512];
	struct cv_buf b;

	cv_buf_init(&b, sizeof(text));
	cv_quota_explain(&b, s, cv_str_of(workspace), defaults);
	snprintf(text, sizeof(text), "%.*s", CV_STR_ARG(cv_buf_str(&b)));
	cv_buf_fini(&b);
	return text;
}

static void admit(struct cv_quota_holder *h)
{
	const struct cv_quota_amount need = h->need;

	cv_quota_dequeue(&q, h);
	cv_quota_count(&q, h, &need);
}

static void test_no_limit(void **state)
{
	struct cv_quota_holder h[2];

	(void)state;
	join(&h[0], "a", AMOUNT(1, UINT64_MAX - 1, UINT64_MAX - 1));
	join(&h[1], "a", AMOUNT(1, UINT64_MAX - 1, UINT64_MAX - 1));
	assert_int_equal(judge("a", AMOUNT(1, UINT64_MAX - 1, 5), NULL), CV_QUOTA_FITS);
	limits_set(AMOUNT(UNLIMITED, 4000, UNLIMITED), AMOUNT(UNLIMITED, UNLIMITED, UNLIMITED));
	assert_int_equal(
		judge("a", AMOUNT(1, 1, 1), NULL), CV_QUOTA_SHORT); /* the sum is no wrap */
	cv_quota_leave(&q, &h[0]);
	cv_quota_leave(&q, &h[1]);
	assert_int_equal(judge("a", AMOUNT(1, 4000, 1), NULL), CV_QUOTA_FITS);
	assert_int_equal(q.room_count, 0);
}

static void test_what_is_short(void **state)
{
	struct cv_quota_holder h;
	struct cv_quota_short s;
	const uint64_t gi = UINT64_C(1) << 30;

	(void)state;
	limits_set(AMOUNT(3, 20 * gi, UNLIMITED), AMOUNT(2, 16 * gi, 1500));
	join(&h, "web", AMOUNT(1, 14 * gi, 1000));
	assert_int_equal(judge("web", AMOUNT(1, 4 * gi, 100), &s), CV_QUOTA_SHORT);
	assert_string_equal(sentence("web", &s, 0),
		"workspace 'web' is short of memory: 14Gi of 16Gi are used, and the sandbox asks for 4Gi");
	assert_int_equal(judge("web", AMOUNT(1, gi, 1000), &s), CV_QUOTA_SHORT);
	assert_string_equal(sentence("web", &s, 1u << CV_QUOTA_CPU),
		"workspace 'web' is short of cpu: 1 of 1500m are used, and the sandbox asks for 1 (the "
		"default of one without a limit of its own)");
	assert_int_equal(judge("web", AMOUNT(1, 2 * gi, 500), &s), CV_QUOTA_FITS);
	assert_int_equal(judge("db", AMOUNT(1, 7 * gi, 100), &s), CV_QUOTA_SHORT);
	assert_true(s.is_host);
	assert_string_equal(sentence("db", &s, 0),
		"the host is short of memory: 14Gi of 20Gi are used, and the sandbox asks for 7Gi");
	assert_int_equal(judge("db", AMOUNT(1, 17 * gi, 100), &s), CV_QUOTA_NEVER);
	assert_string_equal(sentence("db", &s, 0),
		"workspace 'db' may use 16Gi of memory at all, and the sandbox asks for 17Gi");
	assert_non_null(strstr(cv_quota_advice(&s), "ask for less"));
	/* What can never be is said, even where something else is only taken. */
	assert_int_equal(judge("web", AMOUNT(1, 4 * gi, 1600), &s), CV_QUOTA_NEVER);
	assert_int_equal(s.resource, CV_QUOTA_CPU);
	cv_quota_leave(&q, &h);
}

/* One that is started again asks for what it does not have yet. */
static void test_start(void **state)
{
	struct cv_quota_holder h;

	(void)state;
	limits_set(AMOUNT(1, 100, 1000), AMOUNT(1, 100, 1000));
	join(&h, "a", AMOUNT(1, 0, 0));
	assert_int_equal(cv_quota_judge(&q, CV_STR("a"), &one, &h.counted, NULL), CV_QUOTA_FITS);
	cv_quota_count(&q, &h, &one);
	assert_int_equal(cv_quota_judge(&q, CV_STR("a"), &one, &h.counted, NULL), CV_QUOTA_FITS);
	assert_int_equal(judge("a", one, NULL), CV_QUOTA_SHORT);
	cv_quota_leave(&q, &h);
}

static void test_own_limits(void **state)
{
	const struct cv_str name[] = { CV_STR("big"), CV_STR("none") };
	const struct cv_quota_amount own[] = { AMOUNT(10, UNLIMITED, UNLIMITED), AMOUNT(0, 0, 0) };
	const struct cv_quota_limits l = { AMOUNT(UNLIMITED, UNLIMITED, UNLIMITED),
		AMOUNT(1, UNLIMITED, UNLIMITED), name, own, 2 };
	struct cv_quota_holder h[2];

	(void)state;
	join(&h[0], "big", one);
	join(&h[1], "other", one);
	cv_quota_configure(&q, &l);
	assert_int_equal(judge("big", one, NULL), CV_QUOTA_FITS);
	assert_int_equal(judge("other", one, NULL), CV_QUOTA_SHORT);
	assert_int_equal(judge("third", one, NULL), CV_QUOTA_FITS);
	assert_int_equal(judge("none", one, NULL), CV_QUOTA_NEVER);
	cv_quota_leave(&q, &h[0]);
	cv_quota_leave(&q, &h[1]);
}

/* A workspace without room holds nobody else up; within one nobody overtakes. */
static void test_queue_order(void **state)
{
	struct cv_quota_holder a[3], b, running;
	struct cv_quota_short s;

	(void)state;
	limits_set(AMOUNT(UNLIMITED, UNLIMITED, UNLIMITED), AMOUNT(UNLIMITED, 100, UNLIMITED));
	join(&running, "a", AMOUNT(1, 60, 0));
	wait_for(&a[0], "a", AMOUNT(1, 80, 0), 1);
	wait_for(&a[1], "a", AMOUNT(1, 10, 0), 2);
	wait_for(&b, "b", AMOUNT(1, 100, 0), 3);
	wait_for(&a[2], "a", AMOUNT(1, 10, 0), 0); /* came first, was told last */
	assert_int_equal(cv_quota_place(&q, &a[2]), 1);
	assert_int_equal(cv_quota_place(&q, &a[1]), 3);
	assert_ptr_equal(cv_quota_next(&q), &a[2]);
	admit(&a[2]);
	assert_ptr_equal(cv_quota_next(&q), &b);
	admit(&b);
	assert_null(cv_quota_next(&q));
	s = cv_quota_why(&q, &a[1]);
	assert_int_equal(s.verdict, CV_QUOTA_BEHIND);
	assert_int_equal(s.ahead, 1);
	assert_string_equal(
		sentence("a", &s, 0), "workspace 'a' has room, but 1 waits for it already");
	assert_int_equal(judge("a", AMOUNT(1, 1, 0), &s), CV_QUOTA_BEHIND);
	assert_int_equal(s.ahead, 2);
	assert_int_equal(judge("c", AMOUNT(1, 1, 0), NULL), CV_QUOTA_FITS);
	cv_quota_leave(&q, &running);
	assert_ptr_equal(cv_quota_next(&q), &a[0]);
	admit(&a[0]);
	assert_ptr_equal(cv_quota_next(&q), &a[1]);
	for (size_t i = 0; i < 3; i++)
		cv_quota_leave(&q, &a[i]);
	cv_quota_leave(&q, &b);
	assert_null(q.first);
	assert_null(q.last);
}

/* A large one that waits for the host is overtaken, but not for ever. */
static void test_nobody_starves(void **state)
{
	struct cv_quota_holder large, running, small[2 * CV_QUOTA_OVERTAKES_MAX];
	struct cv_quota_short s;
	size_t n = 0;

	(void)state;
	limits_set(AMOUNT(UNLIMITED, 100, UNLIMITED), AMOUNT(UNLIMITED, UNLIMITED, UNLIMITED));
	join(&running, "a", AMOUNT(1, 50, 0));
	wait_for(&large, "a", AMOUNT(1, 90, 0), 0);
	for (; n < 5; n++) { /* from the queue ... */
		wait_for(&small[n], "b", AMOUNT(1, 1, 0), (int64_t)n + 1);
		assert_ptr_equal(cv_quota_next(&q), &small[n]);
		admit(&small[n]);
	}
	while (judge("b", AMOUNT(1, 1, 0), &s) == CV_QUOTA_FITS && n < CV_ARRAY_LEN(small)) {
		join(&small[n++], "b", AMOUNT(1, 1, 0)); /* ... and those that never were in it */
	}
	assert_int_equal(n, CV_QUOTA_OVERTAKES_MAX);
	assert_int_equal(s.verdict, CV_QUOTA_BEHIND);
	assert_true(s.is_host);
	wait_for(&small[n], "b", AMOUNT(1, 1, 0), 100);
	assert_null(cv_quota_next(&q));
	for (size_t i = 0; i < n; i++)
		cv_quota_leave(&q, &small[i]);
	cv_quota_leave(&q, &running);
	assert_ptr_equal(cv_quota_next(&q), &large);
	admit(&large);
	assert_ptr_equal(cv_quota_next(&q), &small[n]);
	cv_quota_leave(&q, &small[n]);
	cv_quota_leave(&q, &large);
}

static void test_times(void **state)
{
	struct cv_quota_holder a, b;

	(void)state;
	assert_int_equal(cv_quota_due_ms(&q), INT64_MAX);
	wait_for(&a, "a", one, 10);
	wait_for(&b, "b", one, 5);
	assert_int_equal(cv_quota_due_ms(&q), 1005);
	assert_null(cv_quota_expired(&q, 1004));
	assert_ptr_equal(cv_quota_expired(&q, 1005), &b);
	cv_quota_leave(&q, &b);
	assert_null(cv_quota_expired(&q, 1005));
	cv_quota_leave(&q, &a);
}

/* ---- random operations ---- */

#define BOXES      24
#define WORKSPACES 4
#define STEPS      20000

enum kind { GONE, RUNS, STOPPED, WAITS };
struct model {
	enum kind kind;
	size_t workspace;
	struct cv_quota_amount need;
	bool was_stopped; /* waits for a start */
	int64_t since;
};

static struct model model[BOXES];
static struct cv_quota_holder holder[BOXES];
static uint64_t seed;

static uint64_t dice(uint64_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (seed >> 33) % n;
}

static const char *workspace_of(size_t i)
{
	static const char *const name[WORKSPACES] = { "w", "wa", "wab", "x" };

	return name[model[i].workspace];
}

static uint64_t model_counts(const struct model *m, size_t r)
{
	if (m->kind == RUNS)
		return m->need.v[r];
	return r == CV_QUOTA_SANDBOXES &&
	       (m->kind == STOPPED || (m->kind == WAITS && m->was_stopped));
}

/* workspace WORKSPACES: the host. */
static uint64_t model_used(size_t workspace, size_t r)
{
	uint64_t n = 0;

	for (size_t i = 0; i < BOXES; i++)
		if (workspace == WORKSPACES || model[i].workspace == workspace)
			n += model_counts(&model[i], r);
	return n;
}

static bool model_has_room(const struct model *m, size_t workspace, struct cv_quota_amount limit)
{
	for (size_t r = 0; r < CV_QUOTA_COUNT; r++) {
		const uint64_t now = model_counts(m, r);

		if (m->need.v[r] > now && limit.v[r] != UNLIMITED &&
			model_used(workspace, r) - now + m->need.v[r] > limit.v[r])
			return false;
	}
	return true;
}

static bool model_fits(const struct model *m)
{
	return model_has_room(m, m->workspace, q.limits.workspace) &&
	       model_has_room(m, WORKSPACES, q.limits.host);
}

static bool model_is_first(size_t i)
{
	for (size_t k = 0; k < BOXES; k++)
		if (model[k].kind == WAITS && model[k].workspace == model[i].workspace &&
			model[k].since < model[i].since)
			return false;
	return true;
}

static void model_compare(bool may_exceed)
{
	size_t waiting = 0;

	for (size_t w = 0; w <= WORKSPACES; w++)
		for (size_t r = 0; r < CV_QUOTA_COUNT; r++) {
			static const char *const name[WORKSPACES] = { "w", "wa", "wab", "x" };
			const struct cv_quota_room *room =
				w < WORKSPACES ? cv_quota_room_find(&q, cv_str_of(name[w]))
					       : &q.host;
			const uint64_t used = room ? (uint64_t)room->used[r] : 0;

			assert_int_equal(used, model_used(w, r));
			assert_true(may_exceed || !room || used <= room->limit.v[r]);
		}
	for (size_t i = 0; i < BOXES; i++) {
		size_t place = 1;

		if (model[i].kind != WAITS)
			continue;
		waiting++;
		for (size_t k = 0; k < BOXES; k++)
			place += model[k].kind == WAITS && model[k].since < model[i].since;
		assert_int_equal(cv_quota_place(&q, &holder[i]), place);
		assert_true(holder[i].overtaken <= CV_QUOTA_OVERTAKES_MAX);
		assert_int_not_equal(cv_quota_why(&q, &holder[i]).verdict, CV_QUOTA_FITS);
		/* Whoever could go has gone. */
		if (model_is_first(i) && model_fits(&model[i]))
			assert_non_null(closed_by(&q, &holder[i]));
	}
	assert_int_equal(q.queued, waiting);
}

static void model_pump(void)
{
	struct cv_quota_holder *h;

	while ((h = cv_quota_next(&q))) {
		const size_t i = (size_t)(h - holder);

		assert_int_equal(model[i].kind, WAITS);
		assert_true(model_is_first(i));
		assert_true(model_fits(&model[i]));
		admit(h);
		model[i].kind = RUNS;
	}
}

/* It is made, or started again. */
static void model_begin(size_t i, int64_t now)
{
	struct model *m = &model[i];
	bool somebody_waits = false;

	m->was_stopped = m->kind == STOPPED;
	if (m->kind == GONE) {
		m->workspace = dice(WORKSPACES);
		m->need = AMOUNT(1, dice(60), dice(3000));
	}
	for (size_t k = 0; k < BOXES; k++)
		somebody_waits |= model[k].kind == WAITS && model[k].workspace == m->workspace;
	const struct cv_quota_amount counted = AMOUNT(m->was_stopped, 0, 0);
	const bool fits = model_fits(m);
	const bool is_closed = closed_by(&q, NULL) != NULL;
	const enum cv_quota_verdict v =
		cv_quota_judge(&q, cv_str_of(workspace_of(i)), &m->need, &counted, NULL);

	assert_int_equal(v == CV_QUOTA_FITS, fits && !somebody_waits && !is_closed);
	assert_int_equal(v == CV_QUOTA_FITS || v == CV_QUOTA_BEHIND, fits);
	if (v == CV_QUOTA_NEVER || (v != CV_QUOTA_FITS && !dice(3)))
		return; /* refused */
	if (!m->was_stopped)
		join(&holder[i], workspace_of(i), nothing);
	if (v == CV_QUOTA_FITS) {
		m->kind = RUNS;
		cv_quota_count(&q, &holder[i], &m->need);
	} else {
		m->kind = WAITS;
		m->since = now;
		cv_quota_enqueue(&q, &holder[i], &m->need, now, now + 1);
	}
}

static void model_step(int64_t now)
{
	const size_t i = dice(BOXES);
	const struct cv_quota_amount stopped = AMOUNT(1, 0, 0);

	switch (model[i].kind) {
	case GONE: model_begin(i, now); break;
	case RUNS:
		if (dice(2)) {
			model[i].kind = STOPPED;
			cv_quota_count(&q, &holder[i], &stopped);
			break;
		}
		model[i].kind = GONE;
		cv_quota_leave(&q, &holder[i]);
		break;
	case STOPPED:
		if (dice(3)) {
			model_begin(i, now);
			break;
		}
		model[i].kind = GONE;
		cv_quota_leave(&q, &holder[i]);
		break;
	case WAITS: /* nobody waits any more */
		if (dice(4))
			break;
		cv_quota_leave(&q, &holder[i]);
		model[i].kind = GONE;
		break;
	}
}

static void test_random_operations(void **state)
{
	const struct cv_quota_amount limit[][2] = {
		{ AMOUNT(14, 300, 12000), AMOUNT(5, 120, 5000) },
		{ AMOUNT(UNLIMITED, 120, UNLIMITED), AMOUNT(UNLIMITED, UNLIMITED, UNLIMITED) },
		{ AMOUNT(UNLIMITED, UNLIMITED, UNLIMITED), AMOUNT(2, 100, UNLIMITED) },
		{ AMOUNT(6, UNLIMITED, 9000), AMOUNT(3, UNLIMITED, 4000) },
	};

	(void)state;
	for (size_t l = 0; l < CV_ARRAY_LEN(limit); l++) {
		seed = l + 1;
		memset(model, 0, sizeof(model));
		limits_set(limit[l][0], limit[l][1]);
		for (int64_t now = 0; now < STEPS; now++) {
			model_step(now);
			model_pump();
			model_compare(false);
		}
		/* The quotas shrink under what is there: it stays, and nothing comes in. */
		limits_set(AMOUNT(1, 1, 1), AMOUNT(1, 1, 1));
		model_pump();
		model_compare(true);
		for (size_t i = 0; i < BOXES; i++)
			if (model[i].kind != GONE)
				cv_quota_leave(&q, &holder[i]);
		assert_int_equal(q.room_count, 0);
		for (size_t r = 0; r < CV_QUOTA_COUNT; r++)
			assert_true(q.host.used[r] == 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_no_limit, quota_setup, quota_teardown),
		cmocka_unit_test_setup_teardown(test_what_is_short, quota_setup, quota_teardown),
		cmocka_unit_test_setup_teardown(test_start, quota_setup, quota_teardown),
		cmocka_unit_test_setup_teardown(test_own_limits, quota_setup, quota_teardown),
		cmocka_unit_test_setup_teardown(test_queue_order, quota_setup, quota_teardown),
		cmocka_unit_test_setup_teardown(test_nobody_starves, quota_setup, quota_teardown),
		cmocka_unit_test_setup_teardown(test_times, quota_setup, quota_teardown),
		cmocka_unit_test_setup_teardown(
			test_random_operations, quota_setup, quota_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
