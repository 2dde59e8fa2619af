#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""run.py - builds, runs every test and adds up what they say

What is run (a name is what ./test PATTERN is matched with):

    build/gcc                     a warning is an error
    ├─ who works, in the time that the others leave (nice):
    │  build/clang-asan           the same with sanitizers
    │  gate/...                   tools/check, a call for each gate
    │  unit/..., fuzz/...         what Meson lists in the sanitized build
    ├─ who waits, for peers of its own, more than it works:
    │  wire/..., rpc/..., client/..., cli/..., broker/..., gateway/..., supervisor/..., e2e/...
    │                             every file in tests/<folder>/ that may be executed and is called
    │                             test_* or *.sh or *.py; a few at a time
    └─ slow/...                   the same, all at once
    and when all these have ended, one at a time:
       sandbox/...                they look at what the machine has
       any file with a line "# alone: REASON"
    and once more, alone, those of the files which failed, if they are few

The last is for a machine that was busy for a moment, and hides nothing: what passes at its second try
is told of in the end, and is a test to mend.  Gates and unit tests have no second try.

Each is a program that speaks TAP: a plan "1..N" at its start or end, for each test "ok 1 - name"
or "not ok 1 - name", and "# SKIP reason" behind either the plan or an ok; what can't say a reason
there says it in the line before, "# unavailable: reason".  It is a failure besides: to print no
plan, to print fewer or more tests than planned, to die, and to take longer than FILE_SECONDS_MAX.
Its environment: CV_BUILD, the build directory; CV_COVE, the program; both absolute.  What it
leaves running in its own process group is killed.

A skip is always said aloud.  With CV_MUST_WORK=1 only a reason that starts with "unavailable:" (the
kernel or the machine has no such thing) is still a skip; any other counts as a failure.

The last line is "N passed, N failed", and ", N skipped" when there were any.
"""

import argparse
import concurrent.futures
import fnmatch
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
ASAN = ROOT / "build-asan"
COVE = BUILD / "src/cli/cove"
WAITING_FOLDERS = ("wire", "gateway", "e2e", "broker", "client", "rpc", "supervisor", "cli")
LONE_FOLDERS = ("sandbox",)
ALONE = re.compile(r"^(#|//) alone: \S", re.M)

WORK_NICE = 10  # of builds, gates and unit tests: whose clocks run come first

FILE_SECONDS_MAX = 180  # one file; a test that needs more should be two
SLOW_SECONDS_MAX = 400  # one in slow/: three minutes are what is tested there
AGAIN_FILES_MAX = 3  # failed and run again; if more did, it was not the machine
AGAIN_SECONDS_MAX = 240  # that they took together: the whole run is to stay under 20 minutes
OUTPUT_BYTES_MAX = 4 << 20  # kept of one file; more is a test gone wild
SHOWN_LINES_MAX = 60  # of a failed file's output

SANITIZER_ENV = {
    "ASAN_OPTIONS": "abort_on_error=0:detect_stack_use_after_return=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
}

POINT = re.compile(r"^(?P<not>not )?ok\b *(?P<number>\d+)? *(?:- *)?(?P<name>.*)$")
PLAN = re.compile(r"^1\.\.(?P<count>\d+) *(?:# *SKIP\b *(?P<skip>.*))?$", re.I)
SKIP = re.compile(r"(?:^|\s)# *SKIP\b:? *(?P<reason>.*)$", re.I)


class Test:
    """A program that speaks TAP, or a step with the same result."""

    def __init__(self, name, command, env=None, seconds=FILE_SECONDS_MAX, nice=0):
        self.name, self.command = name, [str(word) for word in command]
        self.env, self.seconds, self.nice = env or {}, seconds, nice


class Result:
    def __init__(self, name):
        self.name, self.seconds, self.output = name, 0.0, ""
        self.passed, self.failed, self.skipped = [], [], []  # names; skipped: (name, reason)

    def add_skip(self, name, reason):
        reason = reason.strip() or "no reason given"
        if os.environ.get("CV_MUST_WORK") == "1" and not reason.startswith("unavailable:"):
            self.failed.append(f"{name} (skipped, and may not be here: {reason})")
        else:
            self.skipped.append((name, reason))


def read_tap(result, output, status):
    """Adds the tests of one program's output; anything out of order is one failure more."""
    planned, seen, said = None, 0, None
    for line in output.splitlines():
        if plan := PLAN.match(line.rstrip()):
            planned = (planned or 0) + int(plan["count"])  # cmocka prints one for each group
            if plan["skip"] is not None and planned == 0:
                result.add_skip(result.name, plan["skip"])
        elif line.startswith("Bail out!"):
            result.failed.append(line)
        elif line.startswith("# unavailable:"):
            said = line[2:]
        elif point := POINT.match(line):
            seen += 1
            skip = SKIP.search(point["name"])
            name = SKIP.sub("", point["name"]).strip() or f"test {seen}"
            if skip and said:  # cmocka has the name where a reason should be
                result.add_skip(skip["reason"] or name, said)
            elif skip:  # also behind "not ok": so cmocka writes it, and TAP allows it
                result.add_skip(name, skip["reason"])
            elif point["not"]:
                result.failed.append(name)
            else:
                result.passed.append(name)
            said = None
    if planned is None:
        result.failed.append("printed no plan")
    elif seen != planned:
        result.failed.append(f"planned {planned} tests, ran {seen}")
    if status < 0:
        result.failed.append(f"died of {signal.Signals(-status).name}")
    elif status > 0 and not result.failed:
        result.failed.append(f"exited with {status}")


