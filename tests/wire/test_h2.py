#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 on both sides: h2 to h2, h2 to http/1.1, and peers that misbehave.

Goal: each stream is a request of its own: judged, recorded, answered, ended alone; nothing of a
refused one reaches the server; what a peer can cost is bounded; and nothing that HTTP/2 gives
(streaming both ways, trailers, cancellation, flow control) is lost on the way.
"""
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import h2lab  # noqa: E402  (first: it may start another Python)
import h2.events  # noqa: E402
import proxylab  # noqa: E402
import world  # noqa: E402
from h2lab import (CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PREFACE,  # noqa: E402
                   PRIORITY, RST, SETTINGS, WINDOW, Client, Raw, block, frame)
from proxylab import Bytes, Lab, read_all, read_response  # noqa: E402

POLICY = """
version: 1
network_policies:
  api:
    endpoints:
      - host: api.test
        ports: [443, 444, 445, 446, 447, 448, 449, 450, 451]
        protocol: rest
        enforcement: enforce
        rules: [{allow: {method: "*", path: "/v1/**"}}]
      - {host: l4.test, ports: [443, 81]}
      - {host: clear.test, ports: [80], protocol: rest, enforcement: enforce, access: full, h2c: true}
      - {host: noclear.test, ports: [80], protocol: rest, enforcement: enforce, access: full}
    binaries: [{path: /usr/bin/curl}]
"""
P, Q, R = world.PUBLIC, "93.184.216.35", "93.184.216.36"
AUTH = {443: "api.test", 444: "api.test:444", 445: "api.test:445", 446: "api.test:446",
        447: "api.test:447", 448: "api.test:448"}

w = world.World(["api.test", "l4.test"])
proxylab.add_local("10.200.0.0", 24)
for a in (Q, R):
    world.add_address(a)
lab = Lab(w, POLICY, pins=[("api.test", p, P) for p in range(443, 449)] + [("api.test", p, R) for p in (449, 450, 451)]
          + [("l4.test", 443, Q), ("l4.test", 81, Q), ("clear.test", 80, Q), ("noclear.test", 80, R)])
assert lab.policy_result[0] == 0, lab.policy_result
tap = world.Tap()


def upstream(server, c, e):
    """What the test asks of it stands in the path."""
    if isinstance(e, h2.events.RequestReceived):
        path = dict(e.headers)[":path"]
        sid = e.stream_id
        if path == "/v1/early":  # an answer before the request's end
            c.send_headers(sid, [(":status", "200")])
            c.send_data(sid, b"early", end_stream=True)
        if path == "/v1/bidi":
            c.send_headers(sid, [(":status", "200")])
        if path == "/v1/reset":
            c.reset_stream(sid, 8)
        if path == "/v1/enhance":
            c.send_headers(sid, [(":status", "200")])
            c.send_data(sid, b"some")
            c.reset_stream(sid, 11)
        if path == "/v1/hints":
            c.send_headers(sid, [(":status", "103"), ("link", "</x>")])
        if path == "/v1/goaway":
            c.send_headers(sid, [(":status", "200")], end_stream=True)
            c.close_connection()
        if path == "/v1/refuse":
            c.reset_stream(sid, 7)
        if path == "/v1/badstatus":
            c.send_headers(sid, [(":status", "20x")], end_stream=True)
        if path == "/v1/split":
            c.send_headers(sid, [(":status", "200"), ("x", "a\r\nset-cookie: b")], end_stream=True)
        if path == "/v1/hop":
            c.send_headers(sid, [(":status", "200"), ("connection", "close")], end_stream=True)
        if path == "/v1/long":
            c.send_headers(sid, [(":status", "200"), ("content-length", "3")])
            c.send_data(sid, b"more than three", end_stream=True)
        if path == "/v1/short":
            c.send_headers(sid, [(":status", "200"), ("content-length", "30")])
            c.send_data(sid, b"three", end_stream=True)
        return
    path = c.heads.get(getattr(e, "stream_id", None), {}).get(":path")
    if isinstance(e, h2.events.DataReceived) and path == "/v1/bidi":
        if e.data == b"GOAWAY":  # from this thread: TLS is no thing for two
            c.sock.sendall(frame(GOAWAY, 0, 0, struct.pack(">II", 2**31 - 1, 0)))
        c.send_data(e.stream_id, e.data)
    if isinstance(e, h2.events.WindowUpdated):
        h2lab.echo(server, c, e)
    if not isinstance(e, h2.events.StreamEnded) or path in (
            "/v1/early", "/v1/reset", "/v1/enhance", "/v1/hang", "/v1/goaway", "/v1/refuse", "/v1/badstatus",
            "/v1/split", "/v1/hop", "/v1/long", "/v1/short"):
        return
    if path == "/v1/bidi":
        c.send_headers(e.stream_id, [("x-sum", "done"), ("content-length", "7")], end_stream=True)
    elif path == "/v1/empty":
        c.send_headers(e.stream_id, [(":status", "204")], end_stream=True)
    elif path == "/v1/head":
        c.send_headers(e.stream_id, [(":status", "200"), ("content-length", "5")], end_stream=True)
    elif path == "/v1/trailers-only":
        c.send_headers(e.stream_id, [(":status", "200"), ("content-type", "application/grpc"),
                                     ("grpc-status", "5"), ("grpc-message", "no")], end_stream=True)
    else:
        h2lab.echo(server, c, e)


up = h2lab.Server(P, 443, upstream, pki=w.pki)
plain = world.Server(P, 444, pki=w.pki)  # http/1.1 only
l4up = h2lab.Server(Q, 443, upstream, pki=w.pki)
clear = h2lab.Server(Q, 80, upstream)
l4clear = h2lab.Server(Q, 81, upstream)
noclear = Bytes(R, 80)


def client(port=443, **kw):
    return Client(lab.tls("api.test", port, alpn=("h2",), **kw), AUTH[port])


def raw(port=443):
    return Raw(lab.tls("api.test", port, alpn=("h2",)))


def denials():
    return [e for e in lab.events() if e.get("action") == "Denied"]


def nothing_reached(act, count=1, server=up):
    """Runs act; no request reached the server, and there is that many denials more."""
    def check():
        seen, before = len(server.seen), len(denials())
        act()
        assert len(server.seen) == seen, server.seen[seen:]
        got = denials()[before:]
        assert len(got) == count, [(e.get("status_detail"), e.get("message")) for e in got]
    return check


# ---- what works ----

def gets():
    connections = up.connections
    c = client()
    for i in range(20):
        s = c.ask("GET", f"/v1/{i}")
        assert s["head"][":status"] == "200" and s["body"] == f"GET /v1/{i}\n".encode(), s
    assert up.connections == connections + 1, "one upstream connection for all streams"


def parallel():
    c = client()
    ids = [c.send(c.head("GET", f"/v1/{i}")) for i in range(60)]
    for i, sid in enumerate(ids):
        s = c.finish(sid)
        assert s["body"] == f"GET /v1/{i}\n".encode(), (i, s)


def bodies():
    c = client()
    for n in (0, 1, 16384, 60000):
        s = c.ask("POST", "/v1/b", body=b"x" * n)
        assert s["body"] == b"POST /v1/b\n" + b"x" * n, (n, len(s["body"]))
        s = c.ask("POST", "/v1/b", body=b"x" * n, extra=[("content-length", str(n))])
        assert s["body"] == b"POST /v1/b\n" + b"x" * n, (n, len(s["body"]))
        assert up.seen[-1].get("content-length") == str(n)


def to_h1():
    c = client(444)
    s = c.ask("POST", "/v1/b", body=b"hello")
    assert s["head"][":status"] == "200" and s["body"] == b"POST /v1/b\nhello", s
    assert plain.seen[-1]["headers"]["Transfer-Encoding"] == "chunked"
    connections = plain.connections
    ids = [c.send(c.head("GET", f"/v1/{i}")) for i in range(10)]
    for i, sid in enumerate(ids):
        assert c.finish(sid)["body"] == f"GET /v1/{i}\n".encode()
    assert plain.connections <= connections + 10


def first_connection_is_used():
    lab.policy(POLICY)  # closes those that are kept
    connections = plain.connections
    c = client(444)
    assert c.status("GET", "/v1/a") == 200
    assert plain.connections == connections + 1, plain.connections - connections


def headers_pass():
    c = client()
    c.ask("GET", "/v1/h?q=1", extra=[("x-a", "1"), ("cookie", "a=b"), ("cookie", "c=d"), ("te", "trailers"),
                                     ("x-http-method-override", "DELETE"), ("proxy-authorization", "x")])
    got = up.seen[-1]
    assert got[":path"] == "/v1/h?q=1" and got["x-a"] == "1" and got["cookie"] == "a=b; c=d", got
    assert got["te"] == "trailers" and "x-http-method-override" not in got
    assert "proxy-authorization" not in got and got[":scheme"] == "https" and got[":authority"] == "api.test"


def kinds_of_answers():
    c = client()
    assert c.ask("GET", "/v1/empty")["head"][":status"] == "204"
    s = c.ask("HEAD", "/v1/head")
    assert s["head"]["content-length"] == "5" and s["body"] == b"", s
    s = c.ask("GET", "/v1/hints")
    assert s["info"] == ["103"] and s["body"] == b"GET /v1/hints\n", s


def trailers():
    c = client()
    sid = c.send(c.head("POST", "/v1/bidi"), end=False)
    for i in range(5):
        c.data(sid, b"part%d" % i)
        want = b"".join(b"part%d" % k for k in range(i + 1))
        assert c.read(lambda: c.streams[sid]["body"] == want), c.streams[sid]
    c.data(sid, end=True)
    s = c.finish(sid)
    assert s["trailers"] == {"x-sum": "done"}, s  # and no length among them


def trailers_only():
    s = client().ask("POST", "/v1/trailers-only", body=b"x")
    assert s["head"]["grpc-status"] == "5" and s["end"] and s["body"] == b"", s


def early_answer():
    c = client()
    sid = c.send(c.head("POST", "/v1/early"), end=False)
    c.data(sid, b"some")
    s = c.finish(sid)
    assert s["body"] == b"early" and s["end"], s
    c.read(lambda: s["reset"] is not None, 2)
    assert s["reset"] == 0, s
    assert c.status("GET", "/v1/after") == 200


def reset_comes_down():
    c = client()
    other = c.send(c.head("POST", "/v1/x"), end=False)
    s = c.ask("GET", "/v1/enhance")
    assert s["reset"] == 11, s
    s = c.ask("GET", "/v1/reset")
    assert s["head"].get(":status") == "502" or s["reset"] is not None, s
    c.data(other, b"still", end=True)
    assert c.finish(other)["body"] == b"POST /v1/x\nstill"


def reset_goes_up():
    c = client()
    sid = c.send(c.head("POST", "/v1/hang"), end=False)
    c.data(sid, b"x")
    c.read(lambda: False, 0.3)
    before = len(up.got(h2.events.StreamReset))
    c.h2.reset_stream(sid, 8)
    c.flush()
    assert c.status("GET", "/v1/after") == 200
    assert len(up.got(h2.events.StreamReset)) == before + 1


def refused_stays_refused():
    s = client().ask("GET", "/v1/refuse")
    assert s["reset"] == 7, s


def flooding_server():
    """An upstream that floods is cut off: its streams fail, and the client's connection lives."""
    def ping(server, c, e):
        if isinstance(e, h2.events.RequestReceived) and "flood" in dict(e.headers)[":path"]:
            try:
                c.sock.sendall(frame(PING, 0, 0, b"12345678") * 4000)
            except OSError:
                pass
        elif isinstance(e, h2.events.StreamEnded) and "flood" not in c.heads[e.stream_id][":path"]:
            h2lab.echo(server, c, e)
    h2lab.Server(R, 450, ping, pki=w.pki)
    c = Client(lab.tls("api.test", 450, alpn=("h2",)), "api.test:450")
    s = c.ask("GET", "/v1/flood")
    assert s["head"].get(":status") == "502" or s["reset"] is not None, s
    assert c.status("GET", "/v1/other") == 200


