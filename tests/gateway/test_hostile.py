#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: what runs in a sandbox reaches neither the gateway nor other sandboxes nor the client's files
and terminal.
Method: hostile commands in real sandboxes: sockets, directories, processes, archives of a tar of
their own, links planted where the driver or the client could follow them, tokens used for others."""
import io
import json
import os
import stat
import subprocess
import sys
import tarfile
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import clientlab  # noqa: E402
import gatewaylab  # noqa: E402
import oidclab  # noqa: E402
import rpclab  # noqa: E402
import world  # noqa: E402
from gatewaylab import code_of, until  # noqa: E402

tap = world.Tap()
g = gatewaylab.Gateway(tls=False)
pb = g.pb
c = clientlab.Client(g)
out = tempfile.mkdtemp(prefix="cove-hostile-")
READY = 2
ESCAPES = "\x1b]0;owned\x07\x1b[31m\r\u202e\u200b"


def make(name, **kw):
    kw.setdefault("command", ["sleep", "100000"])
    box = g.stub.CreateSandbox(pb.CreateSandboxRequest(name=name, spec=kw)).sandbox
    until(lambda: g.stub.GetSandbox(pb.GetSandboxRequest(name=name)).sandbox.status.phase == READY)
    return box


def remove(box):
    g.stub.DeleteSandbox(pb.DeleteSandboxRequest(name=box.metadata.name))
    until(lambda: code_of(lambda: g.stub.GetSandbox(pb.GetSandboxRequest(
        name=box.metadata.name)))[0] == "NOT_FOUND", 60)
    until(lambda: not os.path.exists(directory(box)))


def directory(box):
    return os.path.join(g.state, "sandboxes", box.metadata.id)


def run(box, *command, **kw):
    said = gatewaylab.said(g.stub.ExecSandbox(
        pb.ExecSandboxRequest(sandbox_id=box.metadata.id, command=command, **kw), timeout=60))
    return said.code, said.out.decode(errors="replace"), said.err.decode(errors="replace")


def python(box, text, *words):
    return run(box, "python3", "-c", text, *words)


# ---- out of the sandbox ----

def n7_the_gateways_port_is_not_reached():
    code, said, err = python(box, """
import socket, sys, os, urllib.request
port = int(sys.argv[1])
for family, host in ((socket.AF_INET, '127.0.0.1'), (socket.AF_INET, '127.0.0.2'), (socket.AF_INET, '0.0.0.0'),
                     (socket.AF_INET6, '::1'), (socket.AF_INET6, '::ffff:127.0.0.1')):
    try:
        s = socket.socket(family); s.settimeout(3); s.connect((host, port)); print('reached', host)
    except OSError as e: pass
for name in ('localhost', '127.0.0.1', 'one.openshell.localhost', '[::1]', '2130706433', '0x7f.1'):
    try:
        r = urllib.request.urlopen('http://%s:%d/readyz' % (name, port), timeout=5)
        print('reached by proxy', name, r.status)
    except Exception as e: pass
print('over')
""", str(g.port))
    assert (code, said) == (0, "over\n"), (code, said, err)


def n7_nor_by_a_policy_that_names_it():
    request = pb.UpdateConfigRequest(name="one")
    request.policy.version = 1
    rule = request.policy.network_policies["self"]
    for host in ("localhost", "127.0.0.1"):
        rule.endpoints.add(host=host, port=g.port)
    rule.binaries.add(path="/**")
    code, said = code_of(lambda: g.stub.UpdateConfig(request))
    if code == "OK":
        until(lambda: g.stub.GetSandboxPolicyStatus(pb.GetSandboxPolicyStatusRequest(
            name="one")).active_version == said.version)
    code, said, err = python(box, """
import urllib.request, sys
for name in ('localhost', '127.0.0.1'):
    try:
        r = urllib.request.urlopen('http://%s:%s/readyz' % (name, sys.argv[1]), timeout=5); print('reached', name, r.status)
    except Exception as e: pass
print('over')
""", str(g.port))
    assert (code, said) == (0, "over\n"), (code, said, err)


def n8_no_socket_of_ours_is_there():
    code, said, err = python(box, """
import os, socket, sys
state = sys.argv[1]
for p in (state, state + '/supervisors.sock', state + '/sandboxes', state + '/cove.db', state + '/key'):
    if os.path.exists(p): print('there:', p)
