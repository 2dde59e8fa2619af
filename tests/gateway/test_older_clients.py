#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: a client with the messages of March 2026 (AgentRegistry's deployment adapter) deploys, polls,
reaches and removes an agent, and what it created is today's client's too.
Method: stubs from a proto of that time, in a process of their own since the names are the same; the
adapter's calls in its order, on the listener that is for it."""
import json
import os
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))

DATAMODEL = """syntax = "proto3"; package openshell.datamodel.v1;
import "google/protobuf/struct.proto"; import "march_policy.proto";
enum SandboxPhase { SANDBOX_PHASE_UNSPECIFIED = 0; SANDBOX_PHASE_PROVISIONING = 1; SANDBOX_PHASE_READY = 2;
  SANDBOX_PHASE_ERROR = 3; SANDBOX_PHASE_DELETING = 4; SANDBOX_PHASE_UNKNOWN = 5; }
message SandboxTemplate { string image = 1; map<string, string> labels = 4; map<string, string> environment = 6;
  google.protobuf.Struct resources = 7; google.protobuf.Struct pod_template = 8; }
message SandboxSpec { string log_level = 1; map<string, string> environment = 5; SandboxTemplate template = 6;
  openshell.sandbox.v1.SandboxPolicy policy = 7; repeated string providers = 8; bool gpu = 9; }
message SandboxCondition { string type = 1; string status = 2; string reason = 3; string message = 4; }
message SandboxStatus { string sandbox_name = 1; string agent_pod = 2; repeated SandboxCondition conditions = 5; }
message Sandbox { string id = 1; string name = 2; string namespace = 3; SandboxSpec spec = 4;
  SandboxStatus status = 5; SandboxPhase phase = 6; int64 created_at_ms = 7; uint32 current_policy_version = 8; }
message Provider { string id = 1; string name = 2; string type = 3; map<string, string> credentials = 4;
  map<string, string> config = 5; }
"""
POLICY = """syntax = "proto3"; package openshell.sandbox.v1;
message NetworkBinary { string path = 1; }
message L7Allow { string method = 1; string path = 2; }
message L7Rule { L7Allow allow = 1; }
message NetworkEndpoint { string host = 1; uint32 port = 2; string protocol = 3; string tls = 4;
  string enforcement = 5; string access = 6; repeated L7Rule rules = 7; }
message NetworkPolicyRule { string name = 1; repeated NetworkEndpoint endpoints = 2; repeated NetworkBinary binaries = 3; }
message SandboxPolicy { uint32 version = 1; map<string, NetworkPolicyRule> network_policies = 5; }
"""
SERVICE = """syntax = "proto3"; package openshell.v1;
import "march_datamodel.proto";
message HealthRequest {}
message HealthResponse { enum S { U = 0; HEALTHY = 1; } S status = 1; string version = 2; }
message CreateSandboxRequest { openshell.datamodel.v1.SandboxSpec spec = 1; string name = 2; }
message GetSandboxRequest { string name = 1; }
message SandboxResponse { openshell.datamodel.v1.Sandbox sandbox = 1; }
message ListSandboxesRequest { uint32 limit = 1; uint32 offset = 2; }
message ListSandboxesResponse { repeated openshell.datamodel.v1.Sandbox sandboxes = 1; }
message DeleteSandboxRequest { string name = 1; }
message DeleteSandboxResponse { bool deleted = 1; }
message ProviderRequest { openshell.datamodel.v1.Provider provider = 1; }
message ProviderResponse { openshell.datamodel.v1.Provider provider = 1; }
message GetProviderRequest { string name = 1; }
message ListProvidersRequest { uint32 limit = 1; uint32 offset = 2; }
message ListProvidersResponse { repeated openshell.datamodel.v1.Provider providers = 1; }
message ExecSandboxRequest { string sandbox_id = 1; repeated string command = 2; }
message Data { bytes data = 1; } message Exit { int32 exit_code = 1; }
message ExecSandboxEvent { oneof payload { Data stdout = 1; Data stderr = 2; Exit exit = 3; } }
message WatchSandboxRequest { string id = 1; bool follow_status = 2; bool stop_on_terminal = 7; }
message SandboxStreamEvent { oneof payload { openshell.datamodel.v1.Sandbox sandbox = 1; } }
message GetSandboxLogsRequest { string sandbox_id = 1; uint32 lines = 2; }
message Line { string message = 5; }
message GetSandboxLogsResponse { repeated Line logs = 1; uint32 buffer_total = 2; }
service OpenShell {
  rpc Health(HealthRequest) returns (HealthResponse);
  rpc CreateSandbox(CreateSandboxRequest) returns (SandboxResponse);
  rpc GetSandbox(GetSandboxRequest) returns (SandboxResponse);
  rpc ListSandboxes(ListSandboxesRequest) returns (ListSandboxesResponse);
  rpc DeleteSandbox(DeleteSandboxRequest) returns (DeleteSandboxResponse);
  rpc CreateProvider(ProviderRequest) returns (ProviderResponse);
  rpc UpdateProvider(ProviderRequest) returns (ProviderResponse);
  rpc GetProvider(GetProviderRequest) returns (ProviderResponse);
  rpc ListProviders(ListProvidersRequest) returns (ListProvidersResponse);
  rpc ExecSandbox(ExecSandboxRequest) returns (stream ExecSandboxEvent);
  rpc WatchSandbox(WatchSandboxRequest) returns (stream SandboxStreamEvent);
  rpc GetSandboxLogs(GetSandboxLogsRequest) returns (GetSandboxLogsResponse);
}
"""
NAME = "reporter-0123456789-0123456789-0123456789-01234"  # the deployment's name and id: long


