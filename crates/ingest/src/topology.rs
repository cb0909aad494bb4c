//! The part of the map that cannot be seen: a TOML file with entities, and edges between them.
//!
//! ```toml
//! [[entity]]
//! id = "service:shop/payments"   # kind:namespace/name, or a service's name
//! owner = "team pay"
//! tier = 1                       # 1 (most important) to 5
//!
//! [[edge]]
//! from = "service:shop/payments"
//! to = "host:mainframe"
//! kind = "runs_on"               # or "calls", which is meant where nothing is said
//! ```
//!
//! A file is taken whole or not at all; each error names its line and its field, and all are told at once.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde::{Deserialize, Serialize};
use toml_edit::{ImDocument, Item, TableLike, Value};
use types::{Batch, EdgeKind, EntityId, Events};

use crate::limits::show;
use crate::{Decoded, Ingest, Request, Written};

/// Most bytes, edges and entities of a file.
pub const MAX_BYTES: usize = 32 << 20;
const MAX_EDGES: usize = 200_000;
const MAX_ENTITIES: usize = 200_000;
/// Errors that are told; those beyond are counted.
const MAX_PROBLEMS: usize = 100;
/// Most characters of a name.
const MAX_NAME: usize = 300;

/// What a file says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declared {
    /// Entities that something is said of, in the order of the file.
    pub entities: Vec<DeclaredEntity>,
    /// Edges, in the order of the file.
    pub edges: Vec<DeclaredEdge>,
}

/// What is said of an entity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeclaredEntity {
    /// Which.
    pub id: EntityId,
    /// Whose it is, e.g. a team.
    pub owner: Option<String>,
    /// 1 (most important) to 5.
    pub tier: Option<u8>,
}

/// An edge that is said to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeclaredEdge {
    /// Who needs.
    pub from: EntityId,
    /// What is needed.
    pub to: EntityId,
    /// How.
    pub kind: EdgeKind,
}

/// Something wrong in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Line, from 1.
    pub line: usize,
    /// Where in the file, e.g. `edge[3].to`; empty for the file itself.
    pub field: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.field.is_empty() {
            true => write!(f, "line {}: {}", self.line, self.message),
            false => write!(f, "line {}, {}: {}", self.line, self.field, self.message),
        }
    }
}

/// A file as an event of kind `topology.declared`, which replaces what an earlier file said. Entities of the file are
/// known from then on.
pub(crate) fn decode(ingest: &Ingest, request: &Request, text: &str) -> Result<Decoded, Vec<Problem>> {
    let declared = read(text)?;
    let attributes = serde_json::to_string(&declared).unwrap_or_default();
    let mut events = Events::default();
    let mut registry = ingest.directory.write();
    let of_edges = declared.edges.iter().flat_map(|edge| [&edge.from, &edge.to]);
    for id in declared.entities.iter().map(|entity| &entity.id).chain(of_edges) {
        registry.entity(id);
    }
    let file = registry.entity(&EntityId::new("file", "", "topology"));
    drop(registry);
    events.push(request.now.0, file, "topology.declared", &attributes);
    let written = Written { events: 1, ..Written::default() };
    Ok(Decoded { batch: Batch { events, ..request.batch() }, written, ..Decoded::default() })
}

/// Reads a file. Calls may go in circles, what runs on what may not; nothing needs itself, and nothing is said twice.
pub fn read(text: &str) -> Result<Declared, Vec<Problem>> {
    let whole = |line, message| vec![Problem { line, field: String::new(), message }];
    if text.len() > MAX_BYTES {
        return Err(whole(1, format!("{} bytes, more than {MAX_BYTES}", text.len())));
    }
    let lines = Lines::new(text);
    let document = ImDocument::parse(text).map_err(|error| {
        let line = error.span().map_or(1, |span| lines.at(span.start));
        whole(line, format!("this is no TOML: {}", show(error.message().trim())))
    })?;
    let mut reader = Reader { lines, problems: Vec::new(), more: 0 };
    let mut declared = Declared::default();
    let mut places = Vec::new();
    for (name, item) in document.as_table().iter() {
        match name {
            "entity" => reader.entities(item, &mut declared),
            "edge" => reader.edges(item, &mut declared, &mut places),
            other => reader.note(span_of(item), other, "unknown; a file has [[entity]] and [[edge]]".into()),
        }
    }
    if reader.problems.is_empty() {
        reader.find_circle(&declared.edges, &places);
    }
    match reader.problems.is_empty() {
        true => Ok(declared),
        false => Err(reader.told()),
    }
}

