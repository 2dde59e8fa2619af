#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Programs that know of no proxy, and the names they ask for.

Goal: DNS says synthetic addresses for listed names and nothing else, and sends nothing anywhere; a
connection to such an address is one to the name; any other address is only itself.  Method: the
proxy's listener takes all addresses on one port, as the sandbox's rules do for all ports.
"""
import json
import os
import resource
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import box  # noqa: E402
import proxylab  # noqa: E402
import world  # noqa: E402
from proxylab import Bytes, Lab, read_all, read_response  # noqa: E402

POLICY = """
version: 1
network_policies:
  api:
    endpoints:
      - host: api.test
        port: 443
        protocol: rest
        enforcement: enforce
        rules: [{allow: {method: GET, path: "/v1/**"}}]
      - {host: raw.test, port: 443, protocol: tcp}
      - {host: "*.wild.test", port: 443}
      - {host: later.test, port: 8443}
      - {host: 93.184.216.34, port: 443}
    binaries: [{path: /usr/bin/curl}]
"""
P = world.PUBLIC
w = world.World(["api.test", "a.wild.test"])
proxylab.add_local("198.18.0.0", 15)
proxylab.add_local("fd23:6f70:656e::", 48)
dns_server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)  # the host's: must hear of nothing
dns_server.bind(("10.77.0.1", 53))
dns_server.settimeout(0.2)
lab = Lab(w, POLICY, listen=("0.0.0.0", 443), pins=[(h, 443, P) for h in
          ("api.test", "raw.test", "a.wild.test")], resolv="nameserver 10.77.0.1\n")
world.Server.allow_reuse_port = True  # beside the wildcard listener
origin = world.Server(P, 443, pki=w.pki)
tap = world.Tap()

A, NS, TXT, AAAA, SVCB, HTTPS, ANY = 1, 2, 16, 28, 64, 65, 255
UDP = ("127.0.0.1", lab.udp[0].getsockname()[1])
UDP6 = ("::1", lab.udp[1].getsockname()[1])


def query(name, qtype, ident=7, flags=0x100):
    return struct.pack(">HHHHHH", ident, flags, 1, 0, 0, 0) + b"".join(
        bytes([len(x)]) + x.encode() for x in name.split(".")) + struct.pack(">BHH", 0, qtype, 1)


def ask(name, qtype=A, to=UDP, message=None):
    """(rcode, [addresses], ttl)"""
    s = socket.socket(socket.AF_INET6 if ":" in to[0] else socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(15)
    s.connect(to)
    q = message or query(name, qtype)
    s.send(q)
    return parse(s.recv(4096), len(q))


def parse(reply, question_end):
    ident, flags, _, count, _, _ = struct.unpack_from(">HHHHHH", reply)
    assert flags & 0x8000
    at, found, ttl = question_end, [], 0
    for _ in range(count):
        at += 2 if reply[at] >= 0xc0 else reply.index(b"\0", at) + 1 - at
        rtype, _, ttl, n = struct.unpack_from(">HHIH", reply, at)
        at += 10
        found.append(socket.inet_ntop(socket.AF_INET if rtype == A else socket.AF_INET6, reply[at:at + n]))
        at += n
    return flags & 15, found, ttl


def silent():
    try:
        raise AssertionError(f"a query left: {dns_server.recv(512)}")
    except socket.timeout:
        pass


def denials():
    return len([e for e in lab.events(0.05) if e.get("action") == "Denied"])


def listed_name():
    rcode, found, ttl = ask("api.test")
    assert rcode == 0 and found[0].startswith("198.18.") or found[0].startswith("198.19."), found
    assert 0 < ttl <= 30
    assert ask("api.test")[1] == found, "another address the second time"
    assert ask("API.test")[1] == found
    rcode, found6, _ = ask("api.test", AAAA)
    assert rcode == 0 and found6[0].startswith("fd23:6f70:656e:"), found6
    assert ask("x.wild.test")[0] == 0
    silent()


def other_types():
    for qtype in (TXT, NS, HTTPS, SVCB, ANY):
        assert ask("api.test", qtype) == (0, [], 0), qtype
    silent()


def unlisted_name():
    for name in ("evil.test", "secret-data.evil.test", "wild.test", "a.b.wild.test", "xapi.test"):
        before = denials()
        assert ask(name)[0] == 5, name
        assert denials() == before + 1
    assert any("evil.test" in json.dumps(e) and e["class_uid"] == 4003 for e in lab.events())
    silent()


def malformed():
    good = query("api.test", A)
    for bad in (good[:5], good + b"\0", good[:4] + b"\0\2" + good[6:], b"", good[:12] + b"\xc0\x0c" + good[12:],
                struct.pack(">HHHHHH", 1, 0x2900, 1, 0, 0, 0) + good[12:]):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.sendto(bad, UDP)
    assert ask("api.test")[0] == 0
    silent()


def over_ipv6():
    assert ask("api.test", to=UDP6)[0] == 0


def many_names():
    """Names without end do not take memory without end, and never those in use."""
    first = ask("api.test")[1]
    for i in range(300):
        assert ask(f"n{i}.wild.test")[0] == 0
    assert ask("api.test")[1] == first


for name, check in [("a listed name gets synthetic addresses, the same each time", listed_name),
                    ("n6 TXT, NS, HTTPS, SVCB, ANY get nothing", other_types),
                    ("n4 an unlisted name is refused, one event, and no query leaves", unlisted_name),
                    ("malformed queries do no harm", malformed), ("over IPv6", over_ipv6),
                    ("n5 many names", many_names)]:
    tap.check(name, check)


# ---- connections ----

def connect(address, **who):
    return lab.connect((address, 443), **who)


def tls_to_name():
    address = ask("api.test")[1][0]
    s = lab.wrap(connect(address), "api.test")
    s.sendall(b"GET /v1/x HTTP/1.1\r\nHost: api.test\r\n\r\n")
    assert read_response(s)[2] == b"GET /v1/x\n"
    s.sendall(b"GET /v2/x HTTP/1.1\r\nHost: api.test\r\n\r\n")
    assert read_response(s)[0] == 403
    event = [e for e in lab.decisions("Allowed") if e["class_uid"] == 4001][-1]
    assert event["dst_endpoint"].get("domain") == "api.test", event


def kept_ones_are_shared():
    """... and with the server gone, the request that comes is answered inside its own TLS."""
    before, address = origin.connections, ask("api.test")[1][0]
    for _ in range(3):
        s = lab.wrap(connect(address), "api.test")
        s.sendall(b"GET /v1/x HTTP/1.1\r\nHost: api.test\r\n\r\n")
        assert read_response(s)[2] == b"GET /v1/x\n"
        s.close()
        time.sleep(0.05)
    assert origin.connections - before <= 1


def raw_to_name():
    seen = origin.connections
    address = ask("raw.test")[1][0]
    s = connect(address)
    s.sendall(b"\x16anything")
    assert box.until(lambda: origin.connections == seen + 1), origin.connections


def refused(address, data, want, **who):
    before, seen = denials(), origin.connections
    s = connect(address, **who)
    if data:
        s.sendall(data)
    answer = read_all(s)
    assert want in answer, answer
    assert denials() == before + 1
    assert origin.connections == seen, "a server was dialled"


def literal():
    """The listener of this test has the server's own address as well; reach it by name of itself."""
    refused("198.18.200.200", b"\x16\x03\x01", b"<reset>")


