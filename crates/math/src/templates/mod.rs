//! Log template mining, streaming: from lines to the constant text they were printed from.
//!
//! Idea: parameters that look like parameters (numbers, addresses, hosts, paths, ids, sizes, dates, lists) are masked
//! in one pass over the line, see [`mask`]. Most lines of a template are then equal and found by one hash. A line that
//! no template covers becomes a template itself, unless it has siblings: templates that differ from it at the same
//! position only. A position at which enough different values were seen is a parameter, and the siblings become one
//! template. How many are enough depends on what the values look like: two for values (`key=…`, with a digit, a path,
//! the word after `user`), three for dotted names, four for words, eight for words in capitals, which are mostly
//! states; far more at the first word, which mostly says what happened. Positions that vary together (`from NEW to
//! RUNNING`) have few siblings each and stay constant, until so many are there that nobody can have written them.
//! Counting the values of a position is what Drain (He et al., ICWS 2017) leaves out and Brain (Yu et al., TSC 2023)
//! and ULP (Sedki et al., ICSME 2022) do over the whole file; here it is done line by line.
//!
//! A line that is a JSON object counts as its message (`message`, `msg`, `log` or `event`), or as its sorted keys where
//! it has none. Of several lines (a stack trace) the first counts, and the rest is one parameter.
//!
//! Promises:
//! - Ids are dense from 1 and stable: a template generalised later keeps its id. Templates that become one share their
//!   text from then on, and [`Miner::resolve`] gives the lowest of their ids, which new lines get.
//! - The verdict on a line is a function of the templates (ids and texts) and the line. So a miner made again with
//!   [`Miner::from_templates`] goes on exactly as the old one would have.
//! - Memory is bounded by the [`Settings`]; what does not fit is template 0. Where more lines than
//!   [`Settings::max_siblings`] begin alike and are all different, the rest of them is one parameter: `first <*>`.
//!
//! Cost: 0.26 to 0.66 µs for a line seen before in masked form, 1.5 to 3.9 million lines a CPU-second on the eight
//! systems of `bellwether prove logs`; else linear in the templates of its length and first word: 1.6 µs where all of
//! 50,000 templates begin otherwise, 20 µs at [`Settings::max_siblings`]. A template of eight words takes 1.1 kB, a masked
//! line at hand 65 bytes; a million lines that are all different, 39 MB.
//! Where it fails: parameters of several words that do not look like parameters give one template for each number of
//! words; a word that is a parameter but took fewer values than are needed is taken for constant.

mod json;
mod mask;
mod parameters;
mod places;

use std::collections::{BTreeMap, BTreeSet, HashMap};

pub use parameters::{Kind as ParameterKind, Parameter, Pattern, kind_of, number_of, parameters};
pub use places::{Place, places};

/// Bounds and thresholds. One configuration serves all systems; it is not tuned to any.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Templates at most; a line that would need one more gets id 0.
    pub max_templates: usize,
    /// Templates at most with the same number of words and the same first word.
    pub max_siblings: usize,
    /// Words of a line that count; the rest is one parameter.
    pub max_words: usize,
    /// Bytes of a line that count.
    pub max_bytes: usize,
    /// Masked lines whose template is kept at hand.
    pub max_cached: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { max_templates: 50_000, max_siblings: 500, max_words: 64, max_bytes: 2048, max_cached: 200_000 }
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
    /// Templates by number of words and first word. Index 0 stands for those that are not there.
    buckets: Vec<Bucket>,
    bucket_by_key: HashMap<u64, u32>,
    /// Templates by all but their first word.
    by_rest: HashMap<u64, Vec<u32>>,
    by_text: HashMap<Box<str>, u32>,
    /// Verdicts by the hash of a masked line.
    cache: HashMap<u64, Known>,
    /// Numbers whose text is new or another since [`Miner::take_changes`].
    changes: BTreeSet<u32>,
    scratch: mask::Masked,
}

#[derive(Clone, Debug, Default)]
struct Template {
    text: Box<str>,
    /// The number under which it goes on; its own where it does so itself.
    goes_on_as: u32,
    /// Templates that go on as this one.
    merged: Vec<u32>,
    /// Its words with parameters in a row as one word, and (if that differs) each as its own.
    forms: Vec<Words>,
}

