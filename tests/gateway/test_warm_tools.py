#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: a sandbox with host tools, with providers, with routes of model calls, or with all of them, is
one that stood before it was asked for, and has what it would have: token, file for agents, catalogs, jobs
that outlive it; others' spares have nothing of it.  Where a tool has to run before it is called, it is built.
Method: grpcio's stubs against a real cove-gateway, curl in real sandboxes, a server behind TLS."""
import json
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import world  # noqa: E402
world.enter_user_namespace()  # so that the gateway can be looked into; before grpc is there with its threads
w = world.World(["model.test"])
import gatewaylab  # noqa: E402
import look  # noqa: E402
import rpclab  # noqa: E402
from gatewaylab import code_of, is_standing, until  # noqa: E402

tap = world.Tap()
server = world.Server(world.PUBLIC, 443, w.pki, answer=lambda method, path, body: json.dumps(
    {"id": "c", "object": "chat.completion", "model": json.loads(body)["model"] if body else "",
     "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}}]}).encode())
g = gatewaylab.Gateway(tls=False, start=False)
pb, sb, dm = g.pb, rpclab.module("sandbox_pb2"), rpclab.module("datamodel_pb2")
ib = rpclab.module("inference_pb2")
PLACE = os.path.join(g.state, "sandboxes")
READY, ERROR, STOPPED = 2, 3, 7
KEY = "k3y-of-the-model-0123456789"


def write(name, text):
    path = os.path.join(g.directory, name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return path


SAY = """\
version: 1
tools:
  say:
    description: Says what it is told.
    input: {properties: {text: {type: string}}, required: [text]}
    command: {argv: [/bin/echo, "{text}"]}
"""
SERVED = SAY.replace("say", "served") + """\
servers:
  up: {argv: [/usr/bin/python3, -c, "import http.server as h, sys; h.HTTPServer(('127.0.0.1', int(sys.argv[2])), type('H', (h.BaseHTTPRequestHandler,), {'do_GET': lambda s: (s.send_response(200), s.end_headers())})).serve_forever()"]}
"""
g.write_config({"warm_pool": 2, "resolve": [f"model.test:443:{world.PUBLIC}"], "upstream_ca": [w.pki.ca],
                "tools": {"catalogs": [write("say.yaml", SAY)],
                          "workspaces": {"served": write("served.yaml", SERVED)}}})
g.start()
POLICY = sb.SandboxPolicy(version=1, tools=json.dumps({"all": {"tools": ["*"]}}))
CALL = ("curl -sS -m 20 -H \"Authorization: Bearer $COVE_TOOLS_TOKEN\" -H 'Content-Type: application/json' "
        "-d '{\"text\":\"%s\"}' http://tools.local/v1/tools/say")


def full():
    until(lambda: len(g.spares()) == 2 and all(is_standing(p) for p in g.spares()))
    time.sleep(1)  # READY has been read
    return g.spares()


def get(name, workspace=""):
    return g.stub.GetSandbox(pb.GetSandboxRequest(name=name, workspace=workspace)).sandbox


def ready(name, command=("sleep", "100000"), workspace="", **kw):
    g.stub.CreateSandbox(pb.CreateSandboxRequest(name=name, workspace=workspace, spec=pb.SandboxSpec(
        command=list(command), policy=POLICY, **kw)))
    until(lambda: get(name, workspace).status.phase in (READY, ERROR))
    assert get(name, workspace).status.phase == READY, get(name, workspace)
    return get(name, workspace)


def run(sandbox, script):
    said = gatewaylab.said(g.stub.ExecSandbox(pb.ExecSandboxRequest(
        sandbox_id=sandbox.metadata.id, command=["sh", "-c", script]), timeout=60))
    return said.both.decode()


def claimed(name, *argv, **kw):
    before = full()
    s = ready(name, *argv, **kw)
    assert g.supervisor(s.metadata.id) in before, "it was built"
    return s


def the_first_thing_it_does_is_a_call():
    s = claimed("one", ["sh", "-c", (CALL % "at once") + " >answer 2>&1; sleep 100000"])
    until(lambda: "output" in run(s, "cat answer"), why=lambda: run(s, "cat answer"))
    assert json.loads(run(s, "cat answer")) == {"output": "at once\n"}


def what_agents_read_is_there():
    s = get("one")
    out = run(s, "exec 2>&1; cat $COVE_TOOLS_SKILL; stat -c '%a %n' /etc/cove /etc/cove/tools /etc/cove/tools/*; "
                 "echo x >> $COVE_TOOLS_SKILL; ls /etc/cove/tools; ls -A /sandbox")
    assert "say" in out and "755 /etc/cove\n755 /etc/cove/tools\n644 /etc/cove/tools/SKILL.md\n" in out, out
    assert out.endswith("SKILL.md\nanswer\n") and ("denied" in out or "Read-only" in out), out
    modes = run(s, "stat -c %a /etc/openshell-tls/*.pem /var/log/openshell*").split()
    assert set(modes) == {"644"}, modes  # whatever the gateway's umask is
    kept = os.path.join(PLACE, s.metadata.id)
    assert os.path.exists(os.path.join(kept, "tools")), os.listdir(kept)  # its broker's, which was called
    assert os.stat(os.path.join(g.state, "started", s.metadata.id + ".token")).st_mode & 0o777 == 0o600
    with open(os.path.join(kept, "tools-0.yaml"), encoding="utf-8") as f:
        assert f.read() == SAY


def each_has_a_token_of_its_own():
    two = claimed("two")
    mine, theirs = (run(get(n), "echo $COVE_TOOLS_TOKEN").strip() for n in ("one", "two"))
    assert mine.startswith("cvt_") and mine != theirs
    assert json.loads(run(two, CALL % "mine")) == {"output": "mine\n"}
    assert "401" in run(two, (CALL % "x").replace("$COVE_TOOLS_TOKEN", mine) + " -w '%{http_code}' -o /dev/null")


def with_a_provider_too():
    g.stub.ImportProviderProfiles(pb.ImportProviderProfilesRequest(profiles=[pb.ProviderProfileImportItem(
        source="test", profile=pb.ProviderProfile(
            id="model", display_name="model", category=1, inference_capable=True,
            credentials=[pb.ProviderProfileCredential(name="key", env_vars=["MODEL_KEY"])],
            endpoints=[sb.NetworkEndpoint(host="model.test", port=443, protocol="rest", enforcement="enforce",
                                          access="full")],
            binaries=[sb.NetworkBinary(path="/**")]))]))
    g.stub.CreateProvider(pb.CreateProviderRequest(provider=dm.Provider(
        metadata=dm.ObjectMeta(name="m"), type="model", credentials={"MODEL_KEY": KEY})))
    s = claimed("three", ["sh", "-c", (CALL % "both") + " >answer 2>&1; curl -sS -m 20 -H \"Authorization: Bearer "
                          "$MODEL_KEY\" https://model.test/ >>answer 2>&1; sleep 100000"], providers=["m"])
    until(lambda: "hi" in run(s, "cat answer"), why=lambda: run(s, "cat answer"))
    assert '"both\\n"' in run(s, "cat answer")
    assert server.seen[-1]["headers"].get("Authorization", server.seen[-1]["headers"].get("authorization")) == \
        "Bearer " + KEY, server.seen[-1]
    assert KEY not in run(s, "env")


def with_a_route_of_model_calls():
    g.inference().SetInferenceRoute(ib.SetInferenceRouteRequest(
        provider_name="m", model_id="the-model", no_verify=True))
    body = json.dumps({"model": "x", "messages": [{"role": "user", "content": "x"}]})
    ask = f"curl -sS -m 20 -H 'content-type: application/json' -d '{body}' https://inference.local/v1/chat/completions"
    s = claimed("four", ["sh", "-c", ask + " >answer 2>&1; sleep 100000"])
    until(lambda: '"the-model"' in run(s, "cat answer"), why=lambda: run(s, "cat answer"))
    assert "MODEL_KEY" not in run(s, "env")
    assert json.loads(run(s, CALL % "and tools")) == {"output": "and tools\n"}
    g.inference().DeleteInferenceRoute(ib.DeleteInferenceRouteRequest())


def jobs_outlive_gateway_and_sandbox():
    s = get("two")
    job = json.loads(run(s, (CALL % "later") + " -H 'Prefer: respond-async'"))["id"]
    g.kill()
    g.start()
    until(lambda: get("two").status.phase == READY)
    show = ("curl -sS -m 20 -H \"Authorization: Bearer $COVE_TOOLS_TOKEN\" http://tools.local/v1/jobs/%s" % job)
    assert json.loads(run(s, show + "?wait=10"))["state"] == "succeeded"
    g.stub.StopSandbox(pb.StopSandboxRequest(name="two"))
    until(lambda: get("two").status.phase == STOPPED)
    before = full()
    g.stub.StartSandbox(pb.StartSandboxRequest(name="two"))
    until(lambda: get("two").status.phase == READY)
    assert g.spares() == before, "its directory is there: no spare has it"
    assert json.loads(run(get("two"), show))["state"] == "succeeded"
    assert json.loads(run(get("two"), CALL % "again")) == {"output": "again\n"}


def p16_a_supervisor_that_is_killed():
    s = claimed("five")
    os.kill(g.supervisor(s.metadata.id), signal.SIGKILL)
    until(lambda: get("five").status.phase == ERROR)
    g.stub.StartSandbox(pb.StartSandboxRequest(name="five"))
    until(lambda: get("five").status.phase == READY)
    assert json.loads(run(get("five"), CALL % "anew")) == {"output": "anew\n"}


def what_must_run_before_is_built():
    g.stub.CreateWorkspace(pb.CreateWorkspaceRequest(name="served"))
    before = full()
    s = ready("six", workspace="served")
    assert g.supervisor(s.metadata.id) not in before and g.spares() == before
    out = run(s, (CALL % "there").replace("/say", "/served"))
    assert json.loads(out) == {"output": "there\n"}, out


def others_have_nothing_of_it():
    """No spare has what a broker leaves, and nothing of those that are gone is kept."""
    for name in ("one", "three", "four", "five"):
        g.stub.DeleteSandbox(pb.DeleteSandboxRequest(name=name))
        until(lambda name=name: code_of(lambda: get(name))[0] == "NOT_FOUND")
    full()
    known = {get("two").metadata.id, get("six", "served").metadata.id}
    for name in os.listdir(PLACE):
        if name not in known:
            assert "tools" not in os.listdir(os.path.join(PLACE, name)), name
    assert {f.partition(".")[0] for f in os.listdir(os.path.join(g.state, "started"))} == known
    # of those that do not run a gateway forgets them when it starts: the next start makes them anew
    g.stub.StopSandbox(pb.StopSandboxRequest(name="two"))
    until(lambda: get("two").status.phase == STOPPED)
    g.kill()
    half = os.path.join(g.state, "started", ".half.token.0123456789abcdef")
    with open(half, "w", encoding="ascii"):
        pass
    g.start()
    assert os.listdir(os.path.join(g.state, "started")) == [get("six", "served").metadata.id + ".token"]
    g.stub.StartSandbox(pb.StartSandboxRequest(name="two"))
    until(lambda: get("two").status.phase == READY)
    assert json.loads(run(get("two"), CALL % "again")) == {"output": "again\n"}


try:
    for f in (the_first_thing_it_does_is_a_call, what_agents_read_is_there, each_has_a_token_of_its_own,
              with_a_provider_too, with_a_route_of_model_calls, jobs_outlive_gateway_and_sandbox,
              p16_a_supervisor_that_is_killed, what_must_run_before_is_built, others_have_nothing_of_it):
        tap.check(f.__name__.replace("_", " "), f)
finally:
    if tap.failed:
        print("\n".join("# " + line for line in g.lines[-40:]))
    g.close()
    w.close()
tap.done()
