//! Messages of the programs that keep accounts (shadow's useradd, usermod, groupadd, gpasswd, passwd … and adduser). In: a
//! message and the program. Out: which account or group was made, changed or removed. Names have passed the programs' own
//! checks; quotes around them are never part of one.
//!
//! One change is one event with its action: of the lines that tell of `/etc/group` and `/etc/gshadow` besides, the action is
//! `group-file-changed`.

use super::draft::Draft;
use crate::event::Outcome;

const PROVIDER: &str = "shadow";

/// Programs whose messages are read here.
pub const PROGRAMS: &[&str] = &[
    "adduser",
    "chage",
    "chfn",
    "chgpasswd",
    "chpasswd",
    "chsh",
    "deluser",
    "gpasswd",
    "groupadd",
    "groupdel",
    "groupmod",
    "newusers",
    "passwd",
    "useradd",
    "userdel",
    "usermod",
];

/// Reads one message; false when none of the known forms fits.
pub fn read<'a>(draft: &mut Draft<'a>, message: &'a str) -> bool {
    creation(draft, message)
        || membership(draft, message)
        || removal(draft, message)
        || change(draft, message)
        || failure(draft, message)
}

fn mark<'a>(draft: &mut Draft<'a>, action: &'static str, of: &'static str, type_: &'static str) {
    draft.mark(PROVIDER, action, &["iam"], &[of, type_], Outcome::Success);
}

/// `key=value` of a list parted by `, `.
fn item<'a>(text: &'a str, key: &str) -> &'a str {
    text.split(", ").find_map(|part| part.strip_prefix(key)).unwrap_or("")
}

/// `'NAME'` at the start, and what follows.
fn quoted<'a>(text: &'a str, opening: &str) -> Option<(&'a str, &'a str)> {
    text.strip_prefix(opening)?.strip_prefix('\'')?.split_once('\'')
}

fn creation<'a>(draft: &mut Draft<'a>, message: &'a str) -> bool {
    if let Some(rest) = message.strip_prefix("new user: name=") {
        return new_user(draft, rest);
    }
    let (rest, action) = if let Some(rest) = message.strip_prefix("new group: ") {
        (rest, "group-added")
    } else if let Some((_, rest)) = message.strip_prefix("group added to ").and_then(|rest| rest.split_once(": ")) {
        (rest, "group-file-changed")
    } else {
        return false;
    };
    mark(draft, action, "group", if action == "group-added" { "creation" } else { "change" });
    draft.event.group.name = item(rest, "name=").into();
    draft.event.group.id = item(rest, "GID=").into();
    true
}

/// `%s, UID=%u, GID=%u, home=%s, shell=%s[, from=%s]` (src/useradd.c, from shadow 4.9 on with `from`). The numbers and the terminal are
/// the program's own. Home and shell are any text of whoever may add users, and so is a name under --badname: a line that could be
/// cut elsewhere is flagged.
fn new_user<'a>(draft: &mut Draft<'a>, text: &'a str) -> bool {
    const HOME: &str = ", home=";
    const SHELL: &str = ", shell=";
    let number = |text: &str| super::stamp::number::<u32>(text).is_some();
    let mut cuts = text.match_indices(", UID=").filter_map(|(index, separator)| {
        let (name, rest) = text.split_at_checked(index)?;
        let (uid, rest) = rest.strip_prefix(separator)?.split_once(", GID=")?;
        let (gid, rest) = rest.split_once(HOME)?;
        (number(uid) && number(gid)).then_some((name, uid, gid, rest))
    });
    let Some((name, uid, gid, rest)) = cuts.next() else { return false };
    let several = cuts.next().is_some() || rest.matches(SHELL).count() > 1;
    let (rest, from) = rest.rsplit_once(", from=").unwrap_or((rest, ""));
    let (home, shell) = rest.split_once(SHELL).unwrap_or((rest, ""));
    mark(draft, "user-added", "user", "creation");
    draft.event.user.target_name = name.into();
    draft.event.user.target_id = uid.into();
    draft.event.group.id = gid.into();
    draft.note("home", home);
    draft.note("shell", shell);
    draft.note("from", if from == "none" { "" } else { from });
    draft.event.process.tty = from.strip_prefix("/dev/").unwrap_or("").into();
    if several {
        draft.ambiguous();
    }
    true
}

/// useradd, usermod: `add 'x' to group 'g'`; gpasswd: `user x added by root to group g`.
fn membership<'a>(draft: &mut Draft<'a>, message: &'a str) -> bool {
    let quoted_form = [("add ", " to ", "group-member-added"), ("delete ", " from ", "group-member-removed")]
        .iter()
        .find_map(|(verb, preposition, action)| {
            let (user, rest) = quoted(message, verb)?;
            let rest = rest.strip_prefix(preposition)?;
            let (action, rest) = match rest.strip_prefix("shadow ") {
                Some(rest) => ("group-file-changed", rest),
                None => (*action, rest),
            };
            let (group, _) = quoted(rest, "group ")?;
            Some((user, "", group, action))
        });
    let gpasswd = || {
        let rest = message.strip_prefix("user ")?;
        let added =
            rest.split_once(" added by ").and_then(|(user, rest)| Some((user, rest.rsplit_once(" to group ")?, true)));
        let removed = || {
            rest.split_once(" removed by ")
                .and_then(|(user, rest)| Some((user, rest.rsplit_once(" from group ")?, false)))
        };
        let (user, (by, group), is_added) = added.or_else(removed)?;
        Some((user, by, group, if is_added { "group-member-added" } else { "group-member-removed" }))
    };
    if let Some((user, by, group, action)) = quoted_form.or_else(gpasswd) {
        mark(draft, action, "group", "change");
        draft.event.user.name = by.into();
        draft.event.user.target_name = user.into();
        draft.event.group.name = group.into();
        return true;
    }
    // gpasswd -M and -A: `members of group g set by root to a,b`.
    for (opening, action) in
        [("members of group ", "group-members-set"), ("administrators of group ", "group-administrators-set")]
    {
        let Some((group, rest)) = message.strip_prefix(opening).and_then(|rest| rest.split_once(" set by ")) else {
            continue;
        };
        let (by, members) = rest.split_once(" to ").unwrap_or((rest, ""));
        mark(draft, action, "group", "change");
        draft.event.user.name = by.into();
        draft.event.group.name = group.into();
        // With one member there is no doubt who it is.
        if !members.contains(',') {
            draft.event.user.target_name = members.into();
        }
        draft.note("members", members);
        return true;
    }
    false
}

