//! A node with its control plane, booted by `tests/testbed/node`.
//! In: images. Out: commands run on it, and what they said. Ends the node however its owner ends.

use crate::support::{Output, kubewitness, repository, wait_until};
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Until a thing has happened that takes seconds, beside builds as well.
pub const SOON: Duration = Duration::from_secs(120);
pub const IMAGE: &str = "ghcr.io/kubewitness/kubewitness";
/// Where somebody's laptop calls from.
pub const LAPTOP: &str = "10.200.0.50";

/// The tests of this program run beside each other, and a machine has room for one node.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

pub struct Bed {
    dir: PathBuf,
    since: Instant,
    /// Ends the node when its standard input does: also when this process is killed.
    guard: Option<(Child, ChildStdin)>,
    /// Let go of when the node has ended.
    _alone: MutexGuard<'static, ()>,
}

fn script(name: &str) -> PathBuf {
    repository("tests/testbed/node").join(name)
}

/// The standard output of a program that must succeed; what it says of its progress is passed on.
fn said(command: &mut Command) -> String {
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{command:?} failed; the lines above say why");
    String::from_utf8(output.stdout).unwrap()
}

/// Our image with this tag, packed from the binary under test.
pub fn image(tag: &str) -> PathBuf {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("image/node-{tag}.tar"));
    let name = format!("{IMAGE}:{tag}");
    said(Command::new(repository("image/build.sh")).args([&kubewitness().unwrap(), &out]).arg(name));
    out
}

impl Bed {
    /// Boots the node; builds its programs first where they are missing. `KEEP=1` leaves it running and says where.
    pub fn start() -> Bed {
        Bed::start_with("5s")
    }

    /// The same with a kubelet that looks at volumes as rarely as it does by default.
    pub fn start_as_shipped() -> Bed {
        Bed::start_with("1m")
    }

    fn start_with(sync: &str) -> Bed {
        // Whoever panicked with it has ended its node.
        let alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let since = Instant::now();
        // Short, and on the disk: a node writes a gigabyte.
        let dir = PathBuf::from(format!("/var/tmp/kubewitness-node-{}", std::process::id()));
        let keep = std::env::var("KEEP").is_ok_and(|keep| !["", "0", "no"].contains(&keep.as_str()));
        let guard = (!keep).then(|| {
            let mut guard = Command::new("bash")
                .args(["-c", "cat >/dev/null; exec \"$0\" \"$1\""])
                .args([&script("down.sh"), &dir])
                .stdin(Stdio::piped())
                .spawn()
                .unwrap();
            let held = guard.stdin.take().unwrap();
            (guard, held)
        });
        let mut images = said(&mut Command::new(script("images.sh"))).trim().to_owned();
        images += &format!(" {}", image(env!("CARGO_PKG_VERSION")).display());
        let bed = Bed { dir, since, guard, _alone: alone };
        said(Command::new(script("up.sh")).arg(&bed.dir).env("IMAGES", images).env("SYNC", sync));
        bed.tell("the node is ready");
        if keep {
            bed.tell(&format!("it will stay: {} {} kubectl get pods -A", script("ns.sh").display(), bed.dir.display()));
        }
        bed
    }

    /// One line of progress.
    pub fn tell(&self, what: &str) {
        eprintln!("{:>4} s  {what}", self.since.elapsed().as_secs());
    }

    /// The directory that is `/out` on the node.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A command on the node, to be run as its root.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(script("ns.sh"));
        command.arg(&self.dir).args(words);
        command
    }

    /// Runs a command on the node to its end, with `input` on its standard input.
    pub fn try_with(&self, input: &[u8], words: &[&str]) -> Output {
        let mut command = self.command(words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_owned();
        // A program that ends without reading all of it is no fault.
        std::thread::spawn(move || stdin.write_all(&input).ok());
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Output { stdout: text(&output.stdout), stderr: text(&output.stderr), ok: output.status.success() }
    }

    pub fn try_run(&self, words: &[&str]) -> Output {
        self.try_with(b"", words)
    }

    /// The standard output of a command that must succeed.
    pub fn run(&self, words: &[&str]) -> String {
        let output = self.try_run(words);
        assert!(output.ok, "{words:?}: {}{}", output.stdout, output.stderr);
        output.stdout
    }

    /// A command on the administrator's laptop: what is called from the node itself is suspicious after a login there.
    pub fn on_laptop<'a>(words: &[&'a str]) -> Vec<&'a str> {
        let mut all = vec!["ip", "netns", "exec", "laptop"];
        all.extend(words);
        all
    }

    /// kubectl as the cluster's administrator, on the laptop.
    pub fn try_kubectl(&self, words: &[&str]) -> Output {
        let mut all = vec!["kubectl"];
        all.extend(words);
        self.try_run(&Bed::on_laptop(&all))
    }

    /// The same, where it must succeed and no word has a blank in it.
    pub fn kubectl(&self, words: &str) -> String {
        let words: Vec<_> = words.split_whitespace().collect();
        let output = self.try_kubectl(&words);
        assert!(output.ok, "kubectl {words:?}: {}{}", output.stdout, output.stderr);
        output.stdout
    }

    /// A kubeconfig on the node for somebody who is no administrator.
    pub fn person(&self, name: &str) -> String {
        let path = format!("/root/{name}.conf");
        self.run(&["bash", "-c", "umask 077; person.sh \"$0\" >\"$1\"", name, &path]);
        path
    }

    pub fn apply(&self, objects: &str) {
        let output = self.try_with(objects.as_bytes(), &Bed::on_laptop(&["kubectl", "apply", "-f", "-"]));
        assert!(output.ok, "{}", output.stderr);
    }

    /// Objects of a kind in all namespaces; none where the API server does not answer.
    pub fn objects(&self, kind: &str) -> Vec<Value> {
        let output = self.try_kubectl(&["get", kind, "-A", "-o", "json"]);
        let list: Value = serde_json::from_str(&output.stdout).unwrap_or_default();
        list["items"].as_array().cloned().unwrap_or_default()
    }

    /// Waits, and shows the state of pods and of our own logs when it was in vain.
    pub fn until<T>(&self, what: &str, ask: impl FnMut() -> Option<T>) -> T {
        wait_until(what, SOON, ask).unwrap_or_else(|error| panic!("{error}\n{}", self.state()))
    }

    /// Pods, what happened to them, and the ends of our logs.
    pub fn state(&self) -> String {
        let script = "kubectl get pods -A -o wide; kubectl get events -A --sort-by=.lastTimestamp | tail -n 15; \
            kubectl get securityalerts -A; \
            for pod in $(kubectl -n kubewitness get pods -o name); do echo \"== $pod\"; kubectl -n kubewitness logs --tail=20 $pod; \
            kubectl -n kubewitness logs --tail=10 --previous $pod; done 2>&1";
        let output = self.try_run(&Bed::on_laptop(&["bash", "-c", script]));
        output.stdout + &output.stderr
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        if let Some((mut guard, held)) = self.guard.take() {
            drop(held);
            drop(guard.wait());
        }
    }
}
