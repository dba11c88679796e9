//! Random numbers that a seed repeats: splitmix64 (Steele, Lea and Flood, 2014).

/// A sequence of numbers; the same from the same seed, everywhere.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// Returns the sequence of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns the next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a number below `n`; zero where `n` is.
    pub fn below(&mut self, n: u64) -> u64 {
        // The high half of a product: no division, and no bias that would matter here.
        ((u128::from(self.next_u64()) * u128::from(n)) >> 64) as u64
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}
