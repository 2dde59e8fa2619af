/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fill_int.h - the reader of fill.h over events; private to this folder
 */
#pragma once
#include "policy/fill.h"
#include "policy/yaml_events.h"

/* Reads the mapping that y stands on into obj.  Memory is from arena.  Findings tell the rest. */
void cv_fill(
	struct cv_yaml *y, const struct cv_fill_table *table, void *obj, struct cv_arena *arena);
