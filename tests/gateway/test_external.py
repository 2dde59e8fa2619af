#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: a supervisor that is not ours, started by others, serves a sandbox of this gateway: session,
connections, polls, the end of its command; and a token of one sandbox is of no use for another.
Method: supervisors in Python over gRPC (lib/foreignlab.py) with stubs made from proto/; servers on
loopback stand for what listens in the sandbox; grpcio, curl and the command line as clients."""
import hashlib
import os
import random
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import clientlab  # noqa: E402
import foreignlab  # noqa: E402
import gatewaylab  # noqa: E402
import rpclab  # noqa: E402
import world  # noqa: E402
from foreignlab import Forward, Supervisor  # noqa: E402
from gatewaylab import code_of, until  # noqa: E402

tap = world.Tap()
g = gatewaylab.Gateway(tls=False, config={"images": {"theirs": "external", "ours": "host"}})
pb = g.pb
cove_pb2 = rpclab.module("cove_pb2")
sandbox_pb2 = rpclab.module("sandbox_pb2")
c = clientlab.Client(g)
PROVISIONING, READY, ERROR, STOPPED = 1, 2, 3, 7
MB = 1 << 20


def check(f):
    tap.check(f.__name__.replace("_", " "), f)


def make(name, image="theirs", **kw):
    return g.stub.CreateSandbox(pb.CreateSandboxRequest(
        name=name, spec={"template": {"image": image}, "command": ["sleep", "1000"]}, **kw)).sandbox.metadata.id


def status(name):
    return g.stub.GetSandbox(pb.GetSandboxRequest(name=name)).sandbox.status


def ready(name):
    s = status(name)
    return s.phase, s.conditions[0].status, s.conditions[0].reason


def cove(token=None):
    return rpclab.module("cove_pb2_grpc").CoveStub(g.channel(token=token))


def token(name):
    return cove().CreateSupervisorToken(cove_pb2.CreateSupervisorTokenRequest(name=name)).token


def start(name, instance="one", **kw):
    """A sandbox with its supervisor."""
    box = make(name)
    until(lambda: ready(name)[2] == "SupervisorNotConnected")
    s = Supervisor(g, box, token(name), instance, **kw)
    s.accepted()
    until(lambda: status(name).phase == READY)
    return box, s


def remove(*names):
    for name in names:
        g.stub.DeleteSandbox(pb.DeleteSandboxRequest(name=name))
    for name in names:
        until(lambda n=name: code_of(lambda: status(n))[0] == "NOT_FOUND")


# ---- before there is a supervisor ----

def nothing_is_started_and_it_waits():
    box = make("waits")
    assert until(lambda: ready("waits")[2] == "SupervisorNotConnected" and ready("waits")) == \
        (PROVISIONING, "False", "SupervisorNotConnected")
    time.sleep(1)
    assert ready("waits")[0] == PROVISIONING
    assert not os.path.exists(os.path.join(g.state, "sandboxes", box)), "a directory was made"
    assert Forward(g, box, 80).status() == ("FAILED_PRECONDITION", "sandbox is not ready")
    remove("waits")


def tokens_are_for_administrators_and_for_such_sandboxes():
    box = make("asks")
    m = cove().CreateSupervisorToken(cove_pb2.CreateSupervisorTokenRequest(name="asks"))
    assert m.sandbox_id == box
    left = m.expires_at_ms / 1000 - time.time()
    assert 3500 < left <= 3600, left
    code, said = code_of(lambda: cove(m.token).CreateSupervisorToken(
        cove_pb2.CreateSupervisorTokenRequest(name="asks")))
    assert code == "PERMISSION_DENIED", (code, said)
    make("own", "ours")
    code, said = code_of(lambda: token("own"))
    assert code == "FAILED_PRECONDITION", (code, said)
    assert code_of(lambda: token("nobody"))[0] == "NOT_FOUND"
    said = c("sandbox", "token", "asks").stdout.strip()
    s = Supervisor(g, box, said)
    s.accepted()
    again = s.stub.RefreshSandboxToken(pb.RefreshSandboxTokenRequest())
    assert 3500 < again.expires_at_ms / 1000 - time.time() <= 3600
    s.stub.RefreshSandboxToken(pb.RefreshSandboxTokenRequest(extension_service_names=["x"] * 64))
    assert code_of(lambda: s.stub.RefreshSandboxToken(pb.RefreshSandboxTokenRequest(
        extension_service_names=["x"] * 65))) == (
            "INVALID_ARGUMENT", "extension_service_names exceeds maximum entries (65 > 64)")
    remove("asks", "own")


def b3_bad_hellos_are_refused():
    a, b = make("a"), make("b")
    until(lambda: ready("b")[2] == "SupervisorNotConnected")
    mine, theirs = token("a"), token("b")
    hello = pb.SupervisorHello

    def said(text, **kw):
        s = Supervisor(g, a, text, hello=False, heartbeats=False)
        s.send(**kw)
        return s.first()
    for what, text, message, code in (
            ("another's id", mine, {"hello": hello(sandbox_id=b, instance_id="i")}, "PERMISSION_DENIED"),
            ("another's token", theirs, {"hello": hello(sandbox_id=a, instance_id="i")}, "PERMISSION_DENIED"),
            ("a name", mine, {"hello": hello(sandbox_id="a", instance_id="i")}, "PERMISSION_DENIED"),
            ("no id", mine, {"hello": hello(instance_id="i")}, "INVALID_ARGUMENT"),
            ("no instance", mine, {"hello": hello(sandbox_id=a)}, "INVALID_ARGUMENT"),
            ("a long instance", mine, {"hello": hello(sandbox_id=a, instance_id="i" * 129)}, "INVALID_ARGUMENT"),
            ("a heartbeat first", mine, {"heartbeat": pb.SupervisorHeartbeat()}, "INVALID_ARGUMENT"),
            ("nothing", mine, {}, "INVALID_ARGUMENT"),
            ("no token", "x", {"hello": hello(sandbox_id=a, instance_id="i")}, "UNAUTHENTICATED")):
        got = said(text, **message)
        assert got[0] == code, (what, got)
    s = Supervisor(g, a, mine, hello=False, heartbeats=False)
    s.end()
    assert s.over()[0] == "INVALID_ARGUMENT"
    code, _ = code_of(lambda: list(g.stub.ConnectSupervisor(iter([pb.SupervisorMessage(
        hello=hello(sandbox_id=a, instance_id="i"))]))))
    assert code == "PERMISSION_DENIED", code
    assert ready("a")[0] == ready("b")[0] == PROVISIONING
    s = Supervisor(g, a, mine)
    s.accepted()
    s.send(hello=hello(sandbox_id=a, instance_id="two"))
    assert s.over()[0] == "INVALID_ARGUMENT"
    remove("a", "b")


def b3_a_sandbox_of_ours_takes_no_other_supervisor():
    own = make("own", "ours")
    kind, m = Supervisor(g, own, g.sandbox_token(own)).first()
    assert kind == "session_rejected" and "own" in m.reason, (kind, m)
    stub = g.connect(token=g.sandbox_token(own))
    before = status("own").phase
    stub.ReportMainProcessExit(pb.ReportMainProcessExitRequest(
        sandbox_id=own, instance_id=status("own").main_process_instance_id, exit_code=3))
    assert status("own").phase in (before, READY, ERROR) and status("own").exit_code != 3
    remove("own")


# ---- a session ----

def a_session_makes_it_ready():
    box, s = start("web", "instance-1")
    m = s.accepted()
    assert m.heartbeat_interval_secs == 15 and len(m.session_id) == 36, m
    assert ready("web") == (READY, "True", "DependenciesReady")
    assert status("web").main_process_instance_id == "instance-1"
    code, said = code_of(lambda: list(g.stub.ExecSandbox(pb.ExecSandboxRequest(sandbox_id=box, command=["id"]))))
    assert code == "UNAVAILABLE" and said.startswith("supervisor relay failed: "), (code, said)  # it has no SSH server
    s.until(lambda: s.beats, 25)


def what_it_polls_is_answered():
    box = g.stub.GetSandbox(pb.GetSandboxRequest(name="web")).sandbox.metadata.id
    stub = g.connect(token=token("web"))
    config = stub.GetSandboxConfig(sandbox_pb2.GetSandboxConfigRequest(sandbox_id=box))
    request = pb.UpdateConfigRequest(name="web")
    request.policy.version = 1
    rule = request.policy.network_policies["one"]
    rule.endpoints.add(host="one.example", port=443)
    rule.binaries.add(path="/usr/bin/curl")
    version = g.stub.UpdateConfig(request).version
    after = stub.GetSandboxConfig(sandbox_pb2.GetSandboxConfigRequest(sandbox_id=box))
    assert after.version == version != config.version and "one" in after.policy.network_policies
    stub.ReportPolicyStatus(pb.ReportPolicyStatusRequest(sandbox_id=box, version=version, status=2,
                                                      load_error="none, as it is loaded"))
    assert not any(r.load_error for r in g.stub.ListSandboxPolicies(
        pb.ListSandboxPoliciesRequest(name="web", limit=100)).revisions)
    assert g.stub.GetSandboxPolicyStatus(pb.GetSandboxPolicyStatusRequest(name="web")).active_version == version
    stub.PushSandboxLogs(iter([pb.PushSandboxLogsRequest(sandbox_id=box, logs=[
        {"sandbox_id": box, "level": "INFO", "message": "said by a stranger", "source": "sandbox",
         "timestamp_ms": int(time.time() * 1000)}])]))
    until(lambda: "said by a stranger" in str(g.stub.GetSandboxLogs(pb.GetSandboxLogsRequest(sandbox_id=box))))
    g.inference(certificate=False, token=token("web")).GetInferenceBundle(
        rpclab.module("inference_pb2").GetInferenceBundleRequest())
    stub.SubmitPolicyAnalysis(pb.SubmitPolicyAnalysisRequest(name="web"))


def c10_credentials_go_to_its_own_supervisor_only():
    dm = rpclab.module("datamodel_pb2")
    secret = "ghp_cove0123456789SECRETvalue"
    g.stub.CreateProvider(pb.CreateProviderRequest(provider=dm.Provider(
        metadata=dm.ObjectMeta(name="hub"), type="github", credentials={"GITHUB_TOKEN": secret},
        config={"GITHUB_HOST": "hub.example"})))
    box, s = start("keys")
    other, o = start("nokeys")
    ask = pb.GetSandboxProviderEnvironmentRequest
    m = s.stub.GetSandboxProviderEnvironment(ask(sandbox_id=box, supports_static_credential_bindings=True))
    assert not m.environment and m.provider_env_revision == 0
    g.stub.AttachSandboxProvider(pb.AttachSandboxProviderRequest(sandbox_name="keys", provider_name="hub"))
    m = s.stub.GetSandboxProviderEnvironment(ask(sandbox_id=box))
    assert dict(m.environment) == {"GITHUB_HOST": "hub.example"}, "a value without bindings"
    assert list(m.non_secret_environment_keys) == ["GITHUB_HOST"]
    m = s.stub.GetSandboxProviderEnvironment(ask(sandbox_id=box, supports_static_credential_bindings=True))
    assert dict(m.environment) == {"GITHUB_HOST": "hub.example", "GITHUB_TOKEN": secret}
    bound = [(e.host, e.port) for e in m.static_credential_bindings["GITHUB_TOKEN"].endpoints]
    assert ("api.github.com", 443) in bound and len(m.static_credential_bindings) == 1, bound
    # One that expires takes no other along, and comes back when it is renewed.
    g.stub.UpdateProvider(pb.UpdateProviderRequest(provider=dm.Provider(
        metadata=dm.ObjectMeta(name="hub"), credentials={"OTHER_TOKEN": "other-value"}),
        credential_expires_at_ms={"GITHUB_TOKEN": int(time.time() * 1000) - 5000}))
    m = s.stub.GetSandboxProviderEnvironment(ask(sandbox_id=box, supports_static_credential_bindings=True))
    assert dict(m.environment) == {"GITHUB_HOST": "hub.example", "OTHER_TOKEN": "other-value"}
    g.stub.UpdateProvider(pb.UpdateProviderRequest(provider=dm.Provider(
        metadata=dm.ObjectMeta(name="hub"), credentials={"GITHUB_TOKEN": secret, "OTHER_TOKEN": ""}),
        credential_expires_at_ms={"GITHUB_TOKEN": 0}))
    m = s.stub.GetSandboxProviderEnvironment(ask(sandbox_id=box, supports_static_credential_bindings=True))
    assert dict(m.environment) == {"GITHUB_HOST": "hub.example", "GITHUB_TOKEN": secret}
    assert m.provider_env_revision == s.stub.GetSandboxConfig(
        sandbox_pb2.GetSandboxConfigRequest(sandbox_id=box)).provider_env_revision != 0
    # Of another, of one of ours, and of nobody: nothing.
    make("own", "ours")
    own = g.stub.GetSandbox(pb.GetSandboxRequest(name="own")).sandbox.metadata.id
    g.stub.AttachSandboxProvider(pb.AttachSandboxProviderRequest(sandbox_name="own", provider_name="hub"))
    for what, stub, of, want in (("another", o.stub, box, "PERMISSION_DENIED"),
                                 ("ours", g.connect(token=g.sandbox_token(own)), own, "FAILED_PRECONDITION"),
                                 ("none", o.stub, "", "PERMISSION_DENIED"), ("user", g.stub, box, "PERMISSION_DENIED")):
        code, said = code_of(lambda: stub.GetSandboxProviderEnvironment(
            ask(sandbox_id=of, supports_static_credential_bindings=True)))
        assert code == want, (what, code, said)
    assert not o.stub.GetSandboxProviderEnvironment(
        ask(sandbox_id=other, supports_static_credential_bindings=True)).environment
    remove("keys", "nokeys", "own")
    assert secret not in "\n".join(g.lines)


# ---- connections ----

def bytes_go_both_ways_whole():
    echo = foreignlab.Echo()
    current["web"].ports[80] = echo.port
    f = Forward(g, boxes["web"], 80)
    data = random.Random(1).randbytes(8 * MB)

    def write():
        for i in range(0, len(data), 65536):
            f.put(data[i:i + 65536])
    threading.Thread(target=write, daemon=True).start()
    assert hashlib.sha256(f.take(len(data))).digest() == hashlib.sha256(data).digest()
    f.put(b"more")
    assert f.take(4) == b"more"
    f.call.cancel()


def the_end_of_one_side_reaches_the_other():
    ended = threading.Event()

    def serve(s):
        s.sendall(b"all of it")
        s.shutdown(1)
        while s.recv(65536):
            pass
        ended.set()
    current["web"].ports[81] = foreignlab.Echo(serve).port
    f = Forward(g, boxes["web"], 81)
    assert f.rest() == b"all of it"
    assert ended.wait(10), "the server inside was not told"

    gone = threading.Event()

    def wait(s):
        s.sendall(b"x")
        while s.recv(65536):
            pass
        gone.set()
    current["web"].ports[82] = foreignlab.Echo(wait).port
    f = Forward(g, boxes["web"], 82)
    f.take(1)
    f.call.cancel()
    assert gone.wait(10), "the server inside was not told that its client went"


def a_slow_client_slows_the_server_inside():
    total = 64 * MB
    block = bytes(range(256)) * 256
    server = foreignlab.Echo()

    def serve(s):
        for _ in range(total // len(block)):
            s.sendall(block)
            server.sent += len(block)
    server.serve = serve
    current["web"].ports[83] = server.port
    f = Forward(g, boxes["web"], 83, stub=slow_stub())
    f.take(1)
    last = -1
    while server.sent != last:
        last = server.sent
        time.sleep(1)
    print("#   sent before it had to wait:", server.sent >> 10, "KiB")
    assert server.sent < 24 * MB, server.sent
    assert len(f.rest()) >= total - 2 * 65536
    assert server.sent == total


def slow_stub():
    return g.stubs.OpenShellStub(g.channel(options=[
        ("grpc.use_local_subchannel_pool", 1), ("grpc.http2.bdp_probe", 0)]))


def slow_clients_do_not_stop_others_of_the_same_supervisor():
    server = foreignlab.Echo()

    def serve(s):
        while True:
            s.sendall(b"x" * 65536)
    server.serve = serve
    current["web"].ports[84] = server.port
    stubs = [slow_stub() for _ in range(12)]
    slow = [Forward(g, boxes["web"], 84, stub=x) for x in stubs]
    for f in slow:
        f.take(1)
    time.sleep(2)
    beats = current["web"].beats
    f = Forward(g, boxes["web"], 80)
    begun = time.monotonic()
    data = random.Random(2).randbytes(2 * MB)
    threading.Thread(target=lambda: [f.put(data[i:i + 65536]) for i in range(0, len(data), 65536)], daemon=True).start()
    assert f.take(len(data)) == data
    assert time.monotonic() - begun < 30
    current["web"].until(lambda: current["web"].beats > beats, 25)
    f.call.cancel()
    for f in slow:
        f.call.cancel()


def where_nobody_listens_is_said():
    code, said = Forward(g, boxes["web"], 9).status()
    assert code == "UNAVAILABLE" and said.startswith("supervisor relay failed: "), (code, said)
    code, said = Forward(g, boxes["web"], 0).status()
    assert code == "INVALID_ARGUMENT", (code, said)


def a_service_has_its_host_name():
    def serve(s):
        head = b""
        while b"\r\n\r\n" not in head:
            head += s.recv(4096)
        s.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nthere")
    current["web"].ports[8000] = foreignlab.Echo(serve).port
    g.stub.ExposeService(pb.ExposeServiceRequest(sandbox="web", target_port=8000, domain=True))
    got = curl("web")
    assert got == (200, b"there"), got
    g.stub.ExposeService(pb.ExposeServiceRequest(sandbox="web", target_port=7, domain=True))
    assert curl("web")[0] == 502


def curl(name, *words, gateway=None):
    host = f"default--{name}.openshell.localhost"
    done = subprocess.run(["curl", "-sS", "--noproxy", "*", "--max-time", "30", "-w", "\n%{http_code}", "--resolve",
                           f"{host}:{g.port}:127.0.0.1", *words, f"http://{host}:{g.port}/"], capture_output=True)
    body, _, code = done.stdout.rpartition(b"\n")
    return int(code or 0), body


def ssh_goes_to_the_supervisors_own_server():
    current["web"].ports[0] = foreignlab.Echo().port
    assert Forward(g, boxes["web"], None, "no such").status()[0] == "UNAUTHENTICATED"
    m = g.stub.CreateSshSession(pb.CreateSshSessionRequest(sandbox_id=boxes["web"]))
    assert m.host_key_fingerprint == ""
    f = Forward(g, boxes["web"], None, m.token)
    f.put(b"SSH-2.0-test\r\n")
    assert f.take(14) == b"SSH-2.0-test\r\n"
    assert current["web"].opened[-1].WhichOneof("target") == "ssh"
    f.call.cancel()


def a_connection_must_be_claimed_in_time_once_and_by_its_sandbox():
    s = current["web"]
    other, o = start("other")
    s.answers = False
    seen = len(s.opened)
    f = Forward(g, boxes["web"], 80)
    s.until(lambda: len(s.opened) > seen)
    channel = s.opened[-1].channel_id
    assert code_of(lambda: list(o.claim(channel)))[0] == "NOT_FOUND", "B3: another's token claims it"
    stranger = g.connect(token=token("other"))
    assert code_of(lambda: list(s.claim(channel, stub=stranger)))[0] == "NOT_FOUND"
    assert code_of(lambda: list(s.claim("")))[0] == "NOT_FOUND"
    assert code_of(lambda: list(s.claim("x" * 100000)))[0] == "NOT_FOUND"
    first = s.claim(channel, [pb.RelayFrame(data=b"hi")])
    assert f.take(2) == b"hi"
    assert code_of(lambda: list(s.claim(channel)))[0] == "NOT_FOUND", "claimed twice"
    assert code_of(lambda: list(s.stub.RelayStream(iter([pb.RelayFrame(data=b"x")]))))[0] == "INVALID_ARGUMENT"
    assert code_of(lambda: list(s.stub.RelayStream(iter([]))))[0] == "INVALID_ARGUMENT"
    first.cancel()
    seen = len(s.opened)
    f = Forward(g, boxes["web"], 80)
    s.until(lambda: len(s.opened) > seen)
    code, said = code_of(lambda: list(s.claim(s.opened[-1].channel_id, [
        pb.RelayFrame(data=b"x" * (256 << 10)), pb.RelayFrame(data=b"x" * ((256 << 10) + 1))])))
    assert code == "INVALID_ARGUMENT", (code, said)
    assert len(f.rest()) <= 256 << 10
    begun = time.monotonic()
    code, said = Forward(g, boxes["web"], 80).status()
    assert code == "UNAVAILABLE" and 8 < time.monotonic() - begun < 19, (code, said)
    s.until(lambda: any(m.channel_id == s.opened[-1].channel_id for m in s.closes))
    assert code_of(lambda: list(s.claim(s.opened[-1].channel_id)))[0] == "NOT_FOUND", "too late"
    # Taken back while it waits: its client does not wait for the time to pass.
    begun = time.monotonic()
    seen = len(s.opened)
    f = Forward(g, boxes["web"], 80)
    s.until(lambda: len(s.opened) > seen)
    s.send(relay_close=pb.RelayClose(channel_id=s.opened[-1].channel_id, reason="no"))
    assert f.status()[0] == "UNAVAILABLE" and time.monotonic() - begun < 8
    s.answers = True
    remove("other")


def a_thousand_that_wait_are_bounded():
    names = [f"many{i}" for i in range(9)]
    made = [start(n) for n in names]
    for (_, s), n in zip(made, names):
        s.answers = False
        g.stub.ExposeService(pb.ExposeServiceRequest(sandbox=n, target_port=80, domain=True))
    codes, workers = [], []

    def ask(name, n):
        host = f"default--{name}.openshell.localhost"
        done = subprocess.run(
            ["curl", "-s", "--noproxy", "*", "--no-keepalive", "-Z", "--parallel-immediate", "--parallel-max", "200",
             "--max-time", "40", "-o", "/dev/null", "-w", "%{http_code}\n", "--resolve", f"{host}:{g.port}:127.0.0.1",
             f"http://{host}:{g.port}/[1-{n}]"], capture_output=True, text=True)
        codes.extend(done.stdout.split())
    for n in names:
        workers.append(threading.Thread(target=ask, args=(n, 112)))
        workers[-1].start()
    for w in workers:
        w.join()
    opened = [len(s.opened) for _, s in made]
    print("#   asked:", len(codes), "opened:", opened, {x: codes.count(x) for x in set(codes)})
    assert len(codes) == 1008 and set(codes) <= {"503", "502"}, set(codes)
    assert max(opened) <= 32 + 8 and 32 <= sum(opened) <= 256 + 32, opened
    assert codes.count("503") >= 1008 - sum(opened)
    # What waited in vain is given back.
    made[0][1].answers = True
    made[0][1].ports[80] = foreignlab.Echo().port
    f = Forward(g, made[0][0], 80)
    f.put(b"again")
    assert f.take(5) == b"again"
    remove(*names)


# ---- sessions that change ----

def a_newer_session_takes_the_place_of_the_older():
    box, s = start("twice")
    s.answers = False
    f = Forward(g, box, 80)
    s.until(lambda: s.opened)
    newer = Supervisor(g, box, token("twice"), "one", heartbeats=False, ports={80: foreignlab.Echo().port})
    assert newer.accepted().session_id != s.accepted().session_id
    assert s.over()[0] == "OK"
    newer.until(lambda: newer.opened and newer.opened[0].channel_id == s.opened[0].channel_id)
    f.put(b"replayed")
    assert f.take(8) == b"replayed"
    time.sleep(0.3)
    assert ready("twice")[0] == READY, "the end of the older one counted"
    remove("twice")
    assert newer.over()[0] == "OK"


def a_lost_session_is_a_condition():
    box, s = start("lost")
    s.answers = False
    f = Forward(g, box, 80)
    s.until(lambda: s.opened)
    s.call.cancel()
    assert until(lambda: ready("lost")[0] == PROVISIONING and ready("lost")) == \
        (PROVISIONING, "False", "DependenciesNotReady")
    code, said = f.status()
    assert code == "UNAVAILABLE", (code, said)
    time.sleep(1)
    again = Supervisor(g, box, token("lost"))
    again.accepted()
    until(lambda: ready("lost")[0] == READY)
    again.end()
    assert again.over()[0] == "OK"
    until(lambda: ready("lost")[0] == PROVISIONING)
    remove("lost")


def a_gateway_that_comes_back_takes_it_again():
    box, s = start("comes", "second")
    text = token("comes")
    s.stub.ReportMainProcessExit(pb.ReportMainProcessExitRequest(sandbox_id=box, instance_id="first", exit_code=1))
    assert status("comes").phase == READY, "a stale report counted"
    for how in (g.kill, g.stop):
        how()
        assert s.over()[0] in ("UNAVAILABLE", "CANCELLED"), s.status
        g.start()
        assert until(lambda: ready("comes")[2] == "SupervisorNotConnected" and ready("comes")[0]) == PROVISIONING
        stub = g.connect(token=text)
        stub.ReportMainProcessExit(pb.ReportMainProcessExitRequest(sandbox_id=box, instance_id="first", exit_code=1))
        assert status("comes").phase == PROVISIONING, "a stale report counted"
        s = Supervisor(g, box, text, "second")
        s.accepted()
        until(lambda: ready("comes")[0] == READY)
        s.ports[80] = foreignlab.Echo().port
        f = Forward(g, box, 80)
        f.put(b"back")
        assert f.take(4) == b"back"
    remove("comes")


def the_commands_end_is_written_down_before_it_is_answered():
    box, s = start("ends", "i1")
    text = token("ends")
    stub = g.connect(token=text)
    report = pb.ReportMainProcessExitRequest(sandbox_id=box, instance_id="i1", exit_code=143)
    stub.ReportMainProcessExit(report)
    g.kill()
    g.start()
    got = status("ends")
    assert (got.phase, got.exit_code) == (ERROR, 143), got
    assert (got.conditions[0].status, got.conditions[0].reason) == ("False", "MainProcessExited"), got
    kind, m = Supervisor(g, box, text, "i1").first()
    assert kind == "session_rejected", (kind, m)
    stub = g.connect(token=text)
    stub.ReportMainProcessExit(report)  # again: accepted, and nothing
    g.stub.StartSandbox(pb.StartSandboxRequest(name="ends"))
    until(lambda: ready("ends")[2] == "SupervisorNotConnected")
    stub.ReportMainProcessExit(report)
    assert status("ends").phase != ERROR, "the end of the run before counted"
    s = Supervisor(g, box, text, "i2")
    s.accepted()
    until(lambda: ready("ends")[0] == READY)
    s.stub.ReportMainProcessExit(pb.ReportMainProcessExitRequest(sandbox_id=box, instance_id="i2"))
    assert ready("ends") == (ERROR, "False", "MainProcessExited") and status("ends").exit_code == 0
    assert s.over()[0] == "OK"
    remove("ends")


def stopped_and_deleted_it_has_no_session():
    box, s = start("stops")
    text = token("stops")
    s.ports[80] = foreignlab.Echo().port
    f = Forward(g, box, 80)
    f.put(b"x")
    f.take(1)
    g.stub.StopSandbox(pb.StopSandboxRequest(name="stops"))
    assert s.over()[0] == "OK"
    assert f.status()[0] == "OK"
    until(lambda: status("stops").phase == STOPPED)
    kind, _ = Supervisor(g, box, text).first()
    assert kind == "session_rejected"
    g.stub.StartSandbox(pb.StartSandboxRequest(name="stops"))
    until(lambda: ready("stops")[2] == "SupervisorNotConnected")
    s = Supervisor(g, box, text, "another")
    s.accepted()
    until(lambda: ready("stops")[0] == READY)
    remove("stops")
    assert s.over()[0] == "OK"
    assert Supervisor(g, box, text).first()[0] == "UNAUTHENTICATED"


def b3_a_token_gets_nothing_of_another_sandbox():
    a, s = start("alpha")
    b, t = start("beta")
    stub = g.connect(token=token("alpha"))
    before = str(status("beta"))
    faults = []
    for what, call in {
            "hello": lambda: list(stub.ConnectSupervisor(iter([pb.SupervisorMessage(
                hello=pb.SupervisorHello(sandbox_id=b, instance_id="one"))]))),
            "exit": lambda: stub.ReportMainProcessExit(pb.ReportMainProcessExitRequest(
                sandbox_id=b, instance_id="one", exit_code=1)),
            "no id": lambda: stub.ReportMainProcessExit(pb.ReportMainProcessExitRequest(
                instance_id="one", exit_code=1)),
            "config": lambda: stub.GetSandboxConfig(sandbox_pb2.GetSandboxConfigRequest(sandbox_id=b)),
            "policy": lambda: stub.ReportPolicyStatus(pb.ReportPolicyStatusRequest(
                sandbox_id=b, version=1, status=2)),
            "environment": lambda: stub.GetSandboxProviderEnvironment(
                pb.GetSandboxProviderEnvironmentRequest(sandbox_id=b)),
            "logs": lambda: stub.PushSandboxLogs(iter([pb.PushSandboxLogsRequest(
                sandbox_id=b, logs=[{"message": "forged"}])])),
            "forward": lambda: list(stub.ForwardTcp(iter([pb.TcpForwardFrame(init=pb.TcpForwardInit(
                sandbox_id=b, tcp=pb.TcpRelayTarget(host="localhost", port=80)))]))),
            "ssh": lambda: stub.CreateSshSession(pb.CreateSshSessionRequest(sandbox_id=b)),
            "a token": lambda: cove(token("alpha")).CreateSupervisorToken(
                cove_pb2.CreateSupervisorTokenRequest(name="beta")),
            "delete": lambda: stub.DeleteSandbox(pb.DeleteSandboxRequest(name="beta"))}.items():
        code, said = code_of(call)
        if code not in ("PERMISSION_DENIED", "NOT_FOUND", "UNIMPLEMENTED"):
            faults.append((what, code, said))
    assert not faults, faults
    assert str(status("beta")) == before and t.status is None
    # A refusal of a channel by another is none.
    t.answers = False
    f = Forward(g, b, 80)
    t.until(lambda: t.opened)
    s.send(relay_open_result=pb.RelayOpenResult(channel_id=t.opened[-1].channel_id, success=False))
    s.send(relay_close=pb.RelayClose(channel_id=t.opened[-1].channel_id))
    time.sleep(0.5)
    kept = t.claim(t.opened[-1].channel_id, [pb.RelayFrame(data=b"mine")])
    assert f.take(4) == b"mine"
    kept.cancel()
    remove("alpha", "beta")


def over_tls_a_token_suffices():
    global g
    plain, g = g, gatewaylab.Gateway(config={"images": {"theirs": "external"}, "tokens": {"ttl_secs": 60}})
    try:
        box, s = start("tls")
        s.ports[80] = foreignlab.Echo().port
        f = Forward(g, box, 80)
        f.put(b"sealed")
        assert f.take(6) == b"sealed"
        left = s.stub.RefreshSandboxToken(pb.RefreshSandboxTokenRequest()).expires_at_ms / 1000 - time.time()
        assert 50 < left <= 60, left
        remove("tls")
    finally:
        g.close()
        g = plain


boxes, current = {}, {}


def session_of_web():
    """The one that the tests of connections share."""
    boxes["web"] = g.stub.GetSandbox(pb.GetSandboxRequest(name="web")).sandbox.metadata.id
    current["web"] = Supervisor(g, boxes["web"], token("web"), "instance-1")
    current["web"].accepted()


try:
    for t in (nothing_is_started_and_it_waits, tokens_are_for_administrators_and_for_such_sandboxes,
              b3_bad_hellos_are_refused, b3_a_sandbox_of_ours_takes_no_other_supervisor, a_session_makes_it_ready,
              what_it_polls_is_answered, c10_credentials_go_to_its_own_supervisor_only):
        check(t)
    session_of_web()
    for t in (bytes_go_both_ways_whole, the_end_of_one_side_reaches_the_other,
              a_slow_client_slows_the_server_inside, slow_clients_do_not_stop_others_of_the_same_supervisor,
              where_nobody_listens_is_said, a_service_has_its_host_name, ssh_goes_to_the_supervisors_own_server,
              a_connection_must_be_claimed_in_time_once_and_by_its_sandbox):
        check(t)
    remove("web")
    for t in (a_thousand_that_wait_are_bounded, a_newer_session_takes_the_place_of_the_older,
              a_lost_session_is_a_condition, a_gateway_that_comes_back_takes_it_again,
              the_commands_end_is_written_down_before_it_is_answered, stopped_and_deleted_it_has_no_session,
              b3_a_token_gets_nothing_of_another_sandbox, over_tls_a_token_suffices):
        check(t)
    assert g.stop() == 0
finally:
    g.close()
tap.done()
