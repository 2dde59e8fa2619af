#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: /metrics counts what happened: calls, requests of REST and pages by route, starts by step,
commands, decisions and bytes of sandboxes' proxies, keeper and store; each line is one that Prometheus
reads, and no stranger makes them many.
Method: prometheus_client's parser, a real gateway, a sandbox that asks for what is allowed and what is
not."""
import math
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import world  # noqa: E402
import gatewaylab  # noqa: E402
import rpclab  # noqa: E402
from gatewaylab import code_of, until  # noqa: E402

from prometheus_client.parser import text_string_to_metric_families  # noqa: E402

tap = world.Tap()
HOST = "api.test"
w = world.World([HOST])
server = world.Server(world.PUBLIC, 443, w.pki, answer=lambda *_: b"x" * 1000)
g = gatewaylab.Gateway(config={"resolve": [f"{HOST}:443:{world.PUBLIC}"], "upstream_ca": [w.pki.ca]})
pb, sb, dm = g.pb, rpclab.module("sandbox_pb2"), rpclab.module("datamodel_pb2")


def families():
    """Name -> family, of what the page says now; each line is judged."""
    status, text = g.get("/metrics")
    assert status == 200, text
    found = {}
    for f in text_string_to_metric_families(text):
        assert f.name not in found, f"{f.name} comes twice"
        assert f.documentation and f.type in ("counter", "gauge", "histogram"), f
        seen = set()
        for s in f.samples:
            key = (s.name, tuple(sorted(s.labels.items())))
            assert key not in seen, f"{key} comes twice"
            seen.add(key)
            assert not math.isnan(s.value) and s.value >= 0, s
        found[f.name] = f
    return found


def value(name, **labels):
    """The sum of the samples with these labels; 0."""
    family = families().get(name[:-6] if name.endswith("_total") else
                            name.rsplit("_", 1)[0] if name.endswith(("_count", "_sum")) else name)
    return sum(s.value for s in family.samples if s.name == name and labels.items() <= s.labels.items()) \
        if family else 0


def curl(sandbox, url):
    return list(g.stub.ExecSandbox(pb.ExecSandboxRequest(sandbox_id=sandbox.metadata.id, command=[
        "/usr/bin/curl", "-sS", "--max-time", "10", url]), timeout=40))


def phase(name):
    return g.stub.GetSandbox(pb.GetSandboxRequest(name=name)).sandbox.status.phase


def calls():
    code_of(lambda: g.stub.GetSandbox(pb.GetSandboxRequest(name="none")))
    name = "openshell_server_grpc_requests_total"
    assert value(name, method="GetSandbox", code="NOT_FOUND") == 1
    assert value("openshell_server_grpc_request_duration_seconds_count", method="GetSandbox") == 1


def requests():
    g.get("/v1/sandboxes", certificate=True)
    g.get("/v1/sandboxes/none", certificate=True)
    for i in range(20):
        g.get(f"/strange/{i}")
    g.get("/v1/sandboxes")
    g.get("/healthz", "-X", "POST")
    name = "openshell_server_http_requests_total"
    assert value(name, path="/v1/sandboxes", status="200") == 1
    assert value(name, path="/v1/sandboxes/{name}", status="404") == 1
    assert value(name, path="none", status="404") == 20
    assert value(name, path="/v1/", status="401") == 1, "before it is known what was asked for"
    assert value(name, path="none", status="405") == 1
    assert value("openshell_server_http_request_duration_seconds_count", path="/v1/sandboxes") == 1
    assert value("openshell_server_grpc_requests_total", method="ListSandboxes") == 0, "REST is no gRPC"
    assert "strange" not in g.get("/metrics")[1]


def starts():
    global box
    policy = sb.SandboxPolicy(version=1, network_policies={"api": sb.NetworkPolicyRule(
        name="api", endpoints=[sb.NetworkEndpoint(host=HOST, port=443, protocol="rest", enforcement="enforce",
                                                  access="full")],
        binaries=[sb.NetworkBinary(path="/usr/bin/curl")])})
    box = g.stub.CreateSandbox(pb.CreateSandboxRequest(name="box", spec=pb.SandboxSpec(
        command=["sleep", "1000"], policy=policy))).sandbox
    assert value("cove_gateway_sandboxes") == 1
    until(lambda: phase("box") == 2)
    assert value("cove_gateway_sandboxes", phase="Ready") == 1
    assert value("cove_gateway_sandboxes", phase="Stopped") == 0
    name = "cove_gateway_sandbox_start_seconds"
    steps = ("store", "queue", "spawn", "dial", "build")
    for step in steps + ("total",):
        assert value(name + "_count", step=step) == 1, step
    parts = sum(value(name + "_sum", step=s) for s in steps)
    assert abs(parts - value(name + "_sum", step="total")) < 0.001, "the steps are the whole"
    assert value("cove_gateway_sandbox_starts_total", outcome="ok") == 1


def decisions():
    assert curl(box, f"https://{HOST}/")[-1].exit.exit_code == 0
    curl(box, "https://denied.example/")
    until(lambda: value("cove_gateway_proxy_decisions_total", verdict="allowed") >= 1)
    until(lambda: value("cove_gateway_proxy_decisions_total", verdict="denied") >= 1)
    until(lambda: value("cove_gateway_proxy_bytes_total", direction="down") >= 1000)
    assert value("cove_gateway_proxy_bytes_total", direction="up") > 50
    text = g.get("/metrics")[1]
    assert HOST not in text and "denied.example" not in text, "hosts are no labels"


def told_once():
    """What was counted is not counted again by a gateway that comes back, and nothing is lost meanwhile."""
    g.kill()
    g.start()
    until(lambda: phase("box") == 2)
    assert value("cove_gateway_proxy_decisions_total", verdict="allowed") == 0
    curl(box, f"https://{HOST}/")
    until(lambda: value("cove_gateway_proxy_decisions_total", verdict="allowed") >= 1)


def commands():
    before = value("cove_gateway_execs_total", outcome="failed")
    list(g.stub.ExecSandbox(pb.ExecSandboxRequest(sandbox_id=box.metadata.id, command=["false"]), timeout=20))
    assert value("cove_gateway_execs_total", outcome="failed") == before + 1
    assert value("cove_gateway_exec_seconds_count", step="start") >= 1
    assert value("cove_gateway_exec_seconds_count", step="whole") >= 1


def keeper():
    g.stub.CreateProvider(pb.CreateProviderRequest(provider=dm.Provider(
        metadata=dm.ObjectMeta(name="p"), type="generic", credentials={"KEY": "value"})))
    assert value("cove_gateway_keeper_requests_total", request="seal", outcome="ok") == 1
    assert value("cove_gateway_keeper_seconds_count", request="seal") == 1
    assert value("cove_gateway_keeper_starts_total", outcome="ok") == 1


def store():
    before = value("cove_gateway_store_operations_total", operation="commit", outcome="ok")
    records = value("cove_gateway_store_batch_records_total")
    g.stub.CreateWorkspace(pb.CreateWorkspaceRequest(name="team"))
    assert value("cove_gateway_store_operations_total", operation="commit", outcome="ok") == before + 1
    assert value("cove_gateway_store_batch_records_total") == records + 1
    assert value("cove_gateway_store_seconds_count", operation="commit") >= before + 1
    assert value("cove_gateway_store_operations_total", operation="list", outcome="ok") >= 1


def shapes():
    """What the parser lets pass and Prometheus would not: buckets that fall, a count that is none."""
    for f in families().values():
        if f.type != "histogram":
            continue
        series = {}
        for s in f.samples:
            key = tuple(sorted((k, v) for k, v in s.labels.items() if k != "le"))
            series.setdefault(key, []).append(s)
        for samples in series.values():
            buckets = [(float(s.labels["le"]), s.value) for s in samples if s.name.endswith("_bucket")]
            assert buckets == sorted(buckets) and [b for _, b in buckets] == sorted(b for _, b in buckets), f.name
            assert buckets[-1][0] == math.inf, f.name
            assert [s.value for s in samples if s.name.endswith("_count")] == [buckets[-1][1]], f.name
            assert len([s for s in samples if s.name.endswith("_sum")]) == 1, f.name


tap.check("calls by method and code", calls)
tap.check("requests by route and status, and no route of a stranger's", requests)
tap.check("a start by its steps, and sandboxes by phase", starts)
tap.check("decisions and bytes of proxies, by verdict and direction", decisions)
tap.check("commands", commands)
tap.check("a gateway that comes back counts from then on", told_once)
tap.check("the keeper", keeper)
tap.check("the store", store)
tap.check("histograms have the shape that they must", shapes)
g.close()
tap.done()
