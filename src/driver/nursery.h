/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nursery.h - the process that keepers of a driver's sandboxes are forked from
 */
#pragma once
#include "driver/standby.h"

/* Now and then, first at the start.  Without one sandboxes start their keepers themselves. */
void cv_driver_nursery_turn(struct cv_driver_standby *n);
/* The link of a keeper to be: ret_link is its supervisor's end, ret_child goes to child(); -1: none. */
void cv_driver_nursery_link(const struct cv_driver_standby *n, int *ret_link, int *ret_child);
/* Asks for it.  log is its stderr.  Where it can't be had, its supervisor sees that the link ends. */
void cv_driver_nursery_child(struct cv_driver_standby *n, int child, int log);
