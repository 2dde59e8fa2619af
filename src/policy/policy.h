/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy.h - from YAML text to a snapshot that decides
 *
 *     text --cv_policy_load()--> document --cv_policy_validate()--> findings
 *                                   |
 *                                   +--cv_policy_compile()--> snapshot (counted, immutable)
 *
 * cv_policy_open() does all three: what the launcher, the proxy and `policy check` call.
 */
#pragma once
#include "base/err.h"
#include "base/ip.h"
#include "policy/model.h"
#include "policy/verdict.h"

/* One error or warning about a document.  Rendered "FILE:LINE:COLUMN: message; fix". */
struct cv_finding {
	struct cv_policy_pos pos;
	bool is_error;
	struct cv_str where;   /* "github.endpoints[0].rules[1].allow", or empty */
	struct cv_str message; /* what is wrong */
	struct cv_str fix;     /* what would be right; may be empty */
};

struct cv_findings {
	struct cv_arena arena; /* owns the texts */
	struct cv_finding *v;
	size_t n, cap;
	size_t error_count;
	bool is_cut;       /* more were found than CV_POLICY_FINDINGS_MAX */
	bool has_no_lines; /* set by who renders the text himself: nobody sees it, so no message
			    * names a line of it */
};

void cv_findings_init(struct cv_findings *f);
void cv_findings_fini(struct cv_findings *f);

/* Parses text (borrowed; copied into the document).  Syntax errors, unknown keys, wrong types and
 * limits are findings; CV_INVALID when any is an error (ret_doc is then NULL). */
CV_MUST cv_code cv_policy_load(struct cv_str file, struct cv_str text,
	struct cv_policy_doc **ret_doc, struct cv_findings *findings);
/* An empty document, for who fills one without a text; NULL without memory. */
struct cv_policy_doc *cv_policy_doc_new(struct cv_str file);
void cv_policy_doc_free(struct cv_policy_doc *doc);

/* Names of network policies that begin so belong to providers. */
#define CV_POLICY_PROVIDER_PREFIX "_provider_"

/* Loads text and lays over it what the attached providers add: layer_text is a policy document of
 * our own making whose network_policies are named CV_POLICY_PROVIDER_PREFIX..., possibly none.
 * Places in it mean nothing to the user and are 0 in the result.  layer_text empty (p NULL): no
 * provider, as cv_policy_load(). */
CV_MUST cv_code cv_policy_load_layered(struct cv_str file, struct cv_str text,
	struct cv_str layer_text, struct cv_policy_doc **ret_doc, struct cv_findings *findings);

/* Every rule of the language's validation matrix, ambiguity included.  CV_INVALID when an error
 * was found; warnings alone give CV_OK. */
CV_MUST cv_code cv_policy_validate(const struct cv_policy_doc *doc, struct cv_findings *findings);

/* Of these only: endpoints that can match the same request and disagree on how it is handled. */
CV_MUST cv_code cv_policy_ambiguity(const struct cv_policy_doc *doc, struct cv_findings *findings);

/* No credential of a provider (of doc's layer, or bound by an endpoint) goes where its request is not
 * read, unless the endpoint allows it.  CV_DENIED, with OpenShell's sentence. */
CV_MUST cv_code cv_policy_preflight(const struct cv_policy_doc *doc, struct cv_err *err);

/* What a valid document asks for and this build does not enforce yet (graphql, mcp, json-rpc, sql,
 * signing, rewriting, middlewares that are not built in), each as an error finding by name.  Called
 * when the policy is to be run, not when it is checked.  CV_INVALID when there is any. */
CV_MUST cv_code cv_policy_enforceable(
	const struct cv_policy_doc *doc, struct cv_findings *findings);

/* The snapshot of a valid document; keeps the document alive.  Takes ownership of doc, also on
 * failure (CV_LIMIT only).  doc NULL gives the policy that allows no network. */
CV_MUST cv_code cv_policy_compile(
	struct cv_policy_doc *doc, struct cv_policy **ret, struct cv_err *err);

/* Where a path of the policy leads inside the sandbox.  Symlinks are resolved by the caller, since
 * this folder reads no files. */
struct cv_policy_alias {
	struct cv_str path, target;
};

/* As cv_policy_compile(); a binary written exactly as .path is also matched as .target. */
CV_MUST cv_code cv_policy_compile_aliased(struct cv_policy_doc *doc,
	const struct cv_policy_alias *aliases, size_t alias_count, struct cv_policy **ret,
	struct cv_err *err);

CV_MUST cv_code cv_policy_open(struct cv_str file, struct cv_str text, struct cv_policy **ret,
	struct cv_findings *findings);

/* The count is not atomic: a snapshot stays in the thread that made it. */
struct cv_policy *cv_policy_ref(struct cv_policy *policy);
void cv_policy_unref(struct cv_policy *policy); /* NULL is fine */

/* The document of a snapshot; borrowed.  NULL for the policy that allows nothing. */
const struct cv_policy_doc *cv_policy_doc(const struct cv_policy *policy);

/* Any endpoint at all?  Without one, everything is NO_POLICY. */
bool cv_policy_has_network(const struct cv_policy *policy);

/* "" for CV_POLICY_NONE.  Borrowed from the snapshot. */
struct cv_str cv_policy_entry_name(const struct cv_policy *policy, uint32_t entry);

/* The document's endpoint that verdict names, or NULL. */
const struct cv_policy_endpoint *cv_policy_endpoint_of(
	const struct cv_policy *policy, const struct cv_verdict *verdict);

/* The prefixes that CV_OBLIGE_ALLOWED_IPS speaks of; empty (*ret_n 0) without that obligation, and
 * also with it when none of the endpoint's texts is a prefix: then no address is allowed. */
const struct cv_cidr *cv_policy_allowed_ips(
	const struct cv_policy *policy, const struct cv_verdict *verdict, size_t *ret_n);
bool cv_policy_allowed_ip(
	const struct cv_policy *policy, const struct cv_verdict *verdict, const struct cv_ip *ip);

/* For the DNS server: does some endpoint name this host, exactly or by pattern, on any port?
 * Endpoints without a host name none. */
bool cv_policy_host_is_listed(const struct cv_policy *policy, struct cv_str host);

/* The ports on which it is named, in no order, each once, at most max; returns their number. */
size_t cv_policy_host_ports(
	const struct cv_policy *policy, struct cv_str host, uint16_t *ret, size_t max);

/* The ports that endpoints name, ascending, each once, at most max; returns their number, which may be
 * more. */
size_t cv_policy_ports(const struct cv_policy_doc *doc, uint32_t *ret, size_t max);

/* Does the policy name this executable, exactly or by pattern, in any entry or rule about tools? */
bool cv_policy_is_binary_named(const struct cv_policy *policy, struct cv_str path);

/* Whether some name matches both patterns ("" is any host; case does not matter). */
bool cv_policy_hosts_overlap(struct cv_str a, struct cv_str b);
