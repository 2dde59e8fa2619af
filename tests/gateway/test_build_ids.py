#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: what container builds of a gateway's sandboxes leave belongs to other ids of its user, and goes with
the sandbox like everything else: when it is deleted while a build runs, after its broker was killed, and after
its supervisor and broker were killed at once, so that nobody but the gateway was left to remove it.
Method: a real gateway of a user with a range of ids in /etc/subuid, real builds with chown, and a look at
the gateway's directory by that user's own eyes."""
import json
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import buildlab  # noqa: E402
import world  # noqa: E402

tap = world.Tap()
USER = buildlab.user_with_ids()
if USER is None:
    tap.skip("builds of other ids", "unavailable: nobody has ids in /etc/subuid and /etc/subgid, or no newuidmap")
    tap.done()
if os.geteuid() != USER.pw_uid:
    os.execvpe("setpriv", [*buildlab.words_of(USER), sys.executable, *sys.argv], {**os.environ, "HOME": "/nonexistent"})
buildlab.needed(tap)
import gatewaylab  # noqa: E402
import rpclab  # noqa: E402
from gatewaylab import until  # noqa: E402

sandbox_pb = rpclab.module("sandbox_pb2")
READY, ERROR = 2, 3
CATALOG = f"""\
version: 1
tools:
  build_container:
    description: Builds a container image of files of the sandbox.
    build: {{engine: {buildlab.ENGINE}, image_bytes: 60MiB, context_bytes: 10MiB}}
    limits: {{seconds: 100}}
"""
MARK = f"7{os.getpid()}"
CONTEXT = """\
mkdir -p /sandbox/ctx; cd /sandbox/ctx; cp "$(command -v busybox)" .; cat >Containerfile <<'END'
FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "sh", "-c", "cd /; /bin/busybox mkdir d; /bin/busybox touch d/f; \
/bin/busybox chown -R 7:8 d; /bin/busybox chmod 700 d"]
%s
END
"""
LONG = f'RUN ["/bin/busybox", "sleep", "{MARK}"]'
g = gatewaylab.Gateway(tls=False, start=False)
pb = g.pb
with open(g.directory + "/tools.yaml", "w", encoding="ascii") as f:
    f.write(CATALOG)
g.write_config({"tools": {"catalogs": [g.directory + "/tools.yaml"]}})
g.start()


def run(box, script):
    said = gatewaylab.said(g.stub.ExecSandbox(
        pb.ExecSandboxRequest(sandbox_id=box.metadata.id, command=["/bin/sh", "-c", script]), timeout=150))
    return said.code, said.out.decode("utf-8", "replace")


def get(name):
    return g.stub.GetSandbox(pb.GetSandboxRequest(name=name)).sandbox


def sandbox(name, last=""):
    g.stub.CreateSandbox(pb.CreateSandboxRequest(name=name, spec=pb.SandboxSpec(
        command=["/bin/sleep", "100000"], policy=sandbox_pb.SandboxPolicy(
            version=1, tools=json.dumps({"all": {"tools": ["*"]}})))))
    until(lambda: get(name).status.phase in (READY, ERROR))
    box = get(name)
    assert box.status.phase == READY, box.status
    assert run(box, CONTEXT % last)[0] == 0
    return box


def build(box, more=""):
    _, out = run(box, buildlab.HEAD + f"cd /sandbox; call build_container "
                 f"'{{\"tag\":\"a\",\"context_dir\":\"/sandbox/ctx\"}}'{more}")
    return out


def build_begin(box):
    run(box, "cd /sandbox; setsid -f /bin/sh -c " + "'" + (buildlab.HEAD + (
        'call build_container "{\\"tag\\":\\"a\\",\\"context_dir\\":\\"/sandbox/ctx\\"}"')).replace("'", "'\\''") +
        "' >/sandbox/answer 2>&1 </dev/null")
    try:
        until(is_building, 60)
    except AssertionError:
        raise AssertionError(run(box, "cat /sandbox/answer")) from None


def is_building():
    return subprocess.run(["pgrep", "-f", f"busybox sleep {MARK}"], capture_output=True, check=False).returncode == 0


def strangers():
    """Files of other ids below the gateway's directory; a directory that is closed to us counts."""
    return subprocess.run(["find", g.directory, "-not", "-user", str(USER.pw_uid), "-ls"], capture_output=True,
                          text=True, check=False).stdout


def delete(name):
    g.stub.DeleteSandbox(pb.DeleteSandboxRequest(name=name))
    until(lambda: not left() and not strangers(), 40)


def left():
    base = g.state + "/sandboxes"
    return [n for n in os.listdir(base) if n.startswith(".removed") or len(n) > 30]


def ours(box):
    """{name: pid} of the sandbox's supervisor and broker."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/comm", encoding="ascii") as f:
                name = f.read().strip()
            with open(f"/proc/{pid}/stat", encoding="ascii") as f:
                parent = int(f.read().rpartition(")")[2].split()[1])
        except OSError:
            continue
        found[int(pid)] = (name, parent)
    sups = {p for p, (name, parent) in found.items() if name == "cove-supervisor" and parent == g.process.pid}
    return sups, {p for p, (name, parent) in found.items() if name == "cove-broker" and parent in sups}


def after_a_build():
    box = sandbox("one")
    answer = json.loads(build(box).splitlines()[0])
    assert answer.get("output", {}).get("status") == "success", answer
    assert strangers(), "the build made no file of another id, so this test shows nothing"
    delete("one")


def while_it_runs():
    build_begin(sandbox("two", LONG))
    delete("two")
    assert not is_building()


def p16_nobody_is_left():
    box = sandbox("three", LONG)
    build_begin(box)
    sups, brokers = ours(box)
    assert len(sups) == len(brokers) == 1, (sups, brokers)
    for pid in sups | brokers:
        os.kill(pid, signal.SIGKILL)
    until(lambda: not is_building(), 20)
    assert strangers()
    delete("three")


tap.check("B4 what a build made goes with the sandbox", after_a_build)
tap.check("B4 also when it is deleted in the middle of one", while_it_runs)
tap.check("P16 and when supervisor and broker were killed in the middle of one", p16_nobody_is_left)
end = time.monotonic() + 5
while strangers() and time.monotonic() < end:
    time.sleep(0.1)
if strangers():  # of a test that failed
    subprocess.run(["unshare", "--map-auto", "-Ur", "rm", "-rf", g.state + "/sandboxes"], check=False)
g.close()
tap.done()
