/* SPDX-License-Identifier: Apache-2.0 */
/*
 * build.c - from a spec to the ordered operations of a sandbox
 *
 * The order is the meaning.  First a root that is empty (or an image under a memory layer), then
 * what is read-only, then what stays writable, the user's own directories on top, and last SEAL,
 * after which / itself is read-only and the host's tree is gone.  A path mounted later lies over
 * what earlier ones put there.
 *
 * Everything writable that is not the user's lives on the root's own memory file system: KEEP
 * mounts a directory over itself, so SEAL, which makes one mount read-only, leaves it as it is.
 * That saves four file systems (and their teardown) per run, and one size limit covers them all.
 *
 * Landlock rules go with the operations: what is made visible here is what the command may open.
 *
 * Whether the spec can be built at all is judge.c; here it is known to be sound.
 */
#include "plan/judge.h"
#include "plan/limits.h"
#include "plan/named.h"
#include "plan/plan.h"
#include "plan/protected.h"
#include "plan/rootfs.h"

#include <sys/resource.h>

#define FIXED_OPS_MAX 128 /* the rows of rootfs.h and the few below; checked while appending */
#define RLIMITS_MAX   8   /* command_add() adds at most five */

struct builder {
	const struct cv_run_spec *spec;
	const struct cv_plan_files *files;
	struct cv_arena *arena;
	struct cv_plan *plan;
	struct cv_named_place *named;
	size_t named_count;
	uint32_t op_cap, rule_cap, env_cap;
	bool is_full;
	struct cv_plan_op overflow; /* where operations go that found no room */
};

static struct cv_plan_op *op_add(
	struct builder *b, enum cv_plan_op_type type, struct cv_str src, struct cv_str dst)
{
	if (b->plan->op_count == b->op_cap) {
		b->is_full = true;
		return &b->overflow;
	}
	struct cv_plan_op *op = &b->plan->ops[b->plan->op_count++];
	*op = (struct cv_plan_op){ .type = type, .src = src, .dst = dst };
	return op;
}

static void rule_add(struct builder *b, struct cv_str path, enum cv_access_kind access)
{
	struct cv_plan_command *c = &b->plan->command;

	if (c->rule_count == b->rule_cap) {
		b->is_full = true;
		return;
	}
	c->rules[c->rule_count++] = (struct cv_plan_command_rule){ .path = path, .access = access };
}

static bool is_image(const struct builder *b)
{
	return b->spec->rootfs == CV_ROOTFS_DIR;
}

static void dir_add(struct builder *b, const char *path, uint32_t mode)
{
	op_add(b, CV_PLAN_DIR, CV_STR_NONE, cv_str_of(path))->arg = mode;
}

static void file_add(struct builder *b, const char *path, struct cv_str text)
{
	struct cv_plan_op *op = op_add(b, CV_PLAN_FILE, CV_STR_NONE, cv_str_of(path));

	op->text = text;
	op->arg = 0644;
	op->flags = CV_PLAN_REPLACE;
}

/* ---- the root and the system's own parts ---- */

static void usr_add(struct builder *b)
{
	static const char *const links[] = { "bin", "sbin", "lib", "lib32", "lib64", "libx32" };

	op_add(b, CV_PLAN_BIND, CV_STR("/usr"), CV_STR("/usr"))->flags = CV_PLAN_READONLY;
	rule_add(b, CV_STR("/usr"), CV_ACCESS_KIND_READ);
	for (size_t i = 0; i < CV_ARRAY_LEN(links); i++) {
		const struct cv_str path = cv_arena_printf(b->arena, "/%s", links[i]);
		if (b->spec->has_merged_usr) {
			op_add(b, CV_PLAN_LINK, CV_STR_NONE, path)->text =
				cv_arena_printf(b->arena, "usr/%s", links[i]);
		} else {
			op_add(b, CV_PLAN_BIND, path, path)->flags =
				CV_PLAN_READONLY | CV_PLAN_OPTIONAL;
			rule_add(b, path, CV_ACCESS_KIND_READ);
		}
	}
}

