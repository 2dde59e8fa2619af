#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: a connection that carried a credential is used again only by requests with the very same one, in
the same version, to the same authority (T22): not by one without, not by one with another, not once the
server refused it, the value was renewed, the policy changed or the keeper is another.  What logs a
connection in is never kept.
Method: a real run with two providers; an origin with real TLS that keeps each connection's requests apart,
from which the test reads which value went by which connection."""
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import box  # noqa: E402
import credlab  # noqa: E402
import world  # noqa: E402
from credlab import BIND, OK, equal, field, request  # noqa: E402

ONE, TWO, OTHER, SCHEME = ("-".join(["v4lue", "of", x, "51930"]) for x in ("one", "two", "other", "scheme"))
PROFILE = f"""\
id: my-api
credentials:
  - {{name: key, env_vars: [MY_KEY], required: true}}
  - {{name: two, env_vars: [MY_TWO], required: true}}
  - {{name: whole, env_vars: [MY_WHOLE], required: true}}
{BIND}"""
OTHERS = f"id: other-api\ncredentials: [{{name: key, env_vars: [OTHER_KEY], required: true}}]\n{BIND}"
COMMAND = "echo x >>@DIR@/asked; printf told-value-; wc -l <@DIR@/asked"
POLICY = """\
version: 1
network_policies:
  own:
    endpoints:
      - {host: free.test, port: 443, protocol: rest, enforcement: enforce, access: full}
    binaries: [{path: "/**"}]
"""

tap = world.Tap()
lab = credlab.Lab(
    {"profile.yaml": PROFILE, "other.yaml": OTHERS, **credlab.renewed(COMMAND)}, POLICY,
    env={"MY_KEY": ONE, "MY_TWO": TWO, "OTHER_KEY": OTHER, "MY_WHOLE": "Negotiate " + SCHEME},
    instances=["profile.yaml", "other.yaml", "i-renewed.yaml"], names=["api.test", "also.test", "free.test"])


def bearer(key):
    return [f"Authorization: Bearer {lab.inside[key]}"]


WITH, OF_TWO, OF_OTHER, WITHOUT = bearer("MY_KEY"), bearer("MY_TWO"), bearer("OTHER_KEY"), []
TOLD = bearer("TOLD")


def send(fields, host="api.test", how="tls", method="GET", path="/x", body=b"", **more):
    """One client's one request."""
    if body:
        fields = [*fields, f"Content-Length: {len(body)}"]
    return credlab.Reply(lab.wait(lab.start_talk(host, request(method, host, path, fields) + body, how=how,
                                                 method=method, **more)))


def shown(connection):
    """Whose each of a connection's requests was, in order: the last word of Authorization, or None."""
    heads = connection.data.split(b"\r\n\r\n")[:-1]
    return [(field(h + b"\r\n\r\n", "authorization") or [None])[0] for h in heads]


def words(before):
    """What went by each new connection since."""
    return [[s and s.rsplit("-", 2)[-2] for s in shown(c)] for c in lab.origin.connections[before:]]


def fresh(answer=OK):
    """Nothing is kept, and the origin has that answer; how many connections it has had."""
    lab.policy_load()
    lab.origin.answer = answer
    lab.origin.forget()
    return len(lab.origin.connections)


def sequence(*kinds, host="api.test", answer=OK):
    before = fresh(answer)
    for fields in kinds:
        reply = send(fields, host)
        assert reply.status == 200, reply
        time.sleep(0.03)
    return words(before)


def one_client(*kinds):
    """The same, but all requests are one client's."""
    before = fresh()
    text = [request("GET", "api.test", f"/{i}", fields).decode() for i, fields in enumerate(kinds)]
    reply = credlab.Reply(lab.wait(lab.start_talk("api.test", text, count=len(kinds), pause=0.1)))
    equal(reply.data.count(b"HTTP/1.1 200"), len(kinds), repr(reply))
    return words(before)


