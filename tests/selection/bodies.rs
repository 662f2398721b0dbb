//! A body is decoded when a condition that is left to evaluate reads it, and not before.

use kubewitness::{detect::detect, normalise, ruleset::Ruleset};
use serde_json::{Value, json};

use super::{bystanders, record, rule, ruleset, shipped};

/// A request with a body and an answer, which asks for nothing that is rare.
fn request(verb: &str, resource: &str) -> Value {
    json!({"level": "RequestResponse", "stage": "ResponseComplete", "verb": verb, "user": {"username": "jane"},
        "requestURI": "/api/v1/namespaces/shop/things", "responseStatus": {"code": 200}, "sourceIPs": ["10.0.0.7"],
        "objectRef": {"resource": resource, "namespace": "shop", "name": "b"},
        "requestObject": {"kind": "Thing", "spec": {"hostNetwork": true}}, "responseObject": {"kind": "Thing", "spec": {}}})
}

/// Which of the two bodies evaluation decodes, and how many matches there are.
fn decoded(ruleset: &Ruleset, request: &Value) -> (bool, bool, usize) {
    let record = record(&request.to_string());
    let event = normalise::event(&record).unwrap();
    let matches = detect(ruleset, &event, 1).matches.len();
    let audit = event.audit.as_deref().unwrap();
    let is_decoded = |body: &Option<kubewitness::event::Body<'_>>| body.as_ref().unwrap().is_decoded();
    (is_decoded(&audit.request_object), is_decoded(&audit.response_object), matches)
}

#[test]
fn only_a_condition_that_is_left_decodes_the_body_that_it_reads() {
    let reads = |verb: &str, resource: &str| {
        format!(
            "audit.verb == '{verb}' && audit.objectRef.resource == '{resource}' && audit.requestObject.spec.hostNetwork == true"
        )
    };
    let few =
        vec![rule(0, reads("create", "pods")), rule(1, "audit.verb == 'delete' && has(audit.responseObject)".into())];
    let mut many = few.clone();
    many.extend(bystanders(few.len()));
    for sources in [few, many] {
        let ruleset = ruleset(&sources);
        assert_eq!(decoded(&ruleset, &request("create", "pods")), (true, false, 1), "it reads the request alone");
        assert_eq!(decoded(&ruleset, &request("update", "pods")), (false, false, 0), "of another verb");
        assert_eq!(decoded(&ruleset, &request("create", "nodes")), (false, false, 0), "of another resource");
        assert_eq!(
            decoded(&ruleset, &request("delete", "pods")),
            (false, false, 1),
            "whether it is there needs no decoding"
        );
    }
}

#[test]
fn shipped_rules_decode_no_body_of_what_none_of_them_asks_for() {
    let ruleset = ruleset(&shipped());
    for (verb, resource) in [("update", "leases"), ("create", "events"), ("update", "things"), ("get", "pods")] {
        assert_eq!(decoded(&ruleset, &request(verb, resource)), (false, false, 0), "{verb} {resource}");
    }
    let mut pod = request("create", "pods");
    pod["requestObject"] =
        json!({"kind": "Pod", "metadata": {"name": "b"}, "spec": {"containers": [{"name": "a", "image": "b"}]}});
    assert!(decoded(&ruleset, &pod).0, "many of them ask what is in a pod");
}
