/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rootfs.h - what a sandbox sees that is not the user's own, row by row
 */
#pragma once

/* clang-format off */
/* Of the host's /etc, and nothing else of it.  BIND: seen in place; COPY: small, copied. */
#define CV_ETC_ROWS(X) /* how, path, why programs need it */                                    \
	X(BIND, "/etc/alternatives", "Debian's /usr/bin/{awk,editor,java,…} are links through it") \
	X(BIND, "/etc/ssl/certs", "the trusted roots, by file and by hash")                     \
	X(BIND, "/etc/pki/tls/certs", "the same on Fedora and its kin")                         \
	X(BIND, "/etc/ca-certificates/extracted", "the same on Arch")                           \
	X(COPY, "/etc/ssl/openssl.cnf", "OpenSSL refuses some commands without it")             \
	X(BIND, "/etc/ld.so.cache", "where the loader finds libraries outside of /usr/lib")     \
	X(COPY, "/etc/localtime", "local time")                                                 \
	X(COPY, "/etc/protocols", "getprotobyname()")                                           \
	X(COPY, "/etc/services", "getservbyname()")                                             \
	X(BIND, "/etc/mime.types", "types of files by name")                                    \
	X(BIND, "/etc/java-17-openjdk", "Java does not start without its configuration")        \
	X(BIND, "/etc/java-21-openjdk", "Java does not start without its configuration")

/* Device nodes of the host. */
#define CV_DEVICE_ROWS(X) \
	X("/dev/null") X("/dev/zero") X("/dev/full") X("/dev/random") X("/dev/urandom") \
	X("/dev/tty")

/* Links in /dev. */
#define CV_DEV_LINK_ROWS(X)               \
	X("/dev/ptmx", "pts/ptmx")        \
	X("/dev/fd", "/proc/self/fd")     \
	X("/dev/stdin", "/proc/self/fd/0") \
	X("/dev/stdout", "/proc/self/fd/1") \
	X("/dev/stderr", "/proc/self/fd/2") \
	X("/dev/core", "/proc/kcore")

/* Parts of /proc that tell of the host.  ROOT: an ordinary user can't read them anyway. */
#define CV_PROC_MASK_ROWS(X) /* path, when, what it would show */                   \
	X("/proc/keys", ALWAYS, "the user's keyrings on the host")                  \
	X("/proc/key-users", ALWAYS, "who has keys on the host")                    \
	X("/proc/kcore", ROOT, "the memory of the machine")                         \
	X("/proc/timer_list", ROOT, "processes and kernel addresses")               \
	X("/proc/sysrq-trigger", ROOT, "reboots the machine")                       \
	X("/proc/sched_debug", ROOT, "all processes of the machine")                \
	X("/proc/latency_stats", ROOT, "kernel addresses")                          \
	X("/proc/slabinfo", ROOT, "what the kernel holds")                          \
	X("/proc/vmallocinfo", ROOT, "kernel addresses")                            \
	X("/proc/kpageflags", ROOT, "the memory of the machine")                    \
	X("/proc/kpagecount", ROOT, "the memory of the machine")                    \
	X("/proc/acpi", ROOT, "the machine's firmware")                             \
	X("/proc/scsi", ROOT, "the machine's disks")

/* Variables that every command gets; --env comes after and wins. */
#define CV_ENV_ROWS(X)                                                               \
	X("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")       \
	X("HOME=/sandbox")                                                           \
	X("LANG=C.UTF-8")                                                            \
	X("COVE_SANDBOX=1")

#define CV_PROXY_URL "http://10.200.0.1:3128"
#define CV_NO_PROXY  "127.0.0.1,localhost,::1"

/* Where programs look for roots. */
#define CV_ENV_CA_ROWS(X)                                                            \
	X("NODE_EXTRA_CA_CERTS=" CV_CA_FILE) X("DENO_CERT=" CV_CA_FILE)              \
	X("SSL_CERT_FILE=" CV_CA_BUNDLE) X("REQUESTS_CA_BUNDLE=" CV_CA_BUNDLE)       \
	X("CURL_CA_BUNDLE=" CV_CA_BUNDLE) X("GIT_SSL_CAINFO=" CV_CA_BUNDLE)          \
	X("PIP_CERT=" CV_CA_BUNDLE) X("CARGO_HTTP_CAINFO=" CV_CA_BUNDLE)             \
	X("AWS_CA_BUNDLE=" CV_CA_BUNDLE)

/* With a network: the proxy, named in both cases for clients that look at only one. */
#define CV_ENV_PROXY_ROWS(X)                                                         \
	X("ALL_PROXY=" CV_PROXY_URL) X("HTTP_PROXY=" CV_PROXY_URL)                   \
	X("HTTPS_PROXY=" CV_PROXY_URL) X("all_proxy=" CV_PROXY_URL)                  \
	X("http_proxy=" CV_PROXY_URL) X("https_proxy=" CV_PROXY_URL)                 \
	X("grpc_proxy=" CV_PROXY_URL)                                                \
	X("NO_PROXY=" CV_NO_PROXY) X("no_proxy=" CV_NO_PROXY)                        \
	X("NODE_USE_ENV_PROXY=1") CV_ENV_CA_ROWS(X)

/* Where programs that look at no variable (wget, GnuTLS, env -i) find the roots; the run's bundle
 * is seen there too. */
#define CV_BUNDLE_ROWS(X)                                                                   \
	X("/etc/ssl/certs/ca-certificates.crt")                                              \
	X("/etc/pki/tls/certs/ca-bundle.crt")                                                \
	X("/etc/ca-certificates/extracted/tls-ca-bundle.pem")
/* clang-format on */

#define CV_TLS_DIR   "/etc/openshell-tls"
#define CV_CA_FILE   CV_TLS_DIR "/openshell-ca.pem"
#define CV_CA_BUNDLE CV_TLS_DIR "/ca-bundle.pem"

/* How host tools are called, for an agent that has not asked yet. */
#define CV_ETC_HOSTNAME "/etc/hostname"
#define CV_ETC_HOSTS    "/etc/hosts"
#define CV_COVE_DIR     "/etc/cove"
#define CV_TOOLS_SKILL  CV_COVE_DIR "/tools/SKILL.md"

/* What to do about a refusal; under the names that OpenShell has for it (openshell-behaviour 3.10). */
#define CV_SKILLS_DIR    "/etc/openshell/skills"
#define CV_ADVISOR_SKILL CV_SKILLS_DIR "/policy_advisor.md"
