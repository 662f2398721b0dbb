//! Parse, dispatch, exit code; nothing else.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        eprintln!("kubewitness: another crypto provider was installed first");
        return ExitCode::from(2);
    }
    match kubewitness::cli::Cli::parse().run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("kubewitness: {}", kubewitness::cli::told(&error));
            ExitCode::from(2)
        }
    }
}