type Words = Vec<Box<str>>;

#[derive(Debug, Default)]
struct Bucket {
    /// Number and form of its templates, in order of number.
    members: Vec<(u32, u8)>,
    version: u32,
}

/// A verdict, and the versions (summed) of the buckets on which it rests.
#[derive(Clone, Copy)]
struct Known {
    id: u32,
    own: u32,
    wild: u32,
    version: u32,
}

/// What stands for a parameter.
pub const PARAMETER: &str = "<*>";

/// Different values from which a position is a parameter, by what they look like.
const VALUES: usize = 2;
const NAMES: usize = 3;
const WORDS: usize = 4;
const CAPITALS: usize = 8;
/// The same at the first word, and for several positions at once.
const FIRST_WORDS: usize = 16;
const COMBINATIONS: usize = 16;
/// Positions at most that may differ at once.
const MAX_DIFFERENT: usize = 3;

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
            buckets: vec![Bucket::default()],
            bucket_by_key: HashMap::new(),
            by_rest: HashMap::new(),
            by_text: HashMap::new(),
            cache: HashMap::new(),
            changes: BTreeSet::new(),
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
                let goes_on_as = miner.templates.len() as u32;
                miner.templates.push(Template { goes_on_as, ..Template::default() });
            }
            miner.set(id, text);
        }
        miner.changes.clear();
        miner
    }

    /// Finds or makes the template of a line.
    pub fn assign(&mut self, line: &str) -> Assigned {
        let mut masked = std::mem::take(&mut self.scratch);
        masked.read(&json::text_of(line), self.settings.max_words, self.settings.max_bytes);
        let assigned = self.assign_masked(&masked);
        self.scratch = masked;
        assigned
    }

    /// The text of a template; empty for a number never given.
    pub fn text(&self, id: u32) -> &str {
        self.templates.get(self.resolve(id) as usize).map_or("", |template| &template.text)
    }

    /// The number under which a template goes on: another one where it turned out to be the same.
    pub fn resolve(&self, id: u32) -> u32 {
        self.templates.get(id as usize).map_or(id, |template| template.goes_on_as)
    }

    /// Numbers whose text is new or another since this was last asked, in order.
    pub fn take_changes(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.changes).into_iter().collect()
    }

    /// How many templates were given a number.
    pub fn len(&self) -> usize {
        self.templates.len() - 1
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn assign_masked(&mut self, masked: &mask::Masked) -> Assigned {
        if masked.len() == 0 {
            return Assigned { id: 0, new: false, changed: false };
        }
        let hash = masked.hash();
        if let Some(known) = self.cache.get(&hash)
            && self.version_of(known.own, known.wild) == known.version
        {
            return Assigned { id: known.id, new: false, changed: false };
        }
        let words: Vec<&str> = masked.iter().collect();
        let assigned = self.judge(&words);
        if self.cache.len() >= self.settings.max_cached {
            self.cache.clear();
        }
        let (own, wild) = self.buckets_of(&words);
        self.cache.insert(hash, Known { id: assigned.id, own, wild, version: self.version_of(own, wild) });
        assigned
    }

    fn judge(&mut self, words: &[&str]) -> Assigned {
        if let Some(id) = self.best(words) {
            return Assigned { id, new: false, changed: false };
        }
        let (own, wild) = self.buckets_of(words);
        if self.buckets[own as usize].members.len() + self.buckets[wild as usize].members.len()
            >= self.settings.max_siblings
        {
            return self.overflow(words);
        }
        if let Some(id) = self.join_siblings(None, words) {
            return Assigned { id, new: false, changed: true };
        }
        self.add(&words.join(" "))
    }

    /// The template that covers these words; of several the most specific one, then the oldest.
    fn best(&self, words: &[&str]) -> Option<u32> {
        let mut best: Option<(usize, usize, u32)> = None;
        for (id, form) in self.near(words) {
            let Some(constants) = covered(&self.templates[id as usize].forms[form as usize], words) else { continue };
            let length = self.templates[id as usize].text.len();
            if best.is_none_or(|(c, l, i)| (constants, length, i) > (c, l, id)) {
                best = Some((constants, length, id));
            }
        }
        best.map(|(_, _, id)| id)
    }

    /// Templates of as many words that begin with the same word or with a parameter.
    fn near(&self, words: &[&str]) -> impl Iterator<Item = (u32, u8)> {
        let (own, wild) = self.buckets_of(words);
        let wild = if wild == own { 0 } else { wild };
        self.buckets[own as usize].members.iter().chain(&self.buckets[wild as usize].members).copied()
    }

    /// The one template of lines that begin alike and of which there are too many kinds.
    fn overflow(&mut self, words: &[&str]) -> Assigned {
        let is_wild = words[0].contains(PARAMETER);
        let text = if is_wild { PARAMETER.to_owned() } else { format!("{} {PARAMETER}", words[0]) };
        match self.by_text.get(text.as_str()) {
            Some(id) => Assigned { id: *id, new: false, changed: false },
            None => self.add(&text),
        }
    }

    fn add(&mut self, text: &str) -> Assigned {
        if self.len() >= self.settings.max_templates {
            return Assigned { id: 0, new: false, changed: false };
        }
        let id = self.templates.len() as u32;
        self.templates.push(Template { goes_on_as: id, ..Template::default() });
        let id = self.set(id, text);
        Assigned { id, new: true, changed: false }
    }

    /// Makes one template of these words and the siblings that differ from them where a parameter must be, again and
    /// again; `id` is the words' own template. Gives the number of the outcome if there was one.
    fn join_siblings(&mut self, id: Option<u32>, words: &[&str]) -> Option<u32> {
        let (members, text) = self.siblings(id, words)?;
        let kept = members.iter().copied().min()?;
        self.set(kept, &text);
        let mut kept = self.resolve(kept);
        for member in members {
            if self.resolve(member) != kept {
                kept = self.set(member, &text);
            }
        }
        // The form in which each parameter is a word: in the other one a row of them would be one for ever after.
        let words: Words = self.templates[kept as usize].forms.last()?.clone();
        let words: Vec<&str> = words.iter().map(|w| &**w).collect();
        Some(self.join_siblings(Some(kept), &words).unwrap_or(kept))
    }

    /// The templates (with `id`) that are one with these words, and the text of all.
    fn siblings(&self, id: Option<u32>, words: &[&str]) -> Option<(Vec<u32>, String)> {
        let mut families: BTreeMap<Vec<usize>, BTreeMap<u32, &[Box<str>]>> = BTreeMap::new();
        for (other, form) in self.near(words).filter(|(other, _)| Some(*other) != id) {
            let form = &self.templates[other as usize].forms[form as usize];
            if let Some(positions) = differences(words, form) {
                families.entry(positions).or_default().insert(other, form);
            }
        }
        let of_same_rest = self.by_rest.get(&rest_hash(words)).map_or(&[][..], Vec::as_slice);
        for other in of_same_rest.iter().filter(|other| Some(**other) != id) {
            let form = &self.templates[*other as usize].forms[0];
            if differences(words, form).is_some_and(|positions| positions == [0]) {
                families.entry(vec![0]).or_default().insert(*other, form);
            }
        }
        // The largest family first; of equals that with the fewest and first positions.
        let mut families: Vec<_> = families.into_iter().collect();
        families.sort_by_key(|(positions, members)| (std::cmp::Reverse(members.len()), positions.len()));
        let is_one = |(positions, members): &(Vec<usize>, BTreeMap<u32, &[Box<str>]>)| {
            let others: Vec<&[Box<str>]> = members.values().copied().collect();
            are_parameters(words, positions, &others)
        };
        let (positions, members) = families.into_iter().find(is_one)?;
        let mut text: Words = words.iter().map(|w| Box::from(*w)).collect();
        for position in positions {
            for other in members.values() {
                text[position] = generalise(&text[position], &other[position]);
            }
        }
        Some((members.into_keys().chain(id).collect(), text.join(" ")))
    }

    /// Gives a template its text. If another one has it already the two are one: under the lower number, which is
    /// returned.
    fn set(&mut self, id: u32, text: &str) -> u32 {
        self.unlink(id);
        self.templates[id as usize].text = text.into();
        let other = self.by_text.get(text).copied().unwrap_or(id);
        let (kept, gone) = (id.min(other), id.max(other));
        if gone != kept {
            self.unlink(gone);
            let mut merged = std::mem::take(&mut self.templates[gone as usize].merged);
            merged.push(gone);
            for member in &merged {
                self.templates[*member as usize].goes_on_as = kept;
            }
            self.templates[kept as usize].merged.append(&mut merged);
            self.templates[kept as usize].text = text.into();
        }
        self.link(kept);
        self.changes.insert(kept);
        self.changes.extend(&self.templates[kept as usize].merged);
        kept
    }

    /// Puts a template where lines find it.
    fn link(&mut self, id: u32) {
        let text = self.templates[id as usize].text.clone();
        let mut masked = mask::Masked::default();
        let mut forms: Vec<Words> = Vec::new();
        for are_rows_joined in [true, false] {
            masked.read_template(&text, are_rows_joined);
            let words: Words = masked.iter().map(Box::from).collect();
            if !words.is_empty() && !forms.contains(&words) {
                forms.push(words);
            }
        }
        for (at, form) in forms.iter().enumerate() {
            let bucket = self.bucket_for(form);
            let bucket = &mut self.buckets[bucket as usize];
            let place = bucket.members.partition_point(|member| *member < (id, at as u8));
            bucket.members.insert(place, (id, at as u8));
            bucket.version = bucket.version.wrapping_add(1);
        }
        if let Some(form) = forms.first() {
            let form: Vec<&str> = form.iter().map(|w| &**w).collect();
            self.by_rest.entry(rest_hash(&form)).or_default().push(id);
        }
        self.by_text.insert(text, id);
        self.templates[id as usize].forms = forms;
    }

    /// Takes a template away from where lines find it.
    fn unlink(&mut self, id: u32) {
        let forms = std::mem::take(&mut self.templates[id as usize].forms);
        for form in &forms {
            let bucket = self.bucket_for(form);
            let bucket = &mut self.buckets[bucket as usize];
            bucket.members.retain(|(member, _)| *member != id);
            bucket.version = bucket.version.wrapping_add(1);
        }
        if let Some(form) = forms.first() {
            let form: Vec<&str> = form.iter().map(|w| &**w).collect();
            let hash = rest_hash(&form);
            if let Some(ids) = self.by_rest.get_mut(&hash) {
                ids.retain(|member| *member != id);
                if ids.is_empty() {
                    self.by_rest.remove(&hash);
                }
            }
            self.by_text.remove(&self.templates[id as usize].text);
        }
    }

    /// The bucket of a template's words, made if it is not there.
    fn bucket_for(&mut self, words: &[Box<str>]) -> u32 {
        let key = bucket_key(words.len(), &words[0]);
        if let Some(at) = self.bucket_by_key.get(&key) {
            return *at;
        }
        let at = self.buckets.len() as u32;
        self.buckets.push(Bucket::default());
        self.bucket_by_key.insert(key, at);
        // Verdicts that rest on its absence hold no longer.
        self.buckets[0].version = self.buckets[0].version.wrapping_add(1);
        at
    }

    /// The buckets of a line's words: of those that begin with its first word, and with a parameter.
    fn buckets_of(&self, words: &[&str]) -> (u32, u32) {
        let find = |first: &str| self.bucket_by_key.get(&bucket_key(words.len(), first)).copied().unwrap_or(0);
        (find(words[0]), find(PARAMETER))
    }

    fn version_of(&self, own: u32, wild: u32) -> u32 {
        self.buckets[own as usize].version.wrapping_add(self.buckets[wild as usize].version)
    }
}

