"""filtered.py NAME FAULT: a process called NAME that runs into a seccomp filter or a fault of its own.

FAULT is kill-process, kill-thread, trap, errno or log (a filter with that verdict on uname(2), asked to be logged), or segv,
gp, ud2, div, or eat (memory until the limit of its control group).
"""
import ctypes
import mmap
import os
import struct
import sys

name, fault = sys.argv[1].encode(), sys.argv[2]
libc = ctypes.CDLL(None, use_errno=True)
libc.prctl(15, name[:15], 0, 0, 0)  # PR_SET_NAME
VERDICTS = {"kill-process": 0x80000000, "kill-thread": 0, "trap": 0x00030000, "errno": 0x00050001, "log": 0x7FFC0000}
CODE = {"ud2": b"\x0f\x0b", "div": b"\x31\xc9\x31\xd2\xb8\x01\x00\x00\x00\xf7\xf1\xc3", "gp": b"\x48\xb8" + struct.pack("<Q", 0x8000DEADBEEF0000) + b"\x8b\x00\xc3"}
UNAME = 63  # on x86-64

if fault in VERDICTS:
    # Load the number of the call; if it is uname answer with the verdict, else allow.
    steps = struct.pack("<HBBIHBBIHBBIHBBI", 0x20, 0, 0, 0, 0x15, 0, 1, UNAME, 0x06, 0, 0, VERDICTS[fault], 0x06, 0, 0, 0x7FFF0000)
    held = ctypes.create_string_buffer(steps, len(steps))
    program = struct.pack("<HxxxxxxQ", 4, ctypes.addressof(held))
    libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    if libc.syscall(317, 1, 2, program) != 0:  # seccomp(SET_MODE_FILTER, FILTER_FLAG_LOG)
        sys.exit(f"no filter: {os.strerror(ctypes.get_errno())}")
    libc.syscall(UNAME, ctypes.create_string_buffer(512))
elif fault == "segv":
    ctypes.string_at(8)
elif fault in CODE:
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(CODE[fault])
    ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
elif fault == "eat":
    with open(sys.argv[3], "w") as group:
        group.write(str(os.getpid()))
    held = []
    while True:
        held.append(bytearray(b"x") * (1 << 20))
