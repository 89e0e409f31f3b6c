//! What each node type does.

mod custom_sampling;
mod encode;
mod h264;
mod image_nodes;
mod load;
mod logic;
mod model;
mod mp4;
mod sampling;
mod save;
mod test_nodes;
mod video;

use std::sync::Arc;

use image::{GrayImage, RgbImage};
use indexmap::IndexMap;
use serde_json::{Map, Value as Json};

use crate::files::Files;
use crate::paint::Latent;
use crate::prompt::Nodes;
use crate::value::{Guider, Value};

/// The largest number of pixels in one batch: 384 MB of memory.
const MOST_PIXELS: u64 = 128 << 20;

/// One run of one node.
pub struct Call<'a> {
    /// The node's type.
    pub class: &'a str,
    /// Its inputs, links resolved.
    pub inputs: &'a IndexMap<String, Value>,
    /// The whole prompt, which is written into saved images.
    pub prompt: &'a Nodes,
    /// Further values that the caller wants in saved images.
    pub extra_pnginfo: Option<&'a Map<String, Json>>,
    /// The folders.
    pub files: &'a Files,
    /// Receives the progress.
    pub steps: &'a mut dyn Steps,
}

/// Receives the progress of a node.
pub trait Steps {
    /// Reports a finished step. `preview` is painted only if a client receives it. Fails if the prompt must stop.
    fn done(&mut self, value: u64, max: u64, preview: Option<&dyn Fn() -> RgbImage>) -> Result<(), Failure>;

    /// Waits for the time that this many steps of a model take, or until the prompt must stop.
    fn take_model_time(&mut self, steps: u32);

    /// Puts a model into memory, which takes time if it is not there.
    fn use_model(&mut self, model: &str);

    /// Waits this many milliseconds, or until the prompt must stop.
    fn take_time(&mut self, milliseconds: u64);

    /// Fails if the prompt must stop.
    fn check(&mut self) -> Result<(), Failure>;
}

/// The result of a node.
#[derive(Debug, Clone, Default)]
pub struct NodeResult {
    /// Its outputs.
    pub outputs: Vec<Value>,
    /// The values that ComfyUI shows, such as the names of files.
    pub report: Map<String, Json>,
}

/// Why a node has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The prompt was stopped.
    Interrupted,
    /// An exception, with ComfyUI's class and message.
    Raised {
        /// The exception's class.
        kind: String,
        /// Its message.
        message: String,
    },
}

impl Failure {
    fn raised(kind: &str, message: impl Into<String>) -> Self {
        Self::Raised { kind: kind.to_owned(), message: message.into() }
    }
}

pub use logic::lazy_inputs;

