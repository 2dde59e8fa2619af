# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks share: timing of commands side by side, quantiles, tables, results as JSON.

Every comparison interleaves its subjects (A B C A B C …), so that a noisy minute hits all of them,
and is read as a ratio of the same run, never as an absolute number."""
import json
import os
import platform
import shutil
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
COVE = os.environ.get("CV_COVE", os.path.join(ROOT, "build/src/cli/cove"))


def quantile(values, q):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


def spawn_wait(argv, env=None):
    """Seconds from spawn to exit.  posix_spawn uses vfork: the parent's size does not count."""
    null = os.open(os.devnull, os.O_RDWR)
    actions = [(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, null, 1),
               (os.POSIX_SPAWN_DUP2, null, 2)]
    start = time.perf_counter()
    pid = os.posix_spawn(argv[0], argv, env or dict(os.environ), file_actions=actions)
    _, status = os.waitpid(pid, 0)
    took = time.perf_counter() - start
    os.close(null)
    return took, os.waitstatus_to_exitcode(status)


def side_by_side(subjects, rounds, warmup=5):
    """subjects: {name: argv}.  Returns {name: [seconds]}; one that fails is left out, aloud."""
    times = {}
    for name, argv in list(subjects.items()):
        for _ in range(warmup):
            _, status = spawn_wait(argv)
        if status != 0:
            print(f"# {name} left out: exit status {status} of {' '.join(argv)}", file=sys.stderr)
            del subjects[name]
        else:
            times[name] = []
    for _ in range(rounds):
        for name, argv in subjects.items():
            took, _ = spawn_wait(argv)
            times[name].append(took)
    return times


def table(title, head, rows):
    widths = [max(len(str(r[i])) for r in [head, *rows]) for i in range(len(head))]
    line = lambda r: "| " + " | ".join(str(c).ljust(widths[i]) for i, c in enumerate(r)) + " |"
    print(f"\n### {title}\n\n{line(head)}\n|" + "|".join("-" * (w + 2) for w in widths) + "|")
    for r in rows:
        print(line(r))


def which(name):
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def save(name, data):
    """results/NAME.json below bench/ (not tracked); numbers of one machine are nobody else's."""
    directory = os.path.join(ROOT, "build", "bench")
    os.makedirs(directory, exist_ok=True)
    data["machine"] = {"kernel": platform.release(), "cpus": os.cpu_count()}
    with open(os.path.join(directory, name + ".json"), "w", encoding="utf-8") as f:
        json.dump(data, f, indent=1)
