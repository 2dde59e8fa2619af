/* SPDX-License-Identifier: Apache-2.0 */
/* cases_rules.h - policies and what is said about them, word for word; see test_validate.c */
/* clang-format off */
CASE(fs_relative,
	"version: 1\n"
	"filesystem_policy: {read_only: [usr]}\n",
	"p:2:33: error: path must be absolute (start with '/'): usr\n")
CASE(fs_parent,
	"version: 1\n"
	"filesystem_policy: {read_only: [/usr/../etc]}\n",
	"p:2:33: error: path contains '..' traversal component: /usr/../etc; write the path that it leads to\n")
CASE(fs_write_root,
	"version: 1\n"
	"filesystem_policy: {read_write: [/]}\n",
	"p:2:34: error: read-write path is overly broad: /; list the directories that are written to\n")
CASE(fs_write_root_spelled,
	"version: 1\n"
	"filesystem_policy: {read_write: [//./]}\n",
	"p:2:34: error: read-write path is overly broad: //./; list the directories that are written to\n")
CASE(fs_read_root_is_fine,
	"version: 1\n"
	"filesystem_policy: {read_only: [/]}\n",
	"")
CASE(fs_too_many,
	"version: 1\n"
	"filesystem_policy: {read_only: [/a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a, /a]}\n",
	"p:2:32: error: too many filesystem paths (257 > 256); list their common parents\n")
CASE(user_name,
	"version: 1\n"
	"process: {run_as_user: root}\n",
	"p:2:24: error: run_as_user must be 'sandbox' or a numeric UID/GID in range [1, 4294967294], got 'root'\n")
CASE(user_0,
	"version: 1\n"
	"process: {run_as_user: 0, run_as_group: 4294967295}\n",
	"p:2:24: error: run_as_user must be 'sandbox' or a numeric UID/GID in range [1, 4294967294], got '0'\n"
	"p:2:41: error: run_as_group must be 'sandbox' or a numeric UID/GID in range [1, 4294967294], got '4294967295'\n")
CASE(user_fine,
	"version: 1\n"
	"process: {run_as_user: 1000, run_as_group: sandbox}\n",
	"")
CASE(reserved,
	"version: 1\n"
	"network_policies: {_provider_x: {}}\n",
	"p:2:20: error: _provider_x: names that begin with _provider_ are reserved; choose another name\n"
	"p:2:20: warning: _provider_x: no endpoints, so it allows nothing\n")
CASE(n10_no_binaries,
	"version: 1\n"
	"network_policies: {p: {endpoints: [{host: a.example.com, port: 1}]}}\n",
	"p:2:20: warning: p: no binaries, so no program may use it; list the programs that may use it\n")
CASE(host_missing,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {port: 443}\n",
	"p:6:9: error: p.endpoints[0]: an endpoint without host needs allowed_ips; add host, or allowed_ips\n")
CASE(host_missing_with_ips,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {port: 443, allowed_ips: [10.1.0.0/16]}\n",
	"")
CASE(a5_host_address_mapped,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: \"::ffff:10.77.0.1\", port: 443}\n",
	"p:6:16: error: p.endpoints[0]: host '::ffff:10.77.0.1' is an IPv6 address with an IPv4 address inside; write 10.77.0.1\n")
CASE(a5_host_address_nat64,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: \"64:ff9b::a4d:1\", port: 443}\n",
	"p:6:16: error: p.endpoints[0]: host '64:ff9b::a4d:1' is an IPv6 address with an IPv4 address inside; write the IPv4 address that is meant\n")
CASE(a5_host_address_mixed,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: \"fd00::1.2.3.4\", port: 443}\n",
	"p:6:16: error: p.endpoints[0]: host 'fd00::1.2.3.4' is an IPv6 address with an IPv4 address inside; write fd00::102:304\n")
CASE(host_name_number,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: 2130706433, port: 443}\n",
	"p:6:16: warning: p.endpoints[0]: host '2130706433' ends in a number and is no address, so it matches nothing; write an address as four decimal numbers\n")
CASE(host_name_hex,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: 0x7f.1, port: 443}\n",
	"p:6:16: warning: p.endpoints[0]: host '0x7f.1' ends in a number and is no address, so it matches nothing; write an address as four decimal numbers\n")
CASE(host_name_long_label,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.com, port: 443}\n",
	"p:6:16: warning: p.endpoints[0]: host 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.com' has a label of more than 63 bytes, so it matches nothing; write the name as clients ask for it\n")
CASE(host_name_long_label_fits,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.com, port: 443}\n",
	"")
CASE(host_name_empty_label,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a..example.com, port: 443}\n",
	"p:6:16: warning: p.endpoints[0]: host 'a..example.com' has an empty label, so it matches nothing; write the name as clients ask for it\n")
CASE(host_name_hyphen,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: -a.example.com, port: 443}\n",
	"p:6:16: warning: p.endpoints[0]: host '-a.example.com' has a label that begins or ends with a hyphen, so it matches nothing; write the name as clients ask for it\n")
CASE(host_name_glob_character,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: \"a[b].example.com\", port: 443}\n",
	"p:6:16: warning: p.endpoints[0]: host 'a[b].example.com' contains a character that no name has, so it matches nothing; write the name as clients ask for it\n")
CASE(host_name_pattern_number,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: \"*.example.10\", port: 443}\n",
	"p:6:16: warning: p.endpoints[0]: host '*.example.10' ends in a number and is no address, so it matches nothing; write an address as four decimal numbers\n")
CASE(host_name_pattern_fine,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: \"*aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example.com\", port: 443}\n",
	"")
CASE(host_name_underscore,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: _a.example.com, port: 443}\n",
	"")
CASE(host_missing_tcp,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {port: 443, protocol: tcp, allowed_ips: [10.1.0.0/16]}\n",
	"p:6:9: error: p.endpoints[0]: protocol tcp needs a host; add the host's name\n")
CASE(host_0,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: \"*\", port: 443}\n",
	"p:6:16: error: p.endpoints[0]: host pattern '*' matches every host; use * within the first label or as a whole middle one, ** as the whole first label\n")
CASE(host_1,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: \"**\", port: 443}\n",
	"p:6:16: error: p.endpoints[0]: host pattern '**' matches every host; use * within the first label or as a whole middle one, ** as the whole first label\n")
CASE(host_2,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: \"*.com\", port: 443}\n",
	"p:6:16: error: p.endpoints[0]: host pattern '*.com' covers a whole top-level domain; use * within the first label or as a whole middle one, ** as the whole first label\n")
CASE(host_3,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: \"**.com\", port: 443}\n",
	"p:6:16: error: p.endpoints[0]: host pattern '**.com' covers a whole top-level domain; use * within the first label or as a whole middle one, ** as the whole first label\n")
CASE(host_4,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: \"foo.us-*.example.com\", port: 443}\n",
	"p:6:16: error: p.endpoints[0]: host pattern 'foo.us-*.example.com' has a partial wildcard after the first label; use * within the first label or as a whole middle one, ** as the whole first label\n")
CASE(host_5,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: \"foo.**.x\", port: 443}\n",
	"p:6:16: error: p.endpoints[0]: host pattern 'foo.**.x' has ** after the first label; use * within the first label or as a whole middle one, ** as the whole first label\n")
CASE(host_6,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: \"foo**.x\", port: 443}\n",
	"p:6:16: error: p.endpoints[0]: host pattern 'foo**.x' has ** beside other characters; use * within the first label or as a whole middle one, ** as the whole first label\n")
CASE(host_7,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: \"foo.*\", port: 443}\n",
	"p:6:16: error: p.endpoints[0]: host pattern 'foo.*' has a wildcard in its last label; use * within the first label or as a whole middle one, ** as the whole first label\n")
CASE(host_8,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: \"a..*.com\", port: 443}\n",
	"p:6:16: error: p.endpoints[0]: host pattern 'a..*.com' has an empty label; use * within the first label or as a whole middle one, ** as the whole first label\n")
CASE(host_9,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: \"https://a.com\", port: 443}\n",
	"p:6:16: error: p.endpoints[0]: host 'https://a.com' contains a character that no host has; a host is a name or pattern without scheme, port and path\n")
