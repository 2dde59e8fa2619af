/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fill.h - C structures from YAML mappings, by table
 *
 * A table describes one mapping level: a row per key, with the kind of value and the place where
 * it goes.  What has no row is an unknown key.  The same rows give the "known here" list of
 * messages, so documentation, messages and reader can't disagree.  Policies are read this way, and
 * so are the provider profiles of cred/.  JSON is YAML's flow style and is read as it is.
 */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "policy/policy.h"

enum cv_fill_kind {
	CV_FILL_TEXT,     /* any scalar but nothing: struct cv_policy_text */
	CV_FILL_STR,      /* the same: struct cv_str */
	CV_FILL_TEXTS,    /* list of scalars: struct cv_policy_texts */
	CV_FILL_BOOL,     /* true or false: bool */
	CV_FILL_BYTES,    /* a positive number: uint64_t */
	CV_FILL_ORDER,    /* a number of 32 bits: int64_t */
	CV_FILL_WORD,     /* one of words: enum at `at`, text at `at_text` (if not 0) */
	CV_FILL_INSIDE,   /* a mapping (sub) whose rows are offsets of the same object */
	CV_FILL_LIST,     /* list of mappings (sub): pointer at `at`, count at `at_n` */
	CV_FILL_NAMED,    /* mapping of name to mapping (sub): as a list */
	CV_FILL_MATCHERS, /* mapping of name to string, {glob} or {any}: as a list */
	CV_FILL_GLOBS,    /* string, {glob} or {any}: struct cv_policy_texts */
	CV_FILL_PORT,     /* number: pointer at `at`, count at `at_n` */
	CV_FILL_PORTS,    /* list of numbers: the same */
	CV_FILL_PAIRS, /* mapping of name to scalar: struct cv_fill_pair at `at`, count at `at_n` */
	CV_FILL_COUNT, /* a number from 0: int64_t */
	CV_FILL_VERSION,  /* the number 1: uint32_t */
	CV_FILL_DROPPED,  /* true or false, accepted and forgotten */
	CV_FILL_ANYTHING, /* stepped over */
	CV_FILL_NODE,     /* any value, kept as it is: struct cv_policy_node */
	CV_FILL_REFUSED,  /* known and not accepted; `why` says what to write instead */
	CV_FILL_KIND_COUNT
};

struct cv_fill_word {
	const char *name;
	int value;
};

/* Offsets are into the object that the table fills; 0 means "none" for all but `at`. */
struct cv_fill_key {
	const char *name;
	enum cv_fill_kind kind;
	size_t at, at_n, at_text, at_pos, at_has;
	const struct cv_fill_table *sub;
	const struct cv_fill_word *words; /* ends with name NULL */
	bool is_required;
	const char *why;
};

struct cv_fill_pair {
	struct cv_policy_text key, value;
};

struct cv_fill_table {
	const char *noun; /* "an endpoint" */
	const char *hint; /* for unknown keys, instead of the known ones; may be NULL */
	const struct cv_fill_key *keys;
	size_t key_count;
	size_t size;       /* of an element of a list */
	bool has_pos;      /* an element begins with its struct cv_policy_pos */
	bool is_private;   /* values in it, and one in its place, are never quoted */
	bool is_open;      /* unknown keys are stepped over: for a first look */
	size_t at_key_pos; /* where the place of each key goes: an array as long as keys */
	size_t at_key;     /* where a named element keeps its name (cv_policy_text) */
	const struct cv_fill_key
		*scalar; /* an element that is a string is the value of this one; or NULL */
	void (*init)(void *elem); /* defaults that are not zero; may be NULL */
};

/* The members that every table has, from its array of rows. */
#define CV_FILL_TABLE(what, rows) .noun = what, .keys = rows, .key_count = CV_ARRAY_LEN(rows)

#define CV_FILL_KEYS_MAX          40 /* rows of a level; checked when filling */

/* An element of a list is built in a buffer of this size before it is kept; checked when filling.
 * The largest is a tool of a catalog. */
#define CV_FILL_ELEMENT_BYTES_MAX 2048

/* The whole language; its object is struct cv_policy_doc. */
extern const struct cv_fill_table cv_policy_schema;
extern const struct cv_fill_table cv_policy_tools_schema; /* of it, only the section about tools */
/* Elements of a network policy, for whoever has endpoints of the same kind. */
extern const struct cv_fill_table cv_policy_endpoint_schema; /* struct cv_policy_endpoint */
extern const struct cv_fill_table cv_policy_binary_schema;   /* struct cv_policy_binary */

/* A document's name, and what to say when it is empty, something else, or too large. */
struct cv_fill_noun {
	const char *name;    /* "policy" */
	const char *minimum; /* "it needs at least \"version: 1\"" */
	const char *start;   /* "it begins with \"version: 1\"" */
	const char *shorten;
};

/* Reads text, one document whose root is a mapping, into obj.  Memory is from arena.  CV_INVALID
 * when there were errors (in findings); obj is then half filled and good for nothing. */
CV_MUST cv_code cv_fill_document(struct cv_str text, const struct cv_fill_noun *noun,
	const struct cv_fill_table *table, void *obj, struct cv_arena *arena,
	struct cv_findings *findings);

/* obj as one line of JSON, which reads back as the same.  Overflow is out's. */
void cv_fill_write(const struct cv_fill_table *table, const void *obj, struct cv_buf *out);
