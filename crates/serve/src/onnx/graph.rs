//! A graph of operations, put in order and ready to run.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use super::ops;
use super::proto::{AttributeProto, GraphProto, ModelProto, NodeProto, ValueInfoProto};
use super::tensor::{Kind, Tensor};
use crate::Problem;

/// More cells than this a graph may not hold at once, beside those of its file; few in tests, which would be slow.
const HELD_MAX: usize = if cfg!(test) { 1 << 20 } else { 1 << 28 };

/// What an operation does: its inputs (`None`: left out) to its outputs. It says what is wrong with them.
pub(super) type Op = Box<dyn Fn(&[Option<&Tensor>]) -> Result<Vec<Tensor>, String> + Send + Sync>;

/// A node as operations are made of it.
pub(super) struct Node<'a> {
    /// The name of the operation.
    pub op: &'a str,
    /// The version of the set of operations it is of.
    pub version: i64,
    /// How many outputs it has.
    pub outputs: usize,
    attributes: HashMap<&'a str, &'a AttributeProto>,
}

/// Operations in an order in which each finds its inputs made.
pub(super) struct Graph {
    /// What must be given.
    pub inputs: Vec<Port>,
    /// What is made.
    pub outputs: Vec<Port>,
    steps: Vec<Step>,
    /// What is there before anything is given, by slot.
    constants: Vec<Option<Arc<Tensor>>>,
}

/// An input or output.
#[derive(Clone, Debug)]
pub(super) struct Port {
    pub name: String,
    /// `None`: it is no tensor.
    pub kind: Option<Kind>,
    /// Lengths along the axes, as far as they are known; `None`: not even their number is.
    pub shape: Option<Vec<Option<usize>>>,
    slot: usize,
}

struct Step {
    who: String,
    op: Op,
    inputs: Vec<Option<usize>>,
    outputs: Vec<Option<usize>>,
    /// Slots that nobody needs afterwards.
    done: Vec<usize>,
}

impl fmt::Debug for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Graph of {} steps", self.steps.len())
    }
}

impl Graph {
    /// Puts the operations of a file in order; what depends on no input is computed right away.
    ///
    /// # Errors
    /// [`Problem::Damaged`]: names that nobody makes, that two make, or that depend on themselves.
    /// [`Problem::Unsupported`]: an operation that is not run here.
    pub fn read(model: &ModelProto) -> Result<Graph, Problem> {
        let proto = graph_of(model)?;
        let mut slots = Slots::default();
        let mut constants = Vec::new();
        for tensor in &proto.initializer {
            slots.add(&tensor.name)?;
            constants.push(Some(Arc::new(Tensor::read(tensor)?)));
        }
        let mut inputs = inputs_of(proto)?;
        for input in &mut inputs {
            input.slot = slots.add(&input.name)?;
        }
        constants.resize(slots.count, None);
        let (mut steps, mut held) = (Vec::new(), 0);
        for node in &proto.node {
            let step = Step::read(node, model, proto, &mut slots)?;
            constants.resize(slots.count, None);
            match step.constant(&constants)? {
                None => steps.push(step),
                Some(made) => {
                    held += made.iter().map(Tensor::len).sum::<usize>();
                    if held > HELD_MAX {
                        return Err(Problem::Unsupported(format!("a graph that makes more than {HELD_MAX} constants")));
                    }
                    let places = step.outputs.iter().zip(made).filter_map(|(slot, made)| Some(((*slot)?, made)));
                    places.for_each(|(slot, made)| constants[slot] = Some(Arc::new(made)));
                }
            }
        }
        let mut outputs = Vec::with_capacity(proto.output.len());
        for output in &proto.output {
            let slot = slots
                .find(&output.name)
                .ok_or_else(|| Problem::Damaged(format!("its output `{}` is made by no node", output.name)))?;
            outputs.push(Port { slot, ..port(output) });
        }
        if outputs.is_empty() {
            return Err(Problem::Damaged("it has no output".into()));
        }
        let mut graph = Graph { inputs, outputs, steps, constants };
        graph.mark_done();
        Ok(graph)
    }

