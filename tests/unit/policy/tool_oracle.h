/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tool_oracle.h - the decision about tools a second time, naively, over the document
 */
#pragma once
#include "policy/model.h"
#include "policy/tools.h"

struct cv_tool_verdict tool_oracle_decide(
	const struct cv_policy_doc *doc, const struct cv_tool_facts *facts);
