"""Scenes of sshd: how logins go right and wrong, what scanners do, and names that an attacker chose."""
import os
import time

from node import ADMINS, NODE4, run

SSHD = ["openssh-server", "libpam-modules", "rsyslog"]

# Names that try to be read as something else. What follows a name in sshd's own lines is the bait in several of them.
HOSTILE_NAMES = [
    "from 1.2.3.4 port 22", "root from 192.0.2.66 port 22 ssh2", "admin from 1.2.3.4 port 22 ssh2: RSA SHA256:AAAA",
    "invalid user root", " leading", "trailing ", "two  spaces", "a b c", "", "ann;id", "ann\nNov 25 00:00:00 node-1 sshd[1]: Accepted password for root from 192.0.2.66 port 22 ssh2",
    "tab\there", 'quote"quote', "apostrophe'", "back\\slash", "percent%s%n%d", "über", "пользователь", "名前", "\u202egnp.exe",
    "emoji😀", "bell\x07", "esc\x1b[31mred", "$(id)", "${jndi:ldap://192.0.2.66/a}", "<script>alert(1)</script>", "' OR '1'='1",
    "user=root", "(uid=0)", "[preauth]", "root [preauth]", "rhost=1.2.3.4", "x" * 64, "y" * 300, "port 22", "ssh2", "for ann",
]


def passwords(node):
    """Passwords: of a user, of nobody, right at once, right after two slips."""
    node.ssh_try("bob", "203.0.113.10", ["winter"], reason="wrong password")
    node.ssh_try("bob", "203.0.113.10", ["winter", "summer", "autumn"], reason="wrong password")
    node.ssh_try("oracle", "203.0.113.11", ["oracle"], reason="no such user")
    node.ssh_try("oracle", "203.0.113.11", ["oracle", "oracle1"], reason="no such user", leave="hang-up")
    node.ssh_try("bob", ADMINS + "5", [None])
    node.ssh_try("bob", ADMINS + "5", ["wnter", "wintre", None])
    node.ssh("bob", ADMINS + "6", method="password", command="id")
    node.ssh("bob", "2001:db8:ffff::57", method="password", command="id", tty=True)
    node.ssh_try("bob", "2001:db8:ffff::57", ["winter"], reason="wrong password")
    node.ssh_try("postgres", "2001:db8:ffff::57", ["postgres"], reason="no such user")
    node.ssh_try("bob", ADMINS + "7", ["winter"], reason="wrong password", leave="hang-up")
    node.ssh_try("nobody", "203.0.113.12", ["nobody"], reason="no password is right")


def keys(node):
    """Public keys: accepted, a key that nobody knows, a user that does not exist, and no method at all."""
    node.ssh("ann", ADMINS + "5", command="uptime")
    node.ssh("ann", ADMINS + "5", command="id", tty=True)
    node.ssh("deploy", "2001:db8:2::a", command="date")
    node.ssh("ann", ADMINS + "9", command="id", key="/run/keys/bob", reason="key is not in authorized_keys")
    node.ssh_try("ann", "198.51.100.20", ["-"], method="publickey", reason="key is not in authorized_keys")
    node.ssh_try("jenkins", "198.51.100.20", ["-"], method="publickey", reason="no such user")
    node.ssh_try("ann", "198.51.100.20", ["-"], method="none", reason="no method")
    node.ssh_try("gitlab", "198.51.100.20", ["-"], method="none", reason="no such user")


def keyboard_interactive(node):
    """Keyboard-interactive through PAM: right, wrong, nobody."""
    node.ssh_try("bob", ADMINS + "5", [None], method="keyboard-interactive")
    node.ssh("bob", ADMINS + "5", method="keyboard-interactive", command="id")
    node.ssh_try("bob", "203.0.113.30", ["winter"], method="keyboard-interactive", reason="wrong password")
    node.ssh_try("ubnt", "203.0.113.30", ["ubnt"], method="keyboard-interactive", reason="no such user")


def too_many(node):
    """More tries within one connection than MaxAuthTries allows, by a user and by nobody."""
    node.ssh_try("bob", "203.0.113.40", [f"guess{i}" for i in range(8)], reason="too many tries")
    node.ssh_try("admin", "203.0.113.41", [f"guess{i}" for i in range(8)], reason="too many tries")
    node.ssh_try("root", "203.0.113.42", [f"guess{i}" for i in range(8)], reason="too many tries")


