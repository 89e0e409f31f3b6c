//! One image, as a function of place and time: hills of light under a sky, in the colours that the text names.

use super::noise::{Random, fractal, lerp, smooth};

/// A colour, each part from 0 to 1 and light linear enough to mix.
pub type Colour = [f32; 3];

/// What is painted. The same parts give the same painting.
#[derive(Debug, Clone)]
pub struct Painting {
    salt: u64,
    palette: [Colour; 5],
    scale: f32,
    tilt: f32,
    horizon: f32,
    sun: [f32; 3],
    drift: [f32; 2],
}

/// Words that ask for a colour, with its hue in turns, saturation and lightness.
const WORDS: [(&[&str], Colour); 14] = [
    (&["sunset", "sunrise", "dawn", "dusk", "autumn"], [0.05, 0.85, 0.55]),
    (&["fire", "lava", "red", "rose", "blood"], [0.0, 0.75, 0.48]),
    (&["orange", "copper", "fox", "pumpkin"], [0.07, 0.85, 0.52]),
    (&["gold", "yellow", "desert", "sand", "wheat"], [0.12, 0.8, 0.55]),
    (&["forest", "green", "jungle", "meadow", "grass", "moss"], [0.33, 0.5, 0.4]),
    (&["teal", "turquoise", "lagoon", "mint"], [0.48, 0.6, 0.5]),
    (&["ocean", "sea", "blue", "water", "lake", "river"], [0.57, 0.65, 0.48]),
    (&["sky", "cloud", "clouds", "air"], [0.56, 0.55, 0.7]),
    (&["night", "space", "star", "stars", "galaxy", "moon"], [0.66, 0.6, 0.25]),
    (&["purple", "violet", "lavender", "magic"], [0.76, 0.5, 0.55]),
    (&["pink", "cherry", "blossom", "flower"], [0.92, 0.65, 0.72]),
    (&["snow", "ice", "winter", "white", "frost"], [0.56, 0.25, 0.9]),
    (&["city", "grey", "gray", "stone", "robot"], [0.6, 0.12, 0.5]),
    (&["cat", "dog", "wood", "brown", "coffee"], [0.08, 0.45, 0.42]),
];

impl Painting {
    /// Creates the painting for a prompt, a negative prompt, a model and a seed.
    pub fn new(text: &str, unwanted: &str, model: &str, seed: u64) -> Self {
        // Colours follow the text, so that a seed varies a motif; composition follows both.
        let mut of_text = Random::from_parts(&[b"palette", text.as_bytes(), model.as_bytes()]);
        let mut random = Random::from_parts(&[
            text.as_bytes(),
            unwanted.as_bytes(),
            model.as_bytes(),
            &seed.to_le_bytes(),
        ]);
        let hue = of_text.between(0.0, 1.0);
        let named: Vec<Colour> = named_colours(text).take(3).collect();
        let near = |random: &mut Random, base: Colour, shift: f32, light: f32| {
            let hue = base[0] + shift + random.between(-0.03, 0.03);
            from_hsl([hue.rem_euclid(1.0), base[1], (base[2] + light).clamp(0.08, 0.95)])
        };
        let base = named.first().copied().unwrap_or([hue, 0.55, 0.5]);
        let second = named.get(1).copied().unwrap_or([base[0] + 0.09, base[1] * 0.9, base[2] + 0.05]);
        let third = named.get(2).copied().unwrap_or([base[0] - 0.07, 0.6, 0.55]);
        let palette = [
            near(&mut random, base, -0.02, -0.28),
            near(&mut random, base, 0.0, 0.0),
            near(&mut random, second, 0.02, 0.12),
            near(&mut random, third, 0.0, 0.15),
            near(&mut random, second, 0.04, 0.38),
        ];
        Self {
            salt: random.bits(),
            palette,
            scale: random.between(1.3, 2.3),
            tilt: random.between(-0.35, 0.35),
            horizon: random.between(0.42, 0.62),
            sun: [random.between(0.2, 0.8), random.between(0.14, 0.36), random.between(0.05, 0.1)],
            drift: [random.between(-0.5, 0.5), random.between(-0.12, 0.12)],
        }
    }

