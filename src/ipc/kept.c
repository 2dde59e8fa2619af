/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kept.c - see kept.h
 *
 * first and next count the bytes of the ring that were ever let go and ever written; their remainder is
 * the place.  One writer, any number of readers, no lock:
 *
 *     writer                                  reader
 *       first moves behind what it needs        looks at next, then copies
 *       (fence) writes there                    (fence) looks at first again:
 *       next moves                              a piece before it may be torn, and is not used
 *
 * A piece is never larger than a thirtieth of the ring, so pieces are let go one by one and the newest
 * stays.
 */
#include "ipc/kept.h"

#include "base/assert.h"
#include "base/attr.h"
#include "sys/fd.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010 /* Linux 5.1 */
#endif

#define MAGIC       0x31747065756f6376u /* and version */
#define PIECE_ALIGN 16u
#define TORN_TRIES  8 /* a writer that is always faster: the next turn */

struct cv_kept_head {
	uint64_t magic;
	_Atomic uint64_t first, next; /* of the ring */
	_Atomic uint64_t bytes;       /* printed in all */
	_Atomic uint32_t is_over;
	int32_t exit_code; /* these three before is_over */
	uint32_t reason;
	int64_t ended_ms;
	uint32_t about_n;
	char about[CV_KEPT_ABOUT_MAX];
};
_Static_assert(sizeof(struct cv_kept_head) <= CV_KEPT_HEAD_BYTES, "a page");

struct piece {
	uint64_t offset;
	uint32_t n, stream;
};
_Static_assert(sizeof(struct piece) == PIECE_ALIGN, "never cut by the end of the ring");
_Static_assert(CV_KEPT_RING_BYTES % PIECE_ALIGN == 0, "likewise");

static char *ring_of(const struct cv_kept *k)
{
	return (char *)k->head + CV_KEPT_HEAD_BYTES;
}

static uint64_t piece_bytes(uint32_t n)
{
	return sizeof(struct piece) + ((uint64_t)n + PIECE_ALIGN - 1) / PIECE_ALIGN * PIECE_ALIGN;
}

static void ring_write(const struct cv_kept *k, uint64_t place, struct cv_str s)
{
	const size_t at = place % CV_KEPT_RING_BYTES, before_end = CV_KEPT_RING_BYTES - at;
	const size_t n = CV_MIN(s.n, before_end);

	memcpy(ring_of(k) + at, s.p, n);
	if (n < s.n)
		memcpy(ring_of(k), s.p + n, s.n - n);
}

static void ring_read(const struct cv_kept *k, uint64_t place, char *to, size_t size)
{
	const size_t at = place % CV_KEPT_RING_BYTES, before_end = CV_KEPT_RING_BYTES - at;
	const size_t n = CV_MIN(size, before_end);

	memcpy(to, ring_of(k) + at, n);
	if (n < size)
		memcpy(to + n, ring_of(k), size - n);
}

/* ---- mappings ---- */

