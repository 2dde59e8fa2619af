#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: sandboxes by the command line: made, shown, used, filled, emptied, stopped, deleted, with the words
and statuses that tools match on.
Method: the client against a real cove-gateway over TLS, and real sandboxes."""
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import http.client

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import clientlab  # noqa: E402
import gatewaylab  # noqa: E402
import ports  # noqa: E402
import world  # noqa: E402
from gatewaylab import until  # noqa: E402

tap = world.Tap()
g = gatewaylab.Gateway(config={"images": {"mine": "host"}})
c = clientlab.Client(g)
work = os.path.join(g.directory, "work")
os.makedirs(work)
MIB = 1 << 20
UMASK = os.umask(0o022)
os.umask(UMASK)


def check(f):
    tap.check(f.__name__.replace("_", " "), f)


def sh(script, status=0, stdin=b"", flags=(), **kw):
    return c("sandbox", "exec", "--name", "box", "--no-tty", *flags, "--", "sh", "-c", script,
             status=status, stdin=stdin, **kw)


def path(*parts):
    return os.path.join(work, *parts)


def write(name, data, mode=0o644):
    os.makedirs(os.path.dirname(path(name)), exist_ok=True)
    with open(path(name), "wb") as f:
        f.write(data)
    os.chmod(path(name), mode)


def read(name):
    with open(path(name), "rb") as f:
        return f.read()


# ---- life ----

def create_as_older_scripts_do_it():
    said = c("sandbox", "create", "--name", "box", "--keep", "--no-auto-providers", "--no-tty",
             "--label", "team=a", "--", "true")
    assert said.stdout == "Created sandbox: box\n", said.stdout
    assert re.search(r"^\[\d+\.\ds\] Requesting compute\.\.\.$", said.stderr, re.M), said.stderr
    assert re.search(r"^\[\d+\.\ds\] Sandbox ready$", said.stderr, re.M)
    assert "\033" not in said.stdout + said.stderr
    again = c("sandbox", "create", "--name", "box", "--", "true", status=1, program="openshell").stderr
    assert "sandbox 'box' already exists" in again
    assert "hint: delete it first with: openshell sandbox delete box" in again


def from_an_image_of_the_gateway():
    """`cove` sends a name as it is, `openshell` as the community's."""
    assert c("sandbox", "create", "--name", "mine", "--from", "mine").stdout == "Created sandbox: mine\n"
    said = c("sandbox", "create", "--name", "other", "--from", "mine", program="openshell", status=1).stderr
    assert "ghcr.io/nvidia/openshell-community/sandboxes/mine:latest" in said, said
    c("sandbox", "delete", "mine", "other")


def get_and_list_in_all_forms():
    text = c("sandbox", "get", "box").stdout
    assert text.startswith("Sandbox:\n")
    for want in ("  Id: ", "  Name: box\n", "  Phase: Ready\n", "  Resource version: ",
                 "  Labels: team=a\n", "  Annotations: ", "  Policy source: sandbox\n", "  Revision: "):
        assert want in text, (want, text)
    v = json.loads(c("sandbox", "get", "box", "-o", "json").stdout)
    assert list(v) == ["id", "name", "workspace", "labels", "annotations", "resource_version",
                       "created_at", "phase", "current_policy_version", "policy_source", "revision",
                       "policy"], list(v)
    rows = json.loads(c("sandbox", "list", "-o", "json").stdout)
    assert [r["name"] for r in rows] == ["box"] and rows[0]["id"] == v["id"]
    table = c("sandbox", "list").stdout.splitlines()
    assert table[0].split() == ["NAME", "CREATED", "PHASE"]
    assert re.fullmatch(r"box +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d +Ready", table[1]), table
    assert c("sb", "list", "--names", "--all-workspaces").stdout == "default/box\n"
    assert c("sb", "list", "--ids").stdout.strip() == v["id"]
    assert json.loads(c("sb", "list", "--ids", "-o", "json").stdout) == [v["id"]]
    assert json.loads(c("sb", "list", "--names", "-o", "json").stdout) == ["box"]
    assert c("sb", "list", "--names", "-o", "yaml").stdout == "- box\n"
    assert json.loads(c("sb", "list", "--names", "--all-workspaces", "-o", "json").stdout) == ["default/box"]
    assert c("sandbox", "list", "--selector", "team=b").stdout == "No sandboxes found.\n"
    assert "name: box" in c("sandbox", "list", "-o", "yaml").stdout
    assert c("sandbox", "get", "none", status=1).stderr == "Error: sandbox not found\n"


