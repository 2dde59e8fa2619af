#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Host tools as an attacker in the sandbox sees them: words, numbers, bytes on the wire, tokens, ids.

Goal: nothing that a sandbox writes into a request makes a tool run that policy refused, makes a value
of it an option, a word or a variable more, reaches another run, or leaves the log without its one
event.  Method: the real `cove run --tools`; in the sandbox a Python program that speaks to the route by
raw sockets; tools that show exactly what they were given.
"""
import json
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import world  # noqa: E402

SHOW = '[/usr/bin/printf, --, "<%s>"'
CATALOG = f"""\
version: 1
tools:
  show:
    description: Shows its words.
    input: {{properties: {{text: {{type: string}}}}, required: [text]}}
    command: {{argv: {SHOW}, "{{text}}"]}}
  bare:
    description: The same where an option could stand.
    input: {{properties: {{text: {{type: string}}, more: {{type: array, items: {{type: string}}}}}}}}
    command: {{argv: [/bin/echo, "{{?text:text={{text}}}}", "{{more...}}"]}}
  first:
    description: A value that begins a word.
    input: {{properties: {{text: {{type: string}}}}, required: [text]}}
    command: {{argv: [/bin/echo, "{{text}}"]}}
  guarded:
    description: Repository and number are limited by policy.
    input:
      properties: {{repo: {{type: string}}, number: {{type: number}}, deep: {{type: object}}}}
      required: [repo, number]
      additionalProperties: false
    command: {{argv: {SHOW}, "{{repo}}", "{{number}}"]}}
    route: POST /r/{{repo}}/n/{{number}}
  variable:
    description: A value in the environment.
    input: {{properties: {{text: {{type: string}}}}, required: [text]}}
    command: {{argv: [/usr/bin/env, "-0"], env: {{GIVEN: "x{{text}}"}}}}
  piped:
    description: Arguments on stdin.
    input: {{properties: {{v: true}}}}
    command: {{argv: [/bin/cat], stdin: json}}
  secret:
    description: Nobody may.
    command: {{argv: [/bin/echo, ran-the-secret]}}
    route: POST /secret/door
  sec:
    description: Nobody may.
    command: {{argv: [/bin/echo, ran-the-secret]}}
  fails:
    description: Ends with 3.
    input: {{properties: {{text: {{type: string}}}}}}
    command: {{argv: [/bin/false]}}
  slow:
    description: Sleeps.
    input: {{properties: {{seconds: {{type: integer}}}}, required: [seconds]}}
    command: {{argv: [/bin/sleep, "{{seconds}}"]}}
    limits: {{seconds: 300, concurrency: 8}}
"""
POLICY = """\
version: 1
network_policies:
  plain: {endpoints: [{host: plain.test, port: 80}], binaries: [{path: "/**"}]}
  api:
    endpoints: [{host: api.test, port: 443, protocol: rest, enforcement: enforce, access: full}]
    binaries: [{path: "/**"}]
tools:
  free: {tools: [show, bare, first, variable, piped, fails, slow]}
  guarded:
    tools: [guarded]
    arguments:
      - {path: $.repo, glob: "acme-*"}
      - {path: $.number, range: {min: 1, max: 5}}
