//! `demo`: the server, and a small shop that breaks.

use std::path::PathBuf;

use serde_json::json;

use crate::{
    args::{Demo, ShopService},
    failure::{Failure, Kind, Outcome},
    output::paint,
    settings::Settings,
};

use super::serve::{announce, server_config, start, wait_for_stop};

/// Starts both, says where they are, and waits.
pub async fn run(flags: Demo) -> Outcome {
    let tour = shop::Tour::named(&flags.faults).map_err(|error| {
        let names: Vec<_> = shop::FAULTS.iter().map(|f| f.info(false).name).collect();
        Failure::new(Kind::Usage, error.to_string()).hint(format!("use none, tour, {}", names.join(", ")))
    })?;
    let settings = Settings::load(flags.server.config.as_ref())?.with_flags(&flags.server);
    // Without a folder of its own the demo leaves nothing behind.
    let temporary = tempdir()?;
    let base = flags.server.data_dir.clone().unwrap_or_else(|| temporary.clone());
    let mut config = server_config(&Settings { data_dir: base.join("server").display().to_string(), ..settings })?;
    let control = config.demo.clone();
    config.own_logs = Some(crate::logs::start());
    let running = start(config).await?;
    let shop = shop::supervise(shop::DemoConfig {
        otlp_grpc: running.otlp_grpc,
        listen: running.listen,
        data_dir: base.join("shop"),
        seed: flags.seed,
        speed: flags.speed,
        tour,
        program: std::env::current_exe()?,
    })
    .await;
    let shop = match shop {
        Ok(shop) => shop,
        Err(error) => {
            running.shutdown().await?;
            return Err(Failure::from(error).hint("the output of the shop's processes is in the data folder"));
        }
    };
    let _ = control.set(shop.control());
    announce(&running);
    welcome(&format!("http://{}", running.listen), &flags);
    wait_for_stop().await;
    shop.shutdown().await;
    running.shutdown().await?;
    let _ = std::fs::remove_dir_all(&temporary);
    Ok(())
}

/// For people, on standard error.
fn welcome(url: &str, flags: &Demo) {
    eprintln!("{} {url}", paint("open", "bold"));
    match flags.faults.as_str() {
        "none" => eprintln!("no fault comes by itself"),
        "tour" => eprintln!("the first fault comes in {:.0} minutes", shop::FIRST_FAULT_AFTER_S / 60.0 / flags.speed),
        name => eprintln!("{name} comes in {:.0} minutes", shop::FIRST_FAULT_AFTER_S / 60.0 / flags.speed),
    }
    eprintln!(
        "switch one on: curl {url}/api/v1/demo/faults -H 'content-type: application/json' -d '{}'",
        json!({"name": "error-burst", "on": true})
    );
    if !flags.no_browser {
        open_browser(url);
    }
}

/// Opens the page where there is a desktop; silently does nothing elsewhere.
fn open_browser(url: &str) {
    let desktop = cfg!(target_os = "macos")
        || std::env::var_os("DISPLAY").is_some()
        || std::env::var_os("WAYLAND_DISPLAY").is_some();
    if !desktop {
        return;
    }
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let quiet = std::process::Stdio::null;
    let _ = std::process::Command::new(program).arg(url).stdin(quiet()).stdout(quiet()).stderr(quiet()).spawn();
}

fn tempdir() -> Outcome<PathBuf> {
    let dir = std::env::temp_dir().join(format!("bellwether-demo-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    Ok(dir)
}

/// One service of the shop.
pub async fn service(flags: ShopService) -> Outcome {
    let Some(name) = flags.args.first().cloned() else {
        return Err(Failure::new(Kind::Usage, "no service named").hint("services are started by `bellwether demo`"));
    };
    Ok(shop::run_service(shop::ServiceArgs { name }).await?)
}
