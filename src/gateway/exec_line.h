/* SPDX-License-Identifier: Apache-2.0 */
/*
 * exec_line.h - a command as one string for a shell, as servers of SSH take it
 *
 *     cd '/work' && A='1' B='2' 'printf' '%s' 'it'\''s'
 *
 * Pure.
 */
#pragma once
#include "base/attr.h"
#include "base/buf.h"

#include "openshell.pb-c.h"

#define CV_GW_EXEC_LINE_MAX (256u << 10) /* openshell-api 6 */

/* False: it is longer than CV_GW_EXEC_LINE_MAX, or there is no memory. */
CV_MUST bool cv_gw_exec_line_put(const Openshell__V1__ExecSandboxRequest *r, struct cv_buf *out);
