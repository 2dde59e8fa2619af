#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL's protocol at its edges, between a client and a server that do what no real one does.

Goal: a server that is not what it says gets nothing and is told on; messages cut, joined, broken or
out of place end a connection and nothing else; of a denied statement no byte reaches the server.
Method: a server over TLS whose every answer a test writes, and a client of raw bytes.
"""
import json
import os
import random
import socket
import ssl
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import box  # noqa: E402
import proxylab  # noqa: E402
import world  # noqa: E402
from proxylab import Lab  # noqa: E402

POLICY = """
version: 1
network_policies:
  db:
    endpoints:
      - {host: ro.test, port: 5432, protocol: postgres, enforcement: enforce, access: read-only}
      - {host: rw.test, port: 5432, protocol: postgres, enforcement: enforce, access: read-write}
    binaries: [{path: /usr/bin/curl}]
"""
P = world.PUBLIC
w = world.World(["ro.test", "rw.test"])
proxylab.add_local("10.200.0.0", 24)
tap = world.Tap()
MARKER = b"cove_denied_statement"


def message(kind, body=b""):
    return kind + struct.pack(">I", len(body) + 4) + body


def query(text):
    return message(b"Q", text + b"\0")


def parse(text, name=b""):
    return message(b"P", name + b"\0" + text + b"\0\0\0")


def auth(code, body=b""):
    return message(b"R", struct.pack(">I", code) + body)


def startup(*pairs):
    body = struct.pack(">I", 196608) + b"".join(p + b"\0" for p in pairs) + b"\0"
    return struct.pack(">I", len(body) + 4) + body


READY, IN_BLOCK = message(b"Z", b"I"), message(b"Z", b"T")
KEY = message(b"K", struct.pack(">II", 77, 88))
LOGIN = auth(0) + message(b"S", b"client_encoding\0UTF8\0") + KEY + READY
SYNTAX = message(b"E", b"SERROR\0C42601\0Msyntax error at or near \"" + MARKER + b"\"\0\0")


class Server:
    """`answer` is called with the server's side of each connection."""

    def __init__(self):
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(w.pki.cert, w.pki.key)
        self.sock = proxylab.listener(P, 5432)
        self.seen, self.answer, self.ssl_answer = b"", None, b"S"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            s, _ = self.sock.accept()
            threading.Thread(target=self._serve, args=(s,), daemon=True).start()

    def _serve(self, s):
        try:
            s.settimeout(10)
            self.seen += s.recv(8)
            s.sendall(self.ssl_answer)
            if self.ssl_answer != b"S":
                s.recv(1000)
                return
            s = self.tls.wrap_socket(s, server_side=True)
            self.seen += s.recv(10000)
            self.answer(s, lambda: self._more(s))
        except (OSError, ssl.SSLError):
            pass
        finally:
            s.close()

    def _more(self, s):
        data = s.recv(65536)
        self.seen += data
        return data


server = Server()
PINS = [("ro.test", 5432, P), ("rw.test", 5432, P)]
lab = Lab(w, POLICY, pins=PINS)


def client(host="ro.test", answer=lambda s, more: None, ssl_answer=b"S", start=None):
    server.seen, server.answer, server.ssl_answer = b"", answer, ssl_answer
    s, status, _ = lab.tunnel(host, 5432)
    assert status == 200
    s.sendall(start if start is not None else startup(b"user", b"agent", b"database", b"app"))
    return s


def until(s, end, seconds=20):
    """What comes until it ends so, or until the end."""
    data, stop = b"", time.monotonic() + seconds
    while not data.endswith(end) and time.monotonic() < stop:
        s.settimeout(max(0.01, stop - time.monotonic()))
        try:
            more = s.recv(65536)
        except (ConnectionResetError, socket.timeout):
            break
        if not more:
            break
        data += more
    return data


def everything(s):
    return until(s, b"nothing ends like this")


def session(host="ro.test", talk=None):
    """A session up to its first ReadyForQuery; talk answers what the client says then."""
    def answer(s, more):
        s.sendall(LOGIN)
        while data := more():
            for reply in (talk(data) if talk else [READY]):
                s.sendall(reply)

    s = client(host, answer)
    assert until(s, READY).endswith(READY)
    return s


