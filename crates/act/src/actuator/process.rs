//! Runs one program: no shell, no input, nothing of our environment, a process group of its own, and an end to time and
//! output.
//!
//! What stays in the group when the program has ended is killed. A descendant that moves itself to another session (a
//! daemon) leaves the group, and is not followed.

use std::{
    collections::BTreeMap,
    path::Path,
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, Command},
    task::JoinSet,
    time::{sleep, timeout},
};

/// How often is looked whether the program has ended.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How long is waited for what is still in the pipes when the program and its group are gone.
const DRAIN: Duration = Duration::from_millis(500);

/// What to run.
pub(super) struct Program<'a> {
    /// The executable and its arguments.
    pub argv: Vec<String>,
    /// All of its environment.
    pub environment: &'a BTreeMap<String, String>,
    /// Where it begins.
    pub folder: &'a Path,
    /// User and group to be; needs to be root.
    pub user: Option<(u32, u32)>,
    pub limits: Limits,
}

/// What it may use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// After this it is told to end.
    pub time: Duration,
    /// And after this it is killed.
    pub grace: Duration,
    /// Kept of each of its two outputs; the rest is read and dropped.
    pub output_bytes_max: usize,
    /// Address space of each process.
    pub memory_bytes_max: Option<u64>,
    /// Open files of each process.
    pub open_files_max: Option<u64>,
    /// The size of a file that it writes.
    pub file_bytes_max: Option<u64>,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By a signal that was not ours.
    Signal(i32),
    /// It ran past its time and was ended.
    TimedOut,
    /// The system does not tell.
    Lost,
}

/// What came of it.
pub(super) struct Ran {
    pub exit: Exit,
    pub output: BTreeMap<&'static str, String>,
}

/// Runs the program to its end. The error says why it could not be started; then nothing happened.
pub(super) async fn run(program: &Program<'_>) -> Result<Ran, String> {
    let shown = program.argv.first().cloned().unwrap_or_default();
    // Ours are all made to be closed; this is for what we were started with ourselves.
    close_fds::set_fds_cloexec_threadsafe(3, &[]);
    let mut child = command(program).spawn().map_err(|error| format!("{shown} cannot be started: {error}"))?;
    let Some(pid) = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) else {
        return Ok(Ran { exit: Exit::Lost, output: BTreeMap::new() });
    };
    let mut group = Group { pid, is_gone: false };
    limit(pid, &program.limits);
    let (stdout, stderr) = (Arc::default(), Arc::default());
    let mut readers = JoinSet::new();
    let most = program.limits.output_bytes_max;
    if let Some(pipe) = child.stdout.take() {
        readers.spawn(keep(pipe, Arc::clone(&stdout), most));
    }
    if let Some(pipe) = child.stderr.take() {
        readers.spawn(keep(pipe, Arc::clone(&stderr), most));
    }
    let exit = end(&mut child, &mut group, &program.limits).await;
    let _ = timeout(DRAIN, async { while readers.join_next().await.is_some() {} }).await;
    let output = [("stdout", stdout), ("stderr", stderr)].into_iter();
    let output = output.map(|(name, kept)| (name, shown_text(&kept.lock()))).filter(|(_, text)| !text.is_empty());
    Ok(Ran { exit, output: output.collect() })
}

fn command(program: &Program<'_>) -> Command {
    let mut argv = program.argv.iter();
    let mut command = Command::new(argv.next().map(String::as_str).unwrap_or_default());
    command
        .args(argv)
        .env_clear()
        .envs(program.environment)
        .current_dir(program.folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    if let Some((user, group)) = program.user {
        // Drops all further groups, too.
        command.uid(user).gid(group);
    }
    command
}

/// The processes of a program; killed with what waits for them.
struct Group {
    pid: Pid,
    is_gone: bool,
}

impl Group {
    fn kill(&mut self) {
        if !std::mem::replace(&mut self.is_gone, true) {
            let _ = kill_process_group(self.pid, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits for the end, or makes it. The process is looked at without being reaped until its group is gone, so that the
/// group's number cannot be another's by then.
async fn end(child: &mut Child, group: &mut Group, limits: &Limits) -> Exit {
    let in_time = ends_within(group.pid, limits.time).await;
    if !in_time {
        let _ = kill_process_group(group.pid, Signal::TERM);
        ends_within(group.pid, limits.grace).await;
    }
    group.kill();
    let status = child.wait().await;
    match status {
        _ if !in_time => Exit::TimedOut,
        Ok(status) => match (status.code(), std::os::unix::process::ExitStatusExt::signal(&status)) {
            (Some(code), _) => Exit::Code(code),
            (None, Some(signal)) => Exit::Signal(signal),
            (None, None) => Exit::Lost,
        },
        Err(_) => Exit::Lost,
    }
}

async fn ends_within(pid: Pid, time: Duration) -> bool {
    let begun = Instant::now();
    loop {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        // An error says that there is no such child any more.
        if !matches!(waitid(WaitId::Pid(pid), options), Ok(None)) {
            return true;
        }
        if begun.elapsed() >= time {
            return false;
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Sets limits on a process that has just begun, before it can have used much.
#[cfg(target_os = "linux")]
fn limit(pid: Pid, limits: &Limits) {
    use rustix::process::{Resource, Rlimit, prlimit};
    for (resource, most) in [
        (Resource::Core, Some(0)),
        (Resource::As, limits.memory_bytes_max),
        (Resource::Nofile, limits.open_files_max),
        (Resource::Fsize, limits.file_bytes_max),
    ] {
        if most.is_some() {
            let _ = prlimit(Some(pid), resource, Rlimit { current: most, maximum: most });
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn limit(_pid: Pid, _limits: &Limits) {}

#[derive(Default)]
struct Kept {
    bytes: Vec<u8>,
    dropped: u64,
}

/// Reads to the end, so that the program never waits for us, and keeps the beginning.
async fn keep(mut pipe: impl AsyncRead + Unpin, kept: Arc<Mutex<Kept>>, most: usize) {
    let mut part = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = pipe.read(&mut part).await {
        let mut kept = kept.lock();
        let room = most.saturating_sub(kept.bytes.len()).min(length);
        kept.bytes.extend_from_slice(&part[..room]);
        kept.dropped += (length - room) as u64;
    }
}

/// Lines without what a terminal or a page would obey.
fn shown_text(kept: &Kept) -> String {
    let text = String::from_utf8_lossy(&kept.bytes);
    let lines: Vec<String> = text.lines().map(crate::text::clean).collect();
    let mut shown = lines.join("\n").trim_end().to_owned();
    if kept.dropped > 0 {
        shown.push_str(&format!("\n… {} bytes more", kept.dropped));
    }
    shown
}
