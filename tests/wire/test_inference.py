#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""https://inference.local: calls of models by the run's routes.

Goal: an agent that holds no key reaches the route's model, with the route's credential and model,
streaming; a route that fails before a byte of its answer passed is followed by the next; what it
cost is counted however it ends; errors are those that clients know.  Method: fake model servers
behind real TLS that speak the real shapes, and keep what they were asked.
"""
import http.server
import json
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import box  # noqa: E402
import look  # noqa: E402
import proxylab  # noqa: E402
import world  # noqa: E402
from proxylab import Lab, read_all, read_head, read_response  # noqa: E402

POLICY = "version: 1\n"
P, PRIVATE = world.PUBLIC, world.PRIVATE
w = world.World(["api.test", "b.test", "claude.test", "bad.test"])
proxylab.add_local("10.200.0.1", 32)
proxylab.add_local("198.18.0.0", 15)
tap = world.Tap()

USAGE = {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}
CHAT = {"id": "c1", "object": "chat.completion", "choices": [
    {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]}


class Model(http.server.BaseHTTPRequestHandler):
    """Speaks what its server's `mode` says; else the shape of its path."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.seen.append((self.path, dict(self.headers), None))
        self.whole({"object": "list", "data": [{"id": "m"}]})

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        asked = json.loads(body)
        self.server.seen.append((self.path, dict(self.headers), asked))
        mode = self.server.mode
        if isinstance(mode, int):
            return self.whole({"error": {"message": "no: sk-part-of-key", "code": mode}}, mode)
        if mode == "drop":
            self.close_connection = True
            return None
        if mode == "garbage":
            self.wfile.write(b"HTTP/9.9 what\r\n\r\n")
            self.close_connection = True
            return None
        if mode == "slow":
            time.sleep(3)
        if "/messages" in self.path or "awPredict" in self.path:
            return self.messages(asked)
        if "converse" in self.path:
            return self.whole({"output": {}, "usage": {"inputTokens": 3, "outputTokens": 4}})
        if self.path.endswith("/embeddings"):
            return self.whole({"data": [], "usage": {"prompt_tokens": 5, "total_tokens": 5}})
        if self.path.endswith("/responses"):
            return self.whole({"id": "r", "usage": {"input_tokens": 30, "output_tokens": 8}})
        if not asked.get("stream"):
            return self.whole({**CHAT, "model": asked.get("model"), "usage": USAGE})
        self.start("text/event-stream")
        for word in ("one", "two", "three"):
            self.event({"choices": [{"delta": {"content": word}}]})
            if mode == "step":
                self.server.gate.wait(20)
                self.server.gate.clear()
            if mode == "cut" and word == "two":
                self.close_connection = True
                return None
        if asked.get("stream_options", {}).get("include_usage"):
            self.event({"choices": [], "usage": USAGE})
        self.chunk(b"data: [DONE]\n\n")
        self.chunk(b"")
        return None

    def messages(self, asked):
        if not asked.get("stream"):
            return self.whole({"type": "message", "usage": {"input_tokens": 10, "output_tokens": 5}})
        self.start("text/event-stream")
        self.event({"type": "message_start", "message": {"usage": {"input_tokens": 25, "output_tokens": 1}}},
                   "message_start")
        self.event({"type": "message_delta", "usage": {"output_tokens": 15}}, "message_delta")
        self.chunk(b"")
        return None

    def whole(self, what, status=200):
        text = json.dumps(what).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("X-Request-Id", "r-1")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def start(self, kind):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def event(self, what, kind=None):
        head = f"event: {kind}\n" if kind else ""
        self.chunk(f"{head}data: {json.dumps(what)}\n\n".encode())

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()


def model(port, address=P, pki=w.pki, cert=None):
    s = world.Server(address, port, pki=pki, cert=cert, handler=Model)
    s.mode, s.gate = None, threading.Event()
    return s


a, b, claude, local = model(8001), model(8002), model(8003), model(8004, PRIVATE, None)
bad = model(8005, cert=w.pki.selfsigned("bad", ["bad.test"]))
PINS = [("api.test", 8001, P), ("b.test", 8002, P), ("claude.test", 8003, P), ("bad.test", 8005, P),
        ("loop.test", 80, "127.0.0.1"), ("dead.test", 8009, P)]

