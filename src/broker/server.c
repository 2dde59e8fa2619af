/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server.c - see server.h
 *
 *     NEW -> KEYS -> HEALTH -> READY -> STOPPING -> GONE
 *                      |         |
 *                      +---------+--> it ended by itself: FATAL, with the end of its log
 *
 * A run whose server is gone has lost what it was started for, so it ends with the server's own
 * words; nothing is started again behind its back, with whatever state it lost.
 *
 * Its token is 256 random bits, made here for each start, and neither in its argv nor in the sandbox.
 * The port has to be free before it starts: what listens there later is then the server, and not
 * somebody who was there first and collects tokens.  Each has a shepherd (spawn.h), so all that it
 * started ends with it.
 */
#include "broker/server.h"

#include "broker/broker.h"
#include "broker/fetch.h"
#include "sys/clock.h"
#include "sys/fd.h"
#include "tools/template.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATH_DEFAULT "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static struct server *server_at(struct broker *b, uint32_t index)
{
	return index < b->server_count ? &b->servers[index] : NULL;
}

static CV_NORETURN void server_die(struct server *s, const char *why)
{
	const struct cv_str tail = cv_buf_str(&s->tail);
	const struct cv_str last = cv_str_slice(
		tail, tail.n > SERVER_TAIL_SAID ? tail.n - SERVER_TAIL_SAID : 0, tail.n);

	broker_die(CV_UNAVAILABLE, "server %.*s %s%s%.*s", CV_STR_ARG(s->its->name), why,
		last.n ? "; the last of its log:\n" : "", CV_STR_ARG(last));
}

/* ---- its log ---- */

static void log_put(struct server *s, struct cv_str bytes)
{
	if (s->log >= 0 && s->log_bytes < SERVER_LOG_BYTES_MAX) {
		const size_t n =
			(size_t)CV_MIN((uint64_t)bytes.n, SERVER_LOG_BYTES_MAX - s->log_bytes);

		if (write(s->log, bytes.p, n) > 0)
			s->log_bytes += n;
	}
	if (cv_buf_len(&s->tail) + bytes.n > s->tail.max)
		cv_buf_skip(&s->tail, CV_MIN(cv_buf_len(&s->tail),
					      cv_buf_len(&s->tail) + bytes.n - s->tail.max / 2));
	cv_buf_put(&s->tail,
		cv_str_slice(
			bytes, bytes.n > s->tail.max / 2 ? bytes.n - s->tail.max / 2 : 0, bytes.n));
}

static void pipe_read(struct server *s, int *fd)
{
	char piece[16384];
	struct cv_buf clean;
	ssize_t n = 0;

	for (int i = 0; i < 16 && *fd >= 0; i++) {
		n = read(*fd, piece, sizeof(piece));
		if (n <= 0)
			break;
		cv_buf_init(&clean, SIZE_MAX / 2);
		if (keys_scrub_feed(&s->log_scrub, (struct cv_str){ piece, (size_t)n }, &clean))
			log_put(s, cv_buf_str(&clean));
		cv_buf_wipe(&clean);
	}
	explicit_bzero(piece, sizeof(piece)); /* it may have written what it was given */
	if (n == 0 && *fd >= 0) {
		close(*fd);
		*fd = -1;
	}
}

static void log_end(struct server *s)
{
	struct cv_buf clean;

	for (int i = 0; i < 64 && s->p.out >= 0; i++)
		pipe_read(s, &s->p.out);
	for (int i = 0; i < 64 && s->p.err >= 0; i++)
		pipe_read(s, &s->p.err);
	cv_buf_init(&clean, SIZE_MAX / 2);
	if (keys_scrub_end(&s->log_scrub, &clean))
		log_put(s, cv_buf_str(&clean));
	cv_buf_wipe(&clean);
}

