/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_placeholder.c - hostile texts and bodies
 *
 * Properties: a naive search, in the text as it is and decoded once, finds nothing that the finder
 * or the scanner does not; hits lie in the text and follow each other; pieces do not change what
 * the scanner says; what was redacted has no placeholder left.
 */
#include "fuzz/fuzz.h"

#include "cred/ph_escape_int.h"
#include "fuzz/cred/ph_seed.h"

#define ARENA_BYTES (32u << 20)

static bool has(struct cv_str text, struct cv_str what)
{
	return text.n && memmem(text.p, text.n, what.p, what.n);
}

static bool naive(struct cv_str text)
{
	if (has(text, CV_STR("openshell:resolve:env:")) ||
		has(text, CV_STR("OPENSHELL-RESOLVE-ENV-")))
		return true;
	return has(text, ph_entries[2].text) || has(text, ph_entries[3].text);
}

static void hits_check(struct cv_str text)
{
	struct cv_ph_hit hit;
	size_t from = 0;

	while (cv_ph_find(ph_set(), text, from, &hit)) {
		cv_assert(hit.at >= from && hit.n > 0 && hit.n <= text.n - hit.at);
		cv_assert(hit.entry == CV_PH_UNKNOWN || hit.entry < CV_ARRAY_LEN(ph_entries));
		cv_assert(naive(cv_str_slice(text, hit.at, hit.at + hit.n)));
		from = hit.at + hit.n;
	}
	cv_assert(!naive(cv_str_slice(text, from, text.n)));
}

static bool scan_in_pieces(struct cv_str text, size_t piece)
{
	struct cv_ph_scan s;
	bool has_hit = false;

	cv_ph_scan_init(&s, ph_set());
	for (size_t i = 0; i < text.n; i += piece)
		has_hit = cv_ph_scan_feed(&s, cv_str_slice(text, i, i + piece));
	return has_hit;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct cv_str text = { (const char *)data, size };
	struct cred_decoded once, twice;
	struct cv_arena arena;

	const bool is_in = cv_ph_is_in(ph_set(), text);
	hits_check(text);
	cv_assert(scan_in_pieces(text, 1) == is_in);
	cv_assert(scan_in_pieces(text, 1 + size / 3) == is_in);

	cv_arena_init(&arena, ARENA_BYTES);
	for (int a = CRED_PLAIN; a <= CRED_JSON; a++) {
		if (a == CRED_FORM || !cred_decode(text, (enum cred_coding)a, &arena, &once))
			continue;
		cv_assert(!naive(once.text) || is_in);
		for (int b = CRED_PERCENT; b <= CRED_JSON; b++)
			if (b != CRED_FORM &&
				cred_decode(once.text, (enum cred_coding)b, &arena, &twice))
				cv_assert(!naive(twice.text) || is_in);
	}
	const struct cv_str shown = cv_ph_redact(ph_set(), text, &arena);
	if (cred_decode(shown, CRED_PERCENT, &arena, &once))
		cv_assert(!naive(once.text));
	cv_arena_fini(&arena);
	return 0;
}
