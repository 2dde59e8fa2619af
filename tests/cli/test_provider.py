#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: a provider gives the sandbox placeholders and nothing more; whatever is wrong with one is
said in one line and nothing is started; `provider lint` and `show` tell what a person needs, and no
value ever comes out.  Method: the program on small files and variables; each refused run would
leave a mark in the working directory."""
import json
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from world import COVE, Tap  # noqa: E402

tap = Tap()
here = os.path.realpath(tempfile.mkdtemp(prefix="cove-test-"))
home = os.path.join(here, "home")
work = os.path.join(here, "work")
os.makedirs(os.path.join(home, ".config/cove/profiles"))
os.makedirs(work)
SECRET = "s3cr3t-VALUE-0123456789"
ENV = {"PATH": os.environ["PATH"], "HOME": home}


def write(name, text, mode=0o600):
    path = os.path.join(here, name)
    with open(path, "w", encoding="utf-8", newline="") as f:
        f.write(text)
    os.chmod(path, mode)
    return path


def cove(*argv, env=None, pass_fds=()):
    return subprocess.run([COVE, *argv], capture_output=True, text=True, timeout=60, check=False,
                          cwd=work, env={**ENV, **(env or {})}, pass_fds=pass_fds,
                          stdin=subprocess.DEVNULL)


def expect(name, r, status, *parts):
    missing = [p for p in parts if p not in r.stdout + r.stderr]
    leaked = SECRET in r.stdout + r.stderr
    tap.ok(r.returncode == status and not missing and not leaked, name,
           f"status {r.returncode}, missing {missing}, leaked {leaked}\n{r.stdout}{r.stderr}")


def run(*providers, env=None, argv=("sh", "-c", "touch started; env"), more=(), pass_fds=()):
    words = [w for p in providers for w in ("--provider", p)]
    return cove("run", "-q", *words, *more, "--", *argv, env=env, pass_fds=pass_fds)


def refused(name, r, status, *parts):
    """One line (findings may stand before it), and nothing was started."""
    started = os.path.exists(os.path.join(work, "started"))
    if started:
        os.unlink(os.path.join(work, "started"))
    lines = [x for x in r.stderr.splitlines() if x.startswith("cove run:")]
    missing = [p for p in parts if p not in r.stderr]
    tap.ok(r.returncode == status and not started and len(lines) == 1 and not missing and
           SECRET not in r.stdout + r.stderr, name,
           f"status {r.returncode}, started {started}, missing {missing}\n{r.stdout}{r.stderr}")


def sees(name, r, *pairs, absent=()):
    lines = r.stdout.splitlines()
    wrong = [p for p in pairs if not any(re.fullmatch(p, x) for x in lines)] + \
            [a for a in absent if any(x.startswith(a) for x in lines)]
    tap.ok(r.returncode == 0 and not wrong and SECRET not in r.stdout + r.stderr, name,
           f"status {r.returncode}, wrong {wrong}\n{r.stdout}{r.stderr}")


def placeholder(key, text=".+"):
    return f"{key}={text}"


MINE = write("mine.yaml", """\
id: my-api
description: an API of mine
credentials:
  - {name: key, env_vars: [MY_KEY, MY_OTHER_KEY], required: true, shape: openai}
  - {name: extra, env_vars: [MY_EXTRA]}
  - name: minted
    env_vars: [MY_MINTED]
    refresh:
      strategy: oauth2_refresh_token
      token_url: https://auth.example.com/token
      material:
        - {name: client_id, required: true}
        - {name: refresh_token, required: true, secret: true}
endpoints:
  - {host: api.example.com, port: 443, protocol: rest, enforcement: enforce, access: read-only}