/// Key of the templates with so many words and this first word; all first words with a parameter are one.
fn bucket_key(count: usize, first: &str) -> u64 {
    let first = if first.contains(PARAMETER) { PARAMETER } else { first };
    mask::fold_bytes(count as u64, first.as_bytes())
}

fn rest_hash(words: &[&str]) -> u64 {
    words.iter().skip(1).fold(words.len() as u64, |hash, word| mask::fold_bytes(hash, word.as_bytes()))
}

/// How many constant words a template shares with a line; `None` where it does not cover it.
fn covered(template: &[Box<str>], words: &[&str]) -> Option<usize> {
    let (mut constants, mut equal) = (0, 0);
    for (known, word) in template.iter().zip(words) {
        if **known == **word {
            equal += 1;
            constants += usize::from(is_constant(word));
        } else if !covers(known, word) {
            return None;
        }
    }
    (constants > 0 || equal == words.len()).then_some(constants)
}

/// Whether a word says something itself.
fn is_constant(word: &str) -> bool {
    !word.contains(PARAMETER) && word.bytes().any(|b| b.is_ascii_alphabetic() || b >= 0x80)
}

/// Whether a template's word covers another word: `prefix<*>suffix` around anything but nothing and but a word built
/// otherwise.
fn covers(known: &str, word: &str) -> bool {
    let Some((prefix, suffix)) = known.split_once(PARAMETER) else { return false };
    let ends = prefix.len() + suffix.len();
    if suffix.contains(PARAMETER) || word.len() < ends || (word.len() == ends && !may_be_empty(prefix)) {
        return false;
    }
    let is_around = word.starts_with(prefix) && word.ends_with(suffix);
    is_around && is_one_value(&word[prefix.len()..word.len() - suffix.len()])
}

