#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: a workspace's route makes https://inference.local work in its sandboxes: the route's model and
credential, while the sandbox has neither variable nor rule of the provider; and what is wrong with a
route is said when it is set.
Method: a model server behind real TLS, grpcio and the command line, real sandboxes with curl."""
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import clientlab  # noqa: E402
import gatewaylab  # noqa: E402
import rpclab  # noqa: E402
import world  # noqa: E402
from gatewaylab import code_of, until  # noqa: E402

tap = world.Tap()
HOST, ELSEWHERE = "model.test", "elsewhere.test"
KEY = "sk-v4lue-of-the-model-0123456789"
w = world.World([HOST, ELSEWHERE])


class Model(world._Handler):
    """One of its models refuses the key, and shows it; one is slow."""

    def _answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        model = json.loads(body or b"{}").get("model")
        self.server.seen.append({"method": self.command, "path": self.path, "body": body,
                                 "headers": dict(self.headers.items())})
        if model == "late":
            time.sleep(6)
        is_refused = model == "refused"
        answer = (json.dumps({"error": "bad key " + self.headers["Authorization"]}).encode() if is_refused
                  else self.server.answer(self.command, self.path, body))
        self.send_response(401 if is_refused else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = _answer


server = world.Server(world.PUBLIC, 443, w.pki, handler=Model, answer=lambda method, path, body: json.dumps(
    {"id": "c", "object": "chat.completion", "model": json.loads(body)["model"] if body else "",
     "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}}]}).encode())
g = gatewaylab.Gateway(config={"resolve": [f"{h}:443:{world.PUBLIC}" for h in (HOST, ELSEWHERE)],
                               "upstream_ca": [w.pki.ca]})
pb, sb, dm = g.pb, rpclab.module("sandbox_pb2"), rpclab.module("datamodel_pb2")
ib = rpclab.module("inference_pb2")
inference = g.inference()


def profile(name, is_capable, key, host=HOST):
    g.stub.ImportProviderProfiles(pb.ImportProviderProfilesRequest(profiles=[
        pb.ProviderProfileImportItem(source="test", profile=pb.ProviderProfile(
            id=name, display_name=name, category=1, inference_capable=is_capable,
            credentials=[pb.ProviderProfileCredential(name=key.lower(), env_vars=[key])],
            endpoints=[sb.NetworkEndpoint(host=host, port=443, protocol="rest", enforcement="enforce",
                                          access="full")],
            binaries=[sb.NetworkBinary(path="/**")]))]))


def provider(name, kind, **credentials):
    g.stub.CreateProvider(pb.CreateProviderRequest(provider=dm.Provider(
        metadata=dm.ObjectMeta(name=name), type=kind, credentials=credentials)))


def sandbox(name, providers=()):
    g.stub.CreateSandbox(pb.CreateSandboxRequest(name=name, spec=pb.SandboxSpec(
        command=["/bin/sleep", "1000"], providers=providers)))
    return until(lambda: (s := g.stub.GetSandbox(pb.GetSandboxRequest(name=name)).sandbox)
                 .status.phase == 2 and s)


def run(s, script):
    said = gatewaylab.said(g.stub.ExecSandbox(pb.ExecSandboxRequest(
        sandbox_id=s.metadata.id, command=["/bin/sh", "-c", script]), timeout=40))
    return said.both.decode(errors="replace")


def ask(s, model="whatever"):
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "x"}]})
    return run(s, f"curl -sS -m 20 -H 'content-type: application/json' -d '{body}' "
                  "https://inference.local/v1/chat/completions")


def set_route(provider_name="m", model="the-model", **kw):
    kw.setdefault("no_verify", True)
    return inference.SetInferenceRoute(ib.SetInferenceRouteRequest(
        provider_name=provider_name, model_id=model, **kw))


def shown():
    return {k.lower(): v for k, v in server.seen[-1]["headers"].items()}


def check(f):
    tap.check(f.__name__.replace("_", " "), f)


def what_is_wrong_is_said():
    get = ib.GetInferenceRouteRequest()
    assert code_of(lambda: inference.GetInferenceRoute(get)) == ("NOT_FOUND", "inference route not found")
    assert code_of(lambda: set_route("none")) == ("FAILED_PRECONDITION", "provider 'none' not found")
    assert code_of(lambda: set_route(model=""))[0] == "INVALID_ARGUMENT"
    assert code_of(lambda: set_route(route_name="other"))[0] == "INVALID_ARGUMENT"
    code, text = code_of(lambda: set_route("plain"))
    assert code == "FAILED_PRECONDITION" and "serves no inference" in text, text
    assert code_of(lambda: set_route(timeout_secs=99999))[0] == "INVALID_ARGUMENT"


def without_a_route_there_is_none():
    s = sandbox("none")
    assert "cluster inference is not configured" in ask(s)


def a_route_is_set_and_shown():
    m = set_route()
    assert (m.provider_name, m.model_id, m.version, m.route_name, m.timeout_secs, m.workspace) == (
        "m", "the-model", 1, "inference.local", 60, "default"), m
    assert set_route(model="second", timeout_secs=5).version == 2
    got = inference.GetInferenceRoute(ib.GetInferenceRouteRequest())
    assert (got.model_id, got.version, got.timeout_secs) == ("second", 2, 5)
    assert set_route(route_name="sandbox-system").route_name == "sandbox-system"
    set_route()


def what_does_not_work_is_not_set():
    """Its upstream is asked once, with the model and the key, unless the request says not to."""
    before = len(server.seen)
    m = set_route(no_verify=False)
    assert m.validation_performed and [(e.url, e.protocol) for e in m.validated_endpoints] == [
        (f"https://{HOST}:443/v1/chat/completions", "openai_chat_completions")], m
    assert len(server.seen) == before + 1 and shown()["authorization"] == f"Bearer {KEY}"
    assert json.loads(server.seen[-1]["body"])["model"] == "the-model"
    assert not set_route().validation_performed and len(server.seen) == before + 1
    for name, url, why in (("nowhere", "https://nowhere.test/v1", "name_not_found"),
                           ("down", "https://127.0.0.1:9/v1", "connect_failed"),
                           ("http", "http://127.0.0.1:9/v1", "connect_failed")):
        provider(name, "openai", OPENAI_API_KEY=KEY)
        g.stub.UpdateProvider(pb.UpdateProviderRequest(provider=dm.Provider(
            metadata=dm.ObjectMeta(name=name), config={"OPENAI_BASE_URL": url})))
        code, text = code_of(lambda: set_route(name, no_verify=False))
        assert code == "FAILED_PRECONDITION" and why in text and url in text and KEY not in text, text
        assert inference.GetInferenceRoute(ib.GetInferenceRouteRequest()).provider_name == "m"
    code, text = code_of(lambda: set_route(model="refused", no_verify=False))
    assert code == "FAILED_PRECONDITION" and "unauthorized: " in text and KEY not in text, text
    got = inference.GetInferenceRoute(ib.GetInferenceRouteRequest())
    assert (got.provider_name, got.model_id) == ("m", "the-model"), got


def who_hangs_up_ends_it():
    begun = time.monotonic()
    assert code_of(lambda: inference.SetInferenceRoute(ib.SetInferenceRouteRequest(
        provider_name="m", model_id="late"), timeout=0.5))[0] == "DEADLINE_EXCEEDED"
    assert time.monotonic() - begun < 5
    time.sleep(7)
    assert inference.GetInferenceRoute(ib.GetInferenceRouteRequest()).model_id == "the-model"


def a_sandbox_calls_the_model():
    s = sandbox("one")
    out = ask(s)
    assert '"hi"' in out and '"the-model"' in out, out
    assert shown()["authorization"] == f"Bearer {KEY}", shown()
    assert server.seen[-1]["path"] == "/v1/chat/completions"


def and_has_nothing_else_of_the_provider():
    s = g.stub.GetSandbox(pb.GetSandboxRequest(name="one")).sandbox
    assert "MODEL_KEY" not in run(s, "env") and KEY not in run(s, "env")
    before = len(server.seen)
    out = run(s, f"curl -sS -m 10 -H 'Authorization: Bearer openshell:resolve:env:MODEL_KEY' https://{HOST}/v1/x")
    assert len(server.seen) == before, out


def another_value_is_used_at_once():
    s = g.stub.GetSandbox(pb.GetSandboxRequest(name="one")).sandbox
    g.stub.UpdateProvider(pb.UpdateProviderRequest(provider=dm.Provider(
        metadata=dm.ObjectMeta(name="m"), credentials={"MODEL_KEY": KEY + "-2"})))
    until(lambda: ask(s) and shown()["authorization"] == f"Bearer {KEY}-2")


def a_route_has_a_time_of_its_own():
    """The model answers after two seconds.  Less is too little, and what a running sandbox has follows."""
    s = g.stub.GetSandbox(pb.GetSandboxRequest(name="one")).sandbox
    set_route(model="late", timeout_secs=1)
    until(lambda: "inference service unavailable" in ask(s))
    set_route(model="late", timeout_secs=9)
    until(lambda: '"late"' in ask(s))
    set_route()
    until(lambda: '"the-model"' in ask(s))


def one_that_is_attached_serves_too():
    s = sandbox("two", ["m"])
    assert '"hi"' in ask(s)
    assert "MODEL_KEY" in run(s, "env")


def supervisors_of_others_get_names_not_keys():
    ask_for = ib.GetInferenceBundleRequest()
    assert code_of(lambda: inference.GetInferenceBundle(ask_for))[0] == "PERMISSION_DENIED"
    s = g.stub.GetSandbox(pb.GetSandboxRequest(name="one")).sandbox
    m = g.inference(False, g.sandbox_token(s.metadata.id)).GetInferenceBundle(ask_for)
    assert [r.name for r in m.routes] == ["inference.local", "sandbox-system"]
    r = m.routes[0]
    assert (r.base_url, r.model_id, r.timeout_secs, r.api_key) == (
        f"https://{HOST}:443/v1", "the-model", 60, "openshell:resolve:env:MODEL_KEY"), r
    assert "openai_chat_completions" in r.protocols and m.revision and m.generated_at_ms
    bundle = g.inference(False, g.sandbox_token(s.metadata.id)).GetInferenceBundle
    revisions = {m.revision}
    for change in (set_route,
                   lambda: g.stub.UpdateProvider(pb.UpdateProviderRequest(provider=dm.Provider(
                       metadata=dm.ObjectMeta(name="m"), config={"REGION": "x"}))),
                   lambda: (inference.DeleteInferenceRoute(ib.DeleteInferenceRouteRequest()), set_route())):
        assert bundle(ask_for).revision in revisions
        change()
        assert bundle(ask_for).revision not in revisions, "a change that is not seen"
        revisions.add(bundle(ask_for).revision)


def one_that_runs_follows_a_changed_route():
    """The model, then another provider with another key and path: no restart, no wait of a person."""
    s = g.stub.GetSandbox(pb.GetSandboxRequest(name="one")).sandbox
    assert '"the-model"' in ask(s)
    set_route(model="changed")
    until(lambda: '"changed"' in ask(s))
    provider("other", "model", MODEL_KEY=KEY + "-other")
    set_route("other", "theirs")
    until(lambda: '"theirs"' in ask(s) and shown()["authorization"] == f"Bearer {KEY}-other")


def one_that_ran_without_gets_it_too():
    s = g.stub.GetSandbox(pb.GetSandboxRequest(name="none")).sandbox
    until(lambda: '"theirs"' in ask(s))


def no_call_fails_while_it_changes():
    s = g.stub.GetSandbox(pb.GetSandboxRequest(name="one")).sandbox
    body = json.dumps({"model": "x", "messages": []})
    run(s, ": >/tmp/bad; touch /tmp/go; (while test -e /tmp/go; do "
           f"got=$(curl -sS -m 20 -w ' %{{http_code}}' -H 'content-type: application/json' -d '{body}' "
           "https://inference.local/v1/chat/completions 2>&1); "
           "case $got in *'\"hi\"'*200) ;; *) echo \"$got\" >>/tmp/bad;; esac; done) >/dev/null 2>&1 &")
    for i in range(36):  # another key of the same name, and another host
        set_route(("m", "other", "distant")[i % 3], f"model-{i}")
        time.sleep(0.15)
    run(s, "rm /tmp/go; sleep 1")
    failed = run(s, "cat /tmp/bad 2>&1")
    assert not failed, failed


def a_route_that_is_gone_is_gone_for_those_that_run():
    s = g.stub.GetSandbox(pb.GetSandboxRequest(name="one")).sandbox
    assert inference.DeleteInferenceRoute(ib.DeleteInferenceRouteRequest()).deleted
    until(lambda: "cluster inference is not configured" in ask(s))
    before = len(server.seen)
    ask(s)
    assert len(server.seen) == before
    set_route()
    until(lambda: '"the-model"' in ask(s))


def a_gateway_that_comes_back_tells_what_changed():
    s = g.stub.GetSandbox(pb.GetSandboxRequest(name="one")).sandbox
    g.kill()
    g.start()
    global inference
    inference = g.inference()
    until(lambda: '"the-model"' in ask(s))
    set_route(model="after")
    until(lambda: '"after"' in ask(s))
    set_route()
    until(lambda: '"the-model"' in ask(s))


def the_command_line_does_it():
    c = clientlab.Client(g)
    assert "the-model" in c("inference", "get").stdout
    assert "third" in c("inference", "set", "--provider", "m", "--model", "third", "--no-verify").stdout
    c("inference", "delete")
    assert code_of(lambda: inference.GetInferenceRoute(ib.GetInferenceRouteRequest()))[0] == "NOT_FOUND"
    assert not inference.DeleteInferenceRoute(ib.DeleteInferenceRouteRequest()).deleted


profile("model", True, "MODEL_KEY")
profile("distant", True, "MODEL_KEY", ELSEWHERE)
profile("plain", False, "PLAIN_KEY")
provider("m", "model", MODEL_KEY=KEY)
provider("distant", "distant", MODEL_KEY=KEY + "-distant")
provider("plain", "plain", PLAIN_KEY="nothing-much-0123456789")
try:
    for f in (what_is_wrong_is_said, without_a_route_there_is_none, a_route_is_set_and_shown,
              what_does_not_work_is_not_set, who_hangs_up_ends_it,
              a_sandbox_calls_the_model, and_has_nothing_else_of_the_provider,
              another_value_is_used_at_once, a_route_has_a_time_of_its_own, one_that_is_attached_serves_too,
              supervisors_of_others_get_names_not_keys, one_that_runs_follows_a_changed_route,
              one_that_ran_without_gets_it_too, no_call_fails_while_it_changes,
              a_route_that_is_gone_is_gone_for_those_that_run,
              a_gateway_that_comes_back_tells_what_changed, the_command_line_does_it):
        check(f)
finally:
    for name in ("none", "one", "two"):
        code_of(lambda: g.stub.DeleteSandbox(pb.DeleteSandboxRequest(name=name)))
    time.sleep(1)
    g.close()
    w.close()
tap.done()