"""
# What the attacker brings: one connection, one text, everything that comes back.
PRELUDE = r'''
import json, os, socket, ssl, sys, threading, time
T = os.environ["COVE_TOOLS_TOKEN"]
def say(x): print(json.dumps(x), flush=True)
def connect(to=("tools.local", 80), seconds=10):
    return socket.create_connection(to, seconds)
def drain(s):
    got = b""
    try:
        while piece := s.recv(65536):
            got += piece
    except OSError:
        pass
    return got
def raw(data, to=("tools.local", 80), seconds=10):
    with connect(to, seconds) as s:
        try:
            s.sendall(data)
        except OSError:
            pass
        return drain(s).decode("utf-8", "replace")
def head(method, path, fields=(), auth=True, host="tools.local"):
    lines = [method + " " + path + " HTTP/1.1", "Host: " + host]
    lines += ["Authorization: Bearer " + T] if auth else []
    return ("\r\n".join(lines + list(fields)) + "\r\n").encode("utf-8", "surrogateescape")
def req(method, path, body=None, fields=(), auth=True, last=True, seconds=10, host="tools.local"):
    if isinstance(body, str):
        body = body.encode("utf-8", "surrogateescape")
    more = [] if body is None else ["Content-Type: application/json", "Content-Length: %d" % len(body)]
    more += ["Connection: close"] if last else []
    return raw(head(method, path, list(fields) + more, auth, host) + b"\r\n" + (body or b""), seconds=seconds)
def call(tool, body, fields=(), **kw): return req("POST", "/v1/tools/" + tool, body, fields, **kw)
def status(text): return int(text.split(" ", 2)[1]) if text.startswith("HTTP/1.1 ") else 0
def body(text): return text.split("\r\n\r\n", 1)[1] if "\r\n\r\n" in text else ""
def mcp(message, fields=(), **kw): return req("POST", "/mcp", message, fields, **kw)
'''
tap = world.Tap()
w = world.World(["api.test", "tools.local", "host.cove.internal"])
api = world.Server(world.PRIVATE, 443, w.pki)
plain = world.Server(world.PRIVATE, 80)
policy, tools = w.policy(POLICY), w.policy(CATALOG, "tools.yaml")
pins = [f"api.test:443:{world.PRIVATE}", f"plain.test:80:{world.PRIVATE}"]
runtime = os.path.join(w.dir, "runtime")
os.mkdir(runtime, 0o700)
ENV = {**os.environ, "XDG_RUNTIME_DIR": runtime}


def script(text):
    with open(os.path.join(w.work, "attack.py"), "w", encoding="utf-8") as f:
        f.write(PRELUDE + text)
    return ["/usr/bin/python3", "attack.py"]


def attack(text, policy_file=None, **kw):
    """What the program in the sandbox said, a list of values."""
    r = w.cove(script(text), policy=policy_file or policy, pins=pins, options=["--tools", tools], env=ENV, **kw)
    assert r.returncode == 0, (r.returncode, r.stdout[-2000:], r.stderr[-3000:])
    return [json.loads(line) for line in r.stdout.splitlines()]


def calls():
    return [e for e in w.events() if e["class_name"] == "API Activity"]


def tool_events():
    """Whatever was recorded about host tools, by the proxy or by the broker."""
    return [e for e in w.events() if e["class_name"] in ("API Activity", "HTTP Activity")]


def none_ran(answers, what="ran-the-secret"):
    for a in answers:
        assert what not in json.dumps(a), a


# ---- policy and arguments ----

def t16_json_tricks():
    bodies = [
        '{"repo":"acme-a","repo":"evil/x","number":1}',
        '{"repo":"evil/x","repo":"acme-a","number":1}',
        '{"repo":"evil/x","r\\u0065po":"acme-a","number":1}',
        '{"r\\u0065po":"evil/x","number":1}',
        '{"repo":"acme-a","number":1,"deep":{"a":{"b":1,"\\u0062":2}}}',
        '{"repo":["acme-a"],"number":1}', '{"repo":{"acme-a":1},"number":1}', '{"repo":null,"number":1}',
        '{"Repo":"acme-a","number":1}', '{"number":1}', '[{"repo":"acme-a","number":1}]', '"acme-a"', 'null',
        '{"repo":"acme-a/../../evil/x","number":1}', '{"repo":"acme-a\\u0000","number":1}',
        '{"repo":"ACME/a","number":1}', '{"repo":"\\uff41cme/a","number":1}', '{"repo":"acme\\u2215a","number":1}',
        '{"repo":"acme-a","number":1}{"repo":"evil/x","number":1}', '{"repo":"acme-a","number":1}\\u0000',
        '{"repo":"acme-a","number":1,}', '{\'repo\':"acme-a","number":1}', '\ufeff{"repo":"acme-a","number":1}',
        '{"repo":"acme-a","number":1,"__proto__":{"repo":"x"}}', '{"repo":"acme/\\ud800","number":1}',
        '{"repo":"acme-a","number":01}', '{"repo":"acme-a","number":0x1}', '{"repo":"acme-a","number":NaN}',
        '{"repo":"acme-a","number":"1"}', '{"repo":"acme-a","number":+1}', '{"repo":"acme-a","number":1.}',
        '{"repo":"acme-a","number":6}', '{"repo":"acme-a","number":-0}', '{"repo":"acme-a","number":5.0000000000000001}',
        '{"repo":"acme-a","number":0.99999999999999999999}', '{"repo":"acme-a","number":1e999999999999999999999}',
        '{"repo":"acme-a","number":1e-999999999999999999999}', '{"repo":"acme-a","number":' + "9" * 100000 + "}",
        '{"repo":"acme-a","number":0.' + "0" * 100000 + "1}",
        '{"deep":' * 63 + "{}" + "}" * 63, '{"deep":' * 70 + "{}" + "}" * 70, "[" * 100000, '{"a":' * 200000,
    ]
    with open(os.path.join(w.work, "bodies.json"), "w", encoding="utf-8") as f:
        json.dump(bodies, f)
    out = attack("for b in json.load(open('bodies.json', encoding='utf-8')): say(call('guarded', b))\n"
                 "say(call('guarded', b'{\"repo\":\"acme/\\xff\",\"number\":1}'))\n"
                 "say(call('guarded', '{\"repo\":\"acme-a\",\"number\":1}'.encode('utf-16')))\n"
                 "say(call('guarded', '{\"repo\":\"acme-a\",\"number\":2}'))")
    assert "<acme-a><2>" in out.pop(), out
    for b, a in zip(bodies + ["xff", "utf16"], out):
        assert a.split(" ")[1] in ("400", "403"), (b[:100], a[:600])
        assert '"error"' in a, (b[:100], a[:600])
    assert len(tool_events()) == len(bodies) + 3, (len(tool_events()), len(bodies))


def t16_numbers_are_what_policy_saw():
    """A number that policy took for 1 must not be 10 to a tool that reads digits until the first other."""
    numbers = ["1", "1.0", "10e-1", "0.1e1", "1E0", "100e-2", "0.00001e+5", "1.50", "15e-1", "500e-2", "2.0000"]
    out = attack(f"for n in {numbers}: say(call('guarded', '{{\"repo\":\"acme-a\",\"number\":' + n + '}}'))\n"
                 f"for n in {numbers}: say(req('POST', '/r/acme-a/n/' + n, '{{}}'))")
    for n, a in zip(numbers * 2, out):
        if " 200 " not in a[:20]:
            continue  # a refusal is fine
        seen = json.loads(a.split("\r\n\r\n")[1])["output"].split("<")[-1].rstrip(">")
        assert "e" not in seen.lower() and float(seen) == float(n), (n, seen)
    assert any("<1>" in a for a in out)


def t16_paths_and_bodies():
    """Arguments in the path: decoded once, in one place only; nothing leads around the decision."""
    shots = [
        ("/r/evil%2Fx/n/1", "{}"), ("/r/acme-a%2Fb/n/1", "{}"), ("/r/acme%252Da/n/1", "{}"), ("/r/acme/a/n/1", "{}"),
        ("/r/acme-a/n/9", "{}"), ("/r/acme-a/n/9?number=1", "{}"), ("/r/acme-a/n/9#/n/1", "{}"),
        ("/r/evil%2Fx/n/1", '{"repo":"acme-a"}'), ("/r/acme-a/n/1", '{"repo":"evil/x"}'),
        ("/r/acme-a/n/1", '{"number":9}'), ("/r/evil%2Fx/n/1?repo=acme-a", "{}"),
        ("/r/acme-a/../../r/evil%2Fx/n/1", "{}"), ("/r/acme%2F%2E%2E%2Fx/n/6", "{}"),
        ("/r/%2e%2e/n/1", "{}"), ("/r/acme-a%00/n/1", "{}"), ("/r/acme-a/n/1%0a", "{}"),
        ("/r/acme-a;x=1/n/6", "{}"), ("/R/acme-a/n/1", "{}"), ("/r//n/1", "{}"), ("/r/acme-a/n/", "{}"),
        ("/secret/door", "{}"), ("/secret%2Fdoor", "{}"), ("/./secret/door", "{}"), ("//secret/door", "{}"),
        ("/x/../secret/door", "{}"), ("/x/%2e%2e/secret/door", "{}"), ("/secret/%64oor", "{}"),
        ("/secret/door/", "{}"), ("/secret\\door", "{}"), ("/secret/door%3f", "{}"), ("/secret;/door", "{}"),
        ("/v1/tools/secret", "{}"), ("/v1/tools/%73ecret", "{}"), ("/v1/tools/show/../secret", "{}"),
        ("/v1/tools/secret/", "{}"), ("/v1//tools/secret", "{}"), ("/v1/tools/SECRET", "{}"),
        ("/v1/tools/secret%00", "{}"), ("/v1/tools/show%2f..%2fsecret", "{}"), ("/v1/tools/sec", "{}"),
        ("/v1/tools/ſecret", "{}"), ("/v1/tools/secret?x", "{}"), ("/v1/tools/", "{}"), ("/v1/tools/s*", "{}"),
        ("/V1/tools/secret", "{}"), ("/v1/tools/secret ", "{}"), ("http://tools.local/v1/tools/secret", "{}"),
        ("http://tools.local:80/secret/door", "{}"), ("*", "{}"),
    ]
    out = attack(f"for p, b in {shots!r}: say(req('POST', p, b))\n"
                 "for m in ('GET', 'PUT', 'post', 'Post', 'PATCH', 'QUERY', 'TRACE', 'OPTIONS', 'HEAD', 'DELETE'):\n"
                 "    say(req(m, '/secret/door', None)); say(req(m, '/v1/tools/secret', None))\n"
                 "for f in ('X-HTTP-Method-Override: POST', 'X-Original-URL: /secret/door', 'X-Rewrite-URL: /secret/door',\n"
                 "          'X-Forwarded-Host: a', 'Content-Location: /secret/door'):\n"
                 "    say(req('GET', '/healthz', None, [f])); say(req('POST', '/v1/tools/show', '{\"text\":\"x\"}', [f]))\n"
                 "say(req('POST', '/r/acme-a/n/1', '{}'))")
    assert "<acme-a><1>" in out[-1], out.pop()
    none_ran(out)
    for shot, a in zip(shots, out):
        assert "output" not in a, (shot, a)
        assert a.split(" ")[1] in ("400", "403", "404", "405", "421"), (shot, a)


def t16_values_stay_values():
    texts = ["-n", "--help", "-", "--", "a b", "a\nb", "$(id)", "`id`", ";id", "*", "%s%n", "~root", "a=b",
             "\x01\x1b[2J", "\u202eabc", "'", '"', "\\", "a\tb", "x" * 4000, "\U0001f600", "-\u200b"]
    out = attack(f"for t in {texts!r}:\n"
                 "    say(call('show', json.dumps({'text': t})))\n"
                 "    say(call('first', json.dumps({'text': t})))\n"
                 "    say(call('bare', json.dumps({'text': t, 'more': ['a', t, 'b c']})))\n"
                 "    say(call('variable', json.dumps({'text': t + '\\nLD_PRELOAD=/x'})))\n"
                 "for t in ('a\\0b', 'x' * 200000, 'x' * 131072, 'x' * 131071):\n"
                 "    for tool in ('show', 'first', 'bare', 'variable'): say(call(tool, json.dumps({'text': t})))\n"
                 "say(call('bare', json.dumps({'more': ['y' * 1000] * 1000})))\n"
                 "say(call('bare', json.dumps({'more': ['y'] * 5000})))\n"
                 "say(call('bare', json.dumps({'more': ['y' * 120000] * 8})))\n"
                 "say(call('bare', json.dumps({'more': ['-n', '--version']})))")
    for t in texts:
        show, first, bare, variable = (out.pop(0) for _ in range(4))
        says = [json.loads(x.split("\r\n\r\n")[1]) for x in (show, first, bare, variable)]
        assert says[0].get("output") == f"<{t}>", (t, show)
        if t.startswith("-"):
            assert says[1]["error"] == "invalid_arguments" and says[2]["error"] == "invalid_arguments", (t, first)
        else:
            assert says[1]["output"] == t + "\n", (t, first)
            assert says[2]["output"] == f"text={t} a {t} b c\n", (t, bare)
        names = [v.split("=")[0] for v in says[3]["output"].split("\0") if v]
        assert sorted(names) == sorted(set(names)) and "GIVEN" in names and "LD_PRELOAD" not in names, names
    for i in range(4):
        assert all('"invalid_arguments"' in out[4 * k + i] for k in (0, 1)), out[i][:300]
    for a in out:
        assert a.split(" ")[1] in ("200", "400"), a[:300]
    assert '"invalid_arguments"' in out[-1] and "coreutils" not in out[-1], out[-1]


# ---- MCP ----

def t16_mcp():
    good = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"show","arguments":{"text":"ran-good"}}}'
    bad = '{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"secret","arguments":{}}}'
    messages = [
        f"[{good},{bad}]", f"[{bad},{good}]", f"[{good},[{bad}]]", f"[[{bad}]]", bad,
        bad.replace('"id":2,', ""), bad.replace('"id":2', '"id":null'), bad.replace('"id":2', '"id":[1]'),
        bad.replace('"id":2', '"id":{"a":1}'), bad.replace('"id":2', '"id":1.5'), bad.replace('"id":2', '"id":true'),
        bad.replace('"id":2', '"id":1e400'), bad.replace('"id":2', '"id":"' + "x" * 9000 + '"'),
        bad.replace("tools/call", "Tools/Call"), bad.replace("tools/call", "tools\\/call"),
        bad.replace("tools/call", "tools/call "), bad.replace("tools/call", "tools/\\u0063all"),
        bad.replace("tools/call", "tools//call"), bad.replace('"method"', '"Method"'),
        bad.replace('"params":{"name":"secret","arguments":{}}', '"params":["secret",{}]'),
        bad.replace('"name":"secret"', '"name":"show","name":"secret"'),
        bad.replace('"name":"secret"', '"name":"show","n\\u0061me":"secret"'),
        bad.replace('"name":"secret"', '"name":"secr\\u0065t"'), bad.replace('"secret"', '" secret"'),
        bad.replace('"secret"', '"SECRET"'), bad.replace('"secret"', '"s\\u0435cret"'), bad.replace('"secret"', '["secret"]'),
        bad.replace('"secret"', '"../secret"'), bad.replace('"secret"', '"show/../secret"'),
        bad.replace('"secret"', '"secret\\u0000"'), bad.replace('"arguments":{}', '"arguments":[]'),
        bad.replace('"arguments":{}', '"arguments":"{}"'), bad.replace('"arguments":{}', '"arguments":null'),
        bad.replace('"jsonrpc":"2.0",', ""), bad.replace("2.0", "1.0"),
        bad[:-1] + ',"result":{}}', '{"jsonrpc":"2.0","id":7,"result":{"content":[]}}',
        '{"jsonrpc":"2.0","id":3,"method":"tools/call"}', "[]", "[1]", '{"batch":[' + bad + "]}",
        '{"jsonrpc":"2.0","id":3,"method":"notifications/cancelled","params":{"requestId":1}}',
        '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}',
        "[" + ",".join([good] * 65) + "]", f"[{good},{good}]",
        '{"jsonrpc":"2.0","id":5,"method":"tools/list","params":{"cursor":"../../secret"}}',
        '{"jsonrpc":"2.0","id":5,"method":"resources/read","params":{"uri":"file:///etc/passwd"}}',
        '{"jsonrpc":"2.0","id":5,"method":"completion/complete","params":{}}',
    ]
    with open(os.path.join(w.work, "messages.json"), "w", encoding="utf-8") as f:
        json.dump(messages, f)
    out = attack("V = ['MCP-Protocol-Version: 2025-03-26', 'Accept: application/json, text/event-stream']\n"
                 "for m in json.load(open('messages.json')): say(mcp(m, V))\n"
                 "for v in ('1999-01-01', '2025-03-26\\r\\nMCP-Protocol-Version: 2024-11-05', ''):\n"
                 f"    say(mcp({bad!r}, ['MCP-Protocol-Version: ' + v]))\n"
                 f"for s in ('x', 'another', '../../x', '0' * 5000): say(mcp({bad!r}, ['Mcp-Session-Id: ' + s]))\n"
                 f"say(mcp({bad!r}, auth=False)); say(mcp({good!r}, auth=False))\n"
                 "say(req('GET', '/mcp', None, ['Last-Event-ID: 99999999999999999999999', 'Accept: text/event-stream'], seconds=2))\n"
                 "say(req('DELETE', '/mcp', None, ['Mcp-Session-Id: x']))\n"
                 "say(mcp('{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}'))")
    none_ran(out)
    none_ran(out[:2] + out[3:], "ran-good")  # the third has no call beside it, only nonsense
    listed = json.loads(out[-1].split("\r\n\r\n")[1])["result"]["tools"]
    assert "secret" not in {t["name"] for t in listed}, listed
    for m, a in zip(messages, out):
        assert a.split(" ")[1] in ("200", "202", "400", "401", "403", "404"), (m[:200], a[:500])



# ---- bytes on the wire ----

def t1_smuggling():
    """The broker reads only heads that the proxy wrote: what hides in a body or behind a refusal runs nowhere."""
    out = attack(r"""
