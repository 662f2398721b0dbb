//! The collector as a node sees it: the real binary, real files that are rotated and truncated under it, and a controller
//! that is away, refuses and breaks off. Every test asks which lines arrived, from where.

mod chaos;
mod controller;
mod files;
mod many;
mod node;
mod outage;
mod relay;
mod start;
pub mod writer;

use controller::{Controller, Line};
use node::Node;
