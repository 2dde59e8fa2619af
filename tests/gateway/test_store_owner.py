#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: a store has one gateway, since that one has in memory what is in it: another with a directory of its
own is refused while it runs, loses nothing of what was stored, and may have it afterwards.
Method: two real gateways on one database: a file, or with CV_DB_URL a PostgreSQL."""
import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import gatewaylab  # noqa: E402
import world  # noqa: E402
from gatewaylab import code_of  # noqa: E402

tap = world.Tap()


def refused(start):
    try:
        start()
    except RuntimeError as e:
        return "is another gateway's" in str(e)
    return False


def create(g, name):
    return code_of(lambda: g.stub.CreateWorkspace(g.pb.CreateWorkspaceRequest(name=name)))[0] == "OK"


def names(g):
    return {w.metadata.name for w in g.stub.ListWorkspaces(g.pb.ListWorkspacesRequest()).workspaces}


with tempfile.TemporaryDirectory() as shared:
    flags = [] if "CV_DB_URL" in os.environ else ["--db-url", "sqlite:" + os.path.join(shared, "shared.db")]
    with gatewaylab.Gateway(tls=False, flags=flags) as first:
        url = first.env["COVE_DB_URL"] if not flags else flags[1]
        second = gatewaylab.Gateway(tls=False, flags=["--db-url", url], start=False)
        try:
            tap.ok(create(first, "one"), "a gateway stores something")
            tap.ok(refused(second.start), "another one on the same store does not start", second.lines)
            tap.ok(create(first, "two"), "and the first goes on")
            first.kill()
            second.start()
            tap.ok(names(second) >= {"one", "two"} and create(second, "three"),
                   "when the first was killed the other has all of it")
            tap.ok(refused(first.start), "and then the first is refused", first.lines)
            second.stop()
            first.start()
            tap.ok(names(first) >= {"one", "two", "three"}, "until the other has ended")
        finally:
            second.close()
tap.done()
