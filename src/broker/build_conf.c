/* SPDX-License-Identifier: Apache-2.0 */
/*
 * build_conf.c - what a step's engine is told
 *
 * A login never reaches an engine.  What stands in its auth.json is a placeholder; the value is a
 * credential of the step's own `cove run`, whose proxy puts it into requests to the registry and to
 * the hosts that the catalog says give tokens for it.  From the keeper to there it is in a memfd
 * that the broker holds while the build lasts: in no file, no argument and no environment.
 *
 *     conf/auth.json   user:placeholder         provider.json   {fd: SPAWN_KEEP_FD}
 *     policy.json      endpoints, bound to it   profile.json    one credential, no endpoint
 *
 * Only the steps that reach registries have one, and these run no program of anybody's.
 */
#include "broker/build_int.h"

#include "base/base64.h"
#include "sys/fd.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define LOGIN_KEY "COVE_REGISTRY_PASSWORD" /* a variable of the step's sandbox: its placeholder */

#define ACCEPT    "[{\"type\":\"insecureAcceptAnything\"}]"

/* Which images the engine may take from where: what is in storage, and what this step is to fetch. */
static cv_code trust_write(const struct build_run *r, struct cv_err *err)
{
	struct cv_buf b;

	cv_buf_init(&b, 8192);
	cv_buf_printf(&b, "{\"default\":[{\"type\":\"reject\"}],\"transports\":{"
			  "\"containers-storage\":{\"\":" ACCEPT "}");
	if (r->step == BUILD_PULL) {
		cv_buf_put(&b, CV_STR(",\"docker\":{\""));
		cv_buf_put_json(&b, r->pull[r->pull_at]);
		cv_buf_put(&b, CV_STR("\":" ACCEPT "}"));
	}
	cv_buf_put(&b, CV_STR("}}\n"));
	const cv_code code = build_file_write(r, "conf/trust.json", cv_buf_str(&b), err);
	cv_buf_fini(&b);
	return code;
}

struct cv_str build_registry(const struct build_run *r)
{
	const struct cv_str reference = r->step == BUILD_PULL   ? r->pull[r->pull_at]
					: r->step == BUILD_PUSH ? r->push
								: CV_STR_NONE;

	return cv_str_slice(reference, 0, cv_str_find_byte(reference, '/'));
}

bool build_is_plain_http(const struct build_run *r, struct cv_str registry)
{
	for (size_t i = 0; i < r->tool->plain_http_count; i++)
		if (cv_str_eq(r->tool->plain_http[i], registry))
			return true;
	return false;
}

/* No short names, no mirrors, whatever the host has.  `insecure` lets the engine go on without TLS
 * when there is none; a certificate that is wrong stays wrong, since the proxy looks at it. */
static cv_code registries_write(const struct build_run *r, struct cv_err *err)
{
	const struct cv_str registry = build_registry(r);
	struct cv_buf b;

	cv_buf_init(&b, 4096);
	cv_buf_put(
		&b, CV_STR("unqualified-search-registries = []\nshort-name-mode = \"disabled\"\n"));
	if (registry.n && build_is_plain_http(r, registry))
		cv_buf_printf(&b, "[[registry]]\nlocation = \"%.*s\"\ninsecure = true\n",
			CV_STR_ARG(registry));
	const cv_code code =
		b.is_overflown ? cv_fail(err, CV_LIMIT, "the registry's name is too long")
			       : build_file_write(r, "conf/registries.conf", cv_buf_str(&b), err);
	cv_buf_fini(&b);
	return code;
}

static cv_code auth_write(const struct build_run *r, struct cv_err *err)
{
	const struct cv_tool_login *login = build_login(r);
	struct cv_buf b, pair;

	cv_buf_init(&b, 8192);
	cv_buf_init(&pair, 1024);
	if (login) {
		cv_buf_printf(
			&pair, "%.*s:openshell:resolve:env:" LOGIN_KEY, CV_STR_ARG(login->user));
		cv_buf_printf(&b, "{\"auths\":{\"%.*s\":{\"auth\":\"", CV_STR_ARG(login->registry));
		cv_buf_put_base64(&b, cv_buf_str(&pair), CV_BASE64_STD);
		cv_buf_put(&b, CV_STR("\"}}}\n"));
	} else {
		cv_buf_put(&b, CV_STR("{}\n"));
	}
	const cv_code code = b.is_overflown || pair.is_overflown
				     ? cv_fail(err, CV_LIMIT, "the login is too long")
				     : build_file_write(r, "conf/auth.json", cv_buf_str(&b), err);
	cv_buf_fini(&pair);
	cv_buf_fini(&b);
	return code;
}

