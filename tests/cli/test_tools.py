#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: `cove tools lint` and `show` say what a person and a script need of a catalog of host tools:
each mistake with its place and what would be right; what is offered, where it runs, what it needs.
Method: the program on small files, its text and its JSON."""
import json
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "lib"))
from world import COVE, Tap  # noqa: E402

tap = Tap()
here = tempfile.mkdtemp(prefix="cove-test-")
SECRET = "s3cr3t-VALUE-0123456789"


def write(name, text):
    path = os.path.join(here, name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return path


def cove(*argv):
    return subprocess.run([COVE, "tools", *argv], capture_output=True, text=True, timeout=30,
                          check=False, env={**os.environ, "GITHUB_TOKEN": SECRET})


def expect(name, r, status, *parts):
    missing = [p for p in parts if p not in r.stdout + r.stderr]
    leaked = SECRET in r.stdout + r.stderr
    tap.ok(r.returncode == status and not missing and not leaked, name,
           f"status {r.returncode}, missing {missing}, leaked {leaked}\n{r.stdout}{r.stderr}")


GOOD = write("good.yaml", """\
version: 1
credentials:
  GITHUB_TOKEN: {env: GITHUB_TOKEN}
servers:
  builder: {argv: [/opt/builder, --fast], port: 9090}
tools:
  deploy:
    description: Deploys a service.
    input: {properties: {service: {type: string}}, required: [service]}
    command:
      argv: [/usr/bin/deploy, "--service={service}"]
      env: {TOKEN: "{credential:GITHUB_TOKEN}"}
  build_container:
    description: Builds an image.
    input: {properties: {tag: {type: string}}, required: [tag]}
    server: {name: builder, path: /build}
    route: POST /build
    limits: {seconds: 600}
""")
MORE = write("more.yaml", "version: 1\ntools:\n  date: {description: The time., "
                          "command: {argv: [/bin/date]}, annotations: {read_only: true}}\n")
BAD = write("bad.yaml", """\
version: 1
tools:
  deploy:
    description: Deploys.
    input: {properties: {service: {type: strin}}, required: [service]}
    command:
      argv: [deploy, "{servce}"]
    limit: {seconds: 5}
""")

# --- lint ----------------------------------------------------------------------------------------
expect("lint: good", cove("lint", GOOD, MORE), 0, "good.yaml: ok", "more.yaml: ok")
r = cove("lint", BAD, GOOD)
expect("lint: unknown keys have their place, and the nearest known one", r, 1,
       "bad.yaml:8:5: error: deploy: unknown key 'limit' in a tool; did you mean 'limits'?",
       "good.yaml: ok")
BAD2 = write("bad2.yaml", open(BAD, encoding="utf-8").read().replace("    limit: {seconds: 5}\n", ""))
expect("lint: everything wrong at once", cove("lint", BAD2), 1,
       "bad2.yaml:5:42: error: deploy.input/properties/service/type:",
       "bad2.yaml:7:14: error: deploy.command.argv[0]: 'deploy' is no absolute path",
       "bad2.yaml:7:22: error: deploy.command.argv[1]: there is no argument 'servce'; "
       "did you mean 'service'?")
r = cove("lint", "-o", "json", BAD2, GOOD)
found = json.loads(r.stdout)
places = [(f["line"], f["column"]) for f in found[0]["findings"]]
tap.ok(r.returncode == 1 and [f["errors"] for f in found] == [3, 0] and places == sorted(places) and
       (7, 14) in places,
       "lint: as JSON", r.stdout + r.stderr)
expect("lint: a warning is no error", cove("lint", write("unused.yaml", """\
version: 1
tools:
  t: {description: d, input: {properties: {x: {}}}, command: {argv: [/bin/true]}}
""")), 0, "warning: t.input: nothing uses the argument 'x'; use it, or remove it")
expect("lint: a secret in a catalog is refused and not shown",
       cove("lint", write("secret.yaml", f"version: 1\ncredentials: {{T: {{value: {SECRET}}}}}\n")), 1,
       "a catalog holds no secret")
expect("lint: a file that is not there", cove("lint", "gone.yaml"), 125, "gone.yaml: there is no such file")
expect("lint: a directory", cove("lint", here), 2, "not a regular file")
expect("lint: no file", cove("lint"), 2, "name the file")
expect("lint: too large", cove("lint", write("large.yaml", "#" * (2 << 20))), 125, "large.yaml")

# --- show ----------------------------------------------------------------------------------------
r = cove("show", GOOD, MORE)
expect("show: what there is, where it runs, what it needs", r, 0,
       "deploy\n    Deploys a service.\n    route        POST /v1/tools/deploy\n"
       "    command      /usr/bin/deploy --service={service}\n    credentials  GITHUB_TOKEN\n"
       "    limits       60 s, 4 at once, 1048576 bytes\n",
       "route        POST /build\n    server       POST builder/build\n    limits       600 s",
       "date\n    The time.", "read only",
       "GITHUB_TOKEN             env GITHUB_TOKEN", "server builder  /opt/builder")
r = cove("show", "-o", "json", GOOD)
shown = json.loads(r.stdout)
tap.ok(r.returncode == 0 and [t["name"] for t in shown["tools"]] == ["build_container", "deploy"] and
       shown["tools"][0]["endpoint"] == "/build" and
       shown["tools"][1]["input_schema"]["additionalProperties"] is False and
       shown["backends"][1]["credentials"] == ["GITHUB_TOKEN"] and
       shown["credentials"] == [{"name": "GITHUB_TOKEN", "source": "env", "from": "GITHUB_TOKEN"}],
       "show: as JSON", r.stdout + r.stderr)
expect("show: a bad one", cove("show", BAD), 2, "bad.yaml:8:5: error", "bad.yaml: not a good catalog")
expect("show: two that have the same", cove("show", GOOD, GOOD), 2,
       "has a tool 'deploy' too", "give each its own name")
expect("show: no file", cove("show"), 2, "name the catalog's file")
ESC = write("esc.yaml", 'version: 1\ntools: {t: {description: "a\\e[31mb", command: {argv: [/bin/true]}}}\n')
tap.ok("\x1b" not in cove("show", ESC).stdout, "show: a terminal gets no escapes")

tap.done()
