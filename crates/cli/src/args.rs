//! The command line. Help, man pages and completions are generated from these definitions.

use std::path::PathBuf;

use clap::{Args as Group, Parser, Subcommand, ValueEnum};

/// Says what is wrong in the systems you run, why, and on what evidence.
#[derive(Parser, Debug)]
#[command(
    name = "bellwether",
    version,
    max_term_width = 100,
    after_help = "Examples:\n  bellwether demo                        watch a small shop break, and read why\n  bellwether serve                       take in OTLP on 4317 and 4318, Prometheus remote write on 7171\n  bellwether query 'SELECT metric, count(*) FROM samples GROUP BY 1'\n  bellwether incidents list\n\nExit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 not allowed, 5 unavailable (try again)"
)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Options of all commands.
    #[command(flatten)]
    pub global: Global,
}

/// Options of all commands.
#[derive(Group, Debug)]
pub struct Global {
    /// When to colour output
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, help_heading = "Global options")]
    pub color: Color,
}

/// When to colour output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How to print an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns for people, long cells cut.
    Table,
    /// Columns for people, nothing cut.
    Wide,
    /// One JSON document.
    Json,
    /// One JSON object a line.
    Jsonl,
    /// Comma-separated values with a header.
    Csv,
}

/// Where a running server is.
#[derive(Group, Debug, Clone)]
pub struct Remote {
    /// Address of the server
    #[arg(long, env = "BELLWETHER_URL", default_value = "http://127.0.0.1:7171")]
    pub url: String,
    /// File with the access token (or set BELLWETHER_TOKEN)
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

/// The commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Run the server
    Serve(Serve),
    /// Run the server and a small shop under load that breaks on schedule
    Demo(Demo),
    /// Ask in SQL: samples, records, spans, events, edges
    #[command(
        after_help = "Examples:\n  bellwether query 'SELECT entity, count(*) FROM records GROUP BY 1 ORDER BY 2 DESC'\n  bellwether query --data-dir ./data -o csv 'SELECT * FROM samples LIMIT 10'\n  echo 'SELECT 1' | bellwether query -"
    )]
    Query(Query),
    /// Show the newest log lines, and follow them
    Tail(Tail),
    /// Send a test signal
    #[command(subcommand)]
    Send(Send),
    /// What the server takes in, holds and does
    Status(Status),
    /// Look for what commonly goes wrong, and say how to mend it
    Doctor(Doctor),
    /// List, show, acknowledge and resolve incidents
    #[command(subcommand)]
    Incidents(Incidents),
    /// List the alerts that other programs sent here
    Alerts(Alerts),
    /// List, make and end silences and maintenance windows
    #[command(subcommand)]
    Silences(Silences),
    /// Service level objectives: list and show them with their budgets, set, check and remove them
    #[command(subcommand)]
    Slos(Slos),
    /// Run models of other libraries from their files
    #[command(subcommand)]
    Models(Models),
    /// Check the journal's hash chain
    #[command(subcommand)]
    Audit(Audit),
    /// Check every stored block against its checksum (no server may be running on the folder)
    Verify(DataDir),
    /// Make, list and revoke access tokens
    #[command(subcommand)]
    Tokens(Tokens),
    /// Drive the analyses through a simulated fleet with known faults
    Sim(Sim),
    /// Measure accuracy on public data: our methods, trivial baselines and published peers on the same rows
    #[command(
        after_help = "Examples:\n  bellwether prove --list\n  bellwether prove nab logs --data ./data\n  bellwether prove m4 --data ./data --json --predictions ./out"
    )]
    Prove(Prove),
    /// Run a stretch of stored history through the analyses: what would have been said, and why
    #[command(
        after_help = "Examples:\n  bellwether replay --from now-1d\n  bellwether replay --from now-7d --to now-1h --budget 2\n  bellwether replay --data-dir ./data --from 2026-11-20T00:00:00Z --set metric.surprise_min=12"
    )]
    Replay(Replay),
    /// Say how a series may go on, and when it may reach a threshold
    #[command(
        after_help = "Examples:\n  bellwether forecast bellwether.requests.rate --entity service:shop/cart --horizon 6h\n  bellwether forecast system.filesystem.utilization --label mountpoint=/ --threshold 0.9 --horizon 7d"
    )]
    Forecast(Forecast),
    /// Show or set how many false events a week each service may have
    Budget(Budget),
    /// Show or check the settings as resolved
    #[command(subcommand)]
    Config(Config),
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write all pages to a folder
    Man {
        /// Folder to write one page a command to
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// One service of the demo (started by `demo`)
    #[command(hide = true)]
    ShopService(ShopService),
}

