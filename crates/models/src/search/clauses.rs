//! Clauses of a search: words grouped into comparisons, the way MLflow's SQL parser groups them.
//!
//! The parser knows SQL, not filters, and works in passes over the whole text: names with dots, then sums, then
//! comparisons, then aliases, then enumerations. What is left beside the comparisons is what MLflow complains about,
//! in the shape that these passes gave it; so they are done here one after the other too. Each is linear; what is
//! inside of parentheses is only ever looked at as text.

use super::tokens::{Part, Token, split};

/// A text with more words than this, or parentheses nested deeper than `MAX_DEPTH`, is not read.
const MAX_TOKENS: usize = 10_000;
const MAX_DEPTH: usize = 100;

/// Why a text has no clauses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Too many words, or nested too deep; with the parser's own words for it.
    TooMuch(&'static str),
    /// Nothing but space.
    Nothing,
    /// Several statements, with `;` between them.
    Several,
}

/// One side of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Side<'a> {
    pub part: Part,
    pub text: &'a str,
}

/// What a filter is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clause<'a> {
    /// `left operator right`; `right` is absent for `IS NULL` and `IS NOT NULL`.
    Comparison {
        left: Side<'a>,
        operator: &'a str,
        right: Option<Side<'a>>,
        /// How many parts it has: more than three if there are comments in it.
        pieces: usize,
    },
    /// The word between two comparisons.
    And,
    /// What does not belong into a filter.
    Other(&'a str),
}

/// The clauses of a filter. `timestamps`: MLflow's traces may be compared by `timestamp`, which is no name in SQL.
pub(super) fn clauses(text: &str, timestamps: bool) -> Result<Vec<Clause<'_>>, Fault> {
    let nodes = group(text, statement(text)?)?;
    let solid: Vec<Node> = nodes.into_iter().filter(|node| node.part() != Part::Space).collect();
    Ok(Joiner { text, nodes: &solid, at: 0, timestamps, clauses: Vec::new() }.join())
}

/// The parts of a text after grouping, white space included.
pub(super) fn parts(text: &str) -> Result<Vec<Side<'_>>, Fault> {
    let nodes = group(text, statement(text)?)?;
    Ok(nodes.iter().map(|node| side(text, node.token)).collect())
}

/// A group of words; `sides` are set for comparisons, `pieces` is how many parts they have, comments included.
#[derive(Clone, Copy, Debug)]
struct Node {
    token: Token,
    sides: Option<[Token; 3]>,
    pieces: usize,
}

impl Node {
    fn part(&self) -> Part {
        self.token.part
    }
}

/// The words of the only statement in `text`.
fn statement(text: &str) -> Result<Vec<Node>, Fault> {
    let (mut level, mut ended) = (0i64, false);
    let mut words = Vec::new();
    for token in split(text) {
        let word = &text[token.start..token.end];
        let empty = token.part == Part::Space || (token.part == Part::Comment && !word.starts_with("/*"));
        if ended && !empty {
            return Err(Fault::Several);
        }
        if words.len() == MAX_TOKENS {
            return Err(Fault::TooMuch("Maximum number of tokens exceeded (10000)."));
        }
        match word {
            "(" => level += 1,
            ")" => level -= 1,
            ";" => ended = level <= 0,
            _ => {}
        }
        words.push(Node { token, sides: None, pieces: 3 });
    }
    match words.iter().all(|word| word.part() == Part::Space) {
        true => Err(Fault::Nothing),
        false => Ok(words),
    }
}

/// All passes, in the parser's order.
fn group(text: &str, words: Vec<Node>) -> Result<Vec<Node>, Fault> {
    let words = brackets(text, words, ("[", "]"), Part::Brackets)?;
    let words = brackets(text, words, ("(", ")"), Part::Parenthesis)?;
    let passes = Passes { text };
    Ok(passes.leftovers(passes.comparisons(passes.names(words))))
}

struct Passes<'a> {
    text: &'a str,
}

