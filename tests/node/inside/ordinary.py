"""ordinary.py HOURS SPEED    ordinary life of a node: admins at work, jobs, packages, a web site; nothing of it is an attack.

The daemons are real. Only the clock of those that write the stamps (rsyslogd, nginx, cron, dpkg) runs SPEED times as fast, by
libfaketime, so that more than a day fits into minutes; stamps stay those that the daemons wrote. Kubelet and its containers live at
their own pace.
"""
import collections
import datetime
import gzip
import http.client
import json
import os
import random
import re
import shutil
import sys
import threading
import time
import traceback

import kubelet
import scenes_web
from node import ADMINS, FAKETIME, NODE4, NODE6, RELEASE, Node, run, version

HOURS, SPEED = float(sys.argv[1]), int(sys.argv[2])
START = datetime.datetime(2026, 11, 2, 6, 0, 0, tzinfo=datetime.timezone.utc)
chance = random.Random(20261102)


class Ordinary(Node):
    def __init__(self):
        super().__init__("/out/current", start=START, speed=SPEED)
        self.done = collections.Counter()

    def over(self):
        return self.instant() >= START + datetime.timedelta(hours=HOURS)

    def hour(self):
        return self.instant().hour


def pause(mean):
    """Simulated seconds, as in a stream of independent events."""
    time.sleep(min(chance.expovariate(1 / mean), mean * 4) / SPEED)


# Commands of admins: (text typed in a session, how often).
WORK = [
    ("sudo systemctl status nginx", 6), ("sudo journalctl -u kubelet --since today", 4), ("sudo tail -n 50 /var/log/syslog", 5), ("sudo nginx -t", 3), ("sudo apt-get check", 2),
    ("sudo cat /etc/kubernetes/kubelet.conf", 1), ("sudo ss -tlnp", 3), ("sudo crictl ps", 4), ("sudo -l", 1), ("sudo -u www-data ls /var/www/html", 2), ("sudo df -h", 3),
    ("sudo dmesg", 1), ("sudo chown -R www-data:www-data /var/www/html", 1), ("sudo service nginx reload", 1), ("sudo -i true", 1), ("sudo cat /var/log/auth.log", 1),
    ("sudo vi /etc/nginx/nginx.conf", 1), ("sudo du -sh /var/lib", 2), ("sudo ls /root", 1), ("sudo chage -l bob", 1),
]
ADDRESSES = {"ann": ADMINS + "5", "frank": ADMINS + "6", "grace": "2001:db8:2::a", "bob": ADMINS + "8", "erin": ADMINS + "9"}


def people(node):
    """Admins by key and sudo, bob and erin by password with the odd slip, deployments and backups by key."""
    texts, weights = zip(*WORK)
    while not node.over():
        pause(110 if 7 <= node.hour() < 19 else 260)
        who = chance.choices(["admin", "password", "deploy", "backup", "probe", "su"], [40, 22, 18, 14, 5, 4])[0]
        if who == "admin":
            user = chance.choice(["ann", "frank", "grace"])
            slip = ["slpi"] if chance.random() < 0.04 else []
            commands = "; ".join(chance.choices(texts, weights, k=chance.choice([1, 2, 3, 4, 6])))
            node.ssh(user, ADDRESSES[user], command=commands, tty=True, answers=slip + [node.secrets[user]])
            node.done["sessions of admins with sudo"] += 1
            node.done["passwords mistyped at sudo"] += len(slip)
        elif who == "password":
            user = chance.choice(["bob", "erin"])
            slips = chance.choices([0, 1, 2], [90, 8, 2])[0]
            node.ssh_try(user, ADDRESSES[user], ["slpi"] * slips + [None], method=chance.choice(["password", "keyboard-interactive"]))
            node.done["logins by password"] += 1
            node.done["passwords mistyped at login"] += slips
        elif who == "deploy":
            node.ssh("deploy", ADMINS + "20", command="sudo /usr/sbin/nginx -t" if chance.random() < 0.5 else "true")
            node.done["deployments by key"] += 1
        elif who == "backup":
            node.ssh("dave", ADMINS + "30", sftp=True)
            node.done["backups by sftp"] += 1
        elif who == "probe":
            # The monitoring asks whether the port answers.
            peer = node.dial(ADMINS + "40", node.source_port())
            peer.recv(64)
            peer.close()
            node.done["probes of the port"] += 1
        else:
            slip = chance.random() < 0.1
            node.ssh("ann", ADDRESSES["ann"], command="su -c true", tty=True, answers=["slpi" if slip else node.secrets["root"]])
            node.done["su by an admin"] += 1
            node.done["passwords mistyped at su"] += slip


