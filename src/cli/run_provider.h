/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run_provider.h - the launcher's side of credentials
 *
 *     --provider WORD --find--> profile, instance --read--> values --check--> layer, placeholders
 *                                                             |
 *                            policy with the layer, judged ---+--> set --memfd--> descriptor 4
 *
 * Values are read once, kept in memory that is wiped, and leave this process only in the sealed
 * memfd that the supervisor passes on to the keeper (CV_PLAN_CREDENTIALS_FD).  The sandbox's
 * environment, the plan, messages and --dry-run hold placeholders.
 */
#pragma once
#include "cli/profiles.h"
#include "cli/run.h"
#include "cred/compose.h"
#include "ipc/proxy_link.h"
#include "plan/plan.h"

#define RUN_COURIER_ENV_BYTES_MAX 32000 /* a variable and its name; with lengths, one message */
#define RUN_SECRETS_MAX           1024  /* values and materials of all providers */

struct run_providers {
	struct cv_provider_found found[CV_RUN_PROVIDERS_MAX];
	struct cv_attached attached[CV_RUN_PROVIDERS_MAX];
	size_t count;
	struct cv_arena arena; /* what was read */
	struct cv_str secret[RUN_SECRETS_MAX];
	size_t secret_count;
	struct cv_buf layer;
	struct cv_cred_set set;
	bool has_set;
	struct cv_str facts[CV_PROXY_FACT_COUNT]; /* what emulated metadata servers say */
	bool has_facts;
};

void run_providers_init(struct run_providers *p);
void run_providers_fini(struct run_providers *p); /* wipes */

/* One more --provider.  CV_INVALID: empty, or too many. */
CV_MUST cv_code run_provider_add(struct cv_run_request *r, const char *value, struct cv_err *err);

/* Finds the providers of the request, reads their values, judges them together and makes the
 * layer.  In a dry run commands and descriptors are left alone. */
CV_MUST cv_code run_providers_attach(
	struct run_providers *p, const struct cv_run_request *r, struct cv_err *err);

/* The layer for cv_policy_load_layered(); p NULL without providers. */
struct cv_str run_providers_layer(const struct run_providers *p);

/* Once the policy with the layer is judged: the set, and the placeholders into the sandbox's
 * environment.  Strings of the environment are from arena. */
CV_MUST cv_code run_providers_compose(struct run_providers *p, struct cv_run_request *r,
	const struct cv_policy_doc *doc, struct cv_arena *arena, struct cv_err *err);

/* Whether the set is renewed while the run goes on, and what its commands get of our environment.
 * Needs the set.  CV_LIMIT. */
CV_MUST cv_code run_providers_renewal(const struct run_providers *p, struct cv_plan_files *files,
	struct cv_arena *arena, struct cv_err *err);

/* A sealed memfd with the set.  CV_LIMIT, CV_SYSTEM. */
CV_MUST cv_code run_providers_memfd(struct run_providers *p, int *ret_fd, struct cv_err *err);

/* One variable of the sandbox, for provider.  CV_INVALID: it is set already. */
CV_MUST cv_code run_env_put(struct cv_run_request *r, struct cv_str provider, struct cv_str key,
	struct cv_str value, struct cv_arena *arena, struct cv_err *err);

/* run_metadata.c: once the set is there, which metadata servers the run has, and the variables by which
 * SDKs find them; those that the user set stay. */
CV_MUST cv_code run_metadata_fill(struct run_providers *p, struct cv_run_request *r,
	struct cv_arena *arena, struct cv_err *err);

/* run_value.c: the value that source names, at most CV_CRED_VALUE_BYTES_MAX, without one newline at
 * its end; `from` is the file that source stands in.  Its bytes are kept by p, to be wiped. */
CV_MUST cv_code run_value_read(struct run_providers *p, const struct cv_instance_source *source,
	const char *from, bool is_dry_run, struct cv_str *ret, struct cv_err *err);
CV_MUST cv_code run_secret_keep(
	struct run_providers *p, struct cv_str value, struct cv_str *ret, struct cv_err *err);
