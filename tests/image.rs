//! The image that `make image` packs and the document that `make sbom` writes: the same each time, and nothing in them that
//! should not be. No engine builds the Dockerfile here: it is read, and held against what `make image` packs; `make dockerfile` builds it.

use crate::support::{kubewitness, repository};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Kept between runs, so that the Debian packages are downloaded once.
fn directory() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("image")
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Packs our binary as `name`; what the script prints, and the archive.
fn pack(name: &str) -> (String, PathBuf) {
    let out = directory().join(name);
    let mut build = Command::new(repository("image/build.sh"));
    build
        .args([&kubewitness().unwrap(), &out])
        .arg("example.org/kubewitness:1.2.3")
        .env("KUBEWITNESS_REVISION", "0000");
    (run(&mut build), out)
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn blob(layout: &Path, described: &Value) -> PathBuf {
    layout.join("blobs/sha256").join(described["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap())
}

#[test]
fn image_is_the_same_each_time_and_holds_what_the_binary_needs_alone() {
    let (said, first) = pack("first.tar");
    let (again, second) = pack("second.tar");
    assert_eq!(said, again);
    assert!(fs::read(&first).unwrap() == fs::read(&second).unwrap(), "the same digest, but not the same bytes");

    let dir = tempfile::tempdir().unwrap();
    let (layout, root) = (dir.path().join("layout"), dir.path().join("root"));
    let unpack = |archive: &Path, into: &Path| {
        fs::create_dir_all(into).unwrap();
        run(Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(into))
    };
    unpack(&first, &layout);
    let index = json(&layout.join("index.json"));
    let digest = index["manifests"][0]["digest"].as_str().unwrap();
    assert_eq!(said, format!("example.org/kubewitness:1.2.3 {digest}\n"));
    let manifest = json(&blob(&layout, &index["manifests"][0]));
    let config = json(&blob(&layout, &manifest["config"]));
    assert_eq!(config["config"]["Entrypoint"], serde_json::json!(["/kubewitness"]));
    assert_eq!(config["config"]["User"], "65532:65532");
    let mut names = BTreeSet::new();
    for layer in manifest["layers"].as_array().unwrap() {
        let layer = blob(&layout, layer);
        names.extend(run(Command::new("tar").arg("-tf").arg(&layer)).lines().map(str::to_owned));
        unpack(&layer, &root);
    }
    let executable = |name: &&String| name.contains("bin/") || name.ends_with("/sh");
    assert_eq!(names.iter().find(executable), None, "a program that nobody needs");
    assert!(names.contains("usr/share/doc/libc6/copyright"), "{names:?}");
    let bundle = fs::read_to_string(root.join("etc/ssl/certs/ca-certificates.crt")).unwrap();
    assert!(bundle.matches("BEGIN CERTIFICATE").count() > 100);

    // By the image's own loader and libraries, and none of this machine's.
    let find = |name: &str| names.iter().find(|path| path.contains(name) && !path.starts_with("lib64")).unwrap();
    let loader = root.join(find("/ld-linux-"));
    let mut version = Command::new(&loader);
    version.arg("--inhibit-cache").arg("--library-path").arg(loader.parent().unwrap());
    let version = run(version.arg(root.join("kubewitness")).arg("--version"));
    assert_eq!(version, format!("kubewitness {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn sbom_names_what_the_image_is_made_of_and_not_what_tests_it() {
    let out = directory().join("for-sbom.tar");
    // Any binary does: the document is about Cargo.lock and the packages.
    run(Command::new(repository("image/build.sh")).arg("/bin/true").arg(&out).arg("example.org/kubewitness:1.2.3"));
    let write = |name: &str| {
        let path = directory().join(name);
        run(Command::new(repository("image/sbom.py")).arg(directory().join("debs")).arg(&path));
        fs::read_to_string(path).unwrap()
    };
    let (first, second) = (write("first.json"), write("second.json"));
    assert_eq!(first, second);
    let document: Value = serde_json::from_str(&first).unwrap();
    assert_eq!((&document["bomFormat"], &document["specVersion"]), (&"CycloneDX".into(), &"1.6".into()));
    assert_eq!(document["metadata"]["component"]["version"], env!("CARGO_PKG_VERSION"));
    let components = document["components"].as_array().unwrap();
    let named = |name: &str| components.iter().find(|component| component["name"] == name);
    for name in ["rusqlite", "libsqlite3-sys", "rustls", "libc6", "ca-certificates"] {
        let component = named(name).unwrap_or_else(|| panic!("{name} is missing"));
        assert_eq!(component["hashes"][0]["content"].as_str().unwrap().len(), 64, "{component}");
    }
    assert_eq!(named("proptest"), None);
    let listed = components.iter().map(|component| component["bom-ref"].as_str().unwrap()).collect::<BTreeSet<_>>();
    assert_eq!(listed.len(), components.len(), "a component is named twice");
    for entry in document["dependencies"].as_array().unwrap() {
        for needed in entry["dependsOn"].as_array().unwrap() {
            assert!(listed.contains(needed.as_str().unwrap()), "{needed} is needed and not listed");
        }
    }
}

/// For the debug binary: a release build takes ten minutes. The flags that leave out paths are for the compiler, not for what is tested.
#[test]
fn make_packs_the_image_and_its_sbom_as_the_release_page_says() {
    let page = fs::read_to_string(repository("docs/release.md")).unwrap();
    let line = page.lines().find(|line| line.starts_with("make image sbom")).unwrap();
    let words: Vec<&str> = line.split_whitespace().skip(1).collect();
    // The quick start makes the same image, without what it is made of.
    let quick = fs::read_to_string(repository("docs/quickstart.md")).unwrap();
    assert!(quick.contains("\nmake image  ") && quick.contains("target/image/kubewitness.tar"), "docs/quickstart.md");
    // Packages are looked for where the other tests have them, and the archive of a release build stays as it is.
    let out = directory();
    let mut make = Command::new("make");
    make.args(words).arg("PROFILE=debug").arg(format!("IMAGE_DIR={}", out.display())).arg("LOCKED=--locked --offline");
    make.env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap());
    let said = run(make.current_dir(repository("")));
    for name in ["kubewitness.tar", "sbom.cdx.json"] {
        assert!(page.contains(&format!("`target/image/{name}`")), "{name}");
        assert!(fs::metadata(out.join(name)).unwrap().len() > 10_000, "{name}");
    }
    let last = said.lines().find(|line| line.contains("@sha256:") || line.contains(" sha256:"));
    let named = format!("ghcr.io/kubewitness/kubewitness:{} sha256:", env!("CARGO_PKG_VERSION"));
    assert!(last.is_some_and(|line| line.starts_with(&named)), "{said}");
}

/// Instructions of a Dockerfile, continued lines joined, by stage; each stage begins with its FROM.
fn stages(text: &str) -> Vec<Vec<(String, String)>> {
    let joined = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n");
    let mut stages: Vec<Vec<(String, String)>> = Vec::new();
    for line in joined.replace("\\\n", " ").lines().filter(|line| !line.trim().is_empty()) {
        let (instruction, rest) =
            line.split_once(' ').unwrap_or_else(|| panic!("an instruction without arguments: {line}"));
        assert!(KNOWN.contains(&instruction), "no instruction that we mean to use: {line}");
        if instruction == "FROM" {
            stages.push(Vec::new());
        }
        let stage = stages.last_mut().unwrap_or_else(|| panic!("before any FROM: {line}"));
        stage.push((instruction.to_owned(), rest.split_whitespace().collect::<Vec<_>>().join(" ")));
    }
    stages
}

const KNOWN: [&str; 9] = ["FROM", "ARG", "WORKDIR", "COPY", "RUN", "ENV", "USER", "LABEL", "ENTRYPOINT"];

/// `key="value"` pairs.
fn pairs(text: &str) -> BTreeMap<String, String> {
    let pair = |word: &str| {
        let (key, value) = word.split_once('=').unwrap_or_else(|| panic!("no pair: {word}"));
        (key.to_owned(), value.trim_matches('"').to_owned())
    };
    text.split_whitespace().map(pair).collect()
}

#[test]
fn dockerfile_makes_the_image_that_make_image_packs() {
    let out = directory().join("for-dockerfile.tar");
    let mut build = Command::new(repository("image/build.sh"));
    let build =
        build.arg("/bin/true").arg(&out).arg("example.org/kubewitness:1.2.3").env("KUBEWITNESS_REVISION", "0000");
    run(build);
    let layout = tempfile::tempdir().unwrap();
    run(Command::new("tar").arg("-xf").arg(&out).arg("-C").arg(layout.path()));
    let index = json(&layout.path().join("index.json"));
    let manifest = json(&blob(layout.path(), &index["manifests"][0]));
    let config = json(&blob(layout.path(), &manifest["config"]))["config"].clone();

    let text = fs::read_to_string(repository("Dockerfile")).unwrap();
    let stages = stages(&text);
    let [build, image] = stages.as_slice() else { panic!("a stage that builds and one that is the image: {stages:?}") };
    let all = |stage: &[(String, String)], instruction: &str| -> Vec<String> {
        stage.iter().filter(|(name, _)| name == instruction).map(|(_, rest)| rest.clone()).collect()
    };
    let only = |instruction: &str| {
        let [one] =
            <[String; 1]>::try_from(all(image, instruction)).unwrap_or_else(|all| panic!("{instruction}: {all:?}"));
        one
    };
    assert_eq!(only("FROM"), "scratch");
    assert!(all(image, "RUN").is_empty(), "there is nothing in it that could run");
    assert_eq!(serde_json::from_str::<Value>(&only("ENTRYPOINT")).unwrap(), config["Entrypoint"]);
    assert_eq!(only("USER"), config["User"].as_str().unwrap());
    assert_eq!(only("WORKDIR"), config["WorkingDir"].as_str().unwrap());
    assert_eq!(serde_json::json!(all(image, "ENV")), config["Env"]);
    let mut labels = pairs(&only("LABEL"));
    for (argument, value) in [("VERSION", "1.2.3"), ("REVISION", "0000")] {
        assert!(all(image, "ARG").iter().any(|declared| declared.starts_with(&format!("{argument}="))), "{argument}");
        labels.values_mut().filter(|label| **label == format!("${argument}")).for_each(|label| *label = value.into());
    }
    assert_eq!(serde_json::json!(labels), config["Labels"]);

    // The same files: what base.sh lays out, and the binary, stripped and with its mode as build.sh does it.
    assert_eq!(all(image, "COPY"), ["--from=build /root-fs/ /", "--from=build /kubewitness /kubewitness"]);
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 2);
    let from = all(build, "FROM");
    assert!(from[0].ends_with(" AS build") && !from[0].contains(":latest"), "{from:?}");
    let toolchain = format!("rust:{}-", env!("CARGO_PKG_RUST_VERSION"));
    assert!(from[0].contains(&toolchain), "{from:?} is not of {toolchain}");
    let made = all(build, "RUN").join(" && ");
    let script = fs::read_to_string(repository("image/build.sh")).unwrap();
    for (here, there) in [
        ("image/base.sh /root-fs ", "\"$here/base.sh\" \"$work/base\" "),
        (
            "strip --strip-debug -o /kubewitness target/release/kubewitness",
            "strip --strip-debug -o \"$work/binary/kubewitness\" \"$binary\"",
        ),
        ("chmod 755 /kubewitness", "chmod 755 \"$work/binary/kubewitness\""),
    ] {
        assert!(made.contains(here) && script.contains(there), "{here:?} in {made}, {there:?} in build.sh");
    }
    assert!(made.contains("cargo build --release --locked --bin kubewitness"), "{made}");
    let ignored = fs::read_to_string(repository(".dockerignore")).unwrap();
    assert!(["target", ".git"].iter().all(|name| ignored.lines().any(|line| line == *name)), "{ignored}");
}