HTTP = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
for name, check in [
        ("TLS to a synthetic address is TLS to the name, inspected", tls_to_name),
        ("clients one after the other share a connection", kept_ones_are_shared),
        ("protocol: tcp is relayed unseen", raw_to_name),
        ("a synthetic address of nobody is reset", literal),
        ("plain HTTP gets the same words as through the proxy",
         lambda: refused("198.18.200.201", HTTP, b'"error":"policy_denied"')),
        ("a port that the name is not listed with",
         lambda: refused(ask("later.test")[1][0], HTTP, b'"error":"policy_denied"')),
        ("another binary", lambda: refused(ask("api.test")[1][0], HTTP, b"binary '/bin/nc'", exe="/bin/nc")),
        ("p4 no record", lambda: refused(ask("api.test")[1][0], HTTP, b"policy_denied", is_known=False)),
        ("silence is ended by a reset",
         lambda: refused("198.18.200.202", b"", b"<reset>"))]:
    tap.check(name, check)


def loopback_destination():
    try:
        s = lab.connect(("127.0.0.1", 443))
    except ConnectionResetError:
        return  # it was quicker than we
    assert read_all(s) == b"<reset>"


def another_sni():
    before = denials()
    address = ask("api.test")[1][0]
    try:
        lab.wrap(connect(address), "evil.test")
        raise AssertionError("handshake passed")
    except OSError:
        pass
    assert denials() == before + 1


