/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sha256.c - two ways to compress blocks, and the padding around them; see sha256.h
 *
 * The instructions of x86 do four rounds at a time on a state that is kept as two vectors, ABEF
 * and CDGH, so words are reordered once before and once after a run of blocks.  CPUID is slow
 * under a hypervisor (it leaves the guest), so init asks once and the object remembers.
 */
#include "base/sha256.h"

#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

#define ROUNDS    64
#define ASK_BYTES 8192 /* which take about as long without instructions as the question */

/* clang-format off */
static const uint32_t round_key[ROUNDS] __attribute__((aligned(16))) = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};
/* clang-format on */

static uint32_t rotr(uint32_t x, int n)
{
	return x >> n | x << (32 - n);
}

static uint32_t be32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* The word of round t takes the place of the one sixteen rounds before. */
static uint32_t word_next(uint32_t w[16], int t)
{
	const uint32_t x = w[(t + 1) & 15], y = w[(t + 14) & 15];

	return w[t & 15] += (rotr(x, 7) ^ rotr(x, 18) ^ x >> 3) + w[(t + 9) & 15] +
			    (rotr(y, 17) ^ rotr(y, 19) ^ y >> 10);
}

/* One round; instead of moving eight values along, callers turn the names. */
#define ROUND(a, b, c, d, e, f, g, h, t, word)                                                 \
	do {                                                                                   \
		h += (rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25)) + ((e & f) ^ (~e & g)) +         \
		     round_key[t] + (word);                                                    \
		d += h;                                                                        \
		h += (rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22)) + ((a & b) ^ (a & c) ^ (b & c)); \
	} while (0)
#define ROUNDS8(t, word)                                           \
	do {                                                       \
		ROUND(a, b, c, d, e, f, g, h, t, word(t));         \
		ROUND(h, a, b, c, d, e, f, g, t + 1, word(t + 1)); \
		ROUND(g, h, a, b, c, d, e, f, t + 2, word(t + 2)); \
		ROUND(f, g, h, a, b, c, d, e, t + 3, word(t + 3)); \
		ROUND(e, f, g, h, a, b, c, d, t + 4, word(t + 4)); \
		ROUND(d, e, f, g, h, a, b, c, t + 5, word(t + 5)); \
		ROUND(c, d, e, f, g, h, a, b, t + 6, word(t + 6)); \
		ROUND(b, c, d, e, f, g, h, a, t + 7, word(t + 7)); \
	} while (0)
#define WORD_GIVEN(t) (w[t] = be32(p + 4 * (t)))
#define WORD_MADE(t)  word_next(w, (t))

static void compress_portable(uint32_t s[8], const unsigned char *p, size_t blocks)
{
	for (; blocks; blocks--, p += CV_SHA256_BLOCK_BYTES) {
		uint32_t a = s[0], b = s[1], c = s[2], d = s[3];
		uint32_t e = s[4], f = s[5], g = s[6], h = s[7];
		uint32_t w[16];

		for (int t = 0; t < 16; t += 8)
			ROUNDS8(t, WORD_GIVEN);
		for (int t = 16; t < ROUNDS; t += 8)
			ROUNDS8(t, WORD_MADE);
		s[0] += a;
		s[1] += b;
		s[2] += c;
		s[3] += d;
		s[4] += e;
		s[5] += f;
		s[6] += g;
		s[7] += h;
	}
}

#undef ROUND
#undef ROUNDS8
#undef WORD_GIVEN
#undef WORD_MADE

#if defined(__x86_64__)

static bool cpu_has_instructions(void)
{
	unsigned int a, b, c, d;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_SSE4_1) || !(c & bit_SSSE3))
		return false;
	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & (1u << 29)); /* SHA */
}

/* Four rounds with the words m; then, in the first twelve groups, the words that are needed four
 * groups later take the place of the oldest ones. */
#define ROUNDS4(i, m)                                                                             \
	do {                                                                                      \
		const __m128i k_ =                                                                \
			_mm_add_epi32(m, _mm_load_si128((const __m128i *)(round_key + 4 * (i)))); \
		cdgh = _mm_sha256rnds2_epu32(cdgh, abef, k_);                                     \
		abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(k_, 0x0e));            \
	} while (0)
#define SCHEDULE(m0, m1, m2, m3) /* m0 is the oldest, m3 the newest */ \
	(m0 = _mm_sha256msg2_epu32(                                    \
		 _mm_add_epi32(_mm_sha256msg1_epu32(m0, m1), _mm_alignr_epi8(m3, m2, 4)), m3))
