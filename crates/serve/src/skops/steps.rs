//! Steps before a model: scalers, encoders, imputers, and those that hold other steps.

use super::encoders::Encoder;
use super::impute::Imputer;
use super::node::Node;
use super::object::Thing;
use super::table::{Table, Takes};
use crate::{Matrix, Problem};

/// How many steps may hold one another.
const DEPTH: usize = 16;

/// The most columns there may be between steps, and inputs of a model.
pub(super) const WIDEST: usize = 1 << 20;

/// The highest degree of polynomials.
const DEGREE: usize = 64;

/// The most columns polynomials may have.
const TERMS: usize = 100_000;

/// What is done to rows.
#[derive(Debug)]
pub(super) enum Step {
    /// Nothing.
    Pass,
    /// All in their order.
    Chain(Vec<Step>),
    /// Each gets the rows; the columns of all are the answer.
    Union(Vec<Part>),
    /// Numbers to as many numbers.
    Scale {
        who: String,
        width: usize,
        takes: Takes,
        how: Scale,
    },
    /// A matrix times rows.
    Project {
        who: String,
        width: usize,
        components: Matrix,
        shift: Vec<f64>,
        divide: Option<Vec<f64>>,
    },
    /// Products of inputs.
    Terms {
        width: usize,
        terms: Vec<Vec<usize>>,
    },
    Encode(Encoder),
    Impute(Imputer),
}

/// A step within [`Step::Union`].
#[derive(Debug)]
pub(super) struct Part {
    /// The columns it gets; `None`: all.
    pub(super) columns: Option<Vec<usize>>,
    pub(super) step: Step,
    pub(super) weight: Option<f64>,
}

/// How numbers are scaled.
#[derive(Debug)]
pub(super) enum Scale {
    /// Less the first, then divided by the second.
    Center(Option<Vec<f64>>, Option<Vec<f64>>),
    /// Times the first, plus the second, within bounds where there are some.
    Stretch(Vec<f64>, Vec<f64>, Option<(f64, f64)>),
    /// Rows of length 1.
    Rows(fn(&[f64]) -> f64),
    /// A function of each number.
    Each(fn(f64) -> f64),
}

impl Step {
    /// Reads a step of a pipeline, a union or a column transformer.
    pub(super) fn read(thing: Thing<'_>, depth: usize) -> Result<Step, Problem> {
        if depth >= DEPTH {
            return Err(Problem::Unsupported("steps that hold one another too deeply".to_owned()));
        }
        if !thing.is_of("sklearn") {
            return Err(Problem::Unsupported(format!("the class {}", thing.full_name())));
        }
        let width = || thing.count("n_features_in_");
        let scale = |takes, how| Ok(Step::Scale { who: thing.class().to_owned(), width: width()?, takes, how });
        let center = |mean: Option<&str>, divisor: Option<&str>| {
            let mean = mean.map(|name| sized(thing, name)).transpose()?;
            let divisor = divisor.map(|name| sized(thing, name)).transpose()?;
            scale(Takes::Missing, Scale::Center(mean, divisor))
        };
        match thing.class() {
            "Pipeline" => {
                let steps = thing.list("steps")?.iter().map(|step| read_named(thing, step, depth));
                Ok(Step::Chain(steps.filter_map(Result::transpose).collect::<Result<_, _>>()?))
            }
            "ColumnTransformer" => read_columns(thing, depth),
            "FeatureUnion" => read_union(thing, depth),
            "StandardScaler" => {
                let (mean, std) = (thing.flag("with_mean", true)?, thing.flag("with_std", true)?);
                center(mean.then_some("mean_"), std.then_some("scale_"))
            }
            "RobustScaler" => {
                let (mean, std) = (thing.flag("with_centering", true)?, thing.flag("with_scaling", true)?);
                center(mean.then_some("center_"), std.then_some("scale_"))
            }
            "MaxAbsScaler" if thing.flag("clip", false)? => Err(thing.unsupported("clip")),
            "MaxAbsScaler" => center(None, Some("scale_")),
            "MinMaxScaler" => {
                let bounds = match thing.flag("clip", false)? {
                    true => Some(read_range(thing)?),
                    false => None,
                };
                let how = Scale::Stretch(sized(thing, "scale_")?, sized(thing, "min_")?, bounds);
                scale(Takes::Missing, how)
            }
            "Normalizer" => match thing.text("norm") {
                Some("l1") => scale(Takes::Finite, Scale::Rows(|row| row.iter().map(|x| x.abs()).sum())),
                Some("l2") => scale(Takes::Finite, Scale::Rows(|row| row.iter().map(|x| x * x).sum::<f64>().sqrt())),
                Some("max") => {
                    scale(Takes::Finite, Scale::Rows(|row| row.iter().fold(0.0, |a: f64, b| a.max(b.abs()))))
                }
                _ => Err(thing.unsupported("norm")),
            },
            "FunctionTransformer" => read_function(thing),
            "PCA" | "TruncatedSVD" => read_projection(thing),
            "PolynomialFeatures" => read_terms(thing),
            "OneHotEncoder" | "OrdinalEncoder" => Encoder::read(thing).map(Step::Encode),
            "SimpleImputer" => Imputer::read(thing).map(Step::Impute),
            class => Err(Problem::Unsupported(format!("the class {class} as a step"))),
        }
    }

