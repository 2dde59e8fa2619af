#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a tool sees, and what it may take up: two runs of one user and each other's tools, and how much a
call's directory holds.  As root and as an ordinary user, each with a broker that can make cells and
with one that can't.
"""
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import look  # noqa: E402
from brokerlab import BUILD, Lab, Sandbox, Tap, descendants, eventually, marked  # noqa: E402

USER = 61234  # no account, owns nothing
PASS = "CV_CELLS_PASS"
PYTHON = "/usr/bin/python3"
ROUNDS = 50
IS_ROOT = os.geteuid() == 0
MARK = f"cove-cell-{os.getpid()}"

# A broker that may make no namespace: root in a user namespace without its rights, where nobody may
# make another.
WITHOUT = ["unshare", "--user", "--map-root-user", "sh", "-c",
           "echo 0 >/proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-sys_admin "
           "--inh-caps=-all \"$0\""]

SERVER = textwrap.dedent("""\
    import http.server, json, os, sys
    args = dict(zip(sys.argv[1::2], sys.argv[2::2]))
    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_): pass
        def do_GET(self):
            said = {"pid": os.getpid(), "cwd": os.getcwd()}
            if self.path.startswith("/ls"):
                try: said["ls"] = os.listdir(self.path[3:])
                except OSError as e: said["ls"] = str(e)
            if self.path == "/fill":
                try:
                    with open("full", "wb") as f: f.write(bytes(8 << 20))
                except OSError as e: said["fill"] = e.strerror
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(said).encode())
    http.server.HTTPServer((args["--bind-address"], int(args["--port"])), Handler).serve_forever()
    """)


def script_tool(name, more=""):
    return f"""
  {name}:
    description: Runs a script of the test's.
    input: {{properties: {{script: {{type: string}}}}, required: [script]}}
    command: {{argv: [/bin/bash, -c, "{{script}}", {MARK}]{more}}}
    limits: {{seconds: 30, bytes: 100000}}
"""


def catalog(server=None, tools=""):
    servers = f"servers: {{it: {{argv: [{PYTHON}, {server}], workdir_bytes: 4MiB}}}}" if server else ""
    text = f"version: 1\n{servers}\ntools:\n" + script_tool("sh")
    text += script_tool("small", ", workdir_bytes: 4MiB, workdir_files: 100")
    text += script_tool("disk", ", workdir_bytes: 2GiB, workdir_files: 50")
    text += script_tool("open", ", private: false, workdir_bytes: 8MiB, workdir_files: 1000")
    text += script_tool("boxed", ", sandbox: {}, workdir_bytes: 8MiB, workdir_files: 1000")
    if IS_ROOT:
        text += script_tool("nobody", ", user: nobody, workdir_bytes: 4MiB")
    if server:
        text += """
  ls:
    description: What the server sees.
    input: {properties: {path: {type: string}}, required: [path]}
    server: {name: it, method: GET, path: "/ls/{path...}"}
  fill:
    description: Makes it write.
    server: {name: it, method: GET, path: /fill}
