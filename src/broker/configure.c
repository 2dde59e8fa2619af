/* SPDX-License-Identifier: Apache-2.0 */
/*
 * configure.c - what the broker is told before GO: catalogs, directories, variables, limits
 *
 * What this build, this user or this host can't do is found here, before a sandbox could miss it.
 */
#include "broker/link_int.h"

#include "broker/build_int.h"
#include "broker/fetch.h"
#include "broker/self.h"
#include "broker/spawn.h"
#include "sys/fd.h"
#include "sys/slots.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* All of what was found, as one text for FATAL. */
static CV_NORETURN void findings_die(const struct cv_findings *f, struct cv_str file)
{
	struct cv_buf b;

	cv_buf_init(&b, 4000);
	for (size_t i = 0; i < f->n && !b.is_overflown; i++) {
		const struct cv_finding *x = &f->v[i];

		if (x->is_error)
			cv_buf_printf(&b, "%.*s:%u:%u: %.*s\n", CV_STR_ARG(file), x->pos.line,
				x->pos.column, CV_STR_ARG(x->message));
	}
	broker_die(CV_INVALID, "%.*s", CV_STR_ARG(cv_buf_str(&b)));
}

bool take_catalog(struct broker *b, struct cv_ipc_msg *m)
{
	struct cv_ipc_reader r = { .rest = m->body };
	const struct cv_str file = cv_ipc_get_str(&r);
	struct cv_catalog *more = NULL;
	struct cv_findings findings;
	size_t n;

	if (!cv_ipc_reader_is_done(&r))
		return false;
	char *text = link_text_take(m->fds[0], BROKER_CATALOG_BYTES_MAX, &n, "catalog");
	cv_findings_init(&findings);
	if (cv_catalog_load(file, (struct cv_str){ text, n }, &more, &findings) != CV_OK)
		findings_die(&findings, file);
	if (!b->catalog)
		b->catalog = more;
	else if (cv_catalog_merge(b->catalog, more, &findings) != CV_OK)
		findings_die(&findings, file);
	cv_findings_fini(&findings);
	free(text);
	return true;
}

static bool path_get(struct cv_str body, char *ret, size_t bytes)
{
	struct cv_ipc_reader r = { .rest = body };
	const struct cv_str path = cv_ipc_get_str(&r);

	return cv_ipc_reader_is_done(&r) && cv_str_to_cstr(path, ret, bytes) && *ret == '/';
}

