/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg_auth.c - see pg_auth.h
 *
 *     client-first:  gs2-header "n=,r=" nonce
 *     server-first:  "r=" nonce more ",s=" salt ",i=" iterations
 *     client-final:  "c=" base64(gs2-header binding) ",r=" nonce more ",p=" proof
 *     server-final:  "v=" signature
 *
 * gs2-header is "p=tls-server-end-point,," with channel binding, "y,," where we could but the
 * server does not offer it (a server that does offer it then refuses: someone in between took it
 * from the list), "n,," where we could not.  The user's name is empty: the server has it from the
 * startup packet.
 *
 * MD5 is written out here because no library belongs in this folder and nothing else may use it.
 */
#include "wire/pg_auth.h"

#include "base/base64.h"
#include "base/hex.h"

#define MESSAGE_BYTES_MAX (3 * CV_SCRAM_TEXT_BYTES_MAX)

/* ---- HMAC and PBKDF2 over SHA-256 ---- */

struct hmac { /* states after the padded keys: 4096 rounds don't hash them again */
	struct cv_sha256 inner, outer;
};

static void hmac_init(struct hmac *h, struct cv_str key)
{
	unsigned char block[CV_SHA256_BLOCK_BYTES] = { 0 };

	if (key.n > sizeof(block)) {
		struct cv_sha256 s;

		cv_sha256_init(&s);
		cv_sha256_update(&s, key.p, key.n);
		cv_sha256_final(&s, block);
	} else if (key.n) {
		memcpy(block, key.p, key.n);
	}
	for (size_t i = 0; i < sizeof(block); i++)
		block[i] ^= 0x36;
	cv_sha256_init(&h->inner);
	cv_sha256_update(&h->inner, block, sizeof(block));
	for (size_t i = 0; i < sizeof(block); i++)
		block[i] ^= 0x36 ^ 0x5c;
	cv_sha256_init(&h->outer);
	cv_sha256_update(&h->outer, block, sizeof(block));
	explicit_bzero(block, sizeof(block));
}

static void hmac_sum(
	const struct hmac *h, struct cv_str a, struct cv_str b, unsigned char ret[CV_SHA256_BYTES])
{
	struct cv_sha256 s = h->inner;
	unsigned char digest[CV_SHA256_BYTES];

	cv_sha256_update(&s, a.p, a.n);
	cv_sha256_update(&s, b.p, b.n);
	cv_sha256_final(&s, digest);
	s = h->outer;
	cv_sha256_update(&s, digest, sizeof(digest));
	cv_sha256_final(&s, ret);
}

static struct cv_str digest_str(const unsigned char d[CV_SHA256_BYTES])
{
	return (struct cv_str){ (const char *)d, CV_SHA256_BYTES };
}

static void key_sum(const unsigned char key[CV_SHA256_BYTES], struct cv_str text,
	unsigned char ret[CV_SHA256_BYTES])
{
	struct hmac h;

	hmac_init(&h, digest_str(key));
	hmac_sum(&h, text, CV_STR_NONE, ret);
	explicit_bzero(&h, sizeof(h));
}

/* Hi() of RFC 5802: PBKDF2 with one block. */
static void password_stretch(struct cv_str password, struct cv_str salt, uint64_t iterations,
	unsigned char ret[CV_SHA256_BYTES])
{
	unsigned char u[CV_SHA256_BYTES];
	struct hmac h;

	hmac_init(&h, password);
	hmac_sum(&h, salt, (struct cv_str){ "\0\0\0\1", 4 }, u);
	memcpy(ret, u, sizeof(u));
	while (--iterations) {
		hmac_sum(&h, digest_str(u), CV_STR_NONE, u);
		for (size_t i = 0; i < sizeof(u); i++)
			ret[i] ^= u[i];
	}
	explicit_bzero(&h, sizeof(h));
	explicit_bzero(u, sizeof(u));
}

/* ---- SCRAM ---- */

static bool mechanisms_read(struct cv_str list, bool *ret_plain, bool *ret_plus)
{
	*ret_plain = *ret_plus = false;
	while (list.n && list.p[0]) {
		const size_t n = cv_str_find_byte(list, '\0');
		const struct cv_str name = cv_str_slice(list, 0, n);

		if (n == list.n)
			return false;
		*ret_plain |= cv_str_eq(name, CV_SCRAM_PLAIN);
		*ret_plus |= cv_str_eq(name, CV_SCRAM_PLUS);
		list = cv_str_slice(list, n + 1, list.n);
	}
	return list.n == 1;
}