binaries: [{path: "/**"}]
""")
AS_JSON = write("mine.json", json.dumps({
    "id": "my-json", "credentials": [{"name": "key", "env_vars": ["JSON_KEY"], "required": True}],
    "endpoints": [{"host": "api.example.com", "port": 443}], "binaries": [{"path": "/usr/bin/x"}],
    "display_name": "\U0001f600"}, indent="\t"))
FILE = write("value", SECRET + "\n")

# --- what the sandbox gets -----------------------------------------------------------------------

sees("env: the variable that is set, and no other",
     run("github", env={"GH_TOKEN": SECRET}), placeholder("GH_TOKEN", r"github_pat_\w{82}"), absent=["GITHUB_TOKEN="])
sees("env: by alias", run("gh", env={"GITHUB_TOKEN": SECRET}), placeholder("GITHUB_TOKEN"))
sees("env: two providers", run("openai", "anthropic", env={"OPENAI_API_KEY": SECRET,
                                                          "ANTHROPIC_API_KEY": SECRET}),
     placeholder("OPENAI_API_KEY"), placeholder("ANTHROPIC_API_KEY"))
sees("profile: a file is a type too", run(MINE, env={"MY_KEY": SECRET}), placeholder("MY_KEY"),
     absent=["MY_OTHER_KEY", "MY_EXTRA", "MY_MINTED"])
sees("profile: in JSON", run(AS_JSON, env={"JSON_KEY": SECRET}), placeholder("JSON_KEY"))
sees("no credential needed", run("pypi"))


def instance(text, name="instance.yaml", mode=0o600):
    return write(name, text, mode)


sees("file: relative to the instance", run(instance("""\
profile: mine.yaml
credentials: {key: {file: value}}
config: {MY_BASE_URL: "https://api.example.com/v1"}
""")), placeholder("MY_KEY"), placeholder("MY_OTHER_KEY"), "MY_BASE_URL=https://api.example.com/v1")
sees("file: the variable named is the only one", run(instance("""\
profile: mine.yaml
credentials: {MY_OTHER_KEY: {file: value}}
"""), env={"MY_KEY": SECRET}), placeholder("MY_OTHER_KEY"), absent=["MY_KEY="])
sees("env: another name outside", run(instance("""\
profile: mine.yaml
credentials: {MY_KEY: {env: OUTSIDE}}
"""), env={"OUTSIDE": SECRET}), placeholder("MY_KEY"), absent=["OUTSIDE"])
sees("command: once for all variables", run(instance("""\
profile: mine.yaml
credentials: {key: {command: [sh, -c, 'mkdir once && echo x']}}
""")), placeholder("MY_KEY"), placeholder("MY_OTHER_KEY"))
sees("command", run(instance(f"""\
profile: mine.yaml
credentials: {{key: {{command: [cat, {FILE}]}}}}
""")), placeholder("MY_KEY"))
reader, writer = os.pipe()
os.write(writer, SECRET.encode())
os.close(writer)
sees("fd", run(instance(f"profile: mine.yaml\ncredentials: {{key: {{fd: {reader}}}}}\n"),
               pass_fds=(reader,)), placeholder("MY_KEY"))
os.close(reader)
sees("refresh: all variables, before there is a value", run(instance("""\
profile: mine.yaml
credentials: {key: {file: value}}
refresh: {minted: {material: {refresh_token: {file: value}}}}
config: {client_id: c-1}
""")), placeholder("MY_MINTED"), absent=["client_id"])
sees("refresh: by command, also of one that has expired", run(instance("""\
profile: mine.yaml
credentials: {key: {file: value, expires: 2001-01-01T00:00:00Z}}
refresh: {key: {command: [/bin/mint]}}
""")), placeholder("MY_KEY"))
AWS = instance("""\
profile: aws
refresh:
  access_key_id:
    material: {aws_access_key_id: {file: value}, aws_secret_access_key: {file: value}}
config: {role_arn: "arn:aws:iam::1:role/r", AWS_REGION: eu-west-1}
""")
sees("refresh: one that mints its siblings", run(AWS), *map(placeholder, (
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")), "AWS_REGION=eu-west-1")
GENERIC = instance("profile: generic\nname: mine\ncredentials: {ANY_NAME: {file: value}}\n",
                   "generic.yaml")
r = run(GENERIC)
sees("generic: any variable", r, placeholder("ANY_NAME", "openshell:resolve:env:ANY_NAME"))
r = cove("run", "--provider", GENERIC, "--", "true")
expect("generic: without a binding that is said", r, 0, "nothing binds its credentials")
BINDS = write("binds.yaml", """\
version: 1
network_policies:
  api:
    endpoints:
      - {host: api.example.com, port: 443, protocol: rest, enforcement: enforce, access: full,
         credential_binding: {provider: mine}}
    binaries: [{path: "/**"}]
