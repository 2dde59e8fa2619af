#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The proxy's side of a keeper that dies and is started anew.

Goal: while there is none, everything goes on that needs nothing of it, and who needs a certificate
waits for the next one, not for ever; the next one is taken with its own CA, and the certificates of
so many former ones as are trusted inside are shown on; one with other credentials, or that speaks
out of turn, ends the run with a reason.
"""
import os
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import box  # noqa: E402
import proxylab  # noqa: E402
import world  # noqa: E402
from proxylab import Lab, link_send, pack_str, read_response  # noqa: E402

FORMER_CAS_MAX = 5  # CV_KEEPER_FORMER_CAS_MAX
CATALOG, REFUSED = 2, 4
NAMES = ["a.test", "b.test", "c.test", "d.test", "e.test", "f.test"]
P = world.PUBLIC
POLICY = "version: 1\nnetwork_policies:\n  all:\n    endpoints:\n" + "".join(
    f"      - {{host: {n}, port: {p}, protocol: rest, enforcement: enforce, access: full}}\n"
    for n in NAMES for p in (80, 443)) + "    binaries: [{path: /usr/bin/curl}]\n"

w = world.World(NAMES)
proxylab.add_local("10.200.0.0", 24)
web, tls = world.Server(P, 80), world.Server(P, 443, w.pki)
tap = world.Tap()


def lab_make():
    return Lab(w, POLICY, pins=[(n, p, P) for n in NAMES for p in (80, 443)])


def equal(got, want):
    assert got == want, f"got {got!r}, want {want!r}"


def handshake(name):
    """A session with whatever certificate the proxy shows for that name."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    s, status, head = lab.tunnel(name, 443, timeout=15)
    equal(status, 200)
    return context.wrap_socket(s, server_hostname=name)


def ask(s, host):
    s.sendall(f"GET /x HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    return read_response(s)[0]


def leaf(name):
    with handshake(name) as s:
        return s.getpeercert(binary_form=True)


def is_signed_by(der, ca):
    path = os.path.join(lab.dir, "leaf.pem")
    with open(path, "w", encoding="ascii") as f:
        f.write(ssl.DER_cert_to_PEM_cert(der))
    return subprocess.run(["openssl", "verify", "-CAfile", ca, path], capture_output=True).returncode == 0


class Later(threading.Thread):
    """A handshake under way; .leaf when it is done, .error when it failed."""

    def __init__(self, name):
        super().__init__(daemon=True)
        self.name_asked, self.leaf, self.error = name, None, None
        self.start()

    def run(self):
        try:
            self.leaf = leaf(self.name_asked)
        except (OSError, AssertionError) as e:
            self.error = e


def goes_on():
    kept, first = handshake("a.test"), lab.ca
    before = kept.getpeercert(binary_form=True)
    assert is_signed_by(before, first)
    equal(ask(kept, "a.test"), 200)
    lab.keeper_kill()
    time.sleep(0.1)
    equal(ask(kept, "a.test"), 200)
    with handshake("a.test") as s:
        equal((ask(s, "a.test"), s.getpeercert(binary_form=True)), (200, before))
    s = lab.connect()
    s.sendall(b"GET http://a.test/x HTTP/1.1\r\nHost: a.test\r\n\r\n")
    equal(read_response(s)[0], 200)
    waits = Later("b.test")
    time.sleep(0.3)
    assert waits.is_alive(), "it does not wait"
    lab.keeper_anew()
    waits.join(20)
    assert waits.leaf and is_signed_by(waits.leaf, lab.ca) and not is_signed_by(waits.leaf, first), waits.error
    equal(leaf("a.test"), before)
    equal(ask(kept, "a.test"), 200)


def asked_again():
    """It dies with questions unanswered."""
    os.kill(lab.keeper.pid, 19)
    waits = [Later("c.test"), Later("c.test"), Later("d.test")]
    time.sleep(0.3)
    lab.keeper_anew()
    for one in waits:
        one.join(20)
        assert one.leaf and is_signed_by(one.leaf, lab.ca), one.error


def replaced():
    """One that lives is left for the next one; one that died at once is nothing to be told of."""
    old, lab.keeper = lab.keeper, None
    dead, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    dead.close()
    lab.keeper_link(ours)
    time.sleep(0.1)
    lab.keeper_anew()
    old.kill()
    old.wait()
    assert is_signed_by(leaf("e.test"), lab.ca)


def forgotten():
    ca, now = lab.ca, leaf("e.test")
    for _ in range(FORMER_CAS_MAX):
        lab.keeper_anew()
        equal(leaf("e.test"), now)
    lab.keeper_anew()
    then = leaf("e.test")
    assert then != now and is_signed_by(then, lab.ca) and not is_signed_by(then, ca)


def not_for_ever():
    lab.keeper_kill()
    begin = time.monotonic()
    waits = Later("f.test")
    waits.join(25)
    assert 8 < time.monotonic() - begin < 19 and waits.error, (time.monotonic() - begin, waits.leaf)
    last = lab.decisions("Denied")[-1]
    equal((last["dst_endpoint"]["domain"], "tls_termination_unavailable" in str(last)), ("f.test", True))


def ends(why, *messages):
    """The proxy ends with that reason at those messages of its next keeper."""
    theirs, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for kind, body in messages:
        link_send(theirs, kind, body)
    lab.keeper_kill()
    lab.keeper_link(ours)
    try:
        lab.wait("no such reply", 5)
    except AssertionError as e:
        assert why in str(e), e
    equal(lab.process.wait(20), 70)
    theirs.close()


lab = lab_make()
tap.check("without a keeper: what is there goes on, a new name waits for the next one", goes_on)
tap.check("what it was asked is asked of the next one", asked_again)
tap.check("one that lives is replaced, one that is dead is waited for again", replaced)
tap.check("certificates of CAs that nobody trusts any more are forgotten", forgotten)
tap.check("a name waits, but not for ever, and it is recorded", not_for_ever)
lab.close()

lab = lab_make()
tap.check("the same catalog is taken", lambda: [lab.keeper_anew(), leaf("a.test")])
tap.check("another catalog ends the run", lambda: ends("other credentials", (CATALOG, struct.pack("<I", 1) + b"".join(
    pack_str(x) for x in ("KEY", "openshell:resolve:env:KEY", "provider")))))
lab = lab_make()
tap.check("an answer before the catalog ends the run", lambda: ends("makes no sense", (REFUSED, struct.pack(
    "<II", 9, 1) + pack_str("k") + pack_str("p") + pack_str(""))))
equal(box.survivors(), {})
w.close()
tap.done()