# What maintainers' scripts do for the account of a service: by adduser, as Debian's policy has it; by useradd, as many packages
# of others do; with a second group, as one that reads a shared socket.
MAKERS = [
    ("adduser --system --group --quiet --no-create-home --home /nonexistent {0}", "deluser --quiet --system {0}"),
    ("useradd --system --user-group --no-create-home --shell /usr/sbin/nologin {0}", "userdel {0}"),
    ("groupadd --system {0} && useradd --system --gid {0} --no-create-home --shell /usr/sbin/nologin {0} && usermod -a -G video {0}", "userdel {0}"),
]
SERVICES = [f"{what}-{part}" for what in ("metrics", "queue", "search", "mail", "cache", "proxy", "ledger", "image", "backup", "voice") for part in ("agent", "server", "gateway", "exporter")]


def service_packages():
    """Builds packages of services by dpkg-deb, each of which brings an account and takes it away."""
    for number, name in enumerate(SERVICES):
        make, remove = (text.format(name) for text in MAKERS[number % len(MAKERS)])
        control = f"/tmp/build/{name}/DEBIAN"
        os.makedirs(control)
        for file, text in {
                "control": f"Package: {name}\nVersion: 1.{number}\nArchitecture: all\nMaintainer: Example <ops@example.org>\nDescription: a service with an account\n",
                "postinst": f'#!/bin/sh\nset -e\n[ "$1" != configure ] || getent passwd {name} >/dev/null || {{ {make}; }}\n',
                "postrm": f'#!/bin/sh\nset -e\n[ "$1" != purge ] || {remove} >/dev/null 2>&1\n'}.items():
            with open(f"{control}/{file}", "w") as out:
                out.write(text)
            os.chmod(f"{control}/{file}", 0o644 if file == "control" else 0o755)
        run("dpkg-deb", "-b", f"/tmp/build/{name}", f"/var/cache/node/{name}_own.deb")


def packages(node):
    """Packages come and go by an admin's sudo; some of them bring an account of their own."""
    names = ["tree", "figlet", "less", "bc", "memcached", "tcpdump", "uuid-runtime"]
    installed = set()
    while not node.over():
        group = chance.sample(SERVICES, 6)
        for text in ("--no-install-recommends install " + " ".join(f"/var/cache/node/{name}_own.deb" for name in group), "purge " + " ".join(group)):
            node.ssh("grace", ADDRESSES["grace"], command=f"sudo apt-get -q -y {text}", tty=True, answers=[node.secrets["grace"]])
            node.done["packages of services installed or purged"] += len(group)
        name = chance.choice(names)
        if name in installed:
            text = f"sudo apt-get -q -y {'purge' if chance.random() < 0.5 else 'remove'} {name}"
            installed.discard(name)
        else:
            text = f"sudo apt-get -q -y --no-install-recommends install /var/cache/node/{name}_*.deb /var/cache/node/lib*.deb"
            installed.add(name)
        node.ssh("frank", ADDRESSES["frank"], command=text, tty=True, answers=[node.secrets["frank"]])
        node.done["packages installed or removed"] += 1
        pause(120)


AGENTS = [scenes_web.BROWSER, "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36",
          "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1", "curl/8.5.0"]
PAGES = ["/", "/index.html", "/about.html", "/style.css", "/?page=2", "/?q=red+shoes&sort=price", "/api/orders", "/api/orders?since=2026-11-01", "/about.html?lang=de", "/old"]
LOST = ["/favicon.ico", "/apple-touch-icon.png", "/robots.txt", "/products/retired-4711", "/blog/2019/a-page-that-moved"]


def request(address, method, path, agent, referer=None, body=None):
    try:
        link = http.client.HTTPConnection(NODE6 if ":" in address else NODE4, 80, timeout=5, source_address=(address, 0))
        headers = {"User-Agent": agent, "Host": "shop.example.org", **({"Referer": referer} if referer else {})}
        link.request(method, path, body=body, headers=headers)
        link.getresponse().read()
        link.close()
    except OSError:
        pass


def web(node):
    """Visitors, a crawler, a load balancer's health checks; some pages are gone."""
    visitors = [f"198.51.100.{n}" for n in range(1, 220)] + [f"203.0.113.{n}" for n in range(1, 120)] + ["2001:db8:ffff::57", "2001:db8:2::b"]
    while not node.over():
        pause(18)
        kind = chance.choices(["visit", "crawl", "health", "post"], [50, 14, 30, 6])[0]
        if kind == "health":
            request(ADMINS + "1", "GET", "/health", "kube-probe/1.34")
        elif kind == "crawl":
            request("198.51.100.240", chance.choice(["GET", "GET", "HEAD"]), chance.choice(PAGES + LOST), "Mozilla/5.0 (compatible; ExampleBot/2.1; +http://www.example.org/bot)")
        elif kind == "post":
            request(chance.choice(visitors), "POST", "/api/orders", chance.choice(AGENTS), "https://shop.example.org/", b'{"item":4711}')
        else:
            address, agent = chance.choice(visitors), chance.choice(AGENTS)
            for _ in range(chance.choice([1, 2, 4])):
                path = chance.choice(LOST) if chance.random() < 0.05 else chance.choice(PAGES)
                request(address, "GET", path, agent, chance.choice([None, "https://shop.example.org/", "https://www.example.org/search"]))
        node.done[f"web: {kind}"] += 1


