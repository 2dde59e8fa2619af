/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session.c - what all commands share: memory, sentences, files, questions to the gateway
 */
#include "client/client.h"

#include "base/assert.h"
#include "base/shown.h"
#include "base/time.h"
#include "sys/dirs.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- memory ---- */

static CV_NORETURN void die_memory(void)
{
	fputs("Error: out of memory\n", stderr);
	exit(CL_EXIT_FAILED);
}

void *cl_alloc(struct cl *c, size_t bytes)
{
	void *p = cv_arena_alloc(&c->arena, bytes ? bytes : 1);

	if (!p)
		die_memory();
	return p;
}

char *cl_dup(struct cl *c, const char *text)
{
	const size_t n = text ? strlen(text) : 0;
	char *p = cl_alloc(c, n + 1);

	if (n)
		memcpy(p, text, n);
	return p;
}

CV_PRINTF(2, 0) static char *vprint(struct cl *c, const char *fmt, va_list ap)
{
	va_list again;

	va_copy(again, ap);
	const int n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	char *p = cl_alloc(c, (size_t)CV_MAX(n, 0) + 1);
	vsnprintf(p, (size_t)CV_MAX(n, 0) + 1, fmt, ap);
	return p;
}

char *cl_print(struct cl *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	char *p = vprint(c, fmt, ap);
	va_end(ap);
	return p;
}

static const char *text_take(struct cl *c, struct cv_buf *b)
{
	cv_buf_put_byte(b, '\0');
	const char *text = cv_buf_len(b) ? cl_dup(c, cv_buf_str(b).p) : "";
	cv_buf_fini(b);
	return text;
}

const char *cl_shown(struct cl *c, const char *text)
{
	struct cv_buf b;

	cv_buf_init(&b, CL_OUT_BYTES_MAX);
	(void)cv_shown_put_line(&b, cv_str_of(text), 0);
	return text_take(c, &b);
}

const char *cl_said(struct cl *c, const char *message)
{
	struct cv_buf b;

	cv_buf_init(&b, CL_OUT_BYTES_MAX);
	(void)cv_shown_put_message(&b, cv_str_of(message));
	return text_take(c, &b);
}

/* ---- sentences ---- */

void cl_die(struct cl *c, const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	va_start(ap, fmt);
	fprintf(stderr, "Error: %s\n", vprint(c, fmt, ap));
	va_end(ap);
	exit(CL_EXIT_FAILED);
}

void cl_die_usage(struct cl *c, const char *fmt, ...)
{
	struct cv_buf b;
	va_list ap;

	va_start(ap, fmt);
	fprintf(stderr, "error: %s\n\n", cl_shown(c, vprint(c, fmt, ap)));
	va_end(ap);
	cv_buf_init(&b, CL_OUT_BYTES_MAX);
	if (c->w.command)
		cl_usage_line(c->program, c->w.command, &b);
	else
		cv_buf_printf(&b, "Usage: %s [OPTIONS] <COMMAND>\n", c->program);
	fprintf(stderr, "%.*s\nFor more information, try '--help'.\n", CV_STR_ARG(cv_buf_str(&b)));
	cv_buf_fini(&b);
	exit(CL_EXIT_USAGE);
}

void cl_note(struct cl *c, const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	va_start(ap, fmt);
	fprintf(stderr, "%s\n", vprint(c, fmt, ap));
	va_end(ap);
}

void cl_mark(struct cl *c, char mark, const char *fmt, ...)
{
	const char *sign = mark == 'v' ? "✓" : mark == '!' ? "!" : "✗";
	const char *colour = mark == 'v' ? "\033[32m" : mark == '!' ? "\033[33m" : "\033[31m";
	FILE *to = mark == 'x' ? stderr : stdout;
	va_list ap;

	va_start(ap, fmt);
	const char *text = vprint(c, fmt, ap);
	va_end(ap);
	if (c->has_colour)
		fprintf(to, "%s%s\033[0m %s\n", colour, sign, text);
	else
		fprintf(to, "%s %s\n", sign, text);
	fflush(to);
}

