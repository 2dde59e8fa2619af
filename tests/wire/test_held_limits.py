#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: what a body can make the proxy keep is bounded, and beyond that it says so: a credential's
request is refused with nothing at the server, others are watched as they pass (C4); a disk that is full
refuses, and passes nothing.
Method: one proxy with a keeper and small limits; files that the test hands over as its spool."""
import os
import select
import struct
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import box  # noqa: E402
import credlab  # noqa: E402
import proxylab  # noqa: E402
import world  # noqa: E402
from credlab import equal, request  # noqa: E402

MIB = 1 << 20
LARGE = MIB + 300000
P, VALUE = "openshell:resolve:env:KEY", "s3cr3t.VALUE-0123456789"
AUTH = f"Authorization: Bearer {P}"


def endpoint(host, more=""):
    return f"      - {{host: {host}, ports: [443, 444], protocol: rest, enforcement: enforce, access: full{more}}}\n"


POLICY = f"""\
version: 1
network_policies:
  p:
    endpoints:
{endpoint("free.test")}\
{endpoint("held.test", ", body_hold: hold")}{endpoint("watched.test", ", body_hold: watch")}\
    binaries: [{{path: "/**"}}]
"""
LAYER = f"""\
version: 1
network_policies:
  _provider_mine:
    endpoints:
{endpoint("api.test")}    binaries: [{{path: "/**"}}]
"""


def secrets():
    """A cv_cred_set: one provider, bound to api.test; one value."""
    def u32(n):
        return struct.pack("<I", n)

    def text(s):
        return u32(len(s)) + s.encode() + b"\0"

    binding = text("api.test") + text("") + u32(1) + u32(443) + u32(0) + 3 * u32(0)
    provider = text("mine") + text("my-api") + u32(1) + binding
    cred = text("KEY") + text(P) + text(VALUE) + struct.pack("<Q", 0) + u32(0) + u32(0xffffffff)
    return u32(0x32735643) + u32(1) + provider + u32(0) + u32(1) + cred + text("") + u32(0)


def forget():
    """Once the origin has read what the last request still brought."""
    last = -1
    while (now := len(origin.seen(0.15))) != last:
        last = now
    origin.forget()


tap = world.Tap()
w = world.World(["api.test", "free.test", "held.test", "watched.test"])
origin = credlab.Origin(w.pki)
PINS = [(h, p, world.PUBLIC) for h in ("api.test", "free.test", "held.test", "watched.test") for p in (443, 444)]


class Impatient(credlab.Origin):
    """Closes connections that say nothing for half a second."""

    def _serve(self, s, port, is_tls):
        if select.select([s], [], [], 0.5)[0]:
            super()._serve(s, port, is_tls)
        s.close()


class Run:
    """A proxy with that spool: None, or (path to open, of one body, of all)."""

    def __init__(self, spool=(None, MIB, 4 * MIB)):
        self.file = None
        if spool:
            fd = os.open(spool[0], os.O_RDWR) if spool[0] else tempfile.TemporaryFile(dir="/var/tmp")
            self.file, spool = fd, (fd if spool[0] else fd.fileno(), *spool[1:])
        self.lab = proxylab.Lab(w, POLICY, PINS, secrets=secrets(), spool=spool, layer=LAYER)
        equal(self.lab.policy_result[0], 0, self.lab.policy_result[1])

    def start(self, host, *pieces, fields=()):
        """A request's begin; the connection."""
        s = self.lab.tls(host, 443)
        s.settimeout(20)
        self.send(s, request("POST", host, "/", fields), *pieces)
        return s

    def send(self, s, *pieces):
        try:
            for p in pieces:
                s.sendall(p if isinstance(p, bytes) else p.encode())
        except OSError:
            pass

    def reply(self, s):
        data = b""
        try:
            while part := s.recv(65536):
                data += part
                if (end := credlab.whole(data)) and len(data) >= end and b"\r\n\r\n" in data:
                    break
        except OSError:
            pass
        s.close()
        return credlab.Reply({"connect": "", "data": data.decode("latin-1"), "end": "", "times": []})

    def ask(self, host, *pieces, fields=()):
        forget()
        return self.reply(self.start(host, *pieces, fields=fields))

    def used(self):
        return os.fstat(self.file.fileno()).st_blocks * 512

    def close(self):
        self.lab.close()


def length(n):
    return [f"Content-Length: {n}"]


CHUNKED = ["Transfer-Encoding: chunked"]


def chunks(n, size=65536):
    return "".join(f"{min(size, n - i):x}\r\n{'x' * min(size, n - i)}\r\n" for i in range(0, n, size))


def nothing(reply, status, error):
    seen = origin.seen(0.1)
    equal((seen[:200], reply.status, reply.error), (b"", status, error), repr(reply))


def arrived(reply, n):
    seen = origin.seen(0.1)
    body = seen.partition(b"\r\n\r\n")[2]
    if b"chunked" in seen.partition(b"\r\n\r\n")[0]:
        body = credlab.decode_chunks(body)[0]
    equal((reply.status, len(body), body.strip(b"x")), (200, n, b""), repr(reply))


def cut(reply):
    """The begin passed; the placeholder and the end did not."""
    seen = origin.seen(0.2)
    assert len(seen) > 65536 and P.encode() not in seen and not credlab.whole(seen), (len(seen), seen[-200:])
    assert reply.status in (0, 403), repr(reply)


def late_end():
    forget()
    s = run.start("free.test", chunks(LARGE), fields=CHUNKED)
    time.sleep(0.5)
    run.send(s, "1\r\nx\r\n0\r\n\r\n")
    return s


