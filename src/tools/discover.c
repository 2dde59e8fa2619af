/* SPDX-License-Identifier: Apache-2.0 */
/*
 * discover.c - the walk that all documents are made by; see discover.h
 */
#include "tools/discover.h"

#include "base/assert.h"
#include "base/word.h"
#include "tools/discover_int.h"

static const struct cv_discover_format *const format[CV_DISCOVER_COUNT] = {
	[CV_DISCOVER_TEXT] = &cv_discover_text,
	[CV_DISCOVER_TOOLS] = &cv_discover_tools,
	[CV_DISCOVER_OPENAPI] = &cv_discover_openapi,
	[CV_DISCOVER_MCP] = &cv_discover_mcp,
	[CV_DISCOVER_SKILL] = &cv_discover_skill,
	[CV_DISCOVER_ALLOWED] = &cv_discover_allowed,
	[CV_DISCOVER_KNOWN] = &cv_discover_known,
};

const struct cv_tool_operation_row *cv_tool_operation_row(enum cv_tool_operation o)
{
#define OPERATION_ROW(name, method, path, token, summary) { method, path, summary, token },
	static const struct cv_tool_operation_row rows[] = { CV_TOOL_OPERATIONS(OPERATION_ROW) };

	cv_assert(o < CV_TOOL_OPERATION_COUNT);
	return &rows[o];
}

const char *cv_discover_content_type(enum cv_discover_document document)
{
#define DOCUMENT_TYPE(name, type) [CV_DISCOVER_##name] = type,
	static const char *const types[] = { CV_DISCOVER_DOCUMENTS(DOCUMENT_TYPE) };

	cv_assert(document < CV_DISCOVER_COUNT);
	return types[document];
}

struct cv_str cv_tool_endpoint_method(const struct cv_tool *tool)
{
	return tool->route.n ? tool->method : CV_STR("POST");
}

void cv_tool_endpoint_write(const struct cv_tool *tool, struct cv_buf *out)
{
	if (!tool->route.n)
		cv_buf_put(out, CV_STR(CV_TOOL_ROUTE_PREFIX));
	cv_buf_put(out, tool->route.n ? tool->route : tool->name);
}

/* Names are in order, so a page goes on behind the name that the last one ended with, whatever was
 * added or taken away meanwhile. */
static bool is_before_page(const struct cv_discover_walk *w, const struct cv_tool *tool)
{
	return w->is_paged && w->d->cursor.n && cv_str_cmp(tool->name, w->d->cursor) <= 0;
}

bool cv_discover_write(
	const struct cv_discover *d, enum cv_discover_document document, struct cv_buf *out)
{
	cv_assert(document < CV_DISCOVER_COUNT);
	const struct cv_discover_format *f = format[document];
	const size_t page = d->page_tools ? d->page_tools : CV_MCP_PAGE_TOOLS;
	struct cv_discover_walk w = { .d = d, .out = out, .is_paged = f->is_paged };

	f->begin(&w);
	for (size_t i = 0; i < d->catalog->tool_count; i++) {
		const struct cv_tool *tool = &d->catalog->tools[i];
		struct cv_discover_conditions conditions = { 0 };

		if (is_before_page(&w, tool) ||
			(d->may_call && !d->may_call(d->arg, tool, &conditions)))
			continue;
		if (w.is_paged && w.shown == page) {
			w.has_more = true;
			break;
		}
		f->tool(&w, tool, &conditions);
		w.shown++;
		w.last = tool->name;
	}
	f->end(&w);
	return !out->is_overflown;
}

struct cv_str cv_discover_nearest(const struct cv_discover *d, struct cv_str name)
{
	struct cv_word_search search;

	cv_word_search_init(&search, name);
	for (size_t i = 0; i < d->catalog->tool_count; i++) {
		struct cv_discover_conditions conditions = { 0 };
		const struct cv_tool *tool = &d->catalog->tools[i];

		if (!d->may_call || d->may_call(d->arg, tool, &conditions))
			(void)cv_word_search_offer(&search, tool->name);
	}
	return search.nearest;
}
