/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limits.h - what a plan may hold; a plan that exceeds one is refused before anything starts
 */
#pragma once

#define CV_PLAN_OPS_MAX         1024  /* 256 paths of a policy, 256 mounts, and the fixed ones */
#define CV_PLAN_ARGS_MAX        16384 /* arguments, or variables, of one command */
#define CV_PLAN_RULES_MAX       1024  /* Landlock rules: one per path, and the fixed ones */
#define CV_PLAN_METADATA_MAX    16    /* facts; two kinds of server have nine */
#define CV_PLAN_PORTS_MAX       32    /* of a policy, that anyip listens on: two descriptors each */
#define CV_PLAN_PINS_MAX        256   /* --resolve; so many are taken by each program of a run */
#define CV_PLAN_PROVIDERS_MAX   32    /* as many as may be attached */
#define CV_PLAN_KEYS_MAX        256   /* variables with placeholders, of one provider */
#define CV_PLAN_TOOLS_FILES_MAX 16    /* --tools */
#define CV_PLAN_TOOLS_MAX       1024  /* of all these files: what a proxy can be told of */
#define CV_PLAN_COURIER_ENV_MAX 64 /* HOME, PATH and what provider files name; as the courier's */
#define CV_PLAN_STRING_MAX      131072      /* one argument or file: the kernel's MAX_ARG_STRLEN */
#define CV_PLAN_BYTES_MAX       (4u << 20)  /* twice the usual ARG_MAX, marshalled */
#define CV_PLAN_MEMORY_MAX      (16u << 20) /* arrays of a plan that was read */
#define CV_PLAN_PATH_MAX        4096        /* PATH_MAX, which openat2 insists on */
#define CV_SANDBOX_HOSTNAME     "cove"
#define CV_PLAN_HOSTNAME_MAX    64       /* __NEW_UTS_LEN, uname(2) */
#define CV_PLAN_UID_DEFAULT     1000     /* `sandbox`, as in OpenShell's images */
#define CV_PLAN_TMP_INODES      "1m"     /* of the sandbox's memory file system: a million files */
#define CV_PLAN_TMP_BYTES       "50%"    /* of the machine's memory; --memory limits it further */
#define CV_PLAN_APPROVE_MS      300000   /* a question is held: who is asked may be at lunch */
#define CV_PLAN_APPROVE_MS_MAX  86400000 /* a day: what holds it plans for no more */
#define CV_PLAN_NOFILE          65536 /* descriptors: enough for a build, clipped to the host's */
