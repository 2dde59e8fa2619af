/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yaml_events.h - the events of one YAML document, with everything refused that a policy can't need
 *
 * The reader stands on one event.  A function that consumes a node is called on the node's first
 * event and leaves the reader on its last.  After a failure every next() gives YAML_NO_EVENT and
 * false, so loops end by themselves.
 */
#pragma once
#include "policy/findings.h"

#include <yaml.h>

struct cv_yaml {
	yaml_parser_t parser;
	yaml_event_t ev;
	struct cv_findings *findings;
	struct cv_str text;
	const char *noun; /* what the document is called: "policy" */
	char *rewritten;  /* owned copy of the text, where it had to be changed */
	unsigned depth;
	bool has_failed; /* nothing more can be read */
};

/* The value that a plain scalar would have in YAML 1.2's core schema. */
enum cv_yaml_type {
	CV_YAML_NULL,
	CV_YAML_BOOL,
	CV_YAML_NUMBER,
	CV_YAML_STRING,
	CV_YAML_LIST,
	CV_YAML_MAPPING,
	CV_YAML_TYPE_COUNT
};

bool cv_yaml_open(
	struct cv_yaml *y, struct cv_str text, const char *noun, struct cv_findings *findings);
void cv_yaml_close(struct cv_yaml *y);

/* The next event; false at the end of the stream and after a failure. */
bool cv_yaml_next(struct cv_yaml *y);

/* Steps over the rest of the node that the reader stands on; still refuses what next() refuses. */
void cv_yaml_skip(struct cv_yaml *y);

/* Of the present event, which begins a node. */
enum cv_yaml_type cv_yaml_type(const struct cv_yaml *y);
const char *cv_yaml_type_name(enum cv_yaml_type type); /* "a list" */
struct cv_policy_pos cv_yaml_pos(const struct cv_yaml *y);
struct cv_str cv_yaml_scalar(const struct cv_yaml *y); /* until the next event */