def servers_limit_is_kept():
    """Not one stream is refused by a server that takes three at a time, from the first moment on."""
    def three(server, c, e):
        if isinstance(e, h2.events.StreamEnded):
            h2lab.echo(server, c, e)
    server = h2lab.Server(R, 451, three, pki=w.pki,
                          settings={h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 3})
    c = Client(lab.tls("api.test", 451, alpn=("h2",)), "api.test:451")
    ids = [c.send(c.head("POST", f"/v1/{i}"), body=b"x") for i in range(30)]
    assert all(c.finish(i)["head"].get(":status") == "200" for i in ids), c.streams
    assert server.connections == 1


def refused_once_is_sent_again():
    tries = []

    def once(server, c, e):
        if isinstance(e, h2.events.RequestReceived) and dict(e.headers)[":path"] == "/v1/once":
            tries.append(e.stream_id)
            if len(tries) == 1:
                c.reset_stream(e.stream_id, 7)
        elif isinstance(e, h2.events.StreamEnded):
            pass
        if isinstance(e, h2.events.StreamEnded) and len(tries) != 1:
            h2lab.echo(server, c, e)
    h2lab.Server(P, 448, once, pki=w.pki)
    c = client(448)
    assert c.ask("GET", "/v1/once")["body"] == b"GET /v1/once\n"
    assert len(tries) == 2


