# SPDX-License-Identifier: Apache-2.0
"""The broker without a sandbox: a supervisor and proxies for tests.

Speaks src/ipc/broker_link.h over socket pairs: hands the broker catalogs, a directory, sinks and
sandboxes, and for each connection of a test one end of a stream with the identity of its choice, as
the proxy of a sandbox does.  What is behind the broker is real.
"""
import hashlib
import json
import os
import select
import socket
import struct
import subprocess
import tempfile
import threading
import time

import look
from proxylab import link_send, memfd, pack_str, replies_read

BUILD = os.environ.get("CV_BUILD", os.path.join(os.getcwd(), "build"))
BROKER = os.path.join(BUILD, "src/broker/cove-broker")
KEEPER = os.path.join(BUILD, "src/keeper/cove-keeper")

CONTROLS = ("CATALOG STATE AUDIT_SINK KEEPER ENV GO SANDBOX LINK POLICY ROOT SANDBOX_END "
            "ANSWER ABOUT ROOTS PIN HOLD HIDE SLOTS").split()
REPLIES = "READY FATAL ASK ASK_END SANDBOX_ENDED ENDS_IN SAY".split()
OPEN = 0
TOOLS, SERVER = 0, 1
DENY, ALLOW, TIMEOUT, FLOOD = 0, 1, 2, 3

POLICY_ALL = """
version: 1
tools:
  all: {tools: ["*", "*.*"]}
"""


def unpack_str(data, at):
    n, = struct.unpack_from("<I", data, at)
    return data[at + 4:at + 4 + n], at + 4 + n


def identity(exe="/usr/bin/curl", ancestors=("/usr/bin/bash",), pid=7, unknown="", changed=""):
    body = struct.pack("<QI", 1, pid) + pack_str(unknown) + pack_str(changed) + pack_str(exe)
    body += struct.pack("<I", len(ancestors))
    return body + b"".join(pack_str(a) for a in ancestors)


