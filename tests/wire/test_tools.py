#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The reserved route to host tools, as the proxy has it.

Goal: http://tools.local is answered by the broker and by nobody else, whatever a policy says; a call
that policy refuses is answered by the proxy, names what is allowed, makes one event, and the broker
hears nothing of it; what goes on was written by the proxy.  Method: the real proxy and a broker of
the test's own that keeps every byte.
"""
import json
import os
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import proxylab  # noqa: E402
import toolslab  # noqa: E402
import world  # noqa: E402
from proxylab import Lab, read_all, read_head, read_response  # noqa: E402

POLICY = """
version: 1
network_policies:
  shadow:
    endpoints:
      - {host: tools.local, port: 80, protocol: rest, enforcement: enforce, access: full}
      - {host: tools.local, port: 8080}
      - {host: plain.test, port: 80}
    binaries: [{path: "/**"}]
tools:
  issues:
    tools: [issues.*]
    arguments:
      - {path: $.repo, equals: acme/app}
  free: {tools: [echo, status]}
  mine: {tools: [owned], binaries: [{path: /usr/bin/other}]}
"""
TOOLS = """\
echo
issues.close POST /issues/{number:number}/close
issues.create
owned
secret
status GET /status/{id}
"""
P = world.PUBLIC
w = world.World(["api.test"])
proxylab.add_local("10.200.0.1", 32)
proxylab.add_local("198.18.0.0", 15)
world.Server.allow_reuse_port = True  # beside a wildcard listener
PINS = [("plain.test", 80, P)]
plain = world.Server(P, 80)
tap = world.Tap()
LIMIT = 1 << 20


class With:
    """A proxy with a broker."""

    def __init__(self, **changes):
        self.broker = toolslab.Broker()
        self.lab = Lab(w, POLICY, pins=PINS, **{"tools": TOOLS, "broker": self.broker, **changes})

    def ask(self, method, path, body=None, headers=(), sock=None, host="tools.local", **who):
        s = sock or self.lab.connect(**who)
        head = f"{method} http://{host}{path} HTTP/1.1\r\nHost: {host}\r\n"
        if body is not None:
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        for field in headers:
            head += field + "\r\n"
        s.sendall(head.encode() + b"\r\n" + (body or b""))
        status, fields, text = read_response(s)
        if not sock:
            s.close()
        is_json = fields.get("content-type", "").startswith("application/json")
        return status, fields, json.loads(text) if text and is_json else text

    def mcp(self, message, **kw):
        return self.ask("POST", "/mcp", message, **kw)

    def refused(self, got, status, error, **members):
        """As it should have been, with one event, and nothing at the broker."""
        assert got[0] == status and got[2]["error"] == error, got
        for key, value in members.items():
            assert got[2].get(key) == value, (key, got[2])
        assert not self.broker.requests, self.broker.requests
        events = self.lab.events()
        assert len(events) == 1, events
        assert events[0]["action"] == "Denied", events
        return events[0]


def check(name, **changes):
    def register(function):
        def run():
            it = With(**changes)
            try:
                function(it)
            finally:
                assert it.lab.close() == 0
        tap.check(name, run)
    return register


@check("the explicit proxy: discovery reaches the broker, with who asks")
def _(it):
    status, _, _ = it.ask("GET", "/tools.json")
    assert status == 200
    assert it.broker.requests[0].startswith(b"GET /tools.json HTTP/1.1\r\nHost: tools.local\r\n")
    who = it.broker.opened[0]
    assert who["exe"] == "/usr/bin/curl" and who["ancestors"] == ["/usr/bin/bash"], who
    assert who["pid"] == 7 and who["target"] == 0 and who["port"] == 80, who


@check("a stream is one connection's: who calls is never another's")
def _(it):
    for exe in ("/usr/bin/curl", "/usr/bin/other"):
        for _ in range(2):
            s = it.lab.connect(exe=exe)
            assert it.ask("GET", "/healthz", sock=s)[0] == 200
            s.close()
            time.sleep(0.1)
            it.lab.settled()
    assert [o["exe"] for o in it.broker.opened] == ["/usr/bin/curl"] * 2 + ["/usr/bin/other"] * 2


@check("host.cove.internal is the same")
def _(it):
    assert it.ask("GET", "/healthz", host="host.cove.internal")[0] == 200
    assert it.ask("GET", "/healthz", host="HOST.cove.internal")[0] == 200
    assert len(it.broker.requests) == 2


@check("keep-alive: one stream for the requests of one connection, another host between them")
def _(it):
    s = it.lab.connect()
    for _ in range(3):
        assert it.ask("POST", "/v1/tools/echo", {"a": 1}, sock=s)[0] == 200
    assert len(it.broker.opened) == 1 and len(it.broker.requests) == 3
    s.sendall(b"GET http://plain.test/x HTTP/1.1\r\nHost: plain.test\r\n\r\n")
    assert read_response(s)[2] == b"GET /x\n"
    assert it.ask("GET", "/", sock=s)[0] == 200
    assert len(it.broker.opened) == 2


@check("CONNECT to port 80")
def _(it):
    s, status, _ = it.lab.tunnel("tools.local", 80)
    assert status == 200
    for _ in range(2):
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: tools.local\r\n\r\n")
        assert read_response(s)[0] == 200
    assert len(it.broker.opened) == 1


@check("CONNECT to 443, another port, https://: refused in words, no stream, no look-up")
def _(it):
    for port in (443, 8080, 6443):
        _, status, head = it.lab.tunnel("tools.local", port)
        assert status == 400, head
    for url in ("https://tools.local/", "http://tools.local:8080/"):
        s = it.lab.connect()
        s.sendall(f"GET {url} HTTP/1.1\r\nHost: {url.split('/')[2]}\r\n\r\n".encode())
        status, _, body = read_response(s)
        assert status == 400 and json.loads(body)["error"] == "invalid_tools_address", body
    assert not it.broker.opened


@check("a caller that is not known is refused")
def _(it):
    it.refused(it.ask("GET", "/", is_known=False), 403, "policy_denied")
    assert not it.broker.opened


@check("a run without tools: the names are reserved, and say so", tools=None, broker=None)
def _(it):
    it.refused(it.ask("GET", "/"), 503, "no_tools")


@check("a broker that is not there", broker=None)
def _(it):
    status, _, body = it.ask("GET", "/")
    assert status == 503 and body["error"] == "broker_unavailable", body


@check("a broker that dies during a call: 503, no second call; the next broker is asked")
def _(it):
    it.broker.answer = [3600]
    s = it.lab.connect()
    s.sendall(b"POST http://tools.local/v1/tools/echo HTTP/1.1\r\nHost: tools.local\r\n"
              b"Content-Length: 2\r\n\r\n{}")
    it.broker.wait(1)
    it.broker.die()
    status, _, body = read_response(s)
    assert status == 503 and json.loads(body)["error"] == "broker_unavailable", body
    assert it.ask("GET", "/")[2]["error"] == "broker_unavailable"
    assert len(it.broker.requests) == 1
    second = toolslab.Broker()
    it.lab.broker(second)
    assert it.ask("GET", "/")[0] == 200 and len(second.requests) == 1


@check("a kept stream that the broker closed is not used again")
def _(it):
    s = it.lab.connect()
    assert it.ask("GET", "/", sock=s)[0] == 200
    it.broker.streams[0].shutdown(socket.SHUT_RDWR)
    it.lab.settled()
    assert it.ask("GET", "/", sock=s)[0] == 200
    assert len(it.broker.opened) == 2


@check("B2 hostile fields do not pass; those of the route do")
def _(it):
    it.ask("POST", "/v1/tools/echo", {}, headers=[
        "X-Forwarded-For: 1.2.3.4", "X-Sandbox: other", "Cookie: a=b", "Via: 1.1 x", "Forwarded: for=x",
        "X-HTTP-Method-Override: DELETE", "Cove-Sandbox: y", "Content-Encoding: gzip", "Range: bytes=0-1",
        "Idempotency-Key: k1", "Prefer: respond-async", "Accept: */*", "User-Agent: t",
        "Mcp-Session-Id: s", "MCP-Protocol-Version: 2025-06-18", "Last-Event-ID: 4",
        "Authorization: Bearer x", "Connection: keep-alive, X-Sandbox"])
    head = it.broker.requests[0].split(b"\r\n\r\n")[0].decode().lower()
    names = sorted(line.split(":")[0] for line in head.split("\r\n")[1:])
    assert names == ["accept", "authorization", "content-length", "content-type", "host",
                     "idempotency-key", "last-event-id", "mcp-protocol-version", "mcp-session-id",
                     "prefer", "user-agent"], names


@check("B2 a page of another origin is refused")
def _(it):
    it.refused(it.ask("POST", "/v1/tools/echo", {}, headers=["Origin: http://evil.test"]),
               403, "foreign_origin")
    for origin in ("null", "https://tools.local", "http://tools.local.evil.test", "http://tools.local:81"):
        assert it.ask("GET", "/", headers=[f"Origin: {origin}"])[0] == 403, origin
    assert not it.broker.opened
    assert it.ask("GET", "/", headers=["Origin: http://tools.local"])[0] == 200


@check("a call that policy allows passes, its body with a length, without a query")
def _(it):
    s = it.lab.connect()
    s.sendall(b"POST http://tools.local/v1/tools/issues.create?repo=x HTTP/1.1\r\nHost: tools.local\r\n"
              b"Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n")
    assert b"100 Continue" in read_head(s)
    s.sendall(b"9\r\n{\"repo\":\"\r\n")
    s.sendall(b"a\r\nacme/app\"}\r\n0\r\n\r\n")
    assert read_response(s)[0] == 200
    head, _, body = it.broker.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/tools/issues.create HTTP/1.1\r\n"), head
    assert b"Content-Length: 19" in head and b"xpect" not in head, head
    assert body == b'{"repo":"acme/app"}', body


@check("a call that policy denies names what is allowed, and on what condition")
def _(it):
    got = it.ask("POST", "/v1/tools/issues.create", {"repo": "acme/other"})
    event = it.refused(got, 403, "policy_denied", tool="issues.create")
    allowed = {row["name"]: row["conditions"] for row in got[2]["allowed"]}
    assert sorted(allowed) == ["echo", "issues.close", "issues.create", "status"], allowed
    assert "acme/app" in allowed["issues.create"][0], allowed
    assert "acme/other" not in json.dumps(got[2]) + json.dumps(event), (got, event)
    assert event["unmapped"]["tool"] == "issues.create", event


@check("a tool that no rule names; one for another binary")
def _(it):
    it.refused(it.ask("POST", "/v1/tools/secret", {}), 403, "policy_denied", tool="secret")
    assert it.ask("POST", "/v1/tools/owned", {})[0] == 403
    assert not it.broker.opened
    assert it.ask("POST", "/v1/tools/owned", {}, exe="/usr/bin/other")[0] == 200


@check("a tool's own route: the path is arguments, and decided")
def _(it):
    assert it.ask("POST", "/issues/17/close", {"repo": "acme/app"})[0] == 200
    assert it.broker.requests[0].startswith(b"POST /issues/17/close HTTP/1.1")
    assert it.ask("GET", "/status/a%2Fb")[0] == 200
    assert it.ask("POST", "/issues/17/close", {"repo": "other"})[0] == 403
    status, _, body = it.ask("POST", "/issues/17/close", {"repo": "acme/app", "number": 18})
    assert status == 400 and body["errors"][0]["pointer"] == "/number", body
    status, fields, _ = it.ask("GET", "/issues/17/close")
    assert status == 405 and fields["allow"] == "POST", fields
    assert len(it.broker.requests) == 2


@check("paths and tools that are not there")
def _(it):
    got = it.ask("POST", "/v1/tools/isues.create", {})
    it.refused(got, 404, "unknown_tool")
    assert "issues.create" in got[2]["known"] and "secret" not in got[2]["known"], got
    for path in ("/x", "/v1", "/v1/jobs/", "/v1/jobs/a/b", "/v1/tools/", "/mcp/x", "/issues//close"):
        status, _, body = it.ask("GET", path)
        assert status == 404 and body["error"] in ("unknown_path", "unknown_tool"), (path, body)
    for method, path, allow in (("PUT", "/mcp", "GET, HEAD, POST, DELETE"), ("GET", "/v1/tools/echo", "POST"),
                                ("POST", "/", "GET, HEAD"), ("DELETE", "/v1/jobs", "GET, HEAD")):
        status, fields, body = it.ask(method, path)
        assert status == 405 and fields["allow"] == allow and body["error"] == "method_not_allowed", body
    assert not it.broker.opened


@check("jobs, and MCP's other messages, pass")
def _(it):
    for method, path in (("GET", "/v1/jobs"), ("GET", "/v1/jobs/a1?wait=5"), ("DELETE", "/v1/jobs/a1"),
                         ("POST", "/v1/jobs/a1/cancel"), ("GET", "/v1/jobs/a1/events?offset=3"),
                         ("GET", "/mcp"), ("DELETE", "/mcp")):
        assert it.ask(method, path)[0] == 200, path
    assert b"GET /v1/jobs/a1?wait=5 HTTP/1.1" in it.broker.requests[1]
    for message in ({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}},
                    {"jsonrpc": "2.0", "method": "notifications/initialized"}):
        assert it.mcp(message)[0] == 200


@check("bodies: 1 MiB, told before it is sent; chunks; depth 64; JSON that means two things")
def _(it):
    s = it.lab.connect()
    s.sendall(b"POST http://tools.local/v1/tools/echo HTTP/1.1\r\nHost: tools.local\r\n"
              b"Content-Length: 1048577\r\n\r\n")
    status, _, body = read_response(s)
    assert status == 413 and json.loads(body)["limit"] == LIMIT, body
    s = it.lab.connect()
    s.sendall(b"POST http://tools.local/v1/tools/echo HTTP/1.1\r\nHost: tools.local\r\n"
              b"Transfer-Encoding: chunked\r\n\r\n")
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    try:
        for _ in range(17):
            s.sendall(chunk)
    except OSError:
        pass
    status, _, body = read_response(s)
    assert status == 413 and json.loads(body)["error"] == "body_too_large", body
    deep = lambda n: b'{"a":' * (n - 1) + b"{}" + b"}" * (n - 1)  # noqa: E731
    status, _, body = it.ask("POST", "/v1/tools/echo", deep(65))
    assert status == 400 and body["error"] == "too_deep" and body["limit"] == 64, body
    for text, error in ((b'{"a":1,"a":2}', "duplicate_key"), (b'{"a":1', "invalid_json"),
                        (b'{} x', "invalid_json"), (b'\xef\xbb\xbf{}', "invalid_json"),
                        (b'[]', "invalid_arguments"), (b'"x"', "invalid_arguments")):
        status, _, body = it.ask("POST", "/v1/tools/echo", text)
        assert status == 400 and body["error"] == error, (text, body)
    assert it.ask("POST", "/v1/tools/echo", b'{"a":1,"\\u0061":2}')[2]["error"] == "duplicate_key"
    assert not it.broker.opened
    assert it.ask("POST", "/v1/tools/echo", deep(64))[0] == 200
    assert it.ask("POST", "/v1/tools/echo", b'{"a":"' + b"x" * (LIMIT - 8) + b'"}')[0] == 200
    assert it.ask("POST", "/v1/tools/echo")[0] == 200


def call(name, arguments=None, ident=1, **more):
    params = {"name": name, **({"arguments": arguments} if arguments is not None else {})}
    return {"jsonrpc": "2.0", "method": "tools/call", "params": params,
            **({"id": ident} if ident is not None else {}), **more}


@check("T16 MCP: a denied call is an error of JSON-RPC, with its id, and never reaches the broker")
def _(it):
    for ident in (1, "x-1", 12345678901234567890):
        status, _, body = it.mcp(call("issues.create", {"repo": "other"}, ident))
        assert status == 200 and body["id"] == ident and body["jsonrpc"] == "2.0", body
        data = body["error"]["data"]
        assert data["error"] == "policy_denied" and data["tool"] == "issues.create", data
        assert any(row["name"] == "issues.create" for row in data["allowed"]), data
    assert not it.broker.opened
    assert len(it.lab.events()) == 3
    assert it.mcp(call("issues.create", {"repo": "acme/app"}))[0] == 200
    assert it.mcp(call("echo"))[0] == 200
    assert len(it.broker.requests) == 2


@check("T16 MCP: names that only look like one, no arguments' object, notifications")
def _(it):
    for name in ("echo ", "ech\u043e", "../echo", "", "a" * 200, "echo\u0000"):
        status, _, body = it.mcp(call(name, {}))
        assert status == 200 and body["error"]["code"] == -32602, (name, body)
        assert body["error"]["data"]["error"] == "unknown_tool", body
    assert it.mcp(call("echo", [1]))[2]["error"]["code"] == -32602
    status, _, body = it.mcp(call("secret", {}, None))
    assert status == 403 and body["error"] == "policy_denied", body
    status, _, body = it.mcp(b'{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call"}')
    assert status == 400 and body["error"]["code"] == -32700, body
    escaped = json.dumps(call("secret", {})).replace("tools/call", "tools\\/c\\u0061ll")
    assert it.mcp(escaped.encode())[2]["error"]["data"]["error"] == "policy_denied"
    assert not it.broker.opened


@check("T16 MCP: a batch with one call that is denied is denied as a whole")
def _(it):
    status, _, body = it.mcp([call("echo", {}, 1), call("secret", {}, 2), call("echo", {}, 3)])
    assert status == 200 and [e["id"] for e in body] == [1, 2, 3], body
    assert [e["error"]["data"].get("tool") for e in body] == [None, "secret", None], body
    assert not it.broker.opened
    assert it.mcp([call("echo", {}, 1), call("status", {}, 2)])[0] == 200
    assert len(it.broker.requests) == 1


@check("names that only the broker knows are decided by policy all the same", tools="echo\nissues.*\n")
def _(it):
    assert it.mcp(call("issues.anything", {"repo": "acme/app"}))[0] == 200
    assert it.mcp(call("issues.anything", {"repo": "x"}))[2]["error"]["data"]["error"] == "policy_denied"
    assert it.mcp(call("files.read", {}))[2]["error"]["data"]["error"] == "unknown_tool"


@check("a placeholder of nobody, an upgrade, HTTP/1.0, and a request that is ahead of its turn")
def _(it):
    status, _, _ = it.ask("GET", "/", headers=["Upgrade: websocket", "Connection: Upgrade",
                                               "Sec-WebSocket-Version: 13"])
    assert status == 403
    s = it.lab.connect()
    s.sendall(b"GET http://tools.local/ HTTP/1.0\r\nHost: tools.local\r\n\r\n")
    assert b"200" in read_all(s).split(b"\r\n")[0]
    s = it.lab.connect()
    one = b"POST http://tools.local/v1/tools/echo HTTP/1.1\r\nHost: tools.local\r\nContent-Length: 2\r\n\r\n{}"
    s.sendall(one * 3)
    for _ in range(3):
        assert read_response(s)[0] == 200
    s = it.lab.connect()  # what stands behind a denial is never looked at
    s.sendall(one.replace(b"echo", b"secret") + one)
    assert b"policy_denied" in read_all(s)
    assert len([r for r in it.broker.requests if r.startswith(b"POST")]) == 3


@check("a client that goes away during a call: the broker sees the end of its stream")
def _(it):
    it.broker.answer = [3600]
    s = it.lab.connect()
    s.sendall(b"POST http://tools.local/v1/tools/echo HTTP/1.1\r\nHost: tools.local\r\n"
              b"Content-Length: 2\r\n\r\n{}")
    it.broker.wait(1)
    stream = it.broker.streams[0]
    s.close()
    stream.settimeout(20)
    assert stream.recv(1) == b""


@check("an event stream passes event by event")
def _(it):
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    event = lambda n: (lambda b: b"%x\r\n%s\r\n" % (len(b), b))(b"data: %d\n\n" % n)  # noqa: E731
    it.broker.answer = [head, event(1), 3, event(2), b"0\r\n\r\n"]
    s = it.lab.connect()
    s.sendall(b"GET http://tools.local/v1/jobs/a/events HTTP/1.1\r\nHost: tools.local\r\n\r\n")
    read_head(s)
    began, got = time.monotonic(), b""
    while b"data: 1\n\n" not in got:
        got += s.recv(4096)
    assert time.monotonic() - began < 2
    while b"data: 2\n\n" not in got:
        got += s.recv(4096)


@check("a new policy decides the next call, on a kept connection too")
def _(it):
    s = it.lab.connect()
    assert it.ask("POST", "/v1/tools/echo", {}, sock=s)[0] == 200
    code, text = it.lab.policy("version: 1\n")
    assert code == 0, text
    status, _, body = it.ask("POST", "/v1/tools/echo", {}, sock=s)
    assert status == 403 and body["allowed"] == [], body


def address_of(lab, name):
    """As the sandbox's DNS says it."""
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(15)
    s.connect(("127.0.0.1", lab.udp[0].getsockname()[1]))
    labels = b"".join(bytes([len(x)]) + x.encode() for x in name.split("."))
    s.send(struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0) + labels + struct.pack(">BHH", 0, 1, 1))
    reply = s.recv(512)
    assert reply[3] & 15 == 0, reply
    return socket.inet_ntoa(reply[-4:])


