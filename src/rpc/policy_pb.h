/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_pb.h - a policy as the API's message, and the same as text
 *
 *     text --cv_policy_load()--> document --cv_policy_pb_from_doc()--> message, canonical
 *       ^                                                                 |
 *       +-------------------------cv_policy_pb_text()---------------------+
 *
 * The text is YAML as `cove policy check` reads it, for a person (`policy get`) and for the proxy of
 * a sandbox, so what the message means is decided in one place: it means what its text means.  A
 * message of a client is made canonical by going around once; then it has one spelling:
 *
 *     maps are sorted by key, `ports` holds every port and `port` the first of them, a rule has its
 *     name, and what only the gateway may say (advisor_proposed, provider_credentialed, harness) is
 *     gone, as is everything that this build does not know
 *
 * and the hash of its encoding names it.  Version 0, which is what a client leaves out, is 1.
 *
 * Where the API's names differ from the language's (filesystem, params["name"],
 * json_rpc_max_body_bytes) the table is openshell-api 11.2.  Errors name the field:
 * network_policies.github.endpoints[0].port.
 *
 * Memory: messages made here are in the arena they were asked for, and are never freed by
 * protobuf-c.  Pure.
 */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/sha256.h"
#include "policy/policy.h"

#include "sandbox.pb-c.h"

#define CV_POLICY_PB_BYTES_MAX (256u << 10) /* encoded; openshell-api 7 */
/* Text of the largest message: a number of two bytes on the wire takes a line of its own. */
#define CV_POLICY_PB_TEXT_BYTES_MAX (4u << 20)
/* A message in memory, with what it is made from; lists of empty elements grow most. */
#define CV_POLICY_PB_ARENA_BYTES_MAX (64u << 20)
#define CV_POLICY_HASH_BYTES         (2 * CV_SHA256_BYTES + 1)

typedef Openshell__Sandbox__V1__SandboxPolicy cv_policy_pb;

/* CV_INVALID: something that has no message, named in err. */
CV_MUST cv_code cv_policy_pb_from_doc(const struct cv_policy_doc *doc, struct cv_arena *arena,
	cv_policy_pb **ret, struct cv_err *err);
/* Loads text and goes on as above; what the loader found first is in err, with its line. */
CV_MUST cv_code cv_policy_pb_from_text(struct cv_str file, struct cv_str text,
	struct cv_arena *arena, cv_policy_pb **ret, struct cv_err *err);

/* Appends YAML.  CV_INVALID: a part that the language can't say.  What it says may still be
 * refused by the loader. */
CV_MUST cv_code cv_policy_pb_text(const cv_policy_pb *m, struct cv_buf *out, struct cv_err *err);
/* As the loader reads its text; not validated. */
CV_MUST cv_code cv_policy_pb_to_doc(
	const cv_policy_pb *m, struct cv_policy_doc **ret, struct cv_err *err);

/* A canonical copy of what a client sent, at most CV_POLICY_PB_BYTES_MAX encoded. */
CV_MUST cv_code cv_policy_pb_canonical(
	const cv_policy_pb *m, struct cv_arena *arena, cv_policy_pb **ret, struct cv_err *err);
/* SHA-256 of the encoding, in lower-case hex.  m must be canonical.  CV_LIMIT: no memory. */
CV_MUST cv_code cv_policy_pb_hash(
	const cv_policy_pb *m, char ret[CV_POLICY_HASH_BYTES], struct cv_err *err);

/* ---- messages in arenas ---- */

/* A copy of any message; NULL when the arena is full. */
ProtobufCMessage *cv_pb_arena_copy(const ProtobufCMessage *m, struct cv_arena *arena);
/* Decodes bytes of our own (the store's); NULL: they are none, or the arena is full. */
ProtobufCMessage *cv_pb_arena_unpack(
	const ProtobufCMessageDescriptor *type, struct cv_str bytes, struct cv_arena *arena);
/* "the first error", as findings say it: "github.endpoints[0]: port: ...; fix". */
void cv_findings_first(const struct cv_findings *f, struct cv_err *err);