N, A, B, C = None, "one", "two", "other"
for title, kinds, want in (
        ("without a credential, clients share", [WITHOUT] * 3, [[N, N, N]]),
        ("t22 with the same one, too", [WITH] * 4, [[A] * 4]),
        ("t22 nothing without goes where a credential went", [WITH, WITHOUT, WITHOUT], [[A], [N, N]]),
        ("t22 no credential goes where anything else went", [WITHOUT, WITH, WITHOUT, WITH], [[N, N], [A, A]]),
        ("t22 nor where another of the same provider went", [WITH, OF_TWO, WITH, OF_TWO], [[A, A], [B, B]]),
        ("t22 nor where another provider's went", [WITH, OF_OTHER, WITH, OF_OTHER], [[A, A], [C, C]]),
        ("t22 two at once are not one of them", [WITH, WITH + [f"X-Two: {lab.inside['MY_TWO']}"], WITH],
         [[A, A], [A]])):
    tap.check(title, lambda kinds=kinds, want=want: equal(sequence(*kinds), want))
for title, kinds, want in (
        ("a client's own requests share", [WITH] * 3, [[A] * 3]),
        ("t10 t22 a client's request without one leaves the connection",
         [WITHOUT, WITH, WITHOUT, WITH], [[N, N], [A, A]]),
        ("t22 so does one with another", [WITH, OF_OTHER, OF_OTHER, WITH], [[A, A], [C, C]])):
    tap.check(title, lambda kinds=kinds, want=want: equal(one_client(*kinds), want))


def hosts_apart():
    before = fresh()
    for host in ("api.test", "also.test", "api.test", "also.test"):
        send(WITH, host)
        time.sleep(0.03)
    equal(words(before), [[A, A], [A, A]])
    for c in lab.origin.connections[before:]:
        assert (b"Host: api.test" in c.data) != (b"Host: also.test" in c.data), c.data


def smuggled():
    """A server that takes a body for a request answers twice, the second time late: nobody hears it, and what
    comes next with a credential goes elsewhere."""
    evil = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"

    def answer(text):
        return [OK, 0.15, evil] if text.startswith(b"POST") else OK

    inner = b"GET /admin HTTP/1.1\r\nHost: api.test\r\nX-Rest: "
    before = fresh(answer)
    send(WITHOUT, method="POST", body=inner)
    equal(send(WITH).body, b"ok")
    equal(words(before)[1:], [[A]], "the credential went behind the body")
    time.sleep(1)
    equal(send(WITHOUT).body, b"ok")
    equal(len(words(before)), 3, "what said something unasked was used again")


def refused_by_server():
    no = b"HTTP/1.1 %d No\r\nWWW-Authenticate: Bearer\r\nContent-Length: 0\r\n\r\n"
    for status in (401, 407):
        answers = [no % status, OK]
        before = fresh(lambda _, answers=answers: answers.pop(0))
        equal(send(OF_TWO).status, status)
        time.sleep(0.03)
        equal(send(OF_TWO).status, 200)
        equal(words(before), [[B], [B]], str(status))


def never_kept(fields, answer=OK, method="GET"):
    def check():
        left = [answer, OK]
        before = fresh(lambda _: left.pop(0))
        send(fields, method=method, timeout=1)
        time.sleep(0.03)
        send(fields)
        equal(len(words(before)), 2)
    return check


def goes_on_late():
    """The answer comes before the request's end: neither half is anybody's."""
    before = fresh()
    head = request("POST", "api.test", "/x", [*WITH, "Content-Length: 9"]).decode()
    lab.origin.answer = OK
    job = lab.start_talk("api.test", [head + "four"], timeout=0.5)
    lab.wait(job)
    time.sleep(0.05)
    send(WITH)
    equal(len(words(before)), 2)


def closes_at_the_request():
    """What may be sent twice is, with its value asked for anew; what may not is told."""
    left = [OK, [None], OK]
    before = fresh(lambda _: left.pop(0))
    equal([send(WITH).status, send(WITH).status], [200, 200])
    equal(words(before), [[A, A], [A]])
    left[:] = [OK, [None], OK]
    before = fresh(lambda _: left.pop(0))
    equal([send(WITH).status, send(WITH, method="POST", body=b"x").status], [200, 502])
    equal(lab.origin.seen().count(b"POST /x"), 1)
    equal(words(before), [[A, A]])