hidden = head("POST", "/v1/tools/show", ["Content-Type: application/json", "Content-Length: 19"]) + b'\r\n{"text":"smuggled"}'
J = "Content-Type: application/json"
good = b'{"text":"x"}'
def shot(fields, data, path="/v1/tools/show", method="POST", auth=True, seconds=3):
    say(raw(head(method, path, [J] + fields, auth) + b"\r\n" + data, seconds=seconds))
n = len(hidden)
shot(["Content-Length: %d" % len(good), "Transfer-Encoding: chunked"], b"0\r\n\r\n" + hidden)
shot(["Transfer-Encoding: chunked", "Content-Length: 5"], b"0\r\n\r\n" + hidden)
shot(["Content-Length: 0", "Content-Length: %d" % n], hidden)
shot(["Content-Length: %d, 0" % n], hidden)
shot(["Content-Length: +12"], good + hidden)
shot(["Content-Length: 0x0c"], good + hidden)
shot(["Content-Length: 12 "], b"")
shot(["Content-Length:\t12;q=1"], good + hidden)
shot(["Content-Length: 18446744073709551628"], good + hidden)
shot(["Content-Length: -1"], good + hidden)
shot([" Content-Length: 12"], good + hidden)
shot(["Content-Length : 12"], good + hidden)
shot(["X: y", "\tContent-Length: 12"], good + hidden)
shot(["Transfer-Encoding: xchunked"], b"0\r\n\r\n" + hidden)
shot(["Transfer-Encoding: chunked, identity"], b"0\r\n\r\n" + hidden)
shot(["Transfer-Encoding: identity, chunked"], b"0\r\n\r\n" + hidden)
shot(["Transfer-Encoding: \x0bchunked"], b"0\r\n\r\n" + hidden)
shot(["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], b"0\r\n\r\n" + hidden)
shot(["Transfer-Encoding: gzip, chunked"], b"0\r\n\r\n" + hidden)
shot(["Transfer-Encoding: chunked"], b"c;a=\n\r\n" + good + b"\r\n0\r\n\r\n" + hidden)
shot(["Transfer-Encoding: chunked"], b"c\n" + good + b"\n0\n\n" + hidden)
shot(["Transfer-Encoding: chunked"], b"ffffffffffffffff1\r\n" + hidden)
shot(["Transfer-Encoding: chunked"], b"-1\r\n" + hidden)
shot(["Transfer-Encoding: chunked"], b"0x0\r\n\r\n" + hidden)
shot(["Transfer-Encoding: chunked"], b"1" * 100000)
shot(["Transfer-Encoding: chunked"], b"c\r\n" + good + b"\r\n0\r\n" + b"A: b\r\n" * 100000 + b"\r\n")
shot(["Content-Length: %d" % n], hidden, "/healthz", "GET")
shot(["Content-Length: %d" % n], hidden, "/v1/jobs", "GET")
shot(["Content-Length: %d" % n], hidden, "/v1/tools/secret")
shot(["Content-Length: 12"], good + hidden, "/v1/tools/secret")       # behind a denial
shot(["Content-Length: 12"], good + hidden, "/nowhere")
shot(["Content-Length: 9999999"], good + hidden)
shot(["Content-Length: 12", "Expect: 100-continue"], b"")             # never sends it
shot(["Content-Length: 12", "Expect: 200-maybe"], good + hidden)
shot(["Content-Length: 9999999", "Expect: 100-continue"], good + hidden)
say(raw(head("POST", "/v1/tools/show HTTP/1.1\r\nX: y", [J]) + b"\r\n" + good, seconds=3))
say(raw(b"GET /healthz\r\n\r\n" + hidden, seconds=3))
say(raw(b"GET /healthz HTTP/9.9\r\n\r\n" + hidden, seconds=3))
say(raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0,0,0,4,0,0,0,0,0]), seconds=3))
say(raw(b"\x16\x03\x01\x00\x05hello", seconds=3))
say(raw(b"\r\n" * 50000 + hidden, seconds=3))
say(raw(b"GET / HTTP/1.1\r\nHost: tools.local\r\nA: " + b"x" * 300000 + b"\r\n\r\n" + hidden, seconds=3))
say(raw(head("GET", "/" + "x" * 100000) + b"\r\n", seconds=3))
say(raw(head("GET", "/healthz", ["A%d: b" % i for i in range(5000)]) + b"\r\n" + hidden, seconds=3))
say(raw(head("GET", "/healthz", ["User-Agent: " + "u" * 30000]) + b"\r\n", seconds=3))
for f in (["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="],
          ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"],
          ["Connection: Authorization, Content-Length"], ["Connection: Host"], ["Trailer: Authorization", "TE: trailers"]):
    say(raw(head("GET", "/v1/jobs", f) + b"\r\n" + hidden[:0], seconds=2))