void cl_write(struct cl *c, struct cv_str text)
{
	if (text.n && fwrite(text.p, 1, text.n, stdout) != text.n) {
		if (errno == EPIPE)
			exit(CL_EXIT_FAILED); /* whoever read has enough */
		cl_die(c, "write to stdout: %s", strerror(errno));
	}
}

void cl_table_done(struct cl *c, struct cl_table *t)
{
	struct cv_buf b;

	cv_buf_init(&b, CL_OUT_BYTES_MAX);
	cl_table_put(t, &b);
	cl_table_fini(t);
	if (b.is_overflown)
		die_memory();
	cl_write(c, cv_buf_str(&b));
	cv_buf_fini(&b);
}

int cl_out_done(struct cl *c, struct cl_out *o)
{
	if (o->b.is_overflown)
		die_memory();
	cv_assert(o->depth == 0);
	cl_write(c, cv_buf_str(&o->b));
	cl_out_fini(o);
	return 0;
}

enum cl_form cl_form(struct cl *c)
{
	const char *o = cl_flag(&c->w, "output");

	if (o && strcmp(o, "json") == 0)
		return CL_FORM_JSON;
	return o && strcmp(o, "yaml") == 0 ? CL_FORM_YAML : CL_FORM_TABLE;
}

const char *cl_time(struct cl *c, int64_t ms)
{
	const struct cv_time_civil t = cv_time_civil(ms);

	return cl_print(c, "%04d-%02d-%02d %02d:%02d:%02d", t.year, t.month, t.day, t.hour,
		t.minute, t.second);
}

void cl_label(struct cl *c, const char *label, const char *value)
{
	if (c->has_colour)
		printf("  \033[2m%s\033[0m %s\n", label, value);
	else
		printf("  %s %s\n", label, value);
}

const char *cl_map_text(struct cl *c, void *entries, size_t n)
{
	struct cl_entry *const *v = entries;
	const char *all = "";

	for (size_t i = 0; i < n; i++)
		all = cl_print(c, "%s%s%s=%s", all, i ? ", " : "", cl_shown(c, v[i]->key),
			cl_shown(c, v[i]->value));
	return n ? all : "-";
}

bool cl_can_confirm(void)
{
	return isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
}