def fatal(data, words):
    assert b"SFATAL" in data and words in data, data


def refuses_tls():
    for answer, words in [(b"N", b"does not offer TLS"), (b"SX", b"malformed"), (b"E", b"malformed"),
                          (b"S" + message(b"E", b"SFATAL\0\0"), b"malformed")]:
        fatal(everything(client(ssl_answer=answer)), words)
        assert b"agent" not in server.seen


def starts():
    session()
    assert b"default_transaction_read_only\0on\0" in server.seen
    session("rw.test")
    assert b"default_transaction_read_only" not in server.seen


def skipped_proof():
    mechanisms = b"SCRAM-SHA-256\0\0"
    for after in [auth(0), auth(12, b"v=AAAA"), auth(11, b"r=x,s=AAAA,i=1"), auth(5, b"salt"), auth(3)]:
        s = client(answer=lambda c, more, after=after: (c.sendall(auth(10, mechanisms)), more(),
                                                        c.sendall(after), more()))
        assert until(s, auth(3)) == auth(3)
        s.sendall(message(b"p", b"secret\0"))
        fatal(everything(s), b"cove: ")
        assert b"secret" not in server.seen


def other_authentications():
    for code in (2, 6, 7, 8, 9, 255, 1 << 24):
        fatal(everything(client(answer=lambda c, more, code=code: (c.sendall(auth(code)), more()))),
              b"not supported" if code < 256 else b"malformed")


def server_breaks():
    for bad in [b"Z\0\0\0\3", b"\0\0\0\0\0", message(b"R", b"\0\0\0\0"), message(b"W"), b"Q\0\0\0\4",
                message(b"Z", b"II"), message(b"K", b"x"), message(b"S", b"no end"),
                message(b"S", b"default_transaction_read_only\0off\0"),
                message(b"S", b"client_encoding\0SJIS\0"), b"S\0\1\0\0" + b"x" * 70000]:
        s = session(talk=lambda data, bad=bad: [bad])
        s.sendall(query(b"SELECT 1"))
        data = everything(s)
        fatal(data, b"cove: ")


def client_breaks():
    for bad in [b"Q\0\0\0\3", b"Z\0\0\0\4", b"\0\0\0\0\0", message(b"p", b"x\0"), b"Q\xff\xff\xff\xff"]:
        s = session()
        s.sendall(bad)
        fatal(everything(s), b"cove: ")
    for bad in [b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\4", startup(b"user"), startup(b"database", b"x"),
                startup(b"user", b"a" * 64), startup(b"user", b"a", b"user", b"b"),
                struct.pack(">II", 8, 80877103) * 2 + b"x"]:
        data = everything(client(start=bad))
        assert b"FATAL" in data and not server.seen, (bad, data)


def nothing_hidden():
    for bad in [message(b"Q", b"SELECT 1\0; DROP TABLE t\0"), message(b"Q", b"SELECT 1"),
                message(b"P", b"\0SELECT 1\0; DROP TABLE t\0\0\0"), message(b"P", b"\0SELECT 1\0"),
                query(b"DROP TABLE t"), query(b"SELECT 1; DROP TABLE t"), parse(b"DROP TABLE t"),
                message(b"F", struct.pack(">IHHH", 1598, 0, 0, 0))]:
        s = session()
        before = server.seen
        s.sendall(bad + (message(b"S") if bad[:1] == b"P" else b""))
        data = until(s, READY)
        assert b"SERROR" in data and data.endswith(READY), (bad, data)
        assert server.seen == before, server.seen[len(before):]
        s.sendall(query(b"SELECT 2"))
        until(s, READY)
        assert b"SELECT 2" in server.seen


def one_at_a_time():
    gate = threading.Event()

    def talk(data):
        if b"SELECT 1" in data:
            gate.wait(20)
        return [READY]

    s = session(talk=talk)
    s.sendall(query(b"SELECT 1") + query(b"DROP TABLE t") + query(b"SELECT 3"))
    assert box.until(lambda: b"SELECT 1" in server.seen)
    time.sleep(0.3)
    assert b"SELECT 1" in server.seen and b"SELECT 3" not in server.seen
    gate.set()
    data = b""
    while data.count(READY) < 3:
        more = until(s, READY)
        assert more, data
        data += more
    assert data.index(b"DROP is not") > data.index(READY) and b"DROP" not in server.seen


