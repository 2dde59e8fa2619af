/* SPDX-License-Identifier: Apache-2.0 */
/* cases_load.h - policies and what is said about them, word for word; see test_load.c */
/* clang-format off */
CASE(empty,
	"",
	"p:1:1: error: the policy is empty; it needs at least \"version: 1\"\n")
CASE(only_a_comment,
	"# nothing\n",
	"p:1:1: error: the policy is empty; it needs at least \"version: 1\"\n")
CASE(null_document,
	"--- ~\n",
	"p:1:5: error: the policy is empty; it needs at least \"version: 1\"\n")
CASE(a_list,
	"- a\n",
	"p:1:1: error: a policy is a mapping of keys, this is a list; it begins with \"version: 1\"\n")
CASE(a_string,
	"hello\n",
	"p:1:1: error: a policy is a mapping of keys, this is a string; it begins with \"version: 1\"\n")
CASE(nul,
	"version: 1\n"
	"x\000: 1\n",
	"p:2:2: error: NUL byte 0x00; a policy is UTF-8 text without control characters\n")
CASE(escape_byte,
	"version: 1\n"
	"# \033[2J\n",
	"p:2:3: error: control character 0x1b; a policy is UTF-8 text without control characters\n")
CASE(not_utf8,
	"version: 1\n"
	"# \303\251 \377\n",
	"p:2:5: error: not UTF-8: byte 0xff; a policy is UTF-8 text without control characters\n")
CASE(utf16,
	"\377\376v\000e\000",
	"p:1:1: error: not UTF-8: byte 0xff; a policy is UTF-8 text without control characters\n")
CASE(two_documents,
	"version: 1\n"
	"---\n"
	"version: 1\n",
	"p:2:1: error: a second YAML document begins here; keep one of them in this file\n")
CASE(no_version,
	"network_policies: {}\n",
	"p:1:1: error: a policy needs the key 'version'; add it\n")
CASE(version_2,
	"version: 2\n",
	"p:1:10: error: version 2 is not supported; write version: 1\n")
CASE(version_quoted,
	"version: \"1\"\n",
	"p:1:10: error: version: expected the number 1, found a string '1'; write version: 1\n")
CASE(version_float,
	"version: 1.0\n",
	"p:1:10: error: version: expected a number from 0 to 4294967295, found a number '1.0'\n")
CASE(unknown_top,
	"version: 1\n"
	"filesystem: {}\n",
	"p:2:1: error: unknown key 'filesystem' in a policy; did you mean 'filesystem_policy'?\n")
CASE(unknown_far,
	"version: 1\n"
	"frobnicate: {a: [b, {c: d}]}\n"
	"process: {x: 1}\n",
	"p:2:1: error: unknown key 'frobnicate' in a policy; known here: version, filesystem_policy, landlock, process, network_policies, network_middlewares, tools\n"
	"p:3:11: error: process: unknown key 'x' in process; known here: run_as_user, run_as_group\n")
CASE(unknown_case,
	"version: 1\n"
	"Process: {}\n",
	"p:2:1: error: unknown key 'Process' in a policy; did you mean 'process'?\n")
CASE(duplicate_top,
	"version: 1\n"
	"version: 1\n",
	"p:2:1: error: duplicate key 'version', first at line 1; keep one of them\n")
CASE(duplicate_policy,
	"version: 1\n"
	"network_policies:\n"
	"  a: {}\n"
	"  b: {}\n"
	"  a: {}\n",
	"p:5:3: error: duplicate key 'a', first at line 3; keep one of them\n")
CASE(anchor,
	"version: 1\n"
	"process: &p {}\n",
	"p:2:10: error: anchors (&name) are not accepted; remove it\n")
CASE(alias,
	"version: 1\n"
	"process: {run_as_user: *u}\n",
	"p:2:24: error: aliases (*name) are not accepted; write the value out\n"
	"p:2:24: error: process: run_as_user: expected a string, found nothing; give it a value or remove it\n")
CASE(tag,
	"version: !!int 1\n",
	"p:1:10: error: tags (!name) are not accepted; remove it\n")
CASE(merge_key,
	"version: 1\n"
	"process: {<<: {run_as_user: a}}\n",
	"p:2:11: error: process: merge keys (<<) are not accepted\n")
CASE(key_not_scalar,
	"version: 1\n"
	"? [a]\n"
	": b\n",
	"p:2:3: error: a key must be a string\n")
CASE(tab,
	"version: 1\n"
	"process:\n"
	"\011run_as_user: a\n",
	"p:3:1: error: not YAML: found character that cannot start any token (while scanning for the next token that begins at line 3); indent with spaces, and quote values that begin with @, ` or %\n")
