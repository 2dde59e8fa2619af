/* SPDX-License-Identifier: Apache-2.0 */
/*
 * infer_usage.c - see infer_usage.h
 *
 * Where each protocol tells its usage is one table of paths; the same paths hold for whole bodies
 * and for the events of streams.
 */
#include "wire/infer_usage.h"

#include "base/base64.h"

#define BIT(p)    (1u << CV_INFER_##p)

#define OPENAI    (BIT(CHAT) | BIT(COMPLETIONS) | BIT(EMBEDDINGS))
#define RESPONSES BIT(RESPONSES)
#define MESSAGES  BIT(MESSAGES)
#define INVOKE    (BIT(BEDROCK_INVOKE) | BIT(BEDROCK_INVOKE_STREAM))
#define CONVERSE  (BIT(BEDROCK_CONVERSE) | BIT(BEDROCK_CONVERSE_STREAM))

enum slot {
	INPUT,  /* the first of these that is there */
	CACHED, /* added to the input */
	OUTPUT,
};

/* clang-format off */
static const struct {
	uint32_t protocols;
	enum slot slot;
	const char *path;
} place[] = {
	{ OPENAI,                       INPUT,  "usage.prompt_tokens" },
	{ OPENAI,                       OUTPUT, "usage.completion_tokens" },
	{ RESPONSES | MESSAGES | INVOKE, INPUT, "usage.input_tokens" },
	{ RESPONSES | MESSAGES | INVOKE, OUTPUT, "usage.output_tokens" },
	{ RESPONSES,                    INPUT,  "response.usage.input_tokens" },
	{ RESPONSES,                    OUTPUT, "response.usage.output_tokens" },
	{ MESSAGES | INVOKE,            CACHED, "usage.cache_creation_input_tokens" },
	{ MESSAGES | INVOKE,            CACHED, "usage.cache_read_input_tokens" },
	{ MESSAGES | INVOKE,            INPUT,  "message.usage.input_tokens" },
	{ MESSAGES | INVOKE,            CACHED, "message.usage.cache_creation_input_tokens" },
	{ MESSAGES | INVOKE,            CACHED, "message.usage.cache_read_input_tokens" },
	{ MESSAGES | INVOKE,            OUTPUT, "message.usage.output_tokens" },
	{ CONVERSE | INVOKE,            INPUT,  "usage.inputTokens" },
	{ CONVERSE | INVOKE,            OUTPUT, "usage.outputTokens" },
	{ CONVERSE,                     CACHED, "usage.cacheReadInputTokens" },
	{ CONVERSE,                     CACHED, "usage.cacheWriteInputTokens" },
	{ INVOKE,                       INPUT,  "amazon-bedrock-invocationMetrics.inputTokenCount" },
	{ INVOKE,                       OUTPUT, "amazon-bedrock-invocationMetrics.outputTokenCount" },
	{ INVOKE,                       INPUT,  "prompt_token_count" },
	{ INVOKE,                       OUTPUT, "generation_token_count" },
	{ INVOKE,                       INPUT,  "inputTextTokenCount" },
	{ INVOKE,                       OUTPUT, "results.0.tokenCount" },
};
/* clang-format on */

