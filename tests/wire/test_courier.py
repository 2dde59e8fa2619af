#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: the courier carries errands to the issuer that was named and to nobody else; over verified
TLS, without following anybody; bounded in size and time; commands see what they are given and leave
nothing behind; no token is left in what others can read (c10).
Method: the program itself, on both of its links, against a TLS server with the test's own roots."""
import http.server
import os
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import courier  # noqa: E402
import box  # noqa: E402
import look  # noqa: E402
import world  # noqa: E402

NAME, ADDRESS, PORT = "issuer.example.test", world.PRIVATE, 8443
URL = f"https://{NAME}:{PORT}"
SECRET = "refresh-token-5up3r53cr3t"


class Issuer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.seen.append((self.command, self.path, dict(self.headers.items()), body))
        status, headers, answer = {
            "/token": (200, {}, b'{"access_token":"at","expires_in":60}'),
            "/echo": (200, {}, body),
            "/limited": (429, {"Retry-After": "7", "X-RateLimit-Remaining": "0",
                               "Set-Cookie": "a=b"}, b"{}"),
            "/redirect": (307, {"Location": f"{URL}/token"}, b""),
            "/large": (200, {}, b"x" * ((1 << 20) + 1)),
            "/megabyte": (200, {}, b"x" * (1 << 20)),
        }.get(self.path, (404, {}, b"no"))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST

    def log_message(self, *_):
        pass


tap = world.Tap()
w = world.World([NAME])
issuer = world.Server(ADDRESS, PORT, w.pki, handler=Issuer)
other_pki = w.pki.selfsigned("other", [NAME])
impostor = world.Server(ADDRESS, 8444, w.pki, cert=other_pki, handler=Issuer)
misnamed = world.Server(ADDRESS, 8445, w.pki, cert=w.pki.leaf("elsewhere", ["elsewhere.example.test"]),
                        handler=Issuer)
plain = world.Server("127.0.0.1", 8080, handler=Issuer)
pins = [(NAME, port, ADDRESS) for port in (PORT, 8444, 8445, 8446, 8447)]


def start(**kw):
    return courier.Courier(w.pki.ca, pins, **kw)


def equal(got, want):
    if got != want:
        raise AssertionError(f"got {got!r}, want {want!r}")


def fetches():
    c = start()
    a = c.fetch(f"{URL}/token", headers=[("Content-Type", "application/x-www-form-urlencoded"),
                                         ("Authorization", "Bearer x")], body=SECRET.encode())
    equal((a.status, a.body), (200, b'{"access_token":"at","expires_in":60}'))
    method, path, headers, body = issuer.seen[-1]
    equal((method, path, body), ("POST", "/token", SECRET.encode()))
    equal(sorted(k.lower() for k in headers),
          ["accept", "authorization", "content-length", "content-type", "host"])
    equal(c.fetch(f"{URL}/token?x=1", method="GET").status, 404)
    equal(issuer.seen[-1][0], "GET")
    big = os.urandom(20000).hex().encode()
    equal(c.fetch(f"{URL}/echo", body=big).body, big)
    equal(c.close(), 0)


def keeps_headers():
    c = start()
    a = c.fetch(f"{URL}/limited")
    equal((a.status, a.headers), (429, {"Retry-After": "7", "X-RateLimit-Remaining": "0"}))
    c.close()


def follows_nobody():
    c = start()
    before = len(issuer.seen)
    equal(c.fetch(f"{URL}/redirect").status, 307)
    equal(len(issuer.seen), before + 1)
    c.close()


def verifies():
    c = start()
    before = len(issuer.seen)
    equal(c.fetch(f"https://{NAME}:8444/token", body=SECRET.encode()).failure, "TLS")
    equal(c.fetch(f"https://{NAME}:8445/token", body=SECRET.encode()).failure, "TLS")
    equal((impostor.seen, misnamed.seen), ([], []))
    equal(c.fetch(f"https://{NAME}:8446/token").failure, "CONNECT")
    equal(c.fetch("https://unknown.invalid/token").failure, "RESOLVE")
    equal(len(issuer.seen), before)
    c.close()


def refuses_urls():
    c = start()
    for url in ("http://127.0.0.1:8080/token", "file:///etc/passwd", f"ftp://{NAME}/", "gopher://x/",
                f"https://user:pw@{NAME}:{PORT}/token", "https://", "", "/token", "unix:/x",
                f"{URL}/a b", f"{URL}/\r\nX: y"):
        equal((url, c.fetch(url).failure), (url, "MESSAGE"))
    for headers in ([("A", "b\r\nX: y")], [("A:b", "c")], [("", "c")], [("A", "b")] * 17):
        equal(c.fetch(f"{URL}/token", headers=headers).failure, "MESSAGE")
    equal(c.fetch(f"{URL}/token", method="DELETE").failure, "MESSAGE")
    equal(plain.seen, [])
    equal(c.fetch(f"{URL}/token").status, 200)
    c.close()


def plain_http_by_flag():
    c = start(flags=courier.LOOPBACK_HTTP)
    equal(c.fetch("http://127.0.0.1:8080/token").status, 200)
    equal(c.fetch(f"http://{ADDRESS}:8080/token").failure, "MESSAGE")
    equal(c.fetch("http://127.0.0.1.example.test:8080/token").failure, "MESSAGE")
    c.close()


def bounded():
    c = start()
    equal(len(c.fetch(f"{URL}/megabyte").body), 1 << 20)
    equal(c.fetch(f"{URL}/large").failure, "LARGE")
    # A server that accepts and says nothing: eight errands wait, the ninth is told so at once.
    silent = socket.create_server((ADDRESS, 8447))
    tags = [c.fetch_start(f"https://{NAME}:8447/") for _ in range(9)]
    a = c.answer()
    equal((a.tag, a.failure), (tags[-1], "BUSY"))
    silent.close()
    equal({c.answer().failure for _ in range(8)} <= {"TLS", "BROKEN", "CONNECT"}, True)
    equal(c.fetch(f"{URL}/token").status, 200)
    c.close()


