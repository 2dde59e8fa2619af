#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: the grammar that scripts for OpenShell's command line are written in: each command by each of its
names, each flag with a value as people write it, is understood; what is understood and not done is refused by
a sentence and never passed over.
Method: a table, flag by flag, against the program, as `openshell` and as `cove`; there is no gateway, so what was
understood ends with that."""
import concurrent.futures
import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import clientlab  # noqa: E402
import world  # noqa: E402

tap = world.Tap()
home = tempfile.TemporaryDirectory(prefix="cove-flags-")
c = clientlab.Client(home=home.name)
FILE = os.path.join(home.name, "policy.yaml")
with open(FILE, "w") as f:
    f.write("version: 1\n")
ADC = os.path.join(home.name, "adc.json")
with open(ADC, "w") as f:
    f.write('{"type": "authorized_user", "client_id": "x", "client_secret": "y", "refresh_token": "z"}')
os.makedirs(os.path.join(home.name, "built"))
with open(os.path.join(home.name, "built/Dockerfile"), "w") as f:
    f.write("FROM scratch\n")
O = ["-o json", "-o yaml", "-o table", "--output json"]

# Command, its short name, words that it cannot do without, and its flags, each tried by itself.
TABLE = [
    ("sandbox create", "sb create", "", [
        "--name x", "--from base", "--from ghcr.io/a/b:c", f"--upload {FILE}", f"--upload {FILE}:/sandbox/x",
        f"--upload {FILE} --upload {FILE}", "--no-git-ignore", "--keep", "--no-keep", "--editor vscode",
        "--editor cursor", "--gpu", "--gpu=2", "--cpu 2", "--memory 4Gi", '--driver-config-json {}', "--provider a --provider b",
        f"--policy {FILE}", "--forward 8080", "--forward 127.0.0.1:8080", "--tty -- true", "--no-tty", "--detach",
        "--auto-providers", "--no-auto-providers", "--label a=b --label c=d", "--env A=b --env C=d",
        "--no-credential-warnings", "--approval-mode manual", "--approval-mode auto", "-- true", *O]),
    ("sandbox get", "sb get", "", ["", "x", "--policy-only", *O]),
    ("sandbox list", "sb list", "", ["--limit 100", "--offset 1", "--ids", "--names", "--selector a=b,c=d",
                                     "--all-workspaces", *O]),
    ("sandbox delete", "sb delete", "", ["x", "x y z", "--all"]),
    ("sandbox stop", "sb stop", "", ["x"]),
    ("sandbox start", "sb start", "", ["x"]),
    ("sandbox exec", "sb exec", "-n x", ["-- true", "true -l", "--workdir /x true", "--timeout 5 true", "--tty true",
                                         "--no-tty true", "--env A=b --env C=d true"]),
    ("sandbox exec", "sb exec", "--name x", ["-- true"]),
    ("sandbox connect", "sb connect", "x", ["", "--editor vscode"]),
    ("sandbox upload", "sb upload", f"x {FILE}", ["", "/sandbox/y", "--no-git-ignore"]),
    ("sandbox download", "sb download", "x /sandbox/y", ["", "z"]),
    ("sandbox ssh-config", "sb ssh-config", "x", [""]),
    ("sandbox provider list", "sb provider list", "x", ["", *O]),
    ("sandbox provider attach", "sb provider attach", "x y", [""]),
    ("sandbox provider detach", "sb provider detach", "x y", [""]),
    ("forward start", "fwd start", "8080 x", ["", "-d", "--background"]),
    ("forward start", "fwd start", "127.0.0.1:8080 x", [""]),
    ("forward stop", "fwd stop", "8080", ["", "x"]),
    ("forward list", "fwd list", "", [""]),
    ("forward service", "fwd service", "x", ["--target-port 80", "--target-port 80 --target-host 127.0.0.1",
                                             "--target-port 80 --local 127.0.0.1:0"]),
    ("service expose", "svc expose", "x 8080", ["", "web"]),
    ("service list", "svc list", "", ["x", "--limit 5", "--offset 5", "--all-workspaces"]),
    ("service get", "svc get", "x", ["", "web"]),
    ("service delete", "svc delete", "x", ["", "web"]),
    ("logs", "lg", "x", ["-n 200", "--tail", "--since 5m", "--since 1h", "--since 30s", "--source all",
                         "--source gateway --source sandbox", "--level info", "--level WARN"]),
    ("policy set", "pol set", f"--policy {FILE}", ["x", "--global --yes", "x --wait", "x --wait --timeout 60"]),
    ("policy update", "pol update", "x", [
        "--add-endpoint a.example:443", "--add-endpoint a.example:443:full:rest:enforce:websocket-credential-rewrite",
        "--add-endpoint a.example:443 --binary /x --binary /y --rule-name z", "--remove-endpoint a.example:443",
        "--add-endpoint a.example:443:full:tcp:enforce:allowed-ip=10.0.0.0/8,allowed-ip=10.1.0.0/16",
        "--add-allow a.example:443:GET:/x/**", "--add-deny a.example:443:POST:/x", "--remove-rule z",
        "--remove-rule z --dry-run", "--remove-rule z --wait --timeout 60"]),
    ("policy get", "pol get", "", ["x", "x --rev 1", "x --full", "x --base", "--global", *O]),
    ("policy list", "pol list", "", ["x", "--limit 20", "--global"]),
    ("policy delete", "pol delete", "--global --yes", [""]),
    ("settings get", None, "", ["x", "--global", "--json"]),
    ("settings set", None, "--key a --value b", ["x", "--global --yes"]),
    ("settings delete", None, "--key a", ["x", "--global --yes"]),
    ("rule get", "rl get", "x", ["", "--status pending"]),
    ("rule approve", "rl approve", "x --chunk-id y", [""]),
    ("rule reject", "rl reject", "x --chunk-id y", ["", "--reason z"]),
    ("rule approve-all", "rl approve-all", "x", ["", "--include-security-flagged"]),
    ("rule clear", "rl clear", "x", [""]),
    ("rule history", "rl history", "x", [""]),
    ("provider create", None, "--name x --type github", [
        "--from-existing", "--credential A", "--credential A=b --credential C=", "--from-gcloud-adc",
        "--runtime-credentials", "--runtime-credentials --config a=b --config c=d", "--runtime-credentials --global-profile"]),
    ("provider get", None, "x", ["", *O]),
    ("provider list", None, "", ["--limit 1", "--offset 1", "--names", "--all-workspaces", *O]),
    ("provider update", None, "x", ["--from-existing", "--credential A", "--config a=b",
                                    "--credential-expires-at A=2030-01-01T00:00:00Z"]),
    ("provider delete", None, "x", ["", "y z"]),
    ("provider list-profiles", None, "", ["--global", *O]),
    ("provider refresh status", None, "x", ["", "--credential-key A"]),
    ("provider refresh configure", None, "x --credential-key A --strategy oauth2-refresh-token", [
        "", "--material a=b --material c=d", "--secret-material-env A", "--secret-material-env B=A",
        "--secret-material-key A", "--credential-expires-at 2030-01-01T00:00:00Z"]),
    ("provider refresh rotate", None, "x --credential-key A", [""]),
    ("provider refresh delete", None, "x --credential-key A", [""]),
    ("provider profile export", None, "x", ["", "--global", *O]),
    ("provider profile import", None, "", [f"-f {FILE}", f"--from {home.name}", f"-f {FILE} --global"]),
    ("provider profile update", None, f"x -f {FILE}", ["", "--global"]),
    ("provider profile lint", None, "", [f"-f {FILE}", f"--from {home.name}"]),
    ("provider profile delete", None, "x", ["", "--global"]),
    ("workspace create", "ws create", "--name x", ["", "--label a=b --label c=d"]),
    ("workspace get", "ws get", "x", ["", *O]),
    ("workspace list", "ws list", "", ["--limit 1", "--offset 1", "--label-selector a=b", *O]),
    ("workspace delete", "ws delete", "x", ["", "y z"]),
    ("workspace member add", "ws member add", "--workspace w --subject s", ["--role user", "--role admin"]),
    ("workspace member remove", "ws member remove", "--workspace w --subject s", [""]),
    ("workspace member list", "ws member list", "--workspace w", [""]),
    ("gateway remove", "gw remove", "x", [""]),
    ("gateway login", "gw login", "x", [""]),
    ("gateway logout", "gw logout", "x", [""]),
    ("gateway select", "gw select", "x", [""]),
    ("gateway info", "gw info", "x", ["", *O]),
    ("gateway list", "gw list", "", O),
    ("status", None, "", O),
    ("whoami", None, "", O),
    ("inference set", None, "--provider p --model m", ["", "--system", "--no-verify", "--timeout 5"]),
    ("inference update", None, "--model m", ["", "--system", "--provider p", "--no-verify", "--timeout 5"]),
    ("inference get", None, "", ["", "--system"]),
    ("inference delete", None, "", ["", "--system"]),
    ("term", None, "", ["", "--theme auto", "--theme dark", "--theme light"]),
    ("completions", None, "", ["bash", "fish", "zsh"]),
    ("doctor check", None, "", [""]),
    ("ssh-proxy", None, "", ["--gateway x --sandbox-id y --token z", "--server http://127.0.0.1:1 --token z --sandbox-id y",
                             "--gateway-name x --name y"]),
]
GLOBALS = ["-g x", "--gateway x", "--gateway-endpoint http://127.0.0.1:1", "--gateway-insecure", "--workspace w",
           "-v", "-vv", "-v -v", "--verbose"]
# Understood, and refused by a sentence.
REFUSED = [
    (f"sandbox create --from {home.name}", "name it in the gateway's configuration"),
    (f"sandbox create --from {home.name}/built", "gateways build no images"),
    (f"sandbox create --from {home.name}/built/Dockerfile", "gateways build no images"),
    ("sandbox create --from ./nothing", "there is no such path"),
    (f"sandbox create --upload {FILE} -- true", "cannot be used with a command"),
    ("policy update x --add-endpoint a.example:443 --add-endpoint b.example:443 --rule-name z", "--rule-name"),
    ("policy get x --global", "cannot be used with"),
    ("settings set --key a --value b --global", "pass --yes in non-interactive mode"),
    ("sandbox create --gpu=0", "invalid value '0'"),
    ("sandbox list --ids --names", "cannot be used with"),
    ("policy get x --full --base", "cannot be used with"),
    ("provider create --name x --type y --from-existing --credential A=b", "cannot be used with"),
]
NOT_UNDERSTOOD = ("unexpected argument", "unrecognized subcommand", "unexpected value", "invalid value",
                  "multiple times", "cannot be used", "expected", "possible values", "were not provided", "required")
ENDPOINT = {"OPENSHELL_GATEWAY_ENDPOINT": "http://127.0.0.1:1", "A": "b", "GITHUB_TOKEN": "x",
            "GOOGLE_APPLICATION_CREDENTIALS": ADC}


def tried(program, words):
    done = c(*words, program=program, status=None, env=ENDPOINT)
    said = done.stderr + done.stdout
    if done.returncode == 2 or any(w in done.stderr for w in NOT_UNDERSTOOD) or "Usage:" in done.stderr:
        return f"{program} {' '.join(words)}: status {done.returncode}: {said[:300]}"
    return None


def lines():
    for path, alias, needed, flags in TABLE:
        for flag in flags:
            yield "openshell", [*path.split(), *needed.split(), *flag.split()]
        yield "cove", [*path.split(), *needed.split(), *flags[0].split()]
        if alias:
            yield "openshell", [*alias.split(), *needed.split(), *flags[0].split()]
    for flag in GLOBALS:
        yield "openshell", [*flag.split(), "sandbox", "list"]
        yield "openshell", ["sandbox", "list", *flag.split()]


def each_flag():
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        bad = list(filter(None, pool.map(lambda x: tried(*x), lines())))
    assert not bad, "\n".join(bad)


def gateways_are_added():
    for n, words in enumerate(("http://h:1", "https://h:1 --local", "https://h:1 --remote me@h", "ssh://me@h:22",
                               "https://h:1 --oidc-issuer https://i --oidc-client-id c --oidc-audience a --oidc-scopes s")):
        c("gateway", "add", *words.split(), "--name", f"g{n}", program="openshell")
    c("gw", "add", "http://h:1", "--name", "short", program="openshell")


def refused_by_a_sentence():
    for words, want in REFUSED:
        done = c(*words.split(), program="openshell", status=None, env=ENDPOINT)
        assert done.returncode in (1, 2) and want in done.stderr, (words, done.returncode, done.stderr)


def help_knows_them():
    """Each flag of the table is in its command's help, but hidden ones."""
    hidden = {"--keep", "--output", "--background"}
    for path, _, needed, flags in TABLE:
        text = c(*path.split(), "--help").stdout
        for word in (needed + " " + " ".join(flags)).split(" -- ")[0].split():
            name = word.partition("=")[0]
            assert not name.startswith("--") or name == "--" or name in hidden or name in text or \
                path == "ssh-proxy", (path, name)


for f in (each_flag, gateways_are_added, refused_by_a_sentence, help_knows_them):
    tap.check(f.__name__.replace("_", " "), f)
home.cleanup()
tap.done()
