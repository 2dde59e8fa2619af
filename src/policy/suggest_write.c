/* SPDX-License-Identifier: Apache-2.0 */
/*
 * suggest_write.c - a draft as YAML; see suggest_int.h
 *
 * It is made to be pasted, so nothing that a stranger chose may become syntax, a glob, or invisible:
 * scalars are quoted unless plainly safe, glob characters are escaped, and a text that cannot be
 * written exactly gives no entry at all.
 */
#include "policy/suggest_int.h"

#include "base/utf8.h"
#include "policy/check_int.h"

bool cv_suggest_is_visible(struct cv_str s)
{
	for (size_t i = 0, n; i < s.n; i += n) {
		uint32_t cp;

		n = cv_utf8_decode(cv_str_slice(s, i, s.n), &cp);
		if (!n || cv_utf8_is_hidden(cp))
			return false;
	}
	return s.n > 0;
}

static bool is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_plain_byte(char c)
{
	return is_alpha(c) || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-' ||
	       c == '/';
}

/* Plain where no YAML reader, of 1.1 or 1.2, sees anything but a string. */
void cv_suggest_put_scalar(struct cv_buf *out, struct cv_str s)
{
	static const char *const words[] = { "true", "false", "yes", "no", "on", "off", "y", "n",
		"null" };
	bool is_plain = s.n && (is_alpha(s.p[0]) || s.p[0] == '/');

	for (size_t i = 0; is_plain && i < s.n; i++)
		is_plain = is_plain_byte(s.p[i]);
	for (size_t i = 0; is_plain && i < CV_ARRAY_LEN(words); i++)
		is_plain = !cv_str_eq_nocase(s, cv_str_of(words[i]));
	if (is_plain) {
		cv_buf_put(out, s);
		return;
	}
	cv_buf_put_json_str(out, s); /* s is visible: only quotes and backslashes get escaped */
}

/* A text that a glob takes literally. */
static void put_literal(struct cv_buf *out, struct cv_str s)
{
	struct cv_buf glob;

	cv_buf_init(&glob, CV_SUGGEST_ENTRY_BYTES_MAX);
	for (size_t i = 0; i < s.n; i++) {
		if (cv_str_has_byte(CV_STR("*?[]{}\\"), s.p[i]))
			cv_buf_put_byte(&glob, '\\');
		cv_buf_put_byte(&glob, s.p[i]);
	}
	out->is_overflown |= glob.is_overflown;
	cv_suggest_put_scalar(out, cv_buf_str(&glob));
	cv_buf_fini(&glob);
}

void cv_suggest_put_key(struct cv_buf *out, const struct cv_facts *f, unsigned nth)
{
	cv_buf_put(out, CV_STR("allow_"));
	for (size_t i = 0; i < f->host.n; i++) {
		const char c = cv_ascii_lower(f->host.p[i]);

		cv_buf_put_byte(out, is_alpha(c) || (c >= '0' && c <= '9') ? c : '_');
	}
	cv_buf_printf(out, "_%u", f->port);
	if (nth > 1)
		cv_buf_printf(out, "_%u", nth);
}

static void put_field(struct cv_buf *out, const char *name, struct cv_str value)
{
	if (!value.n)
		return;
	cv_buf_printf(out, "        %s: ", name);
	cv_suggest_put_scalar(out, value);
	cv_buf_put_byte(out, '\n');
}

#define WORD_ROW(name, yaml) [CV_WORD(name)] = yaml,
#define CV_WORD(name)        CV_TLS_##name
static const char *const tls_word[] = { CV_POLICY_TLS_MODES(WORD_ROW) };
#undef CV_WORD
#define CV_WORD(name) CV_SCRUB_##name
static const char *const scrub_word[] = { CV_POLICY_SCRUBS(WORD_ROW) };
#undef CV_WORD
#define CV_WORD(name) CV_BODY_HOLD_##name
static const char *const body_hold_word[] = { CV_POLICY_BODY_HOLDS(WORD_ROW) };
#undef CV_WORD
#define CV_WORD(name) CV_CREDENTIAL_MODE_##name
static const char *const mode_word[] = { CV_POLICY_CREDENTIAL_MODES(WORD_ROW) };
#undef CV_WORD
#define CV_WORD(name) CV_ACCESS_##name
static const char *const access_word[] = { CV_POLICY_ACCESSES(WORD_ROW) };
#undef CV_WORD
#define CV_WORD(name) CV_ENFORCEMENT_##name
static const char *const enforcement_word[] = { CV_POLICY_ENFORCEMENTS(WORD_ROW) };
#undef CV_WORD

