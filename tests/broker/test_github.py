#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The catalog `github`, against a server that checks what arrives; the policies of its guide.

catalogs/github.yaml as it ships, moved to the test's server by `urls:`, with a real keeper and TLS.
"""
import base64
import os
import re
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../lib"))
import world  # noqa: E402
from brokerlab import Keeper, Lab, Sandbox, Tap  # noqa: E402
from githubapi import GitHub  # noqa: E402

TOKEN = "ghp_0123456789abcdefSECRETtoken"
DIR = tempfile.mkdtemp(prefix="cove-github-")
pki = world.Pki(DIR, ["api.test"])
api = GitHub(pki, TOKEN, prefix="/api/v3")
with open(os.path.join(HERE, "../../catalogs/github.yaml"), encoding="utf-8") as f:
    CATALOG = f.read()
TOOLS = re.findall(r"^  (github\.[a-z_]+):$", CATALOG, re.M)
URLS = f"""
version: 1
urls: {{"https://api.github.com": "https://api.test:{api.port}/api/v3"}}
"""
with open(os.path.join(HERE, "../../docs/guides/github-tool.md"), encoding="utf-8") as f:
    GUIDE = re.findall(r"```yaml\n(version: 1\n.*?)```", f.read(), re.S)
keeper = Keeper({"GITHUB_TOKEN": TOKEN}, [("tool:" + t, "GITHUB_TOKEN") for t in TOOLS])
lab = Lab([CATALOG, URLS], keeper=keeper, roots=pki.ca, pins=[("api.test", api.port, "127.0.0.1")])
box = Sandbox(lab, "one")
SHA = "c" * 40


def call(tool, sandbox=None, **arguments):
    return (sandbox or box).call("github." + tool, arguments)


def good(tool, sandbox=None, **arguments):
    r = call(tool, sandbox, **arguments)
    assert r.status == 200, (tool, r)
    assert TOKEN.encode() not in r.body
    return r.json["output"]


def every_tool_is_an_operation_of_the_server():
    called = set()

    def one(tool, **arguments):
        called.add("github." + tool)
        return good(tool, **arguments)

    number = one("issue_create", repo="acme/app", title='a "title" \\ ü', body="b\n", labels=["bug"])["number"]
    assert api.issues[number]["title"] == 'a "title" \\ ü' and api.issues[number]["labels"] == ["bug"]
    assert one("issue_get", repo="acme/app", number=number)["body"] == "b\n"
    assert len(one("issue_list", repo="acme/app", state="open", page=1, per_page=50)) == 1
    assert len(one("issue_list", repo="acme/app")) == 1
    one("issue_comment", repo="acme/app", number=number, body="hello")
    assert one("branch_get", repo="acme/app", branch="main")["commit"]["sha"] == "a" * 40
    one("ref_create", repo="acme/app", ref="refs/heads/agent/fix", sha="a" * 40)
    one("contents_put", repo="acme/app", path="src/new file#1.c", branch="agent/fix", message="m",
        content=base64.b64encode(b"int x;\n").decode())
    assert api.files["src/new file#1.c"] == b"int x;\n", api.files
    got = one("contents_get", repo="acme/app", path="src/new file#1.c", ref="agent/fix")
    assert base64.b64decode(got["content"]) == b"int x;\n" and "ref=agent%2Ffix" in api.seen[-1]["query"]
    one("ref_update", repo="acme/app", ref="refs/heads/agent/fix", sha=SHA)
    assert api.refs["refs/heads/agent/fix"] == SHA
    pull = one("pr_create", repo="acme/app", title="t", head="agent/fix", base="main", body="b", draft=True)
    assert api.pulls[pull["number"]]["draft"] is True
    assert len(one("pr_list", repo="acme/app", base="main")) == 1
    assert one("pr_get", repo="acme/app", number=pull["number"])["head"] == "agent/fix"
    one("pr_comment", repo="acme/app", number=pull["number"], body="x")
    assert [c[1] for c in api.comments] == ["hello", "x"]
    assert called == set(TOOLS), set(TOOLS) - called


def failures_say_what_the_server_said():
    r = call("issue_get", repo="acme/app", number=999)
    assert r.status == 502 and r.json["status"] == 404 and "Not Found" in str(r.json), r
    r = call("issue_get", repo="acme/secret", number=1)
    assert r.status == 502 and r.json["status"] == 404, r


def arguments_stay_in_their_places():
    seen = len(api.seen)
    for repo in ("acme/app/../other", "../app", "acme/..", "acme", "acme/app?x", "acme/app#x", "acme/app/issues",
                 "acme/.", "-a/b", "acme/app%2f..", "acme//app", "acme/app\n", ""):
        assert call("issue_list", repo=repo).status == 400, repo
    for path in ("../x", "a/../../x", "/etc/passwd", "a//b", "./a", ".."):
        assert call("contents_get", repo="acme/app", path=path).status == 400, path
    for ref in ("heads/main", "refs/tags/v1", "refs/heads/../x", "refs/heads/a?b", "refs/heads/-x", "refs/pull/1/head"):
        r = call("ref_update", repo="acme/app", ref=ref, sha=SHA)
        assert r.status == 400, (ref, r)
    assert call("ref_update", repo="acme/app", ref="refs/heads/main", sha=SHA, force=True).status == 400
    assert call("issue_create", repo="acme/app", title="x", assignees=["root"]).status == 400
    assert call("issue_get", repo="acme/app", number="1/../../x").status == 400
    assert len(api.seen) == seen


def there_is_no_tool_to_merge_or_delete():
    for method, word in (("DELETE", "method: DELETE"), ("merge", "/merge"), ("force", '"force":true')):
        assert word not in CATALOG, method


def policies_of_the_guide_allow_what_they_say():
    """Each policy of the guide, in its order: what its text says is allowed, and what is not."""
    want = [
        # (tool, arguments, allowed)
        [("issue_list", {"repo": "acme/app"}, True), ("issue_get", {"repo": "acme/app", "number": 1}, True),
         ("issue_list", {"repo": "acme/other"}, False),
         ("issue_comment", {"repo": "acme/app", "number": 1, "body": "x"}, False)],
        [("issue_comment", {"repo": "acme/app", "number": 1, "body": "x"}, True),
         ("issue_comment", {"repo": "acme/app", "number": 2, "body": "x"}, False),
         ("issue_comment", {"repo": "acme/other", "number": 1, "body": "x"}, False),
         ("issue_create", {"repo": "acme/app", "title": "x"}, False)],
        [("branch_get", {"repo": "acme/app", "branch": "main"}, True),
         ("ref_create", {"repo": "acme/app", "ref": "refs/heads/agent/p", "sha": "a" * 40}, True),
         ("ref_create", {"repo": "acme/app", "ref": "refs/heads/release", "sha": "a" * 40}, False),
         ("ref_create", {"repo": "acme/other", "ref": "refs/heads/agent/p", "sha": "a" * 40}, False),
         ("contents_put", {"repo": "acme/app", "path": "src/a", "branch": "agent/p", "message": "m",
                           "content": ""}, True),
         ("contents_put", {"repo": "acme/app", "path": "src/a", "branch": "main", "message": "m",
                           "content": ""}, False),
         ("contents_put", {"repo": "acme/app", "path": ".github/workflows/x.yml", "branch": "agent/p",
                           "message": "m", "content": ""}, False),
         ("ref_update", {"repo": "acme/app", "ref": "refs/heads/main", "sha": SHA}, False),
         ("pr_create", {"repo": "acme/app", "title": "t", "head": "agent/p", "base": "main"}, True),
         ("pr_create", {"repo": "acme/app", "title": "t", "head": "other", "base": "main"}, False),
         ("pr_create", {"repo": "acme/app", "title": "t", "head": "agent/p", "base": "release"}, False)],
    ]
    assert len(GUIDE) == len(want), len(GUIDE)
    for number, (text, rows) in enumerate(zip(GUIDE, want)):
        sandbox = Sandbox(lab, f"guide{number}", policy=text)
        for tool, arguments, is_allowed in rows:
            seen = len(api.seen)
            r = call(tool, sandbox, **arguments)
            if is_allowed:
                assert r.status == 200, (number, tool, arguments, r)
            else:
                assert r.status == 403 and r.json["error"] == "policy_denied", (number, tool, arguments, r)
                assert len(api.seen) == seen
        sandbox.end()


failed = Tap().run([every_tool_is_an_operation_of_the_server, failures_say_what_the_server_said,
                    arguments_stay_in_their_places, there_is_no_tool_to_merge_or_delete,
                    policies_of_the_guide_allow_what_they_say])
lab.close()
keeper.close()
sys.exit(failed)
