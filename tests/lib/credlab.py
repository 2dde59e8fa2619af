# SPDX-License-Identifier: Apache-2.0
"""Credentials end to end: one real `cove run --provider …` that stays, and an origin that echoes.

The sandbox runs credagent.py, which sends whatever bytes a test wants and says what came back.  The
origin keeps each connection's bytes as they arrived, so "exactly this, exactly once" and "not one
byte" can both be asked, and answers with what the test set, which may reflect any of them.
"""
import base64
import contextlib
import gzip
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time
import zlib

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import box  # noqa: E402
import look  # noqa: E402
import world  # noqa: E402
from proxylab import listener  # noqa: E402

PYTHON = "/usr/bin/python3"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def b64(data):
    return base64.b64encode(data.encode() if isinstance(data, str) else data).decode()


def github_token(body):
    """ghp_, 30 letters, and GitHub's checksum over them in base 62."""
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(6):
        number, i = divmod(number, 62)
        digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"[i] + digits
    assert len(body) == 30
    return "ghp_" + body + digits


# Values for the places that a credential can stand in: some have to be escaped there, some have a shape.
VALUE = "s3cr3t.VALUE-0123456789"
ODD = "p@ss w%rd+&=;\"<>|{}'~"  # what has to be escaped somewhere
SLASH, DOTS, JWT = "sec/ret-0123456789", "sec..ret-0123456789", ".".join(
    b64(x).rstrip("=") for x in ('{"alg":"HS256"}', '{"sub":"me","exp":1}', "signature-of-it"))
GITHUB = github_token("Qb3RtY7uIoPaSdFgHjKlZxCvBnM123")
UNICODE = "pässwörd-€-0123456789"
ENV = {"MY_KEY": VALUE, "ODD_KEY": ODD, "SLASH_KEY": SLASH, "DOTS_KEY": DOTS, "MY_JWT": JWT,
       "GITHUB_TOKEN": GITHUB, "MY_KEY_2": "another-VALUE-of-key-2", "UNICODE_KEY": UNICODE,
       "ANTHROPIC_API_KEY": "sk-ant-api03-" + "Zx9" * 31 + "AA",
       "AWS_ACCESS_KEY_ID": "AKIA2E7QWERTYUIOPLKJ"}
SHAPES = {"ANTHROPIC_API_KEY": "anthropic", "AWS_ACCESS_KEY_ID": "aws_key_id", "MY_JWT": "jwt"}


def profile(shapes=SHAPES, more_endpoints=""):
    """A provider with all of ENV, bound to api.test and to more_endpoints (lines of YAML)."""
    credentials = "".join(
        f"  - {{name: {k.lower()}, env_vars: [{k}]{', shape: ' + shapes[k] if k in shapes else ''}}}\n"
        for k in ENV)
    return f"""\
id: my-api
credentials:
{credentials}endpoints:
  - {{host: api.test, port: 443, protocol: rest, enforcement: enforce, access: full}}
{more_endpoints}binaries: [{{path: "/**"}}]
"""


# Of profiles whose credentials are for these two names alone.
BIND = """\
endpoints:
  - {host: api.test, port: 443, protocol: rest, enforcement: enforce, access: full}
  - {host: also.test, port: 443, protocol: rest, enforcement: enforce, access: full}
binaries: [{path: "/**"}]
"""


def renewed(command, bind=BIND):
    """Files of an instance, i-renewed.yaml, whose TOLD a command of the host renews."""
    return {"renewed.yaml": f"""\
id: renewed
credentials:
  - name: TOLD
    env_vars: [TOLD]
    required: true
    refresh: {{strategy: oauth2_refresh_token, token_url: "https://issuer.test/t", material: [{{name: client_id}}]}}
{bind}""", "i-renewed.yaml": f"""\
name: renewed
profile: ./renewed.yaml
refresh: {{TOLD: {{strategy: command, command: [/bin/sh, -c, '{command}']}}}}
"""}


