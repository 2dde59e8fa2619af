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
import gatewaylab  # noqa: E402
import rpclab  # noqa: E402
import world  # noqa: E402
from gatewaylab import code_of  # noqa: E402

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
RULES = {"some": {"tools": ["say", "slow", "digest", "special"]},
         "asked": {"tools": ["each"], "approval": "always"}}
SECRET = "s3cr3t-of-the-catalog-0123456789"

g = gatewaylab.Gateway(tls=False, start=False)
pb = g.pb


def path(name):
    return os.path.join(g.directory, name)


def write(name, text):
    with open(path(name), "w", encoding="utf-8") as f:
        f.write(text)
    return path(name)


write("secret", SECRET + "\n")
CONFIG = {"tools": {
    "catalogs": [write("tools.yaml", CATALOG % {"secret": path("secret"), "go": path("go")})],
    "workspaces": {"team": write("other.yaml", OTHER)}, "approve_timeout_secs": 60}}
g.write_config(CONFIG)


# ---- helpers ----

def until(what, seconds=WAIT_S):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        v = what()
        if v:
            return v
        time.sleep(0.02)
    raise AssertionError("it did not come to that")


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
    out, code = b"", None
    for e in g.stub.ExecSandbox(pb.ExecSandboxRequest(sandbox_id=sandbox.metadata.id, command=command),
                                timeout=90):
        kind = e.WhichOneof("payload")
        if kind == "stdout":
            out += e.stdout.data
        elif kind == "exit":
            code = e.exit.exit_code
    return code, out.decode("utf-8", "replace")


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
        return list(v) if len(v) == n else None
    return until(look)


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


def main():
    tap.ok(bad_configurations(), "a bad catalog is told at once")
    g.start()
    one = ready("one")
    code, out = run(one, "/bin/sh", "-c", 'echo "$COVE_TOOLS_URL"; ls /etc/cove/tools; echo "$COVE_TOOLS_TOKEN"')
    print("#", out)
    print("#", call(one, "say", {"text": "hello"}))


try:
    main()
finally:
    for s in list(g.stub.ListSandboxes(pb.ListSandboxesRequest(all_workspaces=True)).sandboxes):
        code_of(lambda: g.stub.DeleteSandbox(pb.DeleteSandboxRequest(  # noqa: B023
            name=s.metadata.name, workspace=s.metadata.workspace)))
    time.sleep(1)
    g.close()
    tap.done()