def end_group(group):
    """Whatever the file left running goes with it."""
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def nicely(nice, command):
    return ["nice", "-n", str(nice), *command] if nice else command


def run(test):
    result, started = Result(test.name), time.monotonic()
    env = os.environ | {"CV_BUILD": str(BUILD), "CV_COVE": str(COVE)} | test.env
    # A file, and no pipe: what a test that was ended leaves behind would hold a pipe open for ever.
    with tempfile.TemporaryFile() as output:
        try:
            child = subprocess.Popen(
                nicely(test.nice, test.command), cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True)
        except OSError as error:
            result.failed.append(f"cannot be run: {error}")
            return result
        timed_out = False
        try:
            child.wait(test.seconds)
        except subprocess.TimeoutExpired:
            timed_out = True
        finally:  # the user's Ctrl-C too
            end_group(child.pid)
            child.wait()
        output.seek(0)
        result.output = output.read(OUTPUT_BYTES_MAX).decode("utf-8", "backslashreplace")
    if timed_out:
        read_tap(result, result.output, 0)
        result.failed.append(f"took longer than {test.seconds} s and was ended")
    else:
        read_tap(result, result.output, child.returncode)
    result.seconds = time.monotonic() - started
    return result


def report(result):
    word = "FAIL" if result.failed else "ok  " if result.passed else "skip"
    counts = f"{len(result.passed)} passed"
    counts += f", {len(result.failed)} failed" if result.failed else ""
    counts += f", {len(result.skipped)} skipped" if result.skipped else ""
    text = [f"{word}  {result.name:<36} {counts}  ({result.seconds:.1f} s)"]
    text += [f"        skipped: {name}: {reason}" for name, reason in result.skipped]
    text += [f"        failed: {name}" for name in result.failed]
    if result.failed:
        lines = [line for line in result.output.splitlines() if not line.startswith("ok ")]
        if len(lines) > SHOWN_LINES_MAX:
            text.append(f"        | ... {len(lines) - SHOWN_LINES_MAX} lines before")
        text += [f"        | {line}" for line in lines[-SHOWN_LINES_MAX:]]
    print("\n".join(text) + "\n", end="", flush=True)  # one write: several threads report


def build(name, variant, nice=0):
    """A build as a test: it passed, or the compiler's words are its output.  On a terminal
    tools/build shows its progress itself, if nothing else is going on."""
    result, started = Result(name), time.monotonic()
    done = subprocess.run(nicely(nice, [ROOT / "tools/build", variant]), stdin=subprocess.DEVNULL,
                          stderr=None if sys.stderr.isatty() and not nice else subprocess.PIPE,
                          check=False)
    result.output = (done.stderr or b"").decode("utf-8", "backslashreplace")
    (result.passed if done.returncode == 0 else result.failed).append(f"tools/build {variant}")
    result.seconds = time.monotonic() - started
    return result


def gate_tests():
    """One for each gate, by the names that tools/check gives them."""
    listed = subprocess.run([ROOT / "tools/check", "--list"], capture_output=True, check=True)
    return [Test(name, [ROOT / "tools/check", name], nice=WORK_NICE)
            for name in listed.stdout.decode().split()]


def meson_tests():
    """What the sanitized build lists: the unit tests and the replays of the fuzz targets."""
    if not (ASAN / "meson-info/intro-tests.json").exists():
        return []
    listed = json.loads((ASAN / "meson-info/intro-tests.json").read_text())
    return [Test(entry["name"], entry["cmd"], entry["env"] | SANITIZER_ENV, nice=WORK_NICE)
            for entry in listed]