def ended_by_time():
    """Connections that a timer ends give their places back: more of them than there are places."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2)
    for _ in range(3):
        socks = [connect("198.18.200.203") for _ in range(400)]
        for s in socks:
            assert read_all(s) == b"<reset>"
            s.close()
    refused("198.18.200.204", HTTP, b"policy_denied")


tap.check("t20 what a timer ends gives its place back", ended_by_time)
tap.check("127/8 is no destination", loopback_destination)
tap.check("t1 another SNI than the name asked for", another_sni)
tap.check("no query left in all of this", silent)
tap.check("the proxy ends well", lambda: lab.close() == 0 or 1 / 0)


# ---- DNS over TCP: a listener on port 53 ----

lab = Lab(w, POLICY, listen=("10.77.0.1", 53))


def dns_over_tcp():
    s = lab.connect(("10.77.0.1", 53), is_known=False)
    q = query("api.test", A)
    s.sendall(struct.pack(">H", len(q)) + q[:3])
    time.sleep(0.05)
    s.sendall(q[3:] + struct.pack(">H", len(q)) + q)
    for _ in range(2):
        n, = struct.unpack(">H", s.recv(2))
        assert parse(s.recv(n), len(q))[1][0].startswith("198.1")
    e = query("evil.test", A)
    s.sendall(struct.pack(">H", len(e)) + e)
    n, = struct.unpack(">H", s.recv(2))
    assert parse(s.recv(n), len(e))[0] == 5


def dns_over_tcp_garbage():
    s = lab.connect(("10.77.0.1", 53), is_known=False)
    s.sendall(b"\xff\xff" + b"x" * 100)
    assert read_all(s) in (b"", b"<reset>")


tap.check("DNS over TCP", dns_over_tcp)
tap.check("nonsense over TCP is cut", dns_over_tcp_garbage)
tap.check("the proxy ends well again", lambda: lab.close() == 0 or 1 / 0)


# ---- a destination that is not to be found: no rule has translated anything here ----

lab = Lab(w, POLICY, listen=("0.0.0.0", 443), pins=[("api.test", 443, P)], interception="redirect")


def no_destination():
    """... is no destination, not the listener's own name; on each of its connections, and once each."""
    seen = origin.connections
    for n in (1, 2):
        try:
            s = lab.connect(("198.18.200.200", 443))
            answer = read_all(s)
        except ConnectionResetError:
            answer = b"<reset>"
        assert answer == b"<reset>", answer
        found = [e for e in lab.events() if e.get("status_code") == "destination_unknown"]
        assert len(found) == n and found[-1]["action"] == "Denied", found
    assert "can't be found" in found[-1]["status_detail"] and found[-1]["src_endpoint"]["ip"], found
    assert origin.connections == seen, "a server was dialled"


def it_is_said():
    start = [e for e in lab.events() if e["class_uid"] == 6002]
    assert len(start) == 1 and start[0]["unmapped"]["interception"] == "redirect", start


def without_an_interception():
    for how in ("auto", "nothing"):
        proxylab.INTERCEPTIONS.append("nothing")
        try:
            Lab(w, POLICY, interception=how)
        except OSError:  # it is gone before all was said
            continue
        except AssertionError as e:
            assert "makes no sense" in str(e), e
            continue
        raise AssertionError(f"a proxy runs that was told {how}")


tap.check("redirect: a connection without a destination is denied, with its reason", no_destination)
tap.check("redirect: the audit says what it lacks", it_is_said)
tap.check("the proxy ends well once more", lambda: lab.close() == 0 or 1 / 0)
tap.check("a proxy that is not told how connections come does not start", without_an_interception)
w.close()
tap.done()
