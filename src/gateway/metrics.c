/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics.c - see metrics.h
 *
 * A series is found by walking those of its metric: there are dozens at most, of which the busy
 * ones come first because they are made first.
 */
#include "gateway/metrics.h"

#include "base/assert.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define VALUE_BYTES_MAX 64 /* of a label; longer ones are cut */

/* A call takes microseconds, a sandbox milliseconds, a stream hours. */
static const double bound[] = { 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1,
	2.5, 5, 10, 60 };

#define BUCKETS CV_ARRAY_LEN(bound)

struct series {
	char label[CV_METRIC_LABELS_MAX][VALUE_BYTES_MAX];
	double value; /* a histogram's sum */
	uint64_t count, bucket[BUCKETS];
};

struct metric {
	struct series *v;
	size_t n, cap;
};

struct metric_row {
	enum cv_metric_type type;
	const char *name, *labels, *help;
};

#define ROW(name, type, text, labels, help) \
	[CV_METRIC_##name] = { CV_METRIC_##type, text, labels, help },
static const struct metric_row row_of[CV_METRIC_COUNT] = { CV_METRICS(ROW) };
#undef ROW
static struct metric all[CV_METRIC_COUNT];

static size_t label_count(enum cv_metric m)
{
	size_t n = row_of[m].labels[0] != 0;

	for (const char *p = row_of[m].labels; *p; p++)
		n += *p == ',';
	cv_assert(n <= CV_METRIC_LABELS_MAX);
	return n;
}

static struct series *series_find(struct metric *m, const char *const *label, size_t labels)
{
	for (size_t i = 0; i < m->n; i++) {
		size_t k = 0;

		while (k < labels && !strncmp(m->v[i].label[k], label[k], VALUE_BYTES_MAX - 1))
			k++;
		if (k == labels)
			return &m->v[i];
	}
	return NULL;
}

static struct series *series_of(enum cv_metric which, va_list ap)
{
	static const char *const other[CV_METRIC_LABELS_MAX] = { "other", "other" };
	const char *label[CV_METRIC_LABELS_MAX] = { NULL };
	const size_t labels = label_count(which);
	struct metric *m = &all[which];

	for (size_t i = 0; i < labels; i++)
		label[i] = va_arg(ap, const char *);

	struct series *s = series_find(m, label, labels);

	if (!s && m->n >= CV_METRIC_SERIES_MAX - 1) {
		memcpy(label, other, sizeof(label));
		s = series_find(m, label, labels);
	}
	if (s)
		return s;
	if (m->n == m->cap) {
		m->cap = m->cap ? m->cap * 2 : 8;
		m->v = realloc(m->v, m->cap * sizeof(*m->v));
		cv_assert(m->v);
	}
	s = &m->v[m->n++];
	*s = (struct series){ .value = 0 };
	for (size_t i = 0; i < labels; i++)
		snprintf(s->label[i], VALUE_BYTES_MAX, "%s", label[i]);
	return s;
}

void cv_metric_add(enum cv_metric m, double value, ...)
{
	va_list ap;

	va_start(ap, value);
	series_of(m, ap)->value += value;
	va_end(ap);
}

void cv_metric_set(enum cv_metric m, double value, ...)
{
	va_list ap;

	cv_assert(row_of[m].type == CV_METRIC_GAUGE);
	va_start(ap, value);
	series_of(m, ap)->value = value;
	va_end(ap);
}

void cv_metric_observe(enum cv_metric m, double value, ...)
{
	struct series *s;
	va_list ap;

	cv_assert(row_of[m].type == CV_METRIC_HISTOGRAM);
	va_start(ap, value);
	s = series_of(m, ap);
	va_end(ap);
	s->value += value;
	s->count++;
	for (size_t i = 0; i < BUCKETS; i++)
		if (value <= bound[i]) {
			s->bucket[i]++;
			break;
		}
}

/* ---- the text ---- */

/* {a="x",b="y"}; extra comes last, or is NULL. */
static void labels_put(struct cv_buf *out, enum cv_metric m, const struct series *s, const char *le)
{
	struct cv_str names = cv_str_of(row_of[m].labels);
	const char *sep = "{";

	for (size_t i = 0; i < label_count(m); i++, sep = ",") {
		const struct cv_str name = cv_str_cut(&names, ',');

		cv_buf_printf(out, "%s%.*s=\"", sep, CV_STR_ARG(name));
		for (const char *p = s->label[i]; *p; p++) {
			if (*p == '"' || *p == '\\')
				cv_buf_put_byte(out, '\\');
			cv_buf_put_byte(out, *p == '\n' ? ' ' : *p);
		}
		cv_buf_put_byte(out, '"');
	}
	if (le)
		cv_buf_printf(out, "%sle=\"%s\"", sep, le), sep = ",";
	if (*sep == ',')
		cv_buf_put_byte(out, '}');
}

static void histogram_put(struct cv_buf *out, enum cv_metric m, const struct series *s)
{
	uint64_t below = 0;
	char le[32];

	for (size_t i = 0; i < BUCKETS; i++) {
		below += s->bucket[i];
		snprintf(le, sizeof(le), "%g", bound[i]);
		cv_buf_printf(out, "%s_bucket", row_of[m].name);
		labels_put(out, m, s, le);
		cv_buf_printf(out, " %llu\n", (unsigned long long)below);
	}
	cv_buf_printf(out, "%s_bucket", row_of[m].name);
	labels_put(out, m, s, "+Inf");
	cv_buf_printf(out, " %llu\n%s_sum", (unsigned long long)s->count, row_of[m].name);
	labels_put(out, m, s, NULL);
	cv_buf_printf(out, " %.9g\n%s_count", s->value, row_of[m].name);
	labels_put(out, m, s, NULL);
	cv_buf_printf(out, " %llu\n", (unsigned long long)s->count);
}

void cv_metrics_write(struct cv_buf *out)
{
	static const char *const type_name[] = { "counter", "gauge", "histogram" };

	for (enum cv_metric m = 0; m < CV_METRIC_COUNT; m++) {
		if (!all[m].n)
			continue;
		cv_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", row_of[m].name, row_of[m].help,
			row_of[m].name, type_name[row_of[m].type]);
		for (size_t i = 0; i < all[m].n; i++) {
			if (row_of[m].type == CV_METRIC_HISTOGRAM) {
				histogram_put(out, m, &all[m].v[i]);
				continue;
			}
			cv_buf_put(out, cv_str_of(row_of[m].name));
			labels_put(out, m, &all[m].v[i], NULL);
			cv_buf_printf(out, " %.15g\n", all[m].v[i].value);
		}
	}
}
