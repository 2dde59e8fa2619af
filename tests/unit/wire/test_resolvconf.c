/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: name servers and hosts are found as libc finds them, with strict addresses only.
 * Method: files as distributions write them, and odd lines.
 */
#include "unit/test.h"

#include "wire/resolvconf.c"

static void servers(void **state)
{
	struct cv_resolvconf conf;
	char text[CV_IP_TEXT_BYTES];

	(void)state;
	cv_resolvconf_parse(CV_STR("# made by hand\n"
				   "search lan\n"
				   "nameserver 10.0.0.2\n"
				   ";nameserver 10.0.0.9\n"
				   "#nameserver 10.0.0.9\n"
				   "nameserver fe80::1%eth0\n"
				   "nameserver 127.1\n"
				   "  nameserver\t2001:db8::53  \r\n"
				   "nameservers 10.0.0.9\n"
				   "options edns0\n"
				   "nameserver 127.0.0.53\n"
				   "nameserver 10.0.0.4"),
		&conf);
	assert_int_equal(conf.server_count, 3);
	assert_int_equal(conf.ignored_count, 3);
	assert_str(cv_ip_format(&conf.server[0], text), "10.0.0.2");
	assert_str(cv_ip_format(&conf.server[1], text), "2001:db8::53");
	assert_str(cv_ip_format(&conf.server[2], text), "127.0.0.53");
	cv_resolvconf_parse(CV_STR_NONE, &conf);
	assert_int_equal(conf.server_count, 0);
	cv_resolvconf_parse(CV_STR("nameserver"), &conf);
	assert_int_equal(conf.server_count, 0);
	assert_int_equal(conf.ignored_count, 1);
}

static void hosts(void **state)
{
	const struct cv_str text = CV_STR("127.0.0.1\tlocalhost\n"
					  "::1 localhost ip6-localhost\n"
					  "#10.0.0.1 gone.test\n"
					  "10.0.0.2 api.test API # old.test\n"
					  "127.1 api.test\n"
					  "10.0.0.3 xapi.test api.test.x\n"
					  "2001:db8::2   Api.Test");
	struct cv_ip ip[4];
	char out[CV_IP_TEXT_BYTES];

	(void)state;
	assert_int_equal(cv_hosts_lookup(text, CV_STR("api.test"), ip, 4), 2);
	assert_str(cv_ip_format(&ip[0], out), "10.0.0.2");
	assert_str(cv_ip_format(&ip[1], out), "2001:db8::2");
	assert_int_equal(cv_hosts_lookup(text, CV_STR("api.test"), ip, 1), 1);
	assert_int_equal(cv_hosts_lookup(text, CV_STR("LOCALHOST"), ip, 4), 2);
	assert_int_equal(cv_hosts_lookup(text, CV_STR("old.test"), ip, 4), 0);
	assert_int_equal(cv_hosts_lookup(text, CV_STR("gone.test"), ip, 4), 0);
	assert_int_equal(cv_hosts_lookup(text, CV_STR(""), ip, 4), 0);
	assert_int_equal(cv_hosts_lookup(CV_STR_NONE, CV_STR("a"), ip, 4), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(servers),
		cmocka_unit_test(hosts),
	};

	return cmocka_run_group_tests_name("wire/resolvconf", tests, NULL, NULL);
}
