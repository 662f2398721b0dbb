//! Claims about time: fixed cases, and random rules and events against an oracle that sees the whole sorted list.

mod cases;
mod oracle;
mod waits;
