//! Blobs on disk: `blobs/ab/<sha256>` for what is whole, `uploads/<random>` for what is still being written.
//!
//! A blob appears under its name only when all of it is on the disk, by a rename; after that it never changes. Two
//! processes must not share one folder: each takes the other's unfinished uploads for leftovers.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// How much is read at once when a whole file goes by.
pub(super) const CHUNK_BYTES: usize = 64 * 1024;

/// The SHA-256 of a content. Shown and read as 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

/// A content: what it hashes to and how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blob {
    /// SHA-256 of the content.
    pub digest: Digest,
    /// Its length.
    pub bytes: u64,
}

/// The folder of blobs. Cloning is cheap; all clones are the same folder.
#[derive(Clone)]
pub struct Files {
    inner: Arc<Inner>,
}

struct Inner {
    blobs: PathBuf,
    uploads: PathBuf,
    /// Contents that were just stored and that something is about to name: how many hold each.
    held: Mutex<BTreeMap<Digest, usize>>,
}

impl Files {
    /// Opens the folder, making it where it is not there, and removes the unfinished uploads of a crash. Folders are
    /// for their owner only (0700), files as well (0600).
    pub fn open(dir: impl AsRef<Path>) -> io::Result<Files> {
        let dir = dir.as_ref();
        let (blobs, uploads) = (dir.join("blobs"), dir.join("uploads"));
        let is_new = !dir.exists();
        for folder in [&blobs, &uploads] {
            make_folder(folder).map_err(|e| context(e, format_args!("cannot make the folder {}", folder.display())))?;
        }
        remove_leftovers(&uploads)?;
        if is_new && let Some(parent) = dir.parent().filter(|parent| parent.is_dir()) {
            sync_folder(parent)?;
        }
        sync_folder(dir)?;
        sync_folder(&blobs)?;
        Ok(Files { inner: Arc::new(Inner { blobs, uploads, held: Mutex::default() }) })
    }

    /// Begins a file. It is written piece by piece and becomes a blob with [`Upload::finish`]; dropped before that, it
    /// leaves nothing.
    pub fn upload(&self) -> io::Result<Upload> {
        let scratch = Scratch::create(&self.inner.uploads)?;
        Ok(Upload { files: self.clone(), scratch, hash: Sha256::new(), bytes: 0, broken: false })
    }

    /// The blob's file, open at its beginning and exactly `blob.bytes` long; seek for a range. A blob that is missing
    /// (`NotFound`) or of another length (`InvalidData`) is an error that names it.
    pub fn reader(&self, blob: &Blob) -> io::Result<File> {
        let (file, bytes) = self.opened(&blob.digest)?;
        if bytes != blob.bytes {
            let text = format!("blob {} is {bytes} bytes long on disk instead of {}", blob.digest, blob.bytes);
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        Ok(file)
    }

    /// Reads the blob through and compares its hash with its name; gives what it is. Takes as long as reading takes.
    pub fn verify(&self, digest: &Digest) -> io::Result<Blob> {
        let (mut file, _) = self.opened(digest)?;
        let (mut hash, mut bytes, mut chunk) = (Sha256::new(), 0, vec![0; CHUNK_BYTES]);
        loop {
            let read =
                read_some(&mut file, &mut chunk).map_err(|e| context(e, format_args!("cannot read blob {digest}")))?;
            if read == 0 {
                break;
            }
            hash.update(&chunk[..read]);
            bytes += read as u64;
        }
        let found = Digest(hash.finalize().into());
        if found != *digest {
            let text = format!("blob {digest} is damaged: its content has the SHA-256 {found}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        Ok(Blob { digest: found, bytes })
    }

    /// Removes a blob that nothing names any more. Says whether it did: not where it was gone already, nor where
    /// somebody holds the same content as [`Stored`] and is about to name it.
    ///
    /// Call it under the lock under which names are counted and put; otherwise a name could come in between.
    pub fn remove(&self, digest: &Digest) -> io::Result<bool> {
        let held = self.inner.held.lock();
        if held.contains_key(digest) {
            return Ok(false);
        }
        match fs::remove_file(self.inner.place(digest)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(context(error, format_args!("cannot remove blob {digest}"))),
        }
    }

    /// Removes the blobs that `named` does not know: what a crash between storing and naming left. For the start,
    /// before anybody writes. Files that are no blobs by their name are left alone.
    pub fn sweep(&self, named: impl Fn(&Digest) -> bool) -> io::Result<Swept> {
        let mut swept = Swept::default();
        for folder in fs::read_dir(&self.inner.blobs)? {
            let folder = folder?;
            if !folder.file_type()?.is_dir() {
                continue;
            }
            for file in fs::read_dir(folder.path())? {
                let file = file?;
                let Some(digest) = file.file_name().to_str().and_then(|name| name.parse::<Digest>().ok()) else {
                    continue;
                };
                let is_blob = file.path() == self.inner.place(&digest);
                if !is_blob || named(&digest) {
                    continue;
                }
                let bytes = file.metadata()?.len();
                if self.remove(&digest)? {
                    swept.blobs += 1;
                    swept.bytes += bytes;
                }
            }
        }
        Ok(swept)
    }

    /// The file of a blob and its length.
    fn opened(&self, digest: &Digest) -> io::Result<(File, u64)> {
        let file = File::open(self.inner.place(digest)).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => io::Error::new(io::ErrorKind::NotFound, format!("blob {digest} is missing")),
            _ => context(error, format_args!("cannot open blob {digest}")),
        })?;
        let bytes = file.metadata().map_err(|e| context(e, format_args!("cannot open blob {digest}")))?.len();
        Ok((file, bytes))
    }

    /// From now on the content is not removed until the answer is dropped.
    fn hold(&self, digest: Digest) -> Hold {
        *self.inner.held.lock().entry(digest).or_default() += 1;
        Hold { files: self.clone(), digest }
    }
}

impl Inner {
    fn folder(&self, digest: &Digest) -> PathBuf {
        self.blobs.join(format!("{:02x}", digest.0[0]))
    }

