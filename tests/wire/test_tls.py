#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""TLS in tunnels: ended here, relayed, or refused.

Goal: the name in the hello is the name that was allowed; where requests are inspected nothing
passes that is not HTTP/1; an upstream that can't be verified is a 502 and never looks well; and a
request that is refused leaves no byte with the server.
"""
import json
import os
import socket
import ssl
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import proxylab  # noqa: E402
import world  # noqa: E402
from proxylab import Bytes, Lab, read_all, read_response  # noqa: E402

POLICY = """
version: 1
network_policies:
  l4:
    endpoints:
      - {host: l4.test, ports: [443, 993, 995, 444]}
      - {host: 93.184.216.34, port: 443}
      - {host: nocert.test, port: 445}
      - {host: old.test, port: 446}
      - {host: self.test, port: 447}
      - {host: skip.test, port: 448, tls: skip}
    binaries: [{path: /usr/bin/curl}]
  api:
    endpoints:
      - host: api.test
        ports: [443, 448]
        protocol: rest
        enforcement: enforce
        rules: [{allow: {method: GET, path: "/v1/**"}}]
      - host: other.test
        port: 443
        protocol: rest
        enforcement: enforce
        access: full
    binaries: [{path: /usr/bin/curl}]
"""

P = world.PUBLIC
NAMES = ("l4.test", "api.test", "other.test", "skip.test", "nocert.test", "old.test", "self.test")
w = world.World(["l4.test", "api.test", "other.test", "skip.test", P])
proxylab.add_local("10.200.0.0", 24)
lab = Lab(w, POLICY, pins=[(n, p, P) for n in NAMES for p in range(443, 450)]
          + [("l4.test", 993, P), ("l4.test", 995, P)])
tap = world.Tap()

web = world.Server(P, 443, pki=w.pki)
imaps = Bytes(P, 993, pki=w.pki, greeting=b"* OK hello\r\n", answer=b"a OK\r\n")
echo = Bytes(P, 995, pki=w.pki, answer=b"echo")
wire = Bytes(P, 448, answer=b"raw")
wrong_name = Bytes(P, 445, pki=w.pki)
expired = Bytes(P, 446, pki=w.pki, cert=w.pki.leaf("old", ["old.test"], days="-1"))
own_dir = os.path.join(w.dir, "own")
os.mkdir(own_dir)
own = world.Pki(own_dir, ["self.test"])
selfsigned = Bytes(P, 447, pki=own)


def get(s, path, host):
    s.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    return read_response(s)


def last_denial():
    return [e for e in lab.events() if e.get("action") == "Denied"][-1]


def denials():
    return len([e for e in lab.events(0.05) if e.get("action") == "Denied"])


def ends_and_verifies():
    s = lab.tls("api.test", 443)
    assert s.version() == "TLSv1.3" and s.selected_alpn_protocol() == "http/1.1"
    cert = s.getpeercert()
    assert ("DNS", "api.test") in cert["subjectAltName"], cert
    for i in range(3):
        status, _, body = get(s, f"/v1/{i}", "api.test")
        assert (status, body) == (200, f"GET /v1/{i}\n".encode())


def tls12_too():
    context = lab.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    s = lab.tls("api.test", 443, context=context)
    assert s.version() == "TLSv1.2" and get(s, "/v1/x", "api.test")[0] == 200


def sandbox_resumes():
    context = lab.context()
    s = lab.tls("api.test", 443, context=context)
    get(s, "/v1/x", "api.test")
    session = s.session
    s.close()
    s = lab.tls("api.test", 443, context=context, session=session)
    assert s.session_reused, "no resumption"
    assert get(s, "/v1/x", "api.test")[0] == 200


def upstream_resumes():
    for _ in range(3):
        s = lab.tls("other.test", 443)
        assert get(s, "/", "other.test")[0] == 200
        s.close()


def early_hello():
    """The hello in the same packet as CONNECT."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = lab.context().wrap_bio(incoming, outgoing, server_hostname="api.test")
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    s = lab.connect()
    s.sendall(b"CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n\r\n" + outgoing.read())
    assert b" 200 " in proxylab.read_head(s)
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            incoming.write(s.recv(65536))
            if outgoing.pending:
                s.sendall(outgoing.read())
    assert tls.selected_alpn_protocol() == "http/1.1"


