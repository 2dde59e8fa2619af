/* SPDX-License-Identifier: Apache-2.0 */
/*
 * top_draw.c - frames on a terminal, by ncurses; see top_draw.h
 *
 * Rows come cut to the width and free of everything that a terminal could take for a command.  Where
 * the locale has no UTF-8, what is not ASCII becomes "?".
 */
#define NCURSES_WIDECHAR 1
#define NCURSES_NOMACROS 1 /* they shadow words like erase and move */
#include "client/top_draw.h"

#include <curses.h>
#include <locale.h>
#include <stdlib.h>
#include <unistd.h>

#define ESCAPE_MS 25 /* a lone Esc, and not the first byte of an arrow key */

enum { PAIR_GOOD = 1, PAIR_BAD };

static SCREEN *screen;
static bool has_pairs, is_ascii;

void cl_top_screen_close(void)
{
	if (!screen)
		return;
	endwin();
	delscreen(screen);
	screen = NULL;
}

static void pairs_make(void)
{
	if (start_color() == ERR || !has_colors())
		return;
	use_default_colors();
	has_pairs = init_pair(PAIR_GOOD, COLOR_GREEN, -1) == OK &&
		    init_pair(PAIR_BAD, COLOR_RED, -1) == OK;
}

bool cl_top_screen_open(bool has_colour)
{
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return false;
	setlocale(LC_CTYPE, "");
	is_ascii = MB_CUR_MAX == 1;
	screen = newterm(NULL, stdout, stdin);
	if (!screen)
		return false;
	atexit(cl_top_screen_close);
	set_term(screen);
	cbreak();
	noecho();
	nonl();
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	set_escdelay(ESCAPE_MS);
	curs_set(0);
	if (has_colour)
		pairs_make();
	return true;
}

void cl_top_screen_size(size_t *ret_width, size_t *ret_height)
{
	const int w = getmaxx(stdscr), h = getmaxy(stdscr);

	*ret_width = w > 0 ? (size_t)w : 0;
	*ret_height = h > 0 ? (size_t)h : 0;
}

static attr_t attribute(const struct cl_top_row *r)
{
	static const attr_t styles[CL_TOP_STYLE_COUNT] = {
		[CL_TOP_TITLE] = A_BOLD,
		[CL_TOP_FAINT] = A_DIM,
	};
	attr_t a = styles[r->style];

	if (has_pairs && r->style == CL_TOP_GOOD)
		a |= COLOR_PAIR(PAIR_GOOD);
	if (has_pairs && r->style == CL_TOP_BAD)
		a |= COLOR_PAIR(PAIR_BAD);
	return r->is_selected ? a | A_REVERSE : a;
}

static void text_add(struct cv_str s)
{
	if (!is_ascii) {
		addnstr(s.p, (int)s.n);
		return;
	}
	for (size_t i = 0; i < s.n; i++)
		if (((unsigned char)s.p[i] & 0xc0) != 0x80) /* a character's first byte */
			addch((unsigned char)s.p[i] < 0x80 ? (chtype)s.p[i] : '?');
}

void cl_top_screen_show(const struct cl_top_frame *f)
{
	erase();
	for (size_t i = 0; i < f->count; i++) {
		const struct cl_top_row *r = &f->row[i];

		move((int)i, 0);
		attrset((int)attribute(r));
		text_add(cv_str_slice(cv_buf_str(&f->text), r->at, r->at + r->n));
	}
	attrset(A_NORMAL);
	refresh();
}

int cl_top_screen_key(void)
{
	static const struct {
		int curses, key;
	} keys[] = {
		{ KEY_UP, CL_TOP_KEY_UP },
		{ KEY_DOWN, CL_TOP_KEY_DOWN },
		{ KEY_PPAGE, CL_TOP_KEY_PAGE_UP },
		{ KEY_NPAGE, CL_TOP_KEY_PAGE_DOWN },
		{ KEY_HOME, CL_TOP_KEY_HOME },
		{ KEY_END, CL_TOP_KEY_END },
		{ KEY_ENTER, CL_TOP_KEY_ENTER },
		{ '\r', CL_TOP_KEY_ENTER },
		{ '\n', CL_TOP_KEY_ENTER },
		{ 27, CL_TOP_KEY_ESCAPE },
		{ '\t', CL_TOP_KEY_TAB },
		{ KEY_BACKSPACE, CL_TOP_KEY_BACKSPACE },
		{ 0x7f, CL_TOP_KEY_BACKSPACE },
		{ '\b', CL_TOP_KEY_BACKSPACE },
		{ KEY_RESIZE, CL_TOP_SCREEN_RESIZED },
	};
	const int c = getch();

	for (size_t i = 0; i < CV_ARRAY_LEN(keys); i++)
		if (keys[i].curses == c)
			return keys[i].key;
	return c == ERR ? -1 : c < 256 ? c : 0;
}
