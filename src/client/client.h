/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client.h - one run of the client: its words, the gateway it talks to, what it says
 *
 * A command is a function from this struct to an exit status.  What cannot go on ends the program
 * (cl_die(): `Error: ...` on stderr, status 1; wrong words: status 2); all that has to be undone
 * then, such as a terminal's mode, is undone by atexit().  Memory is the arena's and lives as long as
 * the program.
 */
#pragma once
#include "client/grammar.h"
#include "client/out.h"
#include "rpc/client.h"

#include "openshell.pb-c.h"
#include "inference.pb-c.h"

#include <stdio.h>

#define CL_EXIT_FAILED        1
#define CL_EXIT_USAGE         2
#define CL_EXIT_TIMEOUT       124

#define CL_CALL_TIMEOUT_MS    60000 /* of one question; nothing that is asked takes longer */
#define CL_CONNECT_TIMEOUT_MS 10000 /* of connecting */
#define CL_ARENA_BYTES_MAX    (512u << 20)
#define CL_FILE_BYTES_MAX     (4u << 20) /* of a policy or a profile that is read */
#define CL_PAGE               100u       /* what a list shows when nobody says how many */

enum cl_auth { CL_AUTH_PLAINTEXT, CL_AUTH_MTLS, CL_AUTH_OIDC, CL_AUTH_EDGE, CL_AUTH_COUNT };

struct cl_gateway {
	const char *name, *url;
	const char *folder;    /* ".../gateways/NAME"; NULL for a bare endpoint */
	const char *source;    /* "user", "system" */
	const char *auth_name; /* as in its file: "mtls"; or derived */
	enum cl_auth auth;
	bool is_remote, is_system;
	const char *remote_host, *resolved_host;
	const char *oidc_issuer, *oidc_client_id, *oidc_audience, *oidc_scopes;
	const char *edge_auth_url; /* where people log in, if not at url; NULL */
};

struct cl_answer {
	ProtobufCMessage *message;
	struct cl_answer *next;
};

struct cl {
	const char *program; /* "cove", "openshell" */
	const struct cl_grammar *grammar;
	struct cl_words w;
	struct cv_arena arena;
	const char *workspace;
	bool has_colour; /* stdout is a terminal that wants it */
	bool is_verbose;
	struct cl_gateway gateway; /* valid when rpc is open or cl_gateway_need() was called */
	struct cv_rpc_client *rpc;
	bool is_refused;           /* by an edge proxy: it wants another log-in */
	struct cl_answer *answers; /* of cl_ask(): they live until the end */
};

/* ---- says (session.c) ---- */

CV_NORETURN CV_PRINTF(2, 3) void cl_die(struct cl *c, const char *fmt, ...);
CV_NORETURN CV_PRINTF(2, 3) void cl_die_usage(struct cl *c, const char *fmt, ...);
CV_PRINTF(2, 3) void cl_note(struct cl *c, const char *fmt, ...); /* a line on stderr */
/* "✓ ..." on stdout; '!' and 'x' are the marks of a warning and a failure (that one on stderr). */
CV_PRINTF(3, 4) void cl_mark(struct cl *c, char mark, const char *fmt, ...);
/* A stranger's text, safe to print; in the arena. */
const char *cl_shown(struct cl *c, const char *text);
/* What a gateway answers: several lines perhaps. */
const char *cl_said(struct cl *c, const char *message);
CV_PRINTF(2, 3) char *cl_print(struct cl *c, const char *fmt, ...); /* in the arena */
char *cl_dup(struct cl *c, const char *text);                       /* "" for NULL */
void *cl_alloc(struct cl *c, size_t bytes);
/* stdout, whole; the program ends when that is not possible. */
void cl_write(struct cl *c, struct cv_str text);
/* Prints t, and frees it. */
void cl_table_done(struct cl *c, struct cl_table *t);
/* Prints o, which is whole, and frees it. */
int cl_out_done(struct cl *c, struct cl_out *o);
enum cl_form cl_form(struct cl *c);                                /* of -o */
const char *cl_time(struct cl *c, int64_t ms);                     /* "YYYY-MM-DD HH:MM:SS" */
void cl_label(struct cl *c, const char *label, const char *value); /* "  Label: value" */
/* "k=v, k2=v2" of a map<string, string>, as it may be shown; "-": empty. */
const char *cl_map_text(struct cl *c, void *entries, size_t n);
/* NAME in "KEY=VALUE"; *ret_value is behind the '='. */
char *cl_pair(struct cl *c, const char *pair, const char **ret_value);
/* There is a person to ask. */
bool cl_can_confirm(void);
/* Asks on the terminal; false where there is none, or for anything but yes. */
bool cl_confirm(struct cl *c, const char *question);
/* A file's bytes, NUL behind; "-" is stdin. */
struct cv_str cl_file_read(struct cl *c, const char *path, size_t bytes_max);
/* 90s, 5m, 2h, 1d; milliseconds.  Usage error otherwise. */
int64_t cl_duration_ms(struct cl *c, const char *text);

