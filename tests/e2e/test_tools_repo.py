#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal (S4, S9, P6, P12): an agent in a real sandbox gets a private repository, and works on GitHub, by
tools of the host, and has the token nowhere.  Method: the guides' own catalog, policy and commands,
as written, against git's own server and an API over TLS; only `urls:` says where these are."""
import json
import os
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../lib"))
import world  # noqa: E402
from githubapi import GitHub  # noqa: E402
from gitserver import GitServer  # noqa: E402

TOKEN = "ghp_0123456789abcdefSECRETtoken"
tap = world.Tap()
w = world.World(["git.test", "api.test"])
server = GitServer(w.dir, w.pki, "x-access-token:" + TOKEN)
os.makedirs(server.root + "/private")
os.symlink("private/acme", server.root + "/acme")
api = GitHub(w.pki, TOKEN, prefix="/api/v3")
api.issues[1] = {"number": 1, "state": "open", "title": "first"}
server.http.git = server
app = server.repo("private/acme/app")
HEAD = app.commit({"README.md": "# app\n", "run.sh": ("100755", "#!/bin/sh\n"), "l": ("120000", "README.md")})
bad = server.repo("private/acme/docs")
bad.commit({"out": ("120000", "/etc/shadow")})


def guide(name):
    with open(os.path.join(HERE, "../../docs/guides", name), encoding="utf-8") as f:
        return re.findall(r"```(yaml|sh)\n(.*?)```", f.read(), re.S)


def write(name, text, mode=0o644):
    path = os.path.join(w.dir, name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path, mode)
    return path


moved = write("moved.yaml", "version: 1\nurls:\n"
              f'  "https://github.com": "https://git.test:{server.port}/private"\n'
              f'  "https://api.github.com": "https://api.test:{api.port}/api/v3"\n')
os.mkdir(w.dir + "/bin")
# `cove` as the guides write it, with where the test's servers are.
write("bin/cove", f"""#!/bin/sh
if [ "$1" = run ]; then
	shift
	exec {world.COVE} run -q --no-tty --workdir {w.work} --ca {w.pki.ca} --audit {w.audit} \\
		--resolve git.test:{server.port}:127.0.0.1 --resolve api.test:{api.port}:127.0.0.1 \\
		--tools {moved} "$@"
fi
exec {world.COVE} "$@"
""", 0o755)
# What runs in the sandbox in place of an agent: its script is in the working directory.
write("bin/my-agent", "#!/bin/sh\nexec sh ./agent.sh\n", 0o755)
ENV = {**os.environ, "HOME": w.dir, "PATH": w.dir + "/bin:" + os.environ["PATH"]}


def run(command, script, **env):
    write("work/agent.sh", script)
    command = command.replace("-- my-agent", f"-- sh {w.work}/agent.sh")
    return subprocess.run(["sh", "-ec", command], cwd=w.dir, env={**ENV, **env}, capture_output=True, text=True,
                          timeout=120, check=False)


# ---- the guide about clones ----

blocks = guide("clone-a-repository.md")
for kind, text in blocks:
    if kind == "yaml":
        write(re.match(r"# (\S+)", text)[1], text)
host, inside = (text for kind, text in blocks if kind == "sh")
host = re.sub(r"export GIT_TOKEN=\S*", "export GIT_TOKEN=" + TOKEN, host)
r = run(host, "set -e\n" + inside + "\nls -ln /tmp/app; id -u\ngrep -r . /tmp/app/.git/config\n"
        "env\ncat /proc/[0-9]*/environ /proc/[0-9]*/cmdline | tr '\\0' '\\n'\n"
        "git -C /tmp/app fsck --strict && git -C /tmp/app rev-parse HEAD\n"
        "cp -r /tmp/app ./copy\n")
tap.ok(r.returncode == 0 and '"status":"completed"' in r.stdout and HEAD in r.stdout, "the guide's commands work",
       r.stdout[-1500:] + r.stderr[-1500:])
tap.ok("nothing to commit, working tree clean" in r.stdout, "it is clean inside", r.stdout[-1500:])
tap.ok(TOKEN not in r.stdout + r.stderr and "x-access-token" not in r.stdout, "s9_the token is nowhere in it")
leaks = subprocess.run(["grep", "-rlaE", TOKEN + "|x-access-token", w.work], capture_output=True, text=True,
                       check=False).stdout
tap.ok(not leaks and os.path.isdir(w.work + "/copy/.git"), "s9_nor in any of its files", leaks)
with open(w.audit, encoding="utf-8") as f:
    audit = f.read()
tap.ok(TOKEN not in audit and "repo.clone" in audit, "s9_nor in the audit")

