//! H.264 without compression: parts of an image that hardly change are skipped, all others are stored as they
//! are (`I_PCM`). Every decoder plays it, and it needs no library; the price is its size, up to a byte and a half per
//! pixel. Names and numbers of fields are those of ITU-T H.264.

use image::RgbImage;

/// The sides of a macroblock in pixels.
const BLOCK: usize = 16;
/// The number of frames between two key frames.
const KEY_INTERVAL: u32 = 24;
/// A macroblock is skipped if no sample of it is further than this from the one before.
const TOLERANCE: u8 = 2;
/// Baseline, with the constraints of sets 0 and 1.
const PROFILE: [u8; 2] = [66, 0xc0];
/// 5.1: images of up to 36,864 macroblocks. Larger ones play as well, though their level does not say so.
const LEVEL: u8 = 51;

/// Encodes the images of one video.
pub struct Encoder {
    width: usize,
    height: usize,
    /// Images so far.
    count: u32,
    /// The image before, as a decoder has it.
    reference: Planes,
}

/// One encoded image.
pub struct EncodedFrame {
    /// One NAL unit, its length in four bytes before it, as MP4 has it.
    pub bytes: Vec<u8>,
    /// Whether decoding can begin here.
    pub is_key: bool,
}

/// An image in luma and two planes of chroma of half the size, its sides filled up to whole macroblocks.
#[derive(Default)]
struct Planes {
    luma: Vec<u8>,
    chroma: [Vec<u8>; 2],
}

impl Encoder {
    /// An encoder for images of this size; a side that is odd loses its last pixel.
    pub fn new(width: u32, height: u32) -> Self {
        let even = |side: u32| (side as usize / 2 * 2).max(2);
        Self { width: even(width), height: even(height), count: 0, reference: Planes::default() }
    }

    /// Width and height of what is encoded.
    pub fn size(&self) -> (u32, u32) {
        (self.width as u32, self.height as u32)
    }

    /// Encodes the next image.
    pub fn encode(&mut self, image: &RgbImage) -> EncodedFrame {
        let planes = Planes::from_image(image, self.blocks_across() * BLOCK, self.blocks_down() * BLOCK);
        let place = self.count % KEY_INTERVAL;
        let is_key = place == 0;
        self.count += 1;
        let mut bits = Bits::default();
        // slice_header(): first_mb_in_slice, slice_type (7: only I, 5: only P), pic_parameter_set_id, frame_num.
        bits.unsigned(0);
        bits.unsigned(if is_key { 7 } else { 5 });
        bits.unsigned(0);
        bits.put(place % 16, 4);
        if is_key {
            // idr_pic_id differs from that of the key frame before; no_output_of_prior_pics_flag and
            // long_term_reference_flag.
            bits.unsigned(self.count / KEY_INTERVAL % 2);
            bits.put(0, 2);
        } else {
            // num_ref_idx_active_override_flag, ref_pic_list_modification_flag_l0, adaptive_ref_pic_marking_mode_flag.
            bits.put(0, 3);
        }
        // slice_qp_delta, disable_deblocking_filter_idc.
        bits.unsigned(0);
        bits.unsigned(1);
        self.blocks(&mut bits, &planes, is_key);
        bits.finish();
        self.adopt(planes, is_key);
        let unit = unit(if is_key { 0x65 } else { 0x61 }, &bits.bytes);
        let mut bytes = u32::try_from(unit.len()).unwrap_or(u32::MAX).to_be_bytes().to_vec();
        bytes.extend(unit);
        EncodedFrame { bytes, is_key }
    }

    /// slice_data()
    fn blocks(&self, bits: &mut Bits, planes: &Planes, is_key: bool) {
        let mut skipped = 0;
        for row in 0..self.blocks_down() {
            for column in 0..self.blocks_across() {
                if !is_key {
                    if self.is_skipped(planes, column, row) {
                        skipped += 1;
                        continue;
                    }
                    bits.unsigned(std::mem::take(&mut skipped));
                }
                // mb_type I_PCM; in a P slice the types of I come after five of its own.
                bits.unsigned(if is_key { 25 } else { 30 });
                bits.align();
                for samples in planes.block(self.blocks_across() * BLOCK, column, row) {
                    bits.bytes.extend(samples);
                }
            }
        }
        if skipped > 0 {
            bits.unsigned(skipped);
        }
    }

    fn is_skipped(&self, planes: &Planes, column: usize, row: usize) -> bool {
        let stride = self.blocks_across() * BLOCK;
        let (new, old) = (planes.block(stride, column, row), self.reference.block(stride, column, row));
        new.zip(old).all(|(new, old)| new.iter().zip(old).all(|(new, old)| new.abs_diff(*old) <= TOLERANCE))
    }