static void etc_accounts_add(struct builder *b)
{
	const uint32_t uid = b->plan->inner_uid, gid = b->plan->inner_gid;
	struct cv_plan_op *op;

	op = op_add(b, CV_PLAN_FILE, CV_STR_NONE, CV_STR("/etc/passwd"));
	op->text = cv_arena_printf(b->arena,
		"root:x:0:0:root:/root:/usr/sbin/nologin\n"
		"sandbox:x:%u:%u:sandbox:/sandbox:%.*s\n"
		"nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
		uid, gid, CV_STR_ARG(b->spec->shell));
	op->arg = 0644;
	op->flags = is_image(b) ? CV_PLAN_OPTIONAL : 0; /* an image's own accounts stay */
	op = op_add(b, CV_PLAN_FILE, CV_STR_NONE, CV_STR("/etc/group"));
	op->text = cv_arena_printf(b->arena, "root:x:0:\nsandbox:x:%u:\nnogroup:x:65534:\n", gid);
	op->arg = 0644;
	op->flags = is_image(b) ? CV_PLAN_OPTIONAL : 0;
}

static struct cv_str hostname_of(const struct cv_run_spec *s)
{
	return s->hostname.n ? s->hostname : CV_STR(CV_SANDBOX_HOSTNAME);
}

