/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fail.h - the crypto library's errors as ours
 */
#pragma once
#include "base/err.h"

/* CV_SYSTEM with "what: the library's own words"; empties its error queue. */
cv_code cv_tls_fail(struct cv_err *err, const char *what);