def a_failure_says_why():
    """In all forms, and in the gateway's own log."""
    c("sandbox", "create", "--name", "failed", "--no-tty", "--detach", "--", "nosuchcmd", status=None)
    gatewaylab.until(lambda: "Phase: Error" in c("sandbox", "get", "failed").stdout)
    text = c("sandbox", "get", "failed").stdout
    assert re.search(r"^  Reason: SandboxFailed\n  Message: .*nosuchcmd.*\n", text, re.M), text
    v = json.loads(c("sandbox", "get", "failed", "-o", "json").stdout)
    assert v["reason"] == "SandboxFailed" and "nosuchcmd" in v["message"] and "exit_code" not in v, v
    assert "reason: SandboxFailed" in c("sandbox", "get", "failed", "-o", "yaml").stdout
    lines = [line for line in g.lines if "SandboxFailed" in line and "WARN" in line]
    assert len(lines) == 1 and "name=failed" in lines[0] and "nosuchcmd" in lines[0], lines
    c("sandbox", "create", "--name", "seven", "--no-tty", "--detach", "--", "/bin/sh", "-c", "exit 7", status=None)
    gatewaylab.until(lambda: "Phase: Error" in c("sandbox", "get", "seven").stdout)
    v = json.loads(c("sandbox", "get", "seven", "-o", "json").stdout)
    assert (v["reason"], v["message"], v["exit_code"]) == ("MainProcessExited", "Main process exited with code 7", 7), v
    assert g.logged("Main process exited with code 7")
    c("sandbox", "delete", "failed", "seven")


def the_last_one_is_used():
    said = c("sandbox", "get")
    assert "→ Using sandbox 'box' (last used)" in said.stderr and "Ready" in said.stdout


# ---- commands ----

def exec_keeps_streams_apart_and_the_status():
    done = sh("echo out; echo err >&2; exit 7", status=7)
    assert (done.stdout, done.stderr) == ("out\n", "err\n")
    assert sh("cat", stdin=b"a\0b\xff" * 1000, text=False).stdout == b"a\0b\xff" * 1000
    assert sh("pwd; echo $X", flags=["--workdir", "/tmp", "--env", "X=a b"]).stdout == "/tmp\na b\n"
    sh("mkdir -p rel/deep")
    assert sh("pwd", flags=["--workdir", "rel/deep"]).stdout == "/sandbox/rel/deep\n"
    begun = time.monotonic()
    sh("sleep 100", status=124, flags=["--timeout", "1"])
    assert time.monotonic() - begun < 15


def exec_streams_stdin():
    """An open pipe holds nothing back: what is written is there before its end."""
    p = c.start("sandbox", "exec", "-n", "box", "--no-tty", "--", "cat")
    p.stdin.write(b"first\n")
    p.stdin.flush()
    assert p.stdout.readline() == b"first\n"
    p.stdin.write(b"second\n")
    out, _ = p.communicate(timeout=20)
    assert out == b"second\n" and p.returncode == 0


def exec_takes_much_both_ways():
    data = os.urandom(24 * MIB)
    done = sh("cat", stdin=data, text=False, timeout=120)
    assert done.stdout == data


def a_shut_reader_ends_it():
    p = c.start("sandbox", "exec", "-n", "box", "--no-tty", "--", "yes", stdin=subprocess.DEVNULL)
    p.stdout.read(10)
    p.stdout.close()
    assert p.wait(30) != 0 and not p.stderr.read()


def sigint_ends_it():
    p = c.start("sandbox", "exec", "-n", "box", "--no-tty", "--", "sh", "-c", "echo on; sleep 1000",
                stdin=subprocess.DEVNULL)
    assert p.stdout.readline() == b"on\n"
    p.send_signal(signal.SIGINT)
    assert p.wait(20) == -signal.SIGINT


def a_terminal_is_raw_and_comes_back():
    import pty
    import termios
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    p = c.start("sandbox", "exec", "-n", "box", "--", "sh", "-c",
                "test -t 0 && stty size && read x && echo got=$x",
                stdin=theirs, stdout=theirs, stderr=theirs)
    seen = b""
    while b"24 80" not in seen:
        seen += os.read(ours, 4096)
    os.write(ours, b"hello\r")
    while b"got=hello" not in seen:
        seen += os.read(ours, 4096)
    assert p.wait(20) == 0
    assert termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)


