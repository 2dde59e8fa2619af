/* SPDX-License-Identifier: Apache-2.0 */
/*
 * write.c - the way back: a document as JSON, by the tables that read it
 *
 * What is written is read again as the same document (places apart): keys that were absent stay
 * absent.  One line of JSON is also one line of YAML.
 */
#include "policy/fill.h"

#include "base/assert.h"

struct writer {
	struct cv_buf *out;
	bool has_comma; /* something stands before, on this level */
};

static const void *field(const void *obj, size_t at)
{
	return (const char *)obj + at;
}

static bool flag_at(const void *obj, size_t at)
{
	bool value = false;

	if (at)
		memcpy(&value, field(obj, at), sizeof(value));
	return value;
}

static void put_key(struct writer *w, struct cv_str key)
{
	if (w->has_comma)
		cv_buf_put_byte(w->out, ',');
	w->has_comma = true;
	cv_buf_put_json_str(w->out, key);
	cv_buf_put_byte(w->out, ':');
}

static void put_texts(struct cv_buf *out, const struct cv_policy_texts *texts)
{
	cv_buf_put_byte(out, '[');
	for (size_t i = 0; i < texts->n; i++) {
		if (i)
			cv_buf_put_byte(out, ',');
		cv_buf_put_json_str(out, texts->v[i].s);
	}
	cv_buf_put_byte(out, ']');
}

static void put_globs(struct cv_buf *out, const struct cv_policy_texts *globs, bool is_any)
{
	if (!is_any && globs->n == 1) {
		cv_buf_put_json_str(out, globs->v[0].s);
		return;
	}
	cv_buf_put(out, CV_STR("{\"any\":"));
	put_texts(out, globs);
	cv_buf_put_byte(out, '}');
}

/* The array and its count, as the reader's set_array() put them. */
static const char *array_at(const void *obj, const struct cv_fill_key *k, size_t *ret_n)
{
	const char *v;

	memcpy(&v, field(obj, k->at), sizeof(v));
	memcpy(ret_n, field(obj, k->at_n), sizeof(*ret_n));
	return v;
}

static void put_text(struct writer *w, const struct cv_fill_key *k, const void *obj)
{
	const struct cv_policy_text *t = field(obj, k->at);

	if (!t->is_present)
		return;
	put_key(w, cv_str_of(k->name));
	cv_buf_put_json_str(w->out, t->s);
}

static void put_str(struct writer *w, const struct cv_fill_key *k, const void *obj)
{
	const struct cv_str *s = field(obj, k->at);

	if (!s->n)
		return;
	put_key(w, cv_str_of(k->name));
	cv_buf_put_json_str(w->out, *s);
}

static void put_list_of_texts(struct writer *w, const struct cv_fill_key *k, const void *obj)
{
	const struct cv_policy_texts *texts = field(obj, k->at);

	if (!texts->is_present)
		return;
	put_key(w, cv_str_of(k->name));
	put_texts(w->out, texts);
}

static void put_bool(struct writer *w, const struct cv_fill_key *k, const void *obj)
{
	bool value;

	memcpy(&value, field(obj, k->at), sizeof(value));
	put_key(w, cv_str_of(k->name));
	cv_buf_put(w->out, value ? CV_STR("true") : CV_STR("false"));
}

static void put_number(struct writer *w, const struct cv_fill_key *k, int64_t v, bool is_there)
{
	if (!is_there)
		return;
	put_key(w, cv_str_of(k->name));
	cv_buf_printf(w->out, "%lld", (long long)v);
}

static void put_wide(struct writer *w, const struct cv_fill_key *k, const void *obj)
{
	int64_t v;

	memcpy(&v, field(obj, k->at), sizeof(v));
	put_number(w, k, v, v != 0); /* 0 is what absent is */
}

static void put_count(struct writer *w, const struct cv_fill_key *k, const void *obj)
{
	int64_t v;

	memcpy(&v, field(obj, k->at), sizeof(v));
	put_number(w, k, v, k->at_has ? flag_at(obj, k->at_has) : v != 0);
}