def script_tests(folders, seconds=FILE_SECONDS_MAX):
    for folder in folders:
        for path in sorted((ROOT / "tests" / folder).glob("*")):
            is_named = path.name.startswith("test_") or path.suffix in (".sh", ".py")
            if path.is_file() and is_named and os.access(path, os.X_OK):
                yield Test(f"{folder}/{path.name}", [path], seconds=seconds)


def is_alone(test):
    folder, _, name = test.name.partition("/")
    return folder in LONE_FOLDERS or ALONE.search((ROOT / "tests" / folder / name).read_text())


def matcher(patterns):
    def is_wanted(name):
        return not patterns or any(
            pattern in name or fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
    return is_wanted


def try_again(results, tests):
    """Runs the few of these tests that failed once more, alone; the second results replace the first.
    Returns a line for each that passes now."""
    first = [result for result in results if result.failed and result.name in tests]
    if len(first) > AGAIN_FILES_MAX or sum(result.seconds for result in first) > AGAIN_SECONDS_MAX:
        return []
    told = []
    for result in first:
        second = run(tests[result.name])
        results[results.index(result)] = second
        report(second)
        if not second.failed:
            told += [f"failed, and passed when tried again alone: {result.name}: {name}" for name in result.failed]
    return told


def main():
    parser = argparse.ArgumentParser(
        prog="./test", description="builds and tests everything, or what a pattern matches")
    parser.add_argument("-l", "--list", action="store_true", help="names only (after a build)")
    parser.add_argument("-j", "--jobs", type=int, default=min(4, os.cpu_count() or 1),
                        help="tests at a time that do not need the machine alone (default %(default)s)")
    parser.add_argument("pattern", nargs="*",
                        help="part of a name, or a glob: unit/base, gate/, '*.py', sandbox/test_fs.py")
    args = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's job has it ignored, and tests send it
    is_wanted = matcher(args.pattern)

    def wanted(tests):
        return [test for test in tests if is_wanted(test.name)]

    results, told = [], []

    def done(result):
        results.append(result)  # of several threads: an append is whole, and so is a write
        report(result)
        return not result.failed

    gates = wanted(gate_tests())
    scripts = wanted(script_tests(WAITING_FOLDERS + LONE_FOLDERS))
    slow = wanted(script_tests(["slow"], SLOW_SECONDS_MAX))
    lone = [test for test in scripts + slow if is_alone(test)]
    waiting, slow = ([test for test in some if test not in lone] for some in (scripts, slow))
    if args.list:
        for test in gates + wanted(meson_tests()) + waiting + slow + lone:
            print(test.name)
        return 0

    rest = iter(waiting)
    taking = threading.Lock()

    def take_rest():
        while True:
            with taking:
                test = next(rest, None)
            if not test:
                return
            done(run(test))

    def work():
        """Builds, gates and unit tests, and then what waits, too; returns how many the first were."""
        is_built = done(build("build/clang-asan", "asan", WORK_NICE))
        tests = gates + wanted(meson_tests() if is_built else [])
        with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
            for result in pool.map(run, tests):
                done(result)
            for _ in range(args.jobs):
                pool.submit(take_rest)
        return len(tests)

    def wait():
        with concurrent.futures.ThreadPoolExecutor(args.jobs + 1) as pool:
            for _ in range(args.jobs + 1):
                pool.submit(take_rest)

    if done(build("build/gcc", "tests")):
        with concurrent.futures.ThreadPoolExecutor(len(slow) + 2) as pool:
            working, waits = pool.submit(work), pool.submit(wait)
            asleep = [pool.submit(run, test) for test in slow]
            waits.result()
            count = working.result()
            for test in lone:
                done(run(test))
            for future in asleep:
                done(future.result())
        told = try_again(results, {test.name: test for test in waiting + slow + lone})
        if not count + len(waiting) + len(slow) + len(lone):
            missing = Result("(the pattern)")
            missing.failed.append("no test has a name like " + " or ".join(args.pattern))
            done(missing)

    if not args.pattern:
        print(subprocess.run([ROOT / "tools/check", "--longest"], capture_output=True, check=False)
              .stdout.decode(), end="")
    print("".join(f"{line}\n" for line in told), end="")
    passed, failed, skipped = (sum(len(getattr(r, kind)) for r in results)
                               for kind in ("passed", "failed", "skipped"))
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
