#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: host tools in the sandboxes of a gateway: called, refused, followed over a restart of the
gateway, kept apart between sandboxes and between workspaces; and what is held for a person is listed
and decided by the API, by REST and by the command line, and by nobody else.
Method: a real gateway, real sandboxes, curl inside them."""
import json
import os
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import look  # noqa: E402
import world  # noqa: E402
world.enter_user_namespace()  # so that brokers can be looked into; before grpc is there with its threads
import clientlab  # noqa: E402
import gatewaylab  # noqa: E402
import rpclab  # noqa: E402
from gatewaylab import code_of, until  # noqa: E402

tap = world.Tap()
sandbox_pb, cove_pb = rpclab.module("sandbox_pb2"), rpclab.module("cove_pb2")
READY, WAIT_S = 2, 30
CATALOG = """\
version: 1
credentials: {SECRET: {file: %(secret)s}}
tools:
  say:
    description: Says what it is told.
    input: {properties: {text: {type: string, maxLength: 20}}, required: [text]}
    command: {argv: [/bin/echo, "{text}"]}
  digest:
    description: The length of a secret that nobody sees.
    command: {argv: [/bin/sh, -c, 'printf %%s "$SECRET" | wc -c; echo "$SECRET"'], env: {SECRET: "{credential:SECRET}"}}
  slow:
    description: Takes its time.
    command: {argv: [/bin/sh, -c, 'while ! [ -e %(go)s ]; do sleep 0.1; done; echo done']}
  lock:
    description: Takes its time, and on this host once at a time.
    command: {argv: [/bin/sh, -c, 'while ! [ -e %(unlock)s ]; do sleep 0.02; done; echo done']}
    limits: {host_concurrency: 1}
  each:
    description: Is asked about.
    input: {properties: {text: {type: string}}, required: [text]}
    command: {argv: [/bin/echo, "{text}"]}
"""
OTHER = """\
version: 1
tools:
  special: {description: Of one workspace., command: {argv: [/bin/echo, special]}}
"""
LACKING = """\
version: 1
credentials: {ABSENT: {env: COVE_LAB_ABSENT}, EMPTY: {env: COVE_LAB_EMPTY}, GONE: {file: /nonexistent/key}}
tools:
  plain: {description: Needs nothing., command: {argv: [/bin/echo, plain]}}
  absent: {description: Needs it., command: {argv: [/bin/echo], env: {K: "{credential:ABSENT}"}}}
  empty: {description: Needs it., command: {argv: [/bin/echo], env: {K: "{credential:EMPTY}"}}}
  gone: {description: Needs it., command: {argv: [/bin/echo], env: {K: "{credential:GONE}"}}}
