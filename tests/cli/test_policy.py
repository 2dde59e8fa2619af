#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: `cove policy check` and `explain` say what a person and a script need: place, what is wrong,
what would be right; verdict, the rule that decided, why nearer ones did not; statuses that scripts
can test.  Method: the program on small files, its text and its JSON."""
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from world import COVE, Tap  # noqa: E402

tap = Tap()
here = tempfile.mkdtemp(prefix="cove-test-")


def write(name, text):
    path = os.path.join(here, name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return path


def cove(*argv):
    return subprocess.run([COVE, *argv], capture_output=True, text=True, timeout=30, check=False)


def expect(name, r, status, *parts):
    missing = [p for p in parts if p not in r.stdout + r.stderr]
    tap.ok(r.returncode == status and not missing, name,
           f"status {r.returncode}, missing {missing}\n{r.stdout}{r.stderr}")


GOOD = write("good.yaml", """\
version: 1
network_policies:
  api:
    endpoints:
      - host: api.example.com
        port: 443
        protocol: rest
        enforcement: enforce
        rules:
          - allow: {method: GET, path: "/v1/**"}
        deny_rules:
          - {method: GET, path: /v1/secret}
    binaries: [{path: /usr/bin/curl}]
""")
TYPO = write("typo.yaml", "version: 1\nnetwork_policies:\n  a:\n    endpoint: []\n")
GRAPHQL = write("graphql.yaml", """\
version: 1
network_policies:
  a:
    endpoints: [{host: a.example.com, port: 443, protocol: graphql, access: full}]
    binaries: [{path: /usr/bin/curl}]
""")

expect("check: a valid policy", cove("policy", "check", GOOD), 0, "good.yaml: ok")
expect("check: an unknown key, its place and its neighbour", cove("policy", "check", TYPO), 1,
       "typo.yaml:4:5: error:", "endpoint", "endpoints")
r = cove("policy", "check", "-o", "json", GOOD, TYPO)
files = json.loads(r.stdout)
tap.ok(r.returncode == 1 and [f["errors"] for f in files] == [0, 1] and
       files[1]["findings"][0]["line"] == 4, "check: the same as JSON", r.stdout + r.stderr)
expect("check: what is not enforced yet is a warning by name", cove("policy", "check", GRAPHQL), 0,
       "warning", "graphql")
expect("check: requests may be left to a person", cove("policy", "check", write("a.yaml", """\
version: 1
network_policies:
  a:
    endpoints: [{host: a.example.com, port: 443, protocol: rest, access: read-only, enforcement: approve}]
    binaries: [{path: /usr/bin/curl}]
""")), 0, "a.yaml: ok")
expect("run: and refused, nothing started", cove("run", "--policy", GRAPHQL, "--", "true"), 2, "graphql")

ASK = ["policy", "explain", GOOD, "--host", "api.example.com", "--port", "443"]
expect("explain: allowed, with the rule's line",
       cove(*ASK, "--path", "/v1/a", "--binary", "/usr/bin/curl"), 0, "ALLOW", "good.yaml:10")
expect("explain: the method defaults to GET, the path to /",
       cove(*ASK, "--method", "GET", "--binary", "/usr/bin/curl"), 3, "GET", "DENY")
expect("explain: a deny rule wins, with its line",
       cove(*ASK, "--path", "/v1/secret", "--binary", "/usr/bin/curl"), 3, "DENY", "good.yaml:12")
expect("explain: the path is made canonical first",
       cove(*ASK, "--path", "/v1/x/../%73ecret", "--binary", "/usr/bin/curl"), 3, "/v1/secret")
expect("explain: a denial says what would be allowed",
       cove(*ASK, "--path", "/v2", "--binary", "/usr/bin/curl"), 3, "DENY", "/v1/**")
expect("explain: another binary", cove(*ASK, "--binary", "/usr/bin/wget"), 3,
       "binary '/usr/bin/wget' not allowed in policy 'api'")
expect("explain: an ancestor is enough",
       cove(*ASK, "--binary", "/usr/bin/wget", "--ancestor", "/usr/bin/curl"), 0, "ALLOW")
expect("explain: no binary given is an unknown one", cove(*ASK), 3, "DENY")
expect("explain: another host", cove("policy", "explain", GOOD, "--host", "b.example.com", "--port", "443",
                                     "--binary", "/usr/bin/curl"), 3,
       "endpoint b.example.com:443 is not allowed by any policy")
for words, said in [
        (("--path", "/v1/x?a=b"), "--query"), (("--query", "a#b"), "the proxy would answer 400: query has a"),
        (("--query", "a b"), "400: query"), (("--method", "G T"), "'G T' is no HTTP method"),
        (("--method", ""), "'' is no HTTP method"), (("--method", "G" * 33), "is no HTTP method")]:
    r = cove(*ASK, *words, "--binary", "/usr/bin/curl")
    expect(f"explain: {words[0]} {words[1]!r} is no question", r, 2, said)
    tap.ok("ALLOW" not in r.stdout and "DENY" not in r.stdout, "explain: and gets no answer", r.stdout)
expect("explain: a query and a method of one's own", cove(
    *ASK, "--method", "M-SEARCH", "--query", "a=b%20c&d?", "--binary", "/usr/bin/curl"), 3, "DENY M-SEARCH")
r = cove(*ASK, "--path", "/v2", "--binary", "/usr/bin/curl", "-o", "json")
data = json.loads(r.stdout)
tap.ok(data["action"] == "deny" and data["policy"] == "api" and data["near_misses"] and
       {"method": "GET", "path": "/v1/**"} in data["allowed"], "explain: JSON", r.stdout)
TERSE = write("terse.yaml", """\
version: 1
network_policies:
  a:
    endpoints: [{host: a.example.com, port: 443}]
    binaries: ["**/curl", /usr/bin/git]