say(call("show", '{"text":"still there"}'))
""", timeout=150)
    assert "<still there>" in out[-1], out[-1]
    for i, a in enumerate(out[:-1]):
        assert "101 Switching" not in a, (i, a)
        assert a.count("<smuggled>") == 0, (i, a[:600])


def t1_pipelining():
    """Requests in line are decided one by one, and what stands behind a refusal is not run."""
    out = attack(r"""
def one(tool, text):
    b = json.dumps({"text": text}).encode()
    return head("POST", "/v1/tools/" + tool, ["Content-Type: application/json", "Content-Length: %d" % len(b)]) + b"\r\n" + b
say(raw(one("show", "a") + one("show", "b") + one("secret", "c") + one("show", "after"), seconds=4))
say(raw(b"".join(one("show", "n%d." % i) for i in range(200)), seconds=6))
say(raw(one("show", "a").replace(b"Bearer cvt", b"Bearer xvt") + one("show", "second"), seconds=4))
""")
    assert "<a>" in out[0] and "<b>" in out[0] and "policy_denied" in out[0] and "<after>" not in out[0], out[0]
    assert [out[1].count(f"<n{i}.>") for i in range(200)] == [1] * 200, out[1][-500:]
    assert len(calls()) == 2 + 200 + (2 if "<second>" in out[2] else 1), len(calls())


def b2_hosts_and_origins():
    out = attack(r"""
