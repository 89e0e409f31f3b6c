//! Images and videos as files.

use std::fs::File;
use std::io::{BufWriter, Cursor, Write};
use std::path::Path;

use image::codecs::gif::{GifEncoder, Repeat};
use image::codecs::webp::WebPEncoder;
use image::{Delay, ExtendedColorType, Frame, RgbImage, RgbaImage};

/// Text chunks of an image, by keyword. Both are ASCII.
pub type Texts = [(String, String)];

/// Why a file could not be written.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Png(#[from] png::EncodingError),
    #[error(transparent)]
    Image(#[from] image::ImageError),
    #[error("the animation is too large for a WebP file")]
    TooLarge,
}

/// One image as PNG.
pub fn png(path: &Path, image: &RgbImage, texts: &Texts) -> Result<(), EncodeError> {
    let mut file = BufWriter::new(File::create(path)?);
    let mut writer = png_encoder(&mut file, image, texts)?.write_header()?;
    writer.write_image_data(image.as_raw())?;
    writer.finish()?;
    Ok(file.flush()?)
}

/// Frames as an animated PNG that repeats for ever.
pub fn animated_png(path: &Path, frames: &[RgbImage], fps: f64, texts: &Texts) -> Result<(), EncodeError> {
    let Some(first) = frames.first() else { return Ok(()) };
    let mut file = BufWriter::new(File::create(path)?);
    let mut encoder = png_encoder(&mut file, first, texts)?;
    encoder.set_animated(u32::try_from(frames.len()).unwrap_or(u32::MAX), 0)?;
    encoder.set_frame_delay(milliseconds(fps).min(u32::from(u16::MAX)) as u16, 1000)?;
    let mut writer = encoder.write_header()?;
    for frame in frames {
        writer.write_image_data(frame.as_raw())?;
    }
    writer.finish()?;
    Ok(file.flush()?)
}

fn png_encoder<'w>(
    file: &'w mut BufWriter<File>,
    image: &RgbImage,
    texts: &Texts,
) -> Result<png::Encoder<'static, &'w mut BufWriter<File>>, EncodeError> {
    let mut encoder = png::Encoder::new(file, image.width(), image.height());
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    for (keyword, text) in texts {
        encoder.add_text_chunk(keyword.clone(), text.clone())?;
    }
    Ok(encoder)
}

/// Frames as a GIF. `loops` is how often it is shown; 0 for ever.
pub fn gif(path: &Path, frames: &[RgbImage], fps: f64, loops: u16) -> Result<(), EncodeError> {
    let mut encoder = GifEncoder::new_with_speed(BufWriter::new(File::create(path)?), 10);
    encoder.set_repeat(if loops == 0 { Repeat::Infinite } else { Repeat::Finite(loops) })?;
    let delay = Delay::from_numer_denom_ms(milliseconds(fps), 1);
    for frame in frames {
        let pixels: RgbaImage = image::DynamicImage::from(frame.clone()).into_rgba8();
        encoder.encode_frame(Frame::from_parts(pixels, 0, 0, delay))?;
    }
    Ok(())
}

/// Frames as a lossless animated WebP: the container is written here, each frame by the encoder for single images.
pub fn animated_webp(path: &Path, frames: &[RgbImage], fps: f64, loops: u16) -> Result<(), EncodeError> {
    const ANIMATION: u8 = 0x02;
    const DO_NOT_BLEND: u8 = 0x02;
    let Some(first) = frames.first() else { return Ok(()) };
    let (width, height) = first.dimensions();
    let mut body = Vec::from(*b"WEBP");
    let mut extended = vec![ANIMATION, 0, 0, 0];
    extended.extend(three_bytes(width - 1));
    extended.extend(three_bytes(height - 1));
    chunk(&mut body, b"VP8X", &extended)?;
    let mut animation = vec![0; 4];
    animation.extend(loops.to_le_bytes());
    chunk(&mut body, b"ANIM", &animation)?;
    for frame in frames {
        let mut single = Cursor::new(Vec::new());
        WebPEncoder::new_lossless(&mut single).encode(
            frame.as_raw(),
            width,
            height,
            ExtendedColorType::Rgb8,
        )?;
        let mut data = vec![0; 6];
        data.extend(three_bytes(width - 1));
        data.extend(three_bytes(height - 1));
        data.extend(three_bytes(milliseconds(fps)));
        data.push(DO_NOT_BLEND);
        // What follows `RIFF....WEBP` is the chunk of the image itself.
        data.extend(single.get_ref().get(12..).unwrap_or_default());
        chunk(&mut body, b"ANMF", &data)?;
    }
    let size = u32::try_from(body.len()).map_err(|_| EncodeError::TooLarge)?;
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(b"RIFF")?;
    file.write_all(&size.to_le_bytes())?;
    file.write_all(&body)?;
    Ok(file.flush()?)
}

fn chunk(out: &mut Vec<u8>, name: &[u8; 4], data: &[u8]) -> Result<(), EncodeError> {
    out.extend(name);
    out.extend(u32::try_from(data.len()).map_err(|_| EncodeError::TooLarge)?.to_le_bytes());
    out.extend(data);
    if data.len() % 2 == 1 {
        out.push(0);
    }
    Ok(())
}

fn three_bytes(number: u32) -> [u8; 3] {
    let [a, b, c, _] = number.to_le_bytes();
    [a, b, c]
}

/// How long a frame is shown.
fn milliseconds(fps: f64) -> u32 {
    (1000.0 / fps.max(0.01)).round() as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{AnimationDecoder, Rgb};
    use std::io::BufReader;

    fn frames() -> Vec<RgbImage> {
        (0..3).map(|i| RgbImage::from_pixel(21, 13, Rgb([i * 80, 255 - i * 80, 7]))).collect()
    }

    #[test]
    fn an_animated_webp_is_read_back_frame_by_frame() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.webp");
        animated_webp(&path, &frames(), 8.0, 0).unwrap();
        let decoder =
            image::codecs::webp::WebPDecoder::new(BufReader::new(File::open(&path).unwrap())).unwrap();
        let read = decoder.into_frames().collect_frames().unwrap();
        assert_eq!(read.len(), 3);
        for (read, frame) in read.iter().zip(frames()) {
            assert_eq!(read.delay().numer_denom_ms(), (125, 1));
            assert_eq!(image::DynamicImage::from(read.buffer().clone()).into_rgb8(), frame);
        }
    }

    #[test]
    fn an_animated_png_is_read_back_frame_by_frame() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        animated_png(&path, &frames(), 8.0, &[]).unwrap();
        let decoder =
            image::codecs::png::PngDecoder::new(BufReader::new(File::open(&path).unwrap())).unwrap();
        assert_eq!(decoder.apng().unwrap().into_frames().collect_frames().unwrap().len(), 3);
    }

    #[test]
    fn a_gif_is_read_back_frame_by_frame() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.gif");
        gif(&path, &frames(), 8.0, 0).unwrap();
        let decoder =
            image::codecs::gif::GifDecoder::new(BufReader::new(File::open(&path).unwrap())).unwrap();
        assert_eq!(decoder.into_frames().collect_frames().unwrap().len(), 3);
    }
}