for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_DGRAM):
    for p in (state + '/supervisors.sock', '\\0cove', '\\0cove-gateway', '\\0/tmp/.X11-unix/X0'):
        s = socket.socket(socket.AF_UNIX, kind)
        try: s.connect(p); print('connected', repr(p))
        except OSError: pass
with open('/proc/net/unix') as f:
    for line in f:
        if '@' in line: print('abstract', line.strip())
print('over')
""", g.state)
    assert (code, said) == (0, "over\n"), (code, said, err)


def n8_an_abstract_socket_of_the_host_is_not_reached():
    import socket
    s = socket.socket(socket.AF_UNIX)
    name = "\0cove-test-%d" % os.getpid()
    s.bind(name)
    s.listen()
    code, said, err = python(box, "import socket, sys\n"
                             "s = socket.socket(socket.AF_UNIX)\n"
                             "try:\n  s.connect('\\0' + sys.argv[1]); print('connected')\n"
                             "except OSError as e: print('no')", name[1:])
    s.close()
    assert (code, said) == (0, "no\n"), (said, err)


def p2_processes_of_others_are_not_seen():
    code, said, err = python(box, """
import os
mine = 0
for p in filter(str.isdigit, os.listdir('/proc')):
    try: comm = open('/proc/%s/comm' % p).read().strip()
    except OSError: continue
    mine += 1
    if comm.startswith('cove-') and comm != 'cove-init': print('sees', comm)
    for f in ('environ', 'maps', 'mem', 'fd'):
        if comm == 'cove-init':
            try:
                if f == 'fd': [os.readlink('/proc/%s/fd/%s' % (p, n)) for n in os.listdir('/proc/%s/fd' % p)]
                else: open('/proc/%s/%s' % (p, f), 'rb').read(1)
                print('reads', f, 'of', comm)
            except OSError: pass
print('few' if mine < 20 else 'many')
""")
    assert (code, said) == (0, "few\n"), (said, err)


def c10_no_token_is_in_the_sandbox():
    with open(os.path.join(directory(box), "run"), encoding="ascii") as f:
        words = f.read().split()
    code, said, err = python(box, """
import os, sys
needle = sys.argv[1][::-1].encode()
found = []
for k, v in os.environ.items():
    if needle in v.encode() or 'TOKEN' in k: found.append(k)
for p in filter(str.isdigit, os.listdir('/proc')):
    for f in ('environ', 'cmdline', 'mountinfo'):
        try:
            t = open('/proc/%s/%s' % (p, f), 'rb').read()
            if needle in t: found.append((p, f))
        except OSError: pass
for root, dirs, files in list(os.walk('/run')) + list(os.walk('/etc/openshell')) + list(os.walk('/tmp')):
    for n in files:
        try:
            if needle in open(os.path.join(root, n), 'rb').read(1 << 20): found.append(n)
        except OSError: pass
