//! Settings: parsed as said, then resolved. Flag > environment > `./bellwether.toml` > user's file > system's file.

use std::{collections::BTreeMap, path::PathBuf};

use figment::{
    Figment,
    providers::{Env, Format, Serialized, Toml},
};
use serde::{Deserialize, Serialize};

use crate::{
    args::ServerFlags,
    failure::{Failure, Kind, Outcome},
};

/// All settings with their defaults. Unknown keys are errors.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Address of the interface and the API.
    pub listen: String,
    /// Address for OTLP over gRPC.
    pub otlp_grpc: String,
    /// Address for OTLP over HTTP.
    pub otlp_http: String,
    /// Data folder; empty: `bellwether` in the user's data directory.
    pub data_dir: String,
    /// Ask for a token on loopback too.
    pub require_auth: bool,
    /// Listen beyond loopback without TLS and tokens.
    pub insecure: bool,
    /// Host names under which the server may be reached, beside loopback's.
    pub hosts: Vec<String>,
    /// Whether the host that this runs on is watched (tenant `_self`).
    pub watch_host: bool,
    /// Days to keep each signal.
    pub retention: Retention,
    /// Settings of analyses, by name: `[analyses.metric] threshold = 9`.
    pub analyses: BTreeMap<String, BTreeMap<String, f64>>,
    /// Where people reach the interface, for links in notices: `https://bellwether.example`; empty: where it listens.
    pub base_url: String,
    /// Whom notices can be sent to, by name: `[channels.ops] kind = "slack"`.
    pub channels: BTreeMap<String, act::ChannelSettings>,
    /// Where Bellwether may connect to, beside public addresses.
    pub egress: act::EgressSettings,
    /// Who may tell of changes by webhook.
    pub webhooks: Webhooks,
    /// What versions of models must show before an alias or a stage may mean them: `[[gates]]`.
    pub gates: Vec<api::Gate>,
    /// How versions of models go from shadow to canary to use by themselves: `[[rollouts]]`.
    pub rollouts: Vec<api::Rollout>,
    /// When models are trained again: `[[retraining]]`.
    pub retraining: Vec<api::Policy>,
    /// What can change the world outside: `[actuators.NAME]`.
    pub actuators: BTreeMap<String, act::actuator::ActuatorSettings>,
}

/// Senders of webhooks, and which entities their names stand for. It holds no secret, only where secrets are.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Webhooks {
    /// Variable of the environment with the secret that GitHub signs with.
    pub github_secret_env: Option<String>,
    /// File with it.
    pub github_secret_file: Option<PathBuf>,
    /// Variable of the environment with the token that GitLab sends.
    pub gitlab_secret_env: Option<String>,
    /// File with it.
    pub gitlab_secret_file: Option<PathBuf>,
    /// Only deployments to these environments count as changes; none: all.
    pub environments: Vec<String>,
    /// Entities by repository, `owner/name` or `owner/name@environment`.
    pub entities: BTreeMap<String, String>,
}

/// Days to keep each signal.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Metric points.
    pub samples_days: u32,
    /// Log lines.
    pub records_days: u32,
    /// Spans.
    pub spans_days: u32,
    /// Events.
    pub events_days: u32,
}

impl Default for Retention {
    fn default() -> Retention {
        Retention { samples_days: 90, records_days: 30, spans_days: 14, events_days: 400 }
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            listen: "127.0.0.1:7171".into(),
            otlp_grpc: "127.0.0.1:4317".into(),
            otlp_http: "127.0.0.1:4318".into(),
            data_dir: String::new(),
            require_auth: false,
            insecure: false,
            hosts: Vec::new(),
            watch_host: true,
            retention: Retention::default(),
            analyses: BTreeMap::new(),
            base_url: String::new(),
            channels: BTreeMap::new(),
            egress: act::EgressSettings::default(),
            webhooks: Webhooks::default(),
            gates: Vec::new(),
            rollouts: Vec::new(),
            retraining: Vec::new(),
            actuators: BTreeMap::new(),
        }
    }
}