/// Whether a text may stand for one parameter: nothing with inner structure, except a quantity or a list.
fn is_one_value(text: &str) -> bool {
    // A host and its port.
    let host = text.strip_suffix(":<*>").unwrap_or(text);
    is_quantity(text) || !host.bytes().any(is_structure)
}

/// Whether nothing may stand after this: brackets may be empty, what follows `=` is there or not.
fn may_be_empty(prefix: &str) -> bool {
    prefix.ends_with(['(', '['])
}

/// `<*> bytes (<*> KB)`, `<<*> sec`, `<*>, <*>`.
fn is_quantity(text: &str) -> bool {
    text.split_once(PARAMETER)
        .is_some_and(|(before, _)| before.bytes().all(|b| matches!(b, b'<' | b'>' | b'~' | b'-' | b'+')))
}

fn is_structure(byte: u8) -> bool {
    matches!(byte, b'=' | b':' | b'(' | b')' | b'[' | b']' | b'{' | b'}' | b'"' | b'\'' | b',' | b';' | b'|')
}

/// Where these words differ from a template's of the same number: at few positions, by one value each.
fn differences(words: &[&str], form: &[Box<str>]) -> Option<Vec<usize>> {
    let mut positions = Vec::new();
    for (at, (word, known)) in words.iter().zip(form).enumerate() {
        if **word == **known {
            continue;
        }
        if positions.len() == MAX_DIFFERENT {
            return None;
        }
        let (head, tail) = common_ends(known, word);
        let are_values = is_one_value(&known[head..known.len() - tail]) && is_one_value(&word[head..word.len() - tail]);
        let is_empty = known.len() == head + tail || word.len() == head + tail;
        if (is_empty && !may_be_empty(&known[..head])) || !are_values {
            return None;
        }
        // What they would become must cover both, or each further line like them would be a template of its own.
        let joined = generalise(known, word);
        if !covers(&joined, known) || !covers(&joined, word) {
            return None;
        }
        positions.push(at);
    }
    (!positions.is_empty()).then_some(positions)
}