static void log_open(struct broker *b, struct server *s)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "servers/%.*s.log", CV_STR_ARG(s->its->name));
	s->log = openat(
		b->state_dir, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	cv_buf_init(&s->tail, SERVER_TAIL_BYTES);
}

/* ---- where it listens ---- */

/* Binds where the server is to listen, and lets go: 0 asks for any port that is free. */
static cv_code port_try(uint16_t port, uint16_t *ret, struct cv_err *err)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	socklen_t n = sizeof(a);
	const int on = 1;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CV_AUTO_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return cv_fail_errno(err, "socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)); /* those that linger may */
	if (bind(fd, (struct sockaddr *)&a, n) < 0 || listen(fd, 1) < 0)
		return cv_fail_errno(err, "port %u of 127.0.0.1", port);
	if (getsockname(fd, (struct sockaddr *)&a, &n) < 0)
		return cv_fail_errno(err, "getsockname");
	*ret = ntohs(a.sin_port);
	return CV_OK;
}

static void place_make(struct server *s)
{
	char path[PATH_MAX];
	struct cv_err err;
	struct stat st;

	if (s->its->socket.n) {
		/* What an earlier run left; anything but a socket stays, and the server fails. */
		if (cv_str_to_cstr(s->its->socket, path, sizeof(path)) && lstat(path, &st) == 0 &&
			S_ISSOCK(st.st_mode))
			unlink(path);
		return;
	}
	if (port_try(s->its->port, &s->port, &err) != CV_OK)
		server_die(s, err.msg);
}

/* ---- its start ---- */

struct server_words {
	struct cv_arena arena;
	char *argv[CV_TOOL_ARGS_MAX + 5];
	char *env[BROKER_ENV_MAX + CV_TOOL_ENV_MAX + 5];
	size_t env_count;
	char workdir[PATH_MAX + 64];
};

static struct server_words words; /* large; used up within one call */

static void env_put(struct server_words *w, struct cv_str pair)
{
	const struct cv_str name = cv_str_slice(pair, 0, cv_str_find_byte(pair, '=') + 1);
	size_t i = 0;

	while (i < w->env_count && !cv_str_has_prefix(cv_str_of(w->env[i]), name))
		i++;
	if (i + 1 < CV_ARRAY_LEN(w->env))
		w->env[i] = (char *)(uintptr_t)pair.p;
	if (i == w->env_count)
		w->env_count++;
	w->env[w->env_count] = NULL;
}

static void workdir_name(struct broker *b, struct server *s, struct server_words *w)
{
	snprintf(w->workdir, sizeof(w->workdir), "%s/servers/%.*s", b->state_path,
		CV_STR_ARG(s->its->name));
	env_put(w, cv_arena_printf(&w->arena, "TMPDIR=%s", w->workdir));
}

static void env_make(struct broker *b, struct server *s, struct server_words *w)
{
	const struct cv_template_values values = { .credential = keys_get, .arg = s->keys };
	struct cv_buf value;

	w->env_count = 0;
	env_put(w, CV_STR(PATH_DEFAULT));
	workdir_name(b, s, w);
	for (size_t i = 0; i < b->env_count; i++)
		env_put(w, cv_str_of(b->env[i]));
	env_put(w, cv_arena_printf(&w->arena, "TOKEN=%s", s->token));
	for (size_t i = 0; i < s->its->env_count; i++) {
		cv_buf_init(&value, BROKER_ARGV_BYTES_MAX);
		(void)!cv_buf_reserve(&value, value.max);
		if (cv_template_text(s->its->env[i].value, &values, &value, NULL) != CV_TEMPLATE_OK)
			server_die(s, "can't be given its environment");
		env_put(w, cv_arena_printf(&w->arena, "%.*s=%.*s", CV_STR_ARG(s->its->env[i].name),
				   CV_STR_ARG(cv_buf_str(&value))));
		cv_buf_wipe(&value);
	}
	env_put(w, cv_arena_printf(&w->arena, "BEARER_TOKEN=%s", s->token));
}

