/* SPDX-License-Identifier: Apache-2.0 */
/*
 * draft_notes.h - what a reviewer of a proposed rule must be told, and what is never proposed
 *
 * Pure: tables of names, ports and address classes.
 */
#pragma once
#include "base/buf.h"
#include "base/err.h"

#include "sandbox.pb-c.h"

/* CV_DENIED: a place that no policy may open (this host, a cloud's metadata), or the rule is not one
 * that can be proposed (no host, no port).  rule is canonical. */
CV_MUST cv_code cv_draft_refuse(
	const Openshell__Sandbox__V1__NetworkPolicyRule *rule, struct cv_err *err);
/* Appends sentences, "; " between them.  Nothing: not flagged. */
void cv_draft_notes(const Openshell__Sandbox__V1__NetworkPolicyRule *rule, struct cv_buf *out);