A = """  - {name: main, type: openai, base_url: "https://api.test:8001/v1", model: gpt-9, credential: openai/KEY_A,
     price: {input: 1000, output: 2000}, order: 1}
"""
B = """  - {name: spare, type: openai, base_url: "https://b.test:8002/v1", model: other-1, credential: KEY_B, order: 2}
"""
C = """  - {name: claude, type: anthropic, base_url: "https://claude.test:8003/v1", credential: claude/KEY_C, order: 3}
"""
HEAD = "version: 1\nroutes:\n"
ALL = HEAD + A + B + C


def reset():
    for s in (a, b, claude, local, bad):
        s.mode, s.seen[:] = None, []
        s.gate.clear()


def with_lab(name, routes=ALL, budgets=()):
    def register(check):
        def run():
            reset()
            lab = Lab(w, POLICY, pins=PINS, routes=routes, budgets=budgets)
            try:
                check(lab)
            finally:
                assert lab.close() == 0, lab.stderr()
        tap.check(name, run)
        return check
    return register


def post(lab, path, body, head="", method="POST"):
    s = lab.tls("inference.local", 443)
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    s.sendall(f"{method} {path} HTTP/1.1\r\nHost: inference.local\r\nContent-Type: application/json\r\n"
              f"Authorization: Bearer agents-own\r\nCookie: a=b\r\n{head}"
              f"Content-Length: {len(data)}\r\n\r\n".encode() + data)
    return s


def ask(lab, path="/v1/chat/completions", body=None, want=200, **kw):
    status, headers, answer = read_response(post(
        lab, path, {"model": "x", "messages": []} if body is None else body, **kw))
    assert status == want, (status, answer)
    return headers, answer


def used(lab):
    lines = [e for e in lab.events() if "inference_usage" in json.dumps(e)]
    return [json.dumps(e) for e in lines]


@with_lab("a chat is answered by the route's model, with the route's credential and none of the agent's")
def _(lab):
    headers, answer = ask(lab, body={"model": "whatever", "messages": [{"role": "user", "content": "é\\"}], "n": 1e2})
    got = json.loads(answer)
    assert got["choices"] == CHAT["choices"] and got["model"] == "gpt-9", got
    assert headers["x-request-id"] == "r-1" and headers["connection"] == "close", headers
    (path, sent, asked), = a.seen
    assert path == "/v1/chat/completions" and asked["model"] == "gpt-9", (path, asked)
    assert asked["messages"] == [{"role": "user", "content": "é\\"}] and "stream_options" not in asked
    assert sent["Authorization"] == "Bearer openshell:resolve:env:KEY_A", sent
    assert sent["Host"] == "api.test:8001" and sent["Accept-Encoding"] == "identity", sent
    assert "agents-own" not in json.dumps(sent) and "Cookie" not in sent, sent
    assert "9 input and 12 output" in used(lab)[0], used(lab)
    urls = json.dumps(lab.events())
    assert "inference.local" in urls and "api.test" in urls


@with_lab("a stream passes as it comes, and is asked for its usage")
def _(lab):
    a.mode = "step"
    s = post(lab, "/v1/chat/completions", {"stream": True, "messages": []})
    head = read_head(s)
    assert b"200" in head and b"text/event-stream" in head and b"chunked" in head, head
    for word in (b"one", b"two", b"three"):
        got = b""
        while word not in got:
            piece = s.recv(4096)
            assert piece, got
            got += piece
        a.gate.set()
    rest = read_all(s)
    assert b"[DONE]" in rest and rest.endswith(b"0\r\n\r\n"), rest
    assert a.seen[0][2]["stream_options"] == {"include_usage": True}
    assert "9 input and 12 output" in used(lab)[0], used(lab)


