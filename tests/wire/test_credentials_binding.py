#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: a credential goes to the host, port, path and method it is bound to, and nowhere else: 403
credential_endpoint_mismatch and not one byte at any server (C1); with `credential_mode: require` the
agent's own credential goes nowhere either (C5); what is put in can't be overridden (C6).
Method: two providers and a policy in a real run; raw requests from inside; origins that keep bytes."""
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import credlab  # noqa: E402
import world  # noqa: E402
from credlab import OK, b64, equal, field, refused, request, target  # noqa: E402

ONE, TWO, BIND = "s3cr3t.ONE-0123456789", "s3cr3t.TWO-0123456789", "s3cr3t.BIND-0123456789"
NAMES = ["api.test", "sub.api.test", "part.test", "two.test", "other.test", "req.test", "l4.test", "bind.test",
         "plain.test", "deep.wild.test", "wild.test", "skip.test", "audit.test", "both.test", "raw.test",
         "bare.test"]
PROFILES = {
    "one.yaml": """\
id: one
credentials:
  - {name: key, env_vars: [ONE_KEY], required: true, auth_style: query, query_param: key}
  - {name: own, env_vars: [ONE_TOKEN], required: true, shape: github_pat}
endpoints:
  - {host: api.test, port: 443, protocol: rest, enforcement: enforce, access: full}
  - host: part.test
    port: 443
    path: "/v1/**"
    protocol: rest
    enforcement: enforce
    rules:
      - allow: {method: GET, path: "/v1/**"}
  - {host: req.test, port: 443, protocol: rest, enforcement: enforce, access: full, credential_mode: require}
  - {host: plain.test, port: 8080, protocol: rest, enforcement: enforce, access: full}
  - {host: "*.wild.test", port: 443, protocol: rest, enforcement: enforce, access: full}
  - {host: both.test, port: 443, protocol: rest, enforcement: enforce, access: full}
  - {host: raw.test, port: 443, tls: skip}
  - {host: bare.test, port: 443}
binaries: [{path: "/**"}]
""",
    "two.yaml": """\
id: two
credentials: [{name: key, env_vars: [TWO_KEY], required: true}]
endpoints:
  - {host: two.test, port: 443, protocol: rest, enforcement: enforce, access: full}
  - {host: both.test, port: 443, protocol: rest, enforcement: enforce, access: full}
binaries: [{path: "/**"}]
""",
    "bind.yaml": """\
id: bound
credentials: [{name: key, env_vars: [BIND_KEY], required: true}]
binaries: [{path: "/**"}]
"""}
POLICY = """\
version: 1
network_policies:
  own:
    endpoints:
      - {host: other.test, port: 443, protocol: rest, enforcement: enforce, access: full}
      - {host: other.test, port: 8080, protocol: rest, enforcement: enforce, access: full}
      - {host: sub.api.test, port: 443, protocol: rest, enforcement: enforce, access: full}
      - {host: wild.test, port: 443, protocol: rest, enforcement: enforce, access: full}
      - {host: api.test, port: 8443, protocol: rest, enforcement: enforce, access: full}
      - {host: api.test, port: 8080, protocol: rest, enforcement: enforce, access: full}
      - host: part.test
        port: 443
        path: "/v2/**"
        protocol: rest
        enforcement: enforce
        rules: [{allow: {method: "*", path: "/v2/**"}}]
      - {host: audit.test, port: 443, protocol: rest, enforcement: audit, access: read-only}
      - {host: l4.test, port: 443}
      - {host: skip.test, port: 443, tls: skip}
      - {host: bind.test, port: 443, protocol: rest, enforcement: enforce, access: read-only,
         credential_binding: {provider: bound}}
    binaries: [{path: "/**"}]
