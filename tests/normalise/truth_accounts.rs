//! What the events of a recording tell of accounts and groups, against what was done, in each format of each scene.

use super::{
    scenes::{Act, Scene, Seen},
    truth::assert_told,
};

/// What each command must tell, in any order: `ACTION NAME` of an account, `ACTION NAME GROUP` of a group (`-` for no account); a
/// failure ends in `!`. What only some versions of a program tell ends in `?`. Each command writes of `/etc/group` and
/// `/etc/gshadow` besides, which is no change of its own.
#[rustfmt::skip] // a table reads best as one
const TOLD: &[(&str, &[&str])] = &[
    ("useradd -m -s /bin/bash mallory", &["group-added - mallory", "user-added mallory"]),
    ("useradd -r -s /usr/sbin/nologin -d /var/lib/agent agent", &["group-added - agent", "user-added agent"]),
    ("useradd -m -u 4242 -g users -G adm,sudo -c Trent Hill trent", &["user-added trent", "group-member-added trent adm", "group-member-added trent sudo"]),
    ("useradd -m mallory", &["user-added mallory!"]),
    ("useradd -o -u 0 -g 0 -M -s /bin/bash toor", &["user-added toor"]),
    ("usermod -u 0 -o mallory", &["user-changed mallory"]),
    ("userdel -f mallory", &["user-deleted mallory", "group-deleted - mallory"]),
    ("useradd -m niaj", &["group-added - niaj", "user-added niaj"]),
    ("usermod -u 5000 niaj", &["user-changed niaj"]),
    ("usermod -l oscar -d /home/oscar -m niaj", &["user-changed niaj", "user-changed oscar"]),
    ("usermod -s /bin/sh -c Oscar oscar", &[]),
    ("usermod -e 2030-01-01 oscar", &["user-changed oscar"]),
    ("chpasswd", &["password-changed NAME"]),
    ("usermod -L oscar", &["user-locked oscar"]),
    ("usermod -p * oscar", &["password-changed oscar"]),
    ("chsh -s /bin/bash oscar", &["user-changed oscar"]),
    ("chfn -f Oscar O oscar", &["user-changed oscar"]),
    ("userdel -r oscar", &["user-deleted oscar"]),
    ("userdel -f toor", &["user-deleted toor"]),
    ("userdel nobody-there", &[]),
    ("adduser --quiet --disabled-password --gecos Peggy peggy", &["group-added - peggy", "user-added peggy", "user-changed peggy?", "group-members-set peggy users"]),
    ("adduser --quiet --system --group --home /nonexistent --no-create-home collectd", &["group-added - collectd", "user-added collectd"]),
    ("deluser --quiet peggy", &["user-deleted peggy", "group-member-removed peggy users", "group-deleted - peggy"]),
    ("newusers", &["password-changed victor"]),
    ("groupadd operators", &["group-added - operators"]),
    ("groupadd -r -g 910 docker", &["group-added - docker"]),
    ("groupadd docker", &[]),
    ("usermod -aG sudo bob", &["group-member-added bob sudo"]),
    ("usermod -aG docker,adm bob", &["group-member-added bob adm", "group-member-added bob docker"]),
    ("usermod -G operators bob", &["group-member-added bob operators", "group-member-removed bob adm", "group-member-removed bob docker", "group-member-removed bob sudo"]),
    ("gpasswd -a bob sudo", &["group-member-added bob sudo"]),
    ("gpasswd -d bob sudo", &["group-member-removed bob sudo"]),
    ("gpasswd -A carol operators", &["group-administrators-set carol operators"]),
    ("gpasswd -M bob,carol docker", &["group-members-set - docker"]),
    ("adduser --quiet bob sudo", &["group-member-added bob sudo"]),
    // Debian's deluser takes the member out by setting those who stay.
    ("deluser --quiet bob sudo", &["group-members-set - sudo"]),
    ("usermod -g root dave", &["user-changed dave"]),
    ("groupmod -n crew operators", &["group-changed - operators"]),
    ("groupmod -g 4999 crew", &["group-changed - crew"]),
    ("groupdel crew", &["group-deleted - crew"]),
    ("groupdel docker", &["group-deleted - docker"]),
    ("passwd", &["password-changed bob"]),
    ("passwd -l bob", &["password-changed bob"]),
    ("passwd -u bob", &["password-changed bob"]),
    ("passwd -e bob", &["password-changed bob"]),
    ("passwd -d carol", &["password-changed carol"]),
    ("chage -E 2031-01-01 -M 90 bob", &["user-changed bob"]),
    ("chage -l bob", &[]),
    ("useradd -m -s /bin/bash walter", &["group-added - walter", "user-added walter"]),
    ("usermod -aG sudo walter", &["group-member-added walter sudo"]),
    ("gpasswd -a walter adm", &["group-member-added walter adm"]),
    ("passwd -l walter", &["password-changed walter"]),
    ("userdel -r walter", &["user-deleted walter", "group-member-removed walter adm", "group-member-removed walter sudo", "group-deleted - walter"]),
];

