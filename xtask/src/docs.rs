//! The book is tested: every block marked `sh` in README.md and docs/ runs against a fresh server.
//!
//! A block runs in bash with `bellwether` on the PATH and BELLWETHER_URL, OTLP_HTTP set to the server's addresses.
//! Blocks marked `sh no-run` are shown only (they install things, or never end).

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::tools::{binary, root, step, target, walk};

/// Runs all blocks; the error names the file and line.
pub fn run_all() -> Result<()> {
    step("docs");
    let mut files = vec![root().join("README.md")];
    files.extend(walk(&root().join("docs")).into_iter().filter(|f| f.extension().is_some_and(|e| e == "md")));
    let mut ran = 0;
    for file in files {
        let text = std::fs::read_to_string(&file)?;
        let blocks = blocks(&text);
        if blocks.is_empty() {
            continue;
        }
        let server = Server::start()?;
        for (line, block) in blocks {
            server
                .run(&block)
                .with_context(|| format!("{}:{line}", file.strip_prefix(root()).unwrap_or(&file).display()))?;
            ran += 1;
        }
    }
    eprintln!("   {ran} blocks ran");
    Ok(())
}

/// Line number and text of each block that is to run.
fn blocks(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, String, bool)> = None;
    for (number, line) in text.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(kind)) => open = Some((number + 1, String::new(), kind.trim() == "sh")),
            (Some(_), Some(_)) => {
                if let Some((start, body, true)) = open.take() {
                    found.push((start, body));
                }
            }
            (Some((_, body, _)), None) => {
                body.push_str(line);
                body.push('\n');
            }
            (None, None) => {}
        }
    }
    found
}

struct Server {
    child: Child,
    listen: String,
    otlp_http: String,
    data: std::path::PathBuf,
}

impl Server {
    fn start() -> Result<Server> {
        let data = target().join(format!("docs-data-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&data);
        let mut child = Command::new(binary())
            .args(["serve", "--listen", "127.0.0.1:0", "--otlp-grpc", "127.0.0.1:0", "--otlp-http", "127.0.0.1:0"])
            .arg("--data-dir")
            .arg(&data)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start bellwether serve")?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no stdout")?).read_line(&mut line)?;
        let field = |name: &str| -> Result<String> {
            let (_, rest) =
                line.split_once(&format!("\"{name}\":\"")).with_context(|| format!("no {name} in {line:?}"))?;
            Ok(rest.split('"').next().unwrap_or_default().to_owned())
        };
        Ok(Server { listen: field("listen")?, otlp_http: field("otlp_http")?, child, data })
    }

    fn run(&self, block: &str) -> Result<()> {
        let bin = binary();
        let dir = bin.parent().unwrap_or(Path::new("."));
        let path = format!("{}:{}", dir.display(), std::env::var("PATH").unwrap_or_default());
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", block])
            .env("PATH", path)
            .env("BELLWETHER_URL", format!("http://{}", self.listen))
            .env("OTLP_HTTP", format!("http://{}", self.otlp_http))
            .current_dir(root())
            .output()?;
        if !output.status.success() {
            let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            bail!("{}\n--- block\n{block}--- stdout\n{out}--- stderr\n{err}", output.status);
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.data);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_marked_blocks_are_taken() {
        let text = "a\n```sh\nx\ny\n```\n```sh no-run\nz\n```\n```json\n{}\n```\n";
        assert_eq!(super::blocks(text), vec![(2, "x\ny\n".to_owned())]);
    }
}
