/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sink.c - see sink.h
 */
#include "proxy/sink.h"

void cv_sinks_init(struct cv_sinks *s)
{
	*s = (struct cv_sinks){ 0 };
	cv_summary_init(&s->summary);
}

void cv_sinks_fini(struct cv_sinks *s)
{
	cv_audit_sinks_fini(&s->out);
	cv_summary_fini(&s->summary);
	cv_denied_fini(&s->denied);
}

bool cv_sinks_add(struct cv_sinks *s, int fd, enum cv_audit_form form, bool is_required)
{
	return cv_audit_sinks_add(&s->out, fd, form, is_required);
}

void cv_sinks_event(struct cv_sinks *s, struct cv_audit_event *e)
{
	cv_audit_sinks_event(&s->out, e); /* which dates it */
	cv_summary_add(&s->summary, e);
	cv_denied_event(&s->denied, e);
}

bool cv_sinks_flush(struct cv_sinks *s)
{
	return cv_audit_sinks_flush(&s->out);
}

bool cv_sinks_are_well(const struct cv_sinks *s)
{
	return cv_audit_sinks_are_well(&s->out);
}
