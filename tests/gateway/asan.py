#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# alone: it needs the sanitized build, which is made beside the others
"""Runs tests of the gateway with the gateway of the sanitized build (build-asan/), and with the other
programs as they are: their filters don't allow what a sanitizer does.

    tests/gateway/asan.py tests/gateway/test_policy.py tests/gateway/test_sandboxes.py

Without words it is a test itself: of those that touch most of it in little time.  Tests that search the
gateway's memory or look at its size can't be run so."""
import glob
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../lib"))
import rpclab  # noqa: E402
import world  # noqa: E402

USUAL = ("test_gateway_core.py",)
SANITIZED = os.path.join(HERE, "../../build-asan")


def programs(directory):
    """A tree of programs in which the gateway is the sanitized one."""
    shutil.rmtree(directory, ignore_errors=True)
    for path in glob.glob(os.path.join(rpclab.BUILD, "src/*/cove*")):
        if not os.path.isfile(path) or not os.access(path, os.X_OK):
            continue
        name = os.path.relpath(path, rpclab.BUILD)
        source = os.path.join(SANITIZED, name) if name == "src/gateway/cove-gateway" else path
        os.makedirs(os.path.dirname(os.path.join(directory, name)), exist_ok=True)
        shutil.copy(source, os.path.join(directory, name))


def main():
    tap = world.Tap()
    tests = sys.argv[1:] or [os.path.join(HERE, name) for name in USUAL]
    if not os.path.exists(os.path.join(SANITIZED, "src/gateway/cove-gateway")):
        tap.skip("sanitized", "there is no build-asan/ (tools/build asan)")
        tap.done()
    directory = os.path.join(SANITIZED, "mixed-%d" % os.getpid())
    reports = os.path.join(directory, "report")
    try:
        programs(directory)
        env = dict(os.environ, CV_BUILD=directory, CV_COVE=os.path.join(directory, "src/cli/cove"),
                   ASAN_OPTIONS="detect_stack_use_after_return=1:strict_string_checks=1:detect_leaks=0:log_path="
                                + reports,
                   UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1:log_path=" + reports)
        for test in tests:
            r = subprocess.run([sys.executable, test], env=env, check=False, stdout=subprocess.PIPE, text=True,
                               timeout=300)
            bad = [x for x in r.stdout.splitlines() if not x.startswith("ok ")]
            said = []
            for path in glob.glob(reports + ".*"):
                with open(path, encoding="utf-8", errors="replace") as f:
                    said += f.read().splitlines()[:30]
                os.unlink(path)
            is_good = r.returncode == 0 and not said and not any(x.startswith("not ok") for x in bad)
            tap.ok(is_good, "sanitized: " + os.path.basename(test), "\n".join(said + bad))
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    tap.done()


main()
