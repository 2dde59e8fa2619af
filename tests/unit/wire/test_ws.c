/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_ws.c - frames: RFC 6455's rules as rows, each fed whole and byte by byte
 *
 * A row is what a sender writes (masked with zeros where it is a client's, so that its payload can
 * be read here) and what the parser must make of it: a letter for each event, with the text that
 * came out, or the reason of the refusal.
 */
#include "unit/test.h"

#include "base/buf.h"
#include "wire/ws.c"

#define M "\0\0\0\0" /* a mask that changes nothing */

struct row {
	const char *name;
	bool is_server, may_compress;
	struct cv_str bytes;
	const char *want; /* "t[...]": text; "b": binary; "9", "10", "8": control; "!slug" */
};

/* clang-format off */
#define C(name, bytes, want) { name, false, false, { bytes, sizeof(bytes) - 1 }, want }
#define S(name, bytes, want) { name, true, false, { bytes, sizeof(bytes) - 1 }, want }
#define Z(name, bytes, want) { name, true, true, { bytes, sizeof(bytes) - 1 }, want }
static const struct row rows[] = {
	/* RFC 6455 5.7 */
	S("a text", "\x81\x05Hello", "t[Hello]."),
	C("a masked text", "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", "t[Hello]."),
	S("a fragmented text", "\x01\x03Hel\x80\x02lo", "t[Hello]."),
	S("a ping", "\x89\x05Hello", "9[Hello]"),
	C("a masked pong", "\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", "10[Hello]"),
	/* 1: lengths */
	S("an empty text", "\x81\x00", "t[]."),
	S("an empty binary", "\x82\x00", "b[]."),
	S("an empty first fragment", "\x01\x00\x80\x02hi", "t[hi]."),
	S("three empty fragments", "\x01\x00\x00\x00\x80\x00", "t[]."),
	S("an empty last fragment", "\x01\x02hi\x80\x00", "t[hi]."),
	S("125 in 16 bits", "\x81\x7e\x00\x7d", "!ws_length"),
	S("0 in 16 bits", "\x81\x7e\x00\x00", "!ws_length"),
	S("65535 in 64 bits", "\x81\x7f\x00\x00\x00\x00\x00\x00\xff\xff", "!ws_length"),
	S("a negative length", "\x81\x7f\x80\x00\x00\x00\x00\x00\x00\x00", "!ws_length"),
	/* 2: pings, pongs */
	S("an empty ping", "\x89\x00", "9[]"),
	S("a ping of 126", "\x89\x7e\x00\x7e", "!ws_control_too_long"),
	S("a ping of 64 bits", "\x89\x7f", "!ws_control_too_long"),
	S("a pong nobody asked for", "\x8a\x01x", "10[x]"),
	S("ten pings", "\x89\x01" "0" "\x89\x01" "1" "\x89\x01" "2" "\x81\x01" "x", "9[0]9[1]9[2]t[x]."),
	/* 3: reserved bits */
	S("RSV1", "\xc1\x00", "!ws_reserved_bit"),
	S("RSV2", "\xa1\x00", "!ws_reserved_bit"),
	S("RSV3", "\x91\x00", "!ws_reserved_bit"),
	S("RSV1 on a ping", "\xc9\x00", "!ws_reserved_bit"),
	Z("RSV1 when agreed", "\xc1\x01z", "tz[z]."),
	Z("RSV1 on a continuation", "\x41\x01z\xc0\x01z", "tz[z!ws_reserved_bit"),
	Z("RSV1 on a ping when agreed", "\xc9\x00", "!ws_reserved_bit"),
	Z("RSV2 when agreed", "\xe1\x00", "!ws_reserved_bit"),
	Z("a compressed message in two", "\x41\x01y\x80\x01z", "tz[yz]."),
	/* 4: opcodes */
	S("opcode 3", "\x83\x00", "!ws_opcode"), S("opcode 7", "\x87\x00", "!ws_opcode"),
	S("opcode 11", "\x8b\x00", "!ws_opcode"), S("opcode 15", "\x8f\x00", "!ws_opcode"),
	/* 5: fragmentation */
	S("a fragmented ping", "\x09\x01x", "!ws_control_fragmented"),
	S("a fragmented close", "\x08\x00", "!ws_control_fragmented"),
	S("a ping within a message", "\x01\x02he\x89\x01p\x80\x03llo", "t[he]9[p][llo]."),
	S("a text within a text", "\x01\x01x\x81\x01y", "t[x!ws_in_message"),
	S("a binary within a text", "\x01\x01x\x02\x01y", "t[x!ws_in_message"),
	S("a continuation of nothing", "\x80\x01x", "!ws_no_message"),
	S("a continuation behind an end", "\x81\x01x\x00\x01y", "t[x].!ws_no_message"),
	S("a close within a message", "\x01\x01x\x88\x00", "t[x]8[]"),
	/* 7: closing */
	S("an empty close", "\x88\x00", "8[]"),
	S("a close with a code", "\x88\x02\x03\xe8", "8[\x03\xe8]"),
	S("a close and a reason", "\x88\x04\x03\xe8ok", "8[\x03\xe8ok]"),
	S("half a code", "\x88\x01\x03", "!ws_close_code"),
	S("code 0", "\x88\x02\x00\x00", "!ws_close_code"),
	S("code 999", "\x88\x02\x03\xe7", "!ws_close_code"),
	S("code 1004", "\x88\x02\x03\xec", "!ws_close_code"),
	S("code 1005", "\x88\x02\x03\xed", "!ws_close_code"),
	S("code 1006", "\x88\x02\x03\xee", "!ws_close_code"),
	S("code 1015", "\x88\x02\x03\xf7", "!ws_close_code"),
	S("code 1016", "\x88\x02\x03\xf8", "!ws_close_code"),
	S("code 2999", "\x88\x02\x0b\xb7", "!ws_close_code"),
	S("code 3000", "\x88\x02\x0b\xb8", "8[\x0b\xb8]"),
	S("code 4999", "\x88\x02\x13\x87", "8[\x13\x87]"),
	S("code 5000", "\x88\x02\x13\x88", "!ws_close_code"),
	S("a reason not UTF-8", "\x88\x03\x03\xe8\xff", "!ws_close_text"),
	S("a text behind a close", "\x88\x00\x81\x01x", "8[]"),
	S("anything behind a close", "\x88\x00\xff\xff\xff", "8[]"),
	/* masks */
	C("t18 a client's frame without a mask", "\x81\x05Hello", "!ws_unmasked"),
	C("t18 a client's ping without a mask", "\x89\x00", "!ws_unmasked"),
	S("a server's frame with a mask", "\x81\x85" M "Hello", "!ws_masked"),
	C("t18 a client's RSV1", "\xc1\x80" M, "!ws_reserved_bit"),
	/* sizes: text 40 bytes, binary frame 30, 4 fragments */
	C("a text of 41", "\x81\xa9" M, "!ws_too_large"),
	C("a text of 40 and one more", "\x01\xa8" M "0123456789012345678901234567890123456789\x80\x81" M "x",
		"t[0123456789012345678901234567890123456789!ws_too_large"),
	C("a binary frame of 31", "\x82\x9f" M, "!ws_too_large"),
	C("two binary frames of 20", "\x02\x94" M "01234567890123456789\x80\x94" M "01234567890123456789",
		"b[0123456789012345678901234567890123456789]."),
	C("five fragments", "\x01\x80" M "\x00\x80" M "\x00\x80" M "\x00\x80" M "\x80\x80" M, "!ws_fragments"),
	C("four fragments", "\x01\x80" M "\x00\x80" M "\x00\x80" M "\x80\x81" M "x", "t[x]."),
};
/* clang-format on */

