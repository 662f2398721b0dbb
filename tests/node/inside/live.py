"""live.py [no-kernel]    does the acts named on standard input; live.sh says what they are."""
import json
import os
import shlex
import shutil
import signal
import sys

import scenes_kernel
import scenes_web
from node import ADMINS, Node, run


class Live(Node):
    """Each method that starts with `do_` is one act; its arguments are the words of the line."""

    def tool(self, *command, **fields):
        with self.act("account", by="root", command=" ".join(command), **fields) as act:
            run(*command)
            act["outcome"] = "success"

    def in_session(self, kind, user, text, answers, expected, **fields):
        """A command typed in a session on a terminal, from the admins' network."""
        with self.act(kind, user=user, tty=True, cwd=f"/home/{user}", outcome=expected, **fields):
            shown = self.ssh(user, ADMINS + "5", command=text, tty=True, answers=answers)
        login = self.acts.pop(-2)
        self.acts[-1]["address"], self.acts[-1]["port"] = login["address"], login["port"]
        if ("success" if login["exit"] == 0 else "failure") != expected:
            raise RuntimeError(f"ended with {login['exit']}: {shown[-300:]}")

    def do_ssh_fail(self, user, address, times="1"):
        for _ in range(int(times)):
            self.ssh_try(user, address, ["not-the-password"])

    def do_ssh_ok(self, user, address, method="publickey"):
        self.ssh(user, address, method=method, tty=True)
        if self.acts[-1]["outcome"] != "success":
            raise RuntimeError("the login failed")

    def do_ssh_none(self, user, address):
        self.ssh_try(user, address, [""], method="none")

    def do_ssh_key_fail(self, user, address, times="1"):
        for _ in range(int(times)):
            self.ssh_try(user, address, [""], method="publickey")

    def do_sudo_ok(self, user, *command):
        self.in_session("sudo", user, "sudo " + shlex.join(command), [self.secrets[user]], "success", target="root", arguments=shlex.join(command))

    def do_sudo_fail(self, user, *command):
        self.in_session("sudo", user, "sudo " + shlex.join(command), ["a", "b", "c"], "failure", target="root", arguments=shlex.join(command))

    def do_sudo_not_in_sudoers(self, user, *command):
        text = shlex.join(command or ("id",))
        self.in_session("sudo", user, f"sudo {text}", [self.secrets[user]], "failure", target="root", arguments=text, reason="not in sudoers")

    def do_su_ok(self, user, target):
        self.in_session("su", user, f"su {shlex.quote(target)} -c true", [self.secrets[target]], "success", target=target)

    def do_su_fail(self, user, target):
        self.in_session("su", user, f"su {shlex.quote(target)} -c true", ["not-the-password"], "failure", target=target)

    def do_useradd(self, name):
        self.tool("useradd", "-m", "-s", "/bin/bash", name, user=name)

    def do_userdel(self, name):
        self.tool("userdel", "-r", name, user=name)

    def do_group_add(self, user, group):
        self.tool("usermod", "-aG", group, user, user=user, group=group)

    def do_group_del(self, user, group):
        self.tool("gpasswd", "-d", user, group, user=user, group=group)

    def do_http(self, path, address, *agent):
        scenes_web.ask(self, "nginx", scenes_web.NGINX, "request", path, address, agent=" ".join(agent) or scenes_web.BROWSER)

    def do_seccomp(self, name):
        scenes_kernel.process(self, name, "kill-process")

    def do_segfault(self, name):
        scenes_kernel.process(self, name, "segv")

    def do_log(self, tag, *text):
        with self.act("log", tag=tag, text=" ".join(text), outcome="success"):
            run("logger", "-t", tag, "--", " ".join(text))

    def do_rotate(self, name, how):
        path = f"{self.out}/{name}"
        with self.act("rotate", file=name, how=how, outcome="success"):
            if how == "rename":
                os.rename(path, f"{path}.1")
                for child in self.children:
                    if child.args[0] in ("rsyslogd", "nginx"):
                        child.send_signal(signal.SIGHUP if child.args[0] == "rsyslogd" else signal.SIGUSR1)
            elif how == "copytruncate":
                shutil.copyfile(path, f"{path}.1")
                os.truncate(path, 0)
            else:
                raise RuntimeError("rename or copytruncate is wanted")


def main():
    node = Live(os.environ.get("NODE_LOGS", "/out"), klog="no-kernel" not in sys.argv[1:])
    node.prepare()
    node.rsyslog()
    node.sshd(22, "PerSourcePenalties no" if node.newer else "")
    scenes_web.start(node, None, apache=False)
    print("ready", flush=True)
    for line in sys.stdin:
        words = shlex.split(line)
        if not words:
            continue
        if words[0] == "stop":
            break
        node.acts = []
        try:
            act = getattr(node, "do_" + words[0].replace("-", "_"), None)
            if not act:
                raise RuntimeError(f"{words[0]} is no act that live.sh lists")
            act(*words[1:])
            node.settle(0.3)
            print("ok", json.dumps(node.acts[0] if len(node.acts) == 1 else {"acts": node.acts}), flush=True)
        except Exception as error:  # the driver decides whether to go on
            print("error:", " ".join(str(error).split()) or type(error).__name__, flush=True)
    node.stop()
    print("ok", flush=True)


main()
