//! Large files in parts: begun, put part by part in any order and again where a part failed, then completed into one
//! blob.
//!
//! The ETag of a part is the SHA-256 of its content as hex. What was begun lives in memory and its parts among the
//! uploads; a restart forgets both, and clients begin again.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::Error;
use super::files::{CHUNK_BYTES, Digest, Files, Sealed, Stored, Upload, context, random_name, read_some};
use super::path::ArtifactPath;
use crate::{Code, Problem};

/// The most parts of one file.
pub const PART_COUNT_MAX: u32 = 10_000;
/// The most files in parts at a time.
pub const MULTIPART_COUNT_MAX: usize = 1_000;
/// How long after its beginning a file in parts must be completed: a day.
pub const MULTIPART_KEPT_MS: i64 = 24 * 60 * 60 * 1000;

/// The files that are coming in parts. Cloning is cheap; all clones are the same.
#[derive(Clone)]
pub struct Parts {
    files: Files,
    open: Open,
}

type Open = Arc<Mutex<BTreeMap<String, Multipart>>>;

struct Multipart {
    path: ArtifactPath,
    part_count: u32,
    begun_ms: i64,
    parts: BTreeMap<u32, Arc<Sealed>>,
    /// While its parts are being put together nothing else is done to it.
    is_completing: bool,
}

impl Parts {
    /// Takes files in parts into that folder.
    pub fn new(files: Files) -> Parts {
        Parts { files, open: Open::default() }
    }

    /// Begins a file of so many parts, 1 to [`PART_COUNT_MAX`]; gives its id, which nobody guesses. The id counts only
    /// together with the path: who may write one path does not reach another's parts.
    pub fn begin(&self, path: ArtifactPath, part_count: u32, now_ms: i64) -> Result<String, Error> {
        if part_count == 0 || part_count > PART_COUNT_MAX {
            let text = format!("A multipart upload has 1 to {PART_COUNT_MAX} parts, not {part_count}");
            return Err(Problem::invalid(text).into());
        }
        let id = random_name()?;
        let mut open = self.open.lock();
        if open.len() >= MULTIPART_COUNT_MAX {
            let message = format!("{MULTIPART_COUNT_MAX} multipart uploads are under way; complete or abort some");
            return Err(Problem { code: Code::TemporarilyUnavailable, message }.into());
        }
        let multipart = Multipart { path, part_count, begun_ms: now_ms, parts: BTreeMap::new(), is_completing: false };
        open.insert(id.clone(), multipart);
        Ok(id)
    }

    /// Begins a part, counted from 1. It counts once it is finished; of a part that is put twice the one finished last
    /// counts.
    pub fn part(&self, path: &ArtifactPath, id: &str, number: u32) -> Result<PartUpload, Error> {
        {
            let mut open = self.open.lock();
            let multipart = find(&mut open, path, id)?;
            if number == 0 || number > multipart.part_count {
                let text = format!("Part {number} is not among the {} of this upload", multipart.part_count);
                return Err(Problem::invalid(text).into());
            }
        }
        let upload = self.files.upload()?;
        Ok(PartUpload { upload, open: self.open.clone(), path: path.clone(), id: id.to_string(), number })
    }

    /// Puts the parts together into one blob. `listed` names every part in ascending order with the ETag that it was
    /// answered with, quotes or not.
    ///
    /// The parts are copied, a piece at a time: for a while the disk has the file twice. After an error, a full disk
    /// also, the parts are as they were and it can be completed again.
    pub fn complete(&self, path: &ArtifactPath, id: &str, listed: &[(u32, String)]) -> Result<Stored, Error> {
        let parts = {
            let mut open = self.open.lock();
            let multipart = find(&mut open, path, id)?;
            let parts = multipart.checked(listed)?;
            multipart.is_completing = true;
            parts
        };
        let stored = put_together(&self.files, &parts);
        let mut open = self.open.lock();
        let done = if stored.is_ok() { open.remove(id) } else { None };
        if let Some(multipart) = open.get_mut(id) {
            multipart.is_completing = false;
        }
        drop(open);
        // Here, not under the lock: this removes the files of the parts.
        drop((done, parts));
        Ok(stored?)
    }

