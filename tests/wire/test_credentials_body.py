#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: a placeholder in a body is replaced where the endpoint opts in, escaped for its type; in any
other body, however it is written and cut, the request is refused and does not reach the server (C4).
Method: a real run with a provider; raw requests from inside; an origin that keeps what arrived."""
import json
import os
import re
import sys
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import credlab  # noqa: E402
import world  # noqa: E402
from credlab import ENV, GITHUB, ODD, UNICODE, VALUE, b64, equal, field, request  # noqa: E402

HOST, BODY = "api.test", "body.test"
SHAPES = dict(credlab.SHAPES, GITHUB_TOKEN="github_pat")
OPTED_IN = "  - {host: body.test, port: 443, protocol: rest, enforcement: enforce, access: full, " \
           "request_body_credential_rewrite: true}\n"

tap = world.Tap()
lab = credlab.Lab({"my-api.yaml": credlab.profile(SHAPES)}, env=ENV, names=[HOST])
P = lab.inside["MY_KEY"]
CANON = "openshell:resolve:env:"
ALIAS = "x-OPENSHELL-RESOLVE-ENV-MY_KEY"


def passes(reply):
    if reply.status != 200:
        raise AssertionError(repr(reply))
    return lab.origin.seen()


def pct(text, which=lambda c: True):
    return "".join(f"%{ord(c):02X}" if which(c) else c for c in text)


# ---- C4: bodies that are not rewritten: nothing of the request, however it is written and cut ----


def u_escape(text):
    return "".join(f"\\u{ord(c):04x}" for c in text)


def unseen(reply):
    """cove's own answer, and nothing at the server; of a large body its begin, which can't be a request."""
    seen = lab.origin.seen(0.05)
    if len(seen) > 30000:
        assert not credlab.whole(seen) and not re.search(rb"(?i)openshell|env-my_key|ghp_", seen), seen[-200:]
        return
    assert not seen, f"the server saw {seen[:600]!r}; {reply!r}"
    assert reply.status in (400, 403, 500), repr(reply)


for form, p in (("canonical", CANON + "MY_KEY"), ("alias", ALIAS), ("shaped", lab.inside["GITHUB_TOKEN"]),
                ("unknown key", CANON + "NO_SUCH")):
    for written, body in (("plain", p), ("in JSON", f'{{"key": "{p}", "b": 1}}'), ("percent-encoded", pct(p)),
                          ("percent-encoded in part", f"a=b&k={pct(p, lambda c: c in 'osEO:-_')}&c=d"),
                          ("with lower-case percent", "k=" + pct(p).lower() if form == "canonical" else
                           "k=" + "".join(f"%{ord(c):02x}" for c in p)),
                          ("percent-encoded twice", pct(pct(p))), ("JSON \\u-escaped", f'{{"k": "{u_escape(p)}"}}'),
                          ("JSON \\u-escaped in part", '{"k": "%s%s"}' % (u_escape(p[:9]), p[9:])),
                          ("escaped twice", '{"k": "%s"}' % u_escape(p).replace("\\", "\\\\")),
                          ("percent in JSON escapes", '{"k": "%s"}' % u_escape(pct(p))),
                          ("at the end of 100 KiB", "x" * 100000 + " " + p)):
        kind = "application/json" if "JSON" in written else "text/plain"
        tap.check(f"C4 {form} in a body, {written}, with a length", lambda: unseen(
            lab.post(HOST, body, kind)))
        if form in ("canonical", "shaped"):
            for size in (1, 7, 4096) if len(body) < 1000 else (65536,):
                tap.check(f"C4 {form} in a body, {written}, chunks of {size}", lambda: unseen(
                    lab.post(HOST, body, kind, is_chunked=True, size=size)))
for kind in ("application/octet-stream", "multipart/form-data; boundary=x", "", "image/png",
             "application/x-ndjson", "application/grpc", "application/x-www-form-urlencoded"):
    tap.check(f"C4 in a body of type {kind!r}", lambda: unseen(lab.post(HOST, "k=" + P, kind)))
for method in ("GET", "DELETE", "PATCH", "QUERY"):
    tap.check(f"C4 in the body of a {method}", lambda: unseen(lab.post(HOST, P, method=method)))
tap.check("C4 in a body beside a good credential", lambda: unseen(
    lab.post(HOST, P, fields=[f"Authorization: Bearer {P}"])))


def each_letter(escape):
    bad = []
    for p in (CANON + "MY_KEY", ALIAS):
        lab.origin.forget()
        lab.origin.answer = credlab.OK
        jobs = []
        for i in range(len(p)):
            body = ("k=" + p[:i] + escape(p[i]) + p[i + 1:]).encode()
            jobs.append(lab.start_talk(HOST, request("POST", HOST, f"/{i}", [f"Content-Length: {len(body)}"]) + body))
        for job in jobs:
            lab.wait(job)
        bad += [line for line in lab.origin.seen(0.05).split(b"\r\n") if b"k=" in line]
    equal(bad, [])


tap.check("C4 each letter on its own percent-encoded", lambda: each_letter(pct))
tap.check("C4 each letter on its own behind a JSON escape", lambda: each_letter(u_escape))


def cut(late):
    """The body comes late and in pieces: what passes is never whole and never has the placeholder."""
    pieces = [request("POST", HOST, "/", [f"Content-Length: {late + len(P)}"])]
    pieces += [b"y" * late] if late else []
    pieces += [P[i:i + 5].encode() for i in range(0, len(P), 5)]
    reply = lab.talk(HOST, pieces)
    seen = lab.origin.seen(0.05)
    assert P.encode() not in seen, seen[-200:]
    assert not seen or not credlab.whole(seen), "the request was whole at the server"
    assert reply.status in (0, 400, 403), repr(reply)


tap.check("C4 in a body in pieces of 5 bytes", lambda: cut(0))
tap.check("C4 in a body behind 400 KB, in pieces", lambda: cut(400000))
tap.check("a body with words like a placeholder's passes", lambda: equal(
    passes(lab.post(HOST, "openshell:resolved env OPENSHELL-RESOLVE", "text/plain"))[-40:],
    b"openshell:resolved env OPENSHELL-RESOLVE"))
tap.check("a large body passes unchanged", lambda: equal(
    passes(lab.post(HOST, "z%%\\" * 100000, "text/plain")).endswith(b"\r\n\r\n" + b"z%%\\" * 100000), True))

# ---- bodies that are rewritten: a run of their own ----

tap.check("the run ends well", lambda: equal(lab.close(), 0, lab.stderr()))
lab.remove()
try:
    lab = credlab.Lab({"my-api.yaml": credlab.profile(SHAPES, OPTED_IN)}, env=ENV, names=[HOST, BODY])
except AssertionError as e:
    tap.ok(False, "bodies are rewritten where an endpoint opts in", e)
    tap.done()


def body_of(reply):
    seen = passes(reply)
    head, _, body = seen.partition(b"\r\n\r\n")
    if b"transfer-encoding" in head.lower():
        return credlab.decode_chunks(body)[0]
    equal(field(seen, "content-length"), [str(len(body))])
    return body


FORM = "application/x-www-form-urlencoded"
for is_chunked in (False, True):
    how = "chunked" if is_chunked else "with a length"
    for key, value in (("MY_KEY", VALUE), ("ODD_KEY", ODD), ("UNICODE_KEY", UNICODE)):
        p = CANON + key
        tap.check(f"body {how}: {key} in JSON", lambda: equal(
            json.loads(body_of(lab.post(BODY, f'{{"a": ["{p}", {{"b": "{p}"}}], "c": 1}}',
                                                      is_chunked=is_chunked))),
            {"a": [value, {"b": value}], "c": 1}))
        tap.check(f"body {how}: {key} in a form", lambda: equal(
            urllib.parse.parse_qsl(body_of(lab.post(BODY, f"a=1&k={p}&e={pct(p)}&z=2", FORM,
                                                    is_chunked=is_chunked)).decode()),
            [("a", "1"), ("k", value), ("e", value), ("z", "2")]))
        tap.check(f"body {how}: {key} in text", lambda: equal(
            body_of(lab.post(BODY, f"token is {p}\n", "text/plain; charset=utf-8",
                             is_chunked=is_chunked)).decode(), f"token is {value}\n"))
    tap.check(f"body {how}: multipart", lambda: equal(
        body_of(lab.post(BODY, f'--x\r\nContent-Disposition: form-data; name="k"\r\n\r\n{P}\r\n--x--\r\n',
                         "multipart/form-data; boundary=x", is_chunked=is_chunked)).decode(),
        f'--x\r\nContent-Disposition: form-data; name="k"\r\n\r\n{VALUE}\r\n--x--\r\n'))
tap.check("body: alias and shaped in JSON", lambda: equal(
    json.loads(body_of(lab.post(BODY, '{"a": "%s", "b": "%s"}' % (
        "x-OPENSHELL-RESOLVE-ENV-MY_KEY", lab.inside["GITHUB_TOKEN"])))), {"a": VALUE, "b": GITHUB}))
for name, body, kind in (
        ("a JSON name", f'{{"{P}": 1}}', "application/json"), ("a form's name", f"{P}=1", FORM),
        ("JSON that does not parse", f'{{"k": "{P}"', "application/json"),
        ("a type that is not opted in", P, "application/octet-stream"),
        ("text that is not UTF-8", b"\xff\xfe " + P.encode(), "text/plain"),
        ("a JSON name, escaped", f'{{"{u_escape(P)}": 1}}', "application/json"),
        ("an unknown key", f'{{"k": "{CANON}NO_SUCH"}}', "application/json"),
        ("a multipart part's name",
         f'--x\r\nContent-Disposition: form-data; name="{P}"\r\n\r\n1\r\n--x--\r\n', "multipart/form-data; boundary=x"),
        ("a body over 256 KiB", '{"a": "%s", "k": "%s"}' % ("x" * 270000, P), "application/json")):
    tap.check(f"C4 rewritten body: {name} is refused", lambda: unseen(lab.post(BODY, body, kind)))
tap.check("C4 rewritten body: Content-Encoding is refused or left", lambda: (lambda seen: equal(
    VALUE.encode() in seen, False))((lab.post(BODY, f'{{"k": "{P}"}}', fields=["Content-Encoding: gzip"]),
                                     lab.origin.seen(0.05))[1]))
tap.check("no value in cove's own words", lambda: equal(
    [v for v in ENV.values() if v in lab.stderr() or v in open(lab.world.audit, errors="replace").read()], []))
tap.check("the run ends well", lambda: equal(lab.close(), 0, lab.stderr()))
lab.remove()
tap.done()