# ---- files ----

def a_file_lands_exactly_where_it_is_told():
    write("one.sh", b"#!/bin/sh\necho hi\n", 0o755)
    said = c("sandbox", "upload", "box", path("one.sh"), "/sandbox/x/y.sh")
    assert said.stderr == f"Uploading {path('one.sh')} -> sandbox:/sandbox/x/y.sh\n✓ Upload complete\n"
    assert sh("/sandbox/x/y.sh; ls -A /sandbox/x").stdout == "hi\ny.sh\n"
    c("sandbox", "upload", "box", path("one.sh"), "/sandbox/x/")
    c("sandbox", "upload", "box", path("one.sh"), "/sandbox/x")
    assert sh("ls -A /sandbox/x").stdout == "one.sh\ny.sh\n"
    assert "No such file" in c("sandbox", "upload", "box", path("none"), "/x", status=1).stderr
    assert "failed" in c("sandbox", "upload", "box", path("one.sh"), "/usr/x", status=1).stderr


def a_large_file_goes_and_comes():
    data = os.urandom(40 * MIB)
    write("large", data)
    c("sandbox", "upload", "box", path("large"), "/sandbox/large", timeout=120)
    assert int(sh("wc -c </sandbox/large").stdout) == len(data)
    c("sandbox", "download", "box", "/sandbox/large", path("back/large"), timeout=120)
    assert read("back/large") == data


def a_directory_keeps_links_modes_and_empty_directories():
    write("tree/run", b"x", 0o755)
    write("tree/deep/er/file", b"y" * 5000, 0o600)
    write("tree/" + "n" * 120 + "/" + "m" * 120, b"long")
    os.makedirs(path("tree/empty"))
    os.symlink("deep/er/file", path("tree/link"))
    os.symlink("/nowhere", path("tree/dangling"))
    c("sandbox", "upload", "box", path("tree"), "/sandbox/in")
    assert sh("cd /sandbox/in/tree && stat -c %a run deep/er/file && readlink link dangling && ls -d empty"
              ).stdout == "755\n600\ndeep/er/file\n/nowhere\nempty\n"
    said = c("sandbox", "download", "box", "/sandbox/in/tree", path("got"))
    assert "✓ Download complete" in said.stderr
    assert os.readlink(path("got/link")) == "deep/er/file" and os.path.isdir(path("got/empty"))
    assert os.readlink(path("got/dangling")) == "/nowhere"
    assert os.stat(path("got/run")).st_mode & 0o777 == 0o755
    assert read("got/deep/er/file") == b"y" * 5000
    assert read("got/" + "n" * 120 + "/" + "m" * 120) == b"long"


def directories_that_are_shut_stay_so(is_git=False):
    """Nothing could be put into them when they have their mode; and it goes twice, each way."""
    write("shut/in/side/file", b"f")
    write("shut/private/file", b"p")
    write("shut/side", b"s")
    if is_git:
        subprocess.run(["git", "init", "-q", path("shut")], check=True)
    shut = {"shut": 0o500, "shut/in": 0o555, "shut/in/side": 0o511, "shut/private": 0o700}
    for name, mode in shut.items():
        os.chmod(path(name), mode)
    modes = "".join(f"{m:o} {n}\n" for n, m in shut.items())
    for _ in range(2):
        c("sandbox", "upload", "box", path("shut"), "/sandbox/kept")
        said = sh("cd /sandbox/kept && stat -c '%a %n' " + " ".join(shut) + "; cat shut/in/side/file; ls -A").stdout
        assert said == modes + "fshut\n", said
        c("sandbox", "download", "box", "/sandbox/kept", path("kept"))
        for name, mode in shut.items():
            assert os.stat(path("kept/" + name)).st_mode & 0o777 == mode & ~UMASK, name
        assert read("kept/shut/in/side/file") == b"f" and read("kept/shut/side") == b"s"
    sh("chmod -R u+w /sandbox/kept && rm -r /sandbox/kept")
    for name in [*shut, *("kept/" + n for n in shut)]:
        os.chmod(path(name), 0o755)
    shutil.rmtree(path("kept"))
    shutil.rmtree(path("shut"))


