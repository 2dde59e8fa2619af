/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cred_message.c - credentials in the text messages of a WebSocket; see cred.h
 *
 * The question is the same as for a request, with the upgrade's method and path.  The text stays
 * where it was assembled until the answer is there, and is looked through once more then.
 */
#include "proxy/cred_int.h"
#include "proxy/proxy.h"

#include <stdio.h>

/* The values into text, whose memory is never left behind with one in it. */
static enum cv_rewrite_rc message_apply(struct cv_proxy *p, struct cv_flow *f,
	const struct cv_rewrite_plan *plan, struct cv_buf *text)
{
	struct cv_creds *c = &p->creds;
	struct cv_str made;
	const enum cv_rewrite_rc rc = cv_rewrite_body_apply(
		&c->set, cv_buf_str(text), plan, f->cred->values, &c->scratch, &made);

	if (rc != CV_REWRITE_OK)
		return rc;
	cv_buf_reset(text);
	const bool is_put = cv_buf_reserve(text, made.n) && cv_buf_put(text, made);
	cv_rewrite_body_wipe(made);
	return is_put ? CV_REWRITE_OK : CV_REWRITE_MEMORY;
}

/* As JSON if it is JSON, else as text.  A protocol with a word before its JSON is text. */
static enum cv_rewrite_rc message_collect(
	struct cv_creds *c, struct cv_str text, struct cv_rewrite_plan *ret)
{
	static const enum cv_rewrite_body_kind kinds[] = { CV_REWRITE_BODY_JSON,
		CV_REWRITE_BODY_TEXT };
	enum cv_rewrite_rc rc = CV_REWRITE_BODY_MALFORMED;

	for (size_t i = 0; i < CV_ARRAY_LEN(kinds) && rc == CV_REWRITE_BODY_MALFORMED; i++) {
		const struct cv_rewrite_body body = { .kind = kinds[i] };

		cv_arena_reset(&c->scratch);
		rc = cv_rewrite_body_collect(&c->set, &body, text, &c->scratch, ret);
	}
	return rc;
}

/* The keeper judges a message as it judged the upgrade. */
static void message_ask(struct cv_proxy *p, struct cv_flow *f, struct cv_str path,
	const struct cv_rewrite_plan *plan)
{
	const struct cv_h1_request r = { .method = CV_STR("GET"), .form = CV_H1_FORM_ORIGIN };

	if (cred_release_ask(p, f, &r, path, plan, NULL))
		return;
	f->cred->state = CV_CRED_REFUSED;
	f->cred->refusal = CV_RELEASE_MISMATCH;
	snprintf(f->cred->why, sizeof(f->cred->why), "too many credentials in one message");
}

enum cv_cred_step cv_cred_message(struct cv_proxy *p, struct cv_flow *f, struct cv_str path,
	const struct cv_policy_endpoint *e, struct cv_buf *text, const char **ret_slug,
	const char **ret_why)
{
	struct cv_rewrite_plan plan;
	enum cv_rewrite_rc rc;

	if (!p->creds.count || !cv_ph_is_in(&p->creds.set, cv_buf_str(text)))
		return CV_CRED_OK;
	*ret_slug = "placeholder_in_message";
	*ret_why = "placeholder in a message that is not rewritten";
	if (!e || !e->websocket_credential_rewrite || !f->is_tls)
		return CV_CRED_ANSWERED;
	rc = cred_flow_make(f) ? message_collect(&p->creds, cv_buf_str(text), &plan)
			       : CV_REWRITE_MEMORY;
	if (rc == CV_REWRITE_OK) {
		*ret_slug = cv_release_slug(CV_RELEASE_MISMATCH);
		*ret_why = "the policy does not bind its provider to this endpoint";
		if (!cred_is_bound_still(p, f, e, &plan))
			return CV_CRED_ANSWERED;
		if (cred_is_to_ask(f->cred))
			message_ask(p, f, path, &plan);
		if (f->cred->state == CV_CRED_ASKED || f->cred->state == CV_CRED_AWAY)
			return CV_CRED_WAIT;
		if (f->cred->state == CV_CRED_REFUSED) {
			f->cred->state = CV_CRED_IDLE;
			*ret_slug = cv_release_slug(f->cred->refusal);
			*ret_why = f->cred->why[0] ? f->cred->why
						   : "credentials are not available now";
			return CV_CRED_ANSWERED;
		}
		rc = message_apply(p, f, &plan, text);
	}
	if (f->cred)
		cv_cred_forget(p, f);
	*ret_slug = cv_rewrite_rc_row(rc)->slug;
	*ret_why = cv_rewrite_rc_row(rc)->text;
	return rc == CV_REWRITE_OK ? CV_CRED_OK : CV_CRED_ANSWERED;
}
