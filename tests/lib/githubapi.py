# SPDX-License-Identifier: Apache-2.0
"""As much of GitHub's REST API as catalogs/github.yaml asks, over TLS, and strict about what arrives.

What a real server would refuse is refused here: another version of the API, a token that is not the
one, a body with a field that the operation does not have, an unknown repository.
"""
import base64
import http.server
import json
import re
import ssl
import threading
import urllib.parse


class Refused(Exception):
    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


def fields(body, required, optional=()):
    if not isinstance(body, dict):
        raise Refused(400, "body is no object")
    for name in required:
        if name not in body:
            raise Refused(422, f"{name} is missing")
    for name in body:
        if name not in required and name not in optional:
            raise Refused(422, f"{name} is not a field of this")
    return body


class GitHub:
    def __init__(self, pki, token, prefix="", address="127.0.0.1", port=0, cert=None):
        self.token, self.prefix, self.seen = token, prefix, []
        self.issues, self.pulls, self.comments = {}, {}, []
        self.refs = {"refs/heads/main": "a" * 40}
        self.files = {"README.md": b"# app\n"}
        self.lock = threading.Lock()
        self.http = http.server.ThreadingHTTPServer((address, port), Handler)
        self.http.handle_error = lambda *_: None  # a client that is gone
        self.http.daemon_threads = True
        self.http.github = self
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*(cert or (pki.cert, pki.key)))
        self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        self.port = self.http.server_address[1]
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    # ---- operations: (method, pattern, function of match, query, body) ----

    def issue_list(self, _, query, __):
        state = query.get("state", "open")
        return 200, [i for i in self.issues.values() if state in ("all", i["state"])]

    def issue_get(self, match, *_):
        number = int(match["number"])
        if number not in self.issues:
            raise Refused(404, "Not Found")
        return 200, self.issues[number]

    def issue_create(self, _, __, body):
        fields(body, ["title"], ["body", "labels", "assignees", "milestone"])
        number = len(self.issues) + len(self.pulls) + 1
        self.issues[number] = {"number": number, "state": "open", **body}
        return 201, self.issues[number]

    def comment(self, match, _, body):
        fields(body, ["body"])
        number = int(match["number"])
        if number not in self.issues and number not in self.pulls:
            raise Refused(404, "Not Found")
        self.comments.append((number, body["body"]))
        return 201, {"id": len(self.comments), "body": body["body"]}

    def pr_list(self, *_):
        return 200, list(self.pulls.values())

    def pr_get(self, match, *_):
        number = int(match["number"])
        if number not in self.pulls:
            raise Refused(404, "Not Found")
        return 200, self.pulls[number]

    def pr_create(self, _, __, body):
        fields(body, ["title", "head", "base"], ["body", "draft"])
        if "refs/heads/" + body["head"] not in self.refs:
            raise Refused(422, "head does not exist")
        number = len(self.issues) + len(self.pulls) + 1
        self.pulls[number] = {"number": number, **body}
        return 201, self.pulls[number]

    def contents_get(self, match, *_):
        path = urllib.parse.unquote(match["path"])
        if path not in self.files:
            raise Refused(404, "Not Found")
        return 200, {"path": path, "sha": "b" * 40, "encoding": "base64",
                     "content": base64.b64encode(self.files[path]).decode()}

    def contents_put(self, match, _, body):
        fields(body, ["message", "content"], ["branch", "sha"])
        path = urllib.parse.unquote(match["path"])
        if path in self.files and "sha" not in body:
            raise Refused(422, "sha wasn't supplied")
        self.files[path] = base64.b64decode(body["content"], validate=True)
        return 201, {"content": {"path": path}, "branch": body.get("branch", "main")}

    def branch_get(self, match, *_):
        name = "refs/heads/" + urllib.parse.unquote(match["branch"])
        if name not in self.refs:
            raise Refused(404, "Branch not found")
        return 200, {"name": name[11:], "commit": {"sha": self.refs[name]}}

    def ref_create(self, _, __, body):
        fields(body, ["ref", "sha"])
        if body["ref"] in self.refs:
            raise Refused(422, "Reference already exists")
        self.refs[body["ref"]] = body["sha"]
        return 201, {"ref": body["ref"]}

    def ref_update(self, match, _, body):
        fields(body, ["sha"], ["force"])
        ref = "refs/" + urllib.parse.unquote(match["ref"])
        if ref not in self.refs:
            raise Refused(422, "Reference does not exist")
        if body.get("force"):
            raise Refused(422, "forced")
        self.refs[ref] = body["sha"]
        return 200, {"ref": ref}

    ROUTES = [("GET", r"issues", issue_list), ("GET", r"issues/(?P<number>\d+)", issue_get),
              ("POST", r"issues", issue_create), ("POST", r"issues/(?P<number>\d+)/comments", comment),
              ("GET", r"pulls", pr_list), ("GET", r"pulls/(?P<number>\d+)", pr_get),
              ("POST", r"pulls", pr_create), ("GET", r"contents/(?P<path>.+)", contents_get),
              ("PUT", r"contents/(?P<path>.+)", contents_put),
              ("GET", r"branches/(?P<branch>.+)", branch_get), ("POST", r"git/refs", ref_create),
              ("PATCH", r"git/refs/(?P<ref>.+)", ref_update)]

    def handle(self, method, target, headers, body):
        path, _, query = target.partition("?")
        self.seen.append({"method": method, "path": path, "query": query, "headers": headers, "body": body})
        if headers.get("Authorization") != "Bearer " + self.token:
            raise Refused(401, "Bad credentials")
        if headers.get("X-GitHub-Api-Version") != "2022-11-28" or not headers.get("User-Agent"):
            raise Refused(403, "a version of the API and a user agent are needed")
        if headers.get("Accept") != "application/vnd.github+json":
            raise Refused(415, "Accept")
        where = re.fullmatch(re.escape(self.prefix) + r"/repos/([^/]+)/([^/]+)/(.*)", path)
        if not where or (where[1], where[2]) not in (("acme", "app"), ("acme", "other")):
            raise Refused(404, "Not Found")
        for known, pattern, function in self.ROUTES:
            match = re.fullmatch(pattern, where[3])
            if match and known == method:
                value = json.loads(body) if body else None
                if method == "GET" and body:
                    raise Refused(400, "GET with a body")
                with self.lock:
                    return function(self, match, dict(urllib.parse.parse_qsl(query)), value)
        raise Refused(404, "Not Found")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _do(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            status, value = self.server.github.handle(self.command, self.path,
                                                      dict(self.headers.items()), body)
        except Refused as e:
            status, value = e.status, {"message": str(e)}
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _do

    def log_message(self, *_):
        pass
