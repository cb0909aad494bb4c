//! A program of this machine: an executable and its arguments, never a line for a shell.
//!
//! It runs with the environment that the settings name and no other, without input, in a process group of its own, where
//! it can be under a user of its own, and it is ended when its time is over. Files that this server has open are closed
//! for it. Its exit code says how it ended; a code that the settings do not explain is `unknown`, since a program may
//! fail after it has done something.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    Admitted, BlastRadius, Key, OUTPUT_BYTES_MAX, Outcome, Parameter, Preview, Registration, Wrong, check_names,
    parameter,
    process::{self, Exit, Limits, Program},
    template::{self, Word, check_places, places, with_step},
};

/// The action's name.
const ACTION: &str = "run";
const ARGUMENTS_MAX: usize = 256;
const MIB: u64 = 1024 * 1024;

/// `kind = "command"`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What it can be done with; goes where `{target}` stands.
    pub targets: Vec<String>,
    /// The executable with its whole path, and its arguments. An argument that is `{name}` is a parameter's value,
    /// `{target}` the target, `{key}` the name of the intent.
    pub argv: Vec<String>,
    /// The folder that it begins in.
    pub folder: PathBuf,
    /// Parameters by name.
    #[serde(default)]
    pub parameters: BTreeMap<String, Parameter>,
    /// Its environment.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Variables of our environment that it gets too.
    #[serde(default)]
    pub pass: Vec<String>,
    /// User (number) to run as; needs a server that runs as root.
    #[serde(default)]
    pub uid: Option<u32>,
    /// Group (number) to run as; goes with `uid`.
    #[serde(default)]
    pub gid: Option<u32>,
    /// Seconds after which it is told to end (SIGTERM); 1..=3600.
    #[serde(default = "time_default")]
    pub timeout_s: u32,
    /// Seconds after that until it is killed (SIGKILL); 0..=60.
    #[serde(default = "grace_default")]
    pub grace_s: u32,
    /// KiB that are kept of each of its outputs; 0..=64.
    #[serde(default = "output_default")]
    pub output_kib_max: u32,
    /// MiB of address space of each process; Linux.
    #[serde(default)]
    pub memory_mib_max: Option<u32>,
    /// Open files of each process; Linux.
    #[serde(default)]
    pub open_files_max: Option<u32>,
    /// MiB of the largest file that it may write; Linux.
    #[serde(default)]
    pub file_mib_max: Option<u32>,
    /// Exit codes that say it is done.
    #[serde(default = "done_default")]
    pub done: Vec<u8>,
    /// Exit codes that promise that nothing happened. All others mean that a person must look.
    #[serde(default)]
    pub nothing_happened: Vec<u8>,
    /// Whether a further step can bring back what was.
    #[serde(default)]
    pub reversible: bool,
    /// What it touches at the most.
    #[serde(default)]
    pub blast_radius: BlastRadius,
    /// Whether to run it twice is to run it once.
    #[serde(default)]
    pub idempotent: bool,
}

fn time_default() -> u32 {
    60
}

fn grace_default() -> u32 {
    5
}

fn output_default() -> u32 {
    64
}

fn done_default() -> Vec<u8> {
    vec![0]
}

impl Settings {
    pub(super) fn open(&self, env: &dyn Fn(&str) -> Option<String>) -> Result<Command, Wrong> {
        check_names("targets", &self.targets)?;
        parameter::check_declared(&self.parameters).map_err(|what| ("parameters", what))?;
        let argv = read_argv(&self.argv).map_err(|what| ("argv", what))?;
        check_places(places(&argv), &self.parameters).map_err(|what| ("argv", what))?;
        if !self.folder.is_absolute() {
            return Err(("folder", "give the whole path".into()));
        }
        for (field, value, range) in [
            ("timeout_s", self.timeout_s, 1..=3600),
            ("grace_s", self.grace_s, 0..=60),
            ("output_kib_max", self.output_kib_max, 0..=64),
        ] {
            if !range.contains(&value) {
                return Err((field, format!("{value} is not within {range:?}")));
            }
        }
        if let Some(code) = self.nothing_happened.iter().find(|code| self.done.contains(code)) {
            return Err(("nothing_happened", format!("{code} is under done, too")));
        }
        let mib = |most: Option<u32>| most.map(|most| u64::from(most) * MIB);
        let limits = Limits {
            time: Duration::from_secs(self.timeout_s.into()),
            grace: Duration::from_secs(self.grace_s.into()),
            output_bytes_max: (self.output_kib_max as usize * 1024).min(OUTPUT_BYTES_MAX),
            memory_bytes_max: mib(self.memory_mib_max),
            open_files_max: self.open_files_max.map(u64::from),
            file_bytes_max: mib(self.file_mib_max),
        };
        Ok(Command {
            targets: self.targets.clone(),
            argv,
            folder: self.folder.clone(),
            environment: self.environment(env)?,
            shown_environment: self.environment.keys().chain(&self.pass).cloned().collect(),
            user: self.user()?,
            limits,
            done: self.done.clone(),
            nothing_happened: self.nothing_happened.clone(),
            registration: Registration {
                kind: "command",
                action: ACTION.into(),
                reversible: self.reversible,
                blast_radius: self.blast_radius,
                idempotent: self.idempotent,
                parameters: self.parameters.clone(),
            },
        })
    }

