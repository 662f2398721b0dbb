//! Each login that was tried over SSH against the events of its connection, which its address and port name.

use std::collections::BTreeSet;

use super::scenes::{Scene, Seen, scenes};

/// The name as sshd writes it of what was sent: Debian's takes what follows a slash for an SELinux role
/// (debian/patches/selinux-role.patch), and the log has at most 100 bytes (`%.100s` in auth.c `auth_log`).
fn written(sent: &str) -> &str {
    let name = sent.split_once('/').map_or(sent, |(name, _role)| name);
    name.get(..100).unwrap_or(name)
}

/// Events of `ssh-login` that tell another story than the truth.
fn wrong_logins(scene: &Scene, events: &[Seen]) -> Vec<String> {
    let mut wrong = Vec::new();
    let logins: Vec<&Seen> = events.iter().filter(|seen| seen.get("event.action") == "ssh-login").collect();
    let mut known = BTreeSet::new();
    for act in scene.acts.iter().filter(|act| act.text("act") == "ssh-login") {
        let (address, port) = (act.text("address"), act.number("port"));
        known.insert((address.to_owned(), port.clone()));
        let of_act: Vec<_> =
            logins.iter().filter(|s| s.get("source.ip") == address && s.get("source.port") == port).collect();
        let accepted = of_act.iter().filter(|seen| seen.get("event.outcome") == "success").count();
        if accepted != usize::from(act.text("outcome") == "success") {
            wrong.push(format!("{accepted} successes of {}", act.value));
        }
        for seen in of_act {
            if seen.get("user.name") != written(act.text("user")) {
                wrong.push(format!("user {:?} of {}", seen.get("user.name"), act.value));
            }
        }
    }
    for seen in logins {
        let (address, port) = (seen.get("source.ip"), seen.get("source.port"));
        // `error: PAM: Authentication failure for NAME from ADDRESS` has no port.
        let is_known = |(known, of): &(String, String)| known == address && (port.is_empty() || of == port);
        if !known.iter().any(is_known) {
            wrong.push(format!("nobody did this: {:?}", seen.fields));
        }
    }
    wrong
}

#[test]
fn logins_over_ssh_are_told_as_they_were_in_each_format() {
    let mut wrong = Vec::new();
    for scene in scenes() {
        for variant in scene.variants() {
            let found = wrong_logins(&scene, &scene.events(&variant));
            wrong.extend(found.into_iter().map(|what| format!("{} {}: {what}", scene.name, variant.name)));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