class Keeper:
    """A real keeper whose set has `values` (name: value) and a grant of each to who is listed."""

    CONTROLS = "START PROXY SECRETS COURIER AGAIN UPSTREAM BROKER".split()
    NONE = 0xffffffff

    def __init__(self, values, grants):
        self.values, self.grants, self.process = values, grants, None
        self.start()

    def _set(self):
        def text(s):  # as plan/codec.h has it
            return pack_str(s) + b"\0"

        names = list(self.values)
        b = struct.pack("<I", 0x32735643)
        b += struct.pack("<I", 1) + text("(catalog)") + text("cove-catalog")
        b += struct.pack("<I", 0) + struct.pack("<I", 0)  # bindings; refreshes
        b += struct.pack("<I", len(names))
        for name in names:
            b += text("COVE_CATALOG_" + name) + text(f"placeholder-of-{name}-0123456789")
            b += text(self.values[name]) + struct.pack("<QII", 0, 0, self.NONE) + text("")
        b += struct.pack("<I", len(self.grants))
        for who, name in self.grants:
            b += text(who) + text(name) + struct.pack("<I", names.index(name))
        return b

    def _send(self, kind, body=b"", fds=()):
        link_send(self.control, self.CONTROLS.index(kind), body, fds)

    def start(self):
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        fd = theirs.fileno()
        self.process = subprocess.Popen([KEEPER], close_fds=False, env={},
                                        preexec_fn=lambda: os.dup2(fd, 3, inheritable=True))
        theirs.close()
        secrets = memfd("secrets", self._set())
        self.proxy, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._send("SECRETS", fds=[secrets])
        self._send("START", pack_str("lab"), [theirs.fileno()])
        theirs.close()
        os.close(secrets)
        self.control.settimeout(30)
        reply = self.control.recv(1 << 16)
        assert struct.unpack_from("<I", reply)[0] == 0, reply

    def link(self):
        """The broker's end of a new link."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._send("BROKER", fds=[ours.fileno()])
        ours.close()
        return theirs

    def kill(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        self.control.close()
        self.process.wait(30)


class Response:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:2000]!r}>"


class Stream:
    """One connection of a sandbox's process, as the proxy would make it."""

    def __init__(self, sandbox, sock):
        self.sandbox, self.sock, self.buffer = sandbox, sock, b""

    def send(self, method, path, body=None, token=True, host="tools.local", **headers):
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        body = body.encode() if isinstance(body, str) else body
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"]
        if token:
            value = self.sandbox.token if token is True else token
            lines.append(f"Authorization: Bearer {value}")
        if body is not None:
            headers.setdefault("content_type", "application/json")
            lines.append(f"Content-Length: {len(body)}")
        lines += [f"{k.replace('_', '-')}: {v}" for k, v in headers.items() if v is not None]
        try:
            self.sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode() + (body or b""))
        except BrokenPipeError:
            pass  # it was answered before all of it was read

    def _fill(self):
        piece = self.sock.recv(1 << 18)
        if not piece:
            raise EOFError(f"the broker closed the stream; {self.buffer[:200]!r}")
        self.buffer += piece

    def _line(self):
        while b"\r\n" not in self.buffer:
            self._fill()
        line, self.buffer = self.buffer.split(b"\r\n", 1)
        return line.decode("latin-1")

    def _bytes(self, n):
        while len(self.buffer) < n:
            self._fill()
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def head(self):
        status = int(self._line().split(" ")[1])
        headers = {}
        while line := self._line():
            key, value = line.split(":", 1)
            headers[key.lower()] = value.strip()
        return status, headers

    def receive(self, is_head=False):
        status, headers = self.head()
        if status == 100:
            return self.receive(is_head)
        body = b""
        if not is_head and "content-length" in headers:
            body = self._bytes(int(headers["content-length"]))
        elif headers.get("transfer-encoding") == "chunked":
            while chunk := self.chunk():
                body += chunk
        return Response(status, headers, body)

    def chunk(self):
        size = int(self._line(), 16)
        data = self._bytes(size)
        assert self._line() == ""
        return data

    def request(self, method, path, body=None, **headers):
        self.send(method, path, body, **headers)
        return self.receive(method == "HEAD")

    def events(self):
        """(id, type, data) of each event until the stream's end."""
        text = b""
        while chunk := self.chunk():
            text += chunk
            while b"\n\n" in text:
                one, text = text.split(b"\n\n", 1)
                event = {}
                for line in one.decode().split("\n"):
                    if not line.startswith(":"):
                        key, value = line.split(": ", 1)
                        event[key] = event.get(key, "") + value
                if event:
                    yield event["id"], event["event"], json.loads(event["data"])

    def close(self):
        self.sock.close()


class Sandbox:
    def __init__(self, lab, name, policy=POLICY_ALL, root=None):
        self.lab, self.name = lab, name
        self.token = os.urandom(32).hex()
        self.link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        digest = hashlib.sha256(self.token.encode()).digest()
        lab.send("SANDBOX", pack_str(name) + pack_str(digest), [theirs.fileno()])
        theirs.close()
        if root:
            fd = os.open(root, os.O_PATH)
            lab.send("ROOT", pack_str(name), [fd])
            os.close(fd)
        if policy:
            self.policy(policy)

    def policy(self, text):
        fd = memfd("policy", text)
        self.lab.send("POLICY", pack_str(self.name) + pack_str("policy.yaml"), [fd])
        os.close(fd)

    def relink(self):
        """As when the proxy was started anew."""
        self.link.close()
        self.link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.lab.send("LINK", pack_str(self.name), [theirs.fileno()])
        theirs.close()

    def open(self, timeout=20, target=TOOLS, port=80, **who):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        link_send(self.link, OPEN, struct.pack("<II", target, port) + identity(**who),
                  [theirs.fileno()])
        theirs.close()
        ours.settimeout(timeout)
        return Stream(self, ours)

    def request(self, method, path, body=None, who=None, **headers):
        stream = self.open(**(who or {}))
        try:
            return stream.request(method, path, body, **headers)
        finally:
            stream.close()

    def call(self, tool, arguments=None, **headers):
        return self.request("POST", f"/v1/tools/{tool}", {} if arguments is None else arguments,
                            **headers)

    def job(self, tool, arguments=None, **headers):
        r = self.call(tool, arguments, prefer="respond-async", **headers)
        assert r.status == 202, r
        return r.json["id"]

    def wait(self, job, seconds=20):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            r = self.request("GET", f"/v1/jobs/{job}?wait=10")
            assert r.status == 200, r
            if r.json["ended"]:
                return r.json
        raise AssertionError(f"job {job} did not end: {r}")

    def end(self):
        self.lab.send("SANDBOX_END", pack_str(self.name))


