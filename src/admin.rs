//! The admin port: `/livez`, `/readyz`, `/metrics`. Plain HTTP, read-only, nothing but states and counts.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use prometheus::{Registry, TextEncoder};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

#[derive(Clone, Debug, clap::Args)]
pub struct AdminArgs {
    /// Where /livez, /readyz and /metrics are served.
    #[arg(long, env = "KUBEWITNESS_ADMIN_LISTEN", default_value = "0.0.0.0:8080", value_name = "ADDRESS")]
    pub admin_listen: SocketAddr,
}

/// One thing that must hold: for `/livez` always, for `/readyz` before traffic is wanted.
#[derive(Clone, Debug)]
pub struct Check {
    name: &'static str,
    holds: Arc<AtomicBool>,
}

impl Check {
    pub fn new(name: &'static str, holds: bool) -> Check {
        Check { name, holds: Arc::new(AtomicBool::new(holds)) }
    }

    pub fn set(&self, holds: bool) {
        self.holds.store(holds, Ordering::Relaxed);
    }

    /// Turns false when the guard is dropped: held by a thread, it tells that the thread ended or panicked.
    pub fn until_dropped(self) -> Guard {
        Guard(self)
    }

    fn get(&self) -> bool {
        self.holds.load(Ordering::Relaxed)
    }
}

/// See `Check::until_dropped`.
pub struct Guard(Check);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

pub struct Admin {
    pub registry: Registry,
    pub live: Vec<Check>,
    pub ready: Vec<Check>,
}

impl Admin {
    /// Serves until `shutdown` is cancelled.
    pub async fn run(self, listener: TcpListener, shutdown: CancellationToken) -> std::io::Result<()> {
        let router = Router::new()
            .route("/livez", get(|State(admin): State<Arc<Admin>>| async move { answer(&admin.live) }))
            .route("/readyz", get(|State(admin): State<Arc<Admin>>| async move { answer(&admin.ready) }))
            .route("/metrics", get(metrics))
            .with_state(Arc::new(self));
        axum::serve(listener, router).with_graceful_shutdown(async move { shutdown.cancelled().await }).await
    }
}

fn answer(checks: &[Check]) -> impl IntoResponse + use<> {
    let failing: Vec<_> = checks.iter().filter(|c| !c.get()).map(|c| c.name).collect();
    if failing.is_empty() {
        (StatusCode::OK, "ok\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("not yet: {}\n", failing.join(", ")))
    }
}

async fn metrics(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    match TextEncoder::new().encode_to_string(&admin.registry.gather()) {
        Ok(text) => (StatusCode::OK, [("content-type", "text/plain; version=0.0.4; charset=utf-8")], text),
        Err(error) => {
            tracing::error!(%error, "metrics do not encode");
            (StatusCode::INTERNAL_SERVER_ERROR, [("content-type", "text/plain; charset=utf-8")], String::new())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_that_does_not_hold_is_named_with_503() {
        let (one, other) = (Check::new("one", true), Check::new("other", true));
        let status = |checks: &[Check]| answer(checks).into_response().status();
        assert_eq!(status(&[one.clone(), other.clone()]), StatusCode::OK);
        other.set(false);
        assert_eq!(status(&[one, other]), StatusCode::SERVICE_UNAVAILABLE);
    }

    #[test]
    fn a_thread_that_ends_or_panics_is_told() {
        for panics in [false, true] {
            let alive = Check::new("thread", true);
            let guard = alive.clone().until_dropped();
            let ended = std::thread::spawn(move || {
                let _held = guard;
                assert!(!panics, "on purpose");
            });
            assert_eq!(ended.join().is_err(), panics);
            assert!(!alive.get());
        }
    }
}
