/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metadata.c - see metadata.h
 *
 * Google's is a tree: a table of nodes, each with its parent.  A directory lists its children, or,
 * with recursive=true, is one JSON object with names in camel case; a leaf is text, or JSON with
 * alt=json.  The token is JSON in any case and in no recursive answer.
 *
 * Sources: "About VM metadata" and "VM metadata server entries" of Google's documentation; the
 * calls of google-auth for Python and Node and of Go's metadata package.
 */
#include "cred/metadata.h"

#include "base/assert.h"
#include "base/buf.h"
#include "base/time.h"
#include "wire/json_value.h"

#include <openssl/crypto.h>

#define BODY_BYTES_MAX 32768 /* placeholders and a list of scopes */

/* clang-format off */
#define NODES(X) /* node, parent, in the path, in JSON, is a directory */              \
	X(ROOT, ROOT, "", "", true)                                                    \
	X(COMPUTE, ROOT, "computeMetadata", "computeMetadata", true)                   \
	X(V1, COMPUTE, "v1", "v1", true)                                               \
	X(INSTANCE, V1, "instance", "instance", true)                                  \
	X(ACCOUNTS, INSTANCE, "service-accounts", "serviceAccounts", true)             \
	X(ACCOUNT, ACCOUNTS, "default", "default", true)                               \
	X(ALIASES, ACCOUNT, "aliases", "aliases", false)                               \
	X(EMAIL, ACCOUNT, "email", "email", false)                                     \
	X(SCOPES, ACCOUNT, "scopes", "scopes", false)                                  \
	X(TOKEN, ACCOUNT, "token", NULL, false)                                        \
	X(PROJECT, V1, "project", "project", true)                                     \
	X(PROJECT_ID, PROJECT, "project-id", "projectId", false)                       \
	X(UNIVERSE, V1, "universe", "universe", true)                                  \
	X(UNIVERSE_DOMAIN, UNIVERSE, "universe-domain", "universeDomain", false)
/* clang-format on */

#define NODE_ENUM(id, parent, name, json, is_dir) NODE_##id,
enum node { NODES(NODE_ENUM) NODE_COUNT };

struct node_row {
	enum node parent;
	const char *name, *json;
	bool is_dir;
};

