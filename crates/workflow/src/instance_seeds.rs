//! The seeds of the instances of a repetition, derived from the seed of the request.

use comfy_runner_manifest::{InputKind, Manifest, Params, SeedRange};
use serde_json::Value;

/// The seed of a request, from which the seeds of its instances are derived.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BaseSeed {
    seed: u64,
    generated: bool,
    range: SeedRange,
}

impl BaseSeed {
    /// Reads the value of `seed`: the input or default of this name, or else the first seed input.
    pub fn from_params(manifest: &Manifest, params: &Params) -> Option<Self> {
        let first = || manifest.inputs.iter().find(|input| input.kind == InputKind::Seed);
        let input = manifest.input("seed").or_else(first);
        let id = input.map_or("seed", |input| input.id.as_str());
        let seed = params.get(id)?.as_u64()?;
        Some(Self { seed, generated: params.is_generated(id), range: SeedRange::from_input(input) })
    }

    /// Returns the seed of the instance at this index, from 0: the given seed plus the index, or a random number. The
    /// first instance has the seed itself.
    pub fn at(self, index: u64) -> u64 {
        if self.generated { self.random(index) } else { self.seed.wrapping_add(index) }
    }

    /// Returns a random seed for the instance at this index. It is derived from the request's seed, so that one request
    /// makes one graph.
    pub fn random(self, index: u64) -> u64 {
        if index == 0 {
            return self.seed;
        }
        self.range.seed(split_mix(self.seed.wrapping_add(index.wrapping_mul(GOLDEN))))
    }

    /// Returns the seed itself.
    pub fn value(self) -> u64 {
        self.seed
    }
}

/// The seeds of a request's instances.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InstanceSeeds {
    /// The request's seed, if it has one.
    pub base: Option<BaseSeed>,
    /// The seed for scenes that need a random one, if the request has none.
    fallback: u64,
}

impl InstanceSeeds {
    /// Reads the seeds from a request's params.
    pub fn from_params(manifest: &Manifest, params: &Params) -> Self {
        Self { base: BaseSeed::from_params(manifest, params), fallback: params.generated_seed() }
    }

    /// Returns the seed of the instance at this index, from 0. A scene's own seed, `own`, takes precedence; -1 is a
    /// random one. `None` if neither the scene nor the request has a seed.
    pub fn at(self, own: Option<&Value>, index: u64) -> Option<u64> {
        let Some(own) = own.filter(|own| !own.is_null()) else { return self.base.map(|base| base.at(index)) };
        let random = || match self.base {
            Some(base) if base.generated => base.random(index),
            Some(base) => base.random(index + 1),
            None => BaseSeed { seed: self.fallback, generated: true, range: SeedRange::from_input(None) }
                .random(index),
        };
        Some(own.as_u64().unwrap_or_else(random))
    }
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finalizer of SplitMix64, which turns a counter into evenly spread numbers.
fn split_mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_seeds_count_up_and_generated_ones_spread_below_the_limit() {
        let given = BaseSeed { seed: 7, generated: false, range: SeedRange::new(None, None) };
        assert_eq!([given.at(0), given.at(1), given.at(2)], [7, 8, 9]);
        let generated = BaseSeed { generated: true, ..given };
        assert_eq!(generated.at(0), 7);
        let seeds: std::collections::HashSet<u64> = (0..100).map(|index| generated.at(index)).collect();
        assert_eq!(seeds.len(), 100);
        assert!(seeds.iter().all(|seed| *seed < comfy_runner_manifest::SEED_LIMIT));
        let small = BaseSeed { range: SeedRange::new(Some(10), Some(12)), ..generated };
        assert!((1..50).all(|index| (10..=12).contains(&small.at(index))));
    }
}
