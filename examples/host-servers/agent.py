#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The task of the experiment, played by a script: provision a repository, build its image.

    agent.py baked|openapi|tools OUTPUT

baked     knows the requests by heart
openapi   reads /openapi.json of each server first
tools     reads /tools.json of each server first

Where discovery is denied it does what a reader of the denial does: takes the operations that it
says are allowed.  Each request goes through curl, which is the program that the policy names.
"""
import json
import subprocess
import sys

BUILDER, PROVISIONER = (f"http://host.openshell.internal:{p}" for p in (9090, 9091))
requests = []


def curl(method, url, body=None):
    argv = ["curl", "-sS", "-m", "300", "-X", method, "-w", "\n%{http_code}", url]
    if body is not None:
        argv += ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
    out = subprocess.run(argv, capture_output=True, text=True, check=False)
    text, _, status = out.stdout.rpartition("\n")
    requests.append((method, url, int(status or 0), len(text)))
    try:
        return int(status or 0), json.loads(text)
    except ValueError:
        return int(status or 0), {"error": text + out.stderr}


def allowed_of(denial):
    """(method, path) of each operation that a denial says is allowed."""
    return [(o["method"], o["path"]) for o in denial.get("allowed", [])]


def discover(kind, server):
    """Which (method, path) there are."""
    if kind == "baked":
        return [("POST", "/build"), ("POST", "/repo/provision"), ("GET", "/repo/status/*")]
    status, said = curl("GET", f"{server}/{'openapi' if kind == 'openapi' else 'tools'}.json")
    if status == 403:
        return allowed_of(said)
    if kind == "openapi":
        return [(m.upper(), path) for path, entry in said["paths"].items() for m in entry]
    return [(t["method"], t["endpoint"]) for t in said]


def pick(operations, method, words):
    for m, path in operations:
        if m == method and any(w in path for w in words):
            return path
    raise SystemExit(f"no {method} of {words} among {operations}")


def main():
    kind, output = sys.argv[1:]
    provision = pick(discover(kind, PROVISIONER), "POST", ["provision", "clone"])
    status, clone = curl("POST", PROVISIONER + provision, {"repo": "acme/app", "ref": "main", "dest": "app"})
    result = {"clone": status, "clone_said": clone}
    if status == 200 and clone["status"] == "completed":
        status, again = curl("GET", f"{PROVISIONER}/repo/status/{clone['id']}")
        result["status"] = again.get("status")
    build = pick(discover(kind, BUILDER), "POST", ["build"])
    status, image = curl("POST", BUILDER + build,
                         {"tag": "acme/app:test", "context_dir": "app", "dest": "app.tar"})
    result.update({"build": status, "build_said": image})
    result["requests"] = requests
    with open(output, "w", encoding="utf-8") as f:
        json.dump(result, f)
    sys.exit(0 if result["clone"] == result["build"] == 200 else 1)


main()
