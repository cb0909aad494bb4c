//! Log template mining, streaming: from lines to the constant text they were printed from.
//!
//! Idea: parameters that look like parameters (numbers, addresses, paths, ids, values of `key=value`) are masked in
//! one pass over the line, see [`mask`]. Most lines of a template are then equal and found by one hash. What is left
//! is compared word by word with the templates of the same number of words; the most similar one takes the line in,
//! and words that differ become `<*>`. This is Drain (He et al., ICWS 2017) without its fixed-depth tree, which loses
//! lines whose first word varies; the hash in front makes the wider search cheap.
//!
//! Promises:
//! - Ids are dense from 1 and stable: a template generalised later keeps its id.
//! - The verdict on a line is a function of the templates (ids and texts) and the line. So a miner made again with
//!   [`Miner::from_templates`] goes on exactly as the old one would have.
//! - Memory is bounded by the [`Settings`]; what does not fit is template 0.
//!
//! Cost: about 0.5 µs for a line seen before in masked form; else linear in the templates of its length.
//! Where it fails: parameters of several words that do not look like parameters give one template for each number of
//! words.

mod mask;

use std::collections::HashMap;

/// Bounds and thresholds. One configuration serves all systems; it is not tuned to any.
#[derive(Clone, Debug)]
pub struct Settings {
    /// A line joins a template that shares at least this part of its words' weight. 0..=1.
    pub min_similarity: f64,
    /// Templates at most; a line that would need one more gets id 0.
    pub max_templates: usize,
    /// Words of a line that count; the rest is one parameter.
    pub max_words: usize,
    /// Bytes of a line that count.
    pub max_bytes: usize,
    /// Masked lines whose template is kept at hand.
    pub max_cached: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { min_similarity: 0.68, max_templates: 50_000, max_words: 64, max_bytes: 2048, max_cached: 200_000 }
    }
}

/// The verdict on a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assigned {
    /// The template's number; 0 for an empty line and where there is no room.
    pub id: u32,
    /// The template was not there before.
    pub new: bool,
    /// The template's text is another than before.
    pub changed: bool,
}

/// The templates of one stream of lines.
pub struct Miner {
    settings: Settings,
    /// By id; index 0 is the empty template.
    templates: Vec<Template>,
    /// Templates by number of words, in order of id.
    groups: HashMap<usize, Group>,
    /// Template by the hash of a masked line, and the group's version at which that held.
    cache: HashMap<u64, (u32, u32)>,
    scratch: mask::Masked,
}

#[derive(Clone, Debug, Default)]
struct Template {
    text: Box<str>,
    words: Vec<Box<str>>,
}

#[derive(Debug, Default)]
struct Group {
    ids: Vec<u32>,
    version: u32,
}

/// What stands for a parameter.
pub const PARAMETER: &str = "<*>";

impl Default for Miner {
    fn default() -> Miner {
        Miner::new(Settings::default())
    }
}

impl Miner {
    /// An empty miner.
    pub fn new(settings: Settings) -> Miner {
        Miner {
            settings,
            templates: vec![Template::default()],
            groups: HashMap::new(),
            cache: HashMap::new(),
            scratch: mask::Masked::default(),
        }
    }

