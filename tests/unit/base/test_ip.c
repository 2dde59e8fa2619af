/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goal: one spelling per address, prefixes that match exactly, and no way to dial this host, a
 * metadata service or a private net by writing its address another way (A5, A6, N7).
 * Method: tables of texts; every prefix of the class table probed at its edges.
 */
#include "unit/test.h"

#include "base/ip.c"
#include "base/ip_class.c"

static struct cv_ip ip_ok(const char *text)
{
	struct cv_ip ip = { 0 };

	if (!cv_ip_parse(cv_str_of(text), &ip))
		fail_msg("\"%s\" is not read as an address", text);
	return ip;
}

static struct cv_cidr cidr_ok(const char *text)
{
	struct cv_cidr c = { 0 };

	if (!cv_cidr_parse(cv_str_of(text), &c))
		fail_msg("\"%s\" is not read as a prefix", text);
	return c;
}

static void reads_and_writes(void **state)
{
	static const char *const row[][2] = {
		{ "1.2.3.4", "1.2.3.4" },
		{ "0.0.0.0", "0.0.0.0" },
		{ "255.255.255.255", "255.255.255.255" },
		{ "::ffff:1.2.3.4", "1.2.3.4" },
		{ "::FFFF:0102:0304", "1.2.3.4" },
		{ "0:0:0:0:0:ffff:1.2.3.4", "1.2.3.4" },
		{ "::", "::" },
		{ "::1", "::1" },
		{ "1::", "1::" },
		{ "2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1" },
		{ "2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1" },
		{ "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8" },
		{ "1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304" },
		{ "1::3:4:5:6:7:8", "1:0:3:4:5:6:7:8" },
		{ "::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8" },
		{ "1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0" },
		{ "64:ff9b::10.0.0.1", "64:ff9b::a00:1" },
		{ "1:0:0:2:0:0:0:3", "1:0:0:2::3" },
		{ "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255",
			"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" },
	};

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		const struct cv_ip ip = ip_ok(row[i][0]);
		char text[CV_IP_TEXT_BYTES];

		assert_str(cv_ip_format(&ip, text), row[i][1]);
		const struct cv_ip again = ip_ok(row[i][1]);
		assert_true(cv_ip_eq(&ip, &again));
	}
}

static void a5_refuses_other_spellings(void **state)
{
	static const char *const row[] = { "", "127.1", "127.0.1", "0x7f.0.0.1", "0x7f000001",
		"2130706433", "017700000001", "0177.0.0.1", "127.0.0.01", "00.0.0.0", "0", "1.2.3",
		"1.2.3.4.5", "1.2.3.256", "1.2.3.4 ", " 1.2.3.4", "1.2.3.4.", ".1.2.3.4", "1..2.3",
		"+1.2.3.4", "1.2.3.0004", "1.2.3.4%0", "fe80::1%eth0", "fe80::1%1", "[::1]", ":",
		":::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3",
		"::1::", "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8",
		"12345::", "g::", ":1::", "1:", "::1.2.3", "::1.2.3.4:5",
		"1.2.3.4::", "::ffff:127.1", "::ffff:0x7f.0.0.1", "1:2:3:4:5:6:7:1.2.3.4",
		"1:2:3:4::5:6:7:1.2.3.4", "::-1", "1.2.3.\xef\xbc\x94" };
	struct cv_ip ip;

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++)
		if (cv_ip_parse(cv_str_of(row[i]), &ip))
			fail_msg("\"%s\" is read as an address", row[i]);
	assert_false(cv_ip_parse(CV_STR("1.2.3.4\0"), &ip));
	assert_false(cv_ip_parse(CV_STR("\0::1"), &ip));
}

static void sockaddrs(void **state)
{
	static const char *const text[] = { "192.0.2.7", "2001:db8::7" };

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(text); i++) {
		const struct cv_ip ip = ip_ok(text[i]);
		struct sockaddr_storage sa;
		uint16_t port = 0;
		struct cv_ip again;
		const size_t n = cv_ip_to_sockaddr(&ip, 443, &sa);

		assert_int_equal(sa.ss_family, i ? AF_INET6 : AF_INET);
		assert_true(cv_ip_from_sockaddr(&sa, n, &again, &port));
		assert_true(cv_ip_eq(&ip, &again));
		assert_int_equal(port, 443);
		assert_false(cv_ip_from_sockaddr(&sa, n - 1, &again, &port));
	}
	/* a dual-stack socket reports IPv4 peers in the mapped form */
	struct sockaddr_in6 six = { .sin6_family = AF_INET6 };
	six.sin6_addr.s6_addr[10] = six.sin6_addr.s6_addr[11] = 0xff;
	six.sin6_addr.s6_addr[12] = 127;
	struct cv_ip ip;
	uint16_t port;
	assert_true(cv_ip_from_sockaddr(&six, sizeof(six), &ip, &port));
	assert_true(ip.is_v4);
	assert_false(cv_ip_from_bytes("12345", 5, &ip));
}

