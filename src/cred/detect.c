/* SPDX-License-Identifier: Apache-2.0 */
/*
 * detect.c - see detect.h
 *
 * A detector is asked only at places that it may begin at: after a byte that is no part of a word.
 * What it reads is then a run of one class of bytes, and runs after such bytes do not overlap, so a
 * text is read a fixed number of times.  Those that must look for an end (PEM) take all that they
 * looked through.
 */
#include "cred/detect.h"

#include "policy/regex.h"

#include <stdlib.h>

/* Work that expressions may put into one text: some 100 ms, and more for a longer one. */
#define BUDGET_STEPS          10000000u
#define BUDGET_STEPS_PER_BYTE 32u

#define PEM_BYTES_MAX         32768 /* of a key: RSA with 16384 bits takes 13 KiB */
#define PEM_LABEL_MAX         40
#define RUN_BYTES_MAX         4096 /* of a token; a longer run is data */
#define EMAIL_LOCAL_MAX       64   /* RFC 5321 4.5.3.1.1 */

struct own {
	char name[CV_MIDDLEWARE_NAME_BYTES_MAX + 1];
	struct cv_regex *regex;
};

struct cv_detect {
	uint32_t detectors;
	bool may_begin[256]; /* with this byte */
	struct own own[CV_MIDDLEWARE_PATTERNS_MAX];
	size_t own_count;
};

/* ---- bytes ---- */

enum {
	UPPER = 1,
	LOWER = 2,
	DIGIT = 4,
	DASH = 8,        /* - */
	UNDER = 16,      /* _ */
	PUNCT_BASE = 32, /* + / = */
	PUNCT_MAIL = 64, /* . % + */
	ALNUM = UPPER | LOWER | DIGIT,
	URL64 = ALNUM | DASH | UNDER,
};

static unsigned class_of(char c)
{
	return (c >= 'A' && c <= 'Z' ? UPPER : 0u) | (c >= 'a' && c <= 'z' ? LOWER : 0u) |
	       (c >= '0' && c <= '9' ? DIGIT : 0u) | (c == '-' ? DASH : 0u) |
	       (c == '_' ? UNDER : 0u) | (c == '+' || c == '/' || c == '=' ? PUNCT_BASE : 0u) |
	       (c == '.' || c == '%' || c == '+' ? PUNCT_MAIL : 0u);
}

/* How many bytes of classes stand at at, up to max. */
static size_t run(struct cv_str t, size_t at, unsigned classes, size_t max)
{
	size_t n = 0;

	while (n < max && at + n < t.n && (class_of(t.p[at + n]) & classes))
		n++;
	return n;
}

static bool is_after(struct cv_str t, size_t at, unsigned classes)
{
	return at > 0 && (class_of(t.p[at - 1]) & classes);
}

static bool has(struct cv_str t, size_t at, const char *word)
{
	return cv_str_has_prefix(cv_str_slice(t, at, t.n), cv_str_of(word));
}

/* ---- tokens: a beginning and a run ---- */

/* A word at at, then a run of at least min; 0: no. */
static size_t token(struct cv_str t, size_t at, const char *word, unsigned classes, size_t min)
{
	const size_t n = strlen(word);

	if (!has(t, at, word) || is_after(t, at, ALNUM | UNDER))
		return 0;
	const size_t length = run(t, at + n, classes, RUN_BYTES_MAX);
	return length >= min ? n + length : 0;
}

static size_t any_token(struct cv_str t, size_t at, const char *const *words, size_t count,
	unsigned classes, size_t min)
{
	size_t n = 0;

	for (size_t i = 0; i < count && !n; i++)
		n = token(t, at, words[i], classes, min);
	return n;
}

/* Exactly that long: another byte of its class behind it makes it something else. */
static size_t exact(size_t found, const char *word, size_t length)
{
	return found == strlen(word) + length ? found : 0;
}

static size_t aws_find(struct cv_str t, size_t at)
{
	static const char *const words[] = { "AKIA", "ASIA", "ABIA", "ACCA" };
	const size_t n = any_token(t, at, words, CV_ARRAY_LEN(words), UPPER | DIGIT, 16);

	return run(t, at + n, ALNUM | UNDER, 1) ? 0 : exact(n, "AKIA", 16);
}

