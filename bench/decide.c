/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decide.c - what one decision costs: 10, 1,000 and 10,000 rules in several shapes
 *
 *     bench_decide [-j]          a table, or one line of JSON for each row
 *
 * Each decision is timed alone, on a target picked at random so that caches are as cold as they
 * are in use; half of the requests are allowed, half are denied by their last segment.  The clock
 * itself is measured and shown, and not taken off.  Allocations are counted by wrapping malloc at
 * link time; a decision makes none or the program fails.
 */
#include "base/assert.h"
#include "policy/policy.h"
#include "unit/policy/doc.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define DECISIONS 200000
#define TARGETS   4096

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t each);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t each);
void *__wrap_realloc(void *p, size_t n);

static size_t allocations;

void *__wrap_malloc(size_t n)
{
	allocations++;
	return __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t each)
{
	allocations++;
	return __real_calloc(n, each);
}

void *__wrap_realloc(void *p, size_t n)
{
	allocations++;
	return __real_realloc(p, n);
}

/* ---- shapes ---- */

typedef void build_fn(struct cv_policy_doc *d, unsigned i);
typedef void ask_fn(char *host, char *path, unsigned i, bool is_hit);

struct shape {
	const char *name;
	bool is_one_endpoint;
	build_fn *build; /* the i-th entry, or the i-th rule of the one endpoint */
	ask_fn *ask;
};

#define TEXT_BYTES 128

static void entry_open(struct cv_policy_doc *d, unsigned i)
{
	char name[TEXT_BYTES];

	snprintf(name, sizeof(name), "entry%05u", i);
	doc_entry(d, name);
	doc_binary(d, "/usr/bin/curl");
	doc_binary(d, "/usr/local/bin/*");
}

/* "<before>N<after>" */
static void host_build(struct cv_policy_doc *d, const char *before, unsigned i, const char *after)
{
	char host[TEXT_BYTES];

	entry_open(d, i);
	snprintf(host, sizeof(host), "%s%u%s", before, i, after);
	doc_rest(d, host, CV_ACCESS_NONE);
	doc_allow(d, "GET", "/v1/items/**");
}

static void paths_build(struct cv_policy_doc *d, unsigned i)
{
	char path[TEXT_BYTES];

	snprintf(path, sizeof(path), "/repos/org%u/%s", i, i % 2 ? "*/issues" : "**");
	doc_allow(d, "GET", path);
}

static void paths_ask(char *host, char *path, unsigned i, bool is_hit)
{
	snprintf(host, TEXT_BYTES, "api.example.com");
	snprintf(path, TEXT_BYTES, "/repos/org%u%s/tool/issues", i, is_hit ? "" : "x");
}

static void segments_build(struct cv_policy_doc *d, unsigned i)
{
	char path[TEXT_BYTES];

	snprintf(path, sizeof(path), "/repos/org%u-*/pulls", i);
	doc_allow(d, "GET", path);
}

static void segments_ask(char *host, char *path, unsigned i, bool is_hit)
{
	snprintf(host, TEXT_BYTES, "api.example.com");
	snprintf(path, TEXT_BYTES, "/repos/org%u-a/pulls%s", i, is_hit ? "" : "x");
}

static void hosts_build(struct cv_policy_doc *d, unsigned i)
{
	host_build(d, "host", i, ".example.com");
}

static void hosts_ask(char *host, char *path, unsigned i, bool is_hit)
{
	snprintf(host, TEXT_BYTES, "host%u.example.com", i);
	snprintf(path, TEXT_BYTES, "/v1/%s/42", is_hit ? "items" : "users");
}

static void wild_build(struct cv_policy_doc *d, unsigned i)
{
	host_build(d, "*.zone", i, ".example.com");
}

static void wild_ask(char *host, char *path, unsigned i, bool is_hit)
{
	snprintf(host, TEXT_BYTES, "eu.zone%u.example.com", i);
	snprintf(path, TEXT_BYTES, "/v1/%s/42", is_hit ? "items" : "users");
}

static void prefix_build(struct cv_policy_doc *d, unsigned i)
{
	host_build(d, "svc", i, "-*.example.com");
}

static void prefix_ask(char *host, char *path, unsigned i, bool is_hit)
{
	snprintf(host, TEXT_BYTES, "svc%u-eu.example.com", i);
	snprintf(path, TEXT_BYTES, "/v1/%s/42", is_hit ? "items" : "users");
}

