/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sandbox.h - sandboxes as several commands see them, and waiting for one
 */
#pragma once
#include "client/client.h"

#include "cove.pb-c.h"

#include <poll.h>

/* Of the name, or of the one last used; remembered as that. */
Openshell__V1__Sandbox *cl_sandbox_of(struct cl *c, const char *given, bool must_be_ready);
Openshell__V1__SandboxPhase cl_phase(const Openshell__V1__Sandbox *s);
/* Members of an object that the caller began. */
void cl_sandbox_out(struct cl *c, struct cl_out *o, const Openshell__V1__Sandbox *s);
/* The condition "Ready", or NULL. */
const Openshell__V1__SandboxCondition *cl_sandbox_condition(const Openshell__V1__Sandbox *s);
/* What it waits for, while there is no room for it; NULL. */
const char *cl_sandbox_queued(const Openshell__V1__Sandbox *s);

/* The next question asks to wait for room as long as --queue says; after it, ask no more. */
void cl_queue_ask(struct cl *c);
void cl_queue_asked(struct cl *c);

/* Deletes it and waits until it is gone; says so, unless quiet.  False: it could not be. */
bool cl_sandbox_delete(struct cl *c, const char *name, bool is_quiet);

/* ---- streams (stream.c) ---- */

struct cl_stream { /* of one call; how it ended */
	struct cv_rpc_stream *s;
	bool is_ended;
	enum cv_rpc_status status;
	const char *message;
	struct cl *c;
	void (*on_message)(struct cl_stream *st, ProtobufCMessage *m); /* m is freed afterwards */
	void *arg;
	bool is_full; /* wait for room before sending more */
};

/* Opens it, dies otherwise.  st, filled in but for c and the state, must stay where it is. */
void cl_stream_open(struct cl *c, struct cl_stream *st, const char *method,
	const ProtobufCMessageDescriptor *out);
/* The same on a connection that is there; CV_UNAVAILABLE: it takes no more calls. */
CV_MUST cv_code cl_stream_try(struct cl *c, struct cl_stream *st, const char *method,
	const ProtobufCMessageDescriptor *out, struct cv_err *err);
void cl_stream_send(struct cl_stream *st, const ProtobufCMessage *m);
/* One turn: waits at most timeout_ms (-1: for ever) for the gateway or for one of fds, whose revents
 * are set.  A lost connection ends all streams. */
#define CL_TURN_FDS_MAX 260
void cl_turn(struct cl *c, struct pollfd *fds, size_t n, int timeout_ms);
/* The same for who connects again: CV_UNAVAILABLE, CV_DENIED of cv_rpc_client_turn(). */
CV_MUST cv_code cl_turn_try(
	struct cl *c, struct pollfd *fds, size_t n, int timeout_ms, struct cv_err *err);

/* Waits until the sandbox is in that phase, showing what happens on the way (stderr, lines with the
 * time since from_ms); ends the program when it gets into phase Error, or nothing happens for 300 s
 * (OPENSHELL_PROVISION_TIMEOUT, OPENSHELL_LIFECYCLE_TIMEOUT: env). */
#define CL_CREATION_EVENTS 50 /* as other clients of the API ask for */
/* events: how many of those before are told, too. */
void cl_wait_phase(struct cl *c, const char *id, Openshell__V1__SandboxPhase phase, uint32_t events,
	int64_t from_ms, const char *env);

/* ---- commands in a sandbox (exec.c) ---- */

struct cl_exec {
	const char *id; /* of the sandbox */
	const char *const *argv;
	size_t argc;
	const char *workdir;
	void *env; /* map entries */
	size_t env_count;
	uint32_t timeout_s;
	bool has_tty;
	bool has_no_stdin;
	bool keeps_stdin; /* of one that outlives us: open, for whoever attaches */
	/* Where its bytes come from and go to; NULL: our own standard streams.  feed() puts more into
	 * b; false: that was all. */
	bool (*feed)(void *arg, struct cv_buf *b);
	void (*out)(void *arg, struct cv_str bytes);
	struct cv_buf *err; /* NULL: our stderr */
	void *arg;
};

/* The command's exit status; dies when it could not run. */
int cl_exec(struct cl *c, const struct cl_exec *e);
/* All of bytes, to a descriptor that blocks.  False: nobody reads there any more. */
CV_MUST bool cl_fd_write(struct cl *c, int fd, struct cv_str bytes);

/* The same as a command that outlives us (exec_kept.c), if stdin is something that can be sent with it
 * and the gateway offers it.  False: it has not been started. */
struct cl_kept {
	const char *sandbox_id;
	const char *sandbox; /* its name, for what is said */
	const char *id;
};
CV_MUST bool cl_exec_kept(
	struct cl *c, const struct cl_exec *e, const char *sandbox, bool is_detached, int *ret);
/* Until it is over; the exit status. */
int cl_exec_follow(struct cl *c, const struct cl_kept *k, uint64_t offset);
/* The same, with our terminal or our stdin (exec_attach.c). */
struct cl_attach {
	uint64_t offset;
	bool has_terminal;
	bool takes_over;
	bool ends_stdin; /* where ours does */
	bool leaves;     /* when ours has ended, and not when the command has */
};
int cl_exec_attach(struct cl *c, const struct cl_kept *k, const struct cl_attach *how);
/* Its commands that outlive their clients; dies. */
const Cove__V1__ListExecsResponse *cl_execs_of(struct cl *c, const char *sandbox_id);
/* One try to connect again, after a pause that grows. */
bool cl_reconnect(struct cl *c, int64_t *backoff_ms);

/* Its policy in force and its settings; dies. */
Openshell__Sandbox__V1__GetSandboxConfigResponse *cl_sandbox_config(struct cl *c, const char *id);

/* ---- of create, for `sandbox upload` and others ---- */

/* At the head of a script that runs there: what its tools say is for a person here, whose language and
 * quotation marks nobody there knows. */
#define CL_TOOLS_SPEAK "export LC_ALL=C\n"
/* What they said when they failed; each line but the first is indented, so that none passes for ours. */
const char *cl_tools_said(struct cl *c, struct cv_str said, int status);

/* Dies for what cl_upload() would die for before it begins. */
void cl_upload_check(struct cl *c, const char *local, bool has_ignore);
void cl_upload(struct cl *c, const char *id, const char *local, const char *dest, bool has_ignore);
int cl_shell(struct cl *c, const char *id); /* a login shell, with a terminal */
/* A Host block of ssh's configuration, in the arena. */
const char *cl_ssh_block(struct cl *c, const char *sandbox);
/* Starts the editor of --editor on the sandbox, as a remote host of ssh. */
int cl_editor(struct cl *c, const char *sandbox);
/* It is gone: no host of ssh any more. */
void cl_editor_forget(struct cl *c, const char *sandbox);
/* "[ADDR:]PORT"; dies. */
void cl_listen_parse(struct cl *c, const char *text, bool may_be_zero, const char **ret_addr,
	uint32_t *ret_port);
/* Forwards in the background; returns when it listens. */
void cl_forward_background(
	struct cl *c, const char *sandbox, const char *id, const char *addr, uint32_t port);
void cl_forwards_stop(struct cl *c, const char *id);
