# SPDX-License-Identifier: Apache-2.0
"""An edge proxy in front of a gateway, as Cloudflare Access is one: TLS, a log-in, and a signed word
about who is behind each request.

    edge = edgelab.Edge()                     a team with an RSA key, and its JWKS
    g = gatewaylab.Gateway(config={"edge": edge.config})
    edge.front(g)                             edge.url is where clients go now
    edge.token("alice")                       what the application's cookie holds, and the assertion
    edge.rotate()                             another key from now on

Who shows no token that it knows (Cf-Access-Token, or the cookie CF_Authorization) is sent to the
log-in, which a browser comes back from with the cookie.  Whoever does is forwarded; what a client says
of itself in Cf-Access-Jwt-Assertion is replaced.  `edge.assert_` changes what is put there instead.

    edgelab.Tunnel(host, port, context, headers)     an upgrade, and frames by hand
    edgelab.Bridge(make)                             a port whose connections go through tunnels
"""
import asyncio
import base64
import hashlib
import http.server
import json
import os
import secrets
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time
import urllib.parse

import oidclab

AUD = "32eafc7626e974616deaf0dc3ce63d7bcbed58a2731e84d06bc3cdf1b53c4228"
TUNNEL = "/_ws_tunnel"
ASSERTION = "Cf-Access-Jwt-Assertion"
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Edge:
    def __init__(self):
        self.directory = tempfile.TemporaryDirectory(prefix="cove-edge-")
        self.keys, self.made, self.issued, self.revoked, self.asked = [], 0, set(), set(), []
        self.requests, self.is_down, self.gateway = [], False, None
        self.subject, self.assert_ = "alice", lambda token: token
        self.consents = True
        outer = self

        class Certs(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.append(self.path)
                body = json.dumps({"keys": [k.jwk() for k in outer.keys], "public_certs": []}).encode()
                self.send_response(503 if outer.is_down else 200 if self.path == "/cdn-cgi/access/certs" else 404)
                self.end_headers()
                self.wfile.write(b"" if outer.is_down else body)

            def log_message(self, *_):
                pass

        self.certs = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Certs)
        self.certs.handle_error = lambda *_: None  # a gateway that reads its configuration again hangs up
        threading.Thread(target=self.certs.serve_forever, daemon=True).start()
        self.team = "http://127.0.0.1:%d" % self.certs.server_address[1]
        self.config = {"issuer": self.team, "audience": AUD}
        self.add()
        self.ca = os.path.join(self.directory.name, "ca.pem")
        key = os.path.join(self.directory.name, "ca.key")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                        "-keyout", key, "-out", self.ca], check=True, capture_output=True)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.ca, key)
        self.context.set_alpn_protocols(["http/1.1"])
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.port, self.server = None, None

    # ---- the team ----

    def add(self, alg="RS256"):
        self.made += 1
        key = oidclab.Key(alg, "edge-%d" % self.made, self.directory.name)
        self.keys.append(key)
        return key

    def rotate(self):
        self.keys = []
        return self.add()

    def token(self, subject=None, key=None, header=None, lives_s=600, signature=None, text=None, **claims):
        subject = self.subject if subject is None else subject
        now = int(time.time())
        key = key or self.keys[0]
        body = {"aud": [AUD], "email": subject + "@example.com", "exp": now + lives_s, "iat": now, "nbf": now,
                "iss": self.team, "type": "app", "identity_nonce": secrets.token_hex(8),
                "sub": "id-of-" + subject, "country": "US"}
        body.update(claims)
        body = {k: v for k, v in body.items() if v is not None}
        head = dict({"alg": key.alg, "kid": key.kid, "typ": "JWT"}, **(header or {}))
        signed = text or oidclab.b64(json.dumps(head).encode()) + "." + oidclab.b64(json.dumps(body).encode())
        token = signed + "." + oidclab.b64(key.sign(signed.encode()) if signature is None else signature(signed))
        self.issued.add(token)
        return token

    def knows(self, token):
        if token not in self.issued or token in self.revoked:
            return False
        return json.loads(oidclab.unb64(token.split(".")[1])).get("exp", 0) > time.time()

    # ---- the proxy ----

    def front(self, gateway):
        self.gateway = gateway
        if not self.server:
            made = asyncio.run_coroutine_threadsafe(
                asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.context, backlog=2000), self.loop)
            self.server = made.result(10)
            self.port = self.server.sockets[0].getsockname()[1]
        self.url = "https://localhost:%d" % self.port
        return self

    def client_context(self):
        context = ssl.create_default_context(cafile=self.ca)
        context.set_alpn_protocols(["http/1.1"])
        return context

    async def _serve(self, reader, writer):
        try:
            head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)).decode("latin-1")
            await self._request(head, reader, writer)
        except (asyncio.IncompleteReadError, asyncio.TimeoutError, OSError, ssl.SSLError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    async def _request(self, head, reader, writer):
        lines = head.split("\r\n")[:-2]
        method, target, _ = lines[0].split(" ", 2)
        fields = [line.split(":", 1) for line in lines[1:]]
        named = {k.lower(): v.strip() for k, v in fields}
        self.requests.append((method, target, named))
        cookies = dict(c.strip().split("=", 1) for c in named.get("cookie", "").split(";") if "=" in c)
        token = named.get("cf-access-token") or cookies.get("CF_Authorization", "")
        path, _, query = target.partition("?")
        if path == "/cdn-cgi/access/login":
            return await self._log_in(query, writer)
        if not self.knows(token):
            back = urllib.parse.urlencode({"redirect_url": target})
            return await self._answer(writer, "302 Found", ["Location: %s/cdn-cgi/access/login?%s" % (self.url, back)])
        await self._forward(method, target, fields, token, reader, writer)

    async def _answer(self, writer, status, more):
        writer.write(("HTTP/1.1 %s\r\n%sContent-Length: 0\r\nConnection: close\r\n\r\n" % (
            status, "".join(m + "\r\n" for m in more))).encode())
        await writer.drain()

    async def _log_in(self, query, writer):
        back = dict(urllib.parse.parse_qsl(query)).get("redirect_url", "/")
        if not self.consents:
            return await self._answer(writer, "403 Forbidden", [])
        return await self._answer(writer, "302 Found", [
            "Location: " + back, "Set-Cookie: CF_Authorization=%s; Path=/; Secure; HttpOnly; SameSite=None" % self.token()])

    async def _forward(self, method, target, fields, token, reader, writer):
        is_upgrade = any(k.lower() == "upgrade" for k, _ in fields)
        kept = [(k, v) for k, v in fields if k.lower() not in (ASSERTION.lower(), "cf-access-token") and
                (is_upgrade or k.lower() != "connection")]
        asserted = self.assert_(token)
        if asserted:
            kept.append((ASSERTION, " " + asserted))
        if not is_upgrade:
            kept.append(("Connection", " close"))
        g = self.gateway
        context = None
        if g.tls:
            context = ssl.create_default_context(cafile=os.path.join(g.client, "ca.crt"))
        up_reader, up_writer = await asyncio.open_connection(
            "127.0.0.1", g.port, ssl=context, server_hostname="localhost" if context else None)
        try:
            up_writer.write(("%s %s HTTP/1.1\r\n%s\r\n" % (
                method, target, "".join("%s:%s\r\n" % f for f in kept))).encode("latin-1"))
            ends = [asyncio.ensure_future(self._pump(reader, up_writer)),
                    asyncio.ensure_future(self._pump(up_reader, writer))]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if not ends[1].done() and not is_upgrade:
                await asyncio.wait(ends[1:], timeout=20)
            for e in ends:
                e.cancel()
        finally:
            up_writer.close()

    @staticmethod
    async def _pump(reader, writer):
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except (OSError, ssl.SSLError):
            pass

    def close(self):
        self.certs.shutdown()
        if self.server:
            self.loop.call_soon_threadsafe(self.server.close)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.directory.cleanup()


class Refused(Exception):
    """The upgrade was not taken: status, body."""


def read_head(s):
    data = b""
    while b"\r\n\r\n" not in data:
        more = s.recv(65536)
        if not more:
            break
        data += more
    head, _, rest = data.partition(b"\r\n\r\n")
    return head.decode("latin-1"), rest


class Tunnel:
    """An upgrade, then frames; masks are made here, so anything can be said."""

    def __init__(self, port, context=None, headers=None, host="localhost", path=TUNNEL, timeout=20, lines=(),
                 method="GET", early=b""):
        s = socket.create_connection(("127.0.0.1", port), timeout)
        self.s = context.wrap_socket(s, server_hostname=host) if context else s
        self.key = base64.b64encode(secrets.token_bytes(16)).decode()
        fields = {"Host": "%s:%d" % (host, port), "Connection": "Upgrade", "Upgrade": "websocket",
                  "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": self.key}
        fields.update(headers or {})
        text = "%s %s HTTP/1.1\r\n" % (method, path) + "".join(
            "%s: %s\r\n" % f for f in fields.items() if f[1] is not None) + "".join(x + "\r\n" for x in lines)
        self.s.sendall((text + "\r\n").encode("latin-1") + early)
        head, self.rest = read_head(self.s)
        self.head = head
        status = int(head.split(" ")[1]) if head else 0
        if status != 101:
            length = [int(x.split(":")[1]) for x in head.split("\r\n") if x.lower().startswith("content-length:")]
            while length and len(self.rest) < length[0]:
                self.rest += self.s.recv(65536)
            self.s.close()
            raise Refused(status, self.rest.decode(errors="replace"))
        want = base64.b64encode(hashlib.sha1((self.key + GUID).encode()).digest()).decode()
        assert "sec-websocket-accept: " + want in head, head

    @staticmethod
    def frame(data, opcode=2, fin=True, mask=True, rsv=0, length=None):
        n = len(data) if length is None else length
        head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
        m = 0x80 if mask else 0
        head += bytes([m | n]) if n < 126 else bytes([m | 126]) + struct.pack(">H", n) if n < 65536 else \
            bytes([m | 127]) + struct.pack(">Q", n)
        if mask:
            key = secrets.token_bytes(4)
            head += key
            pad = (key * (len(data) // 4 + 1))[:len(data)]
            data = (int.from_bytes(data, "big") ^ int.from_bytes(pad, "big")).to_bytes(len(data), "big")
        return head + data

    def send(self, data, **kw):
        self.s.sendall(self.frame(data, **kw))

    def _take(self, n):
        while len(self.rest) < n:
            more = self.s.recv(65536)
            if not more:
                raise EOFError
            self.rest += more
        data, self.rest = self.rest[:n], self.rest[n:]
        return data

    def receive(self):
        """(opcode, payload) of the next frame; EOFError at the end."""
        first, n = self._take(2)
        assert not n & 0x80, "a server masks nothing"
        if n == 126:
            n = struct.unpack(">H", self._take(2))[0]
        elif n == 127:
            n = struct.unpack(">Q", self._take(8))[0]
        assert first & 0x80
        return first & 15, self._take(n)

    def closed(self):
        """The code of its close frame, whatever comes before; None: it closed without a word."""
        try:
            while True:
                opcode, data = self.receive()
                if opcode == 8:
                    return struct.unpack(">H", data[:2])[0] if data else 1005
        except (EOFError, ConnectionError, ssl.SSLError):
            return None

    def close(self):
        self.s.close()


class Bridge:
    """Connections to its port are tunnels, for clients that know nothing of them."""

    def __init__(self, make):
        self.make = make
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(s,), daemon=True).start()

    def _serve(self, s):
        try:
            t = self.make()
        except (Refused, OSError):
            s.close()
            return
        lock = threading.Lock()
        t.s.settimeout(0.02)

        def up():
            try:
                while data := s.recv(32768):
                    frame = t.frame(data)
                    with lock:
                        t.s.settimeout(20)
                        t.s.sendall(frame)
                        t.s.settimeout(0.02)
            except OSError:
                pass
        threading.Thread(target=up, daemon=True).start()
        buf = self._down(t.rest, s)
        while True:
            with lock:
                try:
                    more = t.s.recv(65536)
                except (socket.timeout, ssl.SSLWantReadError):
                    more = None
                except OSError:
                    more = b""
            if more == b"":
                break
            if more is None:
                time.sleep(0.001)
                continue
            buf += more
            buf = self._down(buf, s)
            if buf is None:
                break
        s.close()
        t.close()

    @staticmethod
    def _down(buf, s):
        while len(buf) >= 2:
            opcode, n, at = buf[0] & 15, buf[1], 2
            if n == 126:
                if len(buf) < 4:
                    return buf
                n, at = struct.unpack(">H", buf[2:4])[0], 4
            elif n == 127:
                if len(buf) < 10:
                    return buf
                n, at = struct.unpack(">Q", buf[2:10])[0], 10
            if len(buf) < at + n:
                return buf
            data, buf = buf[at:at + n], buf[at + n:]
            if opcode == 8:
                return None
            if opcode == 2:
                try:
                    s.sendall(data)
                except OSError:
                    return None
        return buf

    def close(self):
        self.listener.close()
