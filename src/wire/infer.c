/* SPDX-License-Identifier: Apache-2.0 */
/*
 * infer.c - see infer.h
 */
#include "wire/infer.h"

#include "base/assert.h"

#define ROW(name, id) id,
static const char *const protocol_id[] = { CV_INFER_PROTOCOLS(ROW) };
#undef ROW

const char *cv_infer_protocol_id(enum cv_infer_protocol p)
{
	cv_assert(p < CV_INFER_PROTOCOL_COUNT);
	return protocol_id[p];
}

/* ---- the request table (openshell-behaviour 7) ---- */

static const struct {
	struct cv_str method, prefix, suffix; /* what lies between is the model; no suffix: none */
	enum cv_infer_protocol protocol;
} call[] = {
	{ CV_STR("POST"), CV_STR("/v1/chat/completions"), { NULL, 0 }, CV_INFER_CHAT },
	{ CV_STR("POST"), CV_STR("/v1/completions"), { NULL, 0 }, CV_INFER_COMPLETIONS },
	{ CV_STR("POST"), CV_STR("/v1/responses"), { NULL, 0 }, CV_INFER_RESPONSES },
	{ CV_STR("POST"), CV_STR("/v1/embeddings"), { NULL, 0 }, CV_INFER_EMBEDDINGS },
	{ CV_STR("POST"), CV_STR("/v1/messages"), { NULL, 0 }, CV_INFER_MESSAGES },
	{ CV_STR("GET"), CV_STR("/v1/models"), { NULL, 0 }, CV_INFER_MODELS },
	{ CV_STR("GET"), CV_STR("/v1/models/"), CV_STR(""), CV_INFER_MODELS },
	{ CV_STR("POST"), CV_STR("/model/"), CV_STR("/invoke"), CV_INFER_BEDROCK_INVOKE },
	{ CV_STR("POST"), CV_STR("/model/"), CV_STR("/invoke-with-response-stream"),
		CV_INFER_BEDROCK_INVOKE_STREAM },
	{ CV_STR("POST"), CV_STR("/model/"), CV_STR("/converse"), CV_INFER_BEDROCK_CONVERSE },
	{ CV_STR("POST"), CV_STR("/model/"), CV_STR("/converse-stream"),
		CV_INFER_BEDROCK_CONVERSE_STREAM },
};

enum cv_infer_protocol cv_infer_classify(
	struct cv_str method, struct cv_str path, struct cv_str *ret_model)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(call); i++) {
		const size_t fixed = call[i].prefix.n + call[i].suffix.n;

		*ret_model = CV_STR_NONE;
		if (!cv_str_eq(method, call[i].method))
			continue;
		if (!call[i].suffix.p && cv_str_eq(path, call[i].prefix))
			return call[i].protocol;
		if (!call[i].suffix.p || path.n <= fixed ||
			!cv_str_has_prefix(path, call[i].prefix) ||
			!cv_str_has_suffix(path, call[i].suffix))
			continue;
		*ret_model = cv_str_slice(path, call[i].prefix.n, path.n - call[i].suffix.n);
		/* names of models of a hub have slashes; Bedrock's are one segment */
		if (!call[i].suffix.n || !cv_str_has_byte(*ret_model, '/'))
			return call[i].protocol;
	}
	*ret_model = CV_STR_NONE;
	return CV_INFER_NONE;
}

bool cv_infer_is_stream(enum cv_infer_protocol p)
{
	return p == CV_INFER_BEDROCK_INVOKE_STREAM || p == CV_INFER_BEDROCK_CONVERSE_STREAM;
}

/* ---- bodies ---- */

enum cv_json_problem cv_infer_read(struct cv_str body, struct cv_infer_asked *ret)
{
	struct cv_json_value v[] = { { .path = "model" }, { .path = "stream" },
		{ .path = "stream_options.include_usage" } };
	const enum cv_json_problem problem = cv_json_find(body, v, CV_ARRAY_LEN(v));
	const struct cv_json_token *model = &v[0].token, *stream = &v[1].token;
	struct cv_json_token first;
	struct cv_json j;

	if (problem != CV_JSON_PROBLEM_NONE)
		return problem;
	cv_json_init(&j, body);
	cv_json_next(&j, &first);
	cv_json_fini(&j);
	if (first.type != CV_JSON_OBJECT ||
		(model->type != CV_JSON_END && model->type != CV_JSON_STRING) ||
		(stream->type != CV_JSON_END && stream->type != CV_JSON_TRUE &&
			stream->type != CV_JSON_FALSE && stream->type != CV_JSON_NULL))
		return CV_JSON_PROBLEM_TOKEN;
	*ret = (struct cv_infer_asked){
		.is_stream = stream->type == CV_JSON_TRUE,
		.wants_usage = v[2].token.type == CV_JSON_TRUE,
		.model = *model,
	};
	return CV_JSON_PROBLEM_NONE;
}

/* A member of the body's object, and its surroundings. */
struct member {
	bool is_there, is_last;
	size_t key_at, value_at, value_end;
	size_t before_end; /* of what stands before it: the bracket, or the last member */
	size_t next_at;    /* of the next key, if it is not the last */
	struct cv_json_token value;
};

struct members {
	struct member model, version, options;
	bool is_stream;
	size_t open_end; /* behind the bracket */
	size_t count;
};

static struct member *member_of(struct members *m, const struct cv_json_token *key)
{
	return cv_json_says(key, CV_STR("model"))               ? &m->model
	       : cv_json_says(key, CV_STR("anthropic_version")) ? &m->version
	       : cv_json_says(key, CV_STR("stream_options"))    ? &m->options
								: NULL;
}