/// Where the server listens and keeps its data. What is not said here comes from the settings.
#[derive(Group, Debug, Clone, Default)]
pub struct ServerFlags {
    /// Data folder
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Address of the interface and the API [default: 127.0.0.1:7171]
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<String>,
    /// Address for OTLP over gRPC [default: 127.0.0.1:4317]
    #[arg(long, value_name = "ADDR:PORT")]
    pub otlp_grpc: Option<String>,
    /// Address for OTLP over HTTP [default: 127.0.0.1:4318]
    #[arg(long, value_name = "ADDR:PORT")]
    pub otlp_http: Option<String>,
    /// Settings file (TOML)
    #[arg(long, value_name = "FILE", env = "BELLWETHER_CONFIG")]
    pub config: Option<PathBuf>,
    /// Ask for a token on loopback too
    #[arg(long)]
    pub require_auth: bool,
    /// Listen beyond loopback without TLS and tokens: anyone who reaches the port can read and write
    #[arg(long)]
    pub insecure: bool,
}

/// Flags of `serve`.
#[derive(Group, Debug)]
pub struct Serve {
    /// Addresses and data folder.
    #[command(flatten)]
    pub server: ServerFlags,
    /// Take data in and answer queries, but run no analysis
    #[arg(long)]
    pub no_analyses: bool,
    /// Do not watch the host that this runs on
    #[arg(long)]
    pub no_host: bool,
}

/// Flags of `demo`.
#[derive(Group, Debug)]
pub struct Demo {
    /// Addresses and data folder (a fresh temporary one if none is named).
    #[command(flatten)]
    pub server: ServerFlags,
    /// Which faults to switch on: none, tour (each in turn), or a fault's name
    #[arg(long, default_value = "tour")]
    pub faults: String,
    /// Seed of the load
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Do not open the browser
    #[arg(long)]
    pub no_browser: bool,
    /// How much faster than ten minutes the load's cycle and the tour go
    #[arg(long, default_value_t = 1.0)]
    pub speed: f64,
}

/// Flags of `query`.
#[derive(Group, Debug)]
pub struct Query {
    /// The query; `-` reads it from standard input
    pub sql: String,
    /// Read this data folder directly (no server may be running on it)
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    pub data_dir: Option<PathBuf>,
    /// Server.
    #[command(flatten)]
    pub remote: Remote,
    /// How to print the answer
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub output: Format,
}

/// Flags of `tail`.
#[derive(Group, Debug)]
pub struct Tail {
    /// Only this entity, e.g. service:shop/payments or payments
    #[arg(long)]
    pub entity: Option<String>,
    /// Only lines that contain this
    #[arg(long)]
    pub grep: Option<String>,
    /// Only this severity and above: debug, info, warn, error
    #[arg(long, default_value = "debug")]
    pub level: String,
    /// How many lines to begin with
    #[arg(short = 'n', long, default_value_t = 20)]
    pub lines: u32,
    /// Keep showing new lines
    #[arg(short, long)]
    pub follow: bool,
    /// Server.
    #[command(flatten)]
    pub remote: Remote,
    /// How to print: table (plain lines) or jsonl
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub output: Format,
}

