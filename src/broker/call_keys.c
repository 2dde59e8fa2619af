/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call_keys.c - calls whose tool needs credentials
 *
 * Such a call has a backend of its own first, which does nothing but wait for the keeper; then the
 * tool's takes over.  From then on whatever comes back passes here on its way to the log and to the
 * result, and stays as long as it was (cred/scrub.h), before it is cut or looked at: half a secret
 * at the end of what fits would be a secret still.
 */
#include "broker/broker.h"

#include "broker/call_end.h"

#include <stdio.h>

static bool keys_start(struct broker *b, struct job *j, struct cv_err *err)
{
	j->keys = keys_ask(b, KEYS_JOB, j->ref, "tool", j->tool->name, &j->tool->uses);
	if (!j->keys)
		return cv_fail(err, CV_LIMIT, "no memory"), false;
	j->run = j->keys;
	return true;
}

static void keys_stop(struct broker *b, struct job *j)
{
	j->run = NULL;
	call_end(b, j,
		&(struct call_end){
			.outcome = j->stop_state == JOB_TIMED_OUT ? CALL_TIMEOUT : CALL_CANCELLED,
		});
}

static void keys_event(struct broker *b, struct job *j, enum watch what, uint32_t events)
{
	(void)b;
	(void)j;
	(void)what;
	(void)events;
}

static void keys_nothing(struct broker *b, struct job *j)
{
	(void)b;
	(void)j;
}

static void keys_drop(struct broker *b, struct job *j)
{
	(void)b;
	j->run = NULL; /* the keys go with the job */
}

const struct backend keys_backend = {
	.name = "keys",
	.start = keys_start,
	.event = keys_event,
	.stop = keys_stop,
	.due = keys_nothing,
	.drop = keys_drop,
};

void call_keys_come(struct broker *b, struct cv_ref ref, const struct cv_err *failed)
{
	struct job *j = pool_get(&b->jobs, ref);
	struct cv_err err;

	if (!j || j->backend != &keys_backend || !j->run)
		return;
	j->run = NULL;
	if (failed) {
		err = *failed; /* what it is in may go with the call */
	} else {
		j->backend = backend_of(j->tool);
		if (call_scrub_start(j, NULL, &err) && j->backend->start(b, j, &err)) {
			j = pool_get(&b->jobs, ref);
			if (j)
				keys_values_drop(j->keys);
			return;
		}
	}
	call_end(b, j, &(struct call_end){ .outcome = CALL_BROKEN, .detail = err.msg });
}

/* ---- what comes back ---- */

bool call_scrub_start(struct job *j, const struct keys *other, struct cv_err *err)
{
	keys_scrub_fini(&j->log_scrub);
	keys_scrub_fini(&j->out_scrub);
	if (keys_scrub_init(&j->log_scrub, j->keys, other) &&
		keys_scrub_init(&j->out_scrub, j->keys, other))
		return true;
	cv_fail(err, CV_LIMIT, "no memory");
	return false;
}

void call_log(struct broker *b, struct job *j, struct cv_str bytes)
{
	struct cv_buf clean;

	if (!j->log_scrub.v[0]) {
		job_log(b, j, bytes);
		return;
	}
	cv_buf_init(&clean, SIZE_MAX / 2);
	if (keys_scrub_feed(&j->log_scrub, bytes, &clean))
		job_log(b, j, cv_buf_str(&clean));
	cv_buf_wipe(&clean);
}

void call_log_end(struct broker *b, struct job *j)
{
	struct cv_buf clean;

	if (!j->log_scrub.v[0])
		return;
	cv_buf_init(&clean, SIZE_MAX / 2);
	if (keys_scrub_end(&j->log_scrub, &clean) && cv_buf_len(&clean))
		job_log(b, j, cv_buf_str(&clean));
	cv_buf_wipe(&clean);
}

static void put(struct cv_buf *out, struct cv_str s)
{
	const size_t room = out->max - cv_buf_len(out);

	cv_buf_put(out, cv_str_slice(s, 0, CV_MIN(s.n, room)));
}

void call_out(struct job *j, struct cv_str bytes, struct cv_buf *out)
{
	struct cv_buf clean;

	if (!j->out_scrub.v[0]) {
		put(out, bytes);
		return;
	}
	cv_buf_init(&clean, SIZE_MAX / 2);
	if (keys_scrub_feed(&j->out_scrub, bytes, &clean))
		put(out, cv_buf_str(&clean));
	cv_buf_wipe(&clean);
}

void call_out_end(struct job *j, struct cv_buf *out)
{
	struct cv_buf clean;

	if (!j->out_scrub.v[0])
		return;
	cv_buf_init(&clean, SIZE_MAX / 2);
	if (keys_scrub_end(&j->out_scrub, &clean))
		put(out, cv_buf_str(&clean));
	cv_buf_wipe(&clean);
}

void call_keys_drop(struct job *j)
{
	keys_scrub_fini(&j->log_scrub);
	keys_scrub_fini(&j->out_scrub);
	keys_free(j->keys);
	j->keys = NULL;
}
