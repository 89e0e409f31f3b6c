//! The arguments of the commands that a build without the simulator does not have.

use clap::Args;

/// The arguments of a command that this build does not have.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub struct NotInThisBuild {
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub arguments: Vec<String>,
}
