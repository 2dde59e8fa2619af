/* SPDX-License-Identifier: Apache-2.0 */
/*
 * catalog_check.c - what all parts of a catalog are judged with; see catalog_int.h
 */
#include "tools/catalog_int.h"
#include "wire/url.h"

#include <stdarg.h>
#include <stdio.h>

#define MESSAGE_BYTES_MAX 512
#define PLACE_BYTES_MAX   160

static void add(struct cv_catalog_check *c, enum cv_finding_level level, struct cv_policy_pos pos,
	const char *field, const char *fix, const char *message)
{
	char place[PLACE_BYTES_MAX];
	const int n = snprintf(place, sizeof(place), "%.*s%s%s", CV_POLICY_QUOTE(c->name),
		c->name.n && field[0] ? "." : "", field);

	cv_findings_add(c->findings, level, pos,
		(struct cv_str){ place, CV_MIN((size_t)CV_MAX(n, 0), sizeof(place) - 1) }, fix,
		"%s", message);
}

void cv_catalog_report(struct cv_catalog_check *c, struct cv_policy_pos pos, const char *field,
	const char *fix, const char *fmt, ...)
{
	char message[MESSAGE_BYTES_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	add(c, CV_FINDING_ERROR, pos, field, fix, message);
}

void cv_catalog_warn(struct cv_catalog_check *c, struct cv_policy_pos pos, const char *field,
	const char *fix, const char *fmt, ...)
{
	char message[MESSAGE_BYTES_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	add(c, CV_FINDING_WARNING, pos, field, fix, message);
}

/* ---- numbers ---- */

static uint64_t number(struct cv_catalog_check *c, const struct cv_policy_text *t, struct cv_str s,
	unsigned shift, const char *field, uint64_t min, uint64_t max, uint64_t otherwise)
{
	uint64_t v;

	if (cv_str_to_u64(s, max >> shift, &v) && v << shift >= min)
		return v << shift;
	cv_catalog_report(c, t->pos, field, NULL,
		"expected a number from %llu to %llu, found '%.*s'", (unsigned long long)min,
		(unsigned long long)max, CV_POLICY_QUOTE(t->s));
	return otherwise;
}

uint64_t cv_catalog_number(struct cv_catalog_check *c, const struct cv_policy_text *t,
	const char *field, uint64_t min, uint64_t max, uint64_t otherwise)
{
	return t->is_present ? number(c, t, t->s, 0, field, min, max, otherwise) : otherwise;
}

uint64_t cv_catalog_bytes(struct cv_catalog_check *c, const struct cv_policy_text *t,
	const char *field, uint64_t max, uint64_t otherwise)
{
	static const struct {
		struct cv_str name;
		unsigned shift;
	} unit[] = { { { "KiB", 3 }, 10 }, { { "MiB", 3 }, 20 }, { { "GiB", 3 }, 30 },
		{ { "", 0 }, 0 } };
	size_t i = 0;

	if (!t->is_present)
		return otherwise;
	while (unit[i].name.n && !cv_str_has_suffix(t->s, unit[i].name))
		i++;
	return number(c, t, cv_str_trim(cv_str_slice(t->s, 0, t->s.n - unit[i].name.n)),
		unit[i].shift, field, 1, max, otherwise);
}

/* ---- paths, URLs ---- */

bool cv_catalog_path_is_good(struct cv_str path)
{
	struct cv_str rest = cv_str_slice(path, 1, path.n);

	if (!path.n || path.p[0] != '/' || path.n >= CV_POLICY_PATH_BYTES_MAX)
		return false;
	while (rest.p && rest.n) {
		const struct cv_str part = cv_str_cut(&rest, '/');

		if (!part.n || cv_str_eq(part, CV_STR(".")) || cv_str_eq(part, CV_STR("..")))
			return false;
	}
	return true;
}

void cv_catalog_path(struct cv_catalog_check *c, const struct cv_policy_text *t, const char *field)
{
	if (t->is_present && !cv_catalog_path_is_good(t->s))
		cv_catalog_report(c, t->pos, field, "write it from the root, without '.' and '..'",
			"'%.*s' is no absolute path", CV_POLICY_QUOTE(t->s));
}

static bool is_loopback(const struct cv_host *host)
{
	struct cv_ip ip;

	if (!host->is_ip)
		return cv_str_eq(cv_host_str(host), CV_STR("localhost"));
	return cv_ip_parse(cv_host_str(host), &ip) &&
	       (host->is_ip6 ? cv_str_eq(cv_host_str(host), CV_STR("::1"))
			     : cv_str_has_prefix(cv_host_str(host), CV_STR("127.")));
}

void cv_catalog_url(struct cv_catalog_check *c, const struct cv_policy_text *t, const char *field,
	bool may_path)
{
	enum cv_host_rc host_rc = CV_HOST_OK;
	struct cv_url url;

	if (!t->is_present)
		return;
	const enum cv_url_rc rc = cv_url_parse(t->s, &url, &host_rc);
	if (rc != CV_URL_OK)
		cv_catalog_report(c, t->pos, field, "write http://127.0.0.1:PORT or https://HOST",
			"'%.*s': %s", CV_POLICY_QUOTE(t->s),
			rc == CV_URL_AUTHORITY ? cv_host_rc_text(host_rc) : cv_url_rc_text(rc));
	else if (!url.is_https && !is_loopback(&url.authority.host))
		cv_catalog_report(c, t->pos, field, "write https://",
			"http to '%.*s', which is not this machine, can be read on the way",
			CV_POLICY_QUOTE(cv_host_str(&url.authority.host)));
	else if (!may_path && (url.path.n || url.query.p))
		cv_catalog_report(c, t->pos, field, "write them into path and query",
			"'%.*s' has a path or query", CV_POLICY_QUOTE(t->s));
}

/* ---- lists ---- */

struct cv_str *cv_catalog_strs(struct cv_catalog_check *c, const struct cv_policy_texts *t,
	const char *field, size_t max, enum cv_glob_kind kind, size_t *ret_n)
{
	struct cv_str *v = cv_arena_array(c->arena, t->n ? t->n : 1, sizeof(*v));
	struct cv_err err = { 0 };

	*ret_n = 0;
	if (t->n > max) {
		cv_catalog_report(c, t->pos, field, NULL, "%zu elements; at most %zu", t->n, max);
		return v;
	}
	for (size_t i = 0; v && i < t->n; i++) {
		const struct cv_glob *glob;

		v[i] = t->v[i].s;
		if (kind != CV_CATALOG_NO_GLOB &&
			cv_glob_compile(v[i], kind, c->arena, &glob, &err) != CV_OK)
			cv_catalog_report(c, t->v[i].pos, field, NULL, "'%.*s': %s",
				CV_POLICY_QUOTE(v[i]), err.msg);
	}
	*ret_n = v ? t->n : 0;
	return v;
}
