//! A request or response body: kept as text, decoded when a rule reads it, at most once.

use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Deserializer};
use serde_json::{Value, value::RawValue};

#[derive(Clone, Debug)]
pub struct Body {
    raw: Arc<RawValue>,
    decoded: Arc<OnceLock<Value>>,
}

impl Body {
    pub fn raw(&self) -> &str {
        self.raw.get()
    }

    /// The decoded body. `Null` for text that does not decode (nested over serde_json's limit of 128), which redaction has
    /// already sent to the quarantine.
    pub fn value(&self) -> &Value {
        self.decoded.get_or_init(|| serde_json::from_str(self.raw.get()).unwrap_or(Value::Null))
    }
}

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Body { raw: raw.into(), decoded: Arc::default() })
    }
}