bool cl_confirm(struct cl *c, const char *question)
{
	char answer[16];

	(void)c;
	if (!cl_can_confirm())
		return false;
	fprintf(stderr, "%s [y/N] ", question);
	fflush(stderr);
	return fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

/* ---- words that several flags share ---- */

char *cl_pair(struct cl *c, const char *pair, const char **ret_value)
{
	const size_t n = strcspn(pair, "=");

	*ret_value = pair[n] ? pair + n + 1 : NULL;
	return cl_print(c, "%.*s", (int)n, pair);
}

int64_t cl_duration_ms(struct cl *c, const char *text)
{
	static const struct {
		char unit;
		uint64_t ms;
	} units[] = { { 's', 1000 }, { 'm', 60000 }, { 'h', 3600000 }, { 'd', 86400000 } };
	struct cv_str s = cv_str_of(text);
	uint64_t n;

	for (size_t i = 0; s.n > 1 && i < CV_ARRAY_LEN(units); i++)
		if (s.p[s.n - 1] == units[i].unit &&
			cv_str_to_u64(cv_str_slice(s, 0, s.n - 1), CL_NUMBER_MAX, &n))
			return (int64_t)(n * units[i].ms);
	cl_die_usage(
		c, "invalid duration '%s': expected a number and a unit, as in 30s, 5m, 1h", text);
}

/* ---- files ---- */

bool cl_file_slurp(struct cl *c, const char *path, size_t bytes_max, struct cv_str *ret)
{
	CV_AUTO_FD int fd =
		strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
	struct cv_buf b;
	ssize_t n = 1;

	if (fd < 0)
		return false;
	cv_buf_init(&b, bytes_max + 4096);
	while (n > 0 && cv_buf_len(&b) <= bytes_max) {
		char *room = cv_buf_reserve(&b, 4096);

		if (!room)
			break;
		n = read(fd, room, 4096);
		if (n > 0)
			cv_buf_commit(&b, (size_t)n);
	}
	if (n < 0 || cv_buf_len(&b) > bytes_max) {
		const int saved = n < 0 ? errno : EFBIG;
		cv_buf_fini(&b);
		errno = saved;
		return false;
	}
	char *p = cl_alloc(c, cv_buf_len(&b) + 1);
	if (cv_buf_len(&b))
		memcpy(p, cv_buf_str(&b).p, cv_buf_len(&b));
	*ret = (struct cv_str){ p, cv_buf_len(&b) };
	cv_buf_fini(&b);
	return true;
}

struct cv_str cl_file_read(struct cl *c, const char *path, size_t bytes_max)
{
	struct cv_str s;

	if (!cl_file_slurp(c, path, bytes_max, &s))
		cl_die(c, "failed to read %s: %s", path, strerror(errno));
	return s;
}

static void dirs_make(struct cl *c, const char *path)
{
	struct cv_err err;

	if (cv_dirs_make(path, &err) != CV_OK)
		cl_die(c, "%s", err.msg);
}

void cl_file_write(struct cl *c, const char *path, struct cv_str text)
{
	const char *beside = cl_print(c, "%s.%d", path, (int)getpid());
	char *dir = cl_dup(c, path);

	*strrchr(dir, '/') = '\0';
	dirs_make(c, dir);
	CV_AUTO_FD int fd =
		open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || write(fd, text.p, text.n) != (ssize_t)text.n || rename(beside, path) < 0) {
		const int saved = errno;
		unlink(beside);
		cl_die(c, "write %s: %s", path, strerror(saved));
	}
}

/* ---- questions ---- */

void cl_die_status(struct cl *c, enum cv_rpc_status s, const char *message)
{
	fflush(stdout);
	fprintf(stderr, "Error: %s\n",
		message && *message ? cl_said(c, message) : cv_rpc_status_name(s));
	if (s == CV_RPC_UNAUTHENTICATED)
		fprintf(stderr, "hint: log in with: %s gateway login\n", c->program);
	exit(CL_EXIT_FAILED);
}

static void hint_connect(struct cl *c, const struct cv_err *err)
{
	const char *msg = cl_said(c, err->msg);

	if (c->is_refused)
		cl_die(c, "%s\nhint: log in with: %s gateway login%s%s", msg, c->program,
			c->gateway.folder ? " " : "",
			c->gateway.folder ? cl_shown(c, c->gateway.name) : "");
	if (err->code == CV_DENIED)
		cl_die(c, "the gateway at %s cannot be trusted: %s", c->gateway.url, msg);
	cl_die(c,
		"failed to connect to gateway '%s' at %s: %s\nhint: is it running? see: %s status",
		c->gateway.name, c->gateway.url, msg, c->program);
}

static const char *file_if_there(struct cl *c, const char *folder, const char *name)
{
	const char *path = folder ? cl_print(c, "%s/%s", folder, name) : NULL;

	return path && access(path, R_OK) == 0 ? path : NULL;
}

bool cl_is_insecure(struct cl *c)
{
	return cl_has(&c->w, "gateway-insecure") || getenv("OPENSHELL_GATEWAY_INSECURE") ||
	       getenv("COVE_GATEWAY_INSECURE");
}

