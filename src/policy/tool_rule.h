/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tool_rule.h - a compiled rule about tools, and how far a call comes in it; private to this folder
 *
 * The decision, its explanation and validation (which asks whether conditions can hold together)
 * use the same predicates.
 */
#pragma once
#include "policy/snapshot_int.h"
#include "policy/tool_path.h"
#include "policy/tools.h"

enum cv_tool_test {
	CV_TOOL_TEST_NEVER, /* malformed: validation refuses it, and it holds for nothing */
	CV_TOOL_TEST_IN,    /* equals is an in of one */
	CV_TOOL_TEST_GLOB,
	CV_TOOL_TEST_RANGE,
	CV_TOOL_TEST_LENGTH,
};

struct cv_tool_argument {
	const struct cv_policy_argument *source;
	struct cv_tool_path path;
	enum cv_tool_test test;
	struct cv_value *values; /* IN */
	size_t value_count;
	const struct cv_glob *glob;
	const struct cv_value *min, *max; /* RANGE; NULL: open */
	uint64_t length_min, length_max;
};

struct cv_tool_rule {
	const struct cv_policy_tool_rule *source;
	const struct cv_glob **globs; /* malformed ones are not there */
	size_t glob_count;
	struct cv_binaries binaries;
	struct cv_tool_argument *arguments;
	size_t argument_count;
	bool is_malformed; /* it has lists that are empty, where an absent one would allow more */
};

/* How far a call comes in a rule; the last is nearest. */
enum cv_tool_miss {
	CV_TOOL_MISS_TOOL,
	CV_TOOL_MISS_BINARY,
	CV_TOOL_MISS_ARGUMENTS,
	CV_TOOL_MISS_NONE, /* it allows the call */
};

/* One condition; its memory is in arena.  What is malformed becomes NEVER.  False: the arena is
 * full. */
CV_MUST bool cv_tool_argument_compile(const struct cv_policy_argument *source,
	struct cv_arena *arena, struct cv_tool_argument *ret);
/* The rule without its binaries. */
CV_MUST bool cv_tool_rule_compile(
	const struct cv_policy_tool_rule *source, struct cv_arena *arena, struct cv_tool_rule *ret);

bool cv_tool_rule_names(const struct cv_tool_rule *rule, struct cv_str tool);
bool cv_tool_rule_has_who(const struct cv_tool_rule *rule, const struct cv_facts_who *who);
enum cv_tool_miss cv_tool_rule_miss(
	const struct cv_tool_rule *rule, const struct cv_tool_facts *facts);

/* Does the condition hold for these arguments? */
enum cv_tool_hold cv_tool_argument_hold(
	const struct cv_tool_argument *a, const struct cv_value *arguments);
/* Does a value that its path leads to satisfy it? */
enum cv_tool_hold cv_tool_argument_test(const struct cv_tool_argument *a, const struct cv_value *v);

/* In words (tool_explain.c), in arena: why the rule does not allow the call, and what it asks of
 * the arguments, "" for nothing. */
struct cv_str cv_tool_rule_miss_text(
	const struct cv_tool_rule *rule, const struct cv_tool_facts *facts, struct cv_arena *arena);
struct cv_str cv_tool_rule_conditions_text(const struct cv_tool_rule *rule, struct cv_arena *arena);

/* A number that JSON has too: 1.5, not +1, 01 or 1. */
bool cv_policy_is_json_number(struct cv_str s);

/* A constant of the document as a value; false: the arena is full, or a number is none in JSON. */
CV_MUST bool cv_tool_value_of(
	const struct cv_policy_node *node, struct cv_arena *arena, struct cv_value *ret);
