# SPDX-License-Identifier: Apache-2.0
"""The servers of a wire script: what reached them is kept byte by byte.

A server's block is a list of answers, one for each request in the order in which they come (the
last one repeats).  Without a block every request is answered 200 with "METHOD target\\n" as body.
An answer is `reply`, `raw`, `hold` (none, and the connection stays) or `drop` (none, and it is
closed), and what stands before it: `delay SECONDS`, `continue` (100 before the body is read).
`greet TEXT` speaks first on every connection, `echo` makes it no HTTP at all, `close` behind an
answer closes.
"""
import contextlib
import socket
import ssl
import struct
import threading
import time

HEAD_MAX = 1 << 20
LISTEN_BACKLOG = 64


class Request:
    """One request as it came, its head untouched."""

    def __init__(self, head):
        self.head, self.body = head.decode("latin-1"), ""
        lines = self.head.split("\r\n")
        self.method, _, rest = lines[0].partition(" ")
        self.target, _, self.version = rest.rpartition(" ")
        self.headers = [(n.lower(), v.strip()) for n, _, v in
                        (line.partition(":") for line in lines[1:] if line)]

    def header(self, name):
        values = [v for n, v in self.headers if n == name.lower()]
        return ", ".join(values) if values else None


class Peer:
    def __init__(self, address, port, context=None, script=()):
        self.requests, self.connections, self.bytes, self.sni = [], 0, b"", None
        self.open, self.script = 0, []
        self.greeting, self.is_echo = None, False
        self.faults = []  # TLS handshakes that failed
        self.lock, self.socks = threading.Lock(), []
        answer = []
        for word, *args in script:
            if word == "greet":
                self.greeting = "".join(args).encode("latin-1")
            elif word == "echo":
                self.is_echo = True
            elif word == "close" and self.script and not answer:
                self.script[-1].append((word, args))
            else:
                answer.append((word, args))
                if word in ("reply", "raw", "hold", "drop"):
                    self.script.append(answer)
                    answer = []
        self.context = context
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.listener = socket.socket(family, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((address, port))
        self.listener.listen(LISTEN_BACKLOG)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)  # wakes the thread in accept()
        self.listener.close()
        for sock in self.socks:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            self.socks.append(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        sock.settimeout(30)
        with contextlib.closing(sock):
            if self.context:
                try:
                    sock = self.context(self).wrap_socket(sock, server_side=True)
                except OSError as e:
                    self.faults.append(str(e))
                    return
            with contextlib.suppress(OSError, ValueError):
                self._speak(sock)
            with contextlib.suppress(OSError):
                if isinstance(sock, ssl.SSLSocket):
                    sock.unwrap()

    def _speak(self, sock):
        buf = b""

        def more():
            nonlocal buf
            data = sock.recv(65536)
            with self.lock:
                self.bytes += data
            buf += data
            return data

        def upto(mark):
            nonlocal buf
            while mark not in buf:
                if len(buf) > HEAD_MAX or not more():
                    raise ValueError
            part, buf = buf.split(mark, 1)
            return part

        def exactly(n):
            nonlocal buf
            while len(buf) < n:
                if not more():
                    raise ValueError
            part, buf = buf[:n], buf[n:]
            return part

        if self.greeting:
            sock.sendall(self.greeting)
        while self.is_echo:
            data = more()
            if not data:
                return
            sock.sendall(data)
        while True:
            request = Request(upto(b"\r\n\r\n"))
            with self.lock:
                number = len(self.requests)
                self.requests.append(request)
            actions = self.script[min(number, len(self.script) - 1)] if self.script else [("reply", ["200"])]
            if any(word == "continue" for word, _ in actions):
                sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = b""
            if (request.header("transfer-encoding") or "").lower() == "chunked":
                while size := int(upto(b"\r\n").split(b";")[0], 16):
                    body += exactly(size)
                    upto(b"\r\n")
                while upto(b"\r\n"):
                    pass
            elif request.header("content-length"):
                body = exactly(int(request.header("content-length")))
            request.body = body.decode("latin-1")
            for word, args in actions:
                if not self._act(sock, request, word, args):
                    return

    def _act(self, sock, request, word, args):
        """Does one action; false when the connection is over."""
        if word == "delay":
            time.sleep(float(args[0]))
        elif word == "raw":
            sock.sendall("".join(args).encode("latin-1"))
        elif word == "hold":
            while sock.recv(65536):
                pass
            return False
        elif word in ("drop", "close"):
            return False
        elif word == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        elif word == "reply":
            status, headers, body = args[0], list(args[1:]), f"{request.method} {request.target}\n"
            if "-body" in headers:
                at = headers.index("-body")
                body = "".join(headers[at + 1:])
                headers = headers[:at]
            head = [f"HTTP/1.1 {status} X", *headers]
            if status not in ("204", "304"):
                head.append(f"Content-Length: {len(body)}")
            if request.method == "HEAD" or status in ("204", "304"):
                body = ""
            sock.sendall(("\r\n".join(head) + "\r\n\r\n" + body).encode("latin-1"))
        return True
