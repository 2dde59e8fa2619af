#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: each interception keeps the same promises: what a program connects to is decided by policy, by
its destination and its executable, and there is no way round; what a weaker one lacks is refused or
said, and nothing weaker than was asked for runs.
Method: real sandboxes with each; inside, curl and a program that tries; outside, servers that keep what
reached them.  A host without nf_tables is one on which a seccomp filter answers as such a kernel does."""
import contextlib
import json
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "sandbox"))
import box  # noqa: E402
import lesserkernel  # noqa: E402
import test_kernel  # noqa: E402
import world  # noqa: E402

HOWS = ("tproxy", "redirect", "anyip")
NAMES = ["api.test", "six.test", "one.test", "two.test", world.PUBLIC]
POLICY = """
version: 1
network_policies:
  api:
    endpoints:
      - {host: api.test, ports: [443, 8443], protocol: rest, enforcement: enforce, access: read-only}
      - {host: six.test, port: 443}
      - {host: 93.184.216.34, port: 443}
    binaries: [{path: /usr/bin/curl}]
  py:
    endpoints:
      - {host: one.test, ports: [443, 8443]}
      - {host: two.test, port: 443}
    binaries: [{path: /usr/bin/python3}]
"""

# What a program tries: a line for each, NAME RESULT.
INSIDE = r"""
import errno, socket, ssl, struct, sys, threading

def say(name, what):
    print(name, what, flush=True)

def err(e):
    return "SILENCE" if isinstance(e, TimeoutError) else errno.errorcode.get(e.errno, "?")

def query(name, qtype):
    return b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + b"".join(
        bytes([len(x)]) + x.encode() for x in name.split(".")) + struct.pack(">BHH", 0, qtype, 1)

def dns(server, name, qtype, is_tcp=False):
    try:
        family = socket.AF_INET6 if ":" in server else socket.AF_INET
        s = socket.socket(family, socket.SOCK_STREAM if is_tcp else socket.SOCK_DGRAM)
        s.settimeout(3)
        s.connect((server, 53))  # takes an answer of this server only
        q = query(name, qtype)
        s.sendall(struct.pack(">H", len(q)) + q if is_tcp else q)
        a = s.recv(512)[2 if is_tcp else 0:]
        if a[3] & 15 or a[7] == 0:
            return "RCODE%d" % (a[3] & 15)
        return socket.inet_ntop(family if False else (socket.AF_INET if qtype == 1 else socket.AF_INET6),
                                a[-4:] if qtype == 1 else a[-16:])
    except OSError as e:
        return err(e)

def is_ours(text):
    return text.startswith(("198.18.", "198.19.", "fd23:6f70:656e"))

for n, (server, is_tcp) in {"dns4": ("8.8.8.8", False), "dns6": ("2620:fe::fe", False),
                            "dns-own": ("10.200.0.1", False), "dns4-tcp": ("9.9.9.9", True),
                            "dns6-tcp": ("2620:fe::fe", True)}.items():
    for qtype in (1, 28):
        got = dns(server, "api.test", qtype, is_tcp)
        say("%s-%d" % (n, qtype), "OK" if is_ours(got) else got)
say("dns-unlisted", dns("8.8.8.8", "evil.test", 1))

def bind(address, port, want_listen=True):
    s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    for o in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
        s.setsockopt(socket.SOL_SOCKET, o, 1)
    s.bind((address, port))
    s.listen(4)
    s.settimeout(2)
    return s

def attempt(name, what):
    try:
        what()
        say(name, "OK")
    except OSError as e:
        say(name, err(e))

# somebody else's place
for port in (53, 80, 443, 3128, 8443, 15001):
    attempt("bind-any-%d" % port, lambda: bind("0.0.0.0", port).close())
    attempt("bind-any6-%d" % port, lambda: bind("::", port).close())
    attempt("bind-near-%d" % port, lambda: bind("10.200.0.2", port).close())
attempt("bind-loopback-8443", lambda: bind("127.0.0.1", 8443).close())

