"""play.py SUITE GROUP…    plays the scenes of the groups (sshd, sudo, accounts, cron, kernel, web) and leaves each below /out."""
import importlib
import os
import shutil
import sys
import time

from node import Node

suite, groups = sys.argv[1], sys.argv[2:]
wanted = os.environ.get("SCENE")


for group in groups:
    module = importlib.import_module(f"scenes_{group}")
    node = Node(klog=getattr(module, "KLOG", False), **getattr(module, "CLOCK", {}))
    node.prepare()
    node.rsyslog()
    more = "PerSourcePenalties no" if node.newer else ""  # all scenes but one want to see each failure
    if getattr(module, "NEEDS_SSHD", True):
        node.sshd(22, more)
    module_start = getattr(module, "start", None)
    if module_start:
        module_start(node, more)
    for scene in module.SCENES:
        name = f"{group}-{scene.__name__.replace('_', '-')}".removesuffix("-main")
        if wanted and wanted != name:
            continue
        began = time.monotonic()
        into = f"/out/{suite}/{name}"
        shutil.rmtree(into, ignore_errors=True)
        with node.scene(into, scene.__doc__.strip(), module.PACKAGES):
            scene(node)
        if node.acts:
            print(f"{suite}/{name}: {len(node.acts)} acts, {time.monotonic() - began:.0f} s", flush=True)
    node.stop()
