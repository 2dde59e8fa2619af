/* SPDX-License-Identifier: Apache-2.0 */
/*
 * infer.h - calls of language models: which protocol a request speaks, and its body for another model
 *
 * The protocols are those of common clients; what a request is follows from method and path alone.
 * Of a body only what has to be known is looked at (model, stream), and a body is changed by
 * replacing single values where they stand: everything else, known or not, stays byte for byte.
 * A body that JSON readers could take differently is refused (json.h).  Pure.
 */
#pragma once
#include "base/attr.h"
#include "base/buf.h"
#include "wire/json.h"

/* clang-format off */
#define CV_INFER_PROTOCOLS(X) /* enum, id in routes and audit */               \
	X(NONE, "")                                                            \
	X(CHAT, "openai_chat_completions")                                     \
	X(COMPLETIONS, "openai_completions")                                   \
	X(RESPONSES, "openai_responses")                                       \
	X(EMBEDDINGS, "openai_embeddings")                                     \
	X(MESSAGES, "anthropic_messages")                                      \
	X(MODELS, "model_discovery")                                           \
	X(BEDROCK_INVOKE, "aws_bedrock_invoke")                                \
	X(BEDROCK_INVOKE_STREAM, "aws_bedrock_invoke_stream")                  \
	X(BEDROCK_CONVERSE, "aws_bedrock_converse")                            \
	X(BEDROCK_CONVERSE_STREAM, "aws_bedrock_converse_stream")
/* clang-format on */

#define CV_INFER_ENUM(name, id) CV_INFER_##name,
enum cv_infer_protocol { CV_INFER_PROTOCOLS(CV_INFER_ENUM) CV_INFER_PROTOCOL_COUNT };
#undef CV_INFER_ENUM

const char *cv_infer_protocol_id(enum cv_infer_protocol p);

/* NONE: no call of a model.  path is canonical.  *ret_model is the model that the path names, as
 * it stands there (Bedrock, GET of one model); else empty. */
enum cv_infer_protocol cv_infer_classify(
	struct cv_str method, struct cv_str path, struct cv_str *ret_model);

bool cv_infer_is_stream(enum cv_infer_protocol p); /* by its path alone */

/* What a body is to become. */
struct cv_infer_edit {
	struct cv_str model;     /* empty: stays, or is none of the body's */
	bool drops_model;        /* the path names it, and the body must not (Vertex) */
	struct cv_str version;   /* not empty: "anthropic_version", where the body has none */
	bool wants_stream_usage; /* OpenAI: the stream is to end with its usage */
};

struct cv_infer_asked { /* what a body asked for; borrowed from it */
	bool is_stream;
	bool wants_usage;           /* stream_options.include_usage: its own wish */
	struct cv_json_token model; /* CV_JSON_STRING, or END: there is none */
};

/* Looks at a body.  A problem of JSON, or TOKEN where the body is no object, or its model no string
 * or its stream no boolean. */
CV_MUST enum cv_json_problem cv_infer_read(struct cv_str body, struct cv_infer_asked *ret);

/* Appends the body, which cv_infer_read() took, as edit wants it.  False when out is full. */
CV_MUST bool cv_infer_write(
	struct cv_str body, const struct cv_infer_edit *edit, struct cv_buf *out);
