/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_create.c - `sandbox create`
 *
 * What the command behind -- becomes:
 *
 *     --keep, --no-keep, or a terminal   it runs in the sandbox once that is ready, with our streams,
 *                                        and its exit status is ours (`create --keep ... -- true` of
 *                                        earlier releases leaves a sandbox that is ready)
 *     otherwise, and with --detach       it is the sandbox's main process; we return when it is ready
 */
#include "client/commands.h"
#include "client/forward.h"
#include "client/policy.h"
#include "client/provider.h"
#include "client/sandbox.h"
#include "client/temporary.h"

#include "base/buf.h"
#include "client/structs.h"
#include "sys/clock.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void env_check(struct cl *c, struct cl_entry *const *v, size_t n)
{
	static const char *const words[] = { "TOKEN", "SECRET", "PASSWORD", "CREDENTIAL" };

	for (size_t i = 0; i < n; i++) {
		const char *key = v[i]->key;

		for (const char *p = key; *p; p++)
			if (!(isalpha((unsigned char)*p) || *p == '_' ||
				    (p > key && isdigit((unsigned char)*p))))
				cl_die_usage(c,
					"invalid value for '--env': '%s' is no name of a variable",
					key);
		if (strncmp(key, "OPENSHELL_", 10) == 0)
			cl_die_usage(
				c, "invalid value for '--env': names with OPENSHELL_ are reserved");
		if (cl_has(&c->w, "no-credential-warnings"))
			continue;
		bool looks_secret = strstr(key, "API_KEY") || strstr(key, "ACCESS_KEY") ||
				    strstr(key, "SECRET_KEY");
		struct cv_str rest = cv_str_of(key);
		while (rest.p) {
			const struct cv_str part = cv_str_cut(&rest, '_');
			for (size_t k = 0; k < CV_ARRAY_LEN(words); k++)
				looks_secret |= cv_str_eq_nocase(part, cv_str_of(words[k]));
		}
		if (looks_secret)
			cl_note(c,
				"! --env %s looks like a credential, which the agent can read; a provider "
				"keeps it outside",
				key);
	}
}

/* ---- --from ---- */

static bool is_built(struct cl *c, const char *from, const struct stat *st)
{
	const char *slash = strrchr(from, '/'), *name = slash ? slash + 1 : from;

	if (S_ISDIR(st->st_mode))
		return access(cl_print(c, "%s/Dockerfile", from), F_OK) == 0 ||
		       access(cl_print(c, "%s/Containerfile", from), F_OK) == 0;
	return strncmp(name, "Dockerfile", 10) == 0 || strncmp(name, "Containerfile", 13) == 0;
}

/* What a sandbox is made of the gateway's configuration says: no client has it take a directory of its
 * host, and nothing is built there. */
static CV_NORETURN void die_path(struct cl *c, const char *from, const struct stat *st)
{
	const char *shown = cl_shown(c, from);

	if (is_built(c, from, st))
		cl_die(c,
			"--from %s is to be built, and gateways build no images\n"
			"hint: build it, unpack its files into a directory, and name that in the "
			"gateway's configuration\n"
			"hint: images: {mine: /srv/mine}, and then: %s sandbox create --from mine",
			shown, c->program);
	cl_die(c,
		"--from %s is a path: what images are is the gateway's to say\n"
		"hint: if that directory is a root file system, name it in the gateway's "
		"configuration\n"
		"hint: images: {mine: %s}, and then: %s sandbox create --from mine",
		shown, shown, c->program);
}

/* A path, an image that says where it is, or a name: `openshell` means one of a community's sandboxes
 * by it, `cove` the one that the gateway's configuration has. */
static char *image_of(struct cl *c, const char *from)
{
	const char *prefix = getenv("OPENSHELL_COMMUNITY_REGISTRY");
	const bool is_openshell = strcmp(c->program, "openshell") == 0;
	const bool is_path = from && (strncmp(from, "./", 2) == 0 || strncmp(from, "../", 3) == 0 ||
					     from[0] == '/');
	struct stat st;

	if (!from)
		return cl_dup(c, "");
	const bool is_there = stat(from, &st) == 0;
	if (is_there && (is_path || is_built(c, from, &st)))
		die_path(c, from, &st);
	if (is_path)
		cl_die(c, "--from %s: there is no such path", cl_shown(c, from));
	if (strpbrk(from, "/:.") || (!is_openshell && !(prefix && *prefix)))
		return cl_dup(c, from);
	return cl_print(c, "%s/%s:latest",
		prefix && *prefix ? prefix : "ghcr.io/nvidia/openshell-community/sandboxes", from);
}

