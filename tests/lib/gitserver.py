# SPDX-License-Identifier: Apache-2.0
"""Repositories over HTTPS, as git itself serves them (git http-backend), and ways to make bad ones.

`private/` needs the name and password of the server; `seen` has what each request brought along.
"""
import base64
import http.server
import os
import ssl
import subprocess
import threading

BACKEND = "/usr/lib/git-core/git-http-backend"
ENV = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1",
       "GIT_CONFIG_GLOBAL": "/dev/null", "LC_ALL": "C",
       "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.test",
       "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@example.test",
       "GIT_AUTHOR_DATE": "1700000000 +0000", "GIT_COMMITTER_DATE": "1700000000 +0000"}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _plain(self, status, body=b"", **headers):
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _do(self):
        body = self._body()
        git = self.server.git
        path, _, query = self.path.partition("?")
        git.seen.append({"path": self.path, "method": self.command,
                         "headers": dict(self.headers.items())})
        if path.startswith("/moved/"):
            self._plain(301, Location=self.path.replace("/moved/", "/public/"))
            return
        if path.startswith("/slow/"):
            git.stopped.wait(30)
            self.close_connection = True
            return
        if path.startswith("/private/"):
            want = "Basic " + base64.b64encode(git.pair.encode()).decode()
            if self.headers.get("Authorization") != want:
                self._plain(401, b"no\n", WWW_Authenticate='Basic realm="git"')
                return
        env = dict(ENV, GIT_PROJECT_ROOT=git.root, GIT_HTTP_EXPORT_ALL="1", PATH_INFO=path,
                   QUERY_STRING=query, REQUEST_METHOD=self.command,
                   CONTENT_TYPE=self.headers.get("Content-Type") or "",
                   CONTENT_LENGTH=str(len(body)), REMOTE_ADDR="127.0.0.1",
                   GIT_PROTOCOL=self.headers.get("Git-Protocol") or "",
                   HTTP_CONTENT_ENCODING=self.headers.get("Content-Encoding") or "")
        done = subprocess.run([BACKEND], input=body, env=env, capture_output=True, check=False)
        head, _, answer = done.stdout.partition(b"\r\n\r\n")
        lines = [line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line]
        status = [value for key, value in lines if key == "Status"]
        self.send_response(int(status[0].split()[0]) if status else 200)
        for key, value in lines:
            if key != "Status":
                self.send_header(key, value)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = _do

    def log_message(self, *_):
        pass


class GitServer:
    def __init__(self, directory, pki, pair="x-access-token:secret", at=("127.0.0.1", 0)):
        self.root = os.path.join(directory, "repos")
        self.pair, self.seen, self.stopped = pair, [], threading.Event()
        os.makedirs(self.root)
        self.http = http.server.ThreadingHTTPServer(at, Handler)
        self.http.handle_error = lambda *_: None  # a client that is gone
        self.http.daemon_threads = True
        self.http.git = self
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pki.cert, pki.key)
        self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        self.port = self.http.server_address[1]
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def repo(self, name):
        return Repo(os.path.join(self.root, name + ".git"))


class Repo:
    """A bare repository that is written object by object, so that nothing keeps it from being bad."""

    def __init__(self, path):
        self.path = path
        subprocess.run(["git", "init", "-q", "--bare", "-b", "main", path], check=True, env=ENV)
        self.git("config", "uploadpack.allowAnySHA1InWant", "true")
        self.head = None

    def git(self, *argv, data=None):
        if isinstance(data, str):
            data = data.encode()
        return subprocess.run(["git", "-C", self.path, *argv], check=True, env=ENV, input=data,
                              capture_output=True).stdout.decode().strip()

    def blob(self, data):
        return self.git("hash-object", "-w", "--stdin", data=data)

    def tree(self, entries):
        """entries: name -> bytes or str (a file), (mode, data), or a dict (a directory)."""
        raw, rows = b"", []
        for name, what in entries.items():
            mode = "100644"
            if isinstance(what, tuple):
                mode, what = what
            if isinstance(what, dict):
                mode, sha = "40000", self.tree(what)
            elif mode in ("160000", "40000"):
                sha = what
            else:
                sha = self.blob(what)
            key = name.encode() + (b"/" if mode == "40000" else b"")
            rows.append((key, mode.encode() + b" " + name.encode() + b"\0" + bytes.fromhex(sha)))
        for _, row in sorted(rows):
            raw += row
        return self.git("hash-object", "-w", "-t", "tree", "--literally", "--stdin", data=raw)

    def commit(self, entries, ref="refs/heads/main", message="one"):
        tree = entries if isinstance(entries, str) else self.tree(entries)
        parents = ["-p", self.head] if self.head else []
        self.head = self.git("commit-tree", tree, *parents, "-m", message)
        self.git("update-ref", ref, self.head)
        return self.head
