#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goal:   tests/run.py counts what a test program says, and takes no silence for success.
Method: programs of one line each go through the runner's own run()."""

import contextlib
import importlib.util
import io
import os
import pathlib
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.dont_write_bytecode = True
spec = importlib.util.spec_from_file_location("run", HERE.parent / "run.py")
runner = importlib.util.module_from_spec(spec)
spec.loader.exec_module(runner)

# What it is about; the program, for sh; CV_MUST_WORK; then (passed, failed, skipped) expected.
CASES = [
    ("two tests that pass", "echo 1..2; echo ok 1 - a; echo ok 2 - b", "", (2, 0, 0)),
    ("a plan at the end", "echo ok 1 - a; echo 1..1", "", (1, 0, 0)),
    ("two groups with a plan each", "echo 1..1; echo ok 1 - a; echo 1..1; echo ok 1 - b", "", (2, 0, 0)),
    ("a test that fails", "echo 1..2; echo ok 1 - a; echo not ok 2 - b; exit 1", "", (1, 1, 0)),
    ("TODO is no excuse", "echo 1..1; echo 'not ok 1 - a # TODO later'", "", (0, 1, 0)),
    ("no plan", "echo ok 1 - a", "", (1, 1, 0)),
    ("no output", "true", "", (0, 1, 0)),
    ("fewer tests than planned", "echo 1..3; echo ok 1 - a", "", (1, 1, 0)),
    ("more tests than planned", "echo 1..1; echo ok 1; echo ok 2", "", (2, 1, 0)),
    ("all pass, exit status says otherwise", "echo 1..1; echo ok 1 - a; exit 3", "", (1, 1, 0)),
    ("all pass, then a crash", "echo 1..1; echo ok 1 - a; kill -SEGV $$", "", (1, 1, 0)),
    ("bail out", "echo 1..1; echo ok 1 - a; echo 'Bail out! no'", "", (1, 1, 0)),
    ("a skipped test", "echo 1..1; echo 'ok 1 - a # SKIP no curl'", "", (0, 0, 1)),
    ("a skipped file", "echo '1..0 # SKIP no curl'", "", (0, 0, 1)),
    ("cmocka's way to skip", "echo 1..1; echo 'ok 1 # SKIP a'", "", (0, 0, 1)),
    ("a skip where it must work", "echo 1..1; echo 'ok 1 - a # SKIP no curl'", "1", (0, 1, 0)),
    ("a skipped file where it must work", "echo '1..0 # SKIP no curl'", "1", (0, 1, 0)),
    ("what the machine has not", "echo 1..1; echo 'ok 1 - a # SKIP unavailable: no KVM'", "1", (0, 0, 1)),
    ("the same, cmocka's way", "echo 1..1; echo '# unavailable: no KVM'; echo 'not ok 1 # SKIP a'", "1", (0, 0, 1)),
    ("one such line is for one test", "echo 1..2; echo '# unavailable: a'; echo 'ok 1 # SKIP a'; echo 'ok 2 # SKIP b'",
     "1", (0, 1, 1)),
    ("and no excuse for a failure", "echo 1..1; echo '# unavailable: no KVM'; echo not ok 1 - a; exit 1", "1", (0, 1, 0)),
    ("takes too long", "echo 1..2; echo ok 1 - a; sleep 60", "", (1, 2, 0)),
    ("takes too long, and leaves somebody with its output", "echo 1..2; echo ok 1 - a; setsid sleep 20 & sleep 60", "",
     (1, 2, 0)),
    ("bytes that are no text", "printf '1..1\\nok 1 - \\377\\0\\n'", "", (1, 0, 0)),
]


FAILS_ONCE = "echo 1..1; if [ -e {0} ]; then echo ok 1 - a; else touch {0}; echo not ok 1 - a; fi"
FAILS = "echo 1..1; echo not ok 1 - a"

# What it is about; programs; which of them may be tried again; then how many fail in the end, and are told of.
AGAIN = [
    ("what fails once is tried again, and told of", [FAILS_ONCE], [0], (0, 1)),
    ("what fails twice has failed", [FAILS_ONCE, FAILS], [0, 1], (1, 1)),
    ("what ran alone has no second try", [FAILS_ONCE, FAILS_ONCE], [1], (1, 1)),
    ("four that fail are not the machine's fault", [FAILS_ONCE] * 4, range(4), (4, 0)),
]


def again(scripts, crowd):
    """How many fail in the end, and of how many it is told that they failed at first."""
    with tempfile.TemporaryDirectory() as marks:
        tests = [runner.Test(f"t{i}", ["sh", "-c", text.format(f"{marks}/{i}")]) for i, text in enumerate(scripts)]
        results = [runner.run(test) for test in tests]
        with contextlib.redirect_stdout(io.StringIO()):  # a report is no TAP
            told = runner.try_again(results, {tests[i].name: tests[i] for i in crowd})
    return sum(bool(result.failed) for result in results), len(told)


def main():
    print(f"1..{len(CASES) + 2 + len(AGAIN)}")
    os.environ["CV_MUST_WORK"] = ""
    for number, (about, scripts, crowd, expected) in enumerate(AGAIN, len(CASES) + 3):
        got = again(scripts, crowd)
        print(f"{'ok' if got == expected else 'not ok'} {number} - {about}")
        if got != expected:
            print(f"# fail, told of: {got}, not {expected}")

    for number, (about, script, must_work, expected) in enumerate(CASES, 1):
        os.environ["CV_MUST_WORK"] = must_work
        begun = time.monotonic()
        result = runner.run(runner.Test("t", ["sh", "-c", script], seconds=1))
        assert time.monotonic() < begun + 15, f"{about}: the runner waits"
        got = (len(result.passed), len(result.failed), len(result.skipped))
        print(f"{'ok' if got == expected else 'not ok'} {number} - {about}")
        if got != expected:
            print(f"# passed, failed, skipped: {got}, not {expected}; {result.failed}")

    result = runner.run(runner.Test("t", [HERE / "no-such-program"]))
    print(f"{'ok' if result.failed else 'not ok'} {len(CASES) + 1} - a program that is not there")

    result = runner.run(runner.Test("t", ["sh", "-c", "echo 1..1; echo ok 1; sleep 60 >&- 2>&- & echo \\# $!"]))
    left = pathlib.Path(f"/proc/{int(result.output.split('#')[1])}/stat")
    state, until = "", time.monotonic() + 5  # the kernel ends it in its own time
    while state not in ("gone", "Z") and time.monotonic() < until:
        try:
            state = left.read_text().rsplit(")", 1)[1].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            state = "gone"
        time.sleep(0.01)
    is_over = state in ("gone", "Z") and not result.failed
    print(f"{'ok' if is_over else 'not ok'} {len(CASES) + 2} - what it left running is ended")


main()
