#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: over HTTP/2, to servers of either version, credentials are what they are over HTTP/1.1: replaced
in their places, refused elsewhere with nothing at the server (C1, C4), scrubbed from what comes back
(C2, C3), each stream judged on its own.
Method: a real run; python3-h2 as client in the sandbox and as server; an HTTP/1.1 origin that echoes."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import h2lab  # noqa: E402
import credlab  # noqa: E402
import h2.events  # noqa: E402
import world  # noqa: E402
from credlab import OK, b64, equal, field  # noqa: E402

VALUE, OTHER = "s3cr3t.VALUE-0123456789", "s3cr3t.OTHER-9876543210"
PROFILE = """\
id: my-api
credentials:
  - {name: key, env_vars: [MY_KEY], required: true}
  - {name: other, env_vars: [OTHER_KEY], required: true}
endpoints:
  - {host: h1.test, port: 443, protocol: rest, enforcement: enforce, access: full}
  - {host: h2.test, port: 8443, protocol: rest, enforcement: enforce, access: full}
binaries: [{path: "/**"}]
"""
POLICY = """\
version: 1
network_policies:
  own:
    endpoints:
      - {host: free.test, port: 8443, protocol: rest, enforcement: enforce, access: full}
      - {host: h1.test, port: 8443, protocol: rest, enforcement: enforce, access: full}
    binaries: [{path: "/**"}]
"""

tap = world.Tap()
lab = credlab.Lab({"my-api.yaml": PROFILE}, POLICY, env={"MY_KEY": VALUE, "OTHER_KEY": OTHER},
                  names=["h1.test", "h2.test", "free.test"], ports=(443,), more_ports=(8443,))
said = {"head": [(":status", "200")], "body": b"ok", "trailers": None}


def upstream(server, c, e):
    """Answers an ended request with what the test set, and keeps trailers."""
    if isinstance(e, h2.events.TrailersReceived):
        server.seen.append(dict(e.headers))
    if isinstance(e, h2.events.StreamEnded):
        c.send_headers(e.stream_id, said["head"])
        for part in said["body"] if isinstance(said["body"], list) else [said["body"]]:
            c.send_data(e.stream_id, part)
        if said["trailers"]:
            c.send_headers(e.stream_id, said["trailers"], end_stream=True)
        else:
            c.end_stream(e.stream_id)


lab_up = h2lab.Server(world.PUBLIC, 8443, upstream, pki=lab.world.pki)
P, Q = lab.inside["MY_KEY"], lab.inside["OTHER_KEY"]


def ask(host, *requests, **more):
    """Streams' answers; host h1.test has the old protocol upstream, the others HTTP/2."""
    lab_up.seen.clear()
    lab_up.events.clear()
    return lab.h2(host, *requests, port=443 if host == "h1.test" else 8443, **more)


def seen(host):
    """Text of all that reached the server in requests' heads, bodies and trailers."""
    if host == "h1.test":
        return lab.origin.seen(0.02).decode("latin-1")
    bodies = [e.data.decode("latin-1") for e in lab_up.got(h2.events.DataReceived)]
    return "\n".join(f"{k}: {v}" for head in lab_up.seen for k, v in head.items()) + "".join(bodies)


def status(stream):
    return stream["head"].get(":status")


def reset(host):
    said.update(head=[(":status", "200")], body=b"ok", trailers=None)
    lab.origin.answer = OK


