//! The offline check of a whole folder: every frame, every block, every journal line.

use std::path::Path;

use crate::{
    StoreConfig, StoreError, blocking,
    format::{self, Found, FrameKind},
    metadata::{JournalCheck, Metadata},
    recover::{DEFINITION_FILES, list_segments},
    sealed::Checked,
};

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ScrubFault {
    /// File, and where in it.
    pub place: String,
    /// What is wrong.
    pub what: String,
}

/// What a scrub looked at and found.
#[derive(Clone, Debug, serde::Serialize)]
pub struct ScrubReport {
    /// Intact frames of the log and the definition files.
    pub frames: u64,
    /// Intact sealed files.
    pub files: u64,
    /// Their rows.
    pub rows: u64,
    /// What is damaged.
    pub faults: Vec<ScrubFault>,
    /// The journal's chain.
    pub journal: JournalCheck,
}

impl ScrubReport {
    /// Whether everything is as it was written.
    pub fn is_clean(&self) -> bool {
        self.faults.is_empty() && self.journal.bad.is_none()
    }
}

/// Progress of a scrub: sealed files looked at, and all of them.
pub type Progress = Box<dyn Fn(usize, usize) + Send>;

pub(crate) async fn run(dir: &Path, progress: Progress) -> Result<ScrubReport, StoreError> {
    let config = StoreConfig { read_only: true, ..StoreConfig::new(dir) };
    let store = crate::Store::open(config).await?;
    let metadata = Metadata::open(dir, true).await?;
    let journal = metadata.verify_journal().await?;
    let manifest = metadata.manifest(dir).await?;
    metadata.close().await;
    let folder = dir.to_owned();
    blocking(move || {
        let mut report = ScrubReport { frames: 0, files: 0, rows: 0, faults: Vec::new(), journal };
        report.faults.extend(manifest.damage.iter().map(|what| fault("metadata.db", what)));
        for (path, _) in list_segments(&folder) {
            check_frames(&path, true, &mut report);
        }
        for name in DEFINITION_FILES {
            check_frames(&folder.join(name), false, &mut report);
        }
        for (done, file) in manifest.files.iter().enumerate() {
            progress(done, manifest.files.len());
            let checked = match Checked::open(file) {
                Ok(checked) => checked,
                Err(bad) => {
                    report.faults.push(fault(&bad.file, &bad.what));
                    continue;
                }
            };
            let bad = checked.blocks();
            report.faults.extend(
                bad.iter()
                    .map(|block| fault(&format!("data/{} block {block}", file.name), "does not match its checksum")),
            );
            let longer = std::fs::metadata(&file.path).is_ok_and(|m| m.len() != file.bytes);
            if longer {
                report.faults.push(fault(&format!("data/{}", file.name), "has not the length that was written"));
            }
            if bad.is_empty() && !longer {
                report.files += 1;
                report.rows += file.rows;
            }
        }
        drop(store);
        Ok(report)
    })
    .await
}

fn fault(place: &str, what: &str) -> ScrubFault {
    ScrubFault { place: place.to_owned(), what: what.to_owned() }
}

/// A log may end in a group that was never acknowledged; a definition file may not.
fn check_frames(path: &Path, has_commits: bool, report: &mut ScrubReport) {
    let Ok(bytes) = std::fs::read(path) else { return };
    let name = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    let mut pending = Vec::new();
    for (at, found) in format::frames(&bytes) {
        let place = format!("{name} at {at}");
        match found {
            Found::Frame(header, payload) => {
                if header.kind == FrameKind::Commit {
                    report.faults.append(&mut pending);
                }
                match format::plain_payload(&header, payload) {
                    Some(_) => report.frames += 1,
                    None => pending.push(fault(&place, "a frame does not match its checksum")),
                }
            }
            Found::Garbage { bytes } | Found::Torn { bytes } => {
                pending.push(fault(&place, &format!("{bytes} bytes are no frame")));
            }
        }
    }
    if !has_commits {
        report.faults.append(&mut pending);
    }
}
