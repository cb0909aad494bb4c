//! Which faults come by themselves, and when.

use std::time::Duration;

use crate::faults::{FAULTS, Fault, FaultError};

/// Seconds from ready to the first fault, at speed 1.
pub const FIRST_FAULT_AFTER_S: f64 = 300.0;
/// Seconds that each fault of the schedule lasts, at speed 1.
pub const FAULT_LASTS_S: f64 = 180.0;
/// Seconds from the end of one fault to the start of the next, at speed 1.
pub const NEXT_FAULT_AFTER_S: f64 = 180.0;

/// Which faults come by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tour {
    /// None: only those switched on by hand.
    None,
    /// All, one after the other, over and over.
    All,
    /// This one, once.
    One(Fault),
}

impl Tour {
    /// Reads `none`, `tour` or the name of a fault.
    pub fn named(name: &str) -> Result<Tour, FaultError> {
        match name {
            "none" => Ok(Tour::None),
            "tour" => Ok(Tour::All),
            fault => Fault::named(fault).map(Tour::One),
        }
    }

    /// The turns in order: endless for [`Tour::All`].
    pub(crate) fn turns(self, speed: f64) -> Box<dyn Iterator<Item = Turn> + Send> {
        let faults: Box<dyn Iterator<Item = Fault> + Send> = match self {
            Tour::None => Box::new(std::iter::empty()),
            Tour::All => Box::new(FAULTS.into_iter().cycle()),
            Tour::One(fault) => Box::new(std::iter::once(fault)),
        };
        Box::new(faults.enumerate().map(move |(index, fault)| Turn {
            fault,
            wait: scaled(if index == 0 { FIRST_FAULT_AFTER_S } else { NEXT_FAULT_AFTER_S }, speed),
            lasts: scaled(FAULT_LASTS_S, speed),
        }))
    }
}

/// One fault of the schedule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Turn {
    /// What breaks.
    pub fault: Fault,
    /// From the end of the turn before, or from ready.
    pub wait: Duration,
    /// From on to off.
    pub lasts: Duration,
}

fn scaled(seconds: f64, speed: f64) -> Duration {
    Duration::from_secs_f64(seconds / speed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tour_starts_after_five_minutes_and_goes_on_three_minutes_after_each_end() {
        let turns: Vec<Turn> = Tour::All.turns(1.0).take(8).collect();
        assert_eq!(turns[0].wait, Duration::from_secs(300));
        assert!(turns[1..].iter().all(|turn| turn.wait == Duration::from_secs(180)));
        assert_eq!(turns[..7].iter().map(|turn| turn.fault).collect::<Vec<_>>(), FAULTS);
        assert_eq!(turns[7].fault, FAULTS[0]);
    }

    #[test]
    fn speed_shortens_and_one_fault_comes_once() {
        let turns: Vec<Turn> = Tour::named("full-disk").unwrap().turns(10.0).collect();
        assert_eq!(turns.len(), 1);
        assert_eq!((turns[0].wait, turns[0].lasts), (Duration::from_secs(30), Duration::from_secs(18)));
        assert_eq!(Tour::named("none").unwrap().turns(1.0).count(), 0);
        assert!(Tour::named("sometimes").is_err());
    }
}
