#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: real values are in the keeper and, during a request, in the proxy, and nowhere else: not in the
sandbox, its memory, our logs, arguments or environments (C10); bad values start nothing (C7); a killed
keeper stops what needs a value, says so, and nothing else.
Method: a real run that makes requests; the test looks into all its processes (look.py)."""
import contextlib
import json
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import box  # noqa: E402
import credlab  # noqa: E402
import look  # noqa: E402
import world  # noqa: E402
from credlab import OK, b64, equal, field, memory_has, request  # noqa: E402

# Assembled here, so that no file of the test has them whole and a hit is a hit.
VALUE = "-".join(["v4lue", "of", "the", "environment", "72615"])
FROM_FILE = "-".join(["v4lue", "of", "a", "file", "99120"])
FROM_COMMAND = "-".join(["v4lue", "of", "a", "command", "40213"])
FROM_FD = "-".join(["v4lue", "of", "a", "descriptor", "55771"])
BOUND_VALUE = "-".join(["v4lue", "bound", "by", "policy", "30817"])
VALUES = (VALUE, FROM_FILE, FROM_COMMAND, FROM_FD, BOUND_VALUE)
PROFILE = """\
id: my-api
credentials:
  - {name: key, env_vars: [MY_KEY], required: true}
  - {name: filed, env_vars: [FILE_KEY], required: true}
  - {name: told, env_vars: [COMMAND_KEY], required: true}
  - {name: handed, env_vars: [FD_KEY], required: true}
endpoints:
  - {host: api.test, ports: [443, 8444], protocol: rest, enforcement: enforce, access: full}
binaries: [{path: "/**"}]
"""
POLICY = """\
version: 1
network_policies:
  own:
    endpoints:
      - {host: free.test, port: 443, protocol: rest, enforcement: enforce, access: full}
      - {host: free.test, port: 80, protocol: rest, enforcement: enforce, access: full}
      - {host: new.test, port: 443, protocol: rest, enforcement: enforce, access: full}
      - {host: bind.test, port: 443, protocol: rest, enforcement: enforce, access: full%s}
    binaries: [{path: "/**"}]
"""
BINDING = ", credential_binding: {provider: bound}"
BOUND = """\
id: bound
credentials: [{name: key, env_vars: [BOUND_KEY], required: true}]
binaries: [{path: "/**"}]
"""
INSTANCE = """\
profile: ./profile.yaml
credentials:
  filed: {file: ./filed}
  told: {command: [/bin/cat, "@DIR@/told"]}
  handed: {fd: %d}