def goaway_storm():
    """A server that takes 20 requests per connection: no stream of a client is lost."""
    conf = os.path.join(w.dir, "nginx.conf")
    with open(conf, "w", encoding="utf-8") as f:
        f.write(f"""worker_processes 1; error_log /dev/null; pid {w.dir}/n.pid; events {{ }}
http {{ access_log off; keepalive_requests 20; client_body_temp_path {w.dir}; proxy_temp_path {w.dir};
 fastcgi_temp_path {w.dir}; uwsgi_temp_path {w.dir}; scgi_temp_path {w.dir};
 server {{ listen {R}:449 ssl http2; ssl_certificate {w.pki.cert}; ssl_certificate_key {w.pki.key};
 location / {{ return 200 "x"; }} }} }}""")
    p = subprocess.Popen(["nginx", "-c", conf, "-g", "daemon off;"])
    try:
        time.sleep(0.5)
        port = h2lab.Bridge(lab, connect=("api.test", 449)).port
        r = h2lab.run("h2load", "-n", "1000", "-c", "2", "-m", "10", "-H", ":authority: api.test:449",
                      f"https://127.0.0.1:{port}/v1/l", timeout=60)
        assert b"1000 succeeded" in r.stdout, r.stdout
    finally:
        p.terminate()


def goaway_then_anew():
    c = client()
    assert c.status("GET", "/v1/goaway") == 200
    connections = up.connections
    time.sleep(0.2)
    assert c.status("GET", "/v1/a") == 200
    assert up.connections == connections + 1
    assert c.goaway is None


def goaway_lets_streams_finish():
    c = client()
    sid = c.send(c.head("POST", "/v1/bidi"), end=False)
    c.data(sid, b"a")
    assert c.read(lambda: c.streams[sid]["body"] == b"a")
    conn = up.conns[-1]
    c.data(sid, b"GOAWAY")
    assert c.read(lambda: c.streams[sid]["body"] == b"aGOAWAY")
    assert c.status("GET", "/v1/other") == 200
    assert up.conns[-1] is not conn, "new streams go elsewhere"
    c.data(sid, b"b", end=True)
    assert c.finish(sid)["body"] == b"aGOAWAYb"


def upstream_lost():
    c = client()
    sid = c.send(c.head("POST", "/v1/bidi"), end=False)
    c.data(sid, b"a")
    assert c.read(lambda: c.streams[sid]["body"] == b"a")
    hang = c.send(c.head("GET", "/v1/hang"))
    c.read(lambda: False, 0.2)
    up.conns[-1].sock.shutdown(socket.SHUT_RDWR)
    assert c.finish(sid)["reset"] is not None
    s = c.finish(hang)
    assert s["head"][":status"] == "502" and b"upstream_protocol_error" in s["body"], s
    assert c.status("GET", "/v1/anew") == 200


def bad_answers():
    for path in ("badstatus", "split", "hop", "long", "short"):
        c = client()
        s = c.ask("GET", "/v1/" + path)
        assert s["head"].get(":status") in ("502", None) or s["reset"] is not None, (path, s)
        assert "set-cookie" not in s["head"], s
        assert c.status("GET", "/v1/after") == 200


def flow_control():
    """A client that reads nothing stops the server, and the proxy's memory."""
    sent = []

    def flood(server, c, e):
        if isinstance(e, h2.events.RequestReceived):
            c.send_headers(e.stream_id, [(":status", "200")])
            server.sid = e.stream_id
        if isinstance(e, (h2.events.RequestReceived, h2.events.WindowUpdated)) and hasattr(server, "sid"):
            while (n := min(c.local_flow_control_window(server.sid), 16384)) > 0:
                c.send_data(server.sid, b"x" * n)
                sent.append(n)
    h2lab.Server(P, 445, flood, pki=w.pki)
    r = raw(445)
    r.request(1, [(":method", "GET"), (":scheme", "https"), (":authority", AUTH[445]), (":path", "/v1/f")])
    r.read(lambda f: sum(sent) >= 65535, 15)
    r.read(seconds=1)
    total = sum(sent)
    assert 65535 <= total <= 65535 + 400_000, total
    time.sleep(0.3)
    assert sum(sent) == total
    for _ in range(20):
        r.send(frame(WINDOW, 0, 1, struct.pack(">I", 65535)), frame(WINDOW, 0, 0, struct.pack(">I", 65535)))
    r.read(lambda f: sum(sent) >= total + 20 * 50000, 15)
    assert sum(sent) >= total + 20 * 50000, sum(sent)


