//! Lines of real daemons, from redaction to the event, held against what was done: by the recordings' truths, and with the
//! attacker's text swapped for hostile text.

mod actions;
mod hostile;
mod scenes;
mod truth;
mod truth_accounts;
mod truth_web;