CASE(unclosed,
	"version: 1\n"
	"process: {run_as_user: a\n",
	"p:3:1: error: not YAML: did not find expected ',' or '}' (while parsing a flow mapping that begins at line 2)\n")
CASE(b7_deep,
	"version: 1\n"
	"x: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\n",
	"p:2:1: error: unknown key 'x' in a policy; known here: version, filesystem_policy, landlock, process, network_policies, network_middlewares, tools\n"
	"p:2:27: error: nested more than 24 deep\n")
CASE(section_is_list,
	"version: 1\n"
	"process: []\n",
	"p:2:10: error: process: expected a mapping, found a list\n")
CASE(list_is_string,
	"version: 1\n"
	"filesystem_policy: {read_only: /usr}\n",
	"p:2:32: error: filesystem_policy: read_only: expected a list, found a string '/usr'\n")
CASE(text_is_mapping,
	"version: 1\n"
	"process: {run_as_user: {}}\n",
	"p:2:24: error: process: run_as_user: expected a string, found a mapping\n")
CASE(text_is_nothing,
	"version: 1\n"
	"process: {run_as_user: }\n",
	"p:2:24: error: process: run_as_user: expected a string, found nothing; give it a value or remove it\n")
CASE(bool_yes,
	"version: 1\n"
	"filesystem_policy: {include_workdir: yes}\n",
	"p:2:38: error: filesystem_policy: include_workdir: expected true or false, found a string 'yes'; write true or false, without quotes; yes, no, on and off are strings\n")
CASE(bool_quoted,
	"version: 1\n"
	"filesystem_policy: {include_workdir: \"true\"}\n",
	"p:2:38: error: filesystem_policy: include_workdir: expected true or false, found a string 'true'; write true or false, without quotes; yes, no, on and off are strings\n")
CASE(compatibility,
	"version: 1\n"
	"landlock: {compatibility: strict}\n",
	"p:2:27: error: landlock: unknown compatibility 'strict'; expected best_effort, hard_requirement\n")
CASE(several,
	"version: 2\n"
	"process: {a: 1}\n"
	"landlock: []\n",
	"p:1:10: error: version 2 is not supported; write version: 1\n"
	"p:2:11: error: process: unknown key 'a' in process; known here: run_as_user, run_as_group\n"
	"p:3:11: error: landlock: expected a mapping, found a list\n")
CASE(port_quoted,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: \"443\"}\n",
	"p:6:37: error: p.endpoints[0]: port: expected a number from 1 to 65535, found a string '443'; remove the quotes\n")
CASE(port_0,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 0}\n",
	"p:6:37: error: p.endpoints[0]: port: expected a number from 1 to 65535, found a number '0'\n")
CASE(port_65536,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 65536}\n",
	"p:6:37: error: p.endpoints[0]: port: expected a number from 1 to 65535, found a number '65536'\n")
CASE(port_octal,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 0443}\n",
	"p:6:37: error: p.endpoints[0]: port: expected a number from 1 to 65535, found a number '0443'\n")
CASE(port_list,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: [443]}\n",
	"p:6:37: error: p.endpoints[0]: port: expected a number from 1 to 65535, found a list\n")
CASE(ports_one,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, ports: 443}\n",
	"p:6:38: error: p.endpoints[0]: ports: expected a list, found a number '443'\n")
CASE(port_and_ports,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, ports: [80]}\n",
	"p:6:49: error: p.endpoints[0]: both port and ports are given; keep ports\n")
CASE(unknown_in_endpoint,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {hots: a, port: 1}\n",
	"p:6:10: error: p.endpoints[0]: unknown key 'hots' in an endpoint; known here: host, port, ports, path, protocol, tls, enforcement, access, rules, deny_rules, allowed_ips, allow_encoded_slash, h2c, websocket_credential_rewrite, request_body_credential_rewrite, allow_uninspected_credentials, credential_signing, signing_service, signing_region, credential_binding, token_endpoint, credential_mode, scrub, body_hold, persisted_queries, graphql_persisted_queries, graphql_max_body_bytes, json_rpc, mcp\n")
CASE(protocol_unknown,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: ftp}\n",
	"p:6:52: error: p.endpoints[0]: unknown protocol 'ftp'; expected tcp, rest, websocket, graphql, mcp, json-rpc, sql, postgres\n")
CASE(tls_case,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, tls: SKIP}\n",
	"p:6:47: error: p.endpoints[0]: unknown tls 'SKIP'; expected skip, terminate, passthrough\n")
CASE(enforcement_unknown,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, enforcement: on}\n",
	"p:6:55: error: p.endpoints[0]: unknown enforcement 'on'; expected audit, enforce, approve\n")
CASE(access_unknown,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, access: readonly}\n",
	"p:6:50: error: p.endpoints[0]: unknown access 'readonly'; expected read-only, read-write, full\n")
