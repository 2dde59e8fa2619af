/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tool_slot.c - the tools that there are, each in a place of its own
 *
 * A job keeps a pointer to its tool for as long as it lives, and the tools of MCP servers come and
 * go.  So each name has a slot that never moves and is never freed, and the catalog's table, which
 * is sorted by name and searched, is made anew from the slots whenever that changes.
 */
#include "broker/broker.h"

#include "base/assert.h"

#include <stdlib.h>
#include <string.h>

struct tool_slot *tool_slot_find(struct broker *b, struct cv_str name)
{
	for (size_t i = 0; i < b->slot_count; i++)
		if (cv_str_eq(b->slots[i]->tool.name, name))
			return b->slots[i];
	return NULL;
}

void tool_slots_publish(struct broker *b)
{
	struct cv_catalog *c = b->catalog;
	size_t n = 0;

	for (size_t i = 0; i < b->slot_count; i++)
		if (!b->slots[i]->is_found || b->slots[i]->is_listed)
			b->table[n++] = b->slots[i]->tool;
	qsort(b->table, n, sizeof(b->table[0]), cv_tool_by_name);
	c->tools = b->table;
	c->tool_count = n;
}

void tool_slots_init(struct broker *b)
{
	const struct cv_catalog *c = b->catalog;

	b->slots = calloc(BROKER_SLOTS_MAX, sizeof(*b->slots));
	b->table = calloc(BROKER_SLOTS_MAX, sizeof(*b->table));
	cv_assert(b->slots && b->table && c->tool_count <= BROKER_SLOTS_MAX);
	for (size_t i = 0; i < c->tool_count; i++) {
		struct tool_slot *s = calloc(1, sizeof(*s));

		cv_assert(s);
		s->tool = c->tools[i];
		s->input = s->tool.input;
		s->schema = s->tool.schema;
		b->slots[b->slot_count++] = s;
	}
	tool_slots_publish(b);
}