impl Passes<'_> {
    /// Calls, `WHERE`, names with dots and indexes, `DESC`, casts and typed strings.
    fn names(&self, nodes: Vec<Node>) -> Vec<Node> {
        use Part::*;
        let nodes = pairs(nodes, &[Name, Builtin, Placeholder], Parenthesis, Call);
        let nodes = spans(nodes, |node| self.keyword(node, "WHERE"), |node| self.closes_where(node));
        let nodes = fuse(
            nodes,
            Identifier,
            |node| self.mark(node, ".") || (node.part() == Operator && ["->", "->>"].contains(&self.word(node))),
            |left| matches!(left.part(), Name | Symbol | Brackets | Identifier),
            |next| Some(next.is_some_and(|next| matches!(next.part(), Name | Symbol | Star | Text | Brackets | Call))),
        );
        let nodes = fuse(
            nodes,
            Identifier,
            |node| node.part() == Brackets,
            |left| matches!(left.part(), Name | Symbol | Brackets | Identifier | Call),
            |_| Some(false),
        );
        let nodes = renamed(nodes, &[Name, Symbol], Identifier);
        let nodes = pairs(nodes, &[Identifier, Integer, Float, Hexadecimal], Direction, Identifier);
        let nodes = fuse(nodes, Identifier, |node| self.mark(node, "::"), |_| true, |next| next.map(|_| true));
        pairs(nodes, &[Builtin], Text, Literal)
    }

    /// Sums first, comparisons of them next.
    fn comparisons(&self, nodes: Vec<Node>) -> Vec<Node> {
        use Part::*;
        let current = ["CURRENT_DATE", "CURRENT_TIME", "CURRENT_TIMESTAMP"];
        let operand = |node: &Node| {
            is_operand(node.part()) || node.part() == Brackets || current.iter().any(|word| self.keyword(node, word))
        };
        let nodes = fuse(
            nodes,
            Operation,
            |node| matches!(node.part(), Operator | Star),
            operand,
            |next| next.is_some_and(operand).then_some(true),
        );
        let comparable = |node: &Node| is_operand(node.part()) || self.keyword(node, "NULL");
        fuse(
            nodes,
            Comparison,
            |node| node.part() == Compare,
            comparable,
            |next| next.is_some_and(comparable).then_some(true),
        )
    }

    /// What else SQL knows, and filters do not: aliases, comments, enumerations, `VALUES`.
    fn leftovers(&self, nodes: Vec<Node>) -> Vec<Node> {
        use Part::*;
        let unkept = |node: &Node| !matches!(node.part(), Keyword | Direction) || self.keyword(node, "NULL");
        let nodes = fuse(nodes, Identifier, |node| self.keyword(node, "AS"), unkept, |next| next.map(|_| true));
        let aliased = [Parenthesis, Call, Identifier, Operation, Comparison, Integer, Float, Hexadecimal];
        let nodes = pairs(nodes, &aliased, Identifier, Identifier);
        let nodes = with_comments(self.text, nodes);
        let listed = |node: &Node| {
            matches!(node.part(), Comparison | Enumeration | Keyword)
                || (is_operand(node.part()) && node.part() != Parenthesis)
        };
        let nodes = fuse(
            nodes,
            Enumeration,
            |node| self.mark(node, ","),
            listed,
            |next| next.is_some_and(listed).then_some(true),
        );
        lists(nodes, |node| self.keyword(node, "VALUES"))
    }

    fn word(&self, node: &Node) -> &str {
        &self.text[node.token.start..node.token.end]
    }

    fn mark(&self, node: &Node, mark: &str) -> bool {
        node.part() == Part::Mark && self.word(node) == mark
    }

    fn keyword(&self, node: &Node, word: &str) -> bool {
        node.part() == Part::Keyword && self.word(node).eq_ignore_ascii_case(word)
    }

    fn closes_where(&self, node: &Node) -> bool {
        let closing = ["LIMIT", "UNION", "EXCEPT", "HAVING", "RETURNING", "INTO"];
        // `ORDER BY` and `GROUP BY` are one word each, whatever lies between.
        let head = self.word(node).get(..5).unwrap_or_default();
        let sorts = ["ORDER", "GROUP"].iter().any(|word| head.eq_ignore_ascii_case(word)) && self.word(node).len() > 5;
        node.part() == Part::Keyword && (sorts || closing.iter().any(|word| self.keyword(node, word)))
    }
}

/// Adds comments to the group before them; not the last one, behind which nothing comes.
fn with_comments(text: &str, nodes: Vec<Node>) -> Vec<Node> {
    let skipped = |node: &Node| {
        let word = &text[node.token.start..node.token.end];
        node.part() == Part::Comment || (node.part() == Part::Space && word.starts_with(['\n', '\r']))
    };
    let ends = nodes.iter().rposition(|node| !skipped(node)).map_or(0, |last| last + 1);
    let mut output: Vec<Node> = Vec::with_capacity(nodes.len());
    for (at, node) in nodes.into_iter().enumerate() {
        output.push(node);
        if node.part() != Part::Comment || at >= ends {
            continue;
        }
        let before = output[..output.len() - 1].iter().rposition(|node| node.part() != Part::Space);
        if let Some(before) = before.filter(|before| is_group(output[*before].part())) {
            let group = output[before];
            collapse(&mut output, before, group.part());
            output[before] = Node { sides: group.sides, pieces: group.pieces + 1, ..output[before] };
        }
    }
    output
}

