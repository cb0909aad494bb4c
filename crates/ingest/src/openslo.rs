//! Service level objectives as OpenSLO writes them (`openslo/v1`, YAML, any number of documents).
//!
//! Documents of kind `SLO` and `SLI` are read; `Service` says which entity a service is, `DataSource` of what type a
//! source is; alert policies, conditions and targets are left out with a note, since burning is judged for every
//! objective. References by name are looked up in the same file. All that is wrong is named with line and field, not
//! only the first; a file with anything wrong gives nothing.

mod selector;
mod yaml;

use std::collections::BTreeMap;

use serde::Serialize;
use types::slo::{Indicator, Part, Selector, Slo};
use types::{DAY, EntityId, HOUR, MINUTE, Tenant};

use self::yaml::{Entry, Node, Value};

/// Largest file, bytes.
pub const MOST_BYTES: usize = 1 << 20;
/// Most objectives of a file.
pub const MOST_SLOS: usize = 500;
/// Problems that are listed; further ones are counted.
const MOST_PROBLEMS: usize = 50;
/// Annotation that names the entity of a service or of an objective.
const ENTITY_NOTE: &str = "bellwether/entity";
/// Annotation that switches an objective off with `false`.
const ENABLED_NOTE: &str = "bellwether/enabled";

/// Something that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// On which line, from 1.
    pub line: usize,
    /// Where within its document, e.g. `spec.timeWindow[0].duration`; empty for the file as a whole.
    pub field: String,
    /// What is wrong and what to write instead. Lower case, no full stop.
    pub message: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.field.as_str() {
            "" => write!(f, "line {}: {}", self.line, self.message),
            field => write!(f, "line {}: {field}: {}", self.line, self.message),
        }
    }
}

/// Reads a file: the objectives (of the default tenant) in its order, and notes on what was left out; or all problems.
pub fn read(text: &str) -> Result<(Vec<Slo>, Vec<String>), Vec<Problem>> {
    if text.len() > MOST_BYTES {
        let message = format!("the file has {} bytes, more than {MOST_BYTES}", text.len());
        return Err(vec![Problem { line: 1, field: String::new(), message }]);
    }
    let documents = yaml::documents(text).map_err(|problem| vec![problem])?;
    let mut reader = Reader::default();
    let file = reader.sort(&documents);
    let mut slos: Vec<Slo> = Vec::new();
    for (i, document) in file.slos.iter().enumerate() {
        if i >= MOST_SLOS {
            reader.wrong(document.line, "", format!("more than {MOST_SLOS} objectives"));
            break;
        }
        for (slo, line) in reader.slo(document, &file) {
            if slos.iter().any(|known| known.name == slo.name) {
                reader.wrong(line, "metadata.name", format!("the objective {:?} is defined twice", show(&slo.name)));
            }
            slos.push(slo);
        }
    }
    if documents.is_empty() {
        reader.wrong(1, "", "the file is empty: documents with apiVersion: openslo/v1 are expected");
    } else if file.slos.is_empty() && reader.problems.is_empty() {
        reader.wrong(documents[0].line, "kind", "no document of kind SLO is in the file");
    } else if slos.len() > MOST_SLOS {
        reader.wrong(1, "", format!("{} objectives, more than {MOST_SLOS}", slos.len()));
    }
    reader.finish(slos)
}

/// Documents by what they are.
#[derive(Default)]
struct File<'a> {
    slos: Vec<&'a Node>,
    indicators: BTreeMap<String, &'a Node>,
    /// Entity by name of the service.
    services: BTreeMap<String, EntityId>,
    /// Type by name of the data source.
    sources: BTreeMap<String, String>,
}

#[derive(Default)]
struct Reader {
    problems: Vec<Problem>,
    more: usize,
    notes: Vec<String>,
}

/// A mapping with the path to it.
struct Fields<'a> {
    line: usize,
    path: String,
    entries: &'a [Entry],
}

impl<'a> Fields<'a> {
    fn get(&self, name: &str) -> Option<&'a Node> {
        let entry = self.entries.iter().find(|entry| entry.key == name)?;
        (entry.value.value != Value::Null).then_some(&entry.value)
    }

    fn at(&self, name: &str) -> String {
        join(&self.path, name)
    }
}

