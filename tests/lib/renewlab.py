# SPDX-License-Identifier: Apache-2.0
"""Runs whose credentials are renewed: profiles, instances, and issuers that are there before the run."""
import time

import credlab
import issuers
import world

API, ISSUER, PORT = "api.test", "issuer.test", 8443
URL = f"https://{ISSUER}:{PORT}"
PROFILE = """\
id: %s
credentials:
%sendpoints:
  - {host: api.test, port: 443, protocol: rest, enforcement: enforce, access: full}
binaries: [{path: "/**"}]
"""
OAUTH = """\
  - name: %(name)s
    env_vars: [%(name)s]
    required: true
    refresh:
      strategy: %(strategy)s
      token_url: %(url)s
      material: [{name: client_id}, {name: client_secret, secret: true}, {name: refresh_token, secret: true}]
"""
CLIENT = "{client_id: {file: ./client-id}, client_secret: {file: ./client-secret}"
FILES = {"client-id": issuers.CLIENT, "client-secret": issuers.CLIENT_SECRET, "rt": "rt-0\n",
         "key-id": issuers.KEY_ID, "key-secret": issuers.KEY_SECRET}


def until(seconds, check):
    """check() is true in time."""
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)


def oauth(name, strategy, path="/oauth/token", port=PORT):
    return OAUTH % {"name": name, "strategy": strategy, "url": f"https://{ISSUER}:{port}{path}"}


def run(profiles, *servers, env=None, pins=(), set_up=None):
    """A run, and the issuers at those ports, which are there before it, with attributes as set_up says."""
    started = []

    def prepare(w):
        started.extend(issuers.start(world.PRIVATE, port, w.pki) for port in servers)
        for server, (name, value) in [(s, kv) for s in started for kv in (set_up or {}).items()]:
            setattr(server, name, value)

    instances = [name for name in profiles if name.startswith("i-")]
    options = [x for port in (*servers, *pins) for x in ("--resolve", f"{ISSUER}:{port}:{world.PRIVATE}")]
    lab = credlab.Lab({**FILES, **profiles}, names=[API, ISSUER], instances=instances, options=options,
                      prepare=prepare, env=env)
    return lab, *started