static void prefixes(void **state)
{
	static const struct {
		const char *net, *ip;
		bool has;
	} row[] = {
		{ "10.0.0.0/8", "10.255.255.255", true },
		{ "10.0.0.0/8", "11.0.0.0", false },
		{ "10.0.0.0/8", "::ffff:10.1.2.3", true },
		{ "::ffff:10.0.0.0/104", "10.1.2.3", true },
		{ "10.1.2.3", "10.1.2.3", true },
		{ "10.1.2.3", "10.1.2.2", false },
		{ "10.1.2.3/32", "10.1.2.3", true },
		{ "198.18.0.0/15", "198.19.255.255", true },
		{ "198.18.0.0/15", "198.20.0.0", false },
		{ "0.0.0.0/0", "255.1.1.1", true },
		{ "0.0.0.0/0", "::1", false },
		{ "::/0", "10.0.0.1", false },
		{ "::/0", "2001:db8::", true },
		{ "fd00::/8", "fdff::1", true },
		{ "fd00::/8", "fc00::1", false },
		{ "2001:db8::/33", "2001:db8:7fff::", true },
		{ "2001:db8::/33", "2001:db8:8000::", false },
		{ "::1", "::1", true },
		{ "::1", "::2", false },
	};
	struct cv_cidr c;

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(row); i++) {
		const struct cv_cidr net = cidr_ok(row[i].net);
		const struct cv_ip ip = ip_ok(row[i].ip);

		if (cv_cidr_has(&net, &ip) != row[i].has)
			fail_msg("%s in %s is not %d", row[i].ip, row[i].net, row[i].has);
	}
	static const char *const bad[] = { "", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1",
		"10.0.0.0/08", "10.0.0.0/8/8", "10.0.0.0/ 8", "::/129", "10/8",
		"10.0.0.0/255.0.0.0", "::/0000" };
	for (size_t i = 0; i < CV_ARRAY_LEN(bad); i++)
		if (cv_cidr_parse(cv_str_of(bad[i]), &c))
			fail_msg("\"%s\" is read as a prefix", bad[i]);
}

static void host_bits_are_cleared_and_remembered(void **state)
{
	char text[CV_CIDR_TEXT_BYTES];
	struct cv_cidr c = cidr_ok("10.1.2.3/8");

	(void)state;
	assert_true(c.had_host_bits);
	assert_str(cv_cidr_format(&c, text), "10.0.0.0/8");
	c = cidr_ok("2001:db8::1/33");
	assert_true(c.had_host_bits);
	assert_str(cv_cidr_format(&c, text), "2001:db8::/33");
	c = cidr_ok("10.0.0.0/8");
	assert_false(c.had_host_bits);
	/* a prefix that is wider than the mapped block is IPv6 */
	c = cidr_ok("::ffff:0:0/90");
	assert_false(c.net.is_v4);
}

static void overlaps(void **state)
{
	const struct cv_cidr a = cidr_ok("126.0.0.0/7"), b = cidr_ok("127.0.0.0/8"),
			     c = cidr_ok("128.0.0.0/8"), d = cidr_ok("::/0");

	(void)state;
	assert_true(cv_cidr_overlaps(&a, &b));
	assert_true(cv_cidr_overlaps(&b, &a));
	assert_false(cv_cidr_overlaps(&a, &c));
	assert_false(cv_cidr_overlaps(&d, &b));
}

