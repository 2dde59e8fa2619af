#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: what the store can't take has not happened, and the caller is told so in a sentence; what it
took is there after a crash; reads go on meanwhile, and so does everything once the store is back.
Method: a gateway on a PostgreSQL that ends and comes back, or hangs; on a disk that is full, fails, or
takes its time.  Each fault is there while every rpc that changes something is called; what can be
listed is compared before and after.  The cases run beside each other."""
import concurrent.futures
import contextlib
import errno
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import disturb  # noqa: E402
import look  # noqa: E402
import world  # noqa: E402
import gatewaylab  # noqa: E402
import pgserver  # noqa: E402
import rpclab  # noqa: E402
from gatewaylab import code_of, until  # noqa: E402

READY, ERROR, STOPPED = 2, 3, 7
WAIT_S = 30
REFUSALS = {"UNAVAILABLE", "RESOURCE_EXHAUSTED", "INTERNAL"}
inference_pb2 = rpclab.module("inference_pb2")


class World:
    """A gateway with one of each kind of thing, and every way to change one of them."""

    def __init__(self, g):
        self.g, self.pb, self.names = g, g.pb, 0
        pb, s = g.pb, g.stub
        for name, kind, key in (("prov", "generic", "KEY"), ("spare", "generic", "KEY2"), ("free", "generic", "KEY3"),
                                ("llm", "openai", "OPENAI_API_KEY")):
            s.CreateProvider(pb.CreateProviderRequest(provider={
                "metadata": {"name": name}, "type": kind, "credentials": {key: "secret"}}))
        self.one, self.two = self.make("one", providers=["prov"]), self.make("two")
        s.StopSandbox(pb.StopSandboxRequest(name="two"))
        self.wait("two", STOPPED)
        s.ExposeService(pb.ExposeServiceRequest(sandbox="one", service="web", target_port=8080))
        s.CreateWorkspace(pb.CreateWorkspaceRequest(name="ws"))
        self.token = s.CreateSshSession(pb.CreateSshSessionRequest(sandbox_id=self.one)).token

    def make(self, name, **spec):
        spec.setdefault("command", ["sleep", "100000"])
        box = self.g.stub.CreateSandbox(self.pb.CreateSandboxRequest(name=name, spec=spec), timeout=WAIT_S).sandbox
        self.wait(name, READY)
        return box.metadata.id

    def phase(self, name):
        return self.g.stub.GetSandbox(self.pb.GetSandboxRequest(name=name), timeout=WAIT_S).sandbox.status.phase

    def wait(self, name, phase):
        until(lambda: self.phase(name) == phase, why=lambda: "%s is %d" % (name, self.phase(name)))

    def run(self, *command):
        got = list(self.g.stub.ExecSandbox(self.pb.ExecSandboxRequest(
            sandbox_id=self.one, command=command), timeout=WAIT_S))
        return b"".join(e.stdout.data for e in got), got[-1].exit.exit_code

    def inference(self):
        return rpclab.module("inference_pb2_grpc").InferenceStub(self.g.channel())

    def changes(self, pad=""):
        """(rpc, call) in an order in which all of them can succeed; each makes something new or ends
        something, and may have been refused before."""
        pb, s, inf = self.pb, self.g.stub, self.inference()
        self.names += 1
        new = "n%d" % self.names
        policy = pb.UpdateConfigRequest(name="one")
        policy.policy.version = 1
        rule = policy.policy.network_policies["r"]
        rule.endpoints.add(host=new + ".example.com", port=443)
        rule.binaries.add(path="/**")
        setting = pb.UpdateConfigRequest(setting_key="ocsf_json_enabled", **{"global": True})
        setting.setting_value.bool_value = bool(self.names % 2)
        profile = pb.ImportProviderProfilesRequest(profiles=[{"profile": {
            "id": "own" + new, "display_name": "Own", "category": 1,
            "credentials": [{"name": "key", "env_vars": ["OWN_KEY"]}]}}])
        return [
            ("CreateProvider", lambda: s.CreateProvider(pb.CreateProviderRequest(provider={
                "metadata": {"name": "p" + new}, "type": "generic", "credentials": {"K": "v" + pad}}), timeout=WAIT_S)),
            ("UpdateProvider", lambda: s.UpdateProvider(pb.UpdateProviderRequest(provider={
                "metadata": {"name": "spare"}, "credentials": {"KEY2": new + pad}}), timeout=WAIT_S)),
            ("ImportProviderProfiles", lambda: s.ImportProviderProfiles(profile, timeout=WAIT_S)),
            ("CreateWorkspace", lambda: s.CreateWorkspace(pb.CreateWorkspaceRequest(
                name="w" + new, labels={"a": "b"}), timeout=WAIT_S)),
            ("UpdateConfig, policy", lambda: s.UpdateConfig(policy, timeout=WAIT_S)),
            ("UpdateConfig, setting", lambda: s.UpdateConfig(setting, timeout=WAIT_S)),
            ("AttachSandboxProvider", lambda: s.AttachSandboxProvider(pb.AttachSandboxProviderRequest(
                sandbox_name="one", provider_name="spare"), timeout=WAIT_S)),
            ("ExposeService", lambda: s.ExposeService(pb.ExposeServiceRequest(
                sandbox="one", service=new, target_port=8080), timeout=WAIT_S)),
            ("CreateSshSession", lambda: s.CreateSshSession(pb.CreateSshSessionRequest(
                sandbox_id=self.one), timeout=WAIT_S)),
            ("SetInferenceRoute", lambda: inf.SetInferenceRoute(inference_pb2.SetInferenceRouteRequest(
                provider_name="llm", model_id=new, route_name="inference.local", no_verify=True), timeout=WAIT_S)),
            ("CreateSandbox", lambda: s.CreateSandbox(pb.CreateSandboxRequest(
                name="b" + new, spec={"command": ["sleep", "100000"]}, annotations={"a": pad}), timeout=WAIT_S)),
            ("StartSandbox", lambda: s.StartSandbox(pb.StartSandboxRequest(name="two"), timeout=WAIT_S)),
            ("RevokeSshSession", lambda: s.RevokeSshSession(pb.RevokeSshSessionRequest(
                token=self.token), timeout=WAIT_S)),
            ("DeleteService", lambda: s.DeleteService(pb.DeleteServiceRequest(
                sandbox="one", service="web"), timeout=WAIT_S)),
            ("DetachSandboxProvider", lambda: s.DetachSandboxProvider(pb.DetachSandboxProviderRequest(
                sandbox_name="one", provider_name="prov"), timeout=WAIT_S)),
            ("DeleteProvider", lambda: s.DeleteProvider(pb.DeleteProviderRequest(name="free"), timeout=WAIT_S)),
            ("DeleteWorkspace", lambda: s.DeleteWorkspace(pb.DeleteWorkspaceRequest(name="ws"), timeout=WAIT_S)),
            ("StopSandbox", lambda: s.StopSandbox(pb.StopSandboxRequest(name="one"), timeout=WAIT_S)),
            ("DeleteSandbox", lambda: s.DeleteSandbox(pb.DeleteSandboxRequest(name="one"), timeout=WAIT_S)),
        ]

    def holdings(self):
        pb, s, inf = self.pb, self.g.stub, self.inference()
        calls = [lambda: s.ListSandboxes(pb.ListSandboxesRequest(all_workspaces=True, limit=1000)),
                 lambda: s.ListProviders(pb.ListProvidersRequest(all_workspaces=True, limit=1000)),
                 lambda: s.ListProviderProfiles(pb.ListProviderProfilesRequest(limit=1000)),
                 lambda: s.ListWorkspaces(pb.ListWorkspacesRequest(limit=1000)),
                 lambda: s.ListServices(pb.ListServicesRequest(all_workspaces=True)),
                 lambda: s.ListSandboxProviders(pb.ListSandboxProvidersRequest(sandbox_name="one")),
                 lambda: s.GetSandboxPolicyStatus(pb.GetSandboxPolicyStatusRequest(name="one")),
                 lambda: s.ListSandboxPolicies(pb.ListSandboxPoliciesRequest(name="one")),
                 lambda: s.GetGatewayConfig(rpclab.module("sandbox_pb2").GetGatewayConfigRequest()),
                 lambda: inf.GetInferenceRoute(inference_pb2.GetInferenceRouteRequest())]
        # Times, and what is left of one that is being deleted, go on by themselves.
        own_way = re.compile('last_transition_time: "[^"]*"|(?<=PHASE_DELETING)(\n    \\w+: .*)*')
        return [own_way.sub("", str(code_of(c))) for c in calls]

    def all_refused(self, words, may_pass=False):
        """Each change is refused with a sentence, and changes nothing; how many were."""
        faults, refused = [], 0
        for name, call in self.changes(pad="x" * 2000 if may_pass else ""):
            before = self.holdings()
            code, said = code_of(call)
            if code == "OK" and may_pass:
                continue
            refused += 1
            if code not in REFUSALS or not any(w in said for w in words):
                faults.append("%s: %s %s" % (name, code, said))
            after = self.holdings()
            if after != before:
                faults.append("%s: %s, and yet: %s" % (name, code, [
                    (a, b) for a, b in zip(before, after) if a != b]))
            assert self.g.process.poll() is None, self.g.lines[-10:]
        assert not faults, "\n".join(faults)
        return refused

    def all_taken(self):
        faults = []
        for name, call in self.changes():
            code, said = code_of(call)
            if code != "OK" and not (name == "AttachSandboxProvider" and code == "ALREADY_EXISTS"):
                faults.append("%s: %s %s" % (name, code, said))
        assert not faults, "\n".join(faults)

    def works(self):
        """Reads, health and commands; none of them has to wait."""
        begun = time.monotonic()
        self.g.stub.ListSandboxes(self.pb.ListSandboxesRequest(), timeout=WAIT_S)
        self.g.stub.GetSandboxLogs(self.pb.GetSandboxLogsRequest(sandbox_id=self.one), timeout=WAIT_S)
        self.g.stub.Health(self.pb.HealthRequest(), timeout=WAIT_S)
        assert self.run("echo", "x") == (b"x\n", 0)
        return time.monotonic() - begun

    def close(self):
        for box in self.g.stub.ListSandboxes(self.pb.ListSandboxesRequest(limit=1000)).sandboxes:
            code_of(lambda: self.g.stub.DeleteSandbox(  # it may be going already
                self.pb.DeleteSandboxRequest(name=box.metadata.name), timeout=WAIT_S))
        until(lambda: not self.g.stub.ListSandboxes(self.pb.ListSandboxesRequest(), timeout=WAIT_S).sandboxes,
              why="all are gone")


class Writers:
    """Creates providers one after another, and keeps what was acknowledged and what was refused."""

    def __init__(self, w, prefix, across=4):
        self.w, self.prefix, self.is_over = w, prefix, False
        self.acknowledged, self.refused, self.slowest = set(), {}, 0.0
        self.threads = [threading.Thread(target=self._run, args=(i,), daemon=True) for i in range(across)]
        for t in self.threads:
            t.start()

    def _run(self, i):
        pb, n = self.w.pb, 0
        while not self.is_over:
            n += 1
            name = "%s%d-%d" % (self.prefix, i, n)
            begun = time.monotonic()
            code, said = code_of(lambda: self.w.g.stub.CreateProvider(pb.CreateProviderRequest(provider={
                "metadata": {"name": name}, "type": "generic", "config": {"k": "v"}}), timeout=WAIT_S))
            self.slowest = max(self.slowest, time.monotonic() - begun)
            if code == "OK":
                self.acknowledged.add(name)
            else:
                self.refused[name] = (code, said)
                time.sleep(0.05)

    def end(self):
        self.is_over = True
        for t in self.threads:
            t.join(WAIT_S)

    def compare(self):
        """With what is there after a crash."""
        pb, there, offset = self.w.pb, set(), 0
        while True:
            page = self.w.g.stub.ListProviders(pb.ListProvidersRequest(limit=1000, offset=offset)).providers
            there |= {p.metadata.name for p in page if p.metadata.name.startswith(self.prefix)}
            offset += len(page)
            if not page:
                break
        unsure = {n for n, (_, said) in self.refused.items() if "not known" in said}
        assert self.acknowledged <= there, sorted(self.acknowledged - there)
        assert there <= self.acknowledged | unsure, sorted(there - self.acknowledged)


# ---- PostgreSQL ----

class Postgres:
    def __enter__(self):
        if not pgserver.binaries():
            raise look.Unavailable("no PostgreSQL is installed")
        with tempfile.TemporaryDirectory() as d:
            for name in ("crt", "key"):
                open(os.path.join(d, name), "w", encoding="ascii").close()
            self.server = pgserver.PgServer("", 5432, os.path.join(d, "crt"), os.path.join(d, "key"), ssl=False)
        self.server.sql("CREATE DATABASE cove")
        return self

    def __exit__(self, *_):
        self.hang(False)
        if not os.path.exists(os.path.join(self.server.data, "postmaster.pid")):
            self.begin()  # or it could not be closed
        self.server.close()

    def url(self):
        return "postgresql:///cove?host=%s&user=postgres" % self.server.dir

    def end(self):
        self.server._run("pg_ctl", "-D", self.server.data, "-m", "immediate", "stop")

    def begin(self):
        self.server._run("pg_ctl", "-D", self.server.data, "-l", self.server.logfile, "-w", "-t", "60", "start")

    def hang(self, is_hung):
        """All its processes stand still: connections are made by the kernel, and nobody answers."""
        try:
            with open(os.path.join(self.server.data, "postmaster.pid"), encoding="ascii") as f:
                first = f.readline().strip()
        except OSError:
            return
        for pid in [first] + subprocess.run(["pgrep", "-P", first], capture_output=True, text=True,
                                            check=False).stdout.split():
            with contextlib.suppress(ProcessLookupError):  # a worker that was ending
                os.kill(int(pid), signal.SIGSTOP if is_hung else signal.SIGCONT)


def a_database_that_is_gone_and_comes_back():
    with Postgres() as pg, gatewaylab.Gateway(tls=False, env={"COVE_DB_URL": pg.url()}) as g:
        w = World(g)
        w.make("ends", command=["sh", "-c", "while [ ! -e end ]; do sleep 0.05; done; exit 7"])
        ends = g.stub.GetSandbox(w.pb.GetSandboxRequest(name="ends")).sandbox.metadata.id
        lives = g.stub.ExecSandbox(w.pb.ExecSandboxRequest(sandbox_id=w.one, command=["sh", "-c", "echo a; sleep 1000"]))
        next(lives)
        killed = w.make("killed")
        w.make("leaves")
        g.stub.DeleteSandbox(w.pb.DeleteSandboxRequest(name="leaves"), timeout=WAIT_S)
        pg.end()
        refused = w.all_refused(["database"])
        assert refused == len(w.changes()), refused
        took = max(w.works() for _ in range(5))
        print("#   without a database reads and a command take at most %.2f s" % took)
        assert took < 4.5, took  # of the five seconds that a statement may take
        code, said = g.get("/readyz")
        assert code == 503, (code, said)
        # What happens by itself meanwhile is told, and is stored when it can be.
        list(g.stub.ExecSandbox(w.pb.ExecSandboxRequest(sandbox_id=ends, command=["touch", "end"]), timeout=WAIT_S))
        w.wait("ends", ERROR)
        with open(os.path.join(g.state, "sandboxes", killed, "run"), encoding="ascii") as f:
            os.kill(int(f.read().split()[2]), signal.SIGKILL)
        w.wait("killed", ERROR)
        for name, word in (("ends", "exited with code 7"), ("killed", "ended by itself")):
            box = g.stub.GetSandbox(w.pb.GetSandboxRequest(name=name)).sandbox
            assert word in box.status.conditions[0].message, box.status
        pg.begin()
        until(lambda: g.get("/readyz")[0] == 200, 30, "it finds the database again")
        assert lives.is_active(), "a stream ended with the database"
        until(lambda: code_of(lambda: g.stub.CreateWorkspace(w.pb.CreateWorkspaceRequest(name="back")))[0] == "OK",
              30, "writes work again")
        until(lambda: code_of(lambda: w.phase("leaves"))[0] == "NOT_FOUND", why="what was being deleted goes")
        log = len(g.lines)
        time.sleep(1.2)  # what could not be written is tried once a second
        g.kill()
        g.start()
        for name in ("ends", "killed"):
            w.wait(name, ERROR)
        box = g.stub.GetSandbox(w.pb.GetSandboxRequest(name="ends")).sandbox
        assert box.status.exit_code == 7 and "code 7" in str(box.status.conditions), box.status
        assert not any("killed" in line and "start" in line for line in g.lines[log:])
        w.wait("one", READY)
        w.all_taken()
        w.close()


def a_database_that_restarts_while_it_is_written():
    with Postgres() as pg, gatewaylab.Gateway(tls=False, env={"COVE_DB_URL": pg.url()}) as g:
        w = World(g)
        writers = Writers(w, "r")
        for _ in range(3):
            time.sleep(0.5)
            pg.end()
            time.sleep(0.2)
            begun = len(writers.acknowledged)
            pg.begin()
            until(lambda b=begun: len(writers.acknowledged) > b + 10, 30, "writes go on")
        writers.end()
        print("#   %d acknowledged, %d refused, %d unsure" % (len(writers.acknowledged), len(writers.refused), len(
            [1 for _, s in writers.refused.values() if "not known" in s])))
        assert writers.refused and all(c == "UNAVAILABLE" and "database" in s for c, s in writers.refused.values()), \
            list(writers.refused.values())[:3]
        writers.compare()
        g.kill()
        g.start()
        writers.compare()
        w.close()


def a_database_that_hangs():
    with Postgres() as pg, gatewaylab.Gateway(tls=False, env={"COVE_DB_URL": pg.url()}) as g:
        w = World(g)
        pg.hang(True)
        begun = time.monotonic()
        code, said = code_of(lambda: g.stub.CreateWorkspace(w.pb.CreateWorkspaceRequest(name="late"), timeout=WAIT_S))
        first = time.monotonic() - begun
        assert code == "UNAVAILABLE" and "database" in said, (code, said)
        assert first < 8, first
        writers = Writers(w, "h")
        took = [w.works() for _ in range(10)]
        writers.end()
        print("#   the first write waits %.1f s, then %d at most %.2f s; reads and a command at most %.2f s" % (
            first, len(writers.refused), writers.slowest, max(took)))
        assert not writers.acknowledged and max(took) < 4.5 and writers.slowest < 4.5, (max(took), writers.slowest)
        pg.hang(False)
        until(lambda: code_of(lambda: g.stub.CreateWorkspace(w.pb.CreateWorkspaceRequest(
            name="again"), timeout=WAIT_S))[0] == "OK", 30, "writes work again")
        there = {x.metadata.name for x in g.stub.ListWorkspaces(w.pb.ListWorkspacesRequest()).workspaces}
        g.kill()
        g.start()
        now = {x.metadata.name for x in g.stub.ListWorkspaces(w.pb.ListWorkspacesRequest()).workspaces}
        assert there == now and "again" in now, (there, now)
        w.close()


# ---- disks ----

def a_full_disk():
    if os.geteuid() != 0:
        raise look.Unavailable("unavailable: mounts need root")
    with gatewaylab.Gateway(tls=False, start=False) as g:
        os.makedirs(g.state, mode=0o700)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m,mode=700", "none", g.state], check=True)
        try:
            g.start()
            w = World(g)
            fill = os.path.join(g.state, "fill")

            def full():
                with open(fill, "ab", buffering=0) as f:
                    try:
                        while f.write(b"x" * 4096):
                            pass
                    except OSError as e:
                        assert e.errno == errno.ENOSPC, e
            full()
            count = 0
            while code_of(lambda: g.stub.CreateProvider(w.pb.CreateProviderRequest(provider={
                    "metadata": {"name": "fill%d" % count}, "type": "generic", "config": {"k": "x" * 8000}}),
                    timeout=WAIT_S))[0] == "OK":
                count += 1
                full()
                assert count < 2000, "a full disk takes all"
            refused = w.all_refused(["disk", "space", "full"], may_pass=True)
            print("#   refused: %d of %d, after %d that found room" % (refused, len(w.changes()), count))
            assert refused > 5, refused
            assert g.stub.Health(w.pb.HealthRequest(), timeout=20).status
            os.unlink(fill)
            until(lambda: code_of(lambda: w.make("after"))[0] == "OK", 20, "there is room again")
            names = sorted(p.metadata.name for p in g.stub.ListProviders(w.pb.ListProvidersRequest(limit=1000)).providers)
            g.kill()
            g.start()
            assert set(names) - {"free"} <= {p.metadata.name for p in g.stub.ListProviders(
                w.pb.ListProvidersRequest(limit=1000)).providers}
            w.close()
        finally:
            g.close()
            subprocess.run(["umount", "-l", g.state], check=False)


def a_disk_that_fails():
    """Each fsync() ends with EIO, for a while."""
    with disturb.Disturbed() as d, gatewaylab.Gateway(tls=False, env=d.env) as g:
        w = World(g)
        before = d.syncs()
        d.set(sync_errno=errno.EIO)
        refused = w.all_refused(["I/O", "disk"])
        assert d.syncs() > before, "the store never waits for the disk"
        assert refused == len(w.changes()), refused
        assert w.works() < 3
        d.set(sync_errno=0)
        there = w.holdings()
        g.kill()
        g.start()
        w.wait("one", READY)
        until(lambda: w.holdings() == there, 5, lambda: [x for x in zip(there, w.holdings()) if x[0] != x[1]])
        w.all_taken()
        w.close()


SLOW_MS = 300
ACROSS = 16


def a_slow_disk():
    """Whoever reads waits for one of the writes that are under way, not for all of them."""
    with disturb.Disturbed() as d, gatewaylab.Gateway(tls=False, env=d.env) as g:
        w = World(g)
        d.set(sync_ms=SLOW_MS)
        answered, faults = [], []

        def make(i):
            begun = time.monotonic()
            code, said = code_of(lambda: g.connect().CreateSandbox(w.pb.CreateSandboxRequest(
                name="slow%d" % i, spec={"command": ["sleep", "1000"]}), timeout=60))
            if code != "OK":
                faults.append((code, said))
            answered.append(time.monotonic() - begun)
        threads = [threading.Thread(target=make, args=(i,)) for i in range(ACROSS)]
        for t in threads:
            t.start()
        took = []
        while any(t.is_alive() for t in threads):
            begun = time.monotonic()
            g.stub.Health(w.pb.HealthRequest(), timeout=WAIT_S)
            g.stub.GetSandbox(w.pb.GetSandboxRequest(name="one"), timeout=WAIT_S)
            took.append(time.monotonic() - begun)
        for t in threads:
            t.join()
        print("#   each fsync() %d ms, %d creations at a time: they take %.1f s at most; %d pairs of reads %.2f s" % (
            SLOW_MS, ACROSS, max(answered), len(took), max(took)))
        assert not faults, faults
        # Two reads, one behind the other: each behind a write or two, and what a sandbox that stands has written.
        assert max(took) < ACROSS / 2 * SLOW_MS / 1000, took
        d.set(sync_ms=0)
        for i in range(ACROSS):
            w.wait("slow%d" % i, READY)
        d.set(sync_ms=SLOW_MS)
        w.all_taken()
        d.set(sync_ms=0)
        g.kill()
        g.start()
        for i in range(ACROSS):
            w.wait("slow%d" % i, READY)
        w.close()


def in_own_mounts():
    """Mounts of this test are nobody else's, and end with it."""
    if os.geteuid() == 0 and os.environ.get("CV_FAULT_MOUNTS") != "own":
        os.environ["CV_FAULT_MOUNTS"] = "own"
        os.execvp("unshare", ["unshare", "-m", "--propagation", "private", sys.executable, *sys.argv])


CASES = [a_database_that_is_gone_and_comes_back, a_database_that_restarts_while_it_is_written, a_database_that_hangs,
         a_full_disk, a_disk_that_fails, a_slow_disk]
if __name__ == "__main__":
    in_own_mounts()
    tap = world.Tap()
    chosen = [f for f in CASES if len(sys.argv) < 2 or any(x in f.__name__ for x in sys.argv[1:])]
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        for function, future in [(f, pool.submit(f)) for f in chosen]:
            tap.check(function.__name__.replace("_", " "), future.result)
    tap.done()