@with_lab("its usage is the agent's only if that asked for it")
def _(lab):
    _, answer = ask(lab, body={"stream": True})
    assert b"usage" not in answer and answer.count(b"data: ") == 4, answer
    _, answer = ask(lab, body={"stream": True, "stream_options": {"include_usage": True}})
    assert b"usage" in answer and answer.count(b"data: ") == 5, answer
    assert len(used(lab)) == 2 and all("9 input" in u for u in used(lab))


@with_lab("the shapes of other protocols")
def _(lab):
    ask(lab, "/v1/responses", {"input": "x"})
    ask(lab, "/v1/embeddings", {"input": "x"})
    ask(lab, "/v1/messages", {"model": "claude-x", "messages": []}, head="anthropic-beta: b1\r\n")
    path, sent, asked = claude.seen[0]
    assert path == "/v1/messages" and asked["model"] == "claude-x", asked  # the route names none
    assert sent["x-api-key"] == "openshell:resolve:env:KEY_C", sent
    assert sent["anthropic-version"] == "2023-06-01" and sent["anthropic-beta"] == "b1", sent
    assert "Authorization" not in sent
    _, answer = ask(lab, "/v1/messages", {"stream": True})
    assert b"message_delta" in answer
    _, answer = ask(lab, "/v1/models", b"", method="GET")
    assert json.loads(answer)["object"] == "list"
    counts = " ".join(used(lab))
    for words in ("30 input and 8 output", "5 input and 0", "10 input and 5", "25 input and 15"):
        assert words in counts, (words, counts)


@with_lab("Bedrock and Vertex name the model in the path", HEAD + """
  - {name: rock, type: aws-bedrock, base_url: "http://10.77.0.1:8004", model: "eu.new:1"}
  - {name: vertex, type: google-vertex-ai, base_url: "https://b.test:8002/v1/projects/p/", model: claude@2,
     credential: G}
""")
def _(lab):
    ask(lab, "/model/a.b%3A0/converse", {"messages": []})
    assert local.seen[0][0] == "/model/eu.new:1/converse", local.seen
    ask(lab, "/v1/messages", {"model": "m", "messages": []})
    path, sent, asked = b.seen[0]
    assert path == "/v1/projects/p/publishers/anthropic/models/claude@2:rawPredict", path
    assert asked == {"anthropic_version": "vertex-2023-10-16", "messages": []}, asked
    assert sent["Authorization"] == "Bearer openshell:resolve:env:G", sent
    assert "3 input and 4 output" in used(lab)[0]


for mode in (429, 500, 503, "drop", "garbage"):
    @with_lab(f"the next route is asked after {mode}")
    def _(lab, mode=mode):
        a.mode = mode
        _, answer = ask(lab, body={"model": "x", "messages": ["same"]})
        assert json.loads(answer)["model"] == "other-1", answer
        assert len(a.seen) == 1 and len(b.seen) == 1
        assert b.seen[0][2]["messages"] == ["same"], b.seen
        assert b.seen[0][1]["Authorization"].endswith("KEY_B")


@with_lab("... after no connection, a bad certificate, an address that is never dialled", HEAD
          + '  - {name: d, type: openai, base_url: "https://dead.test:8009/v1"}\n'
          + '  - {name: c, type: openai, base_url: "https://bad.test:8005/v1"}\n'
          + '  - {name: l, type: openai, base_url: "http://loop.test/v1"}\n'
          + '  - {name: n, type: openai, base_url: "http://nowhere.test/v1"}\n' + B)
def _(lab):
    _, answer = ask(lab)
    assert json.loads(answer)["model"] == "other-1", answer
    assert bad.seen == []
    assert "always-blocked" in json.dumps(lab.events())


@with_lab("an answer of 400 is the agent's, and 401 says nothing of the key")
def _(lab):
    a.mode = 400
    _, answer = ask(lab, want=400)
    assert b"sk-part-of-key" in answer and b.seen == []
    a.mode = 401
    _, answer = ask(lab, want=401)
    assert json.loads(answer) == {"error": "unauthorized"}, answer


@with_lab("the last route's refusal passes; what broke is 502", HEAD + A)
def _(lab):
    a.mode = 429
    _, answer = ask(lab, want=429)
    assert b"sk-part" in answer
    for a.mode in ("drop", "garbage"):
        _, answer = ask(lab, want=502)
        assert json.loads(answer) == {"error": "inference service error"}, answer


