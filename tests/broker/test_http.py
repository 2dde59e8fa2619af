#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The backend `http`: requests as the catalog writes them, to servers that are real.

Python's http.server on loopback, on a Unix socket and with TLS; a raw socket where an answer has to
be wrong.
"""
import base64
import http.server
import json
import os
import socket
import socketserver
import ssl
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import world  # noqa: E402
from brokerlab import Keeper, Lab, Sandbox, Tap, eventually, memory  # noqa: E402

SECRET = "http-SECRET/value+0123456789abc"
DIR = tempfile.mkdtemp(prefix="cove-http-")
world.enter_user_namespace()  # so that the broker can be looked into
seen, connections, gate = [], [], threading.Event()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        connections.append(self)
        super().setup()

    def _say(self, status, body, content_type="application/json", **headers):
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        for k, v in headers.items():
            self.send_header(k, v)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _do(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        seen.append((self.command, self.path, dict(self.headers.items()), body))
        kind = self.path.split("/")[1].split("?")[0]
        if kind == "echo":
            self._say(200, json.dumps({"method": self.command, "path": self.path,
                                       "headers": dict(self.headers.items()),
                                       "body": body.decode()}).encode())
        elif kind == "text":
            self._say(200, b"plain text\n", "text/plain")
        elif kind == "broken":
            self._say(200, b'{"half": ', "application/json")
        elif kind == "status":
            self._say(int(self.path.split("/")[2]), b'{"why": "because"}', Location="http://127.0.0.1:1/")
        elif kind == "large":
            self._say(200, b"x" * 5_000_000, "text/plain")
        elif kind == "leak":
            form = self.path.split("/")[2]
            value = {"plain": SECRET.encode(), "hex": SECRET.encode().hex().encode(),
                     "base64": base64.b64encode(SECRET.encode())}[form]
            self._say(int(self.path.split("/")[3]), b'{"v": "' + value + b'"}')
        elif kind == "slow":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"5\r\nbegun\r\n")
            gate.wait(20)
            try:
                self.wfile.write(b"0\r\n\r\n")
            except OSError:
                pass
        elif kind == "empty":
            self._say(204, b"")
        elif kind == "die":
            self.connection.close()
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = _do

    def log_message(self, *_):
        pass

    def address_string(self):
        return "-"


class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


def serve(server):
    server.handle_error = lambda *_: None  # a client that is gone is no news
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


plain = serve(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler))
unix = serve(UnixServer(DIR + "/sock", Handler))
pki = world.Pki(DIR, ["api.test", "127.0.0.1"])
tls = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(pki.cert, pki.key)
tls.socket = context.wrap_socket(tls.socket, server_side=True)
serve(tls)
stranger = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(*pki.selfsigned("own", ["api.test"]))
stranger.socket = context.wrap_socket(stranger.socket, server_side=True)
serve(stranger)
PLAIN, TLS, STRANGER = (s.server_address[1] for s in (plain, tls, stranger))
raw = socket.create_server(("127.0.0.1", 0))
raw_answers = []


def raw_serve():
    while True:
        s, _ = raw.accept()
        s.recv(65536)
        s.sendall(raw_answers.pop(0) if raw_answers else b"")
        s.close()


threading.Thread(target=raw_serve, daemon=True).start()
CATALOG = f"""
version: 1
credentials:
  KEY: {{env: KEY}}
