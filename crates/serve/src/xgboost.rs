//! Models of XGBoost, from its JSON and UBJSON.
