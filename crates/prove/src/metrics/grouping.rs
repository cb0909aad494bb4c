//! Log templates against true ones: GA, PA, FGA, FTA.