/// Runs a node.
pub fn run(call: &mut Call<'_>) -> Result<NodeResult, Failure> {
    match call.class {
        "EmptyImage" => image_nodes::empty(call),
        "ImageScale" => image_nodes::scale(call),
        "ImageScaleBy" => image_nodes::scale_by(call),
        "ImageScaleToTotalPixels" => image_nodes::scale_to_pixels(call),
        "ImageScaleToMaxDimension" => image_nodes::scale_to_longest(call),
        "FluxKontextImageScale" => image_nodes::scale_for_kontext(call),
        "GetImageSize" => image_nodes::size(call),
        "ImageToMask" => image_nodes::to_mask(call),
        "ImageInvert" => image_nodes::invert(call),
        "ImageBatch" => image_nodes::batch(call),
        "ImageFromBatch" => image_nodes::from_batch(call),
        "RepeatImageBatch" => image_nodes::repeat(call),
        "ImageCrop" => image_nodes::crop(call),
        "MaskToImage" => image_nodes::mask_to_image(call),
        "InvertMask" => image_nodes::invert_mask(call),
        "LoadImage" => load::image(call),
        "LoadImageMask" => load::mask(call),
        "SaveImage" => save::image(call),
        "PreviewImage" => save::preview(call),
        "SaveAnimatedPNG" => save::animated_png(call),
        "SaveAnimatedWEBP" => save::animated_webp(call),
        "VHS_VideoCombine" => save::video_combine(call),
        "CreateVideo" => video::create(call),
        "SaveVideo" => video::save(call),
        "CheckpointLoaderSimple" => model::checkpoint(call),
        "UNETLoader" => model::file(call, "unet_name"),
        "CLIPLoader" | "CLIPVisionLoader" => model::file(call, "clip_name"),
        "DualCLIPLoader" => model::dual_clip(call),
        "VAELoader" => model::file(call, "vae_name"),
        "LoraLoader" => model::lora(call),
        "LoraLoaderModelOnly" => model::lora_model_only(call),
        "UpscaleModelLoader" => model::file(call, "model_name"),
        "ImageUpscaleWithModel" => model::upscale_image(call),
        "CLIPSetLastLayer" => model::pass(call, "clip"),
        "ModelSamplingSD3" | "ModelSamplingFlux" | "ModelSamplingAuraFlow" | "CFGNorm" => {
            model::pass(call, "model")
        }
        "CLIPTextEncode" => model::encode_text(call),
        "CLIPVisionEncode" => model::encode_vision(call),
        "ConditioningZeroOut" => Ok(NodeResult::one(Value::Conditioning(Arc::from("")))),
        "TextEncodeQwenImageEdit" | "TextEncodeQwenImageEditPlus" => model::encode_text_and_images(call),
        "FluxGuidance" | "ReferenceLatent" | "FluxKontextMultiReferenceLatentMethod" => {
            model::pass(call, "conditioning")
        }
        "EmptyLatentImage" | "EmptySD3LatentImage" | "EmptyFlux2LatentImage" => sampling::empty(call),
        "EmptyHunyuanLatentVideo" => video::empty(call),
        "WanImageToVideo" => video::image_to_video(call),
        "WanFirstLastFrameToVideo" => video::first_and_last_to_video(call),
        "Wan22ImageToVideoLatent" => video::image_to_video_latent(call),
        "KSampler" => sampling::sample(call),
        "KSamplerAdvanced" => sampling::sample_advanced(call),
        "RandomNoise" => custom_sampling::random_noise(call),
        "DisableNoise" => Ok(custom_sampling::no_noise()),
        "KSamplerSelect" => custom_sampling::sampler(call),
        "BasicScheduler" => custom_sampling::basic_schedule(call),
        "Flux2Scheduler" => custom_sampling::flux_schedule(call),
        "SplitSigmas" => custom_sampling::split(call),
        "SplitSigmasDenoise" => custom_sampling::split_by_denoise(call),
        "CFGGuider" => custom_sampling::cfg_guider(call),
        "BasicGuider" => custom_sampling::basic_guider(call),
        "SamplerCustomAdvanced" => custom_sampling::sample(call),
        "LatentUpscale" => sampling::upscale(call),
        "LatentUpscaleBy" => sampling::upscale_by(call),
        "RepeatLatentBatch" => sampling::repeat(call),
        "SetLatentNoiseMask" => sampling::set_mask(call),
        "VAEDecode" => sampling::decode(call),
        "VAEEncode" => sampling::encode(call),
        "VAEEncodeForInpaint" => sampling::encode_for_inpaint(call),
        "PrimitiveInt"
        | "PrimitiveFloat"
        | "PrimitiveBoolean"
        | "PrimitiveString"
        | "PrimitiveStringMultiline" => model::pass(call, "value"),
        "ComfySwitchNode" => logic::switch(call),
        "ComfyMathExpression" => logic::math(call),
        "StringConcatenate" => logic::concatenate(call),
        "ResolutionSelector" => logic::resolution(call),
        "PreviewAny" => logic::show(call),
        "RunnerTestProgress" => test_nodes::progress(call),
        "RunnerTestFail" => test_nodes::fail(call),
        "RunnerTestText" => test_nodes::text(call),
        other => Err(Failure::raised("NotImplementedError", format!("the simulator cannot run {other}"))),
    }
}

impl NodeResult {
    fn one(output: Value) -> Self {
        Self { outputs: vec![output], ..Self::default() }
    }

    fn images(images: Vec<RgbImage>) -> Self {
        Self::one(Value::Images(Arc::new(images)))
    }

    fn latent(latent: Latent) -> Self {
        Self::one(Value::Latent(Arc::new(latent)))
    }

    fn reported(report: Map<String, Json>) -> Self {
        Self { report, ..Self::default() }
    }
}

