//! What tests/oracle builds: the specification's cases, read by its own library.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::LazyLock,
};

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
