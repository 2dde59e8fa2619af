#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: a placeholder in a WebSocket's text becomes a credential where the endpoint opts in, and ends
the connection anywhere else before the message is out (C4, T18); what a server says comes back
without what it was ever given (C3).
Method: a real run with a provider; raw frames from inside; a server of frames that keeps what arrived
and answers what the test sets; python's websockets as the peers that behave."""
import base64
import hashlib
import json
import os
import re
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import credlab  # noqa: E402
import proxylab  # noqa: E402
import world  # noqa: E402
from credlab import b64, equal, request  # noqa: E402

VALUE, OTHER = "s3cr3t/VALUE-0123456789", "0ther\"VALUE\\with-escapes"
SECOND, THIRD = "sec0nd-VALUE-0123456789", "th1rd-VALUE-0123456789"  # each released in one test only
PORT, ECHO, PLAIN = 9443, 8443, 80
PROFILE = """\
id: my-api
credentials:
  - {name: key, env_vars: [MY_KEY], required: true}
  - {name: other, env_vars: [OTHER_KEY], required: true}
  - {name: second, env_vars: [SECOND_KEY], required: true}
  - {name: third, env_vars: [THIRD_KEY], required: true}
endpoints:
  - {host: ws.test, ports: [9443, 8443, 80], protocol: websocket, enforcement: enforce, access: full,
     websocket_credential_rewrite: true}
  - {host: no.test, port: 9443, protocol: websocket, enforcement: enforce, access: full}
  - {host: path.test, port: 9443, path: /in/**, protocol: websocket, enforcement: enforce, access: full,
     websocket_credential_rewrite: true}
  - {host: bin.test, port: 9443, protocol: websocket, enforcement: enforce, access: full,
     websocket_credential_rewrite: true, allow_uninspected_credentials: true}
  - {host: off.test, port: 9443, protocol: websocket, enforcement: enforce, access: full,
     websocket_credential_rewrite: true, scrub: off}
  - {host: l4.test, port: 9443}
  - {host: l4fine.test, port: 9443, allow_uninspected_credentials: true}
binaries: [{path: "/**"}]
"""
POLICY = """\
version: 1
network_policies:
  own:
    endpoints:
      - {host: free.test, port: 9443, protocol: websocket, enforcement: enforce, access: full}
      - {host: mis.test, port: 9443, protocol: websocket, enforcement: enforce, access: full,
         websocket_credential_rewrite: true}
    binaries: [{path: "/**"}]
"""
NAMES = ["ws.test", "no.test", "path.test", "bin.test", "off.test", "l4.test", "l4fine.test", "free.test",
         "mis.test"]
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

tap = world.Tap()
pins = [x for n in NAMES for p in (PORT, ECHO, PLAIN) for x in ("--resolve", f"{n}:{p}:{world.PUBLIC}")]
lab = credlab.Lab({"my-api.yaml": PROFILE}, POLICY, names=NAMES, options=pins,
                  env={"MY_KEY": VALUE, "OTHER_KEY": OTHER, "SECOND_KEY": SECOND, "THIRD_KEY": THIRD})
P, OTHER_P = lab.inside["MY_KEY"], lab.inside["OTHER_KEY"]


# ---- frames ----