    /// Gives the file up and removes its parts.
    pub fn abort(&self, path: &ArtifactPath, id: &str) -> Result<(), Problem> {
        let mut open = self.open.lock();
        find(&mut open, path, id)?;
        let gone = open.remove(id);
        drop(open);
        drop(gone);
        Ok(())
    }

    /// Gives up what was begun more than [`MULTIPART_KEPT_MS`] before `now_ms`; says how many that were. Call it now
    /// and then.
    pub fn expire(&self, now_ms: i64) -> usize {
        let mut open = self.open.lock();
        let is_old = |multipart: &Multipart| now_ms.saturating_sub(multipart.begun_ms) > MULTIPART_KEPT_MS;
        let gone: Vec<_> = open.extract_if(.., |_, multipart| is_old(multipart) && !multipart.is_completing).collect();
        drop(open);
        gone.len()
    }
}

/// A part that is being written. Dropped before it is finished, it leaves nothing and the part is as it was.
pub struct PartUpload {
    upload: Upload,
    open: Open,
    path: ArtifactPath,
    id: String,
    number: u32,
}

impl PartUpload {
    /// Appends a piece, as [`Upload::write`] does.
    pub fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        self.upload.write(piece)
    }

    /// How much was written so far.
    pub fn bytes(&self) -> u64 {
        self.upload.bytes()
    }

    /// Counts the part; gives its ETag. Refused where the whole was completed, aborted or expired meanwhile.
    pub fn finish(self) -> Result<Digest, Error> {
        let part = self.upload.sealed()?;
        let etag = part.blob.digest;
        let mut open = self.open.lock();
        let multipart = find(&mut open, &self.path, &self.id)?;
        let replaced = multipart.parts.insert(self.number, Arc::new(part));
        drop(open);
        drop(replaced);
        Ok(etag)
    }
}

impl Multipart {
    /// The parts in their order, if the list names each of them rightly.
    fn checked(&self, listed: &[(u32, String)]) -> Result<Vec<Arc<Sealed>>, Problem> {
        if let Some(pair) = listed.windows(2).find(|pair| pair[0].0 >= pair[1].0) {
            let text =
                format!("Parts must be listed in ascending order, each once: {} is before {}", pair[0].0, pair[1].0);
            return Err(Problem::invalid(text));
        }
        if let Some((number, _)) = listed.iter().find(|(number, _)| *number == 0 || *number > self.part_count) {
            return Err(Problem::invalid(format!("Part {number} is not among the {} of this upload", self.part_count)));
        }
        let mut parts = Vec::with_capacity(listed.len());
        for (number, at) in (1..=self.part_count).zip(0..) {
            let Some((_, etag)) = listed.get(at).filter(|(listed, _)| *listed == number) else {
                return Err(Problem::invalid(format!("Part {number} is not listed")));
            };
            let Some(part) = self.parts.get(&number) else {
                return Err(Problem::invalid(format!("Part {number} was not uploaded")));
            };
            if etag.trim_matches('"').parse() != Ok(part.blob.digest) {
                return Err(Problem::invalid(format!("Part {number} has another ETag than listed; upload it again")));
            }
            parts.push(part.clone());
        }
        Ok(parts)
    }
}

/// What is under way with that id for that path. Whether the id is unknown or another path's is not told.
fn find<'a>(
    open: &'a mut BTreeMap<String, Multipart>,
    path: &ArtifactPath,
    id: &str,
) -> Result<&'a mut Multipart, Problem> {
    let found = open.get_mut(id).filter(|multipart| multipart.path == *path);
    let multipart = found.ok_or_else(|| Problem::missing(format!("No such multipart upload for '{path}'")))?;
    if multipart.is_completing {
        return Err(Problem::invalid(format!("The multipart upload for '{path}' is being completed")));
    }
    Ok(multipart)
}

