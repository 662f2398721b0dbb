//! Bounded waits on a condition, for what another process does in its own time.
//! In: what is awaited, for how long, and a question. Out: the answer, or an error that names what never came.

use anyhow::{Result, bail};
use std::future::Future;
use std::time::{Duration, Instant};

/// Between two questions: short beside what is waited for (process starts, HTTP answers), long enough to cost nothing.
const PAUSE: Duration = Duration::from_millis(50);

/// Asks until the answer is `Some`; after `timeout` fails with "`what` did not happen within ...".
pub fn wait_until<T>(what: &str, timeout: Duration, mut ask: impl FnMut() -> Option<T>) -> Result<T> {
    let deadline = Instant::now() + timeout;
    loop {
        if let Some(answer) = ask() {
            return Ok(answer);
        }
        if Instant::now() >= deadline {
            bail!("{what}: did not happen within {timeout:?}");
        }
        std::thread::sleep(PAUSE);
    }
}

/// The same for tests that run on tokio: the runtime goes on while this waits.
pub async fn wait_until_async<T, F>(what: &str, timeout: Duration, mut ask: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Option<T>>,
{
    let deadline = Instant::now() + timeout;
    loop {
        if let Some(answer) = ask().await {
            return Ok(answer);
        }
        if Instant::now() >= deadline {
            bail!("{what}: did not happen within {timeout:?}");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Runs a future to its end on a thread and runtime of its own, so that it works inside and outside of tokio.
pub fn block_on<T: Send>(future: impl Future<Output = Result<T>> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let run = || tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future);
        match scope.spawn(run).join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}