def hello_bytes(sni, alpn=("http/1.1",)):
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    context.check_hostname = False
    context.set_alpn_protocols(list(alpn))
    tls = context.wrap_bio(incoming, outgoing, server_hostname=sni)
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def split_hello():
    """t4: one byte a packet, and two records."""
    hello = hello_bytes("api.test")
    body = hello[5:]
    records = b"".join(b"\x16\x03\x01" + struct.pack(">H", len(part)) + part
                       for part in (body[:50], body[50:51], body[51:]))
    s, _, _ = lab.tunnel("api.test", 443)
    for i in range(0, len(records), 7):
        s.sendall(records[i:i + 7])
    answer = s.recv(100)
    assert answer[:1] == b"\x16", answer  # a ServerHello


def refused_hello(port, host, data, seen, code="sni_mismatch"):
    before = denials()
    connections, got = seen.connections, len(seen.seen)
    s, status, _ = lab.tunnel(host, port)
    assert status == 200
    s.sendall(data)
    answer = read_all(s)
    assert answer[:1] in (b"\x15", b"") or b"<reset>" in answer or answer.startswith(b"HTTP/1.1 403"), answer
    assert denials() == before + 1
    event = last_denial()
    assert len(seen.seen) == got, "bytes reached the server"
    return answer, event


def sni_differs():
    _, event = refused_hello(443, "api.test", hello_bytes("evil.test"), web)
    text = json.dumps(event)
    assert "evil.test" in text and "api.test" in text, text


def sni_differs_in_relay():
    refused_hello(448, "skip.test", hello_bytes("evil.test"), wire)


def no_sni_in_relay():
    refused_hello(448, "skip.test", hello_bytes(None), wire)


def relays_untouched():
    hello = hello_bytes("skip.test", alpn=("h2",))
    s, _, _ = lab.tunnel("skip.test", 448)
    s.sendall(hello)
    assert s.recv(10) == b"raw"
    assert wire.seen.endswith(hello)


def garbage_refused(data):
    def check():
        before, got = denials(), len(wire.seen)
        s, _, _ = lab.tunnel("api.test", 448)
        s.sendall(data)
        answer = read_all(s)
        assert b"unsupported_l7_protocol" in answer or answer[:1] == b"\x15", answer
        assert denials() == before + 1
        assert len(wire.seen) == got, "bytes reached the server"
    return check


def tls_in_tls():
    s = lab.tls("api.test", 443)
    before = denials()
    s.sendall(hello_bytes("api.test"))
    assert b"unsupported_l7_protocol" in read_all(s)
    assert denials() == before + 1


def alpn_others_refused():
    before = denials()
    s, _, _ = lab.tunnel("api.test", 443)
    try:
        lab.wrap(s, "api.test", alpn=("grpc-exp", "h3"))
        raise AssertionError("handshake passed")
    except ssl.SSLError as e:
        # Python 3.12 has no name for this alert
        assert any(text in str(e) for text in ("no application protocol", "unknown error")), e
    assert denials() == before + 1


def alpn_prefers_what_the_client_does():
    for offered in (("h2",), ("h2", "http/1.1"), ("http/1.1", "h2"), ("grpc-exp", "h2")):
        s = lab.tls("api.test", 443, alpn=offered)
        want = [o for o in offered if o != "grpc-exp"][0]
        assert s.selected_alpn_protocol() == want, (offered, s.selected_alpn_protocol())
        if want == "http/1.1":
            assert get(s, "/v1/x", "api.test")[0] == 200
        s.close()


def no_alpn():
    context = ssl.create_default_context(cafile=lab.ca)
    s = lab.tls("api.test", 443, context=context)
    assert s.selected_alpn_protocol() is None
    assert get(s, "/v1/x", "api.test")[0] == 200


def h2_preface_refused():
    s = lab.tls("api.test", 443)
    before = denials()
    s.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    assert b"unsupported_l7_protocol" in read_all(s)
    assert denials() == before + 1


def upstream_bad(host, port, why):
    def check():
        seen = {445: wrong_name, 446: expired, 447: selfsigned}[port]
        s = lab.tls(host, port)
        status, _, body = get(s, "/", f"{host}:{port}")
        body = json.loads(body)
        assert status == 502 and body["error"] == "upstream_tls_failed", (status, body)
        assert why in body["detail"].lower(), body
        assert not seen.seen, "bytes reached the server"
        assert "upstream_tls_failed" in json.dumps(lab.events())
    return check


def server_first_inside():
    s = lab.tls("l4.test", 993)
    assert s.recv(100) == b"* OK hello\r\n"
    s.sendall(b"a LOGIN\r\n")
    assert s.recv(100) == b"a OK\r\n"