for h in ("plain.test", "tools.local:81", "tools.local:443", "localhost", "127.0.0.1", "tools.local.evil.test", "", "tools.local@plain.test",
          "tools.local, plain.test", "tools.local/", "tools.local:", "[::1]", "tools.local%00", "tools.local\tx"):
    say(call("show", '{"text":"ran-good"}', host=h, seconds=3))
for o in ("http://evil.test", "null", "https://tools.local", "http://tools.local.evil.test", "http://tools.local:8080", "http://", "file://"):
    say(call("show", '{"text":"ran-good"}', ["Origin: " + o], seconds=3))
say(call("show", '{"text":"ran-good"}', ["Origin: http://tools.local", "Origin: http://evil.test"], seconds=3))
say(call("show", '{"text":"ran-good"}', ["Host: plain.test"], seconds=3))
for h in ("TOOLS.local", "tools.local.", "tools.local:80", "HOST.cove.INTERNAL"):
    say(call("show", '{"text":"fine"}', host=h, seconds=3))
""")
    hosts, rest = out[:14], out[14:]
    none_ran(rest[:-4], "ran-good")
    for a in hosts:  # a transparent connection went to the route by its address; Host may not say otherwise
        assert "output" not in a, a
    for a in rest[-4:]:
        assert a.split(" ")[1] in ("200", "400", "403", "421"), a


def n1_other_ways_to_the_route():
    """Other ports, other schemes, tunnels, and other names' addresses."""
    before = len(api.seen) + len(plain.seen)
    out = attack(r"""
P = os.environ["http_proxy"].split("//")[1].strip("/").split(":")
P = (P[0], int(P[1]))
address = socket.gethostbyname("tools.local")
for port in (1, 22, 53, 79, 81, 443, 3128, 8080, 65535):
    try: say([port, raw(head("GET", "/v1/jobs", ["Connection: close"]) + b"\r\n", (address, port), 3)])
    except OSError as e: say([port, str(e)])
b = b'{"text":"ran-good"}'
inner = head("POST", "/v1/tools/show", ["Content-Type: application/json", "Content-Length: 19", "Connection: close"]) + b"\r\n" + b
def tunnel(to, inside, seconds=4, tls=None):
    s = socket.create_connection(P, seconds)
    s.sendall(("CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n" % (to, to)).encode())
    got = s.recv(65536)
    if b" 200 " not in got[:20]: return got.decode("latin-1")
    if tls:
        try:
            c = ssl._create_unverified_context(); s = c.wrap_socket(s, server_hostname=tls)
        except OSError as e: return "TLS: " + str(e)
    s.sendall(inside)
    return drain(s).decode("latin-1")
say(tunnel("tools.local:443", inner)); say(tunnel("tools.local:443", inner, tls="tools.local"))
say(tunnel("tools.local:80", inner, tls="tools.local")); say(tunnel("tools.local:80", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
say(tunnel("tools.local:22", inner)); say(tunnel("api.test:443", inner, tls="api.test"))
say(tunnel("api.test:443", inner.replace(b"POST /", b"POST http://tools.local/"), tls="api.test"))
say(tunnel("plain.test:80", inner)); say(tunnel("plain.test:80", inner.replace(b"POST /", b"POST http://tools.local/")))
say(tunnel("tools.local:80", b"CONNECT plain.test:80 HTTP/1.1\r\nHost: plain.test:80\r\n\r\n" + inner))
say(tunnel("tools.local:80", inner.replace(b"Host: tools.local", b"Host: plain.test")))
say(tunnel("tools.local:80", inner.replace(b"POST /", b"POST http://plain.test/")))
say(raw(inner.replace(b"POST /", b"POST https://tools.local/"), P, 4))
say(raw(inner.replace(b"POST /", b"POST http://tools.local:8080/"), P, 4))
say(raw(inner.replace(b"POST /", b"POST http://user:pw@tools.local/"), P, 4))
say(raw(inner.replace(b"POST /", b"POST http://plain.test/").replace(b"Host: tools.local", b"Host: tools.local"), P, 4))
say(raw(inner.replace(b"POST /", b"POST ftp://tools.local/"), P, 4))
say(raw(inner.replace(b"POST /", b"POST http://" + address.encode() + b"/").replace(b"tools.local", address.encode()), P, 4))
say(tunnel("tools.local:80", inner))
""")
    assert "<ran-good>" in out[-1], out[-1]
    none_ran(out[:-1], "<ran-good>")
    assert all(r["path"] != "/v1/tools/show" or "tools" not in json.dumps(r["headers"]) for r in api.seen + plain.seen)
    for r in (api.seen + plain.seen)[before:]:
        assert "cvt_" not in json.dumps(r["headers"]), r