struct Reader {
    lines: Lines,
    problems: Vec<Problem>,
    more: usize,
}

impl Reader {
    fn entities(&mut self, item: &Item, declared: &mut Declared) {
        let mut lines: BTreeMap<EntityId, usize> = BTreeMap::new();
        for (i, (table, span)) in self.tables(item, "entity", MAX_ENTITIES).into_iter().enumerate() {
            let mut fields = Fields { table, place: format!("entity[{i}]"), span };
            self.know(&fields, &["id", "owner", "tier"]);
            let id = self.entity(&mut fields, "id");
            let owner = self.name(&mut fields, "owner");
            let tier = self.tier(&mut fields);
            let Some(id) = id else { continue };
            let line = self.lines.at(fields.span_of("id").start);
            if let Some(first) = lines.insert(id.clone(), line) {
                self.note(fields.span_of("id"), &fields.path("id"), format!("{id} stands in line {first} already"));
                continue;
            }
            declared.entities.push(DeclaredEntity { id, owner, tier });
        }
    }

    fn edges(&mut self, item: &Item, declared: &mut Declared, places: &mut Vec<usize>) {
        let mut known: BTreeMap<(EntityId, EntityId, EdgeKind), usize> = BTreeMap::new();
        for (i, (table, span)) in self.tables(item, "edge", MAX_EDGES).into_iter().enumerate() {
            let mut fields = Fields { table, place: format!("edge[{i}]"), span };
            self.know(&fields, &["from", "to", "kind"]);
            let from = self.entity(&mut fields, "from");
            let to = self.entity(&mut fields, "to");
            let kind = self.kind(&mut fields);
            let (Some(from), Some(to), Some(kind)) = (from, to, kind) else { continue };
            let line = self.lines.at(fields.span_of("from").start);
            if from == to {
                self.note(fields.span_of("to"), &fields.path("to"), format!("{to} cannot need itself"));
                continue;
            }
            if let Some(first) = known.insert((from.clone(), to.clone(), kind), line) {
                let message = format!("{from} {} {to} stands in line {first} already", kind.as_str());
                self.note(fields.span_of("from"), &fields.path("from"), message);
                continue;
            }
            declared.edges.push(DeclaredEdge { from, to, kind });
            places.push(i);
            // The line is asked for again where there is a circle.
            self.lines.of_edges.push(line);
        }
    }

