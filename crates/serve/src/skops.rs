//! Models of scikit-learn, from skops files.
