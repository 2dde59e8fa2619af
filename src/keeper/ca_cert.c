/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ca_cert.c - RFC 5280 for the one certificate that is made at each start
 *
 * The library makes one from objects and texts: it looks for an encoder of the key among all that it
 * has and parses extensions, which takes five times as long as making the key and signing.  All but
 * name, number, dates and key is always the same here, and stands below as it is sent.  Leaves are made
 * by the library: there are few, and what they say differs.
 *
 * The key's identifier is the first 160 bits of its SHA-256 (RFC 7093 section 2, 1).
 */
#include "keeper/ca_cert.h"

#include "base/base64.h"
#include "base/sha256.h"
#include "base/time.h"
#include "base/utf8.h"

#define SEQUENCE       0x30
#define SET            0x31
#define UTF8           0x0c
#define INTEGER        0x02
#define BIT_STRING     0x03
#define UTC_TIME       0x17
#define TIME           0x18 /* GeneralizedTime: from 2050 on, RFC 5280 section 4.1.2.5 */
#define EXTENSIONS     0xa3 /* [3] */

#define KEY_ID_BYTES   20
#define PEM_LINE_BYTES 48 /* 64 letters */

static const unsigned char version_3[] = { 0xa0, 3, INTEGER, 1, 2 };
static const unsigned char ecdsa_sha256[] = { SEQUENCE, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4,
	3, 2 };
static const unsigned char common_name[] = { 6, 3, 0x55, 4, 3 };
/* id-ecPublicKey, prime256v1, and the bit string's head: RFC 5480 section 2 */
static const unsigned char p256_key[] = { SEQUENCE, 0x59, SEQUENCE, 0x13, 6, 7, 0x2a, 0x86, 0x48,
	0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7, BIT_STRING, 0x42, 0 };
/* basicConstraints: critical, CA, pathlen 0; keyUsage: critical, keyCertSign; subjectKeyIdentifier */
static const unsigned char extensions[] = { SEQUENCE, 18, 6, 3, 0x55, 0x1d, 0x13, 1, 1, 0xff, 4, 8,
	SEQUENCE, 6, 1, 1, 0xff, INTEGER, 1, 0,                                      /* */
	SEQUENCE, 14, 6, 3, 0x55, 0x1d, 0x0f, 1, 1, 0xff, 4, 4, BIT_STRING, 2, 2, 4, /* */
	SEQUENCE, 29, 6, 3, 0x55, 0x1d, 0x0e, 4, 22, 4, KEY_ID_BYTES };

#define FIXED(a) ((struct cv_str){ (const char *)(a), sizeof(a) })

static bool put(struct cv_buf *out, unsigned char tag, struct cv_str v)
{
	cv_buf_put_byte(out, (char)tag);
	if (v.n >= 256) {
		cv_buf_put_byte(out, (char)0x82);
		cv_buf_put_u16be(out, (uint16_t)v.n);
	} else {
		if (v.n >= 128)
			cv_buf_put_byte(out, (char)0x81);
		cv_buf_put_byte(out, (char)v.n);
	}
	return v.n <= UINT16_MAX && cv_buf_put(out, v);
}

static bool name_put(struct cv_buf *out, struct cv_str cn)
{
	struct cv_buf value, set, all;

	cv_buf_init(&value, CA_DER_BYTES);
	cv_buf_init(&set, CA_DER_BYTES);
	cv_buf_init(&all, CA_DER_BYTES);
	cv_buf_put(&value, FIXED(common_name));
	put(&value, UTF8, cn);
	put(&set, SEQUENCE, cv_buf_str(&value));
	put(&all, SET, cv_buf_str(&set));
	const bool is_put = put(out, SEQUENCE, cv_buf_str(&all));
	cv_buf_fini(&value);
	cv_buf_fini(&set);
	cv_buf_fini(&all);
	return is_put;
}

