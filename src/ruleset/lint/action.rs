//! Misspelt actions. In: literals that `event.action` is compared with. Out: a warning for each that no parser of the selector's
//! source gives, and for audit events one for what is no verb of a request. A test holds the table of actions to the normaliser.

use super::{Lint, Warning, compared::Compared};
use crate::{
    api::rule::Source,
    event::actions::{PARSERS, VERBS, is_of_lines},
    ruleset::expr::view::nearest,
};

/// Other methods that HTTP knows (WebDAV, RFC 4918 and its kin): a client may send any, and it becomes a verb in lower case.
const METHODS: &[&str] = &[
    "acl",
    "checkin",
    "checkout",
    "copy",
    "lock",
    "merge",
    "mkcol",
    "move",
    "pri",
    "propfind",
    "proppatch",
    "purge",
    "query",
    "report",
    "search",
    "unlock",
];
/// Verbs of RBAC alone, which allow what a request of another verb does.
const PERMISSIONS: &[(&str, &str)] = &[
    ("approve", "it allows an update of certificatesigningrequests/approval"),
    ("attest", "it allows the use of a signer"),
    ("bind", "it allows creating a binding to a role"),
    ("escalate", "it allows changing a role to more than one has"),
    ("impersonate", "compare `audit.impersonatedUser.username`, or `user.effective.name`"),
    ("sign", "it allows an update of certificatesigningrequests/status"),
    ("use", "it allows what names the object, such as a pod its class"),
];

pub fn check(source: Source, compared: &[Compared<'_>], warnings: &mut Vec<Warning>) {
    for Compared { expression, place, field, .. } in compared {
        let is_action = field.path == "event.action" || field.path == "audit.verb" && source == Source::Audit;
        let Some(action) = place.literal_text().filter(|action| is_action && !action.is_empty()) else { continue };
        if !is_possible(action, source) {
            let message = format!("`{}` of {} events is never {action:?}", field.path, source.as_str());
            warnings.push(Warning::at(Lint::UnknownAction, expression, place, message, hint(action, source)));
        }
    }
}

fn is_possible(action: &str, source: Source) -> bool {
    match source {
        Source::Audit => VERBS.contains(&action) || METHODS.contains(&action),
        Source::Node | Source::Container | Source::Web => is_of_lines(action),
    }
}

fn hint(action: &str, source: Source) -> String {
    let known: Vec<&str> = match source {
        Source::Audit => VERBS.to_vec(),
        Source::Node | Source::Container | Source::Web => PARSERS.iter().flat_map(|p| p.actions).copied().collect(),
    };
    if let Some((_, what)) = PERMISSIONS.iter().find(|(verb, _)| *verb == action && source == Source::Audit) {
        return format!("it is a permission and no request: {what}");
    }
    let lower = action.to_ascii_lowercase();
    match nearest(&lower, known.iter().copied()) {
        Some(name) => format!("did you mean {name:?}?"),
        None if source == Source::Audit => format!("a request's verb is one of {}", VERBS.join(", ")),
        None => "the reference of event fields lists the actions of each parser".to_owned(),
    }
}
