#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: a sandbox that is started while it is stored does nothing before it is, and is nothing if it is not: a
commit that fails leaves no process, no directory and no record; a gateway that is killed in it leaves nothing
that the next one would show, and nothing that runs a command.
Method: somebody else holds the database (SQLite: BEGIN IMMEDIATE; PostgreSQL, where CV_DB_URL names one: LOCK
TABLE), so that a commit waits two seconds, or three, and fails; in these the supervisor is looked for, and
what its command would write."""
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import look  # noqa: E402
import world  # noqa: E402
world.enter_user_namespace()  # so that processes can be looked into; before grpc is there with its threads
import gatewaylab  # noqa: E402
import rpclab  # noqa: E402
from gatewaylab import code_of, until  # noqa: E402

tap = world.Tap()
READY, ERROR = 2, 3
WORDS = ["sh", "-c", "echo ran >ran; exec sleep 100000"]


class TableLock:
    """Of a transaction in psql, which ends with its input: others read, and nobody writes."""

    def __init__(self, url):
        self.psql = subprocess.Popen(["psql", "-X", "-At", "-q", "-v", "ON_ERROR_STOP=1", "-d", url], text=True,
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.psql.stdin.write("BEGIN; LOCK TABLE cove_record IN EXCLUSIVE MODE; SELECT 'held';\n")
        self.psql.stdin.flush()
        assert self.psql.stdout.readline() == "held\n"

    def close(self):
        self.psql.communicate()


CATALOG = """\
version: 1
tools:
  say: {description: Says a word., command: {argv: [/bin/echo, word]}}