CASE(host_10,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: \"a.com:443\", port: 443}\n",
	"p:6:16: error: p.endpoints[0]: host 'a.com:443' contains ':'; a host is a name or pattern without scheme, port and path\n")
CASE(host_11,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: \"a.com/x\", port: 443}\n",
	"p:6:16: error: p.endpoints[0]: host 'a.com/x' contains a character that no host has; a host is a name or pattern without scheme, port and path\n")
CASE(host_12,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: \"a b.com\", port: 443}\n",
	"p:6:16: error: p.endpoints[0]: host 'a b.com' contains a character that no host has; a host is a name or pattern without scheme, port and path\n")
CASE(host_13,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: \"a.example.com.\", port: 443}\n",
	"p:6:16: warning: p.endpoints[0]: host 'a.example.com.' ends with a dot and matches nothing; remove the dot\n")
CASE(a4_host_unicode,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: \"\320\260pple.com\", port: 443}\n",
	"p:6:16: error: p.endpoints[0]: host '\\u{430}pple.com' is not ASCII; write its A-label form (xn--...), which is what is compared\n")
CASE(hosts_fine,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: \"*-api.example.com\", port: 443}\n"
	"      - {host: \"*.b.example.com\", port: 443}\n"
	"      - {host: \"a.*.c.org\", port: 443}\n"
	"      - {host: \"**.example.net\", port: 443}\n"
	"      - {host: \"10.1.2.3\", port: 443}\n"
	"      - {host: \"fd00::1\", port: 443}\n",
	"")
CASE(no_port,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com}\n",
	"p:6:9: warning: p.endpoints[0]: no port, so it allows nothing; add port\n")
CASE(no_port_tcp,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, protocol: tcp}\n",
	"p:6:9: error: p.endpoints[0]: protocol tcp needs a port; add port\n")
CASE(path_relative,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: rest, access: full, path: api}\n",
	"p:6:78: error: p.endpoints[0]: path 'api' must start with '/' or be '**'; begin it with /\n")
CASE(path_stars,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: rest, access: full, path: \"**\"}\n",
	"")
CASE(ip_0,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, allowed_ips: [\"10.0.0.256\"]}\n",
	"p:6:56: error: p.endpoints[0]: allowed_ips: '10.0.0.256' is neither an address nor a CIDR; write it as 10.1.2.3, 10.0.0.0/8 or fd00::/8\n")
CASE(ip_1,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, allowed_ips: [\"127.0.0.1\"]}\n",
	"p:6:56: error: p.endpoints[0]: allowed_ips: '127.0.0.1' touches 127.0.0.0/8, which is always blocked; list only addresses that may be dialled\n")
CASE(ip_2,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, allowed_ips: [\"169.254.169.254\"]}\n",
	"p:6:56: error: p.endpoints[0]: allowed_ips: '169.254.169.254' touches 169.254.0.0/16, which is always blocked; list only addresses that may be dialled\n")
CASE(ip_3,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, allowed_ips: [\"0.0.0.0\"]}\n",
	"p:6:56: error: p.endpoints[0]: allowed_ips: '0.0.0.0' touches 0.0.0.0/32, which is always blocked; list only addresses that may be dialled\n")
CASE(ip_4,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, allowed_ips: [\"0.0.0.0/0\"]}\n",
	"p:6:56: error: p.endpoints[0]: allowed_ips: '0.0.0.0/0' touches 127.0.0.0/8, which is always blocked; list only addresses that may be dialled\n")
CASE(ip_5,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, allowed_ips: [\"::1\"]}\n",
	"p:6:56: error: p.endpoints[0]: allowed_ips: '::1' touches ::1/128, which is always blocked; list only addresses that may be dialled\n")
CASE(ip_6,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, allowed_ips: [\"fe80::1\"]}\n",
	"p:6:56: error: p.endpoints[0]: allowed_ips: 'fe80::1' touches fe80::/10, which is always blocked; list only addresses that may be dialled\n")
CASE(ip_7,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, allowed_ips: [\"::/0\"]}\n",
	"p:6:56: error: p.endpoints[0]: allowed_ips: '::/0' touches ::1/128, which is always blocked; list only addresses that may be dialled\n")
CASE(ip_8,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, allowed_ips: [\"::ffff:127.0.0.1\"]}\n",
	"p:6:56: error: p.endpoints[0]: allowed_ips: '::ffff:127.0.0.1' touches 127.0.0.0/8, which is always blocked; list only addresses that may be dialled\n")
CASE(ip_9,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, allowed_ips: [\"10.0.0.0/8\"]}\n",
	"p:6:56: warning: p.endpoints[0]: allowed_ips: '10.0.0.0/8' is wider than /16; name the narrower network that is meant\n")
CASE(ip_10,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, allowed_ips: [\"10.1.2.3/16\"]}\n",
	"p:6:56: warning: p.endpoints[0]: allowed_ips: '10.1.2.3/16' has bits beyond its prefix, which are ignored\n")
CASE(ip_11,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, allowed_ips: [\"10.1.0.0/16\"]}\n",
	"")
CASE(rest_bare,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: rest}\n",
	"p:6:9: error: p.endpoints[0]: protocol rest needs access or rules to say what is allowed; add access: read-only, or rules\n")
CASE(websocket_bare,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: websocket}\n",
	"p:6:9: error: p.endpoints[0]: protocol websocket needs access or rules to say what is allowed; add access: read-only, or rules\n")
CASE(graphql_bare,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: graphql}\n",
	"p:6:9: error: p.endpoints[0]: protocol graphql needs access or rules to say what is allowed; add access: read-only, or rules\n")
CASE(sql_bare,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: sql}\n",
	"p:6:9: error: p.endpoints[0]: protocol sql needs access or rules to say what is allowed; add access: read-only, or rules\n")
CASE(access_and_rules,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: rest, access: full, rules: [{allow: {method: GET}}]}\n",
	"p:6:66: error: p.endpoints[0]: access and rules exclude each other; keep one of them\n"
	"p:6:80: warning: p.endpoints[0].rules[0].allow: no path is given, so it allows nothing; write path: \"/**\" for any\n")
CASE(rules_empty,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: rest, rules: []}\n",
	"p:6:65: error: p.endpoints[0]: rules is empty, which would deny everything; remove it, or list what is allowed\n")
CASE(rules_nothing,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: rest, rules: }\n",
	"p:6:65: error: p.endpoints[0]: rules is empty, which would deny everything; remove it, or list what is allowed\n")
CASE(deny_empty,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: rest, access: full, deny_rules: []}\n",
	"p:6:84: error: p.endpoints[0]: deny_rules is empty; remove it\n")
CASE(access_mcp,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: mcp, access: full}\n",
	"p:6:65: error: p.endpoints[0]: protocol mcp has no access presets; use rules\n"
	"p:6:9: error: p.endpoints[0]: protocol mcp needs rules; add rules, or mcp.allow_all_known_mcp_methods: true\n")
CASE(access_json_rpc,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: json-rpc, access: full}\n",
	"p:6:70: error: p.endpoints[0]: protocol json-rpc has no access presets; use rules\n"
	"p:6:9: error: p.endpoints[0]: protocol json-rpc needs rules; add rules with allow.method\n")
CASE(deny_without_protocol,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, deny_rules: [{method: GET}]}\n",
	"p:6:54: error: p.endpoints[0]: deny_rules need a protocol: without one, requests are not inspected; add protocol: rest\n")
CASE(deny_without_base,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: rest, deny_rules: [{method: GET}]}\n",
	"p:6:9: error: p.endpoints[0]: protocol rest needs access or rules to say what is allowed; add access: read-only, or rules\n"
	"p:6:70: error: p.endpoints[0]: deny_rules need access or rules to take something away from; add access or rules\n")
CASE(deny_on_mcp_profile,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: mcp, mcp: {allow_all_known_mcp_methods: true}, deny_rules: [{method: tools/call, tool: x}]}\n",
	"")
CASE(l4_access_ignored,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, access: read-only}\n",
	"p:6:50: warning: p.endpoints[0]: without a protocol, access and rules are ignored and everything passes; add protocol: rest to have them obeyed\n")