static void argv_make(struct server *s, struct server_words *w)
{
	size_t n = 0;

	for (; n < s->its->argc; n++)
		w->argv[n] = (char *)(uintptr_t)cv_arena_str(&w->arena, s->its->argv[n]).p;
	if (s->its->socket.n) {
		w->argv[n++] = (char *)(uintptr_t) "--socket";
		w->argv[n++] = (char *)(uintptr_t)cv_arena_str(&w->arena, s->its->socket).p;
	} else {
		w->argv[n++] = (char *)(uintptr_t) "--port";
		w->argv[n++] = (char *)(uintptr_t)cv_arena_printf(&w->arena, "%u", s->port).p;
		w->argv[n++] = (char *)(uintptr_t) "--bind-address";
		w->argv[n++] = (char *)(uintptr_t) "127.0.0.1";
	}
	w->argv[n] = NULL;
}

static void watch(struct broker *b, struct server *s, int fd, enum watch kind)
{
	struct cv_err err;

	if (cv_loop_add(&b->loop, fd, EPOLLIN, (struct cv_watch){ (uint8_t)kind, s->ref }, &err) !=
		CV_OK)
		server_die(s, err.msg);
}

static void launch(struct broker *b, struct server *s)
{
	struct spawn_plan plan = {
		.argv = words.argv,
		.env = words.env,
		.workdir = words.workdir,
		.room = &s->its->room,
		.owns_workdir = true,
	};
	struct cv_err err;
	bool has_made;

	log_open(b, s);
	if (!keys_scrub_init(&s->log_scrub, s->keys, NULL))
		server_die(s, "can't be started: no memory");
	place_make(s);
	cv_arena_init(&words.arena, 4u << 20);
	argv_make(s, &words);
	env_make(b, s, &words);
	if (spawn_workdir_make(&plan, &has_made, &err) != CV_OK && err.sys != EEXIST)
		server_die(s, "can't have a directory");
	if (words.arena.is_overflown)
		server_die(s, "can't be started: its words are too long");
	if (spawn(&plan, &s->p, &err) != CV_OK)
		server_die(s, err.msg);
	cv_arena_wipe(&words.arena);
	keys_values_drop(s->keys);
	watch(b, s, s->p.control, WATCH_SERVER);
	watch(b, s, s->p.out, WATCH_SERVER_OUT);
	watch(b, s, s->p.err, WATCH_SERVER_ERR);
	s->state = SERVER_HEALTH;
	s->due_ms = b->loop.now_ms + s->its->start_ms;
	s->health_ms = b->loop.now_ms;
	due_at(b, s->health_ms);
}

/* The token is its secret as much as what the keeper gave. */
static void keys_complete(struct broker *b, struct server *s)
{
	struct cv_err err;

	if (keys_add(&s->keys, CV_STR("(token)"), cv_str_of(s->token), &err) != CV_OK)
		server_die(s, err.msg);
	launch(b, s);
}

static void token_make(struct server *s)
{
	unsigned char random[32];

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		broker_die(CV_SYSTEM, "getrandom");
	for (size_t i = 0; i < sizeof(random); i++)
		snprintf(s->token + 2 * i, 3, "%02x", random[i]);
	explicit_bzero(random, sizeof(random));
}

void servers_start(struct broker *b)
{
	const size_t n = b->catalog->server_count;

	if (!n)
		return;
	b->servers = calloc(n, sizeof(*b->servers));
	if (!b->servers || (mkdirat(b->state_dir, "servers", 0700) < 0 && errno != EEXIST))
		broker_die(CV_SYSTEM, "no place for servers");
	b->server_count = (uint32_t)n;
	for (uint32_t i = 0; i < n; i++) {
		struct server *s = &b->servers[i];

		*s = (struct server){
			.its = &b->catalog->servers[i],
			.ref = { .index = i },
			.log = -1,
			.p = { .control = -1, .in = -1, .out = -1, .err = -1 },
		};
		token_make(s);
		if (!s->its->uses.n) {
			keys_complete(b, s);
			continue;
		}
		s->state = SERVER_KEYS;
		s->keys = keys_ask(b, KEYS_SERVER, s->ref, "server", s->its->name, &s->its->uses);
		if (!s->keys)
			server_die(s, "can't be started: no memory");
	}
}