def frame(opcode, data=b"", fin=True, mask=b"\1\2\3\4", rsv=0):
    data = data.encode() if isinstance(data, str) else data
    n, bit = len(data), 0x80 if mask else 0
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    head += bytes([bit | n]) if n < 126 else bytes([bit | 126]) + struct.pack(">H", n) if n < 65536 else \
        bytes([bit | 127]) + struct.pack(">Q", n)
    if not mask:
        return head + data
    key = (mask * (n // 4 + 1))[:n]
    return head + mask + (int.from_bytes(data, "big") ^ int.from_bytes(key, "big")).to_bytes(n, "big")


def say(opcode, data=b"", **more):
    return frame(opcode, data, mask=None, **more)


class Frames:
    """Takes bytes apart: messages has [opcode, payload] of whole messages and control frames."""

    def __init__(self):
        self.data, self.messages, self.part, self.raw = b"", [], None, b""

    def put(self, data):
        """Returns the messages that have become whole."""
        self.data += data
        before = len(self.messages)
        while len(self.data) >= 2:
            a, b = self.data[:2]
            n, at = b & 0x7f, 2
            if n >= 126:
                at = 4 if n == 126 else 10
                n = int.from_bytes(self.data[2:at], "big") if len(self.data) >= at else 1 << 62
            key = self.data[at:at + 4] if b & 0x80 else b""
            at += len(key)
            if len(self.data) < at + n:
                break
            payload, self.data = self.data[at:at + n], self.data[at + n:]
            if key:
                payload = bytes(x ^ key[i & 3] for i, x in enumerate(payload))
            self.raw += payload
            opcode = a & 15
            if opcode >= 8:
                self.messages.append((opcode, payload))
                continue
            assert (opcode == 0) == (self.part is not None), "fragments"
            self.part = (self.part[0], self.part[1] + payload) if self.part else (opcode, payload)
            if a & 0x80:
                self.messages.append(self.part)
                self.part = None
        return self.messages[before:]


class Server:
    """took: more fields of its 101.  on(opcode, payload): the bytes to answer with, or a list of
    bytes and pauses; the default echoes.  Requests without an upgrade get 200."""

    def __init__(self, port, is_tls=True):
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(lab.world.pki.cert, lab.world.pki.key)
        self.is_tls = is_tls
        self.reset()
        sock = proxylab.listener(world.PUBLIC, port)
        threading.Thread(target=self._accept, args=(sock,), daemon=True).start()

    def reset(self, took=b"", on=None, greeting=b""):
        self.took, self.on, self.greeting = took, on or self.echo, greeting
        self.heads, self.frames, self.tail = [], Frames(), b""

    @staticmethod
    def echo(opcode, payload):
        return say(opcode, payload) if opcode in (1, 2, 8) else say(10, payload) if opcode == 9 else b""

    def _accept(self, sock):
        while True:
            s, _ = sock.accept()
            threading.Thread(target=self._serve, args=(s,), daemon=True).start()

    def _serve(self, s):
        try:
            if self.is_tls:
                s = self.tls.wrap_socket(s, server_side=True)
            head = proxylab.read_head(s)
            self.heads.append(head)
            key = re.search(rb"\r\nsec-websocket-key: *(\S+)", head, re.I)
            if not key:
                s.sendall(credlab.OK)
                return
            accept = base64.b64encode(hashlib.sha1(key[1] + GUID).digest())
            took = self.took(head) if callable(self.took) else self.took
            s.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                      b"Sec-WebSocket-Accept: " + accept + b"\r\n" + took + b"\r\n" + self.greeting)
            frames = self.frames
            while data := s.recv(65536):
                self.tail += data
                for opcode, payload in frames.put(data):
                    answer = self.on(opcode, payload)
                    for part in answer if isinstance(answer, list) else [answer]:
                        if isinstance(part, (int, float)):
                            time.sleep(part)
                        else:
                            s.sendall(part)
                    if opcode == 8:
                        return
        except OSError:
            pass
        finally:
            s.close()

    def said(self):
        """Text and binary messages that came whole."""
        time.sleep(0.1)
        return [m for m in self.frames.messages if m[0] < 8]


server, plain = Server(PORT), Server(PLAIN, is_tls=False)
DEFLATE = b"Sec-WebSocket-Extensions: permessage-deflate"


class Got:
    """What the agent got: head of the 101, messages, the close code."""

    def __init__(self, answer):
        self.reply = credlab.Reply(answer)
        self.head, _, rest = self.reply.data.partition(b"\r\n\r\n")
        self.frames = Frames()
        self.frames.put(rest)
        self.messages = [m for m in self.frames.messages if m[0] != 8]
        close = next((m[1] for m in self.frames.messages if m[0] == 8), None)
        self.code = struct.unpack(">H", close[:2])[0] if close else None
        self.why = close[2:].decode() if close else ""

    def __repr__(self):
        return f"code {self.code} {self.why!r} {self.frames.messages!r:.600} {self.reply!r:.600}"


def upgrade(host, path="/x", fields=(), port=PORT):
    return request("GET", f"{host}:{port}", path, ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
                                       f"Sec-WebSocket-Key: {KEY.decode()}", *fields])


def start(host, frames, path="/x", fields=(), port=PORT, how="tls", end=True, **more):
    pieces = [upgrade(host, path, fields, port), *frames, *([frame(8, struct.pack(">H", 1000))] if end else [])]
    return lab.start_talk(host, pieces, port, how, **more)