def upload_waits_for_reader():
    """A server that reads nothing stops the client."""
    stop = socket.create_server((P, 446))
    import ssl as tls
    context = tls.SSLContext(tls.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(w.pki.cert, w.pki.key)
    context.set_alpn_protocols(["h2"])

    def quiet():
        s = context.wrap_socket(stop.accept()[0], server_side=True)
        s.sendall(frame(SETTINGS))
        time.sleep(20)
    threading.Thread(target=quiet, daemon=True).start()
    c = client(446)
    sid = c.send(c.head("POST", "/v1/u"), end=False)
    c.read(lambda: False, 0.3)
    sent = 0
    while sent < 4 << 20:
        n = min(c.h2.local_flow_control_window(sid), 16384)
        if n <= 0:
            c.read(lambda: c.h2.local_flow_control_window(sid) > 0, 1)
            if c.h2.local_flow_control_window(sid) <= 0:
                break
            continue
        c.data(sid, b"x" * n)
        sent += n
    assert sent < 1 << 20, sent


def one_byte_frames():
    c = raw()
    fields = [(":method", "POST"), (":scheme", "https"), (":authority", "api.test"), (":path", "/v1/o")]
    c.request(1, fields, END_HEADERS)
    c.send(*[frame(DATA, 0, 1, b"x")] * 20000, frame(DATA, END_STREAM, 1, b"y"))
    f = c.read(lambda f: f[0] == DATA and f[2] == 1, 5)
    assert not isinstance(f, str), f
    c.read(lambda f: f[1] & END_STREAM and f[0] == DATA, 5)
    body = b"".join(f[3] for f in c.frames if f[0] == DATA)
    assert body == b"POST /v1/o\n" + b"x" * 20000 + b"y", len(body)


def reload_is_obeyed():
    c = client()
    assert c.status("GET", "/v1/a") == 200
    try:
        lab.policy(POLICY.replace("/v1/**", "/v2/**"))
        seen = len(up.seen)
        assert c.status("GET", "/v1/a") == 403
        assert len(up.seen) == seen
        assert c.status("GET", "/v2/a") == 200
        lab.policy(POLICY.replace("api.test", "else.test"))
        assert c.status("GET", "/v2/a") == 403
    finally:
        lab.policy(POLICY)
    assert c.status("GET", "/v1/a") == 200


def recorded():
    before = len(lab.events())
    c = client()
    c.ask("POST", "/v1/a", body=b"x" * 1000)
    c.ask("GET", "/nope")
    c.sock.close()
    got = lab.events(0.4)[before:]
    kinds = [(e["class_name"], e["activity_name"], e.get("action")) for e in got]
    assert [k[2] for k in kinds if k[0].startswith("HTTP")] == ["Allowed", "Denied"], kinds
    ends = [e for e in got if e["activity_name"] == "Close"]
    assert len(ends) == 1, kinds
    assert ends[0]["traffic"]["bytes_out"] > 1000 and ends[0]["traffic"]["bytes_in"] > 1000, ends[0]


# ---- what is refused ----

def denied_path():
    s = client().ask("GET", "/v2/x")
    assert s["head"][":status"] == "403" and json.loads(s["body"])["error"] == "policy_denied", s


def other_authority():
    c = client()
    s = c.ask("GET", "/v1/x", authority="other.test")
    assert s["head"][":status"] == "421", s
    assert json.loads(s["body"])["error"] == "request_authority_mismatch"


def denied_while_uploading():
    c = client()
    sid = c.send(c.head("POST", "/no"), end=False)
    c.data(sid, b"x" * 10000)
    s = c.finish(sid)
    assert s["head"][":status"] == "403", s
    assert c.status("GET", "/no") == 403


def grpc_denied():
    c = client()
    s = c.ask("POST", "/pkg.Svc/Method", extra=[("content-type", "application/grpc"), ("te", "trailers")],
              body=b"\0\0\0\0\0")
    assert s["head"][":status"] == "200" and s["head"]["grpc-status"] == "7", s
    assert "policy_denied" in s["head"]["grpc-message"] and s["body"] == b"", s


GOOD = [(":method", "GET"), (":scheme", "https"), (":authority", "api.test"), (":path", "/v1/x")]


def but(**changes):
    return [(k, changes.get(k[1:], v)) for k, v in GOOD]


MALFORMED = {
    "CR LF in :path": but(path="/v1/x HTTP/1.1\r\nx: y"),
    "LF in :path": but(path="/v1/x\ny"),
    "a space in :path": but(path="/v1/x y"),
    "NUL in :path": but(path="/v1/x\0"),
    "an empty :path": but(path=""),
    "a relative :path": but(path="v1/x"),
    "an absolute :path": but(path="https://api.test/v1/x"),
    "* for GET": but(path="*"),
    "a tab in :path": but(path="/v1/x\ty"),
    "a fragment in :path": but(path="/v1/x#y"),
    "a high byte in :path": but(path="/v1/\xa0"),
    "DEL in :path": but(path="/v1/x\x7f"),
    "a blank behind :path": but(path="/v1/x "),
    "a request line in :path": but(path="/v1/x HTTP/1.1"),
    ":path twice": GOOD + [(":path", "/v1/y")],
    ":method twice": [(":method", "POST")] + GOOD,
    ":authority twice": GOOD + [(":authority", "api.test")],
    ":status in a request": GOOD + [(":status", "200")],
    "an unknown pseudo-header": GOOD + [(":foo", "1")],
    "extended CONNECT": but(method="CONNECT") + [(":protocol", "websocket")],
    "CONNECT-UDP": but(method="CONNECT", path="/.well-known/masque/udp/1.1.1.1/53/") + [(":protocol",
                                                                                        "connect-udp")],
    "CONNECT with a path": but(method="CONNECT"),
    "a pseudo-header behind a field": GOOD[:3] + [("x", "y"), GOOD[3]],
    "no :method": GOOD[1:],
    "no :scheme": GOOD[:1] + GOOD[2:],
    "no :path": GOOD[:3],
    "no :authority": GOOD[:2] + GOOD[3:],
    ":scheme http under TLS": but(scheme="http"),
    ":scheme with an authority": but(scheme="https://other.test/"),
    ":scheme with CR LF": but(scheme="https\r\nx: y"),
    "an empty :scheme": but(scheme=""),
    "a bad :method": but(method="GE T"),
    "an empty :method": but(method=""),
    "a :method with a separator": but(method="GET:"),
    "a :method of 200 bytes": but(method="G" * 200),
    "a blank in front of :method": but(method=" GET"),
    "CR LF in :method": but(method="GET / HTTP/1.1\r\n"),
    "user information": but(authority="a@api.test"),
    "CR LF in :authority": but(authority="api.test\r\nx: y"),
    "an empty :authority": but(authority=""),
    "a blank in :authority": but(authority="api.test other.test"),
    "a list in :authority": but(authority="api.test,other.test"),
    "a path in :authority": but(authority="api.test/v2"),
    "NUL in :authority": but(authority="api.test\0.other.test"),
    "a port in :authority that is none": but(authority="api.test:443x"),
    "another Host": GOOD + [("host", "other.test")],
    "Host twice": GOOD + [("host", "api.test"), ("host", "api.test")],
    "an upper-case name": GOOD + [("X-Upper", "1")],
    "a name with a space": GOOD + [("x y", "1")],
    "a name with a colon": GOOD + [("x:y", "1")],
    "a name with CR LF": GOOD + [("x\r\ny", "1")],
    "an empty name": GOOD + [("", "1")],
    "a value with LF": GOOD + [("x", "a\nb")],
    "a value with CR LF": GOOD + [("x", "a\r\nhost: other.test")],
    "a value with NUL": GOOD + [("x", "a\0b")],
    "a value with a blank in front": GOOD + [("x", " a")],
    "a value with a tab in front and behind": GOOD + [("x", "\ta\t")],
    "a value with CR": GOOD + [("x", "a\rb")],
    "a value with DEL": GOOD + [("x", "a\x7fb")],
    "a name with NUL": GOOD + [("x\0", "1")],
    "a name with a high byte": GOOD + [("x\xa0", "1")],
    "a name with a tab": GOOD + [("content-length\t", "1")],
    "a pseudo-header's name with a blank": GOOD[1:] + [(":method ", "GET")],
    "a name that is a colon": GOOD + [(":", "1")],
    "a length that is signed": GOOD + [("content-length", "+0")],
    "a length in octal": GOOD + [("content-length", "00")],
    "a length that is empty": GOOD + [("content-length", "")],
    "a list of lengths": GOOD + [("content-length", "0, 0")],
    "two equal lengths": GOOD + [("content-length", "0"), ("content-length", "0")],
    "a length that is not true": GOOD + [("content-length", "5")],
    "te: trailers and more": GOOD + [("te", "trailers, deflate")],
    "te: trailers;q=1": GOOD + [("te", "trailers;q=1")],
    "http2-settings with upgrade": GOOD + [("http2-settings", "AAMAAABkAAQAAP__"), ("upgrade", "h2c")],
    "a cookie crumb with CR LF": GOOD + [("cookie", "a=b"), ("cookie", "c=d\r\nhost: other.test")],
    "connection": GOOD + [("connection", "close")],
    "keep-alive": GOOD + [("keep-alive", "1")],
    "proxy-connection": GOOD + [("proxy-connection", "close")],
    "transfer-encoding": GOOD + [("transfer-encoding", "chunked")],
    "upgrade": GOOD + [("upgrade", "websocket")],
    "te: gzip": GOOD + [("te", "gzip")],
    "a length without a body": GOOD + [("content-length", "5")],
    "a length twice": GOOD + [("content-length", "0"), ("content-length", "0")],
    "a signed length": GOOD + [("content-length", "+0")],
}


def malformed(fields):
    def act():
        r = raw()
        r.request(1, fields)
        assert r.error() == ("rst", 1), (r.error(0.1), r.frames)
        r.request(3, GOOD[:3] + [(":path", "/nothing")])  # the connection goes on
        assert not isinstance(r.read(lambda f: f[0] == HEADERS and f[2] == 3), str), r.frames
    return nothing_reached(act, 2)


def underscore():
    r = raw()
    r.request(1, GOOD + [("content_length", "5")])
    f = r.read(lambda f: f[0] in (HEADERS, RST) and f[2] == 1)
    assert not isinstance(f, str), f


def connect_method():
    r = raw()
    r.request(1, [(":method", "CONNECT"), (":authority", "api.test:443")], END_HEADERS)
    f = r.read(lambda f: f[0] == HEADERS and f[2] == 1)
    assert not isinstance(f, str), r.frames
    r.read(lambda f: f[0] == DATA and f[1] & END_STREAM)
    body = b"".join(f[3] for f in r.frames if f[0] == DATA)
    assert b"unsupported_l7_protocol" in body, body


def body_longer_than_said():
    r = raw()
    r.request(1, but(method="POST") + [("content-length", "3")], END_HEADERS)
    r.send(frame(DATA, END_STREAM, 1, b"four"))
    assert r.error() == ("rst", 1), r.frames


def body_shorter_than_said():
    r = raw()
    r.request(1, but(method="POST") + [("content-length", "30")], END_HEADERS)
    r.send(frame(DATA, END_STREAM, 1, b"four"))
    assert r.error() == ("rst", 1), r.frames


def trailers_with_pseudo():
    r = raw()
    r.request(1, but(method="POST"), END_HEADERS)
    r.request(1, [(":path", "/x")])
    assert r.error() == ("rst", 1), r.frames


def headers_without_end():
    r = raw()
    r.request(1, but(method="POST"), END_HEADERS)
    r.request(1, [("x", "y")], END_HEADERS)
    assert r.error() == ("rst", 1), r.frames


def large_list(size):
    r = raw()
    b = block(GOOD + [("x%d" % i, "y" * 1000) for i in range(size // 1000)])
    r.send(frame(HEADERS, END_STREAM, 1, b[:16000]))
    for i in range(16000, len(b), 16000):
        r.send(frame(CONTINUATION, END_HEADERS if i + 16000 >= len(b) else 0, 1, b[i:i + 16000]))
    f = r.read(lambda f: f[0] == HEADERS and f[2] == 1)
    assert not isinstance(f, str) and b"431" in h2lab.unpacked(f[3]), (f, r.frames)


# ---- what a peer can cost ----

CALM = ("goaway", 11)


def flood(make, count, want=(CALM,)):
    def check():
        r = raw()
        before = len(denials())
        for i in range(0, count, 100):
            r.send(*[make(k) for k in range(i, min(i + 100, count))])
        got = r.error(5)
        assert got in want or got[0] == "closed", (got, r.frames[-3:])
        assert len(denials()) >= before + 1
        assert client().status("GET", "/v1/alive") == 200
    return check


def continuation_flood():
    r = raw()
    before = len(denials())
    r.send(frame(HEADERS, END_STREAM, 1, block(GOOD)))
    for i in range(200):
        r.send(frame(CONTINUATION, 0, 1, block([("x%d" % i, "y")])))
    got = r.error(5)
    assert got == CALM or got[0] == "closed", got
    assert len(denials()) == before + 1


def hpack_bomb():
    """One large field in the table, named again and again by one byte."""
    r = raw()
    before = len(denials())
    table = b"\x40\x01x\x7f" + b"\x81\x1e" + b"v" * (127 + 1 + 30 * 128 - 0)
    table = b"\x40" + h2lab.literal("x", "v" * 3900)[1:]
    r.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, block(GOOD) + table + b"\xbe" * 9000))
    got = r.error(5)
    assert got == CALM or got[0] == "closed", (got, r.frames)
    assert len(denials()) == before + 1


def rapid_reset():
    r = raw()
    seen = len(up.seen)
    for i in range(3000):
        r.send(frame(HEADERS, END_HEADERS | END_STREAM, 2 * i + 1, block(GOOD)),
               frame(RST, 0, 2 * i + 1, struct.pack(">I", 8)))
    got = r.error(5)
    assert got == CALM or got[0] == "closed", got
    assert len(up.seen) - seen < 600, len(up.seen) - seen
    assert client().status("GET", "/v1/alive") == 200


def made_you_reset():
    r = raw()
    for i in range(3000):
        sid = 2 * i + 1
        r.send(frame(HEADERS, END_HEADERS | END_STREAM, sid, block(GOOD)),
               frame(WINDOW, 0, sid, struct.pack(">I", 0)))
    got = r.error(5)
    while got[0] == "rst":
        got = r.error(5)
    assert got[0] in ("goaway", "closed"), got
    assert client().status("GET", "/v1/alive") == 200


def streams_are_counted():
    r = raw()
    for i in range(200):
        r.request(2 * i + 1, but(method="POST", path="/v1/hang"), END_HEADERS)
    r.read(lambda f: len([f for f in r.frames if f[0] == RST]) == 72)
    refused = [f for f in r.frames if f[0] == RST]
    assert len(refused) >= 70, len(refused)
    assert all(struct.unpack(">I", f[3])[0] == 7 for f in refused)


def slow_head():
    r = raw()
    r.send(frame(HEADERS, END_STREAM, 1, block(GOOD[:2])))
    time.sleep(16.5)
    got = r.error(10)
    assert got == CALM or got[0] == "closed", got


def conformance(*frames, want):
    def check():
        r = raw()
        r.read(lambda f: f[0] == SETTINGS)
        r.send(*frames)
        got = r.error()
        assert got in want or got[0] == "closed", (got, want, r.frames)
    return check


def ping_is_answered():
    r = raw()
    r.send(frame(PING, 0, 0, b"12345678"))
    f = r.read(lambda f: f[0] == PING)
    assert f[1] == 1 and f[3] == b"12345678", f


def unknown_frames_pass():
    r = raw()
    r.send(frame(0x7f, 0xff, 0, b"what"), frame(SETTINGS, 0, 0, struct.pack(">HI", 0x99, 1)))
    r.request(1, GOOD)
    assert not isinstance(r.read(lambda f: f[0] == HEADERS), str)


def padding_and_priority():
    r = raw()
    b = block(but(method="POST"))
    r.send(frame(HEADERS, END_HEADERS | 0x28, 1, b"\x04" + struct.pack(">IB", 0, 15) + b + b"\0" * 4),
           frame(DATA, END_STREAM | 8, 1, b"\x03" + b"hey" + b"\0" * 3))
    r.read(lambda f: f[0] == DATA and f[1] & END_STREAM)
    assert b"".join(f[3] for f in r.frames if f[0] == DATA) == b"POST /v1/x\nhey", r.frames


def smaller_stream():
    r = raw()
    r.request(5, but(path="/v1/hang/5"))
    r.request(3, but(path="/v1/smaller"))
    assert r.error() in (("goaway", 1), ("closed", None)), r.frames
    assert not isinstance(client().status("GET", "/v1/alive"), str)
    assert not [s for s in up.seen if s[":path"] == "/v1/smaller"]


def refused_stream():
    """An open stream that we have ended, and whose end has come to the client."""
    r = raw()
    r.request(1, but(method="POST", path="/no"), END_HEADERS)
    assert r.error() == ("rst", 0), r.frames
    return r


def late_data():
    """It may have been under way when the stream was reset: no fault, for a window's worth."""
    r = refused_stream()
    for _ in range(15):
        r.send(frame(DATA, 0, 1, b"x" * 16384))
    r.send(frame(DATA, END_STREAM, 1, b"x"))
    r.request(3, but(path="/v1/after"))
    assert not isinstance(r.read(lambda f: f[0] == HEADERS and f[2] == 3), str), r.frames


def late_headers():
    r = refused_stream()
    r.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, block([("x", "y")])))  # trailers
    r.request(3, but(path="/v1/after"))
    assert not isinstance(r.read(lambda f: f[0] == HEADERS and f[2] == 3), str), r.frames
    r = refused_stream()
    for _ in range(3000):
        r.send(frame(HEADERS, END_HEADERS, 1, block([("x", "y")])))
    assert r.error() in (CALM, ("closed", None)), r.frames


