//! `serve`: the server until SIGTERM or Ctrl-C.

use std::{collections::BTreeMap, io::Write, path::PathBuf};

use serde_json::json;

use crate::{
    args::Serve,
    failure::{Failure, Kind, Outcome},
    settings::Settings,
};

/// Starts it, says where it listens in one line of JSON, and waits.
pub async fn run(flags: Serve) -> Outcome {
    let settings = Settings::load(flags.server.config.as_ref())?.with_flags(&flags.server);
    let mut config = server_config(&settings)?;
    config.run_analyses = !flags.no_analyses;
    config.watch_host &= !flags.no_host;
    config.own_logs = Some(crate::logs::start());
    let running = start(config).await?;
    announce(&running);
    wait_for_stop().await;
    running.shutdown().await?;
    Ok(())
}

/// Starts the server; a first administrator's token is shown once.
pub async fn start(config: api::ServerConfig) -> Outcome<api::Running> {
    let running = api::start(config).await?;
    if let Some(token) = &running.first_token {
        eprintln!("the first administrator's token, shown once: {token}");
    }
    Ok(running)
}

/// The server's settings, from the program's.
pub fn server_config(settings: &Settings) -> Outcome<api::ServerConfig> {
    check_analyses(settings)?;
    let address = |text: &str, key: &str| {
        text.parse().map_err(|_| {
            Failure::new(Kind::Usage, format!("{key} = {text:?} is not ADDRESS:PORT")).hint("e.g. 127.0.0.1:7171")
        })
    };
    let days = |days: u32| i64::from(days) * types::DAY;
    let mut config = api::ServerConfig::new(settings.data_dir()?);
    config.listen = address(&settings.listen, "listen")?;
    config.otlp_grpc = address(&settings.otlp_grpc, "otlp_grpc")?;
    config.otlp_http = address(&settings.otlp_http, "otlp_http")?;
    config.require_auth = settings.require_auth;
    config.insecure = settings.insecure;
    config.hosts = settings.hosts.clone();
    config.watch_host = settings.watch_host;
    config.retention = store::Retention {
        samples_ns: days(settings.retention.samples_days),
        records_ns: days(settings.retention.records_days),
        spans_ns: days(settings.retention.spans_days),
        events_ns: days(settings.retention.events_days),
    };
    config.analyses = settings.analyses.clone();
    config.base_url = Some(settings.base_url.clone()).filter(|url| !url.is_empty());
    if let Some(url) = &config.base_url
        && !(url.starts_with("https://") || url.starts_with("http://"))
    {
        let what = format!("base_url {url:?} must begin with https:// or http://");
        return Err(Failure::new(Kind::Usage, what).hint("e.g. https://bellwether.example"));
    }
    config.egress = settings.egress.clone();
    config.channels = channels(settings)?;
    config.webhooks = webhooks(settings)?;
    if let Some(wrong) = settings.gates.iter().find_map(|gate| gate.check().err()) {
        return Err(Failure::new(Kind::Usage, "the gates of the settings cannot be used").cause(wrong));
    }
    config.gates = settings.gates.clone();
    if let Some(wrong) = settings.rollouts.iter().find_map(|rollout| rollout.check().err()) {
        return Err(Failure::new(Kind::Usage, "the rollouts of the settings cannot be used").cause(wrong));
    }
    config.rollouts = settings.rollouts.clone();
    config.actuators = actuators(settings)?;
    config.retraining = retraining(settings)?;
    Ok(config)
}

/// The actuators of the settings, with their secrets read.
fn actuators(settings: &Settings) -> Outcome<BTreeMap<String, act::actuator::Actuator>> {
    act::actuator::open_all(&settings.actuators, &|name| std::env::var(name).ok()).map_err(|problems| {
        let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Failure::new(Kind::Usage, "the actuators of the settings cannot be used").cause(all.join("; "))
    })
}

/// When models are trained again, each by an actuator that is there.
fn retraining(settings: &Settings) -> Outcome<Vec<api::Policy>> {
    let wrong = |cause: String| {
        Failure::new(Kind::Usage, "the policies of retraining of the settings cannot be used").cause(cause)
    };
    for policy in &settings.retraining {
        policy.check().map_err(wrong)?;
        if !settings.actuators.contains_key(&policy.with) {
            return Err(wrong(format!("retraining {:?}: there is no [actuators.{}]", policy.name, policy.with)));
        }
    }
    Ok(settings.retraining.clone())
}

/// The channels of the settings, with their secrets read.
fn channels(settings: &Settings) -> Outcome<BTreeMap<String, act::Channel>> {
    act::open_all(&settings.channels, &|name| std::env::var(name).ok()).map_err(|problems| {
        let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Failure::new(Kind::Usage, "the channels of the settings cannot be used").cause(all.join("; "))
    })
}

/// The senders of webhooks, with their secrets read.
fn webhooks(settings: &Settings) -> Outcome<api::Webhooks> {
    let said = &settings.webhooks;
    let secret = |name: &str, env: &Option<String>, file: &Option<PathBuf>| -> Outcome<Vec<String>> {
        let read = act::secret::read(env.as_deref(), file.as_deref(), &|name| std::env::var(name).ok());
        let secret =
            read.map_err(|(field, what)| Failure::new(Kind::Usage, format!("webhooks.{name}_{field}: {what}")))?;
        Ok(secret.into_iter().map(|secret| secret.reveal().to_owned()).collect())
    };
    let entity = |(name, text): (&String, &String)| {
        let entity = types::EntityId::parse(text).ok_or_else(|| {
            Failure::new(Kind::Usage, format!("webhooks.entities {name:?}: {text:?} is not kind:namespace/name"))
        });
        Ok((name.clone(), entity?))
    };
    let entities = said.entities.iter().map(entity).collect::<Outcome<Vec<_>>>()?;
    Ok(api::Webhooks {
        github: secret("github", &said.github_secret_env, &said.github_secret_file)?,
        gitlab: secret("gitlab", &said.gitlab_secret_env, &said.gitlab_secret_file)?,
        places: ingest::Places::new(entities, said.environments.clone()),
    })
}

/// Whether the settings of analyses name what is in the catalogue.
pub fn check_analyses(settings: &Settings) -> Outcome {
    for (name, said) in &settings.analyses {
        let Some(analysis) = analyze::catalog::ALL.iter().find(|a| a.name == name) else {
            let known: Vec<_> = analyze::catalog::ALL.iter().map(|a| a.name).collect();
            return Err(
                Failure::new(Kind::Usage, format!("no analysis {name:?}")).hint(format!("known: {}", known.join(", ")))
            );
        };
        analyze::resolve_params(analysis, said)
            .map_err(|error| Failure::new(Kind::Usage, format!("[analyses.{name}] {error}")))?;
    }
    Ok(())
}

/// The line that programs wait for, first on standard output.
pub fn announce(running: &api::Running) {
    let line = json!({
        "listen": running.listen.to_string(),
        "otlp_grpc": running.otlp_grpc.to_string(),
        "otlp_http": running.otlp_http.to_string(),
        "pid": std::process::id(),
    });
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Returns on SIGTERM or Ctrl-C; a second Ctrl-C ends the program at once.
pub async fn wait_for_stop() {
    let interrupt = tokio::signal::ctrl_c();
    match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! { _ = interrupt => {}, _ = terminate.recv() => {} },
        Err(_) => drop(interrupt.await),
    }
    tokio::spawn(async {
        let _ = tokio::signal::ctrl_c().await;
        std::process::exit(130);
    });
}
