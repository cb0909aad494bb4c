//! Forecast errors: sMAPE, MASE, OWA, WAPE, pinball.
