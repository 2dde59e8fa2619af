#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: people log in through an edge proxy in front of a gateway, and then do everything through it; the
token comes from the gateway's own page alone and is shown to nobody else; who has none is told what to do.
Method: the client, a gateway, and a stand-in for the edge between them (tests/lib/edgelab.py); a browser
made of Python's urllib, and Chromium where it is."""
import hashlib
import json
import os
import re
import select
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import browserlab  # noqa: E402
import clientlab  # noqa: E402
import edgelab  # noqa: E402
import gatewaylab  # noqa: E402
import look  # noqa: E402
import ports  # noqa: E402
import world  # noqa: E402

tap = world.Tap()
edge = edgelab.Edge()
g = gatewaylab.Gateway(config={"edge": edge.config})
assert g.logged("keys fetched")
edge.front(g)
c = clientlab.Client(g)
c.env["SSL_CERT_FILE"] = edge.ca
TOKEN = os.path.join(c.config, "gateways/edge/edge_token")
said_everything = []

# Goes there as a browser does, and presses the button: follows redirects with cookies, asks whether it
# may (CORS), and posts what the page's script would.
GOES = """#!/usr/bin/python3
import http.cookiejar, json, re, ssl, sys, urllib.request
context = ssl.create_default_context(cafile=%r)
opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context),
                                     urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
page = opener.open(sys.argv[1], timeout=20).read().decode()
given = dict(re.findall(r'data-(port|code|token)="([^"]*)"', page))
open(%r, "w").write(page)
url, origin = "http://127.0.0.1:%%s/callback" %% given["port"], sys.argv[1].split("/auth/")[0]
ask = urllib.request.Request(url, method="OPTIONS", headers={"Origin": origin,
    "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"})
assert urllib.request.urlopen(ask, timeout=20).headers["Access-Control-Allow-Origin"] == origin
body = json.dumps({"token": given["token"], "code": given["code"]}).encode()
urllib.request.urlopen(urllib.request.Request(url, body, {"Origin": origin, "Content-Type": "application/json"}),
                       timeout=20).read()
"""


def check(f):
    tap.check(f.__name__.replace("_", " "), f)


def program(name, text):
    path = os.path.join(g.directory, name)
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, 0o755)
    return path


PAGE, URL = os.path.join(g.directory, "page"), os.path.join(g.directory, "url")
BROWSER = program("browser", GOES % (edge.ca, PAGE))
NOTES = program("notes", f'#!/bin/sh\nprintf %s "$1" >{URL}.new; mv {URL}.new {URL}\n')
NO_BROWSER = {"BROWSER": "", "DISPLAY": "", "WAYLAND_DISPLAY": ""}


def run(*words, env=None, **kw):
    done = c(*words, env=dict(NO_BROWSER, **dict({"BROWSER": BROWSER}, **(env or {}))), **kw)
    if kw.get("text", True):
        said_everything.append(done.stdout + done.stderr)
    return done


def through(*words, **kw):
    return run("-g", "edge", *words, **kw)


def start_login():
    """(process, the address that the browser is sent to)."""
    if os.path.exists(URL):
        os.unlink(URL)
    process = c.start("gateway", "login", "edge", env=dict(NO_BROWSER, BROWSER=NOTES))
    gatewaylab.until(lambda: os.path.exists(URL))
    with open(URL) as f:
        return process, f.read()


def finish(process):
    out, err = process.communicate(timeout=30)
    said_everything.append(out.decode() + err.decode())
    return process.returncode, out.decode(), err.decode()


# ---- registering ----