static size_t github_find(struct cv_str t, size_t at)
{
	static const char *const words[] = { "ghp_", "gho_", "ghu_", "ghs_", "ghr_" };
	const size_t n = any_token(t, at, words, CV_ARRAY_LEN(words), ALNUM, 36);

	return n ? n : token(t, at, "github_pat_", ALNUM | UNDER, 40);
}

static size_t slack_find(struct cv_str t, size_t at)
{
	static const char *const words[] = { "xoxb-", "xoxp-", "xoxa-", "xoxo-", "xoxe-", "xoxr-",
		"xoxs-", "xapp-" };

	return any_token(t, at, words, CV_ARRAY_LEN(words), ALNUM | DASH, 10);
}

static size_t google_find(struct cv_str t, size_t at)
{
	return has(t, at, "AIza") && run(t, at + 4, URL64, 36) == 35
		       ? token(t, at, "AIza", URL64, 35)
		       : 0;
}

static size_t sk_find(struct cv_str t, size_t at)
{
	return token(t, at, "sk-", URL64, 16);
}

static size_t jwt_find(struct cv_str t, size_t at)
{
	/* behind a dash it would be read once for each of a run's dashes */
	const size_t head = is_after(t, at, DASH) ? 0 : token(t, at, "eyJ", URL64, 8);

	if (!head || at + head >= t.n || t.p[at + head] != '.' || !has(t, at + head + 1, "eyJ"))
		return 0;
	const size_t claims = run(t, at + head + 1, URL64, RUN_BYTES_MAX);
	const size_t dot = at + head + 1 + claims;
	if (claims < 8 || dot >= t.n || t.p[dot] != '.')
		return 0;
	return dot + 1 + run(t, dot + 1, URL64, RUN_BYTES_MAX) - at;
}

/* Where word begins in s; NULL: nowhere. */
static const char *find_in(struct cv_str s, const char *word)
{
	return s.p && s.n ? memmem(s.p, s.n, word, strlen(word)) : NULL;
}

static size_t pem_find(struct cv_str t, size_t at)
{
	static const struct cv_str end = CV_STR("-----END ");
	const size_t label = at + strlen("-----BEGIN ");

	if (!has(t, at, "-----BEGIN "))
		return 0;
	const struct cv_str rest = cv_str_slice(t, label, label + PEM_LABEL_MAX);
	const char *dashes = find_in(rest, "-----");
	if (!dashes || !find_in(cv_str_range(rest.p, dashes), "PRIVATE KEY"))
		return 0;
	/* one without an end is one that was cut: what there is of it is taken */
	const struct cv_str body = cv_str_slice(t, label, at + PEM_BYTES_MAX);
	const char *stop = find_in(body, end.p);
	if (!stop)
		return (size_t)(body.p + body.n - (t.p + at));
	const struct cv_str tail = cv_str_slice(
		t, (size_t)(stop - t.p) + end.n, (size_t)(stop - t.p) + end.n + PEM_LABEL_MAX);
	const char *close = find_in(tail, "-----");
	return (size_t)((close ? close + 5 : stop + end.n) - (t.p + at));
}

/* ---- numbers ---- */

#define CARD_DIGITS_MIN 13
#define CARD_DIGITS_MAX 19

static bool is_luhn(const char *digit, size_t n)
{
	unsigned sum = 0;

	for (size_t i = 0; i < n; i++) {
		const unsigned d = (unsigned)(digit[n - 1 - i] - '0') * (i % 2 ? 2 : 1);

		sum += d > 9 ? d - 9 : d;
	}
	return sum % 10 == 0;
}