cv_code cv_scram_start(struct cv_scram *s, struct cv_str mechanisms, struct cv_str certificate_hash,
	const unsigned char nonce[CV_SCRAM_NONCE_BYTES], struct cv_str *ret_mechanism,
	struct cv_buf *ret, struct cv_err *err)
{
	const bool can_bind =
		certificate_hash.n && certificate_hash.n <= CV_SCRAM_BINDING_BYTES_MAX;
	bool has_plain, has_plus;
	struct cv_buf text;

	*s = (struct cv_scram){ 0 };
	if (!mechanisms_read(mechanisms, &has_plain, &has_plus))
		return cv_fail(err, CV_PROTO, "the server's list of SASL mechanisms is malformed");
	if (!has_plain && !(has_plus && can_bind))
		return cv_fail(
			err, CV_UNAVAILABLE, "the server offers no SASL mechanism that is known");
	const bool is_plus = has_plus && can_bind;
	const struct cv_str header = is_plus    ? CV_STR("p=tls-server-end-point,,")
				     : can_bind ? CV_STR("y,,")
						: CV_STR("n,,");

	cv_buf_init(&text, sizeof(s->first));
	cv_buf_put(&text, CV_STR("n=,r="));
	cv_buf_put_base64(
		&text, (struct cv_str){ (const char *)nonce, CV_SCRAM_NONCE_BYTES }, CV_BASE64_STD);
	const struct cv_str first = cv_buf_str(&text);
	s->first_n = first.n;
	memcpy(s->first, first.p, first.n);
	cv_buf_fini(&text);

	char raw[32 + CV_SCRAM_BINDING_BYTES_MAX];
	memcpy(raw, header.p, header.n);
	if (is_plus)
		memcpy(raw + header.n, certificate_hash.p, certificate_hash.n);
	cv_buf_init(&text, sizeof(s->binding));
	cv_buf_put(&text, CV_STR("c="));
	cv_buf_put_base64(&text,
		(struct cv_str){ raw, header.n + (is_plus ? certificate_hash.n : 0) },
		CV_BASE64_STD);
	const struct cv_str binding = cv_buf_str(&text);
	s->binding_n = binding.n;
	memcpy(s->binding, binding.p, binding.n);
	cv_buf_fini(&text);

	cv_buf_put(ret, header);
	if (!cv_buf_put(ret, (struct cv_str){ s->first, s->first_n }))
		return cv_fail(err, CV_PROTO, "no room for a SCRAM message");
	*ret_mechanism = is_plus ? CV_SCRAM_PLUS : CV_SCRAM_PLAIN;
	s->phase = CV_SCRAM_FIRST;
	return CV_OK;
}

/* "x=value" from the front of a list with commas. */
static bool attribute_cut(struct cv_str *rest, char name, struct cv_str *ret)
{
	const struct cv_str part = cv_str_cut(rest, ',');

	if (part.n < 2 || part.p[0] != name || part.p[1] != '=')
		return false;
	*ret = cv_str_slice(part, 2, part.n);
	return true;
}

/* Its nonce begins with ours and goes on; extensions are not known and refused. */
static bool server_first_read(const struct cv_scram *s, struct cv_str text,
	struct cv_str *ret_nonce, struct cv_str *ret_salt, uint64_t *ret_iterations)
{
	const struct cv_str ours = { s->first + 5, s->first_n - 5 };
	struct cv_str number;

	if (text.n > CV_SCRAM_TEXT_BYTES_MAX || !attribute_cut(&text, 'r', ret_nonce) ||
		!attribute_cut(&text, 's', ret_salt) || !attribute_cut(&text, 'i', &number) ||
		text.p)
		return false;
	for (size_t i = 0; i < ret_nonce->n; i++)
		if (ret_nonce->p[i] < '!' || ret_nonce->p[i] > '~')
			return false;
	return cv_str_has_prefix(*ret_nonce, ours) && ret_nonce->n > ours.n &&
	       cv_str_to_u64(number, CV_SCRAM_ITERATIONS_MAX, ret_iterations) &&
	       *ret_iterations >= CV_SCRAM_ITERATIONS_MIN;
}

