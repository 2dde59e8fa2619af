#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Cold start: from spawn to exit of a program that does nothing, side by side with the launchers
that people use.  None of those has a proxy, Landlock or a policy; podman and crun get a root file
system with one static program in it.  Usage: bench/start.py [ROUNDS]"""
import ctypes
import json
import os
import subprocess
import sys
import tempfile

import lib

ROUNDS = int(sys.argv[1]) if len(sys.argv) > 1 else 300
PODMAN_ROUNDS = max(20, ROUNDS // 10)

work = tempfile.mkdtemp(prefix="cove-bench-")
os.chdir(work)


def static_true():
    """A static program that exits 0, for the rootfs of crun and podman."""
    path = os.path.join(work, "rootfs", "true")
    os.makedirs(os.path.dirname(path))
    with open("true.c", "w", encoding="ascii") as f:
        f.write("int main(void) { return 0; }\n")
    subprocess.run(["cc", "-O2", "-static", "-o", path, "true.c"], check=True)
    return path


def crun_bundle():
    subprocess.run(["crun", "spec"], check=True)
    with open("config.json", encoding="utf-8") as f:
        spec = json.load(f)
    spec["process"]["args"] = ["/true"]
    spec["process"]["terminal"] = False
    spec["process"].pop("rlimits", None)
    with open("config.json", "w", encoding="utf-8") as f:
        json.dump(spec, f)


def podman_image():
    tar = subprocess.run(["tar", "-C", "rootfs", "-c", "."], check=True, capture_output=True).stdout
    r = subprocess.run(["podman", "import", "-", "cove-bench-true"], input=tar, capture_output=True,
                       check=False)
    return r.returncode == 0


policy = os.path.join(work, "policy.yaml")
with open(policy, "w", encoding="ascii") as f:
    f.write("version: 1\nnetwork_policies:\n  api:\n    endpoints:\n      - {host: api.example.com, "
            "port: 443, protocol: rest, enforcement: enforce, access: read-only}\n"
            "    binaries: [{path: /usr/bin/curl}]\n")

def hybrid_cgroups_hide():
    """crun refuses the hybrid cgroup layout; in a mount namespace of our own it can be hidden."""
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() == 0 and os.path.isdir("/sys/fs/cgroup/unified") and libc.unshare(0x20000) == 0:
        libc.mount(None, b"/", None, 0x4000 | 0x40000, None)  # MS_REC | MS_PRIVATE
        libc.umount2(b"/sys/fs/cgroup/unified", 2)


hybrid_cgroups_hide()
true = static_true()
subjects = {
    "plain exec": ["/bin/true"],
    "cove run": [lib.COVE, "run", "-q", "--", "/bin/true"],
    "cove run, network policy": [lib.COVE, "run", "-q", "--policy", policy, "--", "/bin/true"],
}
if lib.which("bwrap"):
    subjects["bwrap --unshare-all"] = [lib.which("bwrap"), "--unshare-all", "--ro-bind", "/", "/",
                                       "--proc", "/proc", "--dev", "/dev", "/bin/true"]
    subjects["bwrap --unshare-all, bind only"] = [lib.which("bwrap"), "--unshare-all", "--ro-bind", "/",
                                                  "/", "/bin/true"]
if lib.which("crun"):
    crun_bundle()
    subjects["crun run"] = [lib.which("crun"), "--cgroup-manager=disabled", "run", "cove-bench"]
times = lib.side_by_side(subjects, ROUNDS)
if lib.which("podman") and podman_image():
    times |= lib.side_by_side({"podman run": [
        lib.which("podman"), "run", "--rm", "--network=none", "--cgroups=disabled", "--ulimit",
        "nofile=1024:1024", "--ulimit", "nproc=1024:1024", "cove-bench-true", "/true"]}, PODMAN_ROUNDS, 1)

base = times.get("cove run")
rows = []
for name, t in times.items():
    p50, p99 = lib.quantile(t, .5), lib.quantile(t, .99)
    ratio = "" if name == "cove run" else (
        f"{lib.quantile(base, .5) / p50:.2f} / {lib.quantile(base, .99) / p99:.2f}")
    rows.append([name, len(t), f"{p50 * 1e3:.2f}", f"{p99 * 1e3:.2f}", ratio])
lib.table("Cold start", ["subject", "runs", "p50 ms", "p99 ms", "cove / subject, p50 / p99"], rows)
lib.save("start", {"seconds": times})