def taken(address, port, to):
    # does a listener of this sandbox get a connection that was meant for the world?
    mine = bind(address, port)
    s = socket.socket(socket.AF_INET6 if ":" in to else socket.AF_INET)
    s.settimeout(2)
    try:
        s.connect((to, port))
    except OSError as e:
        return err(e)
    try:
        mine.accept()[0].close()
        return "TAKEN"
    except OSError:
        return "NOT-TAKEN"

for name, args in {"take-9999": ("0.0.0.0", 9999, "1.2.3.4"), "take-foreign": ("1.2.3.4", 9998, "1.2.3.4"),
                   "take-9999-6": ("::", 9999, "2001:db8::1")}.items():
    try:
        say(name, taken(*args))
    except OSError as e:
        say(name, err(e))

def own(address, port):
    return "OK" if taken(address, port, address) == "TAKEN" else "NO"

say("own-127", own("127.0.0.1", 8080))
say("own-1", own("::1", 8080))

def talk(to, port, source=None):
    try:
        s = socket.socket(socket.AF_INET6 if ":" in to else socket.AF_INET)
        s.settimeout(3)
        if source:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.bind(source)
        s.connect((to, port))
        s.sendall(b"GET / HTTP/1.0\r\n\r\n")
        a = s.recv(100)
        return ("403" if b" 403 " in a else "ANSWER " + repr(a[:40])) if a else "CLOSED"
    except OSError as e:
        return err(e)

for name, to, port in (("listener", "127.0.0.1", 15001), ("listener6", "::1", 15001),
                       ("listener-8443", "127.0.0.1", 8443), ("listener-any", "0.0.0.0", 15001),
                       ("unlistened", "1.2.3.4", 9997), ("unlistened6", "2001:db8::1", 9997),
                       ("denied", "1.2.3.4", 80), ("denied6", "2001:db8::1", 80)):
    say(name, talk(to, port))

# One port of ours, several destinations at once: each is who it is.
def tls(name, port, source):
    s = socket.socket()
    s.settimeout(5)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("10.200.0.2", source))
    s.connect((socket.getaddrinfo(name, port, socket.AF_INET)[0][4][0], port))
    return ssl.create_default_context().wrap_socket(s, server_hostname=name)

def get(s):
    s.sendall(b"GET /port HTTP/1.0\r\n\r\n")
    a = s.recv(100)
    return "OK" if b" 200 " in a else repr(a[:40])

try:
    both = [tls("one.test", 443, 40000), tls("two.test", 443, 40000)]
    say("one-source", "OK" if [get(s) for s in both] == ["OK", "OK"] else "NO")
except OSError as e:
    say("one-source", err(e))
try:
    first = tls("one.test", 443, 40001)
    second = tls("one.test", 8443, 40001)
    say("one-source-one-address", get(second))
except (OSError, ssl.SSLError) as e:
    say("one-source-one-address", "REFUSED")
