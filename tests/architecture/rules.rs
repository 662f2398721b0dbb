//! What the architecture allows, as tables: who may import whom, and which names the pure ranks may not use.

/// How far an import within a rank, or from an edge, reaches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arrow {
    /// Anything of the module.
    To(&'static str),
    /// Its types only, never its functions: the output of the stage before.
    TypesOf(&'static str),
    /// Only what lies below this path.
    Below(&'static str),
}
use Arrow::{Below, To, TypesOf};

pub struct Module {
    pub name: &'static str,
    pub rank: u8,
    /// Imports beyond lower ranks. For edges: everything above rank 0, so that the table shows all they stand on.
    pub arrows: &'static [Arrow],
}

pub const PURE: u8 = 2;
pub const EDGE: u8 = 3;
/// The one edge that all others may import.
pub const TELEMETRY: &str = "telemetry";

const fn module(rank: u8, name: &'static str, arrows: &'static [Arrow]) -> Module {
    Module { name, rank, arrows }
}

/// Every module of `src/lib.rs`. A new one is added here, in the place where it belongs.
#[rustfmt::skip] // a table reads best as one
pub const MODULES: &[Module] = &[
    // Nouns
    module(0, "api", &[]),
    module(0, "record", &[To("api")]),
    module(0, "event", &[To("api"), To("record")]),
    module(0, "shared", &[]),
    // Rules
    module(1, "ruleset", &[]),
    // Stages
    module(2, "redact", &[]),
    module(2, "normalise", &[]),
    module(2, "enrich", &[]),
    module(2, "detect", &[Below("normalise::text")]),
    module(2, "correlate", &[TypesOf("detect")]),
    module(2, "alert", &[TypesOf("detect"), TypesOf("correlate"), Below("normalise::text")]),
    module(2, "pipeline", &[To("redact"), To("normalise"), To("enrich"), To("detect"), To("correlate"), To("alert")]),
    // Edges
    module(3, "collector", &[To("redact"), To("admin"), Below("ingest::relay")]),
    module(3, "ingest", &[To("redact"), To("store")]),
    module(3, "store", &[]),
    module(3, "cluster", &[To("ruleset"), To("enrich"), To("alert")]),
    module(3, "telemetry", &[]),
    module(3, "admin", &[]),
    // Roots
    module(4, "controller", &[]),
    module(4, "offline", &[]),
    module(4, "webhook_config", &[]),
    module(4, "canary", &[]),
    // The references that it prints are of what the roots register and take as flags.
    module(4, "generate", &[To("controller"), TypesOf("cli"), To("offline")]),
    module(4, "cli", &[To("controller"), To("offline"), To("webhook_config"), To("canary"), To("generate")]),
];

/// A name that ranks 0 to 2 may not use: consecutive segments of a path.
pub struct Banned {
    pub segments: &'static [&'static str],
    pub reason: &'static str,
    /// The one file that may.
    pub except: Option<&'static str>,
}

const fn banned(segments: &'static [&'static str], reason: &'static str) -> Banned {
    Banned { segments, reason, except: None }
}

const NO_ASYNC: &str = "stages are synchronous";
const NO_CLIENT: &str = "stages talk to no API server";
const NO_CLOCK: &str = "time is an argument";

pub const BANNED: &[Banned] = &[
    banned(&["async"], NO_ASYNC),
    banned(&["await"], NO_ASYNC),
    banned(&["tokio"], NO_ASYNC),
    banned(&["kube", "Client"], NO_CLIENT),
    banned(&["kube", "Api"], NO_CLIENT),
    banned(&["kube", "api", "Api"], NO_CLIENT),
    banned(&["kube", "client"], NO_CLIENT),
    banned(&["kube", "runtime"], NO_CLIENT),
    banned(&["std", "fs"], "stages touch no files"),
    banned(&["std", "env"], "configuration is an argument"),
    Banned {
        segments: &["std", "thread"],
        reason: "stages start no threads",
        // The CEL parser recurses, so it runs on one thread with a large stack.
        except: Some("src/ruleset/expr/parse.rs"),
    },
    banned(&["SystemTime"], NO_CLOCK),
    banned(&["Instant"], NO_CLOCK),
    banned(&["Timestamp", "now"], NO_CLOCK),
    banned(&["Zoned", "now"], NO_CLOCK),
];