def older(directory, port, tls):
    """The adapter: what it saw, as JSON."""
    from grpc_tools import protoc
    import grpc_tools
    for name, text in (("policy", POLICY), ("datamodel", DATAMODEL), ("service", SERVICE)):
        with open(os.path.join(directory, f"march_{name}.proto"), "w", encoding="utf-8") as f:
            f.write(text)
    include = os.path.join(os.path.dirname(grpc_tools.__file__), "_proto")
    assert protoc.main(["", f"-I{directory}", f"-I{include}", f"--python_out={directory}",
                        f"--grpc_python_out={directory}"] +
                       [os.path.join(directory, f"march_{n}.proto") for n in ("policy", "datamodel", "service")]) == 0
    sys.path.insert(0, directory)
    import grpc
    import march_datamodel_pb2 as dm
    import march_policy_pb2 as pol
    import march_service_pb2 as pb
    import march_service_pb2_grpc as stubs

    def read(name):
        with open(os.path.join(tls, name), "rb") as f:
            return f.read()
    channel = grpc.secure_channel(f"localhost:{port}", grpc.ssl_channel_credentials(
        read("ca.crt"), read("client/tls.key"), read("client/tls.crt")))
    s = stubs.OpenShellStub(channel)
    saw = {"health": s.Health(pb.HealthRequest()).status}
    for name, kind, key in (("claude", "claude", "ANTHROPIC_API_KEY"), ("gemini", "google", "GOOGLE_API_KEY"),
                            ("new", "model-of-tomorrow", "TOMORROW_API_KEY"),
                            ("mine", "generic", "")):
        try:
            s.GetProvider(pb.GetProviderRequest(name=name))
            saw["was there"] = name
        except grpc.RpcError:
            p = s.CreateProvider(pb.ProviderRequest(provider=dm.Provider(
                name=name, type=kind, credentials={key: "value-0123456789"} if key else {},
                config={"A": "b"}))).provider
            saw[f"provider {name}"] = [p.name, p.type, bool(p.id), dict(p.config), dict(p.credentials)]
    s.UpdateProvider(pb.ProviderRequest(provider=dm.Provider(name="mine", config={"C": "d"})))
    s.UpdateProvider(pb.ProviderRequest(provider=dm.Provider(name="new", type="model-of-tomorrow", config={"E": "f"})))
    saw["updated"] = dict(s.GetProvider(pb.GetProviderRequest(name="mine")).provider.config)
    saw["providers"] = sorted(p.name for p in s.ListProviders(pb.ListProvidersRequest()).providers)
    spec = dm.SandboxSpec(providers=["claude"], environment={"OPENSHELL_SANDBOX_COMMAND":
                                                             "/usr/bin/python3 -m http.server 9999"})
    spec.template.environment["OPENSHELL_SANDBOX_COMMAND"] = "/usr/bin/python3 -m http.server 9999"
    spec.template.pod_template.update({"metadata": {"creationTimestamp": None}, "spec": {"containers": [
        {"name": "sandbox", "args": ["x"], "securityContext": {"runAsUser": 0}}]}})
    rule = spec.policy.network_policies["model"]
    spec.policy.version = 1
    rule.endpoints.add(host="api.anthropic.com", port=443, protocol="rest", tls="terminate", enforcement="enforce",
                       rules=[pol.L7Rule(allow=pol.L7Allow(method="POST", path="/v1/**"))])
    rule.binaries.add(path="/.kagent/.venv/**")
    made = s.CreateSandbox(pb.CreateSandboxRequest(name=NAME, spec=spec)).sandbox
    saw["created"] = [made.name, bool(made.id), made.namespace, made.created_at_ms > 0]
    for e in s.WatchSandbox(pb.WatchSandboxRequest(id=made.id, follow_status=True, stop_on_terminal=True), timeout=20):
        saw["watched"] = e.sandbox.name
        if e.sandbox.phase == dm.SANDBOX_PHASE_READY:
            break
    got = s.GetSandbox(pb.GetSandboxRequest(name=NAME)).sandbox
    saw["got"] = [got.name, got.phase, list(got.spec.providers), got.status.sandbox_name,
                  list(got.spec.policy.network_policies)]
    saw["listed"] = [(b.name, b.phase) for b in s.ListSandboxes(pb.ListSandboxesRequest()).sandboxes]
    out = b""
    end = time.monotonic() + 20
    while b"200" not in out and time.monotonic() < end:
        out = b"".join(e.stdout.data for e in s.ExecSandbox(pb.ExecSandboxRequest(
            sandbox_id=made.id, command=["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}",
                                         "http://127.0.0.1:9999/"])))
    saw["its workload"] = out.decode()
    saw["logs by name"] = s.GetSandboxLogs(pb.GetSandboxLogsRequest(sandbox_id=NAME, lines=10)).buffer_total > 0
    try:
        s.CreateSandbox(pb.CreateSandboxRequest(name="gpu", spec=dm.SandboxSpec(gpu=True)))
        saw["gpu"] = "OK"
    except grpc.RpcError as e:
        saw["gpu"] = e.code().name
    try:
        s.CreateSandbox(pb.CreateSandboxRequest(name=NAME, spec=spec))
    except grpc.RpcError as e:
        saw["twice"] = e.code().name
    sys.stdin.readline()  # today's client looks now
    pod = dm.SandboxSpec()
    pod.template.pod_template.update({"spec": {"containers": [
        {"name": "sandbox", "command": ["/usr/bin/python3"], "args": ["-m", "http.server", "9998"],
         "env": [{"name": "FROM_POD", "value": "yes"}, {"name": "POD_IP", "valueFrom": {"fieldRef": {}}}],
         "securityContext": {"runAsUser": 0, "capabilities": {"add": ["NET_ADMIN"]}}, "resources": {}}]}})
    by_pod = s.CreateSandbox(pb.CreateSandboxRequest(name="by-pod", spec=pod)).sandbox
    for e in s.WatchSandbox(pb.WatchSandboxRequest(id=by_pod.id, follow_status=True, stop_on_terminal=True), timeout=20):
        if e.sandbox.phase == dm.SANDBOX_PHASE_READY:
            break
    out = b"".join(e.stdout.data for e in s.ExecSandbox(pb.ExecSandboxRequest(
        sandbox_id=by_pod.id, command=["sh", "-c", "id -u; echo $FROM_POD; cat /proc/*/cmdline | tr '\\0' ' '"])))
    saw["pod"] = out.decode()
    saw["pod conditions"] = [(c.type, c.status, c.reason, c.message) for c in e.sandbox.status.conditions]
    s.DeleteSandbox(pb.DeleteSandboxRequest(name="by-pod"))
    pod.template.pod_template.update({"spec": {"containers": [{"args": "sh"}]}})
    try:
        s.CreateSandbox(pb.CreateSandboxRequest(name="bad-pod", spec=pod))
    except grpc.RpcError as e:
        saw["bad pod"] = [e.code().name, e.details()]
    saw["deleted"] = [s.DeleteSandbox(pb.DeleteSandboxRequest(name=n)).deleted for n in (NAME, "never-was")]
    print(json.dumps(saw))