#define NODE_ROW(id, parent, name, json, is_dir) \
	[NODE_##id] = { NODE_##parent, name, json, is_dir },
static const struct node_row nodes[] = { NODES(NODE_ROW) };

/* ---- answers ---- */

static void header_add(struct cv_metadata_answer *a, struct cv_str name, struct cv_str value)
{
	cv_assert(a->header_count < CV_METADATA_HEADERS_MAX);
	a->headers[a->header_count++] = (struct cv_cred_header){ name, value };
}

static void answer_set(
	struct cv_metadata_answer *a, int status, struct cv_str type, struct cv_str body)
{
	a->status = status;
	a->body = body;
	header_add(a, CV_STR("Content-Type"), type);
}

/* Takes the text of b, which is freed. */
static void answer_take(
	struct cv_metadata_answer *a, struct cv_str type, struct cv_buf *b, struct cv_arena *arena)
{
	const bool is_whole = !b->is_overflown;
	const struct cv_str body = is_whole ? cv_arena_str(arena, cv_buf_str(b)) : CV_STR_NONE;

	cv_buf_fini(b);
	if (is_whole && !arena->is_overflown)
		answer_set(a, 200, type, body);
	else
		answer_set(a, 500, CV_STR("text/plain"), CV_STR("answer is too large\n"));
}

static const struct cv_str type_json = { "application/json", 16 };
static const struct cv_str type_text = { "application/text", 16 }; /* as Google's says it */

/* ---- the tree ---- */

static bool is_there(const struct cv_metadata_google *f, enum node n)
{
	if (n == NODE_PROJECT || n == NODE_PROJECT_ID)
		return f->project_id.n > 0;
	if (n == NODE_EMAIL && !f->email.n)
		return false;
	return (n != NODE_ACCOUNT && nodes[n].parent != NODE_ACCOUNT) || f->token.n > 0;
}

static bool is_child(const struct cv_metadata_google *f, enum node parent, enum node n)
{
	return n != NODE_ROOT && nodes[n].parent == parent && is_there(f, n);
}

static bool is_named(const struct cv_metadata_google *f, enum node n, struct cv_str segment)
{
	/* An account is also found by its own name. */
	return cv_str_eq(segment, cv_str_of(nodes[n].name)) ||
	       (n == NODE_ACCOUNT && f->email.n && cv_str_eq(segment, f->email));
}

/* NODE_COUNT: nothing is there. */
static enum node node_find(const struct cv_metadata_google *f, struct cv_str path)
{
	enum node at = NODE_ROOT;

	if (!path.n || path.p[0] != '/')
		return NODE_COUNT;
	for (struct cv_str rest = cv_str_slice(path, 1, path.n); rest.p;) {
		const struct cv_str segment = cv_str_cut(&rest, '/');
		enum node next = NODE_ROOT;

		if (!segment.n && !rest.p && nodes[at].is_dir) /* a slash at the end, or the root */
			return at;
		while (next < NODE_COUNT && !(is_child(f, at, next) && is_named(f, next, segment)))
			next++;
		if (next == NODE_COUNT)
			return NODE_COUNT;
		at = next;
	}
	return at;
}

static struct cv_str scopes_of(const struct cv_metadata_google *f)
{
	return f->scopes.n ? f->scopes : CV_STR("https://www.googleapis.com/auth/cloud-platform");
}

static void scopes_put(struct cv_buf *b, struct cv_str scopes, bool is_json)
{
	bool is_first = true;

	if (is_json)
		cv_buf_put_byte(b, '[');
	while (scopes.p) {
		const struct cv_str scope = cv_str_cut(&scopes, ' ');

		if (!scope.n)
			continue;
		if (is_json) {
			cv_buf_put(b, is_first ? CV_STR_NONE : CV_STR(","));
			cv_buf_put_json_str(b, scope);
		} else {
			cv_buf_put(b, scope);
			cv_buf_put_byte(b, '\n');
		}
		is_first = false;
	}
	if (is_json)
		cv_buf_put_byte(b, ']');
}

static void text_put(struct cv_buf *b, struct cv_str text, bool is_json)
{
	if (is_json)
		cv_buf_put_json_str(b, text);
	else
		cv_buf_put(b, text);
}

static void leaf_put(
	struct cv_buf *b, const struct cv_metadata_google *f, enum node n, bool is_json)
{
	switch (n) {
	case NODE_ALIASES:
		cv_buf_put(b, is_json ? CV_STR("[\"default\"]") : CV_STR("default\n"));
		break;
	case NODE_EMAIL: text_put(b, f->email, is_json); break;
	case NODE_SCOPES: scopes_put(b, scopes_of(f), is_json); break;
	case NODE_PROJECT_ID: text_put(b, f->project_id, is_json); break;
	case NODE_UNIVERSE_DOMAIN: text_put(b, CV_STR("googleapis.com"), is_json); break;
	case NODE_TOKEN:
		cv_buf_put(b, CV_STR("{\"access_token\":"));
		cv_buf_put_json_str(b, f->token);
		cv_buf_printf(
			b, ",\"expires_in\":%d,\"token_type\":\"Bearer\"}", CV_METADATA_EXPIRES_S);
		break;
	case NODE_ROOT:
	case NODE_COMPUTE:
	case NODE_V1:
	case NODE_INSTANCE:
	case NODE_ACCOUNTS:
	case NODE_ACCOUNT:
	case NODE_PROJECT:
	case NODE_UNIVERSE:
	case NODE_COUNT: cv_unreachable();
	}
}

static void listing_put(struct cv_buf *b, const struct cv_metadata_google *f, enum node at)
{
	for (enum node n = NODE_ROOT; n < NODE_COUNT; n++)
		if (is_child(f, at, n)) {
			cv_buf_put(b, cv_str_of(nodes[n].name));
			cv_buf_put(b, nodes[n].is_dir ? CV_STR("/\n") : CV_STR("\n"));
			if (n == NODE_ACCOUNT && f->email.n) {
				cv_buf_put(b, f->email);
				cv_buf_put(b, CV_STR("/\n"));
			}
		}
}

/* As deep as the table: seven. */
static void object_put(struct cv_buf *b, const struct cv_metadata_google *f, enum node at)
{
	bool is_first = true;

	cv_buf_put_byte(b, '{');
	for (enum node n = NODE_ROOT; n < NODE_COUNT; n++) {
		if (!is_child(f, at, n) || !nodes[n].json)
			continue;
		cv_buf_put(b, is_first ? CV_STR_NONE : CV_STR(","));
		is_first = false;
		cv_buf_put_json_str(b, cv_str_of(nodes[n].json));
		cv_buf_put_byte(b, ':');
		if (nodes[n].is_dir)
			object_put(b, f, n);
		else
			leaf_put(b, f, n, true);
		if (n == NODE_ACCOUNT && f->email.n) {
			cv_buf_put_byte(b, ',');
			cv_buf_put_json_str(b, f->email);
			cv_buf_put_byte(b, ':');
			object_put(b, f, n);
		}
	}
	cv_buf_put_byte(b, '}');
}

/* ---- Google ---- */

static bool query_has(struct cv_str query, struct cv_str pair)
{
	while (query.p)
		if (cv_str_eq_nocase(cv_str_cut(&query, '&'), pair))
			return true;
	return false;
}

static struct cv_str header(const struct cv_metadata_request *r, const char *name)
{
	return cv_cred_header_get(r->headers, r->header_count, cv_str_of(name));
}

/* The refusal's status, or 0. */
static int google_refusal(const struct cv_metadata_request *r, enum node n)
{
	if (!cv_str_eq(r->method, CV_STR("GET")))
		return 405;
	if (header(r, "x-forwarded-for").p)
		return 403;
	if (n != NODE_ROOT && !cv_str_eq(header(r, "metadata-flavor"), CV_STR("Google")))
		return 403;
	return n == NODE_COUNT ? 404 : 0;
}

void cv_metadata_google(const struct cv_metadata_request *request,
	const struct cv_metadata_google *facts, struct cv_arena *arena,
	struct cv_metadata_answer *ret)
{
	const enum node n = node_find(facts, request->path);
	const int refusal = google_refusal(request, n);
	const bool is_recursive = query_has(request->query, CV_STR("recursive=true"));
	const bool is_json = query_has(request->query, CV_STR("alt=json")) || n == NODE_TOKEN;
	struct cv_buf b;

	*ret = (struct cv_metadata_answer){ .status = 0 };
	header_add(ret, CV_STR("Metadata-Flavor"), CV_STR("Google"));
	header_add(ret, CV_STR("Server"), CV_STR("Metadata Server for VM"));
	if (refusal) {
		answer_set(ret, refusal, CV_STR("text/plain"),
			refusal == 403   ? CV_STR("Metadata-Flavor: Google is missing\n")
			: refusal == 405 ? CV_STR("only GET is answered\n")
					 : CV_STR("not found\n"));
		return;
	}
	cv_buf_init(&b, BODY_BYTES_MAX);
	if (!nodes[n].is_dir)
		leaf_put(&b, facts, n, is_json);
	else if (is_recursive)
		object_put(&b, facts, n);
	else
		listing_put(&b, facts, n);
	answer_take(ret, is_json || (nodes[n].is_dir && is_recursive) ? type_json : type_text, &b,
		arena);
}

/* ---- AWS ---- */

static bool is_same_secret(struct cv_str a, struct cv_str b)
{
	return a.n == b.n && CRYPTO_memcmp(a.p, b.p, a.n) == 0;
}

static void aws_refuse(struct cv_metadata_answer *a, int status, struct cv_str body)
{
	answer_set(a, status, type_json, body);
}

static void member_put(struct cv_buf *b, const char *name, struct cv_str value)
{
	cv_buf_put_byte(b, cv_buf_len(b) ? ',' : '{');
	cv_buf_put_json_member(b, name, value);
}

void cv_metadata_aws(const struct cv_metadata_request *request, const struct cv_metadata_aws *facts,
	struct cv_arena *arena, struct cv_metadata_answer *ret)
{
	const struct cv_time_civil t = cv_time_civil(facts->expires_s * 1000);
	struct cv_buf b;

	*ret = (struct cv_metadata_answer){ .status = 0 };
	if (!cv_str_eq(request->method, CV_STR("GET"))) {
		aws_refuse(ret, 405,
			CV_STR("{\"code\":\"MethodNotAllowed\",\"message\":\"GET only\"}"));
		return;
	}
	if (facts->authorization.n &&
		!is_same_secret(header(request, "authorization"), facts->authorization)) {
		aws_refuse(ret, 401,
			CV_STR("{\"code\":\"AccessDenied\",\"message\":\"Authorization is not the "
			       "token of AWS_CONTAINER_AUTHORIZATION_TOKEN\"}"));
		return;
	}
	if (!cv_str_eq(request->path, facts->path)) {
		aws_refuse(ret, 404, CV_STR("{\"code\":\"NotFound\",\"message\":\"not found\"}"));
		return;
	}
	cv_buf_init(&b, BODY_BYTES_MAX);
	member_put(&b, "AccessKeyId", facts->key_id);
	member_put(&b, "SecretAccessKey", facts->secret);
	member_put(&b, "Token", facts->session_token); /* SDKs want it there, if only empty */
	cv_buf_printf(&b, ",\"Expiration\":\"%04d-%02d-%02dT%02d:%02d:%02dZ\"}", t.year, t.month,
		t.day, t.hour, t.minute, t.second);
	answer_take(ret, type_json, &b, arena);
}