    /// The rows after this step.
    pub(super) fn apply<'a>(&self, table: Table<'a>) -> Result<Table<'a>, Problem> {
        let first = table.first;
        match self {
            Step::Pass => Ok(table),
            Step::Chain(steps) => steps.iter().try_fold(table, |table, step| step.apply(table)),
            Step::Union(parts) => {
                let (rows, mut tables) = (table.rows, Vec::with_capacity(parts.len()));
                for part in parts {
                    tables.push(part.apply(&table)?);
                }
                Ok(Table::beside(first, rows, tables))
            }
            Step::Scale { who, width, takes, how } => {
                let mut matrix = table.into_matrix(who, *width, *takes)?;
                how.apply(&mut matrix);
                Ok(Table::numbers(first, matrix))
            }
            Step::Project { who, width, components, shift, divide } => {
                let matrix = table.into_matrix(who, *width, Takes::Finite)?;
                Ok(Table::numbers(first, project(&matrix, components, shift, divide.as_deref())))
            }
            Step::Terms { width, terms } => {
                let matrix = table.into_matrix("PolynomialFeatures", *width, Takes::Finite)?;
                let mut values = Vec::with_capacity(matrix.rows * terms.len());
                for row in 0..matrix.rows {
                    let row = matrix.row(row);
                    values.extend(terms.iter().map(|term| term.iter().map(|at| row[*at]).product::<f64>()));
                }
                Ok(Table::numbers(first, Matrix { rows: matrix.rows, columns: terms.len(), values }))
            }
            Step::Encode(encoder) => encoder.apply(table),
            Step::Impute(imputer) => imputer.apply(table),
        }
    }

    /// How many columns it answers where it is given `input`; `widest` becomes the most there are in between.
    pub(super) fn out(&self, input: usize, widest: &mut usize) -> Result<usize, Problem> {
        let takes = |who: &str, width: usize, out: usize| match input == width {
            true => Ok(out),
            false => Err(Problem::Damaged(format!("{who} takes {width} inputs and is given {input}"))),
        };
        let out = match self {
            Step::Pass => input,
            Step::Chain(steps) => steps.iter().try_fold(input, |input, step| step.out(input, widest))?,
            Step::Union(parts) => {
                let mut sum = 0usize;
                for part in parts {
                    let columns = part.columns.as_ref().map_or(input, Vec::len);
                    sum = sum.saturating_add(part.step.out(columns, widest)?);
                }
                sum
            }
            Step::Scale { who, width, .. } => takes(who, *width, input)?,
            Step::Project { who, width, components, .. } => takes(who, *width, components.rows)?,
            Step::Terms { width, terms } => takes("PolynomialFeatures", *width, terms.len())?,
            Step::Encode(encoder) => takes(encoder.who(), encoder.inputs(), encoder.out())?,
            Step::Impute(imputer) => takes("SimpleImputer", imputer.inputs(), imputer.out())?,
        };
        *widest = out.max(*widest);
        match out <= WIDEST {
            true => Ok(out),
            false => Err(Problem::Unsupported(format!("steps that answer more than {WIDEST} columns"))),
        }
    }

    /// Which of its inputs it looks at; `None`: all.
    pub(super) fn columns_used(&self) -> Option<Vec<usize>> {
        match self {
            Step::Chain(steps) => steps.first()?.columns_used(),
            Step::Union(parts) => {
                let columns: Option<Vec<_>> = parts.iter().map(|part| part.columns.clone()).collect();
                columns.map(|columns| columns.concat())
            }
            _ => None,
        }
    }
}