fn removal<'a>(draft: &mut Draft<'a>, message: &'a str) -> bool {
    if let Some((user, rest)) = quoted(message, "delete user ")
        && rest.is_empty()
    {
        mark(draft, "user-deleted", "user", "deletion");
        draft.event.user.target_name = user.into();
        return true;
    }
    let by_userdel = |opening| quoted(message, opening).filter(|(_, rest)| rest.starts_with(" owned by "));
    if let Some((group, _)) = by_userdel("removed group ") {
        mark(draft, "group-deleted", "group", "deletion");
        draft.event.group.name = group.into();
        return true;
    }
    let shadow = by_userdel("removed shadow group ").map(|(group, _)| group);
    let Some((group, rest)) =
        shadow.map(|group| (group, " removed from /etc/gshadow")).or_else(|| quoted(message, "group "))
    else {
        return false;
    };
    let (action, type_) = match rest {
        " removed" => ("group-deleted", "deletion"),
        _ if rest.starts_with(" removed from ") => ("group-file-changed", "change"),
        _ => return false,
    };
    mark(draft, action, "group", type_);
    draft.event.group.name = group.into();
    true
}

fn change<'a>(draft: &mut Draft<'a>, message: &'a str) -> bool {
    // usermod: `change user name 'a' to 'b'`, `change user 'x' UID from '1' to '0'`, `lock user 'x' password`.
    let usermod = [
        ("change user ", "user-changed"),
        ("lock user ", "user-locked"),
        ("unlock user ", "user-unlocked"),
        ("changed user ", "user-changed"),
    ];
    for (opening, action) in usermod {
        let renamed = quoted(message, "change user name ").map(|(user, to)| (user, format!("name{to}")));
        let Some((user, what)) =
            renamed.or_else(|| quoted(message, opening).map(|(user, what)| (user, what.trim().to_owned())))
        else {
            continue;
        };
        let is_password = what == "password" && action == "user-changed";
        mark(draft, if is_password { "password-changed" } else { action }, "user", "change");
        draft.event.user.target_name = user.into();
        if let Some(uid) = what.strip_prefix("UID from ").and_then(|rest| rest.rsplit_once(" to ")) {
            draft.event.user.target_id = uid.1.trim_matches('\'').to_owned().into();
        }
        draft.note("change", what);
        return true;
    }
    // passwd: `password for 'x' changed by 'root'`; chage: `changed password expiry for x`.
    if let Some((user, rest)) = quoted(message, "password for ")
        && let Some((by, _)) = quoted(rest, " changed by ")
    {
        mark(draft, "password-changed", "user", "change");
        draft.event.user.name = by.into();
        draft.event.user.target_name = user.into();
        return true;
    }
    if let Some(user) = message.strip_prefix("changed password expiry for ") {
        mark(draft, "user-changed", "user", "change");
        draft.event.user.target_name = user.into();
        draft.note("change", "password expiry");
        return true;
    }
    group_change(draft, message)
}

/// groupmod: `group changed in /etc/group (group operators/4301, new name: crew)`; gpasswd: `password of group g changed by
/// root`.
fn group_change<'a>(draft: &mut Draft<'a>, message: &'a str) -> bool {
    if let Some((group, by)) =
        message.strip_prefix("password of group ").and_then(|rest| rest.split_once(" changed by "))
    {
        mark(draft, "group-changed", "group", "change");
        draft.event.group.name = group.into();
        draft.event.user.name = by.into();
        draft.note("change", "password");
        return true;
    }
    let Some((file, rest)) = message.strip_prefix("group changed in ").and_then(|rest| rest.split_once(" (group "))
    else {
        return false;
    };
    let Some((group, what)) = rest.strip_suffix(')').and_then(|rest| rest.split_once(", ")) else { return false };
    let (name, id) = group.split_once('/').unwrap_or((group, ""));
    mark(draft, if file == "/etc/group" { "group-changed" } else { "group-file-changed" }, "group", "change");
    draft.event.group.name = name.into();
    draft.event.group.id = id.into();
    draft.note("change", what);
    true
}

fn failure<'a>(draft: &mut Draft<'a>, message: &'a str) -> bool {
    let openings = [("failed adding user ", "user-added"), ("failed deleting user ", "user-deleted")];
    for (opening, action) in openings {
        if let Some((user, rest)) = quoted(message, opening) {
            draft.mark(PROVIDER, action, &["iam"], &["user", "error"], Outcome::Failure);
            draft.event.user.target_name = user.into();
            draft.event.reason = rest.trim_start_matches([',', ' ']).into();
            return true;
        }
    }
    false
}
