/* SPDX-License-Identifier: Apache-2.0 */
/*
 * link.c - what whoever started the broker says, and the streams that proxies hand over
 *
 * The control link is trusted: a message on it that makes no sense ends the broker, which is a bug
 * found.  A sandbox's link comes from the proxy, which reads strangers' bytes all day: one that
 * makes no sense ends that link, and that sandbox's next streams with it.
 */
#include "broker/broker.h"

#include "base/assert.h"
#include "broker/build_int.h"
#include "broker/fetch.h"
#include "broker/mcp.h"
#include "broker/mcp_client.h"
#include "broker/relay.h"
#include "broker/server.h"
#include "broker/self.h"
#include "broker/spawn.h"
#include "sys/fd.h"
#include "sys/openat2.h"
#include "sys/slots.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void nonblocking_set(int fd)
{
	const int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		broker_die(CV_SYSTEM, "a descriptor can't be made non-blocking");
}

static char *text_take(int fd, size_t max, size_t *ret_n, const char *what)
{
	struct cv_err err;
	char *text;

	if (cv_ipc_fd_read_all(fd, max, &text, ret_n, &err) != CV_OK)
		broker_die(err.code, "%s: %s", what, err.msg);
	return text;
}

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

/* ---- before GO ---- */

static bool catalog_take(struct broker *b, struct cv_ipc_msg *m)
{
	struct cv_ipc_reader r = { .rest = m->body };
	const struct cv_str file = cv_ipc_get_str(&r);
	struct cv_catalog *more = NULL;
	struct cv_findings findings;
	size_t n;

	if (!cv_ipc_reader_is_done(&r))
		return false;
	char *text = text_take(m->fds[0], BROKER_CATALOG_BYTES_MAX, &n, "catalog");
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

static bool state_take(struct broker *b, struct cv_str body)
{
	struct stat st;

	if (!path_get(body, b->state_path, sizeof(b->state_path) - 64))
		return false;
	b->state_dir = open(b->state_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (b->state_dir < 0 || fstat(b->state_dir, &st) < 0)
		broker_die(CV_SYSTEM, "the broker's directory %s can't be opened", b->state_path);
	if (st.st_uid != geteuid() || (st.st_mode & 077))
		broker_die(CV_DENIED, "the broker's directory %s is not its own alone (0700)",
			b->state_path);
	return true;
}

static bool env_take(struct broker *b, struct cv_str body)
{
	struct cv_ipc_reader r = { .rest = body };
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

static bool sink_take(struct broker *b, struct cv_ipc_msg *m)
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

static bool pin_take(struct broker *b, struct cv_str body)
{
	struct cv_ipc_reader r = { .rest = body };
	const struct cv_str host = cv_ipc_get_str(&r);
	const uint32_t port = cv_ipc_get_u32(&r);
	const struct cv_str address = cv_ipc_get_str(&r);

	return cv_ipc_reader_is_done(&r) && fetch_pin_add(b, host, port, address);
}

static bool roots_take(struct broker *b, int fd)
{
	size_t n;
	char *text = text_take(fd, BROKER_ROOTS_BYTES_MAX, &n, "roots");

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

static bool hide_take(struct cv_str body)
{
	char path[PATH_MAX];

	if (!path_get(body, path, sizeof(path)))
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
	cv_fd_cleanup(&fd);
}

static bool go_take(struct broker *b, struct cv_str body)
{
	struct cv_ipc_reader r = { .rest = body };
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

/* ---- sandboxes ---- */

struct sandbox *sandbox_find(struct broker *b, struct cv_str name)
{
	for (uint32_t i = 0; i < b->sandboxes.top; i++) {
		struct sandbox *s = pool_at(&b->sandboxes, i);

		if (s && cv_str_eq(cv_str_of(s->name), name))
			return s;
	}
	return NULL;
}

static void sandbox_link_set(struct broker *b, struct sandbox *s, int fd)
{
	struct cv_err err;

	if (s->link >= 0)
		close(s->link);
	s->link = fd;
	s->link_in = (struct cv_ipc_link){
		.rules = cv_broker_req_rule,
		.rule_count = CV_BROKER_REQ_COUNT,
		.state = CV_BROKER_READY,
	};
	nonblocking_set(fd);
	if (cv_loop_add(&b->loop, fd, EPOLLIN, (struct cv_watch){ WATCH_LINK, s->ref }, &err) !=
		CV_OK)
		broker_die(err.code, "%s", err.msg);
}

static bool sandbox_take(struct broker *b, struct cv_ipc_msg *m)
{
	struct cv_ipc_reader r = { .rest = m->body };
	const struct cv_str name = cv_ipc_get_str(&r), token = cv_ipc_get_str(&r);
	struct cv_ref ref;

	if (!cv_ipc_reader_is_done(&r) || !name.n || token.n != 32 || sandbox_find(b, name))
		return false;
	struct sandbox *s = pool_new(&b->sandboxes, &ref);
	if (!s)
		broker_die(CV_LIMIT, "more than %d sandboxes", BROKER_SANDBOXES_MAX);
	s->ref = ref;
	s->link = s->root = -1;
	if (!cv_str_to_cstr(name, s->name, sizeof(s->name)))
		return false;
	memcpy(s->token_sha256, token.p, 32);
	sandbox_link_set(b, s, cv_take_fd(m->fds[0]));
	jobs_restore(b, s);
	return true;
}

static struct sandbox *named(struct broker *b, struct cv_ipc_reader *r)
{
	return sandbox_find(b, cv_ipc_get_str(r));
}

void sandbox_settle(struct broker *b, struct sandbox *s)
{
	struct cv_buf body;

	if (!s->is_ending || s->streams || s->jobs)
		return;
	cv_buf_init(&body, 512);
	cv_ipc_put_str(&body, cv_str_of(s->name));
	(void)!cv_ipc_send_now(CV_BROKER_CONTROL_FD, CV_BROKER_CONTROL_REPLY_SANDBOX_ENDED,
		cv_buf_str(&body), NULL);
	cv_buf_fini(&body);
	for (size_t i = 0; i < s->rule_count; i++)
		free(s->rule[i].name);
	build_sandbox_end(b, s);
	for (size_t i = 0; i < s->about_count; i++)
		free(s->about[i].value);
	cv_policy_unref(s->policy);
	if (s->link >= 0)
		close(s->link);
	if (s->root >= 0)
		close(s->root);
	pool_free(&b->sandboxes, s->ref);
}

void sandbox_end(struct broker *b, struct sandbox *s)
{
	const struct cv_ref ref = s->ref;

	s->is_ending = true;
	explicit_bzero(s->token_sha256, sizeof(s->token_sha256)); /* no text has this digest */
	if (s->link >= 0)
		close(s->link);
	s->link = -1;
	relays_end(b, s);
	for (uint32_t i = 0; i < b->streams.top; i++) {
		struct stream *x = pool_at(&b->streams, i);

		if (x && pool_get(&b->sandboxes, x->sandbox) == s)
			stream_free(b, x);
	}
	mcp_sandbox_end(b, s);
	for (uint32_t i = 0; i < b->jobs.top; i++) {
		struct job *j = pool_at(&b->jobs, i);

		if (!j || pool_get(&b->sandboxes, j->sandbox) != s)
			continue;
		if (!job_state_is_end(j->state))
			(void)!job_cancel(b, j);
		j = pool_at(&b->jobs, i);
		if (j && job_state_is_end(j->state))
			job_drop(b, j); /* the others go when they have ended */
	}
	s = pool_get(&b->sandboxes, ref); /* the last of its jobs may have taken it along */
	if (s)
		sandbox_settle(b, s);
}

/* ---- policy ---- */

/* Where the names of executables lead inside the sandbox, as the proxy has it from its supervisor. */
struct aliases {
	struct cv_policy_alias v[256];
	size_t n;
	struct cv_arena arena;
	int root;
};

static void alias_add(struct aliases *a, struct cv_str path)
{
	char given[PATH_MAX], real[PATH_MAX], link[64];

	if (a->n == CV_ARRAY_LEN(a->v) || cv_str_has_byte(path, '*') ||
		!cv_str_to_cstr(path, given, sizeof(given)))
		return;
	CV_AUTO_FD int fd =
		cv_openat2(a->root, given, O_PATH, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
	if (fd < 0)
		return;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	const ssize_t n = readlink(link, real, sizeof(real));
	if (n <= 0 || (size_t)n >= sizeof(real) ||
		cv_str_eq(path, (struct cv_str){ real, (size_t)n }))
		return;
	a->v[a->n++] = (struct cv_policy_alias){
		.path = cv_arena_str(&a->arena, path),
		.target = cv_arena_str(&a->arena, (struct cv_str){ real, (size_t)n }),
	};
}

static void aliases_find(struct aliases *a, const struct cv_policy_doc *doc, int root)
{
	a->n = 0;
	a->root = root;
	cv_arena_init(&a->arena, 1u << 20);
	if (root < 0)
		return;
	for (size_t i = 0; i < doc->tool_rule_count; i++)
		for (size_t k = 0; k < doc->tool_rules[i].binary_count; k++)
			alias_add(a, doc->tool_rules[i].binaries[k].path.s);
}

/* The policy was read by its author's launcher and by the proxy before: a bad one here is a bug, and
 * the sandbox keeps the one that it has. */
static bool policy_take(struct broker *b, struct cv_ipc_msg *m)
{
	struct cv_ipc_reader r = { .rest = m->body };
	struct sandbox *s = named(b, &r);
	const struct cv_str file = cv_ipc_get_str(&r);
	struct cv_policy_doc *doc = NULL;
	struct cv_policy *policy = NULL;
	struct cv_findings findings;
	static struct aliases aliases;
	struct cv_err err;
	size_t n;

	if (!cv_ipc_reader_is_done(&r))
		return false;
	if (!s || s->is_ending)
		return true; /* it has ended while the message was under way */
	char *text = text_take(m->fds[0], BROKER_POLICY_BYTES_MAX, &n, "policy");
	cv_findings_init(&findings);
	const bool is_good =
		cv_policy_load(file, (struct cv_str){ text, n }, &doc, &findings) == CV_OK &&
		cv_policy_validate(doc, &findings) == CV_OK;
	if (is_good) {
		aliases_find(&aliases, doc, s->root);
		if (cv_policy_compile_aliased(doc, aliases.v, aliases.n, &policy, &err) == CV_OK) {
			cv_policy_unref(s->policy);
			s->policy = policy;
			mcp_policy_changed(b, s);
			build_policy_changed(b, s);
		} else {
			audit_note(b, true, "policy of %s: %s", s->name, err.msg);
		}
		cv_arena_fini(&aliases.arena);
	} else {
		cv_policy_doc_free(doc);
		audit_note(b, true, "policy of %s is not valid; the one before stays", s->name);
	}
	cv_findings_fini(&findings);
	free(text);
	return true;
}

static bool link_take(struct broker *b, struct cv_ipc_msg *m)
{
	struct cv_ipc_reader r = { .rest = m->body };
	struct sandbox *s = named(b, &r);

	if (!cv_ipc_reader_is_done(&r))
		return false;
	if (s && !s->is_ending) /* it may have ended while the message was under way */
		sandbox_link_set(b, s, cv_take_fd(m->fds[0]));
	return true;
}

static bool root_take(struct broker *b, struct cv_ipc_msg *m)
{
	struct cv_ipc_reader r = { .rest = m->body };
	struct sandbox *s = named(b, &r);

	if (!cv_ipc_reader_is_done(&r))
		return false;
	if (s && s->root >= 0)
		close(s->root);
	if (s)
		s->root = cv_take_fd(m->fds[0]);
	return true;
}

static bool about_take(struct broker *b, struct cv_str body)
{
	struct cv_ipc_reader r = { .rest = body };
	struct sandbox *s = named(b, &r);
	const uint32_t key = cv_ipc_get_u32(&r);
	const struct cv_str value = cv_ipc_get_str(&r);

	if (!s || !cv_ipc_reader_is_done(&r) || key >= CV_BROKER_ABOUT_COUNT ||
		cv_str_has_byte(value, 0) || s->about_count == BROKER_ABOUT_MAX)
		return false;
	struct about *a = &s->about[s->about_count];
	a->key = (enum cv_broker_about)key;
	a->value = cv_str_dup(value);
	s->about_count += a->value != NULL;
	return a->value != NULL;
}

static bool end_take(struct broker *b, struct cv_str body)
{
	struct cv_ipc_reader r = { .rest = body };
	struct sandbox *s = named(b, &r);

	if (!cv_ipc_reader_is_done(&r))
		return false;
	if (s && !s->is_ending)
		sandbox_end(b, s);
	return true;
}

static bool hold_take(struct broker *b, struct cv_str body)
{
	struct cv_ipc_reader r = { .rest = body };

	b->hold_seconds = cv_ipc_get_u32(&r);
	return cv_ipc_reader_is_done(&r) && b->hold_seconds > 0;
}

/* ---- the control link ---- */

static bool message_take(struct broker *b, struct cv_ipc_msg *m)
{
	switch ((enum cv_broker_control)m->type) {
	case CV_BROKER_CONTROL_CATALOG: return catalog_take(b, m);
	case CV_BROKER_CONTROL_STATE: return state_take(b, m->body);
	case CV_BROKER_CONTROL_AUDIT_SINK: return sink_take(b, m);
	case CV_BROKER_CONTROL_KEEPER: keys_link_set(b, cv_take_fd(m->fds[0])); return true;
	case CV_BROKER_CONTROL_ENV: return env_take(b, m->body);
	case CV_BROKER_CONTROL_GO: return go_take(b, m->body);
	case CV_BROKER_CONTROL_SANDBOX: return sandbox_take(b, m);
	case CV_BROKER_CONTROL_LINK: return link_take(b, m);
	case CV_BROKER_CONTROL_POLICY: return policy_take(b, m);
	case CV_BROKER_CONTROL_ROOT: return root_take(b, m);
	case CV_BROKER_CONTROL_SANDBOX_END: return end_take(b, m->body);
	case CV_BROKER_CONTROL_ANSWER: return hold_answer(b, m->body);
	case CV_BROKER_CONTROL_ROOTS: return roots_take(b, m->fds[0]);
	case CV_BROKER_CONTROL_PIN: return pin_take(b, m->body);
	case CV_BROKER_CONTROL_ABOUT: return about_take(b, m->body);
	case CV_BROKER_CONTROL_HOLD: return hold_take(b, m->body);
	case CV_BROKER_CONTROL_HIDE: return hide_take(m->body);
	case CV_BROKER_CONTROL_SLOTS:
		return path_get(m->body, b->host_slots_path, sizeof(b->host_slots_path));
	case CV_BROKER_CONTROL_COUNT: break;
	}
	cv_unreachable(); /* the link's table knows no other */
}

/* Every tool ends before the broker does. */
static CV_NORETURN void end(struct broker *b)
{
	for (uint32_t i = 0; i < b->jobs.top; i++) {
		struct job *j = pool_at(&b->jobs, i);

		if (j)
			job_free(b, j); /* who comes after finds what they were */
	}
	mcps_stop(b);
	servers_stop(b);
	spawn_wait_all();
	(void)!cv_audit_sinks_flush(&b->sinks);
	cv_store_close(b->store);
	_exit(0);
}

/* One message; false when there is none now. */
static bool control_read(struct broker *b)
{
	struct cv_ipc_msg m;
	struct cv_err err;
	const cv_code code = cv_ipc_recv(CV_BROKER_CONTROL_FD, &b->control, b->message, &m, &err);

	if (code == CV_UNAVAILABLE)
		return false;
	if (code == CV_NOT_FOUND)
		end(b);
	if (code != CV_OK)
		broker_die(code, "%s", err.msg);
	const uint32_t type = m.type;
	const bool is_good = message_take(b, &m);
	cv_ipc_msg_fini(&m);
	if (!is_good)
		broker_die(CV_PROTO, "%s makes no sense", cv_broker_control_rule[type].name);
	return true;
}

void link_control_read(struct broker *b)
{
	while (control_read(b))
		;
}

/* How long whoever started us has to wait for our end. */
static void end_announce(const struct broker *b)
{
	const uint32_t ms = servers_stop_ms(b);
	struct cv_buf body;

	if (!ms)
		return;
	cv_buf_init(&body, 4);
	cv_ipc_put_u32(&body, ms + BROKER_GRACE_MS);
	(void)!cv_ipc_send_now(
		CV_BROKER_CONTROL_FD, CV_BROKER_CONTROL_REPLY_ENDS_IN, cv_buf_str(&body), NULL);
	cv_buf_fini(&body);
}

void link_ready_check(struct broker *b)
{
	struct cv_err err;

	if (b->is_ready_said || !servers_are_ready(b) || !mcps_are_ready(b))
		return;
	b->is_ready_said = true;
	if (cv_ipc_send_now(CV_BROKER_CONTROL_FD, CV_BROKER_CONTROL_REPLY_READY, CV_STR_NONE,
		    &err) != CV_OK)
		broker_die(err.code, "%s", err.msg);
}

void link_start(struct broker *b)
{
	struct cv_err err;

	b->control = (struct cv_ipc_link){
		.rules = cv_broker_control_rule,
		.rule_count = CV_BROKER_CONTROL_COUNT,
		.state = CV_BROKER_NEW,
	};
	b->message = malloc(CV_IPC_BODY_BYTES_MAX + 8);
	cv_assert(b->message);
	while (b->control.state == CV_BROKER_NEW)
		control_read(b); /* the link blocks until then */
	for (uint32_t i = 0; i < b->sandboxes.top; i++)
		if (pool_at(&b->sandboxes, i))
			jobs_restore(b, pool_at(&b->sandboxes, i));
	nonblocking_set(CV_BROKER_CONTROL_FD);
	if (cv_loop_add(&b->loop, CV_BROKER_CONTROL_FD, EPOLLIN,
		    (struct cv_watch){ WATCH_CONTROL, { 0, 0 } }, &err) != CV_OK)
		broker_die(err.code, "%s", err.msg);
	end_announce(b);
	servers_start(b);
	mcps_start(b);
	link_ready_check(b);
}

/* ---- a sandbox's link ---- */

void link_sandbox_read(struct broker *b, struct sandbox *s)
{
	for (;;) {
		struct cv_proxy_identity id;
		struct cv_ipc_msg m;
		struct cv_err err;
		const cv_code code = cv_ipc_recv(s->link, &s->link_in, b->message, &m, &err);

		if (code == CV_UNAVAILABLE)
			return;
		bool is_good = code == CV_OK;
		if (is_good) {
			struct cv_ipc_reader r = { .rest = m.body };
			const uint32_t target = cv_ipc_get_u32(&r), port = cv_ipc_get_u32(&r);

			is_good = !r.is_bad && target < CV_BROKER_TARGET_COUNT &&
				  cv_proxy_identity_get(r.rest, &id);
			if (is_good && target == CV_BROKER_TOOLS)
				stream_open(b, s, cv_take_fd(m.fds[0]), &id);
			else if (is_good)
				relay_open(b, s, cv_take_fd(m.fds[0]), port);
			cv_ipc_msg_fini(&m); /* a stream that is not taken is closed */
		}
		if (is_good)
			continue;
		if (code != CV_NOT_FOUND)
			audit_note(b, true, "the link of %s ended: %s", s->name,
				code == CV_OK ? "OPEN makes no sense" : err.msg);
		close(s->link);
		s->link = -1;
		return;
	}
}