    /// Runs it.
    ///
    /// # Errors
    /// Says which node cannot take what it is given.
    ///
    /// # Panics
    /// If there are not as many tensors as [`Graph::inputs`].
    pub fn run(&self, given: Vec<Tensor>) -> Result<Vec<Arc<Tensor>>, String> {
        assert_eq!(given.len(), self.inputs.len(), "not all inputs are given");
        let mut slots = self.constants.clone();
        for (port, tensor) in self.inputs.iter().zip(given) {
            slots[port.slot] = Some(Arc::new(tensor));
        }
        let mut held = 0_usize;
        for step in &self.steps {
            let made = step.run(&slots)?;
            held += made.iter().map(Tensor::len).sum::<usize>();
            if held > HELD_MAX {
                return Err(format!("{}: more than {HELD_MAX} cells are held at once: send fewer rows", step.who));
            }
            for (slot, made) in step.outputs.iter().zip(made) {
                if let Some(slot) = slot {
                    slots[*slot] = Some(Arc::new(made));
                }
            }
            for slot in &step.done {
                let gone = slots[*slot].take();
                if let (Some(gone), None) = (gone, &self.constants[*slot]) {
                    held = held.saturating_sub(gone.len());
                }
            }
        }
        let output =
            |port: &Port| slots[port.slot].clone().ok_or_else(|| format!("output `{}` is not made", port.name));
        self.outputs.iter().map(output).collect()
    }

    /// Notes after which step the outcome of another is not needed any more.
    fn mark_done(&mut self) {
        let mut needed: HashSet<usize> = self.outputs.iter().map(|port| port.slot).collect();
        for step in self.steps.iter_mut().rev() {
            let outputs = step.outputs.iter().flatten().filter(|slot| !needed.contains(slot)).copied();
            let mut done: Vec<usize> = outputs.collect();
            let fresh = step.inputs.iter().flatten().filter(|slot| needed.insert(**slot));
            done.extend(fresh);
            step.done = done;
        }
    }
}

impl Step {
    fn read(node: &NodeProto, model: &ModelProto, graph: &GraphProto, slots: &mut Slots) -> Result<Step, Problem> {
        let who = match node.name.as_str() {
            "" => format!("node {}", node.op_type),
            name => format!("node {} `{name}`", node.op_type),
        };
        let mut inputs = Vec::with_capacity(node.input.len());
        for name in &node.input {
            let slot = slots.find(name);
            if slot.is_none() && !name.is_empty() {
                let later = graph.node.iter().any(|node| node.output.contains(name));
                return Err(Problem::Damaged(match later {
                    true => format!(
                        "{who} takes `{name}`, which is made after it or depends on it: a circle, or nodes out of order"
                    ),
                    false => format!("{who} takes `{name}`, which nobody makes"),
                }));
            }
            inputs.push(slot);
        }
        let read = Node::read(node, model);
        let op = ops::find(&node.domain, &read).and_then(|make| make(&read));
        let op = op.map_err(|problem| within(&who, problem))?;
        let output = |name: &String| if name.is_empty() { Ok(None) } else { slots.add(name).map(Some) };
        let outputs = node.output.iter().map(output).collect::<Result<_, _>>()?;
        Ok(Step { who, op, inputs, outputs, done: Vec::new() })
    }

    fn run(&self, slots: &[Option<Arc<Tensor>>]) -> Result<Vec<Tensor>, String> {
        let inputs: Vec<Option<&Tensor>> = self.inputs.iter().map(|slot| slots[(*slot)?].as_deref()).collect();
        (self.op)(&inputs).map_err(|what| format!("{}: {what}", self.who))
    }

    /// What it makes, where that depends on no input.
    fn constant(&self, constants: &[Option<Arc<Tensor>>]) -> Result<Option<Vec<Tensor>>, Problem> {
        match self.inputs.iter().flatten().all(|slot| constants[*slot].is_some()) {
            true => self.run(constants).map(Some).map_err(Problem::Damaged),
            false => Ok(None),
        }
    }
}

impl<'a> Node<'a> {
    /// A node of a file.
    pub fn read(node: &'a NodeProto, model: &ModelProto) -> Node<'a> {
        let set = if node.domain == "ai.onnx" { "" } else { node.domain.as_str() };
        let is_set = |name: &str| name == set || (name == "ai.onnx" && set.is_empty());
        let version = model.opset_import.iter().find(|import| is_set(&import.domain));
        Node {
            op: &node.op_type,
            version: version.map_or(1, |import| import.version),
            outputs: node.output.len(),
            attributes: node.attribute.iter().map(|attribute| (attribute.name.as_str(), attribute)).collect(),
        }
    }

    /// Whether an attribute is said.
    pub fn has(&self, name: &str) -> bool {
        self.attributes.contains_key(name)
    }

    pub fn int(&self, name: &str) -> Option<i64> {
        self.attributes.get(name).map(|attribute| attribute.i)
    }

    pub fn float(&self, name: &str) -> Option<f32> {
        self.attributes.get(name).map(|attribute| attribute.f)
    }

    pub fn ints(&self, name: &str) -> Option<&'a [i64]> {
        self.attributes.get(name).map(|attribute| attribute.ints.as_slice())
    }

