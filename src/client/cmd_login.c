/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmd_login.c - `gateway login`, `gateway logout`
 *
 * How a person or a program proves who it is to the issuer that the gateway trusts:
 *
 *     OPENSHELL_OIDC_CLIENT_SECRET   client credentials: a program, without a person (RFC 6749 section 4.4)
 *     no browser here, or --device   a code that is typed in elsewhere (RFC 8628)
 *     otherwise                      the browser, with a redirect to this host and PKCE (RFC 8252, RFC 7636)
 *
 * A gateway behind an edge proxy has the browser bring the edge's token (edge.h).
 * --token-file takes a token that came by other means, as does stdin for a gateway without an issuer.
 */
#include "client/browser.h"
#include "client/commands.h"
#include "client/edge.h"
#include "client/fetch.h"
#include "client/oidc.h"
#include "client/redirect.h"

#include "base/base64.h"
#include "base/shown.h"
#include "sys/clock.h"
#include "sys/fd.h"
#include "wire/json_value.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <termios.h>
#include <unistd.h>

#define LOGIN_MS        300000 /* for a person to log in */
#define RANDOM_BYTES    32     /* of a state and of a verifier: 43 letters, as RFC 7636 asks for */
#define RANDOM_TEXT_MAX 64
#define INTERVAL_S      5 /* RFC 8628 section 3.2 */
#define INTERVAL_S_MAX  60
#define CODE_S_MAX      1800 /* no code that is typed in lives longer */

/* ---- a token that is given ---- */

static struct termios shown_terminal;

static void terminal_show(void)
{
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown_terminal);
}

static struct cv_str token_given(struct cl *c)
{
	const char *file = cl_flag(&c->w, "token-file");
	const bool asks = !file && isatty(STDIN_FILENO);
	char *line = cl_alloc(c, CL_TOKEN_BYTES_MAX);

	if (!asks) {
		struct cv_str s = cl_file_read(c, file ? file : "-", CL_TOKEN_BYTES_MAX);
		return cv_str_trim(cv_str_cut(&s, '\n'));
	}
	fprintf(stderr, "Token: ");
	tcgetattr(STDIN_FILENO, &shown_terminal);
	atexit(terminal_show);
	struct termios hidden = shown_terminal;
	hidden.c_lflag &= ~(tcflag_t)ECHO;
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
	const bool is_read = fgets(line, CL_TOKEN_BYTES_MAX, stdin) != NULL;
	terminal_show();
	fputc('\n', stderr);
	struct cv_str s = cv_str_of(is_read ? line : "");
	return cv_str_trim(cv_str_cut(&s, '\n'));
}

/* ---- what the issuer says ---- */

static CV_NORETURN void die_refused(struct cl *c, struct cv_str error, struct cv_str description)
{
	const char *more = description.p ? cl_shown(c, description.p) : "";

	cl_die(c, "the issuer refused the log-in: %s%s%s", cl_shown(c, error.p), *more ? ": " : "",
		more);
}

static void token_ask(
	struct cl *c, const struct cl_oidc *o, struct cv_buf *form, struct cl_token *ret)
{
	struct cv_err err;

	if (cl_oidc_ask_token(c, o, form, ret, &err) != CV_OK)
		cl_die(c, "%s", cl_shown(c, err.msg));
	if (ret->error.p)
		die_refused(c, ret->error, ret->description);
}

/* ---- the browser ---- */

static const char *random_text(struct cl *c)
{
	unsigned char bytes[RANDOM_BYTES];
	struct cv_buf b;

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		cl_die(c, "no random numbers");
	cv_buf_init(&b, RANDOM_TEXT_MAX);
	cv_buf_put_base64(&b, (struct cv_str){ (const char *)bytes, sizeof(bytes) }, CV_BASE64_URL);
	const char *text = cl_print(c, "%.*s", CV_STR_ARG(cv_buf_str(&b)));
	cv_buf_fini(&b);
	return text;
}

struct attempt { /* of one log-in */
	const char *state, *verifier, *redirect;
};

static const char *authorize_url(
	struct cl *c, const struct cl_oidc *o, const struct attempt *a, bool must_prompt)
{
	struct cv_buf q, challenge;

	cv_buf_init(&q, CL_OUT_BYTES_MAX);
	cv_buf_init(&challenge, RANDOM_TEXT_MAX);
	cl_pkce_put(&challenge, cv_str_of(a->verifier));
	cl_form_put(&q, "response_type", CV_STR("code"));
	cl_form_put(&q, "client_id", cv_str_of(o->client_id));
	cl_form_put(&q, "redirect_uri", cv_str_of(a->redirect));
	cl_form_put(&q, "state", cv_str_of(a->state));
	cl_form_put(&q, "code_challenge", cv_buf_str(&challenge));
	cl_form_put(&q, "code_challenge_method", CV_STR("S256"));
	cl_oidc_scope_put(o, &q);
	if (must_prompt)
		cl_form_put(&q, "prompt", CV_STR("login"));
	const char *url = cl_print(c, "%s%c%.*s", o->authorization_url,
		strchr(o->authorization_url, '?') ? '&' : '?', CV_STR_ARG(cv_buf_str(&q)));
	cv_buf_fini(&q);
	cv_buf_fini(&challenge);
	return url;
}

