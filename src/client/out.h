/* SPDX-License-Identifier: Apache-2.0 */
/*
 * out.h - what a command says: values as JSON or YAML, tables, sentences
 *
 * One writer for both structured forms: a command names members in order and never knows which it
 * is.  JSON is indented by two; YAML is what a reader of YAML 1.2 takes for the same value.  Neither
 * ever holds an escape sequence.
 */
#pragma once
#include "base/buf.h"
#include "base/value.h"

#define CL_OUT_DEPTH_MAX 64           /* a policy within an object */
#define CL_OUT_BYTES_MAX (256u << 20) /* 10,000 sandboxes and what they hold */

enum cl_form { CL_FORM_TABLE, CL_FORM_JSON, CL_FORM_YAML };

struct cl_out {
	struct cv_buf b;
	enum cl_form form;
	size_t depth;
	struct cl_out_frame {
		bool is_array, is_inline; /* inline: its first member goes where the "- " is */
		unsigned count;
		int indent;
	} frame[CL_OUT_DEPTH_MAX];
};

void cl_out_init(struct cl_out *o, enum cl_form form); /* JSON or YAML */
/* key NULL: an element of an array, or the whole value. */
void cl_out_object(struct cl_out *o, const char *key);
void cl_out_array(struct cl_out *o, const char *key);
void cl_out_end(struct cl_out *o);
void cl_out_str(struct cl_out *o, const char *key, const char *value); /* NULL is null */
void cl_out_bytes(struct cl_out *o, const char *key, struct cv_str value);
void cl_out_int(struct cl_out *o, const char *key, int64_t value);
void cl_out_u64(struct cl_out *o, const char *key, uint64_t value);
void cl_out_bool(struct cl_out *o, const char *key, bool value);
void cl_out_value(struct cl_out *o, const char *key, const struct cv_value *v);
void cl_out_fini(struct cl_out *o);

/* Columns as wide as their widest cell, two blanks between.  Cells are copied, and escaped: they
 * are a server's words. */
#define CL_TABLE_COLUMNS_MAX 8

struct cl_table {
	struct cv_buf cells; /* each ends with NUL */
	size_t columns, cells_put;
	size_t width[CL_TABLE_COLUMNS_MAX];
};

void cl_table_init(struct cl_table *t, size_t columns);
void cl_table_cell(struct cl_table *t, struct cv_str text);
void cl_table_put(const struct cl_table *t, struct cv_buf *out);
void cl_table_fini(struct cl_table *t);