def an_edge_is_seen():
    said = run("gateway", "add", edge.url, "--name", "edge", env=NO_BROWSER)
    assert "behind an edge proxy" in said.stderr and "gateway login edge" in said.stderr, said
    with open(os.path.join(c.config, "gateways/edge/metadata.json")) as f:
        assert json.load(f)["auth_mode"] == "cloudflare_jwt"
    row = next(r for r in run("gateway", "list").stdout.splitlines() if "edge" in r)
    assert "cloud" in row and "cloudflare_jwt" in row, row
    for flags, mode in ((["--local"], "mtls"), (["--remote", "me@h"], "mtls"),
                        (["--oidc-issuer", "https://id.example"], "oidc")):
        run("gateway", "add", edge.url, "--name", "another", *flags)
        with open(os.path.join(c.config, "gateways/another/metadata.json")) as f:
            assert json.load(f)["auth_mode"] == mode, flags
        run("gateway", "remove", "another")
    run("gateway", "add", edge.url, "--name", "another", "--ca", edge.ca, env={"SSL_CERT_FILE": "/dev/null"})
    with open(os.path.join(c.config, "gateways/another/metadata.json")) as f:
        assert json.load(f)["auth_mode"] == "cloudflare_jwt"
    assert run("-g", "another", "whoami", "-o", "json", env={"SSL_CERT_FILE": "/dev/null"}).returncode == 0
    run("gateway", "remove", "another")
    run("gateway", "select", "edge")


def without_a_log_in():
    said = through("whoami", status=1).stderr
    assert "nobody is logged in" in said and "cove gateway login edge" in said, said
    said = through("status", status=1).stdout
    assert "Authentication: Failed (" in said and "nobody is logged in" in said, said


# ---- logging in ----

def by_a_browser():
    said = run("gateway", "login", "edge")
    assert said.stdout == "✓ Logged in to gateway 'edge' as alice@example.com\n", said
    code = re.search(r"Confirmation code: ([A-Z2-9]{3}-[A-Z2-9]{4})\n", said.stderr)[1]
    with open(PAGE) as f:
        page = f.read()
    assert f'<code id="code">{code}</code>' in page and "alice@example.com" in page, page
    assert os.stat(TOKEN).st_mode & 0o777 == 0o600
    with open(TOKEN) as f:
        assert edge.knows(f.read().strip())
    u = json.loads(through("whoami", "-o", "json").stdout)
    assert (u["subject"], u["display_name"], u["identity_provider"]) == (
        "id-of-alice", "alice@example.com", "cloudflare_access"), u
    said = through("status").stdout
    assert "Status: Connected" in said and "Authentication: Authenticated (edge)" in said, said


def in_a_real_browser():
    with browserlab.Browser() as b:
        process, url = start_login()
        b.open(url)
        code = b.until("document.getElementById('code') && document.getElementById('code').textContent")
        assert url.endswith("code=" + code)
        assert process.poll() is None, "nothing is sent before the person says so"
        b.click("#connect")
        b.until("document.body.innerText.includes('You are logged in')")
        status, out, err = finish(process)
        assert status == 0 and "as alice@example.com" in out and code in err, (out, err)
        assert b.problems == [], b.problems
        # its own page may not be framed, fetched or run from another
        b.open(edge.url + "/console/")
        got = b.js("fetch(%s).then((r) => r.status)" % json.dumps(url))
        assert got == 400, got
        b.open(edge.url + "/auth/connect?callback_port=40000&code=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
        b.until("document.body.innerText.includes('no log-in')")
        assert b.js("document.scripts.length") == 0 and b.problems == [], b.problems
        # whoever made the link: nobody is there, and the page says so
        b.open(edge.url + "/auth/connect?callback_port=%d&code=ABC-DEFG" % ports.free())
        b.click("#connect")
        b.until("document.body.innerText.includes('cannot be reached')")


def post(port, body, origin=None, method="POST", kind="application/json", raw=None):
    s = socket.create_connection(("127.0.0.1", port), 10)
    head = "%s /callback HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n" % (method, port)
    head += "Origin: %s\r\n" % origin if origin else ""
    head += "Content-Type: %s\r\nContent-Length: %d\r\n\r\n" % (kind, len(body))
    s.sendall(raw or head.encode() + body)
    answer = b""
    try:
        while data := s.recv(4096):
            answer += data
    except OSError:
        pass
    return answer


def t_strangers_do_not_log_in_for_me():
    process, url = start_login()
    port, code = re.fullmatch(r".*callback_port=(\d+)&code=(\S+)", url).groups()
    port = int(port)
    evil = json.dumps({"token": edge.token("mallory"), "code": code}).encode()
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(40)]
    for origin in (None, "null", "https://evil.example", edge.url + ".evil.example", "http" + edge.url[5:]):
        assert post(port, evil, origin).startswith(b"HTTP/1.1 403"), origin
    wrong = json.dumps({"token": edge.token("mallory"), "code": "AAA-AAAA"}).encode()
    assert post(port, wrong, edge.url).startswith(b"HTTP/1.1 403")
    for body, kind, status in ((b"", "application/json", b"400"), (b"[]", "application/json", b"403"),
                               (evil, "text/plain", b"400"), (b"x" * 50000, "application/json", b"400")):
        answer = post(port, body, edge.url, kind=kind)
        assert answer.startswith(b"HTTP/1.1 4"), (status, answer)
    assert post(port, b"", edge.url, "GET").startswith(b"HTTP/1.1 405")
    assert not post(port, b"", raw=b"x" * 60000).startswith(b"HTTP/1.1 200")
    assert process.poll() is None
    answer = post(port, json.dumps({"token": edge.token(), "code": code}).encode(), edge.url)
    assert answer.startswith(b"HTTP/1.1 200") and b"Access-Control-Allow-Origin: " + edge.url.encode() in answer
    status, out, err = finish(process)
    assert status == 0 and "as alice@" in out and "somebody else tried" in err, (out, err)
    for s in silent:
        s.close()


