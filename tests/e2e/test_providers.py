#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: what a provider's profile allows is allowed, and nothing else: without a policy, beside one,
and still after the policy changed; the real value is nowhere in the sandbox.
Method: the real programs in a real sandbox against a local server with a private CA."""
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
import box  # noqa: E402
import world  # noqa: E402

SECRET = "s3cr3t-VALUE-0123456789"
NAMES = ["api.example.test", "own.example.test"]
PROFILE = """\
id: my-api
credentials: [{name: key, env_vars: [MY_KEY], required: true}]
endpoints:
  - {host: api.example.test, port: 443, protocol: rest, enforcement: enforce, access: read-only}
binaries: [{path: /usr/bin/curl}]
"""
POLICY = """\
version: 1
network_policies:
  own:
    endpoints:
      - {host: own.example.test, port: 443, protocol: rest, enforcement: enforce, access: %s}
    binaries: [{path: /usr/bin/curl}]
"""

tap = world.Tap()
w = world.World(NAMES)
server = world.Server(world.PRIVATE, 443, w.pki)
pins = [f"{n}:443:{world.PRIVATE}" for n in NAMES]
profile = w.policy(PROFILE, "my-api.yaml")
env = {**os.environ, "MY_KEY": SECRET}
CURL = "curl -sS -m 20 -o /dev/null -w '%{http_code}\\n' "


def cove(script, policy=None, **kw):
    return w.cove(["/bin/sh", "-c", script], policy=policy, pins=pins, env=env,
                  options=["--provider", profile], **kw)


def expect(name, script, want, policy=None):
    r = cove(script, policy=policy)
    tap.ok(r.stdout.split() == want and SECRET not in r.stdout + r.stderr, name,
           f"want {want}, status {r.returncode}\n{r.stdout}{r.stderr}")


expect("provider alone: what the profile allows", CURL + "https://api.example.test/v1/a", ["200"])
before = len(server.seen)
expect("provider alone: another method, host and program do not pass",
       CURL + "-X POST https://api.example.test/v1/a; " + CURL + "https://own.example.test/ || echo no; "
       "python3 -c 'import urllib.request as u; u.urlopen(\"https://api.example.test/\")' 2>/dev/null || echo no",
       ["403", "000", "no", "no"])
tap.ok(len(server.seen) == before, "provider alone: and nothing of it reached the server",
       server.seen[before:])
policy = w.policy(POLICY % "read-only")
expect("beside a policy: both count",
       CURL + "https://api.example.test/v1/a; " + CURL + "https://own.example.test/v1/a; " +
       CURL + "-X POST https://own.example.test/v1/a", ["200", "200", "403"], policy)

# The file changes under the run: the provider's rule stays.
child = subprocess.Popen(
    [world.COVE, "run", "-q", "--workdir", w.work, "--ca", w.pki.ca, "--policy", policy, "--provider", profile,
     "--audit", w.audit, *[x for p in pins for x in ("--resolve", p)], "--", "/bin/sh", "-c",
     CURL + "-X POST https://own.example.test/; read go; " + CURL + "-X POST https://own.example.test/; " +
     CURL + "https://api.example.test/"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    stderr=subprocess.PIPE, text=True, env=env)
first = child.stdout.readline().strip()
time.sleep(1.5)  # the watch begins a second into the run
w.policy(POLICY % "full")
box.until(lambda: "Policy reloaded" in str(w.events(True)))
out, err = child.communicate("go\n", timeout=60)
tap.ok([first, *out.split()] == ["403", "200", "200"], "a changed policy: the provider's rule stays",
       f"{first} {out}{err}")

# Nothing in the sandbox holds the value: environment, open files, files.
r = cove("cat /proc/*/environ 2>/dev/null | tr '\\0' '\\n' | grep -a MY_KEY; "
         "ls -l /proc/*/fd 2>/dev/null | grep memfd; "
         "grep -ras -e 's3cr3t' /tmp /run /sandbox /etc /var/log 2>/dev/null; true")
tap.ok(r.returncode == 0 and SECRET not in r.stdout and "MY_KEY=" in r.stdout and
       "memfd" not in r.stdout, "the sandbox holds no value and no descriptor of one", r.stdout)
tap.done()