cv_code cl_gateway_open(struct cl *c, struct cv_err *err)
{
	const struct cl_gateway *g = &c->gateway;
	const char *token = cl_gateway_token(c, g);
	const bool is_edge = g->auth == CL_AUTH_EDGE;
	const struct cv_rpc_endpoint e = {
		.url = cv_str_of(g->url),
		.ca_path = file_if_there(c, g->folder, "mtls/ca.crt"),
		.cert_path = file_if_there(c, g->folder, "mtls/tls.crt"),
		.key_path = file_if_there(c, g->folder, "mtls/tls.key"),
		.bearer = is_edge ? NULL : token,
		.tunnel_token = is_edge ? token : NULL,
		.ret_is_refused = &c->is_refused,
		.is_insecure = cl_is_insecure(c),
	};

	c->is_refused = is_edge && !token;
	if (c->is_refused)
		return cv_fail(err, CV_DENIED,
			"gateway '%s' is behind an edge proxy, and nobody is logged in",
			cl_shown(c, g->name));
	return cv_rpc_client_open(&e, CL_CONNECT_TIMEOUT_MS, &c->rpc, err);
}

void cl_connect(struct cl *c)
{
	struct cv_err err;

	if (c->rpc)
		return;
	cl_gateway_need(c);
	if (cl_gateway_open(c, &err) != CV_OK)
		hint_connect(c, &err);
}

ProtobufCMessage *cl_ask(struct cl *c, const char *method, const ProtobufCMessage *in,
	const ProtobufCMessageDescriptor *out, enum cv_rpc_status *ret_status, struct cv_err *err)
{
	ProtobufCMessage *answer = NULL;
	struct cv_err own;
	struct cv_err *e = err ? err : &own;

	e->msg[0] = '\0';
	cl_connect(c);
	const enum cv_rpc_status s =
		cv_rpc_client_unary(c->rpc, method, in, out, &answer, CL_CALL_TIMEOUT_MS, e);
	if (ret_status)
		*ret_status = s;
	if (s == CV_RPC_OK) {
		struct cl_answer *kept = cl_alloc(c, sizeof(*kept));

		*kept = (struct cl_answer){ answer, c->answers };
		c->answers = kept;
		return answer;
	}
	if (!ret_status)
		cl_die_status(c, s, e->msg);
	return NULL;
}

void cl_answers_free(struct cl *c)
{
	for (struct cl_answer *a = c->answers; a; a = a->next)
		protobuf_c_message_free_unpacked(a->message, NULL);
	c->answers = NULL;
}

/* ---- maps ---- */

void cl_map_out(struct cl *c, struct cl_out *o, const char *key, void *entries, size_t n)
{
	struct cl_entry *const *v = entries;

	(void)c;
	cl_out_object(o, key);
	for (size_t i = 0; i < n; i++)
		cl_out_str(o, v[i]->key, v[i]->value ? v[i]->value : "");
	cl_out_end(o);
}

void *cl_map_add(struct cl *c, void *entries, size_t *count, const ProtobufCMessageDescriptor *d,
	const char *key, const char *value)
{
	struct cl_entry **v = cl_alloc(c, (*count + 1) * sizeof(*v));
	struct cl_entry *e = cl_alloc(c, d->sizeof_message);

	cv_assert(d->sizeof_message == sizeof(struct cl_entry));
	if (*count)
		memcpy(v, entries, *count * sizeof(*v));
	d->message_init(&e->base);
	e->key = cl_dup(c, key);
	e->value = cl_dup(c, value);
	v[(*count)++] = e;
	return v;
}

void *cl_map_of_flag(
	struct cl *c, const char *flag, const ProtobufCMessageDescriptor *d, size_t *ret_count)
{
	const size_t n = cl_flag_count(&c->w, flag);
	void *v = NULL;

	*ret_count = 0;
	for (size_t i = 0; i < n; i++) {
		const char *value;
		const char *key = cl_pair(c, cl_flag_at(&c->w, flag, i), &value);

		v = cl_map_add(c, v, ret_count, d, key, value);
	}
	return v;
}
