//! What a collector says that can't start: the flag, its value and the remedy, once.

use std::{fs, path::Path, process::Command};

/// Standard error of a collector with these flags, which must not start.
fn refused(flags: &[(&str, &str)]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubewitness"));
    command.args(["collector", "--controller=https://localhost:1"]);
    let output = command.args(flags.iter().map(|(flag, value)| format!("{flag}={value}"))).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{flags:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn an_error_names_flag_value_and_remedy_once() {
    let dir = tempfile::tempdir().unwrap();
    let own = |name: &str| dir.path().join(name).display().to_string();
    let (state, file, empty) = (own("state"), own("file"), own("empty.crt"));
    fs::write(&file, "no directory").unwrap();
    fs::write(&empty, "").unwrap();
    let below_file = Path::new(&file).join("state").display().to_string();
    for (flag, value, why, remedy) in [
        ("--controller-ca", &*below_file, "Not a directory", "name the PEM file of the authority"),
        ("--controller-ca", &*empty, "no PEM certificate", "name the PEM file of the authority"),
        ("--host-root", "/nope", "No such file", "name the directory where the node's file system is mounted"),
        ("--host-root", &*file, "Not a directory", "name the directory where the node's file system is mounted"),
        ("--state-dir", &*below_file, "Not a directory", "name a directory that this user may write to"),
        ("--admin-listen", "203.0.113.1:1", "Cannot assign", "name an address of this host and a free port"),
        ("--log", "a=b=c", "error parsing level filter", "must be a level"),
    ] {
        let ca = if flag == "--admin-listen" { certificate(dir.path()) } else { empty.clone() };
        let mut flags = vec![("--state-dir", &*state), ("--host-root", "/"), ("--controller-ca", &*ca)];
        flags.retain(|(other, _)| *other != flag);
        flags.push((flag, value));
        let said = refused(&flags);
        assert!(said.contains(flag) && said.contains(value) && said.contains(remedy), "{said}");
        assert_eq!(said.matches(why).count(), 1, "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
}

/// An authority that nothing is asked of.
fn certificate(dir: &Path) -> String {
    let path = dir.join("ca.crt");
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    fs::write(&path, made.cert.pem()).unwrap();
    path.display().to_string()
}
