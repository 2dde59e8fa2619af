#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: p2, n9 and the contract of `cove run`: its exit statuses, timeout, signals and streams; what
the command inherits; which processes it sees and may touch.
Method: real runs; statuses and bytes compared; descriptors and privileges asked for from inside."""
import hashlib
import os
import resource
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import box  # noqa: E402


def statuses(tap, b):
    b.write("not-executable", "#!/bin/sh\n", 0o644)
    b.write("bad-interpreter", "#!/no/such/interpreter\n", 0o755)
    b.write("garbage", "\x01\x02 not a program", 0o755)
    b.write("no-shebang", "exit 7\n", 0o755)
    for name, argv, want in (
            ("true", ["true"], (0,)), ("false", ["false"], (1,)),
            ("exit 42", ["sh", "-c", "exit 42"], (42,)), ("exit 255", ["sh", "-c", "exit 255"], (255,)),
            ("exit 125 of the command's own", ["sh", "-c", "exit 125"], (125,)),
            ("not found", ["no-such-program"], (127,)),
            ("not found by path", ["./no-such-program"], (127,)),
            ("not found in no directory", ["/no/such/program"], (127,)),
            ("not executable", ["./not-executable"], (126,)),
            ("a directory", ["/usr"], (126,)), ("a directory of the workdir", ["."], (126, 127)),
            ("interpreter not found", ["./bad-interpreter"], (126, 127)),
            ("not a program", ["./garbage"], (126, 127)),
            ("an empty word", [""], (127, 126, 2)),
            ("a component that is a file", ["/usr/bin/env/x"], (126, 127))):
        r = b.run(argv)
        tap.result(r.returncode in want, f"status: {name}: {want[0]}", r)
        if want[0] in (126, 127) and name not in ("not a program", "an empty word"):
            tap.result(r.stderr.count("\n") == 1 and r.stderr.startswith("cove"),
                       f"status: {name}: one line that says so", r)
    for number in (1, 2, 3, 6, 9, 11, 13, 15, 10, 31):
        r = b.sh(f"kill -{number} $$; sleep 5")
        tap.result(r.returncode == 128 + number, f"status: killed by {number}: {128 + number}", r)
    r = b.run(["sh", "-c", 'printf "[%s]" "$@"', "sh", "a b", "", "--", "-x", "é\n", "*"])
    tap.result(r.stdout == "[a b][][--][-x][é\n][*]", "arguments arrive as they are", r)


def timeouts(tap, b):
    for name, script in (
            ("sleeps", "sleep 60"),
            ("ignores TERM", "trap '' TERM INT HUP; sleep 60; sleep 60"),
            ("stops itself", "kill -STOP $$; sleep 60"),
            ("has daemons", "(setsid sleep 60 >/dev/null 2>&1 &) ; (setsid sh -c 'trap \"\" TERM; sleep 61; sleep 61' &); sleep 60"),
            ("double-forks and holds stdout", "(setsid sleep 60 &) ; wait; sleep 60"),
            ("spins", "while :; do :; done")):
        start = time.monotonic()
        r = b.sh(script, options=["--timeout", "1s"], timeout=25)
        took = time.monotonic() - start
        tap.result(r.returncode == 124 and 0.9 < took < 20, f"timeout: a command that {name}: 124", r)
        tap.ok(not (left := box.survivors()), f"timeout: a command that {name} leaves nothing", left)
    r = b.sh("exit 3", options=["--timeout", "20s"])
    tap.result(r.returncode == 3, "timeout: not reached, the command's status", r)
    # the command's end ends the run, whatever it left behind
    start = time.monotonic()
    r = b.sh("(setsid sleep 60 &) ; exit 5", timeout=20)
    tap.result(r.returncode == 5 and time.monotonic() - start < 15,
               "a daemon that holds stdout does not keep the run", r)
    tap.ok(not (left := box.survivors()), "and is gone with it", left)


def signals(tap, b):
    trap = ("import os,signal,time\nfor n in (1,2,3,10,12,15,28): signal.signal(n, lambda n,f: "
            "(os.write(1, b'got %d\\n' % n), os._exit(n+50)))\nprint('ready',flush=True)\n"
            "for i in range(200): time.sleep(0.1)")  # a signal right before a sleep does not end that one
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1,
                   signal.SIGUSR2):
        p = b.start(["python3", "-c", trap])
        p.stdout.readline()
        p.send_signal(number)
        out, err = p.communicate(timeout=15)
        want = number + 50
        tap.ok(f"got {int(number)}" in out and p.returncode == want,
               f"signal {number.name} reaches the command, whose status is cove's", (p.returncode, out, err))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        p = b.start(["sleep", "20"])
        box.until(lambda: "sleep" in box.descendants().values())
        p.send_signal(number)
        out, err = p.communicate(timeout=15)
        tap.ok(p.returncode == 128 + number, f"signal {number.name} ends a plain command: {128 + number}",
               (p.returncode, out, err))
    # at any moment: never a hang, never a survivor
    bad = []
    for i in range(30):
        p = b.start(["sleep", "20"])
        time.sleep(i * 0.0005)
        p.send_signal(signal.SIGTERM)
        try:
            p.communicate(timeout=20)
            if p.returncode not in (143, -15, 125):
                bad.append((i, p.returncode))
        except subprocess.TimeoutExpired:
            bad.append((i, "hangs"))
            p.kill()
            p.communicate()
    tap.ok(not bad, "TERM at 30 moments of a start ends the run", bad)
    tap.ok(not (left := box.survivors()), "and leaves nothing", left)


def streams(tap, b):
    data = os.urandom(1 << 20) * 24
    r = b.run(["cat"], input=data, text=False, timeout=60)
    tap.ok(r.returncode == 0 and hashlib.sha256(r.stdout).digest() == hashlib.sha256(data).digest(),
           "24 MB through stdin and stdout, byte for byte", (r.returncode, len(r.stdout), r.stderr[:200]))
    r = b.sh("cat >&2", input=data[: 1 << 20], text=False)
    tap.ok(r.stderr == data[: 1 << 20], "1 MB to stderr", len(r.stderr))
    r = b.sh("echo out; echo err >&2")
    tap.ok((r.stdout, r.stderr) == ("out\n", "err\n"), "stdout and stderr are not mixed", r)
    r = b.run(["head", "-c", "5"], input=data[:100000], text=False)
    tap.ok(r.returncode == 0 and r.stdout == data[:5], "a command that stops reading", r.returncode)
    r = subprocess.run(["/bin/sh", "-c", " ".join(b.argv(["yes"])) + " | head -n 1; exit 0"],
                       capture_output=True, text=True, timeout=20, check=False)
    tap.result(r.stdout == "y\n", "a reader that goes away ends `yes`", r)
    tap.ok(not (left := box.survivors()), "and leaves nothing", left)
    for fds in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
        r = subprocess.run(["/bin/sh", "-c", f"{' '.join(b.argv(['python3', '-c', '0']))} {fds}"],
                           capture_output=True, text=True, timeout=20, check=False)
        tap.result(r.returncode == 0, f"cove started with {fds}", r)
    r = subprocess.run(["/bin/sh", "-c", f"{' '.join(b.argv(['ls', '/proc/self/fd']))} <&- 2>&-"],
                       capture_output=True, text=True, timeout=20, check=False)
    tap.ok(set(r.stdout.split()) <= {"0", "1", "2", "3"}, "closed streams stay closed or are null",
           r.stdout)


def inherited(tap, b):
    secret = os.open(b.write("open-secret", "SECRET", where=b.outside), os.O_RDONLY)
    directory = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    high = 700
    os.dup2(directory, high, inheritable=True)
    listing = ["python3", "-c", "import os\nfor n in os.listdir('/proc/self/fd'):\n"
                                "  try: print(n, os.readlink('/proc/self/fd/'+n))\n  except OSError: pass"]
    r = b.run(listing, pass_fds=(secret, directory, high))
    numbers = {line.split()[0] for line in r.stdout.splitlines()}
    tap.ok(numbers == {"0", "1", "2"}, "n9 descriptors 0, 1, 2 and no other, whatever the caller had open",
           r.stdout + r.stderr)
    for fd in (secret, directory, high):
        os.close(fd)
    # 0, 1, 2 themselves: a directory of the host as stdin would be a way out
    root = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    r = b.sh("ls /proc/self/fd/0/ /dev/stdin/ ; cat /proc/self/fd/0/etc/shadow", stdin=root)
    os.close(root)
    tap.ok("root:" not in r.stdout and "etc" not in r.stdout.split(),
           "n9 a directory of the host as stdin is no way out", r.stdout[:300])
    r = b.run(["python3", "-c",
               "import os\nfd=os.open('.',os.O_RDONLY)\n"
               "try: os.fchdir(0); print('IN', os.listdir('.'))\nexcept OSError as e: print(e.errno)\n"
               "try: print('IN', os.listdir(0))\nexcept OSError as e: print(e.errno)"],
              stdin=(d := os.open(b.outside, os.O_RDONLY | os.O_DIRECTORY)))
    os.close(d)
    tap.ok("IN" not in r.stdout, "n9 nor by fchdir() to it or by listing it", (r.stdout, r.stderr[:200]))
    r = b.run(["env"], env=os.environ | {"SECRET_TOKEN": "SECRET", "LD_PRELOAD": "/nonexistent.so",
                                         "BASH_ENV": "/x", "http_proxy": "http://h:1"})
    tap.ok("SECRET" not in r.stdout and "LD_PRELOAD" not in r.stdout and "h:1" not in r.stdout,
           "the environment is not inherited", r.stdout)
    r = b.run(["sh", "-c", "echo $A-$B-$C"], options=["--env", "A=1", "--env", "B", "--env", "A=2"],
              env=os.environ | {"B": "from-caller", "C": "no"})
    tap.ok(r.stdout == "2-from-caller-\n", "--env sets, passes on, and the later wins", r.stdout)
    r = b.sh("cat /proc/1/cmdline /proc/self/cgroup; cat /proc/1/environ",
             env=os.environ | {"SECRET_TOKEN": "SECRET"})
    tap.ok("SECRET" not in r.stdout, "PID 1 shows nothing of the caller's environment", r.stdout)
    # dispositions and masks
    p = subprocess.run(["/bin/sh", "-c", "trap '' PIPE INT TERM HUP; exec " +
                        " ".join(b.argv(["grep", "Sig", "/proc/self/status"]))],
                       capture_output=True, text=True, timeout=20, check=False)
    masks = dict(line.split(":\t") for line in p.stdout.splitlines())
    tap.ok(masks.get("SigBlk", "x").strip("0") == "", "no signal is blocked", p.stdout)


def privileges(tap, b):
    r = b.sh("cat /proc/self/status; ulimit -c; ulimit -Hc; id -u; cat /proc/self/uid_map")
    status = dict(line.split(":", 1) for line in r.stdout.splitlines() if ":" in line)
    for field in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        tap.ok(status[field].strip("\t0 ") == "", f"{field} is empty", status[field])
    tap.ok(status["NoNewPrivs"].strip() == "1", "p15 no_new_privs")
    tap.ok(status["Seccomp"].strip() == "2", "a seccomp filter is on")
    tap.ok(status["Groups"].split() in ([], ["1000"]), "no supplementary group of the caller",
           status["Groups"])
    tap.ok(r.stdout.split("\n")[-4 - 1:-1][:2] == ["0", "0"] or "\n0\n0\n1000" in r.stdout,
           "p14 no core file", r.stdout[-80:])
    before = set(os.listdir(b.work))
    b.sh("ulimit -c unlimited; sh -c 'kill -SEGV $$'")
    tap.ok(set(os.listdir(b.work)) == before, "p14 a crash leaves no core", os.listdir(b.work))
    r = b.run(["python3", "-c", """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
