#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# alone: thousands of handshakes are to be there at once, before the first of them is too old
"""Goal: 10,000 connections cost a bounded amount and keep nobody out; a stream that is cut leaves nothing.
Method: connections of every unfinished kind (silent, in the middle of TLS, idle in HTTP/2, heads that
come by the byte) to a gateway with room for them, and to one with 400 descriptors; then each streaming
rpc cut at each point, by RST_STREAM and by the connection's own reset."""
import concurrent.futures
import os
import resource
import selectors
import socket
import ssl
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import h2lab  # noqa: E402  (first: it may start another Python)
import look  # noqa: E402
import world  # noqa: E402
world.enter_user_namespace()  # so that the gateway can be looked into; before grpc is there with its threads
import gatewaylab  # noqa: E402
import rpclab  # noqa: E402
from gatewaylab import code_of, until  # noqa: E402
from h2lab import DATA, END_HEADERS, END_STREAM, HEADERS, RST, SETTINGS, block, frame  # noqa: E402

pb, _ = rpclab.openshell()
tap = world.Tap()
READY = 2
starting = threading.Lock()  # one starts another program
HELLO = h2lab.PREFACE + frame(SETTINGS)


def gateway(**kw):
    with starting:
        return gatewaylab.Gateway(**kw)


def fds_of(g):
    return look.descriptor_count(g.process.pid)


def memory_of(g):
    with open(f"/proc/{g.process.pid}/statm", encoding="ascii") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def make(g, name):
    box = g.stub.CreateSandbox(pb.CreateSandboxRequest(name=name, spec={"command": ["sleep", "100000"]})).sandbox
    until(lambda: g.stub.GetSandbox(pb.GetSandboxRequest(name=name)).sandbox.status.phase == READY)
    return box.metadata.id


def fresh(g):
    """A client with a connection of its own."""
    return g.stubs.OpenShellStub(g.channel(options=[("grpc.use_local_subchannel_pool", 1)]))


def run(stub, box, *command):
    return b"".join(e.stdout.data for e in stub.ExecSandbox(pb.ExecSandboxRequest(
        sandbox_id=box, command=command), timeout=20))


# ---- crowds ----

SILENT, HALF, IDLE, SLOW = 6000, 3000, 600, 400
KIB_EACH = 80  # of TLS in the middle of a handshake: the library's buffers and keys


