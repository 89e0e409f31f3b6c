//! Decoding of images from files, within limits that hold before memory is allocated.

use std::fs::File;
use std::io::{BufReader, Seek};
use std::path::Path;

use image::codecs::gif::GifDecoder;
use image::error::LimitError;
use image::metadata::Orientation;
use image::{AnimationDecoder, DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

/// The most pixels of one frame; one in 8K has fewer.
const MAX_PIXELS: u64 = 32 << 20;

/// The most pixels of all frames of a file. A small frame counts for a kilobyte, as it costs more than its pixels.
const MAX_ANIMATION_PIXELS: u64 = 128 << 20;
const MIN_FRAME_PIXELS: u64 = 1024;

/// The most memory that a decoder may take for itself: 8 bytes are the largest pixel.
const MAX_DECODER_MEMORY: u64 = MAX_PIXELS * 8;

/// Why a file is not decoded.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The file's header announces more than the limit.
    #[error(
        "its size of {width}x{height} pixels exceeds the simulator's limit of {} megapixels",
        MAX_PIXELS >> 20
    )]
    TooLarge { width: u32, height: u32 },
    /// There are more frames than the limit allows.
    #[error("its frames exceed the simulator's limit of {} megapixels in all", MAX_ANIMATION_PIXELS >> 20)]
    TooManyFrames,
    /// The decoder needs more memory than the limit.
    #[error("decoding it needs more memory than the simulator allows")]
    Memory(#[source] LimitError),
    /// The bytes are not an image of a known format.
    #[error(transparent)]
    Unreadable(ImageError),
}

impl From<ImageError> for DecodeError {
    fn from(error: ImageError) -> Self {
        match error {
            ImageError::Limits(error) => Self::Memory(error),
            error => Self::Unreadable(error),
        }
    }
}

impl From<std::io::Error> for DecodeError {
    fn from(error: std::io::Error) -> Self {
        Self::Unreadable(error.into())
    }
}

impl DecodeError {
    /// Whether the file is refused for its size.
    pub fn is_too_large(&self) -> bool {
        !matches!(self, Self::Unreadable(_))
    }
}

/// The image, or the first frame of an animation, with its orientation applied.
pub fn first_frame(path: &Path) -> Result<DynamicImage, DecodeError> {
    decode_first(open(path)?)
}

/// All frames of a GIF, or the one image of any other format.
pub fn frames(path: &Path) -> Result<Vec<DynamicImage>, DecodeError> {
    let reader = open(path)?;
    if reader.format() != Some(ImageFormat::Gif) {
        return Ok(vec![decode_first(reader)?]);
    }
    gif_frames(reader.into_inner(), MAX_ANIMATION_PIXELS)
}

fn gif_frames(mut file: BufReader<File>, max_pixels: u64) -> Result<Vec<DynamicImage>, DecodeError> {
    file.rewind()?;
    let mut decoder = GifDecoder::new(file)?;
    let (width, height) = check(&decoder)?;
    decoder.set_limits(limits())?;
    let frame_pixels = (u64::from(width) * u64::from(height)).max(MIN_FRAME_PIXELS);
    let mut frames = Vec::new();
    for frame in decoder.into_frames() {
        if (frames.len() as u64 + 1) * frame_pixels > max_pixels {
            return Err(DecodeError::TooManyFrames);
        }
        frames.push(DynamicImage::from(frame?.into_buffer()));
    }
    Ok(frames)
}

fn open(path: &Path) -> Result<ImageReader<BufReader<File>>, DecodeError> {
    let mut reader = ImageReader::open(path)?.with_guessed_format()?;
    reader.limits(limits());
    Ok(reader)
}

/// The decoders' own limits, which hold for what they allocate before the size is known.
fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_DECODER_MEMORY);
    limits
}

fn decode_first(reader: ImageReader<BufReader<File>>) -> Result<DynamicImage, DecodeError> {
    let mut decoder = reader.into_decoder()?;
    check(&decoder)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder)?;
    image.apply_orientation(orientation);
    Ok(image)
}