/// What an indicator counts, as far as it goes without the objective.
enum Sli {
    Ready(Indicator),
    /// A latency whose threshold the objective says.
    LatencyOf(usize),
}

impl Reader {
    fn finish(mut self, slos: Vec<Slo>) -> Result<(Vec<Slo>, Vec<String>), Vec<Problem>> {
        if self.problems.is_empty() {
            self.notes.dedup();
            return Ok((slos, self.notes));
        }
        self.problems.sort_by_key(|problem| problem.line);
        if self.more > 0 {
            let message = format!("{} further problems are not listed", self.more);
            self.problems.push(Problem { line: 1, field: String::new(), message });
        }
        Err(self.problems)
    }

    fn wrong(&mut self, line: usize, field: impl Into<String>, message: impl Into<String>) {
        if self.problems.len() >= MOST_PROBLEMS {
            self.more += 1;
            return;
        }
        self.problems.push(Problem { line, field: field.into(), message: message.into() });
    }

    fn note(&mut self, line: usize, text: String) {
        if self.notes.len() < MOST_PROBLEMS {
            self.notes.push(format!("line {line}: {text}"));
        }
    }

    /// A mapping of known keys; unknown ones are problems.
    fn fields<'a>(&mut self, node: &'a Node, path: &str, known: &[&str]) -> Option<Fields<'a>> {
        let fields = self.any_fields(node, path)?;
        self.only(&fields, known);
        Some(fields)
    }

    /// Names the keys that are not known.
    fn only(&mut self, fields: &Fields, known: &[&str]) {
        for entry in fields.entries.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            let hint = match nearest(&entry.key, known) {
                Some(meant) => format!("did you mean {meant}?"),
                None => format!("known are {}", known.join(", ")),
            };
            self.wrong(entry.line, fields.at(&show(&entry.key)), format!("this field is not known: {hint}"));
        }
    }

    fn any_fields<'a>(&mut self, node: &'a Node, path: &str) -> Option<Fields<'a>> {
        match &node.value {
            Value::Map(entries) => Some(Fields { line: node.line, path: path.to_owned(), entries }),
            other => {
                self.wrong(node.line, path, format!("a mapping is expected, not {}", other.kind()));
                None
            }
        }
    }

    fn need<'a>(&mut self, fields: &Fields<'a>, name: &str, example: &str) -> Option<&'a Node> {
        let found = fields.get(name);
        // A key that was probably meant was named already.
        let is_misspelt = || fields.entries.iter().any(|entry| nearest(&entry.key, &[name]).is_some());
        if found.is_none() && !is_misspelt() {
            self.wrong(fields.line, fields.at(name), format!("is missing; write for example {example}"));
        }
        found
    }

    fn text<'a>(&mut self, node: &'a Node, path: &str) -> Option<&'a str> {
        match &node.value {
            Value::Text { text, .. } => Some(text),
            other => {
                self.wrong(node.line, path, format!("a text is expected, not {}", other.kind()));
                None
            }
        }
    }

    fn number(&mut self, node: &Node, path: &str) -> Option<f64> {
        let number = match &node.value {
            Value::Text { text, plain: true } => text.trim().parse::<f64>().ok().filter(|n| n.is_finite()),
            _ => None,
        };
        if number.is_none() {
            self.wrong(node.line, path, format!("a number is expected, not {}", shown(node)));
        }
        number
    }

    fn flag(&mut self, node: &Node, path: &str) -> Option<bool> {
        match &node.value {
            Value::Text { text, .. } if text.eq_ignore_ascii_case("true") => Some(true),
            Value::Text { text, .. } if text.eq_ignore_ascii_case("false") => Some(false),
            _ => {
                self.wrong(node.line, path, format!("true or false is expected, not {}", shown(node)));
                None
            }
        }
    }

    fn list<'a>(&mut self, node: &'a Node, path: &str) -> &'a [Node] {
        match &node.value {
            Value::List(items) => items,
            other => {
                self.wrong(node.line, path, format!("a list is expected, not {}", other.kind()));
                &[]
            }
        }
    }

    fn name(&mut self, fields: &Fields) -> Option<String> {
        let metadata = self.need(fields, "metadata", "metadata: {name: checkout-availability}")?;
        let path = fields.at("metadata");
        let metadata = self.fields(metadata, &path, &["name", "displayName", "labels", "annotations"])?;
        let name = self.need(&metadata, "name", "name: checkout-availability")?;
        let name_path = metadata.at("name");
        let text = self.text(name, &name_path)?;
        if text.trim().is_empty() {
            self.wrong(name.line, name_path, "is empty");
            return None;
        }
        Some(text.trim().to_owned())
    }

    /// An annotation of a document.
    fn annotation<'a>(&mut self, document: &'a Node, name: &str) -> Option<&'a Node> {
        let part = |node: &'a Node, key: &str| match &node.value {
            Value::Map(entries) => entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value),
            _ => None,
        };
        part(part(part(document, "metadata")?, "annotations")?, name)
    }

    fn entity(&mut self, node: &Node, path: &str) -> Option<EntityId> {
        let text = self.text(node, path)?;
        let entity = EntityId::parse(text);
        if entity.is_none() {
            let message = format!("{} is no entity: write a name, namespace/name or kind:namespace/name", shown(node));
            self.wrong(node.line, path, message);
        }
        entity
    }

    /// Sorts the documents by kind.
    fn sort<'a>(&mut self, documents: &'a [Node]) -> File<'a> {
        let mut file = File::default();
        for document in documents {
            let Some(fields) = self.fields(document, "", &["apiVersion", "kind", "metadata", "spec"]) else { continue };
            let (Some(version), Some(kind)) =
                (self.need(&fields, "apiVersion", "apiVersion: openslo/v1"), self.need(&fields, "kind", "kind: SLO"))
            else {
                continue;
            };
            let (Some(said), Some(of_kind)) = (self.text(version, "apiVersion"), self.text(kind, "kind")) else {
                continue;
            };
            if said != "openslo/v1" {
                self.wrong(version.line, "apiVersion", format!("{}: only openslo/v1 is read", shown(version)));
                continue;
            }
            self.sort_one(document, &fields, (kind, of_kind), &mut file);
        }
        file
    }

    fn sort_one<'a>(&mut self, document: &'a Node, fields: &Fields, kind: (&Node, &str), file: &mut File<'a>) {
        const KINDS: [&str; 7] =
            ["SLO", "SLI", "Service", "DataSource", "AlertPolicy", "AlertCondition", "AlertNotificationTarget"];
        let is_new = match kind.1 {
            "SLO" => {
                file.slos.push(document);
                return;
            }
            "SLI" => self.name(fields).is_none_or(|name| file.indicators.insert(name, document).is_none()),
            "Service" => self.service(document, fields).is_none_or(|(name, e)| file.services.insert(name, e).is_none()),
            "DataSource" => match self.source(fields) {
                Some((name, of_type)) => file.sources.insert(name, of_type).is_none(),
                None => true,
            },
            "AlertPolicy" | "AlertCondition" | "AlertNotificationTarget" => {
                let name = self.name(fields).unwrap_or_default();
                let why = "is left out: burning is judged for every objective, and routes say who is told";
                self.note(document.line, format!("{} {:?} {why}", kind.1, show(&name)));
                true
            }
            other => {
                let hint = match nearest(other, &KINDS) {
                    Some(meant) => format!("did you mean {meant}?"),
                    None => format!("known are {}", KINDS.join(", ")),
                };
                self.wrong(kind.0.line, "kind", format!("{} is not known: {hint}", shown(kind.0)));
                true
            }
        };
        if !is_new {
            self.wrong(document.line, "metadata.name", format!("a second {} of this name", kind.1));
        }
    }

    fn service(&mut self, document: &Node, fields: &Fields) -> Option<(String, EntityId)> {
        let name = self.name(fields)?;
        let entity = match self.annotation(document, ENTITY_NOTE) {
            Some(said) => self.entity(said, &format!("metadata.annotations.{ENTITY_NOTE}"))?,
            None => EntityId::parse(&name)?,
        };
        Some((name, entity))
    }

    fn source(&mut self, fields: &Fields) -> Option<(String, String)> {
        let name = self.name(fields)?;
        let spec = self.need(fields, "spec", "spec: {type: Prometheus}")?;
        let spec = self.any_fields(spec, "spec")?;
        let of_type = self.need(&spec, "type", "type: Prometheus")?;
        self.note(fields.line, format!("connection details of DataSource {:?} are not used", show(&name)));
        Some((name, self.text(of_type, "spec.type")?.to_owned()))
    }

    /// The objectives of one document, each with its line.
    fn slo(&mut self, document: &Node, file: &File) -> Vec<(Slo, usize)> {
        let before = self.problems.len() + self.more;
        let read = self.slo_parts(document, file);
        match read {
            Some(slos) if self.problems.len() + self.more == before => slos,
            _ => Vec::new(),
        }
    }

    fn slo_parts(&mut self, document: &Node, file: &File) -> Option<Vec<(Slo, usize)>> {
        const SPEC: [&str; 9] = [
            "description",
            "service",
            "indicator",
            "indicatorRef",
            "timeWindow",
            "budgetingMethod",
            "objectives",
            "alertPolicies",
            "severity",
        ];
        let fields = self.any_fields(document, "")?;
        let name = self.name(&fields);
        let spec = self.need(&fields, "spec", "spec: {service: …, indicator: …, timeWindow: …, objectives: …}")?;
        let spec = self.fields(spec, "spec", &SPEC)?;
        let service = self.service_of(document, &spec, file);
        let window_ns = self.window(&spec);
        self.method(&spec);
        let description = match spec.get("description") {
            Some(node) => self.text(node, "spec.description").unwrap_or_default().trim().to_owned(),
            None => String::new(),
        };
        let enabled = match self.annotation(document, ENABLED_NOTE) {
            Some(node) => self.flag(node, &format!("metadata.annotations.{ENABLED_NOTE}")).unwrap_or(true),
            None => true,
        };
        if let Some(policies) = spec.get("alertPolicies") {
            self.note(policies.line, "alertPolicies are left out: burning is judged for every objective".to_owned());
        }
        let indicator = self.indicator_of(&spec, file);
        let objectives = self.need(&spec, "objectives", "objectives: [{target: 0.999}]")?;
        let items = self.list(objectives, "spec.objectives");
        if items.is_empty() && matches!(objectives.value, Value::List(_)) {
            self.wrong(objectives.line, "spec.objectives", "is empty; write for example - target: 0.999");
        }
        let mut slos = Vec::new();
        for (i, item) in items.iter().enumerate() {
            let path = format!("spec.objectives[{i}]");
            let read = self.objective(item, &path, indicator.as_ref());
            let (Some(objective), Some(name), Some(service), Some(window_ns)) =
                (read, name.as_ref(), service.as_ref(), window_ns)
            else {
                continue;
            };
            let name = match items.len() {
                1 => name.clone(),
                _ => format!("{name}-{}", objective.label),
            };
            let slo = Slo {
                name,
                tenant: Tenant::default(),
                service: service.clone(),
                description: description.clone(),
                target: objective.target,
                window_ns,
                indicator: objective.indicator,
                enabled,
            };
            if let Err((field, message)) = slo.check() {
                self.wrong(item.line, format!("{path} ({field})"), message);
            }
            slos.push((slo, item.line));
        }
        Some(slos)
    }

    fn service_of(&mut self, document: &Node, spec: &Fields, file: &File) -> Option<EntityId> {
        let node = self.need(spec, "service", "service: checkout")?;
        let said = self.entity(node, "spec.service")?;
        if let Some(entity) = self.annotation(document, ENTITY_NOTE) {
            return self.entity(entity, &format!("metadata.annotations.{ENTITY_NOTE}"));
        }
        let known = self.text(node, "spec.service").and_then(|name| file.services.get(name));
        Some(known.cloned().unwrap_or(said))
    }

    fn method(&mut self, spec: &Fields) {
        let Some(node) = spec.get("budgetingMethod") else { return };
        match self.text(node, "spec.budgetingMethod") {
            Some("Occurrences") | None => {}
            Some("Timeslices" | "RatioTimeslices") => {
                let message =
                    format!("{} is not read: write Occurrences (events are counted, not minutes)", shown(node));
                self.wrong(node.line, "spec.budgetingMethod", message);
            }
            Some(_) => {
                self.wrong(node.line, "spec.budgetingMethod", format!("{}: write Occurrences", shown(node)));
            }
        }
    }

    fn window(&mut self, spec: &Fields) -> Option<i64> {
        let node = self.need(spec, "timeWindow", "timeWindow: [{duration: 28d, isRolling: true}]")?;
        let items = self.list(node, "spec.timeWindow");
        if items.len() != 1 {
            if matches!(node.value, Value::List(_)) {
                let message = format!("exactly one window is expected, not {}", items.len());
                self.wrong(node.line, "spec.timeWindow", message);
            }
            return None;
        }
        let path = "spec.timeWindow[0]";
        let window = self.fields(&items[0], path, &["duration", "isRolling", "calendar"])?;
        let calendar = "calendar windows are not read: leave calendar out and write isRolling: true, with a duration \
                        of 1h to 366d such as 28d";
        if let Some(node) = window.get("calendar") {
            self.wrong(node.line, window.at("calendar"), calendar);
            return None;
        }
        let rolling = match window.get("isRolling") {
            Some(node) => (node.line, self.flag(node, &window.at("isRolling"))?),
            None => {
                self.need(&window, "isRolling", "isRolling: true")?;
                return None;
            }
        };
        if !rolling.1 {
            self.wrong(rolling.0, window.at("isRolling"), calendar);
            return None;
        }
        let node = self.need(&window, "duration", "duration: 28d")?;
        let text = self.text(node, &window.at("duration"))?;
        let read = duration(text);
        if let Err(message) = &read {
            self.wrong(node.line, window.at("duration"), message.clone());
        }
        read.ok()
    }

    /// The indicator, written in place or referred to.
    fn indicator_of(&mut self, spec: &Fields, file: &File) -> Option<Sli> {
        match (spec.get("indicator"), spec.get("indicatorRef")) {
            (Some(_), Some(node)) => {
                self.wrong(node.line, "spec.indicatorRef", "indicator is given too: write one of them");
                None
            }
            (Some(node), None) => {
                let fields = self.fields(node, "spec.indicator", &["metadata", "spec"])?;
                let inner = self.need(&fields, "spec", "spec: {ratioMetric: …}")?;
                self.sli(inner, "spec.indicator.spec", file)
            }
            (None, Some(node)) => {
                let name = self.text(node, "spec.indicatorRef")?;
                let Some(found) = file.indicators.get(name) else {
                    let known: Vec<&str> = file.indicators.keys().map(String::as_str).collect();
                    let hint = match (nearest(name, &known), known.as_slice()) {
                        (Some(meant), _) => format!("did you mean {meant}?"),
                        (None, []) => "no document of kind SLI is in the file".to_owned(),
                        (None, known) => format!("there are {}", show(&known.join(", "))),
                    };
                    self.wrong(node.line, "spec.indicatorRef", format!("no SLI is named {}: {hint}", shown(node)));
                    return None;
                };
                let fields = self.any_fields(found, "")?;
                let inner = self.need(&fields, "spec", "spec: {ratioMetric: …}")?;
                self.sli(inner, "spec", file)
            }
            (None, None) => {
                self.need(spec, "indicator", "indicator: {spec: {ratioMetric: …}}");
                None
            }
        }
    }

    fn sli(&mut self, node: &Node, path: &str, file: &File) -> Option<Sli> {
        let spec = self.fields(node, path, &["description", "thresholdMetric", "ratioMetric"])?;
        match (spec.get("thresholdMetric"), spec.get("ratioMetric")) {
            (Some(_), Some(node)) => {
                self.wrong(node.line, spec.at("ratioMetric"), "thresholdMetric is given too: write one of them");
                None
            }
            (Some(node), None) => {
                let at = spec.at("thresholdMetric");
                let fields = self.fields(node, &at, &["metricSource", "dimensions"])?;
                let source = self.need(&fields, "metricSource", "metricSource: {type: bellwether, spec: …}")?;
                self.own_source(source, &join(&at, "metricSource"), file)
            }
            (None, Some(node)) => self.ratio(node, &spec.at("ratioMetric"), file),
            (None, None) => {
                self.need(&spec, "ratioMetric", "ratioMetric: {counter: true, good: …, total: …}");
                None
            }
        }
    }

    fn ratio(&mut self, node: &Node, path: &str, file: &File) -> Option<Sli> {
        let fields = self.fields(node, path, &["counter", "good", "bad", "total", "raw", "rawType"])?;
        if let Some(raw) = fields.get("raw") {
            let at = fields.at("raw");
            if let Some(of_type) = fields.get("rawType")
                && self.text(of_type, &fields.at("rawType"))? != "success"
            {
                self.wrong(of_type.line, fields.at("rawType"), "only success is read with raw");
                return None;
            }
            let inner = self.fields(raw, &at, &["metricSource"])?;
            let source = self.need(&inner, "metricSource", "metricSource: {type: bellwether, spec: …}")?;
            return self.own_source(source, &join(&at, "metricSource"), file);
        }
        let is_counter = match fields.get("counter") {
            Some(node) => self.flag(node, &fields.at("counter"))?,
            None => true,
        };
        let counter_line = fields.get("counter").map_or(fields.line, |node| node.line);
        let select = |reader: &mut Reader, name: &str| -> Option<Option<Selector>> {
            let Some(node) = fields.get(name) else { return Some(None) };
            let at = fields.at(name);
            let inner = reader.fields(node, &at, &["metricSource", "dimensions"])?;
            let source = reader.need(&inner, "metricSource", "metricSource: {type: Prometheus, spec: {query: …}}")?;
            let query = reader.prometheus(source, &join(&at, "metricSource"), file)?;
            if !is_counter && !query.is_rate {
                let message = "only running counts are read: write counter: true, or rate(…) in the query";
                reader.wrong(counter_line, fields.at("counter"), message);
                return None;
            }
            Some(Some(query.selector))
        };
        let (good, bad, total) = (select(self, "good"), select(self, "bad"), select(self, "total"));
        let (good, bad, total) = (good?, bad?, total?);
        let part = match (good, bad) {
            (Some(_), Some(_)) => {
                self.wrong(fields.line, fields.at("bad"), "good is given too: write one of them");
                return None;
            }
            (Some(good), None) => Part::Good(good),
            (None, Some(bad)) => Part::Bad(bad),
            (None, None) => {
                self.need(&fields, "good", "good: {metricSource: …}");
                return None;
            }
        };
        let Some(total) = total else {
            self.need(&fields, "total", "total: {metricSource: …}");
            return None;
        };
        Some(Sli::Ready(Indicator::Ratio { part, total }))
    }

    /// The type of a metric source and its own fields.
    fn source_type<'a>(&mut self, node: &'a Node, path: &str, file: &'a File) -> Option<(&'a str, Fields<'a>)> {
        let fields = self.fields(node, path, &["metricSourceRef", "type", "spec"])?;
        let of_type = match (fields.get("type"), fields.get("metricSourceRef")) {
            (Some(node), _) => self.text(node, &fields.at("type"))?,
            (None, Some(node)) => {
                let name = self.text(node, &fields.at("metricSourceRef"))?;
                let Some(known) = file.sources.get(name) else {
                    let message = format!("no DataSource is named {}: write type: Prometheus", shown(node));
                    self.wrong(node.line, fields.at("metricSourceRef"), message);
                    return None;
                };
                known
            }
            (None, None) => {
                self.need(&fields, "type", "type: Prometheus or type: bellwether");
                return None;
            }
        };
        let spec = self.need(&fields, "spec", "spec: {query: …} or spec: {signal: requests}")?;
        let spec = self.any_fields(spec, &fields.at("spec"))?;
        Some((of_type, spec))
    }

    fn prometheus(&mut self, node: &Node, path: &str, file: &File) -> Option<selector::Query> {
        let (of_type, spec) = self.source_type(node, path, file)?;
        match of_type.to_lowercase().as_str() {
            "prometheus" => {}
            "bellwether" => {
                let message = "a signal of Bellwether is a whole indicator: write it as \
                               thresholdMetric.metricSource or ratioMetric.raw.metricSource";
                self.wrong(node.line, join(path, "type"), message);
                return None;
            }
            other => {
                let message = format!("{:?} is not read: write Prometheus with a query, or bellwether", show(other));
                self.wrong(node.line, join(path, "type"), message);
                return None;
            }
        }
        let query = self.need(&spec, "query", "query: sum(rate(http_requests_total[5m]))")?;
        let text = self.text(query, &spec.at("query"))?;
        match selector::parse(text) {
            Ok(read) => {
                if let Some(range) = &read.range {
                    let why = "is not used: all increases are counted, and looked at over several windows";
                    self.note(query.line, format!("the range [{}] {why}", show(range)));
                }
                Some(read)
            }
            Err(message) => {
                self.wrong(query.line, spec.at("query"), message);
                None
            }
        }
    }

    fn own_source(&mut self, node: &Node, path: &str, file: &File) -> Option<Sli> {
        let (of_type, spec) = self.source_type(node, path, file)?;
        if !of_type.eq_ignore_ascii_case("bellwether") {
            let message = format!(
                "{:?} is not read here: write a ratioMetric with good (or bad) and total, for a latency over the \
                 counts of a histogram such as name_bucket{{le=\"0.3\"}} and name_count",
                show(of_type)
            );
            self.wrong(node.line, join(path, "type"), message);
            return None;
        }
        self.only(&spec, &["signal", "thresholdMs"]);
        let signal = self.need(&spec, "signal", "signal: requests or signal: latency")?;
        let text = self.text(signal, &spec.at("signal"))?;
        let threshold = match spec.get("thresholdMs") {
            Some(node) => Some((node, self.number(node, &spec.at("thresholdMs"))?)),
            None => None,
        };
        match (text, threshold) {
            ("requests", None) => Some(Sli::Ready(Indicator::Requests)),
            ("requests", Some((node, _))) => {
                self.wrong(node.line, spec.at("thresholdMs"), "belongs to signal: latency only");
                None
            }
            ("latency", Some((_, threshold_ms))) => Some(Sli::Ready(Indicator::Latency { threshold_ms })),
            ("latency", None) => Some(Sli::LatencyOf(signal.line)),
            (other, _) => {
                let hint = match nearest(other, &["requests", "latency"]) {
                    Some(meant) => format!("did you mean {meant}?"),
                    None => "known are requests and latency".to_owned(),
                };
                self.wrong(signal.line, spec.at("signal"), format!("{} is not known: {hint}", shown(signal)));
                None
            }
        }
    }

    fn objective(&mut self, node: &Node, path: &str, sli: Option<&Sli>) -> Option<Objective> {
        const KNOWN: [&str; 10] = [
            "displayName",
            "op",
            "value",
            "target",
            "targetPercent",
            "timeSliceTarget",
            "timeSliceWindow",
            "indicator",
            "indicatorRef",
            "compositeWeight",
        ];
        let fields = self.fields(node, path, &KNOWN)?;
        for name in ["timeSliceTarget", "timeSliceWindow", "indicator", "indicatorRef", "compositeWeight"] {
            if let Some(node) = fields.get(name) {
                let what = if name.starts_with("time") { "time slices are" } else { "objectives put together are" };
                let message = format!("{what} not read: write one SLO for each indicator, counted by occurrences");
                self.wrong(node.line, fields.at(name), message);
            }
        }
        let target = match (fields.get("target"), fields.get("targetPercent")) {
            (Some(_), Some(node)) => {
                self.wrong(node.line, fields.at("targetPercent"), "target is given too: write one of them");
                return None;
            }
            (Some(node), None) => (node, self.number(node, &fields.at("target"))?, "target"),
            (None, Some(node)) => (node, self.number(node, &fields.at("targetPercent"))? / 100.0, "targetPercent"),
            (None, None) => {
                self.need(&fields, "target", "target: 0.999")?;
                return None;
            }
        };
        let (line, share) = (target.0.line, (target.1 * 1e9).round() / 1e9);
        if !(share > 0.0 && share < 1.0) {
            let range = if target.2 == "target" {
                "above 0 and below 1, e.g. 0.999 (for percentages there is targetPercent)"
            } else {
                "above 0 and below 100, e.g. 99.9"
            };
            self.wrong(line, fields.at(target.2), format!("is {}, it must be {range}", shown(target.0)));
            return None;
        }
        let indicator = self.threshold(&fields, sli?)?;
        let label = match fields.get("displayName").map(|n| self.text(n, &fields.at("displayName"))) {
            Some(Some(text)) if !text.trim().is_empty() => text.trim().to_owned(),
            _ => format!("{}", (share * 1e9).round() / 1e7),
        };
        Some(Objective { label, target: share, indicator })
    }

    /// What the objective adds to its indicator: `op` and `value` of a latency.
    fn threshold(&mut self, fields: &Fields, sli: &Sli) -> Option<Indicator> {
        let said = match (fields.get("op"), fields.get("value")) {
            (None, None) => None,
            (op, Some(node)) => {
                if let Some(op) = op {
                    let text = self.text(op, &fields.at("op"))?;
                    if !["lte", "lt"].contains(&text) {
                        let message = format!("{} is not read: a latency is quick enough where it is lte", shown(op));
                        self.wrong(op.line, fields.at("op"), message);
                        return None;
                    }
                }
                Some((node.line, self.number(node, &fields.at("value"))?))
            }
            (Some(node), None) => {
                self.wrong(node.line, fields.at("value"), "is missing beside op; write for example value: 300");
                return None;
            }
        };
        match (sli, said) {
            (Sli::Ready(indicator), None) => Some(indicator.clone()),
            (Sli::LatencyOf(_), Some((_, threshold_ms))) => Some(Indicator::Latency { threshold_ms }),
            (Sli::LatencyOf(line), None) => {
                let message =
                    "is missing; write for example thresholdMs: 300, or op: lte and value: 300 in the objective";
                self.wrong(*line, "thresholdMs", message);
                None
            }
            (Sli::Ready(Indicator::Latency { threshold_ms }), Some((_, value))) if value == *threshold_ms => {
                Some(Indicator::Latency { threshold_ms: value })
            }
            (Sli::Ready(_), Some((line, _))) => {
                let message = "op and value belong to a latency without thresholdMs only";
                self.wrong(line, fields.at("value"), message);
                None
            }
        }
    }
}

