//! Whether files are on a disk of this machine, so that a look at one cannot take long.

use std::path::Path;

/// The types of file systems whose files are on this machine, as `statfs` reports them (`linux/magic.h`).
#[cfg(target_os = "linux")]
const LOCAL: [u32; 9] = [
    0x0000_ef53, // ext2, ext3, ext4
    0x5846_5342, // XFS
    0x9123_683e, // Btrfs
    0xf2f5_2010, // F2FS
    0x2fc1_2fc1, // ZFS
    0xca45_1a4e, // bcachefs
    0x794c_7630, // OverlayFS
    0x0102_1994, // tmpfs
    0x7371_7368, // SquashFS
];

/// Returns whether this folder is on a disk of this machine, as far as is known. May block.
#[cfg(target_os = "linux")]
pub fn is_local(folder: &Path) -> bool {
    rustix::fs::statfs(folder).is_ok_and(|found| LOCAL.contains(&(found.f_type as u32)))
}

/// Returns whether this folder is on a disk of this machine, as far as is known: here it is not.
#[cfg(not(target_os = "linux"))]
pub fn is_local(_: &Path) -> bool {
    false
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_makes_up_is_no_disk_of_this_machine() {
        assert!(!is_local(Path::new("/proc/self")));
        assert!(!is_local(Path::new("/nowhere")));
    }
}
