#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Files that a run was told of and that lie where its sandbox may write (B6, B11, P11).

Goal: nobody inside changes the policy that decides about them, the audit, a catalog, an instance, a program
of the host, in any of the ways in which a file is changed; nobody inside reads a file that holds a
credential; the host goes on changing them, and a policy that the sandbox could have written is never read.
Method: all of them in the working directory, in a directory two levels below, and behind --mount; a probe
that tries each way; then the files are looked at from outside, and a host that the attacker's policy would
allow is asked for.
"""
import hashlib
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import world  # noqa: E402

P = world.PUBLIC


def allow(*hosts):
    endpoints = ", ".join(f"{{host: {h}, port: 80}}" for h in hosts)
    return ("version: 1\nnetwork_policies:\n  api:\n    endpoints: [" + endpoints +
            "]\n    binaries: [{path: \"/**\"}]\n")


TOOLS = """
tools:
  all: {tools: ["*"]}
"""
WAYS = r"""
import os, sys
def tried(name, f):
    try:
        f()
        print("DONE", name)
    except OSError:
        pass
for path in sys.argv[1:]:
    top, name = os.path.split(path)
    tried("write " + path, lambda: os.close(os.open(path, os.O_WRONLY)))
    tried("append " + path, lambda: os.close(os.open(path, os.O_WRONLY | os.O_APPEND)))
    tried("truncate " + path, lambda: os.truncate(path, 0))
    tried("chmod " + path, lambda: os.chmod(path, 0o777))
    tried("utime " + path, lambda: os.utime(path, (1, 1)))
    tried("unlink " + path, lambda: os.unlink(path))
    tried("away " + path, lambda: os.rename(path, path + ".old"))
    open("evil", "w").write("evil\n")
    tried("over " + path, lambda: os.rename("evil", path))
    tried("link " + path, lambda: os.link(path, path + ".link"))
    while len(top) > len(os.getcwd()):
        tried("directory " + top, lambda: os.rename(top, top + ".old"))
        tried("remove " + top, lambda: os.rmdir(top))
        top = os.path.dirname(top)
"""
# Of who may mount: the same files at another place, without what lies over them.
UNCOVER = r"""
import ctypes, os, subprocess, sys
libc = ctypes.CDLL(None, use_errno=True)
top, files = sys.argv[1], sys.argv[2:]
for name in ("bind", "rbind", "over", "upper", "work"):
    os.mkdir("/tmp/" + name)
for words in (["mount", "--bind", top, "/tmp/bind"], ["mount", "--rbind", top, "/tmp/rbind"],
              ["mount", "-t", "overlay", "o", "-o", f"lowerdir={top},upperdir=/tmp/upper,workdir=/tmp/work", "/tmp/over"],
              ["mount", "-t", "overlay", "o", "-o", f"lowerdir={top}:/tmp/upper", "/tmp/over"],
              *(["umount", "-l", f] for f in files), *(["mount", "-o", "remount,rw,bind", f] for f in files)):
    subprocess.run(words, capture_output=True)
fd = libc.syscall(428, -100, top.encode(), 1)  # open_tree(2), a clone of this mount alone
tops = [top, "/tmp/bind", "/tmp/rbind", "/tmp/over"] + [f"/proc/self/fd/{fd}"] * (fd >= 0)
for place in tops:
    for f in files:
        path = place + f[len(top):]
        try:
            with open(path) as got:
                print(got.read())
            with open(path, "a") as to:
                print("WRITTEN" if to.write("evil") and not os.path.samefile(path, "/dev/null") else "", path)
        except OSError:
            pass
"""
w = world.World(["api.test"])
tap = world.Tap()
server = world.Server(P, 80)
PINS = [f"api.test:80:{P}", f"evil.test:80:{P}"]


def put(path, text, mode=0o600):
    path = os.path.join(w.work, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="ascii") as f:
        f.write(text)
    os.chmod(path, mode)
    return path


def cove(argv, *options, **kw):
    return subprocess.run([world.COVE, "run", "-q", "--no-tty", *(o for p in PINS for o in ("--resolve", p)),
                           *options, "--", *argv], cwd=w.work, capture_output=True, text=True, timeout=60,
                          check=False, **kw)


def digests(paths):
    found = {}
    for path in paths:
        with open(path, "rb") as f:
            found[path] = hashlib.sha256(f.read()).hexdigest(), os.stat(path).st_mode, os.stat(path).st_ino
    return found


def p11_each_way():
    probe = put("probe.py", WAYS)
    program = put("tools/bin/hello", "#!/bin/sh\necho hello\n", 0o755)
    catalog = put("cfg/tools.yaml", f"""\