/* The settings in which endpoints of one request must agree (ambiguity.c). */
static void put_settings(struct cv_buf *out, const struct cv_policy_endpoint *e)
{
	const struct {
		const char *name;
		bool is_set;
	} flags[] = {
		{ "allow_encoded_slash", e->allow_encoded_slash },
		{ "h2c", e->h2c },
		{ "websocket_credential_rewrite", e->websocket_credential_rewrite },
		{ "request_body_credential_rewrite", e->request_body_credential_rewrite },
		{ "token_endpoint", e->token_endpoint },
	};

	put_field(out, "protocol", cv_str_of(cv_policy_protocol_name(e->protocol)));
	put_field(out, "tls", cv_str_of(tls_word[e->tls]));
	if (e->protocol != CV_PROTOCOL_L4 && e->protocol != CV_PROTOCOL_TCP)
		put_field(out, "enforcement", cv_str_of(enforcement_word[e->enforcement]));
	if (e->allowed_ips.n)
		cv_buf_put(out, CV_STR("        allowed_ips:\n"));
	for (size_t i = 0; i < e->allowed_ips.n; i++) {
		cv_buf_put(out, CV_STR("          - "));
		cv_suggest_put_scalar(out, cv_str_trim(e->allowed_ips.v[i].s));
		cv_buf_put_byte(out, '\n');
	}
	for (size_t i = 0; i < CV_ARRAY_LEN(flags); i++)
		if (flags[i].is_set)
			cv_buf_printf(out, "        %s: true\n", flags[i].name);
	put_field(out, "credential_signing", e->credential_signing.s);
	put_field(out, "signing_service", e->signing_service.s);
	put_field(out, "signing_region", e->signing_region.s);
	if (e->has_credential_binding) {
		cv_buf_put(out, CV_STR("        credential_binding:\n          provider: "));
		cv_suggest_put_scalar(out, e->credential_binding_provider.s);
		cv_buf_put_byte(out, '\n');
	}
	put_field(out, "credential_mode", cv_str_of(mode_word[e->credential_mode]));
	put_field(out, "scrub", cv_str_of(scrub_word[e->scrub]));
	put_field(out, "body_hold", cv_str_of(body_hold_word[e->body_hold]));
}

static void put_program(struct cv_buf *out, const struct cv_wish *w)
{
	const struct cv_str exe = w->facts.who.exe;

	cv_buf_put(out, CV_STR("    binaries:\n      - path: "));
	if (w->is_name_only) {
		cv_buf_put_json_str(out, CV_SUGGEST_ANY_PROGRAM);
		cv_buf_put(out, CV_STR(" # any program: which one asked is not known"));
	} else if (cv_str_has_byte(exe, '*')) { /* without a star it is no glob */
		put_literal(out, exe);
	} else {
		cv_suggest_put_scalar(out, exe);
	}
	cv_buf_put_byte(out, '\n');
}

void cv_suggest_put_entry(struct cv_str key, const struct cv_wish *w,
	const struct cv_suggest_draft *d, struct cv_buf *out)
{
	cv_buf_put(out, CV_STR("  "));
	cv_buf_put(out, key);
	cv_buf_put(out, CV_STR(":\n    endpoints:\n      - host: "));
	cv_suggest_put_scalar(out, w->facts.host);
	cv_buf_printf(out, "\n        port: %u%s\n", w->facts.port,
		w->is_name_only ? " # a guess: only the name was asked for"
		: d->is_whole   ? " # all of the connection: with protocol tcp, no request is read"
				: "");
	if (d->ep.path.s.n) {
		cv_buf_put(out, CV_STR("        path: "));
		put_literal(out, d->ep.path.s);
		cv_buf_put_byte(out, '\n');
	}
	put_settings(out, &d->ep);
	put_field(out, "access", cv_str_of(access_word[d->ep.access]));
	if (d->has_rule) {
		cv_buf_put(out, CV_STR("        rules:\n          - allow:\n"
				       "              method: "));
		cv_suggest_put_scalar(out, w->facts.method);
		cv_buf_put(out, CV_STR("\n              path: "));
		put_literal(out, w->facts.path);
		cv_buf_put_byte(out, '\n');
	}
	put_program(out, w);
}
