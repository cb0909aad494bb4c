//! Models of ONNX: what skl2onnx and onnxmltools make of models for tables, and small neural nets.
//!
//! A file is a graph of operations over tensors. Those that are known here ([`ops`] lists them) are run here, in 32 bits
//! where the runtime of ONNX computes in 32 bits, so that answers are the same up to the order of sums.
//!
//! An input is a tensor whose first axis are the rows. One tensor of several columns is a matrix; several tensors of one
//! column each are columns with names. The first output is the answer: classes where it holds whole numbers or texts,
//! and numbers otherwise. Beside classes, an output with a share for each of them is the probabilities.

mod encoders;
mod forest;
mod graph;
mod linear;
mod matrix;
mod numbers;
mod ops;
mod proto;
mod reduce;
mod scalers;
mod shapes;
mod svm;
mod tensor;
mod windows;

use std::sync::Arc;

use crate::{Answer, Column, Frame, Label, Matrix, Model, Problem, schema};
use graph::{Graph, Port};
use proto::{ModelProto, NodeProto};
use tensor::{Data, Kind, Tensor};

/// Files of more bytes are not read.
const BYTES_MAX: usize = 512 << 20;
/// A row may not have more inputs.
const WIDTH_MAX: usize = 1 << 20;
/// How many rows run through a graph together at most: what it makes in between stays small.
const ROWS: usize = 4096;
/// How far the shares of a row may be from 1 together.
const SHARES_OFF: f64 = 1e-3;

/// Reads a model file.
///
/// # Errors
/// [`Problem::Damaged`]: it is cut off, or its parts do not fit each other. [`Problem::Unsupported`]: it holds an
/// operation that is not known here, keeps its numbers in other files, or is too large.
pub fn read(bytes: &[u8]) -> Result<Box<dyn Model>, Problem> {
    if bytes.len() > BYTES_MAX {
        return Err(Problem::Unsupported(format!("an ONNX file of {} bytes; the most are {BYTES_MAX}", bytes.len())));
    }
    let file = proto::read(bytes)?;
    Ok(Box::new(Onnx::read(&file, Graph::read(&file)?)?))
}

/// Whether a file begins as ONNX files do: with the version of the format, and a field that follows it.
pub(crate) fn begins(bytes: &[u8]) -> bool {
    matches!(bytes, [0x08, 1..=99, 0x12 | 0x1a | 0x22 | 0x28 | 0x32 | 0x3a | 0x42 | 0x72, ..])
}

/// A model of ONNX.
#[derive(Debug)]
struct Onnx {
    graph: Graph,
    inputs: Vec<Input>,
    names: Option<Vec<String>>,
    kinds: Vec<schema::Kind>,
    width: usize,
    /// How many rows must run together, where the file says that.
    together: Option<usize>,
    /// Which output holds probabilities.
    shares: Option<usize>,
    classes: Option<Vec<Label>>,
}

/// An input: a tensor of so many columns.
#[derive(Debug)]
struct Input {
    name: String,
    kind: Kind,
    /// Lengths along the axes after the first.
    shape: Vec<usize>,
    width: usize,
}

impl Model for Onnx {
    fn inputs(&self) -> Option<&[String]> {
        self.names.as_deref()
    }

    fn width(&self) -> usize {
        self.width
    }

    fn kind(&self, at: usize) -> schema::Kind {
        self.kinds.get(at).copied().unwrap_or(schema::Kind::Any)
    }

    fn predict(&self, rows: &Frame) -> Result<Answer, Problem> {
        answer_of(&self.run(rows, 0)?, rows.rows)
    }

    fn probabilities(&self, rows: &Frame) -> Result<Option<Matrix>, Problem> {
        let Some(at) = self.shares else { return Ok(None) };
        let columns = self.classes.as_ref().map_or(0, Vec::len);
        let matrix = matrix_of(&self.run(rows, at)?, rows.rows)?;
        match matrix.columns == columns || rows.rows == 0 {
            true => Ok(Some(Matrix { columns, ..matrix })),
            false => Err(wrong_rows(format!("it gives {} shares for {columns} classes", matrix.columns))),
        }
    }

    fn classes(&self) -> Option<&[Label]> {
        self.classes.as_deref().filter(|_| self.shares.is_some())
    }
}