def brotli(data):
    try:
        import brotli as codec
    except ImportError:  # another python3 than the system's is first in PATH
        sys.path.append("/usr/lib/python3/dist-packages")
        import brotli as codec
    return codec.compress(data)


def zstd(data):
    return subprocess.run(["zstd", "-q", "-c"], input=data, capture_output=True, check=True).stdout


ENCODERS = {"gzip": gzip.compress, "deflate": zlib.compress, "br": brotli, "zstd": zstd}


def decode_chunks(data):
    """(body, trailer) of a chunked body."""
    body = b""
    while True:
        line, _, data = data.partition(b"\r\n")
        size = int(line.split(b";")[0] or b"0", 16)
        if not size:
            return body, data
        body, data = body + data[:size], data[size + 2:]


def whole(data):
    """The end of one request in data, or 0 when it is not all there."""
    end = data.find(b"\r\n\r\n") + 4
    if end < 4:
        return 0
    head = data[:end].lower()
    length = re.search(rb"\r\ncontent-length: *(\d+)", head)
    if length:
        end += int(length[1])
        return end if len(data) >= end else 0
    if b"\r\ntransfer-encoding:" in head:
        done = re.compile(rb"(^|\r\n)0\r\n([^\r]+\r\n)*\r\n").search(data, end)
        return done.end() if done else 0
    return end


class Connection:
    def __init__(self, port):
        self.port, self.data, self.count = port, b"", 0


class Origin:
    """Every connection's bytes, and an answer to each request: bytes, or a list of bytes, of pauses
    (numbers) and of None (closes); or a function of the request's bytes that returns one."""

    def __init__(self, pki, address=world.PUBLIC, ports=(443,), plain=(), cert=None):
        self.answer, self.connections, self.lock = OK, [], threading.Lock()
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(*(cert or (pki.cert, pki.key)))
        for port in (*ports, *plain):
            sock = listener(address, port)
            threading.Thread(target=self._accept, args=(sock, port, port in ports), daemon=True).start()

    def _accept(self, sock, port, is_tls):
        while True:
            s, _ = sock.accept()
            threading.Thread(target=self._serve, args=(s, port, is_tls), daemon=True).start()

    def _serve(self, s, port, is_tls):
        connection = Connection(port)
        with self.lock:
            self.connections.append(connection)
        with contextlib.suppress(OSError, ssl.SSLError):
            s.settimeout(20)
            if is_tls:
                s = self.tls.wrap_socket(s, server_side=True)
            pending = b""
            while data := s.recv(65536):
                connection.data += data
                pending += data
                while end := whole(pending):
                    request, pending = pending[:end], pending[end:]
                    connection.count += 1
                    if not self._say(s, request):
                        s.close()
                        return
        with contextlib.suppress(OSError):
            s.close()

    def _say(self, s, request):
        answer = self.answer(request) if callable(self.answer) else self.answer
        for part in answer if isinstance(answer, list) else [answer]:
            if part is None:
                return False
            if isinstance(part, (int, float)):
                time.sleep(part)
            else:
                s.sendall(part)
        return True

    def forget(self):
        """Forgets what came so far; connections kept alive go on, and are remembered anew."""
        with self.lock:
            for connection in self.connections:
                connection.data = b""

    def seen(self, settle=0.0):
        time.sleep(settle)
        with self.lock:
            return b"".join(c.data for c in self.connections)


class Reply:
    """What the agent got."""

    def __init__(self, answer):
        assert "error" not in answer, answer["error"]
        self.connect = answer["connect"].encode("latin-1")
        self.data = answer["data"].encode("latin-1")
        self.end, self.times = answer["end"], answer["times"]
        source = self.data or self.connect
        words = source.split(b" ", 2)
        self.status = int(words[1]) if len(words) > 1 and words[1][:3].isdigit() else 0
        self.head, _, body = source.partition(b"\r\n\r\n")
        is_chunked = b"transfer-encoding: chunked" in self.head.lower()
        self.body, self.trailer = body, b""
        if is_chunked:
            with contextlib.suppress(ValueError):
                self.body, self.trailer = decode_chunks(body)

    @property
    def error(self):
        with contextlib.suppress(ValueError):
            said = json.loads(self.body)
            return said.get("error") if isinstance(said, dict) else None
        return None

    def __repr__(self):
        return f"status {self.status} end {self.end!r} connect {self.connect[:120]!r} " \
               f"data {self.data[:1500]!r}"


