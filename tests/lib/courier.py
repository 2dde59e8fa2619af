# SPDX-License-Identifier: Apache-2.0
"""The other ends of cove-courier's two links, for tests: what supervisor and keeper say to it."""
import array
import os
import socket
import struct
import subprocess

COURIER = os.path.join(os.environ.get("CV_BUILD", os.path.join(os.getcwd(), "build")),
                       "src/courier/cove-courier")
ROOTS, PIN, ENV, GO, LINK = range(5)
READY, FATAL = range(2)
FETCH, COMMAND = range(2)
CARRIED, FAILED = range(2)
LOOPBACK_HTTP, COMMANDS = 1, 2
FAILURES = ["BUSY", "MESSAGE", "RESOLVE", "CONNECT", "TLS", "TIMEOUT", "LARGE", "BROKEN", "START"]
ANSWER_S = 40


def u32(value):
    return struct.pack("<I", value)


def text(value):
    value = value if isinstance(value, bytes) else value.encode()
    return u32(len(value)) + value


def send(sock, kind, body=b"", fds=()):
    sock.sendmsg([u32(kind) + u32(len(body)) + body],
                 [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else [])


def receive(sock):
    """(type, body, fds); type is None when the other end has closed."""
    data, control, _, _ = sock.recvmsg(1 << 17, socket.CMSG_SPACE(32))
    fds = array.array("i")
    for level, kind, raw in control:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(raw[:len(raw) - len(raw) % fds.itemsize])
    if not data:
        return None, b"", []
    return struct.unpack_from("<I", data)[0], data[8:], list(fds)


class Reader:
    def __init__(self, body):
        self.body = body

    def u32(self):
        value, self.body = struct.unpack_from("<I", self.body)[0], self.body[4:]
        return value

    def text(self):
        n = self.u32()
        value, self.body = self.body[:n], self.body[n:]
        return value.decode()


class Answer:
    """status, headers and body; or failure, a name of FAILURES."""

    def __init__(self, kind, body, fds):
        r = Reader(body)
        self.tag, self.status, self.failure, self.headers, self.body = r.u32(), None, None, {}, b""
        if kind == FAILED:
            self.failure, self.text = FAILURES[r.u32()], r.text()
            return
        self.status = r.u32()
        for _ in range(r.u32()):
            name = r.text()
            self.headers[name] = r.text()
        size = os.fstat(fds[0]).st_size
        self.body = os.pread(fds[0], size + 1, 0)
        os.close(fds[0])

    def __repr__(self):
        return f"{self.tag}: {self.failure or self.status} {self.headers} {self.body[:200]!r}"


class Courier:
    def __init__(self, roots, pins=(), env=None, flags=0):
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.keeper, link = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.tags = 0
        self.control.settimeout(ANSWER_S)
        self.keeper.settimeout(ANSWER_S)
        fd = theirs.fileno()
        self.process = subprocess.Popen(
            [COURIER], env={}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            pass_fds=[fd, 3] if fd != 3 else [3], preexec_fn=lambda: os.dup2(fd, 3))
        theirs.close()
        memfd = os.memfd_create("roots")
        with open(roots, "rb") as file:
            os.write(memfd, file.read())
        send(self.control, ROOTS, fds=[memfd])
        os.close(memfd)
        for host, port, address in pins:
            send(self.control, PIN, text(host) + u32(port) + text(address))
        for name, value in (env or {}).items():
            send(self.control, ENV, text(name) + text(value))
        send(self.control, GO, u32(flags), [link.fileno()])
        link.close()
        kind, body, _ = receive(self.control)
        if kind != READY:
            raise RuntimeError(f"courier: {kind} {body!r}")

    def send(self, kind, body):
        self.tags += 1
        send(self.keeper, kind, u32(self.tags) + body)
        return self.tags

    def fetch_start(self, url, method="POST", headers=(), body=b""):
        packed = b"".join(text(n) + text(v) for n, v in headers)
        return self.send(FETCH, text(method) + text(url) + u32(len(headers)) + packed + text(body))

    def fetch(self, *argv, **kw):
        tag = self.fetch_start(*argv, **kw)
        answer = self.answer()
        assert answer.tag == tag, (answer.tag, tag)
        return answer

    def command(self, *argv, env=()):
        self.send(COMMAND, u32(len(argv)) + b"".join(text(a) for a in argv) + u32(len(env)) +
                  b"".join(text(n) for n in env))
        return self.answer()

    def answer(self):
        kind, body, fds = receive(self.keeper)
        if kind is None:
            raise ConnectionError("the courier closed the keeper's link")
        return Answer(kind, body, fds)

    def close(self):
        self.control.close()
        self.keeper.close()
        return self.process.wait(30)
