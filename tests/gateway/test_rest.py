#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""REST, reflection and health of a real gateway: the same handlers and the same rules as gRPC's."""
import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import gatewaylab  # noqa: E402
import rpclab  # noqa: E402
import world  # noqa: E402

tap = world.Tap()
rp, rs = rpclab.module("reflection_pb2"), rpclab.module("reflection_pb2_grpc")
hp, hs = rpclab.module("health_pb2"), rpclab.module("health_pb2_grpc")


def ask(g, method, path, body=None, **headers):
    data = json.dumps(body).encode() if body is not None else None
    r = urllib.request.Request(f"http://127.0.0.1:{g.port}{path}", data, method=method,
                               headers={"content-type": "application/json", **headers})
    try:
        with urllib.request.urlopen(r, timeout=10) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as e:
        return e.code, json.loads(e.read())


with gatewaylab.Gateway(tls=False) as g:
    def workspaces():
        status, made = ask(g, "POST", "/v1/workspaces", {"name": "team", "labels": {"a": "b"}})
        assert status == 200, made
        assert ask(g, "GET", "/v1/workspaces/team")[1]["workspace"]["metadata"]["labels"] == {"a": "b"}
        names = [w.metadata.name for w in g.stub.ListWorkspaces(g.pb.ListWorkspacesRequest()).workspaces]
        assert "team" in names, names
        assert ask(g, "POST", "/v1/workspaces", {"name": "team"})[0] == 409
        assert ask(g, "DELETE", "/v1/workspaces/team")[0] == 200
        assert ask(g, "GET", "/v1/workspaces/team")[0] == 404

    def health():
        assert ask(g, "GET", "/v1/health")[1]["version"], "no version"
        with gatewaylab.grpc.insecure_channel(f"127.0.0.1:{g.port}") as c:
            assert hs.HealthStub(c).Check(hp.HealthCheckRequest(), timeout=5).status == 1
            answer = next(rs.ServerReflectionStub(c).ServerReflectionInfo(
                iter([rp.ServerReflectionRequest(list_services="")]), timeout=5))
            assert "openshell.v1.OpenShell" in [s.name for s in answer.list_services_response.service]

    def guide():
        """The commands of the guide that are cut short by `curl ...`, in their order."""
        box = g.stub.CreateSandbox(g.pb.CreateSandboxRequest(name="one", spec={})).sandbox.metadata.id
        gatewaylab.until(lambda: ask(g, "GET", "/v1/sandboxes/one")[1]["sandbox"]["status"]["phase"]
                         == "SANDBOX_PHASE_READY")
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)),
                               "../../docs/guides/run-a-gateway.md"), encoding="utf-8") as f:
            commands = re.findall(r"^    curl \.\.\. (?:[^\\\n]|\\\n)*", f.read(), re.M)
        assert len(commands) == 3, commands
        exec_id = ""
        for command in commands:
            command = command.replace("curl ...", "curl -sS --fail-with-body --max-time 20").replace(
                "https://localhost:17670", g.url("")).replace("from_offset=4096", "from_offset=0").replace("/ID/", f"/{box}/").replace("/EXEC:", f"/{exec_id}:")
            done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
            assert done.returncode == 0, (command, done)
            exec_id = exec_id or json.loads(done.stdout)["exec"]["id"]
        g.stub.DeleteSandbox(g.pb.DeleteSandboxRequest(name="one"))

    def services():
        """The one without a name has a path of its own."""
        g.stub.CreateSandbox(g.pb.CreateSandboxRequest(name="two", spec={}))
        for name, port in (("", 8000), ("api", 8001)):
            assert ask(g, "POST", "/v1/sandboxes/two/services", {"service": name, "targetPort": port})[0] == 200
        paths = "/v1/sandboxes/two/service", "/v1/sandboxes/two/services/api"
        assert [ask(g, "GET", p)[1]["endpoint"]["targetPort"] for p in paths] == [8000, 8001]
        assert ask(g, "DELETE", paths[0])[0] == 200
        assert [ask(g, "GET", p)[0] for p in paths] == [404, 200]
        g.stub.DeleteSandbox(g.pb.DeleteSandboxRequest(name="two"))

    tap.check("the commands of the guide", guide)
    tap.check("services are exposed, shown and no longer exposed", services)
    tap.check("a workspace is made by REST, seen by gRPC, and deleted", workspaces)
    tap.check("health and reflection", health)
    tap.check("a sandbox that is not there", lambda: ask(g, "GET", "/v1/sandboxes/none")[0] == 404 or 1 / 0)
    tap.check("t_csrf: another site's page makes nothing", lambda: ask(
        g, "POST", "/v1/workspaces", {"name": "evil"}, origin="https://evil.example")[0] == 403 or 1 / 0)
    tap.check("the description", lambda: ask(g, "GET", "/openapi.json")[1]["openapi"] == "3.1.0" or 1 / 0)
tap.done()