def speak(host, *frames, path="/x", fields=(), port=PORT, how="tls", end=True, more=None, **setting):
    """Each frame in a TLS record of its own; the server echoes unless told otherwise."""
    for s in (server, plain):
        s.reset(**setting)
    return Got(lab.wait(start(host, frames, path, fields, port, how, end, **(more or {}))))


def replaced(host, text, want, **how):
    def check():
        got = speak(host, *(text if isinstance(text, list) else [frame(1, text)]), **how)
        equal(server.said(), [(1, want.encode())], repr(got))
        equal(got.code, 1000, repr(got))
        for value in (VALUE, OTHER):
            assert value.encode() not in got.reply.data, repr(got)
    return check


def ended(host, *frames, slug=None, code=1008, **how):
    def check():
        got = speak(host, *frames, **how)
        seen = (plain if how.get("port") == PLAIN else server)
        equal([m for m in seen.said() if m != (1, b"before")], [], repr(got))
        assert not any(v.encode() in seen.frames.raw for v in (VALUE, OTHER, P, "MY_KEY")), seen.frames.raw[:500]
        equal(got.code, code, repr(got))
        if slug:
            wait_audit(slug)
    return check


def wait_audit(slug, seconds=20):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with open(lab.world.audit, encoding="utf-8") as f:
            if slug in f.read():
                return
        time.sleep(0.05)
    raise AssertionError(f"no {slug} in the audit")


# ---- what is replaced ----

CANON = "openshell:resolve:env:MY_KEY"


def memory():
    """Before any server has said one: those are in buffers until these are used again."""
    for text in (P, "x" * 100000 + f" {P}", P):
        got = speak("ws.test", frame(1, text), on=lambda o, d: Server.echo(o, d) if o == 8 else b"")
        equal((server.said(), got.code), ([(1, text.replace(P, VALUE).encode())], 1000), repr(got))
    (proxy,) = lab.processes()["cove-proxy"]
    equal(credlab.memory_has(proxy, [VALUE.encode()]), [])


tap.check("C10 no value is left in the proxy's memory", memory)
for name, p in (("its own text", P), ("canonical", CANON), ("alias", "x-OPENSHELL-RESOLVE-ENV-MY_KEY")):
    tap.check(f"a text that is a placeholder, {name}", replaced("ws.test", p, VALUE))
tap.check("within other text", replaced("ws.test", f"login {P} now", f"login {VALUE} now"))
tap.check("in JSON", replaced("ws.test", json.dumps({"op": 2, "d": {"token": P}}),
                              json.dumps({"op": 2, "d": {"token": VALUE}})))
tap.check("in JSON with \\u escapes in it", replaced(
    "ws.test", '{"k": "\\u006f' + CANON[1:] + '"}', json.dumps({"k": VALUE})))
tap.check("a value that JSON must escape", replaced(
    "ws.test", json.dumps({"k": OTHER_P, "n": 1}), json.dumps({"k": OTHER, "n": 1})))
tap.check("behind a word, as Socket.IO has it", replaced("ws.test", f'42["auth",{{"token":"{P}"}}]',
                                                         f'42["auth",{{"token":"{VALUE}"}}]'))
tap.check("two of them", replaced("ws.test", f"{P} {OTHER_P}", f"{VALUE} {OTHER}"))
tap.check("a text without any passes as it is", replaced("ws.test", "hello ä€😀", "hello ä€😀"))
tap.check("cut over fragments, a ping between them", replaced(
    "ws.test", [frame(1, P[:7], fin=False), frame(9, b"x"), frame(0, P[7:20], fin=False), frame(0, P[20:])],
    VALUE))
tap.check("where only a path is bound", replaced("path.test", P, VALUE, path="/in/x"))


def many():
    got = speak("ws.test", b"".join(frame(1, f"{i} {P if i % 2 else 'plain'}") for i in range(40)))
    equal(server.said(), [(1, f"{i} {VALUE if i % 2 else 'plain'}".encode()) for i in range(40)], repr(got))
    equal(len(got.messages), 40, repr(got))


tap.check("40 messages in one record: in order, each replaced, each answered", many)


