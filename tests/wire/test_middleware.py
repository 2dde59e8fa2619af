#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: what a middleware is told to find does not leave (or come in): it is redacted, or the request
denied, whatever the body's framing; what can't be looked into is refused or passes as on_error says;
hosts that are not selected are left alone.
Method: a real run with a provider and middlewares; raw requests from inside; an origin that keeps
what arrived and answers what the test says."""
import gzip
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import credlab  # noqa: E402
import world  # noqa: E402
from credlab import equal, field, request  # noqa: E402

VALUE = "s3cr3t.VALUE-0123456789"
PROFILE = """\
id: my-api
credentials: [{name: my_key, env_vars: [MY_KEY]}]
endpoints:
  - {host: redact.test, port: 443, protocol: rest, enforcement: enforce, access: full,
     request_body_credential_rewrite: true}
binaries: [{path: "/**"}]
"""
HOSTS = ["redact.test", "deny.test", "open.test", "sk.test", "free.test", "back.test", "cut.test", "plain.test",
         "two.test", "l4.test"]
POLICY = """\
version: 1
network_policies:
  own:
    endpoints:
%s
      - {host: plain.test, port: 80, protocol: rest, enforcement: enforce, access: full}
      - {host: l4.test, port: 443}
    binaries: [{path: "/**"}]
network_middlewares:
  red:
    middleware: cove/dlp
    order: 1
    config:
      detectors: [aws_access_key, private_key_pem, github_token, us_ssn]
      patterns: [{name: project, regex: 'proj-[0-9]{4}'}]
    endpoints: {include: [redact.test, plain.test]}
  no:
    middleware: cove/dlp
    order: 2
    config: {detectors: [aws_access_key], action: deny}
    endpoints: {include: ["deny.*", two.test, l4.test]}
  soft:
    middleware: cove/dlp
    order: 3
    on_error: fail_open
    config: {detectors: [aws_access_key], action: deny, direction: both}
    endpoints: {include: [open.test]}
  sk: {middleware: openshell/regex, order: 4, config: {mode: redact}, endpoints: {include: [sk.test, two.test]}}
  back:
    middleware: cove/dlp
    order: 5
    config: {detectors: [us_ssn], direction: response}
    endpoints: {include: ["**.test"], exclude: [free.test, open.test, deny.test, sk.test, redact.test, cut.test,
                          plain.test, two.test, l4.test]}
  cut:
    middleware: cove/dlp
    order: 6
    config: {detectors: [us_ssn], direction: response, action: deny}
    endpoints: {include: [cut.test]}
