/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: a leaf is what clients accept for exactly one name, and nothing that is not one name or
 * one P-256 key is ever signed.  Method: the CA for real, its leaves verified by OpenSSL's own
 * path validation with host and address checks, as a strict client does.
 */
#include "unit/test.h"

#include "keeper/ca.c"
#include "keeper/ca_cert.c"

#include <openssl/pem.h>

#define NOW 1790000000 /* September 2026; the code has no clock of its own */

static struct cv_ca *ca;
static struct cv_err err;

static int ca_setup(void **state)
{
	(void)state;
	return cv_ca_new(CV_STR("test"), NOW, &ca, &err) == CV_OK ? 0 : -1;
}

static int ca_teardown(void **state)
{
	(void)state;
	cv_ca_free(ca);
	return 0;
}

static struct cv_str spki_of(EVP_PKEY *key, unsigned char *room)
{
	unsigned char *at = room;
	const int n = i2d_PUBKEY(key, &at);

	return (struct cv_str){ (const char *)room, (size_t)n };
}

static cv_code sign(struct cv_str host, X509 **ret)
{
	CV_AUTO(pkey_cleanup) EVP_PKEY *key = EVP_EC_gen("P-256");
	unsigned char spki[256];
	int64_t not_after_s = 0;
	struct cv_buf der;

	cv_buf_init(&der, 2048);
	const cv_code code =
		cv_ca_leaf_sign(ca, host, spki_of(key, spki), NOW, &der, &not_after_s, &err);
	if (code == CV_OK) {
		const unsigned char *at = (const unsigned char *)cv_buf_str(&der).p;

		*ret = d2i_X509(NULL, &at, (long)cv_buf_len(&der));
		assert_non_null(*ret);
		assert_int_equal(not_after_s, NOW + LEAF_S);
	}
	cv_buf_fini(&der);
	return code;
}

/* As a strict client: chain to our CA only, purpose server, this name or address. */
static bool client_accepts(X509 *leaf, const char *host, const char *address)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	X509_VERIFY_PARAM *param;

	assert_true(is_parsed(ca));
	X509_STORE_add_cert(store, ca->cert);
	X509_STORE_CTX_init(ctx, store, leaf, NULL);
	param = X509_STORE_CTX_get0_param(ctx);
	X509_VERIFY_PARAM_set_time(param, NOW);
	X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_SERVER);
	X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_X509_STRICT);
	if (host)
		X509_VERIFY_PARAM_set1_host(param, host, 0);
	if (address)
		X509_VERIFY_PARAM_set1_ip_asc(param, address);
	const bool is_ok = X509_verify_cert(ctx) == 1;
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	return is_ok;
}

static void a_leaf_is_for_one_name(void **state)
{
	X509 *leaf = NULL;

	(void)state;
	assert_int_equal(sign(CV_STR("api.example.com"), &leaf), CV_OK);
	assert_true(client_accepts(leaf, "api.example.com", NULL));
	assert_false(client_accepts(leaf, "www.example.com", NULL));
	assert_false(client_accepts(leaf, "a.api.example.com", NULL));
	X509_free(leaf);
	assert_int_equal(sign(CV_STR("192.0.2.7"), &leaf), CV_OK);
	assert_true(client_accepts(leaf, NULL, "192.0.2.7"));
	assert_false(client_accepts(leaf, NULL, "192.0.2.8"));
	X509_free(leaf);
	assert_int_equal(sign(CV_STR("2001:db8::7"), &leaf), CV_OK);
	assert_true(client_accepts(leaf, NULL, "2001:db8::7"));
	X509_free(leaf);
}