def marker_in_block():
    def talk(data):
        return [SYNTAX, message(b"Z", b"E")] if MARKER in data else [IN_BLOCK]

    s = session(talk=talk)
    s.sendall(query(b"BEGIN"))
    assert until(s, IN_BLOCK) == IN_BLOCK
    s.sendall(query(b"DROP TABLE t"))
    data = until(s, message(b"Z", b"E"))
    assert b"42501" in data and b"DROP is not" in data and b"42601" not in data, data
    assert b"DROP" not in server.seen and query(MARKER) in server.seen


def marker_in_batch():
    def talk(data):
        return [message(b"1")] * data.count(b"SELECT") + [SYNTAX] * (MARKER in data) + \
               [READY] * data.endswith(message(b"S"))

    s = session(talk=talk)
    s.sendall(parse(b"SELECT 1") + message(b"B", b"\0" * 8) + parse(b"DELETE FROM t") +
              message(b"B", b"denied's\0") + message(b"E", b"\0" * 5) + message(b"S"))
    data = until(s, READY)
    assert b"DELETE is not" in data and data.endswith(READY) and b"42601" not in data, data
    assert b"DELETE" not in server.seen and b"denied's" not in server.seen
    assert server.seen.endswith(message(b"S"))


def cut_anywhere():
    whole = query(b"SELECT 1") + query(b"DROP TABLE t") + parse(b"SELECT 4") + message(b"S")
    s = session()
    for i in range(len(whole)):
        s.sendall(whole[i:i + 1])
        if i % 7 == 0:
            time.sleep(0.002)
    data = b""
    while data.count(READY) < 3:
        more = until(s, READY)
        assert more, data
        data += more
    assert b"DROP" not in server.seen and b"SELECT 4" in server.seen


def cancels():
    s = session()
    ours = struct.pack(">IIII", 16, 80877102, 77, 88)
    for host, packet, passes in [("ro.test", ours, True), ("rw.test", ours, False),
                                 ("ro.test", struct.pack(">IIII", 16, 80877102, 77, 89), False),
                                 ("ro.test", struct.pack(">IIII", 16, 80877102, 78, 88), False)]:
        c = client(host, lambda c, more: None, start=packet)
        assert everything(c) == b""
        assert (packet in server.seen) == passes, (host, server.seen)
        assert passes or not server.seen
    s.close()


def tls_inside():
    s = client(answer=lambda c, more: (c.sendall(LOGIN), more()), start=struct.pack(">II", 8, 80877103))
    assert s.recv(1) == b"S"
    t = lab.wrap(s, "ro.test", alpn=("postgresql",))
    assert t.selected_alpn_protocol() == "postgresql"
    t.sendall(startup(b"user", b"agent"))
    assert until(t, READY).endswith(READY)
    s, status, _ = lab.tunnel("ro.test", 5432)  # direct
    t = lab.wrap(s, "ro.test", alpn=("postgresql",))
    t.sendall(startup(b"user", b"agent"))
    assert until(t, READY).endswith(READY)
    s, status, _ = lab.tunnel("ro.test", 5432)
    t = lab.wrap(s, "ro.test", alpn=("postgresql",))
    t.sendall(struct.pack(">II", 8, 80877103))
    fatal(everything(t), b"SSLRequest")
    try:
        chosen = lab.wrap(lab.tunnel("ro.test", 5432)[0], "ro.test", alpn=("h2", "http/1.1"))
    except ssl.SSLError:
        return
    raise AssertionError(chosen.selected_alpn_protocol())


def over_budget():
    """The last: with a proxy of its own."""
    global lab
    assert lab.close() == 0
    lab = Lab(w, POLICY, pins=PINS, budgets=["bytes=100k"])
    s = session(talk=lambda data: [message(b"D", b"x" * 30000) + READY])
    total = 0
    try:
        for _ in range(20):
            s.sendall(query(b"SELECT 1"))
            data = until(s, READY)
            total += len(data)
            if not data.endswith(READY):
                break
    except (ConnectionResetError, BrokenPipeError):
        pass
    assert 50000 < total < 300000, total
    assert any("budget_exceeded" in json.dumps(e) for e in lab.events()), lab.events()


