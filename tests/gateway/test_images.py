#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: a directory is an image: sandboxes of it have its files and change none of them, get the shell that it has,
and stand without one; what is no image is refused by name, and who runs a command hears why it ended.
Method: root file systems of one static busybox; clients over gRPC and the command line."""
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import clientlab  # noqa: E402
import gatewaylab  # noqa: E402
import world  # noqa: E402
from gatewaylab import until  # noqa: E402

BUSYBOX = "/bin/busybox"
tap = world.Tap()
w = world.World(["unused.test"])


def image(name, *applets, links=(), files=()):
    """A directory with busybox in /bin under the names of these applets."""
    root = os.path.join(w.dir, name)
    for sub in ("bin", "etc/openshell", "tmp"):
        os.makedirs(os.path.join(root, sub))
    shutil.copy(BUSYBOX, os.path.join(root, "bin/busybox"))
    for to, at in [*(("busybox", f"bin/{a}") for a in applets), *links]:
        os.makedirs(os.path.dirname(os.path.join(root, at)), exist_ok=True)
        os.symlink(to, os.path.join(root, at))
    for at, text in files:
        with open(os.path.join(root, at), "w", encoding="utf-8") as f:
            f.write(text)
    for directory, _, names in os.walk(root):
        for path in (directory, *(os.path.join(directory, n) for n in names)):
            if not os.path.islink(path):
                os.chmod(path, 0o755)
    return root


IMAGES = {
    "small": image("small", "sh", "cat", "ls", "sleep", files=[("AGENTS.md", "the image's own\n"), ("etc/motd", "hi\n")]),
    "bare": image("bare"),
    # Absolute within the image; nothing of the host's is at that place.
    "linked": image("linked", "sh", links=[("/opt/shells/bash", "bin/bash"), ("/bin/busybox", "opt/shells/bash")]),
    # To the host's, if it were followed there.
    "astray": image("astray", "sh", links=[("../../../../../../../../usr/bin/bash", "bin/bash")]),
    "away": os.path.join(w.dir, "away"),
}
g = gatewaylab.Gateway(config={"images": IMAGES})
c = clientlab.Client(g)
pb = g.pb


def create(name, of, command=()):
    spec = pb.SandboxSpec(command=list(command), template=pb.SandboxTemplate(image=of))
    return g.stub.CreateSandbox(pb.CreateSandboxRequest(name=name, spec=spec)).sandbox


def get(name):
    return g.stub.GetSandbox(pb.GetSandboxRequest(name=name)).sandbox


def ready(name, of, command=()):
    create(name, of, command)
    return until(lambda: (s := get(name)).status.phase == 2 and s)


def run(s, *argv):
    return gatewaylab.said(g.stub.ExecSandbox(pb.ExecSandboxRequest(sandbox_id=s.metadata.id, command=argv), timeout=60))


def the_shell_that_it_has():
    s = ready("small", "small")
    assert (list(s.spec.command), s.spec.tty) == (["/bin/sh", "-l"], True), s.spec
    said = run(s, "sh", "-c", "echo $SHELL; cat /etc/passwd")
    assert said.out.startswith(b"/bin/sh\n") and b":/sandbox:/bin/sh\n" in said.out, said
    assert list(create("is-linked", "linked").spec.command) == ["/bin/bash", "-l"]
    assert list(create("is-astray", "astray").spec.command) == ["/bin/sh", "-l"]


def its_files_and_ours():
    s = get("small")
    said = run(s, "sh", "-c", "cat /AGENTS.md /etc/motd; ls /etc/openshell/skills; echo x >/etc/motd; echo x >/etc/new; "
                              "cat /etc/openshell/skills/policy-advisor/SKILL.md")
    assert said.out.startswith(b"the image's own\nhi\npolicy-advisor\npolicy_advisor.md\n---\nname: policy-advisor\n"), said
    with open(os.path.join(IMAGES["small"], "etc/motd"), encoding="utf-8") as f:
        assert f.read() == "hi\n"
    assert sorted(os.listdir(os.path.join(IMAGES["small"], "etc"))) == ["motd", "openshell"]
    assert os.listdir(os.path.join(IMAGES["small"], "etc/openshell")) == []


def one_without_a_shell_stands():
    s = ready("bare", "bare")
    assert not s.spec.command and not s.spec.tty, s.spec
    assert run(s, "/bin/busybox", "echo", "x").out == b"x\n"
    said = run(s, "/bin/busybox", "env").out
    assert b"SHELL=" not in said and b"HOME=/sandbox\n" in said, said
    g.kill()
    g.start()
    until(lambda: get("bare").status.phase == 2)
    assert run(s, "/bin/busybox", "echo", "y").out == b"y\n"
    g.stub.StopSandbox(pb.StopSandboxRequest(name="bare"))
    until(lambda: get("bare").status.phase == pb.SANDBOX_PHASE_STOPPED)
    g.stub.StartSandbox(pb.StartSandboxRequest(name="bare"))
    until(lambda: get("bare").status.phase == 2)
    assert run(get("bare"), "/bin/busybox", "echo", "z").out == b"z\n"


def by_the_command_line():
    for of in ("small", "bare"):
        said = c("sandbox", "create", "--name", "x", "--from", of, "--no-keep", "--no-tty", "--", "/bin/busybox", "sh", "-c",
                 "echo hello; exit 3", status=3)
        assert "hello\n" in said.stdout, said


def why_it_ended():
    create("short", "small", ["sh", "-c", "until [ -e go ]; do sleep 0.1; done; exit 4"])
    until(lambda: get("short").status.phase == 2)
    p = c.start("sandbox", "exec", "--name", "short", "--no-tty", "--", "sh", "-c", "echo on; sleep 1000")
    assert p.stdout.readline() == b"on\n"
    run(get("short"), "sh", "-c", ": >go")
    _, err = p.communicate(timeout=30)
    assert p.returncode == 137 and err == (
        b"the sandbox ended: MainProcessExited: Main process exited with code 4\n"), (p.returncode, err)


def what_is_no_image():
    said = gatewaylab.code_of(lambda: create("nobody", "unheard-of"))
    if said[0] == "OK":
        until(lambda: get("nobody").status.phase == 3)
        said = str(get("nobody").status)
    assert "unheard-of" in str(said) and "images" in str(said), said
    create("gone", "away")
    until(lambda: get("gone").status.phase == 3)
    assert IMAGES["away"] in str(get("gone").status), get("gone").status


try:
    for f in (the_shell_that_it_has, its_files_and_ours, one_without_a_shell_stands, by_the_command_line, why_it_ended,
              what_is_no_image):
        tap.check(f.__name__.replace("_", " "), f)
finally:
    if tap.failed:
        print("\n".join("# " + line for line in g.lines[-20:]))
    g.close()
    w.close()
tap.done()
