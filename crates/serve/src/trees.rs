//! Decision trees of all libraries, in one form that is quick to walk.