def behind_its_end(*frames):
    def check():
        r = raw()
        r.request(1, but(path="/v1/x"))
        assert not isinstance(r.read(lambda f: f[1] & END_STREAM and f[2] == 1), str), r.frames
        before = len(denials())
        r.send(*frames)
        assert r.error() in (("goaway", 5), ("closed", None)), r.frames
        assert [e["status_detail"] for e in denials()[before:]] == [
            "a frame for a stream that its sender has ended"], denials()[before:]
    return check


def allowed_behind_an_end():
    r = raw()
    r.request(1, but(path="/v1/x"))
    r.read(lambda f: f[1] & END_STREAM and f[2] == 1)
    r.send(frame(WINDOW, 0, 1, b"\0\0\0\x01"), frame(PRIORITY, 0, 1, b"\0\0\0\0\x01"),
           frame(RST, 0, 1, b"\0\0\0\x08"))
    r.request(3, but(path="/v1/after"))
    assert not isinstance(r.read(lambda f: f[0] == HEADERS and f[2] == 3), str), r.frames


C = conformance
G = block(GOOD)
CONFORMANCE = {  # RFC 9113, by section; 1 PROTOCOL, 3 FLOW_CONTROL, 5 STREAM_CLOSED, 6 FRAME_SIZE, 9 COMPRESSION
    "4.2 DATA above the frame size": C(frame(HEADERS, END_HEADERS, 1, G), frame(DATA, 0, 1, b"x" * 16385),
                                       want=[("goaway", 6), ("rst", 6)]),
    "4.3 a block that can't be decoded": C(frame(HEADERS, 5, 1, b"\x0f\x80\xff\xff\xff\xff\xff"),
                                           want=[("goaway", 9)]),
    "4.3 PRIORITY inside a block": C(frame(HEADERS, 1, 1, G), frame(PRIORITY, 0, 1, b"\0\0\0\0\x01"),
                                     want=[("goaway", 1)]),
    "5.1 DATA on an idle stream": C(frame(DATA, 1, 1, b"x"), want=[("goaway", 1), ("goaway", 5)]),
    "5.1 RST_STREAM on an idle stream": C(frame(RST, 0, 1, b"\0\0\0\x08"), want=[("goaway", 1)]),
    "5.1 WINDOW_UPDATE on an idle stream": C(frame(WINDOW, 0, 1, b"\0\0\0\x01"), want=[("goaway", 1)]),
    "5.1 CONTINUATION alone": C(frame(CONTINUATION, 4, 1, G), want=[("goaway", 1)]),
    "5.1 DATA after END_STREAM": C(frame(HEADERS, 5, 1, block(but(path="/v1/hang"))), frame(DATA, 1, 1, b"x"),
                                   want=[("rst", 5), ("goaway", 5)]),
    "5.1.1 an even stream": C(frame(HEADERS, 5, 2, G), want=[("goaway", 1)]),
    "5.1 DATA behind a stream's end": behind_its_end(frame(DATA, 0, 1, b"x")),
    "5.1 HEADERS behind a stream's end": behind_its_end(frame(HEADERS, 5, 1, G)),
    "5.1 DATA for a stream that was refused": late_data,
    "5.1 WINDOW_UPDATE, PRIORITY, RST_STREAM behind an end": allowed_behind_an_end,
    "5.1.1 a smaller stream": smaller_stream,
    "6.1 DATA on stream 0": C(frame(DATA, 0, 0, b"x"), want=[("goaway", 1)]),
    "6.1 padding longer than DATA": C(frame(HEADERS, 4, 1, G), frame(DATA, 9, 1, b"\x09x"), want=[("goaway", 1)]),
    "6.2 HEADERS on stream 0": C(frame(HEADERS, 5, 0, G), want=[("goaway", 1)]),
    "6.3 PRIORITY of a wrong length": C(frame(PRIORITY, 0, 1, b"\0\0\0\0"), want=[("rst", 6), ("goaway", 6)]),
    "6.4 RST_STREAM on stream 0": C(frame(RST, 0, 0, b"\0\0\0\x08"), want=[("goaway", 1)]),
    "6.4 RST_STREAM of a wrong length": C(frame(HEADERS, 4, 1, G), frame(RST, 0, 1, b"\0\0"), want=[("goaway", 6)]),
    "6.5 SETTINGS acknowledgement with a body": C(frame(SETTINGS, 1, 0, b"\0\x03\0\0\0\x01"), want=[("goaway", 6)]),
    "6.5 SETTINGS on a stream": C(frame(SETTINGS, 0, 1, b"\0\x03\0\0\0\x01"), want=[("goaway", 1)]),
    "6.5 SETTINGS of a wrong length": C(frame(SETTINGS, 0, 0, b"\0\x03\0"), want=[("goaway", 6)]),
    "6.5.2 ENABLE_PUSH 2": C(frame(SETTINGS, 0, 0, b"\0\x02\0\0\0\x02"), want=[("goaway", 1)]),
    "6.5.2 a window above 2^31-1": C(frame(SETTINGS, 0, 0, b"\0\x04\x80\0\0\0"), want=[("goaway", 3)]),
    "6.5.2 MAX_FRAME_SIZE too small": C(frame(SETTINGS, 0, 0, b"\0\x05\0\0\x3f\xff"), want=[("goaway", 1)]),
    "6.6 PUSH_PROMISE from a client": C(frame(5, 4, 1, b"\0\0\0\x02" + G), want=[("goaway", 1)]),
    "6.7 PING on a stream": C(frame(PING, 0, 1, b"12345678"), want=[("goaway", 1)]),
    "6.7 PING of a wrong length": C(frame(PING, 0, 0, b"123456"), want=[("goaway", 6)]),
    "6.8 GOAWAY on a stream": C(frame(GOAWAY, 0, 1, b"\0" * 8), want=[("goaway", 1)]),
    "6.9 WINDOW_UPDATE of 0 on the connection": C(frame(WINDOW, 0, 0, b"\0\0\0\0"), want=[("goaway", 1)]),
    "6.9 WINDOW_UPDATE of 0 on a stream": C(frame(HEADERS, 4, 1, G), frame(WINDOW, 0, 1, b"\0\0\0\0"),
                                            want=[("rst", 1), ("goaway", 1)]),
    "6.9.1 a window above 2^31-1": C(frame(WINDOW, 0, 0, b"\x7f\xff\xff\xff"), frame(WINDOW, 0, 0, b"\x7f\xff\xff\xff"),
                                     want=[("goaway", 3)]),
    "6.10 CONTINUATION after END_HEADERS": C(frame(HEADERS, 4, 1, G), frame(CONTINUATION, 4, 1, G),
                                             want=[("goaway", 1)]),
    "6.10 CONTINUATION of another stream": C(frame(HEADERS, 0, 1, G), frame(CONTINUATION, 4, 3, G),
                                             want=[("goaway", 1)]),
}


