#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal (C10): tools have the credentials that a catalog gives them, and nothing else of a run has:
`cove audit secrets` finds the values nowhere while the run goes on, also when they were used, and
what tools say of them arrives without.  Method: real runs of a catalog whose credentials come from a
variable, a file, a command and a provider; tools that print what they got."""
import json
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import box  # noqa: E402
import world  # noqa: E402

VALUE = {"FROM_ENV": "value-of-a-variable-0123", "FROM_FILE": "value-of-a-file/4567+x",
         "FROM_COMMAND": "value-of-a-command-89ab", "FROM_PROVIDER": "value-of-a-provider-cdef"}
tap = world.Tap()
w = world.World(["api.example.test"])


def write(name, text, mode=0o600):
    path = os.path.join(w.dir, name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path, mode)
    return path


write("value", VALUE["FROM_FILE"] + "\n")
write("printed", VALUE["FROM_COMMAND"] + "\n")
write("provided", VALUE["FROM_PROVIDER"])
write("profile.yaml", """\
id: my-api
credentials:
  - {name: key, env_vars: [MY_KEY], required: true}
endpoints:
  - {host: api.example.test, port: 443, protocol: rest, enforcement: enforce, access: read-only}
binaries: [{path: "/**"}]
""")
PROVIDER = write("my.yaml", "name: my\nprofile: ./profile.yaml\ncredentials: {key: {file: ./provided}}\n")
SHOW = '        TOKEN: "{{credential:{0}}}"\n'
CATALOG = f"""\
version: 1
credentials:
  FROM_ENV: {{env: SECRET_OF_A_TOOL}}
  FROM_FILE: {{file: {w.dir}/value}}
  FROM_COMMAND: {{command: [/bin/cat, {w.dir}/printed]}}
  FROM_PROVIDER: {{provider: my.MY_KEY}}
  UNUSED: {{env: NOT_SET_ANYWHERE}}
tools:
""" + "".join(f"""\
  {name.lower()}:
    description: Shows what it was given.
    input: {{properties: {{seconds: {{type: integer, default: 0}}}}}}
    command:
      argv: [/bin/sh, -c, "echo $TOKEN $#; printf %s $TOKEN | wc -c; printf %s $TOKEN | base64; sleep ${{{{1:-0}}}}", sh, "{{?seconds:{{seconds}}}}"]
      env: {{TOKEN: "{{credential:{name}}}"}}
""" for name in VALUE)
POLICY = "version: 1\ntools:\n  all: {tools: ['*']}\n"
policy, tools = w.policy(POLICY), w.policy(CATALOG, "tools.yaml")
ENV = {**os.environ, "HOME": w.dir, "SECRET_OF_A_TOOL": VALUE["FROM_ENV"]}
BASE = [world.COVE, "run", "-q", "--no-tty", "--workdir", w.work, "--ca", w.pki.ca, "--policy", policy,
        "--provider", PROVIDER, "--tools", tools, "--audit", w.audit]
CALL = ("call() { d=$2; [ -n \"$d\" ] || d={}; "
        'curl -sS -m 60 -H "Authorization: Bearer $COVE_TOOLS_TOKEN" -H "Content-Type: '
        'application/json" "$COVE_TOOLS_URL/v1/tools/$1" -d "$d" | tr -d "\\n"; echo; }\n')


def audit(pid, env=None):
    return subprocess.run([world.COVE, "audit", "secrets", f"cove-{pid}", "--provider", PROVIDER,
                           "--tools", tools, "--audit", w.audit, "-o", "json", "--best-effort"],
                          capture_output=True, text=True, timeout=120, check=False, env=env or ENV)


def found(report):
    rows = json.loads(report.stdout)["rows"]
    return [(x["place"], x["subject"]) for x in rows if x["state"] == "FOUND"], rows


def children(pid):
    out = subprocess.run(["ps", "-o", "pid=,comm=", "--ppid", str(pid)], capture_output=True, text=True,
                         check=False).stdout
    return {line.split()[1]: int(line.split()[0]) for line in out.splitlines()}


class Run:
    def __init__(self, script):
        self.process = subprocess.Popen([*BASE, "--", "/bin/sh", "-c", CALL + script], env=ENV, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pid = self.process.pid

    def line(self):
        return self.process.stdout.readline().strip()

    def say(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def end(self):
        self.process.stdin.close()
        self.process.wait(30)


run = Run('env | sort >env.txt; while read -r t d; do call $t "$d"; done')
outputs = {}
for name in VALUE:
    run.say(name.lower())
    outputs[name] = json.loads(run.line())
tap.ok(all(str(len(VALUE[n])) in o.get("output", "").split() for n, o in outputs.items()),
       "each tool has its credential, whole", outputs)
text = json.dumps(outputs)
tap.ok(not any(v in text for v in VALUE.values()) and "***" in text, "c2_what tools print of it arrives without",
       text)
with open(os.path.join(w.work, "env.txt"), encoding="utf-8") as f:
    env = f.read()
tap.ok("MY_KEY=" in env and "FROM_" not in env and "SECRET_OF" not in env and
       not any(v in env for v in VALUE.values()), "the sandbox has no placeholder of them", env)
report = audit(run.pid)
tap.ok(report.returncode == 0 and not found(report)[0], "c10_a run that used them is clean",
       f"{report.stderr} {[x for x in found(report)[1] if x['state'] == 'FOUND']}")
run.say('from_file {"seconds":4}')
time.sleep(1)
report = audit(run.pid)
tap.ok(report.returncode == 0 and not found(report)[0], "c10_and while a tool has one",
       f"{report.stderr} {[x for x in found(report)[1] if x['state'] == 'FOUND']}")
run.line()
with open(os.path.join(w.work, "leak"), "w", encoding="utf-8") as f:
    f.write(VALUE["FROM_COMMAND"])
report = audit(run.pid)
tap.ok(report.returncode == 1 and any(w.work in s for _, s in found(report)[0]),
       "c10_but one that leaked is found", report.stdout[-2000:])
os.unlink(os.path.join(w.work, "leak"))

os.kill(children(run.pid)["cove-keeper"], signal.SIGKILL)
run.say("from_env")
answer = json.loads(run.line())
tap.ok("output" in answer, "a keeper that is killed is followed by one that has them", answer)
broker = children(run.pid)["cove-broker"]
os.kill(broker, signal.SIGKILL)
box.until(lambda: children(run.pid).get("cove-broker", broker) != broker)
time.sleep(1)
run.say("from_file")
answer = json.loads(run.line())
tap.ok("output" in answer, "and so is a broker", answer)
run.end()

r = subprocess.run([*BASE, "--", "true"], capture_output=True, text=True, check=False,
                   env={k: v for k, v in ENV.items() if k != "SECRET_OF_A_TOOL"})
tap.ok(r.returncode != 0 and "FROM_ENV" in r.stderr and "SECRET_OF_A_TOOL is not set" in r.stderr,
       "a credential that is not there is said before anything starts", r.stderr)
r = subprocess.run([x for x in BASE if x not in ("--provider", PROVIDER)] + ["--", "true"], env=ENV,
                   capture_output=True, text=True, check=False)
tap.ok(r.returncode != 0 and "attach it with --provider" in r.stderr, "and so is a provider", r.stderr)
r = subprocess.run([*BASE[:2], "--dry-run", *BASE[2:], "--", "true"], env=ENV, capture_output=True, text=True,
                   check=False)
tap.ok(r.returncode == 0 and not any(v in r.stdout + r.stderr for v in VALUE.values()),
       "c10_a dry run shows none of them", r.stderr)
tap.done()
