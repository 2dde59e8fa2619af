/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json.c - events as OCSF 1.8.0 objects
 *
 * Written straight into the buffer by a writer that knows only where a comma goes.  Fields that
 * are not known are left out, never empty or null; what OCSF has no place for goes to `unmapped`.
 */
#include "audit/event_int.h"

#include "base/assert.h"

#define OCSF_VERSION "1.8.0"

struct json {
	struct cv_buf *out;
	bool needs_comma;
};

static void put_key(struct json *j, const char *key)
{
	cv_buf_put(j->out, j->needs_comma ? CV_STR(",\"") : CV_STR("\""));
	cv_buf_put(j->out, cv_str_of(key));
	cv_buf_put(j->out, CV_STR("\":"));
	j->needs_comma = true;
}

static void put_str(struct json *j, const char *key, struct cv_str s)
{
	if (!s.n)
		return;
	put_key(j, key);
	cv_buf_put_json_str(j->out, s);
}

static void put_z(struct json *j, const char *key, const char *z)
{
	put_str(j, key, cv_str_of(z));
}

static void put_int(struct json *j, const char *key, int64_t v)
{
	put_key(j, key);
	if (v < 0)
		cv_buf_put_byte(j->out, '-');
	cv_buf_put_u64(j->out, v < 0 ? -(uint64_t)v : (uint64_t)v);
}

static void put_uint(struct json *j, const char *key, uint64_t v)
{
	put_key(j, key);
	cv_buf_put_u64(j->out, v);
}

static void begin(struct json *j, const char *key)
{
	if (key)
		put_key(j, key);
	else if (j->needs_comma)
		cv_buf_put_byte(j->out, ',');
	cv_buf_put_byte(j->out, '{');
	j->needs_comma = false;
}

static void end(struct json *j)
{
	cv_buf_put_byte(j->out, '}');
	j->needs_comma = true;
}

struct activity {
	uint8_t id;
	const char *name;
};

/* clang-format off */
static const struct { const char *method; struct activity activity; } http_activity[] = {
	{ "CONNECT", { 1, "Connect" } }, { "DELETE",  { 2, "Delete" } },
	{ "GET",     { 3, "Get" } },     { "HEAD",    { 4, "Head" } },
	{ "OPTIONS", { 5, "Options" } }, { "POST",    { 6, "Post" } },
	{ "PUT",     { 7, "Put" } },     { "TRACE",   { 8, "Trace" } },
	{ "PATCH",   { 9, "Patch" } },
};
/* clang-format on */

static void put_activity(struct json *j, const struct cv_audit_event *e)
{
	const struct audit_activity_row *row = cv_audit_activity_row(e->activity);
	struct activity a = { row->id[e->kind], row->word };
	struct cv_str name = CV_STR_NONE;

	if (e->kind == CV_AUDIT_HTTP) {
		a.name = "Other";
		for (size_t i = 0; i < CV_ARRAY_LEN(http_activity); i++)
			if (cv_str_eq(e->method, cv_str_of(http_activity[i].method)))
				a = http_activity[i].activity;
		name = cv_str_of(a.name);
	} else {
		name = cv_str_of(a.name);
	}
	put_int(j, "activity_id", a.id);
	put_key(j, "activity_name");
	/* "OPEN" is the one-line word, "Open" OCSF's caption */
	cv_buf_put_byte(j->out, '"');
	cv_buf_put(j->out, cv_str_slice(name, 0, 1));
	for (size_t i = 1; i < name.n; i++)
		cv_buf_put_byte(j->out, cv_ascii_lower(name.p[i]));
	cv_buf_put_byte(j->out, '"');
	put_int(j, "type_uid", cv_audit_kind_row(e->kind)->class_uid * 100 + a.id);
}

static void put_head(struct json *j, const struct cv_audit_event *e)
{
	const struct audit_kind_row *kind = cv_audit_kind_row(e->kind);
	const struct audit_severity_row *severity = cv_audit_severity_row(e);
	const bool has_failed = e->action == CV_AUDIT_ACTION_DENY ||
				e->activity == CV_ACTIVITY_FAIL ||
				(e->kind == CV_AUDIT_TOOL && e->status >= 400);

	put_int(j, "class_uid", kind->class_uid);
	put_z(j, "class_name", kind->class_name);
	put_int(j, "category_uid", kind->category_uid);
	put_z(j, "category_name", kind->category_name);
	put_activity(j, e);
	put_int(j, "severity_id", severity->id);
	put_z(j, "severity", severity->caption);
	put_int(j, "status_id", has_failed ? 2 : 1);
	put_z(j, "status", has_failed ? "Failure" : "Success");
	put_z(j, "status_code", e->reason_code);
	put_str(j, "status_detail", e->reason);
	put_int(j, "time", e->time_ms);
}

