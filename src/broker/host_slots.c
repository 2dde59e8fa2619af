/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host_slots.c - limits of a tool that hold for other sandboxes' calls too
 *
 * Each sandbox has a broker of its own, so what may run at the same time on this host is counted by
 * locks (sys/slots.h).  A job has its slot from when it may start until it runs no more.  Nobody
 * tells when another sandbox gave one back: as long as jobs wait for one, the first of them asks again
 * a moment later.  Where it can't be counted nothing runs that would have to be.
 */
#include "broker/broker.h"
#include "sys/fd.h"
#include "sys/slots.h"

bool host_slot_take(struct broker *b, struct job *j)
{
	struct tool_slot *t = tool_slot_of(j->tool);
	struct cv_err err;

	if (!t->tool.host_concurrency || j->host_slot >= 0)
		return true;
	if (cv_slot_take(b->host_slots_path, t->tool.host_group, t->tool.host_concurrency,
		    &j->host_slot, &err) != CV_OK &&
		!b->is_host_slots_failure_said) {
		b->is_host_slots_failure_said = true;
		audit_note(b, true, "calls of this host can't be counted: %s", err.msg);
	}
	if (j->host_slot >= 0) {
		t->host_look_ms = 0; /* there may be another */
		return true;
	}
	if (t->host_look_ms <= b->loop.now_ms)
		t->host_look_ms = b->loop.now_ms + BROKER_HOST_LOOK_MS;
	due_at(b, t->host_look_ms);
	return false;
}

bool host_slot_take_queued(struct broker *b, struct job *j)
{
	const int64_t ms = tool_slot_of(j->tool)->host_look_ms;

	if (ms <= b->loop.now_ms)
		return host_slot_take(b, j);
	due_at(b, ms);
	return false;
}

void host_slot_give(struct job *j)
{
	if (j->host_slot < 0)
		return;
	tool_slot_of(j->tool)->host_look_ms = 0;
	cv_slot_give(cv_take_fd(j->host_slot));
}

void host_slots_due(struct broker *b)
{
	for (size_t i = 0; b->queued && i < b->slot_count; i++) {
		const int64_t ms = b->slots[i]->host_look_ms;

		if (ms && ms <= b->loop.now_ms)
			b->is_queue_due = true;
		else
			due_at(b, ms);
	}
}
