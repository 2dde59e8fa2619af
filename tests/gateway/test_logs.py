#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: what is known of a sandbox can be read: while it runs, after a restart of its gateway, and for a
while after it is gone; bounded, filtered, followed, and whatever an agent wrote stays data.
Method: grpcio and the command line against a real cove-gateway and real sandboxes; lines of others'
supervisors are pushed with a sandbox's token, in numbers that make files turn over."""
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import clientlab  # noqa: E402
import gatewaylab  # noqa: E402
import world  # noqa: E402
from gatewaylab import code_of, until  # noqa: E402

tap = world.Tap()
g = gatewaylab.Gateway(tls=False)
pb = g.pb
READY, ERROR = 2, 3
WAIT_S = 30
FILE_MAX = 512 << 10
cli = clientlab.Client(g)


def check(f):
    tap.check(f.__name__.replace("_", " "), f)


def get(name):
    return g.stub.GetSandbox(pb.GetSandboxRequest(name=name)).sandbox


def ready(name, command=("sleep", "100000")):
    s = g.stub.CreateSandbox(pb.CreateSandboxRequest(
        name=name, spec=pb.SandboxSpec(command=list(command)))).sandbox
    until(lambda: get(name).status.phase == READY)
    return s


def delete(name):
    g.stub.DeleteSandbox(pb.DeleteSandboxRequest(name=name))
    until(lambda: code_of(lambda: get(name))[0] == "NOT_FOUND")


def run(name, *command):
    list(g.stub.ExecSandbox(pb.ExecSandboxRequest(sandbox_id=name, command=command), timeout=60))


def logs(of, **kw):
    return g.stub.GetSandboxLogs(pb.GetSandboxLogsRequest(sandbox_id=of, **kw))


def texts(of, **kw):
    return [x.message for x in logs(of, **kw).logs]


def files():
    d = os.path.join(g.state, "logs")
    return {n: os.path.getsize(os.path.join(d, n)) for n in os.listdir(d)}


def the_gateway_and_the_sandbox_both_speak():
    s = ready("one")
    run("one", "sh", "-c", "curl -sS -m 5 http://denied.example/ || true")
    until(lambda: any("denied.example" in t for t in texts("one")))
    all_of = logs("one").logs
    assert {x.source for x in all_of} == {"gateway", "sandbox"}
    said = texts("one", sources=["gateway"])
    assert any(t.startswith("created by ") for t in said), said
    assert "phase Ready" in said
    denied = [x for x in all_of if "denied.example" in x.message][0]
    assert denied.level == "OCSF" and denied.source == "sandbox" and "DENIED" in denied.message, denied
    assert denied.sandbox_id == s.metadata.id and abs(denied.timestamp_ms / 1000 - time.time()) < 60
    m = logs("one")
    assert [x.timestamp_ms for x in all_of] and m.buffer_total == len(m.logs) >= len(all_of)
    until(lambda: texts(s.metadata.id) == texts("one"))  # more may come meanwhile


def what_is_asked_for_is_what_comes():
    now = int(time.time() * 1000)
    assert texts("one", since_ms=now + 60000) == []
    assert len(texts("one", lines=2)) == 2
    assert texts("one", lines=2) == texts("one")[-2:]
    assert all(x.source == "sandbox" for x in logs("one", sources=["sandbox"]).logs)
    assert texts("one", min_level="ERROR") == []
    assert code_of(lambda: logs("nobody")) == ("NOT_FOUND", "sandbox not found")


def they_survive_the_gateway():
    before = texts("one")
    g.kill()
    g.start()
    until(lambda: get("one").status.phase == READY)
    assert texts("one")[:len(before)] == before


def half_a_record_at_the_end_is_no_harm():
    before = texts("one")
    name = [n for n in files() if n.startswith("default--one--")][0]
    g.kill()
    with open(os.path.join(g.state, "logs", name), "ab") as f:
        f.write(b"\0\0\x10\0half")
    g.start()
    assert texts("one")[:len(before)] == before
    until(lambda: get("one").status.phase == READY)
    run("one", "sh", "-c", "curl -sS -m 5 http://later.example/ || true")
    until(lambda: any("later.example" in t for t in texts("one")))


def watch(out, **kw):
    call = g.stub.WatchSandbox(pb.WatchSandboxRequest(follow_logs=True, **kw))

    def read():
        try:
            for e in call:
                if e.WhichOneof("payload") == "log":
                    out.append(e.log.message)
        except Exception:  # cancelled
            pass
    threading.Thread(target=read, daemon=True).start()
    return call


