#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal (C10): `cove audit secrets` finds a real value wherever it stands and in whatever encoding,
says where and never what; a run that works as it should is clean, also after its credential was
used; what can't be searched is no proof.  Method: real runs with a provider whose value has bytes
that encodings differ on; leaks are planted one at a time, by the host or by the command inside."""
import base64
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import world  # noqa: E402

VALUE = 's3cr3t-VALUE/0123+4567"89~xyz'
ROOT = os.geteuid() == 0
tap = world.Tap()
w = world.World(["api.example.test"])
server = world.Server(world.PUBLIC, 443, w.pki)


def write(name, text, mode=0o600):
    path = os.path.join(w.dir, name)
    with open(path, "wb") as f:
        f.write(text.encode() if isinstance(text, str) else text)
    os.chmod(path, mode)
    return path


write("value", VALUE)
write("profile.yaml", """\
id: my-api
credentials:
  - {name: key, env_vars: [MY_KEY], required: true}
endpoints:
  - {host: api.example.test, port: 443, protocol: rest, enforcement: enforce, access: read-only}
binaries: [{path: "/**"}]
""")
PROVIDER = write("instance.yaml", "profile: ./profile.yaml\ncredentials: {key: {file: ./value}}\n")
ENV = {"PATH": os.environ["PATH"], "HOME": w.dir}


def b64(before, after=b"tail"):
    return base64.b64encode(before + VALUE.encode() + after).decode()


ENCODINGS = {
    "plain": ("plain", VALUE),
    "percent-encoded": ("percent", "".join(f"%{ord(c):02X}" for c in VALUE)),
    "percent-encoded where it must be": ("percent", VALUE.replace("/", "%2F").replace('"', "%22")),
    "JSON-escaped": ("json", "".join(f"\\u{ord(c):04x}" for c in VALUE)),
    "JSON-escaped where it must be": ("json", json.dumps(VALUE)),
    "base64": ("base64", b64(b"")),
    "base64 behind one byte": ("base64", b64(b"x")),
    "base64 behind two bytes": ("base64", b64(b"xy")),
    "base64url": ("base64", base64.urlsafe_b64encode(b"user:" + VALUE.encode()).decode()),
    "hex": ("hex", VALUE.encode().hex()),
    "hex in upper case": ("hex", VALUE.encode().hex().upper()),
}


def audit(*words, env=None):
    r = subprocess.run([world.COVE, "audit", "secrets", *words], capture_output=True, text=True,
                       timeout=120, check=False, env={**ENV, **(env or {})}, cwd=w.dir,
                       stdin=subprocess.DEVNULL)
    bad = [x for x in (e[1] for e in ENCODINGS.values()) if x in r.stdout + r.stderr]
    if bad:
        tap.ok(False, "the report holds no value", r.stdout + r.stderr)
    return r


class Report:
    def __init__(self, run, *words, env=None, best=True):
        self.r = audit(f"cove-{run.pid}", "--provider", PROVIDER, "-o", "json",
                       *(["--best-effort"] if best else []), *words, env=env)
        with contextlib.suppress(ValueError):
            self.rows = json.loads(self.r.stdout)["rows"]
            return
        self.rows = []

    def found(self):
        return [(x["place"], x["subject"], h["encoding"], h["where"], h["offset"])
                for x in self.rows if x["state"] == "FOUND" for h in x["found"]]

    def __str__(self):
        return f"status {self.r.returncode}\n{self.r.stderr}\n" + "\n".join(
            str(x) for x in self.rows if x["state"] != "clean")


@contextlib.contextmanager
def run(script=": >ready; sleep 600 & wait", *args, options=(), env=None):
    ready = os.path.join(w.work, "ready")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(ready)
    p = subprocess.Popen([world.COVE, "run", "-q", "--no-tty", "--provider", PROVIDER, "--workdir", w.work,
                          "--ca", w.pki.ca, "--resolve", f"api.example.test:443:{world.PUBLIC}",
                          "--audit", w.audit, *options, "--", "sh", "-c", script, "sh", *args],
                         env={**ENV, **(env or {})}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 30
        while not os.path.exists(ready):
            if p.poll() is not None or time.monotonic() > end:
                raise RuntimeError("the run did not become ready")
            time.sleep(0.02)
        yield p
    finally:
        p.terminate()
        p.wait(20)


def expect(name, report, place, form, subject="", where="", at=None):
    hits = [h for h in report.found() if h[0] == place and h[2] == form and subject in h[1] and where in h[3]
            and at in (None, h[4])]
    others = [h for h in report.found() if h[0] not in (place, "memory")]  # where all else is too
    tap.ok(report.r.returncode == 1 and hits and not others, f"c10_{name}",
           f"hits {hits}, elsewhere {others}\n{report}")


# --- a run as it should be -----------------------------------------------------------------------

USE = ('for i in 1 2 3; do curl -sS -o got -H "Authorization: Bearer $MY_KEY" '
       'https://api.example.test/v1/$i || exit 1; done; echo "$MY_KEY" >copy; : >ready; sleep 600 & wait')
with run(USE) as live:
    sent = [v for x in server.seen for k, v in x["headers"].items() if k.lower() == "authorization"]
    report = Report(live, "--audit", w.audit)
    tap.ok(sent == [f"Bearer {VALUE}"] * 3, "the credential was used", sent)
    tap.ok(report.r.returncode == 0 and not report.found(), "c10_a run that used its credential is clean", report)
    places = {(x["place"], x["subject"].split()[0]) for x in report.rows if x["state"] == "clean"}
    want = {("memory", "sh"), ("environment", "sh"), ("arguments", "cove-proxy"), ("arguments", "cove-keeper"),
            ("files", "/tmp"), ("files", w.work), ("files", "/"), ("audit", w.audit), ("arguments", "other"),
            ("core", "cove-proxy"), ("core", "cove-keeper")}
    if ROOT:
        want |= {("memory", "cove-proxy"), ("memory", "cove-supervisor"), ("memory", "cove-init"),
                 ("environment", "cove-proxy")}
    tap.ok(want <= places, "each place has been searched", f"missing {want - places}\n{report}")
    tap.ok(not any(x["place"] == "memory" and "cove-keeper" in x["subject"] for x in report.rows) and
           any(x["state"] == "left out" and "cove-keeper" in x["subject"] for x in report.rows),
           "the keeper is named and its memory is not searched", report)
    strict = Report(live, best=False)
    gaps = [x for x in strict.rows if x["state"] == "not searched"]
    tap.ok(strict.r.returncode == (1 if gaps else 0), "what was not searched makes the status 1", strict)
    if not ROOT:
        tap.ok(any("run as root" in x["reason"] for x in gaps), "and what needs root says so", strict)
    everything = audit("--provider", PROVIDER, "--best-effort", "-o", "json")
    tap.ok(f'"run":"cove-{live.pid}"' in everything.stdout, "without a name, all runs are searched",
           everything.stdout[-2000:] + everything.stderr)
    stop, others = time.monotonic() + 6, []
    for _ in range(3):  # runs that come and go
        others.append(subprocess.Popen(["/bin/sh", "-c", f"while [ -e {w.work} ] && [ ! -e {w.dir}/enough ]; do "
                                        f"{world.COVE} run -q --workdir {w.work} -- sleep 0.02; done"]))
    several = [audit("--provider", PROVIDER, "--best-effort")]
    while time.monotonic() < stop and len(several) < 12:
        several.append(audit("--provider", PROVIDER, "--best-effort"))
    write("enough", "")
    for other in others:
        other.wait(20)
    tap.ok(not [r for r in several if r.returncode == 125], "without a name, one that ends meanwhile ends no search",
           [r.stderr for r in several])
    text = audit(str(live.pid), "--provider", PROVIDER, "--best-effort")
    tap.ok(text.returncode == 0 and text.stdout.splitlines()[-1].startswith("clean: 0 hits"),
           "as text, and a run by its number", text.stdout + text.stderr)

    # --- what an upstream proxy is shown: a value like others ---
    write("proxy-auth", "agent:hunter2-of-the-proxy")
    only = [f"cove-{live.pid}", "--upstream-proxy-auth", f"file:{w.dir}/proxy-auth", "--best-effort"]
    clean = audit(*only)
    tap.ok(clean.returncode == 0, "c10_what an upstream proxy is shown is nowhere", clean.stdout + clean.stderr)
    for name, planted in (("whole, as the header has it", base64.b64encode(b"agent:hunter2-of-the-proxy").decode()),
                          ("the password alone", "hunter2-of-the-proxy")):
        with open(os.path.join(w.work, "note"), "w", encoding="ascii") as f:
            f.write(f"Basic {planted}\n")
        found = audit(*only)
        tap.ok(found.returncode == 1 and "note" in found.stdout and "hunter2" not in found.stdout + found.stderr,
               f"c10_what an upstream proxy is shown: {name}", found.stdout + found.stderr)
        os.unlink(os.path.join(w.work, "note"))
    both = audit("--self-test", "--upstream-proxy-auth", "env:HOME")
    tap.ok(both.returncode == 2 and "--self-test" in both.stderr, "not with --self-test", both.stderr)

    # --- what a catalog of host tools has, and nothing else ---
    write("tools-key", "hunter2-of-the-catalog")
    catalog = write("tools.yaml", f"""\
