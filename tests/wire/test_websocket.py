#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""WebSocket through the proxy: handshake, frames of both sides, policy, reload, limits.

Goal: after a 101 nothing is a blind tunnel.  What one side may not say never reaches the other, and
who said it is told by the right close code; what may pass is framed anew.  Raw sockets play peers
that misbehave; python3-websockets and node's ws are the peers that behave.
"""
import asyncio
import base64
import hashlib
import json
import os
import select
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import box  # noqa: E402
import proxylab  # noqa: E402
import world  # noqa: E402
from proxylab import Lab, read_all, read_head, read_response  # noqa: E402

POLICY = """
version: 1
network_policies:
  api:
    endpoints:
      - {{host: ws.test, ports: [80, 443, 8443], protocol: websocket, enforcement: enforce, {access}}}
      - {{host: ro.test, port: 80, protocol: websocket, enforcement: enforce, access: read-only}}
      - {{host: audit.test, port: 80, protocol: websocket, enforcement: audit, access: read-only}}
      - {{host: rest.test, port: 80, protocol: rest, enforcement: enforce, access: full}}
      - host: rules.test
        port: 80
        protocol: websocket
        enforcement: enforce
        rules:
          - allow: {{method: GET, path: "/a/**"}}
          - allow: {{method: WEBSOCKET_TEXT, path: "/a/say"}}
          - allow: {{method: "*", path: "/all/**"}}
        deny_rules:
          - {{method: WEBSOCKET_TEXT, path: "/all/quiet"}}
      - host: mixed.test
        port: 80
        protocol: rest
        enforcement: enforce
        access: full
      - host: mixed.test
        port: 80
        path: /ws/**
        protocol: websocket
        enforcement: enforce
        access: read-only
    binaries: [{{path: /usr/bin/curl}}]
"""


def policy(access="access: full"):
    return POLICY.format(access=access)


P = world.PUBLIC
HOSTS = ["ws.test", "ro.test", "audit.test", "rest.test", "rules.test", "mixed.test"]
w = world.World(["ws.test"])
proxylab.add_local("10.200.0.0", 24)
lab = Lab(w, policy(), pins=[(h, 80, P) for h in HOSTS] + [("ws.test", 443, P), ("ws.test", 8443, P)])
tap = world.Tap()

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accept_of(key):
    return base64.b64encode(hashlib.sha1(key + GUID).digest())


# ---- peers of bytes ----

def frame(opcode, data=b"", fin=True, mask=b"\1\2\3\4", rsv=0, length=None, raw_length=None):
    """One frame; mask None leaves it out.  length: what is announced; raw_length: its bytes."""
    n = len(data) if length is None else length
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    bit = 0x80 if mask is not None else 0
    if raw_length is not None:
        head += bytes([bit | raw_length[0]]) + raw_length[1:]
    elif n < 126:
        head += bytes([bit | n])
    elif n < 65536:
        head += bytes([bit | 126]) + struct.pack(">H", n)
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", n)
    if mask is None:
        return head + data
    return head + mask + bytes(b ^ mask[i & 3] for i, b in enumerate(data))


def server_frame(opcode, data=b"", **more):
    return frame(opcode, data, mask=None, **more)


def exactly(s, n):
    data = b""
    while len(data) < n:
        piece = s.recv(n - len(data))
        if not piece:
            raise EOFError(f"after {data!r}")
        data += piece
    return data


def read_frame(s):
    """(fin, rsv, opcode, is_masked, payload)"""
    a, b = exactly(s, 2)
    n = b & 0x7f
    if n == 126:
        n, = struct.unpack(">H", exactly(s, 2))
    elif n == 127:
        n, = struct.unpack(">Q", exactly(s, 8))
    mask = exactly(s, 4) if b & 0x80 else None
    data = exactly(s, n)
    if mask:
        data = bytes(x ^ mask[i & 3] for i, x in enumerate(data))
    return bool(a & 0x80), a >> 4 & 7, a & 0xf, mask is not None, data


def read_close(s):
    """The code of the close frame that must come next."""
    _, _, opcode, _, data = read_frame(s)
    assert opcode == 8, (opcode, data[:100])
    return struct.unpack(">H", data[:2])[0] if data else 1005


class Origin:
    """A WebSocket server of bytes: its 101 has the fields `took`, and `greeting` behind it, unless
    `answer` stands for all of it.  seen: what came behind the head since the last reset."""

    class Record:
        head, seen, is_ended, conn = b"", b"", False, None

        def __init__(self, took=b"", greeting=b"", answer=None, is_reading=True):
            self.took, self.greeting, self.answer, self.is_reading = took, greeting, answer, is_reading

    def __init__(self, port):
        self.reset()
        self.sock = proxylab.listener(P, port)
        threading.Thread(target=self._accept, daemon=True).start()

    def reset(self, **setting):
        self.record = Origin.Record(**setting)

    def __getattr__(self, name):
        return getattr(self.record, name)

    def _accept(self):
        while True:
            s, _ = self.sock.accept()
            threading.Thread(target=self._serve, args=(s, self.record), daemon=True).start()

    @staticmethod
    def _serve(s, record):
        record.conn = s
        try:
            record.head = read_head(s)
            key = next((line.split(b":")[1].strip() for line in record.head.split(b"\r\n")
                        if line.lower().startswith(b"sec-websocket-key:")), b"")
            s.sendall(record.answer or (
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + accept_of(key) + b"\r\n" + record.took + b"\r\n"
                + record.greeting))
            while record.is_reading and (data := s.recv(65536)):
                record.seen += data
            record.is_ended = record.is_reading
        except OSError:
            record.is_ended = True

    def frames(self):
        """What came, taken apart: [(opcode, payload)...] of whole messages and control frames."""
        lab.settled()
        time.sleep(0.1)
        a, b = socket.socketpair()
        threading.Thread(target=lambda: (a.sendall(self.seen), a.close()), daemon=True).start()
        out, message = [], None
        try:
            while True:
                fin, rsv, opcode, is_masked, data = read_frame(b)
                assert is_masked and rsv == 0, (is_masked, rsv)
                if opcode >= 8:
                    out.append((opcode, data))
                    continue
                assert (opcode == 0) == (message is not None), (opcode, message)
                message = (message[0], message[1] + data) if message else (opcode, data)
                if fin:
                    out.append(message)
                    message = None
        except EOFError:
            pass
        if message:
            out.append(("cut", *message))
        return out

    def messages(self):
        return [f for f in self.frames() if f[0] != 8]


origin = Origin(80)
UPGRADE = (b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
           b"Sec-WebSocket-Key: " + KEY + b"\r\n")


def request(host="ws.test", path="/x", fields=UPGRADE, more=b"", method=b"GET"):
    return b"%s %s HTTP/1.1\r\nHost: %s\r\n" % (method, path.encode(), host.encode()) + fields + more + b"\r\n"


def ask(host="ws.test", path="/x", fields=UPGRADE, more=b"", method=b"GET", **setting):
    origin.reset(**setting)
    s, status, _ = lab.tunnel(host, 80)
    assert status == 200
    s.sendall(request(host, path, fields, more, method))
    return s


def opened(host="ws.test", path="/x", more=b"", **setting):
    s = ask(host, path, more=more, **setting)
    head = read_head(s)
    assert b" 101 " in head.split(b"\r\n")[0], head
    return s


# ---- the handshake ----

def good_handshake():
    s = opened(more=b"Sec-WebSocket-Protocol: a, b\r\n", took=b"Sec-WebSocket-Protocol: b\r\n")
    assert b"Sec-WebSocket-Key: " + KEY in origin.head
    s.sendall(frame(1, b"hello"))
    assert origin.frames() == [(1, b"hello")], origin.seen
    assert frame(1, b"hello") not in origin.seen, "the client's own mask was passed on"


tap.check("an upgrade, and a text framed anew with another mask", good_handshake)


def refused_request(status, code, **how):
    def check():
        s = ask(**how)
        got, _, body = read_response(s)
        assert got == status and code in body, (got, body)
        time.sleep(0.1)
        assert origin.head == b"", origin.head
    return check


def without(name, instead=b""):
    lines = [line for line in UPGRADE.split(b"\r\n") if line and not line.startswith(name)]
    return b"\r\n".join(lines) + b"\r\n" + instead


BAD = b"invalid_websocket_upgrade"
for name, fields in [
        ("no key", without(b"Sec-WebSocket-Key")),
        ("two keys", UPGRADE + b"Sec-WebSocket-Key: " + KEY + b"\r\n"),
        ("a key of 15 bytes", without(b"Sec-WebSocket-Key", b"Sec-WebSocket-Key: "
                                      + base64.b64encode(b"x" * 15) + b"\r\n")),
        ("a key of 17 bytes", without(b"Sec-WebSocket-Key", b"Sec-WebSocket-Key: "
                                      + base64.b64encode(b"x" * 17) + b"\r\n")),
        ("a key not base64", without(b"Sec-WebSocket-Key", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j!!==\r\n")),
        ("a key with spare bits", without(b"Sec-WebSocket-Key", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==\r\n")),
        ("no version", without(b"Sec-WebSocket-Version")),
        ("version 8", without(b"Sec-WebSocket-Version", b"Sec-WebSocket-Version: 8\r\n")),
        ("two versions", UPGRADE + b"Sec-WebSocket-Version: 13\r\n"),
        ("a listed version", without(b"Sec-WebSocket-Version", b"Sec-WebSocket-Version: 13, 8\r\n")),
        ("another protocol beside it", without(b"Upgrade:", b"Upgrade: websocket, foo\r\n")),
        ("a subprotocol twice", UPGRADE + b"Sec-WebSocket-Protocol: a, a\r\n"),
        ("a subprotocol that is no token", UPGRADE + b"Sec-WebSocket-Protocol: a b\r\n"),
        ("a body", UPGRADE + b"Content-Length: 3\r\n"),
        ("Accept in the request", UPGRADE + b"Sec-WebSocket-Accept: x\r\n")]:
    tap.check(f"t18 handshake with {name}: 400, nothing reaches the server",
              refused_request(400, BAD, fields=fields))
tap.check("t18 handshake by POST: 403 by policy",
          refused_request(403, b"policy_denied", method=b"POST", fields=UPGRADE))
tap.check("t18 handshake by POST where policy allows every method: 400",
          refused_request(400, BAD, method=b"POST", host="rules.test", path="/all/x"))
tap.check("t18 an unknown upgrade", refused_request(
    403, b"unsupported_l7_protocol", fields=without(b"Upgrade:", b"Upgrade: foo\r\n")))
tap.check("t9 h2c beside websocket", refused_request(
    403, b"unsupported_l7_protocol", fields=without(b"Upgrade:", b"Upgrade: websocket, h2c\r\n")))
tap.check("t18 an upgrade on a rest endpoint", refused_request(
    403, b"unsupported_l7_protocol", host="rest.test"))
tap.check("t18 an upgrade beside the websocket endpoint's path", refused_request(
    403, b"unsupported_l7_protocol", host="mixed.test", path="/else"))
tap.check("t18 an upgrade to a path that is not listed", refused_request(
    403, b"policy_denied", host="rules.test", path="/b"))
tap.check("t18 an upgrade to a path that only looks listed", refused_request(
    403, b"policy_denied", host="rules.test", path="/a/%2e%2e/b"))
for host, path in [("ws.test", "/x"), ("rules.test", "/a/say"), ("rest.test", "/x")]:
    tap.check(f"t18 WEBSOCKET_TEXT as a request's method at {host}", refused_request(
        403, b"unsupported_l7_protocol", host=host, path=path, method=b"WEBSOCKET_TEXT", fields=b""))
tap.check("t18 websocket_text in lower case", refused_request(
    403, b"unsupported_l7_protocol", method=b"websocket_text", fields=b""))


def refused_answer(answer=None, took=b"", more=b""):
    def check():
        s = ask(answer=answer, took=took, more=more, greeting=server_frame(1, b"EVIL"))
        data = read_all(s)
        assert data.startswith(b"HTTP/1.1 502 ") and b"EVIL" not in data, data
    return check


SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
DEFLATE = b"Sec-WebSocket-Extensions: permessage-deflate\r\n"
TAKEN = b"Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover"
ACCEPT = b"Sec-WebSocket-Accept: " + accept_of(KEY) + b"\r\n"
for name, answer in [
        ("no accept", SWITCH + b"\r\n"),
        ("another accept", SWITCH + b"Sec-WebSocket-Accept: " + accept_of(b"x") + b"\r\n\r\n"),
        ("two accepts", SWITCH + ACCEPT + ACCEPT + b"\r\n"),
        ("another upgrade", SWITCH.replace(b"websocket", b"foo") + ACCEPT + b"\r\n"),
        ("two upgrades", SWITCH.replace(b"websocket", b"websocket, foo") + ACCEPT + b"\r\n")]:
    tap.check(f"t18 a 101 with {name} is 502", refused_answer(answer))
for name, took, more in [
        ("a subprotocol nobody offered", b"Sec-WebSocket-Protocol: c\r\n", b"Sec-WebSocket-Protocol: a, b\r\n"),
        ("a subprotocol in another case", b"Sec-WebSocket-Protocol: A\r\n", b"Sec-WebSocket-Protocol: a, b\r\n"),
        ("two subprotocols", b"Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: b\r\n",
         b"Sec-WebSocket-Protocol: a, b\r\n"),
        ("a subprotocol without an offer", b"Sec-WebSocket-Protocol: a\r\n", b""),
        ("compression without an offer", TAKEN + b"\r\n", b""),
        ("an unknown extension", b"Sec-WebSocket-Extensions: foo\r\n", b"Sec-WebSocket-Extensions: foo\r\n"),
        ("context takeover", DEFLATE, DEFLATE),
        ("an unknown parameter", TAKEN + b"; foo\r\n", DEFLATE),
        ("a parameter twice", TAKEN + b"; server_no_context_takeover\r\n", DEFLATE),
        ("a client's window", TAKEN + b"; client_max_window_bits=10\r\n", DEFLATE),
        ("a window of 16", TAKEN + b"; server_max_window_bits=16\r\n", DEFLATE),
        ("compression twice", TAKEN + b", permessage-deflate\r\n", DEFLATE)]:
    tap.check(f"t18 a 101 with {name} is 502", refused_answer(took=took, more=more))


def another_answer():
    s = ask(answer=b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert read_response(s)[2] == b"ok"
    s.sendall(frame(1, b"not HTTP"))
    assert b" 400 " in read_head(s).split(b"\r\n")[0]
    assert origin.seen == b"", origin.seen


tap.check("t18 an answer that is no 101 is an answer, and frames behind it are no HTTP", another_answer)


# ---- frames of the client that may not be ----

def client_row(data, code, host="ws.test", path="/x"):
    def check():
        s = opened(host, path)
        s.sendall(data)
        got = read_close(s)
        assert got == code, got
        assert s.recv(1) == b"", "more behind the close frame"
        assert origin.messages() == [], origin.frames()
        deadline = time.monotonic() + 3
        while not origin.is_ended and time.monotonic() < deadline:
            time.sleep(0.02)
        assert origin.is_ended, "the server's connection stays"
    return check


for name, data, code in [
        ("an unmasked text", frame(1, b"hi", mask=None), 1002),
        ("an unmasked ping", frame(9, mask=None), 1002),
        ("RSV1", frame(1, b"hi", rsv=4), 1002), ("RSV2", frame(1, b"hi", rsv=2), 1002),
        ("RSV3", frame(1, b"hi", rsv=1), 1002),
        ("opcode 3", frame(3), 1002), ("opcode 7", frame(7), 1002), ("opcode 11", frame(11), 1002),
        ("opcode 15", frame(15), 1002),
        ("a long length for 5", frame(1, b"hello", raw_length=b"\x7e\x00\x05"), 1002),
        ("an 8-byte length for 5", frame(1, b"hello", raw_length=b"\x7f" + struct.pack(">Q", 5)), 1002),
        ("a negative length", frame(1, raw_length=b"\x7f" + b"\xff" * 8), 1002),
        ("a ping of 126", frame(9, b"x" * 126), 1002),
        ("a fragmented ping", frame(9, b"x", fin=False), 1002),
        ("a continuation of nothing", frame(0, b"x"), 1002),
        ("a text within a text", frame(1, b"x", fin=False) + frame(1, b"y"), 1002),
        ("a close of one byte", frame(8, b"x"), 1002),
        ("close code 1005", frame(8, struct.pack(">H", 1005)), 1002),
        ("close code 999", frame(8, struct.pack(">H", 999)), 1002),
        ("close code 2000", frame(8, struct.pack(">H", 2000)), 1002),
        ("a close reason not UTF-8", frame(8, struct.pack(">H", 1000) + b"\xff"), 1007),
        ("a text not UTF-8", frame(1, b"\xff\xfe"), 1007),
        ("a surrogate", frame(1, b"\xed\xa0\x80"), 1007),
        ("an overlong slash", frame(1, b"\xc0\xaf"), 1007),
        ("a cut character", frame(1, b"caf\xc3"), 1007),
        ("bad UTF-8 over fragments", frame(1, b"\xc3", fin=False) + frame(0, b"\x28"), 1007),
        ("a text of 4 MiB and one byte", frame(1, length=(4 << 20) + 1), 1009),
        ("fragments beyond 4 MiB", frame(1, b"x", fin=False) + frame(0, length=4 << 20), 1009),
        ("4097 fragments", frame(1, fin=False) + frame(0, fin=False) * 4096, 1009),
        ("a binary frame of 16 MiB and one byte", frame(2, length=(16 << 20) + 1), 1009)]:
    tap.check(f"t18 {name} is {code}, and no message reaches the server", client_row(data, code))

for name, host, path, data in [
        ("a text on a read-only endpoint", "ro.test", "/x", frame(1, b"secret")),
        ("the same called binary", "ro.test", "/x", frame(2, b"secret")),
        ("its first fragment", "ro.test", "/x", frame(1, b"secret", fin=False)),
        ("a text without a rule", "rules.test", "/a/listen", frame(1, b"secret")),
        ("a text with a deny rule", "rules.test", "/all/quiet", frame(1, b"secret")),
        ("a text below a rest endpoint that allows all", "mixed.test", "/ws/x", frame(1, b"secret"))]:
    tap.check(f"t18 {name} is 1008, and not a byte of it reaches the server",
              client_row(data, 1008, host, path))


def denial_is_audited():
    before = len(lab.decisions("Denied"))
    client_row(frame(1, b"secret"), 1008, "ro.test")()
    denied = lab.decisions("Denied")[before:]
    assert len(denied) == 1, denied
    text = json.dumps(denied[0])
    assert "WEBSOCKET_TEXT" in text and "l7-websocket" in text and "secret" not in text, text


def allow_is_audited_once():
    before = len(lab.decisions("Allowed"))
    s = opened("rules.test", "/a/say")
    for i in range(5):
        s.sendall(frame(1, b"%d" % i))
    assert box.until(lambda: len(origin.messages()) == 5), origin.messages()
    allowed = [e for e in lab.decisions("Allowed")[before:] if "WEBSOCKET_TEXT" in json.dumps(e)]
    assert len(allowed) == 1, allowed


def audit_only_logs():
    s = opened("audit.test")
    s.sendall(frame(1, b"hi"))
    assert origin.messages() == [(1, b"hi")]
    assert any("WEBSOCKET_TEXT" in json.dumps(e) and "Logged" in json.dumps(e) for e in lab.events())


def all_methods_rule():
    s = opened("rules.test", "/all/x")
    s.sendall(frame(1, b"hi") + frame(2, b"\0\1"))
    assert origin.messages() == [(1, b"hi"), (2, b"\0\1")]


tap.check("a denied message is one event, without what it said", denial_is_audited)
tap.check("allowed messages of a connection are one event", allow_is_audited_once)
tap.check("enforcement: audit lets a message pass, and logs it", audit_only_logs)
tap.check("a rule for * covers messages", all_methods_rule)


# ---- frames of the client that may be ----

def passes(name, data, want):
    def check():
        s = opened()
        if isinstance(data, bytes):
            s.sendall(data)
        else:
            for piece in data:
                s.sendall(piece)
                time.sleep(0.02)
        assert origin.frames() == want, (origin.frames(), want)
    tap.check(name, check)


passes("fragments become one message", frame(1, b"Hel", fin=False) + frame(0, b"lo"), [(1, b"Hello")])
passes("a ping between fragments passes before the text",
       frame(1, b"Hel", fin=False) + frame(9, b"p") + frame(0, b"lo"), [(9, b"p"), (1, b"Hello")])
passes("a ping between fragments of a binary message",
       frame(2, b"\xff", fin=False) + frame(9, b"p") + frame(0, b"\xfe"), [(9, b"p"), (2, b"\xff\xfe")])
passes("an empty text", frame(1), [(1, b"")])
passes("an empty binary message", frame(2), [(2, b"")])
passes("empty fragments", frame(1, fin=False) + frame(0, fin=False) + frame(0), [(1, b"")])
passes("a character cut by fragments", frame(1, b"\xe2\x82", fin=False) + frame(0, b"\xac"),
       [(1, "€".encode())])
passes("byte by byte", [bytes([b]) for b in frame(1, b"slow") + frame(10, b"q")], [(1, b"slow"), (10, b"q")])
passes("4096 fragments", frame(1, fin=False) + frame(0, fin=False) * 4094 + frame(0, b"x"), [(1, b"x")])
passes("a close with a reason", frame(8, struct.pack(">H", 3000) + b"bye"), [(8, struct.pack(">H", 3000) + b"bye")])
passes("an empty close", frame(8), [(8, b"")])
passes("nothing behind a close passes", frame(8) + frame(1, b"late"), [(8, b"")])


def large_messages():
    for opcode, n in ((1, 4 << 20), (2, 1 << 20), (2, 65536), (1, 70000), (2, 16 << 20)):
        s = opened()
        data = b"".join(b"%07d\n" % i for i in range(n // 8)) + b"x" * (n % 8)
        threading.Thread(target=s.sendall, args=(mask_fast(opcode, data),), daemon=True).start()
        deadline = time.monotonic() + 20
        while len(origin.seen) < n and time.monotonic() < deadline:
            time.sleep(0.05)
        a, got = memory_frames(origin.seen)
        assert a == opcode and got == data, (opcode, n, len(origin.seen), a, len(got))
        s.close()


def mask_fast(opcode, data):
    """As frame(), for large ones: a mask of zeros."""
    return frame(opcode, length=len(data), mask=b"\0\0\0\0") + data


def memory_frames(raw):
    """(opcode, payload) of one message in raw."""
    at, opcode, out = 0, None, []
    while at < len(raw):
        b0, n = raw[at], raw[at + 1] & 0x7f
        at += 2
        if n >= 126:
            size = 2 if n == 126 else 8
            n, at = int.from_bytes(raw[at:at + size], "big"), at + size
        mask, data = raw[at:at + 4], raw[at + 4:at + 4 + n]
        at += 4 + n
        opcode = b0 & 15 if opcode is None else opcode
        whole = int.from_bytes(data, "big") ^ int.from_bytes((mask * (n // 4 + 1))[:n], "big")
        out.append(whole.to_bytes(n, "big"))
    return opcode, b"".join(out)


tap.check("the largest messages pass whole", large_messages)

# ---- frames of the server ----


def server_row(data, code):
    def check():
        s = opened(greeting=data)
        got = read_close(s)
        assert got == code, got
        assert s.recv(1) == b""
        codes = [d for o, d in origin.frames() if o == 8]
        assert codes and struct.unpack(">H", codes[0][:2])[0] == code, codes
    return check


for name, data, code in [
        ("a masked text", frame(1, b"hi"), 1002), ("RSV1 without compression", server_frame(1, b"x", rsv=4), 1002),
        ("opcode 5", server_frame(5), 1002), ("a fragmented close", server_frame(8, fin=False), 1002),
        ("a continuation of nothing", server_frame(0, b"x"), 1002),
        ("a binary within a text", server_frame(1, fin=False) + server_frame(2), 1002),
        ("a long length for 5", server_frame(1, b"hello", raw_length=b"\x7e\x00\x05"), 1002),
        ("a ping of 200", server_frame(9, b"x" * 200), 1002),
        ("a text not UTF-8", server_frame(1, b"\xff\xff"), 1007),
        ("close code 1006", server_frame(8, struct.pack(">H", 1006)), 1002),
        ("a binary frame of 16 MiB and one byte", server_frame(2, length=(16 << 20) + 1), 1009)]:
    tap.check(f"t18 from the server: {name} is {code} for both", server_row(data, code))


def server_speaks():
    s = opened(greeting=server_frame(1, b"Hel", fin=False) + server_frame(9, b"p") + server_frame(0, b"lo")
               + server_frame(2, b"x" * 100000) + server_frame(8, struct.pack(">H", 1000)))
    text, others, binary = b"", [], b""
    while True:
        fin, rsv, opcode, is_masked, data = read_frame(s)
        assert not is_masked and rsv == 0
        if opcode in (8, 9):
            others.append((opcode, data))
            if opcode == 8:
                break
        elif len(text) < 5:
            text += data
        else:
            binary += data
    assert text == b"Hello" and binary == b"x" * 100000
    assert others == [(9, b"p"), (8, struct.pack(">H", 1000))], others
    s.sendall(frame(8, struct.pack(">H", 1000)))
    assert origin.frames() == [(8, struct.pack(">H", 1000))]


tap.check("what a server says passes, unmasked", server_speaks)


def server_ends():
    s = opened()
    s.sendall(frame(1, b"x"))
    origin.frames()
    origin.conn.shutdown(socket.SHUT_RDWR)
    assert read_all(s) == b"", "an end without a close frame is one"


tap.check("a server that ends without a close frame", server_ends)


# ---- compression ----

def deflate(data):
    z = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (z.compress(data) + z.flush(zlib.Z_SYNC_FLUSH))[:-4]


def compressed(data, **more):
    return opened(more=DEFLATE, took=TAKEN + b"\r\n", greeting=data, **more)


def read_message(s):
    opcode, out = None, b""
    while True:
        fin, rsv, op, _, data = read_frame(s)
        assert rsv == 0
        opcode, out = (op if opcode is None else opcode), out + data
        if fin:
            return opcode, out


def inflated():
    text = b"hello hello hello " * 1000
    half = deflate(text)
    s = compressed(server_frame(1, deflate(b"Hello"), rsv=4) + server_frame(1, b"plain")
                   + server_frame(2, half[:9], rsv=4, fin=False) + server_frame(9) + server_frame(0, half[9:])
                   + server_frame(1, b"\0", rsv=4))
    offer = [line for line in origin.head.split(b"\r\n") if b"Extensions" in line]
    assert offer == [b"Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "
                     b"client_no_context_takeover"], offer
    assert read_message(s) == (1, b"Hello")
    assert read_message(s) == (1, b"plain")
    got = []
    while not got or not got[-1][0]:
        fin, _, op, _, data = read_frame(s)
        if op != 9:
            got.append((fin, data))
    assert b"".join(d for _, d in got) == text
    assert read_message(s) == (1, b"")
    s.sendall(frame(1, b"x" * 1000))
    assert origin.messages() == [(1, b"x" * 1000)]


def offer_is_not_answered():
    origin.reset(took=TAKEN + b"\r\n")
    s, _, _ = lab.tunnel("ws.test", 80)
    s.sendall(request(more=DEFLATE))
    head = read_head(s)
    assert b" 101 " in head and b"xtension" not in head, head
    s.sendall(frame(1, deflate(b"x"), rsv=4))
    assert read_close(s) == 1002


def bomb(data, code):
    def check():
        s = compressed(data)
        total = 0
        while True:
            _, _, op, _, piece = read_frame(s)
            if op == 8:
                assert struct.unpack(">H", piece[:2])[0] == code, piece
                break
            total += len(piece)
        assert total <= 16 << 20, total
    return check


tap.check("compressed messages of a server are opened, and the client's never compressed", inflated)
tap.check("with the client no compression is agreed on", offer_is_not_answered)
tap.check("t18 a deflate bomb is 1009", bomb(server_frame(2, deflate(b"\0" * (64 << 20)), rsv=4), 1009))
tap.check("t18 a large compressed message is 1009",
          bomb(server_frame(2, deflate(b"".join(b"%d" % (i * 7919) for i in range(3 << 20))), rsv=4), 1009))
tap.check("t18 what is no deflate is 1007", bomb(server_frame(2, b"\xff" * 50, rsv=4), 1007))
tap.check("t18 a cut deflate is 1007", bomb(server_frame(2, deflate(os.urandom(500))[:300], rsv=4), 1007))
tap.check("t18 a compressed text not UTF-8 is 1007", bomb(server_frame(1, deflate(b"\xff\xfe"), rsv=4), 1007))


# ---- reload ----

def reload_closes():
    s = opened()
    s.sendall(frame(1, b"before"))
    assert origin.messages() == [(1, b"before")]
    assert lab.policy(policy("rules: [{allow: {method: GET, path: /y}}]"))[0] == 0
    assert read_close(s) == 1012
    codes = [d for o, d in origin.frames() if o == 8]
    assert struct.unpack(">H", codes[0][:2])[0] == 1012, codes
    assert lab.policy(policy())[0] == 0


def reload_keeps():
    s = opened()
    s.sendall(frame(1, b"one"))
    assert lab.policy(policy("access: read-write"))[0] == 0
    s.sendall(frame(1, b"two"))
    assert origin.messages() == [(1, b"one"), (1, b"two")]
    assert lab.policy(policy("access: read-only"))[0] == 0
    s.sendall(frame(1, b"three"))
    assert read_close(s) == 1008
    assert origin.messages() == [(1, b"one"), (1, b"two")]
    assert lab.policy(policy())[0] == 0


tap.check("a policy that refuses the upgrade closes with 1012, both ways", reload_closes)
tap.check("a policy that refuses only messages closes with 1008 at the next", reload_keeps)


# ---- assemblies ----

def assemblies():
    """32 are assembled, 64 wait, one more is told to try later; who waits goes on when one ends."""
    origin.reset()
    part = frame(1, b"a", fin=False)
    socks = []
    for i in range(97):
        s, status, _ = lab.tunnel("ws.test", 80)
        assert status == 200
        s.sendall(request())
        assert b" 101 " in read_head(s)
        socks.append(s)
    for s in socks[:96]:
        s.sendall(part)
        time.sleep(0.002)
    time.sleep(0.2)
    lab.settled()
    socks[96].sendall(part)
    assert read_close(socks[96]) == 1013
    assert not select.select(socks[:96], [], [], 0.1)[0], "one of the first 96 was closed"
    for s in socks[:96]:
        s.sendall(frame(0, b"b"))
    deadline = time.monotonic() + 20
    while len(origin.seen) < 96 * 8 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(origin.seen) >= 96 * 8, len(origin.seen)
    for s in socks:
        s.close()


tap.check("32 messages are assembled at once, 64 wait, the next is 1013", assemblies)


def slow_message_holds_no_one():
    s = opened()
    s.sendall(frame(1, b"x", fin=False))
    t = opened()
    t.sendall(frame(1, b"y"))
    assert origin.messages() == [(1, b"y")]
    s.close()
    t.close()


tap.check("a message that is not finished holds nobody up", slow_message_holds_no_one)


def slow_server():
    """A server that does not read: the client's text waits, in bounded memory."""
    s = opened(is_reading=False)
    s.settimeout(1)
    sent = 0
    try:
        while sent < 64 << 20:
            s.sendall(mask_fast(1, b"x" * (1 << 20)))
            sent += 1 << 20
    except (socket.timeout, TimeoutError):
        pass
    assert sent < 32 << 20, sent
    s.close()


tap.check("a server that does not read is back-pressure", slow_server)

# ---- the peers that behave ----


NODE_CLIENT = r"""
const WebSocket = require('ws'), fs = require('fs'), tls = require('tls');
const [port, wantCode] = process.argv.slice(1);
const socket = new (require('net').Socket)({fd: 3, readable: true, writable: true}); // a tunnel that the test has opened
const secure = port === '443' ? tls.connect({socket, servername: 'ws.test'}) : socket;
const agent = new (require(port === '443' ? 'https' : 'http').Agent)();
agent.createConnection = () => secure;
const ws = new WebSocket((port === '443' ? 'wss://ws.test' : 'ws://ws.test:' + port) + '/x', ['a', 'b'],
                         {agent, perMessageDeflate: true});
const texts = ['hello', '', 'ä€😀'.repeat(30000), 'x'.repeat(1 << 20)];
let got = 0;
ws.on('open', () => { for (const t of texts) ws.send(t); ws.send(Buffer.alloc(200000, 7)); ws.ping('p'); });
ws.on('message', (data, isBinary) => {
  const want = got < texts.length ? Buffer.from(texts[got]) : Buffer.alloc(200000, 7);
  if (!want.equals(data) || isBinary !== (got === texts.length)) { console.log('differs', got); process.exit(1); }
  if (++got === texts.length + 1) ws.close(1000, 'done');
});
ws.on('pong', (data) => console.log('pong', String(data)));
ws.on('close', (code) => { console.log('closed', code, got, ws.protocol); process.exit(0); });
ws.on('error', (e) => { console.log('error', e.message); process.exit(1); });
"""

NODE_SERVER = r"""
const WebSocket = require('ws'), http = require('http');
const server = http.createServer();
const wss = new WebSocket.Server({server, perMessageDeflate: {threshold: 0}});
wss.on('connection', (ws) => ws.on('message', (data, isBinary) => ws.send(data, {binary: isBinary})));
server.listen(8443, process.argv[1], () => console.log('ready'));
"""

PYTHON_SERVER = r"""
import asyncio, logging, ssl, sys, websockets
logging.disable()
async def echo(ws, path=None):
    async for message in ws:
        await ws.send(message)
async def main():
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(sys.argv[2], sys.argv[3])
    async with websockets.serve(echo, sys.argv[1], 443, ssl=tls, subprotocols=["b"], max_size=None):
        print("ready", flush=True)
        await asyncio.Future()
asyncio.run(main())
"""


def start(*argv):
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env={**os.environ, "NODE_PATH": "/usr/share/nodejs"})
    assert process.stdout.readline() == "ready\n"
    return process


def node_client(port, protocol):
    s, status, _ = lab.tunnel("ws.test", port)
    assert status == 200
    fd = s.fileno()
    done = subprocess.run(["node", "-e", NODE_CLIENT, str(port)], capture_output=True, text=True, timeout=60,
                          close_fds=False, preexec_fn=lambda: os.dup2(fd, 3, inheritable=True),
                          env={**os.environ, "NODE_PATH": "/usr/share/nodejs", "NODE_EXTRA_CA_CERTS": lab.ca})
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert f"closed 1000 5{protocol}" in done.stdout and "pong p" in done.stdout, done.stdout


async def python_echo(sock, uri, tls, deflate):
    import websockets
    async with websockets.connect(uri, sock=sock, ssl=tls, max_size=None,
                                  server_hostname="ws.test" if tls else None,
                                  compression="deflate" if deflate else None) as ws:
        for message in ("hello", "", "ä€😀" * 100000, "y" * (4 << 20), b"\0\xff" * 500000):
            await ws.send(message)
            assert await ws.recv() == message, len(message)
        await ws.send(["frag", "ment", "s"])
        assert await ws.recv() == "fragments"
        await asyncio.wait_for(await ws.ping(), 5)
    assert ws.close_code == 1000, ws.close_code


def python_client(port, is_tls, deflate):
    def check():
        s, status, _ = lab.tunnel("ws.test", port)
        assert status == 200
        s.settimeout(None)
        s.setblocking(False)
        asyncio.run(python_echo(s, f"{'wss' if is_tls else 'ws'}://ws.test:{port}/x", lab.context() if is_tls else None,
                                deflate))
    return check


if os.path.exists("/usr/share/nodejs/ws"):
    servers = [start("node", "-e", NODE_SERVER, P),
               start(sys.executable, "-c", PYTHON_SERVER, P, w.pki.cert, w.pki.key)]
    tap.check("node's ws to python's websockets, over TLS", lambda: node_client(443, " b"))
    tap.check("node's ws to node's ws, compressed there", lambda: node_client(8443, " a"))
    tap.check("python's websockets to itself, over TLS", python_client(443, True, True))
    tap.check("python's websockets to node's ws", python_client(8443, False, True))
    tap.check("the same without compression", python_client(8443, False, False))
    for process in servers:
        process.kill()
else:
    tap.skip("the peers that behave", "node's ws is not installed")

tap.check("the proxy ends well", lambda: lab.close() == 0 or 1 / 0)
tap.done()