def policy_changes():
    before = fresh()
    send(WITH)
    lab.policy_load()
    send(WITH)
    equal(words(before), [[A], [A]], "it outlived its policy")


def policy_changes_under_way():
    """In use when it happens: its client's next request goes by another, and nobody takes it later."""
    before = fresh()
    text = request("GET", "api.test", "/x", WITH).decode()
    job = lab.start_talk("api.test", [text, 6, text], count=2, timeout=30)
    assert box.until(lambda: words(before) == [[A]])
    lab.policy_load()
    reply = credlab.Reply(lab.wait(job))
    equal(reply.data.count(b"HTTP/1.1 200"), 2)
    equal(words(before), [[A], [A]])


def asked():
    with open(os.path.join(lab.world.dir, "asked"), encoding="utf-8") as f:
        return len(f.readlines())


def renewed():
    """Two connections with one value; the server refuses it on one of them, and it is renewed."""
    before = fresh([1.5, OK])  # both are under way at once
    jobs = [lab.start_talk("api.test", request("GET", "api.test", "/x", TOLD), timeout=15) for _ in range(2)]
    equal([credlab.Reply(lab.wait(j)).status for j in jobs], [200, 200])
    first = {s for c in lab.origin.connections[before:] for s in shown(c)}
    equal((len(lab.origin.connections) - before, len(first)), (2, 1))
    lab.origin.answer = b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n"
    equal(send(TOLD).status, 401)
    equal(len(lab.origin.connections) - before, 2)
    lab.origin.answer = OK
    assert box.until(lambda: asked() == 2), "not renewed"
    equal(send(TOLD, timeout=15).status, 200)
    third, = lab.origin.connections[before + 2:]
    assert shown(third)[0] not in first and len(shown(third)) == 1, shown(third)
    for c in lab.origin.connections[before:before + 2]:
        assert set(shown(c)) <= first, "another version went by a connection of the first"


def keeper_is_another():
    before = fresh()
    send(WITH)
    pid, = lab.processes()["cove-keeper"]
    os.kill(pid, signal.SIGKILL)
    assert box.until(lambda: lab.processes().get("cove-keeper", [pid]) != [pid])
    time.sleep(1)
    equal(send(WITH).status, 200)
    equal(words(before), [[A], [A]])


NTLM = b"HTTP/1.1 200 OK\r\nWWW-Authenticate: %s\r\nContent-Length: 2\r\n\r\nok"
for title, check in [
        ("authorities are apart", hosts_apart),
        ("t10 t22 a body that the server takes for a request", smuggled),
        ("t22 a connection whose credential was refused is not kept", refused_by_server),
        ("not kept: NTLM in the answer", never_kept(WITH, NTLM % b"NTLM TlRM")),
        ("not kept: Negotiate among others", never_kept(WITH, NTLM % b'Basic realm="x", Negotiate')),
        ("not kept: Negotiate in the request", never_kept([f"Authorization: Negotiate {lab.inside['MY_KEY']}"])),
        ("not kept: Negotiate as part of the value",
         never_kept([f"Authorization: {lab.inside['MY_WHOLE']}"])),
        ("not kept: the answer to HEAD", never_kept(WITH, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", "HEAD")),
        ("not kept: Connection: close",
         never_kept(WITH, b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")),
        ("not kept: an answer before the request's end", goes_on_late),
        ("a server that closes at the request", closes_at_the_request),
        ("t22 another policy: none is used again", policy_changes),
        ("t22 ... nor one that was in use", policy_changes_under_way),
        ("t22 another version of the value: none is used again", renewed),
        ("t22 another keeper: none is used again", keeper_is_another),
        ("where none is bound clients share as before", lambda: equal(
            sequence(WITHOUT, WITHOUT, host="free.test"), [[N, N]]))]:
    tap.check(title, check)
lab.close()
lab.remove()
tap.done()
