//! A version of a model that can be asked: the model, what it takes, and what it answers with.

use serde_json::Value;

use crate::{Answer, Column, Explanation, Frame, Kind, Label, Matrix, MlModel, Model, Problem, Schema};

/// What a model is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// What its library's `predict` answers.
    Predict,
    /// A probability for each class.
    Probabilities,
}

impl Method {
    /// Its name, as scikit-learn and MLServer have it.
    pub fn name(self) -> &'static str {
        match self {
            Method::Predict => "predict",
            Method::Probabilities => "predict_proba",
        }
    }

    /// The method of a name.
    pub fn of(name: &str) -> Option<Method> {
        [Method::Predict, Method::Probabilities].into_iter().find(|method| method.name() == name)
    }
}

/// A version of a model, ready to be asked from many threads.
#[derive(Debug)]
pub struct Servable {
    /// The registered model's name.
    pub name: String,
    /// The number of its version.
    pub version: u64,
    /// Which library wrote its file, as far as that is said.
    pub platform: String,
    /// What it takes.
    pub schema: Schema,
    /// What it is asked for where a request does not say.
    pub method: Method,
    /// What its answers are: told by asking it once.
    pub answers: Answers,
    model: Box<dyn Model>,
}

/// What the answers of `predict` are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    /// Numbers, so many a row.
    Numbers(usize),
    /// Classes, of one kind.
    Classes(Kind),
}

impl Servable {
    /// Makes a version ready: what it takes is read from its signature or its file, and it is asked once.
    ///
    /// # Errors
    /// [`Problem::Unsupported`]: a signature or a method that is not run here.
    pub fn new(name: &str, version: u64, page: &MlModel, model: Box<dyn Model>) -> Result<Servable, Problem> {
        let schema = match &page.inputs {
            Some(inputs) => Schema::of_signature(inputs, model.width())?,
            None => Schema::of_model(model.as_ref()),
        };
        let method = match page.method.as_deref() {
            None => Method::Predict,
            Some(name) => Method::of(name).ok_or_else(|| {
                Problem::Unsupported(format!("the method {name:?} (predict_fn), only predict and predict_proba are"))
            })?,
        };
        if method == Method::Probabilities && model.classes().is_none() {
            return Err(Problem::Unsupported("predict_proba of a model that is no classifier".into()));
        }
        // A booster that knows its classes answers numbers all the same; what takes no row of zeros is taken at its word.
        let answers = match (model.predict(&blank(&schema)), model.classes()) {
            (Ok(Answer::Numbers(matrix)), _) => Answers::Numbers(matrix.columns),
            (Ok(Answer::Labels(labels)), None) => Answers::Classes(kind_of(&labels)),
            (_, Some(classes)) => Answers::Classes(kind_of(classes)),
            (_, None) => Answers::Numbers(1),
        };
        let platform = page.flavor.clone().unwrap_or_else(|| "unknown".into());
        Ok(Servable { name: name.to_owned(), version, platform, schema, method, answers, model })
    }

    /// What it answers.
    ///
    /// # Errors
    /// [`Problem::Rows`]: rows that it takes not, or probabilities of what has none.
    pub fn ask(&self, rows: &Frame, method: Method) -> Result<Answer, Problem> {
        match method {
            Method::Predict => self.model.predict(rows),
            Method::Probabilities => {
                let shares = self.model.probabilities(rows)?;
                let none = || Problem::Rows(format!("model {:?} gives no probabilities", self.name));
                Ok(Answer::Numbers(shares.ok_or_else(none)?))
            }
        }
    }

    /// What its answers are made of, by input: see [`crate::explain`]. Inputs are named by the model's file, else by the
    /// schema. `reference` are rows that a linear model is compared with, which trees do without.
    ///
    /// # Errors
    /// [`Problem::Unsupported`]: a model that cannot be explained; the message says which can. [`Problem::Rows`]: rows
    /// that it does not take, none, or too many at once, or a linear model that needs a reference.
    pub fn explain(&self, rows: &Frame, reference: Option<&Frame>) -> Result<Explanation, Problem> {
        let mut explanation = self.model.explain(rows, reference)?;
        if let (None, Schema::Columns(fields)) = (self.model.inputs(), &self.schema) {
            explanation.inputs.iter_mut().zip(fields).for_each(|(name, field)| name.clone_from(&field.name));
        }
        Ok(explanation)
    }

    /// The classes, in the order of the columns of probabilities.
    pub fn classes(&self) -> Option<&[Label]> {
        self.model.classes()
    }

    /// The methods that it can be asked for.
    pub fn methods(&self) -> &'static [Method] {
        match self.model.classes() {
            Some(_) => &[Method::Predict, Method::Probabilities],
            None => &[Method::Predict],
        }
    }
}

impl Label {
    /// As JSON.
    pub fn to_json(&self) -> Value {
        match self {
            Label::Int(number) => (*number).into(),
            Label::Float(number) => (*number).into(),
            Label::Bool(is) => (*is).into(),
            Label::Text(text) => text.as_str().into(),
        }
    }

    /// As text.
    pub fn to_text(&self) -> String {
        match self {
            Label::Int(number) => number.to_string(),
            Label::Float(number) => number.to_string(),
            Label::Bool(is) => is.to_string(),
            Label::Text(text) => text.clone(),
        }
    }
}

impl Answer {
    /// How many rows.
    pub fn rows(&self) -> usize {
        match self {
            Answer::Numbers(matrix) => matrix.rows,
            Answer::Labels(labels) => labels.len(),
        }
    }

    /// As JSON: a value a row, or a list where a row has several.
    pub fn to_json(&self) -> Vec<Value> {
        match self {
            Answer::Labels(labels) => labels.iter().map(Label::to_json).collect(),
            Answer::Numbers(Matrix { columns: 1, values, .. }) => values.iter().map(|value| (*value).into()).collect(),
            Answer::Numbers(matrix) => (0..matrix.rows).map(|row| matrix.row(row).into()).collect(),
        }
    }
}

/// A row of zeros, or of nothing where texts stand: most models answer it.
fn blank(schema: &Schema) -> Frame {
    let names = match schema {
        Schema::Columns(fields) => fields.iter().map(|field| field.name.clone()).collect(),
        Schema::Matrix { .. } => Vec::new(),
    };
    let kind = |at: usize| match schema {
        Schema::Columns(fields) => fields[at].kind,
        Schema::Matrix { kind, .. } => *kind,
    };
    let column = |at: usize| match kind(at) {
        Kind::Text => Column::Texts(vec![Some(String::new())]),
        _ => Column::Numbers(vec![0.0]),
    };
    Frame { names, columns: (0..schema.width()).map(column).collect(), rows: 1 }
}

fn kind_of(classes: &[Label]) -> Kind {
    match classes.first() {
        Some(Label::Bool(_)) => Kind::Boolean,
        Some(Label::Float(_)) => Kind::Double,
        Some(Label::Text(_)) => Kind::Text,
        _ => Kind::Long,
    }
}
