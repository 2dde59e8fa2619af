#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal: what the proxy does with hostile, odd and ordinary bytes, seen from both ends.
Method: the .wt scripts of this folder (lang.py tells their language): an agent in a real sandbox,
real servers, and "not one byte reached the server" as the oracle.

    tests/wire/test_scripts.py [-direct] [-l] [PATTERN...]    part of a file's or a test's name
    -direct: the agent outside, without cove, for writing scripts;  -l: names only

Two workers, each with a network namespace of its own, because most scripts wait more than they
compute."""
import concurrent.futures
import glob
import multiprocessing
import os
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib"), HERE]
os.environ.setdefault("CV_COVE", os.path.join(HERE, "..", "..", "build/src/cli/cove"))
import lang  # noqa: E402
import world  # noqa: E402

WORKERS = 2
stage = None


def enter():
    global stage
    stage = lang.Stage()


def play(script, is_direct):
    try:
        return lang.Run(script, stage, is_direct).play()
    except Exception as e:  # a script that can't be played is a failed test, not the end of all
        return f"{os.path.basename(script.path)}: {type(e).__name__}: {e}"


def main():
    words = [w for w in sys.argv[1:] if not w.startswith("-")]
    tests = [t for path in sorted(glob.glob(os.path.join(HERE, "*.wt"))) for t in lang.load(path)
             if not words or any(w in os.path.basename(path) or w in t.name for w in words)]
    if "-l" in sys.argv:
        print("\n".join(f"{os.path.basename(t.path)}: {t.name}" for t in tests))
        return
    tap = world.Tap()
    with tempfile.TemporaryDirectory(prefix="cove-wire-") as tempfile.tempdir:
        os.chmod(tempfile.tempdir, 0o755)
        play_all(tests, tap)
    tap.done()


def play_all(tests, tap):
    with concurrent.futures.ProcessPoolExecutor(WORKERS, multiprocessing.get_context("fork"),
                                                initializer=enter) as pool:
        done = pool.map(play, tests, ["-direct" in sys.argv] * len(tests))
        for test, failure in zip(tests, done):
            name = test.name.encode("ascii", "backslashreplace").decode()
            name = "".join(c if " " <= c <= "~" else f"\\x{ord(c):02x}" for c in name).replace("#", "\\x23")
            tap.ok(failure is None, name, failure or "")


if __name__ == "__main__":
    main()