static const struct {
	const char *ip;
	enum cv_ip_class class;
	const char *name;
} classes[] = {
	{ "93.184.216.34", CV_IP_PUBLIC, "public" },
	{ "2606:4700::1111", CV_IP_PUBLIC, "public" },
	{ "127.0.0.1", CV_IP_ALWAYS_BLOCKED, "loopback" },
	{ "127.255.255.254", CV_IP_ALWAYS_BLOCKED, "loopback" },
	{ "::1", CV_IP_ALWAYS_BLOCKED, "loopback" },
	{ "::ffff:127.0.0.1", CV_IP_ALWAYS_BLOCKED, "loopback" },
	{ "::127.0.0.1", CV_IP_ALWAYS_BLOCKED, "loopback" },
	{ "::ffff:0:127.0.0.1", CV_IP_ALWAYS_BLOCKED, "loopback" },
	{ "0.0.0.0", CV_IP_ALWAYS_BLOCKED, "unspecified" },
	{ "0.1.2.3", CV_IP_ALWAYS_BLOCKED, "unspecified" },
	{ "::", CV_IP_ALWAYS_BLOCKED, "unspecified" },
	{ "169.254.0.1", CV_IP_ALWAYS_BLOCKED, "link-local" },
	{ "fe80::1", CV_IP_ALWAYS_BLOCKED, "link-local" },
	{ "febf::1", CV_IP_ALWAYS_BLOCKED, "link-local" },
	{ "224.0.0.1", CV_IP_ALWAYS_BLOCKED, "multicast" },
	{ "239.255.255.255", CV_IP_ALWAYS_BLOCKED, "multicast" },
	{ "ff02::1", CV_IP_ALWAYS_BLOCKED, "multicast" },
	{ "169.254.169.254", CV_IP_METADATA, "metadata" },
	{ "169.254.170.2", CV_IP_METADATA, "metadata" },
	{ "100.100.100.200", CV_IP_METADATA, "metadata" },
	{ "168.63.129.16", CV_IP_METADATA, "metadata" },
	{ "192.0.0.192", CV_IP_METADATA, "metadata" },
	{ "fd00:ec2::254", CV_IP_METADATA, "metadata" },
	{ "fd20:ce::254", CV_IP_METADATA, "metadata" },
	{ "10.0.0.1", CV_IP_INTERNAL, "private" },
	{ "172.16.0.1", CV_IP_INTERNAL, "private" },
	{ "172.31.255.255", CV_IP_INTERNAL, "private" },
	{ "172.32.0.0", CV_IP_PUBLIC, "public" },
	{ "192.168.1.1", CV_IP_INTERNAL, "private" },
	{ "100.64.0.1", CV_IP_INTERNAL, "shared" },
	{ "100.128.0.0", CV_IP_PUBLIC, "public" },
	{ "192.0.0.8", CV_IP_INTERNAL, "protocol-assignments" },
	{ "192.0.2.1", CV_IP_INTERNAL, "documentation" },
	{ "198.51.100.1", CV_IP_INTERNAL, "documentation" },
	{ "203.0.113.1", CV_IP_INTERNAL, "documentation" },
	{ "198.19.0.1", CV_IP_INTERNAL, "benchmark" },
	{ "192.88.99.1", CV_IP_INTERNAL, "6to4-relay" },
	{ "240.0.0.1", CV_IP_INTERNAL, "reserved" },
	{ "255.255.255.255", CV_IP_INTERNAL, "broadcast" },
	{ "fc00::1", CV_IP_INTERNAL, "unique-local" },
	{ "fd12:3456::1", CV_IP_INTERNAL, "unique-local" },
	{ "fec0::1", CV_IP_INTERNAL, "site-local" },
	{ "2001:db8::1", CV_IP_INTERNAL, "documentation" },
	{ "3fff:fff::1", CV_IP_INTERNAL, "documentation" },
	{ "2001:2::1", CV_IP_INTERNAL, "benchmark" },
	{ "2001:10::1", CV_IP_INTERNAL, "orchid" },
	{ "2001:2f::1", CV_IP_INTERNAL, "orchid" },
	{ "2001:1::1", CV_IP_INTERNAL, "protocol-assignments" },
	{ "2001:200::1", CV_IP_PUBLIC, "public" },
	{ "100::1", CV_IP_INTERNAL, "discard" },
	{ "3ffe::1", CV_IP_INTERNAL, "reserved" },
	{ "4000::1", CV_IP_INTERNAL, "reserved" },
	{ "5f00::1", CV_IP_INTERNAL, "reserved" },
	/* what carries an IPv4 address */
	{ "64:ff9b::8.8.8.8", CV_IP_INTERNAL, "nat64" },
	{ "64:ff9b::127.0.0.1", CV_IP_ALWAYS_BLOCKED, "loopback" },
	{ "64:ff9b::169.254.169.254", CV_IP_METADATA, "metadata" },
	{ "64:ff9b::10.0.0.1", CV_IP_INTERNAL, "nat64" },
	{ "64:ff9b:1::8.8.8.8", CV_IP_ALWAYS_BLOCKED, "unspecified" }, /* as /48: 0.0.0.0 */
	{ "64:ff9b:1:808:8:808:808:808", CV_IP_INTERNAL, "nat64-local" },
	{ "64:ff9b:1:7f00:0:100:808:808", CV_IP_ALWAYS_BLOCKED, "loopback" }, /* /48 */
	{ "64:ff9b:1:87f:0:1:808:808", CV_IP_ALWAYS_BLOCKED, "loopback" },    /* /56 */
	{ "64:ff9b:1:808:87f:0:108:808", CV_IP_ALWAYS_BLOCKED, "loopback" },  /* /64, byte 9 */
	{ "2002:808:808::1", CV_IP_INTERNAL, "6to4" },
	{ "2002:7f00:1::1", CV_IP_ALWAYS_BLOCKED, "loopback" },
	{ "2002:a9fe:a9fe::1", CV_IP_METADATA, "metadata" },
	{ "2001:0:808:808::f7f7:f7f7", CV_IP_INTERNAL, "teredo" },
	{ "2001:0:7f00:1::f7f7:f7f7", CV_IP_ALWAYS_BLOCKED, "loopback" },
	{ "2001:0:808:808::80ff:fffe", CV_IP_ALWAYS_BLOCKED, "loopback" }, /* inverted client */
	{ "2001:0:808:808::5601:5601", CV_IP_METADATA, "metadata" },
	{ "::8.8.8.8", CV_IP_INTERNAL, "v4-compatible" },
	{ "::ffff:0:8.8.8.8", CV_IP_INTERNAL, "v4-translated" },
};

