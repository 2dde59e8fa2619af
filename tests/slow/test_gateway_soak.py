#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: whatever is done in whatever order, the gateway is what a model of some lines says it is, and in
the end nothing has grown and nothing is left.
Method: random operations on a few sandboxes (create, exec, upload, policy set, stop, start, delete,
kill -9 of the gateway, kill -9 of a supervisor) for CV_SOAK_SECONDS (60), by CV_SEED; what was
acknowledged is the model, and is compared after each and, all of it, every now and then."""
import contextlib
import os
import random
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import look  # noqa: E402
import world  # noqa: E402

world.enter_user_namespace()  # so that its processes can be looked into; before grpc is there with its threads
import clientlab  # noqa: E402
import gatewaylab  # noqa: E402
from gatewaylab import code_of, until  # noqa: E402

SECONDS = float(os.environ.get("CV_SOAK_SECONDS", "60"))
SEED = int(os.environ.get("CV_SEED", "0")) or random.randrange(1 << 30)
BOXES_MAX = 8
WAIT_S = 60
READY, ERROR, STOPPED = 2, 3, 7

tap = world.Tap()
rnd = random.Random(SEED)
g = gatewaylab.Gateway(tls=False)
pb = g.pb
client = clientlab.Client(g)
model = {}  # name -> {"phase", "files": {name: text}, "host": of its policy, "version", "id", "labels"}
done = {}
number = 0


def get(name):
    return g.stub.GetSandbox(pb.GetSandboxRequest(name=name), timeout=WAIT_S).sandbox


def phase(name):
    return get(name).status.phase


def settle(name):
    until(lambda: phase(name) == model[name]["phase"], WAIT_S, "%s is %d, not %d" % (name, phase(name), model[name]["phase"]))


def run(name, *command, stdin=b""):
    said = gatewaylab.said(g.stub.ExecSandbox(pb.ExecSandboxRequest(
        sandbox_id=model[name]["id"], command=command, stdin=stdin), timeout=WAIT_S))
    return said.code, said.both


def some(wanted):
    names = [n for n, m in model.items() if m["phase"] == wanted]
    return rnd.choice(names) if names else None


# ---- operations: False where there is nothing to do it to ----

def create():
    global number
    if len(model) >= BOXES_MAX:
        return False
    number += 1
    name, labels = "s%d" % number, {"k": str(rnd.randrange(3))}
    box = g.stub.CreateSandbox(pb.CreateSandboxRequest(
        name=name, labels=labels, spec={"command": ["sleep", "1000000"]}), timeout=WAIT_S).sandbox
    model[name] = {"phase": READY, "files": {}, "host": None, "version": 1, "id": box.metadata.id, "labels": labels}
    if rnd.random() < 0.7:
        settle(name)
    return True


def exec_writes():
    name = some(READY)
    if not name:
        return False
    settle(name)
    file, text = "f%d" % rnd.randrange(5), "%x" % rnd.randrange(1 << 60)
    assert run(name, "sh", "-c", "cat >$0", file, stdin=text.encode()) == (0, b"")
    model[name]["files"][file] = text
    return True


def exec_reads():
    name = some(READY)
    if not name:
        return False
    settle(name)
    code, out = run(name, "sh", "-c", "for f in *; do [ -f $f ] && echo $f $(cat $f); done; exit 5")
    lines = sorted(f"{k} {v}" for k, v in model[name]["files"].items())
    assert code == 5 and sorted(out.decode().split("\n")[:-1]) == lines, (name, code, out, lines)
    return True


def upload():
    name = some(READY)
    if not name:
        return False
    settle(name)
    file, text = "u%d" % rnd.randrange(3), "%x" % rnd.randrange(1 << 60)
    with open(os.path.join(g.directory, "up"), "w", encoding="ascii") as f:
        f.write(text)
    client("sandbox", "upload", name, os.path.join(g.directory, "up"), "/sandbox/" + file, timeout=WAIT_S)
    model[name]["files"][file] = text
    return True


def policy():
    name = some(READY)
    if not name:
        return False
    host = "h%d.example.com" % rnd.randrange(1000)
    request = pb.UpdateConfigRequest(name=name)
    request.policy.version = 1
    rule = request.policy.network_policies["r"]
    rule.endpoints.add(host=host, port=443)
    rule.binaries.add(path="/**")
    answer = g.stub.UpdateConfig(request, timeout=WAIT_S)
    model[name].update(host=host, version=answer.version)
    return True


def stop():
    name = some(READY)
    if not name:
        return False
    settle(name)
    g.stub.StopSandbox(pb.StopSandboxRequest(name=name), timeout=WAIT_S)
    model[name]["phase"] = STOPPED
    if rnd.random() < 0.5:
        settle(name)
    return True


def start():
    name = some(STOPPED) or some(ERROR)
    if not name:
        return False
    settle(name)
    g.stub.StartSandbox(pb.StartSandboxRequest(name=name), timeout=WAIT_S)
    model[name]["phase"] = READY
    return True


def delete():
    if not model or len(model) < 3:
        return False
    name = rnd.choice(list(model))
    g.stub.DeleteSandbox(pb.DeleteSandboxRequest(name=name), timeout=WAIT_S)
    gone = model.pop(name)
    if rnd.random() < 0.5:
        until(lambda: code_of(lambda: phase(name))[0] == "NOT_FOUND", WAIT_S, name)
        until(lambda: not os.path.exists(os.path.join(g.state, "sandboxes", gone["id"])), WAIT_S, "directory")
    return True


def gateway_dies():
    g.kill()
    time.sleep(rnd.choice((0, 0.05, 0.5)))
    g.start()
    return True


def writes_to(pid, log):
    """A supervisor, and not what it forked to do something aside, which may be gone by now."""
    try:
        return outputs(pid)[0] == log and os.getsid(pid) == pid
    except (OSError, look.Unavailable):
        return False


def supervisor_dies():
    name = some(READY)
    if not name:
        return False
    settle(name)
    # Not by the file `run`: a gateway that died in between may not have written the pid.
    log = os.path.join(g.state, "sandboxes", model[name]["id"], "log")
    pid, = [p for p, s in ours().items() if s.comm == "cove-supervisor" and writes_to(int(p), log)]
    os.kill(int(pid), signal.SIGKILL)
    model[name]["phase"] = ERROR
    settle(name)
    return True


def compare():
    """All of it.  Pages are by offset: what goes meanwhile shifts them."""
    until(lambda: not [s for s in g.stub.ListSandboxes(pb.ListSandboxesRequest(limit=1000)).sandboxes
                       if s.status.phase == 4], WAIT_S, "deleted ones go")
    listed = {}
    offset = 0
    while True:
        page = g.stub.ListSandboxes(pb.ListSandboxesRequest(limit=3, offset=offset), timeout=WAIT_S).sandboxes
        listed.update({s.metadata.name: s for s in page if s.status.phase != 4})
        offset += len(page)
        if not page:
            break
    assert set(listed) == set(model), (sorted(listed), sorted(model))
    for name, m in model.items():
        assert listed[name].metadata.id == m["id"] and dict(listed[name].metadata.labels) == m["labels"]
        settle(name)
        if m["host"]:
            status = g.stub.GetSandboxPolicyStatus(pb.GetSandboxPolicyStatusRequest(name=name), timeout=WAIT_S)
            assert status.revision.version == m["version"], (name, status, m)
            if m["phase"] == READY:
                until(lambda: g.stub.GetSandboxPolicyStatus(pb.GetSandboxPolicyStatusRequest(
                    name=name)).active_version == m["version"], WAIT_S, "%s's policy %s" % (name, m))
    for k in "012":
        names = {s.metadata.name for s in g.stub.ListSandboxes(pb.ListSandboxesRequest(
            label_selector="k=" + k, limit=1000)).sandboxes if s.status.phase != 4}
        assert names == {n for n, m in model.items() if m["labels"]["k"] == k}
    return True


OPERATIONS = {create: 14, exec_writes: 25, exec_reads: 15, upload: 6, policy: 8, stop: 6, start: 9, delete: 7,
              gateway_dies: 3, supervisor_dies: 3, compare: 5}


# ---- leaks ----

def memory():
    with open(f"/proc/{g.process.pid}/statm", encoding="ascii") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def fds():
    return look.descriptor_count(g.process.pid)


def outputs(pid):
    """Where what it prints goes."""
    paths = look.paths(pid)
    return [paths.get(n, "") for n in (1, 2)]


def ours():
    """Supervisors whose log is in our state, and the gateway's children."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        s = look.stat(pid)
        if not s:
            continue
        try:
            if s.parent == g.process.pid or (s.comm.startswith("cove-") and any(
                    path.startswith(g.state) for path in outputs(int(pid)))):
                found[pid] = s
        except (OSError, look.Unavailable):  # gone, or another gateway's
            continue
    return found


