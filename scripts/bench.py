"""Alternating runs of nsdbg and its peers; called by scripts/bench."""

import os
import statistics
import subprocess
import sys
import time

check = sys.argv[1] == "--check"
nsdbg, pid, many, big = sys.argv[2:] if check else sys.argv[1:]
enter = [nsdbg, "--pid", pid, "--"]
inside = ["nsenter", "-a", "-t", pid]
environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC", "TERM": "dumb"}


def run(command, to_pipe):
    """Seconds of one run; output to a pipe that is read and dropped, or to /dev/null."""
    begin = time.perf_counter()
    if to_pipe:
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)
        buffer = bytearray(1 << 20)
        while child.stdout.readinto1(buffer) if hasattr(child.stdout, "readinto1") else child.stdout.readinto(buffer):
            pass
        child.stdout.close()
        status = child.wait(timeout=120)
    else:
        status = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment, timeout=120).returncode
    if status != 0:
        sys.exit(f"bench: {' '.join(command)} ended with status {status}")
    return time.perf_counter() - begin


# What, ours, peer, runs, pipe, at most, goal.
cases = [
    ("one-shot ls / : nsenter busybox", enter + ["ls", "/"], inside + ["/busybox", "ls", "/"], 100, False, 1.0, 0.75),
    ("ls -l of 100,000 files : GNU ls", enter + ["ls", "-l", "/data/many"], ["ls", "-l", many], 7, True, 0.7, 0.5),
    ("ls of 100,000 files : GNU ls", enter + ["ls", "/data/many"], ["ls", many], 9, True, 0.7, 0.5),
    ("cat of 1 GiB to a pipe : GNU cat", enter + ["cat", "/data/big"], ["cat", big], 5, True, 0.6, 0.2),
]
failed = False
print(f"{'what':36} {'nsdbg ms':>9} {'peer ms':>9} {'ratio':>6} {'most':>5} {'goal':>5}")
for name, ours, peer, runs, to_pipe, most, goal in cases:
    run(ours, to_pipe), run(peer, to_pipe)
    pairs = [(run(ours, to_pipe), run(peer, to_pipe)) for _ in range(runs)]
    mine, theirs = (statistics.median(column) for column in zip(*pairs))
    ratio = statistics.median(a / b for a, b in pairs)
    verdict = "" if most is None or ratio <= most else " above"
    failed |= verdict != ""
    print(f"{name:36} {mine * 1000:9.1f} {theirs * 1000:9.1f} {ratio:6.2f} {most or '-':>5} {goal or '-':>5}{verdict}")
sys.exit(1 if failed and check else 0)
