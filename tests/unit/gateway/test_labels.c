/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_labels.c - selectors, labels and names: what is taken, what is refused, and with which words
 */
#include "unit/test.h"

#include "gateway/labels.c"
#include "gateway/pb.c"

#include "base/buf.h"
#include "datamodel.pb-c.h"

typedef Openshell__Datamodel__V1__ObjectMeta meta;

static meta *labelled(const char *const *pairs, size_t n)
{
	meta *m = cv_pb_new(&openshell__datamodel__v1__object_meta__descriptor);

	for (size_t i = 0; i < n; i += 2)
		cv_pb_map_set(&m->labels, &m->n_labels,
			&openshell__datamodel__v1__object_meta__labels_entry__descriptor,
			cv_str_of(pairs[i]), cv_str_of(pairs[i + 1]));
	return m;
}

static bool selects(const char *text, const meta *m)
{
	struct cv_label_selector s;
	struct cv_err err;

	assert_int_equal(cv_label_selector_parse(cv_str_of(text), &s, &err), CV_RPC_OK);
	return cv_label_selector_matches(&s, m->labels, m->n_labels);
}

static void test_selectors(void **state)
{
	static const char *const pairs[] = { "app", "web", "example.com/tier", "front", "empty",
		"" };
	meta *m = labelled(pairs, CV_ARRAY_LEN(pairs));

	(void)state;
	assert_true(selects("", m));
	assert_true(selects("app=web", m));
	assert_true(selects("app=web,example.com/tier=front", m));
	assert_true(selects(" app = web , empty= ", m));
	assert_false(selects("app=web,example.com/tier=back", m));
	assert_false(selects("other=web", m));
	assert_false(selects("other=", m));
	assert_false(selects("app=web,app=api", m));
	cv_pb_free(m);
}

static void test_bad_selectors(void **state)
{
	static const char *const bad[] = { "app", "=web", "app=web,", ",", "app==web", "-a=b",
		"a=b-", "a/b/c=d", "/a=b", "A_/b=c", "app=web server", "app=\xc3\xa9" };
	struct cv_label_selector s;
	struct cv_err err;
	struct cv_buf b;

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(bad); i++)
		if (cv_label_selector_parse(cv_str_of(bad[i]), &s, &err) != CV_RPC_INVALID_ARGUMENT)
			fail_msg("%s is taken", bad[i]);
	cv_buf_init(&b, 4096);
	for (int i = 0; i < CV_LABEL_PAIRS_MAX; i++)
		cv_buf_printf(&b, "%sk%d=v", i ? "," : "", i);
	assert_int_equal(cv_label_selector_parse(cv_buf_str(&b), &s, &err), CV_RPC_OK);
	assert_int_equal(s.n, CV_LABEL_PAIRS_MAX);
	cv_buf_put(&b, CV_STR(",more=v"));
	assert_int_equal(
		cv_label_selector_parse(cv_buf_str(&b), &s, &err), CV_RPC_INVALID_ARGUMENT);
	cv_buf_fini(&b);
}

static void test_names(void **state)
{
	static const char *const good[] = { "a", "web-1", "9lives", "abcdefghijklmnopqrs" };
	static const char *const bad[] = { "", "-a", "a-", "a--b", "A", "a_b", "a.b", "a/b",
		"abcdefghijklmnopqrst" };
	struct cv_err err;

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(good); i++)
		assert_int_equal(
			cv_name_check("name", cv_str_of(good[i]), CV_NAME_SHORT_BYTES_MAX, &err),
			CV_RPC_OK);
	for (size_t i = 0; i < CV_ARRAY_LEN(bad); i++)
		if (cv_name_check("name", cv_str_of(bad[i]), CV_NAME_SHORT_BYTES_MAX, &err) !=
			CV_RPC_INVALID_ARGUMENT)
			fail_msg("'%s' is taken", bad[i]);
	assert_string_equal(err.msg, "name exceeds maximum length (20 > 19)");
	assert_int_equal(cv_name_check("name", CV_STR("abcdefghijklmnopqrst"),
				 CV_NAME_SANDBOX_BYTES_MAX, &err),
		CV_RPC_OK);
	assert_int_equal(cv_name_check_other("name", CV_STR("My_Provider.1"), &err), CV_RPC_OK);
	assert_int_equal(cv_name_check_other("name", CV_STR("a/b"), &err), CV_RPC_INVALID_ARGUMENT);
	assert_int_equal(cv_name_check_other("name", CV_STR("a b"), &err), CV_RPC_INVALID_ARGUMENT);
}

/* Whatever is drawn is a name that may be used, also of a workspace. */
static void test_generated_names(void **state)
{
	char name[CV_NAME_GENERATED_BYTES];
	struct cv_err err;

	(void)state;
	for (uint64_t i = 0; i < 20000; i++) {
		cv_name_make(i * 2654435761u, i % 3 == 0, name);
		assert_int_equal(
			cv_name_check("name", cv_str_of(name), CV_NAME_SHORT_BYTES_MAX, &err),
			CV_RPC_OK);
	}
	cv_name_make(12345, true, name);
	assert_int_equal(strlen(name), 6);
}

static void test_maps(void **state)
{
	static const char *const pairs[] = { "a", "1", "b", "2" };
	meta *m = labelled(pairs, CV_ARRAY_LEN(pairs)), *copy = cv_pb_copy(m);
	struct cv_err err;

	(void)state;
	assert_true(cv_pb_eq(m, copy));
	assert_str(cv_pb_map_get(m->labels, m->n_labels, CV_STR("b")), "2");
	assert_null(cv_pb_map_get(m->labels, m->n_labels, CV_STR("c")).p);
	assert_true(cv_pb_map_remove(&m->labels, &m->n_labels, CV_STR("a")));
	assert_false(cv_pb_map_remove(&m->labels, &m->n_labels, CV_STR("a")));
	assert_false(cv_pb_eq(m, copy));
	assert_true(cv_pb_map_remove(&m->labels, &m->n_labels, CV_STR("b")));
	assert_null(m->labels);
	assert_int_equal(cv_labels_check("labels", copy->labels, copy->n_labels, &err), CV_RPC_OK);
	cv_pb_str_set(&copy->labels[0]->key, CV_STR("not a key"));
	assert_int_equal(cv_labels_check("labels", copy->labels, copy->n_labels, &err),
		CV_RPC_INVALID_ARGUMENT);
	cv_pb_free(m);
	cv_pb_free(copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_selectors),
		cmocka_unit_test(test_bad_selectors),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_generated_names),
		cmocka_unit_test(test_maps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