#define ROUNDS16(i)                       \
	do {                              \
		SCHEDULE(m0, m1, m2, m3); \
		ROUNDS4((i), m0);         \
		SCHEDULE(m1, m2, m3, m0); \
		ROUNDS4((i) + 1, m1);     \
		SCHEDULE(m2, m3, m0, m1); \
		ROUNDS4((i) + 2, m2);     \
		SCHEDULE(m3, m0, m1, m2); \
		ROUNDS4((i) + 3, m3);     \
	} while (0)
#define LOAD(at) \
	_mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)(p + (at))), big_endian)

__attribute__((target("sha,sse4.1,ssse3"))) static void compress_instructions(
	uint32_t h[8], const unsigned char *p, size_t blocks)
{
	const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
	const __m128i badc = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)h), 0xb1);
	const __m128i hgfe = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(h + 4)), 0x1b);
	__m128i abef = _mm_alignr_epi8(badc, hgfe, 8);
	__m128i cdgh = _mm_blend_epi16(hgfe, badc, 0xf0);

	for (; blocks; blocks--, p += CV_SHA256_BLOCK_BYTES) {
		const __m128i abef_before = abef, cdgh_before = cdgh;
		__m128i m0 = LOAD(0), m1 = LOAD(16), m2 = LOAD(32), m3 = LOAD(48);

		ROUNDS4(0, m0);
		ROUNDS4(1, m1);
		ROUNDS4(2, m2);
		ROUNDS4(3, m3);
		ROUNDS16(4);
		ROUNDS16(8);
		ROUNDS16(12);
		abef = _mm_add_epi32(abef, abef_before);
		cdgh = _mm_add_epi32(cdgh, cdgh_before);
	}
	const __m128i feba = _mm_shuffle_epi32(abef, 0x1b);
	const __m128i dchg = _mm_shuffle_epi32(cdgh, 0xb1);
	_mm_storeu_si128((__m128i *)h, _mm_blend_epi16(feba, dchg, 0xf0));
	_mm_storeu_si128((__m128i *)(h + 4), _mm_alignr_epi8(dchg, feba, 8));
}

#undef ROUNDS4
#undef SCHEDULE
#undef ROUNDS16
#undef LOAD

#else

static bool cpu_has_instructions(void)
{
	return false;
}

#define compress_instructions compress_portable

#endif

static void compress(struct cv_sha256 *s, const unsigned char *p, size_t blocks)
{
	if (!s->is_asked && s->bytes >= ASK_BYTES)
		cv_sha256_ask(s);
	if (s->has_instructions)
		compress_instructions(s->h, p, blocks);
	else
		compress_portable(s->h, p, blocks);
}

void cv_sha256_init(struct cv_sha256 *s)
{
	static const uint32_t start[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
		0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };

	memcpy(s->h, start, sizeof(start));
	s->bytes = 0;
	s->is_asked = s->has_instructions = false;
}

void cv_sha256_ask(struct cv_sha256 *s)
{
	s->is_asked = true;
	s->has_instructions = cpu_has_instructions();
}

void cv_sha256_update(struct cv_sha256 *s, const void *bytes, size_t n)
{
	const unsigned char *p = bytes;
	const size_t waiting = s->bytes % CV_SHA256_BLOCK_BYTES;

	if (!n)
		return; /* an empty string may have no address */
	s->bytes += n;
	if (waiting) {
		const size_t take = CV_MIN(n, CV_SHA256_BLOCK_BYTES - waiting);

		memcpy(s->block + waiting, p, take);
		p += take;
		n -= take;
		if (waiting + take < CV_SHA256_BLOCK_BYTES)
			return;
		compress(s, s->block, 1);
	}
	compress(s, p, n / CV_SHA256_BLOCK_BYTES);
	if (n % CV_SHA256_BLOCK_BYTES)
		memcpy(s->block, p + n - n % CV_SHA256_BLOCK_BYTES, n % CV_SHA256_BLOCK_BYTES);
}

void cv_sha256_final(struct cv_sha256 *s, unsigned char ret[CV_SHA256_BYTES])
{
	size_t n = s->bytes % CV_SHA256_BLOCK_BYTES;

	s->block[n++] = 0x80;
	if (n > CV_SHA256_BLOCK_BYTES - 8) { /* no room for the length: a block of its own */
		memset(s->block + n, 0, CV_SHA256_BLOCK_BYTES - n);
		compress(s, s->block, 1);
		n = 0;
	}
	memset(s->block + n, 0, CV_SHA256_BLOCK_BYTES - 8 - n);
	for (int i = 0; i < 8; i++)
		s->block[CV_SHA256_BLOCK_BYTES - 1 - i] =
			(unsigned char)((s->bytes << 3) >> (8 * i));
	compress(s, s->block, 1);
	for (int i = 0; i < CV_SHA256_BYTES; i++)
		ret[i] = (unsigned char)(s->h[i / 4] >> (24 - 8 * (i % 4)));
}
