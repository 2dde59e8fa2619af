#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""gRPC through the proxy: Python's own library on both ends, and Node's as a client where it is.

Goal: unary calls and streams of every kind, trailers, statuses, deadlines and cancellation are
what they are without a proxy; rules match method paths; a denial is a status that clients show.
"""
import json
import os
import shutil
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import h2lab  # noqa: E402  (first: it may start another Python)
import proxylab  # noqa: E402
import world  # noqa: E402
from proxylab import Lab  # noqa: E402

os.environ.setdefault("GRPC_VERBOSITY", "NONE")

POLICY = """
version: 1
network_policies:
  grpc:
    endpoints:
      - host: grpc.test
        ports: [443, 444]
        protocol: rest
        enforcement: enforce
        rules:
          - allow: {method: POST, path: "/echo.Echo/*"}
          - allow: {method: POST, path: "/greet.Greeter/Hello"}
      - {host: clear.test, port: 50051, protocol: rest, enforcement: enforce, access: full, h2c: true}
    binaries: [{path: /usr/bin/curl}]
"""
P = world.PUBLIC
w = world.World(["grpc.test"])  # before grpc is there: its threads stay in the old network
proxylab.add_local("10.200.0.0", 24)
lab = Lab(w, POLICY, pins=[("grpc.test", 443, P), ("grpc.test", 444, P), ("clear.test", 50051, P)])
tap = world.Tap()
try:
    import grpc  # noqa: E402
except ImportError:
    tap.skip("gRPC", "python3-grpcio is not installed")
    tap.done()
from concurrent import futures  # noqa: E402

cancelled, calls = threading.Event(), []


def hello(request, context):
    calls.append("hello")
    meta = dict(context.invocation_metadata())
    context.set_trailing_metadata((("x-sum", "1"), ("x-data-bin", b"\0\xff")))
    context.send_initial_metadata((("x-first", meta.get("x-asked", "none")),))
    return b"hello " + request


def collect(requests, context):
    return b"|".join(requests)


def count(request, context):
    for i in range(int(request)):
        yield b"%d" % i


def echo(requests, context):
    for r in requests:
        yield r


def hang(request, context):
    calls.append("hang")
    context.add_callback(cancelled.set)
    cancelled.clear()
    while context.is_active():
        time.sleep(0.02)
    return b""


def fail(request, context):
    context.abort(grpc.StatusCode(tuple(s.value for s in grpc.StatusCode if s.value[0] == int(request))[0]),
                  "status %s: ünïcode, 100%%" % request.decode())


def some_then_fail(request, context):
    yield b"one"
    context.abort(grpc.StatusCode.DATA_LOSS, "lost")


def early(requests, context):
    """Answers after the first message, with the rest still to come."""
    next(requests)
    return b"enough"


def big(request, context):
    return b"x" * int(request)


H = grpc
handlers = [
    grpc.method_handlers_generic_handler("greet.Greeter", {
        "Hello": grpc.unary_unary_rpc_method_handler(hello),
        "Secret": grpc.unary_unary_rpc_method_handler(hello)}),
    grpc.method_handlers_generic_handler("echo.Echo", {
        "Collect": grpc.stream_unary_rpc_method_handler(collect),
        "Count": grpc.unary_stream_rpc_method_handler(count),
        "Echo": grpc.stream_stream_rpc_method_handler(echo),
        "Hang": grpc.unary_unary_rpc_method_handler(hang),
        "Fail": grpc.unary_unary_rpc_method_handler(fail),
        "SomeThenFail": grpc.unary_stream_rpc_method_handler(some_then_fail),
        "Early": grpc.stream_unary_rpc_method_handler(early),
        "Big": grpc.unary_unary_rpc_method_handler(big)}),
]


def serve(address, secure):
    server = grpc.server(futures.ThreadPoolExecutor(24), handlers=handlers,
                         options=[("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0)])
    if secure:
        with open(w.pki.key, "rb") as k, open(w.pki.cert, "rb") as c:
            creds = grpc.ssl_server_credentials([(k.read(), c.read())])
        assert server.add_secure_port(address, creds)
    else:
        assert server.add_insecure_port(address)
    server.start()
    return server


server = serve(f"{P}:443", True)
clear_server = serve(f"{P}:50051", False)
OPTIONS = [("grpc.ssl_target_name_override", "grpc.test"), ("grpc.default_authority", "grpc.test"),
           ("grpc.max_receive_message_length", -1), ("grpc.enable_http_proxy", 0),
           ("grpc.use_local_subchannel_pool", 1)]
bridge = h2lab.Bridge(lab, connect=("grpc.test", 443))


def channel():
    with open(lab.ca, "rb") as f:
        return grpc.secure_channel(f"127.0.0.1:{bridge.port}", grpc.ssl_channel_credentials(f.read()), OPTIONS)


ch = channel()


def code_of(call):
    try:
        call()
    except grpc.RpcError as e:
        return e.code(), e.details()
    raise AssertionError("the call succeeded")


def unary():
    call = ch.unary_unary("/greet.Greeter/Hello")
    answer, info = call.with_call(b"you", metadata=(("x-asked", "yes"), ("x-b-bin", b"\1\2")), timeout=20)
    assert answer == b"hello you"
    assert dict(info.initial_metadata())["x-first"] == "yes"
    t = dict(info.trailing_metadata())
    assert t["x-sum"] == "1" and t["x-data-bin"] == b"\0\xff", t
    for i in range(200):
        assert call(b"%d" % i, timeout=20) == b"hello %d" % i


def client_streaming():
    assert ch.stream_unary("/echo.Echo/Collect")((b"%d" % i for i in range(50)), timeout=20) == \
        b"|".join(b"%d" % i for i in range(50))


def server_streaming():
    assert list(ch.unary_stream("/echo.Echo/Count")(b"500", timeout=20)) == [b"%d" % i for i in range(500)]


def bidi():
    """Each message comes back before the next is sent."""
    ready, done = threading.Semaphore(1), []

    def ask():
        for i in range(20):
            ready.acquire()
            yield b"m%d" % i
    for r in ch.stream_stream("/echo.Echo/Echo")(ask(), timeout=10):
        done.append(r)
        ready.release()
    assert done == [b"m%d" % i for i in range(20)], done


def many():
    call = ch.unary_unary("/greet.Greeter/Hello")
    got = [call.future(b"%d" % i, timeout=10) for i in range(300)]
    assert [g.result() for g in got] == [b"hello %d" % i for i in range(300)]


def large():
    n = 8 << 20
    assert len(ch.unary_unary("/echo.Echo/Big")(b"%d" % n, timeout=20)) == n
    assert len(ch.stream_unary("/echo.Echo/Collect")(iter([b"y" * (4 << 20)] * 2), timeout=20)) == n + 1


def statuses():
    call = ch.unary_unary("/echo.Echo/Fail")
    for s in grpc.StatusCode:
        if s.value[0] == 0:
            continue
        code, details = code_of(lambda s=s: call(b"%d" % s.value[0], timeout=20))
        assert code == s and details == f"status {s.value[0]}: ünïcode, 100%", (code, details)


def some_then_failure():
    stream = ch.unary_stream("/echo.Echo/SomeThenFail")(b"", timeout=20)
    assert next(stream) == b"one"
    code, details = code_of(lambda: next(stream))
    assert (code, details) == (grpc.StatusCode.DATA_LOSS, "lost")


def unimplemented():
    assert code_of(lambda: ch.unary_unary("/echo.Echo/Nothing")(b"", timeout=20))[0] == grpc.StatusCode.UNIMPLEMENTED


def deadline():
    began = time.monotonic()
    code, _ = code_of(lambda: ch.unary_unary("/echo.Echo/Hang")(b"", timeout=0.5))
    assert code == grpc.StatusCode.DEADLINE_EXCEEDED and time.monotonic() - began < 10
    assert cancelled.wait(20), "the server did not hear of it"


def cancellation():
    n = calls.count("hang")
    f = ch.unary_unary("/echo.Echo/Hang").future(b"", timeout=10)
    while calls.count("hang") == n:
        time.sleep(0.02)
    time.sleep(0.1)
    f.cancel()
    assert cancelled.wait(20), "the server did not hear of it"
    assert ch.unary_unary("/greet.Greeter/Hello")(b"x", timeout=20) == b"hello x"


def early_answer():
    stop = threading.Event()

    def ask():
        yield b"first"
        stop.wait(30)
    began = time.monotonic()
    assert ch.stream_unary("/echo.Echo/Early")(ask(), timeout=25) == b"enough"
    assert time.monotonic() - began < 15
    stop.set()


def denied():
    n = len(calls)
    code, details = code_of(lambda: ch.unary_unary("/greet.Greeter/Secret")(b"", timeout=20))
    assert code == grpc.StatusCode.PERMISSION_DENIED, (code, details)
    assert details == "policy_denied: POST /greet.Greeter/Secret not permitted by policy", details
    assert len(calls) == n
    assert [e for e in lab.events() if e.get("action") == "Denied"]


def unreachable():
    b = h2lab.Bridge(lab, connect=("grpc.test", 444))
    s = world.socket.create_server((P, 444))

    def drop():
        while True:
            s.accept()[0].close()
    threading.Thread(target=drop, daemon=True).start()
    with open(lab.ca, "rb") as f:
        c = grpc.secure_channel(f"127.0.0.1:{b.port}", grpc.ssl_channel_credentials(f.read()),
                                [("grpc.default_authority", "grpc.test:444"), *OPTIONS[:1], *OPTIONS[2:]])
    code, details = code_of(lambda: c.unary_unary("/greet.Greeter/Hello")(b"", timeout=20))
    assert code == grpc.StatusCode.UNAVAILABLE and "upstream_tls_failed" in details, (code, details)


def in_clear():
    b = h2lab.Bridge(lab, connect=("clear.test", 50051))
    c = grpc.insecure_channel(f"127.0.0.1:{b.port}", [("grpc.default_authority", "clear.test:50051"), *OPTIONS[2:]])
    assert c.unary_unary("/greet.Greeter/Hello")(b"you", timeout=20) == b"hello you"


def server_goes():
    """The server stops gracefully and comes back: the channel lives on."""
    global server
    f = ch.unary_unary("/greet.Greeter/Hello")
    assert f(b"a", timeout=20) == b"hello a"
    server.stop(1).wait()
    server = serve(f"{P}:443", True)
    assert f(b"b", timeout=20, wait_for_ready=True) == b"hello b"


NODE = """
const grpc = require('@grpc/grpc-js'), fs = require('fs');
const [port, ca] = process.argv.slice(1);
const raw = x => x;
const m = (path, rq, rs) => ({ path, requestStream: rq, responseStream: rs, requestSerialize: raw,
  requestDeserialize: raw, responseSerialize: raw, responseDeserialize: raw });
