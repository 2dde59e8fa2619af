#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What other HTTP/1 parsers were found to read in different ways, asked of ours, in both directions.

Goal: of a message that any two programs read differently not one byte gets through, or exactly one
message does that all read alike.  Method: each fault of tests/lib/garden.py is put into a request,
for a server that keeps what reaches it, and into an answer, for a client of HTTP/1 and one of HTTP/2;
then frames of HTTP/2 whose server speaks HTTP/1.  What smuggling.wt and test_http.py have already is
not repeated.
"""
import os
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import h2lab  # noqa: E402  (first: it may start another Python)
import proxylab  # noqa: E402
import world  # noqa: E402
from garden import CHUNKS, LINES, LINES_OF_REQUESTS, STARTS, STARTS_OF_ANSWERS  # noqa: E402
from proxylab import Bytes, Lab, read_all  # noqa: E402

POLICY = """
version: 1
network_policies:
  api:
    endpoints:
      - {host: api.test, ports: [80, 443], protocol: rest, enforcement: enforce, access: full}
    binaries: [{path: /usr/bin/curl}]
"""
P = world.PUBLIC
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HOST = b"Host: api.test\r\n"
EVIL = b"GET /EVIL HTTP/1.1\r\n" + HOST + b"\r\n"
PATIENCE_S = 3

w = world.World(["api.test"])
proxylab.add_local("10.200.0.0", 24)
lab = Lab(w, POLICY, pins=[("api.test", 80, P), ("api.test", 443, P)])
tap = world.Tap()


class Origin(Bytes):
    """Keeps who has left: what is accepted and not among them is still being served."""

    def __init__(self, *args, **kwargs):
        self.left = []
        super().__init__(*args, **kwargs)

    def _serve(self, s):
        try:
            super()._serve(s)
        finally:
            self.left.append(s)

    def settle(self):
        """A request that was cut ends its connection: then all of it has been seen. Connections
        are accepted in their order: once one of our own was served, none from before waits."""
        with socket.create_connection((P, self.port), PATIENCE_S) as own:
            own.shutdown(socket.SHUT_WR)
            assert own.recv(1) == b""
        end = time.monotonic() + PATIENCE_S
        while len(self.left) < self.connections and time.monotonic() < end:
            time.sleep(0.005)
        assert len(self.left) == self.connections, f"{self.connections - len(self.left)} connections stayed"


origin, tls_origin = Origin(P, 80, answer=OK), Origin(P, 443, answer=OK, pki=w.pki)

# ---- requests ----

def talk(data, answer=OK, is_close=False):
    origin.answer, origin.is_close, origin.seen = answer, is_close, b""
    s, status, _ = lab.tunnel("api.test", 80)
    assert status == 200
    s.settimeout(PATIENCE_S)
    s.sendall(data)
    return s


def refused(data):
    """4xx or 5xx of our own, and the end; the server has seen nothing."""
    got = read_all(talk(data))
    assert got[9:10] in (b"4", b"5") and b"<timeout>" not in got, (data, got)
    assert origin.seen == b"", (data, origin.seen)


def cut(body):
    """A head may have passed; the request never completes, and nothing behind it is one."""
    got = read_all(talk(b"POST /x HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n" + body + EVIL,
                        answer=b""))
    assert got.startswith(b"HTTP/1.1 400 ") and b"<timeout>" not in got, got
    origin.settle()
    assert b"EVIL" not in origin.seen and b"\r\n0\r\n" not in origin.seen, origin.seen


def ends_early(body):
    """The client has shut its side: the request is cut at the server too, at once."""
    def check():
        s = talk(CHUNKED + body, answer=b"")
        s.shutdown(socket.SHUT_WR)
        got = read_all(s)
        assert b"<timeout>" not in got and not got.startswith(b"HTTP/1.1 200"), got
        origin.settle()
        assert b"\r\n0\r\n" not in origin.seen, origin.seen
    return check


def passes(data, *want):
    """The server gets exactly these requests."""
    def check():
        s = talk(data)
        end = time.monotonic() + PATIENCE_S
        while len(origin.seen) < sum(map(len, want)) and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(0.05)
        assert origin.seen == b"".join(want), origin.seen
        s.close()
    return check


def each_byte(bytes_of, message):
    def check():
        for byte in bytes_of:
            refused(message(bytes([byte])))
    return check


TOKEN = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
NO_TOKEN = [b for b in range(256) if b not in TOKEN and b != ord(":")]
NO_VALUE = [b for b in range(256) if (b < 32 and b != 9) or b == 127]
NO_TARGET = [b for b in range(256) if b <= 32 or b >= 127 or b == ord("#")]
POST = b"POST /x HTTP/1.1\r\n" + HOST
BEHIND = b"\r\n\r\n0\r\n\r\n" + EVIL

for name, line in {**LINES, **LINES_OF_REQUESTS}.items():
    head = b"POST /x HTTP/1.1\r\n" + (b"" if b"Host" in line[:9] else HOST)
    tap.check(f"t10 request with {name}: refused", lambda head=head, line=line: refused(head + line + BEHIND))
    if not line.startswith(b"Host"):
        tap.check(f"t10 request with {name}, first: refused",
                  lambda line=line: refused(b"POST /x HTTP/1.1\r\n" + line + b"\r\n" + HOST + BEHIND[2:]))
for name, line in STARTS.items():
    tap.check(f"t10 request line with {name}: refused",
              lambda line=line: refused(line + b"\r\n" + HOST + b"\r\n" + EVIL))
for name, body in CHUNKS.items():
    tap.check(f"t10 request body with {name}: cut", lambda body=body: cut(body))

CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
for name, check in (
        ("every byte that is no token's in a name is refused", each_byte(
            NO_TOKEN, lambda b: POST + b"X" + b + b"Y: z" + BEHIND)),
        ("every byte that is no token's at a name's end is refused", each_byte(
            NO_TOKEN, lambda b: POST + b"Content-Length" + b + b": 5" + BEHIND)),
        ("every byte that no value may have is refused", each_byte(
            NO_VALUE, lambda b: POST + b"X: y" + b + b"z" + BEHIND)),
        ("every byte that is no token's in a method is refused", each_byte(
            [*NO_TOKEN, ord(":")], lambda b: b"PO" + b + b"ST /x HTTP/1.1\r\n" + HOST + BEHIND[2:])),
        ("every byte that is no target's is refused", each_byte(
            NO_TARGET, lambda b: b"POST /x" + b + b"y HTTP/1.1\r\n" + HOST + BEHIND[2:])),
        ("every byte that is no digit in a length is refused", each_byte(
            [b for b in range(256) if not 48 <= b <= 57], lambda b: POST + b"Content-Length: 1" + b + b"0" + BEHIND)),
        ("lines that end in LF alone are refused", lambda: refused(b"GET /x HTTP/1.1\nHost: api.test\n\n")),
        ("HTTP/0.9 is refused", lambda: refused(b"GET /x\r\n\r\n")),
        ("HTTP/1.1 without Host is refused", lambda: refused(b"GET /x HTTP/1.1\r\n\r\n")),
        ("a body of GET stays a body", passes(
            b"GET /x HTTP/1.1\r\n" + HOST + b"Content-Length: 10\r\n\r\n1234567890",
            b"GET /x HTTP/1.1\r\nHost: api.test\r\nContent-Length: 10\r\n\r\n1234567890")),
        ("a request in a body stays a body", passes(
            POST + b"Content-Length: %d\r\n\r\n" % len(EVIL) + EVIL,
            POST + b"Content-Length: %d\r\n\r\n" % len(EVIL) + EVIL)),
        ("behind an empty body the next request begins", passes(
            POST + b"Content-Length: 0\r\n\r\nPOST /y HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\nabc",
            POST + b"Content-Length: 0\r\n\r\n", b"POST /y HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\nabc")),
        ("a chunk that looks like an end is data", passes(
            CHUNKED + b"0017\r\n0\r\n\r\nGET /EVIL HTTP/1.1\r\n0\r\n\r\n",
            CHUNKED + b"17\r\n0\r\n\r\nGET /EVIL HTTP/1.1\r\n0\r\n\r\n")),
        ("a trailer that looks like a request is a field", passes(
            CHUNKED + b"0\r\nX:POST /EVIL HTTP/1.1\r\n\r\n", CHUNKED + b"0\r\nX: POST /EVIL HTTP/1.1\r\n\r\n")),
        ("an end in the data cuts the request", ends_early(b"5\r\nhe")),
        ("an end in the trailers cuts the request", ends_early(b"5\r\nhello\r\n0\r\nA: b\r\n")),
        ("a byte behind the body is no part of it", passes(CHUNKED + b"0\r\n\r\n\0", CHUNKED + b"0\r\n\r\n")),
        ("behind the request that closes nothing is read", passes(
            b"GET /x HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n" + EVIL,
            b"GET /x HTTP/1.1\r\n" + HOST + b"\r\n")),
        ("blanks around a value are cut off, also where a trailer has them", passes(
            POST + b"X: \t y \t\r\nTransfer-Encoding:chunked \r\n\r\n0\r\nZ:\t y \t\r\n\r\n",
            POST + b"X: y\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nZ: y\r\n\r\n"))):
    tap.check(f"t10 {name}", check)


# ---- answers ----

def no_answer(data, is_close=True):
    """For a client of HTTP/1: 502 and the end, or the end; the mark never comes."""
    s = talk(b"GET /x HTTP/1.1\r\n" + HOST + b"\r\n", data, is_close)
    got = read_all(s)
    assert got.startswith((b"HTTP/1.1 502 ", b"<reset>")) or got == b"", (data, got)
    assert b"EVIL" not in got and b"<timeout>" not in got, (data, got)


def no_answer_h2(data):
    tls_origin.answer, tls_origin.is_close = data, True
    c = h2lab.Client(lab.tls("api.test", 443, alpn=("h2",)))
    s = c.ask("GET", "/x")
    assert s["reset"] is not None or s["head"].get(":status") == "502", (data, s)
    assert b"EVIL" not in s["body"] and "evil" not in str(s["head"]).lower(), (data, s)
    c.sock.close()


def answer_cut(body):
    """The head has passed; the body has no end, and the mark never comes."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    s = talk(b"GET /x HTTP/1.1\r\n" + HOST + b"\r\n", head + body + b"EVIL", is_close=True)
    got = read_all(s)
    assert b"EVIL" not in got and b"\r\n0\r\n" not in got[:-1] and b"<timeout>" not in got, got
    tls_origin.answer, tls_origin.is_close = head + body + b"EVIL", True
    c = h2lab.Client(lab.tls("api.test", 443, alpn=("h2",)))
    r = c.ask("GET", "/x")
    assert b"EVIL" not in r["body"] and not r["end"] and r["reset"] is not None or r["head"][":status"] == "502", r
    c.sock.close()