static void a5_n7_classes(void **state)
{
	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(classes); i++) {
		const struct cv_ip ip = ip_ok(classes[i].ip);
		const struct cv_ip_class_row *r = cv_ip_classify(&ip);

		if (r->class != classes[i].class || strcmp(r->name, classes[i].name) != 0)
			fail_msg("%s is %s (%s), not %s", classes[i].ip, r->name,
				cv_ip_class_name(r->class), classes[i].name);
		assert_int_equal(cv_ip_is_never_allowed(&ip), classes[i].class <= CV_IP_METADATA);
	}
}

/* The first row that holds an address must be the longest that does. */
static void n7_texts_that_mean_loopback(void **state)
{
	static const char *const yes[] = { "localhost", "LocalHost", "127.0.0.1", "127.9.9.9",
		"::1" };
	static const char *const no[] = { "", "localhost.", "localhost.test", "127.1", "0.0.0.0",
		"::", "10.0.0.1", "example.test", "2130706433" };

	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(yes); i++)
		assert_true(cv_ip_text_is_loopback(cv_str_of(yes[i])));
	for (size_t i = 0; i < CV_ARRAY_LEN(no); i++)
		assert_false(cv_ip_text_is_loopback(cv_str_of(no[i])));
}

static void table_is_in_order(void **state)
{
	(void)state;
	for (size_t i = 0; i < CV_ARRAY_LEN(rows); i++) {
		struct cv_cidr c = rows[i].net;

		assert_false(clear_host_bits(c.net.b, c.bits));
		assert_int_equal(c.net.is_v4, is_mapped(c.net.b) && c.bits >= V4_BITS);
		assert_ptr_equal(row_of(&rows[i].net.net)->net.net.b, row_of(&c.net)->net.net.b);
		for (size_t k = i + 1; k < CV_ARRAY_LEN(rows); k++)
			if (cv_cidr_overlaps(&rows[i].net, &rows[k].net))
				assert_true(rows[i].net.bits > rows[k].net.bits);
		/* the last address of the prefix is still in it */
		struct cv_ip last = rows[i].net.net;
		for (unsigned bit = rows[i].net.bits; bit < 128; bit++)
			last.b[bit / 8] |= (uint8_t)(0x80u >> bit % 8);
		last.is_v4 = is_mapped(last.b);
		assert_true(cv_cidr_has(&rows[i].net, &last));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_and_writes),
		cmocka_unit_test(a5_refuses_other_spellings),
		cmocka_unit_test(sockaddrs),
		cmocka_unit_test(prefixes),
		cmocka_unit_test(host_bits_are_cleared_and_remembered),
		cmocka_unit_test(overlaps),
		cmocka_unit_test(a5_n7_classes),
		cmocka_unit_test(n7_texts_that_mean_loopback),
		cmocka_unit_test(table_is_in_order),
	};

	return cmocka_run_group_tests_name("base/ip", tests, NULL, NULL);
}