cv_code cv_kept_create(struct cv_str about, struct cv_kept *ret, int *ret_fd, struct cv_err *err)
{
	CV_AUTO_FD int fd = memfd_create("cove-kept", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (about.n > CV_KEPT_ABOUT_MAX)
		return cv_fail(err, CV_LIMIT, "what is said about a command is too long");
	if (fd < 0 || ftruncate(fd, CV_KEPT_BYTES) < 0)
		return cv_fail_errno(err, "memory for output");
	struct cv_kept_head *h =
		mmap(NULL, CV_KEPT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (h == MAP_FAILED)
		return cv_fail_errno(err, "map memory for output");
	if (fcntl(fd, F_ADD_SEALS,
		    F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE) < 0) {
		const cv_code code = cv_fail_errno(err, "seal memory for output");
		munmap(h, CV_KEPT_BYTES);
		return code;
	}
	h->magic = MAGIC;
	h->about_n = (uint32_t)about.n;
	if (about.n)
		memcpy(h->about, about.p, about.n);
	ret->head = h;
	*ret_fd = cv_take_fd(fd);
	return CV_OK;
}

cv_code cv_kept_open(int fd, struct cv_kept *ret, struct cv_err *err)
{
	const int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	/* What could become shorter would kill its reader. */
	if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(fd, &st) < 0 ||
		st.st_size != CV_KEPT_BYTES)
		return cv_fail(err, CV_INVALID, "not the kept output of a command");
	struct cv_kept_head *h = mmap(NULL, CV_KEPT_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	if (h == MAP_FAILED)
		return cv_fail_errno(err, "map kept output");
	if (h->magic != MAGIC) {
		munmap(h, CV_KEPT_BYTES);
		return cv_fail(err, CV_INVALID, "the kept output of a command of another version");
	}
	ret->head = h;
	return CV_OK;
}

void cv_kept_close(struct cv_kept *k)
{
	if (k->head)
		munmap(k->head, CV_KEPT_BYTES);
	k->head = NULL;
}

/* ---- writing ---- */

static void room_make(struct cv_kept *k, uint64_t next, uint64_t need)
{
	uint64_t first = atomic_load_explicit(&k->head->first, memory_order_relaxed);
	struct piece p;

	while (next + need - first > CV_KEPT_RING_BYTES) {
		ring_read(k, first, (char *)&p, sizeof(p));
		first += piece_bytes(p.n);
	}
	atomic_store_explicit(&k->head->first, first, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
}

static void piece_put(struct cv_kept *k, enum cv_kept_stream stream, struct cv_str s)
{
	const uint64_t next = atomic_load_explicit(&k->head->next, memory_order_relaxed);
	const struct piece p = {
		.offset = atomic_load_explicit(&k->head->bytes, memory_order_relaxed),
		.n = (uint32_t)s.n,
		.stream = stream,
	};
	const uint64_t need = piece_bytes(p.n);

	room_make(k, next, need);
	ring_write(k, next, (struct cv_str){ (const char *)&p, sizeof(p) });
	ring_write(k, next + sizeof(p), s);
	atomic_store_explicit(&k->head->bytes, p.offset + s.n, memory_order_relaxed);
	atomic_store_explicit(&k->head->next, next + need, memory_order_release);
}

void cv_kept_put(struct cv_kept *k, enum cv_kept_stream stream, struct cv_str bytes)
{
	while (bytes.n) {
		const size_t n = CV_MIN(bytes.n, (size_t)CV_KEPT_PIECE_MAX);

		piece_put(k, stream, cv_str_slice(bytes, 0, n));
		bytes = cv_str_slice(bytes, n, bytes.n);
	}
}

uint64_t cv_kept_place(const struct cv_kept *k)
{
	return atomic_load_explicit(&k->head->next, memory_order_relaxed);
}

void cv_kept_end(struct cv_kept *k, int exit_code, enum cv_kept_reason reason, int64_t unix_ms)
{
	cv_assert(!atomic_load(&k->head->is_over));
	k->head->exit_code = exit_code;
	k->head->reason = reason;
	k->head->ended_ms = unix_ms;
	atomic_store_explicit(&k->head->is_over, 1, memory_order_release);
}

/* ---- reading ---- */

bool cv_kept_is_over(const struct cv_kept *k, struct cv_kept_end *ret)
{
	if (!atomic_load_explicit(&k->head->is_over, memory_order_acquire))
		return false;
	if (ret) {
		const uint32_t reason = k->head->reason;

		ret->exit_code = k->head->exit_code;
		ret->reason =
			reason < CV_KEPT_REASON_COUNT ? (enum cv_kept_reason)reason : CV_KEPT_LOST;
		ret->unix_ms = k->head->ended_ms;
	}
	return true;
}

uint64_t cv_kept_bytes(const struct cv_kept *k)
{
	return atomic_load_explicit(&k->head->bytes, memory_order_acquire);
}

struct cv_str cv_kept_about(const struct cv_kept *k)
{
	const uint32_t n = k->head->about_n;

	return (struct cv_str){ k->head->about, CV_MIN(n, (uint32_t)CV_KEPT_ABOUT_MAX) };
}

static uint64_t first_of(const struct cv_kept *k)
{
	return atomic_load_explicit(&k->head->first, memory_order_acquire);
}

/* After a copy: the writer has not come there. */
static bool is_whole(const struct cv_kept *k, uint64_t place)
{
	atomic_thread_fence(memory_order_acquire);
	return atomic_load_explicit(&k->head->first, memory_order_relaxed) <= place;
}

enum look { LOOK_PIECE, LOOK_NONE, LOOK_BAD, LOOK_TORN };

/* The piece at place, or the oldest if that is later. */
static enum look piece_look(const struct cv_kept *k, uint64_t *place, struct piece *ret)
{
	const uint64_t first = first_of(k);
	const uint64_t next = atomic_load_explicit(&k->head->next, memory_order_acquire);

	*place = CV_MAX(*place, first);
	if (next < *place || next - *place > CV_KEPT_RING_BYTES || *place % PIECE_ALIGN)
		return first_of(k) > *place ? LOOK_TORN : LOOK_BAD;
	if (next == *place)
		return LOOK_NONE;
	ring_read(k, *place, (char *)ret, sizeof(*ret));
	if (!is_whole(k, *place))
		return LOOK_TORN;
	if (!ret->n || ret->n > CV_KEPT_PIECE_MAX || ret->stream > CV_KEPT_STDERR ||
		piece_bytes(ret->n) > next - *place || ret->offset + ret->n < ret->offset)
		return LOOK_BAD;
	return LOOK_PIECE;
}

uint64_t cv_kept_first(const struct cv_kept *k)
{
	for (int i = 0; i < TORN_TRIES; i++) {
		uint64_t place = 0;
		struct piece p;
		const enum look l = piece_look(k, &place, &p);

		if (l == LOOK_PIECE)
			return p.offset;
		if (l != LOOK_TORN)
			break;
	}
	return cv_kept_bytes(k);
}

enum cv_kept_rc cv_kept_read(const struct cv_kept *k, struct cv_kept_reader *r, char *buf,
	size_t room, struct cv_kept_piece *ret)
{
	/* Each turn ends it, goes on by a piece, or finds it torn. */
	for (int torn = 0; torn < TORN_TRIES;) {
		struct piece p;
		const enum look l = piece_look(k, &r->place, &p);

		if (l == LOOK_NONE)
			return CV_KEPT_NONE;
		if (l == LOOK_BAD)
			return CV_KEPT_BAD;
		if (l == LOOK_TORN) {
			torn++;
			continue;
		}
		if (p.offset > r->offset) {
			*ret = (struct cv_kept_piece){ r->offset, p.offset - r->offset, 0 };
			r->offset = p.offset;
			return CV_KEPT_GAP;
		}
		const uint64_t seen = r->offset - p.offset;
		if (seen >= p.n) {
			r->place += piece_bytes(p.n);
			continue;
		}
		const size_t n = CV_MIN(room, (size_t)(p.n - seen));
		ring_read(k, r->place + sizeof(p) + seen, buf, n);
		if (!is_whole(k, r->place)) {
			torn++;
			continue;
		}
		*ret = (struct cv_kept_piece){ r->offset, n, (enum cv_kept_stream)p.stream };
		r->offset += n;
		if (seen + n == p.n)
			r->place += piece_bytes(p.n);
		return CV_KEPT_DATA;
	}
	return CV_KEPT_NONE;
}