"""

tap = world.Tap()
lab = credlab.Lab(PROFILES, POLICY, env={"ONE_KEY": ONE, "TWO_KEY": TWO, "BIND_KEY": BIND,
                                         "ONE_TOKEN": credlab.github_token("A1b2" * 7 + "Zz")},
                  names=NAMES, ports=(443, 8443), plain=(8080,))
P1, P2, PB = (lab.inside[k] for k in ("ONE_KEY", "TWO_KEY", "BIND_KEY"))
TOKEN = lab.inside["ONE_TOKEN"]
CANON = "openshell:resolve:env:"
SETTLE = 0.02


def arrives(host, fields, want, where="/", port=443, **more):
    def check():
        r = lab.get(host, where, fields, port=port, **more)
        equal(r.status, 200, repr(r))
        equal(field(lab.origin.seen(), "authorization"), want)
    return check


def mismatch(name, host, where="/", method="GET", fields=None, port=443, p=P1, error="credential_endpoint_mismatch",
             status=403, **more):
    def check():
        reply = lab.talk(host, request(method, host if port in (443, 80) else f"{host}:{port}", where,
                                       fields or [f"Authorization: Bearer {p}"]), port=port, **more)
        refused(lab, reply, status, error, SETTLE)
    tap.check(name, check)


# ---- C1 ----

tap.check("bound by a profile: arrives", arrives("api.test", [f"Authorization: Bearer {P1}"], [f"Bearer {ONE}"]))
tap.check("bound by a profile's path: arrives", arrives("part.test", [f"Authorization: {P1}"], [ONE], "/v1/a"))
tap.check("bound by a pattern: arrives", arrives("deep.wild.test", [f"Authorization: {P1}"], [ONE]))
tap.check("bound by the policy: arrives", arrives("bind.test", [f"Authorization: {PB}"], [BIND]))
tap.check("two providers on one host: each arrives", lambda: [
    equal(lab.get("both.test", "/", [f"A: {P1}", f"B: {P2}"]).status, 200),
    equal((field(lab.origin.seen(), "a"), field(lab.origin.seen(), "b")), ([ONE], [TWO]))])
tap.check("an unbound host without a placeholder is none of its business", arrives(
    "other.test", ["Authorization: Bearer mine"], ["Bearer mine"]))
for place, where, fields in (("header", "/", None), ("path", f"/a/{P1}", ["A: b"]), ("query", f"/?k={P1}", ["A: b"]),
                             ("cookie", "/", [f"Cookie: a={P1}"]),
                             ("Basic", "/", ["Authorization: Basic " + b64("u:" + P1)])):
    mismatch(f"C1 another host, in the {place}", "other.test", where, fields=fields)
for form in (CANON + "ONE_KEY", CANON + "v3_ONE_KEY", CANON + "s" + "ab" * 32 + "_ONE_KEY",
             "x-OPENSHELL-RESOLVE-ENV-ONE_KEY", TOKEN):
    mismatch(f"C1 another host, as {form[:40]}", "other.test", p=form)
mismatch("C1 a host below the bound one", "sub.api.test")
mismatch("C1 the pattern's own apex", "wild.test")
mismatch("C1 another provider's host", "two.test")
mismatch("C1 another provider's key here", "api.test", p=P2)
mismatch("C1 a key bound by the policy, elsewhere", "api.test", p=PB)
mismatch("C1 another port", "api.test", port=8443)
mismatch("C1 plain HTTP in a tunnel", "api.test", port=8080, how="plain")
mismatch("C1 plain HTTP in a tunnel, bound host and port", "plain.test", port=8080, how="plain")
mismatch("C1 another path", "part.test", "/v2/a")
mismatch("C1 another path, a prefix of the bound one", "part.test", "/v2/../v2/v1/a")
mismatch("C1 a host of `enforcement: audit`", "audit.test")
mismatch("C1 a host of `enforcement: audit`, and what it would deny", "audit.test", method="POST")
for where in ("/v1/../v2/a", "/v1/%2e%2e/v2/a", "/v2/a;/../../v1/", "//v2//a", "/v2/x/v1/y", "/V1/a/", "/v1%2fa"):
    def never(where=where):
        r = lab.talk("part.test", request("GET", "part.test", where, [f"Authorization: Bearer {P1}"]))
        seen = lab.origin.seen(SETTLE)
        if seen:
            assert target(seen).startswith("/v1/"), seen
        else:
            assert r.status in (400, 403), repr(r)
    tap.check(f"C1 a path that could be read in two ways: {where}", never)


def another_method():
    reply = lab.post("part.test", "x", "text/plain", [f"Authorization: Bearer {P1}"], path="/v1/a")
    refused(lab, reply, 403, None, SETTLE)


tap.check("C1 another method", another_method)
mismatch("C1 another method, bound by the policy", "bind.test", method="POST", p=PB, error=None)
mismatch("C1 a good and a foreign credential in one request", "api.test",
         fields=[f"Authorization: Bearer {P1}", f"X-Other: {P2}"])


def forward(host, port, absolute, fields):
    reply = lab.talk(host, request("GET", f"{host}:{port}", absolute, fields), port=port, how="forward")
    refused(lab, reply, 403, "credential_endpoint_mismatch", SETTLE)


tap.check("C1 plain HTTP through the proxy, bound host and port", lambda: forward(
    "plain.test", 8080, "http://plain.test:8080/", [f"Authorization: Bearer {P1}"]))
tap.check("C1 plain HTTP through the proxy, another host", lambda: forward(
    "other.test", 8080, "http://other.test:8080/", [f"Authorization: Bearer {P1}"]))
tap.check("C1 plain HTTP through the proxy, in the query", lambda: forward(
    "other.test", 8080, f"http://other.test:8080/?k={P1}", ["A: b"]))
tap.check("a placeholder in Proxy-Authorization goes nowhere", lambda: (
    lambda r: equal((ONE.encode() in lab.origin.seen(SETTLE), P1.encode() in lab.origin.seen()), (False, False), repr(r)))(
        lab.talk("other.test", request("GET", "other.test:8080", "http://other.test:8080/",
                                       [f"Proxy-Authorization: Bearer {P1}"]), port=8080, how="forward")))


def transparent(name, host, data, how):
    def check():
        r = lab.talk(host, data, how=how)
        seen = lab.origin.seen(SETTLE)
        assert ONE.encode() not in seen, seen
        assert b"openshell:resolve" not in seen, f"raw at the server: {seen!r} {r!r}"
    tap.check(name, check)


data = request("GET", "l4.test", "/", [f"Authorization: Bearer {P1}"])
transparent("C1 an endpoint without a protocol (TLS is terminated)", "l4.test", data, "tls")


def authority(name, host, named, fields=(f"Authorization: Bearer {P1}",)):
    def check():
        r = lab.talk(host, request("GET", named, "/", fields))
        assert r.status in (400, 403, 421), repr(r)
        equal(lab.origin.seen(SETTLE), b"")
    tap.check(name, check)


authority("C1 Host names the bound one, the tunnel another", "other.test", "api.test")
authority("C1 Host names another, the tunnel the bound one", "api.test", "other.test")
authority("C1 Host with another port", "api.test", "api.test:8443")
authority("C1 Host with a user", "api.test", "x@api.test")


def sni():
    """The server's name in TLS, and Host, are the bound one's; the tunnel goes elsewhere."""
    r = lab.talk("other.test", request("GET", "api.test", "/", [f"Authorization: Bearer {P1}"]), sni="api.test")
    seen = lab.origin.seen(SETTLE)
    assert not seen and (r.status >= 400 or r.end), f"{seen!r} {r!r}"


tap.check("C1 SNI and Host name the bound one, the tunnel another", sni)
for host in ("API.test", "api.test."):
    def spelled(host=host):
        r = lab.talk("api.test", request("GET", host, "/", [f"Authorization: Bearer {P1}"]))
        seen = lab.origin.seen(SETTLE)
        assert not seen or field(seen, "authorization") == [f"Bearer {ONE}"], seen
        assert seen or r.status in (400, 403), repr(r)
    tap.check(f"C1 Host as {host}", spelled)
tap.check("C1 a bound endpoint with `tls: skip` is refused, for nothing in it can be seen", lambda: refused(
    lab, lab.get("raw.test", "/", [f"Authorization: Bearer {P1}"]), 403, "uninspected_credentials", SETTLE))


def layer4():
    r = lab.get("bare.test", "/", [f"Authorization: Bearer {P1}"])
    seen = lab.origin.seen(SETTLE)
    assert (r.status, field(seen, "authorization")) in ((200, [f"Bearer {ONE}"]), (403, [])), f"{r!r} {seen!r}"


tap.check("C1 a bound endpoint without a protocol: the value or a refusal, no placeholder", layer4)


def keep_alive():
    pieces = [request("GET", "part.test", "/v1/a", [f"Authorization: {P1}"]),
              request("GET", "part.test", "/v2/a", [f"Authorization: {P1}"])]
    r = lab.talk("part.test", pieces, count=2, pause=0.1)
    seen = lab.origin.seen(SETTLE)
    equal((seen.count(b" HTTP/1.1\r\n"), seen.count(ONE.encode())), (1, 1), repr(seen))
    assert b"credential_endpoint_mismatch" in r.data, repr(r)


tap.check("C1 keep-alive: the second request is judged on its own", keep_alive)


def pipelined():
    one = request("GET", "part.test", "/v1/a", [f"Authorization: {P1}"])
    two = request("GET", "part.test", "/v2/a", [f"Authorization: {P1}"])
    lab.talk("part.test", one + two, count=2)
    equal(lab.origin.seen(SETTLE).count(ONE.encode()), 1)


tap.check("C1 pipelined: the second request is judged on its own", pipelined)


def no_value_left():
    """After a request with a value, one on the same connection without: nothing is added to it."""
    pieces = [request("GET", "api.test", "/1", [f"Authorization: {P1}"]), request("GET", "api.test", "/2")]
    lab.talk("api.test", pieces, count=2, pause=0.1)
    seen = lab.origin.seen(SETTLE)
    equal(seen.count(ONE.encode()), 1, repr(seen))


tap.check("C1 nothing is put in where no placeholder is", no_value_left)


def concurrent():
    """Two credentials at once, many times: each request gets its own and only that."""
    lab.origin.forget()
    lab.origin.answer = lambda req: [0.01, OK]
    jobs = []
    for i in range(30):
        host, p = (("api.test", P1), ("two.test", P2))[i % 2]
        jobs.append(lab.start_talk(host, request("GET", host, f"/{i}", [f"Authorization: {p}"])))
    for job in jobs:
        equal(credlab.Reply(lab.wait(job)).status, 200)
    requests = [r for c in lab.origin.connections for r in c.data.split(b"\r\n\r\n") if r]
    equal(len(requests), 30)
    for r in requests:
        want = ONE if b"api.test" in r else TWO
        equal(field(r + b"\r\n\r\n", "authorization"), [want])


tap.check("C1 two credentials at the same time don't mix", concurrent)


def redirect():
    """The agent's client follows to an unbound host and takes its header along: refused there (A8)."""
    lab.origin.forget()
    lab.origin.answer = lambda req: (
        b"HTTP/1.1 307 Go\r\nLocation: https://other.test/next\r\nContent-Length: 0\r\n\r\n"
        if b"Host: api.test" in req else OK)
    r = lab.sh("curl -sS -m 9 --location-trusted -H \"Authorization: Bearer $ONE_KEY\" https://api.test/first; "
               "curl -sS -m 9 -L -o /dev/null -w '%{http_code}' -H \"X-Key: $ONE_KEY\" https://api.test/first")
    assert "credential_endpoint_mismatch" in r["out"] and r["out"].endswith("403"), r
    seen = lab.origin.seen(SETTLE)
    equal((b"other.test" in seen, seen.count(ONE.encode())), (False, 2), repr(seen))


