# SPDX-License-Identifier: Apache-2.0
"""An agent with the official SDK of MCP (tests/e2e/mcp_client.mjs), run by Node in a real sandbox."""
import json
import os
import shutil
import subprocess

import world

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
MODULES = os.path.join(ROOT, "build/node/node_modules")

CATALOG = """\
version: 1
tools:
  echo:
    description: Says what it is told.
    input: {properties: {text: {type: string}}, required: [text]}
    command: {argv: [/bin/echo, "{text}"]}
    annotations: {read_only: true}
  facts:
    description: A few facts, as data.
    command: {argv: [/bin/echo, '{{"answer": 42, "list": [1, 2]}}']}
    result: {stdout: json}
  fails:
    description: Fails and says why.
    command: {argv: [/bin/sh, -c, "echo half; echo why >&2; exit 3"]}
  issues.close:
    description: Closes an issue of a repository.
    input: {properties: {repo: {type: string}, number: {type: integer}}, required: [repo, number]}
    command: {argv: [/bin/echo, closed, "{repo}", "{number}"]}
  slow:
    description: Sleeps.
    input: {properties: {seconds: {type: integer}}, required: [seconds]}
    command: {argv: [/bin/sleep, "{seconds}"]}
    limits: {seconds: 600, concurrency: 64}
  steps:
    description: Takes as many seconds as it has steps, and says so.
    input: {properties: {count: {type: integer}}, required: [count]}
    command: {argv: [/bin/sh, -c, 'i=0; while [ $i -lt $1 ]; do i=$((i+1)); echo step $i >&2; sleep 1; done; echo done', steps, "{count}"]}
"""
POLICY = """\
version: 1
tools:
  free: {tools: [echo, facts, fails, slow, steps, "many.*"]}
  issues: {tools: [issues.close], arguments: [{path: $.repo, equals: acme/app}]}
"""


def is_there():
    return shutil.which("node") and os.path.isdir(os.path.join(MODULES, "@modelcontextprotocol/sdk"))


class Agent:
    def __init__(self, catalog=CATALOG, policy=POLICY):
        self.w = world.World(["unused.test"])
        self.policy, self.tools = self.w.policy(policy), self.w.policy(catalog, "tools.yaml")
        shutil.copytree(MODULES, os.path.join(self.w.work, "node_modules"), symlinks=True)
        shutil.copy(os.path.join(ROOT, "tests/e2e/mcp_client.mjs"), self.w.work)
        runtime = os.path.join(self.w.dir, "runtime")
        os.mkdir(runtime, 0o700)
        self.env = {**os.environ, "XDG_RUNTIME_DIR": runtime}

    def command(self, *argv):
        return [world.COVE, "run", "-q", "--workdir", self.w.work, "--audit", self.w.audit, "--policy", self.policy,
                "--tools", self.tools, "--", *argv]

    def start(self, *scenarios):
        return subprocess.Popen(self.command("node", "mcp_client.mjs", *scenarios), env=self.env, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run(self, *scenarios, timeout=100):
        """What each scenario found, by its name."""
        r = subprocess.run(self.command("node", "mcp_client.mjs", *scenarios), env=self.env, text=True,
                           capture_output=True, timeout=timeout, check=False)
        found = {one["name"]: one for one in map(json.loads, r.stdout.splitlines())}
        assert set(found) == set(scenarios), (r.stdout[-2000:], r.stderr[-2000:])
        for one in found.values():
            assert one["ok"], one
        return found
