//! Who acts in the demo: kubectl under client certificates and service account tokens of a real cluster, and somebody
//! without credentials.
//! In: a cluster that holds what setup.yaml says. Out: one way to act for each identity. None but `admin` may do everything.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::support::{Kubectl, TestCluster, wait_until};

pub struct Cast {
    /// Member of system:masters.
    pub admin: Kubectl,
    /// Users, by client certificate.
    pub dana: Kubectl,
    pub eve: Kubectl,
    pub mallory: Kubectl,
    pub oscar: Kubectl,
    /// An administrator whose kubeconfig lies on the node.
    pub kate: Kubectl,
    /// Service accounts of namespace shop, by token.
    pub deployer: Kubectl,
    pub backup: Kubectl,
    pub frontend: Kubectl,
    pub nobody: Anonymous,
}

impl Cast {
    pub fn of(cluster: &TestCluster) -> Result<Cast> {
        let admin = cluster.kubectl();
        let user = |name| Ok::<_, anyhow::Error>(admin.with_kubeconfig(&cluster.client_certificate(name, &[])?));
        let account =
            |name| Ok::<_, anyhow::Error>(admin.with_kubeconfig(&cluster.service_account_kubeconfig("shop", name)?));
        let cast = Cast {
            dana: user("dana")?,
            eve: user("eve")?,
            mallory: user("mallory")?,
            oscar: user("oscar")?,
            kate: user("kate")?,
            deployer: account("deployer")?,
            backup: account("backup")?,
            frontend: account("frontend")?,
            nobody: Anonymous::of(cluster)?,
            admin,
        };
        // One of each kind of binding: what was applied with them is known as well.
        may(&cast.oscar, "create roles -n payments")?;
        may(&cast.mallory, "create clusterrolebindings")?;
        allowed(&cast.admin, "wait --for=create serviceaccount/default -n shop --timeout=30s")?;
        Ok(cast)
    }
}

/// Somebody who reaches the API server's port, and shows no credential.
pub struct Anonymous {
    kubeconfig: PathBuf,
}

impl Anonymous {
    /// kubectl would ask for a password, so this is a plain HTTPS client.
    fn of(cluster: &TestCluster) -> Result<Anonymous> {
        let authority = cluster.dir().join("pki/ca.crt");
        let config = json!({
            "clusters": [{"name": "demo", "cluster": {"server": cluster.server(), "certificate-authority": authority}}],
            "users": [{"name": "nobody", "user": {}}],
            "contexts": [{"name": "demo", "context": {"cluster": "demo", "user": "nobody"}}],
            "current-context": "demo",
        });
        let kubeconfig = cluster.dir().join("nobody.kubeconfig");
        fs::write(&kubeconfig, config.to_string())?;
        Ok(Anonymous { kubeconfig })
    }

    /// GET; fails when the answer has another status.
    pub fn get(&self, path: &str, status: u16) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let answer = runtime.block_on(async {
            let client = TestCluster::client_of(&self.kubeconfig).await?;
            let answer = client.request_text(http::Request::get(path).body(Vec::new())?).await;
            Ok::<_, anyhow::Error>(answer)
        })?;
        let found = match answer {
            Ok(_) => 200,
            Err(kube::Error::Api(answer)) => answer.code,
            Err(error) => return Err(error).context(format!("GET {path} without credentials")),
        };
        if found != status {
            bail!("GET {path} without credentials: {found} where {status} was expected");
        }
        Ok(())
    }
}

/// Runs kubectl, which must succeed.
pub fn allowed(kubectl: &Kubectl, command: &str) -> Result<()> {
    kubectl.run(&words(command)).success().map(drop).with_context(|| format!("kubectl {command}"))
}

/// Runs kubectl, which must be refused.
pub fn refused(kubectl: &Kubectl, command: &str) -> Result<()> {
    let output = kubectl.run(&words(command));
    match !output.ok && output.stderr.contains("(Forbidden)") {
        true => Ok(()),
        false => bail!("kubectl {command} was to be refused, but: {}{}", output.stdout, output.stderr),
    }
}

/// Waits until the API server knows a permission that was just given: moments, not at once. It asks by `kubectl auth can-i`,
/// so that no refused try is counted among the attacks.
pub fn may(kubectl: &Kubectl, what: &str) -> Result<()> {
    let command = format!("auth can-i {what}");
    wait_until(&format!("kubectl {command}"), Duration::from_secs(20), || {
        kubectl.run(&words(&command)).ok.then_some(())
    })
}

pub fn words(command: &str) -> Vec<&str> {
    command.split_whitespace().collect()
}