""")
expect("check: a binary may be its path alone", cove("policy", "check", TERSE), 0, "terse.yaml: ok")
for binary, status in (("/opt/bin/curl", 0), ("/usr/bin/git", 0), ("/usr/bin/gitk", 3)):
    expect(f"explain: a binary that is its path alone, asked by {binary}", cove(
        "policy", "explain", TERSE, "--host", "a.example.com", "--port", "443", "--binary", binary), status)
expect("explain: host and port are required", cove("policy", "explain", GOOD), 2, "--host")
expect("explain: a port out of range", cove("policy", "explain", GOOD, "--host", "a", "--port", "70000"), 2,
       "65535")

NEVER = write("never.yaml", """\
version: 1
network_policies:
  never:
    endpoints:
      - {host: 169.254.169.254, port: 80}
      - {host: 127.0.0.1, port: 8080, protocol: rest, access: full, enforcement: enforce}
      - {host: 0.1.2.3, port: 80}
      - {host: 100.100.100.200, port: 80}
      - {host: localhost, port: 80}
      - {host: etcd.example.com, ports: [2379, 443]}
      - {host: "*.example.org", port: 2379}
      - {host: 10.1.2.3, port: 443, allowed_ips: [10.2.0.0/16]}
      - {host: 10.1.2.3, port: 444}
    binaries: [{path: /usr/bin/curl}]
""")
r = cove("policy", "check", NEVER)
expect("check: what no policy may allow", r, 0,
       "never.yaml:5:16: warning: never.endpoints[0]: never allowed: '169.254.169.254' is a cloud metadata address",
       "never.yaml:6:16: warning: never.endpoints[1]: never allowed: '127.0.0.1' is an always-blocked address",
       "never allowed: '0.1.2.3' is an", "never allowed: '100.100.100.200' is a", "never allowed: 'localhost' is an",
       "never allowed: port 2379 is a blocked control-plane port")
tap.ok((r.stdout + r.stderr).count("never allowed") == 6, "check: and nothing else", r.stdout + r.stderr)
for host, port, words, want in [
        ("169.254.169.254", 80, (), "169.254.169.254 resolves to cloud metadata address 169.254.169.254"),
        ("127.0.0.1", 8080, ("--path", "/"), "127.0.0.1 resolves to always-blocked address 127.0.0.1"),
        ("0.1.2.3", 80, (), "always-blocked address"), ("100.100.100.200", 80, (), "cloud metadata address"),
        ("localhost", 80, (), "localhost resolves to always-blocked address 127.0.0.1"),
        ("etcd.example.com", 2379, (), "port 2379 is a blocked control-plane port, connection rejected"),
        ("10.1.2.3", 443, (), "10.1.2.3 resolves to 10.1.2.3 which is not in allowed_ips")]:
    ask = ["policy", "explain", NEVER, "--host", host, "--port", str(port), "--binary", "/usr/bin/curl", *words]
    r = cove(*ask)
    expect(f"explain: {host}:{port} is denied like the proxy does", r, 3, "DENY CONNECT", "ssrf_denied: ", want,
           "decided at")
    tap.ok("allowed here" not in r.stdout and "it allows" not in r.stdout, "explain: and nothing says otherwise", r.stdout)
    data = json.loads(cove(*ask, "-o", "json").stdout)
    tap.ok(data["action"] == "deny" and data["reason"] == "ssrf_denied" and want in data["text"],
           f"explain: {host}:{port} as JSON", data)
for host, port in (("etcd.example.com", 443), ("a.example.org", 2379), ("10.1.2.3", 444)):
    expect(f"explain: {host}:{port} is for the proxy to look up", cove(
        "policy", "explain", NEVER, "--host", host, "--port", str(port), "--binary", "/usr/bin/curl"), 0, "ALLOW")

LACKING = write("lacking.yaml", """\
version: 1
network_policies:
  a:
    endpoints:
      - {host: a.example.com, port: 443, protocol: rest, enforcement: enforce, rules: [{allow: {method: GET}}]}
      - {host: b.example.com, port: 443, protocol: rest, enforcement: enforce, rules: [{allow: {path: /x}}]}
    binaries: [{path: /usr/bin/curl}]
