/* SPDX-License-Identifier: Apache-2.0 */
/*
 * place.c - see place.h
 */
#include "gateway/place.h"

#include "gateway/gateway.h"
#include "gateway/serve.h"
#include "gateway/state.h"
#include "gateway/tools.h"
#include "gateway/trace.h"
#include "policy/findings.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define CONFIG_TEXT_MAX  CV_GW_CONFIG_BYTES_MAX
#define REPORT_BYTES_MAX (256u << 10)

cv_code cv_gw_place_home(char **env, const char *variable, const char *fallback, const char *rest,
	char *ret, size_t bytes, struct cv_err *err)
{
	const struct cv_str base = cv_gw_env_plain(env, variable);
	const struct cv_str home = cv_gw_env_plain(env, "HOME");
	int n;

	if (base.n && base.p[0] == '/')
		n = snprintf(ret, bytes, "%s/%s", base.p, rest);
	else if (home.n && home.p[0] == '/')
		n = snprintf(ret, bytes, "%s/%s/%s", home.p, fallback, rest);
	else
		return cv_fail(
			err, CV_INVALID, "neither %s nor HOME is an absolute path", variable);
	return (size_t)n < bytes ? CV_OK : cv_fail(err, CV_INVALID, "%s is too long", variable);
}

cv_code cv_gw_place_state(
	char **env, const struct cv_gw_config *c, char *ret, size_t bytes, struct cv_err *err)
{
	if (!c->state_dir.n)
		return cv_gw_place_home(
			env, "XDG_STATE_HOME", ".local/state", "cove/gateway", ret, bytes, err);
	return cv_str_to_cstr(c->state_dir, ret, bytes)
		       ? CV_OK
		       : cv_fail(err, CV_INVALID, "state_dir is too long");
}

cv_code cv_gw_place_pki(
	char **env, struct cv_str state_dir, struct cv_pki_paths *ret, struct cv_err *err)
{
	const struct cv_gw_config c = { .state_dir = state_dir.n ? state_dir
								 : cv_gw_env(env, "STATE_DIR") };
	cv_code code = cv_gw_place_state(env, &c, ret->state, sizeof(ret->state), err);

	if (code == CV_OK)
		code = cv_gw_place_home(env, "XDG_CONFIG_HOME", ".config", "cove", ret->client,
			sizeof(ret->client), err);
	if (code == CV_OK)
		code = cv_gw_place_home(env, "XDG_CONFIG_HOME", ".config", "openshell", ret->compat,
			sizeof(ret->compat), err);
	return code;
}

/* ---- configuration ---- */

cv_code cv_gw_place_config(const char *path, const struct cv_gw_config_source *given,
	struct cv_gw_config **ret, struct cv_err *err)
{
	static cv_gw_config_check_fn *const checks[] = { cv_gw_tools_check, cv_gw_trace_check,
		NULL };
	struct cv_gw_config_source s = *given;
	struct cv_findings findings;
	struct cv_buf text, report;
	cv_code code = CV_OK;

	cv_buf_init(&text, CONFIG_TEXT_MAX);
	cv_buf_init(&report, REPORT_BYTES_MAX);
	cv_findings_init(&findings);
	if (!s.checks)
		s.checks = checks;
	if (path && cv_str_has_suffix(cv_str_of(path), CV_STR(".toml"))) {
		code = cv_fail(err, CV_INVALID,
			"%s is TOML by its name; this gateway's configuration is YAML, with a key for "
			"each option of 'cove gateway run --help'",
			path);
	} else if (path) {
		code = cv_gw_file_read(AT_FDCWD, path, &text, err);
		s.file = cv_buf_len(&text) ? cv_buf_str(&text) : CV_STR("\n");
		s.file_name = cv_str_of(path);
	}
	if (code == CV_OK)
		code = cv_gw_config_new(&s, ret, &findings, err);
	cv_findings_text(&findings, s.file_name, &report);
	fprintf(stderr, "%.*s", CV_STR_ARG(cv_buf_str(&report)));
	cv_findings_fini(&findings);
	cv_buf_fini(&report);
	cv_buf_fini(&text);
	return code;
}

cv_code cv_gw_place_config_find(
	const struct cv_gw_config_source *given, struct cv_gw_config **ret, struct cv_err *err)
{
	const struct cv_str named = cv_gw_config_path(given);
	char path[CV_GW_PATH_BYTES_MAX];

	if (named.n)
		return cv_gw_place_config(named.p, given, ret, err);
	if (cv_gw_place_home(given->env, "XDG_CONFIG_HOME", ".config", "cove/gateway.yaml", path,
		    sizeof(path), err) == CV_OK &&
		access(path, F_OK) == 0)
		return cv_gw_place_config(path, given, ret, err);
	return cv_gw_place_config(NULL, given, ret, err);
}

cv_code cv_gw_config_load(
	char **env, char **flags, size_t flag_count, struct cv_gw_config **ret, struct cv_err *err)
{
	const struct cv_gw_config_source s = {
		.env = env, .flags = flags, .flag_count = flag_count
	};

	return cv_gw_place_config_find(&s, ret, err);
}

/* ---- addresses ---- */

void cv_gw_place_authority(const struct cv_gw_config *c, uint32_t port, struct cv_buf *out)
{
	const struct cv_str a = c->bind_address;
	const bool is_any = cv_str_eq(a, CV_STR("0.0.0.0")), is_any6 = cv_str_eq(a, CV_STR("::"));
	const struct cv_str host = is_any ? CV_STR("127.0.0.1") : is_any6 ? CV_STR("::1") : a;
	const bool is_v6 = cv_str_has_byte(host, ':');

	cv_buf_printf(out, "%s%.*s%s:%u", is_v6 ? "[" : "", CV_STR_ARG(host), is_v6 ? "]" : "",
		(unsigned)port);
}