/// Whether the positions at which these words differ from all of the others are parameters.
fn are_parameters(words: &[&str], positions: &[usize], others: &[&[Box<str>]]) -> bool {
    let constants = (0..words.len()).filter(|at| !positions.contains(at) && is_constant(words[*at])).count();
    if constants < positions.len() {
        return false;
    }
    let kinds: Vec<Kind> = positions.iter().map(|at| kind_at(words, *at, others)).collect();
    let values = others.len() + 1;
    if kinds.iter().all(|kind| *kind == Kind::Value) {
        return values >= VALUES;
    }
    if positions.len() > 1 && constants < 2 * positions.len() {
        return false;
    }
    let is_named = kinds.iter().all(|kind| matches!(kind, Kind::Value | Kind::Name));
    let needed = match (positions, kinds[0]) {
        ([0], _) => FIRST_WORDS,
        (_, _) if is_named => NAMES,
        ([_], Kind::Capitals) => CAPITALS,
        ([_], _) => WORDS,
        _ => COMBINATIONS,
    };
    let needed = if constants == 1 { needed * 2 } else { needed };
    values >= needed
}

/// What the values of a position look like.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// With a digit, a path, after `=` or `user`.
    Value,
    /// Dotted: a host, a class.
    Name,
    /// A state, mostly.
    Capitals,
    Word,
}

