#!/usr/bin/python3
"""Makes a pod through a container runtime's CRI, as a kubelet does, and prints its ids as JSON.

    cri.py SOCKET POD

POD is JSON: name, namespace, uid, pid (pod, container or node), image, containers (each name, args). The messages are
encoded by hand: field numbers from the CRI's api.proto, version v1. Needs python3-grpcio.
"""

import json
import sys
import time

import grpc

LIMIT = 15
MODES = {"pod": 0, "container": 1, "node": 2}


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def number(field, value):
    return varint(field << 3) + varint(value)


def data(field, value):
    value = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(value)) + value


def first_field(message):
    """Field 1 of an answer, which is a string or a message; None where it is empty."""
    if not message or message[0] != 0x0A:
        return None
    length, shift, at = 0, 0, 1
    while True:
        byte = message[at]
        at += 1
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return message[at : at + length]


def main():
    socket, pod = sys.argv[1], json.loads(sys.argv[2])
    # Go's server refuses the socket's path as the authority.
    channel = grpc.insecure_channel(f"unix://{socket}", options=[("grpc.default_authority", "localhost")])

    def call(service, method, message):
        return channel.unary_unary(f"/runtime.v1.{service}/{method}")(message, timeout=LIMIT)

    image = data(1, pod["image"])
    end = time.monotonic() + LIMIT
    # The plugin learns a little later of an image that was imported beside it.
    while first_field(call("ImageService", "ImageStatus", data(1, image))) is None:
        if time.monotonic() > end:
            sys.exit("the image did not reach the CRI plugin")
        time.sleep(0.05)

    # NamespaceOption: network and ipc stay the pod's.
    namespaces = number(2, MODES[pod["pid"]])
    metadata = data(1, pod["name"]) + data(2, pod["uid"]) + data(3, pod["namespace"])
    linux = data(1, f"/kubepods/burstable/pod{pod['uid']}") + data(2, data(1, namespaces))
    config = data(1, metadata) + data(2, pod["name"]) + data(8, linux)
    sandbox = first_field(call("RuntimeService", "RunPodSandbox", data(1, config)))
    ids = {}
    for container in pod["containers"]:
        spec = data(1, data(1, container["name"])) + data(2, image)
        spec += b"".join(data(4, arg) for arg in container["args"])
        spec += data(15, data(2, data(3, namespaces)))
        request = data(1, sandbox) + data(2, spec) + data(3, config)
        made = first_field(call("RuntimeService", "CreateContainer", request))
        call("RuntimeService", "StartContainer", data(1, made))
        ids[container["name"]] = made.decode()
    json.dump({"sandbox": sandbox.decode(), "containers": ids}, sys.stdout)


try:
    main()
except grpc.RpcError as error:
    sys.exit(f"{error.code().name}: {error.details()}")
