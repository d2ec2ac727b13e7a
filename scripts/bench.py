"""Alternating runs of nsdbg and its peers; called by scripts/bench."""

import os
import signal
import statistics
import subprocess
import sys
import time

check = sys.argv[1] == "--check"
nsdbg, work, pid, processes, sockets, container = sys.argv[2:] if check else sys.argv[1:]
many, big, files, source = (work + "/root/data/" + name for name in ("many", "big", "files", "source"))


def ours(pid, *command):
    return [nsdbg, "--pid", pid, "--", *command]


def inside(pid, *command):
    return ["nsenter", "-a", "-t", pid, *command]


environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC", "TERM": "dumb"}


def run(command, to):
    """Seconds of one run; output to /dev/null, to a pipe that is read and dropped, or to a new file."""
    out = {"null": subprocess.DEVNULL, "pipe": subprocess.PIPE}.get(to) or open(work + "/out", "wb")
    begin = time.perf_counter()
    child = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL, env=environment)
    if to == "pipe":
        buffer = bytearray(1 << 20)
        while os.readv(child.stdout.fileno(), [buffer]):
            pass
        child.stdout.close()
    status = child.wait(timeout=120)
    seconds = time.perf_counter() - begin
    if to == "file":
        os.unlink(work + "/out")
    # What is not found is no failure.
    if status != 0 and not (status == 1 and "grep" in command):
        sys.exit(f"bench: {' '.join(command)} ended with status {status}")
    return seconds


ls, ps, url = ours(pid, "ls", "/"), ours(processes, "ps"), "http://127.0.0.1:8080/"
# What, ours, peer, runs, output, at most, goal.
cases = [
    ("one-shot ls / : nsenter busybox", ls, inside(pid, "/busybox", "ls", "/"), 100, "null", 1.0, 0.75),
    ("ls -l of 100,000 files : GNU ls", ours(pid, "ls", "-l", "/data/many"), ["ls", "-l", many], 7, "pipe", 0.7, 0.5),
    ("ls of 100,000 files : GNU ls", ours(pid, "ls", "/data/many"), ["ls", many], 9, "pipe", 0.7, 0.5),
    ("cat of 1 GiB to a pipe : GNU cat", ours(pid, "cat", "/data/big"), ["cat", big], 7, "pipe", 0.6, 0.2),
    ("cat of 1 GiB to a file : GNU cat", ours(pid, "cat", "/data/big"), ["cat", big], 11, "file", 1.2, None),
    ("find -name, 200,000 files : GNU find", ours(pid, "find", "/data/files", "-name", "*7.c"), ["find", files, "-name", "*7.c"], 11, "pipe", 0.8, 0.6),
    ("grep -r of 20,000 files : GNU grep", ours(pid, "grep", "-r", "wanted_[0-9]*", "/data/source"), ["grep", "-r", "wanted_[0-9]*", source], 11, "pipe", 0.8, 0.6),
    ("grep of 1 GiB, no match : GNU grep", ours(pid, "grep", "-a", "wanted here", "/data/big"), ["grep", "-a", "wanted here", big], 5, "pipe", 0.8, None),
    ("ps of 10,000 processes : busybox ps", ps, inside(processes, "busybox", "ps"), 7, "pipe", 0.8, 0.6),
    ("ps of 10,000 processes : ps -ef", ps, inside(processes, "ps", "-ef"), 9, "pipe", 0.3, None),
    ("netstat -tan, 18,000 sockets : ss", ours(sockets, "netstat", "-tan"), inside(sockets, "ss", "-tan"), 15, "pipe", 0.8, 0.6),
    ("netstat -tanp, same : ss", ours(sockets, "netstat", "-tanp"), inside(sockets, "ss", "-tanp"), 9, "pipe", 0.5, None),
    ("http get of 1 GiB, dropped : curl", ours(sockets, "http", "get", url), inside(sockets, "curl", "-s", url), 15, "null", 1.0, 0.6),
]
if container:
    ls = ours(subprocess.run(["podman", "inspect", "-f", "{{.State.Pid}}", container], capture_output=True, check=True, text=True).stdout.strip(), "ls", "/")
    command = ["exec", container, "/busybox", "ls", "/"]
    cases += [
        ("one-shot ls / : runc exec", ls, ["runc", *command], 20, "null", 1 / 15, None),
        ("one-shot ls / : podman exec", ls, ["podman", *command], 10, "null", 1 / 50, None),
        ("--list, 200 containers : podman ps -a", [nsdbg, "--host-root", work + "/host", "--list"], ["podman", "ps", "-a"], 15, "pipe", 0.6, 0.3),
    ]


def shown(bound):
    return f"{bound:5.3f}" if bound else "    -"


failed = False
print(f"{'what':36} {'nsdbg ms':>9} {'peer ms':>9} {'ratio':>6} {'most':>5} {'goal':>5}")
for name, mine, peer, runs, to, most, goal in cases:
    if "--list" in mine:
        # The list is of the containers' own 10,000 processes.
        os.kill(int(processes), signal.SIGKILL)
        time.sleep(2)
    run(mine, to), run(peer, to)
    pairs = [(run(mine, to), run(peer, to)) for _ in range(runs)]
    mine, theirs = (statistics.median(column) for column in zip(*pairs))
    ratio = statistics.median(a / b for a, b in pairs)
    verdict = "" if most is None or ratio <= most else " above"
    failed |= verdict != ""
    print(f"{name:36} {mine * 1000:9.1f} {theirs * 1000:9.1f} {ratio:6.3f} {shown(most)} {shown(goal)}{verdict}")
sys.exit(1 if failed and check else 0)