""")
r = cove("run", "--provider", GENERIC, "--policy", BINDS, "--", "true")
tap.ok(r.returncode == 0 and "nothing binds" not in r.stderr, "generic: bound by the policy",
       r.stdout + r.stderr)
write("home/.config/cove/profiles/github.yaml",
      "id: github\ncredentials: [{name: t, env_vars: [OWN_TOKEN], required: true}]\n")
sees("own profile before the built-in, by its alias too", run("gh", env={"OWN_TOKEN": SECRET}),
     placeholder("OWN_TOKEN"))
os.unlink(os.path.join(home, ".config/cove/profiles/github.yaml"))
if os.path.exists(os.path.join(work, "started")):
    os.unlink(os.path.join(work, "started"))

# --- dry run -------------------------------------------------------------------------------------

r = run(MINE, env={"MY_KEY": SECRET}, more=["--dry-run"])
expect("dry run: provider and placeholder", r, 0, "provider my-api my-api for MY_KEY", "MY_KEY=sk-")
r = run(MINE, env={"MY_KEY": SECRET}, more=["--dry-run", "-o", "json"])
data = json.loads(r.stdout)
tap.ok(data["providers"] == [{"name": "my-api", "type": "my-api", "env": ["MY_KEY"]}] and
       any(x.startswith("MY_KEY=sk-") for x in data["env"]) and data["network"] and SECRET not in r.stdout,
       "dry run: as JSON, and there is a network", r.stdout + r.stderr)
r = run(instance("profile: mine.yaml\ncredentials: {key: {command: [touch, ran]}}\n"), more=["-n"])
tap.ok(r.returncode == 0 and not os.path.exists(os.path.join(work, "ran")),
       "dry run: a command is not run", r.stderr)

# --- bad input -----------------------------------------------------------------------------------

for what, value in (("CR", "a\rb"), ("LF", "a\nb"), ("CR LF and a header", SECRET + "\r\nX-Evil: 1")):
    refused(f"value with {what}", run("openai", env={"OPENAI_API_KEY": value}), 2,
            "OPENAI_API_KEY", "line break")
write("nul", "a\0b")
refused("value with NUL", run(instance("profile: openai\ncredentials: {api_key: {file: nul}}\n")), 2,
        "NUL")
write("long", "x" * 65537)
refused("value longer than 64 KiB",
        run(instance("profile: openai\ncredentials: {api_key: {file: long}}\n")), 125, "64 KiB")
write("nothing", "\n")
refused("empty value", run(instance("profile: openai\ncredentials: {api_key: {file: nothing}}\n")), 2,
        "empty")
refused("missing secret: which variables were looked for", run("github"), 125, "GITHUB_TOKEN",
        "GH_TOKEN")
refused("missing secret: not one that is looked for", run(write("quiet.yaml", """\
id: quiet
credentials: [{name: a, env_vars: [QUIET_A], required: true}]
discovery: {credentials: []}
"""), env={"QUIET_A": SECRET}), 125, "not taken from variables")
refused("a token grant", run(write("grant.yaml", """\
id: grant
credentials: [{name: a, required: true, token_grant: {token_endpoint: "https://a.example/"}}]
""")), 125, "token_grant")
refused("an empty variable is missing", run("github", env={"GH_TOKEN": ""}), 125, "GH_TOKEN")
refused("missing secret: of an instance",
        run(instance("profile: openai\ncredentials: {api_key: {env: NOT_THERE}}\n")), 125,
        "NOT_THERE is not set")
refused("missing file", run(instance("profile: openai\ncredentials: {api_key: {file: gone}}\n")), 125,
        "gone", "No such file")
refused("closed descriptor", run(instance("profile: openai\ncredentials: {api_key: {fd: 77}}\n")),
        125, "fd 77")
refused("command that fails",
        run(instance("profile: openai\ncredentials: {api_key: {command: [sh, -c, 'exit 3']}}\n")), 125,
        "exit status 3")
refused("command that is not there",
        run(instance("profile: openai\ncredentials: {api_key: {command: [no-such-program]}}\n")), 125,
        "no-such-program", "not found")
refused("two providers with one variable",
        run("github", "copilot", env={"GITHUB_TOKEN": SECRET}), 2, "github", "copilot", "GITHUB_TOKEN")
refused("two providers of one name", run("openai", "openai", env={"OPENAI_API_KEY": SECRET}), 2,
        "two providers are named openai")
refused("a variable that --env sets too",
        run("openai", env={"OPENAI_API_KEY": SECRET}, more=["--env", "OPENAI_API_KEY"]), 2,
        "OPENAI_API_KEY")
refused("expired without refresh", run(instance("""\
profile: openai
credentials: {api_key: {file: value, expires: 2001-01-01T00:00:00Z}}
""")), 2, "OPENAI_API_KEY has expired")
refused("a literal value", run(instance(f"profile: openai\ncredentials: {{api_key: {{value: {SECRET}}}}}\n")),
        2, "instance.yaml:2:32: error:", "'value' is not accepted", "a secret does not belong")
refused("a value where a variable's name belongs",
        run(instance(f"profile: openai\ncredentials: {{api_key: {{env: {SECRET}}}}}\n")), 2,
        "can't be a variable's name")
refused("two sources", run(instance("profile: openai\ncredentials: {api_key: {env: A, fd: 3}}\n")), 2,
        "more than one source")
refused("no source", run(instance("profile: openai\ncredentials: {api_key: {}}\n")), 2, "no source")
refused("endpoints in an instance", run(instance("profile: openai\nendpoints: []\n")), 2,
        "they belong to the profile")
refused("an unknown credential", run(instance("profile: openai\ncredentials: {apikey: {env: A}}\n")), 2,
        "instance.yaml:2:15: error:", "'apikey'", "api_key")
refused("expires that is no time",
        run(instance("profile: openai\ncredentials: {api_key: {env: A, expires: soon}}\n")), 2,
        "'soon' is not a time")
refused("refresh without a required material", run(instance("""\
profile: mine.yaml
credentials: {key: {file: value}}
refresh: {minted: {material: {refresh_token: {file: value}}}}
""")), 2, "needs the material client_id")
refused("refresh with an unknown material", run(instance("""\
profile: mine.yaml
credentials: {key: {file: value}}
refresh: {minted: {material: {refresh_token: {file: value}, client_id: {file: value}, x: {env: A}}}}
""")), 2, "knows no material 'x'")
refused("profile with an unknown key", run(write("bad.yaml", "id: a\nendpoint: []\n")), 2,
        "bad.yaml:2:1: error: unknown key 'endpoint'", "endpoints")
refused("a secret that everybody may read", run(instance(
    "profile: openai\ncredentials: {api_key: {file: open}}\n")) if write("open", SECRET, 0o644) else None,
        125, "everybody may read it", "chmod 600")
refused("an instance that others may change",
        run(instance("profile: openai\n", "shared.yaml", 0o666)), 125, "chmod 600")
refused("unknown name", run("githbu"), 125, "did you mean github?")
refused("no such file", run("./gone.yaml"), 125, "gone.yaml", "there is no such file")
refused("a directory", run(here + "/"), 2, "not a regular file")
refused("generic without an instance", run("generic"), 2, "generic", "instance file")
refused("more than 32", run(*["pypi"] * 33), 2, "more than 32 providers")
refused("the policy binds a provider that is not attached",
        run("pypi", more=["--policy", BINDS]), 2, "provider mine", "not attached")
refused("the policy binds one that has endpoints", run(instance(
    "profile: mine.yaml\nname: mine\ncredentials: {key: {file: value}}\n"), more=["--policy", write(
        "elsewhere.yaml", open(BINDS, encoding="utf-8").read().replace("api.e", "other.e"))]), 2,
        "has endpoints of its own")
refused("the policy has a binding and there is no provider",
        cove("run", "-q", "--policy", BINDS, "--", "touch", "started"), 2, "credential_binding")
CLASH = write("clash.yaml", """\
version: 1
network_policies:
  api:
    endpoints: [{host: api.example.com, port: 443, protocol: rest, enforcement: enforce,
                 access: full, scrub: off}]
    binaries: [{path: "/**"}]
