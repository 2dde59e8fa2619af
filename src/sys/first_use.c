/* SPDX-License-Identifier: Apache-2.0 */
/*
 * first_use.c - two small tables; see first_use.h
 *
 * Tables are searched from end to end: names come from inside a sandbox, which could make the
 * buckets of a hash table collide, and a look at all 4096 numbers takes microseconds.
 *
 * Times of files move in ticks of some milliseconds, so a file that was changed just now can be
 * changed again without its fingerprint telling.  Such a fingerprint is not remembered; the file
 * is hashed again at its next use.
 */
#include "sys/first_use.h"

#include "base/arena.h"
#include "base/sha256.h"
#include "sys/fd.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#define READ_BYTES     (128u << 10) /* fits the second-level cache; larger is not faster */
#define TIME_SETTLED_S 2            /* a file untouched for this long has a fingerprint to trust */

struct fingerprint {
	uint64_t dev, ino, size;
	int64_t mtime_s, ctime_s;
	uint32_t mtime_ns, ctime_ns;
};

struct hashed {
	struct fingerprint print;
	unsigned char digest[CV_SHA256_BYTES];
};

struct known_path {
	uint64_t key; /* of the text: most others are passed over without looking at it */
	struct cv_str text;
	unsigned char digest[CV_SHA256_BYTES];
};

struct cv_first_use {
	struct cv_arena text;
	struct cv_sha256
		fresh; /* initialised: asking the CPU is slow, so it is done once, if ever */
	struct hashed hashed[CV_FIRST_USE_HASHES_MAX];
	size_t hashed_count, hashed_next; /* next is the oldest once all are used */
	struct known_path path[CV_FIRST_USE_PATHS_MAX];
	size_t path_count;
	unsigned char read[READ_BYTES];
};

struct cv_first_use *cv_first_use_new(void)
{
	struct cv_first_use *u = calloc(1, sizeof(*u));

	if (!u)
		return NULL;
	cv_arena_init(&u->text, CV_FIRST_USE_TEXT_BYTES_MAX);
	cv_sha256_init(&u->fresh);
	return u;
}

void cv_first_use_free(struct cv_first_use *u)
{
	if (!u)
		return;
	cv_arena_fini(&u->text);
	free(u);
}

static struct fingerprint fingerprint_of(const struct stat *st)
{
	return (struct fingerprint){
		.dev = st->st_dev,
		.ino = st->st_ino,
		.size = (uint64_t)st->st_size,
		.mtime_s = st->st_mtim.tv_sec,
		.ctime_s = st->st_ctim.tv_sec,
		.mtime_ns = (uint32_t)st->st_mtim.tv_nsec,
		.ctime_ns = (uint32_t)st->st_ctim.tv_nsec,
	};
}

static bool fingerprint_eq(const struct fingerprint *a, const struct fingerprint *b)
{
	return a->ino == b->ino && a->ctime_ns == b->ctime_ns && a->ctime_s == b->ctime_s &&
	       a->mtime_ns == b->mtime_ns && a->mtime_s == b->mtime_s && a->size == b->size &&
	       a->dev == b->dev;
}

/* The digest of n bytes of fd.  CV_INVALID when there are fewer. */
static cv_code hash(struct cv_first_use *u, int fd, uint64_t n, unsigned char ret[CV_SHA256_BYTES],
	struct cv_err *err)
{
	if (!u->fresh.is_asked)
		cv_sha256_ask(&u->fresh);
	struct cv_sha256 s = u->fresh;
	uint64_t at = 0;

