#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: a gateway that runs is copied, put back, and gets another key for what it has sealed, and
everything still works; keys that a command prints; the same against PostgreSQL where CV_DB_URL names one.
Method: the program's own commands against a real gateway; a value that reaches a real TLS server is the
proof that an envelope can still be opened."""
import base64
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import gatewaylab  # noqa: E402
import rpclab  # noqa: E402
import world  # noqa: E402
from gatewaylab import code_of, until  # noqa: E402

tap = world.Tap()
HOST = "api.test"
VALUE = "v4lue-of-a-backup-0123456789"
w = world.World([HOST])
server = world.Server(world.PUBLIC, 443, w.pki)
CONFIG = {"resolve": [f"{HOST}:443:{world.PUBLIC}"], "upstream_ca": [w.pki.ca]}
g = gatewaylab.Gateway(config=CONFIG)
pb, sb, dm = g.pb, rpclab.module("sandbox_pb2"), rpclab.module("datamodel_pb2")
FILE = os.path.join(w.dir, "copy.db")


def equal(got, want):
    assert got == want, f"got {got!r}, want {want!r}"


def ask(*words):
    """(exit status, what it said)"""
    r = g.run(*words, "--state-dir", g.state, check=False)
    return r.returncode, (r.stdout + r.stderr).strip()


def key_lines():
    with open(os.path.join(g.state, "key"), encoding="ascii") as f:
        return f.read().splitlines()


def create(name, value=VALUE):
    g.stub.CreateProvider(pb.CreateProviderRequest(provider=dm.Provider(
        metadata=dm.ObjectMeta(name=name), type="mine", credentials={"MY_TOKEN": value})))


def names():
    return sorted(p.metadata.name for p in g.stub.ListProviders(pb.ListProvidersRequest()).providers)


def sandbox(name):
    g.stub.CreateSandbox(pb.CreateSandboxRequest(name=name, spec=pb.SandboxSpec(
        command=["/bin/sleep", "1000"], providers=["p"])))
    return until(lambda: (s := g.stub.GetSandbox(pb.GetSandboxRequest(name=name)).sandbox)
                 .status.phase == 2 and s)


def sent(name):
    """What the server was shown by curl in this sandbox."""
    s = g.stub.GetSandbox(pb.GetSandboxRequest(name=name)).sandbox
    before = len(server.seen)
    for _ in g.stub.ExecSandbox(pb.ExecSandboxRequest(sandbox_id=s.metadata.id, command=[
            "/bin/sh", "-c",
            f'/usr/bin/curl -sS --max-time 10 -H "Authorization: Bearer $MY_TOKEN" https://{HOST}/']), timeout=40):
        pass
    return [{k.lower(): v for k, v in r["headers"].items()}["authorization"] for r in server.seen[before:]]


def copied():
    g.stub.ImportProviderProfiles(pb.ImportProviderProfilesRequest(profiles=[
        pb.ProviderProfileImportItem(source="test", profile=pb.ProviderProfile(
            id="mine", display_name="mine", category=1,
            credentials=[pb.ProviderProfileCredential(name="token", env_vars=["MY_TOKEN"])],
            endpoints=[sb.NetworkEndpoint(host=HOST, port=443, protocol="rest", enforcement="enforce",
                                          access="full")],
            binaries=[sb.NetworkBinary(path="/usr/bin/curl")]))]))
    create("p")
    sandbox("box")
    equal(sent("box"), ["Bearer " + VALUE])
    code, said = ask("backup", FILE)
    equal((code, said.startswith("Backup written.")), (0, True))
    equal(os.stat(FILE).st_mode & 0o777, 0o600)
    with open(FILE, "rb") as f:
        data = f.read()
    assert VALUE.encode() not in data and not any(k.encode() in data for k in key_lines())


def put_back():
    create("later")
    g.stub.DeleteProvider(pb.DeleteProviderRequest(name="later"))
    create("later-2")
    equal(names(), ["later-2", "p"])
    since = len(g.lines)
    code, said = ask("restore", FILE)
    equal((code, said), (0, "Restored; the gateway starts again with it."))
    assert g.logged("ready", since), g.lines[since:]
    g.reconnect()
    equal(names(), ["p"])
    until(lambda: code_of(lambda: sent("box")) == ("OK", ["Bearer " + VALUE]))  # the sandbox went on


def what_is_no_backup():
    bad = os.path.join(w.dir, "bad.db")
    with open(bad, "wb") as f:
        f.write(b"no database" * 100)
    box = g.stub.GetSandbox(pb.GetSandboxRequest(name="box")).sandbox.metadata.id
    call = g.stub.ExecSandbox(pb.ExecSandboxRequest(sandbox_id=box, command=["sh", "-c", "echo on; sleep 2"]))
    next(call)
    code, said = ask("restore", bad)
    assert code != 0 and "is damaged, or no backup" in said, said
    code, said = ask("restore", "/nosuch/file")
    assert code != 0 and "/nosuch/file" in said, said
    equal([e.exit.exit_code for e in call], [0])  # nobody's call was cut off for it
    equal(names(), ["p"])
    equal(ask("backup")[0], 2)
    equal(ask("backup", "/nosuch/dir/file")[0] != 0, True)
    r = g.run("backup", FILE, "--state-dir", os.path.join(w.dir, "nothing"), check=False)
    assert r.returncode != 0 and "no gateway runs" in r.stderr, r


def another_key():
    until(lambda: code_of(lambda: sent("box")) == ("OK", ["Bearer " + VALUE]))
    before = key_lines()
    code, said = ask("rotate-credentials-key")
    equal((code, said), (0, "1 stored secrets are under the new key."))
    after = key_lines()
    assert len(after) == 1 and after != before, "the key file"
    equal(os.stat(os.path.join(g.state, "key")).st_mode & 0o777, 0o600)
    equal(sent("box"), ["Bearer " + VALUE])
    sandbox("two")
    equal(sent("two"), ["Bearer " + VALUE])
    g.kill()
    g.start()
    until(lambda: code_of(lambda: sent("two")) == ("OK", ["Bearer " + VALUE]))


def keys_of_a_command():
    keys = os.path.join(w.dir, "keys")
    with open(keys, "w", encoding="ascii") as f:
        f.write("\n".join(key_lines()) + "\n")
    os.chmod(keys, 0o600)
    os.unlink(os.path.join(g.state, "key"))
    g.stop()
    g.write_config({**CONFIG, "key_command": f"cat {keys}"})
    g.start()
    until(lambda: code_of(lambda: sent("box")) == ("OK", ["Bearer " + VALUE]))
    sandbox("three")
    equal(sent("three"), ["Bearer " + VALUE])
    equal(os.path.exists(os.path.join(g.state, "key")), False)
    with open(keys, "r+", encoding="ascii") as f:
        old = f.read()
        f.seek(0)
        f.write(base64.b64encode(os.urandom(32)).decode() + "\n" + old)
    equal(ask("rotate-credentials-key"), (0, "1 stored secrets are under the new key."))
    with open(keys, "r+", encoding="ascii") as f:
        first = f.readline()
        f.seek(0)
        f.truncate()
        f.write(first)
    g.kill()
    g.start()
    until(lambda: code_of(lambda: sent("three")) == ("OK", ["Bearer " + VALUE]))
    g.write_config({**CONFIG, "key_command": "exit 3"})
    g.kill()
    g.start()
    equal(code_of(lambda: create("no-key")), ("UNAVAILABLE", "key_command failed"))


def where_the_key_is_another():
    """A sandbox that can't be started says why, and it is not its image."""
    with gatewaylab.Gateway(tls=False) as other:
        since = len(other.lines)
        r = other.run("restore", FILE, "--state-dir", other.state)
        assert other.logged("ready", since), (r, other.lines[since:])
        other.reconnect()
        get = pb.GetSandboxRequest(name="box")
        s = until(lambda: (s := other.stub.GetSandbox(get).sandbox).status.phase == 3 and s)
        condition = [c for c in s.status.conditions if c.type == "Ready"][0]
        equal(condition.reason, "StartFailed")
        assert "sealed under a key that is not among those given" in condition.message, condition


try:
    for check in (copied, put_back, what_is_no_backup, where_the_key_is_another, another_key, keys_of_a_command):
        tap.check(check.__name__.replace("_", " "), check)
        if tap.failed and os.environ.get("CV_TEST_LOG"):
            print("\n".join("# " + x for x in g.lines[-20:]))
finally:
    for name in ("box", "two", "three"):
        code_of(lambda: g.stub.DeleteSandbox(pb.DeleteSandboxRequest(name=name)))
    time.sleep(1)
    g.close()
    w.close()
tap.done()
