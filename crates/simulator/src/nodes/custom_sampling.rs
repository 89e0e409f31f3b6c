//! The sampler in parts: noise, schedule, guider, and the node that puts them together.

use std::sync::Arc;

use super::sampling::Sampling;
use super::{Call, Failure, NodeResult};
use crate::paint::Latent;
use crate::value::{Guider, Value};

pub fn random_noise(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    Ok(NodeResult::one(Value::Noise(Some(call.whole("noise_seed")?))))
}

pub fn no_noise() -> NodeResult {
    NodeResult::one(Value::Noise(None))
}

/// Returns a sampler, which is only a name: all samplers paint alike.
pub fn sampler(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    Ok(NodeResult::one(Value::Model(Arc::from(call.text("sampler_name")?))))
}

/// Returns the noise before each step and after the last, from 1 to 0 in equal steps. With `denoise` it begins below 1.
pub fn basic_schedule(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    call.model("model")?;
    let denoise = call.float("denoise")? as f32;
    Ok(NodeResult::one(schedule(call.size("steps")?, denoise)))
}

pub fn flux_schedule(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    Ok(NodeResult::one(schedule(call.size("steps")?, 1.0)))
}

fn schedule(steps: u32, from: f32) -> Value {
    let noise = |step: u32| from * (1.0 - step as f32 / steps.max(1) as f32);
    let sigmas: Arc<[f32]> = if from > 0.0 { (0..=steps).map(noise).collect() } else { Arc::from([]) };
    Value::Sigmas(sigmas)
}

/// Splits a schedule. The noise at the split is in both parts.
pub fn split(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    let step = call.size("step")? as usize;
    Ok(split_sigmas(&call.sigmas("sigmas")?, step))
}

/// Splits a schedule so that the second part has this share of the steps.
pub fn split_by_denoise(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    let (sigmas, denoise) = (call.sigmas("sigmas")?, call.float("denoise")?);
    let steps = sigmas.len().saturating_sub(1);
    let kept = (steps as f64 * denoise).round_ties_even() as usize;
    Ok(split_sigmas(&sigmas, steps.saturating_sub(kept)))
}

fn split_sigmas(sigmas: &[f32], step: usize) -> NodeResult {
    let step = step.min(sigmas.len().saturating_sub(1));
    let (high, low) = (&sigmas[..(step + 1).min(sigmas.len())], &sigmas[step..]);
    NodeResult {
        outputs: vec![Value::Sigmas(Arc::from(high)), Value::Sigmas(Arc::from(low))],
        ..NodeResult::default()
    }
}

pub fn cfg_guider(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    let guider = Guider {
        model: call.model("model")?,
        positive: call.conditioning("positive")?,
        negative: call.conditioning("negative")?,
    };
    Ok(NodeResult::one(Value::Guider(Arc::new(guider))))
}

pub fn basic_guider(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    let (model, positive) = (call.model("model")?, call.conditioning("conditioning")?);
    Ok(NodeResult::one(Value::Guider(Arc::new(Guider { model, positive, negative: Arc::from("") }))))
}

/// Returns the latent as the sampler leaves it, and the same latent without noise.
pub fn sample(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    let (noise, guider, sigmas) = (call.noise("noise")?, call.guider("guider")?, call.sigmas("sigmas")?);
    call.model("sampler")?;
    let latent = call.latent("latent_image")?;
    let (Some(first), Some(last)) = (sigmas.first(), sigmas.last().filter(|_| sigmas.len() > 1)) else {
        return Ok(NodeResult { outputs: vec![Value::Latent(latent); 2], ..NodeResult::default() });
    };
    let work = Sampling {
        seed: noise.unwrap_or(0),
        steps: u32::try_from(sigmas.len() - 1).unwrap_or(u32::MAX),
        strength: *first,
        leftover: *last,
    };
    let sampled = work.run(call, &latent, &guider)?;
    let denoised = Latent { noise: 0.0, ..sampled.clone() };
    let outputs = [sampled, denoised].map(|latent| Value::Latent(Arc::new(latent)));
    Ok(NodeResult { outputs: outputs.to_vec(), ..NodeResult::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(value: &Value) -> &[f32] {
        let Value::Sigmas(sigmas) = value else { panic!("{value:?}") };
        sigmas
    }

    #[test]
    fn a_schedule_goes_from_full_noise_to_none_and_is_split_at_the_given_step() {
        let whole = schedule(4, 1.0);
        assert_eq!(numbers(&whole), [1.0, 0.75, 0.5, 0.25, 0.0]);
        let halves = split_sigmas(numbers(&whole), 1).outputs;
        assert_eq!(numbers(&halves[0]), [1.0, 0.75]);
        assert_eq!(numbers(&halves[1]), [0.75, 0.5, 0.25, 0.0]);
        assert_eq!(numbers(&split_sigmas(numbers(&whole), 99).outputs[1]), [0.0]);
        assert_eq!(numbers(&schedule(2, 0.5)), [0.5, 0.25, 0.0]);
        assert!(numbers(&schedule(2, 0.0)).is_empty());
        assert!(numbers(&split_sigmas(&[], 3).outputs[0]).is_empty());
    }
}
