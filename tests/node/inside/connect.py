"""connect.py SOURCE SOURCE_PORT HOST PORT: connects from the given address and port and hands the socket to ssh.

A ProxyCommand for `ProxyUseFdpass yes`: so OpenSSH's own client speaks from an address of our choice, and the recording's
truth knows the port without reading it from the log.
"""
import socket
import sys

source, source_port, host, port = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
family = socket.AF_INET6 if ":" in source else socket.AF_INET
peer = socket.socket(family, socket.SOCK_STREAM)
peer.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
peer.bind((source, source_port))
peer.connect((host, port))
out = socket.socket(fileno=1)
socket.send_fds(out, [b"\0"], [peer.fileno()])
