//! The three files for an API server's node. In: names, token, authority. Out: text.

use std::fmt::Write as _;

use base64::prelude::{BASE64_STANDARD, Engine};

use super::target::Server;

/// Where the relay listens on each control-plane node.
const RELAY: &str = "127.0.0.1:9444";
const POLICY: &str = include_str!("../../manifests/audit/policy.yaml");
const FLAGS: &str = include_str!("flags.txt");

/// What an API server needs to know.
pub struct Webhook<'a> {
    pub cluster: &'a str,
    pub apiserver: &'a str,
    pub token: &'a str,
    /// The controller, the authorities to trust (PEM) and the name to expect; without it, the relay.
    pub server: Option<(&'a Server, String, Option<String>)>,
}

/// A file for the node.
pub struct File {
    pub name: &'static str,
    pub text: String,
    /// Of its owner, group and others.
    pub mode: u32,
}

impl Webhook<'_> {
    pub fn files(&self) -> [File; 3] {
        let flags = FLAGS.replace("@CLUSTER@", self.cluster).replace("@APISERVER@", self.apiserver);
        [
            File { name: "webhook.kubeconfig", text: self.kubeconfig(), mode: 0o600 },
            File { name: "policy.yaml", text: POLICY.to_owned(), mode: 0o644 },
            File { name: "flags.txt", text: flags, mode: 0o644 },
        ]
    }

    fn kubeconfig(&self) -> String {
        let Webhook { cluster, apiserver, token, server } = self;
        let mut lines = format!(
            "# Made by `kubewitness webhook-config` for API server {apiserver} of cluster {cluster}, and good for it alone.\n\
             # It holds a secret: readable by root only.\napiVersion: v1\nkind: Config\nclusters:\n  - name: kubewitness\n    cluster:\n"
        );
        let user = match server {
            Some((server, ca, name)) => {
                push(&mut lines, "server", &format!("{}/audit/{cluster}/{apiserver}", server.url()));
                push(&mut lines, "certificate-authority-data", &BASE64_STANDARD.encode(ca));
                if let Some(name) = name {
                    push(&mut lines, "tls-server-name", name);
                }
                format!("user: {{token: \"{token}\"}}")
            }
            None => {
                // kube-apiserver sends no bearer token over plain HTTP (client-go, tools/clientcmd/client_config.go), but
                // what stands in the URL, as Basic.
                let url = format!("http://kubewitness:{token}@{RELAY}/audit/{cluster}/{apiserver}");
                push(&mut lines, "server", &url);
                "user: {}".to_owned()
            }
        };
        write!(
            lines,
            "users:\n  - name: kube-apiserver\n    {user}\ncontexts:\n  - name: kubewitness\n    context: {{cluster: \
             kubewitness, user: kube-apiserver}}\ncurrent-context: kubewitness\n"
        )
        .expect("writing to a String does not fail");
        lines
    }
}

/// Values are names, addresses and base64: none holds a quote.
fn push(lines: &mut String, key: &str, value: &str) {
    writeln!(lines, "      {key}: \"{value}\"").expect("writing to a String does not fail");
}

#[cfg(test)]
mod tests {
    use super::super::target::server;
    use super::*;
    use serde_json::Value;

    fn kubeconfig(webhook: &Webhook<'_>) -> Value {
        let [kubeconfig, policy, flags] = webhook.files();
        assert_eq!((kubeconfig.mode, policy.text.contains("kind: Policy")), (0o600, true));
        assert!(flags.text.contains("cp-1") && !flags.text.contains('@'), "{}", flags.text);
        serde_saphyr::from_str(&kubeconfig.text).unwrap()
    }

    #[test]
    fn a_kubeconfig_names_path_authority_and_token() {
        let controller = server("https://10.0.0.7:30943").unwrap();
        let webhook = Webhook { cluster: "prod", apiserver: "cp-1", token: "t_-0", server: None };
        let direct = Webhook { server: Some((&controller, "PEM".into(), Some("kw.svc".into()))), ..webhook };
        let config = kubeconfig(&direct);
        let cluster = &config["clusters"][0]["cluster"];
        assert_eq!(cluster["server"], "https://10.0.0.7:30943/audit/prod/cp-1");
        assert_eq!(
            (&cluster["certificate-authority-data"], &cluster["tls-server-name"]),
            (&"UEVN".into(), &"kw.svc".into())
        );
        assert_eq!(config["users"][0]["user"]["token"], "t_-0");

        let relay = Webhook { cluster: "prod", apiserver: "cp-1", token: "t_-0", server: None };
        let config = kubeconfig(&relay);
        assert_eq!(
            config["clusters"][0]["cluster"],
            serde_json::json!({"server": "http://kubewitness:t_-0@127.0.0.1:9444/audit/prod/cp-1"})
        );
    }
}