const C = grpc.makeGenericClientConstructor({ Hello: m('/greet.Greeter/Hello', false, false),
  Secret: m('/greet.Greeter/Secret', false, false), Echo: m('/echo.Echo/Echo', true, true) }, 'x');
const c = new C('127.0.0.1:' + port, grpc.credentials.createSsl(fs.readFileSync(ca)),
  { 'grpc.ssl_target_name_override': 'grpc.test', 'grpc.default_authority': 'grpc.test' });
c.Hello(Buffer.from('node'), (e, r) => {
  c.Secret(Buffer.from(''), (e2) => {
    const s = c.Echo(), got = [];
    s.on('data', d => got.push(d.toString()));
    s.on('end', () => { console.log(JSON.stringify([r.toString(), e2.code, got])); c.close(); });
    s.write(Buffer.from('a')); s.write(Buffer.from('b')); s.end();
  });
});
"""


def node():
    r = h2lab.run("node", "-e", NODE, str(bridge.port), lab.ca)
    assert json.loads(r.stdout) == ["hello node", 7, ["a", "b"]], r


for name, check in (
        ("unary, with metadata both ways", unary), ("client streaming", client_streaming),
        ("server streaming", server_streaming), ("bidirectional, in turns", bidi),
        ("300 calls at a time", many), ("messages of 8 MiB", large), ("every status", statuses),
        ("messages, then a failure", some_then_failure), ("an unknown method", unimplemented),
        ("a deadline", deadline), ("cancellation", cancellation),
        ("an answer before the stream's end", early_answer),
        ("a denied method: PERMISSION_DENIED, and the server hears nothing", denied),
        ("an upstream that fails: UNAVAILABLE", unreachable),
        ("t9 h2c where the endpoint says so", in_clear),
        ("a server that stops and comes back", server_goes)):
    tap.check(name, check)
has_js = shutil.which("node") and subprocess.run(["node", "-e", "require('@grpc/grpc-js')"],
                                                 capture_output=True, check=False).returncode == 0
if has_js:
    tap.check("@grpc/grpc-js as a client", node)
else:
    tap.skip("@grpc/grpc-js as a client", "not installed: tools/node-clients installs it; ./test says where it is")
ch.close()
server.stop(None)
clear_server.stop(None)
tap.check("a clean end", lambda: lab.close() == 0 or (_ for _ in ()).throw(AssertionError(lab.stderr())))
w.close()
tap.done()