"""
    return text + tools


def make(base, name, server=None, **kw):
    state = os.path.join(base, name)
    lab = Lab(catalog(server), state=state, hide=[base], **kw)
    return lab, Sandbox(lab, name)


def sh(box, script, tool="sh", **kw):
    return box.call(tool, {"script": script}, **kw)


base = tempfile.mkdtemp(prefix="cove-cells-")
with open(os.path.join(base, "server.py"), "w", encoding="utf-8") as server_file:
    server_file.write(SERVER)
shared = tempfile.mkdtemp(prefix="cove-cells-shared-")
server_path = os.path.join(shared, "server.py")
with open(server_path, "w", encoding="utf-8") as server_file:
    server_file.write(SERVER)
one, first = make(base, "one", server_path)
two, second = make(base, "two")
if any(kind == "SAY" for kind, _ in one.replies):
    print("1..0 # SKIP unavailable: this host lets nobody make a cell", flush=True)
    one.close()
    two.close()
    sys.exit(0)


# ---- how much ----

def is_full(r, lab, is_ended):
    assert (r.status, r.json["error"]) == (507, "workdir_full"), r
    assert set(r.json["limit"]) == {"bytes", "files"}, r
    assert is_ended is None or ("it was ended" in r.json["detail"]) == is_ended, r
    assert lab.events()[-1]["status_code"] == "workdir_full", lab.events()[-1]


def p10_a_directory_has_a_bound():
    r = sh(first, "head -c 10000000 /dev/zero >x", "small")
    is_full(r, one, False)
    assert r.json["limit"] == {"bytes": 4 << 20, "files": 100} and "No space left" in r.json["stderr"], r
    r = sh(first, "for i in $(seq 200); do : >$i || exit 1; done", "small")
    is_full(r, one, False)
    r = sh(first, "for i in $(seq 90); do : >$i || exit 1; done; head -c 4000000 /dev/zero >x && stat -c %s x", "small")
    assert r.json["output"] == "4000000\n", r
    r = sh(first, "head -c 10000000 /dev/zero >x; rm x; echo fine >y; cat y", "small")
    assert (r.status, r.json["output"]) == (200, "fine\n"), "who gets along with it has not failed"
    r = sh(first, "head -c 10000000 /dev/zero >x; sleep 0.5; rm x; exit 1", "small")
    is_full(r, one, False)
    r = sh(first, "exit 1", "small")
    assert r.json["error"] == "tool_failed", r


def p10_temporary_files_are_in_it():
    r = sh(first, "mktemp -d; cd /; head -c 10000000 /dev/zero >$(mktemp)", "small")
    is_full(r, one, False)
    assert r.json["output"].startswith(base + "/one/calls/"), r


def p10_a_directory_on_a_disk_is_looked_at():
    is_full(sh(first, "for i in $(seq 200); do : >$i; done; sleep 20", "disk"), one, True)
    is_full(sh(first, "mkdir -p a/b; cd a/b; chmod 0 ../..; for i in $(seq 2000); do : >$i; done; sleep 20", "open"),
            one, True)
    is_full(sh(first, "head -c 50000000 /dev/zero >x; sleep 20", "open"), one, True)
    is_full(sh(first, "for i in $(seq 140); do mkdir d && cd d || exit 3; done; head -c 50000000 /dev/zero >x; sleep 20",
               "open"), one, True)
    is_full(sh(first, "head -c 50000000 /dev/zero >x; sleep 20", "boxed"), one, True)
    r = sh(first, "for i in $(seq 30); do : >$i; done; head -c 1000000 /dev/zero >x; ls | wc -l", "disk")
    assert r.json["output"] == "31\n", r
    assert eventually(lambda: os.listdir(os.path.join(base, "one", "calls")) == []), "each goes with its call"


def p10_a_server_has_one_too():
    r = first.call("fill")
    assert r.json["output"]["fill"] == "No space left on device", r
    with open(one.audit_path, encoding="utf-8") as f:
        eventually(lambda: False, 0.3)
        assert "server it: its directory is full: 4194304 bytes" in f.read()
    assert os.listdir(os.path.join(base, "one", "servers")) == ["it.log"], "and it is not on the disk"


def p10_where_nothing_can_be_made():
    if subprocess.run([*WITHOUT[:-1], "true"], capture_output=True, check=False).returncode:
        raise look.Unavailable("unavailable: nobody may make a user namespace here")
    lab, box = make(base, "without", prefix=WITHOUT)
    said = lab.wait("SAY").decode(errors="replace")
    assert "can reach processes and files of this user's other runs" in said, said
    assert sh(box, "echo fine").json["output"] == "fine\n"
    start = time.monotonic()
    is_full(sh(box, "head -c 1000000000 /dev/zero >x; exit $?", "small"), lab, None)  # whoever is first
    is_full(sh(box, "exec head -c 1000000000 /dev/zero >x", "small"), lab, True)
    is_full(sh(box, "for i in $(seq 200); do : >$i; done; sleep 20", "small"), lab, True)
    assert time.monotonic() - start < 19
    assert eventually(lambda: os.listdir(os.path.join(base, "without", "calls")) == [])
    lab.close()


# ---- what it sees ----

PROBE = r"""
import ctypes, json, os, signal, sys
pid, path, base = int(sys.argv[1]), sys.argv[2], sys.argv[3]
libc = ctypes.CDLL(None, use_errno=True)
def attempt(what):
    try:
        return what()
    except OSError as e:
        return e.strerror
def call(*args):
    if libc.syscall(*args) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return "OK"
def ptrace():
    if libc.ptrace(16, pid, None, None) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    os.waitpid(pid, 0x40000000)
    libc.ptrace(17, pid, None, None)
    return "OK"
class Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))
def peek():
    buffer = ctypes.create_string_buffer(8)
    here, there = Iovec(ctypes.cast(buffer, ctypes.c_void_p), 8), Iovec(0x400000, 8)
    return call(310, pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0)
def write(where):
    with open(where, "w") as f: f.write("changed")
    return "OK"
def read(where):
    with open(where) as f: return f.read()
