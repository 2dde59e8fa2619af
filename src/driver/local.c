/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local.c - sandboxes as processes of this machine
 *
 * The plan is the one that `cove run` would have made, with three differences: the working directory
 * is the sandbox's own (workspace/, seen at /sandbox), nobody is at a terminal, and the supervisor
 * dials a gateway.
 *
 *     STATE/sandboxes/ID/workspace/    kept over stop and start
 *                        log           what supervisor, proxy and init say of it
 *                        policy.yaml   as it was when it started
 *                        tools-N.yaml  catalogs of host tools, likewise
 *                        tools/        the token (the gateway's), the broker's directory
 *                        run           "INSTANCE TOKEN\n", then "PID START\n" once there is one, or "new\n"
 *                                      before it is confirmed; dashes when there is none any more
 *     STATE/sandboxes/.removed-ID      what a process of ours is removing
 *
 * `run` needs no fsync: what it names does not survive the machine either.
 */
#include "driver/driver_int.h"

#include "base/hex.h"
#include "driver/blank.h"
#include "driver/host.h"
#include "driver/nursery.h"
#include "driver/skills.h"
#include "driver/spawn.h"
#include "driver/tools.h"
#include "ipc/frame.h"
#include "plan/claim.h"
#include "plan/limits.h"
#include "policy/findings.h"
#include "policy/policy.h"
#include "sys/fd.h"
#include "tools/builtin.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define POLICY_FILE "policy.yaml"
#define ARENA_MAX   (16u << 20) /* as of a run: argv and env of the largest plan */

/* What is of one start, and all of whose strings are in the arena. */
struct making {
	const struct cv_driver_sandbox *s;
	struct cv_arena arena;
	struct cv_run_spec spec;
	struct cv_plan_files files;
	struct cv_spec_mount mount;
	struct cv_str dir, policy;
};

/* ---- the driver ---- */

static void standbys_turn(struct cv_driver *d)
{
	cv_driver_nursery_turn(&d->nursery);
	(void)cv_driver_standby_turn(&d->blank);
}

static cv_code local_open(struct cv_str state, struct cv_driver **ret, struct cv_err *err)
{
	struct cv_driver *d = calloc(1, sizeof(*d));
	cv_code code;

	if (!d)
		return cv_fail(err, CV_LIMIT, "no memory");
	cv_arena_init(&d->arena, ARENA_MAX);
	d->sandboxes = d->recycled = -1;
	cv_driver_standby_init(&d->nursery, NULL);
	cv_driver_standby_init(&d->blank, NULL);
	cv_buf_init(&d->shape, CV_PLAN_BYTES_MAX);
	d->path = cv_arena_printf(&d->arena, "%.*s/sandboxes", CV_STR_ARG(state));
	if (!d->path.p)
		code = cv_fail(err, CV_LIMIT, "no memory");
	else
		code = cv_driver_programs_find(&d->programs, &d->arena, &d->supervisor, err);
	if (code == CV_OK && mkdir(d->path.p, 0700) < 0 && errno != EEXIST)
		code = cv_fail_errno(err, "make %s", d->path.p);
	if (code == CV_OK)
		d->sandboxes = open(d->path.p, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (code == CV_OK && d->sandboxes < 0)
		code = cv_fail_errno(err, "open %s", d->path.p);
	if (code != CV_OK) {
		cv_driver_local.close(d);
		return code;
	}
	cv_driver_spares_remove(d);
	cv_driver_recycle_open(d, state);
	d->has_removed = true; /* an earlier owner may have left some */
	cv_driver_remover_turn(d);
	cv_driver_standby_init(&d->nursery, d->programs.exe_keeper.p);
	cv_driver_standby_init(&d->blank, d->supervisor.p);
	standbys_turn(d);
	*ret = d;
	return CV_OK;
}

static void local_close(struct cv_driver *d)
{
	if (!d)
		return;
	if (d->sandboxes >= 0)
		close(d->sandboxes);
	if (d->recycled >= 0)
		close(d->recycled);
	cv_driver_standby_end(&d->nursery);
	cv_driver_standby_end(&d->blank);
	cv_buf_fini(&d->shape);
	cv_arena_fini(&d->arena);
	free(d);
}

/* ---- files of a sandbox ---- */

static cv_code dir_name(struct cv_driver *d, struct making *m, struct cv_err *err)
{
	const struct cv_str id = m->s->id;

	if (!cv_driver_id_is_plain(id))
		return cv_fail(err, CV_INVALID, "'%.*s' is no id of a sandbox", CV_STR_ARG(id));
	m->dir = cv_arena_printf(&m->arena, "%.*s/%.*s", CV_STR_ARG(d->path), CV_STR_ARG(id));
	m->mount.src = cv_arena_printf(&m->arena, "%.*s/workspace", CV_STR_ARG(m->dir));
	m->mount.dst = CV_STR("/sandbox");
	return m->mount.src.p ? CV_OK : cv_fail(err, CV_LIMIT, "no memory");
}

static cv_code dir_make(struct cv_driver *d, struct making *m, struct cv_err *err)
{
	const bool is_there = cv_driver_recycle_take(d, m->s->id);

	if ((!is_there && mkdir(m->dir.p, 0700) < 0 && errno != EEXIST) ||
		(mkdir(m->mount.src.p, 0755) < 0 && errno != EEXIST))
		return cv_fail_errno(err, "make %s", m->mount.src.p);
	return CV_OK;
}

static struct cv_str path_in(struct making *m, const char *name)
{
	return cv_arena_printf(&m->arena, "%.*s/%s", CV_STR_ARG(m->dir), name);
}

/* What is there is written over and then cut: a file that was cut to nothing first is one whose data
 * some file systems send to the disk when it is closed. */
static cv_code file_write(
	struct making *m, const char *name, struct cv_str text, int *ret_fd, struct cv_err *err)
{
	const struct cv_str path = path_in(m, name);
	struct stat st;

	if (!path.p)
		return cv_fail(err, CV_LIMIT, "no memory");
	CV_AUTO_FD int fd = open(path.p, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return cv_fail_errno(err, "make %s", path.p);
	if (text.n && write(fd, text.p, text.n) != (ssize_t)text.n)
		return cv_fail_errno(err, "write %s", path.p);
	if (fstat(fd, &st) < 0 || ((size_t)st.st_size > text.n && ftruncate(fd, (off_t)text.n) < 0))
		return cv_fail_errno(err, "cut %s", path.p);
	if (ret_fd)
		*ret_fd = cv_take_fd(fd);
	return CV_OK;
}

/* ---- the plan ---- */

/* The words of the first error, for who sent the policy. */
static const char *first_error(const struct cv_findings *f)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->v[i].is_error)
			return f->v[i].message.p; /* arena: a NUL follows */
	return "unknown";
}

static cv_code policy_take(struct making *m, struct cv_err *err)
{
	const struct cv_str text = m->s->policy.n ? m->s->policy : CV_STR(CV_PLAN_NO_POLICY_TEXT);
	struct cv_policy_doc *doc = NULL;
	struct cv_policy *policy = NULL;
	struct cv_findings findings;

	cv_findings_init(&findings);
	cv_code code =
		cv_policy_load_layered(CV_STR("policy"), text, m->s->policy_layer, &doc, &findings);
	if (code == CV_OK)
		code = cv_policy_validate(doc, &findings);
	if (code == CV_OK)
		code = cv_policy_enforceable(doc, &findings);
	if (code != CV_OK)
		code = cv_fail(err, code, "the policy has %zu errors; the first is: %s",
			findings.error_count, first_error(&findings));
	else
		code = cv_driver_sections_take(&m->spec, doc, &m->arena, err);
	cv_findings_fini(&findings);
	if (code != CV_OK) {
		cv_policy_doc_free(doc);
		return code;
	}
	code = cv_policy_compile(doc, &policy, err); /* takes doc */
	if (code != CV_OK)
		return code;
	m->spec.has_network = cv_policy_has_network(policy);
	cv_policy_unref(policy);
	m->policy = text;
	m->files.policy_file = path_in(m, POLICY_FILE);
	return m->files.policy_file.p ? CV_OK : cv_fail(err, CV_LIMIT, "no memory");
}

/* One id exists in a sandbox: files of any other owner could not be changed, and the root not be
 * replaced. */
static cv_code root_take(struct making *m, struct cv_err *err)
{
	struct stat st;

	if (!m->s->rootfs_dir.n)
		return CV_OK;
	cv_code code = cv_driver_path_resolve(
		"image", m->s->rootfs_dir, &m->arena, &m->spec.rootfs_dir, err);
	if (code != CV_OK)
		return code;
	if (stat(m->spec.rootfs_dir.p, &st) < 0)
		return cv_fail_errno(err, "image %s", m->spec.rootfs_dir.p);
	if (!S_ISDIR(st.st_mode))
		return cv_fail(err, CV_INVALID, "image %s: not a directory", m->spec.rootfs_dir.p);
	if (st.st_uid != geteuid() || st.st_gid != getegid())
		return cv_fail(err, CV_UNAVAILABLE,
			"image %s: belongs to %u:%u, and only the gateway's own %u:%u can be mapped",
			m->spec.rootfs_dir.p, st.st_uid, st.st_gid, geteuid(), getegid());
	m->spec.rootfs = CV_ROOTFS_DIR;
	return CV_OK;
}

static cv_code spec_fill(struct cv_driver *d, struct making *m, struct cv_err *err)
{
	const struct cv_driver_sandbox *s = m->s;

	m->files = d->programs;
	m->files.policy_name = CV_STR("policy");
	m->files.policy_layer = s->policy_layer;
	m->files.provider_count = s->provider_count;
	m->files.providers =
		cv_arena_array(&m->arena, s->provider_count + 1, sizeof(*s->providers));
	m->files.courier_env =
		cv_arena_array(&m->arena, s->courier_env_count + 1, sizeof(*s->courier_env));
	if (!m->files.providers || !m->files.courier_env)
		return cv_fail(err, CV_LIMIT, "no memory");
	for (size_t i = 0; i < s->provider_count; i++)
		m->files.providers[i] = s->providers[i];
	for (size_t i = 0; i < s->courier_env_count; i++)
		m->files.courier_env[i] = s->courier_env[i];
	m->files.courier_env_count = s->courier_env_count;
	m->files.has_renewal = s->has_renewal;
	m->files.has_renewal_command = s->has_renewal_command;
	m->files.metadata = s->metadata;
	m->files.metadata_count = s->metadata_count;
	m->files.budgets = s->budgets;
	m->files.budget_count = s->budget_count;
	m->files.routes_file = s->routes_file;
	m->files.ca_files = s->ca_files;
	m->files.ca_count = s->ca_count;
	m->spec.pins = s->pins;
	m->spec.pin_count = s->pin_count;
	m->spec.mounts = &m->mount;
	m->spec.mount_count = 1;
	m->spec.env = s->env;
	m->spec.env_count = s->env_count;
	m->spec.approve_ms = (uint64_t)s->approve_seconds * 1000;
	m->spec.argv = s->argv;
	m->spec.argv_count = s->argv_count;
	m->spec.cpu_milli = s->cpu_milli;
	m->spec.memory_bytes = s->memory_bytes;
	m->spec.pids = s->pids;
	m->spec.tty = s->has_tty ? CV_TTY_YES : CV_TTY_NO;
	m->spec.interception = s->interception;
	m->spec.has_ocsf_log = s->has_ocsf_log;
	m->spec.is_quiet = true;
	return CV_OK;
}

static bool is_builtin(struct cv_str catalog)
{
	return cv_str_has_prefix(catalog, CV_STR(CV_BUILTIN_CATALOG_PREFIX));
}

static struct cv_str catalog_path(struct making *m, size_t i)
{
	char name[32];

	snprintf(name, sizeof(name), "tools-%zu.yaml", i);
	return is_builtin(m->s->tools->names[i]) ? m->s->tools->names[i] : path_in(m, name);
}

/* The catalogs as they were judged, so that the broker reads nothing else. */
static cv_code catalogs_write(struct making *m, struct cv_err *err)
{
	const struct cv_driver_tools *t = m->s->tools;
	cv_code code = CV_OK;

	for (size_t i = 0; t && i < t->count && code == CV_OK; i++) {
		char name[32];

		snprintf(name, sizeof(name), "tools-%zu.yaml", i);
		if (!is_builtin(t->names[i]))
			code = file_write(m, name, t->texts[i], NULL, err);
	}
	return code;
}

static cv_code tools_fill(struct making *m, struct cv_err *err)
{
	const struct cv_driver_tools *t = m->s->tools;

	if (!t)
		return CV_OK;
	m->files.tools_files =
		cv_arena_array(&m->arena, t->count + 1, sizeof(m->files.tools_files[0]));
	m->files.tools_env =
		cv_arena_array(&m->arena, t->env_count + 1, sizeof(m->files.tools_env[0]));
	if (!m->files.tools_files || !m->files.tools_env)
		return cv_fail(err, CV_LIMIT, "no memory");
	for (size_t i = 0; i < t->count; i++)
		m->files.tools_files[i] = catalog_path(m, i);
	for (size_t i = 0; i < t->env_count; i++)
		m->files.tools_env[i] = t->env[i];
	m->files.tools_count = t->count;
	m->files.tools_env_count = t->env_count;
	m->files.tools = t->tools;
	m->files.tool_count = t->tool_count;
	m->files.tools_map = t->map;
	m->files.tools_skill = t->skill;
	m->files.tools_digest = t->digest;
	m->files.tools_state = t->state;
	m->files.tools_slots = t->slots;
	m->files.is_tools_late = t->is_late;
	m->spec.has_network = true; /* the route is one, and its token is the keeper's */
	return CV_OK;
}

/* As in OpenShell's sandboxes, where scripts cut the prefix off; a name that is too long with it stands
 * alone.  A spare has none yet. */
static struct cv_str hostname_make(struct making *m)
{
	const struct cv_str name = m->s->name;

	return !name.n ? CV_STR_NONE
	       : name.n + sizeof("sandbox-") - 1 > CV_PLAN_HOSTNAME_MAX
		       ? name
		       : cv_arena_printf(&m->arena, "sandbox-%.*s", CV_STR_ARG(name));
}

static void gateway_fill(struct making *m)
{
	struct cv_plan_gateway *g = &m->files.gateway;

	g->socket = m->s->socket;
	g->sandbox = m->s->id;
	g->instance = m->s->instance;
	memcpy(g->token, m->s->token, sizeof(g->token));
	g->flags = m->s->argv_count ? CV_PLAN_GATEWAY_MAIN_ENDS : CV_PLAN_GATEWAY_NO_MAIN;
	if (m->s->is_spare)
		g->flags |= CV_PLAN_GATEWAY_SPARE;
	if (m->s->may_propose)
		g->flags |= CV_PLAN_GATEWAY_PROPOSALS;
	if (m->s->is_new)
		g->flags |= CV_PLAN_GATEWAY_AWAIT;
}

static cv_code plan_make(
	struct cv_driver *d, struct making *m, struct cv_plan *ret, struct cv_err *err)
{
	cv_code code = dir_name(d, m, err);

	if (code == CV_OK)
		code = spec_fill(d, m, err);
	if (code == CV_OK)
		code = policy_take(m, err);
	if (code == CV_OK)
		code = root_take(m, err);
	if (code == CV_OK)
		code = tools_fill(m, err);
	/* There is no directory of a user's that could be worked in; /sandbox is. */
	m->spec.include_workdir = false;
	if (code == CV_OK)
		code = cv_driver_host_fill(&m->spec, &m->files, &m->arena, err);
	if (code == CV_OK)
		code = cv_driver_limits_fill(&m->spec, err);
	m->spec.hostname = hostname_make(m);
	m->files.approve_dir = m->s->approve_dir;
	m->files.advisor_skill = cv_str_of(cv_driver_skills[0].text);
	gateway_fill(m);
	return code == CV_OK ? cv_plan_build(&m->spec, &m->files, &m->arena, ret, err) : code;
}

/* ---- the process ---- */

static cv_code plan_memfd(const struct cv_plan *plan, int *ret, struct cv_err *err)
{
	struct cv_buf b;
	cv_code code;

	cv_buf_init(&b, CV_PLAN_BYTES_MAX);
	if (cv_plan_put(&b, plan))
		code = cv_ipc_memfd("cove-plan", cv_buf_str(&b), ret, err);
	else
		code = cv_fail(err, CV_LIMIT, "command and environment exceed %u bytes",
			CV_PLAN_BYTES_MAX);
	cv_buf_wipe(&b); /* the token is in it */
	return code;
}

static cv_code process_start(struct cv_driver *d, struct making *m, struct cv_plan *plan,
	struct cv_driver_process *ret, struct cv_err *err)
{
	const struct cv_str log_path = path_in(m, "log");
	CV_AUTO_FD int plan_fd = -1, keeper = -1, child = -1;
	CV_AUTO_FD int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
	CV_AUTO_FD int log =
		log_path.p ? open(log_path.p,
				     O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600)
			   : -1;
	if (nothing < 0 || log < 0)
		return cv_fail_errno(err, "open the log of %.*s", CV_STR_ARG(m->s->id));
	if (plan->flags & CV_PLAN_NETWORK)
		cv_driver_nursery_link(&d->nursery, &keeper, &child);
	if (keeper >= 0)
		plan->gateway.flags |= CV_PLAN_GATEWAY_KEEPER;
	cv_code code = plan_memfd(plan, &plan_fd, err);
	if (code != CV_OK)
		return code;
	const int fds[] = { nothing, log, log, plan_fd,
		plan->flags & CV_PLAN_CREDENTIALS ? m->s->credentials : -1, -1, keeper };
	_Static_assert(CV_ARRAY_LEN(fds) == CV_PLAN_FD_COUNT, "a place for each");
	if (!cv_driver_blank_take(&d->blank, fds, &ret->pid, &ret->pidfd))
		code = cv_driver_spawn(
			d->supervisor.p, fds, CV_ARRAY_LEN(fds), &ret->pid, &ret->pidfd, err);
	if (code == CV_OK && child >= 0)
		cv_driver_nursery_child(&d->nursery, child, log);
	return code;
}

/* The line of the run's identity; that of its process follows. */
static cv_code run_write(struct making *m, int *ret_fd, struct cv_err *err)
{
	struct cv_buf b;

	cv_buf_init(&b, CV_DRIVER_RUN_BYTES_MAX);
	cv_buf_put(&b, m->s->instance);
	cv_buf_put_byte(&b, ' ');
	cv_buf_put_hex(
		&b, (struct cv_str){ (const char *)m->s->token, CV_PLAN_GATEWAY_TOKEN_BYTES });
	cv_buf_put_byte(&b, '\n');
	if (m->s->is_new)
		cv_buf_put(&b, CV_STR(CV_DRIVER_RUN_NEW));
	const cv_code code = file_write(m, "run", cv_buf_str(&b), ret_fd, err);
	cv_buf_wipe(&b);
	return code;
}

/* Best effort: without it a later owner waits for the process to dial. */
static cv_code identity_set(
	struct making *m, int run, struct cv_driver_process *ret, struct cv_err *err)
{
	if (!m->s->is_new)
		(void)dprintf(run, "%d %llu\n", ret->pid,
			(unsigned long long)cv_driver_pid_started(ret->pid));
	memcpy(ret->token, m->s->token, sizeof(ret->token));
	return cv_str_to_cstr(m->s->instance, ret->instance, sizeof(ret->instance))
		       ? CV_OK
		       : cv_fail(err, CV_INVALID, "the instance is no id");
}

/* Another shape than that of the last spare has another number. */
static cv_code shape_keep(struct cv_driver *d, struct making *m, const struct cv_plan *plan,
	uint64_t *ret, struct cv_err *err)
{
	struct cv_buf b;

	cv_buf_init(&b, CV_PLAN_BYTES_MAX);
	const cv_code code = cv_plan_shape(plan, &m->arena, &b, err);
	if (code == CV_OK && !cv_str_eq(cv_buf_str(&b), cv_buf_str(&d->shape))) {
		cv_buf_reset(&d->shape);
		cv_buf_put(&d->shape, cv_buf_str(&b));
		d->shape_number++;
	}
	cv_buf_fini(&b);
	*ret = d->shape_number;
	return code;
}

static cv_code make(
	struct cv_driver *d, struct making *m, struct cv_driver_process *ret, struct cv_err *err)
{
	CV_AUTO_FD int run = -1;
	struct cv_plan plan;
	cv_code code = plan_make(d, m, &plan, err);

	if (code == CV_OK && m->s->is_spare)
		code = shape_keep(d, m, &plan, &ret->shape, err);
	if (code == CV_OK)
		code = dir_make(d, m, err);
	/* A spare's, too: to write over it takes a tenth of the time, and then somebody waits. */
	if (code == CV_OK)
		code = file_write(m, POLICY_FILE, m->policy, NULL, err);
	if (code == CV_OK)
		code = catalogs_write(m, err);
	if (code == CV_OK)
		code = run_write(m, &run, err);
	if (code == CV_OK)
		code = process_start(d, m, &plan, ret, err);
	return code == CV_OK ? identity_set(m, run, ret, err) : code;
}

/* ---- a spare ---- */

static bool is_fit(const struct cv_driver *d, const struct cv_driver_process *p, struct making *m,
	const struct cv_plan *plan)
{
	struct cv_buf b;
	struct cv_err err;
	bool is_same = false;

	cv_buf_init(&b, CV_PLAN_BYTES_MAX);
	if (p->shape == d->shape_number && cv_plan_shape(plan, &m->arena, &b, &err) == CV_OK)
		is_same = cv_str_eq(cv_buf_str(&b), cv_buf_str(&d->shape));
	cv_buf_fini(&b);
	return is_same;
}

/* The new directory is the spare's under another name; its mount follows. */
static cv_code claim(struct cv_driver *d, struct cv_str spare, struct cv_driver_process *p,
	struct making *m, int *ret_plan, struct cv_err *err)
{
	CV_AUTO_FD int run = -1, plan_fd = -1;
	struct cv_plan plan;
	cv_code code = plan_make(d, m, &plan, err);

	if (code != CV_OK || !is_fit(d, p, m, &plan))
		return cv_fail(err, CV_UNAVAILABLE, "the spare sandbox does not fit");
	const struct cv_str from =
		cv_arena_printf(&m->arena, "%.*s/%.*s", CV_STR_ARG(d->path), CV_STR_ARG(spare));
	/* A sandbox that was there before has files: they are not the spare's. */
	if (!from.p ||
		syscall(SYS_renameat2, AT_FDCWD, from.p, AT_FDCWD, m->dir.p, RENAME_NOREPLACE) < 0)
		return cv_fail(err, CV_UNAVAILABLE, "the sandbox has a directory of its own");
	code = file_write(m, POLICY_FILE, m->policy, NULL, err);
	if (code == CV_OK)
		code = catalogs_write(m, err);
	if (code == CV_OK)
		code = run_write(m, &run, err);
	if (code == CV_OK)
		code = plan_memfd(&plan, &plan_fd, err);
	if (code == CV_OK)
		code = identity_set(m, run, p, err);
	if (code == CV_OK)
		*ret_plan = cv_take_fd(plan_fd);
	return code == CV_UNAVAILABLE ? CV_SYSTEM : code;
}

static cv_code local_claim(struct cv_driver *d, struct cv_str spare, struct cv_driver_process *p,
	const struct cv_driver_sandbox *s, int *ret_plan, struct cv_err *err)
{
	struct making m = { .s = s };

	if (s->instance.n != CV_DRIVER_INSTANCE_BYTES || !cv_driver_id_is_plain(spare))
		return cv_fail(err, CV_INVALID, "the instance is no id");
	cv_arena_init(&m.arena, ARENA_MAX);
	const cv_code code = claim(d, spare, p, &m, ret_plan, err);
	cv_arena_fini(&m.arena);
	return code;
}

static cv_code local_start(struct cv_driver *d, const struct cv_driver_sandbox *s,
	struct cv_driver_process *ret, struct cv_err *err)
{
	struct cv_driver_process p = { .pidfd = -1 };
	struct making m = { .s = s };

	if (s->instance.n != CV_DRIVER_INSTANCE_BYTES)
		return cv_fail(err, CV_INVALID, "the instance is no id");
	cv_arena_init(&m.arena, ARENA_MAX);
	const cv_code code = make(d, &m, &p, err);
	cv_arena_fini(&m.arena);
	if (code == CV_OK)
		*ret = p;
	return code;
}

static cv_code local_kill(struct cv_driver *d, int pidfd, struct cv_err *err)
{
	(void)d;
	if (syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
		return cv_fail_errno(err, "end the sandbox's supervisor");
	return CV_OK;
}

/* It names nobody any more, and the token is gone.  Where it can't be written over it is removed. */
static void run_void(struct cv_driver *d, const char *path)
{
	char text[CV_DRIVER_RUN_BYTES_MAX];
	CV_AUTO_FD int fd = openat(d->sandboxes, path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	memset(text, '-', sizeof(text));
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size > (off_t)sizeof(text) ||
		write(fd, text, (size_t)st.st_size) != st.st_size)
		(void)unlinkat(d->sandboxes, path, 0);
}

static void local_reap(struct cv_driver *d, struct cv_str id, struct cv_driver_process *p)
{
	char path[CV_DRIVER_ID_BYTES_MAX + 8];
	siginfo_t info;

	/* Of an adopted one somebody else is the parent. */
	if (p->pidfd >= 0) {
		(void)waitid(P_PIDFD, (id_t)p->pidfd, &info, WEXITED | WNOHANG);
		close(p->pidfd);
	}
	*p = (struct cv_driver_process){ .pidfd = -1 };
	if (!cv_driver_id_is_plain(id))
		return;
	snprintf(path, sizeof(path), "%.*s/run", CV_STR_ARG(id));
	run_void(d, path);
}

static void local_turn(struct cv_driver *d)
{
	cv_driver_remover_turn(d);
	standbys_turn(d);
}

const struct cv_driver_type cv_driver_local = {
	.capabilities = { "cove", CV_VERSION, true, true },
	.open = local_open,
	.close = local_close,
	.start = local_start,
	.claim = local_claim,
	.confirm = cv_driver_local_confirm,
	.sweep = cv_driver_local_sweep,
	.kill = local_kill,
	.adopt = cv_driver_local_adopt,
	.reap = local_reap,
	.remove = cv_driver_local_remove,
	.turn = local_turn,
};
