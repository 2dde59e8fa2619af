# SPDX-License-Identifier: Apache-2.0
"""A gateway in Python for one supervisor: the other end of src/ipc/gateway_link.h.

Plan: `cove run` is started from a directory where a script stands for cove-supervisor and keeps the
plan; the gateway's part is put into its bytes (it stands right behind the ids and the interception), and the real
cove-supervisor is started with it, as src/driver does.  Messages are written and read byte by byte
here, so that a change of the link's format is seen.
"""
import array
import collections
import fcntl
import os
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

import world

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
TOKEN = bytes(range(32))
TTY, NO_STDIN = 1, 2
NO_MAIN, MAIN_ENDS = 1, 2
_PART_MAX = 65536


def _names(macro):
    """Message names in their order, from the header: its numbers are its order."""
    with open(os.path.join(ROOT, "src/ipc/gateway_link.h"), encoding="utf-8") as f:
        text = f.read()
    body = text.split(f"#define {macro}(X)", 1)[1].split("\n\n", 1)[0]
    return re.findall(r"^\s*X\((\w+),", body, re.M)


REQS, REPLIES = _names("CV_GATEWAY_REQS"), _names("CV_GATEWAY_REPLIES")
Message = collections.namedtuple("Message", "name body fds")


def text(s):
    s = s if isinstance(s, bytes) else s.encode()
    return struct.pack("<I", len(s)) + s


def _plan_text(s):
    return text(s) + b"\0"


def exec_bytes(argv, env=(), cwd=""):
    """src/plan/exec.h"""
    out = b"CVx1" + struct.pack("<I", len(argv)) + b"".join(map(_plan_text, argv))
    return out + struct.pack("<I", len(env)) + b"".join(map(_plan_text, env)) + _plan_text(cwd)


class Reader:
    def __init__(self, body):
        self.body, self.at = body, 0

    def u32(self):
        self.at += 4
        return struct.unpack_from("<I", self.body, self.at - 4)[0]

    def u64(self):
        self.at += 8
        return struct.unpack_from("<Q", self.body, self.at - 8)[0]

    def str(self, is_bytes=False):
        n = self.u32()
        self.at += n
        assert self.at <= len(self.body)
        s = self.body[self.at - n:self.at]
        return s if is_bytes else s.decode()


