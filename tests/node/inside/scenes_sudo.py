"""Scenes of sudo and su, in sessions on a terminal that OpenSSH's client opened, and without a terminal."""
from node import ADMINS

PACKAGES = ["sudo", "util-linux", "libpam-modules", "openssh-server", "rsyslog"]

# Commands whose text tries to be read as other fields of sudo's line.
HOSTILE_COMMANDS = [
    "echo 'a ; USER=root ; COMMAND=/bin/true'", "echo 'x ; TTY=pts/9 ; PWD=/ ; USER=bob ; COMMAND=/usr/bin/id'", "echo 'user NOT in sudoers'",
    "echo '3 incorrect password attempts ; TTY=pts/0'", "echo 'command not allowed ; TTY=pts/0 ; PWD=/root ; USER=root ; COMMAND=/bin/sh'",
    "echo $'two\\nlines\\nNov 25 00:00:00 node-1 sudo: root : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/sh'", "echo 'ünïcode 名前' $'\\x1b[31m'",
    "echo \"double\" 'single' \\\\ back", "env A='b ; c' true", "echo " + "x" * 1500,
]


def sudo(node, user, text, outcome, answers=(), tty=True, target="root", address=ADMINS + "5", cwd=None, **more):
    """`sudo TEXT` typed in a session of the user."""
    login = f"cd {cwd} && sudo {text}" if cwd else f"sudo {text}"
    with node.act("sudo", user=user, target=target, tty=tty, cwd=cwd or f"/home/{user}", arguments=text, outcome=outcome, **more):
        shown = node.ssh(user, address, command=login, tty=tty, answers=answers)
    went = "success" if node.acts[-2]["exit"] == 0 else "failure"
    if went != outcome:
        raise RuntimeError(f"sudo {text} by {user}: {went}, not {outcome}: {shown}")


def commands(node):
    """sudo that is allowed: with a password, to another user, in another directory, without a terminal, listing."""
    secret = [node.secrets["ann"]]
    sudo(node, "ann", "id", "success", secret, command="/usr/bin/id")
    sudo(node, "ann", "ls -la /root", "success", secret, cwd="/var/log", command="/usr/bin/ls -la /root")
    sudo(node, "ann", "-u www-data id", "success", secret, target="www-data", command="/usr/bin/id")
    sudo(node, "ann", "-u bob -g adm id", "success", secret, target="bob", group="adm", command="/usr/bin/id")
    sudo(node, "ann", "-l", "success", secret, command="list")
    sudo(node, "ann", "-v", "success", secret, command="validate")
    sudo(node, "ann", "-i id", "success", secret, command="/bin/bash -c id")
    sudo(node, "ann", "-s id", "success", secret, command="/bin/bash -c id")
    sudo(node, "ann", "FOO=bar LC_ALL=C id", "success", secret, env="FOO=bar LC_ALL=C", command="/usr/bin/id")
    sudo(node, "ann", "sh -c 'id; id'", "success", secret, command="/usr/bin/sh -c 'id; id'")
    sudo(node, "ann", "-S id", "success", secret, tty=False, command="/usr/bin/id", note="password on standard input")
    sudo(node, "deploy", "/usr/sbin/nginx -t", "success", tty=False, command="/usr/sbin/nginx -t")
    sudo(node, "dave", "-u www-data whoami", "success", target="www-data", command="/usr/bin/whoami")
    sudo(node, "carol", "tail /var/log/dpkg.log", "success", [node.secrets["carol"]], command="/usr/bin/tail /var/log/dpkg.log")


def refused(node):
    """sudo that is not allowed: wrong passwords, no right at all, no right to this command or user, no terminal to ask on."""
    sudo(node, "ann", "id", "failure", ["a", "b", "c"], reason="3 wrong passwords", command="/usr/bin/id")
    sudo(node, "ann", "id", "success", ["a", node.secrets["ann"]], reason="1 wrong password, then the right one", command="/usr/bin/id")
    sudo(node, "bob", "id", "failure", [node.secrets["bob"]], reason="not in sudoers", command="/usr/bin/id")
    sudo(node, "bob", "cat /etc/shadow", "failure", [node.secrets["bob"]], cwd="/tmp", reason="not in sudoers", command="/usr/bin/cat /etc/shadow")
    sudo(node, "bob", "id", "failure", ["a", "b", "c"], reason="not in sudoers, 3 wrong passwords", command="/usr/bin/id")
    sudo(node, "bob", "-l", "failure", [node.secrets["bob"]], reason="not in sudoers", command="list")
    sudo(node, "bob", "-n id", "failure", tty=False, reason="a password is required", command="/usr/bin/id")
    sudo(node, "carol", "cat /etc/shadow", "failure", [node.secrets["carol"]], reason="command not allowed", command="/usr/bin/cat /etc/shadow")
    sudo(node, "carol", "-u bob id", "failure", [node.secrets["carol"]], target="bob", reason="command not allowed", command="/usr/bin/id")
    sudo(node, "deploy", "-n bash", "failure", tty=False, reason="command not allowed", command="/usr/bin/bash")
    sudo(node, "ann", "-u nobody-there id", "failure", [node.secrets["ann"]], target="nobody-there", reason="unknown user", command="/usr/bin/id")
    sudo(node, "ann", "no-such-command", "failure", [node.secrets["ann"]], reason="command not found", command="no-such-command")
    sudo(node, "erin", "-i", "failure", [node.secrets["erin"]], reason="not in sudoers", command="/bin/bash")


def hostile_commands(node):
    """Command text that an attacker chose to be read as other fields, allowed for ann and refused for bob."""
    for command in HOSTILE_COMMANDS:
        sudo(node, "ann", command, "success", [node.secrets["ann"]])
        sudo(node, "bob", command, "failure", [node.secrets["bob"]], reason="not in sudoers")
    with node.act("directory", user="bob", cwd="/tmp/a ; USER=root ; COMMAND=x", outcome="success"):
        node.ssh("bob", ADMINS + "5", command="mkdir '/tmp/a ; USER=root ; COMMAND=x'", tty=False)
    sudo(node, "bob", "id", "failure", [node.secrets["bob"]], cwd="'/tmp/a ; USER=root ; COMMAND=x'", reason="not in sudoers", command="/usr/bin/id")


def su(node):
    """su: to root and to another user, right and wrong, by root, and to a user that does not exist."""
    def turn(user, text, target, outcome, answers=(), **more):
        with node.act("su", user=user, target=target, tty=True, outcome=outcome, **more):
            shown = node.ssh(user, ADMINS + "5", command=text, tty=True, answers=answers)
        went = "success" if node.acts[-2]["exit"] == 0 else "failure"
        if went != outcome:
            raise RuntimeError(f"{text} by {user}: {went}, not {outcome}: {shown}")

    turn("ann", "su - -c id", "root", "success", [node.secrets["root"]])
    turn("ann", "su -c id", "root", "success", [node.secrets["root"]])
    turn("bob", "su - -c id", "root", "failure", ["wrong"], reason="wrong password")
    turn("bob", "su ann -c id", "ann", "success", [node.secrets["ann"]])
    turn("bob", "su ann -c id", "ann", "failure", ["wrong"], reason="wrong password")
    turn("bob", "su mallory -c id", "mallory", "failure", reason="no such user")
    turn("ann", "sudo su -c id", "root", "success", [node.secrets["ann"]], note="su by root, through sudo")
    turn("bob", "su 'root) by (uid=0' -c id", "root) by (uid=0", "failure", reason="no such user")


SCENES = [commands, refused, hostile_commands, su]
