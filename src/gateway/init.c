/* SPDX-License-Identifier: Apache-2.0 */
/*
 * init.c - the command `init`, and what `start` does of it
 *
 * Both make certificates at most once.  What clients are told of the address differs: `start` knows
 * where its gateway listens, `init` asks the one that runs in the state directory, and where none does
 * it can only say what `run` would do, which is to be found in the configuration.
 */
#include "gateway/command.h"

#include "gateway/admin.h"
#include "gateway/place.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SAID_BYTES_MAX     (256u << 10)
#define ENDPOINT_BYTES_MAX 512
#define LOOK_MS            5000 /* as start and status wait for one */

static void said_print(struct cv_buf *said)
{
	printf("%.*s", CV_STR_ARG(cv_buf_str(said)));
	cv_buf_fini(said);
}

/* Words of the configuration alone are asked for: a catalog that it names may come after `init`. */
static cv_code config_read(
	const struct cv_pki_request *q, char **env, struct cv_gw_config **ret, struct cv_err *err)
{
	static cv_gw_config_check_fn *const none[] = { NULL };
	char option[] = "--config", *flags[] = { option, (char *)(uintptr_t)q->config.p };
	const struct cv_gw_config_source s = {
		.env = env, .flags = flags, .flag_count = q->config.p ? 2 : 0, .checks = none
	};

	return cv_gw_place_config_find(&s, ret, err);
}

static void endpoint_put(const struct cv_pki_request *q, const struct cv_gw_config *c,
	const char *state, struct cv_buf *out)
{
	const uint32_t port = q->port ? q->port : c->port ? c->port : CV_GW_PORT;
	struct cv_gw_admin_status s;
	struct cv_err none;

	if (!q->port && cv_gw_admin_look(state, LOOK_MS, &s, &none) == CV_OK) {
		close(s.pidfd);
		if (cv_str_has_prefix(cv_str_of(s.url), CV_STR("https://"))) {
			cv_buf_put(out, cv_str_of(s.url));
			return;
		}
	}
	cv_buf_put(out, CV_STR("https://"));
	cv_gw_place_authority(c, port, out);
}

static cv_code init(
	const struct cv_pki_request *q, char **env, struct cv_buf *said, struct cv_err *err)
{
	struct cv_gw_config *c;
	struct cv_pki_paths paths;
	struct cv_buf endpoint;

	if (config_read(q, env, &c, err) != CV_OK)
		return err->code;
	cv_buf_init(&endpoint, ENDPOINT_BYTES_MAX);
	cv_code code =
		cv_gw_place_pki(env, q->state_dir.n ? q->state_dir : c->state_dir, &paths, err);
	if (code == CV_OK) {
		endpoint_put(q, c, paths.state, &endpoint);
		code = cv_pki_init(q, &paths, cv_buf_str(&endpoint), said, err);
	}
	cv_buf_fini(&endpoint);
	cv_gw_config_free(c);
	return code;
}

int cv_gw_init(int argc, char **argv, char **env)
{
	struct cv_pki_request q = { .port = 0 };
	struct cv_buf said;
	struct cv_err err;

	if (cv_pki_request_parse(argc, argv, &q, &err) != CV_OK) {
		fprintf(stderr, "cove-gateway init: %s\n", err.msg);
		return CV_GW_EXIT_USAGE;
	}
	umask(0077);
	cv_buf_init(&said, SAID_BYTES_MAX);
	const int status = init(&q, env, &said, &err) == CV_OK ? 0 : cv_gw_exit(&err);
	said_print(&said);
	return status;
}

/* ---- start ---- */

/* Of a gateway with certificates of its own, nobody here knows what clients need. */
static bool has_clients(const struct cv_gw_config *c)
{
	return !c->disable_tls && !c->tls_cert.n;
}

cv_code cv_gw_init_before_start(
	const struct cv_gw_config *c, const char *state, char **env, struct cv_err *err)
{
	const struct cv_pki_request q = { .port = 0 };
	char cert[CV_GW_PATH_BYTES_MAX + 32];
	struct cv_pki_paths paths;
	struct cv_buf endpoint, said;

	(void)snprintf(cert, sizeof(cert), "%s/tls/server/tls.crt", state);
	const bool is_new = access(cert, F_OK) < 0;
	if (!has_clients(c))
		return CV_OK;
	if (cv_gw_place_pki(env, cv_str_of(state), &paths, err) != CV_OK) /* no home: no clients */
		return is_new ? err->code : CV_OK;
	cv_buf_init(&endpoint, ENDPOINT_BYTES_MAX);
	cv_buf_init(&said, SAID_BYTES_MAX);
	endpoint_put(&q, c, state, &endpoint);
	cv_code code = cv_pki_clients_check(&paths, cv_buf_str(&endpoint), err);
	if (code == CV_OK && is_new)
		code = cv_pki_make(&q, &paths, &said, err);
	said_print(&said);
	cv_buf_fini(&endpoint);
	return code;
}

void cv_gw_init_after_start(
	const struct cv_gw_config *c, const char *state, const char *url, char **env)
{
	struct cv_pki_paths paths;
	struct cv_buf said;
	struct cv_err err;

	if (!has_clients(c) || !cv_str_has_prefix(cv_str_of(url), CV_STR("https://")) ||
		cv_gw_place_pki(env, cv_str_of(state), &paths, &err) != CV_OK)
		return;
	cv_buf_init(&said, SAID_BYTES_MAX);
	if (cv_pki_clients_mend(&paths, cv_str_of(url), &said, &err) != CV_OK)
		fprintf(stderr, "cove-gateway: it runs, and clients do not find it: %s\n", err.msg);
	said_print(&said);
}