/* ---- logins ---- */

const struct cv_tool_login *build_login(const struct build_run *r)
{
	const struct cv_str registry = build_registry(r);

	for (size_t i = 0; registry.n && i < r->tool->login_count; i++)
		if (cv_str_eq(r->tool->logins[i].registry, registry))
			return &r->tool->logins[i];
	return NULL;
}

cv_code build_logins_take(struct build_run *r, const struct keys *keys, struct cv_err *err)
{
	for (size_t i = 0; i < r->tool->login_count; i++) {
		const struct cv_tool_login *l = &r->tool->logins[i];
		struct cv_str value;

		if (!keys || !keys_get((void *)(uintptr_t)keys, l->credential, &value) || !value.n)
			return cv_fail(err, CV_UNAVAILABLE, "the credential %.*s has no value",
				CV_STR_ARG(l->credential));
		if (cv_ipc_memfd("cove-login", value, &r->login[i], err) != CV_OK)
			return err->code;
	}
	return CV_OK;
}

void build_logins_drop(struct build_run *r)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(r->login); i++) {
		if (r->login[i] >= 0)
			close(r->login[i]);
		r->login[i] = -1;
	}
}

cv_code build_login_open(const struct build_run *r, int *ret, struct cv_err *err)
{
	const struct cv_tool_login *login = build_login(r);
	char path[64];

	*ret = -1;
	if (!login)
		return CV_OK;
	/* Each reader has a place of its own in it. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", r->login[login - r->tool->logins]);
	*ret = open(path, O_RDONLY | O_CLOEXEC);
	return *ret < 0 ? cv_fail_errno(err, "the login of %.*s", CV_STR_ARG(login->registry))
			: CV_OK;
}

static cv_code provider_write(const struct build_run *r, struct cv_err *err)
{
	static const char profile[] =
		"{\"id\":\"registry-login\",\"display_name\":\"A registry's login\","
		"\"description\":\"for the steps of a build that reach it\",\"category\":\"other\","
		"\"credentials\":[{\"name\":\"password\",\"env_vars\":[\"" LOGIN_KEY "\"],"
		"\"required\":true}]}\n";
	struct cv_buf b;

	if (!build_login(r))
		return CV_OK;
	cv_buf_init(&b, 2 * PATH_MAX + 256);
	cv_buf_put(&b, CV_STR("{\"name\":\"registry\",\"profile\":\""));
	cv_buf_put_json(&b, cv_str_of(r->dir));
	cv_buf_printf(
		&b, "/profile.json\",\"credentials\":{\"password\":{\"fd\":%d}}}\n", SPAWN_KEEP_FD);
	cv_code code = build_file_write(r, "profile.json", cv_str_of(profile), err);
	if (code == CV_OK)
		code = b.is_overflown ? cv_fail(err, CV_LIMIT,
						"the broker's directory has too long a name")
				      : build_file_write(r, "provider.json", cv_buf_str(&b), err);
	cv_buf_fini(&b);
	return code;
}

cv_code build_file_write(
	const struct build_run *r, const char *name, struct cv_str text, struct cv_err *err)
{
	char path[PATH_MAX + 32], to[PATH_MAX + 32];

	snprintf(path, sizeof(path), "%s/%s.new", r->dir, name);
	snprintf(to, sizeof(to), "%s/%s", r->dir, name);
	unlink(path);
	CV_AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	for (size_t at = 0; fd >= 0 && at < text.n;) {
		const ssize_t n = write(fd, text.p + at, text.n - at);

		if (n <= 0)
			return cv_fail_errno(err, "write %s", name);
		at += (size_t)n;
	}
	return fd < 0 || rename(path, to) < 0 ? cv_fail_errno(err, "write %s", name) : CV_OK;
}

cv_code build_conf_write(const struct build_run *r, struct cv_err *err)
{
	cv_code code = trust_write(r, err);

	if (code == CV_OK)
		code = registries_write(r, err);
	if (code == CV_OK)
		code = build_file_write(r, "conf/storage.conf",
			CV_STR("[storage]\ndriver = \"vfs\"\nrunroot = \"/tmp/run\"\n"
			       "graphroot = \"/tmp/store\"\n"),
			err);
	if (code == CV_OK)
		code = auth_write(r, err);
	return code == CV_OK ? provider_write(r, err) : code;
}
