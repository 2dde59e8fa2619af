# SPDX-License-Identifier: Apache-2.0
"""A supervisor that is not ours, in Python: it speaks the API's contract over gRPC, with a token.

    s = foreignlab.Supervisor(g, sandbox_id, token)     says hello, and heartbeats
    s.accepted()                                        session_accepted, waited for
    s.ports[80] = real_port                             what it dials for a port "inside"; ports={80: real_port}
                                                        from the start, where somebody waits for it already
    s.answers = False                                   relay_open is read, and nothing done
    s.end(); s.drop()                                   ends its stream; breaks its connection
    s.over()                                            how the stream ended, waited for

It knows nothing of the gateway's inside: messages are those of proto/, made at test time.
"""
import queue
import socket
import threading
import time

import grpc

WAIT_S = 20
CHUNK = 16 << 10


class Echo:
    """A server "inside": echoes, or does what serve(connection) does; counts what it could send."""

    def __init__(self, serve=None):
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.socket.getsockname()[1]
        self.serve = serve or self.echo
        self.sent = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                c, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._run, args=(c,), daemon=True).start()

    def _run(self, c):
        with c:
            try:
                self.serve(c)
            except OSError:
                pass

    @staticmethod
    def echo(c):
        while True:
            b = c.recv(65536)
            if not b:
                return
            c.sendall(b)


class Supervisor:
    def __init__(self, g, sandbox_id, token, instance="one", hello=True, heartbeats=True, ports=()):
        self.g, self.pb, self.id, self.instance = g, g.pb, sandbox_id, instance
        self.channel = g.channel(certificate=False, token=token, options=[
            ("grpc.use_local_subchannel_pool", 1), ("grpc.http2.bdp_probe", 0)])
        self.stub = g.stubs.OpenShellStub(self.channel)
        self.ports, self.answers, self.opened, self.said = dict(ports), True, [], []
        self.beats, self.closes, self.status = 0, [], None
        self._out, self._in = queue.Queue(), threading.Condition()
        self.call = self.stub.ConnectSupervisor(iter(self._out.get, None))
        threading.Thread(target=self._read, daemon=True).start()
        if hello:
            self.send(hello=self.pb.SupervisorHello(sandbox_id=sandbox_id, instance_id=instance))
        if heartbeats:
            threading.Thread(target=self._beat, daemon=True).start()

    # ---- the session ----

    def send(self, **kw):
        self._out.put(self.pb.SupervisorMessage(**kw))

    def _beat(self):
        while self.status is None:
            self.send(heartbeat=self.pb.SupervisorHeartbeat())
            time.sleep(1)

    def _read(self):
        try:
            for m in self.call:
                kind = m.WhichOneof("payload")
                with self._in:
                    self.said.append(m)
                    self.beats += kind == "heartbeat"
                    if kind == "relay_close":
                        self.closes.append(m.relay_close)
                    if kind == "relay_open":
                        self.opened.append(m.relay_open)
                    self._in.notify_all()
                if kind == "relay_open" and self.answers:
                    threading.Thread(target=self._relay, args=(m.relay_open,), daemon=True).start()
            status = ("OK", "")
        except grpc.RpcError as e:
            status = (e.code().name, e.details())
        with self._in:
            self.status = status
            self._in.notify_all()

    def until(self, what, seconds=WAIT_S):
        with self._in:
            if not self._in.wait_for(what, seconds):
                raise AssertionError(f"it did not come to that: {self.said} {self.status}")
            return what()

    def first(self):
        """Its first message: ("session_accepted", it)."""
        self.until(lambda: self.said or self.status)
        if not self.said:
            return self.status
        kind = self.said[0].WhichOneof("payload")
        return kind, getattr(self.said[0], kind)

    def accepted(self):
        kind, m = self.first()
        assert kind == "session_accepted", (kind, m)
        return m

    def over(self, seconds=WAIT_S):
        return self.until(lambda: self.status, seconds)

    def end(self):
        self._out.put(None)

    def drop(self):
        self.call.cancel()
        self.channel._channel.close() if hasattr(self.channel, "_channel") else None

    # ---- connections ----

    def claim(self, channel_id, frames=(), stub=None):
        """RelayStream by hand: an iterator of what comes."""
        pb = self.pb
        return (stub or self.stub).RelayStream(iter(
            [pb.RelayFrame(init=pb.RelayInit(channel_id=channel_id))] + list(frames)))

    def _relay(self, m):
        port = 0 if m.WhichOneof("target") == "ssh" else m.tcp.port
        try:
            s = socket.create_connection(("127.0.0.1", self.ports[port]), 10)
        except (KeyError, OSError) as e:
            self.send(relay_open_result=self.pb.RelayOpenResult(
                channel_id=m.channel_id, success=False, error=str(e)))
            return
        s.settimeout(None)
        threading.Thread(target=self._pump, args=(m, s), daemon=True).start()
        self.send(relay_open_result=self.pb.RelayOpenResult(channel_id=m.channel_id, success=True))

    def _pump(self, m, s):
        pb = self.pb

        def out():
            yield pb.RelayFrame(init=pb.RelayInit(channel_id=m.channel_id))
            while True:
                try:
                    b = s.recv(CHUNK)
                except OSError:
                    return
                if not b:
                    return
                yield pb.RelayFrame(data=b)
        try:
            for f in self.stub.RelayStream(out()):
                s.sendall(f.data)
        except (grpc.RpcError, OSError):
            pass
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        s.close()


class Forward:
    """A ForwardTcp by hand: put() bytes, take() them."""

    def __init__(self, g, sandbox_id, port=None, token="", stub=None):
        pb = self.pb = g.pb
        self._out = queue.Queue()
        init = pb.TcpForwardInit(sandbox_id=sandbox_id, authorization_token=token)
        if port is None:
            init.ssh.SetInParent()
        else:
            init.tcp.host, init.tcp.port = "127.0.0.1", port
        self._out.put(pb.TcpForwardFrame(init=init))
        self.call = (stub or g.stub).ForwardTcp(iter(self._out.get, None))

    def put(self, b):
        self._out.put(self.pb.TcpForwardFrame(data=b))

    def end(self):
        self._out.put(None)

    def take(self, n):
        got = b""
        while len(got) < n:
            got += next(self.call).data
        return got

    def rest(self):
        return b"".join(f.data for f in self.call)

    def status(self):
        """How it ended, if it ends by itself."""
        try:
            self.rest()
            return "OK", ""
        except grpc.RpcError as e:
            return e.code().name, e.details()