    /// The tables of `[[name]]`, or of `name = [{…}, …]`.
    fn tables<'d>(&mut self, item: &'d Item, name: &str, most: usize) -> Vec<(&'d dyn TableLike, Range<usize>)> {
        let mut tables: Vec<(&dyn TableLike, Range<usize>)> = Vec::new();
        if let Some(array) = item.as_array_of_tables() {
            tables.extend(array.iter().map(|table| (table as &dyn TableLike, table.span().unwrap_or_default())));
        } else if let Some(array) = item.as_array() {
            for (i, value) in array.iter().enumerate() {
                match value.as_inline_table() {
                    Some(table) => tables.push((table, value.span().unwrap_or_default())),
                    None => {
                        let message = format!("a table is expected, not {}", value.type_name());
                        self.note(value.span().unwrap_or_default(), &format!("{name}[{i}]"), message);
                    }
                }
            }
        } else {
            self.note(span_of(item), name, format!("a list is expected: write [[{name}]]"));
        }
        if tables.len() > most {
            self.note(span_of(item), name, format!("{} of them, more than {most}", tables.len()));
            tables.clear();
        }
        tables
    }

    fn know(&mut self, fields: &Fields, known: &[&str]) {
        for (name, item) in fields.table.iter().filter(|(name, _)| !known.contains(name)) {
            let span = fields.table.key(name).and_then(toml_edit::Key::span).unwrap_or_else(|| span_of(item));
            self.note(span, &fields.path(name), format!("unknown; known are {}", known.join(", ")));
        }
    }

    fn entity(&mut self, fields: &mut Fields, name: &str) -> Option<EntityId> {
        if fields.table.get(name).is_none() {
            self.note(fields.span.clone(), &fields.path(name), "is missing".into());
            return None;
        }
        let text = self.name(fields, name)?;
        let parsed = EntityId::parse(&text).filter(|_| !text.chars().any(char::is_control));
        if parsed.is_none() {
            let message = format!("{:?} is not kind:namespace/name, e.g. service:shop/payments", show(&text));
            self.note(fields.span_of(name), &fields.path(name), message);
        }
        parsed
    }

    fn name(&mut self, fields: &mut Fields, name: &str) -> Option<String> {
        let value = fields.table.get(name)?;
        let message = match value.as_str() {
            Some(text) if text.trim().is_empty() => "is empty".to_owned(),
            Some(text) if text.chars().count() > MAX_NAME => format!("is longer than {MAX_NAME} characters"),
            Some(text) => return Some(text.trim().to_owned()),
            None => format!("a text is expected, not {}", value.type_name()),
        };
        self.note(fields.span_of(name), &fields.path(name), message);
        None
    }

    fn tier(&mut self, fields: &mut Fields) -> Option<u8> {
        let value = fields.table.get("tier")?;
        let tier = value.as_integer().and_then(|n| u8::try_from(n).ok()).filter(|n| (1..=5).contains(n));
        if tier.is_none() {
            self.note(fields.span_of("tier"), &fields.path("tier"), "a number from 1 to 5 is expected".into());
        }
        tier
    }

    fn kind(&mut self, fields: &mut Fields) -> Option<EdgeKind> {
        if fields.table.get("kind").is_none() {
            return Some(EdgeKind::Calls);
        }
        let text = self.name(fields, "kind")?;
        match text.as_str() {
            "calls" => Some(EdgeKind::Calls),
            "runs_on" => Some(EdgeKind::RunsOn),
            other => {
                let message = format!("{:?} is neither calls nor runs_on", show(other));
                self.note(fields.span_of("kind"), &fields.path("kind"), message);
                None
            }
        }
    }

    /// Looks for a circle in what runs on what, by taking away what runs on nothing (Kahn, 1962).
    fn find_circle(&mut self, edges: &[DeclaredEdge], places: &[usize]) {
        let runs: Vec<usize> = (0..edges.len()).filter(|i| edges[*i].kind == EdgeKind::RunsOn).collect();
        let mut open: BTreeMap<&EntityId, usize> = BTreeMap::new();
        let mut users: BTreeMap<&EntityId, Vec<&EntityId>> = BTreeMap::new();
        for edge in runs.iter().map(|i| &edges[*i]) {
            *open.entry(&edge.from).or_default() += 1;
            open.entry(&edge.to).or_default();
            users.entry(&edge.to).or_default().push(&edge.from);
        }
        let mut free: Vec<&EntityId> = open.iter().filter(|(_, count)| **count == 0).map(|(id, _)| *id).collect();
        while let Some(id) = free.pop() {
            for user in users.get(id).into_iter().flatten() {
                if let Some(count) = open.get_mut(user) {
                    *count -= 1;
                    if *count == 0 {
                        free.push(user);
                    }
                }
            }
        }
        let is_left = |id: &EntityId| open.get(id).is_some_and(|count| *count > 0);
        let next: BTreeMap<&EntityId, usize> = runs
            .iter()
            .filter(|i| is_left(&edges[**i].to) && is_left(&edges[**i].from))
            .map(|i| (&edges[*i].from, *i))
            .collect();
        let Some(mut at) = next.keys().next().copied() else { return };
        // Each of what is left runs on something that is left, so following it ends in a circle.
        let mut seen = BTreeSet::new();
        while seen.insert(at) {
            let Some(edge) = next.get(at) else { return };
            at = &edges[*edge].to;
        }
        let (first, mut circle) = (at, vec![at.as_str()]);
        let mut place = None;
        while let Some(edge) = next.get(at) {
            place = place.max(Some(*edge));
            at = &edges[*edge].to;
            circle.push(at.as_str());
            if at == first {
                break;
            }
        }
        let Some(place) = place else { return };
        let more = circle.len().saturating_sub(8);
        let mut shown = circle[..circle.len() - more].join(" on ");
        if more > 0 {
            shown.push_str(&format!(" and {more} more"));
        }
        let field = format!("edge[{}].to", places.get(place).copied().unwrap_or(place));
        let line = self.lines.of_edges.get(place).copied().unwrap_or(1);
        self.problems.push(Problem { line, field, message: format!("runs in a circle: {shown}") });
    }

    fn note(&mut self, span: Range<usize>, field: &str, message: String) {
        if self.problems.len() >= MAX_PROBLEMS {
            self.more += 1;
            return;
        }
        self.problems.push(Problem { line: self.lines.at(span.start), field: show(field), message });
    }

    fn told(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|problem| problem.line);
        if self.more > 0 {
            let line = self.problems.last().map_or(1, |problem| problem.line);
            let message = format!("{} more errors, not told", self.more);
            self.problems.push(Problem { line, field: String::new(), message });
        }
        self.problems
    }
}

