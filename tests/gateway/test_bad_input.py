#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: whatever a caller sends, the answer is a right code and a sentence, the gateway lives on and
what it holds is as before.
Method: the requests are made from the descriptors.  For each rpc with one answer: the empty message;
each field, with the others good, oversized, with control characters, as a path, negative, out of
range, far too many; then callers without certificate, role or right.  What the gateway holds is
read before and after.  Streams are reset at each message, left unread, and opened by the thousand."""
import json
import os
import resource
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import look  # noqa: E402
import world  # noqa: E402
world.enter_user_namespace()  # so that the gateway can be looked into; before grpc is there with its threads
import gatewaylab  # noqa: E402
import oidclab  # noqa: E402
import rpclab  # noqa: E402
from gatewaylab import code_of, until  # noqa: E402
from google.protobuf.descriptor import FieldDescriptor as FD  # noqa: E402

tap = world.Tap()
pb, stubs = rpclab.openshell()
inference_pb2 = rpclab.module("inference_pb2")
options_pb2 = rpclab.module("options_pb2")
SERVICES = {"openshell": pb.DESCRIPTOR.services_by_name["OpenShell"],
            "inference": inference_pb2.DESCRIPTOR.services_by_name["Inference"]}

# What a caller's own mistake may be called; never INTERNAL or UNKNOWN.
GOOD_CODES = {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "PERMISSION_DENIED", "UNAUTHENTICATED", "ALREADY_EXISTS",
              "FAILED_PRECONDITION", "ABORTED", "UNIMPLEMENTED", "RESOURCE_EXHAUSTED"}
MESSAGE_BYTES_MAX = 2048  # of a refusal; it doesn't repeat what was sent
DEPTH_MAX = 6

STREAMS = {"ExecSandbox", "ForwardTcp", "ExecSandboxInteractive", "PushSandboxLogs", "ConnectSupervisor",
           "RelayStream", "WatchSandbox"}
OF_SANDBOXES = {"ReportPolicyStatus", "GetSandboxProviderEnvironment", "ReportMainProcessExit",
                "SubmitPolicyAnalysis", "IssueSandboxToken", "RefreshSandboxToken", "GetInferenceBundle"}
# No workspace's: who is known may ask.  Profiles without a workspace are the installation's.
FOR_ALL = {"GetCurrentUser", "GetGatewayConfig", "ListProviderProfiles", "GetProviderProfile",
           "LintProviderProfiles"}
# What takes any text of any kind in the wrong field is a fault of its own: refusals must tell which.
HOSTILE = {
    "64 KiB": "a" * 65536,
    "NUL": "a\0b",
    "control characters": "a\x1b[31m\x07\r\nb",
    "a path": "../../etc",
    "a slash": "a/b",
    "an option": "-rf",
    "not a letter": "\u202ea\u200b\ufeff",
}


def messages_of(g):
    return {"openshell": g.stub, "inference": rpclab.module("inference_pb2_grpc").InferenceStub(g.channel())}


def unary():
    for name, service in SERVICES.items():
        for m in service.methods:
            if m.name not in STREAMS:
                yield name, m


def new(descriptor):
    return rpclab.module(descriptor.file.name.replace(".proto", "_pb2")).__dict__[descriptor.name]()


def good(m, box):
    """A request that addresses what is there."""
    r = new(m.input_type)
    values = {"name": "one", "sandbox_name": "one", "sandbox": "one", "sandbox_id": box, "workspace": "",
              "provider_name": "prov", "provider": "prov", "service": "web", "target_port": 8080,
              "credential_key": "KEY", "id": "none", "chunk_id": "none", "principal_subject": "alice",
              "token": "none", "route_name": "inference.local", "model_id": "m"}
    if "Provider" in m.name and "Sandbox" not in m.name:
        values["name"] = "prov"
    if "Workspace" in m.name:
        values.update(name="nowhere", workspace="default")
    if m.name in ("DeleteSandbox", "StopSandbox", "DeleteProvider", "DeleteService", "CreateSandbox",
                  "ClearDraftChunks", "DeleteInferenceRoute"):
        values.update(name="absent", sandbox="absent", route_name="absent")
    if m.name in ("CreateWorkspace", "CreateSandbox", "SetInferenceRoute", "ExposeService", "AttachSandboxProvider",
                  "DetachSandboxProvider"):
        values.update(name="Not-Allowed", provider_name="absent", sandbox="absent")
    for f in m.input_type.fields:
        if f.label != FD.LABEL_REPEATED and not f.message_type and f.name in values:
            setattr(r, f.name, values[f.name])
    return r


def is_map(f):
    return f.message_type and f.message_type.GetOptions().map_entry


def hostile(descriptor, make, path=(), depth=0):
    """(path, what, message): one for each way to spoil one field.  make() gives a good message, and
    where in it the field's message is."""
    for f in descriptor.fields:
        where = path + (f.name,)

        def spoilt(change, what):
            whole, part = make()
            try:
                change(part)
            except (ValueError, TypeError):  # python itself refuses
                return []
            return [(where, what, whole)]

        repeated = f.label == FD.LABEL_REPEATED
        if is_map(f):
            key, value = f.message_type.fields_by_name["key"], f.message_type.fields_by_name["value"]
            if key.type != FD.TYPE_STRING or value.message_type:
                continue

            def put(part, k, v, f=f):
                getattr(part, f.name)[k] = v

            v = "v" if value.type == FD.TYPE_STRING else 1
            for what, text in HOSTILE.items():
                yield from spoilt(lambda p, t=text: put(p, t, v), "a key: " + what)
                if value.type == FD.TYPE_STRING:
                    yield from spoilt(lambda p, t=text: put(p, "KEY", t), "a value: " + what)
            yield from spoilt(lambda p: [put(p, "k%d" % i, v) for i in range(20000)], "20000 entries")
        elif f.type == FD.TYPE_STRING:
            for what, text in HOSTILE.items():
                if repeated:
                    yield from spoilt(lambda p, t=text: getattr(p, f.name).append(t), what)
                else:
                    yield from spoilt(lambda p, t=text: setattr(p, f.name, t), what)
            if repeated:
                yield from spoilt(lambda p: getattr(p, f.name).extend(["x"] * 50000), "50000 of them")
        elif f.type == FD.TYPE_BYTES and not repeated:
            yield from spoilt(lambda p: setattr(p, f.name, b"\xff" * 65536), "64 KiB")
        elif f.message_type and depth < DEPTH_MAX:
            if f.message_type.full_name.startswith("google.protobuf") or (
                    descriptor.full_name == f.message_type.full_name):
                continue

            def inner(f=f, repeated=repeated):
                whole, part = make()
                if repeated:
                    return whole, getattr(part, f.name).add()
                getattr(part, f.name).SetInParent()
                return whole, getattr(part, f.name)

            yield where, "empty", inner()[0]
            if repeated:
                def many(p, f=f):
                    for _ in range(20000):
                        getattr(p, f.name).add()
                yield from spoilt(many, "20000 of them")
            yield from hostile(f.message_type, inner, where, depth + 1)
        elif not repeated and f.type == FD.TYPE_ENUM:
            for v in (9999, -1):
                yield from spoilt(lambda p, v=v: setattr(p, f.name, v), "%d" % v)
        elif not repeated and f.type in (FD.TYPE_INT64, FD.TYPE_INT32):
            top = 63 if f.type == FD.TYPE_INT64 else 31
            for v in (-1, -(1 << top), (1 << top) - 1):
                yield from spoilt(lambda p, v=v: setattr(p, f.name, v), "%d" % v)
        elif not repeated and f.type in (FD.TYPE_UINT64, FD.TYPE_UINT32):
            top = 64 if f.type == FD.TYPE_UINT64 else 32
            yield from spoilt(lambda p: setattr(p, f.name, (1 << top) - 1), "the largest")


