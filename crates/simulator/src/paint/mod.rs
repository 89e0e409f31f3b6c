//! The stand-in for a diffusion model: pictures out of a text and a seed.

mod latent;
mod noise;
mod painting;

pub use latent::{Ground, Latent, Layer};
pub use painting::Painting;