fn is_group(part: Part) -> bool {
    use Part::*;
    matches!(part, Parenthesis | Brackets | Call | Identifier | Operation | Literal | Comparison | Where)
}

fn is_operand(part: Part) -> bool {
    use Part::*;
    matches!(
        part,
        Parenthesis | Call | Identifier | Operation | Literal | Integer | Float | Text | Symbol | Name | Placeholder
    )
}

/// Groups what lies between the outermost of two marks.
fn brackets(text: &str, nodes: Vec<Node>, (open, close): (&str, &str), made: Part) -> Result<Vec<Node>, Fault> {
    let mut output: Vec<Node> = Vec::with_capacity(nodes.len());
    let mut opened: Vec<(usize, usize)> = Vec::new();
    for node in nodes {
        let word = &text[node.token.start..node.token.end];
        let mark = node.part() == Part::Mark;
        output.push(node);
        if mark && word == open {
            opened.push((output.len() - 1, 0));
        } else if mark && word == close {
            let Some((start, depth)) = opened.pop() else { continue };
            if depth >= MAX_DEPTH {
                return Err(Fault::TooMuch("Maximum grouping depth exceeded (100)."));
            }
            if let Some((_, outer)) = opened.last_mut() {
                *outer = (*outer).max(depth + 1);
            }
            collapse(&mut output, start, made);
        }
    }
    Ok(output)
}

/// Groups each of `firsts` with a `second` that comes next.
fn pairs(nodes: Vec<Node>, firsts: &[Part], second: Part, made: Part) -> Vec<Node> {
    let mut output: Vec<Node> = Vec::with_capacity(nodes.len());
    let mut first: Option<usize> = None;
    for node in nodes {
        output.push(node);
        match (node.part(), first) {
            (Part::Space, _) => {}
            (part, Some(start)) if part == second => {
                collapse(&mut output, start, made);
                // An order may be said twice, an alias not.
                first = (second == Part::Direction).then_some(start);
            }
            (part, _) => first = firsts.contains(&part).then_some(output.len() - 1),
        }
    }
    output
}

/// Groups from each node that `begins` up to the next that `closes`.
fn spans(nodes: Vec<Node>, begins: impl Fn(&Node) -> bool, closes: impl Fn(&Node) -> bool) -> Vec<Node> {
    let mut output: Vec<Node> = Vec::with_capacity(nodes.len());
    let mut open: Option<usize> = None;
    for node in nodes {
        if closes(&node)
            && let Some(start) = open.take()
        {
            collapse(&mut output, start, Part::Where);
        }
        output.push(node);
        if open.is_none() && begins(&node) {
            open = Some(output.len() - 1);
        }
    }
    if let Some(start) = open {
        collapse(&mut output, start, Part::Where);
    }
    output
}

/// Groups from the first node that `begins` to the last parentheses behind it.
fn lists(mut nodes: Vec<Node>, begins: impl Fn(&Node) -> bool) -> Vec<Node> {
    let start = nodes.iter().position(begins);
    let end = nodes.iter().rposition(|node| node.part() == Part::Parenthesis);
    if let (Some(start), Some(end)) = (start, end.filter(|end| start.is_some_and(|start| start < *end))) {
        let behind = nodes.split_off(end + 1);
        collapse(&mut nodes, start, Part::Where);
        nodes.extend(behind);
    }
    nodes
}

fn renamed(mut nodes: Vec<Node>, from: &[Part], to: Part) -> Vec<Node> {
    for node in nodes.iter_mut().filter(|node| from.contains(&node.part())) {
        node.token.part = to;
    }
    nodes
}

/// Groups what is joined by a word in the middle. `right` says whether the group takes in the next node, ends at the
/// middle (`Some(false)`), or is none (`None`).
fn fuse(
    nodes: Vec<Node>,
    made: Part,
    middle: impl Fn(&Node) -> bool,
    left: impl Fn(&Node) -> bool,
    right: impl Fn(Option<&Node>) -> Option<bool>,
) -> Vec<Node> {
    let mut output: Vec<Node> = Vec::with_capacity(nodes.len());
    // Where the left side begins in the output, and the node that tells what it is: in a chain the last operand.
    let mut before: Option<(usize, Node)> = None;
    let mut at = 0;
    while at < nodes.len() {
        let node = nodes[at];
        at += 1;
        output.push(node);
        if node.part() == Part::Space {
            continue;
        }
        let joinable = before.filter(|(_, shown)| middle(&node) && left(shown));
        let joined = joinable.and_then(|(start, _)| {
            let next = nodes[at..].iter().position(|next| next.part() != Part::Space).map(|gap| at + gap);
            right(next.map(|next| &nodes[next])).map(|takes| (start, next.filter(|_| takes)))
        });
        let Some((start, next)) = joined else {
            before = Some((output.len() - 1, node));
            continue;
        };
        if let Some(next) = next {
            output.extend_from_slice(&nodes[at..=next]);
            at = next + 1;
        }
        let (first, last) = (output[start], output[output.len() - 1]);
        collapse(&mut output, start, made);
        output[start].sides = (made == Part::Comparison).then_some([first.token, node.token, last.token]);
        before = Some((start, if next.is_some() { last } else { output[start] }));
    }
    output
}