print("dumpable", libc.prctl(3, 0, 0, 0, 0))
print("pids", sorted(int(n) for n in os.listdir("/proc") if n.isdigit()))
import signal, errno
for pid in (1, -1, 0x7fffffff):
    try:
        if pid == 1:
            os.kill(1, 9); os.kill(1, 19); os.kill(1, 15); print("alive")
    except OSError as e:
        print(pid, errno.errorcode[e.errno])
try:
    open("/proc/1/task/1/comm").read(); print("comm ok")
except OSError as e:
    print("comm", errno.errorcode[e.errno])
for path in ("user", "pid", "mnt", "net", "ipc", "uts", "cgroup"):
    print("ns", path, os.readlink("/proc/self/ns/" + path))
print("host", os.uname().nodename)
print("ppid", os.getppid(), "sid", os.getsid(0))
"""])
    out = r.stdout
    tap.ok("pids [1, " in out and len(out.split("pids [")[1].split("]")[0].split(",")) <= 3,
           "p2 only its own processes are visible", out)
    tap.result(r.returncode == 0, "p2 PID 1 is not killed or stopped from inside", r)
    ours = {name: os.readlink(f"/proc/self/ns/{name}") for name in
            ("user", "pid", "mnt", "net", "ipc", "uts")}
    theirs = {line.split()[1]: line.split()[2] for line in out.splitlines() if line.startswith("ns ")}
    for name, ns in ours.items():
        tap.ok(theirs.get(name, ns) != ns, f"a {name} namespace of its own", theirs)
    tap.ok("host " + os.uname().nodename + "\n" not in out or os.uname().nodename == "cove",
           "the host's name is not seen", out)
    r = b.sh("kill -9 -1; echo still")
    tap.ok(r.returncode in (0, 137), "p2 kill -9 -1 ends at the sandbox's wall", r.returncode)
    tap.ok(os.getpid() > 0, "p2 and the test still lives")
    # orphans are reaped
    r = b.sh("for i in 1 2 3 4 5 6 7 8 9 10; do (true & sleep 0.01 &) ; done; sleep 0.3; "
             "grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l")
    tap.ok(r.stdout.strip() == "0", "orphans are reaped", r.stdout)


def shared_memory(tap, b):
    """System V and POSIX objects of the host are not there."""
    made = subprocess.run(["ipcmk", "-M", "4096"], capture_output=True, text=True, check=False)
    number = made.stdout.split()[-1] if made.stdout else "?"
    r = b.sh("ipcs -m | grep -c 0x")
    tap.ok(r.stdout.strip() == "0", "no System V memory of the host", r.stdout)
    subprocess.run(["ipcrm", "-m", number], capture_output=True, check=False)


def main(tap, b):
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    statuses(tap, b)
    timeouts(tap, b)
    signals(tap, b)
    streams(tap, b)
    inherited(tap, b)
    privileges(tap, b)
    shared_memory(tap, b)


if __name__ == "__main__":
    box.each_user(main)