/* From the password's stretched form: our proof, and what the server will have to say. */
static void proof_make(struct cv_scram *s, const unsigned char salted[CV_SHA256_BYTES],
	struct cv_str message, unsigned char ret[CV_SHA256_BYTES])
{
	unsigned char client_key[CV_SHA256_BYTES], stored_key[CV_SHA256_BYTES];
	unsigned char server_key[CV_SHA256_BYTES];
	struct cv_sha256 h;

	key_sum(salted, CV_STR("Client Key"), client_key);
	cv_sha256_init(&h);
	cv_sha256_update(&h, client_key, sizeof(client_key));
	cv_sha256_final(&h, stored_key);
	key_sum(stored_key, message, ret);
	for (size_t i = 0; i < CV_SHA256_BYTES; i++)
		ret[i] ^= client_key[i];
	key_sum(salted, CV_STR("Server Key"), server_key);
	key_sum(server_key, message, s->server_signature);
	explicit_bzero(client_key, sizeof(client_key));
	explicit_bzero(server_key, sizeof(server_key));
}

cv_code cv_scram_answer(struct cv_scram *s, struct cv_str server_first, struct cv_str password,
	struct cv_buf *ret, struct cv_err *err)
{
	unsigned char salted[CV_SHA256_BYTES], proof[CV_SHA256_BYTES];
	struct cv_str nonce, salt_text;
	struct cv_buf salt, message;
	uint64_t iterations;
	cv_code code = CV_OK;

	if (s->phase != CV_SCRAM_FIRST ||
		!server_first_read(s, server_first, &nonce, &salt_text, &iterations))
		return cv_fail(err, CV_PROTO, "the server's SCRAM challenge is malformed");
	cv_buf_init(&salt, CV_SCRAM_TEXT_BYTES_MAX);
	cv_buf_init(&message, MESSAGE_BYTES_MAX);
	if (!cv_base64_decode(salt_text, CV_BASE64_STD, &salt) || !cv_buf_len(&salt)) {
		code = cv_fail(err, CV_PROTO, "the server's SCRAM salt is malformed");
	} else {
		cv_buf_printf(&message, "%.*s,%.*s,", (int)s->first_n, s->first,
			CV_STR_ARG(server_first));
		const size_t final_at = cv_buf_len(&message);
		cv_buf_printf(
			&message, "%.*s,r=%.*s", (int)s->binding_n, s->binding, CV_STR_ARG(nonce));
		password_stretch(password, cv_buf_str(&salt), iterations, salted);
		proof_make(s, salted, cv_buf_str(&message), proof);
		cv_buf_put(ret, cv_str_slice(cv_buf_str(&message), final_at, cv_buf_len(&message)));
		cv_buf_put(ret, CV_STR(",p="));
		cv_buf_put_base64(ret, digest_str(proof), CV_BASE64_STD);
		explicit_bzero(salted, sizeof(salted));
		if (message.is_overflown || ret->is_overflown)
			code = cv_fail(err, CV_PROTO, "the server's SCRAM challenge is too long");
		else
			s->phase = CV_SCRAM_SENT;
	}
	cv_buf_fini(&salt);
	cv_buf_fini(&message);
	return code;
}

cv_code cv_scram_finish(struct cv_scram *s, struct cv_str server_final, struct cv_err *err)
{
	unsigned char differs = 0;
	struct cv_buf signature;
	struct cv_str text;

	if (s->phase != CV_SCRAM_SENT || server_final.n > CV_SCRAM_TEXT_BYTES_MAX)
		return cv_fail(err, CV_PROTO, "a SCRAM message that was not asked for");
	if (!attribute_cut(&server_final, 'v', &text) || server_final.p)
		return cv_fail(
			err, CV_DENIED, "the server did not prove that it knows the password");
	cv_buf_init(&signature, CV_SHA256_BYTES);
	const bool is_read = cv_base64_decode(text, CV_BASE64_STD, &signature) &&
			     cv_buf_len(&signature) == CV_SHA256_BYTES;
	for (size_t i = 0; is_read && i < CV_SHA256_BYTES; i++)
		differs |= (unsigned char)cv_buf_str(&signature).p[i] ^ s->server_signature[i];
	cv_buf_fini(&signature);
	if (!is_read || differs)
		return cv_fail(err, CV_DENIED, "the server does not know the password");
	s->phase = CV_SCRAM_PROVEN;
	return CV_OK;
}