def directories_that_git_does_not_list_have_their_modes():
    directories_that_are_shut_stay_so(is_git=True)


def git_chooses_what_goes_and_says_what_does_not():
    write("repo/.gitignore", b"*.o\nbuild/\n")
    write("repo/a.c", b"a")
    write("repo/a.o", b"o")
    write("repo/build/out", b"b")
    env = dict(os.environ, GIT_CONFIG_GLOBAL="/dev/null")
    subprocess.run(["git", "init", "-q", path("repo")], check=True, env=env)
    # a stranger's repository runs nothing here
    subprocess.run(["git", "-C", path("repo"), "config", "core.fsmonitor", f"touch {path('ran')}; false"],
                   check=True, env=env)
    said = c("sandbox", "upload", "box", path("repo"), "/sandbox")
    assert sh("cd /sandbox/repo && find . -type f | sort").stdout == "./.gitignore\n./a.c\n"
    assert "2 ignored by git and left out" in said.stderr, said.stderr
    assert not os.path.exists(path("ran"))
    c("sandbox", "upload", "box", path("repo"), "/sandbox/all", "--no-git-ignore")
    assert "./a.o" in sh("cd /sandbox/all/repo && find . -type f").stdout


def what_tools_say_there_is_readable():
    """Also where they would speak another language: their lines are lines, and no name is one of ours."""
    speaks = {"LC_ALL": "C.UTF-8"}
    c("sandbox", "create", "--name", "speaks", "--env", "LC_ALL=C.UTF-8", "--env", "LANG=C.UTF-8")

    def fails(*words):
        said = c("sandbox", *words, status=1, env=speaks).stderr
        assert "\\u{" not in said and ".upload." not in said and "\u2018" not in said, said
        return said
    write("told/a", b"a")
    assert "/proc/x" in fails("upload", "speaks", path("told/a"), "/proc/x/y")
    assert "/proc/told" in fails("upload", "speaks", path("told"), "/proc")
    # directories with something in them where files are to be
    for name in ("d1/f", "d2/f"):
        write("told/" + name, b"x")
    c("sandbox", "exec", "-n", "speaks", "--no-tty", "--", "sh", "-c",
      "mkdir -p told/a/x told/d1/f/x")
    said = fails("upload", "speaks", path("told"), "/sandbox")
    assert re.search(r"^  tar: told/d1/f: ", said, re.M), said
    assert "/sandbox/none" in fails("download", "speaks", "/sandbox/none", path("none"))
    # names are bytes, whatever language tools speak
    long = "\u00fc" * 60 + "/" + "\u00e4" * 60
    write("names/" + long, b"x")
    c("sandbox", "upload", "speaks", path("names"), "/sandbox")
    c("sandbox", "download", "speaks", "/sandbox/names", path("again"))
    assert read("again/" + long) == b"x"
    c("sandbox", "delete", "speaks")


def download_refuses_what_is_outside():
    sh("ln -s /etc /sandbox/out")
    for p in ("/etc/passwd", "/sandbox/out/passwd", "/sandbox/../etc"):
        assert "outside the workspace" in c("sandbox", "download", "box", p, path("no"), status=1).stderr
    assert not os.path.exists(path("no"))
    c("sandbox", "download", "box", "/sandbox/none", path("no"), status=1)
    sh("echo one >/sandbox/f")
    os.makedirs(path("into"))
    c("sandbox", "download", "box", "/sandbox/f", path("into"))
    assert read("into/f") == b"one\n"


def s_a_link_that_is_here_already_is_not_followed():
    """The archive's directory `d` meets a link `d` of ours: nothing is written where it leads."""
    sh("mkdir -p /sandbox/trap/d && echo bad >/sandbox/trap/d/file")
    os.makedirs(path("target"))
    os.makedirs(path("place"))
    os.symlink(path("target"), path("place/d"))
    assert "failed" in c("sandbox", "download", "box", "/sandbox/trap", path("place"), status=1).stderr
    assert os.listdir(path("target")) == []


