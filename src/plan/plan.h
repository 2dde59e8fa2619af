/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plan.h - a sandbox as data: ordered operations, printed, marshalled, then executed
 *
 *     spec --cv_plan_build()--> plan --cv_plan_text()/json()--> --dry-run
 *                                 |
 *                                 +--cv_plan_put()--> memfd --cv_plan_get()--> supervisor
 *
 * All judgement happens while building; who executes a plan loops over a table of handlers and
 * decides nothing.  dst is always a path in the sandbox, src one on the host.
 *
 * Ownership: strings of a built plan are borrowed from the spec and the arena given; those of a
 * plan that was read are borrowed from its bytes, where each ends in a NUL.
 */
#pragma once
#include "plan/command.h"
#include "plan/limits.h"
#include "plan/spec.h"

/* clang-format off */
#define CV_PLAN_OPS(X) /* enum, text, what it does */                                         \
	X(ROOT_MEMORY, "root-memory")   /* an empty memory file system becomes / */           \
	X(ROOT_OVERLAY, "root-overlay") /* src under a memory layer becomes / */              \
	X(MEMORY, "memory")             /* an empty memory file system at dst */              \
	X(DIR, "dir")                   /* a directory of mode arg, and missing parents */    \
	X(LINK, "link")                 /* a symbolic link at dst to the text */              \
	X(FILE, "file")                 /* a file of mode arg with the text */                \
	X(COPY, "copy")                 /* a small file of the host */                        \
	X(BIND, "bind")                 /* src, file or directory, seen at dst */             \
	X(OVER, "over")                 /* src, of the sandbox itself, seen at dst too */     \
	X(KEEP, "keep")                 /* dst stays writable when / is sealed */             \
	X(PROC, "proc")                 /* a private /proc */                                 \
	X(MASK, "mask")                 /* nothing to be seen at dst */                       \
	X(NODE, "node")                 /* a device node of the host */                       \
	X(PTS, "pts")                   /* pseudo terminals of its own */                     \
	X(PROTECT, "protect")           /* dst read-only where it is */                       \
	X(LOG, "log")                   /* a file the sandbox reads and the proxy writes */   \
	X(HOSTNAME, "hostname")         /* the text */                                        \
	X(SEAL, "seal")                 /* / gets its flags; the host's tree is let go */
/* clang-format on */
#define CV_PLAN_OP_ENUM(name, text) CV_PLAN_##name,
enum cv_plan_op_type { CV_PLAN_OPS(CV_PLAN_OP_ENUM) CV_PLAN_OP_COUNT };
#undef CV_PLAN_OP_ENUM
const char *cv_plan_op_name(uint32_t type);

enum {
	CV_PLAN_OPTIONAL = 1 << 0, /* left out when the host does not have src */
	CV_PLAN_READONLY = 1 << 1,
	CV_PLAN_REPLACE = 1 << 2, /* what an image has at dst goes first */
	CV_PLAN_NOEXEC = 1 << 3,
	CV_PLAN_POLICY =
		1 << 4, /* PROTECT: dst is the policy file, trusted while it is read-only */
	CV_PLAN_LOG_OCSF = 1 << 5, /* LOG: events whole, as JSON lines */
};

struct cv_plan_op {
	uint32_t type, flags, arg;
	struct cv_str src, dst, text;
};

struct cv_plan_pin {
	struct cv_str host, addr;
	uint32_t port;
};

