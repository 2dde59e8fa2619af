#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: a token that its server refuses (401) is renewed, though its time is not over.  The agent gets the 401
as it came, scrubbed; the next request has a new token.  Whoever provokes 401s orders no more than one token in
half a minute, and makes none useless; a 401 about a value that has been replaced does nothing (C8).
Method: a real run with a TLS issuer, and an origin that refuses what the test says was revoked."""
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import credlab  # noqa: E402
import renewlab  # noqa: E402
import world  # noqa: E402
from credlab import equal, field  # noqa: E402
from renewlab import until  # noqa: E402

tap = world.Tap()
LIMIT = 30  # CV_SCHEDULE_REJECTED_S
REFUSED = renewlab.PROFILE % ("refused", renewlab.oauth("ROTATING", "oauth2_refresh_token") +
                     "  - {name: STILL, env_vars: [STILL], required: true}\n")
REFUSED_INSTANCE = f"""\
name: refused
profile: ./refused.yaml
credentials: {{STILL: {{file: ./still}}}}
refresh: {{ROTATING: {{material: {renewlab.CLIENT}, refresh_token: {{file: ./rt}}}}}}}}
"""
lab, issuer = renewlab.run({"refused.yaml": REFUSED, "i-refused.yaml": REFUSED_INSTANCE, "still": "st1ll-the-same\n"}, renewlab.PORT,
                           set_up={"token": "at-%d-of-useful-length"})
GONE = set()  # tokens that the origin does not take


def checks(request):
    """401 for a token that was revoked; the words are the server's own, with the token in them."""
    token = field(request, "authorization")[0].removeprefix("Bearer ")
    if token not in GONE and b"/none" not in request:
        return credlab.OK
    body = b'{"error":"invalid_token","was":"%s"}' % token.encode()
    return b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer error=invalid_token\r\n" \
           b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


def ask(key="ROTATING", path="/api"):
    r = lab.get(renewlab.API, path, [f"Authorization: Bearer {lab.inside[key]}"], timeout=15, answer=checks)
    return r, field(lab.origin.seen(), "authorization")[0].removeprefix("Bearer ")


def revoked():
    r, first = ask()
    equal((r.status, len(issuer.seen)), (200, 1), repr(r))
    GONE.add(first)
    r, token = ask()
    equal((r.status, token), (401, first))
    assert b"invalid_token" in r.body and b"WWW-Authenticate: Bearer" in r.head, repr(r)
    equal((first.encode() in r.data, len(r.body)), (False, len(first) + 34), repr(r))
    began = time.monotonic()
    r, token = ask()
    equal((r.status, token != first, len(issuer.seen)), (200, True, 2), repr(r))
    assert time.monotonic() - began < 15, "it took too long"


def limited():
    """Half a minute of refusals: one token at most, and the present one goes on being used."""
    before, tokens = len(issuer.seen), set()
    end = time.monotonic() + LIMIT - 5
    while time.monotonic() < end:
        r, token = ask(path="/none")
        tokens.add(token)
        equal(r.status, 401, repr(r))
        r, token = ask()
        equal(r.status, 200, repr(r))
        time.sleep(0.25)
    equal((len(issuer.seen) - before, len(tokens)), (0, 1))
    until(LIMIT, lambda: ask()[1] not in tokens)
    equal(len(issuer.seen) - before, 1)


def not_renewable():
    before = len(issuer.seen)
    for _ in range(3):
        r, _ = ask("STILL", "/none")
        equal(r.status, 401)
    equal((ask("STILL")[0].status, len(issuer.seen)), (200, before))


def old_news():
    """The 401 comes when the value has been replaced: nothing more is asked for."""
    time.sleep(LIMIT)
    first = ask()[1]
    before = len(issuer.seen)

    def slow(request):
        answer = checks(request)
        return [1.5, answer] if b"/slow" in request else answer

    lab.origin.answer = slow
    GONE.add(first)
    text = credlab.request("GET", renewlab.API, "/slow", [f"Authorization: Bearer {lab.inside['ROTATING']}"])
    job = lab.start_talk(renewlab.API, text, timeout=20)
    until(20, lambda: b"/slow" in lab.origin.seen())
    lab.origin.forget()
    fast = lab.start_talk(renewlab.API, credlab.request("GET", renewlab.API, "/fast", [
        f"Authorization: Bearer {lab.inside['ROTATING']}"]), timeout=20)
    equal(credlab.Reply(lab.wait(fast)).status, 401)
    until(20, lambda: len(issuer.seen) == before + 1)
    equal(credlab.Reply(lab.wait(job)).status, 401)
    time.sleep(LIMIT + 2)
    equal((ask()[0].status, len(issuer.seen)), (200, before + 1))


def no_other():
    """The issuer gives none: the typed 502, and the refused value is not sent again."""
    issuer.revoked, before = True, len(issuer.seen)
    GONE.add(ask()[1])
    equal(ask()[0].status, 401)
    until(20, lambda: len(issuer.seen) == before + 1)
    lab.origin.forget()
    r = lab.get(renewlab.API, "/", [f"Authorization: Bearer {lab.inside['ROTATING']}"])
    equal((r.status, r.error, lab.origin.seen(0.05)), (502, "credential_refresh_failed", b""), repr(r))
    equal([w for w in (b"refused", b"ROTATING", b"grant_rejected") if w not in r.body], [], repr(r))


tap.check("C8 401 from the server: the agent gets it, the next request a new token", revoked)
tap.check("refusals order no more than one token in half a minute", limited)
tap.check("what is not renewed is not asked for", not_renewable)
tap.check("a 401 for the value before", old_news)
tap.check("C8 refused, and no other to be had", no_other)
tap.check("the run with refusals ends", lambda: equal(lab.close(), 0, lab.stderr()))


def recorded():
    """One event for the end of each attempt, with its cause; no value of any kind."""
    with open(lab.world.audit, encoding="utf-8") as file:
        text = file.read()
    said = [e["unmapped"] for e in map(json.loads, text.splitlines()) if e["class_uid"] == 5019 and
            e.get("unmapped", {}).get("provider") == "refused"]
    equal([(u["cause"], u["outcome"]) for u in said],
          [("missing", "renewed")] + [("refused", "renewed")] * 3 + [("refused", "dead")])
    equal({(u["credential"], u["strategy"]) for u in said}, {("ROTATING", "oauth2_refresh_token")})
    equal(said[-1]["failure"], "grant_rejected")
    assert all(u["expires"].startswith("20") for u in said[:-1]), said
    equal([w for w in ("of-useful-length", "rt-", "client-s3cr3t") if w in text], [])


tap.check("each renewal is in the audit log, and no value", recorded)
lab.remove()
tap.done()
