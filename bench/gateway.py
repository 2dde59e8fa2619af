#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The gateway: creation (cold, from the warm pool, many at once), commands beside other systems' exec,
lists, and what idle sandboxes take.  The client is bench/gateway_load, in C, over plaintext on loopback:
Python's gRPC costs more than what is measured.  CV_GATEWAY_BASE names another cove-gateway to be measured
in turn with ours (an older build, say).

Usage: bench/gateway.py [create] [exec] [list] [idle] [ROUNDS=60] [IDLE=200] [STORED=10000]"""
import atexit
import concurrent.futures
import ctypes
import json
import os
import resource
import subprocess
import sys
import tempfile
import time

import lib

sys.path.insert(0, os.path.join(lib.ROOT, "tests/lib"))
import gatewaylab  # noqa: E402

numbers = dict(w.split("=") for w in sys.argv[1:] if "=" in w)
ROUNDS, IDLE, STORED = (int(numbers.get(k, d)) for k, d in
                        (("ROUNDS", 60), ("IDLE", 200), ("STORED", 10000)))
chosen = [w for w in sys.argv[1:] if "=" not in w] or ["create", "exec", "list", "idle"]
LOAD = os.environ.get("CV_GATEWAY_LOAD", os.path.join(lib.ROOT, "build/bench/gateway_load"))
BASE = os.environ.get("CV_GATEWAY_BASE")
ours = gatewaylab.EXE
results = {}


def gateway(exe=ours, **config):
    gatewaylab.EXE = exe
    g = gatewaylab.Gateway(tls=False, config=config)
    atexit.register(g.close)  # also when a benchmark fails
    g.url_of = f"http://127.0.0.1:{g.port}"
    return g


def load(g, *words):
    return json.loads(subprocess.run([LOAD, g.url_of, *map(str, words)], check=True,
                                     capture_output=True, text=True).stdout)


def ms(t, which="us"):
    return [f"{t[which][q] / 1000:.2f}" for q in ("p50", "p99")] if which in t else ["", ""]


def rows_of(table):
    return [[name, *ms(t), *ms(t, "answer_us"), f"{t['per_second']:.0f}", f"{t['cpu_ms']:.1f}" if "cpu_ms" in t else ""]
            for name, t in table.items()]


class Cpu:
    """What a gateway and all that it starts take of the processors, where a cgroup (v1, root) can tell."""
    def __init__(self, g):
        self.place = f"/sys/fs/cgroup/cpuacct/cove-bench-{g.process.pid}"
        try:
            os.mkdir(self.place)
            with open(f"{self.place}/cgroup.procs", "w", encoding="ascii") as f:
                f.write(str(g.process.pid))
            for c in children(g.process.pid):
                with open(f"{self.place}/cgroup.procs", "w", encoding="ascii") as f:
                    f.write(str(c))
        except OSError:
            self.place = None

    def ms(self):
        if not self.place:
            return None
        time.sleep(0.5)  # what is ending
        with open(f"{self.place}/cpuacct.usage", encoding="ascii") as f:
            return int(f.read()) / 1e6


def create():
    """Each subject's rounds are cut in parts, and the parts are interleaved."""
    subjects = {"cold": gateway(), "warm pool of 8": gateway(warm_pool=8)}
    if BASE:
        subjects["cold, CV_GATEWAY_BASE"] = gateway(BASE)
    cpu = {name: Cpu(g) for name, g in subjects.items()}
    time.sleep(2)
    parts = {name: [] for name in subjects}
    for i in range(4):
        for name, g in subjects.items():
            parts[name].append(load(g, "create", ROUNDS // 4, 1, 0, f"p{i}", 80))
    table = {}
    for name, v in parts.items():  # the median part: a noisy one is left out
        table[name] = sorted(v, key=lambda t: t["us"]["p50"])[len(v) // 2]
    for name, g in subjects.items():
        before = cpu[name].ms()
        table[name + ", 4 at a time"] = t = load(g, "create", ROUNDS * 2, 4, 0, "b", 0)
        if before is not None:
            t["cpu_ms"] = (cpu[name].ms() - before) / t["count"]
        g.close()
    lib.table("CreateSandbox to READY", ["subject", "p50 ms", "p99 ms", "answer p50", "answer p99",
                                         "per second", "CPU ms each, with its deletion"], rows_of(table))
    beside_bwrap(table["cold, 4 at a time"], ROUNDS * 2)
    results["create"] = table


def beside_bwrap(ours, count):
    """How many namespaces with mounts in them this machine makes and ends, 4 at a time, for bwrap."""
    if not lib.which("bwrap"):
        return
    argv = [lib.which("bwrap"), "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "/bin/true"]
    begun, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lib.spawn_wait, [argv] * count))
    per_second = count / (time.perf_counter() - begun)
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_ms = 1000 * (now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime) / count
    lib.table("4 at a time", ["subject", "per second", "CPU ms each", "cove / subject, per second"],
              [["CreateSandbox, and its deletion", f"{ours['per_second']:.0f}", f"{ours.get('cpu_ms', 0):.1f}", ""],
               ["bwrap --unshare-all true", f"{per_second:.0f}", f"{cpu_ms:.1f} and its kernel threads'",
                f"{ours['per_second'] / per_second:.2f}"]])


def hybrid_cgroups_hide():
    """crun refuses the hybrid cgroup layout; in a mount namespace of our own it can be hidden."""
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() == 0 and os.path.isdir("/sys/fs/cgroup/unified") and libc.unshare(0x20000) == 0:
        libc.mount(None, b"/", None, 0x4000 | 0x40000, None)  # MS_REC | MS_PRIVATE
        libc.umount2(b"/sys/fs/cgroup/unified", 2)


def others(work):
    """exec into a container that idles: {name: argv}, and how to end them."""
    found, ends = {}, []
    os.makedirs(os.path.join(work, "rootfs"))
    with open(os.path.join(work, "p.c"), "w", encoding="ascii") as f:
        f.write('#include <unistd.h>\n#include <string.h>\nint main(int c, char **v)'
                '{ if (strstr(v[0], "idle")) pause(); return 0; }\n')
    subprocess.run(["cc", "-O2", "-static", "-o", f"{work}/rootfs/true", f"{work}/p.c"], check=True)
    os.link(f"{work}/rootfs/true", f"{work}/rootfs/idle")
    if lib.which("crun"):
        subprocess.run(["crun", "spec"], check=True, cwd=work)
        with open(f"{work}/config.json", encoding="utf-8") as f:
            spec = json.load(f)
        spec["process"].update(args=["/idle"], terminal=False)
        spec["process"].pop("rlimits", None)
        with open(f"{work}/config.json", "w", encoding="utf-8") as f:
            json.dump(spec, f)
        crun, name = [lib.which("crun"), "--cgroup-manager=disabled"], f"cove-bench-{os.getpid()}"
        if subprocess.run([*crun, "run", "-d", "-b", work, name], stdin=subprocess.DEVNULL,
                          check=False).returncode == 0:
            found["crun exec"] = [*crun, "exec", name, "/true"]
            ends.append([*crun, "delete", "-f", name])
    for tool in ("podman", "docker"):
        exe = lib.which(tool)
        if not exe:
            continue
        name = f"cove-bench-{os.getpid()}"
        tar = subprocess.run(["tar", "-C", f"{work}/rootfs", "-c", "."], check=True, capture_output=True).stdout
        flags = ["--cgroups=disabled"] if tool == "podman" else []
        if subprocess.run([exe, "import", "-", "cove-bench-idle"], input=tar, capture_output=True,
                          check=False).returncode == 0 and subprocess.run(
                [exe, "run", "-d", "--network=none", *flags, "--ulimit", "nofile=1024:1024", "--ulimit",
                 "nproc=1024:1024", "--name", name, "cove-bench-idle", "/idle"], capture_output=True,
                check=False).returncode == 0:
            found[f"{tool} exec"] = [exe, "exec", name, "/true"]
            ends.append([exe, "rm", "-f", "-t", "0", name])
    return found, ends


def sandbox(g, name):
    load(g, "create", 1, 1, 1, name, 0)
    return g.stub.GetSandbox(g.pb.GetSandboxRequest(name=f"{name}-0")).sandbox.metadata.id


def first_byte(argv):
    """Seconds from a spawn to the first byte, without any sandbox."""
    ours, theirs = os.pipe()
    actions = [(os.POSIX_SPAWN_DUP2, theirs, 1)]
    begun = time.perf_counter()
    pid = os.posix_spawn(argv[0], argv, os.environ, file_actions=actions)
    os.close(theirs)
    os.read(ours, 1)
    took = time.perf_counter() - begun
    os.close(ours)
    os.waitpid(pid, 0)
    return took


def execs():
    hybrid_cgroups_hide()
    g = gateway()
    ident = sandbox(g, "x")
    true = load(g, "exec", ROUNDS * 5, 1, ident, "/bin/true")
    echos = {"echo": ["/bin/echo", "x"]}
    if os.access("/bin/busybox", os.X_OK):
        echos["echo of busybox, a static program"] = ["/bin/busybox", "echo", "x"]
    first, plain = {name: [] for name in echos}, {name: [] for name in echos}
    for _ in range(5):
        for name, argv in echos.items():
            first[name].append(load(g, "exec", ROUNDS, 1, ident, *argv))
            plain[name] += [first_byte(argv) for _ in range(ROUNDS)]
    first = {name: sorted(v, key=lambda t: t["first_us"]["p50"])[2] for name, v in first.items()}
    echo = first["echo"]
    lib.table("to the first byte, on one connection", ["command", "cove p50", "p99", "spawned on the host, p50",
                                                      "what cove adds, p50 ms"],
              [[name, *ms(t, "first_us"), f"{lib.quantile(plain[name], .5) * 1e3:.2f}",
                f"{t['first_us']['p50'] / 1000 - lib.quantile(plain[name], .5) * 1e3:.2f}"] for name, t in first.items()])
    eight = load(g, "exec", ROUNDS * 5, 8, ident, "/bin/true")
    lib.table("ExecSandbox, on one connection", ["command", "p50 ms", "p99 ms", "first byte p50", "p99", "per second"],
              [["true", *ms(true), "", "", f"{true['per_second']:.0f}"],
               ["echo", *ms(echo), *ms(echo, "first_us"), f"{echo['per_second']:.0f}"],
               ["true, 8 at a time", *ms(eight), "", "", f"{eight['per_second']:.0f}"]])
    subjects = {"cove: a client, one ExecSandbox": [LOAD, g.url_of, "exec", "1", "1", ident, "/bin/true"],
                "/bin/true itself": ["/bin/true"]}
    found, ends = others(tempfile.mkdtemp(prefix="cove-bench-"))
    times = lib.side_by_side(subjects | found, ROUNDS, 2)
    for e in ends:
        subprocess.run(e, capture_output=True, check=False)
    g.close()
    base = times["cove: a client, one ExecSandbox"]
    lib.table("exec of true, from spawn of the client to its exit", ["subject", "p50 ms", "p99 ms", "cove / subject, p50 / p99"],
              [[n, *(f"{lib.quantile(t, q) * 1e3:.2f}" for q in (.5, .99)),
                " / ".join(f"{lib.quantile(base, q) / lib.quantile(t, q):.3f}" for q in (.5, .99))]
               for n, t in times.items()])
    results["exec"] = {"true": true, "echo": echo, "eight": eight, "beside": times}


def stored():
    """Sandboxes that could not be started are records as others are."""
    g = gateway()
    pb = g.pb
    for i in range(STORED):
        g.stub.CreateSandbox(pb.CreateSandboxRequest(name=f"s{i:05}", spec=pb.SandboxSpec(
            template=pb.SandboxTemplate(image="none"))))
    time.sleep(1)
    page = load(g, "list", 20, 1000, STORED // 2)
    small = load(g, "list", 50, 100, 0)
    one = load(g, "get", 500, f"s{STORED // 2:05}")
    lib.table(f"{STORED} stored sandboxes, gateway {rss(g.process.pid)} MiB", ["call", "p50 ms", "p99 ms"],
              [["GetSandbox", *ms(one)], ["ListSandboxes, a page of 100", *ms(small)],
               ["ListSandboxes, a page of 1000", *ms(page)]])
    results["list"] = {"page": page, "small": small, "get": one, "rss": rss(g.process.pid)}
    g.close()


# ---- idle sandboxes ----

def field(path, name):
    try:
        with open(path, encoding="ascii", errors="replace") as f:
            return next(int(line.split()[1]) for line in f if line.startswith(name))
    except (OSError, StopIteration):
        return 0


def rss(pid):
    return field(f"/proc/{pid}/status", "VmRSS:") // 1024


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
            return [int(c) for c in f.read().split()]
    except OSError:
        return []


def comm(pid):
    try:
        with open(f"/proc/{pid}/comm", encoding="ascii") as f:
            return f.read().strip()
    except OSError:
        return ""


def family(g):
    """name -> pids, of all sandboxes of this gateway."""
    names, todo = {}, []
    for ident in os.listdir(os.path.join(g.state, "sandboxes")):
        try:
            with open(os.path.join(g.state, "sandboxes", ident, "run"), encoding="ascii") as f:
                todo.append(int(f.read().split("\n")[1].split()[0]))
        except (OSError, IndexError, ValueError):
            pass
    todo += [k for c in children(g.process.pid) if comm(c) == "cove-nursery" for k in children(c)]  # keepers
    while todo:
        pid = todo.pop()
        todo += children(pid)
        if comm(pid):
            names.setdefault(comm(pid), []).append(pid)
    return names


def available():
    return field("/proc/meminfo", "MemAvailable:")


def idle():
    g = gateway()
    ident, rows = sandbox(g, "x"), []
    one = load(g, "exec", ROUNDS * 5, 1, ident, "/bin/true")
    before, count = available(), 1
    for n in (IDLE // 4, IDLE // 2, IDLE):
        load(g, "create", n - count, 2, 1, f"i{n}", 0)
        count = n
        time.sleep(2)
        names = family(g)
        pss = {k: sum(field(f"/proc/{p}/smaps_rollup", "Pss:") for p in v) / 1024 for k, v in names.items()}
        cove = {k: v for k, v in pss.items() if k.startswith("cove")}
        some = names["cove-supervisor"][:10]
        fds = sum(len(os.listdir(f"/proc/{p}/fd")) for p in some) / len(some)
        rows.append([n, f"{sum(cove.values()) / n:.2f}", f"{(before - available()) / 1024 / n:.2f}",
                     f"{sum(map(len, names.values())) / n:.1f}", f"{fds:.0f}",
                     ", ".join(f"{k[5:]} {v / n:.2f}" for k, v in sorted(cove.items())), rss(g.process.pid),
                     len(os.listdir(f"/proc/{g.process.pid}/fd"))])
    lib.table("Idle sandboxes, each", ["sandboxes", "PSS MiB", "fall of MemAvailable MiB", "processes",
                                       "descriptors of a supervisor", "PSS by process MiB", "gateway RSS MiB",
                                       "gateway descriptors"], rows)
    listed = load(g, "list", 50, 1000, 0)
    many = load(g, "exec", ROUNDS * 5, 1, ident, "/bin/true")
    lib.table(f"With {count} idle sandboxes", ["call", "p50 ms", "p99 ms", "of one sandbox, p50 / p99"],
              [["list all", *ms(listed), ""],
               ["exec true", *ms(many), " / ".join(f"{many['us'][q] / one['us'][q]:.2f}" for q in ("p50", "p99"))]])
    results["idle"] = {"rows": rows, "list": listed, "exec": many, "exec_of_one": one}
    for s in g.stub.ListSandboxes(g.pb.ListSandboxesRequest(limit=1000)).sandboxes:
        g.stub.DeleteSandbox(g.pb.DeleteSandboxRequest(name=s.metadata.name))
    end = time.monotonic() + 60
    while os.listdir(os.path.join(g.state, "sandboxes")) and time.monotonic() < end:
        time.sleep(0.2)
    g.close()


for word in chosen:
    {"create": create, "exec": execs, "list": stored, "idle": idle}[word]()
lib.save("gateway", results)
