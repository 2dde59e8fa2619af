/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signals.h - signals by the names that SSH knows (RFC 4254, 6.10)
 */
#pragma once

const char *signal_name(int number); /* "TERM"; NULL: it has none */
int signal_number(const char *name); /* 0: there is none */
