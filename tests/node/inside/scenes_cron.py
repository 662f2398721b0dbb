"""Scenes of cron: tables put in, jobs run each minute by root and by a user, a job that fails."""
import time

from node import run

PACKAGES = ["cron", "rsyslog"]
NEEDS_SSHD = False


def jobs(node):
    """Two users' tables, /etc/cron.d and a reboot job; jobs run over two minutes."""
    with open("/etc/cron.d/health", "w") as file:
        file.write("* * * * * root test -x /usr/local/bin/health && /usr/local/bin/health\n")
    with node.act("crontab", user="ann", what="replace", outcome="success"):
        run("runuser", "-u", "ann", "--", "crontab", "-", input=b"* * * * * /bin/true # token=not-a-secret\n@reboot /bin/true\n")
    with node.act("crontab", user="root", target="bob", what="replace", outcome="success"):
        run("crontab", "-u", "bob", "-", input=b"* * * * * echo 'a (root) CMD (x)' >/dev/null; false\n")
    with node.act("crontab", user="ann", what="list", outcome="success"):
        run("runuser", "-u", "ann", "--", "crontab", "-l")
    with node.act("cron-jobs", users=["root", "ann", "bob"], minutes=2, outcome="success"):
        node.spawn("cron", "-f", "-L", "5")
        time.sleep(121)
    with node.act("crontab", user="root", target="bob", what="delete", outcome="success"):
        run("crontab", "-u", "bob", "-r")


SCENES = [jobs]