"""
RULES = {"some": {"tools": ["say", "slow", "digest", "special", "lock", "plain", "absent", "empty", "gone"]},
         "asked": {"tools": ["each"], "approval": "always"}}
SECRET = "s3cr3t-of-the-catalog-0123456789"

g = gatewaylab.Gateway(tls=False, start=False, env={"COVE_LAB_EMPTY": ""})
g.env.pop("GITHUB_TOKEN", None)
pb = g.pb


def path(name):
    return os.path.join(g.directory, name)


def write(name, text):
    with open(path(name), "w", encoding="utf-8") as f:
        f.write(text)
    return path(name)


write("secret", SECRET + "\n")
CONFIG = {"tools": {
    "catalogs": [write("tools.yaml", CATALOG % {"secret": path("secret"), "go": path("go"),
                                                        "unlock": path("unlock")})],
    "workspaces": {"team": write("other.yaml", OTHER), "lacking": write("lacking.yaml", LACKING)}, "approve_timeout_secs": 60}}
g.write_config(CONFIG)


# ---- helpers ----

def policy(rules=None, **kw):
    return sandbox_pb.SandboxPolicy(version=1, tools=json.dumps(rules if rules is not None else RULES), **kw)


def get(name, workspace=""):
    return g.stub.GetSandbox(pb.GetSandboxRequest(name=name, workspace=workspace)).sandbox


def ready(name, workspace="", policy_=None):
    g.stub.CreateSandbox(pb.CreateSandboxRequest(name=name, workspace=workspace, spec=pb.SandboxSpec(
        command=["/bin/sleep", "100000"], policy=policy_ or policy())))
    until(lambda: get(name, workspace).status.phase in (READY, 3))
    s = get(name, workspace)
    assert s.status.phase == READY, s.status
    return s


def run(sandbox, *command):
    said = gatewaylab.said(g.stub.ExecSandbox(
        pb.ExecSandboxRequest(sandbox_id=sandbox.metadata.id, command=command), timeout=90))
    return said.code, said.out.decode("utf-8", "replace")


def curl(sandbox, route, *words, token='"$COVE_TOOLS_TOKEN"', body=None):
    """(status, document)"""
    line = "curl -sS -m 60 -w '\\n%%{http_code}' -H \"Authorization: Bearer \"%s %s %s" % (
        token, " ".join("'%s'" % w for w in words), "http://tools.local" + route)
    if body is not None:
        line += " -H 'Content-Type: application/json' -d '%s'" % (
            body if isinstance(body, str) else json.dumps(body))
    _, out = run(sandbox, "/bin/sh", "-c", line)
    text, _, status = out.rpartition("\n")
    try:
        return int(status or 0), json.loads(text)
    except ValueError:
        return int(status or 0), text


def call(sandbox, tool, arguments=None, *words, **kw):
    return curl(sandbox, "/v1/tools/" + tool, *words, body=arguments or {}, **kw)


def cove():
    return rpclab.module("cove_pb2_grpc").CoveStub(g.channel())


def held(n=1, **kw):
    def look():
        v = cove().ListApprovals(cove_pb.ListApprovalsRequest(**kw)).approvals
        return (list(v),) if len(v) == n else None
    return until(look)[0]


def decide(approval, approve, stub=None, **kw):
    return (stub or cove()).DecideApproval(cove_pb.DecideApprovalRequest(
        id=approval.id, approve=approve, **kw), timeout=20)


class Asking(threading.Thread):
    """A call that is held; what came of it is in got."""

    def __init__(self, sandbox, text="hello"):
        super().__init__(daemon=True)
        self.sandbox, self.text, self.got = sandbox, text, None
        self.start()

    def run(self):
        self.got = call(self.sandbox, "each", {"text": self.text})

    def wait(self):
        self.join(60)
        return self.got


class Away:
    """A call whose answer is found in a file, whatever becomes of the gateway."""

    def __init__(self, sandbox, text):
        self.sandbox = sandbox
        line = ("rm -f answer; curl -sS -m 100 -o answer.part -w '%%{http_code}' -H \"Authorization: Bearer "
                "$COVE_TOOLS_TOKEN\" -H 'Content-Type: application/json' -d '%s' "
                "http://tools.local/v1/tools/each > status; mv status answer" % json.dumps({"text": text}))
        assert run(sandbox, "/bin/sh", "-c", "cd /sandbox; setsid -f /bin/sh -c %s </dev/null >/dev/null 2>&1" %
                   ("'" + line.replace("'", "'\\''") + "'"))[0] == 0

    def is_there(self):
        return run(self.sandbox, "/bin/ls", "/sandbox/answer")[0] == 0

    def wait(self):
        until(self.is_there)
        return int(run(self.sandbox, "/bin/cat", "/sandbox/answer")[1])


# ---- configuration ----

def bad_configurations():
    for words, want in (({"catalogs": ["/nowhere.yaml"]}, "/nowhere.yaml"),
                        ({"catalogs": ["nosuch"]}, "no catalog 'nosuch'"),
                        ({"catalogs": ["a/b.yaml"]}, "absolute"),
                        ({"catalogs": [path("other.yaml"), path("other.yaml")]}, "special"),
                        ({"catalogs": [write("bad.yaml", "version: 1\ntools: {x: {}}\n")]}, "bad.yaml"),
                        ({"workspaces": {"w": path("bad.yaml")}}, "bad.yaml"),
                        ({"catalogs": [write("command.yaml", "version: 1\ncredentials: {A: {command: [/bin/true]}}\n")]},
                         "does not run"),
                        ({"approve_timeout_secs": 0}, "1 to 86400")):
        done = g.run("config", "check", write("check.yaml", json.dumps({"tools": words})), check=False)
        assert done.returncode != 0 and want in done.stderr, (words, done)
    assert g.run("config", "check", write("check.yaml", json.dumps(CONFIG))).returncode == 0
    return True


# ---- calls ----

def brokers(sandbox):
    """Processes of cove-broker whose files are the sandbox's."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink("/proc/%s/exe" % pid).endswith("/cove-broker") and any(
                    sandbox.metadata.id in path for path in look.paths(int(pid)).values()):
                found.append(int(pid))
        except (OSError, look.Unavailable):
            pass
    return found