def holdings(g):
    """All that can be listed, as text."""
    inf = rpclab.module("inference_pb2_grpc").InferenceStub(g.channel())
    s = g.stub
    calls = [lambda: s.ListSandboxes(pb.ListSandboxesRequest(all_workspaces=True, limit=1000)),
             lambda: s.ListProviders(pb.ListProvidersRequest(all_workspaces=True, limit=1000)),
             lambda: s.ListProviderProfiles(pb.ListProviderProfilesRequest(limit=1000)),
             lambda: s.ListWorkspaces(pb.ListWorkspacesRequest(limit=1000)),
             lambda: s.ListWorkspaceMembers(pb.ListWorkspaceMembersRequest(workspace="default")),
             lambda: s.ListServices(pb.ListServicesRequest(all_workspaces=True)),
             lambda: s.ListSandboxProviders(pb.ListSandboxProvidersRequest(sandbox_name="one")),
             lambda: s.ListSandboxPolicies(pb.ListSandboxPoliciesRequest(name="one")),
             lambda: s.ListSandboxPolicies(pb.ListSandboxPoliciesRequest(**{"global": True})),
             lambda: s.GetDraftPolicy(pb.GetDraftPolicyRequest(name="one")),
             lambda: s.GetGatewayConfig(rpclab.module("sandbox_pb2").GetGatewayConfigRequest()),
             lambda: inf.GetInferenceRoute(inference_pb2.GetInferenceRouteRequest())]
    return [str(code_of(c)) for c in calls]