/// What to send.
#[derive(Subcommand, Debug)]
pub enum Send {
    /// A log line
    Log {
        /// The line
        body: String,
        /// debug, info, warn or error
        #[arg(long, default_value = "info")]
        level: String,
        /// Sender and server.
        #[command(flatten)]
        common: SendCommon,
    },
    /// A metric point
    Metric {
        /// Metric name
        name: String,
        /// Value
        #[arg(allow_negative_numbers = true)]
        value: f64,
        /// Sender and server.
        #[command(flatten)]
        common: SendCommon,
    },
    /// A span that ends now
    Span {
        /// Operation name
        name: String,
        /// Length in milliseconds
        #[arg(long, default_value_t = 10.0)]
        duration_ms: f64,
        /// Mark it as failed
        #[arg(long)]
        error: bool,
        /// Sender and server.
        #[command(flatten)]
        common: SendCommon,
    },
    /// A change: a deployment, a setting, a flag
    Event {
        /// Kind of change, e.g. deployment
        kind: String,
        /// Version after it
        #[arg(long)]
        version: Option<String>,
        /// Sender and server.
        #[command(flatten)]
        common: SendCommon,
    },
}

/// Who sends, and where to.
#[derive(Group, Debug)]
pub struct SendCommon {
    /// Name of the sending service
    #[arg(long, default_value = "test")]
    pub service: String,
    /// An attribute; may be given many times
    #[arg(long = "attribute", short = 'a', value_name = "KEY=VALUE")]
    pub attributes: Vec<String>,
    /// Server.
    #[command(flatten)]
    pub remote: Remote,
}

/// Flags of `status`.
#[derive(Group, Debug)]
pub struct Status {
    /// Server.
    #[command(flatten)]
    pub remote: Remote,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub output: Format,
}

/// Flags of `doctor`.
#[derive(Group, Debug)]
pub struct Doctor {
    /// Server.
    #[command(flatten)]
    pub remote: Remote,
}

/// What to do with incidents.
#[derive(Subcommand, Debug)]
pub enum Incidents {
    /// Newest first
    List {
        /// Only these: open, acknowledged, resolved
        #[arg(long)]
        state: Option<String>,
        /// Whose; `_self` for the host that Bellwether runs on
        #[arg(long)]
        tenant: Option<String>,
        /// Server.
        #[command(flatten)]
        remote: Remote,
        /// How to print it
        #[arg(short, long, value_enum, default_value_t = Format::Table)]
        output: Format,
    },
    /// Everything known of one
    Show {
        /// Its id, e.g. inc-3
        id: String,
        /// Server.
        #[command(flatten)]
        remote: Remote,
        /// How to print it
        #[arg(short, long, value_enum, default_value_t = Format::Table)]
        output: Format,
    },
    /// Say that somebody has taken it
    Ack(Verdict),
    /// Say that it is over
    Resolve(Verdict),
    /// Write a note into its timeline
    Note {
        /// Its id, e.g. inc-3
        id: String,
        /// The note
        text: String,
        /// Server.
        #[command(flatten)]
        remote: Remote,
    },
    /// Say that it is the same as another, where it goes on
    Join {
        /// The one that goes
        id: String,
        /// The one that stays
        into: String,
        /// Server.
        #[command(flatten)]
        remote: Remote,
    },
    /// Take entities out into an incident of their own
    Split {
        /// Its id, e.g. inc-3
        id: String,
        /// What goes, e.g. service:shop/cart
        #[arg(required = true)]
        entities: Vec<String>,
        /// Server.
        #[command(flatten)]
        remote: Remote,
    },
    /// Earlier incidents that look like it, and what ended them
    Similar {
        /// Its id, e.g. inc-3
        id: String,
        /// Server.
        #[command(flatten)]
        remote: Remote,
        /// How to print it
        #[arg(short, long, value_enum, default_value_t = Format::Table)]
        output: Format,
    },
    /// A post-mortem draft in Markdown
    Postmortem {
        /// Its id, e.g. inc-3
        id: String,
        /// Server.
        #[command(flatten)]
        remote: Remote,
    },
}

/// Flags of `alerts`.
#[derive(Group, Debug)]
pub struct Alerts {
    /// Only these: firing, resolved, silenced, flapping
    #[arg(long)]
    pub state: Option<String>,
    /// Only about this, e.g. service:shop/cart
    #[arg(long)]
    pub entity: Option<String>,
    /// Whose; `_self` for the host that Bellwether runs on
    #[arg(long)]
    pub tenant: Option<String>,
    /// Server.
    #[command(flatten)]
    pub remote: Remote,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub output: Format,
}