if len(sys.argv) > 1:
    older(*sys.argv[1:])
    sys.exit(0)

import gatewaylab  # noqa: E402
import ports  # noqa: E402
import rpclab  # noqa: E402
import world  # noqa: E402

tap = world.Tap()
PORT = ports.free()
g = gatewaylab.Gateway(config={"older_port": PORT})
pb = g.pb


def check(f):
    tap.check(f.__name__.replace("_", " "), f)


def the_adapter_s_calls():
    global saw
    with tempfile.TemporaryDirectory(prefix="cove-march-") as directory:
        p = subprocess.Popen([sys.executable, os.path.abspath(__file__), directory, str(PORT),
                              os.path.join(g.state, "tls")], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True)
        try:
            box = gatewaylab.until(lambda: (b := g.stub.ListSandboxes(pb.ListSandboxesRequest()).sandboxes)
                                   and b[0].status.phase == 2 and b[0])
            assert (box.metadata.name, list(box.spec.command)) == (
                NAME, ["/usr/bin/python3", "-m", "http.server", "9999"]), box
            assert list(box.spec.providers) == ["claude"]
        finally:
            out, said = p.communicate("\n", timeout=60)
        assert p.returncode == 0, said
        saw = json.loads(out)
    assert saw["health"] == 1
    assert saw["provider claude"] == ["claude", "claude-code", True, {"A": "b"}, saw["provider claude"][4]]
    assert "value-0123456789" not in out
    assert saw["provider gemini"][:1] == ["gemini"] and saw["provider mine"][0] == "mine"
    assert saw["provider new"][:2] == ["new", "generic"], saw["provider new"]
    assert saw["updated"] == {"A": "b", "C": "d"} and saw["providers"] == ["claude", "gemini", "mine", "new"]