def bad_preface():
    r = Raw(lab.tls("api.test", 443, alpn=("h2",)), preface=False)
    r.send(b"GET /v1/x HTTP/1.1\r\nHost: api.test\r\n\r\n")
    got = r.error()
    assert got[0] in ("closed", "goaway"), got


# ---- without TLS ----

def h2c_allowed():
    c = Client(lab.tunnel("clear.test", 80)[0], "clear.test", "http")
    assert c.ask("POST", "/x", body=b"hi")["body"] == b"POST /x\nhi"
    assert clear.seen[-1][":scheme"] == "http"
    assert c.status("GET", "/x", authority="other.test") == 421


def h2c_refused():
    s, status, _ = lab.tunnel("noclear.test", 80)
    assert status == 200
    s.sendall(PREFACE + frame(SETTINGS) + frame(HEADERS, 5, 1, block(GOOD)))
    assert b"unsupported_l7_protocol" in read_all(s)
    assert noclear.seen == b"", noclear.seen


def l4_authority():
    c = Client(lab.tls("l4.test", 443, alpn=("h2",)), "l4.test")
    assert c.ask("GET", "/x")["body"] == b"GET /x\n"
    seen = len(l4up.seen)
    assert c.status("GET", "/x", authority="other.test") == 421
    assert len(l4up.seen) == seen


