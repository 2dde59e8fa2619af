/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oracle.h - the decision a second time, for comparison
 */
#pragma once
#include "policy/model.h"
#include "policy/verdict.h"

/* As cv_policy_decide() of the document's snapshot; line and settings are left out. */
struct cv_verdict oracle_decide(const struct cv_policy_doc *doc, const struct cv_facts *facts);