"""


class Lab:
    def __init__(self, has_keys=False, **config):
        self.g = gatewaylab.Gateway(tls=False, config=config, start=False)
        self.pb, self.providers = self.g.pb, []
        if has_keys:
            catalog = os.path.join(self.g.directory, "tools.yaml")
            with open(catalog, "w", encoding="ascii") as f:
                f.write(CATALOG)
            self.g.write_config({**config, "tools": {"catalogs": [catalog]}})
        self.g.start()
        if has_keys:
            self.provider_make()
        self.place = os.path.join(self.g.state, "sandboxes")
        self.warm = config.get("warm_pool", 0)
        if self.warm:
            until(lambda: len(self.names("spare-")) == self.warm)
            until(lambda: len(self.supervisors()) >= self.warm and all(map(stand, self.supervisors())))
            time.sleep(1)  # READY has been read

    def provider_make(self):
        pb, sb, dm = self.pb, rpclab.module("sandbox_pb2"), rpclab.module("datamodel_pb2")
        self.g.stub.ImportProviderProfiles(pb.ImportProviderProfilesRequest(profiles=[pb.ProviderProfileImportItem(
            source="test", profile=pb.ProviderProfile(
                id="kind", display_name="kind", category=1,
                credentials=[pb.ProviderProfileCredential(name="key", env_vars=["API_KEY"])],
                endpoints=[sb.NetworkEndpoint(host="api.test", port=443, protocol="rest", enforcement="enforce",
                                              access="full")],
                binaries=[sb.NetworkBinary(path="/**")]))]))
        self.g.stub.CreateProvider(pb.CreateProviderRequest(provider=dm.Provider(
            metadata=dm.ObjectMeta(name="one"), type="kind", credentials={"API_KEY": "v4lue-0123456789"})))
        self.providers = ["one"]

    def started(self):
        """The files of starts: of whom."""
        try:
            return {n.partition(".")[0] for n in os.listdir(os.path.join(self.g.state, "started"))}
        except FileNotFoundError:
            return set()

    def names(self, prefix=""):
        """Directories of sandboxes."""
        return [n for n in os.listdir(self.place) if n.startswith(prefix) and not n.startswith(".")]

    def new(self):
        return [n for n in self.names() if not n.startswith("spare-")]

    def run_file(self, name):
        try:
            with open(os.path.join(self.place, name, "run"), encoding="ascii") as f:
                return f.read().split("\n")
        except OSError:
            return []

    def supervisors(self):
        """Of this gateway, by what they have open or where they dial: their parent."""
        found = set()
        for p in os.listdir("/proc"):
            try:
                with open(f"/proc/{p}/stat", encoding="utf-8", errors="replace") as f:
                    text = f.read()
            except OSError:
                continue
            rest = text[text.rindex(")") + 2:].split()
            if "(cove-supervisor" in text and int(rest[1]) == self.g.process.pid and rest[0] != "Z":
                found.add(int(p))
        return found

    def create(self, name):
        return self.g.stub.CreateSandbox(self.pb.CreateSandboxRequest(
            name=name, spec=self.pb.SandboxSpec(command=WORDS, providers=self.providers)), timeout=30)

    def get(self, name):
        return self.g.stub.GetSandbox(self.pb.GetSandboxRequest(name=name), timeout=20).sandbox

    def ran(self, name):
        return os.path.exists(os.path.join(self.place, name, "workspace", "ran"))

    def works(self, name):
        self.create(name)
        until(lambda: self.get(name).status.phase in (READY, ERROR))
        box = self.get(name)
        assert box.status.phase == READY, box
        until(lambda: self.ran(box.metadata.id))
        pid = self.run_file(box.metadata.id)[1].split()[0]
        assert int(pid) in self.supervisors(), (pid, self.supervisors())
        self.delete(name)

    def delete(self, name):
        self.g.stub.DeleteSandbox(self.pb.DeleteSandboxRequest(name=name), timeout=20)
        until(lambda: code_of(lambda: self.get(name))[0] == "NOT_FOUND")

    def held(self):
        """The database, by somebody else; close() lets it go."""
        if "COVE_DB_URL" in self.g.env:
            return TableLock(self.g.env["COVE_DB_URL"])
        con = sqlite3.connect(os.path.join(self.g.state, "cove.db"), isolation_level=None, timeout=20)
        con.execute("BEGIN IMMEDIATE")
        return con

    def create_held(self, name):
        """While the database is held: what it is asked, and the directory that is there by then."""
        answer = []
        t = threading.Thread(target=lambda: answer.append(code_of(lambda: self.create(name))))
        t.start()
        ident = until(self.new, 10)[0]
        return t, answer, ident


def stand(pid):
    """PID 1 of the sandbox is there: it is built, or all but built."""
    return bool(look.runs(pid)) and any("cove-init" in n for n in look.names_below(pid))


def refused(lab):
    before = lab.supervisors()
    con = lab.held()
    t, answer, ident = lab.create_held("a")
    # It is started, or a spare has become it, and not written down; nothing runs in it.
    until(lambda: lab.run_file(ident)[1:2] == ["new"], 5)
    its = until(lambda: lab.supervisors() - before or (lab.warm and before), 5)
    until(lambda: all(map(stand, its)), 5)
    time.sleep(0.3)
    assert not lab.ran(ident), "a command of a sandbox that is not stored"
    t.join()
    con.close()
    assert answer[0][0] == "UNAVAILABLE", answer
    until(lambda: ident not in lab.new())
    if not lab.warm:
        until(lambda: not lab.supervisors() - before)
    assert code_of(lambda: lab.get("a"))[0] == "NOT_FOUND"
    assert ident not in lab.started()
    assert not lab.g.stub.ListSandboxes(lab.pb.ListSandboxesRequest(limit=10)).sandboxes
    lab.works("a")  # the name is free


def killed(lab):
    con = lab.held()
    t, answer, ident = lab.create_held("b")
    before = until(lab.supervisors, 5)
    lab.g.process.kill()
    lab.g.process.wait()
    t.join()
    lab.g.kill()
    con.close()
    assert answer[0][0] == "UNAVAILABLE", answer
    lab.g.start()
    # The next one knows nothing of it.
    assert ident not in lab.names() and ident not in lab.started()
    assert code_of(lambda: lab.get("b"))[0] == "NOT_FOUND"
    time.sleep(1)
    assert not lab.ran(ident)
    for p in before:  # it is refused, and would end by itself after half a minute
        try:
            os.kill(p, signal.SIGKILL)
        except ProcessLookupError:
            pass
    until(lambda: not any(map(look.runs, before)))
    lab.works("b")


def killed_after(lab):
    """One that was stored goes on, whenever its gateway went."""
    for i in range(4):
        lab.create(f"c{i}")
        lab.g.kill()
        lab.g.start()
        until(lambda: lab.get(f"c{i}").status.phase in (READY, ERROR))
        box = lab.get(f"c{i}")
        assert box.status.phase == READY, box
        until(lambda: lab.ran(box.metadata.id))
        lab.delete(f"c{i}")


def others_directories_stay(lab):
    """Swept is only what says that it is new: a store from a backup may not know what is there."""
    lab.g.stop()
    for name, text in (("stopped", "-" * 115), ("ran", "x" * 101 + "\n" + "1 1\n"), ("nothing", "")):
        os.makedirs(os.path.join(lab.place, name, "workspace"))
        with open(os.path.join(lab.place, name, "run"), "w", encoding="ascii") as f:
            f.write(text)
    os.makedirs(os.path.join(lab.place, "begun", "workspace", "with"))
    with open(os.path.join(lab.place, "begun", "run"), "w", encoding="ascii") as f:
        f.write("x" * 101 + "\nnew\n")
    lab.g.start()
    until(lambda: not [n for n in os.listdir(lab.place) if "begun" in n])
    assert {"stopped", "ran", "nothing"} <= set(lab.names()), lab.names()


for title, config in (("cold", {}), ("from the warm pool", {"warm_pool": 1}), ("with keys", {"has_keys": True}),
                      ("from the warm pool, with keys", {"has_keys": True, "warm_pool": 1})):
    for check in (refused, killed, killed_after, others_directories_stay):
        lab = Lab(**config)
        try:
            failed = tap.failed
            tap.check(f"{title}: {check.__name__.replace('_', ' ')}", lambda: check(lab))
        finally:
            if tap.failed > failed:
                print("\n".join("# " + line for line in lab.g.lines[-20:]))
            lab.g.close()
tap.done()