/* Digits, perhaps in groups with one and the same separator.  First digits: those that issuers have. */
static size_t card_find(struct cv_str t, size_t at)
{
	char digit[CARD_DIGITS_MAX], separator = 0;
	size_t n = 0, i = at;
	bool is_same = true;

	if (t.p[at] < '2' || t.p[at] > '6' || is_after(t, at, ALNUM | UNDER | DASH | PUNCT_MAIL))
		return 0;
	for (; i < t.n && n < CARD_DIGITS_MAX; i++) {
		if (class_of(t.p[i]) & DIGIT) {
			is_same &= n == 0 || t.p[i] == digit[0];
			digit[n++] = t.p[i];
		} else if ((t.p[i] == ' ' || t.p[i] == '-') &&
			   (!separator || t.p[i] == separator) && run(t, i + 1, DIGIT, 1)) {
			separator = t.p[i];
		} else {
			break;
		}
	}
	if (n < CARD_DIGITS_MIN || is_same || run(t, i, ALNUM | UNDER, 1) || !is_luhn(digit, n))
		return 0;
	return i - at;
}

#define IBAN_MIN 15
#define IBAN_MAX 34

/* The number that the letters and digits stand for, the first four of them last, modulo 97. */
static bool is_iban_sum(const char *c, size_t n)
{
	unsigned rest = 0;

	for (size_t i = 0; i < n; i++) {
		const char x = c[(i + 4) % n];

		rest = class_of(x) & DIGIT ? (rest * 10 + (unsigned)(x - '0')) % 97
					   : (rest * 100 + (unsigned)(x - 'A') + 10) % 97;
	}
	return rest == 1;
}

/* In one piece, or in groups of four.  Words may follow a number in groups, so each group's end is
 * one where it may be whole. */
static size_t iban_find(struct cv_str t, size_t at)
{
	char c[IBAN_MAX];
	size_t n = 0, i = at, found = 0;

	if (is_after(t, at, ALNUM | UNDER) || run(t, at, UPPER, 3) != 2 ||
		run(t, at + 2, DIGIT, 2) != 2)
		return 0;
	while (n < IBAN_MAX) {
		const size_t piece = run(t, i, UPPER | DIGIT, IBAN_MAX - n);

		if (!piece)
			break;
		memcpy(c + n, t.p + i, piece);
		n += piece;
		i += piece;
		if (n >= IBAN_MIN && !run(t, i, ALNUM | UNDER, 1) && is_iban_sum(c, n))
			found = i - at;
		if (piece % 4 || i >= t.n || t.p[i] != ' ')
			break;
		i++;
	}
	return found;
}

/* As the Social Security Administration gives them: no part is all zeros, no area 666 or 9xx. */
static size_t ssn_find(struct cv_str t, size_t at)
{
	const char *p = t.p + at;

	if (is_after(t, at, ALNUM | UNDER | DASH) || run(t, at, DIGIT, 4) != 3 ||
		!has(t, at + 3, "-") || run(t, at + 4, DIGIT, 3) != 2 || !has(t, at + 6, "-") ||
		run(t, at + 7, DIGIT, 5) != 4 || run(t, at + 11, ALNUM | UNDER | DASH, 1))
		return 0;
	if (p[0] == '9' || memcmp(p, "000", 3) == 0 || memcmp(p, "666", 3) == 0 ||
		memcmp(p + 4, "00", 2) == 0 || memcmp(p + 7, "0000", 4) == 0)
		return 0;
	return 11;
}

/* ---- others ---- */

static size_t email_find(struct cv_str t, size_t at)
{
	const unsigned local = ALNUM | DASH | UNDER | PUNCT_MAIL;

	if (is_after(t, at, local))
		return 0;
	const size_t n = run(t, at, local, EMAIL_LOCAL_MAX + 1);
	if (!n || n > EMAIL_LOCAL_MAX || !has(t, at + n, "@"))
		return 0;
	size_t i = at + n + 1, labels = 0, last = 0;
	for (; i - at < RUN_BYTES_MAX; labels++) {
		const size_t label = run(t, i, ALNUM | DASH, 63);

		if (!label)
			break;
		last = run(t, i, UPPER | LOWER, 63) == label ? label : 0;
		i += label;
		if (!has(t, i, ".") || !run(t, i + 1, ALNUM, 1)) {
			labels++;
			break;
		}
		i++;
	}
	return labels >= 2 && last >= 2 ? i - at : 0;
}