def client_hello(g):
    """The first bytes of a handshake, the same for all."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context(cafile=os.path.join(g.client, "ca.crt"))
    context.set_alpn_protocols(["h2"])
    tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


class Crowd:
    """Sockets that stay open; those that the server closes are counted."""

    def __init__(self, port):
        self.port, self.socks = port, []

    def add(self, count, first=b""):
        for _ in range(count):
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex(("127.0.0.1", self.port))
            self.socks.append(s)
            if first:
                select_write(s)
                try:
                    s.send(first)
                except OSError:
                    pass

    def tls(self, g, count, first):
        """Whole handshakes, several at a time; a session is used again as clients do."""
        context = ssl.create_default_context(cafile=os.path.join(g.client, "ca.crt"))
        context.set_alpn_protocols(["h2"])
        for _ in range(count):
            try:
                s = context.wrap_socket(socket.create_connection(("127.0.0.1", self.port), 10),
                                        server_hostname="localhost")
                s.sendall(first)
                self.socks.append(s)
            except OSError:
                pass

    def close(self):
        for s in self.socks:
            s.close()
        self.socks = []


def select_write(s):
    with selectors.DefaultSelector() as sel:
        sel.register(s, selectors.EVENT_WRITE)
        sel.select(5)


class Client:
    """Somebody who was there before: how long each of his calls takes meanwhile."""

    def __init__(self, g, box):
        self.took, self.faults, self.is_over = [], [], False
        self.g, self.box, self.stub = g, box, fresh(g)
        self.stub.GetSandbox(pb.GetSandboxRequest(name="one"))
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.is_over:
            begun = time.monotonic()
            code, said = code_of(lambda: run(self.stub, self.box, "echo", "x"))
            self.took.append(time.monotonic() - begun)
            if code != "OK" or said != b"x\n":
                self.faults.append((code, said))
            time.sleep(0.1)

    def end(self):
        self.is_over = True
        self.thread.join(30)
        assert self.took and not self.faults, self.faults[:3]
        return max(self.took)


def ten_thousand_connections():
    wanted = SILENT + HALF + IDLE + SLOW
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < wanted * 3 // 2:
        raise look.Unavailable("unavailable: descriptors for %d connections" % wanted)
    with gateway() as g:
        box = make(g, "one")
        hello = client_hello(g)
        client = Client(g, box)
        time.sleep(0.5)
        fds, before = fds_of(g), memory_of(g)
        crowd = Crowd(g.port)
        try:
            begun = time.monotonic()
            crowd.tls(g, IDLE // 2, HELLO)
            crowd.tls(g, IDLE // 2, HELLO + frame(HEADERS, END_HEADERS | END_STREAM, 1, block(
                [(":method", "GET"), (":scheme", "https"), (":authority", "a"), (":path", "/healthz")])))
            crowd.tls(g, SLOW, HELLO + frame(HEADERS, 0, 1, block([(":method", "GET")])))
            middle = time.monotonic()
            crowd.add(HALF, hello)
            crowd.add(SILENT)
            peak, most = fds_of(g), memory_of(g)
            until(lambda: fds_of(g) - fds > 0.85 * wanted or time.monotonic() - middle > 9, 10)
            peak, most = max(peak, fds_of(g)), max(most, memory_of(g))
            each = (most - before) / 1024 / max(peak - fds, 1)
            print("#   %d at once, %.0f KiB each, made in %.1f and %.1f s" % (
                peak - fds, each, middle - begun, time.monotonic() - middle))
            assert peak - fds > 0.6 * wanted, (peak, fds)
            assert each < KIB_EACH, each
            newcomer = time.monotonic()
            assert code_of(lambda: fresh(g).GetSandbox(pb.GetSandboxRequest(name="one"), timeout=15))[0] == "OK"
            print("#   a new client's call takes %.2f s, one before its longest %.2f s" % (
                time.monotonic() - newcomer, client.end()))
            # Who does not go on is not waited for: silent ones and half handshakes go by themselves.
            until(lambda: fds_of(g) - fds < IDLE + SLOW + 50, 15, lambda: fds_of(g) - fds)
        finally:
            crowd.close()
            client.is_over = True
        until(lambda: fds_of(g) <= fds + 3, 30, lambda: (fds, fds_of(g)))
        assert max(client.took) < 9, max(client.took)
        g.stub.DeleteSandbox(pb.DeleteSandboxRequest(name="one"))
        assert g.stop() == 0, g.lines[-5:]


def few_descriptors():
    """A crowd that would take them all: sandboxes, their commands and the store go on, and a client that
    comes anew is let in."""
    real = gatewaylab.EXE
    with gatewaylab.Gateway(tls=False, start=False) as g:
        wrapper = os.path.join(g.directory, "few")
        with open(wrapper, "w", encoding="ascii") as f:
            f.write('#!/bin/sh\nexec prlimit --nofile=400:400 %s "$@"\n' % real)
        os.chmod(wrapper, 0o755)
        with starting:
            gatewaylab.EXE = wrapper
            try:
                g.start()
            finally:
                gatewaylab.EXE = real
        box = make(g, "one")
        client = Client(g, box)
        crowd = Crowd(g.port)
        try:
            for _ in range(3):
                crowd.add(300, HELLO)
                crowd.add(100)
                assert fds_of(g) < 400
                other = make(g, "two")
                assert run(g.stub, other, "echo", "y") == b"y\n"
                g.stub.DeleteSandbox(pb.DeleteSandboxRequest(name="two"))
                until(lambda: code_of(lambda: g.stub.GetSandbox(pb.GetSandboxRequest(name="two")))[0] == "NOT_FOUND")
            begun = time.monotonic()
            until(lambda: code_of(lambda: fresh(g).GetSandbox(
                pb.GetSandboxRequest(name="one"), timeout=5))[0] == "OK", 30, "nobody is let in")
            print("#   of 400 descriptors %d are in use; a new client is let in after %.1f s; longest call %.2f s" % (
                fds_of(g), time.monotonic() - begun, client.end()))
        finally:
            crowd.close()
            client.is_over = True
        g.stub.DeleteSandbox(pb.DeleteSandboxRequest(name="one"))
        until(lambda: not g.stub.ListSandboxes(pb.ListSandboxesRequest()).sandboxes)


# ---- streams that are cut ----

def message(m):
    data = m.SerializeToString()
    return struct.pack(">BI", 0, len(data)) + data


def head(service, method):
    return [(":method", "POST"), (":scheme", "http"), (":authority", "a"), (":path", f"/{service}/{method}"),
            ("content-type", "application/grpc"), ("te", "trailers")]


def streams_of(g, box):
    """name -> (service, method, the first message, what may follow)."""
    openshell = "openshell.v1.OpenShell"
    cove = rpclab.module("cove_pb2")
    yes = ["sh", "-c", "while echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy; do :; done"]
    pad = pb.ExecSandboxInput(stdin=b"x" * 1000 + b"\n")
    return {
        "exec that waits": (openshell, "ExecSandbox", pb.ExecSandboxRequest(
            sandbox_id=box, command=["sh", "-c", "echo up; sleep 4711"]), None),
        "exec that prints for ever": (openshell, "ExecSandbox", pb.ExecSandboxRequest(
            sandbox_id=box, command=yes), None),
        "interactive exec": (openshell, "ExecSandboxInteractive", pb.ExecSandboxInput(
            start=dict(sandbox_id=box, command=["cat"])), pad),
        "interactive exec with a terminal": (openshell, "ExecSandboxInteractive", pb.ExecSandboxInput(
            start=dict(sandbox_id=box, command=["cat"], tty=True)), pad),
        "interactive exec that prints for ever": (openshell, "ExecSandboxInteractive", pb.ExecSandboxInput(
            start=dict(sandbox_id=box, command=yes)), pad),
        "watch, logs follow": (openshell, "WatchSandbox", pb.WatchSandboxRequest(
            id=box, follow_status=True, follow_logs=True, follow_events=True), None),
        "forward": (openshell, "ForwardTcp", pb.TcpForwardFrame(init=dict(
            sandbox_id=box, tcp=dict(host="127.0.0.1", port=7))), pb.TcpForwardFrame(data=b"x" * 1000)),
        "approvals": ("cove.v1.Cove", "WatchApprovals", cove.WatchApprovalsRequest(), None),
    }


POINTS = ["after the head", "in the middle of a message", "after the first message", "after the first answer",
          "after more messages", "after the end of the request", "while nothing is read"]


def cut(g, stream, point, is_connection):
    service, method, first, more = stream
    sock = socket.create_connection(("127.0.0.1", g.port), 10)
    if point == "while nothing is read":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw = h2lab.Raw(sock)
    n = POINTS.index(point)
    raw.send(frame(HEADERS, END_HEADERS, 1, block(head(service, method))))
    text = message(first)
    if n == 1:
        raw.send(frame(DATA, 0, 1, text[:len(text) // 2]))
    elif n >= 2:
        is_last = point == "after the end of the request" or more is None
        raw.send(frame(DATA, END_STREAM if is_last else 0, 1, text))
    if n == 3:
        raw.read(lambda f: f[0] == DATA and f[2] == 1, 0.4)
    if n in (4, 6) and more is not None:
        for _ in range(20):
            raw.send(frame(DATA, 0, 1, message(more)))
    if n in (4, 5):
        raw.read(lambda f: False, 0.05)
    if n == 6:
        time.sleep(0.2)
    if is_connection:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    else:
        raw.send(frame(RST, 0, 1, struct.pack(">I", 8)))
        # The connection goes on: the next call on it is answered.
        raw.send(frame(HEADERS, END_HEADERS, 3, block(head("openshell.v1.OpenShell", "Health"))),
                 frame(DATA, END_STREAM, 3, message(pb.HealthRequest())))
        f = raw.read(lambda f: f[0] == HEADERS and f[2] == 3, 5)
        assert not isinstance(f, str), f"no answer after the cut: {f}"
    sock.close()


def processes_in(g, box):
    return run(g.stub, box, "sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '").decode()


def relays_are_cut(g, box):
    """A service's host: cut in the middle of an answer, of a body, of an upgrade."""
    text = """
import socket
s = socket.create_server(('127.0.0.1', 8080))
print('up', flush=True)
while True:
    c, _ = s.accept()
    try:
        c.recv(65536)
        c.sendall(b'HTTP/1.1 200 OK\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n')
        c.settimeout(3)
        while True: c.sendall(b'400\\r\\n' + b'x' * 1024 + b'\\r\\n')
    except OSError: pass
    c.close()
"""
    server = g.stub.ExecSandbox(pb.ExecSandboxRequest(sandbox_id=box, command=["python3", "-c", text]))
    assert next(server).stdout.data == b"up\n"
    url = g.stub.ExposeService(pb.ExposeServiceRequest(sandbox="one", service="web", target_port=8080, domain=True)).url
    host = url.split("//")[1].split("/")[0].split(":")[0]
    for first in ("GET / HTTP/1.1\r\nHost: %s:%d\r\n\r\n", "POST / HTTP/1.1\r\nHost: %s:%d\r\nContent-Length: 100000\r\n\r\nx",
                  "GET / HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"):
        for seconds in (0, 0.05, 0.3):
            s = socket.create_connection(("127.0.0.1", g.port), 10)
            s.sendall((first % (host, g.port)).encode())
            time.sleep(seconds)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.close()
    server.cancel()