def inside(box):
    code, out = run(box, "/bin/sh", "-c", 'echo "$COVE_TOOLS_URL"; ls /etc/cove/tools; echo "$COVE_TOOLS_TOKEN"')
    assert code == 0 and out.startswith("http://tools.local\nSKILL.md\ncvt_"), out
    with open(path("state/started/%s.token" % box.metadata.id), encoding="ascii") as f:
        stored = f.read()
    assert out.split()[-1] not in stored and os.stat(f.name).st_mode & 0o777 == 0o600
    assert call(box, "say", {"text": "hello"}) == (200, {"output": "hello\n"})
    names = [t["name"] for t in curl(box, "/tools.json")[1]]
    assert names == ["digest", "each", "lock", "say", "slow"], names
    return True


def refused(box, none):
    status, what = call(box, "say", {"text": "x" * 21})
    assert (status, what["error"]) == (400, "invalid_arguments"), what
    assert call(box, "say", {"text": "x", "more": 1})[0] == 400
    assert call(box, "say", {"text": "x"}, token="wrong")[0] == 401
    status, what = call(box, "special")
    assert (status, what["error"]) == (404, "unknown_tool"), what
    # without a section nothing may be called
    status, what = call(none, "say", {"text": "x"})
    assert (status, what["error"]) == (403, "policy_denied"), what
    assert curl(none, "/tools.json")[1] == []
    return True


def secret(box):
    status, what = call(box, "digest")
    assert status == 200, what
    count, _, rest = what["output"].partition("\n")
    assert int(count) == len(SECRET) and SECRET not in rest, what
    for line in g.lines:
        assert SECRET not in line
    return SECRET not in run(box, "/usr/bin/env")[1]


def apart(one, two):
    status, job = call(one, "slow", {}, "-H", "Prefer: respond-async")
    assert status == 202, job
    assert curl(two, "/v1/jobs/" + job["id"])[0] == 404 and curl(two, "/v1/jobs")[1] in ([], {"jobs": []})
    theirs = run(one, "/bin/sh", "-c", 'echo "$COVE_TOOLS_TOKEN"')[1].strip()
    assert call(two, "say", {"text": "x"}, token=theirs)[0] in (401, 403)
    return job


def over_restart(one, job):
    """The gateway is killed while a job runs; it goes on, and is found."""
    g.kill()
    assert brokers(one), "the broker went with the gateway"
    g.start()
    until(lambda: get("one").status.phase == READY)
    assert curl(one, "/v1/jobs/" + job["id"])[1]["state"] == "running"
    write("go", "")
    status, ended = curl(one, "/v1/jobs/" + job["id"] + "?wait=30")
    assert (status, ended["state"]) == (200, "succeeded"), ended
    assert curl(one, "/v1/jobs/" + job["id"] + "/result")[1] == {"output": "done\n"}
    assert call(one, "say", {"text": "again"})[0] == 200
    return True


def over_stop(one, job):
    """The sandbox is stopped and started: the job is in its store."""
    g.stub.StopSandbox(pb.StopSandboxRequest(name="one"))
    until(lambda: get("one").status.phase == 7)
    until(lambda: not brokers(one))
    g.stub.StartSandbox(pb.StartSandboxRequest(name="one"))
    until(lambda: get("one").status.phase == READY)
    status, ended = curl(one, "/v1/jobs/" + job["id"])
    assert (status, ended["state"]) == (200, "succeeded"), ended
    return True


