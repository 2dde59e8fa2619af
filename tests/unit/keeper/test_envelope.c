/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_envelope.c - a value comes out only whole, under its key and in its place
 *
 * Goal: what was changed in the store, anywhere, or put in another's place, is refused (threat: the
 * store is written by somebody else).  Method: every byte and bit of an envelope, every length.
 */
#include "ipc/vault_link.c"
#include "keeper/envelope.c"
#include "unit/test.h"

#define CONTEXT CV_STR("default/7b0c/GITHUB_TOKEN")
#define VALUE   CV_STR("ghp_0123456789")

static struct cv_seal_key key[3];

static int setup(void **state)
{
	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(key); i++) {
		unsigned char bytes[KEY_BYTES];

		memset(bytes, (int)(i + 1), sizeof(bytes));
		cv_seal_key_set(&key[i], bytes);
	}
	return 0;
}

static void seal(const struct cv_seal_key *k, struct cv_str value, struct cv_buf *ret)
{
	cv_buf_init(ret, CV_VAULT_ENVELOPE_BYTES_MAX);
	assert_int_equal(cv_seal(k, CONTEXT, value, ret, NULL), CV_OK);
}

static cv_code opens(const struct cv_seal_key *k, size_t n, struct cv_str context,
	struct cv_str envelope, struct cv_str want)
{
	struct cv_buf b;

	cv_buf_init(&b, CV_VAULT_ENVELOPE_BYTES_MAX);
	const cv_code code = cv_unseal(k, n, context, envelope, &b, NULL);
	if (code == CV_OK)
		assert_true(cv_str_eq(cv_buf_str(&b), want));
	else
		assert_int_equal(cv_buf_len(&b), 0);
	cv_buf_wipe(&b);
	return code;
}

static void test_there_and_back(void **state)
{
	static char big[CV_VAULT_VALUE_BYTES_MAX + 1];
	const size_t n[] = { 0, 1, 15, 16, 17, 1000, CV_VAULT_VALUE_BYTES_MAX };
	struct cv_buf e, again;

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(n); i++) {
		const struct cv_str value = { big, n[i] };

		seal(&key[0], value, &e);
		assert_int_equal(cv_buf_len(&e), BYTES_MIN + n[i]);
		assert_int_equal(opens(key, 1, CONTEXT, cv_buf_str(&e), value), CV_OK);
		seal(&key[0], value, &again); /* no two envelopes are alike */
		assert_false(cv_str_eq(cv_buf_str(&e), cv_buf_str(&again)));
		cv_buf_fini(&e);
		cv_buf_fini(&again);
	}
	cv_buf_init(&e, 1 << 20);
	assert_int_equal(
		cv_seal(&key[0], CONTEXT, (struct cv_str){ big, sizeof(big) }, &e, NULL), CV_LIMIT);
	assert_int_equal(cv_seal(&key[0], CV_STR_NONE, VALUE, &e, NULL), CV_LIMIT);
	assert_int_equal(cv_seal(&key[0], (struct cv_str){ big, CV_VAULT_CONTEXT_BYTES_MAX + 1 },
				 VALUE, &e, NULL),
		CV_LIMIT);
	assert_int_equal(cv_buf_len(&e), 0);
	cv_buf_fini(&e);
}

static void test_the_value_is_not_in_it(void **state)
{
	struct cv_buf e;

	(void)state;
	seal(&key[0], VALUE, &e);
	assert_null(memmem(e.data, e.end, "ghp_", 4));
	cv_buf_fini(&e);
}

static void test_each_bit_matters(void **state)
{
	struct cv_buf e;

	(void)state;
	seal(&key[0], VALUE, &e);
	for (size_t i = 0; i < e.end * 8; i++) {
		e.data[i / 8] ^= (char)(1 << i % 8);
		assert_int_not_equal(opens(key, 3, CONTEXT, cv_buf_str(&e), VALUE), CV_OK);
		e.data[i / 8] ^= (char)(1 << i % 8);
	}
	for (size_t n = 0; n < e.end; n++)
		assert_int_not_equal(
			opens(key, 3, CONTEXT, (struct cv_str){ e.data, n }, VALUE), CV_OK);
	assert_int_equal(opens(key, 3, CONTEXT, cv_buf_str(&e), VALUE), CV_OK);
	assert_true(cv_buf_put_byte(&e, 0));
	assert_int_equal(opens(key, 3, CONTEXT, cv_buf_str(&e), VALUE), CV_DENIED);
	cv_buf_fini(&e);
}

