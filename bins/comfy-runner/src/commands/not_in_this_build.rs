//! `comfy-runner demo` and `comfy-runner simulate` in a build without the feature `simulator`.

use std::process::ExitCode;

use anyhow::bail;

/// Says how to get a build that has these commands.
pub fn refuse() -> anyhow::Result<ExitCode> {
    bail!(
        "this build of comfy-runner has no simulator, so it has no `demo` and no `simulate`; build it with the default \
         features, as `cargo install comfy-runner` does, or with `--features simulator`"
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    #[test]
    fn demo_and_simulate_are_parsed_with_any_arguments_and_say_how_to_get_them() {
        for arguments in
            [&["demo", "--once"][..], &["simulate", "--listen", "127.0.0.1:0"], &["demo", "--help"]]
        {
            let cli = Cli::parse_from([&["comfy-runner"], arguments].concat());
            assert!(matches!(cli.command, Command::Demo(_) | Command::Simulate(_)));
        }
        assert!(refuse().unwrap_err().to_string().contains("--features simulator"));
    }
}
