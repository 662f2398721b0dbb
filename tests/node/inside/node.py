"""A node as Debian makes it: rsyslog, sshd, sudo, cron, web servers; users of it; and the acts that drive them.

Every act is done by a real program against a real daemon and is written into the scene's truth: who, what, from which
address and port, between which instants, with what outcome. The truth is what was done, never what was logged.
"""
import contextlib
import datetime
import glob
import json
import logging
import os
import pty
import select
import shutil
import re
import signal
import socket
import subprocess
import time

import paramiko

# Blocks of RFC 5737 and RFC 3849, which nobody owns, and a private one for the admins' network. All are routed to the
# node's own loopback, so that a client can bind any of them.
NODE4, NODE6 = "192.0.2.11", "2001:db8:1::11"
BLOCKS4 = ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "10.20.0.0/16"]
ADMINS = "10.20.0."
CLIENTS6 = ["2001:db8:ffff::57", "2001:db8:2::a", "2001:db8:2::b"]

RSYSLOG = """
module(load="imuxsock" {muxsock})
{imklog}
$FileCreateMode 0644
$Umask 0022
$WorkDirectory /var/spool/rsyslog
auth,authpriv.*  action(type="omfile" file="{out}/auth.log" template="RSYSLOG_TraditionalFileFormat")
auth,authpriv.*  action(type="omfile" file="{out}/auth.rfc3339.log" template="RSYSLOG_FileFormat")
auth,authpriv.*  action(type="omfile" file="{out}/auth.rfc5424.log" template="RSYSLOG_SyslogProtocol23Format")
kern.*           action(type="omfile" file="{out}/kern.log" template="RSYSLOG_TraditionalFileFormat")
kern.*           action(type="omfile" file="{out}/kern.rfc3339.log" template="RSYSLOG_FileFormat")
kern.*           action(type="omfile" file="{out}/kern.rfc5424.log" template="RSYSLOG_SyslogProtocol23Format")
*.*;auth,authpriv,kern.none action(type="omfile" file="{out}/syslog" template="RSYSLOG_TraditionalFileFormat")
*.*;auth,authpriv,kern.none action(type="omfile" file="{out}/syslog.rfc3339" template="RSYSLOG_FileFormat")
*.*;auth,authpriv,kern.none action(type="omfile" file="{out}/syslog.rfc5424" template="RSYSLOG_SyslogProtocol23Format")
"""

# sshd takes the first value that it reads, so what a scene wants differently stands above Debian's and our defaults.
SSHD = """
Port {port}
PidFile /run/sshd-{port}.pid
{more}
PermitRootLogin prohibit-password
KbdInteractiveAuthentication yes
UsePAM yes
PrintMotd no
LoginGraceTime 15
MaxStartups {startups}
Subsystem sftp /usr/lib/openssh/sftp-server
"""

SUDOERS = """
carol ALL=(root) /usr/bin/id, /usr/bin/tail /var/log/dpkg.log
dave ALL=(www-data) NOPASSWD: ALL
deploy ALL=(root) NOPASSWD: /usr/bin/apt-get update, /usr/sbin/nginx -t
"""
RELEASE = os.uname().release
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"

logging.getLogger("paramiko").setLevel(logging.CRITICAL)


def run(*command, check=True, **more):
    """Runs a command; its output is kept from the terminal and shown in the error."""
    more.setdefault("stdin", subprocess.DEVNULL)
    if "input" in more:
        more.pop("stdin")
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **more)
    if check and done.returncode:
        raise RuntimeError(f"{command[0]} failed ({done.returncode}): {done.stdout.decode(errors='replace')[-600:]}")
    return done


def version(package):
    return run("dpkg-query", "-W", "-f", "${Package} ${Version}", package).stdout.decode()