print(json.dumps({
    "runs": attempt(lambda: [n for n in os.listdir(base) if n in ("one", "two")]),
    "list": attempt(lambda: os.listdir(path)), "read": attempt(lambda: read(path + "/secret")),
    "write": attempt(lambda: write(path + "/secret")), "new": attempt(lambda: write(path + "/planted")),
    "cwd": attempt(lambda: os.listdir(f"/proc/{pid}/cwd")), "root": attempt(lambda: os.listdir(f"/proc/{pid}/root" + path)),
    "fd": attempt(lambda: os.listdir(f"/proc/{pid}/fd")), "environ": attempt(lambda: read(f"/proc/{pid}/environ")),
    "maps": attempt(lambda: read(f"/proc/{pid}/maps")[:10]),
    "signal": attempt(lambda: os.kill(pid, 0) or "OK"), "pidfd": attempt(lambda: call(434, pid, 0)),
    "ptrace": attempt(ptrace), "vm_read": attempt(peek),
    "priority": attempt(lambda: os.getpriority(os.PRIO_PROCESS, pid)), "sid": attempt(lambda: os.getsid(pid)),
    "rlimit": attempt(lambda: call(302, pid, 7, None, None)),
    "processes": len([n for n in os.listdir("/proc") if n.isdigit()]),
}))
"""
with open(os.path.join(shared, "probe.py"), "w", encoding="utf-8") as probe_file:
    probe_file.write(PROBE)
os.chmod(shared, 0o755)


class Victim:
    """A call of the second run's that waits, with a file of its own."""

    def __init__(self, tool="sh"):
        self.mark = f"{MARK}-victim-{random.randrange(1 << 30)}"
        self.job = second.job(tool, {"script": f"echo secret-of-two >secret; exec -a {self.mark} sleep 60"})
        # the shell has the mark in its script, and none for a moment while it becomes the sleep
        assert eventually(lambda: [p.comm for p in map(look.stat, marked(self.mark)) if p] == ["sleep"])
        self.pid = marked(self.mark)[0]
        self.path = os.readlink(f"/proc/{self.pid}/cwd")
        self.view = f"/proc/{self.pid}/root{self.path}"

    def is_untouched(self):
        assert os.listdir(self.view) == ["secret"], os.listdir(self.view)
        with open(self.view + "/secret", encoding="utf-8") as f:
            assert f.read() == "secret-of-two\n"
        assert marked(self.mark) == [self.pid]

    def end(self):
        second.request("POST", f"/v1/jobs/{self.job}/cancel")
        second.wait(self.job)


def probe(tool, victim, before=""):
    r = sh(first, f"{before} {PYTHON} {shared}/probe.py {victim.pid} {victim.path} {base}", tool)
    assert r.status == 200, r
    return json.loads(r.json["output"])


def nothing_was_reached(said, is_user_namespace=False):
    gone = ("No such file or directory", "Permission denied")
    assert said["runs"] == ["one"] or said["runs"] in gone, said
    for what in ("list", "read", "write", "new", "cwd", "root", "fd", "environ", "maps"):
        assert said[what] in gone, (what, said)
    for what in ("signal", "pidfd", "ptrace", "vm_read", "priority", "sid", "rlimit"):
        assert said[what] == "No such process", (what, said)
    assert said["processes"] < 10, said


def b1_two_runs_do_not_see_each_other():
    victim = Victim()
    nothing_was_reached(probe("sh", victim))
    victim.is_untouched()
    if IS_ROOT:
        nothing_was_reached(probe("nobody", victim))
    victim.is_untouched()
    r = sh(first, f"ls -A {base}/one {base}/one/calls; ls {base}/one/broker.db")
    assert r.json["output"].split()[0] == f"{base}/one:" and "broker.db" not in r.json["output"], "its own run's too"
    victim.end()


def b1_rights_of_a_new_namespace_are_no_way():
    """Who is not root may make a user namespace in a cell, and be root there."""
    victim = Victim()
    for tool in ["nobody"] if IS_ROOT else ["sh"]:
        for before in (f"unshare -Urm sh -c 'umount -l {base}; umount {base}; umount -l /proc; exec \"$@\"' sh",
                       f"unshare -Urmpf sh -c 'umount -l {base}; mount -t proc proc /proc; exec \"$@\"' sh"):
            nothing_was_reached(probe(tool, victim, before))
    r = sh(first, "grep Cap /proc/self/status; cat /proc/1/environ /proc/1/maps; ls -l /proc/1/fd /proc/1/root; kill -9 1; "
                  "kill -STOP 1; echo alive", "nobody" if IS_ROOT else "sh")
    assert "alive" in r.json["output"] and r.json["stderr"].count("ermission denied") >= 3, r
    if not IS_ROOT:
        assert all(set(line.split()[1]) == {"0"} for line in r.json["output"].splitlines() if line.startswith("Cap")), r
    victim.is_untouched()
    victim.end()