    /// A miner that goes on where one with these templates stopped. Ids may come in any order.
    pub fn from_templates<'a>(known: impl IntoIterator<Item = (u32, &'a str)>) -> Miner {
        let mut miner = Miner::default();
        let mut known: Vec<(u32, &str)> = known.into_iter().filter(|(id, _)| *id != 0).collect();
        known.sort_unstable();
        for (id, text) in known {
            while miner.templates.len() <= id as usize {
                miner.templates.push(Template::default());
            }
            let words: Vec<Box<str>> = text.split(' ').filter(|w| !w.is_empty()).map(Box::from).collect();
            miner.groups.entry(words.len()).or_default().ids.push(id);
            miner.templates[id as usize] = Template { text: text.into(), words };
        }
        miner
    }

    /// Finds or makes the template of a line.
    pub fn assign(&mut self, line: &str) -> Assigned {
        let mut masked = std::mem::take(&mut self.scratch);
        masked.read(line, self.settings.max_words, self.settings.max_bytes);
        let assigned = self.assign_masked(&masked);
        self.scratch = masked;
        assigned
    }

    /// The text of a template; empty for a number never given.
    pub fn text(&self, id: u32) -> &str {
        self.templates.get(id as usize).map_or("", |template| &template.text)
    }

    /// The number under which a template goes on: itself.
    pub fn resolve(&self, id: u32) -> u32 {
        id
    }

    /// How many templates there are.
    pub fn len(&self) -> usize {
        self.templates.len() - 1
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn assign_masked(&mut self, masked: &mask::Masked) -> Assigned {
        let count = masked.len();
        if count == 0 {
            return Assigned { id: 0, new: false, changed: false };
        }
        let version = self.groups.get(&count).map_or(0, |group| group.version);
        let hash = masked.hash();
        if let Some((id, known)) = self.cache.get(&hash)
            && *known == version
        {
            return Assigned { id: *id, new: false, changed: false };
        }
        let assigned = match self.best(masked) {
            Some(id) => Assigned { id, new: false, changed: self.widen(id, masked) },
            None if self.len() >= self.settings.max_templates => Assigned { id: 0, new: false, changed: false },
            None => Assigned { id: self.add(masked), new: true, changed: false },
        };
        let group = self.groups.entry(count).or_default();
        if assigned.new || assigned.changed {
            group.version = group.version.wrapping_add(1);
        }
        if self.cache.len() >= self.settings.max_cached {
            self.cache.clear();
        }
        self.cache.insert(hash, (assigned.id, group.version));
        assigned
    }

    /// The most similar template; of equals the most specific one, then the oldest.
    fn best(&self, masked: &mask::Masked) -> Option<u32> {
        let group = self.groups.get(&masked.len())?;
        let mut best: Option<(f64, usize, u32)> = None;
        for id in &group.ids {
            let template = &self.templates[*id as usize];
            let Some((similarity, constants)) = similarity(&template.words, masked, self.settings.min_similarity)
            else {
                continue;
            };
            if best.is_none_or(|(s, c, _)| (similarity, constants) > (s, c)) {
                best = Some((similarity, constants, *id));
            }
        }
        best.map(|(_, _, id)| id)
    }

    fn add(&mut self, masked: &mask::Masked) -> u32 {
        let id = self.templates.len() as u32;
        let words: Vec<Box<str>> = masked.iter().map(Box::from).collect();
        self.groups.entry(words.len()).or_default().ids.push(id);
        self.templates.push(Template { text: words.join(" ").into(), words });
        id
    }

    /// Makes the words that differ parameters; true where that changed the text.
    fn widen(&mut self, id: u32, masked: &mask::Masked) -> bool {
        let template = &mut self.templates[id as usize];
        let mut is_changed = false;
        for (known, word) in template.words.iter_mut().zip(masked.iter()) {
            if !matches(known, word) {
                *known = generalise(known, word);
                is_changed = true;
            }
        }
        if is_changed {
            template.text = template.words.join(" ").into();
        }
        is_changed
    }
}

/// Part of the line's weight that the template shares, with the number of constant words in common; `None` below
/// `min`. A word that is a parameter weighs less than a constant one: two lines that share only their numbers are
/// not alike.
fn similarity(template: &[Box<str>], masked: &mask::Masked, min: f64) -> Option<(f64, usize)> {
    const PARAMETER_WEIGHT: f64 = 0.2;
    let (mut shared, mut total, mut constants) = (0.0, 0.0, 0);
    let first_differs = template.iter().zip(masked.iter()).next().is_some_and(|(known, word)| !matches(known, word));
    for (known, word) in template.iter().zip(masked.iter()) {
        let is_parameter = word == PARAMETER;
        let weight = if is_parameter { PARAMETER_WEIGHT } else { 1.0 };
        total += weight;
        if &**known == word {
            shared += weight;
            constants += usize::from(!is_parameter);
        } else if matches(known, word) {
            shared += weight * 0.5;
        }
    }
    let is_equal = shared == total;
    // The first word is mostly the verb (`Failed`, `Accepted`): where it differs the rest must agree almost wholly.
    let min = if first_differs { min.max(0.9) } else { min };
    let similarity = if total > 0.0 { shared / total } else { 1.0 };
    (is_equal || (similarity >= min && constants > 0)).then_some((similarity, constants))
}

/// Whether a template's word covers a masked word: equal, or `prefix<*>suffix` around anything.
fn matches(known: &str, word: &str) -> bool {
    if known == word {
        return true;
    }
    match known.split_once(PARAMETER) {
        None => false,
        Some((prefix, suffix)) if !suffix.contains(PARAMETER) => {
            word.len() >= prefix.len() + suffix.len() && word.starts_with(prefix) && word.ends_with(suffix)
        }
        Some(_) => false,
    }
}

