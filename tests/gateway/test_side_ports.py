#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: the plaintext ports of a gateway, for who looks whether it is well and counts what it does, have these pages and
nothing else: no call, no token in the clear, no console, no host of a sandbox's service.
Method: a gateway with TLS, curl over HTTP/1 and HTTP/2 and gRPC on both ports."""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import gatewaylab  # noqa: E402
import ports  # noqa: E402
import world  # noqa: E402
import grpc  # noqa: E402

tap = world.Tap()
HEALTH, METRICS = ports.free(), ports.free()
g = gatewaylab.Gateway(flags=["--health-port", str(HEALTH), "--metrics-port", str(METRICS)])
OWN = {HEALTH: ("/health", "/healthz", "/readyz"), METRICS: ("/metrics",)}
OTHERS = ("/", "/console/", "/openapi.json", "/v1/sandboxes", "/v1/nothing", "/auth/oidc-config", "/.well-known/jwks.json",
          "/_ws_tunnel", "/healthz/", "/health/x", "/openshell.v1.OpenShell/Health")


def curl(port, path, *words):
    done = subprocess.run(["curl", "-s", "--max-time", "20", "-o", "/dev/null", "-w", "%{http_code}", *words,
                           f"http://127.0.0.1:{port}{path}"], capture_output=True, text=True, check=True)
    return int(done.stdout)


def each_has_its_pages():
    for port, paths in OWN.items():
        for path in paths:
            assert curl(port, path) == curl(port, path + "?x=y") == 200, path
            assert curl(port, path, "--http2-prior-knowledge") == 200, path
            assert curl(port, path, "-X", "POST") == 405, path


def and_no_others():
    for port in OWN:
        for path in (*OTHERS, *(p for other, paths in OWN.items() if other != port for p in paths)):
            for words in ((), ("--http2-prior-knowledge",), ("-H", "Authorization: Bearer x"), ("-X", "POST", "-d", "{}"),
                          ("-H", "Host: default--web--app.openshell.localhost"),
                          ("-H", "Connection: Upgrade", "-H", "Upgrade: websocket")):
                assert curl(port, path, *words) == 404, (port, path, words)
        assert curl(port, "/health", "-H", "Host: default--web--app.openshell.localhost") in (200, 404)


def no_call_is_one():
    for port in OWN:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = g.stubs.OpenShellStub(channel)
            for call in (lambda: stub.Health(g.pb.HealthRequest(), timeout=20),
                         lambda: stub.ListSandboxes(g.pb.ListSandboxesRequest(), timeout=20,
                                                    metadata=[("authorization", "Bearer x")])):
                code, said = gatewaylab.code_of(call)
                assert code in ("UNIMPLEMENTED", "UNKNOWN"), (code, said)


def the_main_port_has_all():
    for path in ("/health", "/healthz", "/readyz", "/metrics", "/openapi.json"):
        assert g.get(path)[0] == 200, path


try:
    for f in (each_has_its_pages, and_no_others, no_call_is_one, the_main_port_has_all):
        tap.check(f.__name__.replace("_", " "), f)
finally:
    if tap.failed:
        print("\n".join("# " + line for line in g.lines[-20:]))
    g.close()
tap.done()
