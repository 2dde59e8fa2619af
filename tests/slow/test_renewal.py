#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: credentials are renewed while a run goes on: before their first use and before they expire, by
every strategy; the agent's placeholder stays the same.  What fails says which provider and why, and comes
back by itself where that can be.  What renews is in no argument or environment, and nothing stays (C8, C10).
Method: real runs with --provider, whose issuer is a TLS server that checks what it is sent, on an address
of the test's by --ca and --resolve; the origin sees which token arrives."""
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import box  # noqa: E402
import credlab  # noqa: E402
import issuers  # noqa: E402
import look  # noqa: E402
import renewlab  # noqa: E402
import world  # noqa: E402
from credlab import equal, field  # noqa: E402
from renewlab import CLIENT, PROFILE, URL, oauth, until  # noqa: E402

API, PORT = renewlab.API, renewlab.PORT
WAITS_MAX = 64  # src/keeper/keeper.h, and so is how long a request waits for a value that may come
WAIT_S = 10
SECRETS = [issuers.CLIENT_SECRET, issuers.KEY_SECRET]
tap = world.Tap()


def run(profiles, *servers, env=None, pins=()):
    return renewlab.run(profiles, *servers, env=env, pins=pins, set_up=SET_UP)


SET_UP = {}


def send(lab, key):
    return lab.get(API, f"/{key}", [f"Authorization: Bearer {lab.inside[key]}"], timeout=3 * WAIT_S)


def arrives(lab, key, want=None):
    """The token that comes to the server for this placeholder."""
    r = send(lab, key)
    got = field(lab.origin.seen(), "authorization")
    assert r.status == 200 and len(got) == 1, f"{r!r}; {lab.stderr()}"
    token = got[0].removeprefix("Bearer ")
    if want is not None:
        equal(token, want)
    assert token != lab.inside[key] and "openshell" not in token, token
    return token


def refused(lab, key, *words, within=2 * WAIT_S):
    began = time.monotonic()
    r = send(lab, key)
    equal((r.status, r.error, lab.origin.seen(0.05)), (502, "credential_refresh_failed", b""), repr(r))
    missing = [w for w in words if w.encode() not in r.body]
    equal(missing, [], repr(r))
    leaked = [s for s in (*SECRETS, "rt-0") if s.encode() in r.data]
    equal(leaked, [])
    assert time.monotonic() - began < within, "it took too long"


# ---- every strategy, once ----

STRATEGIES = PROFILE % ("minted", oauth("ROTATING", "oauth2_refresh_token") + oauth(
    "MACHINE", "oauth2_client_credentials") + f"""\
  - name: GOOGLE
    env_vars: [GOOGLE]
    required: true
    refresh:
      strategy: google_service_account_jwt
      token_url: {URL}/oauth/token
      scopes: [cloud]
      material: [{{name: client_email}}, {{name: private_key, secret: true}}]
  - name: access_key_id
    env_vars: [AWS_ACCESS_KEY_ID]
    required: true
    refresh:
      strategy: aws_sts_assume_role
      token_url: {URL}/sts
      material:
        - {{name: role_arn}}
        - {{name: aws_region}}
        - {{name: aws_access_key_id}}
        - {{name: aws_secret_access_key, secret: true}}
      additional_outputs:
        - {{output: secret_access_key, credential: secret_access_key}}
        - {{output: session_token, credential: session_token}}
  - {{name: secret_access_key, env_vars: [AWS_SECRET_ACCESS_KEY], required: true}}
  - {{name: session_token, env_vars: [AWS_SESSION_TOKEN], required: true}}
  - name: APP
    env_vars: [APP]
    required: true
    refresh:
      strategy: github_app_installation
      token_url: {URL}/app/installations/{{installation_id}}/access_tokens
      material: [{{name: app_id}}, {{name: installation_id}}, {{name: private_key, secret: true}}]
  - {{name: TOLD, env_vars: [TOLD], required: true}}
""")
COMMAND = """echo x >>@DIR@/asked; test -n "$COVE_TEST_MORE" -a -n "$HOME" -a -z "$COVE_TEST_OTHER" &&
printf '{"token": "told-%s", "expires_in": %s}' "$COVE_TEST_MORE" "$(cat @DIR@/told-lifetime)" """
INSTANCE = f"""\
name: work
profile: ./minted.yaml
refresh:
  ROTATING: {{material: {CLIENT}, refresh_token: {{file: ./rt}}}}}}
  MACHINE: {{material: {CLIENT}}}}}
  GOOGLE: {{material: {{private_key: {{file: ./rsa.key}}}}}}
  access_key_id: {{material: {{aws_access_key_id: {{file: ./key-id}}, aws_secret_access_key: {{file: ./key-secret}}}}}}
  APP: {{material: {{private_key: {{file: ./rsa.key}}}}}}
  TOLD:
    strategy: command
    command: [/bin/sh, -c, '{COMMAND.replace("'", "''")}']
    material: {{env: {{file: ./more-env}}}}
config:
  role_arn: "arn:aws:iam::1:role/r"
  aws_region: {issuers.REGION}
  client_email: {issuers.ACCOUNT}
  app_id: "{issuers.APP}"
  installation_id: "{issuers.INSTALLATION}"
"""
lab, issuer = run({"minted.yaml": STRATEGIES, "i-work.yaml": INSTANCE, "more-env": "COVE_TEST_MORE, COVE_TEST_NONE",
                   "told-lifetime": "600"}, PORT,
                  env={"COVE_TEST_MORE": "m0re-from-env", "COVE_TEST_OTHER": "other"})
