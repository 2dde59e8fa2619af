/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit_search.c - see audit_search.h
 *
 * A scrubber gives back as many bytes as it was fed, with each hit overwritten; so where its output
 * differs from its input is a hit, and with what it was overwritten tells its encoding.  Output
 * comes late by what is held, so input is kept as long.  The count is the scrubber's own: two hits
 * that touch look like one here.
 *
 * One set takes a limited number of bytes of values, so there may be several sets, and each reads
 * every stream.
 */
#include "cli/audit_search.h"

#include "cred/scrub.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define PIECE_BYTES    (64u << 10)
#define SETS_MAX       1024 /* a value of a set at least, and a run has no more */
#define BEHIND         8    /* bytes of output remembered: an escape has up to six */
#define GAP_MAX        16 /* unchanged bytes within a hit, where the overwriting byte stood already */

#define KEPT_BYTES_MAX (CV_SCRUB_HOLD_BYTES_MAX(CV_SCRUB_VALUE_BYTES_MAX) + 2 * PIECE_BYTES)

enum form { FORM_PLAIN, FORM_BASE64, FORM_HEX, FORM_PERCENT, FORM_JSON };

static const char *const form_name[] = {
	[FORM_PLAIN] = "plain",
	[FORM_BASE64] = "base64",
	[FORM_HEX] = "hex",
	[FORM_PERCENT] = "percent",
	[FORM_JSON] = "json",
};

struct part { /* one set */
	struct cv_scrub_set *set;
	struct cv_scrub *scrub;
	struct cv_buf in, out;
	char behind[BEHIND]; /* the last bytes of output */
	uint64_t at;         /* of the next byte of output */
	uint64_t hits;       /* of the scrubber, before this stream */
	bool is_hit;         /* within one, */
	uint64_t hit_at, hit_end;
	enum form form;
};

struct audit_search {
	struct part *part;
	size_t count;
	struct audit_row *row;
	char *where;
	bool has_progress;
	uint64_t total;
	time_t told;
};

/* ---- making ---- */

static cv_code part_add(
	struct audit_search *s, const struct cv_str *values, size_t n, struct cv_err *err)
{
	struct part *p = &s->part[s->count];

	if (cv_scrub_set_new(values, n, NULL, &p->set, err) != CV_OK)
		return err->code;
	if (cv_scrub_set_is_empty(p->set)) {
		cv_scrub_set_unref(p->set);
		p->set = NULL;
		return CV_OK;
	}
	s->count++;
	cv_buf_init(&p->in, KEPT_BYTES_MAX);
	cv_buf_init(&p->out, KEPT_BYTES_MAX);
	p->scrub = cv_scrub_new(p->set);
	return p->scrub ? CV_OK : cv_fail(err, CV_LIMIT, "no memory for the search");
}

static bool is_known(const struct cv_str *values, size_t n, struct cv_str v)
{
	for (size_t i = 0; i < n; i++)
		if (cv_str_eq(values[i], v))
			return true;
	return false;
}

/* As many values at a time as one set takes. */
static cv_code parts_fill(struct audit_search *s, const struct cv_str *values, size_t count,
	bool *is_short, struct cv_err *err)
{
	struct cv_str batch[CV_SCRUB_VALUES_MAX];
	size_t n = 0, bytes = 0;
	cv_code code = CV_OK;

	for (size_t i = 0; i < count && code == CV_OK; i++) {
		const struct cv_str v = cv_str_slice(values[i], 0, CV_SCRUB_VALUE_BYTES_MAX);

		is_short[i] = v.n < CV_SCRUB_VALUE_BYTES_MIN;
		if (is_short[i] || is_known(batch, n, v))
			continue;
		if (n == CV_SCRUB_VALUES_MAX || bytes + v.n > CV_SCRUB_VALUES_BYTES_MAX) {
			code = part_add(s, batch, n, err);
			n = bytes = 0;
		}
		batch[n++] = v;
		bytes += v.n;
	}
	return code == CV_OK && n ? part_add(s, batch, n, err) : code;
}

cv_code audit_search_new(const struct cv_str *values, size_t count, bool *is_short,
	struct audit_search **ret, struct cv_err *err)
{
	struct audit_search *s = calloc(1, sizeof(*s));

	if (s)
		s->part = calloc(CV_MIN(count, SETS_MAX) + 1, sizeof(*s->part));
	if (!s || !s->part) {
		free(s);
		return cv_fail(err, CV_LIMIT, "no memory for the search");
	}
	const cv_code code = parts_fill(s, values, CV_MIN(count, SETS_MAX), is_short, err);
	if (code != CV_OK) {
		audit_search_free(s);
		return code;
	}
	*ret = s;
	return CV_OK;
}

void audit_search_free(struct audit_search *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->count; i++) {
		cv_scrub_free(s->part[i].scrub);
		cv_scrub_set_unref(s->part[i].set);
		cv_buf_wipe(&s->part[i].in);
		cv_buf_wipe(&s->part[i].out);
	}
	free(s->part);
	free(s->where);
	free(s);
}

/* ---- what was overwritten ---- */

/* The byte `back` before out[i], also when it was put out earlier. */
static char byte_before(const struct part *p, const char *out, size_t i, size_t back)
{
	return back <= i ? out[i - back] : p->behind[BEHIND - (back - i)];
}

static enum form form_of(const struct part *p, char in, const char *out, size_t i)
{
	if (out[i] == '*')
		return in == '%' ? FORM_PERCENT : in == '\\' ? FORM_JSON : FORM_PLAIN;
	if (byte_before(p, out, i, 1) == '%' || byte_before(p, out, i, 2) == '%')
		return FORM_PERCENT;
	for (size_t back = 2; back <= 5; back++)
		if (byte_before(p, out, i, back) == '\\' && byte_before(p, out, i, back - 1) == 'u')
			return FORM_JSON;
	return out[i] == 'A' ? FORM_BASE64 : FORM_HEX;
}