impl Onnx {
    fn read(file: &ModelProto, graph: Graph) -> Result<Onnx, Problem> {
        let inputs: Vec<Input> = graph.inputs.iter().map(Input::read).collect::<Result<_, _>>()?;
        let width = inputs.iter().try_fold(0_usize, |all, input| all.checked_add(input.width));
        let width = width.filter(|width| *width <= WIDTH_MAX);
        let width = width.ok_or_else(|| Problem::Unsupported(format!("more than {WIDTH_MAX} inputs a row")))?;
        let names: Vec<String> = inputs.iter().flat_map(Input::columns).collect();
        let kinds = inputs.iter().flat_map(|input| vec![input.kind.of_column(); input.width]).collect();
        let fixed = graph.inputs.iter().filter_map(|port| *port.shape.as_ref()?.first()?);
        let mut model = Onnx {
            names: (inputs.len() > 1).then_some(names),
            together: fixed.reduce(usize::max),
            graph,
            inputs,
            kinds,
            width,
            shares: None,
            classes: None,
        };
        if model.together == Some(0) {
            return Err(Problem::Damaged("it takes no rows".into()));
        }
        model.find_shares(file);
        Ok(model)
    }

    /// Finds the output with probabilities: beside classes, one of floats whose rows are shares of a whole.
    fn find_shares(&mut self, file: &ModelProto) {
        let outputs = &self.graph.outputs;
        if !matches!(outputs[0].kind, Some(Kind::Int | Kind::Small | Kind::Text | Kind::Bool)) {
            return;
        }
        let Some(proto) = &file.graph else { return };
        let said = classes_of(&proto.node, file, &outputs[0].name);
        for (at, port) in outputs.iter().enumerate().skip(1) {
            let said = said.clone().or_else(|| classes_of(&proto.node, file, &port.name));
            let is_named = port.name.to_ascii_lowercase().contains("prob");
            let classes = match (self.try_shares(at), said) {
                (Ok(count), Some(said)) if count == Some(said.len()) => Some(said),
                (Ok(Some(count)), None) if count > 1 => Some((0..count as i64).map(Label::Int).collect()),
                // What takes no made-up row is taken at its word.
                (Err(_), Some(said)) if is_named || port.kind.is_none() => Some(said),
                _ => None,
            };
            if classes.is_some() {
                (self.shares, self.classes) = (Some(at), classes);
                return;
            }
        }
    }

    /// How many shares of a whole an output has for made-up rows; `None`: they are no shares.
    fn try_shares(&self, at: usize) -> Result<Option<usize>, Problem> {
        let rows = self.together.unwrap_or(2);
        let number = |row: usize| if row == 0 { 0.0 } else { 1.0 };
        let column = |kind: &schema::Kind| match kind {
            schema::Kind::Text => Column::Texts(vec![Some(String::new()); rows]),
            _ => Column::Numbers((0..rows).map(number).collect()),
        };
        let frame = Frame { names: Vec::new(), columns: self.kinds.iter().map(column).collect(), rows };
        let matrix = matrix_of(&self.run(&frame, at)?, rows)?;
        let is_whole = |row: &[f64]| {
            let within = row.iter().all(|share| (-SHARES_OFF..=1.0 + SHARES_OFF).contains(share));
            within && (row.iter().sum::<f64>() - 1.0).abs() <= SHARES_OFF
        };
        Ok((0..rows).all(|row| is_whole(matrix.row(row))).then_some(matrix.columns))
    }

    /// One output for all rows, in blocks.
    fn run(&self, frame: &Frame, output: usize) -> Result<Vec<Arc<Tensor>>, Problem> {
        let columns = self.columns(frame)?;
        let size = self.together.unwrap_or(ROWS);
        if self.together.is_some_and(|size| !frame.rows.is_multiple_of(size)) {
            return Err(wrong_rows(format!("it takes {size} rows at a time, and there are {}", frame.rows)));
        }
        let mut made = Vec::new();
        for first in (0..frame.rows).step_by(size) {
            let rows = size.min(frame.rows - first);
            let mut at = 0;
            let given = self.inputs.iter().map(|input| {
                at += input.width;
                input.tensor(&columns[at - input.width..at], first, rows)
            });
            let given = given.collect::<Result<_, _>>()?;
            let mut outputs = self.graph.run(given).map_err(wrong_rows)?;
            let tensor = outputs.swap_remove(output);
            let is_fitting = tensor.shape.first() == Some(&rows) || (rows == 1 && tensor.shape.len() < 2);
            if !is_fitting || tensor.len() % rows != 0 {
                let name = &self.graph.outputs[output].name;
                return Err(wrong_rows(format!("output `{name}` is of the shape {:?} for {rows} rows", tensor.shape)));
            }
            made.push(tensor);
        }
        Ok(made)
    }