class Node:
    """The machine in which scenes are played. `out` is the directory that the log files are written to.

    With `start` the clocks of the daemons that make the stamps begin there and run `speed` times as fast, by libfaketime.
    """

    def __init__(self, out="/out/current", klog=False, start=None, speed=1):
        self.out, self.klog, self.start, self.speed = out, klog, start, speed
        self.began = time.time()
        self.secrets, self.children, self.acts = {}, [], []
        self.port = 40000
        # OpenSSH 9.8 and newer split the daemon and refuse addresses that failed.
        self.newer = os.path.exists("/usr/lib/openssh/sshd-session")
        os.makedirs(out, exist_ok=True)

    # -- the clock ---------------------------------------------------------------------------------------------------

    def instant(self):
        """This instant, by the clock that makes the stamps."""
        if not self.start:
            return datetime.datetime.now(datetime.timezone.utc)
        return self.start + datetime.timedelta(seconds=(time.time() - self.began) * self.speed)

    def now(self):
        """This instant as RFC 3339 in UTC."""
        return self.instant().isoformat(timespec="microseconds").replace("+00:00", "Z")

    def clock(self):
        """What a process that starts now must be told, so that all clocks agree to the second."""
        return {"LD_PRELOAD": FAKETIME, "FAKETIME": f"@{self.instant():%Y-%m-%d %H:%M:%S} x{self.speed}", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}

    # -- setting up --------------------------------------------------------------------------------------------------

    def prepare(self):
        run("ip", "link", "set", "lo", "up")
        for block in BLOCKS4:
            run("ip", "route", "add", "local", block, "dev", "lo")
        for address in [NODE6, *CLIENTS6]:
            run("ip", "addr", "add", f"{address}/128", "dev", "lo", "nodad")
        for directory in ("/run/sshd", "/var/spool/rsyslog", "/var/log/nginx", "/var/log/apache2", "/run/apache2", "/run/lock"):
            os.makedirs(directory, exist_ok=True)
        for log in ("/var/log/wtmp", "/var/log/btmp", "/var/log/lastlog", "/run/utmp"):
            open(log, "a").close()
            shutil.chown(log, "root", "utmp")
            os.chmod(log, 0o660 if log.endswith("btmp") else 0o664)
        shutil.copy("/etc/debian_version", "/var/log/dpkg.log")  # for carol, who may read it
        # Only the pause after a wrong password goes; what is logged stays.
        with open("/etc/pam.d/common-auth") as file:
            stack = file.read()
        with open("/etc/pam.d/common-auth", "w") as file:
            file.write(stack.replace("pam_unix.so nullok", "pam_unix.so nullok nodelay"))
        # The machine that records may lack the right to raise limits, and the lines which say so belong to no node.
        for service in ("sudo", "sudo-i", "su", "su-l", "cron", "login"):
            with contextlib.suppress(FileNotFoundError), open(f"/etc/pam.d/{service}", "r+") as file:
                kept = re.sub(r"(?m)^session.*pam_limits.*\n", "", file.read())
                file.seek(0)
                file.truncate()
                file.write(kept)
        for user, groups in [("ann", "sudo"), ("bob", ""), ("carol", ""), ("dave", ""), ("deploy", ""), ("erin", "adm")]:
            self.person(user, groups)
        self.password("root")
        self.key("root", "/root")
        with open("/etc/sudoers.d/node", "w") as file:
            file.write(SUDOERS)
        os.chmod("/etc/sudoers.d/node", 0o440)
        run("ssh-keygen", "-A")

    def person(self, user, groups=""):
        run("useradd", "-m", "-s", "/bin/bash", *(["-G", groups] if groups else []), user)
        self.password(user)
        self.key(user, f"/home/{user}")

    @staticmethod
    def key(user, home):
        keys = f"/run/keys/{user}"
        os.makedirs("/run/keys", mode=0o700, exist_ok=True)
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"{user}@laptop", "-f", keys)
        os.makedirs(f"{home}/.ssh", mode=0o700, exist_ok=True)
        shutil.copy(f"{keys}.pub", f"{home}/.ssh/authorized_keys")
        run("chown", "-R", f"{user}:", f"{home}/.ssh")

    def password(self, user):
        """A password of this run alone: none is in the repository."""
        self.secrets[user] = os.urandom(9).hex()
        run("chpasswd", input=f"{user}:{self.secrets[user]}\n".encode())

    def spawn(self, *command, fake=False, **more):
        environment = dict(os.environ)
        if fake and self.start:
            environment.update(self.clock())
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                 env=environment, **more)
        self.children.append(child)
        return child

    def rsyslog(self):
        if self.klog:
            # What the kernel said before this scene is not ours to record.
            with contextlib.suppress(BlockingIOError):
                kernel = os.open("/proc/kmsg", os.O_RDONLY | os.O_NONBLOCK)
                while os.read(kernel, 65536):
                    pass
            os.close(kernel)
        # With a fast clock the daemon's own clock makes the stamps, since the kernel's credentials carry the real one.
        muxsock = 'SysSock.UseSysTimeStamp="off" SysSock.IgnoreTimestamp="on"' if self.start else ""
        with open("/etc/rsyslog-node.conf", "w") as file:
            file.write(RSYSLOG.format(out=self.out, muxsock=muxsock, imklog='module(load="imklog")' if self.klog else ""))
        self.syslogd = self.spawn("rsyslogd", "-n", "-f", "/etc/rsyslog-node.conf", "-i", "/run/rsyslogd-node.pid", fake=True)
        self.until(lambda: os.path.exists("/dev/log"), "rsyslogd does not listen on /dev/log")

    def sshd(self, port=22, more="", startups="100:30:200"):
        config = f"/etc/ssh/sshd_node_{port}"
        with open(config, "w") as file:
            file.write(SSHD.format(port=port, more=more, startups=startups))
        run("/usr/sbin/sshd", "-t", "-f", config)
        child = self.spawn("/usr/sbin/sshd", "-D", "-f", config)
        self.until(lambda: self.listens(port), f"sshd does not listen on port {port}")
        return child

    def listens(self, port):
        """Read from the kernel's table: a probe by connect would be a line in the log."""
        return run("ss", "-Hltn", f"sport = :{port}").stdout.strip() != b""

    @staticmethod
    def until(condition, complaint, seconds=15):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise RuntimeError(complaint)
            time.sleep(0.02)

    def stop(self):
        for child in reversed(self.children):
            child.terminate()
        for child in self.children:
            try:
                child.wait(5)
            except subprocess.TimeoutExpired:
                child.kill()

    # -- scenes ------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def scene(self, into, about, packages, daemons="", **more):
        """Plays one scene: the files written meanwhile and the truth of what was done land in the directory `into`."""
        self.forget()
        yield
        self.settle()
        if not self.acts:
            return
        os.makedirs(into, exist_ok=True)
        self.collect(into)
        self.check(into)
        truth = {"about": about, "recorded": True, "host": "node-1", "from": self.started, "to": self.now(), "zone": "UTC",
                 "versions": [version(name) for name in packages], **more}
        with open(f"{into}/truth.yaml", "w") as file:
            for key, value in truth.items():
                file.write(f"{key}: {json.dumps(value, ensure_ascii=True)}\n")
            file.write("acts:\n")
            for act in self.acts:
                file.write(f"- {json.dumps(act, ensure_ascii=True)}\n")

    def forget(self):
        """Drops what the scene's own setting-up wrote."""
        self.settle()
        self.collect(None)
        self.acts = []
        self.started = self.now()

    def check(self, into):
        """Fails when a login left no line that names its port, or when a line speaks of the machine that records."""
        text = b""
        for name in glob.glob(f"{into}/*"):
            with open(name, "rb") as log:
                text += log.read()
        for act in self.acts:
            if act["act"] == "ssh-login" and not re.search(rb"(port |]:)%d\b" % act["port"], text):
                raise RuntimeError(f"no line tells of {act}")
        for word in [rb"/\.cache/", rb"/mnt/root", RELEASE.encode()] if "-" in RELEASE else [rb"/\.cache/", rb"/mnt/root"]:
            if re.search(word, text):
                raise RuntimeError(f"{into} speaks of the machine that records: {word.decode()}")

    def settle(self, quiet=0.7):
        """Waits until no log file grew for so many seconds."""
        before, since = None, time.monotonic()
        while time.monotonic() - since < quiet:
            size = [(name, os.path.getsize(name)) for name in sorted(glob.glob(f"{self.out}/*"))]
            if size != before:
                before, since = size, time.monotonic()
            time.sleep(0.05)

    def collect(self, into):
        """Copies what the log files hold into a directory (or drops it) and empties them; the daemons append on."""
        for name in glob.glob(f"{self.out}/*"):
            if into and os.path.getsize(name):
                with open(name, "rb") as log, open(f"{into}/{os.path.basename(name)}", "wb") as kept:
                    # The kernel's own version stays, what the machine's maker called its build does not.
                    kept.write(log.read().replace(RELEASE.encode(), RELEASE.split("-")[0].encode()))
            os.truncate(name, 0)

    @contextlib.contextmanager
    def act(self, kind, **fields):
        """One thing done. Its outcome may be set on the yielded dict while it happens."""
        entry = {"act": kind, **fields, "from": self.now()}
        yield entry
        entry["to"] = self.now()
        self.acts.append({key: value for key, value in entry.items() if value is not None})

    # -- ssh ---------------------------------------------------------------------------------------------------------

    def source_port(self):
        self.port += 1
        return self.port

    def dial(self, address, port, to=22):
        """A TCP connection from the address and port to the node's sshd."""
        six = ":" in address
        peer = socket.socket(socket.AF_INET6 if six else socket.AF_INET)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        peer.bind((address, port))
        peer.settimeout(20)
        peer.connect((NODE6 if six else NODE4, to))
        return peer

    def ssh_try(self, user, address, passwords, method="password", to=22, leave="disconnect", **more):
        """A foreign client tries passwords in turn within one connection, as scanners do; "" stands for no password.

        The right password is asked for by None. `leave`: how the client goes, by a disconnect message or by hanging up.
        """
        port = self.source_port()
        # sshd takes what follows a colon for a login style, not for the name.
        name = user.split(":")[0]
        with self.act("ssh-login", user=name, sent=user if user != name else None, address=address, port=port, method=method,
                      tries=len(passwords), **more) as act:
            transport = paramiko.Transport(self.dial(address, port, to))
            transport.set_keepalive(0)
            ok = False
            try:
                transport.start_client(timeout=20)
                for password in passwords:
                    password = self.secrets[user] if password is None else password
                    try:
                        if method == "password":
                            transport.auth_password(user, password, fallback=False)
                        elif method == "keyboard-interactive":
                            transport.auth_interactive(user, lambda _title, _text, prompts, p=password: [p for _ in prompts])
                        elif method == "publickey":
                            transport.auth_publickey(user, paramiko.RSAKey.generate(2048))
                        elif method == "none":
                            transport.auth_none(user)
                        ok = transport.is_authenticated()
                    except (paramiko.SSHException, EOFError) as error:
                        act.setdefault("client_saw", str(error)[:80])
                        if not transport.is_active():
                            break
                if ok:
                    time.sleep(0.1)
            except (paramiko.SSHException, EOFError, OSError) as error:
                act.setdefault("client_saw", str(error)[:80])
            act.setdefault("outcome", "success" if ok else "failure")
            if leave == "hang-up":
                transport.sock.close()
            transport.close()
            transport.join(5)
            time.sleep(0.15)
        return ok

    def ssh(self, user, address, command="true", method="publickey", tty=False, answers=(), to=22, key=None, sftp=False, **more):
        """OpenSSH's own client logs in by key or password and runs a command; `answers` are typed at its prompts in turn.

        Returns what the terminal showed.
        """
        port = self.source_port()
        fields = dict(user=user, address=address, port=port, method=method, **more)
        with self.act("ssh-login", command=None if sftp else command, **fields) as act:
            line = ["sftp" if sftp else "ssh", "-q", "-F", "/dev/null", "-o", "StrictHostKeyChecking=no",
                    "-o", "UserKnownHostsFile=/dev/null", "-o", f"PreferredAuthentications={method}", "-o", "ProxyUseFdpass=yes",
                    "-o", f"ProxyCommand=/usr/bin/python3 /scripts/connect.py {address} {port} {NODE6 if ':' in address else NODE4} {to}",
                    "-o", f"IdentityFile={key or f'/run/keys/{user}'}", "-o", "IdentitiesOnly=yes", "-o", "NumberOfPasswordPrompts=1",
                    "-o", f"User={user}"]
            if sftp:
                line += ["-b", "/dev/stdin"] if method == "publickey" else []
                done = run(*line, "node-1", check=False, input=b"pwd\nls /\nquit\n")
                shown, code = done.stdout.decode(errors="replace"), done.returncode
            else:
                line += (["-tt"] if tty else ["-T"]) + ["node-1", command]
                if method != "publickey":
                    answers = [self.secrets.get(user), *answers]
                shown, code = self.typed(line, answers)
            act["outcome"] = "failure" if code == 255 else "success"
            act["exit"] = code
        return shown

    @staticmethod
    def typed(line, answers=(), seconds=40):
        """Runs a program on a terminal, types an answer at each prompt that ends in `: ` or `] `, returns (text, exit)."""
        answers = list(answers)
        child, terminal = pty.fork()
        if child == 0:
            os.execvp(line[0], line)
        shown, fresh, end = b"", b"", time.monotonic() + seconds
        while time.monotonic() < end:
            ready, _, _ = select.select([terminal], [], [], 0.05)
            if ready:
                try:
                    piece = os.read(terminal, 4096)
                except OSError:
                    break
                if not piece:
                    break
                shown, fresh = shown + piece, fresh + piece
            elif answers and fresh.rstrip(b"\r\n").endswith((b": ", b"] ", b":")):
                fresh = b""
                os.write(terminal, (answers.pop(0) + "\n").encode())
        else:
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        os.close(terminal)
        return shown.decode(errors="replace"), os.waitstatus_to_exitcode(status)