#define ENTROPY_BYTES_MIN 32
#define ENTROPY_KINDS_MIN 16 /* as many equally frequent bytes would be as hard to guess */

/* A run of base64's bytes, of all kinds, in which no few bytes prevail: the collision entropy, which
 * needs no logarithm, is at least 4 bits. */
static size_t entropy_find(struct cv_str t, size_t at)
{
	const unsigned base = URL64 | PUNCT_BASE;
	uint64_t count[256] = { 0 }, squares = 0;
	unsigned kinds = 0;

	if (is_after(t, at, base))
		return 0;
	const size_t n = run(t, at, base, RUN_BYTES_MAX);
	if (n < ENTROPY_BYTES_MIN || n == RUN_BYTES_MAX)
		return 0;
	for (size_t i = 0; i < n; i++) {
		kinds |= class_of(t.p[at + i]);
		count[(unsigned char)t.p[at + i]]++;
	}
	for (size_t i = 0; i < CV_ARRAY_LEN(count); i++)
		squares += count[i] * count[i];
	return (kinds & ALNUM) == ALNUM && (uint64_t)n * n >= squares * ENTROPY_KINDS_MIN ? n : 0;
}

/* ---- the table ---- */

static const struct {
	size_t (*find)(struct cv_str text, size_t at); /* the length of a match at at, or 0 */
	const char *first;                             /* bytes that it may begin with */
	unsigned classes;                              /* ... or their classes */
} detector[CV_DETECTOR_COUNT] = {
	[CV_DETECTOR_PRIVATE_KEY_PEM] = { pem_find, "-", 0 },
	[CV_DETECTOR_AWS_ACCESS_KEY] = { aws_find, "A", 0 },
	[CV_DETECTOR_GITHUB_TOKEN] = { github_find, "g", 0 },
	[CV_DETECTOR_SLACK_TOKEN] = { slack_find, "x", 0 },
	[CV_DETECTOR_GOOGLE_API_KEY] = { google_find, "A", 0 },
	[CV_DETECTOR_JWT] = { jwt_find, "e", 0 },
	[CV_DETECTOR_SK_TOKEN] = { sk_find, "s", 0 },
	[CV_DETECTOR_CREDIT_CARD] = { card_find, "", DIGIT },
	[CV_DETECTOR_IBAN] = { iban_find, "", UPPER },
	[CV_DETECTOR_US_SSN] = { ssn_find, "", DIGIT },
	[CV_DETECTOR_EMAIL] = { email_find, "", ALNUM | DASH | UNDER | PUNCT_MAIL },
	[CV_DETECTOR_HIGH_ENTROPY] = { entropy_find, "", URL64 | PUNCT_BASE },
};

static void first_bytes_set(struct cv_detect *d)
{
	for (int k = 0; k < CV_DETECTOR_COUNT; k++)
		for (unsigned b = 0; (d->detectors >> k & 1) && b < CV_ARRAY_LEN(d->may_begin); b++)
			d->may_begin[b] |= (class_of((char)b) & detector[k].classes) ||
					   (b && strchr(detector[k].first, (int)b));
}

cv_code cv_detect_new(const struct cv_middleware *m, struct cv_detect **ret, struct cv_err *err)
{
	struct cv_detect *d = calloc(1, sizeof(*d));
	cv_code code = CV_OK;

	if (!d)
		return cv_fail(err, CV_LIMIT, "no memory for detectors");
	d->detectors = m->detectors;
	first_bytes_set(d);
	for (size_t i = 0; i < m->pattern_count && code == CV_OK; i++) {
		struct own *own = &d->own[i];

		if (!cv_str_to_cstr(m->pattern[i].name, own->name, sizeof(own->name)))
			code = cv_fail(err, CV_INVALID, "a pattern's name is too long");
		else
			code = cv_regex_compile(m->pattern[i].regex, &own->regex, err);
		d->own_count = i + 1;
	}
	if (code != CV_OK) {
		cv_detect_free(d);
		return code;
	}
	*ret = d;
	return CV_OK;
}

