/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit_run.c - see audit_run.h
 *
 * A run is searched while it works.  Its processes are listed again after each pass until no new
 * one has come; files are searched once for each mount namespace.  What moves a value around
 * quickly enough can't be found by any search of this kind: the rows say what was looked at, not
 * that everything was looked at in one moment.
 */
#include "cli/audit_run.h"

#include "cred/limits_scrub.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define RUN_ENDED      "the run ended before the search did"
#define PASSES_MAX     16    /* over the processes of a run */
#define SEEN_MAX       65536 /* processes of a run: pids_max of large machines */
#define NAMESPACES_MAX 64    /* mount namespaces of a run: there should be one */

/* ---- values ---- */

/* What a value is called: its variable, or the material of a renewal. */
static void name_of(const struct run_providers *p, struct cv_str value, char ret[128])
{
	snprintf(ret, 128, "a value of a provider, a catalog or the upstream proxy");
	for (size_t i = 0; i < p->count; i++) {
		const struct cv_attached *a = &p->attached[i];

		for (size_t k = 0; k < a->key_count; k++)
			if (a->keys[k].value.p == value.p)
				snprintf(ret, 128, "%.*s of %.*s", CV_STR_ARG(a->keys[k].key),
					CV_STR_ARG(a->name));
		for (size_t k = 0; k < a->refresh_count; k++)
			for (size_t m = 0; m < a->refreshes[k].material_count; m++)
				if (a->refreshes[k].materials[m].value.p == value.p)
					snprintf(ret, 128, "%.*s of %.*s",
						CV_STR_ARG(a->refreshes[k].materials[m].name),
						CV_STR_ARG(a->name));
	}
}

static void unknown_rows(const struct run_providers *p, struct audit_report *r)
{
	for (size_t i = 0; i < p->count; i++) {
		const struct cv_policy_entry *own = &p->attached[i].profile->network;

		for (size_t k = 0; k < own->endpoint_count; k++) {
			if (!own->endpoints[k].token_endpoint)
				continue;
			audit_row_unsearched(audit_row_add(r, 0, "value", "tokens that %.*s minted",
						     CV_STR_ARG(own->endpoints[k].host.s)),
				"what the run has of them is known to the keeper alone");
		}
		for (size_t k = 0; k < p->attached[i].key_count; k++) {
			const struct cv_attached_key *key = &p->attached[i].keys[k];

			if (key->refresh == CV_CRED_NONE)
				continue;
			audit_row_unsearched(
				audit_row_add(r, 0, "value", "%.*s of %.*s", CV_STR_ARG(key->key),
					CV_STR_ARG(p->attached[i].name)),
				"is renewed while the run goes on; what it is worth now is known to "
				"the keeper alone");
		}
	}
}

cv_code audit_values_take(const struct run_providers *p, struct audit_report *r,
	struct audit_search **ret, struct cv_err *err)
{
	static bool is_short[RUN_SECRETS_MAX];
	char name[128];

	if (!p->secret_count)
		return cv_fail(
			err, CV_INVALID, "the providers and catalogs have no value to search for");
	if (audit_search_new(p->secret, p->secret_count, is_short, ret, err) != CV_OK)
		return err->code;
	for (size_t i = 0; i < p->secret_count; i++) {
		if (!is_short[i])
			continue;
		name_of(p, p->secret[i], name);
		audit_row_unsearched(audit_row_add(r, 0, "value", "%s", name),
			"has fewer than %d bytes, which would be found by chance",
			CV_SCRUB_VALUE_BYTES_MIN);
	}
	unknown_rows(p, r);
	return CV_OK;
}

/* ---- a run ---- */

struct seen {
	struct audit_proc v[SEEN_MAX];
	size_t count;
	uint64_t mount_ns[NAMESPACES_MAX];
	size_t ns_count;
};

static bool is_seen(const struct seen *seen, const struct audit_proc *p)
{
	for (size_t i = 0; i < seen->count; i++)
		if (seen->v[i].pid == p->pid && seen->v[i].start == p->start)
			return true;
	return false;
}

/* Whether the files that p sees were not searched yet. */
static bool has_new_files(struct seen *seen, const struct audit_proc *p)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", (int)p->pid);
	if (stat(path, &st) < 0)
		return seen->ns_count == 0; /* the search of its files will say why not */
	for (size_t i = 0; i < seen->ns_count; i++)
		if (seen->mount_ns[i] == st.st_ino)
			return false;
	if (seen->ns_count < NAMESPACES_MAX)
		seen->mount_ns[seen->ns_count++] = st.st_ino;
	return true;
}

struct run_search {
	struct audit_search *s;
	struct audit_report *r;
	struct audit_proc supervisor;
	uint64_t files_max;
	struct seen *seen;
	bool has_files;
};

static void process_search(
	struct run_search *rs, const struct audit_table *t, const struct audit_proc *p)
{
	const pid_t run = rs->supervisor.pid;
	const enum audit_role role = audit_proc_role(t, p, &rs->supervisor);

	audit_proc_search(rs->s, rs->r, run, p, role);
	if (role != AUDIT_ROLE_SANDBOX) {
		audit_core_look(rs->r, run, p);
	} else if (has_new_files(rs->seen, p)) {
		audit_files_search(rs->s, rs->r, run, p, rs->files_max);
		rs->has_files = true;
	}
}