def followers_get_the_last_ones_and_those_that_come():
    s = get("one")
    seen, few = [], []
    calls = [watch(seen, id=s.metadata.id, log_tail_lines=1000),
             watch(few, id=s.metadata.id, log_tail_lines=1, log_sources=["gateway"])]
    until(lambda: seen and few)
    assert len(few) == 1 and few == texts("one", sources=["gateway"])[-1:]
    run("one", "sh", "-c", "curl -sS -m 5 http://followed.example/ || true")
    until(lambda: any("followed.example" in t for t in seen))
    until(lambda: seen == texts("one")[-len(seen):])  # more may come meanwhile
    assert not any("followed.example" in t for t in few)
    for c in calls:
        c.cancel()


def a_failed_one_and_one_that_is_gone_can_be_read():
    s = g.stub.CreateSandbox(pb.CreateSandboxRequest(
        name="bad", spec=pb.SandboxSpec(command=["sh", "-c", "exit 3"]))).sandbox
    until(lambda: get("bad").status.phase == ERROR)
    assert any("MainProcessExited" in t for t in texts("bad"))
    delete("bad")
    for name in ("bad", s.metadata.id):
        said = texts(name)
        assert said[-1] == "deleted" and any("MainProcessExited" in t for t in said), said
    g.kill()
    g.start()
    assert texts("bad")[-1] == "deleted"


def gone_ones_are_swept_in_time():
    """A log whose last line is old enough, of a sandbox that is not there."""
    d = os.path.join(g.state, "logs")
    name = [n for n in files() if n.startswith("default--bad--")][0]
    os.utime(os.path.join(d, name), (time.time() - 16 * 60,) * 2)
    g.kill()
    g.start()
    until(lambda: name not in files())
    assert code_of(lambda: logs("bad"))[0] == "NOT_FOUND"
    assert any(n.startswith("default--one--") for n in files())


def the_command_shows_them():
    said = cli("logs", "one").stdout
    assert "] [gateway] [INFO ] [sandbox] created by " in said, said
    assert "] [sandbox] [OCSF ] [ocsf] " in said, said
    assert "] [sandbox] " not in cli("logs", "one", "--source", "gateway").stdout.replace(
        "[INFO ] [sandbox] ", "")


def push(name, *batches, of=None):
    """A supervisor of others brings lines."""
    s = get(name)
    stub = g.connect(certificate=False, token=g.sandbox_token(s.metadata.id))
    return stub.PushSandboxLogs(iter([pb.PushSandboxLogsRequest(
        sandbox_id=of or s.metadata.id, logs=b) for b in batches]))


def line(message, **kw):
    return pb.SandboxLogLine(level="INFO", target="t", message=message, **kw)


def lines_can_be_pushed():
    ready("push")
    push("push", [line("a", source="gateway", fields={"k": "v"}), line("b\x1b[31m\n")])
    got = [x for x in logs("push", sources=["sandbox"]).logs if x.target == "t"]
    assert [x.message for x in got] == ["a", "b\x1b[31m\n"], got
    assert got[0].source == "sandbox" and dict(got[0].fields) == {"k": "v"} and got[0].timestamp_ms
    other = get("one").metadata.id
    assert code_of(lambda: push("push", [line("x")], of=other)) == (
        "PERMISSION_DENIED", "sandbox_id is not the caller's")
    shown = cli("logs", "push").stdout
    assert "\x1b" not in shown and "k=v" in shown, shown


def they_are_bounded():
    """A second takes so many; files turn over; what is newest stays."""
    for i in range(4):
        push("push", [line(f"{i}-{n} " + "x" * 900) for n in range(900)])
        time.sleep(1.1)
    mine = {n: size for n, size in files().items() if "--push--" in n}
    assert len(mine) == 2 and all(size <= FILE_MAX for size in mine.values()), mine
    m = logs("push", lines=100000)
    assert m.logs[-1].message.startswith("3-899 ") and m.buffer_total == len(m.logs)
    assert len(logs("push").logs) <= 2000 and not texts("push", lines=100000)[0].startswith("0-0 ")
    push("push", [line(f"f{n}") for n in range(1500)])
    assert len([t for t in texts("push") if t.startswith("f")]) <= 1000
    assert any("lines came too fast" in t for t in texts("push"))


check(the_gateway_and_the_sandbox_both_speak)
check(lines_can_be_pushed)
check(they_are_bounded)
check(what_is_asked_for_is_what_comes)
check(they_survive_the_gateway)
check(half_a_record_at_the_end_is_no_harm)
check(followers_get_the_last_ones_and_those_that_come)
check(a_failed_one_and_one_that_is_gone_can_be_read)
check(gone_ones_are_swept_in_time)
check(the_command_shows_them)
try:
    delete("push")
    delete("one")
except Exception:
    pass
g.close()
tap.done()
