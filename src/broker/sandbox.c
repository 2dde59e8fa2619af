/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sandbox.c - sandboxes: what is said of them, their policies, the streams that their proxies hand
 * over, their end
 *
 * A sandbox's link comes from its proxy, which reads strangers' bytes all day: one that makes no
 * sense ends that link, and that sandbox's next streams with it.
 */
#include "broker/link_int.h"

#include "broker/build_int.h"
#include "broker/mcp.h"
#include "broker/relay.h"
#include "sys/fd.h"
#include "sys/openat2.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
	link_nonblocking_set(fd);
	if (cv_loop_add(&b->loop, fd, EPOLLIN, (struct cv_watch){ WATCH_LINK, s->ref }, &err) !=
		CV_OK)
		broker_die(err.code, "%s", err.msg);
}

bool take_sandbox(struct broker *b, struct cv_ipc_msg *m)
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
bool take_policy(struct broker *b, struct cv_ipc_msg *m)
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
	char *text = link_text_take(m->fds[0], BROKER_POLICY_BYTES_MAX, &n, "policy");
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

bool take_link(struct broker *b, struct cv_ipc_msg *m)
{
	struct cv_ipc_reader r = { .rest = m->body };
	struct sandbox *s = named(b, &r);

	if (!cv_ipc_reader_is_done(&r))
		return false;
	if (s && !s->is_ending) /* it may have ended while the message was under way */
		sandbox_link_set(b, s, cv_take_fd(m->fds[0]));
	return true;
}

bool take_root(struct broker *b, struct cv_ipc_msg *m)
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

bool take_about(struct broker *b, struct cv_ipc_msg *m)
{
	struct cv_ipc_reader r = { .rest = m->body };
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

bool take_end(struct broker *b, struct cv_ipc_msg *m)
{
	struct cv_ipc_reader r = { .rest = m->body };
	struct sandbox *s = named(b, &r);

	if (!cv_ipc_reader_is_done(&r))
		return false;
	if (s && !s->is_ending)
		sandbox_end(b, s);
	return true;
}

/* ---- a sandbox's link ---- */

void sandbox_read(struct broker *b, struct sandbox *s)
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
