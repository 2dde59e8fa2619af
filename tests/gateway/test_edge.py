#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: behind an edge proxy the gateway lets in whom the proxy's signed word names, for as long as it
holds, by a tunnel or beside a request, and nobody else, wherever they come from.
Method: a real gateway, a stand-in for the edge that holds the team's key (tests/lib/edgelab.py), grpcio
through tunnels, frames by hand, and every forgery of the word that is known."""
import hashlib
import hmac
import json
import os
import resource
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import edgelab  # noqa: E402
import gatewaylab  # noqa: E402
import h2lab  # noqa: E402
import oidclab  # noqa: E402
import world  # noqa: E402

import grpc  # noqa: E402

hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 16384), hard))
tap = world.Tap()
edge = edgelab.Edge()
other = edgelab.Edge()
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"


def check(f):
    tap.check(f.__name__.replace("_", " "), f)


def gateway(tls=True, **more):
    g = gatewaylab.Gateway(tls=tls, config=dict({"edge": dict(edge.config)}, **more))
    assert g.logged("keys fetched")
    edge.front(g)
    return g


def context(g):
    import ssl
    c = ssl.create_default_context(cafile=os.path.join(g.client, "ca.crt"))
    c.set_alpn_protocols(["http/1.1"])
    return c


def direct(g, headers=None, **kw):
    """A tunnel to the gateway itself, past the edge."""
    return edgelab.Tunnel(g.port, context(g) if g.tls else None, headers, **kw)


def through(token, **kw):
    return edgelab.Tunnel(edge.port, edge.client_context(), {"Cf-Access-Token": token}, **kw)


def refused(f, status, word=""):
    try:
        f().close()
    except edgelab.Refused as e:
        assert e.args[0] == status and word in e.args[1], (e.args, status, word)
        return
    raise AssertionError("it was opened")


class Calls:
    """grpcio through a tunnel."""

    def __init__(self, g, make):
        self.bridge = edgelab.Bridge(make)
        self.channel = grpc.insecure_channel("127.0.0.1:%d" % self.bridge.port)
        self.stub = g.stubs.OpenShellStub(self.channel)

    def __enter__(self):
        return self.stub

    def __exit__(self, *_):
        self.channel.close()
        self.bridge.close()


def who(g, stub, **kw):
    return stub.GetCurrentUser(g.pb.GetCurrentUserRequest(), timeout=20, **kw)


def with_metadata(g, *assertions):
    stub = g.connect(certificate=False)
    return gatewaylab.code_of(lambda: who(g, stub, metadata=[("cf-access-jwt-assertion", a) for a in assertions]))


def with_retry(f):
    """Keys are being fetched: clients ask again."""
    for _ in range(100):
        got = f()
        if got[0] != "UNAVAILABLE":
            return got
        time.sleep(0.1)
    raise AssertionError(got)


def curl(url, *words):
    done = subprocess.run(["curl", "-sSk", "-m", "20", "-w", "\n%{http_code}", *words, url], capture_output=True,
                          text=True, check=True)
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body


def run(g):
    pb = g.pb

    @check
    def who_is_behind_a_tunnel():
        with Calls(g, lambda: through(edge.token("alice"))) as stub:
            u = who(g, stub)
            assert (u.subject, u.display_name, u.identity_provider) == (
                "id-of-alice", "alice@example.com", "cloudflare_access"), u
            assert list(u.roles) == ["openshell-admin", "openshell-user"], u
            assert stub.Health(pb.HealthRequest()).version
            stub.ListSandboxes(pb.ListSandboxesRequest())

    @check
    def beside_a_request():
        code, u = with_metadata(g, edge.token("bob"))
        assert code == "OK" and u.subject == "id-of-bob" and u.identity_provider == "cloudflare_access", u
        status, body = curl(edge.url + "/v1/user", "-H", "Cookie: CF_Authorization=" + edge.token("carol"))
        assert status == 200 and json.loads(body)["subject"] == "id-of-carol", body

    @check
    def a_service_token_names_its_program():
        code, u = with_metadata(g, edge.token("x", sub="", email=None, common_name="ci.access"))
        assert code == "OK" and (u.subject, u.display_name) == ("ci.access", "ci.access"), u

    @check
    def a_bearer_beside_it_says_who_it_is():
        """Both must be good; the nearer one counts."""
        good, bad = edge.token("alice"), edge.token("alice", aud=["x"])
        for bearer, assertion, want in (("x.y.z", good, "UNAUTHENTICATED"), (None, bad, "UNAUTHENTICATED"),
                                        (None, good, "OK")):
            stub = g.connect(certificate=False, token=bearer)
            code, _ = gatewaylab.code_of(lambda: who(g, stub, metadata=[("cf-access-jwt-assertion", assertion)]))
            assert code == want, (bearer, assertion, code)
        with Calls(g, lambda: through(edge.token("alice"))) as stub:
            u = who(g, stub, metadata=[("cf-access-jwt-assertion", edge.token("bob"))])
            assert u.subject == "id-of-bob", "the call's own word"
            code, said = gatewaylab.code_of(lambda: who(g, stub, metadata=[("cf-access-jwt-assertion", bad)]))
            assert code == "UNAUTHENTICATED" and "another audience" in said, said

    def forgeries():
        key = edge.keys[0]
        jwk = key.jwk()
        public = subprocess.run(["openssl", "pkey", "-in", key.path, "-pubout"], capture_output=True,
                                check=True).stdout
        good = edge.token("alice")
        head, body, sig = good.split(".")

        def mac(secret):
            return lambda text: hmac.new(secret, text.encode(), hashlib.sha256).digest()
        yield "garbage", "x"
        yield "an empty one", "-"
        yield "no signature", head + "." + body + "."
        yield "alg none", edge.token(header={"alg": "none"}, signature=lambda _: b"")
        yield "alg none with a signature", edge.token(header={"alg": "none"})
        yield "HS256 with the public key", edge.token(header={"alg": "HS256"}, signature=mac(public))
        yield "HS256 with the public key's DER", edge.token(header={"alg": "HS256"}, signature=mac(key.der))
        yield "HS256 with the modulus", edge.token(header={"alg": "HS256"}, signature=mac(oidclab.unb64(jwk["n"])))
        yield "RS384", edge.token(header={"alg": "RS384"})
        yield "another team", other.token("alice")
        yield "another team's key with our name", other.token("alice", iss=edge.team)
        yield "another team's key with our name and id", other.token(
            "alice", iss=edge.team, header={"kid": key.kid})
        yield "a key within the token", other.token("alice", iss=edge.team, header={"jwk": other.keys[0].jwk()})
        yield "a place of keys within the token", other.token(
            "alice", iss=edge.team, header={"jku": other.team + "/cdn-cgi/access/certs"})
        yield "another audience", edge.token(aud=["0" * 64])
        yield "no audience", edge.token(aud=None)
        yield "an audience that begins so", edge.token(aud=[edgelab.AUD[:-1]])
        yield "expired", edge.token(lives_s=-70)
        yield "no end", edge.token(exp=None)
        yield "an end that is text", edge.token(exp="9999999999")
        yield "not yet", edge.token(nbf=int(time.time()) + 100)
        yield "from the future", edge.token(iat=int(time.time()) + 100)
        yield "a session of the team", edge.token(type="org")
        yield "nobody", edge.token(sub=None, email=None)
        yield "another body", head + "." + oidclab.b64(json.dumps({"sub": "root"}).encode()) + "." + sig
        yield "a changed signature", head + "." + body + "." + ("A" if sig[0] != "A" else "B") + sig[1:]
        yield "critical extensions", edge.token(header={"crit": ["exp"]})

    @check
    def t_forged_words_are_refused_everywhere():
        before = len(other.asked)
        for name, forged in forgeries():
            try:
                refused(lambda f=forged: direct(g, {edgelab.ASSERTION: f}), 401)
                code, said = with_metadata(g, forged)
                assert code == "UNAUTHENTICATED", (code, said)
                edge.assert_ = lambda _, f=forged: f
                refused(lambda: through(edge.token("alice")), 401)
                status, _ = curl(edge.url + "/v1/user", "-H", "Cookie: CF_Authorization=" + edge.token("alice"))
                assert status == 401, status
            except Exception as e:
                raise AssertionError(name) from e
            finally:
                edge.assert_ = lambda token: token
        assert len(other.asked) == before, "keys are asked of the one place that is configured"

    @check
    def t_two_words_are_none():
        good = edge.token("alice")
        assert with_metadata(g, good, good)[0] == "UNAUTHENTICATED"
        refused(lambda: direct(g, {edgelab.ASSERTION: good}, lines=[edgelab.ASSERTION + ": " + good]), 401)

    @check
    def t_past_the_edge_nobody_is_let_in():
        token = edge.token("alice")
        for headers in ({}, {"Cf-Access-Token": token}, {"Cookie": "CF_Authorization=" + token},
                        {"Authorization": "Bearer " + token}, {"X-Forwarded-For": "1.2.3.4"},
                        {"Cf-Access-Authenticated-User-Email": "alice@example.com"}):
            refused(lambda h=headers: direct(g, h), 401, "no Cf-Access-Jwt-Assertion")
            words = [w for k, v in headers.items() for w in ("-H", k + ": " + v)]
            assert g.get("/v1/user", *words)[0] == 401, headers
        direct(g, {edgelab.ASSERTION: token}).close()  # the word is what counts, and not the way

    @check
    def t_a_page_opens_no_tunnel():
        """Browsers add the person's cookie to whatever page's upgrade, and an Origin."""
        token = edge.token("alice")
        for origin in ("https://evil.example", edge.url, "null"):
            refused(lambda o=origin: edgelab.Tunnel(edge.port, edge.client_context(), {
                "Cookie": "CF_Authorization=" + token, "Origin": o}), 403, "not for pages")
        cookie = ("-H", "Cookie: CF_Authorization=" + token)
        for words in (("-H", "Origin: https://evil.example"), ("-H", "Sec-Fetch-Site: cross-site")):
            status, _ = curl(edge.url + "/v1/sandboxes", *cookie, *words, "-H", "Content-Type: application/json",
                             "-d", '{"name": "csrf"}')
            assert status == 403, status

    @check
    def what_is_no_upgrade():
        a = {edgelab.ASSERTION: edge.token("alice")}
        for change in ({"Upgrade": "h2c"}, {"Upgrade": None}, {"Connection": "close"}, {"Sec-WebSocket-Version": "8"},
                       {"Sec-WebSocket-Key": "short"}, {"Sec-WebSocket-Key": None}):
            refused(lambda c=change: direct(g, dict(a, **c)), 400)
        refused(lambda: direct(g, a, method="POST"), 405)
        refused(lambda: direct(g, a, path="/_ws_tunnel/x"), 404)
        code, said = curl(g.url("/_ws_tunnel"), "--http2", "-H", edgelab.ASSERTION + ": " + a[edgelab.ASSERTION])
        assert code == 400 and "HTTP/1.1" in said, (code, said)

    @check
    def a_call_after_the_end_is_refused():
        with Calls(g, lambda: through(edge.token("alice"))) as stub:
            who(g, stub)
        token = edge.token("alice", lives_s=-57)  # a minute's leeway: it holds for three seconds
        with Calls(g, lambda: direct(g, {edgelab.ASSERTION: token})) as stub:
            assert who(g, stub).subject == "id-of-alice"
            gatewaylab.until(lambda: gatewaylab.code_of(lambda: who(g, stub))[0] == "UNAUTHENTICATED", 20)
            code, said = gatewaylab.code_of(lambda: who(g, stub))
            assert code == "UNAUTHENTICATED" and "expired" in said, said
            assert stub.Health(pb.HealthRequest()).version, "what is open to all still is"

    @check
    def t_another_key():
        """As Cloudflare rotates: a new key signs, the old one is there for a while, then it is gone."""
        old = edge.keys[0]
        new = edge.add()
        # not at once: the checks before may have caused a fetch, and there is one in five seconds
        u = gatewaylab.until(lambda: with_metadata(g, edge.token("dave", key=new))[0] == "OK" and
                             with_metadata(g, edge.token("dave", key=new))[1], 20)
        assert u.subject == "id-of-dave"
        assert with_metadata(g, edge.token("dave", key=old))[0] == "OK"
        with Calls(g, lambda: direct(g, {edgelab.ASSERTION: edge.token("dave", key=old)})) as stub:
            who(g, stub)
            edge.keys = [new]
            time.sleep(5.1)  # at most one fetch in five seconds that strangers cause
            with_retry(lambda: with_metadata(g, other.token("x", iss=edge.team, header={"kid": "unknown"})))
            gatewaylab.until(lambda: with_metadata(g, edge.token("dave", key=old))[0] == "UNAUTHENTICATED", 20)
            assert gatewaylab.code_of(lambda: who(g, stub))[0] == "UNAUTHENTICATED", "on an open tunnel, too"
        asked = len(edge.asked)
        for _ in range(20):
            with_metadata(g, other.token("x", iss=edge.team, header={"kid": "invented"}))
        assert len(edge.asked) - asked <= 2, "names of keys can be invented"

    @check
    def counted_and_logged():
        _, text = g.get("/metrics")
        rows = [x for x in text.splitlines() if x.startswith("cove_gateway_auth_refusals_total") and '"edge"' in x]
        assert rows and float(rows[0].split()[-1]) > 20, rows
        assert 'path="/_ws_tunnel",status="101"' in text
        everything = "\n".join(g.lines)
        assert "eyJ" not in everything and "administrator: no role" in everything


def frames(g):
    def opened():
        return direct(g, {edgelab.ASSERTION: edge.token("alice")})

    def says(code, *pieces):
        t = opened()
        try:
            for p in pieces:
                t.s.sendall(p(t))
        except OSError:
            pass
        got = t.closed()
        assert got == code, (got, code)
        t.close()

    @check
    def t_frames_that_are_wrong():
        says(1003, lambda t: t.frame(b"hello", opcode=1))
        says(1003, lambda t: t.frame(b"", opcode=1))
        says(1003, lambda t: t.frame(b"x" * 70000, opcode=1))
        says(1002, lambda t: t.frame(PREFACE, mask=False))
        says(1002, lambda t: t.frame(PREFACE, rsv=4))
        says(1002, lambda t: t.frame(b"", opcode=5))
        says(1002, lambda t: t.frame(b"x", opcode=0))
        says(1002, lambda t: t.frame(PREFACE[:1], fin=False), lambda t: t.frame(PREFACE[1:]))
        says(1002, lambda t: t.frame(b"x" * 126, opcode=9))
        says(1009, lambda t: t.frame(b"x", length=2 << 20))
        says(1009, lambda t: t.frame(b"x", length=1 << 62))
        says(1009, lambda t: t.frame(b"", fin=False) + t.frame(b"", opcode=0, fin=False) * 5000)
        says(1000, lambda t: t.frame(b"\x03\xe8", opcode=8))
        says(1000, lambda t: t.frame(b"", opcode=8))
        says(1002, lambda t: t.frame(b"\x03\xed", opcode=8))

    @check
    def t_bytes_that_are_no_http2():
        for data in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\0" * 100, b"PRI * HTTP/1.0\r\n\r\nSM\r\n\r\n"):
            t = opened()
            t.send(data)
            assert t.closed() in (1000, 1002, None)
            t.close()

    @check
    def fragments_and_pings():
        t = opened()
        first = True
        for i in range(len(PREFACE)):
            t.send(PREFACE[i:i + 1], opcode=2 if first else 0, fin=i == len(PREFACE) - 1)
            if i % 5 == 0:
                t.send(b"ping %d" % i, opcode=9)
            first = False
        seen, data = [], b""
        while len(data) < 9 or not any(p.endswith(b"%d" % (len(PREFACE) // 5 * 5)) for p in seen):
            opcode, payload = t.receive()
            if opcode == 10:
                seen.append(payload)
            elif opcode == 2:
                data += payload
        assert data[3] == 4, "the server's SETTINGS"
        t.close()

    @check
    def frames_that_do_not_wait_for_the_101():
        t = direct(g, {edgelab.ASSERTION: edge.token("alice")}, early=edgelab.Tunnel.frame(PREFACE))
        assert t.receive()[1][3] == 4, "the server's SETTINGS"
        t.close()
        t = direct(g, {edgelab.ASSERTION: edge.token("alice")}, early=b"GET /v1/user HTTP/1.1\r\nHost: x\r\n\r\n")
        assert t.closed() == 1002, "no second request on this connection"
        t.close()

    @check
    def t_frames_that_carry_nothing_are_counted():
        for one in (lambda t: t.frame(b"", opcode=10), lambda t: t.frame(b"x" * 100, opcode=9), lambda t: t.frame(b"")):
            t = opened()
            t.send(PREFACE)
            try:
                for _ in range(100):
                    t.s.sendall(one(t) * 100)
            except OSError:
                pass
            got = t.closed()
            assert got in (1000, None), got
            t.close()
        assert g.stub.Health(g.pb.HealthRequest()).version

    @check
    def t_who_never_reads_costs_little():
        """Questions whose answers nobody takes."""
        def rss():
            with open("/proc/%d/status" % g.process.pid) as f:
                return int(next(x for x in f if x.startswith("VmRSS")).split()[1])
        before = rss()
        tunnels = []
        for _ in range(40):
            t = opened()
            t.s.settimeout(0.5)
            t.send(PREFACE)
            block = h2lab.block([(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/metrics"),
                                 (b":authority", b"x")])
            try:
                for i in range(200):
                    t.send(h2lab.frame(h2lab.HEADERS, 5, 2 * i + 1, block))
            except OSError:
                pass
            tunnels.append(t)
        tunnels[0].s.settimeout(20)
        data = b""
        while b"openshell_server_grpc" not in data:
            data += tunnels[0].receive()[1]  # they are questions, and have answers
        time.sleep(1)
        grown = rss() - before
        assert grown < 400 << 10, grown
        begun = time.monotonic()
        assert g.stub.Health(g.pb.HealthRequest(), timeout=30).version and time.monotonic() - begun < 15
        for t in tunnels:
            t.close()

    @check
    def t_a_thousand_tunnels():
        tokens = {name: edge.token(name) for name in ("u1", "u2", "u3", "u4")}
        tunnels, lock = [], threading.Lock()

        def open_all(name):
            for _ in range(250):
                t = direct(g, {edgelab.ASSERTION: tokens[name]})
                with lock:
                    tunnels.append(t)
        threads = [threading.Thread(target=open_all, args=(n,)) for n in tokens]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert len(tunnels) == 1000, len(tunnels)
        more = []
        try:
            while len(more) < 300:
                more.append(direct(g, {edgelab.ASSERTION: tokens["u1"]}))
        except edgelab.Refused as e:
            assert e.args[0] == 429 and "256 tunnels" in e.args[1], e.args
        assert len(more) == 6, len(more)
        with Calls(g, lambda: direct(g, {edgelab.ASSERTION: edge.token("another")})) as stub:
            who(g, stub)
        assert g.stub.Health(g.pb.HealthRequest(), timeout=10).version
        for t in tunnels + more:
            t.close()
        gatewaylab.until(lambda: gatewaylab.code_of(
            lambda: direct(g, {edgelab.ASSERTION: tokens["u1"]}).close() or True)[0] == "OK", 20)


def roles():
    """As with OIDC: a name for administrators alone makes users of the others."""
    g = gateway(edge=dict(edge.config, admin_role="boss", roles_claim="custom.groups"))
    try:
        code, u = with_metadata(g, edge.token("alice"))
        assert code == "OK" and list(u.roles) == ["openshell-user"], u
        code, u = with_metadata(g, edge.token("eve", custom={"groups": ["boss"]}))
        assert list(u.roles) == ["boss", "openshell-user"], u
        stub = g.connect(certificate=False)
        code, said = gatewaylab.code_of(lambda: stub.ListSandboxes(g.pb.ListSandboxesRequest(), metadata=[
            ("cf-access-jwt-assertion", edge.token("alice"))]))
        assert code == "PERMISSION_DENIED" and "--subject id-of-alice" in said, said
        g.write_config({"edge": dict(edge.config, admin_role="boss", user_role="staff", roles_claim="custom.groups")})
        assert g.hup()
        code, said = with_retry(lambda: with_metadata(g, edge.token("alice")))
        assert code == "PERMISSION_DENIED" and "'staff'" in said, said
        refused(lambda: direct(g, {edgelab.ASSERTION: edge.token("alice")}), 403, "staff")
    finally:
        g.close()


def t_not_configured():
    for tls in (True, False):
        g = gatewaylab.Gateway(tls=tls)
        try:
            edge.front(g)
            token = edge.token("alice")
            for headers in ({}, {edgelab.ASSERTION: token}):
                refused(lambda h=headers: direct(g, h), 404, "no edge.issuer")
            # with tls: False the edge, on this machine, brings a name that is not ours
            refused(lambda: through(token), 404 if tls else 421, "no edge.issuer")
            status, body = curl(g.url("/auth/connect?callback_port=40000&code=ABC-DEFG"))
            assert status == 404 and "edge.issuer" in body, body
            if tls:  # somebody else's field: it neither helps nor harms
                assert with_metadata(g, token)[0] == "UNAUTHENTICATED"
                code, u = gatewaylab.code_of(lambda: who(g, g.stub, metadata=[("cf-access-jwt-assertion", "x")]))
                assert code == "OK" and u.identity_provider == "mtls", u
        finally:
            g.close()


def t_certificates_are_no_users_then():
    """A proxy shows one to its origin, and would be an administrator for everybody."""
    g = gateway()
    try:
        assert gatewaylab.code_of(lambda: who(g, g.stub))[0] == "UNAUTHENTICATED"
        g.write_config({"edge": edge.config, "auth": {"mtls": True}})
        assert g.hup()
        assert gatewaylab.code_of(lambda: who(g, g.stub))[0] == "OK", "unless somebody says so"
    finally:
        g.close()


def t_plaintext_behind_an_edge_on_this_machine():
    g = gateway(tls=False)
    try:
        assert gatewaylab.code_of(lambda: who(g, g.stub))[0] == "UNAUTHENTICATED", "loopback is the proxy now"
        refused(lambda: direct(g), 401)
        with Calls(g, lambda: through(edge.token("alice"))) as stub:
            assert who(g, stub).identity_provider == "cloudflare_access"
        own = "localhost:%d" % g.port
        good, bad = edge.token("alice"), "x.y.z"
        rows = [("/v1/user", "gw.example", good, 200), ("/v1/user", "gw.example", bad, 401),
                ("/v1/user", "gw.example", None, 421), ("/v1/user", own, None, 401), ("/v1/user", own, good, 200),
                ("/metrics", "gw.example", bad, 421), ("/metrics", "gw.example", good, 421), ("/metrics", own, None, 200),
                ("/console/", "gw.example", good, 200), ("/console/", "gw.example", None, 421)]
        for path, host, assertion, want in rows:
            words = ["-H", "Host: " + host] + (["-H", edgelab.ASSERTION + ": " + assertion] if assertion else [])
            status, body = curl(g.url(path), *words)
            assert status == want, (path, host, assertion, status, body)
    finally:
        g.close()
    g = gatewaylab.Gateway(tls=False)
    try:  # without an edge a name that was made to point here gets nowhere, whatever it says
        for path in ("/v1/user", "/metrics", "/v1/health", "/openapi.json", "/console/", "/auth/connect"):
            status, _ = curl(g.url(path), "-H", "Host: evil.example", "-H", edgelab.ASSERTION + ": x")
            assert status == 421, (path, status)
    finally:
        g.close()


def configurations():
    g = gatewaylab.Gateway(start=False)
    try:
        for wrong, word in (({"issuer": "https://x.example"}, "need each other"), ({"audience": "x"}, "need each other"),
                            ({"issuer": "x.example", "audience": "y"}, "http or https"),
                            ({"issuer": "https://x", "audience": "y", "jwks_uri": "file:///etc"}, "http or https"),
                            ({"issuers": "https://x"}, "did you mean 'issuer'")):
            g.write_config({"edge": wrong})
            done = g.run("config", "check", g.config_path, check=False)
            assert done.returncode and word in done.stdout + done.stderr, (wrong, done)
        g.write_config({"edge": edge.config, "auth": {"allow_unauthenticated_users": True}})
        done = g.run("config", "check", g.config_path, check=False)
        assert done.returncode and "from loopback, for others" in done.stdout + done.stderr, done
    finally:
        g.close()


def keys_that_are_elsewhere_and_not_there():
    edge.is_down = True
    g = gatewaylab.Gateway(config={"edge": dict(edge.config, jwks_uri=edge.team + "/cdn-cgi/access/certs")})
    try:
        edge.front(g)
        refused(lambda: direct(g, {edgelab.ASSERTION: edge.token("alice")}), 503, "try again")
        assert with_metadata(g, edge.token("alice"))[0] == "UNAVAILABLE"
        edge.is_down = False
        assert with_retry(lambda: with_metadata(g, edge.token("alice")))[0] == "OK"
    finally:
        edge.is_down = False
        g.close()


def a_gateway_that_ends_says_so():
    t = direct(main, {edgelab.ASSERTION: edge.token("alice")})
    t.send(PREFACE)
    assert t.receive()[0] == 2
    begun = time.monotonic()
    assert main.stop() == 0 and time.monotonic() - begun < 20
    assert t.closed() == 1000
    main.start()


main = gateway()
main.write_config({"edge": edge.config, "auth": {"mtls": True}})
assert main.hup()
with_retry(lambda: with_metadata(main, edge.token("alice")))
try:
    run(main)
    frames(main)
    check(a_gateway_that_ends_says_so)
finally:
    main.close()
for f in (roles, t_not_configured, t_certificates_are_no_users_then, t_plaintext_behind_an_edge_on_this_machine,
          configurations, keys_that_are_elsewhere_and_not_there):
    check(f)
edge.close()
other.close()
tap.done()
