"""Scenes of the kernel's own log: seccomp verdicts, faults, a full control group, a listening interface, a SYN flood."""
import os
import shutil
import socket
import struct
import subprocess
import time

from node import NODE4, run

PACKAGES = ["rsyslog", "python3"]
NEEDS_SSHD = False
KLOG = True

# Program names: comm holds 15 bytes of them, and audit writes a name with a quote, a blank or a high byte as hex.
NAMES = ["exploit", "runc", "a b", 'q" exe="sh', "über", "very-long-name-of-a-program"]


def process(node, name, fault, user="ann", *more):
    """Runs a copy of the interpreter under the name, as the user."""
    path = f"/usr/local/bin/{name}"
    shutil.copy("/usr/bin/python3", path)
    identity = {"ann": 1000, "root": 0}[user]
    with node.act("process", name=name, exe=path, fault=fault, user=user, uid=identity) as act:
        done = subprocess.run([path, "/scripts/filtered.py", name, fault, *more], user=identity, group=identity, extra_groups=[], capture_output=True)
        act["status"] = done.returncode
    time.sleep(0.2)
    if done.returncode == 1:
        raise RuntimeError(done.stderr.decode())


def seccomp(node):
    """Programs under a seccomp filter call what it forbids: killed, trapped, refused, only logged; names of an attacker's choice."""
    for fault in ("kill-process", "kill-thread", "trap", "errno", "log"):
        process(node, "exploit", fault)
    process(node, "runc", "kill-process", "root")
    for name in NAMES[2:]:
        process(node, name, "errno")


def faults(node):
    """Faults that the kernel reports: a segment violation, a protection fault, an illegal instruction, a division by nought."""
    time.sleep(6)  # the kernel reports at most ten of them in five seconds, whoever runs into them
    for fault in ("segv", "gp", "ud2", "div"):
        process(node, "exploit", fault)
        process(node, 'q" exe="sh', fault, "root")


def memory(node):
    """A control group runs out of memory and the kernel kills in it."""
    group = f"/sys/fs/cgroup/memory/node-{os.getpid()}"
    os.mkdir(group)
    try:
        with open(f"{group}/memory.limit_in_bytes", "w") as file:
            file.write(str(24 << 20))
        os.chmod(f"{group}/cgroup.procs", 0o666)
        process(node, "hungry", "eat", "root", f"{group}/cgroup.procs")
        time.sleep(0.5)
    finally:
        os.rmdir(group)


def network(node):
    """An interface starts to listen to everything, a bridge is made, a SYN flood meets a small queue."""
    with node.act("promiscuous", interface="veth0", outcome="success"):
        run("ip", "link", "add", "veth0", "type", "veth", "peer", "name", "veth1")
        run("ip", "link", "set", "veth0", "up")
        run("ip", "link", "set", "veth1", "up")
        run("ip", "link", "set", "veth0", "promisc", "on")
        run("ip", "link", "set", "veth0", "promisc", "off")
    with node.act("bridge", interface="cni0", outcome="success"):
        run("ip", "link", "add", "cni0", "type", "bridge", check=False)
        run("ip", "link", "set", "veth1", "master", "cni0", check=False)
        run("ip", "link", "set", "cni0", "up", check=False)
        run("ip", "link", "set", "veth1", "nomaster", check=False)
    # Addresses behind veth0 where nobody answers, so that half-open connections stay half-open.
    run("ip", "addr", "add", "10.99.0.1/16", "dev", "veth0")
    run("ip", "link", "set", "veth0", "arp", "off")
    with node.act("syn-flood", port=8080, packets=24, outcome="success"):
        listener = socket.socket()
        listener.bind((NODE4, 8080))
        listener.listen(1)
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        for number in range(24):
            raw.sendto(syn(f"10.99.1.{number + 1}", NODE4, 1024 + number, 8080), (NODE4, 0))
            time.sleep(0.01)
        time.sleep(0.3)
        listener.close()


def syn(source, target, source_port, port):
    """An IPv4 packet with a TCP SYN."""
    def checksum(octets):
        total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        return ~total & 0xFFFF
    ends = socket.inet_aton(source) + socket.inet_aton(target)
    segment = struct.pack("!HHIIBBHHH", source_port, port, 1, 0, 5 << 4, 2, 1024, 0, 0)
    total = checksum(ends + struct.pack("!BBH", 0, 6, len(segment)) + segment)
    segment = segment[:16] + struct.pack("!H", total) + segment[18:]
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(segment), 1, 0, 64, 6, 0) + ends + segment


SCENES = [seccomp, faults, memory, network]
