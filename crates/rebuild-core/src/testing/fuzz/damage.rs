//! Damage that is the same whenever the input is.

/// Numbers that follow from an input.
pub(super) struct Damage {
    numbers: blake3::OutputReader,
}

impl Damage {
    /// What follows from `data`.
    pub(super) fn of(data: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(data);
        Self {
            numbers: hasher.finalize_xof(),
        }
    }

    /// A number below `end`, which is not 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        let mut bytes = [0; 4];
        self.numbers.fill(&mut bytes);
        u32::from_le_bytes(bytes) as usize % end
    }

    /// `bytes`, which are some, with one bit flipped.
    pub(super) fn flipped(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut damaged = bytes.to_vec();
        let at = self.below(damaged.len());
        damaged[at] ^= 1 << self.below(8);
        damaged
    }

    /// `bytes`, which are some, without the last of them.
    pub(super) fn cut(&mut self, bytes: &[u8]) -> Vec<u8> {
        bytes[..self.below(bytes.len())].to_vec()
    }
}