static void etc_add(struct builder *b)
{
	dir_add(b, "/etc", 0755);
	etc_accounts_add(b);
	file_add(b, CV_ETC_HOSTNAME,
		cv_arena_printf(b->arena, "%.*s\n", CV_STR_ARG(hostname_of(b->spec))));
	file_add(b, CV_ETC_HOSTS,
		cv_arena_printf(b->arena,
			"127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"
			"127.0.1.1 %.*s\n",
			CV_STR_ARG(hostname_of(b->spec))));
	file_add(b, "/etc/resolv.conf", CV_STR("nameserver 10.200.0.1\noptions edns0\n"));
	rule_add(b, CV_STR("/etc"), CV_ACCESS_KIND_READ);
	if (is_image(b))
		return;
	file_add(b, "/etc/nsswitch.conf",
		CV_STR("passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n"
		       "networks: files\nprotocols: files\nservices: files\n"));
	op_add(b, CV_PLAN_LINK, CV_STR_NONE, CV_STR("/etc/os-release"))->text =
		CV_STR("../usr/lib/os-release");
#define ETC_ROW(how, path, why)                                       \
	op_add(b, CV_PLAN_##how, CV_STR(path), CV_STR(path))->flags = \
		CV_PLAN_OPTIONAL | CV_PLAN_READONLY;
	CV_ETC_ROWS(ETC_ROW)
#undef ETC_ROW
}

/* The bundle's file is there from the start, so that it can be mounted; the supervisor fills it
 * once the keeper has made the run's CA. */
static void roots_add(struct builder *b)
{
	dir_add(b, CV_TLS_DIR, 0755);
	file_add(b, CV_CA_BUNDLE, CV_STR_NONE);
#define BUNDLE_ROW(path) \
	op_add(b, CV_PLAN_OVER, CV_STR(CV_CA_BUNDLE), CV_STR(path))->flags = CV_PLAN_OPTIONAL;
	CV_BUNDLE_ROWS(BUNDLE_ROW)
#undef BUNDLE_ROW
}

/* What an agent reads that makes no request. */
static void skill_add(struct builder *b, struct cv_str text)
{
	dir_add(b, CV_COVE_DIR, 0755);
	dir_add(b, CV_COVE_DIR "/tools", 0755);
	file_add(b, CV_TOOLS_SKILL, text);
}

/* By each name that somebody looks for; an image's own AGENTS.md stays. */
static void advisor_add(struct builder *b, struct cv_str text)
{
	dir_add(b, "/etc/openshell", 0755);
	dir_add(b, CV_SKILLS_DIR, 0755);
	dir_add(b, CV_SKILLS_DIR "/policy-advisor", 0755);
	file_add(b, CV_ADVISOR_SKILL, text);
	op_add(b, CV_PLAN_LINK, CV_STR_NONE, CV_STR(CV_SKILLS_DIR "/policy-advisor/SKILL.md"))
		->text = CV_STR(CV_ADVISOR_SKILL);
	op_add(b, CV_PLAN_LINK, CV_STR_NONE, CV_STR("/AGENTS.md"))->text = CV_STR(CV_ADVISOR_SKILL);
}

static void proc_add(struct builder *b)
{
	const bool is_root = b->spec->is_host_root;

	dir_add(b, "/proc", 0555);
	op_add(b, CV_PLAN_PROC, CV_STR_NONE, CV_STR("/proc"))->flags =
		b->spec->is_nested ? 0 : CV_PLAN_READONLY;
#define MASK_WHEN_ALWAYS true
#define MASK_WHEN_ROOT   is_root
#define MASK_ROW(path, when, why) \
	if (MASK_WHEN_##when)     \
		op_add(b, CV_PLAN_MASK, CV_STR_NONE, CV_STR(path))->flags = CV_PLAN_OPTIONAL;
	CV_PROC_MASK_ROWS(MASK_ROW)
#undef MASK_ROW
#undef MASK_WHEN_ALWAYS
#undef MASK_WHEN_ROOT
	/* id maps of namespaces made inside are written there; what is the machine's is not */
	if (b->spec->is_nested)
		dir_add(b, "/sys", 0555); /* empty: builders insist on a place to mount */
	static const char *const machine[] = { "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
		"/proc/sysrq-trigger" };
	for (size_t i = 0; b->spec->is_nested && i < CV_ARRAY_LEN(machine); i++)
		op_add(b, CV_PLAN_PROTECT, CV_STR_NONE, cv_str_of(machine[i]))->flags =
			CV_PLAN_READONLY | CV_PLAN_OPTIONAL;
	rule_add(b, CV_STR("/proc"), CV_ACCESS_KIND_READ);
}

static void dev_add(struct builder *b)
{
	/* An image's /dev is whatever its author wanted: an empty one lies over it. */
	dir_add(b, "/dev", 0755);
	if (is_image(b))
		op_add(b, CV_PLAN_MEMORY, CV_STR_NONE, CV_STR("/dev"))->text = CV_STR("mode=755");
#define DEVICE_ROW(path)                                     \
	op_add(b, CV_PLAN_NODE, CV_STR(path), CV_STR(path)); \
	rule_add(b, CV_STR(path), CV_ACCESS_KIND_DEVICE);
	CV_DEVICE_ROWS(DEVICE_ROW)
#undef DEVICE_ROW
#define DEV_LINK_ROW(path, to) \
	op_add(b, CV_PLAN_LINK, CV_STR_NONE, CV_STR(path))->text = CV_STR(to);
	CV_DEV_LINK_ROWS(DEV_LINK_ROW)
#undef DEV_LINK_ROW
	dir_add(b, "/dev/pts", 0755);
	op_add(b, CV_PLAN_PTS, CV_STR_NONE, CV_STR("/dev/pts"));
	rule_add(b, CV_STR("/dev/pts"), CV_ACCESS_KIND_DEVICE);
	dir_add(b, "/dev/shm", 01777);
	op_add(b, CV_PLAN_KEEP, CV_STR_NONE, CV_STR("/dev/shm"));
	rule_add(b, CV_STR("/dev/shm"), CV_ACCESS_KIND_WRITE);
}

/* The log is a file of the sandbox that it may read; who writes it is the proxy, through a
 * descriptor that the builder of the sandbox opens and passes out. */
static void log_add(struct builder *b)
{
	dir_add(b, "/var", 0755);
	dir_add(b, "/var/log", 0755);
	op_add(b, CV_PLAN_LOG, CV_STR_NONE,
		cv_arena_printf(
			b->arena, "/var/log/openshell.%.*s.log", CV_STR_ARG(b->spec->date)));
	if (b->spec->has_ocsf_log)
		op_add(b, CV_PLAN_LOG, CV_STR_NONE,
			cv_arena_printf(b->arena, "/var/log/openshell-ocsf.%.*s.log",
				CV_STR_ARG(b->spec->date)))
			->flags = CV_PLAN_LOG_OCSF;
	rule_add(b, CV_STR("/var/log"), CV_ACCESS_KIND_READ);
}

/* Does the user put something of his own below dir? */
static bool is_anything_beneath(const struct cv_run_spec *s, struct cv_str dir)
{
	bool is_found = s->include_workdir && cv_plan_path_is_beneath(s->workdir, dir);

	for (size_t i = 0; i < s->mount_count; i++)
		is_found |= cv_plan_path_is_beneath(s->mounts[i].dst, dir);
	for (size_t i = 0; i < s->path_count; i++)
		is_found |= s->paths[i].kind != CV_PATH_ABSENT &&
			    cv_plan_path_is_beneath(s->paths[i].path, dir);
	return is_found;
}

static void scratch_add(struct builder *b)
{
	static const struct {
		const char *path;
		uint32_t mode;
	} rows[] = { { "/tmp", 01777 }, { "/run", 0755 }, { "/sandbox", 0755 } };

	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++) {
		dir_add(b, rows[i].path, rows[i].mode);
		op_add(b, CV_PLAN_KEEP, CV_STR_NONE, cv_str_of(rows[i].path));
		rule_add(b, cv_str_of(rows[i].path), CV_ACCESS_KIND_WRITE);
	}
	if (!is_anything_beneath(b->spec, CV_STR("/var/tmp")))
		op_add(b, CV_PLAN_LINK, CV_STR_NONE, CV_STR("/var/tmp"))->text = CV_STR("../tmp");
	op_add(b, CV_PLAN_LINK, CV_STR_NONE, CV_STR("/var/run"))->text = CV_STR("../run");
}

static void root_add(struct builder *b)
{
	const struct cv_str options =
		CV_STR("mode=755,size=" CV_PLAN_TMP_BYTES ",nr_inodes=" CV_PLAN_TMP_INODES);

	if (is_image(b)) {
		op_add(b, CV_PLAN_ROOT_OVERLAY, b->spec->rootfs_dir, CV_STR("/"))->text = options;
		rule_add(b, CV_STR("/"),
			b->spec->path_count ? CV_ACCESS_KIND_LIST : CV_ACCESS_KIND_READ);
	} else {
		op_add(b, CV_PLAN_ROOT_MEMORY, CV_STR_NONE, CV_STR("/"))->text = options;
		rule_add(b, CV_STR("/"), CV_ACCESS_KIND_LIST);
		usr_add(b);
	}
	op_add(b, CV_PLAN_HOSTNAME, CV_STR_NONE, CV_STR_NONE)->text = hostname_of(b->spec);
	etc_add(b);
	if (b->plan->flags & CV_PLAN_NETWORK)
		roots_add(b);
	if (b->files->tools_count)
		skill_add(b, b->files->tools_skill);
	if (b->files->advisor_skill.n)
		advisor_add(b, b->files->advisor_skill);
	proc_add(b);
	dev_add(b);
	log_add(b);
	scratch_add(b);
}

/* ---- the user's own ---- */

static void policy_paths_add(struct builder *b)
{
	const struct cv_run_spec *s = b->spec;

	for (size_t i = 0; i < s->path_count; i++) {
		const struct cv_spec_path *p = &s->paths[i];
		const bool is_device = cv_str_has_prefix(p->path, CV_STR("/dev/"));

		/* What cove makes by itself only gets the Landlock rule. */
		if (!cv_plan_is_made_here(s, p->path)) {
			if (p->kind == CV_PATH_ABSENT)
				continue;
			struct cv_plan_op *op = op_add(b,
				p->kind == CV_PATH_OTHER && is_device ? CV_PLAN_NODE : CV_PLAN_BIND,
				p->path, p->path);
			op->flags = p->is_writable ? 0 : CV_PLAN_READONLY;
		}
		rule_add(b, p->path,
			is_device && p->kind != CV_PATH_DIR ? CV_ACCESS_KIND_DEVICE
			: p->is_writable                    ? CV_ACCESS_KIND_WRITE
							    : CV_ACCESS_KIND_READ);
	}
}

static void workdir_add(struct builder *b)
{
	const struct cv_run_spec *s = b->spec;

	op_add(b, CV_PLAN_BIND, s->workdir, s->workdir);
	rule_add(b, s->workdir, CV_ACCESS_KIND_WRITE);
	struct cv_str pinned = CV_STR_NONE;
	b->plan->watch = cv_arena_array(b->arena, s->protected_count, sizeof(b->plan->watch[0]));
	if (!b->plan->watch || !s->has_workdir_protection)
		return;
	for (size_t i = 0; i < s->protected_count; i++) {
		const struct cv_spec_path *p = &s->protected_paths[i];
		if (p->kind != CV_PATH_FILE && p->kind != CV_PATH_DIR) {
			b->plan->watch[b->plan->watch_count++] = p->path;
			continue;
		}
		/* The directory above is made a mount point too: otherwise it could be renamed
		 * away, read-only contents and all, and made anew. */
		const struct cv_str above =
			cv_str_slice(p->path, 0, cv_str_rfind_byte(p->path, '/'));
		if (above.n > s->workdir.n && !cv_str_eq(above, pinned))
			op_add(b, CV_PLAN_KEEP, CV_STR_NONE, above);
		pinned = above;
		op_add(b, CV_PLAN_PROTECT, CV_STR_NONE, p->path)->flags = CV_PLAN_READONLY;
	}
}

static void mounts_add(struct builder *b)
{
	for (size_t i = 0; i < b->spec->mount_count; i++) {
		const struct cv_spec_mount *m = &b->spec->mounts[i];

		op_add(b, CV_PLAN_BIND, m->src, m->dst)->flags =
			m->is_readonly ? CV_PLAN_READONLY : 0;
		rule_add(b, m->dst, m->is_readonly ? CV_ACCESS_KIND_READ : CV_ACCESS_KIND_WRITE);
	}
}

/* Last, over all that shows them. */
static void named_add(struct builder *b)
{
	for (size_t i = 0; i < b->named_count; i++) {
		const struct cv_named_place *p = &b->named[i];
		static const enum cv_plan_op_type type[] = {
			[CV_NAMED_PIN] = CV_PLAN_KEEP,
			[CV_NAMED_GUARD] = CV_PLAN_PROTECT,
			[CV_NAMED_HIDE] = CV_PLAN_MASK,
		};
		struct cv_plan_op *op = op_add(b, type[p->step], CV_STR_NONE, p->path);

		/* What is gone by then need not be hidden. */
		op->flags = CV_PLAN_OPTIONAL;
		if (p->step == CV_NAMED_GUARD)
			op->flags = CV_PLAN_READONLY | (p->is_policy ? CV_PLAN_POLICY : 0);
	}
}

/* ---- the command ---- */

static void env_add(struct builder *b, struct cv_str pair)
{
	struct cv_plan_command *c = &b->plan->command;
	const struct cv_str name = cv_str_slice(pair, 0, cv_str_find_byte(pair, '=') + 1);

	for (uint32_t i = 0; i < c->envc; i++)
		if (cv_str_has_prefix(c->env[i], name)) {
			c->env[i] = pair;
			return;
		}
	if (c->envc == b->env_cap)
		b->is_full = true;
	else
		c->env[c->envc++] = pair;
}

static void environment_add(struct builder *b)
{
#define ENV_ROW(pair) env_add(b, CV_STR(pair));
	CV_ENV_ROWS(ENV_ROW)
	if (b->spec->shell.n)
		env_add(b, cv_arena_printf(b->arena, "SHELL=%.*s", CV_STR_ARG(b->spec->shell)));
	env_add(b, CV_STR("USER=sandbox"));
	env_add(b, CV_STR("LOGNAME=sandbox"));
	if (b->plan->flags & CV_PLAN_NETWORK) {
		CV_ENV_PROXY_ROWS(ENV_ROW)
	}
#undef ENV_ROW
	if (b->files->tools_count) {
		env_add(b, CV_STR("COVE_TOOLS_URL=http://tools.local"));
		env_add(b, CV_STR("COVE_TOOLS_SKILL=" CV_TOOLS_SKILL));
	}
	for (size_t i = 0; i < b->spec->env_count; i++)
		env_add(b, b->spec->env[i]);
}

static void rlimit_add(struct cv_plan_command *c, uint32_t resource, uint64_t value)
{
	c->rlimits[c->rlimit_count++] = (struct cv_plan_command_rlimit){
		.resource = resource, .soft = value, .hard = value
	};
}

static void command_add(struct builder *b)
{
	const struct cv_run_spec *s = b->spec;
	struct cv_plan_command *c = &b->plan->command;

	for (size_t i = 0; i < s->argv_count; i++)
		c->argv[c->argc++] = s->argv[i];
	c->cwd = s->include_workdir ? s->workdir : CV_STR("/sandbox");
	c->flags = CV_COMMAND_LAST | CV_COMMAND_NOTIFY;
	if (s->landlock == CV_LANDLOCK_HARD_REQUIREMENT)
		c->flags |= CV_COMMAND_LANDLOCK_REQUIRED;
	if (s->is_nested)
		c->flags |= CV_COMMAND_NESTED;
	if (s->has_ids)
		c->flags |= CV_COMMAND_IDS;
	/* One byte, not none: core(5), a limit of 1 also stops cores that are piped to a program
	 * of the host, which a limit of 0 does not. */
	rlimit_add(c, RLIMIT_CORE, 1);
	rlimit_add(c, RLIMIT_NOFILE, CV_PLAN_NOFILE);
	rlimit_add(c, RLIMIT_MSGQUEUE, 0);
	if (s->memory_bytes && s->memory_by_rlimit)
		rlimit_add(c, RLIMIT_AS, s->memory_bytes);
	if (s->pids && s->pids_by_rlimit)
		rlimit_add(c, RLIMIT_NPROC, s->pids);
	environment_add(b);
}

static bool arrays_new(struct builder *b)
{
	const struct cv_run_spec *s = b->spec;
	struct cv_plan *p = b->plan;

	if (!cv_plan_named_places(s, b->arena, &b->named, &b->named_count))
		return false;
	b->op_cap = (uint32_t)(FIXED_OPS_MAX + s->path_count + s->mount_count +
			       2 * s->protected_count + b->named_count);
	b->rule_cap = (uint32_t)(FIXED_OPS_MAX + s->path_count + s->mount_count);
	b->env_cap = (uint32_t)(CV_PLAN_ENV_OWN_MAX + s->env_count);
	p->ops = cv_arena_array(b->arena, b->op_cap, sizeof(p->ops[0]));
	p->command.rules = cv_arena_array(b->arena, b->rule_cap, sizeof(p->command.rules[0]));
	p->command.env = cv_arena_array(b->arena, b->env_cap, sizeof(p->command.env[0]));
	p->command.argv = cv_arena_array(b->arena, s->argv_count, sizeof(p->command.argv[0]));
	p->command.rlimits = cv_arena_array(b->arena, RLIMITS_MAX, sizeof(p->command.rlimits[0]));
	p->pins = cv_arena_array(b->arena, s->pin_count, sizeof(p->pins[0]));
	return !b->arena->is_overflown;
}

static cv_code files_add(struct builder *b, const struct cv_plan_files *files, struct cv_err *err)
{
	struct cv_plan *p = b->plan;

	if (files->ca_count > CV_PLAN_PINS_MAX || b->spec->pin_count > CV_PLAN_PINS_MAX)
		return cv_fail(err, CV_LIMIT, "more than %d --ca or --resolve", CV_PLAN_PINS_MAX);
	p->gateway = files->gateway;
	p->exe_init = files->exe_init;
	p->exe_proxy = files->exe_proxy;
	p->exe_keeper = files->exe_keeper;
	p->exe_courier = files->exe_courier;
	p->exe_broker = files->exe_broker;
	p->policy_file = files->policy_file;
	p->policy_name = files->policy_name;
	p->policy_layer = files->policy_layer;
	p->providers = files->providers;
	p->provider_count = (uint32_t)files->provider_count;
	p->audit_file = files->audit_file;
	p->roots = files->roots;
	p->ca_files = cv_arena_array(b->arena, files->ca_count, sizeof(p->ca_files[0]));
	for (size_t i = 0; p->ca_files && i < files->ca_count; i++)
		p->ca_files[p->ca_count++] = files->ca_files[i];
	p->routes_file = files->routes_file;
	p->upstream_proxy = files->upstream_proxy;
	p->upstream_direct = files->upstream_direct;
	p->courier_env = files->courier_env;
	p->courier_env_count = (uint32_t)files->courier_env_count;
	p->tools_files = files->tools_files;
	p->tools_count = (uint32_t)files->tools_count;
	p->tools = files->tools;
	p->tool_count = (uint32_t)files->tool_count;
	p->tools_map = files->tools_map;
	p->tools_digest = files->tools_digest;
	p->tools_state = files->tools_state;
	p->tools_slots = files->tools_slots;
	p->tools_env = files->tools_env;
	p->tools_env_count = (uint32_t)files->tools_env_count;
	p->budgets = cv_arena_array(b->arena, files->budget_count, sizeof(p->budgets[0]));
	for (size_t i = 0; p->budgets && i < files->budget_count; i++)
		p->budgets[p->budget_count++] = files->budgets[i];
	p->metadata = cv_arena_array(b->arena, files->metadata_count, sizeof(p->metadata[0]));
	for (size_t i = 0; p->metadata && i < files->metadata_count; i++)
		p->metadata[p->metadata_count++] = files->metadata[i];
	for (size_t i = 0; i < b->spec->pin_count; i++)
		p->pins[p->pin_count++] = (struct cv_plan_pin){ b->spec->pins[i].host,
			b->spec->pins[i].addr, b->spec->pins[i].port };
	return CV_OK;
}

static uint32_t flags_of(const struct cv_run_spec *s, const struct cv_plan_files *files)
{
	uint32_t flags = 0;

	/* A sandbox of a gateway may be given another policy: what it takes is there from the start. */
	if (s->has_network || files->gateway.socket.n)
		flags |= CV_PLAN_NETWORK;
	if (s->tty == CV_TTY_YES || (s->tty == CV_TTY_AUTO && files->has_terminal))
		flags |= CV_PLAN_TTY;
	if (s->is_quiet)
		flags |= CV_PLAN_QUIET;
	if (s->is_verbose)
		flags |= CV_PLAN_VERBOSE;
	if (files->audit_file.n)
		flags |= CV_PLAN_AUDIT;
	if (files->provider_count || files->tools_count)
		flags |= CV_PLAN_CREDENTIALS;
	if (files->is_upstream_by_name)
		flags |= CV_PLAN_UPSTREAM_BY_NAME;
	if (files->has_upstream_auth)
		flags |= CV_PLAN_UPSTREAM_AUTH;
	if (files->has_renewal)
		flags |= CV_PLAN_RENEWAL;
	if (files->has_renewal_command)
		flags |= CV_PLAN_RENEWAL_COMMAND;
	if (files->is_tools_late)
		flags |= CV_PLAN_TOOLS_LATE;
	if (s->has_ids)
		flags |= CV_PLAN_IDS;
	return flags;
}

cv_code cv_plan_build(const struct cv_run_spec *spec, const struct cv_plan_files *files,
	struct cv_arena *arena, struct cv_plan *ret, struct cv_err *err)
{
	struct cv_plan plan = { 0 };
	struct builder b = { .spec = spec, .files = files, .arena = arena, .plan = &plan };
	cv_code code =
		cv_plan_spec_judge(spec, !(files->gateway.flags & CV_PLAN_GATEWAY_NO_MAIN), err);

	if (code == CV_OK)
		code = cv_plan_id_parse("run_as_user", spec->user, &plan.inner_uid, err);
	if (code == CV_OK)
		code = cv_plan_id_parse("run_as_group", spec->group, &plan.inner_gid, err);
	if (code != CV_OK)
		return code;
	if (!arrays_new(&b))
		return cv_fail(err, CV_LIMIT, "the plan needs too much memory");
	plan.flags = flags_of(spec, files);
	plan.interception = spec->interception;
	for (; plan.port_count < CV_MIN(spec->port_count, (uint32_t)CV_ARRAY_LEN(plan.ports));
		plan.port_count++)
		plan.ports[plan.port_count] = spec->ports[plan.port_count];
	plan.cpu_milli = spec->cpu_milli;
	plan.memory_bytes = spec->memory_by_rlimit ? 0 : spec->memory_bytes;
	plan.pids = spec->pids_by_rlimit ? 0 : spec->pids;
	plan.timeout_ms = spec->timeout_ms;
	plan.approve_ms = spec->approve_ms ? spec->approve_ms : CV_PLAN_APPROVE_MS;
	plan.approve_dir = files->approve_dir;
	root_add(&b);
	policy_paths_add(&b);
	if (spec->include_workdir)
		workdir_add(&b);
	mounts_add(&b);
	named_add(&b);
	/* An image's root stays writable: it is a layer that dies with the run, and Landlock says
	 * where. */
	op_add(&b, CV_PLAN_SEAL, CV_STR_NONE, CV_STR("/"))->flags =
		is_image(&b) ? 0 : CV_PLAN_READONLY;
	command_add(&b);
	code = files_add(&b, files, err);
	if (code != CV_OK)
		return code;
	if (b.is_full || arena->is_overflown || plan.op_count > CV_PLAN_OPS_MAX ||
		plan.command.rule_count > CV_PLAN_RULES_MAX)
		return cv_fail(err, CV_LIMIT, "the plan has more than %d steps", CV_PLAN_OPS_MAX);
	*ret = plan;
	return CV_OK;
}
