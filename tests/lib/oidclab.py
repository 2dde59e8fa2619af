# SPDX-License-Identifier: Apache-2.0
"""An OpenID issuer on loopback: discovery, keys, tokens of RS256, ES256 and EdDSA.

    issuer = oidclab.Issuer()
    issuer.token("alice", roles=["openshell-user"])        with its first key
    issuer.token("alice", key=issuer.add("ES256"))         with another
    issuer.rotate()                                        other keys from now on

It logs people in, too: /authorize (a browser is sent back at once), /device, /activate, /token with
authorization_code and PKCE, device_code, refresh_token (each good once) and client_credentials; clients
are openshell-cli, which is public, and robot with the secret "hush/+&=".  What was posted is in `forms`.

    issuer.consents = False                    whoever is asked says no
    issuer.enter(code)                         somebody enters a device's code
    issuer.lives_s = 1                         of tokens to come; 0: the answer doesn't say
    Issuer(tls=True)                           https://localhost, with issuer.ca

Signatures are made by `cryptography` if it is there, else by openssl; nothing of ours signs here.
"""
import base64
import hashlib
import http.server
import json
import os
import secrets
import ssl
import subprocess
import tempfile
import threading
import time
import urllib.parse


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _openssl(*words, data=None):
    return subprocess.run(["openssl", *words], input=data, check=True, capture_output=True).stdout


class Key:
    """A key pair, as JWK too."""
    KINDS = {
        "RS256": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
        "ES256": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
        "EdDSA": ["-algorithm", "ED25519"],
    }

    def __init__(self, alg, kid, directory):
        self.alg, self.kid = alg, kid
        self.path = os.path.join(directory, kid + ".pem")
        _openssl("genpkey", *self.KINDS[alg], "-out", self.path)
        self.der = _openssl("pkey", "-in", self.path, "-pubout", "-outform", "DER")

    def jwk(self):
        common = {"kid": self.kid, "use": "sig", "alg": self.alg}
        if self.alg == "EdDSA":
            return dict(common, kty="OKP", crv="Ed25519", x=b64(self.der[-32:]))
        if self.alg == "ES256":
            return dict(common, kty="EC", crv="P-256", x=b64(self.der[-64:-32]), y=b64(self.der[-32:]))
        modulus = _openssl("rsa", "-in", self.path, "-noout", "-modulus").decode().strip()
        return dict(common, kty="RSA", n=b64(bytes.fromhex(modulus.partition("=")[2])), e="AQAB")

    def sign(self, data):
        with tempfile.NamedTemporaryFile() as f:
            f.write(data)
            f.flush()
            if self.alg == "EdDSA":
                return _openssl("pkeyutl", "-sign", "-inkey", self.path, "-rawin", "-in", f.name)
            sig = _openssl("dgst", "-sha256", "-sign", self.path, f.name)
        if self.alg == "RS256":
            return sig
        # SEQUENCE { INTEGER r, INTEGER s } to r and s of 32 bytes
        rest, out = sig[2:], b""
        for _ in range(2):
            n = rest[1]
            out += rest[2:2 + n].lstrip(b"\0").rjust(32, b"\0")
            rest = rest[2 + n:]
        return out


CLIENT, ROBOT, ROBOT_SECRET = "openshell-cli", "robot", "hush/+&="
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


class Refused(Exception):
    """An error of RFC 6749 section 5.2 and its like."""


