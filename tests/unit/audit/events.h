/* SPDX-License-Identifier: Apache-2.0 */
/*
 * events.h - the events whose texts are kept as golden files, one per shape
 */
#pragma once
#include "audit/event.h"

#define AT 1795261954123LL /* 2026-11-21T11:52:34.123Z */

static const struct cv_ip public_ip = { .b = { [10] = 0xff, [11] = 0xff, 93, 184, 216, 34 },
	.is_v4 = true };
static const struct cv_ip sandbox_ip = { .b = { [10] = 0xff, [11] = 0xff, 10, 200, 0, 2 },
	.is_v4 = true };
static const struct cv_ip loopback6 = { .b = { [15] = 1 } };
static const struct cv_str ancestors[] = { { "/usr/bin/bash", 13 }, { "/sbin/init", 10 } };
static const struct cv_audit_pair pairs[] = { { "policy_hash", { "12ab", 4 } },
	{ "source", { "a b]c", 5 } } };

/* clang-format off */
static const struct cv_audit_event golden_events[] = {
	{ .kind = CV_AUDIT_NET, .activity = CV_ACTIVITY_OPEN, .action = CV_AUDIT_ACTION_ALLOW,
	  .time_ms = AT, .seq = 1, .sandbox = CV_STR("demo"), .pid = 112,
	  .exe = CV_STR("/usr/bin/git"), .ancestors = ancestors, .ancestor_count = 2,
	  .host = CV_STR("git.example"), .port = 443, .dst_ip = &public_ip, .src_ip = &sandbox_ip,
	  .src_port = 40000, .protocol = CV_STR("tcp"), .policy = CV_STR("src"), .rule_line = 7,
	  .engine = "opa" },
	{ .kind = CV_AUDIT_NET, .activity = CV_ACTIVITY_OPEN, .action = CV_AUDIT_ACTION_DENY,
	  .time_ms = AT, .seq = 2, .pid = 131, .exe = CV_STR("/usr/bin/git"),
	  .host = CV_STR("other.example"), .port = 443, .engine = "opa",
	  .reason_code = "endpoint_not_allowed",
	  .reason = CV_STR("endpoint other.example:443 is not allowed by any policy"),
	  .nearest_policy = CV_STR("src"), .nearest_miss = CV_STR("host is git.example") },
	{ .kind = CV_AUDIT_NET, .activity = CV_ACTIVITY_OPEN, .action = CV_AUDIT_ACTION_DENY,
	  .time_ms = AT, .seq = 3, .host = CV_STR("::1"), .dst_ip = &loopback6, .port = 8080,
	  .engine = "ssrf", .reason_code = "always_blocked",
	  .reason = CV_STR("::1 resolves to always-blocked address ::1, connection rejected") },
	{ .kind = CV_AUDIT_NET, .activity = CV_ACTIVITY_CLOSE, .action = CV_AUDIT_ACTION_ALLOW,
	  .time_ms = AT, .seq = 4, .pid = 112, .exe = CV_STR("/opt/my tool/x"),
	  .host = CV_STR("git.example"), .port = 443, .policy = CV_STR("src"), .engine = "opa",
	  .has_counts = true, .bytes_up = 1200, .bytes_down = 3456789, .duration_us = 1234567 },
	{ .kind = CV_AUDIT_NET, .activity = CV_ACTIVITY_LISTEN, .time_ms = AT, .seq = 5,
	  .host = CV_STR("10.200.0.1"), .port = 3128 },
	{ .kind = CV_AUDIT_HTTP, .action = CV_AUDIT_ACTION_DENY, .time_ms = AT, .seq = 6, .pid = 58,
	  .exe = CV_STR("/usr/bin/curl"), .host = CV_STR("api.test"), .port = 443,
	  .method = CV_STR("POST"), .path = CV_STR("/v1/items/7"), .has_query = true, .status = 403,
	  .policy = CV_STR("api"), .rule_line = 12, .engine = "l7",
	  .reason_code = "request_not_permitted",
	  .reason = CV_STR("POST /v1/items/7 not permitted by policy") },
	{ .kind = CV_AUDIT_HTTP, .action = CV_AUDIT_ACTION_LOG, .time_ms = AT, .seq = 7,
	  .host = CV_STR("api.test"), .port = 8080, .scheme = CV_STR("http"),
	  .method = CV_STR("GET"), .path = CV_STR("/"), .status = 200, .policy = CV_STR("api"),
	  .engine = "l7", .reason_code = "request_not_permitted",
	  .reason = CV_STR("GET / not permitted by policy"),
	  .has_counts = true, .bytes_up = 1, .bytes_down = 2, .duration_us = 999 },
	{ .kind = CV_AUDIT_HTTP, .action = CV_AUDIT_ACTION_DENY, .time_ms = AT, .seq = 8,
	  .exe = CV_STR("/tmp/\x1b[2Jx"), .pid = 9, .host = CV_STR("a\nb"), .port = 443,
	  .method = CV_STR("GE\"T"), .path = CV_STR("/\r\n{\"fake\":1}\xff\xe2\x80\xae"),
	  .engine = "l7", .policy = CV_STR("p] [x:y"), .reason = CV_STR("a [b]\nc\x1b[0m") },
	{ .kind = CV_AUDIT_DNS, .activity = CV_ACTIVITY_QUERY, .action = CV_AUDIT_ACTION_DENY,
	  .time_ms = AT, .seq = 9, .host = CV_STR("secret.evil.test"), .qtype = CV_STR("TXT"),
	  .status = 6, .engine = "opa", .reason_code = "endpoint_not_allowed",
	  .reason = CV_STR("no policy has this name") },
	{ .kind = CV_AUDIT_PROC, .activity = CV_ACTIVITY_TERMINATE, .time_ms = AT, .seq = 10,
	  .pid = 7, .exe = CV_STR("/bin/sh"), .has_exit_code = true, .exit_code = 3,
	  .message = CV_STR("sh -c 'exit 3'") },
	{ .kind = CV_AUDIT_FINDING, .activity = CV_ACTIVITY_CREATE, .severity = CV_SEVERITY_HIGH,
	  .time_ms = AT, .seq = 11, .message = CV_STR("Landlock is not available"),
	  .finding_uid = CV_STR("landlock.unavailable") },
	{ .kind = CV_AUDIT_CONFIG, .activity = CV_ACTIVITY_LOADED, .time_ms = AT, .seq = 12,
	  .message = CV_STR("Policy reloaded successfully"), .extra = pairs, .extra_count = 2 },
	{ .kind = CV_AUDIT_LIFECYCLE, .activity = CV_ACTIVITY_START, .time_ms = AT, .seq = 13,
	  .sandbox = CV_STR("demo") },
	{ .kind = CV_AUDIT_TOOL, .activity = CV_ACTIVITY_CALL, .action = CV_AUDIT_ACTION_ALLOW,
	  .time_ms = AT, .seq = 14, .sandbox = CV_STR("demo"), .pid = 112,
	  .exe = CV_STR("/usr/bin/curl"), .ancestors = ancestors, .ancestor_count = 2,
	  .tool = CV_STR("github.issue_create"), .digest = CV_STR("9f86d081"), .job = CV_STR("0a1b"),
	  .policy = CV_STR("issues"), .rule_line = 4, .engine = "tools", .status = 502,
	  .reason_code = "tool_failed", .has_exit_code = true, .exit_code = 3,
	  .has_counts = true, .bytes_up = 16, .bytes_down = 6, .duration_us = 21500 },
	{ .kind = CV_AUDIT_TOOL, .activity = CV_ACTIVITY_CALL, .action = CV_AUDIT_ACTION_DENY,
	  .time_ms = AT, .seq = 15, .sandbox = CV_STR("demo"), .tool = CV_STR("a] [b\nc"),
	  .engine = "tools", .status = 404, .reason_code = "unknown_tool",
	  .reason = CV_STR("there is no tool of that name") },
};
/* clang-format on */
