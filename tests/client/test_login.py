#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: people log in: by a browser, by a code that is entered elsewhere, programs by a secret; tokens are
kept where other clients look for them, renewed once by however many commands, and shown to nobody else.
Method: the client, an issuer (tests/lib/oidclab.py) and a gateway that trusts it; a browser made of curl,
and Chromium where it is."""
import concurrent.futures
import json
import os
import pty
import re
import select
import socket
import sys
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import browserlab  # noqa: E402
import clientlab  # noqa: E402
import gatewaylab  # noqa: E402
import look  # noqa: E402
import oidclab  # noqa: E402
import world  # noqa: E402

tap = world.Tap()
issuer = oidclab.Issuer()
g = gatewaylab.Gateway(config={"oidc": {"issuer": issuer.url}})
assert g.logged("keys fetched")
c = clientlab.Client(g)
FOLDER = os.path.join(c.config, "gateways/people")
TOKEN = os.path.join(FOLDER, "oidc_token.json")
MARKER = os.path.join(FOLDER, "oidc_login_prompt_required")
said_everything = []


def check(f):
    tap.check(f.__name__.replace("_", " "), f)


def browser_of(words):
    """A program that is given an address, and what it does with it."""
    path = os.path.join(g.directory, "browser")
    with open(path, "w") as f:
        f.write("#!/bin/sh\n" + words)
    os.chmod(path, 0o755)
    return path


GOES_THERE = 'exec curl -sSL -m 20 -o %s/page "$1"\n'


def run(*words, env=None, **kw):
    there = {"BROWSER": browser_of(GOES_THERE % g.directory), "DISPLAY": "", "WAYLAND_DISPLAY": ""}
    done = c(*words, env=dict(there, **(env or {})), **kw)
    said_everything.append(done.stdout + done.stderr)
    return done


def stored():
    with open(TOKEN) as f:
        return json.load(f)


def asked(path="/realm/token"):
    return [form for p, form in issuer.forms if p == path]


def who(**kw):
    return json.loads(run("-g", "people", "whoami", "-o", "json", **kw).stdout)


def add(name="people", url=None, *more):
    run("gateway", "add", g.url(""), "--name", name, "--oidc-issuer", url or issuer.url, "--ca",
        os.path.join(g.client, "ca.crt"), *more)


# ---- the browser ----

def by_a_browser():
    add()
    said = run("gateway", "login", "people")
    assert said.stdout == "✓ Logged in to gateway 'people'\n", said
    v = stored()
    assert list(v) == ["access_token", "refresh_token", "expires_at", "issuer", "client_id"], list(v)
    assert v["issuer"] == issuer.url and v["client_id"] == "openshell-cli"
    assert 500 < v["expires_at"] - time.time() < 700 and os.stat(TOKEN).st_mode & 0o777 == 0o600
    with open(os.path.join(g.directory, "page")) as f:
        assert "You are logged in" in f.read()
    form = asked()[-1]
    assert form["grant_type"] == "authorization_code" and len(form["code_verifier"]) == 43, form
    u = who()
    assert (u["subject"], u["identity_provider"]) == ("alice", "oidc"), u
    status = run("-g", "people", "status").stdout
    assert "Authentication: Authenticated (OIDC)" in status, status


def in_a_real_browser():
    with browserlab.Browser() as b:
        os.unlink(TOKEN)
        path = os.path.join(g.directory, "url")
        process = c.start("gateway", "login", "people", env={"BROWSER": browser_of(f'printf %s "$1" >{path}\n')})
        end = time.monotonic() + 30
        while not os.path.exists(path) or not os.path.getsize(path):
            assert time.monotonic() < end
            time.sleep(0.05)
        with open(path) as f:
            b.open(f.read())
        b.until("document.body.innerText.includes('You are logged in')")
        assert process.communicate(timeout=20)[0].decode().startswith("✓ Logged in") and stored()["access_token"]
        assert b.problems == [], b.problems


def strangers_do_not_disturb():
    """Who has no state gets nothing and ends nothing; silence holds nobody up."""
    path = os.path.join(g.directory, "url")
    if os.path.exists(path):
        os.unlink(path)
    process = c.start("gateway", "login", "people", env={"BROWSER": browser_of(f'printf %s "$1" >{path}\n')})
    while not os.path.exists(path) or not os.path.getsize(path):
        time.sleep(0.05)
    with open(path) as f:
        url = f.read()
    q = dict(urllib.parse.parse_qsl(url.partition("?")[2]))
    port = urllib.parse.urlsplit(q["redirect_uri"]).port
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(40)]

    def says(request):
        s = socket.create_connection(("127.0.0.1", port))
        s.settimeout(10)
        s.sendall(request)
        answer = b""
        try:
            while data := s.recv(4096):
                answer += data
        except ConnectionResetError:
            pass
        return answer
    state = q["state"].encode()
    for request in (b"GET /callback?code=evil&state=x HTTP/1.1\r\n\r\n", b"GET /callback?code=evil HTTP/1.1\r\n\r\n",
                    b"GET /callback?error=access_denied HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n",
                    b"POST /callback?code=evil&state=" + state + b" HTTP/1.1\r\n\r\n",
                    b"GET /callback?code=evil&state=" + state + b"&state=" + state + b" HTTP/1.1\r\n\r\n",
                    b"GET /callback?code=evil&state=" + state[:-1] + b"%zz HTTP/1.1\r\n\r\n",
                    b"GET /favicon.ico HTTP/1.1\r\n\r\n", b"\0\r\n\r\n"):
        assert says(request).startswith(b"HTTP/1.1 404"), request
    assert says(b"x" * 40000) == b""
    process.poll()
    assert process.returncode is None
    back = issuer.authorize(q)
    answer = says(b"GET " + back[back.index("/callback"):].encode() + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200") and b"default-src 'none'" in answer, answer
    assert process.wait(20) == 0
    for s in silent:
        s.close()
    for pipe in (process.stdin, process.stdout, process.stderr):
        pipe.close()


def refused_by_the_person():
    issuer.consents = False
    said = run("gateway", "login", "people", status=1).stderr
    issuer.consents = True
    assert "the issuer refused the log-in: access_denied: not today" in said, said


def t_another_issuer_comes_back():
    issuer.iss = "http://127.0.0.1:1/realm"
    before = len(asked())
    said = run("gateway", "login", "people", status=1).stderr
    issuer.iss = None
    assert "came back from another issuer" in said and len(asked()) == before, said


# ---- a code that is entered elsewhere ----

def device(answer, *words, env=None):
    """Logs in, with a person who answers after two rounds."""
    process = c.start("gateway", "login", "people", *words, env=dict({"DISPLAY": "", "WAYLAND_DISPLAY": ""}, **(env or {})))
    line = process.stderr.readline().decode()
    m = re.fullmatch(r"Go to (\S+/activate) and enter the code (\w+)\n", line)
    assert m, line
    time.sleep(1.5)
    answer(m[2])
    out, err = process.communicate(timeout=60)
    return process.returncode, out.decode(), err.decode()


def by_a_code():
    os.unlink(TOKEN)
    issuer.slow_downs = 1
    begun = time.monotonic()
    status, out, err = device(issuer.enter, "--device", env={"BROWSER": "/bin/false"})
    assert status == 0 and "Logged in" in out, (out, err)
    assert time.monotonic() - begun > 6, "slow_down is five seconds more"
    assert who()["subject"] == "alice" and stored()["refresh_token"]
    status, out, err = device(issuer.enter, env={"OPENSHELL_NO_BROWSER": "1", "BROWSER": "/bin/false"})
    assert status == 0, err


def a_code_is_refused_and_runs_out():
    status, _, err = device(lambda code: issuer.enter(code, False), "--device")
    assert status == 1 and "access_denied" in err and "\033" not in err, err
    status, _, err = device(lambda code: issuer.devices.clear(), "--device")
    assert status == 1 and "expired_token" in err, err
    issuer.more = {"device_authorization_endpoint": None}
    said = run("gateway", "login", "people", "--device", status=1).stderr
    issuer.more = {}
    assert "no log-in by a code" in said, said


# ---- programs ----

def by_a_secret():
    add("robot", None, "--oidc-client-id", oidclab.ROBOT)
    secret = {"OPENSHELL_OIDC_CLIENT_SECRET": oidclab.ROBOT_SECRET}
    for more in ({}, {"token_endpoint_auth_methods_supported": ["client_secret_post"]}):
        issuer.more = more
        run("gateway", "login", "robot", env=secret)
        assert asked()[-1]["grant_type"] == "client_credentials" and ("client_secret" in asked()[-1]) == bool(more)
    issuer.more = {}
    assert json.loads(run("-g", "robot", "whoami", "-o", "json").stdout)["subject"] == "robot"
    said = run("gateway", "login", "robot", env={"OPENSHELL_OIDC_CLIENT_SECRET": "wrong"}, status=1).stderr
    assert "invalid_client" in said and "\033" not in said, said
    run("gateway", "remove", "robot")


# ---- renewal ----

def log_in_for(seconds):
    issuer.lives_s = seconds
    run("gateway", "login", "people")
    issuer.lives_s = 600


def renewed_once_by_many():
    log_in_for(1)
    old, before = stored(), len(asked())
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        users = list(pool.map(lambda _: who()["subject"], range(6)))
    assert users == ["alice"] * 6
    new = stored()
    renewals = asked()[before:]
    assert [f["grant_type"] for f in renewals] == ["refresh_token"], renewals
    assert renewals[0]["refresh_token"] == old["refresh_token"] != new["refresh_token"]
    assert new["access_token"] != old["access_token"] and new["expires_at"] > time.time() + 500
    assert os.stat(TOKEN).st_mode & 0o777 == 0o600
    who()
    assert len(asked()) == before + 1, "and not again"


def top_goes_on_with_a_new_token():
    """What it was started with is refused one day; it takes what is stored then."""
    issuer.roles = ("openshell-admin",)
    run("gateway", "login", "people")
    master, slave = pty.openpty()
    p = c.start("-g", "people", "top", stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                env={"TERM": "xterm-256color"})
    os.close(slave)
    raw = b""

    def until(*wanted):
        nonlocal raw
        end = time.monotonic() + 30
        while not all(w in raw for w in wanted):
            assert time.monotonic() < end, (wanted, raw[-2000:])
            if select.select([master], [], [], 0.2)[0]:
                raw += os.read(master, 65536)
    until(b"connected")
    issuer.rotate()  # tokens of the old key hold until the gateway has seen one of the new
    time.sleep(5.2)
    run("gateway", "login", "people")
    end = time.monotonic() + 20
    while run("-g", "people", "whoami", status=None).returncode:
        assert time.monotonic() < end
        time.sleep(0.2)
    until(b"new log-in")
    run("-g", "people", "sandbox", "create", "--name", "later", "--detach", "--", "sleep", "600")
    until(b"later")
    os.write(master, b"q")
    assert p.wait(10) == 0
    os.close(master)
    run("-g", "people", "sandbox", "delete", "later")
    issuer.roles = ("openshell-user",)
    run("gateway", "login", "people")


def what_can_not_be_renewed():
    log_in_for(1)
    issuer.ended.update(v.removeprefix("used ") for v in issuer.refreshes.values())
    said = run("-g", "people", "whoami").stderr  # the token itself still holds with this issuer
    assert "was not renewed: invalid_grant" in said and "gateway login people" in said and "\033" not in said, said
    assert said.count("not renewed") == 1
    issuer.is_down = True
    assert "was not renewed" in run("-g", "people", "whoami").stderr
    issuer.is_down = False
    v = dict(stored(), access_token=issuer.token("alice", lives_s=-100), expires_at=1)
    del v["refresh_token"]
    with open(TOKEN, "w") as f:
        json.dump(v, f)
    said = run("-g", "people", "whoami", status=1).stderr
    assert "hint: log in with: cove gateway login" in said, said
    said = run("-g", "people", "status", status=None).stdout
    assert "Failed (" in said, said
    for broken in ("", "{", "[]", '{"access_token": 7}', '{"access_token": "a b"}'):
        with open(TOKEN, "w") as f:
            f.write(broken)
        run("-g", "people", "whoami", status=1)


def logged_out():
    run("gateway", "login", "people")
    run("gateway", "logout", "people")
    assert not os.path.exists(TOKEN) and os.path.exists(MARKER)
    assert "hint: log in with" in run("-g", "people", "whoami", status=1).stderr
    run("gateway", "login", "people")
    last = [p for p in issuer.asked if p.startswith("/realm/authorize")][-1]
    assert "&prompt=login" in last and not os.path.exists(MARKER), last


# ---- whom to trust ----

def t_a_token_is_for_its_issuer_alone():
    other = oidclab.Issuer()
    path = os.path.join(FOLDER, "metadata.json")
    with open(path) as f:
        text = f.read()
    with open(path, "w") as f:
        f.write(text.replace(issuer.url, other.url))
    said = run("-g", "people", "whoami", status=1).stderr
    with open(path, "w") as f:
        f.write(text)
    assert "of another issuer" in said and not other.forms, said
    assert who()["subject"] == "alice"
    other.close()


def t_an_issuer_is_who_it_says():
    issuer.wrong_issuer = "https://other.example"
    assert "describes another issuer" in run("gateway", "login", "people", status=1).stderr
    issuer.wrong_issuer = None
    add("plain", "http://issuer.example/realm")
    assert "without TLS" in run("gateway", "login", "plain", status=1).stderr
    run("gateway", "remove", "plain")
    for endpoint in ("http://issuer.example/token", "ftp://127.0.0.1/", "http://127.0.0.1.evil.example/",
                     "http://127.0.0.1@evil.example/", "https://a\nb"):
        issuer.more = {"token_endpoint": endpoint}
        said = run("gateway", "login", "people", status=1).stderr
        assert "no token endpoint" in said, (endpoint, said)
    issuer.more = {}
    issuer.is_down = True
    assert "answered 503" in run("gateway", "login", "people", status=1).stderr
    issuer.is_down = False


def t_tls_is_verified():
    secure = oidclab.Issuer(tls=True)
    add("secure", secure.url)
    said = run("gateway", "login", "secure", status=1).stderr
    assert "certificate cannot be verified" in said, said
    # The browser of the person has its own opinion: curl's here.
    env = {"SSL_CERT_FILE": secure.ca, "CURL_CA_BUNDLE": secure.ca}
    run("gateway", "login", "secure", env=env)
    with open(os.path.join(c.config, "gateways/secure/oidc_token.json")) as f:
        assert json.load(f)["issuer"] == secure.url
    run("gateway", "remove", "secure")
    secure.close()


def a_gateway_of_the_system():
    folder = os.path.join(c.env["OPENSHELL_SYSTEM_GATEWAY_DIR"], "gateways/office")
    os.makedirs(folder)
    with open(os.path.join(folder, "metadata.json"), "w") as f:
        json.dump({"name": "office", "gateway_endpoint": g.url(""), "auth_mode": "oidc",
                   "oidc_issuer": issuer.url, "oidc_client_id": "openshell-cli"}, f)
    run("gateway", "login", "office")
    own = os.path.join(c.config, "gateways/office/oidc_token.json")
    assert os.path.exists(own) and os.listdir(folder) == ["metadata.json"]
    # who has its certificate in the host's bundle
    assert json.loads(run("-g", "office", "--gateway-insecure", "whoami", "-o", "json").stdout)["subject"] == "alice"
    run("gateway", "logout", "office")
    assert not os.path.exists(own)


def no_token_was_printed():
    with open(TOKEN) as f:
        tokens = [v for k, v in json.load(f).items() if k.endswith("_token")]
    assert len(tokens) == 2
    for said in said_everything:
        assert oidclab.ROBOT_SECRET not in said and "eyJ" not in said and not any(t in said for t in tokens), said


try:
    check(by_a_browser)
    try:
        check(in_a_real_browser)
    except look.Unavailable as e:
        tap.skip("in a real browser", e)
    for f in (strangers_do_not_disturb, refused_by_the_person, t_another_issuer_comes_back, by_a_code,
              a_code_is_refused_and_runs_out, by_a_secret, renewed_once_by_many, top_goes_on_with_a_new_token, what_can_not_be_renewed,
              logged_out, t_a_token_is_for_its_issuer_alone, t_an_issuer_is_who_it_says, t_tls_is_verified,
              a_gateway_of_the_system, no_token_was_printed):
        check(f)
finally:
    g.close()
    issuer.close()
tap.done()
