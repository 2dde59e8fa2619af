/* SPDX-License-Identifier: Apache-2.0 */
/*
 * protected.c - the table of protected.h
 */
#include "plan/protected.h"

#define PROTECTED_ROW(path, reason) { path, reason },
const struct cv_protected_row cv_protected_row[] = { CV_PROTECTED(PROTECTED_ROW) };
#undef PROTECTED_ROW
const size_t cv_protected_row_count = CV_ARRAY_LEN(cv_protected_row);
