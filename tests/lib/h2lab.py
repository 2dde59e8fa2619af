# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 peers for tests: real programs behind a bridge, and python3-h2 where a peer must misbehave.

A bridge is a port on loopback whose connections the lab makes as the sandbox would, identity and
all: so curl, nghttp, h2load, node and grpc's own library can be clients without a sandbox.
"""
import os
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time

try:
    import h2.config
    import h2.connection
    import h2.events
    import h2.settings
except ImportError:  # a Python of its own, without the system's packages
    if sys.executable != "/usr/bin/python3" and os.path.exists("/usr/bin/python3"):
        os.execv("/usr/bin/python3", ["/usr/bin/python3", *sys.argv])
    raise

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, END_HEADERS = 1, 4


def frame(kind, flags=0, stream=0, body=b""):
    return struct.pack(">I", len(body))[1:] + struct.pack(">BBI", kind, flags, stream) + body


def literal(name, value):
    """One field, never indexed, not Huffman-coded: any bytes at all."""
    def text(s):
        s = s.encode("latin-1") if isinstance(s, str) else s
        n = len(s)
        if n < 127:
            return bytes([n]) + s
        out, n = b"\x7f", n - 127
        while n >= 128:
            out, n = out + bytes([n % 128 + 128]), n // 128
        return out + bytes([n]) + s
    return b"\x00" + text(name) + text(value)


def unpacked(data):
    """The values of a header block, for a look at them; of a fresh connection's first block."""
    import hpack
    return b"|".join((v if isinstance(v, bytes) else v.encode()) for _, v in hpack.Decoder().decode(data))


def block(fields):
    return b"".join(literal(n, v) for n, v in fields)


def pipe(a, b):
    def one(x, y):
        try:
            while data := x.recv(65536):
                y.sendall(data)
            y.shutdown(socket.SHUT_WR)
        except OSError:
            for s in (x, y):
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
    for x, y in ((a, b), (b, a)):
        threading.Thread(target=one, args=(x, y), daemon=True).start()


class Bridge:
    """to: where the lab connects; connect: a tunnel there is asked for first (transparent clients)."""

    def __init__(self, lab, connect=None, **who):
        self.sock = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.sock.getsockname()[1]
        self.lab, self.connect, self.who = lab, connect, who
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            s, _ = self.sock.accept()
            threading.Thread(target=self._one, args=(s,), daemon=True).start()

    def _one(self, s):
        if self.connect:
            t, status, _ = self.lab.tunnel(*self.connect, **self.who)
            if status != 200:
                s.close()
                return
        else:
            t = self.lab.connect(**self.who)
        t.settimeout(None)
        pipe(s, t)


class Client:
    """A client that follows the rules, on any socket.  Streams' events are gathered by id."""

    def __init__(self, sock, authority="api.test", scheme="https"):
        self.sock, self.authority, self.scheme = sock, authority, scheme
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=True, header_encoding="utf-8", validate_outbound_headers=False,
            normalize_outbound_headers=False))
        self.h2.initiate_connection()
        self.streams, self.goaway, self.is_closed = {}, None, False
        self.flush()

    def flush(self):
        data = self.h2.data_to_send()
        if data:
            self.sock.sendall(data)

    def head(self, method="GET", path="/", extra=(), authority=None, scheme=None):
        return [(":method", method), (":scheme", scheme or self.scheme),
                (":authority", authority or self.authority), (":path", path), *extra]

    def send(self, fields, end=True, body=b""):
        sid = self.h2.get_next_available_stream_id()
        self.streams[sid] = {"head": {}, "body": b"", "trailers": None, "end": False, "reset": None,
                             "info": []}
        self.h2.send_headers(sid, fields, end_stream=end and not body)
        for i in range(0, len(body), 16384):
            self.h2.send_data(sid, body[i:i + 16384], end_stream=end and i + 16384 >= len(body))
        self.flush()
        return sid

    def data(self, sid, body=b"", end=False):
        self.h2.send_data(sid, body, end_stream=end)
        self.flush()

    def read(self, is_done, seconds=20):
        """Reads until is_done() or time is over."""
        end = time.monotonic() + seconds
        while not is_done():
            left = end - time.monotonic()
            if left <= 0 or self.is_closed:
                return False
            self.sock.settimeout(left)
            try:
                data = self.sock.recv(65536)
            except (TimeoutError, socket.timeout):
                return False
            except OSError:
                data = b""
            if not data:
                self.is_closed = True
                return is_done()
            for e in self.h2.receive_data(data):
                self.take(e)
            self.flush()
        return True

    def take(self, e):
        s = self.streams.get(getattr(e, "stream_id", None))
        if isinstance(e, h2.events.ConnectionTerminated):
            self.goaway = e.error_code
        elif s is None:
            return
        elif isinstance(e, h2.events.ResponseReceived):
            s["head"] = dict(e.headers)
        elif isinstance(e, h2.events.InformationalResponseReceived):
            s["info"].append(dict(e.headers)[":status"])
        elif isinstance(e, h2.events.DataReceived):
            s["body"] += e.data
            self.h2.acknowledge_received_data(e.flow_controlled_length, e.stream_id)
        elif isinstance(e, h2.events.TrailersReceived):
            s["trailers"] = dict(e.headers)
        elif isinstance(e, h2.events.StreamEnded):
            s["end"] = True
        elif isinstance(e, h2.events.StreamReset):
            s["reset"] = e.error_code

    def finish(self, sid, seconds=20):
        s = self.streams[sid]
        self.read(lambda: s["end"] or s["reset"] is not None, seconds)
        return s

    def ask(self, *args, body=b"", **kw):
        return self.finish(self.send(self.head(*args, **kw), body=body))

    def status(self, *args, **kw):
        return int(self.ask(*args, **kw)["head"].get(":status", 0))


