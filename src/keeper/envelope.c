/* SPDX-License-Identifier: Apache-2.0 */
/*
 * envelope.c - see envelope.h
 *
 *     offset  bytes
 *          0  4    magic "CVe1"
 *          4  8    id of the key-encryption key
 *         12  12   nonce of the wrapping
 *         24  32   data key, wrapped             \ AES-256-GCM under the key-encryption key;
 *         56  16   tag of the wrapping           / associated: "key", bytes 0 to 12, context
 *         72  12   nonce of the value
 *         84  n    value                         \ AES-256-GCM under the data key;
 *     84 + n  16   tag of the value              / associated: "value", magic, context
 *
 * Nonces are random: a data key is used once, and a key-encryption key would have to wrap 2^32 data
 * keys before two nonces could be expected to meet with a chance that matters (NIST SP 800-38D 8.3).
 * The words "key" and "value" keep one from being taken for the other.  The value's tag does not
 * cover the wrapping, which changes with the key; the data key itself joins the two.
 */
#include "keeper/envelope.h"

#include "base/sha256.h"
#include "tls/fail.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>

#define MAGIC       CV_STR("CVe1")
#define KEY_BYTES   CV_VAULT_KEY_BYTES
#define NONCE_BYTES 12
#define TAG_BYTES   16
#define AT_ID       4
#define AT_WRAP     12 /* nonce, wrapped key, tag */
#define AT_VALUE    72 /* nonce, value, tag */
#define BYTES_MIN   (AT_VALUE + NONCE_BYTES + TAG_BYTES)

void cv_seal_key_set(struct cv_seal_key *k, const unsigned char key[KEY_BYTES])
{
	static const char purpose[] = "cove key-encryption key id";
	unsigned char hash[CV_SHA256_BYTES];
	struct cv_sha256 s;

	memcpy(k->key, key, KEY_BYTES);
	cv_sha256_init(&s);
	cv_sha256_update(&s, purpose, sizeof(purpose));
	cv_sha256_update(&s, key, KEY_BYTES);
	cv_sha256_final(&s, hash);
	memcpy(&k->id, hash, sizeof(k->id));
	explicit_bzero(&s, sizeof(s));
}

/* What a box's tag covers beside its contents. */
struct cover {
	struct cv_str what, head, context;
};

struct box { /* nonce, contents, tag: in and out are of n bytes */
	const unsigned char *key;
	struct cover cover;
	unsigned char *nonce, *tag;
	const unsigned char *in;
	unsigned char *out;
	int n;
};

static bool box_run(EVP_CIPHER_CTX *c, const struct box *b, bool is_closing)
{
	const struct cv_str cover[] = { b->cover.what, b->cover.head, b->cover.context };
	int n;

	if (!EVP_CipherInit_ex(c, EVP_aes_256_gcm(), NULL, b->key, b->nonce, is_closing))
		return false;
	for (size_t i = 0; i < CV_ARRAY_LEN(cover); i++) {
		/* with its length: where one ends and the next begins is part of it */
		const unsigned char bytes[2] = { (unsigned char)(cover[i].n >> 8),
			(unsigned char)cover[i].n };

		if (!EVP_CipherUpdate(c, NULL, &n, bytes, 2) ||
			!EVP_CipherUpdate(
				c, NULL, &n, (const unsigned char *)cover[i].p, (int)cover[i].n))
			return false;
	}
	if (b->n && !EVP_CipherUpdate(c, b->out, &n, b->in, b->n))
		return false;
	if (!is_closing && !EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, b->tag))
		return false;
	if (EVP_CipherFinal_ex(c, b->out + b->n, &n) <= 0)
		return false;
	return !is_closing || EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, b->tag);
}

static cv_code box_close(const struct box *b, struct cv_err *err)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	const bool is_done = c && RAND_bytes(b->nonce, NONCE_BYTES) == 1 && box_run(c, b, true);

	EVP_CIPHER_CTX_free(c);
	return is_done ? CV_OK : cv_tls_fail(err, "seal a value");
}

static bool box_open(const struct box *b)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	const bool is_done = c && box_run(c, b, false);

	EVP_CIPHER_CTX_free(c);
	if (!is_done)
		explicit_bzero(
			b->out, (size_t)b->n); /* what was not vouched for is not looked at */
	return is_done;
}

static struct box wrapping(const unsigned char *key, unsigned char *e, struct cv_str context)
{
	return (struct box){
		.key = key,
		.cover = { CV_STR("key"), { (const char *)e, AT_WRAP }, context },
		.nonce = e + AT_WRAP,
		.in = e + AT_WRAP + NONCE_BYTES,
		.out = e + AT_WRAP + NONCE_BYTES,
		.tag = e + AT_WRAP + NONCE_BYTES + KEY_BYTES,
		.n = KEY_BYTES,
	};
}

static struct box contents(
	const unsigned char *data_key, unsigned char *e, size_t value_bytes, struct cv_str context)
{
	return (struct box){
		.key = data_key,
		.cover = { CV_STR("value"), MAGIC, context },
		.nonce = e + AT_VALUE,
		.in = e + AT_VALUE + NONCE_BYTES,
		.out = e + AT_VALUE + NONCE_BYTES,
		.tag = e + AT_VALUE + NONCE_BYTES + value_bytes,
		.n = (int)value_bytes,
	};
}

