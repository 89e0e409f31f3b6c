//! The limit on open files. Each connection needs one, and a download a second one for its connection to ComfyUI.

/// Files other than connections of callers: the store, the log, connections to ComfyUI.
const RESERVED: usize = 128;
/// The number of files per connection.
const FOR_EACH_CONNECTION: usize = 2;

/// Raises the limit on open files as far as the system allows, and returns the number of connections that fit: `wanted` or
/// fewer. A server without free files could not reach ComfyUI.
pub fn connections(wanted: usize) -> usize {
    let Some(files) = raise() else { return wanted };
    let room = room(files);
    if room < wanted && wanted != usize::MAX {
        tracing::warn!(
            files,
            connections = room,
            "the limit on open files leaves room for fewer connections; raise `ulimit -n`"
        );
    }
    room.min(wanted)
}

fn room(files: usize) -> usize {
    (files.saturating_sub(RESERVED) / FOR_EACH_CONNECTION).max(1)
}

/// Raises the limit on open files to the maximum and returns it; `None` for no limit.
#[cfg(unix)]
fn raise() -> Option<usize> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let before = getrlimit(Resource::Nofile);
    if let Err(error) =
        setrlimit(Resource::Nofile, Rlimit { current: before.maximum, maximum: before.maximum })
    {
        tracing::debug!(%error, "the limit on open files stays as it is");
    }
    let files = getrlimit(Resource::Nofile).current?;
    Some(usize::try_from(files).unwrap_or(usize::MAX))
}

#[cfg(not(unix))]
fn raise() -> Option<usize> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_half_as_many_connections_as_files_and_at_least_for_one() {
        assert_eq!(room(1024), 448);
        assert_eq!(room(20_000), 9936);
        assert_eq!(room(100), 1);
    }

    #[test]
    fn as_many_connections_are_accepted_as_wanted_when_there_is_room() {
        assert_eq!(connections(1), 1);
    }
}