fn told(seen: &Seen) -> String {
    let name = Some(seen.get("user.target.name")).filter(|name| !name.is_empty()).unwrap_or("-");
    let group = seen.get("group.name");
    let fails = if seen.get("event.outcome") == "failure" { "!" } else { "" };
    format!("{} {name} {group}", seen.get("event.action")).trim_end().to_owned() + fails
}

fn is_change(seen: &&Seen) -> bool {
    seen.get("event.category").split(',').any(|category| category == "iam")
        && seen.get("event.action") != "group-file-changed"
}

fn accounts(scene: &Scene, events: &[Seen]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut left = events.iter().filter(is_change).peekable();
    for act in scene.acts.iter().filter(|act| act.text("act") == "account") {
        let command = act.text("command");
        let Some((_, expected)) = TOLD.iter().find(|(known, _)| *known == command) else {
            wrong.push(format!("{command:?} is not in the table"));
            continue;
        };
        if act.text("outcome") == "failure" && command == "passwd" {
            wrong.extend(refused_password(act, events));
            continue;
        }
        let mut missing: Vec<String> = expected.iter().map(|e| e.replace("NAME", act.text("user"))).collect();
        while let Some(seen) = left.peek() {
            let found = told(seen);
            let Some(index) = missing.iter().position(|e| e.trim_end_matches('?') == found) else { break };
            missing.remove(index);
            wrong.extend(details(act, seen));
            left.next();
        }
        missing.retain(|expected| !expected.ends_with('?'));
        if !missing.is_empty() {
            wrong.push(format!("{command:?} lacks {missing:?}"));
        }
    }
    wrong.extend(left.map(|seen| format!("nobody did this: {} by {:?}", told(seen), seen.text)));
    wrong
}

/// The numbers that were asked for, and who did it where the program says so: root, also through sudo.
fn details(act: &Act, seen: &Seen) -> Vec<String> {
    let mut wrong = Vec::new();
    let uid = act.number("uid");
    if !uid.is_empty() && seen.get("user.target.id") != uid {
        wrong.push(format!("uid {:?}, not {uid}, in {:?}", seen.get("user.target.id"), seen.text));
    }
    let gid = act.number("gid");
    if !gid.is_empty() && seen.get("event.action") == "group-added" && seen.get("group.id") != gid {
        wrong.push(format!("gid {:?}, not {gid}, in {:?}", seen.get("group.id"), seen.text));
    }
    if !["", "root"].contains(&seen.get("user.name")) {
        wrong.push(format!("by {:?}, in {:?}", seen.get("user.name"), seen.text));
    }
    wrong
}

/// Of a password that was asked for before the change and is wrong, PAM tells.
fn refused_password(act: &Act, events: &[Seen]) -> Option<String> {
    let is_told = |seen: &&Seen| {
        seen.get("process.name") == "passwd"
            && seen.get("event.outcome") == "failure"
            && seen.get("user.name") == act.text("user")
    };
    let count = events.iter().filter(is_told).count();
    (count != 1).then(|| format!("{count} failures of {}", act.value))
}

#[test]
fn accounts_are_told_as_they_were_changed_in_each_format() {
    // Accounts and groups are written to auth.log alone; syslog has a line or two of adduser's own.
    assert_told(|scene, _, events| accounts(scene, events));
}
