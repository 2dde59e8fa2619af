/* SPDX-License-Identifier: Apache-2.0 */
/*
 * driver.h - what makes a sandbox of a gateway run somewhere
 *
 *     description --start()--> cove-supervisor, a process that dials the gateway's socket
 *                                 |
 *     directory of the sandbox ---+--- workspace/ (the agent's /sandbox), log, policy.yaml, run
 *
 * A driver is a table of functions.  What it is told is plain data; what it knows about a running
 * sandbox it can find again after its own program was restarted (adopt()): the file `run` names the
 * process, its start, its instance and its token.
 *
 * Process:   whoever owns the driver; single-threaded.
 * Ownership: strings of a description are borrowed for the call; a process' pidfd is the caller's.
 * A stopped sandbox keeps its directory; remove() takes it away.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"
#include "plan/plan.h"

#include <stdint.h>
#include <sys/types.h>

#define CV_DRIVER_INSTANCE_BYTES 36 /* a UUID as text */
/* Of spares' ids.  Directories of theirs that an earlier owner left are removed by open(). */
#define CV_DRIVER_SPARE_PREFIX "spare-"

struct cv_driver_capabilities {
	const char *name, *version; /* static */
	bool has_directories;       /* a root from a directory of the host */
	bool has_resources;         /* cpu, memory and number of processes can be limited */
};

struct cv_driver_tools;

/* A sandbox, as it is to be started. */
struct cv_driver_sandbox {
	struct cv_str id, name;
	struct cv_str instance;     /* of this start: CV_DRIVER_INSTANCE_BYTES */
	const unsigned char *token; /* CV_PLAN_GATEWAY_TOKEN_BYTES */
	struct cv_str socket;       /* the gateway's, absolute */
	const struct cv_str *argv;  /* none: the sandbox stands until it is stopped */
	size_t argv_count;
	bool has_tty;
	const struct cv_str *env; /* K=V, in order; later ones win */
	size_t env_count;
	struct cv_str rootfs_dir; /* empty: the host's own /usr */
	uint32_t cpu_milli, pids; /* 0: no limit */
	uint64_t memory_bytes;
	struct cv_str policy;       /* YAML; empty: allows nothing */
	struct cv_str policy_layer; /* what providers lay over it */
	const struct cv_plan_provider *providers;
	size_t provider_count;
	/* Descriptor of a set for the keeper (cred/set.h), -1: none; stays open here */
	int credentials;
	bool has_renewal, has_renewal_command;
	const struct cv_str *courier_env;
	size_t courier_env_count;
	const struct cv_str *metadata;
	size_t metadata_count;
	struct cv_str approve_dir; /* for the sockets of questions; empty: none */
	const struct cv_str *budgets;
	size_t budget_count;
	struct cv_str routes_file;      /* absolute; empty: no inference.local */
	const struct cv_spec_pin *pins; /* addresses that are taken for names */
	size_t pin_count;
	const struct cv_str *ca_files; /* trusted besides the host's roots; absolute */
	size_t ca_count;
	const struct cv_driver_tools *tools; /* tools.h; NULL: no host tools */
	uint32_t approve_seconds;            /* that a question is held; 0: the default */
	bool has_ocsf_log;                   /* its events as JSON inside, too */
	bool may_propose;                    /* its agents may propose rules, from the start */
	uint32_t interception;               /* cv_interception; AUTO: the best that the host has */
	bool is_spare; /* built ahead, for claim(): of no policy, command, environment */
	/* Not written down yet by the caller: runs no command before the gateway has said that it
	 * is, and is swept away if nobody confirm()s. */
	bool is_new;
};

/* A supervisor that runs. */
struct cv_driver_process {
	pid_t pid;
	int pidfd; /* readable when it has ended */
	char instance[CV_DRIVER_INSTANCE_BYTES + 1];
	unsigned char token[CV_PLAN_GATEWAY_TOKEN_BYTES];
	uint64_t shape; /* of a spare: the driver's */
};

struct cv_driver;

struct cv_driver_type {
	struct cv_driver_capabilities capabilities;
	/* state: directory in which sandboxes/ID are; it is made. */
	cv_code (*open)(struct cv_str state, struct cv_driver **ret, struct cv_err *err);
	void (*close)(struct cv_driver *d); /* leaves every sandbox as it is; NULL is fine */
	/* CV_INVALID, CV_UNAVAILABLE, CV_NOT_FOUND: what was asked for can't be had, and nothing
	 * runs. */
	cv_code (*start)(struct cv_driver *d, const struct cv_driver_sandbox *s,
		struct cv_driver_process *ret, struct cv_err *err);
	/* A spare that stands becomes s: its directory is s' then, *p is changed to s' instance and
	 * token, and *ret_plan is for its supervisor (CLAIM, with s->credentials; the caller closes
	 * it).
	 * CV_UNAVAILABLE: it does not fit, or s has been started before; nothing has happened.
	 * Other failures: the spare is of no use any more, and must be ended. */
	cv_code (*claim)(struct cv_driver *d, struct cv_str spare, struct cv_driver_process *p,
		const struct cv_driver_sandbox *s, int *ret_plan, struct cv_err *err);
	/* A sandbox whose start or claim was new is written down now. */
	void (*confirm)(struct cv_driver *d, struct cv_str id, const struct cv_driver_process *p);
	/* Directories of those that an earlier owner did not come to confirm, and that nobody
	 * knows.  Their supervisors, if they run yet, run nothing, find that out and end. */
	void (*sweep)(
		struct cv_driver *d, bool (*is_known)(void *arg, struct cv_str id), void *arg);
	/* Ends it at once, with all that runs inside.  For a quieter end tell its supervisor. */
	cv_code (*kill)(struct cv_driver *d, int pidfd, struct cv_err *err);
	/* The process of a sandbox that an earlier owner of the driver started; pid 0 and pidfd -1: one
	 * may run, and dials if it does.  CV_NOT_FOUND: none runs. */
	cv_code (*adopt)(struct cv_driver *d, struct cv_str id, struct cv_driver_process *ret,
		struct cv_err *err);
	/* Of a process of start() or adopt() that has ended (its pidfd is readable): closes the pidfd
	 * and forgets it. */
	void (*reap)(struct cv_driver *d, struct cv_str id, struct cv_driver_process *p);
	/* The sandbox's directory goes: at once as far as names are concerned, its contents a moment
	 * later.  CV_OK also when there is none.  Nothing of the sandbox may run. */
	cv_code (*remove)(struct cv_driver *d, struct cv_str id, struct cv_err *err);
	/* Now and then: what was begun is looked after. */
	void (*turn)(struct cv_driver *d);
};

/* cove-supervisor on this machine. */
extern const struct cv_driver_type cv_driver_local;