impl Part {
    fn apply<'a>(&self, table: &Table<'a>) -> Result<Table<'a>, Problem> {
        let columns: Vec<usize> = match &self.columns {
            Some(columns) => columns.clone(),
            None => (0..table.width()).collect(),
        };
        let there = table.select(&columns);
        let there = there.ok_or_else(|| Problem::Rows(format!("there are only {} inputs", table.width())))?;
        let answer = self.step.apply(there)?;
        let Some(weight) = self.weight else { return Ok(answer) };
        let (first, width) = (answer.first, answer.width());
        let mut matrix = answer.into_matrix("a weighted step", width, Takes::Anything)?;
        matrix.values.iter_mut().for_each(|value| *value *= weight);
        Ok(Table::numbers(first, matrix))
    }
}

impl Scale {
    /// What undoes a transformer of targets.
    pub(super) fn read_inverse(thing: Thing<'_>) -> Result<Scale, Problem> {
        match thing.class() {
            "StandardScaler" if thing.is_of("sklearn") => {
                let width = thing.count("n_features_in_")?.min(WIDEST);
                let ones = |name| if thing.get(name).is_some() { sized(thing, name) } else { Ok(vec![1.0; width]) };
                let mean = if thing.flag("with_mean", true)? { sized(thing, "mean_")? } else { vec![0.0; width] };
                Ok(Scale::Stretch(ones("scale_")?, mean, None))
            }
            "FunctionTransformer" if thing.is_of("sklearn") => {
                let function = match thing.get("inverse_func") {
                    None => return Ok(Scale::Each(|x| x)),
                    Some(node) => thing.other(node)?,
                };
                let plain = function.is_of("numpy") && function.loader() == "FunctionNode";
                let how = if plain { each(function.class()) } else { None };
                how.map(Scale::Each).ok_or_else(|| thing.unsupported("inverse_func"))
            }
            _ => Err(Problem::Unsupported(format!("the class {} for targets", thing.full_name()))),
        }
    }

    pub(super) fn apply(&self, matrix: &mut Matrix) {
        let width = matrix.columns.max(1);
        for row in matrix.values.chunks_exact_mut(width) {
            match self {
                Scale::Center(mean, divisor) => {
                    if let Some(mean) = mean {
                        row.iter_mut().zip(mean).for_each(|(x, mean)| *x -= mean);
                    }
                    if let Some(divisor) = divisor {
                        row.iter_mut().zip(divisor).for_each(|(x, divisor)| *x /= divisor);
                    }
                }
                Scale::Stretch(scale, min, bounds) => {
                    for ((x, scale), min) in row.iter_mut().zip(scale).zip(min) {
                        *x = *x * scale + min;
                        if let Some((low, high)) = bounds {
                            *x = if *x < *low {
                                *low
                            } else if *x > *high {
                                *high
                            } else {
                                *x
                            };
                        }
                    }
                }
                Scale::Rows(length) => {
                    let length = length(row);
                    if length != 0.0 {
                        row.iter_mut().for_each(|x| *x /= length);
                    }
                }
                Scale::Each(function) => row.iter_mut().for_each(|x| *x = function(*x)),
            }
        }
    }
}

/// Numbers, as many as inputs.
fn sized(thing: Thing<'_>, name: &str) -> Result<Vec<f64>, Problem> {
    let values = thing.floats(name)?;
    let width = thing.count("n_features_in_")?;
    match values.len() == width {
        true => Ok(values),
        false => Err(thing.wrong(name, &format!("has {} numbers for {width} inputs", values.len()))),
    }
}

fn read_range(thing: Thing<'_>) -> Result<(f64, f64), Problem> {
    let number = |node: &Node| match node {
        Node::Int(value) => Some(*value as f64),
        Node::Float(value) => Some(*value),
        _ => None,
    };
    match thing.list("feature_range")? {
        [low, high] => number(low).zip(number(high)).ok_or_else(|| thing.wrong("feature_range", "is no range")),
        _ => Err(thing.wrong("feature_range", "is no range")),
    }
}