KEYS = ("ROTATING", "MACHINE", "GOOGLE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "APP",
        "TOLD")
SECRETS.append("m0re-from-env")


def strategies(key, start):
    token = arrives(lab, key)
    assert token.startswith(start), token
    if len(token) > 4:  # not the issuer's "sk"
        SECRETS.append(token)


for key, start in (("ROTATING", "at-"), ("MACHINE", "at-"), ("GOOGLE", "at-"), ("AWS_ACCESS_KEY_ID", "ASIA"),
                   ("AWS_SECRET_ACCESS_KEY", "sk"), ("AWS_SESSION_TOKEN", "st"), ("APP", "ghs_"),
                   ("TOLD", "told-m0re-from-env")):
    tap.check(f"renewed before its first use: {key}", lambda: strategies(key, start))
tap.check("each was asked for once", lambda: equal(len(issuer.seen), 5))


def arguments(pid):
    with open(f"/proc/{pid}/cmdline", "rb") as f:
        return f.read()


def not_seen():
    """C10: of all processes of the run, in argv or environ; the courier's and keeper's are not even readable."""
    found = []
    names = lab.processes()
    assert "cove-courier" in names and "cove-keeper" in names, names
    needles = [s.encode() for s in SECRETS]
    for name, pids in names.items():
        for pid in pids:
            for read in (arguments, look.environ):
                try:
                    data = read(pid)
                except OSError:
                    continue
                found += [(name, read.__name__, n) for n in needles if n in data]
    equal(found, [])
    out = lab.sh("env; cat /proc/*/environ /proc/*/cmdline 2>/dev/null; true")["out"]
    equal([n for n in SECRETS if n in out], [])


tap.check("C10 in no argument or environment", not_seen)


def survives():
    """kill -9 of the courier: what is there goes on; what comes next is asked of a new one."""
    before, inside = arrives(lab, "MACHINE"), dict(lab.inside)
    (old,) = lab.processes()["cove-courier"]
    os.kill(old, signal.SIGKILL)
    until(20, lambda: lab.processes().get("cove-courier", [old]) != [old])
    arrives(lab, "MACHINE", before)
    equal(lab.inside, inside)
    assert "the courier died" in lab.stderr(), lab.stderr()


def proxy_dies():
    """kill -9 of the proxy: the keeper stays, with the refresh token that holds now."""
    before, asked = arrives(lab, "ROTATING"), len(issuer.seen)
    (old,) = lab.processes()["cove-proxy"]
    (keeper,) = lab.processes()["cove-keeper"]
    os.kill(old, signal.SIGKILL)
    until(5, lambda: lab.processes().get("cove-proxy", [old]) != [old])
    arrives(lab, "ROTATING", before)
    equal((lab.processes()["cove-keeper"], len(issuer.seen)), ([keeper], asked))


