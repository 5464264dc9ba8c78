//! Seeded chance. A generator of our own (SplitMix64), so that a seed means the same run after every
//! update of every dependency. Not for secrets.

/// A stream of dice rolls.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    /// Stream number `stream` of `seed`; different streams do not follow each other.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut dice = Self(seed ^ stream.wrapping_mul(0xD6E8_FEB8_6659_FD93));
        dice.roll();
        dice
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.roll() % (high - low + 1)
    }

    /// True `percent` times in a hundred.
    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.between(0, 99) < percent
    }

    /// One of the last `window` items; none of an empty slice.
    pub(crate) fn recent<T: Copy>(&mut self, items: &[T], window: usize) -> Option<T> {
        let from = items.len().saturating_sub(window);
        let last = items.len().checked_sub(1)?;
        let at = self.between(from as u64, last as u64);
        items.get(usize::try_from(at).ok()?).copied()
    }
}
