//! The shop alone, against any OTLP collector: `shop 127.0.0.1:4317 127.0.0.1:7171 FOLDER [none|tour|FAULT] [SPEED]`.
//!
//! The second address is where deployments are announced. Lines on standard input switch faults: `full-disk on`.

use std::io::BufRead;

use anyhow::{Context, Result};
use bellwether_shop::{DemoConfig, ServiceArgs, Tour, run_service, supervise};

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let word = |at: usize| args.get(at).map(String::as_str);
    if word(0) == Some("shop-service") {
        return run_service(ServiceArgs { name: word(1).context("name an instance")?.to_owned() }).await;
    }
    let demo = supervise(DemoConfig {
        otlp_grpc: word(0).context("where is the collector?")?.parse()?,
        listen: word(1).context("where are deployments announced?")?.parse()?,
        data_dir: word(2).context("which folder?")?.into(),
        seed: 1,
        tour: Tour::named(word(3).unwrap_or("none"))?,
        speed: word(4).unwrap_or("1").parse()?,
        program: std::env::current_exe()?,
    })
    .await?;
    println!("the shop is open");
    let (said, mut hear) = tokio::sync::mpsc::channel::<String>(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if said.blocking_send(line).is_err() {
                return;
            }
        }
    });
    while let Some(line) = hear.recv().await {
        let (name, on) = line.split_once(' ').unwrap_or((&line, "on"));
        match demo.control().set(name, on == "on").await {
            Ok(fault) => println!("{}", serde_json::to_string(&fault)?),
            Err(error) => println!("{error}"),
        }
    }
    demo.shutdown().await;
    Ok(())
}
