/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pg.h - a real PostgreSQL for a unit test: in a directory of its own, on a socket there
 *
 * Started once per program.  As root it runs as `postgres`, since the server refuses to be root's.
 * Without fsync: what the server does with the disk is not what is tested.
 */
#pragma once
#include <glob.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct pg_server {
	char bin[256], dir[64], data[96], log[96], url[160];
	bool is_made, is_running;
};

/* Runs a program of the server's directory and waits.  True: it ended with 0. */
static inline bool pg_run(struct pg_server *s, const char *name, const char *const *argv)
{
	char path[320];
	int status;

	snprintf(path, sizeof(path), "%s/%s", s->bin, name);
	const pid_t pid = fork();
	if (pid == 0) {
		const struct passwd *pw = getpwnam("postgres");
		const int null = open("/dev/null", O_RDWR);

		if (geteuid() == 0 && pw)
			if (setgroups(0, NULL) || setgid(pw->pw_gid) || setuid(pw->pw_uid))
				_exit(126);
		dup2(null, 0);
		dup2(null, 1);
		dup2(null, 2);
		char *words[16] = { path }; /* initdb looks for its companions beside argv[0] */
		for (size_t i = 1; i < CV_ARRAY_LEN(words) - 1 && argv[i]; i++)
			words[i] = (char *)(uintptr_t)argv[i];
		if (chdir(s->dir) == 0)
			execv(path, words);
		_exit(127);
	}
	return waitpid(pid, &status, 0) == pid && status == 0;
}

static inline bool pg_server_up(struct pg_server *s)
{
	char options[256];

	snprintf(options, sizeof(options),
		"-c listen_addresses= -c unix_socket_directories=%s -c fsync=off "
		"-c max_connections=10 -c shared_buffers=16MB",
		s->dir);
	s->is_running = pg_run(s, "pg_ctl",
		(const char *const[]){ "pg_ctl", "-D", s->data, "-l", s->log, "-w", "-o", options,
			"start", NULL });
	return s->is_running;
}

static inline void pg_server_down(struct pg_server *s)
{
	if (s->is_running)
		(void)pg_run(s, "pg_ctl",
			(const char *const[]){
				"pg_ctl", "-D", s->data, "-m", "immediate", "stop", NULL });
	s->is_running = false;
}

static inline bool pg_server_start(struct pg_server *s)
{
	const struct passwd *pw = getpwnam("postgres");
	glob_t g;

	if (s->is_running)
		return true;
	if (!s->is_made) {
		if (glob("/usr/lib/postgresql/*/bin", 0, NULL, &g) != 0)
			return false;
		snprintf(s->bin, sizeof(s->bin), "%s", g.gl_pathv[g.gl_pathc - 1]);
		globfree(&g);
		snprintf(s->dir, sizeof(s->dir), "/tmp/cove-pg-XXXXXX");
		if (!mkdtemp(s->dir) ||
			(geteuid() == 0 && pw && chown(s->dir, pw->pw_uid, pw->pw_gid) < 0))
			return false;
		snprintf(s->data, sizeof(s->data), "%s/data", s->dir);
		snprintf(s->log, sizeof(s->log), "%s/log", s->dir);
		snprintf(s->url, sizeof(s->url), "host=%s user=postgres dbname=postgres", s->dir);
		s->is_made = pg_run(s, "initdb",
			(const char *const[]){ "initdb", "-D", s->data, "-U", "postgres",
				"--auth=trust", "-E", "UTF8", "--locale=C", "--no-sync", NULL });
		if (!s->is_made)
			return false;
	}
	return pg_server_up(s);
}

static inline void pg_server_sql(struct pg_server *s, const char *sql)
{
	PGconn *c = PQconnectdb(s->url);

	PQclear(PQexec(c, sql));
	PQfinish(c);
}

static inline void pg_server_stop(struct pg_server *s)
{
	pg_server_down(s);
	if (s->is_made) {
		const pid_t pid = fork();

		if (pid == 0) {
			execl("/bin/rm", "rm", "-rf", s->dir, NULL);
			_exit(127);
		}
		waitpid(pid, NULL, 0);
	}
}