    /// The columns of a frame in the order of the inputs.
    fn columns<'a>(&self, frame: &'a Frame) -> Result<Vec<&'a Column>, Problem> {
        if frame.columns.iter().any(|column| column.len() != frame.rows) {
            return Err(Problem::Rows("columns are of different lengths".into()));
        }
        if let Some(names) = self.names.as_ref().filter(|_| !frame.names.is_empty()) {
            let place = |name: &String| frame.names.iter().position(|there| there == name);
            let missing: Vec<&str> = names.iter().filter(|name| place(name).is_none()).map(String::as_str).collect();
            if !missing.is_empty() {
                return Err(Problem::Rows(format!("columns are missing: {}", missing.join(", "))));
            }
            let found = names.iter().filter_map(|name| frame.columns.get(place(name)?));
            let found: Vec<&Column> = found.collect();
            if found.len() == self.width {
                return Ok(found);
            }
        }
        match frame.columns.len() == self.width {
            true => Ok(frame.columns.iter().collect()),
            false => {
                let (given, taken) = (frame.columns.len(), self.width);
                Err(Problem::Rows(format!("{given} columns are given, the model takes {taken}")))
            }
        }
    }
}

impl Input {
    fn read(port: &Port) -> Result<Input, Problem> {
        let name = &port.name;
        let kind = port.kind.ok_or_else(|| {
            Problem::Unsupported(format!("input `{name}`, which is no tensor of numbers of 32 or 64 bits or of texts"))
        })?;
        let help = "save the model with the number of its columns (initial_types of skl2onnx, or example inputs)";
        let unknown = || Problem::Unsupported(format!("input `{name}` does not say how many columns it has: {help}"));
        let shape = port.shape.as_ref().filter(|shape| !shape.is_empty()).ok_or_else(unknown)?;
        let shape: Vec<usize> = shape[1..].iter().map(|length| length.ok_or_else(unknown)).collect::<Result<_, _>>()?;
        let width = tensor::cells(&shape).map_err(Problem::Unsupported)?;
        match width {
            0 => Err(Problem::Damaged(format!("input `{name}` has no columns"))),
            width => Ok(Input { name: name.clone(), kind, shape, width }),
        }
    }

