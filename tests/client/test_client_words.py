#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: what the client says without a gateway: help, wrong words, the list of gateways, and that it
finds the one that is meant.
Method: the program itself, with a home of its own."""
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import clientlab  # noqa: E402
import world  # noqa: E402

tap = world.Tap()
home = tempfile.TemporaryDirectory(prefix="cove-client-")
c = clientlab.Client(home=home.name)


def check(f):
    tap.check(f.__name__.replace("_", " "), f)


def help_at_every_level():
    top = c("--help").stdout
    assert "Usage: cove [OPTIONS] <COMMAND>" in top and "sandbox" in top and "[alias: sb]" in top
    assert "Usage: cove sandbox [OPTIONS] <COMMAND>" in c("sandbox", "--help").stdout
    one = c("sandbox", "create", "--help").stdout
    assert "--approval-mode <MODE>" in one and "manual|auto" in one and "--keep " not in one
    assert "Usage: openshell sandbox get" in c("sb", "get", "-h", program="openshell").stdout
    assert c("--version", program="/usr/bin/openshell").stdout.startswith("openshell ")
    # A link to the whole program is that client, too.
    link = os.path.join(home.name, "openshell")
    os.symlink(world.COVE, link)
    for words, start in ((["--version"], "openshell "), (["--help"], "openshell: ")):
        done = subprocess.run([link, *words], env=c.env, capture_output=True, text=True, check=True)
        assert done.stdout.startswith(start), done


def wrong_words_are_two_and_name_the_nearest():
    for words, want in (
            (["sandbx", "list"], "did you mean 'sandbox'"), (["sandbox", "lst"], "'sandbox list'"),
            (["sandbox", "list", "--selectr", "a=b"], "'--selector'"),
            (["sandbox", "get", "a", "b"], "unexpected argument 'b'"),
            (["sandbox", "list", "-o", "xml"], "table|json|yaml"),
            (["sandbox", "upload", "x"], "<LOCAL>"), (["sandbox", "exec", "-n", "x"], "<CMD>"),
            (["sandbox", "list", "--limit", "-3"], "not a number"),
            (["logs", "--since", "soon"], "5m"), (["logs", "--level", "loud"], "possible values"),
            (["logs", "--source", "x"], "possible values"),
            (["completions", "tcsh"], "bash, fish, zsh, powershell"),
            (["sandbox", "delete"], "--all"), (["policy", "set", "x"], "--policy"),
            (["policy", "update", "x", "--add-endpoint", "nohost"], "HOST:PORT"),
            (["policy", "update", "x", "--add-allow", "h:1:GET"], "METHOD:PATH"),
            (["policy", "update", "x", "--binary", "/b"], "--add-endpoint"),
            (["settings", "set", "x"], "--value"), (["forward", "start", "0"], "PORT"),
            (["service", "expose", "x", "70000"], "65535"), (["invoke", "x"], "--port"),
            (["provider", "create"], "--name"),
            (["gateway", "add", "host:1"], "https://"), (["rule", "approve", "x"], "--chunk-id"),
            (["sandbox", "create", "--upload", "a", "--", "true"], "--upload"),
            (["sandbox", "create", "--env", "1X=2", "--name", "x"], "--env"),
            (["sandbox", "exec", "-n", "x", "--env", "OPENSHELL_X=1", "true"], "reserved")):
        said = c(*words, status=2, env={"OPENSHELL_GATEWAY_ENDPOINT": "http://127.0.0.1:1"})
        assert want in said.stderr and not said.stdout, (words, said.stderr)
        assert "Usage:" in said.stderr


def no_gateway_is_said_with_two_hints():
    said = c("sandbox", "list", status=1, program="openshell").stderr
    assert "No active gateway." in said and said.count("hint: ") == 2
    assert "openshell gateway add" in said and "openshell gateway select" in said
    assert "Unknown gateway 'x'." in c("-g", "x", "sandbox", "list", status=1).stderr
    assert "No gateway configured." in c("status").stdout
    assert json.loads(c("status", "-o", "json").stdout) == {"status": "not_configured"}
    assert "No gateways found." in c("gateway", "list").stdout
    assert json.loads(c("gateway", "list", "-o", "json").stdout) == []


def gateways_are_added_selected_and_removed():
    c("gateway", "add", "http://127.0.0.1:9", "--name", "one")
    c("gateway", "add", "https://gw.example/", "--name", "two")
    assert "already exists" in c("gateway", "add", "https://x", "--name", "two", status=1).stderr
    rows = c("gateway", "list").stdout.splitlines()
    assert rows[0].split() == ["NAME", "ENDPOINT", "TYPE", "SOURCE", "AUTH"]
    assert rows[2].startswith("* two") and "https://gw.example:443" in rows[2] and "mtls" in rows[2]
    c("gateway", "select", "one")
    v = json.loads(c("gateway", "list", "-o", "json").stdout)
    assert [g["name"] for g in v if g["active"]] == ["one"]
    assert list(v[0]) == ["name", "endpoint", "type", "source", "auth", "active", "is_remote",
                          "remote_host", "resolved_host"]
    assert c("gateway", "select", "three", status=1).stderr == "Error: Unknown gateway 'three'.\n"
    c("gateway", "login", "two", stdin=b"s3cret\n")
    path = os.path.join(c.config, "gateways/two/oidc_token.json")
    assert json.load(open(path))["access_token"] == "s3cret" and os.stat(path).st_mode & 0o777 == 0o600
    assert c("gateway", "logout", "two").stdout == "✓ Logged out of gateway 'two'\n"
    assert not os.path.exists(path)
    assert c("gateway", "logout", "two").stdout == "! Nobody is logged in to gateway 'two'\n"
    c("gateway", "remove", "two")
    assert "two" not in c("gateway", "list").stdout
    for bad in ("../x", ".", "a/b"):
        c("gateway", "add", "http://h:1", "--name", bad, status=2)


def a_certificate_comes_with_its_key():
    """One without the other would be refused at the first question, with nothing said of the reason."""
    pem = os.path.join(c.config, "one.pem")
    with open(pem, "w", encoding="ascii") as f:
        f.write("pem\n")
    for given, missing in (("--cert", "--key"), ("--key", "--cert")):
        said = c("gateway", "add", "https://gw.example/", "--name", "half", given, pem, status=2).stderr
        assert f"'{given}' needs '{missing}'" in said, said
    assert "half" not in c("gateway", "list").stdout


def a_system_gateway_is_seen_and_stays():
    folder = os.path.join(c.env["OPENSHELL_SYSTEM_GATEWAY_DIR"], "gateways/sys")
    os.makedirs(folder)
    with open(os.path.join(folder, "metadata.json"), "w") as f:
        json.dump({"name": "sys", "gateway_endpoint": "http://127.0.0.1:9"}, f)
    assert "system" in c("gateway", "list").stdout
    assert "cannot be removed" in c("gateway", "remove", "sys", status=1).stderr


def the_one_that_is_meant_is_asked():
    def server(*words, **env):
        return json.loads(c(*words, "status", "-o", "json", status=1, env=env).stdout)["server"]
    assert server() == "http://127.0.0.1:9"
    assert server("-g", "sys", OPENSHELL_GATEWAY="one") == "http://127.0.0.1:9"
    assert server(OPENSHELL_GATEWAY_ENDPOINT="http://127.0.0.1:8") == "http://127.0.0.1:8"
    assert server("--gateway-endpoint", "http://127.0.0.1:7",
                  OPENSHELL_GATEWAY_ENDPOINT="http://127.0.0.1:8") == "http://127.0.0.1:7"
    assert json.loads(c("status", "-o", "json", status=1).stdout)["status"] == "disconnected"


def completions_are_scripts():
    """What they do: test_completion.py."""
    for shell in ("bash", "zsh", "fish"):
        for program in ("cove", "openshell"):
            script = c("completions", shell, program=program).stdout
            assert program + " complete -- " in script and "\1" not in script, script
    for program in ("cove", "openshell"):
        script = c("completions", "powershell", program=program).stdout
        assert f"-CommandName '{program}'" in script and f"& '{program}' complete '--' @words" in script


def openshell_s_doctor():
    assert c("doctor", "check", program="openshell").stdout == "✓ No container engine is needed\n"


def a_shut_stdout_is_quiet():
    reading, writing = os.pipe()
    os.close(reading)
    process = c.start("completions", "bash", stdout=writing)
    os.close(writing)
    _, err = process.communicate(timeout=10)
    assert process.returncode == 1 and not err, (process.returncode, err)


for f in (help_at_every_level, wrong_words_are_two_and_name_the_nearest,
          no_gateway_is_said_with_two_hints, gateways_are_added_selected_and_removed, a_certificate_comes_with_its_key,
          a_system_gateway_is_seen_and_stays, the_one_that_is_meant_is_asked,
          completions_are_scripts, openshell_s_doctor, a_shut_stdout_is_quiet):
    check(f)
tap.done()