impl Settings {
    /// Reads all sources; `file` takes the place of the project's, user's and system's files.
    pub fn load(file: Option<&PathBuf>) -> Outcome<Settings> {
        let mut figment = Figment::from(Serialized::defaults(Settings::default()));
        match file {
            Some(file) if !file.exists() => {
                return Err(Failure::new(Kind::Usage, format!("no settings file {}", file.display())));
            }
            Some(file) => figment = figment.merge(Toml::file_exact(file)),
            None => {
                let user = config_dir().map(|dir| dir.join("bellwether/bellwether.toml"));
                let files =
                    [Some(PathBuf::from("/etc/bellwether/bellwether.toml")), user, Some("bellwether.toml".into())];
                for file in files.into_iter().flatten().filter(|f| f.exists()) {
                    figment = figment.merge(Toml::file_exact(file));
                }
            }
        }
        // Names that the commands read for themselves are not settings.
        let env = Env::prefixed("BELLWETHER_").ignore(&["url", "token", "config", "data", "binary"]).split("__");
        figment.merge(env).extract().map_err(|error| {
            Failure::new(Kind::Usage, "the settings cannot be used")
                .cause(error.to_string())
                .hint("`bellwether config show` prints all settings with their defaults")
        })
    }

    /// The settings with what the command line says in their place.
    pub fn with_flags(mut self, flags: &ServerFlags) -> Settings {
        let said = [
            (&flags.listen, &mut self.listen),
            (&flags.otlp_grpc, &mut self.otlp_grpc),
            (&flags.otlp_http, &mut self.otlp_http),
        ];
        for (flag, setting) in said {
            if let Some(flag) = flag {
                *setting = flag.clone();
            }
        }
        if let Some(dir) = &flags.data_dir {
            self.data_dir = dir.display().to_string();
        }
        self.require_auth |= flags.require_auth;
        self.insecure |= flags.insecure;
        self
    }

    /// The data folder.
    pub fn data_dir(&self) -> Outcome<PathBuf> {
        if !self.data_dir.is_empty() {
            return Ok(PathBuf::from(&self.data_dir));
        }
        default_data_dir()
    }
}

/// `bellwether` in the user's data directory.
pub fn default_data_dir() -> Outcome<PathBuf> {
    let base = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).or_else(|| home().map(|h| h.join(".local/share")));
    base.map(|b| b.join("bellwether")).ok_or_else(|| {
        Failure::new(Kind::Usage, "no data folder: neither HOME nor XDG_DATA_HOME is set")
            .hint("name one with --data-dir")
    })
}

fn config_dir() -> Option<PathBuf> {
    std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).or_else(|| home().map(|h| h.join(".config")))
}

fn home() -> Option<PathBuf> {
    std::env::var_os("HOME").filter(|h| !h.is_empty()).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Outcome<Settings> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("b.toml");
        std::fs::write(&file, text).unwrap();
        Settings::load(Some(&file))
    }

    #[test]
    fn a_file_changes_what_it_names_and_nothing_else() {
        let settings =
            load("listen = '127.0.0.1:9'\n[retention]\nspans_days = 3\n[analyses.metric]\nx = 2.0\n").unwrap();
        assert_eq!((settings.listen.as_str(), settings.otlp_grpc.as_str()), ("127.0.0.1:9", "127.0.0.1:4317"));
        assert_eq!((settings.retention.spans_days, settings.retention.samples_days), (3, 90));
        assert_eq!(settings.analyses["metric"]["x"], 2.0);
    }

    #[test]
    fn unknown_keys_and_wrong_types_are_named() {
        for (text, culprit) in [
            ("[channels.ops]\nkind = 'pigeon'", "pigeon"),
            ("[egress]\nalow = []", "alow"),
            ("lisen = 'x'", "lisen"),
            ("[retention]\nspan_days = 3", "span_days"),
            ("listen = 7", "listen"),
        ] {
            let failure = load(text).unwrap_err();
            assert!(format!("{failure:?}").contains(culprit), "{failure:?}");
            assert_eq!(failure.code(), 2);
        }
    }

    #[test]
    fn flags_win() {
        let flags = ServerFlags { listen: Some("127.0.0.1:1".into()), require_auth: true, ..Default::default() };
        let settings = load("listen = '127.0.0.1:9'").unwrap().with_flags(&flags);
        assert_eq!(settings.listen, "127.0.0.1:1");
        assert!(settings.require_auth);
    }
}