fn collapse(output: &mut Vec<Node>, start: usize, made: Part) {
    let end = output[output.len() - 1].token.end;
    let token = Token { part: made, start: output[start].token.start, end };
    output.truncate(start);
    output.push(Node { token, sides: None, pieces: 3 });
}

fn side(text: &str, token: Token) -> Side<'_> {
    Side { part: token.part, text: &text[token.start..token.end] }
}

/// Puts `IN`, `NOT IN`, `IS NULL` and `IS NOT NULL` together, which the SQL parser leaves in pieces. It goes on in
/// steps of one to four, as MLflow's does.
struct Joiner<'a, 'n> {
    text: &'a str,
    nodes: &'n [Node],
    at: usize,
    timestamps: bool,
    clauses: Vec<Clause<'a>>,
}

impl<'a> Joiner<'a, '_> {
    fn join(mut self) -> Vec<Clause<'a>> {
        while self.at < self.nodes.len() {
            if self.nodes.len() - self.at < 3 {
                self.keep(self.nodes.len() - self.at);
                break;
            }
            self.step();
        }
        self.clauses
    }

    fn step(&mut self) {
        let start = self.at;
        if self.timestamps && self.is(start, Part::Builtin, "timestamp") {
            let comparator = [">", ">=", "!=", "=", "<", "<="].contains(&self.word(start + 1))
                && self.nodes[start + 1].part() == Part::Compare;
            if comparator && self.nodes[start + 2].part() == Part::Integer {
                return self.joined(self.word(start + 1), 3);
            }
            // MLflow names the first one twice.
            self.keep(3);
            let first = self.clause(start);
            return self.clauses.push(first);
        }
        if self.nodes[start].part() != Part::Identifier {
            return self.keep(1);
        }
        let listed = |at: usize| self.nodes.get(at).is_some_and(|node| node.part() == Part::Parenthesis);
        if self.is(start + 1, Part::Keyword, "IN") && listed(start + 2) {
            return self.joined(self.word(start + 1), 3);
        }
        if self.is(start + 1, Part::Keyword, "IS") && self.is(start + 2, Part::Keyword, "NULL") {
            return self.without_value("IS NULL");
        }
        if self.is(start + 1, Part::Keyword, "IS") && self.is(start + 2, Part::Keyword, "NOT NULL") {
            return self.without_value("IS NOT NULL");
        }
        let negated = self.is(start + 1, Part::Keyword, "NOT") && self.is(start + 2, Part::Keyword, "IN");
        if negated && listed(start + 3) {
            return self.joined("NOT IN", 4);
        }
        self.keep(4.min(self.nodes.len() - start));
    }

    fn word(&self, at: usize) -> &'a str {
        self.nodes.get(at).map_or("", |node| &self.text[node.token.start..node.token.end])
    }

    fn is(&self, at: usize, part: Part, word: &str) -> bool {
        self.nodes.get(at).is_some_and(|node| node.part() == part)
            && match part {
                Part::Keyword => self.word(at).eq_ignore_ascii_case(word),
                _ => self.word(at) == word,
            }
    }

    fn joined(&mut self, operator: &'a str, length: usize) {
        let (first, last) = (self.nodes[self.at].token, self.nodes[self.at + length - 1].token);
        let (left, right) = (side(self.text, first), Some(side(self.text, last)));
        self.clauses.push(Clause::Comparison { left, operator, right, pieces: 3 });
        self.at += length;
    }

    fn without_value(&mut self, operator: &'a str) {
        let first = self.nodes[self.at].token;
        self.clauses.push(Clause::Comparison { left: side(self.text, first), operator, right: None, pieces: 2 });
        self.at += 3;
    }

    fn keep(&mut self, count: usize) {
        for at in self.at..self.at + count {
            let clause = self.clause(at);
            self.clauses.push(clause);
        }
        self.at += count;
    }

    fn clause(&self, at: usize) -> Clause<'a> {
        let node = &self.nodes[at];
        let text = self.word(at);
        match node.sides {
            Some([left, operator, right]) => Clause::Comparison {
                left: side(self.text, left),
                operator: &self.text[operator.start..operator.end],
                right: Some(side(self.text, right)),
                pieces: node.pieces,
            },
            None if self.is(at, Part::Keyword, "AND") => Clause::And,
            None => Clause::Other(text),
        }
    }
}