CALL = """call() { curl -sS -m 60 -H "Authorization: Bearer $COVE_TOOLS_TOKEN" -H "Content-Type: application/json" \
"http://tools.local/v1/tools/$1" -d "$2"; echo; }
"""
command = [text for text in host.splitlines() if text.startswith("cove run")][0]


def agent(script, command=command, **env):
    r = run(command, CALL + script, **{"GIT_TOKEN": TOKEN, "GITHUB_TOKEN": TOKEN, **env})
    return [json.loads(line) for line in r.stdout.splitlines() if line.startswith("{")], r


out, r = agent("call repo.clone '{\"repo\":\"acme/docs\",\"dest\":\"/tmp/docs\"}'; ls -a /tmp >&2\n")
tap.ok(out and out[0]["error"] == "repo_rejected" and "docs" not in r.stderr, "p12_one that leads out is not delivered",
       r.stdout + r.stderr)
out, r = agent("call repo.clone '{\"repo\":\"acme/other\"}'\n")
tap.ok(out and out[0]["error"] == "policy_denied", "s4_only what the policy names", r.stdout)
DESTS = ["/usr/x", "/etc/x", "/proc/x", "/proc/self/root/tmp/x", "/dev/x", "/tmp/link/x", "/tmp/self", "/tmp/full",
         "/etc/openshell-tls/x", "/tmp/none/x"]
out, r = agent("ln -s / /tmp/link; ln -s /tmp /tmp/self; mkdir /tmp/full; touch /tmp/full/x\n" + "".join(
    f'call repo.clone \'{{"repo":"acme/app","dest":"{d}"}}\'\n' for d in DESTS) + "ls -a / /tmp /tmp/full >&2\n")
tap.ok([o.get("error") for o in out] == ["dest_refused"] * len(DESTS), "p6_dest stays within what the sandbox may write",
       [(d, o) for d, o in zip(DESTS, out) if o.get("error") != "dest_refused"])
tap.ok(".cove-" not in r.stderr, "and nothing half done stays", r.stderr)
out, r = agent(f"call repo.clone '{{\"repo\":\"acme/app\",\"dest\":\"{w.work}/here\"}}'; cd {w.work}/here && git status --porcelain\n")
tap.ok(out and out[0].get("output", {}).get("status") == "completed" and
       os.stat(w.work + "/here").st_uid == os.getuid(), "into the working directory, as its owner's", r.stdout)

# ---- the guide about GitHub ----

blocks = guide("github-tool.md")
policies = [text for kind, text in blocks if kind == "yaml" and text.startswith("version: 1\ntools:")]
commands = [text for kind, text in blocks if kind == "sh"]
write("triage.yaml", policies[0])
write("ghe.yaml", 'version: 1\n')  # the guide's second way: where it is, is moved.yaml's to say
r = run(commands[0].replace("GITHUB_TOKEN=...", "GITHUB_TOKEN=" + TOKEN + "  "),
        commands[1] + "\necho; curl -sS http://tools.local\nenv")
tap.ok(r.returncode == 0 and '"title":"first"' in r.stdout.replace(" ", ""), "an issue is read with the guide's words",
       r.stdout[-1500:] + r.stderr[-1500:])
tap.ok("github.issue_list" in r.stdout.split("http://tools.local")[-1] + r.stdout and TOKEN not in r.stdout,
       "s9_and without the token")
r = run(commands[2], CALL + "call github.issue_get '{\"repo\":\"acme/app\",\"number\":1}'", GITHUB_TOKEN=TOKEN)
tap.ok(r.returncode == 0 and "first" in r.stdout, "and beside a second catalog", r.stdout[-800:] + r.stderr[-800:])
seen = len(api.seen)
out, r = agent("call github.issue_get '{\"repo\":\"acme/other\",\"number\":1}'\n"
               "call github.issue_comment '{\"repo\":\"acme/app\",\"number\":1,\"body\":\"x\"}'\n",
               "cove run --tools github --policy triage.yaml -- my-agent")
tap.ok([o["error"] for o in out] == ["policy_denied"] * 2 and len(api.seen) == seen,
       "what the policy does not name never reaches the server", r.stdout)
r = run("cove run --tools githup --policy triage.yaml -- my-agent", "true")
tap.ok(r.returncode != 0 and "did you mean github" in r.stderr, "a name that is none is said", r.stderr)
os.makedirs(w.dir + "/.config/cove/tools", exist_ok=True)
write(".config/cove/tools/github.yaml", "version: 1\ntools: {mine: {description: x, command: {argv: [/bin/true]}}}\n")
r = run("cove tools show github", "")
tap.ok("mine" in r.stdout and "issue" not in r.stdout, "a catalog of one's own goes first", r.stdout)
w.close()
tap.done()
