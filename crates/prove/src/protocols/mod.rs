//! The protocols, one file each.

mod changepoints;
mod drift;
mod fairness;
mod load;
mod log_anomaly;
mod logs;
mod m4;
mod nab;
mod nezha;
mod no_labels;
mod petshop;
mod pii;
mod scaling;
mod servers;
mod traces;
mod tsbad;

use crate::Protocol;

/// All protocols, in the order in which they are listed and run.
pub static ALL: [Protocol; 15] = [
    nab::PROTOCOL,
    tsbad::PROTOCOL,
    servers::PROTOCOL,
    changepoints::PROTOCOL,
    logs::PROTOCOL,
    log_anomaly::PROTOCOL,
    m4::PROTOCOL,
    load::PROTOCOL,
    scaling::PROTOCOL,
    drift::PROTOCOL,
    no_labels::PROTOCOL,
    petshop::PROTOCOL,
    nezha::PROTOCOL,
    fairness::PROTOCOL,
    pii::PROTOCOL,
];