def workspaces():
    g.stub.CreateWorkspace(pb.CreateWorkspaceRequest(name="team"))
    team = ready("team-box", "team")
    assert call(team, "special") == (200, {"output": "special\n"})
    assert call(team, "say", {"text": "of all"})[0] == 200
    return team


def counted_together(one, team):
    """A limit of the host: over workspaces, and over a gateway that is killed."""
    assert call(one, "lock", {}, "-H", "Prefer: respond-async")[0] == 202
    status, what = call(team, "lock")
    assert (status, what["error"], what["limit"]) == (429, "too_many_at_once", 1), what
    g.kill()
    g.start()
    until(lambda: get("one").status.phase == READY and get("team-box", "team").status.phase == READY)
    status, job = call(team, "lock", {}, "-H", "Prefer: respond-async")
    assert (status, job["state"]) == (202, "queued"), job
    write("unlock", "")
    status, ended = curl(team, "/v1/jobs/" + job["id"] + "?wait=30")
    assert (status, ended["state"]) == (200, "succeeded"), ended
    return True


def reloaded(one):
    """SIGHUP: sandboxes to come have the new catalogs, those that run keep theirs."""
    g.write_config({"tools": {"catalogs": [path("bad.yaml")]}})
    assert "not reloaded" in g.hup()
    g.write_config({"tools": dict(CONFIG["tools"], catalogs=[path("tools.yaml"), write(
        "new.yaml", OTHER.replace("special", "fresh"))])})
    assert "not" not in g.hup()
    fresh = ready("fresh-box", policy_=policy({"a": {"tools": ["fresh"]}}))
    assert call(fresh, "fresh") == (200, {"output": "fresh\n"})
    assert call(one, "fresh")[0] == 404 and call(one, "say", {"text": "x"})[0] == 200
    g.write_config(CONFIG)
    assert "not" not in g.hup()
    return True


def broker_killed(one):
    mine = brokers(one)
    assert len(mine) == 1, mine
    os.kill(mine[0], signal.SIGKILL)
    until(lambda: not brokers(one))
    until(lambda: call(one, "say", {"text": "x"}) == (200, {"output": "x\n"}))
    until(lambda: len(brokers(one)) == 1)  # a tool's shepherd is the same program, and ends a moment later
    assert brokers(one) != mine
    return get("one").status.phase == READY


def started_by_the_first_call(late):
    """Where no catalog names a server; and it makes no file before a job is to be kept."""
    state = os.path.join(g.state, "sandboxes", late.metadata.id, "tools")
    assert brokers(late) == []
    assert call(late, "say", {"text": "x"}) == (200, {"output": "x\n"})
    assert len(brokers(late)) == 1 and not os.path.exists(state + "/broker.db")
    status, _ = call(late, "say", {"text": "x"}, "-H", "Prefer: respond-async")
    assert status == 202 and os.path.exists(state + "/broker.db"), status
    return True


def first_call_behind_another_proxy(late):
    run(late, "/bin/sh", "-c", "curl -s -m 5 http://nowhere.test/")  # a proxy is started by what needs it
    supervisor = g.supervisor(late.metadata.id)
    proxy = [int(p) for p in filter(str.isdigit, os.listdir("/proc"))
             if (s := look.stat(int(p))) and s.parent == supervisor and s.comm == "cove-proxy"]
    assert len(proxy) == 1 and brokers(late) == [], proxy
    os.kill(proxy[0], signal.SIGKILL)
    until(lambda: call(late, "say", {"text": "x"}) == (200, {"output": "x\n"}))
    return True