print(found)
""", words[1][::-1])
    assert (code, said) == (0, "[]\n"), (said, err)


def others_workspaces_are_not_there():
    other = make("other")
    run(other, "sh", "-c", "echo private >/sandbox/secret-of-other")
    code, said, _ = run(box, "sh", "-c", "find / -xdev -name secret-of-other 2>/dev/null; "
                        "find /proc/[0-9]*/root/ -maxdepth 3 -name secret-of-other 2>/dev/null; "
                        "ls /sandbox/../sandbox/.. | tr '\\n' ' '")
    assert "secret-of-other" not in said, said
    remove(other)


def p1_no_devices_and_no_privilege():
    code, said, err = run(box, "sh", "-c", "mknod /sandbox/mem c 1 1; mknod /sandbox/blk b 8 0; "
                          "cp /usr/bin/id /sandbox/id; chmod 6755 /sandbox/id; stat -c %a /sandbox/id; "
                          "ls /sandbox/mem /sandbox/blk; mount -t tmpfs x /mnt; unshare -U true; "
                          "grep -E 'NoNewPrivs|CapEff|CapBnd' /proc/self/status")
    workspace = os.path.join(directory(box), "workspace")
    assert not os.path.exists(workspace + "/mem") and not os.path.exists(workspace + "/blk"), said
    assert "NoNewPrivs:\t1" in said and "CapEff:\t0000000000000000" in said, said
    mode = os.stat(workspace + "/id").st_mode
    assert os.stat(directory(box)).st_mode & 0o077 == 0 and os.stat(g.state).st_mode & 0o077 == 0
    print("#   the mode of a setuid file on the host:", oct(mode))
    c("sandbox", "download", "one", "/sandbox/id", out + "/id")
    assert not os.stat(out + "/id").st_mode & 0o6000, "the client made a setuid file"


def p3_environments_are_the_sandboxes_own():
    code, said = code_of(lambda: run(box, "true", environment={"OPENSHELL_SANDBOX_TOKEN": "x"}))
    assert code == "INVALID_ARGUMENT" and "environment" in said, (code, said)
    code, said = code_of(lambda: run(box, "true", environment={"openshell_X": "x", "COVE_X": "y"}))
    assert code in ("OK", "INVALID_ARGUMENT")
    # A library of the agent's runs in its own commands, never in ours.
    run(box, "sh", "-c", "printf 'int x;' >/sandbox/l.c; cp /usr/lib/x86_64-linux-gnu/libm.so.6 /sandbox/l.so")
    code, said, err = run(box, "sh", "-c", "echo $LD_PRELOAD", environment={"LD_PRELOAD": "/sandbox/l.so"})
    assert (code, said) == (0, "/sandbox/l.so\n")
    for p in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{p}/comm") as f, open(f"/proc/{p}/maps") as m:
                if f.read().startswith("cove-"):
                    assert "/sandbox/l.so" not in m.read() and "workspace/l.so" not in m.read(), p
        except OSError:
            pass


# ---- what the agent leaves ----

def p6_deletion_follows_nothing():
    """Symlinks, hard links, directories without rights, swapped while it is deleted."""
    canary = tempfile.mkdtemp(prefix="cove-canary-")
    for i in range(50):
        os.makedirs(f"{canary}/d{i}")
        with open(f"{canary}/d{i}/file", "w", encoding="ascii") as f:
            f.write("precious")
    for n in range(5):
        victim = make("victim")
        python(victim, """
import os, sys
canary = sys.argv[1]
for i in range(300):
    os.makedirs('t/%d/a/b' % i); open('t/%d/a/b/f' % i, 'w').close()
    os.symlink(canary, 't/%d/l' % i); os.symlink('/proc/self/root' + canary, 't/%d/m' % i)
os.symlink(canary, 'run'); os.symlink('/', 'root'); os.symlink('..', 'up')
for odd in ('new\\nline', '\\x1b[31m', '-rf', '..x', ' ', '\\u202e', '$(id)'): os.mkdir(odd); open(odd + '/f', 'w').close()
os.mkfifo('fifo')
deep = '.'
for i in range(400): deep = 'd'; os.mkdir(deep); os.chdir(deep)
""", canary)
        swap = g.stub.ExecSandbox(pb.ExecSandboxRequest(sandbox_id=victim.metadata.id, command=[
            "python3", "-c", """
import os, sys, ctypes
libc = ctypes.CDLL(None)
print('up', flush=True)
os.mkdir('real'); os.symlink(sys.argv[1], 'trap')
while True:
    for i in range(300):
        d = b't/%d/a' % i
        libc.renameat2(-100, d, -100, b't/%d/l' % i, 2)
        libc.renameat2(-100, b'real', -100, b'trap', 2)
