#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: with --nested namespaces can be made inside, and nothing else is weaker for it: what is
read-only, protected, masked or refused stays so, also for who is root in a namespace of its own.
Method: unshare, mount and real bubblewrap and buildah inside, as root and as an ordinary user; the
host's files are looked at afterwards."""
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import box  # noqa: E402
from nestedlab import REFUSED, sockets_script  # noqa: E402

NESTED = ("--nested",)

def unshared(script, net=False):
    return ["unshare", "-Urmpf" + ("n" if net else ""), "sh", "-c",
            "mkdir -p /tmp/m && " + script]


def builds(tap, b):
    if not shutil.which("buildah") or not shutil.which("busybox"):
        tap.skip("a container build inside", "buildah or busybox is not installed")
        return
    ctx = b.path("ctx")
    os.makedirs(ctx)
    shutil.copy(shutil.which("busybox"), os.path.join(ctx, "busybox"))
    b.write("ctx/Containerfile", "FROM scratch\nCOPY busybox /bin/busybox\n"
                                 'RUN ["/bin/busybox", "touch", "/made"]\n')
    b.write("policy.json", '{"default": [{"type": "insecureAcceptAnything"}]}')
    common = ("buildah --root $PWD/st --runroot $PWD/rr --storage-driver vfs "
              "--storage-opt vfs.ignore_chown_errors=true")
    b.write("in.sh", "export HOME=$PWD _CONTAINERS_USERNS_CONFIGURED=done\n"
                     f"{common} build --isolation chroot --network host --signature-policy "
                     "policy.json --security-opt seccomp=unconfined -t made ctx &&\n"
                     f"{common} push --signature-policy policy.json localhost/made oci-archive:$PWD/out.tar\n")
    r = b.run(["unshare", "-Urm", "sh", "in.sh"], options=NESTED, timeout=120)
    tap.result(r.returncode == 0 and os.path.getsize(b.path("out.tar")) > 500000,
               "buildah builds with chroot isolation, without a second id", r)


def main(tap, b):
    b.write(".git/hooks/pre-commit", "#!/bin/sh\n")
    r = b.run(["unshare", "-Ur", "true"])
    tap.result(r.returncode != 0 and "not permitted" in r.stderr,
               "without --nested there are no namespaces", r)
    for flags in ("-Ur", "-Urm", "-Urn", "-Urpf", "-Uri", "-Uru"):
        r = b.run(["unshare", flags, "id", "-u"], options=NESTED)
        tap.result(r.returncode == 0 and r.stdout == "0\n", f"unshare {flags} works", r)
    r = b.run(unshared("mount -t tmpfs t /tmp/m && echo in > /tmp/m/f && cat /tmp/m/f"),
              options=NESTED)
    tap.result(r.stdout == "in\n", "a mount of its own works", r)
    if shutil.which("bwrap"):
        r = b.run(["bwrap", "--unshare-user", "--unshare-pid", "--ro-bind", "/", "/", "echo", "in"],
                  options=NESTED)
        tap.result(r.stdout == "in\n", "bubblewrap works inside", r)
    for what, script in REFUSED:
        r = b.run(unshared(script), options=NESTED)
        tap.result(r.returncode != 0, f"p1 p11 refused: {what}", r)
    tap.result(os.listdir(b.path(".git/hooks")) == ["pre-commit"] and not os.path.exists("/usr/new"),
               "p11 nothing of it is on the host", r)
    for net in (False, True):
        r = b.run(["unshare", "-Ur" + ("n" if net else ""), "python3", "-c", sockets_script()],
                  options=NESTED)
        tap.result(r.returncode == 0 and "open" not in r.stdout,
                   "n3 no netfilter, raw, packet or vsock socket"
                   + (", in a network of its own" if net else ""), r)
    r = b.run(["unshare", "-Urn", "python3", "-c", "import socket\n"
               "socket.create_connection(('10.200.0.1', 3128), 3)"], options=NESTED)
    tap.result(r.returncode != 0 and "unreachable" in r.stderr,
               "n1 a network of its own leads nowhere", r)
    r = b.run(["sh", "-c", "echo 1 > /proc/sys/kernel/panic"], options=NESTED)
    tap.result(r.returncode != 0, "/proc/sys is read-only", r)
    b.write("hard.yaml", "version: 1\nlandlock: {compatibility: hard_requirement}\n")
    r = b.run(["true"], options=(*NESTED, "--policy", b.path("hard.yaml")))
    tap.result(r.returncode in (2, 125) and "Landlock" in r.stderr and r.stderr.count("\n") == 1,
               "a policy that insists on Landlock is refused: one line", r)
    builds(tap, b)


box.each_user(main)