class Raw:
    """Frames as one likes; `frames` has what came: (kind, flags, stream, body)."""

    def __init__(self, sock, preface=True):
        self.sock, self.rest, self.frames = sock, b"", []
        if preface:
            self.send(PREFACE, frame(SETTINGS))

    def send(self, *parts):
        try:
            self.sock.sendall(b"".join(parts))
        except OSError:
            pass

    def request(self, stream, fields, flags=END_STREAM | END_HEADERS):
        self.send(frame(HEADERS, flags, stream, block(fields)))

    def read(self, until=lambda f: False, seconds=3):
        end = time.monotonic() + seconds
        while True:
            while len(self.rest) >= 9:
                n = struct.unpack(">I", b"\0" + self.rest[:3])[0]
                if len(self.rest) < 9 + n:
                    break
                kind, flags, stream = struct.unpack(">BBI", self.rest[3:9])
                f = (kind, flags, stream & 0x7fffffff, self.rest[9:9 + n])
                self.rest = self.rest[9 + n:]
                self.frames.append(f)
                if until(f):
                    return f
            left = end - time.monotonic()
            if left <= 0:
                return "timeout"
            self.sock.settimeout(left)
            try:
                data = self.sock.recv(65536)
            except (TimeoutError, socket.timeout):
                return "timeout"
            except OSError:
                return "closed"
            if not data:
                return "closed"
            self.rest += data

    def error(self, seconds=15):
        """The first thing that went wrong: ("rst", code), ("goaway", code), "closed" or "timeout"."""
        f = self.read(lambda f: f[0] == RST or
                      (f[0] == GOAWAY and f[3][4:8] != b"\0\0\0\0"), seconds)
        if isinstance(f, str):
            return f, None
        return ("rst", struct.unpack(">I", f[3])[0]) if f[0] == RST else (
            "goaway", struct.unpack(">I", f[3][4:8])[0])


class Server:
    """An upstream of HTTP/2 in Python.  answer(server, conn, event) acts on each event; `seen` has the
    request heads, `bytes` what reached it in all."""

    def __init__(self, address, port, answer, pki=None, alpn=("h2",), settings=None):
        self.answer, self.seen, self.events = answer, [], []
        self.bytes = self.connections = 0
        self.settings, self.conns = settings, []
        self.tls = None
        if pki:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(pki.cert, pki.key)
            self.tls.set_alpn_protocols(list(alpn))
        self.sock = socket.create_server((address, port), backlog=128, reuse_port=True)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                s, _ = self.sock.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(s,), daemon=True).start()

    def _serve(self, s):
        try:
            if self.tls:
                s = self.tls.wrap_socket(s, server_side=True)
            c = h2.connection.H2Connection(h2.config.H2Configuration(
                client_side=False, header_encoding="utf-8", validate_outbound_headers=False,
                normalize_outbound_headers=False))
            if self.settings:
                c.local_settings = h2.settings.Settings(client=False, initial_values=self.settings)
            c.initiate_connection()
            c.sock, c.heads, c.bodies, c.pending = s, {}, {}, {}
            self.conns.append(c)
            s.sendall(c.data_to_send())
            while data := s.recv(65536):
                self.bytes += len(data)
                for e in c.receive_data(data):
                    self.events.append(e)
                    if isinstance(e, h2.events.RequestReceived):
                        self.seen.append(dict(e.headers))
                        c.heads[e.stream_id] = dict(e.headers)
                        c.bodies[e.stream_id] = b""
                    if isinstance(e, h2.events.DataReceived):
                        c.bodies[e.stream_id] += e.data
                        c.acknowledge_received_data(e.flow_controlled_length, e.stream_id)
                    self.answer(self, c, e)
                out = c.data_to_send()
                if out:
                    s.sendall(out)
        except (OSError, ssl.SSLError, h2.exceptions.ProtocolError):
            pass
        finally:
            try:
                s.close()
            except OSError:
                pass

    def got(self, kind):
        return [e for e in self.events if isinstance(e, kind)]


def echo(server, c, e):
    """200 with the request's method and path and body, when the request has ended."""
    if isinstance(e, h2.events.StreamEnded):
        head = c.heads[e.stream_id]
        body = f"{head[':method']} {head[':path']}\n".encode() + c.bodies[e.stream_id]
        c.send_headers(e.stream_id, [(":status", "200"), ("content-type", "text/plain")])
        c.pending[e.stream_id] = body
    for sid in list(c.pending):
        while sid in c.pending:
            n = min(c.local_flow_control_window(sid), 16384, len(c.pending[sid]))
            if n <= 0 and c.pending[sid]:
                break
            piece, rest = c.pending[sid][:n], c.pending[sid][n:]
            c.send_data(sid, piece, end_stream=not rest)
            c.pending[sid] = rest
            if not rest:
                del c.pending[sid]


def run(*argv, timeout=30, **kw):
    return subprocess.run(argv, capture_output=True, timeout=timeout, check=False, **kw)