def n1_a_policy_that_names_the_route():
    """An endpoint of the route's name is no way to a server of that name, nor a pin of it."""
    other = world.Server(world.PRIVATE, 8080)
    for name in ("tools.local", "host.cove.internal"):
        path = w.policy(f"""\
version: 1
network_policies:
  mine:
    endpoints: [{{host: {name}, port: 80}}, {{host: {name}, port: 8080}}, {{host: "*.local", port: 443}}]
    binaries: [{{path: "/**"}}]
""", "named.yaml")
        r = w.cove(script(f"""
for port in (80, 8080, 443):
    try: say(raw(head("POST", "/v1/tools/show", ["Content-Length: 0", "Connection: close"], host="{name}:%d" % port) + b"\\r\\n", ("{name}", port), 3))
    except OSError as e: say(str(e))
"""), policy=path, pins=[f"{name}:{p}:{world.PRIVATE}" for p in (80, 8080, 443)], options=["--tools", tools], env=ENV)
        assert not plain.seen or all("tools" not in json.dumps(s) for s in plain.seen), plain.seen
        assert not other.seen, other.seen
        if r.returncode == 0:
            for line in r.stdout.splitlines():
                assert " 200 " not in line[:30], line
    other.shutdown()


# ---- tokens ----

def b1_tokens():
    out = attack(r"""
text = '{"text":"ran-good"}'
def with_auth(v): return call("show", text, ["Authorization: " + v] if v is not None else [], auth=False)
shots = [None, "", "Bearer", "Bearer ", "bearer", T, "Basic " + T, "Token " + T, "Bearer " + T[:-1], "Bearer " + T + "0", "Bearer " + T.upper(),
         "Bearer " + T[::-1], "Bearer cvt_" + "0" * 64, "Bearer x" + T, "Bearer " + T + " " + T, "Bearer " + T + "," + T, "Bearer  \x00",
         "Digest username=\"" + T + "\"", "Bearer \"" + T + "\""]
for v in shots: say([v, with_auth(v)])
for f in ("Cookie: token=" + T, "X-Api-Key: " + T, "X-Authorization: Bearer " + T, "Proxy-Authorization: Bearer " + T, "Mcp-Session-Id: " + T,
          "Idempotency-Key: " + T, "User-Agent: " + T, "Accept: " + T, "Prefer: " + T):
    say([f, call("show", text, [f], auth=False)])
say(["query", call("show?token=" + T, text, auth=False)])
say(["query2", req("GET", "/v1/jobs?access_token=" + T, None, auth=False)])
say(["body", call("piped", json.dumps({"v": T}))])
say(["pieces", call("piped", json.dumps({"v": T[:20] + "\u200b" + T[20:]}))])
say(["escaped", call("piped", '{"v":"' + "".join("\\u%04x" % ord(c) for c in T) + '"}')])
say(["path", req("GET", "/v1/jobs/" + T, None)])
say(["two", call("show", text, ["Authorization: Bearer x"])])
""")
    for v, a in out:
        ran = "ran-good" in a
        assert not ran or v is not None and v.startswith(("Bearer", "bearer")), (v, a)
    none_ran([a for v, a in out[:19] if v and not v.startswith("Bearer cvt")], "<ran-good>")
    rest = dict((v, a) for v, a in out[19:])
    for v in ("query", "query2", "body", "path"):
        assert " 40" in rest[v][:14] and "output" not in rest[v], (v, rest[v])


