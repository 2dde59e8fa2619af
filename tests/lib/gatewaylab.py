# SPDX-License-Identifier: Apache-2.0
"""A gateway for a test: a state directory of its own, any free port, its log kept.

    with gatewaylab.Gateway() as g:                mTLS, certificates by `cove-gateway init`
        g.stub.Health(g.pb.HealthRequest())        as the client certificate's user
        g.connect(token="...").GetSandbox(...)     another caller: a token, or certificate=False
        g.get("/readyz")                           (status, headers, body) by curl
        g.kill(); g.start()                        kill -9 and a new one in the same directory
        g.logged("reloaded")                       waits for a line of the log

    Gateway(tls=False)                             plaintext on loopback, the local user
    Gateway(config={"oidc": {...}}, flags=["--log-level", "debug"], env={...})
    g.write_config({...}); g.hup()                 another configuration

With CV_DB_URL every gateway keeps its objects in a database of its own there: the URL of a PostgreSQL
with {db} where the database's name belongs (tests/gateway/postgres.py runs a test so).

Statuses: `gatewaylab.code_of(lambda: g.stub.X(...))` gives ("NOT_FOUND", "sandbox not found").
Commands: `gatewaylab.said(g.stub.ExecSandbox(...))` gives exit code, stdout, stderr, and both as they came.
"""
import base64
import collections
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time

import look
import rpclab

os.environ.setdefault("GRPC_VERBOSITY", "NONE")
import grpc  # noqa: E402

EXE = os.environ.get("CV_GATEWAY", os.path.join(rpclab.BUILD, "src/gateway/cove-gateway"))
START_S = 45  # a busy machine with sanitizers


def code_of(call):
    """What a call ended with: ("OK", its answer) or (the code's name, the sentence)."""
    try:
        return "OK", call()
    except grpc.RpcError as e:
        return e.code().name, e.details()