/// The least telling kind among the values: a value where these words and one of the others have one.
fn kind_at(words: &[&str], at: usize, others: &[&[Box<str>]]) -> Kind {
    let before = at.checked_sub(1).map_or("", |before| words[before]);
    let mut own = Kind::Value;
    let mut of_others: Vec<Kind> = Vec::new();
    for other in others {
        let (head, tail) = common_ends(&other[at], words[at]);
        own = kind(before, &words[at][..head], &words[at][head..words[at].len() - tail]);
        of_others.push(kind(before, &words[at][..head], &other[at][head..other[at].len() - tail]));
    }
    if own == Kind::Value && of_others.contains(&Kind::Value) {
        return Kind::Value;
    }
    of_others.into_iter().max().unwrap_or(own).max(own)
}

fn kind(before: &str, head: &str, text: &str) -> Kind {
    let is_named = head.ends_with('=') || before.ends_with('=') || matches!(before, "user" | "User" | "username");
    if text.is_empty()
        || is_named
        || text.contains(PARAMETER)
        || text.bytes().any(|b| b.is_ascii_digit() || matches!(b, b'/' | b'\\' | b'@'))
    {
        return Kind::Value;
    }
    let inner = text.trim_matches('.');
    if inner.contains('.') && !inner.contains("..") {
        return Kind::Name;
    }
    let has = |of: fn(&u8) -> bool| text.bytes().any(|b| of(&b));
    if has(u8::is_ascii_uppercase) && !has(u8::is_ascii_lowercase) { Kind::Capitals } else { Kind::Word }
}

/// Bytes that two words share at their begin and at their end, cut where a value can begin and end.
fn common_ends(known: &str, word: &str) -> (usize, usize) {
    let cut = |equal: &[u8]| equal.iter().rposition(|b| is_structure(*b)).map_or(0, |at| at + 1);
    let (known, word) = (known.as_bytes(), word.as_bytes());
    let equal = known.iter().zip(word).take_while(|(a, b)| a == b).count();
    let head = cut(&known[..equal]);
    let ends = known[head..].iter().rev().zip(word[head..].iter().rev());
    let tail: Vec<u8> = ends.take_while(|(a, b)| a == b).map(|(a, _)| *a).collect();
    (head, cut(&tail))
}