def large():
    text = "x" * 200000 + f" {P} " + "y" * 50000
    got = speak("ws.test", frame(1, text))
    equal(server.said() == [(1, text.replace(P, VALUE).encode())], True, repr(got))


tap.check("in a text of 250 KB", large)
tap.check("a text of 1 MB without any", lambda: equal(
    (speak("ws.test", frame(1, "x" * 1000000)).code, server.said()), (1000, [(1, b"x" * 1000000)])))

# ---- what ends the connection ----

NO = "placeholder_in_message"
tap.check("C4 in a text above 256 KiB", ended("ws.test", frame(1, "x" * 300000 + " " + P), slug="body_too_large"))
tap.check("C4 in JSON, in a name", ended("ws.test", frame(1, json.dumps({P: 1})), slug="placeholder_in_body_name"))
tap.check("C4 an unknown key", ended("ws.test", frame(1, "openshell:resolve:env:NO_SUCH"), slug="credential_unknown"))
for host in ("no.test", "free.test"):
    for name, text in (("plain", P), ("in JSON", json.dumps({"k": P})), ("percent-encoded", CANON.replace(":", "%3A")),
                       ("in \\u escapes", CANON.replace(":", "\\u003a")), ("an unknown key", CANON + "X")):
        tap.check(f"C4 {name} in a text of {host}, where none is replaced",
                  ended(host, frame(1, text), slug=NO))
tap.check("C4 in fragments where none is replaced",
          ended("no.test", frame(1, P[:9], fin=False), frame(0, P[9:])))
tap.check("C4 behind a good message", ended("no.test", frame(1, b"before"), frame(1, P)))
tap.check("C4 on a host that nobody is bound to", ended(
    "mis.test", frame(1, P), slug="credential_endpoint_mismatch"))
tap.check("C1 over plain HTTP", ended("ws.test", frame(1, P), port=PLAIN, how="plain", slug=NO))
tap.check("C1 the same without any passes", lambda: equal(
    (speak("ws.test", frame(1, "x"), port=PLAIN, how="plain").code, plain.said()), (1000, [(1, b"x")])))
tap.check("t18 a binary message where credentials may go", ended("ws.test", frame(2, b"x"), slug="ws_binary_uninspected"))
tap.check("t18 the same by its profile only", ended("no.test", frame(2, b"x")))
tap.check("t18 a binary message with a placeholder, to a free host", ended("free.test", frame(2, P), slug=NO))
tap.check("t18 the same, cut", ended("free.test", *[frame(2 if i == 0 else 0, P[i:i + 3], fin=i + 3 >= len(P))
                                                   for i in range(0, len(P), 3)]))
tap.check("t18 a binary message with a placeholder where they may be uninspected",
          ended("bin.test", frame(2, b"\0\xff" + P.encode())))
tap.check("t18 one without passes there", lambda: equal(
    (speak("bin.test", frame(2, b"\0\xff")).messages, server.said()), ([(2, b"\0\xff")], [(2, b"\0\xff")])))
tap.check("t18 and to a free host", lambda: equal(
    (speak("free.test", frame(2, b"\0\xff")).messages, server.said()), ([(2, b"\0\xff")], [(2, b"\0\xff")])))
for name, opcode, data in (("ping", 9, P.encode()), ("pong", 10, P.encode()), ("close", 8, b"\x03\xe8" + P.encode())):
    tap.check(f"C4 in a {name}", ended("ws.test", frame(opcode, data), slug=NO, end=False))


# ---- what comes back ----

def disguised(value):
    return {"plain": value, "JSON": json.dumps(value), "percent": "".join(f"%{ord(c):02X}" for c in value),
            "base64": b64("user:" + value), "hex": value.encode().hex(), "long": "x" * 70000 + value + "y" * 70000}


def no_value(data, value=VALUE):
    for name, text in disguised(value).items():
        if name != "long" and text.strip('"').encode() in data:
            raise AssertionError(f"{name} in {data[:800]!r}")


def cut(opcode, data, size):
    return b"".join(say(opcode if i == 0 else 0, data[i:i + size], fin=i + size >= len(data))
                    for i in range(0, len(data), size))


def scrubbed(opcode, text, size=None, host="ws.test"):
    data = text.encode()

    def check():
        got = speak(host, frame(1, P), on=lambda o, _: cut(opcode, data, size or len(data)) if o == 1 else Server.echo(o, _))
        equal(len(got.messages), 1, repr(got))
        no_value(got.reply.data)
        equal((got.messages[0][0], len(got.messages[0][1])), (opcode, len(data)), repr(got))
    return check


