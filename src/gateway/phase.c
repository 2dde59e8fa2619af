/* SPDX-License-Identifier: Apache-2.0 */
/*
 * phase.c - the states of a sandbox's supervisor, and the phase that clients see
 *
 * Two tables.  STATES says where each state may go; whatever else is asked for is a bug.  PHASES is
 * what should be (down) by what is (across); nothing of it is stored but what should be.
 */
#include "gateway/sandbox_int.h"

#include "base/assert.h"
#include "gateway/admission.h"
#include "sys/clock.h"

#define BIT(s) (1u << CV_GW_##s)

/* clang-format off */
static const uint32_t may_go[CV_GW_STATE_COUNT] = {
	[CV_GW_ABSENT]  = BIT(QUEUED) | BIT(LOST) | BIT(WAITING),
	[CV_GW_QUEUED]  = BIT(STARTED) | BIT(ABSENT),
	[CV_GW_STARTED] = BIT(DIALLED) | BIT(ENDING) | BIT(ABSENT),
	[CV_GW_DIALLED] = BIT(UP) | BIT(LOST) | BIT(ENDING) | BIT(ABSENT),
	[CV_GW_UP]      = BIT(LOST) | BIT(ENDING) | BIT(ABSENT),
	[CV_GW_LOST]    = BIT(DIALLED) | BIT(ENDING) | BIT(ABSENT),
	[CV_GW_WAITING] = BIT(ABSENT),
	[CV_GW_ENDING]  = BIT(ABSENT),
};

#define P(name) OPENSHELL__V1__SANDBOX_PHASE__SANDBOX_PHASE_##name
static const Openshell__V1__SandboxPhase phases[CV_GW_WANT_COUNT][CV_GW_STATE_COUNT] = {
	/*                 ABSENT           QUEUED           STARTED          DIALLED          UP           LOST             WAITING          ENDING */
	[CV_GW_RUN]    = { P(PROVISIONING), P(PROVISIONING), P(PROVISIONING), P(PROVISIONING), P(READY),    P(PROVISIONING), P(PROVISIONING), P(STARTING) },
	[CV_GW_STOP]   = { P(STOPPED),      P(STOPPED),      P(STOPPING),     P(STOPPING),     P(STOPPING), P(STOPPING),     P(STOPPED),      P(STOPPING) },
	[CV_GW_DELETE] = { P(DELETING),     P(DELETING),     P(DELETING),     P(DELETING),     P(DELETING), P(DELETING),     P(DELETING),     P(DELETING) },
	[CV_GW_FAIL]   = { P(ERROR),        P(ERROR),        P(ERROR),        P(ERROR),        P(ERROR),    P(ERROR),        P(ERROR),        P(ERROR) },
};
/* clang-format on */

enum cv_gw_want cv_gw_box_want(const struct cv_gw_box *b)
{
	const Openshell__V1__SandboxStatus *s = cv_gw_box_stored(b)->status;
	const Openshell__V1__SandboxPhase p = s ? s->phase : P(UNSPECIFIED);

	if (b->unwritten)
		return CV_GW_FAIL;
	if (p == P(STOPPED))
		return CV_GW_STOP;
	if (p == P(DELETING))
		return CV_GW_DELETE;
	return p == P(ERROR) ? CV_GW_FAIL : CV_GW_RUN;
}

Openshell__V1__SandboxPhase cv_gw_box_phase(const struct cv_gw_box *b)
{
	const Openshell__V1__SandboxPhase p = phases[cv_gw_box_want(b)][b->state];

	return p == P(PROVISIONING) && b->is_first && b->is_restart ? P(STARTING) : p;
}

const char *cv_gw_phase_name(Openshell__V1__SandboxPhase p)
{
	static const char *const names[] = { [P(UNSPECIFIED)] = "Unspecified",
		[P(PROVISIONING)] = "Provisioning",
		[P(READY)] = "Ready",
		[P(ERROR)] = "Error",
		[P(DELETING)] = "Deleting",
		[P(UNKNOWN)] = "Unknown",
		[P(STOPPING)] = "Stopping",
		[P(STOPPED)] = "Stopped",
		[P(STARTING)] = "Starting" };

	return (size_t)p < CV_ARRAY_LEN(names) && names[p] ? names[p] : "Unknown";
}

void cv_gw_box_changed(struct cv_gw_box *b)
{
	const Openshell__V1__SandboxPhase now = cv_gw_box_phase(b);

	cv_gw_admission_recount(b);
	if (now != b->told) {
		b->since_ms = cv_clock_unix_ms();
		cv_gw_box_log(b, "INFO", "sandbox", "phase %s", cv_gw_phase_name(now));
	}
	b->told = now;
	watch_phase(b);
}

void cv_gw_box_set(struct cv_gw_box *b, enum cv_gw_state next)
{
	cv_assert(next < CV_GW_STATE_COUNT && (may_go[b->state] & (1u << next)));
	b->state = next;
	if (next == CV_GW_UP)
		b->is_first = false;
	cv_gw_box_changed(b);
}
