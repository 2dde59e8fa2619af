/* SPDX-License-Identifier: Apache-2.0 */
/*
 * roots.h - the host's trusted roots, as a file of the sandbox
 */
#pragma once
#include "base/err.h"
#include "plan/plan.h"

/* Beneath the layer. */
#define CA_BUNDLE_FILE "etc/openshell-tls/ca-bundle.pem"

/* A file that programs of the sandbox read and that we write; -1 and errno. */
int ca_file_open(int layer, const char *path);

/* The plan's roots and --ca files, as they are now, and newlines behind them to the next place of
 * an authority, whose offset is *ret_at.  host: what their absolute paths begin at; -1: the / of
 * this process.  A failure leaves a file that may be written again. */
CV_MUST cv_code roots_write(
	const struct cv_plan *plan, int host, int layer, size_t *ret_at, struct cv_err *err);