/* What happened in words, whole: the one-line form without its tags. */
static bool put_message(struct json *j, const struct cv_audit_event *e)
{
	struct cv_buf core;
	bool ok;

	if (e->message.n) {
		put_str(j, "message", e->message);
		return true;
	}
	cv_buf_init(&core, CV_AUDIT_LINE_BYTES_MAX);
	ok = cv_audit_put_core(&core, e) && !core.is_overflown;
	if (ok)
		put_str(j, "message", cv_buf_str(&core));
	cv_buf_fini(&core);
	return ok;
}

static void put_product(struct json *j, const char *key)
{
	begin(j, key);
	put_z(j, "name", "cove");
	put_z(j, "vendor_name", "cove");
	put_z(j, "version", CV_VERSION);
	end(j);
}

static void put_metadata(struct json *j, const struct cv_audit_event *e)
{
	begin(j, "metadata");
	put_product(j, "product");
	put_z(j, "version", OCSF_VERSION);
	put_key(j, "profiles");
	cv_buf_put(j->out, e->sandbox.n ? CV_STR("[\"security_control\",\"host\"]")
					: CV_STR("[\"security_control\"]"));
	if (e->seq)
		put_uint(j, "sequence", e->seq);
	end(j);
	if (!e->sandbox.n)
		return;
	begin(j, "device");
	put_str(j, "hostname", e->sandbox);
	put_int(j, "type_id", 6);
	put_z(j, "type", "Virtual");
	end(j);
}

static void put_action(struct json *j, const struct cv_audit_event *e)
{
	const struct audit_action_row *row = cv_audit_action_row(e->action);

	if (e->action == CV_AUDIT_ACTION_NONE)
		return;
	put_int(j, "action_id", row->action_id);
	put_z(j, "action", row->action);
	put_int(j, "disposition_id", row->disposition_id);
	put_z(j, "disposition", row->disposition);
}

static void put_endpoint(
	struct json *j, const char *key, struct cv_str host, const struct cv_ip *ip, uint16_t port)
{
	const bool is_address = cv_audit_is_address(host);
	char text[CV_IP_TEXT_BYTES];

	if (!host.n && !ip && !port)
		return;
	begin(j, key);
	if (!is_address)
		put_str(j, "domain", host);
	if (ip)
		put_str(j, "ip", cv_ip_format(ip, text));
	else if (is_address)
		put_str(j, "ip", host);
	if (port)
		put_int(j, "port", port);
	end(j);
}

static void put_process(struct json *j, const struct cv_audit_event *e)
{
	const struct cv_str exe = e->exe;
	const size_t slash = cv_str_rfind_byte(exe, '/');

	put_str(j, "name", exe);
	if (e->pid)
		put_int(j, "pid", e->pid);
	if (exe.n) {
		begin(j, "file");
		put_str(j, "path", exe);
		put_str(j, "name", cv_str_slice(exe, slash < exe.n ? slash + 1 : 0, exe.n));
		put_int(j, "type_id", 1); /* regular file */
		end(j);
	}
	if (!e->ancestor_count)
		return;
	put_key(j, "ancestry");
	cv_buf_put_byte(j->out, '[');
	j->needs_comma = false;
	for (size_t i = 0; i < CV_MIN(e->ancestor_count, (size_t)CV_AUDIT_ANCESTORS_MAX); i++) {
		begin(j, NULL);
		put_str(j, "path", e->ancestors[i]);
		end(j);
	}
	cv_buf_put_byte(j->out, ']');
	j->needs_comma = true;
}

static void put_actor(struct json *j, const struct cv_audit_event *e)
{
	if (!e->exe.n && !e->pid)
		return;
	begin(j, "actor");
	begin(j, "process");
	put_process(j, e);
	end(j);
	end(j);
}

static void put_http(struct json *j, const struct cv_audit_event *e)
{
	struct cv_buf url;

	begin(j, "http_request");
	put_str(j, "http_method", e->method);
	begin(j, "url");
	put_str(j, "scheme", e->scheme.n ? e->scheme : CV_STR("https"));
	put_str(j, "hostname", e->host);
	if (e->port)
		put_int(j, "port", e->port);
	put_str(j, "path", e->path);
	cv_buf_init(&url, CV_AUDIT_LINE_BYTES_MAX);
	if (cv_audit_put_url(&url, e))
		put_str(j, "url_string", cv_buf_str(&url));
	else
		j->out->is_overflown = true;
	cv_buf_fini(&url);
	end(j);
	end(j);
	if (!e->status)
		return;
	begin(j, "http_response");
	put_int(j, "code", e->status);
	end(j);
}

