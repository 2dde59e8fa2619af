/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: SCRAM and MD5 answers are those that a server accepts; a server that does not know the
 *       password is not believed.
 * Method: RFC 7677's example, with the empty user name that PostgreSQL's clients send computed by
 *         another implementation (Python's hashlib); then the same with parts broken.
 */
#include "unit/test.h"

#include "wire/pg_auth.c"

static const unsigned char nonce[CV_SCRAM_NONCE_BYTES] = "0123456789abcdefg";
#define OURS  "MDEyMzQ1Njc4OWFiY2RlZmcA"
#define FIRST "r=" OURS "xyz,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"

static cv_code start(struct cv_scram *s, struct cv_str list, struct cv_str hash, struct cv_buf *out,
	struct cv_str *mechanism)
{
	cv_buf_reset(out);
	return cv_scram_start(s, list, hash, nonce, mechanism, out, NULL);
}

#define LIST_BOTH  CV_STR("SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0")
#define LIST_PLAIN CV_STR("SCRAM-SHA-256\0")
/* a literal's own zero byte is the list's last, which CV_STR does not count */
#define WHOLE(s) ((struct cv_str){ (s).p, (s).n + 1 })

static void mechanism_is_chosen(void **state)
{
	struct cv_scram s;
	struct cv_str mechanism;
	struct cv_buf out;

	(void)state;
	cv_buf_init(&out, 4096);
	assert_int_equal(start(&s, WHOLE(LIST_BOTH), CV_STR("hash"), &out, &mechanism), CV_OK);
	assert_true(cv_str_eq(mechanism, CV_SCRAM_PLUS));
	assert_true(
		cv_str_has_prefix(cv_buf_str(&out), CV_STR("p=tls-server-end-point,,n=,r=" OURS)));
	assert_int_equal(start(&s, WHOLE(LIST_PLAIN), CV_STR("hash"), &out, &mechanism), CV_OK);
	assert_true(cv_str_eq(cv_buf_str(&out), CV_STR("y,,n=,r=" OURS)));
	assert_int_equal(start(&s, WHOLE(LIST_BOTH), CV_STR_NONE, &out, &mechanism), CV_OK);
	assert_true(cv_str_eq(mechanism, CV_SCRAM_PLAIN));
	assert_true(cv_str_eq(cv_buf_str(&out), CV_STR("n,,n=,r=" OURS)));
	assert_int_equal(
		start(&s, CV_STR("OTHER\0\0"), CV_STR_NONE, &out, &mechanism), CV_UNAVAILABLE);
	assert_int_equal(
		start(&s, CV_STR("SCRAM-SHA-256"), CV_STR_NONE, &out, &mechanism), CV_PROTO);
	assert_int_equal(start(&s, CV_STR_NONE, CV_STR_NONE, &out, &mechanism), CV_PROTO);
	cv_buf_fini(&out);
}

static void proof_and_signature(void **state)
{
	struct cv_scram s;
	struct cv_str mechanism;
	struct cv_buf out;

	(void)state;
	cv_buf_init(&out, 4096);
	assert_int_equal(start(&s, WHOLE(LIST_PLAIN), CV_STR_NONE, &out, &mechanism), CV_OK);
	cv_buf_reset(&out);
	assert_int_equal(cv_scram_answer(&s, CV_STR(FIRST), CV_STR("pencil"), &out, NULL), CV_OK);
	assert_true(cv_str_eq(cv_buf_str(&out),
		CV_STR("c=biws,r=" OURS "xyz,p=GC1V7ZOYG8X9wnrhTx+rsXQCVr/CSGBbOOAz1+sZsTM=")));
	assert_int_equal(
		cv_scram_finish(&s, CV_STR("v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="), NULL),
		CV_DENIED);
	assert_int_equal(cv_scram_finish(&s, CV_STR("e=invalid-proof"), NULL), CV_DENIED);
	assert_int_equal(
		cv_scram_finish(&s, CV_STR("v=iYy0E6cstKeQcsQ1izSLEuvnntanblrmwTw3x8VRAAY="), NULL),
		CV_OK);
	assert_int_equal(s.phase, CV_SCRAM_PROVEN);
	assert_int_equal(
		cv_scram_finish(&s, CV_STR("v=iYy0E6cstKeQcsQ1izSLEuvnntanblrmwTw3x8VRAAY="), NULL),
		CV_PROTO);
	cv_buf_fini(&out);
}

static void challenge_is_checked(void **state)
{
	static const char *const bad[] = {
		"",
		"r=" OURS,
		"r=" OURS ",s=W22Z,i=4096", /* no nonce of the server */
		"r=AAEyMzQ1Njc4OWFiY2RlZmcAxyz,s=W22Z,i=4096",
		"r=" OURS "xyz,s=W22Z,i=4095",
		"r=" OURS "xyz,s=W22Z,i=200001",
		"r=" OURS "xyz,s=W22Z,i=99999999999999999999",
		"r=" OURS "xyz,s=W2!Z,i=4096",
		"r=" OURS "xyz,s=,i=4096",
		"r=" OURS "xyz,s=W22Z,i=4096,x=1",
		"m=1,r=" OURS "xyz,s=W22Z,i=4096",
		"r=" OURS "\x01,s=W22Z,i=4096",
	};
	struct cv_scram s;
	struct cv_str mechanism;
	struct cv_buf out;

	(void)state;
	cv_buf_init(&out, 4096);
	for (size_t i = 0; i < CV_ARRAY_LEN(bad); i++) {
		assert_int_equal(
			start(&s, WHOLE(LIST_PLAIN), CV_STR_NONE, &out, &mechanism), CV_OK);
		assert_int_equal(
			cv_scram_answer(&s, cv_str_of(bad[i]), CV_STR("x"), &out, NULL), CV_PROTO);
	}
	s = (struct cv_scram){ 0 };
	assert_int_equal(cv_scram_answer(&s, CV_STR(FIRST), CV_STR("x"), &out, NULL), CV_PROTO);
	assert_int_equal(cv_scram_finish(&s, CV_STR("v="), NULL), CV_PROTO);
	cv_buf_fini(&out);
}

static void md5_vectors(void **state)
{
	char hex[2 * MD5_BYTES], text[CV_PG_MD5_TEXT_BYTES];

	(void)state;
	md5_hex(CV_STR(""), CV_STR(""), hex);
	assert_memory_equal(hex, "d41d8cd98f00b204e9800998ecf8427e", 32);
	md5_hex(CV_STR("message "), CV_STR("digest"), hex);
	assert_memory_equal(hex, "f96b697d7cb7938d525a2f31aaf161d0", 32);
	md5_hex(CV_STR("1234567890123456789012345678901234567890"),
		CV_STR("1234567890123456789012345678901234567890"), hex);
	assert_memory_equal(hex, "57edf4a22be3c955ac49da2e2107b67a", 32);
	cv_pg_md5_answer(
		CV_STR("agent"), CV_STR("secret"), (const unsigned char *)"\1\2\3\4", text);
	assert_string_equal(text, "md578f6f2e5299d91a5ab1c30bf8cae9aec");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mechanism_is_chosen),
		cmocka_unit_test(proof_and_signature),
		cmocka_unit_test(challenge_is_checked),
		cmocka_unit_test(md5_vectors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