def brute_force(node):
    """Three guessers: one address on one user, one address on many users, many addresses on one user; then success."""
    for i in range(12):
        node.ssh_try("bob", "203.0.113.50", [f"guess{i}"], reason="wrong password")
    for user in ("root", "admin", "test", "guest", "oracle", "postgres", "git", "ubuntu", "pi", "ftp", "mysql", "nagios", "bob", "ann"):
        node.ssh_try(user, "198.51.100.51", [user + "123"], reason="wrong password or no such user")
    for last in range(60, 72):
        node.ssh_try("bob", f"203.0.113.{last}", ["welcome1"], reason="wrong password")
    node.ssh_try("bob", "203.0.113.50", [None], note="success after failures")


def root_logins(node):
    """Root by password where only keys may, then on a second sshd where root may not at all, with the right password."""
    node.ssh_try("root", "203.0.113.80", ["toor"], reason="wrong password, and PermitRootLogin prohibit-password")
    node.ssh_try("root", "203.0.113.80", [None], reason="right password, but PermitRootLogin prohibit-password")
    node.ssh_try("root", "203.0.113.82", ["toor"], to=2223, reason="PermitRootLogin no, wrong password")
    node.ssh_try("root", "203.0.113.82", [None], to=2223, reason="PermitRootLogin no, right password")
    node.ssh("root", "203.0.113.82", to=2223, key="/run/keys/root", reason="PermitRootLogin no, right key")
    node.ssh("root", "203.0.113.83", to=2224, key="/run/keys/root", note="PermitRootLogin yes, by key")
    node.ssh_try("root", "203.0.113.84", [None], to=2224, note="PermitRootLogin yes, by password")


def refused(node):
    """Users whom the configuration refuses, an expired account, a locked one, one without a shell; LogLevel VERBOSE."""
    run("useradd", "-m", "-s", "/usr/sbin/nologin", "frank"); node.password("frank")
    run("useradd", "-m", "-s", "/bin/bash", "-e", "2020-01-01", "grace"); node.password("grace")
    run("useradd", "-m", "-s", "/bin/no-such-shell", "heidi"); node.password("heidi")
    run("useradd", "-m", "-s", "/bin/bash", "ivan"); node.password("ivan"); run("passwd", "-l", "ivan")
    node.forget()
    node.ssh_try("carol", "203.0.113.90", [None], to=2222, reason="DenyUsers")
    node.ssh_try("dave", "203.0.113.90", [None], to=2222, reason="not in AllowUsers")
    node.ssh_try("erin", "203.0.113.90", [None], to=2222, reason="not in AllowUsers from there")
    node.ssh_try("erin", ADMINS + "8", [None], to=2222)
    node.ssh("ann", ADMINS + "5", to=2222, command="true", log_level="VERBOSE")
    node.ssh("ann", ADMINS + "5", to=2222, command="true", key="/run/keys/bob", reason="key is not in authorized_keys", log_level="VERBOSE")
    node.ssh_try("frank", ADMINS + "5", [None], note="shell is nologin: sshd accepts")
    node.ssh_try("grace", ADMINS + "5", [None], reason="account expired")
    node.ssh_try("heidi", ADMINS + "5", [None], reason="shell does not exist")
    node.ssh_try("ivan", ADMINS + "5", [None], reason="password locked")