def t_the_page_reflects_nothing():
    cookie = "CF_Authorization=" + edge.token()
    bad = ["", "?callback_port=40000", "?callback_port=80&code=ABC-DEFG", "?callback_port=40000&code=abc-defg",
           "?callback_port=40000&code=%3Cscript%3Ealert(1)%3C%2Fscript%3E", "?callback_port=javascript:1&code=ABC-DEFG",
           "?callback_port=40000&code=ABC-DEFG&code=ABC-DEFG", '?callback_port=40000"><script>&code=ABC-DEFG',
           "?callback_port=40000%0d%0aSet-Cookie:x=y&code=ABC-DEFG"]
    for query in bad + ["?callback_port=40000&code=ABC-DEFG&x=<script>alert(1)</script>"]:
        done = subprocess.run(["curl", "-sSi", "-m", "20", "--cacert", edge.ca, "-H", "Cookie: " + cookie, "-g",
                               edge.url + "/auth/connect" + query.replace(" ", "%20")], capture_output=True, text=True,
                              check=True).stdout
        head, _, page = done.replace("\r\n", "\n").partition("\n\n")
        head = head.lower()
        assert head.startswith("http/1.1 200" if query not in bad else "http/1.1 400"), (query, head)
        assert "alert" not in page and "set-cookie" not in head, (query, page)
        assert ("eyJ" in page) == (query not in bad), (query, page)
        for want in ("default-src 'none'", "frame-ancestors 'none'", "nosniff", "no-store", "no-referrer",
                     "x-frame-options: deny", "cross-origin-resource-policy: same-origin"):
            assert want in head, (want, head)
        assert ("connect-src http://127.0.0.1:40000/callback" in head) == (query not in bad), head
    for words in (["-H", "Sec-Fetch-Dest: empty"], ["-H", "Sec-Fetch-Dest: iframe"]):
        done = subprocess.run(["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", edge.ca, "-H",
                               "Cookie: " + cookie, *words, edge.url + "/auth/connect?callback_port=40000&code=ABC-DEFG"],
                              capture_output=True, text=True, check=True).stdout
        assert done == "400", done
    status, page = g.get("/auth/connect?callback_port=40000&code=ABC-DEFG", "-H", "Cookie: " + cookie)
    assert status == 401 and "eyJ" not in page, "past the edge nobody is anybody"
    edge.subject = '<img src=x onerror="alert(1)">'
    try:
        status, page = g.get("/auth/connect?callback_port=40000&code=ABC-DEFG", "-H",
                             edgelab.ASSERTION + ": " + edge.token())
        assert status == 200 and "<img" not in page and "&lt;img" in page, page
    finally:
        edge.subject = "alice"