def printable(text):
    return all(c.isprintable() or c == "\n" for c in text)


def names_a_field(m, where, said):
    """The one that was spoilt, or another that is judged before it."""
    words = list(where) + [f.name for f in m.input_type.fields] + ["merge operation", "bytes of a message"]
    return any(w in said or w.replace("_", " ") in said or w.rstrip("s") in said for w in words)


def judge(m, where, what, call, faults):
    """One call; what it was answered."""
    code, said = code_of(call)
    label = "%s %s: %s -> %s" % (m.name, ".".join(where), what, code)
    if code not in GOOD_CODES:
        faults.append("%s %r" % (label, said))
    elif code != "OK":
        if not said or len(said) > MESSAGE_BYTES_MAX:
            faults.append("%s: a sentence of %d bytes" % (label, len(said or "")))
        elif not printable(said):
            faults.append("%s: raw characters in %r" % (label, said))
        elif code == "INVALID_ARGUMENT" and where and not names_a_field(m, where, said):
            faults.append("%s: names no field: %r" % (label, said[:200]))
    return code, said


def setup(g):
    g.stub.CreateProvider(pb.CreateProviderRequest(provider={
        "metadata": {"name": "prov"}, "type": "generic", "credentials": {"KEY": "secret"}}))
    box = g.stub.CreateSandbox(pb.CreateSandboxRequest(name="one", spec={"command": ["sleep", "100000"]})).sandbox
    end = time.monotonic() + 30
    while time.monotonic() < end and g.stub.GetSandbox(
            pb.GetSandboxRequest(name="one")).sandbox.status.phase != 2:
        time.sleep(0.02)
    return box.metadata.id


def sweep(g, box, chosen):
    for service, m in unary():
        if chosen and m.name not in chosen:
            continue
        call = getattr(messages[service], m.name)
        faults = []
        before = holdings(g)

        def made(m=m):
            r = good(m, box)
            return r, r

        judge(m, (), "empty", lambda: call(new(m.input_type), timeout=20), faults)
        count, bounded, was_taken = 1, [], False
        for where, what, request in hostile(m.input_type, made):
            if request.ByteSize() > (1 << 20) - 64:
                continue
            code, said = judge(m, where, what, lambda: call(request, timeout=20), faults)
            count += 1
            # What no list would hold, nothing may take, unless it only was compared with what is there.
            is_host = where[-1] == "host" and what == "an option"  # odd, but names have it
            was_taken = was_taken or code == "OK"
            if code == "OK" and what != "empty" and not is_host and not (
                    m.name == "ImportProviderProfiles" and not said.imported) and m.name.startswith(("Create", "Set", "Add", "Expose", "Update", "Configure",
                                       "Import")):
                bounded.append("%s %s: %s was taken" % (m.name, ".".join(where), what))
            if g.process.poll() is not None:
                tap.ok(False, "%s: the gateway lives" % m.name, "%s %s\n%s" % (where, what, "\n".join(g.lines[-30:])))
                g.start()
                return
        after = holdings(g)
        faults += bounded
        for b, a in zip(before, after):
            if b != a and not was_taken:
                faults.append("what is held has changed: %s\n to %s" % (b[:1500], a[:1500]))
        tap.ok(not faults, "%s: %d bad requests" % (m.name, count), "\n".join(faults))