/* ---- MD5 (RFC 1321) ---- */

#define MD5_BYTES 16

struct md5 {
	uint32_t h[4];
	unsigned char block[64];
	uint64_t bytes;
};

static const uint32_t md5_k[64] = { 0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf,
	0x4787c62a, 0xa8304613, 0xfd469501, 0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be,
	0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821, 0xf61e2562, 0xc040b340, 0x265e5a51,
	0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8, 0x21e1cde6, 0xc33707d6,
	0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a, 0xfffa3942,
	0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
	0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8,
	0xc4ac5665, 0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92,
	0xffeff47d, 0x85845dd1, 0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82,
	0xbd3af235, 0x2ad7d2bb, 0xeb86d391 };
static const unsigned char md5_turn[4][4] = { { 7, 12, 17, 22 }, { 5, 9, 14, 20 },
	{ 4, 11, 16, 23 }, { 6, 10, 15, 21 } };

static void md5_block(struct md5 *m)
{
	uint32_t a = m->h[0], b = m->h[1], c = m->h[2], d = m->h[3], w[16];

	for (unsigned i = 0; i < 16; i++)
		w[i] = (uint32_t)m->block[4 * i] | (uint32_t)m->block[4 * i + 1] << 8 |
		       (uint32_t)m->block[4 * i + 2] << 16 | (uint32_t)m->block[4 * i + 3] << 24;
	for (unsigned i = 0; i < 64; i++) {
		const unsigned turn = md5_turn[i / 16][i % 4];
		uint32_t f, g;

		switch (i / 16) {
		case 0:
			f = (b & c) | (~b & d);
			g = i;
			break;
		case 1:
			f = (d & b) | (~d & c);
			g = (5 * i + 1) % 16;
			break;
		case 2:
			f = b ^ c ^ d;
			g = (3 * i + 5) % 16;
			break;
		default:
			f = c ^ (b | ~d);
			g = 7 * i % 16;
			break;
		}
		f += a + md5_k[i] + w[g];
		a = d;
		d = c;
		c = b;
		b += f << turn | f >> (32 - turn);
	}
	m->h[0] += a;
	m->h[1] += b;
	m->h[2] += c;
	m->h[3] += d;
}

static void md5_update(struct md5 *m, struct cv_str s)
{
	for (size_t i = 0; i < s.n; i++) {
		m->block[m->bytes++ % 64] = (unsigned char)s.p[i];
		if (m->bytes % 64 == 0)
			md5_block(m);
	}
}

static void md5_hex(struct cv_str first, struct cv_str second, char ret[2 * MD5_BYTES])
{
	static const char digits[] = "0123456789abcdef";
	struct md5 m = { .h = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476 } };
	unsigned char length[8];

	md5_update(&m, first);
	md5_update(&m, second);
	for (unsigned i = 0; i < 8; i++)
		length[i] = (unsigned char)(m.bytes * 8 >> (8 * i));
	md5_update(&m, CV_STR("\x80"));
	while (m.bytes % 64 != 56)
		md5_update(&m, (struct cv_str){ "\0", 1 });
	md5_update(&m, (struct cv_str){ (const char *)length, 8 });
	for (unsigned i = 0; i < MD5_BYTES; i++) {
		const unsigned char byte = (unsigned char)(m.h[i / 4] >> (8 * (i % 4)));

		ret[2 * i] = digits[byte >> 4];
		ret[2 * i + 1] = digits[byte & 15];
	}
	explicit_bzero(&m, sizeof(m));
}

void cv_pg_md5_answer(struct cv_str user, struct cv_str password, const unsigned char salt[4],
	char ret[CV_PG_MD5_TEXT_BYTES])
{
	char inner[2 * MD5_BYTES];

	md5_hex(password, user, inner);
	memcpy(ret, "md5", 3);
	md5_hex((struct cv_str){ inner, sizeof(inner) }, (struct cv_str){ (const char *)salt, 4 },
		ret + 3);
	ret[CV_PG_MD5_TEXT_BYTES - 1] = '\0';
	explicit_bzero(inner, sizeof(inner));
}