void cv_detect_free(struct cv_detect *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < d->own_count; i++)
		cv_regex_free(d->own[i].regex);
	free(d);
}

/* ---- finding ---- */

struct search { /* one text */
	const struct cv_detect *d;
	struct cv_str text;
	uint64_t budget;
	struct {
		size_t start, end; /* the next match; start SIZE_MAX: none is left */
	} own[CV_MIDDLEWARE_PATTERNS_MAX];
};

static bool own_next(struct search *s, size_t i, size_t from)
{
	const enum cv_regex_rc rc =
		cv_regex_find(s->d->own[i].regex, s->text, &from, &s->own[i].end, &s->budget);

	s->own[i].start = rc == CV_REGEX_HIT ? from : SIZE_MAX;
	return rc != CV_REGEX_COSTLY;
}

static bool search_start(struct search *s, const struct cv_detect *d, struct cv_str text)
{
	bool is_fine = true;

	*s = (struct search){ .d = d, .text = text };
	s->budget = BUDGET_STEPS + (uint64_t)text.n * BUDGET_STEPS_PER_BYTE;
	for (size_t i = 0; i < d->own_count && is_fine; i++)
		is_fine = own_next(s, i, 0);
	return is_fine;
}

/* The match of a built-in detector that begins first, from at and before `before`. */
static bool builtin_next(
	const struct search *s, size_t at, size_t before, struct cv_detect_hit *ret)
{
	const struct cv_detect *d = s->d;

	for (; at < s->text.n && at < before; at++) {
		if (!d->may_begin[(unsigned char)s->text.p[at]])
			continue;
		for (int k = 0; k < CV_DETECTOR_COUNT; k++) {
			const size_t n = d->detectors >> k & 1 ? detector[k].find(s->text, at) : 0;

			if (n) {
				*ret = (struct cv_detect_hit){
					cv_detector_name((enum cv_detector)k), at, at + n
				};
				return true;
			}
		}
	}
	return false;
}

static enum cv_detect_rc search_next(struct search *s, size_t at, struct cv_detect_hit *ret)
{
	size_t first = SIZE_MAX, which = 0;

	for (size_t i = 0; i < s->d->own_count; i++) {
		if (s->own[i].start < at && !own_next(s, i, at))
			return CV_DETECT_COSTLY;
		if (s->own[i].start < first) {
			first = s->own[i].start;
			which = i;
		}
	}
	if (builtin_next(s, at, first, ret))
		return CV_DETECT_HIT;
	if (first == SIZE_MAX)
		return CV_DETECT_NONE;
	*ret = (struct cv_detect_hit){ s->d->own[which].name, first, s->own[which].end };
	return CV_DETECT_HIT;
}

enum cv_detect_rc cv_detect_first(
	const struct cv_detect *d, struct cv_str text, struct cv_detect_hit *ret)
{
	struct search s;

	return search_start(&s, d, text) ? search_next(&s, 0, ret) : CV_DETECT_COSTLY;
}

enum cv_detect_rc cv_detect_redact(const struct cv_detect *d, struct cv_str text,
	struct cv_buf *out, struct cv_detect_result *ret)
{
	struct cv_detect_hit hit;
	struct search s;
	enum cv_detect_rc rc;
	size_t at = 0;

	*ret = (struct cv_detect_result){ 0 };
	if (!search_start(&s, d, text))
		return CV_DETECT_COSTLY;
	while ((rc = search_next(&s, at, &hit)) == CV_DETECT_HIT) {
		cv_buf_put(out, cv_str_slice(text, at, hit.start));
		cv_buf_printf(out, "[REDACTED:%s]", hit.name);
		if (!ret->count++)
			ret->first = hit.name;
		at = hit.end;
	}
	if (rc == CV_DETECT_COSTLY)
		return rc;
	if (!ret->count)
		return CV_DETECT_NONE;
	cv_buf_put(out, cv_str_slice(text, at, text.n));
	return out->is_overflown ? CV_DETECT_COSTLY : CV_DETECT_HIT;
}
