#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: a connection that carried a credential, or may, is nobody else's (T22): where a credential is bound,
each client has a connection of its own, and where none is, clients share.
Method: a real run with a provider; the origin keeps each connection's bytes apart."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import credlab  # noqa: E402
import world  # noqa: E402
from credlab import OK, equal, request  # noqa: E402

VALUE = "-".join(["v4lue", "of", "one", "binding", "51930"])
PROFILE = """\
id: my-api
credentials: [{name: key, env_vars: [MY_KEY], required: true}]
endpoints:
  - {host: api.test, port: 443, protocol: rest, enforcement: enforce, access: full}
binaries: [{path: "/**"}]
"""
POLICY = """\
version: 1
network_policies:
  own:
    endpoints:
      - {host: free.test, port: 443, protocol: rest, enforcement: enforce, access: full}
    binaries: [{path: "/**"}]
"""

tap = world.Tap()
lab = credlab.Lab({"profile.yaml": PROFILE}, POLICY, env={"MY_KEY": VALUE}, names=["api.test", "free.test"])
PLACE = lab.inside["MY_KEY"]
WITH, WITHOUT = [f"Authorization: Bearer {PLACE}"], []


def connections(host, *kinds, how="tls"):
    """A client for each of kinds; what each of the origin's new connections carried: how many requests,
    how many with the value."""
    before = len(lab.origin.connections)
    for fields in kinds:
        reply = lab.talk(host, request("GET", host, "/x", fields), how=how)
        assert reply.data.endswith(b"ok"), reply
    found = []
    for c in lab.origin.connections[before:]:
        found.append(c.count)
    return found


tap.check("without a credential bound there, clients share", lambda: equal(
    connections("free.test", *[WITHOUT] * 4), [4]))
tap.check("t22 what carried a credential is not used again", lambda: equal(
    connections("api.test", *[WITH] * 3), [1, 1, 1]))
tap.check("t22 nor does a credential go where another request went", lambda: equal(
    connections("api.test", WITHOUT, WITH, WITHOUT, WITH), [1, 1, 1, 1]))
tap.check("t22 a host beside it shares as before", lambda: equal(
    connections("free.test", WITHOUT, WITHOUT), []))
tap.check("the value did go", lambda: equal(
    VALUE.encode() in (lab.talk("api.test", request("GET", "api.test", "/x", WITH), answer=OK),
                       lab.origin.seen())[1], True))
lab.close()
lab.remove()
tap.done()
