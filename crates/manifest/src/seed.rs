//! Generation of seeds.

use indexmap::IndexMap;
use serde_json::{Number, Value};

use crate::input::{Input, InputKind};
use crate::manifest::{Manifest, WorkflowKind};

/// Random seeds are below this, 2^53: every JSON reader keeps them exactly.
pub const SEED_LIMIT: u64 = 1 << 53;

/// The range of the seeds that are generated for an input: from its `min` to its `max`, and below [`SEED_LIMIT`] unless
/// `min` is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeedRange {
    low: u64,
    high: u64,
}

impl SeedRange {
    /// Creates the range of an input with these bounds.
    pub fn new(min: Option<u64>, max: Option<u64>) -> Self {
        let low = min.unwrap_or(0);
        Self { low, high: max.unwrap_or(u64::MAX).min(low.max(SEED_LIMIT - 1)).max(low) }
    }

    /// Returns the range of an input's seeds; the whole range below [`SEED_LIMIT`] without an input.
    pub fn from_input(input: Option<&Input>) -> Self {
        let bound = |number: Option<&Number>| number.and_then(Number::as_u64);
        let (min, max) = input.map_or((None, None), |input| (input.min.as_ref(), input.max.as_ref()));
        Self::new(bound(min), bound(max))
    }

    /// Returns the seed in this range that a random number selects. The number must be uniform over all of `u64`.
    pub fn seed(self, random: u64) -> u64 {
        // The bias of the remainder is at most 2^-11, far too small to matter.
        match (self.high - self.low).checked_add(1) {
            Some(span) => self.low + random % span,
            None => random,
        }
    }
}

/// Replaces each seed of a scene that is -1 by a random one. Returns the seeds of all scenes as `scene_<n>`, or
/// `scene_<n>_<field>` for other names than `seed`.
///
/// The field `seed` of a dynamic workflow is left unchanged: its repetition derives it from the request's seed.
pub(crate) fn generate_scene_seeds(
    manifest: &Manifest,
    values: &mut IndexMap<String, Value>,
    random: &mut dyn FnMut() -> u64,
) -> IndexMap<String, u64> {
    let mut seeds = IndexMap::new();
    for input in manifest.inputs.iter().filter(|input| input.kind == InputKind::SceneList) {
        let Some(Value::Array(scenes)) = values.get_mut(&input.id) else { continue };
        for (number, scene) in (1..).zip(scenes) {
            for field in input.per_scene.iter().filter(|field| field.kind == InputKind::Seed) {
                let plain = field.id == "seed";
                let Some(value) = scene.get_mut(&field.id) else { continue };
                if plain && manifest.kind == WorkflowKind::Dynamic {
                    continue;
                }
                let seed =
                    value.as_u64().unwrap_or_else(|| SeedRange::from_input(Some(field)).seed(random()));
                *value = seed.into();
                let name = if plain { String::new() } else { format!("_{}", field.id) };
                seeds.insert(format!("scene_{number}{name}"), seed);
            }
        }
    }
    seeds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_within_the_bounds_and_below_the_limit() {
        let most = SEED_LIMIT - 1;
        for (min, max, lowest, highest) in [
            (None, None, 0, most),
            (Some(5), Some(9), 5, 9),
            (Some(5), None, 5, most),
            (None, Some(u64::MAX), 0, most),
            (Some(u64::MAX - 1), None, u64::MAX - 1, u64::MAX - 1),
            (Some(9), Some(5), 9, 9),
        ] {
            let range = SeedRange::new(min, max);
            assert_eq!(range, SeedRange { low: lowest, high: highest });
            for random in [0, 1, 41, u64::MAX] {
                assert!((lowest..=highest).contains(&range.seed(random)), "{range:?} {random}");
            }
        }
    }
}