    /// Numbers; none where nothing is said.
    pub fn floats(&self, name: &str) -> &'a [f32] {
        self.attributes.get(name).map_or(&[], |attribute| attribute.floats.as_slice())
    }

    /// A text, or `usual` where nothing is said.
    ///
    /// # Errors
    /// [`Problem::Damaged`]: it is not UTF-8.
    pub fn text(&self, name: &str, usual: &'a str) -> Result<&'a str, Problem> {
        let Some(attribute) = self.attributes.get(name) else { return Ok(usual) };
        std::str::from_utf8(&attribute.s).map_err(|_| Problem::Damaged(format!("its {name} is not UTF-8")))
    }

    /// Texts; none where nothing is said.
    ///
    /// # Errors
    /// [`Problem::Damaged`]: one is not UTF-8.
    pub fn texts(&self, name: &str) -> Result<Vec<Arc<str>>, Problem> {
        let Some(attribute) = self.attributes.get(name) else { return Ok(Vec::new()) };
        let text = |bytes: &Vec<u8>| match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Arc::from(text)),
            Err(_) => Err(Problem::Damaged(format!("a text of its {name} is not UTF-8"))),
        };
        attribute.strings.iter().map(text).collect()
    }

    /// A tensor.
    ///
    /// # Errors
    /// As [`Tensor::read`].
    pub fn tensor(&self, name: &str) -> Result<Option<Tensor>, Problem> {
        let proto = self.attributes.get(name).and_then(|attribute| attribute.t.as_ref());
        proto.map(Tensor::read).transpose()
    }
}

/// Places of tensors, by their names.
#[derive(Default)]
struct Slots {
    places: HashMap<String, usize>,
    count: usize,
}

impl Slots {
    fn find(&self, name: &str) -> Option<usize> {
        self.places.get(name).copied()
    }

    fn add(&mut self, name: &str) -> Result<usize, Problem> {
        if self.places.insert(name.to_owned(), self.count).is_some() {
            return Err(Problem::Damaged(format!("`{name}` is made twice")));
        }
        self.count += 1;
        Ok(self.count - 1)
    }
}

/// The graph of a file.
///
/// # Errors
/// [`Problem::Damaged`]: there is none. [`Problem::Unsupported`]: it holds sparse tensors.
pub(super) fn graph_of(model: &ModelProto) -> Result<&GraphProto, Problem> {
    let graph = model.graph.as_ref().filter(|graph| !graph.output.is_empty());
    let graph = graph.ok_or_else(|| Problem::Damaged("it holds no graph of ONNX".into()))?;
    match graph.sparse_initializer.is_empty() {
        true => Ok(graph),
        false => Err(Problem::Unsupported("an ONNX graph with sparse tensors".into())),
    }
}

/// What must be given to a graph: older files name initial values among the inputs.
pub(super) fn inputs_of(graph: &GraphProto) -> Result<Vec<Port>, Problem> {
    let initial: HashSet<&str> = graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    let given = graph.input.iter().filter(|input| !initial.contains(input.name.as_str()));
    let inputs: Vec<Port> = given.map(port).collect();
    match inputs.is_empty() {
        true => Err(Problem::Damaged("it takes no input".into())),
        false => Ok(inputs),
    }
}

fn port(info: &ValueInfoProto) -> Port {
    let tensor = info.kind.as_ref().and_then(|kind| kind.tensor.as_ref());
    let axis = |value: Option<i64>| value.and_then(|value| usize::try_from(value).ok());
    Port {
        name: info.name.clone(),
        kind: tensor.and_then(|tensor| Kind::of(tensor.elem_type).ok()),
        shape: tensor
            .and_then(|tensor| tensor.shape.as_ref())
            .map(|shape| shape.dim.iter().map(|dim| axis(dim.value)).collect()),
        slot: 0,
    }
}

fn within(who: &str, problem: Problem) -> Problem {
    match problem {
        Problem::Damaged(what) => Problem::Damaged(format!("{who}: {what}")),
        Problem::Unsupported(what) => Problem::Unsupported(format!("{who}: {what}")),
        other => other,
    }
}