static uint64_t add(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

void cv_infer_tap_init(struct cv_infer_tap *t, enum cv_infer_protocol p, struct cv_str content_type,
	bool is_coded, uint64_t bytes_asked)
{
	struct cv_str type = cv_str_trim(cv_str_cut(&content_type, ';'));

	memset(t, 0, sizeof(*t));
	t->protocol = p;
	t->bytes_asked = bytes_asked;
	t->form = is_coded               ? CV_INFER_OPAQUE
		  : cv_sse_is_type(type) ? CV_INFER_SSE
		  : cv_str_eq_nocase(type, CV_STR("application/vnd.amazon.eventstream"))
			  ? CV_INFER_EVENTS
			  : CV_INFER_WHOLE;
	cv_sse_init(&t->sse);
	cv_buf_init(&t->whole,
		t->form == CV_INFER_EVENTS ? CV_INFER_EVENT_BYTES_MAX : CV_INFER_WHOLE_BYTES_MAX);
}

void cv_infer_tap_fini(struct cv_infer_tap *t)
{
	cv_sse_fini(&t->sse);
	cv_buf_fini(&t->whole);
}

static void told(struct cv_infer_tap *t, enum slot slot, uint64_t n)
{
	uint64_t *to = slot == OUTPUT ? &t->output : &t->input;

	*to = CV_MAX(*to, n);
	*(slot == OUTPUT ? &t->has_output : &t->has_input) = true;
}

/* One JSON text of the response: what it tells. */
static void text_read(struct cv_infer_tap *t, struct cv_str text)
{
	struct cv_json_value v[CV_JSON_VALUES_MAX];
	enum slot slot[CV_JSON_VALUES_MAX];
	uint64_t sum[OUTPUT + 1] = { 0 }, n;
	bool has[OUTPUT + 1] = { false };
	size_t count = 0;

	for (size_t i = 0; i < CV_ARRAY_LEN(place) && count < CV_JSON_VALUES_MAX; i++)
		if (place[i].protocols >> t->protocol & 1) {
			v[count].path = place[i].path;
			slot[count++] = place[i].slot;
		}
	if (cv_json_find(text, v, count) != CV_JSON_PROBLEM_NONE)
		return;
	for (size_t i = 0; i < count; i++)
		if (cv_json_to_u64(&v[i].token, &n)) {
			has[slot[i]] = true;
			sum[slot[i]] =
				slot[i] == CACHED ? add(sum[CACHED], n) : CV_MAX(sum[slot[i]], n);
		}
	if (has[INPUT] || has[CACHED])
		told(t, INPUT, add(sum[INPUT], sum[CACHED]));
	if (has[OUTPUT])
		told(t, OUTPUT, sum[OUTPUT]);
}

void cv_infer_tap_field(struct cv_infer_tap *t, struct cv_str name, struct cv_str value)
{
	const bool is_in = cv_str_eq_nocase(name, CV_STR("x-amzn-bedrock-input-token-count"));
	const bool is_out = cv_str_eq_nocase(name, CV_STR("x-amzn-bedrock-output-token-count"));
	uint64_t n;

	if ((is_in || is_out) && ((INVOKE | CONVERSE) >> t->protocol & 1) &&
		cv_str_to_u64(value, UINT64_MAX, &n))
		told(t, is_out ? OUTPUT : INPUT, n);
}

/* ---- streams ---- */

static void sse_feed(struct cv_infer_tap *t, struct cv_str bytes)
{
	enum cv_sse_result result;
	struct cv_sse_event e;

	while ((result = cv_sse_next(&t->sse, &bytes, &e)) != CV_SSE_MORE) {
		t->events++;
		if (result == CV_SSE_EVENT && e.is_utf8)
			text_read(t, e.data);
	}
}

/* The payload of Bedrock's stream is JSON; of an invocation, base64 of the model's own JSON in it. */
static void payload_read(struct cv_infer_tap *t, struct cv_str payload)
{
	struct cv_json_value inner = { .path = "bytes" };
	struct cv_buf model;

	t->events++;
	text_read(t, payload);
	if (t->protocol != CV_INFER_BEDROCK_INVOKE_STREAM ||
		cv_json_find(payload, &inner, 1) != CV_JSON_PROBLEM_NONE ||
		inner.token.type != CV_JSON_STRING)
		return;
	cv_buf_init(&model, CV_INFER_EVENT_BYTES_MAX);
	if (cv_base64_decode(inner.token.raw, CV_BASE64_STD, &model))
		text_read(t, cv_buf_str(&model));
	cv_buf_fini(&model);
}

static uint32_t be32(const char *p)
{
	const unsigned char *u = (const unsigned char *)p;

	return (uint32_t)u[0] << 24 | (uint32_t)u[1] << 16 | (uint32_t)u[2] << 8 | u[3];
}

#define PRELUDE_BYTES 12 /* total length, length of headers, CRC of both */
#define CRC_BYTES     4

/* Takes whole messages from the front of what is kept.  False: this is no such stream. */
static bool messages_take(struct cv_infer_tap *t)
{
	while (cv_buf_len(&t->whole) >= PRELUDE_BYTES) {
		const struct cv_str kept = cv_buf_str(&t->whole);
		const uint32_t total = be32(kept.p), headers = be32(kept.p + 4);

		if (total < PRELUDE_BYTES + CRC_BYTES ||
			headers > total - PRELUDE_BYTES - CRC_BYTES)
			return false;
		if (total > CV_INFER_EVENT_BYTES_MAX / 2) {
			const size_t n = CV_MIN((size_t)total, kept.n);

			t->skip = total - n;
			cv_buf_skip(&t->whole, n);
			continue;
		}
		if (kept.n < total)
			return true;
		payload_read(t, cv_str_slice(kept, PRELUDE_BYTES + headers, total - CRC_BYTES));
		cv_buf_skip(&t->whole, total);
	}
	return true;
}

static void events_feed(struct cv_infer_tap *t, struct cv_str bytes)
{
	while (bytes.n && !t->is_long) {
		const size_t passed = (size_t)CV_MIN(t->skip, (uint64_t)bytes.n);
		/* so little at a time that a message and what follows it always fit */
		const size_t n = CV_MIN(bytes.n - passed, (size_t)CV_INFER_EVENT_BYTES_MAX / 2);

		t->skip -= passed;
		if (!cv_buf_put(&t->whole, cv_str_slice(bytes, passed, passed + n)) ||
			!messages_take(t))
			t->is_long = true;
		bytes = cv_str_slice(bytes, passed + n, bytes.n);
	}
}

void cv_infer_tap_feed(struct cv_infer_tap *t, struct cv_str bytes)
{
	t->bytes_passed = add(t->bytes_passed, bytes.n);
	switch (t->form) {
	case CV_INFER_SSE: sse_feed(t, bytes); return;
	case CV_INFER_EVENTS: events_feed(t, bytes); return;
	case CV_INFER_WHOLE:
		if (!t->is_long && !cv_buf_put(&t->whole, bytes))
			t->is_long = true;
		return;
	case CV_INFER_OPAQUE: return;
	}
}

/* ---- the end ---- */

struct cv_infer_usage cv_infer_tap_end(struct cv_infer_tap *t)
{
	struct cv_infer_usage usage = { .is_told = true };

	if (t->form == CV_INFER_SSE)
		sse_feed(t, CV_STR("\n\n")); /* an event that only lacks its end */
	if (t->form == CV_INFER_WHOLE && !t->is_long)
		text_read(t, cv_buf_str(&t->whole));
	usage.input = t->input;
	usage.output = t->output;
	if (t->protocol == CV_INFER_MODELS)
		return usage; /* costs none */
	if (!t->has_input) {
		usage.is_told = false;
		usage.input = t->bytes_asked / CV_INFER_TOKEN_BYTES + 1;
	}
	/* embeddings put nothing out; a stream's last word is what counts, and its first is not it */
	if (!t->has_output && t->protocol != CV_INFER_EMBEDDINGS) {
		usage.is_told = false;
		usage.output = t->events ? t->events : t->bytes_passed / CV_INFER_TOKEN_BYTES;
	} else if (t->events && t->form == CV_INFER_SSE && t->protocol == CV_INFER_MESSAGES) {
		/* message_start says 1 and message_delta the truth: if that never came, it was cut */
		usage.output = CV_MAX(usage.output, t->output > 1 ? t->output : t->events / 2);
	}
	return usage;
}