class Lab:
    def __init__(self, catalog, state=None, is_ready=True, env=(), required=True, audit_path=None,
                 keeper=None, roots=None, pins=(), hide=(), prefix=(), slots=None):
        self.prefix = list(prefix)  # words before the broker's
        self.dir = tempfile.mkdtemp(prefix="cove-broker-")
        self.state = state or os.path.join(self.dir, "state")
        os.makedirs(self.state, mode=0o700, exist_ok=True)
        self.audit_path = audit_path or os.path.join(self.dir, "audit.jsonl")
        self.line_path = os.path.join(self.dir, "audit.log")
        self.replies, self.lock = [], threading.Condition()
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.process = self._spawn(theirs)
        theirs.close()
        threading.Thread(target=self._read, daemon=True).start()
        for text in [catalog] if isinstance(catalog, str) else catalog:
            fd = memfd("catalog", text)
            self.send("CATALOG", pack_str("tools.yaml"), [fd])
            os.close(fd)
        self.send("STATE", pack_str(self.state))
        if slots:
            self.send("SLOTS", pack_str(slots))
        for path in hide:
            self.send("HIDE", pack_str(path))
        for form, path in enumerate((self.audit_path, self.line_path)):
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            self.send("AUDIT_SINK", struct.pack("<II", form, required and form == 0), [fd])
            os.close(fd)
        for name, value in env:
            self.send("ENV", pack_str(name) + pack_str(value))
        if roots:
            with open(roots, "rb") as f:
                fd = memfd("roots", f.read())
            self.send("ROOTS", fds=[fd])
            os.close(fd)
        for host, port, address in pins:
            self.send("PIN", pack_str(host) + struct.pack("<I", port) + pack_str(address))
        self.keeper = keeper
        if keeper:
            self.join()
        self.send("GO", struct.pack("<I", 0))
        if is_ready:
            self.wait("READY")

    def join(self):
        """A new link to the keeper."""
        link = self.keeper.link()
        self.send("KEEPER", fds=[link.fileno()])
        link.close()

    def _spawn(self, sock):
        fd = sock.fileno()

        def child():
            os.dup2(fd, 3, inheritable=True)

        self.stderr_path = os.path.join(self.dir, "stderr")
        with open(self.stderr_path, "w") as stderr:
            return subprocess.Popen(self.prefix + [BROKER], preexec_fn=child, close_fds=False, stderr=stderr,
                                    env={k: v for k, v in os.environ.items() if "SAN_OPTIONS" in k})

    def send(self, kind, body=b"", fds=()):
        try:
            link_send(self.control, CONTROLS.index(kind), body, fds)
        except BrokenPipeError:
            pass  # it has ended; what it said is in replies

    def _read(self):
        replies_read(self.control, REPLIES, self.replies, self.lock)

    def wait(self, kind, seconds=20):
        end = time.monotonic() + seconds
        with self.lock:
            while True:
                for i, (k, body) in enumerate(self.replies):
                    if k == kind:
                        del self.replies[i]
                        return body
                    if k in (None, "FATAL"):
                        raise AssertionError(f"the broker ended: {body!r} {self.stderr()}")
                if not self.lock.wait(end - time.monotonic()):
                    raise AssertionError(f"no {kind} from the broker; {self.stderr()}")

    def wait_ended(self, name):
        while self.wait("SANDBOX_ENDED")[4:].decode() != name:
            pass

    def ask(self, seconds=20):
        body = self.wait("ASK", seconds)
        number, left = struct.unpack_from("<QI", body)
        at, words = 12, []
        for _ in range(4):
            word, at = unpack_str(body, at)
            words.append(word.decode(errors="replace"))
        total, = struct.unpack_from("<Q", body, at)
        rule, at = unpack_str(body, at + 8)
        flags, pid, n = struct.unpack_from("<III", body, at)
        at, ancestors = at + 12, []
        for _ in range(n):
            word, at = unpack_str(body, at)
            ancestors.append(word.decode(errors="replace"))
        assert at + 4 == len(body)
        return dict(zip(("sandbox", "who", "tool", "text"), words), id=number, seconds=left,
                    text_bytes=total, rule=rule.decode(), flags=flags, pid=pid,
                    ancestors=ancestors)

    def answer(self, number, what, who="tester"):
        self.send("ANSWER", struct.pack("<QI", number, what) + pack_str(who))

    def stderr(self):
        with open(self.stderr_path, errors="replace") as f:
            return f.read()[-6000:]

    def events(self, settle=0.1, **want):
        """Events about tools whose fields are as wanted."""
        time.sleep(settle)
        with open(self.audit_path, encoding="utf-8") as f:
            found = [json.loads(line) for line in f]
        return [e for e in found if e["class_uid"] == 6003
                and all(e.get(k) == v for k, v in want.items())]

    def lines(self):
        with open(self.line_path, encoding="utf-8") as f:
            return f.read().splitlines()

    def shepherds(self):
        return descendants(self.process.pid)

    def close(self):
        self.control.shutdown(socket.SHUT_RDWR)
        self.control.close()
        return self.process.wait(30)

    def kill(self):
        self.process.kill()
        self.process.wait()


