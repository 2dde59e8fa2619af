#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The gateway's frame: start and end, who calls, workspaces, pages, what lasts.

Goal: every way of being somebody works with Python's own gRPC, every false one is refused with its
status; an issuer's keys may change; what was stored is there after kill -9; and a person who writes the
configuration wrong is told where.
"""
import json
import os
import re
import socket
import ssl
import stat
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import gatewaylab  # noqa: E402
import oidclab  # noqa: E402
import world  # noqa: E402
from gatewaylab import code_of  # noqa: E402

tap = world.Tap()
Gateway = gatewaylab.Gateway


def user_of(g, **caller):
    return code_of(lambda: g.connect(**caller).GetCurrentUser(g.pb.GetCurrentUserRequest()))


def workspaces(g, **fields):
    return [w.metadata.name for w in g.stub.ListWorkspaces(g.pb.ListWorkspacesRequest(**fields)).workspaces]


def create(g, name, **labels):
    return code_of(lambda: g.stub.CreateWorkspace(g.pb.CreateWorkspaceRequest(name=name, labels=labels)))


def wait_for(what, seconds=45):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.05)
    return False


# ---- mTLS ----

with Gateway(config={"log": {"level": "debug"}}) as g:
    health = g.connect(certificate=False).Health(g.pb.HealthRequest())
    tap.ok(health.status == g.pb.SERVICE_STATUS_HEALTHY and health.version == "0.1.0",
              "Health needs nobody's name")
    code, who = user_of(g)
    tap.ok(code == "OK" and (who.subject, who.identity_provider) == ("cove-user", "mtls") and
              "openshell-admin" in who.roles, "a client certificate is a user", who)
    tap.ok(user_of(g, certificate=False)[0] == "UNAUTHENTICATED", "nobody is nobody")
    code, said = user_of(g, token="x.y.z")
    tap.ok(code == "UNAUTHENTICATED", "t_a bad token is refused", said)
    code, said = user_of(g, certificate=True, token="x.y.z")
    tap.ok(code == "UNAUTHENTICATED", "also beside a good certificate", said)
    info = g.stub.GetGatewayInfo(g.pb.GetGatewayInfoRequest())
    tap.ok(info.gateway_version == "0.1.0" and len(info.compute_drivers) == 1, "GetGatewayInfo", info)

    # Certificates that are no user's.
    pki = world.Pki(g.directory, ["localhost"])
    tls = os.path.join(g.state, "tls/server/tls")
    for what, pair in (("the server's own", (tls + ".crt", tls + ".key")), ("another authority's", (pki.cert, pki.key))):
        done = subprocess.run(["curl", "-sS", "--cacert", os.path.join(g.client, "ca.crt"), "--cert", pair[0],
                               "--key", pair[1], g.url("/healthz")], capture_output=True, text=True, check=False)
        tap.ok(done.returncode != 0, "t_a client certificate is not " + what, done.stderr)

    # ---- workspaces ----
    tap.ok(workspaces(g) == ["default"], "default is there from the start")
    code, made = create(g, "team", tier="front")
    tap.ok(code == "OK" and made.workspace.metadata.resource_version == 1 and
              re.fullmatch("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
                           made.workspace.metadata.id), "a workspace is made", made)
    tap.ok(create(g, "team") == ("ALREADY_EXISTS", "workspace already exists"), "once")
    tap.ok(create(g, "a" * 20) == ("INVALID_ARGUMENT", "name exceeds maximum length (20 > 19)"),
              "its name is short")
    for bad in ("", "-a", "a--b", "A", "a/b"):
        tap.ok(create(g, bad)[0] == "INVALID_ARGUMENT", "no name: %r" % bad)
    tap.ok(create(g, "other", **{"not a key": "x"})[0] == "INVALID_ARGUMENT", "labels are labels")
    create(g, "back", tier="back")
    tap.ok(workspaces(g) == ["back", "default", "team"], "they are listed in order")
    tap.ok(workspaces(g, label_selector="tier=front") == ["team"], "by label")
    tap.ok(workspaces(g, limit=1, offset=1) == ["default"], "a page")
    tap.ok(code_of(lambda: workspaces(g, label_selector="tier"))[0] == "INVALID_ARGUMENT", "a bad selector")
    request = g.pb.DeleteWorkspaceRequest(name="back")
    tap.ok(g.stub.DeleteWorkspace(request).deleted, "one is deleted")
    tap.ok(code_of(lambda: g.stub.DeleteWorkspace(request)) == ("NOT_FOUND", "workspace not found"), "once")
    tap.ok(code_of(lambda: g.stub.DeleteWorkspace(g.pb.DeleteWorkspaceRequest(name="default")))[0] ==
              "FAILED_PRECONDITION", "never the default one")
    tap.ok(g.stub.GetWorkspace(g.pb.GetWorkspaceRequest(name="team")).workspace.metadata.labels["tier"] ==
              "front", "one is got")

    # ---- what is not there ----
    code, said = code_of(lambda: g.stub.ListWorkspaceMembers(g.pb.ListWorkspaceMembersRequest(workspace="team")))
    tap.ok(code == "UNIMPLEMENTED" and "members" in said, "what is not there says so", said)

    # ---- pages ----
    tap.ok(g.get("/healthz") == (200, ""), "/healthz")
    status, body = g.get("/readyz")
    ready = json.loads(body)
    tap.ok(status == 200 and ready["status"] == "healthy" and
              ready["checks"]["database"]["latency_ms"] < 1000, "/readyz asks the store", body)
    status, body = g.get("/metrics")
    tap.ok(status == 200 and
              'openshell_server_grpc_requests_total{method="CreateWorkspace",code="ALREADY_EXISTS"} 1' in body and
              'cove_gateway_objects{kind="workspace"} 2' in body, "/metrics counts", body[:500])
    tap.ok(g.get("/auth/oidc-config")[0] == 404, "no issuer, no issuer's page")
    status, body = g.get("/.well-known/jwks.json")
    jwk = json.loads(body)["keys"][0]
    tap.ok((jwk["kty"], jwk["crv"], jwk["alg"], jwk["use"]) == ("OKP", "Ed25519", "EdDSA", "sig") and
              len(jwk["x"]) == 43, "the key of our tokens is public", body)
    status, body = g.get("/.well-known/openid-configuration")
    tap.ok(json.loads(body)["jwks_uri"] == g.url("/.well-known/jwks.json") and
              json.loads(body)["issuer"].startswith("openshell-gateway:"), "and found", body)
    tap.ok(g.get("/nothing")[0] == 404, "other pages are not there")

    # ---- what lasts ----
    before = g.stub.GetWorkspace(g.pb.GetWorkspaceRequest(name="team")).workspace
    g.kill()
    g.start()
    tap.ok(g.stub.GetWorkspace(g.pb.GetWorkspaceRequest(name="team")).workspace == before,
              "kill -9 loses nothing")
    second = g.run("run", "--config", g.config_path, "--state-dir", g.state, "--port", "0", check=False)
    tap.ok(second.returncode != 0 and "another gateway is running" in second.stderr,
              "two gateways never share a state directory", second.stderr)
    wrong = [os.path.join(d, f) for d, _, files in os.walk(g.state) for f in files
             if stat.S_IMODE(os.stat(os.path.join(d, f)).st_mode) & 0o077]
    tap.ok(not wrong and stat.S_IMODE(os.stat(g.state).st_mode) == 0o700, "its files are private", wrong)

    # ---- keys rotate ----
    old = json.loads(g.get("/.well-known/jwks.json")[1])["keys"]
    g.run("rotate-key", "--state-dir", g.state)
    tap.ok("reloaded" in (g.hup() or ""), "SIGHUP is answered in the log")
    new = json.loads(g.get("/.well-known/jwks.json")[1])["keys"]
    tap.ok(len(old) == 1 and len(new) == 2 and new[1] == old[0] and new[0] != old[0],
              "a new key, and the old one beside it, without a restart", new)

    # ---- reload ----
    g.write_config({"prt": 1})
    tap.ok(g.hup() and "not reloaded" in g.lines[-1] and
              any("gateway.yaml" in line and ":1:2: error: unknown key 'prt'; did you mean 'port'?" in line
                  for line in g.lines), "a bad file is refused, with the place", g.lines[-3:])
    g.write_config({"log": {"format": "json"}, "health_port": 99})
    since = len(g.lines)
    line = g.hup()
    tap.ok(line and json.loads(line)["message"] == "reloaded" and
              any("need a restart" in x and "health_port" in x for x in g.lines[since:]),
              "a good one is taken, but for what needs a restart", g.lines[since:])
    tap.ok(g.stop() == 0, "SIGTERM ends it")

# ---- plaintext ----

with Gateway(tls=False) as g:
    code, who = user_of(g)
    tap.ok(code == "OK" and who.identity_provider == "local_dev", "plaintext on loopback is the local user", who)
    far = g.run("run", "--config", g.config_path, "--state-dir", g.directory + "/far", "--port", "0",
                "--disable-tls", "--bind-address", "0.0.0.0", check=False)
    tap.ok(far.returncode != 0 and "loopback only" in far.stderr, "and on nothing else", far.stderr)

with Gateway(flags=["--allow-unauthenticated-users"]) as g:
    code, who = user_of(g, certificate=False)
    tap.ok(code == "OK" and who.identity_provider == "local_dev", "TLS that lets everybody in, by flag", who)

with Gateway(tls=False, config={"rate_limit": {"requests": 5, "window_secs": 2}}) as g:
    ended = [user_of(g) for _ in range(7)]
    tap.ok([code for code, _ in ended] == ["OK"] * 5 + ["RESOURCE_EXHAUSTED"] * 2 and
           ended[6][1] == "gRPC rate limit exceeded", "the rate of calls is limited", ended)
    tap.ok(code_of(lambda: g.stub.Health(g.pb.HealthRequest()))[0] == "OK" and g.get("/metrics")[0] == 200,
           "but not of what needs no name")
    tap.ok(wait_for(lambda: user_of(g)[0] == "OK"), "until the next window")

# ---- an issuer ----

issuer = oidclab.Issuer()
oidc = {"oidc": {"issuer": issuer.url}}
with Gateway(config=oidc) as g:
    tap.ok(wait_for(lambda: g.logged("keys fetched")), "the issuer's keys are fetched at the start", g.lines)
    code, who = user_of(g, token=issuer.token("alice"))
    tap.ok(code == "OK" and (who.subject, who.display_name, who.identity_provider) ==
              ("alice", "alice@example", "oidc") and list(who.roles) == ["openshell-user"], "RS256", who)
    tap.ok(user_of(g, certificate=True)[0] == "UNAUTHENTICATED",
              "with an issuer a certificate alone is no user")
    admin = issuer.token("root", roles=["openshell-admin"])
    tap.ok("openshell-admin" in user_of(g, token=admin)[1].roles, "an administrator")
    stub = g.connect(token=issuer.token("alice"))
    code, said = code_of(lambda: stub.CreateWorkspace(g.pb.CreateWorkspaceRequest(name="x")))
    tap.ok(code == "PERMISSION_DENIED", "a user makes no workspace", said)
    code, said = code_of(lambda: stub.GetWorkspace(g.pb.GetWorkspaceRequest(name="default")))
    tap.ok(code == "PERMISSION_DENIED" and
              "openshell workspace member add --workspace default --subject alice --role user" in said,
              "nor sees one, and is told what would help", said)
    tap.ok(code_of(lambda: stub.ListWorkspaces(g.pb.ListWorkspacesRequest()))[1].workspaces[:] == [],
              "nor in the list")
    tap.ok(code_of(lambda: g.connect(token=admin).CreateWorkspace(
        g.pb.CreateWorkspaceRequest(name="x")))[0] == "OK", "an administrator does")

    refusals = [
        ("expired", issuer.token(lives_s=-120)),
        ("no end", issuer.token(exp=None)),
        ("not yet", issuer.token(nbf=int(time.time()) + 600)),
        ("another audience", issuer.token(aud="other")),
        ("another issuer", issuer.token(iss="http://other.example")),
        ("no subject", issuer.token(sub=None)),
        ("no signature", issuer.token(signature=b"")),
        ("a wrong signature", issuer.token(signature=b"x" * 256)),
        ("alg none", issuer.token(header={"alg": "none"}, signature=b"")),
        ("alg HS256 with the public key", issuer.token(header={"alg": "HS256"})),
        ("alg of another kind", issuer.token(header={"alg": "EdDSA"})),
        ("critical extensions", issuer.token(header={"crit": ["b64"]})),
    ]
    for what, token in refusals:
        code, said = user_of(g, token=token)
        tap.ok(code == "UNAUTHENTICATED", "t_oidc_refuses " + what, (code, said))
    code, said = user_of(g, token=issuer.token(roles=["else"]))
    tap.ok(code == "PERMISSION_DENIED", "a token without a role of ours", said)
    tap.ok(user_of(g, token=issuer.token(aud=["other", "openshell-cli"]))[0] == "OK", "one of several audiences")
    status, body = g.get("/auth/oidc-config")
    tap.ok(json.loads(body) == {"issuer": issuer.url, "audience": "openshell-cli"}, "/auth/oidc-config", body)

    # A sandbox's token that somebody else signed.
    ours = json.loads(g.get("/.well-known/openid-configuration")[1])["issuer"]
    kid = json.loads(g.get("/.well-known/jwks.json")[1])["keys"][0]["kid"]
    forged = issuer.token(iss=ours, aud=ours, sandbox_id="x", sub="spiffe://openshell/sandbox/x",
                          key=issuer.add("EdDSA"), header={"kid": kid})
    tap.ok(user_of(g, token=forged)[0] == "UNAUTHENTICATED", "t_a sandbox's token is signed by us")

    # Other keys: asked for once, whoever calls how often.
    asked = issuer.count()
    for alg in ("ES256", "EdDSA"):
        key = issuer.rotate(alg)
        token = issuer.token("bob", key=key)
        time.sleep(5.2)  # strangers can't make it ask more often
        codes = [user_of(g, token=token)[0] for _ in range(3)]
        tap.ok("UNAVAILABLE" in codes or "OK" in codes, alg + ": keys are fetched when one is new", codes)
        tap.ok(wait_for(lambda: user_of(g, token=token)[0] == "OK"), alg + " after a rotation")
    for n in range(20):
        user_of(g, token=issuer.token(header={"kid": "invented-%d" % n}))
    tap.ok(issuer.count() - asked == 2, "t_invented keys don't make it ask", issuer.count() - asked)
    issuer.is_down = True
    tap.ok(user_of(g, token=token)[0] == "OK", "keys stay good while the issuer is down")

issuer.is_down = False
with Gateway(config={"oidc": {"issuer": issuer.url, "scopes_claim": "scope", "roles_claim": "groups"}}) as g:
    g.logged("keys fetched")
    reader = issuer.token("alice", groups=["openshell-admin"], scope="openid workspace:read")
    code, who = user_of(g, token=reader)
    tap.ok(code == "OK" and list(who.scopes) == ["workspace:read"], "scopes", who)
    stub = g.connect(token=reader)
    tap.ok(code_of(lambda: stub.ListWorkspaces(g.pb.ListWorkspacesRequest()))[0] == "OK", "what they allow")
    code, said = code_of(lambda: stub.CreateWorkspace(g.pb.CreateWorkspaceRequest(name="y")))
    tap.ok(code == "PERMISSION_DENIED" and "workspace:write" in said, "and what not, even to an administrator", said)
    writer = issuer.token("alice", groups=["openshell-admin"], scope=["openshell:all"])
    tap.ok(code_of(lambda: g.connect(token=writer).CreateWorkspace(
        g.pb.CreateWorkspaceRequest(name="y")))[0] == "OK", "openshell:all is all")

issuer.wrong_issuer = "http://evil.example"
with Gateway(config=oidc) as g:
    tap.ok(g.logged("another issuer's"), "t_a discovery document of another issuer is refused", g.lines)
    tap.ok(user_of(g, token=issuer.token())[0] == "UNAVAILABLE", "without keys nobody is judged")
issuer.close()

# ---- names of the server ----

with gatewaylab.Gateway(config={"server_sans": ["gw.example", "*.pods.example", "192.0.2.7"]}) as g:
    def certificate():
        with socket.create_connection(("127.0.0.1", g.port)) as raw:
            context = ssl.create_default_context(cafile=os.path.join(g.client, "ca.crt"))
            with context.wrap_socket(raw, server_hostname="gw.example") as s:
                return {v for _, v in s.getpeercert()["subjectAltName"]}, s.getpeercert()["serialNumber"]

    names, serial = certificate()
    tap.ok({"gw.example", "*.pods.example", "192.0.2.7", "localhost", "127.0.0.1"} <= names,
           "server_sans are names of a certificate that init made without them", names)
    tap.ok(code_of(lambda: g.stub.Health(g.pb.HealthRequest()))[0] == "OK", "clients trust it as before")
    g.stop()
    g.start()
    tap.ok(certificate() == (names, serial), "it is made once")
    g.stop()
    os.remove(os.path.join(g.state, "tls/ca.key"))
    g.start()
    tap.ok(certificate()[1] == serial, "and its authority's key is not needed when it has them")
    g.stop()
    g.write_config({"server_sans": ["another.example"]})
    try:
        g.start()
        said = ""
    except RuntimeError as e:
        said = str(e)
    tap.ok("server_sans" in said and "ca.key" in said, "without that key a new name is an error that says so", said)

# ---- tokens of sandboxes ----

with Gateway(tls=False, config={"tokens": {"ttl_secs": 3600}}) as g:
    sandbox = g.stub.CreateSandbox(g.pb.CreateSandboxRequest(name="tok", spec={"command": ["sleep", "60"]})).sandbox
    issuer_name = json.loads(g.get("/.well-known/openid-configuration")[1])["issuer"]

    def signer():
        """Our own key, in openssl's hands."""
        key = object.__new__(oidclab.Key)
        key.alg, key.path = "EdDSA", os.path.join(g.state, "tls/jwt/signing.pem")
        with open(os.path.join(g.state, "tls/jwt/kid"), encoding="ascii") as f:
            key.kid = f.read()
        return key

    def sandbox_token(key=None, box=sandbox.metadata.id, **claims):
        key = key or signer()
        body = {"sub": "spiffe://openshell/sandbox/" + box, "iss": issuer_name, "aud": issuer_name,
                "iat": int(time.time()), "exp": 0, "sandbox_id": box}
        body.update(claims)
        signed = ".".join(oidclab.b64(json.dumps(x).encode()) for x in
                          ({"alg": "EdDSA", "kid": key.kid}, body))
        return signed + "." + oidclab.b64(key.sign(signed.encode()))

    def refresh(token):
        return code_of(lambda: g.connect(token=token).RefreshSandboxToken(g.pb.RefreshSandboxTokenRequest()))

    code, fresh = refresh(sandbox_token())
    tap.ok(code == "OK" and abs(fresh.expires_at_ms / 1000 - time.time() - 3600) < 60, "a sandbox renews its token", fresh)
    head, body, _ = fresh.token.split(".")
    claims = json.loads(oidclab.unb64(body))
    tap.ok(json.loads(oidclab.unb64(head))["alg"] == "EdDSA" and
           {k: claims[k] for k in ("sub", "iss", "aud", "sandbox_id")} ==
           {"sub": "spiffe://openshell/sandbox/" + sandbox.metadata.id, "iss": issuer_name, "aud": issuer_name,
            "sandbox_id": sandbox.metadata.id} and claims["exp"] - claims["iat"] == 3600, "with the claims that clients know",
           claims)
    tap.ok(refresh(fresh.token)[0] == "OK", "and the new one is good")
    code, said = user_of(g, token=fresh.token)
    tap.ok((code, said) == ("PERMISSION_DENIED", "sandbox principals may not call this method"),
           "t_a sandbox is no user", (code, said))
    tap.ok(code_of(lambda: g.stub.RefreshSandboxToken(g.pb.RefreshSandboxTokenRequest())) ==
           ("PERMISSION_DENIED", "this method requires a sandbox principal"), "nor a user a sandbox")
    other = "00000000-0000-4000-8000-000000000000"
    for what, token in [
            ("of no sandbox", sandbox_token(box=other)),
            ("whose subject is another", sandbox_token(sub="spiffe://openshell/sandbox/" + other)),
            ("for another audience", sandbox_token(aud="openshell-cli")),
            ("that ended", sandbox_token(exp=int(time.time()) - 120)),
            ("not valid yet", sandbox_token(nbf=int(time.time()) + 600)),
            ("without a sandbox", sandbox_token(sandbox_id=None))]:
        code, said = refresh(token)
        tap.ok(code == "UNAUTHENTICATED", "t_a token %s is refused" % what, (code, said))
    first = sandbox_token()
    g.run("rotate-key", "--state-dir", g.state)
    g.hup()
    tap.ok(refresh(first)[0] == "OK" and refresh(sandbox_token())[0] == "OK", "two keys are good at a time")
    g.run("rotate-key", "--state-dir", g.state)
    g.hup()
    tap.ok(refresh(first)[0] == "UNAUTHENTICATED", "not three")
    g.stub.DeleteSandbox(g.pb.DeleteSandboxRequest(name="tok"))
    token = sandbox_token()
    tap.ok(wait_for(lambda: refresh(token)[0] == "UNAUTHENTICATED"), "a sandbox that is gone has no token", refresh(token))

