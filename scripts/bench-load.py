"""What scripts/bench measures against: many processes, many containers, or many TCP connections and a fast HTTP server."""

import ctypes
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading


def processes(count):
    """This many children that do nothing, of a size like a small program's."""
    for _ in range(count):
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            while True:
                signal.pause()


def containers(count, each, root):
    """So many containers of so many processes: namespaces and cgroups as Docker has them, and its state files."""
    libc = ctypes.CDLL(None, use_errno=True)
    hierarchies = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup/pids", "/sys/fs/cgroup"]
    base = next(path for path in hierarchies if os.path.exists(path + "/cgroup.procs")) + "/nsdbg-test-bench"
    os.makedirs(base + "/docker", exist_ok=True)
    own = os.open("/proc/self/ns/pid", os.O_RDONLY)
    for number in range(count):
        name = f"{number:064x}"
        cgroup = f"{base}/docker/{name}"
        os.makedirs(cgroup, exist_ok=True)
        with open(cgroup + "/cgroup.procs", "w") as procs:
            procs.write(str(os.getpid()))
        reader, writer = os.pipe()
        # CLONE_NEWPID, for the next child alone.
        libc.unshare(0x20000000)
        pid = os.fork()
        if pid == 0:
            # PR_SET_PDEATHSIG; CLONE_NEWNS, NEWIPC, NEWNET.
            libc.prctl(1, signal.SIGKILL)
            if libc.unshare(0x00020000 | 0x08000000 | 0x40000000) != 0:
                os._exit(1)
            for _ in range(each - 1):
                if os.fork() == 0:
                    while True:
                        signal.pause()
            os.write(writer, b"x")
            while True:
                signal.pause()
        libc.setns(own, 0x20000000)
        os.close(writer)
        os.read(reader, 1)
        os.close(reader)
        state = f"{root}/var/lib/docker/containers/{name}"
        os.makedirs(state)
        with open(state + "/config.v2.json", "w") as file:
            config = {"Image": "web:1", "Labels": {f"label-{i}": "x" * 40 for i in range(20)}}
            json.dump({"ID": name, "Name": f"/web-{number}", "State": {"Running": True, "Pid": pid}, "Config": config}, file)
    with open(base + "/cgroup.procs", "w") as procs:
        procs.write(str(os.getpid()))


def connections(count, holders):
    """This many sockets, both ends of connections over loopback, held by so many processes."""
    each = count // 2 // holders
    resource.setrlimit(resource.RLIMIT_NOFILE, (2 * each + 100, 2 * each + 100))
    for _ in range(holders):
        reader, writer = os.pipe()
        if os.fork() == 0:
            listener = socket.create_server(("127.0.0.1", 0), backlog=128)
            held = [listener]
            for _ in range(each):
                held.append(socket.create_connection(listener.getsockname()))
                held.append(listener.accept()[0])
            os.write(writer, b"x")
            while True:
                signal.pause()
        os.read(reader, 1)


def serve(path):
    """Answers every connection on port 8080 with the file."""
    listener = socket.create_server(("127.0.0.1", 8080), backlog=128)
    while True:
        peer = listener.accept()[0]

        def answer(peer):
            with peer, open(path, "rb") as body:
                peer.recv(65536)
                size = os.fstat(body.fileno()).st_size
                peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % size)
                peer.sendfile(body)

        threading.Thread(target=answer, args=(peer,), daemon=True).start()


ready, what, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
if what == "processes":
    processes(count)
elif what == "containers":
    containers(count, 50, sys.argv[4])
else:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    connections(count, 20)
with open(ready, "w"):
    pass
if what == "sockets":
    serve(sys.argv[4])
signal.pause()
