"""A scene over the turn of a year, whose RFC 3164 stamps name none; the clocks of rsyslogd and nginx run ten times as fast."""
import datetime
import time

import scenes_web
from node import ADMINS

PACKAGES = ["openssh-server", "rsyslog", "nginx-light", "libfaketime"]
CLOCK = {"start": datetime.datetime(2026, 12, 31, 23, 59, 0, tzinfo=datetime.timezone.utc), "speed": 10}


def start(node, _more):
    scenes_web.start(node, None, apache=False)


def turn(node):
    """Logins and requests from the last minute of 2026 into the first ones of 2027."""
    while node.instant() < datetime.datetime(2027, 1, 1, 0, 1, tzinfo=datetime.timezone.utc):
        node.ssh_try("bob", "203.0.113.10", ["winter"], reason="wrong password")
        scenes_web.ask(node, "nginx", scenes_web.NGINX, "page", "/", "198.51.100.10")
        time.sleep(0.4)
    node.ssh("ann", ADMINS + "5")


SCENES = [turn]
