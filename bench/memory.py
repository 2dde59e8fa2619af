#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Memory: proportional set size of all of cove's processes for idle sandboxes.

PSS divides each shared page by the number of processes that map it, so the sum over processes is
what the sandboxes really take.  The command that idles is not counted.  Usage: bench/memory.py [N]"""
import os
import signal
import subprocess
import sys
import tempfile
import time

import lib

COUNT = int(sys.argv[1]) if len(sys.argv) > 1 else 100
STEPS = sorted({1, 10, COUNT // 4, COUNT // 2, COUNT} - {0})
work = tempfile.mkdtemp(prefix="cove-bench-")
policy = os.path.join(work, "policy.yaml")
with open(policy, "w", encoding="ascii") as f:
    f.write("version: 1\nnetwork_policies:\n  api:\n    endpoints:\n      - {host: api.example.com, "
            "port: 443, protocol: rest, enforcement: enforce, access: read-only}\n"
            "    binaries: [{path: /usr/bin/curl}]\n")


def ours():
    """pid → name of every cove process."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/comm", encoding="ascii") as f:
                name = f.read().strip()
            if name.startswith("cove"):
                found[int(pid)] = name
        except OSError:
            pass
    return found


def pss_kib(pid):
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
            for line in f:
                if line.startswith("Pss:"):
                    return int(line.split()[1])
    except OSError:
        pass
    return 0


def available_kib():
    with open("/proc/meminfo", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("MemAvailable"))


def measure(title, options):
    runs, rows = [], []
    before, start = available_kib(), time.perf_counter()
    for n in STEPS:
        while len(runs) < n:
            runs.append(subprocess.Popen([lib.COVE, "run", "-q", *options, "--", "/bin/sleep", "1000"],
                                         cwd=work, stdin=subprocess.DEVNULL))
        time.sleep(1 + n / 100)
        by_name = {}
        for pid, name in ours().items():
            by_name[name] = by_name.get(name, 0) + pss_kib(pid)
        total = sum(by_name.values())
        rows.append([n, f"{total / n / 1024:.2f}", f"{total / 1024:.1f}",
                     f"{(before - available_kib()) / 1024:.0f}",
                     ", ".join(f"{k} {v / n / 1024:.2f}" for k, v in sorted(by_name.items()))])
    took = time.perf_counter() - start
    for r in runs:
        r.send_signal(signal.SIGTERM)
    for r in runs:
        r.wait()
    lib.table(f"{title} ({took:.0f} s with pauses)", [
        "sandboxes", "PSS each, MiB", "PSS of all, MiB", "fall of MemAvailable, MiB",
        "by process, MiB each"], rows)
    return rows


lib.save("memory", {
    "none": measure("Idle sandboxes without network policy", []),
    "network": measure("Idle sandboxes with a network policy", ["--policy", policy])})