/* Events as text.  A message is t[ or b[, then its bytes, then ]. at its end. */
static void play(const struct row *row, size_t step, size_t room_n, struct cv_buf *out)
{
	const struct cv_ws_rules rules = {
		.is_client = !row->is_server,
		.may_compress = row->may_compress,
		.text_bytes_max = row->is_server ? 0 : 40,
		.binary_frame_max = row->is_server ? 0 : 30,
		.fragments_max = row->is_server ? 0 : 4,
	};
	static struct cv_ws w;
	struct cv_ws_piece piece;
	bool is_open = false;
	char room[64];

	cv_ws_init(&w, &rules);
	for (size_t at = 0; at < row->bytes.n; at += step) {
		struct cv_str in = cv_str_slice(row->bytes, at, at + step);
		enum cv_ws_event ev;

		while ((ev = cv_ws_next(&w, &in, room, room_n, &piece)) != CV_WS_MORE) {
			if (ev == CV_WS_BAD) {
				cv_buf_printf(out, "!%s", cv_ws_rc_row(w.rc)->slug);
				assert_int_equal(
					cv_ws_next(&w, &in, room, room_n, &piece), CV_WS_BAD);
				return;
			}
			if (ev == CV_WS_FRAME) {
				cv_buf_printf(out, "%s%d[", is_open ? "]" : "", piece.opcode);
				cv_buf_put(out, piece.data);
				cv_buf_put(out, is_open ? CV_STR("][") : CV_STR("]"));
				continue;
			}
			assert_int_equal(piece.is_first, !is_open);
			if (piece.is_first)
				cv_buf_printf(out, "%c%s[", piece.opcode == CV_WS_TEXT ? 't' : 'b',
					piece.is_compressed ? "z" : "");
			is_open = !piece.is_last;
			cv_buf_put(out, piece.data);
			if (piece.is_last)
				cv_buf_put(out, CV_STR("]."));
		}
		assert_int_equal(in.n, 0);
	}
}

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++)
		for (size_t step = 1; step < 70; step += step < 4 ? 1 : 63) {
			struct cv_buf out;

			cv_buf_init(&out, 4096);
			play(&rows[i], step, step == 2 ? 1 : 64, &out);
			struct cv_str got = cv_buf_str(&out), want = cv_str_of(rows[i].want);
			/* a close within a message leaves that open */
			if (cv_str_has_suffix(got, CV_STR("][")))
				got = cv_str_slice(got, 0, got.n - 1);
			if (!cv_str_eq(got, want))
				fail_msg("%s, %zu at a time: got \"%.*s\", want \"%s\"",
					rows[i].name, step, CV_STR_ARG(got), rows[i].want);
			cv_buf_fini(&out);
		}
}