    /// Keeps the image as a decoder has it: with the macroblocks of the one before where they were skipped.
    fn adopt(&mut self, mut planes: Planes, is_key: bool) {
        if !is_key {
            let stride = self.blocks_across() * BLOCK;
            for row in 0..self.blocks_down() {
                for column in 0..self.blocks_across() {
                    if self.is_skipped(&planes, column, row) {
                        planes.copy_block(&self.reference, stride, column, row);
                    }
                }
            }
        }
        self.reference = planes;
    }

    fn blocks_across(&self) -> usize {
        self.width.div_ceil(BLOCK)
    }

    fn blocks_down(&self) -> usize {
        self.height.div_ceil(BLOCK)
    }

    /// The sequence parameter set.
    pub fn sequence_parameters(&self) -> Vec<u8> {
        let mut bits = Bits::default();
        bits.bytes.extend([PROFILE[0], PROFILE[1], LEVEL]);
        // seq_parameter_set_id, log2_max_frame_num_minus4, pic_order_cnt_type (2: output in the order of decoding),
        // max_num_ref_frames.
        for value in [0, 0, 2, 1] {
            bits.unsigned(value);
        }
        // gaps_in_frame_num_value_allowed_flag
        bits.put(0, 1);
        bits.unsigned(self.blocks_across() as u32 - 1);
        bits.unsigned(self.blocks_down() as u32 - 1);
        // frame_mbs_only_flag, direct_8x8_inference_flag.
        bits.put(0b11, 2);
        let right = (self.blocks_across() * BLOCK - self.width) / 2;
        let bottom = (self.blocks_down() * BLOCK - self.height) / 2;
        bits.put(u32::from(right + bottom > 0), 1);
        if right + bottom > 0 {
            for cut in [0, right, 0, bottom] {
                bits.unsigned(cut as u32);
            }
        }
        // vui_parameters(): only the colours, those of SMPTE 170M, in limited range.
        bits.put(0b1001, 4);
        bits.put(0b1_0101, 5);
        for _ in 0..3 {
            bits.put(6, 8);
        }
        // chroma_loc_info, timing_info, nal_hrd, vcl_hrd, pic_struct and bitstream_restriction: none is present.
        bits.put(0, 6);
        bits.finish();
        unit(0x67, &bits.bytes)
    }

    /// The picture parameter set.
    pub fn picture_parameters() -> Vec<u8> {
        let mut bits = Bits::default();
        // pic_parameter_set_id, seq_parameter_set_id.
        bits.unsigned(0);
        bits.unsigned(0);
        // entropy_coding_mode_flag, bottom_field_pic_order_in_frame_present_flag.
        bits.put(0, 2);
        // num_slice_groups_minus1, num_ref_idx_l0_default_active_minus1 and that of l1.
        for _ in 0..3 {
            bits.unsigned(0);
        }
        // weighted_pred_flag, weighted_bipred_idc.
        bits.put(0, 3);
        // pic_init_qp_minus26, pic_init_qs_minus26, chroma_qp_index_offset.
        for _ in 0..3 {
            bits.unsigned(0);
        }
        // deblocking_filter_control_present_flag; constrained_intra_pred_flag and redundant_pic_cnt_present_flag.
        bits.put(0b100, 3);
        bits.finish();
        unit(0x68, &bits.bytes)
    }

    /// Profile, constraints and level, as containers repeat them.
    pub fn profile() -> [u8; 3] {
        [PROFILE[0], PROFILE[1], LEVEL]
    }
}

impl Planes {
    fn from_image(image: &RgbImage, width: usize, height: usize) -> Self {
        let pixel = |x: usize, y: usize| {
            let (x, y) = ((x as u32).min(image.width() - 1), (y as u32).min(image.height() - 1));
            image.get_pixel(x, y).0.map(f32::from)
        };
        let mut luma = Vec::with_capacity(width * height);
        for y in 0..height {
            luma.extend((0..width).map(|x| {
                let [red, green, blue] = pixel(x, y);
                (16.5 + 0.256_788 * red + 0.504_129 * green + 0.097_906 * blue) as u8
            }));
        }
        let mut chroma = [Vec::with_capacity(width * height / 4), Vec::with_capacity(width * height / 4)];
        for y in (0..height).step_by(2) {
            for x in (0..width).step_by(2) {
                let four = [pixel(x, y), pixel(x + 1, y), pixel(x, y + 1), pixel(x + 1, y + 1)];
                let mean = |part: usize| four.iter().map(|pixel| pixel[part]).sum::<f32>() / 4.0;
                let (red, green, blue) = (mean(0), mean(1), mean(2));
                chroma[0].push((128.5 - 0.148_223 * red - 0.290_993 * green + 0.439_216 * blue) as u8);
                chroma[1].push((128.5 + 0.439_216 * red - 0.367_788 * green - 0.071_427 * blue) as u8);
            }
        }
        Self { luma, chroma }
    }