def nothing_is_left():
    names = list(model)
    for name in names:
        g.stub.DeleteSandbox(pb.DeleteSandboxRequest(name=name), timeout=WAIT_S)
        del model[name]
    until(lambda: not g.stub.ListSandboxes(pb.ListSandboxesRequest(), timeout=WAIT_S).sandboxes, WAIT_S, "all are gone")
    until(lambda: not os.listdir(os.path.join(g.state, "sandboxes")), WAIT_S, "directories")
    # The gateway's own: its vault is a keeper; keepers of sandboxes to come are forked from one more; and the
    # next sandbox's supervisor waits.
    own = ("cove-keeper", "cove-nursery", "cove-blank")
    until(lambda: not [s for s in ours().values() if s.comm not in own], WAIT_S, "processes: %s" % ours())
    assert all([s.comm for s in ours().values()].count(name) <= 1 for name in own), ours()
    zombies = [s for s in ours().values() if s.state == "Z"]
    assert not zombies, zombies
    with open("/proc/self/mountinfo", encoding="utf-8") as f:
        assert g.state not in f.read()


def nothing_grows():
    """The same gateway, the same work three times: after the first, no more descriptors, and hardly memory."""
    def work():
        for _ in range(25):
            assert create() or True
            exec_writes()
            policy()
            exec_reads()
            if len(model) >= 4:
                delete()
        for name in list(model):
            g.stub.DeleteSandbox(pb.DeleteSandboxRequest(name=name), timeout=WAIT_S)
            del model[name]
        until(lambda: not g.stub.ListSandboxes(pb.ListSandboxesRequest(), timeout=WAIT_S).sandboxes)
        time.sleep(0.5)
        return fds(), memory()
    first, second, third = work(), work(), work()
    print("#   descriptors, bytes:", first, second, third)
    assert third[0] <= first[0] + 2, (first, third)
    assert third[1] - second[1] < 2 << 20, (first, second, third)