/// The narrowest word with one parameter that covers both, its constant ends cut at a delimiter.
fn generalise(known: &str, word: &str) -> Box<str> {
    if known == word {
        return known.into();
    }
    let (head, tail) = common_ends(known, word);
    let (head, tail) = (&known[..head], &known[known.len() - tail..]);
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
    fn sizes_lists_hosts_and_dates_are_one_parameter() {
        let texts = |lines: &[&str]| {
            let mut miner = Miner::default();
            let ids: Vec<u32> = lines.iter().map(|line| miner.assign(line).id).collect();
            ids.iter().map(|id| miner.text(*id).to_owned()).collect::<BTreeSet<_>>()
        };
        let one = |text: &str| BTreeSet::from([text.to_owned()]);
        let sizes = ["block 1 stored, free 1.2 KB", "block 2 stored, free 3 MB", "block 3 stored, free 7 GB"];
        assert_eq!(texts(&sizes), one("block <*> stored, free <*>"));
        assert_eq!(texts(&["drop nodes 1 2 3", "drop nodes 4 5 6 7"]), one("drop nodes <*>"));
        assert_eq!(texts(&["login at Mon Jun 20 03:40:59 2005", "login at Sat Jul 2 2005"]), one("login at <*>"));
        assert_eq!(texts(&["dial a.example.org:80", "dial 10.0.0.1:8080"]), one("dial <*>"));
        // A missing value is another thing than a value; states are kept apart.
        assert_eq!(texts(&["auth failed; rhost= tty=a", "auth failed; rhost=h.example tty=a"]).len(), 2);
        assert_eq!(texts(&["task moved to RUNNING", "task moved to FAILED", "task moved to NEW"]).len(), 3);
    }

    #[test]
    fn json_lines_go_by_their_message_and_traces_by_their_first_line() {
        let mut miner = Miner::default();
        let plain = miner.assign("order 1 placed").id;
        for line in [
            r#"{"ts":1,"level":"info","msg":"order 2 placed"}"#,
            r#"{"message":"order 3 placed","user":{"name":"bob"}}"#,
        ] {
            assert_eq!(miner.assign(line).id, plain);
        }
        let keys = [r#"{"b":2,"a":"x y"}"#, r#"{"a":"z","b":[3]}"#].map(|line| miner.assign(line).id);
        assert_eq!((keys[0], miner.text(keys[0])), (keys[1], "{a b}"));
        let traces = [
            "java.io.IOException: broken pipe\n\tat a.B.c(B.java:1)\n\tat d.E.f(E.java:2)",
            "java.io.IOException: broken pipe\n\tat x.Y.z(Y.java:9)",
            r#"{"msg":"java.io.IOException: broken pipe\n\tat q.R.s(R.java:4)"}"#,
        ]
        .map(|line| miner.assign(line).id);
        assert_eq!(traces, [traces[0]; 3]);
        assert_eq!(miner.text(traces[0]), "java.io.IOException: broken pipe <*>");
        assert_ne!(miner.assign("java.io.IOException: broken pipe").id, traces[0]);
    }

    #[test]
    fn templates_that_become_one_share_number_and_text() {
        let mut miner = Miner::default();
        let ids: Vec<u32> = ["ann", "bob", "cid", "dan", "eve"]
            .iter()
            .map(|name| miner.assign(&format!("disk of {name} is full")).id)
            .collect();
        assert_eq!(ids, [1, 2, 3, 1, 1]);
        assert!((1..=3).all(|id| miner.resolve(id) == 1 && miner.text(id) == "disk of <*> is full"));
        assert_eq!(miner.take_changes(), [1, 2, 3]);
        assert_eq!(miner.take_changes(), [0_u32; 0]);
    }

    #[test]
    fn binary_long_and_ever_different_lines_are_bounded() {
        let mut miner = Miner::default();
        let binary: String = (0..5000_u32).filter_map(|i| char::from_u32(i * 37 % 0x3000)).collect();
        miner.assign(&binary);
        miner.assign(&"x".repeat(1 << 20));
        miner.assign(&"<*>=\"<*> (,".repeat(10_000));
        let word = |i: u32| {
            (0..6).map(|k| char::from(b'a' + (i.wrapping_mul(2_654_435_761) >> (k * 5) & 15) as u8)).collect::<String>()
        };
        for i in 0..20_000 {
            miner.assign(&format!("said {} {} {} {}", word(i), word(i + 70_000), word(i + 140_000), word(i + 210_000)));
        }
        assert!(miner.len() < 2000, "{}", miner.len());
        let rest = miner.assign("said wholly other words here").id;
        assert_eq!(miner.text(rest), "said <*>");
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
        assert!(covers("(<*>)", "(anyone)") && covers("(<*>)", "()") && !covers("(<*>)", "anyone"));
        assert!(!covers("rhost=<*>", "rhost=") && !covers("by <*>", "by"));
    }

    #[test]
    fn a_list_that_begins_with_a_name_gives_no_template_a_line() {
        let goods = ["tea", "cof", "mug", "pot", "fil", "hon", "mil"];
        let mut miner = Miner::default();
        for i in 0..3000 {
            miner.assign(&format!("reserved {} x {}-00{}, {} left", 1 + i % 3, goods[i * 31 % 7], 1 + i % 2, 4000 - i));
        }
        assert!(miner.len() <= goods.len(), "{} templates", miner.len());
    }
}
