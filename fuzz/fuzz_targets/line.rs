//! Any bytes as a line of an audit log: redacted, recorded and read into an event, or set aside.
#![no_main]

use kubewitness::{
    event::schema::FIELDS,
    normalise,
    record::{IdKey, Origin, Provenance},
    redact,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let outcome = redact::audit_event(redact::Input { bytes, oversize: false });
    let origin = Origin { cluster: "c".into(), reporter: "r".into(), provenance: Provenance::AuditLog };
    let received = "2026-03-01T23:30:06Z".parse().expect("a time");
    let record = redact::record(outcome, bytes, &origin, received, &IdKey::OFFLINE);
    if let Some(event) = normalise::event(&record) {
        for field in FIELDS {
            (field.get)(&event);
        }
    }
});