static void browser_login(
	struct cl *c, const struct cl_oidc *o, bool must_prompt, struct cl_token *ret)
{
	unsigned port;
	struct cl_redirect r;
	struct cv_buf form;
	CV_AUTO_FD int listener = cl_redirect_listen(c, &port);
	const struct attempt a = { random_text(c), random_text(c),
		cl_print(c, "http://127.0.0.1:%u/callback", port) };

	if (!o->authorization_url)
		cl_die(c, "the issuer %s has no log-in by browser", cl_shown(c, o->issuer));
	const char *url = authorize_url(c, o, &a, must_prompt);
	cl_note(c, "Log in with your browser. If it does not open, go to:\n\n  %s\n", url);
	cl_browser_open(c, url);
	if (!cl_redirect_wait(c, listener, cv_str_of(a.state), cv_clock_ms() + LOGIN_MS, &r))
		cl_die(c, "nobody logged in within %d minutes", LOGIN_MS / 60000);
	if (r.error.p)
		die_refused(c, r.error, r.description);
	/* RFC 9207: another issuer's code is for its own endpoint, and not to be shown to this one. */
	if (r.issuer.p && !cv_str_eq(r.issuer, cv_str_of(o->issuer)))
		cl_die(c, "the browser came back from another issuer, %s", cl_shown(c, r.issuer.p));
	if (!r.code.n)
		cl_die(c, "the browser came back without a code");
	cl_oidc_form_begin(o, &form);
	cl_form_put(&form, "grant_type", CV_STR("authorization_code"));
	cl_form_put(&form, "code", r.code);
	cl_form_put(&form, "redirect_uri", cv_str_of(a.redirect));
	cl_form_put(&form, "code_verifier", cv_str_of(a.verifier));
	token_ask(c, o, &form, ret);
}

/* ---- a code that is typed in elsewhere ---- */

struct device {
	struct cv_str code;
	const char *user_code, *url, *whole_url;
	int64_t until_ms, interval_ms;
};

static int64_t seconds_of(const struct cv_value *o, const char *key, int64_t otherwise, int64_t max)
{
	const struct cv_value *v = cv_value_get(o, cv_str_of(key));
	int64_t n;

	if (!v || v->type != CV_VALUE_NUMBER || !cv_value_to_i64(v, &n) || n < 1)
		return otherwise;
	return CV_MIN(n, max);
}

static const char *word_of(struct cl *c, const struct cv_value *o, const char *key)
{
	const struct cv_str s = cv_value_get_str(o, cv_str_of(key));

	return s.n ? cl_shown(c, cl_print(c, "%.*s", CV_STR_ARG(s))) : NULL;
}

static void device_begin(struct cl *c, const struct cl_oidc *o, struct device *ret)
{
	const struct cv_value *v;
	struct cl_fetched answer;
	struct cv_buf form;
	struct cv_err err;

	cl_oidc_form_begin(o, &form);
	cl_oidc_scope_put(o, &form);
	if (cl_oidc_ask(c, o, o->device_url, &form, &answer, &err) != CV_OK)
		cl_die(c, "%s", cl_shown(c, err.msg));
	if (cv_json_value_read(answer.body, &c->arena, &v, NULL) != CV_JSON_PROBLEM_NONE)
		cl_die(c, "%s answered %d and no JSON", cl_shown(c, o->issuer), answer.status);
	if (cv_value_get_str(v, CV_STR("error")).n)
		die_refused(c, cv_str_of(word_of(c, v, "error")),
			cv_str_of(word_of(c, v, "error_description")));
	*ret = (struct device){ .code = cv_value_get_str(v, CV_STR("device_code")),
		.user_code = word_of(c, v, "user_code"),
		.url = word_of(c, v, "verification_uri"),
		.whole_url = word_of(c, v, "verification_uri_complete"),
		.interval_ms = 1000 * seconds_of(v, "interval", INTERVAL_S, INTERVAL_S_MAX),
		.until_ms = cv_clock_ms() + 1000 * seconds_of(v, "expires_in", 600, CODE_S_MAX) };
	if (!ret->code.n || !ret->user_code || !ret->url)
		cl_die(c, "%s answered without a code", cl_shown(c, o->issuer));
}