    /// Names of its columns: its own, with numbers where there are several.
    fn columns(&self) -> impl Iterator<Item = String> + '_ {
        (0..self.width).map(|at| match self.width {
            1 => self.name.clone(),
            _ => format!("{}_{at}", self.name),
        })
    }

    /// Some rows of columns as a tensor.
    fn tensor(&self, columns: &[&Column], first: usize, rows: usize) -> Result<Tensor, Problem> {
        let shape = [&[rows], self.shape.as_slice()].concat();
        let count = tensor::cells(&shape).map_err(Problem::Rows)?;
        let fill = |put: &mut dyn FnMut(usize, f64) -> Result<(), Problem>| {
            for (at, column) in columns.iter().enumerate() {
                match column {
                    Column::Numbers(numbers) => {
                        numbers[first..first + rows]
                            .iter()
                            .enumerate()
                            .try_for_each(|(row, x)| put(row * columns.len() + at, *x))?;
                    }
                    Column::Texts(texts) if texts.iter().all(Option::is_none) => {
                        (0..rows).try_for_each(|row| put(row * columns.len() + at, f64::NAN))?;
                    }
                    Column::Texts(_) => {
                        return Err(Problem::Rows(format!("input `{}` takes numbers, not texts", self.name)));
                    }
                }
            }
            Ok(())
        };
        let whole = |x: f64| match x.fract() == 0.0 && x.abs() < 9.3e18 {
            true => Ok(x as i64),
            false => Err(Problem::Rows(format!("input `{}` takes whole numbers, and a row holds {x}", self.name))),
        };
        let data = match self.kind {
            Kind::Float => {
                let mut cells = vec![0.0; count];
                fill(&mut |at, x| {
                    cells[at] = x as f32;
                    Ok(())
                })?;
                Data::Float(cells)
            }
            Kind::Double => {
                let mut cells = vec![0.0; count];
                fill(&mut |at, x| {
                    cells[at] = x;
                    Ok(())
                })?;
                Data::Double(cells)
            }
            Kind::Int | Kind::Small => {
                let mut cells = vec![0; count];
                fill(&mut |at, x| {
                    cells[at] = whole(x)?;
                    Ok(())
                })?;
                Data::Int(cells)
            }
            Kind::Bool => {
                let mut cells = vec![false; count];
                fill(&mut |at, x| {
                    cells[at] = whole(x)? != 0;
                    Ok(())
                })?;
                Data::Bool(cells)
            }
            Kind::Text => {
                let empty: Arc<str> = "".into();
                let mut cells = vec![empty; count];
                for (at, column) in columns.iter().enumerate() {
                    for row in 0..rows {
                        let Column::Texts(texts) = column else {
                            return Err(Problem::Rows(format!("input `{}` takes texts, not numbers", self.name)));
                        };
                        let missing =
                            || Problem::Rows(format!("input `{}` takes texts, and row {row} has none", self.name));
                        cells[row * columns.len() + at] = texts[first + row].as_deref().ok_or_else(missing)?.into();
                    }
                }
                Data::Text(cells)
            }
        };
        Ok(Tensor { shape, data })
    }
}

impl Kind {
    /// What a column of such cells takes.
    fn of_column(self) -> schema::Kind {
        match self {
            Kind::Float => schema::Kind::Float,
            Kind::Double => schema::Kind::Double,
            Kind::Small => schema::Kind::Integer,
            Kind::Int => schema::Kind::Long,
            Kind::Bool => schema::Kind::Boolean,
            Kind::Text => schema::Kind::Text,
        }
    }
}

impl Column {
    fn len(&self) -> usize {
        match self {
            Column::Numbers(numbers) => numbers.len(),
            Column::Texts(texts) => texts.len(),
        }
    }
}

fn wrong_rows(what: String) -> Problem {
    Problem::Rows(what)
}

/// Blocks of an output as an answer: classes where a row is one whole number, text, or yes or no.
fn answer_of(blocks: &[Arc<Tensor>], rows: usize) -> Result<Answer, Problem> {
    let is_single = blocks.iter().all(|block| block.len() == block.shape.first().copied().unwrap_or(1));
    let is_class = |block: &Arc<Tensor>| !matches!(block.data, Data::Float(_) | Data::Double(_));
    match is_single && !blocks.is_empty() && blocks.iter().all(is_class) {
        true => Ok(Answer::Labels(blocks.iter().flat_map(|block| labels(&block.data)).collect())),
        false => Ok(Answer::Numbers(matrix_of(blocks, rows)?)),
    }
}

/// Blocks of an output as numbers, a row each.
fn matrix_of(blocks: &[Arc<Tensor>], rows: usize) -> Result<Matrix, Problem> {
    let mut values = Vec::new();
    for block in blocks {
        values.extend(block.to_doubles().map_err(|_| wrong_rows("it answers several texts a row".into()))?);
    }
    let columns = values.len().checked_div(rows).unwrap_or(1);
    Ok(Matrix { rows, columns, values })
}

fn labels(data: &Data) -> Vec<Label> {
    match data {
        Data::Float(cells) => cells.iter().map(|x| Label::Float(f64::from(*x))).collect(),
        Data::Double(cells) => cells.iter().map(|x| Label::Float(*x)).collect(),
        Data::Int(cells) => cells.iter().map(|x| Label::Int(*x)).collect(),
        Data::Bool(cells) => cells.iter().map(|x| Label::Bool(*x)).collect(),
        Data::Text(cells) => cells.iter().map(|x| Label::Text(x.to_string())).collect(),
    }
}