def l4_clear_authority():
    s = lab.tunnel("l4.test", 81)[0]
    time.sleep(0.3)  # the server has spoken first by now
    c = Client(s, "l4.test:81", "http")
    assert c.ask("GET", "/x")["body"] == b"GET /x\n"
    assert c.status("GET", "/x", authority="other.test") == 421


def transparent():
    """No proxy is configured: the name's own address is dialled, and HTTP/2 spoken at once."""
    proxylab.add_local("198.18.0.0", 15)
    other = Lab(w, POLICY.replace("ports: [80]", "ports: [82]"), listen=("0.0.0.0", 82),
                pins=[("clear.test", 82, Q), ("noclear.test", 82, Q)])
    server = h2lab.Server(Q, 82, upstream)
    before = server.connections

    def address(name):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.settimeout(15)
        s.sendto(struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0) + b"".join(
            bytes([len(x)]) + x.encode() for x in name.split(".")) + b"\0\0\1\0\1",
            ("127.0.0.1", other.udp[0].getsockname()[1]))
        return socket.inet_ntoa(s.recv(512)[-4:])

    c = Client(other.connect((address("clear.test"), 82)), "clear.test:82", "http")
    assert c.ask("GET", "/t")["body"] == b"GET /t\n"
    assert c.status("GET", "/t", authority="other.test") == 421
    seen = len(server.seen)
    s = other.connect((address("noclear.test"), 82))
    s.sendall(PREFACE + frame(SETTINGS) + frame(HEADERS, 5, 1, block(GOOD)))
    assert b"unsupported_l7_protocol" in read_all(s)
    assert len(server.seen) == seen and server.connections >= before
    assert other.close() == 0, other.stderr()


# ---- programs ----

bridge = h2lab.Bridge(lab)


def curl(*argv):
    return h2lab.run("curl", "-sS", "--cacert", lab.ca, "-x", bridge.url, *argv)


def curl_h2():
    big = os.path.join(w.dir, "big")
    with open(big, "wb") as f:
        f.write(os.urandom(3_000_000))
    for url in ("https://api.test/v1/up", "https://api.test:444/v1/up"):
        out = os.path.join(w.dir, "out")
        r = curl("--http2", "-T", big, "-o", out, "-w", "%{http_version} %{http_code}", url)
        assert r.stdout == b"2 200", r
        with open(big, "rb") as f, open(out, "rb") as g:
            assert g.read() == b"PUT /v1/up\n" + f.read(), "the body changed"
    r = curl("--http2", "-w", "%{http_code}", "-o", "/dev/null", "https://api.test/no")
    assert r.stdout == b"403", r


def curl_prior_knowledge():
    r = h2lab.run("curl", "-sS", "--http2-prior-knowledge", "-p", "-x", bridge.url, "http://clear.test/pk")
    assert r.stdout == b"GET /pk\n", r


def nghttp():
    port = h2lab.Bridge(lab, connect=("api.test", 443)).port
    r = h2lab.run("nghttp", "-v", "-n", "--no-dep", "-H:authority: api.test", f"https://127.0.0.1:{port}/v1/n")
    assert b":status: 200" in r.stdout, r


def h2load():
    port = h2lab.Bridge(lab, connect=("api.test", 444)).port
    seen = len(plain.seen)
    r = h2lab.run("h2load", "-n", "300", "-c", "3", "-m", "10", "-H", ":authority: api.test:444",
                  f"https://127.0.0.1:{port}/v1/l", timeout=60)
    assert b"300 succeeded" in r.stdout, r.stdout
    assert len(plain.seen) == seen + 300


NODE_CLIENT = """
const http2 = require('http2'), tls = require('tls'), fs = require('fs');
const [port, ca] = process.argv.slice(1);
const c = http2.connect('https://api.test', { createConnection: () => tls.connect({ host: '127.0.0.1', port,
  servername: 'api.test', ALPNProtocols: ['h2'], ca: fs.readFileSync(ca) }) });
const one = (path, body) => new Promise((done, fail) => {
  const r = c.request({ ':method': body ? 'POST' : 'GET', ':path': path });
  let s = '', status;
  r.on('response', h => status = h[':status']); r.on('data', d => s += d);
  r.on('end', () => done([status, s])); r.on('error', fail); r.end(body);
});
Promise.all([one('/v1/a'), one('/v1/b', 'hello'), one('/no')]).then(all => {
  console.log(JSON.stringify(all)); c.close(); });
"""
NODE_SERVER = """
const http2 = require('http2'), fs = require('fs');
const [host, port, cert, key] = process.argv.slice(1);
const s = http2.createSecureServer({ cert: fs.readFileSync(cert), key: fs.readFileSync(key) });
s.on('stream', (st, h) => { st.respond({ ':status': 200, 'x-node': '1' }, { waitForTrailers: true });
  st.on('wantTrailers', () => st.sendTrailers({ 'x-end': 'yes' }));
  st.write(h[':method'] + ' ' + h[':path'] + '\\n'); st.pipe(st); });
s.listen(+port, host, () => console.log('up'));
"""