def s_one_file_is_one_file():
    """A sandbox whose own programs answer: who wanted one file gets that name or nothing."""
    c("sandbox", "create", "--name", "liar", "--env", "PATH=/sandbox/bin:/usr/bin:/bin", "--detach", "--", "sleep", "600")

    def run(script, stdin=b""):
        c("sandbox", "exec", "--name", "liar", "--no-tty", "--", "sh", "-c", script, stdin=stdin)

    def archive(*entries):
        b = io.BytesIO()
        with tarfile.open(fileobj=b, mode="w") as t:
            for name, kind, link in entries:
                e = tarfile.TarInfo(name)
                e.type, e.linkname, e.mode = kind, link, 0o777
                e.size = 4 if kind == tarfile.REGTYPE else 0
                t.addfile(e, io.BytesIO(b"evil"))
        run("cat >/sandbox/evil", b.getvalue())

    def get(source, *dest, status):
        here = tempfile.mkdtemp(dir=work)
        with open(here + "/precious", "w") as f:
            f.write("precious")
        done = c("sandbox", "download", "liar", source, *dest, status=status, cwd=here)
        assert open(here + "/precious").read() == "precious" and os.stat(here + "/precious").st_nlink == 1
        return sorted(os.listdir(here)), done.stderr, here
    run("mkdir -p /sandbox/bin /sandbox/dir; echo x >/sandbox/report.txt; "
        "printf '#!/bin/sh\\ncat /sandbox/evil\\n' >/sandbox/bin/tar; chmod +x /sandbox/bin/tar")
    archive((".bashrc", tarfile.REGTYPE, ""))
    for dest in ((), (".",), ("./",)):
        assert get("/sandbox/report.txt", *dest, status=0)[0] == ["precious", "report.txt"]
    assert get("/sandbox/report.txt", "other", status=0)[0] == ["other", "precious"]
    archive(("a", tarfile.REGTYPE, ""), (".bashrc", tarfile.REGTYPE, ""))
    names, said, _ = get("/sandbox/report.txt", status=1)
    assert names == ["precious", "report.txt"] and "something else" in said, (names, said)
    archive(("precious", tarfile.SYMTYPE, "/etc"))
    assert get("/sandbox/report.txt", status=1)[0] == ["precious"]
    # and a directory only where one was named
    archive((".bashrc", tarfile.REGTYPE, ""))
    run("printf '#!/bin/sh\\necho /sandbox/dir\\n' >/sandbox/bin/realpath; chmod +x /sandbox/bin/realpath")
    names, said, _ = get("/sandbox/report.txt", status=1)
    assert names == ["precious"] and "is a directory" in said, (names, said)
    assert get("/sandbox/dir", ".", status=0)[0] == [".bashrc", "precious"]
    # what lies there gets no second name; what came does
    archive(("h", tarfile.LNKTYPE, "precious"))
    assert get("/sandbox/dir", ".", status=1)[0] == ["precious"]
    archive(("a", tarfile.REGTYPE, ""), ("h", tarfile.LNKTYPE, "a"))
    names, _, here = get("/sandbox/dir", ".", status=0)
    assert names == ["a", "h", "precious"] and os.stat(here + "/a").st_nlink == 2
    assert os.stat(here + "/a").st_mode & 0o777 == 0o777 & ~UMASK, "others may not write because a stranger says so"
    archive(*[("fifo-%d" % i, tarfile.FIFOTYPE, "") for i in range(2000)])
    names, said, _ = get("/sandbox/dir", ".", status=0)
    assert names == ["precious"] and said.count("left out") == 20 and "1980 more" in said, said
    c("sandbox", "delete", "liar")


def openshell_takes_a_directory_without_a_destination():
    """Where we are, as scripts for it expect; nothing is written elsewhere all the same."""
    here = tempfile.mkdtemp(dir=work)
    sh("mkdir -p /sandbox/tree/sub && echo a >/sandbox/tree/a && echo b >/sandbox/tree/sub/b")
    assert "is a directory" in c("sandbox", "download", "box", "/sandbox/tree", status=1, cwd=here).stderr
    c("sandbox", "download", "box", "/sandbox/tree", program="openshell", cwd=here)
    assert sorted(os.listdir(here)) == ["a", "sub"] and os.listdir(here + "/sub") == ["b"]