bool take_state(struct broker *b, struct cv_ipc_msg *m)
{
	struct stat st;

	if (!path_get(m->body, b->state_path, sizeof(b->state_path) - 64))
		return false;
	b->state_dir = open(b->state_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (b->state_dir < 0 || fstat(b->state_dir, &st) < 0)
		broker_die(CV_SYSTEM, "the broker's directory %s can't be opened", b->state_path);
	if (st.st_uid != geteuid() || (st.st_mode & 077))
		broker_die(CV_DENIED, "the broker's directory %s is not its own alone (0700)",
			b->state_path);
	return true;
}

bool take_env(struct broker *b, struct cv_ipc_msg *m)
{
	struct cv_ipc_reader r = { .rest = m->body };
	const struct cv_str name = cv_ipc_get_str(&r), value = cv_ipc_get_str(&r);
	char *text;

	if (!cv_ipc_reader_is_done(&r) || !name.n || cv_str_has_byte(name, '=') ||
		cv_str_has_byte(name, 0) || cv_str_has_byte(value, 0) ||
		b->env_count == BROKER_ENV_MAX ||
		asprintf(&text, "%.*s=%.*s", CV_STR_ARG(name), CV_STR_ARG(value)) < 0)
		return false;
	b->env[b->env_count++] = text;
	return true;
}

bool take_sink(struct broker *b, struct cv_ipc_msg *m)
{
	struct cv_ipc_reader r = { .rest = m->body };
	const uint32_t form = cv_ipc_get_u32(&r), is_required = cv_ipc_get_u32(&r);

	return cv_ipc_reader_is_done(&r) && form < CV_AUDIT_FORM_COUNT &&
	       cv_audit_sinks_add(&b->sinks, cv_take_fd(m->fds[0]), (enum cv_audit_form)form,
		       is_required != 0);
}

static CV_NORETURN void tool_die(const struct cv_tool *t, const char *why)
{
	broker_die(CV_UNAVAILABLE, "tool %.*s: %s", CV_STR_ARG(t->name), why);
}

bool take_pin(struct broker *b, struct cv_ipc_msg *m)
{
	struct cv_ipc_reader r = { .rest = m->body };
	const struct cv_str host = cv_ipc_get_str(&r);
	const uint32_t port = cv_ipc_get_u32(&r);
	const struct cv_str address = cv_ipc_get_str(&r);

	return cv_ipc_reader_is_done(&r) && fetch_pin_add(b, host, port, address);
}

bool take_roots(struct broker *b, struct cv_ipc_msg *m)
{
	size_t n;
	char *text = link_text_take(m->fds[0], BROKER_ROOTS_BYTES_MAX, &n, "roots");

	fetch_roots_set(b, text, n);
	return true;
}

/* What this build, or this user, can't do is refused by name before a sandbox could miss it. */
static void catalog_check(const struct broker *b)
{
	for (size_t i = 0; i < b->catalog->tool_count; i++) {
		const struct cv_tool *t = &b->catalog->tools[i];
		const struct cv_tool_command *c = t->command;
		struct spawn_user user;
		char path[PATH_MAX];
		struct cv_err err;

		if (t->backend == CV_TOOL_BUILD && !build_engine_of(t->build->engine))
			broker_die(CV_UNAVAILABLE,
				"tool %.*s: build.engine: %s builds in a daemon, which would not be "
				"under the sandbox's policy; use buildah or podman",
				CV_STR_ARG(t->name), cv_tool_build_engine_name(t->build->engine));
		if (!backend_of(t))
			broker_die(CV_UNAVAILABLE, "tool %.*s: this broker has no backend '%s' yet",
				CV_STR_ARG(t->name), cv_tool_backend_name(t->backend));
		if (c && c->is_sandboxed && !self_find(path, sizeof(path)))
			tool_die(t, "cove is not beside cove-broker, so it can't have a sandbox");
		if (c && c->is_sandboxed && c->user.n)
			tool_die(t, "a command in a sandbox can't have a user too");
		if (c && c->user.n && geteuid() != 0)
			tool_die(t, "only root can run a command as another user");
		if (c && c->user.n && spawn_user_find(c->user, &user, &err) != CV_OK)
			tool_die(t, err.msg);
	}
}

bool take_hide(struct broker *b, struct cv_ipc_msg *m)
{
	char path[PATH_MAX];

	(void)b;
	if (!path_get(m->body, path, sizeof(path)))
		return false;
	spawn_hide(path);
	return true;
}

static bool wants_cells(const struct cv_catalog *c)
{
	for (size_t i = 0; i < c->tool_count; i++)
		if (c->tools[i].command && !c->tools[i].command->is_sandboxed &&
			c->tools[i].command->room.is_private)
			return true;
	for (size_t i = 0; i < c->server_count; i++)
		if (c->servers[i].room.is_private)
			return true;
	for (size_t i = 0; i < c->mcp_count; i++)
		if (c->mcps[i].argc && c->mcps[i].room.is_private)
			return true;
	return false;
}

/* Before servers start.  Where there can be no cells tools run as they always did, and it is said. */
static void cells_open(struct broker *b)
{
	struct cv_buf body;
	struct cv_err err;
	char text[1024];

	spawn_hide(b->state_path);
	if (!wants_cells(b->catalog) || spawn_cells_open(&err) == CV_OK)
		return;
	snprintf(text, sizeof(text),
		"host tools can reach processes and files of this user's other runs, and what they "
		"write is bounded by looking at it ('cove doctor' says more): %s",
		err.msg);
	audit_note(b, true, "%s", text);
	cv_buf_init(&body, 2048);
	cv_ipc_put_str(&body, cv_str_of(text));
	(void)!cv_ipc_send_now(
		CV_BROKER_CONTROL_FD, CV_BROKER_CONTROL_REPLY_SAY, cv_buf_str(&body), NULL);
	cv_buf_fini(&body);
}

bool take_hold(struct broker *b, struct cv_ipc_msg *m)
{
	struct cv_ipc_reader r = { .rest = m->body };

	b->hold_seconds = cv_ipc_get_u32(&r);
	return cv_ipc_reader_is_done(&r) && b->hold_seconds > 0;
}

bool take_slots(struct broker *b, struct cv_ipc_msg *m)
{
	return path_get(m->body, b->host_slots_path, sizeof(b->host_slots_path));
}

/* Before a call would find that nothing can be counted there.  No group is without a name. */
static void host_slots_check(const struct broker *b)
{
	struct cv_err err;
	int fd;

	if (!cv_catalog_has_slots(b->catalog))
		return;
	if (!*b->host_slots_path)
		broker_die(CV_INVALID, "limits.host_concurrency: nobody said where to count");
	if (cv_slot_take(b->host_slots_path, CV_STR(""), 1, &fd, &err) != CV_OK)
		broker_die(err.code, "limits.host_concurrency: %s", err.msg);
	cv_slot_give(fd);
}

bool take_go(struct broker *b, struct cv_ipc_msg *m)
{
	struct cv_ipc_reader r = { .rest = m->body };
	struct cv_err err;

	cv_ipc_get_u32(&r); /* flags: none yet */
	if (!cv_ipc_reader_is_done(&r) || !b->catalog || b->state_dir < 0)
		return false;
	catalog_check(b);
	host_slots_check(b);
	tool_slots_init(b);
	if (records_find(b, &err) != CV_OK)
		broker_die(err.code, "%s", err.msg);
	spawn_clean(b->state_dir, b->state_path);
	cells_open(b);
	b->control.state = CV_BROKER_READY;
	return true;
}