def node_client():
    port = h2lab.Bridge(lab, connect=("api.test", 443)).port
    r = h2lab.run("node", "-e", NODE_CLIENT, str(port), lab.ca)
    got = json.loads(r.stdout or b"null")
    assert got and got[0] == [200, "GET /v1/a\n"] and got[1] == [200, "POST /v1/b\nhello"], r
    assert got[2][0] == 403, got


def node_server():
    p = subprocess.Popen(["node", "-e", NODE_SERVER, P, "447", w.pki.cert, w.pki.key], stdout=subprocess.PIPE)
    try:
        p.stdout.readline()
        c = client(447)
        s = c.ask("POST", "/v1/n", body=b"z" * 50000)
        assert s["body"] == b"POST /v1/n\n" + b"z" * 50000 and s["trailers"] == {"x-end": "yes"}, s
    finally:
        p.kill()


def h1_client_asks_for_h1():
    s = lab.tls("api.test", 444)
    s.sendall(b"GET /v1/x HTTP/1.1\r\nHost: api.test:444\r\n\r\n")
    assert read_response(s)[0] == 200
    s = lab.tls("api.test", 443)  # its server speaks h2 alone: ours offered http/1.1 alone
    s.sendall(b"GET /v1/x HTTP/1.1\r\nHost: api.test\r\n\r\n")
    assert read_response(s)[0] == 502


def still_alive():
    assert lab.process.poll() is None, lab.stderr()
    assert client().status("GET", "/v1/alive") == 200


for name, check in (
        ("GETs, one after the other, share one upstream connection", gets),
        ("sixty streams at a time", parallel),
        ("bodies with and without a length", bodies),
        ("h2 to http/1.1: each stream its own connection", to_h1),
        ("the connection that was dialled for CONNECT is used", first_connection_is_used),
        ("fields pass, cookies are joined, what is not for the server is dropped", headers_pass),
        ("204, HEAD, early hints", kinds_of_answers),
        ("bidirectional, with trailers", trailers),
        ("trailers-only", trailers_only),
        ("an answer does not wait for the request's end", early_answer),
        ("RST_STREAM from the upstream ends one stream, with its code", reset_comes_down),
        ("RST_STREAM from the client ends one stream", reset_goes_up),
        ("REFUSED_STREAM stays that", refused_stays_refused),
        ("t19 an upstream that floods", flooding_server),
        ("as many streams as the server takes", servers_limit_is_kept),
        ("a stream without a body that was refused once is sent again", refused_once_is_sent_again),
        ("after GOAWAY the next stream dials", goaway_then_anew),
        ("GOAWAY lets streams finish", goaway_lets_streams_finish),
        ("an upstream that is lost: reset, or 502", upstream_lost),
        ("t10 answers that can't be framed", bad_answers),
        ("flow control reaches the server", flow_control),
        ("flow control reaches the client", upload_waits_for_reader),
        ("t19 DATA frames of one byte", one_byte_frames),
        ("each stream obeys the new policy", reload_is_obeyed),
        ("each stream is recorded, the connection's end once", recorded),
        ("a denied stream gets the body that HTTP/1 gets", nothing_reached(denied_path)),
        ("t2 :authority of another host: 421", nothing_reached(other_authority)),
        ("a denial does not wait for the body, and the connection goes on", nothing_reached(denied_while_uploading, 2)),
        ("a denied gRPC call gets a status", nothing_reached(grpc_denied)),
        *((f"t19 malformed: {k}", malformed(v)) for k, v in MALFORMED.items()),
        ("t10 content_length", nothing_reached(underscore)),
        ("t19 CONNECT in a stream", nothing_reached(connect_method)),
        ("t10 a body longer than its length", body_longer_than_said),
        ("t10 a body shorter than its length", body_shorter_than_said),
        ("t19 a pseudo-header in trailers", trailers_with_pseudo),
        ("t19 a second HEADERS that does not end the stream", headers_without_end),
        ("t19 a header list that is too large", nothing_reached(lambda: large_list(20000))),
        ("t19 a header list that is far too large", nothing_reached(lambda: large_list(60000))),
        ("t19 PING flood", flood(lambda i: frame(PING, 0, 0, b"12345678"), 3000)),
        ("t19 SETTINGS flood", flood(lambda i: frame(SETTINGS), 3000)),
        ("t19 PRIORITY flood", flood(lambda i: frame(PRIORITY, 0, 2 * i + 1, b"\0\0\0\0\x01"), 3000)),
        ("t19 empty DATA flood", flood(lambda i: frame(DATA, 0, 1) if i else frame(
            HEADERS, END_HEADERS, 1, block(but(method="POST", path="/v1/hang"))), 3000)),
        ("t19 unknown frames flood", flood(lambda i: frame(0xf0, 0, 0, b"x"), 3000)),
        ("t19 WINDOW_UPDATE flood", flood(lambda i: frame(WINDOW, 0, 0, b"\0\0\0\x01"), 3000)),
        ("t19 CONTINUATION flood", continuation_flood),
        ("t19 HEADERS flood for a stream that was refused", late_headers),
        ("t19 HPACK bomb", hpack_bomb),
        ("t19 rapid reset", rapid_reset),
        ("t19 MadeYouReset", made_you_reset),
        ("t19 streams beyond the limit are refused", streams_are_counted),
        ("t20 a head that never ends", slow_head),
        *((f"RFC 9113 {k}", v) for k, v in CONFORMANCE.items()),
        ("RFC 9113 3.4 a bad preface", bad_preface),
        ("RFC 9113 6.7 PING is answered", ping_is_answered),
        ("RFC 9113 4.1 unknown frames and settings are passed over", unknown_frames_pass),
        ("RFC 9113 6.1 padding, and priority in HEADERS", padding_and_priority),
        ("t9 h2c where the endpoint says so", h2c_allowed),
        ("t9 h2c elsewhere", nothing_reached(h2c_refused)),
        ("t9 h2c without a proxy, where the endpoint says so and elsewhere", transparent),
        ("t2 :authority on a plain L4 endpoint", l4_authority),
        ("t2 :authority on a plain L4 endpoint, without TLS", l4_clear_authority),
        ("t8 a client of http/1.1 asks the upstream for nothing else", h1_client_asks_for_h1),
):
    tap.check(name, check)
for name, program, check in (
        ("curl --http2: up and down, to h2 and to http/1.1", "curl", curl_h2),
        ("curl --http2-prior-knowledge", "curl", curl_prior_knowledge),
        ("nghttp", "nghttp", nghttp),
        ("h2load", "h2load", h2load),
        ("nginx, a GOAWAY every 20 requests", "nginx", goaway_storm),
        ("node as a client", "node", node_client),
        ("node as a server", "node", node_server)):
    if shutil.which(program):
        tap.check(name, check)
    else:
        tap.skip(name, f"{program} is not installed")
tap.check("the proxy lives", still_alive)
tap.check("a clean end", lambda: lab.close() == 0 or (_ for _ in ()).throw(AssertionError(lab.stderr())))
w.close()
tap.done()
