//! Which path holds which content: plain data in memory, rebuilt from its changes.
//!
//! Paths are kept in one ordered map, so a folder is a range of it. Folders exist by what is in them and go with it.

use std::collections::BTreeMap;
use std::ops::{Bound, Range};

use serde::{Deserialize, Serialize};

use super::files::{Blob, Digest};
use super::path::ArtifactPath;
use crate::Problem;

/// What a path holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct Entry {
    /// The content.
    pub blob: Blob,
    /// When it was put there, in milliseconds since 1970.
    pub modified_ms: i64,
}

/// An entry as it is stored: `{"sha256":"…","bytes":3,"ms":1}`.
#[derive(Serialize, Deserialize)]
struct Written {
    sha256: Digest,
    bytes: u64,
    ms: i64,
}

/// What became of a path: it holds this now, or nothing any more. All changes of a tree in their order give the tree.
pub type Change = (ArtifactPath, Option<Entry>);

/// One line of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    /// Its name in the folder.
    pub name: String,
    /// What it holds; a folder holds nothing itself.
    pub file: Option<Entry>,
}

/// All paths. Putting, getting and counting cost a search in a balanced tree; listing costs one for each child, however
/// much is below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    entries: BTreeMap<ArtifactPath, Entry>,
    references: BTreeMap<Digest, u64>,
}

impl Tree {
    /// Puts a file; gives what was there before. Refused as by [`Tree::allows`].
    pub fn put(&mut self, path: ArtifactPath, entry: Entry) -> Result<Option<Entry>, Problem> {
        self.allows(&path)?;
        Ok(self.apply((path, Some(entry))))
    }

    /// Whether a file may be put there: not where a folder is, nor below a file. A client that downloads the whole
    /// could not have both.
    pub fn allows(&self, path: &ArtifactPath) -> Result<(), Problem> {
        if let Some(file) = path.folders().find(|folder| self.entries.contains_key(*folder)) {
            return Err(Problem::invalid(format!("Invalid path: '{file}' is a file, not a folder")));
        }
        if self.is_folder(path) {
            return Err(Problem::invalid(format!("Invalid path: '{path}' is a folder")));
        }
        Ok(())
    }

    /// Makes a change that was made before, as when reading them back; gives what was there.
    pub fn apply(&mut self, (path, entry): Change) -> Option<Entry> {
        let old = match entry {
            Some(entry) => {
                *self.references.entry(entry.blob.digest).or_default() += 1;
                self.entries.insert(path, entry)
            }
            None => self.entries.remove(&path),
        };
        if let Some(old) = old {
            self.forget(&old.blob.digest);
        }
        old
    }

    /// What the path holds, if it is a file.
    pub fn get(&self, path: &ArtifactPath) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// Whether anything is below the path.
    pub fn is_folder(&self, path: &ArtifactPath) -> bool {
        self.entries.range(below(path)).next().is_some()
    }

    /// What is directly in a folder, by name; `None` is the root. A file, and what does not exist, have nothing in them.
    pub fn list(&self, folder: Option<&ArtifactPath>) -> Vec<Child> {
        let prefix = folder.map(|folder| format!("{folder}/")).unwrap_or_default();
        let mut children = Vec::new();
        let mut from = Bound::Included(ArtifactPath::bound(prefix.clone()));
        while let Some((path, entry)) = self.entries.range((from, Bound::Unbounded)).next() {
            let Some(rest) = path.as_str().strip_prefix(&prefix) else { break };
            let (child, next) = match rest.split_once('/') {
                Some((name, _)) => {
                    let past = ArtifactPath::bound(past_all_below(&format!("{prefix}{name}")));
                    (Child { name: name.to_string(), file: None }, Bound::Included(past))
                }
                None => (Child { name: rest.to_string(), file: Some(*entry) }, Bound::Excluded(path.clone())),
            };
            children.push(child);
            from = next;
        }
        // The map has `a-b` before `a/c`.
        children.sort_by(|left, right| left.name.cmp(&right.name));
        children
    }

    /// The file at the path or all files below it, by path: what [`Tree::remove`] would remove.
    pub fn under(&self, path: &ArtifactPath) -> impl Iterator<Item = (&ArtifactPath, &Entry)> {
        self.entries.get_key_value(path).into_iter().chain(self.entries.range(below(path)))
    }