/* Those that were not there in an earlier pass; gives their number. */
static size_t pass(struct run_search *rs, const struct audit_table *t)
{
	size_t n = 0;

	for (size_t i = 0; i < t->count; i++) {
		const struct audit_proc *p = &t->v[i];

		if (!audit_proc_is_below(t, p, &rs->supervisor) || is_seen(rs->seen, p))
			continue;
		if (rs->seen->count < SEEN_MAX)
			rs->seen->v[rs->seen->count++] = *p;
		process_search(rs, t, p);
		n++;
	}
	return n;
}

static cv_code run_search(struct run_search *rs, struct audit_table *t, struct cv_err *err)
{
	const pid_t run = rs->supervisor.pid;
	size_t news = 1;

	for (int i = 0; i < PASSES_MAX && news; i++) {
		news = pass(rs, t);
		if (audit_table_read(t, err) != CV_OK)
			return err->code;
	}
	if (news)
		audit_row_unsearched(audit_row_add(rs->r, run, "processes", "all"),
			"new ones kept coming, in each of %d passes", PASSES_MAX);
	const struct audit_proc *still = audit_table_find(t, run);
	if (!still || still->start != rs->supervisor.start)
		audit_row_unsearched(audit_row_add(rs->r, run, "processes", "all"), RUN_ENDED);
	else if (!rs->has_files)
		audit_row_unsearched(audit_row_add(rs->r, run, "files", "all"),
			"the sandbox has no process yet");
	return CV_OK;
}

/* ---- the host ---- */

/* Who may well have the value in its environment: the shells that it was given to, and what they
 * started in the same session. */
static bool is_callers(
	const struct audit_table *t, const struct audit_proc *p, const struct audit_proc *of)
{
	return of && ((p->sid && p->sid == of->sid) || audit_proc_is_below(t, of, p));
}

static void host_search(struct audit_search *s, struct audit_report *r, const struct audit_table *t,
	const struct audit_proc *runs, size_t n)
{
	struct audit_row *argv = audit_row_add(r, 0, "arguments", "other processes");
	struct audit_row *env = audit_row_add(r, 0, "environment", "other processes");
	struct audit_row *own = audit_row_add(r, 0, "environment", "your shells");
	const struct audit_proc *me = audit_table_find(t, getpid());

	own->is_yours = true;
	for (size_t i = 0; i < t->count; i++) {
		const struct audit_proc *p = &t->v[i];
		bool is_users = p->euid == geteuid(), is_yours = is_callers(t, p, me);
		bool is_in_run = false;

		for (size_t k = 0; k < n; k++) {
			is_users |= p->euid == runs[k].euid;
			is_yours |= is_callers(t, p, &runs[k]);
			is_in_run |= audit_proc_is_below(t, p, &runs[k]);
		}
		if (!is_users || is_in_run)
			continue;
		audit_proc_search_argv(s, argv, p);
		if (p != me) /* not dumpable, and it has what its shell has */
			audit_proc_search_environ(s, is_yours ? own : env, p);
	}
}

/* ---- all ---- */

cv_code audit_runs_search(struct audit_search *s, struct audit_report *r, const pid_t *run,
	size_t n, uint64_t files_max, struct cv_err *err)
{
	static struct seen seen; /* large, as is the next */
	static struct audit_proc supervisor[AUDIT_RUNS_MAX];
	struct audit_table t = { 0 };
	size_t live = 0;
	cv_code code = audit_table_read(&t, err);

	for (size_t i = 0; i < n && code == CV_OK; i++) {
		const struct audit_proc *p = audit_table_find(&t, run[i]);

		if (p && audit_proc_is_run(&t, p))
			supervisor[live++] = *p;
		else if (n > 1) /* of those that were found a moment ago */
			audit_row_unsearched(
				audit_row_add(r, run[i], "processes", "all"), RUN_ENDED);
		else
			code = cv_fail(err, CV_NOT_FOUND,
				"cove-%d: there is no such run; without a name, all live ones are "
				"searched",
				(int)run[i]);
	}
	for (size_t i = 0; i < live && code == CV_OK; i++) {
		struct run_search rs = { .s = s,
			.r = r,
			.supervisor = supervisor[i],
			.files_max = files_max,
			.seen = &seen };

		seen.count = seen.ns_count = 0;
		code = run_search(&rs, &t, err);
	}
	if (code == CV_OK)
		host_search(s, r, &t, supervisor, live);
	audit_table_fini(&t);
	return code;
}

cv_code audit_runs_find(pid_t ret[AUDIT_RUNS_MAX], size_t *ret_n, struct cv_err *err)
{
	struct audit_table t = { 0 };
	cv_code code = audit_table_read(&t, err);

	*ret_n = 0;
	for (size_t i = 0; i < t.count && code == CV_OK; i++) {
		if (t.v[i].euid != geteuid() || !audit_proc_is_run(&t, &t.v[i]))
			continue;
		if (*ret_n == AUDIT_RUNS_MAX)
			code = cv_fail(
				err, CV_LIMIT, "more than %d runs; name one", AUDIT_RUNS_MAX);
		else
			ret[(*ret_n)++] = t.v[i].pid;
	}
	audit_table_fini(&t);
	return code == CV_OK && !*ret_n ? cv_fail(err, CV_NOT_FOUND, "no live run of yours") : code;
}