/// What to do with silences.
#[derive(Subcommand, Debug)]
pub enum Silences {
    /// Those that hold, are planned, or are over since a week
    List {
        /// Server.
        #[command(flatten)]
        remote: Remote,
        /// How to print it
        #[arg(short, long, value_enum, default_value_t = Format::Table)]
        output: Format,
    },
    /// Make one
    #[command(
        after_help = "Examples:\n  bellwether silences add service=payments --lasts 2h --comment 'upgrade'\n  bellwether silences add 'alertname~Disk*' --starts-at 2026-12-24T00:00:00Z --lasts 3d --dry-run"
    )]
    Add {
        /// Conditions that must all fit: label=value, label!=value, label~pat*, label!~pat*
        #[arg(required = true)]
        matchers: Vec<String>,
        /// How long, e.g. 30m, 2h, 1d
        #[arg(long)]
        lasts: String,
        /// From when [default: now]
        #[arg(long)]
        starts_at: Option<String>,
        /// Why
        #[arg(long, default_value = "")]
        comment: String,
        /// Only say what it would have kept quiet in the last seven days
        #[arg(short = 'n', long)]
        dry_run: bool,
        /// Server.
        #[command(flatten)]
        remote: Remote,
    },
    /// End one now
    End {
        /// Its id
        id: String,
        /// Server.
        #[command(flatten)]
        remote: Remote,
    },
}

/// What to do with models.
#[derive(Subcommand, Debug)]
pub enum Models {
    /// Answer rows with a model: scikit-learn (skops), XGBoost (UBJSON, JSON), LightGBM (text) or ONNX
    #[command(
        after_help = "Examples:\n  bellwether models predict model.skops rows.csv\n  cat rows.csv | bellwether models predict model.ubj --probabilities"
    )]
    Predict(Predict),
    /// Registered models, with the version of each that is in use
    List {
        /// Server.
        #[command(flatten)]
        remote: Remote,
        /// How to print it
        #[arg(short, long, value_enum, default_value_t = Format::Table)]
        output: Format,
    },
    /// How a model answers: its versions, what was asked of them, the gates before it
    Show {
        /// Its name
        name: String,
        /// Server.
        #[command(flatten)]
        remote: Remote,
        /// How to print it
        #[arg(short, long, value_enum, default_value_t = Format::Table)]
        output: Format,
    },
    /// What became of a model's versions: who registered, approved and moved them
    Moves {
        /// Its name
        name: String,
        /// Server.
        #[command(flatten)]
        remote: Remote,
        /// How to print it
        #[arg(short, long, value_enum, default_value_t = Format::Table)]
        output: Format,
    },
    /// The card of a version: what it is, of what it was made, how well it does, what is not known
    #[command(
        after_help = "Examples:\n  bellwether models card iris\n  bellwether models card iris 3 --html > card.html"
    )]
    Card {
        /// The model
        name: String,
        /// The version, or an alias; nothing: the one in use
        version: Option<String>,
        /// As a page for a browser instead of Markdown
        #[arg(long)]
        html: bool,
        /// Server.
        #[command(flatten)]
        remote: Remote,
    },
    /// Let an alias mean a version, if the gates before it allow that
    #[command(
        after_help = "Examples:\n  bellwether models promote iris 3\n  bellwether models promote iris 4 --alias canary"
    )]
    Promote {
        /// The model
        name: String,
        /// The version
        version: u64,
        /// Which alias
        #[arg(long, default_value = "champion")]
        alias: String,
        /// Server.
        #[command(flatten)]
        remote: Remote,
    },
    /// Approve a version, for gates that want approvals
    Approve {
        /// The model
        name: String,
        /// The version
        version: u64,
        /// Server.
        #[command(flatten)]
        remote: Remote,
    },
}