static void what_is_not_one_name_is_refused(void **state)
{
	static const char *const bad[] = { "", ".", "a..b", "a.", "*.example.com", "A.example",
		"a,DNS:b", "a b", "a:443", "evil\ncn", "x@y" };
	X509 *leaf = NULL;

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(bad); i++)
		assert_int_equal(sign(cv_str_of(bad[i]), &leaf), CV_INVALID);
	assert_int_equal(sign(CV_STR("a\0b"), &leaf), CV_INVALID);
	char label[65];
	memset(label, 'a', sizeof(label));
	assert_int_equal(sign((struct cv_str){ label, 64 }, &leaf), CV_INVALID);
	assert_int_equal(sign((struct cv_str){ label, 63 }, &leaf), CV_OK);
	X509_free(leaf);
}

static void only_p256_keys_are_signed(void **state)
{
	EVP_PKEY *other[] = { EVP_EC_gen("P-384"), EVP_PKEY_Q_keygen(NULL, NULL, "ED25519") };
	unsigned char spki[256];
	int64_t not_after_s;
	struct cv_buf der;

	(void)state;
	cv_buf_init(&der, 2048);
	for (size_t i = 0; i < CV_ARRAY_LEN(other); i++) {
		assert_int_equal(cv_ca_leaf_sign(ca, CV_STR("a.example"), spki_of(other[i], spki),
					 NOW, &der, &not_after_s, &err),
			CV_INVALID);
		EVP_PKEY_free(other[i]);
	}
	CV_AUTO(pkey_cleanup) EVP_PKEY *key = EVP_EC_gen("P-256");
	const struct cv_str good = spki_of(key, spki);
	for (size_t n = 0; n < good.n; n++) /* no prefix of a key is a key */
		assert_int_equal(cv_ca_leaf_sign(ca, CV_STR("a.example"), cv_str_slice(good, 0, n),
					 NOW, &der, &not_after_s, &err),
			CV_INVALID);
	cv_buf_fini(&der);
}

static void runs_do_not_trust_each_other(void **state)
{
	struct cv_ca *mine = ca, *other;
	X509 *leaf = NULL;

	(void)state;
	assert_int_equal(cv_ca_new(CV_STR("test"), NOW, &other, &err), CV_OK); /* the same name */
	ca = other;
	assert_int_equal(sign(CV_STR("api.example.com"), &leaf), CV_OK);
	ca = mine;
	assert_false(client_accepts(leaf, "api.example.com", NULL)); /* t22 */
	X509_free(leaf);
	cv_ca_free(other);
}

/* A key that was made ahead is the authority's, like any other. */
static void a_key_may_come_first(void **state)
{
	struct cv_ca *mine = ca, *ahead;
	X509 *leaf = NULL;

	(void)state;
	assert_int_equal(cv_ca_begin(&ahead, &err), CV_OK);
	assert_int_equal(cv_ca_name(ahead, CV_STR("ahead"), NOW, &err), CV_OK);
	ca = ahead;
	assert_int_equal(sign(CV_STR("api.example.com"), &leaf), CV_OK);
	ca = mine;
	assert_false(client_accepts(leaf, "api.example.com", NULL));
	X509_free(leaf);
	cv_ca_free(ahead);
	assert_int_equal(cv_ca_begin(&ahead, &err), CV_OK);
	cv_ca_free(ahead); /* and may be for nothing */
}

/* ---- the CA's own certificate ---- */

static void extension_is(X509 *cert, int nid, bool is_critical, const char *text)
{
	X509_EXTENSION *x = X509_get_ext(cert, X509_get_ext_by_NID(cert, nid, -1));
	BIO *bio = BIO_new(BIO_s_mem());
	char *said = NULL;

	assert_non_null(x);
	assert_int_equal(X509_EXTENSION_get_critical(x), is_critical);
	assert_int_equal(X509V3_EXT_print(bio, x, 0, 0), 1);
	const long n = BIO_get_mem_data(bio, &said);
	assert_int_equal(n, strlen(text));
	assert_memory_equal(said, text, (size_t)n);
	BIO_free(bio);
}