def b1_a_server_does_not_see_a_later_run():
    later, box = make(base, "later")
    job = box.job("sh", {"script": "echo x >secret; sleep 60"})
    r = first.call("ls", {"path": base.lstrip("/")})
    assert r.json["output"]["ls"] == ["one"] and r.json["output"]["cwd"] == base + "/one/servers/it", r
    assert r.json["output"]["pid"] < 10, r
    box.request("POST", f"/v1/jobs/{job}/cancel")
    later.close()


def it_can_be_lifted():
    victim = Victim("open")
    said = probe("open", victim)
    assert "two" in said["runs"] and said["list"] == ["secret"] and said["read"] == "secret-of-two\n", said
    assert said["signal"] == said["pidfd"] == "OK" and said["processes"] > 10, said
    assert said["new"] == "OK", said
    victim.end()


def home_and_machine_are_there():
    r = sh(first, f"cat {shared}/probe.py | head -2; id -u; touch {shared}/made-by-$$; ls {shared} | grep -c made-by; "
                  "ls /usr/bin | wc -l; cat /proc/self/comm; [ -e /dev/null ] && echo there; df . | tail -1")
    lines = r.json["output"].splitlines()
    assert lines[2] == str(os.geteuid()) and lines[3] == "1" and int(lines[4]) > 50 and lines[5:7] == ["cat", "there"], r


# ---- the end ----

def two_killed_at_once(i):
    """The broker and every shepherd get SIGKILL while both are stopped: at one instant."""
    mark = f"{MARK}-round-{i}-"
    lab = Lab(catalog(server_path if i % 5 == 0 else None), state=os.path.join(base, f"round{i}"), hide=[base])
    box = Sandbox(lab, "one")
    daemon = f"(setsid bash -c '(setsid bash -c \"exec -a {mark} sleep 1000\" &) ; exec -a {mark} sleep 1000' &)"
    streams = [box.open() for _ in range(3)]
    for s in streams:
        s.send("POST", "/v1/tools/sh", {"script": f"trap '' TERM HUP; {daemon}; {daemon}; exec -a {mark} sleep 1000"})
    time.sleep(random.uniform(0, 0.08))
    beneath = descendants(lab.process.pid)
    doomed = [lab.process.pid] + [p for p in beneath if is_shepherd(p)]
    for s in (signal.SIGSTOP, signal.SIGKILL):
        for pid in doomed:
            try:
                os.kill(pid, s)
            except ProcessLookupError:
                pass
    lab.process.wait()
    for s in streams:
        s.close()
    assert eventually(lambda: not marked(mark) and not any(map(runs, beneath)), 10), (i, marked(mark))
    return len(beneath)


def is_shepherd(pid):
    p = look.stat(pid)
    return p is not None and p.comm in ("cove-shepherd", "cove-broker")


def runs(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def p16_broker_and_shepherds_killed_in_one_instant():
    most = max(two_killed_at_once(i) for i in range(ROUNDS))
    assert most > 6, f"at most {most} processes were ever there"


TESTS = [p10_a_directory_has_a_bound, p10_temporary_files_are_in_it, p10_a_directory_on_a_disk_is_looked_at,
         p10_a_server_has_one_too, p10_where_nothing_can_be_made, b1_two_runs_do_not_see_each_other,
         b1_rights_of_a_new_namespace_are_no_way, b1_a_server_does_not_see_a_later_run, it_can_be_lifted,
         home_and_machine_are_there, p16_broker_and_shepherds_killed_in_one_instant]
if IS_ROOT and PASS not in os.environ:
    print(f"# pass 1 of 2: root; pass 2: uid {USER}", flush=True)
failed = Tap().run([t for t in TESTS if not sys.argv[1:] or t.__name__ in sys.argv[1:]])
one.close()
two.close()
for made in (base, shared):
    shutil.rmtree(made, ignore_errors=True)
if IS_ROOT and PASS not in os.environ:
    failed |= subprocess.run(["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", sys.executable,
                              *sys.argv], env=os.environ | {PASS: "user", "HOME": "/nonexistent", "CV_BUILD": BUILD},
                             check=False).returncode
sys.exit(1 if failed else 0)