""")
refused("policy and provider disagree on an endpoint",
        run(MINE, env={"MY_KEY": SECRET}, more=["--policy", CLASH]), 2,
        "overlaps", "_provider_my-api.endpoints[0]", "scrub")

# --- provider lint, provider show ----------------------------------------------------------------

expect("lint: good", cove("provider", "lint", MINE, AS_JSON, GENERIC), 0, "mine.yaml: ok",
       "mine.json: ok", "generic.yaml: ok")
BAD = write("bad.yaml", "id: Bad\ncategory: games\nendpoints: [{host: '*.com', port: 443}]\n"
            "binaries: [{path: /a}]\n")
expect("lint: all findings of all files", cove("provider", "lint", BAD, MINE), 1,
       "bad.yaml:1:5: error:", "bad.yaml:2:11: error:", "top-level", "mine.yaml: ok")
r = cove("provider", "lint", "-o", "json", BAD)
files = json.loads(r.stdout)
tap.ok(r.returncode == 1 and files[0]["errors"] >= 3 and
       {"line", "column", "level", "message", "fix"} <= set(files[0]["findings"][0]),
       "lint: as JSON", r.stdout + r.stderr)
expect("lint: an instance, with its profile",
       cove("provider", "lint", instance("profile: openai\ncredentials: {x: {env: A}}\n")), 1, "'x'")
expect("lint: a file that is not there", cove("provider", "lint", "gone.yaml"), 125, "gone.yaml")
expect("lint: no file", cove("provider", "lint"), 2, "name the file")

IDS = ["anthropic", "aws", "aws-bedrock", "aws-s3", "claude-code", "codex", "copilot", "cursor",
       "deepinfra", "generic", "github", "gitlab", "google-cloud", "google-vertex-ai", "npm",
       "nvidia", "openai", "opencode", "pypi"]
r = cove("provider", "show")
tap.ok(sorted(x.split()[0] for x in r.stdout.splitlines()) == sorted(IDS), "show: the list", r.stdout)
r = cove("provider", "show", "-o", "json")
tap.ok(sorted(p["profile"]["id"] for p in json.loads(r.stdout)) == sorted(IDS), "show: the list as JSON",
       r.stdout[:2000] + r.stderr)
for alias, profile in (("claude", "claude-code"), ("claude_code", "claude-code"), ("gh", "github"),
                       ("glab", "gitlab"), ("gcp", "google-cloud"), ("vertex", "google-vertex-ai"),
                       ("mistral", "generic"), ("outlook", "generic")):
    r = cove("provider", "show", "-o", "json", alias)
    tap.ok(json.loads(r.stdout)["profile"]["id"] == profile, f"show: {alias} is {profile}", r.stdout)
expect("show: what is there and what is not",
       cove("provider", "show", "github", env={"GH_TOKEN": SECRET}), 0, "env GITHUB_TOKEN: not set",
       "env GH_TOKEN: set", "github.com:443", "/usr/bin/git")
r = cove("provider", "show", "-o", "json", instance(
    f"profile: mine.yaml\nname: work\ncredentials: {{key: {{file: value}}, extra: {{command: [touch, ran]}}}}\n"))
data = json.loads(r.stdout)
tap.ok(data["name"] == "work" and data["values"]["MY_KEY"] == {
    "source": "file", "name": "value", "state": "there"} and SECRET not in r.stdout and
       not os.path.exists(os.path.join(work, "ran")), "show: an instance; nothing is read or run",
       r.stdout + r.stderr)
expect("show: unknown", cove("provider", "show", "githbu"), 125, "did you mean github?")
expect("show: two", cove("provider", "show", "github", "gitlab"), 2, "one provider at a time")
tap.done()
