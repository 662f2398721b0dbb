//! Flags of the relay.

use std::{net::SocketAddr, path::PathBuf};

use bytesize::ByteSize;

use crate::collector::CollectorError;

/// Flags of a collector that also takes the audit webhook of its own node's API server.
#[derive(Clone, Debug, clap::Args)]
pub struct RelayArgs {
    /// Take the audit webhook of the API server on this node, at a loopback address such as 127.0.0.1:9444: events are on
    /// this node's disk before they are acknowledged, and sent on from there. Plain HTTP, over which an API server sends no
    /// token of its kubeconfig: write it into the address, as in
    /// http://kubewitness:TOKEN@127.0.0.1:9444/audit/<cluster>/<node>. Needs --relay-credentials, and a LogSource like manifests/log-sources/apiserver-relay.yaml that names <state-dir>/relay/audit.log.
    #[arg(long, env = "KUBEWITNESS_RELAY_LISTEN", value_name = "ADDRESS", requires = "relay_credentials")]
    pub relay_listen: Option<SocketAddr>,
    /// Tokens that the API server may use, YAML: `credentials: [{cluster, apiserver, tokenSHA256}]`. Each is good for
    /// /audit/<cluster>/<apiserver> alone, and <apiserver> must be the name of this node. Read again when it changes.
    #[arg(long, env = "KUBEWITNESS_RELAY_CREDENTIALS", value_name = "FILE", requires = "relay_listen")]
    pub relay_credentials: Option<PathBuf>,
    /// Disk that events of the API server may take until the controller has them, such as 1GiB. When it is full they are
    /// refused with 503, and the API server tries again for as long as it does.
    #[arg(long, env = "KUBEWITNESS_RELAY_MAX", default_value = "1GiB", value_name = "SIZE")]
    pub relay_max: ByteSize,
}

/// What a relay runs with.
#[derive(Clone, Debug)]
pub struct RelayConfig {
    /// A loopback address.
    pub listen: SocketAddr,
    pub credentials: PathBuf,
    /// Bytes of its files.
    pub limit: u64,
}

/// Eight files of 4 MiB: what is written at once fits into each.
const SMALLEST: u64 = 32 << 20;

impl RelayArgs {
    /// None without a relay.
    pub fn config(&self) -> Result<Option<RelayConfig>, CollectorError> {
        let (Some(listen), Some(credentials)) = (self.relay_listen, self.relay_credentials.clone()) else {
            return Ok(None);
        };
        if !listen.ip().is_loopback() {
            return Err(CollectorError::RelayNotLocal(listen));
        }
        let limit = self.relay_max.as_u64();
        if limit < SMALLEST {
            return Err(CollectorError::RelayTooSmall(self.relay_max));
        }
        Ok(Some(RelayConfig { listen, credentials, limit }))
    }
}