def descendants(pid):
    """Processes beneath pid, by /proc."""
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as f:
                    parents[int(name)] = int(f.read().rsplit(b")", 1)[1].split()[1])
            except (OSError, IndexError):
                pass
    found, fresh = set(), {pid}
    while fresh:
        fresh = {p for p, parent in parents.items() if parent in fresh} - found
        found |= fresh
    return found


def marked(mark):
    """Processes whose command line has the mark."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                with open(f"/proc/{name}/cmdline", "rb") as f:
                    if mark.encode() in f.read():
                        found.append(int(name))
            except OSError:
                pass
    return found


def memory(pid):
    """What a process has written to, but not a sanitizer's shadow."""
    return b"".join(data for _, _, data in look.memory(
        pid, is_wanted=lambda mode, size: "w" in mode and size <= 1 << 30))


def is_readable(sock, seconds):
    return bool(select.select([sock], [], [], seconds)[0])


def eventually(check, seconds=20):
    end = time.monotonic() + seconds
    while not check():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


class Tap:
    """Tests are functions of a module named test_*; says what came of each."""

    def __init__(self):
        self.failed = 0

    def run(self, tests):
        print(f"1..{len(tests)}", flush=True)
        for number, test in enumerate(tests, 1):
            try:
                test()
                print(f"ok {number} - {test.__name__}", flush=True)
            except look.Unavailable as reason:
                print(f"ok {number} - {test.__name__} # SKIP {reason}", flush=True)
            except Exception as error:  # pylint: disable=broad-except
                self.failed += 1
                import traceback
                for line in traceback.format_exc().splitlines():
                    print(f"# {line}")
                print(f"not ok {number} - {test.__name__}: {str(error)[:300]!r}", flush=True)
        return 1 if self.failed else 0
