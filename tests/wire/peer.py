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
import errno
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


def bind(sock, address, port):
    """An address that was just put on lo can take a moment to be there."""
    for i in range(200):
        try:
            return sock.bind((address, port))
        except OSError as e:
            if e.errno != errno.EADDRNOTAVAIL or i == 199:
                raise
            time.sleep(0.01)
    return None


class Names:
    """The name servers of this machine's resolv.conf, played: whoever resolves asks us.

    `table` maps a name to a list of answers, given in turn (the last one repeats); an answer is a
    list of addresses, or of "cname:NAME" followed by the addresses of that name.  Other names do
    not exist.  `queries` has every name asked for.
    """

    def __init__(self, addresses, table):
        self.queries, self.table, self.turn, self.socks = [], table, {}, []
        for address in addresses:
            sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bind(sock, address, 53)
            self.socks.append(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def close(self):
        for sock in self.socks:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)  # wakes the thread; a datagram socket says ENOTCONN
            sock.close()

    def _serve(self, sock):
        while True:
            try:
                data, peer = sock.recvfrom(4096)
            except OSError:
                return
            with contextlib.suppress(OSError, ValueError, IndexError, struct.error):
                sock.sendto(self._answer(data), peer)

    def _answer(self, data):
        at, labels = 12, []
        while data[at]:
            labels.append(data[at + 1:at + 1 + data[at]].decode("latin-1"))
            at += data[at] + 1
        name, question = ".".join(labels).lower(), data[12:at + 5]
        kind = struct.unpack(">H", data[at + 1:at + 3])[0]
        self.queries.append(name)
        answers = self.table.get(name)
        if answers is None:
            return data[:2] + struct.pack(">HHHHH", 0x8183, 1, 0, 0, 0) + question
        key = (name, kind)
        records = answers[min(self.turn.get(key, 0), len(answers) - 1)]
        self.turn[key] = self.turn.get(key, 0) + 1
        out, count, owner = b"", 0, b"\xc0\x0c"
        for text in records:
            if text.startswith("cname:"):
                target = b"".join(bytes([len(x)]) + x.encode() for x in text[6:].split(".")) + b"\0"
                out += owner + struct.pack(">HHIH", 5, 1, 0, len(target)) + target
                owner, count = target, count + 1
                continue
            family = 28 if ":" in text else 1
            if family == kind:
                raw = socket.inet_pton(socket.AF_INET6 if family == 28 else socket.AF_INET, text)
                out += owner + struct.pack(">HHIH", family, 1, 0, len(raw)) + raw
                count += 1
        return data[:2] + struct.pack(">HHHHH", 0x8180, 1, count, 0, 0) + question + out


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
        bind(self.listener, address, port)
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
            with contextlib.suppress(OSError, ValueError):  # a ValueError: the other side was first
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