def a_token_that_came_by_other_means():
    path = os.path.join(g.directory, "token")
    with open(path, "w") as f:
        f.write(edge.token("robot", sub="", email=None, common_name="ci.access") + "\n")
    said = run("gateway", "login", "edge", "--token-file", path)
    assert said.stdout == "✓ Logged in to gateway 'edge' as ci.access\n", said
    with open(path, "w") as f:
        f.write("a;b")
    assert "no token has" in run("gateway", "login", "edge", "--token-file", path, status=1).stderr
    run("gateway", "login", "edge")


# ---- through the tunnel ----

def sandboxes():
    said = through("sandbox", "create", "--name", "box", "--detach", "--", "sleep", "100000")
    assert "Created sandbox: box" in said.stdout, said
    gatewaylab.until(lambda: " Ready" in through("sandbox", "list").stdout, 30)
    done = through("exec", "-n", "box", "--", "sh", "-c", "echo out; echo err >&2; exit 7", status=7)
    assert (done.stdout, done.stderr) == ("out\n", "err\n"), done
    text = os.urandom(3000000)
    done = through("exec", "-n", "box", "--", "sha256sum", stdin=text, text=False)
    assert done.stdout.split()[0].decode() == hashlib.sha256(text).hexdigest()
    done = through("exec", "-n", "box", "--", "head", "-c", "5000000", "/dev/zero", text=False)
    assert done.stdout == bytes(5000000)


def streams_go_both_ways():
    p = c.start("-g", "edge", "exec", "-n", "box", "--", "sh", "-c", "while read x; do echo got $x; done")
    for i in range(20):
        p.stdin.write(b"%d\n" % i)
        p.stdin.flush()
        assert p.stdout.readline() == b"got %d\n" % i
    p.stdin.close()
    assert p.wait(20) == 0
    p.stdout.close()
    p.stderr.close()


def a_terminal():
    process, master = c.start_on_terminal("-g", "edge", "exec", "-n", "box", "--tty", "--", "sh", rows=40, cols=100)
    seen = b""

    def until(word):
        nonlocal seen
        end = time.monotonic() + 20
        while word not in seen:
            assert time.monotonic() < end, seen
            if select.select([master], [], [], 0.2)[0]:
                seen += os.read(master, 65536)
    os.write(master, b"stty size; echo di''d\n")
    until(b"di" + b"d")
    assert b"40 100" in seen, seen
    os.write(master, b"exit 3\n")
    assert process.wait(20) == 3
    os.close(master)


def five_megabytes_up_and_down():
    path, back = os.path.join(g.directory, "large"), os.path.join(g.directory, "back")
    with open(path, "wb") as f:
        f.write(os.urandom(5 << 20))
    begun = time.monotonic()
    through("sandbox", "upload", "box", path, "/sandbox/large", timeout=120)
    through("sandbox", "download", "box", "/sandbox/large", back, timeout=120)
    with open(path, "rb") as one, open(back, "rb") as two:
        assert one.read() == two.read()
    print("# 5 MiB up and down in %.1f s" % (time.monotonic() - begun))


def a_port_is_forwarded():
    p = c.start("-g", "edge", "exec", "-n", "box", "--", "python3", "-m", "http.server", "-b", "127.0.0.1", "8000")
    port = ports.free()
    f = c.start("-g", "edge", "forward", "service", "box", "--target-port", "8000", "--local", str(port))
    try:
        got = gatewaylab.until(lambda: subprocess.run(
            ["curl", "-sS", "-m", "5", "http://127.0.0.1:%d/" % port], capture_output=True, text=True).stdout, 30)
        assert "Directory listing" in got, got
    finally:
        for process in (p, f):
            process.kill()
            process.communicate()