def s_an_upload_takes_what_is_meant():
    """Links of ours stay links, and what is no file stays here."""
    write("secret/key", b"secret")
    write("sent/a", b"a")
    os.symlink(path("secret"), path("sent/dir"))
    os.symlink(path("secret/key"), path("sent/file"))
    os.mkfifo(path("sent/fifo"))
    said = c("sandbox", "upload", "box", path("sent"), "/sandbox/took", timeout=20).stderr
    assert "is no file, directory or link" in said, said
    assert sh("cd /sandbox/took/sent && ls -A && cat file dir/key 2>/dev/null || true").stdout == "a\ndir\nfile\n"
    # again, over what is there: not into it
    c("sandbox", "upload", "box", path("sent"), "/sandbox/took")
    assert sh("ls -A /sandbox/took /sandbox/took/sent").stdout.count("sent") == 2
    # one that fails leaves nothing half
    assert "failed" in c("sandbox", "upload", "box", path("sent/a"), "/proc/x/y", status=1).stderr
    assert ".upload." not in sh("find /sandbox -name '.upload.*'").stdout


# ---- ports ----

PORT = ports.free()
SERVER = r'''
import http.server, sys
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = self.path.encode(); self.send_response(200 if self.path != "/no" else 404)
        self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])); self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked"); self.end_headers()
        self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
    def log_message(self, *a): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), H).serve_forever()
'''


def with_a_server(f):
    p = c.start("sandbox", "exec", "-n", "box", "--no-tty", "--", "python3", "-c",
                SERVER, str(PORT), stdin=subprocess.DEVNULL)
    try:
        for _ in range(100):
            if c("invoke", "box", "--port", str(PORT), status=None).returncode == 0:
                break
            time.sleep(0.1)
        f()
    finally:
        p.kill()
        p.communicate()


def what_is_cut_off_leaves_nothing():
    """A client that is killed leaves no part of a file there, and one that is ended none here."""
    with open(path("huge"), "wb") as f:
        f.truncate(4 << 30)
    for words in (["huge", "/sandbox/huge"], ["cut-tree", "/sandbox/tree"]):
        if words[0] == "cut-tree":
            os.makedirs(path("cut-tree"))
            os.rename(path("huge"), path("cut-tree", "huge"))
        p = c.start("sandbox", "upload", "box", path(words[0]), words[1])
        until(lambda: ".upload." in sh("ls -A /sandbox /sandbox/tree 2>/dev/null", status=None).stdout)
        p.kill()
        p.communicate()
        until(lambda: ".upload." not in sh("ls -A /sandbox /sandbox/tree 2>/dev/null", status=None).stdout)
        assert "huge" not in sh("find /sandbox").stdout
    os.unlink(path("cut-tree", "huge"))
    sh("truncate -s 4G /sandbox/huge")
    os.makedirs(path("cut"))
    p = c.start("sandbox", "download", "box", "/sandbox/huge", path("cut") + "/")
    until(lambda: os.listdir(path("cut")))
    p.terminate()
    p.communicate()
    assert p.returncode == -signal.SIGTERM and not os.listdir(path("cut")), (p.returncode, os.listdir(path("cut")))
    sh("rm /sandbox/huge")


def names_with_dashes_stand_behind_two():
    write("-n", b"dash")
    c("sandbox", "upload", "box", "--", path("-n"), "-n")
    assert sh("cat /sandbox/-n; rm -- /sandbox/-n").stdout == "dash"
    said = c("sandbox", "upload", "box", path("-n"), "--", "-a", "-b", status=2).stderr
    assert "unexpected argument '-b' found" in said, said


def invoke_asks_a_port_inside():
    assert c("invoke", "box", "--port", str(PORT), "--path", "/a?b=c").stdout == "/a?b=c"
    assert c("invoke", "box", "-p", str(PORT), "--data", "-", stdin=b"body" * 1000).stdout == "body" * 1000
    assert c("invoke", "box", "-p", str(PORT), "--path", "/no", status=1).stdout == "/no"
    assert c("invoke", "box", "-p", str(PORT), "-i").stdout.startswith("HTTP/1.1 200")
    c("invoke", "box", "-p", "8124", status=1)


def forward_service_serves_many():
    p = c.start("forward", "service", "box", "--target-port", str(PORT), "--local", "0")
    try:
        line = p.stdout.readline().decode()
        port = int(re.fullmatch(r"Forwarding 127\.0\.0\.1:(\d+) -> 127\.0\.0\.1:%d in sandbox box\n" % PORT,
                                line).group(1))
        connections = [http.client.HTTPConnection("127.0.0.1", port, timeout=20) for _ in range(2)]
        for n in range(3):
            for k in connections:
                k.request("GET", f"/{n}")
                assert k.getresponse().read() == b"/%d" % n
        for k in connections:
            k.close()
    finally:
        p.send_signal(signal.SIGINT)
        p.communicate(timeout=20)