"""

IN_USE, DENIED = ("EADDRINUSE",), ("EACCES", "EADDRINUSE")
REFUSED = ("ECONNREFUSED",)


def expected(how):
    rules = how != "anyip"
    want = {f"{name}-{qtype}": "OK" for name in ("dns4", "dns6", "dns-own", "dns4-tcp", "dns6-tcp")
            for qtype in (1, 28)}
    want["dns-unlisted"] = "RCODE5"
    for kind in ("any", "any6", "near"):
        want |= {f"bind-{kind}-{port}": DENIED for port in (53, 80, 443)}
        # where rules send each port to one listener, binding another's port succeeds and gets nothing
        want[f"bind-{kind}-3128"] = want[f"bind-{kind}-8443"] = "OK" if rules else IN_USE
        want[f"bind-{kind}-15001"] = IN_USE if rules else "OK"
    want["bind-loopback-8443"] = "OK" if rules else IN_USE
    want |= dict.fromkeys(("take-9999", "take-foreign", "take-9999-6"),
                          "NOT-TAKEN" if rules else "TAKEN")
    want |= {"own-127": "OK", "own-1": "OK"}
    closed = ("CLOSED", "ECONNRESET")
    want |= dict.fromkeys(("listener", "listener6", "listener-any"), closed if rules else REFUSED)
    want["listener-8443"] = REFUSED if rules else closed
    want |= dict.fromkeys(("unlistened", "unlistened6"), "403" if rules else REFUSED)
    want |= {"denied": "403", "denied6": "403", "one-source": "OK",
             "one-source-one-address": "REFUSED" if how == "redirect" else "OK"}
    return want


class Lab:
    def __init__(self, tap):
        self.tap = tap
        self.w = world.World(NAMES)
        self.servers = [world.Server(world.PUBLIC, port, pki=self.w.pki) for port in (443, 8443)]
        self.servers += [world.Server(world.PUBLIC6, 443, pki=self.w.pki)]
        self.pins = [f"{name}:{port}:{world.PUBLIC}" for name in ("api.test", "one.test", "two.test")
                     for port in (443, 8443)] + [f"six.test:443:{world.PUBLIC6}"]
        self.policy = self.w.policy(POLICY)

    def run(self, how, *argv, **kw):
        kw.setdefault("policy", self.policy)
        options = [*(["--interception", how] if how else []), *kw.pop("options", ())]
        return self.w.cove(argv, pins=self.pins, options=["--no-tty", *options], **kw)

    def seen(self):
        return sum(len(s.seen) for s in self.servers)

    def denied(self):
        return [e for e in self.w.events() if e.get("action") == "Denied"]

    def reason(self, text):
        return [e for e in self.denied() if text in json.dumps(e)]


def curls(tap, lab, how):
    """Real programs, by both ways and both families."""
    for name, words in {
            "the explicit proxy": ["https://api.test/a"],
            "IPv4": ["--noproxy", "*", "-4", "https://api.test/b"],
            "IPv6": ["--noproxy", "*", "-6", "https://api.test/c"],
            "another port of the policy": ["--noproxy", "*", "https://api.test:8443/d"],
            "a server that has IPv6 only": ["--noproxy", "*", "https://six.test/e"],
            "an address": ["--noproxy", "*", "-k", "https://93.184.216.34/f"]}.items():
        before = lab.seen()
        r = lab.run(how, "curl", "-sS", "-m", "8", "-o", "/dev/null", "-w", "%{http_code}", *words)
        tap.result(r.stdout == "200" and lab.seen() == before + 1 and not lab.denied(),
                   f"{how}: curl by {name}", r)
    before = lab.seen()
    r = lab.run(how, "curl", "-sS", "-m", "8", "--noproxy", "*", "-X", "DELETE", "-w", "%{http_code}",
                "https://api.test/x")
    tap.result(r.stdout.endswith("403") and lab.seen() == before and len(lab.denied()) == 1,
               f"{how}: a method that is not allowed", r)


def binaries(tap, lab, how):
    script = ("import urllib.request\n"
              "try: print(urllib.request.build_opener(urllib.request.ProxyHandler({})).open("
              "'https://%s/', timeout=8).status)\n"
              "except OSError as e: print('NO')")
    for host, want in (("one.test", "200"), ("api.test", "NO")):
        before = lab.seen()
        r = lab.run(how, "python3", "-c", script % host)
        tap.result(r.stdout.strip() == want and lab.seen() == before + (want == "200") and
                   (want == "200" or lab.reason("python3")),
                   f"{how}: p4 an endpoint of another executable: {host} {want}", r)


def inside(tap, lab, how):
    with open(os.path.join(lab.w.work, "inside.py"), "w", encoding="utf-8") as f:
        f.write(INSIDE)
    r = lab.run(how, "python3", "inside.py")
    tap.attempts(r.stdout, expected(how), f"{how} {r.stderr[-400:]}")
    seen = lab.reason('"port": 9997') + lab.reason('"port":9997')
    tap.ok(bool(seen) == (how != "anyip"), f"{how}: a port that nobody listens on is recorded, but with anyip",
           lab.denied())
    if how == "redirect":
        tap.ok(lab.reason("the connecting socket is gone") or lab.reason("no record of this connection"),
               "redirect: p4 who can't be told from another is denied with that reason", lab.denied())


def other_ways(tap, b, how):
    """n3: the whole table of the kernel's test, with this interception."""
    b.probe("syscalls.c")
    r = b.run(["./syscalls"], options=["--interception", how])
    want = {name: want for want, names in test_kernel.TABLES for name in names.split()}
    said = dict(line.split(" ", 1) for line in r.stdout.splitlines() if " " in line)
    wrong = {n: said.get(n) for n, w in want.items()
             if said.get(n, "").split(" ")[0] not in ((w,) if isinstance(w, str) else w)}
    tap.ok(r.returncode == 0 and not wrong, f"{how}: n3 sockets and calls of other kinds", (wrong, r.stderr))
    r = b.run(["python3", "-c", test_kernel.UDP], options=["--interception", how])
    bad = [line for line in r.stdout.splitlines() if line.split(" ", 1)[1].split(" ")[0] not in test_kernel.NO_WAY]
    tap.ok(len(r.stdout.splitlines()) >= 12 and not bad, f"{how}: n1 n3 n4 UDP, and TCP to the world", (bad, r.stdout, r.stderr))