/// The step of a pair of a name and a step; `None`: it does nothing.
fn read_named<'a>(thing: Thing<'a>, pair: &'a Node, depth: usize) -> Result<Option<Step>, Problem> {
    match pair {
        Node::List(pair) if pair.len() >= 2 => match &pair[1] {
            Node::Null => Ok(None),
            Node::Text(word) if &**word == "passthrough" => Ok(None),
            node => Step::read(thing.other(node)?, depth + 1).map(Some),
        },
        _ => Err(thing.wrong("steps", "holds what is no named step")),
    }
}

fn weight_of(thing: Thing<'_>, name: &str) -> Result<Option<f64>, Problem> {
    let Some(weights) = thing.get("transformer_weights") else { return Ok(None) };
    let Node::Dict(weights) = weights else { return Err(thing.unsupported("transformer_weights")) };
    match weights.iter().find(|(key, _)| &**key == name) {
        None => Ok(None),
        Some((_, Node::Int(weight))) => Ok(Some(*weight as f64)),
        Some((_, Node::Float(weight))) => Ok(Some(*weight)),
        Some(_) => Err(thing.unsupported("transformer_weights")),
    }
}

fn read_union(thing: Thing<'_>, depth: usize) -> Result<Step, Problem> {
    let mut parts = Vec::new();
    for pair in thing.list("transformer_list")? {
        let (name, node) = match pair {
            Node::List(pair) => match &pair[..] {
                [Node::Text(name), node] => (name, node),
                _ => return Err(thing.wrong("transformer_list", "holds what is no named step")),
            },
            _ => return Err(thing.wrong("transformer_list", "holds what is no named step")),
        };
        let step = match node {
            Node::Text(word) if &**word == "drop" => continue,
            Node::Text(word) if &**word == "passthrough" => Step::Pass,
            node => Step::read(thing.other(node)?, depth + 1)?,
        };
        parts.push(Part { columns: None, step, weight: weight_of(thing, name)? });
    }
    Ok(Step::Union(parts))
}

fn read_columns(thing: Thing<'_>, depth: usize) -> Result<Step, Problem> {
    let Node::Dict(places) = thing.need("_transformer_to_input_indices")? else {
        return Err(thing.wrong("_transformer_to_input_indices", "is no dictionary"));
    };
    let inputs = thing.count("n_features_in_")?;
    let mut parts = Vec::new();
    for triple in thing.list("transformers_")? {
        let (name, node) = match triple {
            Node::List(triple) => match &triple[..] {
                [Node::Text(name), node, _] => (name, node),
                _ => return Err(thing.wrong("transformers_", "holds what is no named step")),
            },
            _ => return Err(thing.wrong("transformers_", "holds what is no named step")),
        };
        let place = places.iter().find(|(key, _)| key == name).map(|(_, place)| place);
        let columns = match place {
            Some(Node::List(columns)) => columns.iter().map(|column| match column {
                Node::Int(at) => usize::try_from(*at).ok().filter(|at| *at < inputs),
                _ => None,
            }),
            _ => return Err(Problem::Unsupported(format!("columns of {name} that are found at run time"))),
        };
        let columns: Option<Vec<usize>> = columns.collect();
        let columns = columns.ok_or_else(|| thing.wrong("_transformer_to_input_indices", "holds no places"))?;
        let step = match node {
            Node::Text(word) if &**word == "drop" => continue,
            _ if columns.is_empty() => continue,
            Node::Text(word) if &**word == "passthrough" => Step::Pass,
            node => Step::read(thing.other(node)?, depth + 1)?,
        };
        parts.push(Part { columns: Some(columns), step, weight: weight_of(thing, name)? });
    }
    Ok(Step::Union(parts))
}

fn read_function(thing: Thing<'_>) -> Result<Step, Problem> {
    let Some(node) = thing.get("func") else { return Ok(Step::Pass) };
    if thing.get("kw_args").is_some_and(|arguments| *arguments != Node::Dict(Vec::new())) {
        return Err(thing.unsupported("kw_args"));
    }
    let function = thing.other(node)?;
    if only_checks(function) {
        return Ok(Step::Pass);
    }
    let how =
        (function.is_of("numpy") && function.loader() == "FunctionNode").then(|| each(function.class())).flatten();
    let how = how.ok_or_else(|| thing.unsupported("func"))?;
    let width = thing.count("n_features_in_")?;
    let takes = if thing.flag("validate", false)? { Takes::Finite } else { Takes::Anything };
    Ok(Step::Scale { who: thing.class().to_owned(), width, takes, how: Scale::Each(how) })
}