def a_forward_in_the_background_is_listed_and_stopped():
    said = c("forward", "start", str(PORT), "box", "-d").stdout
    assert f"✓ Forwarding port {PORT} to sandbox box in the background\n" in said
    assert f"Stop with: cove forward stop {PORT} box\n" in said
    k = http.client.HTTPConnection("127.0.0.1", PORT, timeout=20)
    k.request("GET", "/bg")
    assert k.getresponse().read() == b"/bg"
    k.close()
    rows = c("forward", "list").stdout.splitlines()
    assert rows[0].split() == ["SANDBOX", "BIND", "PORT", "PID", "STATUS"]
    assert rows[1].split()[0] == "box" and rows[1].split()[-1] == "running"
    c("forward", "stop", str(PORT), "box")
    assert c("forward", "list").stdout == "No active forwards.\n"
    said = c("forward", "start", f"[::1]:{PORT}", "box", "-d").stdout
    assert f"Access at: http://[::1]:{PORT}/\n" in said, said
    c("forward", "stop", str(PORT), "box")


# ---- the rest of a life ----

def logs_have_their_form():
    sh("curl -sS --max-time 5 http://nowhere.example/ || true")
    lines = []
    for _ in range(100):
        lines = c("logs", "box", "-n", "0").stdout.splitlines()
        if any("DENIED" in line for line in lines):
            break
        time.sleep(0.1)
    assert lines and all(re.match(r"\[\d+\.\d{3}\] \[(gateway|sandbox)\] \[.{5}\] \[[^]]+\] .", line)
                         for line in lines), lines[:3]
    assert len(c("logs", "box", "-n", "1").stdout.splitlines()) == 1
    c("logs", "box", "--source", "supervisor", "-n", "0")
    p = c.start("logs", "box", "--tail", stdin=subprocess.DEVNULL)
    assert p.stdout.readline()
    p.send_signal(signal.SIGINT)
    assert p.wait(20) == -signal.SIGINT
    p.communicate()


def s_logs_show_a_record_as_it_is():
    """With its own escapes; what a terminal would obey is escaped here."""
    box = g.stub.GetSandbox(g.pb.GetSandboxRequest(name="box")).sandbox.metadata.id

    def line(text):
        return g.pb.SandboxLogLine(sandbox_id=box, timestamp_ms=int(time.time() * 1000), level="INFO", target="t",
                                   message=text, fields={"k": text})
    asis = r"(ancestors: \[/usr/bin/dash\]) [cmd:a\u{20}b] C:\dir über"
    g.connect(token=g.sandbox_token(box)).PushSandboxLogs(iter([g.pb.PushSandboxLogsRequest(
        sandbox_id=box, logs=[line(asis), line("red\x1b[31m\rline\nline\u202e")])]))
    for program in ("cove", "openshell"):
        said = c("logs", "box", "--source", "sandbox", "-n", "2", program=program).stdout.splitlines()
        assert said[0].endswith(f"[t] {asis} k={asis}"), said
        assert len(said) == 2 and r"red\u{1b}[31m\u{0d}line" in said[1] and r"\u{202e}" in said[1], said


def stop_and_start_wait():
    said = c("sandbox", "stop", "box")
    assert said.stdout == "✓ Stopped sandbox box\n" and "ready" not in said.stderr, said
    assert "Phase: Stopped" in c("sandbox", "get", "box").stdout
    said = sh("true", status=1).stderr
    assert said == ("Error: sandbox 'box' is not ready (phase: Stopped); wait for it to reach Ready "
                    "state\n"), said
    said = c("sandbox", "start", "box")
    assert said.stdout == "✓ Started sandbox box\n" and said.stderr.count("allocated") <= 1, said
    assert sh("cat /sandbox/f").stdout == "one\n"