""")
expect("check: a rule without a path", cove("policy", "check", LACKING), 0,
       "lacking.yaml:5:88: warning: a.endpoints[0].rules[0].allow: no path is given, so it allows nothing", "/**")
for host, said in (("a.example.com", "rules[0] has no path, so it allows nothing"),
                   ("b.example.com", "rule  /x: it has no method")):
    expect(f"explain: what the rule lacks, {host}", cove(
        "policy", "explain", LACKING, "--host", host, "--port", "443", "--path", "/x", "--binary", "/usr/bin/curl"), 3,
        said)

APPROVE = write("approve.yaml", """\
version: 1
network_policies:
  api:
    endpoints: [{host: api.example.com, port: 443, protocol: rest, enforcement: approve, access: read-only}]
    binaries: [{path: /usr/bin/curl}]
""")
expect("explain: what would wait for a person", cove(
    "policy", "explain", APPROVE, "--host", "api.example.com", "--port", "443", "--method", "POST",
    "--binary", "/usr/bin/curl"), 0, "HOLD POST", "waits for a person's approval: request_not_permitted")

TOOLS = write("tools.yaml", """\
version: 1
tools:
  admins:
    tools: ["**"]
    binaries: [{path: /opt/admin}]
  issues:
    tools: ["github.issue_*"]
    arguments:
      - {path: $.repo, equals: acme/app}
      - {path: "$.labels[*]", in: [bug, docs], optional: true}
    limits: {calls: 3}
    approval: once
""")
NO_TOOLS = write("no-tools.yaml", "version: 1\ntools:\n  a: {tools: []}\n  b: {tool: [x]}\n")
EMPTY = write("empty-list.yaml", "version: 1\ntools:\n  a: {tools: [x], binaries: []}\n")
expect("check: a tools section", cove("policy", "check", TOOLS), 0, "tools.yaml: ok")
expect("check: an unknown key of a rule about tools", cove("policy", "check", NO_TOOLS), 1,
       "no-tools.yaml:4:7: error: b: unknown key 'tool'", "did you mean 'tools'?")
expect("check: an empty list that would have allowed more", cove("policy", "check", EMPTY), 1,
       "empty-list.yaml:3:3: error: a: binaries is empty")

CALL = ["policy", "explain", TOOLS, "--tool", "github.issue_new", "--binary", "/usr/bin/claude"]
expect("explain: a call, its rule, why the one before it did not", cove(
    *CALL, "--arguments", '{"repo": "acme/app"}'), 0, "ALLOW tool github.issue_new",
       "tools.yaml:6  tools.issues", "after a person's approval: once", "at most 3 calls",
       "before it: ", "tools.yaml:3  tools.admins: neither binary '/usr/bin/claude'")
r = cove(*CALL, "--arguments", '{"repo": "other/SECRET", "labels": ["bug", "SECRET"]}')
expect("explain: a denied call", r, 3, "DENY", "arguments_not_allowed", 'asks that $.repo equals "acme/app"',
       'each $.labels[*] is one of "bug", "docs", if given (it is another value)')
tap.ok("SECRET" not in r.stdout + r.stderr, "explain: never a value of the arguments", r.stdout)
expect("explain: without arguments, what a rule asks", cove(*CALL), 0, 'where $.repo equals "acme/app"')
expect("explain: an ancestor may call", cove(
    *CALL, "--ancestor", "/opt/admin", "--arguments", "{}"), 0, "tools.yaml:3  tools.admins")
expect("explain: a tool that nothing names", cove(
    "policy", "explain", GOOD, "--tool", "x"), 3, "tool_not_allowed", "the policy allows no tools")
expect("explain: nobody knows who asks", cove(
    "policy", "explain", TOOLS, "--tool", "x"), 3, "identity_unknown")
call = write("call.json", '{"repo": "acme/app", "labels": []}')
r = cove(*CALL, "--arguments", "@" + call, "-o", "json")
data = json.loads(r.stdout)
tap.ok(r.returncode == 0 and data["action"] == "allow" and data["rule"] == "issues" and data["line"] == 6 and
       data["approval"] == "once" and data["limits"]["calls"] == 3 and len(data["conditions"]) == 1 and
       data["near_misses"][0]["rule"] == "admins" and data["near_misses"][0]["miss"] == "binary",
       "explain: a call as JSON, arguments from a file", r.stdout + r.stderr)
for name, words, part in (
        ("not JSON", ["--arguments", "{"], "ends in the middle"),
        ("a key twice", ["--arguments", '{"repo": 1, "repo": "acme/app"}'], "key twice"),
        ("no object", ["--arguments", "[]"], "expected an object"),
        ("no such file", ["--arguments", "@" + os.path.join(here, "none")], "none"),
        ("a host too", ["--host", "a"], "exclude each other")):
    r = cove(*CALL, *words)
    tap.ok(r.returncode not in (0, 3) and part in r.stderr, f"explain: bad arguments: {name}",
           f"status {r.returncode}\n{r.stdout}{r.stderr}")
expect("explain: arguments of what?", cove(*ASK, "--arguments", "{}"), 2, "--arguments needs --tool")
tap.done()
