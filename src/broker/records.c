/* SPDX-License-Identifier: Apache-2.0 */
/*
 * records.c - what the store has of jobs: a record of each, and its result and log once it has ended
 *
 * Keys begin with the sandbox's name, so a broker that comes later finds what is whose.  What can't be
 * written stays in memory, and is said in the audit.  The file is made with the first record: of most
 * sandboxes no job is ever known by its id.
 */
#include "broker/broker.h"

#include "wire/json.h"

#include <stdio.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STORE_NAME  "broker.db"
#define KIND_JOB    CV_STR("job")
#define KIND_RESULT CV_STR("result")
#define KIND_LOG    CV_STR("log")

/* ---- the file ---- */

static cv_code store_open(struct broker *b, struct cv_err *err)
{
	char path[PATH_MAX + 16];

	snprintf(path, sizeof(path), "%s/" STORE_NAME, b->state_path);
	return cv_store_open_scratch(path, &b->store, err);
}

cv_code records_find(struct broker *b, struct cv_err *err)
{
	return faccessat(b->state_dir, STORE_NAME, F_OK, AT_SYMLINK_NOFOLLOW) == 0
		       ? store_open(b, err)
		       : CV_OK;
}

static cv_code store_put(struct broker *b, struct cv_str kind, struct cv_str key,
	struct cv_str value, uint64_t expected, uint64_t *ret_version, struct cv_err *err)
{
	const cv_code code = b->store ? CV_OK : store_open(b, err);

	return code == CV_OK ? cv_store_put(b->store, kind, key, value, expected, ret_version, err)
			     : code;
}

/* ---- one job ---- */

static struct cv_str store_key(const struct broker *b, const struct job *j, char *text, size_t size)
{
	const int n = snprintf(text, size, "%s/%s", job_box(b, j)->name, j->id);

	return (struct cv_str){ text, (size_t)n };
}

#define STORE_KEY_BYTES (CV_BROKER_NAME_MAX + JOB_ID_CHARS + 2)

void record_save(struct broker *b, struct job *j)
{
	char key[STORE_KEY_BYTES];
	struct cv_buf text;
	struct cv_err err;

	cv_buf_init(&text, 65536);
	cv_buf_printf(&text, "{\"state\":\"%s\"", job_state_word(j->state));
	put_member_str(&text, "tool", cv_str_of(j->tool_name));
	put_member_str(&text, "digest", cv_str_of(j->digest));
	put_member_str(&text, "error", cv_str_of(j->error));
	put_member_str(&text, "key", cv_str_of(j->key));
	cv_buf_printf(&text,
		",\"has_key\":%d,\"created\":%lld,\"started\":%lld,\"ended\":%lld,\"status\":%d"
		",\"result_bytes\":%llu,\"log_base\":%llu,\"log_end\":%llu}",
		j->key != NULL, (long long)j->created_ms, (long long)j->started_ms,
		(long long)j->ended_ms, j->status, (unsigned long long)j->result_bytes,
		(unsigned long long)j->log_base, (unsigned long long)j->log_end);
	/* Nobody else writes this record: a version that is not ours is a second broker's. */
	if (text.is_overflown || store_put(b, KIND_JOB, store_key(b, j, key, sizeof(key)),
					 cv_buf_str(&text), j->version, &j->version, &err) != CV_OK)
		audit_note(b, true, "job %s can't be recorded: %s", j->id,
			text.is_overflown ? "too large" : err.msg);
	cv_buf_fini(&text);
}

static bool bytes_save(
	struct broker *b, const struct job *j, struct cv_str kind, const struct cv_buf *bytes)
{
	char key[STORE_KEY_BYTES];
	struct cv_err err;

	if (store_put(b, kind, store_key(b, j, key, sizeof(key)), cv_buf_str(bytes), CV_STORE_ANY,
		    NULL, &err) == CV_OK)
		return true;
	audit_note(
		b, true, "the %.*s of job %s can't be kept: %s", CV_STR_ARG(kind), j->id, err.msg);
	return false; /* it stays in memory */
}

bool record_result_save(struct broker *b, const struct job *j)
{
	return bytes_save(b, j, KIND_RESULT, &j->result);
}

bool record_log_save(struct broker *b, const struct job *j)
{
	return bytes_save(b, j, KIND_LOG, &j->log);
}

void record_forget(struct broker *b, const struct job *j)
{
	const struct cv_str kind[] = { KIND_JOB, KIND_RESULT, KIND_LOG };
	char key[STORE_KEY_BYTES];

	for (size_t i = 0; b->store && i < CV_ARRAY_LEN(kind); i++)
		(void)!cv_store_delete(
			b->store, kind[i], store_key(b, j, key, sizeof(key)), CV_STORE_ANY, NULL);
}

void job_result_get(struct broker *b, struct job *j, struct cv_buf *ret)
{
	char key[STORE_KEY_BYTES];

	if (cv_buf_len(&j->result) || !j->result_bytes)
		cv_buf_put(ret, cv_buf_str(&j->result));
	else if (b->store)
		(void)!cv_store_get(
			b->store, KIND_RESULT, store_key(b, j, key, sizeof(key)), ret, NULL, NULL);
}

