//! kubectl against a test cluster.
//! In: arguments and standard input. Out: what it printed and whether it succeeded. Reads nothing of the user's own
//! configuration, and ends after a minute at most.

use anyhow::{Result, bail};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// kubectl with its kubeconfig; `run` may be called any number of times.
#[derive(Clone, Debug)]
pub struct Kubectl {
    pub(super) program: PathBuf,
    pub(super) kubeconfig: PathBuf,
    /// Of the cluster: where the discovery cache, standard input and output are kept.
    pub(super) dir: PathBuf,
    pub(super) stdin: Option<String>,
}

/// What a kubectl call came to.
#[derive(Clone, Debug)]
pub struct Output {
    pub stdout: String,
    pub stderr: String,
    pub ok: bool,
}

impl Output {
    /// Standard output if kubectl succeeded, otherwise an error with what it said.
    pub fn success(self) -> Result<String> {
        match self.ok {
            true => Ok(self.stdout),
            false => bail!("kubectl: {}", self.stderr.trim()),
        }
    }
}

impl Kubectl {
    const LIMIT: Duration = Duration::from_secs(60);

    /// The executable.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The same as another user.
    pub fn with_kubeconfig(&self, kubeconfig: &Path) -> Kubectl {
        Kubectl { kubeconfig: kubeconfig.to_owned(), ..self.clone() }
    }

    /// The same with `text` as standard input, for `apply -f -`.
    pub fn stdin(&self, text: impl Into<String>) -> Kubectl {
        Kubectl { stdin: Some(text.into()), ..self.clone() }
    }

    /// Runs kubectl to its end. That it could not run, or took too long, is an output with `ok: false` as well.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.try_run(arguments).unwrap_or_else(|error| Output {
            stdout: String::new(),
            stderr: format!("{error:#}"),
            ok: false,
        })
    }

    fn try_run(&self, arguments: &[&str]) -> Result<Output> {
        // Files rather than pipes: neither side can block the other, however much is written.
        let call = tempfile::tempdir_in(&self.dir)?;
        let (out, err) = (call.path().join("stdout"), call.path().join("stderr"));
        let stdin = match &self.stdin {
            None => Stdio::null(),
            Some(text) => {
                let file = call.path().join("stdin");
                std::fs::write(&file, text)?;
                File::open(file)?.into()
            }
        };
        let mut child = Command::new(&self.program)
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .arg("--cache-dir")
            .arg(self.dir.join("kubectl-cache"))
            .args(arguments)
            .env_remove("KUBECONFIG")
            .env("KUBERC", "off")
            .stdin(stdin)
            .stdout(File::create(&out)?)
            .stderr(File::create(&err)?)
            .spawn()?;
        let ended = super::wait_until(&format!("kubectl {arguments:?}"), Self::LIMIT, || child.try_wait().transpose());
        if ended.is_err() {
            child.kill()?;
            child.wait()?;
        }
        let text = |path| Ok::<_, std::io::Error>(String::from_utf8_lossy(&std::fs::read(path)?).into_owned());
        let (stdout, stderr) = (text(&out)?, text(&err)?);
        match ended {
            Ok(status) => Ok(Output { stdout, stderr, ok: status?.success() }),
            Err(error) => bail!("{error}; it said: {stdout}{stderr}"),
        }
    }
}
