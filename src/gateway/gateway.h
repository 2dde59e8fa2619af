/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway.h - the process's state, and the parts that it is made of
 *
 * One thread, one loop.  What the process does is cut into parts: a file (or a few) each, with one
 * `const struct cv_gw_part` that says which rpcs and pages it answers and what of the loop it
 * wants.  A new part is a row of CV_GW_PARTS, its files in meson.build, and a pointer to its own
 * state in struct cv_gateway, which nobody else looks into: parts meet at the headers named here.
 *
 *     main.c       commands, start, loop, end; part.c: the parts' order, and their tables joined
 *     control.c    start, stop, status; words.c: help and completion; place.[ch]: where things are
 *     serve.c      the server's port, signals, reload; state.[ch] the state directory, its lock
 *     config.[ch]  one immutable struct from file, environment and flags; another at SIGHUP
 *     objects.[ch] what is kept; labels.[ch] names, labels, selectors; pb.[ch] changing messages
 *     access.[ch]  who may do what in a workspace: every handler with a workspace asks it
 *     auth.c       what was presented -> principal; jwt.[ch], pki.[ch]
 *     oidc.c, edge*.[ch]  users' tokens, and an edge proxy's; issuer.[ch] whose keys, claims.c
 *     info.c       Health, GetGatewayInfo, GetCurrentUser, workspaces, pages
 *     console.[ch] the web console's files
 *     metrics.[ch] numbers for /metrics; log.[ch] a line per decision
 *     trace*.[ch], span.[ch] spans for a collector; steps.[ch] what takes time, for both
 *     curl_loop.[ch] requests of our own to others
 *
 *     sandbox.c, start.c, session.c                         sandboxes and their supervisors
 *     exec.c, kept.c, watch.c, forward.c                    ... and what goes on in them
 *     external*.c                                           sandboxes that others run
 *     admission.[ch], quota.[ch]                            who may start, who waits
 *     logs.c, logfile.[ch], ring.[ch]                       their lines
 *     service.c, service_http.c                             ports of sandboxes with host names
 *     inference.c, inference_box.c, probe.[ch]              where model calls go
 *     ssh.[ch], ssh_key.c, ssh_server.c                     SSH into sandboxes
 *     provider.c, profile.c                                 credentials
 *     policy.c, settings.c, draft.c                         what sandboxes may do
 *     folder*.c                                             policies and profiles from directories
 *     tools*.c, approval.c                                  host tools; what waits for a person
 *
 * A handler gets the gateway with cv_gw_of(c).
 */
#pragma once
#include "gateway/objects.h"
#include "rpc/call.h"
#include "rpc/pages.h"
#include "rpc/server.h"
#include "sys/loop.h"

struct cv_gateway;
struct cv_gw_config;

struct cv_gw_method {     /* a row of rpc/methods.h that the part answers */
	const char *name; /* "CreateSandbox" */
	struct cv_rpc_handler handler;
};

struct cv_gw_part {
	const char *name; /* in log lines */
	const struct cv_gw_method *methods;
	size_t method_count;
	const struct cv_rpc_page *pages;
	size_t page_count;

	/* Each may be NULL. */
	/* In the order of the parts, objects being loaded; before anybody is served. */
	cv_code (*start)(struct cv_gateway *g, struct cv_err *err);
	/* SIGTERM: no new work; what must be told is told now. */
	void (*drain)(struct cv_gateway *g);
	/* In the opposite order, every call being closed; also after a start that failed. */
	void (*stop)(struct cv_gateway *g);
	/* g->config is another one. */
	void (*reload)(struct cv_gateway *g, const struct cv_gw_config *old);
	/* A watch of the part: CV_GW_WATCH(part, sub). */
	void (*event)(struct cv_gateway *g, const struct cv_loop_event *e);
	/* After the events of each turn, before anything is sent: work that piled up, timers.
	 * Returns when it wants to be called again at the latest (loop time, ms), INT64_MAX: never. */
	int64_t (*turn)(struct cv_gateway *g);
};

