#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: with `traces` configured each rpc, each start of a sandbox with its steps and each command is a
span that a collector of OTLP reads, over HTTP and gRPC, with and without TLS; a caller's trace goes on; a
collector that is away costs nothing but its spans; nothing that a client or sandbox said but ids and
names is in one.
Method: real collectors (http.server, grpcio) that decode what comes by stubs made of proto/otlp.proto."""
import json
import os
import re
import ssl
import subprocess
import sys
import time
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import gatewaylab  # noqa: E402
import collector  # noqa: E402
import ports  # noqa: E402
import world  # noqa: E402
from gatewaylab import code_of, until  # noqa: E402

tap = world.Tap()
READY, ERROR = 2, 3
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
STEPS = ["store", "queue", "spawn", "dial", "build"]


def create(g, metadata=(), **spec):
    spec.setdefault("command", ["sleep", "1000"])
    return g.stub.CreateSandbox(g.pb.CreateSandboxRequest(spec=g.pb.SandboxSpec(**spec)),
                                metadata=list(metadata)).sandbox.metadata


def phase(g, name):
    return g.stub.GetSandbox(g.pb.GetSandboxRequest(name=name)).sandbox.status.phase


def metric(g, name):
    """The value of a series, as /metrics writes it; 0."""
    for line in g.get("/metrics")[1].splitlines():
        if line.startswith(name + " "):
            return float(line.rsplit(" ", 1)[1])
    return 0.0


def rest(g, path, **headers):
    r = urllib.request.Request(f"http://127.0.0.1:{g.port}{path}", headers=headers)
    with urllib.request.urlopen(r, timeout=10) as answer:
        return json.loads(answer.read())


with collector.Http() as c, gatewaylab.Gateway(tls=False, config={
        "traces": {"endpoint": c.endpoint, "headers": {"authorization": "Bearer s3cr3t", "x-tenant": "t"}}}) as g:
    pb = g.pb

    def an_rpc():
        g.stub.Health(pb.HealthRequest())
        s = c.wait("openshell.v1.OpenShell/Health")
        assert s["kind"] == 2 and not s["parent"] and len(s["trace"]) == 32 and len(s["id"]) == 16, s
        assert 0 < s["end"] - s["begin"] < 5e9 and abs(s["end"] / 1e9 - time.time()) < 60, s
        a = s["attributes"]
        assert (a["rpc.system"], a["rpc.service"], a["rpc.method"], a["rpc.grpc.status_code"]) == (
            "grpc", "openshell.v1.OpenShell", "Health", 0), a
        assert c.path == "/v1/traces"
        assert c.headers[0]["authorization"] == "Bearer s3cr3t" and c.headers[0]["x-tenant"] == "t"
        assert c.headers[0]["content-type"] == "application/x-protobuf", c.headers[0]
        assert c.resource["service.name"] == "cove-gateway" and c.resource["service.instance.id"], c.resource

    def a_failure():
        assert code_of(lambda: g.stub.GetSandbox(pb.GetSandboxRequest(name="none")))[0] == "NOT_FOUND"
        s = until(
            lambda: [s for s in c.spans if s["attributes"].get("rpc.grpc.status_code") == 5])[0]
        assert s["failure"] is None, "the client's own mistake is no failure of the server"

    def continued():
        g.stub.Health(pb.HealthRequest(), metadata=[("traceparent", f"00-{TRACE}-{SPAN}-01"),
                                                    ("x-request-id", "mine-1")])
        s = c.wait("openshell.v1.OpenShell/Health", cove_request_id="mine-1")
        assert (s["trace"], s["parent"]) == (TRACE, SPAN), s
        for value, wanted in (("00-" + "0" * 32 + f"-{SPAN}-01", "zeros"), ("nonsense", "nonsense")):
            g.stub.Health(pb.HealthRequest(), metadata=[("traceparent", value), ("x-request-id", wanted)])
            s = c.wait("openshell.v1.OpenShell/Health", cove_request_id=wanted)
            assert not s["parent"] and s["trace"] != TRACE, s

    def a_caller_who_keeps_nothing():
        g.stub.Health(pb.HealthRequest(), metadata=[("traceparent", f"00-{TRACE}-{SPAN}-00"),
                                                    ("x-request-id", "unkept")])
        g.stub.Health(pb.HealthRequest(), metadata=[("x-request-id", "after")])
        c.wait("openshell.v1.OpenShell/Health", cove_request_id="after")
        assert not [s for s in c.spans if s["attributes"].get("cove.request.id") == "unkept"]

    def by_rest():
        rest(g, "/v1/sandboxes?limit=1", traceparent=f"00-{TRACE}-{SPAN}-01")
        s = c.wait("GET /v1/sandboxes")
        assert s["trace"] == TRACE and s["attributes"]["http.route"] == "/v1/sandboxes", s
        assert s["attributes"]["http.response.status_code"] == 200, s
        assert s["attributes"]["rpc.method"] == "ListSandboxes" and "rpc.system" not in s["attributes"], s

    def a_start():
        m = create(g, [("x-request-id", "make")])
        start = c.wait("sandbox start", cove_sandbox_id=m.id)
        rpc = c.wait("openshell.v1.OpenShell/CreateSandbox", cove_request_id="make")
        assert (start["trace"], start["parent"], start["kind"]) == (rpc["trace"], rpc["id"], 1), (start, rpc)
        assert start["attributes"]["cove.sandbox.name"] == m.name and start["failure"] is None, start
        steps = sorted(c.below(start), key=lambda s: s["begin"])
        assert [s["name"] for s in steps] == STEPS, steps
        for before, after in zip(steps, steps[1:]):
            assert abs(before["end"] - after["begin"]) < 1e6, "a gap between steps"
        assert abs(steps[0]["begin"] - start["begin"]) < 1e6 and abs(steps[-1]["end"] - start["end"]) < 1e6
        assert phase(g, m.name) == READY

    def a_start_that_fails():
        m = create(g, template=pb.SandboxTemplate(image="no-such-image"))
        s = c.wait("sandbox start", cove_sandbox_id=m.id)
        assert s["failure"] == "ImageUnavailable" and phase(g, m.name) == ERROR, s

    def a_command():
        m = create(g)
        until(lambda: phase(g, m.name) == READY)
        events = list(g.stub.ExecSandbox(pb.ExecSandboxRequest(
            sandbox_id=m.id, command=["sh", "-c", "exit 7", "argument-s3cr3t"],
            environment={"TOKEN": "environment-s3cr3t"}, stdin=b"stdin-s3cr3t"),
            metadata=[("x-request-id", "run"), ("x-token", "token-s3cr3t")]))
        assert events[-1].exit.exit_code == 7
        s = c.wait("exec", process_exit_code=7)
        rpc = c.wait("openshell.v1.OpenShell/ExecSandbox", cove_request_id="run")
        assert s["parent"] == rpc["id"] and s["trace"] == rpc["trace"], (s, rpc)
        started = [x for x in c.below(rpc) if x["name"] == "exec start"]
        assert started and started[0]["end"] <= s["end"], c.below(rpc)

    def t_no_secrets():
        g.stub.CreateProvider(pb.CreateProviderRequest(provider={
            "metadata": {"name": "p"}, "type": "generic", "credentials": {"KEY": "provider-s3cr3t"}}))
        code_of(lambda: g.stub.GetSandbox(pb.GetSandboxRequest(name="name-s3cr3t")))
        g.stub.Health(pb.HealthRequest(), metadata=[("x-request-id", "last")])
        c.wait("openshell.v1.OpenShell/Health", cove_request_id="last")
        assert c.wait("openshell.v1.OpenShell/CreateProvider")
        assert not [b for b in c.bodies if b"s3cr3t" in b], "a secret or a part of a message is in a span"
        assert not [line for line in g.lines if "s3cr3t" in line], "... in the log"

    def long_values():
        g.stub.Health(pb.HealthRequest(), metadata=[("x-request-id", "i" * 128)])
        s = c.wait("openshell.v1.OpenShell/Health", cove_request_id="i" * 128)
        assert len(s["attributes"]) < 12, s

    tap.check("an rpc is a span, with who says it", an_rpc)
    tap.check("what the client did wrong is no failure", a_failure)
    tap.check("a caller's trace goes on; what is no traceparent does not", continued)
    tap.check("who keeps nothing of his trace gets nothing kept", a_caller_who_keeps_nothing)
    tap.check("REST: method and route", by_rest)
    tap.check("a start and its steps", a_start)
    tap.check("a start that fails says why in a word", a_start_that_fails)
    tap.check("a command and its end", a_command)
    tap.check("t_no_secrets: no bodies, credentials or sentences in spans", t_no_secrets)
    tap.check("ids are bounded", long_values)

    def away():
        c.answer = 503
        before = c.requests
        g.stub.Health(pb.HealthRequest(), metadata=[("x-request-id", "late")])
        until(lambda: c.requests > before)
        assert g.logged("takes no traces"), "nobody said so"
        for _ in range(5000):
            g.stub.Health(pb.HealthRequest())
        lost = metric(g, 'cove_gateway_trace_spans_dropped_total{why="queue_full"}')
        assert 800 <= lost <= 1000, lost
        took = []
        while not took or min(took) >= 1:  # on a busy machine one may be late
            assert len(took) < 5, f"the loop waits for the collector: {took}"
            begun = time.monotonic()
            g.stub.Health(pb.HealthRequest())
            took.append(time.monotonic() - begun)
        c.answer = None
        c.wait("openshell.v1.OpenShell/Health", 60, cove_request_id="late")
        assert g.logged("takes traces again")

    def refused():
        c.answer = 400
        g.stub.Health(pb.HealthRequest())
        until(lambda: metric(g, 'cove_gateway_trace_spans_dropped_total{why="refused"}') >= 1)
        c.answer = None

    def in_part():
        c.rejected = 1
        g.stub.Health(pb.HealthRequest())
        until(lambda: metric(g, 'cove_gateway_trace_spans_dropped_total{why="rejected"}') >= 1)
        c.rejected = 0

    def sampled():
        g.write_config({"traces": {"endpoint": c.endpoint, "sample": 0}})
        assert g.hup()
        count = len(c.spans)
        g.stub.Health(pb.HealthRequest())
        g.stub.Health(pb.HealthRequest(), metadata=[("traceparent", f"00-{TRACE}-{SPAN}-01"),
                                                    ("x-request-id", "chosen")])
        c.wait("openshell.v1.OpenShell/Health", cove_request_id="chosen")
        assert len([s for s in c.spans[count:] if s["trace"] != TRACE]) == 0, c.spans[count:]

    def last_words():
        g.write_config({"traces": {"endpoint": c.endpoint}})
        assert g.hup()
        g.stub.Health(pb.HealthRequest(), metadata=[("x-request-id", "goodbye")])
        assert g.stop() == 0
        c.wait("openshell.v1.OpenShell/Health", 3, cove_request_id="goodbye")

    tap.check("a collector that is away: repeated, counted, and nobody waits", away)
    tap.check("a collector that refuses", refused)
    tap.check("a collector that takes a part", in_part)
    tap.check("sample: 0 keeps what callers keep", sampled)
    tap.check("a gateway that ends sends what is left", last_words)


def nobody_there():
    with gatewaylab.Gateway(tls=False, config={
            "traces": {"endpoint": f"http://127.0.0.1:{ports.free()}/v1/traces"}}) as g:
        for _ in range(50):
            g.stub.Health(g.pb.HealthRequest())
        assert g.logged("takes no traces")
        begun = time.monotonic()
        assert g.stop() == 0 and time.monotonic() - begun < 9


def over_grpc():
    with collector.Grpc() as c, gatewaylab.Gateway(
            tls=False, config={"traces": {"endpoint": c.endpoint, "headers": {"x-tenant": "t"}}}) as g:
        g.stub.Health(g.pb.HealthRequest())
        c.wait("openshell.v1.OpenShell/Health")
        assert c.headers[0]["x-tenant"] == "t", c.headers
        c.answer = collector.grpc.StatusCode.UNAVAILABLE
        before = c.requests
        g.stub.Health(g.pb.HealthRequest(), metadata=[("x-request-id", "again")])
        until(lambda: c.requests > before)
        c.answer = None
        c.wait("openshell.v1.OpenShell/Health", cove_request_id="again")
        c.answer = collector.grpc.StatusCode.INVALID_ARGUMENT
        g.stub.Health(g.pb.HealthRequest())
        until(lambda: metric(g, 'cove_gateway_trace_spans_dropped_total{why="refused"}') >= 1)


def over_tls():
    """The certificate of a gateway is one of an authority of its own, for localhost."""
    with gatewaylab.Gateway() as g:
        made = os.path.join(g.state, "tls")
        key, certificate = (os.path.join(made, "server", n) for n in ("tls.key", "tls.crt"))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        pair = [open(n, "rb").read() for n in (key, certificate)]
        for c in (collector.Http(tls=context), collector.Grpc(tls=tuple(pair))):
            with c:
                g.write_config({"traces": {"endpoint": c.endpoint, "ca": os.path.join(made, "ca.crt")}})
                assert g.hup()
                g.stub.Health(g.pb.HealthRequest())
                c.wait("openshell.v1.OpenShell/Health")
        with collector.Http(tls=context) as c:
            since = len(g.lines)
            g.write_config({"traces": {"endpoint": c.endpoint}})
            assert g.hup()
            g.stub.Health(g.pb.HealthRequest())
            assert g.logged("takes no traces", since), "a collector that nobody vouches for is believed"
            assert not c.spans


def refused_configurations():
    g = gatewaylab.Gateway(tls=False, start=False)
    for traces, words in (
            ({"endpoint": "ftp://x/"}, "no http://HOST"),
            ({"endpoint": "http://user:pw@x/"}, "without a user"),
            ({"endpoint": "grpc://x:1/path"}, "and no path"),
            ({"endpoint": "http:///v1"}, "no http://HOST"),
            ({"endpoint": "http://x/", "sample": "1.5"}, "from 0 to 1"),
            ({"endpoint": "http://x/", "sample": "-1"}, "from 0 to 1"),
            ({"endpoint": "http://x/", "headers": {"te": "x"}}, "is no name"),
            ({"endpoint": "http://x/", "headers": {"a b": "x"}}, "is no name"),
            ({"endpoint": "http://x/", "headers": {"a": "s3cr3t\nb: c"}}, "the value of a"),
            ({"endpiont": "http://x/"}, "endpoint")):
        g.write_config({"traces": traces})
        done = g.run("config", "check", g.config_path, check=False)
        assert done.returncode and words in done.stderr, (traces, done)
        assert "s3cr3t" not in done.stderr and "pw" not in done.stderr.replace(g.config_path, ""), done
    g.close()


tap.check("nobody there", nobody_there)
tap.check("gRPC: taken, repeated, refused", over_grpc)
tap.check("TLS: HTTP and gRPC; an authority that is not ours is no authority", over_tls)
tap.check("configurations that are none", refused_configurations)
tap.done()