    /// The colour at a place, at a time from 0 to 1: `v` goes from 0 to 1 down the image, `u` across it in the same
    /// measure up to `aspect`, its width over its height.
    pub fn at(&self, u: f32, v: f32, aspect: f32, time: f32) -> Colour {
        let (x, y) = (u * self.scale + time * self.drift[0], v * self.scale + time * self.drift[1]);
        let warp = fractal(x * 1.3 + 4.1, y * 1.3 + time * 0.6, 3, self.salt);
        let veil = fractal(x * 0.9 + warp * 1.6, y * 2.1 + warp + time * 0.3, 4, self.salt ^ 0x51);
        // The sky: three colours from top to horizon, stirred by the veil.
        let height = (v / self.horizon + (veil - 0.5) * 0.7 + self.tilt * (u / aspect - 0.5)).clamp(0.0, 1.0);
        let mut colour = if height < 0.5 {
            mix(self.palette[1], self.palette[2], height * 2.0)
        } else {
            mix(self.palette[2], self.palette[4], height * 2.0 - 1.0)
        };
        // The sun, with a soft edge and a glow.
        let sun = [self.sun[0] * aspect + time * self.drift[0] * 0.25, self.sun[1] - time * 0.05];
        let distance = ((u - sun[0]).powi(2) + (v - sun[1]).powi(2)).sqrt();
        let disc = 1.0 - step(self.sun[2] * 0.86, self.sun[2], distance);
        let glow = (-(distance / (self.sun[2] * 3.2)).powi(2)).exp();
        colour = mix(colour, self.palette[4], glow * 0.55);
        colour = mix(colour, lighten(self.palette[4], 0.55), disc * 0.9);
        // Four ridges, each nearer, darker and quicker than the one behind.
        for ridge in 0..4u16 {
            let depth = f32::from(ridge) / 3.0;
            let along = u * lerp(1.6, 3.4, depth) + time * self.drift[0] * lerp(0.4, 2.2, depth);
            let salt = self.salt.wrapping_add(977 * u64::from(ridge + 1));
            let rise = fractal(along, 0.37 + depth, 4, salt) - 0.5;
            let crest = self.horizon + depth * (0.98 - self.horizon) - 0.09 - rise * lerp(0.22, 0.34, depth);
            let inside = step(crest - 0.002, crest + 0.002, v);
            if inside > 0.0 {
                let haze = ((v - crest) / 0.3).clamp(0.0, 1.0);
                let body = mix(self.palette[3], self.palette[0], lerp(0.25, 1.0, depth));
                let grain = smooth(u * 9.0 + f32::from(ridge), v * 22.0, salt) - 0.5;
                let body = lighten(body, grain * 0.08);
                let lit = mix(body, self.palette[4], 0.34 * (1.0 - haze) * (1.0 - 0.6 * depth));
                colour = mix(colour, lit, inside);
            }
        }
        // A vignette, as lenses have.
        let corner = ((u / aspect - 0.5).powi(2) + (v - 0.5).powi(2)) * 0.4;
        vivid(colour).map(|part| (part * (1.0 - corner)).clamp(0.0, 1.0))
    }
}

/// Returns the colours that the prompt names, in their order.
fn named_colours(text: &str) -> impl Iterator<Item = Colour> {
    let words = text.split(|character: char| !character.is_alphanumeric()).map(str::to_lowercase);
    words.filter_map(|word| {
        WORDS.iter().find(|(names, _)| names.contains(&word.as_str())).map(|(_, colour)| *colour)
    })
}

/// From `a` to `b` as `t` goes from 0 to 1.
pub fn mix(a: Colour, b: Colour, t: f32) -> Colour {
    [0, 1, 2].map(|part| lerp(a[part], b[part], t))
}

fn lighten(colour: Colour, by: f32) -> Colour {
    colour.map(|part| (part + by).clamp(0.0, 1.0))
}

/// A little further from grey: mixing dulls.
fn vivid(colour: Colour) -> Colour {
    let grey = colour.iter().sum::<f32>() / 3.0;
    colour.map(|part| grey + (part - grey) * 1.22)
}

/// 0 below `low`, 1 above `high`, smooth between.
fn step(low: f32, high: f32, value: f32) -> f32 {
    let t = ((value - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

fn from_hsl([hue, saturation, lightness]: Colour) -> Colour {
    let span = saturation * lightness.min(1.0 - lightness);
    [0.0, 8.0, 4.0].map(|turn| {
        let k = (turn + hue * 12.0).rem_euclid(12.0);
        lightness - span * (k - 3.0).min(9.0 - k).clamp(-1.0, 1.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn swatch(painting: &Painting) -> Vec<Colour> {
        (0..9u8).map(|i| painting.at(f32::from(i % 3) / 3.0, f32::from(i / 3) / 3.0, 1.0, 0.0)).collect()
    }

    #[test]
    fn text_model_and_seed_all_matter_and_nothing_else_does() {
        let one = swatch(&Painting::new("a fox", "", "m", 7));
        assert_eq!(one, swatch(&Painting::new("a fox", "", "m", 7)));
        assert_ne!(one, swatch(&Painting::new("a fox", "", "m", 8)));
        assert_ne!(one, swatch(&Painting::new("a cat", "", "m", 7)));
        assert_ne!(one, swatch(&Painting::new("a fox", "blur", "m", 7)));
        assert_ne!(one, swatch(&Painting::new("a fox", "", "n", 7)));
    }

    #[test]
    fn words_bring_their_colours() {
        let mean = |text| {
            let colours = swatch(&Painting::new(text, "", "m", 3));
            [0, 1, 2].map(|part| colours.iter().map(|colour| colour[part]).sum::<f32>())
        };
        let [red, green, blue] = mean("a red rose");
        assert!(red > green && red > blue);
        let [red, _, blue] = mean("the blue ocean");
        assert!(blue > red);
    }
}