def b1_a_million_guesses():
    """As many as there is time for: after a few nobody listens, and nothing grows."""
    out = attack(r"""
count, seen = 0, {}
end = time.time() + 4
while time.time() < end:
    with connect() as s:
        one = head("POST", "/v1/tools/show", ["Content-Type: application/json", "Content-Length: 12"], auth=False)[:-2]
        s.sendall(b"".join(one + b"\r\nAuthorization: Bearer cvt_" + os.urandom(32).hex().encode() + b"\r\n\r\n" + b'{"text":"x"}' for _ in range(50)))
        s.shutdown(socket.SHUT_WR)
        for part in drain(s).split(b"HTTP/1.1 ")[1:]:
            seen[part[:3].decode()] = seen.get(part[:3].decode(), 0) + 1; count += 1
say(count); say(seen); say(call("show", '{"text":"fine"}'))
""", timeout=60)
    assert out[0] > 100 and set(out[1]) <= {"401", "429"} and out[1]["401"] <= 40, out
    assert len(tool_events()) < 200, len(tool_events())


# ---- jobs ----

def b3_ids():
    out = attack(r"""
job = json.loads(body(call("slow", '{"seconds":0}', ["Prefer: respond-async"])))["id"]
say(job)
for path in ("/v1/jobs/" + job[:-1] + ("0" if job[-1] != "0" else "1"), "/v1/jobs/" + job.upper() + "X", "/v1/jobs/..%2fjobs",
             "/v1/jobs/" + job + "/../../v1/tools/secret", "/v1/jobs/%00", "/v1/jobs/" + "0" * 32, "/v1/jobs/" + "f" * 5000, "/v1/jobs/'; DROP TABLE record;--",
             "/v1/jobs/" + job + "/nothing", "/v1/jobs//", "/v1/jobs/" + job + "%2flog", "/v1/jobs/broker.db",
             "/v1/jobs/" + job + "/log?offset=-1", "/v1/jobs/" + job + "/log?offset=1&offset=x", "/v1/jobs/" + job + "/log?offset=18446744073709551616",
             "/v1/jobs/" + job + "/log?offset=1e3", "/v1/jobs/" + job + "?wait=-1", "/v1/jobs/" + job + "?wait=99999999999999999999"):
    say(["no", path, req("GET", path, None, seconds=5)])
for path in ("/v1/jobs/" + job + "/log?offset=18446744073709551615", "/v1/jobs/" + job + "/log?offset=0", "/v1/jobs/" + job + "?wait=300",
             "/v1/jobs/" + job + "/events?offset=18446744073709551615", "/v1/jobs/" + job + "/result"):
    say(["yes", path, req("GET", path, None, seconds=5)])
for last in ("0-0-0", "18446744073709551615-4294967295-2", "99999999999999999999-0-0", "-1--1--1", "x", "0-0-3", "\x7f", "0" * 9000, "1-1-1-1", "--", "0-0-1"):
    say(["yes", last, req("GET", "/v1/jobs/" + job + "/events", None, ["Last-Event-ID: " + last], seconds=5)])
for k in ("a" * 256, "k\x01", "", "k" * 255, "../../x", "'"):
    say(["key", k, call("show", '{"text":"x"}', ["Idempotency-Key: " + k])])
say(["key", "again", call("show", '{"text":"y"}', ["Idempotency-Key: " + "k" * 255])])
say(["key", "two", call("show", '{"text":"y"}', ["Idempotency-Key: a", "Idempotency-Key: b"])])
say(["fine", "", call("show", '{"text":"still there"}')])
""")
    for what, path, a in out[1:]:
        if what == "no":
            assert a.split(" ")[1] in ("400", "404", "403", "414", "431"), (path[:80], a[:400])
            assert "ran-the-secret" not in a and "SQLite" not in a
        if what == "yes":
            assert a.split(" ")[1] in ("200", "400", "431"), (path[:80], a[:400])
    assert "idempotency_conflict" in out[-3][2], out[-3]
    assert "still there" in out[-1][2], out[-1]


