//! MLflow's search grammar: filters and orders over runs, experiments, models and versions.
