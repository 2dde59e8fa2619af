#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: sandboxes as clients see them: made, listed, watched, stopped, started, deleted; commands in
them with their input, output and ends; and a gateway that is killed in the middle of it.
Method: grpcio's stubs against a real cove-gateway and real sandboxes.  At the end nothing is left: no
process of ours, no directory."""
import contextlib
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import look  # noqa: E402
import world  # noqa: E402
world.enter_user_namespace()  # so that supervisors can be looked into; before grpc is there with its threads
import gatewaylab  # noqa: E402
from gatewaylab import code_of, until  # noqa: E402


tap = world.Tap()
g = gatewaylab.Gateway(tls=False)
pb = g.pb
sb = gatewaylab.rpclab.module("sandbox_pb2")
WAIT_S = 30
PROVISIONING, READY, ERROR, DELETING, STOPPED, STARTING = 1, 2, 3, 4, 7, 8


# ---- helpers ----

def create(name="", command=("sleep", "100000"), **kw):
    request = {k: kw.pop(k) for k in ("labels", "annotations", "workspace") if k in kw}
    return g.stub.CreateSandbox(pb.CreateSandboxRequest(
        name=name, spec=pb.SandboxSpec(command=list(command), **kw), **request)).sandbox


def get(name):
    return g.stub.GetSandbox(pb.GetSandboxRequest(name=name)).sandbox


def phase(name):
    return get(name).status.phase


def ready(name="", **kw):
    s = create(name, **kw)
    until(lambda: phase(s.metadata.name) == READY)
    return s


def is_gone(name):
    return code_of(lambda: get(name))[0] == "NOT_FOUND"


def delete(name):
    assert g.stub.DeleteSandbox(pb.DeleteSandboxRequest(name=name)).deleted
    until(lambda: is_gone(name))


def run(sandbox, *command, **kw):
    """(exit code, stdout, stderr) of a command."""
    request = pb.ExecSandboxRequest(sandbox_id=sandbox.metadata.id, command=command, **kw)
    return ended(g.stub.ExecSandbox(request, timeout=60))


def ended(events):
    out, err, code = [], [], None
    for e in events:
        kind = e.WhichOneof("payload")
        assert code is None, "something after the exit"
        if kind == "stdout":
            out.append(e.stdout.data)
        elif kind == "stderr":
            err.append(e.stderr.data)
        else:
            code = e.exit.exit_code
    return code, b"".join(out), b"".join(err)


def supervisors(state):
    """Processes of ours that belong to this gateway's sandboxes."""
    mine = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/comm") as f:
                is_ours = f.read().startswith("cove-supervisor")
            files = look.paths(int(pid)) if is_ours else {}
            if any(files.get(n, "").startswith(state) for n in (1, 2)):
                mine.append(int(pid))
        except (OSError, look.Unavailable):  # gone, or from outside of our user namespace
            continue
    return mine


