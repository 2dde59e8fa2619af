/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doc.h - policy documents written in C, for tests that want no YAML
 *
 * Each call adds to what the call before made: doc_entry() opens an entry, doc_endpoint() an
 * endpoint in it, doc_allow() or doc_deny() a rule in that, doc_query() a matcher in that.  Lines
 * count the calls, so that a test can tell things apart.
 */
#pragma once
#include "policy/model.h"

struct cv_policy_doc *doc_new(void);
struct cv_policy_entry *doc_entry(struct cv_policy_doc *d, const char *name);
void doc_binary(struct cv_policy_doc *d, const char *path);
struct cv_policy_endpoint *doc_endpoint(struct cv_policy_doc *d, const char *host, uint16_t port);
void doc_port(struct cv_policy_doc *d, uint16_t port);
void doc_ip(struct cv_policy_doc *d, const char *cidr);
/* protocol rest, enforced, with an access preset or NONE */
struct cv_policy_endpoint *doc_rest(
	struct cv_policy_doc *d, const char *host, enum cv_policy_access access);
void doc_allow(struct cv_policy_doc *d, const char *method, const char *path);
void doc_deny(struct cv_policy_doc *d, const char *method, const char *path);
void doc_query(struct cv_policy_doc *d, const char *key, const char *glob);
void doc_query_or(struct cv_policy_doc *d, const char *glob); /* one more glob of that matcher */