@with_lab("... and where nobody answers, 503", HEAD + '  - {name: d, type: openai, base_url: "https://dead.test:8009/v1"}\n')
def _(lab):
    _, answer = ask(lab, want=503)
    assert json.loads(answer) == {"error": "inference service unavailable"}, answer


@with_lab("once bytes have passed there is no other route: the stream says that it was cut")
def _(lab):
    a.mode = "cut"
    _, answer = ask(lab, body={"stream": True})
    assert b"two" in answer and b"proxy_stream_error" in answer, answer
    last = json.loads(answer.strip().split(b"\n")[-1][6:])
    assert last["error"]["type"] == "proxy_stream_error", last
    assert b.seen == []
    assert "estimated" in used(lab)[0], used(lab)


@with_lab("weights share the calls of one order", HEAD + A.replace("order: 1", "order: 1, weight: 3")
          + B.replace("order: 2", "order: 1"))
def _(lab):
    for _ in range(8):
        ask(lab)
    assert (len(a.seen), len(b.seen)) == (6, 2), (len(a.seen), len(b.seen))


@with_lab("what is no call, or no body, is refused before anybody is asked")
def _(lab):
    def refused(want, error, *args, **kw):
        _, answer = ask(lab, *args, want=want, **kw)
        assert json.loads(answer)["error"] == error, answer

    denied = "connection not allowed by policy"
    refused(403, denied, "/", {})
    refused(403, denied, "/v1/files", {})
    refused(403, denied, "/v1/chat/completions", b"", method="GET")
    refused(403, denied, "/v1/../v1/x", {})
    refused(400, "no compatible inference route available", "/model/m/invoke", {})
    for body in (b"", b"[]", b"{", b'{"model":"a","model":"b"}', b'{"model":1}', b"\xef\xbb\xbf{}", b'{"a":"\\ud800"}',
                 b'{"model":"a"}{}', b'{"a":' * 500 + b"1" + b"}" * 500):
        refused(400, "request body is malformed", "/v1/chat/completions", body or b" ")
    s = lab.tls("inference.local", 443)
    s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: inference.local\r\nContent-Length: 99999999\r\n\r\n")
    assert read_response(s)[0] == 413
    s = lab.tls("inference.local", 443)
    s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: inference.local\r\nTransfer-Encoding: chunked\r\n\r\n"
              + b"1\r\n \r\n" * 4200)
    assert read_response(s)[0] == 413
    s = lab.tls("inference.local", 443)
    s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: api.test\r\nContent-Length: 2\r\n\r\n{}")
    assert read_response(s)[0] == 403
    assert a.seen == b.seen == []


@with_lab("bodies in chunks, large ones, and 100-continue")
def _(lab):
    s = lab.tls("inference.local", 443)
    s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: inference.local\r\nExpect: 100-continue\r\n"
              b"Transfer-Encoding: chunked\r\n\r\n")
    assert read_head(s).startswith(b"HTTP/1.1 100")
    s.sendall(b"8\r\n{\"messag\r\n8\r\nes\":[1]}\r\n0\r\n\r\n")
    assert read_response(s)[0] == 200
    assert a.seen[0][2] == {"model": "gpt-9", "messages": [1]}, a.seen
    big = {"messages": ["x" * 9000000]}
    a.mode = 503  # and again to the next route
    ask(lab, body=big)
    assert b.seen[0][2]["messages"] == big["messages"]
    s = post(lab, "/v1/chat/completions", b"x" * 1000)
    assert read_response(s)[0] == 400


@with_lab("without routes it says so", routes="")
def _(lab):
    _, answer = ask(lab, want=503)
    got = json.loads(answer)
    assert got["error"] == "cluster inference is not configured" and got["hint"], got


