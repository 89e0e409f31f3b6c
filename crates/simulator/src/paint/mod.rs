//! The stand-in for a diffusion model: images from a prompt and a seed.

mod latent;
mod noise;
mod painting;

pub use latent::{Background, Latent, Layer};
pub use painting::Painting;