/* What is refused is refused as soon as it shows. */
static void test_refused_early(void **state)
{
	const struct cv_ws_rules rules = { .is_client = true, .text_bytes_max = 1000 };
	struct cv_str head = CV_STR("\x81\xfe\xff\xff" M), two = CV_STR("\x81\x05");
	struct cv_ws_piece piece;
	struct cv_ws w;
	char room[16];

	(void)state;
	cv_ws_init(&w, &rules);
	assert_int_equal(cv_ws_next(&w, &head, room, sizeof(room), &piece), CV_WS_BAD);
	assert_int_equal(cv_ws_rc_row(w.rc)->code, 1009);
	cv_ws_init(&w, &rules);
	assert_int_equal(cv_ws_next(&w, &two, room, sizeof(room), &piece), CV_WS_BAD);
	assert_int_equal(cv_ws_rc_row(w.rc)->code, 1002);
}

static void test_pieces(void **state)
{
	const struct cv_ws_rules rules = { .piece_bytes_min = 8 };
	struct cv_str in = CV_STR("\x82\x0a"
				  "0123456"),
		      rest = CV_STR("01234567"), last;
	struct cv_ws_piece piece;
	struct cv_ws w;
	char room[16];

	(void)state;
	cv_ws_init(&w, &rules);
	assert_int_equal(cv_ws_next(&w, &in, room, sizeof(room), &piece), CV_WS_MORE);
	assert_int_equal(in.n, 7); /* left for later: fewer than a piece */
	assert_int_equal(cv_ws_next(&w, &rest, room, sizeof(room), &piece), CV_WS_DATA);
	assert_int_equal(piece.data.n, 8);
	assert_false(piece.is_last);
	last = CV_STR("89");
	assert_int_equal(cv_ws_next(&w, &last, room, sizeof(room), &piece), CV_WS_DATA);
	assert_true(piece.is_last && !piece.is_first);
	assert_str(piece.data, "89");
}

static void test_written_is_read(void **state)
{
	static const uint64_t sizes[] = { 0, 1, 7, 125, 126, 127, 65535, 65536, 70000 };
	static char wire[CV_WS_HEAD_BYTES_MAX + 70000], room[70000];
	const uint8_t mask[4] = { 1, 2, 3, 0xfe };

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(sizes); i++)
		for (int is_client = 0; is_client < 2; is_client++) {
			const struct cv_ws_rules rules = { .is_client = is_client };
			const size_t n = (size_t)sizes[i];
			const size_t head = cv_ws_head_write(
				wire, CV_WS_BINARY, true, n, is_client ? mask : NULL);
			struct cv_str in = { wire, head + n };
			struct cv_ws_piece piece;
			struct cv_ws w;

			for (size_t k = 0; k < n; k++)
				wire[head + k] = (char)k;
			if (is_client) { /* in two parts, that need not begin at a word */
				cv_ws_mask(wire + head, n / 3, mask, 0);
				cv_ws_mask(wire + head + n / 3, n - n / 3, mask, n / 3);
			}
			cv_ws_init(&w, &rules);
			assert_int_equal(
				cv_ws_next(&w, &in, room, sizeof(room), &piece), CV_WS_DATA);
			assert_int_equal(piece.data.n, n);
			assert_true(piece.is_first && piece.is_last);
			for (size_t k = 0; k < n; k++)
				assert_int_equal(room[k], (char)k);
		}
}

static void test_close_text(void **state)
{
	char dst[CV_WS_CONTROL_BYTES_MAX], text[200];
	struct cv_str reason;
	uint16_t code;

	(void)state;
	for (size_t i = 0; i < sizeof(text); i += 2)
		memcpy(text + i, "\xc3\xa4", 2);
	const size_t n = cv_ws_close_write(dst, 1008, (struct cv_str){ text, sizeof(text) });
	assert_int_equal(n, 124); /* 61 characters of two bytes, none of them cut */
	assert_int_equal(cv_ws_close_read((struct cv_str){ dst, n }, &code, &reason), CV_WS_RC_OK);
	assert_int_equal(code, 1008);
	assert_int_equal(reason.n, 122);
	assert_int_equal(cv_ws_close_read(CV_STR_NONE, &code, &reason), CV_WS_RC_OK);
	assert_int_equal(code, 1005);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_refused_early),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_written_is_read),
		cmocka_unit_test(test_close_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