void job_log_get(struct broker *b, struct job *j, uint64_t offset, size_t n, struct cv_buf *ret)
{
	char key[STORE_KEY_BYTES];
	const struct cv_str here = cv_buf_str(&j->log);

	if (offset < j->log_base || offset >= j->log_end)
		return;
	const uint64_t at = offset - j->log_base;
	if (here.n)
		cv_buf_put(ret, cv_str_slice(here, (size_t)at, CV_MIN((size_t)at + n, here.n)));
	else if (b->store)
		(void)!cv_store_read(
			b->store, KIND_LOG, store_key(b, j, key, sizeof(key)), at, n, ret, NULL);
}

/* ---- jobs of an earlier broker ---- */

struct restore {
	struct broker *b;
	struct sandbox *box;
};

static bool text_get(const struct cv_json_value *v, char *ret, size_t size)
{
	struct cv_buf b;

	cv_buf_init(&b, size);
	const bool is_good = v->token.type == CV_JSON_STRING && cv_json_decode(&v->token, &b) &&
			     cv_str_to_cstr(cv_buf_str(&b), ret, size);
	cv_buf_fini(&b);
	return is_good;
}

static uint64_t number_get(const struct cv_json_value *v)
{
	uint64_t n = 0;

	return cv_json_to_u64(&v->token, &n) ? n : 0;
}

static bool restore_one(void *arg, const struct cv_record *r)
{
	struct restore *to = arg;
	enum {
		STATE,
		TOOL,
		DIGEST,
		ERROR,
		KEY,
		HAS_KEY,
		CREATED,
		STARTED,
		ENDED,
		STATUS,
		RESULT,
		LOG_BASE,
		LOG_END,
		FIELDS
	};
	struct cv_json_value v[FIELDS] = { { .path = "state" }, { .path = "tool" },
		{ .path = "digest" }, { .path = "error" }, { .path = "key" }, { .path = "has_key" },
		{ .path = "created" }, { .path = "started" }, { .path = "ended" },
		{ .path = "status" }, { .path = "result_bytes" }, { .path = "log_base" },
		{ .path = "log_end" } };
	char word[32], key[BROKER_KEY_BYTES_MAX + 1];
	const struct cv_str id = cv_str_slice(r->key, cv_str_rfind_byte(r->key, '/') + 1, r->key.n);
	struct job *j;

	if (cv_json_find(r->value, v, FIELDS) != CV_JSON_PROBLEM_NONE || id.n != JOB_ID_CHARS ||
		!text_get(&v[STATE], word, sizeof(word)) || !(j = job_new(to->b, to->box, NULL)))
		return true;
	memcpy(j->id, id.p, JOB_ID_CHARS);
	j->is_published = true;
	j->version = r->version;
	j->state = job_state_of(word);
	(void)!text_get(&v[TOOL], j->tool_name, sizeof(j->tool_name));
	(void)!text_get(&v[DIGEST], j->digest, sizeof(j->digest));
	(void)!text_get(&v[ERROR], j->error, sizeof(j->error));
	if (number_get(&v[HAS_KEY]) && text_get(&v[KEY], key, sizeof(key)))
		j->key = strdup(key);
	j->created_ms = (int64_t)number_get(&v[CREATED]);
	j->started_ms = (int64_t)number_get(&v[STARTED]);
	j->ended_ms = (int64_t)number_get(&v[ENDED]);
	j->status = (int)number_get(&v[STATUS]);
	j->result_bytes = number_get(&v[RESULT]);
	j->log_base = number_get(&v[LOG_BASE]);
	j->log_end = number_get(&v[LOG_END]);
	j->kept_bytes = j->result_bytes + (j->log_end - j->log_base);
	to->box->kept_bytes += j->kept_bytes;
	return true;
}

void jobs_restore(struct broker *b, struct sandbox *box)
{
	struct restore to = { b, box };
	char prefix[CV_BROKER_NAME_MAX + 2];
	struct cv_err err;

	if (!b->store)
		return;
	snprintf(prefix, sizeof(prefix), "%s/", box->name);
	if (cv_store_list(b->store, KIND_JOB, cv_str_of(prefix), restore_one, &to, &err) != CV_OK)
		audit_note(b, true, "jobs of %s can't be read: %s", box->name, err.msg);
	for (uint32_t i = 0; i < b->jobs.top; i++) {
		struct job *j = pool_at(&b->jobs, i);
		struct cv_buf body;

		if (!j || job_state_is_end(j->state) || j->tool ||
			pool_get(&b->sandboxes, j->sandbox) != box)
			continue;
		/* It ended with the broker that ran it. */
		j->state = JOB_RUNNING;
		job_count(b, j, JOB_RUNNING, true);
		j->log_base = j->log_end = 0;
		cv_buf_init(&body, 4096);
		error_begin(
			&body, "backend_failed", "the broker ended while the call was under way");
		error_end(&body);
		job_end(b, j, JOB_FAILED, 502, "backend_failed", &body);
	}
}