/* The id of another key that is at hand, in the place of its own. */
static void test_another_key(void **state)
{
	struct cv_buf e;

	(void)state;
	seal(&key[1], VALUE, &e);
	assert_int_equal(opens(&key[0], 1, CONTEXT, cv_buf_str(&e), VALUE), CV_NOT_FOUND);
	assert_int_equal(opens(key, 2, CONTEXT, cv_buf_str(&e), VALUE), CV_OK);
	memcpy(e.data + AT_ID, &key[0].id, 8);
	assert_int_equal(opens(key, 2, CONTEXT, cv_buf_str(&e), VALUE), CV_DENIED);
	cv_buf_fini(&e);
}

static void test_another_place(void **state)
{
	static const struct cv_str context[] = { CV_STR("default/7b0c/GITHUB_TOKE"),
		CV_STR("default/7b0c/GITHUB_TOKENX"), CV_STR("default/7b0d/GITHUB_TOKEN"),
		CV_STR("other/7b0c/GITHUB_TOKEN") };
	struct cv_buf e;

	(void)state;
	seal(&key[0], VALUE, &e);
	for (size_t i = 0; i < CV_ARRAY_LEN(context); i++)
		assert_int_equal(opens(key, 1, context[i], cv_buf_str(&e), VALUE), CV_DENIED);
	cv_buf_fini(&e);
}

/* Halves of two envelopes of the same context and key: the value of one, the data key of the other. */
static void test_halves_do_not_join(void **state)
{
	struct cv_buf a, b;

	(void)state;
	seal(&key[0], VALUE, &a);
	seal(&key[0], VALUE, &b);
	memcpy(a.data + AT_VALUE, b.data + AT_VALUE, a.end - AT_VALUE);
	assert_int_equal(opens(key, 1, CONTEXT, cv_buf_str(&a), VALUE), CV_DENIED);
	cv_buf_fini(&a);
	cv_buf_fini(&b);
}

static void test_rewrap(void **state)
{
	struct cv_buf e, now;

	(void)state;
	seal(&key[2], VALUE, &e);
	cv_buf_init(&now, CV_VAULT_ENVELOPE_BYTES_MAX);
	assert_int_equal(cv_seal_rewrap(key, 2, CONTEXT, cv_buf_str(&e), &now, NULL), CV_NOT_FOUND);
	assert_int_equal(
		cv_seal_rewrap(key, 3, CV_STR("x"), cv_buf_str(&e), &now, NULL), CV_DENIED);
	assert_int_equal(cv_buf_len(&now), 0);
	assert_int_equal(cv_seal_rewrap(key, 3, CONTEXT, cv_buf_str(&e), &now, NULL), CV_OK);
	assert_int_equal(opens(&key[0], 1, CONTEXT, cv_buf_str(&now), VALUE), CV_OK);
	assert_int_equal(opens(&key[2], 1, CONTEXT, cv_buf_str(&now), VALUE), CV_NOT_FOUND);
	assert_memory_equal(now.data + AT_VALUE, e.data + AT_VALUE, e.end - AT_VALUE);
	cv_buf_fini(&e);
	cv_buf_fini(&now);
}

static void test_references(void **state)
{
	static const struct cv_str bad[] = { CV_STR(""), CV_STR("sealed:"), CV_STR("sealed::"),
		CV_STR("sealed:YQ:"), CV_STR("sealed::YQ"), CV_STR("sealed:YQ:YQ:YQ"),
		CV_STR("sealed:YQ==:YQ"), CV_STR("Sealed:YQ:YQ"), CV_STR("ghp_0123") };
	struct cv_buf text, context, envelope;

	(void)state;
	cv_buf_init(&text, 1 << 16);
	cv_buf_init(&context, CV_VAULT_CONTEXT_BYTES_MAX);
	cv_buf_init(&envelope, CV_VAULT_ENVELOPE_BYTES_MAX);
	assert_true(cv_vault_ref_put(&text, CONTEXT, CV_STR("\0\xff\n")));
	assert_true(cv_vault_ref_get(cv_buf_str(&text), &context, &envelope));
	assert_true(cv_str_eq(cv_buf_str(&context), CONTEXT));
	assert_true(cv_str_eq(cv_buf_str(&envelope), CV_STR("\0\xff\n")));
	for (size_t i = 0; i < CV_ARRAY_LEN(bad); i++)
		assert_false(cv_vault_ref_get(bad[i], &context, &envelope));
	cv_buf_fini(&text);
	cv_buf_fini(&context);
	cv_buf_fini(&envelope);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_the_value_is_not_in_it),
		cmocka_unit_test(test_each_bit_matters),
		cmocka_unit_test(test_another_key),
		cmocka_unit_test(test_another_place),
		cmocka_unit_test(test_halves_do_not_join),
		cmocka_unit_test(test_rewrap),
		cmocka_unit_test(test_references),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