    fn place(&self, digest: &Digest) -> PathBuf {
        self.folder(digest).join(digest.to_string())
    }

    /// Makes the blob's folder durably, unless it is there. Under the lock: who finds it there may rely on it.
    fn make_folder(&self, digest: &Digest) -> io::Result<PathBuf> {
        let folder = self.folder(digest);
        let _one_at_a_time = self.held.lock();
        if !folder.is_dir() {
            make_folder(&folder)?;
            sync_folder(&self.blobs)?;
        }
        Ok(folder)
    }
}

/// What a sweep removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// How many blobs.
    pub blobs: u64,
    /// Their lengths together.
    pub bytes: u64,
}

/// A blob that is safely on disk. As long as this lives, the blob is not removed: keep it until the blob is named.
#[must_use = "dropping it allows the blob to be removed before anything names it"]
pub struct Stored {
    /// What was stored.
    pub blob: Blob,
    _hold: Hold,
}

impl fmt::Debug for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stored").field(&self.blob).finish()
    }
}

struct Hold {
    files: Files,
    digest: Digest,
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut held = self.files.inner.held.lock();
        if let Some(count) = held.get_mut(&self.digest) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.digest);
            }
        }
    }
}

/// A file that is being written. Its content is hashed as it comes; memory does not grow with it.
pub struct Upload {
    files: Files,
    scratch: Scratch,
    hash: Sha256,
    bytes: u64,
    broken: bool,
}

impl Upload {
    /// Appends a piece. After an error nothing more is taken: how much of the piece arrived is not known.
    pub fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other("an earlier piece of this artifact could not be written"));
        }
        if let Err(error) = self.scratch.file.write_all(piece) {
            self.broken = true;
            return Err(context(error, "cannot write the artifact"));
        }
        self.hash.update(piece);
        self.bytes += piece.len() as u64;
        Ok(())
    }

    /// How much was written so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Makes it a blob. When this returns, the content and its name would survive a power failure. Content that is
    /// there already is kept once.
    pub fn finish(self) -> io::Result<Stored> {
        let files = self.files.clone();
        self.sealed()?.store(&files).map_err(|e| context(e, "cannot store the artifact"))
    }

    /// Ends it without making it a blob, nor durable.
    pub(super) fn sealed(self) -> io::Result<Sealed> {
        if self.broken {
            return Err(io::Error::other("a piece of this artifact could not be written"));
        }
        let blob = Blob { digest: Digest(self.hash.finalize().into()), bytes: self.bytes };
        Ok(Sealed { scratch: self.scratch, blob })
    }
}