struct Fields<'d> {
    table: &'d dyn TableLike,
    place: String,
    span: Range<usize>,
}

impl Fields<'_> {
    fn path(&self, name: &str) -> String {
        format!("{}.{name}", self.place)
    }

    fn span_of(&self, name: &str) -> Range<usize> {
        self.table.get(name).map_or_else(|| self.span.clone(), span_of)
    }
}

fn span_of(item: &Item) -> Range<usize> {
    item.span().or_else(|| item.as_value().and_then(Value::span)).unwrap_or_default()
}

/// Where lines begin.
struct Lines {
    starts: Vec<usize>,
    of_edges: Vec<usize>,
}

impl Lines {
    fn new(text: &str) -> Lines {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Lines { starts: std::iter::once(0).chain(breaks).collect(), of_edges: Vec::new() }
    }

    fn at(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset).max(1)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    fn problems(text: &str) -> Vec<String> {
        read(text).unwrap_err().iter().map(Problem::to_string).collect()
    }

    #[test]
    fn entities_and_edges_are_read() {
        let text = r#"
[[entity]]
id = "service:shop/payments"
owner = "team pay"
tier = 1

[[edge]]
from = "payments"
to = "database:shop/ledger"
[[edge]]
from = "database:shop/ledger"
to = "host:mainframe"
kind = "runs_on"
"#;
        let declared = read(text).unwrap();
        let id = |text| EntityId::parse(text).unwrap();
        let payments =
            DeclaredEntity { id: id("service:shop/payments"), owner: Some("team pay".into()), tier: Some(1) };
        assert_eq!(declared.entities, [payments]);
        let edge = |from, to, kind| DeclaredEdge { from: id(from), to: id(to), kind };
        let expected = [
            edge("payments", "database:shop/ledger", EdgeKind::Calls),
            edge("database:shop/ledger", "host:mainframe", EdgeKind::RunsOn),
        ];
        assert_eq!(declared.edges, expected);
        let short = r#"edge = [{from = "payments", to = "database:shop/ledger"},
            {from = "database:shop/ledger", to = "host:mainframe", kind = "runs_on"}]"#;
        assert_eq!(read(short).unwrap().edges, expected);
        assert_eq!(read(""), Ok(Declared::default()));
    }

    #[test]
    fn every_error_names_its_line_and_field() {
        let text = r#"[[entity]]
id = "service:shop/a"
tier = 9
team = "x"

[[entity]]
id = "service:shop/a"

[[edge]]
from = "a"

[[edge]]
from = "a"
to = "service:shop/"

[[edge]]
from = "a"
to = 7
kind = "uses"

[[edge]]
from = "b"
to = "service:default/b"

[[edge]]
from = "b"
to = "a"

[[edge]]
from = "b"
to = "a"

[other]
x = 1
"#;
        assert_eq!(
            problems(text),
            [
                "line 3, entity[0].tier: a number from 1 to 5 is expected",
                "line 4, entity[0].team: unknown; known are id, owner, tier",
                "line 7, entity[1].id: service:shop/a stands in line 2 already",
                "line 9, edge[0].to: is missing",
                "line 14, edge[1].to: \"service:shop/\" is not kind:namespace/name, e.g. service:shop/payments",
                "line 18, edge[2].to: a text is expected, not integer",
                "line 19, edge[2].kind: \"uses\" is neither calls nor runs_on",
                "line 23, edge[3].to: service:default/b cannot need itself",
                "line 30, edge[5].from: service:default/b calls service:default/a stands in line 26 already",
                "line 33, other: unknown; a file has [[entity]] and [[edge]]",
            ]
        );
        assert!(problems("edge = 1\n")[0].starts_with("line 1, edge: a list is expected"));
        assert!(problems("\n\n[[edge]]\nfrom = \"a\nto = \"b\"")[0].starts_with("line 4: this is no TOML"));
        assert!(problems("edge = [1]")[0].contains("edge[0]: a table is expected"));
        let many = "[[edge]]\n".repeat(500);
        assert_eq!(problems(&many).len(), MAX_PROBLEMS + 1);
    }

    #[test]
    fn calls_may_go_in_circles_and_machines_may_not() {
        let edges = |kind: &str| {
            let pairs = [("x", "a"), ("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")];
            let edge =
                |(from, to): &(&str, &str)| format!("[[edge]]\nfrom = \"{from}\"\nto = \"{to}\"\nkind = \"{kind}\"\n");
            pairs.iter().map(edge).collect::<String>()
        };
        assert_eq!(read(&edges("calls")).unwrap().edges.len(), 5);
        let told = problems(&edges("runs_on"));
        assert_eq!(told.len(), 1);
        assert!(told[0].starts_with("line 14, edge[3].to: runs in a circle: service:default/"), "{told:?}");
        assert_eq!(told[0].matches(" on ").count(), 3, "{told:?}");
        // Two things that run on each other, and calls between.
        let text = "edge = [{from='a',to='b',kind='runs_on'},{from='b',to='a'},{from='b',to='a',kind='runs_on'}]";
        assert!(problems(text)[0].contains("edge[2].to: runs in a circle"));
    }

    #[test]
    fn fifty_thousand_edges_are_read_in_a_moment() {
        let mut text = String::new();
        for i in 0..50_000 {
            let _ =
                writeln!(text, "[[edge]]\nfrom = \"pod:shop/p{i}\"\nto = \"pod:shop/p{}\"\nkind = \"runs_on\"", i + 1);
        }
        let start = std::time::Instant::now();
        assert_eq!(read(&text).unwrap().edges.len(), 50_000);
        text.push_str("[[edge]]\nfrom = \"pod:shop/p50000\"\nto = \"pod:shop/p0\"\nkind = \"runs_on\"\n");
        let told = problems(&text);
        assert!(
            told[0].starts_with("line 200002, edge[50000].to: runs in a circle") && told[0].contains("more"),
            "{told:?}"
        );
        // Some tenths of a second; the bound only catches what grows with the square.
        assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
    }

    #[test]
    fn a_file_becomes_one_event_and_its_entities_are_known() {
        let host = crate::outside::fixtures::Host::new();
        let text =
            "[[entity]]\nid = \"service:shop/a\"\ntier = 2\n[[edge]]\nfrom = \"service:shop/a\"\nto = \"host:h\"\n";
        let decoded = host.ingest.topology(&host.request, text).unwrap();
        let (kind, _, attributes) = host.row(&decoded, 0);
        assert_eq!(kind, "topology.declared");
        let edge = serde_json::json!({"from": "service:shop/a", "to": "host:default/h", "kind": "calls"});
        assert_eq!((&attributes["edges"][0], &attributes["entities"][0]["tier"]), (&edge, &serde_json::json!(2)));
        let registry = host.ingest.directory.read();
        assert!(
            ["service:shop/a", "host:h"].iter().all(|id| registry.find_entity(&EntityId::parse(id).unwrap()).is_some())
        );
        drop(registry);
        assert_eq!(host.ingest.topology(&host.request, "x = 1").unwrap_err()[0].field, "x");
    }

    #[test]
    fn junk_does_no_harm() {
        for text in ["\u{0}", "[[edge", "= 1", "a = [[[[", "[[edge]]\nfrom = \"\"\nto = \"\\u0000\"", "edge = \"x\""] {
            assert!(read(text).is_err(), "{text:?}");
        }
        let deep = format!("a = {}", "[".repeat(100_000));
        assert!(read(&deep).is_err(), "nesting is bounded");
    }
}
