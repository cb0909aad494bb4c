//! NAB's scoring: windows, sigmoid, profiles, the sweep of the threshold (Lavin and Ahmad, ICMLA 2015).