def one_that_cannot_start(late):
    """A call says so, the sandbox goes on, and the next call tries again."""
    db = os.path.join(g.state, "sandboxes", late.metadata.id, "tools/broker.db")
    os.makedirs(os.path.dirname(db), 0o700, exist_ok=True)
    with open(db, "w", encoding="ascii") as f:
        f.write("no database " * 1000)
    status, answer = call(late, "say", {"text": "x"})
    assert (status, answer["error"]) == (503, "broker_unavailable"), (status, answer)
    assert get("late-three").status.phase == READY
    os.unlink(db)
    until(lambda: call(late, "say", {"text": "x"}) == (200, {"output": "x\n"}))
    return True


# ---- approvals ----

def by_grpc(one):
    a = Asking(one, "\u202egnp.exe \x1b[31m")
    q, = held()
    assert (q.kind, q.subject, q.sandbox_name, q.workspace, q.rule, q.each) == (
        "tool", "each", "one", "default", "asked", True), q
    assert json.loads(q.text) == {"text": "\u202egnp.exe \x1b[31m"} and q.text_bytes == len(q.text.encode()), q
    assert q.binary.endswith("curl") and q.pid > 0 and q.expires_at_ms - q.asked_at_ms <= 60000, q
    d = decide(q, True, reason="it is fine")
    assert d.approval.id == q.id and d.decided_by, d
    assert a.wait() == (200, {"output": "\u202egnp.exe \x1b[31m\n"}), a.got
    assert code_of(lambda: decide(q, True)) == ("NOT_FOUND", "approval not found")
    a = Asking(one)
    q, = held()
    assert code_of(lambda: decide(q, True, all_alike=True))[0] == "FAILED_PRECONDITION"
    assert code_of(lambda: decide(q, True, reason="x" * 600))[0] == "INVALID_ARGUMENT"
    decide(q, False, reason="not today")
    assert a.wait()[0] == 403 and a.got[1]["error"] == "approval_denied", a.got
    held(0)
    logs = [x.message for x in g.stub.GetSandboxLogs(pb.GetSandboxLogsRequest(
        sandbox_id=one.metadata.id, lines=500)).logs]
    assert any("is approved by" in m and "it is fine" in m for m in logs), logs
    return True


def audited(one):
    """Who and why, as the broker's event says it."""
    with open(path("state/sandboxes/%s/log" % one.metadata.id), encoding="utf-8", errors="replace") as f:
        text = f.read()
    logs = "\n".join(x.message + str(dict(x.fields)) for x in g.stub.GetSandboxLogs(
        pb.GetSandboxLogsRequest(sandbox_id=one.metadata.id, lines=1000)).logs)
    return " through the gateway: it is fine" in text + logs


def by_rest(one):
    a = Asking(one)
    q, = held()
    status, body = g.get("/v1/approvals?sandbox_name=one")
    assert status == 200 and [x["id"] for x in json.loads(body)["approvals"]] == [q.id], body
    assert json.loads(g.get("/v1/approvals?sandbox_name=two")[1]).get("approvals", []) == []
    status, body = g.get("/v1/approvals/%s:decide" % q.id, "-X", "POST", "-H",
                         "Content-Type: application/json", "-d", '{"approve": true}')
    assert status == 200, body
    assert a.wait()[0] == 200, a.got
    status, body = g.get("/v1/approvals/%s:decide" % q.id, "-X", "POST", "-H",
                         "Content-Type: application/json", "-d", '{"approve": true}')
    assert status == 404, body
    return True


