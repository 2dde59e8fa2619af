/* SPDX-License-Identifier: Apache-2.0 */
/*
 * overlap.c - can two hosts, or two paths, of endpoints match the same request?
 *
 * For hosts the answer is exact, label by label from the right.  For paths it errs to one side: an
 * overlap too many costs an author a more specific path, one too few leaves a request with two
 * answers.  So whatever is not literal is taken for *, and only literal beginnings and ends tell two
 * paths apart.
 */
#include "policy/check_int.h"

/* ---- hosts ---- */

/* Globs of * only, no delimiter: is there a text that both match?  Classic recursion over the two
 * patterns, as a table of booleans would be larger than the labels are. */
static bool stars_overlap(struct cv_str a, struct cv_str b, unsigned *budget)
{
	if (!*budget)
		return true; /* too hard to tell: be strict */
	(*budget)--;
	if (!a.n && !b.n)
		return true;
	if (a.n && a.p[0] == '*')
		return stars_overlap(cv_str_slice(a, 1, a.n), b, budget) ||
		       (b.n && stars_overlap(a, cv_str_slice(b, 1, b.n), budget));
	if (b.n && b.p[0] == '*')
		return stars_overlap(b, a, budget);
	if (!a.n || !b.n || cv_ascii_lower(a.p[0]) != cv_ascii_lower(b.p[0]))
		return false;
	return stars_overlap(cv_str_slice(a, 1, a.n), cv_str_slice(b, 1, b.n), budget);
}

static bool label_overlaps(struct cv_str a, struct cv_str b)
{
	unsigned budget = 4096; /* labels of 63 bytes with one or two stars need far less */

	return stars_overlap(a, b, &budget);
}

static struct cv_str label_cut_last(struct cv_str *s)
{
	const size_t dot = cv_str_rfind_byte(*s, '.');
	const struct cv_str whole = *s;

	*s = dot < whole.n ? cv_str_slice(whole, 0, dot) : CV_STR_NONE;
	return dot < whole.n ? cv_str_slice(whole, dot + 1, whole.n) : whole;
}

bool cv_policy_hosts_overlap(struct cv_str a, struct cv_str b)
{
	if (!a.n || !b.n)
		return true;
	while (a.p && b.p) {
		const struct cv_str la = label_cut_last(&a), lb = label_cut_last(&b);

		/* ** is only ever the first label: it takes this label and any before it. */
		if (!a.p && cv_str_eq(la, CV_STR("**")))
			return true;
		if (!b.p && cv_str_eq(lb, CV_STR("**")))
			return true;
		if (!label_overlaps(la, lb))
			return false;
	}
	return !a.p && !b.p;
}

/* ---- paths ---- */

static bool is_any_path(struct cv_str p)
{
	return !p.n || cv_str_eq(p, CV_STR("**")) || cv_str_eq(p, CV_STR("/**"));
}

/* The part before the first character that is not itself. */
static struct cv_str path_literal(struct cv_str p)
{
	size_t n = 0;

	while (n < p.n && !strchr("*?[", p.p[n]))
		n++;
	return cv_str_slice(p, 0, n);
}

/* What a selector can match, with ? and classes taken for *, which finds an overlap too many
 * rather than one too few.  A selector that ends
 * in / and two stars also means the directory itself; the caller tries that. */
static bool path_within(struct cv_str a, struct cv_str b)
{
	const struct cv_str la = path_literal(a), lb = path_literal(b);
	const size_t n = CV_MIN(la.n, lb.n);

	if (la.n == a.n && lb.n == b.n)
		return cv_str_eq(a, b);
	return cv_str_eq(cv_str_slice(la, 0, n), cv_str_slice(lb, 0, n));
}

/* The same from the other end: two literal tails, the one must end with the other. */
static bool path_tails_agree(struct cv_str a, struct cv_str b)
{
	size_t i = 0;

	while (i < a.n && i < b.n) {
		const char ca = a.p[a.n - 1 - i], cb = b.p[b.n - 1 - i];

		if (strchr("*?]", ca) || strchr("*?]", cb))
			return true;
		if (ca != cb)
			return false;
		i++;
	}
	return a.n == b.n || (i == a.n ? cv_str_has_byte(a, '*') : cv_str_has_byte(b, '*'));
}

bool cv_policy_paths_overlap(struct cv_str a, struct cv_str b)
{
	const struct cv_str below = CV_STR("/**");

	if (is_any_path(a) || is_any_path(b))
		return true;
	/* X itself belongs to X/ and below */
	if (cv_str_has_suffix(a, below) &&
		cv_policy_paths_overlap(cv_str_slice(a, 0, a.n - below.n), b))
		return true;
	if (cv_str_has_suffix(b, below) &&
		cv_policy_paths_overlap(a, cv_str_slice(b, 0, b.n - below.n)))
		return true;
	return path_within(a, b) && path_tails_agree(a, b);
}