class Issuer:
    def __init__(self, audience="openshell-cli", tls=False):
        self.directory = tempfile.TemporaryDirectory(prefix="cove-oidc-")
        self.audience, self.keys, self.made, self.asked = audience, [], 0, []
        self.is_down, self.wrong_issuer = False, None
        self.forms, self.codes, self.devices, self.refreshes, self.ended = [], {}, {}, {}, set()
        self.consents, self.lives_s, self.slow_downs, self.subject = True, 600, 0, "alice"
        self.roles = ("openshell-user",)
        self.iss, self.more = None, {}  # the redirect's iss; members of the description
        self.lock = threading.Lock()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.append(self.path)
                path, _, query = self.path.partition("?")
                if path == "/realm/authorize" and not outer.is_down:
                    return self.redirect(outer.authorize(dict(urllib.parse.parse_qsl(query))))
                body = outer.answer(path)
                self.reply(200 if body else 404, body or b"")

            def do_POST(self):
                text = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                form = dict(urllib.parse.parse_qsl(text, strict_parsing=True))
                try:
                    with outer.lock:
                        outer.forms.append((self.path, form))
                        self.reply(200, outer.post(self.path, form, self.headers.get("Authorization")))
                except Refused as e:
                    self.reply(400, {"error": str(e), "error_description": "because \x1b[31m" + str(e)})

            def reply(self, status, body):
                self.send_response(503 if outer.is_down else status)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                body = json.dumps(body).encode() if isinstance(body, dict) else body
                self.wfile.write(b"" if outer.is_down else body)

            def redirect(self, url):
                self.send_response(302)
                self.send_header("Location", url)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d/realm" % self.server.server_address[1]
        self.ca = os.path.join(self.directory.name, "ca.pem")
        if tls:
            self._tls()
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.add("RS256")

    def _tls(self):
        key = os.path.join(self.directory.name, "ca.key")
        _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                 "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", self.ca)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.ca, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = "https://localhost:%d/realm" % self.server.server_address[1]

    # ---- log-ins ----

    def authorize(self, q):
        """Where the browser goes."""
        host = urllib.parse.urlsplit(q["redirect_uri"])
        assert host.scheme == "http" and host.hostname == "127.0.0.1", q
        assert q["response_type"] == "code" and q["client_id"] == CLIENT, q
        assert q["code_challenge_method"] == "S256" and len(q["code_challenge"]) == 43, q
        assert "openid" in q["scope"].split(), q
        back = {"state": q["state"]}
        if self.iss:
            back["iss"] = self.iss
        if self.consents:
            back["code"] = secrets.token_urlsafe(16)
            self.codes[back["code"]] = q
        else:
            back.update(error="access_denied", error_description="not today")
        return q["redirect_uri"] + "?" + urllib.parse.urlencode(back)

    def enter(self, user_code, allow=True):
        for d in self.devices.values():
            if d["user_code"] == user_code:
                d["answer"] = allow
                return
        raise KeyError(user_code)

    def _client(self, form, authorization):
        if authorization:
            assert authorization.startswith("Basic "), authorization
            pair = base64.b64decode(authorization[6:]).decode().split(":")
            name, secret = map(urllib.parse.unquote, pair)
            assert "client_id" not in form and "client_secret" not in form, form
        else:
            name, secret = form.get("client_id"), form.get("client_secret")
        if (name, secret) not in ((CLIENT, None), (ROBOT, ROBOT_SECRET)):
            raise Refused("invalid_client")
        return name

    def post(self, path, form, authorization):
        client = self._client(form, authorization)
        if path == "/realm/device":
            code, user_code = secrets.token_urlsafe(16), secrets.token_hex(3).upper()
            self.devices[code] = {"user_code": user_code, "answer": None, "asked": 0.0}
            return {"device_code": code, "user_code": user_code, "verification_uri": self.url + "/activate",
                    "expires_in": 60, "interval": 1}
        assert path == "/realm/token", path
        grants = {"authorization_code": self._by_code, DEVICE_GRANT: self._by_device,
                  "refresh_token": self._by_refresh, "client_credentials": self._by_secret}
        if form.get("grant_type") not in grants:
            raise Refused("unsupported_grant_type")
        family = grants[form["grant_type"]](form, client)
        subject = self.subject if client == CLIENT else client
        answer = {"access_token": self.token(subject, self.roles, jti=secrets.token_hex(4)), "token_type": "bearer"}
        if self.lives_s:
            answer["expires_in"] = self.lives_s
        if family:
            answer["refresh_token"] = secrets.token_urlsafe(16)
            self.refreshes[answer["refresh_token"]] = family
        return answer

    def _by_code(self, form, client):
        q = self.codes.pop(form["code"], None)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        if not q or q["redirect_uri"] != form["redirect_uri"] or q["client_id"] != client or \
                b64(digest) != q["code_challenge"]:
            raise Refused("invalid_grant")
        return secrets.token_hex(4)

    def _by_device(self, form, _client):
        d = self.devices.get(form["device_code"])
        if not d:
            raise Refused("expired_token")
        early, d["asked"] = time.monotonic() - d["asked"] < 0.8, time.monotonic()
        assert not early, "asked again too soon"
        if self.slow_downs:
            self.slow_downs -= 1
            raise Refused("slow_down")
        if d["answer"] is None:
            raise Refused("authorization_pending")
        del self.devices[form["device_code"]]
        if not d["answer"]:
            raise Refused("access_denied")
        return secrets.token_hex(4)

    def _by_refresh(self, form, _client):
        """Twice is a thief: all of the family ends."""
        family = self.refreshes.get(form["refresh_token"])
        if not family or family in self.ended:
            raise Refused("invalid_grant")
        if family.startswith("used "):
            self.ended.add(family[5:])
            raise Refused("invalid_grant")
        self.refreshes[form["refresh_token"]] = "used " + family
        return family

    def _by_secret(self, _form, client):
        if client != ROBOT:
            raise Refused("unauthorized_client")
        return None

    def answer(self, path):
        if path == "/realm/.well-known/openid-configuration":
            return json.dumps(dict({"issuer": self.wrong_issuer or self.url, "jwks_uri": self.url + "/keys",
                                    "authorization_endpoint": self.url + "/authorize",
                                    "device_authorization_endpoint": self.url + "/device",
                                    "token_endpoint": self.url + "/token"}, **self.more)).encode()
        if path == "/realm/keys":
            return json.dumps({"keys": [k.jwk() for k in self.keys]}).encode()
        return None

    def add(self, alg):
        self.made += 1
        key = Key(alg, "key-%d" % self.made, self.directory.name)
        self.keys.append(key)
        return key

    def rotate(self, alg="RS256"):
        self.keys = []
        return self.add(alg)

    def token(self, subject="alice", roles=("openshell-user",), key=None, header=None, lives_s=600,
              signature=None, **claims):
        key = key or self.keys[0]
        now = int(time.time())
        body = {"iss": self.url, "aud": self.audience, "sub": subject, "iat": now, "exp": now + lives_s,
                "preferred_username": subject + "@example", "realm_access": {"roles": list(roles)}}
        body.update(claims)
        body = {k: v for k, v in body.items() if v is not None}
        head = dict({"alg": key.alg, "typ": "JWT", "kid": key.kid}, **(header or {}))
        signed = b64(json.dumps(head).encode()) + "." + b64(json.dumps(body).encode())
        return signed + "." + b64(key.sign(signed.encode()) if signature is None else signature)

    def count(self):
        """How often the keys were asked for."""
        return self.asked.count("/realm/keys")

    def close(self):
        self.server.shutdown()
        self.directory.cleanup()
