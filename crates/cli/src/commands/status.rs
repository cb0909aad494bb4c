//! `status`: what the server takes in, holds and does.

use crate::{args::Status, client::Client, failure::Outcome, output};

/// Prints it.
pub async fn run(flags: Status) -> Outcome {
    let status = Client::new(&flags.remote)?.get("/api/v1/status").await?;
    output::document(&status, flags.output);
    Ok(())
}