CASE(sql_enforce,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: sql, access: full, enforcement: enforce}\n",
	"p:6:84: error: p.endpoints[0]: protocol sql can't be enforced; use enforcement: audit\n")
CASE(json_rpc_bare,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: json-rpc}\n",
	"p:6:9: error: p.endpoints[0]: protocol json-rpc needs rules; add rules with allow.method\n")
CASE(mcp_bare,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: mcp}\n",
	"p:6:9: error: p.endpoints[0]: protocol mcp needs rules; add rules, or mcp.allow_all_known_mcp_methods: true\n")
CASE(mcp_no_host,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {port: 1, allowed_ips: [10.1.0.0/16], protocol: mcp, rules: [{allow: {method: tools/list}}]}\n",
	"p:6:9: error: p.endpoints[0]: protocol mcp needs a host; add the host's name\n")
CASE(tcp_ip,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: 10.1.2.3, port: 1, protocol: tcp}\n",
	"p:6:16: error: p.endpoints[0]: protocol tcp needs a DNS name, '10.1.2.3' is an address; use a DNS name, or leave protocol out\n")
CASE(tcp_dot,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com., port: 1, protocol: tcp}\n",
	"p:6:16: error: p.endpoints[0]: protocol tcp needs a name without a dot at its end; remove the dot\n")
CASE(tcp_fields,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: tcp, path: /x, tls: skip, enforcement: enforce, access: full, allow_encoded_slash: true, mcp: {}, credential_binding: {provider: x}}\n",
	"p:6:57: error: p.endpoints[0]: protocol tcp is not inspected and can't have path; remove it\n"
	"p:6:67: error: p.endpoints[0]: protocol tcp is not inspected and can't have tls; remove it\n"
	"p:6:78: error: p.endpoints[0]: protocol tcp is not inspected and can't have enforcement; remove it\n"
	"p:6:100: error: p.endpoints[0]: protocol tcp is not inspected and can't have access; remove it\n"
	"p:6:114: error: p.endpoints[0]: protocol tcp is not inspected and can't have allow_encoded_slash; remove it\n"
	"p:6:150: error: p.endpoints[0]: protocol tcp is not inspected and can't have credential_binding; remove it\n"
	"p:6:141: error: p.endpoints[0]: protocol tcp is not inspected and can't have mcp; remove it\n")
CASE(ignored_fields,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: rest, access: full, websocket_credential_rewrite: true, persisted_queries: deny, mcp: {}, json_rpc: {}, signing_region: x}\n",
	"p:6:108: warning: p.endpoints[0]: persisted_queries is ignored here; remove it\n"
	"p:6:142: warning: p.endpoints[0]: json_rpc is ignored here; remove it\n"
	"p:6:133: warning: p.endpoints[0]: mcp is ignored here; remove it\n"
	"p:6:156: warning: p.endpoints[0]: signing_region is ignored here; remove it\n")
CASE(body_rewrite_on_graphql,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: graphql, access: full, request_body_credential_rewrite: true}\n",
	"p:6:75: warning: p.endpoints[0]: request_body_credential_rewrite is ignored here; remove it\n")
CASE(tls_deprecated,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, tls: terminate}\n",
	"p:6:47: warning: p.endpoints[0]: tls: terminate is deprecated and has no effect; remove it, or write skip for a raw tunnel\n")
CASE(tls_skip_l7,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: rest, access: full, tls: skip}\n",
	"p:6:77: warning: p.endpoints[0]: tls: skip on port 443 hides requests from the rules; remove tls: skip to have the rules obeyed\n")
CASE(tls_skip_l4,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, tls: skip}\n",
	"")
CASE(persisted_word,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: graphql, access: full, persisted_queries: allow}\n",
	"p:6:94: error: p.endpoints[0]: unknown persisted_queries 'allow'; expected deny or allow_registered\n")
CASE(signing_mode,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: rest, access: full, credential_signing: sigv2, signing_service: s3}\n",
	"p:6:92: error: p.endpoints[0]: unknown credential_signing 'sigv2'; expected sigv4, sigv4:body or sigv4:no_body\n")
CASE(signing_service,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: rest, access: full, credential_signing: sigv4}\n",
	"p:6:92: error: p.endpoints[0]: credential_signing needs signing_service; add signing_service: s3 (or another)\n")
CASE(signing_rewrite,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: rest, access: full, credential_signing: \"sigv4:body\", signing_service: s3, request_body_credential_rewrite: true}\n",
	"p:6:92: error: p.endpoints[0]: credential_signing and request_body_credential_rewrite exclude each other; keep one of them\n")
CASE(token_endpoint,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: rest, access: full, token_endpoint: true}\n"
	"      - {host: b.example.com, port: 443, token_endpoint: true, credential_binding: {provider: x}}\n",
	"p:6:72: error: p.endpoints[0]: token_endpoint needs a provider that the tokens are for; add credential_binding: {provider: NAME}\n"
	"p:7:42: error: p.endpoints[1]: token_endpoint needs an endpoint whose answers can be read; use protocol: rest, without tls: skip\n")
CASE(binding_without_port,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, protocol: rest, access: full, credential_binding: {provider: x}}\n",
	"p:6:9: warning: p.endpoints[0]: no port, so it allows nothing; add port\n"
	"p:6:61: error: p.endpoints[0]: credential_binding needs a host and a port; add host and port\n")
CASE(method_unknown,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: rest, rules: [{allow: {method: FETCH}}]}\n",
	"p:6:83: warning: p.endpoints[0].rules[0].allow: unknown HTTP method 'FETCH'; expected an HTTP method or *\n"
	"p:6:66: warning: p.endpoints[0].rules[0].allow: no path is given, so it allows nothing; write path: \"/**\" for any\n")
CASE(method_missing,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: rest, rules: [{allow: {path: /x}}]}\n",
	"p:6:66: warning: p.endpoints[0].rules[0].allow: no method is given; write method: \"*\" for any\n")
CASE(path_start,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: rest, rules: [{allow: {method: GET, path: x/y}}]}\n",
	"p:6:94: warning: p.endpoints[0].rules[0].allow: path 'x/y' does not begin with / and never matches; begin it with /\n")