static const struct shape shapes[] = {
	{ "path rules on one endpoint", true, paths_build, paths_ask },
	{ "segment globs on one endpoint", true, segments_build, segments_ask },
	{ "entries with a host each", false, hosts_build, hosts_ask },
	{ "entries with a wildcard host", false, wild_build, wild_ask },
	{ "wildcards with one ending", false, prefix_build, prefix_ask },
};

/* ---- measuring ---- */

struct target {
	char host[TEXT_BYTES], path[TEXT_BYTES];
	bool is_hit;
};

static struct target targets[TARGETS];
static uint64_t took[DECISIONS];

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int u64_cmp(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static struct cv_policy *policy_build(const struct shape *s, unsigned n)
{
	struct cv_policy_doc *d = doc_new();
	struct cv_policy *p = NULL;

	if (s->is_one_endpoint) {
		entry_open(d, 0);
		doc_rest(d, "api.example.com", CV_ACCESS_NONE);
	}
	for (unsigned i = 0; i < n; i++)
		s->build(d, i);
	cv_assert(cv_policy_compile(d, &p, NULL) == CV_OK);
	return p;
}

static void targets_build(const struct shape *s, unsigned n)
{
	uint32_t seed = 12345;

	for (unsigned i = 0; i < TARGETS; i++) {
		seed = seed * 1664525u + 1013904223u;
		targets[i].is_hit = seed >> 31;
		s->ask(targets[i].host, targets[i].path, (seed >> 8) % n, targets[i].is_hit);
	}
}

/* What an agent's curl looks like. */
static const struct cv_str ancestors[] = {
	{ "/usr/bin/bash", 13 },
	{ "/usr/bin/node", 13 },
	{ "/usr/bin/bash", 13 },
	{ "/usr/bin/env", 12 },
};

static void measure(const struct cv_policy *p)
{
	for (unsigned i = 0; i < DECISIONS; i++) {
		const struct target *t = &targets[i % TARGETS];
		const struct cv_facts f = { .op = CV_OP_REQUEST,
			.who = { true, CV_STR("/usr/bin/curl"), ancestors,
				CV_ARRAY_LEN(ancestors) },
			.host = cv_str_of(t->host),
			.port = 443,
			.method = CV_STR("GET"),
			.path = cv_str_of(t->path) };
		const uint64_t from = now_ns();
		const struct cv_verdict v = cv_policy_decide(p, &f);

		took[i] = now_ns() - from;
		cv_assert((v.action == CV_ACTION_ALLOW) == t->is_hit);
	}
}

static uint64_t clock_cost(void)
{
	for (unsigned i = 0; i < DECISIONS; i++) {
		const uint64_t from = now_ns();

		took[i] = now_ns() - from;
	}
	qsort(took, DECISIONS, sizeof(took[0]), u64_cmp);
	return took[DECISIONS / 2];
}

static void row_print(bool is_json, const struct shape *s, unsigned n, size_t made, double ms)
{
	const unsigned long long p50 = took[DECISIONS / 2], p99 = took[DECISIONS / 100 * 99];

	if (is_json)
		printf("{\"shape\":\"%s\",\"rules\":%u,\"p50_ns\":%llu,\"p99_ns\":%llu,"
		       "\"allocations\":%zu,\"compile_ms\":%.2f}\n",
			s->name, n, p50, p99, made, ms);
	else
		printf("%-30s %6u %8llu %8llu %8zu %10.2f\n", s->name, n, p50, p99, made, ms);
}

int main(int argc, char **argv)
{
	static const unsigned counts[] = { 10, 1000, 10000 };
	const bool is_json = argc > 1 && strcmp(argv[1], "-j") == 0;
	size_t made_in_all = 0;

	if (!is_json)
		printf("clock alone: %llu ns\n%-30s %6s %8s %8s %8s %10s\n",
			(unsigned long long)clock_cost(), "shape", "rules", "p50 ns", "p99 ns",
			"allocs", "compile ms");
	for (size_t s = 0; s < CV_ARRAY_LEN(shapes); s++)
		for (size_t c = 0; c < CV_ARRAY_LEN(counts); c++) {
			const uint64_t from = now_ns();
			struct cv_policy *p = policy_build(&shapes[s], counts[c]);
			const double ms = (double)(now_ns() - from) / 1e6;

			targets_build(&shapes[s], counts[c]);
			const size_t before = allocations;
			measure(p);
			const size_t made = allocations - before;
			qsort(took, DECISIONS, sizeof(took[0]), u64_cmp); /* takes memory */
			made_in_all += made;
			row_print(is_json, &shapes[s], counts[c], made, ms);
			cv_policy_unref(p);
		}
	return made_in_all ? 1 : 0;
}
