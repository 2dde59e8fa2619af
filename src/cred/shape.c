/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shape.c - placeholders that look like the credential they stand for; see shape.h
 *
 * A pattern is literal text with %<count><class> for random letters of a class, and two words:
 *
 *     %d 0-9   %w 0-9A-Za-z   %b that with - and _   %h 0-9a-f   %l A-Za-z   %k A-Z2-7   %u 0-9A-Z
 *     %c       CRC-32 of what stands behind the last `_`, six digits of base 62
 *     %j       a JWT
 *
 * Lengths and alphabets are those that the issuers document, or that their own tokens show.  The
 * letter / and + of some real ones are left out: a placeholder stands in URLs as it is.
 */
#include "cred/shape.h"

#include "base/assert.h"
#include "base/base64.h"
#include "base/buf.h"
#include "base/sha256.h"

#define SHAPE_BYTES_MAX 1024 /* the longest, a JWT, has 350 */

/* 2100-01-01: far enough for every agent, and still a time that everybody can read. */
#define JWT_EXPIRES "4102444800"

struct cv_shape {
	const char *name, *pattern;
	const char *prefix; /* of values; NULL: they have none */
	const char *keys;   /* usual variables, by blanks */
};

/* clang-format off */
/* Of two prefixes or names that fit, the first row's counts: longer ones stand before shorter. */
static const struct cv_shape shapes[] = {
	/* GitHub: "Behind GitHub's new authentication token formats", 2021 */
	{ "github_pat", "github_pat_11%20w_%53w%c", "github_pat_", "COPILOT_GITHUB_TOKEN GITHUB_PAT" },
	{ "github_classic", "ghp_%30w%c", "ghp_", "GITHUB_TOKEN GH_TOKEN GITHUB_PERSONAL_ACCESS_TOKEN" },
	{ "github_oauth", "gho_%30w%c", "gho_", "GITHUB_OAUTH_TOKEN" },
	{ "github_user", "ghu_%30w%c", "ghu_", "" },
	{ "github_server", "ghs_%30w%c", "ghs_", "GITHUB_APP_TOKEN" },
	{ "github_refresh", "ghr_%30w%c", "ghr_", "" },
	{ "gitlab_pat", "glpat-%20b", "glpat-", "GITLAB_TOKEN GLAB_TOKEN GITLAB_PRIVATE_TOKEN" },

	{ "anthropic_oauth", "sk-ant-oat01-%93bAA", "sk-ant-oat", "CLAUDE_CODE_OAUTH_TOKEN ANTHROPIC_AUTH_TOKEN" },
	{ "anthropic", "sk-ant-api03-%93bAA", "sk-ant-", "ANTHROPIC_API_KEY CLAUDE_API_KEY" },
	{ "openrouter", "sk-or-v1-%64h", "sk-or-", "OPENROUTER_API_KEY" },
	{ "openai_project", "sk-proj-%74bT3BlbkFJ%74b", "sk-proj-", "" },
	{ "openai", "sk-%20wT3BlbkFJ%20w", "sk-", "OPENAI_API_KEY" },
	{ "nvidia", "nvapi-%64b", "nvapi-", "NVIDIA_API_KEY NGC_API_KEY" },
	{ "google_api_key", "AIza%35b", "AIza", "GOOGLE_API_KEY GEMINI_API_KEY" },
	{ "google_access_token", "ya29.a0%170b", "ya29.", "GCP_SA_ACCESS_TOKEN GCP_ADC_ACCESS_TOKEN VERTEX_AI_TOKEN "
		"VERTEX_AI_SERVICE_ACCOUNT_TOKEN" },
	{ "huggingface", "hf_%34l", "hf_", "HF_TOKEN HUGGING_FACE_HUB_TOKEN" },
	{ "groq", "gsk_%52w", "gsk_", "GROQ_API_KEY" },
	{ "xai", "xai-%80w", "xai-", "XAI_API_KEY" },

	{ "slack_bot", "xoxb-%12d-%13d-%24w", "xoxb-", "SLACK_BOT_TOKEN SLACK_TOKEN" },
	{ "slack_user", "xoxp-%12d-%12d-%13d-%32h", "xoxp-", "SLACK_USER_TOKEN" },
	{ "slack_app", "xapp-1-A%10u-%13d-%64h", "xapp-", "SLACK_APP_TOKEN" },

	{ "aws_temporary_key", "ASIA%16k", "ASIA", "" },
	{ "aws_key_id", "AKIA%16k", "AKIA", "AWS_ACCESS_KEY_ID" },
	{ "aws_secret_key", "%40w", NULL, "AWS_SECRET_ACCESS_KEY" },
	{ "aws_session_token", "IQoJb3JpZ2luX2Vj%300w", "IQoJ", "AWS_SESSION_TOKEN" },

	{ "npm", "npm_%30w%c", "npm_", "NPM_TOKEN NODE_AUTH_TOKEN NPM_CONFIG_TOKEN" },
	{ "pypi", "pypi-AgEIcHlwaS5vcmcC%150b", "pypi-", "PYPI_TOKEN PYPI_API_TOKEN TWINE_PASSWORD UV_PUBLISH_TOKEN" },
	{ "cove_tools", "cvt_%64h", "cvt_", "COVE_TOOLS_TOKEN" },
	{ "jwt", "%j", "eyJ", "ID_TOKEN CODEX_AUTH_ACCESS_TOKEN JWT" },
};

