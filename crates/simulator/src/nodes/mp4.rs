//! MP4 with one track of H.264. The index comes after the images, so that nothing is held in memory.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

use super::h264::{EncodedFrame, Encoder};

/// Units of time in a second, for the file as a whole.
const TIMESCALE: u32 = 1000;
/// Units of the track's time that an image takes.
const FRAME_TIME: u32 = 1000;
/// No rotation and no scaling.
const IDENTITY: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];

/// A file that is being written.
pub struct Writer {
    file: BufWriter<File>,
    /// Where the first image begins.
    begin: u32,
    sizes: Vec<u32>,
    /// Images that decoding can begin with, counted from 1.
    keys: Vec<u32>,
}

impl Writer {
    /// Creates the file.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut file = BufWriter::new(File::create(path)?);
        let kind = boxed(b"ftyp", &[b"isom\x00\x00\x02\x00isomiso2avc1mp41"]);
        file.write_all(&kind)?;
        // The size is filled in at the end.
        file.write_all(b"\x00\x00\x00\x00mdat")?;
        Ok(Self { file, begin: kind.len() as u32 + 8, sizes: Vec::new(), keys: Vec::new() })
    }

    /// Adds an image.
    pub fn add(&mut self, frame: &EncodedFrame) -> io::Result<()> {
        self.file.write_all(&frame.bytes)?;
        self.sizes.push(u32::try_from(frame.bytes.len()).map_err(io::Error::other)?);
        if frame.is_key {
            self.keys.push(self.sizes.len() as u32);
        }
        Ok(())
    }

    /// Writes the index.
    pub fn finish(mut self, encoder: &Encoder, fps: f64) -> io::Result<()> {
        let size = self.sizes.iter().map(|size| u64::from(*size)).sum::<u64>() + 8;
        let size =
            u32::try_from(size).map_err(|_| io::Error::other("the video is too large for an MP4 file"))?;
        let index = self.index(encoder, fps);
        self.file.write_all(&index)?;
        self.file.seek(SeekFrom::Start(u64::from(self.begin - 8)))?;
        self.file.write_all(&size.to_be_bytes())?;
        self.file.flush()
    }

    fn index(&self, encoder: &Encoder, fps: f64) -> Vec<u8> {
        let rate = (fps.max(0.001) * f64::from(FRAME_TIME)).round() as u32;
        let time = self.sizes.len() as u32 * FRAME_TIME;
        let duration = (u64::from(time) * u64::from(TIMESCALE) / u64::from(rate)) as u32;
        let (width, height) = encoder.size();
        let header = full(
            b"mvhd",
            0,
            &[
                &numbers(&[0, 0, TIMESCALE, duration, 0x1_0000]),
                // Volume, reserved.
                &[1, 0],
                &[0; 10],
                &numbers(&IDENTITY),
                &[0; 24],
                // The id that the next track would have.
                &numbers(&[2]),
            ],
        );
        let track = full(
            b"tkhd",
            3,
            &[
                &numbers(&[0, 0, 1, 0, duration]),
                &[0; 16],
                &numbers(&IDENTITY),
                &numbers(&[width << 16, height << 16]),
            ],
        );
        // The language is undetermined.
        let media = full(b"mdhd", 0, &[&numbers(&[0, 0, rate, time]), &[0x55, 0xc4, 0, 0]]);
        let handler = full(b"hdlr", 0, &[&[0; 4], b"vide", &[0; 12], b"video\0"]);
        let shown = full(b"vmhd", 1, &[&[0; 8]]);
        // The images are in this file.
        let reference = full(b"dref", 0, &[&numbers(&[1]), &full(b"url ", 1, &[])]);
        let information = boxed(b"minf", &[&shown, &boxed(b"dinf", &[&reference]), &self.table(encoder)]);
        let media = boxed(b"mdia", &[&media, &handler, &information]);
        boxed(b"moov", &[&header, &boxed(b"trak", &[&track, &media])])
    }

    /// What the images are, how long each is shown, and where it is.
    fn table(&self, encoder: &Encoder) -> Vec<u8> {
        let count = self.sizes.len() as u32;
        let description = full(b"stsd", 0, &[&numbers(&[1]), &description(encoder)]);
        let times = full(b"stts", 0, &[&numbers(&[1, count, FRAME_TIME])]);
        let keys = full(b"stss", 0, &[&numbers(&[self.keys.len() as u32]), &numbers(&self.keys)]);
        let chunks = full(b"stsc", 0, &[&numbers(&[1, 1, count, 1])]);
        let sizes = full(b"stsz", 0, &[&numbers(&[0, count]), &numbers(&self.sizes)]);
        let places = full(b"stco", 0, &[&numbers(&[1, self.begin])]);
        boxed(b"stbl", &[&description, &times, &keys, &chunks, &sizes, &places])
    }
}

fn description(encoder: &Encoder) -> Vec<u8> {
    let (width, height) = encoder.size();
    let side = |side: u32| u16::try_from(side).unwrap_or(u16::MAX).to_be_bytes();
    let (sequence_set, picture_set) = (encoder.sequence_parameters(), Encoder::picture_parameters());
    let length = |set: &[u8]| (set.len() as u16).to_be_bytes();
    let configuration = boxed(
        b"avcC",
        &[
            &[1],
            &Encoder::profile(),
            // Lengths have four bytes; one parameter set of each kind.
            &[0xff, 0xe1],
            &length(&sequence_set),
            &sequence_set,
            &[1],
            &length(&picture_set),
            &picture_set,
        ],
    );
    boxed(
        b"avc1",
        &[
            &[0, 0, 0, 0, 0, 0, 0, 1],
            &[0; 16],
            &side(width),
            &side(height),
            // 72 dots per inch, one image per sample, no name, 24 bits per pixel.
            &numbers(&[0x48_0000, 0x48_0000, 0]),
            &[0, 1],
            &[0; 32],
            &[0, 0x18, 0xff, 0xff],
            &configuration,
        ],
    )
}

fn numbers(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

/// A box with version 0 and these flags.
fn full(kind: &[u8; 4], flags: u8, parts: &[&[u8]]) -> Vec<u8> {
    boxed(kind, &[&[0, 0, 0, flags], &parts.concat()])
}

fn boxed(kind: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut bytes = (content.len() as u32 + 8).to_be_bytes().to_vec();
    bytes.extend(kind);
    bytes.extend(content);
    bytes
}
