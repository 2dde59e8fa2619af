/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spec.h - what the user asked for and what this host is, as data: the input of a plan
 *
 * `cove run` fills a spec from its options, the policy's static sections and a look at the host;
 * cv_plan_build() turns it into an ordered plan.  Nothing here is an action.  All strings are
 * borrowed from the caller for the life of the spec.
 */
#pragma once
#include "base/str.h"
#include "plan/interception.h"
#include "policy/model.h"

#include <stdint.h>

enum cv_rootfs_kind { CV_ROOTFS_HOST, CV_ROOTFS_DIR };

/* Strongest last, so that tiers compare. */
/* clang-format off */
#define CV_TIERS(X)                                                                        \
	X(NONE, "none")             /* nothing that confines */                            \
	X(LANDLOCK, "landlock")     /* Landlock files and TCP ports, seccomp; no namespaces */ \
	X(NAMESPACES, "namespaces") /* the default */                                      \
	X(GVISOR, "gvisor")                                                                \
	X(VM, "vm")
/* clang-format on */
#define CV_TIER_ENUM(name, text) CV_TIER_##name,
enum cv_tier { CV_TIERS(CV_TIER_ENUM) CV_TIER_COUNT };
#undef CV_TIER_ENUM

enum cv_tty_mode { CV_TTY_AUTO, CV_TTY_YES, CV_TTY_NO };

struct cv_spec_mount {
	struct cv_str src, dst;
	bool is_readonly;
};

struct cv_spec_pin { /* --resolve HOST:PORT:ADDR */
	struct cv_str host, addr;
	uint16_t port;
};

/* A path that policy or an option names, as the host has it. */
enum cv_path_kind { CV_PATH_ABSENT, CV_PATH_FILE, CV_PATH_DIR, CV_PATH_OTHER };

struct cv_spec_path {
	struct cv_str path;
	enum cv_path_kind kind;
	bool is_writable; /* policy says read_write */
};

/* A file of the host that the run was told of (named.h). */
enum cv_named_kind {
	CV_NAMED_FILE,
	CV_NAMED_POLICY, /* which is read again */
	CV_NAMED_SECRET, /* holds a value that the sandbox must not have */
};

struct cv_spec_named {
	struct cv_str path; /* absolute, links resolved */
	enum cv_named_kind kind;
};

struct cv_run_spec {
	enum cv_rootfs_kind rootfs;
	struct cv_str rootfs_dir;    /* CV_ROOTFS_DIR */
	struct cv_str workdir;       /* absolute, symlinks resolved; mounted at the same path */
	bool has_workdir_protection; /* .git/hooks and the like read-only inside workdir */
	const struct cv_spec_mount *mounts;
	size_t mount_count;
	const struct cv_str *env; /* "K=V" that the user set, in order; later ones win */
	size_t env_count;
	const struct cv_str *argv;
	size_t argv_count;
	uint32_t cpu_milli; /* 0: no limit asked for; 1500 is one and a half CPUs */
	uint64_t memory_bytes;
	uint32_t pids;
	uint64_t timeout_ms; /* 0: none */
	uint64_t approve_ms; /* 0: CV_PLAN_APPROVE_MS */
	struct cv_str user;  /* --user or policy's run_as_user; empty: "sandbox" */
	struct cv_str group;
	enum cv_tty_mode tty;
	enum cv_tier tier_min;
	uint32_t interception; /* cv_interception that must be; AUTO: the best there is */
	bool is_nested;        /* namespaces may be made inside */
	bool has_ids;          /* the command begins in one, with the caller's range of ids */
	bool has_ocsf_log;     /* the sandbox has its events as JSON, too */
	bool is_quiet;
	bool is_verbose;
	const struct cv_spec_pin *pins;
	size_t pin_count;

	/* from the policy */
	bool has_network;      /* something may be allowed: a proxy with interception is needed */
	const uint32_t *ports; /* that it names, each once; CV_PLAN_PORTS_MAX and one at most */
	uint32_t port_count;
	const struct cv_spec_path *paths; /* filesystem_policy, baseline added, looked up */
	size_t path_count;
	bool include_workdir;
	enum cv_landlock_compat landlock;

	struct cv_str hostname; /* inside; empty: CV_SANDBOX_HOSTNAME */

	/* the host */
	const struct cv_spec_path *protected_paths; /* of plan/protected.h, as workdir has them */
	size_t protected_count;
	const struct cv_spec_named *named;
	size_t named_count;
	struct cv_str date;                    /* "2026-11-21", UTC: part of the logs' names */
	bool memory_by_rlimit, pids_by_rlimit; /* no cgroup here can enforce that limit */
	uint32_t host_uid, host_gid;
	bool is_host_root;
	struct cv_str shell; /* of the root, for SHELL and the account; empty: none */
	bool has_merged_usr; /* /bin and /lib are links into /usr */
};
