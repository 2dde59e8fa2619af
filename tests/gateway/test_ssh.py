#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: OpenSSH's unchanged ssh, scp, sftp and rsync in a sandbox, as an editor would use them; and that
a token that is wrong, revoked or too old opens nothing, and a connection reaches nothing but the sandbox.
Method: the machine's own clients, through `cove ssh-proxy`, against a real gateway: with the configuration
that `cove sandbox ssh-config` prints (the host key is checked), and with the command line of other
clients (it is not).  What the machine has not is said aloud."""
import hashlib
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import look  # noqa: E402
import ports  # noqa: E402
import ttylab  # noqa: E402
import world  # noqa: E402
world.enter_user_namespace()  # so that the gateway can be looked into; before grpc is there with its threads
import clientlab  # noqa: E402
import gatewaylab  # noqa: E402
from gatewaylab import code_of, until  # noqa: E402

tap = world.Tap()
if not shutil.which("ssh"):
    tap.skip("ssh", "unavailable: no ssh")
    tap.done()
SFTP_SERVER = "/usr/lib/openssh/sftp-server"
g = gatewaylab.Gateway(tls=False)
pb = g.pb
client = clientlab.Client(g)
READY = 2
HERE = os.path.join(g.directory, "here")  # a directory of the test's own
os.mkdir(HERE)
CONFIG = os.path.join(g.directory, "ssh_config")


# ---- helpers ----

def get(name):
    return g.stub.GetSandbox(pb.GetSandboxRequest(name=name)).sandbox


def create(name, *command, **kw):
    g.stub.CreateSandbox(pb.CreateSandboxRequest(
        name=name, spec=pb.SandboxSpec(command=list(command or ("sleep", "100000")), **kw)))
    until(lambda: get(name).status.phase == READY)
    return get(name)


def token_new(s):
    return g.stub.CreateSshSession(pb.CreateSshSessionRequest(sandbox_id=s.metadata.id))


def config(*names):
    with open(CONFIG, "w", encoding="ascii") as f:
        for name in names:
            f.write(client("sandbox", "ssh-config", name).stdout)


def words(*more, program="ssh", name="one"):
    """With the configuration that our own command printed."""
    return [program, "-F", CONFIG, *more[:-1], f"openshell-{name}.default", more[-1]] if program == "ssh" \
        else [program, "-F", CONFIG, *more]


def plain(*more, token=None, name="one"):
    """The command line of other clients (openshell-behaviour.md 10.4)."""
    proxy = f"{clientlab.EXE} ssh-proxy --gateway-name test --name {name}"
    if token:
        proxy = f"{clientlab.EXE} ssh-proxy --gateway-name test --sandbox-id {get(name).metadata.id} " \
                f"--token {token}"
    return ["ssh", "-F", "/dev/null", "-o", "ProxyCommand=" + proxy, "-o", "StrictHostKeyChecking=no",
            "-o", "UserKnownHostsFile=/dev/null", "-o", "GlobalKnownHostsFile=/dev/null",
            "-o", "LogLevel=ERROR", "-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=3",
            *more[:-1], "sandbox@sandbox", more[-1]]


def run(command, stdin=b"", seconds=60):
    r = subprocess.run(command, input=stdin, capture_output=True, timeout=seconds, env=client.env)
    return r.returncode, r.stdout, r.stderr


def ssh(command, stdin=b"", name="one", **kw):
    return run(words(command, name=name), stdin, **kw)


def servers():
    """Processes that serve SSH for this gateway."""
    mine = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
                text = f.read()
        except OSError:
            continue
        if "(cove-ssh)" in text and int(text.rpartition(")")[2].split()[1]) == g.process.pid \
                and text.rpartition(")")[2].split()[0] != "Z":
            mine.append(int(pid))
    return mine


def runs_inside(word):
    return ssh(f"pgrep -f {word[0]}[{word[1]}]{word[2:]} | head -1")[1].strip()


def workspace(name="one"):
    return os.path.join(g.state, "sandboxes", get(name).metadata.id, "workspace")


def file_of(name, n):
    path = os.path.join(HERE, name)
    with open(path, "wb") as f:
        f.write(os.urandom(n))
    return path


def same(a, b):
    def digest(path):
        with open(path, "rb") as f:
            return hashlib.sha256(f.read()).digest()
    return digest(a) == digest(b)


def needs(program):
    def mark(f):
        f.needs = program
        return f
    return mark


# ---- commands ----

def output_errors_and_exit_statuses():
    assert ssh("pwd; id -un >/dev/null; echo bad >&2; exit 7") == (7, b"/sandbox\n", b"bad\n")
    assert ssh("true") == (0, b"", b"")
    assert ssh("no-such-command")[0] == 127


def the_command_line_of_other_clients():
    assert run(plain("echo hello; exit 3")) == (3, b"hello\n", b"")
    assert run(plain("-o", "SetEnv=MARK=x OPENSHELL_Y=no", "echo $MARK$OPENSHELL_Y"))[1] == b"x\n"


def a_signal_is_told():
    code, _, err = ssh("kill -TERM $$")
    assert code == 255 and not err, (code, err)


def input_comes_in_and_ends():
    data = os.urandom(3 << 20)
    assert ssh("cat", data) == (0, data, b"")
    assert ssh("wc -c", b"x" * 70000) == (0, b"70000\n", b"")
    assert ssh("exec <&-; echo closed", b"x" * 300000)[:2] == (0, b"closed\n")


def much_output_is_whole():
    code, out, _ = ssh("head -c 50000000 /dev/zero | tr '\\0' a; echo end >&2; exit 4")
    assert code == 4 and out == b"a" * 50000000, (code, len(out))


def keys_are_changed_under_way():
    data = os.urandom(5 << 20)
    for more in (["-o", "RekeyLimit=1M"], ["-C"]):
        assert run(words(*more, "cat"), data) == (0, data, b""), more


def what_is_left_in_the_background_does_not_hold_it():
    begun = time.monotonic()
    assert ssh("sleep 30 & echo left")[:2] == (0, b"left\n")
    assert time.monotonic() - begun < 25


def a_slow_reader_holds_the_command():
    p = subprocess.Popen(words("yes | head -c 100000000 | wc -c >count; head -c 20000000 /dev/zero"),
                         stdout=subprocess.PIPE, env=client.env)
    time.sleep(1.0)
    n = 0
    while True:
        b = p.stdout.read(1 << 20)
        if not b:
            break
        n += len(b)
    assert n == 20000000 and p.wait(20) == 0, n


def two_at_once_and_many_channels():
    results = []

    def one(i):
        results.append(ssh(f"sleep 0.3; echo {i}") == (0, b"%d\n" % i, b""))
    threads = [threading.Thread(target=one, args=(i,)) for i in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == [True] * 6
    until(lambda: not servers())


def channels_share_a_connection():
    control = os.path.join(HERE, "control")
    master = subprocess.Popen(words("-M", "-S", control, "-N", "-o", "ControlPersist=no", "-T", "")[:-1],
                              env=client.env, stdin=subprocess.DEVNULL)
    until(lambda: os.path.exists(control))
    try:
        for i in range(5):
            assert run(words("-S", control, f"echo {i}")) == (0, b"%d\n" % i, b"")
        assert len(servers()) == 1
    finally:
        master.terminate()
        master.wait(10)
    until(lambda: not servers())


def a_client_that_goes_ends_its_command():
    p = subprocess.Popen(words("exec sleep 54321"), env=client.env, stdin=subprocess.PIPE)
    until(lambda: runs_inside("sleep.54321"))
    p.kill()
    p.wait()
    until(lambda: not runs_inside("sleep.54321"))


# ---- terminals ----

class Terminal:
    def __init__(self, *more, size=(40, 100)):
        command = words("-tt", *more) if more else words("-tt", "")[:-1]
        self.process, self.fd = ttylab.spawn(command, *size, env=dict(client.env, TERM="xterm"))
        self.said = b""

    def resize(self, rows, cols):
        ttylab.size(self.fd, rows, cols)

    def write(self, text):
        os.write(self.fd, text)

    def wait(self, word, seconds=20):
        end = time.monotonic() + seconds
        while word not in self.said:
            left = end - time.monotonic()
            assert left > 0, self.said
            if select.select([self.fd], [], [], left)[0]:
                try:
                    more = os.read(self.fd, 65536)
                except OSError:
                    more = b""
                assert more or word in self.said, self.said
                self.said += more
        self.said = self.said.partition(word)[2]

    def end(self):
        end = time.monotonic() + 20
        while time.monotonic() < end:
            if self.process.poll() is not None:
                os.close(self.fd)
                return self.process.returncode
            if select.select([self.fd], [], [], 0.05)[0]:
                try:
                    os.read(self.fd, 65536)
                except OSError:
                    time.sleep(0.05)
        raise AssertionError("ssh does not end")


def a_terminal_with_its_size():
    t = Terminal("stty size; echo T=$TERM; read x; stty size; tty; exit 5", size=(33, 111))
    t.wait(b"T=xterm")
    t.resize(44, 122)
    time.sleep(1)
    t.write(b"\n")
    t.wait(b"44 122")
    t.wait(b"/dev/pts/")
    assert t.end() == 5


def a_login_shell():
    t = Terminal()
    t.write(b"echo $((6*7))-$0; exit 6\n")
    t.wait(b"42-")
    assert t.end() == 6


def keys_that_signal():
    t = Terminal("trap 'echo caught; exit 9' INT; echo go; while :; do sleep 0.1; done")
    t.wait(b"go")
    t.write(b"\x03")
    t.wait(b"caught")
    assert t.end() == 9


# ---- files ----

@needs("scp")
def scp_both_ways():
    a = file_of("scp a", 2000000)
    for legacy in ([], ["-O"]):
        if not legacy and not os.path.exists(SFTP_SERVER):
            continue
        code, _, err = run(words(*legacy, "-p", a, "openshell-one.default:b_c", program="scp"))
        assert code == 0, err
        assert same(a, os.path.join(workspace(), "b_c"))
        back = os.path.join(HERE, "back")
        code, _, err = run(words(*legacy, "openshell-one.default:b_c", back, program="scp"))
        assert code == 0 and same(a, back), err


@needs("sftp")
def sftp_both_ways():
    if not os.path.exists(SFTP_SERVER):
        tap.skip("sftp both ways", "unavailable: no sftp-server")
        return
    a = file_of("sftp", 3000000)
    batch = f"put {a} up\nls -l\nget up {HERE}/down\nmkdir d\nrename up d/up\nrm d/up\nrmdir d\n".encode()
    code, out, err = run(words("-b", "-", "openshell-one.default", program="sftp"), batch)
    assert code == 0 and b"up" in out, err
    assert same(a, os.path.join(HERE, "down"))


@needs("rsync")
def rsync_both_ways():
    tree = os.path.join(HERE, "tree")
    os.makedirs(os.path.join(tree, "deep/er"))
    for i in range(50):
        shutil.copy(file_of("r", 1000 + i), os.path.join(tree, "deep", f"f{i}"))
    os.symlink("deep/f1", os.path.join(tree, "link"))
    shell = " ".join(["ssh", "-F", CONFIG])
    code, _, err = run(["rsync", "-a", "-e", shell, tree + "/", "openshell-one.default:copy/"])
    assert code == 0, err
    code, _, err = run(["rsync", "-a", "-e", shell, "openshell-one.default:copy/", HERE + "/again/"])
    assert code == 0, err
    assert subprocess.run(["diff", "-r", "--no-dereference", tree, HERE + "/again"],
                          check=False).returncode == 0
    code, out, _ = run(["rsync", "-ain", "-e", shell, tree + "/", "openshell-one.default:copy/"])
    assert (code, out) == (0, b""), out  # nothing differs: times and modes came along


# ---- ports ----

SERVER = ("exec python3 -c 'import socket\ns=socket.socket()\ns.bind((\"127.0.0.1\",0))\ns.listen()\n"
          "print(s.getsockname()[1],flush=True)\nwhile 1:\n c=s.accept()[0]\n b=c.recv(9)\n"
          " c.sendall(b*100000)\n c.close()'")


def asked(port, text=b"x"):
    with socket.create_connection(("127.0.0.1", port), 10) as c:
        c.sendall(text)
        got = b""
        while True:
            b = c.recv(65536)
            if not b:
                return got
            got += b


def a_port_inside_by_L():
    p = subprocess.Popen(words(SERVER), stdout=subprocess.PIPE, env=client.env)
    inside, local = int(p.stdout.readline()), ports.free()
    f = subprocess.Popen(words("-N", "-L", f"{local}:localhost:{inside}", "")[:-1], env=client.env)
    try:
        until(lambda: asked_or_none(local) == b"x" * 100000)
        assert asked(local, b"y") == b"y" * 100000
    finally:
        f.terminate()
        p.terminate()
        f.wait(10)
        p.wait(10)


def asked_or_none(port):
    try:
        return asked(port)
    except OSError:
        return None


def n7_nothing_but_its_own_loopback_is_reached():
    with socket.socket() as outside:
        outside.bind(("0.0.0.0", 0))
        outside.listen()
        outside.settimeout(1)
        port = outside.getsockname()[1]
        addresses = subprocess.run(["hostname", "-I"], capture_output=True, text=True,
                                   check=False).stdout.split()
        for host in ["127.0.0.1", "localhost", "::1", "0.0.0.0", "169.254.169.254", "example.com",
                     socket.gethostname()] + [a for a in addresses if "." in a]:
            code, out, err = run(words("-W", f"[{host}]:{port}", "")[:-1], seconds=30)
            assert code == 255 and not out, (host, code, out, err)
        try:
            outside.accept()
            raise AssertionError("the host was reached")
        except socket.timeout:
            pass
    code, _, err = run(words("-W", f"127.0.0.1:{g.port}", "")[:-1])
    assert code == 255, err
    # A port that is open inside, by another name: said no to, not led somewhere else.
    p = subprocess.Popen(words(SERVER), stdout=subprocess.PIPE, env=client.env)
    inside = int(p.stdout.readline())
    for host, is_its in (("127.0.0.1", True), ("localhost", True), ("127.9.9.9", True), ("0.0.0.0", False),
                         ("10.0.0.1", False), ("example.com", False), ("::ffff:10.0.0.1", False)):
        code, out, _ = run(words("-W", f"[{host}]:{inside}", "")[:-1], b"z", seconds=30)
        assert (code, out) == ((0, b"z" * 100000) if is_its else (255, b"")), (host, code, len(out))
    p.terminate()
    p.wait(10)


def ports_of_the_client_are_not_opened():
    code, _, err = run(words("-o", "ExitOnForwardFailure=yes", "-R", "0:localhost:1", "true"))
    assert code == 255, (code, err)
    code, out, _ = run(words("-A", "echo $SSH_AUTH_SOCK-$DISPLAY"))
    assert code == 0 and out == b"-\n", out


# ---- who may ----

def forward(token, name="one"):
    """What ForwardTcp says to a token: "OK" and the first bytes, or a status."""
    init = pb.TcpForwardInit(sandbox_id=get(name).metadata.id, ssh=pb.SshRelayTarget(),
                             authorization_token=token)
    hold = threading.Event()

    def frames():
        yield pb.TcpForwardFrame(init=init)
        hold.wait(20)
    call = g.stub.ForwardTcp(frames(), timeout=20)
    try:
        return code_of(lambda: next(iter(call)).data)
    finally:
        hold.set()
        call.cancel()


def tokens_that_open_nothing():
    other = create("other")
    good = token_new(get("one"))
    assert good.host_key_fingerprint.startswith("SHA256:") and good.gateway_scheme == "http"
    assert (good.gateway_host, good.gateway_port) == ("127.0.0.1", g.port)
    assert 86300 < good.expires_at_ms / 1000 - time.time() < 86500
    assert forward(good.token)[1].startswith(b"SSH-2.0-")
    for token in ("", "x", "00000000-0000-4000-8000-000000000000", good.token.upper() + "x"):
        assert forward(token) == ("UNAUTHENTICATED", "ssh session token is not valid"), token
    assert forward(good.token, "other")[0] == "UNAUTHENTICATED"
    assert token_new(other).host_key_fingerprint != good.host_key_fingerprint
    assert run(plain("echo in", token=good.token)) == (0, b"in\n", b"")
    revoke = pb.RevokeSshSessionRequest(token=good.token)
    assert g.stub.RevokeSshSession(revoke).revoked and not g.stub.RevokeSshSession(revoke).revoked
    assert forward(good.token)[0] == "UNAUTHENTICATED"
    assert run(plain("echo in", token=good.token))[0] == 255
    g.stub.DeleteSandbox(pb.DeleteSandboxRequest(name="other"))
    until(lambda: code_of(lambda: get("other"))[0] == "NOT_FOUND")
    assert len(os.listdir(os.path.join(g.state, "ssh"))) == 1


def a_token_that_is_too_old():
    g.write_config({"ssh_session_ttl_secs": 4})
    g.hup()
    t = token_new(get("one")).token
    assert forward(t)[0] == "OK"
    time.sleep(4.2)
    assert forward(t)[0] == "UNAUTHENTICATED"
    g.write_config({})
    g.hup()


def tokens_are_not_kept():
    t = token_new(get("one")).token
    for name in os.listdir(g.state):
        path = os.path.join(g.state, name)
        if os.path.isfile(path):
            with open(path, "rb") as f:
                assert t.encode() not in f.read(), name
    for name in os.listdir(os.path.join(g.state, "ssh")):
        assert os.stat(os.path.join(g.state, "ssh", name)).st_mode & 0o777 == 0o600


def limits_of_connections():
    t = token_new(get("one")).token
    init = pb.TcpForwardInit(sandbox_id=get("one").metadata.id, ssh=pb.SshRelayTarget(),
                             authorization_token=t)
    hold = threading.Event()
    calls = []

    def frames():
        yield pb.TcpForwardFrame(init=init)
        hold.wait()
    try:
        for _ in range(10):
            calls.append(g.stub.ForwardTcp(frames(), timeout=60))
            assert next(iter(calls[-1])).data.startswith(b"SSH-2.0-")
        assert code_of(lambda: next(iter(g.stub.ForwardTcp(frames(), timeout=60))))[0] == \
            "RESOURCE_EXHAUSTED"
    finally:
        hold.set()
        for c in calls:
            c.cancel()
    until(lambda: not servers())


def names_and_passwords():
    code, _, err = run([w.replace("sandbox@sandbox", "root@sandbox") for w in plain("true")])
    assert code == 255 and b"Permission denied" in err, (code, err)


@needs("ssh-keygen")
def a_key_is_as_good_as_none():
    key = os.path.join(HERE, "id")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    assert run(plain("-i", key, "-o", "PreferredAuthentications=publickey", "echo by key")) == \
        (0, b"by key\n", b"")
    host = os.path.join(g.state, "ssh", get("one").metadata.id)
    said = subprocess.run(["ssh-keygen", "-lf", host], capture_output=True, text=True, check=True).stdout
    assert said.split()[1] == token_new(get("one")).host_key_fingerprint


def another_host_key_is_refused():
    path = os.path.join(g.state, "ssh", get("one").metadata.id)
    until(lambda: not servers())
    with open(CONFIG, encoding="ascii") as f:
        text = f.read()
    for line in text.splitlines():
        assert "StrictHostKeyChecking no" not in line
    # A man in the middle: the right fingerprint from the gateway, another key on the wire.
    answer = subprocess.run(
        [clientlab.EXE, "ssh-known-host", "--gateway-name", "test", "--name", "one", "--host", "h",
         "--type", "ssh-ed25519", "--key", "AAAAC3NzaC1lZDI1NTE5AAAAIGFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh"],
        capture_output=True, env=client.env, check=False)
    assert answer.returncode != 0 and not answer.stdout
    known = os.path.join(client.config, "gateways/test/ssh/default.one")
    with open(known, encoding="ascii") as f:
        right = f.read()
    assert right.startswith("SHA256:")
    proxy = f"sh -c 'sed -i s/SHA256:./SHA256:_/ {known}; exec {clientlab.EXE} ssh-proxy --gateway-name " \
            f"test --sandbox-id {get('one').metadata.id}'"
    code, out, err = run(["ssh", "-F", CONFIG, "-o", "ProxyCommand=" + proxy, "openshell-one.default", "echo in"])
    assert code == 255 and not out and b"is not the one that the gateway says" in err, (code, out, err)
    assert ssh("echo in")[1] == b"in\n"
    assert os.path.exists(path)


# ---- what breaks ----

def an_editor_opens_it():
    """The editor is a script that does what editors do first."""
    programs = os.path.join(HERE, "programs")
    os.makedirs(programs)
    with open(os.path.join(programs, "code"), "w", encoding="ascii") as f:
        f.write('#!/bin/sh\nexec ssh -F "$HOME/.ssh/config" "${2#ssh-remote+}" "cd $3 && pwd"\n')
    os.chmod(os.path.join(programs, "code"), 0o755)
    os.makedirs(os.path.join(g.directory, ".ssh"), exist_ok=True)
    own = os.path.join(g.directory, ".ssh/config")
    with open(own, "w", encoding="ascii") as f:
        f.write("Host mine\n    Port 1\n")
    env = {"PATH": programs + ":" + os.environ["PATH"]}
    for _ in range(2):
        assert client("sandbox", "connect", "one", "--editor", "vscode", env=env).stdout == "/sandbox\n"
    with open(own, encoding="ascii") as f:
        text = f.read()
    assert text.count("Include ") == 1 and text.endswith("Host mine\n    Port 1\n"), text
    with open(os.path.join(client.config, "ssh_config"), encoding="ascii") as f:
        assert f.read().count("Host openshell-one.default") == 1


def a_deleted_sandbox_is_no_host():
    """Neither by its deletion nor by that of another are other hosts touched."""
    programs = os.path.join(HERE, "programs")
    env = {"PATH": programs + ":" + os.environ["PATH"]}
    client("sandbox", "create", "--name", "editor-two")
    client("sandbox", "connect", "editor-two", "--editor", "vscode", env=env)
    hosts = os.path.join(client.config, "ssh_config")
    with open(hosts, encoding="ascii") as f:
        before = f.read()
    assert before.count("Host ") == 2, before
    client("sandbox", "delete", "editor-two")
    with open(hosts, encoding="ascii") as f:
        after = f.read()
    assert "editor-two" not in after and after.count("Host openshell-one.default") == 1, after
    assert before.startswith(after)


def a_killed_server_ends_its_connection_only():
    p = subprocess.Popen(words("exec sleep 65432"), env=client.env, stdin=subprocess.PIPE,
                         stderr=subprocess.PIPE)
    until(lambda: runs_inside("sleep.65432"))
    until(lambda: len(servers()) == 1)  # those of before have ended
    first, = servers()
    q = subprocess.Popen(words("cat"), env=client.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    until(lambda: len(servers()) == 2)
    os.kill(first, signal.SIGKILL)
    assert p.wait(20) == 255
    until(lambda: not runs_inside("sleep.65432"))
    assert q.communicate(b"still here", timeout=20)[0] == b"still here"


def the_server_confines_itself():
    p = subprocess.Popen(words("cat"), env=client.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    p.stdin.write(b"here\n")
    assert p.stdout.read(5) == b"here\n"  # by now it has read what a stranger sent
    pid = until(servers)[0]
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
    assert status["Seccomp"] == "2" and status["NoNewPrivs"] == "1", status
    p.stdin.close()
    assert p.wait(20) == 0


def rubbish_instead_of_ssh():
    t = token_new(get("one")).token
    init = pb.TcpForwardInit(sandbox_id=get("one").metadata.id, ssh=pb.SshRelayTarget(),
                             authorization_token=t)
    for data in (b"GET / HTTP/1.1\r\n\r\n", b"SSH-2.0-x\r\n" + b"\xff" * 5000, os.urandom(40000),
                 b"SSH-2.0-x\r\n\0\0\0\x0c\x0a\x14" + b"\0" * 30):
        frames = [pb.TcpForwardFrame(init=init), pb.TcpForwardFrame(data=data)]
        list(g.stub.ForwardTcp(iter(frames), timeout=40))
    until(lambda: not servers(), 40)
    assert ssh("echo fine")[1] == b"fine\n"


def the_main_command_is_attached_to():
    create("main", "sh", "-c", "echo begun; while read x; do echo got $x; done; exit 3", tty=True) \
        if "tty" in pb.SandboxSpec.DESCRIPTOR.fields_by_name else \
        create("main", "sh", "-c", "echo begun; while read x; do echo got $x; done; exit 3")
    config("one", "main")
    p = subprocess.Popen(["ssh", "-F", CONFIG, "-T", "-s", "openshell-main.default", "openshell-main"],
                         env=client.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    got = b""
    p.stdin.write(b"hello\n")
    p.stdin.flush()
    end = time.monotonic() + 20
    while b"got hello" not in got and time.monotonic() < end:
        if select.select([p.stdout], [], [], 1)[0]:
            more = os.read(p.stdout.fileno(), 4096)
            if not more:
                break
            got += more
    assert b"got hello" in got, got
    code, _, err = run(["ssh", "-F", CONFIG, "-T", "-s", "openshell-main.default", "openshell-main"])
    assert code != 0 and b"somebody else" in err, (code, err)
    p.stdin.write(b"\x10\x11")
    p.stdin.flush()
    assert p.wait(20) == 0
    assert get("main").status.phase == READY
    g.stub.DeleteSandbox(pb.DeleteSandboxRequest(name="main"))


def a_gateway_that_comes_back():
    p = subprocess.Popen(words("exec sleep 76543"), env=client.env, stdin=subprocess.PIPE,
                         stderr=subprocess.PIPE)
    before = token_new(get("one"))
    until(lambda: runs_inside("sleep.76543"))
    g.kill()
    assert p.wait(20) == 255
    until(lambda: not servers())
    g.start()
    until(lambda: code_of(lambda: get("one").status.phase == READY)[1] is True)
    assert forward(before.token)[0] == "OK"
    assert token_new(get("one")).host_key_fingerprint == before.host_key_fingerprint
    assert ssh("echo again")[1] == b"again\n"
    until(lambda: not runs_inside("sleep.76543"))


def a_sandbox_that_ends_takes_its_connections_along():
    create("ends")
    config("one", "ends")
    p = subprocess.Popen(words("cat", name="ends"), env=client.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         bufsize=0)
    p.stdin.write(b"here\n")
    assert p.stdout.read(5) == b"here\n" and len(servers()) == 1
    g.stub.DeleteSandbox(pb.DeleteSandboxRequest(name="ends"))
    assert p.wait(30) == 255
    until(lambda: not servers())


def nothing_is_left_behind():
    until(lambda: not servers())
    until(lambda: look.descriptor_count(g.process.pid) < 60)
    until(lambda: g.stub.DeleteSandbox(pb.DeleteSandboxRequest(name="one")).deleted)
    until(lambda: code_of(lambda: get("one"))[0] == "NOT_FOUND")
    assert not os.listdir(os.path.join(g.state, "ssh"))
    assert g.stop() == 0


CHECKS = [output_errors_and_exit_statuses, the_command_line_of_other_clients, a_signal_is_told,
          input_comes_in_and_ends, much_output_is_whole, keys_are_changed_under_way, what_is_left_in_the_background_does_not_hold_it,
          a_slow_reader_holds_the_command, two_at_once_and_many_channels, channels_share_a_connection,
          a_client_that_goes_ends_its_command, a_terminal_with_its_size, a_login_shell, keys_that_signal,
          scp_both_ways, sftp_both_ways, rsync_both_ways, a_port_inside_by_L,
          n7_nothing_but_its_own_loopback_is_reached, ports_of_the_client_are_not_opened,
          tokens_that_open_nothing, a_token_that_is_too_old, tokens_are_not_kept,
          limits_of_connections, names_and_passwords, a_key_is_as_good_as_none,
          another_host_key_is_refused, an_editor_opens_it, a_deleted_sandbox_is_no_host, a_killed_server_ends_its_connection_only,
          the_server_confines_itself, rubbish_instead_of_ssh, the_main_command_is_attached_to,
          a_gateway_that_comes_back, a_sandbox_that_ends_takes_its_connections_along,
          nothing_is_left_behind]
chosen = sys.argv[1:]
try:
    create("one")
    config("one")
    for f in CHECKS:
        title = f.__name__.replace("_", " ")
        if chosen and not any(w in f.__name__ for w in chosen):
            continue
        if getattr(f, "needs", None) and not shutil.which(f.needs):
            tap.skip(title, f"unavailable: no {f.needs}")
        else:
            tap.check(title, f)
finally:
    if tap.failed:
        print("\n".join("# " + line for line in g.lines[-40:]))
    g.close()
tap.done()