/// Returns inputs in the type that a node needs. ComfyUI does not validate a value in the place of a link, and fails
/// when the node runs; these functions fail likewise.
impl Call<'_> {
    fn input(&self, name: &str) -> Result<&Value, Failure> {
        let missing =
            || Failure::raised("TypeError", format!("missing 1 required positional argument: '{name}'"));
        self.inputs.get(name).ok_or_else(missing)
    }

    fn wrong<T>(&self, name: &str, wanted: &str) -> Result<T, Failure> {
        let message = format!("{}: the input '{name}' is not {wanted}", self.class);
        Err(Failure::raised("AttributeError", message))
    }

    fn images(&self, name: &str) -> Result<Arc<Vec<RgbImage>>, Failure> {
        match self.input(name)? {
            Value::Images(images) if !images.is_empty() => Ok(images.clone()),
            _ => self.wrong(name, "an image"),
        }
    }

    fn masks(&self, name: &str) -> Result<Arc<Vec<GrayImage>>, Failure> {
        match self.input(name)? {
            Value::Masks(masks) if !masks.is_empty() => Ok(masks.clone()),
            _ => self.wrong(name, "a mask"),
        }
    }

    fn latent(&self, name: &str) -> Result<Arc<Latent>, Failure> {
        match self.input(name)? {
            Value::Latent(latent) => Ok(latent.clone()),
            _ => self.wrong(name, "a latent"),
        }
    }

    fn conditioning(&self, name: &str) -> Result<Arc<str>, Failure> {
        match self.input(name)? {
            Value::Conditioning(text) => Ok(text.clone()),
            _ => self.wrong(name, "a conditioning"),
        }
    }

    fn model(&self, name: &str) -> Result<Arc<str>, Failure> {
        match self.input(name)? {
            Value::Model(model) => Ok(model.clone()),
            _ => self.wrong(name, "a model"),
        }
    }

    fn sigmas(&self, name: &str) -> Result<Arc<[f32]>, Failure> {
        match self.input(name)? {
            Value::Sigmas(sigmas) => Ok(sigmas.clone()),
            _ => self.wrong(name, "a schedule"),
        }
    }

    fn noise(&self, name: &str) -> Result<Option<u64>, Failure> {
        match self.input(name)? {
            Value::Noise(seed) => Ok(*seed),
            _ => self.wrong(name, "noise"),
        }
    }

    fn guider(&self, name: &str) -> Result<Arc<Guider>, Failure> {
        match self.input(name)? {
            Value::Guider(guider) => Ok(guider.clone()),
            _ => self.wrong(name, "a guider"),
        }
    }

    fn text(&self, name: &str) -> Result<&str, Failure> {
        match self.input(name)? {
            Value::Plain(Json::String(text)) => Ok(text),
            _ => self.wrong(name, "a string"),
        }
    }

    fn flag(&self, name: &str) -> Result<bool, Failure> {
        match self.input(name)? {
            Value::Plain(Json::Bool(flag)) => Ok(*flag),
            _ => self.wrong(name, "true or false"),
        }
    }

    fn whole(&self, name: &str) -> Result<u64, Failure> {
        match self.input(name)? {
            Value::Plain(Json::Number(number)) => match number.as_u64().or(number.as_f64().map(|n| n as u64))
            {
                Some(number) => Ok(number),
                None => self.wrong(name, "a number"),
            },
            _ => self.wrong(name, "a number"),
        }
    }

    /// Returns a size or a count, which the schemas keep small.
    fn size(&self, name: &str) -> Result<u32, Failure> {
        let whole = self.whole(name)?;
        u32::try_from(whole).or_else(|_| self.wrong(name, "a number of reasonable size"))
    }

    fn float(&self, name: &str) -> Result<f64, Failure> {
        match self.input(name)? {
            Value::Plain(Json::Number(number)) => Ok(number.as_f64().unwrap_or_default()),
            _ => self.wrong(name, "a number"),
        }
    }
}

/// Fails if a batch of images would not fit into memory.
fn bounded(width: u32, height: u32, count: usize) -> Result<(), Failure> {
    let pixels = u64::from(width) * u64::from(height);
    if pixels.saturating_mul(count as u64) <= MOST_PIXELS {
        return Ok(());
    }
    let message = format!(
        "the simulator holds at most {} megapixels in one batch, and {count} x {width}x{height} are more; ask for \
         smaller or fewer images",
        MOST_PIXELS >> 20
    );
    Err(Failure::raised("MemoryError", message))
}