/// The classes that a tensor is chosen from, as the node says them that chooses.
fn classes_of(nodes: &[NodeProto], file: &ModelProto, output: &str) -> Option<Vec<Label>> {
    let mut name = output;
    // Each step goes to an earlier node, so there are no more steps than nodes.
    for _ in 0..nodes.len() {
        let proto = nodes.iter().find(|node| node.output.iter().any(|made| made == name))?;
        let node = graph::Node::read(proto, file);
        let named = |strings: &str, ints: &str| linear::Classes::of(&node, strings, ints).ok();
        let found = match node.op {
            "TreeEnsembleClassifier" | "ZipMap" => named("classlabels_strings", "classlabels_int64s"),
            "LinearClassifier" | "SVMClassifier" => named("classlabels_strings", "classlabels_ints"),
            "ArrayFeatureExtractor" | "Gather" => {
                let initial = &file.graph.as_ref()?.initializer;
                let list = initial.iter().find(|tensor| Some(&tensor.name) == proto.input.first())?;
                return Tensor::read(list).ok().map(|list| labels(&list.data));
            }
            _ => None,
        };
        match (found, node.op) {
            (Some(linear::Classes::Ints(ints)), _) => return Some(ints.into_iter().map(Label::Int).collect()),
            (Some(linear::Classes::Texts(texts)), _) => {
                return Some(texts.iter().map(|text| Label::Text(text.to_string())).collect());
            }
            (None, "Cast" | "Reshape" | "Identity" | "Squeeze" | "Unsqueeze" | "Flatten" | "ZipMap" | "Normalizer") => {
                name = proto.input.first()?;
            }
            (None, _) => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::proto::*;
    use super::*;

    fn port(name: &str, elem_type: i32, shape: &[Option<i64>]) -> ValueInfoProto {
        let shape = ShapeProto { dim: shape.iter().map(|value| Dim { value: *value }).collect() };
        let tensor = Some(TensorType { elem_type, shape: Some(shape) });
        ValueInfoProto { name: name.into(), kind: Some(TypeProto { tensor }) }
    }

    fn node(op: &str, input: &[&str], output: &[&str]) -> NodeProto {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        NodeProto { op_type: op.into(), input: names(input), output: names(output), ..NodeProto::default() }
    }

    fn tensor(name: &str, dims: &[i64], numbers: &[f32]) -> TensorProto {
        let float_data = numbers.to_vec();
        TensorProto { name: name.into(), dims: dims.to_vec(), data_type: 1, float_data, ..TensorProto::default() }
    }

    /// A graph of X, of two columns, to Y.
    fn graph(nodes: Vec<NodeProto>, initializer: Vec<TensorProto>) -> GraphProto {
        let input = vec![port("X", 1, &[None, Some(2)])];
        GraphProto { node: nodes, initializer, input, output: vec![port("Y", 1, &[])], ..GraphProto::default() }
    }

    fn model(graph: GraphProto) -> Result<Box<dyn Model>, Problem> {
        let set = |domain: &str, version| OperatorSetId { domain: domain.into(), version };
        let opset_import = vec![set("", 18), set("ai.onnx.ml", 3)];
        super::read(&ModelProto { graph: Some(graph), opset_import }.encode_to_vec())
    }

    fn said(graph: GraphProto) -> String {
        match model(graph) {
            Err(problem) => problem.to_string(),
            Ok(model) => {
                let columns = vec![Column::Numbers(vec![1.0, 2.0]); 2];
                model.predict(&Frame { names: Vec::new(), columns, rows: 2 }).unwrap_err().to_string()
            }
        }
    }

    #[test]
    fn what_a_graph_cannot_be_is_said() {
        let shape = |lengths: &[i64]| TensorProto {
            data_type: 7,
            int64_data: lengths.to_vec(),
            ..tensor("s", &[lengths.len() as i64], &[])
        };
        for (graph, says) in [
            (graph(vec![node("LSTM", &["X"], &["Y"])], vec![]), "the operation LSTM of ai.onnx 18"),
            (graph(vec![node("Neg", &["Z"], &["Y"])], vec![]), "takes `Z`, which nobody makes"),
            (graph(vec![node("Neg", &["Y"], &["Z"]), node("Neg", &["Z"], &["Y"])], vec![]), "a circle"),
            (graph(vec![node("Neg", &["X"], &["Z"]), node("Neg", &["X"], &["Z"])], vec![]), "`Z` is made twice"),
            (graph(vec![node("Neg", &["X"], &["Z"])], vec![]), "output `Y` is made by no node"),
            (graph(vec![node("Neg", &[], &["Y"])], vec![]), "input 0 is missing"),
            (
                graph(vec![node("Add", &["X", "w"], &["Y"])], vec![tensor("w", &[3], &[0.0; 3])]),
                "do not fit each other",
            ),
            (
                graph(vec![node("Add", &["X", "w"], &["Y"])], vec![tensor("w", &[4], &[0.0; 3])]),
                "3 cells for the shape [4]",
            ),
            (graph(vec![], vec![tensor("w", &[-1], &[])]), "its shape has -1"),
            (graph(vec![], vec![tensor("w", &[1 << 40, 1 << 40], &[])]), "larger than"),
            (graph(vec![node("ConstantOfShape", &["s"], &["Y"])], vec![shape(&[1 << 40])]), "larger than"),
            (graph(vec![node("Expand", &["X", "s"], &["Y"])], vec![shape(&[1 << 30, 1, 1])]), "larger than"),
            (graph(vec![node("Tile", &["X", "s"], &["Y"])], vec![shape(&[1 << 20, 1 << 20])]), "larger than"),
            (graph(vec![node("Reshape", &["X", "s"], &["Y"])], vec![shape(&[-2])]), "wants the shape"),
        ] {
            let said = said(graph);
            assert!(said.contains(says), "{said:?} says nothing of {says:?}");
        }
    }

    #[test]
    fn graphs_that_hold_too_much_are_refused() {
        let wide = TensorProto { data_type: 7, int64_data: vec![1 << 16, 1, 2], ..tensor("s", &[3], &[]) };
        let mut nodes: Vec<NodeProto> = (0..9).map(|at| node("Expand", &["X", "s"], &[&format!("x{at}")])).collect();
        nodes.push(node("Neg", &["X"], &["Y"]));
        // What nobody takes is let go at once, and what is taken at the end is held.
        assert!(model(graph(nodes[8..].to_vec(), vec![wide.clone()])).is_ok());
        let names: Vec<String> = (0..9).map(|at| format!("x{at}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        nodes[9] = node("Sum", &names, &["Y"]);
        let said = said(graph(nodes, vec![wide]));
        assert!(said.contains("held at once"), "{said}");
    }

    #[test]
    fn numbers_in_other_files_are_never_fetched() {
        for place in ["weights.bin", "../../etc/passwd", "/etc/passwd", ""] {
            let entry = Entry { key: "location".into(), value: place.into() };
            let outside = TensorProto { external_data: vec![entry], data_location: 1, ..tensor("w", &[2], &[]) };
            let said = said(graph(vec![node("Add", &["X", "w"], &["Y"])], vec![outside]));
            assert!(said.contains("never opened") && said.contains(&format!("{place:?}")), "{said}");
        }
    }

    #[test]
    fn inputs_must_be_known() {
        for (input, says) in [
            (port("X", 1, &[None, None]), "does not say how many columns"),
            (port("X", 1, &[]), "does not say how many columns"),
            (port("X", 10, &[None, Some(2)]), "no tensor of numbers of 32 or 64 bits"),
            (ValueInfoProto { name: "X".into(), kind: None }, "no tensor of numbers"),
            (port("X", 1, &[None, Some(0)]), "has no columns"),
            (port("X", 1, &[None, Some(1 << 21)]), "inputs a row"),
            (port("X", 1, &[Some(0), Some(2)]), "takes no rows"),
        ] {
            let graph = GraphProto { input: vec![input], ..graph(vec![node("Neg", &["X"], &["Y"])], vec![]) };
            let said = said(graph);
            assert!(said.contains(says), "{said:?} says nothing of {says:?}");
        }
    }

    fn floats(name: &str, floats: &[f32]) -> AttributeProto {
        AttributeProto { name: name.into(), floats: floats.to_vec(), ..AttributeProto::default() }
    }

    fn ints(name: &str, ints: &[i64]) -> AttributeProto {
        AttributeProto { name: name.into(), ints: ints.to_vec(), ..AttributeProto::default() }
    }

    /// A tree: a question at node 0, leaves at the others.
    fn forest(change: impl Fn(&mut Vec<AttributeProto>)) -> GraphProto {
        let modes = ["BRANCH_LEQ", "LEAF", "LEAF"].map(|mode| mode.as_bytes().to_vec()).to_vec();
        let mut attribute = vec![
            ints("nodes_treeids", &[0, 0, 0]),
            ints("nodes_nodeids", &[0, 1, 2]),
            ints("nodes_featureids", &[1, 0, 0]),
            floats("nodes_values", &[0.5, 0.0, 0.0]),
            ints("nodes_truenodeids", &[1, 0, 0]),
            ints("nodes_falsenodeids", &[2, 0, 0]),
            ints("target_treeids", &[0, 0]),
            ints("target_nodeids", &[1, 2]),
            ints("target_ids", &[0, 0]),
            floats("target_weights", &[1.0, 2.0]),
            AttributeProto { name: "nodes_modes".into(), strings: modes, ..AttributeProto::default() },
        ];
        change(&mut attribute);
        let tree =
            NodeProto { attribute, domain: "ai.onnx.ml".into(), ..node("TreeEnsembleRegressor", &["X"], &["Y"]) };
        graph(vec![tree], vec![])
    }

    #[test]
    fn what_a_forest_cannot_be_is_said() {
        assert!(model(forest(|_| {})).is_ok());
        for (at, attribute, says) in [
            (1, ints("nodes_nodeids", &[0, 1, 1]), "has the node 1 twice"),
            (2, ints("nodes_featureids", &[-1, 0, 0]), "asks for input -1"),
            (2, ints("nodes_featureids", &[7, 0, 0]), "ask for 8 columns and there are 2"),
            (3, floats("nodes_values", &[f32::NAN, 0.0, 0.0]), "threshold is NaN"),
            (3, floats("nodes_values", &[0.0]), "different lengths"),
            (4, ints("nodes_truenodeids", &[0, 0, 0]), "circle"),
            (4, ints("nodes_truenodeids", &[9, 0, 0]), "leads to 9, which is not there"),
            (7, ints("target_nodeids", &[1, 5]), "which is no leaf"),
            (8, ints("target_ids", &[0, 3]), "output 3 of 1"),
            (9, floats("target_weights", &[f32::NAN, 0.0]), "holds NaN"),
        ] {
            let said = said(forest(|attributes| attributes[at] = attribute.clone()));
            assert!(said.contains(says), "{said:?} says nothing of {says:?}");
        }
    }

    #[test]
    fn a_million_trees_are_read() {
        let count = 1_000_000;
        let all: Vec<i64> = (0..count).collect();
        let zeros = vec![0; all.len()];
        let graph = forest(|attributes| {
            for (at, list) in
                [(0, &all), (1, &zeros), (2, &zeros), (4, &zeros), (5, &zeros), (6, &all), (7, &zeros), (8, &zeros)]
            {
                attributes[at].ints = list.clone();
            }
            attributes[3].floats = vec![0.0; all.len()];
            attributes[9].floats = vec![1.0; all.len()];
            attributes[10].strings = vec![b"LEAF".to_vec(); all.len()];
        });
        let model = model(graph).unwrap();
        let rows = Frame { names: Vec::new(), columns: vec![Column::Numbers(vec![0.0]); 2], rows: 1 };
        assert_eq!(model.predict(&rows).unwrap(), Answer::Numbers(Matrix { rows: 1, columns: 1, values: vec![1e6] }));
    }

    #[test]
    fn rows_come_in_blocks() {
        let model = model(graph(vec![node("Neg", &["X"], &["Y"])], vec![])).unwrap();
        let rows = 2 * ROWS + 1;
        let numbers: Vec<f64> = (0..rows).map(|at| at as f64).collect();
        let frame = Frame { names: Vec::new(), columns: vec![Column::Numbers(numbers); 2], rows };
        let Answer::Numbers(matrix) = model.predict(&frame).unwrap() else { panic!("labels") };
        assert_eq!((matrix.rows, matrix.columns), (rows, 2));
        assert_eq!(matrix.row(rows - 1), [-(rows as f64 - 1.0); 2]);
        let none = Frame { names: Vec::new(), columns: vec![Column::Numbers(vec![]); 2], rows: 0 };
        assert_eq!(model.predict(&none).unwrap().rows(), 0);
    }
}
