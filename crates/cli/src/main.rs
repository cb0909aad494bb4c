//! The binary `bellwether`: commands, settings, wiring. What a command does is in `commands`, one file each.

mod args;
mod client;
mod commands;
mod failure;
mod logs;
mod output;
mod settings;

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = args::Args::parse();
    output::set_color(args.global.color);
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if matches!(args.command, args::Command::ShopService(_)) {
        // The demo runs ten of these: they need no thread a core.
        builder.worker_threads(2);
    }
    let runtime = match builder.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(commands::run(args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print();
            ExitCode::from(failure.code())
        }
    }
}