"""

tap = world.Tap()
read_end, write_end = os.pipe()
os.write(write_end, FROM_FD.encode() + b"\n")
os.close(write_end)
lab = credlab.Lab({"profile.yaml": PROFILE, "bound.yaml": BOUND, "filed": FROM_FILE + "\n", "told": FROM_COMMAND,
                   "instance.yaml": INSTANCE % read_end}, POLICY % BINDING,
                  env={"MY_KEY": VALUE, "BOUND_KEY": BOUND_VALUE}, names=["api.test", "free.test", "new.test",
                                                                         "bind.test"],
                  instances=["instance.yaml", "bound.yaml"], pass_fds=[read_end], more_ports=[8444], plain=[80])
impostor = credlab.Origin(lab.world.pki, ports=(8444,), cert=lab.world.pki.selfsigned("bad", ["api.test"]))
KEYS = {"MY_KEY": VALUE, "FILE_KEY": FROM_FILE, "COMMAND_KEY": FROM_COMMAND, "FD_KEY": FROM_FD}
NEEDLES = [n for v in VALUES for n in (v.encode(), b64(v)[:-4].encode(), v.encode().hex().encode())]


def arrives(key="MY_KEY", value=VALUE, host="api.test"):
    r = lab.get(host, f"/{key}", [f"Authorization: Bearer {lab.inside[key]}"])
    equal((r.status, field(lab.origin.seen(), "authorization")), (200, [f"Bearer {value}"]), repr(r))


for key, value in KEYS.items():
    tap.check(f"a value of {key} arrives", lambda: arrives(key, value))
tap.check("a value bound by the policy arrives", lambda: arrives("BOUND_KEY", BOUND_VALUE, "bind.test"))
lab.get("free.test", "/")
lab.get("api.test", f"/bot:{lab.inside['MY_KEY']}/x?k={lab.inside['FILE_KEY']}",
        ["Authorization: Basic " + b64("u:" + lab.inside["COMMAND_KEY"]), f"Cookie: a={lab.inside['FD_KEY']}"])
lab.get("free.test", f"/{lab.inside['MY_KEY']}")
lab.post("api.test", json.dumps({"a": lab.inside["MY_KEY"]}))

# ---- C10 from inside ----

INSIDE = """
cat /proc/*/environ /proc/*/cmdline /proc/*/comm /proc/*/maps 2>/dev/null
ls -l /proc/*/fd 2>/dev/null; mount; env; set
find / -xdev -newer /proc/self/cmdline 2>/dev/null | head -1
grep -raIh -m 3 'v4lue-' / --exclude-dir=proc --exclude-dir=sys --exclude-dir=usr --exclude-dir=nix --exclude-dir=opt \
  --exclude-dir=root --exclude-dir=work --exclude-dir=home 2>/dev/null
grep -rah 'v4lue-' /dev/shm /run /tmp "$HOME" "$PWD" /proc/self/root/tmp 2>/dev/null
true
"""


def inside():
    out = lab.sh(INSIDE)
    said = out["out"] + out["err"]
    equal(out["status"], 0, said[-300:])
    equal([v for v in VALUES if v in said], [])
    assert "memfd" not in said, [x for x in said.splitlines() if "memfd" in x]
    assert "MY_KEY=openshell:resolve:env:" in said, said[:2000]


tap.check("C10 inside: environments, arguments, descriptors, files", inside)
tap.check("C10 inside: the memory of every process that the agent may read", lambda: equal(lab.sh(
    "/usr/bin/python3 - <<'E'\nimport glob,os\nw=bytes(reversed(b'fo-eul4v'))\nfor p in glob.glob('/proc/[0-9]*'):\n if p[6:]==str(os.getpid()): continue\n"
    " try:\n  m=open(p+'/mem','rb')\n  for l in open(p+'/maps'):\n"
    "   a,b=[int(x,16) for x in l.split()[0].split('-')]\n   try:\n    m.seek(a); d=m.read(min(b-a,1<<26))\n"
    "   except Exception: continue\n   if w in d: print('hit',p,l)\n except Exception: pass\nE")["out"], ""))

# ---- C10 from outside ----


def everybody():
    return [(name, pid) for name, pids in lab.processes().items() for pid in pids]


def arguments(pid):
    with open(f"/proc/{pid}/cmdline", "rb") as f:
        return f.read()


def readable(read):
    hits = []
    for name, pid in everybody():
        data = read(pid)
        hits += [f"{name} {n}" for n in NEEDLES if n in data]
    equal(hits, [])


tap.check("C10 arguments of every process", lambda: readable(arguments))
tap.check("C10 environments of every process, the keeper's too", lambda: readable(look.environ))


def memory(names):
    hits = []
    for name, pid in everybody():
        if name in names:
            hits += [f"{name}: {hit}" for hit in memory_has(pid, NEEDLES)]
    assert not hits, hits[:6]


def in_sandbox(name):
    return not name.startswith("cove-")


for who, names in (("the supervisor's", ["cove-supervisor"]), ("init's", ["cove-init"]),
                   ("the sandbox's processes'", {n for n, _ in everybody() if in_sandbox(n)}),
                   ("the courier's", ["cove-courier"]), ("the proxy's, when no request is there,", ["cove-proxy"])):
    tap.check(f"C10 {who} memory has no value", lambda: memory(names))
tap.check("C10 the search finds what is there: the keeper's memory has them", lambda: equal(
    bool([h for pid in lab.processes()["cove-keeper"] for h in memory_has(pid, [VALUE.encode()])]), True))


def descriptors():
    """Only the keeper, and the supervisor that would start another, may hold a memfd of values."""
    hits = []
    for name, pid in everybody():
        if name in ("cove-keeper", "cove-supervisor"):
            continue
        for number, fd in look.descriptors(pid):
            path = f"/proc/self/fd/{fd}"
            try:
                if "memfd" not in os.readlink(path):
                    continue
                with open(path, "rb") as f:
                    data = f.read()
            except OSError:
                continue
            hits += [f"{name} fd {number} {n}" for n in NEEDLES if n in data]
    equal(hits, [])


tap.check("C10 no other process holds a descriptor with values", descriptors)


def cores():
    for name, pid in everybody():
        if name in ("cove-keeper", "cove-proxy", "cove-supervisor"):
            text = open(f"/proc/{pid}/limits").read()
            line = next(x for x in text.splitlines() if x.startswith("Max core file size"))
            equal(line.split()[4:6], ["0", "0"], name)


tap.check("C10 keeper, proxy and supervisor leave no core", cores)


def words():
    text = open(lab.world.audit, errors="replace").read()
    equal([v for v in VALUES if v in text + lab.stderr()], [])
    assert text.count("\n") > 5


tap.check("C10 audit and messages", words)


def files_of_the_host():
    r = subprocess.run(["grep", "-rlE", "v4lue-(of|bound)", lab.world.dir, "/dev/shm", "/run"], capture_output=True, text=True)
    left = [x for x in r.stdout.split() if os.path.basename(x) not in ("filed", "told")]
    equal(left, [])


tap.check("C10 no file of the host that cove made", files_of_the_host)

# ---- an impostor; the policy that bound it ----


def impostor_gets_nothing():
    lab.origin.forget()
    r = lab.sh("curl -sS -m 9 -o /dev/null -w '%{http_code}' -H \"Authorization: Bearer $MY_KEY\" "
               "--connect-timeout 5 https://api.test:8444/")
    assert not r["out"].startswith("2"), r
    equal((impostor.seen(0.05), lab.origin.seen()), (b"", b""))


tap.check("C1 a server that can't prove its name gets nothing", impostor_gets_nothing)

# ---- the keeper dies ----


def typed(reply):
    """A refusal that says why, in JSON, or nothing because the connection could not be made."""
    return reply.status >= 500 and (reply.error or b"keeper" in reply.data)


# Connections that stay and new ones, with the authorities of the beginning and of the moment, until told
# to end: anything but 200 is a failure.
GOES_ON = """
import http.client, json, os, ssl, sys, time
proxy, bundle = ("10.200.0.1", 3128), os.environ["SSL_CERT_FILE"]
first = ssl.create_default_context(cafile=bundle)
def tls(context):
    c = http.client.HTTPSConnection(*proxy, context=context, timeout=10)
    c.set_tunnel("free.test", 443)
    return c
kept_tls, kept_plain = tls(first), http.client.HTTPConnection(*proxy, timeout=10)
def ask(c, path):
    c.request("GET", path)
    r = c.getresponse()
    r.read()
    return r.status
def new(c, path):
    try:
        return ask(c, path)
    finally:
        c.close()
plain = "http://free.test/kept"
ways = {
    "kept TLS": lambda: ask(kept_tls, "/kept"),
    "kept HTTP": lambda: ask(kept_plain, plain),
    "new TLS, authorities of the beginning": lambda: new(tls(first), "/new"),
    "new TLS, authorities of now": lambda: new(tls(ssl.create_default_context(cafile=bundle)), "/new"),
    "new HTTP": lambda: new(http.client.HTTPConnection(*proxy, timeout=10), plain),
}
failures, begin, rounds = [], time.monotonic(), 0
while rounds < 30 or not os.path.exists("end"):
    for name, way in ways.items():
        try:
            got = way()
        except Exception as e:
            got = f"{type(e).__name__}: {e}"
        if got != 200:
            failures.append([rounds, time.monotonic(), name, got])
    rounds += 1
    if rounds == 20:
        open("running", "w").close()
print(json.dumps([begin, time.monotonic(), rounds, failures[:10]]))
"""


def value_or_reason(path):
    """A request that needs a value: it arrives whole, or 503 and the reason."""
    reply = lab.get("api.test", path, [f"Authorization: Bearer {lab.inside['MY_KEY']}"])
    seen = lab.origin.seen()
    assert b"openshell:resolve" not in seen, seen
    assert (reply.status == 200 and VALUE.encode() in seen) or \
        (reply.status == 503 and reply.error == "credential_keeper_unavailable"), f"{reply!r} {seen!r}"
    return reply.status


def killed():
    for name in ("running", "end"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(lab.world.work, name))
    proxy, = lab.processes()["cove-proxy"]
    pid, = lab.processes()["cove-keeper"]
    loop = lab.start({"do": "sh", "script": f"exec {credlab.PYTHON} - <<'E'\n{GOES_ON}\nE", "timeout": 60})
    assert box.until(lambda: os.path.exists(os.path.join(lab.world.work, "running")), 10)
    os.kill(pid, signal.SIGKILL)
    dead, got = time.monotonic(), []
    while got[-3:] != [200] * 3:
        assert time.monotonic() < dead + 5, got
        got.append(value_or_reason(f"/{len(got)}"))
    new, = lab.processes()["cove-keeper"]
    open(os.path.join(lab.world.work, "end"), "w").close()
    answer = lab.wait(loop, 60)
    assert answer["out"], answer
    begin, end, rounds, failures = json.loads(answer["out"])
    equal(failures, [], f"of {rounds} rounds; the keeper died at {dead}")
    assert begin < dead < end and rounds >= 30, answer
    assert new != pid
    equal(lab.processes()["cove-proxy"], [proxy])


def killed_while_asked():
    """It dies with questions unanswered: a value is refused at once, the rest is asked of the next one."""
    pid, = lab.processes()["cove-keeper"]
    os.kill(pid, signal.SIGSTOP)
    time.sleep(1.2)  # so long the answer to the same question holds
    lab.origin.answer = f"HTTP/1.1 200 OK\r\nContent-Length: {len(VALUE) + 4}\r\n\r\nit: {VALUE}".encode()
    lab.origin.forget()
    needs = lab.start_talk("api.test", request("GET", "api.test", "/needs", [
        f"Authorization: Bearer {lab.inside['MY_KEY']}"]), timeout=25, sent="needs")
    judged = lab.start_talk("api.test", request("GET", "api.test", "/judged"), timeout=25, sent="judged")
    assert box.until(lambda: {"needs", "judged"} <= set(os.listdir(lab.world.work)), 20)
    time.sleep(1)  # and the proxy has asked
    early = lab.origin.seen()
    os.kill(pid, signal.SIGKILL)
    begin = time.monotonic()
    needs, judged = (credlab.Reply(lab.wait(job)) for job in (needs, judged))
    assert time.monotonic() - begin < 9, "as long as an answer is waited for"
    equal((needs.status, needs.error), (503, "credential_keeper_unavailable"), repr(needs))
    assert judged.status == 200 and b"it: " in judged.body and VALUE.encode() not in judged.body, repr(judged)
    seen = lab.origin.seen()
    assert b"/judged" not in early and b"/judged" in seen and b"/needs" not in seen, (early, seen)


def stopped():
    """A keeper that doesn't answer: what needs it ends with a reason, in time; the rest goes on."""
    pid, = lab.processes()["cove-keeper"]
    os.kill(pid, signal.SIGSTOP)
    time.sleep(1.2)  # so long the answer to the same question holds
    try:
        lab.origin.forget()
        lab.origin.answer = OK
        job = lab.start_talk("api.test", request("GET", "api.test", "/stopped",
                                                 [f"Authorization: Bearer {lab.inside['MY_KEY']}"]), timeout=25)
        free = credlab.Reply(lab.wait(lab.start_talk("free.test", request("GET", "free.test", "/free"))))
        equal((free.status, free.body), (200, b"ok"), repr(free))
        reply = credlab.Reply(lab.wait(job))
        assert typed(reply), repr(reply)
        assert b"stopped" not in lab.origin.seen(), lab.origin.seen()
    finally:
        os.kill(pid, signal.SIGCONT)
    box.until(lambda: lab.get("api.test", "/", [f"A: {lab.inside['MY_KEY']}"]).status == 200)
    arrives()


def proxy_killed():
    pid, = lab.processes()["cove-proxy"]
    os.kill(pid, signal.SIGKILL)

    def works():
        try:
            arrives()
            return True
        except AssertionError:
            assert b"openshell" not in lab.origin.seen()
            return False
    assert box.until(works), "not again"


tap.check("the keeper is killed: what needs a value fails with a reason or works; all the rest goes on", killed)
tap.check("the keeper is killed while it is asked; the next one scrubs what it released", killed_while_asked)
for key, value in KEYS.items():
    tap.check(f"after its restart {key} arrives", lambda: arrives(key, value))
tap.check("after its restart a new name gets a certificate that the sandbox trusts", lambda: equal(
    lab.get("new.test", "/").status, 200))
tap.check("the keeper doesn't answer: a typed failure in time, the rest goes on", stopped)
tap.check("the proxy is killed: values work again", proxy_killed)
tap.check("C10 after all this the supervisor's memory has no value", lambda: memory(["cove-supervisor", "cove-init"]))


def unbound():
    """The policy's binding is taken away under the run."""
    time.sleep(1.2)  # the watch begins a second into the run
    lab.world.policy(POLICY % "")
    r = box.until(lambda: (lambda r: r if r.status == 403 else None)(
        lab.get("bind.test", "/", [f"A: {lab.inside['BOUND_KEY']}"])))
    assert r and r.error == "credential_endpoint_mismatch" and not lab.origin.seen(), repr(r)
    arrives()


tap.check("C1 a binding that the policy takes away no longer holds", unbound)
tap.check("the run ends well", lambda: equal(lab.close(), 0, lab.stderr()))

# ---- C7: bad values start nothing ----

w = lab.world
profile = os.path.join(w.dir, "profile.yaml")
SIMPLE = w.policy("id: simple\ncredentials: [{name: key, env_vars: [MY_KEY], required: true}]\n"
                  "endpoints: [{host: api.test, port: 443, protocol: rest, enforcement: enforce, access: full}]\n"
                  "binaries: [{path: \"/**\"}]\n", "simple.yaml")


def bad(name, instance=None, env=None, words=(), options=()):
    def check():
        marker = os.path.join(w.work, "started")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(marker)
        path = w.policy(instance, "bad.yaml") if instance else SIMPLE
        os.chmod(path, 0o600)
        clean = {k: v for k, v in os.environ.items() if k != "MY_KEY"}
        r = w.cove(["/bin/sh", "-c", f"touch {marker}"], env={**clean, **(env or {})},
                   options=["--provider", path, *options])
        assert r.returncode != 0 and not os.path.exists(marker), r
        assert "v4lue" not in r.stdout + r.stderr, r.stderr
        assert all(x in r.stderr for x in words), r.stderr
    tap.check(name, check)


def file(data, mode=0o600):
    path = os.path.join(w.dir, "bad-value")
    with open(path, "wb") as f:
        f.write(data)
    os.chmod(path, mode)
    return "profile: ./simple.yaml\ncredentials: {key: {file: ./bad-value}}\n"


for what, data in (("CR", b"v4lue\rInjected: 1"), ("LF", b"v4lue\nInjected: 1"), ("NUL", b"v4lue\0x"),
                   ("two newlines at the end", b"v4lue\n\n"), ("nothing", b""),
                   ("only a newline", b"\n"), ("65 KiB", b"v4lue" * 13200)):
    # file() writes when bad() runs its check at once
    bad(f"C7 a file with {what}", file(data))
for what, data in (("CR", "v4lue\rx"), ("LF", "v4lue\nx: y"), ("nothing", "")):
    bad(f"C7 a variable with {what}", env={"MY_KEY": data}, words=["MY_KEY"])
bad("a required value that is nowhere names its variable", words=["MY_KEY"])
bad("a file that everybody may read", file(b"v4lue-1234567", 0o644))
bad("a command that fails", "profile: ./simple.yaml\ncredentials: {key: {command: [/bin/false]}}\n")
bad("a value on the command line too", env={"MY_KEY": "v4lue-12345678"}, options=["--env", "MY_KEY=x"], words=["MY_KEY"])
bad("a literal value in an instance", "profile: ./simple.yaml\ncredentials: {key: v4lue-12345678}\n")
lab.remove()
tap.done()
