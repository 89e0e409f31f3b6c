//! Files that ComfyUI 0.33.0 saved, each from a graph with an empty image or sound.

use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::path::Path;

use comfy_runner_editor::embedded::read_embedded;
use comfy_runner_editor::saved::Saved;
use proptest::prelude::*;

const FILES: [(&str, &str); 9] = [
    ("image.png", "SaveImage"),
    ("animation.png", "SaveAnimatedPNG"),
    ("animation.webp", "SaveAnimatedWEBP"),
    ("video.mp4", "SaveVideo"),
    ("video.mkv", "SaveVideo"),
    ("video.webm", "SaveWEBM"),
    ("audio.flac", "SaveAudio"),
    ("audio.mp3", "SaveAudioMP3"),
    ("audio.opus", "SaveAudioOpus"),
];

fn open(name: &str) -> File {
    File::open(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/embedded").join(name)).unwrap()
}

#[test]
fn both_graphs_are_read_from_every_kind_of_file_that_comfyui_saves() {
    for (name, class) in FILES {
        let found = read_embedded(&mut open(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let Ok(Saved::Api(prompt)) = Saved::from_json(&found.prompt.unwrap()) else { panic!("{name}") };
        assert_eq!(prompt.nodes["9"].class_type, class, "{name}");
        let Ok(Saved::Ui(workflow)) = Saved::from_json(&found.workflow.unwrap()) else { panic!("{name}") };
        assert_eq!(workflow.nodes[0].title.as_deref(), Some("Plate"), "{name}");
    }
}

/// A file that counts what is read of it, with gigabytes of nothing in its middle.
struct Large {
    before: Vec<u8>,
    gap: u64,
    after: Vec<u8>,
    at: u64,
    read: u64,
}

impl Read for Large {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let before = self.before.len() as u64;
        let count = if self.at < before {
            let count = buffer.len().min((before - self.at) as usize);
            buffer[..count].copy_from_slice(&self.before[self.at as usize..][..count]);
            count
        } else if self.at < before + self.gap {
            let count = buffer.len().min((before + self.gap - self.at) as usize);
            buffer[..count].fill(0);
            count
        } else {
            let start = ((self.at - before - self.gap) as usize).min(self.after.len());
            let count = buffer.len().min(self.after.len() - start);
            buffer[..count].copy_from_slice(&self.after[start..][..count]);
            count
        };
        (self.at, self.read) = (self.at + count as u64, self.read + count as u64);
        Ok(count)
    }
}

impl Seek for Large {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        let len = self.before.len() as u64 + self.gap + self.after.len() as u64;
        self.at = match to {
            SeekFrom::Start(at) => at,
            SeekFrom::End(by) => len.saturating_add_signed(by),
            SeekFrom::Current(by) => self.at.saturating_add_signed(by),
        };
        Ok(self.at)
    }
}

#[test]
fn a_video_of_gigabytes_is_read_in_little_more_memory_than_its_graph() {
    let mut file = Vec::new();
    open("video.mp4").read_to_end(&mut file).unwrap();
    let moov = file.windows(4).position(|bytes| bytes == b"moov").unwrap() - 4;
    let gap = 6_u64 << 30;
    let size = (gap + 16).to_be_bytes();
    let before = [&file[..moov], &[0, 0, 0, 1], b"mdat", &size].concat();
    let mut large = Large { before, gap, after: file[moov..].to_vec(), at: 0, read: 0 };
    let found = read_embedded(&mut large).unwrap();
    assert!(found.prompt.is_some() && found.workflow.is_some());
    assert!(large.read < 8192, "{}", large.read);
}

proptest! {
    #[test]
    fn damaged_files_give_a_graph_or_an_error(
        file in 0..FILES.len(), cut in 0.0..1.0, at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut bytes = Vec::new();
        open(FILES[file].0).read_to_end(&mut bytes).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = read_embedded(&mut Cursor::new(&bytes));
        bytes.truncate((bytes.len() as f64 * cut) as usize);
        let _ = read_embedded(&mut Cursor::new(&bytes));
    }
}