""" % "\n".join(f"      - {{host: {h}, port: 443, protocol: rest, enforcement: enforce, access: full}}"
               for h in HOSTS if h not in ("redact.test", "plain.test", "l4.test"))
AWS, SSN, SK = "AKIAIOSFODNN7EXAMPLE", "078-05-1120", "sk-0123456789abcdef"
MIB = 1 << 20

tap = world.Tap()
lab = credlab.Lab({"my-api.yaml": PROFILE}, POLICY, env={"MY_KEY": VALUE}, names=HOSTS, plain=(80,))
P = lab.inside["MY_KEY"]


def audit():
    with open(lab.world.audit, errors="replace") as f:
        return f.read()


def sent(reply):
    """(head, body) of the request at the origin."""
    if reply.status != 200:
        raise AssertionError(repr(reply))
    head, _, body = lab.origin.seen(0.02).partition(b"\r\n\r\n")
    return head + b"\r\n\r\n", body


def body_is(reply, want):
    head, body = sent(reply)
    equal(body, want.encode())
    equal(field(head, "Content-Length"), [str(len(want))])


def refused(reply, error, code=None, **more):
    seen = lab.origin.seen(0.05)
    if seen:
        raise AssertionError(f"the server saw {seen[:400]!r}")
    said = json.loads(reply.body)
    equal((reply.status, said["error"], said.get("reason_code")), (403, error, code))
    for key, value in more.items():
        equal(said.get(key), value)
    return said


# ---- requests: redact ----

tap.check("a key in JSON is redacted, and the length is right", lambda: body_is(
    lab.post("redact.test", f'{{"k": "{AWS}"}}'), '{"k": "[REDACTED:aws_access_key]"}'))
tap.check("... in chunks, cut anywhere", lambda: [body_is(
    lab.post("redact.test", f"a {AWS} b", "text/plain", is_chunked=True, size=n),
    "a [REDACTED:aws_access_key] b") for n in (1, 3, 7)])
tap.check("... in a form, and an own expression", lambda: body_is(
    lab.post("redact.test", "a=proj-1234&b=2", "application/x-www-form-urlencoded"), "a=[REDACTED:project]&b=2"))
tap.check("... without a type", lambda: body_is(lab.post("redact.test", f"x {SSN}", None), "x [REDACTED:us_ssn]"))
tap.check("... behind 900 KB", lambda: body_is(
    lab.post("sk.test", "x " * 450000 + SK, "text/plain"), "x " * 450000 + "[REDACTED:sk_token]"))
tap.check("a body without a finding passes unchanged", lambda: body_is(
    lab.post("redact.test", "AKIA proj-12 \x00", "text/plain"), "AKIA proj-12 \x00"))
tap.check("a header is redacted", lambda: equal(
    field(sent(lab.get("redact.test", fields=[f"X-Note: see {AWS}", "X-Other: y"]))[0], "X-Note"),
    ["see [REDACTED:aws_access_key]"]))
tap.check("Authorization is the caller's own affair", lambda: equal(
    field(sent(lab.get("redact.test", fields=[f"Authorization: Bearer {AWS}"]))[0], "Authorization"),
    [f"Bearer {AWS}"]))
tap.check("credentials are put in after it", lambda: body_is(
    lab.post("redact.test", f'{{"k": "{P}", "a": "{AWS}"}}', fields=[f"X-Key: {P}"]),
    f'{{"k": "{VALUE}", "a": "[REDACTED:aws_access_key]"}}'))
tap.check("what is not text is not changed, but refused", lambda: refused(
    lab.post("redact.test", f"\x00{AWS}\x00", "application/octet-stream"), "middleware_failed"))
tap.check("bytes without a finding pass", lambda: body_is(
    lab.post("redact.test", "\x00\x01", "application/octet-stream"), "\x00\x01"))
tap.check("a coded body is refused", lambda: refused(
    lab.post("redact.test", gzip.compress(AWS.encode()), fields=["Content-Encoding: gzip"]), "middleware_failed"))
tap.check("a body that is too long is refused", lambda: refused(
    lab.post("redact.test", "x" * (MIB + 1), "text/plain"), "middleware_failed"))
tap.check("... also in chunks", lambda: refused(
    lab.post("redact.test", "x" * (MIB + 1), "text/plain", is_chunked=True, size=60000), "middleware_failed"))
tap.check("an upgrade is refused", lambda: refused(lab.get("deny.test", fields=[
    "Connection: Upgrade", "Upgrade: other"]), "unsupported_l7_protocol"))
tap.check("sk- tokens, as OpenShell's built-in one", lambda: body_is(
    lab.post("sk.test", '"sk-ant-api03-abcdefghijklmnop"'), '"[REDACTED:sk_token]"'))
tap.check("Expect: 100-continue is answered, then redacted", lambda: equal(
    lab.origin.seen(0.05).partition(b"\r\n\r\n")[2] if lab.talk("redact.test", request(
        "POST", "redact.test", "/", ["Expect: 100-continue", "Content-Type: text/plain", "Content-Length: 20"]) +
        AWS.encode()).data.startswith(b"HTTP/1.1 100") else None, b"[REDACTED:aws_access_key]"))
tap.check("plain HTTP too", lambda: body_is(
    lab.post("plain.test", AWS, "text/plain", port=80, how="forward", path="http://plain.test/"), "[REDACTED:aws_access_key]"))
tap.check("C4 a placeholder in a held body in plain HTTP is refused", lambda: equal(
    (lab.post("plain.test", "x" * 70000 + P, "text/plain", port=80, how="forward",
              path="http://plain.test/").status, lab.origin.seen(0.05)),
    (403, b"")))

def over_h2(host, body, want_status, want):
    """A stream of HTTP/2; the origin speaks HTTP/1.1."""
    lab.origin.answer = credlab.OK
    lab.origin.forget()
    r = lab.sh(f"curl -sS -o /tmp/out -w '%{{http_code}} %{{http_version}}' --http2 -H 'Content-Type: text/plain' "
               f"--data-binary '{body}' https://{host}/; printf ' '; cat /tmp/out")
    status, version, said = r["out"].split(" ", 2)
    equal((status, version), (str(want_status), "2"), r)
    equal(want in (said.encode() if want_status != 200 else lab.origin.seen(0.05)), True, said)


tap.check("HTTP/2: redacted", lambda: over_h2("redact.test", f"a {AWS} b", 200, b"a [REDACTED:aws_access_key] b"))
tap.check("HTTP/2: denied", lambda: over_h2("deny.test", f"a {AWS} b", 403, b"middleware_denied"))

# ---- requests: deny ----

tap.check("deny says what was found, and where", lambda: refused(
    lab.post("deny.test", f'"{AWS}"'), "middleware_denied", "aws_access_key", middleware="no", policy="own",
    layer="l7", method="POST", path="/post", host="deny.test", port=443,
    detail="Request rejected by configured middleware"))
tap.check("deny in a header, a query, bytes", lambda: [refused(r, "middleware_denied", "aws_access_key") for r in (
    lab.get("deny.test", fields=[f"X-Note: {AWS}"]), lab.get("deny.test", f"/?q={AWS}"),
    lab.post("deny.test", f"\x00 {AWS}", "image/png"))])
tap.check("deny leaves others alone", lambda: body_is(lab.post("deny.test", "AKIA"), "AKIA"))
tap.check("two in their order: the first denies", lambda: refused(
    lab.post("two.test", f'"{AWS} sk-0123456789abcdef"'), "middleware_denied", "aws_access_key"))
tap.check("two in their order: the second redacts", lambda: body_is(
    lab.post("two.test", '"sk-0123456789abcdef"'), '"[REDACTED:sk_token]"'))
tap.check("fail open: what is too long passes", lambda: body_is(
    lab.post("open.test", "x" * (MIB + 1), "text/plain"), "x" * (MIB + 1)))
tap.check("... and is recorded", lambda: equal("too long to be looked into" in audit(), True))
tap.check("fail open: a finding is still denied", lambda: refused(
    lab.post("open.test", AWS, "text/plain"), "middleware_denied", "aws_access_key"))
tap.check("an excluded host is left alone", lambda: body_is(
    lab.post("free.test", f'"{AWS} {SSN}"', answer=credlab.OK), f'"{AWS} {SSN}"'))
tap.check("an endpoint without rules too", lambda: refused(
    lab.post("l4.test", f'"{AWS}"'), "middleware_denied", "aws_access_key"))
tap.check("bytes that are no HTTP don't pass unseen", lambda: equal(
    (b"middleware_required" in (lambda r: r.data)(lab.talk("l4.test", b"\x01\x02\x03\x04 hello there\r\n", how="tls")),
     lab.origin.seen(0.05)), (True, b"")))

# ---- responses ----


def answer(body, fields="Content-Type: text/plain\r\n"):
    body = body if isinstance(body, bytes) else body.encode()
    return f"HTTP/1.1 200 OK\r\n{fields}Content-Length: {len(body)}\r\n\r\n".encode() + body


def chunked(*pieces, kind="text/plain", pause=0.02):
    return [f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n".encode(),
            *(x for p in pieces for x in (b"%x\r\n%s\r\n" % (len(p), p.encode()), pause)), b"0\r\n\r\n"]


tap.check("a response is redacted", lambda: equal(
    lab.get("back.test", answer=answer(f"a {SSN} b")).body, b"a [REDACTED:us_ssn] b"))
tap.check("... in chunks that cut it", lambda: equal(
    lab.get("back.test", answer=chunked("a 078-", "05-1", "120 b")).body, b"a [REDACTED:us_ssn] b"))
tap.check("what was cut off does not pass", lambda: equal(
    lab.get("back.test", answer=[f"HTTP/1.1 200 OK\r\n\r\na {SSN}".encode(), None]).data, b""))
tap.check("... for HTTP/1.0", lambda: equal(
    lab.talk("back.test", request("GET", "back.test", version="HTTP/1.0"), answer=answer(SSN)).body,
    b"[REDACTED:us_ssn]"))
tap.check("no coding is asked for", lambda: equal(
    field(sent(lab.get("back.test", fields=["Accept-Encoding: gzip, br"]))[0], "Accept-Encoding"), ["identity"]))
tap.check("a coded response is refused", lambda: equal(
    lab.get("back.test", answer=answer(gzip.compress(SSN.encode()), "Content-Encoding: gzip\r\n")).error,
    "middleware_failed"))
tap.check("a response that is too long is refused", lambda: equal(
    lab.get("back.test", answer=answer("x" * (MIB + 1))).error, "middleware_failed"))
tap.check("an empty response, and HEAD", lambda: equal(
    (lab.get("back.test", answer=answer("")).status, lab.talk("back.test", request("HEAD", "back.test"), method="HEAD",
     answer=b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n").status), (200, 200)))
tap.check("a response is denied in its place", lambda: equal(
    (lambda r: (r.status, r.error, json.loads(r.body)["reason_code"], SSN.encode() in r.data))(
        lab.get("cut.test", answer=answer(f"a {SSN}"))), (403, "middleware_denied", "us_ssn", False)))
tap.check("a response without a finding passes whole", lambda: equal(
    lab.get("cut.test", answer=answer("fine")).body, b"fine"))


def events_come():
    reply = lab.get("back.test", answer=[
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"9\r\ndata: 1\n\n\r\n", 4, b"13\r\ndata: 078-05-1120\n\n\r\n", b"0\r\n\r\n"])
    equal(reply.body, b"data: 1\n\ndata: [REDACTED:us_ssn]\n\n")
    equal(reply.times[0][0] < 3, True, reply.times)


tap.check("an event stream is redacted event by event", events_come)


def events_cut():
    reply = lab.get("cut.test", answer=chunked("data: 1\n\n", f"data: {SSN}\n\n", kind="text/event-stream",
                                               pause=0.3))
    equal((b"data: 1" in reply.data, SSN.encode() in reply.data, b"0\r\n\r\n" in reply.data), (True, False, False))


tap.check("an event stream is cut before what is denied", events_cut)
tap.check("redactions are recorded by detector", lambda: equal(
    [w for w in ("aws_access_key", "redacted 1 in the request", "redacted 1 in the response",
                 "middleware_failed") if w not in audit()], []))
tap.check("nothing that was found is recorded", lambda: equal(SSN in audit() or f'"{AWS}"' in audit(), False))
tap.check("the run ends well", lambda: equal(lab.close(), 0, lab.stderr()))
lab.remove()
tap.done()