/* ---- asks ---- */

void cl_connect(struct cl *c); /* dies with hints when there is no gateway, or it is not there */
bool cl_is_insecure(struct cl *c); /* certificates of gateways are not verified */
/* Connects to c->gateway. */
CV_MUST cv_code cl_gateway_open(struct cl *c, struct cv_err *err);
/* The answer.  ret_status NULL: dies with what the server said; else NULL is returned and err filled
 * when it is no OK. */
ProtobufCMessage *cl_ask(struct cl *c, const char *method, const ProtobufCMessage *in,
	const ProtobufCMessageDescriptor *out, enum cv_rpc_status *ret_status, struct cv_err *err);
void cl_answers_free(struct cl *c);
CV_NORETURN void cl_die_status(struct cl *c, enum cv_rpc_status s, const char *message);

#define CL_METHOD(rpc) "/openshell.v1.OpenShell/" #rpc
#define CL_ASK(c, rpc, in, Type, type)    \
	((Openshell__V1__##Type *)cl_ask( \
		c, CL_METHOD(rpc), &(in).base, &openshell__v1__##type##__descriptor, NULL, NULL))
#define CL_TRY(c, rpc, in, Type, type, status, err) \
	((Openshell__V1__##Type *)cl_ask(           \
		c, CL_METHOD(rpc), &(in).base, &openshell__v1__##type##__descriptor, status, err))

/* ---- which gateway (endpoint.c) ---- */

/* False: none is configured, or the named one is not (err). */
bool cl_gateway_find(struct cl *c, struct cl_gateway *ret, struct cv_err *err);
void cl_gateway_need(struct cl *c); /* dies */
/* The registered one of the command's argument, or the active one; dies. */
void cl_gateway_named(struct cl *c, struct cl_gateway *ret);
/* A registered one.  False: there is none of that name. */
bool cl_gateway_load(struct cl *c, const char *name, struct cl_gateway *ret);
char **cl_gateway_names(struct cl *c, size_t *ret_count); /* sorted, without doubles */
const char *cl_gateway_active(struct cl *c);              /* NULL */
/* Our own directory of files, "~/.config/cove" or "~/.config/openshell". */
const char *cl_config_dir(struct cl *c);
char *cl_gateway_token(struct cl *c, const struct cl_gateway *g); /* NULL: none */
const char *cl_edge_token_path(struct cl *c, const struct cl_gateway *g);
void cl_file_write(struct cl *c, const char *path, struct cv_str text); /* 0600, atomic */
bool cl_file_slurp(struct cl *c, const char *path, size_t bytes_max, struct cv_str *ret);

/* ---- sandboxes (sandbox.c) ---- */

/* The argument, or the last one used (which is said on stderr). */
const char *cl_sandbox_name(struct cl *c, const char *given);
void cl_sandbox_remember(struct cl *c, const char *name);
void cl_sandbox_forget(struct cl *c, const char *name); /* it is gone */
Openshell__V1__Sandbox *cl_sandbox_get(struct cl *c, const char *name);
Openshell__V1__Sandbox *cl_sandbox_find(struct cl *c, const char *name); /* NULL: it can't be had */
const char *cl_phase_name(Openshell__V1__SandboxPhase phase);

/* ---- maps of messages ---- */

struct cl_entry { /* what protobuf-c makes of an entry of map<string, string> */
	ProtobufCMessage base;
	char *key, *value;
};

void cl_map_out(struct cl *c, struct cl_out *o, const char *key, void *entries, size_t n);
/* Values of the flag ("K=V"), as entries of a map with that descriptor. */
void *cl_map_of_flag(
	struct cl *c, const char *flag, const ProtobufCMessageDescriptor *d, size_t *ret_count);
void *cl_map_add(struct cl *c, void *entries, size_t *count, const ProtobufCMessageDescriptor *d,
	const char *key, const char *value);
