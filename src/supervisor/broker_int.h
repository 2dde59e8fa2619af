/* SPDX-License-Identifier: Apache-2.0 */
/*
 * broker_int.h - what broker.c, a broker's life, and broker_conf.c, what it is told, share
 */
#pragma once
#include "ipc/broker_link.h"
#include "supervisor/supervisor.h"

/* In which all runs of a user have their directories; %u: the user. */
#define BROKER_STATES_NAME "/cove-tools-%u"

/* What the broker calls this sandbox; text: room for it.  One of a gateway has a name that outlives its
 * supervisor, and finds the jobs of an earlier start by it. */
struct cv_str broker_name_of(const struct supervisor *s, char text[32]);
/* One message on its link; body is wiped and freed. */
CV_MUST cv_code broker_put(struct supervisor *s, enum cv_broker_control type, struct cv_buf *body,
	const int *fd, struct cv_err *err);
/* A new link of proxy and broker, in broker_for_proxy and broker_call. */
CV_MUST cv_code broker_link_make(struct supervisor *s, struct cv_err *err);
/* The same for a proxy that is started anew, and the broker that runs gets its end. */
CV_MUST cv_code broker_link_renew(struct supervisor *s, struct cv_err *err);
/* What can be said before the sandbox is there. */
CV_MUST cv_code broker_configure(struct supervisor *s, struct cv_err *err);
/* The sandbox, and to go. */
CV_MUST cv_code broker_introduce(struct supervisor *s, struct cv_err *err);
