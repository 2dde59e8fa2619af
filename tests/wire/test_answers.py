#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: the keeper's answer is used again for the very same question, for a moment, and for nothing else:
not for another method, host or credential, nor another path where a binding looks at paths, not after a renewal, a refusal by the server, another
policy or another keeper.
Method: a real run with two providers.  A keeper that is stopped answers nothing, so what gets through then
was answered before; what does not was asked anew.  An origin with real TLS says which value it saw."""
import os
import re
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import box  # noqa: E402
import credlab  # noqa: E402
import world  # noqa: E402
from credlab import BIND, OK, equal, field, memory_has, request  # noqa: E402

KEEP_S = 1  # CV_KEEPER_KEEP_MS
ONE, TWO, BOUND, OF_PATH = ("-".join(["v4lue", "of", x, "83412"]) for x in ("one", "two", "bound", "path"))
PROFILE = f"""\
id: my-api
credentials:
  - {{name: key, env_vars: [MY_KEY], required: true}}
  - {{name: two, env_vars: [MY_TWO], required: true}}
{BIND}"""
PATHS = """\
id: by-path
credentials: [{name: key, env_vars: [PATH_KEY], required: true}]
endpoints:
  - host: paths.test
    port: 443
    protocol: rest
    enforcement: enforce
    rules: [{allow: {method: GET, path: /x}}, {allow: {method: GET, path: /y}}]
binaries: [{path: "/**"}]
"""
BARE = "id: bare\ncredentials: [{name: key, env_vars: [BARE_KEY], required: true}]\n"
COMMAND = ('echo x >>@DIR@/asked; n=$(wc -l <@DIR@/asked); '
           'printf "{\\"token\\": \\"told-value-%03d\\", \\"expires_in\\": 10}" $n')


def policy(binding):
    return f"""\
version: 1
network_policies:
  own:
    endpoints:
      - {{host: bound.test, port: 443, protocol: rest, enforcement: enforce, access: full{binding}}}
    binaries: [{{path: "/**"}}]
"""


BINDS = policy(", credential_binding: {provider: bare}")
tap = world.Tap()
lab = credlab.Lab(
    {"profile.yaml": PROFILE, "paths.yaml": PATHS, "bare.yaml": BARE, **credlab.renewed(COMMAND)}, BINDS,
    env={"MY_KEY": ONE, "MY_TWO": TWO, "BARE_KEY": BOUND, "PATH_KEY": OF_PATH},
    instances=["profile.yaml", "paths.yaml", "bare.yaml", "i-renewed.yaml"],
    names=["api.test", "also.test", "bound.test", "paths.test"])
lab.origin.answer = OK


def begin(key="MY_KEY", host="api.test", method="GET", path="/x", timeout=10):
    text = request(method, host, path, [f"Authorization: Bearer {lab.inside[key]}"])
    return lab.start_talk(host, text, how="tls", method=method, timeout=timeout)


def send(*args, **more):
    return credlab.Reply(lab.wait(begin(*args, **more)))


def shown():
    """The values that the origin has seen since it forgot."""
    return re.findall(r"Bearer (\S+)", lab.origin.seen().decode("latin-1"))


def keeper():
    return lab.processes()["cove-keeper"][0]


class Stopped:
    def __init__(self, pid):
        self.pid = pid

    def __enter__(self):
        os.kill(self.pid, signal.SIGSTOP)

    def __exit__(self, *_):
        os.kill(self.pid, signal.SIGCONT)


def used(**other):
    """Whether a second request gets through when the keeper can't say anything."""
    for _ in range(20):  # on a machine that is busy a moment may be over at once
        lab.origin.forget()
        began = time.monotonic()
        equal(send().status, 200)
        with Stopped(keeper()):
            job = begin(**other)
            got = box.until(lambda: len(shown()) == 2, KEEP_S - (time.monotonic() - began))
        equal(credlab.Reply(lab.wait(job)).status, 200)
        equal(shown(), [ONE, ONE])
        if got:
            return
    raise AssertionError("the keeper was asked for the same again")


def used_again():
    """But not for longer than it allowed."""
    used()
    lab.origin.forget()
    equal(send().status, 200)
    with Stopped(keeper()):
        time.sleep(KEEP_S + 0.1)
        job = begin()
        time.sleep(0.5)
        equal(shown(), [ONE], "it was used for too long")
    equal(credlab.Reply(lab.wait(job)).status, 200)