def full():
    """Four of 1 MiB fit; the fifth does not, until one has gone."""
    forget()
    held = [run.start("api.test", "x" * (MIB - 1), fields=[AUTH, *length(MIB)]) for _ in range(4)]
    assert box.until(lambda: run.used() >= 4 * (MIB - 4096)), run.used()
    s = run.start("api.test", "x" * MIB, fields=[AUTH, *length(MIB)])
    nothing(run.reply(s), 503, ROOM)
    run.send(held[0], "x")
    equal(run.reply(held[0]).status, 200)
    arrived(run.ask("api.test", "x" * MIB, fields=[AUTH, *length(MIB)]), MIB)
    for s in held[1:]:
        s.close()
    assert box.until(lambda: run.used() == 0), run.used()


LONG, ROOM = "request_body_too_large", "request_body_not_held"
run = Run()
tap.check("a body of the limit passes with a credential", lambda: arrived(
    run.ask("api.test", "x" * MIB, fields=[AUTH, *length(MIB)]), MIB))
tap.check("one byte more with a length is refused before it is sent", lambda: nothing(
    run.ask("api.test", fields=[AUTH, *length(MIB + 1)]), 413, LONG))
tap.check("... also where it waits for 100", lambda: nothing(
    run.ask("api.test", fields=[AUTH, "Expect: 100-continue", *length(MIB + 1)]), 413, LONG))
tap.check("C4 chunks beyond the limit are refused, and nothing passed", lambda: nothing(
    run.ask("api.test", chunks(MIB + 200000), fields=[AUTH, *CHUNKED]), 413, LONG))
tap.check("... where the endpoint says hold, without a credential too", lambda: nothing(
    run.ask("held.test", chunks(MIB + 200000), fields=CHUNKED), 413, LONG))
tap.check("chunks beyond the limit without a credential pass, byte by byte", lambda: arrived(
    run.ask("free.test", chunks(LARGE, 50001), "0\r\n\r\n", fields=CHUNKED), LARGE))
tap.check("... also with their end late", lambda: arrived(run.reply(late_end()), LARGE + 1))
tap.check("C4 ... and are watched: a placeholder behind the limit ends them", lambda: cut(
    run.ask("free.test", chunks(LARGE), f"{len(P):x}\r\n{P}\r\n0\r\n\r\n", fields=CHUNKED)))
tap.check("C4 ... one within the limit: nothing passed", lambda: nothing(
    run.ask("free.test", f"{len(P):x}\r\n{P}\r\n", chunks(LARGE), "0\r\n\r\n", fields=CHUNKED), 403,
    "credential_endpoint_mismatch"))


def over_border():
    """Cut exactly where what is held ends and what is watched begins."""
    bad = []
    for n in range(0, 24, 5):
        forget()
        s = run.start("free.test", chunks(MIB), f"{n + 1:x}\r\n{'x' + P[:n]}\r\n", fields=CHUNKED)
        time.sleep(0.3)
        run.send(s, f"{len(P) - n:x}\r\n{P[n:]}\r\n0\r\n\r\n")
        reply, seen = run.reply(s), origin.seen(0.1)
        if reply.status not in (0, 403) or credlab.whole(seen):
            bad.append((n, reply, seen[-60:]))
    equal(bad, [])


tap.check("C4 a placeholder over the border between held and watched", over_border)


def impatient():
    """The connection that CONNECT made is gone when the body is whole: another one is made."""
    other = Impatient(w.pki, ports=(444,))
    s = run.lab.tls("free.test", 444)
    s.settimeout(20)
    run.send(s, request("POST", "free.test:444", "/", CHUNKED), "3\r\nabc\r\n")
    time.sleep(1.5)
    run.send(s, "3\r\ndef\r\n0\r\n\r\n")
    equal((run.reply(s).status, other.seen(0.1)[-6:]), (200, b"abcdef"))


tap.check("an upstream that did not wait for the body is connected to anew", impatient)
tap.check("what is held in all is bounded: the next one is told to come again", full)


run.close()


def disk_full(path, how):
    global run
    run = Run((path, 64 * MIB, 64 * MIB))
    tap.check(f"ENOSPC ({how}): refused, nothing passed, with a credential", lambda: nothing(
        run.ask("api.test", "x" * MIB, fields=[AUTH, *length(MIB)]), 503, ROOM))
    tap.check(f"ENOSPC ({how}): ... and without", lambda: nothing(
        run.ask("free.test", "x" * MIB, fields=length(MIB)), 503, ROOM))
    tap.check(f"ENOSPC ({how}): what memory holds passes", lambda: arrived(
        run.ask("api.test", "x" * 200000, fields=[AUTH, *length(200000)]), 200000))
    tap.check(f"ENOSPC ({how}): body_hold: watch passes", lambda: arrived(
        run.ask("watched.test", "x" * MIB, fields=length(MIB)), MIB))
    tap.check(f"ENOSPC ({how}): the proxy goes on", lambda: equal(run.lab.process.poll(), None))
    run.close()


disk_full("/dev/full", "a full device")


def late_small():
    forget()
    s = run.start("api.test", "1\r\nx\r\n", fields=[AUTH, *CHUNKED])
    time.sleep(0.5)
    run.send(s, f"{len(P):x}\r\n{P}\r\n0\r\n\r\n")
    return s


run = Run(None)
tap.check("without a spool: a credential's larger body is refused", lambda: nothing(
    run.ask("api.test", "x" * MIB, fields=[AUTH, *length(MIB)]), 503, ROOM))
tap.check("without a spool: a late small body is held", lambda: nothing(
    run.reply(late_small()), 403, "credential_endpoint_mismatch"))
tap.check("without a spool: others are watched", lambda: arrived(
    run.ask("free.test", "x" * MIB, fields=length(MIB)), MIB))
run.close()
w.close()
tap.done()
