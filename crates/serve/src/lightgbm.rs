//! Models of LightGBM, from its text format.
