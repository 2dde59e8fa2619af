/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolvconf.c - resolv.conf(5) and hosts(5); see resolvconf.h
 */
#include "wire/resolvconf.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

/* The next word of *line, or CV_STR_NONE at its end. */
static struct cv_str take_word(struct cv_str *line)
{
	size_t from = 0, to;

	while (from < line->n && is_blank(line->p[from]))
		from++;
	for (to = from; to < line->n && !is_blank(line->p[to]);)
		to++;
	const struct cv_str word = cv_str_slice(*line, from, to);
	*line = cv_str_slice(*line, to, line->n);
	return word.n ? word : CV_STR_NONE;
}

void cv_resolvconf_parse(struct cv_str text, struct cv_resolvconf *ret_conf)
{
	struct cv_str rest = text;

	*ret_conf = (struct cv_resolvconf){ 0 };
	while (rest.p) {
		struct cv_str line = cv_str_cut(&rest, '\n');

		/* comments start with # or ; in the first column, so they are no keyword */
		if (!cv_str_eq(take_word(&line), CV_STR("nameserver")))
			continue;
		if (ret_conf->server_count == CV_RESOLVCONF_SERVERS_MAX ||
			!cv_ip_parse(take_word(&line), &ret_conf->server[ret_conf->server_count]))
			ret_conf->ignored_count++;
		else
			ret_conf->server_count++;
	}
}

static bool has_word(struct cv_str line, struct cv_str name)
{
	for (struct cv_str word; (word = take_word(&line)).n;)
		if (cv_str_eq_nocase(word, name))
			return true;
	return false;
}

size_t cv_hosts_lookup(struct cv_str text, struct cv_str name, struct cv_ip *ret_ip, size_t max)
{
	struct cv_str rest = text;
	size_t count = 0;

	while (rest.p && count < max) {
		struct cv_str line = cv_str_cut(&rest, '\n');
		struct cv_ip ip;

		line = cv_str_slice(line, 0, cv_str_find_byte(line, '#'));
		if (cv_ip_parse(take_word(&line), &ip) && has_word(line, name))
			ret_ip[count++] = ip;
	}
	return count;
}
