#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: whichever process of ours is killed, and whenever, what was acknowledged is there, nothing is
left behind, the phase says the truth, and the next sandbox works.
Method: a table of (process, moment).  A moment is made by waiting for a state, or by stopping the
process (SIGSTOP) before the call that it would take part in, so that it dies in the middle; and
some are hit at random delays.  Then disks that are full or read-only, two gateways, and files that
are damaged."""
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import look  # noqa: E402
import world  # noqa: E402
world.enter_user_namespace()  # so that processes can be looked into; before grpc is there with its threads
import gatewaylab  # noqa: E402
from gatewaylab import code_of, until  # noqa: E402

SEED = int(os.environ.get("CV_SEED", "0")) or random.randrange(1 << 30)
RANDOM_TRIES = int(os.environ.get("CV_FAULT_TRIES", "2"))
PROVISIONING, READY, ERROR, DELETING, STOPPING, STOPPED, STARTING = 1, 2, 3, 4, 6, 7, 8

tap = world.Tap()
rnd = random.Random(SEED)
print("# CV_SEED=%d" % SEED)


# ---- processes ----

def table():
    return {int(p): s for p, s in ((p, look.stat(p)) for p in os.listdir("/proc") if p.isdigit()) if s}


def below(*roots):
    """{pid: stat} of these, all that came from them, and the keepers of supervisors among them."""
    all_of = table()
    found = {p: all_of[p] for p in roots if p in all_of}
    for p in [p for p, s in found.items() if s.comm.startswith("cove-super")]:
        found.update({k: all_of[k] for k in look.adopted(p) if k in all_of and all_of[k].comm == "cove-keeper"})
    while True:
        more = {p: s for p, s in all_of.items() if s.parent in found and p not in found}
        if not more:
            return found
        found.update(more)


def lives(pid, stat):
    now = look.stat(pid)
    return now and now.start == stat.start and now.state != "Z"


def kill(pid, how=signal.SIGKILL):
    try:
        os.kill(pid, how)
    except ProcessLookupError:
        pass


class Lab:
    """A gateway, and what its sandboxes are made of."""

    def __init__(self, **kw):
        self.g = gatewaylab.Gateway(tls=False, **kw)
        self.pb = self.g.pb
        self.count = 0
        self.provide()

    def provide(self):
        """So that the vault and the keepers have something to hold."""
        self.g.stub.CreateProvider(self.pb.CreateProviderRequest(provider={
            "metadata": {"name": "prov"}, "type": "generic", "credentials": {"KEY": "secret"}}))

    def supervisor(self, box):
        """The pid in the file `run`, or None."""
        return self.g.supervisor(box.metadata.id) or None

    def part(self, box, name):
        """The process of a name that belongs to the sandbox, or None."""
        if name == "gateway":
            return self.g.process.pid
        if name == "vault":
            found = [p for p, s in table().items() if s.parent == self.g.process.pid and s.comm == "cove-keeper"]
            return found[0] if found else None
        pid = self.supervisor(box)
        if not pid or not look.stat(pid):
            return None
        if name == "supervisor":
            return pid
        found = [p for p, s in below(pid).items() if s.comm == "cove-" + name and (s.parent == pid or name == "keeper")]
        return found[0] if found else None

    def all_parts(self, box):
        pid = self.supervisor(box)
        return below(pid) if pid else {}

    # ---- calls ----

    def create(self, command=("sleep", "100000"), wait=True):
        self.count += 1
        request = self.pb.CreateSandboxRequest(
            name="f%d" % self.count, spec=self.pb.SandboxSpec(command=command, providers=["prov"]))
        request.spec.policy.version = 1  # with a way out: else there is no proxy
        rule = request.spec.policy.network_policies["first"]
        rule.endpoints.add(host="first.example.com", port=443)
        rule.binaries.add(path="/**")
        box = self.g.stub.CreateSandbox(request, timeout=20).sandbox
        if wait:
            self.wait(box, READY)
            # A proxy is started when it is needed first.
            code_of(lambda: self.policy(box, "second.example.com"))
            until(lambda: self.part(box, "proxy"), 5, "no proxy")
        return box

    def get(self, box):
        return self.g.stub.GetSandbox(self.pb.GetSandboxRequest(name=box.metadata.name), timeout=20).sandbox

    def phase(self, box):
        code, said = code_of(lambda: self.get(box))
        if code == "NOT_FOUND":
            return 0
        assert code == "OK", (code, said)
        return said.status.phase

    def wait(self, box, *phases):
        seen = []

        def come():
            seen[:] = [self.phase(box)]
            return seen[0] in phases
        try:
            until(come)
        except AssertionError:
            raise AssertionError(f"phase is {seen}, not one of {phases}: {code_of(lambda: self.get(box))}\n" +
                                 "\n".join(self.g.lines[-15:])) from None
        return seen[0]

    def run(self, box, *command, **kw):
        said = gatewaylab.said(self.g.stub.ExecSandbox(self.pb.ExecSandboxRequest(
            sandbox_id=box.metadata.id, command=command, **kw), timeout=60))
        return said.code, said.out

    def stop(self, box):
        return self.g.stub.StopSandbox(self.pb.StopSandboxRequest(name=box.metadata.name), timeout=20)

    def start(self, box):
        return self.g.stub.StartSandbox(self.pb.StartSandboxRequest(name=box.metadata.name), timeout=20)

    def delete(self, box):
        return self.g.stub.DeleteSandbox(self.pb.DeleteSandboxRequest(name=box.metadata.name), timeout=20)

    def policy(self, box, host):
        request = self.pb.UpdateConfigRequest(name=box.metadata.name)
        request.policy.version = 1
        rule = request.policy.network_policies["r"]
        rule.endpoints.add(host=host, port=443)
        rule.binaries.add(path="/**")
        return self.g.stub.UpdateConfig(request, timeout=20)

    def latest_host(self, box):
        revisions = self.g.stub.ListSandboxPolicies(self.pb.ListSandboxPoliciesRequest(
            name=box.metadata.name), timeout=20).revisions
        status = self.g.stub.GetSandboxPolicyStatus(self.pb.GetSandboxPolicyStatusRequest(
            name=box.metadata.name), timeout=20)
        return revisions, status

    # ---- what is left ----

    def traces(self, box):
        """What a sandbox is made of on this host, so that it can be looked for later."""
        parts = self.all_parts(box)
        spaces, groups = set(), set()
        own = {os.readlink(f"/proc/self/ns/{n}") for n in ("net", "mnt", "pid", "user", "ipc", "uts")}
        for p in parts:
            for n in ("net", "mnt", "pid", "user", "ipc", "uts"):
                try:
                    spaces.add(os.readlink(f"/proc/{p}/ns/{n}"))
                except OSError:
                    pass
            try:
                with open(f"/proc/{p}/cgroup", encoding="ascii") as f:
                    groups |= {line.rstrip().split(":", 2)[2] for line in f if line.startswith("0::")}
            except OSError:
                pass
        with open("/proc/self/cgroup", encoding="ascii") as f:
            groups -= {line.rstrip().split(":", 2)[2] for line in f}
        return parts, spaces - own, {g for g in groups if "cove" in g}

    def nothing_left(self, box, traces):
        parts, spaces, groups = traces
        with open("/proc/uptime", encoding="ascii") as f:
            now = float(f.read().split()[0]) * os.sysconf("SC_CLK_TCK")
        until(lambda: not [p for p, s in parts.items() if lives(p, s)], why="processes: %s" % [
            (p, s) for p, s in parts.items() if lives(p, s)])
        held = {}
        for p in (p for p in os.listdir("/proc") if p.isdigit()):
            for n in ("net", "mnt", "pid", "user"):
                try:
                    s = look.stat(p) if os.readlink(f"/proc/{p}/ns/{n}") in spaces else None
                    # A namespace's number is used again: the processes of others are younger.
                    if s and s.state != "Z" and s.start < now - 100:
                        held[p] = s
                except (OSError, TypeError):
                    pass
        assert not held, f"namespaces are held by {held}"
        directory = os.path.join(self.g.state, "sandboxes", box.metadata.id)
        until(lambda: not os.path.exists(directory), why="the directory stays")
        until(lambda: not [g for g in groups if os.path.exists("/sys/fs/cgroup" + g)], 10, "cgroups %s" % groups)
        with open("/proc/self/mountinfo", encoding="utf-8") as f:
            assert box.metadata.id not in f.read(), "mounts"

    def a_new_one_works(self):
        box = self.create()
        assert self.run(box, "echo", "well") == (0, b"well\n")
        traces = self.traces(box)
        self.delete(box)
        self.wait(box, 0)
        self.nothing_left(box, traces)

    def close(self):
        """Nothing of it may stay on a machine that others test on."""
        stay = {}
        root = os.path.join(self.g.state, "sandboxes")
        for name in os.listdir(root) if os.path.isdir(root) else []:
            if pid := self.g.supervisor(name):
                stay.update(below(pid))
        self.g.close()
        for p, s in stay.items():
            if lives(p, s):
                kill(p)


# ---- the table ----

def die(lab, pid, name):
    """Kills it; the gateway comes back at once, as its service manager would bring it."""
    kill(pid)
    if name == "gateway":
        lab.g.kill()
        lab.g.start()


def truth(lab, box, phases):
    """One of the phases comes: READY and it is of use, or ERROR with a reason.  The gateway may need a
    moment to see that somebody died."""
    last = [None]

    def come():
        phase = lab.phase(box)
        last[0] = phase
        if phase == READY and READY in phases:
            last[0] = code_of(lambda: lab.run(box, "echo", "x"))
            return last[0] == ("OK", (0, b"x\n"))
        if phase == ERROR and ERROR in phases:
            c = lab.get(box).status.conditions
            assert c and c[0].reason and c[0].message and c[0].status == "False", c
            return True
        return False
    try:
        until(come)
    except AssertionError:
        raise AssertionError(f"{last[0]}\n{code_of(lambda: lab.get(box))}") from None
    return lab.phase(box)


def ends(lab, box, traces):
    """Deletes it if it is there, and looks what stays."""
    if lab.phase(box):
        parts, spaces, groups = lab.traces(box)
        traces = ({**traces[0], **parts}, traces[1] | spaces, traces[2] | groups)
        lab.delete(box)
        lab.wait(box, 0)
    lab.nothing_left(box, traces)
    assert lab.g.process.poll() is None, lab.g.lines[-10:]


def in_create(lab, name):
    box = lab.create(wait=False)
    pid = until(lambda: lab.part(box, name), 20, "no " + name)
    traces = lab.traces(box)
    die(lab, pid, name)
    got = truth(lab, box, (READY,) if name in ("gateway", "vault") else (READY, ERROR))
    assert name not in ("supervisor", "init") or got == ERROR or lab.part(box, name) != pid, got
    ends(lab, box, traces)


def in_build(lab, name):
    """While the supervisor stands still in the middle of building."""
    box = lab.create(wait=False)
    supervisor = until(lambda: lab.part(box, "supervisor"), 20, "no supervisor")
    kill(supervisor, signal.SIGSTOP)
    pid = lab.part(box, name)
    traces = lab.traces(box)
    if pid:
        die(lab, pid, name)
    kill(supervisor, signal.SIGCONT)
    truth(lab, box, (READY,) if name in ("gateway", "vault") else (READY, ERROR))
    ends(lab, box, traces)


def in_exec(lab, name):
    box = lab.create()
    stream = lab.g.stub.ExecSandbox(lab.pb.ExecSandboxRequest(
        sandbox_id=box.metadata.id, command=["sh", "-c", "echo up; exec sleep 4711"]), timeout=60)
    assert next(stream).stdout.data == b"up\n"
    traces = lab.traces(box)
    pid = lab.part(box, name)
    die(lab, pid, name)
    if name in ("gateway", "vault"):
        truth(lab, box, (READY,))
    else:
        truth(lab, box, (READY, ERROR))
    if name in ("supervisor", "init"):
        lab.wait(box, ERROR)
        code, said = code_of(lambda: list(stream))
        assert code == "UNAVAILABLE" or (code == "OK" and said[-1].exit.exit_code > 128), (code, said)
    stream.cancel()
    ends(lab, box, traces)


def at_exec(lab, name):
    """It stands still when the command is asked for."""
    box = lab.create()
    pid = lab.part(box, name)
    traces = lab.traces(box)
    kill(pid, signal.SIGSTOP)
    stream = lab.g.stub.ExecSandbox(lab.pb.ExecSandboxRequest(
        sandbox_id=box.metadata.id, command=["sh", "-c", "echo up; exec sleep 4711"]), timeout=60)
    time.sleep(0.05)
    die(lab, pid, name)
    truth(lab, box, (READY,) if name in ("gateway", "vault") else (READY, ERROR))
    stream.cancel()
    ends(lab, box, traces)


def in_policy(lab, name):
    box = lab.create()
    lab.policy(box, "one.example.com")
    pid = lab.part(box, name)
    traces = lab.traces(box)
    if name != "gateway":
        kill(pid, signal.SIGSTOP)
    code, said = code_of(lambda: lab.policy(box, "two.example.com"))
    die(lab, pid, name)
    assert code == "OK", (code, said)
    truth(lab, box, (READY,) if name in ("gateway", "vault") else (READY, ERROR))
    revisions, status = lab.latest_host(box)
    assert max(r.version for r in revisions) >= said.version, (said, revisions)
    newest = [r for r in revisions if r.version == said.version]
    assert newest, revisions
    if name == "gateway":
        until(lambda: lab.latest_host(box)[1].active_version == said.version, 20,
              "the new policy is not active: %s" % status)
    ends(lab, box, traces)


def in_stop(lab, name):
    box = lab.create()
    assert lab.run(box, "sh", "-c", "echo kept >file")[0] == 0
    pid = lab.part(box, name)
    traces = lab.traces(box)
    if name != "gateway":
        kill(pid, signal.SIGSTOP)
    code, said = code_of(lambda: lab.stop(box))
    assert code == "OK", (code, said)
    die(lab, pid, name)
    lab.wait(box, STOPPED)
    until(lambda: not [p for p, s in traces[0].items() if lives(p, s)], why="processes")
    lab.start(box)
    lab.wait(box, READY)
    assert lab.run(box, "cat", "file") == (0, b"kept\n")
    ends(lab, box, traces)


def in_start(lab, name):
    box = lab.create()
    lab.stop(box)
    lab.wait(box, STOPPED)
    code, said = code_of(lambda: lab.start(box))
    assert code == "OK", (code, said)
    pid = until(lambda: lab.part(box, name), 20, "no " + name)
    traces = lab.traces(box)
    die(lab, pid, name)
    truth(lab, box, (READY,) if name in ("gateway", "vault") else (READY, ERROR))
    ends(lab, box, traces)


def in_delete(lab, name):
    box = lab.create()
    assert lab.run(box, "sh", "-c", "for i in $(seq 300); do mkdir -p d/$i; echo >d/$i/f; done")[0] == 0
    pid = lab.part(box, name)
    traces = lab.traces(box)
    if name != "gateway":
        kill(pid, signal.SIGSTOP)
    code, said = code_of(lambda: lab.delete(box))
    assert code == "OK" and said.deleted, (code, said)
    die(lab, pid, name)
    lab.wait(box, 0)
    ends(lab, box, traces)


def at_random(lab, name):
    """All of it in a row, the death at any instant."""
    for _ in range(RANDOM_TRIES):
        delay = rnd.random() * 0.15
        box = lab.create(wait=False)
        lab.count += 1
        victim = []
        traces = ({}, set(), set())
        begun = time.monotonic()
        acknowledged = "created"
        try:
            for what in (lambda: lab.wait(box, READY, ERROR), lambda: lab.run(box, "true"),
                         lambda: lab.policy(box, "x.example.com"), lambda: lab.stop(box)):
                if not victim and time.monotonic() - begun > delay:
                    pid = lab.part(box, name)
                    if pid:
                        traces = lab.traces(box)
                        victim.append(pid)
                        kill(pid)
                        if name == "gateway":
                            lab.g.kill()
                            lab.g.start()
                code, said = code_of(what)
                assert code in ("OK", "UNAVAILABLE", "FAILED_PRECONDITION", "ABORTED"), (code, said)
                if code == "OK" and what.__code__.co_names[-1] == "stop":
                    acknowledged = "stopped"
        finally:
            if lab.g.process.poll() is not None:
                lab.g.start()
        if acknowledged == "stopped":
            lab.wait(box, STOPPED)
        else:
            truth(lab, box, (READY, ERROR))
        ends(lab, box, traces)


PARTS = ["gateway", "supervisor", "init", "proxy", "keeper", "vault"]
MOMENTS = [in_create, in_build, in_exec, at_exec, in_policy, in_stop, in_start, in_delete, at_random]
# Where a process has no part in a moment, or is what would stop the test itself.
EXCEPT = {("in_build", "supervisor"), ("in_build", "gateway"), ("in_create", "proxy"), ("in_start", "proxy")}


def the_table(chosen):
    lab = Lab()
    try:
        fds = None
        for moment in MOMENTS:
            for name in PARTS:
                title = f"p16 {name} dies {moment.__name__.replace('_', ' ')}"
                if (moment.__name__, name) in EXCEPT or (chosen and not any(w in title for w in chosen)):
                    continue
                begun = len(lab.g.lines)
                before, start = tap.failed, time.monotonic()
                tap.check(title, lambda: moment(lab, name))
                if time.monotonic() - start > 5:
                    print("# that took %.1f s" % (time.monotonic() - start))
                if tap.failed > before:
                    print("\n".join("#     " + line for line in lab.g.lines[begun:][-12:]))
                if lab.g.process.poll() is not None:
                    tap.ok(False, "the gateway lives after " + title, lab.g.lines[-10:])
                    lab.g.start()
        tap.check("and a new sandbox works", lab.a_new_one_works)
        fds = look.descriptor_count(lab.g.process.pid)
        tap.ok(fds < 40, "no descriptor stays open", fds)
        zombies = [(p, s.comm) for p, s in table().items() if s.parent == lab.g.process.pid and s.state == "Z"]
        tap.ok(not zombies, "no zombie stays", zombies)
    finally:
        lab.close()


# ---- disks, files, neighbours ----

def full_disk():
    """Nothing that the store refused has happened, what it took is there, and it goes on when there is
    room.  The state is a disk of its own, in a mount namespace of its own."""
    if os.geteuid() != 0:
        raise look.Unavailable("unavailable: mounts need root")
    state = os.path.join(lab.g.directory, "state")
    os.makedirs(state, exist_ok=True)
    os.chmod(state, 0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "none", state], check=True)
    try:
        lab.g.start()
        lab.provide()
        fill = os.path.join(state, "fill")
        with open(fill, "wb", buffering=0) as f:
            while True:
                try:
                    if not f.write(b"x" * 4096):
                        break
                except OSError:
                    break
        acknowledged, refused = [], []
        for i in range(60):
            code, said = code_of(lambda: lab.g.stub.CreateSandbox(lab.pb.CreateSandboxRequest(
                name="full%d" % i, spec={"command": ["sleep", "1000"]}, annotations={"a": "x" * 2000}), timeout=20))
            (acknowledged if code == "OK" else refused).append((i, code, said if code != "OK" else ""))
        assert refused, "a full disk took all"
        for i, code, said in refused:
            assert code in ("UNAVAILABLE", "RESOURCE_EXHAUSTED", "INTERNAL", "FAILED_PRECONDITION") and said, (code, said)
        assert lab.g.process.poll() is None, lab.g.lines[-10:]
        names = {s.metadata.name for s in lab.g.stub.ListSandboxes(
            lab.pb.ListSandboxesRequest(limit=1000)).sandboxes}
        assert names == {"full%d" % i for i, _, _ in acknowledged}, (names, acknowledged)
        kinds = {(code, said) for _, code, said in refused}
        print("#   refused with", sorted(kinds)[:3])
        # A deletion needs room, too: refused, or done; not half.
        for i, _, _ in acknowledged[:3]:
            code, said = code_of(lambda: lab.g.stub.DeleteSandbox(
                lab.pb.DeleteSandboxRequest(name="full%d" % i), timeout=20))
            assert code in ("OK", "UNAVAILABLE", "RESOURCE_EXHAUSTED", "INTERNAL"), (code, said)
        lab.g.kill()
        os.unlink(fill)
        lab.g.start()
        until(lambda: code_of(lab.create)[0] == "OK", 30, "there is room again")
        names = {s.metadata.name for s in lab.g.stub.ListSandboxes(
            lab.pb.ListSandboxesRequest(limit=1000)).sandboxes}
        assert names >= {"full%d" % i for i, _, _ in acknowledged[3:]}, (names, acknowledged)
        for name in names:
            lab.g.stub.DeleteSandbox(lab.pb.DeleteSandboxRequest(name=name), timeout=20)
        until(lambda: not lab.g.stub.ListSandboxes(lab.pb.ListSandboxesRequest()).sandboxes, 30, "all are gone")
        assert not any("Sanitizer" in line or "assert" in line for line in lab.g.lines), lab.g.lines[-20:]
    finally:
        lab.g.stop()
        subprocess.run(["umount", "-l", state], check=False)


def two_on_one_state():
    lab.g.start()
    box = lab.create()
    second = subprocess.run([gatewaylab.EXE, "run", "--config", lab.g.config_path, "--state-dir", lab.g.state,
                             "--port", "0", "--disable-tls"], env=lab.g.env, capture_output=True, text=True,
                            timeout=20, check=False)
    assert second.returncode not in (0, -6, -11) and second.stderr.strip(), second
    print("#  ", second.stderr.strip().splitlines()[-1][:200])
    assert lab.run(box, "echo", "x") == (0, b"x\n")
    lab.delete(box)
    lab.wait(box, 0)
    lab.g.stop()


def refuses_to_start(words):
    """It says why, in one line, and does not crash."""
    try:
        lab.g.start()
    except RuntimeError as e:
        assert lab.g.process.wait(10) not in (-6, -11, 139, 134), lab.g.process.returncode
        text = str(e)
        assert "Sanitizer" not in text, text
        print("#  ", lab.g.lines[-1][:200] if lab.g.lines else "")
        assert any(w in text for w in words), text
        return
    raise AssertionError("it starts")


def a_damaged_database():
    path = os.path.join(lab.g.state, "cove.db")
    lab.g.start()
    box = lab.create()
    lab.stop(box)
    lab.wait(box, STOPPED)
    lab.g.stop()
    for name in os.listdir(lab.g.state):
        if name.startswith("cove.db-"):
            os.unlink(os.path.join(lab.g.state, name))
    with open(path, "rb") as f:
        whole = f.read()
    try:
        for what, data in (("noise", os.urandom(len(whole))), ("half", whole[:len(whole) // 2]),
                           ("a page of zeros", whole[:4096] + b"\0" * 4096 + whole[8192:]),
                           ("another text", b"hello\n")):
            with open(path, "wb") as f:
                f.write(data)
            print("#  ", what)
            try:
                refuses_to_start(["database", "malformed", "not a", "store", "cove.db"])
            finally:
                if lab.g.process.poll() is None:
                    lab.g.stop()
    finally:
        with open(path, "wb") as f:
            f.write(whole)
    lab.g.start()
    lab.start(box)
    lab.wait(box, READY)
    lab.delete(box)
    lab.wait(box, 0)
    lab.g.stop()


def a_newer_schema_is_refused():
    path = os.path.join(lab.g.state, "cove.db")
    with sqlite3.connect(path) as db:
        old = db.execute("pragma user_version").fetchone()[0]
        names = [r[0] for r in db.execute("select name from sqlite_master where type='table'")]
        print("#   version", old, names)
        db.execute("pragma user_version = 9999")
    try:
        if old:
            refuses_to_start(["newer", "version"])
    finally:
        with sqlite3.connect(path) as db:
            db.execute("pragma user_version = %d" % old)


def a_damaged_record():
    """One record that is noise: the others are served, or the start is refused with its name."""
    lab.g.start()
    box, other = lab.create(), lab.create()
    lab.stop(box)
    lab.wait(box, STOPPED)
    lab.g.stop()
    path = os.path.join(lab.g.state, "cove.db")
    db = sqlite3.connect(path)
    tables = {r[0]: [c[1] for c in db.execute(f"pragma table_info({r[0]})")] for r in
              db.execute("select name from sqlite_master where type='table'")}
    found = [(t, c) for t, columns in tables.items() for c in columns if c in ("body", "payload", "value", "data", "bytes")]
    assert found, tables
    table_name, column = found[0]
    rows = db.execute(f"select key, key, {column} from {table_name} where cast(key as text) like ?",
                      ("%/" + box.metadata.name,)).fetchall()
    assert rows, tables
    kept = [(r[0], r[2]) for r in rows]
    for junk in (b"\xff" * 50, b"", bytes(kept[0][1])[:-3]):
        for row, _ in kept:
            db.execute(f"update {table_name} set {column} = ? where key = ?", (junk, row))
        db.commit()
        try:
            lab.g.start()
        except RuntimeError as e:
            assert box.metadata.name in str(e) or "record" in str(e) or "sandbox" in str(e), e
            assert lab.g.process.wait(10) > 0, lab.g.process.returncode
            print("#   refused:", lab.g.lines[-1][:200])
        else:
            assert code_of(lambda: lab.get(other))[0] == "OK"
            said = [line for line in lab.g.lines[-20:] if "ERROR" in line or "WARN" in line]
            print("#   served:", (said or ["without a word"])[-1][:200], code_of(lambda: lab.get(box))[0])
            lab.g.stop()
    for row, whole in kept:
        db.execute(f"update {table_name} set {column} = ? where key = ?", (whole, row))
    db.commit()
    db.close()
    lab.g.start()
    for b in (box, other):
        lab.delete(b)
        lab.wait(b, 0)
    lab.g.stop()


def damaged_files_beside_it():
    """`run`, port: noise in them neither kills nor loses.  And a whole state that was removed."""
    homeless = Lab()
    third = homeless.supervisor(homeless.create())
    homeless.g.kill()
    shutil.rmtree(homeless.g.directory)
    lab.g.start()
    box = lab.create()
    lab.g.kill()
    run = os.path.join(lab.g.state, "sandboxes", box.metadata.id, "run")
    pid = lab.supervisor(box)
    with open(run, "wb") as f:
        f.write(os.urandom(200))
    lab.g.start()
    until(lambda: lab.phase(box) in (READY, ERROR), 60, "a run that says nothing")
    print("#   run is noise: phase", lab.phase(box), "the old supervisor lives:", bool(look.stat(pid)))
    until(lambda: lab.phase(box) == ERROR or lab.supervisor(box) == pid or not look.stat(pid) or
          look.stat(pid).state == "Z", 90, "two supervisors of one sandbox")
    lab.delete(box)
    lab.wait(box, 0)
    for orphan in (pid, third):
        until(lambda: not look.stat(orphan) or look.stat(orphan).state == "Z", 90, "a supervisor stays for ever")
    lab.g.kill()
    with open(os.path.join(lab.g.state, "port"), "wb") as f:
        f.write(b"\xff" * 100)
    lab.g.start()
    lab.g.stop()


def a_state_that_is_read_only():
    if os.geteuid() != 0:
        raise look.Unavailable("unavailable: mounts need root")
    state = lab.g.state
    subprocess.run(["mount", "--bind", state, state], check=True)
    subprocess.run(["mount", "-o", "remount,ro,bind", state], check=True)
    try:
        refuses_to_start(["Read-only", "read-only", "readonly"])
    finally:
        if lab.g.process.poll() is None:
            lab.g.stop()
        subprocess.run(["umount", "-l", state], check=False)


def others_directories_are_refused():
    """A state that others may write, or that is a symlink, is not used."""
    with gatewaylab.Gateway(tls=False, start=False) as g:
        os.makedirs(g.directory + "/real", mode=0o700)
        os.symlink("real", g.state)
        code, _ = code_start(g)
        os.unlink(g.state)
        assert code == "refused", "a symlink as state"
        os.mkdir(g.state)
        os.chmod(g.state, 0o777)
        code, _ = code_start(g)
        if code != "refused":
            assert os.stat(g.state).st_mode & 0o777 == 0o700, "others may write into the state"


def code_start(g):
    try:
        g.start()
    except RuntimeError as e:
        return "refused", str(e)
    g.stop()
    return "started", ""


def wall_clocks_are_not_waited_by():
    """Deadlines are of the monotonic clock: nobody waits by CLOCK_REALTIME."""
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../src")
    faults = []
    for folder in ("gateway", "rpc", "driver", "supervisor"):
        for root, _, files in os.walk(os.path.join(source, folder)):
            for name in files:
                if not name.endswith(".c"):
                    continue
                with open(os.path.join(root, name), encoding="utf-8") as f:
                    for number, line in enumerate(f, 1):
                        if "CLOCK_REALTIME" in line or "gettimeofday" in line or "time(NULL)" in line:
                            faults.append((name, number, line.strip()))
    bad = [x for x in faults if "timerfd" in x[2] or "deadline" in x[2]]
    print("#   of the wall clock:", len(faults), "places")
    assert not bad, bad


OTHERS = [full_disk, two_on_one_state, a_damaged_database, a_newer_schema_is_refused, a_damaged_record,
          damaged_files_beside_it, a_state_that_is_read_only, others_directories_are_refused,
          wall_clocks_are_not_waited_by]


def the_others(chosen):
    global lab
    for f in OTHERS:
        title = f.__name__.replace("_", " ")
        if chosen and not any(w in title for w in chosen):
            continue
        lab = Lab()
        lab.g.stop()
        try:
            tap.check(title, f)
        finally:
            lab.close()


def in_own_mounts():
    """Mounts of this test are nobody else's, and end with it."""
    if os.geteuid() == 0 and os.environ.get("CV_FAULT_MOUNTS") != "own":
        os.environ["CV_FAULT_MOUNTS"] = "own"
        os.execvp("unshare", ["unshare", "-m", "--propagation", "private", sys.executable, *sys.argv])


if __name__ == "__main__":
    in_own_mounts()
    if "others" not in sys.argv[1:]:
        the_table(sys.argv[1:])
    the_others([w for w in sys.argv[1:] if w != "others"])
    tap.done()
