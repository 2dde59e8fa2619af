#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: a command that was started by StartExec survives its client and its gateway; what it printed is
there byte for byte from any offset, what is not any more is said, and its end is told to everybody.
Method: grpcio's stubs against a real cove-gateway and real sandboxes; clients go away in the middle, the
gateway is killed with SIGKILL, and so is a supervisor."""
import json
import os
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import world  # noqa: E402
world.enter_user_namespace()
import gatewaylab  # noqa: E402
import oidclab  # noqa: E402
import rpclab  # noqa: E402
from gatewaylab import code_of, until  # noqa: E402

tap = world.Tap()
issuer = oidclab.Issuer()
g = gatewaylab.Gateway(config={"oidc": {"issuer": issuer.url}})
pb, cove_pb = g.pb, rpclab.module("cove_pb2")
ROOT = issuer.token("root", roles=["openshell-admin"])
WAIT_S = 30
READY, STOPPED = 2, 7
RING = 1 << 20


# ---- helpers ----

def shell(token=ROOT):
    return g.connect(token=token)


def cove(token=ROOT):
    return rpclab.module("cove_pb2_grpc").CoveStub(g.channel(False, token))


def phase(s):
    return shell().GetSandbox(pb.GetSandboxRequest(name=s.metadata.name)).sandbox.status.phase


def ready(name, command=("sleep", "100000")):
    s = shell().CreateSandbox(pb.CreateSandboxRequest(
        name=name, spec=pb.SandboxSpec(command=list(command)))).sandbox
    until(lambda: phase(s) == READY)
    return s


def start(s, *command, key="", stub=None, hold=False, **kw):
    return (stub or cove()).StartExec(cove_pb.StartExecRequest(
        exec=pb.ExecSandboxRequest(sandbox_id=s.metadata.id, command=command, **kw),
        idempotency_key=key, hold=hold), timeout=30)


def sh(s, script, **kw):
    return start(s, "sh", "-c", script, **kw).exec


def stream(s, x, offset=0, stub=None, hold=False):
    return (stub or cove()).FollowExec(cove_pb.FollowExecRequest(
        sandbox_id=s.metadata.id, exec_id=x.id, from_offset=offset, hold=hold), timeout=60)


class Seen:
    """What a follower was told: out, err, gaps [(offset, bytes)], end; `at` is the next offset."""

    def __init__(self, at=0):
        self.out, self.err, self.gaps, self.end, self.at = b"", b"", [], None, at

    def take(self, e):
        assert self.end is None, "something after the end"
        kind = e.WhichOneof("event")
        if kind == "output":
            assert e.output.offset == self.at, (e.output.offset, self.at)
            self.out += e.output.stdout
            self.err += e.output.stderr
            self.at += len(e.output.stdout) + len(e.output.stderr)
        elif kind == "gap":
            assert e.gap.offset == self.at and e.gap.bytes, e
            self.gaps.append((e.gap.offset, e.gap.bytes))
            self.at += e.gap.bytes
        else:
            self.end = e.end
        return self


def follow(s, x, offset=0, stub=None):
    seen = Seen(offset)
    for e in stream(s, x, offset, stub):
        seen.take(e)
    assert seen.end is not None, "the stream ended without an end"
    return seen


def restart(away_s):
    g.kill()
    time.sleep(away_s)
    g.start()
    until(lambda: code_of(lambda: phase(box)) == ("OK", READY))  # the issuer's keys come first


def listed(s):
    return list(cove().ListExecs(cove_pb.ListExecsRequest(sandbox_id=s.metadata.id)).execs)


def one(s, x):
    return next(e for e in listed(s) if e.id == x.id)


def over(s, x):
    return until(lambda: one(s, x).HasField("end"))


def kill(s, x, number=0):
    return cove().KillExec(cove_pb.KillExecRequest(sandbox_id=s.metadata.id, exec_id=x.id, signal=number)).exec


def equal(got, want):
    assert got == want, (got, want)


def check(f):
    tap.check(f.__name__.replace("_", " "), f)


def lines(n):
    return b"".join(b"%07d\n" % i for i in range(1, n + 1))


SLOWLY = 'i=0; while [ $i -lt %d ]; do i=$((i+1)); printf "%%07d\\n" $i; sleep 0.01; done; exit 5'


# ---- what is told ----

def output_and_end_are_told_to_everybody():
    x = sh(box, "echo out; echo err >&2; exit 7")
    for _ in range(3):
        seen = follow(box, x)
        equal((seen.out, seen.err, seen.end.exit_code, seen.end.reason), (b"out\n", b"err\n", 7, "exited"))
        assert abs(seen.end.ended_at_ms / 1000 - time.time()) < 60
    both = [None, None]

    def take(i):
        both[i] = follow(box, later)
    later = sh(box, "sleep 0.5; echo late; exit 3")
    threads = [threading.Thread(target=take, args=(i,)) for i in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    equal([(b.out, b.end.exit_code) for b in both], [(b"late\n", 3)] * 2)


def it_is_as_it_was_asked_for():
    seen = follow(box, sh(box, "cat; pwd; echo $X", stdin=b"a\0b\xff\n", workdir="/tmp", environment={"X": "y z"}))
    equal(seen.out, b"a\0b\xff\n/tmp\ny z\n")
    big = os.urandom(700000)
    seen = follow(box, start(box, "cat", stdin=big).exec)
    equal(seen.out, big)
    x = start(box, "echo", "ä" * 2000, "end").exec
    assert x.is_command_cut and x.command[0] == "echo" and set(x.command[1]) == {"ä"}, x
    equal((x.created_by, x.sandbox_id), ("root", box.metadata.id))
    equal(follow(box, sh(box, "cat")).out, b"")


def what_can_not_be_started_says_why():
    seen = follow(box, start(box, "/no/such/program").exec)
    equal((seen.end.exit_code, seen.end.reason), (127, "not_started"))
    assert b"/no/such/program" in seen.err, seen.err
    seen = follow(box, start(box, "true", workdir="/no/such/dir").exec)
    equal(seen.end.reason, "not_started")


def what_it_leaves_behind_does_not_hold_its_end():
    begun = time.monotonic()
    seen = follow(box, sh(box, "sleep 1000 & echo on; exit 4"))
    equal((seen.out, seen.end.exit_code), (b"on\n", 4))
    assert time.monotonic() - begun < 30


# ---- who goes away ----

def a_lost_client_goes_on_where_it_was():
    x = sh(box, SLOWLY % 150)
    seen = Seen()
    for n in (20, 57, 100):
        events = stream(box, x, seen.at)
        for e in events:
            if seen.take(e).at >= n * 8:
                break
        events.cancel()
        time.sleep(0.1)
    rest = follow(box, x, seen.at)
    equal(seen.out + rest.out, lines(150))
    equal(rest.end.exit_code, 5)
    for at in (0, 3, 8 * 75 + 5, 150 * 8):  # byte for byte
        equal(follow(box, x, at).out, lines(150)[at:])


def a_killed_gateway_comes_back_to_it():
    x = sh(box, SLOWLY % 300, key="once")
    seen = Seen()
    for e in stream(box, x):
        if seen.take(e).at >= 400:
            break
    restart(1)
    again = start(box, "sh", "-c", SLOWLY % 300, key="once")  # as a client that heard no answer
    assert again.existed and again.exec.id == x.id, again
    equal((again.exec.command[0], again.exec.created_by), ("sh", "root"))
    rest = follow(box, x, seen.at)
    equal(seen.out + rest.out, lines(300))
    equal(rest.end.exit_code, 5)
    equal(follow(box, x).out, lines(300))


def what_ends_without_a_gateway_is_told_by_the_next():
    done, timed, failed = sh(box, "sleep 0.5; echo done; exit 9"), sh(box, "sleep 1000", timeout_seconds=1), \
        start(box, "/no/such").exec
    before = {x.id: follow(box, x).end for x in (failed,)}
    restart(2)
    seen = follow(box, done)
    equal((seen.out, seen.end.exit_code, seen.end.reason), (b"done\n", 9, "exited"))
    seen = follow(box, timed)
    equal((seen.end.exit_code, seen.end.reason), (124, "timed_out"))
    equal(follow(box, failed).end, before[failed.id])


# ---- bounds ----

def what_was_dropped_is_said():
    x = sh(box, "seq -f %07.0f 1 400000; exit 2")  # 3.2 MB
    over(box, x)
    whole = lines(400000)
    seen = follow(box, x)
    kept = one(box, x)
    equal((kept.output_bytes, kept.end.exit_code), (len(whole), 2))
    equal(seen.gaps, [(0, kept.kept_from)])
    assert RING * 9 // 10 < len(whole) - kept.kept_from <= RING, kept
    equal(seen.out, whole[kept.kept_from:])
    equal(follow(box, x, len(whole) - 100).gaps, [])
    equal(follow(box, x, 1000).gaps, [(1000, kept.kept_from - 1000)])


def a_follower_that_does_not_read_holds_nothing():
    x = sh(box, "sleep 0.3; seq -f %07.0f 1 1500000")  # 12 MB
    whole = lines(1500000)
    events = stream(box, x)
    over(box, x)  # nobody has read
    seen = Seen()
    for e in events:
        seen.take(e)
    assert seen.gaps, "no gap"
    want, at = b"", 0
    for offset, n in seen.gaps:
        want += whole[at:offset]
        at = offset + n
    equal(seen.out, want + whole[at:])
    equal(seen.at, len(whole))


def a_follower_that_holds_gets_all_of_it():
    x = sh(box, "seq -f %07.0f 1 1500000; exit 3", hold=True)  # 12 MB
    whole = lines(1500000)
    time.sleep(0.5)
    assert not one(box, x).HasField("end") and one(box, x).kept_from == 0
    seen, other_seen = Seen(), stream(box, x)
    for e in stream(box, x, hold=True):
        if seen.at < 100000:
            time.sleep(0.02)
        seen.take(e)
    equal((seen.gaps, seen.out, seen.end.exit_code), ([], whole, 3))
    assert list(other_seen)[-1].HasField("end")


def who_held_and_went_holds_nothing():
    x = sh(box, "seq -f %07.0f 1 1500000; exit 3", hold=True)
    over(box, x)  # nobody came
    x = sh(box, "seq -f %07.0f 1 1500000; exit 3", hold=True)
    events = stream(box, x, hold=True)
    next(events)
    time.sleep(1)
    assert not one(box, x).HasField("end")
    events.cancel()
    over(box, x)
    x = sh(box, "seq -f %07.0f 1 1500000; exit 3", hold=True)
    events = stream(box, x, hold=True)
    next(events)
    g.kill()  # and no gateway comes to say so
    time.sleep(2)
    g.start()
    until(lambda: code_of(lambda: phase(box)) == ("OK", READY))
    equal(follow(box, x).end.exit_code, 3)
    x = sh(box, "seq -f %07.0f 1 1500000; sleep 1000", hold=True)
    events = stream(box, x, hold=True)
    next(events)
    kill(box, x, 9)  # one that waits can be killed
    equal(list(events)[-1].end.exit_code, 137)


def hostile_requests_are_refused():
    x = sh(box, "echo hello")
    over(box, x)
    for want, call in {
        "INVALID_ARGUMENT no exec": lambda: cove().StartExec(cove_pb.StartExecRequest()),
        "INVALID_ARGUMENT no command": lambda: start(box),
        "INVALID_ARGUMENT key": lambda: start(box, "true", key="k" * 129),
        "INVALID_ARGUMENT args": lambda: start(box, *["x"] * 1025),
        "INVALID_ARGUMENT workdir": lambda: start(box, "true", workdir="a\nb"),
        "INVALID_ARGUMENT env": lambda: start(box, "true", environment={"A=B": "x"}),
        "INVALID_ARGUMENT no id": lambda: list(stream(box, cove_pb.Exec())),
        "NOT_FOUND sandbox": lambda: cove().ListExecs(cove_pb.ListExecsRequest(sandbox_id="nobody")),
        "NOT_FOUND exec": lambda: list(stream(box, cove_pb.Exec(id=x.id[:-1] + "g"))),
        "NOT_FOUND killed": lambda: kill(box, cove_pb.Exec(id="-1")),
        "NOT_FOUND of another sandbox": lambda: list(stream(other, x)),
        "OUT_OF_RANGE": lambda: list(stream(box, x, 7)),
        "OUT_OF_RANGE far": lambda: list(stream(box, x, (1 << 64) - 1)),
        "INVALID_ARGUMENT signal": lambda: kill(box, x, 65),
    }.items():
        code, said = code_of(call)
        equal((want, code), (want, want.split()[0]))
    equal(follow(box, x, 6).end.exit_code, 0)


def a_key_is_of_one_command():
    first, again = start(box, "echo", "a", key="k1"), start(box, "echo", "a", key="k1")
    assert not first.existed and again.existed and first.exec.id == again.exec.id
    equal(code_of(lambda: start(box, "echo", "b", key="k1"))[0], "ALREADY_EXISTS")
    assert start(other, "echo", "b", key="k1").exec.id != first.exec.id
    assert start(box, "echo", "a").exec.id != first.exec.id


def others_are_refused():
    x = sh(box, "echo secret")
    alice = cove(issuer.token("alice"))
    for call in (lambda: start(box, "true", stub=alice), lambda: list(stream(box, x, 0, alice)),
                 lambda: alice.ListExecs(cove_pb.ListExecsRequest(sandbox_id=box.metadata.id)),
                 lambda: alice.KillExec(cove_pb.KillExecRequest(sandbox_id=box.metadata.id, exec_id=x.id))):
        equal(code_of(call), ("NOT_FOUND", "sandbox not found"))
    sandbox = cove(g.sandbox_token(box.metadata.id))
    equal(code_of(lambda: start(box, "true", stub=sandbox))[0], "PERMISSION_DENIED")
    nobody = cove("x.y.z")
    equal(code_of(lambda: list(stream(box, x, 0, nobody)))[0], "UNAUTHENTICATED")


def it_can_be_killed():
    x = sh(box, "echo on; sleep 1000")
    kill(box, x)
    seen = follow(box, x)
    equal((seen.end.exit_code, seen.end.reason), (128 + 15, "exited"))
    equal(kill(box, x).end.exit_code, 143)  # says so, and sends nothing
    x = sh(box, "trap '' TERM; echo on; while :; do sleep 1; done")
    next(stream(box, x))  # it has set its trap
    kill(box, x)
    time.sleep(0.3)
    assert not one(box, x).HasField("end")
    kill(box, x, 9)
    equal(follow(box, x).end.exit_code, 137)


def a_time_is_kept():
    begun = time.monotonic()
    seen = follow(box, sh(box, "trap '' TERM; echo on; while :; do sleep 1; done", timeout_seconds=1))
    equal((seen.end.exit_code, seen.end.reason, seen.out), (124, "timed_out", b"on\n"))
    assert time.monotonic() - begun < 30


def many_are_bounded():
    s = ready("many")
    untold = sh(s, "echo kept; exit 6")
    over(s, untold)
    for i in range(70):
        x = sh(s, "exit 0")
        follow(s, x)
    assert len(listed(s)) <= 65, len(listed(s))
    equal(follow(s, untold).out, b"kept\n")  # those that were told went first
    stub = cove()
    running = [sh(s, "sleep 1000", stub=stub) for _ in range(64)]
    equal(code_of(lambda: sh(s, "true"))[0], "RESOURCE_EXHAUSTED")
    streams = [stream(s, running[0], 0, stub) for _ in range(16)]
    time.sleep(3)  # each is known
    code, said = code_of(lambda: list(stream(s, running[0])))
    assert code == "RESOURCE_EXHAUSTED" and "at most 16" in said, said
    for e in streams:
        e.cancel()
    kill(s, running[1])
    follow(s, running[1])
    follow(s, sh(s, "true"))
    shell().DeleteSandbox(pb.DeleteSandboxRequest(name="many"))


# ---- sandboxes end ----

def a_stopped_sandbox_still_tells():
    s = ready("stopped", ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"])  # all have their grace
    x = sh(s, "trap 'echo bye; exit 8' TERM; echo on; while :; do sleep 0.1; done")
    stubborn = sh(s, "trap '' TERM; echo on; while :; do sleep 0.1; done")
    events = [stream(s, x), stream(s, stubborn)]
    for e in events:
        next(e)
    shell().StopSandbox(pb.StopSandboxRequest(name="stopped"))
    until(lambda: phase(s) == STOPPED)
    for _ in range(2):
        seen = follow(s, x)
        equal((seen.out, seen.end.exit_code, seen.end.reason), (b"on\nbye\n", 8, "exited"))
        seen = follow(s, stubborn)
        equal((seen.out, seen.end.exit_code, seen.end.reason), (b"on\n", 137, "sandbox_ended"))
    for e in events:
        assert list(e)[-1].HasField("end")
    equal(code_of(lambda: sh(s, "true"))[0], "FAILED_PRECONDITION")
    shell().DeleteSandbox(pb.DeleteSandboxRequest(name="stopped"))
    until(lambda: code_of(lambda: list(stream(s, x)))[0] == "NOT_FOUND")


def a_killed_supervisor_is_an_end():
    s = ready("killed")
    x = sh(s, "echo on; sleep 1000")
    events = stream(s, x)
    next(events)
    pid = g.supervisor(s.metadata.id)
    assert pid, "no supervisor"
    os.kill(pid, signal.SIGKILL)
    end = list(events)[-1].end
    equal((end.exit_code, end.reason), (137, "sandbox_ended"))
    seen = follow(s, x)
    equal((seen.out, seen.end.reason), (b"on\n", "sandbox_ended"))
    shell().DeleteSandbox(pb.DeleteSandboxRequest(name="killed"))


# ---- REST ----

def it_is_there_over_http():
    bearer = ["-H", "Authorization: Bearer " + ROOT, "-H", "Content-Type: application/json"]
    base = "/v1/sandboxes/%s/execs" % box.metadata.id
    status, body = g.get(base, *bearer, "-d", json.dumps({"exec": {"command": ["sh", "-c", "echo hi; exit 3"]}}))
    equal(status, 200)
    x = json.loads(body)["exec"]
    until(lambda: "end" in next(e for e in json.loads(g.get(base, *bearer)[1])["execs"] if e["id"] == x["id"]))
    status, body = g.get("%s/%s:follow?from_offset=1" % (base, x["id"]), *bearer)
    events = [json.loads(v[6:]) for v in body.splitlines() if v.startswith("data: {")]
    equal((status, events[0]["output"]["offset"], events[0]["output"]["stdout"]), (200, "1", "aQo="))
    equal((events[1]["end"]["exitCode"], events[1]["end"]["reason"]), (3, "exited"))
    status, body = g.get("%s/%s:kill" % (base, x["id"]), *bearer, "-X", "POST")
    equal((status, json.loads(body)["exec"]["end"]["exitCode"]), (200, 3))
    assert "StartExec" in g.get("/openapi.json", *bearer)[1]


try:
    # Until the issuer's keys are there, nobody can be told from another.
    until(lambda: code_of(lambda: shell().ListSandboxes(pb.ListSandboxesRequest()))[0] == "OK", why=g.lines[-5:])
    box, other = ready("box"), ready("other")
    for f in (output_and_end_are_told_to_everybody, it_is_as_it_was_asked_for, what_can_not_be_started_says_why,
              what_it_leaves_behind_does_not_hold_its_end, a_lost_client_goes_on_where_it_was,
              a_killed_gateway_comes_back_to_it, what_ends_without_a_gateway_is_told_by_the_next,
              what_was_dropped_is_said, a_follower_that_does_not_read_holds_nothing,
              a_follower_that_holds_gets_all_of_it, who_held_and_went_holds_nothing,
              hostile_requests_are_refused, a_key_is_of_one_command, others_are_refused, it_can_be_killed,
              a_time_is_kept, many_are_bounded, a_stopped_sandbox_still_tells, a_killed_supervisor_is_an_end,
              it_is_there_over_http):
        check(f)
    for s in (box, other):
        shell().DeleteSandbox(pb.DeleteSandboxRequest(name=s.metadata.name))
finally:
    g.close()
tap.done()
