#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: fullsend's calls of `openshell`, in the order of one of its runs, each with the words, the exit
status and the text that it relies on.
Method: the client under that name, on a real gateway; strings as fullsend looks for them."""
import io
import os
import sys
import tarfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import clientlab  # noqa: E402
import gatewaylab  # noqa: E402
import world  # noqa: E402

tap = world.Tap()
g = gatewaylab.Gateway()
c = clientlab.Client(g)
NAME = "fs-abc-0123456789ab"  # nineteen letters, as it makes them
work = os.path.join(g.directory, "work")
os.makedirs(work)


def openshell(*words, **kw):
    return c(*words, program="openshell", **kw)


def sh(command, seconds="30", **kw):
    return openshell("sandbox", "exec", "--name", NAME, "--no-tty", "--timeout", seconds, "--", "sh", "-c",
                     command, **kw)


def write(name, text):
    path = os.path.join(work, name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return path


def check(f):
    tap.check(f.__name__.replace("_", " "), f)


def it_finds_its_gateway():
    said = openshell("gateway", "list")
    assert (said.stdout + said.stderr).strip()
    line = [x for x in openshell("gateway", "info").stdout.splitlines() if "Gateway endpoint:" in x]
    assert line and line[0].split("Gateway endpoint:")[1].strip().startswith("https://"), line
    assert openshell("--version").stdout.startswith("openshell ")
    openshell("settings", "set", "--key", "providers_v2_enabled", "--value", "true", "--global", "--yes")


def it_imports_profiles_again_and_again():
    path = write("profile.yaml", "id: fs-api\ndisplay_name: API\ncategory: other\ncredentials:\n"
                 "  - {name: token, env_vars: [API_TOKEN]}\nendpoints:\n"
                 "  - {host: host.openshell.internal, port: 9090, protocol: rest, access: read-write}\n"
                 "binaries: [{path: \"**\"}]\n")
    openshell("provider", "profile", "delete", "fs-api", status=None)
    openshell("provider", "profile", "import", "--file", path)
    for words in (("--file", path), ("--from", work)):
        said = openshell("provider", "profile", "import", *words, status=1)
        assert "already exists" in (said.stdout + said.stderr).lower(), said


def it_makes_providers_or_updates_them():
    env = {"API_TOKEN": "value-of-the-run-0123"}
    words = ("provider", "create", "--name", "api-server", "--type", "fs-api", "--credential", "API_TOKEN")
    openshell(*words, env=env)
    said = openshell(*words, env=env, status=1)
    assert "provider already exists" in said.stderr.lower(), said
    openshell("provider", "update", "api-server", "--credential", "API_TOKEN", env=env)
    said = openshell("provider", "create", "--name", "x", "--type", "no-such", "--credential", "A=b", status=1)
    assert "unsupported provider type or profile" in said.stderr.lower(), said
    openshell("provider", "create", "--name", "none", "--type", "generic", "--credential", "_NOOP_X=", "--config", "A=b")


def it_creates_and_polls():
    policy = write("policy.yml", "version: 1\n")
    openshell("sandbox", "create", "--name", NAME, "--keep", "--no-auto-providers", "--no-tty", "--policy", policy,
              "--provider", "api-server", "--", "true")
    assert "Ready" in openshell("sandbox", "get", NAME).stdout
    time.sleep(0.5)  # `true` has ended long ago
    assert "Ready" in openshell("sandbox", "get", NAME).stdout


def it_runs_commands():
    said = sh("echo out; echo err >&2; exit 7", status=7)
    assert (said.stdout, said.stderr) == ("out\n", "err\n"), said
    begun = time.monotonic()
    sh("sleep 30", "1", status=124)
    assert time.monotonic() - begun < 20
    assert sh("echo $API_TOKEN").stdout.startswith("openshell:resolve:env:")
    assert sh("id -un; test -w /sandbox && test -w /tmp; echo $?").stdout == "sandbox\n0\n"


def it_moves_files():
    hooks = write("hooks.json", "{}")
    openshell("sandbox", "upload", NAME, hooks, "/sandbox/.claude/hooks.json")
    assert sh("test -f /sandbox/.claude/hooks.json && echo file").stdout == "file\n"
    packed = os.path.join(work, "t.tar.gz")
    with tarfile.open(packed, "w:gz") as t:
        one = tarfile.TarInfo("repo/a")
        one.size = 2
        t.addfile(one, io.BytesIO(b"a\n"))
        link = tarfile.TarInfo("repo/l")
        link.type, link.linkname = tarfile.SYMTYPE, "a"
        t.addfile(link)
    to = f"/tmp/fs-upload-{NAME}-x.tar.gz"
    openshell("sandbox", "upload", NAME, packed, to)
    sh(f"rm -rf /sandbox/d && mkdir -p /sandbox/d && tar -xzf {to} -C /sandbox/d && rm {to}")
    assert sh("find /sandbox/d -type f 2>/dev/null || true").stdout == "/sandbox/d/repo/a\n"
    out = os.path.join(work, "out")
    openshell("sandbox", "download", NAME, "/sandbox/d", out)
    assert os.readlink(os.path.join(out, "repo/l")) == "a"


def it_reads_logs():
    for source in ("sandbox", "gateway", "supervisor"):
        openshell("logs", NAME, "--source", source, "-n", "0")
    assert "created" in openshell("logs", NAME, "--source", "gateway", "-n", "0").stdout
    openshell("logs", NAME, "--since", "10m", "-n", "100")


def it_deletes_and_takes_the_name_again():
    openshell("sandbox", "delete", NAME)
    openshell("sandbox", "create", "--name", NAME, "--keep", "--no-auto-providers", "--no-tty", "--", "true")
    assert NAME in openshell("sandbox", "list").stdout
    openshell("sandbox", "delete", NAME)
    openshell("provider", "delete", "api-server")


try:
    for step in (it_finds_its_gateway, it_imports_profiles_again_and_again, it_makes_providers_or_updates_them,
                 it_creates_and_polls, it_runs_commands, it_moves_files, it_reads_logs,
                 it_deletes_and_takes_the_name_again):
        check(step)
finally:
    c("sandbox", "delete", "--all", status=None)
    g.close()
tap.done()