for HOST in ("h1.test", "h2.test"):
    def arrives(path, fields, *wants, more=None):
        def check():
            reset(HOST)
            s, = ask(HOST, {"path": path, "fields": fields, **(more or {})})
            equal(status(s), "200", repr(s))
            for want in wants:
                assert want.lower() in seen(HOST).lower(), seen(HOST)
            assert "openshell" not in seen(HOST), seen(HOST)
        return check

    tap.check(f"{HOST}: header", arrives("/", [["authorization", f"Bearer {P}"]], f"authorization: Bearer {VALUE}"))
    tap.check(f"{HOST}: Basic", arrives("/", [["authorization", "Basic " + b64(f"u:{P}")]], "Basic " + b64(f"u:{VALUE}")))
    tap.check(f"{HOST}: path and query", arrives(f"/a/{P}?k={P}", [], f"/a/{VALUE}?k={VALUE}"))
    tap.check(f"{HOST}: cookie crumbs", arrives("/", [["cookie", "a=b"], ["cookie", f"s={P}"]], f"s={VALUE}"))
    tap.check(f"{HOST}: gRPC metadata", arrives(
        "/p.S/M", [["content-type", "application/grpc"], ["te", "trailers"], ["x-key", P]], f"x-key: {VALUE}",
        more={"method": "POST", "body": "\0\0\0\0\0"}))
    tap.check(f"{HOST}: gRPC -bin metadata with a placeholder is replaced or refused", lambda: (
        reset(HOST), ask(HOST, {"path": "/p.S/M", "method": "POST", "body": "\0\0\0\0\0", "fields": [
            ["content-type", "application/grpc"], ["te", "trailers"], ["x-key-bin", b64(P)]]}),
        equal(b64(P).rstrip("=") in seen(HOST), False))[-1])

    def streams_apart():
        reset(HOST)
        answers = ask(HOST, *[{"path": f"/{i}", "fields": [["x-key", (P, Q)[i % 2]]] if i % 3 else []}
                              for i in range(12)])
        equal({status(s) for s in answers}, {"200"})
        if HOST == "h2.test":
            for head in lab_up.seen:
                i = int(head[":path"][1:])
                equal(head.get("x-key"), (VALUE, OTHER)[i % 2] if i % 3 else None)
        else:
            for c in lab.origin.connections:
                for r in c.data.split(b"\r\n\r\n")[:-1]:
                    i = int(r.split(b" ")[1][1:])
                    equal(field(r + b"\r\n\r\n", "x-key"), [(VALUE, OTHER)[i % 2]] if i % 3 else [])

    tap.check(f"C1 {HOST}: streams at once don't mix", streams_apart)

    def one_bad():
        """The second of three streams is refused; the others are answered."""
        reset(HOST)
        answers = ask(HOST, {"path": "/1", "fields": [["x-key", P]]},
                      {"path": "/2", "fields": [["x-key", f"a {P} b c"]]}, {"path": "/3"}, is_in_turn=True)
        equal([status(s) for s in answers], ["200", "403", "200"])
        assert "/2" not in seen(HOST)

    tap.check(f"C4 {HOST}: a stream that is refused leaves the others", one_bad)

    for name, one in (
            ("field name", {"fields": [["x-OPENSHELL-RESOLVE-ENV-MY_KEY".lower(), "1"], ["X-OPENSHELL-RESOLVE-ENV-MY_KEY", "1"]]}),
            ("method", {"method": "x-OPENSHELL-RESOLVE-ENV-MY_KEY"}),
            ("longer value", {"fields": [["x-a", f"{P} and more here"]]}),
            ("cookie name", {"fields": [["cookie", f"{P}=1"]]}),
            ("query name", {"path": f"/?{P}=1"}),
            ("two fields", {"fields": [["x-a", "openshell:resolve:env:MY_"], ["x-b", "KEY"]]}),
            ("te", {"fields": [["te", P]]}),
            ("percent-encoded", {"fields": [["x-a", "%6Fpenshell%3Aresolve%3Aenv%3AMY_KEY"]]}),
            ("percent-encoded twice in a path", {"path": "/%256Fpenshell%253Aresolve%253Aenv%253AMY_KEY"}),
            ("body", {"method": "POST", "body": P}),
            ("body of a gRPC call", {"method": "POST", "path": "/p.S/M", "body": f"\0\0\0\0\x1c{P}", "fields": [
                ["content-type", "application/grpc"], ["te", "trailers"]]}),
            ("body behind 100 KB", {"method": "POST", "body": "x" * 60000 + P}),
            ("trailer", {"method": "POST", "body": "x", "trailers": [["x-t", P]]}),
            ("trailer name", {"method": "POST", "body": "x", "trailers": [["x-openshell-resolve-env-my_key", P]]}),
            ("an unknown key", {"fields": [["x-a", "openshell:resolve:env:NO_SUCH"]]})):
        def refused(one=one, name=name):
            reset(HOST)
            s, = ask(HOST, one)
            text = seen(HOST)
            assert P not in text and "OPENSHELL" not in text and "openshell" not in text, text[-300:]
            assert VALUE not in text, text
            if name.startswith("trailer"):  # may be taken away instead
                return
            assert status(s) in ("400", "403", "500") or s["reset"] is not None or \
                s["head"].get("grpc-status") == "7", repr(s)
        tap.check(f"C4 {HOST}: {name}", refused)

    # what comes back

    def clean(head=(), body=b"ok", trailers=None, path="/"):
        def check():
            reset(HOST)
            said.update(head=[(":status", "200"), *head], body=body, trailers=trailers)
            whole = b"".join(body) if isinstance(body, list) else body
            lines = "".join(f"{k}: {v}\r\n" for k, v in head)
            tail = "".join(f"{k}: {v}\r\n" for k, v in trailers or [])
            lab.origin.answer = (f"HTTP/1.1 200 OK\r\n{lines}Transfer-Encoding: chunked\r\n\r\n".encode() +
                                 b"%x\r\n%s\r\n0\r\n%s\r\n" % (len(whole), whole, tail.encode()))
            s, = ask(HOST, {"path": path, "fields": [["authorization", f"Bearer {P}"]]})
            assert status(s) or s["reset"] is not None, repr(s)
            text = repr(s)
            for form in (VALUE, b64("u:" + VALUE)[4:-4], VALUE.encode().hex(), "%73%33%63%72"):
                assert form not in text, text
        return check

    hexed, pct = VALUE.encode().hex(), "".join(f"%{ord(c):02x}" for c in VALUE)
    for name, text in (("plain", VALUE), ("base64", b64("u:" + VALUE)), ("hex", hexed), ("percent", pct)):
        tap.check(f"C2 {HOST}: {name} in a body", clean(body=f"begin {text} end".encode()))
        tap.check(f"C2 {HOST}: {name} in frames of one byte", clean(body=[bytes([c]) for c in f"b {text} e".encode()]))
        tap.check(f"C3 {HOST}: {name} in a field", clean(head=[("x-echo", text), ("set-cookie", f"a={text}")]))
        tap.check(f"C3 {HOST}: {name} in a trailer", clean(trailers=[("grpc-status", "16"), ("grpc-message", text)]))
    tap.check(f"C3 {HOST}: grpc -bin trailer", clean(trailers=[("grpc-status-details-bin", b64(b"\x08\x10" + VALUE.encode()))]))
    tap.check(f"C2 {HOST}: gzip", clean([("content-encoding", "gzip")], credlab.gzip.compress(VALUE.encode())))
    tap.check(f"C2 {HOST}: an encoding that can't be undone", clean([("content-encoding", "x-own")], VALUE.encode()))
    tap.check(f"C3 {HOST}: a field's name", clean(head=[("x-" + VALUE.lower().replace(".", "-"), "1"), ("x-a", VALUE)]))


def elsewhere():
    for host in ("free.test",):
        reset(host)
        s, = ask(host, {"fields": [["authorization", f"Bearer {P}"]]})
        equal((status(s), lab_up.seen), ("403", []), repr(s))
        assert "credential_endpoint_mismatch" in s["body"], repr(s)


def coalesced():
    """:authority names a bound host on a connection to another: the tunnel decides."""
    lab_up.seen.clear()
    answer = lab.do({"do": "h2", "host": "free.test", "port": 8443, "requests": [
        {"fields": [["host", "h2.test:8443"], ["authorization", f"Bearer {P}"]]}]})
    equal(lab_up.seen, [], repr(answer))


tap.check("C1 another host", elsewhere)
tap.check("C1 Host names the bound one, the tunnel another", coalesced)
tap.check("C10 no value in cove's own words", lambda: equal(
    [v for v in (VALUE, OTHER) if v in lab.stderr() or v in open(lab.world.audit, errors="replace").read()], []))
tap.check("the run ends well", lambda: equal(lab.close(), 0, lab.stderr()))
lab.remove()
tap.done()