static const struct {
	char class;
	const char *letters;
} alphabet[] = {
	{ 'd', "0123456789" },
	{ 'w', "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" },
	{ 'b', "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_" },
	{ 'h', "0123456789abcdef" },
	{ 'l', "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" },
	{ 'k', "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567" },
	{ 'u', "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ" },
};
/* clang-format on */

const struct cv_shape *cv_shape_at(size_t n)
{
	return n < CV_ARRAY_LEN(shapes) ? &shapes[n] : NULL;
}

struct cv_str cv_shape_name(const struct cv_shape *shape)
{
	return shape ? cv_str_of(shape->name) : CV_STR("canonical");
}

bool cv_shape_find(struct cv_str name, const struct cv_shape **ret)
{
	if (cv_str_eq(name, CV_STR("canonical"))) {
		*ret = NULL;
		return true;
	}
	for (size_t i = 0; i < CV_ARRAY_LEN(shapes); i++) {
		if (cv_str_eq(name, cv_str_of(shapes[i].name))) {
			*ret = &shapes[i];
			return true;
		}
	}
	return false;
}

/* key is one of the names, or ends with one behind a `_`. */
static bool is_named(const char *names, struct cv_str key)
{
	struct cv_str rest = cv_str_of(names);

	while (rest.p) {
		const struct cv_str name = cv_str_cut(&rest, ' ');

		if (name.n && cv_str_has_suffix(key, name) &&
			(key.n == name.n || key.p[key.n - name.n - 1] == '_'))
			return true;
	}
	return false;
}

const struct cv_shape *cv_shape_guess(struct cv_str key, struct cv_str value)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(shapes); i++)
		if (shapes[i].prefix && cv_str_has_prefix(value, cv_str_of(shapes[i].prefix)))
			return &shapes[i];
	for (size_t i = 0; i < CV_ARRAY_LEN(shapes); i++)
		if (is_named(shapes[i].keys, key))
			return &shapes[i];
	return NULL;
}

/* ---- random letters ---- */

/* Bytes from a seed: SHA-256 of seed, key and a counter. */
struct stream {
	const unsigned char *seed;
	struct cv_str key;
	uint32_t counter;
	size_t left; /* bytes of block that were not given out */
	unsigned char block[CV_SHA256_BYTES];
};

static unsigned char stream_byte(struct stream *s)
{
	if (s->left == 0) {
		struct cv_sha256 h;

		cv_sha256_init(&h);
		cv_sha256_update(&h, s->seed, CV_SHAPE_SEED_BYTES);
		if (s->key.n)
			cv_sha256_update(&h, s->key.p, s->key.n);
		cv_sha256_update(&h, &s->counter, sizeof(s->counter));
		cv_sha256_final(&h, s->block);
		s->counter++;
		s->left = sizeof(s->block);
	}
	return s->block[--s->left];
}