def both(data):
    no_answer(data)
    no_answer_h2(data)


for name, line in LINES.items():
    tap.check(f"t10 answer with {name}: 502",
              lambda line=line: both(b"HTTP/1.1 200 OK\r\n" + line + b"\r\n\r\n0\r\n\r\nEVIL"))
for name, line in STARTS_OF_ANSWERS.items():
    tap.check(f"t10 status line with {name}: 502",
              lambda line=line: both(line + b"\r\nContent-Length: 4\r\n\r\nEVIL"))
for name, body in CHUNKS.items():
    tap.check(f"t10 answer's body with {name}: cut", lambda body=body: answer_cut(body))


def answers(data, want, request=b"GET /x HTTP/1.1\r\n" + HOST + b"\r\n", is_close=False):
    """The client gets exactly this, and then the answer to its next request."""
    def check():
        s = talk(request, data, is_close)
        got = b""
        while len(got) < len(want) and (piece := s.recv(65536)):
            got += piece
        assert got == want, got
        time.sleep(0.1)  # what the server said too much is here
        origin.answer = OK
        try:
            s.sendall(b"GET /next HTTP/1.1\r\n" + HOST + b"\r\n")
            got = read_all(s) if is_close else s.recv(65536)
        except OSError:
            got = b""
        assert got in (OK, b"") or is_close, got
        assert b"EVIL" not in got, got
        s.close()
    return check