tap.check("C8 a redirect to an unbound host does not carry it", redirect)

# ---- C5: require ----

tap.check("C5 require: ours arrives", arrives("req.test", [f"Authorization: Bearer {P1}"], [f"Bearer {ONE}"]))
tap.check("C5 require: ours in Basic arrives", arrives(
    "req.test", ["Authorization: Basic " + b64("u:" + P1)], ["Basic " + b64("u:" + ONE)]))
for name, where, fields in (
        ("Authorization", "/", ["Authorization: Bearer attacker-key"]),
        ("authorization in other letters", "/", ["aUTHORIZATION: Bearer attacker-key"]),
        ("Basic", "/", ["Authorization: Basic " + b64("me:attacker")]),
        ("X-Api-Key", "/", ["X-Api-Key: attacker-key"]),
        ("Api-Key", "/", ["Api-Key: attacker-key"]),
        ("PRIVATE-TOKEN", "/", ["PRIVATE-TOKEN: attacker-key"]),
        ("X-Goog-Api-Key", "/", ["X-Goog-Api-Key: attacker-key"]),
        ("X-Auth-Token", "/", ["X-Auth-Token: attacker-key"]),
        ("Cookie", "/", ["Cookie: session=attacker"]),
        ("?access_token=", "/?access_token=attacker", []),
        ("?api_key=", "/?api_key=attacker", []),
        ("?key=", "/?key=attacker", []),
        ("a second Authorization", "/", [f"Authorization: Bearer {P1}", "Authorization: Bearer attacker-key"]),
        ("ours elsewhere and its own Authorization", "/", [f"X-Other: {P1}", "Authorization: Bearer attacker-key"]),
        ("ours in Basic with its own password", "/", ["Authorization: Basic " + b64(f"{P1}:attacker")]),
        ("no credential at all is its own matter", None, None)):
    if where is None:
        continue

    def foreign(where=where, fields=fields):
        reply = lab.get("req.test", where, fields)
        seen = lab.origin.seen(SETTLE)
        assert b"attacker" not in seen, f"{seen!r}"
        assert reply.status in (400, 403) or seen, repr(reply)
    tap.check(f"C5 require: the agent's own {name} does not pass", foreign)
