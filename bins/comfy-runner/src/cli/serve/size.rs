//! Sizes with units.

/// Reads `100MiB`, `1.5GB` or a plain number of bytes.
pub(super) fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic()).trim();
    let unit = text.trim_start_matches(|c: char| !c.is_ascii_alphabetic());
    let factor: f64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "kib" => 1024.0,
        "mib" => 1024.0 * 1024.0,
        "gib" => 1024.0 * 1024.0 * 1024.0,
        _ => return Err(format!("\"{unit}\" is not a unit; use B, KB, MB, GB, KiB, MiB or GiB")),
    };
    match digits.parse::<f64>() {
        Ok(number) if number * factor >= 1.0 && number * factor <= 2f64.powi(53) => {
            Ok((number * factor) as u64)
        }
        _ => Err(format!("\"{text}\" is not a size; write bytes, or a number with a unit such as 100MiB")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_and_without_a_unit() {
        assert_eq!(parse_size("512"), Ok(512));
        assert_eq!(parse_size("100MiB"), Ok(100 << 20));
        assert_eq!(parse_size("1.5 GB"), Ok(1_500_000_000));
        for bad in ["", "MiB", "-1", "0", "1 parsec", "nan"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }
}
