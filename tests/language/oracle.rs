//! The oracle: cel-go with Kubernetes' libraries as a process (tests/oracle), asked line by line.

use std::{
    io::{BufRead, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::LazyLock,
    thread,
};

use serde::{Deserialize, Serialize};

/// The directory with the oracle's binary and the cases of the specification; built when it is not there.
pub fn built() -> &'static Path {
    static BUILT: LazyLock<PathBuf> = LazyLock::new(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/build.sh");
        let output = Command::new(&script).stderr(Stdio::inherit()).output().expect("tests/oracle/build.sh runs");
        assert!(output.status.success(), "tests/oracle/build.sh failed; its lines above say why");
        PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
    });
    &BUILT
}

#[derive(Clone, Debug, Serialize)]
pub struct Request<'a> {
    pub env: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub declare: Option<&'a serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expression: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bindings: Option<&'a serde_json::Value>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Answer {
    #[serde(default)]
    pub compile: String,
    #[serde(default)]
    pub error: String,
    #[serde(default)]
    pub value: Option<serde_json::Value>,
}

/// Answers to all requests that have an expression, in order.
pub fn ask(requests: &[Request<'_>]) -> Vec<Answer> {
    let mut child = Command::new(built().join("oracle"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the oracle starts");
    let mut input = BufWriter::new(child.stdin.take().unwrap());
    let output = BufReader::new(child.stdout.take().unwrap());
    let answers = thread::scope(|scope| {
        scope.spawn(move || {
            for request in requests {
                serde_json::to_writer(&mut input, request).unwrap();
                input.write_all(b"\n").unwrap();
            }
        });
        output.lines().map(|line| serde_json::from_str(&line.unwrap()).expect("an answer")).collect::<Vec<Answer>>()
    });
    assert!(child.wait().unwrap().success());
    assert_eq!(answers.len(), requests.iter().filter(|r| r.expression.is_some()).count());
    answers
}
