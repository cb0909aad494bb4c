//! `completions` and `man`: generated from the definitions of the command line.

use std::path::PathBuf;

use clap::CommandFactory;

use crate::{args::Args, failure::Outcome, output};

/// A completion script on standard output.
pub fn completions(shell: clap_complete::Shell) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "bellwether", &mut script);
    output::write(&String::from_utf8_lossy(&script));
    Ok(())
}

/// The manual page on standard output, or all pages into a folder.
pub fn man(dir: Option<PathBuf>) -> Outcome {
    if let Some(dir) = dir {
        std::fs::create_dir_all(&dir)?;
        clap_mangen::generate_to(Args::command(), &dir)?;
        return Ok(());
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(Args::command()).render(&mut page)?;
    output::write(&String::from_utf8_lossy(&page));
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        crate::args::Args::command().debug_assert();
    }
}
