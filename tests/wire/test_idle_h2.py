#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: sessions of HTTP/2 to an upstream are kept for the next client, and used again under the same rules
as connections of HTTP/1.1: only by streams with the very same credential in the same version, or by
streams without any (T22); not after GOAWAY, another policy, for another authority, or if the connection was
logged in.
Method: a real run; python3-h2 as client in the sandbox and as server, which keeps its connections apart."""
import os
import signal
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import box  # noqa: E402
import h2lab  # noqa: E402
import credlab  # noqa: E402
import h2.events  # noqa: E402
import world  # noqa: E402
from credlab import equal  # noqa: E402

ONE, TWO = ("-".join(["v4lue", "of", x, "51930"]) for x in ("one", "two"))
PROFILE = """\
id: my-api
credentials:
  - {name: key, env_vars: [MY_KEY], required: true}
  - {name: two, env_vars: [MY_TWO], required: true}
endpoints:
  - {host: api.test, port: 8443, protocol: rest, enforcement: enforce, access: full}
  - {host: also.test, port: 8443, protocol: rest, enforcement: enforce, access: full}
binaries: [{path: "/**"}]
"""
POLICY = """\
version: 1
network_policies:
  own:
    endpoints:
      - {host: free.test, port: 8443, protocol: rest, enforcement: enforce, access: full}
    binaries: [{path: "/**"}]
"""

tap = world.Tap()
lab = credlab.Lab({"my-api.yaml": PROFILE}, POLICY, env={"MY_KEY": ONE, "MY_TWO": TWO},
                  names=["api.test", "also.test", "free.test"], ports=(443,), more_ports=(8443,))
said = {}


def upstream(server, c, e):
    """Answers with what the test set; /goaway says so before it answers, /late says it afterwards."""
    if not isinstance(e, h2.events.StreamEnded):
        return
    path = c.heads[e.stream_id][":path"]
    if said.pop("dies", False):
        c.sock.shutdown(socket.SHUT_RDWR)
        return
    if path == "/goaway":
        c.close_connection(last_stream_id=e.stream_id)
        c.sock.sendall(c.data_to_send())
        c.sock.sendall(h2lab.frame(h2lab.HEADERS, h2lab.END_STREAM | h2lab.END_HEADERS, e.stream_id, b"\x88"))
        return
    c.send_headers(e.stream_id, [(":status", said.get("status", "200")), *said.get("fields", [])])
    c.send_data(e.stream_id, said.get("body", b"ok"), end_stream=True)
    if path == "/refuse":
        c.sock.sendall(c.data_to_send() + h2lab.frame(h2lab.GOAWAY, 0, 0, b"\0\0\0\x01\0\0\0\0"))


server = h2lab.Server(world.PUBLIC, 8443, upstream, pki=lab.world.pki)
KEY, OF_TWO = ([["authorization", f"Bearer {lab.inside[k]}"]] for k in ("MY_KEY", "MY_TWO"))
N, A, B = None, "one", "two"


def client(*streams, host="api.test", path="/x", **more):
    """One client with such streams, one after the other; their statuses."""
    answers = lab.h2(host, *[{"path": path, "fields": s} for s in streams], port=8443, is_in_turn=True, **more)
    time.sleep(0.05)
    return [s["head"].get(":status") for s in answers]


def words(before):
    """What the streams of each new connection carried."""
    return [[(h.get("authorization") or "").rsplit("-", 2)[-2:-1] or N for h in c.heads.values()]
            for c in server.conns[before:]]


def fresh(**what):
    """Nothing is kept; how many connections there were."""
    lab.policy_load()
    said.clear()
    said.update(what)
    return len(server.conns)


def check(*clients, want, host="api.test"):
    before = fresh()
    for streams in clients:
        equal(client(*streams, host=host), ["200"] * len(streams))
    got = [[x and x[0] for x in c] for c in words(before)]
    equal(got, want)


def apart():
    before = fresh()
    for host in ("api.test", "also.test", "api.test"):
        client(KEY, host=host)
    equal([{h[":authority"].split(":")[0] for h in c.heads.values()} for c in server.conns[before:]],
          [{"api.test"}, {"also.test"}])


def at_once():
    """Streams with one, the other and none, all at once: three connections, each with its own."""
    before = fresh()
    answers = lab.h2("api.test", *[{"path": f"/{i}", "fields": (KEY, OF_TWO, [])[i % 3]} for i in range(12)], port=8443)
    equal({s["head"].get(":status") for s in answers}, {"200"})
    got = [{x and x[0] for x in c} for c in words(before)]
    equal(sorted(map(str, got)), sorted(map(str, [{A}, {B}, {N}])))


def answers_apart():
    """The keeper is asked about many streams at once, and refuses some: each gets its own answer."""
    fresh()
    server.seen.clear()
    answers = lab.h2("free.test", *[{"path": f"/{i}", "fields": KEY if i % 3 else []} for i in range(20)], port=8443)
    equal([s["head"].get(":status") for s in answers], ["403" if i % 3 else "200" for i in range(20)])
    equal(sorted(h[":path"] for h in server.seen), sorted(f"/{i}" for i in range(0, 20, 3)))
    assert ONE not in repr(server.seen)


def many_bonds():
    """More kinds of streams than a client's session remembers at a time."""
    pairs = [[*KEY, ["x-more", lab.inside["MY_TWO"]]], KEY, OF_TWO, []]
    before = fresh()
    for _ in range(3):
        equal(client(*pairs), ["200"] * 4)
    equal(sorted(len(c.heads) for c in server.conns[before:]), [3, 3, 3, 3])


