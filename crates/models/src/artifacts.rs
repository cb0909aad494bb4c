//! Files of runs and models, kept by their content.
//!
//! What a client calls a file is a row in a [`Tree`]; what is in it is a blob named by its SHA-256 in [`Files`]. So no
//! text of a client ever becomes a path on disk. Everything here blocks and knows no HTTP; the caller runs it where
//! blocking is allowed, keeps the tree behind a lock and makes its changes durable.
//!
//! The order that loses nothing: finish an upload, make the change of the tree durable, put it into the tree, and only
//! then let go of the [`Stored`]. A blob is removed under the lock of the tree once nothing in it names the blob. A
//! crash in between leaves at most blobs that nothing names; [`Files::sweep`] removes them at the next start.

mod files;
mod parts;
mod path;
mod tree;

use std::fmt;
use std::io;

use crate::Problem;

pub use files::{Blob, Digest, Files, Stored, Swept, Upload};
pub use parts::{MULTIPART_COUNT_MAX, MULTIPART_KEPT_MS, PART_COUNT_MAX, PartUpload, Parts};
pub use path::{ArtifactPath, PATH_BYTES_MAX, PATH_DEPTH_MAX, SEGMENT_BYTES_MAX};
pub use tree::{Change, Child, Entry, Tree};

/// Why something could not be done, by who can help.
#[derive(Debug)]
pub enum Error {
    /// The disk: full, gone, not allowed. The request was fine.
    Disk(io::Error),
    /// The request: what the client asked for cannot be done as asked.
    Refused(Problem),
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        Error::Disk(error)
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Error {
        Error::Refused(problem)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Disk(error) => write!(f, "the store of artifacts failed: {error}"),
            Error::Refused(problem) => problem.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use std::thread;

    use parking_lot::Mutex;

    use super::*;

    /// Several clients write and delete files of a few contents all the time, in the order told above.
    #[test]
    fn what_the_tree_names_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::open(dir.path()).unwrap();
        let tree = Mutex::new(Tree::default());
        let work = |own: u8| {
            for round in 0..60_u8 {
                let path = ArtifactPath::parse(&format!("{own}/{}", round % 3)).unwrap();
                let mut upload = files.upload().unwrap();
                upload.write(&[(own + round) % 4]).unwrap();
                let stored = upload.finish().unwrap();
                let old = tree.lock().put(path.clone(), Entry { blob: stored.blob, modified_ms: 0 }).unwrap();
                drop(stored);

                let mut tree = tree.lock();
                assert!(files.reader(&tree.get(&path).unwrap().blob).is_ok());
                let removed = if round % 2 == 0 { tree.remove(&path) } else { Vec::new() };
                for entry in removed.into_iter().map(|(_, entry)| entry).chain(old) {
                    if tree.references(&entry.blob.digest) == 0 {
                        files.remove(&entry.blob.digest).unwrap();
                    }
                }
            }
        };
        thread::scope(|scope| (0..6).for_each(|own| drop(scope.spawn(move || work(own)))));
        let tree = tree.into_inner();
        assert!(!tree.is_empty());
        for (path, entry) in tree.changes() {
            assert!(files.reader(&entry.unwrap().blob).is_ok(), "{path}");
        }
        files.sweep(|digest| tree.references(digest) > 0).unwrap();
        assert_eq!(files.sweep(|digest| tree.references(digest) > 0).unwrap(), Swept::default());
    }

    #[test]
    fn an_error_says_who_can_help() {
        let disk = Error::from(io::Error::new(io::ErrorKind::StorageFull, "no space"));
        assert_eq!(disk.to_string(), "the store of artifacts failed: no space");
        let refused = Error::from(Problem::invalid("Invalid path"));
        assert_eq!(refused.to_string(), "INVALID_PARAMETER_VALUE: Invalid path");
    }
}