for name, text in disguised(VALUE).items():
    for kind, opcode in (("text", 1), ("binary", 2)):
        tap.check(f"C3 {name} in a {kind} message", scrubbed(opcode, text))
        for size in (1, 7) if name != "long" else (60000,):
            tap.check(f"C3 {name} in a {kind} message, in fragments of {size}", scrubbed(opcode, text, size))


def deflated(text, size=None):
    def check():
        c = zlib.compressobj(9, zlib.DEFLATED, -15)
        data = (c.compress(text.encode()) + c.flush(zlib.Z_SYNC_FLUSH))[:-4]
        n = size or len(data)
        made = b"".join(say(1 if i == 0 else 0, data[i:i + n], fin=i + n >= len(data), rsv=4 if i == 0 else 0)
                        for i in range(0, len(data), n))
        got = speak("ws.test", frame(1, P), fields=[DEFLATE.decode()],
                    took=DEFLATE + b"; server_no_context_takeover; client_no_context_takeover\r\n",
                    on=lambda o, d: made if o == 1 else Server.echo(o, d))
        no_value(got.reply.data)
        equal(len(got.messages) == 1 and len(got.messages[0][1]), len(text), repr(got))
    return check


for name, text in disguised(VALUE).items():
    tap.check(f"C3 {name} in a compressed message", deflated(text))
    tap.check(f"C3 {name} in a compressed message, in fragments", deflated(text, 11))


def ping_and_close():
    got = speak("ws.test", frame(1, P), on=lambda o, _: say(9, VALUE) + say(10, b64(VALUE)) + say(
        8, b"\x03\xe8bye " + VALUE.encode()) if o == 1 else b"", end=False, more={"timeout": 5})
    no_value(got.reply.data)
    equal([(o, len(d)) for o, d in got.frames.messages],
          [(9, len(VALUE)), (10, len(b64(VALUE))), (8, 6 + len(VALUE))], repr(got))
    equal((got.code, got.why[:4]), (1000, "bye "))


tap.check("C3 in a ping, a pong and a close", ping_and_close)


def head():
    got = speak("ws.test", frame(1, "x"), fields=[f"Authorization: Bearer {P}"],
                took=lambda h: b"X-Echo: " + re.search(rb"\r\nauthorization: ([^\r]*)", h, re.I)[1] + b"\r\n")
    equal(f"Authorization: Bearer {VALUE}".encode().lower() in server.heads[0].lower(), True, repr(server.heads))
    no_value(got.reply.data)
    assert b"X-Echo: Bearer *" in got.head, repr(got)
    equal(got.messages, [(1, b"x")], repr(got))


tap.check("C3 in the head of the 101", head)


def interleaved():
    """A ping with a value, inside a message that has it too."""
    v = VALUE.encode()
    got = speak("ws.test", frame(1, P), on=lambda o, d: say(1, v[:9], fin=False) + say(9, v) + say(0, v[9:])
                if o == 1 else Server.echo(o, d))
    no_value(got.reply.data)
    no_value(got.messages[1][1] if len(got.messages) > 1 else b"")
    equal([(o, len(d)) for o, d in got.messages], [(9, len(v)), (1, len(v))], repr(got))


tap.check("C3 a ping between the halves", interleaved)


def in_between():
    """A message that began with half of one value, when another was released: neither is seen."""
    def on(opcode, data):
        if data == VALUE.encode():
            return say(1, b"a " + VALUE.encode()[:9], fin=False)
        if data == SECOND.encode():
            return say(0, VALUE.encode()[9:] + b" b " + SECOND.encode())
        return Server.echo(opcode, data)
    got = speak("path.test", frame(1, P), frame(1, lab.inside["SECOND_KEY"]), path="/in/x", on=on, more={"pause": 0.2})
    equal(len(got.messages), 1, repr(got))
    no_value(got.reply.data)
    no_value(got.reply.data, SECOND)
    want = "a " + "*" * len(VALUE) + " b " + "*" * len(SECOND)
    equal(got.messages[0][1].decode(), want, repr(got))


tap.check("C3 a set that changes within a message", in_between)


