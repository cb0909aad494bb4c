//! What the commands share: running programs, and finding or installing what a test needs from the system.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use anyhow::{Context, Result, bail};

/// The repository's root: of the checkout that `cargo xtask` is called in, which need not be the one that this program
/// was compiled in when two checkouts share a target folder.
pub fn root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| {
        let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        PathBuf::from(package).parent().expect("xtask lies in the repository").to_path_buf()
    });
    &ROOT
}

/// Where cargo builds.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The built binary.
pub fn binary() -> PathBuf {
    target().join("debug/bellwether")
}

/// Cargo, in the repository's root.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    // What cargo tells this program of itself. Build scripts look at these names (ring's does), and would build anew
    // each time cargo is called here after it was called by hand.
    let own = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(own)) {
        command.env_remove(name);
    }
    command
}

/// npm, in the interface's folder.
pub fn npm() -> Command {
    let mut command = Command::new("npm");
    command.current_dir(root().join("ui"));
    command
}

/// Says what comes next.
pub fn step(what: &str) {
    eprintln!("── {what}");
}

/// Runs a program with its output shown; an error names it.
pub fn run(command: &mut Command) -> Result<()> {
    let text = format!("{} {}", command.get_program().display(), shown(command));
    let status = command.status().with_context(|| format!("cannot start {text}"))?;
    if !status.success() {
        bail!("{text}: {status}");
    }
    Ok(())
}

fn shown(command: &Command) -> String {
    command.get_args().map(|a| a.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// All files below a folder, or the file itself; in order of name.
pub fn walk(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let Ok(entries) = std::fs::read_dir(path) else { return Vec::new() };
    let mut found: Vec<PathBuf> = entries.flatten().flat_map(|e| walk(&e.path())).collect();
    found.sort();
    found
}

/// The interpreter to make virtual environments with.
pub fn python() -> Result<PathBuf> {
    for name in ["python3", "python"] {
        if Command::new(name).arg("--version").output().is_ok_and(|o| o.status.success()) {
            return Ok(name.into());
        }
    }
    bail!("no python3 found: install Python 3.9 or newer")
}

/// Runs `job` with the interpreter of a virtual environment (`name` in the target folder) that has the packages.
pub fn with_python(name: &str, packages: &[&str], job: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let venv = target().join(name);
    let interpreter = venv.join("bin/python");
    let stamp = venv.join("bellwether-packages");
    if std::fs::read_to_string(&stamp).unwrap_or_default() != packages.join("\n") {
        step(&format!("install Python packages for the senders' tests ({name})"));
        run(Command::new(python()?).args(["-m", "venv"]).arg(&venv))?;
        run(Command::new(&interpreter).args(["-m", "pip", "install", "--quiet"]).args(packages))?;
        std::fs::write(&stamp, packages.join("\n"))?;
    }
    job(&interpreter)
}

/// Runs `job` with Chromium; installs Debian's where that can be done, else says how and fails.
pub fn with_chromium(job: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
    let find = || std::env::var_os("CHROMIUM").map(PathBuf::from).or_else(|| names.iter().find_map(|n| which(n)));
    if find().is_none() && is_root_on_debian() {
        step("install Chromium");
        run(Command::new("apt-get").args(["update", "-qq"]))?;
        run(Command::new("apt-get").args(["install", "-y", "-qq", "--no-install-recommends", "chromium"]))?;
    }
    match find() {
        Some(chromium) => job(&chromium),
        None => bail!("no Chromium found: install it (Debian: apt-get install chromium) or set CHROMIUM to its path"),
    }
}

/// Runs `job` with a Prometheus server; unpacks Debian's package into the target folder where there is none.
pub fn with_prometheus(job: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    job(&of_debian("PROMETHEUS", &["prometheus"], "prometheus")?)
}

/// Runs `job` with an Alertmanager; unpacks Debian's package into the target folder where there is none.
pub fn with_alertmanager(job: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let program = of_debian("ALERTMANAGER", &["alertmanager", "prometheus-alertmanager"], "prometheus-alertmanager")?;
    if !program.starts_with(target()) {
        return job(&program);
    }
    // Debian's build reads its templates below /usr/share: it is shown the unpacked ones in a mount namespace of its own.
    let run = target().join("prometheus-alertmanager/run");
    let unpacked = target().join("prometheus-alertmanager");
    let script = format!(
        "#!/bin/sh\nexec unshare -r -m sh -c 'mount --bind \"$0/usr/share\" /usr/share && \
         exec \"$0/usr/bin/prometheus-alertmanager\" \"$@\"' '{}' \"$@\"\n",
        unpacked.display()
    );
    std::fs::write(&run, script)?;
    std::fs::set_permissions(&run, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    if !Command::new(&run).arg("--version").output().is_ok_and(|o| o.status.success()) {
        bail!(
            "no mount namespace to be had for the unpacked Alertmanager: install it, or set ALERTMANAGER to its path"
        );
    }
    job(&run)
}

/// A program: where the variable says, on the PATH under one of the names, or unpacked from Debian's package into the
/// target folder.
fn of_debian(variable: &str, names: &[&str], package: &str) -> Result<PathBuf> {
    let found = std::env::var_os(variable).map(PathBuf::from).or_else(|| names.iter().find_map(|n| which(n)));
    if let Some(program) = found {
        return Ok(program);
    }
    let dir = target().join(package);
    let unpacked = dir.join("usr/bin").join(package);
    if !unpacked.exists() && which("apt-get").is_some() {
        step(&format!("unpack Debian's {package}"));
        std::fs::create_dir_all(&dir)?;
        if run(Command::new("apt-get").args(["download", "-qq", package]).current_dir(&dir)).is_err() {
            run(Command::new("apt-get").args(["update", "-qq"]))?;
            run(Command::new("apt-get").args(["download", "-qq", package]).current_dir(&dir))?;
        }
        let file = walk(&dir).into_iter().find(|p| p.extension().is_some_and(|e| e == "deb"));
        let file = file.context("apt-get downloaded no package")?;
        run(Command::new("dpkg").arg("-x").arg(file).arg(&dir))?;
    }
    if unpacked.exists() {
        return Ok(unpacked);
    }
    bail!("no {package} found: put it on the PATH or set {variable} to its path")
}

fn which(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|p| p.is_file())
}

fn is_root_on_debian() -> bool {
    let root = Command::new("id").arg("-u").output().is_ok_and(|o| o.stdout.trim_ascii() == b"0");
    root && which("apt-get").is_some()
}
