"""What scripts/bench measures against: many processes, or many TCP connections and a fast HTTP server."""

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


subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
ready, what = sys.argv[1:3]
if what == "processes":
    processes(int(sys.argv[3]))
else:
    connections(int(sys.argv[3]), 20)
with open(ready, "w"):
    pass
if what == "processes":
    signal.pause()
serve(sys.argv[4])
