/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_int.h - what the files of the configuration share
 *
 *     config_option.c   the table of options; one value, from text
 *     config_file.c     the file
 *     config_given.c    environment and flags
 *     config_check.c    what is wrong with the whole, and where it was said
 *     config.c          from all of these a config; and what stays when another is read
 */
#pragma once
#include "gateway/config.h"

#include <stddef.h>

enum cv_gw_option_type { TEXT, U32, BOOL, CHOICE, LIST, MAP, PIECES, MEMORY, CPU, QUOTAS };
enum cv_gw_option_life { FIXED, LIVE };

struct cv_gw_option {
	enum cv_gw_option_type type;
	const char *key, *flag, *env, *def, *help;
	enum cv_gw_option_life life;
	size_t at, bytes;
};

#define CV_GW_OPTION_ONE(...) +1
enum { CV_GW_OPTION_COUNT = 0 CV_GW_OPTIONS(CV_GW_OPTION_ONE) };
#undef CV_GW_OPTION_ONE

extern const struct cv_gw_option cv_gw_option[CV_GW_OPTION_COUNT];

/* ---- config_option.c ---- */

const struct cv_gw_option *cv_gw_option_by_key(struct cv_str key); /* NULL: there is none */
void *cv_gw_option_field(struct cv_gw_config *c, const struct cv_gw_option *o);
/* Who said the value, and where. */
void cv_gw_option_said(struct cv_gw_config *c, const struct cv_gw_option *o,
	enum cv_gw_origin_kind kind, struct cv_policy_pos pos);
/* Puts a value; a LIST gets more of them.  NULL, or what was expected instead. */
const char *cv_gw_option_put(struct cv_gw_config *c, const struct cv_gw_option *o, struct cv_str s);
/* What a later source says of a list replaces what an earlier one did. */
void cv_gw_option_forget(struct cv_gw_config *c, const struct cv_gw_option *o);
/* False: too many, or no memory. */
bool cv_gw_option_list_add(struct cv_gw_config *c, struct cv_gw_config_list *l, struct cv_str s);
bool cv_gw_option_map_add(struct cv_gw_config *c, struct cv_gw_config_map *m, struct cv_str key,
	struct cv_str value, struct cv_policy_pos at);
/* A quantity, or "unlimited".  NULL, or what was expected instead. */
const char *cv_gw_option_amount(enum cv_gw_option_type type, struct cv_str s, uint64_t *ret);

/* ---- config_file.c, config_given.c, config_check.c ---- */

void cv_gw_config_file_read(
	struct cv_gw_config *c, struct cv_str text, struct cv_findings *findings);
cv_code cv_gw_config_env_read(struct cv_gw_config *c, char **env, struct cv_err *err);
cv_code cv_gw_config_flags_read(
	struct cv_gw_config *c, const struct cv_gw_config_source *s, struct cv_err *err);
void cv_gw_config_whole_check(const struct cv_gw_config *c, const struct cv_gw_config_source *s,
	struct cv_findings *findings, struct cv_err *err);