enum {                            /* cv_plan.flags */
	CV_PLAN_NETWORK = 1 << 0, /* keeper and proxy from the start; else a proxy when needed */
	CV_PLAN_TTY = 1 << 1,
	CV_PLAN_QUIET = 1 << 2,
	CV_PLAN_VERBOSE = 1 << 3,
	CV_PLAN_AUDIT = 1 << 4, /* the user named an audit file */
	/* Descriptor CV_PLAN_CREDENTIALS_FD is a sealed memfd with a cv_cred_set: the supervisor
	 * gives it to the keeper and to nobody else, and does not read it. */
	CV_PLAN_CREDENTIALS = 1 << 5,
	CV_PLAN_UPSTREAM_BY_NAME = 1 << 6, /* the upstream proxy is told names */
	/* Descriptor CV_PLAN_UPSTREAM_FD is a sealed memfd with USER:PASSWORD for the upstream
	 * proxy: for cove-proxy and nobody else. */
	CV_PLAN_UPSTREAM_AUTH = 1 << 7,
	CV_PLAN_RENEWAL = 1 << 8,         /* some of them are renewed: a courier runs */
	CV_PLAN_RENEWAL_COMMAND = 1 << 9, /* ... and some by a command of the user's */
	CV_PLAN_IDS =
		1 << 10, /* the caller's range of ids is inside too, behind inner_uid and _gid */
	CV_PLAN_TOOLS_LATE = 1 << 11, /* the first call starts the broker of host tools */
};

#define CV_PLAN_FD             3 /* of the plan itself */
#define CV_PLAN_CREDENTIALS_FD 4
#define CV_PLAN_UPSTREAM_FD    5
#define CV_PLAN_KEEPER_FD      6
#define CV_PLAN_FD_COUNT       7 /* none of ours from here on */

/* A run with providers and without a policy file: what the proxy is given instead. */
#define CV_PLAN_NO_POLICY_NAME      "(no policy)"
#define CV_PLAN_NO_POLICY_TEXT      "version: 1\n"

#define CV_PLAN_GATEWAY_TOKEN_BYTES 32

enum {                                      /* cv_plan_gateway.flags */
	CV_PLAN_GATEWAY_NO_MAIN = 1 << 0,   /* the sandbox stands until it is told to stop */
	CV_PLAN_GATEWAY_MAIN_ENDS = 1 << 1, /* the gateway gets the ends of the main command; else
					     * its output is the supervisor's */
	CV_PLAN_GATEWAY_SPARE = 1 << 2, /* built ahead: stands until it is told which one it is */
	/* Descriptor CV_PLAN_KEEPER_FD is the control link of a keeper that is being made; those
	 * after it, should it die, are started as in any run. */
	CV_PLAN_GATEWAY_KEEPER = 1 << 3,
	/* Started, or claimed, while its record is being written: stands, and runs nothing before
	 * the gateway has said ACCEPTED (or GO, to one that was claimed) */
	CV_PLAN_GATEWAY_AWAIT = 1 << 4,
	CV_PLAN_GATEWAY_PROPOSALS = 1 << 5, /* agents may propose rules, until SETTINGS says else */
};

/* A sandbox that belongs to a gateway (ipc/gateway_link.h); without a socket it belongs to nobody,
 * and ends with its command. */
struct cv_plan_gateway {
	struct cv_str socket; /* absolute */
	struct cv_str sandbox, instance;
	unsigned char token[CV_PLAN_GATEWAY_TOKEN_BYTES]; /* never printed */
	uint32_t flags;
};

/* An attached provider, for people to see. */
struct cv_plan_provider {
	struct cv_str name, type;
	struct cv_str *keys; /* variables of the sandbox that hold its placeholders */
	uint32_t key_count;
};

struct cv_plan_tool {
	struct cv_str name, asks; /* what the policy asks of a call; "denied" */
};

