#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: `cove run --upstream-proxy` takes a real program's HTTPS by way of that proxy, with
credentials from a file or a variable that nothing shows; words that can't be meant are refused
before anything starts.
Method: curl in a real sandbox, a small proxy of the test, a server behind it."""
import base64
import contextlib
import os
import socket
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import world  # noqa: E402

NAME = "api.example.test"
POLICY = f"""\
version: 1
network_policies:
  api:
    endpoints: [{{host: {NAME}, port: 443, protocol: rest, enforcement: enforce, access: read-only}}]
    binaries: [{{path: "/usr/**"}}]
"""
SECRET = "agent:hunter2"
heads = []


def pump(a, b):
    with contextlib.suppress(OSError):
        while data := a.recv(65536):
            b.sendall(data)
        b.shutdown(socket.SHUT_WR)


def serve(listener):
    while True:
        s, _ = listener.accept()
        head = b""
        while b"\r\n\r\n" not in head:
            head += s.recv(1)
        heads.append(head.decode())
        host, port = head.split()[1].decode().rsplit(":", 1)
        up = socket.create_connection((host, int(port)))
        s.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        for pair in ((s, up), (up, s)):
            threading.Thread(target=pump, args=pair, daemon=True).start()


tap = world.Tap()
w = world.World([NAME])
server = world.Server(world.PRIVATE, 443, w.pki)
listener = socket.create_server((world.PUBLIC, 3128))
threading.Thread(target=serve, args=(listener,), daemon=True).start()
policy = w.policy(POLICY)
URL = f"http://{world.PUBLIC}:3128"
secret = os.path.join(w.dir, "secret")
with open(secret, "w", encoding="ascii", opener=lambda p, f: os.open(p, f, 0o600)) as f:
    f.write(SECRET + "\n")


def cove(*options, argv=("curl", "-sS", f"https://{NAME}/x"), **kw):
    return w.cove(list(argv), policy=policy, pins=[f"{NAME}:443:{world.PRIVATE}"],
                  options=["--upstream-proxy", URL, *options], **kw)


def passes(title, *options, want=None, by_it=True, **kw):
    seen = len(heads)
    r = cove(*options, **kw)
    ok = r.returncode == 0 and r.stdout == "GET /x\n" and len(heads) == seen + by_it
    if ok and want:
        ok = want in heads[-1]
    tap.ok(ok, title, f"{r.returncode} {r.stdout!r} {r.stderr!r} {heads[seen:]}")


AUTH = "Proxy-Authorization: Basic " + base64.b64encode(SECRET.encode()).decode() + "\r\n"
INSECURE = "--upstream-proxy-auth-insecure"
passes("curl by way of the proxy", want=f"CONNECT {world.PRIVATE}:443 HTTP/1.1\r\n")
passes("credentials from a file", "--upstream-proxy-auth", f"file:{secret}", INSECURE, want=AUTH)
passes("credentials from a variable", "--upstream-proxy-auth", "env:CV_SECRET", INSECURE, want=AUTH,
       env={**os.environ, "CV_SECRET": SECRET})
passes("a listed name goes past it", "--no-upstream-proxy-for", "localhost,.example.test", by_it=False)
passes("our own HTTPS_PROXY and NO_PROXY are not looked at", want="CONNECT",
       env={**os.environ, "HTTPS_PROXY": "http://127.0.0.1:9", "NO_PROXY": "*"})

r = cove("--upstream-proxy-auth", f"file:{secret}", INSECURE,
         argv=["sh", "-c", "env; cat /proc/self/fdinfo/* /proc/[0-9]*/cmdline; ls -l /proc/self/fd; "
               "cat /proc/self/fd/5 2>/dev/null; true"])
tap.ok(r.returncode == 0 and "hunter2" not in r.stdout and "cove-upstream" not in r.stdout,
       "t4 the credentials do not enter the sandbox", r.stdout + r.stderr)

for title, options, why in [
        ("a password in the URL", ["--upstream-proxy", "http://u:hunter2@p:1"], "credentials in the URL"),
        ("an https:// proxy", ["--upstream-proxy", "https://p:1"], "not http://HOST:PORT"),
        ("no port", ["--upstream-proxy", "http://p"], "port is missing"),
        ("a list that is none", ["--upstream-proxy", URL, "--no-upstream-proxy-for", "a b!"], "'b!'"),
        ("credentials without consent", ["--upstream-proxy", URL, "--upstream-proxy-auth",
                                         f"file:{secret}"], "--upstream-proxy-auth-insecure"),
        ("credentials as a word", ["--upstream-proxy", URL, "--upstream-proxy-auth", SECRET, INSECURE],
         "env:NAME or file:PATH"),
        ("credentials that are not there", ["--upstream-proxy", URL, "--upstream-proxy-auth",
                                            "env:CV_NOT_SET", INSECURE], "CV_NOT_SET is not set"),
        ("companions without a proxy", ["--upstream-proxy-by-name"], "without --upstream-proxy")]:
    r = subprocess.run([world.COVE, "run", "--workdir", w.work, "-p", policy, *options, "--", "true"],
                       capture_output=True, text=True, check=False, timeout=30)
    tap.ok(r.returncode not in (0, 1) and why in r.stderr and "hunter2" not in r.stderr,
           f"refused: {title}", f"{r.returncode} {r.stderr}")

r = subprocess.run([world.COVE, "run", "-n", "--workdir", w.work, "-p", policy, "--upstream-proxy", URL,
                    "--upstream-proxy-auth", f"file:{secret}", INSECURE, "--", "true"],
                   capture_output=True, text=True, check=False, timeout=30)
tap.ok(f"upstream-proxy {URL}\n" in r.stdout and "with credentials" in r.stdout
       and "hunter2" not in r.stdout + r.stderr, "a dry run names it, and not the credentials",
       r.stdout + r.stderr)
w.close()
tap.done()
