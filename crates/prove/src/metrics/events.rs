//! Events: runs of flagged points against runs of labelled ones.