def until(what, seconds=45, why=""):
    """What `what` says, once that is true; `why` may be a function, too."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if v := what():
            return v
        time.sleep(0.02)
    raise AssertionError(f"it did not come to that: {why() if callable(why) else why}")


Said = collections.namedtuple("Said", "code out err both")


def said(events):
    """What the events of an exec say; its code is None where no exit was among them."""
    code, parts = None, []
    for e in events:
        kind = e.WhichOneof("payload")
        if kind == "exit":
            code = e.exit.exit_code
        else:
            parts.append((kind, getattr(e, kind).data))
    return Said(code, *(b"".join(data for kind, data in parts if kind in kinds)
                        for kinds in (("stdout",), ("stderr",), ("stdout", "stderr"))))


def is_standing(pid):
    """Keeper (the nursery's child) and PID 1 of the supervisor's sandbox are there."""
    return "cove-init" in look.names_below(pid) and bool(look.adopted(pid))


class Gateway:
    def __init__(self, tls=True, config=None, flags=(), env=None, directory=None, start=True):
        self.is_own = directory is None
        self.directory = directory or tempfile.mkdtemp(prefix="cove-gw-", dir="/tmp")
        self.state = os.path.join(self.directory, "state")
        self.config_path = os.path.join(self.directory, "gateway.yaml")
        self.tls = tls
        self.flags = list(flags)
        self.env = dict(os.environ, HOME=self.directory,
                        XDG_STATE_HOME=os.path.join(self.directory, "xdg-state"),
                        XDG_CONFIG_HOME=os.path.join(self.directory, "xdg-config"))
        for name in [n for n in self.env if n.startswith(("COVE_", "OPENSHELL_"))]:
            del self.env[name]
        self.env.update(env or {})
        self._database()
        self.pb, self.stubs = rpclab.openshell()
        self.process, self.port, self.lines, self._channels = None, 0, [], []
        self._said = threading.Condition()
        self.write_config(config or {})
        if tls and not os.path.exists(os.path.join(self.state, "tls")):
            self.run("init", "--state-dir", self.state)
        self.client = os.path.join(self.directory, "xdg-config/cove/gateways/cove/mtls")
        if start:
            self.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _database(self):
        url = os.environ.get("CV_DB_URL")
        if not url or any(w.startswith("--db-url") for w in self.flags):
            return
        name = os.path.basename(self.directory).replace("-", "_").lower()
        subprocess.run(["psql", "-X", "-q", "-d", url.format(db="postgres"), "-c",
                        f"CREATE DATABASE {name}"], check=self.is_own, capture_output=True)
        self.env["COVE_DB_URL"] = url.format(db=name)

    def write_config(self, config):
        """JSON is YAML."""
        with open(self.config_path, "w", encoding="utf-8") as f:
            json.dump(config, f)

    def run(self, *words, check=True):
        """A command of the program: run("init"), run("config", "check", FILE)."""
        return subprocess.run([EXE, *words], env=self.env, check=check, capture_output=True, text=True)

    # ---- the process ----

    def start(self):
        """Starts, and waits until it serves.  RuntimeError with what it said if it doesn't."""
        words = [EXE, "run", "--config", self.config_path, "--state-dir", self.state, "--port",
                 str(self.port)]
        if not self.tls:
            words.append("--disable-tls")
        begun = len(self.lines)
        self.process = subprocess.Popen(words + self.flags, env=self.env, stderr=subprocess.PIPE,
                                        text=True, errors="replace", start_new_session=True)
        threading.Thread(target=self._read, args=(self.process,), daemon=True).start()
        if not self.logged("ready", begun, START_S):
            self.process.kill()
            raise RuntimeError("the gateway does not start:\n" + "\n".join(self.lines[begun:]))
        return self.reconnect()

    def reconnect(self):
        """To a process that has started itself again, perhaps at another port."""
        self._disconnect()
        with open(os.path.join(self.state, "port"), encoding="ascii") as f:
            self.port = int(f.read())
        self.stub = self.connect()
        return self

    def _read(self, process):
        for line in process.stderr:
            with self._said:
                self.lines.append(line.rstrip("\n"))
                self._said.notify_all()
        with self._said:
            self._said.notify_all()

    def logged(self, word, since=0, seconds=20):
        """The first line with the word from line `since` on, waited for; None."""
        end = time.monotonic() + seconds
        with self._said:
            while True:
                for line in self.lines[since:]:
                    if word in line:
                        return line
                left = end - time.monotonic()
                if left <= 0 or (self.process.poll() is not None and not self._said.wait(0.2)):
                    return None
                self._said.wait(min(left, 0.2))

    def hup(self):
        """SIGHUP, and the line that says what came of it."""
        since = len(self.lines)
        self.process.send_signal(signal.SIGHUP)
        return self.logged("reloaded", since)

    def kill(self):
        """As a crash would."""
        self._disconnect()
        self.process.kill()
        self.process.wait()

    def stop(self, seconds=30):
        """SIGTERM; the exit status."""
        self._disconnect()
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def close(self):
        if self.process and self.process.poll() is None:
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                pass
        if self.is_own:
            shutil.rmtree(self.directory, ignore_errors=True)

    # ---- what it writes down ----

    def supervisor(self, sandbox_id):
        """The pid of a sandbox's supervisor, by the file `run`; 0: it has none, or none yet."""
        try:
            with open(os.path.join(self.state, "sandboxes", sandbox_id, "run"), encoding="ascii") as f:
                return int(f.read().split("\n")[1].split()[0])
        except (OSError, IndexError, ValueError):
            return 0

    def spares(self):
        """Those of the sandboxes that stand for nobody yet."""
        place = os.path.join(self.state, "sandboxes")
        return {self.supervisor(n) for n in os.listdir(place) if n.startswith("spare-")} - {0}

    # ---- callers ----

    def _disconnect(self):
        for channel in self._channels:
            channel.close()
        self._channels = []

    def _bytes(self, name):
        with open(os.path.join(self.client, name), "rb") as f:
            return f.read()

    def channel(self, certificate=True, token=None, options=()):
        """A channel; with a token the caller shows it, certificate or not."""
        target = "localhost:%d" % self.port
        if not self.tls:
            channel = grpc.insecure_channel("127.0.0.1:%d" % self.port, options=list(options))
        else:
            pair = (self._bytes("tls.key"), self._bytes("tls.crt")) if certificate else (None, None)
            credentials = grpc.ssl_channel_credentials(self._bytes("ca.crt"), *pair)
            channel = grpc.secure_channel(target, credentials, options=list(options))
        self._channels.append(channel)
        return grpc.intercept_channel(channel, _Bearer(token)) if token else channel

    def connect(self, certificate=None, token=None):
        """The OpenShell service as somebody: by default the certificate's user, or who has the token."""
        return self.stubs.OpenShellStub(
            self.channel(token is None if certificate is None else certificate, token))

    def sandbox_token(self, sandbox_id):
        """A token as the gateway would mint it for the sandbox, by its own key."""
        def part(b):
            return base64.urlsafe_b64encode(b).rstrip(b"=")

        def read(name):
            with open(os.path.join(self.state, name), encoding="ascii") as f:
                return f.read().strip()
        issuer = "openshell-gateway:" + read("id")
        head = {"alg": "EdDSA", "kid": read("tls/jwt/kid")}
        claims = {"sub": "spiffe://openshell/sandbox/" + sandbox_id, "iss": issuer, "aud": issuer,
                  "iat": int(time.time()), "exp": 0, "sandbox_id": sandbox_id}
        text = part(json.dumps(head).encode()) + b"." + part(json.dumps(claims).encode())
        with tempfile.NamedTemporaryFile() as f:
            f.write(text)
            f.flush()
            signature = subprocess.run(
                ["openssl", "pkeyutl", "-sign", "-rawin", "-inkey",
                 os.path.join(self.state, "tls/jwt/signing.pem"), "-in", f.name],
                check=True, capture_output=True).stdout
        return (text + b"." + part(signature)).decode()

    def inference(self, certificate=True, token=None):
        return rpclab.module("inference_pb2_grpc").InferenceStub(self.channel(certificate, token))

    def url(self, path):
        return "%s://%s:%d%s" % ("https" if self.tls else "http", "localhost" if self.tls else "127.0.0.1",
                                 self.port, path)

    def get(self, path, *words, certificate=False):
        """curl: (status, body).  words: more of its options."""
        command = ["curl", "-sS", "--max-time", "20", "-w", "\n%{http_code}", *words]
        if self.tls:
            command += ["--cacert", os.path.join(self.client, "ca.crt")]
        if self.tls and certificate:
            command += ["--cert", os.path.join(self.client, "tls.crt"), "--key",
                        os.path.join(self.client, "tls.key")]
        done = subprocess.run(command + [self.url(path)], capture_output=True, text=True, check=True)
        body, _, status = done.stdout.rpartition("\n")
        return int(status), body


class _Bearer(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor,
              grpc.StreamUnaryClientInterceptor, grpc.StreamStreamClientInterceptor):
    def __init__(self, token):
        self.field = ("authorization", "Bearer " + token)

    def _with(self, details):
        return grpc._interceptor._ClientCallDetails(
            details.method, details.timeout, list(details.metadata or []) + [self.field],
            details.credentials, details.wait_for_ready, details.compression)

    def intercept_unary_unary(self, continuation, details, request):
        return continuation(self._with(details), request)

    intercept_unary_stream = intercept_unary_unary
    intercept_stream_unary = intercept_unary_unary
    intercept_stream_stream = intercept_unary_unary