/* Passes over the value that t begins; t becomes its end. */
static void value_skip(struct cv_json *j, struct cv_json_token *t)
{
	const uint32_t outside = j->depth - (t->type == CV_JSON_OBJECT || t->type == CV_JSON_ARRAY);

	while (j->depth > outside && cv_json_next(j, t) != CV_JSON_BAD)
		;
}

static void members_find(struct cv_str body, struct members *m)
{
	struct member *last = NULL;
	struct cv_json_token t;
	struct cv_json j;
	size_t end;

	memset(m, 0, sizeof(*m));
	cv_json_init(&j, body);
	cv_json_next(&j, &t);
	m->open_end = end = t.end;
	while (cv_json_next(&j, &t) == CV_JSON_KEY) {
		struct member *at = member_of(m, &t);
		const bool is_stream = cv_json_says(&t, CV_STR("stream"));
		const size_t key_at = t.at;

		if (last) {
			last->is_last = false;
			last->next_at = key_at;
		}
		last = at;
		cv_json_next(&j, &t);
		m->count++;
		m->is_stream |= is_stream && t.type == CV_JSON_TRUE;
		if (at)
			*at = (struct member){ true, true, key_at, t.at, 0, end, 0, t };
		value_skip(&j, &t);
		end = t.end;
		if (at)
			at->value_end = end;
	}
	cv_json_fini(&j);
}

/* One replacement: body[at, end) becomes text.  In the order of the body, without overlap. */
struct edit {
	size_t at, end;
	struct cv_buf text;
};

#define EDITS_MAX 4

struct edits {
	struct edit v[EDITS_MAX];
	size_t n;
};

static struct cv_buf *edit_add(struct edits *e, size_t at, size_t end)
{
	size_t i = e->n++;

	cv_assert(e->n <= EDITS_MAX);
	for (; i > 0 && e->v[i - 1].at > at; i--)
		e->v[i] = e->v[i - 1];
	e->v[i] = (struct edit){ .at = at, .end = end };
	cv_buf_init(&e->v[i].text, CV_JSON_EDIT_BYTES_MAX);
	return &e->v[i].text;
}

static void model_edit(struct edits *e, const struct members *m, const struct cv_infer_edit *want)
{
	const struct member *at = &m->model;
	struct cv_buf *text;

	if (want->drops_model && at->is_there) {
		edit_add(e, at->is_last ? at->before_end : at->key_at,
			at->is_last ? at->value_end : at->next_at);
		return;
	}
	if (!want->model.n || want->drops_model)
		return;
	text = at->is_there ? edit_add(e, at->value_at, at->value_end)
			    : edit_add(e, m->open_end, m->open_end);
	if (!at->is_there)
		cv_buf_put(text, CV_STR("\"model\":"));
	cv_buf_put_json_str(text, want->model);
	if (!at->is_there && m->count)
		cv_buf_put_byte(text, ',');
}

/* The member goes in front of all others: before it nothing is ever removed, since what is removed
 * of the first member begins behind the bracket. */
static void version_edit(struct edits *e, const struct members *m, const struct cv_infer_edit *want)
{
	const size_t left = m->count - (want->drops_model && m->model.is_there);

	if (!want->version.n || m->version.is_there)
		return;
	struct cv_buf *text = edit_add(e, m->open_end, m->open_end);
	cv_buf_put_json_member(text, "anthropic_version", want->version);
	if (left)
		cv_buf_put_byte(text, ',');
}

static void usage_edit(struct edits *e, struct cv_str body, const struct members *m)
{
	struct cv_json_value v[] = { { .path = "stream_options.include_usage" },
		{ .path = "stream_options" } };
	const struct cv_json_token *has = &v[0].token, *options = &v[1].token;

	if (cv_json_find(body, v, CV_ARRAY_LEN(v)) != CV_JSON_PROBLEM_NONE)
		return;
	if (has->type != CV_JSON_END) {
		cv_buf_put(edit_add(e, has->at, has->end), CV_STR("true"));
	} else if (options->type == CV_JSON_OBJECT) {
		const struct cv_str inside = cv_str_slice(options->raw, 1, options->raw.n - 1);
		bool is_empty = true;

		for (size_t i = 0; i < inside.n; i++)
			is_empty &= strchr(" \t\r\n", inside.p[i]) != NULL;
		cv_buf_put(edit_add(e, options->at + 1, options->at + 1),
			is_empty ? CV_STR("\"include_usage\":true")
				 : CV_STR("\"include_usage\":true,"));
	} else if (options->type != CV_JSON_END) {
		cv_buf_put(
			edit_add(e, options->at, options->end), CV_STR("{\"include_usage\":true}"));
	} else {
		cv_buf_put(edit_add(e, m->open_end, m->open_end), /* stream itself stands there */
			CV_STR("\"stream_options\":{\"include_usage\":true},"));
	}
}

bool cv_infer_write(struct cv_str body, const struct cv_infer_edit *edit, struct cv_buf *out)
{
	struct members m;
	struct edits e = { .n = 0 };
	size_t at = 0;

	members_find(body, &m);
	version_edit(&e, &m, edit);
	if (edit->wants_stream_usage && m.is_stream)
		usage_edit(&e, body, &m);
	model_edit(&e, &m, edit);
	for (size_t i = 0; i < e.n; i++) {
		cv_buf_put(out, cv_str_slice(body, at, e.v[i].at));
		if (e.v[i].text.is_overflown || !cv_buf_put(out, cv_buf_str(&e.v[i].text)))
			out->is_overflown = true;
		at = e.v[i].end;
		cv_buf_fini(&e.v[i].text);
	}
	return cv_buf_put(out, cv_str_slice(body, at, body.n)) && !out->is_overflown;
}
