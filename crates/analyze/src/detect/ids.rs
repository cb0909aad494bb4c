//! Which parameter of a template is the id of a session: of a block, an order, a request.
//!
//! Idea: an id of a session is a value that comes back in lines of other templates, but not for ever. The first few
//! hundred lines of each template are held against the values seen lately; a place whose values come back (or came
//! before) in other templates more often than not holds the session's id. Values that come back all the time (a host, a
//! user) are none. Bounds: [`MAX_TEMPLATES`] templates, [`MAX_VALUES`] values. Where it fails: ids that look like words,
//! and sessions whose lines lie more than [`MAX_VALUES`] values apart.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Range,
};

use math::{
    categories::hash_of,
    templates::{ParameterKind, Pattern, kind_of},
};
use serde::{Deserialize, Serialize};

/// Templates looked at.
const MAX_TEMPLATES: usize = 128;
/// Parameters of a template looked at.
const MAX_PLACES: usize = 6;
/// Values kept to be found again.
const MAX_VALUES: usize = 512;
/// Lines of a template after which a place may be decided, and after which it is.
const LINES: (u32, u32) = (60, 400);
/// Times a value may come and still be a session's.
const MAX_USES: u32 = 30;
/// Longest line read, bytes.
const LINE_BYTES: usize = 8192;

/// What is known of an entity's ids.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Ids {
    templates: BTreeMap<u32, Candidate>,
    found: u32,
    values: BTreeMap<u64, Value>,
    /// Values in the order in which they go.
    order: VecDeque<u64>,
}

/// The places of one template.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Candidate {
    text_hash: u64,
    lines: u32,
    /// Lines whose value at this place came in another template.
    links: [u32; MAX_PLACES],
    is_decided: bool,
    place: Option<u8>,
}

/// A value seen lately.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Value {
    template: u32,
    place: u8,
    uses: u32,
    is_linked: bool,
}

impl Ids {
    /// The session of a line, if its template has a place for one: not 0. `places` is room to work in.
    pub(crate) fn of(
        &mut self,
        template: u32,
        (pattern, text_hash): &(Pattern, u64),
        line: &str,
        places: &mut Vec<Range<usize>>,
    ) -> Option<u64> {
        if pattern.is_empty() || line.len() > LINE_BYTES {
            return None;
        }
        let is_room = self.templates.len() < MAX_TEMPLATES;
        if !is_room && !self.templates.contains_key(&template) {
            return None;
        }
        let candidate = self.templates.entry(template).or_default();
        if candidate.text_hash != *text_hash {
            self.found -= u32::from(candidate.place.is_some());
            *candidate = Candidate { text_hash: *text_hash, ..Candidate::default() };
        }
        if candidate.is_decided && candidate.place.is_none() {
            return None;
        }
        let (is_decided, place) = (candidate.is_decided, candidate.place);
        let text = pattern.locate(line, places)?;
        let value = |place: u8| places.get(usize::from(place)).map(|range: &Range<usize>| &text[range.clone()]);
        if !is_decided {
            self.look(template, &text, places);
        }
        place.and_then(value).filter(|value| !value.is_empty()).map(|value| hash_of(bare(value)).max(1))
    }

    /// How many templates have a place for an id. Where this changes, sessions begin to be seen in part.
    pub(crate) fn found(&self) -> u32 {
        self.found
    }

    /// Looks for the line's values among those seen lately.
    fn look(&mut self, template: u32, text: &str, places: &[Range<usize>]) {
        for (at, range) in places.iter().take(MAX_PLACES).enumerate() {
            let value = bare(&text[range.clone()]);
            if !may_be_id(value) {
                continue;
            }
            let hash = hash_of(value);
            let Some(known) = self.values.get_mut(&hash) else {
                self.keep(hash, Value { template, place: at as u8, uses: 1, is_linked: false });
                continue;
            };
            known.uses = known.uses.saturating_add(1);
            if known.template == template || known.uses > MAX_USES {
                continue;
            }
            let first = (!std::mem::replace(&mut known.is_linked, true)).then_some((known.template, known.place));
            if let Some((template, place)) = first
                && let Some(candidate) = self.templates.get_mut(&template)
            {
                candidate.links[usize::from(place)] += 1;
            }
            if let Some(candidate) = self.templates.get_mut(&template) {
                candidate.links[at] += 1;
            }
        }
        if let Some(candidate) = self.templates.get_mut(&template) {
            let before = candidate.place.is_some();
            candidate.decide();
            self.found = self.found - u32::from(before) + u32::from(candidate.place.is_some());
        }
    }

    fn keep(&mut self, hash: u64, value: Value) {
        while self.values.len() >= MAX_VALUES {
            let Some(oldest) = self.order.pop_front() else { break };
            // What comes all the time stays, so that it is not taken for new again.
            if let Some(known) = self.values.get_mut(&oldest).filter(|known| known.uses > MAX_USES) {
                known.uses /= 2;
                self.order.push_back(oldest);
            } else {
                self.values.remove(&oldest);
            }
        }
        self.values.insert(hash, value);
        self.order.push_back(hash);
    }
}

impl Candidate {
    fn decide(&mut self) {
        self.lines += 1;
        if self.lines < LINES.0 {
            return;
        }
        let best = (0..MAX_PLACES).max_by_key(|at| (self.links[*at], std::cmp::Reverse(*at))).unwrap_or(0);
        let is_found = self.links[best] * 2 > self.lines;
        self.place = is_found.then_some(best as u8);
        self.is_decided = self.lines >= LINES.1;
    }
}

/// Without the punctuation of the sentence around it.
fn bare(value: &str) -> &str {
    value.trim_matches(|c: char| matches!(c, '"' | '\'' | '(' | ')' | '[' | ']' | ',' | '.' | ':' | ';'))
}

fn may_be_id(value: &str) -> bool {
    let has_digit = value.bytes().any(|b| b.is_ascii_digit());
    has_digit
        && (5..=128).contains(&value.len())
        && matches!(kind_of(value), ParameterKind::Id | ParameterKind::Number | ParameterKind::Text)
}
