#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The server of gRPC and HTTP, with clients that others wrote: grpcio, grpc-js, curl, h2load.

Goal: calls of every kind and pages, over TLS and in plaintext, HTTP/2 and HTTP/1; each error as these
clients understand it; and closed() once for each call.
"""
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import rpclab  # noqa: E402  (first: it may start another Python)
import rpcserver  # noqa: E402
import world  # noqa: E402

os.environ.setdefault("GRPC_VERBOSITY", "NONE")
import grpc  # noqa: E402

pb, stubs = rpclab.openshell()
tap = world.Tap()
directory = tempfile.TemporaryDirectory(prefix="cove-rpc-")
pki = world.Pki(directory.name, ["localhost", "127.0.0.1"])
USER = [("authorization", "Bearer user")]


def read(path):
    with open(path, "rb") as f:
        return f.read()


def raises(function, code, *words):
    try:
        function()
    except grpc.RpcError as e:
        assert e.code() == code, (e.code(), e.details())
        for word in words:
            assert word in e.details(), e.details()
        return e
    raise AssertionError("no error")


def waits(is_so, seconds=20):
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.02)


class Calls:
    """The same checks for each way to reach the server."""

    def __init__(self, server, channel):
        self.server, self.stub = server, stubs.OpenShellStub(channel)

    def get(self, name, **kw):
        kw.setdefault("metadata", USER)
        kw.setdefault("timeout", 10)
        return self.stub.GetSandbox(pb.GetSandboxRequest(name=name), **kw)

    def unary(self):
        assert self.stub.Health(pb.HealthRequest(), timeout=10).version == "lab"
        assert self.get("x").sandbox.metadata.name == "x"
        assert self.get("later").sandbox.metadata.name == "later"

    def metadata(self):
        got = self.get("metadata", metadata=USER + [("x-test", "t")]).sandbox.metadata.name
        assert got == "t", got
        _, call = self.stub.Health.with_call(pb.HealthRequest(), metadata=[("x-request-id", "mine-1")])
        assert dict(call.initial_metadata())["x-request-id"] == "mine-1"
        _, call = self.stub.Health.with_call(pb.HealthRequest(), metadata=[("x-request-id", "a" * 129)])
        assert len(dict(call.initial_metadata())["x-request-id"]) == 36

    def status(self):
        e = raises(lambda: self.get("missing"), grpc.StatusCode.NOT_FOUND)
        assert e.details() == "sandbox not found: 100 % \u00e4\n", repr(e.details())
        assert dict(e.trailing_metadata())["x-reason"] == "not-there"

    def who(self):
        code = grpc.StatusCode
        raises(lambda: self.get("x", metadata=[]), code.UNAUTHENTICATED, "authentication is required")
        raises(lambda: self.get("x", metadata=[("authorization", "Bearer wrong")]),
               code.UNAUTHENTICATED, "invalid token")
        raises(lambda: self.get("x", metadata=[("authorization", "Bearer sandbox")]),
               code.PERMISSION_DENIED, "sandbox principals may not call this method")
        raises(lambda: self.stub.PushSandboxLogs(iter(()), metadata=USER), code.PERMISSION_DENIED,
               "this method requires a sandbox principal")
        raises(lambda: self.stub.CreateWorkspace(pb.CreateWorkspaceRequest(), metadata=USER),
               code.PERMISSION_DENIED)
        raises(lambda: self.stub.CreateWorkspace(
            pb.CreateWorkspaceRequest(), metadata=[("authorization", "Bearer admin")]), code.UNIMPLEMENTED)

    def deadline(self):
        before = len(self.server.ended)
        begun = time.monotonic()
        raises(lambda: self.get("never", timeout=0.3), grpc.StatusCode.DEADLINE_EXCEEDED)
        assert time.monotonic() - begun < 15
        waits(lambda: self.server.ended[before:] and self.server.ended[-1][0] == "GetSandbox")
        assert self.server.ended[-1][1] in ("DEADLINE_EXCEEDED", "CANCELLED"), self.server.ended[-1]

    def cancel(self):
        for name in ("0", ""):
            stream = self.stub.ExecSandbox(pb.ExecSandboxRequest(workdir="1000000" if name else ""),
                                           metadata=USER)
            if name:
                next(stream)
            else:
                stream.initial_metadata()  # it comes although no message does
            stream.cancel()
            waits(lambda: self.server.open() == (0, 0))

    def sizes(self):
        code = grpc.StatusCode
        name = "x" * ((1 << 20) - 4)  # 1 byte of tag, 3 of length
        assert len(self.get(name).sandbox.metadata.name) == len(name)
        raises(lambda: self.get(name + "y"), code.OUT_OF_RANGE, "1048577", "1048576")
        assert len(self.get("large").sandbox.metadata.id) == 3 << 20

    def compressed(self):
        e = raises(lambda: self.get("x" * 1000, compression=grpc.Compression.Gzip), grpc.StatusCode.UNIMPLEMENTED,
                   "gzip")
        assert dict(e.trailing_metadata()).get("grpc-accept-encoding", "identity") == "identity"
        self.unary()

    def stream(self):
        events = list(self.stub.ExecSandbox(pb.ExecSandboxRequest(workdir="5000"), metadata=USER))
        assert len(events) == 5000 and all(e.stdout.data == b"k" * 1024 for e in events)
        raises(lambda: list(self.stub.ExecSandbox(pb.ExecSandboxRequest(workdir="x"), metadata=USER)),
               grpc.StatusCode.INVALID_ARGUMENT, "no number")

    def client_stream(self):
        sandbox = [("authorization", "Bearer sandbox")]
        for count in (0, 1, 100):
            r = self.stub.PushSandboxLogs((pb.PushSandboxLogsRequest() for _ in range(count)), metadata=sandbox)
            assert isinstance(r, pb.PushSandboxLogsResponse)

    def bidi(self):
        sent = [bytes([65 + i % 26]) * (1 + i * 7919 % 60000) for i in range(300)]
        back = self.stub.ForwardTcp((pb.TcpForwardFrame(data=d) for d in sent), metadata=USER)
        assert [f.data for f in back] == sent
        assert list(self.stub.ForwardTcp(iter(()), metadata=USER)) == []

    def turns(self):
        """One frame at a time, and a handler that does not read for a while."""
        ready, words = threading.Event(), [b"a", b"hold", b"b", b"c"]

        def frames():
            for word in words:
                yield pb.TcpForwardFrame(data=word)
                ready.wait(20)
                ready.clear()
        got, begun = [], time.monotonic()
        for f in self.stub.ForwardTcp(frames(), metadata=USER):
            got.append(f.data)
            ready.set()
        assert got == words and time.monotonic() - begun >= 0.25, (got, time.monotonic() - begun)

    def many(self):
        calls = [self.stub.GetSandbox.future(pb.GetSandboxRequest(name="n%d" % i), metadata=USER)
                 for i in range(500)]
        assert [c.result(10).sandbox.metadata.name for c in calls] == ["n%d" % i for i in range(500)]

    def all(self, prefix):
        for check in (self.unary, self.metadata, self.status, self.who, self.deadline, self.cancel,
                      self.sizes, self.compressed, self.stream, self.client_stream, self.bidi,
                      self.turns, self.many):
            tap.check(f"{prefix}: {check.__name__}", check)
        tap.check(f"{prefix}: every call was closed", lambda: waits(lambda: self.server.open() == (0, 0)))


def curl(server, path, *argv, status=200):
    scheme = "https" if server.tls else "http"
    r = subprocess.run(["curl", "-sS", "--max-time", "20", "--cacert", pki.ca, "-w", "\n%{http_code} %{http_version}",
                        *argv, f"{scheme}://localhost:{server.port}{path}"], capture_output=True, check=False)
    body, _, tail = r.stdout.rpartition(b"\n")
    assert r.returncode == 0, r.stderr
    code, version = tail.split()
    assert int(code) == status, (code, body[:300])
    return body, version.decode()


def pages(server, *how):
    body, version = curl(server, "/healthz", *how)
    assert body == b"ok\n", body
    head, _ = curl(server, "/healthz", "-i", "-H", "x-request-id: q", *how)
    assert b"x-request-id: q\r\n" in head and b"x-page: healthz\r\n" in head, head
    head, _ = curl(server, "/healthz", "-I", *how)
    assert b"content-length: 3\r\n" in head and head.endswith(b"\r\n\r\n"), head
    assert b"404" in curl(server, "/nothing", *how, status=404)[0]
    curl(server, "/healthz", "-d", "x", *how, status=405)
    curl(server, "/v1/echo", "-d", "x", *how, status=401)
    user = ["-H", "authorization: Bearer u", *how]
    data = os.path.join(directory.name, "data")
    with open(data, "wb") as f:
        f.write(os.urandom(1 << 20))
    assert curl(server, "/v1/echo", "--data-binary", "@" + data, *user)[0] == read(data)
    assert curl(server, "/v1/echo", "-H", "transfer-encoding: chunked", "--data-binary", "@" + data,
                *user)[0] == read(data)
    assert curl(server, "/v1/echo", "-H", "expect: 100-continue", "--data-binary", "@" + data,
                *user)[0].endswith(read(data))
    curl(server, "/v1/echo", "-H", "content-encoding: gzip", "-d", "x", *user, status=415)
    with open(data, "ab") as f:
        f.write(b"y" * 2000000)
    curl(server, "/v1/echo", "--data-binary", "@" + data, *user, status=413)
    curl(server, "/v1/echo", "-H", "transfer-encoding: chunked", "--data-binary", "@" + data,
         *user, status=413)
    assert len(curl(server, "/v1/stream?5000", *how)[0]) == 5000 << 10
    assert b"INVALID_ARGUMENT" in curl(server, "/v1/stream?x", *how, status=400)[0]
    curl(server, "/openshell.v1.OpenShell/Health", "-d", "{}", *how, status=415)
    curl(server, "/openshell.v1.OpenShell/Health", *how, status=405)
    curl(server, "/healthz", "-H", "x-long: " + "y" * 20000, *how, status=431)
    waits(lambda: server.open() == (0, 0))
    return version


def keep_alive(server):
    r = subprocess.run(["curl", "-sS", "--http1.1", "-v", "--cacert", pki.ca]
                       + [f"https://localhost:{server.port}/healthz"] * 5, capture_output=True, check=True)
    assert r.stdout == b"ok\n" * 5 and r.stderr.count(b"Re-using existing") == 4, r.stderr
    assert r.stderr.count(b"Connected to") == 1


def pipelined(server):
    s = server.connect(alpn=("http/1.1",), ca=pki.ca)
    one = b"GET /healthz HTTP/1.1\r\nhost: a\r\nx-request-id: %d\r\n\r\n"
    s.sendall(b"".join(one % i for i in range(40)) + b"GET /none HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
    got = b""
    while data := s.recv(65536):
        got += data
    ids = [int(line.split(b":")[1]) for line in got.split(b"\r\n") if line.startswith(b"x-request-id") and len(line) < 20]
    assert ids == list(range(40)) and b"404 Not Found" in got, got[-300:]


def relayed_bodies(server):
    """Of each size around what the buffers hold, the last bytes arrive, though nobody took the first in time."""
    for size in (1, 60_000, 66_000, *range(120_000, 152_000, 4_000), 200_000, 3_000_000):
        for framing in (f"Content-Length: {size}", "Transfer-Encoding: chunked"):
            body = b"x" * size
            if "chunked" in framing:
                body = b"%x\r\n%b\r\n0\r\n\r\n" % (size, body)
            with server.connect(alpn=("http/1.1",)) as s:
                s.settimeout(20)
                s.sendall(f"POST / HTTP/1.1\r\nHost: relay.lab\r\n{framing}\r\n\r\n".encode())
                sender = threading.Thread(target=s.sendall, args=(body,))
                sender.start()
                time.sleep(0.05)
                server.say("take")
                answer = b""
                while not answer.endswith(b"\r\n\r\n%d" % size):
                    part = s.recv(4096)
                    assert part, (size, framing, answer)
                    answer += part
                sender.join()


def abandoned_stream(server):
    for how in ("--http1.1", "--http2"):
        p = subprocess.Popen(["curl", "-sSN", how, "--cacert", pki.ca,
                              f"https://localhost:{server.port}/v1/stream?0"], stderr=subprocess.DEVNULL)
        waits(lambda: server.open()[1] == 1)
        p.kill()
        p.wait()
        waits(lambda: server.open()[1] == 0)


def no_known_protocol(server):
    import ssl
    try:
        server.connect(alpn=("spdy/3",), ca=pki.ca)
    except ssl.SSLError as e:
        # the alert (RFC 7301 section 3.2), for which not every OpenSSL has words
        assert "alert no application protocol" in str(e).lower() or "unknown error" in str(e), e
        return
    raise AssertionError("it was accepted")


def certificates():
    alice, mallory = pki.leaf("alice", ["alice.test"]), pki.selfsigned("mallory", ["alice.test"])
    server = rpcserver.Server(pki.cert, pki.key, pki.ca)
    with grpc.secure_channel(f"localhost:{server.port}", grpc.ssl_channel_credentials(
            read(pki.ca), read(alice[1]), read(alice[0]))) as channel:
        stub = stubs.OpenShellStub(channel)
        assert stub.GetSandbox(pb.GetSandboxRequest(name="x"), timeout=20).sandbox.metadata.name == "x"
    with grpc.secure_channel(f"localhost:{server.port}", grpc.ssl_channel_credentials(read(pki.ca))) as channel:
        raises(lambda: stubs.OpenShellStub(channel).GetSandbox(pb.GetSandboxRequest(name="x"), timeout=20),
               grpc.StatusCode.UNAUTHENTICATED)
    with grpc.secure_channel(f"localhost:{server.port}", grpc.ssl_channel_credentials(
            read(pki.ca), read(mallory[1]), read(mallory[0]))) as channel:
        raises(lambda: stubs.OpenShellStub(channel).GetSandbox(pb.GetSandboxRequest(name="x"), timeout=20),
               grpc.StatusCode.UNAVAILABLE)
    server.close()


def drain():
    server = rpcserver.Server()
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        stub = stubs.OpenShellStub(channel)
        stub.Health(pb.HealthRequest(), timeout=20)
        later = stub.GetSandbox.future(pb.GetSandboxRequest(name="later"), metadata=USER)
        waits(lambda: server.open()[0] == 1)
        server.say("drain")
        assert later.result(20).sandbox.metadata.name == "later"
        raises(lambda: stub.Health(pb.HealthRequest(), timeout=20), grpc.StatusCode.UNAVAILABLE)
    server.close()


def ends_with_calls():
    """The server is freed while calls run: closed() comes for each (the lab's status says so)."""
    server = rpcserver.Server()
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        stub, calls = stubs.OpenShellStub(channel), []
        for _ in range(20):
            calls.append(stub.ExecSandbox(pb.ExecSandboxRequest(workdir=""), metadata=USER))
            calls.append(stub.GetSandbox.future(pb.GetSandboxRequest(name="never"), metadata=USER))
        waits(lambda: server.open()[0] == 40)
        server.close()


NODE = """
const grpc = require('@grpc/grpc-js'), fs = require('fs');
const [port, ca] = process.argv.slice(1);
const raw = x => x;
const m = (path, rq, rs) => ({ path: '/openshell.v1.OpenShell/' + path, requestStream: rq, responseStream: rs,
  requestSerialize: raw, requestDeserialize: raw, responseSerialize: raw, responseDeserialize: raw });
const C = grpc.makeGenericClientConstructor({ Health: m('Health', false, false), Nope: m('Nope', false, false),
  GetSandbox: m('GetSandbox', false, false), ForwardTcp: m('ForwardTcp', true, true) }, 'x');
const c = new C('localhost:' + port, grpc.credentials.createSsl(fs.readFileSync(ca)));
const md = new grpc.Metadata(); md.set('authorization', 'Bearer u');
c.Health(Buffer.alloc(0), (e, r) => {
  c.Nope(Buffer.alloc(0), (e2) => {
    c.GetSandbox(Buffer.from('\\x0a\\x07missing'), md, (e3) => {
      const s = c.ForwardTcp(md), got = [];
      s.on('data', d => got.push(d.toString('latin1')));
      s.on('end', () => { console.log(JSON.stringify([e, e2.code, e3.code, e3.details, got])); c.close(); });
      s.write(Buffer.from('\\x12\\x01a')); s.write(Buffer.from('\\x12\\x01b')); s.end();
    });
  });
});
"""


def node(server):
    import json
    r = subprocess.run(["node", "-e", NODE, str(server.port), pki.ca], capture_output=True, text=True,
                       timeout=30, check=True)
    got = json.loads(r.stdout)
    assert got == [None, 12, 5, "sandbox not found: 100 % \u00e4\n", ["\x12\x01a", "\x12\x01b"]], got


def h2load(server):
    empty = os.path.join(directory.name, "empty")
    with open(empty, "wb") as f:
        f.write(b"\0\0\0\0\0")
    r = subprocess.run(["h2load", "-n", "20000", "-c", "4", "-m", "50", "-d", empty, "-H", "content-type: application/grpc",
                        "-H", "te: trailers", f"http://127.0.0.1:{server.port}/openshell.v1.OpenShell/Health"],
                       capture_output=True, text=True, timeout=60, check=True)
    assert "20000 succeeded, 0 failed" in r.stdout, r.stdout
    print("#", [line for line in r.stdout.splitlines() if line.startswith("finished")][0])


plain, tls = rpcserver.Server(), rpcserver.Server(pki.cert, pki.key)
with grpc.insecure_channel(f"127.0.0.1:{plain.port}", options=[("grpc.max_receive_message_length", -1)]) as ch:
    Calls(plain, ch).all("plaintext")
with grpc.secure_channel(f"localhost:{tls.port}", grpc.ssl_channel_credentials(read(pki.ca)),
                         options=[("grpc.max_receive_message_length", -1)]) as ch:
    Calls(tls, ch).all("TLS")


def is_version(server, wanted, *how):
    version = pages(server, *how)
    assert version == wanted, version


tap.check("pages: HTTP/1.1 in plaintext", lambda: is_version(plain, "1.1", "--http1.1"))
tap.check("pages: HTTP/2 in plaintext", lambda: is_version(plain, "2", "--http2-prior-knowledge"))
tap.check("pages: HTTP/1.1 over TLS", lambda: is_version(tls, "1.1", "--http1.1"))
tap.check("pages: HTTP/2 over TLS", lambda: is_version(tls, "2", "--http2"))
tap.check("pages: TLS without ALPN", lambda: is_version(tls, "1.1", "--no-alpn"))
tap.check("pages: HTTP/1.0", lambda: curl(plain, "/v1/stream?100", "--http1.0"))
tap.check("pages: a connection is used again", lambda: keep_alive(tls))
tap.check("pages: requests sent ahead are answered in order", lambda: pipelined(tls))
tap.check("pages: a stream that its client leaves", lambda: abandoned_stream(tls))
tap.check("relayed bodies arrive to their last byte", lambda: relayed_bodies(plain))
tap.check("ALPN without ours is refused", lambda: no_known_protocol(tls))
tap.check("certificates of clients", certificates)
tap.check("drain: what runs may end, nothing new begins", drain)
tap.check("the end closes what runs", ends_with_calls)
if shutil.which("node") and subprocess.run(["node", "-e", "require('@grpc/grpc-js')"], capture_output=True,
                                           check=False).returncode == 0:
    tap.check("@grpc/grpc-js as a client", lambda: node(tls))
else:
    tap.skip("@grpc/grpc-js as a client", "not installed: tools/node-clients installs it; ./test says where it is")
if shutil.which("h2load"):
    tap.check("h2load: 20,000 calls", lambda: h2load(plain))
else:
    tap.skip("h2load: 20,000 calls", "not installed: nghttp2-client")
tap.check("a clean end", lambda: (plain.close(), tls.close()))
directory.cleanup()
tap.done()