/* Bytes that would favour some letters are passed over. */
static void letters_put(struct cv_buf *b, struct stream *s, size_t count, struct cv_str letters)
{
	const unsigned even = 256 - 256 % (unsigned)letters.n;

	while (count > 0) {
		const unsigned byte = stream_byte(s);

		if (byte >= even)
			continue;
		cv_buf_put_byte(b, letters.p[byte % letters.n]);
		count--;
	}
}

static struct cv_str letters_of(char class)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(alphabet); i++)
		if (alphabet[i].class == class)
			return cv_str_of(alphabet[i].letters);
	cv_unreachable();
}

/* ---- words of a pattern ---- */

static uint32_t crc32_of(struct cv_str s)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < s.n; i++) {
		crc ^= (unsigned char)s.p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0); /* IEEE 802.3, reflected */
	}
	return ~crc;
}

static void checksum_put(struct cv_buf *b)
{
	const struct cv_str all = cv_buf_str(b), letters = letters_of('w');
	const size_t line = cv_str_rfind_byte(all, '_');
	uint32_t crc = crc32_of(cv_str_slice(all, line < all.n ? line + 1 : 0, all.n));
	char digit[6];

	for (size_t i = sizeof(digit); i-- > 0; crc /= (uint32_t)letters.n)
		digit[i] = letters.p[crc % letters.n];
	cv_buf_put(b, (struct cv_str){ digit, sizeof(digit) });
}

/* Three parts that parse, with claims that grant nothing and a signature that fits no key. */
static void jwt_put(struct cv_buf *b, struct stream *s)
{
	unsigned char signature[CV_SHA256_BYTES];
	struct cv_buf claims;

	cv_buf_init(&claims, SHAPE_BYTES_MAX);
	cv_buf_put(&claims, CV_STR("{\"iss\":\"https://cove.invalid\",\"sub\":\"placeholder\","
				   "\"aud\":\"placeholder\",\"email\":\"placeholder@cove.invalid\","
				   "\"iat\":1700000000,\"exp\":" JWT_EXPIRES ",\"jti\":\""));
	letters_put(&claims, s, 22, letters_of('w'));
	cv_buf_put(&claims, CV_STR("\"}"));
	for (size_t i = 0; i < sizeof(signature); i++)
		signature[i] = stream_byte(s);

	cv_buf_put_base64(b, CV_STR("{\"alg\":\"HS256\",\"typ\":\"JWT\"}"), CV_BASE64_URL);
	cv_buf_put_byte(b, '.');
	cv_buf_put_base64(b, cv_buf_str(&claims), CV_BASE64_URL);
	cv_buf_put_byte(b, '.');
	cv_buf_put_base64(
		b, (struct cv_str){ (const char *)signature, sizeof(signature) }, CV_BASE64_URL);
	if (claims.is_overflown)
		b->is_overflown = true;
	cv_buf_fini(&claims);
}

static void pattern_put(struct cv_buf *b, struct stream *s, const char *p)
{
	for (; *p; p++) {
		size_t count = 0;

		if (*p != '%') {
			cv_buf_put_byte(b, *p);
			continue;
		}
		for (p++; *p >= '0' && *p <= '9'; p++)
			count = count * 10 + (size_t)(*p - '0');
		if (*p == 'c')
			checksum_put(b);
		else if (*p == 'j')
			jwt_put(b, s);
		else
			letters_put(b, s, count, letters_of(*p));
	}
}

bool cv_shape_make(const struct cv_shape *shape, struct cv_str key,
	const unsigned char seed[CV_SHAPE_SEED_BYTES], struct cv_arena *arena, struct cv_str *ret)
{
	struct stream s = { .seed = seed, .key = key };
	struct cv_str text = CV_STR_NONE;
	struct cv_buf b;

	cv_buf_init(&b, SHAPE_BYTES_MAX);
	if (shape) {
		pattern_put(&b, &s, shape->pattern);
	} else {
		cv_buf_put(&b, CV_STR("openshell:resolve:env:"));
		cv_buf_put(&b, key);
	}
	if (!b.is_overflown)
		text = cv_arena_str(arena, cv_buf_str(&b));
	cv_buf_fini(&b);
	if (!text.p)
		return false;
	*ret = text;
	return true;
}
