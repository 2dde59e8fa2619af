#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: a placeholder in a body refuses the request before a byte of it reaches the server, however
large the body is and however slowly it comes (C4); what is clean passes as it was, and what is held
leaves nothing behind.
Method: a real run with a provider; requests of up to 20 MB from inside, in pieces and with pauses; an
origin that keeps what arrived."""
import hashlib
import os
import re
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import box  # noqa: E402
import h2lab  # noqa: E402
import credlab  # noqa: E402
import h2.events  # noqa: E402
import look  # noqa: E402
import world  # noqa: E402
from credlab import VALUE, equal, field, request  # noqa: E402

MIB = 1 << 20
MORE = "  - {host: watched.test, port: 443, protocol: rest, enforcement: enforce, access: full, body_hold: watch}\n" \
       "  - {host: h2.test, port: 8443, protocol: rest, enforcement: enforce, access: full}\n"
POLICY = """\
version: 1
network_policies:
  own:
    endpoints:
      - {host: free.test, port: 443, protocol: rest, enforcement: enforce, access: full}
      - {host: held.test, port: 443, protocol: rest, enforcement: enforce, access: full, body_hold: hold}
      - {host: plain.test, port: 80, protocol: rest, enforcement: enforce, access: full}
    binaries: [{path: "/**"}]
