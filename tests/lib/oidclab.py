# SPDX-License-Identifier: Apache-2.0
"""An OpenID issuer on loopback: discovery, keys, tokens of RS256, ES256 and EdDSA.

    issuer = oidclab.Issuer()
    issuer.token("alice", roles=["openshell-user"])        with its first key
    issuer.token("alice", key=issuer.add("ES256"))         with another
    issuer.rotate()                                        other keys from now on

Signatures are made by `cryptography` if it is there, else by openssl; nothing of ours signs here.
"""
import base64
import http.server
import json
import os
import subprocess
import tempfile
import threading
import time


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


class Issuer:
    def __init__(self, audience="openshell-cli"):
        self.directory = tempfile.TemporaryDirectory(prefix="cove-oidc-")
        self.audience, self.keys, self.made, self.asked = audience, [], 0, []
        self.is_down, self.wrong_issuer = False, None
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.append(self.path)
                body = outer.answer(self.path)
                self.send_response(503 if outer.is_down else 200 if body else 404)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(b"" if outer.is_down else body or b"")

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d/realm" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.add("RS256")

    def answer(self, path):
        if path == "/realm/.well-known/openid-configuration":
            return json.dumps({"issuer": self.wrong_issuer or self.url,
                               "jwks_uri": self.url + "/keys"}).encode()
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
