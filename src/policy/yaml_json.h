/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yaml_json.h - a YAML document as JSON, for programs that have no YAML reader
 */
#pragma once
#include "base/attr.h"
#include "base/buf.h"

/* Appends the document's value: scalars as YAML 1.2's core schema reads them, keys as strings, in
 * the document's order.  False when text is not one document that a policy could be (no aliases,
 * no tags, bounded), or out is full. */
CV_MUST bool cv_policy_yaml_to_json(struct cv_str text, struct cv_buf *out);