def times_out():
    c = start()
    silent = socket.create_server((ADDRESS, 8447))
    began = time.monotonic()
    equal(c.fetch(f"https://{NAME}:8447/").failure, "TIMEOUT")
    equal(time.monotonic() - began < 50, True)
    silent.close()
    c.close()


def commands():
    c = start(flags=courier.COMMANDS, env={"PATH": "/usr/bin:/bin", "HOME": "/nowhere", "OTHER": "o"})
    a = c.command("/bin/sh", "-c", "echo tok; echo noise >&2; env; ls -l /proc/self/fd", env=["HOME", "NONE"])
    lines = a.body.decode().splitlines()
    equal((a.status, lines[0]), (0, "tok"))
    equal([l for l in lines if "HOME" in l or "OTHER" in l or "noise" in l], ["HOME=/nowhere"])
    equal(sorted(l.split()[-3] for l in lines if "->" in l), ["0", "1", "2", "3"])  # 3 is ls's own
    equal(c.command("sh", "-c", "exit 3", env=["PATH"]).status, 3)
    equal(c.command("/nonexistent").status, 127)
    equal(c.command("/bin/sh", "-c", "kill -9 $$").status, 128)
    equal(c.command("/bin/sh", "-c", "head -c 65536 /dev/zero").body, bytes(65536))
    equal(c.command("/bin/sh", "-c", "head -c 65537 /dev/zero").failure, "LARGE")
    # What it leaves behind holds its output open; the answer does not wait for it, and it ends.
    mark = f"7{os.getpid()}"
    began = time.monotonic()
    equal(c.command("/bin/sh", "-c", f"sleep {mark} & echo t").body, b"t\n")
    equal(time.monotonic() - began < 20, True)
    box.until(lambda: not running(mark))
    equal(running(mark), [])
    # One that is at work ends with the courier.
    c.send(courier.COMMAND, courier.u32(2) + courier.text("/bin/sleep") + courier.text(mark) + courier.u32(0))
    box.until(lambda: running(mark))
    equal(len(running(mark)), 1)
    c.close()
    box.until(lambda: not running(mark))
    equal(running(mark), [])


def running(argument):
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                if argument.encode() in f.read().split(b"\0"):
                    found.append(pid)
        except OSError:
            pass
    return found


def commands_not_announced():
    c = start()
    equal(c.command("/bin/true").failure, "MESSAGE")
    c.close()


def bad_messages():
    c = start()
    courier.send(c.keeper, 9, b"")
    try:
        c.answer()
        raise AssertionError("the link stayed")
    except ConnectionError:
        pass
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)  # a keeper started anew
    courier.send(c.control, courier.LINK, fds=[theirs.fileno()])
    theirs.close()
    ours.settimeout(courier.ANSWER_S)
    c.keeper = ours
    equal(c.fetch(f"{URL}/token").status, 200)
    courier.send(c.keeper, courier.FETCH, courier.u32(5) + courier.text("POST"))
    try:
        c.answer()
        raise AssertionError("the link stayed")
    except ConnectionError:
        pass
    equal(c.close(), 0)


def confined():
    c = start()
    equal(c.fetch(f"{URL}/token", body=SECRET.encode()).status, 200)
    with open(f"/proc/{c.process.pid}/status", encoding="ascii") as f:
        status = dict(line.split(":\t", 1) for line in f.read().splitlines() if ":\t" in line)
    equal(status["NoNewPrivs"], "1")
    with open(f"/proc/{c.process.pid}/cmdline", "rb") as f:
        equal(f.read().count(b"\0"), 1)
    # not dumpable: the real root owns it, whom a user namespace shows as nobody
    assert os.stat(f"/proc/{c.process.pid}/environ").st_uid in ((0,) if os.geteuid() == 0 else (65534,))
    with open(f"/proc/{c.process.pid}/limits", encoding="ascii") as f:
        core = next(line for line in f if line.startswith("Max core file size"))
    equal(core.split()[4:6], ["0", "0"])
    c.close()


def forgets():
    """c10: after the answer, neither what was sent nor what came back is in its memory."""
    c = start()
    secret = ("rt-" + os.urandom(24).hex()).encode()
    equal(c.fetch(f"{URL}/echo", body=secret, headers=[("Authorization", "Bearer " + secret.decode())]).body,
          secret)
    with open(w.pki.ca, "rb") as f:
        roots = f.read().splitlines()[1]  # is there, so the search can find something
    found, has_roots = [], False
    for line, _, data in look.memory(c.process.pid):
        has_roots |= roots in data
        found += [line.strip()] * data.count(secret)
    equal((found, has_roots), ([], True))
    c.close()


for name, function in (("fetches what is asked, and adds nothing", fetches),
                       ("keeps the headers that say when to come back", keeps_headers),
                       ("follows no redirect", follows_nobody),
                       ("verifies chain and name before a byte is sent", verifies),
                       ("refuses URLs, headers and methods", refuses_urls),
                       ("plain http only by flag and to this host", plain_http_by_flag),
                       ("bounds answers and errands", bounded),
                       ("ends an errand in time", times_out),
                       ("runs commands and leaves nothing behind", commands),
                       ("runs no command that was not announced", commands_not_announced),
                       ("a malformed message ends the link, a new keeper goes on", bad_messages),
                       ("is confined", confined),
                       ("c10 keeps no copy of what was sent and came back", forgets)):
    tap.check(name, function)
w.close()
tap.done()