/* clang-format off */
/* enum, the name behind cv_gw_part_.  One line each, in the order of start. */
#define CV_GW_PARTS(X)         \
	X(SERVER, server)          \
	X(AUTH, auth)              \
	X(OIDC, oidc)              \
	X(INFO, info)              \
	X(CONSOLE, console)        \
	X(WORKSPACE, workspace)    \
	X(ADMISSION, admission)    \
	X(SANDBOX, sandbox)        \
	X(EXEC, exec)              \
	X(KEPT, kept)              \
	X(WATCH, watch)            \
	X(FORWARD, forward)        \
	X(SSH, ssh)                \
	X(POLICY, policy)          \
	X(DRAFT, draft)            \
	X(PROFILE, profile)        \
	X(PROVIDER, provider)      \
	X(TOOLS, tools)            \
	X(ATTACH, attach)          \
	X(APPROVAL, approval)      \
	X(LOGS, logs)              \
	X(DELIVER, deliver)        \
	X(UPSTREAM, upstream)      \
	X(REFRESH, refresh)        \
	X(SERVICE, service)        \
	X(SERVICE_HTTP, service_http) \
	X(INFERENCE, inference)    \
	X(ADMIN, admin)            \
	X(EXTERNAL, external)      \
	X(EXEC_SSH, exec_ssh)      \
	X(TRACE, trace)            \
	X(FOLDER, folder)          \
	X(EDGE, edge)              \
	/* each row ends so */
/* clang-format on */

#define CV_GW_PART_ENUM(name, lower) CV_GW_PART_##name,
enum cv_gw_part_id { CV_GW_PARTS(CV_GW_PART_ENUM) CV_GW_PART_COUNT };
#undef CV_GW_PART_ENUM

#define CV_GW_PART_EXTERN(name, lower) extern const struct cv_gw_part cv_gw_part_##lower;
CV_GW_PARTS(CV_GW_PART_EXTERN)
#undef CV_GW_PART_EXTERN

/* A part has eight kinds of watches of its own; those behind the 32nd have none. */
#define CV_GW_WATCH_SUBS       8
#define CV_GW_WATCH(part, sub) ((uint8_t)((part)*CV_GW_WATCH_SUBS + (sub)))
#define CV_GW_WATCH_PART(kind) ((kind) / CV_GW_WATCH_SUBS)
#define CV_GW_WATCH_SUB(kind)  ((kind) % CV_GW_WATCH_SUBS)

struct cv_gateway {
	struct cv_loop loop;
	const struct cv_gw_config *config; /* the present one: another after a reload */
	const char *state_dir;             /* absolute; 0700, and locked */
	int state_fd;                      /* the same, for the *at() calls */
	const char *id;                    /* gateway_id of tokens */
	struct cv_store *store;
	struct cv_objects *objects;
	struct cv_rpc_server *server;
	uint16_t port; /* that clients come to */
	bool is_draining;
	bool has_child_ended;   /* some process that a part started: sandbox.c waits for its own */
	size_t part_count;      /* that have started */
	int64_t drain_until_ms; /* loop time: then the process ends whatever still runs */
	int lock_fd;            /* the state directory's */
	char **env, **flags;    /* where the configuration came from, to read it again */
	size_t flag_count;

	/* Of one part each. */
	struct cv_gw_auth *auth;
	struct cv_gw_oidc *oidc;
	struct cv_gw_sandboxes *sandboxes;
	struct cv_gw_execs *execs;
	struct cv_gw_exec_sshs *exec_sshs;
	struct cv_gw_kepts *kepts;
	struct cv_gw_watches *watches;
	struct cv_gw_forwards *forwards;
	struct cv_gw_ssh *ssh;
	struct cv_gw_policies *policies;
	struct cv_gw_drafts *drafts;
	struct cv_gw_profiles *profiles;
	struct cv_gw_vault *vault;
	struct cv_gw_refreshes *refreshes;
	struct cv_gw_probes *probes;
	struct cv_gw_admin *admin;
	struct cv_gw_deliveries *deliveries;
	struct cv_gw_logs *logs;
	struct cv_gw_relays *relays;
	struct cv_gw_tools *tools;
	struct cv_gw_approvals *approvals;
	struct cv_gw_externals *externals;
	struct cv_gw_admission *admission;
	struct cv_gw_traces *traces;
	struct cv_gw_folders *folders;
};

static inline struct cv_gateway *cv_gw_of(const struct cv_rpc_call *c)
{
	return cv_rpc_call_arg(c);
}

static inline struct cv_gateway *cv_gw_of_request(const struct cv_rpc_request *r)
{
	return cv_rpc_request_arg(r);
}

/* The methods and pages of all parts, as the server wants them. */
const struct cv_rpc_method *cv_gw_methods(size_t *ret_n);
const struct cv_rpc_page *cv_gw_pages(size_t *ret_n);
extern const struct cv_gw_part *const cv_gw_part[CV_GW_PART_COUNT];

/* Ends the call with a status that came with a sentence. */
void cv_gw_fail(struct cv_rpc_call *c, enum cv_rpc_status s, const struct cv_err *err);
