//! YAML as a tree in which each node knows its line. Anchors are followed as long as the whole stays small.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use super::Problem;

/// Most nodes of a file, those that aliases repeat among them.
const MOST_NODES: usize = 100_000;
/// Deepest nesting.
const MOST_DEPTH: usize = 40;

/// One value with the line on which it begins, from 1.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub line: usize,
    pub value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// A plain scalar that says nothing: empty, `~` or `null`.
    Null,
    /// Whether it was written without quotes.
    Text {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    /// In the order of the file.
    Map(Vec<Entry>),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub line: usize,
    pub key: String,
    pub value: Node,
}

impl Value {
    /// What it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null => "nothing",
            Value::Text { .. } => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}

/// The documents of a file; empty ones are left out.
pub(super) fn documents(text: &str) -> Result<Vec<Node>, Problem> {
    let mut builder = Builder::default();
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|e| problem(e.marker().line(), format!("this is no YAML: {}", e.info())))?;
        builder.take(event, span)?;
    }
    Ok(builder.documents)
}

/// A list or mapping that is not closed yet.
struct Open {
    line: usize,
    anchor: usize,
    items: Items,
}

enum Items {
    List(Vec<Node>),
    /// The entries, and the key that waits for its value.
    Map(Vec<Entry>, Option<(usize, String)>),
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    documents: Vec<Node>,
    anchors: BTreeMap<usize, (Node, usize)>,
    nodes: usize,
}

impl Builder {
    fn take(&mut self, event: Event, span: Span) -> Result<(), Problem> {
        let line = span.start.line();
        match event {
            Event::DocumentStart(_) => {
                self.anchors.clear();
                Ok(())
            }
            Event::Scalar(text, style, anchor, _) => self.scalar(&text, style == ScalarStyle::Plain, anchor, line),
            Event::SequenceStart(anchor, _) => self.begin(Open { line, anchor, items: Items::List(Vec::new()) }),
            Event::MappingStart(anchor, _) => self.begin(Open { line, anchor, items: Items::Map(Vec::new(), None) }),
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                Some((node, size)) => self.add(Node { line, ..node }, size, 0),
                None => Err(problem(line, "an alias stands before or within its anchor".to_owned())),
            },
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    fn scalar(&mut self, text: &str, plain: bool, anchor: usize, line: usize) -> Result<(), Problem> {
        let value = match (plain, text) {
            (true, "" | "~" | "null" | "Null" | "NULL") => Value::Null,
            _ => Value::Text { text: text.to_owned(), plain },
        };
        self.add(Node { line, value }, 1, anchor)
    }

    fn begin(&mut self, open: Open) -> Result<(), Problem> {
        if let Some(Open { items: Items::Map(_, None), .. }) = self.open.last() {
            return Err(problem(open.line, "a list or mapping stands where a name is expected".to_owned()));
        }
        if self.open.len() >= MOST_DEPTH {
            return Err(problem(open.line, format!("nested deeper than {MOST_DEPTH} levels")));
        }
        self.open.push(open);
        Ok(())
    }

    fn end(&mut self) -> Result<(), Problem> {
        let Some(Open { line, anchor, items }) = self.open.pop() else { return Ok(()) };
        let value = match items {
            Items::List(items) => Value::List(items),
            Items::Map(entries, _) => Value::Map(entries),
        };
        // Its parts were counted when they came.
        let node = Node { line, value };
        let size = if anchor > 0 { size(&node) } else { 0 };
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), size));
        }
        self.place(node)
    }

    /// Adds a node of so many nodes in all.
    fn add(&mut self, node: Node, nodes: usize, anchor: usize) -> Result<(), Problem> {
        self.nodes += nodes;
        if self.nodes > MOST_NODES {
            let message = format!("more than {MOST_NODES} values, those that aliases repeat among them");
            return Err(problem(node.line, message));
        }
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), nodes));
        }
        self.place(node)
    }

    fn place(&mut self, node: Node) -> Result<(), Problem> {
        match self.open.last_mut().map(|open| &mut open.items) {
            None => {
                if node.value != Value::Null {
                    self.documents.push(node);
                }
            }
            Some(Items::List(items)) => items.push(node),
            Some(Items::Map(entries, waiting)) => match waiting.take() {
                Some((line, key)) => entries.push(Entry { line, key, value: node }),
                None => *waiting = Some(key_of(node, entries)?),
            },
        }
        Ok(())
    }
}

fn key_of(node: Node, before: &[Entry]) -> Result<(usize, String), Problem> {
    let key = match node.value {
        Value::Text { text, .. } => text,
        other => return Err(problem(node.line, format!("{} stands where a name is expected", other.kind()))),
    };
    if key == "<<" {
        return Err(problem(node.line, "merging with << is not read: write the fields out".to_owned()));
    }
    if let Some(first) = before.iter().find(|entry| entry.key == key) {
        return Err(problem(node.line, format!("{key:.100} was given before, in line {}", first.line)));
    }
    Ok((node.line, key))
}

fn size(node: &Node) -> usize {
    1 + match &node.value {
        Value::Null | Value::Text { .. } => 0,
        Value::List(items) => items.iter().map(size).sum(),
        Value::Map(entries) => entries.iter().map(|entry| size(&entry.value)).sum(),
    }
}

fn problem(line: usize, message: String) -> Problem {
    Problem { line, field: String::new(), message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_documents_and_aliases() {
        let read = documents("# c\na: &x\n  b: 1\n---\n---\nc: [1,\n  two]\n").unwrap();
        assert_eq!(read.len(), 2);
        let Value::Map(entries) = &read[1].value else { panic!() };
        let Value::List(items) = &entries[0].value.value else { panic!() };
        assert_eq!((entries[0].line, items[0].line, items[1].line), (6, 6, 7));
        let read = documents("a: &x {b: 1}\nc: *x\n").unwrap();
        let Value::Map(entries) = &read[0].value else { panic!() };
        assert_eq!(entries[0].value.value, entries[1].value.value);
    }

    #[test]
    fn bombs_are_refused() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for i in 1..12 {
            let refs = vec![format!("*a{}", i - 1); 10].join(", ");
            bomb.push_str(&format!("a{i}: &a{i} [{refs}]\n"));
        }
        let refused = documents(&bomb).unwrap_err();
        assert!(refused.message.contains("100000"), "{refused:?}");
        assert!(documents(&"[".repeat(5000)).is_err());
        assert!(documents("a: &a [*a]").is_err());
        assert!(documents(&"- ".repeat(2000)).is_err());
    }
}