"""
API, FREE = "api.test", "free.test"

tap = world.Tap()
lab = credlab.Lab({"my-api.yaml": credlab.profile(more_endpoints=MORE)}, POLICY, env=credlab.ENV,
                  names=[API, FREE, "watched.test", "held.test", "plain.test", "h2.test"], plain=(80,),
                  more_ports=(8443,))
P = lab.inside["MY_KEY"]
AUTH = f"Authorization: Bearer {P}"


def up_answer(server, c, e):
    if isinstance(e, h2.events.DataReceived):
        server.data += e.data
    if isinstance(e, h2.events.StreamEnded):
        c.send_headers(e.stream_id, [(":status", "200")])
        c.send_data(e.stream_id, b"ok", end_stream=True)


up = h2lab.Server(world.PUBLIC, 8443, up_answer, pki=lab.world.pki)
up.data = b""


def chunk(text):
    return f"{len(text):x}\r\n{text}\r\n"


def ask(host, pieces, length=None, fields=(), **more):
    """A POST with that body: in chunks as given, or of that length."""
    how = [f"Content-Length: {length}"] if length is not None else ["Transfer-Encoding: chunked"]
    return lab.talk(host, [request("POST", host, "/put", [*fields, *how]), *pieces], pause=0, timeout=25, **more)


def nothing(reply, statuses=(403,)):
    """Refused, and not one byte of it at any server."""
    seen = lab.origin.seen(0.1)
    assert not seen, f"the server saw {len(seen)} bytes: {seen[:300]!r}; {reply!r}"
    assert reply.data and reply.status in statuses, repr(reply)


def body_of(seen):
    head, _, body = seen.partition(b"\r\n\r\n")
    return credlab.decode_chunks(body)[0] if b"transfer-encoding" in head.lower() else body


def passes(reply, body):
    equal(reply.status, 200, repr(reply))
    got = body_of(lab.origin.seen(0.05))
    equal((len(got), hashlib.sha256(got).hexdigest()), (len(body), hashlib.sha256(body).hexdigest()))


# ---- C4: nothing of it, wherever the placeholder stands ----

for name, fields in (("beside a credential", [AUTH]), ("without one", [])):
    host = API if fields else FREE
    for size in (300 << 10, 3 * MIB):
        n = size - len(P)
        for where, pieces in (("start", [P, ["x", n]]), ("middle", [["x", n // 2], P, ["x", n - n // 2]]),
                              ("very end", [["x", n], P])):
            tap.check(f"C4 a placeholder at the {where} of {size >> 10} KiB with a length, {name}",
                      lambda: nothing(ask(host, pieces, size, fields)))
            def framed(p):
                return chunk(p) if isinstance(p, str) else chunk(p[0] * p[1])
            tap.check(f"C4 a placeholder at the {where} of {size >> 10} KiB in chunks, {name}",
                      lambda: nothing(ask(host, [*map(framed, pieces), "0\r\n\r\n"], fields=fields)))

for at in (256 << 10, (256 << 10) + 16384, 512 << 10):  # memory's end, a record's, a block's
    for cut in (1, len(P) // 2, len(P)):
        n = at - cut
        tap.check(f"C4 a placeholder over the border at {at >> 10} KiB, {cut} bytes before it", lambda: nothing(
            ask(API, [["x", n], P, ["y", 1000]], n + len(P) + 1000, [AUTH])))
tap.check("C4 a placeholder in chunks of one byte, behind 300 KiB", lambda: nothing(
    ask(API, [chunk("x" * (300 << 10)), "".join(map(chunk, P)), "0\r\n\r\n"], fields=[AUTH])))
tap.check("C4 a percent-encoded placeholder in pieces of 3 bytes, behind 300 KiB", lambda: nothing(
    ask(API, [["x", 300 << 10], *(pct[i:i + 3] for pct in ["".join(f"%{ord(c):02X}" for c in P)]
              for i in range(0, len(pct), 3))], (300 << 10) + 3 * len(P), [AUTH])))
tap.check("C4 a placeholder in a trailer", lambda: nothing(
    ask(API, [chunk("abc"), f"0\r\nX-Sum: {P}\r\n\r\n"], fields=[AUTH])))
tap.check("C4 a placeholder in a trailer behind 1 MiB", lambda: nothing(
    ask(API, [chunk("x" * MIB), f"0\r\nX-Sum: {P}\r\n\r\n"], fields=[AUTH])))

# ---- late: seconds apart ----

tap.check("C4 chunks that come late, the placeholder in the last", lambda: nothing(
    ask(API, [chunk("first"), 1.5, chunk("second"), 1.5, chunk(P), "0\r\n\r\n"], fields=[AUTH])))
tap.check("C4 a placeholder in two late halves", lambda: nothing(
    ask(API, [chunk(P[:9]), 2, chunk(P[9:]), "0\r\n\r\n"], fields=[AUTH])))
tap.check("C4 with a length, the placeholder late", lambda: nothing(
    ask(API, [["x", 400000], 2, P], 400000 + len(P), [AUTH])))


def not_before_end():
    """While a clean body comes, the server hears nothing."""
    lab.origin.forget()
    lab.origin.answer = credlab.OK
    job = lab.start_talk(API, [request("POST", API, "/", [AUTH, "Transfer-Encoding: chunked"]), chunk("x" * MIB),
                               4, chunk("end"), "0\r\n\r\n"], pause=0)
    time.sleep(1.2)
    equal(lab.origin.seen(), b"")
    passes(credlab.Reply(lab.wait(job)), b"x" * MIB + b"end")
    equal(field(lab.origin.seen(), "authorization"), [f"Bearer {VALUE}"])


tap.check("a body whose end is late reaches the server when it is whole", not_before_end)
tap.check("a small body, a byte a second for longer than a head may take, passes", lambda: passes(
    ask(API, [x for c in "0123456789abcdefgh" for x in (c, 1.0)], 18, [AUTH]), b"0123456789abcdefgh"))

# ---- what is clean passes as it was ----

def letters(n):
    return (hashlib.sha256(b"%d" % n).hexdigest() * (n // 64 + 1))[:n]


BIG = letters(20 * MIB)
tap.check("20 MB with a length and a credential pass byte by byte", lambda: passes(
    ask(API, [BIG], len(BIG), [AUTH]), BIG.encode()))
tap.check("... in chunks, to a host without one", lambda: passes(
    ask(FREE, [*(chunk(BIG[i:i + 70001]) for i in range(0, len(BIG), 70001)), "0\r\n\r\n"]), BIG.encode()))


def trailers():
    reply = ask(API, [chunk("x" * MIB), "0\r\nX-Sum: 123\r\n\r\n"], fields=[AUTH, "Trailer: X-Sum"])
    equal(reply.status, 200, repr(reply))
    seen = lab.origin.seen(0.05)
    data, trailer = credlab.decode_chunks(seen.partition(b"\r\n\r\n")[2])
    equal((len(data), b"X-Sum: 123" in trailer), (MIB, True), repr(trailer))


tap.check("trailers pass with a body that was held", trailers)
tap.check("a chunked body that is empty passes", lambda: passes(
    ask(API, ["0\r\n\r\n"], fields=[AUTH]), b""))


def expect(pieces, length):
    reply = ask(API, pieces, length, [AUTH, "Expect: 100-continue"])
    assert reply.data.startswith(b"HTTP/1.1 100"), repr(reply)
    return credlab.Reply({"connect": "", "data": reply.data.split(b"\r\n\r\n", 1)[1].decode("latin-1"),
                          "end": reply.end, "times": []})


tap.check("Expect: 100-continue is answered, and the body passes", lambda: passes(
    expect([["x", 500000]], 500000), b"x" * 500000))
tap.check("C4 Expect: 100-continue, and a placeholder in the body", lambda: nothing(
    expect([["x", 500000], P], 500000 + len(P))))
tap.check("two requests on one connection, each with a body that is held", lambda: equal(
    (lambda r: (r.data.count(b"HTTP/1.1 200"), credlab.whole(lab.origin.seen(0.05)) > MIB))(
        lab.talk(API, [request("POST", API, "/", [AUTH, f"Content-Length: {MIB}"]), ["x", MIB],
                       request("POST", API, "/", [AUTH, f"Content-Length: {MIB}"]), ["y", MIB]],
                 pause=0, count=2, timeout=20)), (2, True)))

# ---- plain HTTP through the explicit proxy ----


def forward(pieces, length):
    head = f"POST http://plain.test/ HTTP/1.1\r\nHost: plain.test\r\nContent-Length: {length}\r\n\r\n"
    return lab.talk("plain.test", [head, *pieces], how="forward", pause=0, timeout=20)


tap.check("C4 plain HTTP: a placeholder behind 1 MiB", lambda: nothing(
    forward([["x", MIB], P], MIB + len(P))))
tap.check("C4 plain HTTP: a placeholder that comes late", lambda: nothing(
    forward(["x", 1.5, P], 1 + len(P))))
tap.check("plain HTTP: 1 MiB passes", lambda: passes(forward([["x", MIB]], MIB), b"x" * MIB))

# ---- HTTP/2 ----


def streams(pieces, port=8443, host="h2.test", fields=(("authorization", f"Bearer {P}"),), **more):
    lab.origin.answer = credlab.OK
    up.data, before = b"", up.bytes
    one, = lab.h2(host, {"method": "POST", "fields": list(fields), "pieces": pieces}, port=port, **more)
    time.sleep(0.05)
    return int(one["head"].get(":status", 0)), up.bytes - before, lab.origin.seen()


for name, host, port in (("h2", "h2.test", 8443), ("h1", API, 443)):
    for where, pieces in (("start", [P, ["x", 400000]]), ("end", [["x", 700000], P]),
                          ("late", ["x", 1.5, ["y", 300000], P[:7], 1, P[7:]])):
        def refused():
            status, at_h2, at_h1 = streams(pieces, port, host)
            equal((status, at_h2, at_h1), (403, 0, b""))
        tap.check(f"C4 HTTP/2 to a server of {name}: a placeholder at the {where}", refused)
    def clean():
        status, _, at_h1 = streams([["x", 2 * MIB], 1, "end"], port, host)
        got = up.data if name == "h2" else body_of(at_h1)
        equal((status, len(got), got[-4:]), (200, 2 * MIB + 3, b"xend"))
    tap.check(f"HTTP/2 to a server of {name}: 2 MiB and a late end pass", clean)

# ---- what an endpoint says ----


def watched(pieces, length):
    reply = ask("watched.test", pieces, length, [AUTH])
    seen = lab.origin.seen(0.1)
    assert seen and not credlab.whole(seen) and P.encode() not in seen, seen[-300:]
    assert reply.status in (0, 403), repr(reply)


tap.check("body_hold: watch: the begin passes, the end of a refused request never", lambda: watched(
    [["x", 400000], 1, P], 400000 + len(P)))
tap.check("body_hold: watch: a small body that is here is looked at first all the same", lambda: nothing(
    ask("watched.test", [P], len(P), [AUTH])))
tap.check("a length over the limit, with a credential, is refused at once", lambda: nothing(
    ask(API, [], 600 * MIB, [AUTH]), (413,)))
tap.check("... and the answer names the setting", lambda: equal(
    b"body_hold: watch" in ask(API, [], 600 * MIB, [AUTH]).body, True))
tap.check("... where the endpoint says hold, also without one", lambda: nothing(
    ask("held.test", [], 600 * MIB), (413,)))


def watched_large():
    reply = ask(FREE, [["x", MIB], 0.5, P, ["x", 1000]], 600 * MIB)
    seen = lab.origin.seen(0.1)
    assert len(seen) > 1000 and P.encode() not in seen, seen[-300:]
    assert reply.status in (0, 403), repr(reply)


tap.check("... without one it is watched as it passes", watched_large)

# ---- the file ----


def spool():
    """The proxy's: (its pid, the file's former path, bytes of disk that it takes)."""
    pid, = lab.processes()["cove-proxy"]
    found = []
    for _, fd in look.descriptors(pid):
        path = os.readlink(f"/proc/self/fd/{fd}")
        if re.match(r"(/var)?/tmp/.*\(deleted\)$", path):
            found.append((pid, path, os.fstat(fd).st_blocks * 512))
    equal(len(found), 1)
    return found[0]


def blocks():
    return spool()[2]


def slow(n, seconds):
    return lab.start_talk(API, [request("POST", API, "/", [AUTH, f"Content-Length: {n + 1}"]), ["x", n],
                                seconds, "y"], pause=0, timeout=40)


def given_back():
    equal(blocks(), 0)
    jobs = [slow(2 * MIB, 3), slow(2 * MIB, 7)]
    assert box.until(lambda: blocks() >= 4 * MIB, 2.9), blocks()
    lab.wait(jobs[0])
    assert box.until(lambda: 2 * MIB <= blocks() < 3 * MIB, 3), blocks()  # a hole where the first one was
    lab.wait(jobs[1])
    assert box.until(lambda: blocks() == 0), blocks()


tap.check("the spool has no name, and what was held in it takes no room", given_back)


def rss(pid):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1]) << 10


def many():
    """100 bodies of 1 MiB at once: the proxy has their blocks, not their bytes."""
    lab.origin.forget()
    pid = spool()[0]
    before = rss(pid)
    jobs = [slow(MIB, 6) for _ in range(100)]
    most, held, end = 0, 0, time.monotonic() + 25
    while held < 100 * MIB and time.monotonic() < end:
        most, held = max(most, rss(pid)), max(held, blocks())
        time.sleep(0.2)
    most = max(most, rss(pid))
    answers = [credlab.Reply(lab.wait(j, 60)) for j in jobs]
    equal([a.status for a in answers].count(200), 100, repr(answers[0]))
    assert held >= 60 * MIB and most - before < 40 * MIB, (held >> 20, most >> 20, before >> 20)
    print(f"# {held >> 20} MiB in the file at once; memory {before >> 20} MiB, at most {most >> 20} MiB")


tap.check("100 bodies at once, and memory stays bounded", many)


def killed():
    job = slow(3 * MIB, 4)
    assert box.until(blocks, 3.9)
    pid, path, _ = spool()
    where = os.path.dirname(path)
    os.kill(pid, signal.SIGKILL)
    equal(credlab.Reply(lab.wait(job)).data, b"")
    assert box.until(lambda: lab.processes().get("cove-proxy", [pid]) != [pid])
    assert box.until(lambda: blocks() == 0 and not [
        x for x in os.listdir(where) if x.startswith((".cove-spool", "#"))]), (blocks(), os.listdir(where))
    assert spool()[0] != pid
    passes(ask(API, [["x", MIB]], MIB, [AUTH]), b"x" * MIB)


tap.check("a proxy that is killed leaves nothing of what it held, and the next one goes on", killed)
tap.check("the run ends well", lambda: equal(lab.close(), 0, lab.stderr()))
lab.remove()
tap.done()