tools:
  post:
    description: Sends its arguments.
    input: {{properties: {{a: {{type: string}}, n: {{type: integer}}}}, required: [a]}}
    http: {{url: "http://127.0.0.1:{PLAIN}", method: POST, path: /echo}}
  places:
    description: Sends them here and there.
    input:
      properties:
        owner: {{type: string}}
        tags: {{type: array, items: {{type: string}}}}
        state: {{type: string}}
        payload: {{type: object, additionalProperties: true}}
      required: [owner, payload]
    http:
      url: "http://127.0.0.1:{PLAIN}"
      method: PUT
      path: "/echo/{{owner}}"
      query: "tag={{tags...}}&{{?state:state={{state}}}}"
      headers: {{Authorization: "Bearer {{credential:KEY}}", X-Owner: "{{owner}}"}}
      body: '{{{{"wrapped": {{json:payload}}}}}}'
  get:
    description: Gets a path.
    input: {{properties: {{path: {{type: string}}}}, required: [path]}}
    http: {{url: "http://127.0.0.1:{PLAIN}", method: GET, path: "/{{path...}}", headers: {{Authorization: "Bearer {{credential:KEY}}"}}}}
    limits: {{seconds: 20, bytes: 100000}}
  quick:
    description: Gets a path, soon.
    input: {{properties: {{path: {{type: string}}}}, required: [path]}}
    http: {{url: "http://127.0.0.1:{PLAIN}", method: GET, path: "/{{path...}}"}}
    limits: {{seconds: 1}}
  json:
    description: Has to be JSON.
    input: {{properties: {{path: {{type: string}}}}, required: [path]}}
    http: {{url: "http://127.0.0.1:{PLAIN}", method: GET, path: "/{{path...}}"}}
    result: {{stdout: json}}
  unix:
    description: On a Unix socket.
    http: {{socket: {DIR}/sock, method: POST, path: /echo}}
  tls:
    description: By a name.
    http: {{url: "https://api.test:{TLS}", method: GET, path: /echo}}
  stranger:
    description: Whose certificate nobody signed.
    http: {{url: "https://api.test:{STRANGER}", method: GET, path: /echo}}
  metadata:
    description: A name that leads to a metadata service.
    http: {{url: "https://metadata.test:443", method: GET, path: /latest}}
  linklocal:
    description: An address of the link.
    http: {{url: "https://169.254.10.10:443", method: GET, path: /}}
  elsewhere:
    description: A name that claims to be this host.
    http: {{url: "http://localhost:{PLAIN}", method: GET, path: /echo}}
  raw:
    description: Says what the test has it say.
    http: {{url: "http://127.0.0.1:{raw.getsockname()[1]}", method: GET, path: /}}
  nobody:
    description: Where nobody listens.
    http: {{url: "http://127.0.0.1:1", method: GET, path: /}}