version: 1
credentials: {{KEY: {{file: {w.work}/cfg/key}}}}
servers: {{}}
tools:
  hello: {{description: Says hello., command: {{argv: [{program}], env: {{K: "{{credential:KEY}}"}}}}}}
""")
    put("cfg/key", "the-catalogs-own-key-0123\n")
    token = put("a/b/token", "the-instances-token-4567\n")
    instance = put("a/b/work.yaml", "profile: github\ncredentials: {token: {file: token}}\n")
    policy = put("policy.yaml", allow("api.test") + TOOLS)
    audit = os.path.join(w.work, "a", "audit.jsonl")
    given = ("--policy", "policy.yaml", "--tools", "cfg/tools.yaml", "--provider", "a/b/work.yaml", "--audit",
             "a/audit.jsonl")
    r = cove(["true"], *given)  # makes the audit's file
    assert r.returncode == 0, r
    kept = [policy, catalog, instance, program]
    secret = [token, os.path.join(w.work, "cfg/key")]
    before = digests(kept + secret)
    r = cove(["/usr/bin/python3", probe, *kept, audit], *given)
    assert r.returncode == 0 and "DONE" not in r.stdout, r
    r = cove(["/usr/bin/python3", probe, *secret], *given)  # which nobody can tell from /dev/null
    assert r.returncode == 0 and set(r.stdout.splitlines()) <= {f"DONE {w} {s}" for w in ("write", "append") for s in
                                                                secret}, r
    assert digests(kept + secret) == before and os.path.getsize(audit) == 0, os.listdir(w.work)
    r = cove(["/bin/sh", "-c", "cat a/b/token cfg/key; grep -rs -e the-catalogs -e the-instances . && echo FOUND; "
              "cat policy.yaml | head -1; echo new >mine && mv mine a/b/mine && cat a/b/mine"], *given)
    assert r.stdout == "version: 1\nnew\n" and r.returncode == 0, r
    # The same files behind a mount, writable under another name.
    r = cove(["/usr/bin/python3", "-c", WAYS, *(p.replace(w.work, "/other") for p in kept), "/other/a/audit.jsonl"],
             *given, "--workdir", w.dir + "/else", "--mount", w.work + ":/other")
    assert r.returncode == 0 and "DONE" not in r.stdout, r
    assert digests(kept + secret) == before
    r = cove(["cat", "/other/a/b/token"], *given, "--workdir", w.dir + "/else", "--mount", w.work + ":/other:ro")
    assert r.returncode == 0 and r.stdout == "", r
    # That --no-protect is for what runs later, and not for what decides now.
    r = cove(["/usr/bin/python3", probe, *kept], *given, "--no-protect")
    assert r.returncode == 0 and "DONE" not in r.stdout, r


def p11_not_by_mounting():
    put("uncover.py", UNCOVER)
    token = put("n/token", "the-nested-token-8901\n")
    instance = put("n/work.yaml", "profile: github\ncredentials: {token: {file: token}}\n")
    policy = put("n/policy.yaml", allow("api.test"))
    before = digests([token, instance, policy])
    r = cove(["unshare", "-Urm", "/usr/bin/python3", "uncover.py", w.work, token, instance, policy], "--nested",
             "--policy", policy, "--provider", instance)
    assert r.returncode == 0 and "version: 1" in r.stdout, r
    assert "the-nested-token" not in r.stdout and "WRITTEN" not in r.stdout, r
    assert digests([token, instance, policy]) == before


def told():
    catalog = put("here.yaml", f"""\
version: 1
tools:
  hello: {{description: Says hello., command: {{argv: [/bin/sh, {put("say.sh", "echo hello")}, x]}}}}