def b3_another_sandboxes_jobs():
    one = subprocess.Popen([world.COVE, "run", "-q", "--workdir", w.work, "--policy", policy, "--tools", tools, "--",
                            "/usr/bin/python3", "-c", PRELUDE + """
say(T); say(json.loads(body(call("slow", '{"seconds":20}', ["Prefer: respond-async", "Idempotency-Key: same"])))["id"]); time.sleep(20)
"""], env=ENV, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        token, job = json.loads(one.stdout.readline()), json.loads(one.stdout.readline())
        out = attack(f"""
for how in ("", "/log", "/result", "/events", "?wait=2"): say(req("GET", "/v1/jobs/{job}" + how, None))
say(req("POST", "/v1/jobs/{job}/cancel", "{{}}")); say(req("DELETE", "/v1/jobs/{job}", None)); say(req("GET", "/v1/jobs", None))
say(req("GET", "/v1/jobs/{job}", None, ["Authorization: Bearer {token}"], auth=False))
say(call("slow", '{{"seconds":0}}', ["Idempotency-Key: same"]))
""")
        for a in out[:7]:
            assert " 404 " in a[:14] and "unknown_job" in a, a
        assert job not in out[7] and " 401 " in out[8][:14], out[7:9]
        assert " 200 " in out[9][:14], out[9]
        assert one.poll() is None
    finally:
        one.send_signal(signal.SIGTERM)
        one.communicate(timeout=20)


# ---- the log ----

def c11_one_event_and_no_values():
    secrets = ["S3CRETVALUE-" + str(i) for i in range(8)]
    attack(f"""
S = {secrets!r}
call("show", json.dumps({{"text": S[0]}}))
call("guarded", json.dumps({{"repo": S[1], "number": 1}}))
req("POST", "/r/" + S[2] + "/n/1", "{{}}")
call("show", json.dumps({{"text": "x", S[3]: S[3]}}))
mcp(json.dumps({{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {{"name": "guarded", "arguments": {{"repo": S[4], "number": 1}}}}}}))
call("show?x=" + S[5], json.dumps({{"text": 1}}))
call("fails", json.dumps({{"text": S[6]}}))
call("show", json.dumps({{"text": S[7]}}), auth=False)
""")
    events = tool_events()
    assert len(events) == 8, [(e["class_name"], e.get("message")) for e in events]
    text = json.dumps(events)
    assert not [s for s in secrets if s in text], [(s, [e for e in events if s in json.dumps(e)]) for s in secrets if s in text]


def c11_log_injection():
    names = ["x%0a%7b%22class_name%22:1%7d", "%1b[2J", "x" * 3000, "%e2%80%ae", "a%22,%22b%22:%22", "%c3%28", "'", "%25n%25s"]
    attack(f"""
for n in {names!r}:
    call(n, "{{}}"); req("GET", "/" + n, None)
    mcp(json.dumps({{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {{"name": n + "\\n{{\\"a\\":1}}\\x1b[2J", "arguments": {{}}}}}}))
    call("show", json.dumps({{"text": "\\n{{}}\\x1b"}}), ["User-Agent: \\x1b[2J" , "Idempotency-Key: a\\tb"])
""")
    with open(w.audit, "rb") as f:
        data = f.read()
    for line in data.splitlines():
        assert json.loads(line)["class_name"], line
        assert len(line) < 20000 and b"\x1b" not in line and "\u202e".encode() not in line, line[:500]


tap.check("T16 JSON that means two things is refused, with one event each", t16_json_tricks)
tap.check("T16 a number reaches the tool as what policy took it for", t16_numbers_are_what_policy_saw)
tap.check("T16 paths, queries, methods and names lead around no decision", t16_paths_and_bodies)
tap.check("T16 a value is never an option, a second word or a variable", t16_values_stay_values)
tap.check("T16 MCP: batches, ids, names and methods", t16_mcp)
tap.check("T1 smuggling: what hides in bodies and behind refusals runs nowhere", t1_smuggling)
tap.check("T1 pipelining: nothing runs behind a refusal", t1_pipelining)
tap.check("B2 foreign Host and Origin", b2_hosts_and_origins)
tap.check("N1 other ports, schemes and tunnels lead nowhere", n1_other_ways_to_the_route)
tap.check("N1 a policy's endpoint of the route's name", n1_a_policy_that_names_the_route)
tap.check("B1 C1 tokens: wrong ones, and the right one in wrong places", b1_tokens)
tap.check("B1 guessing", b1_a_million_guesses)
tap.check("B3 B12 ids, offsets, keys", b3_ids)
tap.check("B3 another sandbox's jobs", b3_another_sandboxes_jobs)
tap.check("C11 one event for each call, and no value in it", c11_one_event_and_no_values)
tap.check("C11 log injection by names and fields", c11_log_injection)
w.close()
tap.done()
