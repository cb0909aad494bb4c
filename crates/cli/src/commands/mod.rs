//! One file a command.

mod alerts;
mod data;
mod demo;
mod doctor;
mod forecast;
mod incidents;
mod models;
mod prove;
mod query;
mod replay;
mod send;
mod serve;
mod shell;
mod sim;
mod slos;
mod status;
mod tail;

use crate::{
    args::{Args, Command, Config},
    failure::Outcome,
    settings::Settings,
};

/// Carries out the command.
pub async fn run(args: Args) -> Outcome {
    match args.command {
        Command::Serve(flags) => serve::run(flags).await,
        Command::Demo(flags) => demo::run(flags).await,
        Command::ShopService(flags) => demo::service(flags).await,
        Command::Query(flags) => query::run(flags).await,
        Command::Tail(flags) => tail::run(flags).await,
        Command::Send(what) => send::run(what).await,
        Command::Status(flags) => status::run(flags).await,
        Command::Doctor(flags) => doctor::run(flags).await,
        Command::Incidents(what) => incidents::run(what).await,
        Command::Alerts(flags) => alerts::run(flags).await,
        Command::Silences(what) => alerts::silences(what).await,
        Command::Slos(what) => slos::run(what).await,
        Command::Models(what) => models::run(what).await,
        Command::Audit(what) => data::audit(what).await,
        Command::Verify(flags) => data::verify(flags).await,
        Command::Tokens(what) => data::tokens(what).await,
        Command::Sim(flags) => sim::run(flags),
        Command::Prove(flags) => prove::run(flags),
        Command::Replay(flags) => replay::run(flags).await,
        Command::Forecast(flags) => forecast::run(flags).await,
        Command::Budget(flags) => replay::budget(flags).await,
        Command::Config(what) => config(what),
        Command::Completions { shell } => shell::completions(shell),
        Command::Man { dir } => shell::man(dir),
    }
}

fn config(what: Config) -> Outcome {
    match what {
        Config::Check(file) => {
            let settings = Settings::load(file.config.as_ref())?;
            serve::server_config(&settings)?;
            crate::output::write("the settings are good\n");
        }
        Config::Show(file) => {
            let settings = Settings::load(file.config.as_ref())?;
            crate::output::write(&format!("{}\n", serde_json::to_string_pretty(&settings).unwrap_or_default()));
        }
    }
    Ok(())
}