def said(tap, lab, how):
    r = lab.run(how, "sleep", "0.5", quiet=False)
    start = [e for e in lab.w.events() if e.get("activity_name") == "Start" or e.get("class_uid") == 6002]
    if how == "tproxy":
        tap.ok("intercepted" not in r.stderr and not start, "tproxy: nothing is lost, and nothing is said",
               (r.stderr, start))
        return
    tap.ok(f"connections are intercepted by {how}, not by tproxy; lost: " in r.stderr,
           f"{how}: p13 the run says so", r.stderr)
    tap.ok(len(start) == 1 and start[0]["unmapped"]["interception"] == how and
           "connections" in json.dumps(start[0]), f"{how}: p13 the audit says so", start)
    r = lab.run(how, "true")
    tap.ok(not r.stderr, f"{how}: -q says nothing", r.stderr)


def no_policy(tap, lab, how):
    """The first connection starts a proxy, whichever port it is to."""
    for port in ("80", "443"):
        r = lab.run(how, "curl", "-sS", "-m", "8", "--noproxy", "*", "-o", "/dev/null", "-w", "%{http_code}",
                    f"http://1.2.3.4:{port}/", policy=None)
        tap.result(r.stdout == "403" and len(lab.denied()) == 1, f"{how}: no policy, port {port}: denied, recorded", r)


def reloads(tap, lab, how):
    path = lab.w.policy(POLICY, "changing.yaml")
    p = lab.start(how, path, "sh", "-c", "echo up; sleep 1; read x; "
                  "curl -sS -m 8 --noproxy '*' -o /dev/null -w '%{http_code}\\n' https://api.test/")
    p.stdout.readline()
    time.sleep(0.5)
    lab.w.policy(POLICY.replace("{host: two.test, port: 443}", "{host: two.test, port: 9090}"), "changing.yaml")
    box.until(lambda: "Policy reloaded" in str(lab.w.events(True)), 3 if how == "anyip" else 20)
    out, errors = p.communicate("go\n", timeout=30)
    is_refused = "policy not reloaded, the old one stays" in errors and "port 9090" in errors
    tap.ok(out.strip() == "200" and (is_refused if how == "anyip" else "policy reloaded" in errors),
           f"{how}: a new port in a policy is " + ("refused, by name; the old policy stays" if how == "anyip"
                                                    else "taken"), (out, errors))


def proxy_dies(tap, lab, how):
    p = lab.start(how, lab.policy, "sh", "-c", "echo up; read x; for p in 443 8443; do curl -sS -m 8 "
                  "--retry 3 --retry-all-errors --noproxy '*' -o /dev/null -w '%{http_code} ' https://api.test:$p/; done")
    p.stdout.readline()
    time.sleep(0.3)
    for pid, name in box.descendants(p.pid).items():
        if name == "cove-proxy":
            os.kill(pid, signal.SIGKILL)
    time.sleep(0.5)
    out, errors = p.communicate("go\n", timeout=60)
    tap.ok(out.split() == ["200", "200"] and "the proxy died" in errors,
           f"{how}: p16 another proxy gets all listeners", (out, errors))