def keeper_dies():
    """kill -9 of the keeper: a new one renews with what it was given first."""
    (old,) = lab.processes()["cove-keeper"]
    proxy, got = lab.processes()["cove-proxy"], []
    os.kill(old, signal.SIGKILL)

    def works():
        reply = send(lab, "MACHINE")
        got.append((reply.status, reply.error))
        return reply.status == 200
    until(10, works)
    assert set(got) <= {(200, None), (503, "credential_keeper_unavailable")}, got
    assert lab.processes()["cove-keeper"] != [old]
    equal(lab.processes()["cove-proxy"], proxy)
    assert arrives(lab, "MACHINE").startswith("at-")
    arrives(lab, "TOLD")
    refused(lab, "ROTATING", "work", "grant_rejected")


tap.check("a killed courier is started again", survives)
tap.check("a killed proxy costs no renewal", proxy_dies)
tap.check("a killed keeper: what can be renewed is renewed", keeper_dies)
tap.check("the run ends", lambda: equal(lab.close(), 0, lab.stderr()))
tap.check("p16 nothing is left of it", lambda: equal(box.survivors(), {}))
lab.remove()

# ---- in mid-run ----

SHORT = PROFILE % ("short", oauth("ROTATING", "oauth2_refresh_token") + "  - {name: TOLD, env_vars: [TOLD]}\n")
SHORT_INSTANCE = f"""\
name: short-lived
profile: ./short.yaml
refresh:
  ROTATING: {{material: {CLIENT}, refresh_token: {{file: ./rt}}}}}}
  TOLD: {{command: [/bin/sh, -c, 'echo x >>@DIR@/asked; printf %s "{{\\"token\\": \\"told-$(wc -l <@DIR@/asked)\\", \\"expires_in\\": 12}}"']}}
"""
SET_UP = {"lifetime": 12}
lab, issuer = run({"short.yaml": SHORT, "i-short.yaml": SHORT_INSTANCE}, PORT)


def mid_run():
    """A request each half second for longer than two lifetimes: all arrive, none with one that is over."""
    inside, seen, told = lab.sh("env | sort")["out"], [], []
    end = time.monotonic() + 20
    while time.monotonic() < end:
        for tokens, key in ((seen, "ROTATING"), (told, "TOLD")):
            token = arrives(lab, key)
            if token not in [t for t, _ in tokens]:
                tokens.append((token, time.monotonic()))
        time.sleep(0.5)
    assert len(seen) >= 3 and len(told) >= 3, (seen, told)
    for tokens in (seen, told):
        times = [at for _, at in tokens]
        assert all(after - at < 12 for at, after in zip(times, times[1:])), tokens
        # one may be seen late; none is asked for long before it has to be
        assert (times[-1] - times[0]) / (len(times) - 1) > 2, tokens
    equal(lab.sh("env | sort")["out"], inside)


def rotated():
    """Each refresh token was sent once, and the last one is what the issuer gave last."""
    sent = [body.decode().split("&refresh_token=")[1].split("&")[0] for path, _, body in issuer.seen
            if b"grant_type=refresh_token" in body]
    equal(sent[0], "rt-0")
    equal(len(set(sent)), len(sent))
    assert len(sent) >= 3, sent


def comes_back():
    """Down for longer than a lifetime: 502 that says why, soon; up: it works by itself."""
    issuer.down = True
    last = arrives(lab, "ROTATING")
    until(20, lambda: send(lab, "ROTATING").status == 502)
    refused(lab, "ROTATING", "short-lived", "ROTATING", "rate_limited")
    arrives(lab, "TOLD")
    issuer.down = False
    until(25, lambda: send(lab, "ROTATING").status == 200)
    assert arrives(lab, "ROTATING") != last


tap.check("renewed in mid-run, and the agent does not notice", mid_run)
tap.check("each refresh token is used once", rotated)
tap.check("an issuer that is down, and up again", comes_back)


def waits():
    """Started anew in the middle of it: the request waits and arrives."""
    (old,) = lab.processes()["cove-courier"]
    os.kill(old, signal.SIGKILL)
    until(20, lambda: lab.processes().get("cove-courier", [old]) != [old])
    end = time.monotonic() + 14
    while time.monotonic() < end:
        arrives(lab, "ROTATING")
        time.sleep(0.5)


tap.check("a killed courier, and a renewal after it", waits)


