//! Messages of cron and crontab. In: `(ann) CMD (/bin/true)` (`log_it`, misc.c of Vixie cron: `(%s) %s (%s)`). Out: a command
//! that ran for a user, or a table that somebody changed. The command is its owner's text and stands last, to the end.

use super::draft::Draft;
use crate::event::Outcome;

/// Reads one message; false when none of the known forms fits.
pub fn read<'a>(draft: &mut Draft<'a>, message: &'a str) -> bool {
    let Some((user, rest)) = message.strip_prefix('(').and_then(|rest| rest.split_once(") ")) else { return false };
    let Some((what, detail)) = rest.split_once(" (") else { return false };
    let Some(detail) = detail.strip_suffix(')') else { return false };
    let (action, category, type_, outcome) = match what {
        "CMD" => ("cron-command", "process", "start", Outcome::Success),
        "CMDEND" => ("cron-command-end", "process", "end", Outcome::Success),
        "CMDOUT" => ("cron-output", "process", "info", Outcome::Unknown),
        "REPLACE" => ("crontab-changed", "configuration", "change", Outcome::Success),
        "DELETE" => ("crontab-deleted", "configuration", "deletion", Outcome::Success),
        "LIST" => ("crontab-listed", "configuration", "access", Outcome::Success),
        "BEGIN EDIT" | "END EDIT" => ("crontab-edited", "configuration", "access", Outcome::Success),
        "RELOAD" => ("crontab-reloaded", "configuration", "change", Outcome::Success),
        "AUTH" => ("crontab-refused", "configuration", "denied", Outcome::Failure),
        "error" => ("cron-error", "process", "error", Outcome::Failure),
        "INFO" | "info" | "STARTUP" => ("cron-info", "process", "info", Outcome::Unknown),
        _ => return false,
    };
    draft.mark("cron", action, &[category], &[type_], outcome);
    let is_person = !matches!(user, "CRON" | "*system*");
    match what {
        "CMD" | "CMDEND" | "CMDOUT" => {
            draft.event.user.name = user.into();
            draft.event.process.command_line = detail.into();
        }
        "REPLACE" | "DELETE" | "LIST" | "BEGIN EDIT" | "END EDIT" | "AUTH" if is_person => {
            draft.event.user.name = user.into();
            draft.event.user.target_name = detail.into();
        }
        "RELOAD" if is_person => {
            draft.event.user.target_name = user.into();
            draft.event.file_path = detail.into();
        }
        _ => draft.event.reason = detail.into(),
    }
    true
}