def by_cli(one):
    client = clientlab.Client(g)
    a = Asking(one, "\x1b[31m\u202ered")
    q, = held()
    listed = client("approve", "--list").stdout
    assert q.id in listed and "tool each by" in listed, listed
    shown = client("approve", q.id).stdout
    assert "\x1b" not in shown and "\u202e" not in shown and "each" in shown and "asked" in shown, shown
    assert client("approve", "--list", "-o", "json").stdout.count(q.id) == 1
    client("approve", "--yes", status=2)
    assert "say which" in client("approve", "--yes", status=2).stderr
    client("approve", q.id, "--no", "--reason", "nobody knows you")
    assert a.wait()[0] == 403, a.got
    client("approve", q.id, "--yes", status=1)
    # by the same words as for runs, which are none here
    a = Asking(one)
    q, = held()
    exe = os.path.join(rpclab.BUILD, "src/cli/cove")
    env = dict(client.env, XDG_RUNTIME_DIR=g.directory)
    done = subprocess.run([exe, "approve"], env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0 and q.id in done.stdout, done
    done = subprocess.run([exe, "approve", q.id, "--yes"], env=env, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout == "allowed\n", done
    assert a.wait()[0] == 200, a.got
    return True


def watched(one):
    events, stream = [], cove().WatchApprovals(cove_pb.WatchApprovalsRequest())

    def read():
        try:
            for e in stream:
                events.append(e)
        except Exception:  # noqa: BLE001
            pass
    threading.Thread(target=read, daemon=True).start()
    until(lambda: events and events[0].WhichOneof("event") is None)
    a = Asking(one)
    until(lambda: len(events) == 2)
    assert events[1].held.sandbox_name == "one"
    decide(events[1].held, True)
    until(lambda: len(events) == 3)
    assert events[2].ended_id == events[1].held.id
    stream.cancel()
    return a.wait()[0] == 200


def network(one):
    """A request that a rule asks about: refused, and allowed by a person (who is asked before anything
    is connected, so there is nobody to answer)."""
    box = ready("net", policy_=sandbox_pb.SandboxPolicy(version=1, network_policies={
        "api": sandbox_pb.NetworkPolicyRule(name="api", endpoints=[sandbox_pb.NetworkEndpoint(
            host="api.test", port=80, protocol="rest", enforcement="approve",
            rules=[sandbox_pb.L7Rule(allow=sandbox_pb.L7Allow(method="GET", path="/free"))])],
            binaries=[sandbox_pb.NetworkBinary(path="/usr/**")])}))
    got = []
    t = threading.Thread(target=lambda: got.append(run(
        box, "/bin/sh", "-c", "curl -s -m 40 -X POST -d x http://api.test/held -w '%{http_code}'")))
    t.start()
    q, = held(sandbox_name="net")
    assert q.kind == "network" and q.subject == "POST http://api.test:80/held", q
    decide(q, False)
    t.join(60)
    return "approval_denied" in got[0][1] and got[0][1].endswith("403")


def held_over_restart(one):
    a = Away(one, "hello")
    q, = held()
    g.kill()
    time.sleep(0.3)
    g.start()
    again, = held()
    assert again.id == q.id and again.text == q.text, (q, again)
    assert not a.is_there()
    decide(again, True)
    return a.wait() == 200


def timed_out():
    g.write_config({"tools": dict(CONFIG["tools"], approve_timeout_secs=3)})
    assert "not" not in g.hup()
    box = ready("late")
    a = Asking(box)
    held(sandbox_name="late")
    assert a.wait()[0] == 504 and a.got[1]["error"] == "approval_timeout", a.got
    held(0)
    a = Away(box, "hello")
    held(sandbox_name="late")
    g.kill()
    time.sleep(4)  # denied while there is no gateway
    g.write_config(CONFIG)
    g.start()
    until(lambda: get("late").status.phase == READY)
    held(0)
    return a.wait() == 504


def flooded(one):
    calls = [Asking(one) for _ in range(12)]
    first = held(8)  # a person is shown 8 calls at a time
    for q in first:
        decide(q, False)
    for q in held(4):
        decide(q, False)
    return [c.wait()[0] for c in calls] == [403] * 12


def not_by_others(one, team):
    """Not by the sandbox, and not by who may not manage its workspace."""
    a = Asking(team, "of the team")
    q, = held(workspace="team")
    assert held(0, workspace="default") == []
    assert [x.id for x in held(1, all_workspaces=True)] == [q.id]
    assert code_of(lambda: decide(cove_pb.Approval(id=q.id[:-1] + "9"), True))[0] == "NOT_FOUND"
    code, out = run(team, "/bin/sh", "-c", "ls -d /run/user/*/cove /tmp/cove-* 2>/dev/null; ls %s 2>&1" %
                    path("state"))
    assert "supervisors.sock" not in out, out
    g.stub.DeleteSandbox(pb.DeleteSandboxRequest(name="team-box", workspace="team"))
    held(0, all_workspaces=True)
    assert code_of(lambda: decide(q, True))[0] == "NOT_FOUND"
    return True


def lacking():
    """What is not on this host is said beforehand, and only the call that needs it fails, with its name."""
    want = {"ABSENT": "COVE_LAB_ABSENT is not in the environment", "EMPTY": "COVE_LAB_EMPTY is not in the environment",
            "GONE": "/nonexistent/key is not there"}
    done = g.run("config", "check", write("check.yaml", json.dumps(CONFIG)))
    warned = [line for line in done.stderr.splitlines() if ": warning: tools.workspaces: catalog " in line]
    assert len(warned) == 3, done
    for name, why in want.items():
        words = f"catalog {path('lacking.yaml')}: credential {name}: {why}"
        assert any(words in line for line in warned), (words, warned)
        line = g.logged(words, 0, 0)
        assert line and "WARN" in line, (words, g.lines)
    done = g.run("config", "check", write("check.yaml", json.dumps({"tools": {"catalogs": ["github"]}})))
    assert "check.yaml:1:24: warning: tools.catalogs: catalog github: credential GITHUB_TOKEN: GITHUB_TOKEN is not" in done.stderr, done
    g.stub.CreateWorkspace(pb.CreateWorkspaceRequest(name="lacking"))
    s = ready("poor", "lacking")
    assert call(s, "plain") == (200, {"output": "plain\n"})
    for name in want:
        status, answer = call(s, name.lower())
        assert status >= 500 and name in json.dumps(answer), (name, status, answer)
    return True


def check(name, function):
    def true():
        assert function(), "it is not so"
    wanted = os.environ.get("ONLY")
    if not wanted or any(w in name for w in wanted.split(",")):
        tap.check(name, true)


def main():
    check("a bad catalog is told at once", bad_configurations)
    g.start()
    one, two, none = ready("one"), ready("two"), ready("none", policy_=policy({}))
    check("a command tool is called", lambda: inside(one))
    check("refused: arguments, tokens, other tools, no section", lambda: refused(one, none))
    check("a catalog's credential reaches the tool and nobody else", lambda: secret(one))
    job = apart(one, two)
    tap.ok(True, "sandboxes don't see each other's jobs and tokens")
    check("a job goes on over a gateway that is killed", lambda: over_restart(one, job))
    check("and is there when the sandbox was stopped and started", lambda: over_stop(one, job))
    team = workspaces()
    tap.ok(True, "a workspace has catalogs of its own")
    check("a credential that the host lacks fails the calls that need it", lacking)
    check("calls of several are counted together", lambda: counted_together(one, team))
    check("reloaded for sandboxes to come", lambda: reloaded(one))
    check("a broker that is killed is started again", lambda: broker_killed(one))
    check("the first call starts one", lambda: started_by_the_first_call(ready("late-one")))
    check("also behind a proxy that was started anew", lambda: first_call_behind_another_proxy(ready("late-two")))
    check("one that can't start is told, and tried again", lambda: one_that_cannot_start(ready("late-three")))
    check("approval by gRPC", lambda: by_grpc(one))
    check("who decided, and why, is in the audit", lambda: audited(one))
    check("approval by REST", lambda: by_rest(one))
    check("approval by the command line", lambda: by_cli(one))
    check("approvals are followed", lambda: watched(one))
    check("a request of the network", lambda: network(one))
    check("t_held calls stay held over a gateway that is killed", lambda: held_over_restart(one))
    check("t_flooding is limited", lambda: flooded(two))
    check("t_time that is over denies, also without a gateway", timed_out)
    check("t_nobody else decides", lambda: not_by_others(one, team))


try:
    main()
finally:
    for s in list(g.stub.ListSandboxes(pb.ListSandboxesRequest(all_workspaces=True)).sandboxes):
        code_of(lambda: g.stub.DeleteSandbox(pb.DeleteSandboxRequest(  # noqa: B023
            name=s.metadata.name, workspace=s.metadata.workspace)))
    time.sleep(1)
    g.close()
    tap.done()