struct Objective {
    /// Tells several of one document apart.
    label: String,
    target: f64,
    indicator: Indicator,
}

/// `30d` and the like; months and longer have no fixed length.
fn duration(text: &str) -> Result<i64, String> {
    let bad = || format!("{:?} is no duration: write a number with m, h, d or w, e.g. 28d", show(text));
    let text = text.trim();
    let unit = text.chars().last().filter(|c| c.is_ascii_alphabetic()).ok_or_else(bad)?;
    let number: i64 = text[..text.len() - 1].parse().ok().filter(|n| *n > 0).ok_or_else(bad)?;
    let unit_ns = match unit {
        'm' => MINUTE,
        'h' => HOUR,
        'd' => DAY,
        'w' => 7 * DAY,
        'M' | 'Q' | 'Y' => {
            return Err(format!("{:?}: months, quarters and years differ in length: write days, e.g. 30d", show(text)));
        }
        _ => return Err(bad()),
    };
    let (least, most) = types::slo::WINDOW_NS;
    match number.checked_mul(unit_ns) {
        Some(ns) if (least..=most).contains(&ns) => Ok(ns),
        _ => Err(format!("{:?} is out of range: windows of 1h to 366d are read", show(text))),
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// A value for messages.
fn shown(node: &Node) -> String {
    match &node.value {
        Value::Text { text, .. } => format!("{:?}", show(text)),
        other => other.kind().to_owned(),
    }
}

fn show(text: &str) -> String {
    text.chars().take(80).collect()
}

/// The known word that was probably meant: other case, or at most two letters apart (one in short words).
fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    if word.len() > 40 {
        return None;
    }
    let lower = word.to_lowercase();
    let distance = |k: &&&str| edits(&lower, &k.to_lowercase());
    let best = known.iter().min_by_key(|k| distance(k))?;
    let most = if best.len() <= 5 { 1 } else { 2 };
    (distance(&best) <= most).then_some(*best)
}

/// Letters to be added, taken away, exchanged, or swapped with their neighbour (Damerau 1964).
fn edits(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut table = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            table[i][j] = match (i, j) {
                (0, n) | (n, 0) => n,
                _ => {
                    let changed = table[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                    let best = changed.min(table[i - 1][j] + 1).min(table[i][j - 1] + 1);
                    let is_swap = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                    if is_swap { best.min(table[i - 2][j - 2] + 1) } else { best }
                }
            };
        }
    }
    table[a.len()][b.len()]
}

#[cfg(test)]
mod tests;