static void put_dns(struct json *j, const struct cv_audit_event *e)
{
	begin(j, "query");
	put_str(j, "hostname", e->host);
	put_str(j, "type", e->qtype);
	put_z(j, "class", "IN");
	end(j);
	if (e->status)
		put_int(j, "rcode_id", e->status - 1);
}

static void put_finding(struct json *j, const struct cv_audit_event *e)
{
	begin(j, "finding_info");
	put_str(j, "title", e->message);
	put_str(j, "uid", e->finding_uid);
	end(j);
}

static void put_tool(struct json *j, const struct cv_audit_event *e)
{
	begin(j, "api");
	put_str(j, "operation", e->tool.n ? e->tool : CV_STR("-"));
	if (e->digest.n) {
		begin(j, "request");
		put_str(j, "uid", e->digest);
		end(j);
	}
	if (e->status) {
		begin(j, "response");
		put_int(j, "code", e->status);
		put_z(j, "error", e->status >= 400 ? e->reason_code : NULL);
		end(j);
	}
	end(j);
}

static void put_rule(struct json *j, const struct cv_audit_event *e)
{
	if (!e->policy.n && !e->engine)
		return;
	begin(j, "firewall_rule");
	put_str(j, "name", e->policy.n ? e->policy : CV_STR("-"));
	put_z(j, "type", e->engine);
	end(j);
}

static void put_counts(struct json *j, const struct cv_audit_event *e)
{
	if (!e->has_counts)
		return;
	begin(j, "traffic");
	put_uint(j, "bytes_out", e->bytes_up);
	put_uint(j, "bytes_in", e->bytes_down);
	end(j);
	put_uint(j, "duration", e->duration_us / 1000);
}

static void put_unmapped(struct json *j, const struct cv_audit_event *e, struct cv_str prev_hash)
{
	const bool has_any = e->rule_line || e->action == CV_AUDIT_ACTION_LOG ||
			     e->nearest_policy.n || e->nearest_miss.n || e->sni.n ||
			     e->has_counts || e->digest.n || e->job.n || e->extra_count ||
			     prev_hash.n;

	if (!has_any)
		return;
	begin(j, "unmapped");
	if (e->rule_line)
		put_int(j, "policy_line", e->rule_line);
	if (e->action == CV_AUDIT_ACTION_LOG)
		put_z(j, "enforcement", "audit");
	put_str(j, "nearest_policy", e->nearest_policy);
	put_str(j, "nearest_miss", e->nearest_miss);
	put_str(j, "sni", e->sni);
	if (e->has_counts)
		put_uint(j, "duration_us", e->duration_us);
	put_str(j, "arguments_sha256", e->digest);
	put_str(j, "job", e->job);
	for (size_t i = 0; i < e->extra_count; i++)
		put_str(j, e->extra[i].key, e->extra[i].value);
	put_str(j, "prev_sha256", prev_hash);
	end(j);
}

static void put_class(struct json *j, const struct cv_audit_event *e)
{
	switch (e->kind) {
	case CV_AUDIT_HTTP: put_http(j, e); break;
	case CV_AUDIT_DNS: put_dns(j, e); break;
	case CV_AUDIT_FINDING: put_finding(j, e); break;
	case CV_AUDIT_LIFECYCLE: put_product(j, "app"); break;
	case CV_AUDIT_TOOL: put_tool(j, e); break;
	case CV_AUDIT_PROC:
		begin(j, "process");
		put_process(j, e);
		put_str(j, "cmd_line", e->message);
		end(j);
		break;
	case CV_AUDIT_NET:
	case CV_AUDIT_CONFIG: break;
	case CV_AUDIT_KIND_COUNT: cv_unreachable();
	}
	if (e->has_exit_code)
		put_int(j, "exit_code", e->exit_code);
}

bool cv_audit_json(const struct cv_audit_event *e, struct cv_str prev_hash, struct cv_buf *out)
{
	struct json j = { .out = out };

	begin(&j, NULL);
	put_head(&j, e);
	if (!put_message(&j, e))
		out->is_overflown = true;
	put_metadata(&j, e);
	put_action(&j, e);
	put_actor(&j, e);
	put_endpoint(&j, "src_endpoint", CV_STR_NONE, e->src_ip, e->src_port);
	put_endpoint(&j, "dst_endpoint", e->host, e->dst_ip, e->port);
	put_str(&j, "app_name", e->protocol);
	put_class(&j, e);
	put_rule(&j, e);
	put_counts(&j, e);
	put_unmapped(&j, e, prev_hash);
	end(&j);
	return !out->is_overflown;
}