""", canary]))
        next(swap)
        time.sleep(0.02 * n)
        begun = time.monotonic()
        remove(victim)
        print("#   removed in %.1f s" % (time.monotonic() - begun))
        swap.cancel()
    left = sum(1 for i in range(50) if os.path.exists(f"{canary}/d{i}/file"))
    assert left == 50, f"{50 - left} files of the host are gone"
    stay = lambda: [n for n in os.listdir(g.state + "/sandboxes") if n != box.metadata.id]
    try:
        until(lambda: not stay(), 30)
    except AssertionError:
        found = subprocess.run(["find", *stay()], cwd=g.state + "/sandboxes", capture_output=True, text=True)
        raise AssertionError(f"{stay()}: {found.stdout[:500]} {found.stderr[:300]} {g.lines[-3:]}") from None


def p6_starting_again_follows_nothing():
    """The agent leaves a link where the driver would write or make something when it starts anew."""
    again = make("again")
    run(again, "sh", "-c", "rm -rf /sandbox/* /sandbox/.[a-z]*; ln -s /etc /sandbox/etc; ln -s / /sandbox/workspace; "
        "ln -s ../run /sandbox/run; mkdir .git; chmod 0 /sandbox")
    before = os.stat(directory(again)).st_mode
    g.stub.StopSandbox(pb.StopSandboxRequest(name="again"))
    until(lambda: g.stub.GetSandbox(pb.GetSandboxRequest(name="again")).sandbox.status.phase == 7)
    g.stub.StartSandbox(pb.StartSandboxRequest(name="again"))
    until(lambda: g.stub.GetSandbox(pb.GetSandboxRequest(name="again")).sandbox.status.phase in (2, 3))
    assert os.stat(directory(again)).st_mode == before
    remove(again)


# ---- up and down ----

def entry(name, kind=tarfile.REGTYPE, data=b"", link="", mode=0o644):
    t = tarfile.TarInfo(name)
    t.type, t.size, t.linkname, t.mode = kind, len(data), link, mode
    return t, data


HOSTILE_ARCHIVES = {
    "above": [entry("../escaped", data=b"x")],
    "above, later": [entry("a/../../escaped", data=b"x")],
    "absolute": [entry("OUT/escaped", data=b"x")],
    "through a link": [entry("l", tarfile.SYMTYPE, link="OUT"), entry("l/escaped", data=b"x")],
    "through a link of links": [entry("a", tarfile.SYMTYPE, link="."), entry("a/b", tarfile.SYMTYPE, link="OUT"),
                                entry("b/escaped", data=b"x")],
    "over a link": [entry("l", tarfile.SYMTYPE, link="OUT/escaped"), entry("l", data=b"x")],
    "a link in place of a directory": [entry("d", tarfile.DIRTYPE, mode=0o755), entry("d/f", data=b"x"),
                                       entry("d", tarfile.SYMTYPE, link="OUT"), entry("d/escaped", data=b"x")],
    "a hard link": [entry("h", tarfile.LNKTYPE, link="OUT/precious"), entry("h", data=b"overwritten")],
    "a hard link above": [entry("h", tarfile.LNKTYPE, link="../precious"), entry("h", data=b"overwritten")],
    "devices": [entry("dev", tarfile.CHRTYPE), entry("blk", tarfile.BLKTYPE), entry("fifo", tarfile.FIFOTYPE)],
    "setuid": [entry("suid", data=b"x", mode=0o6755), entry("sdir", tarfile.DIRTYPE, mode=0o7777)],
    "escapes": [entry("e" + ESCAPES, data=b"x"), entry("new\nline", data=b"x")],
    "a long name above": [entry("x/" * 60 + "../" * 62 + "escaped", data=b"x")],
    "nothing but dots": [entry("..", tarfile.DIRTYPE, mode=0o777), entry(".", tarfile.SYMTYPE, link="OUT")],
    "git": [entry(".git/hooks/post-checkout", data=b"#!/bin/sh\n", mode=0o755)],
}


def p12_no_archive_writes_elsewhere():
    tools = make("tools", environment={"PATH": "/sandbox/bin:/usr/bin:/bin"})
    run(tools, "sh", "-c", "mkdir -p /sandbox/bin /sandbox/dir; printf '#!/bin/sh\\ncat /sandbox/evil\\n' "
        ">/sandbox/bin/tar; chmod +x /sandbox/bin/tar; echo x >/sandbox/dir/x")
    workspace = os.path.join(directory(tools), "workspace")
    faults, used = [], 0
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        for what, entries in HOSTILE_ARCHIVES.items():
            for source in ("/sandbox/dir", "/sandbox/dir/x"):
                root = tempfile.mkdtemp(prefix="dl-", dir=out)
                outside, dest = root + "/outside", root + "/dest"
                os.mkdir(outside)
                os.mkdir(dest)
                for p in (outside, root):
                    with open(p + "/precious", "w", encoding="ascii") as f:
                        f.write("precious")
                archive = io.BytesIO()
                with tarfile.open(fileobj=archive, mode="w", format=form) as t:
                    for info, data in entries:
                        info = tarfile.TarInfo.frombuf(info.tobuf(form, "utf-8", "surrogateescape")[-512:], "utf-8",
                                                       "surrogateescape") if False else info
                        copy = tarfile.TarInfo(info.name.replace("OUT", outside))
                        copy.type, copy.mode, copy.size = info.type, info.mode, info.size
                        copy.linkname = info.linkname.replace("OUT", outside)
                        t.addfile(copy, io.BytesIO(data))
                with open(workspace + "/evil", "wb") as f:
                    f.write(archive.getvalue())
                done = c("sandbox", "download", "tools", source, dest, status=None)
                used += done.returncode == 0
                found = sorted(os.path.relpath(os.path.join(r, n), root) for r, d, f in os.walk(root) for n in f + d
                               if not os.path.join(r, n).startswith(dest))
                if found != ["outside", "outside/precious", "precious"]:
                    faults.append(f"{what}: {found}")
                for p in (outside, root):
                    with open(p + "/precious", encoding="ascii") as f:
                        if f.read() != "precious":
                            faults.append(f"{what}: a file outside was written")
                for r, d, f in os.walk(dest):
                    for n in f + d:
                        st = os.lstat(os.path.join(r, n))
                        if st.st_mode & 0o6000 or stat.S_ISCHR(st.st_mode) or stat.S_ISBLK(st.st_mode) or \
                                stat.S_ISFIFO(st.st_mode) or (stat.S_ISREG(st.st_mode) and st.st_nlink > 1 and
                                                              "hard" in what):
                            faults.append(f"{what}: {n} is {oct(st.st_mode)} {st.st_nlink}")
                if "\x1b" in done.stderr + done.stdout or "\u202e" in done.stderr + done.stdout:
                    faults.append(f"{what}: escapes reach the terminal: {done.stderr!r}")
    print("#   archives that were taken:", used)
    remove(tools)
    assert not faults, "\n".join(faults)


def p12_an_upload_meets_links():
    """The sandbox has links where the upload goes: they lead inside of it at most."""
    run(box, "sh", "-c", "mkdir -p up; ln -s /etc/passwd up/file; ln -s /usr up/dir")
    os.makedirs(out + "/tree/dir", exist_ok=True)
    for name in ("file", "dir/x"):
        with open(out + "/tree/" + name, "w", encoding="ascii") as f:
            f.write("mine")
    with open("/etc/passwd", "rb") as f:
        before = f.read()
    c("sandbox", "upload", "one", out + "/tree/file", "/sandbox/up/file", status=None)
    c("sandbox", "upload", "one", out + "/tree", "/sandbox/up", status=None)
    with open("/etc/passwd", "rb") as f:
        assert f.read() == before
    assert not os.path.exists("/usr/x")
    # What the client's own links lead to is not sent.
    os.symlink("/etc/passwd", out + "/tree/secret")
    c("sandbox", "upload", "one", out + "/tree", "/sandbox/sent")
    assert not run(box, "sh", "-c", "find /sandbox/sent -name secret -type f")[1]


# ---- tokens ----

def signer():
    key = object.__new__(oidclab.Key)
    key.alg, key.path = "EdDSA", os.path.join(g.state, "tls/jwt/signing.pem")
    with open(os.path.join(g.state, "tls/jwt/kid"), encoding="ascii") as f:
        key.kid = f.read()
    return key


def token_of(box_id):
    name = json.loads(g.get("/.well-known/openid-configuration")[1])["issuer"]
    key = signer()
    body = {"sub": "spiffe://openshell/sandbox/" + box_id, "iss": name, "aud": name, "iat": int(time.time()),
            "exp": 0, "sandbox_id": box_id}
    text = ".".join(oidclab.b64(json.dumps(x).encode()) for x in ({"alg": "EdDSA", "kid": key.kid}, body))
    return text + "." + oidclab.b64(key.sign(text.encode()))


def b3_a_token_is_good_for_its_own_sandbox_only():
    other = make("other")
    stub = g.connect(token=token_of(box.metadata.id))
    sandbox_pb2 = rpclab.module("sandbox_pb2")
    oid = other.metadata.id
    before = str(g.stub.GetSandbox(pb.GetSandboxRequest(name="other")))
    calls = {
        "GetSandboxConfig": lambda: stub.GetSandboxConfig(sandbox_pb2.GetSandboxConfigRequest(sandbox_id=oid)),
        "UpdateConfig": lambda: stub.UpdateConfig(pb.UpdateConfigRequest(name="other", policy={"version": 1})),
        "UpdateConfig of all": lambda: stub.UpdateConfig(pb.UpdateConfigRequest(policy={"version": 1}, **{"global": True})),
        "a setting": lambda: stub.UpdateConfig(pb.UpdateConfigRequest(
            name="one", setting_key="proposal_approval_mode", setting_value={"string_value": "auto"})),
        "ReportPolicyStatus": lambda: stub.ReportPolicyStatus(pb.ReportPolicyStatusRequest(
            sandbox_id=oid, version=1, status=2)),
        "GetSandboxProviderEnvironment": lambda: stub.GetSandboxProviderEnvironment(
            pb.GetSandboxProviderEnvironmentRequest(sandbox_id=oid)),
        "ReportMainProcessExit": lambda: stub.ReportMainProcessExit(pb.ReportMainProcessExitRequest(
            sandbox_id=oid, instance_id=other.status.main_process_instance_id, exit_code=1)),
        "ConnectSupervisor": lambda: list(stub.ConnectSupervisor(iter([pb.SupervisorMessage(
            hello=pb.SupervisorHello(sandbox_id=oid, instance_id=other.status.main_process_instance_id))]))),
        "RelayStream": lambda: list(stub.RelayStream(iter([pb.RelayFrame(init=pb.RelayInit(channel_id=oid))]))),
        "CreateSupervisorToken": lambda: rpclab.module("cove_pb2_grpc").CoveStub(
            g.channel(token=token_of(box.metadata.id))).CreateSupervisorToken(
                rpclab.module("cove_pb2").CreateSupervisorTokenRequest(name="other")),
        "SubmitPolicyAnalysis": lambda: stub.SubmitPolicyAnalysis(pb.SubmitPolicyAnalysisRequest(name="other")),
        "GetDraftPolicy": lambda: stub.GetDraftPolicy(pb.GetDraftPolicyRequest(name="other")),
        "ApproveDraftChunk": lambda: stub.ApproveDraftChunk(pb.ApproveDraftChunkRequest(name="one", chunk_id="x")),
        "PushSandboxLogs": lambda: stub.PushSandboxLogs(iter([pb.PushSandboxLogsRequest(
            sandbox_id=oid, logs=[{"message": "forged"}])])),
        "ListSandboxes": lambda: stub.ListSandboxes(pb.ListSandboxesRequest()),
        "Exec": lambda: list(stub.ExecSandbox(pb.ExecSandboxRequest(sandbox_id=oid, command=["id"]))),
    }
    faults = []
    for what, call in calls.items():
        code, said = code_of(call)
        if code not in ("PERMISSION_DENIED", "NOT_FOUND", "UNAUTHENTICATED", "UNIMPLEMENTED"):
            faults.append(f"{what}: {code} {said}")
    assert str(g.stub.GetSandbox(pb.GetSandboxRequest(name="other"))) == before
    logs = g.stub.GetSandboxLogs(pb.GetSandboxLogsRequest(sandbox_id=oid))
    assert "forged" not in str(logs)
    remove(other)
    assert not faults, "\n".join(faults)


# ---- terminals and logs ----

def clean(text, what):
    bad = sorted({hex(ord(ch)) for ch in text if not (ch.isprintable() or ch in "\n\t")})
    assert not bad, f"{what}: {bad} in {text[-400:]!r}"


def c11_lines_of_sandboxes_do_not_steer_a_terminal():
    stub = g.connect(token=token_of(box.metadata.id))
    begun = len(g.lines)
    lines = [{"sandbox_id": box.metadata.id, "level": "INFO" + ESCAPES, "target": "t" + ESCAPES,
              "message": "before" + ESCAPES + "\n2026-01-01T00:00:00Z INFO forged: line", "source": "sandbox" + ESCAPES,
              "timestamp_ms": int(time.time() * 1000), "fields": {"k" + ESCAPES: "v" + ESCAPES + "\n"}},
             {"sandbox_id": box.metadata.id, "level": "INFO", "message": "x" * 200000}]
    code, said = code_of(lambda: stub.PushSandboxLogs(iter([pb.PushSandboxLogsRequest(
        sandbox_id=box.metadata.id, logs=lines)])))
    print("#   pushed:", code)
    # Raw bytes that are no message, and a request to a host of odd bytes: the proxy's own lines.
    run(box, "python3", "-c", """