@check("transparent: the name has a synthetic address, and requests on one connection",
       listen=("0.0.0.0", 80))
def _(it):
    for name in ("tools.local", "host.cove.internal"):
        address = address_of(it.lab, name)
        assert address.startswith("198.1"), address
        s = it.lab.connect((address, 80))
        for _ in range(2):
            s.sendall(f"GET /healthz HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
            assert read_response(s)[0] == 200
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: plain.test\r\n\r\n")
        assert read_response(s)[0] == 403
    assert len(it.broker.opened) == 2
    s = it.lab.connect((address, 80), is_known=False)
    s.sendall(b"GET / HTTP/1.1\r\nHost: tools.local\r\n\r\n")
    assert b" 403 " in read_all(s).split(b"\r\n")[0]
    assert len(it.broker.opened) == 2


@check("transparent: another port says in words that it is none", listen=("0.0.0.0", 8080))
def _(it):
    s = it.lab.connect((address_of(it.lab, "tools.local"), 8080))
    s.sendall(b"GET / HTTP/1.1\r\nHost: tools.local:8080\r\n\r\n")
    status, _, body = read_response(s)
    assert status == 400 and json.loads(body)["error"] == "invalid_tools_address", body
    s = it.lab.connect((address_of(it.lab, "tools.local"), 8080))
    s.sendall(bytes.fromhex("16030100050100000100"))
    assert read_all(s) in (b"", b"<reset>")
    assert not it.broker.opened


@check("200 calls at once, while the broker takes none for a moment")
def _(it):
    link = it.broker.links[0]
    socks = [it.lab.connect(timeout=20) for _ in range(200)]
    for s in socks:
        s.sendall(b"POST http://tools.local/v1/tools/echo HTTP/1.1\r\nHost: tools.local\r\n"
                  b"Content-Length: 2\r\n\r\n{}")
    for s in socks:
        assert read_response(s)[0] == 200
    assert link and len(it.broker.requests) == 200


tap.done()