/// Refuses an image by the size that its header announces.
fn check(decoder: &impl ImageDecoder) -> Result<(u32, u32), DecodeError> {
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(DecodeError::TooLarge { width, height });
    }
    Ok((width, height))
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Frame, RgbaImage};

    fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        file
    }

    /// A logical screen and one frame of these sizes, and no pixels.
    fn gif(screen: u16, frame: u16) -> Vec<u8> {
        let size = |side: u16| [side.to_le_bytes(), side.to_le_bytes()].concat();
        let two_colors = b"\x80\0\0\0\0\0\xff\xff\xff";
        let pixels = b"\0\x02\x02\x4c\x01\0;";
        let (screen, frame) = (size(screen), size(frame));
        [&b"GIF89a"[..], &screen, two_colors, b"\x2c\0\0\0\0", &frame, pixels].concat()
    }

    /// The header of each format with the largest size that it can hold.
    fn announcing_too_much() -> Vec<(&'static str, Vec<u8>)> {
        let mut png = Vec::new();
        let mut writer = png::Encoder::new(&mut png, 65_535, 65_535).write_header().unwrap();
        writer.write_chunk(png::chunk::IDAT, b"\x78\x9c").unwrap();
        drop(writer);
        let jpeg = b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0\
                     \xff\xc0\0\x0b\x08\xff\xff\xff\xff\x01\x01\x11\0\xff\xda\0\x08\x01\x01\0\0\x3f\0\0\xff\xd9";
        let lossless = b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0\x2f\xfe\xbf\xff\x0f\0\0\0\0\0\0\0\0\0";
        let extended = b"RIFF\x22\0\0\0WEBPVP8X\x0a\0\0\0\x10\0\0\0\xfe\xff\0\xfe\xff\0VP8L\x08\0\0\0\x2f\xff\xff\xff\x0f\0\0\0";
        vec![
            ("GIF", gif(65_535, 65_535)),
            ("PNG", png),
            ("JPEG", jpeg.to_vec()),
            ("WebP, lossless", lossless.to_vec()),
            ("WebP, extended", extended.to_vec()),
        ]
    }

    #[test]
    fn an_image_of_any_format_that_announces_too_much_is_refused_by_its_header() {
        for (format, bytes) in announcing_too_much() {
            assert!(bytes.len() < 100, "{format}");
            let file = file(&bytes);
            for error in [frames(file.path()).unwrap_err(), first_frame(file.path()).unwrap_err()] {
                assert!(
                    matches!(error, DecodeError::TooLarge { width: 16_383.., .. }),
                    "{format}: {error:?}"
                );
            }
        }
    }

    #[test]
    fn a_frame_that_is_larger_than_its_screen_is_refused() {
        let error = frames(file(&gif(1, 65_535)).path()).unwrap_err();
        assert!(error.is_too_large(), "{error:?}");
    }

    #[test]
    fn an_animation_of_too_many_frames_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut encoder = image::codecs::gif::GifEncoder::new(file.reopen().unwrap());
        for side in [64, 64, 64] {
            encoder.encode_frame(Frame::new(RgbaImage::new(side, side))).unwrap();
        }
        drop(encoder);
        let decode = |max_pixels| gif_frames(BufReader::new(file.reopen().unwrap()), max_pixels);
        assert_eq!(decode(3 * 64 * 64).unwrap().len(), 3);
        assert!(matches!(decode(3 * 64 * 64 - 1), Err(DecodeError::TooManyFrames)));
    }

    #[test]
    fn every_format_is_decoded() {
        for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Gif, ImageFormat::WebP] {
            let file = tempfile::NamedTempFile::new().unwrap();
            DynamicImage::new_rgb8(7, 5).save_with_format(file.path(), format).unwrap();
            let images = frames(file.path()).unwrap();
            assert_eq!((images.len(), images[0].width(), images[0].height()), (1, 7, 5), "{format:?}");
        }
        assert!(!frames(file(b"no image").path()).unwrap_err().is_too_large());
    }
}