    /// The rows of a macroblock's samples: luma, then the one chroma, then the other. `stride` is the width of luma.
    fn block(&self, stride: usize, column: usize, row: usize) -> impl Iterator<Item = &[u8]> {
        rows(&self.luma, stride, BLOCK, column, row)
            .chain(rows(&self.chroma[0], stride / 2, BLOCK / 2, column, row))
            .chain(rows(&self.chroma[1], stride / 2, BLOCK / 2, column, row))
    }

    fn copy_block(&mut self, from: &Self, stride: usize, column: usize, row: usize) {
        let chroma =
            self.chroma.iter_mut().zip(&from.chroma).map(|(to, from)| (to, from, stride / 2, BLOCK / 2));
        let luma = std::iter::once((&mut self.luma, &from.luma, stride, BLOCK));
        for (to, from, stride, side) in luma.chain(chroma) {
            for line in row * side..(row + 1) * side {
                let span = line * stride + column * side..line * stride + (column + 1) * side;
                to[span.clone()].copy_from_slice(&from[span]);
            }
        }
    }
}

fn rows(plane: &[u8], stride: usize, side: usize, column: usize, row: usize) -> impl Iterator<Item = &[u8]> {
    (row * side..(row + 1) * side).map(move |line| {
        let start = line * stride + column * side;
        &plane[start..start + side]
    })
}

/// A string of bits, the highest of each byte first.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    /// Bits of the last byte that are taken; 0 when the next one begins a byte.
    taken: u32,
}

impl Bits {
    /// The lowest `count` bits of a number.
    fn put(&mut self, value: u32, count: u32) {
        for bit in (0..count).rev() {
            if self.taken == 0 {
                self.bytes.push(0);
            }
            if let Some(last) = self.bytes.last_mut() {
                *last |= ((value >> bit & 1) as u8) << (7 - self.taken);
            }
            self.taken = (self.taken + 1) % 8;
        }
    }

    /// ue(v), and se(v) of 0.
    fn unsigned(&mut self, value: u32) {
        let length = (value + 1).ilog2();
        self.put(0, length);
        self.put(value + 1, length + 1);
    }

    /// Zeros up to the next byte.
    fn align(&mut self) {
        self.taken = 0;
    }

    /// rbsp_trailing_bits()
    fn finish(&mut self) {
        self.put(1, 1);
        self.align();
    }
}

/// A NAL unit, with the bytes that keep its content from looking like the start of another.
fn unit(header: u8, content: &[u8]) -> Vec<u8> {
    let mut unit = Vec::with_capacity(content.len() + content.len() / 64 + 1);
    unit.push(header);
    let mut zeros = 0;
    for byte in content {
        if zeros == 2 && *byte <= 3 {
            unit.push(3);
            zeros = 0;
        }
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        unit.push(*byte);
    }
    unit
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn numbers_are_written_as_exponential_golomb_codes() {
        for (value, code) in [(0, "1"), (1, "010"), (2, "011"), (3, "00100"), (25, "000011010")] {
            let mut bits = Bits::default();
            bits.unsigned(value);
            let written: String = bits.bytes.iter().map(|byte| format!("{byte:08b}")).collect();
            assert!(written.starts_with(code), "{value}: {written}");
        }
    }

    #[test]
    fn nothing_in_a_unit_looks_like_the_start_of_another() {
        assert_eq!(unit(0x65, &[0, 0, 0, 0, 0, 1, 0, 0, 4]), [0x65, 0, 0, 3, 0, 0, 3, 0, 1, 0, 0, 4]);
    }

    #[test]
    fn what_does_not_change_takes_no_room_and_what_does_is_stored() {
        let mut encoder = Encoder::new(64, 48);
        let grey = RgbImage::from_pixel(64, 48, Rgb([90; 3]));
        let key = encoder.encode(&grey);
        assert!(key.is_key && key.bytes.len() > 64 * 48);
        let same = encoder.encode(&grey);
        assert!(!same.is_key && same.bytes.len() < 20);
        let mut changed = grey.clone();
        changed.put_pixel(0, 0, Rgb([255; 3]));
        let stored = encoder.encode(&changed).bytes.len();
        assert!((384..420).contains(&stored), "{stored}");
    }

    #[test]
    fn slow_change_is_not_lost() {
        let mut encoder = Encoder::new(16, 16);
        let shade = |level: u8| RgbImage::from_pixel(16, 16, Rgb([level; 3]));
        for level in 0..20 {
            encoder.encode(&shade(100 + level));
            let wanted = Planes::from_image(&shade(100 + level), 16, 16).luma[0];
            assert!(encoder.reference.luma[0].abs_diff(wanted) <= TOLERANCE);
        }
    }
}
