/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve.h - what main.c and serve.c share
 */
#pragma once
#include "gateway/gateway.h"

#define CV_GW_DRAIN_MS 5000 /* for calls to end; streams that last are cut then */

struct cv_gw_config;

/* Opens the ports: when every part has started. */
CV_MUST cv_code cv_gw_listen(struct cv_gateway *g, struct cv_err *err);

/* File, environment and flags; what is wrong with the file is printed on standard error. */
CV_MUST cv_code cv_gw_config_load(
	char **env, char **flags, size_t flag_count, struct cv_gw_config **ret, struct cv_err *err);
void cv_gw_log_init(const struct cv_gw_config *c);

/* What SIGHUP does.  ret_fixed: the keys whose changes need a restart.  The codes of
 * cv_gw_config_load(); what was stays then. */
#define CV_GW_FIXED_BYTES_MAX 4096
CV_MUST cv_code cv_gw_reload(struct cv_gateway *g, struct cv_buf *ret_fixed, struct cv_err *err);

/* auth.c: of the server's configuration. */
CV_MUST enum cv_rpc_status cv_gw_authenticate(void *arg, const struct cv_rpc_presented *given,
	struct cv_principal *ret, struct cv_err *err);