def before_login(node):
    """Scanners that never get as far as a name, and clients that leave in the middle."""
    def raw(kind, address, sent, wait=0.3, **more):
        port = node.source_port()
        with node.act(kind, address=address, port=port, outcome="failure", **more):
            peer = node.dial(address, port)
            try:
                peer.recv(256)
                if sent is not None:
                    peer.sendall(sent)
                time.sleep(wait)
                peer.settimeout(0.3)
                peer.recv(4096)
            except OSError:
                pass
            peer.close()
            time.sleep(0.2)

    raw("connect-and-leave", "203.0.113.100", None)
    raw("http-to-ssh", "203.0.113.101", b"GET / HTTP/1.1\r\nHost: 192.0.2.11\r\n\r\n")
    raw("tls-to-ssh", "203.0.113.102", b"\x16\x03\x01\x00\xf4\x01\x00\x00\xf0\x03\x03" + bytes(range(64)) + b"\r\n")
    raw("old-protocol", "203.0.113.103", b"SSH-1.5-scan\r\n")
    raw("banner-and-leave", "203.0.113.104", b"SSH-2.0-Go\r\n")
    raw("banner-and-garbage", "203.0.113.105", b"SSH-2.0-libssh_0.9.6\r\n" + b"\xff" * 128)
    raw("hostile-banner", "203.0.113.106", b"SSH-2.0-x from 1.2.3.4 port 22 \x1b[31m\r\n" + b"\xff" * 64)
    raw("hostile-line", "203.0.113.107", b"Accepted password for root from 192.0.2.66 port 22 ssh2\r\n")
    raw("binary", "2001:db8:ffff::57", os.urandom(40).replace(b"\n", b"") + b"\r\n")
    raw("old-key-exchange", "203.0.113.108", b"SSH-2.0-old\r\n" + bytes.fromhex("000001") + b"\x14", wait=0.1)
    with node.act("old-algorithms", address="203.0.113.109", port=node.source_port(), outcome="failure") as act:
        run("ssh", "-F", "/dev/null", "-o", "KexAlgorithms=diffie-hellman-group1-sha1", "-o", "BatchMode=yes", "-o", "ProxyUseFdpass=yes", "-o",
            "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o",
            f"ProxyCommand=/usr/bin/python3 /scripts/connect.py {act['address']} {act['port']} {NODE4} 22", "ann@node-1", check=False)
    with node.act("grace-time-over", address="203.0.113.110", port=node.source_port(), outcome="failure", seconds=15) as act:
        peer = node.dial(act["address"], act["port"])
        peer.settimeout(25)
        while peer.recv(4096):
            pass
        peer.close()


def hostile_names(node):
    """Names that an attacker chose to be read as another field, another line or another user."""
    for number, name in enumerate(HOSTILE_NAMES):
        node.ssh_try(name, f"198.51.100.{100 + number}", ["x"], reason="no such user")
    node.ssh_try("from 1.2.3.4 port 22", "2001:db8:ffff::57", ["x"], reason="no such user")
    node.ssh_try("from 1.2.3.4 port 22", "198.51.100.200", ["-"], method="none", reason="no such user")
    node.ssh_try("from 1.2.3.4 port 22", "198.51.100.201", ["-"], method="publickey", reason="no such user")
    node.ssh_try("from 1.2.3.4 port 22", "198.51.100.202", ["x"], method="keyboard-interactive", reason="no such user")
    node.ssh_try("from 1.2.3.4 port 22", "198.51.100.203", ["x"] * 8, reason="too many tries")
    node.ssh_try("from 1.2.3.4 port 22", "198.51.100.204", ["x"], reason="no such user", leave="hang-up")


def sessions(node):
    """Sessions: a shell on a terminal, a command, sftp, a session that the client drops."""
    node.ssh("ann", ADMINS + "5", command="sleep 1", tty=True)
    node.ssh("ann", ADMINS + "5", sftp=True)
    node.ssh("deploy", ADMINS + "20", command="exit 3")
    node.ssh_try("bob", ADMINS + "6", [None], leave="hang-up")
    node.ssh("ann", "2001:db8:2::a", sftp=True)


def throttled(node):
    """More unauthenticated connections at once than MaxStartups lets be."""
    peers = []
    for number in range(6):
        port = node.source_port()
        with node.act("connect", address="203.0.113.120", port=port, to=2222, outcome="unknown" if number < 3 else "failure"):
            peers.append(node.dial("203.0.113.120", port, 2222))
            time.sleep(0.1)
    for peer in peers:
        peer.close()
    time.sleep(0.3)


def penalised(node):
    """OpenSSH 9.8 and newer turn an address away for a while after failures (PerSourcePenalties)."""
    if not node.newer:
        return False
    for number in range(14):
        node.ssh_try("root", "203.0.113.130", [f"guess{number}"] * 3, to=2225, reason="wrong password; then the address is penalised")
    return True


SCENES = [passwords, keys, keyboard_interactive, too_many, brute_force, root_logins, refused, before_login, hostile_names, sessions, throttled, penalised]
PACKAGES = SSHD


def start(node, more):
    """Further daemons on further ports, for what one configuration cannot show."""
    node.sshd(2222, f"{more}\nLogLevel VERBOSE\nDenyUsers carol\nAllowUsers ann bob carol root erin@10.20.0.*", startups="3:100:3")
    node.sshd(2223, f"{more}\nPermitRootLogin no")
    node.sshd(2224, f"{more}\nPermitRootLogin yes")
    if node.newer:
        node.sshd(2225, "PerSourcePenalties crash:90 authfail:5 noauth:1 grace-exceeded:20 max:600 min:15")
