//! Requests that kubectl can't send: with headers of one's own, or a body that is no JSON.

use std::path::Path;

use crate::support::{TestCluster, block_on};

pub const APPLY: &str = "application/apply-patch+yaml";
pub const JSON_PATCH: &str = "application/json-patch+json";
pub const MERGE_PATCH: &str = "application/merge-patch+json";
/// Asks for an answer that holds none of the object.
pub const AS_TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

/// Sends it as the user of the kubeconfig, and is content with nothing but success.
pub fn send(kubeconfig: &Path, method: &str, path: &str, headers: &[(&str, &str)], body: &str) {
    block_on(async {
        let client = TestCluster::client_of(kubeconfig).await?;
        let mut request = http::Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        client.request_text(request.body(body.as_bytes().to_vec())?).await?;
        Ok(())
    })
    .unwrap_or_else(|error| panic!("{method} {path}: {error:#}"));
}

/// The code of the answer to a read of that path, as it is spelt: kubectl would tidy it up.
pub fn status(kubeconfig: &Path, path: &str) -> u16 {
    block_on(async {
        let client = TestCluster::client_of(kubeconfig).await?;
        let request = http::Request::get(path).body(kube::client::Body::empty())?;
        Ok(client.send(request).await?.status().as_u16())
    })
    .unwrap_or_else(|error| panic!("GET {path}: {error:#}"))
}
