//! Units of systemd on this machine, through `systemctl`: its arguments are fixed words and a unit that the settings
//! name.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    Admitted, BlastRadius, OUTPUT_BYTES_MAX, Outcome, Preview, Registration, Wrong, check_names,
    command::words,
    process::{self, Exit, Limits, Program, Ran},
};

/// The kinds of units that can be named.
const KINDS: &[&str] = &[".service", ".socket", ".timer", ".target", ".path", ".mount"];

/// `kind = "systemd"`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Units that may be targets, with their kind: `nginx.service`.
    pub units: Vec<String>,
    /// The program, with its whole path.
    #[serde(default = "systemctl_default")]
    pub systemctl: PathBuf,
    /// Whether the units are the user's own (`systemctl --user`).
    #[serde(default)]
    pub user: bool,
    /// Seconds after which is no longer waited; 1..=600.
    #[serde(default = "time_default")]
    pub timeout_s: u32,
}

fn systemctl_default() -> PathBuf {
    "/usr/bin/systemctl".into()
}

fn time_default() -> u32 {
    90
}

impl Settings {
    pub(super) fn open(&self, env: &dyn Fn(&str) -> Option<String>) -> Result<Systemd, Wrong> {
        check_names("units", &self.units)?;
        if let Some(unit) = self.units.iter().find(|unit| !is_unit(unit)) {
            let kinds = KINDS.join(", ");
            return Err(("units", format!("{unit:?} is no unit: a plain name that ends with one of {kinds} is")));
        }
        let program = self.systemctl.to_str().filter(|_| self.systemctl.is_absolute());
        let program = program.ok_or(("systemctl", "give the whole path".to_owned()))?;
        if !(1..=600).contains(&self.timeout_s) {
            return Err(("timeout_s", format!("{} is not within 1..=600", self.timeout_s)));
        }
        let mut environment = BTreeMap::from([("LC_ALL".to_owned(), "C".to_owned())]);
        // The way to the user's own manager.
        for name in ["XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"].into_iter().filter(|_| self.user) {
            environment.extend(env(name).map(|value| (name.to_owned(), value)));
        }
        Ok(Systemd {
            units: self.units.clone(),
            program: program.to_owned(),
            user: self.user,
            environment,
            time: Duration::from_secs(self.timeout_s.into()),
        })
    }
}

/// No pattern, no option, no path: `systemctl` would take a glob for many units.
fn is_unit(text: &str) -> bool {
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.@:\\".contains(&b));
    let kind = KINDS.iter().find_map(|kind| text.strip_suffix(kind));
    plain && kind.is_some_and(|name| name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_'))
}

/// A systemd, ready.
#[derive(Clone, Debug)]
pub struct Systemd {
    pub(super) units: Vec<String>,
    program: String,
    user: bool,
    environment: BTreeMap<String, String>,
    time: Duration,
}

impl Systemd {
    pub(super) fn registrations(&self) -> Vec<Registration> {
        let registration = |action: &str, reversible, idempotent| Registration {
            kind: "systemd",
            action: action.into(),
            reversible,
            blast_radius: BlastRadius::Host,
            idempotent,
            parameters: BTreeMap::new(),
        };
        vec![registration("restart", false, false), registration("start", true, true), registration("stop", true, true)]
    }

    pub(super) async fn dry_run(&self, step: &Admitted<'_>) -> Result<Preview, Outcome> {
        let ran = self.run(&["show", "--property=LoadState,ActiveState"], step.target).await?;
        let said = ran.output.get("stdout").map(String::as_str).unwrap_or_default();
        let property = |name: &str| said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        if ran.exit != Exit::Code(0) {
            return Err(Outcome { output: ran.output, ..Outcome::failed("systemd cannot be asked about the unit") });
        }
        if property("LoadState") != Some("loaded") {
            return Err(Outcome::refused("systemd has no such unit"));
        }
        let active = property("ActiveState").unwrap_or("unknown");
        let argv = self.argv(&[step.action], step.target);
        Ok(Preview { does: vec![format!("run {argv:?}; the unit is {active} now")], asked: true })
    }

    pub(super) async fn carry_out(&self, step: &Admitted<'_>) -> Outcome {
        let ran = match self.run(&[step.action], step.target).await {
            Ok(ran) => ran,
            Err(outcome) => return outcome,
        };
        let mut outcome = match ran.exit {
            Exit::Code(0) => Outcome::done(format!("{}: done", step.action)),
            // 4: may not, 5: no such unit; the codes of LSB, which systemctl keeps to.
            Exit::Code(4) => Outcome::refused("systemd does not let us do this"),
            Exit::Code(5) => Outcome::refused("systemd has no such unit"),
            exit => Outcome::unknown(words(exit, self.time)),
        };
        outcome.output = ran.output;
        outcome
    }

    fn argv(&self, words: &[&str], unit: &str) -> Vec<String> {
        let options = ["--no-ask-password", "--no-pager"].into_iter().chain(self.user.then_some("--user"));
        let arguments = options.chain(words.iter().copied()).chain(["--", unit]);
        std::iter::once(self.program.as_str()).chain(arguments).map(str::to_owned).collect()
    }

    async fn run(&self, words: &[&str], unit: &str) -> Result<Ran, Outcome> {
        let limits = Limits {
            time: self.time,
            grace: Duration::from_secs(2),
            output_bytes_max: OUTPUT_BYTES_MAX,
            memory_bytes_max: None,
            open_files_max: None,
            file_bytes_max: None,
        };
        let argv = self.argv(words, unit);
        let program = Program { argv, environment: &self.environment, folder: Path::new("/"), user: None, limits };
        process::run(&program).await.map_err(Outcome::failed)
    }
}
