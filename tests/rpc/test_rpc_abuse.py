#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Clients of the server that misbehave: in HTTP/2, in gRPC, in HTTP/1, and by doing nothing.

Goal: each is refused in the way that its protocol has for it, memory stays bounded, the others go on,
and closed() comes once for each call wherever it was cut.
"""
import os
import socket
import struct
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import h2lab  # noqa: E402  (first: it may start another Python)
import rpclab  # noqa: E402
import rpcserver  # noqa: E402
import world  # noqa: E402
from h2lab import (CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, RST,  # noqa: E402
                   SETTINGS, WINDOW, block, frame)

pb, _ = rpclab.openshell()
tap = world.Tap()
directory = tempfile.TemporaryDirectory(prefix="cove-rpc-")
pki = world.Pki(directory.name, ["localhost"])
server = rpcserver.Server()
CALM, PROTOCOL, STREAM_CLOSED = 11, 1, 5
SERVICE = "/openshell.v1.OpenShell/"


def waits(is_so, seconds=20):
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.02)


def head(method="Health", kind="application/grpc", *more):
    return [(":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", SERVICE + method),
            ("content-type", kind), ("te", "trailers"), ("authorization", "Bearer u"), *more]


def message(m=None, flag=0):
    data = m.SerializeToString() if m is not None else b""
    return struct.pack(">BI", flag, len(data)) + data


def client():
    return h2lab.Client(server.connect(), "a", "http")


def call(method, body, *more, kind="application/grpc", end=True):
    c = client()
    sid = c.send(head(method, kind, *more), end=end, body=body)
    return c.finish(sid)


def status(s):
    fields = s["trailers"] or s["head"]
    return int(fields.get("grpc-status", -1))


def healthy():
    s = call("Health", message())
    assert status(s) == 0 and s["body"] == message(pb.HealthResponse(version="lab")), s


# ---- gRPC ----

def framing():
    cases = [(b"", 13), (b"\0\0\0\0\x05ab", 13), (b"\0\0", 13), (b"\2\0\0\0\0", 13), (message() * 2, 13),
             (b"\1\0\0\0\0", 13), (b"\0\0\x20\0\0", 11), (b"\0\xff\xff\xff\xff", 11), (b"\0\0\0\0\1\x0a", 3),
             (b"\0\0\x10\0\1", 11)]
    for body, wanted in cases:
        s = call("GetSandbox", body)
        assert status(s) == wanted and s["head"][":status"] == "200" and s["end"], (body, s)
        assert s["trailers"] is None, "one head says it all"
    s = call("GetSandbox", b"\1\0\0\0\0", ("grpc-encoding", "gzip"))
    assert status(s) == 12 and s["head"]["grpc-accept-encoding"] == "identity" and "gzip" in s["head"]["grpc-message"], s
    healthy()


def pieces():
    """A message whose bytes come one at a time."""
    c = client()
    sid = c.send(head("GetSandbox"), end=False)
    for b in message(pb.GetSandboxRequest(name="slow")):
        c.data(sid, bytes([b]))
    c.data(sid, end=True)
    s = c.finish(sid)
    assert status(s) == 0 and b"slow" in s["body"], s


def types():
    for kind, wanted in (("application/grpc", 200), ("application/grpc+proto", 200),
                         ("application/grpc; charset=x", 200), ("application/grpc+json", 415),
                         ("application/grpc-web", 415), ("application/json", 415), ("", 415)):
        s = call("Health", message(), kind=kind)
        assert int(s["head"][":status"]) == wanted, (kind, s)
        assert (status(s) == 0) == (wanted == 200), s


def unknown():
    for path in ("Nope", "", "Health/x", "../x"):
        s = call(path, message())
        assert status(s) == 12 and s["head"][":status"] == "200", s
    c = client()
    s = c.finish(c.send([(":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", "/x"),
                         ("content-type", "application/json")], body=b"{}"))
    assert s["head"][":status"] == "404"


def timeouts():
    for value in ("1", "m", "-1S", "123456789m", "1x", "1 S", " "):
        s = call("Health", message(), ("grpc-timeout", value.strip() or "q"))
        assert status(s) == 13, (value, s)
    for value, wanted in (("1n", 4), ("50m", 4), ("99999999H", None)):
        c = client()
        sid = c.send(head("GetSandbox", "application/grpc", ("grpc-timeout", value)),
                     body=message(pb.GetSandboxRequest(name="never")))
        c.read(lambda s=c.streams[sid]: s["end"], 1)
        assert (status(c.streams[sid]) if c.streams[sid]["end"] else None) == wanted, (value, c.streams[sid])
        c.sock.close()


def upload(method, body):
    """A call whose body is larger than the first window."""
    c = client()
    sid = c.send(head(method), end=False)
    s = c.streams[sid]
    for at in range(0, len(body), 16384):
        assert c.read(lambda: s["end"] or c.h2.local_flow_control_window(sid) >= 16384)
        if s["end"]:
            return s
        c.data(sid, body[at:at + 16384], end=at + 16384 >= len(body))
    return c.finish(sid)


def nested():
    """Messages in messages, which a recursion would not survive; and many empty ones."""
    def create(struct_bytes):
        data = field(1, field(6, field(7, struct_bytes)))
        return upload("CreateSandbox", struct.pack(">BI", 0, len(data)) + data)

    def deep(depth):
        inner = b""
        for _ in range(depth):  # Struct{fields{key, value{struct_value
            inner = field(1, field(2, field(5, inner)))
        return inner
    assert status(create(deep(10))) == 0
    s = create(deep(20000))
    assert status(s) == 3 and "nested" in s["head"]["grpc-message"], s
    s = create(field(1, b"") * 300000)
    assert status(s) in (3, 8), s
    healthy()


def field(number, data):
    n, length = len(data), b""
    while n >= 128:
        length, n = length + bytes([n % 128 + 128]), n // 128
    return bytes([number << 3 | 2]) + length + bytes([n]) + data


def early_end():
    """The answer is there before the request ends: reset without an error, for gRPC at once."""
    c = client()
    sid = c.send(head("GetSandbox"), end=False)
    c.data(sid, b"\2\0\0\0\0")
    s = c.streams[sid]
    assert c.read(lambda: s["reset"] is not None) and s["reset"] == 0 and s["end"] and status(s) == 13, s
    c = client()
    sid = c.send([(":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", "/v1/echo")], end=False)
    s = c.streams[sid]
    assert c.read(lambda: s["reset"] is not None) and s["reset"] == 0 and s["end"], s
    assert s["head"][":status"] == "401"


def strangers():
    """Where nobody is asked who calls, little is read."""
    body = struct.pack(">BI", 0, 70000) + b"x" * 1000
    s = call("Health", body, end=False)
    assert status(s) == 11 and "65536" in s["head"]["grpc-message"], s
    c = client()
    sid = c.send([(":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", "/v1/echo")],
                 body=b"x" * 20000)
    assert c.finish(sid)["head"][":status"] == "401"


# ---- HTTP/2 ----

def flood(what, *, count=5000, wanted=CALM):
    r = h2lab.Raw(server.connect())
    for i in range(count):
        r.send(what(i))
    got = r.error()
    while got[0] == "rst":
        got = r.error()
    assert got == ("goaway", wanted) or got[0] == "closed", got  # closed: the reset overtook it
    r.sock.close()
    healthy()


def rapid_reset():
    one = head("GetSandbox")

    def both(i):
        body = message(pb.GetSandboxRequest(name="never"))
        return (frame(HEADERS, END_HEADERS, 2 * i + 1, block(one)) + frame(DATA, END_STREAM, 2 * i + 1, body)
                + frame(RST, 0, 2 * i + 1, struct.pack(">I", 8)))
    flood(both, count=1000)
    waits(lambda: server.open() == (0, 0))


def made_you_reset():
    """Streams that the server must reset (CVE-2025-8671): a window update of nothing."""
    def both(i):
        return (frame(HEADERS, END_HEADERS, 2 * i + 1, block(head("GetSandbox")))
                + frame(WINDOW, 0, 2 * i + 1, struct.pack(">I", 0)))
    flood(both, count=1000, wanted=PROTOCOL)  # nghttp2 takes it as the connection's error
    waits(lambda: server.open() == (0, 0))


def continuations():
    r = h2lab.Raw(server.connect())
    r.send(frame(HEADERS, 0, 1, block(head())))
    for i in range(2000):
        r.send(frame(CONTINUATION, 0, 1, b""))
    assert r.error()[0] in ("goaway", "closed")
    r = h2lab.Raw(server.connect())
    r.send(frame(HEADERS, 0, 1, block(head())))
    for i in range(2000):
        r.send(frame(CONTINUATION, 0, 1, block([("x-%d" % i, "y" * 8000)])))
    assert r.error()[0] in ("goaway", "closed")
    healthy()


def long_head():
    for fields in ([("x-long", "y" * 20000)], [("x-%d" % i, "y") for i in range(200)]):
        c = client()
        s = c.finish(c.send(head() + fields, body=message()))
        assert s["head"][":status"] == "431", s
        assert c.status("GET", "/healthz") == 200  # the connection goes on


def too_many_streams():
    c = h2lab.Raw(server.connect())
    for i in range(400):
        c.send(frame(HEADERS, END_HEADERS, 2 * i + 1, block(head("GetSandbox"))))
    refused = c.read(lambda f: f[0] in (RST, GOAWAY))
    assert refused[0] in (RST, GOAWAY), refused
    c.sock.close()
    waits(lambda: server.open() == (0, 0))
    healthy()


def behind_its_end():
    """Ended by the client itself, so what follows can't have been under way: the connection's error."""
    for late in (frame(DATA, 0, 1, b"x"), frame(HEADERS, END_HEADERS | END_STREAM, 1, block(head()))):
        r = h2lab.Raw(server.connect())
        r.send(frame(HEADERS, END_HEADERS, 1, block(head())), frame(DATA, END_STREAM, 1, message()))
        assert not isinstance(r.read(lambda f: f[0] == HEADERS and f[1] & END_STREAM), str), r.frames
        r.send(late)
        assert r.error() in (("goaway", STREAM_CLOSED), ("closed", None)), r.frames
        r.sock.close()
    healthy()


def bad_heads():
    for bad in ([(":method", "POST"), (":path", "/x")], [*head(), (":late", "x")], [*head(), ("Upper", "x")],
                [*head(), ("connection", "close")], [*head(), ("te", "gzip")], [*head(), ("x", "a\nb")]):
        r = h2lab.Raw(server.connect())
        r.request(1, bad)
        assert r.error() in (("rst", PROTOCOL), ("goaway", PROTOCOL)), (bad, r.frames)
        r.sock.close()
    for junk in (b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", h2lab.PREFACE + b"\xff" * 100,
                 h2lab.PREFACE + frame(DATA, 0, 1, b"x"), h2lab.PREFACE + frame(SETTINGS, 0, 3, b"")):
        s = server.connect()
        s.sendall(junk)
        s.settimeout(20)
        while s.recv(65536):
            pass
    healthy()


def resets():
    """A stream cut at each of its points: closed() comes each time, also when the connection goes."""
    body = message(pb.ExecSandboxRequest(workdir="1000000"))
    for cut in range(0, len(body) + 1, 3):
        for how in ("reset", "close"):
            c = client()
            sid = c.send(head("ExecSandbox"), end=False)
            c.data(sid, body[:cut], end=cut == len(body))
            if how == "reset":
                c.h2.reset_stream(sid, 8)
                c.flush()
                assert c.status("GET", "/healthz") == 200
            c.sock.close()
    waits(lambda: server.open() == (0, 0))


def no_reader():
    """Ten clients that ask for a gigabyte each and read nothing."""
    before, socks = server.rss(), []
    for _ in range(10):
        s = server.connect()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        r = h2lab.Raw(s)
        r.send(frame(WINDOW, 0, 0, struct.pack(">I", (1 << 31) - 65536 - 1)))
        r.send(frame(SETTINGS, 0, 0, struct.pack(">HI", 4, (1 << 31) - 1)))
        for sid in range(1, 21, 2):
            r.send(frame(HEADERS, END_HEADERS, sid, block(head("ExecSandbox"))),
                   frame(DATA, END_STREAM, sid, message(pb.ExecSandboxRequest(workdir="1000000"))))
        socks.append(s)
    waits(lambda: server.open()[0] == 100)
    time.sleep(0.5)
    grown = server.rss() - before
    assert grown < 100 * 700, f"{grown} KiB for 100 streams"  # the queue's 256 KiB, doubled as buffers grow
    healthy()
    for s in socks:
        s.close()
    waits(lambda: server.open() == (0, 0))


def no_pace():
    """A handler that holds: the client can send a window, and no more."""
    c = client()
    sid = c.send(head("ForwardTcp"), end=False)
    sent = 0
    c.data(sid, message(pb.TcpForwardFrame(data=b"hold")))
    begun = time.monotonic()
    while time.monotonic() - begun < 0.2:
        c.read(lambda: False, 0.005)
        if c.h2.local_flow_control_window(sid) >= 16384:
            c.data(sid, message(pb.TcpForwardFrame(data=b"x" * 10000)))
            sent += 1
    assert 5 <= sent <= 27, sent  # 256 KiB of them
    assert c.read(lambda: c.h2.local_flow_control_window(sid) > 200000, 3), "the window opens again"
    c.data(sid, end=True)
    s = c.finish(sid)
    assert status(s) == 0 and len(s["body"]) > sent * 10000, s["head"]


# ---- HTTP/1, TLS, nothing ----

def talk(data, seconds=5):
    s = server.connect()
    s.settimeout(seconds)
    s.sendall(data)
    got = b""
    try:
        while more := s.recv(65536):
            got += more
    except OSError:
        pass
    s.close()
    return got


def h1_refused():
    for data, code in ((b"GET / HTTP/1.1\r\n\r\n", 400), (b"GET / HTTP/9.9\r\nhost: a\r\n\r\n", 505),
                       (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\r\n\r\n", 400), (b"GET / HTTP/1.1\r\nhost: a\r\nx : y\r\n\r\n", 400),
                       (b"POST /v1/echo HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", 400),
                       (b"GET /" + b"x" * 20000, 431), (b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"y" * 70000, 431),
                       (b"CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\n\r\n", 400), (b"OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n", 400),
                       (b"POST " + SERVICE.encode() + b"Health HTTP/1.1\r\nhost: a\r\ncontent-type: application/grpc\r\n"
                        b"content-length: 5\r\nconnection: close\r\n\r\n\0\0\0\0\0", 415)):
        got = talk(data)
        assert got.startswith(b"HTTP/1.1 %d " % code) or (code == 415 and got.startswith(b"HTTP/1.1 505 ")), (data[:60], got[:200])
        assert b"connection: close" in got, got
    for bad in (b"x\r\n", b"5\r\nabc", b"-1\r\n", b"5;x=y\r\nabcde\r\n0\r\n\r\n"):
        got = talk(b"POST /v1/echo HTTP/1.1\r\nhost: a\r\nauthorization: Bearer u\r\ntransfer-encoding: chunked\r\n\r\n" + bad, 0.5)
        assert not got.startswith(b"HTTP/1.1 200"), got
    waits(lambda: server.open() == (0, 0))
    healthy()


def cpu():
    with open(f"/proc/{server.process.pid}/stat") as f:
        return sum(map(int, f.read().rsplit(")", 1)[1].split()[11:13])) / os.sysconf("SC_CLK_TCK")


def sent_ahead():
    """Requests behind one whose answer has no end: they are not read, and cost no turns."""
    s = server.connect()
    s.sendall(b"GET /v1/stream?0 HTTP/1.1\r\nhost: a\r\n\r\n")
    assert b"200 OK" in s.recv(4096)
    s.sendall(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n" * 3000)
    time.sleep(0.2)
    before = cpu()
    time.sleep(1)
    assert cpu() - before < 0.2, cpu() - before
    s.close()
    waits(lambda: server.open() == (0, 0))


def half_closed():
    """Some clients of HTTP/1 shut their side when they have asked."""
    s = server.connect()
    s.sendall(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n")
    s.shutdown(socket.SHUT_WR)
    s.settimeout(20)
    assert b"200 OK" in s.recv(65536)


def silent():
    """Connections that say nothing are closed, in ten seconds; so is half a handshake of TLS."""
    tls = rpcserver.Server(pki.cert, pki.key)
    socks = [server.connect() for _ in range(3)] + [socket.create_connection(("127.0.0.1", tls.port)) for _ in range(2)]
    socks[1].sendall(b"PRI * HT")
    socks[4].sendall(b"\x16\x03\x01\x02\0\x01\0\x01\xfc")
    begun = time.monotonic()
    for s in socks:
        s.settimeout(15)
        try:
            while s.recv(4096):
                pass
        except ConnectionResetError:
            pass
        assert 8 < time.monotonic() - begun < 19, time.monotonic() - begun
    tls.close()


def crowd():
    """10,000 connections: memory for each is bounded, and the next client is served."""
    import resource
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 10200:
        return "unavailable: 10,200 descriptors"
    big = rpcserver.Server()
    before, socks = big.rss(), []
    one = h2lab.PREFACE + frame(SETTINGS) + frame(HEADERS, END_HEADERS | END_STREAM, 1, block(
        [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/healthz")]))
    for _ in range(10000):
        s = socket.create_connection(("127.0.0.1", big.port))
        s.sendall(one)
        socks.append(s)
    for s in socks[::100] + socks[-1:]:
        s.settimeout(10)
        assert s.recv(1)
    each = (big.rss() - before) / len(socks)
    print(f"# {each:.1f} KiB for each of {len(socks)} connections that have asked once")
    assert each < 24, each
    s = socket.create_connection(("127.0.0.1", big.port))
    s.sendall(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n")
    s.settimeout(20)
    assert b"200 OK" in s.recv(4096)
    for s in socks:
        s.close()
    big.close()
    return None


for name, check in (
        ("frames that are none", framing), ("a message in pieces of a byte", pieces), ("content types", types),
        ("unknown paths", unknown), ("grpc-timeout", timeouts), ("messages in messages", nested),
        ("an answer before the request's end", early_end), ("t20 what strangers send", strangers),
        ("t20 requests sent ahead", sent_ahead),
        ("t19 a flood of PING", lambda: flood(lambda i: frame(PING, 0, 0, b"x" * 8))),
        ("t19 a flood of SETTINGS", lambda: flood(lambda i: frame(SETTINGS))),
        ("t19 a flood of empty DATA", lambda: flood(
            lambda i: (frame(HEADERS, END_HEADERS, 1, block(head())) if i == 0 else b"") + frame(DATA, 0, 1))),
        ("t19 a flood of HEADERS for a stream that is over", lambda: flood(
            lambda i: frame(HEADERS, END_HEADERS, 1, block(head("GetSandbox"))))),
        ("t19 frames behind their sender's own end", behind_its_end),
        ("t19 rapid reset", rapid_reset), ("t19 made you reset", made_you_reset),
        ("t19 CONTINUATION without end", continuations), ("long heads", long_head),
        ("more streams than allowed", too_many_streams), ("heads and frames that break rules", bad_heads),
        ("a stream cut at each point", resets), ("t20 clients that read nothing", no_reader),
        ("a handler that holds", no_pace), ("HTTP/1 that is refused", h1_refused),
        ("HTTP/1: a client that shut its side", half_closed), ("t20 clients that say nothing", silent)):
    tap.check(name, check)
try:
    why = crowd()
    if why:
        tap.skip("t20 10,000 connections", why)
    else:
        tap.ok(True, "t20 10,000 connections")
except Exception as e:
    tap.ok(False, "t20 10,000 connections", repr(e))
tap.check("the server is well, and ends", lambda: (healthy(), server.close()))
directory.cleanup()
tap.done()
