#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: providers, profiles, policies, settings, workspaces, services by the command line, with the
words that tools match on; and no value of a credential in anything that is printed.
Method: the client against a real cove-gateway."""
import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import clientlab  # noqa: E402
import gatewaylab  # noqa: E402
import world  # noqa: E402

tap = world.Tap()
g = gatewaylab.Gateway()
c = clientlab.Client(g)
SECRET = "hunter2-hunter2-hunter2"
said_everything = []


def check(f):
    tap.check(f.__name__.replace("_", " "), f)


def run(*words, **kw):
    done = c(*words, **kw)
    said_everything.append(done.stdout + done.stderr)
    return done


def file(name, text):
    path = os.path.join(g.directory, name)
    with open(path, "w") as f:
        f.write(text)
    return path


PROFILE = """id: %s
display_name: Mine
category: source_control
credentials:
- name: token
  env_vars: [MY_TOKEN]
  required: true
  auth_style: bearer
endpoints:
- host: api.mine.example
  port: 443
  protocol: rest
  access: read-only
binaries:
- path: /usr/bin/curl
"""

POLICY = """version: 1
network_policies:
  web:
    name: web
    endpoints:
    - host: %s
      port: 443
    binaries:
    - path: /usr/bin/curl
"""

AMBIGUOUS = """version: 1
network_policies:
  a: {name: a, endpoints: [{host: example.com, port: 443, protocol: rest, access: full}]}
  b: {name: b, endpoints: [{host: example.com, port: 443, protocol: rest, access: full, enforcement: enforce}]}