with Gateway(tls=False) as g:
    tap.ok(not any("is made anew" in line for line in g.lines), "the first key of all is no loss", g.lines)
    g.stop()
    os.remove(os.path.join(g.state, "tls/jwt/signing.pem"))
    since = len(g.lines)
    g.start()
    line = g.logged("the key that signs sandboxes' tokens was gone", since)
    tap.ok(line and "WARN" in line, "a signing key that is gone is said", g.lines[since:])
    g.stop()
    os.remove(os.path.join(g.state, "tls/jwt/signing.pem"))
    said = g.run("init", "--state-dir", g.state).stdout
    tap.ok("tokens from before are no longer good" in said, "by init, too", said)

# ---- init and config check ----

with Gateway(start=False, tls=False) as g:
    first = g.run("init", "--compat", "--name", "lab", "--san", "gw.example,10.1.2.3", "--port", "4711")
    root = os.path.join(g.directory, "xdg-config")
    for family in ("cove", "openshell"):
        with open(os.path.join(root, family, "gateways/lab/metadata.json"), encoding="utf-8") as f:
            metadata = json.load(f)
        tap.ok(metadata == {"name": "lab", "gateway_endpoint": "https://127.0.0.1:4711", "is_remote": False,
                               "gateway_port": 4711, "auth_mode": "mtls"}, family + ": metadata.json", metadata)
        tap.ok(sorted(os.listdir(os.path.join(root, family, "gateways/lab/mtls"))) ==
                  ["ca.crt", "tls.crt", "tls.key"], family + ": mtls/")
        with open(os.path.join(root, family, "active_gateway"), encoding="ascii") as f:
            tap.ok(f.read() == "lab", family + ": active_gateway")
    tls = os.path.join(g.directory, "xdg-state/cove/gateway/tls")
    text = subprocess.run(["openssl", "x509", "-in", tls + "/server/tls.crt", "-noout", "-text"],
                          capture_output=True, text=True, check=True).stdout
    tap.ok(all(name in text for name in ("DNS:localhost", "IP Address:127.0.0.1", "DNS:*.openshell.localhost",
                                            "IP Address:0:0:0:0:0:0:0:1", "DNS:gw.example", "IP Address:10.1.2.3",
                                            "prime256v1", "TLS Web Server Authentication")), "names of the server", text)
    with open(tls + "/server/tls.crt", encoding="ascii") as f:
        pem = f.read()
    g.run("init")
    with open(tls + "/server/tls.crt", encoding="ascii") as f:
        tap.ok(f.read() == pem, "what is complete is kept")
    os.remove(tls + "/client/tls.key")
    again = g.run("init", check=False)
    tap.ok(again.returncode == 2 and "partly filled (client/tls.key is missing)" in again.stderr,
              "what is partly filled is an error", again.stderr)
    for words in (["--san", "a b"], ["--san", "a,DNS:b"], ["--name", "../x"], ["--name", ".x"], ["--port", "0"], ["--x"]):
        tap.ok(g.run("init", *words, check=False).returncode == 2, "init refuses %r" % words)

    path = os.path.join(g.directory, "c.yaml")
    with open(path, "w", encoding="utf-8") as f:
        f.write("port: 1\noidc:\n  isuer: x\n")
    done = g.run("config", "check", path, check=False)
    tap.ok(done.returncode == 2 and path + ":3:3: error: unknown key 'isuer'; did you mean 'issuer'?" in
              done.stderr, "config check says where", done.stderr)
    with open(path, "w", encoding="utf-8") as f:
        f.write("port: 1\n")
    tap.ok(g.run("config", "check", path).stdout == path + ": ok\n", "config check says ok")
    none = g.run("run", "--state-dir", g.directory + "/empty", "--port", "0", check=False)
    tap.ok(none.returncode != 0 and "cove gateway init" in none.stderr, "no certificates: what to do is said", none.stderr)

# ---- the signals that say nothing to anybody else ----

with Gateway(tls=False, flags=["--log-format", "json"]) as g:
    create(g, "a\nb")
    create(g, "logged")
    line = g.logged("logged")
    tap.ok(all(json.loads(line) for line in g.lines) and json.loads(line)["name"] == "logged",
              "JSON lines", g.lines)

tap.done()