def asked_anew(first=None, **other):
    """What was answered for GET /x, of api.test as a rule, says nothing about this."""
    def check():
        lab.origin.forget()
        equal(send(**(first or {})).status, 200)
        with Stopped(keeper()):
            job = begin(**{**(first or {}), **other})
            time.sleep(0.4)
            equal(len(shown()), 1)
        equal(credlab.Reply(lab.wait(job)).status, 200)
        equal(len(shown()), 2)
    return check


def gone_from_memory():
    proxy = lab.processes()["cove-proxy"]
    equal(send().status, 200)
    needles = [v.encode() for v in (ONE, TWO)]
    equal([h for pid in proxy for h in memory_has(pid, needles)], [], "while it is kept")
    time.sleep(KEEP_S + 0.3)
    equal([h for pid in proxy for h in memory_has(pid, needles)], [])


def unbound():
    for _ in range(3):
        lab.policy_load(BINDS)
        lab.origin.forget()
        equal(send("BARE_KEY", "bound.test").status, 200)
        lab.policy_load(policy(""))
        reply = send("BARE_KEY", "bound.test")
        equal((reply.status, shown()), (403, [BOUND]), repr(reply))


def unknown_keeper():
    """It dies, and nobody starts another: no answer of its is used any more."""
    supervisor, = lab.processes()["cove-supervisor"]
    pid = keeper()
    lab.origin.forget()
    text = request("GET", "api.test", "/x", [f"Authorization: Bearer {lab.inside['MY_KEY']}"]).decode()
    job = lab.start_talk("api.test", [text, 0.6, text], count=2, timeout=10)
    assert box.until(lambda: shown() == [ONE], 5)
    with Stopped(supervisor):  # who could not say who connects, either
        os.kill(pid, signal.SIGKILL)
        reply = credlab.Reply(lab.wait(job))
        equal((re.findall(rb"HTTP/1.1 (\d+)", reply.data), shown()), ([b"200", b"503"], [ONE]), repr(reply))
    assert box.until(lambda: send().status == 200, 15), "no other keeper came"


def refused():
    """The server takes it no more: whoever asks next waits for another."""
    lab.origin.answer = OK
    equal(send("TOLD").status, 200)
    lab.origin.answer = b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n"
    lab.origin.forget()
    equal(send("TOLD").status, 401)
    old, = shown()
    lab.origin.answer = OK
    lab.origin.forget()
    equal(send("TOLD", timeout=15).status, 200)
    new, = shown()
    assert new > old, (old, new)


def renewals():
    with open(lab.world.audit, encoding="utf-8", errors="replace") as f:
        return len(re.findall(r"Credential TOLD of provider renewed [^\"]*renewed", f.read()))


def renewed():
    """By time, with requests all the while: who asks after it was said that there is another gets that."""
    lab.origin.answer = OK
    before, until, wrong, seen = renewals(), time.monotonic() + 25, [], set()

    def ask():
        while time.monotonic() < until and renewals() < before + 3:
            said, last = renewals(), max(seen, default="")
            reply = send("TOLD")
            value = re.search(rb"told-value-\d+", reply.data.replace(b"*", b""))
            assert reply.status == 200 and not value, reply
            now = [s for s in shown()][-1:]
            if said > before and now and now[0] < last:
                wrong.append((last, now[0]))
            seen.update(now)

    lab.origin.forget()
    ask()
    assert renewals() >= before + 2, "it was not renewed"
    equal(wrong, [])
    # and by the clock of the audit: the number of the value is that of the renewals at least
    said = renewals()
    lab.origin.forget()
    equal(send("TOLD").status, 200)
    with open(os.path.join(lab.world.dir, "asked"), encoding="utf-8") as f:
        made = len(f.readlines())
    number = int(shown()[0].rsplit("-", 1)[1])
    assert said <= number <= made, (said, number, made)


for title, check in [
        ("c1 the same question is not asked again, for a moment", used_again),
        ("c1 nor with another path, where no binding looks at paths", lambda: used(path="/y/z?q=1")),
        ("c1 another path is, where one does", asked_anew({"key": "PATH_KEY", "host": "paths.test"}, path="/y")),
        ("c1 one with an escape is", asked_anew(path="/y%20z")),
        ("c1 another method is", asked_anew(method="DELETE")),
        ("c1 another credential is", asked_anew(key="MY_TWO")),
        ("c1 another host is", asked_anew(host="also.test")),
        ("C10 the value is not in the proxy's memory, nor is what it is made from for long", gone_from_memory),
        ("c1 unbound by a policy: refused at once", unbound),
        ("c1 the keeper died: its answers are none", unknown_keeper),
        ("c1 refused by the server: not sent again", refused),
        ("c1 renewed: the value before is not sent again", renewed)]:
    tap.check(title, check)
lab.close()
lab.remove()
tap.done()