/// The narrowest word with one parameter that covers both, its constant ends cut at a delimiter.
fn generalise(known: &str, word: &str) -> Box<str> {
    let is_delimiter =
        |c: char| matches!(c, '=' | ':' | '(' | ')' | '[' | ']' | '{' | '}' | '"' | '\'' | ',' | ';' | '|');
    let common = |mut a: &mut dyn Iterator<Item = char>, b: &mut dyn Iterator<Item = char>| -> usize {
        let equal: Vec<char> = (&mut a).zip(b).take_while(|(x, y)| x == y).map(|(x, _)| x).collect();
        let cut = equal.iter().rposition(|c| is_delimiter(*c)).map_or(0, |at| at + 1);
        equal[..cut].iter().map(|c| c.len_utf8()).sum()
    };
    let prefix = common(&mut known.chars(), &mut word.chars());
    let suffix = common(&mut known[prefix..].chars().rev(), &mut word[prefix..].chars().rev());
    let (head, tail) = (&known[..prefix], &known[known.len() - suffix..]);
    if head.contains(PARAMETER) || tail.contains(PARAMETER) {
        return PARAMETER.into();
    }
    format!("{head}{PARAMETER}{tail}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_parameters_and_words_become_ones() {
        let mut miner = Miner::default();
        let first = miner.assign("user alice logged in from 10.0.0.1 after 15ms");
        assert_eq!((first.id, first.new), (1, true));
        assert_eq!(miner.text(1), "user alice logged in from <*> after <*>");
        let second = miner.assign("user bob logged in from 10.0.0.2 after 7ms");
        assert_eq!(second, Assigned { id: 1, new: false, changed: true });
        assert_eq!(miner.text(1), "user <*> logged in from <*> after <*>");
        assert!(!miner.assign("user carol logged in from 10.9.0.2 after 7ms").changed);
        assert_eq!(miner.assign("disk sda1 is full").id, 2);
        assert_eq!(miner.assign("  ").id, 0);
    }

    #[test]
    fn a_rebuilt_miner_goes_on_the_same() {
        let line = |i: usize| match i % 7 {
            0 => format!("order {} placed by user{}", i, i % 13),
            1 => format!("cache lookup key=sess:{:x} hit={}", i * 7919, i.is_multiple_of(2)),
            2 => format!("worker-{} picked job {} from queue q{}", i % 5, i, i % 11),
            3 => format!("task {} moved from {} to {}", i, ["NEW", "RUNNING", "DONE"][i % 3], ["A", "B"][i % 2]),
            4 => format!("{} connected", ["alice", "bob", "carol"][i / 7 % 3]),
            5 => format!("GET /api/v{}/items/{} 200", i % 3, i),
            _ => format!("step {} of {} words{}", i, i % 4, " x".repeat(i % 5)),
        };
        let mut old = Miner::default();
        for i in 0..700 {
            old.assign(&line(i));
        }
        let known: Vec<(u32, String)> = (1..=old.len() as u32).map(|id| (id, old.text(id).to_owned())).collect();
        let mut new = Miner::from_templates(known.iter().rev().map(|(id, text)| (*id, text.as_str())));
        for i in 700..5000 {
            let text = if i % 97 == 0 { format!("fresh{} event {} here", "x".repeat(i % 9), line(i)) } else { line(i) };
            assert_eq!(old.assign(&text), new.assign(&text), "{text}");
        }
        assert_eq!(old.len(), new.len());
        assert!((1..=old.len() as u32).all(|id| old.text(id) == new.text(id)));
    }

    #[test]
    fn it_stays_bounded() {
        let settings = Settings { max_templates: 10, max_cached: 10, ..Settings::default() };
        let mut miner = Miner::new(settings);
        let word = |i: u32| {
            (0..8).map(|k| char::from(b'a' + (i.wrapping_mul(2_654_435_761) >> (k * 3) & 15) as u8)).collect::<String>()
        };
        for i in 0..1000 {
            miner.assign(&format!("{} {} {}", word(i * 3), word(i * 3 + 1), word(i * 3 + 2)));
        }
        assert_eq!(miner.len(), 10);
        assert!(miner.cache.len() <= 10);
        let long = "word ".repeat(100_000);
        miner.assign(&long);
    }

    #[test]
    fn words_are_widened_between_delimiters() {
        assert_eq!(&*generalise("rhost=a.b", "rhost=c"), "rhost=<*>");
        assert_eq!(&*generalise("(root)", "(bob)"), "(<*>)");
        assert_eq!(&*generalise("alpha", "beta"), "<*>");
        assert_eq!(&*generalise("ä:ö", "ä:ü"), "ä:<*>");
        assert!(matches("(<*>)", "(anyone)") && !matches("(<*>)", "anyone"));
    }
}