version: 1
credentials: {{KEY: {{file: {w.dir}/tools-key}}}}
tools: {{say: {{description: Says., command: {{argv: [/bin/echo, x], env: {{K: "{{credential:KEY}}"}}}}}}}}
""")
    only = [f"cove-{live.pid}", "--tools", catalog, "--best-effort"]
    clean = audit(*only)
    tap.ok(clean.returncode == 0, "c10_a catalog's value is nowhere", clean.stdout + clean.stderr)
    with open(os.path.join(w.work, "note"), "w", encoding="ascii") as f:
        f.write("hunter2-of-the-catalog\n")
    found = audit(*only)
    tap.ok(found.returncode == 1 and "note" in found.stdout and "hunter2" not in found.stdout + found.stderr,
           "c10_a catalog's value is found", found.stdout + found.stderr)
    os.unlink(os.path.join(w.work, "note"))

    # --- each encoding, in a file ---
    for name, (form, planted) in ENCODINGS.items():
        path = os.path.join(w.work, "note")
        with open(path, "w", encoding="ascii") as f:
            f.write("x" * 70000 + " " + planted + "\n")
        expect(f"{name} in a file", Report(live), "files", form, w.work, "note")
        os.unlink(path)

    # --- each place outside the processes of the run ---
    odd = os.path.join(w.work, "a" + VALUE.replace("/", "%2F").replace('"', "%22"))
    write(odd, "")
    expect("a file's name", Report(live), "files", "percent", w.work, "name")
    os.unlink(odd)
    link = os.path.join(w.work, "link")
    os.symlink(VALUE, link)
    expect("the target of a link", Report(live), "files", "plain", w.work, "link")
    os.unlink(link)
    deep = os.path.join(w.work, *["d"] * 40)
    os.makedirs(deep)
    shutil.copy(os.path.join(w.dir, "value"), os.path.join(deep, "f"))
    expect("a file deep down, at its start", Report(live), "files", "plain", w.work, "d/f", at=0)
    shutil.rmtree(os.path.join(w.work, "d"))
    with open(w.audit, "a", encoding="utf-8") as f:
        f.write(json.dumps({"message": VALUE}) + "\n")
    expect("the audit file", Report(live, "--audit", w.audit), "audit", "json", w.audit)
    host = subprocess.Popen(["sh", "-c", "sleep 600; true", "sh", VALUE], start_new_session=True)
    expect("an argument on the host", Report(live), "arguments", "plain", "other", str(host.pid))
    os.killpg(host.pid, signal.SIGKILL)  # its sleep too, which has our stdout
    host.wait()
    host = subprocess.Popen(["sleep", "600"], start_new_session=True, env={"X": VALUE, "PATH": ENV["PATH"]})
    expect("another process's environment", Report(live), "environment", "plain", "other", str(host.pid))
    host.kill()
    host.wait()
    host = subprocess.Popen(["sleep", "600"], env={"X": VALUE, "PATH": ENV["PATH"]})
    report = Report(live)
    host.kill()
    host.wait()
    tap.ok(report.r.returncode == 0 and any(x["state"] == "yours" for x in report.rows),
           "the environment of the caller's own session is yours", report)

    # --- fail closed ---
    write("work/big", b"\0" * 3000000)
    report = Report(live, "--files-max", "1m", best=False)
    tap.ok(report.r.returncode == 1 and any("more than" in x.get("reason", "") for x in report.rows),
           "files beyond the limit are not searched, and said so", report)
    os.unlink(os.path.join(w.work, "big"))
    report = Report(live, "--audit", w.dir + "/none", best=False)
    tap.ok(report.r.returncode == 1 and any(x["place"] == "audit" and x["state"] == "not searched"
                                            for x in report.rows), "an audit file that is not there", report)
    short = write("short.yaml", "profile: ./profile.yaml\ncredentials: {key: {file: ./short}}\n")
    write("short", "abc1234")
    r = audit(str(live.pid), "--provider", short)
    tap.ok(r.returncode == 1 and "MY_KEY" in r.stdout and "fewer than 8" in r.stdout,
           "a value that is too short to search for", r.stdout[-1500:] + r.stderr)

# --- within the processes of a run ---------------------------------------------------------------

for name in ("plain", "percent-encoded", "JSON-escaped", "base64 behind one byte", "hex"):
    form, planted = ENCODINGS[name]
    with run(options=["-e", "LEAK"], env={"LEAK": planted}) as live:
        expect(f"{name} in a variable", Report(live), "environment", form, "s")
    with run(": >ready; sleep 600 & wait", planted) as live:
        expect(f"{name} in an argument", Report(live), "arguments", form, "sh ")
    write("work/gone", planted)
    with run('V=$(cat gone); rm gone; : >ready; sleep 600 & wait; echo "$V"') as live:
        expect(f"{name} in memory", Report(live), "memory", form, "sh ")
for place in ("/tmp", "/run", "/sandbox", "/dev/shm"):
    write("work/gone", VALUE)
    with run('mv gone "$1"; : >ready; sleep 600 & wait', place + "/kept") as live:
        expect(f"a file in {place}", Report(live), "files", "plain", place, place + "/kept")
write("work/gone", VALUE)
with run("exec 3<gone; rm gone; : >ready; sleep 600 & wait") as live:
    expect("a file that was deleted", Report(live), "nameless files", "plain", "s", "descriptor 3", at=0)
write("work/gone", VALUE)
HUGE = ('import ctypes,os,time; v=open("gone").read(); os.unlink("gone"); c=ctypes.CDLL(None); '
        'c.mmap.restype=ctypes.c_void_p; '
        'p=c.mmap(None, ctypes.c_size_t(64 << 40), 3, 0x4022, -1, ctypes.c_long(0)); '
        'ctypes.memmove(p + (40 << 40), v.encode(), len(v)); n=len(v); del v; '
        'open("ready","w"); time.sleep(600)')
with run('exec /usr/bin/python3 -c "$1"', HUGE) as live:
    expect("a page amid 64 TiB", Report(live), "memory", "plain", "python3")
write("work/gone", VALUE)
LIAR = ('import ctypes,os,sys,time; v=open("gone").read(); os.unlink("gone"); '
        'ctypes.CDLL(None).prctl(15, b"cove-keeper"); open("ready","w"); time.sleep(600); print(v)')
with run('exec /usr/bin/python3 -c "$1"', LIAR) as live:
    expect("a process that calls itself cove-keeper", Report(live), "memory", "plain", "cove-keeper")

# --- the proof that it can fail ------------------------------------------------------------------

r = audit("--self-test")
tap.ok(r.returncode == 0 and r.stdout.count("planted and found") == 4 and "passed" in r.stdout, "--self-test",
       r.stdout + r.stderr)
r = audit("--self-test", "-o", "json", env={"TMPDIR": w.dir})
tap.ok(r.returncode == 0 and json.loads(r.stdout)["is_passed"] and
       not [x for x in os.listdir(w.dir) if "self-test" in x], "--self-test as JSON, and nothing is left",
       r.stdout + r.stderr)

# --- bad input -----------------------------------------------------------------------------------

for name, words, status, part in (
        ("no provider", ["1"], 2, "--provider"),
        ("a run that is no number", ["--provider", PROVIDER, "run-7x"], 2, "'run-7x' is no run"),
        ("a number that is no run", ["--provider", PROVIDER, str(os.getpid())], 125, "no such run"),
        ("two runs", ["--provider", PROVIDER, "1", "2"], 2, "one run at a time"),
        ("a provider that is not there", ["--provider", "gthub"], 125, "gthub"),
        ("an empty provider", ["--provider", ""], 2, "empty"),
        ("a provider without values", ["--provider", "pypi"], 2, "no value to search for"),
        ("a variable that is not set", ["--provider", "openai"], 125, "OPENAI_API_KEY"),
        ("a size that is none", ["--files-max", "lots"], 2, "not a size"),
        ("an output that is none", ["-o", "xml"], 2, "xml"),
        ("an unknown option", ["--besteffort"], 2, "--best-effort"),
        ("--self-test with a run", ["--self-test", "7"], 2, "makes its own run"),
        ("--self-test with a catalog", ["--self-test", "--tools", "github"], 2, "makes its own run"),
        ("--self-test with a provider", ["--self-test", "--provider", "openai"], 2, "makes its own run")):
    r = audit(*words)
    tap.ok(r.returncode == status and part in r.stderr and len(r.stderr.splitlines()) == 1 and not r.stdout,
           f"refused: {name}", f"status {r.returncode}\n{r.stdout}{r.stderr}")

w.close()
tap.done()
