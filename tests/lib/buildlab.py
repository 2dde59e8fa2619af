# SPDX-License-Identifier: Apache-2.0
"""Container builds for tests: registries, contexts, and the tool as a script in a sandbox calls it."""
import base64
import crypt
import http.server
import json
import os
import pwd
import secrets
import shutil
import subprocess
import time

import world

ENGINE = os.environ.get("CV_ENGINE", "buildah")
HEAD = ("A=\"Authorization: Bearer $COVE_TOOLS_TOKEN\"; J='Content-Type: application/json'; "
        "U=$COVE_TOOLS_URL; call() { curl -sS -m 150 -H \"$A\" -H \"$J\" \"$U/v1/tools/$1\" -d \"$2\"; echo; }\n")
BUSYBOX = "FROM scratch\nCOPY busybox /bin/busybox\n"


def needed(tap, *programs):
    """Ends a test where a program is missing."""
    for program in (ENGINE, "busybox", *programs):
        if not shutil.which(program):
            tap.skip("container builds", f"{program} is not installed")
            tap.done()


class Registry:
    """Debian's docker-registry.  password: of the user `robot`; tokens: (realm, certificate)."""

    def __init__(self, w, port, pki=None, password=None, tokens=None):
        name = f"registry-{port}"
        text = (f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {w.dir}/{name}}}}}\n"
                f"http: {{addr: \"{world.PRIVATE}:{port}\"")
        text += f", tls: {{certificate: {pki.cert}, key: {pki.key}}}}}\n" if pki else "}\n"
        if password:
            line = "robot:" + crypt.crypt(password, crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=1 << 6))
            text += f"auth: {{htpasswd: {{realm: test, path: {w.policy(line, name + '.htpasswd')}}}}}\n"
        if tokens:
            text += (f"auth: {{token: {{realm: \"{tokens[0]}\", service: test, issuer: tokens, "
                     f"rootcertbundle: {tokens[1]}}}}}\n")
        self.process = subprocess.Popen(["docker-registry", "serve", w.policy(text, name + ".yaml")],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def close(self):
        self.process.terminate()
        self.process.wait()


class Tokens:
    """Gives tokens that a Registry takes, to who logs in as `robot`."""

    def __init__(self, w, port, password):
        self.w, self.password = w, password
        self.seen = []  # (path, Authorization)
        self.cert, self.key = w.pki.selfsigned("tokens", ["tokens"])
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", self.key, "-out",
                        self.cert, "-days", "30", "-subj", "/CN=tokens"], check=True, capture_output=True)
        answer = self._answer

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                answer(self)

            def log_message(self, *_):
                pass
        self.server = world.Server(world.PRIVATE, port, pki=w.pki, handler=Handler)

    def _answer(self, h):
        given = h.headers.get("Authorization", "")
        self.seen.append((h.path, given))
        want = "Basic " + base64.b64encode(f"robot:{self.password}".encode()).decode()
        body = json.dumps({"token": self._token(h.path)}).encode() if given == want else b"{}"
        h.send_response(200 if given == want else 401)
        h.send_header("Content-Type", "application/json")
        h.send_header("Content-Length", str(len(body)))
        h.end_headers()
        h.wfile.write(body)

    def _token(self, path):
        """A JWT for what the query asks: scope=repository:NAME:pull,push."""
        query = [p.partition("=")[2] for p in path.partition("?")[2].split("&") if p.startswith("scope=")]
        access = []
        for scope in query:
            kind, name, actions = scope.replace("%3A", ":").replace("%2F", "/").replace("%2C", ",").split(":")
            access.append({"type": kind, "name": name, "actions": actions.split(",")})
        with open(self.cert, encoding="ascii") as f:
            der = "".join(line for line in f.read().splitlines() if "-----" not in line)
        now = int(time.time())

        def part(value):
            data = value if isinstance(value, bytes) else json.dumps(value).encode()
            return base64.urlsafe_b64encode(data).rstrip(b"=")
        text = part({"typ": "JWT", "alg": "RS256", "x5c": [der]}) + b"." + part(
            {"iss": "tokens", "sub": "robot", "aud": "test", "exp": now + 300, "nbf": now - 10, "iat": now,
             "jti": secrets.token_hex(8), "access": access})
        signed = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.key], input=text, check=True,
                                capture_output=True).stdout
        return (text + b"." + part(signed)).decode()


class Builds:
    """Calls of a catalog's tools out of sandboxes of `cove run`."""

    def __init__(self, w, catalog, policy, pins):
        self.w, self.pins = w, pins
        self.tools, self.policy = w.policy(catalog, "tools.yaml"), w.policy(policy)
        self.state = os.path.join(w.dir, "state")
        os.mkdir(self.state, 0o700)
        self.env = {**os.environ, "TMPDIR": self.state}

    def context(self, containerfile=None, name="ctx", **files):
        """A fresh context in the working directory, with busybox in it."""
        path = os.path.join(self.w.work, name)
        subprocess.run(["chmod", "-R", "u+rwx", path], check=False, capture_output=True)
        shutil.rmtree(path, ignore_errors=True)
        os.mkdir(path)
        shutil.copy(shutil.which("busybox"), path)
        if containerfile is not None:
            files["Containerfile"] = containerfile
        for k, v in files.items():
            with open(os.path.join(path, k), "w", encoding="utf-8") as f:
                f.write(v)
        return path

    def cove(self, script, policy=None, timeout=200, **kw):
        return self.w.cove(["/bin/sh", "-c", HEAD + script], policy=policy or self.policy, pins=self.pins,
                           options=["--tools", self.tools], env=self.env, timeout=timeout, **kw)

    def build(self, arguments=None, tool="build_container", more=""):
        """The answer to one call."""
        body = json.dumps({"tag": "app", "context_dir": "ctx", **(arguments or {})})
        r = self.cove(f"call {tool} '{body}'{more}")
        try:
            return json.loads(r.stdout.splitlines()[0])
        except (IndexError, ValueError):
            raise AssertionError((r.stdout, r.stderr)) from None

    def built(self, arguments=None, **kw):
        answer = self.build(arguments, **kw)
        assert "output" in answer and answer["output"]["status"] == "success", answer
        return answer

    def refused(self, code, arguments=None, words="", **kw):
        answer = self.build(arguments, **kw)
        assert answer.get("error") == code, answer
        assert words in answer["detail"] + json.dumps(answer.get("errors", "")), answer
        return answer



def ranges(path):
    """The users that subuid(5), or subgid(5), names."""
    with open(path, encoding="ascii", errors="replace") as f:
        return {line.split(":")[0] for line in f if line.count(":") == 2}


def user_with_ids():
    """Who has a range of ids and can be tried, ourselves or as root anybody; None."""
    if not shutil.which("newuidmap") or not os.path.exists("/etc/subuid") or not os.path.exists("/etc/subgid"):
        return None
    for name in sorted(ranges("/etc/subuid") & ranges("/etc/subgid")):
        try:
            p = pwd.getpwuid(int(name)) if name.isdigit() else pwd.getpwnam(name)
        except KeyError:
            continue
        if p.pw_uid and os.geteuid() in (0, p.pw_uid):
            return p
    return None


def words_of(p):
    """What makes a command that user's."""
    return [] if p.pw_uid == os.geteuid() else [
        "setpriv", f"--reuid={p.pw_uid}", f"--regid={p.pw_gid}", "--clear-groups"]
