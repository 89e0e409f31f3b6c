//! The key for ComfyUI's partner nodes, which call paid services of other companies through comfy.org.

use std::fmt;
use std::sync::Arc;

/// The longest key, in bytes.
const LONGEST: usize = 1024;

/// An API key of comfy.org. It goes to ComfyUI with a prompt, in `extra_data.api_key_comfy_org`, and nowhere else: it is
/// not recorded, and `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct PartnerKey(Arc<str>);

/// A string that cannot be a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a Comfy API key is 1 to {LONGEST} printable ASCII characters without spaces")]
pub struct InvalidPartnerKey;

impl PartnerKey {
    /// The key's name in a prompt's `extra_data`.
    pub const NAME: &'static str = "api_key_comfy_org";

    /// Takes a key.
    ///
    /// # Errors
    /// The string cannot be a key.
    pub fn new(key: &str) -> Result<Self, InvalidPartnerKey> {
        let valid = (1..=LONGEST).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic());
        if valid { Ok(Self(key.into())) } else { Err(InvalidPartnerKey) }
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PartnerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PartnerKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_printable_and_never_shown() {
        assert_eq!(format!("{:?}", PartnerKey::new("comfyui-secret").unwrap()), "PartnerKey(..)");
        for wrong in ["", "two words", "line\nbreak", "schlüssel", &"x".repeat(LONGEST + 1)] {
            assert_eq!(PartnerKey::new(wrong), Err(InvalidPartnerKey), "{wrong}");
        }
    }
}