def a_sandbox_as_it_was_then():
    assert saw["created"] == [NAME, True, "default", True] and saw["watched"] == NAME, saw
    assert saw["got"] == [NAME, 2, ["claude"], NAME, ["model"]], saw["got"]
    assert saw["listed"] == [[NAME, 2]], saw["listed"]


def its_command_runs():
    assert saw["its workload"] == "200" and saw["logs by name"]


def a_pod_stands_for_a_command():
    """Where the request itself says none; what a sandbox never gives is told in a condition."""
    assert saw["pod"].split("\n")[1] == "yes" and "python3 -m http.server 9998" in saw["pod"], saw["pod"]
    told = [c for c in saw["pod conditions"] if c[0] == "PodTemplate"]
    assert told == [["PodTemplate", "False", "PartlyTaken",
                     "Of pod_template a sandbox takes image, command, args and env. Not given: "
                     "spec.containers[0].securityContext, spec.containers[0].env POD_IP"]], saw["pod conditions"]
    assert saw["bad pod"] == ["INVALID_ARGUMENT",
                              "template.pod_template.spec.containers[0].args must be a list of strings"], saw["bad pod"]


def failures_are_those_it_knows():
    assert saw["twice"] == "ALREADY_EXISTS" and saw["gpu"] not in ("OK", "INTERNAL"), saw


def what_is_not_there_is_deleted_by_nobody():
    assert saw["deleted"] == [True, False], saw["deleted"]


def a_type_that_nobody_knows_is_refused_to_todays():
    p = rpclab.module("datamodel_pb2").Provider(type="model-of-tomorrow")
    p.metadata.name = "newer"
    p.credentials["A"] = "value-0123456789"
    code, words = gatewaylab.code_of(lambda: g.stub.CreateProvider(pb.CreateProviderRequest(provider=p)))
    assert code == "INVALID_ARGUMENT" and "model-of-tomorrow" in words, (code, words)


def bytes_that_are_nothing_are_refused():
    """On that listener as on the other."""
    import grpc
    channel = grpc.secure_channel(f"localhost:{PORT}", grpc.ssl_channel_credentials(
        *(open(os.path.join(g.state, "tls", n), "rb").read() for n in ("ca.crt", "client/tls.key", "client/tls.crt"))))
    for method in ("CreateSandbox", "CreateProvider", "GetSandbox"):
        call = channel.unary_unary(f"/openshell.v1.OpenShell/{method}")
        for junk in (b"\x0a", b"\x0a\x05ab", b"\xff" * 30, b"\x0b\x0c", b"\x0a\x02\x4d\x01"):
            assert gatewaylab.code_of(lambda: call(junk, timeout=10))[0] in ("INVALID_ARGUMENT", "NOT_FOUND"), (method, junk)


try:
    for f in (the_adapter_s_calls, a_sandbox_as_it_was_then, its_command_runs,
              a_pod_stands_for_a_command, failures_are_those_it_knows,
              what_is_not_there_is_deleted_by_nobody, a_type_that_nobody_knows_is_refused_to_todays,
              bytes_that_are_nothing_are_refused):
        check(f)
finally:
    time.sleep(0.5)
    g.close()
tap.done()