class Link:
    """One connection of a supervisor."""

    def __init__(self, sock):
        self.sock, self.kept = sock, collections.deque()

    def send(self, name, body=b"", fds=()):
        anc = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.sock.sendmsg([struct.pack("<II", REQS.index(name), len(body)) + body], anc)

    def recv(self, seconds=30.0):
        """The next message; None: closed, or nothing came."""
        if self.kept:
            return self.kept.popleft()
        return self._recv(seconds)

    def _recv(self, seconds):
        if not select.select([self.sock], [], [], max(seconds, 0))[0]:
            return None
        try:
            data, anc, _, _ = self.sock.recvmsg(70000, socket.CMSG_SPACE(8 * 4),
                                                socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError:
            return None
        if not data:
            return None
        fds = array.array("i")
        for level, kind, payload in anc:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(payload[:len(payload) - len(payload) % 4])
        kind, size = struct.unpack_from("<II", data)
        assert size == len(data) - 8
        return Message(REPLIES[kind], data[8:], list(fds))

    def expect(self, *names, seconds=30.0, where=lambda m: True):
        """The first message of these names; others stay, in their order."""
        end = time.monotonic() + seconds
        for i, m in enumerate(self.kept):
            if m.name in names and where(m):
                del self.kept[i]
                return m
        while (m := self._recv(end - time.monotonic())) is not None:
            if m.name in names and where(m):
                return m
            self.kept.append(m)
        raise AssertionError(f"no {names} came; there is {[(m.name, m.body[:200]) for m in self.kept][-6:]}")

    def about(self, ident, *names, seconds=30.0):
        return self.expect(*names, seconds=seconds,
                           where=lambda m: len(m.body) >= 4 and Reader(m.body).u32() == ident)

    def is_closed(self, seconds=20.0):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if not select.select([self.sock], [], [], end - time.monotonic())[0]:
                return False
            if (m := self._recv(0)) is None:
                return True
            self.kept.append(m)
        return False

    def parts(self, data):
        for at in range(0, len(data), _PART_MAX):
            self.send("PART", data[at:at + _PART_MAX])

    def exec(self, ident, argv, env=(), cwd="", flags=0, size=0):
        self.parts(exec_bytes(argv, env, cwd))
        self.send("EXEC", struct.pack("<III", ident, flags, size))

    def settle(self, name, ident=0):
        self.send("SETTLED", struct.pack("<II", REPLIES.index(name), ident))

    def signal(self, ident, number):
        self.send("SIGNAL", struct.pack("<II", ident, number))

    def run(self, ident, argv, stdin=None, **kw):
        """(status, stdout, stderr) of a command without a terminal."""
        flags = 0 if stdin is not None else NO_STDIN
        self.exec(ident, argv, flags=flags, **kw)
        m = self.about(ident, "STARTED", "FAILED")
        if m.name == "FAILED":
            r = Reader(m.body)
            self.settle("FAILED", ident)
            raise AssertionError(f"FAILED {r.u32()} stage {r.u32()} errno {r.u32()}: {r.str()}")
        if stdin:
            os.write(m.fds[0], stdin)
        os.close(m.fds[0])
        if stdin is not None:
            self.send("STDIN_END", struct.pack("<I", ident))
        exited = self.about(ident, "EXITED", seconds=30)
        self.settle("EXITED", ident)
        out, err = read_all(m.fds[1]), read_all(m.fds[2])
        r = Reader(exited.body)
        r.u32()
        return os.waitstatus_to_exitcode(r.u32()), out, err

    def policy(self, revision, yaml):
        self._memfd("POLICY", revision, yaml)

    def credentials(self, revision, data):
        self._memfd("CREDENTIALS", revision, data)

    def layer(self, yaml):
        self._memfd("LAYER", None, yaml)

    def _memfd(self, name, revision, data):
        fd = os.memfd_create("lab")
        os.write(fd, data if isinstance(data, bytes) else data.encode())
        self.send(name, b"" if revision is None else struct.pack("<Q", revision), [fd])
        os.close(fd)

    def close(self):
        self.sock.close()


def read_all(fd):
    """Until its end; the descriptor is closed."""
    data = b""
    os.set_blocking(fd, True)
    while chunk := _read(fd):
        data += chunk
    os.close(fd)
    return data


def _read(fd):
    try:
        return os.read(fd, 65536)
    except OSError:  # a terminal says so
        return b""


class Lab:
    """One sandbox and its gateway's socket."""

    def __init__(self, argv=("/bin/true",), flags=NO_MAIN, options=(), sandbox="sb-1"):
        self.dir = tempfile.mkdtemp(prefix="cove-gwlab-")
        self.work = os.path.join(self.dir, "work")
        os.mkdir(self.work)
        self.path = os.path.join(self.dir, "supervisors.sock")
        self.log = os.path.join(self.dir, "log")
        self.sandbox, self.flags = sandbox, flags
        self.listener = None
        self.listen()
        self.plan = self._service(self._captured(argv, options))
        self.proc = None

    def listen(self):
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(self.path)
        self.listener.listen(8)

    def deafen(self):
        self.listener.close()
        os.unlink(self.path)

    def _captured(self, argv, options):
        """The bytes of the plan that `cove run` makes."""
        src = os.path.dirname(os.path.dirname(world.COVE))
        place = os.path.join(self.dir, "bin")
        os.mkdir(place)
        shutil.copy(world.COVE, os.path.join(place, "cove"))
        for name in ("init", "proxy", "keeper", "courier", "broker"):
            os.symlink(os.path.join(src, name, f"cove-{name}"), os.path.join(place, f"cove-{name}"))
        fake = os.path.join(place, "cove-supervisor")
        self.cred = None
        with open(fake, "w", encoding="utf-8") as f:
            f.write(f"#!/bin/sh\n/bin/cat /proc/self/fd/3 >{self.dir}/plan\n"
                    f"if [ -e /proc/self/fd/4 ]; then /bin/cat /proc/self/fd/4 >{self.dir}/cred; fi\n")
        os.chmod(fake, 0o755)
        subprocess.run([os.path.join(place, "cove"), "run", "-q", "--no-tty", "--workdir", self.work,
                        *options, "--", *argv], check=True, stdin=subprocess.DEVNULL)
        self.supervisor = os.path.join(src, "supervisor", "cove-supervisor")
        if os.path.exists(f"{self.dir}/cred"):
            with open(f"{self.dir}/cred", "rb") as f:
                self.cred = f.read()
        with open(f"{self.dir}/plan", "rb") as f:
            return f.read()

    def _service(self, plan):
        """The gateway's part: behind magic, flags and the two ids."""
        at = 24 + 4 * struct.unpack_from("<I", plan, 20)[0]  # behind the interception and its ports
        assert plan[at:at + 5] == b"\0" * 5, "the plan's format changed"
        part = _plan_text(self.path) + _plan_text(self.sandbox) + _plan_text("instance-1")
        return plan[:at] + part + TOKEN + struct.pack("<I", self.flags) + plan[at + 5:]

    def start(self):
        fds = {3: self.plan} | ({4: self.cred} if self.cred is not None else {})
        made = []
        for data in fds.values():
            fd = os.memfd_create("plan")
            os.write(fd, data)
            made.append(fcntl.fcntl(fd, fcntl.F_DUPFD, 20))
            os.close(fd)

        def place():
            for fd, number in zip(made, fds, strict=True):
                os.dup2(fd, number)

        with open(self.log, "ab") as log:
            self.proc = subprocess.Popen(
                [self.supervisor], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={},
                preexec_fn=place, pass_fds=tuple(fds), start_new_session=True)
        for fd in made:
            os.close(fd)
        return self

    def accept(self, seconds=30.0, is_greeted=True):
        self.listener.settimeout(seconds)
        sock, _ = self.listener.accept()
        sock.setblocking(True)
        link = Link(sock)
        link.hello = link.expect("HELLO")
        if is_greeted:
            link.send("ACCEPTED")
        return link

    def ready(self, seconds=45.0):
        """Started, connected, standing."""
        self.start()
        link = self.accept()
        link.expect("READY", seconds=seconds)
        return link

    def text(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()

    def close(self):
        if self.proc and self.proc.poll() is None:
            self.proc.send_signal(signal.SIGKILL)
        if self.proc:
            self.proc.wait()
        if self.listener:
            self.listener.close()
        shutil.rmtree(self.dir, ignore_errors=True)
