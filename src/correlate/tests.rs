//! Claims about time: fixed cases, and random rules and events against an oracle that sees the whole sorted list. Claims
//! about room: who gives way when it is short, and what that costs the others.

mod cases;
mod kept;
mod oracle;
mod packed;
mod room;
mod waits;