/// Whether a function is scikit-learn's check of what it is given, as HistGradientBoosting has for its numbers.
fn only_checks(function: Thing<'_>) -> bool {
    let Node::Dict(parts) = function.content() else { return false };
    let checks = |node: &Node| matches!(node, Node::Object(object) if &*object.class == "check_array");
    function.loader() == "PartialNode" && parts.iter().any(|(key, node)| &**key == "func" && checks(node))
}

/// A function of NumPy by its name.
fn each(name: &str) -> Option<fn(f64) -> f64> {
    Some(match name {
        "log" => f64::ln,
        "log1p" => f64::ln_1p,
        "log2" => f64::log2,
        "log10" => f64::log10,
        "exp" => f64::exp,
        "expm1" => f64::exp_m1,
        "sqrt" => f64::sqrt,
        "cbrt" => f64::cbrt,
        "square" => |x| x * x,
        "absolute" | "abs" => f64::abs,
        "sin" => f64::sin,
        "cos" => f64::cos,
        "tanh" => f64::tanh,
        _ => return None,
    })
}

fn read_projection(thing: Thing<'_>) -> Result<Step, Problem> {
    let components = thing.matrix("components_")?;
    let width = thing.count("n_features_in_")?;
    if components.columns != width {
        return Err(thing.wrong("components_", "does not fit the inputs"));
    }
    let shift = match thing.get("mean_") {
        Some(_) => {
            let mean = Matrix { rows: 1, columns: width, values: sized(thing, "mean_")? };
            project(&mean, &components, &vec![0.0; components.rows], None).values
        }
        None => vec![0.0; components.rows],
    };
    let divide = match thing.class() == "PCA" && thing.flag("whiten", false)? {
        true => {
            let variance = thing.floats("explained_variance_")?;
            if variance.len() != components.rows {
                return Err(thing.wrong("explained_variance_", "does not fit the components"));
            }
            Some(variance.iter().map(|variance| variance.sqrt().max(f64::EPSILON)).collect())
        }
        false => None,
    };
    Ok(Step::Project { who: thing.class().to_owned(), width, components, shift, divide })
}

fn project(matrix: &Matrix, components: &Matrix, shift: &[f64], divide: Option<&[f64]>) -> Matrix {
    let mut values = Vec::with_capacity(matrix.rows * components.rows);
    for row in 0..matrix.rows {
        let row = matrix.row(row);
        for component in 0..components.rows {
            let sum: f64 = row.iter().zip(components.row(component)).map(|(x, weight)| x * weight).sum();
            let centered = sum - shift[component];
            values.push(divide.map_or(centered, |divide| centered / divide[component]));
        }
    }
    Matrix { rows: matrix.rows, columns: components.rows, values }
}

fn read_terms(thing: Thing<'_>) -> Result<Step, Problem> {
    let (width, once) = (thing.count("n_features_in_")?, thing.flag("interaction_only", false)?);
    let (low, high) = (thing.count("_min_degree")?, thing.count("_max_degree")?);
    let count = thing.count("n_output_features_")?;
    if count > TERMS {
        return Err(Problem::Unsupported(format!("PolynomialFeatures of {count} columns; the most are {TERMS}")));
    }
    if high > DEGREE {
        return Err(Problem::Unsupported(format!("PolynomialFeatures of degree {high}; the highest is {DEGREE}")));
    }
    let mut terms: Vec<Vec<usize>> = Vec::new();
    if thing.flag("include_bias", true)? {
        terms.push(Vec::new());
    }
    // The terms of a degree are those of the degree before, each with one input more, in their order.
    let mut last = vec![Vec::new()];
    for degree in 1..=high {
        let mut next: Vec<Vec<usize>> = Vec::new();
        for term in &last {
            let from = term.last().map_or(0, |last| last + usize::from(once));
            for at in from..width {
                let mut longer: Vec<usize> = term.clone();
                longer.push(at);
                next.push(longer);
                if next.len() > TERMS {
                    return Err(thing.wrong("n_output_features_", "is not the number of terms"));
                }
            }
        }
        if next.is_empty() {
            break;
        }
        if degree >= low.max(1) {
            terms.extend_from_slice(&next);
        }
        last = next;
    }
    match terms.len() == count {
        true => Ok(Step::Terms { width, terms }),
        false => Err(thing.wrong("n_output_features_", "is not the number of terms")),
    }
}
