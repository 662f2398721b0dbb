//! A node with real daemons, driven by `tests/node/live.sh`.
//! In: the directory for its logs, acts. Out: the truth of each act, by the node's clock, which is this machine's.

use crate::support::{repository, wait_until};
use jiff::Timestamp;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Until the daemons listen, or an act is done, beside builds as well.
const PATIENCE: Duration = Duration::from_secs(180);
const NEEDS: &str = "this test needs root and a Debian host: it runs real sshd, sudo and rsyslog in private namespaces";

/// When something was done.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    pub from: Timestamp,
    pub to: Timestamp,
}

/// Dropping it ends the daemons.
pub struct LiveNode {
    shell: Child,
    acts: Option<ChildStdin>,
    answers: Receiver<String>,
}

impl LiveNode {
    /// Builds the root file system where it is missing (1-3 minutes), and starts the daemons, which log into `dir`.
    pub fn start(dir: &Path) -> LiveNode {
        let script = |name: &str| repository("tests/node").join(name);
        // Standard error is inherited, past the test harness's capture: it says what is built, or what is missing.
        let built = Command::new(script("root.sh")).arg("bookworm").stdout(Stdio::null()).status().unwrap();
        assert!(built.success(), "tests/node/root.sh failed, the lines above say why; {NEEDS}");
        // The kernel's log is this machine's: other tests' lines would be in it.
        let mut live = Command::new(script("live.sh"));
        live.arg(dir).args(["bookworm", "no-kernel"]);
        LiveNode::drive(live)
    }

    /// Starts the daemons by a command that speaks as live.sh does.
    pub fn drive(mut command: Command) -> LiveNode {
        let mut shell = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (send, answers) = channel();
        let output = BufReader::new(shell.stdout.take().unwrap());
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        let node = LiveNode { acts: shell.stdin.take(), shell, answers };
        assert_eq!(node.answer("the start"), "ready");
        node
    }

    fn answer(&self, of: &str) -> String {
        self.answers
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|error| panic!("tests/node/live.sh gave no answer to {of} ({error}); {NEEDS}"))
    }

    /// Does one act of those that live.sh lists. When each of its parts was done.
    pub fn act(&mut self, words: &str) -> Vec<Span> {
        writeln!(self.acts.as_mut().unwrap(), "{words}").unwrap();
        let answer = self.answer(words);
        let truth = answer.strip_prefix("ok ").unwrap_or_else(|| panic!("{words}: {answer}"));
        let truth: Value = serde_json::from_str(truth).unwrap();
        let parts = truth["acts"].as_array().cloned().unwrap_or_else(|| vec![truth]);
        let at = |part: &Value, end: &str| part[end].as_str().unwrap().parse().unwrap();
        parts.iter().map(|part| Span { from: at(part, "from"), to: at(part, "to") }).collect()
    }
}

impl Drop for LiveNode {
    fn drop(&mut self) {
        drop(self.acts.take());
        let ended = wait_until("the node ends", Duration::from_secs(30), || self.shell.try_wait().transpose());
        if ended.is_err() {
            // The first process of the namespaces ends with this one, and all others with that.
            drop(self.shell.kill().and_then(|()| self.shell.wait()));
        }
    }
}