    /// Removes a file or a whole folder; gives what was removed, by path, and nothing where nothing was.
    pub fn remove(&mut self, path: &ArtifactPath) -> Vec<(ArtifactPath, Entry)> {
        let mut removed: Vec<_> = self.entries.remove_entry(path).into_iter().collect();
        removed.extend(self.entries.extract_if(below(path), |_, _| true));
        for (_, entry) in &removed {
            self.forget(&entry.blob.digest);
        }
        removed
    }

    /// How many paths hold this content.
    pub fn references(&self, digest: &Digest) -> u64 {
        self.references.get(digest).copied().unwrap_or_default()
    }

    /// All files by path, as changes that give this tree.
    pub fn changes(&self) -> impl Iterator<Item = Change> {
        self.entries.iter().map(|(path, entry)| (path.clone(), Some(*entry)))
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn forget(&mut self, digest: &Digest) {
        if let Some(count) = self.references.get_mut(digest) {
            *count -= 1;
            if *count == 0 {
                self.references.remove(digest);
            }
        }
    }
}

impl FromIterator<Change> for Tree {
    fn from_iter<I: IntoIterator<Item = Change>>(changes: I) -> Tree {
        let mut tree = Tree::default();
        for change in changes {
            tree.apply(change);
        }
        tree
    }
}

/// The range of all paths below a folder.
fn below(folder: &ArtifactPath) -> Range<ArtifactPath> {
    ArtifactPath::bound(format!("{folder}/"))..ArtifactPath::bound(past_all_below(folder.as_str()))
}

/// The first text after everything that begins with the folder and `/`: `0` follows `/`.
fn past_all_below(folder: &str) -> String {
    format!("{folder}0")
}

impl From<Written> for Entry {
    fn from(Written { sha256, bytes, ms }: Written) -> Entry {
        Entry { blob: Blob { digest: sha256, bytes }, modified_ms: ms }
    }
}

impl From<Entry> for Written {
    fn from(Entry { blob, modified_ms }: Entry) -> Written {
        Written { sha256: blob.digest, bytes: blob.bytes, ms: modified_ms }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn path(text: &str) -> ArtifactPath {
        ArtifactPath::parse(text).unwrap()
    }

    /// An entry told from others by its content.
    fn entry(content: u8) -> Entry {
        Entry { blob: Blob { digest: Digest([content; 32]), bytes: content.into() }, modified_ms: 1 }
    }

    fn tree(files: &[(&str, u8)]) -> Tree {
        let mut tree = Tree::default();
        for (name, content) in files {
            assert_eq!(tree.put(path(name), entry(*content)), Ok(None));
        }
        tree
    }

    /// A listing as text: folders end in `/`, files have their size.
    fn listed(tree: &Tree, folder: &str) -> Vec<String> {
        let show = |child: Child| match child.file {
            Some(file) => format!("{} {}", child.name, file.blob.bytes),
            None => format!("{}/", child.name),
        };
        tree.list(ArtifactPath::parse_folder(folder).unwrap().as_ref()).into_iter().map(show).collect()
    }

    #[test]
    fn a_listing_has_direct_children_by_name() {
        let tree = tree(&[
            ("m/model.pkl", 1),
            ("m/data/x", 2),
            ("m/data/deep/y", 3),
            ("m/data-2", 4),
            ("m/data.txt", 5),
            ("m/data0", 6),
            ("m/Z", 7),
            ("m0", 8),
            ("m-/a", 9),
            ("é", 10),
        ]);
        assert_eq!(listed(&tree, ""), ["m/", "m-/", "m0 8", "é 10"]);
        assert_eq!(listed(&tree, "m"), ["Z 7", "data/", "data-2 4", "data.txt 5", "data0 6", "model.pkl 1"]);
        assert_eq!(listed(&tree, "m/data"), ["deep/", "x 2"]);
        assert_eq!(listed(&tree, "m/data/deep"), ["y 3"]);
        for nothing in ["m0", "m/data/x", "nowhere", "m/dat", "m/data/deep/y/z"] {
            assert_eq!(listed(&tree, nothing), Vec::<String>::new(), "{nothing}");
        }
        assert_eq!(listed(&Tree::default(), ""), Vec::<String>::new());
    }

    #[test]
    fn a_put_replaces_and_says_what_was_there() {
        let mut tree = tree(&[("a", 1), ("b", 1)]);
        assert_eq!(tree.put(path("a"), entry(2)), Ok(Some(entry(1))));
        assert_eq!(tree.get(&path("a")), Some(&entry(2)));
        assert_eq!(tree.get(&path("c")), None);
        assert_eq!(tree.len(), 2);
    }

    #[test]
    fn contents_are_counted_by_the_paths_that_hold_them() {
        let mut tree = tree(&[("a", 1), ("b", 1), ("c/d", 2)]);
        let count = |tree: &Tree| [1, 2, 3].map(|content| tree.references(&Digest([content; 32])));
        assert_eq!(count(&tree), [2, 1, 0]);
        tree.put(path("a"), entry(1)).unwrap();
        assert_eq!(count(&tree), [2, 1, 0]);
        tree.put(path("a"), entry(3)).unwrap();
        assert_eq!(count(&tree), [1, 1, 1]);
        tree.remove(&path("b"));
        tree.remove(&path("c"));
        assert_eq!(count(&tree), [0, 0, 1]);
        tree.apply((path("a"), None));
        assert_eq!(tree, Tree::default());
    }

    #[test]
    fn a_file_or_a_folder_is_removed_and_nothing_beside_it() {
        let files = [("a", 1), ("d/x", 2), ("d/e/y", 3), ("d-", 4), ("d0", 5), ("dd/x", 6)];
        let mut tree = tree(&files);
        assert_eq!(tree.remove(&path("nowhere")), []);
        let before: Vec<_> = tree.under(&path("d")).map(|(path, entry)| (path.clone(), *entry)).collect();
        let removed = tree.remove(&path("d"));
        assert_eq!(removed, [(path("d/e/y"), entry(3)), (path("d/x"), entry(2))]);
        assert_eq!(removed, before);
        assert_eq!(listed(&tree, ""), ["a 1", "d- 4", "d0 5", "dd/"]);
        assert_eq!(tree.remove(&path("a")), [(path("a"), entry(1))]);
        assert!(!tree.is_folder(&path("d")) && tree.is_folder(&path("dd")) && !tree.is_folder(&path("d0")));
    }

    #[test]
    fn a_path_is_a_file_or_a_folder() {
        let mut tree = tree(&[("a/b/c", 1)]);
        let refused = |tree: &mut Tree, name: &str| tree.put(path(name), entry(2)).unwrap_err().message;
        assert_eq!(refused(&mut tree, "a"), "Invalid path: 'a' is a folder");
        assert_eq!(refused(&mut tree, "a/b"), "Invalid path: 'a/b' is a folder");
        assert_eq!(refused(&mut tree, "a/b/c/d/e"), "Invalid path: 'a/b/c' is a file, not a folder");
        assert_eq!(tree.len(), 1);
        tree.remove(&path("a/b"));
        tree.put(path("a"), entry(2)).unwrap();
    }

    #[test]
    fn its_changes_give_the_tree_again() {
        let mut tree = Tree::default();
        let mut changes: Vec<Change> = Vec::new();
        for (name, content) in [("a", 1), ("b/c", 2), ("b/d", 2), ("a", 3)] {
            tree.put(path(name), entry(content)).unwrap();
            changes.push((path(name), Some(entry(content))));
        }
        changes.extend(tree.remove(&path("b")).into_iter().map(|(path, _)| (path, None)));
        let text = serde_json::to_string(&changes).unwrap();
        let read: Vec<Change> = serde_json::from_str(&text).unwrap();
        assert_eq!(read.into_iter().collect::<Tree>(), tree);
        assert_eq!(tree.changes().collect::<Tree>(), tree);
    }

    #[test]
    fn an_entry_is_stored_in_few_words() {
        let text = format!("{{\"sha256\":\"{}\",\"bytes\":7,\"ms\":1}}", "07".repeat(32));
        assert_eq!(serde_json::to_string(&entry(7)).unwrap(), text);
        assert_eq!(serde_json::from_str::<Entry>(&text).unwrap(), entry(7));
    }

    /// Were a listing to look at all that is below a folder, this would take many minutes.
    #[test]
    fn a_listing_does_not_look_at_all_paths() {
        let run = |run: u32| (0..200).map(move |file| path(&format!("1/run{run}/artifacts/model/file{file}")));
        let tree: Tree = (0..1000).flat_map(run).map(|path| (path, Some(entry(1)))).collect();
        assert_eq!((tree.len(), tree.references(&Digest([1; 32]))), (200_000, 200_000));
        let started = Instant::now();
        for _ in 0..20_000 {
            assert_eq!(listed(&tree, ""), ["1/"]);
            assert_eq!(listed(&tree, "1/run77"), ["artifacts/"]);
        }
        assert_eq!(listed(&tree, "1").len(), 1000);
        assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
    }
}
