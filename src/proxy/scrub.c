/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scrub.c - see scrub.h
 */
#include "proxy/scrub.h"

#include "cred/response.h"
#include "proxy/proxy.h"

#include <stdlib.h>
#include <string.h>

struct cv_scrub_filter {
	struct cv_filter base; /* first: the body knows only this */
	struct cv_response_body *body;
};

/* ---- sets ---- */

void cv_scrubs_fini(struct cv_scrubs *s)
{
	for (size_t i = 0; i < CV_SCRUB_SETS_MAX; i++)
		cv_scrub_set_unref(s->kept[i].set);
	*s = (struct cv_scrubs){ 0 };
}

static struct cv_scrub_set *kept_find(const struct cv_scrubs *s, const struct cv_scrub_key *key)
{
	for (size_t i = 0; i < CV_SCRUB_SETS_MAX; i++)
		if (s->kept[i].set && s->kept[i].key.epoch == key->epoch &&
			memcmp(s->kept[i].key.creds, key->creds, sizeof(key->creds)) == 0)
			return s->kept[i].set;
	return NULL;
}

void cv_scrub_use(struct cv_scrubs *s, struct cv_flow *f, const struct cv_scrub_key *key,
	const struct cv_str *values, size_t count)
{
	struct cv_scrub_set *set = kept_find(s, key);

	f->cred->is_unscrubbable = false;
	if (!set) {
		const uint32_t slot = s->next++ % CV_SCRUB_SETS_MAX;

		/* Values that are too short are passed over: the launcher has said so. */
		if (cv_scrub_set_new(values, count, NULL, &set, NULL) != CV_OK) {
			f->cred->is_unscrubbable = true;
			return;
		}
		cv_scrub_set_unref(s->kept[slot].set);
		s->kept[slot].set = set;
		s->kept[slot].key = *key;
	}
	f->cred->scrub_set = cv_scrub_set_ref(set);
}

static void filter_free(struct cv_flow *f)
{
	if (f->cred->scrub)
		cv_response_body_free(f->cred->scrub->body);
	free(f->cred->scrub);
	f->cred->scrub = NULL;
}

void cv_scrub_drop(struct cv_flow *f)
{
	filter_free(f);
	cv_scrub_set_unref(f->cred->scrub_set);
	f->cred->scrub_set = NULL;
	f->cred->is_unscrubbable = false;
}

/* ---- the request ---- */

static bool is_off(const struct cv_flow *f)
{
	return f->cred->flags & CV_RELEASED_UNSCRUBBED;
}

bool cv_scrub_ask(struct cv_proxy *p, struct cv_flow *f, const struct cv_h1_request *r,
	struct cv_h1_request_edit *e)
{
	struct cv_arena *arena = &p->creds.scratch;
	struct cv_h1_header *set = cv_arena_array(arena, 1, sizeof(*set));
	struct cv_buf value;

	if (!f->cred->scrub_set || is_off(f))
		return true;
	size_t at = 0;

	cv_buf_init(&value, 256);
	/* Who names no coding gets none from any server that we know, and if one, it is decoded. */
	if (set &&
		cv_h1_header_next_named(
			r->header, r->header_count, CV_STR("Accept-Encoding"), &at) &&
		cv_response_accept_encoding(r->header, r->header_count, &value)) {
		*set = (struct cv_h1_header){
			.name = CV_STR("Accept-Encoding"),
			.value = cv_arena_str(arena, cv_buf_str(&value)),
			.field = CV_H1_FIELD_OTHER,
		};
		e->common.set = set;
		e->common.set_count = 1;
	}
	cv_buf_fini(&value);
	e->common.drop = cv_response_request_drop;
	e->common.drop_count = cv_response_request_drop_count;
	return true;
}

/* ---- the response ---- */

static enum cv_filter_rc rc_of(struct cv_filter *f, enum cv_decode_rc rc)
{
	if (rc == CV_DECODE_OK || rc == CV_DECODE_MORE)
		return rc == CV_DECODE_OK ? CV_FILTER_OK : CV_FILTER_MORE;
	f->why = cv_decode_rc_row(rc)->text;
	return CV_FILTER_BAD;
}

static enum cv_filter_rc feed(struct cv_filter *f, struct cv_str *in, struct cv_buf *out)
{
	return rc_of(f, cv_response_body_feed(((struct cv_scrub_filter *)f)->body, in, out));
}

static enum cv_filter_rc end(struct cv_filter *f, struct cv_buf *out)
{
	return rc_of(f, cv_response_body_end(((struct cv_scrub_filter *)f)->body, out));
}

static bool trailer(struct cv_filter *f, struct cv_str value, struct cv_buf *out)
{
	struct cv_scrub *s = cv_response_body_scrub(((struct cv_scrub_filter *)f)->body);

	return cv_scrub_text(s, value, out);
}

static bool filter_make(struct cv_flow *f, const struct cv_response_plan *plan, struct cv_scrub *s)
{
	struct cv_scrub_filter *filter = calloc(1, sizeof(*filter));

	filter_free(f);
	if (!filter) {
		cv_scrub_free(s);
		return false;
	}
	filter->base = (struct cv_filter){ .feed = feed, .end = end, .trailer = trailer };
	filter->body = cv_response_body_new(plan, s); /* takes s */
	f->cred->scrub = filter;
	return filter->body != NULL;
}

/* The framing of a body whose length is not known any more. */
static void reframe(struct cv_flow *f, const struct cv_response_plan *plan)
{
	struct cv_body *b = &f->http.down;

	if (plan->action != CV_RESPONSE_DECODE || b->kind != CV_H1_BODY_LENGTH)
		return;
	b->out = f->http.to_http10 ? CV_H1_BODY_CLOSE : CV_H1_BODY_CHUNKED;
	if (f->http.to_http10)
		f->http.client_closes = true;
}

const char *cv_scrub_response(struct cv_proxy *p, struct cv_flow *f, struct cv_h1_response *r)
{
	static const char no_memory[] = "no memory to scrub the response";
	const struct cv_response_asked asked = {
		.is_head = f->http.asked == CV_H1_ASKED_HEAD,
		.is_unscrubbed = f->cred && is_off(f),
	};
	struct cv_scrub *s;

	if (!f->cred || (!f->cred->scrub_set && !f->cred->is_unscrubbable))
		return NULL;
	if (f->cred->is_unscrubbable)
		return asked.is_unscrubbed ? NULL : no_memory;
	const struct cv_response_plan plan =
		cv_response_plan(r->status, r->header, r->header_count, f->cred->scrub_set, asked);
	if (plan.action == CV_RESPONSE_REFUSE)
		return cv_response_reason_row(plan.reason)->text;
	if (plan.action == CV_RESPONSE_PASS)
		return NULL;
	s = cv_scrub_new(f->cred->scrub_set);
	cv_arena_reset(&p->creds.scratch);
	if (!s || !cv_response_head(&plan, s, &p->creds.scratch, r)) {
		cv_scrub_free(s);
		return no_memory;
	}
	if (r->status < 200 || f->http.down.is_done) {
		cv_scrub_free(s);
		return NULL;
	}
	if (!filter_make(f, &plan, s))
		return no_memory;
	f->http.down.filter = &f->cred->scrub->base;
	reframe(f, &plan);
	return NULL;
}