/// `models predict`
#[derive(Group, Debug)]
pub struct Predict {
    /// The model's file
    pub model: PathBuf,
    /// Rows as CSV with a line of names (- or nothing: standard input)
    pub rows: Option<PathBuf>,
    /// The probability of each class instead of the class
    #[arg(long)]
    pub probabilities: bool,
}

/// What to do with service level objectives.
#[derive(Subcommand, Debug)]
pub enum Slos {
    /// All of them, with what is left of each budget
    List {
        /// Whose; `_self` for the host that Bellwether runs on
        #[arg(long)]
        tenant: Option<String>,
        /// Server.
        #[command(flatten)]
        remote: Remote,
        /// How to print it
        #[arg(short, long, value_enum, default_value_t = Format::Table)]
        output: Format,
    },
    /// One, with what is counted and how fast its budget burns
    Show {
        /// Its name
        name: String,
        /// Server.
        #[command(flatten)]
        remote: Remote,
        /// How to print it
        #[arg(short, long, value_enum, default_value_t = Format::Table)]
        output: Format,
    },
    /// Set what a file says: new ones are added, those of a known name are replaced
    #[command(
        after_help = "Examples:\n  bellwether slos check objectives.yaml && bellwether slos set objectives.yaml\n  bellwether slos set - < objectives.yaml"
    )]
    Set {
        /// OpenSLO v1 YAML; `-` reads it from standard input
        file: PathBuf,
        /// Server.
        #[command(flatten)]
        remote: Remote,
    },
    /// Say what would be read of a file, or what is wrong in it (needs no server)
    Check {
        /// OpenSLO v1 YAML; `-` reads it from standard input
        file: PathBuf,
    },
    /// Remove one; what was counted for it is forgotten
    Remove {
        /// Its name
        name: String,
        /// Server.
        #[command(flatten)]
        remote: Remote,
    },
}

