/* SPDX-License-Identifier: Apache-2.0 */
/*
 * claim.c - the shape of a sandbox: all of its plan that has happened once the sandbox stands
 *
 * A spare sandbox is built before anybody asked for it.  Which sandbox it becomes is decided later,
 * and only what nobody has acted on yet may differ then.  That is a short list, below; everything
 * else must be equal to the byte, so what is added to a plan some day is not claimable by itself.
 */
#include "plan/claim.h"

#include "plan/limits.h"
#include "plan/rootfs.h"

#define WORKSPACE "/sandbox"

bool cv_plan_claim_makes(const struct cv_plan_op *op)
{
	return (op->type == CV_PLAN_DIR || op->type == CV_PLAN_FILE) &&
	       (cv_str_eq(op->dst, CV_STR(CV_COVE_DIR)) ||
		       cv_str_has_prefix(op->dst, CV_STR(CV_COVE_DIR "/")));
}

bool cv_plan_claim_renames(const struct cv_plan_op *op)
{
	return op->type == CV_PLAN_HOSTNAME ||
	       (op->type == CV_PLAN_FILE && (cv_str_eq(op->dst, CV_STR(CV_ETC_HOSTNAME)) ||
						    cv_str_eq(op->dst, CV_STR(CV_ETC_HOSTS))));
}

/* The workspace is bound by what the directory is, not by its name: it is moved to its place. */
static bool ops_copy(struct cv_plan *v, struct cv_arena *arena)
{
	struct cv_plan_op *ops = cv_arena_array(arena, v->op_count + 1, sizeof(*ops));
	uint32_t n = 0;

	for (uint32_t i = 0; ops && i < v->op_count; i++) {
		/* A log is made when a proxy is started, and none has been. */
		if (cv_plan_claim_makes(&v->ops[i]) || v->ops[i].type == CV_PLAN_LOG)
			continue;
		ops[n] = v->ops[i];
		if (ops[n].type == CV_PLAN_BIND && cv_str_eq(ops[n].dst, CV_STR(WORKSPACE)))
			ops[n].src = CV_STR_NONE;
		if (cv_plan_claim_renames(&ops[n]))
			ops[n].text = CV_STR_NONE;
		n++;
	}
	v->ops = ops;
	v->op_count = n;
	return ops != NULL;
}

/* Where nothing of them runs before a call, nobody has asked for them yet. */
static void tools_drop(struct cv_plan *v)
{
	if (!(v->flags & CV_PLAN_TOOLS_LATE))
		return;
	v->flags &= ~(uint32_t)CV_PLAN_TOOLS_LATE;
	v->tools_count = v->tool_count = v->tools_env_count = 0;
	v->tools_map = v->tools_digest = v->tools_state = v->tools_slots = CV_STR_NONE;
}

/* Listened on from the start with anyip alone, and only those that always are.  Where anyip was
 * chosen by itself, no spare stands. */
static void further_ports_keep(struct cv_plan *v)
{
	uint32_t always[CV_ANYIP_ALWAYS], n = 0;

	cv_anyip_ports(NULL, 0, always);
	for (uint32_t i = 0; i < v->port_count; i++)
		if (v->interception == CV_INTERCEPTION_ANYIP &&
			cv_anyip_missing(&v->ports[i], 1, always, CV_ANYIP_ALWAYS))
			v->ports[n++] = v->ports[i];
	v->port_count = n;
}

cv_code cv_plan_shape(
	const struct cv_plan *plan, struct cv_arena *arena, struct cv_buf *out, struct cv_err *err)
{
	struct cv_plan v = *plan;

	/* who it is, and how the main command's output is got */
	v.gateway = (struct cv_plan_gateway){ .socket = plan->gateway.socket };
	v.flags &= ~(uint32_t)CV_PLAN_TTY;
	/* what its keeper is told, before anything runs */
	v.flags &= ~(uint32_t)CV_PLAN_CREDENTIALS;
	v.providers = NULL;
	v.provider_count = 0;
	/* the command: it is sent to the sandbox; its confinement stays in the comparison */
	v.command.argc = v.command.envc = 0;
	/* what a proxy reads when it is started, and none has been */
	v.policy_file = v.policy_name = v.policy_layer = v.routes_file = CV_STR_NONE;
	v.pins = NULL;
	v.pin_count = 0;
	/* what counts when a call is held */
	v.approve_ms = 0;
	tools_drop(&v);
	further_ports_keep(&v);
	return ops_copy(&v, arena) && cv_plan_put(out, &v)
		       ? CV_OK
		       : cv_fail(err, CV_LIMIT, "the plan's shape needs too much memory");
}

cv_code cv_plan_claim_check(const struct cv_plan *spare, const struct cv_plan *plan,
	struct cv_arena *arena, struct cv_err *err)
{
	struct cv_buf a, b;
	cv_code code;

	cv_buf_init(&a, CV_PLAN_BYTES_MAX);
	cv_buf_init(&b, CV_PLAN_BYTES_MAX);
	code = cv_plan_shape(spare, arena, &a, err);
	if (code == CV_OK)
		code = cv_plan_shape(plan, arena, &b, err);
	if (code == CV_OK && (!(spare->gateway.flags & CV_PLAN_GATEWAY_SPARE) ||
				     (plan->gateway.flags & CV_PLAN_GATEWAY_SPARE) ||
				     !cv_str_eq(cv_buf_str(&a), cv_buf_str(&b))))
		code = cv_fail(err, CV_INVALID, "a spare sandbox can't become this one");
	cv_buf_fini(&a);
	cv_buf_fini(&b);
	return code;
}
