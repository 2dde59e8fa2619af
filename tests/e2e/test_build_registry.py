#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Registries that want a login, and those without TLS, for container builds.

Goal: base images come from, and images go to, registries behind a password, with Basic and with
tokens, and that password is nowhere but in the keeper, the broker's memory and the requests; a
registry without TLS is used only if the catalog names it.  Method: Debian's docker-registry in four
forms; while builds run, every process' arguments and environment and every file of the run are
searched for the password.
"""
import base64
import json
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import buildlab  # noqa: E402
import world  # noqa: E402

SECRET = "hunter2-Zq81wLx0vvN3"
CATALOG = f"""\
version: 1
credentials:
  REGISTRY_PASSWORD: {{file: SECRETFILE}}
  WRONG_PASSWORD: {{env: CV_WRONG_PASSWORD}}
tools:
  build_container:
    description: Builds with a login.
    build: &all
      base_images: ["login.test:5443/**", "token.test:5444/**", "plain.test:5000/**", "bare.test:5001/**"]
      push: ["login.test:5443/**", "token.test:5444/**", "plain.test:5000/**", "bare.test:5001/**"]
      allowed_ips: [{world.PRIVATE}/32]
      plain_http: ["plain.test:5000"]
      logins:
        login.test:5443: {{user: robot, credential: REGISTRY_PASSWORD}}
        token.test:5444: {{user: robot, credential: REGISTRY_PASSWORD, hosts: ["auth.test:5445"]}}
    limits: {{seconds: 100}}
  build_without:
    description: The same, without a login.
    build:
      base_images: ["login.test:5443/**", "token.test:5444/**"]
      push: ["login.test:5443/**"]
      allowed_ips: [{world.PRIVATE}/32]
      hosts: ["auth.test:5445"]
  build_wrong:
    description: The same, with a wrong one.
    build:
      base_images: ["login.test:5443/**"]
      allowed_ips: [{world.PRIVATE}/32]
      logins: {{"login.test:5443": {{user: robot, credential: WRONG_PASSWORD}}}}
  push_container:
    description: Pushes with a login.
    build:
      operation: push
      push: ["login.test:5443/**"]
      allowed_ips: [{world.PRIVATE}/32]
      logins: {{"login.test:5443": {{user: robot, credential: REGISTRY_PASSWORD}}}}
