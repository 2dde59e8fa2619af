/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_lab.c - messages to JSON and back, for tests/rpc/test_json.py
 *
 * A line in, a line out:
 *
 *     write TYPE BASE64     the message's JSON
 *     read TYPE JSON        "ok BASE64", or the code and the sentence
 *     set TYPE NAME=WORD... the same, from words
 *     types                 the names of all messages of calls
 */
#include "base/base64.h"
#include "rpc/json.h"
#include "rpc/methods.h"

#include "inference.pb-c.h"
#include "openshell.pb-c.h"
#include <stdio.h>
#include <stdlib.h>

#define BYTES_MAX              (64u << 20)

#define ROW(rpc, in, out, ...) &openshell__##in##__descriptor, &openshell__##out##__descriptor,
static const ProtobufCMessageDescriptor *const types[] = { CV_RPC_OPENSHELL_METHODS(ROW)
		CV_RPC_INFERENCE_METHODS(ROW) };

static const ProtobufCMessageDescriptor *type_of(struct cv_str name)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(types); i++)
		if (cv_str_eq(cv_str_of(types[i]->name), name))
			return types[i];
	return NULL;
}

static void packed_put(struct cv_buf *out, const ProtobufCMessage *m)
{
	const size_t n = protobuf_c_message_get_packed_size(m);
	uint8_t *bytes = malloc(n + 1);

	protobuf_c_message_pack(m, bytes);
	cv_buf_put(out, CV_STR("ok "));
	cv_buf_put_base64(out, (struct cv_str){ (char *)bytes, n }, CV_BASE64_STD);
	free(bytes);
}

static void json_write(
	const ProtobufCMessageDescriptor *type, struct cv_str text, struct cv_buf *out)
{
	struct cv_buf bytes;

	cv_buf_init(&bytes, BYTES_MAX);
	const bool is_good = cv_base64_decode(text, CV_BASE64_STD, &bytes);
	ProtobufCMessage *m = !is_good ? NULL
				       : protobuf_c_message_unpack(type, NULL, cv_buf_len(&bytes),
						 (const uint8_t *)cv_buf_str(&bytes).p);
	if (!m || !cv_rpc_json_write(out, m))
		cv_buf_put(out, CV_STR("failed"));
	if (m)
		protobuf_c_message_free_unpacked(m, NULL);
	cv_buf_fini(&bytes);
}

static void words_set(
	ProtobufCMessage *m, struct cv_str words, struct cv_arena *a, struct cv_buf *out)
{
	struct cv_err err;

	while (words.p) {
		struct cv_str word = cv_str_cut(&words, ' '), name = cv_str_cut(&word, '=');
		if (cv_rpc_json_set(m, name, word, a, &err) != CV_OK) {
			cv_buf_printf(out, "%s %s", cv_code_row(err.code)->name, err.msg);
			return;
		}
	}
	packed_put(out, m);
}

static void json_read(const ProtobufCMessageDescriptor *type, struct cv_str text, bool is_words,
	struct cv_buf *out)
{
	struct cv_arena a;
	struct cv_err err;
	ProtobufCMessage *m;

	cv_arena_init(&a, BYTES_MAX);
	const cv_code code = cv_rpc_json_read(type, is_words ? CV_STR("{}") : text, &a, &m, &err);
	if (code != CV_OK)
		cv_buf_printf(out, "%s %s", cv_code_row(code)->name, err.msg);
	else if (is_words)
		words_set(m, text, &a, out);
	else
		packed_put(out, m);
	cv_arena_fini(&a);
}

int main(void)
{
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;

	while ((n = getline(&line, &cap, stdin)) > 0) {
		struct cv_str rest = { line, (size_t)n - 1 };
		const struct cv_str verb = cv_str_cut(&rest, ' '), name = cv_str_cut(&rest, ' ');
		const ProtobufCMessageDescriptor *type = type_of(name);
		struct cv_buf out;

		cv_buf_init(&out, BYTES_MAX);
		if (cv_str_eq(verb, CV_STR("types")))
			for (size_t i = 0; i < CV_ARRAY_LEN(types); i++)
				cv_buf_printf(&out, "%s ", types[i]->name);
		else if (!type)
			cv_buf_put(&out, CV_STR("no such type"));
		else if (cv_str_eq(verb, CV_STR("write")))
			json_write(type, rest, &out);
		else
			json_read(type, rest, cv_str_eq(verb, CV_STR("set")), &out);
		printf("%.*s\n", CV_STR_ARG(cv_buf_str(&out)));
		fflush(stdout);
		cv_buf_fini(&out);
	}
	free(line);
	return 0;
}