def cron(node):
    """Jobs of the system and of users; one of them fails now and then, as jobs do."""
    for name, table in {"sysstat": "5-55/10 * * * * root true\n", "health": "*/5 * * * * root test ! -e /run/unhealthy\n", "logrotate": "17 * * * * root cd / && true\n",
                        "shop": "*/3 * * * * root su -s /bin/sh -c true www-data\n", "mirror": "*/10 * * * * root su - dave -c true\n"}.items():
        with open(f"/etc/cron.d/{name}", "w") as file:
            file.write(table)
    for user, table in {"ann": "*/15 * * * * /bin/true\n", "dave": "0 * * * * /home/dave/backup --quiet\n", "www-data": "*/2 * * * * test -d /var/www/html\n"}.items():
        run("crontab", "-u", user, "-", input=table.encode())
    os.unlink("/etc/cron.daily/apt-compat")  # sleeps for up to half an hour of real time
    node.spawn("cron", "-f", "-L", "5", fake=True)


def main():
    node = Ordinary()
    node.prepare()
    for user in ("frank", "grace"):
        node.person(user, "sudo")
    # The tables of accounts were written today, which lies ahead of the fast clock's start.
    for line in open("/etc/shadow").read().splitlines():
        run("chage", "-d", "2026-10-01", line.split(":")[0])
    os.makedirs("/usr/local/lib/node", exist_ok=True)
    with open("/usr/local/lib/node/dpkg", "w") as file:
        file.write(f"#!/bin/sh\nat=$(date -u -d @$(( ($(date +%s) - {int(node.began)}) * {SPEED} + {int(START.timestamp())} )) '+%Y-%m-%d %H:%M:%S')\n"
                   f'LD_PRELOAD={FAKETIME} FAKETIME="@$at x{SPEED}" FAKETIME_DONT_FAKE_MONOTONIC=1 exec /usr/bin/dpkg --force-unsafe-io "$@"\n')
    os.chmod("/usr/local/lib/node/dpkg", 0o755)
    with open("/etc/apt/apt.conf.d/90node", "w") as file:
        file.write('Dir::Bin::dpkg "/usr/local/lib/node/dpkg";\n')
    os.unlink("/var/log/dpkg.log")
    # Only the names of these matter, in sudo's line; what they would do needs a node with systemd and containers.
    for name in ("systemctl", "journalctl", "crictl", "vi"):
        if not shutil.which(name):
            os.symlink("/bin/true", f"/usr/bin/{name}")
    node.rsyslog()
    node.sshd(22, "PerSourcePenalties no" if node.newer else "")
    scenes_web.start(node, None, apache=False)
    service_packages()
    node.forget()
    cluster = kubelet.Kubelet(node)
    cluster.start()
    cron(node)
    failed = []

    def play(part, *arguments):
        try:
            part(*arguments)
        except Exception:  # a part that ends early would be missed by nobody
            failed.append(traceback.format_exc())

    threads = [threading.Thread(target=play, args=part) for part in ((people, node), (packages, node), (web, node), (cluster.live,))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise RuntimeError("\n".join(failed))
    node.stop()
    keep(node)


def keep(node):
    into = "/out/ordinary"
    shutil.rmtree(into, ignore_errors=True)
    os.makedirs(into)
    shutil.copy("/var/log/dpkg.log", node.out)
    lines, programs = {}, collections.Counter()
    for name in ("auth.log", "auth.rfc3339.log", "syslog.rfc3339", "nginx-access.log", "nginx-access.json", "dpkg.log"):
        with open(f"{node.out}/{name}", "rb") as log:
            text = log.read().replace(RELEASE.encode(), RELEASE.split("-")[0].encode())
        for word in (b"/.cache/", b"/mnt/root"):
            if word in text:
                raise RuntimeError(f"{name} speaks of the machine that records: {word.decode()}")
        for program in re.findall(rb"(?m)^.{15,33} node-1 ([^ :[]+)[:[]", text):
            programs[program.decode()] += name in ("auth.log", "syslog.rfc3339")
        lines[name] = text.count(b"\n")
        with open(f"{into}/{name}.gz", "wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
            packed.write(text)
    with open(f"{into}/truth.yaml", "w") as file:
        for key, value in {
                "about": "Ordinary life of a node, sped up: nothing of it is an attack, and no alert above Low may come of it.", "recorded": True, "host": "node-1", "zone": "UTC",
                "from": START.isoformat(), "to": (START + datetime.timedelta(hours=HOURS)).isoformat(), "speed": SPEED,
                "versions": [version(name) for name in ("openssh-server", "sudo", "passwd", "cron", "rsyslog", "nginx-light", "dpkg", "containerd", "libfaketime")]
                + [run("/opt/testbed/kubelet", "--version").stdout.decode().strip()],
                "lines": lines, "programs": {name: count for name, count in sorted(programs.items()) if count}, "done": dict(sorted(node.done.items()))}.items():
            file.write(f"{key}: {json.dumps(value)}\n")
    print(json.dumps({"lines": lines, "programs": programs, "done": node.done}))


main()
