#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The experiment with host-side servers, run with cove: examples/host-servers as they are.

Goal: agents that know the requests, read OpenAPI or read tools.json do the task under the full policy
and under the restricted one, where discovery is denied and the denial says what is allowed; the
servers listen on loopback alone, their token is in no sandbox and in no argv, and they end after the
sandbox.  Method: the real `cove run`, its policy files and its servers, agents as scripts.
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import world  # noqa: E402

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../examples/host-servers")
tap = world.Tap()
w = world.World(["api.test"])
forge = os.path.join(w.dir, "forge")
runtime = os.path.join(w.dir, "runtime")
os.mkdir(runtime, 0o700)
ENV = {**os.environ, "XDG_RUNTIME_DIR": runtime}


def git(*argv):
    subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@t.test", *argv], check=True,
                   capture_output=True)


git("init", "-q", "-b", "main", forge + "/acme/app")
with open(forge + "/acme/app/Containerfile", "w", encoding="utf-8") as f:
    f.write("FROM scratch\nCOPY . /\n")
git("-C", forge + "/acme/app", "add", ".")
git("-C", forge + "/acme/app", "commit", "-qm", "one")


def example(name, extra=""):
    with open(os.path.join(HERE, name), encoding="utf-8") as f:
        text = f.read()
    for word, value in (("@HERE@", HERE), ("@WORKSPACE@", w.work), ("@FORGE@", forge)):
        text = text.replace(word, value)
    return w.policy(text + extra, name)


tools = example("tools.yaml")
policies = {n: example(n + ".yaml") for n in ("full", "restricted")}
with_tools = example("restricted.yaml", "tools:\n  all: {tools: ['*']}\n")
shutil.copy(os.path.join(HERE, "agent.py"), w.work)


def command(policy, *argv):
    return [world.COVE, "run", "-q", "--no-tty", "--workdir", w.work, "--ca", w.pki.ca, "--policy", policy,
            "--tools", tools, "--audit", w.audit, "--", *argv]


def cove(policy, *argv, **kw):
    return subprocess.run(command(policy, *argv), env=ENV, capture_output=True, text=True, check=False,
                          timeout=120, **kw)


def curl(policy, words):
    return cove(policy, "/bin/sh", "-c", f"curl -sS -m 20 -w ' %{{http_code}}' {words}")


def listeners(port):
    out = subprocess.run(["ss", "-Hltn", f"sport = :{port}"], capture_output=True, text=True, check=False)
    return [line.split()[3] for line in out.stdout.splitlines()]


results = {}
for policy in policies:
    for kind in ("baked", "openapi", "tools"):
        for name in ("app", "app.tar", "out.json"):
            path = os.path.join(w.work, name)
            (shutil.rmtree if os.path.isdir(path) else os.unlink)(path) if os.path.exists(path) else None
        r = cove(policies[policy], "/usr/bin/python3", "agent.py", kind, "out.json")
        path = os.path.join(w.work, "out.json")
        said = {}
        if os.path.exists(path):
            with open(path, encoding="utf-8") as f:
                said = json.load(f)
        results[policy, kind] = said
        tap.ok(r.returncode == 0 and said.get("build_said", {}).get("status") == "success" and
               said.get("status") == "completed" and os.path.exists(os.path.join(w.work, "app.tar")) and
               os.path.exists(os.path.join(w.work, "app/Containerfile")),
               f"{kind}, {policy}: cloned and built", f"{r.stdout} {r.stderr} {said}")
for (policy, kind), said in results.items():
    n = len(said.get("requests", []))
    size = sum(x[3] for x in said.get("requests", []))
    print(f"# {policy} {kind}: {n} requests, {size} bytes of answers")
denied = [x for x in results["restricted", "tools"].get("requests", []) if x[2] == 403]
tap.ok(len(denied) == 2 and not [x for x in results["full", "tools"]["requests"] if x[2] == 403],
       "discovery was denied where the policy does not have it", denied)

r = curl(policies["restricted"], "http://host.openshell.internal:9090/tools.json")
tap.ok(r.stdout.endswith(" 403") and '"allowed":[{"method":"POST","path":"/build"}]' in r.stdout,
       "a denial names what is allowed", r.stdout + r.stderr)