static cv_code context_check(struct cv_str context, struct cv_err *err)
{
	if (!context.n || context.n > CV_VAULT_CONTEXT_BYTES_MAX)
		return cv_fail(err, CV_LIMIT, "a context of %zu bytes", context.n);
	return CV_OK;
}

cv_code cv_seal(const struct cv_seal_key *k, struct cv_str context, struct cv_str value,
	struct cv_buf *ret, struct cv_err *err)
{
	unsigned char data_key[KEY_BYTES];
	const size_t bytes = BYTES_MIN + value.n;

	if (value.n > CV_VAULT_VALUE_BYTES_MAX)
		return cv_fail(err, CV_LIMIT, "a value of %zu bytes", value.n);
	cv_code code = context_check(context, err);
	if (code != CV_OK)
		return code;
	unsigned char *e = (unsigned char *)cv_buf_reserve(ret, bytes);
	if (!e)
		return cv_fail(err, CV_LIMIT, "no room for an envelope");
	memcpy(e, MAGIC.p, MAGIC.n);
	memcpy(e + AT_ID, &k->id, sizeof(k->id));
	if (RAND_bytes(data_key, KEY_BYTES) != 1)
		return cv_tls_fail(err, "seal a value");
	struct box box = wrapping(k->key, e, context);
	box.in = data_key;
	code = box_close(&box, err);
	if (code == CV_OK) {
		static const unsigned char nothing;

		box = contents(data_key, e, value.n, context);
		box.in = value.n ? (const unsigned char *)value.p : &nothing;
		code = box_close(&box, err);
	}
	explicit_bzero(data_key, KEY_BYTES);
	if (code == CV_OK)
		cv_buf_commit(ret, bytes);
	return code;
}

/* The key of an envelope that has the form of one. */
static cv_code key_find(const struct cv_seal_key *k, size_t n, struct cv_str envelope,
	const struct cv_seal_key **ret, struct cv_err *err)
{
	uint64_t id;

	if (envelope.n < BYTES_MIN || envelope.n > BYTES_MIN + CV_VAULT_VALUE_BYTES_MAX ||
		!cv_str_has_prefix(envelope, MAGIC))
		return cv_fail(err, CV_INVALID, "not an envelope of a value");
	memcpy(&id, envelope.p + AT_ID, sizeof(id));
	for (size_t i = 0; i < n; i++)
		if (k[i].id == id) {
			*ret = &k[i];
			return CV_OK;
		}
	return cv_fail(
		err, CV_NOT_FOUND, "a value is sealed under a key that is not among those given");
}

static cv_code changed(struct cv_err *err)
{
	return cv_fail(err, CV_DENIED,
		"a sealed value was changed, or is not where it belongs; it is not used");
}

/* Copies the envelope to e and opens its data key. */
static cv_code data_key_open(const struct cv_seal_key *k, size_t n, struct cv_str context,
	struct cv_str envelope, unsigned char *e, unsigned char ret_key[KEY_BYTES],
	struct cv_err *err)
{
	const struct cv_seal_key *key;
	cv_code code = context_check(context, err);

	if (code == CV_OK)
		code = key_find(k, n, envelope, &key, err);
	if (code != CV_OK)
		return code;
	memcpy(e, envelope.p, envelope.n);
	struct box box = wrapping(key->key, e, context);
	box.out = ret_key;
	return box_open(&box) ? CV_OK : changed(err);
}

cv_code cv_unseal(const struct cv_seal_key *k, size_t n, struct cv_str context,
	struct cv_str envelope, struct cv_buf *ret, struct cv_err *err)
{
	unsigned char data_key[KEY_BYTES];
	unsigned char *e = (unsigned char *)cv_buf_reserve(ret, envelope.n);

	if (!e)
		return cv_fail(err, CV_LIMIT, "no room for a value");
	cv_code code = data_key_open(k, n, context, envelope, e, data_key, err);
	if (code != CV_OK)
		return code;
	const size_t bytes = envelope.n - BYTES_MIN;
	const struct box box = contents(data_key, e, bytes, context);
	code = box_open(&box) ? CV_OK : changed(err);
	explicit_bzero(data_key, KEY_BYTES);
	if (code == CV_OK) {
		memmove(e, box.out, bytes);
		cv_buf_commit(ret, bytes);
	}
	return code;
}

cv_code cv_seal_rewrap(const struct cv_seal_key *k, size_t n, struct cv_str context,
	struct cv_str envelope, struct cv_buf *ret, struct cv_err *err)
{
	unsigned char data_key[KEY_BYTES];
	unsigned char *e = (unsigned char *)cv_buf_reserve(ret, envelope.n);

	if (!e)
		return cv_fail(err, CV_LIMIT, "no room for an envelope");
	cv_code code = data_key_open(k, n, context, envelope, e, data_key, err);
	if (code != CV_OK)
		return code;
	memcpy(e + AT_ID, &k[0].id, sizeof(k[0].id));
	struct box box = wrapping(k[0].key, e, context);
	box.in = data_key;
	code = box_close(&box, err);
	explicit_bzero(data_key, KEY_BYTES);
	if (code == CV_OK)
		cv_buf_commit(ret, envelope.n);
	return code;
}
