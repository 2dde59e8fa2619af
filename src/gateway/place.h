/* SPDX-License-Identifier: Apache-2.0 */
/*
 * place.h - where things are, by environment and configuration; for the commands of this program
 *
 * The environment is read by main() and given on from there.
 */
#pragma once
#include "gateway/config.h"
#include "gateway/pki.h"

/* $VARIABLE/REST, or ~/FALLBACK/REST.  CV_INVALID: neither is an absolute path. */
CV_MUST cv_code cv_gw_place_home(char **env, const char *variable, const char *fallback,
	const char *rest, char *ret, size_t bytes, struct cv_err *err);
/* The state directory that the configuration names, or the usual. */
CV_MUST cv_code cv_gw_place_state(
	char **env, const struct cv_gw_config *c, char *ret, size_t bytes, struct cv_err *err);
/* Of commands without a configuration: --state-dir among their words (or empty), the environment, or
 * the usual; and where clients' files are. */
CV_MUST cv_code cv_gw_place_pki(
	char **env, struct cv_str state_dir, struct cv_pki_paths *ret, struct cv_err *err);

/* The file at path (NULL: none) with the rest of the source; what is wrong with it is printed on
 * standard error. */
CV_MUST cv_code cv_gw_place_config(const char *path, const struct cv_gw_config_source *given,
	struct cv_gw_config **ret, struct cv_err *err);
/* The same with the file that the source names, or the usual one, if it is there. */
CV_MUST cv_code cv_gw_place_config_find(
	const struct cv_gw_config_source *given, struct cv_gw_config **ret, struct cv_err *err);

/* Where somebody on this host finds a gateway with this configuration: "HOST:PORT". */
void cv_gw_place_authority(const struct cv_gw_config *c, uint32_t port, struct cv_buf *out);