void server_keys_come(struct broker *b, struct cv_ref ref, const struct cv_err *failed)
{
	struct server *s = server_at(b, ref.index);

	if (!s || s->state != SERVER_KEYS)
		return;
	if (failed)
		server_die(s, failed->msg);
	keys_complete(b, s);
}

/* ---- its health ---- */

static void health_end(struct broker *b, void *arg, const struct fetch_end *e)
{
	struct server *s = arg;

	fetch_drop(s->health);
	s->health = NULL;
	if (s->state != SERVER_HEALTH)
		return;
	if (!e->failure && e->status == 200) {
		s->state = SERVER_READY;
		s->due_ms = 0;
		link_ready_check(b);
		return;
	}
	s->health_ms = b->loop.now_ms + SERVER_HEALTH_EVERY_MS;
	due_at(b, s->health_ms);
}

static bool health_data(void *arg, struct cv_str piece)
{
	(void)arg;
	return piece.n < 65536; /* nobody reads it */
}

static void health_ask(struct broker *b, struct server *s)
{
	char base[SERVER_BASE_BYTES], url[SERVER_BASE_BYTES + 16];
	const struct cv_str root = server_base(b, s->ref.index, base);
	const struct fetch_plan plan = {
		.method = CV_STR("GET"),
		.url = { url,
			(size_t)snprintf(url, sizeof(url), "%.*s/healthz", CV_STR_ARG(root)) },
		.socket = s->its->socket,
		.timeout_ms = SERVER_HEALTH_MS,
		.data = health_data,
		.end = health_end,
		.arg = s,
	};
	struct cv_err err;

	if (fetch_start(b, &plan, &s->health, &err) != CV_OK)
		server_die(s, err.msg);
}

bool servers_are_ready(const struct broker *b)
{
	for (uint32_t i = 0; i < b->server_count; i++)
		if (b->servers[i].state != SERVER_READY)
			return false;
	return true;
}

void servers_due(struct broker *b)
{
	for (uint32_t i = 0; i < b->server_count; i++) {
		struct server *s = &b->servers[i];

		if (s->state != SERVER_HEALTH)
			continue;
		if (s->due_ms <= b->loop.now_ms)
			server_die(s, "did not answer /healthz in time");
		if (!s->health && s->health_ms <= b->loop.now_ms)
			health_ask(b, s);
		if (!s->health)
			due_at(b, s->health_ms);
		due_at(b, s->due_ms);
	}
}

/* ---- its end ---- */

static void ended(struct broker *b, struct server *s, const struct spawn_report *report)
{
	char why[128];

	(void)b;
	log_end(s);
	if (s->state == SERVER_STOPPING) {
		s->state = SERVER_GONE;
		spawn_close(&s->p);
		return;
	}
	if (s->is_full)
		snprintf(why, sizeof(why), "was ended: its directory is full (workdir_bytes)");
	else if (s->start_errno)
		snprintf(why, sizeof(why), "can't be started: %s", strerror(s->start_errno));
	else if (!report)
		snprintf(why, sizeof(why), "was lost");
	else if (WIFSIGNALED(report->value))
		snprintf(why, sizeof(why), "was ended by signal %d", WTERMSIG(report->value));
	else
		snprintf(why, sizeof(why), "ended by itself with exit code %d",
			WEXITSTATUS(report->value));
	server_die(s, why);
}