@with_lab("tokens of the run: 429 that says how many", budgets=["tokens=40"])
def _(lab):
    ask(lab)
    ask(lab)
    headers, answer = ask(lab, want=429)
    got = json.loads(answer)
    assert (got["error"], got["what"], got["used"], got["limit"], got["scope"]) == (
        "budget_exceeded", "tokens", 42, 40, "run"), got
    assert len(a.seen) == 2


@with_lab("dollars by the route's price; a route that is used up is passed over",
          budgets=["route=main:usd=0.05", "host=b.test:requests=1"])
def _(lab):
    ask(lab)  # 9 x 1000 + 12 x 2000 millionths of a dollar a token: 0.033
    ask(lab)
    _, answer = ask(lab)
    assert json.loads(answer)["model"] == "other-1", answer
    _, answer = ask(lab, want=429)
    assert (len(a.seen), len(b.seen)) == (2, 1)
    assert json.loads(answer)["error"] == "budget_exceeded"


BRIEF = HEAD + A.replace("order: 1", "order: 1, timeout: 1") + B


@with_lab("a route that does not answer in its time is followed by the next", routes=BRIEF)
def _(lab):
    a.mode = "slow"
    began = time.monotonic()
    _, answer = ask(lab)
    took = time.monotonic() - began
    assert json.loads(answer)["model"] == "other-1" and len(a.seen) == 1 and took >= 1, (answer, took)
    b.mode = "slow"  # within the default
    _, answer = ask(lab)
    assert json.loads(answer)["model"] == "other-1", answer


@with_lab("the last one's time, too; a stream that has begun has another", routes=HEAD + A.replace(
    "order: 1", "order: 1, timeout: 1"))
def _(lab):
    a.mode = "slow"
    _, answer = ask(lab, want=503)
    assert json.loads(answer)["error"] == "inference service unavailable", answer
    a.mode = "step"
    s = post(lab, "/v1/chat/completions", {"stream": True, "messages": []})
    for _ in range(3):
        time.sleep(1.2)
        a.gate.set()
    assert read_all(s).endswith(b"0\r\n\r\n")


@with_lab("hanging up makes nothing free", budgets=["tokens=10"])
def _(lab):
    a.mode = "slow"
    s = post(lab, "/v1/chat/completions", {"messages": ["y" * 400]})
    assert box.until(lambda: a.seen)
    s.close()
    assert box.until(lambda: used(lab)) and "estimated" in used(lab)[0], used(lab)
    a.mode = None
    ask(lab, want=429)


@with_lab("requests are counted once, whatever is asked behind them", budgets=["requests=2", "bytes=1G"])
def _(lab):
    a.mode = 500
    ask(lab)
    ask(lab)
    _, answer = ask(lab, want=429)
    assert json.loads(answer)["what"] == "requests"


@with_lab("a new policy has no say in it")
def _(lab):
    ask(lab)
    assert lab.policy(POLICY + "# another\n")[0] == 0
    ask(lab)


@with_lab("t8 what is not HTTP in its TLS, and plain text on its port, is refused")
def _(lab):
    s = lab.tls("inference.local", 443)
    s.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    assert json.loads(read_response(s)[2])["error"] == "unsupported_l7_protocol"
    s = lab.tls("inference.local", 443, alpn=("h2", "http/1.1"))
    assert s.selected_alpn_protocol() == "http/1.1"
    s, status, _ = lab.tunnel("inference.local", 443)
    assert status == 200
    s.sendall(b"\x00\x01\x02\x03 something")
    assert b"unsupported_l7_protocol" in read_all(s)
    s, status, head = lab.tunnel("inference.local", 8443)
    assert status == 403, head
    assert a.seen == []


@with_lab("t22 another set of routes: no connection of the former's calls is used again", routes=HEAD + A)
def _(lab):
    def calls(n):
        before = a.connections
        for _ in range(n):
            ask(lab)
        return a.connections - before

    assert min(calls(3) for _ in range(5)) < 3
    lab._memfd("ROUTES", HEAD + A)  # pylint: disable=protected-access
    lab.settled()
    assert calls(1) == 1
    a.mode = "step"
    s = post(lab, "/v1/chat/completions", {"stream": True, "messages": []})
    assert b"200" in read_head(s)
    lab._memfd("ROUTES", HEAD + A)  # pylint: disable=protected-access
    lab.settled()
    for _ in range(3):
        a.gate.set()
        time.sleep(0.1)
    assert read_all(s).endswith(b"0\r\n\r\n")
    a.mode = None
    assert calls(1) == 1