/// A whole file that is no blob yet. Dropped, it leaves nothing.
pub(super) struct Sealed {
    scratch: Scratch,
    pub(super) blob: Blob,
}

impl Sealed {
    /// Its content from the beginning.
    pub(super) fn reader(&self) -> io::Result<File> {
        File::open(&self.scratch.path)
    }

    fn store(mut self, files: &Files) -> io::Result<Stored> {
        let blob = self.blob;
        // Held before looking whether it is there: from here on nobody removes it.
        let hold = files.hold(blob.digest);
        let folder = files.inner.make_folder(&blob.digest)?;
        let place = files.inner.place(&blob.digest);
        // One of the wrong length was damaged from outside and is replaced.
        let is_there = fs::symlink_metadata(&place).is_ok_and(|found| found.is_file() && found.len() == blob.bytes);
        if !is_there {
            self.scratch.file.sync_all()?;
            fs::rename(&self.scratch.path, &place)?;
            self.scratch.is_moved = true;
        }
        // Also where it was there: who put it there may not have come to this yet.
        sync_folder(&folder)?;
        Ok(Stored { blob, _hold: hold })
    }
}

/// A file among the uploads, removed on drop unless it was moved away.
struct Scratch {
    path: PathBuf,
    file: File,
    is_moved: bool,
}

impl Scratch {
    fn create(uploads: &Path) -> io::Result<Scratch> {
        let path = uploads.join(random_name()?);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let file = file.map_err(|e| context(e, "cannot begin an artifact"))?;
        Ok(Scratch { path, file, is_moved: false })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.is_moved {
            // Where this fails, the next start removes it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// 32 hex digits that nobody guesses.
pub(super) fn random_name() -> io::Result<String> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|e| io::Error::other(format!("no random numbers: {e}")))?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Reads up to a chunk; 0 at the end.
pub(super) fn read_some(file: &mut File, chunk: &mut [u8]) -> io::Result<usize> {
    loop {
        match file.read(chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            answer => return answer,
        }
    }
}

/// The same kind of error, saying what was tried.
pub(super) fn context(error: io::Error, what: impl fmt::Display) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}

fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn remove_leftovers(uploads: &Path) -> io::Result<()> {
    for leftover in fs::read_dir(uploads)? {
        let leftover = leftover?;
        if leftover.file_type()?.is_dir() {
            continue;
        }
        let path = leftover.path();
        fs::remove_file(&path)
            .map_err(|e| context(e, format_args!("cannot remove the unfinished upload {}", path.display())))?;
    }
    Ok(())
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = NoDigest;

    fn from_str(text: &str) -> Result<Digest, NoDigest> {
        let value = |digit: u8| match digit {
            b'0'..=b'9' => Ok(digit - b'0'),
            b'a'..=b'f' => Ok(digit - b'a' + 10),
            _ => Err(NoDigest),
        };
        let digits: &[u8; 64] = text.as_bytes().try_into().map_err(|_| NoDigest)?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = value(pair[0])? << 4 | value(pair[1])?;
        }
        Ok(Digest(bytes))
    }
}

/// The text is not 64 lower-case hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoDigest;

impl fmt::Display for NoDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a SHA-256 is 64 lower-case hex digits")
    }
}

impl std::error::Error for NoDigest {}