static void full_tell(struct broker *b, struct server *s, bool is_ended)
{
	const struct cv_tool_room *room = &s->its->room;

	s->is_full |= is_ended;
	audit_note(b, true, "server %.*s: its directory is full: %llu bytes in %llu files at most",
		CV_STR_ARG(s->its->name), (unsigned long long)room->bytes,
		(unsigned long long)room->files);
}

static void control_read(struct broker *b, struct server *s)
{
	struct spawn_report report;
	const ssize_t n = recv(s->p.control, &report, sizeof(report), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n == sizeof(report) && report.kind == SPAWN_REPORT_FAILED)
		s->start_errno = report.value ? report.value : EIO; /* its end is said too */
	else if (n == sizeof(report) && report.kind == SPAWN_REPORT_FULL)
		full_tell(b, s, report.value != 0);
	else
		ended(b, s, n == sizeof(report) ? &report : NULL);
}

void server_event(struct broker *b, struct cv_ref ref, int what)
{
	struct server *s = server_at(b, ref.index);

	if (!s || s->p.control < 0)
		return;
	if (what == WATCH_SERVER_OUT)
		pipe_read(s, &s->p.out);
	else if (what == WATCH_SERVER_ERR)
		pipe_read(s, &s->p.err);
	else
		control_read(b, s);
}

uint32_t servers_stop_ms(const struct broker *b)
{
	uint32_t ms = 0;

	for (size_t i = 0; i < b->catalog->server_count; i++)
		ms = CV_MAX(ms, b->catalog->servers[i].stop_ms);
	return ms;
}

/* All at once, each with its own deadline; until the last has ended. */
void servers_stop(struct broker *b)
{
	const int64_t start = cv_clock_ms();
	bool is_any = true;

	for (uint32_t i = 0; i < b->server_count; i++) {
		b->servers[i].state = SERVER_STOPPING;
		spawn_tell(&b->servers[i].p, SPAWN_TERM);
	}
	while (is_any && cv_clock_ms() - start < (int64_t)servers_stop_ms(b) + BROKER_GRACE_MS) {
		is_any = false;
		for (uint32_t i = 0; i < b->server_count; i++) {
			struct server *s = &b->servers[i];

			if (s->p.control < 0)
				continue;
			if (cv_clock_ms() - start >= s->its->stop_ms)
				spawn_tell(&s->p, SPAWN_KILL);
			pipe_read(s, &s->p.out); /* so that it is not held up by its log */
			pipe_read(s, &s->p.err);
			control_read(b, s);
			is_any |= s->p.control >= 0;
		}
		if (is_any)
			poll(NULL, 0, 5);
	}
}

/* ---- for requests to it ---- */

struct cv_str server_base(struct broker *b, uint32_t index, char ret[SERVER_BASE_BYTES])
{
	const struct server *s = server_at(b, index);
	const int n = !s || s->its->socket.n
			      ? snprintf(ret, SERVER_BASE_BYTES, "http://localhost")
			      : snprintf(ret, SERVER_BASE_BYTES, "http://127.0.0.1:%u", s->port);

	return (struct cv_str){ ret, (size_t)n };
}

struct cv_str server_socket(struct broker *b, uint32_t index)
{
	const struct server *s = server_at(b, index);

	return s ? s->its->socket : CV_STR("");
}

struct cv_str server_bearer(struct broker *b, uint32_t index, char ret[SERVER_BEARER_BYTES])
{
	const struct server *s = server_at(b, index);

	return (struct cv_str){ ret,
		(size_t)snprintf(ret, SERVER_BEARER_BYTES, "Bearer %s", s ? s->token : "") };
}

const struct keys *server_keys(struct broker *b, uint32_t index)
{
	const struct server *s = server_at(b, index);

	return s ? s->keys : NULL;
}

struct server *server_exposed(struct broker *b, uint32_t port)
{
	for (uint32_t i = 0; i < b->server_count; i++)
		if (b->servers[i].its->is_exposed && b->servers[i].its->port == port)
			return &b->servers[i];
	return NULL;
}
