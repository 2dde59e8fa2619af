/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command.h - the commands of this program as rows: help and completion come from them
 *
 * `cove gateway run --port 1` is run here as {"cove-gateway", "run", "--port", "1"}.  Each command
 * reads its own words; a test compares what it takes with what its row says.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

#define CV_GW_EXIT_USAGE 2
#define CV_GW_EXIT_IDLE  3 /* status: no gateway runs, as service managers say it */

struct cv_gw_flag {
	const char *name;       /* "state-dir" */
	const char *value;      /* "DIR" as help shows it; NULL: a switch */
	const char *help, *def; /* def: the default, shown behind it; NULL: none to show */
};

struct cv_gw_command {
	const char *name;     /* "config check" */
	const char *operands; /* "[FILE]" */
	const char *summary;  /* NULL: another spelling of a row above, not shown */
	const struct cv_gw_flag *flags;
	size_t flag_count;
	bool has_options;                              /* --config and all of CV_GW_OPTIONS, too */
	int (*run)(int argc, char **argv, char **env); /* the words behind the command's */
};

/* On standard error; the exit status. */
int cv_gw_exit(const struct cv_err *err);

/* ---- words.c ---- */

/* Without a command (NULL): of all. */
void cv_gw_words_help(
	const struct cv_gw_command *all, size_t n, const struct cv_gw_command *command);
/* What may stand in the place of the last word, as client/complete.c says it:
 * "WORD<tab>EXPLANATION", and ":files" for a path.  words: behind "gateway". */
void cv_gw_words_complete(const struct cv_gw_command *all, size_t n, int argc, char *const *words);
/* The row that the first words name, and how many they are; NULL. */
const struct cv_gw_command *cv_gw_words_find(
	const struct cv_gw_command *all, size_t n, int argc, char *const *words, int *ret_used);

/* ---- control.c ---- */

/* The state directory that is meant: the one that was named, or the configuration's (NULL: the one that
 * is read without a word). */
cv_code cv_gw_control_state(char **env, struct cv_str state, char *config, char *ret,
	size_t ret_size, struct cv_err *err);

int cv_gw_control_start(int argc, char **argv, char **env);
int cv_gw_control_stop(int argc, char **argv, char **env);
int cv_gw_control_status(int argc, char **argv, char **env);
int cv_gw_control_reload(int argc, char **argv, char **env);

/* ---- init.c ---- */

int cv_gw_init(int argc, char **argv, char **env);
/* What start does of it: certificates, where there never were any; CV_INVALID: the name by which
 * clients would find it is another gateway's.  Then the one that listens at url gets their files, and
 * what is in the way of that is said. */
struct cv_gw_config;
CV_MUST cv_code cv_gw_init_before_start(
	const struct cv_gw_config *c, const char *state, char **env, struct cv_err *err);
void cv_gw_init_after_start(
	const struct cv_gw_config *c, const char *state, const char *url, char **env);
