# SPDX-License-Identifier: Apache-2.0
"""Issuers of tokens: OAuth, Google, STS and GitHub, over TLS; each checks what it is sent by its own
means (hmac, openssl), so that a wrong signature is a refusal here as it would be there.

    POST /oauth/token                        refresh token, client credentials, Google's assertions
    POST /sts                                AssumeRole, signed with SigV4
    POST /app/installations/ID/access_tokens GitHub App

`down` answers everything with 503; `revoked` refuses what tokens are renewed with."""
import base64
import datetime
import hashlib
import hmac
import http.server
import json
import os
import subprocess
import tempfile
import time
import urllib.parse

import world

CLIENT, CLIENT_SECRET = "client-1", "client-s3cr3t/+="
KEY_ID, KEY_SECRET, REGION = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "eu-west-1"
APP, INSTALLATION, ACCOUNT = "77", "4242", "sa@project.example.test"


def unbase64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def rsa_key(directory):
    """(path of the private key, path of the public one)"""
    private, public = os.path.join(directory, "rsa.key"), os.path.join(directory, "rsa.pub")
    subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048",
                    "-out", private], check=True, capture_output=True)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True,
                   capture_output=True)
    return private, public


def jwt_claims(token, public):
    """The claims of an RS256 token, or None if the signature is wrong."""
    signed, _, signature = token.rpartition(".")
    header, _, claims = signed.partition(".")
    with tempfile.NamedTemporaryFile() as f:
        f.write(unbase64(signature))
        f.flush()
        done = subprocess.run(["openssl", "dgst", "-sha256", "-verify", public, "-signature", f.name],
                              input=signed.encode(), capture_output=True, check=False)
    if done.returncode or json.loads(unbase64(header))["alg"] != "RS256":
        return None
    return json.loads(unbase64(claims))


def sigv4_is_right(method, path, headers, body, service):
    headers = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
    fields = dict(part.strip().split("=", 1)
                  for part in headers["authorization"].split(" ", 1)[1].split(","))
    names, scope = fields["SignedHeaders"], fields["Credential"].split("/", 1)[1]
    canonical = "\n".join([method, path, "", *(f"{n}:{headers[n]}" for n in names.split(";")), "", names,
                           hashlib.sha256(body).hexdigest()])
    text = "\n".join(["AWS4-HMAC-SHA256", headers["x-amz-date"], scope,
                      hashlib.sha256(canonical.encode()).hexdigest()])
    key = b"AWS4" + KEY_SECRET.encode()
    for word in (headers["x-amz-date"][:8], REGION, service, "aws4_request"):
        key = hmac.new(key, word.encode(), hashlib.sha256).digest()
    made = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    when = datetime.datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(
        tzinfo=datetime.timezone.utc).timestamp()
    return hmac.compare_digest(made, fields["Signature"]) and abs(when - time.time()) < 300 and \
        {"host", "x-amz-date", "content-type"} <= set(names.split(";"))


def stamp(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.seen.append((self.path, dict(self.headers.items()), body))
        time.sleep(self.server.slow)
        if self.server.down:
            return self.reply(503, "text/plain", "down", {"Retry-After": "11"})
        if self.path == "/oauth/token":
            return self.reply(*self.oauth(dict(urllib.parse.parse_qsl(body.decode()))))
        if self.path == "/sts":
            return self.reply(*self.sts(body))
        if self.path == f"/app/installations/{INSTALLATION}/access_tokens":
            return self.reply(*self.github())
        return self.reply(404, "application/json", "{}")

    def reply(self, status, kind, body, headers=()):
        self.send_response(status)
        for name, value in {"Content-Type": kind, **dict(headers)}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def oauth(self, form):
        def refuse(status, word):
            return status, "application/json", json.dumps({"error": word})

        grant = form.get("grant_type")
        if grant == "urn:ietf:params:oauth:grant-type:jwt-bearer":
            claims = jwt_claims(form["assertion"], self.server.public)
            if not claims or claims["iss"] != ACCOUNT or not claims["aud"].endswith("/oauth/token") \
                    or claims["exp"] - claims["iat"] > 3600 or self.server.revoked:
                return refuse(400, "invalid_grant")
        else:
            given = form.get("client_id"), form.get("client_secret")
            if self.headers.get("Authorization", "").startswith("Basic "):
                pair = base64.b64decode(self.headers["Authorization"][6:]).decode()
                given = tuple(map(urllib.parse.unquote, pair.split(":")))
            if given != (CLIENT, CLIENT_SECRET):
                return refuse(401, "invalid_client")
            if grant not in ("refresh_token", "client_credentials"):
                return refuse(400, "unsupported_grant_type")
            if grant == "refresh_token" and (form["refresh_token"] != self.server.refresh_token or
                                             self.server.revoked):
                return refuse(400, "invalid_grant")
        self.server.count += 1
        answer = {"access_token": self.server.token % self.server.count, "token_type": "Bearer",
                  "expires_in": self.server.lifetime}
        if grant == "refresh_token":  # each holds once
            self.server.refresh_token = answer["refresh_token"] = f"rt-{self.server.count}"
        return 200, "application/json", json.dumps(answer)

    def sts(self, body):
        if not sigv4_is_right("POST", self.path, self.headers, body, "sts"):
            return 403, "text/xml", "<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code></Error></ErrorResponse>"
        if self.server.revoked:
            return 403, "text/xml", "<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>"
        self.server.count += 1
        return 200, "text/xml", (
            '<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>'
            f"<AccessKeyId>ASIA{self.server.count}</AccessKeyId><SecretAccessKey>sk</SecretAccessKey>"
            f"<SessionToken>st</SessionToken><Expiration>{stamp(900)}</Expiration></Credentials>"
            "</AssumeRoleResult></AssumeRoleResponse>")

    def github(self):
        claims = jwt_claims(self.headers.get("Authorization", "").removeprefix("Bearer "), self.server.public)
        if not claims or claims["iss"] != APP or claims["exp"] - claims["iat"] > 600 or \
                not self.headers.get("User-Agent"):
            return 401, "application/json", '{"message":"A JSON web token could not be decoded"}'
        if self.server.revoked:
            return 404, "application/json", "{}"
        self.server.count += 1
        return 201, "application/json", json.dumps({"token": f"ghs_{self.server.count}", "expires_at": stamp(3600),
                                                    "permissions": {}})

    def log_message(self, *_):
        pass


def start(address, port, pki):
    """A world.Server with what the handlers above look at."""
    private, public = rsa_key(pki.dir)
    server = world.Server(address, port, pki, handler=_Handler)
    server.down = server.revoked = False
    server.lifetime, server.slow, server.token = 600, 0, "at-%d"
    server.count, server.refresh_token = 0, "rt-0"
    server.private, server.public = private, public
    return server