def many():
    reset()
    lab = Lab(w, POLICY, pins=PINS, routes=ALL)
    fails = []

    def one():
        try:
            for _ in range(5):
                _, answer = ask(lab, body={"stream": True})
                assert b"[DONE]" in answer
        except Exception as e:
            fails.append(e)

    threads = [threading.Thread(target=one) for _ in range(8)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert not fails, fails
    assert box.until(lambda: look.descriptor_count(lab.process.pid) < 40), look.descriptor_count(lab.process.pid)
    assert lab.close() == 0


tap.check("many at once, and nothing is left behind", many)


def sandboxed():
    """From a real sandbox, by its name alone and through the proxy variables."""
    reset()
    path = w.policy(ALL, "routes.yaml")
    asks = ("import json, os, urllib.request as u\n"
            "req = u.Request('https://inference.local/v1/chat/completions', json.dumps({'messages': []}).encode(),"
            " {'Content-Type': 'application/json'})\n"
            "print(json.load(u.urlopen(req, timeout=20))['model'])\n"
            "print(json.load(u.build_opener(u.ProxyHandler({})).open(req, timeout=20))['model'])\n"
            "print(u.urlopen('http://policy.local/v1/denials', timeout=20).status)\n")
    done = w.cove(["/usr/bin/python3", "-c", asks], policy=w.policy(POLICY), options=["--inference", path],
                  pins=[":".join(map(str, x)) for x in PINS])
    assert done.stdout.split() == ["gpt-9", "gpt-9", "200"], done
    done = w.cove(["/usr/bin/python3", "-c", asks], options=["--inference", path],
                  pins=[":".join(map(str, x)) for x in PINS])  # no policy: no other network
    assert done.stdout.split() == ["gpt-9", "gpt-9", "200"], done
    for text, words in ((HEAD, "list"), (HEAD + "  - {name: a, typ: openai}\n", "3:"), ("{", "--inference")):
        done = w.cove(["true"], options=["--inference", w.policy(text, "bad.yaml")])
        assert done.returncode == 2 and words in done.stderr, done
    done = w.cove(["true"], options=["--inference", "/nowhere"])
    assert done.returncode != 0 and "/nowhere" in done.stderr, done


tap.check("from a sandbox, by proxy and transparently; bad files are told", sandboxed)

VALUE = "sk-real-0123456789abcdefghij"
PROFILE = """\
id: openai
credentials: [{name: key, env_vars: [KEY_A], required: true}]
endpoints:
  - {host: api.test, port: 8001, protocol: rest, enforcement: enforce, access: read-write}
binaries: [{path: /usr/bin/nobody}]
"""


def credentialed():
    """The route's credential arrives, and the sandbox has neither it nor leave to use it itself."""
    reset()
    profile = w.policy(PROFILE, "openai.yaml")
    asks = ("import json, os, urllib.request as u\n"
            "req = u.Request('https://inference.local/v1/chat/completions', json.dumps({'messages': []}).encode(),"
            " {'Content-Type': 'application/json', 'Authorization': 'Bearer none'})\n"
            "print(json.load(u.urlopen(req, timeout=20))['model'])\n"
            "print(any(os.environ[k] == '%s' for k in os.environ))\n" % VALUE)
    done = w.cove(["/usr/bin/python3", "-c", asks], policy=w.policy(POLICY), pins=[":".join(map(str, x)) for x in PINS],
                  options=["--inference", w.policy(HEAD + A, "one.yaml"), "--provider", profile],
                  env=os.environ | {"KEY_A": VALUE})
    assert done.stdout.split() == ["gpt-9", "False"], done
    assert a.seen[-1][1].get("Authorization") == f"Bearer {VALUE}", a.seen[-1]


tap.check("the route's credential is put in by the keeper's leave", credentialed)
w.close()
tap.done()