""")
    argv = [world.COVE, "run", "--policy", put("p.yaml", "version: 1\n" + TOOLS), "--tools", catalog]
    inside = subprocess.run([*argv, "--", "true"], cwd=w.work, capture_output=True, text=True, check=False)
    assert f"hello runs {w.work}/say.sh on the host" in inside.stderr, inside
    outside = subprocess.run([*argv, "--", "true"], cwd=w.dir + "/else", capture_output=True, text=True, check=False)
    assert outside.returncode == 0 and "on the host" not in outside.stderr, outside


def b1_what_runs_have():
    """A working directory in which a run would keep what its broker has, or in which others do."""
    states = os.path.join(w.work, "states")
    os.makedirs(f"{states}/cove-tools-{os.geteuid()}/other", 0o700)
    put(f"states/cove-tools-{os.geteuid()}/other/broker.db", "the-jobs-of-another-run")
    os.chmod(f"{states}/cove-tools-{os.geteuid()}", 0o700)
    env = {k: v for k, v in os.environ.items() if k not in ("XDG_RUNTIME_DIR", "TMPDIR")}
    catalog = put("plain.yaml", "version: 1\ntools: {t: {description: Says., command: {argv: [/bin/echo, x]}}}\n")
    given = ("--policy", put("t.yaml", "version: 1\n" + TOOLS), "--tools", catalog)
    for variable in ("XDG_RUNTIME_DIR", "TMPDIR"):
        r = cove(["touch", "STARTED"], *given, env={**env, variable: states})
        assert r.returncode == 2 and "choose another --workdir" in r.stderr and len(r.stderr.splitlines()) == 1, r
        r = cove(["true"], *given, "--workdir", w.dir + "/else", "--mount", w.work + ":/x:ro", env={**env, variable: states})
        assert r.returncode == 2, r
        r = cove(["true"], *given, "--workdir", w.dir + "/else", env={**env, variable: states})
        assert r.returncode == 0, r
        r = cove(["/bin/sh", "-c", "grep -rs the-jobs . ; ls -A states/*; rmdir states/*; mv states away; echo end"],
                 env={**env, variable: states})
        assert r.stdout == "end\n", r
    assert not os.path.exists(w.work + "/STARTED") and os.path.exists(states)


class Run:
    """A run that asks for a URL whenever it is told to."""

    def __init__(self, policy, *options):
        self.p = subprocess.Popen(
            [world.COVE, "run", "-q", "--no-tty", *(o for p in PINS for o in ("--resolve", p)), "--policy", policy,
             *options, "--", "/bin/sh", "-c", "while read -r x; do eval \"$x\"; echo; done"], cwd=w.work, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.say("true")

    def say(self, script):
        self.p.stdin.write(script + "\n")
        self.p.stdin.flush()
        return self.p.stdout.readline().strip()

    def get(self, host):
        return self.say(f"curl -s -o /dev/null -w '%{{http_code}}' http://{host}/")

    def until(self, host, status, seconds=20):
        end = time.monotonic() + seconds
        while (got := self.get(host)) != status and time.monotonic() < end:
            time.sleep(0.05)
        return got == status

    def end(self):
        return self.p.communicate(timeout=20)[1]


def b6_not_from_inside():
    policy = put("policy.yaml", allow("api.test"))
    more = allow("evil.test")
    run = Run(policy)
    assert run.get("api.test") == "200" and run.get("evil.test") == "403"
    run.say("printf '" + more.replace("\n", "\\n") + "' >policy.yaml; cp policy.yaml x; mv -f x policy.yaml; "
            "rm -f policy.yaml; touch policy.yaml")
    time.sleep(2.5)  # the file is looked at every second at first
    got = run.get("evil.test"), run.get("api.test")
    assert got == ("403", "200"), got
    with open(policy, "w", encoding="ascii") as f:  # the host goes on writing
        f.write(allow("api.test", "evil.test"))
    assert run.until("evil.test", "200"), run.end()
    run.p.send_signal(signal.SIGHUP)
    got, said = run.get("evil.test"), run.end()
    assert got == "200" and "reload" not in said, (got, said)  # the shell's own complaints are there


def b6_replaced_on_the_host():
    """By a rename, which takes the mount away: from then on the sandbox could write the file."""
    policy = put("policy.yaml", allow("api.test"))
    run = Run(policy)
    assert run.get("api.test") == "200"
    os.rename(put("next.yaml", allow("api.test", "evil.test")), policy)
    time.sleep(2.5)
    run.say("sed s/api/evil/ policy.yaml >x; cat x >policy.yaml")
    run.p.send_signal(signal.SIGHUP)
    time.sleep(2)
    got = run.get("evil.test"), run.get("api.test")
    said = run.end()
    assert got == ("403", "200"), (got, said)
    assert said.count("not reloaded") == 1 and "replaced" in said, said


def elsewhere_as_ever():
    policy = w.policy(allow("api.test"))
    run = Run(policy)
    assert run.get("evil.test") == "403"
    os.rename(w.policy(allow("api.test", "evil.test"), "next.yaml"), policy)
    assert run.until("evil.test", "200")
    assert run.end() == ""


os.mkdir(w.dir + "/else")
tap.check("P11, B11, C10 nothing that was named is changed or, if secret, read, in any way", p11_each_way)
tap.check("P11, C10 nor by who makes namespaces and mounts inside", p11_not_by_mounting)
tap.check("who runs a program of the host out of the working directory is told", told)
tap.check("B1 what a broker keeps is not its sandbox's to see", b1_what_runs_have)
tap.check("B6 the policy in the working directory is not the sandbox's to change, and is the host's", b6_not_from_inside)
tap.check("B6 one that was replaced there is not read any more", b6_replaced_on_the_host)
tap.check("one that lies elsewhere is, as ever", elsewhere_as_ever)
w.close()
tap.done()
