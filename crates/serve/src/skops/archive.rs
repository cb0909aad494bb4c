//! The zip a skops file is: its members are read into memory by name, within bounds; nothing is ever unpacked to disk.

use std::io::{Cursor, Read};

use zip::ZipArchive;

use crate::Problem;

/// The most members a file may have: a forest of 100,000 trees has about 300,000.
const MEMBERS: usize = 1_000_000;

/// How many times larger than the file its members may be together, beside [`FREE`]. Schemas repeat themselves, and
/// shrink to a twentieth or thirtieth.
const RATIO: u64 = 100;

/// How many bytes any file may unpack to.
const FREE: u64 = 16 << 20;

/// How many bytes no file may unpack to.
const UNPACKED: u64 = 2 << 30;

/// A file, and how much more of it may be unpacked.
pub(super) struct Archive<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    left: u64,
}

impl<'a> Archive<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Archive<'a>, Problem> {
        let zip = ZipArchive::new(Cursor::new(bytes)).map_err(|problem| damaged(&problem))?;
        if zip.len() > MEMBERS {
            return Err(Problem::Unsupported(format!("it has {} members; the most are {MEMBERS}", zip.len())));
        }
        let left = (bytes.len() as u64).saturating_mul(RATIO).saturating_add(FREE).min(UNPACKED);
        Ok(Archive { zip, left })
    }

    /// A member. What is unpacked counts against what the whole file may unpack to, whatever the file says of it.
    pub(super) fn member(&mut self, name: &str) -> Result<Vec<u8>, Problem> {
        let member = match self.zip.by_name(name) {
            Ok(member) => member,
            Err(zip::result::ZipError::FileNotFound) => {
                return Err(Problem::Damaged(format!("the member {name:?} is not there")));
            }
            Err(zip::result::ZipError::UnsupportedArchive(why)) => {
                return Err(Problem::Unsupported(format!("the member {name:?} is packed otherwise: {why}")));
            }
            Err(problem) => return Err(damaged(&problem)),
        };
        let said = member.size();
        if said > self.left {
            return Err(bomb());
        }
        let mut bytes = Vec::with_capacity(said.min(1 << 20) as usize);
        let read = member.take(self.left + 1).read_to_end(&mut bytes);
        read.map_err(|problem| Problem::Damaged(format!("the member {name:?} does not unpack: {problem}")))?;
        self.left = self.left.checked_sub(bytes.len() as u64).ok_or_else(bomb)?;
        Ok(bytes)
    }
}

fn damaged(problem: &zip::result::ZipError) -> Problem {
    Problem::Damaged(format!("it is no whole zip file: {problem}"))
}

fn bomb() -> Problem {
    Problem::Unsupported(format!(
        "it unpacks to more than {RATIO} times its size and {} MiB, or to more than {} MiB",
        FREE >> 20,
        UNPACKED >> 20
    ))
}