def without(tap, lab):
    """A host without nf_tables."""
    r = lab.run("tproxy", "echo", "started", preexec_fn=lesserkernel.without_nftables)
    if "started" in r.stdout:
        tap.skip("without nf_tables", "unavailable: the filter has no effect")
        return
    tap.result(r.returncode == 125 and r.stderr.count("\n") == 1 and
               "to enable: modprobe -a nf_tables nft_tproxy" in r.stderr,
               "p13 without nf_tables tproxy is refused, with the command", r)
    r = lab.run("redirect", "echo", "started", preexec_fn=lesserkernel.without_nftables)
    tap.result(r.returncode == 125 and not r.stdout and "to enable: modprobe -a nf_tables nft_chain_nat" in r.stderr,
               "p13 and so is redirect", r)
    r = lab.run(None, "curl", "-sS", "-m", "8", "--noproxy", "*", "-o", "/dev/null", "-w", "%{http_code}",
                "https://api.test:8443/", preexec_fn=lesserkernel.without_nftables, quiet=False)
    tap.result(r.stdout == "200" and "intercepted by anyip, not by tproxy" in r.stderr,
               "without a wish it is anyip, and works, and is said", r)
    many = POLICY + "  many:\n    endpoints:\n      - {host: many.test, ports: [%s]}\n    binaries: [{path: /usr/bin/curl}]\n"
    policy = lab.w.policy(many % ", ".join(str(n) for n in range(7001, 7041)), "many.yaml")
    r = lab.run(None, "echo", "started", policy=policy, preexec_fn=lesserkernel.without_nftables)
    tap.result(r.returncode == 125 and not r.stdout and "the policy names port 70" in r.stderr,
               "p13 a policy with more ports than can be listened on is refused, with the port", r)
    r = lab.run("anyip", "echo", "started", policy=policy)
    tap.result(r.returncode != 0 and not r.stdout and "the policy names port 70" in r.stderr,
               "... before anything is started, where anyip was asked for", r)
    r = lab.run(None, "echo", "started", policy=policy)
    tap.result(r.stdout == "started\n", "... and is no matter with tproxy", r)
    r = subprocess.run([world.COVE, "doctor", "-o", "json"], capture_output=True, text=True, check=False,
                       timeout=120, preexec_fn=lesserkernel.without_nftables)
    report = json.loads(r.stdout)
    row = {m["name"]: m for m in report["mechanisms"]}["network-interception"]
    tap.ok(r.returncode == 0 and report["interception"] == "anyip" and row["status"] == "degraded" and
           "anyip" in row["detail"] and "refused without a record" in row["missing"] and
           row["enable"] == "modprobe -a nf_tables nft_tproxy", "doctor says which, what is lost, and the command", row)
    r = subprocess.run([world.COVE, "doctor", "-o", "json"], capture_output=True, text=True, check=False, timeout=120)
    tap.ok(json.loads(r.stdout)["interception"] == "tproxy", "doctor: tproxy here", r.stdout)


def words(tap, lab):
    r = lab.run("redirect", "true", options=["--dry-run"])
    tap.result("\ninterception redirect\n" in r.stdout, "--dry-run shows it", r)
    r = lab.run("anyip", "true", options=["--dry-run", "-o", "json"])
    plan = json.loads(r.stdout)
    tap.ok(plan["interception"] == "anyip" and plan["ports"] == [443, 8443], "... in JSON too", plan.get("interception"))
    r = lab.run("iptables", "true")
    tap.result(r.returncode == 2 and "tproxy, redirect, anyip" in r.stderr, "another word is refused", r)


def _start(self, how, policy, *argv):
    with contextlib.suppress(FileNotFoundError):
        os.unlink(self.w.audit)
    cmd = [world.COVE, "run", "--no-tty", "--workdir", self.w.work, "--ca", self.w.pki.ca, "--policy", policy,
           "--audit", self.w.audit, "--interception", how]
    for pin in self.pins:
        cmd += ["--resolve", pin]
    return subprocess.Popen([*cmd, "--", *argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


Lab.start = _start


def main(tap, b):
    lab = Lab(tap)
    try:
        for how in HOWS:
            curls(tap, lab, how)
            binaries(tap, lab, how)
            inside(tap, lab, how)
            other_ways(tap, b, how)
            said(tap, lab, how)
            no_policy(tap, lab, how)
            reloads(tap, lab, how)
            proxy_dies(tap, lab, how)
        without(tap, lab)
        words(tap, lab)
    finally:
        lab.w.close()


if __name__ == "__main__":
    box.each_user(main)