	while (at < n) {
		const ssize_t got =
			pread(fd, u->read, (size_t)CV_MIN(n - at, (uint64_t)READ_BYTES), (off_t)at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return cv_fail_errno(err, "read");
		if (got == 0)
			return cv_fail(err, CV_INVALID, "became shorter while it was read");
		cv_sha256_update(&s, u->read, (size_t)got);
		at += (uint64_t)got;
	}
	cv_sha256_final(&s, ret);
	return CV_OK;
}

static void remember_hash(struct cv_first_use *u, const struct fingerprint *print,
	const unsigned char digest[CV_SHA256_BYTES])
{
	struct timespec now;

	if (clock_gettime(CLOCK_REALTIME, &now) < 0 || now.tv_sec - print->ctime_s < TIME_SETTLED_S)
		return;
	struct hashed *h = &u->hashed[u->hashed_next];
	h->print = *print;
	memcpy(h->digest, digest, CV_SHA256_BYTES);
	u->hashed_next = (u->hashed_next + 1) % CV_FIRST_USE_HASHES_MAX;
	if (u->hashed_count < CV_FIRST_USE_HASHES_MAX)
		u->hashed_count++;
}

/* Opens and hashes; the fingerprint is that of what was opened. */
static cv_code digest_of_file(struct cv_first_use *u, int dir, const char *name,
	unsigned char ret[CV_SHA256_BYTES], struct cv_err *err)
{
	CV_AUTO_FD int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat before, after;

	if (fd < 0)
		return cv_fail_errno(err, "open");
	if (fstat(fd, &before) < 0)
		return cv_fail_errno(err, "fstat");
	if (!S_ISREG(before.st_mode))
		return cv_fail(err, CV_INVALID, "not a regular file");
	if (before.st_size > (off_t)CV_FIRST_USE_FILE_BYTES_MAX)
		return cv_fail(
			err, CV_LIMIT, "larger than %u MiB", CV_FIRST_USE_FILE_BYTES_MAX >> 20);
	const cv_code code = hash(u, fd, (uint64_t)before.st_size, ret, err);
	if (code != CV_OK)
		return code;
	if (fstat(fd, &after) < 0)
		return cv_fail_errno(err, "fstat");
	const struct fingerprint a = fingerprint_of(&before), b = fingerprint_of(&after);
	if (!fingerprint_eq(&a, &b))
		return cv_fail(err, CV_INVALID, "changed while it was read");
	remember_hash(u, &a, ret);
	return CV_OK;
}

static cv_code digest_of(struct cv_first_use *u, int dir, const char *name,
	unsigned char ret[CV_SHA256_BYTES], struct cv_err *err)
{
	struct stat st;

	if (fstatat(dir, name, &st, 0) < 0)
		return cv_fail_errno(err, "stat");
	const struct fingerprint print = fingerprint_of(&st);
	for (size_t i = 0; i < u->hashed_count; i++)
		if (fingerprint_eq(&u->hashed[i].print, &print)) {
			memcpy(ret, u->hashed[i].digest, CV_SHA256_BYTES);
			return CV_OK;
		}
	return digest_of_file(u, dir, name, ret, err);
}

/* FNV-1a.  Collisions cost a comparison, nothing else. */
static uint64_t key_of(struct cv_str s)
{
	uint64_t key = 0xcbf29ce484222325u;

	for (size_t i = 0; i < s.n; i++)
		key = (key ^ (unsigned char)s.p[i]) * 0x100000001b3u;
	return key;
}

static cv_code remember_path(struct cv_first_use *u, struct cv_str path, uint64_t key,
	const unsigned char digest[CV_SHA256_BYTES], struct cv_err *err)
{
	struct known_path *p = &u->path[u->path_count];

	if (u->path_count == CV_FIRST_USE_PATHS_MAX)
		return cv_fail(err, CV_LIMIT, "more than %d executables", CV_FIRST_USE_PATHS_MAX);
	p->text = cv_arena_str(&u->text, path);
	if (!p->text.p)
		return cv_fail(err, CV_LIMIT, "executables' paths take more than %u KiB",
			CV_FIRST_USE_TEXT_BYTES_MAX >> 10);
	p->key = key;
	memcpy(p->digest, digest, CV_SHA256_BYTES);
	u->path_count++;
	return CV_OK;
}

cv_code cv_first_use_check(
	struct cv_first_use *u, struct cv_str path, int dir, const char *name, struct cv_err *err)
{
	unsigned char digest[CV_SHA256_BYTES];
	const uint64_t key = key_of(path);

	const cv_code code = digest_of(u, dir, name, digest, err);
	if (code != CV_OK)
		return code;
	for (size_t i = 0; i < u->path_count; i++) {
		const struct known_path *p = &u->path[i];

		if (p->key != key || !cv_str_eq(p->text, path))
			continue;
		if (memcmp(p->digest, digest, CV_SHA256_BYTES) == 0)
			return CV_OK;
		return cv_fail(err, CV_DENIED, "changed since its first use");
	}
	return remember_path(u, path, key, digest, err);
}