def streams_cut_at_each_point():
    with gateway(tls=False) as g:
        box = make(g, "one")
        run(g.stub, box, "true")
        fds, before = fds_of(g), None
        faults = []
        for turn in range(2):  # the first fills what is kept
            for name, stream in streams_of(g, box).items():
                threads = []
                for point in POINTS:
                    for is_connection in (False, True):
                        def one(stream=stream, point=point, is_connection=is_connection, name=name):
                            try:
                                cut(g, stream, point, is_connection)
                            except Exception as e:  # whatever it is, it is a row's fault
                                faults.append(f"{name}, {point}: {type(e).__name__} {e}")
                        threads.append(threading.Thread(target=one))
                        threads[-1].start()
                for t in threads:
                    t.join(30)
                assert g.process.poll() is None, (name, g.lines[-10:])
            relays_are_cut(g, box)
            until(lambda: fds_of(g) <= fds + 2, 20, lambda: (fds, fds_of(g)))
            before = before or memory_of(g)
        assert not faults, "\n".join(faults)
        until(lambda: not any(w in processes_in(g, box) for w in ("4711", "yyyyy", "socket.create_server")), 20,
              lambda: processes_in(g, box))
        grown = memory_of(g) - before
        print("#   the second time memory grows by %d KiB" % (grown >> 10))
        assert grown < 4 << 20, grown
        assert run(g.stub, box, "echo", "x") == b"x\n"
        g.stub.DeleteSandbox(pb.DeleteSandboxRequest(name="one"))
        until(lambda: not g.stub.ListSandboxes(pb.ListSandboxesRequest()).sandboxes)
        assert g.stop() == 0, g.lines[-5:]


if __name__ == "__main__":
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if os.geteuid() == 0 and most < 20000:
        most = 20000
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    checks = [f for f in (ten_thousand_connections, few_descriptors, streams_cut_at_each_point)
              if len(sys.argv) < 2 or any(w in f.__name__ for w in sys.argv[1:])]
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        for check, future in [(f, pool.submit(f)) for f in checks]:
            tap.check(check.__name__.replace("_", " "), future.result)
    tap.done()