def t_a_service_is_not_shown_who_asks():
    """An agent that got the visitor's token could come back with it."""
    echo = ("import http.server\n"
            "class H(http.server.BaseHTTPRequestHandler):\n"
            "    def do_GET(self):\n"
            "        b = str(self.headers).encode(); self.send_response(200)\n"
            "        self.send_header('content-length', str(len(b))); self.end_headers(); self.wfile.write(b)\n"
            "http.server.HTTPServer(('127.0.0.1', 8001), H).serve_forever()\n")
    p = c.start("-g", "edge", "exec", "-n", "box", "--", "python3", "-c", echo)
    try:
        through("service", "expose", "box", "8001")
        words = ["-H", "Host: default--box.openshell.localhost"]
        assert g.get("/x", *words)[0] == 401, "this machine is no proof: the edge is here, too"
        token = edge.token()
        status, _ = g.get("/x", *words, "-H", "Cookie: CF_Authorization=" + token)
        assert status == 401
        got = gatewaylab.until(lambda: [x for x in [g.get(
            "/x", *words, "-H", edgelab.ASSERTION + ": " + token, "-H",
            "Cookie: a=b; CF_Authorization=%s; c=d" % token, "-H", "Cf-Access-Token: " + token)] if x[0] == 200], 30)
        text = got[0][1]
        assert "cookie: a=b; c=d" in text.lower() and token not in text and "cf-" not in text.lower(), text
    finally:
        p.kill()
        p.communicate()


def openshell_works_too():
    env = {"OPENSHELL_GATEWAY": "edge"}
    done = c("sandbox", "exec", "-n", "box", "--no-tty", "--", "echo", "hello", env=env, program="openshell")
    assert done.stdout == "hello\n", done


# ---- the end of a token ----

def a_token_that_is_refused():
    with open(TOKEN) as f:
        token = f.read().strip()
    edge.revoked.add(token)
    said = through("sandbox", "list", status=1).stderr
    assert "asks for a log-in" in said and "hint: log in with: cove gateway login edge" in said, said
    said = through("status", status=1).stdout
    assert "Authentication: Failed (" in said and "asks for a log-in" in said, said
    edge.revoked.clear()
    edge.assert_ = lambda t: edge.token(aud=["x"])
    try:
        said = through("sandbox", "list", status=1).stderr
        assert "another audience" in said and "cove gateway login edge" in said, said
    finally:
        edge.assert_ = lambda t: t
    through("sandbox", "list")


def a_gateway_that_is_not_there():
    server, port = edge.gateway.port, ports.free()
    edge.gateway.port = port
    try:
        said = through("sandbox", "list", status=1).stderr
        assert "failed to connect" in said and "log in" not in said, said
    finally:
        edge.gateway.port = server
    with open(os.path.join(c.config, "gateways/edge/metadata.json")) as f:
        text = f.read()
    run("gateway", "add", "https://localhost:%d" % g.port, "--name", "plain", "--local")
    path = os.path.join(c.config, "gateways/plain/metadata.json")
    with open(path, "w") as f:
        f.write(text.replace(edge.url, "https://localhost:%d" % g.port).replace('"edge"', '"plain"'))
    with open(os.path.join(c.config, "gateways/plain/edge_token"), "w") as f:
        f.write(edge.token("bob"))
    said = run("-g", "plain", "whoami", status=1).stderr
    assert "not trusted" in said and "log in" not in said, said
    run("gateway", "remove", "plain")


def logged_out():
    run("gateway", "logout", "edge")
    assert not os.path.exists(TOKEN)
    assert "nobody is logged in" in through("whoami", status=1).stderr


def added_and_logged_in_at_once():
    run("gateway", "remove", "edge")
    said = run("gateway", "add", edge.url, "--name", "edge")
    assert "added and set as active" in said.stdout and "Logged in to gateway 'edge' as alice" in said.stdout, said


def no_token_was_printed():
    for said in said_everything:
        assert "eyJ" not in said, said
    assert "eyJ" not in "\n".join(g.lines)


try:
    for f in (an_edge_is_seen, without_a_log_in, by_a_browser):
        check(f)
    try:
        check(in_a_real_browser)
    except look.Unavailable as e:
        tap.skip("in a real browser", e)
    for f in (t_strangers_do_not_log_in_for_me, t_the_page_reflects_nothing, a_token_that_came_by_other_means, sandboxes,
              streams_go_both_ways, a_terminal, five_megabytes_up_and_down, a_port_is_forwarded,
              t_a_service_is_not_shown_who_asks, openshell_works_too, a_token_that_is_refused,
              a_gateway_that_is_not_there, logged_out, added_and_logged_in_at_once, no_token_was_printed):
        check(f)
finally:
    g.close()
    edge.close()
tap.done()