""".replace(" &all", "")
ENGINE_KEY = f"build:\n      engine: {buildlab.ENGINE}\n"
POLICY = "version: 1\ntools:\n  all: {tools: [\"*\"]}\n"
tap = world.Tap()
buildlab.needed(tap, "docker-registry", "openssl")
w = world.World(["login.test", "token.test", "auth.test"])
secret_file = w.policy(SECRET + "\n", "secret")
os.chmod(secret_file, 0o600)
os.environ["CV_WRONG_PASSWORD"] = "wrong-" + SECRET[::-1]
lab = buildlab.Builds(w, CATALOG.replace("SECRETFILE", secret_file).replace("build:\n", ENGINE_KEY), POLICY,
                      [f"{name}:{port}:{world.PRIVATE}" for name, port in (
                          ("login.test", 5443), ("token.test", 5444), ("auth.test", 5445), ("plain.test", 5000),
                          ("bare.test", 5001))])
tokens = buildlab.Tokens(w, 5445, SECRET)
registries = [
    buildlab.Registry(w, 5443, pki=w.pki, password=SECRET),
    buildlab.Registry(w, 5444, pki=w.pki, tokens=("https://auth.test:5445/token", tokens.cert)),
    buildlab.Registry(w, 5000),
    buildlab.Registry(w, 5001),
]
MADE = 'RUN ["/bin/busybox", "touch", "/made"]\n'


class Searcher:
    """Looks for the secret where it must not be, for as long as it lasts."""

    NEEDLES = [SECRET.encode(), base64.b64encode(f"robot:{SECRET}".encode()).rstrip(b"=")]

    def __init__(self):
        self.found, self.looks = set(), 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self._thread.join()

    def _look(self, path):
        try:
            with open(path, "rb") as f:
                data = f.read(1 << 20)
        except OSError:
            return
        self.looks += 1
        if any(n in data for n in self.NEEDLES):
            self.found.add(path)

    def _run(self):
        while not self._end.wait(0.05):
            for pid in filter(str.isdigit, os.listdir("/proc")):
                self._look(f"/proc/{pid}/cmdline")
                self._look(f"/proc/{pid}/environ")
            for base, _, files in os.walk(lab.state):
                if "/store" not in base and "/bases" not in base:
                    for name in files:
                        self._look(os.path.join(base, name))


def to_and_from(registry):
    lab.context(buildlab.BUSYBOX + MADE)
    out = lab.built({"push": f"{registry}/base/busybox:1"})["output"]
    assert out["pushed"].startswith(f"{registry}/base/busybox@sha256:"), out
    lab.context(f"FROM {registry}/base/busybox:1\n" + MADE)
    lab.built()
    lab.context(f"FROM {out['pushed']}\n" + MADE)
    return lab.built()


def c1_basic():
    with Searcher() as s:
        answer = to_and_from("login.test:5443")
    assert s.looks > 100 and not s.found, (s.looks, s.found)
    assert SECRET not in json.dumps(answer), answer


def c1_tokens():
    before = len(tokens.seen)
    with Searcher() as s:
        to_and_from("token.test:5444")
    assert s.looks > 100 and not s.found, (s.looks, s.found)
    assert len(tokens.seen) > before and any("push" in path for path, _ in tokens.seen), tokens.seen


def c1_not_in_the_build():
    """Neither the value nor its placeholder is in the step that runs programs of an image."""
    lab.context("FROM login.test:5443/base/busybox:1\n"
                'RUN ["/bin/busybox", "sh", "-c", "/bin/busybox env; for p in /proc/[0-9]*; do '
                '/bin/busybox tr \'\\\\0\' \'\\\\n\' < $p/environ; /bin/busybox tr \'\\\\0\' \' \' < $p/cmdline; done; '
                '/bin/busybox find /build /tmp -type f -exec /bin/busybox cat {} + 2>&1; echo LOOKED"]\n')
    answer = lab.built()
    text = json.dumps(answer)
    assert "LOOKED" in text and SECRET not in text and "openshell:resolve" not in text, answer
    assert "COVE_REGISTRY" not in text, answer


def without_and_wrong():
    lab.context("FROM login.test:5443/base/busybox:1\n")
    lab.refused("base_image_failed", tool="build_without", words="login.test:5443/base/busybox:1 can't be fetched")
    answer = lab.refused("base_image_failed", tool="build_wrong")
    assert os.environ["CV_WRONG_PASSWORD"] not in json.dumps(answer), answer
    lab.context("FROM token.test:5444/base/busybox:1\n")
    lab.refused("base_image_failed", tool="build_without")
    lab.context(buildlab.BUSYBOX)
    answer = lab.build({"push": "login.test:5443/base/other:1"}, tool="build_without")
    assert answer["error"] == "tool_failed" and answer["detail"].startswith("push: "), answer


def a_push_by_itself():
    lab.context(buildlab.BUSYBOX)
    r = lab.cove("call build_container '{\"tag\":\"b\",\"context_dir\":\"ctx\"}'; "
                 "call push_container '{\"tag\":\"b\",\"destination\":\"login.test:5443/out/b:1\"}'")
    assert "login.test:5443/out/b@sha256:" in r.stdout, (r.stdout, r.stderr)


def plain_http():
    to_and_from("plain.test:5000")


def plain_http_is_refused():
    lab.context("FROM bare.test:5001/base/busybox:1\n")
    answer = lab.refused("base_image_failed", words="plain_http: [\"bare.test:5001\"]")
    assert "bare.test:5001" in answer["stderr"], answer
    lab.context(buildlab.BUSYBOX)
    answer = lab.build({"push": "bare.test:5001/base/x:1"})
    assert answer["error"] == "tool_failed" and "plain_http: [\"bare.test:5001\"]" in answer["detail"], answer


def nothing_is_left():
    assert not os.listdir(lab.state), os.listdir(lab.state)


try:
    tap.check("C1 a registry with a password: pushed to and pulled from, and the password is nowhere", c1_basic)
    tap.check("C1 one that gives tokens for it", c1_tokens)
    tap.check("C1 the step that runs an image's programs has nothing of it", c1_not_in_the_build)
    tap.check("without a login, and with a wrong one", without_and_wrong)
    tap.check("a push by itself", a_push_by_itself)
    tap.check("a registry without TLS that the catalog names", plain_http)
    tap.check("B4 one that it does not name is refused, with what to write", plain_http_is_refused)
    tap.check("nothing is left behind", nothing_is_left)
finally:
    for x in registries:
        x.close()
    w.close()
tap.done()
