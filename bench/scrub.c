/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scrub.c - what keeping secrets out of a response costs: MB/s over several texts
 *
 *     bench_scrub [-j]          a table, or one line of JSON for each row
 *
 * Each text of 16 MiB is fed in pieces of 16 KiB, as a relay does; the best of five passes counts.
 * Rows differ in how many values (of 40 bytes, shaped like a GitHub token) are searched for and in
 * what the text is made of; in all but the last two nothing matches.  Time is the processor's.
 */
#include "base/assert.h"
#include "cred/scrub.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define TEXT_BYTES  (16u << 20)
#define PIECE_BYTES (16u << 10)
#define PASSES      5
#define VALUES_MAX  10

static uint32_t seed = 12345;

static uint32_t next_random(void)
{
	seed = seed * 1664525u + 1013904223u;
	return seed >> 8;
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); /* others may be busy as well */
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static char value_text[VALUES_MAX][41];

static void values_make(struct cv_str *ret)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

	for (size_t v = 0; v < VALUES_MAX; v++) {
		memcpy(value_text[v], "ghp_", 4);
		for (size_t i = 4; i < 40; i++)
			value_text[v][i] = letters[next_random() % (sizeof(letters) - 1)];
		ret[v] = (struct cv_str){ value_text[v], 40 };
	}
}

/* ---- texts ---- */

typedef void text_fn(struct cv_buf *b);

static const char *const words[] = { "repository", "issue", "the", "value", "created_at", "user",
	"is", "of", "graph", "Loading", "response", "a", "2024-05-01T10:00:00Z", "full_name",
	"42" };

static const char *word(void)
{
	return words[next_random() % CV_ARRAY_LEN(words)];
}

static void json_put(struct cv_buf *b)
{
	cv_buf_printf(b,
		"{\"id\":%u,\"node_id\":\"MDU6SXNzdWU%u\",\"%s\":\"https://api.github.com/repos/"
		"octocat/%s/issues/%u\",\"title\":\"%s %s %s %s %s\",\"%s\":null},",
		(unsigned)next_random(), (unsigned)next_random(), word(), word(),
		(unsigned)next_random() % 1000, word(), word(), word(), word(), word(), word());
}

static void pretty_put(struct cv_buf *b)
{
	cv_buf_printf(b, "  \"%s\": \"%s %s %s\",\r\n    \"%s\": %u,\r\n", word(), word(), word(),
		word(), word(), (unsigned)next_random());
}

/* A language model's stream: short lines, an escape now and then. */
static void stream_put(struct cv_buf *b)
{
	cv_buf_printf(b,
		"data: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":"
		"\"text_delta\",\"text\":\"%s %s\\n\\\"%s\\\"\"}}\n\n",
		word(), word(), word());
}

static void escaped_put(struct cv_buf *b)
{
	cv_buf_printf(b, "\\u0067\\u0068%%70%%5F\\\"%%67%%68\\n\\\\");
}

/* Text of another script, as Python's json writes it. */
static void script_put(struct cv_buf *b)
{
	for (int i = 0; i < 20; i++)
		cv_buf_printf(b, "\\u%04x", 0x4e00u + next_random() % 0x5000u);
	cv_buf_printf(b, "\",\"%s\":\"", word());
}

static void base64_put(struct cv_buf *b)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (int i = 0; i < 76; i++)
		cv_buf_put_byte(b, letters[next_random() % 64]);
	cv_buf_put_byte(b, '\n');
}

static void random_put(struct cv_buf *b)
{
	for (int i = 0; i < 64; i++)
		cv_buf_put_byte(b, (char)next_random());
}

static void near_put(struct cv_buf *b) /* all but the last byte */
{
	cv_buf_put(b, (struct cv_str){ value_text[next_random() % VALUES_MAX], 39 });
}

static void hits_put(struct cv_buf *b)
{
	for (int i = 0; i < 4; i++)
		json_put(b);
	cv_buf_put(b, (struct cv_str){ value_text[0], 40 });
}

static const struct {
	const char *name;
	text_fn *put;
} texts[] = {
	{ "json, one line", json_put },
	{ "json, indented", pretty_put },
	{ "model stream with escapes", stream_put },
	{ "script as \\u escapes", script_put },
	{ "base64 in lines", base64_put },
	{ "random bytes", random_put },
	{ "escapes only", escaped_put },
	{ "near misses only", near_put },
	{ "json, a hit each kilobyte", hits_put },
};

/* ---- measuring ---- */

static uint64_t pass(struct cv_scrub *s, struct cv_str text, struct cv_buf *out)
{
	const uint64_t from = now_ns();

	for (size_t at = 0; at < text.n; at += PIECE_BYTES) {
		cv_buf_reset(out);
		cv_assert(cv_scrub_feed(s, cv_str_slice(text, at, at + PIECE_BYTES), out));
	}
	cv_assert(cv_scrub_end(s, out));
	return now_ns() - from;
}

static void row(bool is_json, const char *name, struct cv_str text, const struct cv_str *values,
	size_t count, struct cv_buf *out)
{
	struct cv_scrub_set *set;
	const uint64_t from = now_ns();

	cv_assert(cv_scrub_set_new(values, count, NULL, &set, NULL) == CV_OK);
	const uint64_t compile_ns = now_ns() - from;
	struct cv_scrub *s = cv_scrub_new(set);
	uint64_t best = UINT64_MAX;

	cv_assert(s);
	for (int i = 0; i < PASSES; i++)
		best = CV_MIN(best, pass(s, text, out));
	const double mb_s = (double)text.n * 1e3 / (double)best;

	if (is_json)
		printf("{\"text\":\"%s\",\"values\":%zu,\"mb_per_s\":%.0f,\"compile_us\":%.1f}\n",
			name, count, mb_s, (double)compile_ns / 1e3);
	else
		printf("%-28s %6zu %8.0f %12.1f\n", name, count, mb_s, (double)compile_ns / 1e3);
	cv_scrub_free(s);
	cv_scrub_set_unref(set);
}

int main(int argc, char **argv)
{
	static const size_t counts[] = { 1, VALUES_MAX };
	const bool is_json = argc > 1 && strcmp(argv[1], "-j") == 0;
	struct cv_str values[VALUES_MAX];
	struct cv_buf text, out;

	values_make(values);
	cv_buf_init(&text, TEXT_BYTES + 4096);
	cv_buf_init(&out, 64u << 10);
	if (!is_json)
		printf("%-28s %6s %8s %12s\n", "text", "values", "MB/s", "compile us");
	for (size_t t = 0; t < CV_ARRAY_LEN(texts); t++) {
		cv_buf_reset(&text);
		while (cv_buf_len(&text) < TEXT_BYTES)
			texts[t].put(&text);
		for (size_t c = 0; c < CV_ARRAY_LEN(counts); c++)
			row(is_json, texts[t].name, cv_buf_str(&text), values, counts[c], &out);
	}
	cv_buf_fini(&text);
	cv_buf_fini(&out);
	return 0;
}