# ---- who calls ----

def nobody_gets_anything():
    """TLS without a certificate; a token that isn't one; a sandbox's; a user's without a role."""
    issuer = oidclab.Issuer()
    with gatewaylab.Gateway(config={"oidc": {"issuer": issuer.url}}) as g:
        root = g.connect(token=issuer.token("root", roles=["openshell-admin"]))
        until(lambda: code_of(lambda: root.GetCurrentUser(pb.GetCurrentUserRequest()))[0] == "OK")
        box = root.CreateSandbox(pb.CreateSandboxRequest(name="one", spec={"command": ["sleep", "1000"]})).sandbox
        name = json.loads(g.get("/.well-known/openid-configuration")[1])["issuer"]
        key = object.__new__(oidclab.Key)
        key.alg, key.path = "EdDSA", os.path.join(g.state, "tls/jwt/signing.pem")
        with open(os.path.join(g.state, "tls/jwt/kid"), encoding="ascii") as f:
            key.kid = f.read()
        body = {"sub": "spiffe://openshell/sandbox/" + box.metadata.id, "iss": name, "aud": name,
                "iat": int(time.time()), "exp": 0, "sandbox_id": box.metadata.id}
        signed = ".".join(oidclab.b64(json.dumps(x).encode()) for x in ({"alg": "EdDSA", "kid": key.kid}, body))
        token = signed + "." + oidclab.b64(key.sign(signed.encode()))
        callers = {
            "no certificate": (dict(certificate=False), {"UNAUTHENTICATED"}),
            "no token": (dict(certificate=False, token="x"), {"UNAUTHENTICATED"}),
            "a sandbox": (dict(certificate=False, token=token), {"PERMISSION_DENIED"}),
            "no role": (dict(certificate=False, token=issuer.token("eve", roles=["else"])), {"PERMISSION_DENIED"}),
            "no member": (dict(certificate=False, token=issuer.token("mallory")), {"PERMISSION_DENIED", "NOT_FOUND", "INVALID_ARGUMENT"}),
        }
        for who, (how, codes) in callers.items():
            channel = g.channel(**how)
            faults = []
            for service, m in unary():
                if m.name == "Health":
                    continue
                rule = m.GetOptions().Extensions[options_pb2.authorization]
                if rule.auth_mode == "unauthenticated":
                    continue
                stub = (stubs.OpenShellStub if service == "openshell" else
                        rpclab.module("inference_pb2_grpc").InferenceStub)(channel)
                if who == "a sandbox" and m.name in OF_SANDBOXES | {"UpdateConfig", "GetSandboxConfig",
                                                                  "GetDraftPolicy"}:
                    continue
                code, said = code_of(lambda: getattr(stub, m.name)(good(m, box.metadata.id), timeout=20))
                is_nothing = m.name == "RevokeSshSession" and code == "OK" and not said.revoked
                if who == "no member" and (m.name in FOR_ALL or code == "UNIMPLEMENTED" or is_nothing):
                    continue
                ok = codes
                if who == "no member" and m.name == "ListWorkspaces" and code == "OK":
                    if said.workspaces:
                        faults.append("sees workspaces: %s" % said)
                    continue
                if code not in ok:
                    faults.append("%s: %s %r" % (m.name, code, said))
            tap.ok(not faults, "t_%s gets nothing" % who, "\n".join(faults))
            faults = []
            stub = stubs.OpenShellStub(channel)
            for method, first, streams in (
                    ("ExecSandbox", pb.ExecSandboxRequest(sandbox_id=box.metadata.id, command=["id"]), False),
                    ("WatchSandbox", pb.WatchSandboxRequest(id=box.metadata.id), False),
                    ("ExecSandboxInteractive", pb.ExecSandboxInput(start=dict(
                        sandbox_id=box.metadata.id, command=["id"])), True),
                    ("ForwardTcp", pb.TcpForwardFrame(init=dict(
                        sandbox_id=box.metadata.id, tcp=dict(host="127.0.0.1", port=22))), True)):
                code, said = code_of(lambda: list(getattr(stub, method)(
                    iter([first]) if streams else first, timeout=20)))
                if code not in codes:
                    faults.append("%s: %s %r" % (method, code, said))
            tap.ok(not faults, "t_%s gets no stream" % who, "\n".join(faults))
    issuer.close()