static void device_login(struct cl *c, const struct cl_oidc *o, struct cl_token *ret)
{
	struct device d;
	struct cv_buf form;
	struct cv_err err;

	device_begin(c, o, &d);
	cl_note(c, "Go to %s and enter the code %s", d.url, d.user_code);
	if (d.whole_url)
		cl_note(c, "or to %s", d.whole_url);
	while (cv_clock_ms() + d.interval_ms < d.until_ms) {
		(void)poll(NULL, 0, (int)d.interval_ms);
		cl_oidc_form_begin(o, &form);
		cl_form_put(&form, "grant_type",
			CV_STR("urn:ietf:params:oauth:grant-type:device_code"));
		cl_form_put(&form, "device_code", d.code);
		if (cl_oidc_ask_token(c, o, &form, ret, &err) != CV_OK) {
			/* RFC 8628 section 3.5: an answer that was lost is asked for later. */
			d.interval_ms = CV_MIN(2 * d.interval_ms, 1000 * INTERVAL_S_MAX);
			continue;
		}
		if (!ret->error.p)
			return;
		if (cv_str_eq(ret->error, CV_STR("slow_down")))
			d.interval_ms += 1000 * INTERVAL_S;
		else if (!cv_str_eq(ret->error, CV_STR("authorization_pending")))
			die_refused(c, ret->error, ret->description);
	}
	cl_die(c, "nobody entered the code in time");
}

/* ---- the commands ---- */

static void credentials_login(struct cl *c, const struct cl_oidc *o, struct cl_token *ret)
{
	struct cv_buf form;

	cl_oidc_form_begin(o, &form);
	cl_form_put(&form, "grant_type", CV_STR("client_credentials"));
	cl_oidc_scope_put(o, &form);
	token_ask(c, o, &form, ret);
}

static void issuer_login(
	struct cl *c, const struct cl_gateway *g, bool must_prompt, struct cl_token *ret)
{
	struct cl_oidc o;
	struct cv_err err;

	if (cl_oidc_discover(c, g, &o, &err) != CV_OK)
		cl_die(c, "%s", cl_shown(c, err.msg));
	if (cl_has(&c->w, "device") && !o.device_url)
		cl_die(c, "the issuer %s has no log-in by a code", cl_shown(c, o.issuer));
	if (o.secret)
		credentials_login(c, &o, ret);
	else if (o.device_url && (cl_has(&c->w, "device") || !cl_browser_is_there()))
		device_login(c, &o, ret);
	else
		browser_login(c, &o, must_prompt, ret);
}

static const char *marker_path(struct cl *c, const struct cl_gateway *g)
{
	return cl_print(c, "%s/oidc_login_prompt_required", cl_gateway_own_folder(c, g));
}

static struct cv_str token_needed(struct cl *c)
{
	const struct cv_str token = token_given(c);

	if (!token.n)
		cl_die(c, "no token given\nhint: pass one on stdin, or with --token-file");
	if (!cl_token_is_fine(token))
		cl_die(c, "what was given is no token");
	return token;
}

static int edge_login(struct cl *c, const struct cl_gateway *g)
{
	if (cl_has(&c->w, "token-file"))
		cl_edge_store(c, g, token_needed(c));
	else
		cl_edge_login(c, g);
	return 0;
}

int cl_run_gateway_login(struct cl *c)
{
	struct cl_gateway g;
	struct cl_token t = { .lives_s = 0 };

	cl_gateway_named(c, &g);
	if (strncmp(g.url, "http://", 7) == 0)
		cl_note(c, "warning: %s is not encrypted; the token is sent in the clear", g.url);
	if (g.auth == CL_AUTH_EDGE)
		return edge_login(c, &g);
	if (g.oidc_issuer && !cl_has(&c->w, "token-file")) {
		issuer_login(c, &g, access(marker_path(c, &g), F_OK) == 0, &t);
	} else {
		t.access = token_needed(c);
	}
	cl_oidc_store(c, &g, &t);
	unlink(marker_path(c, &g));
	cl_mark(c, 'v', "Logged in to gateway '%s'", cl_shown(c, g.name));
	return 0;
}

int cl_run_gateway_logout(struct cl *c)
{
	struct cl_gateway g;

	cl_gateway_named(c, &g);
	const bool had_token =
		unlink(cl_print(c, "%s/oidc_token.json", cl_gateway_own_folder(c, &g))) == 0;
	const bool had_edge = unlink(cl_edge_token_path(c, &g)) == 0;
	if (g.oidc_issuer) /* the issuer's session in the browser goes on: it has to ask next time */
		cl_file_write(c, marker_path(c, &g), CV_STR(""));
	if (had_token || had_edge)
		cl_mark(c, 'v', "Logged out of gateway '%s'", cl_shown(c, g.name));
	else
		cl_mark(c, '!', "Nobody is logged in to gateway '%s'", cl_shown(c, g.name));
	return 0;
}