fn put_together(files: &Files, parts: &[Arc<Sealed>]) -> io::Result<Stored> {
    let mut upload = files.upload()?;
    let mut chunk = vec![0; CHUNK_BYTES];
    for (number, part) in (1..).zip(parts) {
        let unreadable = |e| context(e, format_args!("cannot read part {number}"));
        let before = upload.bytes();
        let mut file = part.reader().map_err(unreadable)?;
        loop {
            let read = read_some(&mut file, &mut chunk).map_err(unreadable)?;
            if read == 0 {
                break;
            }
            upload.write(&chunk[..read])?;
        }
        let copied = upload.bytes() - before;
        if copied != part.blob.bytes {
            let text = format!("part {number} is {copied} bytes long on disk instead of {}", part.blob.bytes);
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
    }
    upload.finish()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::process::Command;
    use std::thread;

    use super::*;

    fn open() -> (tempfile::TempDir, Parts) {
        let dir = tempfile::tempdir().unwrap();
        let parts = Parts::new(Files::open(dir.path()).unwrap());
        (dir, parts)
    }

    fn path(text: &str) -> ArtifactPath {
        ArtifactPath::parse(text).unwrap()
    }

    fn put(parts: &Parts, id: &str, number: u32, content: &[u8]) -> (u32, String) {
        let mut part = parts.part(&path("m/a"), id, number).unwrap();
        for piece in content.chunks(3) {
            part.write(piece).unwrap();
        }
        assert_eq!(part.bytes(), content.len() as u64);
        (number, part.finish().unwrap().to_string())
    }

    fn problem<T>(answer: Result<T, impl Into<Error>>) -> Problem {
        match answer.err().map(Into::into) {
            Some(Error::Refused(problem)) => problem,
            Some(Error::Disk(error)) => panic!("{error}"),
            None => panic!("it was done"),
        }
    }

    fn uploads(dir: &tempfile::TempDir) -> usize {
        fs::read_dir(dir.path().join("uploads")).unwrap().count()
    }

    #[test]
    fn parts_in_any_order_make_one_file() {
        let (dir, parts) = open();
        let id = parts.begin(path("m/a"), 3, 0).unwrap();
        let three = put(&parts, &id, 3, b"!");
        let one = put(&parts, &id, 1, b"Hello, ");
        put(&parts, &id, 2, b"a first try that is replaced");
        let two = put(&parts, &id, 2, b"world");
        assert_eq!(uploads(&dir), 3);
        let quoted = (2, format!("\"{}\"", two.1));
        let stored = parts.complete(&path("m/a"), &id, &[one, quoted, three]).unwrap();
        let mut content = String::new();
        parts.files.reader(&stored.blob).unwrap().read_to_string(&mut content).unwrap();
        assert_eq!(content, "Hello, world!");
        assert_eq!(parts.files.verify(&stored.blob.digest).unwrap(), stored.blob);
        assert_eq!(uploads(&dir), 0);
        assert_eq!(problem(parts.complete(&path("m/a"), &id, &[])).code, Code::ResourceDoesNotExist);
    }

    #[test]
    fn the_etag_is_the_sha256_of_the_part() {
        let (_dir, parts) = open();
        let id = parts.begin(path("m/a"), 1, 0).unwrap();
        // FIPS 180-2, appendix B.1.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(put(&parts, &id, 1, b"abc"), (1, abc.to_string()));
    }

    #[test]
    fn a_wrong_list_is_refused_and_can_be_corrected() {
        let (dir, parts) = open();
        let id = parts.begin(path("m/a"), 3, 0).unwrap();
        let (one, two) = (put(&parts, &id, 1, b"1"), put(&parts, &id, 2, b"2"));
        let refused = |listed: &[&(u32, String)]| {
            let listed: Vec<_> = listed.iter().map(|part| (*part).clone()).collect();
            problem(parts.complete(&path("m/a"), &id, &listed)).message
        };
        let unknown = (3, one.1.clone());
        assert_eq!(refused(&[&one, &two, &unknown]), "Part 3 was not uploaded");
        let three = put(&parts, &id, 3, b"3");
        assert_eq!(refused(&[&one, &two]), "Part 3 is not listed");
        assert_eq!(refused(&[&one, &three]), "Part 2 is not listed");
        assert_eq!(refused(&[]), "Part 1 is not listed");
        assert_eq!(refused(&[&two, &one, &three]), "Parts must be listed in ascending order, each once: 2 is before 1");
        assert_eq!(refused(&[&one, &one, &two]), "Parts must be listed in ascending order, each once: 1 is before 1");
        assert_eq!(refused(&[&(0, String::new()), &one]), "Part 0 is not among the 3 of this upload");
        assert_eq!(refused(&[&one, &two, &three, &(4, String::new())]), "Part 4 is not among the 3 of this upload");
        for etag in ["", "\"\"", &two.1, "ba78"] {
            let message = refused(&[&(1, etag.to_string()), &two, &three]);
            assert_eq!(message, "Part 1 has another ETag than listed; upload it again", "{etag}");
        }
        assert_eq!(uploads(&dir), 3);
        assert_eq!(parts.complete(&path("m/a"), &id, &[one, two, three]).unwrap().blob.bytes, 3);
    }

    #[test]
    fn numbers_and_counts_have_limits() {
        let (_dir, parts) = open();
        for (count, is_fine) in [(0, false), (1, true), (10_000, true), (10_001, false), (u32::MAX, false)] {
            assert_eq!(parts.begin(path("m/a"), count, 0).is_ok(), is_fine, "{count}");
        }
        let id = parts.begin(path("m/a"), 2, 0).unwrap();
        for number in [0, 3, u32::MAX] {
            let problem = problem(parts.part(&path("m/a"), &id, number));
            assert_eq!(problem.message, format!("Part {number} is not among the 2 of this upload"));
        }
        while parts.open.lock().len() < MULTIPART_COUNT_MAX {
            parts.begin(path("m/a"), 1, 0).unwrap();
        }
        assert_eq!(problem(parts.begin(path("m/a"), 1, 0)).code, Code::TemporarilyUnavailable);
    }

    #[test]
    fn an_id_counts_only_with_its_path() {
        let (_dir, parts) = open();
        let id = parts.begin(path("m/a"), 1, 0).unwrap();
        let part = put(&parts, &id, 1, b"1");
        for (path, id) in [(path("m/b"), id.as_str()), (path("m/a"), "unknown"), (path("m/a"), "../../etc/passwd")] {
            let problems = [
                problem(parts.part(&path, id, 1)),
                problem(parts.complete(&path, id, std::slice::from_ref(&part))),
                problem(parts.abort(&path, id)),
            ];
            for problem in problems {
                assert_eq!(problem, Problem::missing(format!("No such multipart upload for '{path}'")));
            }
        }
        assert_eq!(parts.complete(&path("m/a"), &id, &[part]).unwrap().blob.bytes, 1);
    }

    #[test]
    fn an_abort_removes_the_parts_and_ends_those_under_way() {
        let (dir, parts) = open();
        let id = parts.begin(path("m/a"), 2, 0).unwrap();
        put(&parts, &id, 1, b"1");
        let mut late = parts.part(&path("m/a"), &id, 2).unwrap();
        late.write(b"2").unwrap();
        assert_eq!(uploads(&dir), 2);
        parts.abort(&path("m/a"), &id).unwrap();
        assert_eq!(uploads(&dir), 1);
        assert_eq!(problem(late.finish()).code, Code::ResourceDoesNotExist);
        assert_eq!(uploads(&dir), 0);
    }

    #[test]
    fn what_was_begun_long_ago_expires() {
        let (dir, parts) = open();
        let old = parts.begin(path("m/a"), 1, 0).unwrap();
        put(&parts, &old, 1, b"1");
        let new = parts.begin(path("m/a"), 1, 1).unwrap();
        let part = put(&parts, &new, 1, b"2");
        assert_eq!((parts.expire(MULTIPART_KEPT_MS), uploads(&dir)), (0, 2));
        assert_eq!((parts.expire(MULTIPART_KEPT_MS + 1), uploads(&dir)), (1, 1));
        assert_eq!(problem(parts.part(&path("m/a"), &old, 1)).code, Code::ResourceDoesNotExist);
        assert_eq!(parts.complete(&path("m/a"), &new, &[part]).unwrap().blob.bytes, 1);
    }

    #[test]
    fn what_is_being_completed_is_left_alone() {
        let (dir, parts) = open();
        let id = parts.begin(path("m/a"), 1, 0).unwrap();
        let part = put(&parts, &id, 1, b"1");
        let late = parts.part(&path("m/a"), &id, 1).unwrap();
        let set = |is_completing| parts.open.lock().get_mut(&id).unwrap().is_completing = is_completing;
        set(true);
        let problems = [
            problem(parts.part(&path("m/a"), &id, 1)),
            problem(late.finish()),
            problem(parts.complete(&path("m/a"), &id, std::slice::from_ref(&part))),
            problem(parts.abort(&path("m/a"), &id)),
        ];
        for problem in problems {
            assert_eq!(problem.message, "The multipart upload for 'm/a' is being completed");
        }
        assert_eq!((parts.expire(i64::MAX), uploads(&dir)), (0, 1));
        set(false);
        assert_eq!((parts.expire(i64::MAX), uploads(&dir)), (1, 0));
    }

    #[test]
    fn a_restart_forgets_parts() {
        let (dir, parts) = open();
        let id = parts.begin(path("m/a"), 1, 0).unwrap();
        put(&parts, &id, 1, b"1");
        std::mem::forget(parts);
        let parts = Parts::new(Files::open(dir.path()).unwrap());
        assert_eq!(uploads(&dir), 0);
        assert_eq!(problem(parts.part(&path("m/a"), &id, 1)).code, Code::ResourceDoesNotExist);
    }

    #[test]
    fn a_part_that_was_damaged_fails_and_the_rest_stays() {
        let (dir, parts) = open();
        let id = parts.begin(path("m/a"), 1, 0).unwrap();
        let part = put(&parts, &id, 1, b"123");
        let file = fs::read_dir(dir.path().join("uploads")).unwrap().next().unwrap().unwrap().path();
        fs::write(file, "12").unwrap();
        let Err(Error::Disk(error)) = parts.complete(&path("m/a"), &id, &[part]) else { panic!("it was completed") };
        assert_eq!(error.to_string(), "part 1 is 2 bytes long on disk instead of 3");
        let again = put(&parts, &id, 1, b"123");
        assert_eq!(uploads(&dir), 1);
        assert_eq!(parts.complete(&path("m/a"), &id, &[again]).unwrap().blob.bytes, 3);
    }

    #[test]
    fn only_one_of_several_completes() {
        let (dir, parts) = open();
        let id = parts.begin(path("m/a"), 2, 0).unwrap();
        let content = vec![1; 1_000_000];
        let listed = [put(&parts, &id, 1, &content), put(&parts, &id, 2, &content)];
        let done = thread::scope(|scope| {
            let complete = || parts.complete(&path("m/a"), &id, &listed).is_ok();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(complete)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).filter(|done| *done).count()
        });
        assert_eq!((done, uploads(&dir)), (1, 0));
    }

    /// Looks at the memory of the whole process and so runs in one of its own, below.
    #[test]
    #[ignore = "run by memory_does_not_grow_with_the_file"]
    fn streams_a_large_file() {
        fn memory_kib() -> u64 {
            let status = fs::read_to_string("/proc/self/status").unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
            line.trim().trim_end_matches(" kB").parse().unwrap()
        }
        let (_dir, parts) = open();
        let chunk = vec![0x5a; CHUNK_BYTES];
        let before = memory_kib();
        let mut upload = parts.files.upload().unwrap();
        for _ in 0..512 {
            upload.write(&chunk).unwrap();
        }
        let whole = upload.finish().unwrap();
        assert_eq!(whole.blob.bytes, 32 * 1024 * 1024);
        parts.files.verify(&whole.blob.digest).unwrap();
        let id = parts.begin(path("m/a"), 2, 0).unwrap();
        let listed = [1, 2].map(|number| {
            let mut part = parts.part(&path("m/a"), &id, number).unwrap();
            for _ in 0..256 {
                part.write(&chunk).unwrap();
            }
            (number, part.finish().unwrap().to_string())
        });
        let same = parts.complete(&path("m/a"), &id, &listed).unwrap();
        assert_eq!(same.blob, whole.blob);
        let grown = memory_kib() - before;
        assert!(grown < 4 * 1024, "{grown} KiB");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn memory_does_not_grow_with_the_file() {
        let name = format!("{}::streams_a_large_file", module_path!().split_once("::").unwrap().1);
        let own =
            Command::new(std::env::current_exe().unwrap()).args(["--exact", &name, "--ignored"]).output().unwrap();
        let said = String::from_utf8_lossy(&own.stdout);
        assert!(own.status.success() && said.contains("1 passed"), "{said}");
    }
}
