//! Files of runs and models, kept by their content.