/// A person's word on an incident.
#[derive(Group, Debug)]
pub struct Verdict {
    /// Its id, e.g. inc-3
    pub id: String,
    /// Only say what would be done
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Who says so [default: the user's name]
    #[arg(long)]
    pub actor: Option<String>,
    /// Server.
    #[command(flatten)]
    pub remote: Remote,
}

/// What to do with the journal.
#[derive(Subcommand, Debug)]
pub enum Audit {
    /// Recompute the chain and name the first bad record
    Verify(DataDir),
    /// Print the newest record's number and hash, to be kept elsewhere: a chain alone cannot show a cut tail
    Head(DataDir),
}

/// A command on a data folder.
#[derive(Group, Debug)]
pub struct DataDir {
    /// Data folder [default: the user's data directory]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// What to do with access tokens.
#[derive(Subcommand, Debug)]
pub enum Tokens {
    /// Make one and print it once
    Create {
        /// What it may do: ingest, read, write or admin
        scope: String,
        /// A word to know it by
        #[arg(long, default_value = "")]
        name: String,
        /// Days until it expires; 0 for never
        #[arg(long, default_value_t = 0)]
        days: u32,
        /// Data folder.
        #[command(flatten)]
        data: DataDir,
    },
    /// List them (never their secrets)
    List(DataDir),
    /// End one now
    Revoke {
        /// Its id
        id: String,
        /// Data folder.
        #[command(flatten)]
        data: DataDir,
    },
}

/// Flags of `sim`.
#[derive(Group, Debug)]
pub struct Sim {
    /// Seed of the first world
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How many worlds, with seeds counted up
    #[arg(long, default_value_t = 1)]
    pub worlds: u64,
    /// Length of each in simulated minutes [default: enough for each kind of fault once]
    #[arg(long)]
    pub minutes: Option<u32>,
    /// No faults: count what is said of a healthy fleet
    #[arg(long)]
    pub healthy: bool,
    /// Two faults at a time, half a minute after a harmless deployment of a third service
    #[arg(long, conflicts_with = "healthy")]
    pub pairs: bool,
    /// No spans and lines: metrics of the services and what a mesh counts of their calls
    #[arg(long)]
    pub metrics_only: bool,
}

/// Flags of `prove`.
#[derive(Group, Debug)]
pub struct Prove {
    /// Which protocols; all if none is named
    pub protocols: Vec<String>,
    /// Folder of public data; `--list` says what is expected in it
    #[arg(long, value_name = "DIR", env = "BELLWETHER_DATA")]
    pub data: Option<PathBuf>,
    /// One JSON object a protocol
    #[arg(long)]
    pub json: bool,
    /// Write the raw output (scores, templates, forecasts) below this folder
    #[arg(long, value_name = "DIR")]
    pub predictions: Option<PathBuf>,
    /// Say what each protocol measures and reads
    #[arg(long)]
    pub list: bool,
}

/// Flags of `replay`.
#[derive(Group, Debug)]
pub struct Replay {
    /// From: RFC 3339, or now-7d (s, m, h, d)
    #[arg(long)]
    pub from: String,
    /// To [default: now]
    #[arg(long)]
    pub to: Option<String>,
    /// Hours before --from to learn from [default: as long as the stretch, at least 6]
    #[arg(long, value_name = "HOURS")]
    pub learn_hours: Option<f64>,
    /// A setting in place of the one that runs; may be given many times
    #[arg(long, value_name = "ANALYSIS.NAME=NUMBER")]
    pub set: Vec<String>,
    /// False events a week for each service, in place of the budget that runs; 0 for no limit
    #[arg(long, value_name = "N")]
    pub budget: Option<f64>,
    /// Only what concerns this entity, e.g. service:shop/payments
    #[arg(long)]
    pub entity: Option<String>,
    /// Also what was nearly said, and which condition was not met
    #[arg(long)]
    pub near: bool,
    /// Read this data folder directly (no server may be running on it)
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    pub data_dir: Option<PathBuf>,
    /// Settings file, with --data-dir
    #[arg(long, value_name = "FILE", env = "BELLWETHER_CONFIG")]
    pub config: Option<PathBuf>,
    /// Server.
    #[command(flatten)]
    pub remote: Remote,
    /// How to print the report
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub output: Format,
}

/// Flags of `forecast`.
#[derive(Group, Debug)]
pub struct Forecast {
    /// Metric; together with --entity and --label it must name one series
    pub metric: String,
    /// Whose, e.g. service:shop/payments
    #[arg(long)]
    pub entity: Option<String>,
    /// A label that it has; may be given many times
    #[arg(long, value_name = "NAME=VALUE")]
    pub label: Vec<String>,
    /// Tenant, e.g. _self for Bellwether's own host
    #[arg(long)]
    pub tenant: Option<String>,
    /// History is looked at from here on: RFC 3339, or now-7d [default: now-14d]
    #[arg(long)]
    pub from: Option<String>,
    /// How far ahead: 90s, 15m, 6h, 2d
    #[arg(long, default_value = "1d")]
    pub horizon: String,
    /// Also say when it may reach this value
    #[arg(long, allow_negative_numbers = true)]
    pub threshold: Option<f64>,
    /// Share of future values that the interval should hold [default: 0.9]
    #[arg(long)]
    pub confidence: Option<f64>,
    /// Server.
    #[command(flatten)]
    pub remote: Remote,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub output: Format,
}

/// Flags of `budget`.
#[derive(Group, Debug)]
pub struct Budget {
    /// Events a week for each service, or none; shows the budget if not said
    #[arg(allow_negative_numbers = true)]
    pub per_week: Option<String>,
    /// Server.
    #[command(flatten)]
    pub remote: Remote,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub output: Format,
}

/// What to do with the settings.
#[derive(Subcommand, Debug)]
pub enum Config {
    /// Check the settings and say what is wrong
    Check(ConfigFile),
    /// Print the settings as resolved
    Show(ConfigFile),
}

/// Which settings file.
#[derive(Group, Debug)]
pub struct ConfigFile {
    /// Settings file (TOML)
    #[arg(long, value_name = "FILE", env = "BELLWETHER_CONFIG")]
    pub config: Option<PathBuf>,
}

/// Flags of the hidden command that runs one service of the demo. All of them come from `demo`.
#[derive(Group, Debug)]
pub struct ShopService {
    /// Arguments as the demo gives them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub args: Vec<String>,
}
