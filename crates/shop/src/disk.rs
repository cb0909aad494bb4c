//! A folder with a quota, as a small volume would have: full means that writes fail.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Bytes that each service may keep in its folder.
pub(crate) const QUOTA_BYTES: u64 = 64 * 1024 * 1024;

/// A service's own folder.
#[derive(Debug, Clone)]
pub(crate) struct Folder {
    path: PathBuf,
    quota_bytes: u64,
}

impl Folder {
    /// The folder `path`, made if need be.
    pub fn open(path: &Path, quota_bytes: u64) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        Ok(Self { path: path.to_owned(), quota_bytes })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The most bytes that it may hold.
    pub fn quota_bytes(&self) -> u64 {
        self.quota_bytes
    }

    /// Bytes of all files in it. Folders in it are not followed: services keep plain files.
    pub fn used_bytes(&self) -> u64 {
        let Ok(entries) = fs::read_dir(&self.path) else { return 0 };
        entries.flatten().filter_map(|entry| entry.metadata().ok()).filter(|file| file.is_file()).map(|f| f.len()).sum()
    }

    /// Whether `more` bytes may be written, as the error that a full volume gives.
    pub fn room_for(&self, more: u64) -> io::Result<()> {
        let used = self.used_bytes();
        if fits(used, more, self.quota_bytes) {
            return Ok(());
        }
        let reason = format!("no space left on device: {used} of {} bytes used", self.quota_bytes);
        Err(io::Error::new(io::ErrorKind::StorageFull, reason))
    }

    /// Appends up to `more` bytes to `file`, as many as the quota still allows; returns how many.
    pub fn grow(&self, file: &str, more: u64) -> io::Result<u64> {
        let take = growth(self.used_bytes(), more, self.quota_bytes);
        if take == 0 {
            return Ok(0);
        }
        let mut file = OpenOptions::new().create(true).append(true).open(self.path.join(file))?;
        let page = [b'.'; 4096];
        let mut left = take;
        while left > 0 {
            let part = left.min(page.len() as u64);
            file.write_all(page.get(..part as usize).unwrap_or(&page))?;
            left -= part;
        }
        Ok(take)
    }

    /// Deletes `file`, if it is there.
    pub fn delete(&self, file: &str) -> io::Result<()> {
        match fs::remove_file(self.path.join(file)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

fn fits(used: u64, more: u64, quota: u64) -> bool {
    used.saturating_add(more) <= quota
}

fn growth(used: u64, more: u64, quota: u64) -> u64 {
    more.min(quota.saturating_sub(used))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quota_is_exact() {
        assert!(fits(60, 4, 64) && !fits(61, 4, 64) && !fits(u64::MAX, 1, 64));
        assert_eq!((growth(60, 10, 64), growth(64, 10, 64), growth(70, 10, 64)), (4, 0, 0));
    }

    #[test]
    fn a_folder_fills_up_refuses_and_is_freed() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = Folder::open(&temporary.path().join("orders"), 10_000).unwrap();
        fs::write(folder.path().join("orders.db"), [0u8; 1000]).unwrap();
        folder.room_for(9000).unwrap();
        assert_eq!(folder.grow("archive.bin", 6000).unwrap(), 6000);
        assert_eq!(folder.grow("archive.bin", 6000).unwrap(), 3000);
        assert_eq!(folder.used_bytes(), folder.quota_bytes());
        let error = folder.room_for(1).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(error.to_string().contains("no space left on device"));
        folder.delete("archive.bin").unwrap();
        folder.delete("archive.bin").unwrap();
        assert_eq!(folder.used_bytes(), 1000);
    }
}