CASE(rule_without_allow,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: rest, rules: [{}]}\n",
	"p:6:66: error: p.endpoints[0].rules[0]: an element of rules needs the key 'allow'; add it\n")
CASE(rule_deny,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: rest, rules: [{deny: {method: GET}}]}\n",
	"p:6:67: error: p.endpoints[0].rules[0]: unknown key 'deny' in an element of rules; write \"- allow: {method: GET, path: ...}\"; denials go into deny_rules\n"
	"p:6:66: error: p.endpoints[0].rules[0]: an element of rules needs the key 'allow'; add it\n")
CASE(rule_flat,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: rest, rules: [{method: GET}]}\n",
	"p:6:67: error: p.endpoints[0].rules[0]: unknown key 'method' in an element of rules; write \"- allow: {method: GET, path: ...}\"; denials go into deny_rules\n"
	"p:6:66: error: p.endpoints[0].rules[0]: an element of rules needs the key 'allow'; add it\n")
CASE(allow_nothing,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: rest, rules: [{allow: }]}\n",
	"p:6:74: error: p.endpoints[0].rules[0].allow: expected a mapping, found nothing\n")
CASE(query_list,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: rest, rules: [{allow: {method: GET, query: {a: [b]}}}]}\n",
	"p:6:99: error: p.endpoints[0].rules[0].allow.query: a: expected a string, {glob: ...} or {any: [...]}, found a list; for several values write {any: [a, b]}\n")
CASE(query_both,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: rest, rules: [{allow: {method: GET, query: {a: {glob: x, any: [y]}}}}]}\n",
	"p:6:109: error: p.endpoints[0].rules[0].allow.query: a: only one of glob and any may be given; keep one\n")
CASE(query_other_key,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: rest, rules: [{allow: {method: GET, query: {a: {regex: x}}}}]}\n",
	"p:6:100: error: p.endpoints[0].rules[0].allow.query: unknown key 'regex' in a matcher; known here: glob, any\n"
	"p:6:99: error: p.endpoints[0].rules[0].allow.query: a: an empty matcher; write a string, {glob: string} or {any: [strings]}\n")
CASE(query_empty,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: rest, rules: [{allow: {method: GET, query: {a: {}}}}]}\n",
	"p:6:99: error: p.endpoints[0].rules[0].allow.query: a: an empty matcher; write a string, {glob: string} or {any: [strings]}\n")
CASE(query_duplicate,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, protocol: rest, rules: [{allow: {method: GET, query: {a: x, a: y}}}]}\n",
	"p:6:102: error: p.endpoints[0].rules[0].allow.query: duplicate key 'a', first at line 6; keep one of them\n")
CASE(body_limit_0,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, graphql_max_body_bytes: 0}\n",
	"p:6:66: error: p.endpoints[0]: graphql_max_body_bytes: expected a number from 1 to 4294967295, found a number '0'\n")
CASE(body_limit_negative,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, json_rpc: {max_body_bytes: -5}}\n",
	"p:6:69: error: p.endpoints[0].json_rpc: max_body_bytes: expected a number from 1 to 4294967295, found a number '-5'\n")
CASE(binding_without_provider,
	"version: 1\n"
	"network_policies:\n"
	"  p:\n"
	"    binaries: [{path: /usr/bin/curl}]\n"
	"    endpoints:\n"
	"      - {host: a.example.com, port: 443, credential_binding: {}}\n",
	"p:6:62: error: p.endpoints[0].credential_binding: credential_binding needs the key 'provider'; add it\n")
CASE(binary_without_path,
	"version: 1\n"
	"network_policies: {p: {binaries: [{harness: true}]}}\n",
	"p:2:35: error: p.binaries[0]: a binary needs the key 'path'; add it\n")
CASE(harness_not_bool,
	"version: 1\n"
	"network_policies: {p: {binaries: [{path: /a, harness: 1}]}}\n",
	"p:2:55: error: p.binaries[0]: harness: expected true or false, found a number '1'; write true or false, without quotes; yes, no, on and off are strings\n")
CASE(endpoint_is_string,
	"version: 1\n"
	"network_policies: {p: {endpoints: [a.example.com]}}\n",
	"p:2:36: error: p.endpoints[0]: expected a mapping, found a string 'a.example.com'\n")
CASE(tools_a_list,
	"version: 1\n"
	"tools: [a]\n",
	"p:2:8: error: tools: expected a mapping, found a list\n")