class Lab:
    """One `cove run` with providers, and the agent in it."""

    def __init__(self, profiles, policy=None, env=None, names=(), ports=(443,), plain=(), options=(),
                 instances=(), pass_fds=(), more_ports=(), prepare=None):
        """profiles: {file name: text}, @DIR@ in it is their directory; instances: names of those files
        that are given to --provider (all of them by default); prepare(world) is called before the run."""
        self.world = world.World(list(names))
        if prepare:
            prepare(self.world)
        self.origin = Origin(self.world.pki, ports=ports, plain=plain)
        self.pins = [f"{n}:{p}:{world.PUBLIC}" for n in names for p in (*ports, *plain, *more_ports)]
        self.env = {**os.environ, **(env or {})}
        paths = {name: self.world.policy(text.replace("@DIR@", self.world.dir), name)
                 for name, text in profiles.items()}
        for path in paths.values():
            os.chmod(path, 0o600)
        for name in ("credagent.py", "h2lab.py"):
            shutil.copy(os.path.join(os.path.dirname(os.path.abspath(__file__)), name), self.world.work)
        self.stderr_path = os.path.join(self.world.dir, "cove.stderr")
        argv = [world.COVE, "run", "-q", "--workdir", self.world.work, "--ca", self.world.pki.ca,
                "--audit", self.world.audit]
        if policy:
            self.policy_path = self.world.policy(policy)
            argv += ["--policy", self.policy_path]
        for name in instances or paths:
            argv += ["--provider", paths[name]]
        for pin in self.pins:
            argv += ["--resolve", pin]
        self.process = subprocess.Popen(
            [*argv, *options, "--", PYTHON, os.path.join(self.world.work, "credagent.py")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=open(self.stderr_path, "w"),
            text=True, env=self.env, pass_fds=pass_fds)
        self.answers, self.arrived, self.next_id = {}, threading.Condition(), 0
        threading.Thread(target=self._read, daemon=True).start()
        said = self.do({"do": "env"})
        self.inside = said["env"]

    def _read(self):
        for text in self.process.stdout:
            with self.arrived:
                answer = json.loads(text)
                self.answers[answer["id"]] = answer
                self.arrived.notify_all()
        with self.arrived:
            self.answers[None] = True
            self.arrived.notify_all()

    def start(self, job):
        with self.arrived:
            self.next_id += 1
            job = {**job, "id": self.next_id}
            try:
                self.process.stdin.write(json.dumps(job) + "\n")
                self.process.stdin.flush()
            except BrokenPipeError:
                raise AssertionError(f"the run ended with {self.process.wait()}: {self.stderr()}") from None
        return job["id"]

    def wait(self, job_id, seconds=60):
        with self.arrived:
            self.arrived.wait_for(lambda: job_id in self.answers or None in self.answers, seconds)
            if job_id not in self.answers:
                raise AssertionError(f"the sandbox said nothing: {self.stderr()}")
            return self.answers.pop(job_id)

    def do(self, job, seconds=60):
        return self.wait(self.start(job), seconds)

    def sh(self, script):
        return self.do({"do": "sh", "script": script})

    def start_talk(self, host, data, port=443, how="tls", **more):
        pieces = data if isinstance(data, list) else [data]
        pieces = [p.decode("latin-1") if isinstance(p, bytes) else p for p in pieces]
        return self.start({"do": "talk", "how": how, "host": host, "port": port, "pieces": pieces, **more})

    def talk(self, host, data, port=443, how="tls", answer=OK, **more):
        """Sends a request's bytes; the origin starts from nothing and gives that answer."""
        self.origin.answer = answer
        self.origin.forget()
        return Reply(self.wait(self.start_talk(host, data, port, how, **more)))

    def get(self, host, path="/", fields=(), **more):
        return self.talk(host, request("GET", host, path, fields), **more)

    def post(self, host, body, kind="application/json", fields=(), path="/post", is_chunked=False,
             size=None, method="POST", **more):
        body = body.encode() if isinstance(body, str) else body
        fields = [*fields, *([f"Content-Type: {kind}"] if kind else [])]
        if is_chunked:
            size = size or len(body) or 1
            body = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in
                            (body[i:i + size] for i in range(0, len(body), size))) + b"0\r\n\r\n"
            fields.append("Transfer-Encoding: chunked")
        else:
            fields.append(f"Content-Length: {len(body)}")
        return self.talk(host, request(method, host, path, fields) + body, **more)

    def h2(self, host, *requests, port=443, **more):
        """Requests on one HTTP/2 connection; what came of each stream."""
        self.origin.forget()
        answer = self.do({"do": "h2", "host": host, "port": port, "requests": requests, **more})
        assert "error" not in answer, answer["error"]
        return answer["streams"]

    def processes(self):
        """{name: [pid]} of all that this run started, the sandbox's processes among them."""
        found = {}
        for pid, name in {self.process.pid: box.comm(self.process.pid),
                          **box.descendants(self.process.pid)}.items():
            found.setdefault(name, []).append(pid)
        return found

    def policy_load(self, text=None):
        """Another policy, or the same once more, is in force when this returns."""
        def loads():
            with open(self.world.audit, encoding="utf-8", errors="replace") as f:
                return f.read().count("Policy reloaded successfully")

        before, self.loads = loads(), getattr(self, "loads", 0) + 1
        if text is None:
            with open(self.policy_path, encoding="utf-8") as f:
                text = f.read()
        with open(self.policy_path, "w", encoding="utf-8") as f:
            f.write(f"{text}# {self.loads}\n")
        self.process.send_signal(signal.SIGHUP)
        end = time.monotonic() + 30
        while loads() == before:
            assert time.monotonic() < end, "the policy was not loaded"
            time.sleep(0.02)

    def stderr(self):
        with open(self.stderr_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def close(self):
        """The end of the run; returns its status."""
        self.process.stdin.close()
        try:
            status = self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = None
        return status

    def remove(self):
        self.world.close()


def request(method, host, path="/", fields=(), version="HTTP/1.1"):
    lines = [f"{method} {path} {version}", f"Host: {host}", *fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def equal(got, want, context=""):
    if got != want:
        raise AssertionError(f"got {got!r}, want {want!r} {context}")


def field(seen, name):
    """Values of a field in a request's bytes, in order."""
    return [m.decode("latin-1") for m in
            re.findall(rb"\r\n" + name.encode() + rb":[ \t]*([^\r\n]*)", seen.split(b"\r\n\r\n")[0], re.I)]


def target(seen):
    return seen.split(b" ", 2)[1].decode("latin-1")


def refused(lab, reply, status=403, error="credential_endpoint_mismatch", settle=0.05):
    """Refused with that error, and not one byte of it at any server."""
    seen = lab.origin.seen(settle)
    if seen:
        raise AssertionError(f"the server saw {seen[:400]!r}; {reply!r}")
    if reply.status != status or (error and reply.error != error):
        raise AssertionError(f"want {status} {error}; {reply!r}")


def memory_has(pid, needles):
    """Which of the needles are in a process's memory, and in which mappings."""
    found, last, tail = [], None, b""
    for text, at, data in look.memory(pid, is_wanted=lambda mode, _: mode[0] == "r"):
        data = (tail if text == last else b"") + data
        rest = text.split(None, 5)[5:]
        found += [(n, rest[0].strip() if rest else "", hex(at)) for n in needles if n in data]
        last, tail = text, data[-256:]
    return found