def soak():
    end = time.monotonic() + SECONDS
    trail = []
    kinds, weights = list(OPERATIONS), list(OPERATIONS.values())
    try:
        while time.monotonic() < end:
            f = rnd.choices(kinds, weights)[0]
            trail.append(f.__name__)
            if f():
                done[f.__name__] = done.get(f.__name__, 0) + 1
            assert g.process.poll() is None, "the gateway died"
        compare()
    except Exception as e:
        raise AssertionError(f"CV_SEED={SEED} {type(e).__name__}: {e}\n  after {trail[-12:]}\n  model {model}\n" +
                             "\n".join(g.lines[-20:])) from None
    print("#  ", done)


print("# CV_SEED=%d" % SEED)
try:
    tap.check("random operations are as the model says", soak)
    if g.process.poll() is not None:
        g.start()
    tap.check("nothing is left", nothing_is_left)
    tap.check("nothing grows", nothing_grows)
    tap.check("and it ends well", lambda: (_ for _ in ()).throw(AssertionError("status")) if g.stop() else None)
finally:
    for p, s in ours().items():
        if s.comm == "cove-supervisor":
            with contextlib.suppress(ProcessLookupError):  # one that was ending
                os.kill(int(p), signal.SIGKILL)
    g.close()
tap.done()