    fn environment(&self, env: &dyn Fn(&str) -> Option<String>) -> Result<BTreeMap<String, String>, Wrong> {
        let mut all = self.environment.clone();
        for name in &self.pass {
            let value = env(name).ok_or_else(|| ("pass", format!("the environment has no {name}")))?;
            if all.insert(name.clone(), value).is_some() {
                return Err(("pass", format!("{name} is under environment, too")));
            }
        }
        for (name, value) in &all {
            if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
                return Err(("environment", format!("{name:?} or its value cannot be in an environment")));
            }
        }
        Ok(all)
    }

    fn user(&self) -> Result<Option<(u32, u32)>, Wrong> {
        match (self.uid, self.gid) {
            (None, None) => Ok(None),
            (Some(uid), Some(gid)) if rustix::process::geteuid().is_root() => Ok(Some((uid, gid))),
            (Some(_), Some(_)) => Err(("uid", "this server does not run as root and cannot run it as another".into())),
            _ => Err(("uid", "give uid and gid, or neither".into())),
        }
    }
}

fn read_argv(said: &[String]) -> Result<Vec<Word>, String> {
    if said.len() > ARGUMENTS_MAX || said.iter().any(|text| text.contains('\0')) {
        return Err(format!("at most {ARGUMENTS_MAX} arguments, without zero bytes"));
    }
    let argv: Vec<Word> = said.iter().map(|text| Word::parse(text)).collect::<Result<_, _>>()?;
    match argv.first() {
        Some(Word::Fixed(path)) if Path::new(path).is_absolute() => Ok(argv),
        Some(_) => Err("the first is the executable with its whole path, and no {name}".into()),
        None => Err("name the executable and its arguments".into()),
    }
}

/// A program, ready.
#[derive(Clone)]
pub struct Command {
    pub(super) targets: Vec<String>,
    argv: Vec<Word>,
    folder: PathBuf,
    environment: BTreeMap<String, String>,
    shown_environment: Vec<String>,
    user: Option<(u32, u32)>,
    limits: Limits,
    done: Vec<u8>,
    nothing_happened: Vec<u8>,
    registration: Registration,
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Command {{ argv: {:?}, environment: {:?} }}", self.argv, self.shown_environment)
    }
}

impl Command {
    pub(super) fn registration(&self) -> Registration {
        self.registration.clone()
    }

    pub(super) fn dry_run(&self, step: &Admitted<'_>) -> Result<Preview, Outcome> {
        let argv = self.filled(step, "{key}");
        let mut does = vec![format!("run {argv:?} in {}", self.folder.display())];
        if let Some((user, group)) = self.user {
            does.push(format!("as user {user}, group {group}"));
        }
        let names = self.shown_environment.join(", ");
        does.push(format!("with the environment {}", if names.is_empty() { "empty" } else { &names }));
        does.push(format!("for at most {} s", self.limits.time.as_secs()));
        Ok(Preview { does, asked: false })
    }

    pub(super) async fn carry_out(&self, step: &Admitted<'_>, key: &Key) -> Outcome {
        let program = Program {
            argv: self.filled(step, key.as_str()),
            environment: &self.environment,
            folder: &self.folder,
            user: self.user,
            limits: self.limits,
        };
        let ran = match process::run(&program).await {
            Ok(ran) => ran,
            Err(why) => return Outcome::failed(why),
        };
        let is_one_of = |codes: &[u8], code: i32| codes.iter().any(|known| i32::from(*known) == code);
        let mut outcome = match ran.exit {
            Exit::Code(code) if is_one_of(&self.done, code) => Outcome::done(format!("it ended with code {code}")),
            Exit::Code(code) if is_one_of(&self.nothing_happened, code) => {
                Outcome::failed(format!("it ended with code {code}, which says that nothing happened"))
            }
            exit => Outcome::unknown(words(exit, self.limits.time)),
        };
        outcome.output = ran.output;
        outcome
    }

    fn filled(&self, step: &Admitted<'_>, key: &str) -> Vec<String> {
        let values = with_step(&step.values, step.target, key);
        self.argv.iter().map(|word| template::Word::fill(word, &values)).collect()
    }
}

/// How a program ended of which it is not known what it has done.
pub(super) fn words(exit: Exit, time: Duration) -> String {
    match exit {
        Exit::Code(code) => format!("it ended with code {code}, and may have done something before"),
        Exit::Signal(signal) => format!("it was ended by signal {signal}, and may have done something before"),
        Exit::TimedOut => format!("it did not end within {} s and was killed", time.as_secs()),
        Exit::Lost => "how it ended is not known".into(),
    }
}