CASE(tools_unknown_key,
	"version: 1\n"
	"tools:\n"
	"  r: {tool: [a], argument: [], limit: {}, approvals: never}\n",
	"p:3:7: error: r: unknown key 'tool' in a rule about tools; did you mean 'tools'?\n"
	"p:3:18: error: r: unknown key 'argument' in a rule about tools; did you mean 'arguments'?\n"
	"p:3:32: error: r: unknown key 'limit' in a rule about tools; did you mean 'limits'?\n"
	"p:3:43: error: r: unknown key 'approvals' in a rule about tools; did you mean 'approval'?\n"
	"p:3:6: error: r: a rule about tools needs the key 'tools'; add it\n")
CASE(tools_missing,
	"version: 1\n"
	"tools:\n"
	"  r: {}\n",
	"p:3:6: error: r: a rule about tools needs the key 'tools'; add it\n")
CASE(tools_no_list,
	"version: 1\n"
	"tools:\n"
	"  r: {tools: a.b}\n",
	"p:3:14: error: r: tools: expected a list, found a string 'a.b'\n")
CASE(tools_rule_twice,
	"version: 1\n"
	"tools:\n"
	"  r: {tools: [a]}\n"
	"  s: {tools: [a]}\n"
	"  r: {tools: [b]}\n",
	"p:5:3: error: duplicate key 'r', first at line 3; keep one of them\n")
CASE(tools_argument_keys,
	"version: 1\n"
	"tools:\n"
	"  r:\n"
	"    tools: [a]\n"
	"    arguments:\n"
	"      - {equal: 1}\n"
	"      - {path: $.a, range: {from: 1}, length: {maximum: 2}}\n"
	"      - $.a\n",
	"p:6:10: error: r.arguments[0]: unknown key 'equal' in an argument; did you mean 'equals'?\n"
	"p:6:9: error: r.arguments[0]: an argument needs the key 'path'; add it\n"
	"p:7:29: error: r.arguments[1].range: unknown key 'from' in range; known here: min, max\n"
	"p:7:48: error: r.arguments[1].length: unknown key 'maximum' in length; known here: min, max\n"
	"p:8:9: error: r.arguments[2]: expected a mapping, found a string '$.a'\n")
CASE(tools_argument_types,
	"version: 1\n"
	"tools:\n"
	"  r:\n"
	"    tools: [a]\n"
	"    arguments:\n"
	"      - {path: [a], equals: 1, optional: yes}\n"
	"      - {path: $.a, length: {min: -1, max: \"3\"}}\n"
	"      - {path: $.a, range: 3}\n"
	"      - {path: $.a, glob: [a]}\n"
	"      - {path: $.a, equals: {a: 1, a: 2}}\n",
	"p:6:16: error: r.arguments[0]: path: expected a string, found a list\n"
	"p:6:42: error: r.arguments[0]: optional: expected true or false, found a string 'yes'; write true or false, without quotes; yes, no, on and off are strings\n"
	"p:7:35: error: r.arguments[1].length: min: expected a number from 0 to 4294967295, found a number '-1'\n"
	"p:7:44: error: r.arguments[1].length: max: expected a number from 0 to 4294967295, found a string '3'; remove the quotes\n"
	"p:8:28: error: r.arguments[2].range: expected a mapping, found a number '3'\n"
	"p:9:27: error: r.arguments[3]: glob: expected a string, found a list\n"
	"p:10:36: error: r.arguments[4]: duplicate key 'a', first at line 10; keep one of them\n")
CASE(tools_limits,
	"version: 1\n"
	"tools:\n"
	"  r: {tools: [a], limits: {calls: 0, concurrency: -1, seconds: 1.5, bytes: 5000000000, minutes: 1}}\n",
	"p:3:35: error: r.limits: calls: expected a number from 1 to 4294967295, found a number '0'\n"
	"p:3:51: error: r.limits: concurrency: expected a number from 1 to 4294967295, found a number '-1'\n"
	"p:3:64: error: r.limits: seconds: expected a number from 1 to 4294967295, found a number '1.5'\n"
	"p:3:76: error: r.limits: bytes: expected a number from 1 to 4294967295, found a number '5000000000'\n"
	"p:3:88: error: r.limits: unknown key 'minutes' in limits; known here: calls, concurrency, seconds, bytes\n")
CASE(tools_approval_unknown,
	"version: 1\n"
	"tools:\n"
	"  r: {tools: [a], approval: sometimes}\n",
	"p:3:29: error: r: unknown approval 'sometimes'; expected never, once, always\n")
CASE(tools_binaries,
	"version: 1\n"
	"tools:\n"
	"  r: {tools: [a], binaries: [/usr/bin/a, 7, {file: /a}]}\n",
	"p:3:42: error: r.binaries[1]: expected a mapping, found a number '7'\n"
	"p:3:46: error: r.binaries[2]: unknown key 'file' in a binary; known here: path, harness\n"
	"p:3:45: error: r.binaries[2]: a binary needs the key 'path'; add it\n")
/* clang-format on */