struct cv_plan {
	uint32_t flags;
	uint32_t inner_uid, inner_gid; /* the only ids that exist inside */
	uint32_t interception;         /* cv_interception that must be, or AUTO */
	/* That the policy names: what anyip listens on.  One more than it can is there when they are
	 * too many for it. */
	uint32_t ports[CV_PLAN_PORTS_MAX + 1];
	uint32_t port_count;
	struct cv_plan_gateway gateway;
	struct cv_plan_op *ops;
	uint32_t op_count;
	struct cv_plan_command command;
	struct cv_str command_bytes; /* of a plan that was read: the command as it is forwarded */
	/* limits by cgroup; 0: none asked for, or a limit of the command's */
	uint32_t cpu_milli, pids;
	uint64_t memory_bytes, timeout_ms;
	/* what the supervisor reads and watches on the host; empty: absent */
	struct cv_str exe_init, exe_proxy, exe_keeper, exe_courier,
		exe_broker;         /* our own programs */
	struct cv_str policy_file;  /* absolute, as to be watched */
	struct cv_str policy_name;  /* as the user wrote it */
	struct cv_str policy_layer; /* what providers lay over the policy; empty: no provider */
	struct cv_plan_provider *providers;
	uint32_t provider_count;
	uint64_t approve_ms;       /* how long a question for a person is held */
	struct cv_str approve_dir; /* the user's own, for the socket of `cove approve` */
	struct cv_str audit_file;  /* absolute */
	struct cv_str roots;       /* PEM bundle of the host */
	struct cv_str *ca_files;   /* --ca */
	uint32_t ca_count;
	struct cv_plan_pin *pins;
	uint32_t pin_count;
	struct cv_str *budgets; /* --budget, as written */
	uint32_t budget_count;
	struct cv_str routes_file;                     /* --inference, absolute */
	struct cv_str upstream_proxy, upstream_direct; /* as written (forward.h); empty: none */
	/* NAME=VALUE of the host, for renewals by command; may be secret, and so never printed */
	struct cv_str *courier_env;
	uint32_t courier_env_count;
	struct cv_str *metadata; /* what emulated metadata servers say; the proxy knows the order */
	uint32_t metadata_count; /* 0: there are none */
	struct cv_str *tools_files; /* --tools, absolute; none: the run has no host tools */
	uint32_t tools_count;
	struct cv_plan_tool *tools; /* those of the files, for people to see */
	uint32_t tool_count;
	struct cv_str tools_map;    /* the same, as the proxy is told (toolmap.h) */
	struct cv_str tools_digest; /* SHA-256 of their token, in hexadecimal; never printed */
	struct cv_str tools_state;  /* directory in which the broker gets one of its own */
	struct cv_str tools_slots; /* file that brokers count calls in together; empty: none does */
	struct cv_str *tools_env;  /* NAME=VALUE that tools may inherit; never printed */
	uint32_t tools_env_count;
	struct cv_str *watch; /* protected paths that are absent now: named if present at the end */
	uint32_t watch_count;
};

/* What a run has besides its spec: files of the host that only the supervisor opens. */
struct cv_plan_files {
	struct cv_str exe_init, exe_proxy, exe_keeper, exe_courier, exe_broker;
	struct cv_str policy_file, policy_name, policy_layer, audit_file, roots;
	struct cv_plan_provider *providers;
	size_t provider_count;
	const struct cv_str *ca_files;
	size_t ca_count;
	const struct cv_str *budgets;
	size_t budget_count;
	struct cv_str routes_file;
	struct cv_str upstream_proxy, upstream_direct;
	bool is_upstream_by_name, has_upstream_auth;
	bool has_renewal, has_renewal_command;
	struct cv_str *courier_env;
	size_t courier_env_count;
	const struct cv_str *metadata;
	size_t metadata_count;
	struct cv_str *tools_files;
	size_t tools_count;
	struct cv_plan_tool *tools;
	size_t tool_count;
	struct cv_str tools_map, tools_digest, tools_state, tools_slots;
	bool is_tools_late;
	struct cv_str approve_dir;
	struct cv_str tools_skill;   /* CV_TOOLS_SKILL in the sandbox */
	struct cv_str advisor_skill; /* CV_ADVISOR_SKILL; empty: none of its files */
	struct cv_str *tools_env;
	size_t tools_env_count;
	bool has_terminal; /* stdin and stdout are terminals */
	struct cv_plan_gateway gateway;
};

/* CV_INVALID: the spec contradicts itself; CV_LIMIT: too much of something. */
CV_MUST cv_code cv_plan_build(const struct cv_run_spec *spec, const struct cv_plan_files *files,
	struct cv_arena *arena, struct cv_plan *ret, struct cv_err *err);

void cv_plan_text(const struct cv_plan *plan, struct cv_buf *out);
void cv_plan_json(const struct cv_plan *plan, struct cv_buf *out);

CV_MUST bool cv_plan_put(struct cv_buf *b, const struct cv_plan *plan);
CV_MUST cv_code cv_plan_get(
	struct cv_str bytes, struct cv_arena *arena, struct cv_plan *ret, struct cv_err *err);
