#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs tests of the gateway with a PostgreSQL of their own instead of files:

    tests/gateway/postgres.py tests/gateway/test_policy.py tests/gateway/test_sandboxes.py

Without words it is a test itself: of those where the store decides."""
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../lib"))
import pgserver  # noqa: E402
import world  # noqa: E402

USUAL = ("test_providers.py", "test_policy.py", "test_backup.py", "test_early.py", "test_store_owner.py")


def main():
    tap = world.Tap()
    tests = sys.argv[1:] or [os.path.join(HERE, name) for name in USUAL]
    if not pgserver.binaries():
        tap.skip("on PostgreSQL", "no server is installed")
        tap.done()
    with tempfile.TemporaryDirectory() as directory:
        for name in ("crt", "key"):
            open(os.path.join(directory, name), "w", encoding="ascii").close()
        server = pgserver.PgServer("", 5432, os.path.join(directory, "crt"), os.path.join(directory, "key"),
                                   ssl=False)
        try:
            url = "postgresql:///{db}?host=%s&user=postgres" % server.dir
            for test in tests:
                r = subprocess.run([sys.executable, test], env=dict(os.environ, CV_DB_URL=url), check=False,
                                   stdout=subprocess.PIPE, text=True, timeout=300)
                bad = [x for x in r.stdout.splitlines() if not x.startswith("ok ")]
                is_good = r.returncode == 0 and not any(x.startswith("not ok") for x in bad)
                tap.ok(is_good, "on PostgreSQL: " + os.path.basename(test), "\n".join(bad))
            used = server.sql("SELECT count(*) FROM pg_database WHERE datname LIKE 'cove_gw_%'")
            tap.ok(int(used) >= len(tests), "each had a database of its own", used)
        finally:
            server.close()
    tap.done()


main()
