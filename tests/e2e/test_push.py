#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: git pushes a large pack with a credential that it never has, in chunks whose number nobody knows
before the last; and a request that carries the placeholder where it may not reaches nobody (C4).
Method: git in a sandbox, git http-backend behind a server that wants name and password."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import credlab  # noqa: E402
import gitserver  # noqa: E402
import world  # noqa: E402
from credlab import equal  # noqa: E402

SIZE = 60_000_000
PROFILE = """\
id: my-git
credentials:
  - {name: token, env_vars: [GIT_TOKEN], required: true}
endpoints:
  - {host: git.test, port: 8443, protocol: rest, enforcement: enforce, access: full}
binaries: [{path: "/**"}]
"""

tap = world.Tap()
lab = credlab.Lab({"my-git.yaml": PROFILE}, env={"GIT_TOKEN": "s3cr3t.VALUE-0123456789"}, names=["git.test"],
                  more_ports=(8443,))
server = gitserver.GitServer(lab.world.dir, lab.world.pki, "me:s3cr3t.VALUE-0123456789", (world.PUBLIC, 8443))
os.makedirs(os.path.join(server.root, "private"))
repo = server.repo("private/big")
repo.git("config", "http.receivepack", "true")


def sh(script):
    return lab.do({"do": "sh", "timeout": 100, "script": f"""
        export HOME=$PWD GIT_CONFIG_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0
        g() {{ git -c user.name=t -c user.email=t@t -c core.compression=0 -c pack.threads=1 "$@"; }}
        {script}"""}, 110)


def push():
    r = sh(f"""rm -rf big && g init -q -b main big && cd big && head -c {SIZE} /dev/urandom > blob &&
        g add blob && g commit -qm one && sha256sum blob &&
        g push -q "https://me:$GIT_TOKEN@git.test:8443/private/big.git" main""")
    equal(r["status"], 0, r["err"])
    posts = [s for s in server.seen if s["method"] == "POST"]
    assert any("receive-pack" in s["path"] for s in posts), posts
    equal(repo.git("cat-file", "-s", "main:blob"), str(SIZE))
    repo.git("fsck")


def refused():
    server.seen.clear()
    r = sh("""head -c 3000000 /dev/zero > z && printf %s "$GIT_TOKEN" >> z &&
        curl -sS -o out -w '%{http_code}' -u "me:$GIT_TOKEN" --data-binary @z -H 'Transfer-Encoding: chunked' \\
            https://git.test:8443/private/big.git/git-receive-pack; cat out""")
    assert r["out"].startswith("403") and "credential_endpoint_mismatch" in r["out"], r
    equal(server.seen, [])


tap.check(f"git pushes {SIZE // 1000000} MB with a credential that it does not have", push)
tap.check("C4 curl sends 3 MB with a placeholder at the end: 403, and the server hears nothing", refused)
tap.check("the run ends well", lambda: equal(lab.close(), 0, lab.stderr()))
lab.remove()
tap.done()
