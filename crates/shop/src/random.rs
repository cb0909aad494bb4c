//! Seeded randomness, so that a run with the same seed meets the same customers.

use parking_lot::Mutex;

/// A stream of pseudo-random numbers, shared by the tasks of a process (SplitMix64; Steele, Lea, Flood 2014).
pub struct Random(Mutex<u64>);

impl Random {
    /// A stream that depends on `seed` and on who draws from it.
    pub fn new(seed: u64, drawer: &str) -> Self {
        let mixed = drawer.bytes().fold(seed, |state, byte| mix(state.wrapping_add(u64::from(byte))));
        Self(Mutex::new(mixed))
    }

    /// 64 random bits.
    pub fn bits(&self) -> u64 {
        let mut state = self.0.lock();
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(*state)
    }

    /// Uniform in 0..1.
    pub fn unit(&self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True with a probability of `p`, in 0..=1.
    pub fn chance(&self, p: f64) -> bool {
        self.unit() < p
    }

    /// Uniform in `low..high`.
    pub fn between(&self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Uniform in `0..count`; 0 where `count` is 0.
    pub fn below(&self, count: u64) -> u64 {
        (self.unit() * count as f64) as u64
    }

    /// Exponentially distributed with the mean `mean`.
    pub fn exponential(&self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }
}

fn mix(state: u64) -> u64 {
    let mut z = state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers_and_another_drawer_gives_others() {
        let draw = |seed, drawer| {
            let random = Random::new(seed, drawer);
            (0..8).map(|_| random.bits()).collect::<Vec<_>>()
        };
        assert_eq!(draw(7, "load"), draw(7, "load"));
        assert_ne!(draw(7, "load"), draw(7, "cart-1"));
        assert_ne!(draw(7, "load"), draw(8, "load"));
    }

    #[test]
    fn means_are_as_asked() {
        let random = Random::new(1, "means");
        let mean = (0..20_000).map(|_| random.exponential(3.0)).sum::<f64>() / 20_000.0;
        assert!((2.9..3.1).contains(&mean), "{mean}");
        let hits = (0..20_000).filter(|_| random.chance(0.4)).count();
        assert!((7_700..8_300).contains(&hits), "{hits}");
    }
}