tap.check("C5 optional: the agent's own passes", arrives("api.test", ["Authorization: Bearer own"], ["Bearer own"]))

# ---- C6: override ----

for name, fields in (("twice", [f"Authorization: Bearer {P1}", "Authorization: Bearer evil"]),
                     ("twice, evil first", ["Authorization: Bearer evil", f"Authorization: Bearer {P1}"]),
                     ("other letters", [f"Authorization: Bearer {P1}", "AUTHORIZATION: Bearer evil"]),
                     ("obs-fold", [f"Authorization: Bearer {P1}", " evil"]),
                     ("obs-fold before", ["X-A: b", f"\tAuthorization: Bearer {P1}"]),
                     ("space before the colon", [f"Authorization: Bearer {P1}", "Authorization : Bearer evil"]),
                     ("an underscore for a dash", [f"X-Api-Key: {P1}", "X_Api_Key: evil"]),
                     ("Connection names it", [f"Authorization: Bearer {P1}", "Connection: authorization"]),
                     ("NUL", [f"Authorization: Bearer {P1}\0evil"]),
                     ("bare CR", [f"Authorization: Bearer {P1}\revil: 1"]),
                     ("bare LF", [f"Authorization: Bearer {P1}\nEvil: 1"])):
    def override(fields=fields):
        reply = lab.get("req.test", "/", fields)
        seen = lab.origin.seen(SETTLE)
        assert b"evil" not in seen.lower(), f"{seen!r}"
        if seen:
            assert len(field(seen, "authorization") + field(seen, "x-api-key")) <= 1, seen
        else:
            assert reply.status in (400, 403), repr(reply)
    tap.check(f"C6 require: override by {name}", override)

# ---- what is told and kept ----


def told():
    text = open(lab.world.audit, errors="replace").read()
    assert not [v for v in (ONE, TWO, BIND, b64(ONE)) if v in text + lab.stderr()]
    denied = [e for e in map(json.loads, text.splitlines()) if "credential" in json.dumps(e).lower()]
    assert denied, text[-1500:]


time.sleep(0.2)
tap.check("C10 C1 the audit tells of refusals and holds no value", told)
tap.check("the run ends well", lambda: equal(lab.close(), 0, lab.stderr()))
lab.remove()
tap.done()