"""


def the_state_of_things():
    text = run("status").stdout
    assert text.startswith("Server Status\n") and "  Status: Connected\n" in text
    assert "  Authentication: Authenticated (mTLS transport)\n" in text and "  Version: " in text
    v = json.loads(run("status", "-o", "json").stdout)
    assert v["status"] == "connected" and v["authentication"]["status"] == "authenticated"
    assert list(json.loads(run("whoami", "-o", "json").stdout)) == [
        "subject", "display_name", "roles", "scopes", "identity_provider"]
    info = run("gateway", "info").stdout
    assert f"Gateway endpoint: {g.url('')}\n" in info and "Compute drivers:" in info
    v = json.loads(run("gateway", "info", "-o", "json").stdout)
    assert list(v) == ["gateway", "server", "auth", "status", "version", "compute_drivers"]
    assert list(v["compute_drivers"][0]["capabilities"]) == ["driver_name", "driver_version"]


def a_stranger_s_certificate_is_refused():
    other = gatewaylab.Gateway()
    try:
        said = c("--gateway-endpoint", other.url(""), "-g", "test", "sandbox", "list", status=1).stderr
        assert "cannot be trusted" in said, said
    finally:
        other.close()


def profiles_are_imported():
    one = file("one.yaml", PROFILE % "mine")
    assert run("provider", "profile", "lint", "--file", one).stdout == "Provider profile lint passed.\n"
    assert run("provider", "profile", "import", "--file", one).stdout == "Imported 1 provider profiles.\n"
    again = run("provider", "profile", "import", "--file", one, status=1)
    assert "already exists" in again.stderr and "Provider profile diagnostics:" in again.stderr
    assert "provider profile import failed" in again.stderr
    out = json.loads(run("provider", "profile", "export", "mine", "-o", "json").stdout)
    assert out["category"] == "source_control" and out["endpoints"][0]["host"] == "api.mine.example"
    back = file("back.yaml", run("provider", "profile", "export", "mine").stdout)
    os.makedirs(os.path.join(g.directory, "dir"))
    file("dir/two.yaml", PROFILE % "two")
    assert "Imported 1" in run("provider", "profile", "import", "--from",
                               os.path.join(g.directory, "dir")).stdout
    assert "mine" in run("provider", "list-profiles").stdout
    assert run("provider", "profile", "delete", "two").stdout == "Deleted provider profile 'two'.\n"
    run("provider", "profile", "delete", "two", status=1)
    assert "unknown member" in run("provider", "profile", "lint", "-f",
                                   file("bad.yaml", "id: x\nnonsense: 1\n"), status=1).stderr
    assert os.path.exists(back)
    assert "category: 'x' is not one of " in (said := run(
        "provider", "profile", "lint", "-f",
        file("bad.yaml", (PROFILE % "mine").replace("source_control", "x")), status=1).stderr) and (
            "source_control, " in said and "unspecified" not in said), said


def providers_are_made_from_the_environment():
    said = run("provider", "create", "--name", "p", "--type", "mine", "--credential", "MY_TOKEN",
               "--config", "k=v", env={"MY_TOKEN": SECRET})
    assert said.stdout == "✓ Created provider p\n"
    again = run("provider", "create", "--name", "p", "--type", "mine", "--credential",
                "MY_TOKEN=" + SECRET, status=1)
    assert "provider already exists" in again.stderr
    assert "unsupported provider type or profile: none" in run(
        "provider", "create", "--name", "q", "--type", "none", "--credential", "X=", status=1).stderr
    assert "not set" in run("provider", "create", "--name", "q", "--type", "mine", "--credential",
                            "MY_TOKEN", status=1).stderr
    assert "no credentials resolved for provider type 'mine'" in run(
        "provider", "create", "--name", "q", "--type", "mine", "--from-existing", status=1).stderr
    v = json.loads(run("provider", "get", "p", "-o", "json").stdout)
    assert v["credential_keys"] == ["MY_TOKEN"] and v["config_keys"] == ["k"] and v["type"] == "mine"
    rows = run("provider", "list").stdout.splitlines()
    assert rows[0].split() == ["NAME", "TYPE", "CREDENTIAL_KEYS", "CONFIG_KEYS"]
    assert run("provider", "list", "--names").stdout == "p\n"
    assert run("provider", "update", "p", "--config", "k2=v").stdout == "✓ Updated provider p\n"


def providers_are_attached():
    run("sandbox", "create", "--name", "box")
    assert run("sandbox", "provider", "attach", "box", "p").stdout == "✓ Attached provider p to sandbox box\n"
    assert run("sandbox", "provider", "attach", "box", "p").stdout == (
        "Provider p is already attached to sandbox box.\n")
    assert run("sandbox", "provider", "list", "box").stdout.splitlines()[1].split()[:2] == ["p", "mine"]
    assert run("provider", "delete", "p", status=1).stderr.startswith("✗ Failed to delete provider p: ")
    assert run("sandbox", "provider", "detach", "box", "p").stdout == "✓ Detached provider p from sandbox box\n"
    assert "is not attached" in run("sandbox", "provider", "detach", "box", "p").stdout
    assert run("provider", "delete", "p", "p").stdout == "✓ Deleted provider p\n! Provider p not found\n"


def policies_are_set_and_shown():
    first = file("first.yaml", POLICY % "one.example")
    said = run("policy", "set", "box", "--policy", first, "--wait").stdout
    assert re.match(r"✓ Policy version \d+ submitted \(hash: [0-9a-f]{12}\)\n"
                    r"✓ Policy version (\d+) loaded \(active version: \1\)\n$", said), said
    assert re.match(r"Policy unchanged \(version \d+, hash: [0-9a-f]{12}\)\n",
                    run("policy", "set", "box", "--policy", first).stdout)
    text = run("policy", "get", "box").stdout
    for want in ("Version: ", "Hash: ", "Status: ", "Source: ", "Config rev: ", "Active: ", "---\n"):
        assert want in text, text
    assert "one.example" in text
    v = json.loads(run("policy", "get", "box", "-o", "json").stdout)
    assert v["scope"] == "sandbox" and v["policy"]["network_policies"]["web"]
    rev = json.loads(run("policy", "get", "box", "--rev", str(v["version"]), "-o", "json").stdout)
    assert rev["status"] == "loaded" and rev["version"] == v["version"]
    rows = run("policy", "list", "box").stdout.splitlines()
    assert rows[0].split() == ["VERSION", "HASH", "STATUS", "CREATED", "ERROR"]
    said = run("policy", "update", "box", "--add-endpoint", "two.example:443:read-only:rest:enforce",
               "--binary", "/usr/bin/curl", "--wait").stdout
    assert "loaded" in said
    run("policy", "update", "box", "--add-allow", "two.example:443:POST:/v1/**")
    text = run("policy", "get", "box").stdout
    assert "  allow_two_example_443:\n" in text and "/v1/**" in text, text
    dry = run("policy", "update", "box", "--remove-rule", "web", "--dry-run").stdout
    assert "remove rule: web" in dry and "one.example" in run("policy", "get", "box").stdout
    nobody = ("policy", "update", "box", "--add-endpoint", "three.example:443:read-only:rest:enforce")
    dry = run(*nobody, "--binary", "/a", "--binary", "/b", "--dry-run").stdout
    assert "three.example:443, access read-only, protocol rest, enforcement enforce, by /a, /b" in dry, dry
    assert "'allow_three_example_443' has no binaries, so no program may use it" in run(*nobody).stderr
    assert "no binaries" not in run(*nobody, "--binary", "/usr/bin/curl").stderr
    assert "no binaries" in run(*nobody).stderr, "no list takes the place of the one before"
    bad = run("policy", "set", "box", "--policy", file("bad.yaml", "version: 1\nnonsense: 1\n"), status=1)
    assert "nonsense" in bad.stderr and "cove policy check" in bad.stderr, bad
    assert "one.example" in run("sandbox", "get", "box", "--policy-only").stdout


def nobody_waits_for_a_stopped_one():
    run("sandbox", "create", "--name", "still", "--keep", "--", "true")
    run("sandbox", "stop", "still")
    said = run("policy", "set", "still", "--policy", file("all.yaml", POLICY % "still.example"), "--wait", status=1)
    assert "Sandbox still is stopped: it loads policy version 2 when it starts" in said.stdout + said.stderr, said
    run("sandbox", "start", "still")
    run("policy", "set", "still", "--policy", file("all.yaml", POLICY % "still.example"), "--wait")
    run("sandbox", "delete", "still")


def what_a_global_policy_is_shown_with():
    own = json.loads(run("policy", "get", "box", "--rev", "1", "-o", "json").stdout)
    run("policy", "set", "--global", "--yes", "--policy", file("all.yaml", POLICY % "all.example"))
    wanted = run("policy", "get", "--global").stdout.splitlines()[:2]
    seen = run("policy", "get", "box").stdout
    assert seen.splitlines()[:2] == wanted and "all.example" in seen and "Source:     global" in seen, (seen, wanted)
    base = run("policy", "get", "box", "--base").stdout
    assert wanted[1] not in base and "one.example" in base, base
    assert own["hash"] in run("policy", "get", "box", "--rev", "1").stdout
    run("policy", "delete", "--global", "--yes")


def c11_a_refusal_of_several_lines_is_read_as_such():
    said = run("policy", "set", "box", "--policy", file("bad.yaml", AMBIGUOUS), status=1).stderr
    assert said.startswith("Error: network endpoint ambiguity validation failed:\nb.endpoints[0]: "), said
    assert " line " not in said, "a line of the gateway's own rendering: " + said
    said = run("settings", "set", "box", "--key", "‘box’\u202e", "--value", "x", status=1).stderr
    assert "‘box’" in said and "\\u{202e}" in said, said


def answer(*words):
    """A person who says no."""
    p, end = c.start_on_terminal(*words)
    seen = b""
    while b"[y/N]" not in seen:
        seen += os.read(end, 4096)
    os.write(end, b"n\n")
    while b"changed\r\n" not in seen:
        seen += os.read(end, 4096)
    assert p.wait(20) == 1
    os.close(end)
    assert re.search(rb"global (setting|policy) updates change every sandbox", seen), seen
    assert b"Error: nothing was changed" in seen and b"--yes" not in seen, seen


def settings_are_set_globally_only_by_yes():
    said = run("settings", "set", "--key", "providers_v2_enabled", "--value", "true", "--global",
               "--yes").stdout
    assert re.fullmatch(r"✓ Set global setting providers_v2_enabled=true \(revision \d+\)\n", said)
    assert ("global setting updates require confirmation; pass --yes in non-interactive mode"
            in run("settings", "set", "--key", "providers_v2_enabled", "--value", "true", "--global",
                   status=1).stderr)
    answer("settings", "delete", "--key", "providers_v2_enabled", "--global")
    answer("policy", "delete", "--global")
    v = json.loads(run("settings", "get", "--global", "--json").stdout)
    assert v["scope"] == "global" and v["settings"]["providers_v2_enabled"] == "true"
    v = json.loads(run("settings", "get", "box", "--json").stdout)
    assert v["settings"]["providers_v2_enabled"] == {"value": "true", "scope": "global"}
    run("settings", "set", "box", "--key", "proposal_approval_mode", "--value", "auto")
    assert "unknown setting key" in run("settings", "set", "box", "--key", "x", "--value", "1",
                                        status=1).stderr
    run("settings", "delete", "--key", "providers_v2_enabled", "--global", "--yes")


def services():
    said = run("service", "expose", "box", "8080", "web").stdout
    assert said.startswith("✓ Exposed service web on sandbox box -> 127.0.0.1:8080\nURL: "), said
    assert run("service", "list").stdout.splitlines()[1].split()[:3] == ["box", "web", "8080"]
    assert "8080" in run("service", "get", "box", "web").stdout
    run("service", "delete", "box", "web")
    assert "not found" in run("service", "delete", "box", "web", status=None).stdout
    run("service", "expose", "box", "8080")
    assert run("service", "delete", "box").stdout == "✓ Deleted service of sandbox box\n"
    assert run("service", "delete", "box", status=None).stdout == "! Service of sandbox box not found\n"
    assert run("service", "list").stdout == "No services found.\n"
    assert run("service", "list", "box").stdout == "No services found.\n"
    assert run("service", "list", "nope", status=1).stderr == "Error: sandbox not found\n"


def proposed_rules():
    assert run("rule", "get", "box").stdout == "No network rules found.\n"
    assert run("rule", "approve-all", "box").stdout == "No pending network rules.\n"
    assert run("rule", "history", "box", "-o", "json").stdout.strip().startswith("[")
    assert "Why not" not in run("rule", "approve", "--help").stdout, "an approval has no reason"
    assert run("rule", "clear", "box").stdout == "✓ Cleared 0 chunks\n"
    run("rule", "reject", "box", "--chunk-id", "none", status=1)


def workspaces_are_apart():
    assert run("workspace", "create", "--name", "w1", "--label", "a=b").stdout == "✓ Created workspace w1\n"
    assert "workspace already exists" in run("workspace", "create", "--name", "w1", status=1).stderr
    assert run("-w", "w1", "sandbox", "list").stdout == "No sandboxes found.\n"
    assert "w1" in run("ws", "list").stdout
    assert json.loads(run("workspace", "get", "w1", "-o", "json").stdout)["labels"] == {"a": "b"}
    assert "Labels: a=b" in run("workspace", "get", "w1").stdout
    assert run("workspace", "delete", "w1", "none").stdout == (
        "✓ Deleted workspace w1\n! Workspace none not found\n")


def a_workspace_in_use_is_only_marked():
    run("workspace", "create", "--name", "w2")
    run("-w", "w2", "sandbox", "create", "--name", "inside")
    said = run("workspace", "delete", "w2").stdout
    assert said == "! Workspace w2 is marked, and goes when the sandboxes and other objects in it have gone\n", said
    assert "w2" in run("workspace", "list").stdout
    run("-w", "w2", "sandbox", "delete", "inside")
    assert "w2" not in run("workspace", "list").stdout


def members_are_not_served():
    """Of workspaces and their members there are the first only, and that is said."""
    r = run("workspace", "member", "list", status=1)
    assert "member" in r.stderr.lower(), r.stderr


def c_no_value_was_printed():
    assert all(SECRET not in said for said in said_everything)


try:
    for f in (the_state_of_things, a_stranger_s_certificate_is_refused, profiles_are_imported,
              providers_are_made_from_the_environment, providers_are_attached,
              policies_are_set_and_shown, nobody_waits_for_a_stopped_one, what_a_global_policy_is_shown_with, c11_a_refusal_of_several_lines_is_read_as_such, settings_are_set_globally_only_by_yes,
              workspaces_are_apart, a_workspace_in_use_is_only_marked):
        check(f)
    for f in (services, proposed_rules, members_are_not_served):
        check(f)
    check(c_no_value_was_printed)
finally:
    c("sandbox", "delete", "--all", status=None)
    g.close()
tap.done()