static void hit_close(struct audit_search *s, struct part *p)
{
	if (p->is_hit)
		audit_row_hit(s->row, s->where ? s->where : "", form_name[p->form], p->hit_at);
	p->is_hit = false;
}

static void changed(struct audit_search *s, struct part *p, enum form form, uint64_t at)
{
	if (p->is_hit && at > p->hit_end + GAP_MAX)
		hit_close(s, p);
	if (!p->is_hit) {
		p->is_hit = true;
		p->hit_at = at;
		p->form = form;
	}
	p->form = CV_MAX(p->form, form); /* one escape among plain bytes makes it escaped */
	p->hit_end = at;
}

static void behind_set(struct part *p, struct cv_str out)
{
	if (out.n >= BEHIND) {
		memcpy(p->behind, out.p + out.n - BEHIND, BEHIND);
		return;
	}
	memmove(p->behind, p->behind + out.n, BEHIND - out.n);
	if (out.n)
		memcpy(p->behind + BEHIND - out.n, out.p, out.n);
}

static void compare(struct audit_search *s, struct part *p)
{
	const struct cv_str in = cv_buf_str(&p->in), out = cv_buf_str(&p->out);

	if (out.n && memcmp(in.p, out.p, out.n) != 0)
		for (size_t i = 0; i < out.n; i++)
			if (in.p[i] != out.p[i])
				changed(s, p, form_of(p, in.p[i], out.p, i), p->at + i);
	p->at += out.n;
	behind_set(p, out);
	cv_buf_skip(&p->in, out.n);
	cv_buf_reset(&p->out);
}

/* ---- streams ---- */

void audit_search_begin(
	struct audit_search *s, struct audit_row *row, const char *where, uint64_t at)
{
	s->row = row;
	free(s->where);
	s->where = strdup(where);
	for (size_t i = 0; i < s->count; i++) {
		struct part *p = &s->part[i];

		cv_buf_reset(&p->in);
		cv_buf_reset(&p->out);
		memset(p->behind, 0, BEHIND);
		p->at = at;
		p->hits = cv_scrub_hits(p->scrub);
		p->is_hit = false;
	}
}

static void progress_tell(struct audit_search *s)
{
	const time_t now = time(NULL);

	if (!s->has_progress || now == s->told)
		return;
	s->told = now;
	fprintf(stderr, "\rcove: %" PRIu64 " MiB searched", s->total >> 20);
}

void audit_search_feed(struct audit_search *s, struct cv_str bytes)
{
	s->row->bytes += bytes.n;
	s->total += bytes.n;
	progress_tell(s);
	while (bytes.n) {
		const struct cv_str piece = cv_str_slice(bytes, 0, PIECE_BYTES);

		for (size_t i = 0; i < s->count; i++) {
			struct part *p = &s->part[i];

			if (!cv_buf_put(&p->in, piece) ||
				!cv_scrub_feed(p->scrub, piece, &p->out)) {
				audit_row_unsearched(s->row, "no memory for the search");
				return;
			}
			compare(s, p);
		}
		bytes = cv_str_slice(bytes, piece.n, bytes.n);
	}
}

void audit_search_end(struct audit_search *s)
{
	uint64_t most = 0;

	for (size_t i = 0; i < s->count; i++) {
		struct part *p = &s->part[i];

		if (!cv_scrub_end(p->scrub, &p->out))
			audit_row_unsearched(s->row, "no memory for the search");
		compare(s, p);
		hit_close(s, p);
		most += cv_scrub_hits(p->scrub) - p->hits;
	}
	s->row->hits += most;
}

uint64_t audit_search_fd(
	struct audit_search *s, struct audit_row *row, const char *where, int fd, uint64_t max)
{
	static char piece[PIECE_BYTES];
	uint64_t n = 0;

	audit_search_begin(s, row, where, 0);
	for (;;) {
		const ssize_t got = read(fd, piece, sizeof(piece));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && errno != ESRCH) /* ESRCH: the process of a /proc file has ended */
			audit_row_unsearched(row, "%s: %s", where, strerror(errno));
		if (got <= 0)
			break;
		if ((uint64_t)got > max - n) {
			audit_row_unsearched(row, "%s: more than %" PRIu64 " bytes", where, max);
			break;
		}
		audit_search_feed(s, (struct cv_str){ piece, (size_t)got });
		n += (uint64_t)got;
	}
	audit_search_end(s);
	explicit_bzero(piece, sizeof(piece));
	return n;
}

bool audit_search_scrub(struct audit_search *s, struct cv_buf *text)
{
	bool is_ok = !text->is_overflown;

	for (size_t i = 0; i < s->count && is_ok; i++) {
		struct cv_buf out;

		cv_buf_init(&out, text->max);
		is_ok = cv_scrub_text(s->part[i].scrub, cv_buf_str(text), &out) &&
			cv_buf_len(&out) == cv_buf_len(text);
		if (is_ok && cv_buf_len(&out))
			memcpy(text->data + text->start, out.data + out.start, cv_buf_len(&out));
		cv_buf_fini(&out);
	}
	return is_ok;
}

void audit_search_progress(struct audit_search *s, bool is_wanted)
{
	if (s->has_progress && s->told)
		fputs("\r\033[K", stderr);
	s->has_progress = is_wanted && isatty(2);
	s->told = is_wanted ? time(NULL) : 0; /* a short search says nothing */
}
