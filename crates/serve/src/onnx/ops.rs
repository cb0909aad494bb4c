//! The operations that are known here: one list.

use super::graph::{Node, Op};
use super::{encoders, forest, linear, matrix, numbers, reduce, scalers, shapes, svm, windows};
use crate::Problem;

/// Makes an operation of a node, or says what of it is not run here.
pub(super) type Make = fn(&Node) -> Result<Op, Problem>;

/// The set of operations of ONNX for models of tables.
const TABLES: &str = "ai.onnx.ml";

/// Operations of ONNX itself.
const PLAIN: &[(&str, Make)] = &[
    ("Abs", numbers::unary),
    ("Add", numbers::binary),
    ("And", numbers::logic),
    ("ArgMax", reduce::arg),
    ("ArgMin", reduce::arg),
    ("AveragePool", windows::pool),
    ("BatchNormalization", matrix::batch_normalization),
    ("Cast", numbers::cast),
    ("Ceil", numbers::unary),
    ("Clip", numbers::clip),
    ("Concat", shapes::concat),
    ("Constant", shapes::constant),
    ("ConstantOfShape", shapes::constant_of_shape),
    ("Conv", windows::conv),
    ("Cos", numbers::unary),
    ("Div", numbers::binary),
    ("Dropout", shapes::dropout),
    ("Elu", numbers::unary),
    ("Equal", numbers::compare),
    ("Erf", numbers::unary),
    ("Exp", numbers::unary),
    ("Expand", shapes::expand),
    ("Flatten", shapes::flatten),
    ("Floor", numbers::unary),
    ("Gather", shapes::gather),
    ("GatherElements", shapes::gather_elements),
    ("Gelu", numbers::unary),
    ("Gemm", matrix::gemm),
    ("GlobalAveragePool", windows::global_pool),
    ("GlobalMaxPool", windows::global_pool),
    ("Greater", numbers::compare),
    ("GreaterOrEqual", numbers::compare),
    ("HardSigmoid", numbers::unary),
    ("Hardmax", reduce::softmax),
    ("Identity", shapes::identity),
    ("IsNaN", numbers::is_nan),
    ("LayerNormalization", matrix::layer_normalization),
    ("LeakyRelu", numbers::unary),
    ("Less", numbers::compare),
    ("LessOrEqual", numbers::compare),
    ("Log", numbers::unary),
    ("LogSoftmax", reduce::softmax),
    ("LpNormalization", matrix::lp_normalization),
    ("MatMul", matrix::mat_mul),
    ("Max", numbers::several),
    ("MaxPool", windows::pool),
    ("Mean", numbers::several),
    ("Min", numbers::several),
    ("Mod", numbers::binary),
    ("Mul", numbers::binary),
    ("Neg", numbers::unary),
    ("Not", numbers::not),
    ("Or", numbers::logic),
    ("PRelu", numbers::binary),
    ("Pow", numbers::binary),
    ("Reciprocal", numbers::unary),
    ("ReduceL1", reduce::reduce),
    ("ReduceL2", reduce::reduce),
    ("ReduceLogSum", reduce::reduce),
    ("ReduceLogSumExp", reduce::reduce),
    ("ReduceMax", reduce::reduce),
    ("ReduceMean", reduce::reduce),
    ("ReduceMin", reduce::reduce),
    ("ReduceProd", reduce::reduce),
    ("ReduceSum", reduce::reduce),
    ("ReduceSumSquare", reduce::reduce),
    ("Relu", numbers::unary),
    ("Reshape", shapes::reshape),
    ("Round", numbers::unary),
    ("Selu", numbers::unary),
    ("Shape", shapes::shape),
    ("Sigmoid", numbers::unary),
    ("Sign", numbers::unary),
    ("Sin", numbers::unary),
    ("Slice", shapes::slice),
    ("Softmax", reduce::softmax),
    ("Softplus", numbers::unary),
    ("Softsign", numbers::unary),
    ("Split", shapes::split),
    ("Sqrt", numbers::unary),
    ("Squeeze", shapes::squeeze),
    ("Sub", numbers::binary),
    ("Sum", numbers::several),
    ("Tanh", numbers::unary),
    ("Tile", shapes::tile),
    ("TopK", reduce::top_k),
    ("Transpose", shapes::transpose),
    ("Unsqueeze", shapes::unsqueeze),
    ("Where", numbers::choose),
    ("Xor", numbers::logic),
];

/// Operations of ONNX for models of tables.
const OF_TABLES: &[(&str, Make)] = &[
    ("ArrayFeatureExtractor", shapes::array_feature_extractor),
    ("Binarizer", scalers::binarizer),
    ("CategoryMapper", encoders::category_mapper),
    ("FeatureVectorizer", scalers::feature_vectorizer),
    ("Imputer", scalers::imputer),
    ("LabelEncoder", encoders::label_encoder),
    ("LinearClassifier", linear::classifier),
    ("LinearRegressor", linear::regressor),
    ("Normalizer", scalers::normalizer),
    ("OneHotEncoder", encoders::one_hot_encoder),
    ("SVMClassifier", svm::classifier),
    ("SVMRegressor", svm::regressor),
    ("Scaler", scalers::scaler),
    ("TreeEnsemble", forest::ensemble),
    ("TreeEnsembleClassifier", forest::classifier),
    ("TreeEnsembleRegressor", forest::regressor),
    // A map of classes to numbers is kept as the numbers: the classes are told once.
    ("ZipMap", shapes::identity),
];

/// The operation of a name.
///
/// # Errors
/// [`Problem::Unsupported`]: it is not run here.
pub(super) fn find(domain: &str, node: &Node) -> Result<Make, Problem> {
    let known = match domain {
        "" | "ai.onnx" => PLAIN,
        TABLES => OF_TABLES,
        _ => &[],
    };
    let found = known.binary_search_by_key(&node.op, |(name, _)| name).ok().map(|at| known[at].1);
    found.ok_or_else(|| {
        let set = if domain.is_empty() { "ai.onnx" } else { domain };
        Problem::Unsupported(format!(
            "the operation {} of {set} {}: no other runtime of ONNX is built in, so export the model with the operations that docs/models.md lists",
            node.op, node.version
        ))
    })
}

/// An input that must be there.
pub(super) fn needed<'a, T>(inputs: &[Option<&'a T>], at: usize) -> Result<&'a T, String> {
    inputs.get(at).copied().flatten().ok_or_else(|| format!("its input {at} is missing"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_in_order() {
        assert!(PLAIN.is_sorted_by_key(|(name, _)| name) && OF_TABLES.is_sorted_by_key(|(name, _)| name));
    }
}
