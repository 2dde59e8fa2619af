/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remote.h - commands of a gateway: cove-client's, and cove-gateway's own
 */
#pragma once
#include <stdbool.h>
#include <stdio.h>

/* Whether argv (behind the program's name) begins such a command. */
bool cv_remote_has(int argc, char **argv);
/* Whether any such command begins with this word. */
bool cv_remote_has_word(const char *word);
/* Whether it is cove-gateway's, and not cove-client's. */
bool cv_remote_is_gateways(int argc, char **argv);
/* Becomes cove-client or cove-gateway; returns only on failure, with the exit status. */
int cv_remote_run(int argc, char **argv);
/* Becomes that one with these words: argv[0] is its name. */
int cv_remote_run_client(char **argv);
int cv_remote_run_gateway(char **argv);
void cv_remote_help(FILE *to);