static bool time_put(struct cv_buf *out, int64_t s)
{
	const struct cv_time_civil t = cv_time_civil(s * 1000);
	struct cv_buf text;

	if (t.year < 1950 || t.year > 9999)
		return false;
	cv_buf_init(&text, 32);
	const bool is_short = t.year < 2050;
	cv_buf_printf(&text, is_short ? "%02d" : "%04d", is_short ? t.year % 100 : t.year);
	cv_buf_printf(&text, "%02d%02d%02d%02d%02dZ", t.month, t.day, t.hour, t.minute, t.second);
	const bool is_put = put(out, is_short ? UTC_TIME : TIME, cv_buf_str(&text));
	cv_buf_fini(&text);
	return is_put;
}

static bool validity_put(struct cv_buf *out, int64_t from_s, int64_t to_s)
{
	struct cv_buf both;

	cv_buf_init(&both, 64);
	const bool is_put = time_put(&both, from_s) && time_put(&both, to_s) &&
			    put(out, SEQUENCE, cv_buf_str(&both));
	cv_buf_fini(&both);
	return is_put;
}

static bool extensions_put(struct cv_buf *out, const unsigned char point[CA_POINT_BYTES])
{
	unsigned char hash[CV_SHA256_BYTES];
	struct cv_sha256 sha;
	struct cv_buf list, all;

	cv_sha256_init(&sha);
	cv_sha256_update(&sha, point, CA_POINT_BYTES);
	cv_sha256_final(&sha, hash);
	cv_buf_init(&list, CA_DER_BYTES);
	cv_buf_init(&all, CA_DER_BYTES);
	cv_buf_put(&list, FIXED(extensions));
	cv_buf_put(&list, (struct cv_str){ (const char *)hash, KEY_ID_BYTES });
	put(&all, SEQUENCE, cv_buf_str(&list));
	const bool is_put = put(out, EXTENSIONS, cv_buf_str(&all));
	cv_buf_fini(&list);
	cv_buf_fini(&all);
	return is_put;
}

bool ca_cert_tbs_put(struct cv_buf *out, const struct ca_cert *c)
{
	struct cv_buf b;

	if (!c->cn.n || c->cn.n > CA_CN_BYTES_MAX || !cv_utf8_is_valid(c->cn) ||
		c->serial[0] < 0x40 || c->serial[0] > 0x7f)
		return false;
	cv_buf_init(&b, CA_DER_BYTES);
	cv_buf_put(&b, FIXED(version_3));
	put(&b, INTEGER, FIXED(c->serial));
	cv_buf_put(&b, FIXED(ecdsa_sha256));
	bool is_put =
		name_put(&b, c->cn) && validity_put(&b, c->from_s, c->to_s) && name_put(&b, c->cn);
	cv_buf_put(&b, FIXED(p256_key));
	cv_buf_put(&b, FIXED(c->point));
	is_put = is_put && extensions_put(&b, c->point) && !b.is_overflown &&
		 put(out, SEQUENCE, cv_buf_str(&b));
	cv_buf_fini(&b);
	return is_put && !out->is_overflown;
}

bool ca_cert_put(struct cv_buf *out, struct cv_str tbs, struct cv_str signature)
{
	struct cv_buf bits, b;

	cv_buf_init(&bits, CA_DER_BYTES);
	cv_buf_init(&b, CA_DER_BYTES);
	cv_buf_put_byte(&bits, 0); /* no bit is left over */
	cv_buf_put(&bits, signature);
	cv_buf_put(&b, tbs);
	cv_buf_put(&b, FIXED(ecdsa_sha256));
	put(&b, BIT_STRING, cv_buf_str(&bits));
	const bool is_put =
		!bits.is_overflown && !b.is_overflown && put(out, SEQUENCE, cv_buf_str(&b));
	cv_buf_fini(&bits);
	cv_buf_fini(&b);
	return is_put;
}

bool ca_cert_pem_put(struct cv_buf *out, struct cv_str der)
{
	cv_buf_put(out, CV_STR("-----BEGIN CERTIFICATE-----\n"));
	for (size_t at = 0; at < der.n; at += PEM_LINE_BYTES) {
		cv_buf_put_base64(out, cv_str_slice(der, at, CV_MIN(at + PEM_LINE_BYTES, der.n)),
			CV_BASE64_STD);
		cv_buf_put_byte(out, '\n');
	}
	return cv_buf_put(out, CV_STR("-----END CERTIFICATE-----\n"));
}
