/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remarks.h - what is hardly meant so in a configuration with which a gateway can run
 *
 * A directory may be mounted later, and a variable be set where the gateway is started and not where
 * the configuration is judged: so none of it is an error.  `config check` prints them, and a gateway
 * logs them at its start and when it has read its configuration again.
 */
#pragma once
#include "gateway/config.h"

void cv_gw_remarks(const struct cv_gw_config *c, char **env, struct cv_findings *findings);
void cv_gw_remarks_log(const struct cv_gw_config *c, char **env);