/// As hex in formats for people, as 32 bytes in others.
impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { self.0.serialize(serializer) }
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        if !deserializer.is_human_readable() {
            return Ok(Digest(<[u8; 32]>::deserialize(deserializer)?));
        }
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, SeekFrom};
    use std::os::unix::fs::PermissionsExt;
    use std::thread;

    use super::*;

    /// SHA-256 of "abc", from FIPS 180-2, appendix B.1.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn open() -> (tempfile::TempDir, Files) {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::open(dir.path().join("artifacts")).unwrap();
        (dir, files)
    }

    fn store(files: &Files, content: &[u8]) -> Stored {
        let mut upload = files.upload().unwrap();
        upload.write(content).unwrap();
        upload.finish().unwrap()
    }

    fn read(files: &Files, blob: &Blob) -> Vec<u8> {
        let mut content = Vec::new();
        files.reader(blob).unwrap().read_to_end(&mut content).unwrap();
        content
    }

    fn uploads(files: &Files) -> usize {
        fs::read_dir(&files.inner.uploads).unwrap().count()
    }

    fn blobs(files: &Files) -> usize {
        let folders = fs::read_dir(&files.inner.blobs).unwrap();
        folders.map(|folder| fs::read_dir(folder.unwrap().path()).unwrap().count()).sum()
    }

    #[test]
    fn what_is_written_is_read_under_its_hash() {
        let (dir, files) = open();
        let mut upload = files.upload().unwrap();
        upload.write(b"a").unwrap();
        upload.write(b"").unwrap();
        upload.write(b"bc").unwrap();
        assert_eq!((upload.bytes(), uploads(&files)), (3, 1));
        let stored = upload.finish().unwrap();
        assert_eq!(stored.blob, Blob { digest: ABC.parse().unwrap(), bytes: 3 });
        assert!(dir.path().join("artifacts/blobs/ba").join(ABC).is_file());
        assert_eq!((read(&files, &stored.blob), uploads(&files)), (b"abc".to_vec(), 0));
        assert_eq!(files.verify(&stored.blob.digest).unwrap(), stored.blob);
        let mut file = files.reader(&stored.blob).unwrap();
        file.seek(SeekFrom::Start(2)).unwrap();
        let mut rest = String::new();
        file.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "c");
    }

    #[test]
    fn nothing_is_a_content_too() {
        let (_dir, files) = open();
        let stored = store(&files, b"");
        assert_eq!(stored.blob.bytes, 0);
        assert_eq!(read(&files, &stored.blob), b"");
        files.verify(&stored.blob.digest).unwrap();
    }

    #[test]
    fn the_same_content_twice_is_one_file() {
        let (_dir, files) = open();
        let (one, two) = (store(&files, b"weights"), store(&files, b"weights"));
        assert_eq!(one.blob, two.blob);
        assert_eq!((blobs(&files), uploads(&files)), (1, 0));
    }

    #[test]
    fn many_threads_store_the_same_content_and_its_like_at_once() {
        let (_dir, files) = open();
        let content = vec![7; 300_000];
        let found: Vec<Blob> = thread::scope(|scope| {
            let work = |own: u8| {
                let (files, content) = (files.clone(), &content);
                scope.spawn(move || {
                    let mut last = None;
                    for round in 0..10 {
                        let _own = store(&files, &[own, round]);
                        let stored = store(&files, content);
                        assert_eq!(read(&files, &stored.blob).len(), content.len());
                        // Others hold it as well and so it stays, or nobody does and it goes; never amid a store.
                        let digest = stored.blob.digest;
                        last = Some(stored.blob);
                        drop(stored);
                        files.remove(&digest).unwrap();
                    }
                    last.unwrap()
                })
            };
            let threads: Vec<_> = (0..8).map(work).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(found.iter().all(|blob| *blob == found[0]));
        assert_eq!((uploads(&files), blobs(&files)), (0, 80));
        assert!(files.inner.held.lock().is_empty());
    }

    #[test]
    fn what_is_held_is_not_removed() {
        let (_dir, files) = open();
        let (one, two) = (store(&files, b"x"), store(&files, b"x"));
        let blob = one.blob;
        assert!(!files.remove(&blob.digest).unwrap());
        drop(one);
        assert!(!files.remove(&blob.digest).unwrap());
        drop(two);
        assert!(files.remove(&blob.digest).unwrap());
        assert!(!files.remove(&blob.digest).unwrap());
        assert_eq!(blobs(&files), 0);
    }

    #[test]
    fn a_crash_leaves_nothing_but_what_was_whole() {
        let (dir, files) = open();
        let kept = store(&files, b"whole").blob;
        let mut upload = files.upload().unwrap();
        upload.write(b"half").unwrap();
        std::mem::forget(upload);
        assert_eq!(uploads(&files), 1);
        let files = Files::open(dir.path().join("artifacts")).unwrap();
        assert_eq!((uploads(&files), blobs(&files)), (0, 1));
        assert_eq!(read(&files, &kept), b"whole");
    }

    #[test]
    fn an_upload_that_is_given_up_leaves_nothing() {
        let (_dir, files) = open();
        let mut upload = files.upload().unwrap();
        upload.write(b"half").unwrap();
        drop(upload);
        assert_eq!((uploads(&files), blobs(&files)), (0, 0));
    }

    #[test]
    fn a_sweep_removes_what_nothing_names() {
        let (_dir, files) = open();
        let (named, unnamed) = (store(&files, b"named").blob, store(&files, b"unnamed").blob);
        let held = store(&files, b"held");
        fs::write(files.inner.blobs.join("README"), "not ours").unwrap();
        let swept = files.sweep(|digest| *digest == named.digest).unwrap();
        assert_eq!(swept, Swept { blobs: 1, bytes: 7 });
        assert_eq!(read(&files, &named), b"named");
        assert_eq!(read(&files, &held.blob), b"held");
        assert_eq!(files.reader(&unnamed).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(files.inner.blobs.join("README").exists());
    }

    #[test]
    fn a_blob_that_is_missing_or_damaged_is_named() {
        let (_dir, files) = open();
        let blob = store(&files, b"abc").blob;
        let place = files.inner.place(&blob.digest);

        fs::write(&place, "abd").unwrap();
        files.reader(&blob).unwrap();
        let error = files.verify(&blob.digest).unwrap_err();
        assert!(error.to_string().starts_with(&format!("blob {ABC} is damaged")), "{error}");

        fs::write(&place, "ab").unwrap();
        let error = files.reader(&blob).unwrap_err();
        assert_eq!(error.to_string(), format!("blob {ABC} is 2 bytes long on disk instead of 3"));
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);

        fs::remove_file(&place).unwrap();
        for error in [files.reader(&blob).unwrap_err(), files.verify(&blob.digest).unwrap_err()] {
            assert_eq!((error.to_string(), error.kind()), (format!("blob {ABC} is missing"), io::ErrorKind::NotFound));
        }
    }

    #[test]
    fn storing_again_repairs_a_blob_cut_short() {
        let (_dir, files) = open();
        let blob = store(&files, b"abc").blob;
        fs::write(files.inner.place(&blob.digest), "a").unwrap();
        let again = store(&files, b"abc");
        assert_eq!(read(&files, &again.blob), b"abc");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_is_said_and_leaves_nothing() {
        let (_dir, files) = open();
        let mut upload = files.upload().unwrap();
        upload.write(b"fits").unwrap();
        // Every write to this device answers that there is no space.
        upload.scratch.file = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let error = upload.write(b"does not fit").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(error.to_string().starts_with("cannot write the artifact: "), "{error}");
        // Space that comes back does not mend the hole.
        upload.scratch.file = File::create(&upload.scratch.path).unwrap();
        assert!(upload.write(b"more").is_err());
        assert!(upload.finish().is_err());
        assert_eq!((uploads(&files), blobs(&files)), (0, 0));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_cannot_be_made_durable_is_not_stored() {
        let (_dir, files) = open();
        let mut upload = files.upload().unwrap();
        upload.write(b"abc").unwrap();
        // This device cannot be synced.
        upload.scratch.file = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let error = upload.finish().unwrap_err();
        assert!(error.to_string().starts_with("cannot store the artifact: "), "{error}");
        assert_eq!((uploads(&files), blobs(&files)), (0, 0));
        assert!(files.inner.held.lock().is_empty());
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Files::open(&file).err().unwrap().to_string();
        assert!(error.starts_with("cannot make the folder ") && error.contains("file/blobs"), "{error}");
    }

    #[test]
    fn only_the_owner_may_look() {
        let (dir, files) = open();
        let blob = store(&files, b"abc").blob;
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        for folder in [&dir.path().join("artifacts"), &files.inner.uploads, &files.inner.folder(&blob.digest)] {
            assert_eq!(mode(folder), 0o700, "{}", folder.display());
        }
        assert_eq!(mode(&files.inner.place(&blob.digest)), 0o600);
    }

    #[test]
    fn a_digest_is_64_lower_case_hex_digits() {
        assert_eq!(ABC.parse::<Digest>().unwrap().to_string(), ABC);
        for wrong in ["", "ba", &ABC.to_uppercase(), &ABC[1..], &format!("{ABC}0"), &ABC.replace('f', "g")] {
            assert_eq!(wrong.parse::<Digest>(), Err(NoDigest), "{wrong}");
        }
        let digest: Digest = ABC.parse().unwrap();
        assert_eq!(serde_json::to_string(&digest).unwrap(), format!("\"{ABC}\""));
        assert_eq!(serde_json::from_str::<Digest>(&format!("\"{ABC}\"")).unwrap(), digest);
    }
}