def goaway():
    before = fresh()
    equal(client(KEY, path="/goaway"), ["200"])
    equal(client(KEY), ["200"])
    equal(len(server.conns) - before, 2)


def goaway_while_kept():
    before = fresh()
    equal(client(KEY, path="/refuse"), ["200"])
    time.sleep(0.2)
    equal(client(KEY), ["200"])
    equal(len(server.conns) - before, 2)


def closed_while_kept():
    before = fresh()
    equal(client(KEY), ["200"])
    server.conns[-1].sock.shutdown(socket.SHUT_RDWR)
    time.sleep(0.2)
    equal(client(KEY), ["200"])
    equal(len(server.conns) - before, 2)


def closes_at_the_request():
    """Without a word, at the first stream of the second client: what may be sent twice is."""
    for method, want in (("GET", "200"), ("POST", "502")):
        before = fresh()
        equal(client(KEY), ["200"])
        said["dies"] = True
        s, = lab.h2("api.test", {"method": method, "path": "/x", "fields": KEY}, port=8443)
        equal((s["head"].get(":status"), len(server.conns) - before), (want, 2 if method == "GET" else 1), repr(s))


def not_kept(**what):
    def one():
        before = fresh(**what)
        client(KEY)
        said.clear()
        equal(client(KEY), ["200"])
        equal(len(server.conns) - before, 2)
    return one


def policy():
    before = fresh()
    equal(client(KEY), ["200"])
    lab.policy_load()
    equal(client(KEY), ["200"])
    equal(len(server.conns) - before, 2)


def another_keeper():
    """Which counts versions from the beginning: the same number is not the same version."""
    before = fresh()
    equal(client(KEY), ["200"])
    pid, = lab.processes()["cove-keeper"]
    os.kill(pid, signal.SIGKILL)
    assert box.until(lambda: lab.processes().get("cove-keeper", [pid]) != [pid], 10)
    assert box.until(lambda: client(KEY) == ["200"], 10)
    equal(len(server.conns) - before, 2)


def scrubbed():
    """Of the second client, too, though its session is the first one's."""
    before = fresh(body=f"was {ONE}".encode())
    for _ in range(2):
        s, = lab.h2("api.test", {"path": "/x", "fields": KEY}, port=8443)
        assert ONE not in repr(s), s
        time.sleep(0.05)
    equal(len(server.conns) - before, 1)


for title, one in [
        ("without a credential, clients share a session", lambda: check([[], []], [[]], [[], []], want=[[N] * 5])),
        ("where none is bound, too", lambda: check([[]], [[]], host="free.test", want=[[N, N]])),
        ("t22 with the same one, too", lambda: check([KEY], [KEY, KEY], [KEY], want=[[A] * 4])),
        ("t22 never with and without", lambda: check([[]], [KEY], [[]], [KEY], want=[[N, N], [A, A]])),
        ("t22 nor with another", lambda: check([KEY], [OF_TWO], [KEY], want=[[A, A], [B]])),
        ("t22 nor as streams of one client", lambda: check([[], KEY, [], OF_TWO, KEY], want=[[N, N], [A, A], [B]])),
        ("t22 nor at once", at_once),
        ("t22 what is asked together is answered apart", answers_apart),
        ("t22 more kinds of streams than are remembered", many_bonds),
        ("authorities are apart", apart),
        ("what the second client gets is scrubbed", scrubbed),
        ("not kept: after GOAWAY", goaway),
        ("not kept: GOAWAY comes later", goaway_while_kept),
        ("not kept: closed meanwhile", closed_while_kept),
        ("a server that closes at the request", closes_at_the_request),
        ("t22 not kept: the credential was refused", not_kept(status="401")),
        ("not kept: 407", not_kept(status="407")),
        ("not kept: a login of the connection", not_kept(fields=[("www-authenticate", "Negotiate abc")])),
        ("t22 not kept: another policy", policy),
        ("t22 not kept: another keeper", another_keeper)]:
    tap.check(title, one)
lab.close()
lab.remove()
tap.done()