"""
keeper = Keeper({"KEY": SECRET}, [("tool:places", "KEY"), ("tool:get", "KEY")])
PINS = [("api.test", TLS, "127.0.0.1"), ("api.test", STRANGER, "127.0.0.1"),
        ("metadata.test", 443, "169.254.169.254"), ("localhost", PLAIN, "10.1.2.3")]
lab = Lab(CATALOG, keeper=keeper, roots=pki.ca, pins=PINS)
box = Sandbox(lab, "one")


def get(path, tool="get"):
    return box.call(tool, {"path": path})


def what_is_sent():
    r = box.call("post", {"a": "ä\n\"", "n": 3})
    e = r.json["output"]
    assert r.status == 200 and e["method"] == "POST" and e["path"] == "/echo", r
    assert json.loads(e["body"]) == {"a": "ä\n\"", "n": 3}, e
    assert e["headers"]["Content-Type"] == "application/json" and "Expect" not in e["headers"], e
    assert "Authorization" not in e["headers"], "the route's token stays here"
    r = box.call("places", {"owner": "a/../b c?", "tags": ["x&y", "z"], "payload": {"deep": [1, None]}})
    e = r.json["output"]
    assert e["path"] == "/echo/a%2F..%2Fb%20c%3F?tag=x%26y&tag=z&", e["path"]
    assert json.loads(e["body"]) == {"wrapped": {"deep": [1, None]}}, e
    assert e["headers"]["X-Owner"] == "a/../b c?", e
    assert seen[-1][2]["Authorization"] == "Bearer " + SECRET, "and the tool's goes out"
    assert SECRET not in json.dumps(r.json), r


def what_is_refused_before():
    n = len(seen)
    r = box.call("places", {"owner": "a\r\nX-Evil: 1", "payload": {}})
    assert r.status == 400 and r.json["errors"][0]["pointer"] == "/owner", r
    r = box.call("places", {"owner": "..", "payload": {}})
    assert r.status == 400 and "segment" in r.json["errors"][0]["message"], r
    assert len(seen) == n


def answers_of_all_kinds():
    r = get("text")
    assert r.json == {"output": "plain text\n"}, r
    assert get("echo").json["output"]["method"] == "GET"
    r = get("broken")
    assert r.status == 200 and r.json["output"] == '{"half": ', r
    r = get("broken", "json")
    assert (r.status, r.json["error"]) == (502, "backend_failed"), r
    assert get("empty").json == {"output": "", "status": 204} or get("empty").json == {"output": ""}
    for status in (400, 404, 500, 503):
        r = get(f"status/{status}")
        assert (r.status, r.json["error"], r.json["status"]) == (502, "backend_failed", status), r
        assert "because" in r.json["output"], r
    n = len(seen)
    r = get("status/302")
    assert r.status == 502 and r.json["status"] == 302 and "redirect" in r.json["detail"], r
    assert len(seen) == n + 1, "not followed"


def b5_a_large_one_is_cut():
    start = time.monotonic()
    r = get("large")
    assert r.status == 200 and r.json["truncated"] and len(r.json["output"]) == 100000, r.status
    assert time.monotonic() - start < 15


def c3_a_server_that_echoes_the_credential():
    for form in ("plain", "hex", "base64"):
        for status in (200, 500):
            r = get(f"leak/{form}/{status}")
            for value in (SECRET, SECRET.encode().hex(), base64.b64encode(SECRET.encode()).decode()[:-1]):
                assert value not in r.body.decode(), (form, status, r)
            assert r.status == (200 if status == 200 else 502)
    assert SECRET.encode() not in memory(lab.process.pid), "in the broker's memory"


def servers_that_are_not_there_or_wrong():
    for tool, words in (("nobody", "can't be reached"), ("stranger", "certificate"),
                        ("metadata", "never allowed"), ("linklocal", "never allowed"),
                        ("elsewhere", "not this host's")):
        r = box.call(tool)
        assert (r.status, r.json["error"]) == (502, "backend_failed"), (tool, r)
        assert words in r.json["detail"], (tool, r.json)
    for answer in (b"", b"SSH-2.0\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
                   b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                   b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200000):
        raw_answers.append(answer)
        r = box.call("raw")
        assert (r.status, r.json["error"]) == (502, "backend_failed"), (answer[:40], r)
    raw_answers.append(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\n\xff\x00a")
    r = box.call("raw")
    assert r.status == 200 and r.json["encoding"] == "base64", r


def sockets_and_tls():
    assert box.call("unix").json["output"]["method"] == "POST"
    r = box.call("tls")
    assert r.status == 200 and r.json["output"]["path"] == "/echo", r


def connections_are_kept():
    get("text")
    n = len(connections)
    for _ in range(20):
        assert get("text").status == 200
    assert len(connections) - n <= 1, len(connections) - n


def time_and_cancel():
    start = time.monotonic()
    r = get("slow", "quick")
    assert (r.status, r.json["error"]) == (504, "tool_timeout"), r
    assert r.json["output"] == "begun" and time.monotonic() - start < 15, r
    job = box.job("get", {"path": "slow"})
    time.sleep(0.2)
    assert box.request("POST", f"/v1/jobs/{job}/cancel", {}).status in (200, 202)
    assert box.wait(job)["state"] == "cancelled"
    gate.set()


def many_at_once():
    gate.clear()
    results = []
    threads = [threading.Thread(target=lambda: results.append(get("slow").status)) for _ in range(4)]
    for t in threads:
        t.start()
    assert eventually(lambda: sum(1 for s in seen if s[1] == "/slow") >= 4)
    gate.set()
    for t in threads:
        t.join(20)
    assert results == [200] * 4, results


if __name__ == "__main__":
    code = Tap().run([what_is_sent, what_is_refused_before, answers_of_all_kinds, b5_a_large_one_is_cut,
                      c3_a_server_that_echoes_the_credential, servers_that_are_not_there_or_wrong,
                      sockets_and_tls, connections_are_kept, time_and_cancel, many_at_once])
    lab.close()
    keeper.close()
    sys.exit(code)
