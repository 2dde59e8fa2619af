#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: a placeholder is replaced in the places that docs/concepts/placeholders.md names, exactly and
once; anywhere else the request is refused and not one byte of it reaches the server (C4).
Method: a real run with a provider; raw requests from inside; an origin that keeps what arrived."""
import base64
import json
import os
import re
import sys
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import credlab  # noqa: E402
import world  # noqa: E402
from credlab import ENV, JWT, ODD, OK, VALUE, b64, equal, field, refused, request, target  # noqa: E402

HOST = "api.test"
SETTLE = 0.01  # for bytes to arrive that should not

tap = world.Tap()
lab = credlab.Lab({"my-api.yaml": credlab.profile()}, env=ENV, names=[HOST])
P = lab.inside["MY_KEY"]
CANON = "openshell:resolve:env:"
STABLE = CANON + "s" + "0123456789abcdef" * 4 + "_"


def forms(key):
    return {"canonical": CANON + key, "revision": f"{CANON}v1_{key}", "stable": STABLE + key,
            "alias": f"sk-live.x~y_z-OPENSHELL-RESOLVE-ENV-{key}", "in the environment": lab.inside[key]}


def passes(reply):
    if reply.status != 200:
        raise AssertionError(repr(reply))
    return lab.origin.seen()


def header(text, want, name="X-Key"):
    def check():
        seen = passes(lab.get(HOST, "/x", [f"{name}: {text}"]))
        equal(field(seen, name), [want])
        assert b"openshell" not in seen.lower(), seen
    return check


def basic(user, password, want):
    return header("Basic " + b64(f"{user}:{password}"), "Basic " + b64(want), "Authorization")


def path(text, want):
    def check():
        seen = passes(lab.get(HOST, text))
        equal(target(seen), want)
        equal(seen.count(b"\r\n\r\n"), 1)
    return check


def stopped(reply):
    """An answer of cove, and nothing at the server."""
    seen = lab.origin.seen(SETTLE)
    assert not seen, f"the server saw {seen[:600]!r}; {reply!r}"
    assert 400 <= reply.status <= 500, repr(reply)


# ---- every form in every place ----

for key in ("MY_KEY", "GITHUB_TOKEN", "MY_JWT", "ANTHROPIC_API_KEY", "AWS_ACCESS_KEY_ID"):
    value = ENV[key]
    for name, p in forms(key).items():
        if key != "MY_KEY" and name != "in the environment":
            continue
        said = f"{name} placeholder of {key}"
        escaped = urllib.parse.quote(value, safe="")
        tap.check(f"{said}: header value", header(p, value))
        tap.check(f"{said}: <scheme> P", header("Bearer " + p, "Bearer " + value, "Authorization"))
        tap.check(f"{said}: Basic password", basic("user", p, "user:" + value))
        tap.check(f"{said}: Basic user", basic(p, "x-oauth-basic", value + ":x-oauth-basic"))
        tap.check(f"{said}: Basic user and no password", basic(p, "", value + ":"))
        tap.check(f"{said}: Basic user and password", basic(p, p, f"{value}:{value}"))
        tap.check(f"{said}: cookie", header(f"a=b; session={p}; c=d", f"a=b; session={value}; c=d", "Cookie"))
        tap.check(f"{said}: cookie in quotes", header(f'session="{p}"', f'session="{value}"', "Cookie"))
        tap.check(f"{said}: path segment", path(
            f"/bot:{p}/send", f"/bot:{escaped}/send"))
        tap.check(f"{said}: query value", path(f"/q?a=b&key={p}&c=d", f"/q?a=b&key={escaped}&c=d"))

tap.check("shape: GitHub's checksum holds", lambda: equal(
    lab.inside["GITHUB_TOKEN"], credlab.github_token(lab.inside["GITHUB_TOKEN"][4:34])))
tap.check("shape: a JWT has three parts and a header and payload that parse", lambda: [
    equal(len(lab.inside["MY_JWT"].split(".")), 3),
    [json.loads(base64.urlsafe_b64decode(x + "=" * (-len(x) % 4)))
     for x in lab.inside["MY_JWT"].split(".")[:2]]])
tap.check("C13 shape: AKIA and 16 capitals", lambda: equal(
    (lab.inside["AWS_ACCESS_KEY_ID"][:4], len(lab.inside["AWS_ACCESS_KEY_ID"])), ("AKIA", 20)))
for key in ENV:
    tap.check(f"C10 the environment has a placeholder for {key}, not the value",
              lambda: equal(ENV[key] in lab.inside[key] or lab.inside[key] in ENV[key], False))

# ---- the value is escaped for its place, arrives once, and stays one thing ----

O = CANON + "ODD_KEY"
tap.check("escape: header", header(O, ODD))
tap.check("escape: Basic", basic("u", O, "u:" + ODD))
tap.check("escape: path segment", lambda: equal(
    [urllib.parse.unquote(x) for x in target(passes(lab.get(HOST, f"/a/{O}/b?c"))).split("?")[0].split("/")],
    ["", "a", ODD, "b"]))


def query():
    seen = passes(lab.get(HOST, f"/q?a=1&key={O}&b=2"))
    equal(urllib.parse.parse_qsl(urllib.parse.urlsplit(target(seen)).query),
          [("a", "1"), ("key", ODD), ("b", "2")])


tap.check("escape: query value; it can't add a parameter", query)


def cookie_breaks():
    r = lab.get(HOST, "/", [f"Cookie: a={O}; b=c"])
    seen = lab.origin.seen(SETTLE)
    if r.status == 200:  # either as it is, when that is one value, or refused: never two cookies
        values = [x.strip() for x in field(seen, "cookie")[0].split(";")]
        equal(len(values), 2, repr(seen))
    else:
        equal(seen, b"")


tap.check("escape: a value with a semicolon can't add a cookie", cookie_breaks)
tap.check("escape: percent-encoded cookie value", header(
    f"s={urllib.parse.quote(P, safe='')}", f"s={urllib.parse.quote(VALUE, safe='')}", "Cookie"))
tap.check("a JWT in a cookie", header(f"s={CANON}MY_JWT", f"s={JWT}", "Cookie"))
tap.check("MY_KEY_2 is not MY_KEY", header(CANON + "MY_KEY_2", "another-VALUE-of-key-2"))
tap.check("two placeholders in two fields", lambda: [
    (lambda seen: equal((field(seen, "a"), field(seen, "b")), ([VALUE], [ODD])))(
        passes(lab.get(HOST, "/", [f"A: {P}", f"B: {O}"])))])
tap.check("path, query and header at once", lambda: (lambda seen: equal(
    (target(seen), field(seen, "b")), (f"/{VALUE}?k={VALUE}", [VALUE])))(
        passes(lab.get(HOST, f"/{P}?k={P}", [f"B: {P}"]))))
tap.check("keep-alive: the second request has no value of the first", lambda: (lambda seen: equal(
    (seen.count(VALUE.encode()), field(seen[seen.index(b"GET /two"):], "a")), (1, [])))(
        passes(lab.talk(HOST, [request("GET", HOST, "/one", [f"A: {P}"]), request("GET", HOST, "/two")],
                        count=2, pause=0.1))))
tap.check("nothing else of the request is changed", lambda: equal(
    passes(lab.get(HOST, "/x?y=%41&z=a+b", [f"Authorization: Bearer {P}", "Accept: */*", "X-Other: a  b",
                                            "Accept-Encoding: identity"])),
    f"GET /x?y=%41&z=a+b HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {VALUE}\r\nAccept: */*\r\n"
    "X-Other: a  b\r\nAccept-Encoding: identity\r\n\r\n".encode()))

for name, p in (("canonical", P), ("alias", "x-OPENSHELL-RESOLVE-ENV-MY_KEY")):
    for how, e in (("whole", "".join(f"%{ord(c):02x}" for c in p)), ("in part", p.replace("E", "%45", 1)
                                                                   .replace(":", "%3A", 1))):
        tap.check(f"{name}, percent-encoded {how}, in a path", path(f"/a/{e}/b", f"/a/{VALUE}/b"))
        tap.check(f"{name}, percent-encoded {how}, in a query", path(f"/a?k={e}", f"/a?k={VALUE}"))
tap.check("an escaped slash in a query value stays", path(f"/a?k={CANON}SLASH_KEY", "/a?k=sec%2Fret-0123456789"))

tap.check("a trailer without a placeholder arrives", lambda: equal(b"X-T: fine" in passes(lab.talk(
    HOST, request("POST", HOST, "/", ["Transfer-Encoding: chunked", f"A: {P}"]) +
    b"2\r\nok\r\n0\r\nX-T: fine\r\n\r\n")), True, lab.origin.seen()))

# ---- values that a place can't hold ----

for name, key in (("a slash", "SLASH_KEY"), ("two dots", "DOTS_KEY")):
    tap.check(f"C4 a value with {name} is not put into a path", lambda: stopped(lab.get(HOST, f"/a/{CANON}{key}/b")))
    tap.check(f"a value with {name} in a header", header(CANON + key, ENV[key]))

# ---- C4: anywhere else ----


def pct(text, which=lambda c: True):
    return "".join(f"%{ord(c):02X}" if which(c) else c for c in text)


def c4(name, make):
    """make() sends; whatever is answered, the server saw nothing and no value came back."""
    def check():
        reply = make()
        stopped(reply)
        equal(VALUE.encode() in reply.data, False)
    tap.check("C4 " + name, check)


def gone(name, where):
    """A part of the target that is taken away before it is judged: nobody sees it."""
    def check():
        reply = lab.get(HOST, where)
        seen = lab.origin.seen(SETTLE)
        assert not seen or not re.search(b"openshell|ghp_|s3cr3t", seen, re.I), seen
        assert reply.status == 200 or not seen, repr(reply)
    tap.check("C4 " + name, check)


def get(where="/", fields=(), host=HOST):
    return lambda: lab.get(host, where, fields)


ALIAS = "x-OPENSHELL-RESOLVE-ENV-MY_KEY"
half = len(CANON) // 2
for form, p in (("canonical", CANON + "MY_KEY"), ("alias", ALIAS), ("shaped", lab.inside["GITHUB_TOKEN"])):
    colon = p.replace(":", "%3A")
    if ":" not in p:  # one with colons is a name and a value
        c4(f"{form}: header name", get(fields=[f"{p}: x"]))
    c4(f"{form}: method", lambda: lab.talk(HOST, request(p, HOST)))
    c4(f"{form}: within a longer header value", get(fields=[f"X-A: one {p} two three"]))
    c4(f"{form}: in a JSON header", get(fields=[f'X-A: {{"key":"{p}"}}']))
    c4(f"{form}: user agent", get(fields=[f"User-Agent: agent/1.0 ({p})"]))
    c4(f"{form}: referer", get(fields=[f"Referer: https://api.test/?k={p}"]))
    c4(f"{form}: cookie name", get(fields=[f"Cookie: {p}=1"]))
    c4(f"{form}: query name", get(f"/?{p}=1"))
    c4(f"{form}: query without =", get(f"/?{p}"))
    gone(f"{form}: path parameter", f"/a;k={p}/b")
    gone(f"{form}: a segment that dots take away", f"/a/{p}/../b")
    c4(f"{form}: Basic in Basic", get(fields=[
        "Authorization: Basic " + b64("Basic " + b64("u:" + p))]))
    c4(f"{form}: base64 of base64", get(fields=["Authorization: Basic " + b64("u:" + b64(p))]))
    c4(f"{form}: percent-encoded in Basic", get(fields=["Authorization: Basic " + b64("u:" + pct(p))]))
    c4(f"{form}: percent-encoded whole in a header", get(fields=["X-A: " + pct(p)]))
    c4(f"{form}: percent-encoded in part in a header", get(fields=["X-A: " + pct(p[:3]) + p[3:]]))
    c4(f"{form}: percent-encoded twice in a header", get(fields=["X-A: " + pct(pct(p))]))
    c4(f"{form}: percent-encoded twice in a path", get("/a/" + pct(pct(p))))
    c4(f"{form}: percent-encoded twice in a query", get("/a?k=" + pct(pct(p))))
    c4(f"{form}: percent-encoded query name", get(f"/?{pct(p)}=1"))
    c4(f"{form}: Content-Type", lambda: lab.post(HOST, "{}", kind=f"text/{p}; charset={p}"))
    c4(f"{form}: Host's port or user", get(fields=[], where=f"https://{p}@{HOST}/"))
    c4(f"{form}: Accept-Encoding", get(fields=[f"Accept-Encoding: gzip, {p}"]))
    c4(f"{form}: Transfer-Encoding's neighbour TE", get(fields=[f"TE: {p}"]))
    c4(f"{form}: Connection option", get(fields=[f"Connection: {p}"]))
    c4(f"{form}: Expect", get(fields=[f"Expect: {p}"]))
    c4(f"{form}: Upgrade", get(fields=[f"Upgrade: {p}", "Connection: upgrade"]))
    for way, trailer in (("", f"X-T: {p}"), ("'s name", f"{p}: 1")):
        tap.check(f"C4 {form}: trailer{way}", lambda: (
            lab.talk(HOST, request("POST", HOST, "/", ["Transfer-Encoding: chunked"]) +
                     f"2\r\nok\r\n0\r\n{trailer}\r\n\r\n".encode()),
            equal(re.findall(rb"(?i)openshell.*|ghp_.*|X-T.*", lab.origin.seen(SETTLE)), []))[1])
    c4(f"{form}: chunk extension", lambda: lab.talk(
        HOST, request("POST", HOST, "/", ["Transfer-Encoding: chunked"]) +
        f"2;x={p}\r\nok\r\n0\r\n\r\n".encode()))
    c4(f"{form}: fragment", get(f"/a#{p}"))


def each_letter(where):
    """One letter after the other as %XX: replaced, or refused, never passed on."""
    bad = []
    for p in (CANON + "MY_KEY", ALIAS):
        jobs = []
        lab.origin.forget()
        lab.origin.answer = OK
        for i in range(len(p)):
            e = p[:i] + pct(p[i]) + p[i + 1:]
            jobs.append(lab.start_talk(HOST, {
                "a header": lambda: request("GET", HOST, "/", [f"X-A: {e}"]),
                "a path": lambda: request("GET", HOST, f"/{e}"),
                "a query": lambda: request("GET", HOST, f"/?k={e}"),
                "a query's name": lambda: request("GET", HOST, f"/?{e}"),
                "a cookie": lambda: request("GET", HOST, "/", [f"Cookie: s={e}"]),
                "Basic": lambda: request("GET", HOST, "/", ["Authorization: Basic " + b64("u:" + e)])}[where]()))
        for job in jobs:
            lab.wait(job)
        seen = lab.origin.seen(SETTLE)
        seen += b"".join(base64.b64decode(x) for x in re.findall(rb"Basic ([^\r]+)", seen))
        bad += re.findall(rb"[^ =/\r\n:]{0,6}:?%[0-9A-F]{2}[^\r\n =]*", seen)
    equal(bad, [])


for where in ("a header", "a path", "a query", "a query's name", "a cookie", "Basic"):
    tap.check(f"C4 each letter on its own percent-encoded, in {where}", lambda: each_letter(where))
c4("a field by its name: split over two fields of one name", get(fields=[
    f"X-A: {CANON[:half]}", f"X-A: {CANON[half:]}MY_KEY"]))
c4("split over two fields, the marker in the first", get(fields=[f"X-A: {CANON}MY_", "X-B: KEY"]))
c4("split over two fields, the key in the second", get(fields=[f"X-A: {CANON}", "X-B: MY_KEY"]))
c4("split over two segments", get("/openshell:resolve/:env:MY_KEY/x"))
c4("split over two segments, at the key", get("/openshell:resolve:env:/MY_KEY"))
c4("split by an encoded slash", get("/openshell:resolve%2F:env:MY_KEY"))
c4("split over query values", get("/?a=openshell:resolve:&b=env:MY_KEY"))
tap.check("in other letters it is no placeholder", lambda: equal(
    field(passes(lab.get(HOST, "/x", ["X-Key: OpenShell:Resolve:Env:MY_KEY"])), "x-key"),
    ["OpenShell:Resolve:Env:MY_KEY"]))
c4("Basic twice in one field", get(fields=[f"Authorization: Basic {b64('u:' + P)} {b64('u:' + P)}"]))
c4("a list of two schemes", get(fields=[f"Authorization: Bearer {P}, Basic {b64('u:' + P)}"]))
c4("unpadded Basic with a placeholder and junk", get(fields=[
    f"Authorization: Basic {b64('u:' + P + 'x').rstrip('=')}!"]))
c4("url-safe base64 in Basic", get(fields=["Authorization: Basic " + base64.urlsafe_b64encode(
    b"\xff\xfe\xfb:" + P.encode()).decode()]))
for key in ("NO_SUCH", "MY_KEYX", "my_key", "MY_KEY_", "PATH", ""):
    tap.check(f"unknown key {key!r} is 500 credential_unavailable", lambda: refused(
        lab, lab.get(HOST, "/", [f"Authorization: Bearer {CANON}{key}"]), 500, "credential_unavailable"))

tap.check("no value in cove's own words", lambda: equal(
    [v for v in ENV.values() if v in lab.stderr() or v in open(lab.world.audit, errors="replace").read()], []))
tap.check("the run ends well", lambda: equal(lab.close(), 0, lab.stderr()))
lab.remove()
tap.done()
