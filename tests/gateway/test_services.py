#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: a port of a sandbox has a host name at the gateway: made, listed, replaced, gone with its sandbox;
requests reach it whole, in both directions and at any size; WebSockets too; pages of other origins
and strangers do not.
Method: Python's http.server and a WebSocket echo in a real sandbox; curl and raw sockets from outside;
grpcio and the command line for the rpcs."""
import base64
import hashlib
import os
import re
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import clientlab  # noqa: E402
import gatewaylab  # noqa: E402
import world  # noqa: E402
from gatewaylab import code_of, until  # noqa: E402

tap = world.Tap()
g = gatewaylab.Gateway(tls=False)
pb = g.pb
READY = 2
HOST = "default--web.openshell.localhost"

SERVER = r'''
import base64, hashlib, http.server, json, os, socketserver, sys, threading, time
os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *a): pass
    def body(self):
        if self.headers.get("transfer-encoding") == "chunked":
            b = b""
            while True:
                n = int(self.rfile.readline(), 16)
                b += self.rfile.read(n)
                self.rfile.readline()
                if not n: return b
        return self.rfile.read(int(self.headers.get("content-length") or 0))
    def answer(self, status, data, **h):
        self.send_response(status)
        for k, v in h.items(): self.send_header(k.replace("_", "-"), v)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD": self.wfile.write(data)
    def do_GET(self):
        if self.headers.get("upgrade") == "websocket": return self.socket()
        if self.path.startswith("/big"):
            n = int(self.path.split("=")[1])
            self.send_response(200); self.send_header("transfer-encoding", "chunked"); self.end_headers()
            piece = b"x" * 65536
            while n:
                k = min(n, len(piece)); n -= k
                self.wfile.write(b"%x\r\n" % k + piece[:k] + b"\r\n")
            self.wfile.write(b"0\r\n\r\n")
        elif self.path == "/close":
            self.send_response(200); self.send_header("connection", "close"); self.end_headers()
            self.wfile.write(b"until the end"); self.close_connection = True
        elif self.path == "/short":
            self.send_response(200); self.send_header("content-length", "100"); self.end_headers()
            self.wfile.write(b"cut"); self.close_connection = True
        elif self.path == "/garbage":
            self.wfile.write(b"this is no HTTP\r\n\r\n"); self.close_connection = True
        elif self.path == "/cookie":
            self.answer(200, b"", set_cookie="a=b; Domain=openshell.localhost; Path=/", alt_svc='h3=":1"')
        elif self.path == "/nothing":
            self.send_response(204); self.end_headers()
        else:
            self.answer(200, json.dumps({"path": self.path, "headers": dict(self.headers)}).encode(),
                        content_type="application/json")
    do_HEAD = do_GET
    def do_POST(self):
        b = self.body()
        self.answer(200, json.dumps({"n": len(b), "sha": hashlib.sha256(b).hexdigest(),
                                     "te": self.headers.get("transfer-encoding")}).encode())
    def socket(self):
        key = self.headers["sec-websocket-key"].encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        self.wfile.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                         b"Sec-WebSocket-Accept: " + base64.b64encode(hashlib.sha1(key).digest()) + b"\r\n\r\n")
        while True:
            h = self.rfile.read(2)
            if len(h) < 2 or h[0] & 15 == 8: break
            n = h[1] & 127
            if n == 126: n = int.from_bytes(self.rfile.read(2), "big")
            mask = self.rfile.read(4)
            data = bytes(c ^ mask[i % 4] for i, c in enumerate(self.rfile.read(n)))
            head = b"\x81" + (bytes([n]) if n < 126 else b"\x7e" + n.to_bytes(2, "big"))
            self.wfile.write(head + data.upper())
        self.close_connection = True
class S(socketserver.ThreadingMixIn, http.server.HTTPServer): daemon_threads = True
S(("127.0.0.1", 8000), H).serve_forever()
'''


def check(f):
    tap.check(f.__name__.replace("_", " "), f)


def phase(name):
    return g.stub.GetSandbox(pb.GetSandboxRequest(name=name)).sandbox.status.phase


def expose(service="", port=8000, sandbox="web", domain=True):
    return g.stub.ExposeService(pb.ExposeServiceRequest(
        sandbox=sandbox, service=service, target_port=port, domain=domain))


def curl(path, *words, host=HOST, scheme="http", gateway=None, data=None):
    """(status, body)"""
    gw = gateway or g
    done = subprocess.run(
        ["curl", "-sS", "--noproxy", "*", "--max-time", "60", "-w", "\n%{http_code}", "--resolve",
         f"{host}:{gw.port}:127.0.0.1", *words, f"{scheme}://{host}:{gw.port}{path}"],
        input=data, capture_output=True)
    body, _, status = done.stdout.rpartition(b"\n")
    return int(status or 0), body, done.returncode


def as_json(path, *words, **kw):
    import json
    status, body, _ = curl(path, *words, **kw)
    assert status == 200, (status, body)
    return json.loads(body)


def names_and_addresses():
    m = expose()
    assert m.url == f"http://{HOST}:{g.port}/", m.url
    e = m.endpoint
    assert (e.sandbox_name, e.service_name, e.target_port, e.domain) == ("web", "", 8000, True)
    assert expose("api", 8001).url == f"http://default--web--api.openshell.localhost:{g.port}/"
    again = expose("api", 8000)
    assert again.endpoint.target_port == 8000 and again.endpoint.metadata.resource_version == 2
    assert expose("plain", 9, domain=False).url == ""
    listed = g.stub.ListServices(pb.ListServicesRequest(sandbox="web")).services
    assert [x.endpoint.service_name for x in listed] == ["", "api", "plain"]
    got = g.stub.GetService(pb.GetServiceRequest(sandbox="web", service="api"))
    assert got.endpoint.target_port == 8000
    assert g.stub.DeleteService(pb.DeleteServiceRequest(sandbox="web", service="plain")).deleted
    assert not g.stub.DeleteService(pb.DeleteServiceRequest(sandbox="web", service="plain")).deleted
    assert code_of(lambda: g.stub.GetService(pb.GetServiceRequest(sandbox="web", service="plain"))) == (
        "NOT_FOUND", "service not found")
    assert code_of(lambda: expose("No"))[0] == "INVALID_ARGUMENT"
    assert code_of(lambda: expose("a--b"))[0] == "INVALID_ARGUMENT"
    assert code_of(lambda: expose("x" * 20))[0] == "INVALID_ARGUMENT"
    assert code_of(lambda: expose("x", 0)) == (
        "INVALID_ARGUMENT", "target_port must be between 1 and 65535")
    assert code_of(lambda: expose("x", 1, sandbox="nobody")) == ("NOT_FOUND", "sandbox not found")


def a_request_arrives_as_it_was():
    m = as_json("/a/b?c=d&e", "-H", "X-Own: v", "-H", "Forwarded: for=1.2.3.4", "-H", "Cookie: k=v")
    h = {k.lower(): v for k, v in m["headers"].items()}
    assert m["path"] == "/a/b?c=d&e"
    assert h["x-own"] == "v" and h["cookie"] == "k=v" and "forwarded" not in h
    assert h["host"] == f"{HOST}:{g.port}" and h["x-forwarded-proto"] == "http"
    assert as_json("/", host="default--web--api.openshell.localhost")["path"] == "/"
    assert as_json("/?", )["path"] == "/?"
    assert curl("/nothing")[:2] == (204, b"")
    assert curl("/", "-I")[0] == 200
    assert curl("/close")[:2] == (200, b"until the end")


def over_http2_too():
    m = as_json("/two", "--http2-prior-knowledge", "-H", "Cookie: a=1; b=2")
    h = {k.lower(): v for k, v in m["headers"].items()}
    assert m["path"] == "/two" and h["cookie"] == "a=1; b=2"
    status, body, _ = curl("/big?n=3000000", "--http2-prior-knowledge")
    assert (status, len(body)) == (200, 3000000)


def large_bodies_go_both_ways():
    data = os.urandom(5_000_000)
    sha = hashlib.sha256(data).hexdigest()
    for words in ((), ("-H", "Transfer-Encoding: chunked"), ("--http2-prior-knowledge",)):
        m = as_json("/", "--data-binary", "@-", "-H", "Expect:", *words, data=data)
        assert (m["n"], m["sha"]) == (len(data), sha), m
    status, body, _ = curl("/big?n=20000000")
    assert (status, len(body)) == (200, 20000000)


def many_at_once():
    seen = []

    def one():
        status, body, _ = curl("/big?n=1000000")
        seen.append((status, len(body)))
    threads = [threading.Thread(target=one) for _ in range(20)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert seen == [(200, 1000000)] * 20, seen


def a_reader_that_sleeps_stops_the_writer():
    with socket.create_connection(("127.0.0.1", g.port)) as s:
        s.sendall(f"GET /big?n=100000000 HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        s.recv(1000)
        time.sleep(1)
        with open(f"/proc/{g.process.pid}/status") as f:
            rss = int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))
    assert rss < 100_000, rss


def a_host_has_no_case():
    for host in ("DEFAULT--Web.OpenShell.localhost", HOST.upper()):
        for words in ((), ("--http2-prior-knowledge",)):
            assert curl("/", *words, "-H", f"Host: {host}:{g.port}")[0] == 200, (host, words)
            assert curl("/", *words, "-H", f"Host: {host}")[0] == 200, (host, words)
    own = f"Host: {HOST.upper()}:{g.port}"
    assert curl("/", "-H", own, "-H", f"Origin: http://{HOST}:{g.port}")[0] == 200
    assert curl("/", "-H", own, "-H", "Origin: http://evil.example")[0] == 403
    for host in (HOST + ".", HOST.replace(".", ".."), "." + HOST, HOST + ".evil.example"):
        assert curl("/", "-H", f"Host: {host}:{g.port}")[0] != 200, host


def what_is_cut_short_is_seen_as_such():
    assert curl("/short")[2] != 0
    assert curl("/garbage")[:2] == (502, b"Service endpoint is not reachable")


def what_is_not_there_says_so():
    assert curl("/", host="default--web--none.openshell.localhost")[:2] == (
        404, b"Service endpoint not found")
    assert curl("/", host="default--nobody.openshell.localhost")[0] == 404
    expose("dead", 9)
    assert curl("/", host="default--web--dead.openshell.localhost")[:2] == (
        502, b"Service endpoint is not reachable")
    g.stub.CreateSandbox(pb.CreateSandboxRequest(name="off", spec=pb.SandboxSpec(command=["sleep", "9999"])))
    until(lambda: phase("off") == READY)
    expose("", 8000, sandbox="off")
    g.stub.StopSandbox(pb.StopSandboxRequest(name="off"))
    assert curl("/", host="default--off.openshell.localhost")[:2] == (412, b"Sandbox is not ready")


def pages_of_other_origins_are_refused():
    refused = (403, b"Cross-origin service request rejected")
    own = f"http://{HOST}:{g.port}"
    for words in (("-H", "Sec-Fetch-Site: cross-site"), ("-H", "Sec-Fetch-Site: same-site"),
                  ("-H", "Origin: http://evil.example"), ("-H", "Origin: null"),
                  ("-H", "Referer: http://evil.example/x"), ("-H", f"Referer: {own}.evil.example/")):
        assert curl("/", *words)[:2] == refused, words
    for words in (("-H", "Sec-Fetch-Site: same-origin"), ("-H", "Sec-Fetch-Site: none"),
                  ("-H", f"Origin: {own}"), ("-H", f"Referer: {own}/page")):
        assert curl("/", *words)[0] == 200, words


def an_agents_answer_stays_with_its_host():
    _, head, _ = curl("/cookie", "-D", "-", "-o", "/dev/null")
    head = head.decode().lower()
    assert "set-cookie: a=b; path=/" in head and "domain" not in head and "alt-svc" not in head


def the_gateways_tokens_stay_with_the_gateway():
    def part(d):
        import json
        return base64.urlsafe_b64encode(json.dumps(d).encode()).rstrip(b"=").decode()
    with open(os.path.join(g.state, "id")) as f:
        issuer = "openshell-gateway:" + f.read().strip()
    for iss, is_kept in ((issuer, False), ("https://app.example", True)):
        token = ".".join([part({"alg": "EdDSA", "kid": "x"}), part({"iss": iss}), "c2ln" * 21 + "YQ"])
        m = as_json("/", "-H", f"Authorization: Bearer {token}")
        has = any(k.lower() == "authorization" for k in m["headers"])
        assert has == is_kept, (iss, m)


def websocket(path="/", head=""):
    s = socket.create_connection(("127.0.0.1", g.port))
    s.settimeout(20)
    key = base64.b64encode(os.urandom(16)).decode()
    s.sendall((f"GET {path} HTTP/1.1\r\nHost: {HOST}:{g.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
               f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{head}\r\n").encode())
    f = s.makefile("rb")
    status = f.readline()
    fields = {}
    while (line := f.readline().strip()):
        k, _, v = line.partition(b":")
        fields[k.lower()] = v.strip()
    want = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
    return s, f, status, fields, want


def websockets_pass():
    s, f, status, fields, want = websocket()
    assert b" 101 " in status and fields[b"sec-websocket-accept"] == want, (status, fields)
    for text in (b"hello", b"a" * 60000, b"again"):
        n = len(text)
        mask = os.urandom(4)
        head = b"\x81" + (bytes([0x80 | n]) if n < 126 else b"\xfe" + n.to_bytes(2, "big"))
        s.sendall(head + mask + bytes(c ^ mask[i % 4] for i, c in enumerate(text)))
        h = f.read(2)
        k = h[1] if h[1] < 126 else int.from_bytes(f.read(2), "big")
        assert f.read(k) == text.upper()
    s.sendall(b"\x88\x80\0\0\0\0")
    assert f.read(1) == b""
    s.close()
    s, _, status, _, _ = websocket(head="Origin: http://evil.example\r\n")
    assert b" 403 " in status
    s.close()


def one_connection_may_ask_for_several_hosts():
    with socket.create_connection(("127.0.0.1", g.port)) as s:
        f = s.makefile("rb")
        for host, path, wanted in ((HOST, "/", b"200"), ("127.0.0.1", "/healthz", None), (HOST, "/", b"200")):
            s.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}:{g.port}\r\n\r\n".encode())
            status = f.readline().split()[1]
            n = 0
            while (line := f.readline().strip().lower()):
                if line.startswith(b"content-length:"):
                    n = int(line.split(b":")[1])
            body = f.read(n)
            assert wanted is None or status == wanted, (status, body)
            assert (b'"path"' in body) == (host == HOST)


def the_command_line_knows_them():
    c = clientlab.Client(g)
    said = c("service", "expose", "web", "8000", "cli").stdout
    assert f"http://default--web--cli.openshell.localhost:{g.port}/" in said, said
    assert as_json("/", host="default--web--cli.openshell.localhost")["path"] == "/"
    assert "cli" in c("service", "list", "web").stdout
    c("service", "delete", "web", "cli")


def no_more_than_there_may_be():
    n = 0
    while code_of(lambda: expose(f"n{n}", 1))[0] == "OK":
        n += 1
        assert n <= 64
    assert code_of(lambda: expose("more", 1))[0] == "RESOURCE_EXHAUSTED"


def they_go_with_their_sandbox():
    g.stub.DeleteSandbox(pb.DeleteSandboxRequest(name="web"))
    until(lambda: code_of(lambda: phase("web"))[0] == "NOT_FOUND")
    assert not g.stub.ListServices(pb.ListServicesRequest(sandbox="web")).services
    assert curl("/")[0] == 404


def with_tls_and_without_on_the_same_port():
    with gatewaylab.Gateway() as t:
        assert curl("/", gateway=t)[:2] == (404, b"Service endpoint not found")
        cacert = os.path.join(t.client, "ca.crt")
        assert curl("/", "--cacert", cacert, "-k", scheme="https", gateway=t)[:2] == (
            404, b"Service endpoint not found")
        status, _, _ = curl("/healthz", host="localhost", gateway=t)
        assert status == 400
        t.write_config({"loopback_service_http": False})
        t.hup()
        assert curl("/", gateway=t)[0] == 0


def main():
    g.stub.CreateSandbox(pb.CreateSandboxRequest(
        name="web", spec=pb.SandboxSpec(command=["/usr/bin/python3", "-c", SERVER])))
    until(lambda: phase("web") == READY)
    check(names_and_addresses)
    until(lambda: curl("/")[0] == 200)
    for f in (a_request_arrives_as_it_was, over_http2_too, large_bodies_go_both_ways, many_at_once,
              a_reader_that_sleeps_stops_the_writer, a_host_has_no_case, what_is_cut_short_is_seen_as_such,
              what_is_not_there_says_so, pages_of_other_origins_are_refused,
              an_agents_answer_stays_with_its_host, the_gateways_tokens_stay_with_the_gateway,
              websockets_pass, one_connection_may_ask_for_several_hosts, the_command_line_knows_them,
              no_more_than_there_may_be, they_go_with_their_sandbox, with_tls_and_without_on_the_same_port):
        check(f)


try:
    main()
finally:
    for name in ("web", "off"):
        code_of(lambda: g.stub.DeleteSandbox(pb.DeleteSandboxRequest(name=name)))
    time.sleep(1)
    g.close()
tap.done()
