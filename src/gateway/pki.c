/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pki.c - see pki.h
 *
 * Everything is made in memory first and then written, each file whole: what fails in between
 * leaves a directory that the next init calls partly filled, and no half of a key.
 */
#include "gateway/pki_int.h"

#include "gateway/labels.h"
#include "sys/fd.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static const char *const wanted[] = { "ca.crt", "ca.key", "server/tls.crt", "server/tls.key",
	"client/tls.crt", "client/tls.key" };

static cv_code tls_look(int tls, size_t *ret_there, struct cv_err *err)
{
	char missing[256] = "";
	size_t there = 0;

	for (size_t i = 0; i < CV_ARRAY_LEN(wanted); i++) {
		if (faccessat(tls, wanted[i], F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			there++;
		else if (!missing[0])
			snprintf(missing, sizeof(missing), "%s", wanted[i]);
	}
	if (there && there < CV_ARRAY_LEN(wanted))
		return cv_fail(err, CV_INVALID,
			"the tls directory is partly filled (%s is missing): remove it to start "
			"anew, or put back what was there",
			missing);
	*ret_there = there;
	return CV_OK;
}

static cv_code tls_make(const struct cv_pki_request *q, int tls, struct cv_err *err)
{
	CV_AUTO(pki_pair_cleanup)
	struct pki_pair ca = { NULL }, server = { NULL }, client = { NULL };
	AUTO_BUF sans;
	cv_code code;

	cv_buf_init(&sans, PKI_SAN_BYTES_MAX);
	code = pki_sans_make(q, &sans, err);
	if (code == CV_OK)
		code = pki_pair_make(NULL, "cove gateway authority", NULL, NULL, &ca, err);
	if (code == CV_OK)
		code = pki_pair_make(
			&ca, "cove gateway", "serverAuth", cv_buf_str(&sans).p, &server, err);
	if (code == CV_OK)
		code = pki_pair_make(&ca, "cove-user", "clientAuth", NULL, &client, err);
	if (code == CV_OK)
		code = pki_cert_write(tls, "ca.crt", ca.cert, err);
	if (code == CV_OK)
		code = pki_key_write(tls, "ca.key", ca.key, err);
	if (code == CV_OK)
		code = pki_pair_write(tls, "server", &server, err);
	if (code == CV_OK)
		code = pki_pair_write(tls, "client", &client, err);
	return code;
}

/* --san, where the certificates were there already: who asked for a name is not to go without it. */
static cv_code names_add(
	const struct cv_pki_request *q, int state, struct cv_buf *said, struct cv_err *err)
{
	bool is_new = false;

	if (!q->san_count)
		return CV_OK;
	if (cv_pki_server_names(state, q->san, q->san_count, &is_new, err) != CV_OK)
		return cv_wrap(err, "--san");
	cv_buf_printf(said, "the server's certificate %s for:", is_new ? "is now" : "was already");
	for (size_t i = 0; i < q->san_count; i++)
		cv_buf_printf(said, " %.*s", CV_STR_ARG(q->san[i]));
	cv_buf_printf(said, "%s\n",
		is_new ? " (a gateway that runs takes it at 'cove gateway reload')" : "");
	return CV_OK;
}

cv_code cv_pki_make(const struct cv_pki_request *q, const struct cv_pki_paths *paths,
	struct cv_buf *said, struct cv_err *err)
{
	CV_AUTO_FD int state = -1, tls = -1;
	AUTO_BUF pem;
	struct cv_jwks keys = { .n = 0 };
	size_t there = 0;
	bool is_lost = false;
	cv_code code = cv_gw_dir_open(paths->state, &state, err);

	cv_buf_init(&pem, CV_GW_FILE_BYTES_MAX);
	if (code == CV_OK)
		code = cv_gw_dir_open_at(state, "tls", &tls, err);
	if (code == CV_OK)
		code = tls_look(tls, &there, err);
	if (code == CV_OK && !there)
		code = tls_make(q, tls, err);
	if (code == CV_OK)
		code = cv_pki_signing_keys(state, &keys, &pem, &is_lost, err);
	cv_jwks_fini(&keys);
	if (code != CV_OK)
		return code;
	cv_buf_printf(said, "certificates %s: %s/tls\n", there ? "kept" : "made", paths->state);
	if (is_lost)
		cv_buf_printf(said, "%s\n", CV_PKI_LOST_TEXT);
	return there ? names_add(q, state, said, err) : CV_OK;
}

cv_code cv_pki_init(const struct cv_pki_request *q, const struct cv_pki_paths *paths,
	struct cv_str endpoint, struct cv_buf *said, struct cv_err *err)
{
	cv_code code = pki_clients_check(q, paths, endpoint, err);

	if (code == CV_OK)
		code = cv_pki_make(q, paths, said, err);
	return code == CV_OK ? pki_clients_write(q, paths, endpoint, said, err) : code;
}

/* ---- words ---- */

static bool name_is_fine(struct cv_str name)
{
	struct cv_err err;

	return cv_name_check_other("name", name, &err) == CV_RPC_OK && name.p[0] != '.' &&
	       name.n < 128;
}

static cv_code word_set(
	struct cv_pki_request *q, struct cv_str name, struct cv_str value, struct cv_err *err)
{
	uint64_t port;

	if (cv_str_eq(name, CV_STR("--state-dir"))) {
		q->state_dir = value;
	} else if (cv_str_eq(name, CV_STR("--config"))) {
		q->config = value;
	} else if (cv_str_eq(name, CV_STR("--name"))) {
		if (!name_is_fine(value))
			return cv_fail(
				err, CV_INVALID, "a gateway's name is one component of a path");
		q->name = value;
	} else if (cv_str_eq(name, CV_STR("--port"))) {
		if (!cv_str_to_u64(value, UINT16_MAX, &port) || !port)
			return cv_fail(err, CV_INVALID, "--port is 1 to 65535");
		q->port = (uint32_t)port;
	} else if (cv_str_eq(name, CV_STR("--san")) || cv_str_eq(name, CV_STR("--server-san"))) {
		while (value.p) {
			if (q->san_count == CV_PKI_SANS_MAX)
				return cv_fail(err, CV_INVALID, "too many names");
			q->san[q->san_count++] = cv_str_trim(cv_str_cut(&value, ','));
		}
	} else {
		return cv_fail(err, CV_INVALID, "unknown option '%.*s'", CV_STR_ARG(name));
	}
	return CV_OK;
}

cv_code cv_pki_request_parse(int argc, char **argv, struct cv_pki_request *ret, struct cv_err *err)
{
	for (int i = 0; i < argc; i++) {
		struct cv_str value = cv_str_of(argv[i]);
		const struct cv_str name = cv_str_cut(&value, '=');
		cv_code code;

		if (cv_str_eq(name, CV_STR("--compat")) && !value.p) {
			ret->is_compat = true;
			continue;
		}
		if (!value.p && ++i == argc)
			return cv_fail(err, CV_INVALID, "%s needs a value", argv[i - 1]);
		if (!value.p)
			value = cv_str_of(argv[i]);
		code = word_set(ret, name, value, err);
		if (code != CV_OK)
			return code;
	}
	return CV_OK;
}
