#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: tokens that a token endpoint mints for the agent never reach it: it gets placeholders, which work
where their provider is bound (a refresh token's at the token endpoint only), and what can't be read is not
handed on (C9).  They are bounded in number, end with the run, and are in no file, log or memory of it.
Method: a real run with a provider that declares the endpoint, and an issuer over TLS that rotates tokens and
keeps what it was sent; the same origin is the API."""
import gzip
import json
import os
import re
import signal
import sys
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import credlab  # noqa: E402
import world  # noqa: E402
from credlab import equal, field, request  # noqa: E402

AUTH, API, OTHER = "auth.test", "api.test", "other.test"
FIRST = "rt-first-0123456789"
MINTED_MAX = 32  # CV_PH_MINTED_MAX
PROFILE = """\
id: issued
credentials: [{name: first, env_vars: [FIRST_REFRESH]}]
endpoints:
  - {host: auth.test, port: 443, path: "/oauth/**", protocol: rest, enforcement: enforce, access: full,
     token_endpoint: true}
  - {host: api.test, port: 443, protocol: rest, enforcement: enforce, access: full}
binaries: [{path: "/**"}]
"""
ELSE = """\
id: else
credentials: [{name: key, env_vars: [ELSE_KEY]}]
endpoints: [{host: other.test, port: 443, protocol: rest, enforcement: enforce, access: full}]
binaries: [{path: "/**"}]
"""
tap = world.Tap()
lab = credlab.Lab({"issued.yaml": PROFILE, "else.yaml": ELSE}, names=[AUTH, API, OTHER],
                  env={"FIRST_REFRESH": FIRST, "ELSE_KEY": "else-key-0123456789"})
TOKENS = [FIRST]  # all that was ever minted: none may be seen inside


def minted(kind, lives=3600, **more):
    """One answer's members, of which no other has the tokens."""
    n = len(TOKENS)
    tokens = {"access_token": f"ghp_{kind}-access-{n}-0123456789", "refresh_token": f"{kind}/refresh+{n}=0123456789",
              "id_token": f"eyJhbGciOiJub25lIn0.eyJuIjp7{n}fQ.{kind}-signature"}
    TOKENS.extend(tokens.values())
    return {"token_type": "Bearer", "expires_in": lives, **tokens, **more}


def answer(body, status="200 OK", fields=(), kind="application/json"):
    body = body if isinstance(body, bytes) else body.encode()
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Type: {kind}", *fields])
    return f"{head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def clean(reply):
    """Nothing of any token in what the agent got."""
    said = [t for t in TOKENS if t.encode() in reply.data or t.replace("/", "\\/").encode() in reply.data]
    equal(said, [], repr(reply))
    return reply


def exchange(form, reply, **more):
    body = form if isinstance(form, str) else urllib.parse.urlencode(form)
    r = lab.post(AUTH, body, more.pop("kind", "application/x-www-form-urlencoded"), path="/oauth/token",
                 answer=reply, **more)
    return clean(r)


def refresh(placeholder, members, **more):
    return exchange({"grant_type": "refresh_token", "refresh_token": placeholder}, answer(json.dumps(members)), **more)


def sent():
    """The form that the issuer got."""
    return dict(urllib.parse.parse_qsl(lab.origin.seen().split(b"\r\n\r\n", 1)[1].decode()))


def use(placeholder, host=API, **more):
    return lab.get(host, "/me", [f"Authorization: Bearer {placeholder}"], **more)


HELD = {}


def first_exchange():
    members = minted("one", scope="a b", nested={"n": 1.50})
    r = refresh(lab.inside["FIRST_REFRESH"], members)
    equal((r.status, sent()["refresh_token"]), (200, FIRST), repr(r))
    got = json.loads(r.body)
    equal({k: v for k, v in got.items() if "_token" not in k}, {k: v for k, v in members.items() if "_token" not in k})
    assert b'"nested": {"n": 1.5}' in r.body, r.body
    HELD.update({k: (got[k], members[k]) for k in ("access_token", "refresh_token", "id_token")})
    assert got["access_token"].startswith("ghp_") and got["id_token"].count(".") == 2, got
    equal(len({v for v, _ in HELD.values()}), 3)


def works():
    for kind in ("access_token", "id_token"):
        placeholder, token = HELD[kind]
        r = use(placeholder)
        equal((r.status, field(lab.origin.seen(), "authorization")), (200, [f"Bearer {token}"]), repr(r))


def bound():
    credlab.refused(lab, use(HELD["access_token"][0], OTHER))
    credlab.refused(lab, use(HELD["refresh_token"][0]))
    credlab.refused(lab, lab.get(AUTH, "/else", [f"Authorization: Bearer {HELD['access_token'][0]}"]), error=None)


def refreshed():
    """The minted refresh token in a form and in JSON; what comes back unchanged keeps its placeholder."""
    placeholder, token = HELD["refresh_token"]
    r = refresh(placeholder, {**minted("two"), "refresh_token": token})
    equal((r.status, sent()["refresh_token"], json.loads(r.body)["refresh_token"]), (200, token, placeholder), repr(r))
    r = exchange(json.dumps({"refresh_token": placeholder}), answer(json.dumps(minted("json"))),
                 kind="application/json")
    equal((r.status, json.loads(lab.origin.seen().split(b"\r\n\r\n", 1)[1])), (200, {"refresh_token": token}))
    r = refresh(lab.inside["FIRST_REFRESH"], {**minted("three"), "refresh_token": FIRST})
    equal(json.loads(r.body)["refresh_token"], lab.inside["FIRST_REFRESH"])


def without_any():
    """A code, from a client that has no credential at all."""
    r = exchange({"grant_type": "authorization_code", "code": "c0de"}, answer(json.dumps(minted("code"))))
    equal((r.status, sent()["code"]), (200, "c0de"), repr(r))
    assert json.loads(r.body)["access_token"].startswith("ghp_"), r.body


def scrubbed():
    """What the API and the issuer say of tokens, in head and body, and beside the members."""
    placeholder, token = HELD["access_token"]
    r = use(placeholder, answer=answer(json.dumps({"you": token}), fields=[f"X-You: {token}"]))
    equal((clean(r).status, b"*****" in r.body, b"*****" in r.head), (200, True, True), repr(r))
    members = minted("beside")
    members.update(hint=f"Bearer {members['access_token']}", again=[members["refresh_token"]])
    r = exchange({"grant_type": "x"}, answer(json.dumps(members), fields=[f"X-Token: {members['access_token']}"]))
    equal(r.status, 200, repr(r))
    assert b"hint" in r.body and b"X-Token: *" in r.head, repr(r)


def framed():
    """Chunks, codings, pieces: the agent gets JSON of a known length."""
    for name, make in {
            "chunks": lambda b: b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"".join(
                b"%x\r\n%s\r\n" % (len(p), p) for p in (b[i:i + 7] for i in range(0, len(b), 7))) + b"0\r\nX-T: 1\r\n\r\n",
            "gzip": lambda b: answer(gzip.compress(b), fields=["Content-Encoding: gzip", 'ETag: "e"']),
            "pieces": lambda b: [answer(b)[:30], 0.05, answer(b)[30:140], 0.05, answer(b)[140:]],
            "behind": lambda b: answer(b) + b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad"}.items():
        r = exchange({"grant_type": name}, make(json.dumps(minted(name)).encode()))
        got = json.loads(r.body)
        equal((r.status, b"content-encoding" in r.head.lower(), b"chunked" in r.head.lower(), b"bad" in r.data),
              (200, False, False, False), f"{name} {r!r}")
        equal(use(got["access_token"]).status, 200)
        assert TOKENS[-3] in field(lab.origin.seen(), "authorization")[0]


def errors_pass():
    said = '{"error":"invalid_grant","error_description":"no"}'
    r = exchange({"grant_type": "x"}, answer(said, "400 Bad Request"))
    equal((r.status, r.body.decode()), (400, said))
    r = exchange({"grant_type": "x"}, answer('{"error":"authorization_pending"}'))
    equal((r.status, r.error), (200, "authorization_pending"))
    r = exchange({"grant_type": "x"}, answer("", "204 No Content"))
    equal(r.status, 204)
    r = exchange({"grant_type": "x"}, answer(""))
    equal((r.status, r.body), (200, b""))


def refused_answers():
    """Success that can't be read: 502, and not one byte of it."""
    token = "secret-in-an-odd-answer-0123456789"
    TOKENS.append(token)
    for name, reply in {
            "form": answer(f"access_token={token}&token_type=bearer", kind="application/x-www-form-urlencoded"),
            "html": answer(f"<p>{token}</p>", kind="text/html"),
            "twice": answer('{"access_token":"%s","access_token":"x"}' % token),
            "list": answer('{"access_token":["%s"]}' % token),
            "cut": [answer('{"access_token":"%s"}' % token)[:-4], None],
            "no end": [b"HTTP/1.1 200 OK\r\n\r\n" + b'{"access_token":"%s"}' % token.encode(), None],  # nor TLS's
            "tail": answer('{"access_token":"%s"} {}' % token),
            "long": answer('{"access_token":"%s","x":"%s"}' % (token, "x" * 40000)),
            "many": answer(json.dumps([{"token": f"{token}{i}"} for i in range(9)])),
            "coding": answer(token, fields=["Content-Encoding: compress"]),
            "bomb": answer(gzip.compress(b'{"access_token":"%s"' % token.encode() + b" " * 90000 + b"}"),
                           fields=["Content-Encoding: gzip"]),
            "part": answer('{"access_token":"%s"}' % token, "206 Partial Content")}.items():
        r = exchange({"grant_type": name}, reply)
        equal((r.status, r.error), (502, "token_answer_refused"), f"{name} {r!r}")


def over_h2():
    members = minted("h2")
    lab.origin.answer = answer(json.dumps(members))
    (stream,) = lab.h2(AUTH, {"method": "POST", "path": "/oauth/token", "body": "grant_type=x",
                              "fields": [["content-type", "application/x-www-form-urlencoded"]]})
    equal([t for t in TOKENS if t in json.dumps(stream)], [])
    got = json.loads(stream["body"])
    equal((stream["head"][":status"], got["expires_in"], got["access_token"].startswith("ghp_")), ("200", 3600, True))
    equal(use(got["access_token"]).status, 200)
    equal(field(lab.origin.seen(), "authorization"), [f"Bearer {members['access_token']}"])


def expires():
    got = json.loads(exchange({"grant_type": "x"}, answer(json.dumps(minted("brief", lives=1)))).body)
    time.sleep(1.2)
    credlab.refused(lab, use(got["access_token"]), 502, "credential_expired")


def proxy_dies():
    """The keeper has them: a new proxy is told."""
    got = json.loads(exchange({"grant_type": "x"}, answer(json.dumps(minted("kept")))).body)
    (old,) = lab.processes()["cove-proxy"]
    os.kill(old, signal.SIGKILL)
    end = time.monotonic() + 20
    while lab.processes().get("cove-proxy", [old]) == [old]:
        assert time.monotonic() < end, "no new proxy"
        time.sleep(0.05)
    equal(use(got["access_token"]).status, 200)
    equal(field(lab.origin.seen(), "authorization"), [f"Bearer {TOKENS[-3]}"])


def keeper_dies():
    """With it they are gone: what they stood for is sent no more; new ones are other ones."""
    got = json.loads(exchange({"grant_type": "x"}, answer(json.dumps(minted("lost")))).body)
    (old,) = lab.processes()["cove-keeper"]
    os.kill(old, signal.SIGKILL)
    end = time.monotonic() + 30
    while True:
        r = refresh(lab.inside["FIRST_REFRESH"], minted("anew"), timeout=10)
        if r.status == 200:
            break
        assert time.monotonic() < end, repr(r)
        time.sleep(0.1)
    again = json.loads(r.body)
    equal([k for k in ("access_token", "refresh_token", "id_token") if again[k] == got[k]], [])
    use(got["access_token"])
    equal([t for t in TOKENS if t.encode() in lab.origin.seen()], [])
    r = refresh(got["refresh_token"], {})
    equal((r.status, r.error, lab.origin.seen()), (500, "credential_unavailable", b""), repr(r))
    equal(use(again["access_token"]).status, 200)
    equal(field(lab.origin.seen(), "authorization"), [f"Bearer {TOKENS[-3]}"])


def bounded():
    """The oldest go; what they stood for is sent no more, and the last one works."""
    first = last = None
    for _ in range(MINTED_MAX // 3 + 2):
        last = json.loads(exchange({"grant_type": "x"}, answer(json.dumps(minted("many")))).body)
        first = first or last
    use(first["access_token"])
    equal([t for t in TOKENS if t.encode() in lab.origin.seen()], [])
    equal(use(last["access_token"]).status, 200)
    equal(field(lab.origin.seen(), "authorization"), [f"Bearer {TOKENS[-3]}"])


def nowhere():
    """Grep: the agent's processes and files, the proxy's memory, the run's log and messages."""
    needles = [t.encode() for t in TOKENS]
    (proxy,) = lab.processes()["cove-proxy"]
    lab.get(API, "/bye")
    out = lab.sh("env; cat /proc/*/environ /proc/*/cmdline 2>/dev/null; cat /var/log/openshell*.log; true")["out"]
    equal([t for t in TOKENS if t in out], [])
    with open(lab.world.audit, "rb") as f:
        audit = f.read()
    equal(([n for n in needles if n in audit], [t for t in TOKENS if t in lab.stderr()]), ([], []))
    for pids in (v for k, v in lab.processes().items() if k.startswith("python")):
        for pid in pids:
            equal(credlab.memory_has(pid, needles), [])
    equal(credlab.memory_has(proxy, needles), [])
    events = [e for e in map(json.loads, audit.splitlines()) if e.get("unmapped", {}).get("cause") == "minted"]
    assert events and events[0]["unmapped"]["provider"] == "issued", events[:1]
    assert re.fullmatch(",".join([r"COVE_MINTED_\d+_[0-9a-f]{8}"] * 3), events[0]["unmapped"]["credential"]), events


for check in (first_exchange, works, bound, refreshed, without_any, scrubbed, framed, errors_pass, refused_answers,
              over_h2, expires, proxy_dies, keeper_dies, bounded, nowhere):
    tap.check("C9 " + check.__name__.replace("_", " "), check)
tap.check("the run ends", lambda: equal(lab.close(), 0, lab.stderr()))
lab.remove()
tap.done()
