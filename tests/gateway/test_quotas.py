#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: quotas of the host and of workspaces hold, in numbers and in what is refused; a refusal says what is
short; who asked to wait waits, in order, is let in when there is room, and fails when their time is over;
all of it over stop, start, delete, a reload, and a gateway that is killed.
Method: grpcio's stubs and curl against a real cove-gateway and real sandboxes.  Memory and processors are
mostly what sandboxes are counted with by default, as not every machine can enforce limits."""
import json
import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import gatewaylab  # noqa: E402
import rpclab  # noqa: E402
import world  # noqa: E402
from gatewaylab import code_of, until  # noqa: E402

tap = world.Tap()
GI = 1 << 30
JSON = ("-H", "content-type: application/json")
CONFIG = {"quotas": {
    "host": {"sandboxes": 6, "memory": "5Gi"},
    "workspace": {"sandboxes": 3},
    "workspaces": {"small": {"memory": "2Gi", "cpu": "1500m"}, "shut": {"sandboxes": 0}},
    "default_request": {"memory": "1Gi", "cpu": "500m"},
    "queue": {"length": 3, "workspace_length": 3, "max_wait_secs": 600}}}
g = gatewaylab.Gateway(tls=False, config=CONFIG)
pb = g.pb
cove_pb = rpclab.module("cove_pb2")
PROVISIONING, READY, ERROR, DELETING, STOPPED, STARTING = 1, 2, 3, 4, 7, 8
for w in ("small", "shut", "third"):
    g.stub.CreateWorkspace(pb.CreateWorkspaceRequest(name=w))


def create(name, workspace="", queue=None, command=("sleep", "100000"), **limits):
    spec = pb.SandboxSpec(command=list(command))
    if limits:
        spec.template.resources.update({"limits": limits})
    return g.stub.CreateSandbox(
        pb.CreateSandboxRequest(name=name, workspace=workspace, spec=spec),
        metadata=[("x-cove-queue", queue)] if queue else None).sandbox


def get(name, workspace=""):
    return g.stub.GetSandbox(pb.GetSandboxRequest(name=name, workspace=workspace)).sandbox


def phase(name, workspace=""):
    return get(name, workspace).status.phase


def ready(name, workspace="", **kw):
    create(name, workspace, **kw)
    until(lambda: phase(name, workspace) == READY)


def delete(*names, workspace=""):
    for name in names:
        g.stub.DeleteSandbox(pb.DeleteSandboxRequest(name=name, workspace=workspace))
    for name in names:
        until(lambda n=name: code_of(lambda: get(n, workspace))[0] == "NOT_FOUND")


def stop(name, workspace=""):
    g.stub.StopSandbox(pb.StopSandboxRequest(name=name, workspace=workspace))
    until(lambda: phase(name, workspace) == STOPPED)


def start(name, workspace="", queue=None):
    return g.stub.StartSandbox(pb.StartSandboxRequest(name=name, workspace=workspace),
                               metadata=[("x-cove-queue", queue)] if queue else None).sandbox


def condition(sandbox, kind):
    return next((c for c in sandbox.status.conditions if c.type == kind), None)


def usage(**kw):
    stub = rpclab.module("cove_pb2_grpc").CoveStub(g.channel())
    return stub.GetUsage(cove_pb.GetUsageRequest(**kw))


def used(workspace=None):
    """(sandboxes, memory in Gi, cpu in thousandths) of a workspace, or of the host."""
    m = usage(workspace=workspace) if workspace else usage()
    u = m.workspaces[0] if workspace else m.host
    v = {r.resource: r.used for r in u.resources}
    return v["sandboxes"], v["memory"] / GI, v["cpu"]


def empty():
    until(lambda: used() == (0, 0, 0))
    assert not usage(all_workspaces=True).queue


# ---- without a queue ----

def what_is_short_is_said():
    for n in ("a", "b", "c"):
        ready(n)
    assert used("default") == (3, 3, 1500), used("default")
    code, text = code_of(lambda: create("d"))
    assert code == "RESOURCE_EXHAUSTED", code
    assert text == ("workspace 'default' is short of sandboxes: 3 of 3 are used, and the sandbox asks for 1; "
                    "delete one, or ask to wait (x-cove-queue, --queue)"), text
    assert code_of(lambda: get("d"))[0] == "NOT_FOUND"
    assert used() == (3, 3, 1500)
    delete("c")
    ready("d")
    # What is wrong in other ways is said first.
    assert code_of(lambda: create("d"))[0] == "ALREADY_EXISTS"
    assert code_of(lambda: create("E E"))[0] == "INVALID_ARGUMENT"


def each_workspace_has_its_own():
    ready("x", "small", memory="0.5Gi")
    assert used("small") == (1, 0.5, 500)
    code, text = code_of(lambda: create("y", "small", cpu="1100m", memory="1Mi"))
    assert (code, text.split(";")[0]) == ("RESOURCE_EXHAUSTED",
        "workspace 'small' is short of cpu: 500m of 1500m are used, and the sandbox asks for 1100m"), text
    code, text = code_of(lambda: create("y", "small", memory="1Ti"))
    assert text == ("workspace 'small' may use 2Gi of memory at all, and the sandbox asks for 1Ti; "
                    "ask for less, or have the quota raised"), text
    code, text = code_of(lambda: create("y", "shut", queue="60s"))
    assert code == "RESOURCE_EXHAUSTED" and "'shut' may use 0 of sandboxes at all" in text, text
    # ... and the host what all of them have.
    ready("z", "third")
    code, text = code_of(lambda: create("y", "third"))
    assert text == ("the host is short of memory: 4608Mi of 5Gi are used, and the sandbox asks for 1Gi (the "
                    "default of one without a limit of its own); stop one, ask for less, or ask to wait "
                    "(x-cove-queue, --queue)"), text


def a_stopped_one_is_counted_as_a_sandbox_alone():
    stop("z", "third")
    until(lambda: used("third") == (1, 0, 0))
    ready("y", "third")
    code, text = code_of(lambda: start("z", "third"))
    assert code == "RESOURCE_EXHAUSTED" and text.startswith("the host is short of memory: 4608Mi of 5Gi"), text
    assert phase("z", "third") == STOPPED
    delete("y", workspace="third")
    start("z", "third")
    until(lambda: phase("z", "third") == READY)
    assert start("z", "third").status.phase == READY  # again: nothing is asked for
    assert used("third") == (1, 1, 500)


def one_that_ended_or_failed_is_counted_so_too():
    delete("z", workspace="third")
    create("over", "third", command=["true"])
    until(lambda: phase("over", "third") == ERROR)
    until(lambda: used("third") == (1, 0, 0))
    create("unbuilt", "third", command=["/nonexistent/program"])
    until(lambda: phase("unbuilt", "third") == ERROR)
    until(lambda: used("third") == (2, 0, 0))
    delete("over", "unbuilt", workspace="third")
    until(lambda: used("third") == (0, 0, 0))


def totals_are_the_same_after_a_crash():
    stop("d")
    before = [used(), used("default"), used("small")]
    g.kill()
    g.start()
    until(lambda: phase("a") == READY and phase("x", "small") == READY)
    assert [used(), used("default"), used("small")] == before, (before, used())
    assert code_of(lambda: create("e"))[0] == "RESOURCE_EXHAUSTED"


def quotas_can_change():
    c = json.loads(json.dumps(CONFIG))
    c["quotas"]["workspace"]["sandboxes"] = 1
    c["quotas"]["default_request"]["memory"] = "256Mi"
    g.write_config(c)
    g.hup()
    assert phase("a") == READY and used("default") == (3, 0.5, 1000)  # nobody is put out
    assert "3 of 1 are used" in code_of(lambda: create("e"))[1]
    g.write_config({"quotas": {"host": {"memory": "lots"}}})
    g.hup()
    assert "3 of 1 are used" in code_of(lambda: create("e"))[1]  # what was, stays
    g.write_config(CONFIG)
    g.hup()
    assert used("default") == (3, 2, 1000)


def config_check_judges_them():
    path = os.path.join(g.directory, "check.yaml")
    with open(path, "w", encoding="utf-8") as f:
        f.write("quotas:\n  workspaces:\n    a: {memry: 1Gi}\n")
    done = g.run("config", "check", path, check=False)
    assert done.returncode and "check.yaml:3:9: error: unknown key 'memry'" in done.stderr, done.stderr
    with open(path, "w", encoding="utf-8") as f:
        json.dump(CONFIG, f)
    assert g.run("config", "check", path).returncode == 0


def all_go():
    delete("a", "b", "d")
    delete("x", workspace="small")
    empty()


# ---- the queue ----

def it_waits_and_is_let_in():
    ready("a", "small")
    ready("b", "small")
    s = create("c", "small", queue="90s")
    assert s.status.phase == PROVISIONING
    c = condition(s, "Admitted")
    assert (c.status, c.reason) == ("False", "Queued")
    assert re.fullmatch(r"Place 1 of 1 in the queue, until 20[-0-9]*T[0-9:.]*Z: workspace 'small' is short of "
                        r"memory: 2Gi of 2Gi are used, and the sandbox asks for 1Gi \(the default of one "
                        r"without a limit of its own\)", c.message), c.message
    assert condition(s, "Ready").message == c.message and condition(s, "Ready").status == "False"
    assert used("small") == (2, 2, 1000)  # it is not counted
    m = usage(workspace="small")
    assert [(q.sandbox_name, q.place) for q in m.queue] == [("c", 1)] and m.workspaces[0].queued == 1
    assert 80_000 < m.queue[0].expires_at_ms - m.queue[0].queued_at_ms <= 90_000
    # Nobody passes it, though they would fit.
    code, text = code_of(lambda: create("tiny", "small", memory="0", cpu="0"))
    time.sleep(0.3)
    assert phase("c", "small") == PROVISIONING
    delete("a", workspace="small")
    until(lambda: phase("c", "small") == READY)
    assert condition(get("c", "small"), "Admitted") is None
    assert used("small") == (2, 2, 1000)


def who_comes_later_waits_behind():
    create("d", "small", queue="1m")
    create("e", "small", queue="60")
    code, text = code_of(lambda: create("f", "small", memory="1Mi"))
    assert code == "RESOURCE_EXHAUSTED"
    assert [q.sandbox_name for q in usage(workspace="small").queue] == ["d", "e"]
    assert "Place 2 of 2" in condition(get("e", "small"), "Admitted").message
    ready("other", "third")  # another workspace is not held up
    stop("b", "small")       # a stopped one makes room, too
    until(lambda: phase("d", "small") == READY)
    assert phase("e", "small") == PROVISIONING
    assert "Place 1 of 1" in condition(get("e", "small"), "Admitted").message
    delete("other", workspace="third")


def it_is_bounded():
    create("f", "small", queue="1m")
    create("g", "small", queue="1m")
    code, text = code_of(lambda: create("h", "small", queue="1m"))
    assert code == "RESOURCE_EXHAUSTED" and text.endswith("and no more than 3 may wait: try again later"), text
    for bad in ("soon", "-1s", "1.5h", "99999999999s"):
        assert code_of(lambda b=bad: create("h", "small", queue=b)) == (
            "INVALID_ARGUMENT", f"x-cove-queue '{bad}' is no duration such as 30s, 5m or 1h"), bad
    assert code_of(lambda: create("h", "small", queue="11m")) == (
        "INVALID_ARGUMENT", "x-cove-queue is at most 600s here (quotas.queue.max_wait_secs)")


def one_that_waits_can_be_deleted_or_stopped():
    delete("f", workspace="small")
    assert [q.sandbox_name for q in usage(workspace="small").queue] == ["e", "g"]
    s = g.stub.StopSandbox(pb.StopSandboxRequest(name="e", workspace="small")).sandbox
    assert s.status.phase == STOPPED
    assert [q.sandbox_name for q in usage(workspace="small").queue] == ["g"]
    assert used("small")[0] == 3, used("small")  # b, c, d: e was never let in
    code, text = code_of(lambda: start("e", "small"))
    assert code == "RESOURCE_EXHAUSTED", (code, text)
    delete("e", workspace="small")


def it_is_there_after_a_crash():
    start("b", "small", queue="5m")
    assert phase("b", "small") == STARTING
    before = [(q.sandbox_name, q.queued_at_ms, q.expires_at_ms) for q in usage(workspace="small").queue]
    assert [q[0] for q in before] == ["g", "b"]
    g.kill()
    g.start()
    until(lambda: phase("c", "small") == READY and phase("d", "small") == READY)
    after = [(q.sandbox_name, q.queued_at_ms, q.expires_at_ms) for q in usage(workspace="small").queue]
    assert after == before, (before, after)
    assert phase("g", "small") == PROVISIONING and phase("b", "small") == STARTING
    assert used("small") == (3, 2, 1000)
    delete("c", workspace="small")
    until(lambda: phase("g", "small") == READY)
    delete("d", workspace="small")
    until(lambda: phase("b", "small") == READY)


def a_time_that_is_over_is_told():
    begun = time.monotonic()
    create("late", "small", queue="1s")
    until(lambda: phase("late", "small") == ERROR)
    assert 0.9 < time.monotonic() - begun < 30
    s = get("late", "small")
    c = condition(s, "Ready")
    assert c.reason == "AdmissionTimedOut", c
    assert c.message.startswith("There was no room within 1 s: workspace 'small' is short of memory: 2Gi of "), c
    assert condition(s, "Admitted").status == "False"
    assert used("small") == (2, 2, 1000)  # it is still not counted ...
    stop("g", "small")
    start("late", "small")  # ... until it is let in
    until(lambda: phase("late", "small") == READY)
    assert used("small") == (3, 2, 1000) and condition(get("late", "small"), "Admitted") is None
    delete("late", workspace="small")
    # Over while no gateway ran.
    start("g", "small")
    until(lambda: phase("g", "small") == READY)
    create("late", "small", queue="1s")
    g.kill()
    time.sleep(1.2)
    g.start()
    until(lambda: phase("late", "small") == ERROR)
    assert condition(get("late", "small"), "Ready").reason == "AdmissionTimedOut"
    delete("late", workspace="small")


def a_reload_makes_room_or_ends_hope():
    create("next", "small", queue="1m")
    create("huge", "small", queue="1m", memory="1900Mi")
    c = json.loads(json.dumps(CONFIG))
    c["quotas"]["workspaces"]["small"] = {"memory": "1800Mi"}
    g.write_config(c)
    g.hup()
    until(lambda: phase("huge", "small") == ERROR)
    assert condition(get("huge", "small"), "Ready").reason == "QuotaExceeded"
    assert phase("next", "small") == PROVISIONING
    c["quotas"]["workspaces"]["small"] = {"memory": "3Gi"}
    g.write_config(c)
    g.hup()
    until(lambda: phase("next", "small") == READY)
    g.write_config(CONFIG)
    g.hup()
    delete("b", "g", "next", "huge", workspace="small")
    empty()


def followers_see_it():
    ready("a", "small", memory="1536Mi")
    s = create("b", "small", queue="60s", memory="1Gi")
    events = g.stub.WatchSandbox(pb.WatchSandboxRequest(id=s.metadata.id, follow_status=True), timeout=60)
    seen = []
    g.stub.DeleteSandbox(pb.DeleteSandboxRequest(name="a", workspace="small"))
    for e in events:
        if e.WhichOneof("payload") == "sandbox":
            seen.append(e.sandbox.status.phase)
            if seen[-1] == READY:
                break
    events.cancel()
    assert seen[0] == PROVISIONING and seen[-1] == READY, seen
    delete("b", workspace="small")


def what_never_got_in_does_not_pile_up():
    """It is not counted, so something else must bound it."""
    ready("a", "small", memory="2Gi")
    for i in range(64):
        create("n%d" % i, "small", queue="60s")
        g.stub.StopSandbox(pb.StopSandboxRequest(name="n%d" % i, workspace="small"))
    code, text = code_of(lambda: create("more", "small", queue="60s"))
    assert code == "RESOURCE_EXHAUSTED", code
    assert text.endswith("; and 64 that were never let in are still there: delete them first"), text
    assert used("small")[0] == 1
    delete("a", *("n%d" % i for i in range(64)), workspace="small")
    empty()


def one_workspace_cannot_keep_the_others_out_of_the_queue():
    c = json.loads(json.dumps(CONFIG))
    c["quotas"] = {"host": {"sandboxes": 1}, "queue": {"length": 5}}
    g.write_config(c)
    g.hup()
    ready("hold")
    for i in range(3):  # half of the places, rounded up
        create(f"n{i}", "small", queue="60s")
    code, text = code_of(lambda: create("n3", "small", queue="60s"))
    assert (code, text.rpartition("; ")[2]) == (
        "RESOURCE_EXHAUSTED", "and no more than 3 of one workspace may wait: try again later"), text
    for i in range(2):
        create(f"m{i}", "third", queue="60s")
    code, text = code_of(lambda: create("m2", "third", queue="60s"))
    assert text.endswith("and no more than 5 may wait: try again later"), text
    m = usage(all_workspaces=True)
    assert (m.queue_length, m.workspace_queue_length) == (5, 3)
    assert [(q.workspace, q.place) for q in m.queue] == [("small", 1), ("small", 2), ("small", 3), ("third", 4),
                                                         ("third", 5)]
    c["quotas"]["queue"] = {"length": 5, "workspace_length": 1}
    g.write_config(c)
    g.hup()  # who waits already goes on waiting
    until(lambda: usage(all_workspaces=True).workspace_queue_length == 1)
    assert len(usage(all_workspaces=True).queue) == 5
    delete("n0", workspace="small")
    assert code_of(lambda: create("n0", "small", queue="60s"))[0] == "RESOURCE_EXHAUSTED"
    create("one", queue="60s")
    c["quotas"]["queue"] = {"length": 5, "workspace_length": 6}
    g.write_config(c)
    g.hup()  # refused as a whole
    g.logged("workspace_length is at most")
    assert usage(all_workspaces=True).workspace_queue_length == 1
    delete("n1", "n2", workspace="small")
    delete("m0", "m1", workspace="third")
    delete("one")
    delete("hold")
    empty()
    g.write_config(CONFIG)
    g.hup()


def many_are_let_in_in_order():
    """None is forgotten when much room comes at once, and none comes too early."""
    c = json.loads(json.dumps(CONFIG))
    c["quotas"] = {"host": {"sandboxes": 1}, "queue": {"length": 40}}
    g.write_config(c)
    g.hup()
    ready("hold")
    names = ["n%02d" % i for i in range(20)]
    for i, n in enumerate(names):
        create(n, ("", "third")[i % 2], queue="120s")
    assert used()[0] == 1
    delete("hold")
    until(lambda: phase("n00") == READY)
    assert used()[0] == 1 and [q.sandbox_name for q in usage(all_workspaces=True).queue] == names[1:]
    g.write_config({})
    g.hup()
    until(lambda: all(phase(n, ("", "third")[i % 2]) == READY for i, n in enumerate(names)), 90)
    assert used()[0] == 20
    for i, n in enumerate(names):
        g.stub.DeleteSandbox(pb.DeleteSandboxRequest(name=n, workspace=("", "third")[i % 2]))
    empty()
    g.write_config(CONFIG)
    g.hup()


# ---- seen ----

def over_rest():
    ready("a", "small")
    status, body = g.get("/v1/usage?workspace=small")
    m = json.loads(body)
    assert status == 200 and m["queueLength"] == 3, body
    row = next(r for r in m["workspaces"][0]["resources"] if r["resource"] == "memory")
    assert (int(row["used"]), row["limited"], int(row["limit"])) == (GI, True, 2 * GI), row
    status, body = g.get("/v1/sandboxes", "-d", json.dumps(
        {"name": "b", "workspace": "small", "spec": {"command": ["sleep", "1000"], "template": {
            "resources": {"limits": {"memory": "1500Mi"}}}}}), "-H", "x-cove-queue: 30s", *JSON)
    assert status == 200, body
    assert json.loads(body)["sandbox"]["status"]["phase"] == "SANDBOX_PHASE_PROVISIONING", body
    status, body = g.get("/v1/sandboxes", "-d", json.dumps(
        {"name": "c", "workspace": "small", "spec": {"command": ["sleep", "1000"]}}), *JSON)
    assert status == 429 and "has room, but 1 waits for it already" in json.loads(body)["error"]["message"], body
    status, body = g.get("/v1/usage?workspace=nowhere")
    assert status == 404
    status, body = g.get("/v1/usage?workspace=small&allWorkspaces=true")
    assert status == 400


def in_numbers():
    text = g.get("/metrics")[1]
    for line in ('cove_gateway_host_used{resource="memory"} %d' % GI,
                 'cove_gateway_host_quota{resource="sandboxes"} 6',
                 'cove_gateway_workspace_used{workspace="small",resource="cpu"} 0.5',
                 'cove_gateway_workspace_quota{workspace="small",resource="memory"} %d' % (2 * GI),
                 "cove_gateway_admission_queue 1"):
        assert line + "\n" in text, (line, [t for t in text.splitlines() if "cove_gateway" in t])
    assert re.search(r'cove_gateway_admissions_total\{outcome="timed_out"\} 1\n', text), text
    assert re.search(r'cove_gateway_admissions_total\{outcome="refused"\} [1-9]', text)
    delete("a", "b", workspace="small")
    empty()
    assert 'cove_gateway_workspace_used{workspace="small",resource="cpu"} 0\n' in g.get("/metrics")[1]


def a_store_without_anything_is_unlimited():
    with gatewaylab.Gateway(tls=False) as other:
        m = rpclab.module("cove_pb2_grpc").CoveStub(other.channel()).GetUsage(cove_pb.GetUsageRequest())
        assert not any(r.limited for r in m.host.resources) and m.queue_length == 256


try:
    for f in (what_is_short_is_said, each_workspace_has_its_own, a_stopped_one_is_counted_as_a_sandbox_alone,
              one_that_ended_or_failed_is_counted_so_too, totals_are_the_same_after_a_crash,
              quotas_can_change, config_check_judges_them, all_go, it_waits_and_is_let_in,
              who_comes_later_waits_behind, it_is_bounded, one_that_waits_can_be_deleted_or_stopped,
              it_is_there_after_a_crash, a_time_that_is_over_is_told, a_reload_makes_room_or_ends_hope,
              followers_see_it, what_never_got_in_does_not_pile_up, one_workspace_cannot_keep_the_others_out_of_the_queue,
          many_are_let_in_in_order, over_rest, in_numbers,
              a_store_without_anything_is_unlimited):
        tap.check(f.__name__.replace("_", " "), f)
finally:
    if tap.failed:
        print("\n".join("# " + line for line in g.lines[-40:]))
    g.close()
tap.done()