R = b"HTTP/1.1 200 OK\r\n"
MORE = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL"
for name, check in (
        ("every byte that is no token's in a name is no answer", lambda: [
            no_answer(R + b"X" + bytes([b]) + b"Y: z\r\nContent-Length: 0\r\n\r\nEVIL") for b in NO_TOKEN] and None),
        ("every byte that no value may have is no answer", lambda: [
            no_answer(R + b"X: y" + bytes([b]) + b"z\r\nContent-Length: 0\r\n\r\nEVIL") for b in NO_VALUE] and None),
        ("lines that end in LF alone are no answer", lambda: both(b"HTTP/1.1 200 OK\nContent-Length: 4\n\nEVIL")),
        ("HTTP/0.9 is no answer", lambda: both(b"<html>EVIL</html>\r\n\r\n")),
        ("an answer behind 204 belongs to nobody", answers(
            b"HTTP/1.1 204 No\r\n\r\n" + MORE, b"HTTP/1.1 204 No\r\n\r\n")),
        ("an answer behind 304 belongs to nobody", answers(
            b"HTTP/1.1 304 No\r\nContent-Length: 44\r\n\r\n" + MORE,
            b"HTTP/1.1 304 No\r\nContent-Length: 44\r\n\r\n")),
        ("304 with a coding has no body", answers(
            b"HTTP/1.1 304 No\r\nTransfer-Encoding: chunked\r\n\r\n" + MORE, b"HTTP/1.1 304 No\r\n\r\n")),
        ("an answer behind that to HEAD belongs to nobody", answers(
            R + b"Content-Length: 44\r\n\r\n" + MORE, R + b"Content-Length: 44\r\n\r\n",
            b"HEAD /x HTTP/1.1\r\n" + HOST + b"\r\n")),
        ("an answer to HEAD with a coding has no body", answers(
            R + b"Transfer-Encoding: chunked\r\n\r\n" + MORE, R + b"\r\n",
            b"HEAD /x HTTP/1.1\r\n" + HOST + b"\r\n")),
        ("204 with a coding is no answer", lambda: both(
            b"HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nEVIL\r\n0\r\n\r\n")),
        ("103 with a length is no answer", lambda: both(
            b"HTTP/1.1 103 Hints\r\nContent-Length: 4\r\n\r\nEVIL" + OK)),
        ("100 with a coding is no answer", lambda: both(
            b"HTTP/1.1 100 Continue\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nEVIL\r\n0\r\n\r\n" + OK)),
        ("an answer behind a chunked body belongs to nobody", answers(
            R + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + MORE,
            R + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")),
        ("a coding in HTTP/1.0 is no answer", lambda: both(
            b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nEVIL\r\n0\r\n\r\n")),
        ("a trailer that looks like an answer is a field", answers(
            R + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX:HTTP/1.1 200 OK\r\n\r\n",
            R + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: HTTP/1.1 200 OK\r\n\r\n"))):
    tap.check(f"t10 {name}", check)


# ---- HTTP/2 made HTTP/1 ----

G = [(":method", "POST"), (":scheme", "https"), (":authority", "api.test"), (":path", "/x")]
END, HEADERS_END = h2lab.END_STREAM, h2lab.END_HEADERS


def data(text, end=0):
    return h2lab.frame(h2lab.DATA, end, 1, text)


def head(fields, end=0):
    return h2lab.frame(h2lab.HEADERS, HEADERS_END | end, 1, h2lab.block(fields))


def from_h2(*frames):
    """What the server of HTTP/1 has seen of them, when the stream is over."""
    tls_origin.answer = lambda seen: OK if b"\r\n0\r\n" in seen or b"Content-Length" in seen else b""
    tls_origin.is_close, tls_origin.seen = False, b""
    r = h2lab.Raw(lab.tls("api.test", 443, alpn=("h2",)))
    r.send(*frames)
    r.read(lambda f: f[2] == 1 and (f[0] == h2lab.RST or f[1] & END and f[0] in (h2lab.DATA, h2lab.HEADERS)), 5)
    seen = None
    while seen != tls_origin.seen:  # good connections are kept, so no end says that this is all
        seen = tls_origin.seen
        time.sleep(0.1)
    r.sock.close()
    return seen


def becomes(frames, fields, body):
    """Exactly one request of HTTP/1, with these fields behind Host."""
    def check():
        seen = from_h2(*frames)
        assert seen == b"POST /x HTTP/1.1\r\n" + HOST + fields + b"\r\n" + body, seen
    return check


def never_whole(*frames):
    """A head may have passed; the request has no end, or the server has seen nothing."""
    def check():
        seen = from_h2(*frames)
        assert b"\r\n0\r\n" not in seen and b"EVIL" not in seen and b"Content-Length: 3\r\n\r\nabc" not in seen, seen
    return check


def sees_nothing(*frames):
    def check():
        seen = from_h2(*frames)
        assert seen == b"", seen
    return check


TE = b"Transfer-Encoding: chunked\r\n"
for name, check in (
        ("DATA that looks like an end and a request is data", becomes(
            (head(G), data(b"0\r\n\r\n" + EVIL, END)), TE,
            b"%x\r\n" % (len(EVIL) + 5) + b"0\r\n\r\n" + EVIL + b"\r\n0\r\n\r\n")),
        ("DATA of nothing does not end a body", becomes(
            (head(G), data(b""), data(b"abcd"), data(b""), data(b"", END)), TE, b"4\r\nabcd\r\n0\r\n\r\n")),
        ("padding is no data", becomes(
            (head(G), h2lab.frame(h2lab.DATA, END | 8, 1, b"\x05abc" + b"EVIL\0")), TE, b"3\r\nabc\r\n0\r\n\r\n")),
        ("a length stays one", becomes(
            (head(G + [("content-length", "3")]), data(b"a"), data(b"bc", END)), b"Content-Length: 3\r\n", b"abc")),
        ("crumbs of cookies are one field", becomes(
            (head(G + [("cookie", "a=b"), ("x", "y"), ("cookie", "c=d"), ("cookie", "e")]), data(b"", END)),
            b"x: y\r\ncookie: a=b; c=d; e\r\n" + TE, b"0\r\n\r\n")),
        ("trailers are trailers", becomes(
            (head(G), data(b"abc"), head([("x-sum", "1")], END)), TE, b"3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n")),
        ("framing, routing and credentials in trailers go no further", becomes(
            (head(G), data(b"abc"), head([("content-length", "9"), ("host", "other.test"), ("authorization", "x"),
                                          ("x-sum", "1")], END)), TE, b"3\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n")),
        ("two lengths in trailers have no end", never_whole(
            head(G), data(b"abc"), head([("content-length", "9"), ("content_length", "9")], END))),
        ("transfer-encoding in trailers has no end", never_whole(
            head(G), data(b"abc"), head([("transfer-encoding", "chunked")], END))),
        ("CR LF in trailers has no end", never_whole(
            head(G), data(b"abc"), head([("x", "y\r\n\r\nGET /EVIL HTTP/1.1")], END))),
        ("an upper-case name in trailers has no end", never_whole(
            head(G), data(b"abc"), head([("Transfer-Encoding", "x")], END))),
        ("more DATA than the length has no end", never_whole(
            head(G + [("content-length", "3")]), data(b"abcEVIL", END))),
        ("less DATA than the length has no end", never_whole(
            head(G + [("content-length", "30")]), data(b"abc", END))),
        ("DATA where the length says nothing", never_whole(
            head(G + [("content-length", "0")]), data(EVIL, END))),
        ("transfer_encoding is nobody's", sees_nothing(head(G + [("transfer_encoding", "chunked")]), data(b"0", END))),
        ("http_host and host_ are no Host", becomes(
            (head(G + [("http_host", "x"), ("host_", "y")]), data(b"", END)),
            b"http_host: x\r\nhost_: y\r\n" + TE, b"0\r\n\r\n")),
        ("proxy-authorization goes no further", becomes(
            (head(G + [("proxy-authorization", "x"), ("proxy_authorization", "y")]), data(b"", END)), TE, b"0\r\n\r\n")),
        ("1,000 small fields", sees_nothing(head(G + [("x%d" % i, "") for i in range(1000)], END))),
        ("1,000 crumbs", sees_nothing(head(G + [("cookie", "a")] * 3000, END))),
        ("a reset in the body has no end", never_whole(
            head(G), data(b"abc"), h2lab.frame(h2lab.RST, 0, 1, b"\0\0\0\x08"))),
        ("a request in CONTINUATIONs of a byte", becomes(
            (h2lab.frame(h2lab.HEADERS, 0, 1, h2lab.block(G)), *(
                h2lab.frame(h2lab.CONTINUATION, 0, 1, bytes([b])) for b in h2lab.block([("x", "y")])),
             h2lab.frame(h2lab.CONTINUATION, HEADERS_END, 1, b""), data(b"", END)),
            b"x: y\r\n" + TE, b"0\r\n\r\n"))):
    tap.check(f"t10 t19 {name}", check)
tap.check("the proxy ends well", lambda: lab.close() == 0 or 1 / 0)
w.close()
tap.done()
