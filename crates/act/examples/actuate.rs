//! Does one thing with one actuator, for scripts that hold an actuator against the real other side.
//!
//! Reads one JSON object: `egress` and `actuator` as in the settings file, and `do`, one of `registrations`, `targets`,
//! `dry_run` (with `step`), `carry_out` (with `step` and `key`) and `state` (with `handle`). Writes one JSON value.

use std::io::Read;

use act::{
    Egress, EgressSettings,
    actuator::{ActuatorSettings, Key, Step},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    egress: EgressSettings,
    actuator: ActuatorSettings,
    #[serde(flatten)]
    what: What,
}

#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
enum What {
    Registrations,
    Targets,
    DryRun { step: Step },
    CarryOut { step: Step, key: String },
    State { handle: String },
}

#[tokio::main]
async fn main() {
    let mut text = String::new();
    let read = std::io::stdin().read_to_string(&mut text).map_err(|error| error.to_string());
    let answer = match read {
        Ok(_) => answer(&text).await.unwrap_or_else(|error| json!({"error": error})),
        Err(error) => json!({"error": error}),
    };
    println!("{answer}");
}

async fn answer(text: &str) -> Result<Value, String> {
    let asked: Asked = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let egress = Egress::new(&asked.egress, &[])?;
    let actuator =
        asked.actuator.open("it", &|name| std::env::var(name).ok()).map_err(|problem| problem.to_string())?;
    Ok(match asked.what {
        What::Registrations => shown(&actuator.registrations()),
        What::Targets => either(actuator.targets(&egress).await),
        What::DryRun { step } => either(actuator.dry_run(&egress, &step).await),
        What::CarryOut { step, key } => shown(&actuator.carry_out(&egress, &step, &Key::new(&key)?).await),
        What::State { handle } => either(actuator.state(&egress, &handle).await),
    })
}

/// The good, or the outcome that stands for it.
fn either(result: Result<impl Serialize, impl Serialize>) -> Value {
    result.map_or_else(|outcome| shown(&outcome), |good| shown(&good))
}

fn shown(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}