CASE(glob_bracket,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: rest, rules: [{allow: {method: GET, path: \"/a[b\"}}]}\n",
	"p:6:94: warning: p.endpoints[0].rules[0].allow: path pattern '/a[b' has a '[' without ']' and never matches; escape the character with a backslash\n")
CASE(glob_bracket_deny,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: rest, access: full, deny_rules: [{method: GET, path: \"/a[b\"}]}\n",
	"p:6:105: warning: p.endpoints[0].deny_rules[0]: path pattern '/a[b' has a '[' without ']' and so stands for everything; escape the character with a backslash\n")
CASE(glob_brace,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: rest, rules: [{allow: {method: GET, query: {q: \"{a\"}}}]}\n",
	"p:6:99: warning: p.endpoints[0].rules[0].allow: query pattern '{a' has a '{' without '}' and never matches; escape the character with a backslash\n"
	"p:6:66: warning: p.endpoints[0].rules[0].allow: no path is given, so it allows nothing; write path: \"/**\" for any\n")
CASE(query_any_empty,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: rest, rules: [{allow: {method: GET, query: {q: {any: []}}}}]}\n",
	"p:6:96: error: p.endpoints[0].rules[0].allow: query.q: any is empty; list at least one string\n"
	"p:6:66: warning: p.endpoints[0].rules[0].allow: no path is given, so it allows nothing; write path: \"/**\" for any\n")
CASE(query_any_blank,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: rest, rules: [{allow: {method: GET, query: {q: {any: [a, \"\"]}}}}]}\n",
	"p:6:109: error: p.endpoints[0].rules[0].allow: query.q: any has an empty string; remove it\n"
	"p:6:66: warning: p.endpoints[0].rules[0].allow: no path is given, so it allows nothing; write path: \"/**\" for any\n")
CASE(rule_fields_ignored,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: rest, rules: [{allow: {method: GET, tool: x, command: y, operation_type: query}}]}\n",
	"p:6:66: warning: p.endpoints[0].rules[0].allow: command is ignored by protocol rest; remove it\n"
	"p:6:66: warning: p.endpoints[0].rules[0].allow: operation_type, operation_name or fields is ignored by protocol rest; remove it\n"
	"p:6:66: warning: p.endpoints[0].rules[0].allow: tool is ignored by protocol rest; remove it\n")
CASE(graphql_type,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: graphql, rules: [{allow: {operation_type: read}}]}\n",
	"p:6:94: error: p.endpoints[0].rules[0].allow: unknown operation_type 'read'; expected query, mutation, subscription or *\n")
CASE(graphql_no_type,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: graphql, rules: [{allow: {fields: [a]}}]}\n",
	"p:6:69: error: p.endpoints[0].rules[0].allow: unknown operation_type ''; expected query, mutation, subscription or *\n")
CASE(graphql_fields_empty,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: graphql, rules: [{allow: {operation_type: query, fields: []}}]}\n",
	"p:6:109: error: p.endpoints[0].rules[0].allow: fields is empty; remove it, or list root fields\n")
CASE(graphql_fields_blank,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: graphql, rules: [{allow: {operation_type: query, fields: [\"\"]}}]}\n",
	"p:6:110: error: p.endpoints[0].rules[0].allow: fields has an empty string; remove it\n")
CASE(websocket_mix,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: websocket, rules: [{allow: {method: GET, operation_type: query}}]}\n",
	"p:6:71: error: p.endpoints[0].rules[0].allow: a GraphQL rule can't have method, path or query; make two rules of it\n")
CASE(websocket_text,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: websocket, rules: [{allow: {method: WEBSOCKET_TEXT}}, {allow: {operation_type: query}}]}\n",
	"p:6:71: warning: p.endpoints[0].rules[0].allow: no path is given, so it allows nothing; write path: \"/**\" for any\n"
	"p:6:106: error: p.endpoints[0].rules[1].allow: a rule for WEBSOCKET_TEXT would let every GraphQL message pass; remove one of them\n")
CASE(json_rpc_method,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: json-rpc, rules: [{allow: {path: /x}}]}\n",
	"p:6:70: error: p.endpoints[0].rules[0].allow: a rule for json-rpc needs a method; add the method's name, or \"*\"\n"
	"p:6:70: error: p.endpoints[0].rules[0].allow: a rule for json-rpc can't have params, tool, path or query; remove them\n")
CASE(json_rpc_pattern,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: json-rpc, rules: [{allow: {method: \"a*\"}}]}\n",
	"p:6:87: error: p.endpoints[0].rules[0].allow: json-rpc methods are exact, 'a*' is a pattern; write the whole name, or \"*\"\n")
CASE(json_rpc_fine,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: json-rpc, rules: [{allow: {method: \"*\"}}, {allow: {method: a.b}}]}\n",
	"")
CASE(mcp_method,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: mcp, rules: [{allow: {tool: x}}]}\n",
	"p:6:65: error: p.endpoints[0].rules[0].allow: a rule for mcp needs a method; add method: tools/call (or another)\n"
	"p:6:80: error: p.endpoints[0].rules[0].allow: a rule that names a tool needs method: tools/call; add method: tools/call\n")
CASE(mcp_pattern,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: mcp, rules: [{allow: {method: \"res*\"}}]}\n",
	"p:6:82: error: p.endpoints[0].rules[0].allow: method patterns are accepted only below tools/, not 'res*'; write tools/*, or the whole name\n")
CASE(mcp_tool_method,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: mcp, rules: [{allow: {method: tools/list, tool: x}}]}\n",
	"p:6:100: error: p.endpoints[0].rules[0].allow: a rule that names a tool needs method: tools/call; add method: tools/call\n")
CASE(mcp_tool_twice,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: mcp, rules: [{allow: {method: tools/call, tool: x, params: {name: y}}}]}\n",
	"p:6:112: error: p.endpoints[0].rules[0].allow: tool and params.name are the same thing; keep tool\n")
CASE(mcp_params,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: mcp, rules: [{allow: {method: tools/call, params: {arguments: y}}}]}\n",
	"p:6:103: error: p.endpoints[0].rules[0].allow: params.arguments can't be matched; only params.name can; remove it\n")
CASE(mcp_loose_pattern,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: mcp, mcp: {strict_tool_names: false}, rules: [{allow: {method: tools/call, tool: \"x*\"}}]}\n",
	"p:6:133: error: p.endpoints[0].rules[0].allow: the tool pattern 'x*' needs strict tool names; set mcp.strict_tool_names: true\n")
CASE(mcp_cover,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: mcp, rules: [{allow: {method: tools/call}}, {allow: {method: tools/call, tool: x}}]}\n",
	"p:6:65: error: p.endpoints[0].rules[0].allow: allows every tool, and rules[1] (line 6) allows single ones; remove one of them\n")
CASE(mcp_fine,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: mcp, rules: [{allow: {method: tools/call, tool: x}}]}\n",
	"")
CASE(mw_order,
	"version: 1\n"
	"network_middlewares:\n"
	"  a: {middleware: x, order: 1, endpoints: {include: [\"a.*\"]}}\n"
	"  b: {middleware: x, order: 1, endpoints: {include: [b.c]}}\n",
	"p:4:3: error: middlewares a and b have the same order 1; give each its own\n")
CASE(mw_bad,
	"version: 1\n"
	"network_middlewares: {a: {middleware: x, on_error: ignore, endpoints: {include: [\"{a,b}.c\", \"a..b\", \"a b\", \"\"]}}, b: {order: 1}}\n",
	"p:2:52: error: middleware a: unknown on_error 'ignore'; expected fail_closed or fail_open\n"
	"p:2:82: error: middleware a: host pattern '{a,b}.c' contains a brace\n"
	"p:2:93: error: middleware a: host pattern 'a..b' has an empty label\n"
	"p:2:101: error: middleware a: host pattern 'a b' contains whitespace\n"
	"p:2:108: error: middleware a: host pattern '' is empty\n"
	"p:2:115: error: middleware b: endpoints.include is empty; name the hosts in endpoints.include\n")
CASE(mw_tunnel,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, tls: skip}\n"
	"network_middlewares: {m: {middleware: x, endpoints: {include: [\"**.example.com\"]}}}\n",
	"p:7:23: error: middleware m is fail_closed but selects p.endpoints[0] (line 6), which has tls: skip; exclude the host, or set on_error: fail_open\n")
CASE(mw_tunnel_open,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, tls: skip}\n"
	"network_middlewares: {m: {middleware: x, on_error: fail_open, endpoints: {include: [\"**.example.com\"]}}}\n",
	"")
CASE(mw_many,
	"version: 1\n"
	"network_middlewares: {m0: {order: 0, endpoints: {include: [a.b]}}, m1: {order: 1, endpoints: {include: [a.b]}}, m2: {order: 2, endpoints: {include: [a.b]}}, m3: {order: 3, endpoints: {include: [a.b]}}, m4: {order: 4, endpoints: {include: [a.b]}}, m5: {order: 5, endpoints: {include: [a.b]}}, m6: {order: 6, endpoints: {include: [a.b]}}, m7: {order: 7, endpoints: {include: [a.b]}}, m8: {order: 8, endpoints: {include: [a.b]}}, m9: {order: 9, endpoints: {include: [a.b]}}, m10: {order: 10, endpoints: {include: [a.b]}}}\n",
	"p:2:23: error: 11 network_middlewares; at most 10\n")
CASE(amb_tls,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443}\n"
	"      - {host: a.example.com, port: 443, tls: skip}\n",
	"p:7:9: error: p.endpoints[1]: 'a.example.com' overlaps p.endpoints[0] (line 6, 'a.example.com') on port 443 but differs in tls; make them agree, or give one a more specific path or another port\n")
CASE(amb_address_spellings,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: \"fd00:77::1\", port: 443, tls: skip}\n"
	"      - {host: \"FD00:77:0::1\", port: 443}\n",
	"p:7:9: error: p.endpoints[1]: 'FD00:77:0::1' overlaps p.endpoints[0] (line 6, 'fd00:77::1') on port 443 but differs in tls; make them agree, or give one a more specific path or another port\n")
CASE(amb_address_others,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: \"fd00:77::1\", port: 443, tls: skip}\n"
	"      - {host: \"fd00:77::10\", port: 443}\n",
	"")
CASE(amb_ips_spellings,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, allowed_ips: [10.1.0.0/16, \"fd00:77::/64\", 10.2.0.0/16]}\n"
	"      - {host: a.example.com, port: 443, allowed_ips: [\"FD00:77:0::/64\", 10.2.0.0/16, 10.1.0.0/16, 10.2.0.0/16]}\n",
	"")
CASE(rule_paths_never,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: rest, rules: [{allow: {method: GET, path: \"/a/./b\"}}, {allow: {method: GET, path: \"/a/../b\"}}, {allow: {method: GET, path: \"/a/..\"}}, {allow: {method: GET, path: \"//a\"}}, {allow: {method: GET, path: \"/a#b\"}}, {allow: {method: GET, path: \"/a?b=c\"}}, {allow: {method: GET, path: \"/a?b\"}}, {allow: {method: GET, path: \"/a%2fb\"}}, {allow: {method: GET, path: \"/a%2Fb\"}}, {allow: {method: GET, path: \"/a b\"}}, {allow: {method: GET, path: \"/caf\\u00e9\"}}, {allow: {method: GET, path: \"/%7Ex\"}}, {allow: {method: GET, path: \"/%c3%a9\"}}, {allow: {method: GET, path: \"/%C3%A9\"}}, {allow: {method: GET, path: \"/a;b\"}}, {allow: {method: GET, path: \"/a\\\\#b\"}}, {allow: {method: GET, path: \"/a/\"}}, {allow: {method: GET, path: \"/.well-known/x\"}}]}\n",
	"p:6:94: warning: p.endpoints[0].rules[0].allow: path '/a/./b' has a dot segment, so it never matches; write the path that the server sees\n"
	"p:6:134: warning: p.endpoints[0].rules[1].allow: path '/a/../b' has a dot segment, so it never matches; write the path that the server sees\n"
	"p:6:175: warning: p.endpoints[0].rules[2].allow: path '/a/..' has a dot segment, so it never matches; write the path that the server sees\n"
	"p:6:214: warning: p.endpoints[0].rules[3].allow: path '//a' has an empty segment, so it never matches; write the path that the server sees\n"
	"p:6:251: warning: p.endpoints[0].rules[4].allow: path '/a#b' has '#', so it never matches; write the path that the server sees\n"
	"p:6:289: warning: p.endpoints[0].rules[5].allow: path '/a?b=c' has a query, and '?' in it stands for any one character; write query: {KEY: PATTERN}\n"
	"p:6:367: warning: p.endpoints[0].rules[7].allow: path '/a%2fb' has an encoded slash, which its endpoint does not keep, so it never matches; write /, or set allow_encoded_slash: true\n"
	"p:6:407: warning: p.endpoints[0].rules[8].allow: path '/a%2Fb' has an encoded slash, which its endpoint does not keep, so it never matches; write /, or set allow_encoded_slash: true\n"
	"p:6:447: warning: p.endpoints[0].rules[9].allow: path '/a b' has a character that paths have only percent-encoded, so it never matches; write the path that the server sees\n"
	"p:6:485: warning: p.endpoints[0].rules[10].allow: path '/caf\\u{e9}' has a character that paths have only percent-encoded, so it never matches; write the path that the server sees\n"
	"p:6:529: warning: p.endpoints[0].rules[11].allow: path '/%7Ex' has an escape for a character that is compared as it is, so it never matches; write the character itself\n"
	"p:6:568: warning: p.endpoints[0].rules[12].allow: path '/%c3%a9' has an escape in lower case, so it never matches; write its digits in upper case\n"
	"p:6:650: warning: p.endpoints[0].rules[14].allow: path '/a;b' has ';', which is cut from paths, so it never matches; write the path that the server sees\n")
CASE(rule_paths_encoded_slash,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: rest, allow_encoded_slash: true, rules: [{allow: {method: GET, path: \"/a%2fb\"}}, {allow: {method: GET, path: \"/a%2Fb\"}}]}\n",
	"p:6:121: warning: p.endpoints[0].rules[0].allow: path '/a%2fb' has an escape in lower case, so it never matches; write its digits in upper case\n")
CASE(rule_path_missing,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: rest, rules: [{allow: {method: GET}}]}\n",
	"p:6:66: warning: p.endpoints[0].rules[0].allow: no path is given, so it allows nothing; write path: \"/**\" for any\n")
CASE(deny_path_missing_is_every_path,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: rest, access: full, deny_rules: [{method: DELETE}]}\n",
	"")
CASE(places_of_keys,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - host: a.example.com\n"
	"        port: 443\n"
	"        protocol: tcp\n"
	"        path: /x\n"
	"        tls: skip\n"
	"        enforcement: enforce\n"
	"        access: full\n"
	"        h2c: true\n"
	"        credential_binding: {provider: x}\n"
	"      - host: b.example.com\n"
	"        port: 443\n"
	"        protocol: tcp\n"
	"        rules:\n"
	"          - {allow: {method: GET, path: /x}}\n"
	"      - host: c.example.com\n"
	"        port: 5432\n"
	"        protocol: postgres\n"
	"        enforcement: enforce\n"
	"        access: full\n"
	"        tls: skip\n"
	"      - host: d.example.com\n"
	"        port: 443\n"
	"        signing_region: eu-1\n"
	"        json_rpc: {}\n",
	"p:9:9: error: p.endpoints[0]: protocol tcp is not inspected and can't have path; remove it\n"
	"p:10:9: error: p.endpoints[0]: protocol tcp is not inspected and can't have tls; remove it\n"
	"p:11:9: error: p.endpoints[0]: protocol tcp is not inspected and can't have enforcement; remove it\n"
	"p:12:9: error: p.endpoints[0]: protocol tcp is not inspected and can't have access; remove it\n"
	"p:13:9: error: p.endpoints[0]: protocol tcp is not inspected and can't have h2c; remove it\n"
	"p:14:9: error: p.endpoints[0]: protocol tcp is not inspected and can't have credential_binding; remove it\n"
	"p:18:9: error: p.endpoints[1]: protocol tcp is not inspected and can't have rules; remove it\n"
	"p:25:9: error: p.endpoints[2]: protocol postgres can't have tls; remove it\n"
	"p:29:9: warning: p.endpoints[3]: json_rpc is ignored here; remove it\n"
	"p:28:9: warning: p.endpoints[3]: signing_region is ignored here; remove it\n")
CASE(amb_tls_other_port,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443}\n"
	"      - {host: a.example.com, port: 444, tls: skip}\n",
	"")
CASE(amb_tls_ports,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, ports: [1, 2, 3]}\n"
	"      - {host: A.Example.com, ports: [3, 2], tls: skip}\n",
	"p:7:9: error: p.endpoints[1]: 'A.Example.com' overlaps p.endpoints[0] (line 6, 'a.example.com') on port 2, 3 but differs in tls; make them agree, or give one a more specific path or another port\n")
CASE(amb_pattern,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: \"*.example.com\", port: 443, allowed_ips: [10.1.0.0/16]}\n"
	"      - {host: a.example.com, port: 443}\n",
	"p:7:9: error: p.endpoints[1]: 'a.example.com' overlaps p.endpoints[0] (line 6, '*.example.com') on port 443 but differs in allowed_ips; make them agree, or give one a more specific path or another port\n")
CASE(amb_double_star,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: \"**.example.com\", port: 443, tls: skip}\n"
	"      - {host: a.b.example.com, port: 443}\n"
	"      - {host: example.com, port: 443}\n",
	"p:7:9: error: p.endpoints[1]: 'a.b.example.com' overlaps p.endpoints[0] (line 6, '**.example.com') on port 443 but differs in tls; make them agree, or give one a more specific path or another port\n")
CASE(a3_amb_label,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: \"*.allowed.com\", port: 443, tls: skip}\n"
	"      - {host: notallowed.com, port: 443}\n"
	"      - {host: x.notallowed.com, port: 443}\n"
	"      - {host: a.b.allowed.com, port: 443}\n",
	"")
CASE(amb_two_patterns,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: \"a-*.x.example.com\", port: 443, tls: skip}\n"
	"      - {host: \"*-b.*.example.com\", port: 443}\n",
	"p:7:9: error: p.endpoints[1]: '*-b.*.example.com' overlaps p.endpoints[0] (line 6, 'a-*.x.example.com') on port 443 but differs in tls; make them agree, or give one a more specific path or another port\n")
CASE(amb_two_patterns_apart,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: \"a-*.x.example.com\", port: 443, tls: skip}\n"
	"      - {host: \"b-*.*.example.com\", port: 443}\n",
	"")
CASE(amb_hostless,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {port: 443, allowed_ips: [10.1.0.0/16]}\n"
	"      - {host: a.example.com, port: 443}\n",
	"p:7:9: error: p.endpoints[1]: 'a.example.com' overlaps p.endpoints[0] (line 6, '') on port 443 but differs in allowed_ips; make them agree, or give one a more specific path or another port\n")
CASE(amb_ips_set,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, allowed_ips: [10.1.0.0/16, 10.2.0.0/16]}\n"
	"      - {host: a.example.com, port: 443, allowed_ips: [10.2.0.0/16, 10.1.0.0/16]}\n",
	"")
CASE(amb_tcp,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443}\n"
	"      - {host: a.example.com, port: 443, protocol: tcp}\n",
	"p:7:9: error: p.endpoints[1]: 'a.example.com' overlaps p.endpoints[0] (line 6, 'a.example.com') on port 443 but differs in protocol tcp; make them agree, or give one a more specific path or another port\n")
CASE(amb_l4_l7_fine,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443}\n"
	"      - {host: a.example.com, port: 443, protocol: rest, access: full}\n",
	"")
CASE(amb_enforcement,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: rest, access: full}\n"
	"      - {host: a.example.com, port: 443, protocol: rest, access: full, enforcement: enforce}\n",
	"p:7:9: error: p.endpoints[1]: 'a.example.com' overlaps p.endpoints[0] (line 6, 'a.example.com') on port 443 but differs in enforcement; make them agree, or give one a more specific path or another port\n")
CASE(amb_protocol,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: rest, access: full}\n"
	"      - {host: a.example.com, port: 443, protocol: graphql, access: full}\n",
	"p:7:9: error: p.endpoints[1]: 'a.example.com' overlaps p.endpoints[0] (line 6, 'a.example.com') on port 443 but differs in protocol; make them agree, or give one a more specific path or another port\n")
CASE(amb_slash,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: rest, access: full, path: \"/a/**\"}\n"
	"      - {host: a.example.com, port: 443, protocol: rest, access: full, path: \"/a/*\", allow_encoded_slash: true}\n",
	"p:7:9: error: p.endpoints[1]: 'a.example.com' overlaps p.endpoints[0] (line 6, 'a.example.com') on port 443 but differs in allow_encoded_slash; make them agree, or give one a more specific path or another port\n")
CASE(amb_specific_fine,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: rest, access: full, path: \"/a/**\"}\n"
	"      - {host: a.example.com, port: 443, protocol: rest, access: full, path: \"/a/b/**\", allow_encoded_slash: true}\n",
	"")
CASE(amb_paths_apart,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: rest, access: full, path: \"/a/**\"}\n"
	"      - {host: a.example.com, port: 443, protocol: rest, access: full, path: \"/b/**\", allow_encoded_slash: true}\n",
	"")
CASE(amb_body,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: mcp, mcp: {max_body_bytes: 65536}, rules: [{allow: {method: x}}]}\n"
	"      - {host: a.example.com, port: 443, protocol: mcp, mcp: {strict_tool_names: false, max_body_bytes: 1}, rules: [{allow: {method: x}}]}\n",
	"p:7:9: error: p.endpoints[1]: 'a.example.com' overlaps p.endpoints[0] (line 6, 'a.example.com') on port 443 but differs in mcp.max_body_bytes, mcp.strict_tool_names; make them agree, or give one a more specific path or another port\n")
CASE(amb_binaries_do_not_matter,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443}\n"
	"  q: {binaries: [{path: /usr/bin/git}], endpoints: [{host: a.example.com, port: 443, tls: skip}]}\n",
	"p:7:53: error: q.endpoints[0]: 'a.example.com' overlaps p.endpoints[0] (line 6, 'a.example.com') on port 443 but differs in tls; make them agree, or give one a more specific path or another port\n")
CASE(tools_fine,
	"version: 1\n"
	"tools:\n"
	"  r:\n"
	"    tools: [a.*, \"**\", \"{x,y}.z\"]\n"
	"    binaries: [{path: /usr/bin/a}, {path: \"/opt/**\"}]\n"
	"    arguments:\n"
	"      - {path: $, length: {min: 1, max: 3}}\n"
	"      - {path: \"$.a['b c'][0][*]\", in: [1, a, null, {x: [1]}], optional: true}\n"
	"      - {path: $.n, range: {min: -1.5, max: 10}}\n"
	"      - {path: $.n, range: {min: 10}}\n"
	"      - {path: $.g, glob: \"refs/**\"}\n"
	"    limits: {calls: 1}\n"
	"    approval: always\n",
	"")
CASE(tools_none,
	"version: 1\n"
	"tools: {}\n",
	"")
CASE(tools_empty,
	"version: 1\n"
	"tools:\n"
	"  r: {tools: []}\n"
	"  s: {tools: [\"\", \"[a\"], binaries: [], arguments: [], limits: {}}\n"
	"  \"\": {tools: [a]}\n",
	"p:3:14: error: r: tools is empty; list names, or remove the rule\n"
	"p:4:15: error: s: tools[0] is empty; remove it\n"
	"p:4:19: error: s: tools[1]: '[a' is a malformed glob\n"
	"p:4:3: error: s: binaries is empty; list programs, or remove it to allow every program\n"
	"p:4:3: error: s: arguments is empty; list conditions, or remove it to allow any arguments\n"
	"p:4:3: warning: s: limits is empty; add calls, concurrency, seconds or bytes, or remove it\n"
	"p:5:3: error: a rule about tools needs a name\n")
CASE(tools_commented_out,
	"version: 1\n"
	"tools:\n"
	"  r:\n"
	"    tools: [a]\n"
	"    binaries:\n"
	"    #  - {path: /usr/bin/a}\n"
	"    arguments:\n"
	"    #  - {path: $.a, equals: 1}\n",
	"p:3:3: error: r: binaries is empty; list programs, or remove it to allow every program\n"
	"p:3:3: error: r: arguments is empty; list conditions, or remove it to allow any arguments\n")
CASE(tools_star,
	"version: 1\n"
	"tools:\n"
	"  r: {tools: [\"*\"]}\n",
	"p:3:15: warning: r: tools[0]: '*' is only names without a dot; write ** if every tool is meant\n")
CASE(tools_name_long,
	"version: 1\n"
	"tools:\n"
	"  r: {tools: [aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]}\n",
	"p:3:15: error: r: tools[0] is longer than 256 bytes\n")
CASE(tools_too_many,
	"version: 1\n"
	"tools:\n"
	"  r: {tools: [a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a, a]}\n",
	"p:3:14: error: r: tools has 65 names; at most 64; use globs, or a second rule\n")
CASE(tools_binary,
	"version: 1\n"
	"tools:\n"
	"  r: {tools: [a], binaries: [{path: \"\"}, {path: usr/bin/a}, {path: \"/a*[\"}]}\n",
	"p:3:37: error: r: binaries[0]: the path is empty; write the program's absolute path\n"
	"p:3:49: warning: r: binaries[1]: 'usr/bin/a' is not absolute and matches no program; write the program's absolute path\n"
	"p:3:68: error: r: binaries[2]: '/a*[' is a malformed glob\n")
CASE(tools_path_root,
	"version: 1\n"
	"tools:\n"
	"  r:\n"
	"    tools: [a.b]\n"
	"    arguments:\n"
	"      - {path: a.b, equals: 1}\n",
	"p:6:16: error: r.arguments[0]: path 'a.b': a path starts with $, at character 1\n")
CASE(tools_path_empty,
	"version: 1\n"
	"tools:\n"
	"  r:\n"
	"    tools: [a.b]\n"
	"    arguments:\n"
	"      - {path: \"\", equals: 1}\n",
	"p:6:16: error: r.arguments[0]: path '': a path starts with $, at character 1\n")
CASE(tools_path_dots,
	"version: 1\n"
	"tools:\n"
	"  r:\n"
	"    tools: [a.b]\n"
	"    arguments:\n"
	"      - {path: $..a, equals: 1}\n",
	"p:6:16: error: r.arguments[0]: path '$..a': '..' is not supported; name the members on the way, at character 3\n")
CASE(tools_path_star,
	"version: 1\n"
	"tools:\n"
	"  r:\n"
	"    tools: [a.b]\n"
	"    arguments:\n"
	"      - {path: \"$.*\", equals: 1}\n",
	"p:6:16: error: r.arguments[0]: path '$.*': '.*' is not supported; write [*], at character 3\n")
CASE(tools_path_dash,
	"version: 1\n"
	"tools:\n"
	"  r:\n"
	"    tools: [a.b]\n"
	"    arguments:\n"
	"      - {path: $.a-b, equals: 1}\n",
	"p:6:16: error: r.arguments[0]: path '$.a-b': .name, ['name'], [0] or [*] should follow, at character 4\n")
CASE(tools_path_digit,
	"version: 1\n"
	"tools:\n"
	"  r:\n"
	"    tools: [a.b]\n"
	"    arguments:\n"
	"      - {path: $.1, equals: 1}\n",
	"p:6:16: error: r.arguments[0]: path '$.1': a member's name should follow; write others as ['name'], at character 3\n")
CASE(tools_path_quotes,
	"version: 1\n"
	"tools:\n"
	"  r:\n"
	"    tools: [a.b]\n"
	"    arguments:\n"
	"      - {path: '$[\"a\"]', equals: 1}\n",
	"p:6:16: error: r.arguments[0]: path '$[\"a\"]': names in brackets have single quotes: ['name'], at character 3\n")
CASE(tools_path_unclosed,
	"version: 1\n"
	"tools:\n"
	"  r:\n"
	"    tools: [a.b]\n"
	"    arguments:\n"
	"      - {path: \"$['a\", equals: 1}\n",
	"p:6:16: error: r.arguments[0]: path '$['a': the quote is not closed, at character 5\n")
CASE(tools_path_bracket,
	"version: 1\n"
	"tools:\n"
	"  r:\n"
	"    tools: [a.b]\n"
	"    arguments:\n"
	"      - {path: \"$['a'\", equals: 1}\n",
	"p:6:16: error: r.arguments[0]: path '$['a'': ']' should follow, at character 6\n")
CASE(tools_path_escape,
	"version: 1\n"
	"tools:\n"
	"  r:\n"
	"    tools: [a.b]\n"
	"    arguments:\n"
	"      - {path: '$[''\\n'']', equals: 1}\n",
	"p:6:16: error: r.arguments[0]: path '$['\\n']': only \\' and \\\\ can be escaped, at character 5\n")
CASE(tools_path_negative,
	"version: 1\n"
	"tools:\n"
	"  r:\n"
	"    tools: [a.b]\n"
	"    arguments:\n"
	"      - {path: \"$[-1]\", equals: 1}\n",
	"p:6:16: error: r.arguments[0]: path '$[-1]': negative indices are not supported, at character 3\n")
CASE(tools_path_zero,
	"version: 1\n"
	"tools:\n"
	"  r:\n"
	"    tools: [a.b]\n"
	"    arguments:\n"
	"      - {path: \"$[01]\", equals: 1}\n",
	"p:6:16: error: r.arguments[0]: path '$[01]': an index has no zero in front, at character 5\n")
CASE(tools_path_large,
	"version: 1\n"
	"tools:\n"
	"  r:\n"
	"    tools: [a.b]\n"
	"    arguments:\n"
	"      - {path: \"$[10000000]\", equals: 1}\n",
	"p:6:16: error: r.arguments[0]: path '$[10000000]': the index is too large, at character 11\n")
CASE(tools_path_slice,
	"version: 1\n"
	"tools:\n"
	"  r:\n"
	"    tools: [a.b]\n"
	"    arguments:\n"
	"      - {path: \"$[0:2]\", equals: 1}\n",
	"p:6:16: error: r.arguments[0]: path '$[0:2]': ']' should follow, at character 4\n")
CASE(tools_path_filter,
	"version: 1\n"
	"tools:\n"
	"  r:\n"
	"    tools: [a.b]\n"
	"    arguments:\n"
	"      - {path: \"$[?@.a]\", equals: 1}\n",
	"p:6:16: error: r.arguments[0]: path '$[?@.a]': ['name'], [0] or [*] should follow, at character 3\n")
CASE(tools_path_end,
	"version: 1\n"
	"tools:\n"
	"  r:\n"
	"    tools: [a.b]\n"
	"    arguments:\n"
	"      - {path: $., equals: 1}\n",
	"p:6:16: error: r.arguments[0]: path '$.': a member's name should follow; write others as ['name'], at character 3\n")
CASE(tools_path_steps,
	"version: 1\n"
	"tools:\n"
	"  r:\n"
	"    tools: [a.b]\n"
	"    arguments:\n"
	"      - {path: $.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a, equals: 1}\n",
	"p:6:16: error: r.arguments[0]: path '$.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a': the path has too many steps, at character 36\n")
CASE(tools_path_long,
	"version: 1\n"
	"tools:\n"
	"  r:\n"
	"    tools: [a.b]\n"
	"    arguments:\n"
	"      - {path: $.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, equals: 1}\n",
	"p:6:16: error: r.arguments[0]: path '$.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa': the path is too long, at character 1\n")
CASE(tools_no_test,
	"version: 1\n"
	"tools:\n"
	"  r:\n"
	"    tools: [a.b]\n"
	"    arguments:\n"
	"      - {path: $.a, optional: true}\n",
	"p:6:9: error: r.arguments[0]: nothing is asked of the value; add one of equals, in, glob, range, length\n")
CASE(tools_two_tests,
	"version: 1\n"
	"tools:\n"
	"  r:\n"
	"    tools: [a.b]\n"
	"    arguments:\n"
	"      - {path: $.a, equals: 1, glob: b, length: {max: 1}}\n",
	"p:6:9: error: r.arguments[0]: both equals and glob are given; make two conditions on the same path of it\n"
	"p:6:9: error: r.arguments[0]: both equals and length are given; make two conditions on the same path of it\n")
CASE(tools_constants,
	"version: 1\n"
	"tools:\n"
	"  r:\n"
	"    tools: [a.b]\n"
	"    arguments:\n"
	"      - {path: $.a, equals: +1}\n"
	"      - {path: $.b, equals: {x: [01]}}\n"
	"      - {path: $.c, in: [1., a]}\n",
	"p:6:29: error: r.arguments[0]: '+1' is no number in JSON; write it as in JSON, or in quotes if it is a string\n"
	"p:7:34: error: r.arguments[1]: '01' is no number in JSON; write it as in JSON, or in quotes if it is a string\n"
	"p:8:26: error: r.arguments[2]: '1.' is no number in JSON; write it as in JSON, or in quotes if it is a string\n")
CASE(tools_in,
	"version: 1\n"
	"tools:\n"
	"  r:\n"
	"    tools: [a.b]\n"
	"    arguments:\n"
	"      - {path: $.a, in: bug}\n"
	"      - {path: $.b, in: []}\n"
	"      - {path: $.c, in: {a: 1}}\n"
	"      - {path: $.d, in: [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]}\n",
	"p:6:25: error: r.arguments[0]: in: expected a list; write in: [a, b]\n"
	"p:7:25: error: r.arguments[1]: in is empty; list values, or remove the condition\n"
	"p:8:25: error: r.arguments[2]: in: expected a list; write in: [a, b]\n"
	"p:9:25: error: r.arguments[3]: in has 257 values; at most 256; use a glob or a range\n")
CASE(tools_glob,
	"version: 1\n"
	"tools:\n"
	"  r:\n"
	"    tools: [a.b]\n"
	"    arguments:\n"
	"      - {path: $.a, glob: \"\"}\n"
	"      - {path: $.b, glob: \"[\"}\n",
	"p:6:27: error: r.arguments[0]: glob is empty; write equals: \"\" if that is meant\n"
	"p:7:27: error: r.arguments[1]: '[' is a malformed glob\n")
CASE(tools_range,
	"version: 1\n"
	"tools:\n"
	"  r:\n"
	"    tools: [a.b]\n"
	"    arguments:\n"
	"      - {path: $.a, range: {}}\n"
	"      - {path: $.b, range: {min: 2, max: 1.5}}\n"
	"      - {path: $.c, range: {min: \"1\", max: a}}\n"
	"      - {path: $.d, range: {max: 01}}\n",
	"p:6:9: error: r.arguments[0]: range is empty; add min or max\n"
	"p:7:34: error: r.arguments[1]: range: min 2 is larger than max 1.5\n"
	"p:8:34: error: r.arguments[2]: range.min: expected a number; remove the quotes, if there are any\n"
	"p:8:44: error: r.arguments[2]: range.max: expected a number; remove the quotes, if there are any\n"
	"p:9:34: error: r.arguments[3]: '01' is no number in JSON; write it as in JSON, or in quotes if it is a string\n")
CASE(tools_length,
	"version: 1\n"
	"tools:\n"
	"  r:\n"
	"    tools: [a.b]\n"
	"    arguments:\n"
	"      - {path: $.a, length: {}}\n"
	"      - {path: $.b, length: {min: 2, max: 1}}\n",
	"p:6:9: error: r.arguments[0]: length is empty; add min or max\n"
	"p:7:9: error: r.arguments[1]: length: min 2 is larger than max 1\n")
CASE(tools_contradiction_equals,
	"version: 1\n"
	"tools:\n"
	"  r:\n"
	"    tools: [a.b]\n"
	"    arguments:\n"
	"      - {path: $.a, equals: 1}\n"
	"      - {path: \"$['a']\", equals: 2}\n",
	"p:7:9: error: r.arguments[1]: contradicts arguments[0] (line 6): no value of $['a'] satisfies both; a rule's arguments must all hold; make two rules of it\n")
CASE(tools_contradiction_same_number,
	"version: 1\n"
	"tools:\n"
	"  r:\n"
	"    tools: [a.b]\n"
	"    arguments:\n"
	"      - {path: $.a, equals: 1}\n"
	"      - {path: $.a, equals: 1.0}\n",
	"")
CASE(tools_contradiction_in,
	"version: 1\n"
	"tools:\n"
	"  r:\n"
	"    tools: [a.b]\n"
	"    arguments:\n"
	"      - {path: $.a, in: [a, b]}\n"
	"      - {path: $.a, glob: \"c*\"}\n",
	"p:7:9: error: r.arguments[1]: contradicts arguments[0] (line 6): no value of $.a satisfies both; a rule's arguments must all hold; make two rules of it\n")
CASE(tools_contradiction_in_fine,
	"version: 1\n"
	"tools:\n"
	"  r:\n"
	"    tools: [a.b]\n"
	"    arguments:\n"
	"      - {path: $.a, in: [a, cd]}\n"
	"      - {path: $.a, glob: \"c*\"}\n",
	"")
CASE(tools_contradiction_range,
	"version: 1\n"
	"tools:\n"
	"  r:\n"
	"    tools: [a.b]\n"
	"    arguments:\n"
	"      - {path: $.a, range: {min: 5}}\n"
	"      - {path: $.a, range: {max: 4}}\n",
	"p:7:9: error: r.arguments[1]: contradicts arguments[0] (line 6): no value of $.a satisfies both; a rule's arguments must all hold; make two rules of it\n")
CASE(tools_contradiction_length,
	"version: 1\n"
	"tools:\n"
	"  r:\n"
	"    tools: [a.b]\n"
	"    arguments:\n"
	"      - {path: $.a, length: {max: 4}}\n"
	"      - {path: $.a, length: {min: 5}}\n",
	"p:7:9: error: r.arguments[1]: contradicts arguments[0] (line 6): no value of $.a satisfies both; a rule's arguments must all hold; make two rules of it\n")
CASE(tools_contradiction_type,
	"version: 1\n"
	"tools:\n"
	"  r:\n"
	"    tools: [a.b]\n"
	"    arguments:\n"
	"      - {path: $.a, glob: \"*\"}\n"
	"      - {path: $.a, range: {max: 4}}\n",
	"p:7:9: error: r.arguments[1]: contradicts arguments[0] (line 6): no value of $.a satisfies both; a rule's arguments must all hold; make two rules of it\n")
CASE(tools_contradiction_later,
	"version: 1\n"
	"tools:\n"
	"  r:\n"
	"    tools: [a.b]\n"
	"    arguments:\n"
	"      - {path: $.a, length: {min: 2}}\n"
	"      - {path: $.b, equals: 1}\n"
	"      - {path: $.a, in: [x, 1]}\n",
	"p:8:9: error: r.arguments[2]: contradicts arguments[0] (line 6): no value of $.a satisfies both; a rule's arguments must all hold; make two rules of it\n")
CASE(tools_shadowed,
	"version: 1\n"
	"tools:\n"
	"  r: {tools: [\"a.*\"]}\n"
	"  s: {tools: [a.b], approval: always}\n"
	"  t: {tools: [a.b, c]}\n"
	"  u: {tools: [\"a.*\"], arguments: [{path: $.a, equals: 1}]}\n",
	"p:4:3: warning: s: is never asked: rule r (line 3) allows its tools with any arguments; put the rule that asks for more first\n"
	"p:6:3: warning: u: is never asked: rule r (line 3) allows its tools with any arguments; put the rule that asks for more first\n")
CASE(tools_shadowed_not,
	"version: 1\n"
	"tools:\n"
	"  r: {tools: [a.b], binaries: [{path: /a}]}\n"
	"  s: {tools: [a.b], arguments: [{path: $.a, equals: 1}]}\n"
	"  t: {tools: [a.b]}\n",
	"")
CASE(approve_fine,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: rest, access: read-only, enforcement: approve}\n",
	"")
CASE(approve_full,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: rest, access: full, enforcement: approve}\n",
	"p:6:85: warning: p.endpoints[0]: access: full allows every request, so none is left to approve; use read-only, read-write or rules\n")
CASE(approve_l4,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, enforcement: approve}\n",
	"p:6:55: error: p.endpoints[0]: enforcement: approve needs a protocol: without one, requests are not decided; add protocol: rest\n")
CASE(approve_tcp,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: tcp, enforcement: approve}\n",
	"p:6:57: error: p.endpoints[0]: protocol tcp is not inspected and can't have enforcement; remove it\n")
CASE(approve_websocket,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: websocket, access: read-only, enforcement: approve}\n",
	"p:6:95: error: p.endpoints[0]: enforcement: approve can't be combined with protocol websocket, only with rest; use enforcement: enforce\n")
CASE(approve_postgres,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: postgres, access: read-only, enforcement: approve}\n",
	"p:6:94: error: p.endpoints[0]: enforcement: approve can't be combined with protocol postgres, only with rest; use enforcement: enforce\n")
CASE(approve_skip,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: rest, access: read-only, enforcement: approve, tls: skip}\n",
	"p:6:90: error: p.endpoints[0]: enforcement: approve can't be combined with tls: skip, which hides requests; remove tls: skip\n"
	"p:6:104: warning: p.endpoints[0]: tls: skip on port 443 hides requests from the rules; remove tls: skip to have the rules obeyed\n")
CASE(approve_graphql,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: graphql, access: read-only, enforcement: approve}\n",
	"p:6:93: error: p.endpoints[0]: enforcement: approve can't be combined with protocol graphql, only with rest; use enforcement: enforce\n")
CASE(approve_beside_enforce,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: rest, access: read-only, enforcement: approve}\n"
	"      - {host: a.example.com, port: 443, protocol: rest, access: read-only, enforcement: enforce}\n",
	"p:7:9: error: p.endpoints[1]: 'a.example.com' overlaps p.endpoints[0] (line 6, 'a.example.com') on port 443 but differs in enforcement; make them agree, or give one a more specific path or another port\n")
/* clang-format on */
