/* SPDX-License-Identifier: Apache-2.0 */
/*
 * h2_ids.c - see h2_ids.h
 */
#include "wire/h2_ids.h"

#define DATA       0
#define HEADERS    1
#define RST_STREAM 3
#define END_STREAM 0x1

static bool is_ended(const struct cv_h2_ids *s, uint32_t id)
{
	for (size_t i = 0; i < CV_ARRAY_LEN(s->ended); i++)
		if (s->ended[i] == id)
			return true;
	return false;
}

static void ended_add(struct cv_h2_ids *s, uint32_t id)
{
	if (is_ended(s, id)) /* RST_STREAM behind END_STREAM is allowed */
		return;
	s->ended[s->at] = id;
	s->at = (s->at + 1) % CV_ARRAY_LEN(s->ended);
}

static enum cv_h2_ids_rc open_note(struct cv_h2_ids *s, uint32_t id)
{
	const uint32_t next = s->last ? s->last + 2 : 1;

	if (id % 2 == 0) /* no client's */
		return CV_H2_IDS_OK;
	if (id < next)
		return id >= s->gap_from && id <= s->gap_to ? CV_H2_IDS_PASSED : CV_H2_IDS_AGAIN;
	if (id > next) {
		s->gap_from = next;
		s->gap_to = id - 2;
	}
	s->last = id;
	return CV_H2_IDS_OK;
}

enum cv_h2_ids_rc cv_h2_ids_note(struct cv_h2_ids *s, const struct cv_h2_frame *f, bool is_client)
{
	enum cv_h2_ids_rc rc = CV_H2_IDS_OK;

	if (!f->stream || (f->type != DATA && f->type != HEADERS && f->type != RST_STREAM))
		return CV_H2_IDS_OK;
	if (f->type != RST_STREAM && is_ended(s, f->stream))
		return CV_H2_IDS_ENDED;
	if (f->type == HEADERS && is_client)
		rc = open_note(s, f->stream);
	if (f->type == RST_STREAM || (f->flags & END_STREAM))
		ended_add(s, f->stream);
	return rc;
}
