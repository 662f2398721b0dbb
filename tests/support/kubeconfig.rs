//! Kubeconfig files: those of users and components, and the audit webhook's, made from the file that we ship.
//! In: server, authority, credential. Out: text. JSON is used where we write one whole: it is YAML too.

use super::pki::Identity;
use anyhow::{Context, Result, bail};
use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::json;

/// Where the API server's audit webhook sends to.
#[derive(Clone, Debug)]
pub struct AuditWebhook {
    /// `https://HOST:PORT/audit/CLUSTER/APISERVER`
    pub url: String,
    /// The authority that signed the receiver's certificate.
    pub ca_pem: String,
    pub token: String,
}

/// How a user shows who it is.
pub enum Credential<'a> {
    Certificate(&'a Identity),
    Token(&'a str),
}

/// A kubeconfig with one cluster, one user and one context.
pub fn kubeconfig(server: &str, ca_pem: &str, credential: Credential) -> String {
    let user = match credential {
        Credential::Certificate(identity) => json!({
            "client-certificate-data": BASE64_STANDARD.encode(&identity.certificate_pem),
            "client-key-data": BASE64_STANDARD.encode(&identity.key_pem),
        }),
        Credential::Token(token) => json!({ "token": token }),
    };
    let cluster = json!({ "server": server, "certificate-authority-data": BASE64_STANDARD.encode(ca_pem) });
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "testbed", "cluster": cluster }],
        "users": [{ "name": "user", "user": user }],
        "contexts": [{ "name": "testbed", "context": { "cluster": "testbed", "user": "user" } }],
        "current-context": "testbed",
    });
    format!("{config:#}\n")
}

/// The shipped webhook kubeconfig with its placeholders filled in.
pub fn webhook_kubeconfig(webhook: &AuditWebhook) -> Result<String> {
    let (server, path) =
        webhook.url.split_once("/audit/").filter(|(server, _)| server.starts_with("https://")).with_context(|| {
            format!("{}: an audit webhook is https://HOST:PORT/audit/CLUSTER/APISERVER", webhook.url)
        })?;
    let (cluster, apiserver) = path.split_once('/').with_context(|| format!("{}: no APISERVER part", webhook.url))?;
    let mut text = include_str!("../../manifests/audit/webhook.kubeconfig").to_owned();
    let ca = BASE64_STANDARD.encode(&webhook.ca_pem);
    for (placeholder, value) in [
        ("@SERVER@", server),
        ("@CLUSTER@", cluster),
        ("@APISERVER@", apiserver),
        ("@CA@", &ca),
        ("@TOKEN@", &webhook.token),
    ] {
        if text.matches(placeholder).count() != 1 {
            bail!("manifests/audit/webhook.kubeconfig: {placeholder} must stand in it exactly once");
        }
        text = text.replace(placeholder, value);
    }
    Ok(text)
}
