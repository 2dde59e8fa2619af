#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Servers of the catalog: started by the contract, watched, ended, whatever they do.

Small programs of the test's as servers, under a real broker.
"""
import os
import socket
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import ports  # noqa: E402
from brokerlab import SERVER, Keeper, Lab, Sandbox, Tap, eventually  # noqa: E402

SECRET = "server-SECRET-value-0123456789"
DIR = tempfile.mkdtemp(prefix="cove-servers-")
PROGRAM = os.path.join(DIR, "server.py")
with open(PROGRAM, "w", encoding="utf-8") as f:
    f.write("""\
import http.server, json, os, signal, socket, socketserver, subprocess, sys, time
mode = os.environ.get("MODE", "")
args = dict(zip(sys.argv[1::2], sys.argv[2::2]))
print("argv", sys.argv[1:], "secret", os.environ.get("SECRET"), file=sys.stderr, flush=True)
if "late" in mode: time.sleep(1)
if "never" in mode: time.sleep(1000)
if "exit" in mode: sys.exit("I do not want to")
if "deaf" in mode: signal.signal(signal.SIGTERM, signal.SIG_IGN)
if "child" in mode: subprocess.Popen(["/bin/sleep", "4321"], start_new_session=True)
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def address_string(self): return "-"
    def do(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        ok = self.path == "/healthz" or self.headers.get("Authorization") == "Bearer " + os.environ["BEARER_TOKEN"]
        if self.path == "/die": os._exit(9)
        text = json.dumps({"path": self.path, "body": body, "secret": os.environ.get("SECRET"),
                           "encoding": self.headers.get("Accept-Encoding"),
                           "token": os.environ["BEARER_TOKEN"], "host": self.headers.get("Host")}).encode()
        self.send_response(200 if ok else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers(); self.wfile.write(text)
        if self.path == "/log": print("x" * 100000, os.environ.get("SECRET"), file=sys.stderr, flush=True)
    do_GET = do_POST = do
class U(socketserver.ThreadingMixIn, socketserver.UnixStreamServer): daemon_threads = True
if "--socket" in args: s = U(args["--socket"], H)
else: s = http.server.ThreadingHTTPServer((args["--bind-address"], int(args["--port"])), H)
s.serve_forever()
""")


PORT = ports.free()


def server(name, mode="", more=""):
    return f"""
  {name}:
    argv: [/usr/bin/python3, {PROGRAM}]
    env: {{MODE: "{mode}"}}
    stop_seconds: 1
    start_seconds: 5
    {more}
"""


CATALOG = f"""
version: 1
credentials: {{KEY: {{env: KEY}}}}
servers:
  main:
    argv: [/usr/bin/python3, {PROGRAM}]
    port: {PORT}
    expose: true
    env: {{SECRET: "{{credential:KEY}}", MODE: late}}
    stop_seconds: 1
{server("unix", more=f"socket: {DIR}/s.sock")}
{server("deaf", "deaf child")}
tools:
  main:
    description: Asks the first.
    input: {{properties: {{a: {{type: string}}}}}}
    server: {{name: main, method: POST, path: /x}}
  log:
    description: Has it write its log.
    server: {{name: main, method: POST, path: /log}}
  unix:
    description: Asks the second.
    server: {{name: unix, method: GET, path: /y}}
  deaf:
    description: Asks the third, on a port of its own.
    server: {{name: deaf, method: GET, path: /z}}
"""
keeper = Keeper({"KEY": SECRET}, [("server:main", "KEY")])
lab = Lab(CATALOG, keeper=keeper)
box = Sandbox(lab, "one")


def tools_that_ask_them():
    r = box.call("main", {"a": "b"})
    assert r.status == 200 and r.json["output"]["body"] == '{"a":"b"}', r
    assert r.json["output"]["secret"] == "*" * len(SECRET) and r.json["output"]["token"] == "*" * 64, r
    assert box.call("unix").json["output"]["path"] == "/y"
    assert box.call("deaf").json["output"]["path"] == "/z"


def c10_the_log_is_kept_and_clean():
    assert box.call("log").status == 200
    path = os.path.join(lab.state, "servers/main.log")
    text = ""

    def is_written():
        nonlocal text
        with open(path, encoding="utf-8") as log:
            text = log.read()
        return len(text) > 100000 and "secret ****" in text and text.endswith("\n")

    eventually(is_written)
    assert f"--port', '{PORT}'" in text and "--bind-address', '127.0.0.1'" in text, text[:300]
    assert SECRET not in text and "secret ****" in text and "token" not in text, text[:300]


def exposed(data, port=None):
    stream = box.open(target=SERVER, port=port or PORT)
    stream.sock.sendall(data)
    return stream


def request(path="/images", more="", body=""):
    return (f"POST {path} HTTP/1.1\r\nHost: host.openshell.internal:{PORT}\r\nAuthorization: Bearer mine\r\n"
            f"Accept-Encoding: gzip\r\n{more}Content-Length: {len(body)}\r\n\r\n{body}").encode()


def b1_a_sandbox_reaches_the_exposed_one():
    stream = exposed(request("/one", body="abc"))
    r = stream.receive()
    assert r.status == 200 and r.json["path"] == "/one" and r.json["body"] == "abc", r
    assert r.json["secret"] == "*" * len(SECRET) and r.json["token"] == "*" * 64 and not r.json["encoding"], r
    stream.sock.sendall(request("/two"))
    assert stream.receive().json["path"] == "/two"
    stream.sock.sendall(request("/three", body="x" * 300000)[:200000])
    time.sleep(0.2)
    stream.sock.sendall(request("/three", body="x" * 300000)[200000:])
    assert len(stream.receive().json["body"]) == 300000
    stream.sock.sendall(b"POST /four HTTP/1.1\r\nHost: h:1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
    assert stream.receive().status == 200
    stream.close()


def what_is_not_exposed_is_closed():
    for data, port in ((request(), PORT + 1), (b"\x16\x03\x01\x00\xa5\x01\x00", PORT),
                       (b"GET http://other/ HTTP/1.1\r\nHost: other\r\n\r\n", PORT),
                       (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", PORT)):
        stream = box.open(target=SERVER, port=port)
        try:
            stream.sock.sendall(data)
            assert stream.sock.recv(100) == b"", data
        except (BrokenPipeError, ConnectionResetError):
            pass
    assert box.call("unix").status == 200


def a_sandbox_that_ends_takes_its_connections():
    other = Sandbox(lab, "two")
    stream = other.open(target=SERVER, port=PORT)
    stream.sock.sendall(request("/one"))
    assert stream.receive().status == 200
    other.end()
    lab.wait_ended("two")
    assert stream.sock.recv(10) == b""


def fatal(catalog, *words):
    bad = Lab("version: 1\n" + catalog + "\ntools: {}\n", is_ready=False)
    try:
        bad.wait("READY", 12)
        raise RuntimeError("it is ready")
    except AssertionError as error:
        for word in words:
            assert word in str(error), (word, error)
    bad.process.wait(10)
    assert eventually(lambda: not bad.shepherds())


def those_that_do_not_come_up():
    fatal("servers:" + server("bad", "exit"), "server bad", "exit code 1", "I do not want to")
    fatal("servers:" + server("bad", "never").replace("start_seconds: 5", "start_seconds: 1"), "/healthz in time")
    fatal("servers: {bad: {argv: [/nonexistent]}}", "can't be started", "No such file")
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
        fatal(f"servers: {{bad: {{argv: [/usr/bin/python3, {PROGRAM}], port: {port}}}}}", "in use")


def one_that_dies():
    one = Lab("version: 1\nservers:" + server("solo") +
              "tools: {die: {description: d, server: {name: solo, method: GET, path: /die}}}\n")
    box1 = Sandbox(one, "x")
    job = box1.job("die")
    assert job
    try:
        one.wait("SANDBOX_ENDED")
    except AssertionError as error:
        assert "server solo ended by itself with exit code 9" in str(error) and "argv" in str(error), error
    assert one.process.wait(20) != 0


def children():
    out = []
    for name in os.listdir("/proc"):
        try:
            with open(f"/proc/{name}/cmdline", "rb") as c:
                text = c.read()
        except OSError:
            continue
        if PROGRAM.encode() in text or text == b"/bin/sleep\x004321\x00":
            out.append(name)
    return out


def they_end_and_all_of_theirs():
    start = time.monotonic()
    assert children()
    assert lab.close() == 0
    assert 0.8 < time.monotonic() - start < 5, time.monotonic() - start
    assert not children(), children()


if __name__ == "__main__":
    code = Tap().run([tools_that_ask_them, c10_the_log_is_kept_and_clean, b1_a_sandbox_reaches_the_exposed_one,
                      what_is_not_exposed_is_closed, a_sandbox_that_ends_takes_its_connections,
                      those_that_do_not_come_up, one_that_dies, they_end_and_all_of_theirs])
    keeper.close()
    sys.exit(code)