def memory():
    with open(f"/proc/{g.process.pid}/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def command_lines():
    lines = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                lines.append(f.read())
        except OSError:
            continue
    return lines


def check(f):
    tap.check(f.__name__.replace("_", " "), f)


# ---- life ----

def a_sandbox_is_made_and_used_and_removed():
    s = create("one", labels={"team": "a"}, annotations={"note": "b c"})
    assert s.status.phase == PROVISIONING and s.metadata.labels["team"] == "a"
    assert s.metadata.annotations["note"] == "b c" and s.metadata.workspace == "default"
    until(lambda: phase("one") == READY)
    c = get("one").status.conditions[0]
    assert (c.type, c.status, c.reason, c.message) == (
        "Ready", "True", "DependenciesReady", "Supervisor session connected")
    assert run(s, "sh", "-c", "pwd; echo x >f; echo bad >&2; exit 7") == (7, b"/sandbox\n", b"bad\n")
    delete("one")
    assert not os.path.exists(os.path.join(g.state, "sandboxes", s.metadata.id))


def its_host_name_is_its_name():
    """With the prefix that scripts cut off: `hostname | sed 's/^sandbox-//'`; a long name has no room for it."""
    ask = "hostname; cat /etc/hostname; getent hosts $(hostname) | tr -s ' '"
    for name, told in (("sandbox-x", "sandbox-sandbox-x"), ("n" * 56, "sandbox-" + "n" * 56), ("n" * 57, "n" * 57)):
        code, out, _ = run(ready(name), "sh", "-c", ask)
        assert (code, out.decode()) == (0, f"{told}\n{told}\n127.0.1.1 {told}\n"), out
        delete(name)


def a_name_or_an_id_will_do():
    s = ready("two")
    assert get(s.metadata.id).metadata.name == "two"
    by_name = g.stub.ExecSandbox(pb.ExecSandboxRequest(sandbox_id="two", command=["true"]), timeout=20)
    assert ended(by_name) == (0, b"", b"")
    delete("two")


def a_name_is_made_when_none_is_given():
    names = [create().metadata.name for _ in range(3)]
    assert len(set(names)) == 3 and all(n and len(n) <= 19 for n in names)
    for n in names:
        delete(n)


def an_empty_command_is_a_shell():
    s = create("shell", command=())
    assert list(s.spec.command) == ["/bin/bash", "-l"] and s.spec.tty
    until(lambda: phase("shell") == READY)
    time.sleep(0.3)
    assert phase("shell") == READY
    delete("shell")


def a_name_is_taken_once():
    create("taken")
    assert code_of(lambda: create("taken")) == ("ALREADY_EXISTS", "sandbox 'taken' already exists")
    delete("taken")
    assert code_of(lambda: g.stub.DeleteSandbox(pb.DeleteSandboxRequest(name="taken"))) == (
        "NOT_FOUND", "sandbox not found")


def what_can_not_be_is_refused_by_name_of_the_field():
    def refused(word, name="", **kw):
        code, said = code_of(lambda: create(name, **kw))
        assert code == "INVALID_ARGUMENT" and word in str(said), (word, code, said)

    refused("name", "Upper")
    refused("name", "a--b")
    refused("spec.environment", environment={"1A": "x"})
    refused("spec.environment", environment={"OPENSHELL_X": "x"})
    refused("spec.environment", environment={"A": "x\ny"})
    refused("spec.environment", environment={"A%d" % i: "" for i in range(129)})
    refused("spec.command", command=["x"] * 257)
    refused("spec.command", command=[""])
    refused("spec.log_level", log_level="x" * 33)
    refused("labels", labels={"-bad": "x"})
    refused("template.image", template=pb.SandboxTemplate(image="x" * 1025))
    template = pb.SandboxTemplate()
    template.resources.update({"limits": {"memory": "lots"}})
    refused("template.resources.limits.memory", template=template)
    for limits in ({"cpu": "0"}, {"memory": 0}):
        template.resources.update({"limits": limits})
        refused("must be greater than 0", template=template)
        template.resources.Clear()
    template.resources.update({"limits": "1"})
    refused("template.resources.limits must be an object", template=template)
    for own, said in ((7, "cove must be an object"), ({"pids": True}, "cove.pids: neither"), ({"pids": []}, "cove.pids: neither"),
                      ({"pids": 10, "bogus": 1}, "cove has no key 'bogus'"), ({"Pids": 10}, "cove has no key 'Pids'")):
        template = pb.SandboxTemplate()
        template.driver_config.update({"cove": own, "other": "theirs"})
        refused("template.driver_config." + said, template=template)
    refused("gpu.count", resource_requirements=pb.ResourceRequirements(
        gpu=pb.GpuResourceRequirements(count=0)))
    code, said = code_of(lambda: g.stub.CreateSandbox(pb.CreateSandboxRequest(name="x")))
    assert (code, said) == ("INVALID_ARGUMENT", "spec is required")
    assert not g.stub.ListSandboxes(pb.ListSandboxesRequest()).sandboxes


def an_unknown_image_is_a_condition():
    create("img", template=pb.SandboxTemplate(image="example.test/x:1"))
    until(lambda: phase("img") == ERROR)
    c = get("img").status.conditions[0]
    assert c.reason == "ImageUnavailable" and "example.test/x:1" in c.message
    delete("img")


def lists_have_labels_and_pages():
    for i in range(5):
        create(f"l{i}", labels={"n": str(i % 2)})

    def names(**kw):
        return [s.metadata.name for s in
                g.stub.ListSandboxes(pb.ListSandboxesRequest(**kw)).sandboxes]

    assert names() == ["l0", "l1", "l2", "l3", "l4"]
    assert names(limit=2, offset=1) == ["l1", "l2"]
    assert names(label_selector="n=1") == ["l1", "l3"]
    assert code_of(lambda: names(label_selector="==="))[0] == "INVALID_ARGUMENT"
    assert names(all_workspaces=True) == names()
    for i in range(5):
        delete(f"l{i}")


def a_command_that_ends_is_an_error_and_may_be_started_again():
    create("ends", command=["sh", "-c", "echo x >>runs; exit 4"])
    until(lambda: phase("ends") == ERROR)
    st = get("ends").status
    assert st.exit_code == 4 and st.conditions[0].reason == "MainProcessExited", st
    assert code_of(lambda: g.stub.StopSandbox(pb.StopSandboxRequest(name="ends"))) == (
        "FAILED_PRECONDITION", "sandbox must be Ready to stop (current phase: Error)")
    g.stub.StartSandbox(pb.StartSandboxRequest(name="ends"))
    until(lambda: phase("ends") == ERROR)
    with open(os.path.join(g.state, "sandboxes", get("ends").metadata.id, "workspace/runs")) as f:
        assert f.read() == "x\nx\n"
    delete("ends")


def stop_and_start_keep_the_workspace():
    s = ready("keeps")
    assert run(s, "sh", "-c", "echo kept >file") == (0, b"", b"")
    assert g.stub.StopSandbox(pb.StopSandboxRequest(name="keeps")).sandbox.status.phase in (6, 7)
    until(lambda: phase("keeps") == STOPPED)
    assert not supervisors(g.state)
    assert code_of(lambda: run(s, "true")) == ("FAILED_PRECONDITION", "sandbox is not ready")
    g.stub.StopSandbox(pb.StopSandboxRequest(name="keeps"))
    assert g.stub.StartSandbox(
        pb.StartSandboxRequest(name="keeps")).sandbox.status.phase in (READY, STARTING)
    until(lambda: phase("keeps") == READY)
    assert run(s, "cat", "file") == (0, b"kept\n", b"")
    delete("keeps")


def a_killed_supervisor_is_an_error():
    ready("dies")
    pid, = until(lambda: len(found := supervisors(g.state)) == 1 and found)  # a former one may be ending
    os.kill(pid, 9)
    until(lambda: phase("dies") == ERROR)
    assert get("dies").status.conditions[0].reason == "SupervisorExited"
    delete("dies")


def a_full_workspace_goes_too():
    s = ready("full")
    code, _, _ = run(s, "sh", "-c", "for i in $(seq 200); do mkdir d$i; echo x >d$i/f; done; "
                     "ln -s /etc link; mkdir closed; touch closed/x; chmod 0 closed")
    assert code == 0
    delete("full")
    until(lambda: not os.listdir(os.path.join(g.state, "sandboxes")))
    assert os.path.exists("/etc/passwd")


# ---- followers ----

def a_follower_sees_it_become_ready():
    s = create("seen")
    phases, reasons = [], []
    for e in g.stub.WatchSandbox(pb.WatchSandboxRequest(
            id=s.metadata.id, follow_status=True, follow_events=True, event_tail=50,
            stop_on_terminal=True), timeout=WAIT_S):
        if e.WhichOneof("payload") == "sandbox":
            phases.append(e.sandbox.status.phase)
        elif e.WhichOneof("payload") == "event":
            reasons.append(e.event.metadata["openshell.progress.complete_step"])
    assert s.status.phase == PROVISIONING and phases[-1] == READY, phases
    assert set(phases) <= {PROVISIONING, READY}, phases  # it may be there before its follower is
    assert "requesting_sandbox" in reasons and "starting_sandbox" in reasons, reasons
    delete("seen")


def a_follower_is_let_go_when_the_sandbox_goes():
    s = ready("followed")
    seen = []
    stream = g.stub.WatchSandbox(pb.WatchSandboxRequest(id="followed", follow_status=True), timeout=WAIT_S)
    t = threading.Thread(target=lambda: seen.extend(e.sandbox.status.phase for e in stream))
    t.start()
    until(lambda: seen)
    delete("followed")
    t.join(WAIT_S)
    assert not t.is_alive() and seen[0] == READY and seen[-1] == DELETING, seen
    assert code_of(lambda: list(g.stub.WatchSandbox(pb.WatchSandboxRequest(id=s.metadata.id)))) == (
        "NOT_FOUND", "sandbox not found")


def a_follower_sees_what_changes_of_its_record():
    """Once each: a revision that is not loaded yet is none of it, nor one that is pushed again."""
    g.stub.CreateProvider(pb.CreateProviderRequest(
        provider={"metadata": {"name": "noted"}, "type": "generic", "credentials": {"KEY": "v"}}))
    s = ready("noted")
    seen = []
    stream = g.stub.WatchSandbox(pb.WatchSandboxRequest(id=s.metadata.id, follow_status=True), timeout=2 * WAIT_S)
    t = threading.Thread(target=lambda: seen.extend(e.sandbox for e in stream))
    t.start()
    until(lambda: seen and (seen[-1].status.phase, seen[-1].status.current_policy_version) == (READY, 1))

    def after(call):
        n = len(seen)
        call()
        until(lambda: len(seen) > n)
        time.sleep(0.5)  # for what should not come
        return seen[n:]

    def update(**kw):
        return g.stub.UpdateConfig(pb.UpdateConfigRequest(name="noted", **kw))

    def rule(host):
        return sb.NetworkPolicyRule(endpoints=[{"host": host, "port": 443}], binaries=[{"path": "/usr/bin/curl"}])

    def told(came):
        return [(list(x.spec.providers), x.status.current_policy_version, dict(x.metadata.annotations)) for x in came]

    version = seen[-1].metadata.resource_version
    came = after(lambda: g.stub.AttachSandboxProvider(pb.AttachSandboxProviderRequest(
        sandbox_name="noted", provider_name="noted")))
    assert told(came) == [(["noted"], 1, {})] and came[0].metadata.resource_version == version + 1, came
    policy = sb.SandboxPolicy(version=1, network_policies={"a": rule("a.test")})
    assert told(after(lambda: update(policy=policy))) == [(["noted"], 2, {})], seen
    assert told(after(lambda: update(annotations={"k": "v"}, merge_operations=[
        {"add_rule": {"rule_name": "b", "rule": rule("b.test")}}]))) == [
            (["noted"], 2, {"k": "v"}), (["noted"], 3, {"k": "v"})], seen
    assert told(after(lambda: g.stub.DetachSandboxProvider(pb.DetachSandboxProviderRequest(
        sandbox_name="noted", provider_name="noted")))) == [([], 3, {"k": "v"})], seen
    delete("noted")
    t.join(WAIT_S)
    g.stub.DeleteProvider(pb.DeleteProviderRequest(name="noted"))


# ---- commands ----

def commands_have_all_that_they_were_given():
    s = ready("cmd", environment={"A": "sandbox", "B": "kept"})
    assert run(s, "sh", "-c", "echo $A $B $PWD", environment={"A": "own"}, workdir="/tmp") == (
        0, b"own kept /tmp\n", b"")
    assert run(s, "cat", stdin=b"given\0bytes") == (0, b"given\0bytes", b"")
    assert run(s, "cat") == (0, b"", b"")
    assert run(s, "printf", "%s|", "a b", "c\nd", "") == (0, b"a b|c\nd||", b"")
    assert run(s, "no-such-program")[0] == 127
    assert run(s, "/etc/hostname")[0] == 126
    assert run(s, "sh", "-c", "kill -9 $$")[0] == 137
    delete("cmd")


def a_command_ends_with_what_it_left_in_the_background():
    s = ready("back")
    begun = time.monotonic()
    assert run(s, "sh", "-c", "sleep 1000 & echo out") == (0, b"out\n", b"")
    assert time.monotonic() - begun < 20
    delete("back")


def too_long_is_124():
    s = ready("long")
    begun = time.monotonic()
    assert run(s, "sleep", "1000", timeout_seconds=1)[0] == 124
    assert run(s, "sh", "-c", "trap '' TERM; while :; do sleep 1; done", timeout_seconds=1)[0] == 124
    assert time.monotonic() - begun < 40
    delete("long")


def much_output_comes_whole():
    s = ready("much")
    code, out, _ = run(s, "sh", "-c", "head -c 50000000 /dev/zero | tr '\\0' x")
    assert code == 0 and len(out) == 50000000 and out.count(b"x") == len(out)
    delete("much")


def a_slow_reader_slows_the_command():
    s = ready("slow")
    before = memory()
    stream = g.stub.ExecSandbox(pb.ExecSandboxRequest(
        sandbox_id=s.metadata.id, command=["sh", "-c", "head -c 30000000 /dev/zero; echo over >done"]))
    first = next(stream)
    time.sleep(1)
    done = os.path.join(g.state, "sandboxes", s.metadata.id, "workspace/done")
    assert not os.path.exists(done), "thirty megabytes were taken from it by nobody"
    assert memory() - before < 20 << 20, "it is kept by the gateway"
    code, out, _ = ended(stream)
    assert code == 0 and len(first.stdout.data) + len(out) == 30000000
    delete("slow")


def a_cancelled_command_is_ended():
    s = ready("cancel")
    stream = g.stub.ExecSandbox(pb.ExecSandboxRequest(
        sandbox_id=s.metadata.id, command=["sh", "-c", "echo up; exec sleep 54321"]))
    assert next(stream).stdout.data == b"up\n"
    stream.cancel()
    until(lambda: b"sleep\0" + b"54321\0" not in command_lines())
    delete("cancel")


def interactive_input_is_streamed():
    s = ready("inter")
    go = threading.Semaphore(0)

    def words():
        yield pb.ExecSandboxInput(start=pb.ExecSandboxRequest(
            sandbox_id=s.metadata.id, command=["cat"]))
        for i in range(5):
            go.acquire()
            yield pb.ExecSandboxInput(stdin=b"line%d\n" % i)
        go.acquire()

    stream = g.stub.ExecSandboxInteractive(words(), timeout=30)
    for i in range(5):
        go.release()
        assert next(stream).stdout.data == b"line%d\n" % i
    go.release()
    assert ended(stream) == (0, b"", b"")
    delete("inter")


def a_large_input_comes_whole():
    s = ready("input")

    def words():
        yield pb.ExecSandboxInput(start=pb.ExecSandboxRequest(
            sandbox_id=s.metadata.id, command=["sh", "-c", "sleep 0.5; wc -c"]))
        for _ in range(100):
            yield pb.ExecSandboxInput(stdin=b"x" * 200000)

    assert ended(g.stub.ExecSandboxInteractive(words(), timeout=60)) == (0, b"20000000\n", b"")
    delete("input")


def a_workspace_that_is_being_deleted_lets_go():
    """Nothing new is made in it, and all that holds it can be taken away."""
    g.stub.CreateWorkspace(pb.CreateWorkspaceRequest(name="going"))
    g.stub.CreateProvider(pb.CreateProviderRequest(workspace="going", provider={
        "metadata": {"name": "prov"}, "type": "generic", "credentials": {"KEY": "value-0123456789"}}))
    g.stub.ImportProviderProfiles(pb.ImportProviderProfilesRequest(workspace="going", profiles=[
        pb.ProviderProfileImportItem(source="test", profile=pb.ProviderProfile(
            id="mine", display_name="mine", category=1))]))
    s = create("held", ["sleep", "1000"], workspace="going", providers=["prov"])
    g.stub.ExposeService(pb.ExposeServiceRequest(workspace="going", sandbox="held", service="web", target_port=80))
    assert g.stub.DeleteWorkspace(pb.DeleteWorkspaceRequest(name="going")).deleted
    assert g.stub.GetWorkspace(pb.GetWorkspaceRequest(name="going")).workspace.status.phase == 2
    refused = ("FAILED_PRECONDITION", "workspace 'going' is being deleted")
    assert code_of(lambda: create("more", ["true"], workspace="going")) == refused
    assert code_of(lambda: g.stub.AttachSandboxProvider(pb.AttachSandboxProviderRequest(
        workspace="going", sandbox_name="held", provider_name="prov"))) == refused
    assert g.stub.DetachSandboxProvider(pb.DetachSandboxProviderRequest(
        workspace="going", sandbox_name="held", provider_name="prov")).detached
    assert g.stub.DeleteProvider(pb.DeleteProviderRequest(workspace="going", name="prov")).deleted
    assert g.stub.DeleteProviderProfile(pb.DeleteProviderProfileRequest(workspace="going", id="mine")).deleted
    assert g.stub.DeleteService(pb.DeleteServiceRequest(workspace="going", sandbox="held", service="web")).deleted
    g.stub.DeleteSandbox(pb.DeleteSandboxRequest(workspace="going", name="held"))
    until(lambda: code_of(lambda: g.stub.GetWorkspace(pb.GetWorkspaceRequest(name="going")))[0] == "NOT_FOUND")
    assert code_of(lambda: g.stub.GetSandbox(pb.GetSandboxRequest(name=s.metadata.id)))[0] == "NOT_FOUND"


def a_terminal_is_one_and_can_be_resized():
    s = ready("term")
    go = threading.Semaphore(0)

    def words():
        yield pb.ExecSandboxInput(start=pb.ExecSandboxRequest(
            sandbox_id=s.metadata.id, tty=True, cols=100, rows=30,
            command=["sh", "-c", "tty; stty size; read x; stty size; echo got $x"]))
        go.acquire()
        yield pb.ExecSandboxInput(resize=pb.ExecSandboxWindowResize(cols=50, rows=20))
        yield pb.ExecSandboxInput(stdin=b"word\n")
        go.acquire()

    stream = g.stub.ExecSandboxInteractive(words(), timeout=30)
    out, code = b"", None
    for e in stream:
        if e.WhichOneof("payload") == "exit":
            code = e.exit.exit_code
            go.release()
            continue
        out += e.stdout.data
        if b"30 100" in out and b"word" not in out:
            go.release()
    assert code == 0 and b"/dev/pts/" in out and b"20 50" in out and b"got word" in out, out

    def at_once():  # before there is a terminal
        yield pb.ExecSandboxInput(start=pb.ExecSandboxRequest(
            sandbox_id=s.metadata.id, tty=True, cols=100, rows=30, command=["sh", "-c", "sleep 0.5; stty size"]))
        yield pb.ExecSandboxInput(resize=pb.ExecSandboxWindowResize(cols=50, rows=20))
    assert ended(g.stub.ExecSandboxInteractive(at_once(), timeout=30)) == (0, b"20 50\r\n", b"")
    delete("term")


def what_is_no_command_is_refused():
    s = ready("bad")

    def refused(code, word, **kw):
        kw.setdefault("sandbox_id", s.metadata.id)
        got, said = code_of(lambda: list(g.stub.ExecSandbox(pb.ExecSandboxRequest(**kw), timeout=20)))
        assert got == code and word in str(said), (got, said)

    refused("INVALID_ARGUMENT", "sandbox_id", sandbox_id="", command=["true"])
    refused("INVALID_ARGUMENT", "command")
    refused("INVALID_ARGUMENT", "command", command=["x"] * 1025)
    refused("INVALID_ARGUMENT", "workdir", command=["true"], workdir="/a\nb")
    refused("INVALID_ARGUMENT", "environment", command=["true"], environment={"A-B": "x"})
    refused("NOT_FOUND", "sandbox not found", sandbox_id="nobody", command=["true"])
    got, said = code_of(lambda: list(g.stub.ExecSandboxInteractive(
        iter([pb.ExecSandboxInput(stdin=b"x")]), timeout=20)))
    assert got == "INVALID_ARGUMENT" and "start" in said
    delete("bad")


def ports_of_the_sandbox_are_reached():
    s = ready("port", command=["python3", "-c",
              "import socketserver as s\n"
              "class H(s.StreamRequestHandler):\n"
              "  def handle(self):\n"
              "    for l in self.rfile: self.wfile.write(b'echo '+l)\n"
              "s.ThreadingTCPServer(('127.0.0.1', 8123), H).serve_forever()"])
    def frames(port, go, host="127.0.0.1"):
        yield pb.TcpForwardFrame(init=pb.TcpForwardInit(
            sandbox_id=s.metadata.id, tcp=pb.TcpRelayTarget(host=host, port=port)))
        yield pb.TcpForwardFrame(data=b"one\n")
        go.wait()
        yield pb.TcpForwardFrame(data=b"two\n")

    def whole():
        go = threading.Event()
        stream = g.stub.ForwardTcp(frames(8123, go), timeout=20)
        try:
            got = next(stream).data
        finally:
            go.set()
        return (got + b"".join(f.data for f in stream)) == b"echo one\necho two\n"

    until(lambda: code_of(whole) == ("OK", True), 10)
    for host, port, code in (("127.0.0.1", 8124, "UNAVAILABLE"), ("192.0.2.1", 80, "INVALID_ARGUMENT"),
                             ("127.0.0.1", 0, "INVALID_ARGUMENT")):
        go = threading.Event()
        go.set()
        got, said = code_of(lambda: list(g.stub.ForwardTcp(frames(port, go, host), timeout=20)))
        assert got == code, (host, port, got, said)
    delete("port")


# ---- a gateway that goes ----

def a_killed_gateway_finds_its_sandboxes_again():
    s, t = ready("stays"), ready("goes")
    e = create("failed", command=["sh", "-c", "exit 3"])
    until(lambda: phase("failed") == ERROR)
    before = sorted(supervisors(g.state))
    assert run(s, "sh", "-c", "echo here >file")[0] == 0
    g.stub.StopSandbox(pb.StopSandboxRequest(name="goes"))
    until(lambda: phase("goes") == STOPPED)
    g.kill()
    until(lambda: len(supervisors(g.state)) == 1)
    assert set(supervisors(g.state)) < set(before)
    g.start()
    assert run(s, "cat", "file") == (0, b"here\n", b"") # waits for the supervisor to dial
    assert phase("stays") == READY and phase("goes") == STOPPED
    assert get("failed").status.exit_code == 3 and get("failed").status.phase == ERROR
    assert get("stays").metadata.id == s.metadata.id
    for name in ("stays", "goes", "failed"):
        delete(name)
    assert t and e


def what_ended_meanwhile_is_told():
    s = ready("told", command=["sh", "-c", "while ! [ -e stop ]; do sleep 0.1; done; exit 9"])
    workspace = os.path.join(g.state, "sandboxes", s.metadata.id, "workspace")
    g.kill()
    open(os.path.join(workspace, "stop"), "w").close()
    time.sleep(0.5)
    g.start()
    until(lambda: phase("told") == ERROR)
    assert get("told").status.exit_code == 9, get("told").status
    delete("told")


def what_was_killed_with_it_is_started_again():
    ready("again")
    g.kill()
    for pid in supervisors(g.state):
        with contextlib.suppress(ProcessLookupError):  # one of before that was ending
            os.kill(pid, 9)
    until(lambda: not supervisors(g.state))
    g.start()
    until(lambda: phase("again") == READY)
    delete("again")


def a_deletion_is_carried_on():
    for i in range(5):
        ready(f"d{i}")
    for i in range(5):
        g.stub.DeleteSandbox(pb.DeleteSandboxRequest(name=f"d{i}"))
    g.kill()
    g.start()
    until(lambda: not g.stub.ListSandboxes(pb.ListSandboxesRequest()).sandboxes)
    until(lambda: not supervisors(g.state))


def many_are_made_and_removed():
    names = [create(f"m{i}").metadata.name for i in range(100)]
    until(lambda: all(s.status.phase == READY for s in
                      g.stub.ListSandboxes(pb.ListSandboxesRequest(limit=1000)).sandboxes), 120)
    for n in names[::10]:
        assert run(get(n), "echo", n) == (0, n.encode() + b"\n", b"")
    for n in names:
        g.stub.DeleteSandbox(pb.DeleteSandboxRequest(name=n))
    until(lambda: not g.stub.ListSandboxes(pb.ListSandboxesRequest()).sandboxes, 120)


def nothing_is_left_behind():
    until(lambda: not supervisors(g.state))
    until(lambda: not os.listdir(os.path.join(g.state, "sandboxes")))
    fds = look.descriptor_count(g.process.pid)
    assert fds < 40, fds
    assert g.stop() == 0


CHECKS = [f for f in list(globals().values()) if callable(f) and getattr(f, "__module__", "") == "__main__"
          and f.__name__ not in ("create", "get", "phase", "until", "ready", "is_gone", "delete", "run",
                                 "ended", "supervisors", "command_lines", "memory",
                                 "check")]
chosen = sys.argv[1:]
try:
    for f in CHECKS:
        if not chosen or any(w in f.__name__ for w in chosen):
            check(f)
finally:
    if tap.failed:
        print("\n".join("# " + line for line in g.lines[-40:]))
    g.close()
tap.done()