def dies():
    """invalid_grant: the value is used until it is over, and then never; no one is asked again."""
    issuer.revoked = True
    until(20, lambda: send(lab, "ROTATING").status == 502)
    refused(lab, "ROTATING", "short-lived", "ROTATING", "grant_rejected", within=WAIT_S / 2)
    asked = len(issuer.seen)
    issuer.revoked = False
    time.sleep(5)
    refused(lab, "ROTATING", "short-lived", "grant_rejected", within=WAIT_S / 2)
    equal(len(issuer.seen), asked)
    arrives(lab, "TOLD")


tap.check("C8 invalid_grant names the provider, and is final", dies)
tap.check("the second run ends", lambda: equal(lab.close(), 0, lab.stderr()))
tap.check("p16 nothing is left of the second run", lambda: equal(box.survivors(), {}))
with open(lab.world.audit, encoding="utf-8") as file:
    AUDIT = file.read()
tap.check("the audit log says why, and has no secret", lambda: equal(
    ("credential_refresh_failed" in AUDIT, [s for s in (*SECRETS, "rt-0", "at-") if s in AUDIT]), (True, [])))
lab.remove()

# ---- from the start ----

SET_UP = {"down": True}
DOWN = {"down.yaml": PROFILE % ("down", oauth("MACHINE", "oauth2_client_credentials")),
        "i-down.yaml": f"name: sleepy\nprofile: ./down.yaml\nrefresh: {{MACHINE: {{material: {CLIENT}}}}}}}\n"}
lab, issuer = run(DOWN, PORT)


def not_up_yet():
    refused(lab, "MACHINE", "sleepy", "MACHINE")
    issuer.down = False
    until(25, lambda: send(lab, "MACHINE").status == 200)


tap.check("an issuer that is down from the start", not_up_yet)
tap.check("the third run ends", lambda: equal(lab.close(), 0, lab.stderr()))
lab.remove()

SET_UP = {"slow": 2.5 * WAIT_S}  # so that nobody who waits has it, however late he comes
BAD = {"bad.yaml": PROFILE % ("bad", oauth("MACHINE", "oauth2_client_credentials", port=9999) +
                              oauth("SILENT", "oauth2_client_credentials", port=PORT)),
       "i-bad.yaml": "name: nowhere\nprofile: ./bad.yaml\nrefresh:\n" + "".join(
           f"  {key}: {{material: {CLIENT}}}}}\n" for key in ("MACHINE", "SILENT"))}
lab, _ = run(BAD, PORT, pins=(9999,))


def many_wait():
    """So many may wait; whoever comes later is told so at once.  Then the value is there."""
    lab.origin.forget()
    text = credlab.request("GET", API, "/many", [f"Authorization: Bearer {lab.inside['SILENT']}"])
    jobs = [lab.start_talk(API, text, timeout=20) for _ in range(WAITS_MAX + 6)]
    replies = [credlab.Reply(lab.wait(job)) for job in jobs]
    equal({r.status for r in replies}, {502}, repr(replies[0]))
    said = [b": timeout: " in r.body for r in replies], [b": busy: " in r.body for r in replies]
    equal(tuple(map(sum, said)), (WAITS_MAX, 6))
    equal(lab.origin.seen(), b"")
    until(3 * WAIT_S, lambda: send(lab, "SILENT").status == 200)
    lab.origin.forget()
    arrives(lab, "SILENT", "at-1")


tap.check("an issuer that says nothing for a while", many_wait)
tap.check("an issuer that cannot be reached", lambda: refused(lab, "MACHINE", "nowhere", "connect_failed"))
tap.check("the fourth run ends", lambda: equal(lab.close(), 0, lab.stderr()))


def cannot_work():
    """What can be known before the first request ends the run before its command starts."""
    text = BAD["i-bad.yaml"].replace(", client_secret: {file: ./client-secret}", "")
    path = lab.world.policy(text, "i-broken.yaml")
    os.chmod(path, 0o600)
    r = lab.world.cove(["echo", "started"], options=["--provider", path])
    missing = [w for w in ("provider nowhere", "client_secret or private_key") if w not in r.stderr]
    equal((r.returncode, r.stdout, missing), (125, "", []), r.stderr)


tap.check("a renewal that cannot work starts nothing", cannot_work)
tap.check("p16 nothing is left at the end", lambda: equal(box.survivors(), {}))
lab.remove()
tap.done()