# ---- streams ----

def threads_of(g):
    return len(os.listdir("/proc/%d/task" % g.process.pid))


def fds_of(g):
    return look.descriptor_count(g.process.pid)


def memory_of(g):
    with open("/proc/%d/statm" % g.process.pid, encoding="ascii") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def streams_reset_at_each_message():
    """Each client stream with 0, 1, 2, 3 good messages, then a reset; each server stream after as many."""
    fds = fds_of(g)
    for n in range(4):
        for _ in range(5):
            def words(n=n):
                go = threading.Event()
                first = pb.ExecSandboxInput(start=dict(sandbox_id=box, command=["cat"]))
                for i in range(n):
                    yield first if i == 0 else pb.ExecSandboxInput(stdin=b"x\n")
                go.wait(0.5)
            s = g.stub.ExecSandboxInteractive(words())
            for _ in range(max(0, n - 1)):
                next(s)
            s.cancel()

            def frames(n=n):
                for i in range(n):
                    yield (pb.TcpForwardFrame(init=dict(sandbox_id=box, tcp=dict(host="127.0.0.1", port=1)))
                           if i == 0 else pb.TcpForwardFrame(data=b"x"))
                time.sleep(0.1)
            f = g.stub.ForwardTcp(frames())
            f.cancel()
            w = g.stub.WatchSandbox(pb.WatchSandboxRequest(id=box, follow_status=True, follow_logs=True))
            for _ in range(min(n, 1)):
                next(w)
            w.cancel()
            e = g.stub.ExecSandbox(pb.ExecSandboxRequest(
                sandbox_id=box, command=["sh", "-c", "while echo y; do sleep 0.01; done"]))
            for _ in range(n):
                next(e)
            e.cancel()
    assert g.process.poll() is None, g.lines[-10:]
    assert until(lambda: fds_of(g) <= fds + 2), (fds, fds_of(g))

    def left():
        return int(b"".join(e.stdout.data for e in g.stub.ExecSandbox(pb.ExecSandboxRequest(
            sandbox_id=box, command=["pgrep", "-c", "cat|sleep"]), timeout=20)))
    until(lambda: left() <= 1, why=left)


def wrong_first_messages():
    for method, messages in (
            ("ExecSandboxInteractive", [pb.ExecSandboxInput()]),
            ("ExecSandboxInteractive", [pb.ExecSandboxInput(resize=dict(cols=1, rows=1))]),
            ("ExecSandboxInteractive", [pb.ExecSandboxInput(start=dict(sandbox_id=box, command=["cat"]))] * 2),
            ("ExecSandboxInteractive", []),
            ("ForwardTcp", [pb.TcpForwardFrame(data=b"x")]), ("ForwardTcp", [pb.TcpForwardFrame()]),
            ("ForwardTcp", [pb.TcpForwardFrame(init={})]), ("ForwardTcp", [])):
        code, said = code_of(lambda: list(getattr(g.stub, method)(iter(messages), timeout=20)))
        assert code in ("INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION"), (method, messages, code, said)


