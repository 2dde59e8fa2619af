#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Random requests, bent in every way that smuggling has used, several on one connection.

Goal: whatever a client sends, an origin gets well-formed requests only, each framed in one way, each
with a path that policy allows; and the proxy lives.  Method: requests are put together from good
and bad pieces and then damaged; what reached the origin is read by a parser that knows nothing but
the strict form.  The seed is fixed; CV_SEED and CV_ROUNDS change the run.
"""
import os
import random
import re
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import proxylab  # noqa: E402
import world  # noqa: E402
from proxylab import Lab  # noqa: E402

SEED, ROUNDS = int(os.environ.get("CV_SEED", "1")), int(os.environ.get("CV_ROUNDS", "1200"))
POLICY = """
version: 1
network_policies:
  api:
    endpoints:
      - host: api.test
        port: 80
        protocol: rest
        enforcement: enforce
        rules: [{allow: {method: "*", path: "/v1/**"}}]
    binaries: [{path: /usr/bin/curl}]
"""
random.seed(SEED)
pick = random.choice

METHODS = [b"GET", b"POST", b"PUT", b"HEAD", b"get", b"GET\t", b"G\0T", b"", b"DELETE", b"OPTIONS", b"CONNECT"]
TARGETS = [b"/v1/a", b"/v1/a?b=c", b"/v2/evil", b"/v1/../v2/evil", b"/v1/%2e%2e/v2/evil", b"//v2/evil",
           b"/v1/a b", b"*", b"http://api.test/v1/a", b"http://evil.test/v1/a", b"/v1/\xff", b"/v1/%", b"",
           b"/v1/a#b", b"/v1//a/", b"/v1\\..\\v2\\evil", b"/v1/a;/../../v2/evil", b"/v1/%252e%252e/v2/evil"]
VERSIONS = [b"HTTP/1.1"] * 6 + [b"HTTP/1.0", b"HTTP/1.2", b"http/1.1", b"HTTP/1.1 ", b"HTTP/0.9", b""]
FIELDS = [b"Host: api.test", b"Host: api.test:80", b"Host: evil.test", b"Host : api.test", b"host:api.test",
          b"Content-Length: 3", b"Content-Length: 0", b"Content-Length: 30", b"Content-Length: 3, 3",
          b"Content-Length: +3", b"Content-Length:\t3", b"Content_Length: 3", b"Content-Length: 0x3",
          b"Transfer-Encoding: chunked", b"Transfer-Encoding: Chunked", b"Transfer-Encoding: chunked, identity",
          b"Transfer-Encoding: identity", b"Transfer-Encoding:\x0bchunked", b"Transfer-Encoding : chunked",
          b"Connection: close", b"Connection: keep-alive", b"Connection: Content-Length", b"Expect: 100-continue",
          b"Upgrade: h2c", b"X: y\r\n z", b"X: y\nContent-Length: 5", b"X: y\rZ: 1", b"X\0: y", b"A: b", b": x",
          b"X-HTTP-Method-Override: DELETE", b"Proxy-Authorization: x", b"Trailer: Host", b"TE: trailers"]
BODIES = [b"", b"abc", b"3\r\nabc\r\n0\r\n\r\n", b"0\r\n\r\n", b"3;x\r\nabc\r\n0\r\n\r\n", b"03\r\nabc\r\n0\r\n\r\n",
          b"-3\r\nabc\r\n0\r\n\r\n", b"ffffffffffffffff\r\nabc", b"3\nabc\n0\n\n", b"3\r\nabcGET /v2/evil HTTP/1.1",
          b"0\r\nHost: evil.test\r\n\r\n", b"GET /v2/evil HTTP/1.1\r\nHost: api.test\r\n\r\n"]


def request():
    fields = [b"Host: api.test"] * (random.random() < 0.85) + random.sample(FIELDS, pick([0, 0, 1, 1, 2, 3]))
    random.shuffle(fields)
    good = random.random() < 0.6
    start = [pick(METHODS[:4]) if good else pick(METHODS), pick(TARGETS[:2]) if good else pick(TARGETS),
             b"HTTP/1.1" if good else pick(VERSIONS)]
    data = b" ".join(start) + b"\r\n" + b"".join(f + b"\r\n" for f in fields) + b"\r\n" + pick(BODIES)
    if random.random() < 0.25:
        at = random.randrange(len(data))
        data = data[:at] + pick([b"", b"\0", b"\n", b"\r", b" ", b":", bytes([random.randrange(256)])]) + data[at + 1:]
    return data


HEAD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) (/v1/[!-\"$-~]*) HTTP/1\.1\r\n"
                  rb"Host: api\.test\r\n((?:[!#$%&'*+.^_`|~0-9A-Za-z-]+: [\t -~\x80-\xff]*\r\n)*)\r\n")


def take(data):
    """Cuts one strict request off; returns (rest, None), (None, what is wrong) or (b"", None) when it
    is well-formed as far as it came."""
    m = HEAD.match(data)
    if not m:
        return (b"", None) if b"\r\n\r\n" not in data else (None, f"head {data[:200]!r}")
    if b"/../" in m[2] or b"//" in m[2].split(b"?")[0] or b"evil" in m[2].split(b"?")[0]:
        return None, f"path {m[2]!r}"
    fields = [tuple(f.split(b": ", 1)) for f in m[3].split(b"\r\n") if f]
    names = [n.lower() for n, _ in fields]
    lengths = [v for n, v in fields if n.lower() == b"content-length"]
    codings = [v for n, v in fields if n.lower() == b"transfer-encoding"]
    banned = {b"host", b"x-http-method-override", b"proxy-authorization", b"upgrade", b"te", b"trailer"} & set(names)
    if banned or len(lengths) + len(codings) > 1 or codings not in ([], [b"chunked"]):
        return None, f"fields {m[3]!r}"
    data = data[m.end():]
    if lengths:
        if not re.fullmatch(rb"[0-9]+", lengths[0]):
            return None, f"length {lengths[0]!r}"
        return data[int(lengths[0]):], None
    while codings:
        size = re.match(rb"([0-9a-f]+)\r\n", data)
        if not size:
            return (b"", None) if len(data) < 20 and b"\n" not in data else (None, f"chunk {data[:50]!r}")
        n = int(size[1], 16)
        data = data[size.end():]
        if n == 0:
            return (data[2:], None) if data[:2] in (b"\r\n", b"") else (None, f"trailer {data[:50]!r}")
        if len(data) >= n + 2 and data[n:n + 2] != b"\r\n":
            return None, f"chunk end {data[n:n + 5]!r}"
        data = data[n + 2:]
    return data, None


streams, lock = [], threading.Lock()


def origin(s):
    seen = b""
    s.settimeout(3)
    try:
        while data := s.recv(65536):
            seen += data
            s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" * max(1, data.count(b" HTTP/1.1\r\n")))
    except OSError:
        pass
    s.close()
    with lock:
        streams.append(seen)


def accept(listener):
    while True:
        threading.Thread(target=origin, args=(listener.accept()[0],), daemon=True).start()


w = world.World(["unused.test"])
proxylab.add_local("10.200.0.0", 24)
lab = Lab(w, POLICY, pins=[("api.test", 80, world.PUBLIC)])
threading.Thread(target=accept, args=(proxylab.listener(world.PUBLIC, 80),), daemon=True).start()
tap = world.Tap()

sent = 0
for _ in range(ROUNDS):
    conn, status, head = lab.tunnel("api.test", 80)
    assert status == 200, head
    try:
        conn.sendall(b"".join(request() for _ in range(pick([1, 1, 2, 3]))))
        conn.shutdown(socket.SHUT_WR)
        conn.settimeout(0.02 if random.random() < 0.5 else 0.2)
        while conn.recv(65536):
            pass
    except OSError:
        pass
    conn.close()
    sent += 1
time.sleep(1)
wrong, passed = [], 0
with lock:
    for stream in streams:
        rest = stream
        while rest:
            rest, why = take(rest)
            if why:
                wrong.append((why, stream[:600]))
                break
            passed += 1
print(f"# seed {SEED}: {sent} connections, {passed} requests reached the origin")
tap.ok(passed > ROUNDS // 5, "enough passed for this to mean something", passed)
tap.ok(not wrong, "t10 t12 nothing but strict, allowed requests reached the origin", "\n".join(map(str, wrong[:5])))
tap.check("the proxy ends well", lambda: lab.close() == 0 or 1 / 0)
w.close()
tap.done()