def delete_takes_several_and_says_what_was_not_there():
    c("sandbox", "create", "--name", "two")
    said = c("sandbox", "delete", "two", "none").stdout
    assert said == "✓ Deleted sandbox two\n! Sandbox none not found\n", said
    assert "phase Ready" in c("logs", "two").stdout, "its lines are kept for a while"
    assert c("logs", "none", status=1).stderr == "Error: sandbox not found\n"
    c("sandbox", "create", "--name", "two")      # the name is free at once
    assert "(last used)" in c("sandbox", "get").stderr
    c("sandbox", "delete", "two")
    assert "none was used before" in c("sandbox", "get", status=1).stderr, "it is gone, and no other is meant"
    said = c("sandbox", "create", "--no-keep", "--name", "three", "--", "sh", "-c", "exit 3", status=3)
    assert "three" not in c("sandbox", "list").stdout
    c("sandbox", "delete", "--all")
    assert c("sandbox", "delete", "--all").stdout == "No sandboxes to delete.\n"


def what_cannot_be_is_said_at_once():
    said = c("sandbox", "create", "--name", "none", "--upload", "/nonexist:/sandbox", status=1)
    assert said.stderr == "Error: /nonexist: No such file or directory\n" and not said.stdout, said
    assert "none" not in c("sandbox", "list", "--names").stdout
    assert "invalid value '70000' for '--target-port <PORT>'" in c(
        "forward", "service", "box", "--target-port", "70000", status=2).stderr
    assert "required arguments were not provided" in c("forward", "service", "box", status=2).stderr
    assert c("forward", "service", "box", "--target-port", "80", "--target-host", "10.0.0.1",
             status=1).stderr == "Error: tcp target host must be loopback\n"


def what_create_cannot_do_makes_no_sandbox():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        said = c("sandbox", "create", "--name", "none", "--forward", port, status=1)
    assert "Address already in use" in said.stderr and port in said.stderr and not said.stdout, said
    said = c("sandbox", "create", "--name", "none", "--editor", "vscode", "--no-keep", status=2)
    assert "'--editor' cannot be used with '--no-keep'" in said.stderr, said
    assert "none" not in c("sandbox", "list", "--names").stdout


def json_of_create():
    said = c("sandbox", "create", "--name", "j", "-o", "json")
    assert said.stderr.startswith("Provisioning sandbox (structured output on stdout)...\n")
    assert json.loads(said.stdout)["phase"] == "Ready"
    c("sandbox", "delete", "j")


def a_lost_gateway_is_an_error():
    """With a stdin that is open; else it would wait (test_client_exec.py)."""
    c("sandbox", "create", "--name", "last")
    p = c.start("sandbox", "exec", "-n", "last", "--no-tty", "--", "sh", "-c", "echo on; sleep 1000")
    assert p.stdout.readline() == b"on\n"
    g.kill()
    assert p.wait(30) == 1
    assert b"Error: " in p.stderr.read()
    assert "failed to connect" in c("sandbox", "list", status=1).stderr
    g.start()
    c("sandbox", "delete", "last")


try:
    for f in (create_as_older_scripts_do_it, from_an_image_of_the_gateway, get_and_list_in_all_forms, the_last_one_is_used, a_failure_says_why,
              exec_keeps_streams_apart_and_the_status, exec_streams_stdin, exec_takes_much_both_ways,
              a_shut_reader_ends_it, sigint_ends_it, a_terminal_is_raw_and_comes_back,
              a_file_lands_exactly_where_it_is_told, a_large_file_goes_and_comes,
              a_directory_keeps_links_modes_and_empty_directories,
              directories_that_are_shut_stay_so, directories_that_git_does_not_list_have_their_modes,
              git_chooses_what_goes_and_says_what_does_not, download_refuses_what_is_outside,
              s_a_link_that_is_here_already_is_not_followed, s_one_file_is_one_file, openshell_takes_a_directory_without_a_destination,
              s_an_upload_takes_what_is_meant, what_tools_say_there_is_readable, what_is_cut_off_leaves_nothing,
              names_with_dashes_stand_behind_two):
        check(f)
    for f in (invoke_asks_a_port_inside, forward_service_serves_many,
              a_forward_in_the_background_is_listed_and_stopped):
        tap.check(f.__name__.replace("_", " "), lambda f=f: with_a_server(f))
    for f in (logs_have_their_form, s_logs_show_a_record_as_it_is, stop_and_start_wait,
              delete_takes_several_and_says_what_was_not_there, what_cannot_be_is_said_at_once, what_create_cannot_do_makes_no_sandbox, json_of_create,
              a_lost_gateway_is_an_error):
        check(f)
finally:
    c("sandbox", "delete", "--all", status=None)
    g.close()
tap.done()