static void resources_put(struct cl *c, Openshell__V1__SandboxSpec *spec)
{
	const char *cpu = cl_flag(&c->w, "cpu"), *memory = cl_flag(&c->w, "memory");
	struct cl_out o;

	if (cpu || memory) {
		cl_out_init(&o, CL_FORM_JSON);
		cl_out_object(&o, NULL);
		cl_out_object(&o, "limits");
		if (cpu)
			cl_out_str(&o, "cpu", cpu);
		if (memory)
			cl_out_str(&o, "memory", memory);
		cl_out_end(&o);
		cl_out_end(&o);
		spec->template_->resources = cl_struct_of_json(c, "--cpu", cv_buf_str(&o.b));
		cl_out_fini(&o);
	}
	if (cl_flag(&c->w, "driver-config-json"))
		spec->template_->driver_config = cl_struct_of_json(
			c, "--driver-config-json", cv_str_of(cl_flag(&c->w, "driver-config-json")));
	if (cl_has(&c->w, "gpu")) {
		Openshell__V1__ResourceRequirements *r = cl_alloc(c, sizeof(*r));
		Openshell__V1__GpuResourceRequirements *gpu = cl_alloc(c, sizeof(*gpu));

		openshell__v1__resource_requirements__init(r);
		openshell__v1__gpu_resource_requirements__init(gpu);
		r->gpu = gpu;
		if (cl_flag(&c->w, "gpu")) {
			gpu->_count_case = (Openshell__V1__GpuResourceRequirements__CountCase)1;
			gpu->count = cl_number(&c->w, "gpu", 1);
			if (!gpu->count)
				cl_die_usage(c, "invalid value '0' for '--gpu <N>'");
		}
		spec->resource_requirements = r;
	}
}

static bool command_is_main(struct cl *c, bool is_terminal)
{
	if (!c->w.tail_count)
		return false;
	if (cl_has(&c->w, "detach"))
		return true;
	return !cl_has(&c->w, "keep") && !cl_has(&c->w, "no-keep") && !is_terminal;
}

static Openshell__V1__SandboxSpec *spec_make(struct cl *c, bool is_terminal)
{
	Openshell__V1__SandboxSpec *spec = cl_alloc(c, sizeof(*spec));
	const char *policy = cl_flag(&c->w, "policy");

	openshell__v1__sandbox_spec__init(spec);
	spec->template_ = cl_alloc(c, sizeof(*spec->template_));
	openshell__v1__sandbox_template__init(spec->template_);
	spec->template_->image = image_of(c, cl_flag(&c->w, "from"));
	resources_put(c, spec);
	spec->environment = cl_map_of_flag(c, "env",
		&openshell__v1__sandbox_spec__environment_entry__descriptor, &spec->n_environment);
	env_check(c, (struct cl_entry *const *)(void *)spec->environment, spec->n_environment);
	if (!policy)
		policy = getenv("OPENSHELL_SANDBOX_POLICY");
	if (policy && *policy)
		spec->policy = cl_policy_read(c, policy);
	if (command_is_main(c, is_terminal)) {
		spec->command = c->w.tail;
		spec->n_command = c->w.tail_count;
		spec->tty = cl_has(&c->w, "tty");
	}
	spec->providers = cl_alloc(c, (cl_flag_count(&c->w, "provider") + 1) * sizeof(char *));
	for (size_t i = 0; i < cl_flag_count(&c->w, "provider"); i++) {
		const char *name = cl_flag_at(&c->w, "provider", i);

		if (cl_provider_want(c, name))
			spec->providers[spec->n_providers++] = cl_dup(c, name);
	}
	return spec;
}

static Openshell__V1__Sandbox *ask_create(struct cl *c, bool is_terminal)
{
	Openshell__V1__CreateSandboxRequest in;
	enum cv_rpc_status status;
	struct cv_err err;

	openshell__v1__create_sandbox_request__init(&in);
	in.name = cl_dup(c, cl_flag(&c->w, "name"));
	in.workspace = cl_dup(c, c->workspace);
	in.labels = cl_map_of_flag(c, "label",
		&openshell__v1__create_sandbox_request__labels_entry__descriptor, &in.n_labels);
	in.spec = spec_make(c, is_terminal);
	cl_connect(c);
	cl_queue_ask(c);
	if (cl_has(&c->w, "no-keep"))
		cl_temporary_begin();
	const Openshell__V1__SandboxResponse *m =
		CL_TRY(c, CreateSandbox, in, SandboxResponse, sandbox_response, &status, &err);
	cl_queue_asked(c);
	if (status == CV_RPC_ALREADY_EXISTS)
		cl_die(c, "%s\nhint: delete it first with: %s sandbox delete %s",
			cl_said(c, err.msg), c->program, cl_shown(c, in.name));
	if (!m)
		cl_die_status(c, status, err.msg);
	if (!m->sandbox || !m->sandbox->metadata)
		cl_die(c, "the gateway answered without a sandbox");
	if (cl_has(&c->w, "no-keep"))
		cl_temporary_is(c, m->sandbox->metadata->name);
	return m->sandbox;
}

