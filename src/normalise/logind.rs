//! Messages of systemd-logind. In: `New session c1 of user ann.` (src/login/logind-session.c). Out: a session of the machine.
//! User names are of accounts, so they hold no blank.

use super::draft::Draft;
use crate::event::Outcome;

/// Reads one message; false when none of the known forms fits.
pub fn read<'a>(draft: &mut Draft<'a>, message: &'a str) -> bool {
    if let Some((session, rest)) = message.strip_prefix("New session ").and_then(|rest| rest.split_once(" of user ")) {
        let user = rest.split_once(" with class ").map_or(rest, |(user, _)| user).trim_matches(['\'', '.']);
        draft.mark("logind", "session-opened", &["session"], &["start"], Outcome::Success);
        draft.event.user.name = user.into();
        draft.note("session", session.trim_matches('\''));
        return true;
    }
    let ended = message.strip_prefix("Removed session ").and_then(|rest| rest.strip_suffix('.'));
    let Some(session) = ended else { return false };
    draft.mark("logind", "session-closed", &["session"], &["end"], Outcome::Success);
    draft.note("session", session);
    true
}
