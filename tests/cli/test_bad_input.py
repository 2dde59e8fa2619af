#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: bad input of any kind is a line that says what is wrong and what to do, with exit status 2 or
125, and nothing is started.
Method: each kind once.  The command would leave a file in the working directory: there must be none;
stdout must be empty; and it must be quick."""
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import box  # noqa: E402

NETWORK = """\
version: 1
network_policies:
  a:
    endpoints: [{host: a.example.test, port: 443}]
    binaries: [{path: /usr/bin/curl}]
"""
GOOD = "version: 1\nnetwork_policies: {}\n"


def main(tap, b):
    def put(name, text, mode=0o644):
        path = os.path.join(b.outside, name)
        with open(path, "wb") as f:
            f.write(text if isinstance(text, bytes) else text.encode())
        os.chmod(path, mode)
        return path

    good = put("good.yaml", GOOD)
    network = put("network.yaml", NETWORK)
    fifo = os.path.join(b.outside, "fifo")
    os.mkfifo(fifo)
    loop = os.path.join(b.outside, "loop")
    os.symlink("loop", loop)
    hidden = put("unreadable.yaml", GOOD, 0)
    locked = os.path.join(b.dir, "locked")
    os.mkdir(locked, 0o700)
    many = "version: 1\nnetwork_policies:\n" + "".join(
        f"  p{i}: {{endpoints: [{{host: h{i}.example.test, port: 443}}]}}\n" for i in range(160000))
    deep = "version: 1\nnetwork_policies: " + "[" * 200000
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [" + ",".join([f"*{chr(97 + i)}"] * 9) + "]\n" for i in range(12))
    mark = ["touch", "STARTED"]

    rows = [
        # name, arguments of cove, statuses, words one of which its line must have
        ("no argument at all", [], (2,), ("run", "command")),
        ("unknown command", ["rnu", "--", "true"], (2,), ("rnu",)),
        ("unknown flag", ["run", "--polcy", good, "--", *mark], (2,), ("polcy",)),
        ("unknown short flag", ["run", "-Z", "--", *mark], (2,), ("Z",)),
        ("no command", ["run"], (2,), ("command",)),
        ("no command after --", ["run", "--"], (2,), ("command",)),
        ("an empty command", ["run", "--", ""], (2, 127), ("command", "not found")),
        ("a flag without its value", ["run", "--policy"], (2,), ("policy",)),
        ("a value for a flag that has none", ["run", "--quiet=yes", "--", *mark], (2,), ("quiet",)),
        ("policy missing", ["run", "--policy", "/no/such.yaml", "--", *mark], (2, 125), ("/no/such.yaml",)),
        ("policy is a directory", ["run", "--policy", b.outside, "--", *mark], (2, 125), ("directory",)),
        ("policy is a FIFO", ["run", "--policy", fifo, "--", *mark], (2, 125), ("fifo",)),
        ("policy is a device", ["run", "--policy", "/dev/zero", "--", *mark], (2, 125), ("/dev/zero",)),
        ("policy is a loop of links", ["run", "--policy", loop, "--", *mark], (2, 125), ("loop",)),
        ("policy empty", ["run", "--policy", put("empty.yaml", ""), "--", *mark], (2, 125), ("empty",)),
        ("policy of blanks", ["run", "--policy", put("blank.yaml", " \n\n#x\n"), "--", *mark], (2, 125),
         ("blank",)),
        ("policy of 10 MB", ["run", "--policy", put("big.yaml", many[:10 << 20]), "--", *mark], (2, 125),
         ("big",)),
        ("policy of 10 MB in one word", ["run", "--policy", put("word.yaml", "a" * (10 << 20)), "--", *mark],
         (2, 125), ("word",)),
        ("policy of 200,000 brackets", ["run", "--policy", put("deep.yaml", deep), "--", *mark], (2, 125),
         ("deep",)),
        ("policy that grows by aliases", ["run", "--policy", put("bomb.yaml", bomb), "--", *mark],
         (2, 125), ("bomb",)),
        ("policy with a NUL", ["run", "--policy", put("nul.yaml", "version: 1\n\0network_policies: {}\n"),
                               "--", *mark], (2, 125), ("nul.yaml:2", "NUL", "U+0000", "null byte")),
        ("policy that is not UTF-8", ["run", "--policy", put("latin.yaml", b"version: 1\n# \xff\xfe\nx: \xe9\n"),
                                      "--", *mark], (2, 125), ("latin",)),
        ("policy in UTF-16", ["run", "--policy", put("utf16.yaml", GOOD.encode("utf-16")), "--", *mark],
         (2, 125), ("utf16",)),
        ("policy that is an image", ["run", "--policy", put("x.png", b"\x89PNG\r\n\x1a\n" + os.urandom(400)),
                                     "--", *mark], (2, 125), ("x.png",)),
        ("policy with an unknown key", ["run", "--policy", put("key.yaml", GOOD + "netwrok: {}\n"), "--",
                                        *mark], (2, 125), ("key.yaml:3",)),
        ("policy with a key twice", ["run", "--policy", put("twice.yaml", GOOD + "version: 1\n"), "--",
                                     *mark], (2, 125), ("twice.yaml:3",)),
        ("policy of version 2", ["run", "--policy", put("v2.yaml", "version: 2\n"), "--", *mark], (2, 125),
         ("v2.yaml:1",)),
        ("policy of two documents", ["run", "--policy", put("two.yaml", GOOD + "---\n" + GOOD), "--", *mark],
         (2, 125), ("two.yaml",)),
        ("policy with what is not enforced yet",
         ["run", "--policy", put("ql.yaml", "version: 1\nnetwork_policies:\n  a:\n    endpoints:\n      - "
          "{host: a.example.test, port: 443, protocol: graphql, access: full}\n    binaries: "
          "[{path: /usr/bin/curl}]\n"), "--", *mark], (2, 125), ("graphql",)),
        ("workdir missing", ["run", "--workdir", "/no/such", "--", *mark], (2, 125), ("/no/such",)),
        ("workdir is a file", ["run", "--workdir", good, "--", *mark], (2, 125), ("director",)),
        ("workdir empty", ["run", "--workdir", "", "--", *mark], (2, 125), ("workdir", "directory")),
        ("policy named by nothing", ["run", "--policy", "", "--", *mark], (2,), ("empty",)),
        ("policy with one error", ["run", "--policy", put("one.yaml", GOOD + "unknown: 1\n"), "--", *mark], (2, 125),
         (": 1 error; nothing was started",)),
        ("root file system named by nothing", ["run", "--from", "", "--", *mark], (2,), ("empty",)),
        ("root file system is the host's root", ["run", "--from", "/usr/..", "--", *mark], (2,),
         ("--from can't be /",)),
        ("root file system missing", ["run", "--from", "/no/such", "--", *mark], (2, 125), ("/no/such",)),
        ("root file system is a file", ["run", "--from", good, "--", *mark], (2, 125), ("director",)),
        ("root file system without programs", ["run", "--from", b.outside, "--", *mark], (2, 125, 127),
         ("touch", "usr")),
        ("mount source missing", ["run", "--mount", "/no/such:/x", "--", *mark], (2, 125), ("/no/such",)),
        ("mount without target", ["run", "--mount", b.outside, "--", *mark], (2,), ("mount", "SRC:DST")),
        ("mount to a relative path", ["run", "--mount", f"{b.outside}:x", "--", *mark], (2, 125), ("x",)),
        ("mount with ..", ["run", "--mount", f"{b.outside}:/a/../etc", "--", *mark], (2, 125), ("..",)),
        ("mount with an unknown mode", ["run", "--mount", f"{b.outside}:/x:rx", "--", *mark], (2,), ("rx",)),
        ("mount over /proc", ["run", "--mount", f"{b.outside}:/proc", "--", *mark], (2, 125), ("/proc",)),
        ("mount over /dev/null", ["run", "--mount", f"{good}:/dev/null", "--", *mark], (2, 125), ("/dev",)),
        ("mount over /", ["run", "--mount", f"{b.outside}:/", "--", *mark], (2, 125), ("/",)),
        ("mount of all of the host", ["run", "--mount", "/:/host:ro", "--", *mark], (2,), ("all of the host",)),
        ("mount over the working directory", ["run", "--workdir", b.work, "--mount", f"{b.outside}:{b.dir}:ro", "--",
                                              *mark], (2,), ("working directory",)),
        ("mount of the host's /proc", ["run", "--mount", "/proc:/p", "--", *mark], (2, 125), ("/proc",)),
        ("tier not reachable", ["run", "--require", "vm", "--", *mark], (2, 125), ("vm", "--require")),
        ("tier unknown", ["run", "--require", "moon", "--", *mark], (2,), ("moon",)),
        ("user unknown", ["run", "--user", "no-such-user", "--", *mark], (2, 125), ("no-such-user",)),
        ("user too large", ["run", "--user", "4294967295", "--", *mark], (2, 125), ("4294967295",)),
        ("user negative", ["run", "--user=-1", "--", *mark], (2, 125), ("-1",)),
        ("environment without a name", ["run", "--env", "=x", "--", *mark], (2,), ("env", "name", "=x")),
        ("audit file's directory missing", ["run", "--audit", "/no/such/a.jsonl", "--", *mark], (2, 125),
         ("/no/such",)),
        ("audit file is a directory", ["run", "--audit", b.outside, "--", *mark], (2, 125), ("director",)),
        ("audit file has no room", ["run", "--audit", "/dev/full/x", "--", *mark], (2, 125), ("/dev/full",)),
        ("CA missing", ["run", "--policy", network, "--ca", "/no/such.pem", "--", *mark], (2, 125), ("/no/such",)),
        ("CA is no certificate", ["run", "--policy", network, "--ca", good, "--", *mark], (2, 125),
         ("good.yaml", "certificate")),
        ("pin without an address", ["run", "--resolve", "h:443", "--", *mark], (2,), ("resolve", "h:443")),
        ("pin with a bad address", ["run", "--resolve", "h:443:1.2.3.999", "--", *mark], (2,), ("1.2.3.999",)),
        ("a pin too many", ["run", *(["--resolve", "h:443:1.2.3.4"] * 257), "--", *mark], (2,), ("more than 256",)),
        ("pin with a bad port", ["run", "--resolve", "h:70000:1.2.3.4", "--", *mark], (2,), ("70000",)),
        ("pin with a pattern", ["run", "--policy", network, "--resolve", "*:443:1.2.3.4", "--", *mark], (2,), ("*:443",)),
        ("pin with a host that is none", ["run", "--policy", network, "--resolve", "a b:443:1.2.3.4", "--", *mark], (2,),
         ("a b:443",)),
        ("terminal and none", ["run", "--tty", "--no-tty", "--workdir", b.work, "--", "true"], (0, 2), ("",)),
        ("a megabyte of an argument", ["run", "--workdir", b.work, "--env", "A=" + "x" * 120000, "--", "true"],
         (0, 2, 125), ("",)),
        ("control characters in a name", ["run", "--policy", "/no/\x1b]0;owned\x07.yaml", "--", *mark],
         (2, 125), ("owned",)),
        ("check: no file", ["policy", "check"], (2,), ("file", "FILE")),
        ("check: missing", ["policy", "check", "/no/such"], (2, 125), ("/no/such",)),
        ("check: a directory", ["policy", "check", b.outside], (2, 125), ("director",)),
        ("explain: no host", ["policy", "explain", good], (2,), ("host",)),
        ("explain: a bad port", ["policy", "explain", good, "--host", "a", "--port", "0"], (2,), ("port", "0")),
        ("explain: a bad query", ["policy", "explain", good, "--host", "a b", "--port", "1"], (2,), ("a b", "host")),
        ("doctor: unknown tier", ["doctor", "--require", "moon"], (2,), ("moon",)),
        ("unknown output", ["policy", "check", "-o", "xml", good], (2,), ("xml",)),
    ]
    if os.geteuid() != 0:  # root reads everything
        rows.append(("policy not readable", ["run", "--policy", hidden, "--", *mark], (2, 125),
                     ("ermission",)))
        rows.append(("workdir not allowed", ["run", "--workdir", "/root", "--", *mark], (2, 125),
                     ("/root",)))
        rows.append(("audit file not writable", ["run", "--audit", "/etc/cove-test", "--", *mark], (2, 125),
                     ("ermission",)))
        rows.append(("mount source not allowed", ["run", "--mount", "/root/x:/x", "--", *mark], (2, 125),
                     ("/root",)))
    long_ones = []
    for name, argv, statuses, words in rows:
        start = time.monotonic()
        try:
            r = subprocess.run([box.COVE, *argv], cwd=b.work, capture_output=True, timeout=20, check=False,
                               stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            tap.ok(False, f"{name}: refused", "hangs")
            continue
        took = time.monotonic() - start
        err = r.stderr.decode("utf-8", "replace")
        is_started = os.path.exists(b.path("STARTED"))
        tap.ok(r.returncode in statuses and not is_started and took < 15 and
               any(w in err for w in words) and (0 in statuses or not r.stdout.strip() or "policy" == argv[0]),
               f"{name}: {statuses[0]}, a word about it, nothing started",
               f"status {r.returncode}, {took:.1f} s, started {is_started}, stdout {r.stdout[:200]}, "
               f"stderr {err[:300]!r}")
        if "\x1b" in err:
            tap.ok(False, f"{name}: no escape sequence reaches the terminal", repr(err[:200]))
        # a policy's findings have a line each, and the help is the answer to saying nothing
        lines = [n for n in err.splitlines() if ": error: " not in n and "more findings" not in n]
        if r.returncode and argv and len(lines) != 1:
            long_ones.append((name, len(lines), err[:160]))
        if is_started:
            os.unlink(b.path("STARTED"))
    tap.ok(not long_ones, "each says it in one line",
           "\n".join(map(str, long_ones)))
    tap.ok(not (left := box.survivors(1)), "nothing was left running", left)
    tap.ok(os.listdir(b.work) == [], "nothing is left in the working directory", os.listdir(b.work))


if __name__ == "__main__":
    box.each_user(main)