static void approval_set(struct cl *c, const char *name)
{
	Openshell__Sandbox__V1__SettingValue value;
	Openshell__V1__UpdateConfigRequest in;

	if (!cl_flag(&c->w, "approval-mode"))
		return;
	openshell__sandbox__v1__setting_value__init(&value);
	value.value_case = OPENSHELL__SANDBOX__V1__SETTING_VALUE__VALUE_STRING_VALUE;
	value.string_value = cl_dup(c, cl_flag(&c->w, "approval-mode"));
	openshell__v1__update_config_request__init(&in);
	in.name = cl_dup(c, name);
	in.workspace = cl_dup(c, c->workspace);
	in.setting_key = cl_dup(c, "proposal_approval_mode");
	in.setting_value = &value;
	(void)CL_ASK(c, UpdateConfig, in, UpdateConfigResponse, update_config_response);
}

/* LOCAL[:DEST]; DEST is NULL without one. */
static const char *upload_parts(struct cl *c, size_t i, const char **ret_dest)
{
	const char *both = cl_flag_at(&c->w, "upload", i);
	const char *colon = strrchr(both, ':');

	*ret_dest = colon ? colon + 1 : NULL;
	return colon ? cl_print(c, "%.*s", (int)(colon - both), both) : both;
}

static void uploads_check(struct cl *c)
{
	const char *dest;

	for (size_t i = 0; i < cl_flag_count(&c->w, "upload"); i++) {
		const char *local = upload_parts(c, i, &dest);

		cl_upload_check(c, local, !cl_has(&c->w, "no-git-ignore"));
	}
}

static void uploads(struct cl *c, const char *id)
{
	const char *dest;

	for (size_t i = 0; i < cl_flag_count(&c->w, "upload"); i++) {
		const char *local = upload_parts(c, i, &dest);

		cl_upload(c, id, local, dest, !cl_has(&c->w, "no-git-ignore"));
	}
}

/* The command, or a shell; returns its status. */
static int attach(struct cl *c, const char *id, bool is_terminal)
{
	const struct cl_exec e = { .id = id,
		.argv = (const char *const *)c->w.tail,
		.argc = c->w.tail_count,
		.has_tty = cl_has(&c->w, "tty") || (is_terminal && !cl_has(&c->w, "no-tty")) };

	return c->w.tail_count ? cl_exec(c, &e) : cl_shell(c, id);
}

static void print_created(struct cl *c, const char *name)
{
	struct cl_out o;

	if (cl_form(c) == CL_FORM_TABLE)
		return;
	cl_out_init(&o, cl_form(c));
	cl_out_object(&o, NULL);
	cl_sandbox_out(c, &o, cl_sandbox_get(c, name));
	cl_out_end(&o);
	cl_out_done(c, &o);
}

/* All that can be known before there is a sandbox that nobody wants. */
static void words_check(struct cl *c, const char **ret_addr, uint32_t *ret_port)
{
	static const char *const lasting[] = { "detach", "editor" };

	if (cl_has(&c->w, "upload") && c->w.tail_count)
		cl_die_usage(c, "the argument '--upload' cannot be used with a command");
	for (size_t i = 0; i < CV_ARRAY_LEN(lasting); i++)
		if (cl_has(&c->w, lasting[i]) && cl_has(&c->w, "no-keep"))
			cl_die_usage(c, "the argument '--%s' cannot be used with '--no-keep'",
				lasting[i]);
	if (cl_has(&c->w, "forward")) {
		cl_listen_parse(c, cl_flag(&c->w, "forward"), false, ret_addr, ret_port);
		close(cl_listen(c, *ret_addr, ret_port));
	}
	uploads_check(c);
}

int cl_run_sandbox_create(struct cl *c)
{
	const bool is_terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
	const bool is_structured = cl_form(c) != CL_FORM_TABLE;
	const int64_t from = cv_clock_ms();
	const char *addr;
	uint32_t port;

	words_check(c, &addr, &port);
	const Openshell__V1__Sandbox *s = ask_create(c, is_terminal);
	const char *name = s->metadata->name, *id = s->metadata->id;

	cl_sandbox_remember(c, name);
	if (is_structured)
		cl_note(c, "Provisioning sandbox (structured output on stdout)...");
	else
		printf("Created sandbox: %s\n", cl_shown(c, name));
	cl_note(c, "[%.1fs] Requesting compute...", (double)(cv_clock_ms() - from) / 1000);
	cl_wait_phase(c, id, OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_READY, CL_CREATION_EVENTS,
		from, "OPENSHELL_PROVISION_TIMEOUT");
	cl_note(c, "[%.1fs] Sandbox ready", (double)(cv_clock_ms() - from) / 1000);
	approval_set(c, name);
	uploads(c, id);
	if (cl_has(&c->w, "forward"))
		cl_forward_background(c, name, id, addr, port);
	print_created(c, name);
	if (cl_has(&c->w, "no-keep")) {
		const int status = attach(c, id, is_terminal);
		const bool is_gone = cl_sandbox_delete(c, name, true);

		cl_temporary_end();
		return is_gone || status ? status : CL_EXIT_FAILED;
	}
	if (cl_has(&c->w, "editor"))
		return cl_editor(c, name);
	if (cl_has(&c->w, "detach") || command_is_main(c, is_terminal))
		return 0;
	if (c->w.tail_count || (is_terminal && !is_structured && !cl_has(&c->w, "no-tty")))
		return attach(c, id, is_terminal);
	return 0;
}