def unread_streams_cost_little():
    before = memory_of(g)
    unread = [g.stub.WatchSandbox(pb.WatchSandboxRequest(id=box, follow_status=True, follow_logs=True,
                                                         follow_events=True)) for _ in range(50)]
    runs = [g.stub.ExecSandbox(pb.ExecSandboxRequest(sandbox_id=box, command=["sh", "-c", "yes"]))
            for _ in range(10)]
    time.sleep(3)
    grown = memory_of(g) - before
    assert code_of(lambda: g.stub.GetSandbox(pb.GetSandboxRequest(name="one"), timeout=20))[0] == "OK"
    for s in unread + runs:
        s.cancel()
    assert grown < 64 << 20, grown


def junk_instead_of_messages():
    """Bytes that are no message, frames whose length lies, a compressed one, another content type."""
    channel = g.channel()
    for method in ("CreateSandbox", "UpdateConfig", "CreateProvider", "ListSandboxes"):
        call = channel.unary_unary("/openshell.v1.OpenShell/" + method)
        for junk in (b"\xff" * 100, b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x05abc", b"\x07", b"\x80" * 20,
                     b"\x0a\x02\xc3\x28" * 3, b"\x0b" * 30000):
            code, said = code_of(lambda: call(junk, timeout=20))
            assert code == "INVALID_ARGUMENT" and printable(said), (method, junk[:20], code, said)
    code, said = code_of(lambda: channel.unary_unary("/openshell.v1.OpenShell/CreateSandbox")(
        b"\x00" * ((1 << 20) + 1), timeout=20))
    assert code in ("OUT_OF_RANGE", "RESOURCE_EXHAUSTED"), (code, said)
    for path in ("/openshell.v1.OpenShell/Nothing", "/x", "/openshell.v1.OpenShell/../x", "/" + "a" * 5000):
        code, said = code_of(lambda: channel.unary_unary(path)(b"", timeout=20))
        assert code == "UNIMPLEMENTED" and printable(said) and len(said) < 1000, (path, code, said)


def two_thousand_connections():
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    before = memory_of(g)
    mine = []
    refused = 0
    try:
        for i in range(2000):
            s = socket.socket()
            s.settimeout(20)
            try:
                s.connect(("127.0.0.1", g.port))
                if i % 2:
                    s.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
                mine.append(s)
            except OSError:
                refused += 1
        begun = time.monotonic()
        code, said = code_of(lambda: g.stub.GetSandbox(pb.GetSandboxRequest(name="one"), timeout=20))
        assert code == "OK", (code, said, len(mine), refused)
        assert time.monotonic() - begun < 15
        assert memory_of(g) - before < 256 << 20, memory_of(g) - before
    finally:
        for s in mine:
            s.close()
    assert until(lambda: fds_of(g) < 60), fds_of(g)
    assert code_of(lambda: g.connect().GetSandbox(pb.GetSandboxRequest(name="one"), timeout=10))[0] == "OK"


def pages_have_limits():
    for kw in (dict(limit=0xffffffff), dict(offset=0xffffffff), dict(limit=0xffffffff, offset=0xffffffff)):
        r = g.stub.ListSandboxes(pb.ListSandboxesRequest(**kw))
        assert bool(r.sandboxes) == ("offset" not in kw)


chosen = sys.argv[1:]
checks = [streams_reset_at_each_message, wrong_first_messages, unread_streams_cost_little,
          junk_instead_of_messages, pages_have_limits, two_thousand_connections]
g = gatewaylab.Gateway(tls=False)
try:
    box = setup(g)
    messages = messages_of(g)
    sweep(g, box, chosen)
    for f in checks:
        if not chosen or f.__name__ in chosen:
            tap.check(f.__name__.replace("_", " "), f)
    tap.ok(g.stop() == 0, "and it ends well", "\n".join(g.lines[-20:]))
finally:
    g.close()
if not chosen or "callers" in chosen:
    nobody_gets_anything()
tap.done()
