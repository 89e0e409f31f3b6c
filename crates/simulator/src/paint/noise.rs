//! Random numbers and fields that are the same everywhere.

use sha2::{Digest, Sha256};

/// A generator of random numbers (SplitMix64).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A generator whose numbers depend on all of these parts and nothing else.
    pub fn from_parts(parts: &[&[u8]]) -> Self {
        let mut digest = Sha256::new();
        for part in parts {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        }
        let bytes: [u8; 32] = digest.finalize().into();
        let mut first = [0; 8];
        first.copy_from_slice(&bytes[..8]);
        Self(u64::from_le_bytes(first))
    }

    /// The next number.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number in `[low, high)`.
    pub fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * (self.bits() >> 40) as f32 / (1u64 << 24) as f32
    }
}

fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// White noise in `[0, 1)` at a point of the grid.
pub fn white(x: i32, y: i32, salt: u64) -> f32 {
    let place = (u64::from(x as u32) << 32) | u64::from(y as u32);
    (mix(place.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ salt) >> 40) as f32 / (1u64 << 24) as f32
}

/// Smooth noise in `[0, 1]` with one bump per unit.
pub fn smooth(x: f32, y: f32, salt: u64) -> f32 {
    let (left, top) = (x.floor(), y.floor());
    let ease = |t: f32| t * t * (3.0 - 2.0 * t);
    let (across, down) = (ease(x - left), ease(y - top));
    let (left, top) = (left as i32, top as i32);
    let upper = lerp(white(left, top, salt), white(left + 1, top, salt), across);
    let lower = lerp(white(left, top + 1, salt), white(left + 1, top + 1, salt), across);
    lerp(upper, lower, down)
}

/// Smooth noise in `[0, 1]` with finer bumps on the coarse ones.
pub fn fractal(x: f32, y: f32, octaves: u32, salt: u64) -> f32 {
    let (mut sum, mut weight, mut scale, mut total) = (0.0, 0.5, 1.0, 0.0);
    for octave in 0..octaves {
        sum += weight * smooth(x * scale, y * scale, salt.wrapping_add(u64::from(octave)));
        total += weight;
        weight *= 0.5;
        scale *= 2.03;
    }
    sum / total
}

/// From `a` to `b` as `t` goes from 0 to 1.
pub fn lerp(a: f32, b: f32, t: f32) -> f32 {
    a + (b - a) * t
}