static void put_version(struct writer *w, const struct cv_fill_key *k, const void *obj)
{
	uint32_t v;

	memcpy(&v, field(obj, k->at), sizeof(v));
	put_number(w, k, v, true);
}

static void put_word(struct writer *w, const struct cv_fill_key *k, const void *obj)
{
	int value;

	memcpy(&value, field(obj, k->at), sizeof(value));
	for (const struct cv_fill_word *word = k->words; word->name; word++)
		if (word->value == value) {
			if (!word->name[0] && value == 0)
				return;
			put_key(w, cv_str_of(k->name));
			cv_buf_put_json_str(w->out, cv_str_of(word->name));
			return;
		}
	cv_unreachable();
}

static void put_mapping(struct cv_buf *out, const struct cv_fill_table *s, const void *obj);

static void put_inside(struct writer *w, const struct cv_fill_key *k, const void *obj)
{
	if (k->at_has && !flag_at(obj, k->at_has))
		return;
	put_key(w, cv_str_of(k->name));
	put_mapping(w->out, k->sub, obj);
}

static void put_list(struct writer *w, const struct cv_fill_key *k, const void *obj)
{
	size_t n;
	const char *v = array_at(obj, k, &n);

	if (!n && !flag_at(obj, k->at_has))
		return;
	put_key(w, cv_str_of(k->name));
	cv_buf_put_byte(w->out, '[');
	for (size_t i = 0; i < n; i++) {
		if (i)
			cv_buf_put_byte(w->out, ',');
		put_mapping(w->out, k->sub, v + i * k->sub->size);
	}
	cv_buf_put_byte(w->out, ']');
}

static void put_named(struct writer *w, const struct cv_fill_key *k, const void *obj)
{
	struct writer inner = { .out = w->out };
	size_t n;
	const char *v = array_at(obj, k, &n);

	if (!n && !flag_at(obj, k->at_has))
		return;
	put_key(w, cv_str_of(k->name));
	cv_buf_put_byte(w->out, '{');
	for (size_t i = 0; i < n; i++) {
		const struct cv_policy_text *key = field(v + i * k->sub->size, k->sub->at_key);

		put_key(&inner, key->s);
		put_mapping(w->out, k->sub, v + i * k->sub->size);
	}
	cv_buf_put_byte(w->out, '}');
}

static void put_matchers(struct writer *w, const struct cv_fill_key *k, const void *obj)
{
	struct writer inner = { .out = w->out };
	size_t n;
	const struct cv_policy_matcher *v = (const void *)array_at(obj, k, &n);

	if (!n)
		return;
	put_key(w, cv_str_of(k->name));
	cv_buf_put_byte(w->out, '{');
	for (size_t i = 0; i < n; i++) {
		put_key(&inner, v[i].key.s);
		put_globs(w->out, &v[i].globs, v[i].is_any);
	}
	cv_buf_put_byte(w->out, '}');
}

static void put_one_globs(struct writer *w, const struct cv_fill_key *k, const void *obj)
{
	const struct cv_policy_texts *globs = field(obj, k->at);

	if (!globs->is_present)
		return;
	put_key(w, cv_str_of(k->name));
	put_globs(w->out, globs, globs->n != 1);
}

static void put_pairs(struct writer *w, const struct cv_fill_key *k, const void *obj)
{
	struct writer inner = { .out = w->out };
	size_t n;
	const struct cv_fill_pair *v = (const void *)array_at(obj, k, &n);

	if (!n)
		return;
	put_key(w, cv_str_of(k->name));
	cv_buf_put_byte(w->out, '{');
	for (size_t i = 0; i < n; i++) {
		put_key(&inner, v[i].key.s);
		cv_buf_put_json_str(w->out, v[i].value.s);
	}
	cv_buf_put_byte(w->out, '}');
}