import os, socket, urllib.parse
p = urllib.parse.urlparse(os.environ.get('HTTP_PROXY') or os.environ.get('http_proxy') or 'http://127.0.0.1:1')
for host in (b'ev\\x1b[31mil.example', b'a\\r\\nX: y', b'\\xff\\xfe.example', b'evil\\xe2\\x80\\xae.example', b'plain.example'):
    for line in (b'CONNECT ' + host + b':443 HTTP/1.1\\r\\nHost: ' + host + b'\\r\\n\\r\\n',
                 b'GET http://' + host + b'/\\x1b[2J\\x07 HTTP/1.1\\r\\nHost: ' + host + b'\\r\\n\\r\\n'):
        try:
            s = socket.create_connection((p.hostname, p.port), 5); s.sendall(line); s.settimeout(2); s.recv(1000)
        except OSError: pass
""")
    time.sleep(0.5)
    logs = g.stub.GetSandboxLogs(pb.GetSandboxLogsRequest(sandbox_id=box.metadata.id, lines=1000))
    assert logs.logs, "no line at all"
    shown = c("logs", "one", status=None)
    assert shown.stdout, shown
    clean(shown.stdout + shown.stderr, "cove logs")
    assert not any(line.startswith("2026-01-01T00:00:00Z") for line in shown.stdout.splitlines()), "a forged line"
    for form in ("json", "yaml"):
        clean(c("logs", "one", "-o", form, status=None).stdout, "cove logs -o " + form)
    for line in g.lines[begun:]:
        clean(line, "the gateway's log")


def c11_names_and_labels_do_not_either():
    for kw in (dict(name="x" + ESCAPES), dict(labels={"a": "v" + ESCAPES}), dict(labels={"k" + ESCAPES: "v"})):
        code, said = code_of(lambda: g.stub.CreateSandbox(pb.CreateSandboxRequest(
            spec={"command": ["true"]}, **kw)))
        assert code == "INVALID_ARGUMENT", (kw, code)
        clean(said, "a refusal")
    odd = g.stub.CreateSandbox(pb.CreateSandboxRequest(
        name="odd", annotations={"a": "v" + ESCAPES + "\nforged"}, spec={
            "command": ["sh", "-c", "exit 3", ESCAPES], "environment": {"E": "v\x1b[31m\u202e"},
            "template": {"image": ""}})).sandbox
    until(lambda: g.stub.GetSandbox(pb.GetSandboxRequest(name="odd")).sandbox.status.phase == 3)
    for words in (["sandbox", "list"], ["sandbox", "get", "odd"], ["sandbox", "list", "-o", "json"],
                  ["sandbox", "list", "-o", "yaml"], ["sandbox", "get", "odd", "-o", "yaml"],
                  ["sandbox", "get", "odd", "-o", "json"], ["sandbox", "get", "no" + ESCAPES],
                  ["sandbox", "delete", "no" + ESCAPES], ["provider", "get", "no" + ESCAPES],
                  ["policy", "get", "no" + ESCAPES], ["logs", "no" + ESCAPES], ["provider", "list"]):
        done = c(*words, status=None)
        clean(done.stdout + done.stderr, " ".join(words[:3]))
    image = g.stub.CreateSandbox(pb.CreateSandboxRequest(name="img", spec={
        "template": {"image": "evil" + ESCAPES + ":1"}})).sandbox
    until(lambda: g.stub.GetSandbox(pb.GetSandboxRequest(name="img")).sandbox.status.phase == 3)
    for words in (["sandbox", "list"], ["sandbox", "get", "img"], ["sandbox", "get", "img", "-o", "yaml"]):
        done = c(*words, status=None)
        clean(done.stdout + done.stderr, " ".join(words))
    for line in g.lines:
        clean(line, "the gateway's log")
    remove(odd)
    remove(image)


CHECKS = [f for n, f in list(globals().items()) if callable(f) and n.split("_")[0] in (
    "n7", "n8", "p1", "p2", "p3", "p6", "p12", "b3", "c10", "c11", "others")]
try:
    box = make("one")
    for f in CHECKS:
        if len(sys.argv) < 2 or any(w in f.__name__ for w in sys.argv[1:]):
            begun = time.monotonic()
            tap.check(f.__name__.replace("_", " "), f)
            if time.monotonic() - begun > 5:
                print("#   that took %.1f s" % (time.monotonic() - begun))
            if g.process.poll() is not None:
                tap.ok(False, "the gateway lives", "\n".join(g.lines[-30:]))
                g.start()
    for s in g.stub.ListSandboxes(pb.ListSandboxesRequest()).sandboxes:
        remove(s)
finally:
    g.close()
    subprocess.run(["rm", "-rf", out], check=False)
tap.done()