def other_bytes_inside():
    s = lab.tls("l4.test", 995)
    s.sendall(b"\x00\x01binary")
    assert s.recv(100) == b"echo"


def literal_authority():
    context = lab.context()
    s = lab.tls(P, 443, sni=P, context=context)
    assert get(s, "/", P)[0] == 200


def refused_request_says_nothing_upstream():
    wire_seen, connections = len(wire.seen), wire.connections
    s = lab.tls("api.test", 448)
    status, _, body = get(s, "/v2/x", "api.test")
    assert status == 403, body
    assert len(wire.seen) == wire_seen, "bytes reached the server"


def unread_body_inside():
    s = lab.tls("api.test", 443)
    try:
        s.sendall(b"POST /v2 HTTP/1.1\r\nHost: api.test\r\nContent-Length: 900000\r\n\r\n" + b"x" * 900000)
    except OSError:
        pass
    answer = read_all(s)
    assert answer.startswith(b"HTTP/1.1 403") and answer.endswith(b"}"), answer[-100:]


def pinning_client():
    before = len(lab.events())
    s, _, _ = lab.tunnel("api.test", 443)
    try:
        ssl.create_default_context().wrap_socket(s, server_hostname="api.test")
        raise AssertionError("an unknown CA was trusted")
    except ssl.SSLCertVerificationError:
        pass
    events = lab.events()[before:]
    assert any(e.get("activity_name") == "Fail" and "handshake" in json.dumps(e) for e in events), events


def fragmented_large_transfer():
    body = os.urandom(3 << 20)
    s = lab.tls("other.test", 443)
    s.sendall(b"POST /big HTTP/1.1\r\nHost: other.test\r\nContent-Length: %d\r\n\r\n" % len(body))
    import threading
    t = threading.Thread(target=lambda: s.sendall(body))
    t.start()
    status, _, got = read_response(s)
    t.join()
    assert status == 200 and got == b"POST /big\n" + body, (status, len(got))


for name, check in [
        ("TLS is ended, the request passes, the connection is kept", ends_and_verifies),
        ("TLS 1.2 works", tls12_too),
        ("t22 the sandbox's session is resumed", sandbox_resumes),
        ("the upstream's session is resumed", upstream_resumes),
        ("t4 a hello in CONNECT's packet", early_hello),
        ("t4 a hello split over packets and records", split_hello),
        ("t1 another SNI than the authority is refused, both named", sni_differs),
        ("t1 the same in a relay", sni_differs_in_relay),
        ("t4 no SNI in a relay is refused", no_sni_in_relay),
        ("tls: skip relays the bytes as they are", relays_untouched),
        ("t5 SSH in an inspected tunnel", garbage_refused(b"SSH-2.0-OpenSSH_9.2\r\n")),
        ("t5 raw bytes in an inspected tunnel", garbage_refused(b"\x00\x01\x02\x03" * 8)),
        ("t4 a hello that is none", garbage_refused(b"\x16\x03\x01\x00\x04\x01\xff\xff\xff" + b"a" * 40)),
        ("t9 HTTP/2 with prior knowledge", garbage_refused(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")),
        ("t5 TLS in TLS", tls_in_tls),
        ("t8 ALPN of neither h2 nor http/1.1 is refused where requests are inspected", alpn_others_refused),
        ("t8 ALPN gives what the client named first", alpn_prefers_what_the_client_does),
        ("t8 no ALPN", no_alpn),
        ("t9 HTTP/2 preface after ALPN http/1.1", h2_preface_refused),
        ("t6 wrong name upstream", upstream_bad("nocert.test", 445, "mismatch")),
        ("t6 expired certificate upstream", upstream_bad("old.test", 446, "expired")),
        ("t6 unknown issuer upstream", upstream_bad("self.test", 447, "issuer")),
        ("a server that speaks first, inside TLS", server_first_inside),
        ("bytes that are no HTTP pass on plain L4, inside TLS", other_bytes_inside),
        ("t1 an address as authority", literal_authority),
        ("a refused request says nothing to the upstream", refused_request_says_nothing_upstream),
        ("t11 a denial inside TLS survives an unread body", unread_body_inside),
        ("t7 a client that pins fails, and is recorded", pinning_client),
        ("3 MiB each way, byte for byte", fragmented_large_transfer)]:
    tap.check(name, check)
tap.check("the proxy ends well", lambda: lab.close() == 0 or 1 / 0)
w.close()
tap.done()