r = curl(policies["restricted"], "-X POST -d '{\"tag\":\"a\",\"context\":\".\"}' http://host.openshell.internal:9090/build")
tap.ok(r.stdout.endswith(" 400") and "did you mean 'context_dir'" in r.stdout, "a wrong field is named", r.stdout)
r = curl(policies["full"], "http://host.openshell.internal:9090/healthz")
tap.ok(r.stdout.endswith(" 403"), "what the policy does not open stays closed", r.stdout)
r = curl(policies["full"], "http://host.openshell.internal:9092/tools.json")
tap.ok(" 403" in r.stdout, "a port that nobody exposes is no server", r.stdout)
r = cove(policies["full"], "/usr/bin/python3", "-c",
         "import urllib.request; print(urllib.request.urlopen('http://host.openshell.internal:9090/tools.json').status)")
tap.ok(r.returncode != 0 and "403" in r.stderr, "nor for another program", r.stderr[-300:])
r = curl(policies["full"], "-H 'Authorization: Bearer guess' http://host.openshell.internal:9090/images")
tap.ok(r.stdout.endswith(" 200") and "acme" in r.stdout or '"images"' in r.stdout,
       "b1_a token of the sandbox's own is replaced", r.stdout)
r = curl(policies["full"], "--http1.1 http://host.openshell.internal:9090/images http://host.openshell.internal:9090/images")
tap.ok(r.stdout.count('"images"') == 2, "b1_also of a second request on one connection", r.stdout)
r = cove(with_tools, "/bin/sh", "-c", "curl -sS -m 20 -H \"Authorization: Bearer $COVE_TOOLS_TOKEN\" -H "
         "'Content-Type: application/json' $COVE_TOOLS_URL/v1/tools/build_container -d "
         "'{\"tag\":\"acme/app:two\",\"context_dir\":\"app\"}'")
tap.ok('"status": "success"' in r.stdout, "the same servers as tools", r.stdout + r.stderr)

# --- while a run goes on ---------------------------------------------------------------------------

live = subprocess.Popen(command(policies["full"], "/bin/sh", "-c", "env; echo ready; sleep 60"), env=ENV,
                        stdout=subprocess.PIPE, text=True)
text = ""
while "ready\n" not in text:
    text += live.stdout.readline()
tap.ok(listeners(9090) == ["127.0.0.1:9090"] and listeners(9091) == ["127.0.0.1:9091"],
       "b2_they listen on loopback alone", [listeners(9090), listeners(9091)])
servers = [int(p) for p in subprocess.run(["pgrep", "-f", "host-servers/(builder|provisioner).py"], text=True,
                                          capture_output=True, check=False).stdout.split()]
tokens = set()
for pid in servers:
    with open(f"/proc/{pid}/environ", "rb") as f:
        for pair in f.read().split(b"\0"):
            if pair.startswith((b"TOKEN=", b"BEARER_TOKEN=")):
                tokens.add(pair.split(b"=", 1)[1].decode())
cmdlines = b"".join(open(f"/proc/{p}/cmdline", "rb").read() for p in servers)
tap.ok(len(servers) == 2 and len(tokens) == 2 and all(len(t) == 64 for t in tokens) and
       not any(t.encode() in cmdlines or t in text for t in tokens),
       "b1_a token each, in no argv and in no sandbox", (servers, text))
live.send_signal(signal.SIGTERM)
live.wait(20)
tap.ok(not listeners(9090) and not listeners(9091) and not os.listdir(runtime),
       "they end with the run, and leave nothing", os.listdir(runtime))

# --- one that dies ---------------------------------------------------------------------------------

live = subprocess.Popen(command(policies["full"], "/bin/sh", "-c", "echo ready; sleep 60"), env=ENV,
                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
live.stdout.readline()
victim = int(subprocess.run(["pgrep", "-f", "host-servers/builder.py"], text=True, capture_output=True,
                            check=False).stdout.split()[0])
start = time.monotonic()
os.kill(victim, signal.SIGKILL)
_, err = live.communicate(timeout=30)
tap.ok(live.returncode not in (0, None) and "server builder was ended by signal 9" in err and
       "builder listens on" in err and time.monotonic() - start < 25,
       "one that dies ends the run, with the last of its log", err)
r = subprocess.run(["ss", "-Hltn"], capture_output=True, text=True, check=False)
tap.ok(not listeners(9091), "and the other one with it", r.stdout)
tap.done()