def off():
    got = speak("off.test", frame(1, P))
    equal(got.messages, [(1, VALUE.encode())], repr(got))


tap.check("scrub: off", off)


def from_another():
    """The connection is there before its server gets a value, by another one."""
    for s in (server, plain):
        s.reset(on=lambda o, d: [say(1, b"first"), 4.0, say(1, b"now " + THIRD.encode())] if d == b"wait"
                else Server.echo(o, d))
    waiting = start("no.test", [frame(1, b"wait")], pause=0.3, end=False, timeout=6)
    time.sleep(0.5)
    reply = credlab.Reply(lab.wait(lab.start_talk(
        "no.test", request("GET", f"no.test:{PORT}", "/", [f"Authorization: Bearer {lab.inside['THIRD_KEY']}"]), PORT)))
    equal(reply.status, 200, repr(reply))
    assert THIRD.encode() in server.heads[-1], server.heads
    got = Got(lab.wait(waiting))
    equal(got.messages, [(1, b"first"), (1, b"now " + b"*" * len(THIRD))], repr(got))


tap.check("C3 a value that another connection gave to the server", from_another)

# ---- upgrades that nobody looks into ----


def relay(host, is_fine, fields):
    def check():
        got = speak(host, frame(1, b"x"), fields=fields)
        if not is_fine:
            equal((got.reply.status, server.said()), (502, []), repr(got))
        else:
            equal((got.reply.status, got.messages), (101, [(1, b"x")]), repr(got))
    return check


AUTH = [f"Authorization: Bearer {P}"]
tap.check("t18 an upgrade on an L4 endpoint that a provider is bound to: 502", relay("l4.test", False, ()))
tap.check("t18 the same with a credential", relay("l4.test", False, AUTH))
tap.check("the same where they may be uninspected", relay("l4fine.test", True, AUTH))

# ---- the peers that behave ----

PYTHON_SERVER = r"""
import asyncio, logging, ssl, sys, websockets
logging.disable()
async def echo(ws, path=None):
    async for message in ws:
        await ws.send(f"{len(message)}:{message}" if isinstance(message, str) else message)
async def main():
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(sys.argv[2], sys.argv[3])
    async with websockets.serve(echo, sys.argv[1], int(sys.argv[4]), ssl=tls, max_size=None):
        print("ready", flush=True)
        await asyncio.Future()
asyncio.run(main())
"""
PYTHON_CLIENT = r"""
import asyncio, os, socket, ssl, sys
import websockets
P = os.environ["MY_KEY"]
def tunnel():
    s = socket.create_connection(("10.200.0.1", 3128))
    s.sendall(b"CONNECT ws.test:8443 HTTP/1.1\r\nHost: ws.test:8443\r\n\r\n")
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += s.recv(1)
    s.setblocking(False)
    return s
async def main():
    tls = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
    async with websockets.connect("wss://ws.test:8443/x", sock=tunnel(), ssl=tls, server_hostname="ws.test",
                                  max_size=None) as ws:
        for i in range(5):
            await ws.send(f"{i} token={P}")
            print(await ws.recv())
            await ws.send("x" * 100000)
            assert await ws.recv() == "100000:" + "x" * 100000
asyncio.run(main())
print("done")
"""


def behaving():
    process = subprocess.Popen([credlab.PYTHON, "-c", PYTHON_SERVER, world.PUBLIC, lab.world.pki.cert,
                                lab.world.pki.key, str(ECHO)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "ready\n"
        with open(os.path.join(lab.world.work, "client.py"), "w", encoding="utf-8") as f:
            f.write(PYTHON_CLIENT)
        done = lab.sh(f"cd {lab.world.work} && /usr/bin/python3 client.py")
        want = [f"{len(VALUE) + 8}:{i} token=" + "*" * len(VALUE) for i in range(5)]
        equal(done["out"].splitlines(), [*want, "done"], done["err"])
    finally:
        process.kill()


tap.check("python's websockets on both sides, compressed", behaving)


def nowhere():
    with open(lab.world.audit, encoding="utf-8") as f:
        text = f.read() + lab.stderr()
    for value in (VALUE, OTHER):
        assert value not in text


tap.check("no value is in the audit, or in what cove said", nowhere)
tap.check("the run ends well", lambda: equal(lab.close(), 0))
tap.done()
