"""Scenes of accounts and groups: shadow's own tools and Debian's adduser, by root itself and through sudo."""
from node import ADMINS, run

PACKAGES = ["passwd", "adduser", "login", "sudo", "rsyslog"]


def do(node, *command, ok=True, input=None, **fields):
    """One tool, run by root at no terminal."""
    more = {"input": input.encode()} if input else {}
    with node.act("account", by="root", command=" ".join(command), **fields) as act:
        code = run(*command, check=False, **more).returncode
        act["exit"], act["outcome"] = code, "success" if code == 0 else "failure"
    if ok != (code == 0):
        raise RuntimeError(f"{command} ended with {code}")


def users(node):
    """Accounts made, changed and removed."""
    do(node, "useradd", "-m", "-s", "/bin/bash", "mallory", user="mallory")
    do(node, "useradd", "-r", "-s", "/usr/sbin/nologin", "-d", "/var/lib/agent", "agent", user="agent", note="system account")
    do(node, "useradd", "-m", "-u", "4242", "-g", "users", "-G", "adm,sudo", "-c", "Trent Hill", "trent", user="trent", groups=["adm", "sudo"])
    do(node, "useradd", "-m", "mallory", ok=False, user="mallory", reason="exists")
    do(node, "useradd", "-o", "-u", "0", "-g", "0", "-M", "-s", "/bin/bash", "toor", user="toor", uid=0)
    do(node, "usermod", "-u", "0", "-o", "mallory", user="mallory", uid=0)
    do(node, "userdel", "-f", "mallory", user="mallory")
    do(node, "useradd", "-m", "niaj", user="niaj")
    do(node, "usermod", "-u", "5000", "niaj", user="niaj", uid=5000)
    do(node, "usermod", "-l", "oscar", "-d", "/home/oscar", "-m", "niaj", user="niaj", renamed="oscar")
    do(node, "usermod", "-s", "/bin/sh", "-c", "Oscar", "oscar", user="oscar")
    do(node, "usermod", "-e", "2030-01-01", "oscar", user="oscar")
    do(node, "chpasswd", user="oscar", input="oscar:not-a-secret-9\n")
    do(node, "usermod", "-L", "oscar", user="oscar")
    do(node, "usermod", "-p", "*", "oscar", user="oscar")
    do(node, "chsh", "-s", "/bin/bash", "oscar", user="oscar")
    do(node, "chfn", "-f", "Oscar O", "oscar", user="oscar")
    do(node, "userdel", "-r", "oscar", user="oscar")
    do(node, "userdel", "-f", "toor", user="toor")
    do(node, "userdel", "nobody-there", ok=False, user="nobody-there", reason="no such user")
    do(node, "adduser", "--quiet", "--disabled-password", "--gecos", "Peggy", "peggy", user="peggy")
    do(node, "adduser", "--quiet", "--system", "--group", "--home", "/nonexistent", "--no-create-home", "collectd", user="collectd")
    do(node, "deluser", "--quiet", "peggy", user="peggy")
    do(node, "newusers", user="victor", input="victor:not-a-secret:4300:4300:Victor:/home/victor:/bin/bash\n")


def groups(node):
    """Groups made, changed and removed; members added to privileged ones by each tool that can."""
    do(node, "groupadd", "operators", group="operators")
    do(node, "groupadd", "-r", "-g", "910", "docker", group="docker", gid=910)
    do(node, "groupadd", "docker", ok=False, group="docker", reason="exists")
    do(node, "usermod", "-aG", "sudo", "bob", user="bob", group="sudo", privileged=True)
    do(node, "usermod", "-aG", "docker,adm", "bob", user="bob", group="docker,adm", privileged=True)
    do(node, "usermod", "-G", "operators", "bob", user="bob", group="operators", removed="sudo,docker,adm")
    do(node, "gpasswd", "-a", "bob", "sudo", user="bob", group="sudo", privileged=True)
    do(node, "gpasswd", "-d", "bob", "sudo", user="bob", group="sudo", removed="sudo")
    do(node, "gpasswd", "-A", "carol", "operators", user="carol", group="operators")
    do(node, "gpasswd", "-M", "bob,carol", "docker", user="bob,carol", group="docker", privileged=True)
    do(node, "adduser", "--quiet", "bob", "sudo", user="bob", group="sudo", privileged=True)
    do(node, "deluser", "--quiet", "bob", "sudo", user="bob", group="sudo", removed="sudo")
    do(node, "usermod", "-g", "root", "dave", user="dave", group="root", privileged=True)
    do(node, "groupmod", "-n", "crew", "operators", group="operators", renamed="crew")
    do(node, "groupmod", "-g", "4999", "crew", group="crew", gid=4999)
    do(node, "groupdel", "crew", group="crew")
    do(node, "groupdel", "docker", group="docker")


def passwords(node):
    """Passwords set by root and by the user, locked, unlocked, aged."""
    do(node, "chpasswd", user="bob", input="bob:not-a-secret-either\n")
    node.secrets["bob"] = "not-a-secret-either"
    with node.act("account", by="bob", command="passwd", user="bob", outcome="success"):
        node.ssh("bob", ADMINS + "5", command="passwd", tty=True, answers=[node.secrets["bob"], "Walks-9-miles", "Walks-9-miles"])
    with node.act("account", by="bob", command="passwd", user="bob", outcome="failure", reason="wrong current password"):
        node.ssh("bob", ADMINS + "5", command="passwd", tty=True, answers=["wrong"])
    do(node, "passwd", "-l", "bob", user="bob")
    do(node, "passwd", "-u", "bob", user="bob")
    do(node, "passwd", "-e", "bob", user="bob")
    do(node, "passwd", "-d", "carol", user="carol", note="no password at all")
    do(node, "chage", "-E", "2031-01-01", "-M", "90", "bob", user="bob")
    do(node, "chage", "-l", "bob", user="bob")
    node.ssh("bob", ADMINS + "5", command="true", note="password expired by root: asked for a new one")


def by_sudo(node):
    """An admin makes an account, gives it a password and root's rights, through sudo on a terminal."""
    for command in ["useradd -m -s /bin/bash walter", "usermod -aG sudo walter", "gpasswd -a walter adm", "passwd -l walter", "userdel -r walter"]:
        with node.act("account", by="ann", through="sudo", command=command, user="walter", outcome="success"):
            node.ssh("ann", ADMINS + "5", command=f"sudo {command}", tty=True, answers=[node.secrets["ann"]])


SCENES = [users, groups, passwords, by_sudo]
