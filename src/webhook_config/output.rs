//! Where the files go: a directory, whole or not at all, or a tar archive on standard output.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::Context;

use super::files::File;

pub enum Output {
    /// Written beside their names, which they get at the end.
    Dir {
        dir: PathBuf,
        staged: Vec<(PathBuf, PathBuf)>,
    },
    Tar,
}

impl Output {
    /// Writes the files under other names. None is ever readable by more than its mode says.
    pub fn stage(dir: &Path, files: &[File]) -> anyhow::Result<Output> {
        fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
        let mut output = Output::Dir { dir: dir.to_owned(), staged: Vec::new() };
        for file in files {
            let (staged, path) = (dir.join(format!(".{}.new", file.name)), dir.join(file.name));
            output.note(staged.clone(), path);
            write(&staged, file).with_context(|| format!("writing {}", staged.display()))?;
        }
        Ok(output)
    }

    fn note(&mut self, from: PathBuf, to: PathBuf) {
        if let Output::Dir { staged, .. } = self {
            staged.push((from, to));
        }
    }

    /// Returns where they are.
    pub fn finish(mut self, files: &[File]) -> anyhow::Result<String> {
        match &mut self {
            Output::Tar => {
                archive(io::stdout().lock(), files)?;
                Ok("written as a tar archive".to_owned())
            }
            Output::Dir { dir, staged } => {
                while let Some((from, to)) = staged.first() {
                    fs::rename(from, to).with_context(|| format!("writing {}", to.display()))?;
                    staged.remove(0);
                }
                Ok(format!("written to {}", dir.display()))
            }
        }
    }
}

impl Drop for Output {
    /// A token that was not stored is of no use to anyone.
    fn drop(&mut self) {
        if let Output::Dir { staged, .. } = self {
            for (from, _) in staged {
                drop(fs::remove_file(from));
            }
        }
    }
}

fn write(path: &Path, file: &File) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut opened = OpenOptions::new().write(true).create_new(true).mode(file.mode).open(path)?;
    opened.write_all(file.text.as_bytes())?;
    opened.sync_all()
}

fn archive(to: impl Write, files: &[File]) -> io::Result<()> {
    let mut archive = tar::Builder::new(to);
    for file in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(file.text.len() as u64);
        header.set_mode(file.mode);
        archive.append_data(&mut header, file.name, file.text.as_bytes())?;
    }
    archive.into_inner()?.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn files() -> [File; 2] {
        let file = |name, text: &str, mode| File { name, text: text.to_owned(), mode };
        [file("a", "secret", 0o600), file("b", "open", 0o644)]
    }

    #[test]
    fn files_of_a_directory_come_at_the_end_and_leave_nothing_beside_them() {
        let dir = tempfile::tempdir().unwrap();
        let into = dir.path().join("deep/er");
        drop(Output::stage(&into, &files()).unwrap());
        assert_eq!(fs::read_dir(&into).unwrap().count(), 0, "given up");
        for _ in 0..2 {
            let output = Output::stage(&into, &files()).unwrap();
            output.finish(&files()).unwrap();
            assert_eq!(fs::read_dir(&into).unwrap().count(), 2);
            assert_eq!(fs::read_to_string(into.join("a")).unwrap(), "secret");
            assert_eq!(fs::metadata(into.join("a")).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn an_archive_holds_names_modes_and_contents() {
        let mut bytes = Vec::new();
        archive(&mut bytes, &files()).unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let found: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                let (path, mode) = (entry.path().unwrap().display().to_string(), entry.header().mode().unwrap());
                (path, mode, io::read_to_string(&mut entry).unwrap())
            })
            .collect();
        assert_eq!(found, [("a".into(), 0o600, "secret".into()), ("b".into(), 0o644, "open".into())]);
    }
}
