#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: a proxy or keeper that is killed is replaced and the run goes on (p16); a policy that
changes is obeyed by the next request, also on a connection that was open before; a bad one is
refused with its place and the old one stays.
Method: one sandbox whose shell does what is written to it, against a local HTTPS server."""
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import world  # noqa: E402

WAIT_S = 20
POLICY = """\
version: 1
network_policies:
  api:
    endpoints:
      - host: api.example.test
        port: 443
        protocol: rest
        enforcement: enforce
        rules: [{allow: {method: GET, path: %s}}]
    binaries: [{path: "/usr/**"}]
"""

tap = world.Tap()
w = world.World(["api.example.test"])
server = world.Server(world.PRIVATE, 443, w.pki)
policy = w.policy(POLICY % "/a")


class Shell:
    """`cove run -- sh`, line by line."""

    def __init__(self, *options, argv=("sh",)):
        self.p = subprocess.Popen(
            [world.COVE, "run", "--workdir", w.work, "--ca", w.pki.ca, *options, "--", *argv],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.err = []
        threading.Thread(target=lambda: self.err.extend(self.p.stderr), daemon=True).start()

    def do(self, script):
        self.p.stdin.write(script + "; echo; echo end\n")
        self.p.stdin.flush()
        out = []
        for line in self.p.stdout:
            if line == "end\n":
                break
            out.append(line)
        return "".join(out).strip()

    def child(self, name):
        with open(f"/proc/{self.p.pid}/task/{self.p.pid}/children", encoding="ascii") as f:
            for pid in f.read().split():
                with contextlib.suppress(OSError), open(f"/proc/{pid}/comm", encoding="ascii") as c:  # or it ended
                    if c.read().strip() == name:
                        return int(pid)
        return 0

    def says(self, text):
        return until(lambda: any(text in line for line in self.err))

    def end(self):
        self.p.stdin.close()
        return self.p.wait(timeout=WAIT_S)


def until(fact):
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        if fact():
            return True
        time.sleep(0.02)
    return False


def get(path):
    return ("curl -s -o /dev/null -w '%{http_code}' -m 10 --cacert /etc/openshell-tls/ca-bundle.pem "
            f"https://api.example.test{path}")


sh = Shell("--policy", policy, "--resolve", f"api.example.test:443:{world.PRIVATE}")
tap.ok(sh.do(get("/a")) == "200" and sh.do(get("/b")) == "403", "one path is allowed, one is not",
       "".join(sh.err))

for name in ("cove-proxy", "cove-keeper"):
    old, proxy = sh.child(name), sh.child("cove-proxy")
    os.kill(old, signal.SIGKILL)
    tap.ok(until(lambda: sh.child(name) not in (0, old)), f"p16: {name} is started again",
           "".join(sh.err))
    if name == "cove-keeper":
        tap.ok(sh.child("cove-proxy") == proxy, "p16: the proxy outlives the keeper")
    code = sh.do(get("/a"))
    tap.ok(code == "200", f"p16: and requests pass again after {name}", code + "".join(sh.err))
    tap.ok(sh.do(get("/b")) == "403", f"p16: and are denied again after {name}")

authorities = "grep -c BEGIN /etc/openshell-tls/openshell-ca.pem"
tap.ok(sh.do(authorities) == "2", "the new authority stands beside the former")
for pair in (("cove-keeper", "cove-proxy"), ("cove-proxy", "cove-keeper")):
    old = [sh.child(name) for name in pair]
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    code = sh.do(get("/a"))
    tap.ok(code == "200", f"p16: a request waits for both to be started again after {pair}", code + "".join(sh.err))
    tap.ok(sh.child(pair[0]) not in (0, *old) and sh.child(pair[1]) not in (0, *old), "p16: and both are others")
tap.ok(sh.do(authorities) == "4", "each authority is trusted")

w.policy(POLICY % "/b")
tap.ok(sh.says("policy reloaded"), "a changed file is seen", "".join(sh.err))
tap.ok(sh.do(get("/b")) == "200" and sh.do(get("/a")) == "403", "and obeyed")

# as an editor does: another file, renamed over it
new = w.policy(POLICY % "/c", name="new.yaml")
os.rename(new, policy)
tap.ok(until(lambda: sh.do(get("/c")) == "200"), "a file renamed over it is seen")

w.policy("version: 1\nnetwork_policies:\n  a:\n    endpoint: []\n")
tap.ok(sh.says("the old one stays"), "a bad policy is refused", "".join(sh.err))
tap.ok(sh.says("policy.yaml:4"), "with its line", "".join(sh.err))  # it may have been read while it was empty
tap.ok(sh.do(get("/c")) == "200" and sh.do(get("/a")) == "403", "and the old one stays")

w.policy(POLICY % "/d")
sh.p.send_signal(signal.SIGHUP)
tap.ok(until(lambda: sh.do(get("/d")) == "200"), "SIGHUP reads it again")
tap.ok(sh.end() == 0, "the run ends as its command does")

# a keeper that dies again and again
w.policy(POLICY % "/a")
ends = Shell("--policy", policy, "--resolve", f"api.example.test:443:{world.PRIVATE}")
ends.do("true")
for i in range(5):
    old = ends.child("cove-keeper")
    os.kill(old, signal.SIGKILL)
    until(lambda: ends.child("cove-keeper") not in (0, old))
    tap.ok(ends.do(get("/a")) == "200", f"p16: after death {i + 1} of the keeper requests pass", "".join(ends.err))
tap.ok(ends.do(authorities) == "6", "each authority is trusted")
os.kill(ends.child("cove-keeper"), signal.SIGKILL)
tap.ok(ends.p.wait(timeout=WAIT_S) == 125 and ends.says("again and again"), "a keeper that dies too often ends the run",
       "".join(ends.err))

# a keep-alive connection's next request
w.policy(POLICY % "/a")
CLIENT = """
import http.client, ssl, sys
c = http.client.HTTPSConnection("10.200.0.1", 3128,
    context=ssl.create_default_context(cafile="/etc/openshell-tls/ca-bundle.pem"))
c.set_tunnel("api.example.test", 443)
for path in sys.stdin:
    c.request("GET", path.strip())
    r = c.getresponse()
    r.read()
    print(r.status, flush=True)
"""
keep = Shell("--policy", policy, "--resolve", f"api.example.test:443:{world.PRIVATE}",
             argv=("python3", "-u", "-c", CLIENT))


def ask(path):
    keep.p.stdin.write(path + "\n")
    keep.p.stdin.flush()
    return keep.p.stdout.readline().strip()


before = server.connections
tap.ok(ask("/a") == "200" and ask("/a") == "200" and server.connections == before + 1,
       "two requests on one connection", "".join(keep.err))
w.policy(POLICY % "/b")
keep.says("policy reloaded")
tap.ok(ask("/a") == "403", "its next request obeys the new policy", "".join(keep.err))
keep.end()

none = Shell("-q")
tap.ok(none.child("cove-proxy") == 0, "without a policy no proxy is started")
tap.ok("403" in none.do("curl -s -o /dev/null -w '%{http_code}' -m 10 http://192.0.2.1/"),
       "until the first connection, which is denied", "".join(none.err))
tap.ok(none.child("cove-proxy") != 0, "by a proxy")
none.end()
w.close()
tap.done()