/* Numbers and booleans as they were written: JSON's are a part of YAML's, not the other way. */
static void put_node_value(struct cv_buf *out, const struct cv_policy_node *node)
{
	const bool is_list = node->kind == CV_POLICY_NODE_LIST;
	struct writer inner = { .out = out };

	switch (node->kind) {
	case CV_POLICY_NODE_NULL: cv_buf_put(out, CV_STR("null")); return;
	case CV_POLICY_NODE_BOOL:
	case CV_POLICY_NODE_NUMBER: cv_buf_put(out, node->s); return;
	case CV_POLICY_NODE_STRING: cv_buf_put_json_str(out, node->s); return;
	case CV_POLICY_NODE_LIST:
	case CV_POLICY_NODE_MAPPING: break;
	}
	cv_buf_put_byte(out, is_list ? '[' : '{');
	for (size_t i = 0; i < node->n; i++) { /* as deep as the reader went */
		if (!is_list)
			put_key(&inner, node->v[i].key.s);
		else if (i)
			cv_buf_put_byte(out, ',');
		put_node_value(out, &node->v[i]);
	}
	cv_buf_put_byte(out, is_list ? ']' : '}');
}

static void put_node(struct writer *w, const struct cv_fill_key *k, const void *obj)
{
	if (k->at_has && !flag_at(obj, k->at_has))
		return;
	put_key(w, cv_str_of(k->name));
	put_node_value(w->out, field(obj, k->at));
}

/* port and ports are one field: the first says one, the second any other number. */
static void put_port(struct writer *w, const struct cv_fill_key *k, const void *obj)
{
	size_t n;
	const uint16_t *v = (const void *)array_at(obj, k, &n);

	if (n == 1)
		put_number(w, k, v[0], true);
}

static void put_ports(struct writer *w, const struct cv_fill_key *k, const void *obj)
{
	size_t n;
	const uint16_t *v = (const void *)array_at(obj, k, &n);

	if (n < 2)
		return;
	put_key(w, cv_str_of(k->name));
	for (size_t i = 0; i < n; i++)
		cv_buf_printf(w->out, "%c%u", i ? ',' : '[', v[i]);
	cv_buf_put_byte(w->out, ']');
}

static void put_nothing(struct writer *w, const struct cv_fill_key *k, const void *obj)
{
	(void)w;
	(void)k;
	(void)obj;
}

typedef void put_fn(struct writer *w, const struct cv_fill_key *k, const void *obj);

static put_fn *const put_fns[CV_FILL_KIND_COUNT] = {
	[CV_FILL_TEXT] = put_text,
	[CV_FILL_STR] = put_str,
	[CV_FILL_TEXTS] = put_list_of_texts,
	[CV_FILL_BOOL] = put_bool,
	[CV_FILL_BYTES] = put_wide,
	[CV_FILL_ORDER] = put_wide,
	[CV_FILL_WORD] = put_word,
	[CV_FILL_INSIDE] = put_inside,
	[CV_FILL_LIST] = put_list,
	[CV_FILL_NAMED] = put_named,
	[CV_FILL_MATCHERS] = put_matchers,
	[CV_FILL_GLOBS] = put_one_globs,
	[CV_FILL_NODE] = put_node,
	[CV_FILL_PAIRS] = put_pairs,
	[CV_FILL_COUNT] = put_count,
	[CV_FILL_PORT] = put_port,
	[CV_FILL_PORTS] = put_ports,
	[CV_FILL_VERSION] = put_version,
	[CV_FILL_DROPPED] = put_nothing,
	[CV_FILL_ANYTHING] = put_nothing,
	[CV_FILL_REFUSED] = put_nothing,
};

static void put_mapping(struct cv_buf *out, const struct cv_fill_table *s, const void *obj)
{
	struct writer w = { .out = out };

	cv_buf_put_byte(out, '{');
	for (size_t i = 0; i < s->key_count; i++)
		put_fns[s->keys[i].kind](&w, &s->keys[i], obj);
	cv_buf_put_byte(out, '}');
}

void cv_fill_write(const struct cv_fill_table *table, const void *obj, struct cv_buf *out)
{
	put_mapping(out, table, obj);
}