def ends():
    """A server that ends within a message, a client that does."""
    def answer(s, more):
        s.sendall(LOGIN)
        more()
        s.sendall(message(b"D", b"x" * 100)[:50])
        s.close()

    s = client(answer=answer)
    until(s, READY)
    s.sendall(query(b"SELECT 1"))
    start = time.monotonic()
    everything(s)
    assert time.monotonic() - start < 10
    done = threading.Event()

    def listens(s, more):
        s.sendall(LOGIN)
        while more():
            pass
        done.set()

    s = client(answer=listens)
    until(s, READY)
    s.sendall(query(b"SELECT 1")[:-4])
    s.close()
    assert done.wait(20)


def new_policy():
    s = session("rw.test")
    assert lab.policy(POLICY.replace("read-only", "full"))[0] == 0
    s.sendall(query(b"SELECT 1"))
    assert until(s, READY) == READY
    assert lab.policy(POLICY.replace("access: read-write", "rules: [{allow: {command: SELECT}}]"))[0] == 0
    assert everything(s) == b""
    assert lab.policy(POLICY)[0] == 0


def bounded():
    s = session(talk=lambda data: [])
    s.settimeout(2)
    sent, blob = 0, message(b"B", b"v" * 65000)
    s.sendall(query(b"SELECT 1"))  # never answered: what follows must wait in the socket
    try:
        while sent < 64 << 20:
            sent += s.send(blob)
    except socket.timeout:
        pass
    assert sent < 16 << 20, sent
    with open(f"/proc/{lab.process.pid}/status", encoding="ascii") as f:
        kib = int([line for line in f if line.startswith("VmRSS")][0].split()[1])
    assert kib < 64 << 10 or "asan" in proxylab.BUILD, kib


def noise():
    rng = random.Random(int(os.environ.get("CV_SEED", "7")))
    good = query(b"SELECT 1") + parse(b"SELECT 2") + message(b"B", b"\0" * 8) + message(b"E", b"\0" * 5) + \
        message(b"S") + message(b"d", b"x") + message(b"c") + query(b"DROP TABLE t") + message(b"X")
    back = message(b"T", b"\0\0") + message(b"D", b"\0\0") + message(b"C", b"SELECT 1\0") + message(b"G") + \
        message(b"N", b"\0") + SYNTAX + message(b"H") + READY
    for _ in range(150):
        def mutate(data):
            data = bytearray(data)
            for _ in range(rng.randrange(4)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            return bytes(data)

        s = session(talk=lambda data: [mutate(back)])
        s.sendall(mutate(good))
        until(s, b"never", 0.02)
        s.close()
    assert lab.process.poll() is None, lab.stderr()


for name, check in [("t6 a server without TLS, or with bytes before it, gets no name", refuses_tls),
                    ("a read-only session is told to the server", starts),
                    ("t6 a server that skips its part of SCRAM is not believed", skipped_proof),
                    ("authentications that are not supported", other_authentications),
                    ("a server that breaks the protocol, or lifts what was set", server_breaks),
                    ("a client that breaks the protocol", client_breaks),
                    ("t11 of what is denied, nothing reaches the server", nothing_hidden),
                    ("one thing at a time, in order", one_at_a_time),
                    ("a denial within a transaction fails it", marker_in_block),
                    ("a denial within a batch fails it", marker_in_batch),
                    ("messages cut at every byte", cut_anywhere),
                    ("cancellations of one's own sessions only", cancels),
                    ("TLS with the client, asked for or direct", tls_inside),
                    ("ends within a message", ends),
                    ("a policy that allows less ends what began under more", new_policy),
                    ("what waits is not held in memory", bounded),
                    ("noise both ways", noise),
                    ("a budget of bytes ends a session", over_budget)]:
    tap.check(name, check)
tap.check("the proxy ends well", lambda: lab.close() == 0 or 1 / 0)
w.close()
tap.done()