/* The library reads it to the end, writes the same bytes, and finds in it what was meant. */
static void the_certificate_is_as_the_library_writes_it(void **state)
{
	unsigned char again[CA_DER_BYTES], *at = again;
	struct cv_buf pem;
	BIO *bio = BIO_new(BIO_s_mem());
	char *text = NULL;

	(void)state;
	assert_true(is_parsed(ca));
	assert_int_equal(
		i2d_re_X509_tbs(ca->cert, NULL) > 0, 1); /* written anew, not as it was read */
	assert_int_equal(i2d_X509(ca->cert, &at), cv_buf_len(&ca->der));
	assert_memory_equal(again, cv_buf_str(&ca->der).p, cv_buf_len(&ca->der));
	assert_int_equal(X509_verify(ca->cert, ca->key), 1);
	assert_int_equal(EVP_PKEY_eq(X509_get0_pubkey(ca->cert), ca->key), 1);
	assert_int_equal(X509_check_ca(ca->cert), 1);
	assert_int_equal(X509_get_pathlen(ca->cert), 0);
	assert_int_equal(
		X509_get_extension_flags(ca->cert) & (EXFLAG_SS | EXFLAG_INVALID), EXFLAG_SS);
	assert_int_equal(X509_get_ext_count(ca->cert), 3);
	extension_is(ca->cert, NID_basic_constraints, true, "CA:TRUE, pathlen:0");
	extension_is(ca->cert, NID_key_usage, true, "Certificate Sign");
	assert_int_equal(X509_get0_subject_key_id(ca->cert)->length, 20);
	text = X509_NAME_oneline(X509_get_subject_name(ca->cert), NULL, 0);
	assert_string_equal(text, "/CN=cove run test");
	OPENSSL_free(text);
	assert_int_equal(PEM_write_bio_X509(bio, ca->cert), 1);
	const long n = BIO_get_mem_data(bio, &text);
	cv_buf_init(&pem, 4096);
	assert_int_equal(cv_ca_pem(ca, &pem, &err), CV_OK);
	assert_int_equal(cv_buf_len(&pem), n);
	assert_memory_equal(cv_buf_str(&pem).p, text, (size_t)n);
	cv_buf_fini(&pem);
	BIO_free(bio);
}

static void dates_are_right_on_both_sides_of_2050(void **state)
{
	static const int64_t at[] = { 1790000000, 2521843200 - 1, 2524607999 + 3600, 4102444800 };

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(at); i++) {
		struct cv_ca *one;

		assert_int_equal(cv_ca_new(CV_STR("t"), at[i], &one, &err), CV_OK);
		assert_true(is_parsed(one));
		ASN1_TIME *from = ASN1_TIME_set(NULL, at[i] - BACKDATE_S),
			  *to = ASN1_TIME_set(NULL, at[i] + CA_S);
		assert_int_equal(ASN1_STRING_cmp(from, X509_get0_notBefore(one->cert)), 0);
		assert_int_equal(ASN1_STRING_cmp(to, X509_get0_notAfter(one->cert)), 0);
		ASN1_TIME_free(from);
		ASN1_TIME_free(to);
		cv_ca_free(one);
	}
}

static void a_name_is_cut_or_refused(void **state)
{
	struct cv_ca *one;
	char name[100];

	(void)state;
	memset(name, 'n', sizeof(name));
	assert_int_equal(cv_ca_new((struct cv_str){ name, sizeof(name) }, NOW, &one, &err), CV_OK);
	assert_true(is_parsed(one));
	cv_ca_free(one);
	assert_int_not_equal(cv_ca_new(CV_STR("\xff"), NOW, &one, &err), CV_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_leaf_is_for_one_name),
		cmocka_unit_test(what_is_not_one_name_is_refused),
		cmocka_unit_test(only_p256_keys_are_signed),
		cmocka_unit_test(runs_do_not_trust_each_other),
		cmocka_unit_test(a_key_may_come_first),
		cmocka_unit_test(the_certificate_is_as_the_library_writes_it),
		cmocka_unit_test(dates_are_right_on_both_sides_of_2050),
		cmocka_unit_test(a_name_is_cut_or_refused),
	};

	return cmocka_run_group_tests_name("keeper/ca", tests, ca_setup, ca_teardown);
}
