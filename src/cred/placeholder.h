/* SPDX-License-Identifier: Apache-2.0 */
/*
 * placeholder.h - finds placeholders of credentials in what a sandbox sends
 *
 * Forms, all of them accepted for each key of the set:
 *
 *     openshell:resolve:env:KEY                    canonical
 *     openshell:resolve:env:v<digits>_KEY          of one revision
 *     openshell:resolve:env:s<64 hex>_KEY          stable handle
 *     <prefix>-OPENSHELL-RESOLVE-ENV-KEY           alias, a whole token of [A-Za-z0-9_.~-]
 *     the entry's own text                         one with the shape that an SDK expects
 *
 * The key is the whole run of letters, digits and _ that follows a marker, so of KEY and KEY_2 each
 * stands for itself only.  A marker with any other key is a hit as well, for CV_PH_UNKNOWN: it must
 * be refused, never sent on as it is.
 *
 * Two ways to look: cv_ph_find() says where, in bytes that were decoded already; the scanner says
 * whether, in bytes that nobody decodes, and sees through encodings.  Both take time in proportion
 * to the bytes, whatever they are.
 *
 * Ownership: a set borrows keys and texts from the entries and lives in the arena it was compiled
 * in; it is immutable then.  Limits: CV_PH_* in limits.h.
 */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "cred/limits.h"

#define CV_PH_UNKNOWN UINT32_MAX

/* What redacted texts show instead. */
#define CV_PH_REDACTED CV_STR("[CREDENTIAL]")

struct cv_ph_entry {
	struct cv_str key;
	struct cv_str text; /* as the sandbox's environment has it; empty: canonical only */
};

enum cv_ph_form {
	CV_PH_FORM_TEXT,
	CV_PH_FORM_CANONICAL,
	CV_PH_FORM_REVISION,
	CV_PH_FORM_STABLE,
	CV_PH_FORM_ALIAS,
	CV_PH_FORM_COUNT
};

const char *cv_ph_form_name(enum cv_ph_form form); /* "revision" */

struct cv_ph_node; /* of the automaton */

struct cv_ph_set {
	const struct cv_ph_entry *entries;
	size_t count;
	uint16_t sorted[CV_PH_ENTRIES_MAX]; /* entries by key */
	struct cv_ph_node *nodes;
	uint32_t node_count;
	uint32_t root[256]; /* where the automaton goes from its root */
	uint64_t *pairs;    /* a bit for each two bytes at which a scan must look closer */
};

/* entries must outlive the set.  CV_INVALID: too many; a key that is no name, is reserved, or is
 * there twice; a text that is too short or long, has other than unreserved bytes (RFC 3986, and
 * `:`), contains another placeholder, or is the marker form of another key.  CV_LIMIT: the arena
 * is full. */
CV_MUST cv_code cv_ph_set_compile(struct cv_ph_set *ret, const struct cv_ph_entry *entries,
	size_t count, struct cv_arena *arena, struct cv_err *err);

struct cv_ph_hit {
	size_t at, n;   /* in the text */
	uint32_t entry; /* index, or CV_PH_UNKNOWN */
	enum cv_ph_form form;
	struct cv_str tag; /* digits of a revision, hex of a handle; borrowed from the text */
};

/* The first placeholder at or after from; false if there is none.  No encoding is looked through. */
CV_MUST bool cv_ph_find(
	const struct cv_ph_set *set, struct cv_str text, size_t from, struct cv_ph_hit *ret);

/* Bytes that an escape held back, in one stage of a view. */
struct cv_ph_stage {
	uint8_t n;
	char held[6];
};

#define CV_PH_VIEWS 7

/*
 * A body (or anything else) that is passed on unchanged, in pieces of any size.  Seen: markers and
 * texts that stand there plain; percent-encoded, in part or whole, once or twice; behind JSON
 * escapes (\u003a), once or twice; and one of these within the other.
 */
struct cv_ph_scan {
	const struct cv_ph_set *set;
	bool has_hit;
	bool is_together; /* all views stand at the same node and hold nothing */
	struct {
		uint32_t node;
		struct cv_ph_stage stage[2];
	} view[CV_PH_VIEWS];
};

void cv_ph_scan_init(struct cv_ph_scan *s, const struct cv_ph_set *set);

/* True as soon as a placeholder ended in what was fed so far, and ever after. */
CV_MUST bool cv_ph_scan_feed(struct cv_ph_scan *s, struct cv_str bytes);

/* The same for bytes that are all there. */
CV_MUST bool cv_ph_is_in(const struct cv_ph_set *set, struct cv_str bytes);

/* text with CV_PH_REDACTED for each placeholder, plain or percent-encoded; for people and logs.
 * text itself if there is none; CV_PH_REDACTED alone when the arena is full. */
struct cv_str cv_ph_redact(const struct cv_ph_set *set, struct cv_str text, struct cv_arena *arena);
