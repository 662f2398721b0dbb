//! The processes of one cluster, and the promise that they end with their owner.
//!
//! A small shell (keeper.sh) is their parent. It holds the reading end of a pipe whose only writing end is here: when
//! this process drops it, panics or is killed, the kernel closes the pipe, the keeper ends all and removes the
//! directory. One way out for every case; a signal on the parent's death would watch a thread, not the process.

use anyhow::{Context, Result, bail};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

/// Parent of the processes of one cluster. Dropping it ends them and removes the directory.
pub struct Keeper {
    shell: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    dir: PathBuf,
}

/// A process of the cluster.
#[derive(Clone, Debug)]
pub struct Process {
    pub name: &'static str,
    pub pid: u32,
    log: PathBuf,
}

impl Keeper {
    /// Starts the keeper of `dir`, which it removes in the end.
    pub fn open(dir: &Path) -> Result<Keeper> {
        for sub in ["run", "log"] {
            fs::create_dir_all(dir.join(sub))?;
        }
        let mut shell = Command::new("sh")
            .args(["-c", include_str!("keeper.sh"), "kubewitness-testbed-keeper"])
            .arg(dir)
            // A group of its own: Ctrl-C in a terminal reaches the owner alone, and the cluster outlives its last use.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start sh")?;
        let orders = shell.stdin.take();
        let answers = BufReader::new(shell.stdout.take().context("the keeper has no standard output")?);
        Ok(Keeper { shell, orders, answers, dir: dir.to_owned() })
    }

    /// Starts `program`; its output goes to `log/NAME.log` under the directory.
    pub fn start(&mut self, name: &'static str, program: &Path, arguments: &[String]) -> Result<Process> {
        let mut script = format!("exec {}", quoted(&program.display().to_string()));
        for argument in arguments {
            script.push(' ');
            script.push_str(&quoted(argument));
        }
        script.push('\n');
        fs::write(self.dir.join(format!("run/{name}.sh")), script)?;
        writeln!(self.orders.as_mut().context("the keeper is closed")?, "{name}")?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        let pid = answer.trim().parse().with_context(|| format!("the keeper of {name} answered {answer:?}"))?;
        Ok(Process { name, pid, log: self.dir.join(format!("log/{name}.log")) })
    }

    /// The exit code of a process that ends by itself or has ended; 128 + N after signal N. Waits for it.
    pub fn exit_code(&mut self, process: &Process) -> Result<i32> {
        writeln!(self.orders.as_mut().context("the keeper is closed")?, "wait {}", process.pid)?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        answer.trim().parse().with_context(|| format!("the keeper of {} answered {answer:?}", process.name))
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.orders.take());
        let ended =
            super::wait_until("end of the test cluster", Duration::from_secs(20), || match self.shell.try_wait() {
                Ok(None) => None,
                Ok(Some(_)) | Err(_) => Some(()),
            });
        if let Err(error) = ended {
            eprintln!("testbed: {error}; left: {} and process {}", self.dir.display(), self.shell.id());
        }
    }
}

impl Process {
    /// Fails with the tail of the log if the process has ended.
    pub fn check(&self) -> Result<()> {
        if is_running(self.pid) {
            return Ok(());
        }
        let log = self.log();
        if log.contains("address already in use") {
            return Err(PortTaken { process: self.name }.into());
        }
        bail!("{} ended; its last lines were:\n{}", self.name, tail(&log))
    }

    /// The last lines of its output.
    pub fn log_tail(&self) -> String {
        tail(&self.log())
    }

    /// Sends a signal, by its name without SIG, and waits until the process has ended.
    pub fn end(&self, signal: &str) -> Result<()> {
        let sent = Command::new("sh").args(["-c", "kill -\"$0\" \"$1\"", signal, &self.pid.to_string()]).status()?;
        if !sent.success() {
            bail!("{} (process {}) takes no SIG{signal}", self.name, self.pid);
        }
        let pid = self.pid;
        super::wait_until(&format!("end of {}", self.name), Duration::from_secs(40), || {
            (!is_running(pid)).then_some(())
        })
    }

    /// Resident memory in MiB, as the kernel counts it now.
    pub fn resident_mib(&self) -> Option<u64> {
        self.memory_mib("VmRSS:")
    }

    /// The most that it ever was.
    pub fn peak_mib(&self) -> Option<u64> {
        self.memory_mib("VmHWM:")
    }

    fn memory_mib(&self, row: &str) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        let kib: u64 =
            status.lines().find_map(|line| line.strip_prefix(row))?.split_whitespace().next()?.parse().ok()?;
        Some(kib / 1024)
    }

    /// Processor time of all its threads, its own and the kernel's for it: fields 14 and 15 of proc_pid_stat(5), in hundredths.
    pub fn cpu_seconds(&self) -> Option<f64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).ok()?;
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        let mut next = || fields.next()?.parse::<f64>().ok();
        Some((next()? + next()?) / 100.0)
    }

    /// All of its output.
    pub fn log(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }
}

/// Another process took a port between its choice and its use: worth another try with other ports.
#[derive(Debug, thiserror::Error)]
#[error("{process}: another process has taken its port")]
pub struct PortTaken {
    process: &'static str,
}

/// Whether a process exists and has not ended; one that only waits to be collected by its parent has.
pub fn is_running(pid: u32) -> bool {
    // The state is the first word after the name, which stands in parentheses and may hold any character.
    let leads = fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|stat| stat.rsplit_once(") ").map(|(_, rest)| !rest.starts_with(['Z', 'X'])))
        .unwrap_or(false);
    // A killed thread that is within fsync holds its files, and their locks, for longer than the first thread lives.
    leads || fs::read_dir(format!("/proc/{pid}/task")).is_ok_and(|threads| threads.count() > 1)
}

fn tail(text: &str) -> String {
    const LINES: usize = 15;
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default().join("\n")
}

/// One word for the shell, whatever is in it.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
